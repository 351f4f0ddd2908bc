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
    FERI_TERM_SYMBOL,  /* constant: symbol index */
    FERI_TERM_LINEAR,  /* constant + sum coefficient * factor */
    FERI_TERM_PRODUCT, /* product of factor ^ coefficient */
    FERI_TERM_DIV,     /* binary ones: two items, (number, term) each */
    FERI_TERM_MOD,
    FERI_TERM_MIN,
    FERI_TERM_MAX,
    FERI_TERM_BROADCAST,
    FERI_TERM_EQUAL, /* requirements: a = b */
    FERI_TERM_FITS   /* a and b broadcast */
};

typedef struct feri_term_item {
    int64_t coefficient;
    uint32_t term;
} feri_term_item;

typedef struct feri_term {
    int32_t kind;
    uint32_t count;
    int64_t constant;
    feri_term_item *items; /* LINEAR and PRODUCT: sorted by term */
    int64_t min;
    int64_t max;
    uint32_t depth;
    uint32_t cost; /* nodes of the term written out as a tree */
} feri_term;

typedef struct feri_linear {
    int64_t constant;
    uint32_t count;
    feri_term_item items[FERI_TERM_MAX_ITEMS];
} feri_linear;

typedef struct feri_term_symbol {
    const char *name;
    int64_t min;
    uint32_t term;
} feri_term_symbol;

struct feri_terms {
    feri_env *env;
    feri_bump bump; /* items and names */
    feri_term *terms;
    uint32_t term_count, term_capacity;
    uint32_t *slots; /* open hash of term ids, 0 free */
    uint32_t slot_count;
    feri_term_symbol *symbols;
    uint32_t symbol_count, symbol_capacity;
    uint32_t *requirements;
    uint32_t requirement_count, requirement_capacity;
    feri_name_map names;
    fer_status status;
    int is_recording;
};

void feri_term_set_bounds(const feri_terms *terms, feri_term *term);
void feri_linear_bounds(const feri_terms *terms,
                        const feri_linear *form,
                        int64_t *out_min,
                        int64_t *out_max);

#endif
