/* SPDX-License-Identifier: Apache-2.0
 *
 * com.microsoft's Attention, MultiHeadAttention, GroupQueryAttention and RotaryEmbedding. All three
 * attentions become heads of queries, keys and values with what each element may be off by, which
 * one oracle takes on. Semantics: ONNX Runtime's contrib op documentation.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

typedef struct heads {
    int64_t batch, heads, kv_heads, queries, keys, size, value_size;
    nd q, k, v; /* [batch, heads, length, size] with slack */
    long double scale, cap;
    /* What is added to a score; -INFINITY hides the key. */
    long double (*mask)(
        const trial *self, const nd *in, int64_t b, int64_t h, int64_t i, int64_t j);
} heads;

static long double accumulator(const trial *self) {
    return self->dtype == FER_F64 ? 0x1p-53L : 0x1p-24L;
}

/* An element may be rounded to the dtype after every step of a body. */
static long double step_of(const trial *self) { return dtype_unit(self->dtype); }

/* x[batch, length, heads * size] from column on, plus a bias, as [batch, heads, length, size]
 * behind past. */
static void split_heads(const trial *self,
                        const nd *x,
                        int64_t column,
                        const long double *bias,
                        const nd *past,
                        int64_t count,
                        int64_t size,
                        nd *out) {
    int64_t before = past != NULL && past->v != NULL ? past->dims[past->rank - 2] : 0,
            length = x->dims[1];
    nd_make(self, out, 4, (int64_t[]){x->dims[0], count, before + length, size});
    nd_slack(self, out);
    for (int64_t i = 0; i < (int64_t)out->count; i++) {
        int64_t e = i % size, t = i / size % (before + length),
                h = i / size / (before + length) % count, b = i / size / (before + length) / count;
        if (t < before) {
            out->v[i] = past->v[((b * count + h) * before + t) * size + e];
            continue;
        }
        int64_t at = (b * length + t - before) * x->dims[2] + column + h * size + e;
        long double more = bias != NULL ? bias[column + h * size + e] : 0;
        out->v[i] = x->v[at] + more;
        out->slack[i] = (x->slack != NULL ? x->slack[at] : 0) +
                        (bias != NULL ? step_of(self) * fabsl(out->v[i]) : 0);
    }
}

static void score(const trial *self,
                  const heads *a,
                  int64_t b,
                  int64_t h,
                  int64_t i,
                  long double *s,
                  long double *off) {
    int64_t g = h / (a->heads / a->kv_heads);
    const int64_t query = ((b * a->heads + h) * a->queries + i) * a->size;
    for (int64_t j = 0; j < a->keys; j++) {
        const int64_t key = ((b * a->kv_heads + g) * a->keys + j) * a->size;
        long double sum = 0, size = 0, error = 0;
        for (int64_t e = 0; e < a->size; e++) {
            long double q = a->q.v[query + e], k = a->k.v[key + e];
            sum += q * k;
            size += fabsl(q * k);
            error += a->q.slack[query + e] * fabsl(k) + a->k.slack[key + e] * fabsl(q);
        }
        s[j] = sum * a->scale;
        off[j] = fabsl(a->scale) * (error + sum_slack(self->dtype, (uint64_t)a->size, size) +
                                    4 * step_of(self) * size);
        if (a->cap > 0) {
            s[j] = a->cap * tanhl(s[j] / a->cap);
            off[j] += 8 * step_of(self) * (fabsl(s[j]) + off[j]);
        }
    }
}

/* Relative errors grow by twice the largest of the scores. */
static void soften(const trial *self, const heads *a, long double *s, long double *off) {
    long double most = -INFINITY, sum = 0, worst = 0,
                unit = fmaxl(accumulator(self), step_of(self));
    for (int64_t j = 0; j < a->keys; j++) {
        most = fmaxl(most, s[j]);
    }
    for (int64_t j = 0; j < a->keys; j++) {
        long double below = fabsl(s[j] - most);
        worst = isfinite(s[j]) && below < 80 ? fmaxl(worst, off[j] + unit * (fabsl(s[j]) + below))
                                             : worst;
        s[j] = expl(s[j] - most);
        sum += s[j];
    }
    for (int64_t j = 0; j < a->keys; j++) {
        s[j] /= sum;
        off[j] = s[j] * (expm1l(2 * worst) + (16 + (long double)a->keys) * accumulator(self) +
                         4 * unit) +
                 2 * dtype_ulp(self->dtype, 0);
    }
}

