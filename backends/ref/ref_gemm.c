/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocked matrix product behind matmul, convolution and recurrent layers: see ref_gemm.h. Owns
 * the loop order; the tiles are ref_gemm_tile.c's. Knows nothing of tensors.
 */
#include "ref/ref_gemm.h"

#include <string.h>

/* Adds the product of two panels to the block of C, tile by tile, polling after each. */
static fer_status multiply(const feri_ref_gemm *gemm,
                           const feri_ref_block *block,
                           uint64_t k,
                           const feri_ref_word *a,
                           const feri_ref_word *b,
                           feri_ref_word *c) {
    for (uint64_t j = 0; j < block->columns; j += 4) {
        const feri_ref_word *strip = b + j * k;
        for (uint64_t i = 0; i < block->rows;) {
            const feri_ref_word *rows = a + i * k;
            feri_ref_word *out = c + i * FERI_REF_GEMM_N + j;
            uint64_t step = 1;
            if (gemm->is_int) {
                feri_ref_gemm_tile_int(&rows->u, &strip->u, k, &out->u);
            } else {
                feri_ref_gemm_tile(&rows->f, &strip->f, k, &out->f);
                step = 4;
            }
            if (feri_ref_poll(gemm->call, 4 * step * k)) {
                return gemm->call->status;
            }
            i += step;
        }
    }
    return FER_OK;
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* One block of C over the whole of k. loaded_b says that B's only panel is there already. */
static fer_status run_block(const feri_ref_gemm *gemm, const feri_ref_block *block, int loaded_b) {
    feri_ref_word *a = gemm->scratch;
    feri_ref_word *b = a + (size_t)FERI_REF_GEMM_M * FERI_REF_GEMM_K;
    feri_ref_word *c = b + (size_t)FERI_REF_GEMM_K * FERI_REF_GEMM_N;
    uint64_t rows = (block->rows + 3) / 4 * 4; /* those past the block's multiply zeros */
    memset(c, 0, (size_t)(rows * FERI_REF_GEMM_N * sizeof *c));
    for (uint64_t k0 = 0; k0 < gemm->k; k0 += FERI_REF_GEMM_K) {
        uint64_t k = least(gemm->k - k0, FERI_REF_GEMM_K);
        feri_ref_block of_a = {block->row, block->rows, k0, k};
        feri_ref_block of_b = {k0, k, block->column, block->columns};
        if (!loaded_b) {
            memset(b, 0, (size_t)(k * ((block->columns + 3) / 4 * 4) * sizeof *b));
            (void)gemm->load_b(gemm->self, &of_b, b);
        }
        memset(a + block->rows * k, 0, (size_t)((rows - block->rows) * k * sizeof *a));
        if (gemm->call->status || gemm->load_a(gemm->self, &of_a, a) ||
            multiply(gemm, block, k, a, b, c)) {
            return gemm->call->status;
        }
    }
    return gemm->store(gemm->self, block, c);
}

fer_status feri_ref_gemm_run(const feri_ref_gemm *gemm) {
    for (uint64_t j = 0; j < gemm->n; j += FERI_REF_GEMM_N) {
        for (uint64_t i = 0; i < gemm->m; i += FERI_REF_GEMM_M) {
            feri_ref_block block = {
                i, least(gemm->m - i, FERI_REF_GEMM_M), j, least(gemm->n - j, FERI_REF_GEMM_N)};
            if (run_block(gemm, &block, i > 0 && gemm->k <= FERI_REF_GEMM_K)) {
                return gemm->call->status;
            }
        }
    }
    return FER_OK;
}
