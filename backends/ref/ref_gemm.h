/* SPDX-License-Identifier: Apache-2.0
 *
 * The matrix product that matmul, convolution and the recurrent layers share: C = A x B in blocks
 * of bounded scratch, accumulated in f64 or in wrapping 64-bit integers. Callers hand in how panels
 * of A and B are filled and what to do with a finished block of C. The order of summation is that
 * of k, whatever the block sizes. Used inside backends/ref only.
 */
#ifndef FERI_REF_GEMM_H
#define FERI_REF_GEMM_H

#include "ref/ref_line.h"

enum { FERI_REF_GEMM_M = 192, FERI_REF_GEMM_N = 256, FERI_REF_GEMM_K = 256 };
/* Scratch that feri_ref_gemm_run needs: panels of A and B, a block of C. */
#define FERI_REF_GEMM_BYTES                                                                        \
    (8u * (FERI_REF_GEMM_M * FERI_REF_GEMM_K + FERI_REF_GEMM_K * FERI_REF_GEMM_N +                 \
           FERI_REF_GEMM_M * FERI_REF_GEMM_N))

/* Part of a matrix: rows [row, row + rows) and columns [column, column + columns). */
typedef struct feri_ref_block {
    uint64_t row;
    uint64_t rows;
    uint64_t column;
    uint64_t columns;
} feri_ref_block;

typedef struct feri_ref_gemm {
    feri_ref_call *call;
    uint64_t m;
    uint64_t n;
    uint64_t k;
    int is_int; /* wrapping u64 instead of f64 */
    void *self; /* first argument of the functions below */
    /* Fills panel[(i - row) * columns + (j - column)]. */
    fer_status (*load_a)(void *self, const feri_ref_block *block, feri_ref_word *panel);
    /* Fills panel[feri_ref_gemm_b_at(rows, i - row, j - column)]; the panel comes zeroed. */
    fer_status (*load_b)(void *self, const feri_ref_block *block, feri_ref_word *panel);
    /* Takes the finished block: values[(i - row) * FERI_REF_GEMM_N + (j - column)]. It may change
     * them. */
    fer_status (*store)(void *self, const feri_ref_block *block, feri_ref_word *values);
    void *scratch; /* FERI_REF_GEMM_BYTES, aligned to 16 */
} feri_ref_gemm;

/* Panels of B are strips of four columns, each strip k-major, so that the inner loop streams. */
static inline uint64_t feri_ref_gemm_b_at(uint64_t rows, uint64_t k, uint64_t j) {
    return (j / 4 * rows + k) * 4 + j % 4;
}

fer_status feri_ref_gemm_run(const feri_ref_gemm *gemm);

/* c[4][FERI_REF_GEMM_N] += a[4][k] x b, b one strip of k x 4; the integer one takes a row of A. */
void feri_ref_gemm_tile(const double *a, const double *b, uint64_t k, double *c);
void feri_ref_gemm_tile_int(const uint64_t *a, const uint64_t *b, uint64_t k, uint64_t *c);

#endif
