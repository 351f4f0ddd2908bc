/* SPDX-License-Identifier: Apache-2.0
 *
 * Upgrades of ops that move, cut, join and shape tensors: mostly attributes that became inputs.
 */
#include "base/error.h"
#include "import/upgrade.h"

#include <string.h>

static fer_status axes_13(feri_upgrade *up) {
    return feri_up_ints_to_input(up, "axes", 1, /*is_nothing_empty=*/0);
}

static fer_status concat_4(feri_upgrade *up) {
    return feri_up_attr(up, "axis") == NULL ? feri_up_set_int(up, "axis", 1) : FER_OK;
}

static fer_status pad_2(feri_upgrade *up) {
    fer_attr *attr = feri_up_attr(up, "paddings");
    if (attr != NULL) {
        attr->name = "pads";
    }
    return FER_OK;
}

static fer_status pad_11(feri_upgrade *up) {
    FER_TRY(feri_up_ints_to_input(up, "pads", 1, /*is_nothing_empty=*/0));
    return feri_up_float_to_input(up, "value", 2);
}

static fer_status reshape_5(feri_upgrade *up) {
    return feri_up_ints_to_input(up, "shape", 1, /*is_nothing_empty=*/0);
}

static fer_status slice_10(feri_upgrade *up) {
    FER_TRY(feri_up_ints_to_input(up, "starts", 1, /*is_nothing_empty=*/0));
    FER_TRY(feri_up_ints_to_input(up, "ends", 2, /*is_nothing_empty=*/0));
    return feri_up_ints_to_input(up, "axes", 3, /*is_nothing_empty=*/0);
}

static fer_status split_13(feri_upgrade *up) {
    return feri_up_ints_to_input(up, "split", 1, /*is_nothing_empty=*/1);
}

static fer_status split_18(feri_upgrade *up) {
    if (feri_up_input(up, 1) != FER_NO_VALUE || up->draft->output_count == 0) {
        return FER_OK;
    }
    return feri_up_set_int(up, "num_outputs", up->draft->output_count);
}

static fer_status scatter_11(feri_upgrade *up) {
    up->draft->op = "ScatterElements";
    return FER_OK;
}

/* tiles and axis were inputs of the data's dtype: repeats is 1 everywhere but at axis. */
static fer_status tile_6(feri_upgrade *up) {
    const int64_t one = 1;
    fer_value_id x = feri_up_input(up, 0);
    fer_value_id parts[3]; /* ones, indices, updates */
    fer_value_id expand[2];
    fer_value_id flat[2];
    const int64_t any = -1;
    if (x == FER_NO_VALUE || feri_up_input(up, 1) == FER_NO_VALUE ||
        feri_up_input(up, 2) == FER_NO_VALUE) {
        return FER_OK;
    }
    fer_value_id shape = FER_NO_VALUE;
    FER_TRY(feri_up_call(up, "Shape", &x, 1, NULL, 0, &shape));
    FER_TRY(feri_up_call(up, "Shape", &shape, 1, NULL, 0, &expand[1]));
    FER_TRY(feri_up_ints(up, &one, 1, /*is_scalar=*/0, &expand[0]));
    FER_TRY(feri_up_call(up, "Expand", expand, 2, NULL, 0, &parts[0]));
    FER_TRY(feri_up_ints(up, &any, 1, /*is_scalar=*/0, &flat[1]));
    for (uint32_t i = 0; i < 2; i++) { /* axis to indices, tiles to updates */
        fer_value_id from = feri_up_input(up, 2 - i);
        FER_TRY(feri_up_call(up, "Cast", &from, 1, "to", FER_I64, &flat[0]));
        FER_TRY(feri_up_call(up, "Reshape", flat, 2, NULL, 0, &parts[1 + i]));
    }
    fer_value_id repeats = FER_NO_VALUE;
    FER_TRY(feri_up_call(up, "ScatterElements", parts, 3, NULL, 0, &repeats));
    up->draft->input_count = 2;
    return feri_up_set_input(up, 1, repeats);
}

/* clang-format off */
const feri_upgrade_step feri_upgrade_shape[] = {
    FERI_UPGRADE(Concat, 4, concat_4)
    FERI_UPGRADE(Pad, 2, pad_2)
    FERI_UPGRADE(Pad, 11, pad_11)
    FERI_UPGRADE(Reshape, 5, reshape_5)
    FERI_UPGRADE(Scan, 9, feri_upgrade_scan_9)
    FERI_OP_ROW(ScatterElements, {"Scatter", 11, scatter_11}, )
    FERI_UPGRADE(Slice, 10, slice_10)
    FERI_UPGRADE(Split, 13, split_13)
    FERI_UPGRADE(Split, 18, split_18)
    FERI_UPGRADE(Squeeze, 13, axes_13)
    FERI_UPGRADE(Tile, 6, tile_6)
    FERI_UPGRADE(Unsqueeze, 13, axes_13)
    {NULL, 0, NULL}
};
/* clang-format on */