static void weigh(const trial *self,
                  const heads *a,
                  int64_t b,
                  int64_t h,
                  int64_t i,
                  const long double *s,
                  const long double *off,
                  nd *out) {
    int64_t g = h / (a->heads / a->kv_heads);
    for (int64_t e = 0; e < a->value_size; e++) {
        long double sum = 0, size = 0, error = 0;
        for (int64_t j = 0; j < a->keys; j++) {
            int64_t at = ((b * a->kv_heads + g) * a->keys + j) * a->value_size + e;
            sum += s[j] * a->v.v[at];
            size += fabsl(s[j] * a->v.v[at]);
            error += off[j] * fabsl(a->v.v[at]) + s[j] * a->v.slack[at];
        }
        int64_t at = ((b * a->queries + i) * a->heads + h) * a->value_size + e;
        out->v[at] = sum;
        out->slack[at] =
            error + sum_slack(self->dtype, (uint64_t)a->keys, size) + step_of(self) * size;
    }
}

/* out [batch, queries, heads * value_size]; scores may be NULL. */
static void
attend(const trial *self, const nd *in, const heads *a, const nd *bias, nd *out, nd *scores) {
    long double *s = trial_memory(self, (uint64_t)(a->keys + 1) * sizeof *s),
                *off = trial_memory(self, (uint64_t)(a->keys + 1) * sizeof *off);
    nd_make(self, out, 3, (int64_t[]){a->batch, a->queries, a->heads * a->value_size});
    nd_slack(self, out);
    if (scores != NULL) {
        nd_make(self, scores, 4, (int64_t[]){a->batch, a->heads, a->queries, a->keys});
        nd_slack(self, scores);
    }
    for (int64_t row = 0; row < a->batch * a->heads * a->queries; row++) {
        int64_t i = row % a->queries, h = row / a->queries % a->heads,
                b = row / a->queries / a->heads;
        score(self, a, b, h, i, s, off);
        for (int64_t j = 0; j < a->keys; j++) {
            int64_t at[] = {b, h, i, j};
            long double add = a->mask(self, in, b, h, i, j);
            if (scores != NULL) {
                scores->v[row * a->keys + j] = s[j];
                scores->slack[row * a->keys + j] = off[j];
            }
            int has_bias = bias->v != NULL && (bias->dims[3] == 1 || j < bias->dims[3]);
            add += has_bias ? bias->v[index_broadcast(4, at, bias)] : 0;
            s[j] += add;
            off[j] +=
                isfinite(add) && add != 0 ? 2 * step_of(self) * (fabsl(add) + fabsl(s[j])) : 0;
        }
        soften(self, a, s, off);
        weigh(self, a, b, h, i, s, off, out);
    }
}

static long double scale_of(const trial *self, int64_t size) {
    double scale = arg_real(self, "scale", 0);
    return scale != 0 ? (long double)scale : 1 / sqrtl((long double)size);
}

/* ---- masks of Attention and MultiHeadAttention: mask=... says which form ---- */

static int fill_mask(trial *self, uint32_t which, int64_t batch, int64_t queries, int64_t keys) {
    const char *form = arg_text(self, "mask");
    if (self->input_count <= which || !self->inputs[which].is_present) {
        return form == NULL;
    }
    if (form == NULL) {
        return 0;
    }
    input_range(self, which, 0, 1);
    switch (form[0]) {
    case 'l': /* lengths */
        input_dims(self, which, 1, &batch);
        input_range(self, which, 1, (double)keys);
        return 1;
    case 'e': { /* ends, then starts */
        int64_t twice = 2 * batch;
        case_input *input = &self->inputs[which];
        input_dims(self, which, 1, &twice);
        input->fill = FILL_LIST;
        input->list_count = (uint32_t)twice;
        for (int64_t b = 0; b < batch; b++) {
            input->list[b] = (double)(keys - b % 2);
            input->list[batch + b] = (double)(b % keys < keys - 1 ? b % keys : 0);
        }
        return 1;
    }
    case 'k':
        input_dims(self, which, 2, (int64_t[]){batch, keys});
        return 1;
    case 'q':
        input_dims(self, which, 3, (int64_t[]){batch, queries, keys});
        return 1;
    default: /* a square of more than all keys */
        input_dims(self, which, 4, (int64_t[]){batch, 1, keys + 2, keys + 2});
        return 1;
    }
}

static int is_kept(const trial *self,
                   const nd *mask,
                   int64_t queries,
                   int64_t keys,
                   int64_t b,
                   int64_t i,
                   int64_t j) {
    switch (arg_text(self, "mask")[0]) {
    case 'l':
        return j < (int64_t)mask->v[b];
    case 'e':
        return j < (int64_t)mask->v[b] && j >= (int64_t)mask->v[mask->count / 2 + (uint64_t)b];
    case 'k':
        return mask->v[b * keys + j] != 0;
    case 'q':
        return mask->v[(b * queries + i) * keys + j] != 0;
    default:
        return mask->v[(b * (keys + 2) + keys - queries + i) * (keys + 2) + j] != 0;
    }
}

