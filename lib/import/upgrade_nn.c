/* SPDX-License-Identifier: Apache-2.0
 *
 * Upgrades of normalisation, dropout, pooling, recurrent and resampling ops.
 */
#include "base/error.h"
#include "import/upgrade.h"
#include "tensor/dtype.h"

#include <string.h>

/* ---- normalisation, dropout ---- */

static fer_status batch_norm_7(feri_upgrade *up) {
    feri_up_drop(up, "is_test"); /* models are run for inference */
    return FER_OK;
}

static fer_status batch_norm_9(feri_upgrade *up) {
    int64_t spatial = 1;
    FER_TRY(feri_up_int(up, "spatial", 1, &spatial));
    feri_up_drop(up, "spatial");
    return spatial != 0 ? FER_OK : feri_up_refuse(up, "with spatial=0");
}

/* The other outputs were for training, and exporters listed them without using them. */
static fer_status batch_norm_14(feri_upgrade *up) {
    if (up->draft->output_count > 1) {
        up->draft->output_count = 1;
    }
    return FER_OK;
}

static fer_status dropout_7(feri_upgrade *up) {
    feri_up_drop(up, "is_test");
    return FER_OK;
}

/* The mask was of the data's dtype. */
static fer_status dropout_10(feri_upgrade *up) {
    if (up->draft->output_count < 2 || up->draft->outputs[1] == FER_NO_VALUE ||
        feri_up_input(up, 0) == FER_NO_VALUE) {
        return FER_OK;
    }
    return feri_up_after(up, 1, "CastLike", feri_up_input(up, 0));
}

/* Without training_mode the ratio means nothing. */
static fer_status dropout_12(feri_upgrade *up) {
    feri_up_drop(up, "ratio");
    return FER_OK;
}

/* One scale per group became one per channel: each is repeated channels / groups times. */
static fer_status spread_groups(feri_upgrade *up, uint32_t input, int64_t groups) {
    const int64_t column[] = {groups, 1};
    const int64_t flat[] = {-1};
    fer_value_id x = feri_up_input(up, 0);
    fer_value_id shape = FER_NO_VALUE;
    fer_value_id channels = FER_NO_VALUE;
    fer_value_id gather[2];
    fer_value_id divide[2];
    fer_value_id sides[2];
    fer_value_id reshape[2] = {feri_up_input(up, input), FER_NO_VALUE};
    fer_value_id expand[2];
    fer_value_id result = FER_NO_VALUE;
    const int64_t one = 1;
    FER_TRY(feri_up_call(up, "Shape", &x, 1, NULL, 0, &shape));
    gather[0] = shape;
    FER_TRY(feri_up_ints(up, &one, 1, /*is_scalar=*/0, &gather[1]));
    FER_TRY(feri_up_call(up, "Gather", gather, 2, "axis", 0, &channels));
    divide[0] = channels;
    FER_TRY(feri_up_ints(up, &groups, 1, /*is_scalar=*/0, &divide[1]));
    sides[0] = divide[1];
    FER_TRY(feri_up_call(up, "Div", divide, 2, NULL, 0, &sides[1]));
    FER_TRY(feri_up_call(up, "Concat", sides, 2, "axis", 0, &expand[1]));
    FER_TRY(feri_up_ints(up, column, 2, /*is_scalar=*/0, &reshape[1]));
    FER_TRY(feri_up_call(up, "Reshape", reshape, 2, NULL, 0, &expand[0]));
    FER_TRY(feri_up_call(up, "Expand", expand, 2, NULL, 0, &reshape[0]));
    FER_TRY(feri_up_ints(up, flat, 1, /*is_scalar=*/0, &reshape[1]));
    FER_TRY(feri_up_call(up, "Reshape", reshape, 2, NULL, 0, &result));
    return feri_up_set_input(up, input, result);
}

static fer_status group_norm_21(feri_upgrade *up) {
    int64_t groups = 0;
    FER_TRY(feri_up_int(up, "num_groups", 0, &groups));
    if (groups < 1 || feri_up_input(up, 0) == FER_NO_VALUE ||
        feri_up_input(up, 1) == FER_NO_VALUE || feri_up_input(up, 2) == FER_NO_VALUE) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s': GroupNormalization needs three operands and num_groups above "
                         "0 (%lld)",
                         up->draft->name,
                         (long long)groups);
    }
    FER_TRY(spread_groups(up, 1, groups));
    return spread_groups(up, 2, groups);
}

/* ---- pooling, recurrent ---- */

static fer_status lp_pool_2(feri_upgrade *up) {
    const fer_attr *attr = feri_up_attr(up, "p");
    if (attr == NULL || attr->type != FER_ATTR_FLOAT) {
        return FER_OK;
    }
    float p = attr->value.f;
    if (!(p >= 1.0f && p < 1e6f) || p != (float)(int32_t)p) {
        return feri_up_refuse(up, "with a p that is no whole number");
    }
    return feri_up_set_int(up, "p", (int32_t)p);
}

static fer_status recurrent_7(feri_upgrade *up) {
    feri_up_drop(up, "output_sequence"); /* Y may be left out instead */
    return FER_OK;
}

static fer_status roi_align_16(feri_upgrade *up) {
    return feri_up_set_string(up, "coordinate_transformation_mode", "output_half_pixel");
}

static int attr_is(const fer_attr *attr, const char *text) {
    return attr != NULL && attr->type == FER_ATTR_STRING && strcmp(attr->value.s.data, text) == 0;
}

