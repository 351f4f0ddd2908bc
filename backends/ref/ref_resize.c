/* SPDX-License-Identifier: Apache-2.0
 *
 * Resize in any number of dims: nearest copies elements, linear and cubic gather a product of
 * one-dimensional taps per output element. The taps of every output coordinate are tabled in
 * scratch first (ref_resize_taps.c). Integers round to nearest even and clamp. Refuses to
 * interpolate what is no number. Called by the executor through its table.
 */
#include "ref/ref_resize.h"

#include "ref/ref_elements.h"

#include <math.h>
#include <string.h>

/* Where the run is: the output's coordinates and what they mean for the input. */
typedef struct resizing {
    feri_ref_call *call;
    const feri_ref_resize *p;
    uint32_t used[FER_MAX_RANK]; /* dims that interpolate */
    uint32_t used_count;
    int64_t at[FER_MAX_RANK];
    uint64_t base; /* input element of the dims that do not */
    uint64_t strides[FER_MAX_RANK];
    feri_ref_tensor x, y; /* complex numbers as twice as many parts */
} resizing;

/* Taps of the used dim k at the current coordinate. */
static const feri_ref_taps *taps_of(const resizing *r, uint32_t k, const double **out_weights) {
    uint32_t dim = r->used[k];
    const feri_ref_taps *taps = r->p->axes[dim].taps + r->at[dim];
    *out_weights = r->p->axes[dim].weights + (uint64_t)r->at[dim] * r->p->axes[dim].width;
    return taps;
}

static double gather(resizing *r, uint32_t k, uint64_t base) {
    const double *weights = NULL;
    double sum = 0.0, chunk[FERI_REF_CHUNK / 4];
    if (k == r->used_count) {
        sum = feri_ref_scalar_f64(r->call, &r->x, base);
        return sum;
    }
    const feri_ref_taps *taps = taps_of(r, k, &weights);
    uint64_t stride = r->strides[r->used[k]], count = (uint64_t)taps->count;
    base += (uint64_t)taps->first * stride;
    if (k + 1 < r->used_count) {
        for (uint64_t i = 0; i < count; i++) {
            sum += weights[i] * gather(r, k + 1, base + i * stride);
        }
        return sum;
    }
    for (uint64_t i = 0; i < count && r->call->status == FER_OK;) {
        uint64_t n = count - i;
        n = n < FERI_REF_CHUNK / 4 ? n : FERI_REF_CHUNK / 4;
        feri_ref_load_real(r->call, &r->x, base + i * stride, stride, n, chunk);
        for (uint64_t j = 0; j < n; j++) {
            sum += weights[i + j] * chunk[j];
        }
        (void)feri_ref_poll(r->call, n);
        i += n;
    }
    return sum;
}

/* The next output element in row-major order. */
static void advance(resizing *r) {
    const feri_ref_tensor *y = r->call->out[0];
    for (uint32_t i = y->rank; i-- > 0;) {
        int is_used = r->p->axes[i].taps != NULL;
        r->base += is_used ? 0 : r->strides[i];
        if (++r->at[i] < y->dims[i]) {
            return;
        }
        r->base -= is_used ? 0 : r->strides[i] * (uint64_t)y->dims[i];
        r->at[i] = 0;
    }
}

/* Some dim's coordinate lies outside the input, where extrapolation_value stands. */
static int is_outside(const resizing *r) {
    for (uint32_t k = 0; k < r->used_count; k++) {
        if (r->p->axes[r->used[k]].taps[r->at[r->used[k]]].first < 0) {
            return 1;
        }
    }
    return 0;
}

static fer_status run_nearest(resizing *r) {
    const feri_ref_tensor *x = r->call->in[0];
    feri_ref_tensor *y = r->call->out[0];
    for (uint64_t i = 0; i < y->count && !feri_ref_poll(r->call, 1); i++, advance(r)) {
        uint64_t from = r->base;
        if (is_outside(r)) {
            feri_ref_store_real(r->call, y, i, 1, 1, &r->p->extrapolation);
            continue;
        }
        for (uint32_t k = 0; k < r->used_count; k++) {
            uint32_t dim = r->used[k];
            from += (uint64_t)r->p->axes[dim].taps[r->at[dim]].first * r->strides[dim];
        }
        feri_ref_copy_run(feri_ref_bits(x->dtype), y->data, i, x->data, from, 1);
    }
    return r->call->status;
}

/* One of the parts of every element. */
static void run_weighted(resizing *r, uint64_t part, uint64_t parts) {
    int is_float = feri_ref_is_float(r->y.dtype);
    feri_ref_piece p = {.total = r->y.count};
    memset(r->at, 0, sizeof(r->at));
    r->base = part;
    while (feri_ref_next(r->call, &p)) {
        double chunk[FERI_REF_CHUNK];
        for (uint64_t j = 0; j < p.count; j++, advance(r)) {
            chunk[j] = is_outside(r) ? r->p->extrapolation : gather(r, 0, r->base);
            chunk[j] = is_float ? chunk[j] : nearbyint(chunk[j]);
        }
        feri_ref_store_real(r->call, &r->y, p.begin * parts + part, parts, p.count, chunk);
    }
}

static fer_status resize_run(feri_ref_call *call) {
    feri_ref_resize *p = call->params;
    const feri_ref_tensor *x = call->in[0];
    resizing r = {.call = call, .p = p, .x = *x, .y = *call->out[0]};
    int64_t strides[FER_MAX_RANK];
    if (call->out[0]->count == 0 || feri_ref_resize_table(call, p)) {
        return call->status;
    }
    int is_complex = feri_kit_class(x->dtype) == FERI_KIT_COMPLEX && p->mode != FERI_REF_NEAREST;
    uint64_t parts = is_complex ? 2 : 1;
    if (is_complex) {
        r.x.dtype = r.y.dtype = x->dtype == FER_C64 ? FER_F32 : FER_F64;
    }
    feri_kit_strides(x->rank, x->dims, strides);
    for (uint32_t i = 0; i < x->rank; i++) {
        r.strides[i] = (uint64_t)strides[i] * parts;
        if (p->axes[i].taps) {
            r.used[r.used_count++] = i;
        }
    }
    if (p->mode == FERI_REF_NEAREST) {
        return run_nearest(&r);
    }
    for (uint64_t part = 0; part < parts; part++) {
        run_weighted(&r, part, parts);
    }
    return call->status;
}

const char *feri_ref_refuse_resize(const fer_subgraph *graph, const fer_node_view *node) {
    uint32_t kind = feri_kit_class(graph->values[node->inputs[0]]->dtype);
    int is_nearest = feri_ref_string_is(node, "mode", "nearest", "nearest");
    int is_crop = feri_ref_string_is(
        node, "coordinate_transformation_mode", "half_pixel", "tf_crop_and_resize");
    if (kind == FERI_KIT_NONE) {
        return "strings are resized by the host only";
    }
    if (kind == FERI_KIT_COMPLEX && is_crop) {
        return "complex numbers have no extrapolation value";
    }
    return !is_nearest && kind == FERI_KIT_BOOL ? "only numbers can be interpolated" : NULL;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_resize[] = {
    FERI_REF_KERNEL(Resize, 19, .run = resize_run, .bind = feri_ref_resize_bind,
                 .params_bytes = sizeof(feri_ref_resize))
    FERI_REF_END
};
/* clang-format on */
