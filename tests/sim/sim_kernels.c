/* SPDX-License-Identifier: Apache-2.0
 *
 * The chip's kernels: f32, one function per op, no faster than they must be. Operands lie in the
 * chip's own memory, aligned as the host aligned them.
 */
#include "kit/geometry.h"
#include "sim_chip.h"

#include <math.h>
#include <string.h>

typedef const sim_operand *const *operands;

static const fer_attr *attr(const fer_node_view *node, const char *name) {
    for (uint32_t i = 0; i < node->attr_count; i++) {
        if (strcmp(node->attrs[i].name, name) == 0) {
            return &node->attrs[i];
        }
    }
    return NULL;
}

static int64_t attr_int(const fer_node_view *node, const char *name, int64_t otherwise) {
    const fer_attr *found = attr(node, name);
    return found == NULL ? otherwise : found->value.i;
}

/* Element index of an ints attribute. */
static int64_t
attr_at(const fer_node_view *node, const char *name, uint32_t at, int64_t otherwise) {
    const fer_attr *found = attr(node, name);
    return found == NULL || at >= found->count ? otherwise : found->value.ints[at];
}

static void unary(uint32_t op, operands in, operands out) {
    const float *x = in[0]->data;
    float *y = out[0]->data;
    for (uint64_t i = 0; i < out[0]->count; i++) {
        y[i] = op == FER_OP_Neg ? -x[i] : x[i] > 0 || x[i] != x[i] ? x[i] : 0;
    }
}

static fer_status binary(uint32_t op, operands in, operands out) {
    int64_t a_strides[FER_MAX_RANK], b_strides[FER_MAX_RANK], y_strides[FER_MAX_RANK];
    const sim_operand *y = out[0];
    if (!feri_kit_broadcast_strides(y->rank, y->dims, in[0]->rank, in[0]->dims, a_strides) ||
        !feri_kit_broadcast_strides(y->rank, y->dims, in[1]->rank, in[1]->dims, b_strides)) {
        return FER_BACKEND;
    }
    feri_kit_strides(y->rank, y->dims, y_strides);
    feri_kit_walk walk;
    feri_kit_cursor at;
    feri_kit_walk_init(
        &walk, y->rank, y->dims, 3, (const int64_t *const[]){a_strides, b_strides, y_strides});
    if (!feri_kit_walk_begin(&walk, &at)) {
        return FER_OK;
    }
    do {
        for (int64_t i = 0; i < walk.inner; i++) {
            float a = ((const float *)in[0]->data)[at.offset[0] + i * walk.step[0]];
            float b = ((const float *)in[1]->data)[at.offset[1] + i * walk.step[1]];
            ((float *)y->data)[at.offset[2] + i * walk.step[2]] = op == FER_OP_Add   ? a + b
                                                                  : op == FER_OP_Sub ? a - b
                                                                                     : a * b;
        }
    } while (feri_kit_walk_next(&walk, &at));
    return FER_OK;
}

/* b is k x n, row-major or in the chip's blocks. */
static fer_status product(const float *a,
                          const sim_operand *b,
                          uint64_t b_offset,
                          float *y,
                          int64_t m_count,
                          int64_t k_count,
                          int64_t n_count) {
    const float *columns = b->data;
    if (b->is_blocked) {
        sim_block_head head;
        memcpy(&head, b->data, sizeof(head));
        if (head.magic != SIM_BLOCK_MAGIC || head.k != k_count || head.n != n_count) {
            sim_violate("a weight was not prepared in the layout the exec asked for");
            return FER_BACKEND;
        }
        columns = (const float *)((const uint8_t *)b->data + sizeof(head));
    }
    for (int64_t m = 0; m < m_count; m++) {
        for (int64_t n = 0; n < n_count; n++) {
            double sum = 0;
            for (int64_t k = 0; k < k_count; k++) {
                int64_t at = b->is_blocked
                                 ? (n / SIM_BLOCK * k_count + k) * SIM_BLOCK + n % SIM_BLOCK
                                 : (int64_t)b_offset + k * n_count + n;
                sum += (double)a[m * k_count + k] * columns[at];
            }
            y[m * n_count + n] = (float)sum;
        }
    }
    return FER_OK;
}

