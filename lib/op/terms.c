/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of symbol expressions: hash-consed terms in a canonical linear form. A LINEAR term is
 * constant + sum of coefficient * factor, a factor being a symbol, a product of powers, or a
 * quotient, remainder, minimum, maximum or broadcast. Operands have smaller ids than what is made
 * of them. Terms are kept small (items, depth, cost), so that evaluation may recurse on hostile
 * models: what would be larger is unknown. Arithmetic is here, evaluation in terms_evaluate.c.
 */
#include "base/error.h"
#include "op/terms_pool.h"

#include <string.h>

fer_status feri_terms_create(feri_env *env, feri_terms **out_terms) {
    feri_terms *terms = feri_alloc(env, sizeof(*terms));
    if (!terms) {
        return fer_error_last()->status;
    }
    terms->env = env;
    terms->is_recording = 1;
    terms->term_count = 1; /* id 0 is "a number" */
    feri_bump_init(&terms->bump, env);
    feri_name_map_init(&terms->names, env);
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

static feri_sym lost(feri_terms *terms) {
    if (terms->status == FER_OK) {
        terms->status = fer_error_last()->status == FER_BUDGET ? FER_BUDGET : FER_OUT_OF_MEMORY;
    }
    return feri_sym_unknown();
}

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

static uint64_t
hash_term(int32_t kind, int64_t constant, uint32_t count, const feri_term_item *items) {
    uint64_t hash = feri_hash(&constant, sizeof(constant), (uint64_t)(uint32_t)kind);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t pair[2] = {(uint64_t)items[i].coefficient, items[i].term};
        hash = feri_hash(pair, sizeof(pair), hash);
    }
    return hash;
}

static int is_same(const feri_term *term,
                   int32_t kind,
                   int64_t constant,
                   uint32_t count,
                   const feri_term_item *items) {
    if (term->kind != kind || term->constant != constant || term->count != count) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (term->items[i].coefficient != items[i].coefficient ||
            term->items[i].term != items[i].term) {
            return 0;
        }
    }
    return 1;
}

static void put_slot(uint32_t *slots, uint32_t slot_count, uint64_t hash, uint32_t id) {
    uint64_t at = hash & (slot_count - 1);
    while (slots[at]) {
        at = (at + 1) & (slot_count - 1);
    }
    slots[at] = id;
}

static int grow_slots(feri_terms *terms, uint32_t slot_count) {
    uint32_t *slots = feri_alloc(terms->env, (uint64_t)slot_count * sizeof(*slots));
    if (!slots) {
        return 0;
    }
    for (uint32_t id = 1; id < terms->term_count; id++) {
        const feri_term *term = &terms->terms[id];
        put_slot(
            slots, slot_count, hash_term(term->kind, term->constant, term->count, term->items), id);
    }
    feri_free(terms->env, terms->slots, (uint64_t)terms->slot_count * sizeof(*slots));
    terms->slots = slots;
    terms->slot_count = slot_count;
    return 1;
}

/* The id of the term, made when new; 0 when memory is out, UNKNOWN when it would be too large.
 * *out_is_new may be NULL. */
static uint32_t intern(feri_terms *terms,
                       int32_t kind,
                       int64_t constant,
                       uint32_t count,
                       const feri_term_item *items,
                       int *out_is_new) {
    uint64_t hash = hash_term(kind, constant, count, items);
    if (terms->slot_count) {
        uint64_t at = hash & (terms->slot_count - 1);
        for (; terms->slots[at]; at = (at + 1) & (terms->slot_count - 1)) {
            if (is_same(&terms->terms[terms->slots[at]], kind, constant, count, items)) {
                return terms->slots[at];
            }
        }
    }
    uint32_t depth = 0;
    uint32_t cost = 1;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].term) {
            const feri_term *part = &terms->terms[items[i].term];
            depth = part->depth > depth ? part->depth : depth;
            cost += part->cost;
        }
    }
    if (depth + 1 > FERI_TERM_MAX_DEPTH || cost > FERI_TERM_MAX_COST) {
        return FERI_TERM_UNKNOWN;
    }
    if (terms->term_count >= FERI_TERM_UNKNOWN / 4) {
        return 0;
    }
    if (feri_grow(terms->env,
                  &terms->terms,
                  &terms->term_capacity,
                  terms->term_count + 1,
                  sizeof(*terms->terms)) != FER_OK) {
        return 0;
    }
    if (terms->term_count * 2 >= terms->slot_count &&
        !grow_slots(terms, terms->slot_count ? terms->slot_count * 2 : 64)) {
        return 0;
    }
    feri_term *term = &terms->terms[terms->term_count];
    *term = (feri_term){
        .kind = kind, .count = count, .constant = constant, .depth = depth + 1, .cost = cost};
    if (count) {
        term->items = FERI_BUMP_ARRAY(&terms->bump, feri_term_item, count);
        if (!term->items) {
            return 0;
        }
        memcpy(term->items, items, count * sizeof(*items));
    }
    feri_term_set_bounds(terms, term);
    put_slot(terms->slots, terms->slot_count, hash, terms->term_count);
    if (out_is_new) {
        *out_is_new = 1;
    }
    return terms->term_count++;
}

