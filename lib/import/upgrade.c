/* SPDX-License-Identifier: Apache-2.0
 *
 * Upgrades: the steps of a node are run in the order of their opsets, from the version the model
 * uses to the newest. The steps are in upgrade_math.c, upgrade_shape.c and upgrade_nn.c; what they
 * share is here. Source of what changed when: the schema histories of onnx 1.22.0.
 */
#include "import/upgrade.h"

#include "base/error.h"
#include "tensor/dtype.h"

#include <string.h>

/* ---- attributes ---- */

fer_attr *feri_up_attr(feri_upgrade *up, const char *name) {
    for (uint32_t a = 0; a < up->draft->attr_count; a++) {
        if (strcmp(up->draft->attrs[a].name, name) == 0) {
            return &up->draft->attrs[a];
        }
    }
    return NULL;
}

void feri_up_drop(feri_upgrade *up, const char *name) {
    fer_attr *attr = feri_up_attr(up, name);
    if (attr != NULL) {
        *attr = up->draft->attrs[--up->draft->attr_count];
    }
}

static fer_status set_attr(feri_upgrade *up, const fer_attr *attr) {
    fer_attr *old = feri_up_attr(up, attr->name);
    if (old != NULL) {
        *old = *attr;
        return FER_OK;
    }
    return feri_draft_add_attr(up->im, up->draft, attr);
}

fer_status feri_up_set_int(feri_upgrade *up, const char *name, int64_t value) {
    const fer_attr attr = {.name = name, .type = FER_ATTR_INT, .count = 1, .value = {.i = value}};
    return set_attr(up, &attr);
}

fer_status feri_up_set_float(feri_upgrade *up, const char *name, float value) {
    const fer_attr attr = {.name = name, .type = FER_ATTR_FLOAT, .count = 1, .value = {.f = value}};
    return set_attr(up, &attr);
}

fer_status feri_up_set_string(feri_upgrade *up, const char *name, const char *text) {
    fer_attr attr = {.name = name, .type = FER_ATTR_STRING, .count = 1};
    attr.value.s = (fer_string){text, strlen(text)};
    return set_attr(up, &attr);
}

static fer_status wrong_type(const feri_upgrade *up, const char *name) {
    return feri_fail(FER_INVALID_MODEL,
                     "node '%s' (%s): attribute '%s' is of a wrong type",
                     up->draft->name,
                     up->draft->op,
                     name);
}

fer_status feri_up_int(feri_upgrade *up, const char *name, int64_t absent, int64_t *out_value) {
    const fer_attr *attr = feri_up_attr(up, name);
    *out_value = absent;
    if (attr == NULL) {
        return FER_OK;
    }
    if (attr->type != FER_ATTR_INT) {
        return wrong_type(up, name);
    }
    *out_value = attr->value.i;
    return FER_OK;
}

/* ---- operands ---- */

fer_value_id feri_up_input(const feri_upgrade *up, uint32_t index) {
    return index < up->draft->input_count ? up->draft->inputs[index] : FER_NO_VALUE;
}

fer_status feri_up_set_input(feri_upgrade *up, uint32_t index, fer_value_id value) {
    while (up->draft->input_count <= index) {
        FER_TRY(feri_draft_add_input(up->im, up->draft, FER_NO_VALUE));
    }
    up->draft->inputs[index] = value;
    return FER_OK;
}

int32_t feri_up_rank(const feri_upgrade *up, fer_value_id value) {
    return value != FER_NO_VALUE ? up->graph->values[value].fact.rank : -1;
}

fer_status
feri_up_ints_to_input(feri_upgrade *up, const char *name, uint32_t index, int is_nothing_empty) {
    const fer_attr *attr = feri_up_attr(up, name);
    if (attr == NULL) {
        return FER_OK;
    }
    if (attr->type != FER_ATTR_INTS) {
        return wrong_type(up, name);
    }
    if (attr->count > 0 || !is_nothing_empty) {
        fer_value_id value = FER_NO_VALUE;
        FER_TRY(feri_up_ints(up, attr->value.ints, attr->count, /*is_scalar=*/0, &value));
        FER_TRY(feri_up_set_input(up, index, value));
    }
    feri_up_drop(up, name);
    return FER_OK;
}

fer_status feri_up_float_to_input(feri_upgrade *up, const char *name, uint32_t index) {
    const fer_attr *attr = feri_up_attr(up, name);
    if (attr == NULL) {
        return FER_OK;
    }
    if (attr->type != FER_ATTR_FLOAT) {
        return wrong_type(up, name);
    }
    fer_value_id value = FER_NO_VALUE;
    FER_TRY(feri_up_scalar_like(up, attr->value.f, feri_up_input(up, 0), &value));
    FER_TRY(feri_up_set_input(up, index, value));
    feri_up_drop(up, name);
    return FER_OK;
}

/* ---- new values and nodes ---- */

static fer_status new_constant(feri_upgrade *up,
                               fer_dtype dtype,
                               const void *data,
                               uint32_t count,
                               int is_scalar,
                               fer_value_id *out_value) {
    fer_tensor *tensor = NULL;
    int64_t dim = count;
    FER_TRY(fer_tensor_create(
        (fer_context *)(void *)up->im->env, dtype, is_scalar ? 0 : 1, &dim, &tensor));
    if (fer_tensor_bytes(tensor) > 0) {
        memcpy(fer_tensor_data(tensor), data, fer_tensor_bytes(tensor));
    }
    fer_status status = feri_graph_new_constant(up->graph, /*name=*/NULL, tensor, out_value);
    fer_tensor_release(tensor);
    return status;
}

