/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked of a run step once its device is done: times for the caller's record and the dims
 * of data-dependent outputs. Called by the walk (steps.c), for the steps that have one of the two.
 */
#include "base/error.h"
#include "execute/run_state.h"

#include <stdio.h>
#include <string.h>

/* ---- records ---- */

fer_partition_record *
feri_partition_begin(feri_run_state *state, feri_run *run, const feri_step *step) {
    const feri_exec *exec = &state->plan->execs[step->exec];
    fer_partition_record *part = &run->record->partitions[run->record->partition_count - 1];
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
    part->end_ns = feri_clock_ns();
    if (event != NULL) {
        uint64_t start = 0, end = 0;
        uint64_t device_now = 0, host_now = 0;
        const fer_backend_observe *observe = &exec->session->device->backend->tables.observe;
        if (observe->event_times(exec->session->handle, event, &start, &end) == FER_OK &&
            observe->clock(exec->session->handle, &device_now, &host_now) == FER_OK) {
            /* In terms of our clock; differences wrap as they should. */
            part->start_ns = host_now - (device_now - start);
            part->end_ns = host_now - (device_now - end);
        }
    }
}

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
                return feri_session_status(
                    exec->session,
                    feri_fail(FER_BACKEND,
                              "device %s returned dim %u of '%s' as %lld, at most %lld is possible",
                              exec->session->device->name,
                              k,
                              view->name,
                              (long long)dim,
                              (long long)state->binding->slot_dims[slot][k]));
            }
            state->late_dims[slot][k] = dim;
        }
    }
    return FER_OK;
}

fer_status feri_step_settle(
    feri_run_state *state, feri_run *run, uint32_t index, void *event, fer_partition_record *part) {
    const feri_step *step = &state->plan->steps[index];
    const feri_exec *exec = &state->plan->execs[step->exec];
    if (event != NULL) {
        FER_TRY(feri_event_wait(exec->session, run, event));
    }
    if (part != NULL) {
        partition_end(exec, event, part);
    }
    return step->has_late ? late_take(state, step, &state->args[index]) : FER_OK;
}
