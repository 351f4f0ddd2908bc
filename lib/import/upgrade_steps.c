/* SPDX-License-Identifier: Apache-2.0
 *
 * The upgrade steps that need more than the words of upgrade.c's text, called from there by their
 * letters. Where an operand is missing a step does nothing: the check of operands tells.
 */
#include "base/error.h"
#include "import/upgrade.h"
#include "tensor/dtype.h"

#include <stdio.h>
#include <string.h>

/* ---- broadcasting before opset 7 ---- */

/* Operand 1 gets count dims of 1 behind its own; ranks says how many dims it has then (1-D i64),
 * where count is not known. */
static void trail(feri_upgrade *up, int32_t count, const char *ranks) {
    int32_t rank = feri_up_rank(up, 1);
    char text[160];
    if (count == 0) {
        return;
    }
    if (count > 0) { /* in Reshape a dim of 0 stays */
        (void)snprintf(text,
                       sizeof(text),
                       "v = Reshape(i1, {i64: %.*s%.*s})",
                       2 * rank,
                       "0 0 0 0 0 0 0 0 ",
                       2 * count,
                       "1 1 1 1 1 1 1 1 ");
    } else {
        (void)snprintf(text,
                       sizeof(text),
                       "v = Reshape(i1, Concat(Shape(i1), Expand({i64: 1}, Sub(%s, "
                       "Shape(Shape(i1)))), axis=0))",
                       ranks);
    }
    feri_up_set_input(up, 1, feri_up_value(up, text));
}

/* B lines up with A's dims from axis on: it gets rank(A) - axis - rank(B) dims behind. */
static void broadcast(feri_upgrade *up) {
    int is_aligned = feri_up_attr(up, "axis") != NULL && feri_up_int(up, "broadcast", 0) != 0;
    int64_t axis = feri_up_int(up, "axis", 0);
    int32_t rank_a = feri_up_rank(up, 0);
    int32_t rank_b = feri_up_rank(up, 1);
    if (is_aligned && feri_up_input(up, 0) != FER_NO_VALUE &&
        feri_up_input(up, 1) != FER_NO_VALUE && axis >= -FER_MAX_RANK && axis <= FER_MAX_RANK) {
        int32_t count = -1;
        if (rank_a >= 0 && rank_b >= 0) {
            count = (int32_t)(axis < 0 ? -axis : rank_a - axis) - rank_b;
            if (count < 0 || rank_b + count > FER_MAX_RANK) {
                up->status =
                    feri_fail(FER_INVALID_MODEL,
                              "node '%s' (%s): axis does not fit the ranks of its operands",
                              up->draft->node.name,
                              up->draft->op);
                return;
            }
        }
        trail(up, count, axis < 0 ? "Neg({i64: @axis})" : "Sub(Shape(Shape(i0)), {i64: @axis})");
    }
    feri_up_drop(up, "broadcast");
    feri_up_drop(up, "axis");
}

/* The slope had one entry, or one per channel (axis 1). */
static void prelu(feri_upgrade *up) {
    fer_value_id x = feri_up_input(up, 0);
    int32_t rank = feri_up_rank(up, 0);
    int32_t slope_rank = feri_up_rank(up, 1);
    if (x == FER_NO_VALUE || feri_up_input(up, 1) == FER_NO_VALUE || slope_rank == 0 ||
        slope_rank > 1) {
        return;
    }
    int is_known = rank >= 0 && slope_rank == 1;
    trail(up,
          !is_known  ? -1
          : rank > 2 ? rank - 2
                     : 0,
          "Max(Sub(Shape(Shape(i0)), {i64: 1}), {i64: 1})");
}

/* ---- element-wise, products, reductions ---- */

