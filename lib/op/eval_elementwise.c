/* SPDX-License-Identifier: Apache-2.0
 *
 * Small values of element-wise ops: integers wrap as the dtype does, floats use only operations
 * that IEEE 754 rounds exactly, dims stay symbolic where the term algebra can say the result.
 * Everything else is unknown. No op fails here: what a kernel would refuse is unknown too.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"
#include "tensor/dtype.h"

#include <math.h>

/* What one element's evaluation sees. */
typedef struct element_call {
    const feri_infer *call;
    feri_terms *terms;
    uint32_t op;
    fer_dtype dtype; /* of operand 0, or of the branches of Where */
    int is_float;
    int is_unsigned;
    int fmod;
} element_call;

static feri_sym from_bool(int value) { return feri_sym_number(value != 0); }

/* A three-valued answer as an element. */
static feri_sym from_answer(int answer) {
    return answer < 0 ? feri_sym_unknown() : from_bool(answer);
}

static int is_compare(uint32_t op) {
    return op == FER_OP_Equal || op == FER_OP_Less || op == FER_OP_LessOrEqual ||
           op == FER_OP_Greater || op == FER_OP_GreaterOrEqual;
}

/* ---- floats ---- */

static feri_sym compare_floats(uint32_t op, double a, double b) {
    switch (op) {
    case FER_OP_Equal:
        return from_bool(a == b);
    case FER_OP_Less:
        return from_bool(a < b);
    case FER_OP_LessOrEqual:
        return from_bool(a <= b);
    case FER_OP_Greater:
        return from_bool(a > b);
    default:
        return from_bool(a >= b);
    }
}

/* 1 and *out when op on floats is exact work. */
static int float_one(uint32_t op, double a, double *out) {
    switch (op) {
    case FER_OP_Neg:
        *out = -a;
        return 1;
    case FER_OP_Abs:
        *out = fabs(a);
        return 1;
    case FER_OP_Sqrt:
        *out = sqrt(a);
        return 1;
    case FER_OP_Floor:
        *out = floor(a);
        return 1;
    case FER_OP_Ceil:
        *out = ceil(a);
        return 1;
    case FER_OP_Round: /* the mode is to nearest even, whatever the caller had: see below */
        *out = a - remainder(a, 1.0);
        return isfinite(a) && fabs(a) < 4503599627370496.0;
    case FER_OP_Reciprocal:
        *out = 1.0 / a;
        return 1;
    case FER_OP_Relu:
        *out = a > 0 ? a : 0;
        return a == a;
    case FER_OP_Sign:
        *out = (a > 0) - (a < 0);
        return a == a;
    default:
        return 0;
    }
}

static int float_two(const element_call *e, double a, double b, double *out) {
    switch (e->op) {
    case FER_OP_Add:
    case FER_OP_Sum:
        *out = a + b;
        return 1;
    case FER_OP_Sub:
        *out = a - b;
        return 1;
    case FER_OP_Mul:
        *out = a * b;
        return 1;
    case FER_OP_Div:
        *out = a / b;
        return 1;
    case FER_OP_Min:
        *out = a < b ? a : b;
        return a == a && b == b && a != b ? 1 : a == b && a != 0;
    case FER_OP_Max:
        *out = a > b ? a : b;
        return a == a && b == b && a != b ? 1 : a == b && a != 0;
    case FER_OP_Mod:
        *out = fmod(a, b);
        return e->fmod && b != 0;
    case FER_OP_Pow:
        *out = b == 2 ? a * a : a;
        return b == 1 || (b == 2 && e->dtype != FER_F64);
    default:
        return 0;
    }
}

/* ---- integers ---- */

static feri_sym compare_ints(const element_call *e, int64_t a, int64_t b) {
    int less = e->is_unsigned ? (uint64_t)a < (uint64_t)b : a < b;
    switch (e->op) {
    case FER_OP_Equal:
        return from_bool(a == b);
    case FER_OP_Less:
        return from_bool(less);
    case FER_OP_LessOrEqual:
        return from_bool(less || a == b);
    case FER_OP_Greater:
        return from_bool(!less && a != b);
    default:
        return from_bool(!less);
    }
}

