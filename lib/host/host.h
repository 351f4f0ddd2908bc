/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that only the host runs: control flow (Loop, Scan), sequences, optionals and strings. They
 * take and give whole values, at run time, in host memory. Bodies are nested programs that
 * specialize/ owns; host ops run them through the call.
 */
#ifndef FERI_HOST_HOST_H
#define FERI_HOST_HOST_H

#include "graph/graph.h"

typedef struct feri_host_call {
    feri_env *env;
    const fer_graph
        *graph; /* the node's, for facts of its values (dtypes of empty sequences, ...) */
    const feri_gnode *node;
    fer_value *const *inputs; /* input_count, captures included; NULL where left out. Tensors are in
                                 host memory */
    fer_value **outputs; /* output_count, all NULL on entry; those with outputs[i] id FER_NO_VALUE
                            need not be set */
    /* Runs body number index: inputs are the body graph's (formal, then captures), outputs its
     * outputs. New outputs are the caller's. Polls the deadline. */
    fer_status (*run_body)(void *self,
                           uint32_t index,
                           fer_value *const *inputs,
                           uint32_t input_count,
                           fer_value **outputs,
                           uint32_t output_count);
    /* Runs one pure tensor op eagerly (for strings: an op on their indices). May be NULL. */
    fer_status (*run_op)(void *self,
                         const feri_gnode *node,
                         fer_tensor *const *inputs,
                         fer_tensor **outputs);
    fer_status (*check)(void *self); /* deadline and cancel */
    void *self;
} feri_host_call;

/* NULL when the host can run the node, else a clause that says why not ("'X' is not yet there"). */
const char *feri_host_refuses(const fer_graph *graph, const feri_gnode *node);
/* Runs it. On failure every output is NULL again. Errors name the node. */
fer_status feri_host_run(feri_host_call *call);

#endif
