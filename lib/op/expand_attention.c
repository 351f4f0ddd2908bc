/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention and FlexAttention as products, softmax and masks. Shapes are taken at run time, so one
 * text serves known and unknown dims. Keys and values shared by a group of query heads are never
 * repeated: the query gets an axis for its place in the group. Texts of graph/expand.h.
 */
#include "op/infer.h"
#include "tensor/dtype.h"

#include <string.h>

/* as = name as [B, heads, length, size] */
static void add_heads(feri_text *out_body,
                      const feri_fact *fact,
                      const char *name,
                      const char *attr,
                      const char *as) {
    if (fact->rank == 3) {
        feri_text_add(out_body,
                      "%s = Transpose(Reshape(%s, {i64: 0 0 @%s|1 -1}), perm=[0, 2, 1, 3])\n",
                      as,
                      name,
                      attr);
    } else {
        feri_text_add(out_body, "%s = Identity(%s)\n", as, name);
    }
}

/* The dtype an operand has inside the text. */
static fer_dtype inner_dtype(const feri_fact *fact) {
    return fact->dtype == FER_F16 || fact->dtype == FER_BF16 ? FER_F32 : fact->dtype;
}

/* 1 when both are known to have as many heads. */
static int has_no_groups(feri_infer *call) {
    const feri_fact *q = call->in[0], *k = call->in[1];
    int64_t heads = feri_infer_int(call, "q_num_heads", 0);
    if (q->rank == 3 || k->rank == 3) {
        return q->rank == k->rank && heads == feri_infer_int(call, "kv_num_heads", 0);
    }
    return feri_sym_is_number(q->dims[1]) && feri_sym_equal(q->dims[1], k->dims[1]);
}

/* s = scaled product of q [B, H, L, E] and k [B, G, S, E], [B, H, L, S] */
static void add_scores(feri_infer *call, feri_text *out_body) {
    int has_scale = feri_attr_find(call->attrs, call->attr_count, "scale") != NULL;
    feri_text_add(out_body,
                  has_scale ? "qs = Mul(q, {@scale: q})\n"
                            : "qs = Div(q, Sqrt(Cast(Shape(q, start=3, end=4), to=q)))\n");
    if (has_no_groups(call)) {
        feri_text_add(out_body, "s = MatMul(qs, Transpose(k, perm=[0, 1, 3, 2]))\n");
        return;
    }
    feri_text_add(out_body,
                  "gs = Shape(k, start=1, end=2)\n"
                  "gn = Concat(gs, Div(Shape(q, start=1, end=2), gs), axis=0)\n"
                  "q5 = Reshape(qs, Concat(Shape(q, end=1), gn, Shape(q, start=2), axis=0))\n"
                  "k5 = Unsqueeze(Transpose(k, perm=[0, 1, 3, 2]), {i64: 2})\n"
                  "s5 = MatMul(q5, k5)\n"
                  "s = Reshape(s5, Concat(Shape(q, end=3), Shape(s5, start=4), axis=0))\n");
}

/* y = p [B, H, L, S] times v [B, G, S, F], [B, H, L, F] */
static void add_product(feri_infer *call, feri_text *out_body, const char *p) {
    if (has_no_groups(call)) {
        feri_text_add(out_body, "y = MatMul(%s, v)\n", p);
        return;
    }
    feri_text_add(out_body,
                  "p5 = Reshape(%s, Shape(s5))\n"
                  "y5 = MatMul(p5, Unsqueeze(v, {i64: 2}))\n"
                  "y = Reshape(y5, Concat(Shape(q, end=3), Shape(y5, start=4), axis=0))\n",
                  p);
}

static fer_status check_known(feri_infer *call) {
    for (uint32_t i = 0; i < 3; i++) {
        if (call->in[i]->rank < 0 || call->in[i]->dtype == FER_DTYPE_NONE) {
            fer_status status = feri_fail(FER_UNSUPPORTED,
                                          "%s '%s': its expansion needs the ranks and dtypes of Q, "
                                          "K and V, which are not known; give the inputs fixed "
                                          "dims",
                                          feri_op_name(call->op),
                                          call->node ? call->node : "");
            feri_error_set_node(call->node);
            return status;
        }
    }
    return FER_OK;
}

/* ---- masks ---- */

/* m = s with attn_mask: -inf where a bool mask says no, else the mask is added. A mask that is
 * shorter than the keys masks the rest. */
static void add_mask(feri_infer *call, feri_text *out_body) {
    const feri_fact *mask = feri_infer_in(call, 3);
    if (!mask) {
        feri_text_add(out_body, "m = Identity(c)\n");
        return;
    }
    feri_text_add(out_body,
                  mask->dtype == FER_BOOL ? "b0 = Where(attn_mask, {0: s}, {-inf: s})\n"
                                          : "b0 = Cast(attn_mask, to=s)\n");
    feri_text_add(
        out_body,
        "short = Sub(Shape(s, start=3), Shape(attn_mask, start=-1))\n"
        "bias = Pad(b0, Concat({i64: 0}, Max(short, {i64: 0}), axis=0), {-inf: s}, {i64: -1})\n"
        "m = Add(c, bias)\n");
}

