/* SPDX-License-Identifier: Apache-2.0
 *
 * Upgrades of element-wise ops, products, reductions, softmax, casts and quantisation.
 */
#include "base/error.h"
#include "import/upgrade.h"

#include <string.h>

/* ---- broadcasting before opset 7 ---- */

static fer_status shape_of(feri_upgrade *up, fer_value_id value, fer_value_id *out_shape) {
    return feri_up_call(up, "Shape", &value, 1, NULL, 0, out_shape);
}

/* value with count (1-D i64, one element) dims of 1 put behind its own. */
static fer_status
trail_dynamic(feri_upgrade *up, fer_value_id value, fer_value_id count, fer_value_id *out_value) {
    const int64_t one = 1;
    fer_value_id parts[2];
    fer_value_id expand[2] = {FER_NO_VALUE, count};
    fer_value_id reshape[2] = {value, FER_NO_VALUE};
    FER_TRY(feri_up_ints(up, &one, 1, /*is_scalar=*/0, &expand[0]));
    FER_TRY(shape_of(up, value, &parts[0]));
    FER_TRY(feri_up_call(up, "Expand", expand, 2, NULL, 0, &parts[1]));
    FER_TRY(feri_up_call(up, "Concat", parts, 2, "axis", 0, &reshape[1]));
    return feri_up_call(up, "Reshape", reshape, 2, NULL, 0, out_value);
}

static fer_status trail_static(
    feri_upgrade *up, fer_value_id value, int32_t rank, int32_t count, fer_value_id *out_value) {
    int64_t axes[FER_MAX_RANK];
    fer_value_id pair[2] = {value, FER_NO_VALUE};
    *out_value = value;
    if (count == 0) {
        return FER_OK;
    }
    if (count < 0 || rank + count > FER_MAX_RANK) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s' (%s): axis does not fit the ranks of its operands",
                         up->draft->name,
                         up->draft->op);
    }
    for (int32_t a = 0; a < count; a++) {
        axes[a] = rank + a;
    }
    FER_TRY(feri_up_ints(up, axes, (uint32_t)count, /*is_scalar=*/0, &pair[1]));
    return feri_up_call(up, "Unsqueeze", pair, 2, NULL, 0, out_value);
}

/* rank of a value as a 1-D i64 value, plus constant. */
static fer_status
rank_value(feri_upgrade *up, fer_value_id value, int64_t plus, fer_value_id *out_rank) {
    fer_value_id shape = FER_NO_VALUE;
    fer_value_id add[2];
    FER_TRY(shape_of(up, value, &shape));
    FER_TRY(feri_up_call(up, "Shape", &shape, 1, NULL, 0, &add[0]));
    FER_TRY(feri_up_ints(up, &plus, 1, /*is_scalar=*/0, &add[1]));
    return feri_up_call(up, "Add", add, 2, NULL, 0, out_rank);
}

/* B lines up with A's dims from axis on: it gets rank(A) - axis - rank(B) dims behind. */
static fer_status align_at_axis(feri_upgrade *up, int64_t axis) {
    fer_value_id a = feri_up_input(up, 0);
    fer_value_id b = feri_up_input(up, 1);
    int32_t rank_a = feri_up_rank(up, a);
    int32_t rank_b = feri_up_rank(up, b);
    fer_value_id aligned = FER_NO_VALUE;
    if (a == FER_NO_VALUE || b == FER_NO_VALUE || axis < -FER_MAX_RANK || axis > FER_MAX_RANK) {
        return FER_OK; /* the check of operands tells */
    }
    if (rank_a >= 0 && rank_b >= 0) {
        int32_t at = (int32_t)(axis < 0 ? axis + rank_a : axis);
        FER_TRY(trail_static(up, b, rank_b, rank_a - at - rank_b, &aligned));
        return feri_up_set_input(up, 1, aligned);
    }
    fer_value_id ranks[2];
    fer_value_id count = FER_NO_VALUE;
    if (axis < 0) { /* rank(A) + axis is where B begins: -axis dims are left */
        const int64_t left = -axis;
        FER_TRY(feri_up_ints(up, &left, 1, /*is_scalar=*/0, &ranks[0]));
    } else {
        FER_TRY(rank_value(up, a, -axis, &ranks[0]));
    }
    FER_TRY(rank_value(up, b, 0, &ranks[1]));
    FER_TRY(feri_up_call(up, "Sub", ranks, 2, NULL, 0, &count));
    FER_TRY(trail_dynamic(up, b, count, &aligned));
    return feri_up_set_input(up, 1, aligned);
}

