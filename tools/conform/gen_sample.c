/* SPDX-License-Identifier: Apache-2.0
 *
 * Sampling at computed places: GridSample, AffineGrid, RoiAlign, MaxRoiPool, DeformConv. Places are
 * eighths where a step hangs on them (a tie, a border), so that every device finds the same one.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* What weights and places computed in f32 (of f64 operands in f64) may be off, per element read. */
static long double roughness(const trial *self) {
    return self->dtype == FER_F64 ? 0x1p-44L : 0x1p-18L;
}

/* ---- GridSample ---- */

/* From well outside to well outside, ties and both borders among them. */
static const double grid_places[] = {-1.875, -0.75,  0.125, 0.875,  -1,    0.5,  1.25,   -0.375,
                                     1,      0,      -1.25, 0.25,   2.625, -0.5, -2.375, 0.625,
                                     1.875,  -0.125, 0.75,  -0.875, 0.375, -1.5, 1.5};

static int fill_grid(trial *self) {
    static const int64_t sizes[] = {5, 3, 4};
    int64_t dims[FER_MAX_RANK];
    uint32_t spatial = self->rank - 2;
    if (self->rank < 3 || self->rank > 5 || dims_count(self->rank, self->dims) == 0) {
        return 0;
    }
    dims[0] = self->dims[0];
    for (uint32_t i = 0; i < spatial; i++) {
        dims[1 + i] = sizes[i];
    }
    dims[self->rank - 1] = spatial;
    input_dims(self, 1, self->rank, dims);
    self->inputs[1].is_moved = 0;
    if (arg_int(self, "smooth", 0) != 0) {
        input_range(self, 1, -1.6, 1.6);
        return 1;
    }
    self->inputs[1].fill = FILL_LIST;
    self->inputs[1].list_count = sizeof grid_places / sizeof *grid_places;
    memcpy(self->inputs[1].list, grid_places, sizeof grid_places);
    return 1;
}

static double mirrored(double x, double low, double high) {
    while (high > low && (x < low || x > high)) {
        x = x < low ? 2 * low - x : 2 * high - x;
    }
    return high > low ? x : low;
}

/* The place as an element; -1: outside, where zeros are. */
static int64_t grid_element(const trial *self, double at, int64_t size) {
    double half = arg_int(self, "align_corners", 0) != 0 ? 0 : 0.5;
    if (arg_is(self, "padding_mode", "zeros", "reflection")) {
        at = mirrored(at, -half, (double)size - 1 + half);
    }
    if (!arg_is(self, "padding_mode", "zeros", "zeros")) {
        at = at < 0 ? 0 : at > (double)size - 1 ? (double)size - 1 : at;
    }
    return at < 0 || at >= (double)size ? -1 : (int64_t)at;
}

static long double keys(long double x) {
    const long double a = -0.75L;
    x = fabsl(x);
    return x < 1   ? 1 - (a + 3) * x * x + (a + 2) * x * x * x
           : x < 2 ? a * (x - 1) * (x - 2) * (x - 2)
                   : 0;
}

/* Elements and weights along one axis; how many. */
static int
grid_taps(const trial *self, double g, int64_t size, int64_t *elements, long double *weights) {
    int is_aligned = arg_int(self, "align_corners", 0) != 0;
    double half = is_aligned ? 0 : 0.5, last = (double)size - 1;
    double x = is_aligned ? (g + 1) * last / 2 : ((g + 1) * (double)size - 1) / 2;
    int is_nearest = arg_is(self, "mode", "linear", "nearest"),
        is_cubic = arg_is(self, "mode", "linear", "cubic");
    x = is_nearest ? rint(x) : x;
    if (arg_is(self, "padding_mode", "zeros", "border")) {
        /* Only what lies outside [-1, 1] is padded: between the border and the middle of the outer
         * element x stays, which cubic weights tell. */
        x = x < -half ? 0 : x > last + half ? last : x;
    } else if (arg_is(self, "padding_mode", "zeros", "reflection")) {
        x = mirrored(x, -half, last + half);
    }
    if (is_nearest) {
        elements[0] = grid_element(self, x, size);
        weights[0] = 1;
        return 1;
    }
    int count = is_cubic ? 4 : 2;
    for (int i = 0; i < count; i++) {
        double at = floor(x) + i - (is_cubic ? 1 : 0);
        elements[i] = grid_element(self, at, size);
        weights[i] = is_cubic ? keys((long double)(x - at)) : 1 - fabsl((long double)(x - at));
    }
    return count;
}

