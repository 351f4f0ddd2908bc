/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention in all its forms, and FlexAttention. Errors are carried along: of the scores, which may
 * be rounded to the dtype at every step of the body, through softmax, whose relative error is twice
 * that, to the sums.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* Sizes of a case: shape words are Q as [batch, heads, queries, size] or, packed, [batch, queries,
 * heads * size]. */
typedef struct sizes {
    int64_t batch, heads, kv_heads, queries, keys, past, size, value_size, total;
    int is_packed;
} sizes;

static int sizes_of(const trial *self, sizes *out) {
    const int64_t *d = self->dims;
    if (self->rank == 4) {
        *out = (sizes){.batch = d[0],
                       .heads = d[1],
                       .queries = d[2],
                       .size = d[3],
                       .kv_heads = arg_int(self, "kvheads", d[1])};
    } else if (self->rank == 3 && arg_int(self, "q_num_heads", 0) > 0 &&
               d[2] % arg_int(self, "q_num_heads", 1) == 0) {
        int64_t heads = arg_int(self, "q_num_heads", 1);
        *out = (sizes){.batch = d[0],
                       .heads = heads,
                       .queries = d[1],
                       .size = d[2] / heads,
                       .kv_heads = arg_int(self, "kv_num_heads", heads),
                       .is_packed = 1};
    } else {
        return 0;
    }
    out->keys = arg_int(self, "keys", out->queries);
    out->past = arg_with(self, "past_key") ? arg_int(self, "past", 3) : 0;
    out->value_size = arg_int(self, "vsize", out->size);
    out->total = out->past + out->keys;
    return out->kv_heads > 0 && out->keys > 0 && out->past >= 0 && out->value_size > 0 &&
           out->heads % out->kv_heads == 0 &&
           (self->rank == 4 || arg_text(self, "kvheads") == NULL);
}

static void head_dims(
    trial *self, const sizes *s, uint32_t which, int64_t heads, int64_t length, int64_t size) {
    if (s->is_packed) {
        input_dims(self, which, 3, (int64_t[]){s->batch, length, heads * size});
    } else {
        input_dims(self, which, 4, (int64_t[]){s->batch, heads, length, size});
    }
}

/* Masks by the word mask: the dims that are not 1, of [batch, heads, queries, keys]. The first key
 * takes part always, so that no row is masked out whole. */
static int fill_mask(trial *self, const sizes *s) {
    case_input *mask = &self->inputs[3];
    const char *form = arg_text(self, "mask");
    int64_t keys = s->total - arg_int(self, "short", 0),
            all[] = {s->batch, s->heads, s->queries, keys};
    uint32_t rank = form == NULL ? 2 : (uint32_t)strlen(form);
    if (keys < 1) {
        return 0;
    }
    mask->rank = rank;
    for (uint32_t i = 0; i < rank; i++) {
        mask->dims[i] = form != NULL && form[i] == '1' ? 1 : all[4 - rank + i];
    }
    input_range(self, 3, -3, 3);
    if (mask->dtype == FER_BOOL || arg_int(self, "hard", 0) != 0) {
        mask->fill = FILL_LIST;
        mask->list_count = (uint32_t)(keys < CASE_LIST ? keys : CASE_LIST);
        for (uint32_t i = 0; i < mask->list_count; i++) {
            int takes_part = i % 3 != 2;
            mask->list[i] = mask->dtype == FER_BOOL ? takes_part
                            : takes_part            ? i * 0.25
                                                    : -INFINITY;
        }
    }
    return 1;
}

static int fill_attention(trial *self) {
    sizes s;
    if (!sizes_of(self, &s)) {
        return 0;
    }
    head_dims(self, &s, 1, s.kv_heads, s.keys, s.size);
    head_dims(self, &s, 2, s.kv_heads, s.keys, s.value_size);
    if (self->input_count > 3 && self->inputs[3].is_present && !fill_mask(self, &s)) {
        return 0;
    }
    if (self->input_count > 5) {
        input_dims(self, 4, 4, (int64_t[]){s.batch, s.kv_heads, s.past, s.size});
        input_dims(self, 5, 4, (int64_t[]){s.batch, s.kv_heads, s.past, s.value_size});
    }
    if (self->input_count > 6) {
        input_dims(self, 6, 1, &s.batch);
        input_range(self, 6, 1, (double)s.keys);
    }
    return 1;
}