static fer_status broadcast_7(feri_upgrade *up) {
    int64_t broadcasts = 0;
    int64_t axis = 0;
    int has_axis = feri_up_attr(up, "axis") != NULL;
    FER_TRY(feri_up_int(up, "broadcast", 0, &broadcasts));
    FER_TRY(feri_up_int(up, "axis", 0, &axis));
    feri_up_drop(up, "broadcast");
    feri_up_drop(up, "axis");
    return broadcasts != 0 && has_axis ? align_at_axis(up, axis) : FER_OK;
}

/* The slope had one entry, or one per channel (axis 1). */
static fer_status prelu_7(feri_upgrade *up) {
    fer_value_id x = feri_up_input(up, 0);
    fer_value_id slope = feri_up_input(up, 1);
    int32_t rank = feri_up_rank(up, x);
    int32_t slope_rank = feri_up_rank(up, slope);
    fer_value_id aligned = FER_NO_VALUE;
    if (x == FER_NO_VALUE || slope == FER_NO_VALUE || slope_rank == 0 || slope_rank > 1) {
        return FER_OK;
    }
    if (rank >= 0 && slope_rank == 1) {
        FER_TRY(trail_static(up, slope, 1, rank > 2 ? rank - 2 : 0, &aligned));
        return feri_up_set_input(up, 1, aligned);
    }
    fer_value_id pair[2];
    fer_value_id count = FER_NO_VALUE;
    const int64_t zero = 0;
    FER_TRY(rank_value(up, x, -2, &pair[0]));
    FER_TRY(feri_up_ints(up, &zero, 1, /*is_scalar=*/0, &pair[1]));
    FER_TRY(feri_up_call(up, "Max", pair, 2, NULL, 0, &count));
    FER_TRY(trail_dynamic(up, slope, count, &aligned));
    return feri_up_set_input(up, 1, aligned);
}

/* ---- element-wise ---- */

static fer_status clip_11(feri_upgrade *up) {
    FER_TRY(feri_up_float_to_input(up, "min", 1));
    return feri_up_float_to_input(up, "max", 2);
}

static fer_status selu_6(feri_upgrade *up) {
    if (feri_up_attr(up, "alpha") == NULL) {
        FER_TRY(feri_up_set_float(up, "alpha", 1.6732f));
    }
    return feri_up_attr(up, "gamma") == NULL ? feri_up_set_float(up, "gamma", 1.0507f) : FER_OK;
}

/* "FLOAT" and so on, as TensorProto.DataType spells its names. */
static fer_status cast_6(feri_upgrade *up) {
    static const struct {
        const char *name;
        fer_dtype dtype;
    } names[] = {
        {"FLOAT",      FER_F32   },
        {"UINT8",      FER_U8    },
        {"INT8",       FER_I8    },
        {"UINT16",     FER_U16   },
        {"INT16",      FER_I16   },
        {"INT32",      FER_I32   },
        {"INT64",      FER_I64   },
        {"STRING",     FER_STRING},
        {"BOOL",       FER_BOOL  },
        {"FLOAT16",    FER_F16   },
        {"DOUBLE",     FER_F64   },
        {"UINT32",     FER_U32   },
        {"UINT64",     FER_U64   },
        {"COMPLEX64",  FER_C64   },
        {"COMPLEX128", FER_C128  },
    };
    const fer_attr *attr = feri_up_attr(up, "to");
    if (attr == NULL || attr->type != FER_ATTR_STRING) {
        return FER_OK;
    }
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        if (strcmp(names[n].name, attr->value.s.data) == 0) {
            return feri_up_set_int(up, "to", names[n].dtype);
        }
    }
    return feri_fail(FER_INVALID_MODEL,
                     "node '%s': Cast to '%s', which is no element type",
                     up->draft->name,
                     attr->value.s.data);
}

/* ---- products, reductions ---- */

static fer_status gemm_7(feri_upgrade *up) {
    feri_up_drop(up, "broadcast");
    return FER_OK;
}

/* An empty list of axes meant all of them. */
static fer_status reduce_axes(feri_upgrade *up) {
    return feri_up_ints_to_input(up, "axes", 1, /*is_nothing_empty=*/1);
}

