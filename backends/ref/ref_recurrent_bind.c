/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes, shapes and activation functions of recurrent layers: see ref_recurrent.h. Every
 * operand is checked against the sizes that W and R give before a step is run.
 */
#include "ref/ref_gemm.h"
#include "ref/ref_recurrent.h"

#include <math.h>
#include <string.h>

enum { AFFINE, ELU, HARD_SIGMOID, LEAKY_RELU, RELU, SCALED_TANH, SIGMOID, SOFTPLUS, SOFTSIGN };
enum { TANH = SOFTSIGN + 1, THRESHOLDED_RELU, FUNCTIONS };

/* How many of alpha and beta a function takes, and their defaults. */
static const struct {
    char name[16];
    uint32_t takes;
    float alpha;
    float beta;
} functions[FUNCTIONS] = {
    [AFFINE] = {"affine",          2, 1.0f,  0.0f},
    [ELU] = {"elu",             1, 1.0f,  0.0f},
    [HARD_SIGMOID] = {"hardsigmoid",     2, 0.2f,  0.5f},
    [LEAKY_RELU] = {"leakyrelu",       1, 0.01f, 0.0f},
    [RELU] = {"relu",            0, 0.0f,  0.0f},
    [SCALED_TANH] = {"scaledtanh",      2, 1.0f,  1.0f},
    [SIGMOID] = {"sigmoid",         0, 0.0f,  0.0f},
    [SOFTPLUS] = {"softplus",        0, 0.0f,  0.0f},
    [SOFTSIGN] = {"softsign",        0, 0.0f,  0.0f},
    [TANH] = {"tanh",            0, 0.0f,  0.0f},
    [THRESHOLDED_RELU] = {"thresholdedrelu", 1, 1.0f,  0.0f},
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

/* Function of a name in any case of letters; FUNCTIONS when there is none. */
static uint32_t find_function(const fer_string *name) {
    for (uint32_t f = 0; f < FUNCTIONS; f++) {
        uint64_t length = strlen(functions[f].name), i = 0;
        while (i < length && i < name->length && (name->data[i] | 0x20) == functions[f].name[i]) {
            i++;
        }
        if (i == length && i == name->length) {
            return f;
        }
    }
    return FUNCTIONS;
}

/* The next of the attribute's values. Lists either hold one for every activation or only for those
 * that take it: index is the activation's, *used counts those that were taken. */
static double parameter(
    const fer_attr *attr, uint32_t index, uint32_t activations, uint32_t *used, double absent) {
    uint32_t count = attr && attr->type == FER_ATTR_FLOATS ? attr->count : 0;
    uint32_t at = count == activations ? index : (*used)++;
    return at < count ? (double)attr->value.floats[at] : absent;
}

static fer_status read_activations(feri_ref_call *call, feri_ref_recurrent *p) {
    const fer_attr *names = feri_ref_attr(call->node, "activations");
    const fer_attr *alphas = feri_ref_attr(call->node, "activation_alpha");
    const fer_attr *betas = feri_ref_attr(call->node, "activation_beta");
    uint32_t per = p->op == FER_OP_LSTM ? 3 : p->op == FER_OP_GRU ? 2 : 1;
    uint32_t total = per * (uint32_t)p->directions, used_alphas = 0, used_betas = 0;
    int is_named = names && names->type == FER_ATTR_STRINGS && names->count > 0;
    /* RNN's default names both directions: one direction reads the first. */
    if (is_named && names->count < total) {
        return feri_ref_unfit(call);
    }
    for (uint32_t i = 0; i < total; i++) {
        feri_ref_activation *a = &p->activations[i / per][i % per];
        a->function = i % per == 0 && !FERI_REF_IS(p->op, RNN) ? (uint32_t)SIGMOID : (uint32_t)TANH;
        if (is_named) {
            a->function = find_function(&names->value.strings[i]);
        }
        if (a->function >= FUNCTIONS) {
            return feri_ref_unfit(call);
        }
        a->alpha = functions[a->function].alpha;
        a->beta = functions[a->function].beta;
        if (functions[a->function].takes > 0) {
            a->alpha = parameter(alphas, i, total, &used_alphas, a->alpha);
        }
        if (functions[a->function].takes > 1) {
            a->beta = parameter(betas, i, total, &used_betas, a->beta);
        }
    }
    return FER_OK;
}

/* Dims of inputs 1 to 7 and outputs 0 to 2: s steps, b batch, d directions, x width, n hidden, g of
 * all gates (times hidden), t two of g, p three of n; below for layout 1. */
static const char shapes[2][10][5] = {
    {"dgx", "dgn", "dt", "b", "dbn", "dbn", "dp", "sdbn", "dbn", "dbn"},
    {"dgx", "dgn", "dt", "b", "bdn", "bdn", "dp", "bsdn", "bdn", "bdn"}
};

static uint64_t size_of(const feri_ref_recurrent *p, char letter) {
    uint64_t gates = p->gates * p->hidden;
    switch (letter) {
    case 's':
        return p->steps;
    case 'b':
        return p->batch;
    case 'd':
        return p->directions;
    case 'x':
        return p->width;
    case 'g':
        return gates;
    case 't':
        return 2 * gates;
    case 'p':
        return 3 * p->hidden;
    default:
        return p->hidden;
    }
}

/* An absent operand always fits. */
static int shapes_fit(feri_ref_call *call, const feri_ref_recurrent *p) {
    for (uint32_t k = 0; k < 10; k++) {
        const char *shape = shapes[p->is_batch_first][k];
        const feri_ref_tensor *t =
            k < 7 ? feri_ref_input(call, k + 1) : feri_ref_output(call, k - 7);
        if (!t || ((k == 5 || k == 6) && p->op != FER_OP_LSTM)) {
            continue;
        }
        for (uint32_t i = 0; i < t->rank; i++) {
            if (!shape[i] || (uint64_t)t->dims[i] != size_of(p, shape[i])) {
                return 0;
            }
        }
        if (shape[t->rank]) {
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
    p->gates = p->op == FER_OP_LSTM ? 4 : p->op == FER_OP_GRU ? 3 : 1;
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
    if (x->rank != 3 || call->in[1]->rank != 3 || r->rank != 3) {
        return feri_ref_unfit(call);
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
