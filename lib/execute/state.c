/* SPDX-License-Identifier: Apache-2.0
 *
 * Making run states and binding them: everything a run needs is allocated and addressed here, so
 * that running does neither.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <string.h>

/* ---- making ---- */

static fer_status patches_count(feri_run_state *state) {
    const feri_plan *plan = state->plan;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < plan->step_count; i++) {
            const feri_step *step = &plan->steps[i];
            if (step->kind != FERI_STEP_RUN) {
                continue;
            }
            for (uint32_t k = 0; k < step->input_count + step->output_count; k++) {
                int is_in = k < step->input_count;
                const feri_slot *slot =
                    &plan->slots[is_in ? step->inputs[k] : step->outputs[k - step->input_count]];
                feri_patch *patch = slot->at == FERI_AT_INPUT ? &state->input_patches[slot->index]
                                    : slot->at == FERI_AT_OUTPUT
                                        ? &state->output_patches[slot->index]
                                        : NULL;
                if (patch == NULL) {
                    continue;
                }
                if (pass == 1) {
                    const fer_mem *mem = is_in ? &state->args[i].inputs[k]
                                               : &state->args[i].outputs[k - step->input_count];
                    patch->places[patch->count] = (fer_mem *)(uintptr_t)mem;
                }
                patch->count++;
            }
        }
        for (uint32_t i = 0; pass == 0 && i < plan->graph->input_count + plan->graph->output_count;
             i++) {
            feri_patch *patch = i < plan->graph->input_count
                                    ? &state->input_patches[i]
                                    : &state->output_patches[i - plan->graph->input_count];
            patch->places = FERI_BUMP_ARRAY(&state->bump, fer_mem *, patch->count);
            if (patch->places == NULL) {
                return fer_error_last()->status;
            }
            patch->count = 0;
        }
    }
    return FER_OK;
}

static fer_status step_make(feri_run_state *state, uint32_t index) {
    const feri_step *step = &state->plan->steps[index];
    if (step->kind != FERI_STEP_RUN) {
        state->has_host_steps |= step->kind == FERI_STEP_HOST;
        return FER_OK;
    }
    const feri_exec *exec = &state->plan->execs[step->exec];
    fer_run_args *args = &state->args[index];
    args->struct_size = sizeof(*args);
    args->inputs = FERI_BUMP_ARRAY(&state->bump, fer_mem, step->input_count);
    args->outputs = FERI_BUMP_ARRAY(&state->bump, fer_mem, step->output_count);
    args->out_dims = feri_bump_alloc(
        &state->bump, feri_mul_sat(step->output_count, sizeof(int64_t[FER_MAX_RANK])));
    args->weights = exec->weight_mems;
    args->dim_count = exec->view.graph.dim_slot_count;
    args->stream = state->streams[step->space];
    if (args->inputs == NULL || args->outputs == NULL || args->out_dims == NULL) {
        return fer_error_last()->status;
    }
    fer_instance_args instance = {sizeof(instance), 0, exec->weight_mems, args->stream};
    const fer_backend_instances *slots = &exec->session->device->backend->instances;
    FER_TRY(feri_session_status(
        exec->session,
        slots->instance_create(
            exec->session->handle, exec->handle, &instance, &state->instances[index])));
    return FER_OK;
}

