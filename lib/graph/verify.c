/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate: after feri_graph_verify no later stage can be led out of bounds by ids, counts,
 * attributes or bodies. That operands are as many and of the dtypes their op takes is for
 * inference, which checks every node against its row (feri_op_check) and runs before a graph is
 * finished; names and dims are for import/ and the builder. One walk in order, recursing over
 * bodies only.
 */
#include "base/error.h"
#include "ferrule/op_numbers.h"
#include "ferrule/op_selection.h"
#include "graph/graph.h"
#include "tensor/dtype.h"

#include <string.h>

int32_t feri_control_kind(const feri_op *op) {
    switch (op->number) {
    case FER_OP_If:
        return FERI_CONTROL_IF;
    case FER_OP_Loop:
        return FERI_CONTROL_LOOP;
    case FER_OP_Scan:
        return FERI_CONTROL_SCAN;
    case FER_OP_SequenceMap:
        return FERI_CONTROL_SEQUENCE_MAP;
    default:
        return FERI_CONTROL_NONE;
    }
}

fer_graph *feri_node_body(const feri_gnode *node, const char *attr) {
    const fer_attr *found = feri_attr_find(node->attrs, node->attr_count, attr);
    if (found == NULL || found->type != FER_ATTR_GRAPH || found->value.graph >= node->body_count) {
        return NULL;
    }
    return node->bodies[found->value.graph];
}

/* One graph being checked. */
typedef struct check {
    const fer_graph *graph;
    uint8_t *defined; /* per value: there when the next node runs */
} check;

#define BROKEN(...) feri_fail(FER_INVALID_MODEL, __VA_ARGS__)

/* ---- ends ---- */

static fer_status check_ends(const check *c) {
    const fer_graph *graph = c->graph;
    for (uint32_t o = 0; o < graph->output_count; o++) {
        fer_value_id id = graph->outputs[o];
        if (id >= graph->value_count || !c->defined[id]) {
            return BROKEN("output '%s' of the graph is made by no node, input or constant",
                          graph->output_names[o]);
        }
    }
    for (uint32_t v = 0; v < graph->value_count; v++) {
        const feri_gvalue *value = &graph->values[v];
        if (value->origin != FERI_ORIGIN_VARIABLE || value->assigned == FER_NO_VALUE) {
            continue;
        }
        fer_dtype becomes = graph->values[value->assigned].fact.dtype;
        if (becomes != FER_DTYPE_NONE && becomes != value->fact.dtype) {
            return BROKEN("variable '%s' is %s and cannot become %s",
                          value->name,
                          fer_dtype_name(value->fact.dtype),
                          fer_dtype_name(becomes));
        }
    }
    return FER_OK;
}

/* ---- bodies ---- */

static fer_status check_body_counts(const feri_gnode *node,
                                    const char *attr,
                                    uint32_t formals,
                                    uint32_t skipped_outputs) {
    const fer_graph *body = feri_node_body(node, attr);
    if (body == NULL) {
        return BROKEN("node '%s': %s has no body '%s'", node->name, feri_op_name(node->op), attr);
    }
    uint32_t body_formals = body->input_count - body->capture_count;
    uint64_t outputs = (uint64_t)node->output_count + skipped_outputs;
    if (body_formals != formals || body->output_count != outputs) {
        return BROKEN("node '%s': body '%s' takes %u inputs and makes %u outputs where %s needs %u "
                      "and %u",
                      node->name,
                      attr,
                      body_formals,
                      body->output_count,
                      feri_op_name(node->op),
                      formals,
                      (uint32_t)outputs);
    }
    return FER_OK;
}

static fer_status check_scan(const feri_gnode *node) {
    int64_t scanned = feri_attr_int(node->attrs, node->attr_count, "num_scan_inputs", 0);
    if (scanned < 1 || scanned > node->formal_count) {
        return BROKEN("node '%s': num_scan_inputs is %lld but Scan has %u inputs",
                      node->name,
                      (long long)scanned,
                      node->formal_count);
    }
    uint32_t state_count = node->formal_count - (uint32_t)scanned;
    if (state_count > node->output_count) {
        return BROKEN("node '%s': Scan has %u states but only %u outputs",
                      node->name,
                      state_count,
                      node->output_count);
    }
    const char *name = "scan_input_axes\0scan_input_directions\0"
                       "scan_output_axes\0scan_output_directions";
    for (int l = 0; l < 4; l++) {
        uint32_t wanted = l < 2 ? (uint32_t)scanned : node->output_count - state_count;
        const fer_attr *attr = feri_attr_find(node->attrs, node->attr_count, name);
        if (attr != NULL && attr->count != wanted) {
            return BROKEN("node '%s': %s has %u entries where Scan needs %u",
                          node->name,
                          name,
                          attr->count,
                          wanted);
        }
        name += strlen(name) + 1;
    }
    return check_body_counts(node, "body", node->formal_count, 0);
}