typedef struct grid_point {
    int64_t elements[3][4];
    long double weights[3][4];
    int counts[3];
} grid_point;

/* One element of one part of the output. */
static void grid_sum(const trial *self,
                     const nd *x,
                     const int64_t *index,
                     const grid_point *point,
                     uint64_t flat,
                     nd *out) {
    uint32_t spatial = x->rank - 2;
    uint64_t parts;
    int is_moved = (self->row->flags & ROW_MOVEMENT) != 0;
    (void)dtype_part(self->dtype, &parts);
    parts = is_moved ? 1 : parts;
    int64_t choice[3] = {0}, choices[3], at[FER_MAX_RANK] = {index[0], index[1]};
    for (uint32_t d = 0; d < spatial; d++) {
        choices[d] = point->counts[d];
    }
    if (is_moved) {
        out->v[flat] = -1;
    }
    do {
        long double weight = 1;
        int is_inside = 1;
        for (uint32_t d = 0; d < spatial; d++) {
            at[2 + d] = point->elements[d][choice[d]];
            is_inside &= at[2 + d] >= 0;
            weight *= point->weights[d][choice[d]];
        }
        for (uint64_t part = 0; is_inside && part < parts; part++) {
            long double value = x->v[index_flat(x->rank, x->dims, at) * parts + part];
            if (is_moved) {
                out->v[flat] = value;
                continue;
            }
            out->v[flat * parts + part] += weight * value;
            out->slack[flat * parts + part] += roughness(self) * fabsl(value);
        }
    } while (index_next(spatial, choices, choice));
}

static int grid_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t spatial = in->rank - 2;
    int64_t dims[FER_MAX_RANK] = {in->dims[0], in->dims[1]}, index[FER_MAX_RANK] = {0},
            place[FER_MAX_RANK];
    memcpy(dims + 2, in[1].dims + 1, spatial * sizeof *dims);
    nd_make(self, out, in->rank, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(out->rank, dims, index)) {
        grid_point point;
        place[0] = index[0];
        memcpy(place + 1, index + 2, spatial * sizeof *place);
        for (uint32_t d = 0; d < spatial; d++) {
            /* The last coordinate is of the first spatial axis. */
            place[1 + spatial] = spatial - 1 - d;
            double g = (double)in[1].v[index_flat(in[1].rank, in[1].dims, place)];
            point.counts[d] =
                grid_taps(self, g, in->dims[2 + d], point.elements[d], point.weights[d]);
        }
        grid_sum(self, in, index, &point, i, out);
        if (dtype_is_integer(self->dtype) && (self->row->flags & ROW_MOVEMENT) == 0) {
            /* Cut off at the end: beside a whole number either is right. */
            out->slack[i] = fabsl(out->v[i] - roundl(out->v[i])) <= out->slack[i] ? 1 : 0;
            out->v[i] = wrap_to(self->dtype, (wide_int)out->v[i]);
        }
    }
    return 1;
}

/* ---- AffineGrid ---- */

static int fill_affine(trial *self) {
    double size[8];
    uint32_t count = arg_list(self, "size", size, 8);
    return self->rank == 3 && count == (uint32_t)self->dims[1] + 2 &&
           self->dims[2] == self->dims[1] + 1 && size[0] == (double)self->dims[0];
}
static int affine_oracle(const trial *self, const nd *in, nd *out) {
    int64_t size[8], dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    uint32_t count = arg_ints(self, "size", size, 8), spatial = count - 2;
    dims[0] = size[0];
    memcpy(dims + 1, size + 2, spatial * sizeof *dims);
    dims[spatial + 1] = spatial;
    nd_make(self, out, spatial + 2, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(out->rank, dims, index)) {
        const long double *row = in->v + (index[0] * spatial + index[spatial + 1]) * (spatial + 1);
        out->v[i] = row[spatial];
        long double total = fabsl(row[spatial]);
        for (uint32_t d = 0; d < spatial; d++) { /* x runs along the last axis */
            int64_t length = dims[spatial - d];
            long double at = index[spatial - d];
            at = arg_int(self, "align_corners", 0) != 0 ? 2 * at / (length - 1) - 1
                                                        : (2 * at + 1) / length - 1;
            out->v[i] += row[d] * at;
            total += fabsl(row[d]);
        }
        out->slack[i] = sum_slack(self->dtype, spatial + 1, total);
    }
    return 1;
}

