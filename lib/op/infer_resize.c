/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize, GridSample, AffineGrid, CenterCropPad. Resize's dims by scales are floor(dim * scale) in
 * f32, as ONNX's own shape inference rounds them.
 */
#include "op/infer.h"

#include <math.h>
#include <string.h>

/* floor(dim * scale); symbolic for scales that are fractions of a power of two. crop: how much of
 * the axis tf_crop_and_resize keeps, NAN when that is not known. */
static feri_sym scaled_dim(feri_infer *call, feri_sym dim, double scale, double crop) {
    if (!(scale > 0) || !isfinite(scale) || isinf(crop)) {
        feri_infer_fail(call, "a scale is %g, it must be positive and finite", scale);
        return dim;
    }
    if (feri_sym_is_number(dim)) {
        double size = floor((double)((float)dim.number * (float)crop * (float)scale));
        if (size >= 9.2e18) {
            feri_infer_fail(call, "a scale of %g makes a dim overflow", scale);
        }
        return size >= 0 && size < 9.2e18 ? feri_sym_number((int64_t)size)
               : size < 0                 ? feri_sym_number(0)
                                          : feri_sym_unknown();
    }
    double up = scale * 64;
    if (crop != 1 || up != floor(up) || up >= 1e9) {
        return feri_sym_unknown();
    }
    dim = feri_sym_mul(call->terms, dim, feri_sym_number((int64_t)up));
    return feri_sym_div(call->terms, dim, feri_sym_number(64));
}

/* Of tf_crop_and_resize: end - start of roi; NAN not known. */
static double crop_of(const feri_infer *call, uint32_t entry, uint32_t axes) {
    uint32_t count;
    const feri_sym *roi = feri_infer_elements(call, 1, &count);
    if (count != 2 * axes || !feri_sym_is_number(roi[entry]) ||
        !feri_sym_is_number(roi[entry + axes])) {
        return NAN;
    }
    return feri_sym_as_f64(roi[entry + axes]) - feri_sym_as_f64(roi[entry]);
}

/* The one scale that keeps the ratio; 0 when it is not known yet. */
static float common_scale(const feri_sym *sizes,
                          uint32_t count,
                          const int32_t *axes,
                          const feri_sym *dims,
                          int is_larger) {
    float best = 0;
    for (uint32_t i = 0; i < count; i++) {
        feri_sym dim = dims[axes[i]];
        if (!feri_sym_is_number(sizes[i]) || !feri_sym_is_number(dim) || dim.number == 0) {
            return 0;
        }
        float scale = (float)sizes[i].number / (float)dim.number;
        best = i == 0 || (is_larger ? scale > best : scale < best) ? scale : best;
    }
    return best;
}

/* Whether the operand is there; one without elements counts as left out. */
static int is_given(const feri_fact *fact) {
    feri_sym length = feri_infer_dim(fact, 0);
    return fact && !(feri_sym_is_number(length) && length.number == 0);
}

/* The axes that scales or sizes speak of, all or those of the attribute: their count. */
static uint32_t resize_axes(feri_infer *call, int32_t rank, int32_t *axes) {
    uint32_t count;
    const int64_t *given = feri_infer_ints(call, "axes", &count);
    count = given ? count : (uint32_t)rank;
    feri_infer_axes(call, given, count, rank, axes);
    return count;
}

