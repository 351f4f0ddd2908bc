/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes, shapes and activation functions of recurrent layers: see ref_recurrent.h. Every
 * operand is checked against the sizes that W and R give before a step is run.
 */
#include "ref/ref_gemm.h"
#include "ref/ref_recurrent.h"

#include <math.h>
#include <string.h>

/* In the order of NAMES, which inference has too. */
enum { RELU, TANH, SIGMOID, AFFINE, LEAKY_RELU, THRESHOLDED_RELU, SCALED_TANH, HARD_SIGMOID };
enum { ELU = HARD_SIGMOID + 1, SOFTSIGN, SOFTPLUS, FUNCTIONS };
#define NAMES                                                                                      \
    "Relu, Tanh, Sigmoid, Affine, LeakyRelu, ThresholdedRelu, ScaledTanh, HardSigmoid, Elu, "      \
    "Softsign, Softplus"

/* Defaults of alpha and beta; NAN: the function takes none. */
static const float defaults[FUNCTIONS][2] = {
    [RELU] = {NAN,   NAN },
    [TANH] = {NAN,   NAN },
    [SIGMOID] = {NAN,   NAN },
    [AFFINE] = {1.0f,  0.0f},
    [LEAKY_RELU] = {0.01f, NAN },
    [THRESHOLDED_RELU] = {1.0f,  NAN },
    [SCALED_TANH] = {1.0f,  1.0f},
    [HARD_SIGMOID] = {0.2f,  0.5f},
    [ELU] = {1.0f,  NAN },
    [SOFTSIGN] = {NAN,   NAN },
    [SOFTPLUS] = {NAN,   NAN },
};

double feri_ref_activate(const feri_ref_activation *activation, double x) {
    double a = activation->alpha, b = activation->beta;
    switch (activation->function) {
    case AFFINE:
        return a * x + b;
    case ELU:
        return x >= 0.0 ? x : a * expm1(x);
    case HARD_SIGMOID:
        return fmin(fmax(a * x + b, 0.0), 1.0);
    case LEAKY_RELU:
        return x >= 0.0 ? x : a * x;
    case RELU:
        return x > 0.0 ? x : 0.0;
    case SCALED_TANH:
        return a * tanh(b * x);
    case SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case SOFTPLUS:
        return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case SOFTSIGN:
        return x / (1.0 + fabs(x));
    case THRESHOLDED_RELU:
        return x >= a ? x : 0.0;
    default:
        return tanh(x);
    }
}

/* The next of the attribute's values. Lists either hold one for every activation or only for those
 * that take it: index is the activation's, *used counts those that were taken. */
static double parameter(
    const fer_attr *attr, uint32_t index, uint32_t activations, uint32_t *used, float absent) {
    uint32_t count = attr && attr->type == FER_ATTR_FLOATS && !isnan(absent) ? attr->count : 0;
    uint32_t at = count == activations ? index : *used;
    *used += !isnan(absent) && count != activations;
    return at < count ? (double)attr->value.floats[at] : (double)absent;
}

/* Equal but for case, in every locale (strncasecmp obeys it); names have letters only. */
static int compare_letters(const char *a, const char *b, size_t length) {
    int differ = 0;
    for (size_t i = 0; i < length; i++) {
        differ |= (a[i] ^ b[i]) & ~('a' ^ 'A');
    }
    return differ;
}

static fer_status read_activations(feri_ref_call *call, feri_ref_recurrent *p) {
    const fer_attr *names = feri_ref_attr(call->node, "activations");
    const fer_attr *alphas = feri_ref_attr(call->node, "activation_alpha");
    const fer_attr *betas = feri_ref_attr(call->node, "activation_beta");
    uint32_t per = p->gates > 1 ? (uint32_t)p->gates - 1 : 1;
    uint32_t total = per * (uint32_t)p->directions, used_alphas = 0, used_betas = 0;
    int is_named = names && names->type == FER_ATTR_STRINGS && names->count > 0;
    /* RNN's default names both directions: one direction reads the first. */
    if (is_named && names->count < total) {
        return feri_ref_unfit(call);
    }
    for (uint32_t i = 0; i < total; i++) {
        feri_ref_activation *a = &p->activations[i / per][i % per];
        int function = i % per == 0 && !FERI_REF_IS(p->op, RNN) ? SIGMOID : TANH;
        if (is_named) {
            const fer_string *name = &names->value.strings[i];
            function = feri_ref_find_name(NAMES, name->data, name->length, compare_letters);
        }
        if (function < 0) {
            return feri_ref_unfit(call);
        }
        a->function = (uint32_t)function;
        a->alpha = parameter(alphas, i, total, &used_alphas, defaults[function][0]);
        a->beta = parameter(betas, i, total, &used_betas, defaults[function][1]);
    }
    return FER_OK;
}

