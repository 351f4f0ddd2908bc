/* SPDX-License-Identifier: Apache-2.0
 *
 * Sliding-window geometry: see ref_window.h. Every attribute is bounded by 2^31 and every product
 * is checked when the node is bound, so that the run-time arithmetic cannot overflow.
 */
#include "ref/ref_window.h"

#include "kit/geometry.h"

#include <string.h>

#define BOUND ((int64_t)1 << 31)

/* Kinds of auto_pad. */
enum { GIVEN, VALID, SAME_UPPER };

static int is_transposed(const feri_ref_window *window) {
    return FERI_HAS_OP(ConvTranspose) && window->is_transposed;
}

static int is_within(int64_t value, int64_t least) { return value >= least && value < BOUND; }

static fer_status check(feri_ref_call *call, const feri_ref_window *w) {
    for (uint32_t i = 0; i < w->rank; i++) {
        int64_t extent = 0, reach = 0;
        int64_t longer = is_transposed(w) ? w->in[i] : w->out[i];
        if (!is_within(w->kernel[i], 1) || !is_within(w->stride[i], 1) ||
            !is_within(w->dilation[i], 1) || !is_within(w->begin[i], 1 - BOUND) ||
            !is_within(w->end[i], 1 - BOUND)) {
            return feri_ref_fail(
                call, FER_INVALID_MODEL, "kernel, strides, dilations or pads are out of range");
        }
        if (__builtin_mul_overflow(w->kernel[i], w->dilation[i], &extent) ||
            __builtin_mul_overflow(longer, w->stride[i], &reach) || reach > INT64_MAX / 4 ||
            w->in[i] > INT64_MAX / 4 || w->out[i] > INT64_MAX / 4) {
            return feri_ref_misfit(call, "the window's extent overflows");
        }
    }
    return FER_OK;
}

/* Pads where auto_pad or output_shape decides them. They follow from the dims of x and y. */
static fer_status set_pads(feri_ref_call *call, feri_ref_window *w) {
    int64_t pads[2 * FERI_REF_SPATIAL];
    int64_t extra[FERI_REF_SPATIAL];
    int kind = feri_ref_name_index(call, "auto_pad", "NOTSET, VALID, SAME_UPPER, SAME_LOWER");
    int is_given = is_transposed(w) && feri_ref_attr(call->node, "output_shape");
    (void)feri_ref_ints(call, "pads", 2 * w->rank, 0, pads);
    if (feri_ref_ints(call, "output_padding", w->rank, 0, extra)) {
        return call->status;
    }
    for (uint32_t i = 0; i < w->rank; i++) {
        w->begin[i] = kind == GIVEN ? pads[i] : 0;
        w->end[i] = kind == GIVEN ? pads[w->rank + i] : 0;
        if (!is_given && kind <= VALID) {
            continue;
        }
        int64_t steps = is_transposed(w) ? w->in[i] : w->out[i];
        int64_t target = is_transposed(w) ? w->out[i] : w->in[i];
        if (extra[i] < 0 || extra[i] >= BOUND) {
            return feri_ref_fail(call, FER_INVALID_MODEL, "output_padding is out of range");
        }
        int64_t total = (steps - 1) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 -
                        target + (is_transposed(w) ? extra[i] : 0);
        total = total > 0 ? total : 0;
        /* For a given output_shape everything but SAME_UPPER pads more at the beginning. */
        int less_first = kind == SAME_UPPER;
        w->begin[i] = less_first ? total / 2 : total - total / 2;
        w->end[i] = total - w->begin[i];
    }
    return check(call, w);
}

fer_status feri_ref_window_bind(feri_ref_call *call,
                                const feri_ref_tensor *x,
                                const feri_ref_tensor *y,
                                const int64_t *kernel,
                                feri_ref_window *out_window) {
    feri_ref_window *w = out_window;
    if (x->rank < 3 || y->rank != x->rank || x->dims[0] != y->dims[0]) {
        return feri_ref_unfit(call);
    }
    memset(w, 0, sizeof *w);
    w->rank = x->rank - 2;
    w->is_transposed = FERI_REF_IS(call->node->op, ConvTranspose);
    memcpy(w->in, x->dims + 2, w->rank * sizeof *w->in);
    memcpy(w->out, y->dims + 2, w->rank * sizeof *w->out);
    (void)feri_ref_ints(call, "kernel_shape", w->rank, 0, w->kernel);
    (void)feri_ref_ints(call, "strides", w->rank, 1, w->stride);
    if (feri_ref_ints(call, "dilations", w->rank, 1, w->dilation)) {
        return call->status;
    }
    for (uint32_t i = 0; kernel && i < w->rank; i++) {
        if (w->kernel[i] != 0 && w->kernel[i] != kernel[i]) {
            return feri_ref_unfit(call);
        }
        w->kernel[i] = kernel[i];
    }
    if (check(call, w) || set_pads(call, w)) { /* before set_pads multiplies, and once more after */
        return call->status;
    }
    if (!feri_kit_count(w->rank, w->kernel, &w->taps)) {
        return feri_ref_fail(call, FER_INVALID_MODEL, "the kernel has too many elements");
    }
    w->in_count = (uint64_t)feri_kit_span(w->in, 0, w->rank);
    w->out_count = (uint64_t)feri_kit_span(w->out, 0, w->rank);
    return FER_OK;
}