void feri_infer_resize(feri_infer *call) {
    const feri_fact *x = call->in[0];
    int has_scales = is_given(feri_infer_in(call, 2));
    uint32_t operand = has_scales ? 2 : 3;
    feri_infer_choice(call, "mode", "nearest, linear, cubic");
    feri_infer_choice(call, "nearest_mode", "round_prefer_floor, round_prefer_ceil, floor, ceil");
    int crops = feri_infer_choice(call,
                                  "coordinate_transformation_mode",
                                  "half_pixel, half_pixel_symmetric, pytorch_half_pixel, "
                                  "align_corners, asymmetric, tf_half_pixel_for_nn, "
                                  "tf_crop_and_resize") == 6;
    uint32_t policy =
        feri_infer_choice(call, "keep_aspect_ratio_policy", "stretch, not_larger, not_smaller");
    feri_infer_rank(call, 2, 1, 1);
    feri_infer_rank(call, 3, 1, 1);
    if (has_scales == is_given(feri_infer_in(call, 3))) {
        feri_infer_fail(
            call, "it has %s of scales and sizes, it must have one", has_scales ? "both" : "none");
    }
    int32_t axes[FER_MAX_RANK];
    uint32_t axis_count;
    uint32_t count;
    feri_sym dims[FER_MAX_RANK];
    if (x->rank < 0) {
        return;
    }
    FERI_STEP(axis_count = resize_axes(call, x->rank, axes));
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(*dims));
    const feri_sym *given = feri_infer_elements(call, operand, &count);
    if (given && count != axis_count) {
        feri_infer_fail(call,
                        "operand %u (scales 2, sizes 3) has %u entries for %u axes",
                        operand,
                        count,
                        axis_count);
        return;
    }
    float common = given && policy ? common_scale(given, count, axes, dims, policy == 2) : 0;
    for (uint32_t i = 0; i < axis_count; i++) {
        feri_sym *dim = &dims[axes[i]];
        feri_sym old = *dim;
        *dim = given ? given[i] : feri_sym_unknown();
        if (has_scales) {
            *dim = feri_sym_is_number(*dim) ? scaled_dim(call,
                                                         old,
                                                         feri_sym_as_f64(*dim),
                                                         crops ? crop_of(call, i, axis_count) : 1)
                                            : feri_sym_unknown();
        } else if (policy) { /* to nearest, halves up */
            double size = floor((double)(common * (float)old.number) + 0.5);
            *dim =
                common > 0 && size < 9.2e18 ? feri_sym_number((int64_t)size) : feri_sym_unknown();
        }
    }
    feri_infer_set(call, 0, x->rank, dims);
}

/* X [N, C, D1...], grid [N, E1..., axes] -> [N, C, E1...]. */
void feri_infer_grid_sample(feri_infer *call) {
    const feri_fact *x = call->in[0];
    const feri_fact *grid = feri_infer_in(call, 1);
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = x->rank >= 0 ? x->rank : grid->rank;
    FERI_STEP(feri_infer_rank(call, 0, 3, FER_MAX_RANK));
    if (rank < 0) {
        return;
    }
    FERI_STEP(feri_infer_rank(call, 1, rank, rank));
    for (int32_t i = 0; i < rank; i++) {
        const feri_fact *from = i < 2 ? x : grid;
        int32_t at = i < 2 ? i : i - 1;
        dims[i] = from->rank == rank ? from->dims[at] : feri_sym_unknown();
    }
    if (x->rank == rank && grid->rank == rank) {
        FERI_STEP(feri_infer_equal(call, x->dims[0], grid->dims[0], "the batches"));
        FERI_STEP(feri_infer_equal(call,
                                   grid->dims[rank - 1],
                                   feri_sym_number(rank - 2),
                                   "grid's last dim and the spatial axes"));
    }
    feri_infer_set(call, 0, rank, dims);
}

/* size [N, C, H, W] or [N, C, D, H, W] -> [N, H, W, 2] or [N, D, H, W, 3]. */
void feri_infer_affine_grid(feri_infer *call) {
    uint32_t count;
    FERI_STEP(feri_infer_rank(call, 0, 3, 3));
    FERI_STEP(feri_infer_rank(call, 1, 1, 1));
    const feri_sym *size = feri_infer_elements(call, 1, &count);
    if (!size) {
        return;
    }
    if (count != 4 && count != 5) {
        feri_infer_fail(call, "size has %u entries, it must have 4 or 5", count);
        return;
    }
    feri_sym dims[5] = {size[0]};
    for (uint32_t i = 2; i < count; i++) {
        dims[i - 1] = size[i];
    }
    dims[count - 1] = feri_sym_number((int64_t)count - 2);
    feri_infer_set(call, 0, (int32_t)count, dims);
}

void feri_infer_center_crop_pad(feri_infer *call) {
    const feri_fact *in = call->in[0];
    int32_t axes[FER_MAX_RANK];
    uint32_t axis_count;
    uint32_t count;
    feri_sym dims[FER_MAX_RANK];
    feri_infer_rank(call, 1, 1, 1);
    if (in->rank < 0) {
        return;
    }
    FERI_STEP(axis_count = resize_axes(call, in->rank, axes));
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    const feri_sym *shape = feri_infer_elements(call, 1, &count);
    if (shape && count != axis_count) {
        feri_infer_fail(call, "shape has %u entries for %u axes", count, axis_count);
        return;
    }
    for (uint32_t i = 0; i < axis_count; i++) {
        dims[axes[i]] = shape ? shape[i] : feri_sym_unknown();
        feri_infer_check_dim(call, dims[axes[i]], "an entry of shape");
    }
    feri_infer_set(call, 0, in->rank, dims);
}
