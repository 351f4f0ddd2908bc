/* SPDX-License-Identifier: Apache-2.0
 *
 * What models with long memories are made of: RotaryEmbedding, LinearAttention,
 * CausalConvWithState.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* ---- RotaryEmbedding: [batch, heads, steps, size], or packed [batch, steps, heads * size] ---- */

enum { POSITIONS = 11 };

static int64_t rotary_size(const trial *self) {
    return self->rank == 4 ? self->dims[3] : self->dims[2] / arg_int(self, "num_heads", 1);
}
static int64_t rotated_of(const trial *self) {
    int64_t part = arg_int(self, "rotary_embedding_dim", 0);
    return part > 0 ? part : rotary_size(self);
}

static int fill_rotary(trial *self) {
    if ((self->rank != 3 && self->rank != 4) ||
        (self->rank == 3) != (arg_text(self, "num_heads") != NULL) ||
        (self->rank == 3 && (arg_int(self, "num_heads", 1) < 1 ||
                             self->dims[2] % arg_int(self, "num_heads", 1) != 0))) {
        return 0;
    }
    int64_t size = rotary_size(self), half = rotated_of(self) / 2,
            steps = self->rank == 4 ? self->dims[2] : self->dims[1];
    for (uint32_t i = 1; i < 3; i++) {
        if (arg_with(self, "position_ids")) {
            input_dims(self, i, 2, (int64_t[]){POSITIONS, half});
        } else {
            input_dims(self, i, 3, (int64_t[]){self->dims[0], steps, half});
        }
        input_range(self, i, -1, 1);
    }
    if (arg_with(self, "position_ids")) {
        input_dims(self, 3, 2, (int64_t[]){self->dims[0], steps});
        input_range(self, 3, 0, POSITIONS - 1);
    }
    return size % 2 == 0 && half > 0 && 2 * half <= size;
}

static int rotary_oracle(const trial *self, const nd *in, nd *out) {
    int64_t size = rotary_size(self), half = rotated_of(self) / 2,
            steps = self->rank == 4 ? self->dims[2] : self->dims[1];
    int64_t heads = self->rank == 4 ? self->dims[1] : arg_int(self, "num_heads", 1);
    int interleaves = arg_int(self, "interleaved", 0) != 0;
    nd_like(self, out, in);
    nd_slack(self, out);
    memcpy(out->v, in->v, in->count * sizeof *in->v);
    for (int64_t row = 0; row < (int64_t)in->count / size; row++) {
        int64_t b = row / (heads * steps),
                step = self->rank == 4 ? row % steps : row / heads % steps;
        int64_t place = in[3].v != NULL ? (int64_t)in[3].v[b * steps + step] : b * steps + step;
        for (int64_t k = 0; k < half; k++) {
            int64_t first = row * size + (interleaves ? 2 * k : k),
                    second = row * size + (interleaves ? 2 * k + 1 : k + half);
            long double c = in[1].v[place * half + k], s = in[2].v[place * half + k],
                        x = in->v[first], y = in->v[second];
            out->v[first] = c * x - s * y;
            out->v[second] = s * x + c * y;
            out->slack[first] = 2 * dtype_unit(self->dtype) * (fabsl(c * x) + fabsl(s * y));
            out->slack[second] = 2 * dtype_unit(self->dtype) * (fabsl(s * x) + fabsl(c * y));
        }
    }
    return 1;
}

/* ---- LinearAttention: shape words are the query as [batch, steps, heads * size] ---- */

typedef struct linear {
    int64_t batch, steps, heads, kv_heads, size, value_size;
    int has_decay, has_beta, is_delta;
} linear;

static int linear_of(const trial *self, linear *out) {
    const char *rule = arg_text(self, "update_rule");
    int64_t heads = arg_int(self, "q_num_heads", 1);
    if (self->rank != 3 || heads < 1 || self->dims[2] % heads != 0) {
        return 0;
    }
    rule = rule != NULL ? rule : "gated_delta";
    *out = (linear){self->dims[0],
                    self->dims[1],
                    heads,
                    arg_int(self, "kv_num_heads", 1),
                    self->dims[2] / heads,
                    arg_int(self, "vsize", self->dims[2] / heads),
                    rule[0] == 'g',
                    strstr(rule, "delta") != NULL,
                    strstr(rule, "delta") != NULL};
    return out->kv_heads > 0 && out->value_size > 0 && heads % out->kv_heads == 0;
}

