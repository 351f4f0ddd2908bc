/* SPDX-License-Identifier: Apache-2.0
 *
 * com.microsoft's Attention, MultiHeadAttention, GroupQueryAttention and RotaryEmbedding as
 * products, softmax and masks. Inside, q is [B, N, S, H], k and v [B, N, T, H]. What a device alone
 * could want (shared buffers, beam search) is refused by name. Semantics: ONNX Runtime's contrib op
 * documentation.
 */
#include "op/infer.h"

#include <string.h>

static fer_status refuse(feri_infer *call, const char *what) {
    fer_status status = feri_fail(
        FER_UNSUPPORTED, "%s '%s': %s", feri_op_name(call->op), call->node ? call->node : "", what);
    feri_error_set_node(call->node);
    return status;
}

static int32_t rank_of(feri_infer *call, uint32_t index) {
    const feri_fact *in = feri_infer_in(call, index);
    return in ? in->rank : -1;
}

/* as = name [B, L, heads * H] as [B, heads, L, H] */
static void add_heads(feri_text *out_body, const char *name, long long heads, const char *as) {
    feri_text_add(out_body,
                  "%s = Transpose(Reshape(%s, {i64: 0 0 %lld -1}), perm=[0, 2, 1, 3])\n",
                  as,
                  name,
                  heads);
}

/* s = scaled q k^T; columns and rows number the keys and, from where the past ends, the queries. */
static void add_scores(feri_infer *call, feri_text *out_body, const char *past) {
    const fer_attr *scale = feri_attr_find(call->attrs, call->attr_count, "scale");
    feri_text_add(out_body,
                  scale && scale->value.f != 0
                      ? "qs = Mul(q, {@scale: q})\n"
                      : "qs = Div(q, Sqrt(Cast(Shape(q, start=3, end=4), to=q)))\n");
    feri_text_add(
        out_body,
        "s = MatMul(qs, Transpose(k, perm=[0, 1, 3, 2]))\n"
        "columns = Range({i64: 0}', Squeeze(Shape(k, start=2, end=3), {i64: 0}), {i64: 1}')\n"
        "r0 = Range({i64: 0}', Squeeze(Shape(q, start=2, end=3), {i64: 0}), {i64: 1}')\n"
        "rows = Add(r0, %s)\n",
        past);
}

/* to = from, with the mask operand: 1 where a key counts, else mask_filter_value is added. Ranks: 1
 * lengths, or ends and starts; 2 [B, T]; 3 [B, S, T]; 4 a square of which the last rows are used.
 */
static fer_status add_padding(feri_infer *call,
                              feri_text *out_body,
                              uint32_t index,
                              const char *name,
                              const char *from,
                              const char *to) {
    const feri_fact *mask = feri_infer_in(call, index);
    feri_sym batch = rank_of(call, 0) > 0 ? call->in[0]->dims[0] : feri_sym_unknown();
    if (!mask) {
        feri_text_add(out_body, "%s = Identity(%s)\n", to, from);
        return out_body->status;
    }
    if (mask->rank == 1) {
        int is_number = feri_sym_is_number(batch) && feri_sym_is_number(mask->dims[0]);
        int is_pair = is_number && mask->dims[0].number == 2 * batch.number && batch.number > 0;
        if (!is_pair && !feri_sym_equal(mask->dims[0], batch)) {
            return refuse(call, "a mask of this length is not there; give lengths per batch");
        }
        feri_text_add(out_body,
                      is_pair ? "ends, starts = Split(%s, axis=0, num_outputs=2)\n"
                                "ks = And(Less(columns, Cast(Unsqueeze(ends, {i64: 1}), to=i64)), "
                                "GreaterOrEqual(columns, Cast(Unsqueeze(starts, {i64: 1}), "
                                "to=i64)))\n"
                              : "ks = Less(columns, Cast(Unsqueeze(%s, {i64: 1}), to=i64))\n",
                      name);
        feri_text_add(out_body, "keeps = Cast(Unsqueeze(ks, {i64: 1 2}), to=s)\n");
    } else if (mask->rank == 2 || mask->rank == 3) {
        feri_text_add(out_body,
                      "keeps = Cast(Unsqueeze(%s, {i64: %s}), to=s)\n",
                      name,
                      mask->rank == 2 ? "1 2" : "1");
    } else if (mask->rank == 4) {
        feri_text_add(out_body,
                      "mr = Slice(%s, Slice(rows, {i64: 0}, {i64: 1}), {i64: 9223372036854775807}, "
                      "{i64: 2})\n"
                      "mq = Slice(mr, {i64: 0}, Shape(q, start=2, end=3), {i64: 2})\n"
                      "keeps = Cast(Slice(mq, {i64: 0}, Shape(k, start=2, end=3), {i64: 3}), "
                      "to=s)\n",
                      name);
    } else {
        return refuse(call, "its expansion needs the rank of the mask, 1 to 4");
    }
    feri_text_add(out_body,
                  "%s = Add(%s, Mul(Sub({1: s}, keeps), {@mask_filter_value|-10000: s}))\n",
                  to,
                  from);
    return out_body->status;
}