static feri_sym made(feri_terms *terms, uint32_t id) {
    if (id == 0) {
        return lost(terms);
    }
    return (feri_sym){0, id};
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
        return (feri_sym){0, symbol->term};
    }
    index = terms->symbol_count;
    if (feri_grow(terms->env,
                  &terms->symbols,
                  &terms->symbol_capacity,
                  index + 1,
                  sizeof(*terms->symbols)) != FER_OK) {
        return lost(terms);
    }
    const char *copy = name ? feri_bump_strndup(&terms->bump, name, strlen(name))
                            : feri_bump_printf(&terms->bump, "_%u", index);
    if (!copy || (name && feri_name_map_set(&terms->names, copy, strlen(copy), index) != FER_OK)) {
        return lost(terms);
    }
    terms->symbols[index] = (feri_term_symbol){copy, min, 0};
    uint32_t id = intern(terms, FERI_TERM_SYMBOL, index, 0, /*items=*/NULL, /*out_is_new=*/NULL);
    if (!id) {
        /* The name stays bound to an index that was never counted: forget it by counting it. */
        terms->symbols[index].term = FERI_TERM_UNKNOWN;
        terms->symbol_count++;
        return lost(terms);
    }
    terms->symbols[index].term = id;
    terms->terms[id].min = min;
    terms->symbol_count++;
    return (feri_sym){0, id};
}

uint32_t feri_terms_symbol_count(const feri_terms *terms) { return terms->symbol_count; }

uint32_t feri_terms_symbol_index(const feri_terms *terms, feri_sym sym) {
    if (sym.term == 0 || sym.term >= terms->term_count ||
        terms->terms[sym.term].kind != FERI_TERM_SYMBOL) {
        return UINT32_MAX;
    }
    return (uint32_t)terms->terms[sym.term].constant;
}

const char *feri_terms_symbol_name(const feri_terms *terms, uint32_t index) {
    return index < terms->symbol_count ? terms->symbols[index].name : "?";
}

/* ---- linear forms ---- */

/* The linear form of sym; 0 when unknown. */
static int to_linear(const feri_terms *terms, feri_sym sym, feri_linear *out) {
    out->constant = 0;
    out->count = 0;
    if (sym.term == FERI_TERM_UNKNOWN) {
        return 0;
    }
    if (sym.term == 0) {
        out->constant = sym.number;
        return 1;
    }
    const feri_term *term = &terms->terms[sym.term];
    if (term->kind == FERI_TERM_LINEAR) {
        out->constant = term->constant;
        out->count = term->count;
        memcpy(out->items, term->items, term->count * sizeof(*term->items));
        return 1;
    }
    out->count = 1;
    out->items[0] = (feri_term_item){1, sym.term};
    return 1;
}

static feri_sym from_linear(feri_terms *terms, const feri_linear *form) {
    if (form->count == 0) {
        return feri_sym_number(form->constant);
    }
    if (form->count == 1 && form->constant == 0 && form->items[0].coefficient == 1) {
        return (feri_sym){0, form->items[0].term};
    }
    return made(terms,
                intern(terms,
                       FERI_TERM_LINEAR,
                       form->constant,
                       form->count,
                       form->items,
                       /*out_is_new=*/NULL));
}

