/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize in every mode: nearest with its four roundings, linear and cubic, by the coordinate
 * transformations (roi=... for tf_crop_and_resize), with what lies outside excluded or not, filters
 * stretched against aliasing. Separable, so one axis after the other.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* Where the region of an axis begins and ends, in shares of its length; 0 without one. */
static int
roi_of(const trial *self, uint32_t axis, uint32_t rank, double *out_first, double *out_last) {
    double list[2 * FER_MAX_RANK];
    if (arg_list(self, "roi", list, 2 * FER_MAX_RANK) != 2 * rank) {
        return 0;
    }
    *out_first = (double)(float)list[axis];
    *out_last = (double)(float)list[rank + axis];
    return 1;
}

/* Output sizes and scales per axis, from the operand scales or sizes. */
static int
resize_sizes(const trial *self, uint32_t rank, const int64_t *dims, int64_t *out, double *scale) {
    double list[FER_MAX_RANK];
    uint32_t scales = arg_list(self, "scales", list, FER_MAX_RANK);
    int64_t sizes[FER_MAX_RANK], axes[FER_MAX_RANK];
    uint32_t sized = arg_ints(self, "sizes", sizes, FER_MAX_RANK),
             named = arg_ints(self, "axes", axes, FER_MAX_RANK);
    uint32_t count = scales + sized;
    double first, last, most = 0, least = INFINITY;
    const char *policy = arg_text(self, "keep_aspect_ratio_policy");
    if ((scales > 0) == (sized > 0) || count != (named > 0 ? named : rank)) {
        return 0;
    }
    for (uint32_t i = 0; i < rank; i++) {
        out[i] = dims[i];
        scale[i] = 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t axis = named > 0 ? axis_of(axes[i], rank) : i;
        if (axis < 0) {
            return 0;
        }
        scale[axis] = scales > 0 ? (double)(float)list[i] : (double)sizes[i] / (double)dims[axis];
        out[axis] = scales > 0 ? (int64_t)floor((double)dims[axis] * scale[axis]) : sizes[i];
        if (roi_of(self, (uint32_t)axis, rank, &first, &last)) {
            out[axis] = scales > 0
                            ? (int64_t)floor((double)dims[axis] * (last - first) * scale[axis])
                            : out[axis];
        }
        if (out[axis] < 1) {
            return 0;
        }
        most = fmax(most, scale[axis]);
        least = fmin(least, scale[axis]);
    }
    for (uint32_t i = 0; policy != NULL && strcmp(policy, "stretch") != 0 && i < count; i++) {
        int64_t axis = named > 0 ? axis_of(axes[i], rank) : i; /* one scale for all */
        scale[axis] = strcmp(policy, "not_larger") == 0 ? least : most;
        out[axis] = (int64_t)floor(scale[axis] * (double)dims[axis] + 0.5);
    }
    return policy == NULL || sized > 0;
}
static int fill_resize(trial *self) {
    int64_t out[FER_MAX_RANK];
    double scale[FER_MAX_RANK];
    case_input *roi = input_named(self, "roi"), *scales = input_named(self, "scales");
    if (roi != NULL) {
        roi->is_moved = 0;
    }
    if (scales != NULL) {
        scales->dtype = FER_F32;
    }
    return resize_sizes(self, self->rank, self->dims, out, scale);
}

static double coordinate(const trial *self, double x, double scale, double in, double out) {
    const char *mode = arg_text(self, "coordinate_transformation_mode");
    if (mode == NULL || strcmp(mode, "half_pixel") == 0) {
        return (x + 0.5) / scale - 0.5;
    }
    if (strcmp(mode, "asymmetric") == 0) {
        return x / scale;
    }
    if (strcmp(mode, "align_corners") == 0) {
        return out == 1 ? 0 : x * (in - 1) / (out - 1);
    }
    if (strcmp(mode, "pytorch_half_pixel") == 0) {
        return out > 1 ? (x + 0.5) / scale - 0.5 : 0;
    }
    if (strcmp(mode, "half_pixel_symmetric") == 0) {
        double adjustment = out / (scale * in), center = in / 2, offset = center * (1 - adjustment);
        return offset + (x + 0.5) / scale - 0.5;
    }
    return NAN;
}

static int64_t nearest(const trial *self, double x) {
    const char *mode = arg_text(self, "nearest_mode");
    switch (mode == NULL ? 'p' : mode[0]) {
    case 'f':
        return (int64_t)floor(x);
    case 'c':
        return (int64_t)ceil(x);
    default: /* round_prefer_floor, round_prefer_ceil */
        return mode != NULL && strcmp(mode, "round_prefer_ceil") == 0 ? (int64_t)floor(x + 0.5)
                                                                      : (int64_t)ceil(x - 0.5);
    }
}

