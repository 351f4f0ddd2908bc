/* SPDX-License-Identifier: Apache-2.0
 *
 * The public builder: fer_graph_create, fer_graph_add_..., fer_graph_finish. It judges every
 * argument as it comes, so that the sentence names the call that was wrong; the whole is verified
 * and inferred at finish. Until then a graph belongs to one thread.
 */
#include "base/error.h"
#include "graph/graph.h"
#include "tensor/dtype.h"

#include <string.h>

static fer_status check_open(const fer_graph *graph, const char *call) {
    if (graph == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "%s: graph is NULL", call);
    }
    if (graph->is_finished) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "%s: the graph is finished and cannot change any more; build a new one",
                         call);
    }
    return FER_OK;
}

static fer_status check_name(fer_graph *graph, const char *call, const char *name) {
    uint32_t old = 0;
    if (name == NULL || name[0] == '\0') {
        return feri_fail(FER_INVALID_ARGUMENT, "%s: the value needs a name", call);
    }
    if (feri_name_map_get(&graph->names, name, strlen(name), &old)) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "%s: the name '%s' is taken by another value of the graph",
                         call,
                         name);
    }
    return FER_OK;
}

static fer_status note_name(fer_graph *graph, fer_value_id value) {
    const char *name = graph->values[value].name;
    return feri_name_map_set(&graph->names, name, strlen(name), value);
}

fer_status fer_graph_create(fer_context *context, fer_graph **out_graph) {
    if (context == NULL || out_graph == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "fer_graph_create: an argument is NULL");
    }
    return feri_graph_create(feri_env_of(context), /*parent=*/NULL, out_graph);
}

fer_status fer_graph_add_input(fer_graph *graph,
                               const char *name,
                               fer_dtype dtype,
                               uint32_t rank,
                               const int64_t *dims,
                               const char *const *symbols,
                               fer_value_id *out_value) {
    FER_TRY(check_open(graph, __func__));
    FER_TRY(check_name(graph, __func__, name));
    if (!feri_dtype_is_valid(dtype) || rank > FER_MAX_RANK || (rank > 0 && dims == NULL) ||
        out_value == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_graph_add_input '%s': dtype %d, rank %u (at most %d) or a pointer "
                         "is not valid",
                         name,
                         dtype,
                         rank,
                         FER_MAX_RANK);
    }
    feri_sym *syms = FERI_BUMP_ARRAY(&graph->bump, feri_sym, rank);
    if (syms == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t d = 0; d < rank; d++) {
        if (dims[d] < -1) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "fer_graph_add_input '%s': dim %u is %lld; use -1 for an unknown dim",
                             name,
                             d,
                             (long long)dims[d]);
        }
        const char *symbol = symbols != NULL ? symbols[d] : NULL;
        syms[d] = dims[d] >= 0 ? feri_sym_number(dims[d])
                               : feri_terms_symbol(graph->terms, symbol, /*min=*/0);
    }
    FER_TRY(feri_terms_status(graph->terms));
    fer_value_id value = 0;
    FER_TRY(feri_graph_new_input(graph, name, &value));
    feri_fact *fact = &graph->values[value].fact;
    fact->kind = FER_KIND_TENSOR;
    fact->dtype = dtype;
    fact->rank = (int32_t)rank;
    fact->dims = syms;
    FER_TRY(note_name(graph, value));
    *out_value = value;
    return FER_OK;
}

fer_status fer_graph_add_constant(fer_graph *graph,
                                  const char *name,
                                  fer_tensor *tensor,
                                  fer_value_id *out_value) {
    FER_TRY(check_open(graph, __func__));
    FER_TRY(check_name(graph, __func__, name));
    if (tensor == NULL || out_value == NULL) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "fer_graph_add_constant '%s': an argument is NULL", name);
    }
    fer_value_id value = 0;
    FER_TRY(feri_graph_new_constant(graph, name, tensor, &value));
    FER_TRY(note_name(graph, value));
    *out_value = value;
    return FER_OK;
}

fer_status fer_graph_add_variable(fer_graph *graph,
                                  const char *name,
                                  fer_tensor *initial,
                                  fer_value_id *out_value) {
    FER_TRY(check_open(graph, __func__));
    FER_TRY(check_name(graph, __func__, name));
    if (initial == NULL || out_value == NULL) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "fer_graph_add_variable '%s': an argument is NULL", name);
    }
    fer_value_id value = 0;
    FER_TRY(feri_graph_new_variable(graph, name, initial, &value));
    FER_TRY(note_name(graph, value));
    *out_value = value;
    return FER_OK;
}

