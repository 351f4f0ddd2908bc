/* SPDX-License-Identifier: Apache-2.0
 *
 * Losses and the optimizers that train by them: NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss,
 * Adagrad, Adam, Momentum.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

static long double unit_of(const trial *self) {
    return self->dtype == FER_F64 ? 0x1p-53L : 0x1p-24L;
}

/* ---- losses ---- */

/* Shape words are [N, C, ...]; targets are [N, ...]. Contents of targets by ignore_index: absent 0
 * to C - 1; one of those, too; outside they include it. */
static int fill_loss(trial *self) {
    int64_t dims[FER_MAX_RANK], classes = self->rank > 1 ? self->dims[1] : 0;
    int64_t skipped = arg_int(self, "ignore_index", 0);
    if (self->rank < 2 || dims_count(self->rank, self->dims) == 0) {
        return 0;
    }
    dims[0] = self->dims[0];
    memcpy(dims + 1, self->dims + 2, (self->rank - 2) * sizeof *dims);
    input_dims(self, 1, self->rank - 1, dims);
    input_range(self, 1, skipped == -1 ? -1 : 0, (double)classes - 1);
    if (skipped < -1 || skipped >= classes) {
        case_input *target = &self->inputs[1];
        target->fill = FILL_LIST;
        for (int64_t i = 0; i < 23; i++) {
            target->list[target->list_count++] =
                i % 5 == 3 ? (double)skipped : (double)(i * 7 % classes);
        }
    }
    if (self->input_count > 2) {
        input_dims(self, 2, 1, &classes);
        input_range(self, 2, 0.25, 2);
    }
    return 1;
}

static uint64_t class_at(const nd *x, uint64_t sample, uint64_t class) {
    uint64_t plane = dims_count(x->rank - 2, x->dims + 2);
    return (sample / plane * (uint64_t)x->dims[1] + class) * plane + sample % plane;
}

/* From log-probabilities y, each off by y->slack. */
static void
loss_numbers(const trial *self, const nd *y, const nd *target, const nd *weight, nd *out) {
    int skips = arg_text(self, "ignore_index") != NULL,
        is_none = arg_is(self, "reduction", "mean", "none");
    int is_mean = arg_is(self, "reduction", "mean", "mean");
    long double sum = 0, weights = 0, size = 0, slack = 0;
    nd_make(self, out, is_none ? target->rank : 0, target->dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < target->count; i++) {
        int64_t class = (int64_t)target->v[i];
        if (skips && class == arg_int(self, "ignore_index", 0)) {
            continue;
        }
        uint64_t at = class_at(y, i, (uint64_t) class);
        long double w = weight->v != NULL ? weight->v[class] : 1, loss = -y->v[at] * w;
        long double off =
            (y->slack != NULL ? y->slack[at] : 0) * w + dtype_unit(self->dtype) * fabsl(loss);
        sum += loss;
        weights += w;
        size += fabsl(loss);
        slack += off;
        if (is_none) {
            out->v[i] = loss;
            out->slack[i] = off;
        }
    }
    if (!is_none) {
        long double divisor = is_mean ? weights : 1;
        out->v[0] = sum / divisor;
        /* The steps of the body are rounded to the dtype; in f64 one after another is right, too.
         */
        long double steps = self->dtype == FER_F64 ? 4 + 2 * (long double)target->count : 4;
        out->slack[0] = (slack + sum_slack(self->dtype, target->count, size) +
                         steps * dtype_unit(self->dtype) * size) /
                        divisor;
        out->slack[0] = isfinite(out->slack[0]) ? out->slack[0] : 0;
    }
}

static int likelihood_oracle(const trial *self, const nd *in, nd *out) {
    loss_numbers(self, &in[0], &in[1], &in[2], out);
    return 1;
}

static int entropy_oracle(const trial *self, const nd *in, nd *out) {
    nd log_prob;
    uint64_t classes = (uint64_t)in->dims[1];
    nd_like(self, &log_prob, in);
    nd_slack(self, &log_prob);
    for (uint64_t i = 0; i < in->count / classes; i++) {
        long double most = -INFINITY, sum = 0;
        for (uint64_t c = 0; c < classes; c++) {
            most = fmaxl(most, in->v[class_at(in, i, c)]);
        }
        for (uint64_t c = 0; c < classes; c++) {
            sum += expl(in->v[class_at(in, i, c)] - most);
        }
        for (uint64_t c = 0; c < classes; c++) {
            uint64_t at = class_at(in, i, c);
            log_prob.v[at] = in->v[at] - most - logl(sum);
            log_prob.slack[at] =
                unit_of(self) * (8 + 4 * fabsl(in->v[at] - most) + (long double)classes) +
                dtype_unit(self->dtype) * fabsl(log_prob.v[at]);
        }
    }
    loss_numbers(self, &log_prob, &in[1], &in[2], &out[0]);
    if (self->output_count > 1) {
        out[1] = log_prob;
    }
    return 1;
}

