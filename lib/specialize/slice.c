/* SPDX-License-Identifier: Apache-2.0
 *
 * Which inputs of a graph decide shapes or branches by their values: the backward slice from
 * operands marked # and from If conditions, through bodies, stopping at Shape and Size.
 */
#include "base/error.h"
#include "ferrule/backend.h"
#include "specialize/segment.h"

#include <string.h>

static fer_status slice(const fer_graph *graph, uint8_t *marks);

/* marks of a body's inputs go to the operands that feed them. */
static fer_status
body_slice(const fer_graph *outer, const feri_gnode *node, const fer_graph *body, uint8_t *marks) {
    uint8_t *inner = feri_alloc(outer->env, body->value_count);
    if (inner == NULL) {
        return feri_error_status();
    }
    int any = 0;
    for (uint32_t i = 0; i < node->output_count; i++) {
        any |= node->outputs[i] != FER_NO_VALUE && marks[node->outputs[i]];
    }
    for (uint32_t i = 0; any && i < body->output_count; i++) {
        inner[body->outputs[i]] = 1;
    }
    fer_status status = slice(body, inner);
    uint32_t formal = body->input_count - body->capture_count;
    int formal_decides = 0;
    for (uint32_t i = 0; i < body->input_count; i++) {
        if (!inner[body->inputs[i]]) {
            continue;
        }
        if (i >= formal) {
            fer_value_id id = node->inputs[body->captures[i - formal]];
            if (id != FER_NO_VALUE) {
                marks[id] = 1;
            }
        } else {
            formal_decides = 1;
        }
    }
    /* A carried value that decides inside is decided by what it starts as; trip count and condition
     * are not. */
    for (uint32_t i = 2; formal_decides && i < node->formal_count; i++) {
        if (node->inputs[i] != FER_NO_VALUE) {
            marks[node->inputs[i]] = 1;
        }
    }
    feri_free(outer->env, inner, body->value_count);
    return status;
}

static fer_status slice(const fer_graph *graph, uint8_t *marks) {
    for (uint32_t n = graph->node_count; n-- > 0;) {
        const feri_gnode *node = graph->nodes[n];
        for (uint32_t i = 0; i < node->body_count; i++) {
            FER_TRY(body_slice(graph, node, node->bodies[i], marks));
        }
        int any = 0;
        for (uint32_t i = 0; i < node->output_count; i++) {
            any |= node->outputs[i] != FER_NO_VALUE && marks[node->outputs[i]];
        }
        int stops = node->op->number == FER_OP_Shape || node->op->number == FER_OP_Size ||
                    node->body_count > 0;
        for (uint32_t i = 0; i < node->formal_count; i++) {
            if (node->inputs[i] != FER_NO_VALUE &&
                ((any && !stops) || feri_op_input_decides(node->op, i))) {
                marks[node->inputs[i]] = 1;
            }
        }
    }
    return FER_OK;
}

fer_status feri_slice_inputs(const fer_graph *graph, uint8_t *out_decides) {
    uint8_t *marks = feri_alloc(graph->env, graph->value_count);
    if (marks == NULL) {
        return feri_error_status();
    }
    fer_status status = slice(graph, marks);
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const feri_fact *fact = &graph->values[graph->inputs[i]].fact;
        out_decides[i] =
            marks[graph->inputs[i]] && fact->kind == FER_KIND_TENSOR && fact->dtype != FER_STRING;
    }
    feri_free(graph->env, marks, graph->value_count);
    return status;
}