fer_status fer_graph_assign_variable(fer_graph *graph, fer_value_id variable, fer_value_id value) {
    FER_TRY(check_open(graph, __func__));
    if (variable >= graph->value_count || value >= graph->value_count ||
        graph->values[variable].origin != FERI_ORIGIN_VARIABLE) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_graph_assign_variable: %u is not a variable or %u not a value of "
                         "this graph",
                         variable,
                         value);
    }
    graph->values[variable].assigned = value;
    return FER_OK;
}

/* ---- nodes ---- */

typedef struct node_draft {
    feri_gnode node;
    fer_attr *attrs;
    fer_graph **bodies;
} node_draft;

static fer_status
check_node_inputs(const fer_graph *graph, const fer_node_desc *desc, const char *name) {
    if ((desc->input_count > 0 && desc->inputs == NULL) ||
        (desc->attr_count > 0 && desc->attrs == NULL)) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_graph_add_node '%s': an array is NULL but its count is not 0",
                         name);
    }
    for (uint32_t i = 0; i < desc->input_count; i++) {
        if (desc->inputs[i] != FER_NO_VALUE && desc->inputs[i] >= graph->value_count) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "fer_graph_add_node '%s': input %u is %u, which is no value of this "
                             "graph",
                             name,
                             i,
                             desc->inputs[i]);
        }
    }
    return FER_OK;
}

static fer_status check_attr(const fer_attr *attr, const char *name) {
    int needs_array = attr->type == FER_ATTR_INTS || attr->type == FER_ATTR_FLOATS ||
                      attr->type == FER_ATTR_STRINGS;
    int bad =
        attr->name == NULL || attr->type <= FER_ATTR_NONE || attr->type > FER_ATTR_GRAPH ||
        (needs_array && attr->count > 0 && attr->value.ints == NULL) ||
        (attr->type == FER_ATTR_TENSOR && attr->value.tensor == NULL) ||
        (attr->type == FER_ATTR_STRING && attr->value.s.length > 0 && attr->value.s.data == NULL);
    if (bad) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_graph_add_node '%s': attribute '%s' has no name, a type that is "
                         "unknown (%d) or no contents",
                         name,
                         attr->name != NULL ? attr->name : "",
                         attr->type);
    }
    return FER_OK;
}

static fer_status check_body(const fer_graph *graph, const fer_graph *body, const char *name) {
    if (body == NULL || !body->is_finished || body == graph) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_graph_add_node '%s': a body must be a finished graph of its own",
                         name);
    }
    for (uint32_t v = 0; v < body->value_count; v++) {
        if (body->values[v].origin == FERI_ORIGIN_VARIABLE) {
            return feri_fail(FER_INVALID_MODEL,
                             "node '%s': a body cannot have variables ('%s'); pass the value "
                             "through the node's inputs",
                             name,
                             body->values[v].name);
        }
    }
    return FER_OK;
}

/* Checks the attributes and copies bodies; on failure the draft's bodies are destroyed. */
static fer_status draft_attrs(fer_graph *graph, const fer_node_desc *desc, node_draft *draft) {
    const char *name = draft->node.name;
    draft->attrs = FERI_BUMP_ARRAY(&graph->bump, fer_attr, desc->attr_count);
    draft->bodies = FERI_BUMP_ARRAY(&graph->bump, fer_graph *, desc->attr_count);
    if (draft->attrs == NULL || draft->bodies == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t a = 0; a < desc->attr_count; a++) {
        const fer_attr *attr = &desc->attrs[a];
        FER_TRY(check_attr(attr, name));
        draft->attrs[a] = *attr;
        if (attr->type != FER_ATTR_GRAPH) {
            continue;
        }
        FER_TRY(check_body(graph, attr->value.body, name));
        uint32_t index = draft->node.body_count;
        FER_TRY(feri_graph_adopt(graph, attr->value.body, &draft->bodies[index]));
        draft->node.body_count++;
        draft->attrs[a].value.graph = index;
    }
    return FER_OK;
}

/* Loop's two leading operands may be left out; bodies count on their places. */
static fer_status
draft_operands(fer_graph *graph, const fer_node_desc *desc, node_draft *draft, fer_value_id *outs) {
    uint32_t least = feri_control_kind(draft->node.op) == FERI_CONTROL_LOOP ? 2 : 0;
    uint32_t count = desc->input_count > least ? desc->input_count : least;
    fer_value_id *inputs = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, count);
    if (inputs == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < count; i++) {
        inputs[i] = i < desc->input_count ? desc->inputs[i] : FER_NO_VALUE;
    }
    for (uint32_t o = 0; o < desc->output_count; o++) {
        FER_TRY(feri_graph_new_value(graph, /*name=*/NULL, FERI_ORIGIN_NODE, &outs[o]));
    }
    draft->node.inputs = inputs;
    draft->node.input_count = count;
    draft->node.formal_count = count;
    draft->node.outputs = outs;
    draft->node.output_count = desc->output_count;
    draft->node.attrs = draft->attrs;
    draft->node.attr_count = desc->attr_count;
    draft->node.bodies = draft->bodies;
    return FER_OK;
}

