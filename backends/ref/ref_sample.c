/* SPDX-License-Identifier: Apache-2.0
 *
 * GridSample in any number of spatial dims and AffineGrid. Per dim a coordinate becomes one, two or
 * four taps with weights; a tap outside is left out, clamped or reflected. Coordinates are f64
 * whatever dtype grid has. Called through the step list.
 */
#include "kit/geometry.h"
#include "ref/ref_elements.h"

#include <math.h>

enum { MOST_SPATIAL = FER_MAX_RANK - 2, MOST_TAPS = 4 };
enum { PAD_ZEROS, PAD_BORDER, PAD_REFLECTION };

typedef struct grid_params {
    uint32_t taps; /* 1 nearest, 2 linear, 4 cubic */
    uint32_t padding;
    uint32_t is_aligned;
    uint32_t spatial;
    uint32_t moves;  /* by element size: nearest */
    uint32_t parts;  /* 2 for complex numbers, which are weighed part by part */
    fer_dtype dtype; /* of a part */
    uint32_t reserved;
} grid_params;

/* Where one dim is read; index -1 nowhere. */
typedef struct tap_row {
    int64_t index[MOST_TAPS];
    double weight[MOST_TAPS];
} tap_row;

/* Back and forth between low and high; both are halves or wholes. */
static double reflect(double x, double low, double high) {
    double range = high - low;
    double away = x < low ? low - x : x - high;
    if (away <= 0) {
        return x;
    }
    if (!(range > 0)) {
        return low;
    }
    double turn = fmod(away, 2 * range);
    turn = turn <= range ? turn : 2 * range - turn;
    return x < low ? low + turn : high - turn;
}

static double clamp(double x, double low, double high) {
    return x > low ? (x < high ? x : high) : low; /* NaN is low */
}

static double edge(const grid_params *p, int64_t dim, int is_high) {
    double half = p->is_aligned ? 0 : 0.5;
    return is_high ? (double)dim - 1 + half : -half;
}

/* A tap at i as an index into the dim. */
static int64_t place(const grid_params *p, double i, int64_t dim) {
    if (p->padding == PAD_REFLECTION) {
        i = trunc(reflect(i, edge(p, dim, 0), edge(p, dim, 1)));
        i = clamp(i, 0, (double)dim - 1);
    } else if (p->padding == PAD_BORDER) {
        i = clamp(i, 0, (double)dim - 1);
    }
    return i >= 0 && i < (double)dim ? (int64_t)i : -1;
}

/* Keys' cubic convolution with a = -0.75, at distances t + 1, t, 1 - t, 2 - t. */
static void cubic_weights(double t, double *out) {
    const double a = -0.75;
    double near[2] = {t, 1 - t}, far[2] = {t + 1, 2 - t};
    for (int i = 0; i < 2; i++) {
        double n = near[i], f = far[i];
        out[i ? 2 : 1] = ((a + 2) * n - (a + 3)) * n * n + 1;
        out[i ? 3 : 0] = ((a * f - 5 * a) * f + 8 * a) * f - 4 * a;
    }
}

static void find_taps(const grid_params *p, double normalized, int64_t dim, tap_row *out) {
    double length = (double)dim;
    double x =
        p->is_aligned ? (normalized + 1) / 2 * (length - 1) : ((normalized + 1) * length - 1) / 2;
    x = p->taps == 1 ? rint(x) : x;
    if (p->padding == PAD_BORDER) {
        /* Between the border and the middle of the outer element nothing is padded. */
        int is_inside = x >= edge(p, dim, 0) && x <= edge(p, dim, 1);
        x = is_inside ? x : clamp(x, 0, length - 1);
    } else if (p->padding == PAD_REFLECTION) {
        x = isfinite(x) ? reflect(x, edge(p, dim, 0), edge(p, dim, 1)) : 0;
    }
    double first = p->taps == 1 ? x : floor(x), t = x - first;
    if (p->taps == 1) {
        out->weight[0] = 1;
    } else if (p->taps == 2) {
        out->weight[0] = 1 - t;
        out->weight[1] = t;
    } else {
        cubic_weights(t, out->weight);
        first -= 1;
    }
    for (uint32_t i = 0; i < p->taps; i++) {
        out->index[i] = place(p, first + i, dim);
    }
}