/* ---- optimizers: R, T, then X..., G..., and what is kept of gradients; one or two tensors ---- */

static uint32_t tensors_of(const trial *self) {
    return (self->input_count - 2) / (self->op->name[2] == 'a' && self->op->name[3] == 'm' ? 4 : 3);
}

static int fill_optimizer(trial *self) {
    uint32_t count = tensors_of(self);
    int is_momentum = self->op->name[0] == 'M';
    static const int64_t other[] = {4, 3};
    self->inputs[0].rank = self->inputs[1].rank = 0;
    input_range(self, 0, 0.01, 0.5);
    self->inputs[1].fill = FILL_LIST;
    self->inputs[1].list_count = 1;
    self->inputs[1].list[0] = (double)arg_int(self, "t", 0);
    for (uint32_t i = 2; i < self->input_count; i++) {
        if ((i - 2) % count == 1) {
            input_dims(self, i, 2, other);
        }
        /* Sums of squares. */
        int is_last = i + count >= self->input_count;
        if (is_last && !is_momentum) {
            input_range(self, i, 0, 3);
        }
    }
    return self->input_count - 2 >= 3;
}

typedef struct optimizer {
    long double rate, step, alpha, beta, epsilon, norm, post;
    int is_nesterov;
} optimizer;

static void result(const trial *self, nd *out, uint64_t i, long double value, long double size) {
    out->v[i] = value;
    out->slack[i] = 16 * dtype_unit(self->dtype) * size;
}

static void adagrad_step(const trial *self,
                         const optimizer *o,
                         const nd *x,
                         const nd *g,
                         const nd *h,
                         nd *new_x,
                         nd *new_h) {
    for (uint64_t i = 0; i < x->count; i++) {
        long double slope = o->norm * x->v[i] + g->v[i],
                    size = fabsl(o->norm * x->v[i]) + fabsl(g->v[i]);
        long double square = h->v[i] + slope * slope, root = sqrtl(square) + o->epsilon,
                    move = o->rate * slope / root;
        result(self, new_h, i, square, h->v[i] + size * size);
        result(self,
               new_x,
               i,
               x->v[i] - move,
               fabsl(x->v[i]) + fabsl(o->rate) * size / root * (1 + size * size / (root * root)));
    }
}

static void adam_step(const trial *self,
                      const optimizer *o,
                      const nd *x,
                      const nd *g,
                      const nd *v,
                      const nd *h,
                      nd *new_x,
                      nd *new_v,
                      nd *new_h) {
    /* 1 - beta^T is rounded after the subtraction cancels. */
    long double rate =
        o->step > 0 ? o->rate * sqrtl(1 - powl(o->beta, o->step)) / (1 - powl(o->alpha, o->step))
                    : o->rate;
    long double loss =
        o->step > 0 ? 1 / (1 - powl(o->beta, o->step)) + 1 / (1 - powl(o->alpha, o->step)) : 1;
    for (uint64_t i = 0; i < x->count; i++) {
        long double slope = o->norm * x->v[i] + g->v[i],
                    size = fabsl(o->norm * x->v[i]) + fabsl(g->v[i]);
        long double mean = o->alpha * v->v[i] + (1 - o->alpha) * slope,
                    square = o->beta * h->v[i] + (1 - o->beta) * slope * slope;
        long double mean_size = fabsl(o->alpha * v->v[i]) + size,
                    square_size = h->v[i] + size * size, root = sqrtl(square) + o->epsilon;
        long double moved = x->v[i] - rate * mean / root;
        result(self, new_v, i, mean, mean_size);
        result(self, new_h, i, square, square_size);
        result(self,
               new_x,
               i,
               (1 - o->post) * moved,
               fabsl(x->v[i]) + fabsl(rate) * mean_size / root *
                                    (1 + loss + (square > 0 ? square_size / square : 0)));
    }
}

static void momentum_step(const trial *self,
                          const optimizer *o,
                          const nd *x,
                          const nd *g,
                          const nd *v,
                          nd *new_x,
                          nd *new_v) {
    for (uint64_t i = 0; i < x->count; i++) {
        long double slope = o->norm * x->v[i] + g->v[i], beta = o->step > 0 ? o->beta : 1,
                    kept = o->alpha * v->v[i] + beta * slope;
        long double size = fabsl(o->norm * x->v[i]) + fabsl(g->v[i]) + fabsl(o->alpha * v->v[i]) +
                           fabsl(beta * slope);
        result(self, new_v, i, kept, size);
        result(self,
               new_x,
               i,
               x->v[i] - o->rate * (o->is_nesterov ? slope + o->alpha * kept : kept),
               fabsl(x->v[i]) + 2 * fabsl(o->rate) * size);
    }
}