/* ---- RoiAlign, MaxRoiPool ---- */

/* Corners x1 y1 x2 y2 of regions: inside, across each border, narrow, whole. */
static const double regions[][4] = {
    {0.3,  0.43, 3.6,  5.21},
    {-2.3, -1.2, 2.4,  3.1 },
    {1.2,  1.7,  7.9,  9.3 },
    {2.1,  2.2,  2.6,  2.5 },
    {0,    0,    4,    6   },
    {1.25, 0.5,  3.75, 4.5 },
    {-4.2, 1.37, 9.4,  3.71},
};
static const double whole_regions[][4] = {
    {0,  0,  3,  5 },
    {-2, -1, 2,  3 },
    {1,  1,  8,  9 },
    {2,  2,  2,  2 },
    {0,  0,  4,  6 },
    {3,  4,  1,  2 },
    {-7, -6, -5, -4},
};

static int fill_regions(trial *self) {
    int is_pool = self->op->name[0] == 'M', width = is_pool ? 5 : 4, count = 7;
    case_input *rois = &self->inputs[1];
    int64_t pooled[2] = {1, 1};
    (void)arg_ints(self, "pooled_shape", pooled, 2);
    if (self->rank != 4 || dims_count(self->rank, self->dims) == 0 || pooled[0] < 1 ||
        pooled[1] < 1 || arg_int(self, "output_height", 1) < 1 ||
        arg_int(self, "output_width", 1) < 1) {
        return 0;
    }
    input_dims(self, 1, 2, (int64_t[]){count, width});
    rois->fill = FILL_LIST;
    rois->is_moved = 0;
    for (int r = 0; r < count; r++) {
        if (is_pool) {
            rois->list[rois->list_count++] = (double)(r % self->dims[0]);
        }
        for (int k = 0; k < 4; k++) {
            rois->list[rois->list_count++] = is_pool ? whole_regions[r][k] : regions[r][k];
        }
    }
    if (!is_pool) {
        input_dims(self, 2, 1, (int64_t[]){count});
        input_range(self, 2, 0, (double)self->dims[0] - 1);
    }
    return 1;
}

/* Bilinear; what lies more than one outside is nothing. The specification's vectors for mode max
 * take the largest of the weighed corners, not of their sums. On the border itself, where rounding
 * tells inside from outside, either is right: the size is beyond all bounds. */
static long double bilinear(const nd *x,
                            const int64_t *plane,
                            long double y,
                            long double z,
                            int is_max,
                            long double *out_size) {
    int64_t h = x->dims[2], w = x->dims[3], at[4] = {plane[0], plane[1]};
    long double sum = 0, most = -INFINITY;
    *out_size = 0;
    for (int corner = 0; corner < 4; corner++) {
        long double cy = y < 0 ? 0 : y, cz = z < 0 ? 0 : z;
        cy = cy > h - 1 ? h - 1 : cy;
        cz = cz > w - 1 ? w - 1 : cz;
        at[2] = (int64_t)floorl(cy) + (corner & 1);
        at[3] = (int64_t)floorl(cz) + corner / 2;
        long double weight = (1 - fabsl(cy - at[2])) * (1 - fabsl(cz - at[3]));
        at[2] = at[2] < h ? at[2] : h - 1;
        at[3] = at[3] < w ? at[3] : w - 1;
        long double value = x->v[index_flat(4, x->dims, at)];
        sum += weight * value;
        most = fmaxl(most, weight * value);
        *out_size += fabsl(value);
    }
    int is_outside = y < -1 || y > h || z < -1 || z > w;
    int is_near = fabsl(y + 1) < 1e-3L || fabsl(y - h) < 1e-3L || fabsl(z + 1) < 1e-3L ||
                  fabsl(z - w) < 1e-3L;
    *out_size *= is_near ? 0x1p45L : 1;
    return is_outside ? 0 : is_max ? most : sum;
}

/* Where the samples of one bin lie along one axis. */
typedef struct bin_samples {
    long double first, step;
    int64_t count;
} bin_samples;

