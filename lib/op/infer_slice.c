/* SPDX-License-Identifier: Apache-2.0
 *
 * Slice, with dims, starts and ends that may be symbols.
 */
#include "op/infer.h"

#include <string.h>

/* A start or end as an index in [lower, upper]: negative ones count from the end of dim. Models
 * write INT32_MAX, INT64_MAX and their negatives for "to the end"; no symbolic dim gets there. */
static feri_sym
place(feri_terms *terms, feri_sym at, feri_sym dim, feri_sym lower, feri_sym upper) {
    int64_t low;
    int64_t high;
    feri_sym_bounds(terms, at, &low, &high);
    if (feri_sym_is_number(at) && !feri_sym_is_number(dim)) {
        if (low >= INT32_MAX) {
            return upper;
        }
        if (low <= -INT32_MAX) {
            return lower;
        }
    }
    if (low < 0 && high >= 0) { /* also where at is unknown */
        return feri_sym_unknown();
    }
    if (high < 0) {
        at.number += at.number == INT64_MIN; /* must not overflow */
        at = feri_sym_add(terms, at, dim);
    }
    return feri_sym_min(terms, feri_sym_max(terms, at, lower), upper);
}

/* The length of [start, end) by step, which is not 0, of an axis; *first is left for the elements.
 */
static feri_sym slice_axis(
    feri_terms *terms, feri_sym dim, feri_sym start, feri_sym end, int64_t step, feri_sym *first) {
    const feri_sym zero = feri_sym_number(0);
    const feri_sym minus_one = feri_sym_number(-1);
    feri_sym span;
    if (step > 0) {
        *first = place(terms, start, dim, zero, dim);
        span = feri_sym_sub(terms, place(terms, end, dim, zero, dim), *first);
    } else {
        feri_sym last = feri_sym_add(terms, dim, minus_one);
        *first = place(terms, start, dim, zero, last);
        span = feri_sym_sub(terms, *first, place(terms, end, dim, minus_one, last));
        step = step == INT64_MIN ? INT64_MAX : -step;
    }
    if (step != 1) { /* ceil(span / step) without overflow: the span is at most the dim */
        span = feri_sym_add(terms, span, minus_one);
        span = feri_sym_div(terms, span, feri_sym_number(step));
        span = feri_sym_add(terms, span, feri_sym_number(1));
    }
    return feri_sym_max(terms, span, zero);
}

/* Starts, ends, axes and steps: list[1] to list[4], NULL when not known; their common length, -1
 * not known. */
static int32_t read_lists(feri_infer *call, const feri_sym **list) {
    int32_t count = -1;
    for (uint32_t i = 1; i <= 4; i++) {
        int32_t own;
        list[i] = feri_infer_shape_operand(call, i, &own);
        if (own > FER_MAX_RANK || (own >= 0 && count >= 0 && own != count)) {
            feri_infer_fail(call,
                            "operand %u has %d entries; starts, ends, axes and steps must have as "
                            "many, at most %d",
                            i,
                            (int)own,
                            FER_MAX_RANK);
        }
        count = own >= 0 ? own : count;
    }
    return count;
}

void feri_infer_slice(feri_infer *call) {
    const feri_fact *in = call->in[0];
    const feri_sym *list[5];
    int32_t axes[FER_MAX_RANK];
    int64_t strides[FER_MAX_RANK];
    feri_sym dims[FER_MAX_RANK];
    int32_t count = read_lists(call, list);
    int32_t axis_count;
    uint32_t set;
    if (in->rank < 0 || call->status != FER_OK) {
        return;
    }
    int is_known = count >= 0;
    if (is_known && feri_infer_in(call, 3)) {
        is_known = feri_infer_axes_operand(call, 3, in->rank, axes, &axis_count, &set);
    } else if (is_known) {
        feri_infer_axes(call, /*given=*/NULL, (uint32_t)count, in->rank, axes);
    }
    if (!is_known) {
        feri_infer_set(call, 0, in->rank, /*dims=*/NULL);
        return;
    }
    int64_t offset = 0;
    int is_small = feri_infer_is_small(in);
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    feri_infer_strides(in->rank, in->dims, strides);
    for (int32_t i = 0; i < count && call->status == FER_OK; i++) {
        feri_sym *dim = &dims[axes[i]];
        feri_sym step = list[4]                  ? list[4][i]
                        : feri_infer_in(call, 4) ? feri_sym_unknown()
                                                 : feri_sym_number(1);
        if (!feri_sym_is_number(step) || !list[1] || !list[2]) {
            *dim = feri_sym_unknown();
        } else if (step.number == 0) {
            feri_infer_fail(call, "a step is 0");
        } else {
            feri_sym first;
            *dim = slice_axis(call->terms, *dim, list[1][i], list[2][i], step.number, &first);
            if (is_small && feri_sym_is_number(*dim) && dim->number > 0) {
                /* first is valid: the length is a number only when it is. A step beyond the dim is
                 * never taken. */
                offset += first.number * strides[axes[i]];
                strides[axes[i]] *= dim->number > 1 ? step.number : 0;
            }
        }
    }
    feri_infer_set(call, 0, in->rank, dims);
    if (is_small) {
        feri_infer_view(call, 0, 0, offset, strides);
    }
}
