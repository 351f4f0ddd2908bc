/* SPDX-License-Identifier: Apache-2.0
 *
 * Expansions of element-wise composites and reductions that look at their node, as texts of
 * graph/expand.h; the others are in expand_plain.def. Formulas are ONNX's, rearranged where the
 * plain form would overflow.
 */
#include "op/infer.h"
#include "tensor/dtype.h"

#include <math.h>

static fer_status add(feri_text *out_body, const char *text) {
    feri_text_add(out_body, "%s", text);
    return out_body->status;
}

fer_status feri_expand_gelu(feri_infer *call, feri_text *out_body) {
    if (feri_infer_string(call, "approximate", "none")[0] == 't') {
        return add(out_body,
                   "cube = Mul(X, Mul(X, X))\n"
                   "t = Tanh(Mul({0.7978845608028654: X}, Add(X, Mul({0.044715: X}, cube))))\n"
                   "Y = Mul(Mul({0.5: X}, X), Add({1: X}, t))\n");
    }
    return add(out_body,
               "t = Erf(Mul({0.7071067811865476: X}, X))\n"
               "Y = Mul(Mul({0.5: X}, X), Add({1: X}, t))\n");
}

fer_status feri_expand_clip(feri_infer *call, feri_text *out_body) {
    int has_min = feri_infer_in(call, 1) != NULL;
    int has_max = feri_infer_in(call, 2) != NULL;
    return add(out_body,
               has_min && has_max ? "exact\noutput = Min(Max(input, min), max)\n"
               : has_min          ? "exact\noutput = Max(input, min)\n"
               : has_max          ? "exact\noutput = Min(input, max)\n"
                                  : "exact\noutput = Identity(input)\n");
}

/* Integer operands take bias and lambd cut to integers, as ONNX's CastLike does. */
fer_status feri_expand_shrink(feri_infer *call, feri_text *out_body) {
    int32_t dtype_class = feri_dtype_class(call->in[0]->dtype);
    if (dtype_class == FERI_CLASS_FLOAT) {
        return add(out_body,
                   "high = Sub(input, {@bias|0: input})\n"
                   "low = Add(input, {@bias|0: input})\n"
                   "above = Less({@lambd|0.5: input}, input)\n"
                   "below = Less(input, Neg({@lambd|0.5: input}))\n"
                   "output = Where(below, low, Where(above, high, {0: input}))\n");
    }
    float bias = truncf(feri_attr_float(call->attrs, call->attr_count, "bias", 0));
    float lambd = truncf(feri_attr_float(call->attrs, call->attr_count, "lambd", 0.5f));
    if (!(fabsf(bias) < 128) || !(fabsf(lambd) < 128) ||
        (dtype_class == FERI_CLASS_UNSIGNED && (bias < 0 || lambd != 0))) {
        return feri_fail(FER_UNSUPPORTED,
                         "Shrink '%s': bias and lambd do not fit its integer dtype",
                         call->node ? call->node : "");
    }
    feri_text_add(out_body,
                  "exact\n"
                  "high = Sub(input, {%d: input})\n"
                  "low = Add(input, {%d: input})\n"
                  "above = Less({%d: input}, input)\n"
                  "below = Less(input, {%d: input})\n"
                  "output = Where(below, low, Where(above, high, {0: input}))\n",
                  (int)bias,
                  (int)bias,
                  (int)lambd,
                  -(int)lambd);
    return out_body->status;
}

/* ---- reductions ---- */

#define REDUCE_ATTRS "keepdims=@keepdims, noop_with_empty_axes=@noop_with_empty_axes"

/* Whether operand 0 has a float dtype; the others go through f64. */
static int is_float_call(feri_infer *call) { return feri_infer_is_float(call->in[0]->dtype); }

fer_status feri_expand_reduce_l2(feri_infer *call, feri_text *out_body) {
    return add(out_body,
               is_float_call(call) ? "reduced = Sqrt(ReduceSum(Mul(data, data), axes, " REDUCE_ATTRS
                                     "))\n"
                                   : "s = ReduceSum(Mul(data, data), axes, " REDUCE_ATTRS ")\n"
                                     "reduced = Cast(Sqrt(Cast(s, to=f64)), to=data)\n");
}