static int fill_linear_attention(trial *self) {
    linear l = {0};
    if (!linear_of(self, &l) || l.has_decay != arg_with(self, "decay") ||
        l.has_beta != arg_with(self, "beta")) {
        return 0;
    }
    input_dims(self, 1, 3, (int64_t[]){l.batch, l.steps, l.kv_heads * l.size});
    input_dims(self, 2, 3, (int64_t[]){l.batch, l.steps, l.kv_heads * l.value_size});
    input_range(self, 1, -0.4, 0.4);
    if (arg_with(self, "past_state")) {
        input_dims(self, 3, 4, (int64_t[]){l.batch, l.kv_heads, l.size, l.value_size});
    }
    if (l.has_decay) {
        int is_per_key = arg_is(self, "per", "head", "key");
        input_dims(
            self, 4, 3, (int64_t[]){l.batch, l.steps, l.kv_heads * (is_per_key ? l.size : 1)});
        input_range(self, 4, -1.5, 0);
    }
    if (l.has_beta) {
        input_dims(self,
                   5,
                   3,
                   (int64_t[]){l.batch, l.steps, arg_int(self, "one", 0) != 0 ? 1 : l.kv_heads});
        input_range(self, 5, 0, 1);
    }
    return 1;
}

/* state and reach are [size, value_size]: what is remembered, and the sum of sizes it is made of.
 */
typedef struct memory {
    long double *state, *reach;
} memory;

static void
remember(const linear *l, const nd *in, int64_t b, int64_t g, int64_t t, const memory *m) {
    int64_t at = (b * l->steps + t) * l->kv_heads + g, n = l->size;
    const long double *key = in[1].v + at * n, *value = in[2].v + at * l->value_size;
    int64_t gates = in[4].v != NULL ? in[4].dims[2] / l->kv_heads : 0;
    long double beta = in[5].v == NULL ? 1 : in[5].v[in[5].dims[2] == 1 ? b * l->steps + t : at];
    for (int64_t i = 0; gates > 0 && i < n * l->value_size; i++) {
        long double decay = expl(in[4].v[at * gates + (gates == 1 ? 0 : i / l->value_size)]);
        m->state[i] *= decay;
        m->reach[i] *= decay;
    }
    for (int64_t e = 0; e < l->value_size; e++) {
        long double held = 0, size = 0;
        for (int64_t i = 0; l->is_delta && i < n; i++) {
            held += m->state[i * l->value_size + e] * key[i];
            size += m->reach[i * l->value_size + e] * fabsl(key[i]);
        }
        for (int64_t i = 0; i < n; i++) {
            m->state[i * l->value_size + e] += beta * key[i] * (value[e] - held);
            m->reach[i * l->value_size + e] += beta * fabsl(key[i]) * (fabsl(value[e]) + size);
        }
    }
}

static int linear_oracle(const trial *self, const nd *in, nd *out) {
    linear l = {0};
    (void)linear_of(self, &l);
    uint64_t cells = (uint64_t)(l.size * l.value_size);
    long double scale = arg_real(self, "scale", 0),
                unit = 4 * dtype_unit(self->dtype) +
                       (8 + 2 * ceill(log2l((long double)l.size + 1))) * 0x1p-24L;
    scale = scale != 0 ? scale : 1 / sqrtl((long double)l.size);
    fer_dtype kept = self->inputs[3].dtype; /* of the state, rounded to it once a step at most */
    unit += self->input_count > 3 && self->inputs[3].is_present && kept != FER_F32
                ? dtype_unit(kept)
                : 0;
    nd_make(self, &out[0], 3, (int64_t[]){l.batch, l.steps, l.heads * l.value_size});
    nd_make(self, &out[1], 4, (int64_t[]){l.batch, l.kv_heads, l.size, l.value_size});
    nd_slack(self, &out[0]);
    nd_slack(self, &out[1]);
    for (int64_t head = 0; head < l.batch * l.kv_heads; head++) {
        int64_t b = head / l.kv_heads, g = head % l.kv_heads, each = l.heads / l.kv_heads;
        memory m = {out[1].v + (uint64_t)head * cells,
                    trial_memory(self, cells * sizeof(long double) + 1)};
        for (uint64_t i = 0; in[3].v != NULL && i < cells; i++) {
            m.state[i] = in[3].v[(uint64_t)head * cells + i];
            m.reach[i] = fabsl(m.state[i]);
        }
        for (int64_t t = 0; t < l.steps; t++) {
            remember(&l, in, b, g, t, &m);
            for (int64_t k = 0; k < each * (int64_t)cells; k++) {
                int64_t h = g * each + k / (int64_t)cells, i = k % (int64_t)cells / l.value_size,
                        e = k % l.value_size;
                uint64_t to = (uint64_t)(((b * l.steps + t) * l.heads + h) * l.value_size + e);
                long double q = in->v[((b * l.steps + t) * l.heads + h) * l.size + i] * scale;
                out->v[to] += q * m.state[i * l.value_size + e];
                out->slack[to] += fabsl(q) * m.reach[i * l.value_size + e] * unit * (t + 2);
            }
        }
        for (uint64_t i = 0; i < cells; i++) {
            out[1].slack[(uint64_t)head * cells + i] = m.reach[i] * unit * (l.steps + 1);
        }
    }
    return 1;
}

/* ---- CausalConvWithState: [batch, channels, steps] ---- */

