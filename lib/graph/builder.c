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

static fer_status refuse(const char *call, const char *name, const char *why) {
    return feri_fail(FER_INVALID_ARGUMENT, "%s '%s': %s", call, name != NULL ? name : "", why);
}

static fer_status check_open(const fer_graph *graph, const char *call) {
    if (graph == NULL) {
        return refuse(call, "", "graph is NULL");
    }
    return graph->is_finished
               ? refuse(call,
                        graph->name,
                        "the graph is finished and cannot change any more; build a new one")
               : FER_OK;
}

/* Judges what the calls that make a value share. */
static fer_status check_new(const fer_graph *graph,
                            const char *call,
                            const char *name,
                            const void *contents,
                            const fer_value_id *out_value) {
    uint32_t old = 0;
    FER_TRY(check_open(graph, call));
    if (name == NULL || name[0] == '\0') {
        return refuse(call, name, "the value needs a name");
    }
    if (feri_name_map_get(&graph->names, name, strlen(name), &old)) {
        return refuse(call, name, "the name is taken by another value of the graph");
    }
    return contents == NULL || out_value == NULL ? refuse(call, name, "an argument is NULL")
                                                 : FER_OK;
}

static fer_status note_name(fer_graph *graph, fer_value_id value, fer_value_id *out_value) {
    const char *name = graph->values[value].name;
    FER_TRY(feri_name_map_set(&graph->names, name, strlen(name), value));
    *out_value = value;
    return FER_OK;
}

fer_status fer_graph_create(fer_context *context, fer_graph **out_graph) {
    if (context == NULL || out_graph == NULL) {
        return refuse(__func__, "", "an argument is NULL");
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
    feri_sym syms[FER_MAX_RANK];
    FER_TRY(check_new(graph, __func__, name, rank > 0 ? (const void *)dims : "", out_value));
    if (!feri_dtype_is_valid(dtype) || rank > FER_MAX_RANK) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "%s '%s': dtype %d or rank %u (at most %d) is not valid",
                         __func__,
                         name,
                         dtype,
                         rank,
                         FER_MAX_RANK);
    }
    for (uint32_t d = 0; d < rank; d++) {
        if (dims[d] < -1) {
            return refuse(__func__, name, "a dim is negative; use -1 for an unknown dim");
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
    FER_TRY(feri_fact_set_dims(fact, &graph->bump, (int32_t)rank, syms));
    return note_name(graph, value, out_value);
}

static fer_status add_held(fer_graph *graph,
                           const char *call,
                           const char *name,
                           fer_tensor *tensor,
                           uint8_t origin,
                           fer_value_id *out_value) {
    fer_value_id value = 0;
    FER_TRY(check_new(graph, call, name, tensor, out_value));
    FER_TRY(feri_graph_new_held(graph, name, tensor, origin, &value));
    return note_name(graph, value, out_value);
}

fer_status fer_graph_add_constant(fer_graph *graph,
                                  const char *name,
                                  fer_tensor *tensor,
                                  fer_value_id *out_value) {
    return add_held(graph, __func__, name, tensor, FERI_ORIGIN_CONSTANT, out_value);
}

fer_status fer_graph_add_variable(fer_graph *graph,
                                  const char *name,
                                  fer_tensor *initial,
                                  fer_value_id *out_value) {
    return add_held(graph, __func__, name, initial, FERI_ORIGIN_VARIABLE, out_value);
}

fer_status fer_graph_assign_variable(fer_graph *graph, fer_value_id variable, fer_value_id value) {
    FER_TRY(check_open(graph, __func__));
    if (variable >= graph->value_count || value >= graph->value_count ||
        graph->values[variable].origin != FERI_ORIGIN_VARIABLE) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "%s: %u is not a variable or %u not a value of this graph",
                         __func__,
                         variable,
                         value);
    }
    graph->values[variable].assigned = value;
    return FER_OK;
}

/* ---- nodes ---- */

static const char add_node[] = "fer_graph_add_node";

fer_status feri_graph_check_attr(const fer_attr *attr, const char *call, const char *name) {
    uint32_t count;
    const fer_string *entries = feri_attr_entries(attr, &count);
    int bad = attr->name == NULL || attr->type <= FER_ATTR_NONE || attr->type > FER_ATTR_GRAPH ||
              (count > 0 && entries == NULL) ||
              (attr->type == FER_ATTR_TENSOR && attr->value.tensor == NULL);
    for (uint32_t s = 0; !bad && feri_attr_entry(attr) == FERI_ENTRY_STRING && s < count; s++) {
        bad = entries[s].length > 0 && entries[s].data == NULL;
    }
    if (bad) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "%s '%s': attribute '%s' has no name, a type that is unknown (%d) or no "
                         "contents",
                         call,
                         name,
                         attr->name != NULL ? attr->name : "",
                         attr->type);
    }
    return FER_OK;
}

