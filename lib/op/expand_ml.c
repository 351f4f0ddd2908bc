/* SPDX-License-Identifier: Apache-2.0
 *
 * Expansions of the ai.onnx.ml ops that are plain arithmetic on features, in f64. Attribute lists
 * become constants. String labels are the host's (host/string_labels.c): here labels are integers.
 */
#include "op/infer.h"
#include "tensor/dtype.h"

#include <string.h>

static uint32_t list_count(feri_infer *call, const char *name) {
    const fer_attr *attr = feri_attr_find(call->attrs, call->attr_count, name);
    return attr ? attr->count : 0;
}

fer_status feri_expand_binarizer(feri_infer *call, feri_text *out_body) {
    (void)call;
    feri_text_add(out_body,
                  "exact\nY = Cast(Greater(Cast(X, to=f64), {@threshold|0: f64}), to=X)\n");
    return out_body->status;
}

fer_status feri_expand_feature_extractor(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body,
                  "exact\n"
                  "x = %s\n"
                  "Z = Gather(x, Reshape(Y, {i64: -1}), axis=-1)\n",
                  call->in[0]->rank == 1 ? "Unsqueeze(X, {i64: 0})" : "Identity(X)");
    return out_body->status;
}

fer_status feri_expand_scaler(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body,
                  "x = Cast(X, to=f64)\n%s%sY = Cast(s, to=f32)\n",
                  list_count(call, "offset") ? "d = Sub(x, {f64: @offset})\n" : "d = Identity(x)\n",
                  list_count(call, "scale") ? "s = Mul(d, {f64: @scale})\n" : "s = Identity(d)\n");
    return out_body->status;
}

/* A row of zeros stays. */
fer_status feri_expand_normalizer(feri_infer *call, feri_text *out_body) {
    const char *norm = feri_infer_string(call, "norm", "MAX");
    const char *sum = strcmp(norm, "L1") == 0   ? "ReduceL1"
                      : strcmp(norm, "L2") == 0 ? "ReduceL2"
                                                : "ReduceMax";
    feri_text_add(out_body,
                  "x = Cast(X, to=f64)\n"
                  "n = %s(x, {i64: -1}, keepdims=1)\n"
                  "d = Where(Equal(n, {f64: 0}'), {f64: 1}', n)\n"
                  "Y = Cast(Div(x, d), to=f32)\n",
                  sum);
    return out_body->status;
}

fer_status feri_expand_imputer(feri_infer *call, feri_text *out_body) {
    int is_float = list_count(call, "imputed_value_floats") > 0;
    float replaced = feri_attr_float(call->attrs, call->attr_count, "replaced_value_float", 0);
    if (is_float && replaced != replaced) {
        feri_text_add(out_body, "hit = IsNaN(X)\n");
    } else {
        feri_text_add(
            out_body, "hit = Equal(X, {@replaced_value_%s|0: X})\n", is_float ? "float" : "int64");
    }
    feri_text_add(
        out_body, "Y = Where(hit, {X: @imputed_value_%s}, X)\n", is_float ? "floats" : "int64s");
    return out_body->status;
}

/* Each operand as a matrix, cut or filled with zeros to its width. */
fer_status feri_expand_feature_vectorizer(feri_infer *call, feri_text *out_body) {
    uint32_t count;
    const int64_t *widths = feri_infer_ints(call, "inputdimensions", &count);
    for (uint32_t i = 0; i < count; i++) {
        long long width = (long long)widths[i];
        feri_text_add(out_body,
                      call->in[i]->rank == 1 ? "x%u = Cast(Unsqueeze(X%u, {i64: 1}), to=f32)\n"
                                             : "x%u = Cast(X%u, to=f32)\n",
                      i,
                      i);
        feri_text_add(out_body,
                      "m%u = Max(Sub({i64: %lld}, Shape(x%u, start=1, end=2)), {i64: 0})\n"
                      "p%u = Pad(x%u, Concat({i64: 0}, m%u, axis=0), _, {i64: 1})\n"
                      "c%u = Slice(p%u, {i64: 0}, {i64: %lld}, {i64: 1})\n",
                      i,
                      width,
                      i,
                      i,
                      i,
                      i,
                      i,
                      i,
                      width);
    }
    feri_text_add(out_body, "Y = Concat(");
    for (uint32_t i = 0; i < count; i++) {
        feri_text_add(out_body, "c%u, ", i);
    }
    feri_text_add(out_body, "axis=1)\n");
    return out_body->status;
}

