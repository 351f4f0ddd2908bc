/* SPDX-License-Identifier: Apache-2.0
 *
 * Formats of small floats and their codes, for convert.c. Codes are the low bits of a uint32_t.
 */
#ifndef FERI_TENSOR_SMALL_FLOAT_H
#define FERI_TENSOR_SMALL_FLOAT_H

#include "ferrule/ferrule.h"

typedef struct feri_small_float {
    uint8_t exponent; /* bits; 0: not a small float */
    uint8_t mantissa; /* bits */
    uint8_t bias;
    uint8_t saturates; /* the saturate argument applies: float8 and f4e2m1, as in ONNX's Cast */
    uint16_t max;      /* code of the largest finite value */
    uint16_t infinity; /* 0: none */
    uint16_t nan;      /* 0: none; the sign bit alone: there is no -0 */
} feri_small_float;

/* dtype must be valid. */
const feri_small_float *feri_small_float_of(fer_dtype dtype);
double feri_small_float_decode(const feri_small_float *format, uint32_t code);
uint32_t feri_small_float_encode(const feri_small_float *format, double value, int32_t saturate);
double feri_e8m0_decode(uint32_t code);
uint32_t feri_e8m0_encode(double value, int32_t saturate);

#endif
