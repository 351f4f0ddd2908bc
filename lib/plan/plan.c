/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds a plan: compiles regions, gives every value a slot in each space it is needed in, and adds
 * the copies between.
 */
#include "plan/plan.h"

#include "base/error.h"

#include <string.h>

typedef struct planning {
    feri_plan *plan;
    const feri_policy *policy;
    feri_session *const *sessions;
    const feri_partition *partition;
    uint32_t *space_of_device; /* per policy device */
    uint32_t *slot_of;         /* [value * space_count + space], slot + 1 */
    uint32_t *scratch;         /* for feri_view_build */
    feri_name_map dim_of_term;
} planning;

/* ---- slots ---- */

static fer_status
slot_new(planning *p, fer_value_id value, uint32_t space, uint8_t at, uint32_t *out_slot) {
    feri_plan *plan = p->plan;
    FER_TRY(feri_bump_grow(
        &plan->bump, &plan->slots, &plan->slot_capacity, plan->slot_count + 1, sizeof(feri_slot)));
    uint32_t index = plan->slot_count++;
    plan->slots[index] = (feri_slot){.value = value,
                                     .space = space,
                                     .at = at,
                                     .first = plan->step_count,
                                     .last = plan->step_count};
    p->slot_of[(uint64_t)value * plan->space_count + space] = index + 1;
    *out_slot = index;
    return FER_OK;
}

/* Room for the slots of a step that step_append puts at the end of the plan. */
static fer_status slots_make(planning *p, feri_step *step) {
    step->inputs =
        FERI_BUMP_ARRAY(&p->plan->bump, uint32_t, (uint64_t)step->input_count + step->output_count);
    if (step->inputs == NULL) {
        return feri_error_status();
    }
    step->outputs = step->inputs + step->input_count;
    return FER_OK;
}

static fer_status step_append(planning *p, const feri_step *step) {
    feri_plan *plan = p->plan;
    FER_TRY(feri_bump_grow(
        &plan->bump, &plan->steps, &plan->step_capacity, plan->step_count + 1, sizeof(feri_step)));
    plan->steps[plan->step_count++] = *step;
    return FER_OK;
}

/* The slot, in host space, of a value that no step makes. */
static fer_status origin_slot(planning *p, fer_value_id value, uint32_t *out_slot) {
    uint8_t origin = p->plan->graph->values[value].origin;
    uint8_t at = origin == FERI_ORIGIN_CONSTANT ? FERI_AT_CONST
                 : origin == FERI_ORIGIN_SHAPE  ? FERI_AT_SHAPE
                                                : FERI_AT_INPUT;
    FER_TRY(slot_new(p, value, 0, at, out_slot));
    p->plan->slots[*out_slot].first = 0;
    return FER_OK;
}

static fer_status
slot_in(planning *p, fer_value_id value, uint32_t space, int by_step, uint32_t *out_slot) {
    feri_plan *plan = p->plan;
    const uint32_t *known = &p->slot_of[(uint64_t)value * plan->space_count]; /* slot + 1 */
    if (known[space] == 0) {
        uint32_t from = 0, source = 0;
        while (from < plan->space_count && known[from] == 0) {
            from++;
        }
        if (from == plan->space_count) {
            FER_TRY(origin_slot(p, value, &source));
            from = 0;
        }
        if (from != space) {
            feri_step copy = {
                .kind = FERI_STEP_COPY, .space = space, .input_count = 1, .output_count = 1};
            FER_TRY(slots_make(p, &copy));
            FER_TRY(slot_new(p, value, space, FERI_AT_ARENA, copy.outputs));
            source = copy.inputs[0] = known[from] - 1;
            plan->slots[source].last = plan->step_count;
            plan->slots[copy.outputs[0]].is_late = plan->slots[source].is_late;
            FER_TRY(step_append(p, &copy));
        }
    }
    *out_slot = known[space] - 1;
    feri_slot *slot = &plan->slots[*out_slot];
    slot->last = plan->step_count > slot->last ? plan->step_count : slot->last;
    slot->is_read_by_step |= by_step != 0;
    return FER_OK;
}

/* ---- regions ---- */

static fer_status
dim_index(planning *p, const feri_view *view, uint32_t slot, uint32_t *out_index) {
    feri_plan *plan = p->plan;
    const uint64_t *key = &view->dims[slot].term.term; /* lives in the plan's bump */
    int is_term = *key != FERI_TERM_UNKNOWN;
    if (is_term && feri_name_map_get(&p->dim_of_term, (const char *)key, sizeof(*key), out_index)) {
        return FER_OK;
    }
    FER_TRY(feri_bump_grow(
        &plan->bump, &plan->dims, &plan->dim_capacity, plan->dim_count + 1, sizeof(feri_view_dim)));
    *out_index = plan->dim_count;
    plan->dims[plan->dim_count++] = view->dims[slot];
    return is_term ? feri_name_map_set(&p->dim_of_term, (const char *)key, sizeof(*key), *out_index)
                   : FER_OK;
}

