/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of symbol expressions: hash-consed terms in a canonical linear form. A LINEAR term is a
 * sum of coefficient * factor, a factor being 1 (term 0), a symbol, a product of powers, or a
 * quotient, remainder, minimum, maximum or broadcast. Operands have smaller ids than what is made
 * of them. Terms are kept small (items, depth, cost), so that evaluation may recurse on hostile
 * models: what would be larger is unknown. Arithmetic is here, evaluation in terms_evaluate.c.
 */
#include "base/error.h"
#include "op/terms_pool.h"

#include <string.h>

/* A sum or a product while it is made. */
typedef struct form {
    uint32_t count;
    feri_term_item items[FERI_TERM_MAX_ITEMS];
} form;

fer_status feri_terms_create(feri_env *env, feri_terms **out_terms) {
    feri_terms *terms = feri_alloc(env, sizeof(*terms));
    if (!terms) {
        return fer_error_last()->status;
    }
    terms->env = env;
    terms->is_recording = 1;
    feri_bump_init(&terms->bump, env);
    feri_name_map_init(&terms->names, env);
    fer_status status =
        feri_grow(env, &terms->terms, &terms->term_capacity, 1, sizeof(*terms->terms));
    if (status != FER_OK) {
        feri_terms_destroy(terms);
        return status;
    }
    terms->terms[terms->term_count++] = (feri_term){.kind = FERI_TERM_PRODUCT, .min = 1, .max = 1};
    *out_terms = terms;
    return FER_OK;
}

void feri_terms_destroy(feri_terms *terms) {
    if (!terms) {
        return;
    }
    feri_env *env = terms->env;
    feri_free(env, terms->terms, (uint64_t)terms->term_capacity * sizeof(*terms->terms));
    feri_free(env, terms->slots, (uint64_t)terms->slot_count * sizeof(*terms->slots));
    feri_free(env, terms->symbols, (uint64_t)terms->symbol_capacity * sizeof(*terms->symbols));
    feri_free(env,
              terms->requirements,
              (uint64_t)terms->requirement_capacity * sizeof(*terms->requirements));
    feri_name_map_finish(&terms->names);
    feri_bump_finish(&terms->bump);
    feri_free(env, terms, sizeof(*terms));
}

/* Memory ran out: remembered, and the term is unknown. */
static uint64_t lost(feri_terms *terms) {
    if (terms->status == FER_OK) {
        terms->status = fer_error_last()->status == FER_BUDGET ? FER_BUDGET : FER_OUT_OF_MEMORY;
    }
    return FERI_TERM_UNKNOWN;
}

static feri_sym of_term(uint64_t term) { return (feri_sym){0, term}; }

fer_status feri_terms_status(const feri_terms *terms) {
    if (terms->status == FER_BUDGET) {
        return feri_fail(FER_BUDGET, "the host budget leaves no memory for dims; raise it");
    }
    return terms->status == FER_OK ? FER_OK : feri_out_of_memory(sizeof(feri_term));
}

int feri_terms_set_recording(feri_terms *terms, int is_on) {
    int before = terms->is_recording;
    terms->is_recording = is_on != 0;
    return before;
}

/* ---- interning ---- */

/* The slot of the term that is wanted, or the free one where it belongs. */
static uint32_t *find_slot(const feri_terms *terms, const feri_term *wanted) {
    uint64_t bytes = wanted->count * sizeof(*wanted->items);
    uint64_t mask = terms->slot_count - 1;
    for (uint64_t at = feri_hash(wanted->items, bytes, wanted->kind);; at++) {
        uint32_t *slot = &terms->slots[at & mask];
        const feri_term *term = &terms->terms[*slot];
        if (!*slot || (term->kind == wanted->kind && term->count == wanted->count &&
                       memcmp(term->items, wanted->items, bytes) == 0)) {
            return slot;
        }
    }
}