/* An element of [batch, heads, length, size], packed or not. */
static long double
packed_at(const nd *x, const sizes *s, int64_t heads, int64_t b, int64_t h, int64_t i, int64_t e) {
    if (x->rank == 3) {
        return x->v[(b * x->dims[1] + i) * x->dims[2] + h * (x->dims[2] / heads) + e];
    }
    (void)s;
    return x->v[((b * heads + h) * x->dims[2] + i) * x->dims[3] + e];
}

/* Of key j: from the cache, then what came. */
static long double cached_at(
    const nd *now, const nd *past, const sizes *s, int64_t b, int64_t h, int64_t j, int64_t e) {
    return j < s->past ? packed_at(past, s, s->kv_heads, b, h, j, e)
                       : packed_at(now, s, s->kv_heads, b, h, j - s->past, e);
}

static long double mask_at(
    const trial *self, const nd *in, const sizes *s, int64_t b, int64_t h, int64_t i, int64_t j) {
    const nd *mask = &in[3], *valid = &in[6];
    long double add = 0;
    if (mask->v != NULL) {
        int64_t index[] = {b, h, i, j}, keys = mask->dims[mask->rank - 1];
        if (j >= keys && keys != 1) {
            return -INFINITY;
        }
        long double found = mask->v[index_broadcast(4, index, mask)];
        add = self->inputs[3].dtype != FER_BOOL ? found : found != 0 ? 0 : -INFINITY;
    }
    if (arg_int(self, "is_causal", 0) != 0 && j - s->past > i) {
        add = -INFINITY;
    }
    return valid->v != NULL && j >= (int64_t)valid->v[b] ? -INFINITY : add;
}

/* A row of scores with its errors, as it goes through the body. */
typedef struct score_row {
    long double *v, *off;
} score_row;

static long double scale_of(const trial *self, const sizes *s) {
    return arg_text(self, "scale") != NULL ? (long double)arg_real(self, "scale", 1)
                                           : 1 / sqrtl((long double)s->size);
}

static void keep_row(
    const trial *self, nd *out, const sizes *s, int64_t row, const score_row *r, int64_t mode) {
    if (self->output_count > 3 && arg_int(self, "qk_matmul_output_mode", 0) == mode) {
        memcpy(out[3].v + row * s->total, r->v, (size_t)s->total * sizeof *r->v);
        memcpy(out[3].slack + row * s->total, r->off, (size_t)s->total * sizeof *r->off);
    }
}

static void score(const trial *self,
                  const nd *in,
                  const sizes *s,
                  int64_t b,
                  int64_t h,
                  int64_t i,
                  const score_row *out) {
    int64_t g = h / (s->heads / s->kv_heads);
    for (int64_t j = 0; j < s->total; j++) {
        long double sum = 0, size = 0;
        for (int64_t e = 0; e < s->size; e++) {
            long double product = packed_at(&in[0], s, s->heads, b, h, i, e) *
                                  cached_at(&in[1], &in[4], s, b, g, j, e);
            sum += product;
            size += fabsl(product);
        }
        long double scale = scale_of(self, s);
        out->v[j] = sum * scale;
        out->off[j] = sum_slack(self->dtype, (uint64_t)s->size, size * scale) +
                      4 * dtype_unit(self->dtype) * size * scale;
    }
}

static void bound(const trial *self, const sizes *s, long double cap, const score_row *r) {
    for (int64_t j = 0; cap > 0 && j < s->total; j++) {
        r->v[j] = cap * tanhl(r->v[j] / cap);
        r->off[j] += 8 * dtype_unit(self->dtype) * (fabsl(r->v[j]) + r->off[j]);
    }
}

/* Relative errors grow by twice the largest of the scores; infinite ones have none. */
static void soften(const trial *self, const sizes *s, const score_row *r) {
    long double most = -INFINITY, sum = 0, off = 0;
    long double unit =
        self->dtype == FER_F64 && arg_text(self, "softmax_precision") == NULL ? 0x1p-53L : 0x1p-24L;
    unit = fmaxl(unit, dtype_unit(self->dtype));
    for (int64_t j = 0; j < s->total; j++) {
        most = fmaxl(most, r->v[j]);
    }
    for (int64_t j = 0; j < s->total; j++) {
        off = isfinite(r->v[j])
                  ? fmaxl(off, r->off[j] + unit * (fabsl(r->v[j]) + fabsl(r->v[j] - most)))
                  : off;
        r->v[j] = expl(r->v[j] - most);
        sum += r->v[j];
    }
    for (int64_t j = 0; j < s->total; j++) {
        r->v[j] /= sum;
        r->off[j] = r->v[j] * (expm1l(2 * off) +
                               (16 + (long double)s->total) *
                                   (self->dtype == FER_F64 ? 0x1p-53L : 0x1p-24L) +
                               4 * unit) +
                    2 * dtype_ulp(self->dtype, 0);
    }
}

