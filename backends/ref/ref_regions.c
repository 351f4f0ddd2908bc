/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools over regions of images: RoiAlign (sampled between pixels) and MaxRoiPool (whole pixels).
 * Regions are data: their batch index is checked, and a region that would take more than 2^24
 * samples a cell fails the run. Called through the step list.
 */
#include "ref/ref_line.h"

#include <math.h>

#define MOST_SAMPLES 16777216.0

typedef struct region_pool {
    feri_ref_call *call;
    int64_t height, width;
    double scale;
    double shift;
    int64_t sampling;
    int is_max;
} region_pool;

/* One direction of a region: cells start at start + cell * size, samples a cell each. */
typedef struct span {
    double start;
    double size;
    int64_t samples;
} span;

static fer_status
make_span(const region_pool *p, double from, double to, int64_t cells, span *out) {
    double length = (to - from) * p->scale;
    out->start = from * p->scale - p->shift;
    if (p->shift == 0 && !(length > 1)) {
        length = 1; /* malformed regions */
    }
    out->size = length / (double)cells;
    double samples = p->sampling > 0 ? (double)p->sampling : ceil(out->size);
    if (samples > MOST_SAMPLES) {
        return feri_ref_fail(
            p->call, FER_INVALID_INPUT, "a region takes more than 2^24 samples a cell");
    }
    out->samples = samples > 0 ? (int64_t)samples : 0;
    return FER_OK;
}

/* Two neighbours and the weight of the second. 0: too far outside to count. */
static int between(double at, int64_t dim, int64_t *low, int64_t *high, double *t) {
    if (!(at >= -1 && at <= (double)dim)) {
        return 0;
    }
    at = at > 0 ? at : 0;
    *low = (int64_t)at;
    if (*low >= dim - 1) {
        *low = *high = dim - 1;
        *t = 0;
        return 1;
    }
    *high = *low + 1;
    *t = at - (double)*low;
    return 1;
}

/* One sample of the plane at start: its interpolated value, or for max the largest weighed one. */
static double sample(const region_pool *p, uint64_t start, double y, double x) {
    int64_t row[2], column[2];
    double ty, tx;
    if (!between(y, p->height, &row[0], &row[1], &ty) ||
        !between(x, p->width, &column[0], &column[1], &tx)) {
        return 0;
    }
    double result = 0;
    for (int i = 0; i < 4; i++) {
        double value, weight = (i / 2 ? ty : 1 - ty) * (i % 2 ? tx : 1 - tx);
        uint64_t at = start + (uint64_t)(row[i / 2] * p->width + column[i % 2]);
        feri_ref_load_real(p->call, p->call->in[0], at, 1, 1, &value);
        value *= weight;
        result = p->is_max ? (i == 0 || value > result ? value : result) : result + value;
    }
    return result;
}

