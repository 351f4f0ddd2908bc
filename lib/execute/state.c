/* SPDX-License-Identifier: Apache-2.0
 *
 * Making run states and binding them: everything a run needs is allocated and addressed here, so
 * that running does neither.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <string.h>

/* ---- making ---- */

#define ROW(member, count) FERI_ARRAY_ROW(feri_run_state, member, feri_plan, count)
static const feri_array_row arrays[] = {
    ROW(arenas, space_count),
    ROW(streams, space_count),
    ROW(pending, space_count),
    ROW(args, step_count),
    ROW(instances, step_count),
    ROW(slot_mems, slot_count),
    ROW(slot_sessions, slot_count),
    ROW(late_dims, slot_count),
    ROW(values, slot_count),
    ROW(patches, slot_count),
    ROW(temps, end_count),
    ROW(is_new, output_count),
    ROW(held, end_count), /* last: with it, all are there */
};
#undef ROW

static fer_status step_make(feri_run_state *state, uint32_t index) {
    const feri_plan *plan = state->plan;
    const feri_step *step = &plan->steps[index];
    if (step->kind != FERI_STEP_RUN) {
        state->has_host_steps |= step->kind == FERI_STEP_HOST;
        return FER_OK;
    }
    const feri_exec *exec = &plan->execs[step->exec];
    fer_run_args *args = &state->args[index];
    uint32_t count = step->input_count + step->output_count;
    fer_mem *mems = FERI_BUMP_ARRAY(&state->bump, fer_mem, count);
    feri_patch *patches = FERI_BUMP_ARRAY(&state->bump, feri_patch, count);
    args->out_dims = feri_bump_array(&state->bump, step->output_count, sizeof(*args->out_dims));
    if (mems == NULL || patches == NULL || args->out_dims == NULL) {
        return feri_error_status();
    }
    args->struct_size = sizeof(*args);
    args->inputs = mems;
    args->outputs = mems + step->input_count;
    args->weights = exec->weight_mems;
    args->dim_count = exec->view.graph.dim_slot_count;
    args->stream = state->streams[step->space];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = step->inputs[i];
        uint8_t at = plan->slots[slot].at;
        if (at == FERI_AT_INPUT || at == FERI_AT_OUTPUT) {
            patches[i] = (feri_patch){&mems[i], state->patches[slot]};
            state->patches[slot] = &patches[i];
        }
    }
    fer_instance_args instance = {sizeof(instance), 0, exec->weight_mems, args->stream};
    feri_session *session = exec->session;
    return feri_session_status(
        session,
        session->device->backend->tables.instances.instance_create(
            session->handle, exec->handle, &instance, &state->instances[index]));
}

static fer_status state_fill(feri_run_state *state) {
    const feri_plan *plan = state->plan;
    FER_TRY(
        feri_bump_arrays(&state->bump, state, plan, arrays, sizeof(arrays) / sizeof(arrays[0])));
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        const feri_slot *slot = &plan->slots[i];
        state->slot_sessions[i] = slot->space == 0 ? NULL : plan->spaces[slot->space];
    }
    for (uint32_t space = 1; space < plan->space_count; space++) {
        feri_session *session = plan->spaces[space];
        pthread_mutex_lock(&session->device->lock);
        fer_status status = session->device->backend->tables.async.stream_create(
            session->handle, &state->streams[space]);
        pthread_mutex_unlock(&session->device->lock);
        FER_TRY(feri_session_status(session, status));
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        FER_TRY(step_make(state, i));
    }
    return FER_OK;
}