fer_status feri_up_ints(feri_upgrade *up,
                        const int64_t *values,
                        uint32_t count,
                        int is_scalar,
                        fer_value_id *out_value) {
    return new_constant(up, FER_I64, values, count, is_scalar, out_value);
}

fer_status feri_up_floats(
    feri_upgrade *up, const float *values, uint32_t count, int is_scalar, fer_value_id *out_value) {
    return new_constant(up, FER_F32, values, count, is_scalar, out_value);
}

fer_status
feri_up_scalar_like(feri_upgrade *up, float value, fer_value_id like, fer_value_id *out_value) {
    fer_dtype dtype = like != FER_NO_VALUE ? up->graph->values[like].fact.dtype : FER_F32;
    uint8_t bytes[16] = {0};
    if (feri_dtype_class(dtype) == FERI_CLASS_FLOAT && fer_dtype_bits(dtype) >= 8) {
        double wide = (double)value;
        feri_store_run_f64(dtype, bytes, 0, 1, &wide, /*saturate=*/1);
        return new_constant(up, dtype, bytes, 1, /*is_scalar=*/1, out_value);
    }
    fer_value_id plain = FER_NO_VALUE;
    FER_TRY(feri_up_floats(up, &value, 1, /*is_scalar=*/1, &plain));
    const fer_value_id pair[] = {plain, like};
    return feri_up_call(up, "CastLike", pair, 2, NULL, 0, out_value);
}

static fer_status start_draft(feri_upgrade *up,
                              const char *op,
                              const fer_value_id *inputs,
                              uint32_t input_count,
                              fer_value_id output,
                              feri_draft *draft) {
    memset(draft, 0, sizeof(*draft));
    draft->op = op;
    draft->domain = "";
    draft->name = up->draft->name;
    draft->source = up->draft->source;
    draft->version = FERI_ONNX_OPSET;
    for (uint32_t i = 0; i < input_count; i++) {
        FER_TRY(feri_draft_add_input(up->im, draft, inputs[i]));
    }
    return feri_draft_add_output(up->im, draft, output);
}

fer_status feri_up_call(feri_upgrade *up,
                        const char *op,
                        const fer_value_id *inputs,
                        uint32_t input_count,
                        const char *attr,
                        int64_t attr_value,
                        fer_value_id *out_value) {
    feri_draft draft;
    FER_TRY(feri_graph_new_value(up->graph, /*name=*/NULL, FERI_ORIGIN_NODE, out_value));
    FER_TRY(start_draft(up, op, inputs, input_count, *out_value, &draft));
    if (attr != NULL) {
        const fer_attr made = {
            .name = attr, .type = FER_ATTR_INT, .count = 1, .value = {.i = attr_value}};
        FER_TRY(feri_draft_add_attr(up->im, &draft, &made));
    }
    return feri_import_append(up->im, up->graph, &draft);
}

fer_status feri_up_after(feri_upgrade *up, uint32_t output, const char *op, fer_value_id second) {
    fer_value_id made = FER_NO_VALUE;
    fer_value_id wanted = up->draft->outputs[output];
    FER_TRY(feri_graph_new_value(up->graph, /*name=*/NULL, FERI_ORIGIN_NODE, &made));
    up->draft->outputs[output] = made;
    const fer_value_id inputs[] = {made, second};
    uint32_t count = second != FER_NO_VALUE ? 2 : 1;
    return start_draft(up, op, inputs, count, wanted, &up->after[up->after_count++]);
}

fer_status feri_up_refuse(const feri_upgrade *up, const char *what) {
    return feri_fail(FER_UNSUPPORTED,
                     "node '%s': %s of opset %lld %s is not yet supported; convert the model with "
                     "onnx.version_converter",
                     up->draft->name,
                     up->draft->op,
                     (long long)up->draft->version,
                     what);
}

/* ---- the walk ---- */

static const feri_upgrade_step *
next_in(const feri_upgrade_step *table, const feri_draft *draft, const feri_upgrade_step *best) {
    for (const feri_upgrade_step *step = table; step->op != NULL; step++) {
        if (step->since > draft->version && (best == NULL || step->since < best->since) &&
            strcmp(step->op, draft->op) == 0) {
            best = step;
        }
    }
    return best;
}

static const feri_upgrade_step *next_step(const feri_draft *draft) {
    const feri_upgrade_step *best = next_in(feri_upgrade_math, draft, NULL);
    best = next_in(feri_upgrade_shape, draft, best);
    return next_in(feri_upgrade_nn, draft, best);
}

static fer_status run_steps(feri_upgrade *up) {
    feri_draft *draft = up->draft;
    if (draft->version < 6) {
        feri_up_drop(up, "consumed_inputs"); /* a hint of opset 1 that means nothing */
    }
    for (;;) {
        const feri_upgrade_step *step = next_step(draft);
        if (step == NULL) {
            return FER_OK;
        }
        FER_TRY(step->run(up));
        draft->version = step->since;
    }
}

fer_status feri_upgrade_and_append(feri_importer *im, fer_graph *graph, feri_draft *draft) {
    feri_upgrade up;
    if (draft->domain[0] != '\0') {
        return feri_import_append(im, graph, draft);
    }
    memset(&up, 0, sizeof(up));
    up.im = im;
    up.graph = graph;
    up.draft = draft;
    FER_TRY(run_steps(&up));
    FER_TRY(feri_import_append(im, graph, draft));
    for (uint32_t a = 0; a < up.after_count; a++) {
        FER_TRY(feri_import_append(im, graph, &up.after[a]));
    }
    return FER_OK;
}
