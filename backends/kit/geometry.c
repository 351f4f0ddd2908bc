/* SPDX-License-Identifier: Apache-2.0
 *
 * Shape arithmetic for backends: see geometry.h. Owns nothing, allocates nothing.
 */
#include "kit/geometry.h"

#include <string.h>

/* Bits and class per dtype number, in the order of ferrule.h. */
static const struct {
    uint8_t bits;
    uint8_t kind;
} dtypes[FER_DTYPE_COUNT] = {
    [FER_F32] = {32,  FERI_KIT_FLOAT   },
      [FER_U8] = {8,   FERI_KIT_UNSIGNED},
    [FER_I8] = {8,   FERI_KIT_SIGNED  },
      [FER_U16] = {16,  FERI_KIT_UNSIGNED},
    [FER_I16] = {16,  FERI_KIT_SIGNED  },
      [FER_I32] = {32,  FERI_KIT_SIGNED  },
    [FER_I64] = {64,  FERI_KIT_SIGNED  },
      [FER_BOOL] = {8,   FERI_KIT_BOOL    },
    [FER_F16] = {16,  FERI_KIT_FLOAT   },
      [FER_F64] = {64,  FERI_KIT_FLOAT   },
    [FER_U32] = {32,  FERI_KIT_UNSIGNED},
      [FER_U64] = {64,  FERI_KIT_UNSIGNED},
    [FER_C64] = {64,  FERI_KIT_COMPLEX },
      [FER_C128] = {128, FERI_KIT_COMPLEX },
    [FER_BF16] = {16,  FERI_KIT_FLOAT   },
      [FER_F8E4M3FN] = {8,   FERI_KIT_FLOAT   },
    [FER_F8E4M3FNUZ] = {8,   FERI_KIT_FLOAT   },
      [FER_F8E5M2] = {8,   FERI_KIT_FLOAT   },
    [FER_F8E5M2FNUZ] = {8,   FERI_KIT_FLOAT   },
      [FER_U4] = {4,   FERI_KIT_UNSIGNED},
    [FER_I4] = {4,   FERI_KIT_SIGNED  },
      [FER_F4E2M1] = {4,   FERI_KIT_FLOAT   },
    [FER_F8E8M0] = {8,   FERI_KIT_FLOAT   },
      [FER_U2] = {2,   FERI_KIT_UNSIGNED},
    [FER_I2] = {2,   FERI_KIT_SIGNED  },
};

uint32_t feri_kit_bits(fer_dtype dtype) {
    return dtype > 0 && dtype < FER_DTYPE_COUNT ? dtypes[dtype].bits : 0;
}

uint32_t feri_kit_class(fer_dtype dtype) {
    return dtype > 0 && dtype < FER_DTYPE_COUNT ? dtypes[dtype].kind : (uint32_t)FERI_KIT_NONE;
}

uint64_t feri_kit_bytes(fer_dtype dtype, uint64_t count) {
    uint64_t bits;
    if (__builtin_mul_overflow(count, (uint64_t)feri_kit_bits(dtype), &bits) ||
        bits > UINT64_MAX - 7) {
        return UINT64_MAX;
    }
    return (bits + 7) / 8;
}

int feri_kit_count(uint32_t rank, const int64_t *dims, uint64_t *out_count) {
    int64_t count = 1;
    int is_zero = 0;
    int overflows = 0;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 0) {
            return 0;
        }
        is_zero |= dims[i] == 0;
        /* A zero anywhere makes the product 0, however large the rest is. */
        overflows |= dims[i] > 0 && __builtin_mul_overflow(count, dims[i], &count);
    }
    *out_count = is_zero ? 0 : (uint64_t)count;
    return is_zero || !overflows;
}

int feri_kit_resolve_dims(const fer_value_view *value,
                          const int64_t *dim_values,
                          uint32_t dim_count,
                          int64_t *out_dims,
                          uint64_t *out_count) {
    if (value->rank > FER_MAX_RANK) {
        return 0;
    }
    for (uint32_t i = 0; i < value->rank; i++) {
        const fer_dim *dim = &value->dims[i];
        int64_t number = dim->value;
        if (number < 0) {
            if (dim->slot >= dim_count || !dim_values) {
                return 0;
            }
            number = dim_values[dim->slot];
            if (number < dim->min || number > dim->max) {
                return 0;
            }
        }
        out_dims[i] = number;
    }
    return feri_kit_count(value->rank, out_dims, out_count);
}

