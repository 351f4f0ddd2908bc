/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops whose result size depends on data: NonZero, Compress, Unique, NonMaxSuppression. Inference
 * leaves those dims unknown; feri_op_upper_bound says how large they can get, so that a buffer can
 * wait for them. Also the ops that only check axes: ReverseSequence, Trilu, TensorScatter.
 */
#include "ferrule/op_numbers.h"
#include "ferrule/op_selection.h"
#include "op/infer.h"

#include <string.h>

/* The rows of NonZero's result. A scalar counts as a vector of one. */
static feri_sym position_count(const feri_fact *in) {
    return in->rank < 0 ? feri_sym_unknown() : feri_sym_number(in->rank ? in->rank : 1);
}

static int is_nonzero(int is_float, feri_sym element) {
    return is_float ? feri_sym_as_f64(element) != 0 : element.number != 0;
}

/* Their positions, a column each, when all elements are known. */
void feri_infer_non_zero(feri_infer *call) {
    const feri_fact *in = call->in[0];
    int is_float = feri_infer_is_float(in->dtype);
    uint32_t count;
    uint32_t out_count;
    uint32_t found = 0;
    const feri_sym *source = feri_infer_elements(call, 0, &count);
    feri_sym dims[2] = {position_count(in), feri_sym_unknown()};
    if (source) {
        int is_known = 1;
        for (uint32_t i = 0; i < count; i++) {
            is_known &= feri_sym_is_number(source[i]);
            found += (uint32_t)is_nonzero(is_float, source[i]);
        }
        dims[1] = is_known ? feri_sym_number(found) : dims[1];
    }
    feri_infer_set(call, 0, 2, dims);
    feri_sym *target = feri_infer_new_elements(call, 0, &out_count);
    for (uint32_t i = 0; target && i < count; i++) {
        if (is_nonzero(is_float, source[i])) {
            uint32_t rest = i;
            for (int32_t d = in->rank - 1; d >= 0; d--) {
                uint32_t dim = (uint32_t)in->dims[d].number;
                target[(uint32_t)d * found] = feri_sym_number(rest % dim);
                rest /= dim;
            }
            target++;
        }
    }
}

/* The pieces that Compress and Unique choose from: slices along the attribute axis, or elements. */
static feri_sym piece_count(feri_infer *call, int32_t *out_axis) {
    const feri_fact *in = call->in[0];
    *out_axis = -1;
    if (!feri_attr_find(call->attrs, call->attr_count, "axis")) {
        return feri_fact_count(in, call->terms);
    }
    *out_axis = in->rank < 0 ? 0 : feri_infer_axis_attr(call, 0, in->rank);
    return feri_infer_dim(in, *out_axis);
}

/* Result 0 has that many pieces, chosen ones. */
static void set_chosen(feri_infer *call, feri_sym chosen) {
    const feri_fact *in = call->in[0];
    feri_sym dims[FER_MAX_RANK];
    int32_t axis;
    piece_count(call, &axis);
    if (axis < 0) {
        feri_infer_set(call, 0, 1, &chosen);
        return;
    }
    for (int32_t i = 0; i < in->rank; i++) {
        dims[i] = i == axis ? chosen : in->dims[i];
    }
    feri_infer_set(call, 0, in->rank, dims);
}

void feri_infer_compress(feri_infer *call) {
    feri_infer_rank(call, 0, 1, FER_MAX_RANK);
    feri_infer_rank(call, 1, 1, 1);
    set_chosen(call, feri_sym_unknown());
}

void feri_infer_unique(feri_infer *call) {
    int32_t axis;
    feri_sym unknown = feri_sym_unknown();
    feri_sym pieces = piece_count(call, &axis);
    set_chosen(call, unknown);
    feri_infer_set(call, 1, 1, &unknown);
    feri_infer_set(call, 2, 1, &pieces);
    feri_infer_set(call, 3, 1, &unknown);
}

