/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the term pool: bounds, values under given symbols, requirements and text. Recursion is
 * bounded by FERI_TERM_MAX_DEPTH and _COST, see terms.c.
 */
#include "base/error.h"
#include "op/terms_pool.h"

#include <stdio.h>
#include <string.h>

/* ---- bounds ---- */

/* Saturating: INT64_MIN and INT64_MAX stand for "no bound". */
static int64_t add_bound(int64_t a, int64_t b) {
    int64_t sum;
    if (a == INT64_MIN || a == INT64_MAX) {
        return a;
    }
    return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? INT64_MIN : INT64_MAX) : sum;
}

static int64_t mul_bound(int64_t a, int64_t b) {
    int64_t product;
    int is_open = a == INT64_MIN || a == INT64_MAX;
    if ((__builtin_mul_overflow(a, b, &product) || is_open) && b != 0) {
        return (a < 0) != (b < 0) ? INT64_MIN : INT64_MAX;
    }
    return product;
}

feri_bounds
feri_linear_bounds(const feri_terms *terms, const feri_term_item *items, uint32_t count) {
    feri_bounds sum = {0, 0};
    for (uint32_t i = 0; i < count; i++) {
        const feri_term *term = &terms->terms[items[i].term];
        int64_t scale = items[i].coefficient;
        int64_t low = mul_bound(scale > 0 ? term->min : term->max, scale);
        int64_t high = mul_bound(scale > 0 ? term->max : term->min, scale);
        sum.min = add_bound(low, sum.min);
        sum.max = add_bound(high, sum.max);
    }
    return sum;
}

static feri_bounds bounds_of(const feri_terms *terms, feri_sym sym) {
    if (sym.term == 0) {
        return (feri_bounds){sym.number, sym.number};
    }
    if (sym.term == FERI_TERM_UNKNOWN) {
        return (feri_bounds){INT64_MIN, INT64_MAX};
    }
    return (feri_bounds){terms->terms[sym.term].min, terms->terms[sym.term].max};
}

