/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of broadcast operands: of two, Max, Min, Sum and Mean of any number (folded from the
 * left, rounded once), Clip as a maximum and a minimum. Floats through f64; integers wrap. Integer
 * division truncates toward zero; a zero divisor gives 0 from Div and Mod (ONNX leaves it open; it
 * must not trap), and the least integer divided by -1 wraps. Pow of integers wraps too; a negative
 * exponent gives the truncated quotient, 0 for a zero base. Called through the step list.
 */
#include "ref/ref_elements.h"

#include <math.h>

typedef struct binary_row {
    uint32_t op;
    double (*floats)(double a, double b);
    int64_t (*signed_two)(int64_t a, int64_t b);
    int64_t (*unsigned_two)(int64_t a, int64_t b); /* of values held as their bits */
} binary_row;

typedef struct binary_params {
    double (*floats)(double a, double b);
    int64_t (*integers)(int64_t a, int64_t b); /* NULL: through f64 */
    feri_ref_operand operands[2];              /* the others are worked out anew per piece */
} binary_params;

static double f_add(double a, double b) { return a + b; }
static double f_sub(double a, double b) { return a - b; }
static double f_mul(double a, double b) { return a * b; }
static double f_div(double a, double b) { return a / b; }
static double f_equal(double a, double b) { return a == b; }
static double f_greater(double a, double b) { return a > b; }
static double f_greater_equal(double a, double b) { return a >= b; }
static double f_less(double a, double b) { return a < b; }
static double f_less_equal(double a, double b) { return a <= b; }
static double f_prelu(double a, double b) { return a < 0 ? a * b : a; }
/* The sign of the divisor, as in Python. */
static double f_mod(double a, double b) {
    double rest = fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static int64_t i_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t i_sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static int64_t i_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static int64_t i_div(int64_t a, int64_t b) {
    if (b == 0) {
        return 0;
    }
    return b == -1 ? i_sub(0, a) : a / b;
}
static int64_t u_div(int64_t a, int64_t b) {
    return b == 0 ? 0 : (int64_t)((uint64_t)a / (uint64_t)b);
}
static int64_t i_rest(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
static int64_t i_mod(int64_t a, int64_t b) {
    int64_t rest = i_rest(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
static int64_t u_mod(int64_t a, int64_t b) {
    return b == 0 ? 0 : (int64_t)((uint64_t)a % (uint64_t)b);
}
static int64_t i_equal(int64_t a, int64_t b) { return a == b; }
static int64_t i_greater(int64_t a, int64_t b) { return a > b; }
static int64_t i_greater_equal(int64_t a, int64_t b) { return a >= b; }
static int64_t i_less(int64_t a, int64_t b) { return a < b; }
static int64_t i_less_equal(int64_t a, int64_t b) { return a <= b; }
static int64_t u_greater(int64_t a, int64_t b) { return (uint64_t)a > (uint64_t)b; }
static int64_t u_greater_equal(int64_t a, int64_t b) { return (uint64_t)a >= (uint64_t)b; }
static int64_t u_less(int64_t a, int64_t b) { return (uint64_t)a < (uint64_t)b; }
static int64_t u_less_equal(int64_t a, int64_t b) { return (uint64_t)a <= (uint64_t)b; }
static int64_t i_and(int64_t a, int64_t b) { return a & b; }
static int64_t i_or(int64_t a, int64_t b) { return a | b; }
static int64_t i_xor(int64_t a, int64_t b) { return a ^ b; }
static int64_t i_prelu(int64_t a, int64_t b) { return a < 0 ? i_mul(a, b) : a; }
static int64_t u_prelu(int64_t a, int64_t b) {
    (void)b;
    return a;
}
static int64_t u_shift_left(int64_t a, int64_t b) {
    return (uint64_t)b >= 64 ? 0 : (int64_t)((uint64_t)a << b);
}
static int64_t u_shift_right(int64_t a, int64_t b) {
    return (uint64_t)b >= 64 ? 0 : (int64_t)((uint64_t)a >> b);
}
static int64_t i_pow(int64_t a, int64_t b) {
    if (b < 0) {
        return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
    }
    int64_t power = 1;
    for (; b > 0; b >>= 1, a = i_mul(a, a)) {
        power = b & 1 ? i_mul(power, a) : power;
    }
    return power;
}

/* A u64 exponent beyond i64 is still nonnegative and its low bits are what counts. */
static int64_t u_pow(int64_t a, int64_t b) { return i_pow(a, b & INT64_MAX); }

/* NaN wins, as in numpy. */
static double f_max(double a, double b) { return a > b || a != a ? a : b; }
static double f_min(double a, double b) { return a < b || a != a ? a : b; }
static int64_t i_max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t i_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t u_max(int64_t a, int64_t b) { return (uint64_t)a > (uint64_t)b ? a : b; }
static int64_t u_min(int64_t a, int64_t b) { return (uint64_t)a < (uint64_t)b ? a : b; }
/* A bound that is NaN is none. */
static double f_raise(double a, double b) { return a < b ? b : a; }
static double f_lower(double a, double b) { return a > b ? b : a; }

/* clang-format off */
static const binary_row rows[] = {
    FERI_REF_ROW(Add, f_add, i_add, i_add)
    FERI_REF_ROW(And, NULL, NULL, i_and)
    FERI_REF_ROW(BitShift, NULL, NULL, u_shift_right)
    FERI_REF_ROW(BitwiseAnd, NULL, i_and, i_and)
    FERI_REF_ROW(BitwiseOr, NULL, i_or, i_or)
    FERI_REF_ROW(BitwiseXor, NULL, i_xor, i_xor)
    FERI_REF_ROW(Div, f_div, i_div, u_div)
    FERI_REF_ROW(Equal, f_equal, i_equal, i_equal)
    FERI_REF_ROW(Greater, f_greater, i_greater, u_greater)
    FERI_REF_ROW(GreaterOrEqual, f_greater_equal, i_greater_equal, u_greater_equal)
    FERI_REF_ROW(Less, f_less, i_less, u_less)
    FERI_REF_ROW(LessOrEqual, f_less_equal, i_less_equal, u_less_equal)
    FERI_REF_ROW(Mod, f_mod, i_mod, u_mod)
    FERI_REF_ROW(Mul, f_mul, i_mul, i_mul)
    FERI_REF_ROW(Or, NULL, NULL, i_or)
    FERI_REF_ROW(PRelu, f_prelu, i_prelu, u_prelu)
    FERI_REF_ROW(Pow, pow, i_pow, NULL)
    FERI_REF_ROW(Sub, f_sub, i_sub, i_sub)
    FERI_REF_ROW(Xor, NULL, NULL, i_xor)
    FERI_REF_ROW(Max, f_max, i_max, u_max)
    FERI_REF_ROW(Min, f_min, i_min, u_min)
    FERI_REF_ROW(Sum, f_add, NULL, NULL)
    FERI_REF_ROW(Mean, f_add, NULL, NULL)
    FERI_REF_ROW(Clip, f_raise, i_max, u_max)
    {0}
};
/* clang-format on */

static void choose(feri_ref_call *call, binary_params *params) {
    const binary_row *row = rows;
    while (row->op != call->node->op) {
        row++;
    }
    fer_dtype a = call->in[0]->dtype;
    int is_signed = feri_ref_is_signed(a);
    params->floats = row->floats;
    if (!feri_ref_is_float(a)) {
        params->integers = is_signed ? row->signed_two : row->unsigned_two;
    }
    if (FERI_REF_IS(row->op, Pow) && call->in[1]->dtype == FER_U64 && params->integers) {
        params->integers = u_pow;
    }
    if (FERI_REF_IS(row->op, Pow) && feri_ref_is_float(call->in[1]->dtype)) {
        params->integers = NULL; /* a float exponent: through f64, truncated on store */
    }
    if (FERI_REF_IS(row->op, Mod) && feri_ref_int(call->node, "fmod", 0) != 0) {
        params->floats = fmod;
        params->integers = params->integers && is_signed ? i_rest : params->integers;
    }
    if (FERI_REF_IS(row->op, BitShift) && feri_ref_string_is(call->node, "direction", "", "LEFT")) {
        params->integers = u_shift_left;
    }
}

static fer_status bind(feri_ref_call *call) {
    binary_params *params = call->params;
    choose(call, params);
    if (!params->floats && !params->integers) { /* the op table's types rule that out */
        return feri_ref_fail(call, FER_UNSUPPORTED, "the op is not defined for this dtype");
    }
    if (FERI_REF_IS(call->node->op, BitShift) && params->integers != u_shift_left &&
        !feri_ref_string_is(call->node, "direction", "", "RIGHT")) {
        return feri_ref_fail(call, FER_INVALID_MODEL, "direction must be LEFT or RIGHT");
    }
    for (uint32_t k = 0; k < call->node->input_count && call->status == FER_OK; k++) {
        if (k > 0 && call->in[k] && FERI_REF_IS(call->node->op, Clip) && call->in[k]->count != 1) {
            return feri_ref_unfit(call);
        }
        if (k < 2 && call->in[k]) {
            (void)feri_ref_operand_init(call, &params->operands[k], call->in[k], call->out[0]);
        }
    }
    return call->status;
}

/* Operand k joins those before it. */
static void fold(feri_ref_call *call,
                 uint32_t k,
                 uint64_t count,
                 feri_ref_word *sum,
                 const feri_ref_word *next) {
    const binary_params *params = call->params;
    double (*floats)(double, double) = params->floats;
    int64_t (*integers)(int64_t, int64_t) = params->integers;
    if (k == 2 && FERI_REF_IS(call->node->op, Clip)) {
        floats = f_lower;
        integers = integers == i_max ? i_min : integers ? u_min : NULL;
    }
    for (uint64_t i = 0; integers && i < count; i++) {
        sum[i].i = integers(sum[i].i, next[i].i);
    }
    for (uint64_t i = 0; !integers && i < count; i++) {
        sum[i].f = floats(sum[i].f, next[i].f);
    }
}

static fer_status run(feri_ref_call *call) {
    const binary_params *params = call->params;
    feri_ref_tensor *out = call->out[0];
    int is_real = !params->integers;
    feri_ref_word sum[FERI_REF_CHUNK], next[FERI_REF_CHUNK];
    feri_ref_piece p = {.total = out->count};
    while (feri_ref_next(call, &p)) {
        for (uint32_t k = 0; k < call->node->input_count; k++) {
            feri_ref_operand another;
            const feri_ref_operand *operand = k < 2 ? &params->operands[k] : &another;
            if (!call->in[k]) {
                continue;
            }
            if (k >= 2 && feri_ref_operand_init(call, &another, call->in[k], out)) {
                return call->status;
            }
            feri_ref_operand_load(call, operand, call->in[k], is_real, &p, k ? next : sum);
            if (k > 0) {
                fold(call, k, p.count, sum, next);
            }
        }
        for (uint64_t i = 0; FERI_REF_IS(call->node->op, Mean) && i < p.count; i++) {
            sum[i].f /= (double)call->node->input_count;
        }
        if (is_real) { /* comparisons give bool, an integer to a float power an integer */
            call->host->store_f64(out->dtype, out->data, p.begin, p.count, &sum->f, 0);
        } else {
            call->host->store_i64(out->dtype, out->data, p.begin, p.count, &sum->i);
        }
    }
    return call->status;
}

const feri_ref_kernel feri_ref_family_binary[] = {
    {.run = run, .bind = bind, .params_bytes = sizeof(binary_params)}
};
#define BINARY(ident, revision) FERI_REF_ROW(ident, revision)
/* clang-format off */
const feri_ref_op feri_ref_ops_binary[] = {
    BINARY(Add, 14) BINARY(And, 7) BINARY(BitShift, 11) BINARY(BitwiseAnd, 18)
    BINARY(BitwiseOr, 18) BINARY(BitwiseXor, 18) BINARY(Div, 14) BINARY(Equal, 19)
    BINARY(Greater, 13) BINARY(GreaterOrEqual, 16) BINARY(Less, 13) BINARY(LessOrEqual, 16)
    BINARY(Mod, 13) BINARY(Mul, 14) BINARY(Or, 7) BINARY(PRelu, 16) BINARY(Pow, 15) BINARY(Sub, 14)
    BINARY(Xor, 7) BINARY(Max, 13) BINARY(Min, 13) BINARY(Sum, 13) BINARY(Mean, 13)
    BINARY(Clip, 13)
    FERI_REF_END
};
/* clang-format on */
