/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize's attributes, scales and tables of taps: see ref_resize.h. An output coordinate x maps to
 * the input coordinate u; its taps are the input coordinates within the kernel's support around u,
 * clamped to the input, weights that fall on one coordinate added up. Formulas: the ONNX operator
 * schema of Resize; cubic: Keys, 1981, with coefficient cubic_coeff_a.
 */
#include "kit/geometry.h"
#include "ref/ref_resize.h"

#include <math.h>
#include <string.h>

enum { HALF_PIXEL, HALF_PIXEL_SYMMETRIC, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC };
enum { TF_HALF_PIXEL = ASYMMETRIC + 1, TF_CROP };
enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };
enum { STRETCH, NOT_LARGER, NOT_SMALLER };

/* A scale may be smaller than output / input by this factor, for rounding of the output dim. */
#define SLACK 0.49

static int policy_of(feri_ref_call *call) {
    return feri_ref_name_index(
        call, "keep_aspect_ratio_policy", "stretch, not_larger, not_smaller");
}

static double support(const feri_ref_resize *p) { return p->mode == FERI_REF_CUBIC ? 2.0 : 1.0; }

/* Taps one output coordinate can have at most. */
static uint64_t width_of(const feri_ref_resize *p, int64_t in, int64_t out) {
    double width = 2.0 * support(p);
    if (p->mode == FERI_REF_NEAREST) {
        return 1;
    }
    if (p->is_antialiased && SLACK * (double)out < (double)in) {
        width = ceil(width * (double)in / (SLACK * (double)out)) + 4.0;
    }
    return width < (double)in ? (uint64_t)width : (uint64_t)in;
}

fer_status feri_ref_resize_bind(feri_ref_call *call) {
    feri_ref_resize *p = call->params;
    const feri_ref_tensor *x = call->in[0], *y = call->out[0];
    p->mode = feri_ref_name_index(call, "mode", "nearest, linear, cubic");
    p->nearest_mode = feri_ref_name_index(
        call, "nearest_mode", "round_prefer_floor, round_prefer_ceil, floor, ceil");
    p->coordinates = feri_ref_name_index(call,
                                         "coordinate_transformation_mode",
                                         "half_pixel, half_pixel_symmetric, pytorch_half_pixel, "
                                         "align_corners, asymmetric, tf_half_pixel_for_nn, "
                                         "tf_crop_and_resize");
    p->is_antialiased = feri_ref_int(call->node, "antialias", 0) != 0;
    p->is_outside_excluded = feri_ref_int(call->node, "exclude_outside", 0) != 0;
    p->cubic_a = feri_ref_float(call->node, "cubic_coeff_a", -0.75);
    p->extrapolation = feri_ref_float(call->node, "extrapolation_value", 0.0);
    if (x->rank != y->rank || (x->count == 0 && y->count != 0)) {
        return feri_ref_misfit(call, "Y must have the rank of X, and X must not be empty");
    }
    p->table_bytes = 0;
    for (uint32_t i = 0; i < x->rank && y->count; i++) {
        uint64_t per = 0, bytes = 0;
        p->axes[i].width = width_of(p, x->dims[i], y->dims[i]);
        if (__builtin_mul_overflow(p->axes[i].width, sizeof(double), &per) ||
            __builtin_add_overflow(per, sizeof(feri_ref_taps), &per) ||
            __builtin_mul_overflow(per, (uint64_t)y->dims[i], &bytes) ||
            __builtin_add_overflow(p->table_bytes, bytes, &p->table_bytes) ||
            p->table_bytes > UINT64_MAX / 4) {
            return feri_ref_fail(call, FER_LIMIT, "the table of taps is too large");
        }
    }
    call->scratch_bytes = p->table_bytes;
    return FER_OK;
}

/* Which dims scales, sizes and roi speak of: into dims, their number into *out_count. */
static fer_status
read_axes(feri_ref_call *call, uint32_t rank, uint32_t *dims, uint32_t *out_count) {
    const fer_attr *attr = feri_ref_attr(call->node, "axes");
    int is_given = attr && attr->type == FER_ATTR_INTS;
    uint32_t count = is_given ? attr->count : rank;
    for (uint32_t i = 0; i < count; i++) {
        if (i >= rank || !feri_kit_axis(is_given ? attr->value.ints[i] : i, rank, &dims[i])) {
            return feri_ref_unfit(call);
        }
    }
    *out_count = count;
    return FER_OK;
}

