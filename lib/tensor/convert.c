/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of elements to and from the compute classes double and int64_t, from packed memory of any
 * alignment. C's own types take straight loops; small floats go through small_float.c, sub-byte
 * integers through shifts. Refuses nothing: strings and complex load as zero and store nothing.
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

/* The unsigned code of a sub-byte element. */
static uint32_t load_packed(const uint8_t *data, uint64_t index, uint32_t bits) {
    uint32_t per_byte = 8 / bits;
    return data[index / per_byte] >> (index % per_byte * bits) & ((1u << bits) - 1);
}

static void store_packed(uint8_t *data, uint64_t index, uint32_t bits, uint32_t code) {
    uint32_t per_byte = 8 / bits;
    uint32_t shift = (uint32_t)(index % per_byte) * bits;
    uint32_t mask = ((1u << bits) - 1) << shift;
    uint8_t *byte = &data[index / per_byte];
    *byte = (uint8_t)((*byte & ~mask) | ((code << shift) & mask));
}

static uint32_t load_code(const uint8_t *data, uint64_t index, uint32_t bits) {
    if (bits == 16) {
        uint16_t code;
        memcpy(&code, data + index * 2, sizeof code);
        return code;
    }
    return bits == 8 ? data[index] : load_packed(data, index, bits);
}

static void store_code(uint8_t *data, uint64_t index, uint32_t bits, uint32_t code) {
    if (bits == 16) {
        uint16_t narrow = (uint16_t)code;
        memcpy(data + index * 2, &narrow, sizeof narrow);
    } else if (bits == 8) {
        data[index] = (uint8_t)code;
    } else {
        store_packed(data, index, bits, code);
    }
}

static void
load_small_run(fer_dtype dtype, const void *data, uint64_t index, uint64_t count, double *out) {
    uint32_t bits = fer_dtype_bits(dtype);
    const feri_small_float *format = feri_small_float_of(dtype);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t code = load_code(data, index + i, bits);
        out[i] =
            dtype == FER_F8E8M0 ? feri_e8m0_decode(code) : feri_small_float_decode(format, code);
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
    switch (dtype) {
    case FER_I64:
    case FER_U64:
        if (count) {
            memcpy(out, (const uint8_t *)data + index * 8, count * 8);
        }
        return;
    case FER_I32:
        LOAD_RUN(int32_t, int64_t);
        return;
    case FER_U32:
        LOAD_RUN(uint32_t, int64_t);
        return;
    case FER_I16:
        LOAD_RUN(int16_t, int64_t);
        return;
    case FER_U16:
        LOAD_RUN(uint16_t, int64_t);
        return;
    case FER_I8:
        LOAD_RUN(int8_t, int64_t);
        return;
    case FER_U8:
        LOAD_RUN(uint8_t, int64_t);
        return;
    default:
        break;
    }
    int32_t class = feri_dtype_class(dtype);
    uint32_t bits = fer_dtype_bits(dtype);
    for (uint64_t i = 0; i < count; i++) {
        if (class == FERI_CLASS_BOOL) {
            out[i] = ((const uint8_t *)data)[index + i] != 0;
        } else if (class == FERI_CLASS_FLOAT) {
            out[i] = to_i64(feri_load_f64(dtype, data, index + i));
        } else if (bits && bits < 8) {
            int64_t code = load_packed(data, index + i, bits);
            int64_t half = (int64_t)1 << (bits - 1);
            out[i] = class == FERI_CLASS_SIGNED && code >= half ? code - 2 * half : code;
        } else {
            out[i] = 0;
        }
    }
}