static fer_status grid_sample_20(feri_upgrade *up) {
    const fer_attr *mode = feri_up_attr(up, "mode");
    if (attr_is(mode, "bilinear")) {
        return feri_up_set_string(up, "mode", "linear");
    }
    return attr_is(mode, "bicubic") ? feri_up_set_string(up, "mode", "cubic") : FER_OK;
}

/* ---- resampling ---- */

static fer_status upsample_7(feri_upgrade *up) {
    const fer_attr *height = feri_up_attr(up, "height_scale");
    const fer_attr *width = feri_up_attr(up, "width_scale");
    if (height == NULL || width == NULL || height->type != FER_ATTR_FLOAT ||
        width->type != FER_ATTR_FLOAT) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s': Upsample of opset 1 needs height_scale and width_scale",
                         up->draft->name);
    }
    const float scales[] = {1.0f, 1.0f, height->value.f, width->value.f};
    fer_value_id value = FER_NO_VALUE;
    FER_TRY(feri_up_floats(up, scales, 4, /*is_scalar=*/0, &value));
    feri_up_drop(up, "height_scale");
    feri_up_drop(up, "width_scale");
    if (attr_is(feri_up_attr(up, "mode"), "bilinear")) {
        FER_TRY(feri_up_set_string(up, "mode", "linear"));
    }
    return feri_up_set_input(up, 1, value);
}

static fer_status upsample_9(feri_upgrade *up) {
    const fer_attr *attr = feri_up_attr(up, "scales");
    fer_value_id value = FER_NO_VALUE;
    if (attr == NULL || attr->type != FER_ATTR_FLOATS) {
        return FER_OK;
    }
    FER_TRY(feri_up_floats(up, attr->value.floats, attr->count, /*is_scalar=*/0, &value));
    feri_up_drop(up, "scales");
    return feri_up_set_input(up, 1, value);
}

static fer_status upsample_10(feri_upgrade *up) {
    up->draft->op = "Resize";
    return FER_OK;
}

/* 1 when scales are constant and one of them is below 1. */
static int shrinks(const feri_upgrade *up, fer_value_id scales) {
    const fer_tensor *tensor = up->graph->values[scales].constant;
    if (up->graph->values[scales].origin != FERI_ORIGIN_CONSTANT ||
        fer_tensor_dtype(tensor) != FER_F32) {
        return 0;
    }
    uint64_t count = fer_tensor_element_count(tensor);
    for (uint64_t e = 0; e < count && e < FER_MAX_RANK; e++) {
        if (feri_load_f64(FER_F32, fer_tensor_data(tensor), e) < 1.0) {
            return 1;
        }
    }
    return 0;
}

/* Positions were i / scale, as "asymmetric" has it. Nearest rounded down when it enlarges and up
 * when it shrinks, as the examples of the old schemas show. */
static fer_status resize_11(feri_upgrade *up) {
    fer_value_id scales = feri_up_input(up, 1);
    if (scales == FER_NO_VALUE) {
        return FER_OK; /* the check of operands tells */
    }
    FER_TRY(feri_up_set_input(up, 2, scales));
    FER_TRY(feri_up_set_input(up, 1, FER_NO_VALUE));
    FER_TRY(feri_up_set_string(up, "coordinate_transformation_mode", "asymmetric"));
    return feri_up_set_string(up, "nearest_mode", shrinks(up, scales) ? "ceil" : "floor");
}

/* An empty constant is how exporters leave roi, scales or sizes out. */
static fer_status resize_tidy(feri_upgrade *up) {
    for (uint32_t i = 1; i < up->draft->input_count; i++) {
        fer_value_id value = up->draft->inputs[i];
        if (value != FER_NO_VALUE && up->graph->values[value].origin == FERI_ORIGIN_CONSTANT &&
            fer_tensor_element_count(up->graph->values[value].constant) == 0) {
            up->draft->inputs[i] = FER_NO_VALUE;
        }
    }
    while (up->draft->input_count > 1 &&
           up->draft->inputs[up->draft->input_count - 1] == FER_NO_VALUE) {
        up->draft->input_count--;
    }
    return FER_OK;
}

/* clang-format off */
const feri_upgrade_step feri_upgrade_nn[] = {
    FERI_UPGRADE(BatchNormalization, 7, batch_norm_7)
    FERI_UPGRADE(BatchNormalization, 9, batch_norm_9)
    FERI_UPGRADE(BatchNormalization, 14, batch_norm_14)
    FERI_UPGRADE(Dropout, 7, dropout_7)
    FERI_UPGRADE(Dropout, 10, dropout_10)
    FERI_UPGRADE(Dropout, 12, dropout_12)
    FERI_UPGRADE(GlobalLpPool, 2, lp_pool_2)
    FERI_UPGRADE(GridSample, 20, grid_sample_20)
    FERI_UPGRADE(GroupNormalization, 21, group_norm_21)
    FERI_UPGRADE(GRU, 7, recurrent_7)
    FERI_UPGRADE(LpPool, 2, lp_pool_2)
    FERI_UPGRADE(LSTM, 7, recurrent_7)
    FERI_UPGRADE(Resize, 11, resize_11)
    FERI_UPGRADE(Resize, FERI_UP_ALWAYS, resize_tidy)
    FERI_UPGRADE(RNN, 7, recurrent_7)
    FERI_UPGRADE(RoiAlign, 16, roi_align_16)
    FERI_OP_ROW(Resize, {"Upsample", 7, upsample_7}, )
    FERI_OP_ROW(Resize, {"Upsample", 9, upsample_9}, )
    FERI_OP_ROW(Resize, {"Upsample", 10, upsample_10}, )
    {NULL, 0, NULL}
};
/* clang-format on */
