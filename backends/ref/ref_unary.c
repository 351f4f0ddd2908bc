/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of one element: floats through f64, integers through i64 (wrapping), predicates to
 * bool. One table of scalar functions; the newest ONNX meaning of each. NaN goes through everything
 * that is not a predicate. Called through the step list.
 */
#include "ref/ref_elements.h"

#include <math.h>
#include <string.h>

typedef struct unary_row {
    uint32_t op;
    double (*plain)(double x);
    double (*with)(double x, const double *a); /* a[] are the attributes below */
    int64_t (*signed_one)(int64_t x);
    int64_t (*unsigned_one)(int64_t x); /* of a value held as its bits */
    struct {
        const char *name;
        double absent;
    } attrs[2];
} unary_row;

typedef struct unary_params {
    double (*plain)(double x);
    double (*with)(double x, const double *a);
    int64_t (*integer)(int64_t x);
    double attrs[2];
} unary_params;

static double positive(double x) { return x > 0 ? x : 0; }
static double negative(double x) { return x < 0 ? x : 0; }
static double unit(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

static double f_relu(double x) { return x > 0 || x != x ? x : 0; }
static double f_neg(double x) { return -x; }
static double f_sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static double f_reciprocal(double x) { return 1 / x; }
static double f_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double f_softplus(double x) { return x != x ? x : log1p(exp(-fabs(x))) + positive(x); }
static double f_softsign(double x) { return x / (1 + fabs(x)); }
static double f_mish(double x) { return x * tanh(f_softplus(x)); }
static double f_hard_swish(double x) { return x * unit(x / 6 + 0.5); }
static double f_isnan(double x) { return x != x; }
static double f_isinf(double x, const double *a) {
    return isinf(x) && (x < 0 ? a[0] != 0 : a[1] != 0);
}
static double f_hard_sigmoid(double x, const double *a) { return unit(a[0] * x + a[1]); }
static double f_elu(double x, const double *a) { return x < 0 ? a[0] * expm1(x) : x; }
static double f_celu(double x, const double *a) {
    return x != x ? x : positive(x) + negative(a[0] * expm1(x / a[0]));
}
static double f_selu(double x, const double *a) { return a[1] * (x > 0 ? x : a[0] * expm1(x)); }
static double f_leaky(double x, const double *a) { return x < 0 ? a[0] * x : x; }
static double f_thresholded(double x, const double *a) { return x > a[0] || x != x ? x : 0; }
static double f_swish(double x, const double *a) { return x * f_sigmoid(a[0] * x); }
static double f_shrink(double x, const double *a) {
    return x < -a[1] ? x + a[0] : x > a[1] ? x - a[0] : x != x ? x : 0;
}
/* 0.5 x (1 + erf(x / sqrt 2)), or its tanh approximation with a[0] = 1. */
static double f_gelu(double x, const double *a) {
    double inner = a[0] != 0 ? tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))
                             : erf(x * 0.70710678118654752440);
    return 0.5 * x * (1 + inner);
}

static int64_t i_neg(int64_t x) { return (int64_t)(0 - (uint64_t)x); }
static int64_t i_abs(int64_t x) { return x < 0 ? i_neg(x) : x; }
static int64_t i_same(int64_t x) { return x; }
static int64_t i_sign(int64_t x) { return (x > 0) - (x < 0); }
static int64_t u_sign(int64_t x) { return x != 0; }
static int64_t i_relu(int64_t x) { return x > 0 ? x : 0; }
static int64_t i_not(int64_t x) { return ~x; }
static int64_t b_not(int64_t x) { return x == 0; }

