/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisations: results like X, with checks of the scales and what is saved of the statistics.
 */
#include "op/infer.h"

#include <string.h>

/* X has channels, and operands 1 to last are vectors with one entry for each. */
static void check_channels(feri_infer *call, uint32_t last) {
    feri_infer_rank(call, 0, 2, FER_MAX_RANK);
    for (uint32_t i = 1; i <= last; i++) {
        feri_infer_rank(call, i, 1, 1);
        feri_infer_dims_equal(call,
                              call->in[0],
                              1,
                              feri_infer_in(call, i),
                              0,
                              "X's channels and the size of a per-channel operand");
    }
    feri_infer_set_like(call, 0, call->in[0]);
}

void feri_infer_batch_norm(feri_infer *call) {
    check_channels(call, 4);
    feri_infer_set_like(call, 1, feri_infer_in(call, 3));
    feri_infer_set_like(call, 2, feri_infer_in(call, 4));
}

void feri_infer_instance_norm(feri_infer *call) { check_channels(call, 2); }

void feri_infer_group_norm(feri_infer *call) {
    int64_t groups = feri_infer_positive(call, "num_groups", 0);
    feri_sym channels = feri_infer_dim(call->in[0], 1);
    if (feri_sym_is_number(channels) && channels.number % groups != 0) {
        feri_infer_fail(call, "num_groups is %lld, it must divide the channels", (long long)groups);
    }
    check_channels(call, 2);
}

void feri_infer_lrn(feri_infer *call) {
    feri_infer_positive(call, "size", 0);
    check_channels(call, 0);
}

void feri_infer_layer_norm(feri_infer *call) {
    const feri_fact *x = call->in[0];
    int64_t stash = feri_infer_int(call, "stash_type", FER_F32);
    feri_sym dims[FER_MAX_RANK];
    if (stash != FER_F32 && stash != FER_BF16) {
        feri_infer_fail(
            call, "stash_type is %lld, it must be 1 (f32) or 16 (bf16)", (long long)stash);
    }
    feri_infer_set_like(call, 0, x);
    int32_t axis = x->rank < 0 ? 0 : feri_infer_axis_attr(call, -1, x->rank);
    for (int32_t i = 0; i < x->rank; i++) {
        dims[i] = i < axis ? x->dims[i] : feri_sym_number(1);
    }
    for (uint32_t i = 1; i <= 2; i++) {
        feri_infer_fits(call, i, x->rank, x->dims);
        feri_infer_set_dtype(call, i, (fer_dtype)stash);
        feri_infer_set(call, i, x->rank, dims);
    }
}

void feri_infer_rms_norm(feri_infer *call) {
    const feri_fact *x = call->in[0];
    int64_t stash = feri_infer_int(call, "stash_type", FER_F32);
    if (stash != FER_F32 && stash != FER_F64 && stash != FER_F16 && stash != FER_BF16) {
        feri_infer_fail(call, "stash_type is %lld, it must be a float dtype", (long long)stash);
        return;
    }
    if (x->rank >= 0) {
        feri_infer_axis_attr(call, -1, x->rank);
        feri_infer_fits(call, 1, x->rank, x->dims);
    }
    feri_infer_set_like(call, 0, x);
}

void feri_infer_mean_variance_norm(feri_infer *call) {
    const feri_fact *x = call->in[0];
    uint32_t count;
    const int64_t *axes = feri_infer_ints(call, "axes", &count);
    if (!axes) {
        feri_infer_rank(call, 0, 4, FER_MAX_RANK); /* the default is 0, 2, 3 */
    }
    for (uint32_t i = 0; x->rank >= 0 && i < count; i++) {
        feri_infer_axis(call, "an axis", axes[i], x->rank);
    }
    feri_infer_set_like(call, 0, x);
}
