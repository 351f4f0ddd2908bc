/* SPDX-License-Identifier: Apache-2.0
 *
 * The text form of expansions, one statement a line, newest opset:
 *
 *     t = Sub(x, ReduceMax(x, axes, keepdims=1))
 *         calls nest; operands are names; "_" leaves one out
 *
 *     a, _, b = Split(t, axis=@axis)
 *         several outputs; "_" leaves one out
 *
 *     c = {0.5: x}
 *         a scalar of x's dtype; {@epsilon|1e-5: x} is an attribute of the expanded node, else the
 *         number after the bar
 *
 *     s = {i64: 1 2 3}
 *         a 1-D constant; {i64: 7}' is a scalar; @name stands for all numbers of a list attribute
 *
 *     y = Cast(t, to=x)
 *         an attribute that takes a dtype: of a value, or by name (to=f32)
 *
 *     y = @score_mod(x)
 *         a body of the expanded node, of one input and one output
 *
 * Attributes are ints, floats, 'strings', [lists] (commas or spaces), or @name: the expanded node's
 * attribute, left out when that node has none (@name|7: then 7).
 *
 * The row's inputs and outputs are bound by name; a variadic operand xs as xs0, xs1, ... An input
 * left out reads as "_". Every output the node wants must be assigned. A statement may assign a
 * name once. Constants may stand inside calls. Blank lines and lines from # on are skipped.
 *
 * f16 and bf16: unless the body begins with a line "exact", operands of those dtypes are cast to
 * f32 before use and outputs of those dtypes cast back, so that f32 is kept between the nodes.
 *
 * Numbers: decimal with a point (whatever the locale; so write none with printf's %g: use
 * @name|default), inf, -inf, nan.
 */
#ifndef FERI_GRAPH_EXPAND_H
#define FERI_GRAPH_EXPAND_H

#include "graph/graph.h"

/* Parses body for node, whose operands' facts are known, and appends its nodes to graph (outputs
 * bound to node's), inferred. INTERNAL for a text that is wrong, UNSUPPORTED where a dtype it needs
 * is unknown. On failure some nodes may have been appended: the caller restores. */
fer_status feri_expand_text(fer_graph *graph, const feri_gnode *node, const char *body);

/* What a text calls its node (in messages), its operands and its results: columns of the op table.
 */
typedef struct feri_expand_row {
    const char *op;
    const char *inputs;
    const char *outputs;
} feri_expand_row;
/* The same under other names than the row's; the node needs no op. */
fer_status feri_expand_row_text(fer_graph *graph,
                                const feri_gnode *node,
                                const feri_expand_row *row,
                                const char *body);

/* The same for upgrades: operands are i0, i1, ..., results o0, o1, ..., no dtype is widened, and
 * what a scalar {1: i0} gets from an operand of unknown dtype it gets through CastLike. *out_value
 * is that of the last new name. The node's attributes may be anything: INVALID_MODEL where numbers
 * are asked for and there are none. op is its name in messages; the node needs no op. */
fer_status feri_expand_value(fer_graph *graph,
                             const feri_gnode *node,
                             const char *op,
                             const char *text,
                             fer_value_id *out_value);

/* Appends copies of the nodes of the node's body that attr names, its one input being argument.
 * INVALID_MODEL when there is no such body; UNSUPPORTED when it has bodies itself. */
fer_status feri_expand_body(fer_graph *graph,
                            const feri_gnode *node,
                            const char *attr,
                            fer_value_id argument,
                            fer_value_id *out_value);

#endif
