/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of the term pool, shared by terms.c (making) and terms_evaluate.c (bounds, values,
 * printing). Nobody else includes it.
 */
#ifndef FERI_OP_TERMS_POOL_H
#define FERI_OP_TERMS_POOL_H

#include "base/text.h"
#include "op/terms.h"

/* What would be larger is unknown. */
#define FERI_TERM_MAX_ITEMS 24
#define FERI_TERM_MAX_DEPTH 96
#define FERI_TERM_MAX_COST 4096

enum {
    FERI_TERM_SYMBOL,  /* one item, whose coefficient is the symbol's index */
    FERI_TERM_LINEAR,  /* sum of coefficient * factor */
    FERI_TERM_PRODUCT, /* product of factor ^ coefficient; term 0 is the empty one, 1 */
    FERI_TERM_DIV,     /* these have two items, (number, term) each */
    FERI_TERM_MOD,
    FERI_TERM_MIN, /* from here on they are in order of terms */
    FERI_TERM_MAX,
    FERI_TERM_BROADCAST,
    FERI_TERM_EQUAL, /* requirements: a = b */
    FERI_TERM_FITS   /* a and b broadcast */
};

/* Without padding: items are hashed and compared as bytes. */
typedef struct feri_term_item {
    int64_t coefficient;
    uint64_t term;
} feri_term_item;

typedef struct feri_term {
    uint32_t kind;
    uint32_t count;
    feri_term_item *items; /* LINEAR and PRODUCT: sorted by term */
    int64_t min;           /* INT64_MIN and INT64_MAX stand for "no bound" */
    int64_t max;
    uint32_t depth;
    uint32_t cost; /* nodes of the term written out as a tree */
} feri_term;

typedef struct feri_term_symbol {
    const char *name;
    int64_t min;
    uint32_t term;
} feri_term_symbol;

struct feri_terms {
    feri_env *env;
    feri_term *terms;
    uint32_t term_count, term_capacity;
    uint32_t *slots; /* open hash of term ids, 0 free */
    uint32_t slot_count;
    fer_status status;
    feri_term_symbol *symbols;
    uint32_t symbol_count, symbol_capacity;
    uint32_t *requirements;
    uint32_t requirement_count, requirement_capacity;
    int is_recording;
    feri_bump bump; /* items and names */
    feri_name_map names;
};

/* An item of a term of two as a sym. */
static inline feri_sym feri_term_operand(const feri_term *term, uint32_t index) {
    return (feri_sym){term->items[index].coefficient, term->items[index].term};
}

void feri_term_set_bounds(const feri_terms *terms, feri_term *term);

/* The bounds of a sum of items. */
typedef struct feri_bounds {
    int64_t min, max;
} feri_bounds;
feri_bounds
feri_linear_bounds(const feri_terms *terms, const feri_term_item *items, uint32_t count);

#endif
