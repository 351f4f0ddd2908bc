/* SPDX-License-Identifier: Apache-2.0
 *
 * MatMul with numpy's batch broadcasting and Gemm. Floats accumulate in f64 and round once,
 * integers wrap. Shapes that do not fit are refused before anything is read. Called by the executor
 * through its table.
 */
#include "kit/geometry.h"
#include "ref/ref_gemm.h"

#include <math.h>
#include <string.h>

/* A matrix inside a tensor. */
typedef struct matrix {
    const feri_ref_tensor *t;
    uint64_t start;
    uint64_t row_step;
    uint64_t column_step;
} matrix;

typedef struct matmul_params {
    uint64_t m;
    uint64_t n;
    uint64_t k;
    uint64_t a_steps[2]; /* from row to row, from column to column */
    uint64_t b_steps[2];
    int64_t c_strides[2]; /* Gemm's third operand broadcast to Y */
    uint32_t batch_rank;
    int64_t batch[FER_MAX_RANK];
    int64_t a_strides[FER_MAX_RANK]; /* in matrices */
    int64_t b_strides[FER_MAX_RANK];
} matmul_params;

typedef struct product {
    feri_ref_call *call;
    matrix a;
    matrix b;
    uint64_t out_start;
    int is_int;
    int is_gemm;
    double alpha; /* Gemm */
    double beta;
    const feri_ref_tensor *c; /* Gemm's third operand, or NULL */
} product;

/* Walks block of m in its contiguous direction; element (i, j) lands where place says. */
static fer_status load_panel(
    product *p, const matrix *m, const feri_ref_block *block, feri_ref_word *panel, int is_b) {
    int by_row = m->column_step == 1 && (m->row_step != 1 || block->columns > 1);
    uint64_t lines = by_row ? block->rows : block->columns;
    uint64_t length = by_row ? block->columns : block->rows;
    for (uint64_t line = 0; line < lines; line++) {
        feri_ref_word chunk[FERI_REF_CHUNK];
        uint64_t row = block->row + (by_row ? line : 0);
        uint64_t column = block->column + (by_row ? 0 : line);
        feri_ref_load(p->call,
                      m->t,
                      m->start + row * m->row_step + column * m->column_step,
                      by_row ? m->column_step : m->row_step,
                      length,
                      chunk);
        for (uint64_t x = 0; x < length; x++) {
            uint64_t i = by_row ? line : x, j = by_row ? x : line;
            panel[is_b ? feri_ref_gemm_b_at(block->rows, i, j) : i * block->columns + j] = chunk[x];
        }
        if (feri_ref_poll(p->call, length)) {
            return p->call->status;
        }
    }
    return FER_OK;
}

static fer_status load_a(void *self, const feri_ref_block *block, feri_ref_word *panel) {
    product *p = self;
    return load_panel(p, &p->a, block, panel, /*is_b=*/0);
}

static fer_status load_b(void *self, const feri_ref_block *block, feri_ref_word *panel) {
    product *p = self;
    return load_panel(p, &p->b, block, panel, /*is_b=*/1);
}

/* An integer scaled by a float attribute: exact where the scale is whole. */
static uint64_t scale_int(fer_dtype dtype, uint64_t value, double scale) {
    if (scale == 1.0) {
        return value;
    }
    if (scale == trunc(scale) && fabs(scale) < 9e18) {
        return value * (uint64_t)(int64_t)scale;
    }
    double real = dtype == FER_U64 ? (double)value : (double)(int64_t)value;
    return (uint64_t)feri_ref_real_to_int(dtype, real * scale);
}

/* alpha times the product plus beta times C. */
static void
scale_row(product *p, uint64_t row_index, uint64_t column, uint64_t count, feri_ref_word *row) {
    const matmul_params *params = p->call->params;
    uint64_t c_row = (uint64_t)params->c_strides[0], c_column = (uint64_t)params->c_strides[1];
    fer_dtype dtype = p->call->out[0]->dtype;
    feri_ref_word c[FERI_REF_GEMM_N];
    memset(c, 0, sizeof c);
    if (p->c) {
        feri_ref_load(p->call, p->c, row_index * c_row + column * c_column, c_column, count, c);
    }
    for (uint64_t j = 0; j < count; j++) {
        if (p->is_int) {
            row[j].u = scale_int(dtype, row[j].u, p->alpha) + scale_int(dtype, c[j].u, p->beta);
        } else {
            row[j].f = p->alpha * row[j].f + (p->c ? p->beta * c[j].f : 0.0);
        }
    }
}

static fer_status store(void *self, const feri_ref_block *block, feri_ref_word *values) {
    product *p = self;
    const matmul_params *params = p->call->params;
    for (uint64_t i = 0; i < block->rows && !feri_ref_poll(p->call, block->columns); i++) {
        feri_ref_word *row = values + i * FERI_REF_GEMM_N;
        uint64_t at = p->out_start + (block->row + i) * params->n + block->column;
        if (p->is_gemm) {
            scale_row(p, block->row + i, block->column, block->columns, row);
        }
        feri_ref_store(p->call, p->call->out[0], at, 1, block->columns, row);
    }
    return p->call->status;
}

static fer_status run_product(product *p, uint64_t m) {
    const matmul_params *params = p->call->params;
    feri_ref_gemm gemm = {.call = p->call,
                          .m = m,
                          .n = params->n,
                          .k = params->k,
                          .is_int = p->is_int,
                          .self = p,
                          .load_a = load_a,
                          .load_b = load_b,
                          .store = store,
                          .scratch = p->call->scratch};
    return feri_ref_gemm_run(&gemm);
}

