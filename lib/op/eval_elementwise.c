/* SPDX-License-Identifier: Apache-2.0
 *
 * Small values of element-wise ops: integers and dims by the term algebra (what overflows 64 bits
 * is unknown, what overflows the dtype wraps), floats only by operations that IEEE 754 rounds
 * exactly. Everything else is unknown. No op fails here: what a kernel would refuse is unknown too.
 */
#include "ferrule/op_numbers.h"
#include "ferrule/op_selection.h"
#include "op/infer.h"

#include <math.h>

/* op is ident, which never holds in a build without it. (Add, Mul, Min and Max also stand for the
 * steps of other ops.) */
#define IS(op, ident) (FERI_HAS_OP(ident) && (op) == FER_OP_##ident)

/* A three-valued answer as an element. */
static feri_sym from_answer(int answer) {
    return answer < 0 ? feri_sym_unknown() : feri_sym_number(answer != 0);
}

/* ---- floats: NAN stands for unknown ---- */

static feri_sym from_float(fer_dtype dtype, double value) {
    return value == value ? feri_sym_from_f64(feri_infer_round(dtype, value)) : feri_sym_unknown();
}

static double float_one(uint32_t op, double a) {
    if (IS(op, Round)) { /* to nearest even, whatever mode the caller has */
        return fabs(a) < 4503599627370496.0 ? a - remainder(a, 1.0) : NAN;
    }
    return IS(op, Neg)          ? -a
           : IS(op, Abs)        ? fabs(a)
           : IS(op, Sqrt)       ? sqrt(a)
           : IS(op, Floor)      ? floor(a)
           : IS(op, Ceil)       ? ceil(a)
           : IS(op, Reciprocal) ? 1.0 / a
                                : NAN;
}

static double float_two(uint32_t op, double a, double b) {
    return op == FER_OP_Add || IS(op, Sum) ? a + b
           : op == FER_OP_Mul              ? a * b
           : IS(op, Sub)                   ? a - b
           : IS(op, Div)                   ? a / b
                                           : NAN;
}

/* ---- integers and dims ---- */

static feri_sym int_one(feri_terms *terms, uint32_t op, feri_sym a) {
    const feri_sym zero = feri_sym_number(0);
    int64_t low;
    int64_t high;
    feri_sym_bounds(terms, a, &low, &high);
    if (IS(op, Neg)) {
        return feri_sym_sub(terms, zero, a);
    }
    if (IS(op, Abs)) {
        return low >= 0 ? a : high <= 0 ? feri_sym_sub(terms, zero, a) : feri_sym_unknown();
    }
    if (IS(op, Relu)) {
        return feri_sym_max(terms, a, zero);
    }
    if (IS(op, Sign) && (low > 0 || high < 0 || low == high)) {
        return feri_sym_number((low > 0) - (high < 0));
    }
    if (IS(op, BitwiseNot)) {
        return feri_sym_sub(terms, feri_sym_number(-1), a);
    }
    return IS(op, Not) ? from_answer(feri_sym_compare_equal(terms, a, zero)) : feri_sym_unknown();
}

/* Towards zero, as ONNX's Div and Mod with fmod want it; from 0 up terms, which round down, agree.
 */
static feri_sym divide(feri_terms *terms, feri_sym a, feri_sym b, int wants_rest) {
    int64_t a_low;
    int64_t b_low;
    int64_t high;
    feri_sym_bounds(terms, a, &a_low, &high);
    feri_sym_bounds(terms, b, &b_low, &high);
    if (a_low >= 0 && b_low >= 0) {
        return wants_rest ? feri_sym_mod(terms, a, b) : feri_sym_div(terms, a, b);
    }
    if (!feri_sym_is_number(a) || !feri_sym_is_number(b) || b.number == 0) {
        return feri_sym_unknown();
    }
    if (b.number == -1) { /* INT64_MIN / -1 wraps */
        return feri_sym_number(wants_rest ? 0 : (int64_t)(0 - (uint64_t)a.number));
    }
    return feri_sym_number(wants_rest ? a.number % b.number : a.number / b.number);
}

