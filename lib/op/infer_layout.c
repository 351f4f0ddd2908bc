/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that arrange the same elements anew: Transpose, Reshape, Flatten, Squeeze, Unsqueeze,
 * Expand, Tile, and the two between depth and space. Joining and splitting: infer_join.c.
 */
#include "op/infer.h"

#include <string.h>

fer_status feri_infer_transpose(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    uint32_t count;
    const int64_t *perm = feri_infer_ints(call, "perm", &count);
    if (in->rank < 0) {
        if (perm && count > FER_MAX_RANK) {
            return feri_infer_fail(call, "perm has %u entries", count);
        }
        return perm ? feri_infer_set(call, 0, (int32_t)count, /*dims=*/NULL) : FER_OK;
    }
    if (perm && count != (uint32_t)in->rank) {
        return feri_infer_fail(
            call, "perm has %u entries for an operand of rank %d", count, (int)in->rank);
    }
    feri_sym dims[FER_MAX_RANK];
    int64_t strides[FER_MAX_RANK];
    int64_t moved[FER_MAX_RANK];
    uint32_t seen = 0;
    int is_small = feri_infer_is_small(in);
    if (is_small) {
        feri_infer_strides(in->rank, in->dims, strides);
    }
    for (int32_t i = 0; i < in->rank; i++) {
        int32_t axis = in->rank - 1 - i;
        if (perm) {
            FER_TRY(feri_infer_axis(call, "an entry of perm", perm[i], in->rank, &axis));
        }
        if (seen & (1u << axis)) {
            return feri_infer_fail(call, "perm names axis %d twice", (int)axis);
        }
        seen |= 1u << axis;
        dims[i] = in->dims[axis];
        moved[i] = is_small ? strides[axis] : 0;
    }
    FER_TRY(feri_infer_set(call, 0, in->rank, dims));
    if (is_small) {
        feri_infer_view(call, 0, 0, 0, moved);
    }
    return FER_OK;
}

/* ---- Reshape ---- */

/* Product of dims; unknown when one is, 0 when one is 0. */
static fer_status
product(const feri_infer *call, uint32_t count, const feri_sym *dims, feri_sym *out) {
    feri_sym total = feri_sym_number(1);
    int is_unknown = 0;
    int is_zero = 0;
    for (uint32_t i = 0; i < count; i++) {
        is_zero |= feri_sym_is_number(dims[i]) && dims[i].number == 0;
        is_unknown |= feri_sym_is_unknown(dims[i]);
        if (!is_unknown && !is_zero) {
            FER_TRY(feri_infer_mul(call, total, dims[i], &total));
            is_unknown |= feri_sym_is_unknown(total);
        }
    }
    *out = is_zero ? feri_sym_number(0) : is_unknown ? feri_sym_unknown() : total;
    return FER_OK;
}

/* What a Reshape's shape operand asks for: dims, and which one is to be found. */
typedef struct reshape {
    feri_sym dims[FER_MAX_RANK];
    feri_sym left[FER_MAX_RANK]; /* the operand's dims that no 0 copied */
    uint32_t left_count;
    feri_sym asked[FER_MAX_RANK]; /* dims given, neither copied nor found */
    uint32_t asked_count;
    int32_t found; /* index of -1, or of the only unknown; -1 none */
    uint32_t unknown_count;
    uint8_t has_minus_one;
} reshape;

static fer_status read_target(const feri_infer *call,
                              const feri_fact *data,
                              const feri_sym *shape,
                              uint32_t count,
                              reshape *r) {
    int allows_zero = feri_infer_int(call, "allowzero", 0) != 0;
    uint32_t copied = 0;
    int32_t minus_one = -1;
    int32_t last_unknown = -1;
    for (uint32_t i = 0; i < count; i++) {
        feri_sym dim = shape[i];
        int64_t low;
        int64_t high;
        feri_sym_bounds(call->terms, dim, &low, &high);
        if (!feri_sym_is_number(dim) && low < 0) {
            dim = feri_sym_unknown();
        }
        if (feri_sym_is_number(dim) && dim.number < -1) {
            return feri_infer_fail(call, "its shape asks for a dim of %lld", (long long)dim.number);
        }
        if (feri_sym_is_number(dim) && dim.number == -1) {
            if (minus_one >= 0) {
                return feri_infer_fail(call, "its shape has more than one -1");
            }
            minus_one = (int32_t)i;
            dim = feri_sym_unknown();
        } else if (feri_sym_is_number(dim) && dim.number == 0 && !allows_zero) {
            if (data->rank >= 0 && (int32_t)i >= data->rank) {
                return feri_infer_fail(call,
                                       "its shape copies dim %u, but the operand has rank %d",
                                       i,
                                       (int)data->rank);
            }
            dim = data->rank >= 0 ? data->dims[i] : feri_sym_unknown();
            copied |= 1u << i;
        } else if (feri_sym_is_unknown(dim)) {
            r->unknown_count++;
            last_unknown = (int32_t)i;
        } else {
            r->asked[r->asked_count++] = dim;
        }
        r->dims[i] = dim;
    }
    r->found = minus_one >= 0          ? (r->unknown_count == 0 ? minus_one : -1)
               : r->unknown_count == 1 ? last_unknown
                                       : -1;
    r->has_minus_one = minus_one >= 0;
    r->unknown_count += r->has_minus_one;
    for (int32_t i = 0; i < data->rank; i++) {
        if (!(copied & (1u << i))) {
            r->left[r->left_count++] = data->dims[i];
        }
    }
    return FER_OK;
}

