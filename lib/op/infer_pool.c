/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools: windows, global ones, regions of interest, and MaxUnpool.
 */
#include "op/infer.h"

#include <string.h>

void feri_infer_pool(feri_infer *call) {
    const feri_fact *x = call->in[0];
    int is_ceil = feri_infer_int(call, "ceil_mode", 0) != 0;
    int64_t order = feri_infer_int(call, "storage_order", 0);
    feri_window window;
    feri_sym dims[FER_MAX_RANK] = {feri_infer_dim(x, 0), feri_infer_dim(x, 1)};
    feri_infer_window(call, x, /*weights=*/NULL, &window);
    feri_infer_positive(call, "p", 2);
    if (order != 0 && order != 1) {
        feri_infer_fail(call, "storage_order is %lld, it must be 0 or 1", (long long)order);
    }
    for (int32_t i = 0; i < window.spatial; i++) {
        dims[2 + i] = feri_infer_positions(call, &window, i, feri_infer_dim(x, 2 + i), is_ceil);
    }
    int32_t rank = window.spatial < 0 ? -1 : window.spatial + 2;
    feri_infer_set(call, 0, rank, dims);
    feri_infer_set(call, 1, rank, dims);
}

void feri_infer_global_pool(feri_infer *call) {
    const feri_fact *x = call->in[0];
    feri_sym dims[FER_MAX_RANK];
    feri_infer_rank(call, 0, 2, FER_MAX_RANK);
    for (int32_t i = 0; i < x->rank; i++) {
        dims[i] = i < 2 ? x->dims[i] : feri_sym_number(1);
    }
    feri_infer_set(call, 0, x->rank, dims);
}

/* (in - 1) * stride + kernel - pads, or the operand output_shape. */
void feri_infer_max_unpool(feri_infer *call) {
    const feri_fact *x = call->in[0];
    feri_window window;
    uint32_t count;
    feri_sym dims[FER_MAX_RANK];
    FERI_STEP(feri_infer_window(call, x, /*weights=*/NULL, &window));
    if (feri_infer_in(call, 2)) {
        const feri_sym *shape = feri_infer_elements(call, 2, &count);
        if (!shape) {
            if (x->rank >= 0) {
                feri_infer_set(call, 0, x->rank, /*dims=*/NULL);
            }
            return;
        }
        if (count > FER_MAX_RANK || (x->rank >= 0 && count != (uint32_t)x->rank)) {
            feri_infer_fail(
                call, "output_shape has %u entries for X of rank %d", count, (int)x->rank);
            return;
        }
        feri_infer_set(call, 0, (int32_t)count, shape);
        return;
    }
    if (x->rank < 0) {
        return;
    }
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    for (int32_t i = 0; i < window.spatial; i++) {
        feri_sym sum = feri_sym_sub(call->terms, x->dims[2 + i], feri_sym_number(1));
        FERI_STEP(sum = feri_infer_mul(call, sum, feri_sym_number(window.stride[i])));
        FERI_STEP(sum = feri_infer_add(call, sum, window.kernel[i]));
        int64_t pads = window.pads[i] + window.pads[i + window.spatial];
        FERI_STEP(dims[2 + i] = feri_infer_add(call, sum, feri_sym_number(-pads)));
    }
    feri_infer_set(call, 0, x->rank, dims);
}

/* X [N, C, H, W] and regions [R, ...] -> [R, C, height, width]. */
static void set_regions(feri_infer *call, int64_t height, int64_t width) {
    const feri_fact *x = call->in[0];
    const feri_fact *rois = feri_infer_in(call, 1);
    FERI_STEP(feri_infer_rank(call, 0, 4, 4));
    FERI_STEP(feri_infer_rank(call, 1, 2, 2));
    if (height < 1 || width < 1) {
        feri_infer_fail(call,
                        "its result would be %lld by %lld, both must be positive",
                        (long long)height,
                        (long long)width);
        return;
    }
    feri_sym dims[4] = {rois->rank == 2 ? rois->dims[0] : feri_sym_unknown(),
                        x->rank == 4 ? x->dims[1] : feri_sym_unknown(),
                        feri_sym_number(height),
                        feri_sym_number(width)};
    feri_infer_set(call, 0, 4, dims);
}

void feri_infer_max_roi_pool(feri_infer *call) {
    uint32_t count;
    const int64_t *shape = feri_infer_ints(call, "pooled_shape", &count);
    if (!shape || count != 2) {
        feri_infer_fail(call, "pooled_shape has %u entries, it must have 2", count);
        return;
    }
    set_regions(call, shape[0], shape[1]);
}

void feri_infer_roi_align(feri_infer *call) {
    const feri_fact *rois = feri_infer_in(call, 1);
    const feri_fact *batch = feri_infer_in(call, 2);
    FERI_STEP(feri_infer_rank(call, 2, 1, 1));
    if (rois->rank == 2) {
        FERI_STEP(feri_infer_equal(
            call, rois->dims[1], feri_sym_number(4), "the entries of a region and 4"));
        if (batch->rank == 1) {
            FERI_STEP(feri_infer_equal(
                call, rois->dims[0], batch->dims[0], "the counts of rois and batch_indices"));
        }
    }
    set_regions(
        call, feri_infer_int(call, "output_height", 1), feri_infer_int(call, "output_width", 1));
}
