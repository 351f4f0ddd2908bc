/* SPDX-License-Identifier: Apache-2.0
 *
 * Expansions of the quantised ops: products of what is left when zero points are taken off, exact
 * in i32 (matrices) or f64 (convolutions), rescaled in f64 and rounded once. float8 operands are
 * dequantised first. Texts of graph/expand.h.
 */
#include "op/infer.h"
#include "tensor/dtype.h"

fer_status feri_expand_dynamic_quantize(feri_infer *call, feri_text *out_body) {
    (void)call;
    feri_text_add(out_body,
                  "low = Min(ReduceMin(x, keepdims=0), {0: x})\n"
                  "high = Max(ReduceMax(x, keepdims=0), {0: x})\n"
                  "y_scale = Div(Sub(high, low), {255: x})\n"
                  "z = Round(Sub({0: x}, Div(low, y_scale)))\n"
                  "y_zero_point = Cast(Clip(z, {0: x}, {255: x}), to=u8)\n"
                  "y = QuantizeLinear(x, y_scale, y_zero_point)\n");
    return out_body->status;
}

/* A zero point or scale of rank 1 counts rows (the left operand) or columns: it is made to
 * broadcast against the last two dims. */
static void add_factor(
    feri_text *out_body, const char *name, const feri_fact *fact, int is_left, const char *as) {
    feri_text_add(out_body,
                  fact && fact->rank == 1 && is_left ? "%s = Unsqueeze(%s, {i64: 1})\n"
                                                     : "%s = Identity(%s)\n",
                  as,
                  name);
}

/* out = Cast(name, i32) - zero point */
static void add_centered(feri_text *out_body,
                         const char *name,
                         const char *zero,
                         const feri_fact *zero_fact,
                         int is_left,
                         const char *as) {
    if (!zero_fact) {
        feri_text_add(out_body, "%s = Cast(%s, to=i32)\n", as, name);
        return;
    }
    feri_text_add(out_body,
                  zero_fact->rank == 1 && is_left
                      ? "%s = Sub(Cast(%s, to=i32), Unsqueeze(Cast(%s, to=i32), {i64: 1}))\n"
                      : "%s = Sub(Cast(%s, to=i32), Cast(%s, to=i32))\n",
                  as,
                  name,
                  zero);
}

static int is_vector(const feri_fact *fact) { return fact && fact->rank >= 1; }

fer_status feri_expand_matmul_integer(feri_infer *call, feri_text *out_body) {
    const feri_fact *a = call->in[0];
    /* A of rank 1 has no rows to count. */
    add_centered(
        out_body, "A", "a_zero_point", feri_infer_in(call, 2), is_vector(a) && a->rank > 1, "a");
    add_centered(out_body, "B", "b_zero_point", feri_infer_in(call, 3), /*is_left=*/0, "b");
    feri_text_add(out_body, "Y = MatMul(a, b)\n");
    return out_body->status;
}

/* Least and greatest of the output's dtype. */
static void add_range(feri_text *out_body, const feri_fact *zero) {
    feri_text_add(out_body,
                  zero && zero->dtype == FER_I8 ? "low = {f64: -128}'\nhigh = {f64: 127}'\n"
                                                : "low = {f64: 0}'\nhigh = {f64: 255}'\n");
}

