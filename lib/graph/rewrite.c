/* SPDX-License-Identifier: Apache-2.0
 *
 * Changing graphs in bulk: replacing uses, dropping dead nodes, recounting, topological order. Each
 * is one walk over the graph, none recurses over nodes. Called by passes/, specialize/ and import/.
 */
#include "base/error.h"
#include "graph/graph.h"

#include <string.h>

static fer_value_id follow(fer_value_id *to, fer_value_id value) {
    if (value == FER_NO_VALUE) {
        return value;
    }
    fer_value_id end = value;
    /* Path halving: every chain is walked about once in total. */
    while (to[end] != end) {
        to[end] = to[to[end]];
        end = to[end];
    }
    return end;
}

void feri_graph_replace_many(fer_graph *graph, fer_value_id *to) {
    for (uint32_t n = 0; n < graph->node_count; n++) {
        feri_gnode *node = graph->nodes[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            node->inputs[i] = follow(to, node->inputs[i]);
        }
    }
    for (uint32_t o = 0; o < graph->output_count; o++) {
        graph->outputs[o] = follow(to, graph->outputs[o]);
    }
    for (uint32_t v = 0; v < graph->value_count; v++) {
        if (graph->values[v].origin == FERI_ORIGIN_VARIABLE) {
            graph->values[v].assigned = follow(to, graph->values[v].assigned);
        }
    }
}

void feri_graph_compact(fer_graph *graph) {
    uint32_t kept = 0;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        feri_gnode *node = graph->nodes[n];
        if (!node->is_dead) {
            graph->nodes[kept++] = node;
            continue;
        }
        feri_node_drop_bodies(node);
        graph->root->total_nodes--;
    }
    graph->node_count = kept;
    feri_graph_reindex(graph);
}

void feri_graph_reindex(fer_graph *graph) {
    for (uint32_t v = 0; v < graph->value_count; v++) {
        graph->values[v].producer = UINT32_MAX;
        graph->values[v].use_count = 0;
        graph->values[v].is_output = 0;
    }
    for (uint32_t v = 0; v < graph->value_count; v++) {
        feri_gvalue *value = &graph->values[v];
        if (value->origin == FERI_ORIGIN_VARIABLE && value->assigned != FER_NO_VALUE) {
            graph->values[value->assigned].use_count++;
        }
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const feri_gnode *node = graph->nodes[n];
        if (node->is_dead) {
            continue;
        }
        for (uint32_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] != FER_NO_VALUE) {
                graph->values[node->inputs[i]].use_count++;
            }
        }
        for (uint32_t o = 0; o < node->output_count; o++) {
            if (node->outputs[o] != FER_NO_VALUE) {
                graph->values[node->outputs[o]].producer = n;
            }
        }
    }
    for (uint32_t o = 0; o < graph->output_count; o++) {
        graph->values[graph->outputs[o]].use_count++;
        graph->values[graph->outputs[o]].is_output = 1;
    }
}

/* ---- order ---- */

enum { NODE_NEW, NODE_OPEN, NODE_PLACED };

typedef struct sort_walk {
    fer_graph *graph;
    uint8_t *state;       /* NODE_... */
    uint32_t *next_input; /* of an open node */
    uint32_t *stack;
    feri_gnode **placed;
    uint32_t placed_count;
} sort_walk;

/* The next producer of an open node that has to come before it, or UINT32_MAX. */
static uint32_t next_producer(sort_walk *walk, uint32_t n) {
    const feri_gnode *node = walk->graph->nodes[n];
    while (walk->next_input[n] < node->input_count) {
        fer_value_id value = node->inputs[walk->next_input[n]++];
        uint32_t producer =
            value == FER_NO_VALUE ? UINT32_MAX : walk->graph->values[value].producer;
        if (producer != UINT32_MAX && walk->state[producer] != NODE_PLACED) {
            return producer;
        }
    }
    return UINT32_MAX;
}

/* Places first and all it needs, depth first with an explicit stack. */
static fer_status place(sort_walk *walk, uint32_t first) {
    uint32_t depth = 0;
    walk->stack[depth++] = first;
    walk->state[first] = NODE_OPEN;
    while (depth > 0) {
        uint32_t n = walk->stack[depth - 1];
        uint32_t producer = next_producer(walk, n);
        if (producer == UINT32_MAX) {
            walk->state[n] = NODE_PLACED;
            walk->placed[walk->placed_count++] = walk->graph->nodes[n];
            depth--;
            continue;
        }
        if (walk->state[producer] == NODE_OPEN) {
            const char *name = walk->graph->nodes[producer]->name;
            fer_status status = feri_fail(FER_INVALID_MODEL,
                                          "node '%s' is on a cycle: it needs its own output; a "
                                          "graph must be acyclic (use Loop or Scan)",
                                          name);
            feri_error_set_node(name);
            return status;
        }
        walk->state[producer] = NODE_OPEN;
        walk->stack[depth++] = producer;
    }
    return FER_OK;
}

fer_status feri_graph_sort(fer_graph *graph) {
    feri_graph_compact(graph);
    if (graph->node_count == 0) {
        return FER_OK;
    }
    uint64_t count = graph->node_count;
    uint64_t bytes = count * (sizeof(feri_gnode *) + 2 * sizeof(uint32_t) + 1);
    uint8_t *scratch = feri_alloc(graph->env, bytes);
    if (scratch == NULL) {
        return feri_error_status();
    }
    sort_walk walk = {.graph = graph};
    walk.placed = (feri_gnode **)(void *)scratch;
    walk.next_input = (uint32_t *)(void *)(scratch + count * sizeof(feri_gnode *));
    walk.stack = walk.next_input + count;
    walk.state = (uint8_t *)(walk.stack + count);
    fer_status status = FER_OK;
    for (uint32_t n = 0; n < count && status == FER_OK; n++) {
        if (walk.state[n] == NODE_NEW) {
            status = place(&walk, n);
        }
    }
    if (status == FER_OK) {
        memcpy(graph->nodes, walk.placed, count * sizeof(feri_gnode *));
        feri_graph_reindex(graph);
    }
    feri_free(graph->env, scratch, bytes);
    return status;
}
