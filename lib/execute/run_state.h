/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a run state, shared by state.c (making and binding), steps.c (the walk) and
 * export.c (outputs).
 */
#ifndef FERI_EXECUTE_RUN_STATE_H
#define FERI_EXECUTE_RUN_STATE_H

#include "execute/execute.h"

/* The places in steps' argument arrays that a caller's tensor goes to. */
typedef struct feri_patch {
    fer_mem **places;
    uint32_t count;
} feri_patch;

struct feri_run_state {
    feri_env *env;
    const feri_plan *plan;
    feri_binding *binding;
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
    feri_patch *input_patches;          /* per graph input */
    feri_patch *output_patches;         /* per graph output */
    uint32_t *input_slots; /* per graph input: its host slot, FERI_NO_SLOT when unused */
    fer_tensor **temps;    /* per graph input, then output: stand-ins of this run */
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

/* Waits for everything on the spaces' streams; polls the run. */
fer_status feri_run_state_wait(feri_run_state *state, feri_run *run);
/* Releases the stand-ins of a run; a device may still use them while the state is in flight. */
void feri_run_state_drop_temps(feri_run_state *state);
/* What an arena holds: its size and the three largest values, those that a device keeps in its
 * workspace included, for an error that tells what to shrink. */
void feri_peak_text(const feri_plan *plan,
                    const feri_binding *binding,
                    uint32_t space,
                    char *text,
                    size_t capacity);
/* Puts an input where the steps look for it. */
fer_status feri_run_state_set_inputs(feri_run_state *state, feri_run *run, const feri_arg *inputs);
/* Before the steps: outputs that a step writes get their memory. */
fer_status feri_run_state_set_outputs(feri_run_state *state, feri_arg *outputs, uint8_t *is_new);
/* After the steps: everything else. */
fer_status feri_run_state_export(feri_run_state *state,
                                 feri_run *run,
                                 const feri_arg *inputs,
                                 feri_arg *outputs,
                                 uint8_t *is_new);
/* A slot's contents in host memory as a value of its own. */
fer_status feri_run_state_value(feri_run_state *state,
                                uint32_t slot,
                                const feri_arg *inputs,
                                fer_value **out_value);

#endif