void feri_infer_non_max_suppression(feri_infer *call) {
    const feri_fact *boxes = call->in[0];
    const feri_fact *scores = feri_infer_in(call, 1);
    FERI_STEP(feri_infer_rank(call, 0, 3, 3));
    FERI_STEP(feri_infer_rank(call, 1, 3, 3));
    for (uint32_t i = 2; i <= 4; i++) {
        FERI_STEP(feri_infer_rank(call, i, 0, 1));
    }
    if (boxes->rank == 3) {
        FERI_STEP(feri_infer_equal(
            call, boxes->dims[2], feri_sym_number(4), "the last dim of boxes and 4"));
    }
    if (boxes->rank == 3 && scores->rank == 3) {
        FERI_STEP(feri_infer_equal(
            call, boxes->dims[0], scores->dims[0], "the batches of boxes and scores"));
        FERI_STEP(feri_infer_equal(
            call, boxes->dims[1], scores->dims[2], "the box counts of boxes and scores"));
    }
    feri_sym dims[2] = {feri_sym_unknown(), feri_sym_number(3)};
    feri_infer_set(call, 0, 2, dims);
}

/* ---- upper bounds ---- */

static void bound_non_zero(feri_infer *call) {
    const feri_fact *in = call->in[0];
    const feri_fact *out = feri_infer_out(call, 0);
    feri_sym dims[2] = {position_count(in), feri_fact_count(in, call->terms)};
    if (feri_sym_is_unknown(feri_infer_dim(out, 1))) {
        feri_infer_set(call, 0, 2, dims);
    }
}

static void bound_compress(feri_infer *call) {
    int32_t axis;
    feri_sym pieces = piece_count(call, &axis);
    set_chosen(call, feri_sym_min(call->terms, pieces, feri_infer_dim(call->in[1], 0)));
}

static void bound_unique(feri_infer *call) {
    int32_t axis;
    feri_sym pieces = piece_count(call, &axis);
    set_chosen(call, pieces);
    for (uint32_t i = 1; i < 4; i++) {
        feri_infer_set(call, i, 1, &pieces);
    }
}

static void bound_suppression(feri_infer *call) {
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
        FERI_STEP(dims[0] = feri_infer_mul(call, scores->dims[0], scores->dims[1]));
        FERI_STEP(dims[0] = feri_infer_mul(call, dims[0], each));
    }
    feri_infer_set(call, 0, 2, dims);
}

static const struct {
    uint32_t op;
    void (*bound)(feri_infer *call);
} bounds[] = {
    FERI_OP_ROW(NonZero, {FER_OP_NonZero,           bound_non_zero   },
     )
        FERI_OP_ROW(Compress, {FER_OP_Compress,          bound_compress   },
     )
            FERI_OP_ROW(Unique, {FER_OP_Unique,            bound_unique     },
     ) FERI_OP_ROW(
                NonMaxSuppression, {FER_OP_NonMaxSuppression, bound_suppression},
     ){0,                        NULL             }
};

fer_status feri_op_upper_bound(feri_infer *call) {
    call->status = FER_OK;
    for (uint32_t i = 0; bounds[i].op; i++) {
        if (bounds[i].op == call->op->number) {
            bounds[i].bound(call);
        }
    }
    return call->status;
}

/* ---- checked axes ---- */

void feri_infer_reverse_sequence(feri_infer *call) {
    int64_t time = feri_infer_int(call, "time_axis", 0);
    int64_t batch = feri_infer_int(call, "batch_axis", 1);
    if (time < 0 || time > 1 || batch < 0 || batch > 1 || time == batch) {
        feri_infer_fail(call,
                        "time_axis is %lld and batch_axis %lld, one must be 0 and the "
                        "other 1",
                        (long long)time,
                        (long long)batch);
        return;
    }
    FERI_STEP(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    FERI_STEP(feri_infer_rank(call, 1, 1, 1));
    const feri_fact *in = call->in[0];
    const feri_fact *lengths = feri_infer_in(call, 1);
    if (in->rank >= 2 && lengths->rank == 1) {
        FERI_STEP(feri_infer_equal(
            call, in->dims[batch], lengths->dims[0], "the batch dim and the count of lengths"));
    }
    feri_infer_set_like(call, 0, in);
}

void feri_infer_trilu(feri_infer *call) {
    FERI_STEP(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    FERI_STEP(feri_infer_rank(call, 1, 0, 1));
    feri_infer_set_like(call, 0, call->in[0]);
}
