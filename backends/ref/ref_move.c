/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that move whole blocks: copies under another shape, Transpose, Slice, Split, Concat, Expand,
 * Tile, DepthToSpace, SpaceToDepth. All are strided block copies by element size. Operands that say
 * where (starts, axes, repeats) are read in every run and checked against the output's dims.
 * Called through the step list.
 */
#include "ref/ref_elements.h"

#include <string.h>

static fer_status run_copy(feri_ref_call *call) {
    return feri_ref_copy_all(call, call->in[0], call->out[0]);
}

static int same_dims_but(const feri_ref_tensor *a, const feri_ref_tensor *b, uint32_t axis) {
    for (uint32_t d = 0; d < a->rank; d++) {
        if (d != axis && a->dims[d] != b->dims[d]) {
            return 0;
        }
    }
    return a->rank == b->rank;
}

/* ---- Transpose, DepthToSpace and SpaceToDepth: dims are the input's, seen in another order ----
 */

static fer_status
permute(feri_ref_call *call, uint32_t rank, const int64_t *dims, const char *perm) {
    feri_ref_move move;
    int64_t strides[FER_MAX_RANK];
    feri_ref_move_init(&move, call->in[0], call->out[0]);
    feri_kit_strides(rank, dims, strides);
    move.rank = rank;
    for (uint32_t d = 0; d < rank; d++) {
        move.dims[d] = dims[perm[d] - '0'];
        move.from_strides[d] = strides[perm[d] - '0'];
    }
    feri_kit_strides(rank, move.dims, move.to_strides);
    return feri_ref_move_run(call, &move);
}

static fer_status run_transpose(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *out = call->out[0];
    const fer_attr *attr = feri_ref_attr(call->node, "perm");
    char perm[FER_MAX_RANK];
    uint32_t seen = 0;
    if (out->count != in->count || (attr && attr->count != in->rank)) {
        return feri_ref_unfit(call);
    }
    for (uint32_t d = 0; d < in->rank; d++) {
        uint32_t from = in->rank - 1 - d;
        if ((attr && !feri_kit_axis(attr->value.ints[d], in->rank, &from)) ||
            (seen & (1u << from))) {
            return feri_ref_unfit(call);
        }
        seen |= 1u << from;
        perm[d] = (char)('0' + from);
    }
    return permute(call, in->rank, in->dims, perm);
}

/* NCHW with blocks of b x b, in the channels of the deep side. */
static fer_status run_depth(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int is_to_depth = call->node->op == FER_OP_SpaceToDepth;
    int64_t b = feri_ref_int(call->node, "blocksize", 0);
    if (in->rank != 4 || out->rank != 4 || b < 1 || b > INT32_MAX || in->count != out->count ||
        (is_to_depth ? in->dims[2] % b != 0 || in->dims[3] % b != 0 : in->dims[1] % (b * b) != 0)) {
        return feri_ref_unfit(call);
    }
    int64_t n = in->dims[0], c = in->dims[1], h = in->dims[2], w = in->dims[3];
    if (is_to_depth) { /* N C H b W b becomes N b b C H W */
        const int64_t dims[6] = {n, c, h / b, b, w / b, b};
        return permute(call, 6, dims, "035124");
    }
    int64_t deep = c / (b * b);
    if (feri_ref_string_is(call->node, "mode", "DCR", "CRD")) {
        const int64_t dims[6] = {n, deep, b, b, h, w};
        return permute(call, 6, dims, "014253");
    }
    const int64_t dims[6] = {n, b, b, deep, h, w};
    return permute(call, 6, dims, "034152");
}

/* ---- Slice ---- */

typedef struct slice_axis {
    int64_t start;
    int64_t count;
    int64_t step;
} slice_axis;