static fer_status matmul(operands in, operands out) {
    const sim_operand *a = in[0], *b = in[1], *y = out[0];
    if (a->rank < 2 || b->rank < 2) {
        return FER_BACKEND;
    }
    int64_t m = a->dims[a->rank - 2], k = a->dims[a->rank - 1], n = b->dims[b->rank - 1];
    uint32_t batch_rank = y->rank - 2;
    int64_t a_strides[FER_MAX_RANK], b_strides[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    if (!feri_kit_broadcast_strides(batch_rank, y->dims, a->rank - 2, a->dims, a_strides) ||
        !feri_kit_broadcast_strides(batch_rank, y->dims, b->rank - 2, b->dims, b_strides)) {
        return FER_BACKEND;
    }
    int64_t batches = feri_kit_span(y->dims, 0, batch_rank);
    for (int64_t batch = 0; batch < batches; batch++) {
        int64_t rest = batch, a_at = 0, b_at = 0;
        for (uint32_t i = batch_rank; i-- > 0;) {
            index[i] = rest % y->dims[i];
            rest /= y->dims[i];
            a_at += index[i] * a_strides[i];
            b_at += index[i] * b_strides[i];
        }
        fer_status status = product((const float *)a->data + a_at * m * k,
                                    b,
                                    (uint64_t)(b_at * k * n),
                                    (float *)y->data + batch * m * n,
                                    m,
                                    k,
                                    n);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static void transpose(const fer_node_view *node, operands in, operands out) {
    const sim_operand *x = in[0], *y = out[0];
    int64_t strides[FER_MAX_RANK];
    feri_kit_strides(x->rank, x->dims, strides);
    for (uint64_t i = 0; i < y->count; i++) {
        uint64_t rest = i;
        int64_t from = 0;
        for (uint32_t d = y->rank; d-- > 0;) {
            int64_t source = attr_at(node, "perm", d, (int64_t)x->rank - 1 - d);
            from += (int64_t)(rest % (uint64_t)y->dims[d]) * strides[source];
            rest /= (uint64_t)y->dims[d];
        }
        ((float *)y->data)[i] = ((const float *)x->data)[from];
    }
}

static fer_status softmax(const fer_node_view *node, operands in, operands out) {
    const sim_operand *x = in[0];
    uint32_t axis = 0;
    if (!feri_kit_axis(attr_int(node, "axis", -1), x->rank, &axis)) {
        return FER_BACKEND;
    }
    int64_t outer = feri_kit_span(x->dims, 0, axis), count = x->dims[axis],
            inner = feri_kit_span(x->dims, axis + 1, x->rank);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            const float *from = (const float *)x->data + o * count * inner + i;
            float *to = (float *)out[0]->data + o * count * inner + i;
            double most = -INFINITY, sum = 0;
            for (int64_t k = 0; k < count; k++) {
                most = from[k * inner] > most ? from[k * inner] : most;
            }
            for (int64_t k = 0; k < count; k++) {
                sum += exp((double)from[k * inner] - most);
            }
            for (int64_t k = 0; k < count; k++) {
                to[k * inner] = (float)(exp((double)from[k * inner] - most) / sum);
            }
        }
    }
    return FER_OK;
}

static fer_status concat(const fer_node_view *node, operands in, operands out) {
    const sim_operand *y = out[0];
    uint32_t axis = 0;
    if (!feri_kit_axis(attr_int(node, "axis", 0), y->rank, &axis)) {
        return FER_BACKEND;
    }
    int64_t outer = feri_kit_span(y->dims, 0, axis),
            inner = feri_kit_span(y->dims, axis + 1, y->rank);
    int64_t row = y->dims[axis] * inner, at = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        int64_t piece = in[i]->dims[axis] * inner;
        for (int64_t o = 0; o < outer && piece > 0; o++) {
            memcpy((float *)y->data + o * row + at,
                   (const float *)in[i]->data + o * piece,
                   (size_t)piece * sizeof(float));
        }
        at += piece;
    }
    return FER_OK;
}