static void weigh(const trial *self,
                  const nd *in,
                  const sizes *s,
                  int64_t b,
                  int64_t h,
                  int64_t i,
                  const score_row *r,
                  nd *out) {
    int64_t g = h / (s->heads / s->kv_heads);
    for (int64_t e = 0; e < s->value_size; e++) {
        long double sum = 0, size = 0, off = 0;
        for (int64_t j = 0; j < s->total; j++) {
            long double value = cached_at(&in[2], &in[5], s, b, g, j, e);
            sum += r->v[j] * value;
            size += fabsl(r->v[j] * value);
            off += r->off[j] * fabsl(value);
        }
        int64_t at = s->is_packed ? ((b * s->queries + i) * s->heads + h) * s->value_size + e
                                  : ((b * s->heads + h) * s->queries + i) * s->value_size + e;
        out->v[at] = sum;
        out->slack[at] = off + sum_slack(self->dtype, (uint64_t)s->total, size);
    }
}

static void
present(const trial *self, const nd *now, const nd *past, const sizes *s, int64_t size, nd *out) {
    nd_make(self, out, 4, (int64_t[]){s->batch, s->kv_heads, s->total, size});
    for (uint64_t i = 0; i < out->count; i++) {
        int64_t e = (int64_t)i % size, j = (int64_t)i / size % s->total,
                h = (int64_t)i / size / s->total % s->kv_heads;
        out->v[i] = cached_at(now, past, s, (int64_t)i / size / s->total / s->kv_heads, h, j, e);
    }
}

static void attention_outputs(const trial *self, const nd *in, const sizes *s, nd *out) {
    if (s->is_packed) {
        nd_make(self, out, 3, (int64_t[]){s->batch, s->queries, s->heads * s->value_size});
    } else {
        nd_make(self, out, 4, (int64_t[]){s->batch, s->heads, s->queries, s->value_size});
    }
    nd_slack(self, out);
    if (self->output_count > 2) {
        present(self, &in[1], &in[4], s, s->size, &out[1]);
        present(self, &in[2], &in[5], s, s->value_size, &out[2]);
    }
    if (self->output_count > 3) {
        nd_make(self, &out[3], 4, (int64_t[]){s->batch, s->heads, s->queries, s->total});
        nd_slack(self, &out[3]);
    }
}

static int attention_oracle(const trial *self, const nd *in, nd *out) {
    sizes s;
    (void)sizes_of(self, &s);
    score_row r = {trial_memory(self, (uint64_t)(s.total + 1) * sizeof(long double)),
                   trial_memory(self, (uint64_t)(s.total + 1) * sizeof(long double))};
    attention_outputs(self, in, &s, out);
    for (int64_t row = 0; row < s.batch * s.heads * s.queries; row++) {
        int64_t i = row % s.queries, h = row / s.queries % s.heads, b = row / s.queries / s.heads;
        score(self, in, &s, b, h, i, &r);
        keep_row(self, out, &s, row, &r, 0);
        bound(self, &s, arg_real(self, "softcap", 0), &r);
        keep_row(self, out, &s, row, &r, 1);
        for (int64_t j = 0; j < s.total; j++) {
            long double add = mask_at(self, in, &s, b, h, i, j);
            r.v[j] += add;
            r.off[j] = isfinite(add)
                           ? r.off[j] + 2 * dtype_unit(self->dtype) * (fabsl(add) + fabsl(r.v[j]))
                           : 0;
        }
        keep_row(self, out, &s, row, &r, 2);
        soften(self, &s, &r);
        keep_row(self, out, &s, row, &r, 3);
        weigh(self, in, &s, b, h, i, &r, out);
    }
    return 1;
}

/* ---- FlexAttention: score=OP and prob=OP name a one-node modifier ---- */

