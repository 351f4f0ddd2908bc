/* SPDX-License-Identifier: Apache-2.0
 *
 * What infer_graph.c and infer_control.c share: the state of one walk. Used inside lib/graph only.
 */
#ifndef FERI_GRAPH_INFER_WALK_H
#define FERI_GRAPH_INFER_WALK_H

#include "graph/graph.h"

enum {
    FERI_INFER_ALL,
    FERI_INFER_KNOWN, /* ops that are not yet supported leave their outputs unknown */
    FERI_INFER_TYPES  /* operands against the row, which gives outputs kind and dtype */
};

typedef struct feri_infer_walk {
    int mode;        /* FERI_INFER_... */
    uint64_t spent;  /* nodes inferred, again and again in loops */
    uint64_t budget; /* once spent is past it, Loop and Scan start from "nothing is known" and walk
                        their body once, so that nested loops cannot multiply for ever */
} feri_infer_walk;

fer_status feri_infer_walk_graph(feri_infer_walk *walk, fer_graph *graph);
fer_status feri_infer_walk_node(feri_infer_walk *walk, fer_graph *graph, const feri_gnode *node);
/* call holds the facts of node's operands (in, captures included) and outputs. */
fer_status feri_infer_walk_control(feri_infer_walk *walk, const feri_gnode *node, feri_infer *call);

#endif
