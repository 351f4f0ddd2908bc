/* SPDX-License-Identifier: Apache-2.0
 *
 * Random tensors. Element i takes block i of Philox4x32-10 (Salmon et al., "Parallel random
 * numbers: as easy as 1, 2, 3", 2011), so values depend on the seed and the place alone. Without a
 * seed, clock and node name give one. Called through the step list.
 */
#include "ref/ref_line.h"

#include <math.h>
#include <string.h>

typedef struct stream {
    uint32_t key[2];
} stream;

/* words = block number counter. */
static void philox(const stream *s, uint64_t counter, uint32_t *words) {
    uint32_t k0 = s->key[0], k1 = s->key[1];
    words[0] = (uint32_t)counter;
    words[1] = (uint32_t)(counter >> 32);
    words[2] = words[3] = 0;
    for (int round = 0; round < 10; round++) {
        uint64_t a = UINT64_C(0xD2511F53) * words[0], b = UINT64_C(0xCD9E8D57) * words[2];
        uint32_t w1 = words[1], w3 = words[3];
        words[0] = (uint32_t)(b >> 32) ^ w1 ^ k0;
        words[1] = (uint32_t)b;
        words[2] = (uint32_t)(a >> 32) ^ w3 ^ k1;
        words[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

static stream open_stream(feri_ref_call *call) {
    const fer_attr *seed = feri_ref_attr(call->node, "seed");
    stream s = {
        {0, 0}
    };
    if (seed) {
        memcpy(&s.key[0], &seed->value.f, sizeof(s.key[0]));
        return s;
    }
    uint64_t mixed = call->host->clock_ns(call->host->self);
    for (const char *c = call->node->name; c && *c; c++) {
        mixed = (mixed ^ (unsigned char)*c) * UINT64_C(0x100000001B3);
    }
    s.key[0] = (uint32_t)mixed;
    s.key[1] = (uint32_t)(mixed >> 32);
    return s;
}

/* In [0, 1), with as many bits as dtype holds there, so that rounding never gives 1. */
static double unit(const uint32_t *words, fer_dtype dtype) {
    int bits = dtype == FER_F32 ? 24 : dtype == FER_F16 ? 11 : dtype == FER_BF16 ? 8 : 53;
    uint64_t both = (uint64_t)words[0] << 32 | words[1];
    return ldexp((double)(both >> (64 - bits)), -bits);
}

typedef double (*draw_fn)(feri_ref_call *call, const uint32_t *words, double given);

static double draw_uniform(feri_ref_call *call, const uint32_t *words, double given) {
    double low = feri_ref_float(call->node, "low", 0), high = feri_ref_float(call->node, "high", 1);
    (void)given;
    return low + (high - low) * unit(words, call->out[0]->dtype);
}

/* Box and Muller's transform of two uniform numbers, the first in (0, 1]. */
static double draw_normal(feri_ref_call *call, const uint32_t *words, double given) {
    double radius = sqrt(-2 * log(1 - unit(words, FER_F64)));
    double turn = 2 * 3.14159265358979323846 * unit(words + 2, FER_F64);
    (void)given;
    return feri_ref_float(call->node, "mean", 0) +
           feri_ref_float(call->node, "scale", 1) * radius * cos(turn);
}

static double draw_bernoulli(feri_ref_call *call, const uint32_t *words, double given) {
    (void)call;
    return unit(words, FER_F64) < given;
}

static fer_status fill(feri_ref_call *call, draw_fn draw, const feri_ref_tensor *given) {
    stream s = open_stream(call);
    feri_ref_tensor *out = call->out[0];
    for (uint64_t begin = 0; begin < out->count; begin += FERI_REF_CHUNK) {
        double values[FERI_REF_CHUNK] = {0};
        uint64_t count = out->count - begin < FERI_REF_CHUNK ? out->count - begin : FERI_REF_CHUNK;
        if (given) {
            feri_ref_load_real(call, given, begin, 1, count, values);
        }
        for (uint64_t i = 0; i < count; i++) {
            uint32_t words[4];
            philox(&s, begin + i, words);
            values[i] = draw(call, words, values[i]);
        }
        feri_ref_store_real(call, out, begin, 1, count, values);
        fer_status status = feri_ref_poll(call, count * 16);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status run_uniform(feri_ref_call *call) { return fill(call, draw_uniform, NULL); }
static fer_status run_normal(feri_ref_call *call) { return fill(call, draw_normal, NULL); }

static fer_status run_bernoulli(feri_ref_call *call) {
    return call->in[0]->count == call->out[0]->count
               ? fill(call, draw_bernoulli, call->in[0])
               : feri_ref_misfit(call, "input and output differ in size");
}

/* ---- Multinomial ---- */

static fer_status multinomial_bind(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    call->scratch_bytes = (in->rank == 2 ? (uint64_t)in->dims[1] : 0) * sizeof(double);
    return FER_OK;
}

/* The row's log-probabilities as a running sum of probabilities. */
static fer_status
sum_row(feri_ref_call *call, uint64_t row, uint64_t classes, double *sums, double *out_total) {
    double most = -INFINITY, total = 0;
    feri_ref_load_real(call, call->in[0], row * classes, 1, classes, sums);
    for (uint64_t c = 0; c < classes; c++) {
        most = sums[c] > most ? sums[c] : most;
    }
    for (uint64_t c = 0; c < classes; c++) {
        double each = exp(sums[c] - most);
        total += each > 0 ? each : 0;
        sums[c] = total;
    }
    *out_total = total;
    return isfinite(total) && total > 0 ? feri_ref_poll(call, classes)
                                        : feri_ref_misfit(call, "a row holds no probabilities");
}

static fer_status run_multinomial(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    stream s = open_stream(call);
    if (in->rank != 2 || out->rank != 2 || out->dims[0] != in->dims[0]) {
        return feri_ref_misfit(call, "input must be a matrix");
    }
    uint64_t classes = (uint64_t)in->dims[1], samples = (uint64_t)out->dims[1];
    double *sums = call->scratch, total = 0;
    fer_status status = FER_OK;
    for (uint64_t i = 0; status == FER_OK && i < out->count; i++) {
        uint32_t words[4];
        if (i % samples == 0) {
            status = sum_row(call, i / samples, classes, sums, &total);
        }
        philox(&s, i, words);
        double at = unit(words, FER_F64) * total;
        uint64_t low = 0, high = classes; /* the first class whose sum is above */
        while (status == FER_OK && low < high) {
            uint64_t middle = low + (high - low) / 2;
            if (sums[middle] > at) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        int64_t chosen = (int64_t)(low < classes ? low : classes - 1);
        feri_ref_store_int(call, out, i, 1, 1, &chosen);
        status = status ? status : feri_ref_poll(call, 64);
    }
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_random[] = {
    FERI_REF_KERNEL(RandomUniform, 22, .run = run_uniform)
    FERI_REF_KERNEL(RandomUniformLike, 22, .run = run_uniform)
    FERI_REF_KERNEL(RandomNormal, 22, .run = run_normal)
    FERI_REF_KERNEL(RandomNormalLike, 22, .run = run_normal)
    FERI_REF_KERNEL(Bernoulli, 22, .run = run_bernoulli)
    FERI_REF_KERNEL(Multinomial, 22, .run = run_multinomial, .bind = multinomial_bind)
    FERI_REF_END
};
/* clang-format on */
