/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of the com.microsoft ops that exporters emit, and of SimplifiedLayerNormalization. B
 * batch, S and T lengths, N heads, H head size. Semantics: ONNX Runtime's contrib op documentation.
 */
#include "op/infer.h"

#include <string.h>

/* Dim at of operand index, counted from the end when negative; unknown when it has none. */
static feri_sym dim_of(feri_infer *call, uint32_t index, int32_t at) {
    const feri_fact *in = feri_infer_in(call, index);
    int32_t rank = in ? in->rank : -1;
    at = at < 0 && rank >= 0 ? at + rank : at;
    return at >= 0 && at < rank ? in->dims[at] : feri_sym_unknown();
}

/* ---- products ---- */

static void set_product(
    feri_infer *call, int32_t a_rank, const feri_sym *a, int32_t b_rank, const feri_sym *b) {
    feri_sym dims[FER_MAX_RANK + 2];
    int32_t rank;
    if (a_rank < 2 || b_rank < 2) {
        if (!(a_rank < 0 || b_rank < 0)) {
            feri_infer_fail(call, "its operands must be matrices or stacks of them");
        }
        return;
    }
    FERI_STEP(feri_infer_equal(call, a[a_rank - 1], b[b_rank - 2], "the inner dims of A and B"));
    FERI_STEP(rank = feri_infer_broadcast(call, a_rank - 2, a, b_rank - 2, b, dims));
    dims[rank++] = a[a_rank - 2];
    dims[rank++] = b[b_rank - 1];
    feri_infer_set(call, 0, rank, dims);
}

/* Dims of an operand of FusedMatMul as the product sees them. */
static int32_t
turned(feri_infer *call, uint32_t index, const char *batch, const char *last, feri_sym *out) {
    const feri_fact *in = feri_infer_in(call, index);
    if (in->rank < 2) {
        return in->rank;
    }
    memcpy(out, in->dims, (size_t)in->rank * sizeof(*out));
    if (feri_infer_int(call, batch, 0)) {
        memmove(out, in->dims + 1, (size_t)(in->rank - 2) * sizeof(*out));
        out[in->rank - 2] = in->dims[0];
    }
    if (feri_infer_int(call, last, 0)) {
        feri_sym held = out[in->rank - 2];
        out[in->rank - 2] = out[in->rank - 1];
        out[in->rank - 1] = held;
    }
    return in->rank;
}

void feri_infer_fused_matmul(feri_infer *call) {
    feri_sym a[FER_MAX_RANK], b[FER_MAX_RANK];
    int32_t a_rank = turned(call, 0, "transBatchA", "transA", a);
    int32_t b_rank = turned(call, 1, "transBatchB", "transB", b);
    set_product(call, a_rank, a, b_rank, b);
}

void feri_infer_qgemm(feri_infer *call) {
    const feri_fact *a = feri_infer_in(call, 0), *b = feri_infer_in(call, 3);
    feri_fact *y = feri_infer_out(call, 0);
    FERI_STEP(feri_infer_rank(call, 0, 2, 2));
    FERI_STEP(feri_infer_rank(call, 3, 2, 2));
    if (y) {
        y->dtype = feri_infer_in(call, 7) ? a->dtype : FER_F32;
    }
    if (a->rank < 0 || b->rank < 0) {
        return;
    }
    int a_turns = feri_infer_int(call, "transA", 0) != 0;
    int b_turns = feri_infer_int(call, "transB", 0) != 0;
    feri_sym left[2] = {a->dims[a_turns], a->dims[!a_turns]};
    feri_sym right[2] = {b->dims[b_turns], b->dims[!b_turns]};
    set_product(call, 2, left, 2, right);
}

