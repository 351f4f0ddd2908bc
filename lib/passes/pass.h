/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes: device-independent rewrites of a verified graph, one file each, in the order of
 * pass_list.c. A pass never knows a device: to fold large constants it calls the evaluator that
 * program.c hands in.
 */
#ifndef FERI_PASSES_PASS_H
#define FERI_PASSES_PASS_H

#include "graph/graph.h"

typedef struct feri_pass_env {
    /* Runs one pure node on constant tensors; outputs are new tensors. UNSUPPORTED: leave the node.
     * NULL: no evaluator. */
    fer_status (*evaluate)(void *self,
                           const feri_gnode *node,
                           fer_tensor *const *inputs,
                           fer_tensor **out_outputs);
    void *self;
    const char *const *off; /* names of passes to skip */
    uint32_t off_count;
    feri_text *report; /* a line per pass that changed something, may be NULL */
    /* Of the compilation, 0 none: looked at before each pass and each evaluation. */
    uint64_t deadline_at;
    /* fold_constants' own, over all rounds and bodies; leave 0. */
    double folded_work;
    uint64_t folded_growth;
} feri_pass_env;

typedef struct feri_pass {
    const char *name;
    const char *what; /* one line */
    fer_status (*run)(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);
} feri_pass;

extern const feri_pass feri_pass_list[];
extern const uint32_t feri_pass_count;

/* All passes over graph and its bodies until nothing changes (at most 8 rounds). out_changes may be
 * NULL. */
fer_status feri_passes_run(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);

/* The passes, over one graph without its bodies (infer excepted); what each does is in its file. */
fer_status feri_pass_fold_constants(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);
fer_status feri_pass_remove_identity(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);
fer_status feri_pass_merge_transpose(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);
fer_status feri_pass_merge_common(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);
fer_status feri_pass_fold_batch_norm(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);
fer_status feri_pass_remove_dead(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);

#endif