static fer_status arrays_make(feri_run_state *state) {
    const feri_plan *plan = state->plan;
    feri_bump *bump = &state->bump;
    uint32_t input_count = plan->graph->input_count, output_count = plan->graph->output_count;
    state->arenas = FERI_BUMP_ARRAY(bump, feri_buffer *, plan->space_count);
    state->streams = FERI_BUMP_ARRAY(bump, void *, plan->space_count);
    state->pending = FERI_BUMP_ARRAY(bump, void *, plan->space_count);
    state->args = FERI_BUMP_ARRAY(bump, fer_run_args, plan->step_count);
    state->instances = FERI_BUMP_ARRAY(bump, void *, plan->step_count);
    state->slot_mems = FERI_BUMP_ARRAY(bump, fer_mem, plan->slot_count);
    state->slot_sessions = FERI_BUMP_ARRAY(bump, feri_session *, plan->slot_count);
    state->late_dims =
        feri_bump_alloc(bump, feri_mul_sat(plan->slot_count, sizeof(*state->late_dims)));
    state->values = FERI_BUMP_ARRAY(bump, fer_value *, plan->slot_count);
    state->input_patches = FERI_BUMP_ARRAY(bump, feri_patch, input_count);
    state->output_patches = FERI_BUMP_ARRAY(bump, feri_patch, output_count);
    state->input_slots = FERI_BUMP_ARRAY(bump, uint32_t, input_count);
    state->temps = FERI_BUMP_ARRAY(bump, fer_tensor *, (uint64_t)input_count + output_count);
    state->is_new = FERI_BUMP_ARRAY(bump, uint8_t, output_count);
    state->held = FERI_BUMP_ARRAY(bump, fer_tensor *, (uint64_t)input_count + output_count);
    if (state->arenas == NULL || state->streams == NULL || state->pending == NULL ||
        state->args == NULL || state->instances == NULL || state->slot_mems == NULL ||
        state->slot_sessions == NULL || state->late_dims == NULL || state->values == NULL ||
        state->input_patches == NULL || state->output_patches == NULL ||
        state->input_slots == NULL || state->is_new == NULL || state->temps == NULL ||
        state->held == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < input_count; i++) {
        state->input_slots[i] = FERI_NO_SLOT;
    }
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        const feri_slot *slot = &plan->slots[i];
        state->slot_sessions[i] = slot->space == 0 ? NULL : plan->spaces[slot->space];
        if (slot->at == FERI_AT_INPUT) {
            state->input_slots[slot->index] = i;
        }
    }
    return FER_OK;
}

static fer_status state_fill(feri_run_state *state) {
    const feri_plan *plan = state->plan;
    FER_TRY(arrays_make(state));
    for (uint32_t space = 1; space < plan->space_count; space++) {
        feri_session *session = plan->spaces[space];
        pthread_mutex_lock(&session->device->lock);
        fer_status status =
            session->device->backend->async.stream_create(session->handle, &state->streams[space]);
        pthread_mutex_unlock(&session->device->lock);
        FER_TRY(feri_session_status(session, status));
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        FER_TRY(step_make(state, i));
    }
    return patches_count(state);
}

fer_status feri_run_state_create(const feri_plan *plan, feri_run_state **out_state) {
    feri_run_state *state = feri_alloc(plan->env, sizeof(*state));
    if (state == NULL) {
        return fer_error_last()->status;
    }
    state->env = plan->env;
    state->plan = plan;
    feri_bump_init(&state->bump, plan->env);
    fer_status status = state_fill(state);
    if (status != FER_OK) {
        feri_run_state_destroy(state);
        return status;
    }
    *out_state = state;
    return FER_OK;
}

/* ---- the end ---- */

/* A device that does not answer for this long while its work is given up is taken as lost. */
enum { GIVE_UP_NS = 2000000000 };

static void space_settle(feri_run_state *state, uint32_t space) {
    feri_session *session = state->plan->spaces[space];
    const fer_backend_async *async = &session->device->backend->async;
    void *event = state->pending[space];
    if (event == NULL) {
        return;
    }
    if (!feri_session_is_lost(session)) {
        async->cancel(session->handle, state->streams[space]);
        if (async->event_wait(session->handle, event, GIVE_UP_NS) == FER_NOT_READY) {
            feri_session_mark_lost(session, "it did not finish work that was given up");
        }
    }
    async->event_destroy(session->handle, event);
    state->pending[space] = NULL;
}