/* "FLOAT" and so on, as TensorProto.DataType spells its names. */
static void cast(feri_upgrade *up) {
    static const char names[] = "FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 STRING BOOL FLOAT16 "
                                "DOUBLE UINT32 UINT64 COMPLEX64 COMPLEX128 ";
    const fer_attr *attr = feri_up_attr(up, "to");
    if (attr == NULL || attr->type != FER_ATTR_STRING) {
        return;
    }
    int64_t dtype = FER_F32;
    for (const char *name = names; *name != '\0'; name += strcspn(name, " ") + 1, dtype++) {
        size_t length = strcspn(name, " ");
        if (attr->value.s.length == length && memcmp(name, attr->value.s.data, length) == 0) {
            feri_up_set_int(up, "to", dtype);
            return;
        }
    }
    up->status = feri_fail(FER_INVALID_MODEL,
                           "node '%s': Cast to '%s', which is no element type",
                           up->draft->node.name,
                           attr->value.s.data);
}

/* Softmax and its like worked on the input made two-dimensional at axis (default 1). Where axis is
 * the last, nothing changes but the default. */
static void softmax(feri_upgrade *up) {
    int64_t axis = feri_up_int(up, "axis", 1);
    int32_t rank = feri_up_rank(up, 0);
    int is_last = axis == -1 || (rank >= 1 && axis == rank - 1);
    if (feri_up_input(up, 0) == FER_NO_VALUE || up->draft->node.output_count != 1) {
        return;
    }
    if (!is_last) {
        fer_value_id shape = feri_up_value(up, "v = Shape(i0)");
        feri_up_set_input(up, 0, feri_up_value(up, "v = Flatten(i0, axis=@axis|1)"));
        feri_up_after(up, 0, "o0 = Reshape(i0, i1)", shape);
    }
    feri_up_set_int(up, "axis", -1);
}

/* ---- normalisation, dropout, pooling ---- */

/* Without spatial every place has a scale, bias, mean and variance of its own. */
static void spatial(feri_upgrade *up) {
    feri_draft *draft = up->draft;
    if (feri_up_int(up, "spatial", 1) == 0 && draft->node.input_count > 4) {
        fer_value_id scaled =
            feri_up_value(up, "v = Mul(Div(Sub(i0, i3), Sqrt(Add(i4, {@epsilon|1e-5: i4}))), i1)");
        draft->op = "Add";
        draft->node.inputs[0] = scaled;
        draft->node.inputs[1] = draft->node.inputs[2];
        draft->node.input_count = 2;
        draft->node.attr_count = 0;
        draft->node.output_count = draft->node.output_count > 0;
    }
}

/* The mask was of the data's dtype. */
static void dropout(feri_upgrade *up) {
    fer_value_id x = feri_up_input(up, 0);
    if (up->draft->node.output_count > 1 && up->draft->node.outputs[1] != FER_NO_VALUE &&
        x != FER_NO_VALUE) {
        feri_up_after(up, 1, "o0 = CastLike(i0, i1)", x);
    }
}

static void group_norm(feri_upgrade *up) {
    int64_t groups = feri_up_int(up, "num_groups", 0);
    if (groups >= 1 && feri_up_input(up, 0) != FER_NO_VALUE &&
        feri_up_input(up, 1) != FER_NO_VALUE && feri_up_input(up, 2) != FER_NO_VALUE) {
        return;
    }
    up->status = feri_fail(FER_INVALID_MODEL,
                           "node '%s': GroupNormalization needs three operands and num_groups "
                           "above 0 (%lld)",
                           up->draft->node.name,
                           (long long)groups);
}

static void lp_pool(feri_upgrade *up) {
    const fer_attr *attr = feri_up_attr(up, "p");
    if (attr == NULL || attr->type != FER_ATTR_FLOAT) {
        return;
    }
    float p = attr->value.f;
    if (!(p >= 1.0f && p < 1e6f) || p != (float)(int32_t)p) {
        up->status = feri_up_refuse(up, "with a p that is no whole number");
    } else {
        feri_up_set_int(up, "p", (int32_t)p);
    }
}

/* ---- resampling ---- */

static const fer_tensor *constant_of(const feri_upgrade *up, fer_value_id value) {
    const feri_gvalue *found = &up->graph->values[value];
    return value != FER_NO_VALUE && found->origin == FERI_ORIGIN_CONSTANT ? found->constant : NULL;
}

