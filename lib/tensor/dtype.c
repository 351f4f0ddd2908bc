/* SPDX-License-Identifier: Apache-2.0
 *
 * The facts about dtypes: name, bits, class. One table that the rest of the tree asks. Conversions
 * are in convert.c.
 */
#include "tensor/dtype.h"

#include <string.h>

static const struct {
    char name[13];
    uint8_t bits;
    uint8_t class;
} facts[FER_DTYPE_COUNT] = {
    [FER_DTYPE_NONE] = {"?",          0,   FERI_CLASS_NONE    },
    [FER_F32] = {"f32",        32,  FERI_CLASS_FLOAT   },
    [FER_U8] = {"u8",         8,   FERI_CLASS_UNSIGNED},
    [FER_I8] = {"i8",         8,   FERI_CLASS_SIGNED  },
    [FER_U16] = {"u16",        16,  FERI_CLASS_UNSIGNED},
    [FER_I16] = {"i16",        16,  FERI_CLASS_SIGNED  },
    [FER_I32] = {"i32",        32,  FERI_CLASS_SIGNED  },
    [FER_I64] = {"i64",        64,  FERI_CLASS_SIGNED  },
    [FER_STRING] = {"str",        0,   FERI_CLASS_STRING  },
    [FER_BOOL] = {"bool",       8,   FERI_CLASS_BOOL    },
    [FER_F16] = {"f16",        16,  FERI_CLASS_FLOAT   },
    [FER_F64] = {"f64",        64,  FERI_CLASS_FLOAT   },
    [FER_U32] = {"u32",        32,  FERI_CLASS_UNSIGNED},
    [FER_U64] = {"u64",        64,  FERI_CLASS_UNSIGNED},
    [FER_C64] = {"c64",        64,  FERI_CLASS_COMPLEX },
    [FER_C128] = {"c128",       128, FERI_CLASS_COMPLEX },
    [FER_BF16] = {"bf16",       16,  FERI_CLASS_FLOAT   },
    [FER_F8E4M3FN] = {"f8e4m3fn",   8,   FERI_CLASS_FLOAT   },
    [FER_F8E4M3FNUZ] = {"f8e4m3fnuz", 8,   FERI_CLASS_FLOAT   },
    [FER_F8E5M2] = {"f8e5m2",     8,   FERI_CLASS_FLOAT   },
    [FER_F8E5M2FNUZ] = {"f8e5m2fnuz", 8,   FERI_CLASS_FLOAT   },
    [FER_U4] = {"u4",         4,   FERI_CLASS_UNSIGNED},
    [FER_I4] = {"i4",         4,   FERI_CLASS_SIGNED  },
    [FER_F4E2M1] = {"f4e2m1",     4,   FERI_CLASS_FLOAT   },
    [FER_F8E8M0] = {"f8e8m0",     8,   FERI_CLASS_FLOAT   },
    [FER_U2] = {"u2",         2,   FERI_CLASS_UNSIGNED},
    [FER_I2] = {"i2",         2,   FERI_CLASS_SIGNED  },
};

int feri_dtype_is_valid(fer_dtype dtype) {
    return dtype > FER_DTYPE_NONE && dtype < FER_DTYPE_COUNT;
}

const char *fer_dtype_name(fer_dtype dtype) {
    return facts[feri_dtype_is_valid(dtype) ? dtype : FER_DTYPE_NONE].name;
}

fer_dtype fer_dtype_from_name(const char *name) {
    for (fer_dtype dtype = 1; name && dtype < FER_DTYPE_COUNT; dtype++) {
        if (strcmp(name, facts[dtype].name) == 0) {
            return dtype;
        }
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
