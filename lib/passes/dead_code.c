/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead code: nodes none of whose outputs is used, from the end to the beginning, so that one walk
 * finds whole dead trees. Optional outputs that nobody uses are cut off from live nodes, so that
 * kernels need not make them. No op has effects beyond its outputs, so nothing else is looked at.
 */
#include "base/error.h"
#include "passes/pass.h"

/* 1 when an output of node is used; cuts the optional ones that are not. */
static int is_live(const fer_graph *graph, feri_gnode *node, uint32_t *cut) {
    uint32_t required = node->output_count > 1 ? feri_op_min_outputs(node->op) : 1;
    int is_used = 0;
    for (uint32_t o = 0; o < node->output_count; o++) {
        is_used |= node->outputs[o] != FER_NO_VALUE && graph->values[node->outputs[o]].use_count;
    }
    for (uint32_t o = required; is_used && !node->body_count && o < node->output_count; o++) {
        if (node->outputs[o] != FER_NO_VALUE && !graph->values[node->outputs[o]].use_count &&
            feri_op_max_outputs(node->op) != UINT32_MAX) {
            node->outputs[o] = FER_NO_VALUE;
            ++*cut;
        }
    }
    return is_used;
}

fer_status feri_pass_remove_dead(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    uint32_t dead = 0;
    uint32_t cut = 0;
    feri_graph_reindex(graph);
    for (uint32_t n = graph->node_count; n-- > 0;) {
        feri_gnode *node = graph->nodes[n];
        if (node->is_dead || is_live(graph, node, &cut)) {
            continue;
        }
        node->is_dead = 1;
        dead++;
        for (uint32_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] != FER_NO_VALUE) {
                graph->values[node->inputs[i]].use_count--;
            }
        }
    }
    if (dead) {
        feri_graph_compact(graph);
    }
    *out_changes = dead + cut;
    return FER_OK;
}
