/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize, GridSample, AffineGrid, CenterCropPad. Resize's dims by scales are floor(dim * scale) in
 * f32, as ONNX's own shape inference rounds them.
 */
#include "op/infer.h"

#include <math.h>
#include <string.h>

static int is_one_of(const char *text, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The attribute's value must be in a list. */
static fer_status check_choice(const feri_infer *call,
                               const char *name,
                               const char *absent,
                               const char *const *names,
                               size_t count) {
    const char *given = feri_infer_string(call, name, absent);
    return is_one_of(given, names, count)
               ? FER_OK
               : feri_infer_fail(call, "%s is '%s', which is not known", name, given);
}

static fer_status check_modes(const feri_infer *call) {
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const coordinates[] = {"half_pixel",
                                              "half_pixel_symmetric",
                                              "pytorch_half_pixel",
                                              "align_corners",
                                              "asymmetric",
                                              "tf_half_pixel_for_nn",
                                              "tf_crop_and_resize"};
    static const char *const roundings[] = {
        "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    FER_TRY(check_choice(call, "mode", "nearest", modes, 3));
    FER_TRY(check_choice(call, "coordinate_transformation_mode", "half_pixel", coordinates, 7));
    FER_TRY(check_choice(call, "nearest_mode", "round_prefer_floor", roundings, 4));
    return check_choice(call, "keep_aspect_ratio_policy", "stretch", policies, 3);
}

/* The axes that scales or sizes speak of. */
static fer_status
resize_axes(const feri_infer *call, int32_t rank, int32_t *axes, uint32_t *out_count) {
    uint32_t count;
    const int64_t *given = feri_infer_ints(call, "axes", &count);
    uint32_t seen = 0;
    if (!given) {
        *out_count = (uint32_t)rank;
        for (int32_t i = 0; i < rank; i++) {
            axes[i] = i;
        }
        return FER_OK;
    }
    *out_count = count;
    for (uint32_t i = 0; i < count; i++) {
        int32_t axis;
        FER_TRY(feri_infer_axis(call, "an axis", given[i], rank, &axis));
        if (seen & (1u << axis)) {
            return feri_infer_fail(call, "axis %d is given twice", (int)axis);
        }
        seen |= 1u << axis;
        axes[i] = axis;
    }
    return FER_OK;
}

/* floor(dim * scale); symbolic for scales that are fractions of a power of two. */
static fer_status
scaled_dim(const feri_infer *call, feri_sym dim, double scale, double crop, feri_sym *out) {
    if (!(scale > 0) || !isfinite(scale) || !isfinite(crop)) {
        return feri_infer_fail(call, "a scale is %g, it must be positive and finite", scale);
    }
    *out = feri_sym_unknown();
    if (feri_sym_is_number(dim)) {
        float product = crop == 1 ? (float)dim.number * (float)scale
                                  : (float)dim.number * (float)crop * (float)scale;
        double size = floor((double)product);
        if (!(size < 9.2e18)) {
            return feri_infer_fail(call, "a scale of %g makes a dim overflow", scale);
        }
        *out = feri_sym_number(size > 0 ? (int64_t)size : 0);
        return FER_OK;
    }
    double up = scale * 64;
    if (crop == 1 && up == floor(up) && up < 1e9) {
        feri_sym product = feri_sym_mul(call->terms, dim, feri_sym_number((int64_t)up));
        *out = feri_sym_div(call->terms, product, feri_sym_number(64));
    }
    return FER_OK;
}

/* How much of the axis tf_crop_and_resize keeps: 1, or end - start of roi; NAN not known. */
static double crop_of(const feri_infer *call, uint32_t entry, uint32_t axes) {
    uint32_t count;
    const char *mode = feri_infer_string(call, "coordinate_transformation_mode", "half_pixel");
    if (strcmp(mode, "tf_crop_and_resize") != 0) {
        return 1;
    }
    const feri_sym *roi = feri_infer_elements(call, 1, &count);
    if (!roi || count != 2 * axes || !feri_sym_is_number(roi[entry]) ||
        !feri_sym_is_number(roi[entry + axes])) {
        return NAN;
    }
    return feri_sym_as_f64(roi[entry + axes]) - feri_sym_as_f64(roi[entry]);
}

static fer_status by_scales(const feri_infer *call,
                            const feri_sym *scales,
                            uint32_t count,
                            const int32_t *axes,
                            feri_sym *dims) {
    for (uint32_t i = 0; i < count; i++) {
        feri_sym *dim = &dims[axes[i]];
        double crop = crop_of(call, i, count);
        if (!scales || !feri_sym_is_number(scales[i]) || crop != crop) {
            *dim = feri_sym_unknown();
            continue;
        }
        FER_TRY(scaled_dim(call, *dim, feri_sym_as_f64(scales[i]), crop, dim));
    }
    return FER_OK;
}

/* The one scale that keeps the ratio; 0 when it is not known yet. */
static double common_scale(const feri_sym *sizes,
                           uint32_t count,
                           const int32_t *axes,
                           const feri_sym *dims,
                           int is_larger) {
    double best = 0;
    for (uint32_t i = 0; i < count; i++) {
        feri_sym dim = dims[axes[i]];
        if (!feri_sym_is_number(sizes[i]) || !feri_sym_is_number(dim) || dim.number == 0) {
            return 0;
        }
        double scale = (double)((float)sizes[i].number / (float)dim.number);
        best = i == 0 || (is_larger ? scale > best : scale < best) ? scale : best;
    }
    return best;
}

static fer_status by_sizes(const feri_infer *call,
                           const feri_sym *sizes,
                           uint32_t count,
                           const int32_t *axes,
                           feri_sym *dims) {
    const char *policy = feri_infer_string(call, "keep_aspect_ratio_policy", "stretch");
    int keeps_ratio = strcmp(policy, "stretch") != 0;
    double scale = 0;
    for (uint32_t i = 0; sizes && i < count; i++) {
        FER_TRY(feri_infer_check_dim(call, sizes[i], "a size"));
    }
    if (sizes && keeps_ratio) {
        scale = common_scale(sizes, count, axes, dims, strcmp(policy, "not_smaller") == 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        feri_sym *dim = &dims[axes[i]];
        if (!sizes || (keeps_ratio && scale <= 0)) {
            *dim = feri_sym_unknown();
        } else if (!keeps_ratio) {
            *dim = sizes[i];
        } else { /* to nearest, halves up */
            double size = floor((double)((float)scale * (float)dim->number) + 0.5);
            *dim = size < 9.2e18 ? feri_sym_number((int64_t)size) : feri_sym_unknown();
        }
    }
    return FER_OK;
}

/* Whether the operand is there; one without elements counts as left out. */
static int is_given(const feri_fact *fact) {
    return fact &&
           !(fact->rank == 1 && feri_sym_is_number(fact->dims[0]) && fact->dims[0].number == 0);
}

fer_status feri_infer_resize(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    int has_scales = is_given(feri_infer_in(call, 2));
    int has_sizes = is_given(feri_infer_in(call, 3));
    FER_TRY(check_modes(call));
    FER_TRY(feri_infer_rank(call, 2, 1, 1));
    FER_TRY(feri_infer_rank(call, 3, 1, 1));
    if (has_scales == has_sizes) {
        return feri_infer_fail(
            call, "it has %s of scales and sizes, it must have one", has_scales ? "both" : "none");
    }
    if (x->rank < 0) {
        return FER_OK;
    }
    int32_t axes[FER_MAX_RANK];
    uint32_t axis_count;
    uint32_t count;
    feri_sym dims[FER_MAX_RANK];
    FER_TRY(resize_axes(call, x->rank, axes, &axis_count));
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(*dims));
    const feri_sym *given = feri_infer_elements(call, has_scales ? 2 : 3, &count);
    if (given && count != axis_count) {
        return feri_infer_fail(call,
                               "%s has %u entries for %u axes",
                               has_scales ? "scales" : "sizes",
                               count,
                               axis_count);
    }
    FER_TRY(has_scales ? by_scales(call, given, axis_count, axes, dims)
                       : by_sizes(call, given, axis_count, axes, dims));
    return feri_infer_set(call, 0, x->rank, dims);
}

/* X [N, C, D1...], grid [N, E1..., axes] -> [N, C, E1...]. */
fer_status feri_infer_grid_sample(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    const feri_fact *grid = feri_infer_in(call, 1);
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = x->rank >= 0 ? x->rank : grid->rank;
    FER_TRY(feri_infer_rank(call, 0, 3, FER_MAX_RANK));
    if (rank < 0) {
        return FER_OK;
    }
    FER_TRY(feri_infer_rank(call, 1, rank, rank));
    for (int32_t i = 0; i < rank; i++) {
        const feri_fact *from = i < 2 ? x : grid;
        int32_t at = i < 2 ? i : i - 1;
        dims[i] = from->rank == rank ? from->dims[at] : feri_sym_unknown();
    }
    if (x->rank == rank && grid->rank == rank) {
        FER_TRY(feri_infer_equal(call, x->dims[0], grid->dims[0], "the batches"));
        FER_TRY(feri_infer_equal(call,
                                 grid->dims[rank - 1],
                                 feri_sym_number(rank - 2),
                                 "grid's last dim and the spatial axes"));
    }
    return feri_infer_set(call, 0, rank, dims);
}

/* size [N, C, H, W] or [N, C, D, H, W] -> [N, H, W, 2] or [N, D, H, W, 3]. */
fer_status feri_infer_affine_grid(feri_infer *call) {
    uint32_t count;
    FER_TRY(feri_infer_rank(call, 0, 3, 3));
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    const feri_sym *size = feri_infer_elements(call, 1, &count);
    if (!size) {
        return FER_OK;
    }
    if (count != 4 && count != 5) {
        return feri_infer_fail(call, "size has %u entries, it must have 4 or 5", count);
    }
    feri_sym dims[5] = {size[0]};
    for (uint32_t i = 2; i < count; i++) {
        dims[i - 1] = size[i];
    }
    dims[count - 1] = feri_sym_number((int64_t)count - 2);
    return feri_infer_set(call, 0, (int32_t)count, dims);
}

fer_status feri_infer_center_crop_pad(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    int32_t axes[FER_MAX_RANK];
    uint32_t axis_count;
    uint32_t count;
    feri_sym dims[FER_MAX_RANK];
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    if (in->rank < 0) {
        return FER_OK;
    }
    FER_TRY(resize_axes(call, in->rank, axes, &axis_count));
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    const feri_sym *shape = feri_infer_elements(call, 1, &count);
    if (shape && count != axis_count) {
        return feri_infer_fail(call, "shape has %u entries for %u axes", count, axis_count);
    }
    for (uint32_t i = 0; i < axis_count; i++) {
        dims[axes[i]] = shape ? shape[i] : feri_sym_unknown();
        FER_TRY(feri_infer_check_dim(call, dims[axes[i]], "an entry of shape"));
    }
    return feri_infer_set(call, 0, in->rank, dims);
}
