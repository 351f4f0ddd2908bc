/* SPDX-License-Identifier: Apache-2.0
 *
 * Expansions that need a rank, a channel count or optional operands: normalisations, the causal
 * convolution, rotary embedding, CenterCropPad. Texts of graph/expand.h; what a text needs and the
 * facts do not know is UNSUPPORTED.
 */
#include "op/infer.h"

#include <string.h>

static fer_status unknown(feri_infer *call, const char *what) {
    fer_status status = feri_fail(FER_UNSUPPORTED,
                                  "%s '%s': its expansion needs %s, which is not known; give the "
                                  "input fixed dims",
                                  feri_op_name(call->op),
                                  call->node ? call->node : "",
                                  what);
    feri_error_set_node(call->node);
    return status;
}

/* "name = {i64: axis ... rank-1}" */
static fer_status
add_axes_from(feri_infer *call, feri_text *out_body, int64_t absent, const feri_fact *x) {
    if (x->rank < 0) {
        return unknown(call, "the rank of X");
    }
    int32_t axis = feri_infer_axis_attr(call, absent, x->rank);
    FER_TRY(call->status);
    feri_text_add(out_body, "axes = {i64:");
    for (int32_t i = axis; i < x->rank; i++) {
        feri_text_add(out_body, " %d", (int)i);
    }
    feri_text_add(out_body, "}\n");
    return out_body->status;
}

static const char *stash_name(feri_infer *call) {
    return fer_dtype_name((fer_dtype)feri_infer_int(call, "stash_type", FER_F32));
}

/* The body casts by itself: to stash_type for the statistics, back before the scale. */
fer_status feri_expand_rms_norm(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body, "exact\n");
    FER_TRY(add_axes_from(call, out_body, -1, call->in[0]));
    feri_text_add(out_body,
                  "u = Cast(X, to=%s)\n"
                  "mean = ReduceMean(Mul(u, u), axes, keepdims=1)\n"
                  "n = Div(u, Sqrt(Add(mean, {@epsilon|1e-5: u})))\n"
                  "Y = Mul(Cast(n, to=scale), scale)\n",
                  stash_name(call));
    return out_body->status;
}

fer_status feri_expand_layer_norm(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body, "exact\n");
    FER_TRY(add_axes_from(call, out_body, -1, call->in[0]));
    feri_text_add(out_body,
                  "u = Cast(X, to=%s)\n"
                  "Mean = ReduceMean(u, axes, keepdims=1)\n"
                  "d = Sub(u, Mean)\n"
                  "var = ReduceMean(Mul(d, d), axes, keepdims=1)\n"
                  "InvStdDev = Reciprocal(Sqrt(Add(var, {@epsilon|1e-5: u})))\n"
                  "n = Cast(Mul(d, InvStdDev), to=X)\n"
                  "%s",
                  stash_name(call),
                  feri_infer_in(call, 2) ? "Y = Add(Mul(n, Scale), B)\n" : "Y = Mul(n, Scale)\n");
    return out_body->status;
}

fer_status feri_expand_group_norm(feri_infer *call, feri_text *out_body) {
    const feri_fact *x = call->in[0];
    if (x->rank < 0) {
        return unknown(call, "the rank of X");
    }
    feri_text_add(out_body,
                  "exact\n"
                  "u = Reshape(Cast(X, to=%s), {i64: 0 %lld -1})\n"
                  "d = Sub(u, ReduceMean(u, {i64: 2}, keepdims=1))\n"
                  "var = ReduceMean(Mul(d, d), {i64: 2}, keepdims=1)\n"
                  "g = Div(d, Sqrt(Add(var, {@epsilon|1e-5: u})))\n"
                  "n = Cast(Reshape(g, Shape(X)), to=X)\n"
                  "per = {i64: 1 -1",
                  stash_name(call),
                  (long long)feri_infer_int(call, "num_groups", 1));
    for (int32_t i = 2; i < x->rank; i++) {
        feri_text_add(out_body, " 1");
    }
    feri_text_add(out_body,
                  "}\n"
                  "Y = Add(Mul(n, Reshape(scale, per)), Reshape(bias, per))\n");
    return out_body->status;
}

fer_status feri_expand_mean_variance_norm(feri_infer *call, feri_text *out_body) {
    uint32_t count;
    const int64_t *axes = feri_infer_ints(call, "axes", &count);
    feri_text_add(out_body, "axes = {i64:");
    for (uint32_t i = 0; i < count; i++) {
        feri_text_add(out_body, " %lld", (long long)axes[i]);
    }
    feri_text_add(out_body,
                  "%s}\n"
                  "d = Sub(X, ReduceMean(X, axes, keepdims=1))\n"
                  "var = ReduceMean(Mul(d, d), axes, keepdims=1)\n"
                  "Y = Div(d, Add(Sqrt(var), {1e-9: X}))\n",
                  axes ? "" : " 0 2 3");
    return out_body->status;
}

/* ---- CausalConvWithState ---- */

/* Depthwise: as many groups as channels. The state is the last k - 1 of what the convolution saw.
 */
