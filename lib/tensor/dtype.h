/* SPDX-License-Identifier: Apache-2.0
 *
 * dtype facts and conversions of runs of elements. Conversions go through three compute classes:
 * f64 (all floats), i64 and u64 (integers and bool). Formats and rounding: IEEE 754; bf16 and f16
 * round to nearest even; float8 as in ONNX's "Float stored in 8 bits" (saturate or not); f4e2m1,
 * f8e8m0 as in OCP MX 1.0.
 */
#ifndef FERI_TENSOR_DTYPE_H
#define FERI_TENSOR_DTYPE_H

#include "ferrule/ferrule.h"

enum {
    FERI_CLASS_NONE,
    FERI_CLASS_FLOAT,
    FERI_CLASS_SIGNED,
    FERI_CLASS_UNSIGNED,
    FERI_CLASS_BOOL,
    FERI_CLASS_COMPLEX,
    FERI_CLASS_STRING
};
int32_t feri_dtype_class(fer_dtype dtype);
int feri_dtype_is_valid(fer_dtype dtype);
/* Bytes of count dense elements (sub-byte rounds up); UINT64_MAX on overflow; strings 0. */
uint64_t feri_dtype_bytes(fer_dtype dtype, uint64_t count);

/* Single elements, at flat index, from unaligned packed memory. Integer dtypes: value as int64 (u64
 * wraps); floats: double. */
int64_t feri_load_i64(fer_dtype dtype, const void *data, uint64_t index);
double feri_load_f64(fer_dtype dtype, const void *data, uint64_t index);

/* Runs of elements, as fer_host.load_f64 and its like (backend.h) promise; those slots point here.
 */
void feri_load_run_f64(
    fer_dtype dtype, const void *data, uint64_t index, uint64_t count, double *out);
void feri_store_run_f64(fer_dtype dtype,
                        void *data,
                        uint64_t index,
                        uint64_t count,
                        const double *values,
                        int32_t saturate);
void feri_load_run_i64(
    fer_dtype dtype, const void *data, uint64_t index, uint64_t count, int64_t *out);
void feri_store_run_i64(
    fer_dtype dtype, void *data, uint64_t index, uint64_t count, const int64_t *values);

/* f16, bf16 and float8 bit patterns. */
float feri_f16_to_f32(uint16_t bits);
uint16_t feri_f64_to_f16(double value);
float feri_bf16_to_f32(uint16_t bits);
uint16_t feri_f64_to_bf16(double value);

#endif
