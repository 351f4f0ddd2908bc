/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over the steps: runs, copies and host ops in order, with deadlines and cancellation
 * polled, and what is put on streams waited for at the end.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <stdio.h>
#include <string.h>

/* A wait on a device is cut into pieces of this length, between which deadline and cancel are
 * looked at. */
enum { WAIT_PIECE_NS = 1000000 };

fer_status feri_run_check(void *self) {
    feri_run *run = self;
    run->poll_count++;
    if (run->cancel != NULL && __atomic_load_n(run->cancel, __ATOMIC_RELAXED) != 0) {
        return feri_fail(FER_CANCELLED, "the caller cancelled the run");
    }
    if (run->deadline_at != 0 && feri_clock_ns() >= run->deadline_at) {
        return feri_fail(FER_DEADLINE, "the deadline passed while the run was under way");
    }
    return FER_OK;
}

/* ---- waiting ---- */

static fer_status space_wait(feri_run_state *state, feri_run *run, uint32_t space) {
    void *event = state->pending[space];
    if (event == NULL) {
        return FER_OK;
    }
    feri_session *session = state->plan->spaces[space];
    const fer_backend_async *async = &session->device->backend->async;
    fer_status status;
    for (;;) {
        if (feri_session_is_lost(session)) {
            status = feri_session_lost_error(session);
            break;
        }
        status = async->event_wait(session->handle, event, WAIT_PIECE_NS);
        if (status != FER_NOT_READY) {
            status = feri_session_status(session, status);
            break;
        }
        FER_TRY(feri_run_check(run)); /* the event stays pending: the device still works for us */
    }
    async->event_destroy(session->handle, event);
    state->pending[space] = NULL;
    return status;
}

fer_status feri_run_state_wait(feri_run_state *state, feri_run *run) {
    for (uint32_t space = 1; space < state->plan->space_count; space++) {
        FER_TRY(space_wait(state, run, space));
    }
    return FER_OK;
}

/* The new last event of a stream. Streams are in order and a failure fails what follows on them
 * (backend.h), so it stands for all before it. */
static void pending_set(feri_run_state *state, uint32_t space, void *event) {
    if (event == NULL) {
        return;
    }
    feri_session *session = state->plan->spaces[space];
    if (state->pending[space] != NULL) {
        session->device->backend->async.event_destroy(session->handle, state->pending[space]);
    }
    state->pending[space] = event;
}

/* ---- records ---- */

static fer_partition_record *
partition_begin(feri_run_state *state, feri_run *run, const feri_step *step) {
    fer_run_record *record = run->record;
    if (record == NULL) {
        return NULL;
    }
    uint32_t index = record->partition_count++;
    if (record->partitions == NULL || index >= record->partition_capacity) {
        return NULL;
    }
    const feri_exec *exec = &state->plan->execs[step->exec];
    fer_partition_record *part = &record->partitions[index];
    memset(part, 0, sizeof(*part));
    part->struct_size = sizeof(*part);
    part->generation = exec->session->generation;
    snprintf(part->device, sizeof(part->device), "%.47s", exec->session->device->name);
    part->step_count = exec->view.graph.node_count;
    for (uint32_t i = 0; i < step->input_count; i++) {
        const feri_slot *slot = &state->plan->slots[step->inputs[i]];
        part->bytes_in +=
            step->space != 0 && slot->space == step->space && slot->at == FERI_AT_ARENA
                ? state->binding->slot_bytes[step->inputs[i]]
                : 0;
    }
    for (uint32_t i = 0; i < step->output_count && step->space != 0; i++) {
        part->bytes_out += state->binding->slot_bytes[step->outputs[i]];
    }
    part->start_ns = feri_clock_ns();
    return part;
}

