/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize in every mode: nearest with its four roundings, linear and cubic, by the coordinate
 * transformations, with what lies outside excluded or not; antialiasing is left to the other
 * oracles. Separable, so one axis after the other.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* Output sizes and scales per axis, from the operand scales or sizes. */
static int
resize_sizes(const trial *self, uint32_t rank, const int64_t *dims, int64_t *out, double *scale) {
    double list[FER_MAX_RANK];
    uint32_t scales = arg_list(self, "scales", list, FER_MAX_RANK);
    int64_t sizes[FER_MAX_RANK], axes[FER_MAX_RANK];
    uint32_t sized = arg_ints(self, "sizes", sizes, FER_MAX_RANK),
             named = arg_ints(self, "axes", axes, FER_MAX_RANK);
    uint32_t count = scales + sized;
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
        if (out[axis] < 1) {
            return 0;
        }
    }
    return 1;
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

/* Weights of the taps around x: first is the leftmost. */
static int taps_of(const trial *self, double x, int64_t size, int64_t *first, double *weights) {
    const char *mode = arg_text(self, "mode");
    int count = mode != NULL && mode[0] == 'c' ? 4 : 2;
    double base = floor(x), sum = 0;
    *first = (int64_t)base - (count == 4 ? 1 : 0);
    for (int i = 0; i < count; i++) {
        double distance = x - (double)(*first + i);
        weights[i] = count == 4 ? cubic_weight(arg_real(self, "cubic_coeff_a", -0.75), distance)
                                : 1 - fabs(distance);
        if (arg_int(self, "exclude_outside", 0) != 0 && (*first + i < 0 || *first + i >= size)) {
            weights[i] = 0;
        }
        sum += weights[i];
    }
    for (int i = 0; i < count && arg_int(self, "exclude_outside", 0) != 0; i++) {
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
        double weights[4],
            x = coordinate(self, (double)index[axis], scale, (double)length, (double)size);
        memcpy(at, index, sizeof at);
        if (mode == NULL || mode[0] == 'n') {
            at[axis] = within(nearest(self, x), length);
            out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
            continue;
        }
        int count = taps_of(self, x, length, &first, weights);
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
    if (arg_int(self, "antialias", 0) != 0 || arg_text(self, "keep_aspect_ratio_policy") != NULL ||
        !resize_sizes(self, in->rank, in->dims, sizes, scale)) {
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
     "uniform", fill_resize, NULL, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_resize = {
    "resize", nearest_rows, sizeof nearest_rows / sizeof *nearest_rows};