/* Batch dims and m, n as the output has them when both operands are made matrices. */
static fer_status matmul_bind(feri_ref_call *call) {
    matmul_params *p = call->params;
    const feri_ref_tensor *a = call->in[0], *b = call->in[1], *y = call->out[0];
    uint32_t a_batch = a->rank > 2 ? a->rank - 2 : 0, b_batch = b->rank > 2 ? b->rank - 2 : 0;
    uint32_t matrix_rank = (a->rank > 1) + (b->rank > 1);
    p->batch_rank = a_batch > b_batch ? a_batch : b_batch;
    call->scratch_bytes = FERI_REF_GEMM_BYTES;
    if (a->rank == 0 || b->rank == 0 || y->rank != p->batch_rank + matrix_rank) {
        return feri_ref_unfit(call);
    }
    p->m = a->rank > 1 ? (uint64_t)a->dims[a->rank - 2] : 1;
    p->k = (uint64_t)a->dims[a->rank - 1];
    p->n = b->rank > 1 ? (uint64_t)b->dims[b->rank - 1] : 1;
    p->a_steps[0] = p->k;
    p->b_steps[0] = p->n;
    p->a_steps[1] = p->b_steps[1] = 1;
    uint64_t b_k = (uint64_t)b->dims[b->rank > 1 ? b->rank - 2 : 0];
    uint64_t y_m = a->rank > 1 ? (uint64_t)y->dims[p->batch_rank] : 1;
    uint64_t y_n = b->rank > 1 ? (uint64_t)y->dims[y->rank - 1] : 1;
    memcpy(p->batch, y->dims, sizeof p->batch);
    int fits =
        p->k == b_k && p->m == y_m && p->n == y_n &&
        feri_kit_broadcast_strides(p->batch_rank, p->batch, a_batch, a->dims, p->a_strides) &&
        feri_kit_broadcast_strides(p->batch_rank, p->batch, b_batch, b->dims, p->b_strides);
    for (uint32_t i = 0; fits && y->count && i < p->batch_rank; i++) {
        /* A or B has the dim: nothing is computed twice */
        fits = p->batch[i] == 1 || p->a_strides[i] || p->b_strides[i];
    }
    return fits ? FER_OK : feri_ref_unfit(call);
}

static fer_status gemm_bind(feri_ref_call *call) {
    matmul_params *p = call->params;
    const feri_ref_tensor *a = call->in[0], *b = call->in[1], *y = call->out[0];
    const feri_ref_tensor *c = feri_ref_input(call, 2);
    int trans_a = feri_ref_int(call->node, "transA", 0) != 0;
    int trans_b = feri_ref_int(call->node, "transB", 0) != 0;
    call->scratch_bytes = FERI_REF_GEMM_BYTES;
    if (a->rank != 2 || b->rank != 2 || y->rank != 2) {
        return feri_ref_unfit(call);
    }
    p->m = (uint64_t)a->dims[trans_a];
    p->k = (uint64_t)a->dims[!trans_a];
    p->n = (uint64_t)b->dims[!trans_b];
    p->a_steps[trans_a] = (uint64_t)a->dims[1];
    p->b_steps[trans_b] = (uint64_t)b->dims[1];
    p->a_steps[!trans_a] = p->b_steps[!trans_b] = 1;
    if ((uint64_t)b->dims[trans_b] != p->k || (uint64_t)y->dims[0] != p->m ||
        (uint64_t)y->dims[1] != p->n) {
        return feri_ref_unfit(call);
    }
    if (c && !feri_kit_broadcast_strides(2, y->dims, c->rank, c->dims, p->c_strides)) {
        return feri_ref_unfit(call);
    }
    return FER_OK;
}

static fer_status run(feri_ref_call *call) {
    const matmul_params *params = call->params;
    const int64_t *strides[2] = {params->a_strides, params->b_strides};
    const feri_ref_tensor *out = call->out[0];
    product p = {
        .call = call,
        .a = {call->in[0], 0, params->a_steps[0], params->a_steps[1]},
        .b = {call->in[1], 0, params->b_steps[0], params->b_steps[1]},
        .is_int = !feri_ref_is_float(call->in[0]->dtype),
        .is_gemm = call->node->op == FER_OP_Gemm
    };
    if (p.is_gemm) {
        p.alpha = feri_ref_float(call->node, "alpha", 1.0);
        p.beta = feri_ref_float(call->node, "beta", 1.0);
        p.c = p.beta == 0.0 ? NULL : feri_ref_input(call, 2);
    }
    feri_kit_walk walk;
    feri_kit_cursor at;
    if (out->count == 0) {
        return FER_OK;
    }
    if (call->in[1]->rank <= 2 && call->in[0]->rank > 1) { /* one B: the batch is more rows */
        return run_product(&p, out->count / params->n);
    }
    feri_kit_walk_init(&walk, params->batch_rank, params->batch, 2, strides);
    for (int more = feri_kit_walk_begin(&walk, &at); more; more = feri_kit_walk_next(&walk, &at)) {
        for (int64_t i = 0; i < walk.inner; i++) {
            p.a.start = (uint64_t)(at.offset[0] + i * walk.step[0]) * params->m * params->k;
            p.b.start = (uint64_t)(at.offset[1] + i * walk.step[1]) * params->k * params->n;
            if (run_product(&p, params->m)) {
                return call->status;
            }
            p.out_start += params->m * params->n;
        }
    }
    return FER_OK;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_matmul[] = {
    FERI_REF_KERNEL(MatMul, 13, .run = run, .bind = matmul_bind,
                 .params_bytes = sizeof(matmul_params))
    FERI_REF_KERNEL(Gemm, 13, .run = run, .bind = gemm_bind,
                 .params_bytes = sizeof(matmul_params))
    FERI_REF_END
};
/* clang-format on */
