/* SPDX-License-Identifier: Apache-2.0
 *
 * Concat, Split and Pad: results whose dims are sums.
 */
#include "op/infer.h"

#include <string.h>

/* ---- Concat ---- */

static void evaluate_concat(feri_infer *call, int32_t axis) {
    uint32_t count;
    feri_sym *target = feri_infer_new_elements(call, 0, &count);
    int64_t strides[FER_MAX_RANK];
    if (!target) {
        return;
    }
    feri_infer_strides(call->out[0]->rank, call->out[0]->dims, strides);
    for (uint32_t k = 0; k < call->in_count; k++) {
        const feri_fact *in = call->in[k];
        const feri_sym *source = feri_infer_elements(call, k, &count);
        for (uint32_t i = 0; source && i < count; i++) {
            target[feri_infer_offset(in, i, strides)] = source[i];
        }
        target += in->dims[axis].number * strides[axis];
    }
    feri_infer_trim_elements(call, 0);
}

void feri_infer_concat(feri_infer *call) {
    const feri_fact *first = NULL;
    feri_sym dims[FER_MAX_RANK];
    int is_complete = 1;
    for (uint32_t k = 0; k < call->in_count; k++) {
        const feri_fact *in = call->in[k];
        if (!in || in->rank < 0) {
            is_complete = 0;
            continue;
        }
        first = first ? first : in;
        FERI_STEP(feri_infer_rank(call, k, first->rank, first->rank));
    }
    if (!first) {
        return;
    }
    int32_t rank = first->rank;
    int32_t axis;
    FERI_STEP(axis = feri_infer_axis(call, "axis", feri_infer_int(call, "axis", 0), rank));
    memcpy(dims, first->dims, (size_t)rank * sizeof(*dims));
    for (uint32_t k = 1; is_complete && k < call->in_count; k++) {
        const feri_sym *own = call->in[k]->dims;
        for (int32_t d = 0; d < rank; d++) {
            if (d == axis) {
                dims[d] = feri_infer_add(call, dims[d], own[d]);
            } else {
                dims[d] = feri_infer_same(call, dims[d], own[d], "operands' dims off the axis");
            }
        }
    }
    feri_infer_set(call, 0, rank, is_complete ? dims : NULL);
    evaluate_concat(call, axis);
}

/* ---- Split ---- */

void feri_infer_split(feri_infer *call) {
    feri_terms *terms = call->terms;
    const feri_fact *in = call->in[0];
    uint32_t parts = call->out_count;
    uint32_t count = 0;
    feri_sym dims[FER_MAX_RANK];
    int64_t strides[FER_MAX_RANK];
    feri_sym sum = feri_sym_number(0);
    if (in->rank < 0 || parts == 0) {
        return;
    }
    int32_t axis;
    FERI_STEP(axis = feri_infer_axis_attr(call, 0, in->rank));
    feri_sym dim = in->dims[axis];
    const feri_sym *given = feri_infer_elements(call, 1, &count);
    int64_t asked = given ? count : feri_infer_int(call, "num_outputs", parts);
    feri_infer_rank(call, 1, 1, 1);
    if (asked != parts) {
        feri_infer_fail(
            call, "it splits into %lld parts, but has %u outputs", (long long)asked, parts);
        return;
    }
    feri_sym chunk = feri_sym_unknown(); /* of equal parts, the last may be smaller */
    if (!feri_infer_in(call, 1)) {
        chunk = feri_sym_add(terms, dim, feri_sym_number((int64_t)parts - 1));
        chunk = feri_sym_div(terms, chunk, feri_sym_number(parts));
    }
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    feri_infer_strides(in->rank, in->dims, strides);
    for (uint32_t k = 0; k < parts; k++) {
        feri_sym size = given ? given[k] : k + 1 < parts ? chunk : feri_sym_sub(terms, dim, sum);
        FERI_STEP(feri_infer_check_dim(call, size, "a split size"));
        dims[axis] = size;
        feri_infer_set(call, k, in->rank, dims);
        if (feri_sym_is_number(sum) && feri_infer_is_small(in) && sum.number <= dim.number) {
            feri_infer_view(call, k, 0, sum.number * strides[axis], strides);
        }
        sum = feri_infer_add(call, sum, size);
    }
    feri_infer_equal(call, sum, dim, "the sum of its split sizes and the dim");
}

/* ---- Pad ---- */

void feri_infer_pad(feri_infer *call) {
    const feri_fact *in = call->in[0];
    uint32_t mode = feri_infer_choice(call, "mode", "constant, reflect, edge, wrap");
    int32_t axes[FER_MAX_RANK];
    feri_sym dims[FER_MAX_RANK];
    int32_t axis_count = in->rank;
    uint32_t count;
    uint32_t set;
    if (in->rank < 0) {
        return;
    }
    feri_infer_rank(call, 1, 1, 1);
    const feri_sym *pads = feri_infer_elements(call, 1, &count);
    if (!feri_infer_in(call, 3)) {
        feri_infer_axes(call, /*given=*/NULL, (uint32_t)in->rank, in->rank, axes);
    } else if (!feri_infer_axes_operand(call, 3, in->rank, axes, &axis_count, &set)) {
        pads = NULL;
    }
    if (pads && count != 2 * (uint32_t)axis_count) {
        feri_infer_fail(
            call, "it has %u pads for %d axes, there must be two for each", count, (int)axis_count);
    }
    if (!pads || call->status != FER_OK) {
        feri_infer_set(call, 0, in->rank, /*dims=*/NULL);
        return;
    }
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    for (int32_t i = 0; i < axis_count; i++) {
        feri_sym *dim = &dims[axes[i]];
        feri_sym before = *dim;
        *dim = feri_infer_add(call, feri_infer_add(call, before, pads[i]), pads[i + axis_count]);
        if (mode != 0 && feri_sym_is_number(before) && before.number == 0 &&
            (!feri_sym_is_number(*dim) || dim->number > 0)) {
            feri_infer_fail(call,
                            "mode '%s' cannot fill axis %d, which is empty",
                            feri_infer_string(call, "mode", ""),
                            (int)axes[i]);
        }
    }
    feri_infer_set(call, 0, in->rank, dims);
}