static void partition_end(const feri_exec *exec, void *event, fer_partition_record *part) {
    if (part == NULL) {
        return;
    }
    part->end_ns = feri_clock_ns();
    if (event != NULL) {
        uint64_t start = 0, end = 0;
        uint64_t device_now = 0, host_now = 0;
        const fer_backend_observe *observe = &exec->session->device->backend->observe;
        if (observe->event_times(exec->session->handle, event, &start, &end) == FER_OK &&
            observe->clock(exec->session->handle, &device_now, &host_now) == FER_OK) {
            /* In terms of our clock; differences wrap as they should. */
            part->start_ns = host_now - (device_now - start);
            part->end_ns = host_now - (device_now - end);
        }
    }
}

/* ---- steps ---- */

static fer_status
late_take(feri_run_state *state, const feri_step *step, const fer_run_args *args) {
    const feri_exec *exec = &state->plan->execs[step->exec];
    for (uint32_t i = 0; i < step->output_count; i++) {
        uint32_t slot = step->outputs[i];
        if (!state->plan->slots[slot].is_late) {
            continue;
        }
        const fer_value_view *view = exec->view.graph.values[exec->view.graph.outputs[i]];
        for (uint32_t k = 0; k < view->rank; k++) {
            int64_t dim = args->out_dims[i][k];
            if (dim < 0 || dim > state->binding->slot_dims[slot][k]) {
                fer_status status =
                    feri_fail(FER_BACKEND,
                              "device %s returned dim %u of '%s' as %lld, at most %lld is possible",
                              exec->session->device->name,
                              k,
                              view->name,
                              (long long)dim,
                              (long long)state->binding->slot_dims[slot][k]);
                feri_error_set_backend(exec->session->device->backend->name, 0);
                return status;
            }
            state->late_dims[slot][k] = dim;
        }
    }
    return FER_OK;
}

static int step_has_late(const feri_run_state *state, const feri_step *step) {
    for (uint32_t i = 0; i < step->output_count; i++) {
        if (state->plan->slots[step->outputs[i]].is_late) {
            return 1;
        }
    }
    return 0;
}

static fer_status run_step(feri_run_state *state, feri_run *run, uint32_t index) {
    const feri_step *step = &state->plan->steps[index];
    const feri_exec *exec = &state->plan->execs[step->exec];
    fer_run_args *args = &state->args[index];
    feri_session *session = exec->session;
    if (feri_session_is_lost(session)) {
        return feri_session_lost_error(session);
    }
    int is_late = step_has_late(state, step);
    void *event = NULL;
    args->poll = &run->poll;
    args->out_signal = step->space != 0 && state->streams[step->space] != NULL ? &event : NULL;
    fer_partition_record *part = partition_begin(state, run, step);
    fer_status status =
        session->device->backend->instances.run(session->handle, state->instances[index], args);
    if (status != FER_OK) {
        return feri_session_status(session, status);
    }
    pending_set(state, step->space, event);
    if (part != NULL || is_late) { /* times and dims are there once it is done */
        status = event == NULL
                     ? FER_OK
                     : session->device->backend->async.event_wait(session->handle, event, 0);
        while (status == FER_NOT_READY && !feri_session_is_lost(session)) {
            FER_TRY(feri_run_check(run));
            status =
                session->device->backend->async.event_wait(session->handle, event, WAIT_PIECE_NS);
        }
        if (status == FER_NOT_READY) { /* lost while waiting: "not ready" is no outcome of a run */
            return feri_session_lost_error(session);
        }
        FER_TRY(feri_session_status(session, status));
        partition_end(exec, event, part);
    }
    return is_late ? late_take(state, step, args) : FER_OK;
}