static long double masked(const trial *self,
                          const nd *mask,
                          int64_t queries,
                          int64_t keys,
                          int64_t b,
                          int64_t i,
                          int64_t j) {
    if (arg_int(self, "unidirectional", 0) != 0 && j > keys - queries + i) {
        return -INFINITY;
    }
    return mask->v == NULL || is_kept(self, mask, queries, keys, b, i, j)
               ? 0
               : (long double)arg_real(self, "mask_filter_value", -10000);
}

/* bias=form of attention_bias: each letter a dim, 1 or one of b h q k. */
static int fill_score_bias(trial *self, uint32_t which, const int64_t *dims) {
    const char *form = arg_text(self, "bias_form");
    int64_t own[4];
    for (int i = 0; i < 4; i++) {
        own[i] = form != NULL && form[i] == '1' ? 1 : dims[i];
    }
    if (self->input_count > which && self->inputs[which].is_present) {
        input_dims(self, which, 4, own);
        return form == NULL || strlen(form) == 4;
    }
    return form == NULL;
}

/* ---- Attention: shape words are the input, [batch, steps, width] ---- */

static void sizes_of(const trial *self, int64_t *out_qk, int64_t *out_v) {
    int64_t list[3];
    *out_qk = *out_v = self->dims[2];
    if (arg_ints(self, "qkv_hidden_sizes", list, 3) == 3) {
        *out_qk = list[0];
        *out_v = list[2];
    }
}

static int fill_attention(trial *self) {
    int64_t heads_count = arg_int(self, "num_heads", 1), past = arg_int(self, "past_length", 3), qk,
            v;
    if (self->rank != 3) {
        return 0;
    }
    sizes_of(self, &qk, &v);
    int64_t batch = self->dims[0], steps = self->dims[1], all = 2 * qk + v;
    input_dims(self, 1, 2, (int64_t[]){self->dims[2], all});
    input_dims(self, 2, 1, &all);
    if (!arg_with(self, "past")) {
        past = 0;
    }
    input_dims(self, 4, 5, (int64_t[]){2, batch, heads_count, past, qk / heads_count});
    return qk % heads_count == 0 && v % heads_count == 0 && (past == 0 || qk == v) &&
           fill_mask(self, 3, batch, steps, past + steps) &&
           fill_score_bias(self, 5, (int64_t[]){batch, heads_count, steps, past + steps});
}

static long double
attention_mask(const trial *self, const nd *in, int64_t b, int64_t h, int64_t i, int64_t j) {
    int64_t steps = in[0].dims[1];
    (void)h;
    return masked(self, &in[3], steps, steps + (in[4].v != NULL ? in[4].dims[3] : 0), b, i, j);
}

static int attention_oracle(const trial *self, const nd *in, nd *out) {
    int64_t n = arg_int(self, "num_heads", 1), qk, v;
    nd x, past[2] = {{0}, {0}};
    sizes_of(self, &qk, &v);
    nd input = in[0], weights = in[1];
    if (!matmul_numbers(self, &input, &weights, &x)) {
        return 0;
    }
    for (uint64_t i = 0; i < x.count; i++) {
        x.slack[i] += step_of(self) * fabsl(x.v[i]);
    }
    for (int64_t i = 0; i < 2 && in[4].v != NULL; i++) {
        past[i] = (nd){.rank = 4, .v = in[4].v + (uint64_t)i * in[4].count / 2};
        memcpy(past[i].dims, in[4].dims + 1, 4 * sizeof *past[i].dims);
    }
    heads a = {.batch = x.dims[0],
               .heads = n,
               .kv_heads = n,
               .queries = x.dims[1],
               .size = qk / n,
               .value_size = v / n,
               .scale = scale_of(self, qk / n),
               .mask = attention_mask};
    split_heads(self, &x, 0, in[2].v, NULL, n, a.size, &a.q);
    split_heads(self, &x, qk, in[2].v, &past[0], n, a.size, &a.k);
    split_heads(self, &x, 2 * qk, in[2].v, &past[1], n, a.value_size, &a.v);
    a.keys = a.k.dims[2];
    attend(self, in, &a, &in[5], out, NULL);
    if (self->output_count > 1) {
        nd_make(self, &out[1], 5, (int64_t[]){2, a.batch, n, a.keys, a.size});
        nd_slack(self, &out[1]);
        memcpy(out[1].v, a.k.v, a.k.count * sizeof *a.k.v);
        memcpy(out[1].v + a.k.count, a.v.v, a.v.count * sizeof *a.v.v);
        memcpy(out[1].slack, a.k.slack, a.k.count * sizeof *a.k.v);
        memcpy(out[1].slack + a.k.count, a.v.slack, a.v.count * sizeof *a.v.v);
    }
    return 1;
}

