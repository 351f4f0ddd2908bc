/* SPDX-License-Identifier: Apache-2.0
 *
 * MaxPool with indices, AveragePool and LpPool over sliding windows, and GlobalLpPool (the other
 * global forms are reductions, ref_reduce.c). A
 * plane is one channel of one image. Padding never takes part, except that AveragePool counts it
 * when asked to. Called by the executor through its table.
 */
#include "kit/geometry.h"
#include "ref/ref_window.h"

#include <math.h>
#include <string.h>

typedef struct pool_params {
    feri_ref_window window;
    int64_t power; /* LpPool */
    int is_padding_counted;
    int is_column_major;
} pool_params;

/* A run of outputs while the taps go over it. */
typedef struct pooling {
    feri_ref_call *call;
    const pool_params *params;
    double value[FERI_REF_CHUNK];
    int64_t index[FERI_REF_CHUNK]; /* in the plane, -1: nothing seen */
} pooling;

static double lp_term(double value, int64_t power) {
    double size = fabs(value);
    return power == 1 ? size : power == 2 ? size * size : pow(size, (double)power);
}

static double lp_root(double sum, int64_t power) {
    return power == 1 ? sum : power == 2 ? sqrt(sum) : pow(sum, 1.0 / (double)power);
}

/* The plane's element index in the order that storage_order asks for. */
static int64_t plane_index(const feri_ref_window *w, uint64_t index, int is_column_major) {
    if (!is_column_major) {
        return (int64_t)index;
    }
    uint64_t place = 0, weight = w->in_count;
    for (uint32_t i = w->rank; i-- > 0;) {
        weight /= (uint64_t)w->in[i];
        place += index % (uint64_t)w->in[i] * weight;
        index /= (uint64_t)w->in[i];
    }
    return (int64_t)place;
}

/* What one tap shows to the run. */
static void fold_view(pooling *p, uint64_t plane_start, const feri_ref_view *view) {
    uint32_t op = p->call->node->op;
    double chunk[FERI_REF_CHUNK];
    feri_ref_load_real(
        p->call, p->call->in[0], plane_start + view->in_first, view->in_step, view->count, chunk);
    for (uint64_t i = 0; i < view->count; i++) {
        uint64_t at = view->first + i;
        if (FERI_REF_IS(op, AveragePool)) {
            p->value[at] += chunk[i];
        } else if (FERI_REF_IS(op, LpPool)) {
            p->value[at] += lp_term(chunk[i], p->params->power);
        } else if (p->index[at] < 0 || chunk[i] > p->value[at] ||
                   (isnan(chunk[i]) && !isnan(p->value[at]))) {
            p->value[at] = chunk[i];
            p->index[at] = (int64_t)(view->in_first + i * view->in_step);
        }
    }
}

/* Taps t in [0, kernel) with low <= base + t * dilation < high. */
static int64_t
taps_inside(int64_t base, int64_t dilation, int64_t kernel, int64_t low, int64_t high) {
    int64_t first = base >= low ? 0 : (low - base + dilation - 1) / dilation;
    int64_t past = base >= high ? 0 : (high - base + dilation - 1) / dilation;
    past = past < kernel ? past : kernel;
    return past > first ? past - first : 0;
}

/* Sums become averages. With ceil_mode a window may reach past the padding: that never counts. */
static void divide(pooling *p, const feri_ref_run *run) {
    const feri_ref_window *w = &p->params->window;
    int counted = p->params->is_padding_counted;
    double outer = 1.0;
    uint32_t last = w->rank - 1;
    for (uint32_t i = 0; i <= last; i++) {
        int64_t low = counted ? -w->begin[i] : 0, high = w->in[i] + (counted ? w->end[i] : 0);
        for (uint64_t j = 0; i == last && j < run->count; j++) {
            int64_t base = run->base[i] + (int64_t)j * w->stride[i];
            double n = outer * (double)taps_inside(base, w->dilation[i], w->kernel[i], low, high);
            p->value[j] = n > 0.0 ? p->value[j] / n : 0.0;
        }
        outer *= (double)taps_inside(run->base[i], w->dilation[i], w->kernel[i], low, high);
    }
}

static void store_run(pooling *p, const feri_ref_run *run, uint64_t plane, uint64_t position) {
    const feri_ref_window *w = &p->params->window;
    feri_ref_call *call = p->call;
    feri_ref_tensor *indices = feri_ref_output(call, 1);
    uint64_t start = plane * w->out_count + position;
    if (FERI_REF_IS(call->node->op, AveragePool)) {
        divide(p, run);
    }
    for (uint64_t j = 0; FERI_REF_IS(call->node->op, LpPool) && j < run->count; j++) {
        p->value[j] = lp_root(p->value[j], p->params->power);
    }
    if (call->out[0]) {
        feri_ref_store_real(call, call->out[0], start, 1, run->count, p->value);
    }
    for (uint64_t j = 0; indices && j < run->count; j++) {
        int64_t *index = &p->index[j];
        *index = *index < 0 ? 0
                            : plane_index(w, (uint64_t)*index, p->params->is_column_major) +
                                  (int64_t)(plane * w->in_count);
    }
    if (indices) {
        feri_ref_store_int(call, indices, start, 1, run->count, p->index);
    }
}