void feri_infer_matmul_nbits(feri_infer *call) {
    const feri_fact *a = feri_infer_in(call, 0);
    int64_t k = feri_infer_int(call, "K", 0), n = feri_infer_int(call, "N", 0);
    int64_t bits = feri_infer_int(call, "bits", 4), block = feri_infer_int(call, "block_size", 0);
    feri_sym dims[FER_MAX_RANK];
    if (k < 1 || n < 1 || block < 16 || (block & (block - 1)) != 0 ||
        (bits != 2 && bits != 4 && bits != 8)) {
        feri_infer_fail(call,
                        "K is %lld, N %lld, block_size %lld and bits %lld; block_size must "
                        "be a power of two from 16 on and bits 2, 4 or 8",
                        (long long)k,
                        (long long)n,
                        (long long)block,
                        (long long)bits);
        return;
    }
    FERI_STEP(feri_infer_rank(call, 0, 1, FER_MAX_RANK));
    if (a->rank < 0) {
        return;
    }
    FERI_STEP(
        feri_infer_equal(call, a->dims[a->rank - 1], feri_sym_number(k), "A's last dim and K"));
    memcpy(dims, a->dims, (size_t)a->rank * sizeof(*dims));
    dims[a->rank - 1] = feri_sym_number(n);
    feri_infer_set(call, 0, a->rank, dims);
}

/* ---- quantised element-wise, pools, joins ---- */

/* Operands 0 and 3 broadcast. */
void feri_infer_qlinear_pair(feri_infer *call) {
    const feri_fact *a = feri_infer_in(call, 0), *b = feri_infer_in(call, 3);
    feri_sym dims[FER_MAX_RANK];
    int32_t rank;
    if (a->rank < 0 || b->rank < 0) {
        return;
    }
    FERI_STEP(rank = feri_infer_broadcast(call, a->rank, a->dims, b->rank, b->dims, dims));
    feri_infer_set(call, 0, rank, dims);
}

void feri_infer_qlinear_pool(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    int is_last = feri_infer_int(call, "channels_last", 0) != 0;
    feri_sym dims[FER_MAX_RANK];
    FERI_STEP(feri_infer_rank(call, 0, 3, FER_MAX_RANK));
    for (int32_t i = 0; i < x->rank; i++) {
        int keeps = i == 0 || i == (is_last ? x->rank - 1 : 1);
        dims[i] = keeps ? x->dims[i] : feri_sym_number(1);
    }
    feri_infer_set(call, 0, x->rank, dims);
}

/* Y_scale, Y_zero_point, then tensor, scale and zero point of each operand. */
void feri_infer_qlinear_concat(feri_infer *call) {
    feri_sym dims[FER_MAX_RANK], total = feri_sym_number(0);
    int32_t axis = 0, rank = -1;
    if (call->in_count < 5 || (call->in_count - 2) % 3 != 0) {
        feri_infer_fail(
            call, "it has %u operands, it must have 2 and 3 more per tensor", call->in_count);
        return;
    }
    if (feri_infer_out(call, 0)) {
        feri_infer_out(call, 0)->dtype = feri_infer_in(call, 1)->dtype;
    }
    for (uint32_t i = 2; i < call->in_count; i += 3) {
        const feri_fact *in = feri_infer_in(call, i);
        if (!in || in->rank < 0) {
            return;
        }
        if (rank < 0) {
            rank = in->rank;
            memcpy(dims, in->dims, (size_t)rank * sizeof(*dims));
            FERI_STEP(axis = feri_infer_axis_attr(call, 0, rank));
        }
        FERI_STEP(feri_infer_rank(call, i, rank, rank));
        for (int32_t d = 0; d < rank; d++) {
            if (d != axis) {
                FERI_STEP(feri_infer_equal(call, in->dims[d], dims[d], "the dims beside the axis"));
            }
        }
        FERI_STEP(total = feri_infer_add(call, total, in->dims[axis]));
    }
    dims[axis] = total;
    feri_infer_set(call, 0, rank, dims);
}

/* x [N, H, W, C]: windows as those of MaxPool on [N, C, H, W]. */
void feri_infer_nhwc_pool(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    feri_sym dims[4];
    feri_window window;
    FERI_STEP(feri_infer_rank(call, 0, 4, 4));
    if (x->rank < 0) {
        return;
    }
    feri_sym turned_dims[4] = {x->dims[0], x->dims[3], x->dims[1], x->dims[2]};
    feri_fact first = *x;
    first.dims = turned_dims;
    FERI_STEP(feri_infer_window(call, &first, /*weights=*/NULL, &window));
    int is_ceil = feri_infer_int(call, "ceil_mode", 0) != 0;
    dims[0] = x->dims[0];
    dims[3] = x->dims[3];
    for (int32_t i = 0; i < 2; i++) {
        FERI_STEP(dims[1 + i] = feri_infer_positions(call, &window, i, x->dims[1 + i], is_ceil));
    }
    feri_infer_set(call, 0, 4, dims);
}