/* ONNX's clamping; counts elements without forming a number that could overflow. */
static slice_axis slice_one(int64_t dim, int64_t start, int64_t end, int64_t step) {
    int64_t low = step > 0 ? 0 : -1;
    int64_t high = step > 0 ? dim : dim - 1;
    start = start < 0 ? start + dim : start;
    end = end < 0 ? end + dim : end;
    start = start < 0 ? 0 : start;
    start = start > high ? high : start; /* of an empty axis, backwards: -1 */
    end = end < low ? low : end > high ? high : end;
    slice_axis axis = {.start = start, .count = 0, .step = step};
    if (step > 0 && end > start) {
        axis.count = (end - start - 1) / step + 1;
    } else if (step < 0 && start > end) {
        uint64_t size = 0 - (uint64_t)step;
        axis.count = (int64_t)((uint64_t)(start - end - 1) / size) + 1;
    }
    return axis;
}

/* Entry i of operand k, 1 to 4: starts, ends, axes, steps. */
static int64_t entry(feri_ref_call *call, uint32_t k, uint64_t i, int64_t absent) {
    const feri_ref_tensor *t = feri_ref_input(call, k);
    return t ? feri_ref_scalar_i64(call, t, i) : absent;
}

static fer_status read_slices(feri_ref_call *call, slice_axis *slices) {
    const feri_ref_tensor *in = call->in[0];
    uint64_t count = call->in[1]->count;
    for (uint32_t k = 2; k < 5; k++) {
        const feri_ref_tensor *t = feri_ref_input(call, k);
        if ((t && t->count != count) || count > in->rank) {
            return feri_ref_unfit(call);
        }
    }
    for (uint32_t d = 0; d < in->rank; d++) {
        slices[d] = (slice_axis){.start = 0, .count = in->dims[d], .step = 1};
    }
    for (uint64_t i = 0; i < count; i++) {
        uint32_t axis = 0;
        int64_t step = entry(call, 4, i, 1);
        if (!feri_kit_axis(entry(call, 3, i, (int64_t)i), in->rank, &axis)) {
            return feri_ref_unfit(call);
        }
        if (step == 0) {
            return feri_ref_unfit(call);
        }
        slices[axis] = slice_one(in->dims[axis], entry(call, 1, i, 0), entry(call, 2, i, 0), step);
    }
    return FER_OK;
}

static fer_status run_slice(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    slice_axis slices[FER_MAX_RANK];
    feri_ref_move move;
    if (read_slices(call, slices)) {
        return call->status;
    }
    feri_ref_move_init(&move, in, out);
    if (out->rank != in->rank) {
        return feri_ref_unfit(call);
    }
    for (uint32_t d = 0; d < in->rank; d++) {
        int64_t *stride = &move.from_strides[d];
        if (slices[d].count != out->dims[d]) {
            return feri_ref_unfit(call);
        }
        if (out->count > 0) {
            move.from_offset += slices[d].start * *stride;
            *stride = slices[d].count > 1 ? *stride * slices[d].step : 0;
        }
    }
    return feri_ref_move_run(call, &move);
}

/* ---- Split and Concat: part is a stretch of whole along axis, beginning at start ---- */

static fer_status move_part(feri_ref_call *call,
                            const feri_ref_tensor *whole,
                            const feri_ref_tensor *part,
                            uint32_t axis,
                            int64_t start,
                            int to_whole) {
    feri_ref_move move;
    if (!same_dims_but(part, whole, axis) || part->dims[axis] > whole->dims[axis] - start) {
        return feri_ref_unfit(call);
    }
    feri_ref_move_init(&move, to_whole ? part : whole, to_whole ? whole : part);
    memcpy(move.dims, part->dims, sizeof move.dims);
    if (part->count > 0) {
        *(to_whole ? &move.to_offset : &move.from_offset) =
            start * (to_whole ? move.to_strides : move.from_strides)[axis];
    }
    return feri_ref_move_run(call, &move);
}

static fer_status run_concat(feri_ref_call *call) {
    feri_ref_tensor *out = call->out[0];
    uint32_t axis;
    if (!feri_kit_axis(feri_ref_int(call->node, "axis", 0), out->rank, &axis)) {
        return feri_ref_unfit(call);
    }
    int64_t start = 0;
    for (uint32_t k = 0; k < call->node->input_count; k++) {
        const feri_ref_tensor *in = call->in[k];
        if (move_part(call, out, in, axis, start, /*to_whole=*/1)) {
            return call->status;
        }
        start += in->dims[axis];
    }
    return start == out->dims[axis] ? FER_OK : feri_ref_unfit(call);
}

