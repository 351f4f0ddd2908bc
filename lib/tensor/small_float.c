/* SPDX-License-Identifier: Apache-2.0
 *
 * Bit patterns of the floats that C has no type for: f16, bf16, float8, f4e2m1, f8e8m0. Decoding is
 * exact; encoding rounds once, to nearest even, straight from the double. One table of formats, no
 * code per dtype. Called by convert.c.
 */
#include "tensor/small_float.h"

#include "tensor/dtype.h"

#include <string.h>

/* max: largest finite code; infinity, nan: their codes without sign; 0: there is none. unsigned
 * zero: no -0, whose code is the NaN. */
#define FORMAT(dtype) [(dtype) - FER_F16]
/* clang-format off */
static const feri_small_float formats[] = {
    FORMAT(FER_F16)        = {.exponent = 5, .mantissa = 10, .bias = 15,  .max = 0x7bff, .infinity = 0x7c00, .nan = 0x7e00},
    FORMAT(FER_BF16)       = {.exponent = 8, .mantissa = 7,  .bias = 127, .max = 0x7f7f, .infinity = 0x7f80, .nan = 0x7fc0},
    FORMAT(FER_F8E4M3FN)   = {.exponent = 4, .mantissa = 3,  .bias = 7,   .max = 0x7e, .nan = 0x7f, .saturates = 1},
    FORMAT(FER_F8E4M3FNUZ) = {.exponent = 4, .mantissa = 3,  .bias = 8,   .max = 0x7f, .nan = 0x80, .saturates = 1},
    FORMAT(FER_F8E5M2)     = {.exponent = 5, .mantissa = 2,  .bias = 15,  .max = 0x7b, .infinity = 0x7c, .nan = 0x7e, .saturates = 1},
    FORMAT(FER_F8E5M2FNUZ) = {.exponent = 5, .mantissa = 2,  .bias = 16,  .max = 0x7f, .nan = 0x80, .saturates = 1},
    FORMAT(FER_F4E2M1)     = {.exponent = 2, .mantissa = 1,  .bias = 1,   .max = 0x7, .saturates = 1},
    FORMAT(FER_F8E8M0)     = {0}, /* no sign, no mantissa: has functions of its own */
};
/* clang-format on */

const feri_small_float *feri_small_float_of(fer_dtype dtype) { return &formats[dtype - FER_F16]; }

static uint32_t overflow_code(const feri_small_float *format, int32_t saturate) {
    if (format->saturates && (saturate || format->nan == 0)) {
        return format->max;
    }
    return format->infinity ? format->infinity : format->nan;
}

uint32_t feri_small_float_encode(const feri_small_float *format, double value, int32_t saturate) {
    uint64_t bits = feri_bits_of(value);
    uint32_t sign = (uint32_t)(bits >> 63) << (format->exponent + format->mantissa);
    uint32_t sign_bit = 1u << (format->exponent + format->mantissa);
    bits &= INT64_MAX;
    int has_minus_zero = format->nan != sign_bit;
    if (bits > UINT64_C(0x7ff) << 52) {
        if (!format->nan) {
            return sign_bit; /* f4e2m1 has no NaN; ONNX's vectors give -0 */
        }
        return has_minus_zero ? sign | format->nan : format->nan;
    }
    uint32_t code = format->max + 1;
    int32_t exponent = (int32_t)(bits >> 52) - 1023;
    int32_t smallest = 1 - format->bias;
    if (exponent <= format->bias + 1) {
        /* Now value = mantissa * 2^(exponent - 52), unless it is far below anything we can hold. */
        uint64_t mantissa = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
        int32_t below = exponent < smallest ? smallest - exponent : 0;
        int32_t shift = 52 - format->mantissa + below;
        uint64_t kept = 0;
        if (shift <= 53) {
            uint64_t half = UINT64_C(1) << (shift - 1);
            uint64_t rest = mantissa & ((half << 1) - 1);
            kept = mantissa >> shift;
            kept += rest > half || (rest == half && (kept & 1));
        }
        /* The implicit bit in kept adds one to the exponent field, a carry another. */
        uint64_t base = below ? 0 : (uint64_t)(exponent - smallest) << format->mantissa;
        code = (uint32_t)(base + kept);
    }
    if (code > format->max) {
        code = overflow_code(format, saturate);
        return code == sign_bit ? code : sign | code;
    }
    return code || has_minus_zero ? sign | code : 0;
}

double feri_e8m0_decode(uint32_t code) {
    if (code == 0xff) {
        return feri_double_of(UINT64_C(0x7ff8) << 48);
    }
    return feri_double_of((uint64_t)(code + 1023 - 127) << 52);
}

/* To nearest power of two, a tie to the greater one (ONNX "nearest": there is no even). */
uint32_t feri_e8m0_encode(double value, int32_t saturate) {
    uint64_t bits = feri_bits_of(value);
    if (bits >> 63 && bits << 1) {
        return 0xff; /* no negative numbers */
    }
    bits &= INT64_MAX;
    if (bits > UINT64_C(0x7ff) << 52) {
        return 0xff;
    }
    /* Adding half carries into the exponent at 1.5. */
    int32_t code = (int32_t)((bits + (UINT64_C(1) << 51)) >> 52) - 1023 + 127;
    if (code < 0 || bits == 0) {
        return saturate ? 0 : 0xff;
    }
    if (code > 0xfe) {
        return saturate ? 0xfe : 0xff;
    }
    return (uint32_t)code;
}

float feri_f16_to_f32(uint16_t bits) { return (float)feri_load_f64(FER_F16, &bits, 0); }

uint16_t feri_f64_to_f16(double value) {
    return (uint16_t)feri_small_float_encode(feri_small_float_of(FER_F16), value, 0);
}

float feri_bf16_to_f32(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t feri_f64_to_bf16(double value) {
    return (uint16_t)feri_small_float_encode(feri_small_float_of(FER_BF16), value, 0);
}