static fer_status check_body(const fer_graph *graph, const fer_graph *body, const char *name) {
    if (body == NULL || !body->is_finished || body == graph) {
        return refuse(add_node, name, "a body must be a finished graph of its own");
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

/* Copies the attributes, and bodies, which are the caller's also on failure. */
static fer_status draft_attrs(fer_graph *graph, const fer_node_desc *desc, feri_gnode *node) {
    node->attrs = FERI_BUMP_ARRAY(&graph->bump, fer_attr, desc->attr_count);
    node->bodies = FERI_BUMP_ARRAY(&graph->bump, fer_graph *, desc->attr_count);
    if (node->attrs == NULL || node->bodies == NULL) {
        return feri_error_status();
    }
    for (uint32_t a = 0; a < desc->attr_count; a++) {
        fer_attr *attr = &node->attrs[node->attr_count++];
        *attr = desc->attrs[a];
        if (attr->type == FER_ATTR_GRAPH) {
            FER_TRY(check_body(graph, attr->value.body, node->name));
            FER_TRY(feri_graph_adopt(graph, attr->value.body, &node->bodies[node->body_count]));
            attr->value.graph = node->body_count++;
        }
    }
    return FER_OK;
}

/* Loop's two leading operands may be left out; bodies count on their places. */
static fer_status draft_operands(fer_graph *graph, const fer_node_desc *desc, feri_gnode *node) {
    uint32_t least = feri_control_kind(node->op) == FERI_CONTROL_LOOP ? 2 : 0;
    uint32_t count = desc->input_count > least ? desc->input_count : least;
    node->inputs = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, count);
    node->outputs = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, desc->output_count);
    if (node->inputs == NULL || node->outputs == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < count; i++) {
        fer_value_id id = i < desc->input_count ? desc->inputs[i] : FER_NO_VALUE;
        if (id != FER_NO_VALUE && id >= graph->value_count) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "%s '%s': input %u is %u, which is no value of this graph",
                             add_node,
                             node->name,
                             i,
                             id);
        }
        node->inputs[i] = id;
    }
    for (uint32_t o = 0; o < desc->output_count; o++) {
        FER_TRY(feri_graph_new_value(graph, /*name=*/NULL, FERI_ORIGIN_NODE, &node->outputs[o]));
    }
    node->input_count = node->formal_count = count;
    node->output_count = desc->output_count;
    return FER_OK;
}

static fer_status find_op(fer_graph *graph, fer_node_desc *desc, feri_gnode *node) {
    desc->name = desc->name != NULL ? desc->name : "";
    if (desc->op == NULL) {
        return refuse(add_node, desc->name, "op is NULL");
    }
    FER_TRY(feri_op_find_for(
        desc->domain != NULL ? desc->domain : "", desc->op, desc->name, &node->op));
    node->revision = node->op->revision;
    node->source = graph->source_count;
    node->name = desc->name[0] != '\0'
                     ? desc->name
                     : feri_bump_printf(&graph->bump, "%s_%u", desc->op, graph->source_count);
    return node->name != NULL ? FER_OK : feri_error_status();
}

/* dtypes are checked at once, so that the failing call is the wrong one. */
static fer_status append(fer_graph *graph, const fer_node_desc *desc, feri_gnode *node) {
    FER_TRY(draft_operands(graph, desc, node));
    FER_TRY(draft_attrs(graph, desc, node));
    FER_TRY(feri_graph_infer_node_types(graph, node));
    return feri_graph_append_node(graph, node, NULL);
}

fer_status
fer_graph_add_node(fer_graph *graph, const fer_node_desc *node, fer_value_id *out_values) {
    fer_node_desc desc;
    feri_gnode draft;
    FER_TRY(check_open(graph, add_node));
    if (node == NULL) {
        return refuse(add_node, "", "node is NULL");
    }
    FER_TRY(feri_struct_in(&desc, sizeof(desc), node, "fer_node_desc"));
    memset(&draft, 0, sizeof(draft));
    FER_TRY(find_op(graph, &desc, &draft));
    if ((desc.input_count > 0 && desc.inputs == NULL) ||
        (desc.attr_count > 0 && desc.attrs == NULL) ||
        (desc.output_count > 0 && out_values == NULL)) {
        return refuse(add_node, draft.name, "an array is NULL but its count is not 0");
    }
    for (uint32_t a = 0; a < desc.attr_count; a++) {
        FER_TRY(feri_graph_check_attr(&desc.attrs[a], add_node, draft.name));
    }
    if (strcmp(feri_op_name(draft.op), "Constant") == 0) {
        return feri_graph_add_constant_node(graph, &desc, out_values);
    }
    uint32_t old_value_count = graph->value_count;
    fer_status status = append(graph, &desc, &draft);
    if (status != FER_OK) {
        feri_node_drop_bodies(&draft);
        graph->value_count = old_value_count;
        feri_error_set_node(draft.name);
        return status;
    }
    graph->source_count++;
    if (desc.output_count > 0) {
        memcpy(out_values, draft.outputs, desc.output_count * sizeof(*out_values));
    }
    return FER_OK;
}

fer_status fer_graph_add_output(fer_graph *graph, const char *name, fer_value_id value) {
    FER_TRY(check_open(graph, __func__));
    if (name == NULL || name[0] == '\0' || value >= graph->value_count) {
        return refuse(__func__, name, "the output needs a name and a value of this graph");
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
