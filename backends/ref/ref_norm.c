/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisations: BatchNormalization (training too), Instance-, Layer-, Group- and
 * RMSNormalization, LRN, LpNormalization, Softmax and LogSoftmax. Means and variances take two
 * passes in f64; stash_type therefore changes nothing but the dtype of outputs. Called by the
 * executor through its table.
 */
#include "ref/ref_elements.h"

#include <math.h>
#include <string.h>

/* ---- Softmax, LogSoftmax, LpNormalization: lines along one axis ---- */

static fer_status line_bind(feri_ref_call *call) {
    if (feri_ref_lines_around(
            call, call->in[0], feri_ref_int(call->node, "axis", -1), call->params)) {
        return call->status;
    }
    return feri_ref_same_dims(call, call->in[0], call->out[0]);
}

/* What a pass over a line gathers. */
typedef struct line_sums {
    double max;
    double sum; /* of exp(x - max), or of |x|^p */
} line_sums;

/* pass 0 finds max, 1 the sum, 2 writes. */
static void
line_chunk(uint32_t op, int64_t power, int pass, line_sums *sums, double *chunk, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        double v = chunk[i];
        if (FERI_REF_IS(op, LpNormalization)) {
            if (pass == 1) {
                sums->sum += power == 1 ? fabs(v) : v * v;
            } else if (pass == 2) {
                chunk[i] = sums->sum == 0.0 ? 0.0 : v / sums->sum;
            }
        } else if (pass == 0) {
            sums->max = v > sums->max || isnan(v) ? v : sums->max;
        } else if (pass == 1) {
            sums->sum += exp(v - sums->max);
        } else if (FERI_REF_IS(op, Softmax)) {
            chunk[i] = exp(v - sums->max) / sums->sum;
        } else {
            chunk[i] = v - sums->max - log(sums->sum);
        }
    }
}

static fer_status line_run(feri_ref_call *call) {
    const feri_ref_lines *lines = call->params;
    uint32_t op = call->node->op;
    int64_t power = feri_ref_int(call->node, "p", 2);
    uint64_t count = call->out[0]->count ? lines->outer * lines->inner : 0;
    for (uint64_t line = 0; line < count && call->status == FER_OK; line++) {
        uint64_t start = feri_ref_line_start(lines, line);
        line_sums sums = {-(double)INFINITY, 0.0};
        for (int pass = 0; pass < 3; pass++) {
            feri_ref_piece p = {.total = lines->length};
            if (pass == 2 && FERI_REF_IS(op, LpNormalization) && power == 2) {
                sums.sum = sqrt(sums.sum);
            }
            while (feri_ref_next(call, &p)) {
                double chunk[FERI_REF_CHUNK];
                uint64_t from = start + p.begin * lines->inner;
                feri_ref_load_real(call, call->in[0], from, lines->inner, p.count, chunk);
                line_chunk(op, power, pass, &sums, chunk, p.count);
                if (pass == 2) {
                    feri_ref_store_real(call, call->out[0], from, lines->inner, p.count, chunk);
                }
            }
        }
    }
    return call->status;
}

/* ---- mean, variance, scale and bias over contiguous spans ---- */

typedef struct span_params {
    uint64_t spans;
    uint64_t span;              /* elements that share their moments */
    feri_ref_operand affine[2]; /* scale and bias broadcast to X */
} span_params;

typedef struct moments {
    double mean;
    double scale; /* 1 / sqrt(variance + epsilon) */
} moments;

/* Y may be left out where somebody wants the moments only. */
static fer_status y_fits(feri_ref_call *call) {
    return call->out[0] ? feri_ref_same_dims(call, call->in[0], call->out[0]) : FER_OK;
}

static double inverse_of(feri_ref_call *call, double variance) {
    return 1.0 / sqrt(variance + feri_ref_float(call->node, "epsilon", 1e-5f));
}

/* Sum of (x - shift)^power over [start, start + count) of the first operand. */
static double
sum_powers(feri_ref_call *call, uint64_t start, uint64_t count, double shift, int power) {
    double sum = 0.0;
    feri_ref_piece p = {.total = count};
    while (feri_ref_next(call, &p)) {
        double chunk[FERI_REF_CHUNK];
        feri_ref_load_real(call, call->in[0], start + p.begin, 1, p.count, chunk);
        for (uint64_t i = 0; i < p.count; i++) {
            double v = chunk[i] - shift;
            sum += power == 2 ? v * v : v;
        }
    }
    return sum;
}