fer_status feri_run_state_create(const feri_plan *plan, feri_run_state **out_state) {
    feri_run_state *state = feri_alloc(plan->env, sizeof(*state));
    if (state == NULL) {
        return feri_error_status();
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
    const fer_backend_async *async = &session->device->backend->tables.async;
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
    feri_pending_set(state, space, NULL);
}

static void tensors_release(const feri_run_state *state, fer_tensor **tensors) {
    for (uint32_t i = 0; i < state->plan->end_count; i++) {
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
    uint32_t input_count = plan->input_count;
    for (uint32_t space = 1; space < plan->space_count; space++) {
        feri_session *session = plan->spaces[space];
        if (state->pending[space] != NULL) {
            session->device->backend->tables.async.cancel(session->handle, state->streams[space]);
            state->is_in_flight = 1;
        }
        state->is_spoiled = 1;
    }
    for (uint32_t i = 0; i < plan->end_count; i++) {
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
        const fer_backend_async *async = &session->device->backend->tables.async;
        if (state->pending[space] == NULL) {
            continue;
        }
        /* A lost device never answers: the memory is held until the stream is destroyed. */
        if (feri_session_is_lost(session) ||
            async->event_query(session->handle, state->pending[space]) == FER_NOT_READY) {
            return 0;
        }
        feri_pending_set(state, space, NULL);
    }
    held_release(state);
    return 1;
}

static void state_empty(feri_run_state *state) {
    const feri_plan *plan = state->plan;
    for (uint32_t space = 1; space < plan->space_count; space++) {
        space_settle(state, space);
    }
    /* The streams first: work that never answered ends with its stream, and only then does nothing
     * use instances, arenas and what is held. */
    for (uint32_t space = 1; space < plan->space_count; space++) {
        feri_session *session = plan->spaces[space];
        if (state->streams[space] != NULL) {
            pthread_mutex_lock(&session->device->lock);
            session->device->backend->tables.async.stream_destroy(session->handle,
                                                                  state->streams[space]);
            pthread_mutex_unlock(&session->device->lock);
        }
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (state->instances[i] != NULL) {
            feri_session *session = plan->execs[plan->steps[i].exec].session;
            pthread_mutex_lock(&session->device->lock);
            session->device->backend->tables.instances.instance_destroy(session->handle,
                                                                        state->instances[i]);
            pthread_mutex_unlock(&session->device->lock);
        }
    }
    for (uint32_t space = 0; space < plan->space_count; space++) {
        feri_buffer_release(state->arenas[space]);
    }
    held_release(state);
}

void feri_run_state_destroy(feri_run_state *state) {
    if (state->held != NULL) {
        state_empty(state);
    }
    feri_bump_finish(&state->bump);
    feri_free(state->env, state, sizeof(*state));
}

/* ---- binding ---- */

static fer_status arena_grow(feri_run_state *state, uint32_t space) {
    uint64_t bytes = state->binding->arena_bytes[space];
    feri_buffer **arena = &state->arenas[space];
    if (bytes == 0 || (*arena != NULL && (*arena)->bytes >= bytes)) {
        return FER_OK;
    }
    feri_buffer_release(*arena);
    *arena = NULL;
    feri_session *session = state->plan->spaces[space];
    fer_status status = session == NULL ? feri_buffer_create(state->env, bytes, arena)
                                        : feri_device_buffer(session, bytes, FER_MEM_DEVICE, arena);
    if (status == FER_BUDGET || status == FER_OUT_OF_MEMORY) {
        feri_peak_tell(state->plan, state->binding, space);
    }
    return status;
}

/* A piece of a space's arena; a space that needs no bytes has none. */
static fer_mem
arena_mem(const feri_run_state *state, uint32_t space, uint64_t offset, uint64_t bytes) {
    const feri_buffer *arena = state->arenas[space];
    return arena == NULL ? (fer_mem){NULL, 0, 0, NULL} : feri_buffer_mem(arena, offset, bytes);
}

static fer_mem slot_mem(const feri_run_state *state, const feri_binding *binding, uint32_t index) {
    const feri_slot *slot = &state->plan->slots[index];
    fer_mem mem = {NULL, 0, binding->slot_bytes[index], NULL};
    if (slot->at == FERI_AT_ARENA) {
        mem = arena_mem(state, slot->space, binding->slot_offsets[index], mem.bytes);
    } else if (slot->at == FERI_AT_SHAPE) {
        mem.host = binding->shapes[index];
    } else if (slot->at == FERI_AT_CONST) {
        const fer_tensor *constant = state->plan->graph->values[slot->value].constant;
        mem.bytes = constant->bytes;
        mem.host = fer_tensor_data(constant);
    }
    return mem;
}

fer_status feri_run_state_bind(feri_run_state *state, const feri_binding *binding) {
    const feri_plan *plan = state->plan;
    state->binding = binding;
    for (uint32_t space = 0; space < plan->space_count; space++) {
        FER_TRY(arena_grow(state, space));
    }
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        state->slot_mems[i] = slot_mem(state, binding, i);
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const feri_step *step = &plan->steps[i];
        if (step->kind != FERI_STEP_RUN) {
            continue;
        }
        fer_run_args *args = &state->args[i];
        fer_mem *mems = (fer_mem *)(uintptr_t)args->inputs; /* and the outputs' behind them */
        for (uint32_t k = 0; k < step->input_count + step->output_count; k++) {
            mems[k] = state->slot_mems[step->inputs[k]];
        }
        args->dim_values = binding->step_dims[i];
        args->dims_id = binding->dims_id;
        args->workspace =
            arena_mem(state, step->space, binding->work_offsets[i], binding->work_bytes[i]);
    }
    return FER_OK;
}

uint64_t feri_run_state_bytes(const feri_run_state *state) {
    uint64_t bytes = 0;
    for (uint32_t space = 0; space < state->plan->space_count; space++) {
        bytes += state->arenas[space] == NULL ? 0 : state->arenas[space]->bytes;
    }
    return bytes;
}