static feri_sym power(feri_terms *terms, feri_sym base, feri_sym exponent) {
    feri_sym result = feri_sym_number(1);
    if (!feri_sym_is_number(exponent) || exponent.number < 0 || exponent.number > 64) {
        return feri_sym_unknown();
    }
    for (int64_t i = 0; i < exponent.number; i++) {
        result = feri_sym_mul(terms, result, base);
    }
    return result;
}

static feri_sym bits(uint32_t op, feri_sym a, feri_sym b) {
    if (!feri_sym_is_number(a) || !feri_sym_is_number(b)) {
        return feri_sym_unknown();
    }
    return feri_sym_number(IS(op, BitwiseAnd)  ? a.number & b.number
                           : IS(op, BitwiseOr) ? a.number | b.number
                                               : a.number ^ b.number);
}

static feri_sym int_two(const feri_infer *call, uint32_t op, feri_sym a, feri_sym b) {
    feri_terms *terms = call->terms;
    if (op == FER_OP_Add || IS(op, Sum)) {
        return feri_sym_add(terms, a, b);
    }
    if (op == FER_OP_Mul) {
        return feri_sym_mul(terms, a, b);
    }
    if (op == FER_OP_Min) {
        return feri_sym_min(terms, a, b);
    }
    if (op == FER_OP_Max) {
        return feri_sym_max(terms, a, b);
    }
    if (IS(op, Sub)) {
        return feri_sym_sub(terms, a, b);
    }
    if (IS(op, Div) || (IS(op, Mod) && feri_infer_int(call, "fmod", 0))) {
        return divide(terms, a, b, /*wants_rest=*/IS(op, Mod));
    }
    if (IS(op, Mod)) {
        return feri_sym_mod(terms, a, b);
    }
    if (IS(op, Pow)) {
        return power(terms, a, b);
    }
    return IS(op, BitwiseAnd) || IS(op, BitwiseOr) || IS(op, BitwiseXor) ? bits(op, a, b)
                                                                         : feri_sym_unknown();
}

/* ---- comparisons and logic ---- */

/* 1, 0, -1 unknown. */
static int compare(feri_terms *terms, uint32_t op, feri_sym a, feri_sym b) {
    if (IS(op, Equal)) {
        return feri_sym_compare_equal(terms, a, b);
    }
    int is_turned = IS(op, LessOrEqual) || IS(op, GreaterOrEqual); /* not: b < a */
    int answer = IS(op, Greater) || IS(op, LessOrEqual) ? feri_sym_compare_less(terms, b, a)
                                                        : feri_sym_compare_less(terms, a, b);
    return answer < 0 ? answer : answer ^ is_turned;
}

/* Of 0 and 1, one of which may be unknown: 0 * unknown is 0. */
static feri_sym logic(feri_terms *terms, uint32_t op, feri_sym a, feri_sym b) {
    const feri_sym one = feri_sym_number(1);
    if (IS(op, And)) {
        return feri_sym_mul(terms, a, b);
    }
    if (IS(op, Xor)) {
        return feri_sym_mod(terms, feri_sym_add(terms, a, b), feri_sym_number(2));
    }
    a = feri_sym_mul(terms, feri_sym_sub(terms, one, a), feri_sym_sub(terms, one, b));
    return feri_sym_sub(terms, one, a);
}

/* ---- one element ---- */

/* A u64 beyond 2^63 - 1 is held as a negative number, which the term algebra would take for one. */
static int is_lost(fer_dtype dtype, feri_sym a) {
    return feri_sym_is_unknown(a) || (dtype == FER_U64 && a.number < 0);
}

static feri_sym wrapped(fer_dtype dtype, feri_sym a) {
    return feri_sym_is_number(a) ? feri_sym_number(feri_infer_wrap(dtype, a.number)) : a;
}

static feri_sym one(const feri_infer *call, uint32_t op, fer_dtype dtype, feri_sym a) {
    if (is_lost(dtype, a) || op == FER_OP_Min || op == FER_OP_Max || IS(op, Sum)) {
        return a; /* those of one operand are that operand */
    }
    if (!feri_infer_is_float(dtype)) {
        return wrapped(dtype, int_one(call->terms, op, a));
    }
    double value = feri_sym_as_f64(a);
    return IS(op, IsNaN) ? feri_sym_number(value != value)
                         : from_float(dtype, float_one(op, value));
}