/* ---- MultiHeadAttention: shape words are the query, [batch, steps, heads * size]; packed=q or kv,
 * or key and value with heads apart (form=heads) ---- */

static int fill_multi_head(trial *self) {
    int64_t n = arg_int(self, "num_heads", 1), past = arg_int(self, "past_length", 3);
    const char *form = arg_text(self, "form");
    if (self->rank != 3 || self->dims[2] % n != 0) {
        return 0;
    }
    int64_t batch = self->dims[0], steps = self->dims[1], size = self->dims[2] / n,
            keys = arg_int(self, "keys", steps), value = arg_int(self, "vsize", size);
    past = arg_with(self, "past_key") ? past : 0;
    if (form != NULL && form[0] == 'q') {
        input_dims(self, 0, 5, (int64_t[]){batch, steps, n, 3, size});
        keys = steps;
    }
    input_dims(self, 1, 3, (int64_t[]){batch, keys, n * size});
    input_dims(self, 2, 3, (int64_t[]){batch, keys, n * value});
    if (form != NULL && form[0] == 'k') {
        input_dims(self, 1, 5, (int64_t[]){batch, keys, n, 2, size});
    } else if (form != NULL && form[0] == 'h') {
        input_dims(self, 1, 4, (int64_t[]){batch, n, keys, size});
        input_dims(self, 2, 4, (int64_t[]){batch, n, keys, value});
    }
    int64_t bias = n * (2 * size + value);
    input_dims(self, 3, 1, &bias);
    input_dims(self, 6, 4, (int64_t[]){batch, n, past, size});
    input_dims(self, 7, 4, (int64_t[]){batch, n, past, value});
    return arg_with(self, "key") == (form == NULL || form[0] != 'q') &&
           arg_with(self, "value") == (form == NULL || form[0] == 'h') &&
           (form == NULL || (past == 0 && value == size)) &&
           (form == NULL || form[0] == 'h' || !arg_with(self, "bias")) &&
           fill_mask(self, 4, batch, steps, past + keys) &&
           fill_score_bias(self, 5, (int64_t[]){batch, n, steps, past + keys});
}

static long double
multi_head_mask(const trial *self, const nd *in, int64_t b, int64_t h, int64_t i, int64_t j) {
    int64_t steps = in[0].dims[1], keys = in[1].v == NULL   ? steps
                                          : in[1].rank == 4 ? in[1].dims[2]
                                                            : in[1].dims[1];
    (void)h;
    return masked(self, &in[4], steps, keys + (in[6].v != NULL ? in[6].dims[2] : 0), b, i, j);
}

/* x[batch, length, heads, parts, size], one part. */
static void take_part(const trial *self, const nd *x, int64_t part, nd *out) {
    int64_t n = x->dims[2], parts = x->dims[3], size = x->dims[4], length = x->dims[1];
    nd_make(self, out, 4, (int64_t[]){x->dims[0], n, length, size});
    nd_slack(self, out);
    for (int64_t i = 0; i < (int64_t)out->count; i++) {
        int64_t e = i % size, t = i / size % length, h = i / size / length % n,
                b = i / size / length / n;
        out->v[i] = x->v[(((b * length + t) * n + h) * parts + part) * size + e];
    }
}

static int multi_head_oracle(const trial *self, const nd *in, nd *out) {
    int64_t n = arg_int(self, "num_heads", 1);
    heads a = {.batch = in[0].dims[0],
               .heads = n,
               .kv_heads = n,
               .queries = in[0].dims[1],
               .mask = multi_head_mask};
    const long double *bias = in[3].v;
    int64_t width = in[0].dims[2];
    if (in[0].rank == 5) {
        take_part(self, &in[0], 0, &a.q);
        take_part(self, &in[0], 1, &a.k);
        take_part(self, &in[0], 2, &a.v);
    } else {
        split_heads(self, &in[0], 0, bias, NULL, n, width / n, &a.q);
        if (in[1].rank == 5) {
            take_part(self, &in[1], 0, &a.k);
            take_part(self, &in[1], 1, &a.v);
        } else if (in[1].rank == 4) {
            a.k = in[1];
            a.v = in[2];
            nd_slack(self, &a.k);
            nd_slack(self, &a.v);
        } else {
            split_heads(
                self, &in[1], 0, bias != NULL ? bias + width : NULL, &in[6], n, width / n, &a.k);
            split_heads(self,
                        &in[2],
                        0,
                        bias != NULL ? bias + 2 * width : NULL,
                        &in[7],
                        n,
                        in[2].dims[2] / n,
                        &a.v);
        }
    }
    a.keys = a.k.dims[2];
    a.size = a.k.dims[3];
    a.value_size = a.v.dims[3];
    a.scale = scale_of(self, a.size);
    attend(self, in, &a, &in[5], out, self->output_count > 3 ? &out[3] : NULL);
    if (self->output_count > 2) {
        out[1] = a.k;
        out[2] = a.v;
    }
    return 1;
}

