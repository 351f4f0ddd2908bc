/* SPDX-License-Identifier: Apache-2.0
 *
 * The passes in order, and the driver: rounds over the graph and its bodies until a round changes
 * nothing. Passes are switched off by name. Called by program.c after import and by specialize/
 * after an expansion.
 */
#include "base/error.h"
#include "passes/pass.h"

#include <string.h>

enum { MAX_ROUNDS = 8 };

/* Facts are no change of the graph. Walks the bodies itself. */
static fer_status infer(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    *out_changes = 0;
    return graph->parent ? FER_OK : feri_graph_infer(graph);
}

const feri_pass feri_pass_list[] = {
    {"infer",           "kinds, dtypes, shapes and small values",         infer                    },
    {"fold_constants",  "nodes whose results are known become constants", feri_pass_fold_constants },
    {"remove_identity", "nodes that pass their input on are left out",    feri_pass_remove_identity},
    {"merge_transpose", "a transpose of a transpose becomes one",         feri_pass_merge_transpose},
    {"merge_common",    "nodes that compute the same are computed once",  feri_pass_merge_common   },
    {"fold_batch_norm", "batch norms go into the weights before them",    feri_pass_fold_batch_norm},
    {"dead_code",       "nodes whose results nobody uses are dropped",    feri_pass_remove_dead    },
};
const uint32_t feri_pass_count = sizeof feri_pass_list / sizeof feri_pass_list[0];
enum { PASS_COUNT = sizeof feri_pass_list / sizeof feri_pass_list[0] };

static int is_off(const feri_pass_env *env, const char *name) {
    for (uint32_t i = 0; i < env->off_count; i++) {
        if (env->off[i] && strcmp(env->off[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The graph first, then its bodies; recursion is bounded by the nesting limit. */
static fer_status
run_everywhere(const feri_pass *pass, fer_graph *graph, feri_pass_env *env, uint32_t *changes) {
    uint32_t here = 0;
    FER_TRY(pass->run(graph, env, &here));
    *changes += here;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const feri_gnode *node = graph->nodes[n];
        for (uint32_t b = 0; b < node->body_count && !node->is_dead; b++) {
            FER_TRY(run_everywhere(pass, node->bodies[b], env, changes));
        }
    }
    return FER_OK;
}

static void report(const feri_pass_env *env, const uint32_t *changes) {
    for (uint32_t i = 0; env->report && i < PASS_COUNT; i++) {
        if (changes[i]) {
            feri_text_add(env->report,
                          "%s: %u (%s)\n",
                          feri_pass_list[i].name,
                          changes[i],
                          feri_pass_list[i].what);
        }
    }
}

fer_status feri_passes_run(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    uint32_t changes[PASS_COUNT] = {0};
    uint32_t total = 0;
    uint32_t in_round = 1;
    for (uint32_t round = 0; round < MAX_ROUNDS && in_round; round++) {
        in_round = 0;
        for (uint32_t i = 0; i < PASS_COUNT; i++) {
            const feri_pass *pass = &feri_pass_list[i];
            uint32_t here = 0;
            FER_TRY(feri_deadline_check(env->deadline_at, "the model was compiled"));
            if (!is_off(env, pass->name)) {
                FER_TRY(run_everywhere(pass, graph, env, &here));
            }
            changes[i] += here;
            in_round += here;
        }
        total += in_round;
    }
    if (in_round && !is_off(env, feri_pass_list[0].name)) {
        FER_TRY(feri_graph_infer(graph)); /* the last round made values that have no facts yet */
    }
    report(env, changes);
    if (out_changes) {
        *out_changes = total;
    }
    return env->report ? env->report->status : FER_OK;
}
