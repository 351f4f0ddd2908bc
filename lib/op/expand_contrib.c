/* SPDX-License-Identifier: Apache-2.0
 *
 * com.microsoft ops as ONNX's: fused and quantised arithmetic, norms, weights of few bits. The
 * attentions are in expand_contrib_attention.c. Semantics: ONNX Runtime's contrib op documentation.
 */
#include "op/infer.h"

#include <string.h>

static fer_status refuse(feri_infer *call, const char *what) {
    fer_status status = feri_fail(
        FER_UNSUPPORTED, "%s '%s': %s", feri_op_name(call->op), call->node ? call->node : "", what);
    feri_error_set_node(call->node);
    return status;
}

fer_status feri_expand_fast_gelu(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body,
                  "Y = Gelu(%s, approximate='tanh')\n",
                  feri_infer_in(call, 1) ? "Add(X, bias)" : "X");
    return out_body->status;
}

/* name turned as the product wants it. */
static void add_turned(
    feri_infer *call, feri_text *out_body, uint32_t index, const char *name, const char *as) {
    int32_t rank = call->in[index]->rank;
    char attr[16] = "transBatch?", last[8] = "trans?";
    attr[10] = last[5] = index == 0 ? 'A' : 'B';
    int32_t order[FER_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) {
        order[i] = i;
    }
    if (feri_infer_int(call, attr, 0)) {
        for (int32_t i = 0; i + 1 < rank; i++) {
            order[i] = i + 2 < rank ? i + 1 : 0;
        }
    }
    if (feri_infer_int(call, last, 0)) {
        int32_t held = order[rank - 2];
        order[rank - 2] = order[rank - 1];
        order[rank - 1] = held;
    }
    feri_text_add(out_body, "%s = Transpose(%s, perm=[", as, name);
    for (int32_t i = 0; i < rank; i++) {
        feri_text_add(out_body, " %d", (int)order[i]);
    }
    feri_text_add(out_body, "])\n");
}

fer_status feri_expand_fused_matmul(feri_infer *call, feri_text *out_body) {
    if (call->in[0]->rank < 2 || call->in[1]->rank < 2) {
        return refuse(call, "its expansion needs the ranks of A and B, at least 2");
    }
    add_turned(call, out_body, 0, "A", "a");
    add_turned(call, out_body, 1, "B", "b");
    feri_text_add(out_body, "p = MatMul(a, b)\nY = Mul({@alpha|1: p}, p)\n");
    return out_body->status;
}

/* ---- norms ---- */

fer_status feri_expand_skip_norm(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body,
                  "s0 = Add(input, skip)\n"
                  "s = %s\n"
                  "input_skip_bias_sum = Identity(s)\n"
                  "output, mean, inv_std_var = LayerNormalization(s, gamma, %s, axis=-1, "
                  "epsilon=@epsilon|1e-12)\n",
                  feri_infer_in(call, 4) ? "Add(s0, bias)" : "Identity(s0)",
                  feri_infer_in(call, 3) ? "beta" : "_");
    return out_body->status;
}

/* inv: one over the root mean square of x over axes. x is f32 or wider: squares of narrow floats
 * overflow. */
static const char root_mean_square[] = "u = Mul(x, x)\n"
                                       "inv = Reciprocal(Sqrt(Add(ReduceMean(u, axes, keepdims=1), "
                                       "{@epsilon|1e-5: x})))\n";

fer_status feri_expand_skip_simplified_norm(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body,
                  "s0 = Add(input, skip)\n"
                  "s = %s\n"
                  "input_skip_bias_sum = Identity(s)\n"
                  "x = Cast(s, to=f32)\n"
                  "axes = {i64: -1}\n"
                  "%s"
                  "mean = Mul(inv, {0: inv})\n"
                  "inv_std_var = Cast(inv, to=f32)\n"
                  "output = Mul(Cast(Mul(x, inv), to=gamma), gamma)\n",
                  feri_infer_in(call, 3) ? "Add(s0, bias)" : "Identity(s0)",
                  root_mean_square);
    return out_body->status;
}

fer_status feri_expand_simplified_norm(feri_infer *call, feri_text *out_body) {
    int32_t rank = call->in[0]->rank;
    if (rank < 0) {
        return refuse(call, "its expansion needs the rank of X");
    }
    int32_t axis = feri_infer_axis_attr(call, -1, rank);
    FER_TRY(call->status);
    feri_text_add(out_body,
                  "x = Cast(X, to=%s)\naxes = {i64:",
                  call->in[0]->dtype == FER_F64 ? "f64" : "f32");
    for (int32_t i = axis; i < rank; i++) {
        feri_text_add(out_body, " %d", (int)i);
    }
    feri_text_add(out_body,
                  "}\n%s"
                  "inv_std_var = Cast(inv, to=f32)\n"
                  "Y = Mul(Cast(Mul(x, inv), to=scale), scale)\n",
                  root_mean_square);
    return out_body->status;
}