/* ---- rotation ---- */

/* x[batch, heads, length, size] turned; place(b, t) is the row of the caches. */
static void rotate(const trial *self,
                   nd *x,
                   const nd *cos,
                   const nd *sin,
                   const int64_t *places,
                   int interleaves) {
    int64_t n = x->dims[1], length = x->dims[2], size = x->dims[3], half = cos->dims[1];
    nd turned = *x;
    turned.v = trial_memory(self, (x->count + 1) * sizeof *x->v);
    turned.slack = trial_memory(self, (x->count + 1) * sizeof *x->v);
    memcpy(turned.v, x->v, x->count * sizeof *x->v);
    for (int64_t row = 0; row < (int64_t)x->count / size; row++) {
        int64_t place = places[row / length / n * length + row % length];
        for (int64_t k = 0; k < half; k++) {
            int64_t first = row * size + (interleaves ? 2 * k : k),
                    second = first + (interleaves ? 1 : half);
            long double c = cos->v[place * half + k], s = sin->v[place * half + k], p = x->v[first],
                        q = x->v[second];
            turned.v[first] = c * p - s * q;
            turned.v[second] = s * p + c * q;
            turned.slack[first] = 2 * step_of(self) * (fabsl(c * p) + fabsl(s * q));
            turned.slack[second] = 2 * step_of(self) * (fabsl(s * p) + fabsl(c * q));
        }
    }
    *x = turned;
}

enum { PLACES = 17 };

/* ---- RotaryEmbedding: [batch, steps, heads * size] or [batch, heads, steps, size] ---- */

static int64_t rotary_size(const trial *self) {
    return self->rank == 4 ? self->dims[3]
                           : self->dims[2] / arg_int(self, "heads", arg_int(self, "num_heads", 1));
}

static int fill_rotary(trial *self) {
    int64_t size = self->rank == 3 || self->rank == 4 ? rotary_size(self) : 0,
            turned = arg_int(self, "rotary_embedding_dim", size),
            steps = self->rank == 4 ? self->dims[2] : self->dims[1];
    if (size == 0 || size % 2 != 0 || turned > size ||
        (self->rank == 3 &&
         self->dims[2] % arg_int(self, "heads", arg_int(self, "num_heads", 1)) != 0) ||
        (self->rank == 4 &&
         (arg_text(self, "heads") != NULL || arg_text(self, "num_heads") != NULL))) {
        return 0;
    }
    if (arg_text(self, "position_ids") == NULL) {
        input_dims(self, 1, 2, (int64_t[]){self->dims[0], steps});
        input_range(self, 1, 0, PLACES - 1);
    }
    input_dims(self, 2, 2, (int64_t[]){PLACES, turned / 2});
    input_dims(self, 3, 2, (int64_t[]){PLACES, turned / 2});
    input_range(self, 2, -1, 1);
    input_range(self, 3, -1, 1);
    return steps + 4 <= PLACES;
}

static int rotary_oracle(const trial *self, const nd *in, nd *out) {
    int64_t size = rotary_size(self), steps = self->rank == 4 ? self->dims[2] : self->dims[1],
            *places = trial_memory(self, (uint64_t)(self->dims[0] * steps + 1) * sizeof *places);
    nd x = in[0];
    for (int64_t i = 0; i < self->dims[0] * steps; i++) {
        places[i] = in[1].count == 1 ? (int64_t)in[1].v[0] + i % steps : (int64_t)in[1].v[i];
    }
    if (self->rank == 3) {
        split_heads(self, &in[0], 0, NULL, NULL, self->dims[2] / size, size, &x);
    }
    rotate(self, &x, &in[2], &in[3], places, arg_int(self, "interleaved", 0) != 0);
    nd_like(self, out, &in[0]);
    nd_slack(self, out);
    int64_t n = x.dims[1];
    for (int64_t i = 0; i < (int64_t)x.count; i++) {
        int64_t e = i % size, t = i / size % steps, h = i / size / steps % n,
                b = i / size / steps / n;
        int64_t at = self->rank == 4 ? i : ((b * steps + t) * n + h) * size + e;
        out->v[at] = x.v[i];
        out->slack[at] = x.slack[i];
    }
    return 1;
}

/* ---- GroupQueryAttention: shape words are the query, [batch, steps, heads * size]; seqlens_k and
 * total_sequence_length are given, past=N is a cache of so many rows ---- */

