/* SPDX-License-Identifier: Apache-2.0
 *
 * The facts about dtypes: name, bits, class. One table that the rest of the tree asks. Conversions
 * are in convert.c.
 */
#include "tensor/dtype.h"

#include <string.h>

/* In the order of their numbers. */
/* clang-format off */
#define DTYPES(X)                                  \
    X(FER_DTYPE_NONE, "?",            0, NONE)     \
    X(FER_F32,        "f32",         32, FLOAT)    \
    X(FER_U8,         "u8",           8, UNSIGNED) \
    X(FER_I8,         "i8",           8, SIGNED)   \
    X(FER_U16,        "u16",         16, UNSIGNED) \
    X(FER_I16,        "i16",         16, SIGNED)   \
    X(FER_I32,        "i32",         32, SIGNED)   \
    X(FER_I64,        "i64",         64, SIGNED)   \
    X(FER_STRING,     "str",          0, STRING)   \
    X(FER_BOOL,       "bool",         8, BOOL)     \
    X(FER_F16,        "f16",         16, FLOAT)    \
    X(FER_F64,        "f64",         64, FLOAT)    \
    X(FER_U32,        "u32",         32, UNSIGNED) \
    X(FER_U64,        "u64",         64, UNSIGNED) \
    X(FER_C64,        "c64",         64, COMPLEX)  \
    X(FER_C128,       "c128",       128, COMPLEX)  \
    X(FER_BF16,       "bf16",        16, FLOAT)    \
    X(FER_F8E4M3FN,   "f8e4m3fn",     8, FLOAT)    \
    X(FER_F8E4M3FNUZ, "f8e4m3fnuz",   8, FLOAT)    \
    X(FER_F8E5M2,     "f8e5m2",       8, FLOAT)    \
    X(FER_F8E5M2FNUZ, "f8e5m2fnuz",   8, FLOAT)    \
    X(FER_U4,         "u4",           4, UNSIGNED) \
    X(FER_I4,         "i4",           4, SIGNED)   \
    X(FER_F4E2M1,     "f4e2m1",       4, FLOAT)    \
    X(FER_F8E8M0,     "f8e8m0",       8, FLOAT)    \
    X(FER_U2,         "u2",           2, UNSIGNED) \
    X(FER_I2,         "i2",           2, SIGNED)
/* clang-format on */

#define NAME(dtype, name, bits, class) name "\0"
static const char names[] = DTYPES(NAME);
#define FACTS(dtype, name, bits, class) {bits, FERI_CLASS_##class},
static const struct {
    uint8_t bits;
    uint8_t class;
} facts[] = {DTYPES(FACTS)};
#define PLACE(dtype, name, bits, class) PLACE_##dtype,
enum { DTYPES(PLACE) PLACE_END };
#define CHECK(dtype, name, bits, class)                                                            \
    _Static_assert((int)(dtype) == (int)PLACE_##dtype, "no gaps");
DTYPES(CHECK)
_Static_assert((int)FER_DTYPE_COUNT == (int)PLACE_END, "all");

int feri_dtype_is_valid(fer_dtype dtype) {
    return dtype > FER_DTYPE_NONE && dtype < FER_DTYPE_COUNT;
}

const char *fer_dtype_name(fer_dtype dtype) {
    const char *name = names;
    for (fer_dtype left = feri_dtype_is_valid(dtype) ? dtype : FER_DTYPE_NONE; left > 0; left--) {
        name += strlen(name) + 1;
    }
    return name;
}

fer_dtype fer_dtype_from_name(const char *name) {
    const char *at = names;
    for (fer_dtype dtype = FER_DTYPE_NONE; name && dtype < FER_DTYPE_COUNT; dtype++) {
        if (strcmp(name, at) == 0) {
            return dtype;
        }
        at += strlen(at) + 1;
    }
    return FER_DTYPE_NONE;
}

uint32_t fer_dtype_bits(fer_dtype dtype) {
    return feri_dtype_is_valid(dtype) ? facts[dtype].bits : 0;
}

int32_t feri_dtype_class(fer_dtype dtype) {
    return feri_dtype_is_valid(dtype) ? facts[dtype].class : FERI_CLASS_NONE;
}

uint64_t feri_dtype_bytes(fer_dtype dtype, uint64_t count) {
    uint64_t bits = fer_dtype_bits(dtype);
    if (bits < 8) {
        uint64_t per_byte = bits ? 8 / bits : 1;
        return bits ? count / per_byte + (count % per_byte != 0) : 0;
    }
    uint64_t bytes;
    return __builtin_mul_overflow(count, bits / 8, &bytes) ? UINT64_MAX : bytes;
}
