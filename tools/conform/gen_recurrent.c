/* SPDX-License-Identifier: Apache-2.0
 *
 * RNN, GRU and LSTM step by step as the specification writes them: directions, lengths of
 * sequences, initial states, peepholes, clipping, both layouts, every activation.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

typedef struct activation {
    const char *name;
    long double alpha, beta;
} activation;

/* The shape word is [steps, batch, features]. */
typedef struct recurrent {
    int64_t steps, batch, features, hidden, directions, gates;
    int by_batch; /* layout 1 */
    activation activations[2][3];
    const activation *now; /* those of the direction that is run */
    long double most;      /* the largest sum so far, where activations may be steeper than 1 */
} recurrent;

/* Those with parameters, and what these are where no list gives them. */
static const struct {
    const char *name;
    int takes_alpha, takes_beta;
    long double alpha, beta;
} parameters[] = {
    {"Affine",          1, 1, 1,     0   },
    {"LeakyRelu",       1, 0, 0.01F, 0   },
    {"ThresholdedRelu", 1, 0, 1,     0   },
    {"ScaledTanh",      1, 1, 1,     1   },
    {"HardSigmoid",     1, 1, 0.2F,  0.5F},
    {"Elu",             1, 0, 1,     0   },
};

/* f, g and h of each direction; alphas and betas are taken by those that have them, in order. */
static void read_activations(const trial *self, recurrent *r) {
    double alphas[16], betas[16];
    const char *names = arg_text(self, "activations");
    uint32_t alpha_count = arg_list(self, "activation_alpha", alphas, 16),
             beta_count = arg_list(self, "activation_beta", betas, 16), alpha = 0, beta = 0;
    uint32_t each = r->gates > 1 ? (uint32_t)r->gates - 1 : 1;
    for (uint32_t i = 0; i < each * (uint32_t)r->directions; i++) {
        activation *a = &r->activations[i / each][i % each];
        a->name = names != NULL ? text_piece(self, names, i) : NULL;
        if (a->name == NULL) {
            a->name = i % each == 0 && r->gates > 1 ? "Sigmoid" : "Tanh";
        }
        for (size_t k = 0; k < sizeof parameters / sizeof *parameters; k++) {
            if (strcmp(a->name, parameters[k].name) != 0) {
                continue;
            }
            int has_alpha = parameters[k].takes_alpha && alpha < alpha_count,
                has_beta = parameters[k].takes_beta && beta < beta_count;
            a->alpha = has_alpha ? (float)alphas[alpha] : parameters[k].alpha;
            a->beta = has_beta ? (float)betas[beta] : parameters[k].beta;
            alpha += (uint32_t)has_alpha;
            beta += (uint32_t)has_beta;
        }
    }
}

static int is_named(const activation *a, const char *name) { return strcmp(a->name, name) == 0; }

static long double activated(recurrent *r, int which, long double x) {
    const activation *a = &r->now[which];
    long double y = a->alpha * x;
    if (is_named(a, "Tanh")) {
        return tanhl(x);
    }
    if (is_named(a, "Sigmoid")) {
        return 1 / (1 + expl(-x));
    }
    r->most = fmaxl(r->most, fabsl(x));
    return is_named(a, "Relu")              ? fmaxl(x, 0)
           : is_named(a, "Affine")          ? y + a->beta
           : is_named(a, "LeakyRelu")       ? (x >= 0 ? x : y)
           : is_named(a, "ThresholdedRelu") ? (x >= a->alpha ? x : 0)
           : is_named(a, "ScaledTanh")      ? a->alpha * tanhl(a->beta * x)
           : is_named(a, "HardSigmoid")     ? fminl(fmaxl(y + a->beta, 0), 1)
           : is_named(a, "Elu")             ? (x >= 0 ? x : a->alpha * expm1l(x))
           : is_named(a, "Softsign")        ? x / (1 + fabsl(x))
                                            : logl(1 + expl(x)); /* Softplus */
}

static void read_sizes(const trial *self, recurrent *r) {
    const char *direction = arg_text(self, "direction");
    r->steps = self->dims[0];
    r->batch = self->dims[1];
    r->features = self->dims[2];
    r->hidden = arg_int(self, "hidden_size", 3);
    r->directions = direction != NULL && direction[0] == 'b' ? 2 : 1;
    r->gates = self->op->name[0] == 'L' ? 4 : self->op->name[0] == 'G' ? 3 : 1;
    r->by_batch = arg_int(self, "layout", 0) != 0;
    r->most = 0;
}