/* output = softmax of from, times v, heads side by side. */
static void add_output(feri_text *out_body, const char *from) {
    feri_text_add(out_body,
                  "y = MatMul(Softmax(%s, axis=-1), v)\n"
                  "output = Reshape(Transpose(y, perm=[0, 2, 1, 3]), {i64: 0 0 -1})\n",
                  from);
}

static void
add_bias(feri_infer *call, feri_text *out_body, uint32_t index, const char *from, const char *to) {
    feri_text_add(out_body,
                  feri_infer_in(call, index) ? "%s = Add(%s, attention_bias)\n"
                                             : "%s = Identity(%s)\n",
                  to,
                  from);
}

static void add_causal(feri_infer *call, feri_text *out_body, const char *from, const char *to) {
    feri_text_add(out_body,
                  feri_infer_int(call, "unidirectional", 0)
                      ? "sees = LessOrEqual(columns, Unsqueeze(rows, {i64: 1}))\n"
                        "%s = Where(sees, %s, {-inf: s})\n"
                      : "%s = Identity(%s)\n",
                  to,
                  from);
}

/* ---- Attention ---- */

fer_status feri_expand_ms_attention(feri_infer *call, feri_text *out_body) {
    uint32_t count;
    const int64_t *sizes = feri_infer_ints(call, "qkv_hidden_sizes", &count);
    long long heads = feri_infer_int(call, "num_heads", 1);
    int has_past = feri_infer_in(call, 4) != NULL;
    if (feri_infer_int(call, "do_rotary", 0) ||
        feri_infer_int(call, "past_present_share_buffer", 0) || feri_infer_in(call, 6)) {
        return refuse(call, "do_rotary and past_present_share_buffer are not there");
    }
    feri_text_add(out_body,
                  "p = MatMul(input, weights)\n"
                  "x = %s\n",
                  feri_infer_in(call, 2) ? "Add(p, bias)" : "Identity(p)");
    if (sizes) {
        feri_text_add(out_body,
                      "q0, k0, v0 = Split(x, {i64: %lld %lld %lld}, axis=2)\n",
                      (long long)sizes[0],
                      (long long)sizes[1],
                      (long long)sizes[2]);
    } else {
        feri_text_add(out_body, "q0, k0, v0 = Split(x, axis=2, num_outputs=3)\n");
    }
    add_heads(out_body, "q0", heads, "q");
    add_heads(out_body, "k0", heads, "k1");
    add_heads(out_body, "v0", heads, "v1");
    feri_text_add(out_body,
                  has_past ? "pk, pv = Split(past, axis=0, num_outputs=2)\n"
                             "k = Concat(Squeeze(pk, {i64: 0}), k1, axis=2)\n"
                             "v = Concat(Squeeze(pv, {i64: 0}), v1, axis=2)\n"
                           : "k = Identity(k1)\nv = Identity(v1)\n");
    if (feri_infer_out(call, 1)) {
        feri_text_add(out_body,
                      "present = Concat(Unsqueeze(k, {i64: 0}), Unsqueeze(v, {i64: 0}), axis=0)\n");
    }
    add_scores(call, out_body, has_past ? "Shape(past, start=3, end=4)" : "{i64: 0}");
    FER_TRY(add_padding(call, out_body, 3, "mask_index", "s", "m"));
    add_causal(call, out_body, "m", "c");
    add_bias(call, out_body, 5, "c", "b");
    add_output(out_body, "b");
    return out_body->status;
}

/* ---- MultiHeadAttention ---- */

/* One of q, k, v from a packed operand: the axis of 3 or 2 is taken apart. */
static void add_packed(feri_text *out_body, const char *name, const char *parts, int count) {
    feri_text_add(out_body, "%s = Split(%s, axis=3, num_outputs=%d)\n", parts, name, count);
}

static void add_unpacked_heads(feri_text *out_body, const char *part, const char *as) {
    feri_text_add(out_body, "%s = Transpose(Squeeze(%s, {i64: 3}), perm=[0, 2, 1, 3])\n", as, part);
}