static int grow_slots(feri_terms *terms) {
    uint32_t *old = terms->slots;
    uint32_t old_count = terms->slot_count;
    uint32_t count = old_count ? old_count * 2 : 64;
    uint32_t *slots = feri_alloc(terms->env, (uint64_t)count * sizeof(*slots));
    if (!slots) {
        return 0;
    }
    terms->slots = slots;
    terms->slot_count = count;
    for (uint32_t id = 1; id < terms->term_count; id++) {
        *find_slot(terms, &terms->terms[id]) = id;
    }
    feri_free(terms->env, old, (uint64_t)old_count * sizeof(*slots));
    return 1;
}

/* The id of the term, made when new; UNKNOWN when it would be too large or memory is out. */
static uint64_t
intern(feri_terms *terms, uint32_t kind, uint32_t count, const feri_term_item *items) {
    feri_term term = {.kind = kind, .count = count, .items = (feri_term_item *)(uintptr_t)items};
    if (terms->term_count * 2 >= terms->slot_count && !grow_slots(terms)) {
        return lost(terms);
    }
    uint32_t *slot = find_slot(terms, &term);
    if (*slot) {
        return *slot;
    }
    for (uint32_t i = 0; i < count; i++) {
        const feri_term *part = &terms->terms[items[i].term];
        term.depth = part->depth > term.depth ? part->depth : term.depth;
        term.cost += part->cost;
    }
    term.depth++;
    term.cost++;
    if (term.depth > FERI_TERM_MAX_DEPTH || term.cost > FERI_TERM_MAX_COST) {
        return FERI_TERM_UNKNOWN;
    }
    term.items = FERI_BUMP_ARRAY(&terms->bump, feri_term_item, count);
    if (!term.items || terms->term_count >= UINT32_MAX / 4 ||
        feri_grow(terms->env,
                  &terms->terms,
                  &terms->term_capacity,
                  terms->term_count + 1,
                  sizeof(*terms->terms)) != FER_OK) {
        return lost(terms);
    }
    memcpy(term.items, items, count * sizeof(*items));
    feri_term_set_bounds(terms, &term);
    terms->terms[terms->term_count] = term;
    *slot = terms->term_count;
    return terms->term_count++;
}

/* A term of two operands, in order of terms where order does not matter. */
static uint64_t intern_pair(feri_terms *terms, uint32_t kind, feri_sym a, feri_sym b) {
    int is_turned = kind >= FERI_TERM_MIN && a.term > b.term;
    feri_term_item items[2];
    items[is_turned] = (feri_term_item){a.number, a.term};
    items[!is_turned] = (feri_term_item){b.number, b.term};
    return intern(terms, kind, 2, items);
}

/* ---- symbols ---- */

feri_sym feri_terms_symbol(feri_terms *terms, const char *name, int64_t min) {
    uint32_t index;
    if (name && feri_name_map_get(&terms->names, name, strlen(name), &index)) {
        feri_term_symbol *symbol = &terms->symbols[index];
        if (symbol->min < min) {
            symbol->min = min;
            terms->terms[symbol->term].min = min;
        }
        return of_term(symbol->term);
    }
    index = terms->symbol_count;
    feri_term_item item = {index, 0};
    const char *copy = name ? feri_bump_strndup(&terms->bump, name, strlen(name))
                            : feri_bump_printf(&terms->bump, "_%u", index);
    if (!copy || feri_grow(terms->env,
                           &terms->symbols,
                           &terms->symbol_capacity,
                           index + 1,
                           sizeof(*terms->symbols)) != FER_OK) {
        return of_term(lost(terms));
    }
    uint64_t id = intern(terms, FERI_TERM_SYMBOL, 1, &item);
    if (id == FERI_TERM_UNKNOWN) {
        return of_term(id);
    }
    terms->terms[id].min = min;
    terms->symbols[index] = (feri_term_symbol){copy, min, (uint32_t)id};
    terms->symbol_count++;
    if (name && feri_name_map_set(&terms->names, copy, strlen(copy), index) != FER_OK) {
        return of_term(lost(terms));
    }
    return of_term(id);
}

uint32_t feri_terms_symbol_count(const feri_terms *terms) { return terms->symbol_count; }

uint32_t feri_terms_symbol_index(const feri_terms *terms, feri_sym sym) {
    if (sym.term >= terms->term_count || terms->terms[sym.term].kind != FERI_TERM_SYMBOL) {
        return UINT32_MAX;
    }
    return (uint32_t)terms->terms[sym.term].items[0].coefficient;
}

