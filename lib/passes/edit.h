/* SPDX-License-Identifier: Apache-2.0
 *
 * The edit that several passes make, one value taking over from another, and what they ask. Used
 * inside lib/passes only.
 */
#ifndef FERI_PASSES_EDIT_H
#define FERI_PASSES_EDIT_H

#include "graph/graph.h"

/* A replacement of many values at once, applied by feri_swap_finish. */
typedef struct feri_swap {
    fer_graph *graph;
    fer_value_id *to; /* value_count; always resolved: to[to[v]] == to[v] */
    uint8_t *pinned;  /* behind to: outputs, and what variables become: seen from outside */
    uint32_t value_count;
    uint32_t changes; /* values replaced */
} feri_swap;

/* Reindexes the graph. No values may be made between begin and finish. */
fer_status feri_swap_begin(feri_swap *swap, fer_graph *graph);
/* 1 when every use of from may become to: one seen from outside may only be replaced by a node's
 * value that is not itself seen, so that each output stays a value of its own. */
int feri_swap_may(const feri_swap *swap, fer_value_id from, fer_value_id to);
void feri_swap_put(feri_swap *swap, fer_value_id from, fer_value_id to);
/* Applies, drops dead nodes and frees. */
void feri_swap_finish(feri_swap *swap);

/* The fact of input index of a node, NULL when it is left out. */
feri_fact *feri_node_fact(const fer_graph *graph, const feri_gnode *node, uint32_t index);
/* The contents of input index when it is a constant that the host can read, else NULL. */
fer_tensor *feri_node_constant(const fer_graph *graph, const feri_gnode *node, uint32_t index);

#endif