static fer_status wrong_count(const feri_infer *call, feri_sym have, feri_sym want) {
    char left[96];
    char right[96];
    feri_sym_print(call->terms, have, left, sizeof(left));
    feri_sym_print(call->terms, want, right, sizeof(right));
    return feri_infer_fail(call,
                           "the operand's dims that its shape does not copy have %s elements, "
                           "the shape asks for %s",
                           left,
                           right);
}

static fer_status find_dim(const feri_infer *call, reshape *r) {
    feri_sym have;
    feri_sym asked;
    FER_TRY(product(call, r->left_count, r->left, &have));
    FER_TRY(product(call, r->asked_count, r->asked, &asked));
    if (feri_sym_is_unknown(have) || feri_sym_is_unknown(asked)) {
        return FER_OK;
    }
    if (r->found < 0) {
        return r->unknown_count == 0 && !feri_terms_require_equal(call->terms, have, asked)
                   ? wrong_count(call, have, asked)
                   : FER_OK;
    }
    if (feri_sym_is_number(asked) && asked.number == 0) {
        if (feri_sym_compare_equal(call->terms, have, asked) == 0) {
            return wrong_count(call, have, asked);
        }
        if (r->has_minus_one) {
            return feri_infer_fail(call, "its shape has a -1 beside a 0: any number would do");
        }
        r->dims[r->found] = feri_sym_number(0); /* of an empty tensor: any dim would do */
        return FER_OK;
    }
    feri_sym dim = feri_sym_div(call->terms, have, asked);
    feri_sym back = feri_sym_mul(call->terms, dim, asked);
    if (!feri_terms_require_equal(call->terms, have, back)) {
        return feri_infer_fail(call,
                               "its -1 cannot be a whole number: %lld elements over %lld",
                               (long long)have.number,
                               (long long)asked.number);
    }
    r->dims[r->found] = dim;
    return FER_OK;
}

fer_status feri_infer_reshape(feri_infer *call) {
    const feri_fact *data = feri_infer_in(call, 0);
    const feri_fact *shape_fact = feri_infer_in(call, 1);
    uint32_t count;
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    const feri_sym *shape = feri_infer_elements(call, 1, &count);
    if (!shape) {
        if (shape_fact->rank == 1 && feri_sym_is_number(shape_fact->dims[0])) {
            int64_t rank = shape_fact->dims[0].number;
            return feri_infer_set(
                call, 0, rank > FER_MAX_RANK ? FER_MAX_RANK + 1 : (int32_t)rank, NULL);
        }
        return FER_OK;
    }
    if (count > FER_MAX_RANK) {
        return feri_infer_set(call, 0, FER_MAX_RANK + 1, /*dims=*/NULL);
    }
    reshape r = {.found = -1};
    FER_TRY(read_target(call, data, shape, count, &r));
    if (data->rank >= 0) {
        FER_TRY(find_dim(call, &r));
    }
    FER_TRY(feri_infer_set(call, 0, (int32_t)count, r.dims));
    feri_infer_pass_elements(call, 0, 0);
    return FER_OK;
}

fer_status feri_infer_flatten(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    int64_t axis = feri_infer_int(call, "axis", 1);
    feri_sym dims[2];
    if (in->rank < 0) {
        return feri_infer_set(call, 0, 2, /*dims=*/NULL);
    }
    if (axis < -(int64_t)in->rank || axis > in->rank) {
        return feri_infer_fail(call,
                               "axis is %lld, for rank %d it must lie in [%d, %d]",
                               (long long)axis,
                               (int)in->rank,
                               -(int)in->rank,
                               (int)in->rank);
    }
    uint32_t at = (uint32_t)(axis < 0 ? axis + in->rank : axis);
    FER_TRY(product(call, at, in->dims, &dims[0]));
    FER_TRY(product(call, (uint32_t)in->rank - at, in->dims + at, &dims[1]));
    FER_TRY(feri_infer_set(call, 0, 2, dims));
    feri_infer_pass_elements(call, 0, 0);
    return FER_OK;
}

