/* SPDX-License-Identifier: Apache-2.0
 *
 * What element-wise kernels share: runs of elements of a broadcast operand in one of two compute
 * types (f64 for floats, i64 for integers and bool, u64 as its bits), single elements, and copies
 * between strided blocks by element size for kernels that only move. Called by kernels.
 */
#ifndef FERI_REF_ELEMENTS_H
#define FERI_REF_ELEMENTS_H

#include "kit/geometry.h"
#include "ref/ref_line.h"

/* How an operand broadcasts to the output: merged dims and element strides (0 where repeated). */
typedef struct feri_ref_operand {
    uint32_t rank; /* 0: dense as the output, no arithmetic needed */
    int64_t dims[FER_MAX_RANK];
    int64_t strides[FER_MAX_RANK];
} feri_ref_operand;
/* INVALID_INPUT when in does not broadcast to out's dims. */
fer_status feri_ref_operand_init(feri_ref_call *call,
                                 feri_ref_operand *operand,
                                 const feri_ref_tensor *in,
                                 const feri_ref_tensor *out);
/* Elements [begin, begin + count) of the broadcast operand; is_real: as f64, integers too. */
void feri_ref_operand_load(feri_ref_call *call,
                           const feri_ref_operand *operand,
                           const feri_ref_tensor *in,
                           int is_real,
                           const feri_ref_piece *piece,
                           feri_ref_word *out);

/* Toward zero; NaN is 0, what does not fit becomes the nearest. */
int64_t feri_ref_to_i64(double value);
/* Element at of indices as an index into dim, negative ones counted from the end; INVALID_INPUT
 * with its value when it is outside. */
fer_status feri_ref_index(feri_ref_call *call,
                          const feri_ref_tensor *indices,
                          uint64_t at,
                          int64_t dim,
                          int64_t *out_index);

/* ---- moves ---- */

/* count consecutive elements; bits is 2, 4 or a multiple of 8. The memories do not overlap unless
 * they are apart by whole elements (as memmove). */
void feri_ref_copy_run(uint32_t bits,
                       uint8_t *destination,
                       uint64_t destination_index,
                       const uint8_t *source,
                       uint64_t source_index,
                       uint64_t count);
/* All of out becomes the one element at source; NULL: zero. */
fer_status feri_ref_fill(feri_ref_call *call, feri_ref_tensor *out, const uint8_t *source);
/* A block of dims from one memory to another, both with element strides and an offset. */
typedef struct feri_ref_move {
    uint32_t bits;
    uint32_t rank;
    uint8_t *to;
    const uint8_t *from;
    int64_t to_offset;
    int64_t from_offset;
    int64_t dims[FER_MAX_RANK];
    int64_t to_strides[FER_MAX_RANK];
    int64_t from_strides[FER_MAX_RANK];
} feri_ref_move;
/* All of out, dense, from in's elements, dense too: where kernels start from. */
void feri_ref_move_init(feri_ref_move *move, const feri_ref_tensor *in, const feri_ref_tensor *out);
fer_status feri_ref_move_run(feri_ref_call *call, const feri_ref_move *move);
/* All elements of in to out, which has as many: INVALID_INPUT when it has not. */
fer_status feri_ref_copy_all(feri_ref_call *call, const feri_ref_tensor *in, feri_ref_tensor *out);

#endif
