/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisations: results like X, with checks of the scales and what is saved of the statistics.
 */
#include "op/infer.h"

#include <string.h>

/* Operand index is a vector with one entry per channel of X. */
static fer_status per_channel(const feri_infer *call, uint32_t index) {
    const feri_fact *x = feri_infer_in(call, 0);
    const feri_fact *own = feri_infer_in(call, index);
    FER_TRY(feri_infer_rank(call, index, 1, 1));
    if (!own || own->rank != 1 || x->rank < 2) {
        return FER_OK;
    }
    return feri_infer_equal(
        call, own->dims[0], x->dims[1], "X's channels and the size of a per-channel operand");
}

fer_status feri_infer_batch_norm(feri_infer *call) {
    FER_TRY(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    for (uint32_t i = 1; i <= 4; i++) {
        FER_TRY(per_channel(call, i));
    }
    FER_TRY(feri_infer_set_like(call, 0, feri_infer_in(call, 0)));
    FER_TRY(feri_infer_set_like(call, 1, feri_infer_in(call, 3)));
    return feri_infer_set_like(call, 2, feri_infer_in(call, 4));
}

fer_status feri_infer_instance_norm(feri_infer *call) {
    FER_TRY(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    FER_TRY(per_channel(call, 1));
    FER_TRY(per_channel(call, 2));
    return feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}

fer_status feri_infer_group_norm(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    int64_t groups = feri_infer_int(call, "num_groups", 0);
    if (groups < 1 ||
        (x->rank >= 2 && feri_sym_is_number(x->dims[1]) && x->dims[1].number % groups != 0)) {
        return feri_infer_fail(call,
                               "num_groups is %lld, it must be positive and divide the channels",
                               (long long)groups);
    }
    return feri_infer_instance_norm(call);
}

fer_status feri_infer_lrn(feri_infer *call) {
    int64_t size = feri_infer_int(call, "size", 0);
    if (size < 1) {
        return feri_infer_fail(call, "size is %lld, it must be positive", (long long)size);
    }
    FER_TRY(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    return feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}

/* Operand index broadcasts to X and makes it no larger. */
static fer_status fits_x(const feri_infer *call, uint32_t index) {
    const feri_fact *x = feri_infer_in(call, 0);
    const feri_fact *own = feri_infer_in(call, index);
    feri_sym dims[FER_MAX_RANK];
    int32_t rank;
    if (!own || own->rank < 0 || x->rank < 0) {
        return FER_OK;
    }
    FER_TRY(feri_infer_broadcast(call, x->rank, x->dims, own->rank, own->dims, &rank, dims));
    if (rank != x->rank) {
        return feri_infer_fail(call,
                               "operand %u has rank %d and does not broadcast to X of rank %d",
                               index,
                               (int)own->rank,
                               (int)x->rank);
    }
    for (int32_t i = 0; i < rank; i++) {
        FER_TRY(feri_infer_equal(call, dims[i], x->dims[i], "X's dims and the operand's"));
    }
    return FER_OK;
}

fer_status feri_infer_layer_norm(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    int64_t stash = feri_infer_int(call, "stash_type", FER_F32);
    feri_sym dims[FER_MAX_RANK];
    int32_t axis;
    if (stash != FER_F32 && stash != FER_BF16) {
        return feri_infer_fail(
            call, "stash_type is %lld, it must be 1 (f32) or 16 (bf16)", (long long)stash);
    }
    for (uint32_t i = 1; i <= 2; i++) {
        if (feri_infer_out(call, i)) {
            feri_infer_out(call, i)->dtype = (fer_dtype)stash;
        }
    }
    FER_TRY(feri_infer_set_like(call, 0, x));
    if (x->rank < 0) {
        return FER_OK;
    }
    FER_TRY(feri_infer_axis_attr(call, -1, x->rank, &axis));
    FER_TRY(fits_x(call, 1));
    FER_TRY(fits_x(call, 2));
    for (int32_t i = 0; i < x->rank; i++) {
        dims[i] = i < axis ? x->dims[i] : feri_sym_number(1);
    }
    FER_TRY(feri_infer_set(call, 1, x->rank, dims));
    return feri_infer_set(call, 2, x->rank, dims);
}

fer_status feri_infer_rms_norm(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    int64_t stash = feri_infer_int(call, "stash_type", FER_F32);
    int32_t axis;
    if (stash != FER_F32 && stash != FER_F64 && stash != FER_F16 && stash != FER_BF16) {
        return feri_infer_fail(
            call, "stash_type is %lld, it must be a float dtype", (long long)stash);
    }
    if (x->rank >= 0) {
        FER_TRY(feri_infer_axis_attr(call, -1, x->rank, &axis));
        FER_TRY(fits_x(call, 1));
    }
    return feri_infer_set_like(call, 0, x);
}

fer_status feri_infer_mean_variance_norm(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    uint32_t count;
    const int64_t *axes = feri_infer_ints(call, "axes", &count);
    if (!axes) {
        FER_TRY(feri_infer_rank(call, 0, 4, FER_MAX_RANK)); /* the default is 0, 2, 3 */
    }
    for (uint32_t i = 0; x->rank >= 0 && i < count; i++) {
        int32_t ignored;
        FER_TRY(feri_infer_axis(call, "an axis", axes[i], x->rank, &ignored));
    }
    return feri_infer_set_like(call, 0, x);
}
