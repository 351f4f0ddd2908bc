/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of generator families, and how axes are read.
 */
#include "generators.h"

#include <string.h>

static const case_family *const families[] = {
    &cases_pointwise,
    &cases_reduce,
    &cases_matmul,
    &cases_layout,
    &cases_gather,
    &cases_scatter,
    &cases_conv,
    &cases_norm,
    &cases_quantize,
    &cases_recurrent,
    &cases_random,
    &cases_resize,
    &cases_sample,
    &cases_gradient,
    &cases_convert,
    &cases_stateful,
    &cases_attention,
    &cases_training,
    &cases_signal,
    &cases_pick,
    &cases_unfold,
    &cases_contrib,
    &cases_control,
    &cases_sequence,
    &cases_text,
    &cases_ml_trees,
    &cases_ml_models,
    &cases_ml,
    &cases_contrib_quant,
    &cases_contrib_attention,
};

const case_family *case_family_at(uint32_t index) {
    return index < sizeof families / sizeof *families ? families[index] : NULL;
}

int64_t axis_of(int64_t axis, uint32_t rank) {
    axis += axis < 0 ? (int64_t)rank : 0;
    return axis >= 0 && axis < (int64_t)rank ? axis : -1;
}

int axes_of(const trial *self, uint32_t rank, uint8_t *out_is_named) {
    int64_t axes[FER_MAX_RANK];
    uint32_t count = arg_ints(self, "axes", axes, FER_MAX_RANK);
    memset(out_is_named, arg_text(self, "axes") == NULL, rank);
    for (uint32_t i = 0; i < count; i++) {
        int64_t axis = axis_of(axes[i], rank);
        if (axis < 0 || out_is_named[axis]) {
            return 0;
        }
        out_is_named[axis] = 1;
    }
    return 1;
}