/* sizes as scales; under a policy all of them become the smallest or the largest. */
static void scales_of_sizes(feri_ref_call *call,
                            feri_ref_resize *p,
                            const feri_ref_tensor *sizes,
                            const uint32_t *dims) {
    int policy = policy_of(call);
    double common = 0.0;
    for (uint32_t i = 0; i < sizes->count; i++) {
        double size = (double)feri_ref_scalar_i64(call, sizes, i);
        double scale = size / (double)call->in[0]->dims[dims[i]];
        p->axes[dims[i]].scale = scale;
        common =
            i == 0 || (policy == NOT_LARGER ? scale < common : scale > common) ? scale : common;
    }
    for (uint32_t i = 0; i < sizes->count && policy != STRETCH; i++) {
        p->axes[dims[i]].scale = common;
    }
}

static fer_status read_scales(feri_ref_call *call, feri_ref_resize *p) {
    const feri_ref_tensor *x = call->in[0], *roi = feri_ref_input(call, 1);
    const feri_ref_tensor *scales = feri_ref_input(call, 2), *sizes = feri_ref_input(call, 3);
    uint32_t dims[FER_MAX_RANK], count = 0;
    if (read_axes(call, x->rank, dims, &count)) {
        return call->status;
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        p->axes[i].scale = 1.0;
        p->axes[i].roi[0] = 0.0;
        p->axes[i].roi[1] = 1.0;
    }
    if (sizes && sizes->count == count && count) {
        scales_of_sizes(call, p, sizes, dims);
    } else if (scales && scales->count == count) {
        for (uint32_t i = 0; i < count; i++) {
            p->axes[dims[i]].scale = feri_ref_scalar_f64(call, scales, i);
        }
    } else {
        return feri_ref_unfit(call);
    }
    if (p->coordinates == TF_CROP && (!roi || roi->count != 2 * (uint64_t)count)) {
        return feri_ref_misfit(call, "roi must have two entries for each axis");
    }
    for (uint32_t i = 0; p->coordinates == TF_CROP && i < count; i++) {
        p->axes[dims[i]].roi[0] = feri_ref_scalar_f64(call, roi, i);
        p->axes[dims[i]].roi[1] = feri_ref_scalar_f64(call, roi, count + i);
    }
    return FER_OK;
}

/* The input coordinate of output coordinate x. */
static double source(
    const feri_ref_resize *p, const feri_ref_resize_axis *axis, double x, int64_t in, int64_t out) {
    double length = (double)in, resized = axis->scale * length;
    switch (p->coordinates) {
    case ALIGN_CORNERS:
        return resized == 1.0 ? 0.0 : x * (length - 1.0) / (resized - 1.0);
    case ASYMMETRIC:
        return x / axis->scale;
    case TF_CROP: {
        double extent = (axis->roi[1] - axis->roi[0]) * (length - 1.0);
        return axis->roi[0] * (length - 1.0) +
               (resized == 1.0 ? extent / 2.0 : x * extent / (resized - 1.0));
    }
    case TF_HALF_PIXEL: /* of opset 11 */
        return (x + 0.5) / axis->scale;
    case PYTORCH_HALF_PIXEL:
        return out > 1 ? (x + 0.5) / axis->scale - 0.5 : 0.0;
    case HALF_PIXEL_SYMMETRIC:
        return length / 2.0 * (1.0 - (double)out / resized) + (x + 0.5) / axis->scale - 0.5;
    default:
        return (x + 0.5) / axis->scale - 0.5;
    }
}