static void tensors_release(const feri_run_state *state, fer_tensor **tensors) {
    uint32_t count = state->plan->graph->input_count + state->plan->graph->output_count;
    for (uint32_t i = 0; i < count && tensors != NULL; i++) {
        fer_tensor_release(tensors[i]);
        tensors[i] = NULL;
    }
}

static void held_release(feri_run_state *state) {
    tensors_release(state, state->temps);
    tensors_release(state, state->held);
    state->has_temps = state->is_in_flight = 0;
}

/* The failed run's outputs are NULL again, and what it left on a device keeps its memory until the
 * device answers. */
void feri_run_state_give_up(feri_run_state *state, const feri_arg *inputs, feri_arg *outputs) {
    const feri_plan *plan = state->plan;
    uint32_t input_count = plan->graph->input_count;
    for (uint32_t space = 1; space < plan->space_count; space++) {
        feri_session *session = plan->spaces[space];
        if (state->pending[space] != NULL) {
            session->device->backend->async.cancel(session->handle, state->streams[space]);
            state->is_in_flight = 1;
        }
        state->is_spoiled = 1;
    }
    for (uint32_t i = 0; i < input_count + plan->graph->output_count; i++) {
        feri_arg *output = i < input_count ? NULL : &outputs[i - input_count];
        if (state->is_in_flight) {
            state->held[i] = fer_tensor_retain(output == NULL ? inputs[i].tensor : output->tensor);
        }
        if (output != NULL && state->is_new[i - input_count]) {
            feri_arg_release(output);
        }
    }
}

void feri_run_state_clean(feri_run_state *state) {
    for (uint32_t i = 0; i < state->plan->slot_count; i++) {
        fer_value_release(state->values[i]);
        state->values[i] = NULL;
    }
    if (!state->is_in_flight) { /* else a device may still use them */
        tensors_release(state, state->temps);
        state->has_temps = 0;
    }
}

int feri_run_state_is_spoiled(const feri_run_state *state) { return state->is_spoiled; }

int feri_run_state_is_settled(feri_run_state *state) {
    if (!state->is_in_flight) {
        return 1;
    }
    for (uint32_t space = 1; space < state->plan->space_count; space++) {
        feri_session *session = state->plan->spaces[space];
        const fer_backend_async *async = &session->device->backend->async;
        if (state->pending[space] == NULL) {
            continue;
        }
        /* A lost device never answers: the memory is held until the stream is destroyed. */
        if (feri_session_is_lost(session) ||
            async->event_query(session->handle, state->pending[space]) == FER_NOT_READY) {
            return 0;
        }
        async->event_destroy(session->handle, state->pending[space]);
        state->pending[space] = NULL;
    }
    held_release(state);
    return 1;
}

void feri_run_state_destroy(feri_run_state *state) {
    if (state == NULL) {
        return;
    }
    const feri_plan *plan = state->plan;
    for (uint32_t space = 1; state->pending != NULL && space < plan->space_count; space++) {
        space_settle(state, space);
    }
    /* The streams first: work that never answered ends with its stream, and only then does nothing
     * use instances, arenas and what is held. */
    for (uint32_t space = 1; state->streams != NULL && space < plan->space_count; space++) {
        feri_session *session = plan->spaces[space];
        if (state->streams[space] != NULL) {
            pthread_mutex_lock(&session->device->lock);
            session->device->backend->async.stream_destroy(session->handle, state->streams[space]);
            pthread_mutex_unlock(&session->device->lock);
        }
    }
    for (uint32_t i = 0; state->instances != NULL && i < plan->step_count; i++) {
        if (state->instances[i] != NULL) {
            const feri_exec *exec = &plan->execs[plan->steps[i].exec];
            exec->session->device->backend->instances.instance_destroy(exec->session->handle,
                                                                       state->instances[i]);
        }
    }
    for (uint32_t space = 0; state->arenas != NULL && space < plan->space_count; space++) {
        feri_buffer_release(state->arenas[space]);
    }
    held_release(state);
    feri_binding_release(state->binding);
    feri_bump_finish(&state->bump);
    feri_free(state->env, state, sizeof(*state));
}