fer_status feri_expand_embed_norm(feri_infer *call, feri_text *out_body) {
    int has_segments = feri_infer_in(call, 1) && feri_infer_in(call, 4);
    feri_text_add(out_body,
                  "w = Gather(word_embedding, input_ids)\n"
                  "p = %s\n"
                  "e = Add(w, p)\n"
                  "embedding_sum = %s\n",
                  feri_infer_in(call, 8)
                      ? "Gather(position_embedding, position_ids)"
                      : "Slice(position_embedding, {i64: 0}, Shape(input_ids, start=1, end=2), "
                        "{i64: 0})",
                  has_segments ? "Add(e, Gather(segment_embedding, segment_ids))" : "Identity(e)");
    feri_text_add(out_body,
                  "output = LayerNormalization(embedding_sum, gamma, beta, axis=-1, "
                  "epsilon=@epsilon|1e-12)\n"
                  "mask_index = %s\n",
                  feri_infer_in(call, 7)
                      ? "ReduceSum(mask, {i64: 1}, keepdims=0)"
                      : "Squeeze(Mul(Slice(input_ids, {i64: 0}, {i64: 1}, {i64: 1}), "
                        "{0: input_ids}), {i64: 1})");
    return out_body->status;
}

/* ---- quantised ---- */

static fer_status add_pair(feri_text *out_body, const char *op) {
    feri_text_add(out_body,
                  "a = DequantizeLinear(A, A_scale, A_zero_point)\n"
                  "b = DequantizeLinear(B, B_scale, B_zero_point)\n"
                  "C = QuantizeLinear(%s(a, b), C_scale, C_zero_point, output_dtype=A)\n",
                  op);
    return out_body->status;
}

fer_status feri_expand_qlinear_add(feri_infer *call, feri_text *out_body) {
    (void)call;
    return add_pair(out_body, "Add");
}

fer_status feri_expand_qlinear_mul(feri_infer *call, feri_text *out_body) {
    (void)call;
    return add_pair(out_body, "Mul");
}

fer_status feri_expand_qlinear_pool(feri_infer *call, feri_text *out_body) {
    int32_t rank = call->in[0]->rank;
    int is_last = feri_infer_int(call, "channels_last", 0) != 0;
    if (rank < 0) {
        return refuse(call, "its expansion needs the rank of X");
    }
    feri_text_add(out_body,
                  "x = DequantizeLinear(X, x_scale, x_zero_point)\nm = ReduceMean(x, {i64:");
    for (int32_t i = is_last ? 1 : 2; i < (is_last ? rank - 1 : rank); i++) {
        feri_text_add(out_body, " %d", (int)i);
    }
    feri_text_add(out_body,
                  "}, keepdims=1)\nY = QuantizeLinear(m, y_scale, y_zero_point, output_dtype=X)\n");
    return out_body->status;
}

fer_status feri_expand_qlinear_concat(feri_infer *call, feri_text *out_body) {
    uint32_t tensors = (call->in_count - 2) / 3;
    for (uint32_t i = 0; i < tensors; i++) {
        feri_text_add(out_body,
                      "c%u = DequantizeLinear(inputs%u, inputs%u, inputs%u)\n",
                      i,
                      3 * i,
                      3 * i + 1,
                      3 * i + 2);
    }
    feri_text_add(out_body, "c = Concat(");
    for (uint32_t i = 0; i < tensors; i++) {
        feri_text_add(out_body, "c%u, ", i);
    }
    feri_text_add(out_body, "axis=@axis|0)\nY = QuantizeLinear(c, Y_scale, Y_zero_point)\n");
    return out_body->status;
}

/* name, turned and less its zero point, in i32 */
static void
add_whole(feri_text *out_body, const char *name, int turns, const char *zero, const char *as) {
    feri_text_add(out_body,
                  turns ? "%s0 = Transpose(Cast(%s, to=i32), perm=[1, 0])\n"
                        : "%s0 = Cast(%s, to=i32)\n",
                  as,
                  name);
    feri_text_add(out_body, "%s = Sub(%s0, Cast(%s, to=i32))\n", as, as, zero);
}

