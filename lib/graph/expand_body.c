/* SPDX-License-Identifier: Apache-2.0
 *
 * A body of an expanded node as part of its expansion ("y = @score_mod(x)"): its nodes are copied
 * into the graph around it. Bodies with control flow of their own are refused. Called by expand.c.
 */
#include "base/error.h"
#include "graph/expand.h"

/* map: body values as values of graph. */
static fer_status map_values(fer_graph *graph,
                             const feri_gnode *node,
                             const fer_graph *body,
                             fer_value_id argument,
                             fer_value_id *map) {
    for (uint32_t v = 0; v < body->value_count; v++) {
        const feri_gvalue *value = &body->values[v];
        map[v] = FER_NO_VALUE;
        if (value->origin == FERI_ORIGIN_CONSTANT) {
            FER_TRY(feri_graph_new_constant(graph, NULL, value->constant, &map[v]));
        }
    }
    uint32_t formal = body->input_count - body->capture_count;
    map[body->inputs[0]] = argument;
    for (uint32_t i = 0; i < body->capture_count; i++) {
        map[body->inputs[formal + i]] = node->inputs[body->captures[i]];
    }
    return FER_OK;
}

static fer_status
copy_node(fer_graph *graph, const feri_gnode *node, const feri_gnode *inner, fer_value_id *map) {
    feri_gnode draft = *inner;
    draft.name = node->name;
    draft.source = node->source;
    draft.inputs = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, inner->input_count);
    draft.outputs = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, inner->output_count);
    if (draft.inputs == NULL || draft.outputs == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < inner->input_count; i++) {
        fer_value_id id = inner->inputs[i];
        draft.inputs[i] = id == FER_NO_VALUE ? id : map[id];
    }
    for (uint32_t o = 0; o < inner->output_count; o++) {
        fer_value_id id = inner->outputs[o];
        draft.outputs[o] = id;
        if (id != FER_NO_VALUE) {
            FER_TRY(feri_graph_new_value(graph, NULL, FERI_ORIGIN_NODE, &map[id]));
            draft.outputs[o] = map[id];
        }
    }
    feri_gnode *made = NULL;
    FER_TRY(feri_graph_append_node(graph, &draft, &made));
    return feri_graph_infer_node(graph, made);
}

fer_status feri_expand_body(fer_graph *graph,
                            const feri_gnode *node,
                            const char *attr,
                            fer_value_id argument,
                            fer_value_id *out_value) {
    const fer_graph *body = feri_node_body(node, attr);
    if (body == NULL || body->input_count - body->capture_count != 1 || body->output_count != 1) {
        return feri_fail(FER_INVALID_MODEL,
                         "%s '%s': %s must be a graph of one input and one output",
                         feri_op_name(node->op),
                         node->name,
                         attr);
    }
    fer_value_id *map = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, body->value_count);
    if (map == NULL) {
        return feri_error_status();
    }
    FER_TRY(map_values(graph, node, body, argument, map));
    for (uint32_t n = 0; n < body->node_count; n++) {
        const feri_gnode *inner = body->nodes[n];
        if (inner->is_dead) {
            continue;
        }
        if (inner->body_count > 0) {
            return feri_fail(FER_UNSUPPORTED,
                             "%s '%s': %s holds '%s', whose own body cannot be taken apart; write "
                             "it without control flow",
                             feri_op_name(node->op),
                             node->name,
                             attr,
                             feri_op_name(inner->op));
        }
        FER_TRY(copy_node(graph, node, inner, map));
    }
    *out_value = map[body->outputs[0]];
    return FER_OK;
}