/* 1 when scales are constant and one of them is below 1; above 1 where sign is -1. */
static int has_scale_below(const fer_tensor *scales, double sign) {
    uint64_t count = scales != NULL && scales->dtype == FER_F32 ? scales->element_count : 0;
    for (uint64_t e = 0; e < count && e < FER_MAX_RANK; e++) {
        if (sign * feri_load_f64(FER_F32, fer_tensor_data(scales), e) < sign) {
            return 1;
        }
    }
    return 0;
}

/* Positions were i / scale, as "asymmetric" has it. Nearest rounded down along an axis that it
 * enlarges and up along one that it shrinks, as the examples of the old schemas show: where there
 * are both, or nothing is known, one Resize shrinks and the next enlarges. (Upsample enlarges.) */
static void resize(feri_upgrade *up) {
    fer_value_id scales = feri_up_input(up, 1);
    if (scales != FER_NO_VALUE) {
        const fer_tensor *known = constant_of(up, scales);
        int is_shrinking = has_scale_below(known, 1.0);
        if (!feri_up_is_string(up, "mode", "linear") && up->draft->version >= 10 &&
            (known == NULL || (is_shrinking && has_scale_below(known, -1.0)))) {
            fer_value_id small =
                feri_up_value(up,
                              "v = Resize(i0, _, Min(i1, {f32: 1}), "
                              "coordinate_transformation_mode='asymmetric', nearest_mode='ceil')");
            scales = feri_up_value(up, "v = Max(i1, {f32: 1})");
            feri_up_set_input(up, 0, small);
            is_shrinking = 0;
        }
        feri_up_set_input(up, 2, scales);
        feri_up_set_input(up, 1, FER_NO_VALUE);
        feri_up_set_string(up, "coordinate_transformation_mode", "asymmetric");
        feri_up_set_string(up, "nearest_mode", is_shrinking ? "ceil" : "floor");
    }
}

/* An empty constant is how exporters leave roi, scales or sizes out. */
static void tidy_resize(feri_upgrade *up) {
    feri_draft *draft = up->draft;
    for (uint32_t i = 1; i < draft->node.input_count; i++) {
        const fer_tensor *tensor = constant_of(up, draft->node.inputs[i]);
        if (tensor != NULL && tensor->element_count == 0) {
            draft->node.inputs[i] = FER_NO_VALUE;
        }
    }
    draft->node.input_count = feri_without_tail(draft->node.inputs, draft->node.input_count);
}

void feri_upgrade_step(feri_upgrade *up, char letter) {
    feri_draft *draft = up->draft;
    if (letter == 'b') {
        broadcast(up);
    } else if (letter == 'c' && FERI_HAS_OP(Cast)) {
        cast(up);
    } else if (letter == 'd' && FERI_HAS_OP(Dropout)) {
        dropout(up);
    } else if (letter == 'g' && FERI_HAS_OP(GroupNormalization)) {
        group_norm(up);
    } else if (letter == 'l' && (FERI_HAS_OP(LpPool) || FERI_HAS_OP(GlobalLpPool))) {
        lp_pool(up);
    } else if (letter == 'n' && feri_up_input(up, 1) == FER_NO_VALUE &&
               draft->node.output_count > 0) {
        feri_up_set_int(up, "num_outputs", draft->node.output_count);
    } else if (letter == 'p' && FERI_HAS_OP(PRelu)) {
        prelu(up);
    } else if (letter == 'r' && FERI_HAS_OP(Resize)) {
        resize(up);
    } else if (letter == 's' && FERI_HAS_OP(BatchNormalization)) {
        spatial(up);
    } else if (letter == 'S' && FERI_HAS_OP(Scan)) {
        up->status = feri_upgrade_scan_9(up);
    } else if (letter == 't' && FERI_HAS_OP(Resize)) {
        tidy_resize(up);
    } else if (letter == 'x') {
        softmax(up);
    } else if (letter == '1' && draft->node.output_count > 1) {
        draft->node.output_count =
            1; /* the others were for training; exporters listed them unused */
    } else if (letter == '2' && draft->node.input_count > 2) {
        draft->node.input_count = 2;
    }
}