static int fill_recurrent(trial *self) {
    recurrent r;
    if (self->rank != 3 || arg_text(self, "hidden_size") == NULL) {
        return 0;
    }
    read_sizes(self, &r);
    int64_t d = r.directions, h = r.hidden, g = r.gates;
    if (r.by_batch) {
        input_dims(self, 0, 3, (int64_t[]){r.batch, r.steps, r.features});
    }
    input_dims(self, 1, 3, (int64_t[]){d, g * h, r.features});
    input_dims(self, 2, 3, (int64_t[]){d, g * h, h});
    input_dims(self, 3, 2, (int64_t[]){d, 2 * g * h});
    input_dims(self, 4, 1, &r.batch);
    input_range(self, 4, r.steps > 1 ? 1 : 0, (double)r.steps);
    self->inputs[4].dtype = FER_I32;
    for (uint32_t i = 5; i < 7; i++) {
        input_dims(
            self, i, 3, r.by_batch ? (int64_t[]){r.batch, d, h} : (int64_t[]){d, r.batch, h});
    }
    input_dims(self, 7, 2, (int64_t[]){d, 3 * h});
    return 1;
}

static long double clipped(const trial *self, long double x) {
    long double clip = arg_real(self, "clip", 0);
    return arg_text(self, "clip") == NULL ? x : x > clip ? clip : x < -clip ? -clip : x;
}

/* W x + R h + both biases of gate row; without the recurrent half when h is NULL. */
static long double gate(const recurrent *r,
                        const nd *in,
                        int64_t d,
                        int64_t row,
                        const long double *x,
                        const long double *h) {
    long double sum = 0;
    int64_t rows = r->gates * r->hidden;
    for (int64_t i = 0; i < r->features; i++) {
        sum += x[i] * in[1].v[(d * rows + row) * r->features + i];
    }
    for (int64_t i = 0; h != NULL && i < r->hidden; i++) {
        sum += h[i] * in[2].v[(d * rows + row) * r->hidden + i];
    }
    if (in[3].v != NULL) {
        sum += in[3].v[d * 2 * rows + row] + (h != NULL ? in[3].v[(d * 2 + 1) * rows + row] : 0);
    }
    return sum;
}

static void step_lstm(const trial *self,
                      recurrent *r,
                      const nd *in,
                      int64_t d,
                      const long double *x,
                      long double *h,
                      long double *c) {
    long double next[64];
    const long double *p = in[7].v != NULL ? in[7].v + d * 3 * r->hidden : NULL;
    int64_t n = r->hidden;
    for (int64_t k = 0; k < n; k++) { /* gates i o f c */
        long double i =
            activated(r, 0, clipped(self, gate(r, in, d, k, x, h) + (p != NULL ? p[k] * c[k] : 0)));
        long double f = activated(
            r,
            0,
            clipped(self, gate(r, in, d, 2 * n + k, x, h) + (p != NULL ? p[2 * n + k] * c[k] : 0)));
        f = arg_int(self, "input_forget", 0) != 0 ? 1 - i : f;
        long double cell =
            f * c[k] + i * activated(r, 1, clipped(self, gate(r, in, d, 3 * n + k, x, h)));
        long double o = activated(
            r, 0, clipped(self, gate(r, in, d, n + k, x, h) + (p != NULL ? p[n + k] * cell : 0)));
        c[k] = cell;
        next[k] = o * activated(r, 2, cell);
    }
    memcpy(h, next, (size_t)n * sizeof *h);
}

static void step_gru(const trial *self,
                     recurrent *r,
                     const nd *in,
                     int64_t d,
                     const long double *x,
                     long double *h) {
    long double reset[64], gated[64], next[64];
    int64_t n = r->hidden;
    for (int64_t k = 0; k < n; k++) { /* gates z r h */
        reset[k] = activated(r, 0, clipped(self, gate(r, in, d, n + k, x, h)));
        gated[k] = reset[k] * h[k];
    }
    for (int64_t k = 0; k < n; k++) {
        long double z = activated(r, 0, clipped(self, gate(r, in, d, k, x, h))), candidate;
        if (arg_int(self, "linear_before_reset", 0) != 0) {
            long double before = gate(r, in, d, 2 * n + k, x, NULL),
                        after = gate(r, in, d, 2 * n + k, x, h) - before;
            candidate = before + reset[k] * after;
        } else {
            candidate = gate(r, in, d, 2 * n + k, x, gated);
        }
        next[k] = (1 - z) * activated(r, 1, clipped(self, candidate)) + z * h[k];
    }
    memcpy(h, next, (size_t)n * sizeof *h);
}