/* ---- models ---- */

static void add_rows(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body,
                  call->in[0]->rank == 1 ? "x = Unsqueeze(Cast(X, to=f64), {i64: 0})\n"
                                         : "x = Cast(X, to=f64)\n");
}

/* z = s as post_transform says, along rows. SOFTMAX_ZERO of zeros alone is 0.5; PROBIT is the
 * inverse of the normal distribution by Winitzki's approximation. Both as in ONNX Runtime. */
static fer_status add_post_transform(feri_infer *call, feri_text *out_body) {
    const char *kind = feri_infer_string(call, "post_transform", "NONE");
    static const char *const texts[][2] = {
        {"NONE",         "z = Identity(s)\n"                           },
        {"LOGISTIC",     "z = Sigmoid(s)\n"                            },
        {"SOFTMAX",      "z = Softmax(s, axis=1)\n"                    },
        {"SOFTMAX_ZERO",
         "m = ReduceMax(s, {i64: 1}, keepdims=1)\n"
         "f = Greater(Abs(s), {f64: 1e-7}')\n"
         "e = Where(f, Exp(Sub(s, m)), Mul(s, Exp(Neg(m))))\n"
         "n = ReduceSum(e, {i64: 1}, keepdims=1)\n"
         "z = Where(Equal(n, {f64: 0}'), {f64: 0.5}', Div(e, n))\n"    },
        {"PROBIT",
         "t = Sub(Mul({f64: 2}', s), {f64: 1}')\n"
         "l = Log(Mul(Sub({f64: 1}', t), Add({f64: 1}', t)))\n"
         "v = Add({f64: 4.330746750799873}', Mul({f64: 0.5}', l))\n"
         "u = Sub(Sqrt(Sub(Mul(v, v), Div(l, {f64: 0.147}'))), v)\n"
         "z = Mul(Mul({f64: 1.4142135623730951}', Sign(t)), Sqrt(u))\n"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(kind, texts[i][0]) == 0) {
            feri_text_add(out_body, "%s", texts[i][1]);
            return out_body->status;
        }
    }
    return feri_infer_fail(call, "post_transform '%s' is not known", kind);
}

fer_status feri_expand_linear_regressor(feri_infer *call, feri_text *out_body) {
    add_rows(call, out_body);
    feri_text_add(out_body,
                  "w = Reshape({f64: @coefficients}, {i64: @targets|1 -1})\n"
                  "p = MatMul(x, Transpose(w, perm=[1, 0]))\n"
                  "%s",
                  list_count(call, "intercepts") ? "s = Add(p, {f64: @intercepts})\n"
                                                 : "s = Identity(p)\n");
    FER_TRY(add_post_transform(call, out_body));
    feri_text_add(out_body, "Y = Cast(z, to=f32)\n");
    return out_body->status;
}

