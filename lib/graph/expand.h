/* SPDX-License-Identifier: Apache-2.0
 *
 * The text form of expansions, one statement a line, newest opset:
 *
 *     t = Sub(x, ReduceMax(x, axes, keepdims=1))      calls nest; operands are names; "_" leaves an
 * operand out a, b = Split(t, axis=@axis)                     several outputs; @name takes the
 * expanded node's attribute c = {0.5: x}                                    a scalar constant of
 * x's dtype s = {i64: 1 2 3}                                a 1-D constant; {i64: 7}' a scalar one
 *     y = Cast(t, to=x)                               to=<operand> takes its dtype; attributes are
 * ints, floats, 'strings', [lists]
 *
 * Names of the row's inputs and outputs are bound; an input left out must not be used. Names
 * beginning with a capital that are followed by "(" are ops of the default domain. f16 and bf16:
 * unless the body starts with a line "exact", float operands of those dtypes are cast to f32 first
 * and float results back, so that f32 is kept between the nodes.
 */
#ifndef FERI_GRAPH_EXPAND_H
#define FERI_GRAPH_EXPAND_H

#include "graph/graph.h"

/* Parses body for node and appends its nodes to graph (outputs bound to node's). */
fer_status feri_expand_text(fer_graph *graph, const feri_gnode *node, const char *body);

#endif
