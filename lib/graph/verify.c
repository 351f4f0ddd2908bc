/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate: after feri_graph_verify no later stage can be led out of bounds by ids, counts,
 * attributes or bodies, and node operands have dtypes their op takes. One walk in order, recursing
 * over bodies only. Called by import/ and the builder before anything else looks at a graph.
 */
#include "base/error.h"
#include "ferrule/op_selection.h"
#include "graph/graph.h"
#include "tensor/dtype.h"

#include <string.h>

int32_t feri_control_kind(const feri_op *op) {
    static const struct {
        const char *name;
        int32_t kind;
    } kinds[] = {
        {"If",          FERI_CONTROL_IF          },
        {"Loop",        FERI_CONTROL_LOOP        },
        {"Scan",        FERI_CONTROL_SCAN        },
        {"SequenceMap", FERI_CONTROL_SEQUENCE_MAP},
    };
    if ((op->flags & FERI_OP_CONTROL) == 0) {
        return FERI_CONTROL_NONE;
    }
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        if (strcmp(op->name, kinds[k].name) == 0) {
            return kinds[k].kind;
        }
    }
    return FERI_CONTROL_NONE;
}

fer_graph *feri_node_body(const feri_gnode *node, const char *attr) {
    const fer_attr *found = feri_attr_find(node->attrs, node->attr_count, attr);
    if (found == NULL || found->type != FER_ATTR_GRAPH || found->value.graph >= node->body_count) {
        return NULL;
    }
    return node->bodies[found->value.graph];
}

/* One graph being checked. Facts here are scratch: kind and dtype only. */
typedef struct check {
    const fer_graph *graph;
    feri_fact *facts; /* value_count */
    uint8_t *defined; /* value_count */
    feri_fact **in;   /* as many as any node has inputs */
    feri_fact **out;  /* as any node has outputs */
    feri_fact *spare; /* for outputs nobody wants, as many */
    feri_bump bump;
} check;

#define BROKEN(...) feri_fail(FER_INVALID_MODEL, __VA_ARGS__)

static fer_status prepare(check *c, const fer_graph *graph) {
    uint32_t most_in = 0;
    uint32_t most_out = 0;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const feri_gnode *node = graph->nodes[n];
        most_in = node->input_count > most_in ? node->input_count : most_in;
        most_out = node->output_count > most_out ? node->output_count : most_out;
    }
    feri_bump_init(&c->bump, graph->env);
    c->graph = graph;
    c->facts = FERI_BUMP_ARRAY(&c->bump, feri_fact, graph->value_count);
    c->defined = FERI_BUMP_ARRAY(&c->bump, uint8_t, graph->value_count);
    c->in = FERI_BUMP_ARRAY(&c->bump, feri_fact *, most_in);
    c->out = FERI_BUMP_ARRAY(&c->bump, feri_fact *, most_out);
    c->spare = FERI_BUMP_ARRAY(&c->bump, feri_fact, most_out);
    if (c->facts == NULL || c->defined == NULL || c->in == NULL || c->out == NULL ||
        c->spare == NULL) {
        return fer_error_last()->status;
    }
    return FER_OK;
}

/* ---- values ---- */

static fer_status check_fact(const feri_gvalue *value) {
    const feri_fact *fact = &value->fact;
    if (fact->kind < 0 || fact->kind > FER_KIND_MAP ||
        (fact->dtype != FER_DTYPE_NONE && !feri_dtype_is_valid(fact->dtype))) {
        return BROKEN("value '%s' has kind %d and dtype %d, which do not exist",
                      value->name,
                      fact->kind,
                      fact->dtype);
    }
    if (fact->rank < -1 || fact->rank > FER_MAX_RANK) {
        return feri_fail(FER_LIMIT,
                         "value '%s' has rank %d; ranks end at %d",
                         value->name,
                         fact->rank,
                         FER_MAX_RANK);
    }
    for (int32_t d = 0; d < fact->rank; d++) {
        if (feri_sym_is_number(fact->dims[d]) && fact->dims[d].number < 0) {
            return BROKEN("dim %d of value '%s' is negative", d, value->name);
        }
    }
    return FER_OK;
}