const char *feri_terms_symbol_name(const feri_terms *terms, uint32_t index) {
    return index < terms->symbol_count ? terms->symbols[index].name : "?";
}

/* The same terms made in the same order have the same ids. */
static fer_status clone_into(const feri_terms *terms, feri_terms *copy) {
    FER_TRY(feri_terms_status(terms)); /* else all symbols have terms */
    for (uint32_t id = 1; id < terms->term_count; id++) {
        const feri_term *term = &terms->terms[id];
        if (term->kind == FERI_TERM_SYMBOL) {
            const feri_term_symbol *symbol = &terms->symbols[term->items[0].coefficient];
            const char *name = symbol->name;
            uint32_t named;
            int is_named = feri_name_map_get(&terms->names, name, strlen(name), &named) &&
                           terms->symbols[named].term == id;
            feri_terms_symbol(copy, is_named ? name : NULL, symbol->min);
        } else {
            intern(copy, term->kind, term->count, term->items);
        }
    }
    FER_TRY(feri_grow(copy->env,
                      &copy->requirements,
                      &copy->requirement_capacity,
                      terms->requirement_count,
                      sizeof(*copy->requirements)));
    for (; copy->requirement_count < terms->requirement_count; copy->requirement_count++) {
        copy->requirements[copy->requirement_count] = terms->requirements[copy->requirement_count];
    }
    copy->is_recording = terms->is_recording;
    return feri_terms_status(copy);
}

fer_status feri_terms_clone(const feri_terms *terms, feri_env *env, feri_terms **out_terms) {
    FER_TRY(feri_terms_create(env, out_terms));
    fer_status status = clone_into(terms, *out_terms);
    if (status != FER_OK) {
        feri_terms_destroy(*out_terms);
        *out_terms = NULL;
    }
    return status;
}

/* ---- sums ---- */

/* The sum that sym is; 0 when unknown. */
static int to_form(const feri_terms *terms, feri_sym sym, form *out) {
    if (sym.term == FERI_TERM_UNKNOWN) {
        return 0;
    }
    const feri_term *term = &terms->terms[sym.term];
    if (term->kind == FERI_TERM_LINEAR) {
        out->count = term->count;
        memcpy(out->items, term->items, term->count * sizeof(*term->items));
        return 1;
    }
    out->items[0] = (feri_term_item){sym.term ? 1 : sym.number, sym.term};
    out->count = out->items[0].coefficient != 0;
    return 1;
}

static feri_sym from_form(feri_terms *terms, const form *sum) {
    if (sum->count == 0) {
        return feri_sym_number(0);
    }
    if (sum->count == 1 && sum->items[0].term == 0) {
        return feri_sym_number(sum->items[0].coefficient);
    }
    if (sum->count == 1 && sum->items[0].coefficient == 1) {
        return of_term(sum->items[0].term);
    }
    return of_term(intern(terms, FERI_TERM_LINEAR, sum->count, sum->items));
}

/* sum += coefficient * factor, kept sorted by factor; 0 when it does not fit. */
static int add_item(form *sum, int64_t coefficient, uint64_t factor) {
    feri_term_item *at = sum->items;
    feri_term_item *end = at + sum->count;
    while (at < end && at->term < factor) {
        at++;
    }
    size_t behind = (size_t)(end - at) * sizeof(*at);
    if (at == end || at->term != factor) {
        if (sum->count == FERI_TERM_MAX_ITEMS) {
            return 0;
        }
        memmove(at + 1, at, behind);
        *at = (feri_term_item){0, factor};
        sum->count++;
        behind += sizeof(*at);
    }
    if (__builtin_add_overflow(at->coefficient, coefficient, &at->coefficient)) {
        return 0;
    }
    if (at->coefficient == 0) {
        sum->count--;
        memmove(at, at + 1, behind - sizeof(*at));
    }
    return 1;
}

/* sum += scale * other; 0 when a number overflows or it does not fit. */
static int add_form(form *sum, const form *other, int64_t scale) {
    for (uint32_t i = 0; i < other->count; i++) {
        int64_t scaled;
        if (__builtin_mul_overflow(other->items[i].coefficient, scale, &scaled) ||
            !add_item(sum, scaled, other->items[i].term)) {
            return 0;
        }
    }
    return 1;
}