static double conv_one(const fer_node_view *node, operands in, const int64_t *at) {
    const sim_operand *x = in[0], *w = in[1];
    double sum = in[2] == NULL ? 0 : (double)((const float *)in[2]->data)[at[1]];
    for (int64_t c = 0; c < w->dims[1]; c++) {
        for (int64_t i = 0; i < w->dims[2]; i++) {
            for (int64_t j = 0; j < w->dims[3]; j++) {
                int64_t row = at[2] * attr_at(node, "strides", 0, 1) - attr_at(node, "pads", 0, 0) +
                              i * attr_at(node, "dilations", 0, 1);
                int64_t column = at[3] * attr_at(node, "strides", 1, 1) -
                                 attr_at(node, "pads", 1, 0) + j * attr_at(node, "dilations", 1, 1);
                if (row < 0 || row >= x->dims[2] || column < 0 || column >= x->dims[3]) {
                    continue;
                }
                int64_t from = ((at[0] * x->dims[1] + c) * x->dims[2] + row) * x->dims[3] + column;
                int64_t tap = ((at[1] * w->dims[1] + c) * w->dims[2] + i) * w->dims[3] + j;
                sum += (double)((const float *)x->data)[from] * ((const float *)w->data)[tap];
            }
        }
    }
    return sum;
}

static fer_status conv(const fer_node_view *node, operands in, operands out) {
    const sim_operand *y = out[0];
    const sim_operand *const with_bias[3] = {in[0], in[1], node->input_count > 2 ? in[2] : NULL};
    if (attr_int(node, "group", 1) != 1) {
        return FER_UNSUPPORTED;
    }
    for (uint64_t i = 0; i < y->count; i++) {
        int64_t at[4];
        uint64_t rest = i;
        for (uint32_t d = 4; d-- > 0;) {
            at[d] = (int64_t)(rest % (uint64_t)y->dims[d]);
            rest /= (uint64_t)y->dims[d];
        }
        ((float *)y->data)[i] = (float)conv_one(node, with_bias, at);
    }
    return FER_OK;
}

/* out is [rank, upper bound]; rows are packed to the actual count, as the host expects. */
static void non_zero(operands in, operands out, int64_t *out_dims) {
    const sim_operand *x = in[0];
    const float *values = x->data;
    int64_t *y = out[0]->data;
    int64_t found = 0, at = 0;
    for (uint64_t i = 0; i < x->count; i++) {
        found += values[i] != 0;
    }
    for (uint64_t i = 0; i < x->count; i++) {
        if (values[i] == 0) {
            continue;
        }
        uint64_t rest = i;
        for (uint32_t d = x->rank; d-- > 0;) {
            y[(int64_t)d * found + at] = (int64_t)(rest % (uint64_t)x->dims[d]);
            rest /= (uint64_t)x->dims[d];
        }
        at++;
    }
    out_dims[0] = x->rank;
    out_dims[1] = found;
}

fer_status sim_kernel(const fer_node_view *node,
                      const sim_operand *const *in,
                      const sim_operand *const *out,
                      int64_t *out_dims) {
    switch (node->op) {
    case FER_OP_Relu:
    case FER_OP_Neg:
        unary(node->op, in, out);
        return FER_OK;
    case FER_OP_Add:
    case FER_OP_Sub:
    case FER_OP_Mul:
        return binary(node->op, in, out);
    case FER_OP_MatMul:
        return matmul(in, out);
    case FER_OP_Identity:
    case FER_OP_Reshape:
        if (out[0]->count > 0) {
            memcpy(out[0]->data, in[0]->data, out[0]->count * sizeof(float));
        }
        return FER_OK;
    case FER_OP_Transpose:
        transpose(node, in, out);
        return FER_OK;
    case FER_OP_Softmax:
        return softmax(node, in, out);
    case FER_OP_Concat:
        return concat(node, in, out);
    case FER_OP_Conv:
        return conv(node, in, out);
    case FER_OP_NonZero:
        non_zero(in, out, out_dims);
        return FER_OK;
    default:
        return FER_UNSUPPORTED;
    }
}