static double cubic_weight(double a, double x) {
    x = fabs(x);
    return x <= 1  ? ((a + 2) * x - (a + 3)) * x * x + 1
           : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
                   : 0;
}

enum { TAPS = 32 };

/* Weights of the taps around x: first is the leftmost. Against aliasing the filter is as much wider
 * as the image becomes smaller. */
static int
taps_of(const trial *self, double x, int64_t size, double scale, int64_t *first, double *weights) {
    const char *mode = arg_text(self, "mode");
    int is_cubic = mode != NULL && mode[0] == 'c', is_wide = arg_int(self, "antialias", 0) != 0,
        half = is_cubic ? 2 : 1;
    double base = floor(x), sum = 0, shrink = is_wide ? fmin(scale, 1) : 1;
    half = (int)ceil(half / shrink);
    int count = 2 * half < TAPS ? 2 * half : TAPS;
    *first = (int64_t)base - half + 1;
    for (int i = 0; i < count; i++) {
        double distance = (x - (double)(*first + i)) * shrink;
        weights[i] = is_cubic ? cubic_weight(arg_real(self, "cubic_coeff_a", -0.75), distance)
                              : fmax(0, 1 - fabs(distance));
        if (arg_int(self, "exclude_outside", 0) != 0 && (*first + i < 0 || *first + i >= size)) {
            weights[i] = 0;
        }
        sum += weights[i];
    }
    for (int i = 0; i < count && (is_wide || arg_int(self, "exclude_outside", 0) != 0); i++) {
        weights[i] /= sum;
    }
    return count;
}

static int64_t within(int64_t at, int64_t size) { return at < 0 ? 0 : at >= size ? size - 1 : at; }

/* One axis of in becomes size long. */
static void
resize_axis(const trial *self, const nd *in, uint32_t axis, int64_t size, double scale, nd *out) {
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    const char *mode = arg_text(self, "mode");
    uint64_t parts;
    (void)dtype_part(self->dtype, &parts);
    memcpy(dims, in->dims, sizeof dims);
    dims[axis] = size;
    nd_make(self, out, in->rank, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, dims, index)) {
        int64_t at[FER_MAX_RANK], first, length = in->dims[axis];
        double weights[TAPS], begin, end,
            x = coordinate(self, (double)index[axis], scale, (double)length, (double)size);
        if (roi_of(self, axis, in->rank, &begin, &end)) {
            x = size > 1 ? (begin + (double)index[axis] * (end - begin) / (double)(size - 1)) *
                               (double)(length - 1)
                         : 0.5 * (begin + end) * (double)(length - 1);
            if (x < 0 || x > (double)(length - 1)) {
                out->v[i] = (long double)(float)arg_real(self, "extrapolation_value", 0);
                continue;
            }
        }
        memcpy(at, index, sizeof at);
        if (mode == NULL || mode[0] == 'n') {
            at[axis] = within(nearest(self, x), length);
            out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
            continue;
        }
        int count = taps_of(self, x, length, scale, &first, weights);
        for (int k = 0; k < count; k++) {
            at[axis] = within(first + k, length);
            for (uint64_t part = 0; part < parts; part++) {
                uint64_t from = index_flat(in->rank, in->dims, at) * parts + part,
                         to = i * parts + part;
                out->v[to] += (long double)weights[k] * in->v[from];
                out->slack[to] +=
                    (in->slack != NULL ? in->slack[from] : 0) * fabsl((long double)weights[k]) +
                    0x1p-18L * fabsl(in->v[from]);
            }
        }
    }
}

static int resize_oracle(const trial *self, const nd *in, nd *out) {
    int64_t sizes[FER_MAX_RANK];
    double scale[FER_MAX_RANK];
    if (!resize_sizes(self, in->rank, in->dims, sizes, scale)) {
        return 0;
    }
    nd step = *in;
    for (uint32_t axis = 0; axis < in->rank; axis++) {
        if (sizes[axis] != in->dims[axis] || scale[axis] != 1) {
            nd next;
            resize_axis(self, &step, axis, sizes[axis], scale[axis], &next);
            step = next;
        }
    }
    *out = step;
    return 1;
}

