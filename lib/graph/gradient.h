/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradient nodes become the nodes that compute them: reverse-mode differentiation on the graph, by
 * one text per op (derivative.c). Used by import/.
 */
#ifndef FERI_GRAPH_GRADIENT_H
#define FERI_GRAPH_GRADIENT_H

#include "graph/graph.h"

/* Replaces every Gradient node of a root graph whose facts are inferred; nothing happens without
 * one. INVALID_MODEL where names do not fit, UNSUPPORTED naming the op whose derivative is not
 * there, or dims it would need. The graph is sorted afterwards. */
fer_status feri_graph_differentiate(fer_graph *graph);

/* The derivative of a node: a text of graph/expand.h in which operands are i0, i1, ..., results o0,
 * ..., gradients of results d0, ..., and gradients of operands h0, ..., not yet summed to the
 * operands' shapes. in has the node's operands, out its results. UNSUPPORTED by name. */
fer_status feri_derivative(const feri_infer *call, feri_text *out_body);

#endif