/* a / b rounded up; b > 0. */
static int64_t up(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

/* The taps that can see the input from somewhere in the run: [begin, end) in every dim. 0 when
 * there are none. A kernel that is larger than the input so costs no more than the input. */
static int
tap_box(const feri_ref_window *w, const feri_ref_run *run, int64_t *begin, int64_t *end) {
    for (uint32_t i = 0; i < w->rank; i++) {
        int64_t low = run->base[i], high = low;
        if (i == w->rank - 1) {
            high += (int64_t)(run->count - 1) * w->stride[i];
        }
        begin[i] = high >= 0 ? 0 : up(-high, w->dilation[i]);
        end[i] = low >= w->in[i] ? 0 : up(w->in[i] - low, w->dilation[i]);

        end[i] = end[i] < w->kernel[i] ? end[i] : w->kernel[i];
        if (begin[i] >= end[i]) {
            return 0;
        }
    }
    return 1;
}

/* The next tap of the box; 0 after the last. */
static int next_tap(uint32_t rank, const int64_t *begin, const int64_t *end, int64_t *tap) {
    for (uint32_t i = rank; i-- > 0;) {
        if (++tap[i] < end[i]) {
            return 1;
        }
        tap[i] = begin[i];
    }
    return 0;
}

static fer_status pool_run_at(pooling *p, uint64_t plane, uint64_t position, feri_ref_run *run) {
    const feri_ref_window *w = &p->params->window;
    int64_t begin[FERI_REF_SPATIAL], end[FERI_REF_SPATIAL], tap[FERI_REF_SPATIAL];
    feri_ref_window_run(w, position, FERI_REF_CHUNK, run);
    for (uint64_t j = 0; j < run->count; j++) {
        p->value[j] = p->call->node->op == FER_OP_MaxPool ? -(double)INFINITY : 0.0;
        p->index[j] = -1;
    }
    int more = tap_box(w, run, begin, end);
    if (more) {
        memcpy(tap, begin, w->rank * sizeof *tap);
    }
    while (more) {
        feri_ref_view view = {.count = 0};
        if (feri_ref_window_view(w, run, tap, &view)) {
            fold_view(p, plane * w->in_count, &view);
        }
        if (feri_ref_poll(p->call, view.count + w->rank)) {
            return p->call->status;
        }
        more = next_tap(w->rank, begin, end, tap);
    }
    store_run(p, run, plane, position);
    return feri_ref_poll(p->call, run->count);
}

static fer_status pool_run(feri_ref_call *call) {
    pooling p;
    p.call = call;
    p.params = call->params;
    uint64_t planes = (uint64_t)feri_kit_span(call->in[0]->dims, 0, 2);
    uint64_t out_count = p.params->window.out_count;
    for (uint64_t plane = 0; out_count && plane < planes; plane++) {
        for (uint64_t at = 0; at < out_count;) {
            feri_ref_run run;
            if (pool_run_at(&p, plane, at, &run)) {
                return call->status;
            }
            at += run.count;
        }
    }
    return FER_OK;
}

static fer_status pool_bind(feri_ref_call *call) {
    pool_params *p = call->params;
    const feri_ref_tensor *x = call->in[0];
    const feri_ref_tensor *y = call->out[0] ? call->out[0] : feri_ref_output(call, 1);
    p->power = feri_ref_int(call->node, "p", 2);
    p->is_padding_counted = feri_ref_int(call->node, "count_include_pad", 0) != 0;
    p->is_column_major = feri_ref_int(call->node, "storage_order", 0) != 0;
    if (!y) {
        return feri_ref_unfit(call);
    }
    fer_status status = feri_ref_window_bind(call, x, y, /*kernel=*/NULL, &p->window);
    if (status) {
        return status;
    }
    if (x->dims[1] != y->dims[1] || p->power < 1) {
        return feri_ref_unfit(call);
    }
    feri_ref_tensor *indices = feri_ref_output(call, 1);
    return indices ? feri_ref_same_dims(call, indices, y) : FER_OK;
}

/* ---- the whole plane at once ---- */

static fer_status global_bind(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0], *y = call->out[0];
    int fits = x->rank >= 2 && y->rank == x->rank;
    for (uint32_t i = 0; fits && i < x->rank; i++) {
        fits = y->dims[i] == (i < 2 ? x->dims[i] : 1);
    }
    fits = fits && feri_ref_int(call->node, "p", 2) >= 1;
    return fits ? FER_OK : feri_ref_unfit(call);
}

static fer_status global_run(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    int64_t power = feri_ref_int(call->node, "p", 2);
    uint64_t size = (uint64_t)feri_kit_span(x->dims, 2, x->rank);
    for (uint64_t plane = 0; plane < call->out[0]->count; plane++) {
        double value = 0.0;
        feri_ref_piece p = {.total = size};
        while (feri_ref_next(call, &p)) {
            double chunk[FERI_REF_CHUNK];
            feri_ref_load_real(call, x, plane * size + p.begin, 1, p.count, chunk);
            for (uint64_t i = 0; i < p.count; i++) {
                value += lp_term(chunk[i], power);
            }
        }
        value = lp_root(value, power);
        feri_ref_store_real(call, call->out[0], plane, 1, 1, &value);
        if (feri_ref_poll(call, 1)) {
            return call->status;
        }
    }
    return FER_OK;
}

#define WINDOWED(ident, number)                                                                    \
    FERI_REF_KERNEL(                                                                               \
        ident, number, .run = pool_run, .bind = pool_bind, .params_bytes = sizeof(pool_params))
/* clang-format off */
const feri_ref_kernel feri_ref_family_pool[] = {
    WINDOWED(AveragePool, 22)
    WINDOWED(LpPool, 22)
    WINDOWED(MaxPool, 22)
    FERI_REF_KERNEL(GlobalLpPool, 22, .run = global_run, .bind = global_bind)
    FERI_REF_END
};
/* clang-format on */