static int fill_flex(trial *self) { return self->rank == 4 && fill_attention(self); }

static long double modified(const char *op, long double x) {
    return op == NULL     ? x
           : op[0] == 'T' ? tanhl(x)
           : op[0] == 'N' ? -x
           : op[0] == 'A' ? fabsl(x)
                          : fmaxl(x, 0);
}
/* Tanh, Neg, Abs, Relu: none makes errors larger, but for its own rounding. */
static void modify(const trial *self, const sizes *s, const char *key, const score_row *r) {
    for (int64_t j = 0; arg_text(self, key) != NULL && j < s->total; j++) {
        r->v[j] = modified(arg_text(self, key), r->v[j]);
        r->off[j] += 8 * (self->dtype == FER_F64 ? 0x1p-53L : 0x1p-24L) * fabsl(r->v[j]);
    }
}
static int flex_oracle(const trial *self, const nd *in, nd *out) {
    sizes s;
    (void)sizes_of(self, &s);
    score_row r = {trial_memory(self, (uint64_t)(s.total + 1) * sizeof(long double)),
                   trial_memory(self, (uint64_t)(s.total + 1) * sizeof(long double))};
    attention_outputs(self, in, &s, out);
    for (int64_t row = 0; row < s.batch * s.heads * s.queries; row++) {
        int64_t i = row % s.queries, h = row / s.queries % s.heads, b = row / s.queries / s.heads;
        score(self, in, &s, b, h, i, &r);
        modify(self, &s, "score", &r);
        soften(self, &s, &r);
        modify(self, &s, "prob", &r);
        weigh(self, in, &s, b, h, i, &r, out);
    }
    return 1;
}

static fer_status
modifier(const trial *self, fer_context *context, const char *op, fer_graph **out) {
    sizes s;
    (void)sizes_of(self, &s);
    fer_value_id value = FER_NO_VALUE, result = FER_NO_VALUE;
    int64_t dims[] = {s.batch, s.heads, s.queries, s.total};
    fer_status status = fer_graph_create(context, out);
    status =
        status
            ? status
            : fer_graph_add_input(
                  *out, "score", self->dtype == FER_F64 ? FER_F64 : FER_F32, 4, dims, NULL, &value);
    fer_node_desc node = {.struct_size = sizeof node,
                          .input_count = 1,
                          .op = op,
                          .name = "modify",
                          .inputs = &value,
                          .output_count = 1};
    status = status ? status : fer_graph_add_node(*out, &node, &result);
    status = status ? status : fer_graph_add_output(*out, "modified", result);
    return status ? status : fer_graph_finish(*out);
}

static fer_status flex_build(const trial *self,
                             fer_graph *graph,
                             fer_context *context,
                             const fer_value_id *inputs,
                             fer_value_id *out_outputs) {
    static const char *const keys[] = {"score", "prob"}, *const names[] = {"score_mod", "prob_mod"};
    fer_attr mods[2];
    fer_graph *bodies[2] = {NULL, NULL};
    uint32_t count = 0;
    fer_status status = FER_OK;
    for (int i = 0; status == FER_OK && i < 2; i++) {
        const char *op = arg_text(self, keys[i]);
        if (op != NULL) {
            status = modifier(self, context, op, &bodies[i]);
            mods[count++] = (fer_attr){
                .name = names[i], .type = FER_ATTR_GRAPH, .count = 1, .value.body = bodies[i]};
        }
    }
    status = status ? status : trial_node(self, context, graph, inputs, mods, count, out_outputs);
    fer_graph_release(bodies[0]);
    fer_graph_release(bodies[1]);
    return status;
}

/* clang-format off */
#define MASKS "with=attn_mask with=attn_mask,mask=bhqk with=attn_mask,mask=b1qk with=attn_mask,mask=1hqk with=attn_mask,mask=111k with=attn_mask,mask=hqk with=attn_mask,hard=1 " \
    "with=attn_mask,U=bool with=attn_mask,U=bool,mask=bhqk with=attn_mask,U=bool,mask=b11k with=attn_mask,U=bool,is_causal=1 with=attn_mask,is_causal=1 with=attn_mask,short=2 with=attn_mask,U=bool,short=1 "