/* ---- norms ---- */

/* Result index like operand 0 with a last dim of 1, in f32. */
static void set_statistic(feri_infer *call, uint32_t index) {
    const feri_fact *x = feri_infer_in(call, 0);
    feri_sym dims[FER_MAX_RANK];
    if (feri_infer_out(call, index)) {
        feri_infer_out(call, index)->dtype = FER_F32;
    }
    for (int32_t i = 0; i < x->rank; i++) {
        dims[i] = i + 1 < x->rank ? x->dims[i] : feri_sym_number(1);
    }
    if (!(x->rank < 0)) {
        feri_infer_set(call, index, x->rank, dims);
    }
}

void feri_infer_skip_norm(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    FERI_STEP(feri_infer_rank(call, 0, 2, 3));
    for (uint32_t i = 2; i < 5 && i < call->in_count; i++) {
        FERI_STEP(feri_infer_rank(call, i, 1, 1));
    }
    FERI_STEP(feri_infer_set_like(call, 0, x));
    FERI_STEP(set_statistic(call, 1));
    FERI_STEP(set_statistic(call, 2));
    feri_infer_set_like(call, 3, x);
}

void feri_infer_simplified_norm(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    int32_t axis;
    feri_sym dims[FER_MAX_RANK];
    FERI_STEP(feri_infer_set_like(call, 0, x));
    if (feri_infer_out(call, 1)) {
        feri_infer_out(call, 1)->dtype = FER_F32;
    }
    if (x->rank < 0) {
        return;
    }
    FERI_STEP(axis = feri_infer_axis_attr(call, -1, x->rank));
    for (int32_t i = 0; i < x->rank; i++) {
        dims[i] = i < axis ? x->dims[i] : feri_sym_number(1);
    }
    feri_infer_set(call, 1, x->rank, dims);
}

void feri_infer_embed_norm(feri_infer *call) {
    FERI_STEP(feri_infer_rank(call, 0, 2, 2));
    feri_sym dims[3] = {dim_of(call, 0, 0), dim_of(call, 0, 1), dim_of(call, 2, -1)};
    FERI_STEP(feri_infer_set(call, 0, 3, dims));
    FERI_STEP(feri_infer_set(call, 1, 1, dims));
    feri_infer_set(call, 2, 3, dims);
}

/* ---- attention ---- */

static void heads_of(feri_infer *call, const char *name, int64_t *out) {
    *out = feri_infer_int(call, name, 0);
    if (!(*out > 0)) {
        feri_infer_fail(call, "%s is %lld, it must be positive", name, (long long)*out);
    }
}

/* size / heads */
static feri_sym head_size(feri_infer *call, feri_sym size, int64_t heads) {
    return feri_sym_div(call->terms, size, feri_sym_number(heads));
}

/* input [B, S, D], weights [D, Q + K + V] -> [B, S, V], present [2, B, N, P + S, H]. */
void feri_infer_ms_attention(feri_infer *call) {
    int64_t heads;
    uint32_t count;
    const int64_t *sizes = feri_infer_ints(call, "qkv_hidden_sizes", &count);
    FERI_STEP(heads_of(call, "num_heads", &heads));
    FERI_STEP(feri_infer_rank(call, 0, 3, 3));
    FERI_STEP(feri_infer_rank(call, 1, 2, 2));
    FERI_STEP(feri_infer_rank(call, 4, 5, 5));
    if (sizes && (count != 3 || sizes[0] < 1 || sizes[0] != sizes[1] || sizes[2] < 1)) {
        feri_infer_fail(call, "qkv_hidden_sizes must be three sizes, the first two equal");
        return;
    }
    FERI_STEP(feri_infer_equal(
        call, dim_of(call, 0, 2), dim_of(call, 1, 0), "the last dim of input and weights' first"));
    feri_sym value = sizes ? feri_sym_number(sizes[2])
                           : feri_sym_div(call->terms, dim_of(call, 1, 1), feri_sym_number(3));
    feri_sym dims[3] = {dim_of(call, 0, 0), dim_of(call, 0, 1), value};
    feri_sym length = dims[1];
    if (feri_infer_in(call, 4)) {
        FERI_STEP(length = feri_infer_add(call, length, dim_of(call, 4, 3)));
    }
    feri_sym present[5] = {
        feri_sym_number(2), dims[0], feri_sym_number(heads), length, head_size(call, value, heads)};
    FERI_STEP(feri_infer_set(call, 1, 5, present));
    feri_infer_set(call, 0, 3, dims);
}