static fer_status
align_cell(const region_pool *p, uint64_t start, const span *y, const span *x, double *out) {
    *out = 0;
    for (int64_t i = 0; i < y->samples; i++) {
        for (int64_t j = 0; j < x->samples; j++) {
            double value = sample(p,
                                  start,
                                  y->start + ((double)i + 0.5) * y->size / (double)y->samples,
                                  x->start + ((double)j + 0.5) * x->size / (double)x->samples);
            int is_first = i == 0 && j == 0;
            *out = p->is_max ? (is_first || value > *out ? value : *out) : *out + value;
            fer_status status = feri_ref_poll(p->call, 4);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    double count = (double)y->samples * (double)x->samples;
    *out /= p->is_max || count < 1 ? 1 : count;
    return FER_OK;
}

/* The first plane of the image a region belongs to. */
static fer_status find_image(const region_pool *p, double index, uint64_t *out) {
    const feri_ref_tensor *x = p->call->in[0];
    if (!(index >= 0 && index < (double)x->dims[0])) {
        return feri_ref_fail(
            p->call, FER_INVALID_INPUT, "the batch index of a region is out of range");
    }
    *out = (uint64_t)index * (uint64_t)x->dims[1];
    return FER_OK;
}

static fer_status align_region(const region_pool *p, uint64_t r) {
    feri_ref_call *call = p->call;
    feri_ref_tensor *y = call->out[0];
    double box[4], image_index;
    uint64_t image = 0;
    span rows = {0}, columns = {0};
    feri_ref_load_real(call, call->in[1], r * 4, 1, 4, box);
    feri_ref_load_real(call, call->in[2], r, 1, 1, &image_index);
    fer_status status = find_image(p, image_index, &image);
    status = status ? status : make_span(p, box[1], box[3], y->dims[2], &rows);
    status = status ? status : make_span(p, box[0], box[2], y->dims[3], &columns);
    uint64_t cells = (uint64_t)(y->dims[2] * y->dims[3]);
    for (uint64_t i = 0; status == FER_OK && i < (uint64_t)y->dims[1] * cells; i++) {
        int64_t cell = (int64_t)(i % cells);
        uint64_t plane = (image + i / cells) * (uint64_t)(p->height * p->width);
        span sy = rows, sx = columns;
        double value = 0;
        sy.start += (double)(cell / y->dims[3]) * rows.size;
        sx.start += (double)(cell % y->dims[3]) * columns.size;
        status = align_cell(p, plane, &sy, &sx, &value);
        feri_ref_store_real(call, y, r * (uint64_t)y->dims[1] * cells + i, 1, 1, &value);
        status = status ? status : feri_ref_poll(call, 16);
    }
    return status;
}

static fer_status start(feri_ref_call *call, region_pool *p, int64_t entries) {
    const feri_ref_tensor *x = call->in[0], *rois = call->in[1], *y = call->out[0];
    if (x->rank != 4 || rois->rank != 2 || y->rank != 4 || rois->dims[1] != entries ||
        y->dims[0] != rois->dims[0] || y->dims[1] != x->dims[1] ||
        (y->count && x->dims[2] * x->dims[3] == 0)) {
        return feri_ref_misfit(call, "the regions do not fit X");
    }
    *p = (region_pool){.call = call,
                       .height = x->dims[2],
                       .width = x->dims[3],
                       .scale = feri_ref_float(call->node, "spatial_scale", 1)};
    return FER_OK;
}

static fer_status align_run(feri_ref_call *call) {
    region_pool p;
    fer_status status = start(call, &p, 4);
    if (status != FER_OK) {
        return status;
    }
    const char *attr = "coordinate_transformation_mode";
    p.shift = feri_ref_string_is(call->node, attr, "half_pixel", "half_pixel") ? 0.5 : 0;
    p.is_max = feri_ref_string_is(call->node, "mode", "avg", "max");
    p.sampling = feri_ref_int(call->node, "sampling_ratio", 0);
    if (call->in[2]->count != (uint64_t)call->in[1]->dims[0]) {
        return feri_ref_misfit(call, "rois and batch_indices differ in count");
    }
    for (uint64_t r = 0; status == FER_OK && r < call->in[2]->count; r++) {
        status = align_region(&p, r);
    }
    return status;
}

/* ---- MaxRoiPool ---- */

/* Pixels [*from, *to) of a cell, cut to the image. */
static void whole_cell(double first,
                       double last,
                       int64_t cell,
                       int64_t cells,
                       int64_t dim,
                       int64_t *from,
                       int64_t *to) {
    double length = last - first + 1 > 1 ? last - first + 1 : 1;
    double size = length / (double)cells;
    double low = floor((double)cell * size) + first, high = ceil((double)(cell + 1) * size) + first;
    *from = low > 0 ? (low < (double)dim ? (int64_t)low : dim) : 0;
    *to = high > 0 ? (high < (double)dim ? (int64_t)high : dim) : 0;
}

static fer_status max_cell(const region_pool *p,
                           uint64_t plane,
                           const int64_t *rows,
                           const int64_t *columns,
                           double *out) {
    int is_empty = 1;
    *out = 0;
    for (int64_t i = rows[0]; i < rows[1]; i++) {
        for (int64_t j = columns[0]; j < columns[1]; j++) {
            double value;
            feri_ref_load_real(
                p->call, p->call->in[0], plane + (uint64_t)(i * p->width + j), 1, 1, &value);
            *out = is_empty || value > *out ? value : *out;
            is_empty = 0;
            fer_status status = feri_ref_poll(p->call, 1);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    return FER_OK;
}

static fer_status max_region(const region_pool *p, uint64_t r) {
    feri_ref_call *call = p->call;
    feri_ref_tensor *y = call->out[0];
    double box[5];
    uint64_t image = 0, cells = (uint64_t)(y->dims[2] * y->dims[3]);
    feri_ref_load_real(call, call->in[1], r * 5, 1, 5, box);
    fer_status status = find_image(p, box[0], &image);
    for (int i = 1; i < 5; i++) {
        box[i] = round(box[i] * p->scale);
    }
    for (uint64_t i = 0; status == FER_OK && i < (uint64_t)y->dims[1] * cells; i++) {
        int64_t cell = (int64_t)(i % cells), rows[2], columns[2];
        double value;
        whole_cell(box[2], box[4], cell / y->dims[3], y->dims[2], p->height, &rows[0], &rows[1]);
        whole_cell(
            box[1], box[3], cell % y->dims[3], y->dims[3], p->width, &columns[0], &columns[1]);
        uint64_t plane = (image + i / cells) * (uint64_t)(p->height * p->width);
        status = max_cell(p, plane, rows, columns, &value);
        feri_ref_store_real(call, y, r * (uint64_t)y->dims[1] * cells + i, 1, 1, &value);
        status = status ? status : feri_ref_poll(call, 16);
    }
    return status;
}

static fer_status max_run(feri_ref_call *call) {
    region_pool p;
    fer_status status = start(call, &p, 5);
    for (int64_t r = 0; status == FER_OK && r < call->in[1]->dims[0]; r++) {
        status = max_region(&p, (uint64_t)r);
    }
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_regions[] = {
    FERI_REF_KERNEL(RoiAlign, 22, .run = align_run)
    FERI_REF_KERNEL(MaxRoiPool, 22, .run = max_run)
    FERI_REF_END
};
/* clang-format on */
