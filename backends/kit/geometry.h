/* SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic of shapes that every backend needs: bits of a dtype, dims with their run-time
 * values, axes, strides, and walks over several operands in step. Pure functions over the caller's
 * memory; nothing allocates or fails with a message. Functions named _fits or returning int answer
 * 1 for yes, 0 for no. Called by backends; needs backend.h alone.
 */
#ifndef FERI_KIT_GEOMETRY_H
#define FERI_KIT_GEOMETRY_H

#include "ferrule/backend.h"

enum {
    FERI_KIT_NONE = 0, /* unknown numbers and strings */
    FERI_KIT_FLOAT = 1,
    FERI_KIT_SIGNED = 2,
    FERI_KIT_UNSIGNED = 3,
    FERI_KIT_BOOL = 4,
    FERI_KIT_COMPLEX = 5
};
/* Bits per element; 0 for strings and unknown numbers. */
uint32_t feri_kit_bits(fer_dtype dtype);
/* FERI_KIT_... */
uint32_t feri_kit_class(fer_dtype dtype);
/* Bytes of count dense elements, rounded up to whole bytes; UINT64_MAX when that overflows. */
uint64_t feri_kit_bytes(fer_dtype dtype, uint64_t count);

/* A value's dims at run time and their product. dim_values holds dim_count entries. 0 when a slot
 * is not there, a value lies outside its bounds, or the element count overflows. */
int feri_kit_resolve_dims(const fer_value_view *value,
                          const int64_t *dim_values,
                          uint32_t dim_count,
                          int64_t *out_dims,
                          uint64_t *out_count);
/* Product of dims (each >= 0); 0 (the answer) when it exceeds INT64_MAX. */
int feri_kit_count(uint32_t rank, const int64_t *dims, uint64_t *out_count);
/* axis in [-rank, rank) made non-negative. */
int feri_kit_axis(int64_t axis, uint32_t rank, uint32_t *out_axis);
/* Row-major strides in elements. */
void feri_kit_strides(uint32_t rank, const int64_t *dims, int64_t *out_strides);
/* Product of dims[begin, end). The whole product is known to fit. */
int64_t feri_kit_span(const int64_t *dims, uint32_t begin, uint32_t end);

/* A nest of loops over up to four operands in step, in row-major order of the walked dims. Dims of
 * 1 are dropped and neighbours merged where all operands allow it, so that the inner dim is long.
 *
 *     feri_kit_cursor at;
 *     if (feri_kit_walk_begin(&walk, &at)) {
 *         do {
 *             for (int64_t i = 0; i < walk.inner; i++) { ... at.offset[k] + i * walk.step[k] ... }
 *         } while (feri_kit_walk_next(&walk, &at));
 *     }
 */
#define FERI_KIT_OPERANDS 4
typedef struct feri_kit_walk {
    uint32_t outer_rank;
    uint32_t operand_count;
    int64_t inner;                   /* elements of one row, >= 1 unless empty */
    int64_t step[FERI_KIT_OPERANDS]; /* element stride inside a row */
    int64_t dims[FER_MAX_RANK];      /* outer dims, outermost first */
    int64_t strides[FERI_KIT_OPERANDS][FER_MAX_RANK];
    uint32_t is_empty;
    uint32_t reserved;
} feri_kit_walk;
typedef struct feri_kit_cursor {
    int64_t index[FER_MAX_RANK];
    int64_t offset[FERI_KIT_OPERANDS]; /* in elements */
} feri_kit_cursor;

/* strides[k] has rank entries, in elements, perhaps 0 or negative. */
void feri_kit_walk_init(feri_kit_walk *walk,
                        uint32_t rank,
                        const int64_t *dims,
                        uint32_t operand_count,
                        const int64_t *const *strides);
/* Strides that read a dense operand broadcast to dims (numpy's rule, aligned at the right); 0 when
 * it does not fit. */
int feri_kit_broadcast_strides(uint32_t rank,
                               const int64_t *dims,
                               uint32_t operand_rank,
                               const int64_t *operand_dims,
                               int64_t *out_strides);
/* Puts the cursor on the first row (offsets 0); 0 when there is none. */
int feri_kit_walk_begin(const feri_kit_walk *walk, feri_kit_cursor *out_cursor);
/* Moves to the next row; 0 after the last. */
int feri_kit_walk_next(const feri_kit_walk *walk, feri_kit_cursor *cursor);

#endif