static fer_status check_value(check *c, uint32_t v) {
    const fer_graph *graph = c->graph;
    const feri_gvalue *value = &graph->values[v];
    int is_variable = value->origin == FERI_ORIGIN_VARIABLE;
    if (value->origin > FERI_ORIGIN_NODE) {
        return BROKEN("value '%s' has an unknown origin", value->name);
    }
    if (is_variable && graph->parent != NULL) {
        return BROKEN("variable '%s' is inside a body; variables belong to the main graph",
                      value->name);
    }
    if (is_variable || value->origin == FERI_ORIGIN_CONSTANT) {
        if (value->constant == NULL) {
            return BROKEN("constant '%s' has no contents", value->name);
        }
        c->defined[v] = 1;
    }
    FER_TRY(check_fact(value));
    c->facts[v].kind = value->fact.kind;
    c->facts[v].dtype = value->fact.dtype;
    c->facts[v].rank = -1;
    c->facts[v].is_optional_of_sequence = value->fact.is_optional_of_sequence;
    if (value->origin == FERI_ORIGIN_NODE) {
        c->facts[v].kind = 0;
        c->facts[v].dtype = FER_DTYPE_NONE;
    }
    return FER_OK;
}

static fer_status check_names(const fer_graph *graph) {
    feri_name_map map;
    feri_name_map_init(&map, graph->env);
    fer_status status = FER_OK;
    for (uint32_t v = 0; v < graph->value_count && status == FER_OK; v++) {
        const char *name = graph->values[v].name;
        uint32_t other = 0;
        size_t length = strlen(name);
        if (length == 0) {
            continue;
        }
        if (feri_name_map_get(&map, name, length, &other)) {
            status = BROKEN("the name '%s' stands for two values of one graph", name);
        } else {
            status = feri_name_map_set(&map, name, length, v);
        }
    }
    feri_name_map_finish(&map);
    return status;
}

