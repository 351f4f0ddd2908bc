/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts for every value of a graph: one walk in order through lib/op's evaluator. Control ops are
 * in infer_control.c, which comes back here for their bodies; recursion is over bodies only. Called
 * by import/, passes/ and specialize/.
 */
#include "base/error.h"
#include "base/fpmode.h"
#include "graph/infer_walk.h"

#include <string.h>

static fer_status ordinary_node(const feri_infer_walk *walk, feri_infer *call) {
    fer_status status = feri_op_infer(call);
    if (status != FER_UNSUPPORTED || walk->mode != FERI_INFER_KNOWN) {
        return status;
    }
    for (uint32_t o = 0; o < call->out_count; o++) {
        if (call->out[o] != NULL) {
            call->out[o]->rank = -1;
            call->out[o]->elements = NULL;
            call->out[o]->element_count = 0;
        }
    }
    return FER_OK;
}

static void reset_fact(feri_fact *fact) {
    memset(fact, 0, sizeof(*fact));
    fact->rank = -1;
}

fer_status feri_infer_walk_node(feri_infer_walk *walk, fer_graph *graph, const feri_gnode *node) {
    enum { FEW = 24 };
    feri_fact *few[FEW];
    feri_fact **facts = few;
    uint64_t count = (uint64_t)node->input_count + node->output_count;
    if (count > FEW) {
        facts = feri_alloc(graph->env, count * sizeof(*facts));
        if (facts == NULL) {
            return feri_error_status();
        }
    }
    walk->spent++;
    feri_infer call = feri_node_call(graph, node, facts, &graph->bump);
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (call.out[o] != NULL) {
            reset_fact(call.out[o]);
        }
    }
    fer_status status = walk->mode == FERI_INFER_TYPES ? feri_op_check(&call)
                        : feri_control_kind(node->op) != FERI_CONTROL_NONE
                            ? feri_infer_walk_control(walk, node, &call)
                            : ordinary_node(walk, &call);
    if (facts != few) {
        feri_free(graph->env, facts, count * sizeof(*facts));
    }
    if (status != FER_OK) {
        feri_error_set_node(node->name);
    }
    return status;
}

fer_status feri_infer_walk_graph(feri_infer_walk *walk, fer_graph *graph) {
    for (uint32_t n = 0; n < graph->node_count; n++) {
        if (!graph->nodes[n]->is_dead) {
            FER_TRY(feri_infer_walk_node(walk, graph, graph->nodes[n]));
        }
    }
    return feri_terms_status(graph->terms);
}

/* Loops are walked again until their facts settle; nested loops multiply. Past the budget every
 * loop takes the short way (feri_infer_walk.budget). Small values are computed on the way: rounding
 * is ours, not the caller's. node NULL: all. */
static fer_status infer(fer_graph *graph, const feri_gnode *node, int mode) {
    feri_infer_walk walk = {.mode = mode, .budget = 1000 + 8 * graph->root->total_nodes};
    feri_fpmode fpmode = feri_fpmode_enter();
    fer_status status = node != NULL ? feri_infer_walk_node(&walk, graph, node)
                                     : feri_infer_walk_graph(&walk, graph);
    feri_fpmode_leave(fpmode);
    return status != FER_OK ? status : feri_terms_status(graph->terms);
}

fer_status feri_graph_infer(fer_graph *graph) { return infer(graph, NULL, FERI_INFER_ALL); }

fer_status feri_graph_infer_known(fer_graph *graph) { return infer(graph, NULL, FERI_INFER_KNOWN); }

fer_status feri_graph_infer_node(fer_graph *graph, const feri_gnode *node) {
    return infer(graph, node, FERI_INFER_ALL);
}

fer_status feri_graph_infer_node_known(fer_graph *graph, const feri_gnode *node) {
    return infer(graph, node, FERI_INFER_KNOWN);
}

fer_status feri_graph_infer_node_types(fer_graph *graph, const feri_gnode *node) {
    return infer(graph, node, FERI_INFER_TYPES);
}
