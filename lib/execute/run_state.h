/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a run state, shared by state.c (making and binding), steps.c (the walk),
 * the steps' own files, run_ends.c and export.c
 * (inputs and outputs).
 */
#ifndef FERI_EXECUTE_RUN_STATE_H
#define FERI_EXECUTE_RUN_STATE_H

#include "execute/execute.h"

/* A place in a step's arguments that a caller's tensor goes to. */
typedef struct feri_patch {
    fer_mem *place;
    struct feri_patch *next;
} feri_patch;

struct feri_run_state {
    feri_env *env;
    const feri_plan *plan;
    const feri_binding *binding; /* borrowed */
    feri_bump bump;
    feri_buffer **arenas; /* per space, NULL while empty */
    void **streams;       /* per space */
    void **pending;       /* per space: event of the last work put on the stream, NULL: none */
    fer_run_args *args;   /* per step, RUN only */
    void **instances;     /* per step */
    fer_mem *slot_mems;   /* per slot */
    feri_session **slot_sessions;       /* per slot: where it lies, NULL host */
    int64_t (*late_dims)[FER_MAX_RANK]; /* per slot */
    fer_value **values;                 /* per slot */
    feri_patch **patches;               /* per slot: of an input or an output */
    fer_tensor **temps;                 /* per graph input, then output: stand-ins of this run */
    uint8_t *is_new;                    /* per graph output: made by this run */
    fer_tensor **held; /* per graph input, then output: kept while in flight after a failed run */
    uint8_t is_in_flight;
    uint8_t is_spoiled; /* a run failed on its streams: they carry the failure on */
    uint8_t has_host_steps;
    uint8_t has_temps; /* some of temps are set */
};

/* Memory of a tensor as a backend sees it. */
static inline fer_mem feri_tensor_mem(const fer_tensor *tensor) {
    return feri_buffer_mem(tensor->buffer, tensor->offset, tensor->bytes);
}

/* ---- state.c ---- */

/* After a failed run: its new outputs are released, and what it left on devices is cancelled and
 * keeps its memory until they answer. */
void feri_run_state_give_up(feri_run_state *state, const feri_arg *inputs, feri_arg *outputs);
/* After any run: lets go of host steps' values and, unless devices may still use them, of
 * stand-ins. */
void feri_run_state_clean(feri_run_state *state);

/* ---- copy_step.c, host_step.c, step_end.c: what only some steps need ---- */

fer_status feri_copy_step(feri_run_state *state, feri_run *run, uint32_t index);
fer_status
feri_host_step(feri_run_state *state, feri_run *run, uint32_t index, const feri_arg *args);
/* The line of the caller's record that was counted last. */
fer_partition_record *
feri_partition_begin(feri_run_state *state, feri_run *run, const feri_step *step);
/* Waits for the step's event (NULL: done), then fills part (NULL: none) and late dims. */
fer_status feri_step_settle(
    feri_run_state *state, feri_run *run, uint32_t index, void *event, fer_partition_record *part);
/* The event of the last work on a space's stream; what was pending before is destroyed. */
void feri_pending_set(feri_run_state *state, uint32_t space, void *event);
/* Waits for an event of a session; polls the run. */
fer_status feri_event_wait(feri_session *session, feri_run *run, void *event);
/* Waits for everything on the spaces' streams; polls the run. */
fer_status feri_run_state_wait(feri_run_state *state, feri_run *run);

/* ---- the rest ---- */

/* Puts before the last error what an arena holds: its size and the three largest values, those that
 * a device keeps in its workspace included, to tell what to shrink. */
void feri_peak_tell(const feri_plan *plan, const feri_binding *binding, uint32_t space);
/* ---- run_ends.c, export.c ---- */

/* Puts inputs where the steps look for them. */
fer_status feri_run_state_set_inputs(feri_run_state *state, feri_run *run, const feri_arg *inputs);
/* Before the steps: outputs that a step writes get their memory. */
fer_status feri_run_state_set_outputs(feri_run_state *state, feri_arg *outputs);
/* A tensor on a device that host steps or host-memory devices read: a copy in host memory. */
fer_status
feri_input_stand_in(feri_run_state *state, feri_run *run, uint32_t index, fer_tensor **tensor);
/* After the steps: everything else. */
fer_status feri_run_state_export(feri_run_state *state, const feri_arg *inputs, feri_arg *outputs);
/* A slot's contents in host memory as a value of its own. */
fer_status feri_run_state_value(feri_run_state *state,
                                uint32_t slot,
                                const feri_arg *inputs,
                                fer_value **out_value);

#endif