/* dtypes at once, so that the failing call is the wrong one. */
static fer_status check_dtypes(fer_graph *graph, const feri_gnode *node) {
    feri_fact **facts = FERI_BUMP_ARRAY(
        &graph->bump, feri_fact *, (uint64_t)node->input_count + node->output_count);
    if (facts == NULL) {
        return fer_error_last()->status;
    }
    feri_infer call = feri_node_call(graph, node, facts, &graph->bump);
    return feri_op_check(&call);
}

static fer_status find_op(fer_graph *graph, const fer_node_desc *desc, node_draft *draft) {
    const char *domain = desc->domain != NULL ? desc->domain : "";
    const char *name = desc->name != NULL ? desc->name : "";
    if (desc->op == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "fer_graph_add_node '%s': op is NULL", name);
    }
    FER_TRY(feri_op_find_for(domain, desc->op, name, &draft->node.op));
    draft->node.revision = draft->node.op->revision;
    draft->node.source = graph->source_count;
    draft->node.name = name[0] != '\0'
                           ? name
                           : feri_bump_printf(&graph->bump, "%s_%u", desc->op, graph->source_count);
    return draft->node.name != NULL ? FER_OK : fer_error_last()->status;
}

static fer_status
add_constant(fer_graph *graph, const fer_node_desc *desc, fer_value_id *out_values) {
    const char *name = desc->name != NULL ? desc->name : "";
    if (desc->input_count != 0 || desc->output_count != 1) {
        return feri_fail(FER_INVALID_MODEL, "Constant '%s' has one result and no operand", name);
    }
    for (uint32_t a = 0; a < desc->attr_count; a++) {
        FER_TRY(check_attr(&desc->attrs[a], name));
    }
    return feri_graph_add_constant_node(graph, desc, out_values);
}

fer_status
fer_graph_add_node(fer_graph *graph, const fer_node_desc *node, fer_value_id *out_values) {
    FER_TRY(check_open(graph, __func__));
    fer_node_desc desc;
    if (node == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "fer_graph_add_node: node is NULL");
    }
    FER_TRY(feri_struct_in(&desc, sizeof(desc), node, "fer_node_desc"));
    node_draft draft;
    memset(&draft, 0, sizeof(draft));
    FER_TRY(find_op(graph, &desc, &draft));
    FER_TRY(check_node_inputs(graph, &desc, draft.node.name));
    if (desc.output_count > 0 && out_values == NULL) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "fer_graph_add_node '%s': out_values is NULL", draft.node.name);
    }
    if (strcmp(draft.node.op->name, "Constant") == 0) {
        FER_TRY(add_constant(graph, &desc, out_values));
        return FER_OK;
    }
    uint32_t old_value_count = graph->value_count;
    fer_value_id *outs = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, desc.output_count);
    fer_status status = outs != NULL ? FER_OK : fer_error_last()->status;
    if (status == FER_OK) {
        status = draft_attrs(graph, &desc, &draft);
    }
    if (status == FER_OK) {
        status = draft_operands(graph, &desc, &draft, outs);
    }
    if (status == FER_OK) {
        status = check_dtypes(graph, &draft.node);
    }
    if (status == FER_OK) {
        status = feri_graph_append_node(graph, &draft.node, NULL);
    }
    if (status != FER_OK) {
        for (uint32_t b = 0; b < draft.node.body_count; b++) {
            feri_graph_destroy(draft.bodies[b]);
        }
        graph->value_count = old_value_count;
        feri_error_set_node(draft.node.name);
        return status;
    }
    graph->source_count++;
    if (desc.output_count > 0) {
        memcpy(out_values, outs, desc.output_count * sizeof(*outs));
    }
    return FER_OK;
}

fer_status fer_graph_add_output(fer_graph *graph, const char *name, fer_value_id value) {
    FER_TRY(check_open(graph, __func__));
    if (name == NULL || name[0] == '\0' || value >= graph->value_count) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_graph_add_output '%s': the output needs a name and a value of this "
                         "graph",
                         name != NULL ? name : "");
    }
    return feri_graph_append_output(graph, name, value);
}

fer_status fer_graph_finish(fer_graph *graph) {
    FER_TRY(check_open(graph, __func__));
    feri_graph_reindex(graph);
    FER_TRY(feri_graph_verify(graph));
    FER_TRY(feri_graph_infer_known(graph));
    FER_TRY(feri_graph_describe(graph));
    graph->is_finished = 1;
    return FER_OK;
}