static fer_status exec_weights(planning *p, feri_exec *exec) {
    feri_plan *plan = p->plan;
    uint32_t count = exec->view.graph.constant_count;
    exec->weight_mems =
        feri_bump_array(&plan->bump, count, sizeof(fer_mem) + sizeof(feri_weight *));
    if (exec->weight_mems == NULL) {
        return feri_error_status();
    }
    exec->weights = (feri_weight **)(exec->weight_mems + count);
    for (uint32_t i = 0; i < count; i++) {
        fer_value_id value = exec->view.value_ids[exec->view.graph.constants[i]];
        FER_TRY(feri_weight_get(exec, i, plan->graph->values[value].constant));
        plan->weight_bytes += feri_weight_bytes(exec->weights[i]);
    }
    return FER_OK;
}

static fer_status exec_compile(planning *p, const feri_region *region, feri_exec *exec) {
    feri_plan *plan = p->plan;
    exec->session = feri_session_retain(p->sessions[region->device]);
    feri_backend *backend = exec->session->device->backend;
    FER_TRY(feri_view_build(
        plan->graph, p->scratch, region->nodes, region->node_count, &plan->bump, &exec->view));
    exec->dim_index = FERI_BUMP_ARRAY(&plan->bump, uint32_t, exec->view.graph.dim_slot_count);
    if (exec->dim_index == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < exec->view.graph.dim_slot_count; i++) {
        FER_TRY(dim_index(p, &exec->view, i, &exec->dim_index[i]));
    }
    plan->compile_count++;
    FER_TRY(feri_session_status(
        exec->session,
        backend->tables.core.compile(exec->session->handle, &exec->view.graph, &exec->handle)));
    return exec_weights(p, exec);
}

/* The step of a compiled region or of a host node, after the copies that its inputs need. */
static fer_status region_step(planning *p, const feri_region *region) {
    feri_plan *plan = p->plan;
    feri_step step = {.kind = FERI_STEP_HOST, .node_index = region->nodes[0]};
    const feri_gnode *node = step.node = plan->graph->nodes[step.node_index];
    step.input_count = node->input_count;
    step.output_count = node->output_count;
    const feri_exec *exec = NULL;
    if (region->device != FERI_ON_HOST) {
        step.kind = FERI_STEP_RUN;
        step.space = p->space_of_device[region->device];
        step.exec = plan->exec_count++;
        FER_TRY(exec_compile(p, region, &plan->execs[step.exec]));
        exec = &plan->execs[step.exec];
        step.input_count = exec->view.graph.input_count;
        step.output_count = exec->view.graph.output_count;
    }
    FER_TRY(slots_make(p, &step));
    for (uint32_t i = 0; i < step.input_count; i++) {
        fer_value_id value =
            exec == NULL ? node->inputs[i] : exec->view.value_ids[exec->view.graph.inputs[i]];
        step.inputs[i] = FERI_NO_SLOT;
        if (value != FER_NO_VALUE) {
            int is_shape = plan->graph->values[value].origin == FERI_ORIGIN_SHAPE;
            FER_TRY(slot_in(p, value, is_shape ? 0 : step.space, /*by_step=*/1, &step.inputs[i]));
        }
    }
    for (uint32_t i = 0; i < step.input_count; i++) {
        if (step.inputs[i] != FERI_NO_SLOT) {
            plan->slots[step.inputs[i]].last = plan->step_count;
        }
    }
    for (uint32_t i = 0; i < step.output_count; i++) {
        uint32_t *slot = &step.outputs[i];
        fer_value_id value =
            exec == NULL ? node->outputs[i] : exec->view.value_ids[exec->view.graph.outputs[i]];
        *slot = FERI_NO_SLOT;
        if (value == FER_NO_VALUE) {
            continue;
        }
        FER_TRY(slot_new(p, value, step.space, exec == NULL ? FERI_AT_VALUE : FERI_AT_ARENA, slot));
        int is_late = exec == NULL || (exec->view.graph.values[exec->view.graph.outputs[i]]->flags &
                                       FER_VALUE_DATA_DEPENDENT) != 0;
        plan->slots[*slot].is_late = is_late != 0;
        step.has_late |= is_late;
    }
    return step_append(p, &step);
}

/* A region writes straight into the caller's output where the value is made in host space and its
 * dims are known. */