static int fill_group(trial *self) {
    int64_t n = arg_int(self, "num_heads", 1), g = arg_int(self, "kv_num_heads", 1),
            past = arg_int(self, "past", 0);
    if (self->rank != 3 || self->dims[2] != n * 16 || arg_text(self, "seqlens_k") == NULL ||
        self->inputs[5].list_count != (uint32_t)self->dims[0] ||
        arg_int(self, "total_sequence_length", 0) < self->dims[1] ||
        arg_with(self, "past_key") != (past > 0)) {
        return 0;
    }
    int64_t batch = self->dims[0], steps = self->dims[1], size = self->dims[2] / n,
            total = arg_int(self, "total_sequence_length", 0);
    int64_t turned = arg_int(self, "turned", size);
    for (int64_t b = 0; b < batch; b++) { /* what is filled must lie in the cache */
        int64_t length = (int64_t)self->inputs[5].list[b] + 1;
        if (length - steps > past || length > (total > past ? total : past)) {
            return 0;
        }
    }
    input_dims(self, 1, 3, (int64_t[]){batch, steps, g * size});
    input_dims(self, 2, 3, (int64_t[]){batch, steps, g * size});
    if (!arg_with(self, "key")) {
        input_dims(self, 0, 3, (int64_t[]){batch, steps, (n + 2 * g) * size});
    }
    for (uint32_t i = 3; i < 5; i++) {
        input_dims(self, i, 4, (int64_t[]){batch, g, past, size});
    }
    for (uint32_t i = 7; i < 9; i++) {
        input_dims(self, i, 2, (int64_t[]){PLACES, turned / 2});
        input_range(self, i, -1, 1);
    }
    input_dims(self, 9, 2, (int64_t[]){batch, steps});
    input_range(self, 9, 0, PLACES - 1);
    if (self->input_count > 10) {
        input_dims(self,
                   10,
                   4,
                   (int64_t[]){arg_int(self, "one", 0) ? 1 : batch,
                               arg_int(self, "one", 0) ? 1 : n,
                               steps,
                               total});
    }
    return (arg_int(self, "do_rotary", 0) != 0) == arg_with(self, "cos_cache");
}

/* Of batch b: how many rows of its cache are filled before the step. */
static int64_t filled(const nd *in, int64_t b, int64_t steps) {
    int64_t length = (int64_t)in[5].v[b] + 1;
    return length > steps ? length - steps : 0;
}

static long double
group_mask(const trial *self, const nd *in, int64_t b, int64_t h, int64_t i, int64_t j) {
    int64_t at = filled(in, b, in[0].dims[1]) + i, window = arg_int(self, "local_window_size", -1);
    (void)h;
    return j > at || (window > 0 && j <= at - window) ? -INFINITY : 0;
}

/* fresh behind what is filled of past; what lies beyond may be anything. */
static void
cache_of(const trial *self, const nd *in, const nd *past, const nd *fresh, int64_t keys, nd *out) {
    int64_t g = fresh->dims[1], steps = fresh->dims[2], size = fresh->dims[3];
    nd_make(self, out, 4, (int64_t[]){fresh->dims[0], g, keys, size});
    nd_slack(self, out);
    for (int64_t i = 0; i < (int64_t)out->count; i++) {
        int64_t e = i % size, t = i / size % keys, h = i / size / keys % g, b = i / size / keys / g,
                before = filled(in, b, steps);
        if (t < before) {
            out->v[i] = past->v[((b * g + h) * past->dims[2] + t) * size + e];
        } else if (t < before + steps) {
            int64_t at = ((b * g + h) * steps + t - before) * size + e;
            out->v[i] = fresh->v[at];
            out->slack[i] = fresh->slack[at];
        } else {
            out->slack[i] = INFINITY;
        }
    }
}

/* The oracle of the attention must not meet infinite slacks: hidden keys count nothing. */
static nd visible(const trial *self, const nd *cache) {
    nd out = *cache;
    nd_slack(self, &out);
    for (uint64_t i = 0; i < out.count; i++) {
        out.slack[i] = isfinite(cache->slack[i]) ? cache->slack[i] : 0;
    }
    return out;
}

static void turn_group(const trial *self, const nd *in, heads *a, nd *fresh) {
    int64_t *places = trial_memory(self, (uint64_t)(a->batch * a->queries + 1) * sizeof *places);
    for (int64_t i = 0; i < a->batch * a->queries; i++) {
        places[i] = in[9].v != NULL ? (int64_t)in[9].v[i]
                                    : filled(in, i / a->queries, a->queries) + i % a->queries;
    }
    rotate(self, &a->q, &in[7], &in[8], places, arg_int(self, "rotary_interleaved", 0) != 0);
    rotate(self, fresh, &in[7], &in[8], places, arg_int(self, "rotary_interleaved", 0) != 0);
}

