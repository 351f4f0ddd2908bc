/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of elements of every dtype but f32 and f64 to and from the compute classes double and
 * int64_t, by way of their codes: what is stored, zero-extended. Small floats go through
 * small_float.c. Refuses nothing: strings and complex load as zero and store nothing. Called by
 * convert.c and through dtype.h.
 */
#include "tensor/dtype.h"
#include "tensor/small_float.h"

#include <string.h>

/* Loops over a C type, unaligned. */
#define LOAD_RUN(type, out_type)                                                                   \
    do {                                                                                           \
        const uint8_t *from = (const uint8_t *)data + index * sizeof(type);                        \
        for (uint64_t i = 0; i < count; i++) {                                                     \
            type element;                                                                          \
            memcpy(&element, from + i * sizeof(type), sizeof(type));                               \
            out[i] = (out_type)element;                                                            \
        }                                                                                          \
    } while (0)
#define STORE_RUN(type, expression)                                                                \
    do {                                                                                           \
        uint8_t *to = (uint8_t *)data + index * sizeof(type);                                      \
        for (uint64_t i = 0; i < count; i++) {                                                     \
            type element = (type)(expression);                                                     \
            memcpy(to + i * sizeof(type), &element, sizeof(type));                                 \
        }                                                                                          \
    } while (0)

/* Elements as they are stored, zero-extended; 0 for widths that are no number's. */
static void
load_codes(uint32_t bits, const void *data, uint64_t index, uint64_t count, uint64_t *out) {
    switch (bits) {
    case 64:
        LOAD_RUN(uint64_t, uint64_t);
        return;
    case 32:
        LOAD_RUN(uint32_t, uint64_t);
        return;
    case 16:
        LOAD_RUN(uint16_t, uint64_t);
        return;
    case 8:
        LOAD_RUN(uint8_t, uint64_t);
        return;
    default:
        break;
    }
    uint32_t per_byte = bits && bits < 8 ? 8 / bits : 0;
    for (uint64_t i = 0; i < count; i++, index++) {
        out[i] = per_byte ? ((const uint8_t *)data)[index / per_byte] >> (index % per_byte * bits) &
                                ((1u << bits) - 1)
                          : 0;
    }
}

static void
store_codes(uint32_t bits, void *data, uint64_t index, uint64_t count, const uint64_t *codes) {
    switch (bits) {
    case 64:
        STORE_RUN(uint64_t, codes[i]);
        return;
    case 32:
        STORE_RUN(uint32_t, codes[i]);
        return;
    case 16:
        STORE_RUN(uint16_t, codes[i]);
        return;
    case 8:
        STORE_RUN(uint8_t, codes[i]);
        return;
    default:
        break;
    }
    uint32_t per_byte = bits && bits < 8 ? 8 / bits : 0;
    for (uint64_t i = 0; per_byte && i < count; i++, index++) {
        uint32_t shift = (uint32_t)(index % per_byte) * bits;
        uint32_t mask = ((1u << bits) - 1) << shift;
        uint8_t *byte = &((uint8_t *)data)[index / per_byte];
        *byte = (uint8_t)((*byte & ~mask) | (((uint32_t)codes[i] << shift) & mask));
    }
}

/* Truncated; what does not fit is clamped, NaN is 0. */
static int64_t to_i64(double value) {
    if (!(value >= -0x1p63)) {
        return value < 0 ? INT64_MIN : 0;
    }
    return value >= 0x1p63 ? INT64_MAX : (int64_t)value;
}

static uint64_t to_u64(double value) {
    if (!(value > 0)) {
        return (uint64_t)to_i64(value);
    }
    return value >= 0x1p64 ? UINT64_MAX : (uint64_t)value;
}