static fer_status ends_place(planning *p) {
    feri_plan *plan = p->plan;
    const fer_graph *graph = plan->graph;
    plan->input_slots = FERI_BUMP_ARRAY(&plan->bump, uint32_t, plan->end_count);
    if (plan->input_slots == NULL) {
        return feri_error_status();
    }
    plan->output_slots = plan->input_slots + plan->input_count;
    for (uint32_t i = 0; i < plan->output_count; i++) {
        FER_TRY(slot_in(p, graph->outputs[i], 0, /*by_step=*/0, &plan->output_slots[i]));
    }
    for (uint32_t i = 0; i < plan->output_count; i++) {
        feri_slot *slot = &plan->slots[plan->output_slots[i]];
        slot->last = plan->step_count;
        if (slot->at == FERI_AT_ARENA && !slot->is_late) {
            slot->at = FERI_AT_OUTPUT;
            slot->index = i;
        } else {
            plan->has_exports = 1;
        }
    }
    for (uint32_t i = 0; i < plan->input_count; i++) {
        uint32_t slot = p->slot_of[(uint64_t)graph->inputs[i] * plan->space_count] - 1;
        plan->input_slots[i] = slot;
        if (slot != FERI_NO_SLOT) {
            plan->slots[slot].index = i;
        }
    }
    return FER_OK;
}

/* ---- the whole ---- */

static fer_status spaces_fill(planning *p) {
    feri_plan *plan = p->plan;
    uint32_t count = p->policy->device_count;
    plan->spaces = FERI_BUMP_ARRAY(&plan->bump, feri_session *, (uint64_t)count + 1);
    p->space_of_device = FERI_BUMP_ARRAY(&plan->bump, uint32_t, count);
    if (plan->spaces == NULL || p->space_of_device == NULL) {
        return feri_error_status();
    }
    plan->space_count = 1;
    for (uint32_t i = 0; i < p->partition->region_count; i++) {
        int32_t device = p->partition->regions[i].device;
        if (device == FERI_ON_HOST) {
            continue;
        }
        feri_session *session = p->sessions[device];
        if (feri_device_is_host(session->device)) {
            if (plan->spaces[0] == NULL) {
                plan->spaces[0] = feri_session_retain(session);
            }
        } else if (p->space_of_device[device] == 0) {
            p->space_of_device[device] = plan->space_count;
            plan->spaces[plan->space_count++] = feri_session_retain(session);
        }
    }
    return FER_OK;
}

static fer_status plan_fill(planning *p) {
    feri_plan *plan = p->plan;
    FER_TRY(spaces_fill(p));
    plan->execs = FERI_BUMP_ARRAY(&plan->bump, feri_exec, p->partition->region_count);
    p->slot_of = FERI_BUMP_ARRAY(
        &plan->bump, uint32_t, feri_mul_sat(plan->graph->value_count, plan->space_count));
    p->scratch = FERI_BUMP_ARRAY(&plan->bump, uint32_t, plan->graph->value_count);
    if (plan->execs == NULL || p->slot_of == NULL || p->scratch == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < p->partition->region_count; i++) {
        FER_TRY(region_step(p, &p->partition->regions[i]));
    }
    FER_TRY(ends_place(p));
    plan->part_count = plan->slot_count + plan->step_count;
    return FER_OK;
}

fer_status feri_plan_build(fer_graph *graph,
                           const feri_policy *policy,
                           feri_session *const *sessions,
                           const feri_partition *partition,
                           feri_plan **out_plan) {
    feri_plan *plan = feri_alloc(graph->env, sizeof(*plan));
    if (plan == NULL) {
        return feri_error_status();
    }
    plan->env = graph->env;
    plan->graph = graph;
    plan->input_count = graph->input_count;
    plan->output_count = graph->output_count;
    plan->end_count = plan->input_count + plan->output_count;
    feri_bump_init(&plan->bump, graph->env);
    planning p = {.plan = plan, .policy = policy, .sessions = sessions, .partition = partition};
    feri_name_map_init(&p.dim_of_term, graph->env);
    fer_status status = plan_fill(&p);
    feri_name_map_finish(&p.dim_of_term);
    if (status != FER_OK) {
        feri_plan_destroy(plan);
        return status;
    }
    *out_plan = plan;
    return FER_OK;
}

void feri_plan_destroy(feri_plan *plan) {
    if (plan == NULL) {
        return;
    }
    for (uint32_t i = 0; i < plan->exec_count; i++) {
        feri_exec *exec = &plan->execs[i];
        for (uint32_t k = 0; exec->weights != NULL && k < exec->view.graph.constant_count; k++) {
            feri_weight_release(exec->weights[k]);
        }
        if (exec->handle != NULL) {
            fer_device *device = exec->session->device;
            pthread_mutex_lock(&device->lock);
            device->backend->tables.core.exec_destroy(exec->session->handle, exec->handle);
            pthread_mutex_unlock(&device->lock);
        }
        feri_session_release(exec->session);
    }
    for (uint32_t i = 0; i < plan->space_count; i++) {
        feri_session_release(plan->spaces[i]);
    }
    feri_bump_finish(&plan->bump);
    feri_free(plan->env, plan, sizeof(*plan));
}

int feri_plan_is_lost(const feri_plan *plan) {
    for (uint32_t i = 0; i < plan->exec_count; i++) {
        if (feri_session_is_lost(plan->execs[i].session)) {
            return 1;
        }
    }
    return 0;
}