/* The span's elements, moments applied, times scale plus bias. */
static void write_span(feri_ref_call *call, uint64_t start, uint64_t count, moments m) {
    const span_params *params = call->params;
    feri_ref_piece p = {.begin = start, .total = start + count};
    while (call->out[0] && feri_ref_next(call, &p)) {
        feri_ref_word chunk[FERI_REF_CHUNK], affine[2][FERI_REF_CHUNK];
        const feri_ref_tensor *bias = feri_ref_input(call, 2);
        feri_ref_load_real(call, call->in[0], p.begin, 1, p.count, &chunk->f);
        for (uint32_t k = 0; k < (bias ? 2u : 1u); k++) {
            feri_ref_operand_load(
                call, &params->affine[k], call->in[k + 1], /*is_real=*/1, &p, affine[k]);
        }
        for (uint64_t i = 0; i < p.count; i++) {
            double added = bias ? affine[1][i].f : 0.0;
            chunk[i].f = (chunk[i].f - m.mean) * m.scale * affine[0][i].f + added;
        }
        feri_ref_store_real(call, call->out[0], p.begin, 1, p.count, &chunk->f);
    }
}

/* Layer-, RMS-, Instance- and GroupNormalization: each span has its own moments. RMS takes the mean
 * for 0. */
static fer_status span_run(feri_ref_call *call) {
    const span_params *params = call->params;
    int is_rms = FERI_REF_IS(call->node->op, RMSNormalization);
    double n = (double)(int64_t)params->span;
    for (uint64_t i = 0; i < params->spans && call->status == FER_OK; i++) {
        uint64_t start = i * params->span;
        moments m = {0.0, 0.0};
        if (!is_rms) {
            m.mean = sum_powers(call, start, params->span, 0.0, 1) / n;
        }
        m.scale = inverse_of(call, sum_powers(call, start, params->span, m.mean, 2) / n);
        write_span(call, start, params->span, m);
        for (uint32_t k = 1; k < 3; k++) {
            feri_ref_tensor *extra = feri_ref_output(call, k);
            if (extra) {
                feri_ref_store_real(call, extra, i, 1, 1, k == 1 ? &m.mean : &m.scale);
            }
        }
    }
    return call->status;
}

static fer_status layer_bind(feri_ref_call *call) {
    span_params *p = call->params;
    const feri_ref_tensor *x = call->in[0];
    uint32_t axis = 0;
    if (!feri_kit_axis(feri_ref_int(call->node, "axis", -1), x->rank, &axis)) {
        return feri_ref_unfit(call);
    }
    /* Of an empty X only the moments are written: NaN for each empty span. */
    p->spans = (uint64_t)feri_kit_span(x->dims, 0, axis);
    p->span = x->count ? (uint64_t)feri_kit_span(x->dims, axis, x->rank) : 0;
    for (uint32_t i = 1; i < 3; i++) {
        const feri_ref_tensor *t = feri_ref_input(call, i), *extra = feri_ref_output(call, i);
        if (t && feri_ref_operand_init(call, &p->affine[i - 1], t, x)) {
            return call->status;
        }
        if (extra && extra->count != p->spans) {
            return feri_ref_unfit(call);
        }
    }
    return y_fits(call);
}

/* ---- BatchNormalization, InstanceNormalization, GroupNormalization: one scale per channel ---- */

static fer_status channel_bind(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    span_params *p = call->params;
    int is_batch = FERI_REF_IS(call->node->op, BatchNormalization);
    int is_group = FERI_REF_IS(call->node->op, GroupNormalization);
    /* A batch norm of a vector has one channel. */
    uint64_t channels = x->rank > 1 ? (uint64_t)x->dims[1] : 1;
    int fits = x->rank > (is_batch ? 0 : 1);
    for (uint32_t i = 1; fits && i < call->node->input_count; i++) {
        fits = call->in[i] && call->in[i]->count == channels;
    }
    for (uint32_t i = 1; fits && i < 3; i++) {
        const feri_ref_tensor *running = feri_ref_output(call, i);
        fits = !running || running->count == channels;
    }
    if (!fits) {
        return feri_ref_unfit(call);
    }
    uint64_t groups = is_group ? (uint64_t)feri_ref_int(call->node, "num_groups", 0) : channels;
    if (is_group && (groups < 1 || channels % groups != 0)) {
        return feri_ref_misfit(call, "num_groups must divide the channels");
    }
    p->spans = x->count ? (is_batch ? channels : (uint64_t)x->dims[0] * groups) : 0;
    p->span = x->count ? x->count / (uint64_t)x->dims[0] / groups : 0;
    /* C x 1 x 1 ...: as X broadcasts it */
    feri_ref_tensor column = {
        .rank = x->rank > 1 ? x->rank - 1 : 1, .count = channels, .dims = {(int64_t)channels}};
    for (uint32_t d = 1; d < column.rank; d++) {
        column.dims[d] = 1;
    }
    for (uint32_t k = 0; k < 2; k++) {
        if (feri_ref_operand_init(call, &p->affine[k], &column, x)) {
            return call->status;
        }
    }
    return y_fits(call);
}

/* Running value k of a channel: what came in and what this batch had, mixed by momentum. */
static void store_running(feri_ref_call *call, uint32_t k, uint64_t channel, double current) {
    double momentum = feri_ref_float(call->node, "momentum", 0.9f);
    feri_ref_tensor *out = feri_ref_output(call, k);
    if (out) {
        double past = feri_ref_scalar_f64(call, call->in[2 + k], channel);
        past = past * momentum + current * (1.0 - momentum);
        feri_ref_store_real(call, out, channel, 1, 1, &past);
    }
}