fer_status feri_expand_reduce_log_sum(feri_infer *call, feri_text *out_body) {
    return add(out_body,
               is_float_call(call) ? "reduced = Log(ReduceSum(data, axes, " REDUCE_ATTRS "))\n"
                                   : "s = ReduceSum(data, axes, " REDUCE_ATTRS ")\n"
                                     "reduced = Cast(Log(Cast(s, to=f64)), to=data)\n");
}

/* log(sum(e^x)) = m + log(sum(e^(x - m))), m the largest, kept finite so that infinities do not
 * make NaNs. */
fer_status feri_expand_reduce_log_sum_exp(feri_infer *call, feri_text *out_body) {
    int is_float = is_float_call(call);
    int is_f64 = !is_float || call->in[0]->dtype == FER_F64;
    const char *bound = is_f64 ? "1.0e308" : "3.0e38";
    feri_text_add(out_body,
                  "%s"
                  "m = Clip(ReduceMax(x, axes, keepdims=1, "
                  "noop_with_empty_axes=@noop_with_empty_axes), {-%s: x}, {%s: x})\n"
                  "s = Log(ReduceSum(Exp(Sub(x, m)), axes, " REDUCE_ATTRS "))\n"
                  "n = Clip(ReduceMax(x, axes, " REDUCE_ATTRS "), {-%s: x}, {%s: x})\n"
                  "%s",
                  is_float ? "x = Identity(data)\n" : "x = Cast(data, to=f64)\n",
                  bound,
                  bound,
                  bound,
                  bound,
                  is_float ? "reduced = Add(s, n)\n" : "reduced = Cast(Add(s, n), to=data)\n");
    return out_body->status;
}

/* ---- softmax ---- */

static fer_status softmax(feri_infer *call, feri_text *out_body, const char *rest) {
    feri_text_add(out_body,
                  "axes = {i64: %lld}\n"
                  "d = Sub(input, ReduceMax(input, axes, keepdims=1))\n"
                  "e = Exp(d)\n"
                  "s = ReduceSum(e, axes, keepdims=1)\n"
                  "%s",
                  (long long)feri_infer_int(call, "axis", -1),
                  rest);
    return out_body->status;
}

fer_status feri_expand_softmax(feri_infer *call, feri_text *out_body) {
    return softmax(call, out_body, "output = Div(e, s)\n");
}

fer_status feri_expand_log_softmax(feri_infer *call, feri_text *out_body) {
    return softmax(call, out_body, "output = Sub(d, Log(s))\n");
}

/* ---- windows ---- */

/* terms gives the window from a, the angle of every entry. */
static fer_status window(feri_infer *call, feri_text *out_body, const char *terms) {
    int64_t dtype = feri_infer_int(call, "output_datatype", FER_F32);
    int is_periodic = feri_infer_int(call, "periodic", 1) != 0;
    feri_text_add(out_body,
                  "exact\n"
                  "n = Cast(size, to=i64)\n"
                  "r = Cast(Range({i64: 0}', n, {i64: 1}'), to=f64)\n"
                  "d = Cast(%s, to=f64)\n"
                  "a = Mul(r, Div({6.283185307179586: d}, d))\n"
                  "output = Cast(%s, to=%s)\n",
                  is_periodic ? "n" : "Sub(n, {i64: 1}')",
                  terms,
                  fer_dtype_name((fer_dtype)dtype));
    return out_body->status;
}

fer_status feri_expand_hann_window(feri_infer *call, feri_text *out_body) {
    return window(call, out_body, "Sub({0.5: a}, Mul({0.5: a}, Cos(a)))");
}

fer_status feri_expand_hamming_window(feri_infer *call, feri_text *out_body) {
    return window(
        call, out_body, "Sub({0.543478260869565217: a}, Mul({0.456521739130434783: a}, Cos(a)))");
}

fer_status feri_expand_blackman_window(feri_infer *call, feri_text *out_body) {
    return window(call,
                  out_body,
                  "Add(Sub({0.42: a}, Mul({0.5: a}, Cos(a))), "
                  "Mul({0.08: a}, Cos(Mul({2: a}, a))))");
}
