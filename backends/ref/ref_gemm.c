/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocked matrix product behind matmul, convolution and recurrent layers: see ref_gemm.h. Owns
 * the loop order and the register tiles; knows nothing of tensors.
 */
#include "ref/ref_gemm.h"

#include <string.h>

typedef double lane2 __attribute__((vector_size(16), may_alias));

/* c[4][ldc] += a[4][k] x b, b one strip of k x 4. */
static void tile4(const double *a, const double *b, uint64_t k, double *c) {
    const double *a1 = a + k, *a2 = a + 2 * k, *a3 = a + 3 * k;
    lane2 sum[4][2];
    for (int i = 0; i < 4; i++) {
        sum[i][0] = *(lane2 *)(c + i * FERI_REF_GEMM_N);
        sum[i][1] = *(lane2 *)(c + i * FERI_REF_GEMM_N + 2);
    }
    for (uint64_t j = 0; j < k; j++) {
        lane2 b0 = *(const lane2 *)(b + 4 * j), b1 = *(const lane2 *)(b + 4 * j + 2);
        lane2 x0 = {a[j], a[j]}, x1 = {a1[j], a1[j]}, x2 = {a2[j], a2[j]}, x3 = {a3[j], a3[j]};
        sum[0][0] += x0 * b0;
        sum[0][1] += x0 * b1;
        sum[1][0] += x1 * b0;
        sum[1][1] += x1 * b1;
        sum[2][0] += x2 * b0;
        sum[2][1] += x2 * b1;
        sum[3][0] += x3 * b0;
        sum[3][1] += x3 * b1;
    }
    for (int i = 0; i < 4; i++) {
        *(lane2 *)(c + i * FERI_REF_GEMM_N) = sum[i][0];
        *(lane2 *)(c + i * FERI_REF_GEMM_N + 2) = sum[i][1];
    }
}

static void tile1(const double *a, const double *b, uint64_t k, double *c) {
    lane2 sum0 = *(lane2 *)c, sum1 = *(lane2 *)(c + 2);
    for (uint64_t j = 0; j < k; j++) {
        lane2 x = {a[j], a[j]};
        sum0 += x * *(const lane2 *)(b + 4 * j);
        sum1 += x * *(const lane2 *)(b + 4 * j + 2);
    }
    *(lane2 *)c = sum0;
    *(lane2 *)(c + 2) = sum1;
}

static void tile1_int(const uint64_t *a, const uint64_t *b, uint64_t k, uint64_t *c) {
    for (uint64_t j = 0; j < k; j++) {
        for (int i = 0; i < 4; i++) {
            c[i] += a[j] * b[4 * j + (uint64_t)i];
        }
    }
}

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
                tile1_int(&rows->u, &strip->u, k, &out->u);
            } else if (i + 4 <= block->rows) {
                tile4(&rows->f, &strip->f, k, &out->f);
                step = 4;
            } else {
                tile1(&rows->f, &strip->f, k, &out->f);
            }
            fer_status status = feri_ref_poll(gemm->call, 4 * step * k);
            if (status) {
                return status;
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
    memset(c, 0, (size_t)(block->rows * FERI_REF_GEMM_N * sizeof *c));
    for (uint64_t k0 = 0; k0 < gemm->k; k0 += FERI_REF_GEMM_K) {
        uint64_t k = least(gemm->k - k0, FERI_REF_GEMM_K);
        feri_ref_block of_a = {block->row, block->rows, k0, k};
        feri_ref_block of_b = {k0, k, block->column, block->columns};
        fer_status status = FER_OK;
        if (!loaded_b) {
            memset(b, 0, (size_t)(k * ((block->columns + 3) / 4 * 4) * sizeof *b));
            status = gemm->load_b(gemm->self, &of_b, b);
        }
        if (!status) {
            status = gemm->load_a(gemm->self, &of_a, a);
        }
        if (!status) {
            status = multiply(gemm, block, k, a, b, c);
        }
        if (status) {
            return status;
        }
    }
    return gemm->store(gemm->self, block, c);
}

fer_status feri_ref_gemm_run(const feri_ref_gemm *gemm) {
    for (uint64_t j = 0; j < gemm->n; j += FERI_REF_GEMM_N) {
        for (uint64_t i = 0; i < gemm->m; i += FERI_REF_GEMM_M) {
            feri_ref_block block = {
                i, least(gemm->m - i, FERI_REF_GEMM_M), j, least(gemm->n - j, FERI_REF_GEMM_N)};
            fer_status status = run_block(gemm, &block, i > 0 && gemm->k <= FERI_REF_GEMM_K);
            if (status) {
                return status;
            }
        }
    }
    return FER_OK;
}
