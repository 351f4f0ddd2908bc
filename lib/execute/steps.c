/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over the steps: runs, copies (copy_step.c) and host ops (host_step.c) in order, with
 * deadlines and cancellation polled, and what is put on streams waited for at the end. Every warm
 * run goes through here; what only some do is in the cold files beside it.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <string.h>

fer_status feri_run_check(void *self) {
    feri_run *run = self;
    run->poll_count++;
    if (run->cancel != NULL && __atomic_load_n(run->cancel, __ATOMIC_RELAXED) != 0) {
        return feri_fail(FER_CANCELLED, "the caller cancelled the run");
    }
    return feri_deadline_check(run->deadline_at, "the run was under way");
}

/* ---- steps ---- */

static fer_status run_step(feri_run_state *state, feri_run *run, uint32_t index) {
    const feri_step *step = &state->plan->steps[index];
    fer_run_args *args = &state->args[index];
    feri_session *session = state->plan->execs[step->exec].session;
    if (feri_session_is_lost(session)) {
        return feri_session_lost_error(session);
    }
    void *event = NULL;
    args->poll = &run->poll;
    args->out_signal = step->space != 0 && state->streams[step->space] != NULL ? &event : NULL;
    fer_partition_record *part = NULL;
    fer_run_record *record = run->record;
    if (record != NULL && record->partition_count++ < record->partition_capacity &&
        record->partitions != NULL) {
        part = feri_partition_begin(state, run, step);
    }
    fer_status status = session->device->backend->tables.instances.run(
        session->handle, state->instances[index], args);
    if (status != FER_OK) {
        return feri_session_status(session, status);
    }
    if (event != NULL) {
        feri_pending_set(state, step->space, event);
    }
    return part != NULL || step->has_late ? feri_step_settle(state, run, index, event, part)
                                          : FER_OK;
}

static fer_status steps_walk(feri_run_state *state, feri_run *run, const feri_arg *inputs) {
    const feri_plan *plan = state->plan;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        fer_status status = plan->steps[i].kind == FERI_STEP_RUN ? run_step(state, run, i)
                            : plan->steps[i].kind == FERI_STEP_COPY
                                ? feri_copy_step(state, run, i)
                                : feri_host_step(state, run, i, inputs);
        if (__builtin_expect(status != FER_OK, 0)) {
            return status;
        }
    }
    return plan->space_count > 1 ? feri_run_state_wait(state, run) : FER_OK;
}

/* ---- the whole ---- */

fer_status feri_run_state_execute(feri_run_state *state,
                                  feri_run *run,
                                  const feri_arg *inputs,
                                  feri_arg *outputs) {
    feri_error_expect();
    memset(state->is_new, 0, state->plan->output_count);
    fer_status status = feri_run_state_set_inputs(state, run, inputs);
    if (status == FER_OK) {
        status = feri_run_state_set_outputs(state, outputs);
    }
    if (status == FER_OK) {
        status = steps_walk(state, run, inputs);
    }
    if (status == FER_OK && (state->plan->has_exports || state->has_temps)) {
        status = feri_run_state_export(state, inputs, outputs);
    }
    if (__builtin_expect(status != FER_OK, 0)) {
        feri_run_state_give_up(state, inputs, outputs);
    }
    if (state->has_host_steps || state->has_temps) {
        feri_run_state_clean(state);
    }
    return status;
}
