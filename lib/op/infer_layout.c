/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that arrange the same elements anew: Transpose, Reshape, Flatten, Squeeze, Unsqueeze,
 * Expand, Tile, and the two between depth and space. Joining and splitting: infer_join.c.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

void feri_infer_transpose(feri_infer *call) {
    const feri_fact *in = call->in[0];
    uint32_t count;
    const int64_t *perm = feri_infer_ints(call, "perm", &count);
    int32_t axes[FER_MAX_RANK];
    int64_t strides[FER_MAX_RANK];
    int64_t moved[FER_MAX_RANK];
    feri_sym dims[FER_MAX_RANK];
    if (in->rank < 0) {
        int32_t rank = count > FER_MAX_RANK ? FER_MAX_RANK + 1 : (int32_t)count;
        feri_infer_set(call, 0, perm ? rank : -1, /*dims=*/NULL);
        return;
    }
    if (count != (uint32_t)in->rank && feri_attr_find(call->attrs, call->attr_count, "perm")) {
        feri_infer_fail(
            call, "perm has %u entries for an operand of rank %d", count, (int)in->rank);
        return;
    }
    FERI_STEP(feri_infer_axes(call, perm, (uint32_t)in->rank, in->rank, axes));
    feri_infer_strides(in->rank, in->dims, strides);
    for (int32_t i = 0; i < in->rank; i++) {
        int32_t axis = perm ? axes[i] : in->rank - 1 - i;
        dims[i] = in->dims[axis];
        moved[i] = strides[axis];
    }
    feri_infer_set(call, 0, in->rank, dims);
    feri_infer_view(call, 0, 0, 0, moved);
}

/* ---- Reshape ---- */

/* What a Reshape's shape operand asks for. */
typedef struct reshape {
    feri_sym left;          /* product of the operand's dims that no 0 copied */
    feri_sym asked;         /* product of the dims given, neither copied nor to be found */
    uint32_t unknown_count; /* dims to be found: -1, or not known */
    uint32_t found;         /* the last of them */
    uint8_t has_minus_one;
    feri_sym dims[FER_MAX_RANK];
} reshape;

static void read_target(
    feri_infer *call, const feri_fact *data, const feri_sym *shape, uint32_t count, reshape *r) {
    int allows_zero = feri_infer_int(call, "allowzero", 0) != 0;
    uint32_t copied = 0;
    for (uint32_t i = 0; i < count; i++) {
        feri_sym dim = shape[i];
        int64_t low;
        int64_t high;
        feri_sym_bounds(call->terms, dim, &low, &high);
        if (feri_sym_is_number(dim) && low < -1) {
            feri_infer_fail(call, "its shape asks for a dim of %lld", (long long)low);
        }
        if (low < 0) { /* a -1, or a dim that could be one */
            if (feri_sym_is_number(dim) && r->has_minus_one++) {
                feri_infer_fail(call, "its shape has more than one -1");
            }
            dim = feri_sym_unknown();
            r->unknown_count++;
            r->found = i;
        } else if (feri_sym_is_number(dim) && low == 0 && !allows_zero) {
            if (data->rank >= 0 && (int32_t)i >= data->rank) {
                feri_infer_fail(call,
                                "its shape copies dim %u, but the operand has rank %d",
                                i,
                                (int)data->rank);
            }
            dim = feri_infer_dim(data, (int32_t)i);
            copied |= 1u << i;
        } else {
            r->asked = feri_infer_mul(call, r->asked, dim);
        }
        r->dims[i] = dim;
    }
    for (int32_t i = 0; i < data->rank; i++) {
        if (!(copied & (1u << i))) {
            r->left = feri_infer_mul(call, r->left, data->dims[i]);
        }
    }
}

static void find_dim(feri_infer *call, reshape *r) {
    feri_sym whole = r->asked;
    if (feri_sym_is_unknown(r->left) || feri_sym_is_unknown(whole) || r->unknown_count > 1) {
        return;
    }
    if (r->unknown_count == 1) {
        feri_sym dim = feri_sym_number(0); /* of an empty tensor: any dim would do */
        if (!feri_sym_is_number(whole) || whole.number != 0) {
            dim = feri_sym_div(call->terms, r->left, whole);
            whole = feri_sym_mul(call->terms, dim, whole);
        } else if (r->has_minus_one && feri_sym_compare_equal(call->terms, r->left, whole)) {
            feri_infer_fail(call, "its shape has a -1 beside a 0: any number would do");
        }
        r->dims[r->found] = dim;
    }
    feri_infer_equal(call, r->left, whole, "the elements to arrange and those its shape asks for");
}

void feri_infer_reshape(feri_infer *call) {
    const feri_fact *data = call->in[0];
    int32_t count;
    const feri_sym *shape = feri_infer_shape_operand(call, 1, &count);
    reshape r = {.left = data->rank < 0 ? feri_sym_unknown() : feri_sym_number(1),
                 .asked = feri_sym_number(1)};
    if (shape) {
        read_target(call, data, shape, (uint32_t)count, &r);
        find_dim(call, &r);
    }
    feri_infer_set(call, 0, count, shape ? r.dims : NULL);
    feri_infer_pass_elements(call);
}