static int fill_causal(trial *self) {
    int64_t k = arg_int(self, "k", 3);
    if (self->rank != 3 || k < 1) {
        return 0;
    }
    input_dims(self, 1, 3, (int64_t[]){self->dims[1], 1, k});
    if (arg_with(self, "bias")) {
        input_dims(self, 2, 1, &self->dims[1]);
    }
    if (arg_with(self, "past_state")) {
        input_dims(self, 3, 3, (int64_t[]){self->dims[0], self->dims[1], k - 1});
    }
    return 1;
}

static int causal_oracle(const trial *self, const nd *in, nd *out) {
    int64_t k = arg_int(self, "k", 3), steps = in->dims[2], lines = in->dims[0] * in->dims[1];
    int is_silu = !arg_is(self, "activation", "none", "none");
    nd_like(self, &out[0], in);
    nd_slack(self, &out[0]);
    nd_make(self, &out[1], 3, (int64_t[]){in->dims[0], in->dims[1], k - 1});
    long double *line = trial_memory(self, (uint64_t)(steps + k) * sizeof *line);
    for (int64_t c = 0; c < lines; c++) {
        for (int64_t t = 0; t < k - 1; t++) {
            line[t] = in[3].v != NULL ? in[3].v[c * (k - 1) + t] : 0;
        }
        memcpy(line + k - 1, in->v + c * steps, (size_t)steps * sizeof *line);
        memcpy(out[1].v + c * (k - 1), line + steps, (size_t)(k - 1) * sizeof *line);
        for (int64_t t = 0; t < steps; t++) {
            long double bias = in[2].v != NULL ? in[2].v[c % in->dims[1]] : 0, sum = bias,
                        size = fabsl(bias);
            for (int64_t i = 0; i < k; i++) {
                long double product = line[t + i] * in[1].v[c % in->dims[1] * k + i];
                sum += product;
                size += fabsl(product);
            }
            /* x * sigmoid(x): its slope is less than 1.1. */
            long double off =
                sum_slack(self->dtype, (uint64_t)k + 1, size) + 2 * dtype_unit(self->dtype) * size;
            out->v[c * steps + t] = is_silu ? sum / (1 + expl(-sum)) : sum;
            out->slack[c * steps + t] =
                is_silu ? 1.1L * off + 8 * dtype_unit(self->dtype) * fabsl(out->v[c * steps + t])
                        : off;
        }
    }
    return 1;
}

/* clang-format off */
#define LINEAR(rule, with) "q_num_heads=2,kv_num_heads=2,update_rule=" rule with " q_num_heads=4,kv_num_heads=2,update_rule=" rule with ",vsize=3 " \
    "q_num_heads=4,kv_num_heads=1,update_rule=" rule with ",scale=0.5,S=f32 "
static const case_row rows[] = {
    {"RotaryEmbedding", NULL, "2x3x5x8 1x1x1x2 1x2x13x6 1x4x61x16", "- interleaved=1 with=position_ids with=position_ids,interleaved=1 rotary_embedding_dim=4 rotary_embedding_dim=2,interleaved=1,with=position_ids",
     "ints uniform wide", fill_rotary, rotary_oracle, ROW_ZEROS, NULL, NULL},
    {"RotaryEmbedding", NULL, "2x5x24 1x1x24 1x61x48", "num_heads=3 num_heads=3,interleaved=1 num_heads=2,with=position_ids num_heads=4,with=position_ids,interleaved=1 num_heads=3,rotary_embedding_dim=4 "
     "num_heads=1,rotary_embedding_dim=6,interleaved=1,with=position_ids", "ints uniform", fill_rotary, rotary_oracle, ROW_ZEROS, NULL, NULL},
    {"LinearAttention", NULL, "2x5x16 1x1x8 1x13x24 3x2x4",
     LINEAR("linear", "") LINEAR("linear", ",with=past_state") LINEAR("gated", ",with=decay") LINEAR("gated", ",with=past_state:decay,per=key") LINEAR("delta", ",with=beta")
     LINEAR("delta", ",with=past_state:beta,one=1") LINEAR("gated_delta", ",with=past_state:decay:beta") LINEAR("gated_delta", ",with=decay:beta,per=key")
     "q_num_heads=2,kv_num_heads=1,with=decay:beta q_num_heads=2,kv_num_heads=2,with=past_state:decay:beta,chunk_size=2", "ints uniform", fill_linear_attention, linear_oracle, ROW_ZEROS, NULL, NULL},
    {"CausalConvWithState", NULL, "2x3x11 1x1x1 1x4x61 2x5x2", "- with=bias with=past_state with=bias:past_state activation=silu activation=swish,with=bias activation=none,k=1 k=5 k=4,with=bias:past_state,activation=silu "
     "k=2,with=past_state", "ints uniform", fill_causal, causal_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_stateful = {"stateful", rows, sizeof rows / sizeof *rows};