static feri_sym int_div_mod(const element_call *e, int64_t a, int64_t b) {
    if (b == 0) {
        return feri_sym_unknown();
    }
    if (e->is_unsigned) {
        uint64_t x = (uint64_t)a;
        uint64_t y = (uint64_t)b;
        return feri_sym_number((int64_t)(e->op == FER_OP_Div ? x / y : x % y));
    }
    if (b == -1) { /* also keeps INT64_MIN / -1 defined: it wraps */
        return feri_sym_number(e->op == FER_OP_Div ? (int64_t)(0 - (uint64_t)a) : 0);
    }
    if (e->op == FER_OP_Div) {
        return feri_sym_number(a / b);
    }
    int64_t rest = a % b;
    if (!e->fmod && rest != 0 && (rest < 0) != (b < 0)) {
        rest += b; /* the remainder has the divisor's sign */
    }
    return feri_sym_number(rest);
}

static feri_sym int_pow(int64_t base, int64_t power) {
    if (power < 0) {
        return feri_sym_unknown();
    }
    uint64_t result = 1;
    uint64_t square = (uint64_t)base;
    for (uint64_t rest = (uint64_t)power; rest; rest >>= 1) {
        result *= (rest & 1) ? square : 1;
        square *= square;
    }
    return feri_sym_number((int64_t)result);
}

static feri_sym int_two(const element_call *e, int64_t a, int64_t b) {
    uint64_t x = (uint64_t)a;
    uint64_t y = (uint64_t)b;
    int less = e->is_unsigned ? x < y : a < b;
    switch (e->op) {
    case FER_OP_Add:
    case FER_OP_Sum:
        return feri_sym_number((int64_t)(x + y));
    case FER_OP_Sub:
        return feri_sym_number((int64_t)(x - y));
    case FER_OP_Mul:
        return feri_sym_number((int64_t)(x * y));
    case FER_OP_Div:
    case FER_OP_Mod:
        return int_div_mod(e, a, b);
    case FER_OP_Min:
        return feri_sym_number(less ? a : b);
    case FER_OP_Max:
        return feri_sym_number(less ? b : a);
    case FER_OP_Pow:
        return int_pow(a, b);
    case FER_OP_BitwiseAnd:
        return feri_sym_number((int64_t)(x & y));
    case FER_OP_BitwiseOr:
        return feri_sym_number((int64_t)(x | y));
    case FER_OP_BitwiseXor:
        return feri_sym_number((int64_t)(x ^ y));
    default:
        return feri_sym_unknown();
    }
}

static feri_sym int_one(const element_call *e, int64_t a) {
    switch (e->op) {
    case FER_OP_Neg:
        return feri_sym_number((int64_t)(0 - (uint64_t)a));
    case FER_OP_Abs:
        return feri_sym_number(a < 0 && !e->is_unsigned ? (int64_t)(0 - (uint64_t)a) : a);
    case FER_OP_Relu:
        return feri_sym_number(a < 0 ? 0 : a);
    case FER_OP_Sign:
        return feri_sym_number(e->is_unsigned ? a != 0 : (a > 0) - (a < 0));
    case FER_OP_BitwiseNot:
        return feri_sym_number((int64_t) ~(uint64_t)a);
    case FER_OP_Not:
        return from_bool(!a);
    default:
        return feri_sym_unknown();
    }
}

/* ---- terms ---- */

static int is_nonnegative(const element_call *e, feri_sym a) {
    int64_t low;
    int64_t high;
    feri_sym_bounds(e->terms, a, &low, &high);
    return low >= 0;
}

static feri_sym compare_terms(const element_call *e, feri_sym a, feri_sym b) {
    int answer;
    switch (e->op) {
    case FER_OP_Equal:
        return from_answer(feri_sym_compare_equal(e->terms, a, b));
    case FER_OP_Less:
        return from_answer(feri_sym_compare_less(e->terms, a, b));
    case FER_OP_Greater:
        return from_answer(feri_sym_compare_less(e->terms, b, a));
    case FER_OP_LessOrEqual:
        answer = feri_sym_compare_less(e->terms, b, a);
        return from_answer(answer < 0 ? answer : !answer);
    default:
        answer = feri_sym_compare_less(e->terms, a, b);
        return from_answer(answer < 0 ? answer : !answer);
    }
}

