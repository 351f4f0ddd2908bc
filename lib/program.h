/* SPDX-License-Identifier: Apache-2.0
 *
 * A program from the inside: the story is program.c (compile), run.c (runs), async.c (events),
 * variables.c (states), eager.c (single ops).
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
    feri_build build;
    fer_graph *graph; /* the caller's, retained */
    feri_segment *segment;
    feri_bump bump;
    feri_variable *variables;
    uint32_t variable_count;
    uint32_t input_count; /* the caller's */
    uint32_t output_count;
    atomic_uint_fast64_t run_count;
};

struct fer_state {
    atomic_uint refs;
    fer_program *program; /* retained */
    fer_tensor **tensors; /* per variable */
    atomic_uint busy;
    atomic_uint_fast64_t version;
};

/* One run with everything resolved. deadline_at is absolute, 0 none. inputs and outputs are the
 * caller's alone. */
fer_status feri_program_run_args(fer_program *program,
                                 const fer_run_options *options,
                                 uint64_t deadline_at,
                                 const feri_arg *inputs,
                                 feri_arg *outputs);

/* policy.c: copies what the options allow into program->build. */
fer_status feri_policy_fill(fer_program *program, const fer_compile_options *options);
/* Dims the caller fixed by name, before anything is specialised. */
fer_status feri_dims_fix(fer_program *program, fer_graph *graph);

/* variables.c: variables become inputs and outputs of the graph the segment gets. */
fer_status feri_variables_lower(fer_program *program, fer_graph *graph);
fer_status feri_state_begin(fer_program *program, fer_state *state, feri_arg *out_inputs);
void feri_state_end(fer_state *state,
                    feri_arg *results,
                    const fer_program *program,
                    fer_status status);

/* eager.c: runs one node on tensors, on a device of host memory; the evaluator of passes and host
 * ops. */
fer_status feri_eager_run(fer_context *context,
                          fer_device *device,
                          const feri_gnode *node,
                          fer_tensor *const *inputs,
                          uint32_t input_count,
                          fer_tensor **outputs,
                          uint32_t output_count);

#endif