/* form += scale * coefficient * factor, kept sorted by factor; 0 when it does not fit. */
static int linear_add_item(feri_linear *form, int64_t scaled, uint32_t factor) {
    uint32_t at = 0;
    while (at < form->count && form->items[at].term < factor) {
        at++;
    }
    if (at < form->count && form->items[at].term == factor) {
        int64_t sum;
        if (__builtin_add_overflow(form->items[at].coefficient, scaled, &sum)) {
            return 0;
        }
        form->items[at].coefficient = sum;
        if (sum == 0) {
            form->count--;
            memmove(&form->items[at],
                    &form->items[at + 1],
                    (form->count - at) * sizeof(form->items[0]));
        }
        return 1;
    }
    if (scaled == 0) {
        return 1;
    }
    if (form->count == FERI_TERM_MAX_ITEMS) {
        return 0;
    }
    memmove(&form->items[at + 1], &form->items[at], (form->count - at) * sizeof(form->items[0]));
    form->items[at] = (feri_term_item){scaled, factor};
    form->count++;
    return 1;
}

/* form += scale * other; 0 when a number overflows or it does not fit. */
static int linear_add(feri_linear *form, const feri_linear *other, int64_t scale) {
    int64_t scaled;
    if (__builtin_mul_overflow(other->constant, scale, &scaled) ||
        __builtin_add_overflow(form->constant, scaled, &form->constant)) {
        return 0;
    }
    for (uint32_t i = 0; i < other->count; i++) {
        if (__builtin_mul_overflow(other->items[i].coefficient, scale, &scaled) ||
            !linear_add_item(form, scaled, other->items[i].term)) {
            return 0;
        }
    }
    return 1;
}

static int linear_difference(const feri_terms *terms, feri_sym a, feri_sym b, feri_linear *out) {
    feri_linear right;
    return to_linear(terms, a, out) && to_linear(terms, b, &right) &&
           linear_add(out, &right, /*scale=*/-1);
}

static feri_sym add_scaled(feri_terms *terms, feri_sym a, feri_sym b, int64_t scale) {
    feri_linear left;
    feri_linear right;
    if (!to_linear(terms, a, &left) || !to_linear(terms, b, &right) ||
        !linear_add(&left, &right, scale)) {
        return feri_sym_unknown();
    }
    return from_linear(terms, &left);
}

feri_sym feri_sym_add(feri_terms *terms, feri_sym a, feri_sym b) {
    return add_scaled(terms, a, b, /*scale=*/1);
}

feri_sym feri_sym_sub(feri_terms *terms, feri_sym a, feri_sym b) {
    return add_scaled(terms, a, b, /*scale=*/-1);
}

/* ---- products ---- */

/* The powers of a factor: {1, factor} unless it is a product. */
static uint32_t to_powers(const feri_terms *terms, uint32_t factor, feri_term_item *out) {
    const feri_term *term = &terms->terms[factor];
    if (term->kind == FERI_TERM_PRODUCT) {
        memcpy(out, term->items, term->count * sizeof(*out));
        return term->count;
    }
    out[0] = (feri_term_item){1, factor};
    return 1;
}

/* The factor a * b; 0 out of memory, UNKNOWN too large. */
static uint32_t multiply_factors(feri_terms *terms, uint32_t a, uint32_t b) {
    feri_linear powers = {0};
    feri_term_item extra[FERI_TERM_MAX_ITEMS];
    powers.count = to_powers(terms, a, powers.items);
    uint32_t extra_count = to_powers(terms, b, extra);
    for (uint32_t i = 0; i < extra_count; i++) {
        if (!linear_add_item(&powers, extra[i].coefficient, extra[i].term)) {
            return FERI_TERM_UNKNOWN;
        }
    }
    for (uint32_t i = 0; i < powers.count; i++) {
        if (powers.items[i].coefficient > 64) {
            return FERI_TERM_UNKNOWN;
        }
    }
    return intern(terms,
                  FERI_TERM_PRODUCT,
                  /*constant=*/0,
                  powers.count,
                  powers.items,
                  /*out_is_new=*/NULL);
}