/* The weighed sum over all combinations of taps, in one channel at start, of one part. */
static double gather(feri_ref_call *call, const tap_row *rows, uint64_t start, uint32_t part) {
    const grid_params *p = call->params;
    const feri_ref_tensor *x = call->in[0];
    feri_ref_tensor parts = *x;
    parts.dtype = p->dtype;
    uint32_t at[MOST_SPATIAL] = {0};
    double sum = 0;
    for (;;) {
        uint64_t index = 0;
        double weight = 1;
        int is_inside = 1;
        for (uint32_t d = 0; d < p->spatial; d++) {
            int64_t i = rows[d].index[at[d]];
            is_inside &= i >= 0;
            index = index * (uint64_t)x->dims[d + 2] + (uint64_t)(i < 0 ? 0 : i);
            weight *= rows[d].weight[at[d]];
        }
        if (is_inside && p->moves) {
            return (double)(start + index); /* nearest: there is one tap */
        }
        if (is_inside) {
            double value;
            feri_ref_load_real(call, &parts, (start + index) * p->parts + part, 1, 1, &value);
            sum += weight * value;
        }
        uint32_t d = p->spatial;
        while (d-- > 0 && ++at[d] == p->taps) {
            at[d] = 0;
        }
        if (d == UINT32_MAX) {
            return p->moves ? -1 : sum;
        }
    }
}

static void store(feri_ref_call *call, uint64_t at, double value) {
    static const uint8_t zero[16] = {0};
    const grid_params *p = call->params;
    feri_ref_tensor *y = call->out[0];
    if (p->moves) {
        uint32_t bits = feri_ref_bits(y->dtype);
        feri_ref_copy_run(bits,
                          y->data,
                          at,
                          value < 0 ? zero : call->in[0]->data,
                          value < 0 ? 0 : (uint64_t)value,
                          1);
    } else if (feri_ref_is_float(p->dtype)) {
        call->host->store_f64(p->dtype, y->data, at, 1, &value, /*saturate=*/0);
    } else {
        int64_t whole = feri_ref_to_i64(value);
        call->host->store_i64(y->dtype, y->data, at, 1, &whole);
    }
}