/* The mean and variance that are handed in; with training_mode the batch's own. */
static fer_status batch_run(feri_ref_call *call) {
    const span_params *p = call->params;
    int64_t images = call->in[0]->dims[0];
    int is_training = feri_ref_int(call->node, "training_mode", 0) != 0;
    for (uint64_t c = 0; c < p->spans && call->status == FER_OK; c++) {
        double known[2] = {0.0, 0.0}; /* mean and variance */
        for (uint32_t k = 0; k < 2; k++) {
            double total = 0.0;
            if (!is_training) {
                known[k] = feri_ref_scalar_f64(call, call->in[3 + k], c);
                continue;
            }
            for (int64_t i = 0; i < images && call->status == FER_OK; i++) {
                uint64_t start = ((uint64_t)i * p->spans + c) * p->span;
                total += sum_powers(call, start, p->span, known[0], (int)k + 1);
            }
            known[k] = total / ((double)images * (double)(int64_t)p->span);
        }
        moments m = {known[0], inverse_of(call, known[1])};
        for (int64_t i = 0; i < images && call->status == FER_OK; i++) {
            write_span(call, ((uint64_t)i * p->spans + c) * p->span, p->span, m);
        }
        for (uint32_t k = 0; is_training && k < 2; k++) {
            store_running(call, k + 1, c, known[k]);
        }
    }
    return call->status;
}

/* ---- LRN ---- */

static fer_status lrn_bind(feri_ref_call *call) {
    if (call->in[0]->rank < 2 || feri_ref_int(call->node, "size", 0) < 1) {
        return feri_ref_unfit(call);
    }
    return y_fits(call);
}

/* A channel's plane, by the squares of its neighbours summed. */
static void lrn_plane(feri_ref_call *call, uint64_t image, uint64_t channel, uint64_t plane) {
    const feri_ref_tensor *x = call->in[0];
    uint64_t channels = (uint64_t)x->dims[1];
    int64_t size = feri_ref_int(call->node, "size", 1);
    uint64_t before = (uint64_t)(size - 1) / 2, after = (uint64_t)(size - 1) - before;
    double alpha = feri_ref_float(call->node, "alpha", 1e-4f) / (double)size;
    double beta = feri_ref_float(call->node, "beta", 0.75);
    double bias = feri_ref_float(call->node, "bias", 1.0);
    uint64_t first = channel > before ? channel - before : 0;
    uint64_t last = after < channels - 1 - channel ? channel + after : channels - 1;
    feri_ref_piece p = {.total = plane};
    while (feri_ref_next(call, &p)) {
        double chunk[FERI_REF_CHUNK], sum[FERI_REF_CHUNK] = {0.0};
        for (uint64_t c = first; c <= last && !feri_ref_poll(call, p.count); c++) {
            uint64_t start = (image * channels + c) * plane + p.begin;
            feri_ref_load_real(call, x, start, 1, p.count, chunk);
            for (uint64_t i = 0; i < p.count; i++) {
                sum[i] += chunk[i] * chunk[i];
            }
        }
        uint64_t start = (image * channels + channel) * plane + p.begin;
        feri_ref_load_real(call, x, start, 1, p.count, chunk);
        for (uint64_t i = 0; i < p.count; i++) {
            chunk[i] /= pow(bias + alpha * sum[i], beta);
        }
        feri_ref_store_real(call, call->out[0], start, 1, p.count, chunk);
    }
}

static fer_status lrn_run(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    uint64_t plane = (uint64_t)feri_kit_span(x->dims, 2, x->rank);
    for (uint64_t at = 0, i = 0; at < x->count && call->status == FER_OK; at += plane, i++) {
        lrn_plane(call, i / (uint64_t)x->dims[1], i % (uint64_t)x->dims[1], plane);
    }
    return call->status;
}

#define NORM(ident, number, does, binds, bytes)                                                    \
    FERI_REF_KERNEL(ident, number, .run = does, .bind = binds, .params_bytes = bytes)
/* clang-format off */
const feri_ref_kernel feri_ref_family_norm[] = {
    NORM(BatchNormalization, 15, batch_run, channel_bind, sizeof(span_params))
    NORM(GroupNormalization, 21, span_run, channel_bind, sizeof(span_params))
    NORM(InstanceNormalization, 22, span_run, channel_bind, sizeof(span_params))
    NORM(LRN, 13, lrn_run, lrn_bind, 0)
    NORM(LayerNormalization, 17, span_run, layer_bind, sizeof(span_params))
    NORM(LogSoftmax, 13, line_run, line_bind, sizeof(feri_ref_lines))
    NORM(LpNormalization, 22, line_run, line_bind, sizeof(feri_ref_lines))
    NORM(RMSNormalization, 23, span_run, layer_bind, sizeof(span_params))
    NORM(Softmax, 13, line_run, line_bind, sizeof(feri_ref_lines))
    FERI_REF_END
};
/* clang-format on */