void feri_sym_bounds(const feri_terms *terms, feri_sym sym, int64_t *out_min, int64_t *out_max) {
    feri_bounds bounds = bounds_of(terms, sym);
    *out_min = bounds.min;
    *out_max = bounds.max;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static feri_bounds product_bounds(const feri_terms *terms, const feri_term *term) {
    feri_bounds product = {1, 1};
    for (uint32_t i = 0; i < term->count; i++) {
        const feri_term *factor = &terms->terms[term->items[i].term];
        if (factor->min < 0) {
            return (feri_bounds){INT64_MIN, INT64_MAX};
        }
        for (int64_t power = 0; power < term->items[i].coefficient; power++) {
            product.min = mul_bound(factor->min, product.min);
            product.max = mul_bound(factor->max, product.max);
        }
    }
    return product;
}

static feri_bounds pair_bounds(uint32_t kind, feri_bounds a, feri_bounds b) {
    switch (kind) {
    case FERI_TERM_DIV:
        if (a.min >= 0 && b.min >= 0) {
            return (feri_bounds){a.min / most(b.max, 1),
                                 a.max == INT64_MAX ? INT64_MAX : a.max / most(b.min, 1)};
        }
        break;
    case FERI_TERM_MOD:
        if (b.min > 0) {
            return (feri_bounds){0, b.max - 1};
        }
        break;
    case FERI_TERM_MIN:
        return (feri_bounds){least(a.min, b.min), least(a.max, b.max)};
    case FERI_TERM_MAX:
        return (feri_bounds){most(a.min, b.min), most(a.max, b.max)};
    case FERI_TERM_BROADCAST:
        return (feri_bounds){least(a.min, b.min) >= 1 ? most(a.min, b.min) : least(a.min, b.min),
                             most(a.max, b.max)};
    default:
        break;
    }
    return (feri_bounds){INT64_MIN, INT64_MAX};
}

void feri_term_set_bounds(const feri_terms *terms, feri_term *term) {
    feri_bounds bounds = {INT64_MIN, INT64_MAX}; /* a symbol's maker sets its min */
    if (term->kind == FERI_TERM_LINEAR) {
        bounds = feri_linear_bounds(terms, term->items, term->count);
    } else if (term->kind == FERI_TERM_PRODUCT) {
        bounds = product_bounds(terms, term);
    } else if (term->kind >= FERI_TERM_DIV) {
        bounds = pair_bounds(term->kind,
                             bounds_of(terms, feri_term_operand(term, 0)),
                             bounds_of(terms, feri_term_operand(term, 1)));
    }
    term->min = bounds.min;
    term->max = bounds.max;
}

/* ---- values ---- */

/* The first failure is kept; values after it are 0. */
typedef struct evaluation {
    const feri_terms *terms;
    const int64_t *values;
    fer_status status;
} evaluation;

static int64_t value_of(evaluation *e, feri_sym sym);

static int64_t overflow(evaluation *e, feri_sym sym) {
    char text[160];
    if (e->status == FER_OK) {
        feri_sym_print(e->terms, sym, text, sizeof(text));
        e->status = feri_fail(FER_INVALID_INPUT,
                              "the dim %s overflows or divides by zero with these input dims",
                              text);
    }
    return 0;
}

/* The operands a and b of a term must be equal, or else broadcast. */
static void must_fit(evaluation *e, const feri_term *term, int64_t a, int64_t b) {
    int is_equal = term->kind == FERI_TERM_EQUAL;
    char a_text[120];
    char b_text[120];
    if (a == b || (!is_equal && (a == 1 || b == 1)) || e->status != FER_OK) {
        return;
    }
    feri_sym_print(e->terms, feri_term_operand(term, 0), a_text, sizeof(a_text));
    feri_sym_print(e->terms, feri_term_operand(term, 1), b_text, sizeof(b_text));
    e->status = feri_fail(FER_INVALID_INPUT,
                          "dims %s = %lld and %s = %lld must be equal%s: give inputs whose dims "
                          "fit each other",
                          a_text,
                          (long long)a,
                          b_text,
                          (long long)b,
                          is_equal ? "" : " or one of them 1");
}

static int64_t sum_of(evaluation *e, const feri_term *term, feri_sym sym) {
    int is_sum = term->kind == FERI_TERM_LINEAR;
    int64_t total = !is_sum;
    for (uint32_t i = 0; i < term->count; i++) {
        int64_t scale = term->items[i].coefficient;
        int64_t part = value_of(e, (feri_sym){1, term->items[i].term});
        int is_lost = is_sum && (__builtin_mul_overflow(part, scale, &part) ||
                                 __builtin_add_overflow(total, part, &total));
        for (; !is_sum && scale > 0; scale--) {
            is_lost |= __builtin_mul_overflow(total, part, &total);
        }
        if (is_lost) {
            return overflow(e, sym);
        }
    }
    return total;
}

static int64_t value_of(evaluation *e, feri_sym sym) {
    if (sym.term == 0) {
        return sym.number;
    }
    const feri_term *term = &e->terms->terms[sym.term];
    if (term->kind == FERI_TERM_SYMBOL) {
        return e->values[term->items[0].coefficient];
    }
    if (term->kind < FERI_TERM_DIV) {
        return sum_of(e, term, sym);
    }
    int64_t a = value_of(e, feri_term_operand(term, 0));
    int64_t b = value_of(e, feri_term_operand(term, 1));
    if (term->kind == FERI_TERM_MIN) {
        return least(a, b);
    }
    if (term->kind == FERI_TERM_MAX) {
        return most(a, b);
    }
    if (term->kind > FERI_TERM_MAX) {
        must_fit(e, term, a, b);
        return a == 1 ? b : a;
    }
    if (b == 0 || (a == INT64_MIN && b == -1)) {
        return overflow(e, sym);
    }
    int64_t rest = a % b;
    int64_t rounds = rest != 0 && (rest < 0) != (b < 0); /* towards minus infinity */
    return term->kind == FERI_TERM_DIV ? a / b - rounds : rest + rounds * b;
}

fer_status feri_sym_evaluate(const feri_terms *terms,
                             feri_sym sym,
                             const int64_t *values,
                             int64_t *out_number) {
    evaluation e = {terms, values, FER_OK};
    if (sym.term == FERI_TERM_UNKNOWN) {
        return feri_fail(FER_INVALID_INPUT, "a dim is not known before the run");
    }
    *out_number = value_of(&e, sym);
    return e.status;
}

fer_status feri_terms_check(const feri_terms *terms, const int64_t *values) {
    evaluation e = {terms, values, FER_OK};
    for (uint32_t i = 0; i < terms->symbol_count; i++) {
        if (values[i] < terms->symbols[i].min) {
            return feri_fail(FER_INVALID_INPUT,
                             "dim %s is %lld, it must be at least %lld",
                             terms->symbols[i].name,
                             (long long)values[i],
                             (long long)terms->symbols[i].min);
        }
    }
    for (uint32_t i = 0; i < terms->requirement_count && e.status == FER_OK; i++) {
        value_of(&e, (feri_sym){0, terms->requirements[i]});
    }
    return e.status;
}

/* ---- text ---- */

typedef struct printer {
    const feri_terms *terms;
    char *text;
    size_t capacity; /* what is left of it, with the terminator */
} printer;

static void put(printer *out, const char *piece) {
    while (*piece && out->capacity > 1) {
        *out->text++ = *piece++;
        out->capacity--;
    }
    *out->text = '\0';
}

static void put_number(printer *out, int64_t number) {
    char digits[24];
    snprintf(digits, sizeof(digits), "%lld", (long long)number);
    put(out, digits);
}

static void put_sym(printer *out, feri_sym sym);

/* The constant, which is the item of term 0, goes last. */
static void put_linear(printer *out, const feri_term *term) {
    uint32_t first = term->items[0].term == 0;
    for (uint32_t i = first; i < term->count; i++) {
        int64_t scale = term->items[i].coefficient;
        put(out, i > first && scale >= 0 ? "+" : "");
        if (scale == -1) {
            put(out, "-");
        } else if (scale != 1) {
            put_number(out, scale);
            put(out, "*");
        }
        put_sym(out, (feri_sym){0, term->items[i].term});
    }
    if (first) {
        put(out, term->items[0].coefficient > 0 ? "+" : "");
        put_number(out, term->items[0].coefficient);
    }
}

static void put_sym(printer *out, feri_sym sym) {
    static const char names[][10] = {"div", "mod", "min", "max", "broadcast", "equal", "fits"};
    if (out->capacity <= 1) {
        return;
    }
    if (sym.term == 0) {
        put_number(out, sym.number);
        return;
    }
    if (sym.term >= out->terms->term_count) {
        put(out, "?");
        return;
    }
    const feri_term *term = &out->terms->terms[sym.term];
    if (term->kind == FERI_TERM_SYMBOL) {
        put(out, out->terms->symbols[term->items[0].coefficient].name);
    } else if (term->kind == FERI_TERM_LINEAR) {
        put_linear(out, term);
    } else if (term->kind == FERI_TERM_PRODUCT) {
        for (uint32_t i = 0; i < term->count; i++) {
            for (int64_t power = 0; power < term->items[i].coefficient; power++) {
                put(out, i > 0 || power > 0 ? "*" : "");
                put_sym(out, (feri_sym){0, term->items[i].term});
            }
        }
    } else {
        put(out, names[term->kind - FERI_TERM_DIV]);
        put(out, "(");
        put_sym(out, feri_term_operand(term, 0));
        put(out, ", ");
        put_sym(out, feri_term_operand(term, 1));
        put(out, ")");
    }
}

void feri_sym_print(const feri_terms *terms, feri_sym sym, char *text, size_t capacity) {
    if (capacity > 0) {
        printer out = {terms, text, capacity};
        text[0] = '\0';
        put_sym(&out, sym);
    }
}
