/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes of a graph as a backend sees them: a fer_subgraph of plain arrays. Dims that are terms
 * become run-time dims, one slot per distinct term.
 */
#ifndef FERI_PARTITION_VIEW_H
#define FERI_PARTITION_VIEW_H

#include "device/device.h"
#include "graph/graph.h"

/* A dim whose number the run brings: a term, or the upper bound of a data-dependent dim. */
typedef struct feri_view_dim {
    feri_sym term;
    fer_value_id value; /* of an unknown term: whose dim it is ... */
    uint32_t axis;      /* ... and which */
} feri_view_dim;

typedef struct feri_view {
    fer_subgraph graph;
    fer_value_id *value_ids; /* graph's value for each of the view's values */
    feri_view_dim *dims;     /* dim_slot_count entries */
} feri_view;

/* Everything lives in bump. The graph's use counts must be current (feri_graph_reindex). scratch:
 * zeroed, one entry per value of the graph, zeroed again on return, so that many small views of a
 * large graph cost no more than their nodes. */
fer_status feri_view_build(const fer_graph *graph,
                           uint32_t *scratch,
                           const uint32_t *node_indices,
                           uint32_t node_count,
                           feri_bump *bump,
                           feri_view *out_view);

#endif
