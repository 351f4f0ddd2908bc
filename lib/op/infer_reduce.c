/* SPDX-License-Identifier: Apache-2.0
 *
 * Reductions, ArgMax and ArgMin, scans along an axis and TopK, with the small values of those that
 * shape arithmetic uses. An axes operand whose values are not known leaves what it decides
 * unknown.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"
#include "tensor/dtype.h"

#include <string.h>

/* Marks the reduced axes; 0 when they are not known yet. */
static fer_status read_axes(const feri_infer *call, int32_t rank, uint8_t *marks, int *is_known) {
    const feri_fact *axes = feri_infer_in(call, 1);
    int64_t numbers[FER_MAX_RANK];
    uint32_t count = 0;
    *is_known = 1;
    memset(marks, 0, FER_MAX_RANK);
    FER_TRY(feri_infer_rank(call, 1, 0, 1));
    if (axes && !feri_infer_numbers(call, 1, numbers, FER_MAX_RANK, &count)) {
        if (count > FER_MAX_RANK) {
            return feri_infer_fail(call, "it has %u axes for a tensor of rank %d", count, rank);
        }
        *is_known = 0;
        return FER_OK;
    }
    if (count == 0) {
        memset(marks, feri_infer_int(call, "noop_with_empty_axes", 0) == 0, FER_MAX_RANK);
        return FER_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        int32_t axis;
        FER_TRY(feri_infer_axis(call, "an axis", numbers[i], rank, &axis));
        if (marks[axis]) {
            return feri_infer_fail(call, "axis %d is given twice", (int)axis);
        }
        marks[axis] = 1;
    }
    return FER_OK;
}

/* Dims without, or with 1 for, the marked axes. */
static fer_status
set_reduced(const feri_infer *call, const feri_fact *data, const uint8_t *marks, int64_t keepdims) {
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = 0;
    for (int32_t i = 0; i < data->rank; i++) {
        if (!marks[i]) {
            dims[rank++] = data->dims[i];
        } else if (keepdims) {
            dims[rank++] = feri_sym_number(1);
        }
    }
    return feri_infer_set(call, 0, rank, dims);
}

/* ---- small values ---- */

static feri_sym combine(const feri_infer *call, fer_dtype dtype, feri_sym a, feri_sym b) {
    if (feri_sym_is_unknown(a) || feri_sym_is_unknown(b)) {
        return feri_sym_unknown();
    }
    uint32_t op = call->op->number;
    if (feri_infer_is_float(dtype)) {
        double x = feri_sym_as_f64(a);
        double y = feri_sym_as_f64(b);
        if (x != x || y != y) {
            return feri_sym_unknown();
        }
        return feri_sym_from_f64(op == FER_OP_ReduceMax    ? (x > y ? x : y)
                                 : op == FER_OP_ReduceMin  ? (x < y ? x : y)
                                 : op == FER_OP_ReduceProd ? x * y
                                                           : x + y);
    }
    if (feri_sym_is_number(a) && feri_sym_is_number(b)) {
        uint64_t x = (uint64_t)a.number;
        uint64_t y = (uint64_t)b.number;
        int is_unsigned = feri_dtype_class(dtype) != FERI_CLASS_SIGNED;
        int less = is_unsigned ? x < y : a.number < b.number;
        uint64_t value = op == FER_OP_ReduceMax    ? (less ? y : x)
                         : op == FER_OP_ReduceMin  ? (less ? x : y)
                         : op == FER_OP_ReduceProd ? x * y
                                                   : x + y;
        return feri_sym_number(feri_infer_wrap(dtype, (int64_t)value));
    }
    return op == FER_OP_ReduceMax    ? feri_sym_max(call->terms, a, b)
           : op == FER_OP_ReduceMin  ? feri_sym_min(call->terms, a, b)
           : op == FER_OP_ReduceProd ? feri_sym_mul(call->terms, a, b)
                                     : feri_sym_add(call->terms, a, b);
}

/* The result index an operand index reduces into. */
static uint32_t target_index(const feri_fact *data, const uint8_t *marks, uint32_t index) {
    uint32_t at = 0;
    uint32_t stride = 1;
    for (int32_t d = data->rank - 1; d >= 0; d--) {
        uint32_t dim = (uint32_t)data->dims[d].number;
        if (!marks[d]) {
            at += (index % dim) * stride;
            stride *= dim;
        }
        index /= dim;
    }
    return at;
}

static void evaluate_reduce(const feri_infer *call, const feri_fact *data, const uint8_t *marks) {
    uint32_t op = call->op->number;
    uint32_t count;
    uint32_t out_count;
    int is_mean = op == FER_OP_ReduceMean;
    if ((op != FER_OP_ReduceMax && op != FER_OP_ReduceMin && op != FER_OP_ReduceProd &&
         op != FER_OP_ReduceSum && !is_mean) ||
        (is_mean && feri_infer_is_float(data->dtype)) ||
        !feri_infer_is_small(feri_infer_out(call, 0))) {
        return;
    }
    const feri_sym *source = feri_infer_elements(call, 0, &count);
    if (!source || count == 0) {
        return;
    }
    feri_sym *target = feri_infer_new_elements(call, 0, &out_count);
    uint8_t seen[FERI_MAX_ELEMENTS] = {0};
    for (uint32_t i = 0; target && i < count; i++) {
        uint32_t at = target_index(data, marks, i);
        if (at >= out_count) {
            continue;
        }
        target[at] = seen[at] ? combine(call, data->dtype, target[at], source[i]) : source[i];
        seen[at] = 1;
    }
    for (uint32_t i = 0; target && i < out_count; i++) {
        if (is_mean) { /* of integers: the sum divided, towards zero */
            int64_t divisor = count / out_count;
            target[i] = feri_sym_is_number(target[i]) ? feri_sym_number(target[i].number / divisor)
                                                      : feri_sym_unknown();
        } else if (feri_infer_is_float(data->dtype) && feri_sym_is_number(target[i])) {
            target[i] =
                feri_sym_from_f64(feri_infer_round(data->dtype, feri_sym_as_f64(target[i])));
        }
    }
    feri_infer_trim_elements(call, 0);
}