/* clang-format off */
static const unary_row rows[] = {
    FERI_REF_ROW(Abs, fabs, NULL, i_abs, i_same, {{0}})
    FERI_REF_ROW(Acos, acos, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Acosh, acosh, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Asin, asin, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Asinh, asinh, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Atan, atan, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Atanh, atanh, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(BitwiseNot, NULL, NULL, i_not, i_not, {{0}})
    FERI_REF_ROW(Ceil, ceil, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Celu, NULL, f_celu, NULL, NULL, {{"alpha", 1}})
    FERI_REF_ROW(Cos, cos, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Cosh, cosh, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Elu, NULL, f_elu, NULL, NULL, {{"alpha", 1}})
    FERI_REF_ROW(Erf, erf, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Exp, exp, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Floor, floor, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Gelu, NULL, f_gelu, NULL, NULL, {{"approximate", 0}})
    FERI_REF_ROW(HardSigmoid, NULL, f_hard_sigmoid, NULL, NULL, {{"alpha", 0.2f}, {"beta", 0.5}})
    FERI_REF_ROW(HardSwish, f_hard_swish, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(IsInf, NULL, f_isinf, NULL, NULL, {{"detect_negative", 1}, {"detect_positive", 1}})
    FERI_REF_ROW(IsNaN, f_isnan, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(LeakyRelu, NULL, f_leaky, NULL, NULL, {{"alpha", 0.01f}})
    FERI_REF_ROW(Log, log, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Mish, f_mish, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Neg, f_neg, NULL, i_neg, i_neg, {{0}})
    FERI_REF_ROW(Not, NULL, NULL, b_not, b_not, {{0}})
    FERI_REF_ROW(Reciprocal, f_reciprocal, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Relu, f_relu, NULL, i_relu, i_same, {{0}})
    FERI_REF_ROW(Round, rint, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Selu, NULL, f_selu, NULL, NULL, {{"alpha", 1.67326319217681884765625}, {"gamma",
                 1.05070102214813232421875}})
    FERI_REF_ROW(Shrink, NULL, f_shrink, NULL, NULL, {{"bias", 0}, {"lambd", 0.5}})
    FERI_REF_ROW(Sigmoid, f_sigmoid, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Sign, f_sign, NULL, i_sign, u_sign, {{0}})
    FERI_REF_ROW(Sin, sin, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Sinh, sinh, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Softplus, f_softplus, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Softsign, f_softsign, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Sqrt, sqrt, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Swish, NULL, f_swish, NULL, NULL, {{"alpha", 1}})
    FERI_REF_ROW(Tan, tan, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(Tanh, tanh, NULL, NULL, NULL, {{0}})
    FERI_REF_ROW(ThresholdedRelu, NULL, f_thresholded, NULL, NULL, {{"alpha", 1}})
    {0}
};
/* clang-format on */

static double attr_number(const fer_node_view *node, const char *name, double absent) {
    const fer_attr *attr = feri_ref_attr(node, name);
    if (!attr) {
        return absent;
    }
    if (attr->type == FER_ATTR_STRING) { /* Gelu's approximate */
        return feri_ref_string_is(node, name, "none", "tanh");
    }
    return attr->type == FER_ATTR_INT ? (double)attr->value.i : (double)attr->value.f;
}

static fer_status bind(feri_ref_call *call) {
    unary_params *params = call->params;
    const unary_row *row = rows;
    while (row->op != call->node->op) {
        row++;
    }
    if (call->in[0]->count != call->out[0]->count) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "input and output differ in size");
    }
    fer_dtype dtype = call->in[0]->dtype;
    params->plain = row->plain;
    params->with = row->with;
    if (!feri_ref_is_float(dtype)) {
        params->integer = feri_ref_is_signed(dtype) ? row->signed_one : row->unsigned_one;
    }
    for (uint32_t i = 0; i < 2 && row->attrs[i].name; i++) {
        params->attrs[i] = attr_number(call->node, row->attrs[i].name, row->attrs[i].absent);
    }
    return FER_OK;
}

static void map_f64(const unary_params *params, double *values, uint64_t count) {
    if (params->plain) {
        double (*one)(double) = params->plain;
        for (uint64_t i = 0; i < count; i++) {
            values[i] = one(values[i]);
        }
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        values[i] = params->with(values[i], params->attrs);
    }
}

static void store(const fer_host *host,
                  feri_ref_tensor *out,
                  uint64_t begin,
                  uint64_t count,
                  const double *values) {
    if (feri_ref_is_float(out->dtype)) {
        host->store_f64(out->dtype, out->data, begin, count, values, /*saturate=*/0);
        return;
    }
    int64_t integers[FERI_REF_CHUNK]; /* predicates, and Shrink of integers */
    for (uint64_t i = 0; i < count; i++) {
        integers[i] =
            out->dtype == FER_U64 ? feri_ref_to_u64_bits(values[i]) : feri_ref_to_i64(values[i]);
    }
    host->store_i64(out->dtype, out->data, begin, count, integers);
}

static fer_status run_integer(feri_ref_call *call, const unary_params *params) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int64_t values[FERI_REF_CHUNK];
    for (uint64_t begin = 0; begin < in->count; begin += FERI_REF_CHUNK) {
        uint64_t count = in->count - begin < FERI_REF_CHUNK ? in->count - begin : FERI_REF_CHUNK;
        call->host->load_i64(in->dtype, in->data, begin, count, values);
        for (uint64_t i = 0; i < count; i++) {
            values[i] = params->integer(values[i]);
        }
        call->host->store_i64(out->dtype, out->data, begin, count, values);
        fer_status status = feri_ref_poll(call, count);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status run(feri_ref_call *call) {
    const unary_params *params = call->params;
    const feri_ref_tensor *in = call->in[0];
    if (params->integer) {
        return run_integer(call, params);
    }
    double values[FERI_REF_CHUNK];
    for (uint64_t begin = 0; begin < in->count; begin += FERI_REF_CHUNK) {
        uint64_t count = in->count - begin < FERI_REF_CHUNK ? in->count - begin : FERI_REF_CHUNK;
        feri_ref_load_f64(call->host, in, begin, count, values);
        map_f64(params, values, count);
        store(call->host, call->out[0], begin, count, values);
        fer_status status = feri_ref_poll(call, count);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* What the op table's types rule out anyway, but a hostile graph must not reach a NULL function. */
static const char *refuse(const fer_subgraph *graph, const fer_node_view *node) {
    const unary_row *row = rows;
    while (row->op != node->op) {
        row++;
    }
    fer_dtype dtype = graph->values[node->inputs[0]]->dtype;
    uint32_t kind = feri_kit_class(dtype);
    int fits = row->plain || row->with ? kind == FERI_KIT_FLOAT || row->op == FER_OP_Shrink : 0;
    fits |= kind == FERI_KIT_SIGNED && row->signed_one;
    fits |= (kind == FERI_KIT_UNSIGNED || kind == FERI_KIT_BOOL) && row->unsigned_one;
    return fits ? NULL : "the op is not defined for this dtype";
}

static const feri_ref_kernel kernel = {
    .run = run, .bind = bind, .params_bytes = sizeof(unary_params), .refuse = refuse};
#define UNARY(ident, revision) FERI_REF_ROW(ident, revision)
/* clang-format off */
static const feri_ref_op ops[] = {
    UNARY(Abs, 13) UNARY(Acos, 22) UNARY(Acosh, 22) UNARY(Asin, 22) UNARY(Asinh, 22)
    UNARY(Atan, 22) UNARY(Atanh, 22) UNARY(BitwiseNot, 18) UNARY(Ceil, 13) UNARY(Celu, 12)
    UNARY(Cos, 22) UNARY(Cosh, 22) UNARY(Elu, 22) UNARY(Erf, 13) UNARY(Exp, 13) UNARY(Floor, 13)
    UNARY(Gelu, 20) UNARY(HardSigmoid, 22) UNARY(HardSwish, 22) UNARY(IsInf, 20) UNARY(IsNaN, 20)
    UNARY(LeakyRelu, 16) UNARY(Log, 13) UNARY(Mish, 22) UNARY(Neg, 13) UNARY(Not, 1)
    UNARY(Reciprocal, 13) UNARY(Relu, 14) UNARY(Round, 22) UNARY(Selu, 22) UNARY(Shrink, 9)
    UNARY(Sigmoid, 13) UNARY(Sign, 13) UNARY(Sin, 22) UNARY(Sinh, 22) UNARY(Softplus, 22)
    UNARY(Softsign, 22) UNARY(Sqrt, 13) UNARY(Swish, 24) UNARY(Tan, 22) UNARY(Tanh, 13)
    UNARY(ThresholdedRelu, 22)
    FERI_REF_END
};
/* clang-format on */
const feri_ref_family feri_ref_family_unary = FERI_REF_FAMILY_SHARED(kernel, ops);
