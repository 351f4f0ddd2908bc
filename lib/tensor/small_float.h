/* SPDX-License-Identifier: Apache-2.0
 *
 * Formats of small floats and their codes, for convert.c. Codes are the low bits of a uint32_t.
 */
#ifndef FERI_TENSOR_SMALL_FLOAT_H
#define FERI_TENSOR_SMALL_FLOAT_H

#include "ferrule/ferrule.h"

#include <string.h>

typedef struct feri_small_float {
    uint8_t exponent; /* bits; 0: not a small float */
    uint8_t mantissa; /* bits */
    uint8_t bias;
    uint8_t saturates; /* the saturate argument applies: float8 and f4e2m1, as in ONNX's Cast */
    uint16_t max;      /* code of the largest finite value */
    uint16_t infinity; /* 0: none */
    uint16_t nan;      /* 0: none; the sign bit alone: there is no -0 */
} feri_small_float;

/* dtype is a float, but not f32 or f64. */
const feri_small_float *feri_small_float_of(fer_dtype dtype);
uint32_t feri_small_float_encode(const feri_small_float *format, double value, int32_t saturate);
static inline uint64_t feri_bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double feri_double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Inline, for the loop of convert_codes.c. */
static inline double feri_small_float_decode(const feri_small_float *format, uint32_t code) {
    uint32_t sign_shift = (uint32_t)format->exponent + format->mantissa;
    uint64_t sign = (uint64_t)(code >> sign_shift & 1) << 63;
    uint32_t magnitude = code & ((1u << sign_shift) - 1);
    uint32_t exponent = magnitude >> format->mantissa;
    uint64_t mantissa = magnitude & ((1u << format->mantissa) - 1);
    if (magnitude > format->max) {
        return magnitude == format->infinity ? feri_double_of(sign | UINT64_C(0x7ff) << 52)
                                             : feri_double_of(sign | UINT64_C(0x7ff8) << 48);
    }
    if (code == format->nan && format->nan == 1u << sign_shift) {
        return feri_double_of(UINT64_C(0x7ff8) << 48); /* the code of -0 */
    }
    if (exponent) {
        return feri_double_of(sign | (uint64_t)(exponent + 1023 - format->bias) << 52 |
                              mantissa << (52 - format->mantissa));
    }
    /* mantissa * 2^(1 - bias - M) */
    double unit = feri_double_of((uint64_t)(1023 + 1 - format->bias - format->mantissa) << 52);
    return feri_double_of(feri_bits_of((double)mantissa * unit) | sign);
}

/* What convert.c does not do itself: every dtype but f32 and f64. */
void feri_load_codes_f64(
    fer_dtype dtype, const void *data, uint64_t index, uint64_t count, double *out);
void feri_store_codes_f64(fer_dtype dtype,
                          void *data,
                          uint64_t index,
                          uint64_t count,
                          const double *values,
                          int32_t saturate);

double feri_e8m0_decode(uint32_t code);
uint32_t feri_e8m0_encode(double value, int32_t saturate);

#endif
