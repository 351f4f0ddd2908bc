/* SPDX-License-Identifier: Apache-2.0
 *
 * Bindings: the plan's dims as numbers, sizes and arena offsets that follow from them, and the
 * contents of shape values.
 */
#include "base/error.h"
#include "plan/plan.h"
#include "tensor/dtype.h"

#include <string.h>

static fer_status dim_number(const feri_binding *binding, feri_sym sym, int64_t *out_number) {
    if (feri_sym_is_number(sym)) {
        *out_number = sym.number;
        return FER_OK;
    }
    return feri_sym_evaluate(binding->plan->graph->terms, sym, binding->symbols, out_number);
}

/* ---- dims ---- */

/* Inference of a node whose inputs' dims are numbers now; results know kind and dtype only. */
static fer_status node_numbers(feri_binding *binding, const feri_gnode *node, feri_infer *call) {
    feri_bump *bump = &binding->bump;
    uint64_t count = (uint64_t)node->input_count + node->output_count;
    feri_fact *facts = FERI_BUMP_ARRAY(bump, feri_fact, count);
    feri_fact **known = FERI_BUMP_ARRAY(bump, feri_fact *, count);
    if (facts == NULL || known == NULL) {
        return feri_error_status();
    }
    *call = feri_node_call(binding->plan->graph, node, known, bump);
    for (uint32_t i = 0; i < count; i++) {
        feri_fact *fact = &facts[i];
        if (known[i] == NULL) {
            continue;
        }
        if (i < node->input_count) {
            *fact = *known[i];
            FER_TRY(feri_fact_set_dims(fact, bump, fact->rank, fact->dims));
        } else {
            *fact = (feri_fact){.kind = FER_KIND_TENSOR, .dtype = known[i]->dtype, .rank = -1};
        }
        known[i] = fact;
        for (int32_t k = 0; k < fact->rank; k++) {
            int64_t number = 0;
            FER_TRY(dim_number(binding, fact->dims[k], &number));
            fact->dims[k] = feri_sym_number(number);
        }
    }
    return FER_OK;
}

