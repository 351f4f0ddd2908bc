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

static void mark(uint8_t *marks, fer_value_id id) {
    if (id != FER_NO_VALUE) {
        marks[id] = 1;
    }
}

/* marks of a body's inputs go to the operands that feed them. */
static fer_status
body_slice(const feri_gnode *node, const fer_graph *body, int is_marked, uint8_t *marks) {
    uint8_t *inner = feri_alloc(body->env, body->value_count);
    if (inner == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; is_marked && i < body->output_count; i++) {
        inner[body->outputs[i]] = 1;
    }
    fer_status status = slice(body, inner);
    uint32_t formal = body->input_count - body->capture_count;
    int formal_decides = 0;
    for (uint32_t i = 0; i < body->input_count; i++) {
        if (inner[body->inputs[i]] && i >= formal) {
            mark(marks, node->inputs[body->captures[i - formal]]);
        } else {
            formal_decides |= inner[body->inputs[i]];
        }
    }
    /* A carried value that decides inside is decided by what it starts as; trip count and condition
     * are not. */
    for (uint32_t i = 2; formal_decides && i < node->formal_count; i++) {
        mark(marks, node->inputs[i]);
    }
    feri_free(body->env, inner, body->value_count);
    return status;
}

static fer_status slice(const fer_graph *graph, uint8_t *marks) {
    for (uint32_t n = graph->node_count; n-- > 0;) {
        const feri_gnode *node = graph->nodes[n];
        int is_marked = 0;
        for (uint32_t i = 0; i < node->output_count; i++) {
            is_marked |= node->outputs[i] != FER_NO_VALUE && marks[node->outputs[i]];
        }
        for (uint32_t i = 0; i < node->body_count; i++) {
            FER_TRY(body_slice(node, node->bodies[i], is_marked, marks));
        }
        int passes_on = is_marked && node->op->number != FER_OP_Shape &&
                        node->op->number != FER_OP_Size && node->body_count == 0;
        for (uint32_t i = 0; i < node->formal_count; i++) {
            if (passes_on || feri_op_input_decides(node->op, i)) {
                mark(marks, node->inputs[i]);
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
