/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops whose result size depends on data: NonZero, Compress, Unique, NonMaxSuppression. Inference
 * leaves those dims unknown; feri_op_upper_bound says how large they can get, so that a buffer can
 * wait for them. Also the ops that only check axes: ReverseSequence, Trilu, TensorScatter.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

#include <string.h>

/* Positions of the nonzero elements, when all are known. */
static fer_status evaluate_non_zero(const feri_infer *call, int *out_is_known) {
    const feri_fact *in = feri_infer_in(call, 0);
    uint32_t count;
    uint32_t out_count;
    int64_t found = 0;
    const feri_sym *source = in->rank > 0 ? feri_infer_elements(call, 0, &count) : NULL;
    int is_float = feri_infer_is_float(in->dtype);
    *out_is_known = 0;
    for (uint32_t i = 0; source && i < count; i++) {
        if (!feri_sym_is_number(source[i])) {
            return FER_OK;
        }
        found += is_float ? feri_sym_as_f64(source[i]) != 0 : source[i].number != 0;
    }
    if (!source) {
        return FER_OK;
    }
    *out_is_known = 1;
    feri_sym dims[2] = {feri_sym_number(in->rank), feri_sym_number(found)};
    FER_TRY(feri_infer_set(call, 0, 2, dims));
    feri_sym *target = feri_infer_new_elements(call, 0, &out_count);
    uint32_t column = 0;
    for (uint32_t i = 0; target && i < count; i++) {
        if (is_float ? feri_sym_as_f64(source[i]) == 0 : source[i].number == 0) {
            continue;
        }
        uint32_t rest = i;
        for (int32_t d = in->rank - 1; d >= 0; d--) {
            uint32_t dim = (uint32_t)in->dims[d].number;
            target[(uint32_t)d * (uint32_t)found + column] = feri_sym_number(rest % dim);
            rest /= dim;
        }
        column++;
    }
    return FER_OK;
}

fer_status feri_infer_non_zero(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    int is_known;
    FER_TRY(evaluate_non_zero(call, &is_known));
    if (is_known) {
        return FER_OK;
    }
    /* A scalar counts as a vector of one. */
    feri_sym dims[2] = {in->rank < 0 ? feri_sym_unknown()
                                     : feri_sym_number(in->rank ? in->rank : 1),
                        feri_sym_unknown()};
    return feri_infer_set(call, 0, 2, dims);
}

/* Like operand 0 with an unknown dim at axis; without the attribute one unknown dim. */
static fer_status set_chosen(const feri_infer *call, feri_sym dim, feri_sym flat) {
    const feri_fact *in = feri_infer_in(call, 0);
    if (!feri_attr_find(call->attrs, call->attr_count, "axis")) {
        return feri_infer_set(call, 0, 1, &flat);
    }
    if (in->rank < 0) {
        return FER_OK;
    }
    int32_t axis;
    feri_sym dims[FER_MAX_RANK];
    FER_TRY(feri_infer_axis_attr(call, 0, in->rank, &axis));
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    dims[axis] = dim;
    return feri_infer_set(call, 0, in->rank, dims);
}

fer_status feri_infer_compress(feri_infer *call) {
    FER_TRY(feri_infer_rank(call, 0, 1, FER_MAX_RANK));
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    return set_chosen(call, feri_sym_unknown(), feri_sym_unknown());
}

fer_status feri_infer_unique(feri_infer *call) {
    feri_sym dim = feri_sym_unknown();
    FER_TRY(set_chosen(call, dim, dim));
    FER_TRY(feri_infer_set(call, 1, 1, &dim));
    FER_TRY(feri_infer_set(call, 3, 1, &dim));
    const feri_fact *in = feri_infer_in(call, 0);
    int32_t axis;
    if (!feri_attr_find(call->attrs, call->attr_count, "axis")) {
        dim = feri_fact_count(in, call->terms);
    } else if (in->rank >= 0) {
        FER_TRY(feri_infer_axis_attr(call, 0, in->rank, &axis));
        dim = in->dims[axis];
    }
    return feri_infer_set(call, 2, 1, &dim);
}

fer_status feri_infer_non_max_suppression(feri_infer *call) {
    const feri_fact *boxes = feri_infer_in(call, 0);
    const feri_fact *scores = feri_infer_in(call, 1);
    FER_TRY(feri_infer_rank(call, 0, 3, 3));
    FER_TRY(feri_infer_rank(call, 1, 3, 3));
    for (uint32_t i = 2; i <= 4; i++) {
        FER_TRY(feri_infer_rank(call, i, 0, 1));
    }
    if (boxes->rank == 3) {
        FER_TRY(feri_infer_equal(
            call, boxes->dims[2], feri_sym_number(4), "the last dim of boxes and 4"));
    }
    if (boxes->rank == 3 && scores->rank == 3) {
        FER_TRY(feri_infer_equal(
            call, boxes->dims[0], scores->dims[0], "the batches of boxes and scores"));
        FER_TRY(feri_infer_equal(
            call, boxes->dims[1], scores->dims[2], "the box counts of boxes and scores"));
    }
    feri_sym dims[2] = {feri_sym_unknown(), feri_sym_number(3)};
    return feri_infer_set(call, 0, 2, dims);
}