static feri_sym multiply_linear(feri_terms *terms, const feri_linear *a, const feri_linear *b) {
    feri_linear sum = {0};
    if (!linear_add(&sum, a, b->constant)) {
        return feri_sym_unknown();
    }
    for (uint32_t j = 0; j < b->count; j++) {
        int64_t scaled;
        if (__builtin_mul_overflow(a->constant, b->items[j].coefficient, &scaled) ||
            !linear_add_item(&sum, scaled, b->items[j].term)) {
            return feri_sym_unknown();
        }
        for (uint32_t i = 0; i < a->count; i++) {
            uint32_t factor = multiply_factors(terms, a->items[i].term, b->items[j].term);
            if (factor == 0) {
                return lost(terms);
            }
            if (factor == FERI_TERM_UNKNOWN ||
                __builtin_mul_overflow(a->items[i].coefficient, b->items[j].coefficient, &scaled) ||
                !linear_add_item(&sum, scaled, factor)) {
                return feri_sym_unknown();
            }
        }
    }
    return from_linear(terms, &sum);
}

feri_sym feri_sym_mul(feri_terms *terms, feri_sym a, feri_sym b) {
    /* 0 * unknown is 0: a tensor with an empty dim has no elements whatever the others are. */
    if ((a.term == 0 && a.number == 0) || (b.term == 0 && b.number == 0)) {
        return feri_sym_number(0);
    }
    feri_linear left;
    feri_linear right;
    if (!to_linear(terms, a, &left) || !to_linear(terms, b, &right)) {
        return feri_sym_unknown();
    }
    return multiply_linear(terms, &left, &right);
}

/* ---- quotients ---- */

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t quotient = a / b;
    return quotient - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

static feri_sym binary(feri_terms *terms, int32_t kind, feri_sym a, feri_sym b) {
    feri_term_item items[2] = {
        {a.number, a.term},
        {b.number, b.term}
    };
    return made(terms, intern(terms, kind, /*constant=*/0, 2, items, /*out_is_new=*/NULL));
}

/* form / (coefficient * factor) when every item has it as a factor; 0 when not. */
static int
divide_exactly(feri_terms *terms, const feri_linear *form, feri_term_item by, feri_linear *out) {
    feri_term_item divisor[FERI_TERM_MAX_ITEMS];
    uint32_t divisor_count = to_powers(terms, by.term, divisor);
    *out = (feri_linear){0};
    if (form->constant != 0) {
        return 0;
    }
    for (uint32_t i = 0; i < form->count; i++) {
        if (by.coefficient == -1 || form->items[i].coefficient % by.coefficient != 0) {
            return 0;
        }
        int64_t coefficient = form->items[i].coefficient / by.coefficient;
        feri_linear powers = {0};
        powers.count = to_powers(terms, form->items[i].term, powers.items);
        for (uint32_t j = 0; j < divisor_count; j++) {
            if (!linear_add_item(&powers, -divisor[j].coefficient, divisor[j].term)) {
                return 0;
            }
        }
        for (uint32_t j = 0; j < powers.count; j++) {
            if (powers.items[j].coefficient < 0) {
                return 0;
            }
        }
        if (powers.count == 0) {
            if (__builtin_add_overflow(out->constant, coefficient, &out->constant)) {
                return 0;
            }
            continue;
        }
        uint32_t factor = powers.items[0].term;
        if (powers.count > 1 || powers.items[0].coefficient != 1) {
            factor = intern(terms,
                            FERI_TERM_PRODUCT,
                            /*constant=*/0,
                            powers.count,
                            powers.items,
                            /*out_is_new=*/NULL);
        }
        if (factor == 0 || factor == FERI_TERM_UNKNOWN ||
            !linear_add_item(out, coefficient, factor)) {
            return 0;
        }
    }
    return 1;
}

