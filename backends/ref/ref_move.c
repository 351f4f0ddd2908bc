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

static fer_status wrong_dims(const feri_ref_call *call) {
    return feri_ref_fail(call,
                         FER_INVALID_INPUT,
                         "the output's shape does not follow from the inputs and attributes");
}

static int same_dims_but(const feri_ref_tensor *a, const feri_ref_tensor *b, uint32_t axis) {
    for (uint32_t d = 0; d < a->rank; d++) {
        if (d != axis && a->dims[d] != b->dims[d]) {
            return 0;
        }
    }
    return a->rank == b->rank;
}

/* ---- Transpose ---- */

static fer_status run_transpose(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    const fer_attr *perm = feri_ref_attr(call->node, "perm");
    if (out->rank != in->rank || (perm && perm->count != in->rank)) {
        return wrong_dims(call);
    }
    int64_t in_strides[FER_MAX_RANK];
    int64_t out_strides[FER_MAX_RANK];
    int64_t moved[FER_MAX_RANK];
    uint32_t seen = 0;
    feri_kit_strides(in->rank, in->dims, in_strides);
    feri_kit_strides(out->rank, out->dims, out_strides);
    for (uint32_t d = 0; d < in->rank; d++) {
        uint32_t from = in->rank - 1 - d;
        if (perm && !feri_kit_axis(perm->value.ints[d], in->rank, &from)) {
            return feri_ref_fail(call, FER_INVALID_INPUT, "perm names an axis that is not there");
        }
        if (in->dims[from] != out->dims[d] || (seen & (1u << from))) {
            return wrong_dims(call);
        }
        seen |= 1u << from;
        moved[d] = in_strides[from];
    }
    feri_ref_block block = {.bits = feri_ref_bits(in->dtype),
                            .rank = out->rank,
                            .dims = out->dims,
                            .destination = out->data,
                            .destination_strides = out_strides,
                            .source = in->data,
                            .source_strides = moved};
    return feri_ref_copy_block(call, &block);
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
    start = start < 0 ? 0 : start > high ? high : start;
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

static const feri_ref_tensor *optional(const feri_ref_call *call, uint32_t index) {
    return index < call->node->input_count ? call->in[index] : NULL;
}

static fer_status read_slices(feri_ref_call *call, slice_axis *slices) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *starts = call->in[1];
    const feri_ref_tensor *ends = call->in[2];
    const feri_ref_tensor *axes = optional(call, 3);
    const feri_ref_tensor *steps = optional(call, 4);
    uint64_t count = starts->count;
    if (ends->count != count || (axes && axes->count != count) ||
        (steps && steps->count != count) || count > in->rank) {
        return feri_ref_fail(
            call, FER_INVALID_INPUT, "starts, ends, axes and steps must have one entry per axis");
    }
    for (uint32_t d = 0; d < in->rank; d++) {
        slices[d] = (slice_axis){.start = 0, .count = in->dims[d], .step = 1};
    }
    for (uint64_t i = 0; i < count; i++) {
        uint32_t axis = (uint32_t)i;
        int64_t step = steps ? feri_ref_scalar_i64(call->host, steps, i) : 1;
        if (axes && !feri_kit_axis(feri_ref_scalar_i64(call->host, axes, i), in->rank, &axis)) {
            return feri_ref_fail(call, FER_INVALID_INPUT, "axes names an axis that is not there");
        }
        if (step == 0) {
            return feri_ref_fail(call, FER_INVALID_INPUT, "a step is 0; it must not be");
        }
        slices[axis] = slice_one(in->dims[axis],
                                 feri_ref_scalar_i64(call->host, starts, i),
                                 feri_ref_scalar_i64(call->host, ends, i),
                                 step);
    }
    return FER_OK;
}

static fer_status run_slice(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    slice_axis slices[FER_MAX_RANK];
    int64_t in_strides[FER_MAX_RANK];
    int64_t out_strides[FER_MAX_RANK];
    fer_status status = read_slices(call, slices);
    if (status != FER_OK) {
        return status;
    }
    feri_kit_strides(in->rank, in->dims, in_strides);
    feri_kit_strides(out->rank, out->dims, out_strides);
    if (out->rank != in->rank) {
        return wrong_dims(call);
    }
    int64_t offset = 0;
    for (uint32_t d = 0; d < in->rank; d++) {
        if (slices[d].count != out->dims[d]) {
            return wrong_dims(call);
        }
        if (out->count > 0) {
            offset += slices[d].start * in_strides[d];
            in_strides[d] = slices[d].count > 1 ? in_strides[d] * slices[d].step : 0;
        }
    }
    feri_ref_block block = {.bits = feri_ref_bits(in->dtype),
                            .rank = out->rank,
                            .dims = out->dims,
                            .destination = out->data,
                            .destination_strides = out_strides,
                            .source = in->data,
                            .source_offset = offset,
                            .source_strides = in_strides};
    return feri_ref_copy_block(call, &block);
}

