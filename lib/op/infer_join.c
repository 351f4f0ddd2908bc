/* SPDX-License-Identifier: Apache-2.0
 *
 * Concat, Split and Pad: results whose dims are sums.
 */
#include "op/infer.h"

#include <string.h>

/* ---- Concat ---- */

static void evaluate_concat(const feri_infer *call, int32_t axis) {
    const feri_fact *out = feri_infer_out(call, 0);
    uint32_t out_count;
    int has_any = 0;
    if (!feri_infer_is_small(out)) {
        return;
    }
    for (uint32_t k = 0; k < call->in_count; k++) {
        uint32_t count;
        has_any |= feri_infer_elements(call, k, &count) && count > 0;
    }
    feri_sym *target = has_any ? feri_infer_new_elements(call, 0, &out_count) : NULL;
    if (!target) {
        return;
    }
    uint32_t inner = 1;
    for (int32_t d = axis + 1; d < out->rank; d++) {
        inner *= (uint32_t)out->dims[d].number;
    }
    uint32_t row = inner * (uint32_t)out->dims[axis].number;
    uint32_t start = 0;
    for (uint32_t k = 0; k < call->in_count; k++) {
        uint32_t count;
        const feri_sym *source = feri_infer_elements(call, k, &count);
        uint32_t part = inner * (uint32_t)call->in[k]->dims[axis].number;
        for (uint32_t i = 0; source && i < count; i++) {
            target[i / part * row + start + i % part] = source[i];
        }
        start += part;
    }
    feri_infer_trim_elements(call, 0);
}

fer_status feri_infer_concat(feri_infer *call) {
    int64_t given = feri_infer_int(call, "axis", 0);
    int32_t rank = -1;
    int is_complete = 1;
    for (uint32_t k = 0; k < call->in_count; k++) {
        int32_t own = call->in[k] ? call->in[k]->rank : -1;
        is_complete &= own >= 0;
        if (rank >= 0 && own >= 0 && own != rank) {
            return feri_infer_fail(
                call, "operand %u has rank %d, the others %d", k, (int)own, (int)rank);
        }
        rank = own >= 0 ? own : rank;
    }
    if (rank < 0) {
        return FER_OK;
    }
    int32_t axis;
    FER_TRY(feri_infer_axis(call, "axis", given, rank, &axis));
    if (!is_complete) {
        return feri_infer_set(call, 0, rank, /*dims=*/NULL);
    }
    feri_sym dims[FER_MAX_RANK];
    memcpy(dims, call->in[0]->dims, (size_t)rank * sizeof(*dims));
    for (uint32_t k = 1; k < call->in_count; k++) {
        const feri_sym *own = call->in[k]->dims;
        for (int32_t d = 0; d < rank; d++) {
            if (d == axis) {
                FER_TRY(feri_infer_add(call, dims[d], own[d], &dims[d]));
                continue;
            }
            FER_TRY(feri_infer_equal(call, dims[d], own[d], "operands' dims off the axis"));
            dims[d] = feri_sym_is_number(own[d]) || feri_sym_is_unknown(dims[d]) ? own[d] : dims[d];
        }
    }
    FER_TRY(feri_infer_set(call, 0, rank, dims));
    evaluate_concat(call, axis);
    return FER_OK;
}

/* ---- Split ---- */

/* The sizes along the axis: out_count of them. */
static fer_status split_sizes(const feri_infer *call, feri_sym dim, feri_sym *sizes) {
    uint32_t parts = call->out_count;
    uint32_t count;
    if (feri_infer_in(call, 1)) {
        FER_TRY(feri_infer_rank(call, 1, 1, 1));
        const feri_sym *given = feri_infer_elements(call, 1, &count);
        if (given && count != parts) {
            return feri_infer_fail(call, "it has %u split sizes and %u outputs", count, parts);
        }
        feri_sym sum = feri_sym_number(0);
        for (uint32_t i = 0; i < parts; i++) {
            sizes[i] = given ? given[i] : feri_sym_unknown();
            FER_TRY(feri_infer_check_dim(call, sizes[i], "a split size"));
            FER_TRY(feri_infer_add(call, sum, sizes[i], &sum));
        }
        return feri_infer_equal(call, sum, dim, "the sum of its split sizes and the dim");
    }
    int64_t asked = feri_infer_int(call, "num_outputs", parts);
    if (asked != parts) {
        return feri_infer_fail(
            call, "num_outputs is %lld, but it has %u outputs", (long long)asked, parts);
    }
    feri_sym up = feri_sym_add(call->terms, dim, feri_sym_number((int64_t)parts - 1));
    feri_sym chunk = feri_sym_div(call->terms, up, feri_sym_number(parts));
    for (uint32_t i = 0; i + 1 < parts; i++) {
        sizes[i] = chunk;
    }
    feri_sym before = feri_sym_mul(call->terms, chunk, feri_sym_number((int64_t)parts - 1));
    sizes[parts - 1] = feri_sym_sub(call->terms, dim, before);
    return FER_OK;
}