/* floor((d q + r) / d) = q + floor(r / d): what divides comes out. */
static feri_sym divide_by_number(feri_terms *terms, const feri_linear *form, int64_t d) {
    feri_linear whole = {.constant = floor_div(form->constant, d)};
    feri_linear rest = {.constant = form->constant - whole.constant * d};
    for (uint32_t i = 0; i < form->count; i++) {
        feri_term_item item = form->items[i];
        feri_linear *side = item.coefficient % d == 0 ? &whole : &rest;
        item.coefficient = side == &whole ? item.coefficient / d : item.coefficient;
        side->items[side->count++] = item;
    }
    feri_sym left = from_linear(terms, &whole);
    int64_t low;
    int64_t high;
    feri_linear_bounds(terms, &rest, &low, &high);
    if (rest.count == 0 || (low >= 0 && high < d)) {
        return left;
    }
    feri_sym inner = from_linear(terms, &rest);
    if (inner.term != FERI_TERM_UNKNOWN && terms->terms[inner.term].kind == FERI_TERM_DIV &&
        terms->terms[inner.term].items[1].term == 0) {
        const feri_term *div = &terms->terms[inner.term]; /* (x / a) / d is x / (a d) */
        int64_t product;
        if (!__builtin_mul_overflow(div->items[1].coefficient, d, &product)) {
            feri_sym x = {div->items[0].coefficient, div->items[0].term};
            return feri_sym_add(terms, left, feri_sym_div(terms, x, feri_sym_number(product)));
        }
    }
    if (inner.term == FERI_TERM_UNKNOWN) {
        return inner;
    }
    return feri_sym_add(terms, left, binary(terms, FERI_TERM_DIV, inner, feri_sym_number(d)));
}

feri_sym feri_sym_div(feri_terms *terms, feri_sym a, feri_sym b) {
    feri_linear left;
    feri_linear right;
    if (!to_linear(terms, a, &left) || !to_linear(terms, b, &right)) {
        return feri_sym_unknown();
    }
    if (right.count == 0) {
        int64_t d = right.constant;
        if (d == 0 || (d == -1 && left.count == 0 && left.constant == INT64_MIN)) {
            return feri_sym_unknown();
        }
        if (left.count == 0) {
            return feri_sym_number(floor_div(left.constant, d));
        }
        return d > 0 ? divide_by_number(terms, &left, d) : binary(terms, FERI_TERM_DIV, a, b);
    }
    feri_linear quotient;
    if (right.count == 1 && right.constant == 0 &&
        divide_exactly(terms, &left, right.items[0], &quotient)) {
        return from_linear(terms, &quotient);
    }
    if (feri_sym_equal(a, b)) {
        return feri_sym_number(1);
    }
    return binary(terms, FERI_TERM_DIV, a, b);
}

feri_sym feri_sym_mod(feri_terms *terms, feri_sym a, feri_sym b) {
    feri_linear form;
    if (a.term == FERI_TERM_UNKNOWN || b.term == FERI_TERM_UNKNOWN) {
        return feri_sym_unknown();
    }
    if (b.term != 0 || b.number < 0) {
        if (b.term == 0 && a.term == 0) {
            return b.number == -1
                       ? feri_sym_number(0)
                       : feri_sym_number(a.number - floor_div(a.number, b.number) * b.number);
        }
        return feri_sym_equal(a, b) ? feri_sym_number(0) : binary(terms, FERI_TERM_MOD, a, b);
    }
    int64_t d = b.number;
    if (d == 0 || !to_linear(terms, a, &form)) {
        return feri_sym_unknown();
    }
    feri_linear rest = {.constant = form.constant - floor_div(form.constant, d) * d};
    for (uint32_t i = 0; i < form.count; i++) {
        int64_t coefficient = form.items[i].coefficient;
        coefficient -= floor_div(coefficient, d) * d;
        if (coefficient) {
            rest.items[rest.count++] = (feri_term_item){coefficient, form.items[i].term};
        }
    }
    int64_t low;
    int64_t high;
    feri_linear_bounds(terms, &rest, &low, &high);
    feri_sym inner = from_linear(terms, &rest);
    if (inner.term == FERI_TERM_UNKNOWN || inner.term == 0 || (low >= 0 && high < d)) {
        return inner;
    }
    return binary(terms, FERI_TERM_MOD, inner, b);
}

/* ---- order ---- */

int feri_sym_compare_equal(const feri_terms *terms, feri_sym a, feri_sym b) {
    feri_linear difference;
    int64_t low;
    int64_t high;
    if (feri_sym_equal(a, b)) {
        return 1;
    }
    if (!linear_difference(terms, a, b, &difference)) {
        return -1;
    }
    feri_linear_bounds(terms, &difference, &low, &high);
    if (difference.count == 0) {
        return difference.constant == 0;
    }
    return low > 0 || high < 0 ? 0 : -1;
}

