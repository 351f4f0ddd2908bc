/* SPDX-License-Identifier: Apache-2.0
 *
 * Copy steps, and waiting for what is on a device's stream. Called by the walk (steps.c), for plans
 * with a device whose memory is its own: what a device does takes so long that this file is cold.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <string.h>

/* A wait on a device is cut into pieces of this length, between which deadline and cancel are
 * looked at. */
enum { WAIT_PIECE_NS = 1000000 };

/* ---- waiting ---- */

fer_status feri_event_wait(feri_session *session, feri_run *run, void *event) {
    for (;;) {
        if (feri_session_is_lost(session)) { /* "not ready" is no outcome of a run */
            return feri_session_lost_error(session);
        }
        fer_status status = session->device->backend->tables.async.event_wait(
            session->handle, event, WAIT_PIECE_NS);
        if (status != FER_NOT_READY) {
            return feri_session_status(session, status);
        }
        FER_TRY(feri_run_check(run));
    }
}

/* Nothing is ever pending in space 0. */
static fer_status space_wait(feri_run_state *state, feri_run *run, uint32_t space) {
    void *event = state->pending[space];
    if (event == NULL) {
        return FER_OK;
    }
    feri_session *session = state->plan->spaces[space];
    fer_status status = feri_event_wait(session, run, event);
    /* After a deadline or a cancel the event stays pending: the device still works for us. */
    if (status != FER_DEADLINE && status != FER_CANCELLED) {
        feri_pending_set(state, space, NULL);
    }
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
void feri_pending_set(feri_run_state *state, uint32_t space, void *event) {
    feri_session *session = state->plan->spaces[space];
    if (state->pending[space] != NULL) {
        session->device->backend->tables.async.event_destroy(session->handle,
                                                             state->pending[space]);
    }
    state->pending[space] = event;
}

/* ---- copies ---- */

fer_status feri_copy_step(feri_run_state *state, feri_run *run, uint32_t index) {
    const feri_plan *plan = state->plan;
    const feri_step *step = &plan->steps[index];
    uint32_t from_slot = step->inputs[0], to_slot = step->outputs[0];
    const feri_slot *from = &plan->slots[from_slot], *to = &plan->slots[to_slot];
    const fer_mem *from_mem = &state->slot_mems[from_slot], *to_mem = &state->slot_mems[to_slot];
    feri_session *from_session = state->slot_sessions[from_slot];
    feri_session *to_session = state->slot_sessions[to_slot];
    uint64_t bytes = state->binding->slot_bytes[from_slot];
    if (from->is_late) {
        memcpy(state->late_dims[to_slot], state->late_dims[from_slot], sizeof(*state->late_dims));
    }
    if (run->record != NULL) {
        run->record->bytes_moved += bytes;
    }
    /* Space 0 is host memory, or where the caller's tensor lies. */
    uint32_t space = to->space != 0 ? to->space : from->space;
    feri_session *session = plan->spaces[space];
    int one_device = (from_session == NULL || from_session == session) &&
                     (to_session == NULL || to_session == session);
    if (one_device && state->streams[space] != NULL && bytes > 0) {
        if (feri_session_is_lost(session)) {
            return feri_session_lost_error(session);
        }
        void *event = NULL;
        FER_TRY(feri_session_status(
            session,
            session->device->backend->tables.async.copy_async(
                session->handle, state->streams[space], to_mem, from_mem, bytes, NULL, 0, &event)));
        if (event != NULL) {
            feri_pending_set(state, space, event);
        }
        /* Host memory that other steps write again, or read at once, must be settled; a caller's
         * tensor need not. */
        int must_wait = to->space == 0 ? to->at != FERI_AT_OUTPUT || to->is_read_by_step
                                       : from->at == FERI_AT_ARENA;
        return must_wait ? space_wait(state, run, space) : FER_OK;
    }
    FER_TRY(space_wait(state, run, from->space));
    FER_TRY(space_wait(state, run, to->space));
    return feri_mem_copy(to_session, to_mem, from_session, from_mem, bytes);
}