/* q1, k1, v1, each [B, N, L, H], with the bias where they come as rank 3. */
static fer_status add_operands(feri_infer *call, feri_text *out_body, long long heads) {
    int32_t q_rank = rank_of(call, 0), k_rank = rank_of(call, 1);
    int has_bias = feri_infer_in(call, 3) != NULL;
    if (q_rank == 5) {
        add_packed(out_body, "query", "q0, k0, v0", 3);
        add_unpacked_heads(out_body, "q0", "q");
        add_unpacked_heads(out_body, "k0", "k1");
        add_unpacked_heads(out_body, "v0", "v1");
        return has_bias ? refuse(call, "a bias beside a packed query is not there") : FER_OK;
    }
    if (q_rank != 3 || !feri_infer_in(call, 1) || k_rank < 3 ||
        (k_rank != 5 && !feri_infer_in(call, 2))) {
        return refuse(call, "its expansion needs query, key and value, or them packed");
    }
    if (has_bias && k_rank == 3) {
        feri_text_add(out_body,
                      "qn = Shape(query, start=2)\n"
                      "vn = Sub(Sub(Shape(bias), qn), qn)\n"
                      "bq, bk, bv = Split(bias, Concat(qn, qn, vn, axis=0), axis=0)\n"
                      "q0 = Add(query, bq)\nk0 = Add(key, bk)\nv0 = Add(value, bv)\n");
    } else if (has_bias) {
        feri_text_add(out_body,
                      "q0 = Add(query, Slice(bias, {i64: 0}, Shape(query, start=2), {i64: 0}))\n"
                      "%s",
                      k_rank == 4 ? "k0 = Identity(key)\nv0 = Identity(value)\n" : "");
    } else {
        feri_text_add(out_body,
                      "q0 = Identity(query)\n%s",
                      k_rank == 5 ? "" : "k0 = Identity(key)\nv0 = Identity(value)\n");
    }
    add_heads(out_body, "q0", heads, "q");
    if (k_rank == 5) {
        add_packed(out_body, "key", "k0, v0", 2);
        add_unpacked_heads(out_body, "k0", "k1");
        add_unpacked_heads(out_body, "v0", "v1");
    } else if (k_rank == 4) {
        feri_text_add(out_body, "k1 = Identity(k0)\nv1 = Identity(v0)\n");
    } else {
        add_heads(out_body, "k0", heads, "k1");
        add_heads(out_body, "v0", heads, "v1");
    }
    return out_body->status;
}

fer_status feri_expand_multi_head(feri_infer *call, feri_text *out_body) {
    int has_past = feri_infer_in(call, 6) != NULL;
    if (feri_infer_in(call, 8) || feri_infer_in(call, 9)) {
        return refuse(call, "past_sequence_length and cache_indirection are not there");
    }
    FER_TRY(add_operands(call, out_body, feri_infer_int(call, "num_heads", 1)));
    feri_text_add(out_body,
                  has_past
                      ? "k = Concat(past_key, k1, axis=2)\nv = Concat(past_value, v1, axis=2)\n"
                      : "k = Identity(k1)\nv = Identity(v1)\n");
    feri_text_add(out_body, "present_key = Identity(k)\npresent_value = Identity(v)\n");
    add_scores(call, out_body, has_past ? "Shape(past_key, start=2, end=3)" : "{i64: 0}");
    feri_text_add(out_body, "qk = Identity(s)\n");
    FER_TRY(add_padding(call, out_body, 4, "key_padding_mask", "s", "m"));
    add_causal(call, out_body, "m", "c");
    add_bias(call, out_body, 5, "c", "b");
    add_output(out_body, "b");
    return out_body->status;
}

/* ---- GroupQueryAttention ---- */

/* Where each batch's past ends, pl [B]; pos [B, S] numbers its queries. */
static void add_positions(feri_text *out_body) {
    feri_text_add(out_body,
                  "n = Shape(q1, start=2, end=3)\n"
                  "lengths = Add(Reshape(Cast(seqlens_k, to=i64), {i64: -1}), {i64: 1})\n"
                  "pl = Unsqueeze(Max(Sub(lengths, n), {i64: 0}), {i64: 1})\n"
                  "pos = Add(pl, Range({i64: 0}', Squeeze(n, {i64: 0}), {i64: 1}'))\n");
}