void feri_ref_window_run(const feri_ref_window *window,
                         uint64_t position,
                         uint64_t limit,
                         feri_ref_run *out_run) {
    for (uint32_t i = window->rank; i-- > 0;) {
        int64_t o = (int64_t)(position % (uint64_t)window->out[i]);
        position /= (uint64_t)window->out[i];
        out_run->base[i] =
            is_transposed(window) ? o + window->begin[i] : o * window->stride[i] - window->begin[i];
        if (i == window->rank - 1) {
            uint64_t left = (uint64_t)(window->out[i] - o);
            out_run->count = left < limit ? left : limit;
        }
    }
}

void feri_ref_window_tap(const feri_ref_window *window, uint64_t tap, int64_t *out_tap) {
    for (uint32_t i = window->rank; i-- > 0;) {
        out_tap[i] = (int64_t)(tap % (uint64_t)window->kernel[i]);
        tap /= (uint64_t)window->kernel[i];
    }
}

void feri_ref_window_next_tap(const feri_ref_window *window, int64_t *tap) {
    for (uint32_t i = window->rank; i-- > 0;) {
        if (++tap[i] < window->kernel[i]) {
            return;
        }
        tap[i] = 0;
    }
}

/* a / b rounded up; b > 0. */
static int64_t up(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

/* Positions j of [0, run) for which 0 <= at + j * stride < in. */
static int last_dim(int64_t at, int64_t stride, int64_t in, uint64_t run, feri_ref_view *out_view) {
    int64_t first = at >= 0 ? 0 : stride == 1 ? -at : up(-at, stride);
    int64_t past = at >= in ? 0 : stride == 1 ? in - at : up(in - at, stride);
    past = past < (int64_t)run ? past : (int64_t)run;
    if (first >= past) {
        return 0;
    }
    *out_view = (feri_ref_view){(uint64_t)first,
                                1,
                                (uint64_t)(past - first),
                                (uint64_t)(at + first * stride),
                                (uint64_t)stride};
    return 1;
}

/* Positions j for which at + j is a multiple of stride, the quotient in [0, in). */
static int
last_dim_transposed(int64_t at, int64_t stride, int64_t in, uint64_t run, feri_ref_view *out_view) {
    int64_t quotient = at > 0 ? up(at, stride) : 0;
    int64_t first = quotient * stride - at;
    if (quotient >= in || first >= (int64_t)run) {
        return 0;
    }
    int64_t count = up((int64_t)run - first, stride);
    count = count < in - quotient ? count : in - quotient;
    *out_view =
        (feri_ref_view){(uint64_t)first, (uint64_t)stride, (uint64_t)count, (uint64_t)quotient, 1};
    return 1;
}

int feri_ref_window_view(const feri_ref_window *window,
                         const feri_ref_run *run,
                         const int64_t *tap,
                         feri_ref_view *out_view) {
    const feri_ref_window *w = window;
    uint32_t last = w->rank - 1;
    uint64_t start = 0;
    for (uint32_t i = 0; i < last; i++) {
        int64_t reach = tap[i] * w->dilation[i];
        int64_t at = is_transposed(w) ? run->base[i] - reach : run->base[i] + reach;
        if (at < 0 || (is_transposed(w) && at % w->stride[i] != 0)) {
            return 0;
        }
        at = is_transposed(w) ? at / w->stride[i] : at;
        if (at >= w->in[i]) {
            return 0;
        }
        start = start * (uint64_t)w->in[i] + (uint64_t)at;
    }
    int64_t reach = tap[last] * w->dilation[last];
    int seen =
        is_transposed(w)
            ? last_dim_transposed(
                  run->base[last] - reach, w->stride[last], w->in[last], run->count, out_view)
            : last_dim(run->base[last] + reach, w->stride[last], w->in[last], run->count, out_view);
    out_view->in_first += start * (uint64_t)w->in[last];
    return seen;
}
