/* SPDX-License-Identifier: Apache-2.0
 *
 * Bindings: the plan's dims as numbers, sizes and arena offsets that follow from them, and the
 * contents of shape values.
 */
#include "base/error.h"
#include "plan/plan.h"
#include "tensor/dtype.h"

#include <string.h>

typedef struct binding_work {
    const feri_plan *plan;
    feri_binding *binding;
    const int64_t *symbols;
} binding_work;

static fer_status dim_number(const binding_work *w, feri_sym sym, int64_t *out_number) {
    if (feri_sym_is_number(sym)) {
        *out_number = sym.number;
        return FER_OK;
    }
    return feri_sym_evaluate(w->plan->graph->terms, sym, w->symbols, out_number);
}

/* ---- dims ---- */

static fer_status fact_numbers(binding_work *w, const feri_fact *fact, feri_fact *out_fact) {
    *out_fact = *fact;
    out_fact->dims =
        FERI_BUMP_ARRAY(&w->binding->bump, feri_sym, fact->rank < 0 ? 0 : (uint64_t)fact->rank);
    if (out_fact->dims == NULL) {
        return feri_error_status();
    }
    for (int32_t i = 0; i < fact->rank; i++) {
        int64_t number = 0;
        FER_TRY(dim_number(w, fact->dims[i], &number));
        out_fact->dims[i] = feri_sym_number(number);
    }
    return FER_OK;
}

/* Inference of a node whose inputs' dims are numbers now; results know kind and dtype only. */
static fer_status node_numbers(binding_work *w, const feri_gnode *node, feri_infer *call) {
    const fer_graph *graph = w->plan->graph;
    feri_bump *bump = &w->binding->bump;
    uint64_t count = (uint64_t)node->input_count + node->output_count;
    feri_fact *facts = FERI_BUMP_ARRAY(bump, feri_fact, count);
    feri_fact **pointers = FERI_BUMP_ARRAY(bump, feri_fact *, count);
    if (facts == NULL || pointers == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != FER_NO_VALUE) {
            FER_TRY(fact_numbers(w, &graph->values[node->inputs[i]].fact, &facts[i]));
            pointers[i] = &facts[i];
        }
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        feri_fact *out = &facts[node->input_count + i];
        pointers[node->input_count + i] = out;
        out->rank = -1;
        if (node->outputs[i] != FER_NO_VALUE) {
            out->kind = FER_KIND_TENSOR;
            out->dtype = graph->values[node->outputs[i]].fact.dtype;
        }
    }
    *call = (feri_infer){.op = node->op,
                         .node = node->name,
                         .attrs = node->attrs,
                         .attr_count = node->attr_count,
                         .in_count = node->input_count,
                         .out_count = node->output_count,
                         .in = pointers,
                         .out = pointers + node->input_count,
                         .terms = graph->terms,
                         .bump = bump};
    return FER_OK;
}

/* The most elements a data-dependent output can have, now that its inputs' dims are numbers. */
static fer_status upper_bound(binding_work *w, fer_value_id value, int64_t *out_dims) {
    const fer_graph *graph = w->plan->graph;
    const feri_gnode *node = graph->nodes[graph->values[value].producer];
    feri_infer call;
    FER_TRY(node_numbers(w, node, &call));
    FER_TRY(feri_op_upper_bound(&call));
    uint32_t which = 0;
    for (uint32_t i = 0; i < node->output_count; i++) {
        which = node->outputs[i] == value ? i : which;
    }
    const feri_fact *bound = call.out[which];
    const feri_fact *fact = &graph->values[value].fact;
    if (!feri_fact_is_concrete(bound) || bound->rank != fact->rank) {
        return feri_fail(
            FER_UNSUPPORTED, "the size of an output of node '%s' has no upper bound", node->name);
    }
    for (int32_t i = 0; i < bound->rank; i++) {
        out_dims[i] = bound->dims[i].number;
    }
    return FER_OK;
}

/* Dims that had to fit do not. The first node that says so of the numbers has the better sentence;
 * slow, and nobody waits for a failure. */
static fer_status misfit(binding_work *w, fer_status status) {
    const fer_graph *graph = w->plan->graph;
    fer_error error;
    feri_error_save(&error);
    int was_recording = feri_terms_set_recording(graph->terms, 0);
    for (uint32_t i = 0; i < graph->node_count && status == FER_INVALID_INPUT; i++) {
        feri_infer call;
        fer_status found = node_numbers(w, graph->nodes[i], &call);
        found = found == FER_OK && graph->nodes[i]->body_count == 0 ? feri_op_infer(&call) : found;
        if (found == FER_INVALID_MODEL || found == FER_INVALID_INPUT) {
            /* The model was fine until these inputs came. */
            (void)feri_error_set_status(FER_INVALID_INPUT);
            (void)feri_error_set_node(graph->nodes[i]->name);
            feri_error_save(&error);
            break;
        }
    }
    feri_terms_set_recording(graph->terms, was_recording);
    feri_error_restore(&error);
    return status;
}