/* ---- upper bounds ---- */

static fer_status bound_compress(const feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    const feri_fact *condition = feri_infer_in(call, 1);
    feri_sym flat = feri_fact_count(in, call->terms);
    feri_sym dim = flat;
    if (feri_attr_find(call->attrs, call->attr_count, "axis") && in->rank > 0) {
        int32_t axis;
        FER_TRY(feri_infer_axis_attr(call, 0, in->rank, &axis));
        dim = in->dims[axis];
    }
    if (condition->rank == 1) {
        flat = feri_sym_min(call->terms, flat, condition->dims[0]);
        dim = feri_sym_min(call->terms, dim, condition->dims[0]);
    }
    return set_chosen(call, dim, flat);
}

static fer_status bound_unique(const feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    feri_sym flat = feri_fact_count(in, call->terms);
    feri_sym dim = flat;
    if (feri_attr_find(call->attrs, call->attr_count, "axis") && in->rank > 0) {
        int32_t axis;
        FER_TRY(feri_infer_axis_attr(call, 0, in->rank, &axis));
        dim = in->dims[axis];
    }
    FER_TRY(set_chosen(call, dim, flat));
    FER_TRY(feri_infer_set(call, 1, 1, &dim));
    FER_TRY(feri_infer_set(call, 2, 1, &dim));
    return feri_infer_set(call, 3, 1, &dim);
}

static fer_status bound_suppression(const feri_infer *call) {
    const feri_fact *scores = feri_infer_in(call, 1);
    int64_t most;
    uint32_t count;
    feri_sym dims[2] = {feri_sym_unknown(), feri_sym_number(3)};
    if (scores->rank == 3) {
        feri_sym each = scores->dims[2];
        if (!feri_infer_in(call, 2)) { /* absent means 0: nothing is selected */
            each = feri_sym_number(0);
        } else if (feri_infer_numbers(call, 2, &most, 1, &count) && count == 1) {
            each = feri_sym_min(call->terms, each, feri_sym_number(most > 0 ? most : 0));
        }
        FER_TRY(feri_infer_mul(call, scores->dims[0], scores->dims[1], &dims[0]));
        FER_TRY(feri_infer_mul(call, dims[0], each, &dims[0]));
    }
    return feri_infer_set(call, 0, 2, dims);
}

fer_status feri_op_upper_bound(feri_infer *call) {
    const feri_fact *out = feri_infer_out(call, 0);
    const feri_fact *in = feri_infer_in(call, 0);
    switch (call->op->number) {
    case FER_OP_NonZero: {
        if (!out || in->rank < 0 || (out->rank == 2 && !feri_sym_is_unknown(out->dims[1]))) {
            return FER_OK; /* nothing to bound, or known exactly */
        }
        feri_sym dims[2] = {feri_sym_number(in->rank ? in->rank : 1),
                            feri_fact_count(in, call->terms)};
        return feri_infer_set(call, 0, 2, dims);
    }
    case FER_OP_Compress:
        return bound_compress(call);
    case FER_OP_Unique:
        return bound_unique(call);
    case FER_OP_NonMaxSuppression:
        return bound_suppression(call);
    default:
        return FER_OK;
    }
}

/* ---- checked axes ---- */

fer_status feri_infer_reverse_sequence(feri_infer *call) {
    int64_t time = feri_infer_int(call, "time_axis", 0);
    int64_t batch = feri_infer_int(call, "batch_axis", 1);
    if (time < 0 || time > 1 || batch < 0 || batch > 1 || time == batch) {
        return feri_infer_fail(call,
                               "time_axis is %lld and batch_axis %lld, one must be 0 and the "
                               "other 1",
                               (long long)time,
                               (long long)batch);
    }
    FER_TRY(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    const feri_fact *in = feri_infer_in(call, 0);
    const feri_fact *lengths = feri_infer_in(call, 1);
    if (in->rank >= 2 && lengths->rank == 1) {
        FER_TRY(feri_infer_equal(
            call, in->dims[batch], lengths->dims[0], "the batch dim and the count of lengths"));
    }
    return feri_infer_set_like(call, 0, in);
}

fer_status feri_infer_trilu(feri_infer *call) {
    FER_TRY(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    FER_TRY(feri_infer_rank(call, 1, 0, 1));
    return feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}