static fer_status run_split(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *split = feri_ref_input(call, 1);
    uint32_t parts = call->node->output_count;
    uint32_t axis;
    if (!feri_kit_axis(feri_ref_int(call->node, "axis", 0), in->rank, &axis)) {
        return feri_ref_unfit(call);
    }
    if (parts == 0 || (split && split->count != parts)) {
        return feri_ref_unfit(call);
    }
    int64_t dim = in->dims[axis];
    int64_t each = dim / parts + (dim % parts != 0); /* the last may be shorter */
    int64_t start = 0;
    for (uint32_t k = 0; k < parts; k++) {
        int64_t left = dim - start;
        int64_t size = split ? feri_ref_scalar_i64(call, split, k) : each < left ? each : left;
        if (size < 0 || size > left) {
            return feri_ref_unfit(call);
        }
        const feri_ref_tensor *out = call->out[k]; /* its rank: see move_part */
        if (out && out->dims[axis] != size) {
            return feri_ref_unfit(call);
        }
        if (out && move_part(call, in, out, axis, start, /*to_whole=*/0)) {
            return call->status;
        }
        start += size;
    }
    return FER_OK;
}

/* ---- Expand and Tile ---- */

static fer_status run_expand(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    feri_ref_move move;
    feri_ref_move_init(&move, in, out);
    return feri_kit_broadcast_strides(out->rank, out->dims, in->rank, in->dims, move.from_strides)
               ? feri_ref_move_run(call, &move)
               : feri_ref_unfit(call);
}

/* The input goes into the output's first corner, which is then repeated along one axis after
 * another: no more dims are needed than the tensor has. */
static fer_status run_tile(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    feri_ref_move move;
    if (out->rank != in->rank) {
        return feri_ref_unfit(call);
    }
    for (uint32_t d = 0; d < in->rank; d++) {
        if (in->dims[d] == 0 ? out->dims[d] != 0 : out->dims[d] % in->dims[d] != 0) {
            return feri_ref_unfit(call);
        }
    }
    if (out->count == 0) {
        return FER_OK;
    }
    feri_ref_move_init(&move, in, out);
    memcpy(move.dims, in->dims, sizeof move.dims);
    (void)feri_ref_move_run(call, &move);
    move.from = out->data;
    memcpy(move.from_strides, move.to_strides, sizeof move.from_strides);
    for (uint32_t d = in->rank; d-- > 0;) {
        int64_t done = move.dims[d];
        for (int64_t at = done; at < out->dims[d] && call->status == FER_OK; at += done) {
            move.to_offset = at * move.to_strides[d];
            (void)feri_ref_move_run(call, &move);
        }
        move.dims[d] = out->dims[d];
    }
    return call->status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_move[] = {
    FERI_REF_KERNEL(Identity, 25, .run = run_copy)
    FERI_REF_KERNEL(Reshape, 25, .run = run_copy)
    FERI_REF_KERNEL(Flatten, 25, .run = run_copy)
    FERI_REF_KERNEL(Squeeze, 25, .run = run_copy)
    FERI_REF_KERNEL(Unsqueeze, 25, .run = run_copy)
    FERI_REF_KERNEL(Transpose, 25, .run = run_transpose)
    FERI_REF_KERNEL(Slice, 13, .run = run_slice)
    FERI_REF_KERNEL(Split, 18, .run = run_split)
    FERI_REF_KERNEL(Concat, 13, .run = run_concat)
    FERI_REF_KERNEL(Expand, 13, .run = run_expand)
    FERI_REF_KERNEL(Tile, 13, .run = run_tile)
    FERI_REF_KERNEL(DepthToSpace, 13, .run = run_depth)
    FERI_REF_KERNEL(SpaceToDepth, 13, .run = run_depth)
    FERI_REF_END
};
/* clang-format on */
