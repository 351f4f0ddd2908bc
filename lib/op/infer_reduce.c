/* SPDX-License-Identifier: Apache-2.0
 *
 * Reductions, ArgMax and ArgMin, scans along an axis and TopK, with the small values of those that
 * shape arithmetic uses. An axes operand whose values are not known leaves what it decides
 * unknown.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

#include <string.h>

/* Dims without, or with 1 for, the axes in a set of bits. */
static void set_reduced(feri_infer *call, const feri_fact *data, uint32_t set) {
    int64_t keepdims = feri_infer_int(call, "keepdims", 1);
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = 0;
    for (int32_t i = 0; i < data->rank; i++) {
        if (!(set & (1u << i))) {
            dims[rank++] = data->dims[i];
        } else if (keepdims) {
            dims[rank++] = feri_sym_number(1);
        }
    }
    feri_infer_set(call, 0, rank, dims);
}

/* Elements of the reductions that an element-wise op makes of two; floats are left to the kernel,
 * which rounds its own way. */
static void evaluate_reduce(feri_infer *call, const feri_fact *data, uint32_t set) {
    uint32_t number = call->op->number;
    uint32_t op = number == FER_OP_ReduceSum    ? FER_OP_Add
                  : number == FER_OP_ReduceProd ? FER_OP_Mul
                  : number == FER_OP_ReduceMax  ? FER_OP_Max
                  : number == FER_OP_ReduceMin  ? FER_OP_Min
                                                : 0;
    uint32_t count;
    uint32_t out_count;
    const feri_sym *source = feri_infer_elements(call, 0, &count);
    if (!op || count == 0 || feri_infer_is_float(data->dtype)) {
        return;
    }
    feri_sym *target = feri_infer_new_elements(call, 0, &out_count);
    int64_t kept[FER_MAX_RANK]; /* strides of the result over the operand's axes */
    int64_t gone[FER_MAX_RANK];
    int64_t stride = 1;
    for (int32_t d = data->rank - 1; d >= 0; d--) {
        gone[d] = (set >> d) & 1;
        kept[d] = gone[d] ? 0 : stride;
        stride *= gone[d] ? 1 : data->dims[d].number;
    }
    for (uint32_t i = 0; target && i < count; i++) {
        int64_t at = feri_infer_offset(data, i, kept);
        target[at] = feri_infer_offset(data, i, gone) == 0
                         ? source[i] /* the first of its row */
                         : feri_infer_two(call, op, data->dtype, target[at], source[i]);
    }
    feri_infer_trim_elements(call, 0);
}

/* ---- the ops ---- */

void feri_infer_reduce(feri_infer *call) {
    const feri_fact *data = call->in[0];
    int32_t count;
    uint32_t set;
    if (data->rank < 0) {
        return;
    }
    if (!feri_infer_axes_operand(call, 1, data->rank, /*axes=*/NULL, &count, &set)) {
        int32_t kept = feri_infer_int(call, "keepdims", 1) ? data->rank : data->rank - count;
        feri_infer_set(call, 0, count > 0 || kept == data->rank ? kept : -1, /*dims=*/NULL);
        return;
    }
    if (count == 0 && !feri_infer_int(call, "noop_with_empty_axes", 0)) {
        set = UINT32_MAX;
    }
    set_reduced(call, data, set);
    evaluate_reduce(call, data, set);
}

void feri_infer_arg_reduce(feri_infer *call) {
    const feri_fact *data = call->in[0];
    if (data->rank < 0) {
        return;
    }
    int32_t axis = feri_infer_axis_attr(call, 0, data->rank);
    feri_sym dim = feri_infer_dim(data, axis);
    if (feri_sym_is_number(dim) && dim.number == 0) {
        feri_infer_fail(call, "axis %d is empty, so there is nothing to choose", (int)axis);
    }
    set_reduced(call, data, 1u << axis);
}

/* CumSum, CumProd: the axis is an operand. */
void feri_infer_scan_axis(feri_infer *call) {
    const feri_fact *x = call->in[0];
    int64_t axis;
    uint32_t count;
    feri_infer_rank(call, 1, 0, 1);
    if (x->rank >= 0 && feri_infer_numbers(call, 1, &axis, 1, &count) && count == 1) {
        feri_infer_axis(call, "axis", axis, x->rank);
    }
    feri_infer_set_like(call, 0, x);
}

void feri_infer_top_k(feri_infer *call) {
    const feri_fact *x = call->in[0];
    feri_sym dims[FER_MAX_RANK];
    if (x->rank < 0) {
        feri_infer_rank(call, 1, 0, 1);
        return;
    }
    int32_t axis;
    FERI_STEP(axis = feri_infer_axis_attr(call, -1, x->rank));
    feri_sym k = feri_infer_one(call, 1);
    if (feri_sym_compare_less(call->terms, x->dims[axis], k) == 1) {
        feri_infer_fail(call, "K is larger than axis %d of the operand", (int)axis);
    }
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(*dims));
    dims[axis] = k;
    feri_infer_set(call, 0, x->rank, dims);
    feri_infer_set(call, 1, x->rank, dims);
}