static feri_sym term_two(const element_call *e, feri_sym a, feri_sym b) {
    switch (e->op) {
    case FER_OP_Add:
    case FER_OP_Sum:
        return feri_sym_add(e->terms, a, b);
    case FER_OP_Sub:
        return feri_sym_sub(e->terms, a, b);
    case FER_OP_Mul:
        return feri_sym_mul(e->terms, a, b);
    case FER_OP_Div: /* ONNX truncates, terms round down: the same from 0 up */
        return is_nonnegative(e, a) && is_nonnegative(e, b) ? feri_sym_div(e->terms, a, b)
                                                            : feri_sym_unknown();
    case FER_OP_Mod:
        return !e->fmod || (is_nonnegative(e, a) && is_nonnegative(e, b))
                   ? feri_sym_mod(e->terms, a, b)
                   : feri_sym_unknown();
    case FER_OP_Min:
        return feri_sym_min(e->terms, a, b);
    case FER_OP_Max:
        return feri_sym_max(e->terms, a, b);
    case FER_OP_Pow:
        return feri_sym_is_number(b) && b.number == 1 ? a : feri_sym_unknown();
    default:
        return feri_sym_unknown();
    }
}

static feri_sym term_one(const element_call *e, feri_sym a) {
    switch (e->op) {
    case FER_OP_Neg:
        return feri_sym_sub(e->terms, feri_sym_number(0), a);
    case FER_OP_Abs:
        return is_nonnegative(e, a) ? a : feri_sym_unknown();
    case FER_OP_Relu:
        return feri_sym_max(e->terms, a, feri_sym_number(0));
    case FER_OP_Sign: {
        int64_t low;
        int64_t high;
        feri_sym_bounds(e->terms, a, &low, &high);
        return low > 0 ? feri_sym_number(1) : high < 0 ? feri_sym_number(-1) : feri_sym_unknown();
    }
    default:
        return feri_sym_unknown();
    }
}

/* ---- one element ---- */

/* And, Or, Xor where one side may be unknown. */
static int logic_two(uint32_t op, feri_sym a, feri_sym b, feri_sym *out) {
    int known_a = feri_sym_is_number(a);
    int known_b = feri_sym_is_number(b);
    switch (op) {
    case FER_OP_And:
        *out = (known_a && !a.number) || (known_b && !b.number) ? feri_sym_number(0)
               : known_a && known_b                             ? feri_sym_number(1)
                                                                : feri_sym_unknown();
        return 1;
    case FER_OP_Or:
        *out = (known_a && a.number) || (known_b && b.number) ? feri_sym_number(1)
               : known_a && known_b                           ? feri_sym_number(0)
                                                              : feri_sym_unknown();
        return 1;
    case FER_OP_Xor:
        *out = known_a && known_b ? from_bool(!a.number != !b.number) : feri_sym_unknown();
        return 1;
    default:
        return 0;
    }
}

static feri_sym one(const element_call *e, feri_sym a) {
    if (feri_sym_is_unknown(a)) {
        return a;
    }
    if (e->is_float) {
        double value = feri_sym_as_f64(a);
        if (e->op == FER_OP_IsNaN) {
            return from_bool(value != value);
        }
        double result;
        return float_one(e->op, value, &result)
                   ? feri_sym_from_f64(feri_infer_round(e->dtype, result))
                   : feri_sym_unknown();
    }
    if (!feri_sym_is_number(a)) {
        return term_one(e, a);
    }
    feri_sym result = int_one(e, a.number);
    return feri_sym_is_number(result) ? feri_sym_number(feri_infer_wrap(e->dtype, result.number))
                                      : result;
}

static feri_sym two(const element_call *e, feri_sym a, feri_sym b) {
    feri_sym result;
    if (logic_two(e->op, a, b, &result)) {
        return result;
    }
    if (feri_sym_is_unknown(a) || feri_sym_is_unknown(b)) {
        return feri_sym_unknown();
    }
    if (e->is_float) {
        double x = feri_sym_as_f64(a);
        double y = feri_sym_as_f64(b);
        double value;
        if (is_compare(e->op)) {
            return compare_floats(e->op, x, y);
        }
        return float_two(e, x, y, &value) ? feri_sym_from_f64(feri_infer_round(e->dtype, value))
                                          : feri_sym_unknown();
    }
    if (!feri_sym_is_number(a) || !feri_sym_is_number(b)) {
        return is_compare(e->op) ? compare_terms(e, a, b) : term_two(e, a, b);
    }
    if (is_compare(e->op)) {
        return compare_ints(e, a.number, b.number);
    }
    result = int_two(e, a.number, b.number);
    return feri_sym_is_number(result) ? feri_sym_number(feri_infer_wrap(e->dtype, result.number))
                                      : result;
}