/* a + scale * b; 0 when it is not known. */
static int combine(const feri_terms *terms, feri_sym a, feri_sym b, int64_t scale, form *out) {
    form right;
    return to_form(terms, a, out) && to_form(terms, b, &right) && add_form(out, &right, scale);
}

feri_sym feri_sym_add(feri_terms *terms, feri_sym a, feri_sym b) {
    form sum;
    return combine(terms, a, b, 1, &sum) ? from_form(terms, &sum) : feri_sym_unknown();
}

feri_sym feri_sym_sub(feri_terms *terms, feri_sym a, feri_sym b) {
    form sum;
    return combine(terms, a, b, -1, &sum) ? from_form(terms, &sum) : feri_sym_unknown();
}

/* ---- products ---- */

/* The powers that a factor is the product of. */
static void to_powers(const feri_terms *terms, uint64_t factor, form *out) {
    const feri_term *term = &terms->terms[factor];
    if (term->kind == FERI_TERM_PRODUCT) {
        out->count = term->count;
        if (term->count > 0) { /* a product of nothing has no items to point to */
            memcpy(out->items, term->items, term->count * sizeof(*term->items));
        }
        return;
    }
    out->count = 1;
    out->items[0] = (feri_term_item){1, factor};
}

/* The factor a * b ^ power, power being 1 or -1; UNKNOWN when there is none. */
static uint64_t multiply_factors(feri_terms *terms, uint64_t a, uint64_t b, int64_t power) {
    form powers;
    form other;
    to_powers(terms, a, &powers);
    to_powers(terms, b, &other);
    if (!add_form(&powers, &other, power)) {
        return FERI_TERM_UNKNOWN;
    }
    for (uint32_t i = 0; i < powers.count; i++) {
        if (powers.items[i].coefficient < 0 || powers.items[i].coefficient > 64) {
            return FERI_TERM_UNKNOWN;
        }
    }
    if (powers.count == 0 || (powers.count == 1 && powers.items[0].coefficient == 1)) {
        return powers.count ? powers.items[0].term : 0;
    }
    return intern(terms, FERI_TERM_PRODUCT, powers.count, powers.items);
}

feri_sym feri_sym_mul(feri_terms *terms, feri_sym a, feri_sym b) {
    /* 0 * unknown is 0: a tensor with an empty dim has no elements whatever the others are. */
    if ((a.term == 0 && a.number == 0) || (b.term == 0 && b.number == 0)) {
        return feri_sym_number(0);
    }
    form left;
    form right;
    form sum = {.count = 0};
    if (!to_form(terms, a, &left) || !to_form(terms, b, &right)) {
        return feri_sym_unknown();
    }
    for (uint32_t i = 0; i < left.count * right.count; i++) {
        feri_term_item l = left.items[i % left.count];
        feri_term_item r = right.items[i / left.count];
        uint64_t factor = multiply_factors(terms, l.term, r.term, 1);
        int64_t scaled;
        if (factor == FERI_TERM_UNKNOWN ||
            __builtin_mul_overflow(l.coefficient, r.coefficient, &scaled) ||
            !add_item(&sum, scaled, factor)) {
            return feri_sym_unknown();
        }
    }
    return from_form(terms, &sum);
}

/* ---- quotients ---- */

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t quotient = a / b;
    return quotient - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

/* sum / (coefficient * factor) when every item has it as a factor; 0 when not. */
static int divide_exactly(feri_terms *terms, const form *sum, feri_term_item by, form *out) {
    out->count = 0;
    for (uint32_t i = 0; i < sum->count; i++) {
        feri_term_item item = sum->items[i];
        if (by.coefficient == -1 || item.coefficient % by.coefficient != 0) {
            return 0;
        }
        uint64_t factor = multiply_factors(terms, item.term, by.term, -1);
        if (factor == FERI_TERM_UNKNOWN ||
            !add_item(out, item.coefficient / by.coefficient, factor)) {
            return 0;
        }
    }
    return 1;
}