static fer_status copy_step(feri_run_state *state, feri_run *run, uint32_t index) {
    const feri_step *step = &state->plan->steps[index];
    const feri_slot *from = &state->plan->slots[step->inputs[0]],
                    *to = &state->plan->slots[step->outputs[0]];
    const fer_mem *from_mem = &state->slot_mems[step->inputs[0]];
    const fer_mem *to_mem = &state->slot_mems[step->outputs[0]];
    feri_session *from_session = state->slot_sessions[step->inputs[0]];
    feri_session *to_session = state->slot_sessions[step->outputs[0]];
    uint64_t bytes = state->binding->slot_bytes[step->inputs[0]];
    if (from->is_late) {
        memcpy(state->late_dims[step->outputs[0]],
               state->late_dims[step->inputs[0]],
               sizeof(state->late_dims[0]));
    }
    if (run->record != NULL) {
        run->record->bytes_moved += bytes;
    }
    /* Space 0 is host memory, or where the caller's tensor lies. */
    uint32_t space = to->space != 0 ? to->space : from->space;
    feri_session *session = state->plan->spaces[space];
    int one_device = (from_session == NULL || from_session == session) &&
                     (to_session == NULL || to_session == session);
    if (one_device && state->streams[space] != NULL && bytes > 0) {
        if (feri_session_is_lost(session)) {
            return feri_session_lost_error(session);
        }
        void *event = NULL;
        FER_TRY(feri_session_status(
            session,
            session->device->backend->async.copy_async(
                session->handle, state->streams[space], to_mem, from_mem, bytes, NULL, 0, &event)));
        pending_set(state, space, event);
        /* Host memory that other steps write again, or read at once, must be settled; a caller's
         * tensor need not. */
        int must_wait = to->space == 0 ? to->at != FERI_AT_OUTPUT || to->is_read_by_step
                                       : from->at == FERI_AT_ARENA;
        return must_wait ? space_wait(state, run, space) : FER_OK;
    }
    if (from->space != 0) {
        FER_TRY(space_wait(state, run, from->space));
    }
    if (to->space != 0) {
        FER_TRY(space_wait(state, run, to->space));
    }
    return feri_mem_copy(to_session, to_mem, from_session, from_mem, bytes);
}

typedef struct host_bridge {
    feri_run *run;
    const feri_step *step;
} host_bridge;

static fer_status bridge_body(void *self,
                              uint32_t body,
                              fer_value *const *inputs,
                              uint32_t input_count,
                              fer_value **outputs,
                              uint32_t output_count) {
    host_bridge *bridge = self;
    feri_run *run = bridge->run;
    return run->run_body(run->body_self,
                         run,
                         bridge->step->node_index,
                         body,
                         inputs,
                         input_count,
                         outputs,
                         output_count);
}

static fer_status bridge_op(void *self,
                            const feri_gnode *node,
                            fer_tensor *const *inputs,
                            uint32_t input_count,
                            fer_tensor **outputs,
                            uint32_t output_count) {
    host_bridge *bridge = self;
    return bridge->run->run_op(
        bridge->run->self, bridge->run, node, inputs, input_count, outputs, output_count);
}

static fer_status bridge_check(void *self) { return feri_run_check(((host_bridge *)self)->run); }

static fer_status
host_step(feri_run_state *state, feri_run *run, uint32_t index, const feri_arg *args) {
    const feri_step *step = &state->plan->steps[index];
    uint32_t count = step->input_count + step->output_count;
    uint64_t bytes = feri_mul_sat(count, sizeof(fer_value *));
    fer_value **values = feri_alloc(state->env, bytes);
    if (values == NULL) {
        return fer_error_last()->status;
    }
    fer_value **outputs = values + step->input_count;
    host_bridge bridge = {run, step};
    feri_host_call call = {.env = state->env,
                           .graph = state->plan->graph,
                           .node = step->node,
                           .inputs = values,
                           .outputs = outputs,
                           .run_body = bridge_body,
                           .run_op = bridge_op,
                           .check = bridge_check,
                           .self = &bridge};
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < step->input_count && status == FER_OK; i++) {
        if (step->inputs[i] != FERI_NO_SLOT) {
            status = feri_run_state_value(state, step->inputs[i], args, &values[i]);
        }
    }
    void *body_self = run->body_self;
    if (status == FER_OK) {
        status = feri_run_check(run);
    }
    if (status == FER_OK) {
        status = feri_host_run(&call);
    }
    run->body_self = body_self; /* nested stages put their own here */
    for (uint32_t i = 0; i < step->input_count; i++) {
        fer_value_release(values[i]);
    }
    for (uint32_t i = 0; i < step->output_count; i++) {
        if (step->outputs[i] == FERI_NO_SLOT) {
            fer_value_release(outputs[i]);
        } else {
            state->values[step->outputs[i]] = outputs[i];
        }
    }
    feri_free(state->env, values, bytes);
    return status;
}

