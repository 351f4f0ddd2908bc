/* SPDX-License-Identifier: Apache-2.0
 *
 * One element of any dtype as a double, and back: what fills, comparing and summaries need. Small
 * floats come from one table of formats. Data may be unaligned.
 */
#include "command.h"

#include <math.h>
#include <string.h>

enum { HAS_INFINITY = 1, NO_NEGATIVE_ZERO = 2 };
static const struct float_format {
    fer_dtype dtype;
    int32_t exponent_bits;
    int32_t mantissa_bits;
    int32_t bias;
    int32_t flags;
} formats[] = {
    {FER_F16,        5, 10, 15,  HAS_INFINITY    },
    {FER_BF16,       8, 7,  127, HAS_INFINITY    },
    {FER_F8E4M3FN,   4, 3,  7,   0               },
    {FER_F8E4M3FNUZ, 4, 3,  8,   NO_NEGATIVE_ZERO},
    {FER_F8E5M2,     5, 2,  15,  HAS_INFINITY    },
    {FER_F8E5M2FNUZ, 5, 2,  16,  NO_NEGATIVE_ZERO},
    {FER_F4E2M1,     2, 1,  1,   0               },
};

static const struct float_format *format_of(fer_dtype dtype) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (formats[i].dtype == dtype) {
            return &formats[i];
        }
    }
    return NULL;
}

int dtype_is_float(fer_dtype dtype) {
    return dtype == FER_F32 || dtype == FER_F64 || dtype == FER_C64 || dtype == FER_C128 ||
           dtype == FER_F8E8M0 || format_of(dtype) != NULL;
}

/* The raw bits of an element of up to 16 bits. */
static uint32_t bits_get(const void *data, uint64_t index, uint32_t width) {
    const uint8_t *bytes = data;
    if (width == 16) {
        uint16_t bits;
        memcpy(&bits, bytes + 2 * index, sizeof bits);
        return bits;
    }
    uint32_t per_byte = 8 / width;
    uint32_t shift = (uint32_t)(index % per_byte) * width;
    return ((uint32_t)bytes[index / per_byte] >> shift) & ((1u << width) - 1);
}

static void bits_set(void *data, uint64_t index, uint32_t width, uint32_t bits) {
    uint8_t *bytes = data;
    if (width == 16) {
        uint16_t half = (uint16_t)bits;
        memcpy(bytes + 2 * index, &half, sizeof half);
        return;
    }
    uint32_t per_byte = 8 / width;
    uint32_t shift = (uint32_t)(index % per_byte) * width;
    uint32_t mask = ((1u << width) - 1) << shift;
    bytes[index / per_byte] =
        (uint8_t)((bytes[index / per_byte] & ~mask) | ((bits << shift) & mask));
}

static double format_decode(const struct float_format *format, uint32_t bits) {
    uint32_t mantissa = bits & ((1u << format->mantissa_bits) - 1);
    uint32_t top = (1u << format->exponent_bits) - 1;
    uint32_t exponent = (bits >> format->mantissa_bits) & top;
    uint32_t sign = (bits >> (format->mantissa_bits + format->exponent_bits)) & 1;
    if ((format->flags & NO_NEGATIVE_ZERO) != 0 && sign && exponent == 0 && mantissa == 0) {
        return NAN;
    }
    if ((format->flags & HAS_INFINITY) != 0 && exponent == top) {
        return mantissa != 0 ? NAN : sign ? -INFINITY : INFINITY;
    }
    if (format->dtype == FER_F8E4M3FN && exponent == top && mantissa == 7) {
        return NAN;
    }
    double value = exponent == 0 ? ldexp(mantissa, 1 - format->bias - format->mantissa_bits)
                                 : ldexp(mantissa + (double)(1u << format->mantissa_bits),
                                         (int)exponent - format->bias - format->mantissa_bits);
    return sign ? -value : value;
}