int feri_kit_axis(int64_t axis, uint32_t rank, uint32_t *out_axis) {
    if (axis < -(int64_t)rank || axis >= (int64_t)rank) {
        return 0;
    }
    *out_axis = (uint32_t)(axis < 0 ? axis + (int64_t)rank : axis);
    return 1;
}

void feri_kit_strides(uint32_t rank, const int64_t *dims, int64_t *out_strides) {
    uint64_t stride = 1; /* unsigned: wraps harmlessly where a dim of 0 hides a huge one */
    for (uint32_t i = rank; i-- > 0;) {
        out_strides[i] = (int64_t)stride;
        stride *= (uint64_t)dims[i];
    }
}

int64_t feri_kit_span(const int64_t *dims, uint32_t begin, uint32_t end) {
    uint64_t product = 1;
    for (uint32_t i = begin; i < end; i++) {
        product *= (uint64_t)dims[i];
    }
    return (int64_t)product;
}

void feri_kit_walk_init(feri_kit_walk *walk,
                        uint32_t rank,
                        const int64_t *dims,
                        uint32_t operand_count,
                        const int64_t *const *strides) {
    memset(walk, 0, sizeof(*walk));
    walk->operand_count = operand_count;
    for (uint32_t i = 0; i < rank; i++) {
        walk->is_empty |= dims[i] == 0;
    }
    if (walk->is_empty) { /* products of the other dims may overflow: do not form them */
        return;
    }
    uint32_t used = 0; /* dims kept so far, the inner one last */
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] == 1) {
            continue;
        }
        int merges = used > 0;
        for (uint32_t k = 0; merges && k < operand_count; k++) {
            merges = walk->strides[k][used - 1] == strides[k][i] * dims[i];
        }
        uint32_t place = merges ? used - 1 : used++;
        walk->dims[place] = merges ? walk->dims[place] * dims[i] : dims[i];
        for (uint32_t k = 0; k < operand_count; k++) {
            walk->strides[k][place] = strides[k][i];
        }
    }
    walk->inner = 1;
    if (used > 0) {
        walk->inner = walk->dims[used - 1];
        for (uint32_t k = 0; k < operand_count; k++) {
            walk->step[k] = walk->strides[k][used - 1];
        }
        walk->outer_rank = used - 1;
    }
}

int feri_kit_broadcast_strides(uint32_t rank,
                               const int64_t *dims,
                               uint32_t operand_rank,
                               const int64_t *operand_dims,
                               int64_t *out_strides) {
    if (operand_rank > rank) {
        return 0;
    }
    uint64_t stride = 1;
    uint32_t skipped = rank - operand_rank;
    for (uint32_t i = rank; i-- > 0;) {
        int64_t dim = i >= skipped ? operand_dims[i - skipped] : 1;
        if (dim != dims[i] && dim != 1) {
            return 0;
        }
        out_strides[i] = dim == 1 ? 0 : (int64_t)stride;
        stride *= (uint64_t)dim;
    }
    return 1;
}

int feri_kit_walk_begin(const feri_kit_walk *walk, feri_kit_cursor *out_cursor) {
    memset(out_cursor, 0, sizeof(*out_cursor));
    return !walk->is_empty;
}

int feri_kit_walk_next(const feri_kit_walk *walk, feri_kit_cursor *cursor) {
    for (uint32_t i = walk->outer_rank; i-- > 0;) {
        if (++cursor->index[i] < walk->dims[i]) {
            for (uint32_t k = 0; k < walk->operand_count; k++) {
                cursor->offset[k] += walk->strides[k][i];
            }
            return 1;
        }
        cursor->index[i] = 0;
        for (uint32_t k = 0; k < walk->operand_count; k++) {
            cursor->offset[k] -= walk->strides[k][i] * (walk->dims[i] - 1);
        }
    }
    return 0;
}