/* ---- the ops ---- */

fer_status feri_infer_reduce(feri_infer *call) {
    const feri_fact *data = feri_infer_in(call, 0);
    const feri_fact *axes = feri_infer_in(call, 1);
    int64_t keepdims = feri_infer_int(call, "keepdims", 1);
    uint8_t marks[FER_MAX_RANK];
    int is_known;
    if (data->rank < 0) {
        return FER_OK;
    }
    FER_TRY(read_axes(call, data->rank, marks, &is_known));
    if (is_known) {
        FER_TRY(set_reduced(call, data, marks, keepdims));
        evaluate_reduce(call, data, marks);
        return FER_OK;
    }
    if (keepdims) {
        return feri_infer_set(call, 0, data->rank, /*dims=*/NULL);
    }
    if (axes->rank == 1 && feri_sym_is_number(axes->dims[0]) && axes->dims[0].number > 0) {
        if (axes->dims[0].number > data->rank) {
            return feri_infer_fail(call,
                                   "it has %lld axes for a tensor of rank %d",
                                   (long long)axes->dims[0].number,
                                   (int)data->rank);
        }
        return feri_infer_set(call, 0, data->rank - (int32_t)axes->dims[0].number, /*dims=*/NULL);
    }
    return FER_OK;
}

/* The position of the best of known numbers along axis. */
static void evaluate_arg(const feri_infer *call, const feri_fact *data, int32_t axis) {
    uint8_t marks[FER_MAX_RANK] = {0};
    uint32_t count;
    uint32_t out_count;
    if (!feri_infer_is_small(feri_infer_out(call, 0)) || feri_infer_is_float(data->dtype)) {
        return;
    }
    const feri_sym *source = feri_infer_elements(call, 0, &count);
    feri_sym *target = source ? feri_infer_new_elements(call, 0, &out_count) : NULL;
    if (!target) {
        return;
    }
    uint32_t inner = 1;
    for (int32_t d = axis + 1; d < data->rank; d++) {
        inner *= (uint32_t)data->dims[d].number;
    }
    uint32_t best[FERI_MAX_ELEMENTS];
    uint8_t state[FERI_MAX_ELEMENTS] = {0}; /* 1 seen, 2 undecided */
    int is_max = call->op->number == FER_OP_ArgMax;
    int takes_last = feri_infer_int(call, "select_last_index", 0) != 0;
    marks[axis] = 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = target_index(data, marks, i);
        if (at >= out_count || state[at] == 2) {
            continue;
        }
        if (!feri_sym_is_number(source[i])) {
            state[at] = 2;
            target[at] = feri_sym_unknown();
            continue;
        }
        int64_t value = source[i].number;
        int64_t top = state[at] ? source[best[at]].number : value;
        int is_better = is_max ? value > top : value < top;
        if (!state[at] || is_better || (value == top && takes_last)) {
            best[at] = i;
            state[at] = 1;
            target[at] = feri_sym_number((i / inner) % data->dims[axis].number);
        }
    }
    feri_infer_trim_elements(call, 0);
}

fer_status feri_infer_arg_reduce(feri_infer *call) {
    const feri_fact *data = feri_infer_in(call, 0);
    uint8_t marks[FER_MAX_RANK] = {0};
    int32_t axis;
    if (data->rank < 0) {
        return FER_OK;
    }
    FER_TRY(feri_infer_axis_attr(call, 0, data->rank, &axis));
    marks[axis] = 1;
    if (feri_sym_is_number(data->dims[axis]) && data->dims[axis].number == 0) {
        return feri_infer_fail(call, "axis %d is empty, so there is nothing to choose", (int)axis);
    }
    FER_TRY(set_reduced(call, data, marks, feri_infer_int(call, "keepdims", 1)));
    evaluate_arg(call, data, axis);
    return FER_OK;
}

/* CumSum, CumProd: the axis is an operand. */
fer_status feri_infer_scan_axis(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    int64_t axis;
    uint32_t count;
    FER_TRY(feri_infer_rank(call, 1, 0, 1));
    if (x->rank >= 0 && feri_infer_numbers(call, 1, &axis, 1, &count) && count == 1) {
        int32_t ignored;
        FER_TRY(feri_infer_axis(call, "axis", axis, x->rank, &ignored));
    }
    return feri_infer_set_like(call, 0, x);
}

fer_status feri_infer_top_k(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    uint32_t count;
    int32_t axis;
    FER_TRY(feri_infer_rank(call, 1, 0, 1));
    if (x->rank < 0) {
        return FER_OK;
    }
    FER_TRY(feri_infer_axis_attr(call, -1, x->rank, &axis));
    feri_sym dims[FER_MAX_RANK];
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(*dims));
    const feri_sym *k = feri_infer_elements(call, 1, &count);
    if (k && count != 1) {
        return feri_infer_fail(call, "K has %u elements, it must have one", count);
    }
    dims[axis] = k ? k[0] : feri_sym_unknown();
    FER_TRY(feri_infer_check_dim(call, dims[axis], "K"));
    if (feri_sym_compare_less(call->terms, x->dims[axis], dims[axis]) == 1) {
        return feri_infer_fail(call, "K is larger than axis %d of the operand", (int)axis);
    }
    FER_TRY(feri_infer_set(call, 0, x->rank, dims));
    return feri_infer_set(call, 1, x->rank, dims);
}