/* Dims of eight inputs and three outputs, by layout: T steps, N batch, I inputs, H hidden, D
 * directions, G gates * H, B both biases, P peepholes. Inference has the same texts. */
static const char *shapes_of(const feri_ref_recurrent *p) {
    return p->is_batch_first ? "NTI DGI DGH DB N NDH NDH DP NTDH NDH NDH"
                             : "TNI DGI DGH DB N DNH DNH DP TDNH DNH DNH";
}

/* An absent operand always fits. */
static int shapes_fit(feri_ref_call *call, const feri_ref_recurrent *p) {
    static const char letters[] = "TNIHDGBP";
    uint64_t rows = p->gates * p->hidden;
    const uint64_t sizes[] = {
        p->steps, p->batch, p->width, p->hidden, p->directions, rows, 2 * rows, 3 * p->hidden};
    const char *at = shapes_of(p);
    for (uint32_t k = 0; k < 11; k++, at++) {
        const feri_ref_tensor *t = k < 8 ? feri_ref_input(call, k) : feri_ref_output(call, k - 8);
        uint32_t rank = 0;
        for (; *at > ' '; at++, rank++) {
            if (t && (rank >= t->rank ||
                      (uint64_t)t->dims[rank] != sizes[strchr(letters, *at) - letters])) {
                return 0;
            }
        }
        if (t && t->rank != rank) {
            return 0;
        }
    }
    return 1;
}

fer_status feri_ref_recurrent_bind(feri_ref_call *call) {
    feri_ref_recurrent *p = call->params;
    const feri_ref_tensor *x = call->in[0], *r = call->in[2];
    uint64_t sums = 0;
    int direction = feri_ref_name_index(call, "direction", "forward, reverse, bidirectional");
    p->op = call->node->op;
    p->is_reverse = direction == 1;
    p->directions = direction == 2 ? 2 : 1;
    p->gates = FERI_REF_IS(p->op, LSTM) ? 4 : FERI_REF_IS(p->op, GRU) ? 3 : 1;
    p->is_batch_first = feri_ref_int(call->node, "layout", 0) != 0;
    p->is_input_forget = feri_ref_int(call->node, "input_forget", 0) != 0;
    p->is_linear_before_reset = feri_ref_int(call->node, "linear_before_reset", 0) != 0;
    p->clip = feri_ref_float(call->node, "clip", (double)INFINITY);
    if (read_activations(call, p)) {
        return call->status;
    }
    if (!(p->clip > 0.0)) {
        return feri_ref_misfit(call, "clip must be positive");
    }
    p->steps = (uint64_t)x->dims[p->is_batch_first];
    p->batch = (uint64_t)x->dims[!p->is_batch_first];
    p->width = (uint64_t)x->dims[2];
    p->hidden = (uint64_t)r->dims[2];
    int64_t size = feri_ref_int(call->node, "hidden_size", r->dims[2]);
    if (size != r->dims[2] || p->hidden >= UINT32_MAX || !shapes_fit(call, p)) {
        return feri_ref_unfit(call);
    }
    if (__builtin_mul_overflow(p->batch, 128 * p->hidden, &sums) || sums > UINT64_MAX / 4) {
        return feri_ref_fail(call, FER_LIMIT, "batch times hidden_size is too large");
    }
    call->scratch_bytes =
        FERI_REF_GEMM_BYTES + p->batch * p->hidden * (2 * p->gates + 3) * sizeof(double);
    return FER_OK;
}