static fer_status check_inputs(check *c) {
    const fer_graph *graph = c->graph;
    for (uint32_t i = 0; i < graph->input_count; i++) {
        fer_value_id id = graph->inputs[i];
        if (id >= graph->value_count || graph->values[id].origin != FERI_ORIGIN_INPUT) {
            return BROKEN("input %u of the graph is not a value that can be one", i);
        }
        if (c->defined[id]) {
            return BROKEN("value '%s' is an input of the graph twice", graph->values[id].name);
        }
        c->defined[id] = 1;
    }
    return FER_OK;
}

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
        if (value->assigned == FER_NO_VALUE) {
            continue;
        }
        if (value->origin != FERI_ORIGIN_VARIABLE || value->assigned >= graph->value_count ||
            !c->defined[value->assigned]) {
            return BROKEN("what is assigned to '%s' is not a value of the graph", value->name);
        }
        fer_dtype becomes = c->facts[value->assigned].dtype;
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
        return BROKEN("node '%s': %s has no body '%s'", node->name, node->op->name, attr);
    }
    uint32_t body_formals = body->input_count - body->capture_count;
    if (body_formals != formals) {
        return BROKEN("node '%s': body '%s' takes %u inputs but %s gives it %u",
                      node->name,
                      attr,
                      body_formals,
                      node->op->name,
                      formals);
    }
    if (body->output_count != (uint64_t)node->output_count + skipped_outputs) {
        return BROKEN("node '%s': body '%s' has %u outputs where %s needs %u",
                      node->name,
                      attr,
                      body->output_count,
                      node->op->name,
                      node->output_count + skipped_outputs);
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
    const struct {
        const char *name;
        uint64_t count;
    } lists[] = {
        {"scan_input_axes",        (uint64_t)scanned               },
        {"scan_input_directions",  (uint64_t)scanned               },
        {"scan_output_axes",       node->output_count - state_count},
        {"scan_output_directions", node->output_count - state_count},
    };
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        const fer_attr *attr = feri_attr_find(node->attrs, node->attr_count, lists[l].name);
        if (attr != NULL && attr->count != lists[l].count) {
            return BROKEN("node '%s': %s has %u entries where Scan needs %llu",
                          node->name,
                          lists[l].name,
                          attr->count,
                          (unsigned long long)lists[l].count);
        }
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

static fer_status check_graph(const fer_graph *graph, feri_fact *const *captured);

static fer_status check_body(check *c, const feri_gnode *node, const fer_graph *body) {
    const fer_graph *graph = c->graph;
    if (body == NULL || body->parent != graph || body->root != graph->root ||
        body->depth != graph->depth + 1 || body->capture_count > body->input_count) {
        return BROKEN("node '%s': a body is not part of the graph around it", node->name);
    }
    for (uint32_t k = 0; k < body->capture_count; k++) {
        uint32_t at = body->captures[k];
        if (at < node->formal_count || at >= node->input_count ||
            node->inputs[at] == FER_NO_VALUE) {
            return BROKEN("node '%s': capture %u of a body has no source", node->name, k);
        }
    }
    feri_fact **captured = FERI_BUMP_ARRAY(&c->bump, feri_fact *, body->capture_count);
    if (captured == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t k = 0; k < body->capture_count; k++) {
        captured[k] = &c->facts[node->inputs[body->captures[k]]];
    }
    return check_graph(body, captured);
}

static fer_status check_attrs(const feri_gnode *node) {
    for (uint32_t a = 0; a < node->attr_count; a++) {
        const fer_attr *attr = &node->attrs[a];
        int bad = attr->name == NULL || attr->type <= FER_ATTR_NONE ||
                  attr->type > FER_ATTR_GRAPH ||
                  (attr->type == FER_ATTR_TENSOR && attr->value.tensor == NULL) ||
                  (attr->type == FER_ATTR_GRAPH && attr->value.graph >= node->body_count) ||
                  (a > 0 && strcmp(node->attrs[a - 1].name, attr->name) >= 0);
        if (bad) {
            return BROKEN("node '%s': attribute '%s' is malformed",
                          node->name,
                          attr->name != NULL ? attr->name : "");
        }
    }
    return FER_OK;
}

/* ---- nodes ---- */

static fer_status check_operands(check *c, const feri_gnode *node) {
    const fer_graph *graph = c->graph;
    if (node->formal_count > node->input_count) {
        return BROKEN("node '%s' has more operands than inputs", node->name);
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        fer_value_id id = node->inputs[i];
        c->in[i] = NULL;
        if (id == FER_NO_VALUE) {
            continue;
        }
        if (id >= graph->value_count || !c->defined[id]) {
            const char *name = id < graph->value_count ? graph->values[id].name : "";
            return BROKEN("node '%s' (%s): input %u ('%s') is made by no earlier node, input or "
                          "constant",
                          node->name,
                          node->op->name,
                          i,
                          name);
        }
        c->in[i] = &c->facts[id];
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        fer_value_id id = node->outputs[o];
        memset(&c->spare[o], 0, sizeof(c->spare[o]));
        c->spare[o].rank = -1;
        c->out[o] = &c->spare[o];
        if (id == FER_NO_VALUE) {
            continue;
        }
        if (id >= graph->value_count || graph->values[id].origin != FERI_ORIGIN_NODE) {
            return BROKEN("node '%s' (%s): output %u is not a value a node can make",
                          node->name,
                          node->op->name,
                          o);
        }
        if (c->defined[id]) {
            return BROKEN("node '%s' (%s): its output '%s' is also made by another node",
                          node->name,
                          node->op->name,
                          graph->values[id].name);
        }
        c->defined[id] = 1;
        c->out[o] = &c->facts[id];
    }
    return FER_OK;
}

static fer_status check_node(check *c, const feri_gnode *node) {
    if (node->op == NULL || node->name == NULL) {
        return BROKEN("a node has no op or no name");
    }
    FER_TRY(check_operands(c, node));
    FER_TRY(check_attrs(node));
    feri_infer call = {.op = node->op,
                       .node = node->name,
                       .attrs = node->attrs,
                       .attr_count = node->attr_count,
                       .in_count = node->formal_count,
                       .out_count = node->output_count,
                       .in = c->in,
                       .out = c->out,
                       .terms = c->graph->terms,
                       .bump = &c->bump};
    FER_TRY(feri_op_check(&call));
    FER_TRY(feri_graph_check_control(node));
    for (uint32_t b = 0; b < node->body_count; b++) {
        FER_TRY(check_body(c, node, node->bodies[b]));
    }
    return FER_OK;
}

static fer_status check_all(check *c, feri_fact *const *captured) {
    const fer_graph *graph = c->graph;
    for (uint32_t v = 0; v < graph->value_count; v++) {
        FER_TRY(check_value(c, v));
    }
    FER_TRY(check_names(graph));
    FER_TRY(check_inputs(c));
    uint32_t formals = graph->input_count - graph->capture_count;
    for (uint32_t k = 0; k < graph->capture_count; k++) {
        feri_fact *fact = &c->facts[graph->inputs[formals + k]];
        fact->kind = captured[k]->kind;
        fact->dtype = captured[k]->dtype;
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const feri_gnode *node = graph->nodes[n];
        fer_status status = node->is_dead ? FER_OK : check_node(c, node);
        if (status != FER_OK) {
            feri_error_set_node(node->name);
            return status;
        }
    }
    return check_ends(c);
}

static fer_status check_graph(const fer_graph *graph, feri_fact *const *captured) {
    check c;
    memset(&c, 0, sizeof(c));
    fer_status status = prepare(&c, graph);
    if (status == FER_OK) {
        status = check_all(&c, captured);
    }
    feri_bump_finish(&c.bump);
    return status;
}

fer_status feri_graph_verify(const fer_graph *graph) {
    if (graph->parent == NULL && graph->capture_count != 0) {
        return BROKEN("the main graph captures values, but there is nothing around it");
    }
    return check_graph(graph, /*captured=*/NULL);
}