/* ---- Squeeze and Unsqueeze ---- */

/* Bits of the axes in operand 1 for a shape of this rank; 0 in *is_known when not known yet. */
static fer_status
read_axis_set(const feri_infer *call, int64_t rank, uint32_t *out_set, int *is_known) {
    int64_t axes[FER_MAX_RANK];
    uint32_t count;
    *out_set = 0;
    *is_known = feri_infer_numbers(call, 1, axes, FER_MAX_RANK, &count);
    for (uint32_t i = 0; *is_known && i < count; i++) {
        int32_t axis;
        FER_TRY(feri_infer_axis(call, "an axis", axes[i], (int32_t)rank, &axis));
        if (*out_set & (1u << axis)) {
            return feri_infer_fail(call, "axis %d is given twice", (int)axis);
        }
        *out_set |= 1u << axis;
    }
    return FER_OK;
}

fer_status feri_infer_squeeze(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    const feri_fact *axes = feri_infer_in(call, 1);
    uint32_t set = 0;
    int is_known = 1;
    FER_TRY(feri_infer_rank(call, 1, 0, 1));
    if (in->rank < 0) {
        return FER_OK;
    }
    if (axes) {
        FER_TRY(read_axis_set(call, in->rank, &set, &is_known));
        if (!is_known) {
            int is_counted = axes->rank == 1 && feri_sym_is_number(axes->dims[0]) &&
                             axes->dims[0].number <= in->rank;
            return is_counted ? feri_infer_set(call,
                                               0,
                                               in->rank - (int32_t)axes->dims[0].number,
                                               /*dims=*/NULL)
                              : FER_OK;
        }
    }
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = 0;
    for (int32_t i = 0; i < in->rank; i++) {
        feri_sym one = feri_sym_number(1);
        if (set & (1u << i)) {
            FER_TRY(feri_infer_equal(call, in->dims[i], one, "a squeezed dim and 1"));
            continue;
        }
        int is_one = axes ? 0 : feri_sym_compare_equal(call->terms, in->dims[i], one);
        if (is_one < 0) {
            return FER_OK; /* whether the dim goes is not known yet */
        }
        if (!is_one) {
            dims[rank++] = in->dims[i];
        }
    }
    FER_TRY(feri_infer_set(call, 0, rank, dims));
    feri_infer_pass_elements(call, 0, 0);
    return FER_OK;
}

fer_status feri_infer_unsqueeze(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    const feri_fact *axes = feri_infer_in(call, 1);
    uint32_t set;
    int is_known;
    FER_TRY(feri_infer_rank(call, 1, 0, 1));
    if (in->rank < 0 || axes->rank < 0 || (axes->rank == 1 && !feri_sym_is_number(axes->dims[0]))) {
        return FER_OK;
    }
    int64_t added = axes->rank == 0 ? 1 : axes->dims[0].number;
    if (added < 0 || in->rank + added > FER_MAX_RANK) {
        return feri_infer_set(call, 0, FER_MAX_RANK + 1, /*dims=*/NULL);
    }
    int32_t rank = in->rank + (int32_t)added;
    FER_TRY(read_axis_set(call, rank, &set, &is_known));
    if (!is_known) {
        return feri_infer_set(call, 0, rank, /*dims=*/NULL);
    }
    feri_sym dims[FER_MAX_RANK];
    int32_t from = 0;
    for (int32_t i = 0; i < rank; i++) {
        dims[i] = set & (1u << i) ? feri_sym_number(1) : in->dims[from++];
    }
    FER_TRY(feri_infer_set(call, 0, rank, dims));
    feri_infer_pass_elements(call, 0, 0);
    return FER_OK;
}

/* ---- Expand and Tile ---- */

/* Elements of a result whose every axis repeats the operand's (1 or cyclic). */
static void evaluate_cyclic(const feri_infer *call, const feri_fact *in) {
    uint32_t count;
    uint32_t out_count;
    const feri_fact *out = feri_infer_out(call, 0);
    const feri_sym *source = feri_infer_is_small(out) ? feri_infer_elements(call, 0, &count) : NULL;
    feri_sym *target = source && count ? feri_infer_new_elements(call, 0, &out_count) : NULL;
    for (uint32_t i = 0; target && i < out_count; i++) {
        uint32_t at = 0;
        uint32_t stride = 1;
        uint32_t rest = i;
        for (int32_t d = out->rank - 1; d >= 0; d--) {
            uint32_t dim = (uint32_t)out->dims[d].number;
            int32_t id = d - (out->rank - in->rank);
            if (id >= 0) {
                uint32_t in_dim = (uint32_t)in->dims[id].number;
                at += (rest % dim % in_dim) * stride;
                stride *= in_dim;
            }
            rest /= dim;
        }
        target[i] = at < count ? source[at] : feri_sym_unknown();
    }
    feri_infer_trim_elements(call, 0);
}