/* The most elements a data-dependent output can have, now that its inputs' dims are numbers. */
static fer_status upper_bound(feri_binding *binding, fer_value_id value, int64_t *out_dims) {
    const fer_graph *graph = binding->plan->graph;
    const feri_gnode *node = graph->nodes[graph->values[value].producer];
    feri_infer call;
    FER_TRY(node_numbers(binding, node, &call));
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
static fer_status misfit(feri_binding *binding, fer_status status) {
    const fer_graph *graph = binding->plan->graph;
    fer_error error;
    feri_error_save(&error);
    int was_recording = feri_terms_set_recording(graph->terms, 0);
    for (uint32_t i = 0; i < graph->node_count && status == FER_INVALID_INPUT; i++) {
        feri_infer call;
        fer_status found = node_numbers(binding, graph->nodes[i], &call);
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
static fer_status slot_blame(const feri_binding *binding, fer_value_id id, fer_status status) {
    const feri_gvalue *value = &binding->plan->graph->values[id];
    if (value->origin != FERI_ORIGIN_NODE) {
        feri_error_prefix("value '%s'", value->name);
        return status;
    }
    const feri_gnode *node = binding->plan->graph->nodes[value->producer];
    feri_error_prefix("%s '%s'", feri_op_name(node->op), node->name);
    feri_error_set_node(node->name);
    return status;
}

static fer_status slot_size(feri_binding *binding, uint32_t index) {
    const feri_slot *slot = &binding->plan->slots[index];
    const feri_fact *fact = &binding->plan->graph->values[slot->value].fact;
    if (slot->at == FERI_AT_VALUE || slot->at == FERI_AT_CONST || fact->kind != FER_KIND_TENSOR ||
        fact->rank < 0) {
        return FER_OK;
    }
    int64_t *dims = binding->slot_dims[index];
    if (slot->is_late) {
        FER_TRY(upper_bound(binding, slot->value, dims));
    } else {
        for (int32_t i = 0; i < fact->rank; i++) {
            fer_status status = dim_number(binding, fact->dims[i], &dims[i]);
            if (status != FER_OK) {
                return slot_blame(binding, slot->value, status);
            }
        }
    }
    uint64_t count = 0;
    fer_status status = feri_shape_check(binding->plan->env,
                                         fact->dtype,
                                         (uint32_t)fact->rank,
                                         dims,
                                         &count,
                                         &binding->slot_bytes[index]);
    if (status == FER_INVALID_ARGUMENT) {
        status = feri_fail(FER_INVALID_INPUT,
                           "an output would have a negative dim: the inputs' shapes do not fit "
                           "the model");
    }
    return status == FER_OK ? status : slot_blame(binding, slot->value, status);
}

static fer_status dims_fill(feri_binding *binding) {
    const feri_plan *plan = binding->plan;
    fer_status status = feri_terms_check(plan->graph->terms, binding->symbols);
    if (status != FER_OK) {
        return misfit(binding, status);
    }
    for (uint32_t i = 0; i < plan->dim_count; i++) {
        if (!feri_sym_is_unknown(plan->dims[i].term)) {
            FER_TRY(dim_number(binding, plan->dims[i].term, &binding->dims[i]));
        }
    }
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        FER_TRY(slot_size(binding, i));
    }
    for (uint32_t i = 0; i < plan->dim_count; i++) {
        const feri_view_dim *dim = &plan->dims[i];
        if (feri_sym_is_unknown(dim->term)) {
            int64_t bounds[FER_MAX_RANK] = {0};
            FER_TRY(upper_bound(binding, dim->value, bounds));
            binding->dims[i] = bounds[dim->axis];
        }
    }
    return FER_OK;
}

/* ---- shape values ---- */

static fer_status shape_store(feri_binding *binding, const feri_fact *fact, void *data) {
    int is_float = feri_dtype_class(fact->dtype) == FERI_CLASS_FLOAT;
    for (uint32_t i = 0; i < fact->element_count; i++) {
        if (is_float) {
            double number = feri_sym_as_f64(fact->elements[i]);
            feri_store_run_f64(fact->dtype, data, i, 1, &number, /*saturate=*/0);
        } else {
            int64_t number = 0;
            FER_TRY(dim_number(binding, fact->elements[i], &number));
            feri_store_run_i64(fact->dtype, data, i, 1, &number);
        }
    }
    return FER_OK;
}

static fer_status shapes_fill(feri_binding *binding) {
    const feri_plan *plan = binding->plan;
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        const feri_fact *fact = &plan->graph->values[plan->slots[i].value].fact;
        if (plan->slots[i].at != FERI_AT_SHAPE) {
            continue;
        }
        binding->shapes[i] =
            feri_bump_alloc(&binding->bump, feri_dtype_bytes(fact->dtype, fact->element_count));
        if (binding->shapes[i] == NULL) {
            return feri_error_status();
        }
        FER_TRY(shape_store(binding, fact, binding->shapes[i]));
    }
    return FER_OK;
}

/* ---- arenas ---- */

static fer_status workspaces_size(feri_binding *binding) {
    const feri_plan *plan = binding->plan;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const feri_step *step = &plan->steps[i];
        if (step->kind != FERI_STEP_RUN) {
            continue;
        }
        const feri_exec *exec = &plan->execs[step->exec];
        uint32_t count = exec->view.graph.dim_slot_count;
        int64_t *values = FERI_BUMP_ARRAY(&binding->bump, int64_t, count);
        if (values == NULL) {
            return feri_error_status();
        }
        for (uint32_t k = 0; k < count; k++) {
            values[k] = binding->dims[exec->dim_index[k]];
        }
        binding->step_dims[i] = values;
        FER_TRY(feri_session_status(
            exec->session,
            exec->session->device->backend->tables.core.workspace_bytes(
                exec->session->handle, exec->handle, values, &binding->work_bytes[i])));
    }
    return FER_OK;
}