static fer_status grid_run(feri_ref_call *call) {
    const grid_params *p = call->params;
    const feri_ref_tensor *x = call->in[0], *grid = call->in[1];
    feri_ref_tensor *y = call->out[0];
    uint64_t channels = (uint64_t)x->dims[1];
    uint64_t area = (uint64_t)feri_kit_span(x->dims, 2, x->rank);
    uint64_t points = (uint64_t)feri_kit_span(y->dims, 2, y->rank);
    uint64_t combinations = (uint64_t)pow(p->taps, p->spatial);
    if (y->count == 0) {
        return FER_OK;
    }
    if (area == 0) {
        return feri_ref_misfit(call, "X has no elements to sample");
    }
    for (uint64_t i = 0; i < (uint64_t)x->dims[0] * points; i++) {
        double point[MOST_SPATIAL];
        tap_row rows[MOST_SPATIAL];
        uint64_t image = i / points;
        feri_ref_load_real(call, grid, i * p->spatial, 1, p->spatial, point);
        for (uint32_t d = 0; d < p->spatial; d++) { /* grid names the last dim first */
            find_taps(p, point[p->spatial - 1 - d], x->dims[d + 2], &rows[d]);
        }
        for (uint64_t c = 0; c < channels; c++) {
            uint64_t plane = image * channels + c;
            uint64_t to = (plane * points + i % points) * p->parts;
            for (uint32_t part = 0; part < p->parts; part++) {
                store(call, to + part, gather(call, rows, plane * area, part));
            }
            fer_status status = feri_ref_poll(call, combinations);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    return FER_OK;
}

static fer_status grid_bind(feri_ref_call *call) {
    static const struct {
        const char *name;
        uint32_t taps;
    } modes[] = {
        {"nearest",  1},
        {"linear",   2},
        {"bilinear", 2},
        {"cubic",    4},
        {"bicubic",  4},
    };
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    grid_params *p = call->params;
    const feri_ref_tensor *x = call->in[0], *grid = call->in[1], *y = call->out[0];
    p->spatial = x->rank - 2;
    if (x->rank < 3 || grid->rank != x->rank || y->rank != x->rank ||
        grid->dims[x->rank - 1] != (int64_t)p->spatial || grid->dims[0] != x->dims[0]) {
        return feri_ref_misfit(call, "grid does not fit X");
    }
    for (uint32_t i = 0; i < 5; i++) {
        p->taps = feri_ref_string_is(call->node, "mode", "linear", modes[i].name) ? modes[i].taps
                                                                                  : p->taps;
    }
    p->padding = UINT32_MAX;
    for (uint32_t i = 0; i < 3; i++) {
        p->padding =
            feri_ref_string_is(call->node, "padding_mode", "zeros", paddings[i]) ? i : p->padding;
    }
    if (p->taps == 0 || p->padding == UINT32_MAX) {
        return feri_ref_fail(call, FER_INVALID_MODEL, "mode or padding_mode is not known");
    }
    p->is_aligned = feri_ref_int(call->node, "align_corners", 0) != 0;
    p->moves = p->taps == 1;
    int is_complex = !p->moves && feri_kit_class(x->dtype) == FERI_KIT_COMPLEX;
    p->parts = is_complex ? 2 : 1;
    p->dtype = !is_complex ? x->dtype : x->dtype == FER_C64 ? FER_F32 : FER_F64;
    return FER_OK;
}

/* ---- AffineGrid ---- */

static fer_status affine_run(feri_ref_call *call) {
    const feri_ref_tensor *theta = call->in[0];
    feri_ref_tensor *out = call->out[0];
    uint32_t spatial = out->rank - 2;
    int is_aligned = feri_ref_int(call->node, "align_corners", 0) != 0;
    if (out->rank < 4 || spatial > 3 || theta->rank != 3 || theta->dims[0] != out->dims[0] ||
        theta->dims[1] != (int64_t)spatial || theta->dims[2] != (int64_t)spatial + 1) {
        return feri_ref_misfit(call, "theta does not fit size");
    }
    uint64_t points = (uint64_t)feri_kit_span(out->dims, 1, out->rank - 1);
    for (uint64_t i = 0; i < out->count / spatial; i++) {
        double matrix[12], base[3], result[3];
        uint64_t rest = i % points;
        feri_ref_load_real(call,
                           theta,
                           i / points * spatial * (spatial + 1),
                           1,
                           (uint64_t)spatial * (spatial + 1),
                           matrix);
        for (uint32_t d = 0; d < spatial; d++) { /* x, the last dim, first */
            uint64_t dim = (uint64_t)out->dims[spatial - d];
            double at = (double)(rest % dim), length = (double)dim;
            rest /= dim;
            base[d] =
                is_aligned ? (dim > 1 ? 2 * at / (length - 1) - 1 : -1) : (2 * at + 1) / length - 1;
        }
        for (uint32_t r = 0; r < spatial; r++) {
            result[r] = matrix[r * (spatial + 1) + spatial];
            for (uint32_t c = 0; c < spatial; c++) {
                result[r] += matrix[r * (spatial + 1) + c] * base[c];
            }
        }
        call->host->store_f64(out->dtype, out->data, i * spatial, spatial, result, 0);
        fer_status status = feri_ref_poll(call, 12);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_sample[] = {
    FERI_REF_KERNEL(GridSample, 22, .run = grid_run, .bind = grid_bind, .params_bytes = sizeof(grid_params))
    FERI_REF_KERNEL(AffineGrid, 20, .run = affine_run)
    FERI_REF_END
};
/* clang-format on */