fer_status feri_expand_qlinear_matmul(feri_infer *call, feri_text *out_body) {
    const feri_fact *a = call->in[0];
    int has_rows = is_vector(a) && a->rank > 1;
    feri_text_add(out_body, "exact\n");
    add_factor(out_body, "a_scale", call->in[1], has_rows, "as");
    if (feri_dtype_class(a->dtype) == FERI_CLASS_FLOAT) {
        add_factor(out_body, "a_zero_point", call->in[2], has_rows, "az");
        feri_text_add(
            out_body,
            "fa = Mul(Sub(Cast(a, to=f32), Cast(az, to=f32)), Cast(as, to=f32))\n"
            "fb = Mul(Sub(Cast(b, to=f32), Cast(b_zero_point, to=f32)), Cast(b_scale, to=f32))\n"
            "y = QuantizeLinear(MatMul(fa, fb), Cast(y_scale, to=f32), y_zero_point)\n");
        return out_body->status;
    }
    add_centered(out_body, "a", "a_zero_point", call->in[2], has_rows, "ia");
    add_centered(out_body, "b", "b_zero_point", call->in[5], /*is_left=*/0, "ib");
    add_factor(out_body, "y_scale", call->in[6], has_rows, "ys");
    add_factor(out_body, "y_zero_point", call->in[7], has_rows, "yz");
    add_range(out_body, call->in[7]);
    feri_text_add(out_body,
                  "s = Div(Mul(Cast(as, to=f64), Cast(b_scale, to=f64)), Cast(ys, to=f64))\n"
                  "r = Round(Mul(Cast(MatMul(ia, ib), to=f64), s))\n"
                  "y = Cast(Clip(Add(r, Cast(yz, to=f64)), low, high), to=y_zero_point)\n");
    return out_body->status;
}

/* ---- convolutions: sums of products stay below 2^53, so f64 is exact ---- */

/* {i64: -1 1 1 ...}: the vector of what counts filters against W's rank. */
static fer_status add_filter_shape(feri_infer *call, feri_text *out_body, const feri_fact *w) {
    if (w->rank < 0) {
        return feri_fail(FER_UNSUPPORTED,
                         "%s '%s': its expansion needs the rank of w, which is not known; give the "
                         "input fixed dims",
                         feri_op_name(call->op),
                         call->node ? call->node : "");
    }
    feri_text_add(out_body, "per = {i64: -1");
    for (int32_t i = 1; i < w->rank; i++) {
        feri_text_add(out_body, " 1");
    }
    feri_text_add(out_body, "}\n");
    return out_body->status;
}

#define CONV_ATTRS                                                                                 \
    "auto_pad=@auto_pad, dilations=@dilations, group=@group, kernel_shape=@kernel_shape, "         \
    "pads=@pads, strides=@strides"

fer_status feri_expand_conv_integer(feri_infer *call, feri_text *out_body) {
    FER_TRY(add_filter_shape(call, out_body, call->in[1]));
    feri_text_add(out_body,
                  "%s%sy = Cast(Conv(fx, fw, " CONV_ATTRS "), to=i32)\n",
                  feri_infer_in(call, 2) ? "fx = Sub(Cast(x, to=f64), Cast(x_zero_point, to=f64))\n"
                                         : "fx = Cast(x, to=f64)\n",
                  feri_infer_in(call, 3)
                      ? "fw = Sub(Cast(w, to=f64), Reshape(Cast(w_zero_point, to=f64), per))\n"
                      : "fw = Cast(w, to=f64)\n");
    return out_body->status;
}

fer_status feri_expand_qlinear_conv(feri_infer *call, feri_text *out_body) {
    const feri_fact *w = call->in[3];
    FER_TRY(add_filter_shape(call, out_body, w));
    feri_text_add(out_body, "one = {i64: 1 -1");
    for (int32_t i = 2; i < w->rank; i++) {
        feri_text_add(out_body, " 1");
    }
    feri_text_add(out_body, "}\n");
    add_range(out_body, call->in[7]);
    feri_text_add(out_body,
                  "fx = Sub(Cast(x, to=f64), Cast(x_zero_point, to=f64))\n"
                  "fw = Sub(Cast(w, to=f64), Reshape(Cast(w_zero_point, to=f64), per))\n"
                  "c = Conv(fx, fw, %s, " CONV_ATTRS ")\n"
                  "s = Div(Mul(Cast(x_scale, to=f64), Reshape(Cast(w_scale, to=f64), one)), "
                  "Cast(y_scale, to=f64))\n"
                  "r = Add(Round(Mul(c, s)), Cast(y_zero_point, to=f64))\n"
                  "y = Cast(Clip(r, low, high), to=y_zero_point)\n",
                  feri_infer_in(call, 8) ? "Cast(B, to=f64)" : "_");
    return out_body->status;
}