/* Says whose value it is that has no size. */
static fer_status slot_blame(const binding_work *w, fer_value_id id, fer_status status) {
    const feri_gvalue *value = &w->plan->graph->values[id];
    if (value->origin != FERI_ORIGIN_NODE) {
        feri_error_prefix("value '%s'", value->name);
        return status;
    }
    const feri_gnode *node = w->plan->graph->nodes[value->producer];
    feri_error_prefix("%s '%s'", feri_op_name(node->op), node->name);
    feri_error_set_node(node->name);
    return status;
}

static fer_status slot_size(binding_work *w, uint32_t index) {
    const feri_slot *slot = &w->plan->slots[index];
    feri_binding *binding = w->binding;
    const feri_fact *fact = &w->plan->graph->values[slot->value].fact;
    if (slot->at == FERI_AT_VALUE || slot->at == FERI_AT_CONST || fact->kind != FER_KIND_TENSOR ||
        fact->rank < 0) {
        return FER_OK;
    }
    int64_t *dims = binding->slot_dims[index];
    if (slot->is_late) {
        FER_TRY(upper_bound(w, slot->value, dims));
    } else {
        for (int32_t i = 0; i < fact->rank; i++) {
            fer_status status = dim_number(w, fact->dims[i], &dims[i]);
            if (status != FER_OK) {
                return slot_blame(w, slot->value, status);
            }
        }
    }
    uint64_t count = 0;
    fer_status status = feri_shape_check(
        w->plan->env, fact->dtype, (uint32_t)fact->rank, dims, &count, &binding->slot_bytes[index]);
    if (status == FER_INVALID_ARGUMENT) {
        status = feri_fail(FER_INVALID_INPUT,
                           "an output would have a negative dim: the inputs' shapes do not fit "
                           "the model");
    }
    return status == FER_OK ? status : slot_blame(w, slot->value, status);
}

static fer_status dims_fill(binding_work *w) {
    const feri_plan *plan = w->plan;
    fer_status status = feri_terms_check(plan->graph->terms, w->symbols);
    if (status != FER_OK) {
        return misfit(w, status);
    }
    for (uint32_t i = 0; i < plan->dim_count; i++) {
        if (!feri_sym_is_unknown(plan->dims[i].term)) {
            FER_TRY(dim_number(w, plan->dims[i].term, &w->binding->dims[i]));
        }
    }
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        FER_TRY(slot_size(w, i));
    }
    for (uint32_t i = 0; i < plan->dim_count; i++) {
        const feri_view_dim *dim = &plan->dims[i];
        if (feri_sym_is_unknown(dim->term)) {
            int64_t bounds[FER_MAX_RANK] = {0};
            FER_TRY(upper_bound(w, dim->value, bounds));
            w->binding->dims[i] = bounds[dim->axis];
        }
    }
    return FER_OK;
}

/* ---- shape values ---- */

static fer_status shapes_fill(binding_work *w) {
    const feri_plan *plan = w->plan;
    feri_binding *binding = w->binding;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < plan->shape_count; i++) {
        const feri_fact *fact = &plan->graph->values[plan->shapes[i]].fact;
        binding->shape_offsets[i] = bytes;
        bytes += (feri_dtype_bytes(fact->dtype, fact->element_count) + 15) & ~UINT64_C(15);
    }
    binding->shape_data = feri_bump_alloc(&binding->bump, bytes);
    if (binding->shape_data == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < plan->shape_count; i++) {
        const feri_fact *fact = &plan->graph->values[plan->shapes[i]].fact;
        uint8_t *data = binding->shape_data + binding->shape_offsets[i];
        int is_float = feri_dtype_class(fact->dtype) == FERI_CLASS_FLOAT;
        for (uint32_t k = 0; k < fact->element_count; k++) {
            if (is_float) {
                double number = feri_sym_as_f64(fact->elements[k]);
                feri_store_run_f64(fact->dtype, data, k, 1, &number, /*saturate=*/0);
            } else {
                int64_t number = 0;
                FER_TRY(dim_number(w, fact->elements[k], &number));
                feri_store_run_i64(fact->dtype, data, k, 1, &number);
            }
        }
    }
    return FER_OK;
}

/* ---- arenas ---- */