static int group_oracle(const trial *self, const nd *in, nd *out) {
    int64_t n = arg_int(self, "num_heads", 1), g = arg_int(self, "kv_num_heads", 1),
            size = self->dims[2] / n, past = in[3].v != NULL ? in[3].dims[2] : 0,
            total = (int64_t)in[6].v[0];
    heads a = {.batch = self->dims[0],
               .heads = n,
               .kv_heads = g,
               .queries = self->dims[1],
               .size = size,
               .keys = total > past ? total : past,
               .value_size = size,
               .scale = scale_of(self, size),
               .cap = (long double)arg_real(self, "softcap", 0),
               .mask = group_mask};
    nd fresh, values;
    split_heads(self, &in[0], 0, NULL, NULL, n, size, &a.q);
    split_heads(self,
                in[1].v != NULL ? &in[1] : &in[0],
                in[1].v != NULL ? 0 : n * size,
                NULL,
                NULL,
                g,
                size,
                &fresh);
    split_heads(self,
                in[1].v != NULL ? &in[2] : &in[0],
                in[1].v != NULL ? 0 : (n + g) * size,
                NULL,
                NULL,
                g,
                size,
                &values);
    if (arg_int(self, "do_rotary", 0) != 0) {
        turn_group(self, in, &a, &fresh);
    }
    cache_of(self, in, &in[3], &fresh, a.keys, &out[1]);
    cache_of(self, in, &in[4], &values, a.keys, &out[2]);
    a.k = visible(self, &out[1]);
    a.v = visible(self, &out[2]);
    attend(self, in, &a, &in[10], out, NULL);
    for (int64_t i = 0; i < (int64_t)out->count;
         i++) { /* queries of a batch beyond its length are padding */
        int64_t t = i / (n * size) % a.queries, b = i / (n * size) / a.queries;
        out->slack[i] = t > (int64_t)in[5].v[b] ? INFINITY : out->slack[i];
    }
    return 1;
}

/* clang-format off */
#define MS "com.microsoft."
#define FORMS(h) "num_heads=" h " num_heads=" h ",with=bias num_heads=" h ",with=bias,unidirectional=1 num_heads=" h ",with=bias,scale=0.25 num_heads=" h ",with=bias:mask_index,mask=lengths num_heads=" h \
    ",with=bias:mask_index,mask=ends num_heads=" h ",with=bias:mask_index,mask=keys num_heads=" h ",with=bias:mask_index,mask=queries,mask_filter_value=-500 num_heads=" h ",with=bias:mask_index,mask=square " \
    "num_heads=" h ",with=bias:past,outs=2 num_heads=" h ",with=bias:past,outs=2,unidirectional=1,past_length=1 num_heads=" h ",with=bias:past:mask_index,mask=keys,outs=2 num_heads=" h ",with=bias,outs=2 num_heads=" h \
    ",with=bias:attention_bias num_heads=" h ",with=bias:attention_bias,bias_form=1hqk num_heads=" h ",with=bias:attention_bias,bias_form=b1qk num_heads=" h ",with=bias:attention_bias:past:mask_index,mask=lengths,bias_form=11qk,outs=2 "
#define KV "with=key:value"
#define MULTI(h) "num_heads=" h "," KV " num_heads=" h "," KV ":bias num_heads=" h "," KV ",unidirectional=1 num_heads=" h "," KV ",scale=0.5,outs=3 num_heads=" h "," KV ",keys=7,vsize=3 num_heads=" h "," KV ":bias,keys=3,vsize=5 num_heads=" h \
    "," KV ":key_padding_mask,mask=keys,keys=6 num_heads=" h "," KV ":key_padding_mask,mask=lengths,keys=6 num_heads=" h "," KV ":key_padding_mask,mask=queries,mask_filter_value=-50 num_heads=" h "," KV ":attention_bias num_heads=" h "," KV \
    ":attention_bias,bias_form=1hqk,keys=7 num_heads=" h "," KV ":attention_bias:key_padding_mask,bias_form=11qk,mask=keys num_heads=" h "," KV ":past_key:past_value,outs=3 num_heads=" h "," KV \
    ":bias:past_key:past_value,outs=3,unidirectional=1,past_length=5 num_heads=" h "," KV ",outs=4 num_heads=" h "," KV ":past_key:past_value:key_padding_mask:attention_bias,mask=keys,outs=4 num_heads=" h ",form=qkv num_heads=" h \
    ",form=qkv,unidirectional=1 num_heads=" h ",form=kv,with=key,keys=7 num_heads=" h ",form=heads," KV ",keys=5 num_heads=" h ",form=heads," KV ":attention_bias,keys=5,bias_form=b1qk num_heads=" h ",form=qkv,with=key_padding_mask,mask=lengths "