/* ---- binding ---- */

static fer_status arena_grow(feri_run_state *state, const feri_binding *binding, uint32_t space) {
    uint64_t bytes = binding->arena_bytes[space];
    if (bytes == 0 || (state->arenas[space] != NULL && state->arenas[space]->bytes >= bytes)) {
        return FER_OK;
    }
    feri_buffer_release(state->arenas[space]);
    state->arenas[space] = NULL;
    feri_session *session = state->plan->spaces[space];
    fer_status status =
        session == NULL ? feri_buffer_create(state->env, bytes, &state->arenas[space])
                        : feri_device_buffer(session, bytes, FER_MEM_DEVICE, &state->arenas[space]);
    if (status == FER_BUDGET || status == FER_OUT_OF_MEMORY) {
        char what[400];
        feri_peak_text(state->plan, binding, space, what, sizeof(what));
        feri_error_prefix("%s", what);
    }
    return status;
}

static void slots_address(feri_run_state *state, feri_binding *binding) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        const feri_slot *slot = &plan->slots[i];
        fer_mem *mem = &state->slot_mems[i];
        const fer_tensor *constant = plan->graph->values[slot->value].constant;
        switch (slot->at) {
        case FERI_AT_ARENA:
            *mem = state->arenas[slot->space] == NULL ? (fer_mem){NULL, 0, 0, NULL}
                                                      : feri_buffer_mem(state->arenas[slot->space],
                                                                        binding->slot_offsets[i],
                                                                        binding->slot_bytes[i]);
            break;
        case FERI_AT_SHAPE:
            *mem = (fer_mem){NULL,
                             0,
                             binding->slot_bytes[i],
                             binding->shape_data + binding->shape_offsets[slot->index]};
            break;
        case FERI_AT_CONST:
            *mem = (fer_mem){NULL, 0, constant->bytes, fer_tensor_data(constant)};
            break;
        default:
            *mem = (fer_mem){NULL, 0, binding->slot_bytes[i], NULL};
            break;
        }
    }
}

fer_status feri_run_state_bind(feri_run_state *state, feri_binding *binding) {
    const feri_plan *plan = state->plan;
    feri_binding_release(state->binding);
    state->binding = NULL;
    for (uint32_t space = 0; space < plan->space_count; space++) {
        FER_TRY(arena_grow(state, binding, space));
    }
    slots_address(state, binding);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const feri_step *step = &plan->steps[i];
        if (step->kind != FERI_STEP_RUN) {
            continue;
        }
        fer_run_args *args = &state->args[i];
        fer_mem *inputs = (fer_mem *)(uintptr_t)args->inputs,
                *outputs = (fer_mem *)(uintptr_t)args->outputs;
        for (uint32_t k = 0; k < step->input_count; k++) {
            inputs[k] = state->slot_mems[step->inputs[k]];
        }
        for (uint32_t k = 0; k < step->output_count; k++) {
            outputs[k] = state->slot_mems[step->outputs[k]];
        }
        args->dim_values = binding->step_dims[i];
        args->dims_id = binding->dims_id;
        args->workspace = binding->work_bytes[i] == 0 ? (fer_mem){NULL, 0, 0, NULL}
                                                      : feri_buffer_mem(state->arenas[step->space],
                                                                        binding->work_offsets[i],
                                                                        binding->work_bytes[i]);
    }
    state->binding = feri_binding_retain(binding);
    return FER_OK;
}

feri_binding *feri_run_state_binding(const feri_run_state *state) { return state->binding; }

uint64_t feri_run_state_bytes(const feri_run_state *state) {
    uint64_t bytes = 0;
    for (uint32_t space = 0; space < state->plan->space_count; space++) {
        bytes += state->arenas[space] == NULL ? 0 : state->arenas[space]->bytes;
    }
    return bytes;
}