void feri_store_run_i64(
    fer_dtype dtype, void *data, uint64_t index, uint64_t count, const int64_t *values) {
    switch (dtype) {
    case FER_I64:
    case FER_U64:
        if (count) {
            memcpy((uint8_t *)data + index * 8, values, count * 8);
        }
        return;
    case FER_I32:
    case FER_U32:
        STORE_RUN(uint32_t, values[i]);
        return;
    case FER_I16:
    case FER_U16:
        STORE_RUN(uint16_t, values[i]);
        return;
    case FER_I8:
    case FER_U8:
        STORE_RUN(uint8_t, values[i]);
        return;
    case FER_BOOL:
        STORE_RUN(uint8_t, values[i] != 0);
        return;
    case FER_F32:
        STORE_RUN(float, values[i]);
        return;
    case FER_F64:
        STORE_RUN(double, values[i]);
        return;
    default:
        break;
    }
    int32_t class = feri_dtype_class(dtype);
    uint32_t bits = fer_dtype_bits(dtype);
    for (uint64_t i = 0; i < count; i++) {
        if (class == FERI_CLASS_FLOAT) {
            double value = (double)values[i];
            feri_store_run_f64(dtype, data, index + i, 1, &value, 0);
        } else if (bits && bits < 8) {
            store_packed(data, index + i, bits, (uint32_t)values[i]);
        }
    }
}

void feri_load_run_f64(
    fer_dtype dtype, const void *data, uint64_t index, uint64_t count, double *out) {
    switch (dtype) {
    case FER_F32:
        LOAD_RUN(float, double);
        return;
    case FER_F64:
        if (count) {
            memcpy(out, (const uint8_t *)data + index * 8, count * 8);
        }
        return;
    case FER_U8:
        LOAD_RUN(uint8_t, double);
        return;
    case FER_I8:
        LOAD_RUN(int8_t, double);
        return;
    case FER_I32:
        LOAD_RUN(int32_t, double);
        return;
    case FER_I64:
        LOAD_RUN(int64_t, double);
        return;
    case FER_U64:
        LOAD_RUN(uint64_t, double);
        return;
    default:
        break;
    }
    if (feri_dtype_class(dtype) == FERI_CLASS_FLOAT) {
        load_small_run(dtype, data, index, count, out);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        out[i] = (double)feri_load_i64(dtype, data, index + i);
    }
}

static void store_small(fer_dtype dtype,
                        void *data,
                        uint64_t index,
                        uint64_t count,
                        const double *values,
                        int32_t saturate) {
    uint32_t bits = fer_dtype_bits(dtype);
    const feri_small_float *format = feri_small_float_of(dtype);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t code = dtype == FER_F8E8M0 ? feri_e8m0_encode(values[i], saturate)
                                            : feri_small_float_encode(format, values[i], saturate);
        store_code(data, index + i, bits, code);
    }
}

void feri_store_run_f64(fer_dtype dtype,
                        void *data,
                        uint64_t index,
                        uint64_t count,
                        const double *values,
                        int32_t saturate) {
    switch (dtype) {
    case FER_F32:
        STORE_RUN(float, values[i]);
        return;
    case FER_F64:
        if (count) {
            memcpy((uint8_t *)data + index * 8, values, count * 8);
        }
        return;
    case FER_U8:
        STORE_RUN(uint8_t, to_i64(values[i]));
        return;
    case FER_U64:
        STORE_RUN(uint64_t, to_u64(values[i]));
        return;
    case FER_BOOL:
        STORE_RUN(uint8_t, values[i] != 0);
        return;
    default:
        break;
    }
    if (feri_dtype_class(dtype) == FERI_CLASS_FLOAT) {
        store_small(dtype, data, index, count, values, saturate);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        int64_t value = to_i64(values[i]);
        feri_store_run_i64(dtype, data, index + i, 1, &value);
    }
}

int64_t feri_load_i64(fer_dtype dtype, const void *data, uint64_t index) {
    int64_t value;
    feri_load_run_i64(dtype, data, index, 1, &value);
    return value;
}

double feri_load_f64(fer_dtype dtype, const void *data, uint64_t index) {
    double value;
    feri_load_run_f64(dtype, data, index, 1, &value);
    return value;
}