/* n = m, masked beyond the diagonal and beyond the lengths of nonpad_kv_seqlen. */
static void add_limits(feri_infer *call, feri_text *out_body) {
    int is_causal = feri_infer_int(call, "is_causal", 0) != 0;
    int has_lengths = feri_infer_in(call, 6) != NULL;
    if (is_causal || has_lengths) {
        feri_text_add(
            out_body,
            "columns = Range({i64: 0}', Squeeze(Shape(s, start=3), {i64: 0}), {i64: 1}')\n");
    }
    if (is_causal) {
        feri_text_add(out_body,
                      "r0 = Range({i64: 0}', Squeeze(Shape(s, start=2, end=3), {i64: 0}), "
                      "{i64: 1}')\n"
                      "rows = Add(r0, %s)\n"
                      "sees = LessOrEqual(columns, Unsqueeze(rows, {i64: 1}))\n"
                      "d = Where(sees, m, {-inf: s})\n",
                      feri_infer_in(call, 4) ? "Shape(past_key, start=2, end=3)" : "{i64: 0}");
    } else {
        feri_text_add(out_body, "d = Identity(m)\n");
    }
    feri_text_add(out_body,
                  has_lengths ? "is_real = Less(columns, Unsqueeze(nonpad_kv_seqlen, {i64: 1}))\n"
                                "n = Where(Unsqueeze(is_real, {i64: 1 2}), d, {-inf: s})\n"
                              : "n = Identity(d)\n");
}

fer_status feri_expand_attention(feri_infer *call, feri_text *out_body) {
    static const char *const modes[] = {"s", "c", "n", "p"};
    FER_TRY(check_known(call));
    const feri_fact *q = call->in[0], *k = call->in[1], *v = call->in[2];
    int has_past = feri_infer_in(call, 4) != NULL;
    float cap = feri_attr_float(call->attrs, call->attr_count, "softcap", 0);
    fer_dtype precision = (fer_dtype)feri_infer_int(call, "softmax_precision", 0);
    int64_t mode = feri_infer_int(call, "qk_matmul_output_mode", 0);
    add_heads(out_body, q, "Q", "q_num_heads", "q");
    add_heads(out_body, k, "K", "kv_num_heads", "k1");
    add_heads(out_body, v, "V", "kv_num_heads", "v1");
    feri_text_add(out_body,
                  has_past
                      ? "k = Concat(past_key, k1, axis=2)\nv = Concat(past_value, v1, axis=2)\n"
                      : "k = Identity(k1)\nv = Identity(v1)\n");
    feri_text_add(out_body, "present_key = Identity(k)\npresent_value = Identity(v)\n");
    add_scores(call, out_body);
    feri_text_add(out_body,
                  cap > 0 ? "c = Mul(Tanh(Div(s, {@softcap: s})), {@softcap: s})\n"
                          : "c = Identity(s)\n");
    add_mask(call, out_body);
    add_limits(call, out_body);
    if (precision == FER_F32 || precision == FER_F64) {
        feri_text_add(
            out_body, "p = Cast(Softmax(Cast(n, to=%s)), to=s)\n", fer_dtype_name(precision));
    } else {
        feri_text_add(out_body, "p = Softmax(n)\n");
    }
    feri_text_add(out_body, "qk_matmul_output = Identity(%s)\n", modes[mode & 3]);
    int is_mixed = inner_dtype(q) != inner_dtype(v);
    if (is_mixed) {
        feri_text_add(out_body, "pv = Cast(p, to=v)\n");
    }
    add_product(call, out_body, is_mixed ? "pv" : "p");
    feri_text_add(out_body,
                  q->rank == 3 ? "y3 = Reshape(Transpose(y, perm=[0, 2, 1, 3]), {i64: 0 0 -1})\n"
                               : "y3 = Identity(y)\n");
    feri_text_add(out_body, is_mixed ? "Y = Cast(y3, to=s)\n" : "Y = Identity(y3)\n");
    return out_body->status;
}

/* The body's own f32 is at least the softmax precision of half operands. */
fer_status feri_expand_flex_attention(feri_infer *call, feri_text *out_body) {
    FER_TRY(check_known(call));
    fer_dtype precision = (fer_dtype)feri_infer_int(call, "softmax_precision", 0);
    int has_score = feri_attr_find(call->attrs, call->attr_count, "score_mod") != NULL;
    int has_prob = feri_attr_find(call->attrs, call->attr_count, "prob_mod") != NULL;
    feri_text_add(out_body, "q = Identity(Q)\nk = Identity(K)\nv = Identity(V)\n");
    add_scores(call, out_body);
    if (precision) {
        feri_text_add(out_body, "c = Cast(s, to=%s)\n", fer_dtype_name(precision));
    } else {
        feri_text_add(out_body, "c = Identity(s)\n");
    }
    feri_text_add(out_body,
                  "n = %s\np0 = Softmax(n)\np = %s\npv = Cast(p, to=v)\n",
                  has_score ? "@score_mod(c)" : "Identity(c)",
                  has_prob ? "@prob_mod(p0)" : "Identity(p0)");
    add_product(call, out_body, "pv");
    feri_text_add(out_body, "Y = Identity(y)\n");
    return out_body->status;
}