fer_status feri_infer_expand(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    const feri_fact *shape_fact = feri_infer_in(call, 1);
    uint32_t count;
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    const feri_sym *shape = feri_infer_elements(call, 1, &count);
    if (!shape) {
        if (in->rank >= 0 && shape_fact->rank == 1 && feri_sym_is_number(shape_fact->dims[0])) {
            int64_t length = shape_fact->dims[0].number;
            length = length > FER_MAX_RANK ? FER_MAX_RANK + 1 : length;
            return feri_infer_set(
                call, 0, in->rank > length ? in->rank : (int32_t)length, /*dims=*/NULL);
        }
        return FER_OK;
    }
    if (count > FER_MAX_RANK) {
        return feri_infer_set(call, 0, FER_MAX_RANK + 1, /*dims=*/NULL);
    }
    for (uint32_t i = 0; i < count; i++) {
        FER_TRY(feri_infer_check_dim(call, shape[i], "a dim of its shape"));
    }
    if (in->rank < 0) {
        return FER_OK;
    }
    feri_sym dims[FER_MAX_RANK];
    int32_t rank;
    FER_TRY(feri_infer_broadcast(call, in->rank, in->dims, (int32_t)count, shape, &rank, dims));
    FER_TRY(feri_infer_set(call, 0, rank, dims));
    evaluate_cyclic(call, in);
    return FER_OK;
}

fer_status feri_infer_tile(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    uint32_t count;
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    if (in->rank < 0) {
        return FER_OK;
    }
    const feri_sym *repeats = feri_infer_elements(call, 1, &count);
    if (!repeats) {
        return feri_infer_set(call, 0, in->rank, /*dims=*/NULL);
    }
    if (count != (uint32_t)in->rank) {
        return feri_infer_fail(
            call, "it has %u repeats for an operand of rank %d", count, (int)in->rank);
    }
    feri_sym dims[FER_MAX_RANK];
    for (uint32_t i = 0; i < count; i++) {
        FER_TRY(feri_infer_check_dim(call, repeats[i], "a repeat"));
        FER_TRY(feri_infer_mul(call, in->dims[i], repeats[i], &dims[i]));
    }
    FER_TRY(feri_infer_set(call, 0, in->rank, dims));
    evaluate_cyclic(call, in);
    return FER_OK;
}

/* ---- depth and space ---- */

static fer_status
divide_dim(const feri_infer *call, feri_sym dim, int64_t by, const char *what, feri_sym *out) {
    if (feri_sym_is_number(dim) && dim.number % by != 0) {
        return feri_infer_fail(call,
                               "%s is %lld, which blocksize makes indivisible by %lld",
                               what,
                               (long long)dim.number,
                               (long long)by);
    }
    *out = feri_sym_div(call->terms, dim, feri_sym_number(by));
    return FER_OK;
}

fer_status feri_infer_depth_space(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    int64_t block = feri_infer_int(call, "blocksize", 0);
    int64_t area;
    FER_TRY(feri_infer_rank(call, 0, 4, 4));
    if (block <= 0 || __builtin_mul_overflow(block, block, &area)) {
        return feri_infer_fail(call, "blocksize is %lld, it must be positive", (long long)block);
    }
    if (in->rank < 0) {
        return feri_infer_set(call, 0, 4, /*dims=*/NULL);
    }
    feri_sym dims[4] = {in->dims[0]};
    if (strcmp(call->op->name, "DepthToSpace") == 0) {
        const char *mode = feri_infer_string(call, "mode", "DCR");
        if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0) {
            return feri_infer_fail(call, "mode is '%s', it must be DCR or CRD", mode);
        }
        FER_TRY(divide_dim(call, in->dims[1], area, "the channel dim", &dims[1]));
        FER_TRY(feri_infer_mul(call, in->dims[2], feri_sym_number(block), &dims[2]));
        FER_TRY(feri_infer_mul(call, in->dims[3], feri_sym_number(block), &dims[3]));
    } else {
        FER_TRY(feri_infer_mul(call, in->dims[1], feri_sym_number(area), &dims[1]));
        FER_TRY(divide_dim(call, in->dims[2], block, "the height", &dims[2]));
        FER_TRY(divide_dim(call, in->dims[3], block, "the width", &dims[3]));
    }
    return feri_infer_set(call, 0, 4, dims);
}
