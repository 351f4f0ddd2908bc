/* SPDX-License-Identifier: Apache-2.0
 *
 * Transpose of a Transpose: the second one reads the first one's input with the composed
 * permutation. The first stays for its other users; a composition that is the identity is left to
 * remove_identity.
 */
#include "base/error.h"
#include "ferrule/op_numbers.h"
#include "passes/edit.h"
#include "passes/pass.h"

/* The permutation of a Transpose, reversed dims when it has none; 0 when it cannot be known. */
static uint32_t permutation(const fer_graph *graph, const feri_gnode *node, int64_t *perm) {
    const fer_attr *attr = feri_attr_find(node->attrs, node->attr_count, "perm");
    const feri_fact *fact = feri_node_fact(graph, node, 0);
    uint32_t rank = attr ? attr->count : fact && fact->rank > 0 ? (uint32_t)fact->rank : 0;
    uint32_t seen = 0;
    if (rank > FER_MAX_RANK) {
        return 0;
    }
    for (uint32_t i = 0; i < rank; i++) {
        perm[i] = attr ? attr->value.ints[i] : (int64_t)(rank - 1 - i);
        if (perm[i] < 0 || perm[i] >= (int64_t)rank || (seen >> perm[i] & 1)) {
            return 0;
        }
        seen |= 1u << perm[i];
    }
    return rank;
}

/* perm is Transpose's one attribute: the one of first, then that of node. */
static fer_status compose(
    fer_graph *graph, feri_gnode *node, const int64_t *first, const int64_t *then, uint32_t rank) {
    struct {
        fer_attr attr;
        int64_t perm[FER_MAX_RANK];
    } *made = feri_bump_alloc(&graph->bump, sizeof *made);
    if (!made) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < rank; i++) {
        made->perm[i] = first[then[i]];
    }
    made->attr =
        (fer_attr){.name = "perm", .type = FER_ATTR_INTS, .count = rank, .value.ints = made->perm};
    node->attrs = &made->attr;
    node->attr_count = 1;
    return FER_OK;
}

fer_status feri_pass_merge_transpose(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    *out_changes = 0;
    feri_graph_reindex(graph);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        feri_gnode *node = graph->nodes[n];
        if (node->op->number != FER_OP_Transpose || node->is_dead ||
            node->inputs[0] == FER_NO_VALUE) {
            continue;
        }
        uint32_t producer = graph->values[node->inputs[0]].producer;
        if (producer >= n || graph->nodes[producer]->op != node->op) {
            continue;
        }
        const feri_gnode *first = graph->nodes[producer];
        int64_t inner[FER_MAX_RANK];
        int64_t outer[FER_MAX_RANK];
        uint32_t rank = permutation(graph, first, inner);
        if (!rank || permutation(graph, node, outer) != rank) {
            continue;
        }
        FER_TRY(compose(graph, node, inner, outer, rank));
        node->inputs[0] = first->inputs[0];
        ++*out_changes;
    }
    if (*out_changes) {
        feri_graph_reindex(graph);
    }
    return FER_OK;
}