fer_status feri_graph_check_control(const feri_gnode *node) {
    switch (feri_control_kind(node->op)) {
    case FERI_CONTROL_IF:
        FER_TRY(check_body_counts(node, "then_branch", 0, 0));
        return check_body_counts(node, "else_branch", 0, 0);
    case FERI_CONTROL_LOOP:
        if (node->formal_count < 2 || node->output_count + 2 < node->formal_count) {
            return BROKEN("node '%s': Loop carries %u values but has %u outputs",
                          node->name,
                          node->formal_count < 2 ? 0 : node->formal_count - 2,
                          node->output_count);
        }
        return check_body_counts(node, "body", node->formal_count, 1);
    case FERI_CONTROL_SCAN:
        return FERI_HAS_OP(Scan) ? check_scan(node) : FER_OK;
    case FERI_CONTROL_SEQUENCE_MAP:
        return check_body_counts(node, "body", node->formal_count, 0);
    default:
        return FER_OK;
    }
}

static fer_status check_body(const feri_gnode *node, const fer_graph *body) {
    for (uint32_t k = 0; k < body->capture_count; k++) {
        uint32_t at = body->captures[k];
        if (at < node->formal_count || at >= node->input_count ||
            node->inputs[at] == FER_NO_VALUE) {
            return BROKEN("node '%s': capture %u of a body has no source", node->name, k);
        }
    }
    return feri_graph_verify(body);
}

/* ---- nodes ---- */

/* Attributes were sorted when the node was appended. */
static fer_status check_attrs(const feri_gnode *node) {
    for (uint32_t a = 0; a < node->attr_count; a++) {
        const fer_attr *attr = &node->attrs[a];
        if (attr->type <= FER_ATTR_NONE || attr->type > FER_ATTR_GRAPH ||
            (attr->type == FER_ATTR_TENSOR && attr->value.tensor == NULL) ||
            (attr->type == FER_ATTR_GRAPH && attr->value.graph >= node->body_count)) {
            return BROKEN("node '%s': attribute '%s' is malformed", node->name, attr->name);
        }
    }
    return FER_OK;
}

static fer_status check_operands(check *c, const feri_gnode *node) {
    const fer_graph *graph = c->graph;
    for (uint32_t i = 0; i < node->input_count; i++) {
        fer_value_id id = node->inputs[i];
        if (id != FER_NO_VALUE && (id >= graph->value_count || !c->defined[id])) {
            return BROKEN("node '%s' (%s): input %u ('%s') is made by no earlier node, input or "
                          "constant",
                          node->name,
                          feri_op_name(node->op),
                          i,
                          id < graph->value_count ? graph->values[id].name : "");
        }
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        fer_value_id id = node->outputs[o];
        if (id == FER_NO_VALUE) {
            continue;
        }
        if (id >= graph->value_count || graph->values[id].origin != FERI_ORIGIN_NODE ||
            c->defined[id]) {
            return BROKEN("node '%s' (%s): its output %u is made by another node, or no value "
                          "that a node can make",
                          node->name,
                          feri_op_name(node->op),
                          o);
        }
        c->defined[id] = 1;
    }
    return FER_OK;
}

static fer_status check_node(check *c, const feri_gnode *node) {
    FER_TRY(check_operands(c, node));
    FER_TRY(check_attrs(node));
    FER_TRY(feri_graph_check_control(node));
    for (uint32_t b = 0; b < node->body_count; b++) {
        FER_TRY(check_body(node, node->bodies[b]));
    }
    return FER_OK;
}

/* Inputs, constants and variables are what their makers in graph.c say. */
fer_status feri_graph_verify(const fer_graph *graph) {
    check c = {graph, feri_alloc(graph->env, graph->value_count)};
    fer_status status = c.defined != NULL ? FER_OK : feri_error_status();
    for (uint32_t v = 0; v < graph->value_count && status == FER_OK; v++) {
        c.defined[v] = graph->values[v].origin != FERI_ORIGIN_NODE;
    }
    for (uint32_t n = 0; n < graph->node_count && status == FER_OK; n++) {
        const feri_gnode *node = graph->nodes[n];
        status = node->is_dead ? FER_OK : check_node(&c, node);
        if (status != FER_OK) {
            feri_error_set_node(node->name);
        }
    }
    if (status == FER_OK) {
        status = check_ends(&c);
    }
    feri_free(graph->env, c.defined, graph->value_count);
    return status;
}
