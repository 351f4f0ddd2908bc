/* SPDX-License-Identifier: Apache-2.0
 *
 * A program from the inside: the story is program.c (compile), run.c and run_request.c (runs),
 * run_outputs.c and run_own.c (what a run gives), async.c (events), variables.c (states), eager.c
 * (single ops).
 */
#ifndef FERI_PROGRAM_H
#define FERI_PROGRAM_H

#include "specialize/specialize.h"

/* A variable of the model: an input and, when assigned, an output of the segment behind the
 * caller's. */
typedef struct feri_variable {
    const char *name;
    fer_tensor *initial; /* retained */
    uint32_t output;     /* index among the segment's outputs, UINT32_MAX: never assigned */
} feri_variable;

struct fer_program {
    atomic_uint refs;
    fer_graph *graph; /* the caller's, retained */
    feri_segment *segment;
    feri_bump bump;
    feri_variable *variables;
    uint32_t variable_count;
    uint32_t input_count; /* the caller's */
    uint32_t output_count;
    atomic_uint_fast64_t run_count;
    feri_build build; /* last: it is large */
};

struct fer_state {
    atomic_uint refs;
    atomic_uint busy;
    fer_program *program; /* retained */
    atomic_uint_fast64_t version;
    fer_tensor *tensors[]; /* per variable */
};

/* What a call asks for, checked. */
typedef struct feri_request {
    fer_run_options options;
    uint64_t deadline_at;  /* absolute, 0 none */
    uint64_t queue_ns;     /* spent before a worker came to it */
    uint8_t needs_tensors; /* an output of another kind is refused, before anything commits */
} feri_request;

/* run_request.c: checks a call's options, arrays and counts, and resolves its deadline from now on.
 */
fer_status feri_request_fill(feri_request *request,
                             const fer_program *program,
                             const fer_run_options *given,
                             const void *inputs,
                             uint32_t input_count,
                             const void *outputs,
                             uint32_t output_count);
/* A donated input that an output overlaps is read from a copy, which takes its place in inputs. */
fer_status feri_donated_copy(const fer_program *program,
                             const fer_run_options *options,
                             feri_arg *inputs,
                             const feri_arg *outputs);
/* After a run that lost a device. */
fer_status feri_run_again(fer_program *program,
                          feri_run *run,
                          const feri_request *request,
                          feri_arg *inputs,
                          feri_arg *outputs,
                          const feri_arg *bound);
/* The run_body of every run; self is the specialisation whose node it is. */
fer_status feri_run_body(void *self,
                         feri_run *run,
                         uint32_t node_index,
                         uint32_t body,
                         fer_value *const *inputs,
                         uint32_t input_count,
                         fer_value **outputs,
                         uint32_t output_count);

/* run.c: one attempt. outputs come empty where the caller bound nothing, and everywhere under
 * FER_RUN_COMMIT. */
fer_status feri_run_once(fer_program *program,
                         feri_run *run,
                         const feri_request *request,
                         feri_arg *inputs,
                         feri_arg *outputs,
                         const feri_arg *bound);
/* One run. inputs and outputs are the caller's alone; on failure outputs are as they were. */
fer_status feri_program_run_args(fer_program *program,
                                 const feri_request *request,
                                 const feri_arg *inputs,
                                 feri_arg *outputs);

/* run_outputs.c: what may be bound, before a run. */
fer_status feri_outputs_check(const fer_program *program,
                              const feri_request *request,
                              const feri_arg *inputs,
                              const feri_arg *outputs);
/* After the steps, before variables commit: bound outputs that were kept back are copied into, and
 * new ones share nothing with inputs, constants or states. made: the segment's outputs, variables
 * included; bound: the caller's. On failure every new one is released. */
fer_status feri_outputs_settle(const fer_program *program,
                               const feri_request *request,
                               feri_arg *made,
                               const feri_arg *bound);
/* run_own.c: what others hold of a result is replaced by a copy. */
fer_status feri_arg_own(feri_env *env, feri_arg *made);
int feri_is_donated(const fer_run_options *options, uint32_t input);
int feri_tensors_overlap(const fer_tensor *a, const fer_tensor *b);

/* policy.c: what the options allow goes into program->build; their lists become copies of the
 * program's. */
fer_status feri_policy_fill(fer_program *program, fer_compile_options *options);
/* INVALID_ARGUMENT for a pin of a node that is not there (a prefix may match none), and for a pass
 * that is not known. */
fer_status feri_policy_check(const fer_compile_options *options, const fer_graph *graph);
/* Dims the caller fixed by name, before anything is specialised. */
fer_status feri_dims_fix(fer_program *program, fer_graph *graph);

/* variables.c: variables become inputs and outputs of the graph the segment gets. */
fer_status feri_variables_lower(fer_program *program, fer_graph *graph);
fer_status feri_state_begin(fer_program *program, fer_state *state, feri_arg *out_inputs);
void feri_state_end(fer_state *state,
                    feri_arg *results,
                    const fer_program *program,
                    fer_status status);

/* eager.c: runs one node on tensors, on the last default device in host memory; the evaluator of
 * passes and host ops. */
fer_status feri_eager_run(fer_context *context,
                          const feri_gnode *node,
                          fer_tensor *const *inputs,
                          fer_tensor **outputs);

#endif
