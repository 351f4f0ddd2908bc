/* SPDX-License-Identifier: Apache-2.0
 *
 * DFT, STFT and MelWeightMatrix. A transform of n points is radix 2 where n is a power of two, else
 * the plain sum; both in f64 with factors from one table of n, so that angles never grow. Called
 * through the step list.
 */
#include "kit/geometry.h"
#include "ref/ref_line.h"

#include <math.h>

/* Interleaved complex numbers: factors, points, result, n of each. */
typedef struct transform {
    feri_ref_call *call;
    uint64_t n;
    double *factors; /* e^(-2 pi i k / n), conjugated when inverse */
    double *points;
    double *result;
} transform;

static uint64_t transform_bytes(uint64_t n) {
    return n > UINT64_MAX / 64 ? UINT64_MAX : 6 * n * sizeof(double);
}

static fer_status transform_init(feri_ref_call *call, uint64_t n, int is_inverse, transform *out) {
    *out = (transform){.call = call, .n = n, .factors = call->scratch};
    out->points = out->factors + 2 * n;
    out->result = out->points + 2 * n;
    for (uint64_t k = 0; k < n; k++) {
        double angle = 2 * 3.14159265358979323846 * (double)k / (double)n;
        out->factors[2 * k] = cos(angle);
        out->factors[2 * k + 1] = is_inverse ? sin(angle) : -sin(angle);
        fer_status status = feri_ref_poll(call, 2);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static void add_product(double *sum, const double *a, const double *b) {
    sum[0] += a[0] * b[0] - a[1] * b[1];
    sum[1] += a[0] * b[1] + a[1] * b[0];
}

static fer_status transform_plain(transform *t) {
    for (uint64_t k = 0; k < t->n; k++) {
        double *sum = t->result + 2 * k;
        sum[0] = sum[1] = 0;
        for (uint64_t i = 0, turn = 0; i < t->n; i++) {
            add_product(sum, t->points + 2 * i, t->factors + 2 * turn);
            turn += k;
            turn -= turn >= t->n ? t->n : 0;
            if (i % 4096 == 4095) {
                fer_status status = feri_ref_poll(t->call, 4096);
                if (status != FER_OK) {
                    return status;
                }
            }
        }
        fer_status status = feri_ref_poll(t->call, t->n % 4096);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* result = transform of points, which may be overwritten. */
static fer_status transform_run(transform *t) {
    if ((t->n & (t->n - 1)) != 0) {
        return transform_plain(t);
    }
    for (uint64_t i = 0, reversed = 0; i < t->n; i++) {
        t->result[2 * reversed] = t->points[2 * i];
        t->result[2 * reversed + 1] = t->points[2 * i + 1];
        uint64_t bit = t->n >> 1;
        for (; bit > 0 && (reversed & bit) != 0; bit >>= 1) {
            reversed ^= bit;
        }
        reversed |= bit;
    }
    for (uint64_t half = 1; half < t->n; half *= 2) {
        for (uint64_t from = 0; from < t->n; from += 2 * half) {
            for (uint64_t k = 0; k < half; k++) {
                double *a = t->result + 2 * (from + k), *b = a + 2 * half, turned[2] = {0, 0};
                add_product(turned, b, t->factors + 2 * (k * (t->n / (2 * half))));
                b[0] = a[0] - turned[0];
                b[1] = a[1] - turned[1];
                a[0] += turned[0];
                a[1] += turned[1];
                fer_status status = feri_ref_poll(t->call, 1);
                if (status != FER_OK) {
                    return status;
                }
            }
        }
    }
    return FER_OK;
}

/* ---- DFT ---- */

typedef struct dft {
    uint64_t outer, inner;
    uint64_t in_length, out_length; /* of the axis */
    uint64_t n;
    uint32_t in_parts, out_parts;
    uint32_t is_inverse, is_onesided;
} dft;

static fer_status dft_bind(feri_ref_call *call) {
    dft *p = call->params;
    const feri_ref_tensor *x = call->in[0], *length = feri_ref_input(call, 1);
    const feri_ref_tensor *axis_one = feri_ref_input(call, 2), *y = call->out[0];
    int64_t axis = -2, n = 0;
    uint32_t at = 0;
    if ((length && length->count != 1) || (axis_one && axis_one->count != 1)) {
        return feri_ref_misfit(call, "dft_length and axis must be scalars");
    }
    if (axis_one) {
        feri_ref_load_int(call, axis_one, 0, 1, 1, &axis);
    }
    if (x->rank < 2 || y->rank != x->rank || !feri_kit_axis(axis, x->rank, &at) ||
        at == x->rank - 1 || x->dims[x->rank - 1] < 1 || x->dims[x->rank - 1] > 2) {
        return feri_ref_misfit(call, "input must end in 1 or 2 parts and axis lie before them");
    }
    p->is_inverse = feri_ref_int(call->node, "inverse", 0) != 0;
    p->is_onesided = feri_ref_int(call->node, "onesided", 0) != 0;
    p->outer = (uint64_t)feri_kit_span(x->dims, 0, at);
    p->inner = (uint64_t)feri_kit_span(x->dims, at + 1, x->rank - 1);
    p->in_length = (uint64_t)x->dims[at];
    p->out_length = (uint64_t)y->dims[at];
    p->in_parts = (uint32_t)x->dims[x->rank - 1];
    p->out_parts = p->is_inverse && p->is_onesided ? 1 : 2;
    n = p->is_inverse ? y->dims[at] : x->dims[at];
    if (length) {
        feri_ref_load_int(call, length, 0, 1, 1, &n);
    }
    p->n = (uint64_t)n;
    uint64_t bins = p->is_onesided && !p->is_inverse ? p->n / 2 + 1 : p->n;
    if (n < 1 || p->out_length != bins || y->dims[x->rank - 1] != (int64_t)p->out_parts) {
        return feri_ref_misfit(call, "dft_length does not fit the output");
    }
    call->scratch_bytes = transform_bytes(p->n);
    return FER_OK;
}

/* The lane's points, cut or filled up with zeros to n; half a spectrum is completed. */
static void dft_load(const transform *t, uint64_t lane) {
    const dft *p = t->call->params;
    uint64_t outer = lane / p->inner, inner = lane % p->inner;
    uint64_t given = p->in_length < p->n ? p->in_length : p->n;
    int completes = p->is_inverse && p->is_onesided;
    given = completes && given > p->n / 2 + 1 ? p->n / 2 + 1 : given;
    for (uint64_t i = 0; i < p->n; i++) {
        double *point = t->points + 2 * i;
        point[0] = point[1] = 0;
        if (i < given) {
            uint64_t at = ((outer * p->in_length + i) * p->inner + inner) * p->in_parts;
            feri_ref_load_real(t->call, t->call->in[0], at, 1, p->in_parts, point);
        }
    }
    for (uint64_t i = p->n / 2 + 1; completes && i < p->n; i++) {
        t->points[2 * i] = t->points[2 * (p->n - i)];
        t->points[2 * i + 1] = -t->points[2 * (p->n - i) + 1];
    }
}

static fer_status dft_run(feri_ref_call *call) {
    const dft *p = call->params;
    transform t;
    if (call->out[0]->count == 0) {
        return FER_OK;
    }
    fer_status status = transform_init(call, p->n, (int)p->is_inverse, &t);
    for (uint64_t lane = 0; status == FER_OK && lane < p->outer * p->inner; lane++) {
        dft_load(&t, lane);
        status = transform_run(&t);
        for (uint64_t k = 0; status == FER_OK && k < p->out_length; k++) {
            double *bin = t.result + 2 * k;
            uint64_t at =
                ((lane / p->inner * p->out_length + k) * p->inner + lane % p->inner) * p->out_parts;
            bin[0] /= p->is_inverse ? (double)p->n : 1;
            bin[1] /= p->is_inverse ? (double)p->n : 1;
            feri_ref_store_real(call, call->out[0], at, 1, p->out_parts, bin);
            status = feri_ref_poll(call, 4);
        }
    }
    return status;
}

/* ---- STFT ---- */

typedef struct stft {
    uint64_t frames, bins, step, n;
} stft;

static fer_status stft_bind(feri_ref_call *call) {
    stft *p = call->params;
    const feri_ref_tensor *x = call->in[0], *step = call->in[1], *y = call->out[0];
    const feri_ref_tensor *window = feri_ref_input(call, 2), *length = feri_ref_input(call, 3);
    int64_t n = window ? (int64_t)window->count : 0, hop = 0;
    if (x->rank != 3 || y->rank != 4 || x->dims[2] < 1 || x->dims[2] > 2 || step->count != 1 ||
        (length && length->count != 1) || (!window && !length)) {
        return feri_ref_misfit(
            call,
            "signal must be [batch, length, 1 or 2], frame_step and frame_length "
            "scalars, and a window or frame_length be given");
    }
    feri_ref_load_int(call, step, 0, 1, 1, &hop);
    if (length) {
        feri_ref_load_int(call, length, 0, 1, 1, &n);
    }
    if (n < 1 || hop < 1) {
        return feri_ref_misfit(call, "frame_step and frame_length are positive");
    }
    *p = (stft){(uint64_t)y->dims[1], (uint64_t)y->dims[2], (uint64_t)hop, (uint64_t)n};
    int is_onesided = feri_ref_int(call->node, "onesided", 1) != 0;
    if (p->bins != (is_onesided ? p->n / 2 + 1 : p->n) || y->dims[3] != 2 ||
        y->dims[0] != x->dims[0]) {
        return feri_ref_misfit(call, "frame_length does not fit the output");
    }
    call->scratch_bytes = transform_bytes(p->n);
    return FER_OK;
}

/* A frame times the window; what lies beyond the signal or the window is 0. */
static void stft_load(const transform *t, uint64_t batch, uint64_t frame) {
    const stft *p = t->call->params;
    const feri_ref_tensor *x = t->call->in[0], *window = feri_ref_input(t->call, 2);
    uint64_t length = (uint64_t)x->dims[1], parts = (uint64_t)x->dims[2];
    for (uint64_t i = 0; i < p->n; i++) {
        double *point = t->points + 2 * i, weight = 1;
        uint64_t at = frame * p->step + i;
        point[0] = point[1] = 0;
        if (at < length && (!window || i < window->count)) {
            feri_ref_load_real(t->call, x, (batch * length + at) * parts, 1, parts, point);
            if (window) {
                feri_ref_load_real(t->call, window, i, 1, 1, &weight);
            }
        }
        point[0] *= weight;
        point[1] *= weight;
    }
}

static fer_status stft_run(feri_ref_call *call) {
    const stft *p = call->params;
    transform t;
    if (call->out[0]->count == 0) {
        return FER_OK;
    }
    fer_status status = transform_init(call, p->n, /*is_inverse=*/0, &t);
    uint64_t lanes = (uint64_t)call->in[0]->dims[0] * p->frames;
    for (uint64_t lane = 0; status == FER_OK && lane < lanes; lane++) {
        stft_load(&t, lane / p->frames, lane % p->frames);
        status = transform_run(&t);
        if (status == FER_OK) {
            feri_ref_store_real(call, call->out[0], lane * p->bins * 2, 1, p->bins * 2, t.result);
            status = feri_ref_poll(call, p->n);
        }
    }
    return status;
}

/* ---- MelWeightMatrix ---- */

static double hertz_to_mel(double hertz) { return 2595 * log10(1 + hertz / 700); }
static double mel_to_hertz(double mel) { return 700 * (pow(10, mel / 2595) - 1); }

/* Weight of spectrum bin in the triangle (low, center, high): up to 1 at the center, and down. */
static double triangle(double bin, double low, double center, double high) {
    if (bin >= center && high > center && bin < high) {
        return (high - bin) / (high - center);
    }
    if (center == low) {
        return bin == center;
    }
    return bin >= low && bin <= center ? (bin - low) / (center - low) : 0;
}

static fer_status mel_run(feri_ref_call *call) {
    feri_ref_tensor *out = call->out[0];
    double operand[5];
    for (uint32_t i = 0; i < 5; i++) {
        if (call->in[i]->count != 1) {
            return feri_ref_misfit(call, "its operands must be scalars");
        }
        feri_ref_load_real(call, call->in[i], 0, 1, 1, &operand[i]);
    }
    uint64_t bins = out->rank == 2 ? (uint64_t)out->dims[0] : 0;
    uint64_t bands = out->rank == 2 ? (uint64_t)out->dims[1] : 0;
    double low = hertz_to_mel(operand[3]), high = hertz_to_mel(operand[4]);
    if (!(operand[2] > 0) || !isfinite(low) || !isfinite(high)) {
        return feri_ref_misfit(call, "sample_rate and the edges must be positive frequencies");
    }
    double step = (high - low) / (operand[0] + 2);
    for (uint64_t i = 0; i < bins * bands; i++) {
        double edge[3], weight;
        for (uint64_t k = 0; k < 3; k++) {
            double hertz = mel_to_hertz((double)(i % bands + k) * step + low);
            edge[k] = floor((operand[1] + 1) * hertz / operand[2]);
        }
        weight = triangle((double)(i / bands), edge[0], edge[1], edge[2]);
        feri_ref_store_real(call, out, i, 1, 1, &weight);
        fer_status status = feri_ref_poll(call, 64);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_spectral[] = {
    FERI_REF_KERNEL(DFT, 20, .run = dft_run, .bind = dft_bind, .params_bytes = sizeof(dft))
    FERI_REF_KERNEL(STFT, 17, .run = stft_run, .bind = stft_bind, .params_bytes = sizeof(stft))
    FERI_REF_KERNEL(MelWeightMatrix, 17, .run = mel_run)
    FERI_REF_END
};
/* clang-format on */
