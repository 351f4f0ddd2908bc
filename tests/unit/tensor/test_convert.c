/* SPDX-License-Identifier: Apache-2.0
 *
 * Known bit patterns: ties, denormals, overflow, NaN, sub-byte packing, unaligned memory.
 */
#include "tensor/dtype.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct known {
    fer_dtype dtype;
    double value;
    uint32_t saturated;
    uint32_t plain;
} known;

static const known encodings[] = {
    {FER_F16,        1,                     0x3c00, 0x3c00},
    {FER_F16,        -2,                    0xc000, 0xc000},
    {FER_F16,        65504,                 0x7bff, 0x7bff},
    {FER_F16,        65519.99,              0x7bff, 0x7bff},
    {FER_F16,        65520,                 0x7c00, 0x7c00},
    {FER_F16,        -INFINITY,             0xfc00, 0xfc00},
    {FER_F16,        0x1p-24,               0x0001, 0x0001},
    {FER_F16,        0x1p-25,               0x0000, 0x0000},
    {FER_F16,        0x1.0000000001p-25,    0x0001, 0x0001},
    {FER_F16,        0x1.8p-24,             0x0002, 0x0002},
    {FER_F16,        0x1.ffcp-15,           0x0400, 0x0400},
 /* f32 in between would round this to the tie and then down to even */
    {FER_F16,        1 + 0x1p-11 + 0x1p-40, 0x3c01, 0x3c01},
    {FER_F16,        1 + 0x1p-11,           0x3c00, 0x3c00},
    {FER_F16,        1 + 0x3p-11,           0x3c02, 0x3c02},
    {FER_F16,        5e-324,                0,      0     },
    {FER_F16,        -0.0,                  0x8000, 0x8000},
    {FER_F16,        NAN,                   0x7e00, 0x7e00},
    {FER_BF16,       1,                     0x3f80, 0x3f80},
    {FER_BF16,       1 + 0x1p-8 + 0x1p-50,  0x3f81, 0x3f81},
    {FER_BF16,       1e39,                  0x7f80, 0x7f80},
    {FER_BF16,       0x1p-133,              0x0001, 0x0001},
    {FER_BF16,       NAN,                   0x7fc0, 0x7fc0},
    {FER_F8E4M3FN,   448,                   0x7e,   0x7e  },
    {FER_F8E4M3FN,   464,                   0x7e,   0x7e  },
    {FER_F8E4M3FN,   465,                   0x7e,   0x7f  },
    {FER_F8E4M3FN,   -INFINITY,             0xfe,   0xff  },
    {FER_F8E4M3FN,   0x1p-9,                0x01,   0x01  },
    {FER_F8E4M3FN,   0x1p-10,               0x00,   0x00  },
    {FER_F8E4M3FN,   NAN,                   0x7f,   0x7f  },
    {FER_F8E4M3FNUZ, 240,                   0x7f,   0x7f  },
    {FER_F8E4M3FNUZ, 1e6,                   0x7f,   0x80  },
    {FER_F8E4M3FNUZ, -1e6,                  0xff,   0x80  },
    {FER_F8E4M3FNUZ, -0.0,                  0,      0     },
    {FER_F8E4M3FNUZ, -1e-9,                 0,      0     },
    {FER_F8E4M3FNUZ, NAN,                   0x80,   0x80  },
    {FER_F8E5M2,     57344,                 0x7b,   0x7b  },
    {FER_F8E5M2,     61440,                 0x7b,   0x7c  },
    {FER_F8E5M2,     INFINITY,              0x7b,   0x7c  },
    {FER_F8E5M2FNUZ, INFINITY,              0x7f,   0x80  },
    {FER_F8E5M2FNUZ, 0x1p-17,               0x01,   0x01  },
    {FER_F8E8M0,     1,                     0x7f,   0x7f  },
    {FER_F8E8M0,     1.5,                   0x80,   0x80  },
    {FER_F8E8M0,     1.49,                  0x7f,   0x7f  },
    {FER_F8E8M0,     0,                     0,      0xff  },
    {FER_F8E8M0,     1e300,                 0xfe,   0xff  },
    {FER_F8E8M0,     -1,                    0xff,   0xff  },
    {FER_F4E2M1,     0.25,                  0,      0     },
    {FER_F4E2M1,     0.75,                  2,      2     },
    {FER_F4E2M1,     5,                     6,      6     },
    {FER_F4E2M1,     -1e9,                  15,     15    },
    {FER_F4E2M1,     NAN,                   8,      8     },
};

static void encode(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++) {
        const known *row = &encodings[i];
        for (int saturate = 0; saturate < 2; saturate++) {
            uint8_t memory[4] = {0, 0, 0, 0};
            feri_store_run_f64(row->dtype, memory, 0, 1, &row->value, saturate);
            uint32_t code = memory[0] | (uint32_t)memory[1] << 8;
            if (code != (saturate ? row->saturated : row->plain)) {
                fail_msg("%s of %a, saturate %d: 0x%x",
                         fer_dtype_name(row->dtype),
                         row->value,
                         saturate,
                         code);
            }
        }
    }
}