void feri_load_run_i64(
    fer_dtype dtype, const void *data, uint64_t index, uint64_t count, int64_t *out) {
    int32_t class = feri_dtype_class(dtype);
    uint32_t bits = fer_dtype_bits(dtype);
    if (class == FERI_CLASS_FLOAT) {
        for (uint64_t i = 0; i < count; i++) {
            out[i] = to_i64(feri_load_f64(dtype, data, index + i));
        }
        return;
    }
    load_codes(class > FERI_CLASS_FLOAT && class <= FERI_CLASS_BOOL ? bits : 0,
               data,
               index,
               count,
               (uint64_t *)out);
    for (uint64_t i = 0; class == FERI_CLASS_SIGNED && i < count; i++) {
        out[i] = (int64_t)((uint64_t)out[i] << (64 - bits)) >> (64 - bits);
    }
    for (uint64_t i = 0; class == FERI_CLASS_BOOL && i < count; i++) {
        out[i] = out[i] != 0;
    }
}

void feri_store_run_i64(
    fer_dtype dtype, void *data, uint64_t index, uint64_t count, const int64_t *values) {
    switch (feri_dtype_class(dtype)) {
    case FERI_CLASS_SIGNED:
    case FERI_CLASS_UNSIGNED:
        store_codes(fer_dtype_bits(dtype), data, index, count, (const uint64_t *)values);
        return;
    case FERI_CLASS_BOOL:
        STORE_RUN(uint8_t, values[i] != 0);
        return;
    case FERI_CLASS_FLOAT:
        break;
    default:
        return;
    }
    if (dtype == FER_F32) {
        STORE_RUN(float, values[i]); /* rounded once */
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        double value = (double)values[i];
        feri_store_run_f64(dtype, data, index + i, 1, &value, 0);
    }
}

enum { CODES = 64 }; /* at a time, on the stack */

void feri_load_codes_f64(
    fer_dtype dtype, const void *data, uint64_t index, uint64_t count, double *out) {
    int is_float = feri_dtype_class(dtype) == FERI_CLASS_FLOAT;
    const feri_small_float *format = is_float ? feri_small_float_of(dtype) : NULL;
    int64_t codes[CODES];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = i % CODES, left = count - i;
        if (at == 0 && is_float) {
            load_codes(fer_dtype_bits(dtype),
                       data,
                       index + i,
                       left < CODES ? left : CODES,
                       (uint64_t *)codes);
        } else if (at == 0) {
            feri_load_run_i64(dtype, data, index + i, left < CODES ? left : CODES, codes);
        }
        out[i] = dtype == FER_F8E8M0 ? feri_e8m0_decode((uint32_t)codes[at])
                 : is_float          ? feri_small_float_decode(format, (uint32_t)codes[at])
                 : dtype == FER_U64  ? (double)(uint64_t)codes[at]
                                     : (double)codes[at];
    }
}

static uint64_t
code_of(fer_dtype dtype, const feri_small_float *format, double value, int32_t saturate) {
    if (format) {
        return dtype == FER_F8E8M0 ? feri_e8m0_encode(value, saturate)
                                   : feri_small_float_encode(format, value, saturate);
    }
    return dtype == FER_BOOL  ? value != 0
           : dtype == FER_U64 ? to_u64(value)
                              : (uint64_t)to_i64(value);
}

void feri_store_codes_f64(fer_dtype dtype,
                          void *data,
                          uint64_t index,
                          uint64_t count,
                          const double *values,
                          int32_t saturate) {
    int32_t class = feri_dtype_class(dtype);
    const feri_small_float *format = class == FERI_CLASS_FLOAT ? feri_small_float_of(dtype) : NULL;
    uint32_t bits =
        class >= FERI_CLASS_FLOAT && class <= FERI_CLASS_BOOL ? fer_dtype_bits(dtype) : 0;
    for (uint64_t i = 0; i < count; i += CODES) {
        uint64_t codes[CODES], n = count - i < CODES ? count - i : CODES;
        for (uint64_t j = 0; j < n; j++) {
            codes[j] = code_of(dtype, format, values[i + j], saturate);
        }
        store_codes(bits, data, index + i, n, codes);
    }
}
