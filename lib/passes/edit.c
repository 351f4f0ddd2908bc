/* SPDX-License-Identifier: Apache-2.0
 *
 * The edits that passes share. Each keeps the graph whole at every step, so that a pass which fails
 * half way leaves a graph that means the same.
 */
#include "passes/edit.h"

#include "base/error.h"

/* Of both arrays. */
static uint64_t bytes_of(const feri_swap *swap) {
    return (uint64_t)swap->value_count * (sizeof *swap->to + sizeof *swap->pinned);
}

fer_status feri_swap_begin(feri_swap *swap, fer_graph *graph) {
    feri_graph_reindex(graph);
    *swap = (feri_swap){.graph = graph, .value_count = graph->value_count};
    swap->to = feri_alloc(graph->env, bytes_of(swap));
    if (!swap->to) {
        return feri_error_status();
    }
    swap->pinned = (uint8_t *)(swap->to + swap->value_count);
    for (uint32_t v = 0; v < swap->value_count; v++) {
        const feri_gvalue *value = &graph->values[v];
        swap->to[v] = v;
        swap->pinned[v] |= value->is_output;
        if (value->origin == FERI_ORIGIN_VARIABLE && value->assigned != FER_NO_VALUE) {
            swap->pinned[value->assigned] = 1;
        }
    }
    return FER_OK;
}

int feri_swap_may(const feri_swap *swap, fer_value_id from, fer_value_id to) {
    if (!swap->pinned[from]) {
        return 1;
    }
    to = swap->to[to];
    return !swap->pinned[to] && swap->graph->values[to].origin == FERI_ORIGIN_NODE;
}

void feri_swap_put(feri_swap *swap, fer_value_id from, fer_value_id to) {
    to = swap->to[to];
    swap->to[from] = to;
    swap->pinned[to] |= swap->pinned[from];
    swap->changes++;
}

void feri_swap_finish(feri_swap *swap) {
    if (swap->changes) {
        feri_graph_replace_many(swap->graph, swap->to);
        feri_graph_compact(swap->graph);
    }
    feri_free(swap->graph->env, swap->to, bytes_of(swap));
}

feri_fact *feri_node_fact(const fer_graph *graph, const feri_gnode *node, uint32_t index) {
    if (index >= node->input_count || node->inputs[index] == FER_NO_VALUE) {
        return NULL;
    }
    return &graph->values[node->inputs[index]].fact;
}

fer_tensor *feri_node_constant(const fer_graph *graph, const feri_gnode *node, uint32_t index) {
    if (!feri_node_fact(graph, node, index)) {
        return NULL;
    }
    const feri_gvalue *value = &graph->values[node->inputs[index]];
    return value->origin == FERI_ORIGIN_CONSTANT && value->constant &&
                   fer_tensor_data(value->constant)
               ? value->constant
               : NULL;
}
