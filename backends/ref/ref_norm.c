/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisations: BatchNormalization (training too), Instance-, Layer-, Group- and
 * RMSNormalization, LRN, LpNormalization, Softmax and LogSoftmax. Means and variances take two
 * passes in f64; stash_type therefore changes nothing but the dtype of outputs. Called by the
 * executor through its table.
 */
#include "kit/geometry.h"
#include "ref/ref_line.h"

#include <math.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* ---- Softmax, LogSoftmax, LpNormalization: lines along one axis ---- */

static fer_status line_bind(feri_ref_call *call) {
    fer_status status = feri_ref_lines_around(
        call, call->in[0], feri_ref_int(call->node, "axis", -1), call->params);
    return status ? status
                  : feri_ref_same_dims(call,
                                       call->in[0],
                                       call->out[0],
                                       "the output must have the shape of the input");
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
        if (op == FER_OP_LpNormalization) {
            if (pass == 1) {
                sums->sum += power == 1 ? fabs(v) : v * v;
            } else {
                chunk[i] = sums->sum == 0.0 ? 0.0 : v / sums->sum;
            }
        } else if (pass == 0) {
            sums->max = v > sums->max || isnan(v) ? v : sums->max;
        } else if (pass == 1) {
            sums->sum += exp(v - sums->max);
        } else if (op == FER_OP_Softmax) {
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
    for (uint64_t line = 0; line < count; line++) {
        uint64_t start = line / lines->inner * lines->length * lines->inner + line % lines->inner;
        line_sums sums = {-(double)INFINITY, 0.0};
        for (int pass = op == FER_OP_LpNormalization; pass < 3; pass++) {
            if (pass == 2 && op == FER_OP_LpNormalization && power == 2) {
                sums.sum = sqrt(sums.sum);
            }
            for (uint64_t at = 0; at < lines->length; at += FERI_REF_CHUNK) {
                double chunk[FERI_REF_CHUNK];
                uint64_t n = least(lines->length - at, FERI_REF_CHUNK);
                uint64_t from = start + at * lines->inner;
                feri_ref_load_real(call, call->in[0], from, lines->inner, n, chunk);
                line_chunk(op, power, pass, &sums, chunk, n);
                if (pass == 2) {
                    feri_ref_store_real(call, call->out[0], from, lines->inner, n, chunk);
                }
                fer_status status = feri_ref_poll(call, n);
                if (status) {
                    return status;
                }
            }
        }
    }
    return FER_OK;
}

/* Y may be left out where somebody wants the moments only. */
static fer_status y_fits(const feri_ref_call *call) {
    return call->out[0]
               ? feri_ref_same_dims(call, call->in[0], call->out[0], "Y must have the shape of X")
               : FER_OK;
}

/* ---- mean and variance over contiguous spans ---- */

typedef struct moments {
    double mean;
    double scale; /* 1 / sqrt(variance + epsilon) */
} moments;

/* Sum of (x - shift)^power over [start, start + count) of the first operand. */
static fer_status sum_powers(
    feri_ref_call *call, uint64_t start, uint64_t count, double shift, int power, double *out_sum) {
    double sum = 0.0;
    for (uint64_t at = 0; at < count; at += FERI_REF_CHUNK) {
        double chunk[FERI_REF_CHUNK];
        uint64_t n = least(count - at, FERI_REF_CHUNK);
        feri_ref_load_real(call, call->in[0], start + at, 1, n, chunk);
        for (uint64_t i = 0; i < n; i++) {
            double v = chunk[i] - shift;
            sum += power == 2 ? v * v : v;
        }
        fer_status status = feri_ref_poll(call, n);
        if (status) {
            return status;
        }
    }
    *out_sum = sum;
    return FER_OK;
}

/* RMS takes the mean for 0. */
static fer_status span_moments(
    feri_ref_call *call, uint64_t start, uint64_t count, int is_rms, moments *out_moments) {
    double sum = 0.0, squares = 0.0, epsilon = feri_ref_float(call->node, "epsilon", 1e-5f);
    fer_status status = is_rms ? FER_OK : sum_powers(call, start, count, 0.0, 1, &sum);
    double mean = sum / (double)count;
    if (status || (status = sum_powers(call, start, count, is_rms ? 0.0 : mean, 2, &squares))) {
        return status;
    }
    *out_moments = (moments){is_rms ? 0.0 : mean, 1.0 / sqrt(squares / (double)count + epsilon)};
    return FER_OK;
}

/* Scale and bias of a span: one for each stretch of per elements, from index first on. */
typedef struct affine {
    const feri_ref_tensor *scale;
    const feri_ref_tensor *bias; /* or NULL */
    uint64_t first;
    uint64_t per;
} affine;

static fer_status
write_span(feri_ref_call *call, uint64_t start, uint64_t count, moments m, const affine *a) {
    for (uint64_t at = 0; call->out[0] && at < count;) {
        double chunk[FERI_REF_CHUNK], scale[FERI_REF_CHUNK], bias[FERI_REF_CHUNK];
        int is_each = a->per == 1;
        uint64_t n = least(count - at, FERI_REF_CHUNK), from = a->first + at / a->per;
        n = is_each ? n : least(n, a->per - at % a->per);
        feri_ref_load_real(call, call->in[0], start + at, 1, n, chunk);
        feri_ref_load_real(call, a->scale, from, 1, is_each ? n : 1, scale);
        bias[0] = 0.0;
        if (a->bias) {
            feri_ref_load_real(call, a->bias, from, 1, is_each ? n : 1, bias);
        }
        for (uint64_t i = 0; i < n; i++) {
            uint64_t at_affine = is_each ? i : 0;
            double added = a->bias ? bias[at_affine] : 0.0;
            chunk[i] = (chunk[i] - m.mean) * m.scale * scale[at_affine] + added;
        }
        feri_ref_store_real(call, call->out[0], start + at, 1, n, chunk);
        fer_status status = feri_ref_poll(call, n);
        if (status) {
            return status;
        }
        at += n;
    }
    return FER_OK;
}

/* ---- BatchNormalization, InstanceNormalization, GroupNormalization ---- */

static int is_vector(const feri_ref_tensor *t, int64_t length) {
    return t->rank == 1 && t->dims[0] == length;
}

static fer_status channel_bind(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    int is_batch = call->node->op == FER_OP_BatchNormalization;
    /* A batch norm of a vector has one channel. */
    int64_t channels = x->rank > 1 ? x->dims[1] : 1;
    int fits = x->rank > (is_batch ? 0 : 1);
    for (uint32_t i = 1; fits && i < call->node->input_count; i++) {
        fits = call->in[i] && is_vector(call->in[i], channels);
    }
    for (uint32_t i = 1; fits && i < 3; i++) {
        const feri_ref_tensor *running = feri_ref_output(call, i);
        fits = !running || is_vector(running, channels);
    }
    if (!fits) {
        return feri_ref_fail(
            call, FER_INVALID_INPUT, "scale, bias, mean and variance must have one per channel");
    }
    if (call->node->op == FER_OP_GroupNormalization) {
        int64_t groups = feri_ref_int(call->node, "num_groups", 0);
        if (groups < 1 || channels % groups != 0) {
            return feri_ref_fail(
                call, FER_INVALID_MODEL, "num_groups does not divide the channels");
        }
    }
    return y_fits(call);
}

static fer_status channel_run(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    uint32_t op = call->node->op;
    double epsilon = feri_ref_float(call->node, "epsilon", 1e-5f);
    uint64_t channels = x->rank > 1 ? (uint64_t)x->dims[1] : 1;
    uint64_t size = x->rank > 1 ? (uint64_t)feri_kit_span(x->dims, 2, x->rank) : 1;
    uint64_t per_group = 1; /* channels whose elements share their moments */
    if (op == FER_OP_GroupNormalization) {
        per_group = channels / (uint64_t)feri_ref_int(call->node, "num_groups", 1);
    }
    uint64_t span = size * per_group;
    for (uint64_t at = 0, c = 0; at < x->count; at += span, c = (c + per_group) % channels) {
        affine a = {call->in[1], call->in[2], c, size};
        moments m = {0.0, 1.0};
        fer_status status = FER_OK;
        if (op == FER_OP_BatchNormalization) {
            double variance = 0.0;
            feri_ref_load_real(call, call->in[3], c, 1, 1, &m.mean);
            feri_ref_load_real(call, call->in[4], c, 1, 1, &variance);
            m.scale = 1.0 / sqrt(variance + epsilon);
        } else {
            status = span_moments(call, at, span, /*is_rms=*/0, &m);
        }
        if (status || (status = write_span(call, at, span, m, &a))) {
            return status;
        }
    }
    return FER_OK;
}

/* Mean and variance of one channel over all images. */
static fer_status batch_moments(
    feri_ref_call *call, uint64_t channel, uint64_t size, double *out_mean, double *out_variance) {
    const feri_ref_tensor *x = call->in[0];
    uint64_t images = (uint64_t)x->dims[0], channels = x->rank > 1 ? (uint64_t)x->dims[1] : 1;
    double shift = 0.0, count = (double)images * (double)size;
    for (int power = 1; power <= 2; power++) {
        double total = 0.0;
        for (uint64_t i = 0; i < images; i++) {
            double sum = 0.0;
            uint64_t start = (i * channels + channel) * size;
            fer_status status = sum_powers(call, start, size, shift, power, &sum);
            if (status) {
                return status;
            }
            total += sum;
        }
        shift = power == 1 ? total / count : shift;
        *out_variance = total / count;
    }
    *out_mean = shift;
    return FER_OK;
}

/* The running value of a channel: what came in and what this batch had, mixed by momentum. */
static void store_running(feri_ref_call *call, uint32_t index, uint64_t channel, double current) {
    double momentum = feri_ref_float(call->node, "momentum", 0.9f), past = 0.0;
    feri_ref_tensor *out = feri_ref_output(call, index);
    if (out) {
        feri_ref_load_real(call, call->in[2 + index], channel, 1, 1, &past);
        past = past * momentum + current * (1.0 - momentum);
        feri_ref_store_real(call, out, channel, 1, 1, &past);
    }
}

/* BatchNormalization with training_mode: the batch's own moments. */
static fer_status train_run(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    uint64_t channels = x->rank > 1 ? (uint64_t)x->dims[1] : 1;
    uint64_t size = x->rank > 1 ? (uint64_t)feri_kit_span(x->dims, 2, x->rank) : 1;
    double epsilon = feri_ref_float(call->node, "epsilon", 1e-5f);
    for (uint64_t c = 0; x->count && c < channels; c++) {
        affine a = {call->in[1], call->in[2], c, size};
        moments m = {0.0, 1.0};
        double variance = 0.0;
        fer_status status = batch_moments(call, c, size, &m.mean, &variance);
        m.scale = 1.0 / sqrt(variance + epsilon);
        for (uint64_t i = 0; !status && i < (uint64_t)x->dims[0]; i++) {
            status = write_span(call, (i * channels + c) * size, size, m, &a);
        }
        if (status) {
            return status;
        }
        store_running(call, 1, c, m.mean);
        store_running(call, 2, c, variance);
    }
    return FER_OK;
}

static fer_status batch_run(feri_ref_call *call) {
    return feri_ref_int(call->node, "training_mode", 0) ? train_run(call) : channel_run(call);
}

/* ---- LayerNormalization, RMSNormalization ---- */

typedef struct layer_params {
    uint64_t spans;
    uint64_t span;         /* elements that share their moments */
    uint64_t scale_period; /* scale and bias repeat after this many elements; 0: see strides */
    uint64_t bias_period;
    int64_t strides[2][FER_MAX_RANK]; /* of scale and bias broadcast to X */
} layer_params;

/* An operand that is a suffix of x's dims (leading ones allowed) repeats after its count of
 * elements; 0 when it has another shape. */
static uint64_t suffix_period(const feri_ref_tensor *x, const feri_ref_tensor *t) {
    uint32_t skipped = 0;
    while (skipped < t->rank && t->dims[skipped] == 1) {
        skipped++;
    }
    uint32_t rank = t->rank - skipped;
    for (uint32_t i = 0; i < rank; i++) {
        if (rank > x->rank || t->dims[skipped + i] != x->dims[x->rank - rank + i]) {
            return 0;
        }
    }
    return t->rank <= x->rank ? t->count : 0;
}

static fer_status layer_bind(feri_ref_call *call) {
    layer_params *p = call->params;
    const feri_ref_tensor *x = call->in[0], *bias = feri_ref_input(call, 2);
    uint32_t axis = 0;
    if (!feri_kit_axis(feri_ref_int(call->node, "axis", -1), x->rank, &axis)) {
        return feri_ref_fail(call, FER_INVALID_MODEL, "axis does not exist in X");
    }
    fer_status status = y_fits(call);
    if (status) {
        return status;
    }
    /* Of an empty X only the moments are written: NaN for each empty span. */
    p->spans = (uint64_t)feri_kit_span(x->dims, 0, axis);
    p->span = x->count ? (uint64_t)feri_kit_span(x->dims, axis, x->rank) : 0;
    p->scale_period = x->count ? suffix_period(x, call->in[1]) : 1;
    p->bias_period = bias && x->count ? suffix_period(x, bias) : 1;
    for (uint32_t i = 1; i < 3; i++) {
        const feri_ref_tensor *t = feri_ref_input(call, i);
        if (t &&
            !feri_kit_broadcast_strides(x->rank, x->dims, t->rank, t->dims, p->strides[i - 1])) {
            return feri_ref_fail(
                call, FER_INVALID_INPUT, "scale or bias cannot be broadcast to X's shape");
        }
        const feri_ref_tensor *extra = feri_ref_output(call, i);
        if (extra && extra->count != p->spans) {
            return feri_ref_fail(
                call, FER_INVALID_INPUT, "Mean and InvStdDev must have one per normalised span");
        }
    }
    return FER_OK;
}

/* Index in a broadcast operand of X's element at. */
static uint64_t broadcast_index(const feri_ref_tensor *x, const int64_t *strides, uint64_t at) {
    uint64_t index = 0;
    for (uint32_t i = x->rank; i-- > 0;) {
        index += at % (uint64_t)x->dims[i] * (uint64_t)strides[i];
        at /= (uint64_t)x->dims[i];
    }
    return index;
}

/* Scale (operand 1) or bias (2) of element at and those after it: up to count in one stretch. */
static uint64_t load_repeated(
    const feri_ref_call *call, uint32_t operand, uint64_t at, uint64_t count, double *out) {
    const layer_params *p = call->params;
    const feri_ref_tensor *t = call->in[operand];
    uint64_t period = operand == 1 ? p->scale_period : p->bias_period;
    if (period == 0) {
        uint64_t index = broadcast_index(call->in[0], p->strides[operand - 1], at);
        feri_ref_load_real(call, t, index, 1, 1, out);
        return 1;
    }
    uint64_t n = period == 1 ? count : least(count, period - at % period);
    feri_ref_load_real(call, t, at % period, period != 1, n, out);
    return n;
}

static fer_status write_layer(feri_ref_call *call, uint64_t start, moments m) {
    const layer_params *p = call->params;
    const feri_ref_tensor *bias = feri_ref_input(call, 2);
    for (uint64_t at = start; call->out[0] && at < start + p->span;) {
        double chunk[FERI_REF_CHUNK], scale[FERI_REF_CHUNK], added[FERI_REF_CHUNK];
        uint64_t n = least(start + p->span - at, FERI_REF_CHUNK);
        n = load_repeated(call, 1, at, n, scale);
        if (bias) {
            n = load_repeated(call, 2, at, n, added);
        }
        feri_ref_load_real(call, call->in[0], at, 1, n, chunk);
        for (uint64_t i = 0; i < n; i++) {
            chunk[i] = (chunk[i] - m.mean) * m.scale * scale[i] + (bias ? added[i] : 0.0);
        }
        feri_ref_store_real(call, call->out[0], at, 1, n, chunk);
        fer_status status = feri_ref_poll(call, n);
        if (status) {
            return status;
        }
        at += n;
    }
    return FER_OK;
}

static fer_status layer_run(feri_ref_call *call) {
    const layer_params *p = call->params;
    int is_rms = call->node->op == FER_OP_RMSNormalization;
    feri_ref_tensor *mean = feri_ref_output(call, 1), *inverse = feri_ref_output(call, 2);
    for (uint64_t i = 0; i < p->spans; i++) {
        moments m;
        fer_status status = span_moments(call, i * p->span, p->span, is_rms, &m);
        if (status || (status = write_layer(call, i * p->span, m))) {
            return status;
        }
        if (mean) {
            feri_ref_store_real(call, mean, i, 1, 1, &m.mean);
        }
        if (inverse) {
            feri_ref_store_real(call, inverse, i, 1, 1, &m.scale);
        }
    }
    return FER_OK;
}

/* ---- LRN ---- */

static fer_status lrn_bind(feri_ref_call *call) {
    if (call->in[0]->rank < 2 || feri_ref_int(call->node, "size", 0) < 1) {
        return feri_ref_fail(
            call, FER_INVALID_INPUT, "X needs a channel dim, and size must be positive");
    }
    return feri_ref_same_dims(call, call->in[0], call->out[0], "Y must have the shape of X");
}

/* Elements [at, at + count) of a channel's plane: squares of the neighbouring channels summed. */
static fer_status
lrn_block(feri_ref_call *call, uint64_t image, uint64_t channel, uint64_t at, uint64_t count) {
    const feri_ref_tensor *x = call->in[0];
    uint64_t channels = (uint64_t)x->dims[1];
    uint64_t plane = (uint64_t)feri_kit_span(x->dims, 2, x->rank);
    int64_t size = feri_ref_int(call->node, "size", 1);
    uint64_t before = (uint64_t)(size - 1) / 2, after = (uint64_t)(size - 1) - before;
    double chunk[FERI_REF_CHUNK], sum[FERI_REF_CHUNK] = {0.0};
    double alpha = feri_ref_float(call->node, "alpha", 1e-4f) / (double)size;
    double beta = feri_ref_float(call->node, "beta", 0.75);
    double bias = feri_ref_float(call->node, "bias", 1.0);
    uint64_t first = channel > before ? channel - before : 0;
    uint64_t last = after < channels - 1 - channel ? channel + after : channels - 1;
    for (uint64_t c = first; c <= last; c++) {
        feri_ref_load_real(call, x, (image * channels + c) * plane + at, 1, count, chunk);
        for (uint64_t i = 0; i < count; i++) {
            sum[i] += chunk[i] * chunk[i];
        }
        fer_status status = feri_ref_poll(call, count);
        if (status) {
            return status;
        }
    }
    uint64_t start = (image * channels + channel) * plane + at;
    feri_ref_load_real(call, x, start, 1, count, chunk);
    for (uint64_t i = 0; i < count; i++) {
        chunk[i] /= pow(bias + alpha * sum[i], beta);
    }
    feri_ref_store_real(call, call->out[0], start, 1, count, chunk);
    return feri_ref_poll(call, count);
}

static fer_status lrn_run(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    uint64_t plane = (uint64_t)feri_kit_span(x->dims, 2, x->rank);
    uint64_t planes = x->count ? x->count / plane : 0;
    for (uint64_t i = 0; i < planes; i++) {
        for (uint64_t at = 0; at < plane; at += FERI_REF_CHUNK) {
            fer_status status = lrn_block(call,
                                          i / (uint64_t)x->dims[1],
                                          i % (uint64_t)x->dims[1],
                                          at,
                                          least(plane - at, FERI_REF_CHUNK));
            if (status) {
                return status;
            }
        }
    }
    return FER_OK;
}

#define NORM(ident, number, does, binds, bytes)                                                    \
    FERI_REF_ROW(ident, .revision = number, .run = does, .bind = binds, .params_bytes = bytes)
/* clang-format off */
static const feri_ref_kernel kernels[] = {
    NORM(BatchNormalization, 15, batch_run, channel_bind, 0)
    NORM(GroupNormalization, 21, channel_run, channel_bind, 0)
    NORM(InstanceNormalization, 22, channel_run, channel_bind, 0)
    NORM(LRN, 13, lrn_run, lrn_bind, 0)
    NORM(LayerNormalization, 17, layer_run, layer_bind, sizeof(layer_params))
    NORM(LogSoftmax, 13, line_run, line_bind, sizeof(feri_ref_lines))
    NORM(LpNormalization, 22, line_run, line_bind, sizeof(feri_ref_lines))
    NORM(RMSNormalization, 23, layer_run, layer_bind, sizeof(layer_params))
    NORM(Softmax, 13, line_run, line_bind, sizeof(feri_ref_lines))
    FERI_REF_END
};
/* clang-format on */
const feri_ref_family feri_ref_family_norm = FERI_REF_FAMILY_OF(kernels);