feri_sym feri_infer_two(feri_infer *call, uint32_t op, fer_dtype dtype, feri_sym a, feri_sym b) {
    int is_float = feri_infer_is_float(dtype);
    if (IS(op, And) || IS(op, Or) || IS(op, Xor)) {
        return logic(call->terms, op, a, b);
    }
    if (is_lost(dtype, a) || is_lost(dtype, b)) {
        return feri_sym_unknown();
    }
    double x = feri_sym_as_f64(a);
    double y = feri_sym_as_f64(b);
    int order = (x > y) - (x < y);
    int is_nan = is_float && (x != x || y != y);
    if (IS(op, Equal) || IS(op, Less) || IS(op, LessOrEqual) || IS(op, Greater) ||
        IS(op, GreaterOrEqual)) {
        if (is_float) {
            a = feri_sym_number(order);
            b = feri_sym_number(0);
        }
        return is_nan ? b : from_answer(compare(call->terms, op, a, b));
    }
    if (is_float && (op == FER_OP_Min || op == FER_OP_Max)) {
        /* which of two zeros a kernel takes is not known */
        return is_nan || (order == 0 && x == 0)    ? feri_sym_unknown()
               : (order < 0) == (op == FER_OP_Min) ? a
                                                   : b;
    }
    return is_float ? from_float(dtype, float_two(op, x, y))
                    : wrapped(dtype, int_two(call, op, a, b));
}

/* ---- whole values ---- */

/* The element of operand k for an entry of the result; unknown when the operand's are. */
static feri_sym element_of(const feri_infer *call, uint32_t k, uint32_t entry) {
    uint32_t count;
    int64_t strides[FER_MAX_RANK];
    const feri_sym *elements = feri_infer_elements(call, k, &count);
    if (count == 0) {
        return feri_sym_unknown();
    }
    feri_infer_spread_strides(call->in[k], call->out[0], strides);
    return elements[feri_infer_offset(call->out[0], entry, strides)];
}

static feri_sym evaluate_entry(feri_infer *call, fer_dtype dtype, uint32_t entry) {
    uint32_t op = call->op->number;
    feri_sym first = element_of(call, 0, entry);
    if (call->in_count == 1) {
        return one(call, op, dtype, first);
    }
    if (IS(op, Where)) {
        feri_sym a = element_of(call, 1, entry);
        feri_sym b = element_of(call, 2, entry);
        if (feri_sym_is_number(first)) {
            return first.number ? a : b;
        }
        return feri_sym_equal(a, b) ? a : feri_sym_unknown();
    }
    for (uint32_t k = 1; k < call->in_count; k++) {
        if (call->in[k]) {
            uint32_t step = !IS(op, Clip) ? op : k == 1 ? FER_OP_Max : FER_OP_Min;
            first = feri_infer_two(call, step, dtype, first, element_of(call, k, entry));
        }
    }
    return first;
}

/* Whether a result can be known at all: only logic and Where do with a part of their operands. */
static int has_elements(const feri_infer *call) {
    uint32_t op = call->op->number;
    uint32_t known = 0;
    for (uint32_t k = 0; k < call->in_count; k++) {
        uint32_t count;
        known += !call->in[k] || feri_infer_elements(call, k, &count);
    }
    return known == call->in_count || (known && (IS(op, And) || IS(op, Or) || IS(op, Where)));
}

void feri_infer_evaluate(feri_infer *call) {
    uint32_t op = call->op->number;
    const feri_fact *typed = feri_infer_in(call, IS(op, Where) ? 1 : 0);
    const feri_fact *second = feri_infer_in(call, 1);
    uint32_t count;
    /* Pow's operands may be of different classes: left to the kernel. */
    if (!typed || call->in_count > 64 || !has_elements(call) ||
        (IS(op, Pow) && feri_infer_is_float(second->dtype) != feri_infer_is_float(typed->dtype))) {
        return;
    }
    feri_sym *elements = feri_infer_new_elements(call, 0, &count);
    for (uint32_t i = 0; elements && i < count; i++) {
        elements[i] = evaluate_entry(call, typed->dtype, i);
    }
    feri_infer_trim_elements(call, 0);
}