/* Every code of the 16-bit and smaller floats survives decoding and encoding. */
static void round_trips(void **state) {
    (void)state;
    static const fer_dtype dtypes[] = {FER_F16,
                                       FER_BF16,
                                       FER_F8E4M3FN,
                                       FER_F8E4M3FNUZ,
                                       FER_F8E5M2,
                                       FER_F8E5M2FNUZ,
                                       FER_F8E8M0,
                                       FER_F4E2M1};
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        uint32_t bits = fer_dtype_bits(dtypes[d]);
        for (uint32_t code = 0; code < 1u << bits; code++) {
            uint8_t memory[5] = {0, (uint8_t)code, (uint8_t)(code >> 8), 0, 0};
            double value = feri_load_f64(dtypes[d], memory + 1, 0);
            uint8_t back[5] = {0};
            feri_store_run_f64(dtypes[d], back + 1, 0, 1, &value, 0);
            if (!isnan(value) && memcmp(memory, back, 5) != 0) {
                fail_msg("%s 0x%x is %a", fer_dtype_name(dtypes[d]), code, value);
            }
        }
    }
    assert_true(feri_f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(isinf(feri_f16_to_f32(0xfc00)) && isnan(feri_f16_to_f32(0x7e01)));
    assert_true(feri_bf16_to_f32(0x4049) == 3.140625f);
}

static void integers(void **state) {
    (void)state;
    uint8_t memory[128] = {0};
    const int64_t values[5] = {-1, 7, -8, 300, INT64_MIN};
    int64_t out[5];
    static const struct {
        fer_dtype dtype;
        int64_t out[5];
    } rows[] = {
        {FER_I8,   {-1, 7, -8, 44, 0}                     },
        {FER_U8,   {255, 7, 248, 44, 0}                   },
        {FER_I16,  {-1, 7, -8, 300, 0}                    },
        {FER_U32,  {UINT32_MAX, 7, UINT32_MAX - 7, 300, 0}},
        {FER_U64,  {-1, 7, -8, 300, INT64_MIN}            },
        {FER_I4,   {-1, 7, -8, -4, 0}                     },
        {FER_U4,   {15, 7, 8, 12, 0}                      },
        {FER_I2,   {-1, -1, 0, 0, 0}                      },
        {FER_U2,   {3, 3, 0, 0, 0}                        },
        {FER_BOOL, {1, 1, 1, 1, 1}                        },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(memory, 0x55, sizeof memory);
        feri_store_run_i64(rows[i].dtype, memory + 1, 3, 5, values);
        feri_load_run_i64(rows[i].dtype, memory + 1, 3, 5, out);
        for (int j = 0; j < 5; j++) {
            if (out[j] != rows[i].out[j]) {
                fail_msg("%s[%d] is %lld", fer_dtype_name(rows[i].dtype), j, (long long)out[j]);
            }
        }
        assert_int_equal(memory[0], 0x55);
    }
    /* first element in the low bits, neighbours untouched */
    memory[0] = 0xff;
    int64_t five = 5;
    feri_store_run_i64(FER_U4, memory, 0, 1, &five);
    assert_int_equal(memory[0], 0xf5);
    feri_store_run_i64(FER_U2, memory, 3, 1, &five);
    assert_int_equal(memory[0], 0x75);
}

static void mixed_classes(void **state) {
    (void)state;
    uint8_t memory[16] = {0};
    const double wild[] = {NAN, INFINITY, -INFINITY, 1e300, -2.7};
    for (size_t i = 0; i < 5; i++) {
        for (fer_dtype dtype = 1; dtype < FER_DTYPE_COUNT; dtype++) {
            feri_store_run_f64(dtype, memory, 0, 1, &wild[i], 1);
            (void)feri_load_i64(dtype, memory, 0);
        }
    }
    feri_store_run_f64(FER_I32, memory, 0, 1, &wild[4], 0);
    assert_int_equal(feri_load_i64(FER_I32, memory, 0), -2);
    double big = 0x1.8p63;
    feri_store_run_f64(FER_U64, memory, 0, 1, &big, 0);
    assert_true(feri_load_f64(FER_U64, memory, 0) == big);
    float value = 0.1f;
    memcpy(memory + 1, &value, 4);
    assert_true(feri_load_f64(FER_F32, memory + 1, 0) == (double)0.1f);
}

static void facts(void **state) {
    (void)state;
    for (fer_dtype dtype = 1; dtype < FER_DTYPE_COUNT; dtype++) {
        assert_int_equal(fer_dtype_from_name(fer_dtype_name(dtype)), dtype);
        assert_true(feri_dtype_class(dtype) != FERI_CLASS_NONE);
    }
    assert_int_equal(fer_dtype_from_name("?"), FER_DTYPE_NONE);
    assert_string_equal(fer_dtype_name(99), "?");
    assert_int_equal(feri_dtype_bytes(FER_I4, 5), 3);
    assert_int_equal(feri_dtype_bytes(FER_U2, 5), 2);
    assert_int_equal(feri_dtype_bytes(FER_C128, 3), 48);
    assert_true(feri_dtype_bytes(FER_F64, UINT64_MAX / 4) == UINT64_MAX);
    assert_int_equal(feri_dtype_bytes(FER_STRING, 9), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(encode),
                                       cmocka_unit_test(round_trips),
                                       cmocka_unit_test(integers),
                                       cmocka_unit_test(mixed_classes),
                                       cmocka_unit_test(facts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