/* Slots and, behind them, the workspaces of steps: their places in the arenas of their spaces. */
static fer_status
arenas_lay_out(feri_binding *binding, fer_lifetime *lives, uint64_t *offsets, uint32_t *owners) {
    const feri_plan *plan = binding->plan;
    for (uint32_t space = 0; space < plan->space_count; space++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < plan->part_count; i++) {
            uint64_t bytes = binding->slot_bytes[i];
            uint32_t step = i - plan->slot_count;
            if (i < plan->slot_count) {
                const feri_slot *slot = &plan->slots[i];
                if (slot->space != space || slot->at != FERI_AT_ARENA) {
                    continue;
                }
                lives[count] = (fer_lifetime){bytes, slot->first, slot->last};
            } else if (plan->steps[step].space == space && bytes > 0) {
                lives[count] = (fer_lifetime){bytes, step, step};
            } else {
                continue;
            }
            owners[count++] = i;
        }
        const feri_session *session = plan->spaces[space];
        uint64_t alignment = session == NULL ? 0 : session->device->info.buffer_alignment;
        FER_TRY(feri_plan_memory(lives,
                                 count,
                                 alignment < 64 ? 64 : alignment,
                                 plan->env,
                                 offsets,
                                 &binding->arena_bytes[space]));
        for (uint32_t i = 0; i < count; i++) {
            binding->slot_offsets[owners[i]] = offsets[i];
        }
    }
    return FER_OK;
}

static fer_status arenas_plan(feri_binding *binding) {
    const feri_plan *plan = binding->plan;
    uint64_t count = plan->part_count;
    uint64_t bytes =
        feri_mul_sat(count, sizeof(fer_lifetime) + sizeof(uint64_t) + sizeof(uint32_t));
    fer_lifetime *lives = feri_alloc(plan->env, bytes);
    if (lives == NULL) {
        return feri_error_status();
    }
    uint64_t *offsets = (uint64_t *)(lives + count);
    fer_status status = arenas_lay_out(binding, lives, offsets, (uint32_t *)(offsets + count));
    feri_free(plan->env, lives, bytes);
    return status;
}

/* ---- the whole ---- */

#define ROW(member, count) FERI_ARRAY_ROW(feri_binding, member, feri_plan, count)
static const feri_array_row arrays[] = {
    ROW(dims, dim_count),
    ROW(slot_bytes, part_count),
    ROW(slot_offsets, part_count),
    ROW(slot_dims, slot_count),
    ROW(shapes, slot_count),
    ROW(arena_bytes, space_count),
    ROW(step_dims, step_count),
};
#undef ROW

static fer_status binding_fill(feri_binding *binding) {
    const feri_plan *plan = binding->plan;
    FER_TRY(feri_bump_arrays(
        &binding->bump, binding, plan, arrays, sizeof(arrays) / sizeof(arrays[0])));
    binding->work_bytes = binding->slot_bytes + plan->slot_count;
    binding->work_offsets = binding->slot_offsets + plan->slot_count;
    FER_TRY(dims_fill(binding));
    FER_TRY(shapes_fill(binding));
    FER_TRY(workspaces_size(binding));
    return arenas_plan(binding);
}

fer_status feri_binding_create(const feri_plan *plan,
                               const int64_t *symbol_values,
                               feri_binding **out_binding) {
    feri_binding *binding = feri_alloc(plan->env, sizeof(*binding));
    if (binding == NULL) {
        return feri_error_status();
    }
    binding->plan = plan;
    binding->symbols = symbol_values;
    feri_bump_init(&binding->bump, plan->env);
    binding->dims_id = atomic_fetch_add(&plan->env->next_id, 1) + 1;
    fer_status status = binding_fill(binding);
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
