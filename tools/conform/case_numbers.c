/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays of long double that oracles compute with, and elements of every dtype as such numbers: 64
 * bits of mantissa hold any integer of 64 bits and any float that a tensor can hold.
 */
#include "case.h"
#include "command.h"

#include <math.h>
#include <string.h>

uint64_t dims_count(uint32_t rank, const int64_t *dims) {
    uint64_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        count *= (uint64_t)dims[i];
    }
    return count;
}

void nd_make(const trial *self, nd *out, uint32_t rank, const int64_t *dims) {
    *out = (nd){.rank = rank, .count = dims_count(rank, dims)};
    for (uint32_t i = 0; i < rank; i++) {
        out->dims[i] = dims[i];
    }
    out->v = trial_memory(self, (2 * out->count + 1) * sizeof *out->v);
}

void nd_slack(const trial *self, nd *out) {
    out->slack = trial_memory(self, (2 * out->count + 1) * sizeof *out->slack);
}

void nd_like(const trial *self, nd *out, const nd *like) {
    nd_make(self, out, like->rank, like->dims);
}

void nd_group(const trial *self, nd *out, int32_t kind, uint32_t count) {
    *out = (nd){.kind = kind, .item_count = count};
    out->v = trial_memory(self, sizeof *out->v); /* it is known */
    out->items = trial_memory(self, (count + 1) * sizeof *out->items);
}

int index_next(uint32_t rank, const int64_t *dims, int64_t *index) {
    for (uint32_t i = rank; i-- > 0;) {
        if (++index[i] < dims[i]) {
            return 1;
        }
        index[i] = 0;
    }
    return 0;
}

uint64_t index_flat(uint32_t rank, const int64_t *dims, const int64_t *index) {
    uint64_t flat = 0;
    for (uint32_t i = 0; i < rank; i++) {
        flat = flat * (uint64_t)dims[i] + (uint64_t)index[i];
    }
    return flat;
}

uint64_t index_broadcast(uint32_t rank, const int64_t *index, const nd *operand) {
    uint64_t flat = 0;
    for (uint32_t i = 0; i < operand->rank; i++) {
        int64_t at = operand->dims[i] == 1 ? 0 : index[rank - operand->rank + i];
        flat = flat * (uint64_t)operand->dims[i] + (uint64_t)at;
    }
    return flat;
}

int dims_broadcast(const nd *const *operands,
                   uint32_t count,
                   uint32_t *out_rank,
                   int64_t *out_dims) {
    uint32_t rank = 0;
    for (uint32_t k = 0; k < count; k++) {
        rank = operands[k]->rank > rank ? operands[k]->rank : rank;
    }
    for (uint32_t i = 0; i < rank; i++) {
        out_dims[i] = 1;
        for (uint32_t k = 0; k < count; k++) {
            uint32_t missing = rank - operands[k]->rank;
            int64_t dim = i < missing ? 1 : operands[k]->dims[i - missing];
            if (dim != 1 && out_dims[i] != 1 && out_dims[i] != dim) {
                return 0;
            }
            out_dims[i] = dim != 1 ? dim : out_dims[i];
        }
    }
    *out_rank = rank;
    return 1;
}

long double number_get(fer_dtype dtype, const void *data, uint64_t index) {
    if (dtype == FER_I64) {
        int64_t value;
        memcpy(&value, (const char *)data + 8 * index, 8);
        return value;
    }
    if (dtype == FER_U64) {
        uint64_t value;
        memcpy(&value, (const char *)data + 8 * index, 8);
        return value;
    }
    return element_get(dtype, data, index);
}

void number_set(fer_dtype dtype, void *data, uint64_t index, long double value) {
    if (dtype == FER_I64) {
        int64_t stored = value >= 0x1p63L    ? INT64_MAX
                         : value <= -0x1p63L ? INT64_MIN
                                             : (int64_t)value;
        memcpy((char *)data + 8 * index, &stored, 8);
    } else if (dtype == FER_U64) {
        uint64_t stored = value >= 0x1p64L ? UINT64_MAX : value <= 0 ? 0 : (uint64_t)value;
        memcpy((char *)data + 8 * index, &stored, 8);
    } else {
        element_set(dtype, data, index, (double)value);
    }
}

fer_dtype dtype_part(fer_dtype dtype, uint64_t *out_parts) {
    *out_parts = dtype == FER_C64 || dtype == FER_C128 ? 2 : 1;
    return dtype == FER_C64 ? FER_F32 : dtype == FER_C128 ? FER_F64 : dtype;
}

int dtype_is_signed(fer_dtype dtype) {
    return dtype == FER_I8 || dtype == FER_I16 || dtype == FER_I32 || dtype == FER_I64 ||
           dtype == FER_I4 || dtype == FER_I2;
}

int dtype_is_integer(fer_dtype dtype) {
    return dtype_is_signed(dtype) || dtype == FER_U8 || dtype == FER_U16 || dtype == FER_U32 ||
           dtype == FER_U64 || dtype == FER_U4 || dtype == FER_U2;
}

static const struct {
    fer_dtype dtype;
    int32_t precision; /* bits with the hidden one */
    int32_t least;     /* exponent of the smallest normal number */
    long double most;
} steps[] = {
    {FER_F32,        24, -126,  0x1.fffffep127L        },
    {FER_C64,        24, -126,  0x1.fffffep127L        },
    {FER_F64,        53, -1022, 0x1.fffffffffffffp1023L},
    {FER_C128,       53, -1022, 0x1.fffffffffffffp1023L},
    {FER_F16,        11, -14,   65504                  },
    {FER_BF16,       8,  -126,  0x1.fep127L            },
    {FER_F8E4M3FN,   4,  -6,    448                    },
    {FER_F8E4M3FNUZ, 4,  -7,    240                    },
    {FER_F8E5M2,     3,  -14,   57344                  },
    {FER_F8E5M2FNUZ, 3,  -15,   57344                  },
    {FER_F4E2M1,     2,  0,     6                      },
    {FER_F8E8M0,     1,  -127,  0x1p127L               },
};

long double dtype_ulp(fer_dtype dtype, long double value) {
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i].dtype == dtype) {
            int exponent = steps[i].least;
            if (value != 0 && isfinite(value)) {
                int found = ilogbl(value);
                exponent = found > exponent ? found : exponent;
            }
            return ldexpl(1, exponent - steps[i].precision + 1);
        }
    }
    return 0;
}

long double dtype_unit(fer_dtype dtype) { return dtype_ulp(dtype, 1) / 2; }

long double dtype_most(fer_dtype dtype) {
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i].dtype == dtype) {
            return steps[i].most;
        }
    }
    uint32_t bits = fer_dtype_bits(dtype);
    return dtype == FER_BOOL ? 1 : ldexpl(1, (int)bits - dtype_is_signed(dtype)) - 1;
}

long double wrap_to(fer_dtype dtype, wide_int value) {
    uint32_t bits = fer_dtype_bits(dtype);
    wide_int size = (wide_int)1 << bits;
    wide_int rest = value % size;
    rest += rest < 0 ? size : 0;
    if (dtype_is_signed(dtype) && rest >= size / 2) {
        rest -= size;
    }
    return (long double)rest;
}