void feri_infer_flatten(feri_infer *call) {
    const feri_fact *in = call->in[0];
    int64_t axis = feri_infer_int(call, "axis", 1);
    feri_sym dims[2] = {feri_sym_number(1), feri_sym_number(1)};
    if (in->rank < 0) {
        feri_infer_set(call, 0, 2, /*dims=*/NULL);
        return;
    }
    int64_t at = axis < 0 ? axis + in->rank : axis;
    if (at < 0 || at > in->rank) {
        feri_infer_fail(call,
                        "axis is %lld, for rank %d it must lie in [%d, %d]",
                        (long long)axis,
                        (int)in->rank,
                        -(int)in->rank,
                        (int)in->rank);
    }
    for (int32_t i = 0; i < in->rank; i++) {
        dims[i >= at] = feri_infer_mul(call, dims[i >= at], in->dims[i]);
    }
    feri_infer_set(call, 0, 2, dims);
    feri_infer_pass_elements(call);
}

/* ---- Squeeze and Unsqueeze ---- */

void feri_infer_squeeze(feri_infer *call) {
    const feri_fact *in = call->in[0];
    const feri_fact *axes = feri_infer_in(call, 1);
    const feri_sym one = feri_sym_number(1);
    int32_t count;
    uint32_t set;
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = 0;
    if (in->rank < 0) {
        return;
    }
    if (!feri_infer_axes_operand(call, 1, in->rank, /*axes=*/NULL, &count, &set)) {
        feri_infer_set(call, 0, count < 0 ? -1 : in->rank - count, /*dims=*/NULL);
        return;
    }
    for (int32_t i = 0; i < in->rank; i++) {
        int goes = (set >> i) & 1;
        if (goes) {
            feri_infer_equal(call, in->dims[i], one, "a squeezed dim and 1");
        } else if (!axes) {
            goes = feri_sym_compare_equal(call->terms, in->dims[i], one);
        }
        if (goes < 0) {
            return; /* not known yet */
        }
        if (!goes) {
            dims[rank++] = in->dims[i];
        }
    }
    feri_infer_set(call, 0, rank, dims);
    feri_infer_pass_elements(call);
}

void feri_infer_unsqueeze(feri_infer *call) {
    const feri_fact *in = call->in[0];
    feri_sym added = feri_fact_count(call->in[1], call->terms);
    int32_t count;
    uint32_t set;
    feri_sym dims[FER_MAX_RANK];
    if (in->rank < 0 || !feri_sym_is_number(added)) {
        return;
    }
    int32_t rank =
        added.number > FER_MAX_RANK ? FER_MAX_RANK + 1 : in->rank + (int32_t)added.number;
    if (rank > FER_MAX_RANK ||
        !feri_infer_axes_operand(call, 1, rank, /*axes=*/NULL, &count, &set)) {
        feri_infer_set(call, 0, rank, /*dims=*/NULL);
        return;
    }
    int32_t from = 0;
    for (int32_t i = 0; i < rank; i++) {
        dims[i] = set & (1u << i) ? feri_sym_number(1) : feri_infer_dim(in, from++);
    }
    feri_infer_set(call, 0, rank, dims);
    feri_infer_pass_elements(call);
}

/* ---- Expand and Tile ---- */

void feri_infer_expand(feri_infer *call) {
    const feri_fact *in = call->in[0];
    int32_t count;
    const feri_sym *shape = feri_infer_shape_operand(call, 1, &count);
    feri_sym dims[FER_MAX_RANK];
    if (in->rank < 0 || count < 0) {
        return;
    }
    if (!shape) {
        feri_infer_set(call, 0, in->rank > count ? in->rank : count, /*dims=*/NULL);
        return;
    }
    int32_t rank = feri_infer_broadcast(call, in->rank, in->dims, count, shape, dims);
    feri_infer_set(call, 0, rank, dims);
    feri_infer_spread(call, 0);
}

void feri_infer_tile(feri_infer *call) {
    const feri_fact *in = call->in[0];
    int32_t count;
    const feri_sym *repeats = feri_infer_shape_operand(call, 1, &count);
    feri_sym dims[FER_MAX_RANK];
    if (repeats && in->rank >= 0 && count != in->rank) {
        feri_infer_fail(
            call, "it has %d repeats for an operand of rank %d", (int)count, (int)in->rank);
        return;
    }
    for (int32_t i = 0; repeats && i < in->rank; i++) {
        feri_infer_check_dim(call, repeats[i], "a repeat");
        dims[i] = feri_infer_mul(call, in->dims[i], repeats[i]);
    }
    feri_infer_set(call, 0, in->rank, repeats ? dims : NULL);
}

/* ---- depth and space ---- */

/* dim / by, which must be whole. */
static feri_sym divide_dim(feri_infer *call, feri_sym dim, feri_sym by) {
    feri_sym part = feri_sym_div(call->terms, dim, by);
    feri_infer_equal(call,
                     dim,
                     feri_sym_mul(call->terms, part, by),
                     "a dim and the multiple that blocksize makes of its parts");
    return part;
}

void feri_infer_depth_space(feri_infer *call) {
    const feri_fact *in = call->in[0];
    int is_to_space = call->op->number == FER_OP_DepthToSpace;
    feri_sym block = feri_sym_number(feri_infer_positive(call, "blocksize", 0));
    feri_sym by = feri_infer_mul(call, block, block); /* of the channels */
    feri_sym dims[4] = {feri_infer_dim(in, 0)};
    feri_infer_rank(call, 0, 4, 4);
    feri_infer_choice(call, "mode", "DCR, CRD");
    for (int32_t i = 1; i < 4; i++) {
        feri_sym dim = feri_infer_dim(in, i);
        dims[i] =
            (i == 1) == is_to_space ? divide_dim(call, dim, by) : feri_infer_mul(call, dim, by);
        by = block;
    }
    feri_infer_set(call, 0, 4, dims);
}