static void
set_cache(feri_infer *call, uint32_t index, int64_t heads, feri_sym length, feri_sym size) {
    feri_sym dims[4] = {dim_of(call, 0, 0), feri_sym_number(heads), length, size};
    feri_infer_set(call, index, 4, dims);
}

/* query [B, S, N * H] (or [B, S, N, 3, H]), key and value alike or [B, N, T, H]. */
void feri_infer_multi_head(feri_infer *call) {
    int64_t heads;
    const feri_fact *q = feri_infer_in(call, 0), *k = feri_infer_in(call, 1);
    const feri_fact *v = feri_infer_in(call, 2);
    FERI_STEP(heads_of(call, "num_heads", &heads));
    if (q->rank < 0 || (k && k->rank < 0) || (v && v->rank < 0)) {
        return;
    }
    if (q->rank != 3 && q->rank != 5) {
        feri_infer_fail(call, "its query has rank %d, it must have 3 or 5", (int)q->rank);
        return;
    }
    int q_packs = q->rank == 5, k_packs = k && k->rank == 5, has_heads = k && k->rank == 4;
    feri_sym q_size = q_packs ? q->dims[4] : head_size(call, q->dims[2], heads);
    feri_sym v_size = has_heads && v ? dim_of(call, 2, 3)
                      : q_packs      ? q_size
                      : k_packs      ? k->dims[4]
                      : v            ? head_size(call, dim_of(call, 2, 2), heads)
                                     : feri_sym_unknown();
    feri_sym length = !k ? q->dims[1] : has_heads ? k->dims[2] : k->dims[1];
    if (feri_infer_in(call, 6)) {
        FERI_STEP(length = feri_infer_add(call, length, dim_of(call, 6, 2)));
    }
    feri_sym dims[3] = {q->dims[0], q->dims[1], feri_sym_unknown()};
    FERI_STEP(dims[2] = feri_infer_mul(call, feri_sym_number(heads), v_size));
    feri_sym scores[4] = {q->dims[0], feri_sym_number(heads), q->dims[1], length};
    FERI_STEP(set_cache(call, 1, heads, length, q_size));
    FERI_STEP(set_cache(call, 2, heads, length, v_size));
    FERI_STEP(feri_infer_set(call, 3, 4, scores));
    feri_infer_set(call, 0, 3, dims);
}

/* query [B, S, N * H], or with key and value packed behind it [B, S, (N + 2 G) * H]. */
void feri_infer_group_query(feri_infer *call) {
    int64_t heads, groups;
    uint32_t count;
    FERI_STEP(heads_of(call, "num_heads", &heads));
    FERI_STEP(heads_of(call, "kv_num_heads", &groups));
    FERI_STEP(feri_infer_rank(call, 0, 3, 3));
    FERI_STEP(feri_infer_rank(call, 3, 4, 4));
    FERI_STEP(feri_infer_rank(call, 4, 4, 4));
    if (heads % groups != 0 || heads > INT32_MAX) {
        feri_infer_fail(call,
                        "num_heads is %lld, no multiple of kv_num_heads %lld",
                        (long long)heads,
                        (long long)groups);
        return;
    }
    int packs = feri_infer_in(call, 1) == NULL;
    feri_sym size = head_size(call, dim_of(call, 0, 2), packs ? heads + 2 * groups : heads);
    feri_sym dims[3] = {dim_of(call, 0, 0), dim_of(call, 0, 1), feri_sym_unknown()};
    FERI_STEP(dims[2] = feri_infer_mul(call, feri_sym_number(heads), size));
    const feri_sym *total = feri_infer_elements(call, 6, &count);
    feri_sym length = total && count == 1 ? total[0] : feri_sym_unknown();
    if (feri_sym_is_number(length) && length.number < 0) {
        feri_infer_fail(call, "total_sequence_length is negative");
        return;
    }
    if (feri_infer_in(call, 3)) {
        length = feri_sym_max(call->terms, length, dim_of(call, 3, 2));
    }
    FERI_STEP(set_cache(call, 1, groups, length, size));
    FERI_STEP(set_cache(call, 2, groups, length, size));
    feri_infer_set(call, 0, 3, dims);
}