static fer_status add_rotation(feri_infer *call, feri_text *out_body) {
    const feri_fact *cos = feri_infer_in(call, 7), *out = feri_infer_out(call, 1);
    if (!feri_infer_int(call, "do_rotary", 0)) {
        feri_text_add(out_body, "q = Identity(q1)\nfresh = Identity(k1)\n");
        return out_body->status;
    }
    if (!cos || !feri_infer_in(call, 8) || cos->rank != 2) {
        return refuse(call, "do_rotary needs cos_cache and sin_cache");
    }
    long long part = 0;
    feri_sym size = out && out->rank == 4 ? out->dims[3] : feri_sym_unknown();
    if (feri_sym_is_number(cos->dims[1]) &&
        !(feri_sym_is_number(size) && size.number == 2 * cos->dims[1].number)) {
        part = 2 * cos->dims[1].number;
    }
    const char *names[2][2] = {
        {"q",     "q1"},
        {"fresh", "k1"}
    };
    for (int i = 0; i < 2; i++) {
        feri_text_add(out_body,
                      "%s = RotaryEmbedding(%s, cos_cache, sin_cache, %s, "
                      "interleaved=@rotary_interleaved|0, rotary_embedding_dim=%lld)\n",
                      names[i][0],
                      names[i][1],
                      feri_infer_in(call, 9) ? "position_ids" : "pos",
                      part);
    }
    return out_body->status;
}

/* kc (or vc) = the cache after this step: the past as far as it is filled, the fresh entries, then
 * whatever stood there. */
static void
add_cache(feri_text *out_body, const char *past, const char *fresh, const char *as, int has_past) {
    feri_text_add(out_body,
                  has_past ? "all_%s = Concat(%s, %s, axis=2)\n" : "all_%s = Identity(%s%s)\n",
                  as,
                  has_past ? past : "",
                  fresh);
    feri_text_add(out_body,
                  "%s = GatherElements(all_%s, Expand(from, Concat(Shape(%s, end=2), total, "
                  "Shape(%s, start=3), axis=0)), axis=2)\n",
                  as,
                  as,
                  fresh,
                  fresh);
}

static void add_caches(feri_infer *call, feri_text *out_body) {
    int has_past = feri_infer_in(call, 3) != NULL;
    feri_text_add(out_body,
                  "past_n = %s\n"
                  "total = Max(Reshape(Cast(total_sequence_length, to=i64), {i64: 1}), past_n)\n"
                  "columns = Range({i64: 0}', Squeeze(total, {i64: 0}), {i64: 1}')\n"
                  "t = Unsqueeze(columns, {i64: 0})\n"
                  "new_at = Add(Sub(t, pl), past_n)\n"
                  "rest = Min(t, Sub(Add(past_n, n), {i64: 1}))\n"
                  "later = Where(Less(t, Add(pl, n)), new_at, rest)\n"
                  "from = Unsqueeze(Where(Less(t, pl), t, later), {i64: 1 3})\n",
                  has_past ? "Shape(past_key, start=2, end=3)" : "{i64: 0}");
    add_cache(out_body, "past_key", "fresh", "kc", has_past);
    add_cache(out_body, "past_value", "v1", "vc", has_past);
    feri_text_add(out_body, "present_key = Identity(kc)\npresent_value = Identity(vc)\n");
}

static void add_group_masks(feri_infer *call, feri_text *out_body) {
    long long window = feri_infer_int(call, "local_window_size", -1);
    float cap = feri_attr_float(call->attrs, call->attr_count, "softcap", 0);
    feri_text_add(out_body,
                  "c = %s\n"
                  "at = Unsqueeze(pos, {i64: 1 3})\n"
                  "sees0 = LessOrEqual(columns, at)\n",
                  cap > 0 ? "Mul(Tanh(Div(s, {@softcap: s})), {@softcap: s})" : "Identity(s)");
    if (window > 0) {
        feri_text_add(
            out_body, "sees = And(sees0, Greater(columns, Sub(at, {i64: %lld})))\n", window);
    } else {
        feri_text_add(out_body, "sees = Identity(sees0)\n");
    }
    /* The bias has total_sequence_length columns, a cache may have more, which nobody sees. */
    feri_text_add(out_body,
                  feri_infer_in(call, 10)
                      ? "more = Sub(total, Shape(attention_bias, start=3))\n"
                        "b = Add(c, Pad(attention_bias, Concat({i64: 0}, more, axis=0), _, "
                        "{i64: 3}))\n"
                      : "b = Identity(c)\n");
    feri_text_add(out_body, "m = Where(sees, b, {-inf: s})\n");
}