/* Nearest representable value by halving the code range: codes of one sign are ordered. */
static uint32_t format_encode(const struct float_format *format, double value) {
    uint32_t half = 1u << (format->mantissa_bits + format->exponent_bits);
    uint32_t sign = value < 0 || (value == 0 && signbit(value)) ? half : 0;
    double magnitude = fabs(value);
    uint32_t low = 0, high = half - 1;
    uint32_t infinite = ((1u << format->exponent_bits) - 1) << format->mantissa_bits;
    int has_infinity = (format->flags & HAS_INFINITY) != 0;
    if (isnan(value)) {
        return has_infinity ? infinite | 1u << (format->mantissa_bits - 1)
               : (format->flags & NO_NEGATIVE_ZERO) != 0 ? half
                                                         : half - 1;
    }
    if (has_infinity) {
        high = infinite - 1; /* all of the last exponent is infinite or NaN */
        double most = format_decode(format, high),
               next = 2 * most - format_decode(format, high - 1);
        if (magnitude >= (most + next) / 2) {
            return sign | infinite;
        }
    }
    while (high > 0 && !isfinite(format_decode(format, high))) {
        high--;
    }
    while (low < high) {
        uint32_t middle = (low + high + 1) / 2;
        if (format_decode(format, middle) <= magnitude) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    double below = format_decode(format, low), above = format_decode(format, low + 1);
    if (isfinite(above) && low + 1 < half &&
        (magnitude - below > above - magnitude ||
         (magnitude - below == above - magnitude && (low & 1) != 0))) {
        low++;
    }
    return low == 0 && (format->flags & NO_NEGATIVE_ZERO) != 0 ? 0 : sign | low;
}

#define LOAD(type)                                                                                 \
    do {                                                                                           \
        type loaded;                                                                               \
        memcpy(&loaded, (const char *)data + index * sizeof loaded, sizeof loaded);                \
        return (double)loaded;                                                                     \
    } while (0)

double element_get(fer_dtype dtype, const void *data, uint64_t index) {
    switch (dtype) {
    case FER_F32:
        LOAD(float);
    case FER_F64:
        LOAD(double);
    case FER_U8:
    case FER_BOOL:
        LOAD(uint8_t);
    case FER_I8:
        LOAD(int8_t);
    case FER_U16:
        LOAD(uint16_t);
    case FER_I16:
        LOAD(int16_t);
    case FER_U32:
        LOAD(uint32_t);
    case FER_I32:
        LOAD(int32_t);
    case FER_U64:
        LOAD(uint64_t);
    case FER_I64:
        LOAD(int64_t);
    case FER_C64:
        index *= 2;
        LOAD(float);
    case FER_C128:
        index *= 2;
        LOAD(double);
    default:
        break;
    }
    uint32_t width = fer_dtype_bits(dtype);
    if (width == 0 || width > 16) {
        return 0;
    }
    uint32_t bits = bits_get(data, index, width);
    if (dtype == FER_F8E8M0) {
        return bits == 255 ? NAN : ldexp(1, (int)bits - 127);
    }
    const struct float_format *format = format_of(dtype);
    if (format != NULL) {
        return format_decode(format, bits);
    }
    if (dtype == FER_I4 || dtype == FER_I2) {
        return bits >> (width - 1) ? (double)bits - (double)(1u << width) : (double)bits;
    }
    return bits;
}

double element_imaginary(fer_dtype dtype, const void *data, uint64_t index) {
    if (dtype == FER_C64) {
        return element_get(FER_F32, data, 2 * index + 1);
    }
    return dtype == FER_C128 ? element_get(FER_F64, data, 2 * index + 1) : 0;
}

#define STORE(type)                                                                                \
    do {                                                                                           \
        type stored = (type)value;                                                                 \
        memcpy((char *)data + index * sizeof stored, &stored, sizeof stored);                      \
        return;                                                                                    \
    } while (0)

/* Integers: a value outside the dtype's range is clamped, because the conversion would be undefined
 * otherwise. */
static double clamp_to(fer_dtype dtype, double value) {
    uint32_t width = fer_dtype_bits(dtype);
    int is_signed = dtype == FER_I8 || dtype == FER_I16 || dtype == FER_I32 || dtype == FER_I64 ||
                    dtype == FER_I4 || dtype == FER_I2;
    if (dtype == FER_BOOL) {
        return value != 0;
    }
    double most = ldexp(1, (int)width - is_signed), least = is_signed ? -most : 0;
    if (!(value > least)) {
        return value == value ? least : 0;
    }
    return value >= most ? nextafter(most, 0) : value;
}

void element_set(fer_dtype dtype, void *data, uint64_t index, double value) {
    switch (dtype) {
    case FER_F32:
        STORE(float);
    case FER_F64:
        STORE(double);
    case FER_C64:
        element_set(FER_F32, data, 2 * index, value);
        element_set(FER_F32, data, 2 * index + 1, 0);
        return;
    case FER_C128:
        element_set(FER_F64, data, 2 * index, value);
        element_set(FER_F64, data, 2 * index + 1, 0);
        return;
    default:
        break;
    }
    const struct float_format *format = format_of(dtype);
    uint32_t width = fer_dtype_bits(dtype);
    if (format != NULL) {
        bits_set(data, index, width, format_encode(format, value));
        return;
    }
    if (dtype == FER_F8E8M0) {
        double exponent = value > 0 ? round(log2(value)) + 127 : isnan(value) ? 255 : 0;
        bits_set(data,
                 index,
                 width,
                 (uint32_t)(exponent < 0     ? 0
                            : exponent > 254 && !isnan(value) ? 254
                                             : exponent));
        return;
    }
    value = clamp_to(dtype, value);
    switch (dtype) {
    case FER_U8:
    case FER_BOOL:
        STORE(uint8_t);
    case FER_I8:
        STORE(int8_t);
    case FER_U16:
        STORE(uint16_t);
    case FER_I16:
        STORE(int16_t);
    case FER_U32:
        STORE(uint32_t);
    case FER_I32:
        STORE(int32_t);
    case FER_U64:
        STORE(uint64_t);
    case FER_I64:
        STORE(int64_t);
    default:
        break;
    }
    if (width != 0 && width < 8) {
        bits_set(data, index, width, (uint32_t)(int32_t)value);
    }
}