static void step_rnn(const trial *self,
                     recurrent *r,
                     const nd *in,
                     int64_t d,
                     const long double *x,
                     long double *h) {
    long double next[64];
    for (int64_t k = 0; k < r->hidden; k++) {
        next[k] = activated(r, 0, clipped(self, gate(r, in, d, k, x, h)));
    }
    memcpy(h, next, (size_t)r->hidden * sizeof *h);
}

static void
start_state(const recurrent *r, const nd *from, int64_t d, int64_t b, long double *state) {
    for (int64_t k = 0; k < r->hidden; k++) {
        int64_t at = r->by_batch ? (b * r->directions + d) * r->hidden + k
                                 : (d * r->batch + b) * r->hidden + k;
        state[k] = from->v != NULL ? from->v[at] : 0;
    }
}

static void put(const trial *self, const recurrent *r, nd *out, int64_t at, long double value) {
    if (out->v != NULL) {
        out->v[at] = value;
        /* Errors of a unit in every step add up, and the state may be rounded to the dtype between
         * steps. */
        out->slack[at] =
            ((self->dtype == FER_F64 ? 0x1p-48L : 0x1p-18L) + 8 * dtype_unit(self->dtype)) *
            (1 + 4 * r->most);
    }
}

static void
run_line(const trial *self, recurrent *r, const nd *in, int64_t d, int64_t b, nd *out) {
    long double h[64], c[64];
    int64_t length = in[4].v != NULL ? (int64_t)in[4].v[b] : r->steps, n = r->hidden;
    int is_back = d == 1 || arg_is(self, "direction", "forward", "reverse");
    r->now = r->activations[d];
    start_state(r, &in[5], d, b, h);
    start_state(r, &in[6], d, b, c);
    for (int64_t s = 0; s < length; s++) {
        int64_t t = is_back ? length - 1 - s : s;
        const long double *x =
            in[0].v + (r->by_batch ? b * r->steps + t : t * r->batch + b) * r->features;
        if (r->gates == 4) {
            step_lstm(self, r, in, d, x, h, c);
        } else if (r->gates == 3) {
            step_gru(self, r, in, d, x, h);
        } else {
            step_rnn(self, r, in, d, x, h);
        }
        for (int64_t k = 0; k < n; k++) {
            int64_t at = r->by_batch ? ((b * r->steps + t) * r->directions + d) * n + k
                                     : ((t * r->directions + d) * r->batch + b) * n + k;
            put(self, r, &out[0], at, h[k]);
        }
    }
    for (int64_t k = 0; k < n; k++) {
        int64_t at = r->by_batch ? (b * r->directions + d) * n + k : (d * r->batch + b) * n + k;
        put(self, r, &out[1], at, h[k]);
        put(self, r, &out[2], at, c[k]);
    }
}

static int recurrent_oracle(const trial *self, const nd *in, nd *out) {
    recurrent r;
    nd all[3] = {{0}};
    read_sizes(self, &r);
    read_activations(self, &r);
    if (r.hidden > 64) {
        return 0;
    }
    int64_t y[] = {r.steps, r.directions, r.batch, r.hidden},
            y_batch[] = {r.batch, r.steps, r.directions, r.hidden};
    int64_t last[] = {r.directions, r.batch, r.hidden},
            last_batch[] = {r.batch, r.directions, r.hidden};
    for (uint32_t o = 0; o < self->output_count; o++) {
        nd_make(self,
                &all[o],
                o == 0 ? 4 : 3,
                o == 0       ? (r.by_batch ? y_batch : y)
                : r.by_batch ? last_batch
                             : last);
        nd_slack(self, &all[o]);
    }
    for (int64_t d = 0; d < r.directions; d++) {
        for (int64_t b = 0; b < r.batch; b++) {
            run_line(self, &r, in, d, b, all);
        }
    }
    memcpy(out, all, self->output_count * sizeof *out);
    return 1;
}

