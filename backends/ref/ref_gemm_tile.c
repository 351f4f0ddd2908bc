/* SPDX-License-Identifier: Apache-2.0
 *
 * The register tiles of the matrix product (ref_gemm.c): four rows of A by four columns of B.
 */
#include "ref/ref_gemm.h"

typedef double lane2 __attribute__((vector_size(16), may_alias));

void feri_ref_gemm_tile(const double *a, const double *b, uint64_t k, double *c) {
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

void feri_ref_gemm_tile_int(const uint64_t *a, const uint64_t *b, uint64_t k, uint64_t *c) {
    for (uint64_t j = 0; j < k; j++) {
        for (int i = 0; i < 4; i++) {
            c[i] += a[j] * b[4 * j + (uint64_t)i];
        }
    }
}