/* clang-format off */
#define MODES(mode) \
    "mode=" mode ",scales=1:1:2:2 mode=" mode ",scales=1:1:0.6:0.75 mode=" mode ",sizes=2:4:5:9 mode=" mode ",scales=1:1:2:2,coordinate_transformation_mode=align_corners " \
    "mode=" mode ",scales=1:1:1.5:2,coordinate_transformation_mode=asymmetric mode=" mode ",sizes=2:4:3:1,coordinate_transformation_mode=pytorch_half_pixel " \
    "mode=" mode ",scales=1:1:1.5:0.7,coordinate_transformation_mode=half_pixel_symmetric mode=" mode ",sizes=9:3,axes=2:3 mode=" mode ",scales=2:1.5,axes=-1:-2 "

#define CROPS(mode) \
    "mode=" mode ",sizes=2:4:5:4,coordinate_transformation_mode=tf_crop_and_resize,roi=0:0:0.2:0.25:1:1:0.8:0.75 mode=" mode ",sizes=2:4:6:7,coordinate_transformation_mode=tf_crop_and_resize,roi=0:0:-0.3:0.4:1:1:0.9:1.5,extrapolation_value=3.5 " \
    "mode=" mode ",sizes=2:4:1:3,coordinate_transformation_mode=tf_crop_and_resize,roi=0:0:0.2:0.25:1:1:0.9:0.75 mode=" mode ",sizes=2:4:1:3,coordinate_transformation_mode=align_corners "

static const case_row nearest_rows[] = {
    {"Resize", NULL, "image row", MODES("nearest")
     "mode=nearest,scales=1:1:2:2,nearest_mode=floor mode=nearest,scales=1:1:0.6:1.7,nearest_mode=ceil mode=nearest,sizes=2:4:5:9,nearest_mode=round_prefer_ceil "
     "mode=nearest,sizes=2:4:14:15,nearest_mode=round_prefer_floor,coordinate_transformation_mode=asymmetric",
     "bits", fill_resize, resize_oracle, ROW_MOVEMENT, NULL, NULL},
    {"Resize", "float", "image", MODES("linear") MODES("cubic")
     "mode=linear,scales=1:1:2:2,exclude_outside=1 mode=cubic,scales=1:1:2:2,exclude_outside=1 mode=cubic,scales=1:1:0.6:0.75,cubic_coeff_a=-0.5 "
     "mode=cubic,sizes=2:4:5:9,cubic_coeff_a=-0.5,exclude_outside=1",
     "ints uniform", fill_resize, resize_oracle, ROW_ZEROS, NULL, NULL},
    {"Resize", "complex", "image", "mode=linear,scales=1:1:2:1.5 mode=linear,sizes=2:4:5:9,coordinate_transformation_mode=align_corners mode=cubic,scales=1:1:2:2,coordinate_transformation_mode=asymmetric", "uniform",
     fill_resize, resize_oracle, ROW_ZEROS, NULL, NULL},
    {"Resize", "f16|f32|bf16", "image", "mode=linear,scales=1:1:0.5:0.6,antialias=1 mode=cubic,scales=1:1:0.5:0.6,antialias=1 mode=linear,sizes=2:4:3:2,antialias=1",
     "uniform", fill_resize, resize_oracle, ROW_ZEROS, NULL, NULL},
    {"Resize", "f32|f64", "image", "mode=linear,sizes=2:4:3:9,antialias=1 mode=cubic,sizes=2:4:3:2,antialias=1 mode=cubic,sizes=3:2,axes=2:3,antialias=1,exclude_outside=1 mode=linear,scales=1:1:0.25:0.5,antialias=1,exclude_outside=1 "
     "mode=linear,sizes=9:7,axes=2:3,keep_aspect_ratio_policy=not_larger mode=linear,sizes=9:7,axes=2:3,keep_aspect_ratio_policy=not_smaller mode=cubic,sizes=3:9,axes=2:3,keep_aspect_ratio_policy=not_larger "
     "mode=linear,sizes=9:7,axes=2:3,keep_aspect_ratio_policy=stretch " CROPS("linear") CROPS("cubic"), "uniform", fill_resize, resize_oracle, ROW_ZEROS, NULL, NULL},
    {"Resize", "f32|f64|u8|i32", "image", "mode=nearest,sizes=9:7,axes=2:3,keep_aspect_ratio_policy=not_larger mode=nearest,sizes=3:9,axes=2:3,keep_aspect_ratio_policy=not_smaller", "bits", fill_resize, resize_oracle, ROW_MOVEMENT, NULL, NULL},
};
/* clang-format on */

const case_family cases_resize = {
    "resize", nearest_rows, sizeof nearest_rows / sizeof *nearest_rows};