int feri_sym_compare_less(const feri_terms *terms, feri_sym a, feri_sym b) {
    feri_linear difference;
    int64_t low;
    int64_t high;
    if (a.term == 0 && b.term == 0) {
        return a.number < b.number;
    }
    if (!linear_difference(terms, a, b, &difference)) {
        return -1;
    }
    feri_linear_bounds(terms, &difference, &low, &high);
    return high < 0 ? 1 : low >= 0 ? 0 : -1;
}

static feri_sym choose(feri_terms *terms, int32_t kind, feri_sym a, feri_sym b) {
    if (a.term == FERI_TERM_UNKNOWN || b.term == FERI_TERM_UNKNOWN) {
        return feri_sym_unknown();
    }
    int is_min = kind == FERI_TERM_MIN;
    if (feri_sym_compare_less(terms, b, a) == 0) { /* a <= b */
        return is_min ? a : b;
    }
    if (feri_sym_compare_less(terms, a, b) == 0) { /* b <= a */
        return is_min ? b : a;
    }
    if (a.term > b.term) {
        return binary(terms, kind, b, a);
    }
    return binary(terms, kind, a, b);
}

feri_sym feri_sym_min(feri_terms *terms, feri_sym a, feri_sym b) {
    return choose(terms, FERI_TERM_MIN, a, b);
}

feri_sym feri_sym_max(feri_terms *terms, feri_sym a, feri_sym b) {
    return choose(terms, FERI_TERM_MAX, a, b);
}

/* ---- requirements and broadcast ---- */

static int require(feri_terms *terms, int32_t kind, feri_sym a, feri_sym b) {
    if (!terms->is_recording) {
        return 0;
    }
    feri_term_item items[2] = {
        {a.number, a.term},
        {b.number, b.term}
    };
    if (a.term > b.term) {
        items[0] = (feri_term_item){b.number, b.term};
        items[1] = (feri_term_item){a.number, a.term};
    }
    int is_new = 0;
    uint32_t id = intern(terms, kind, /*constant=*/0, 2, items, &is_new);
    if (id == FERI_TERM_UNKNOWN) {
        return 0;
    }
    if (!id || (is_new && feri_grow(terms->env,
                                    &terms->requirements,
                                    &terms->requirement_capacity,
                                    terms->requirement_count + 1,
                                    sizeof(*terms->requirements)) != FER_OK)) {
        lost(terms);
        return 0;
    }
    if (is_new) {
        terms->requirements[terms->requirement_count++] = id;
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

static int has_operand(const feri_terms *terms, feri_sym whole, feri_sym part) {
    if (whole.term == 0 || terms->terms[whole.term].kind != FERI_TERM_BROADCAST) {
        return 0;
    }
    const feri_term_item *items = terms->terms[whole.term].items;
    return (items[0].term == part.term && items[0].coefficient == part.number) ||
           (items[1].term == part.term && items[1].coefficient == part.number);
}

feri_sym feri_sym_broadcast(feri_terms *terms, feri_sym a, feri_sym b) {
    if (a.term == 0 && a.number == 1) {
        return b;
    }
    if (b.term == 0 && b.number == 1) {
        return a;
    }
    if (a.term == FERI_TERM_UNKNOWN || b.term == FERI_TERM_UNKNOWN) {
        return feri_sym_unknown();
    }
    if (feri_sym_equal(a, b)) {
        return a;
    }
    if (a.term == 0 && b.term == 0) {
        return feri_sym_unknown();
    }
    /* A number other than 1 is the result whatever the other is, if it fits at all. */
    if (a.term == 0 || b.term == 0) {
        feri_sym number = a.term == 0 ? a : b;
        if (number.number != 1 && require(terms, FERI_TERM_FITS, a, b)) {
            return number;
        }
    }
    if (has_operand(terms, a, b)) {
        return a;
    }
    if (has_operand(terms, b, a)) {
        return b;
    }
    return a.term > b.term ? binary(terms, FERI_TERM_BROADCAST, b, a)
                           : binary(terms, FERI_TERM_BROADCAST, a, b);
}