static fer_status steps_walk(feri_run_state *state, feri_run *run, const feri_arg *inputs) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        fer_status status = plan->steps[i].kind == FERI_STEP_RUN ? run_step(state, run, i)
                            : plan->steps[i].kind == FERI_STEP_COPY
                                ? copy_step(state, run, i)
                                : host_step(state, run, i, inputs);
        if (__builtin_expect(status != FER_OK, 0)) {
            return status;
        }
    }
    return plan->space_count > 1 ? feri_run_state_wait(state, run) : FER_OK;
}

/* ---- the whole ---- */

/* What a failed run left on a device keeps its memory until the device answers. */
static void run_give_up(feri_run_state *state, const feri_arg *inputs, const feri_arg *outputs) {
    const feri_plan *plan = state->plan;
    uint32_t input_count = plan->graph->input_count;
    int is_pending = 0;
    for (uint32_t space = 1; space < plan->space_count; space++) {
        feri_session *session = plan->spaces[space];
        if (state->pending[space] != NULL) {
            session->device->backend->async.cancel(session->handle, state->streams[space]);
            is_pending = 1;
        }
    }
    for (uint32_t i = 0; is_pending && i < input_count + plan->graph->output_count; i++) {
        fer_tensor *tensor = i < input_count ? inputs[i].tensor : outputs[i - input_count].tensor;
        state->held[i] = fer_tensor_retain(tensor);
    }
    state->is_in_flight = (uint8_t)is_pending;
    state->is_spoiled |= plan->space_count > 1;
}

static void run_clean(feri_run_state *state) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        if (state->values[i] != NULL) {
            fer_value_release(state->values[i]);
            state->values[i] = NULL;
        }
    }
}

fer_status feri_run_state_execute(feri_run_state *state,
                                  feri_run *run,
                                  const feri_arg *inputs,
                                  feri_arg *outputs) {
    uint32_t output_count = state->plan->graph->output_count;
    uint8_t few[16], *is_new = few;
    if (output_count > sizeof(few)) {
        is_new = feri_alloc(state->env, output_count);
        if (is_new == NULL) {
            return fer_error_last()->status;
        }
    } else {
        memset(few, 0, sizeof(few));
    }
    feri_error_expect();
    fer_status status = feri_run_state_set_inputs(state, run, inputs);
    if (status == FER_OK) {
        status = feri_run_state_set_outputs(state, outputs, is_new);
    }
    if (status == FER_OK) {
        status = steps_walk(state, run, inputs);
    }
    if (status == FER_OK) {
        status = feri_run_state_export(state, run, inputs, outputs, is_new);
    }
    if (status != FER_OK) {
        run_give_up(state, inputs, outputs);
        for (uint32_t i = 0; i < output_count; i++) {
            if (is_new[i]) {
                fer_tensor_release(outputs[i].tensor);
                fer_value_release(outputs[i].value);
                outputs[i] = (feri_arg){NULL, NULL};
            }
        }
    }
    if (state->has_host_steps) {
        run_clean(state);
    }
    if (state->has_temps && !state->is_in_flight) {
        feri_run_state_drop_temps(state);
    }
    if (is_new != few) {
        feri_free(state->env, is_new, output_count);
    }
    return status;
}
