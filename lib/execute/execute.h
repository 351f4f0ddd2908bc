/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a plan. A run state owns all that a run changes: arenas, instances, streams, prepared
 * arguments. It is bound to one binding at a time and used by one run at a time; executing a bound
 * state walks a flat list of steps without look-ups, allocation or locks.
 */
#ifndef FERI_EXECUTE_EXECUTE_H
#define FERI_EXECUTE_EXECUTE_H

#include "host/host.h"
#include "plan/plan.h"

/* An input or output of a run: a tensor, or a value of another kind. */
typedef struct feri_arg {
    fer_tensor *tensor;
    fer_value *value;
} feri_arg;

void feri_arg_release(feri_arg *arg);

/* One run of a program, across its stages. */
typedef struct feri_run {
    feri_env *env;
    uint32_t flags;         /* FER_RUN_... */
    uint64_t deadline_at;   /* of feri_clock_ns, 0 none */
    const uint32_t *cancel; /* NULL none */
    uint64_t poll_count;
    fer_run_record *record; /* full-size copy of the caller's, NULL when not asked for */
    fer_poll poll;          /* what backends are given; check is feri_run_check */
    /* Bodies of host control nodes, handed in by program.c. */
    fer_status (*run_body)(void *self,
                           struct feri_run *run,
                           uint32_t node_index,
                           uint32_t body,
                           fer_value *const *inputs,
                           uint32_t input_count,
                           fer_value **outputs,
                           uint32_t output_count);
    fer_status (*run_op)(void *self,
                         const feri_gnode *node,
                         fer_tensor *const *inputs,
                         fer_tensor **outputs);
    void *self;      /* of run_op */
    void *body_self; /* of run_body: the specialisation that runs now */
} feri_run;

/* FER_OK, FER_DEADLINE or FER_CANCELLED with a sentence. self is the feri_run. */
fer_status feri_run_check(void *self);

/* INVALID_ARGUMENT naming the output when the tensor bound to it is of another dtype or shape. */
fer_status feri_output_check(
    const char *name, const fer_tensor *tensor, fer_dtype dtype, int32_t rank, const int64_t *dims);

typedef struct feri_run_state feri_run_state;

fer_status feri_run_state_create(const feri_plan *plan, feri_run_state **out_state);
/* Waits for work in flight, as far as the devices answer. */
void feri_run_state_destroy(feri_run_state *state);
/* Sizes and addresses for a binding, which stays for as long as it is bound. Arenas grow to the
 * largest seen. BUDGET names the peak tensors. */
fer_status feri_run_state_bind(feri_run_state *state, const feri_binding *binding);
uint64_t feri_run_state_bytes(const feri_run_state *state);
/* 0 while a run that was given up (deadline, cancel, failure) still has work on a device. */
int feri_run_state_is_settled(feri_run_state *state);
/* A failed run left a failure on its streams: the state is destroyed, not run again. */
int feri_run_state_is_spoiled(const feri_run_state *state);

/* inputs fit the binding (dtype, rank, dims checked by the caller). outputs: a tensor given is
 * filled; the rest is set. On failure new outputs are NULL again. */
fer_status feri_run_state_execute(feri_run_state *state,
                                  feri_run *run,
                                  const feri_arg *inputs,
                                  feri_arg *outputs);

#endif