/* The interpolation kernel at a distance. */
static double kernel_at(const feri_ref_resize *p, double x) {
    double a = p->cubic_a;
    x = fabs(x);
    if (p->mode == FERI_REF_LINEAR) {
        return x < 1.0 ? 1.0 - x : 0.0;
    }
    if (x <= 1.0) {
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    }
    return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

static int64_t clamp_index(double index, int64_t in) {
    return index < 0.0 ? 0 : index > (double)(in - 1) ? in - 1 : (int64_t)index;
}

static double nearest_index(const feri_ref_resize *p, double u) {
    double low = floor(u), part = u - low;
    int is_high = p->nearest_mode == PREFER_FLOOR  ? part > 0.5
                  : p->nearest_mode == PREFER_CEIL ? part >= 0.5
                  : p->nearest_mode == CEIL        ? part > 0.0
                                                   : 0;
    return low + is_high;
}

/* Taps of one output coordinate whose source is u; weights has room for width of them. */
static fer_status set_taps(feri_ref_call *call,
                           const feri_ref_resize *p,
                           const feri_ref_resize_axis *axis,
                           double u,
                           int64_t in,
                           feri_ref_taps *taps,
                           double *weights) {
    double shrink = p->is_antialiased && axis->scale < 1.0 ? axis->scale : 1.0;
    double base = ceil(u) - 1.0; /* the tap left of u, also where u is whole */
    double start = floor(-support(p) / shrink) + 1.0, total = 0.0;
    double steps = 2.0 - 2.0 * start;
    taps->first = clamp_index(base + start, in);
    taps->count = clamp_index(base + start + steps - 1.0, in) - taps->first + 1;
    if ((uint64_t)taps->count > axis->width) {
        return feri_ref_misfit(call, "the scales do not fit Y's shape");
    }
    memset(weights, 0, (size_t)taps->count * sizeof *weights);
    for (double i = 0.0; i < steps; i += 1.0) {
        double index = base + start + i;
        int is_outside = index < 0.0 || index > (double)(in - 1);
        if (p->is_outside_excluded && is_outside) {
            continue;
        }
        double weight = kernel_at(p, shrink * (index - u));
        weights[clamp_index(index, in) - taps->first] += weight;
        total += weight;
        if (feri_ref_poll(call, 1)) {
            return call->status;
        }
    }
    for (int64_t i = 0; total != 0.0 && i < taps->count; i++) {
        weights[i] /= total;
    }
    return FER_OK;
}

static fer_status fill_axis(feri_ref_call *call,
                            const feri_ref_resize *p,
                            const feri_ref_resize_axis *axis,
                            int64_t in,
                            int64_t out) {
    for (int64_t x = 0; x < out && !feri_ref_poll(call, 1); x++) {
        double u = source(p, axis, (double)x, in, out);
        feri_ref_taps *taps = axis->taps + x;
        if (isnan(u)) {
            return feri_ref_misfit(call, "scales or roi are not finite");
        }
        if (p->coordinates == TF_CROP && (u < 0.0 || u > (double)(in - 1))) {
            *taps = (feri_ref_taps){-1, 0};
        } else if (p->mode == FERI_REF_NEAREST) {
            *taps = (feri_ref_taps){clamp_index(nearest_index(p, u), in), 1};
        } else {
            (void)set_taps(call, p, axis, u, in, taps, axis->weights + (uint64_t)x * axis->width);
        }
    }
    return call->status;
}

fer_status feri_ref_resize_table(feri_ref_call *call, feri_ref_resize *resize) {
    const feri_ref_tensor *x = call->in[0], *y = call->out[0];
    uint8_t *room = call->scratch;
    (void)read_scales(call, resize);
    for (uint32_t i = 0; i < x->rank && call->status == FER_OK; i++) {
        feri_ref_resize_axis *axis = &resize->axes[i];
        double in = (double)x->dims[i], out = (double)y->dims[i];
        if (!(axis->scale > 0.0) || !(in * axis->scale >= SLACK * out) || isinf(axis->scale)) {
            return feri_ref_misfit(call, "the scales do not fit Y's shape");
        }
        axis->taps = NULL;
        if (axis->scale == 1.0 && x->dims[i] == y->dims[i] && resize->coordinates != TF_CROP) {
            continue;
        }
        axis->taps = (feri_ref_taps *)(void *)room;
        axis->weights = (double *)(void *)(axis->taps + y->dims[i]);
        room = (uint8_t *)(axis->weights + (uint64_t)y->dims[i] * axis->width);
        (void)fill_axis(call, resize, axis, x->dims[i], y->dims[i]);
    }
    return call->status;
}