fer_status feri_expand_group_query(feri_infer *call, feri_text *out_body) {
    long long heads = feri_infer_int(call, "num_heads", 1);
    long long groups = feri_infer_int(call, "kv_num_heads", 1);
    const fer_attr *scale = feri_attr_find(call->attrs, call->attr_count, "scale");
    if (feri_infer_int(call, "smooth_softmax", 0) > 0 || feri_infer_in(call, 11) ||
        !feri_infer_in(call, 5) || !feri_infer_in(call, 6)) {
        return refuse(call,
                      "it needs seqlens_k and total_sequence_length; smooth_softmax and "
                      "head_sink are not there");
    }
    if (feri_infer_in(call, 1)) {
        feri_text_add(out_body, "q0 = Identity(query)\nk0 = Identity(key)\nv0 = Identity(value)\n");
    } else {
        feri_text_add(out_body,
                      "h = Div(Shape(query, start=2), {i64: %lld})\n"
                      "q0, k0, v0 = Split(query, Mul(h, {i64: %lld %lld %lld}), axis=2)\n",
                      heads + 2 * groups,
                      heads,
                      groups,
                      groups);
    }
    add_heads(out_body, "q0", heads, "q1");
    add_heads(out_body, "k0", groups, "k1");
    add_heads(out_body, "v0", groups, "v1");
    add_positions(out_body);
    FER_TRY(add_rotation(call, out_body));
    add_caches(call, out_body);
    feri_text_add(out_body,
                  scale && scale->value.f != 0
                      ? "qs = Mul(q, {@scale: q})\n"
                      : "qs = Div(q, Sqrt(Cast(Shape(q, start=3, end=4), to=q)))\n");
    feri_text_add(out_body,
                  "q5 = Reshape(qs, Concat(Shape(q, end=1), {i64: %lld %lld}, Shape(q, start=2), "
                  "axis=0))\n"
                  "s5 = MatMul(q5, Unsqueeze(Transpose(kc, perm=[0, 1, 3, 2]), {i64: 2}))\n"
                  "s = Reshape(s5, Concat(Shape(q, end=3), Shape(s5, start=4), axis=0))\n",
                  groups,
                  heads / groups);
    add_group_masks(call, out_body);
    feri_text_add(out_body,
                  "p5 = Reshape(Softmax(m, axis=-1), Shape(s5))\n"
                  "y5 = MatMul(p5, Unsqueeze(vc, {i64: 2}))\n"
                  "y = Reshape(y5, Concat(Shape(q, end=3), Shape(y5, start=4), axis=0))\n"
                  "output = Reshape(Transpose(y, perm=[0, 2, 1, 3]), {i64: 0 0 -1})\n");
    return out_body->status;
}

/* ---- RotaryEmbedding ---- */

fer_status feri_expand_ms_rotary(feri_infer *call, feri_text *out_body) {
    const feri_fact *x = call->in[0], *cos = call->in[2];
    float scale = feri_attr_float(call->attrs, call->attr_count, "scale", 1);
    long long heads = feri_infer_int(call, "num_heads", 0);
    if (scale != 1 || feri_infer_int(call, "is_packed_batching", 0)) {
        return refuse(call, "scale and is_packed_batching are not there");
    }
    if (x->rank < 0 || rank_of(call, 1) < 0) {
        return refuse(call, "its expansion needs the ranks of input and position_ids");
    }
    if (heads == 0 && x->rank == 3) {
        if (!feri_sym_is_number(x->dims[2]) || cos->rank != 2 ||
            !feri_sym_is_number(cos->dims[1]) || cos->dims[1].number < 1) {
            return refuse(call,
                          "its expansion needs num_heads, or fixed sizes of input and caches");
        }
        heads = x->dims[2].number / (2 * cos->dims[1].number);
    }
    if (rank_of(call, 1) == 1) {
        feri_text_add(
            out_body,
            "n = Shape(input, start=%d, end=%d)\n"
            "r = Add(position_ids, Range({i64: 0}', Squeeze(n, {i64: 0}), {i64: 1}'))\n"
            "pos = Expand(Unsqueeze(r, {i64: 0}), Concat(Shape(input, end=1), n, axis=0))\n",
            x->rank == 3 ? 1 : 2,
            x->rank == 3 ? 2 : 3);
    } else {
        feri_text_add(out_body, "pos = Identity(position_ids)\n");
    }
    feri_text_add(out_body,
                  "output = RotaryEmbedding(input, cos_cache, sin_cache, pos, "
                  "interleaved=@interleaved|0, num_heads=%lld, "
                  "rotary_embedding_dim=@rotary_embedding_dim|0)\n",
                  heads);
    return out_body->status;
}
