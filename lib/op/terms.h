/* SPDX-License-Identifier: Apache-2.0
 *
 * Symbol expressions of dims: a pool of hash-consed integer terms over named symbols. feri_sym is a
 * number, a term or unknown; arithmetic on it simplifies (numbers fold, sums and products are kept
 * in a canonical linear form, so that N+1-1 is N), and equal terms have equal ids. One pool per
 * root graph. Not thread-safe while growing; evaluation is.
 */
#ifndef FERI_OP_TERMS_H
#define FERI_OP_TERMS_H

#include "base/bump.h"

#define FERI_TERM_UNKNOWN UINT64_MAX

typedef struct feri_sym {
    int64_t number; /* when term is 0. Elements of float dtypes: the bits of a double */
    uint64_t term;  /* 0: number; FERI_TERM_UNKNOWN; else an id in the pool. 64 bits: no padding */
} feri_sym;

typedef struct feri_terms feri_terms;

static inline feri_sym feri_sym_number(int64_t number) { return (feri_sym){number, 0}; }
static inline feri_sym feri_sym_unknown(void) { return (feri_sym){0, FERI_TERM_UNKNOWN}; }
static inline int feri_sym_is_number(feri_sym sym) { return sym.term == 0; }
static inline int feri_sym_is_unknown(feri_sym sym) { return sym.term == FERI_TERM_UNKNOWN; }
static inline int feri_sym_equal(feri_sym a, feri_sym b) {
    return a.term == b.term && a.term != FERI_TERM_UNKNOWN && a.number == b.number;
}

fer_status feri_terms_create(feri_env *env, feri_terms **out_terms);
/* The same symbols, terms (equal ids) and requirements in a pool of its own. */
fer_status feri_terms_clone(const feri_terms *terms, feri_env *env, feri_terms **out_terms);
void feri_terms_destroy(feri_terms *terms);
/* The symbol of a name (made when new), at least min. Names are copied. A NULL name makes a fresh
 * one. */
feri_sym feri_terms_symbol(feri_terms *terms, const char *name, int64_t min);
/* Symbols are numbered 0.. in order of making; the number of a symbol's term, UINT32_MAX for other
 * terms. */
uint32_t feri_terms_symbol_count(const feri_terms *terms);
uint32_t feri_terms_symbol_index(const feri_terms *terms, feri_sym sym);
const char *feri_terms_symbol_name(const feri_terms *terms, uint32_t index);

/* Each returns unknown when an operand is unknown, on overflow of numbers, and when memory runs out
 * (see status below). Division rounds down, division by zero is unknown. broadcast(a, b): a if b is
 * 1 or equals a, b if a is 1; at evaluation anything else is an error. */
feri_sym feri_sym_add(feri_terms *terms, feri_sym a, feri_sym b);
feri_sym feri_sym_sub(feri_terms *terms, feri_sym a, feri_sym b);
feri_sym feri_sym_mul(feri_terms *terms, feri_sym a, feri_sym b);
feri_sym feri_sym_div(feri_terms *terms, feri_sym a, feri_sym b);
feri_sym feri_sym_mod(feri_terms *terms, feri_sym a, feri_sym b);
feri_sym feri_sym_min(feri_terms *terms, feri_sym a, feri_sym b);
feri_sym feri_sym_max(feri_terms *terms, feri_sym a, feri_sym b);
feri_sym feri_sym_broadcast(feri_terms *terms, feri_sym a, feri_sym b);
/* Bounds of any value the sym may take (symbols: their min to INT64_MAX). */
void feri_sym_bounds(const feri_terms *terms, feri_sym sym, int64_t *out_min, int64_t *out_max);
/* 1 true, 0 false, -1 undecided. */
int feri_sym_compare_equal(const feri_terms *terms, feri_sym a, feri_sym b);
int feri_sym_compare_less(const feri_terms *terms, feri_sym a, feri_sym b);

/* Records that a must equal b at evaluation; 0 (and nothing recorded) when they are known to
 * differ. */
int feri_terms_require_equal(feri_terms *terms, feri_sym a, feri_sym b);

/* Off (0) while inferring what may never run (branches of an If): nothing is recorded then, and
 * require_equal only answers. Returns the setting before; on at first. */
int feri_terms_set_recording(feri_terms *terms, int is_on);

/* FER_OK, or the first allocation failure since creation. */
fer_status feri_terms_status(const feri_terms *terms);

/* Evaluation: values[symbol index] for every symbol; it allocates nothing, and a term is never so
 * large that it takes long. feri_terms_check tests the recorded requirements and the symbols' least
 * values. INVALID_INPUT with a sentence when one fails, a broadcast does not fit, or a number
 * overflows. */
fer_status feri_sym_evaluate(const feri_terms *terms,
                             feri_sym sym,
                             const int64_t *values,
                             int64_t *out_number);
fer_status feri_terms_check(const feri_terms *terms, const int64_t *values);

/* "2*N+1", "7", "?": into text of capacity bytes, always terminated. */
void feri_sym_print(const feri_terms *terms, feri_sym sym, char *text, size_t capacity);

#endif