/* k as an attribute */
static fer_status top_k_10(feri_upgrade *up) {
    const fer_attr *attr = feri_up_attr(up, "k");
    fer_value_id value = FER_NO_VALUE;
    if (attr == NULL) {
        return FER_OK;
    }
    int64_t k = 0;
    FER_TRY(feri_up_int(up, "k", 0, &k));
    FER_TRY(feri_up_ints(up, &k, 1, /*is_scalar=*/0, &value));
    feri_up_drop(up, "k");
    return feri_up_set_input(up, 1, value);
}

static fer_status dft_20(feri_upgrade *up) {
    int64_t axis = 1;
    fer_value_id value = FER_NO_VALUE;
    FER_TRY(feri_up_int(up, "axis", 1, &axis));
    FER_TRY(feri_up_ints(up, &axis, 1, /*is_scalar=*/1, &value));
    feri_up_drop(up, "axis");
    return feri_up_set_input(up, 2, value);
}

/* Softmax and its like worked on the input made two-dimensional at axis (default 1). Where axis is
 * the last, nothing changes but the default. */
static fer_status softmax_13(feri_upgrade *up) {
    int64_t axis = 1;
    fer_value_id x = feri_up_input(up, 0);
    FER_TRY(feri_up_int(up, "axis", 1, &axis));
    int32_t rank = feri_up_rank(up, x);
    if (x == FER_NO_VALUE || up->draft->output_count != 1) {
        return FER_OK; /* the check of operands tells */
    }
    FER_TRY(feri_up_set_int(up, "axis", -1));
    if (axis == -1 || (rank >= 1 && axis == rank - 1)) {
        return FER_OK;
    }
    fer_value_id shape = FER_NO_VALUE;
    fer_value_id flat = FER_NO_VALUE;
    FER_TRY(shape_of(up, x, &shape));
    FER_TRY(feri_up_call(up, "Flatten", &x, 1, "axis", axis, &flat));
    FER_TRY(feri_up_set_input(up, 0, flat));
    return feri_up_after(up, 0, "Reshape", shape);
}

/* clang-format off */
const feri_upgrade_step feri_upgrade_math[] = {
    FERI_UPGRADE(Add, 7, broadcast_7)
    FERI_UPGRADE(And, 7, broadcast_7)
    FERI_UPGRADE(Div, 7, broadcast_7)
    FERI_UPGRADE(Equal, 7, broadcast_7)
    FERI_UPGRADE(Greater, 7, broadcast_7)
    FERI_UPGRADE(Less, 7, broadcast_7)
    FERI_UPGRADE(Mul, 7, broadcast_7)
    FERI_UPGRADE(Or, 7, broadcast_7)
    FERI_UPGRADE(Pow, 7, broadcast_7)
    FERI_UPGRADE(Sub, 7, broadcast_7)
    FERI_UPGRADE(Xor, 7, broadcast_7)
    FERI_UPGRADE(PRelu, 7, prelu_7)
    FERI_UPGRADE(Cast, 6, cast_6)
    FERI_UPGRADE(Clip, 11, clip_11)
    FERI_UPGRADE(DFT, 20, dft_20)
    FERI_UPGRADE(Gemm, 7, gemm_7)
    FERI_UPGRADE(Hardmax, 13, softmax_13)
    FERI_UPGRADE(LogSoftmax, 13, softmax_13)
    FERI_UPGRADE(ReduceL1, 18, reduce_axes)
    FERI_UPGRADE(ReduceL2, 18, reduce_axes)
    FERI_UPGRADE(ReduceLogSum, 18, reduce_axes)
    FERI_UPGRADE(ReduceLogSumExp, 18, reduce_axes)
    FERI_UPGRADE(ReduceMax, 18, reduce_axes)
    FERI_UPGRADE(ReduceMean, 18, reduce_axes)
    FERI_UPGRADE(ReduceMin, 18, reduce_axes)
    FERI_UPGRADE(ReduceProd, 18, reduce_axes)
    FERI_UPGRADE(ReduceSum, 13, reduce_axes)
    FERI_UPGRADE(ReduceSumSquare, 18, reduce_axes)
    FERI_UPGRADE(Selu, 6, selu_6)
    FERI_UPGRADE(Softmax, 13, softmax_13)
    FERI_UPGRADE(TopK, 10, top_k_10)
    {NULL, 0, NULL}
};
/* clang-format on */