static feri_sym where(feri_sym condition, feri_sym a, feri_sym b) {
    if (feri_sym_is_number(condition)) {
        return condition.number ? a : b;
    }
    return feri_sym_equal(a, b) ? a : feri_sym_unknown();
}

/* ---- whole values ---- */

/* The operand's element for a result index, by right-aligned broadcasting. */
static uint32_t source_index(const feri_fact *in, const feri_fact *out, uint32_t index) {
    uint32_t at = 0;
    uint32_t stride = 1;
    for (int32_t d = out->rank - 1; d >= 0; d--) {
        uint32_t dim = (uint32_t)out->dims[d].number;
        int32_t id = d - (out->rank - in->rank);
        if (id >= 0) {
            uint32_t in_dim = (uint32_t)in->dims[id].number;
            at += in_dim == 1 ? 0 : (index % dim) * stride;
            stride *= in_dim;
        }
        index /= dim;
    }
    return at;
}

/* The element of operand i for a result index; unknown when the operand's are. */
static feri_sym
element_of(const feri_infer *call, uint32_t i, const feri_fact *out, uint32_t index) {
    uint32_t count;
    const feri_sym *elements = feri_infer_elements(call, i, &count);
    if (!elements) {
        return feri_sym_unknown();
    }
    uint32_t at = source_index(call->in[i], out, index);
    return at < count ? elements[at] : feri_sym_unknown();
}

static feri_sym evaluate_one(const element_call *e, const feri_fact *out, uint32_t index) {
    const feri_infer *call = e->call;
    feri_sym first = element_of(call, 0, out, index);
    if (e->op == FER_OP_Where) {
        return where(first, element_of(call, 1, out, index), element_of(call, 2, out, index));
    }
    if (e->op == FER_OP_Clip) {
        element_call bound = *e;
        for (uint32_t i = 1; i < call->in_count; i++) {
            if (call->in[i]) {
                bound.op = i == 1 ? FER_OP_Max : FER_OP_Min;
                first = two(&bound, first, element_of(call, i, out, index));
            }
        }
        return first;
    }
    if (call->in_count == 1) {
        return e->op == FER_OP_Min || e->op == FER_OP_Max || e->op == FER_OP_Sum ? first
                                                                                 : one(e, first);
    }
    for (uint32_t i = 1; i < call->in_count; i++) {
        first = two(e, first, element_of(call, i, out, index));
    }
    return first;
}

/* Whether a result can be known at all: only logic and Where do with a part of their operands. */
static int has_elements(const feri_infer *call) {
    uint32_t known = 0;
    for (uint32_t i = 0; i < call->in_count; i++) {
        uint32_t count;
        known += !call->in[i] || feri_infer_elements(call, i, &count);
    }
    uint32_t op = call->op->number;
    return known == call->in_count ||
           (known && (op == FER_OP_And || op == FER_OP_Or || op == FER_OP_Where));
}

void feri_infer_evaluate(const feri_infer *call) {
    uint32_t count;
    const feri_fact *out = feri_infer_out(call, 0);
    const feri_fact *typed = feri_infer_in(call, call->op->number == FER_OP_Where ? 1 : 0);
    feri_sym *elements = NULL;
    if (!typed || call->in_count > 64 || !feri_infer_is_small(out) || !has_elements(call) ||
        !(elements = feri_infer_new_elements(call, 0, &count))) {
        return;
    }
    int32_t dtype_class = feri_dtype_class(typed->dtype);
    const feri_fact *exponent = feri_infer_in(call, 1);
    element_call e = {.call = call,
                      .terms = call->terms,
                      .op = call->op->number,
                      .dtype = typed->dtype,
                      .is_float = feri_infer_is_float(typed->dtype),
                      .is_unsigned =
                          dtype_class == FERI_CLASS_UNSIGNED || dtype_class == FERI_CLASS_BOOL,
                      .fmod = feri_infer_int(call, "fmod", 0) != 0};
    /* Pow's operands may be of different classes: left to the kernel. */
    if (e.op == FER_OP_Pow && exponent && feri_infer_is_float(exponent->dtype) != e.is_float) {
        feri_infer_trim_elements(call, 0);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        elements[i] = evaluate_one(&e, out, i);
    }
    feri_infer_trim_elements(call, 0);
}