/* sum = d * whole + rest, with coefficients of the rest in [0, d). 1 when rest itself is. */
static int split(const feri_terms *terms, const form *sum, int64_t d, form *whole, form *rest) {
    whole->count = 0;
    rest->count = 0;
    for (uint32_t i = 0; i < sum->count; i++) {
        feri_term_item item = sum->items[i];
        int64_t quotient = floor_div(item.coefficient, d);
        int64_t left = item.coefficient - quotient * d;
        if (quotient) {
            whole->items[whole->count++] = (feri_term_item){quotient, item.term};
        }
        if (left) {
            rest->items[rest->count++] = (feri_term_item){left, item.term};
        }
    }
    feri_bounds bounds = feri_linear_bounds(terms, rest->items, rest->count);
    return bounds.min >= 0 && bounds.max < d;
}

/* floor((d q + r) / d) = q + floor(r / d): what divides comes out. */
static feri_sym divide_by_number(feri_terms *terms, const form *sum, int64_t d) {
    form whole;
    form rest;
    int is_whole = split(terms, sum, d, &whole, &rest);
    feri_sym left = from_form(terms, &whole);
    if (is_whole) {
        return left;
    }
    feri_sym inner = from_form(terms, &rest);
    if (inner.term == FERI_TERM_UNKNOWN) {
        return inner;
    }
    const feri_term *term = &terms->terms[inner.term];
    int64_t product;
    if (term->kind == FERI_TERM_DIV && term->items[1].term == 0 &&
        !__builtin_mul_overflow(term->items[1].coefficient, d, &product)) {
        /* (x / a) / d is x / (a d) */
        inner = feri_sym_div(terms, feri_term_operand(term, 0), feri_sym_number(product));
    } else {
        inner = of_term(intern_pair(terms, FERI_TERM_DIV, inner, feri_sym_number(d)));
    }
    return feri_sym_add(terms, left, inner);
}

feri_sym feri_sym_div(feri_terms *terms, feri_sym a, feri_sym b) {
    form left;
    form right;
    form quotient;
    if (!to_form(terms, a, &left) || !to_form(terms, b, &right) || right.count == 0) {
        return feri_sym_unknown();
    }
    if (b.term == 0 && b.number > 0) {
        return divide_by_number(terms, &left, b.number);
    }
    if (b.term == 0 && a.term == 0) {
        return b.number == -1 ? feri_sym_sub(terms, feri_sym_number(0), a)
                              : feri_sym_number(floor_div(a.number, b.number));
    }
    if (b.term != 0 && right.count == 1 &&
        divide_exactly(terms, &left, right.items[0], &quotient)) {
        return from_form(terms, &quotient);
    }
    if (feri_sym_equal(a, b)) {
        return feri_sym_number(1);
    }
    return of_term(intern_pair(terms, FERI_TERM_DIV, a, b));
}

feri_sym feri_sym_mod(feri_terms *terms, feri_sym a, feri_sym b) {
    form sum;
    form whole;
    form rest;
    if (!to_form(terms, a, &sum) || b.term == FERI_TERM_UNKNOWN || (b.term == 0 && b.number == 0)) {
        return feri_sym_unknown();
    }
    if (feri_sym_equal(a, b)) {
        return feri_sym_number(0);
    }
    if (b.term == 0 && b.number > 0) {
        int is_rest = split(terms, &sum, b.number, &whole, &rest);
        a = from_form(terms, &rest);
        if (is_rest || a.term == FERI_TERM_UNKNOWN) {
            return a;
        }
    } else if (b.term == 0 && a.term == 0) {
        return feri_sym_number(
            b.number == -1 ? 0 : a.number - floor_div(a.number, b.number) * b.number);
    }
    return of_term(intern_pair(terms, FERI_TERM_MOD, a, b));
}

/* ---- order ---- */

/* The bounds of a - b. */
static feri_bounds difference(const feri_terms *terms, feri_sym a, feri_sym b) {
    form sum;
    if (a.term == 0 && b.term == 0) {
        int64_t sign = (a.number > b.number) - (a.number < b.number);
        return (feri_bounds){sign, sign};
    }
    return combine(terms, a, b, -1, &sum) ? feri_linear_bounds(terms, sum.items, sum.count)
                                          : (feri_bounds){INT64_MIN, INT64_MAX};
}