/* ---- Split and Concat: part is a stretch of whole along axis, beginning at start ---- */

static fer_status move_part(feri_ref_call *call,
                            const feri_ref_tensor *whole,
                            const feri_ref_tensor *part,
                            uint32_t axis,
                            int64_t start,
                            int to_whole) {
    int64_t whole_strides[FER_MAX_RANK];
    int64_t part_strides[FER_MAX_RANK];
    feri_kit_strides(whole->rank, whole->dims, whole_strides);
    feri_kit_strides(part->rank, part->dims, part_strides);
    int64_t offset = part->count > 0 ? start * whole_strides[axis] : 0;
    feri_ref_block block = {.bits = feri_ref_bits(whole->dtype),
                            .rank = part->rank,
                            .dims = part->dims,
                            .destination = to_whole ? whole->data : part->data,
                            .destination_offset = to_whole ? offset : 0,
                            .destination_strides = to_whole ? whole_strides : part_strides,
                            .source = to_whole ? part->data : whole->data,
                            .source_offset = to_whole ? 0 : offset,
                            .source_strides = to_whole ? part_strides : whole_strides};
    return feri_ref_copy_block(call, &block);
}

static fer_status run_concat(feri_ref_call *call) {
    feri_ref_tensor *out = call->out[0];
    uint32_t axis;
    if (!feri_kit_axis(feri_ref_int(call->node, "axis", 0), out->rank, &axis)) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "axis is not an axis of the inputs");
    }
    int64_t start = 0;
    for (uint32_t k = 0; k < call->node->input_count; k++) {
        const feri_ref_tensor *in = call->in[k];
        if (!same_dims_but(in, out, axis) || in->dims[axis] > out->dims[axis] - start) {
            return wrong_dims(call);
        }
        fer_status status = move_part(call, out, in, axis, start, /*to_whole=*/1);
        if (status != FER_OK) {
            return status;
        }
        start += in->dims[axis];
    }
    return start == out->dims[axis] ? FER_OK : wrong_dims(call);
}

static fer_status run_split(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *split = optional(call, 1);
    uint32_t parts = call->node->output_count;
    uint32_t axis;
    if (!feri_kit_axis(feri_ref_int(call->node, "axis", 0), in->rank, &axis)) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "axis is not an axis of the input");
    }
    if (parts == 0 || (split && split->count != parts)) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "split must have one size per output");
    }
    int64_t dim = in->dims[axis];
    int64_t each = dim / parts + (dim % parts != 0); /* the last may be shorter */
    int64_t start = 0;
    for (uint32_t k = 0; k < parts; k++) {
        int64_t left = dim - start;
        int64_t size = split         ? feri_ref_scalar_i64(call->host, split, k)
                       : each < left ? each
                                     : left;
        if (size < 0 || size > left) {
            return feri_ref_fail(
                call, FER_INVALID_INPUT, "the sizes in split exceed the axis that is split");
        }
        const feri_ref_tensor *out = call->out[k];
        if (out) {
            if (!same_dims_but(out, in, axis) || out->dims[axis] != size) {
                return wrong_dims(call);
            }
            fer_status status = move_part(call, in, out, axis, start, /*to_whole=*/0);
            if (status != FER_OK) {
                return status;
            }
        }
        start += size;
    }
    return FER_OK;
}

/* ---- Expand and Tile ---- */

static fer_status run_expand(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int64_t in_strides[FER_MAX_RANK];
    int64_t out_strides[FER_MAX_RANK];
    if (!feri_kit_broadcast_strides(out->rank, out->dims, in->rank, in->dims, in_strides)) {
        return wrong_dims(call);
    }
    feri_kit_strides(out->rank, out->dims, out_strides);
    feri_ref_block block = {.bits = feri_ref_bits(in->dtype),
                            .rank = out->rank,
                            .dims = out->dims,
                            .destination = out->data,
                            .destination_strides = out_strides,
                            .source = in->data,
                            .source_strides = in_strides};
    return feri_ref_copy_block(call, &block);
}

/* The input goes into the output's first corner, which is then repeated along one axis after
 * another: no more dims are needed than the tensor has. */