fer_status feri_infer_split(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    int32_t axis;
    if (in->rank < 0 || call->out_count == 0) {
        return FER_OK;
    }
    FER_TRY(feri_infer_axis_attr(call, 0, in->rank, &axis));
    feri_sym *sizes = FERI_BUMP_ARRAY(call->bump, feri_sym, call->out_count);
    if (!sizes) {
        return fer_error_last()->status;
    }
    FER_TRY(split_sizes(call, in->dims[axis], sizes));
    int is_small = feri_infer_is_small(in);
    int64_t strides[FER_MAX_RANK];
    if (is_small) {
        feri_infer_strides(in->rank, in->dims, strides);
    }
    int64_t start = 0;
    feri_sym dims[FER_MAX_RANK];
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    for (uint32_t k = 0; k < call->out_count; k++) {
        dims[axis] = sizes[k];
        FER_TRY(feri_infer_set(call, k, in->rank, dims));
        if (is_small && feri_sym_is_number(sizes[k])) {
            feri_infer_view(call, k, 0, start * strides[axis], strides);
            start += sizes[k].number;
        } else {
            is_small = 0;
        }
    }
    return FER_OK;
}

/* ---- Pad ---- */

static fer_status add_pads(const feri_infer *call,
                           const feri_sym *pads,
                           uint32_t count,
                           const int32_t *axes,
                           feri_sym *dims) {
    for (uint32_t i = 0; i < count; i++) {
        feri_sym sum;
        FER_TRY(feri_infer_add(call, dims[axes[i]], pads[i], &sum));
        FER_TRY(feri_infer_add(call, sum, pads[i + count], &dims[axes[i]]));
    }
    return FER_OK;
}

/* The axes that pads apply to: all, or those of operand 3. 0 in *is_known: not known yet. */
static fer_status
pad_axes(const feri_infer *call, int32_t rank, int32_t *axes, uint32_t *count, int *is_known) {
    int64_t given[FER_MAX_RANK];
    uint32_t seen = 0;
    *is_known = 1;
    if (!feri_infer_in(call, 3)) {
        *count = (uint32_t)rank;
        for (int32_t i = 0; i < rank; i++) {
            axes[i] = i;
        }
        return FER_OK;
    }
    if (!feri_infer_numbers(call, 3, given, FER_MAX_RANK, count)) {
        *is_known = 0;
        return FER_OK;
    }
    for (uint32_t i = 0; i < *count; i++) {
        FER_TRY(feri_infer_axis(call, "an axis", given[i], rank, &axes[i]));
        if (seen & (1u << axes[i])) {
            return feri_infer_fail(call, "axis %d is given twice", (int)axes[i]);
        }
        seen |= 1u << axes[i];
    }
    return FER_OK;
}

fer_status feri_infer_pad(feri_infer *call) {
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const feri_fact *in = feri_infer_in(call, 0);
    const char *mode = feri_infer_string(call, "mode", "constant");
    int is_mode = 0;
    for (uint32_t i = 0; i < 4; i++) {
        is_mode |= strcmp(mode, modes[i]) == 0;
    }
    if (!is_mode) {
        return feri_infer_fail(
            call, "mode is '%s', it must be constant, reflect, edge or wrap", mode);
    }
    if (in->rank < 0) {
        return FER_OK;
    }
    int32_t axes[FER_MAX_RANK];
    uint32_t axis_count = 0;
    uint32_t count;
    int is_known;
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    FER_TRY(pad_axes(call, in->rank, axes, &axis_count, &is_known));
    const feri_sym *pads = feri_infer_elements(call, 1, &count);
    if (pads && is_known && count != 2 * axis_count) {
        return feri_infer_fail(
            call, "it has %u pads for %u axes, there must be two for each", count, axis_count);
    }
    if (!pads || !is_known) {
        return feri_infer_set(call, 0, in->rank, /*dims=*/NULL);
    }
    feri_sym dims[FER_MAX_RANK];
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    FER_TRY(add_pads(call, pads, axis_count, axes, dims));
    for (uint32_t i = 0; i < axis_count && strcmp(mode, "constant") != 0; i++) {
        feri_sym dim = in->dims[axes[i]];
        if (feri_sym_is_number(dim) && dim.number == 0 &&
            (!feri_sym_is_number(dims[axes[i]]) || dims[axes[i]].number > 0)) {
            return feri_infer_fail(
                call, "mode '%s' cannot fill axis %d, which is empty", mode, (int)axes[i]);
        }
    }
    return feri_infer_set(call, 0, in->rank, dims);
}
