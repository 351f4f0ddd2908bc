/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays of long double that oracles compute with, and elements of every dtype as such numbers.
 * Part of case.h, which includes it.
 */
#ifndef FERRULE_CONFORM_CASE_NUMBERS_H
#define FERRULE_CONFORM_CASE_NUMBERS_H

#include "ferrule/ferrule.h"

struct trial;

/* Dense row-major. long double holds every element of 64 bits and less exactly. */
typedef struct nd {
    uint32_t rank;
    int64_t dims[FER_MAX_RANK];
    uint64_t count;
    long double *v;     /* NULL: operand left out; of complex ones 2 count numbers */
    long double *slack; /* outputs: absolute error allowed beside the ulps of the op; NULL none */
    fer_dtype dtype;    /* outputs: which it must be; 0 whatever inference says */
    int32_t kind;       /* outputs: FER_KIND_SEQUENCE, ... of items; 0 is a tensor */
    struct nd *items;   /* a map's are keys and values */
    uint32_t item_count;
} nd;

void nd_make(const struct trial *self, nd *out, uint32_t rank, const int64_t *dims);
void nd_slack(const struct trial *self, nd *out);
void nd_like(const struct trial *self, nd *out, const nd *like);
/* A sequence, optional or map of so many items, which the caller makes. */
void nd_group(const struct trial *self, nd *out, int32_t kind, uint32_t count);
uint64_t dims_count(uint32_t rank, const int64_t *dims);
/* Next index in row-major order; 0 after the last. */
int index_next(uint32_t rank, const int64_t *dims, int64_t *index);
uint64_t index_flat(uint32_t rank, const int64_t *dims, const int64_t *index);
/* index of a broadcast operand that is aligned to the right. */
uint64_t index_broadcast(uint32_t rank, const int64_t *index, const nd *operand);
int dims_broadcast(const nd *const *operands,
                   uint32_t count,
                   uint32_t *out_rank,
                   int64_t *out_dims);

long double number_get(fer_dtype dtype, const void *data, uint64_t index);
void number_set(fer_dtype dtype, void *data, uint64_t index, long double value);
int dtype_is_integer(fer_dtype dtype);
/* What a complex number is made of, twice; any other dtype itself, once. */
fer_dtype dtype_part(fer_dtype dtype, uint64_t *out_parts);
int dtype_is_signed(fer_dtype dtype);
/* Distance of neighbors at value, for float dtypes. */
long double dtype_ulp(fer_dtype dtype, long double value);
/* 2^-p: half a step at 1. */
long double dtype_unit(fer_dtype dtype);
long double dtype_most(fer_dtype dtype);
/* An integer wrapped to the dtype's width. */
__extension__ typedef __int128 wide_int;
long double wrap_to(fer_dtype dtype, wide_int value);

#endif