#define ROTA "with=key:value:cos_cache:sin_cache,do_rotary=1"
#define ROTAPAST "with=key:value:past_key:past_value:cos_cache:sin_cache,do_rotary=1"
#define GROUP(h, l) h "," KV "," l h "," ROTA "," l h "," ROTA ",rotary_interleaved=1," l h "," KV ",softcap=2," l h "," KV ",local_window_size=2," l h "," KV ",scale=0.5," l h "," l h ",with=cos_cache:sin_cache,do_rotary=1," l \
    h "," ROTA ":position_ids," l h "," KV ":attention_bias," l h "," KV ":attention_bias,one=1," l
#define PAST(h, l) h ",with=key:value:past_key:past_value," l h "," ROTAPAST "," l h "," ROTAPAST ",rotary_interleaved=1," l h ",with=key:value:past_key:past_value,softcap=3,local_window_size=3," l h ",with=past_key:past_value," l \
    h ",with=key:value:past_key:past_value:attention_bias,one=1," l h ",with=key:value:past_key:past_value,scale=0.25," l
static const case_row rows[] = {
    {MS "Attention", NULL, "2x4x8 1x1x4 1x7x12 2x3x16", FORMS("2") FORMS("4") "num_heads=2,qkv_hidden_sizes=8:8:6,with=bias num_heads=2,qkv_hidden_sizes=4:4:12,with=bias:mask_index,mask=keys", "ints uniform",
     fill_attention, attention_oracle, ROW_ZEROS},
    {MS "MultiHeadAttention", NULL, "2x4x8 1x1x4 1x7x12 2x3x16", MULTI("2") MULTI("4") "num_heads=1," KV, "ints uniform", fill_multi_head, multi_head_oracle, ROW_ZEROS},
    {MS "RotaryEmbedding", NULL, "2x3x4x8 1x2x5x4 1x1x1x2", "- interleaved=1 rotary_embedding_dim=4,num_heads=3 position_ids=2: position_ids=4:,interleaved=1", "ints uniform", fill_rotary, rotary_oracle, ROW_ZEROS},
    {MS "RotaryEmbedding", NULL, "2x4x16 1x1x8 3x7x24", "heads=2 heads=4,interleaved=1 num_heads=2,rotary_embedding_dim=4 num_heads=2,rotary_embedding_dim=2,interleaved=1 heads=2,position_ids=3: "
     "num_heads=2,rotary_embedding_dim=4,position_ids=0:", "ints uniform", fill_rotary, rotary_oracle, ROW_ZEROS},
    {MS "GroupQueryAttention", NULL, "2x4x96 2x4x48", GROUP("num_heads=6,kv_num_heads=2", "seqlens_k=3:3,total_sequence_length=4,outs=3 ") GROUP("num_heads=3,kv_num_heads=1", "seqlens_k=3:3,total_sequence_length=4,outs=3 ")
     "num_heads=3,kv_num_heads=3," KV ",seqlens_k=3:3,total_sequence_length=4,outs=3 num_heads=3,kv_num_heads=3," KV ",seqlens_k=3:1,total_sequence_length=4,outs=3 ", "ints uniform", fill_group, group_oracle, ROW_ZEROS},
    {MS "GroupQueryAttention", NULL, "1x1x64 1x5x64", GROUP("num_heads=4,kv_num_heads=2", "seqlens_k=0:,total_sequence_length=1,outs=3 ") GROUP("num_heads=4,kv_num_heads=1", "seqlens_k=4:,total_sequence_length=5,outs=3 "), "ints uniform",
     fill_group, group_oracle, ROW_ZEROS},
    {MS "GroupQueryAttention", NULL, "2x1x96 2x1x48 2x1x64", PAST("num_heads=6,kv_num_heads=2", "past=5,seqlens_k=5:5,total_sequence_length=6,outs=3 ") PAST("num_heads=3,kv_num_heads=3", "past=8,seqlens_k=5:3,total_sequence_length=6,outs=3 ")
     PAST("num_heads=4,kv_num_heads=1", "past=7,seqlens_k=7:2,total_sequence_length=8,outs=3 "), "ints uniform", fill_group, group_oracle, ROW_ZEROS},
    {MS "GroupQueryAttention", NULL, "1x3x96 1x3x48", PAST("num_heads=6,kv_num_heads=2", "past=5,seqlens_k=7:,total_sequence_length=8,outs=3 ") PAST("num_heads=3,kv_num_heads=1", "past=2,seqlens_k=4:,total_sequence_length=5,outs=3 "), "ints uniform",
     fill_group, group_oracle, ROW_ZEROS},
};
/* clang-format on */

const case_family cases_contrib_attention = {"contrib attention", rows, sizeof rows / sizeof *rows};
