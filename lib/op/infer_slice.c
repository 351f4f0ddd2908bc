/* SPDX-License-Identifier: Apache-2.0
 *
 * Slice, with dims, starts and ends that may be symbols.
 */
#include "op/infer.h"

#include <string.h>

/* What Slice does along one axis. */
typedef struct axis_slice {
    feri_sym start;
    feri_sym end;
    int64_t step;   /* never 0 */
    feri_sym first; /* results */
    feri_sym length;
} axis_slice;

/* A start or end as an index in [lower, upper]: negative ones count from the end of dim. Models
 * write INT32_MAX, INT64_MAX and their negatives for "to the end"; no symbolic dim gets there. */
static feri_sym
place(const feri_infer *call, feri_sym at, feri_sym dim, feri_sym lower, feri_sym upper) {
    feri_terms *terms = call->terms;
    int64_t low;
    int64_t high;
    feri_sym_bounds(terms, at, &low, &high);
    if (feri_sym_is_number(at) && !feri_sym_is_number(dim)) {
        if (at.number >= INT32_MAX) {
            return upper;
        }
        if (at.number <= -INT32_MAX) {
            return lower;
        }
    }
    if (feri_sym_is_unknown(at) || (low < 0 && high >= 0)) {
        return feri_sym_unknown();
    }
    if (high < 0) {
        /* A number far below 0 must not overflow. */
        feri_sym least = feri_sym_number(-INT64_MAX);
        at = feri_sym_is_number(at) && at.number == INT64_MIN ? least : at;
        at = feri_sym_add(terms, at, dim);
    }
    return feri_sym_min(terms, feri_sym_max(terms, at, lower), upper);
}

static void slice_axis(const feri_infer *call, feri_sym dim, axis_slice *s) {
    feri_terms *terms = call->terms;
    feri_sym zero = feri_sym_number(0);
    feri_sym minus_one = feri_sym_number(-1);
    feri_sym span;
    int64_t step = s->step;
    if (step > 0) {
        s->first = place(call, s->start, dim, zero, dim);
        span = feri_sym_sub(terms, place(call, s->end, dim, zero, dim), s->first);
    } else {
        feri_sym last = feri_sym_add(terms, dim, minus_one);
        s->first = place(call, s->start, dim, zero, last);
        span = feri_sym_sub(terms, s->first, place(call, s->end, dim, minus_one, last));
        step = step == INT64_MIN ? INT64_MAX : -step;
    }
    /* ceil(span / step) without overflow: the span is at most the dim. */
    feri_sym up = feri_sym_sub(terms, span, feri_sym_number(1));
    feri_sym steps = feri_sym_div(terms, up, feri_sym_number(step));
    s->length = feri_sym_max(terms, feri_sym_add(terms, steps, feri_sym_number(1)), zero);
    if (step == 1) {
        s->length = feri_sym_max(terms, span, zero);
    }
}

/* The operand's count of entries, UINT32_MAX when not known, for starts, ends, axes and steps. */
static fer_status entry_count(const feri_infer *call, uint32_t *out_count) {
    *out_count = UINT32_MAX;
    for (uint32_t i = 1; i <= 4; i++) {
        const feri_fact *fact = feri_infer_in(call, i);
        FER_TRY(feri_infer_rank(call, i, 1, 1));
        if (!fact || fact->rank != 1 || !feri_sym_is_number(fact->dims[0])) {
            continue;
        }
        int64_t count = fact->dims[0].number;
        if (count > FER_MAX_RANK) {
            return feri_infer_fail(call, "operand %u has %lld entries", i, (long long)count);
        }
        if (*out_count != UINT32_MAX && count != (int64_t)*out_count) {
            return feri_infer_fail(call,
                                   "operand %u has %lld entries and another %u; starts, ends, "
                                   "axes and steps must have as many",
                                   i,
                                   (long long)count,
                                   *out_count);
        }
        *out_count = (uint32_t)count;
    }
    return FER_OK;
}

static feri_sym entry(const feri_sym *elements, uint32_t count, uint32_t index) {
    return elements && index < count ? elements[index] : feri_sym_unknown();
}

/* Slices axis of dims by entry i; first and step are left for the elements. */
static fer_status slice_entry(
    const feri_infer *call, uint32_t i, feri_sym *dim, int64_t *out_first, int64_t *out_step) {
    uint32_t count[4];
    const feri_sym *starts = feri_infer_elements(call, 1, &count[0]);
    const feri_sym *ends = feri_infer_elements(call, 2, &count[1]);
    const feri_sym *steps = feri_infer_elements(call, 4, &count[3]);
    feri_sym step = feri_infer_in(call, 4) ? entry(steps, count[3], i) : feri_sym_number(1);
    if (feri_sym_is_number(step) && step.number == 0) {
        return feri_infer_fail(call, "a step is 0");
    }
    *out_first = -1;
    *out_step = 0;
    if (!feri_sym_is_number(step)) {
        *dim = feri_sym_unknown();
        return FER_OK;
    }
    axis_slice s = {
        .start = entry(starts, count[0], i), .end = entry(ends, count[1], i), .step = step.number};
    slice_axis(call, *dim, &s);
    *dim = s.length;
    if (feri_sym_is_number(s.first)) {
        *out_first = s.first.number;
        *out_step = step.number;
    }
    return FER_OK;
}

fer_status feri_infer_slice(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    int64_t axes[FER_MAX_RANK];
    uint32_t count;
    uint32_t axis_count;
    FER_TRY(entry_count(call, &count));
    if (in->rank < 0) {
        return FER_OK;
    }
    int has_axes = feri_infer_in(call, 3) != NULL;
    if (count == UINT32_MAX ||
        (has_axes && !feri_infer_numbers(call, 3, axes, FER_MAX_RANK, &axis_count))) {
        return feri_infer_set(call, 0, in->rank, /*dims=*/NULL);
    }
    feri_sym dims[FER_MAX_RANK];
    int64_t strides[FER_MAX_RANK];
    int64_t offset = 0;
    int is_small = feri_infer_is_small(in);
    uint32_t seen = 0;
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    if (is_small) {
        feri_infer_strides(in->rank, in->dims, strides);
    }
    for (uint32_t i = 0; i < count; i++) {
        int32_t axis;
        int64_t first = -1;
        int64_t step = 0;
        FER_TRY(feri_infer_axis(call, "an axis", has_axes ? axes[i] : i, in->rank, &axis));
        if (seen & (1u << axis)) {
            return feri_infer_fail(call, "axis %d is given twice", (int)axis);
        }
        seen |= 1u << axis;
        FER_TRY(slice_entry(call, i, &dims[axis], &first, &step));
        if (is_small && feri_sym_is_number(dims[axis]) && dims[axis].number > 0) {
            /* first is valid: the length is a number only when it is. A step beyond the dim is
             * never taken. */
            offset += first * strides[axis];
            strides[axis] *= dims[axis].number > 1 ? step : 0;
        }
    }
    FER_TRY(feri_infer_set(call, 0, in->rank, dims));
    if (is_small) {
        feri_infer_view(call, 0, 0, offset, strides);
    }
    return FER_OK;
}