fer_status feri_expand_linear_classifier(feri_infer *call, feri_text *out_body) {
    const feri_fact *x = call->in[0];
    uint32_t labels = list_count(call, "classlabels_ints");
    int64_t features =
        x->rank > 0 && feri_sym_is_number(x->dims[x->rank - 1]) ? x->dims[x->rank - 1].number : 0;
    if (features < 1 || list_count(call, "classlabels_strings")) {
        return feri_fail(FER_UNSUPPORTED,
                         "%s '%s': its expansion needs a known number of features and integer "
                         "labels",
                         feri_op_name(call->op),
                         call->node ? call->node : "");
    }
    int64_t classes = list_count(call, "coefficients") / features;
    int doubles = classes == 1 && labels == 2;
    add_rows(call, out_body);
    feri_text_add(out_body,
                  "w = Reshape({f64: @coefficients}, {i64: %lld %lld})\n"
                  "p = MatMul(x, Transpose(w, perm=[1, 0]))\n"
                  "q = %s\n"
                  "s = %s\n",
                  (long long)classes,
                  (long long)features,
                  list_count(call, "intercepts") ? "Add(p, {f64: @intercepts})" : "Identity(p)",
                  doubles ? "Concat(Neg(q), q, axis=1)" : "Identity(q)");
    FER_TRY(add_post_transform(call, out_body));
    feri_text_add(out_body, "Z = Cast(z, to=f32)\n");
    if (classes > 1 || doubles) {
        feri_text_add(out_body,
                      labels
                          ? "Y = Gather({i64: @classlabels_ints}, ArgMax(z, axis=1, keepdims=0))\n"
                          : "Y = ArgMax(z, axis=1, keepdims=0)\n");
        return out_body->status;
    }
    int is_raw = strcmp(feri_infer_string(call, "post_transform", "NONE"), "NONE") == 0;
    feri_text_add(out_body,
                  "is = GreaterOrEqual(Squeeze(z, {i64: 1}), {f64: %s}')\n"
                  "%s",
                  is_raw ? "0" : "0.5",
                  labels ? "Y = Where(is, {i64: @classlabels_ints}, {i64: 0})\n"
                         : "Y = Cast(is, to=i64)\n");
    return out_body->status;
}

/* k = the kernel of each row against each support vector */
static fer_status add_kernel(feri_infer *call, feri_text *out_body) {
    const char *kind = feri_infer_string(call, "kernel_type", "LINEAR");
    int has_params = list_count(call, "kernel_params") >= 3;
    feri_text_add(out_body,
                  has_params ? "kp = {f64: @kernel_params}\n"
                               "gamma = Gather(kp, {i64: 0})\n"
                               "coef0 = Gather(kp, {i64: 1})\n"
                               "degree = Gather(kp, {i64: 2})\n"
                             : "gamma = {f64: 0}\ncoef0 = {f64: 0}\ndegree = {f64: 0}\n");
    if (strcmp(kind, "RBF") == 0) {
        feri_text_add(out_body,
                      "away = Sub(Unsqueeze(x, {i64: 1}), sv)\n"
                      "k = Exp(Neg(Mul(gamma, ReduceSumSquare(away, {i64: 2}, keepdims=0))))\n");
        return out_body->status;
    }
    feri_text_add(out_body,
                  "dot = MatMul(x, Transpose(sv, perm=[1, 0]))\n"
                  "lin = Add(Mul(gamma, dot), coef0)\n");
    if (strcmp(kind, "LINEAR") == 0) {
        feri_text_add(out_body, "k = Identity(dot)\n");
    } else if (strcmp(kind, "POLY") == 0) {
        feri_text_add(out_body, "k = Pow(lin, degree)\n");
    } else if (strcmp(kind, "SIGMOID") == 0) {
        feri_text_add(out_body, "k = Tanh(lin)\n");
    } else {
        return feri_infer_fail(call, "kernel_type '%s' is not known", kind);
    }
    return out_body->status;
}

fer_status feri_expand_svm_regressor(feri_infer *call, feri_text *out_body) {
    int64_t supports = feri_infer_int(call, "n_supports", 0);
    add_rows(call, out_body);
    if (supports > 0) {
        feri_text_add(out_body,
                      "sv = Reshape({f64: @support_vectors}, {i64: %lld -1})\n",
                      (long long)supports);
        FER_TRY(add_kernel(call, out_body));
    } else {
        feri_text_add(out_body, "k = Identity(x)\n");
    }
    feri_text_add(out_body,
                  "p = MatMul(k, Reshape({f64: @coefficients}, {i64: -1 1}))\n"
                  "%s",
                  list_count(call, "rho") ? "a = Add(p, Gather({f64: @rho}, {i64: 0}))\n"
                                          : "a = Identity(p)\n");
    feri_text_add(out_body,
                  feri_infer_int(call, "one_class", 0)
                      ? "s = Where(Greater(a, {f64: 0}'), {f64: 1}', {f64: -1}')\n"
                      : "s = Identity(a)\n");
    FER_TRY(add_post_transform(call, out_body));
    feri_text_add(out_body, "Y = Cast(z, to=f32)\n");
    return out_body->status;
}