static fer_status workspaces_size(binding_work *w) {
    const feri_plan *plan = w->plan;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const feri_step *step = &plan->steps[i];
        if (step->kind != FERI_STEP_RUN) {
            continue;
        }
        const feri_exec *exec = &plan->execs[step->exec];
        uint32_t count = exec->view.graph.dim_slot_count;
        int64_t *values = FERI_BUMP_ARRAY(&w->binding->bump, int64_t, count);
        if (values == NULL) {
            return feri_error_status();
        }
        for (uint32_t k = 0; k < count; k++) {
            values[k] = w->binding->dims[exec->dim_index[k]];
        }
        w->binding->step_dims[i] = values;
        FER_TRY(feri_session_status(
            exec->session,
            exec->session->device->backend->core.workspace_bytes(
                exec->session->handle, exec->handle, values, &w->binding->work_bytes[i])));
    }
    return FER_OK;
}

static fer_status arena_plan(
    binding_work *w, uint32_t space, fer_lifetime *lives, uint64_t *offsets, uint32_t *owners) {
    const feri_plan *plan = w->plan;
    feri_binding *binding = w->binding;
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        const feri_slot *slot = &plan->slots[i];
        if (slot->space == space && slot->at == FERI_AT_ARENA) {
            owners[count] = i;
            lives[count++] = (fer_lifetime){binding->slot_bytes[i], slot->first, slot->last};
        }
    }
    uint32_t slots = count;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].kind == FERI_STEP_RUN && plan->steps[i].space == space &&
            binding->work_bytes[i] > 0) {
            owners[count] = i;
            lives[count++] = (fer_lifetime){binding->work_bytes[i], i, i};
        }
    }
    uint64_t alignment = 64;
    if (plan->spaces[space] != NULL &&
        plan->spaces[space]->device->info.buffer_alignment > alignment) {
        alignment = plan->spaces[space]->device->info.buffer_alignment;
    }
    FER_TRY(feri_plan_memory(
        lives, count, alignment, plan->env, offsets, &binding->arena_bytes[space]));
    for (uint32_t i = 0; i < count; i++) {
        if (i < slots) {
            binding->slot_offsets[owners[i]] = offsets[i];
        } else {
            binding->work_offsets[owners[i]] = offsets[i];
        }
    }
    return FER_OK;
}

static fer_status arenas_plan(binding_work *w) {
    const feri_plan *plan = w->plan;
    uint64_t count = (uint64_t)plan->slot_count + plan->step_count;
    uint64_t bytes =
        feri_mul_sat(count, sizeof(fer_lifetime) + sizeof(uint64_t) + sizeof(uint32_t));
    uint8_t *memory = feri_alloc(plan->env, bytes);
    if (memory == NULL) {
        return feri_error_status();
    }
    fer_lifetime *lives = (fer_lifetime *)memory;
    uint64_t *offsets = (uint64_t *)(lives + count);
    uint32_t *owners = (uint32_t *)(offsets + count);
    fer_status status = FER_OK;
    for (uint32_t space = 0; space < plan->space_count && status == FER_OK; space++) {
        status = arena_plan(w, space, lives, offsets, owners);
    }
    feri_free(plan->env, memory, bytes);
    return status;
}

/* ---- the whole ---- */

#define ROW(member, count) FERI_ARRAY_ROW(feri_binding, member, feri_plan, count)
static const feri_array_row arrays[] = {
    ROW(dims, dim_count),
    ROW(slot_bytes, slot_count),
    ROW(slot_offsets, slot_count),
    ROW(slot_dims, slot_count),
    ROW(arena_bytes, space_count),
    ROW(work_offsets, step_count),
    ROW(work_bytes, step_count),
    ROW(step_dims, step_count),
    ROW(shape_offsets, shape_count),
};
#undef ROW

fer_status feri_binding_create(const feri_plan *plan,
                               const int64_t *symbol_values,
                               feri_binding **out_binding) {
    feri_binding *binding = feri_alloc(plan->env, sizeof(*binding));
    if (binding == NULL) {
        return feri_error_status();
    }
    binding->plan = plan;
    feri_bump_init(&binding->bump, plan->env);
    binding->dims_id = atomic_fetch_add(&plan->env->next_id, 1) + 1;
    binding_work w = {plan, binding, symbol_values};
    fer_status status =
        feri_bump_arrays(&binding->bump, binding, plan, arrays, sizeof(arrays) / sizeof(arrays[0]));
    status = status == FER_OK ? dims_fill(&w) : status;
    status = status == FER_OK ? shapes_fill(&w) : status;
    status = status == FER_OK ? workspaces_size(&w) : status;
    status = status == FER_OK ? arenas_plan(&w) : status;
    if (status != FER_OK) {
        feri_binding_destroy(binding);
        return status;
    }
    binding->total_bytes = sizeof(*binding) + binding->bump.total_bytes;
    *out_binding = binding;
    return FER_OK;
}

void feri_binding_destroy(feri_binding *binding) {
    feri_env *env = binding->bump.env;
    feri_bump_finish(&binding->bump);
    feri_free(env, binding, sizeof(*binding));
}