static int optimizer_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t n = tensors_of(self);
    int is_momentum = self->op->name[0] == 'M', is_adam = self->op->name[3] == 'm';
    optimizer o = {.rate = in[0].v[0],
                   .step = in[1].v[0],
                   .epsilon = arg_real(self, "epsilon", 1e-6f),
                   .norm = arg_real(self, "norm_coefficient", 0),
                   .alpha = arg_real(self, "alpha", 0.9f),
                   .beta = arg_real(self, "beta", 0.999f),
                   .post = arg_real(self, "norm_coefficient_post", 0),
                   .is_nesterov = arg_is(self, "mode", "standard", "nesterov")};
    const nd *x = &in[2];
    for (uint32_t k = 0; k < self->output_count; k++) {
        nd_like(self, &out[k], &x[k % n]);
        nd_slack(self, &out[k]);
    }
    for (uint32_t k = 0; k < n; k++) {
        if (is_momentum) {
            momentum_step(self, &o, &x[k], &x[n + k], &x[2 * n + k], &out[k], &out[n + k]);
        } else if (is_adam) {
            adam_step(self,
                      &o,
                      &x[k],
                      &x[n + k],
                      &x[2 * n + k],
                      &x[3 * n + k],
                      &out[k],
                      &out[n + k],
                      &out[2 * n + k]);
        } else {
            optimizer decayed = o;
            decayed.rate = o.rate / (1 + o.step * arg_real(self, "decay_factor", 0));
            adagrad_step(self, &decayed, &x[k], &x[n + k], &x[2 * n + k], &out[k], &out[n + k]);
        }
    }
    return 1;
}

/* clang-format off */
#define TRAINING "ai.onnx.preview.training."
#define TENSORS "scalar empty odd prime one big"
#define LOSSES(w) "- reduction=none reduction=sum with=" w " with=" w ",reduction=none with=" w ",reduction=sum ignore_index=1 ignore_index=1,reduction=none " \
    "ignore_index=-1,with=" w " ignore_index=255,reduction=sum ignore_index=-100,with=" w ",reduction=none ignore_index=0,with=" w ",reduction=sum Tind=i32 Tind=i32,ignore_index=2,with=" w " "
#define LOSSES_SHAPES "3x5 1x4 13x17 2x3x11 2x4x7x5 1x2x5x4x3 521x3 3x521"
static const case_row rows[] = {
    {"NegativeLogLikelihoodLoss", NULL, LOSSES_SHAPES, LOSSES("weight"), "ints uniform", fill_loss, likelihood_oracle, ROW_ZEROS, NULL, NULL},
    {"SoftmaxCrossEntropyLoss", NULL, LOSSES_SHAPES, LOSSES("weights") "outs=2 outs=2,reduction=none,with=weights,ignore_index=2 outs=2,ignore_index=-1,reduction=sum", "ints uniform wide", fill_loss,
     entropy_oracle, ROW_ZEROS, NULL, NULL},
    {TRAINING "Adagrad", NULL, TENSORS, "n=5,outs=2,T2=i64 n=5,outs=2,T2=i64,t=3,decay_factor=0.1 n=5,outs=2,T2=i64,norm_coefficient=0.25,epsilon=0.01 n=8,outs=4,T2=i64,t=10,decay_factor=0.5,norm_coefficient=0.01",
     "ints uniform", fill_optimizer, optimizer_oracle, ROW_ZEROS, NULL, NULL},
    {TRAINING "Adam", NULL, TENSORS, "n=6,outs=3,T2=i64 n=6,outs=3,T2=i64,t=1 n=6,outs=3,T2=i64,t=7,alpha=0.5,beta=0.75 n=6,outs=3,T2=i64,t=2,norm_coefficient=0.25,norm_coefficient_post=0.125,epsilon=0.01 "
     "n=10,outs=6,T2=i64,t=4,alpha=0.25", "ints uniform", fill_optimizer, optimizer_oracle, ROW_ZEROS, NULL, NULL},
    {TRAINING "Momentum", NULL, TENSORS, "n=5,outs=2,T2=i64,alpha=0.9,beta=0.5,mode=standard,norm_coefficient=0 n=5,outs=2,T2=i64,t=3,alpha=0.75,beta=0.25,mode=standard,norm_coefficient=0.5 "
     "n=5,outs=2,T2=i64,t=3,alpha=0.9,beta=0.5,mode=nesterov,norm_coefficient=0.25 n=8,outs=4,T2=i64,alpha=0.5,beta=0.25,mode=nesterov,norm_coefficient=0", "ints uniform", fill_optimizer,
     optimizer_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_training = {"training", rows, sizeof rows / sizeof *rows};