static fer_status run_tile(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int64_t in_strides[FER_MAX_RANK];
    int64_t out_strides[FER_MAX_RANK];
    int64_t done[FER_MAX_RANK];
    if (out->rank != in->rank) {
        return wrong_dims(call);
    }
    for (uint32_t d = 0; d < in->rank; d++) {
        done[d] = in->dims[d];
        if (in->dims[d] == 0 ? out->dims[d] != 0 : out->dims[d] % in->dims[d] != 0) {
            return wrong_dims(call);
        }
    }
    if (out->count == 0) {
        return FER_OK;
    }
    feri_kit_strides(in->rank, in->dims, in_strides);
    feri_kit_strides(out->rank, out->dims, out_strides);
    feri_ref_block block = {.bits = feri_ref_bits(in->dtype),
                            .rank = out->rank,
                            .dims = done,
                            .destination = out->data,
                            .destination_strides = out_strides,
                            .source = in->data,
                            .source_strides = in_strides};
    fer_status status = feri_ref_copy_block(call, &block);
    block.source = out->data;
    block.source_strides = out_strides;
    for (uint32_t d = in->rank; d-- > 0;) {
        for (int64_t at = done[d]; at < out->dims[d] && status == FER_OK; at += done[d]) {
            block.destination_offset = at * out_strides[d];
            status = feri_ref_copy_block(call, &block);
        }
        done[d] = out->dims[d];
    }
    return status;
}

/* ---- DepthToSpace and SpaceToDepth: NCHW with blocks of b x b ---- */

static fer_status run_depth_to_space(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int64_t b = feri_ref_int(call->node, "blocksize", 0);
    if (in->rank != 4 || out->rank != 4 || b < 1 || b > INT32_MAX || in->dims[1] % (b * b) != 0 ||
        in->count != out->count) {
        return feri_ref_fail(
            call, FER_INVALID_INPUT, "channels must be a multiple of blocksize squared");
    }
    int64_t c = in->dims[1] / (b * b);
    int64_t h = in->dims[2];
    int64_t w = in->dims[3];
    if (out->count == 0) {
        return FER_OK;
    }
    int is_crd = feri_ref_string_is(call->node, "mode", "DCR", "CRD");
    /* The output as N C H b W b. */
    int64_t dims[6] = {in->dims[0], c, h, b, w, b};
    int64_t from[6] = {c * b * b * h * w,
                       is_crd ? b * b * h * w : h * w,
                       w,
                       is_crd ? b * h * w : b * c * h * w,
                       1,
                       is_crd ? h * w : c * h * w};
    int64_t to[6];
    feri_kit_strides(6, dims, to);
    feri_ref_block block = {.bits = feri_ref_bits(in->dtype),
                            .rank = 6,
                            .dims = dims,
                            .destination = out->data,
                            .destination_strides = to,
                            .source = in->data,
                            .source_strides = from};
    return feri_ref_copy_block(call, &block);
}

static fer_status run_space_to_depth(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int64_t b = feri_ref_int(call->node, "blocksize", 0);
    if (in->rank != 4 || out->rank != 4 || b < 1 || in->dims[2] % b != 0 || in->dims[3] % b != 0 ||
        in->count != out->count) {
        return feri_ref_fail(
            call, FER_INVALID_INPUT, "height and width must be multiples of blocksize");
    }
    if (out->count == 0) {
        return FER_OK;
    }
    int64_t c = in->dims[1];
    int64_t h = in->dims[2] / b;
    int64_t w = in->dims[3] / b;
    /* The output as N b b C H W. */
    int64_t dims[6] = {in->dims[0], b, b, c, h, w};
    int64_t from[6] = {c * h * b * w * b, w * b, 1, h * b * w * b, b * w * b, b};
    int64_t to[6];
    feri_kit_strides(6, dims, to);
    feri_ref_block block = {.bits = feri_ref_bits(in->dtype),
                            .rank = 6,
                            .dims = dims,
                            .destination = out->data,
                            .destination_strides = to,
                            .source = in->data,
                            .source_strides = from};
    return feri_ref_copy_block(call, &block);
}

/* clang-format off */
static const feri_ref_kernel kernels[] = {
    FERI_REF_ROW(Identity, 25, run_copy, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Reshape, 25, run_copy, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Flatten, 25, run_copy, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Squeeze, 25, run_copy, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Unsqueeze, 25, run_copy, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Transpose, 25, run_transpose, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Slice, 13, run_slice, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Split, 18, run_split, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Concat, 13, run_concat, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Expand, 13, run_expand, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Tile, 13, run_tile, NULL, 0, NULL, NULL)
    FERI_REF_ROW(DepthToSpace, 13, run_depth_to_space, NULL, 0, NULL, NULL)
    FERI_REF_ROW(SpaceToDepth, 13, run_space_to_depth, NULL, 0, NULL, NULL)
    FERI_REF_END
};
/* clang-format on */
const feri_ref_family feri_ref_family_move = FERI_REF_FAMILY_OF(kernels);