int feri_sym_compare_equal(const feri_terms *terms, feri_sym a, feri_sym b) {
    feri_bounds bounds = difference(terms, a, b);
    return bounds.min > 0 || bounds.max < 0 ? 0 : bounds.min == bounds.max ? 1 : -1;
}

int feri_sym_compare_less(const feri_terms *terms, feri_sym a, feri_sym b) {
    feri_bounds bounds = difference(terms, a, b);
    return bounds.max < 0 ? 1 : bounds.min >= 0 ? 0 : -1;
}

static feri_sym choose(feri_terms *terms, uint32_t kind, feri_sym a, feri_sym b) {
    if (a.term == FERI_TERM_UNKNOWN || b.term == FERI_TERM_UNKNOWN) {
        return feri_sym_unknown();
    }
    feri_bounds bounds = difference(terms, a, b);
    if (bounds.max <= 0) {
        return kind == FERI_TERM_MIN ? a : b;
    }
    if (bounds.min >= 0) {
        return kind == FERI_TERM_MIN ? b : a;
    }
    return of_term(intern_pair(terms, kind, a, b));
}

feri_sym feri_sym_min(feri_terms *terms, feri_sym a, feri_sym b) {
    return choose(terms, FERI_TERM_MIN, a, b);
}

feri_sym feri_sym_max(feri_terms *terms, feri_sym a, feri_sym b) {
    return choose(terms, FERI_TERM_MAX, a, b);
}

/* ---- requirements and broadcast ---- */

static int require(feri_terms *terms, uint32_t kind, feri_sym a, feri_sym b) {
    uint32_t before = terms->term_count;
    uint64_t id = terms->is_recording ? intern_pair(terms, kind, a, b) : FERI_TERM_UNKNOWN;
    if (id == FERI_TERM_UNKNOWN) {
        return 0;
    }
    if (id == before) { /* new */
        if (feri_grow(terms->env,
                      &terms->requirements,
                      &terms->requirement_capacity,
                      terms->requirement_count + 1,
                      sizeof(*terms->requirements)) != FER_OK) {
            lost(terms);
            return 0;
        }
        terms->requirements[terms->requirement_count++] = (uint32_t)id;
    }
    return 1;
}

int feri_terms_require_equal(feri_terms *terms, feri_sym a, feri_sym b) {
    if (a.term == FERI_TERM_UNKNOWN || b.term == FERI_TERM_UNKNOWN) {
        return 1;
    }
    int equal = feri_sym_compare_equal(terms, a, b);
    if (equal < 0) {
        require(terms, FERI_TERM_EQUAL, a, b);
    }
    return equal != 0;
}

/* Whether part is an operand of the broadcast that whole is. */
static int has_operand(const feri_terms *terms, feri_sym whole, feri_sym part) {
    const feri_term *term = &terms->terms[whole.term];
    return term->kind == FERI_TERM_BROADCAST && (feri_sym_equal(feri_term_operand(term, 0), part) ||
                                                 feri_sym_equal(feri_term_operand(term, 1), part));
}

feri_sym feri_sym_broadcast(feri_terms *terms, feri_sym a, feri_sym b) {
    if (a.term == 0 && a.number == 1) {
        return b;
    }
    if ((b.term == 0 && b.number == 1) || feri_sym_equal(a, b)) {
        return a;
    }
    if (a.term == FERI_TERM_UNKNOWN || b.term == FERI_TERM_UNKNOWN ||
        (a.term == 0 && b.term == 0)) {
        return feri_sym_unknown();
    }
    /* A number other than 1 is the result whatever the other is, if it fits at all. */
    if ((a.term == 0 || b.term == 0) && require(terms, FERI_TERM_FITS, a, b)) {
        return a.term == 0 ? a : b;
    }
    if (has_operand(terms, a, b)) {
        return a;
    }
    if (has_operand(terms, b, a)) {
        return b;
    }
    return of_term(intern_pair(terms, FERI_TERM_BROADCAST, a, b));
}
