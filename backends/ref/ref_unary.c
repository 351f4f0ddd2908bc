/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of one element: floats through f64, integers through i64 (wrapping), predicates to
 * bool. One table of scalar functions; the newest ONNX meaning of each. NaN goes through everything
 * that is not a predicate. Called through the step list.
 */
#include "ref/ref_elements.h"

#include <math.h>
#include <string.h>

typedef struct plain_row {
    uint32_t op;
    double (*of)(double x);
} plain_row;

/* a[] are the attributes. */
typedef struct with_row {
    uint32_t op;
    float absent[2];
    const char *names[2];
    double (*of)(double x, const double *a);
} with_row;

typedef struct unary_params {
    double (*plain)(double x);
    double (*with)(double x, const double *a);
    uint32_t is_integer;
    uint32_t is_signed;
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

/* clang-format off */
static const plain_row plain_rows[] = {
    FERI_REF_ROW(Abs, fabs)
    FERI_REF_ROW(Acos, acos)
    FERI_REF_ROW(Acosh, acosh)
    FERI_REF_ROW(Asin, asin)
    FERI_REF_ROW(Asinh, asinh)
    FERI_REF_ROW(Atan, atan)
    FERI_REF_ROW(Atanh, atanh)
    FERI_REF_ROW(Ceil, ceil)
    FERI_REF_ROW(Cos, cos)
    FERI_REF_ROW(Cosh, cosh)
    FERI_REF_ROW(Erf, erf)
    FERI_REF_ROW(Exp, exp)
    FERI_REF_ROW(Floor, floor)
    FERI_REF_ROW(HardSwish, f_hard_swish)
    FERI_REF_ROW(IsNaN, f_isnan)
    FERI_REF_ROW(Log, log)
    FERI_REF_ROW(Mish, f_mish)
    FERI_REF_ROW(Neg, f_neg)
    FERI_REF_ROW(Reciprocal, f_reciprocal)
    FERI_REF_ROW(Relu, f_relu)
    FERI_REF_ROW(Round, rint)
    FERI_REF_ROW(Sigmoid, f_sigmoid)
    FERI_REF_ROW(Sign, f_sign)
    FERI_REF_ROW(Sin, sin)
    FERI_REF_ROW(Sinh, sinh)
    FERI_REF_ROW(Softplus, f_softplus)
    FERI_REF_ROW(Softsign, f_softsign)
    FERI_REF_ROW(Sqrt, sqrt)
    FERI_REF_ROW(Tan, tan)
    FERI_REF_ROW(Tanh, tanh)
    {0}
};
static const with_row with_rows[] = {
    FERI_REF_ROW(Celu, {1}, {"alpha"}, f_celu)
    FERI_REF_ROW(Elu, {1}, {"alpha"}, f_elu)
    FERI_REF_ROW(Gelu, {0}, {"approximate"}, f_gelu)
    FERI_REF_ROW(HardSigmoid, {0.2f, 0.5f}, {"alpha", "beta"}, f_hard_sigmoid)
    FERI_REF_ROW(IsInf, {1, 1}, {"detect_negative", "detect_positive"}, f_isinf)
    FERI_REF_ROW(LeakyRelu, {0.01f}, {"alpha"}, f_leaky)
    FERI_REF_ROW(Selu, {1.67326319217681884765625f, 1.05070102214813232421875f}, {"alpha", "gamma"}, f_selu)
    FERI_REF_ROW(Shrink, {0, 0.5f}, {"bias", "lambd"}, f_shrink)
    FERI_REF_ROW(Swish, {1}, {"alpha"}, f_swish)
    FERI_REF_ROW(ThresholdedRelu, {1}, {"alpha"}, f_thresholded)
    {0}
};
/* clang-format on */

/* Of integers and bool; unsigned ones as their bits. */
static int has_integers(uint32_t op) {
    return FERI_REF_IS(op, Abs) || FERI_REF_IS(op, Neg) || FERI_REF_IS(op, Sign) ||
           FERI_REF_IS(op, Relu) || FERI_REF_IS(op, Not) || FERI_REF_IS(op, BitwiseNot);
}
static int64_t of_integer(uint32_t op, int is_signed, int64_t x) {
    int is_negative = is_signed && x < 0;
    int64_t minus = (int64_t)(0 - (uint64_t)x);
    return FERI_REF_IS(op, Abs)    ? (is_negative ? minus : x)
           : FERI_REF_IS(op, Neg)  ? minus
           : FERI_REF_IS(op, Sign) ? (is_negative ? -1 : x != 0)
           : FERI_REF_IS(op, Relu) ? (is_negative ? 0 : x)
           : FERI_REF_IS(op, Not)  ? x == 0
                                   : ~x;
}

static double attr_number(const fer_node_view *node, const char *name, double absent) {
    const fer_attr *attr = feri_ref_attr(node, name);
    if (!attr) {
        return absent;
    }
    if (FERI_HAS_OP(Gelu) && attr->type == FER_ATTR_STRING) { /* approximate */
        return feri_ref_string_is(node, name, "none", "tanh");
    }
    return attr->type == FER_ATTR_INT ? (double)attr->value.i : (double)attr->value.f;
}

static fer_status bind(feri_ref_call *call) {
    unary_params *params = call->params;
    uint32_t op = call->node->op;
    const plain_row *plain = plain_rows;
    const with_row *with = with_rows;
    while (plain->of && plain->op != op) {
        plain++;
    }
    while (with->of && with->op != op) {
        with++;
    }
    params->plain = plain->of;
    params->with = with->of;
    for (uint32_t i = 0; i < 2 && with->names[i]; i++) {
        params->attrs[i] = attr_number(call->node, with->names[i], (double)with->absent[i]);
    }
    fer_dtype dtype = call->in[0]->dtype;
    params->is_integer = !feri_ref_is_float(dtype) && has_integers(op);
    params->is_signed = (uint32_t)feri_ref_is_signed(dtype);
    if (!params->is_integer && !plain->of && !with->of) { /* the op table's types rule that out */
        return feri_ref_fail(call, FER_UNSUPPORTED, "the op is not defined for this dtype");
    }
    return call->in[0]->count == call->out[0]->count ? FER_OK : feri_ref_unfit(call);
}

static void map_integers(feri_ref_call *call, const feri_ref_piece *p) {
    const unary_params *params = call->params;
    const feri_ref_tensor *in = call->in[0];
    int64_t values[FERI_REF_CHUNK];
    call->host->load_i64(in->dtype, in->data, p->begin, p->count, values);
    for (uint64_t i = 0; i < p->count; i++) {
        values[i] = of_integer(call->node->op, (int)params->is_signed, values[i]);
    }
    call->host->store_i64(in->dtype, call->out[0]->data, p->begin, p->count, values);
}

static fer_status run(feri_ref_call *call) {
    const unary_params *params = call->params;
    const feri_ref_tensor *in = call->in[0], *out = call->out[0];
    double (*plain)(double) = params->plain;
    double values[FERI_REF_CHUNK];
    feri_ref_piece p = {.total = in->count};
    while (feri_ref_next(call, &p)) {
        if (params->is_integer) {
            map_integers(call, &p);
            continue;
        }
        call->host->load_f64(in->dtype, in->data, p.begin, p.count, values);
        for (uint64_t i = 0; plain && i < p.count; i++) {
            values[i] = plain(values[i]);
        }
        for (uint64_t i = 0; !plain && i < p.count; i++) {
            values[i] = params->with(values[i], params->attrs);
        }
        /* Predicates give bool; Shrink of integers truncates. */
        call->host->store_f64(out->dtype, out->data, p.begin, p.count, values, /*saturate=*/0);
    }
    return call->status;
}

const feri_ref_kernel feri_ref_family_unary[] = {
    {.run = run, .bind = bind, .params_bytes = sizeof(unary_params)}
};
#define UNARY(ident, revision) FERI_REF_ROW(ident, revision)
/* clang-format off */
const feri_ref_op feri_ref_ops_unary[] = {
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