#define CACHES "with=past_key:past_value,outs=3 with=past_key:past_value,outs=3,is_causal=1,past=5 with=attn_mask:past_key:past_value,outs=4,past=1 " \
    "with=attn_mask:past_key:past_value,U=bool,outs=3,is_causal=1 with=nonpad_kv_seqlen with=nonpad_kv_seqlen,keys=11,is_causal=1 with=attn_mask:nonpad_kv_seqlen,keys=7 "
#define SCORES "outs=4 outs=4,softcap=2 outs=4,softcap=2,qk_matmul_output_mode=1 outs=4,qk_matmul_output_mode=1 with=attn_mask,outs=4,qk_matmul_output_mode=2,softcap=3 " \
    "with=attn_mask,outs=4,qk_matmul_output_mode=3,U=bool outs=4,is_causal=1,qk_matmul_output_mode=3 outs=4,is_causal=1,qk_matmul_output_mode=2 "
#define PLAIN "- is_causal=1 scale=0.25 scale=1.5,is_causal=1 softcap=2 softcap=0.5,is_causal=1 keys=7 keys=3,is_causal=1 keys=9,vsize=3 keys=1 softmax_precision=f32 vsize=1,outs=3 "
#define PACKED(q, kv) "q_num_heads=" #q ",kv_num_heads=" #kv
static const case_row rows[] = {
    {"Attention", NULL, "2x4x5x8 1x1x1x4 1x2x13x7", PLAIN MASKS CACHES SCORES, "ints uniform", fill_attention, attention_oracle, ROW_ZEROS, NULL, NULL},
    {"Attention", NULL, "2x4x5x8 1x6x3x5", "kvheads=2 kvheads=1 kvheads=2,is_causal=1,keys=7,vsize=3 kvheads=2,with=attn_mask,mask=bhqk kvheads=1,with=past_key:past_value,outs=3,is_causal=1 "
     "kvheads=2,with=attn_mask:past_key:past_value,outs=4,U=bool,qk_matmul_output_mode=2 kvheads=2,with=nonpad_kv_seqlen,keys=9", "ints uniform", fill_attention, attention_oracle, ROW_ZEROS, NULL, NULL},
    {"Attention", NULL, "2x5x24 1x1x24 1x17x48", PACKED(4,4) " " PACKED(4,2) " " PACKED(6,1) ",is_causal=1 " PACKED(3,3) ",keys=9,vsize=5 " PACKED(4,2) ",with=attn_mask,mask=bhqk,keys=7 "
     PACKED(4,2) ",with=past_key:past_value,outs=3,is_causal=1 " PACKED(2,1) ",with=attn_mask:past_key:past_value,outs=4,U=bool,softcap=4 " PACKED(4,4) ",with=nonpad_kv_seqlen,keys=8 " PACKED(8,2) ",scale=0.5,outs=4",
     "ints uniform", fill_attention, attention_oracle, ROW_ZEROS, NULL, NULL},
    {"Attention", "f32|f16", "2x4x5x8", "with=attn_mask,mask=bhqk,U=i32 with=attn_mask,mask=bhqk,U=i64,is_causal=1 with=attn_mask,mask=bhqk,U=u8 with=attn_mask,mask=bhqk,U=i8,softcap=2 with=attn_mask,mask=bhqk,U=i16 with=attn_mask,mask=bhqk,U=u16 "
     "with=attn_mask,mask=bhqk,U=u32 with=attn_mask,mask=bhqk,U=u64 with=attn_mask,mask=bhqk,U=f64", "ints", fill_attention, attention_oracle, ROW_ZEROS, NULL, NULL},
    {"Attention", "f16|f32", "2x4x5x8", "T2=f32 T2=f64,is_causal=1 T2=f16,with=past_key:past_value,outs=3", "uniform", fill_attention, attention_oracle, ROW_ZEROS, NULL, NULL},
    {"ai.onnx.preview.FlexAttention", NULL, "2x4x5x16 1x1x1x1 1x6x13x7", "- scale=0.25 keys=7 keys=9,vsize=3 kvheads=2 kvheads=1,keys=3 score=Tanh score=Neg,kvheads=2 prob=Abs score=Abs,prob=Neg,keys=7 prob=Tanh,scale=2",
     "ints uniform", fill_flex, flex_oracle, ROW_ZEROS, NULL, flex_build},
};
/* clang-format on */

const case_family cases_attention = {"attention", rows, sizeof rows / sizeof *rows};
