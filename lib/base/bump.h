/* SPDX-License-Identifier: Apache-2.0
 *
 * A bump allocator: many small pieces with one life, freed at once. Graphs, parse results and
 * specialisations live in one each. Not thread-safe.
 */
#ifndef FERI_BASE_BUMP_H
#define FERI_BASE_BUMP_H

#include "base/env.h"

#include <stddef.h>

typedef struct feri_bump_block feri_bump_block;
typedef struct feri_bump {
    feri_env *env; /* borrowed */
    feri_bump_block *blocks;
    uint64_t total_bytes; /* taken from the heap */
} feri_bump;

void feri_bump_init(feri_bump *bump, feri_env *env);
/* Frees everything; bump may be used again. */
void feri_bump_finish(feri_bump *bump);
/* Zeroed, aligned to 16; NULL on failure with the error recorded. 0 bytes give a valid pointer. */
void *feri_bump_alloc(feri_bump *bump, uint64_t bytes);
void *feri_bump_array(feri_bump *bump, uint64_t count, uint64_t element_bytes);
#define FERI_BUMP_ARRAY(bump, type, count) ((type *)feri_bump_array((bump), (count), sizeof(type)))
/* An array among an object's members: where its pointer is, the size of its elements, and where the
 * uint32_t that counts them is in a struct of counts. */
typedef struct feri_array_row {
    uint16_t member;
    uint16_t element_bytes;
    uint16_t count;
} feri_array_row;
#define FERI_ARRAY_ROW(object, member, counts, count)                                              \
    { offsetof(object, member), sizeof(*((object *)NULL)->member), offsetof(counts, count) }
/* Makes all arrays of a table, in its order; those after a failure stay as they were. */
fer_status feri_bump_arrays(feri_bump *bump,
                            void *object,
                            const void *counts,
                            const feri_array_row *rows,
                            uint32_t row_count);
/* NUL-terminated copies. */
char *feri_bump_strndup(feri_bump *bump, const char *text, uint64_t length);
char *feri_bump_printf(feri_bump *bump, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The array that a pointer points to becomes a copy. */
fer_status
feri_bump_copy(feri_bump *bump, void *array_pointer, uint64_t count, size_t element_bytes);
/* A grown copy (old memory stays until finish): *capacity becomes at least needed, new elements
 * zeroed. */
fer_status feri_bump_grow(feri_bump *bump,
                          void *array_pointer,
                          uint32_t *capacity,
                          uint32_t needed,
                          size_t element_bytes);

#endif