/* clang-format off */
#define SHAPES "5x2x4 1x1x3 3x3x7 2x1x1"
#define FEW "3x2x4 2x1x1"
static const case_row rows[] = {
    {"LSTM", NULL, SHAPES,
     "hidden_size=3,outs=3 hidden_size=3,outs=3,with=B hidden_size=5,outs=3,with=B,direction=reverse hidden_size=2,outs=3,with=B,direction=bidirectional "
     "hidden_size=3,outs=3,with=B:sequence_lens hidden_size=3,outs=3,with=B:sequence_lens:initial_h:initial_c,direction=bidirectional "
     "hidden_size=4,outs=3,with=B:initial_h:initial_c:P hidden_size=3,outs=3,clip=0.5,with=B hidden_size=3,outs=3,input_forget=1 "
     "hidden_size=3,outs=3,layout=1,with=B:initial_h:initial_c hidden_size=3,outs=1",
     "ints uniform", fill_recurrent, recurrent_oracle, ROW_ZEROS, NULL, NULL},
    {"LSTM", NULL, FEW,
     "hidden_size=2,outs=3,with=B,activations=HardSigmoid:Softsign:Relu,activation_alpha=0.25:,activation_beta=0.375: "
     "hidden_size=2,outs=3,with=B:P,activations=Sigmoid:ScaledTanh:Elu,activation_alpha=1.5:0.5,activation_beta=0.5: "
     "hidden_size=2,outs=3,with=B:initial_h:initial_c,direction=bidirectional,activations=Sigmoid:Tanh:Softsign:HardSigmoid:LeakyRelu:Tanh "
     "hidden_size=2,outs=3,clip=0.75,activations=Tanh:Sigmoid:Affine,activation_alpha=0.5:,activation_beta=-0.25:",
     "ints uniform", fill_recurrent, recurrent_oracle, ROW_ZEROS, NULL, NULL},
    {"GRU", NULL, FEW,
     "hidden_size=2,outs=2,with=B,activations=HardSigmoid:Softsign hidden_size=2,outs=2,with=B,activations=Sigmoid:ScaledTanh,activation_alpha=1.5:,activation_beta=0.5: "
     "hidden_size=2,outs=2,with=B:initial_h,direction=bidirectional,activations=Sigmoid:Tanh:HardSigmoid:Softsign,activation_alpha=0.125:,activation_beta=0.25: "
     "hidden_size=2,outs=2,with=B,linear_before_reset=1,activations=Softsign:Elu,activation_alpha=0.5:",
     "ints uniform", fill_recurrent, recurrent_oracle, ROW_ZEROS, NULL, NULL},
    {"RNN", NULL, FEW,
     "hidden_size=2,outs=2,activations=Relu: hidden_size=2,outs=2,activations=Affine:,activation_alpha=0.5:,activation_beta=0.25: "
     "hidden_size=2,outs=2,activations=LeakyRelu:,activation_alpha=0.25: hidden_size=2,outs=2,activations=ScaledTanh:,activation_alpha=1.5:,activation_beta=0.5: "
     "hidden_size=2,outs=2,activations=HardSigmoid: hidden_size=2,outs=2,activations=Elu:,activation_alpha=0.5: "
     "hidden_size=2,outs=2,activations=Softsign: hidden_size=2,outs=2,activations=Softplus: hidden_size=2,outs=2,activations=Sigmoid: "
     "hidden_size=2,outs=2,with=B,direction=bidirectional,activations=Relu:Tanh hidden_size=2,outs=2,direction=bidirectional,activations=Elu:LeakyRelu,activation_alpha=0.5:0.125",
     "ints uniform", fill_recurrent, recurrent_oracle, ROW_ZEROS, NULL, NULL},
    {"RNN", NULL, FEW, "hidden_size=2,outs=2,activations=ThresholdedRelu:,activation_alpha=1.5:", "ints", fill_recurrent, recurrent_oracle, ROW_ZEROS, NULL, NULL},
    {"GRU", NULL, SHAPES,
     "hidden_size=3,outs=2 hidden_size=3,outs=2,with=B hidden_size=5,outs=2,with=B,direction=reverse hidden_size=2,outs=2,with=B,direction=bidirectional "
     "hidden_size=3,outs=2,with=B:sequence_lens hidden_size=3,outs=2,with=B:sequence_lens:initial_h,direction=bidirectional "
     "hidden_size=3,outs=2,with=B,linear_before_reset=1 hidden_size=3,outs=2,clip=0.5,with=B hidden_size=3,outs=2,layout=1,with=B:initial_h "
     "hidden_size=3,outs=2,linear_before_reset=1,with=B:initial_h,direction=bidirectional",
     "ints uniform", fill_recurrent, recurrent_oracle, ROW_ZEROS, NULL, NULL},
    {"RNN", NULL, SHAPES,
     "hidden_size=3,outs=2 hidden_size=3,outs=2,with=B hidden_size=5,outs=2,with=B,direction=reverse "
     "hidden_size=2,outs=2,with=B,direction=bidirectional,activations=Tanh:Tanh hidden_size=3,outs=2,with=B:sequence_lens "
     "hidden_size=3,outs=2,with=B:sequence_lens:initial_h hidden_size=3,outs=2,clip=0.5,with=B hidden_size=3,outs=2,layout=1,with=B:initial_h",
     "ints uniform", fill_recurrent, recurrent_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_recurrent = {"recurrent", rows, sizeof rows / sizeof *rows};
