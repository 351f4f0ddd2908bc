/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the term pool: bounds, values under given symbols, requirements, text, and copying a
 * pool. Recursion is bounded by FERI_TERM_MAX_DEPTH and _COST, see terms.c.
 */
#include "base/error.h"
#include "op/terms_pool.h"

#include <stdio.h>
#include <string.h>

/* ---- bounds ---- */

/* Saturating: INT64_MIN and INT64_MAX stand for "no bound". */
static int64_t add_bound(int64_t a, int64_t b) {
    int64_t sum;
    if (a == INT64_MIN || b == INT64_MIN) {
        return INT64_MIN;
    }
    if (a == INT64_MAX || b == INT64_MAX) {
        return INT64_MAX;
    }
    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

static int64_t mul_bound(int64_t a, int64_t b) {
    int64_t product;
    if (a == 0 || b == 0) {
        return 0;
    }
    int is_negative = (a < 0) != (b < 0);
    if (a == INT64_MIN || a == INT64_MAX || b == INT64_MIN || b == INT64_MAX ||
        __builtin_mul_overflow(a, b, &product)) {
        return is_negative ? INT64_MIN : INT64_MAX;
    }
    return product;
}

void feri_linear_bounds(const feri_terms *terms,
                        const feri_linear *form,
                        int64_t *out_min,
                        int64_t *out_max) {
    int64_t low = form->constant;
    int64_t high = form->constant;
    for (uint32_t i = 0; i < form->count; i++) {
        const feri_term *term = &terms->terms[form->items[i].term];
        int64_t scale = form->items[i].coefficient;
        int64_t from_min = mul_bound(term->min, scale);
        int64_t from_max = mul_bound(term->max, scale);
        low = low == INT64_MIN ? low : add_bound(low, scale > 0 ? from_min : from_max);
        high = high == INT64_MAX ? high : add_bound(high, scale > 0 ? from_max : from_min);
    }
    *out_min = low;
    *out_max = high;
}

void feri_sym_bounds(const feri_terms *terms, feri_sym sym, int64_t *out_min, int64_t *out_max) {
    if (sym.term == 0) {
        *out_min = *out_max = sym.number;
    } else if (sym.term == FERI_TERM_UNKNOWN) {
        *out_min = INT64_MIN;
        *out_max = INT64_MAX;
    } else {
        *out_min = terms->terms[sym.term].min;
        *out_max = terms->terms[sym.term].max;
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static void product_bounds(const feri_terms *terms, feri_term *term) {
    int64_t low = 1;
    int64_t high = 1;
    for (uint32_t i = 0; i < term->count; i++) {
        const feri_term *factor = &terms->terms[term->items[i].term];
        if (factor->min < 0) {
            return; /* keeps "no bound" */
        }
        for (int64_t power = 0; power < term->items[i].coefficient; power++) {
            low = mul_bound(low, factor->min);
            high = mul_bound(high, factor->max);
        }
    }
    term->min = low;
    term->max = high;
}

static void div_bounds(feri_term *term, const int64_t a[2], const int64_t b[2]) {
    if (a[0] < 0 || b[0] < 0) {
        return;
    }
    term->min = b[1] == INT64_MAX ? 0 : a[0] / most(b[1], 1);
    term->max = a[1] == INT64_MAX ? INT64_MAX : a[1] / most(b[0], 1);
}

void feri_term_set_bounds(const feri_terms *terms, feri_term *term) {
    term->min = INT64_MIN;
    term->max = INT64_MAX;
    if (term->kind == FERI_TERM_SYMBOL) {
        return; /* its maker sets min */
    }
    if (term->kind == FERI_TERM_PRODUCT) {
        product_bounds(terms, term);
        return;
    }
    if (term->kind == FERI_TERM_LINEAR) {
        feri_linear form = {.constant = term->constant, .count = term->count};
        memcpy(form.items, term->items, term->count * sizeof(*term->items));
        feri_linear_bounds(terms, &form, &term->min, &term->max);
        return;
    }
    int64_t a[2];
    int64_t b[2];
    feri_sym_bounds(
        terms, (feri_sym){term->items[0].coefficient, term->items[0].term}, &a[0], &a[1]);
    feri_sym_bounds(
        terms, (feri_sym){term->items[1].coefficient, term->items[1].term}, &b[0], &b[1]);
    switch (term->kind) {
    case FERI_TERM_DIV:
        div_bounds(term, a, b);
        break;
    case FERI_TERM_MOD:
        if (b[0] > 0) {
            term->min = 0;
            term->max = b[1] == INT64_MAX ? INT64_MAX : b[1] - 1;
        }
        break;
    case FERI_TERM_MIN:
        term->min = least(a[0], b[0]);
        term->max = least(a[1], b[1]);
        break;
    case FERI_TERM_MAX:
        term->min = most(a[0], b[0]);
        term->max = most(a[1], b[1]);
        break;
    case FERI_TERM_BROADCAST:
        term->min = a[0] >= 1 && b[0] >= 1 ? most(a[0], b[0]) : least(a[0], b[0]);
        term->max = most(a[1], b[1]);
        break;
    default:
        break;
    }
}

/* ---- values ---- */

static fer_status overflow(const feri_terms *terms, feri_sym sym) {
    char text[160];
    feri_sym_print(terms, sym, text, sizeof(text));
    return feri_fail(
        FER_INVALID_INPUT, "the dim %s overflows or divides by zero with these input dims", text);
}

/* *value *= base ^ power; 1 when it overflows. */
static int raise(int64_t *value, int64_t base, int64_t power) {
    for (int64_t i = 0; i < power; i++) {
        if (__builtin_mul_overflow(*value, base, value)) {
            return 1;
        }
    }
    return 0;
}

static fer_status evaluate_many(const feri_terms *terms,
                                const feri_term *term,
                                feri_sym sym,
                                const int64_t *values,
                                int64_t *out_number) {
    int is_sum = term->kind == FERI_TERM_LINEAR;
    int64_t total = is_sum ? term->constant : 1;
    for (uint32_t i = 0; i < term->count; i++) {
        int64_t part;
        FER_TRY(feri_sym_evaluate(terms, (feri_sym){0, term->items[i].term}, values, &part));
        int is_lost = is_sum ? __builtin_mul_overflow(part, term->items[i].coefficient, &part) ||
                                   __builtin_add_overflow(total, part, &total)
                             : raise(&total, part, term->items[i].coefficient);
        if (is_lost) {
            return overflow(terms, sym);
        }
    }
    *out_number = total;
    return FER_OK;
}

static fer_status
evaluate_two(const feri_terms *terms, feri_sym sym, int64_t a, int64_t b, int64_t *out_number) {
    switch (terms->terms[sym.term].kind) {
    case FERI_TERM_DIV:
    case FERI_TERM_MOD: {
        if (b == 0 || (a == INT64_MIN && b == -1)) {
            return overflow(terms, sym);
        }
        int64_t quotient = a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
        *out_number = terms->terms[sym.term].kind == FERI_TERM_DIV ? quotient : a - quotient * b;
        return FER_OK;
    }
    case FERI_TERM_MIN:
        *out_number = least(a, b);
        return FER_OK;
    case FERI_TERM_MAX:
        *out_number = most(a, b);
        return FER_OK;
    default:
        break;
    }
    if (a != b && a != 1 && b != 1) {
        char text[160];
        feri_sym_print(terms, sym, text, sizeof(text));
        return feri_fail(FER_INVALID_INPUT,
                         "dims %lld and %lld do not broadcast (%s): they must be equal or one of "
                         "them 1",
                         (long long)a,
                         (long long)b,
                         text);
    }
    *out_number = a == 1 ? b : a;
    return FER_OK;
}

fer_status feri_sym_evaluate(const feri_terms *terms,
                             feri_sym sym,
                             const int64_t *values,
                             int64_t *out_number) {
    if (sym.term == 0) {
        *out_number = sym.number;
        return FER_OK;
    }
    if (sym.term == FERI_TERM_UNKNOWN) {
        return feri_fail(FER_INVALID_INPUT, "a dim is not known before the run");
    }
    const feri_term *term = &terms->terms[sym.term];
    if (term->kind == FERI_TERM_SYMBOL) {
        *out_number = values[term->constant];
        return FER_OK;
    }
    if (term->kind == FERI_TERM_LINEAR || term->kind == FERI_TERM_PRODUCT) {
        return evaluate_many(terms, term, sym, values, out_number);
    }
    int64_t a;
    int64_t b;
    const feri_term_item *items = term->items;
    FER_TRY(feri_sym_evaluate(terms, (feri_sym){items[0].coefficient, items[0].term}, values, &a));
    FER_TRY(feri_sym_evaluate(terms, (feri_sym){items[1].coefficient, items[1].term}, values, &b));
    return evaluate_two(terms, sym, a, b, out_number);
}

static fer_status check_one(const feri_terms *terms, uint32_t id, const int64_t *values) {
    const feri_term_item *items = terms->terms[id].items;
    feri_sym left = {items[0].coefficient, items[0].term};
    feri_sym right = {items[1].coefficient, items[1].term};
    int64_t a;
    int64_t b;
    FER_TRY(feri_sym_evaluate(terms, left, values, &a));
    FER_TRY(feri_sym_evaluate(terms, right, values, &b));
    int is_equal = terms->terms[id].kind == FERI_TERM_EQUAL;
    if (a == b || (!is_equal && (a == 1 || b == 1))) {
        return FER_OK;
    }
    char a_text[120];
    char b_text[120];
    feri_sym_print(terms, left, a_text, sizeof(a_text));
    feri_sym_print(terms, right, b_text, sizeof(b_text));
    return feri_fail(FER_INVALID_INPUT,
                     "dims %s = %lld and %s = %lld must %s: give inputs whose dims fit each other",
                     a_text,
                     (long long)a,
                     b_text,
                     (long long)b,
                     is_equal ? "be equal" : "be equal or one of them 1");
}

fer_status feri_terms_check(const feri_terms *terms, const int64_t *values) {
    for (uint32_t i = 0; i < terms->symbol_count; i++) {
        if (values[i] < terms->symbols[i].min) {
            return feri_fail(FER_INVALID_INPUT,
                             "dim %s is %lld, it must be at least %lld",
                             terms->symbols[i].name,
                             (long long)values[i],
                             (long long)terms->symbols[i].min);
        }
    }
    for (uint32_t i = 0; i < terms->requirement_count; i++) {
        FER_TRY(check_one(terms, terms->requirements[i], values));
    }
    return FER_OK;
}

/* ---- text ---- */

typedef struct printer {
    const feri_terms *terms;
    char *text;
    size_t capacity;
    size_t length;
} printer;

static void put(printer *out, const char *piece) {
    size_t length = strlen(piece);
    if (out->length + 1 < out->capacity) {
        size_t room = out->capacity - out->length - 1;
        memcpy(out->text + out->length, piece, length < room ? length : room);
        out->text[out->length + (length < room ? length : room)] = '\0';
    }
    out->length += length;
}

static void put_number(printer *out, int64_t number) {
    char digits[24];
    snprintf(digits, sizeof(digits), "%lld", (long long)number);
    put(out, digits);
}

static void put_sym(printer *out, feri_sym sym);

static void put_linear(printer *out, const feri_term *term) {
    for (uint32_t i = 0; i < term->count; i++) {
        int64_t scale = term->items[i].coefficient;
        if (i > 0 && scale >= 0) {
            put(out, "+");
        }
        if (scale == -1) {
            put(out, "-");
        } else if (scale != 1) {
            put_number(out, scale);
            put(out, "*");
        }
        put_sym(out, (feri_sym){0, term->items[i].term});
    }
    if (term->constant > 0) {
        put(out, "+");
    }
    if (term->constant != 0) {
        put_number(out, term->constant);
    }
}

static void put_product(printer *out, const feri_term *term) {
    for (uint32_t i = 0; i < term->count; i++) {
        for (int64_t power = 0; power < term->items[i].coefficient; power++) {
            put(out, i > 0 || power > 0 ? "*" : "");
            put_sym(out, (feri_sym){0, term->items[i].term});
        }
    }
}

static void put_sym(printer *out, feri_sym sym) {
    static const char *const names[] = {
        "", "", "", "div", "mod", "min", "max", "broadcast", "equal", "fits"};
    if (out->length >= out->capacity) {
        return;
    }
    if (sym.term == 0) {
        put_number(out, sym.number);
        return;
    }
    if (sym.term == FERI_TERM_UNKNOWN || sym.term >= out->terms->term_count) {
        put(out, "?");
        return;
    }
    const feri_term *term = &out->terms->terms[sym.term];
    switch (term->kind) {
    case FERI_TERM_SYMBOL:
        put(out, out->terms->symbols[term->constant].name);
        break;
    case FERI_TERM_LINEAR:
        put_linear(out, term);
        break;
    case FERI_TERM_PRODUCT:
        put_product(out, term);
        break;
    default:
        put(out, names[term->kind]);
        put(out, "(");
        put_sym(out, (feri_sym){term->items[0].coefficient, term->items[0].term});
        put(out, ", ");
        put_sym(out, (feri_sym){term->items[1].coefficient, term->items[1].term});
        put(out, ")");
        break;
    }
}

void feri_sym_print(const feri_terms *terms, feri_sym sym, char *text, size_t capacity) {
    if (capacity == 0) {
        return;
    }
    text[0] = '\0';
    printer out = {terms, text, capacity, 0};
    put_sym(&out, sym);
}

/* ---- copying ---- */

static fer_status
copy_array(feri_env *env, void *out_pointer, const void *source, uint64_t count, size_t size) {
    void *copy = feri_alloc(env, count * size);
    if (!copy) {
        return fer_error_last()->status;
    }
    if (source) {
        memcpy(copy, source, count * size);
    }
    memcpy(out_pointer, &copy, sizeof(copy));
    return FER_OK;
}

static fer_status clone_into(const feri_terms *terms, feri_env *env, feri_terms *copy) {
    FER_TRY(
        copy_array(env, &copy->terms, terms->terms, terms->term_capacity, sizeof(*terms->terms)));
    copy->term_count = terms->term_count;
    copy->term_capacity = terms->term_capacity;
    for (uint32_t i = 1; i < copy->term_count; i++) {
        feri_term *term = &copy->terms[i];
        if (term->count) {
            feri_term_item *items = FERI_BUMP_ARRAY(&copy->bump, feri_term_item, term->count);
            if (!items) {
                return fer_error_last()->status;
            }
            memcpy(items, term->items, term->count * sizeof(*items));
            term->items = items;
        }
    }
    FER_TRY(copy_array(env, &copy->slots, terms->slots, terms->slot_count, sizeof(*terms->slots)));
    copy->slot_count = terms->slot_count;
    FER_TRY(copy_array(
        env, &copy->symbols, terms->symbols, terms->symbol_capacity, sizeof(*terms->symbols)));
    copy->symbol_capacity = terms->symbol_capacity;
    for (uint32_t i = 0; i < terms->symbol_count; i++) {
        const char *name = terms->symbols[i].name;
        char *name_copy = feri_bump_strndup(&copy->bump, name, strlen(name));
        if (!name_copy) {
            return fer_error_last()->status;
        }
        copy->symbols[i].name = name_copy;
        uint32_t named;
        if (feri_name_map_get(&terms->names, name, strlen(name), &named) && named == i) {
            FER_TRY(feri_name_map_set(&copy->names, name_copy, strlen(name_copy), i));
        }
    }
    copy->symbol_count = terms->symbol_count;
    FER_TRY(copy_array(env,
                       &copy->requirements,
                       terms->requirements,
                       terms->requirement_capacity,
                       sizeof(*terms->requirements)));
    copy->requirement_count = terms->requirement_count;
    copy->requirement_capacity = terms->requirement_capacity;
    copy->is_recording = terms->is_recording;
    return FER_OK;
}

fer_status feri_terms_clone(const feri_terms *terms, feri_env *env, feri_terms **out_terms) {
    feri_terms *copy = NULL;
    FER_TRY(feri_terms_create(env, &copy));
    fer_status status = clone_into(terms, env, copy);
    if (status != FER_OK) {
        feri_terms_destroy(copy);
        return status;
    }
    *out_terms = copy;
    return FER_OK;
}