fer_status feri_expand_causal_conv(feri_infer *call, feri_text *out_body) {
    const feri_fact *input = call->in[0];
    const feri_fact *weight = call->in[1];
    const char *activation = feri_infer_string(call, "activation", "none");
    feri_sym channels = weight->rank == 3 ? weight->dims[0] : feri_sym_unknown();
    if (!feri_sym_is_number(channels) && input->rank == 3) {
        channels = input->dims[1];
    }
    if (!feri_sym_is_number(channels)) {
        return unknown(call, "the number of channels");
    }
    feri_text_add(out_body,
                  "k = Sub(Shape(weight, start=2, end=3), {i64: 1})\n"
                  "%s"
                  "c = Conv(p, weight, bias, group=%lld)\n"
                  "%s"
                  "l = Shape(p, start=2, end=3)\n"
                  "present_state = Slice(p, Sub(l, k), l, {i64: 2})\n",
                  feri_infer_in(call, 3)
                      ? "p = Concat(past_state, input, axis=2)\n"
                      : "p = Pad(input, Concat(k, {i64: 0}, axis=0), _, {i64: 2})\n",
                  (long long)channels.number,
                  strcmp(activation, "none") == 0 ? "output = Identity(c)\n"
                                                  : "output = Mul(c, Sigmoid(c))\n");
    return out_body->status;
}

/* ---- RotaryEmbedding ---- */

/* The caches as [B, S, 1, r/2]. */
static void add_caches(feri_infer *call, feri_text *out_body, int64_t part) {
    static const char *const names[2][2] = {
        {"cos_cache", "c"},
        {"sin_cache", "s"}
    };
    for (int i = 0; i < 2; i++) {
        const char *cache = names[i][0];
        const char *name = names[i][1];
        if (feri_infer_in(call, 3)) {
            feri_text_add(out_body, "%s0 = Gather(%s, position_ids)\n", name, cache);
        } else {
            feri_text_add(out_body, "%s0 = Identity(%s)\n", name, cache);
        }
        if (part > 0) {
            feri_text_add(out_body,
                          "%s1 = Slice(%s0, {i64: 0}, {i64: %lld}, {i64: 2})\n",
                          name,
                          name,
                          (long long)(part / 2));
        } else {
            feri_text_add(out_body, "%s1 = Identity(%s0)\n", name, name);
        }
        feri_text_add(out_body, "%s = Unsqueeze(%s1, {i64: 2})\n", name, name);
    }
}

/* Works on [B, S, heads, head size]: halves, or every other entry, are rotated pairwise; what lies
 * beyond rotary_embedding_dim stays. */
fer_status feri_expand_rotary(feri_infer *call, feri_text *out_body) {
    const feri_fact *x = call->in[0];
    int64_t part = feri_infer_int(call, "rotary_embedding_dim", 0);
    int is_interleaved = feri_infer_int(call, "interleaved", 0) != 0;
    if (x->rank < 0) {
        return unknown(call, "the rank of X");
    }
    if (x->rank == 3) {
        feri_text_add(out_body,
                      "x = Reshape(X, {i64: 0 0 %lld -1})\n",
                      (long long)feri_infer_int(call, "num_heads", 0));
    } else {
        feri_text_add(out_body, "x = Transpose(X, perm=[0, 2, 1, 3])\n");
    }
    if (part > 0) {
        feri_text_add(out_body,
                      "t = Slice(x, {i64: 0}, {i64: %lld}, {i64: 3})\n"
                      "rest = Slice(x, {i64: %lld}, {i64: 9223372036854775807}, {i64: 3})\n",
                      (long long)part,
                      (long long)part);
    } else {
        feri_text_add(out_body, "t = Identity(x)\n");
    }
    add_caches(call, out_body, part);
    feri_text_add(
        out_body,
        "%s"
        "re = Sub(Mul(c, a), Mul(s, b))\n"
        "im = Add(Mul(s, a), Mul(c, b))\n"
        "%s"
        "%s"
        "%s",
        is_interleaved ? "pa, pb = Split(Reshape(t, {i64: 0 0 0 -1 2}), axis=4, num_outputs=2)\n"
                         "a = Squeeze(pa, {i64: 4})\n"
                         "b = Squeeze(pb, {i64: 4})\n"
                       : "a, b = Split(t, axis=3, num_outputs=2)\n",
        is_interleaved ? "y = Reshape(Concat(Unsqueeze(re, {i64: 4}), Unsqueeze(im, {i64: 4}), "
                         "axis=4), {i64: 0 0 0 -1})\n"
                       : "y = Concat(re, im, axis=3)\n",
        part > 0 ? "z = Concat(y, rest, axis=3)\n" : "z = Identity(y)\n",
        x->rank == 3 ? "Y = Reshape(z, {i64: 0 0 -1})\n" : "Y = Transpose(z, perm=[0, 2, 1, 3])\n");
    return out_body->status;
}

/* ---- CenterCropPad ---- */

/* Pads to the larger of both, then crops to shape, both around the center. */
fer_status feri_expand_center_crop_pad(feri_infer *call, feri_text *out_body) {
    const feri_fact *in = call->in[0];
    uint32_t count;
    const int64_t *axes = feri_infer_ints(call, "axes", &count);
    if (!axes && in->rank < 0) {
        return unknown(call, "the rank of its operand");
    }
    feri_text_add(out_body, "exact\naxes = {i64:");
    for (uint32_t i = 0; i < (axes ? count : (uint32_t)in->rank); i++) {
        feri_text_add(out_body, " %lld", axes ? (long long)axes[i] : (long long)i);
    }
    feri_text_add(out_body,
                  "}\n"
                  "want = Cast(shape, to=i64)\n"
                  "have = Gather(Shape(input_data), axes, axis=0)\n"
                  "more = Sub(Max(have, want), have)\n"
                  "left = Div(more, {i64: 2}')\n"
                  "p = Pad(input_data, Concat(left, Sub(more, left), axis=0), _, axes)\n"
                  "over = Sub(Gather(Shape(p), axes, axis=0), want)\n"
                  "start = Div(over, {i64: 2}')\n"
                  "output_data = Slice(p, start, Add(start, want), axes)\n");
    return out_body->status;
}