fer_status feri_expand_qgemm(feri_infer *call, feri_text *out_body) {
    add_whole(out_body, "A", feri_infer_int(call, "transA", 0) != 0, "a_zero_point", "a");
    add_whole(out_body, "B", feri_infer_int(call, "transB", 0) != 0, "b_zero_point", "b");
    feri_text_add(out_body,
                  "i = MatMul(a, b)\n"
                  "c = %s\n"
                  "f = Mul(Mul(Cast(c, to=f32), Mul(a_scale, b_scale)), {@alpha|1: f32})\n"
                  "%s",
                  feri_infer_in(call, 6) ? "Add(i, C)" : "Identity(i)",
                  feri_infer_in(call, 7)
                      ? "Y = QuantizeLinear(f, y_scale, y_zero_point, output_dtype=A)\n"
                      : "Y = Identity(f)\n");
    return out_body->status;
}

fer_status feri_expand_matmul_integer_to_float(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body,
                  "i = MatMulInteger(A, B, a_zero_point, b_zero_point)\n"
                  "f = Mul(Cast(i, to=a_scale), Mul(a_scale, b_scale))\n"
                  "Y = %s\n",
                  feri_infer_in(call, 6) ? "Add(f, bias)" : "Identity(f)");
    return out_body->status;
}

fer_status feri_expand_dynamic_quantize_matmul(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body,
                  "q, s, z = DynamicQuantizeLinear(A)\n"
                  "i = MatMulInteger(q, B, z, b_zero_point)\n"
                  "f = Mul(Cast(i, to=A), Mul(s, b_scale))\n"
                  "Y = %s\n",
                  feri_infer_in(call, 4) ? "Add(f, bias)" : "Identity(f)");
    return out_body->status;
}

/* as = the numbers of bits each in the bytes of name, low bits first, as the last axis. */
static void add_unpacked(feri_text *out_body, const char *name, int64_t bits, const char *as) {
    int parts = (int)(8 / bits);
    for (int i = 0; i < parts; i++) {
        feri_text_add(out_body,
                      "%s%d = BitwiseAnd(BitShift(%s, {u8: %d}', direction='RIGHT'), {u8: %d}')\n",
                      as,
                      i,
                      name,
                      (int)(i * bits),
                      (1 << bits) - 1);
    }
    feri_text_add(out_body, "%s = Concat(", as);
    for (int i = 0; i < parts; i++) {
        feri_text_add(out_body, "Unsqueeze(%s%d, {i64: -1}), ", as, i);
    }
    feri_text_add(out_body, "axis=-1)\n");
}

/* B [N, blocks, bytes]: weights of a block share a scale and a zero point. */
fer_status feri_expand_matmul_nbits(feri_infer *call, feri_text *out_body) {
    long long k = feri_infer_int(call, "K", 0), n = feri_infer_int(call, "N", 0);
    long long block = feri_infer_int(call, "block_size", 32), blocks = (k + block - 1) / block;
    int64_t bits = feri_infer_int(call, "bits", 4);
    const feri_fact *zero = feri_infer_in(call, 3);
    if (feri_infer_in(call, 4)) {
        return refuse(call, "g_idx is not there; export the weights in their order");
    }
    feri_text_add(out_body, "bytes = Reshape(B, {i64: %lld %lld -1})\n", n, blocks);
    add_unpacked(out_body, "bytes", bits, "u");
    feri_text_add(
        out_body, "w = Cast(Reshape(u, {i64: %lld %lld %lld}), to=f32)\n", n, blocks, block);
    if (!zero) {
        feri_text_add(out_body, "z = {f32: %d}'\n", 1 << (bits - 1));
    } else if (zero->dtype != FER_U8) {
        feri_text_add(
            out_body, "z = Reshape(Cast(zero_points, to=f32), {i64: %lld %lld 1})\n", n, blocks);
    } else {
        feri_text_add(out_body, "zb = Reshape(zero_points, {i64: %lld -1})\n", n);
        add_unpacked(out_body, "zb", bits, "zu");
        feri_text_add(out_body,
                      "zs = Slice(Reshape(zu, {i64: %lld -1}), {i64: 0}, {i64: %lld}, {i64: 1})\n"
                      "z = Unsqueeze(Cast(zs, to=f32), {i64: 2})\n",
                      n,
                      blocks);
    }
    feri_text_add(out_body,
                  "d = Mul(Sub(w, z), Reshape(Cast(scales, to=f32), {i64: %lld %lld 1}))\n"
                  "t = Slice(Reshape(d, {i64: %lld -1}), {i64: 0}, {i64: %lld}, {i64: 1})\n"
                  "p = MatMul(Cast(A, to=f32), Transpose(t, perm=[1, 0]))\n"
                  "Y = %s\n",
                  n,
                  blocks,
                  n,
                  k,
                  feri_infer_in(call, 5) ? "Add(p, bias)" : "Identity(p)");
    return out_body->status;
}