static void bin_axis(const trial *self,
                     long double low,
                     long double high,
                     int64_t bins,
                     int64_t bin,
                     bin_samples *out) {
    long double scale = arg_real(self, "spatial_scale", 1);
    int is_half = arg_is(self, "coordinate_transformation_mode", "half_pixel", "half_pixel");
    long double offset = is_half ? 0.5L : 0, begin = low * scale - offset,
                size = high * scale - offset - begin;
    size = !is_half && size < 1 ? 1 : size;
    out->count = arg_int(self, "sampling_ratio", 0);
    if (out->count <= 0) {
        out->count = (int64_t)ceill(size / bins);
    }
    out->step = size / bins / (out->count > 0 ? out->count : 1);
    out->first = begin + size / bins * bin + out->step / 2;
}

static int align_oracle(const trial *self, const nd *in, nd *out) {
    int64_t dims[] = {in[1].dims[0],
                      in->dims[1],
                      arg_int(self, "output_height", 1),
                      arg_int(self, "output_width", 1)},
            index[4] = {0};
    int is_max = arg_is(self, "mode", "avg", "max");
    nd_make(self, out, 4, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(4, dims, index)) {
        const long double *roi = in[1].v + index[0] * 4;
        int64_t plane[2] = {(int64_t)in[2].v[index[0]], index[1]};
        bin_samples down, across;
        bin_axis(self, roi[1], roi[3], dims[2], index[2], &down);
        bin_axis(self, roi[0], roi[2], dims[3], index[3], &across);
        int64_t count = down.count * across.count;
        for (int64_t s = 0; s < count; s++) {
            long double size, value = bilinear(in,
                                               plane,
                                               down.first + down.step * (s / across.count),
                                               across.first + across.step * (s % across.count),
                                               is_max,
                                               &size);
            out->v[i] = !is_max                       ? out->v[i] + value / count
                        : s == 0 || value > out->v[i] ? value
                                                      : out->v[i];
            out->slack[i] = is_max ? fmaxl(out->slack[i], roughness(self) * 4 * size)
                                   : out->slack[i] + roughness(self) * 4 * size / count;
        }
    }
    return 1;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
static int64_t held(int64_t at, int64_t size) { return at < 0 ? 0 : at > size ? size : at; }

/* Bins of whole elements from floor to ceil of their borders; the region's ends belong to it. */
static int roi_pool_oracle(const trial *self, const nd *in, nd *out) {
    int64_t pooled[2], index[4] = {0}, dims[4] = {in[1].dims[0], in->dims[1]};
    double scale = arg_real(self, "spatial_scale", 1);
    (void)arg_ints(self, "pooled_shape", pooled, 2);
    dims[2] = pooled[0];
    dims[3] = pooled[1];
    nd_make(self, out, 4, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(4, dims, index)) {
        const long double *roi = in[1].v + index[0] * 5;
        int64_t from[2], to[2], at[4] = {(int64_t)roi[0], index[1]};
        for (int k = 0; k < 2; k++) { /* rows, then columns */
            int64_t low = (int64_t)round((double)roi[2 - k] * scale),
                    high = (int64_t)round((double)roi[4 - k] * scale);
            int64_t size = high - low + 1 > 1 ? high - low + 1 : 1;
            from[k] = held(low + floor_div(index[2 + k] * size, pooled[k]), in->dims[2 + k]);
            to[k] = held(low - floor_div(-(index[2 + k] + 1) * size, pooled[k]), in->dims[2 + k]);
        }
        int is_first = 1;
        for (at[2] = from[0]; at[2] < to[0]; at[2]++) {
            for (at[3] = from[1]; at[3] < to[1]; at[3]++) {
                long double value = in->v[index_flat(4, in->dims, at)];
                out->v[i] = is_first || value > out->v[i] ? value : out->v[i];
                is_first = 0;
            }
        }
    }
    return 1;
}

/* ---- DeformConv ---- */

typedef struct deform {
    int64_t kernel[2], stride[2], dilation[2], pads[4], group, offset_group;
} deform;

static void deform_read(const trial *self, deform *out) {
    *out = (deform){
        .kernel = {3, 2},
        .stride = {1, 1},
        .dilation = {1, 1},
        .group = arg_int(self, "group", 1),
        .offset_group = arg_int(self, "offset_group", 1)
    };
    (void)arg_ints(self, "k", out->kernel, 2);
    (void)arg_ints(self, "strides", out->stride, 2);
    (void)arg_ints(self, "dilations", out->dilation, 2);
    (void)arg_ints(self, "pads", out->pads, 4);
}
static int64_t deform_size(const deform *d, int k, int64_t size) {
    return (size + d->pads[k] + d->pads[2 + k] - d->dilation[k] * (d->kernel[k] - 1) - 1) /
               d->stride[k] +
           1;
}

static int fill_deform(trial *self) {
    deform d;
    deform_read(self, &d);
    if (self->rank != 4 || d.group < 1 || d.offset_group < 1 || d.stride[0] < 1 ||
        d.stride[1] < 1 || self->dims[1] % d.group != 0 || self->dims[1] % d.offset_group != 0) {
        return 0;
    }
    int64_t h = deform_size(&d, 0, self->dims[2]), w = deform_size(&d, 1, self->dims[3]),
            channels = 2 * d.group;
    int64_t taps = d.offset_group * d.kernel[0] * d.kernel[1];
    input_dims(
        self, 1, 4, (int64_t[]){channels, self->dims[1] / d.group, d.kernel[0], d.kernel[1]});
    input_dims(self, 2, 4, (int64_t[]){self->dims[0], 2 * taps, h, w});
    input_range(self, 2, -2, 2);
    if (self->input_count > 3) {
        input_dims(self, 3, 1, &channels);
    }
    if (self->input_count > 4) {
        input_dims(self, 4, 4, (int64_t[]){self->dims[0], taps, h, w});
        input_range(self, 4, 0, 1);
    }
    return h > 0 && w > 0;
}

/* Corners outside are zeros. */
static long double
deform_value(const nd *x, int64_t n, int64_t c, long double y, long double z, long double *size) {
    long double sum = 0;
    for (int corner = 0; corner < 4; corner++) {
        int64_t at[4] = {n, c, (int64_t)floorl(y) + (corner & 1), (int64_t)floorl(z) + corner / 2};
        if (at[2] >= 0 && at[2] < x->dims[2] && at[3] >= 0 && at[3] < x->dims[3]) {
            long double value = x->v[index_flat(4, x->dims, at)];
            sum += (1 - fabsl(y - at[2])) * (1 - fabsl(z - at[3])) * value;
            *size += fabsl(value);
        }
    }
    return sum;
}

static void deform_one(const trial *self,
                       const nd *in,
                       const deform *d,
                       const int64_t *index,
                       nd *out,
                       uint64_t flat) {
    int64_t each = in[1].dims[1], first = index[1] / (in[1].dims[0] / d->group) * each,
            taps = d->kernel[0] * d->kernel[1];
    long double total = 0;
    for (int64_t k = 0; k < each * taps; k++) {
        int64_t c = first + k / taps, tap = k % taps, i = tap / d->kernel[1],
                j = tap % d->kernel[1];
        int64_t g = c / (in->dims[1] / d->offset_group) * taps + tap;
        int64_t place[4] = {index[0], 2 * g, index[2], index[3]};
        long double y = in[2].v[index_flat(4, in[2].dims, place)] + index[2] * d->stride[0] -
                        d->pads[0] + i * d->dilation[0];
        place[1]++;
        long double z = in[2].v[index_flat(4, in[2].dims, place)] + index[3] * d->stride[1] -
                        d->pads[1] + j * d->dilation[1];
        place[1] = g;
        long double mask = in[4].v != NULL ? in[4].v[index_flat(4, in[4].dims, place)] : 1,
                    size = 0;
        long double weight = in[1].v[(index[1] * each + k / taps) * taps + tap] * mask;
        out->v[flat] += weight * deform_value(in, index[0], c, y, z, &size);
        total += fabsl(weight) * size;
    }
    if (in[3].v != NULL) {
        out->v[flat] += in[3].v[index[1]];
        total += fabsl(in[3].v[index[1]]);
    }
    out->slack[flat] =
        sum_slack(self->dtype, (uint64_t)(each * taps), total) + roughness(self) * total;
}

static int deform_oracle(const trial *self, const nd *in, nd *out) {
    deform d;
    deform_read(self, &d);
    int64_t dims[] = {in->dims[0], in[1].dims[0], in[2].dims[2], in[2].dims[3]}, index[4] = {0};
    nd_make(self, out, 4, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(4, dims, index)) {
        deform_one(self, in, &d, index, out, i);
    }
    return 1;
}

/* clang-format off */
#define PADDINGS(words) words " " words ",padding_mode=border " words ",padding_mode=reflection " words ",align_corners=1 " \
    words ",padding_mode=border,align_corners=1 " words ",padding_mode=reflection,align_corners=1 "
#define NUMBERS "i8|i16|i32|i64|u8|u16|u32|u64"

static const case_row rows[] = {
    {"GridSample", NULL, "image line cube row pixel", PADDINGS("mode=nearest") PADDINGS("mode=nearest,T2=f64"), "bits", fill_grid, grid_oracle, ROW_MOVEMENT, NULL, NULL},
    {"GridSample", "float", "image line cube column pixel", PADDINGS("mode=linear") PADDINGS("mode=cubic") PADDINGS("mode=linear,smooth=1") PADDINGS("mode=cubic,smooth=1") "T2=f64",
     "ints uniform wide", fill_grid, grid_oracle, ROW_ZEROS, NULL, NULL},
    {"GridSample", NUMBERS, "image", "mode=linear mode=linear,padding_mode=border mode=linear,align_corners=1,padding_mode=reflection mode=cubic,align_corners=1", "ints", fill_grid, grid_oracle, ROW_ZEROS, NULL, NULL},
    {"GridSample", "complex", "image", "mode=linear mode=linear,padding_mode=border mode=linear,align_corners=1,padding_mode=reflection mode=cubic,align_corners=1", "uniform", fill_grid, grid_oracle, ROW_ZEROS, NULL, NULL},
    {"AffineGrid", NULL, "2x2x3", "size=2:1:5:7 size=2:3:2:3,align_corners=1 size=2:4:61:3 size=2:1:1:1 size=2:1:0:4 size=2:1:17:19,align_corners=1", "ints uniform wide", fill_affine,
     affine_oracle, ROW_ZEROS, NULL, NULL},
    {"AffineGrid", NULL, "1x3x4 2x3x4", "size=1:1:5:3:7 size=1:3:2:3:4,align_corners=1 size=2:1:3:2:5 size=2:1:3:2:5,align_corners=1 size=1:1:1:1:3", "ints uniform", fill_affine,
     affine_oracle, ROW_ZEROS, NULL, NULL},
    {"RoiAlign", NULL, "image row pixel", "- output_height=2,output_width=3 output_height=3,output_width=2,sampling_ratio=2 output_height=2,output_width=2,sampling_ratio=1,spatial_scale=0.5 "
     "output_height=2,output_width=2,spatial_scale=2.3 coordinate_transformation_mode=output_half_pixel,output_height=2,output_width=3 "
     "coordinate_transformation_mode=output_half_pixel,output_height=4,output_width=2,sampling_ratio=3,spatial_scale=0.7", "ints uniform wide", fill_regions, align_oracle, ROW_ZEROS, NULL, NULL},
    {"RoiAlign", NULL, "image row", "mode=max,output_height=2,output_width=3 mode=max,output_height=3,output_width=2,sampling_ratio=2 mode=max,sampling_ratio=1 "
     "mode=max,coordinate_transformation_mode=output_half_pixel,output_height=2,output_width=2,spatial_scale=0.7", "ints uniform", fill_regions, align_oracle, ROW_ZEROS, NULL, NULL},
    {"MaxRoiPool", NULL, "image row column pixel", "pooled_shape=1:1 pooled_shape=2:3 pooled_shape=4:2 pooled_shape=2:2,spatial_scale=0.6 pooled_shape=3:1,spatial_scale=2 pooled_shape=8:8",
     "ints uniform wide", fill_regions, roi_pool_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"DeformConv", NULL, "image row", "- with=B with=B:mask with=mask,pads=1:0:1:1 pads=1:1:1:1,strides=2:2 dilations=1:2,pads=2:2:0:1,with=B k=1:1 k=1:1,with=mask,strides=2:1",
     "ints uniform", fill_deform, deform_oracle, ROW_ZEROS, NULL, NULL},
    {"DeformConv", NULL, "image", "group=2 group=2,offset_group=2,with=B:mask offset_group=4,with=mask,pads=0:1:2:0 offset_group=2,dilations=2:1", "ints uniform", fill_deform, deform_oracle,
     ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_sample = {"sample", rows, sizeof rows / sizeof *rows};
