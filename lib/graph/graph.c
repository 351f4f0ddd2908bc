/* SPDX-License-Identifier: Apache-2.0
 *
 * Making graphs: values, nodes, outputs, and their end. The arrays of values and nodes grow on the
 * heap, everything else lives in the graph's bump. Called by import/, the public builder and
 * whoever rewrites. Refuses nothing about meaning: that is verify.c's.
 */
#include "graph/graph.h"

#include "base/error.h"

#include <string.h>

/* Recursion over bodies must stay far below a thread's stack whatever max_nesting says. */
#define DEEPEST_NESTING 512

fer_status feri_check_nesting(const feri_env *env, uint32_t depth, const char *what) {
    uint32_t limit = env->limits.max_nesting;
    limit = limit < DEEPEST_NESTING ? limit : DEEPEST_NESTING;
    if (depth <= limit) {
        return FER_OK;
    }
    return feri_fail(FER_LIMIT,
                     "%s nested deeper than max_nesting allows (%u); raise the limit in "
                     "fer_context_options (at most %d) or flatten the model",
                     what,
                     limit,
                     DEEPEST_NESTING);
}

fer_status feri_graph_create(feri_env *env, fer_graph *parent, fer_graph **out_graph) {
    uint32_t depth = parent != NULL ? parent->depth + 1 : 0;
    FER_TRY(feri_check_nesting(env, depth, "graphs are"));
    fer_graph *graph = feri_alloc(env, sizeof(*graph));
    if (graph == NULL) {
        return feri_error_status();
    }
    graph->env = env;
    graph->parent = parent;
    graph->root = parent != NULL ? parent->root : graph;
    graph->depth = depth;
    graph->name = "";
    feri_bump_init(&graph->bump, env);
    feri_name_map_init(&graph->names, env);
    if (parent == NULL) {
        atomic_store(&graph->refs, 1);
        fer_status status = feri_terms_create(env, &graph->terms);
        if (status != FER_OK) {
            feri_free(env, graph, sizeof(*graph));
            return status;
        }
        feri_env_retain(env);
    } else {
        graph->terms = parent->terms;
    }
    *out_graph = graph;
    return FER_OK;
}

void feri_node_drop_bodies(feri_gnode *node) {
    for (uint32_t b = 0; b < node->body_count; b++) {
        feri_graph_destroy(node->bodies[b]);
    }
    node->body_count = 0;
}

void feri_graph_destroy(fer_graph *graph) {
    if (graph == NULL) {
        return;
    }
    feri_env *env = graph->env;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        feri_node_drop_bodies(graph->nodes[n]);
    }
    for (uint32_t v = 0; v < graph->value_count; v++) {
        fer_tensor_release(graph->values[v].constant);
    }
    for (uint32_t h = 0; h < graph->held_count; h++) {
        fer_tensor_release(graph->held[h]);
    }
    feri_free(env, graph->values, (uint64_t)graph->value_capacity * sizeof(*graph->values));
    feri_free(env, graph->nodes, (uint64_t)graph->node_capacity * sizeof(*graph->nodes));
    feri_name_map_finish(&graph->names);
    feri_bump_finish(&graph->bump);
    int is_root = graph->parent == NULL;
    if (is_root) {
        feri_terms_destroy(graph->terms);
        fer_tensor_release(graph->file);
    } else {
        graph->root->total_nodes -= graph->node_count;
    }
    feri_free(env, graph, sizeof(*graph));
    if (is_root) {
        feri_env_release(env);
    }
}

fer_graph *fer_graph_retain(fer_graph *graph) {
    if (graph != NULL) {
        atomic_fetch_add_explicit(&graph->refs, 1, memory_order_relaxed);
    }
    return graph;
}

void fer_graph_release(fer_graph *graph) {
    if (graph != NULL && atomic_fetch_sub_explicit(&graph->refs, 1, memory_order_acq_rel) == 1) {
        feri_graph_destroy(graph);
    }
}

/* ---- values ---- */

/* A copy of a name, or "" where there is none; NULL when there is no memory. */
static const char *copy_name(fer_graph *graph, const char *name) {
    return name == NULL || name[0] == '\0' ? ""
                                           : feri_bump_strndup(&graph->bump, name, strlen(name));
}

fer_status
feri_graph_new_value(fer_graph *graph, const char *name, uint8_t origin, fer_value_id *out_value) {
    if (graph->value_count >= graph->env->limits.max_values || graph->value_count >= INT32_MAX) {
        return feri_fail(FER_LIMIT,
                         "the graph has more values than max_values allows (%llu)",
                         (unsigned long long)graph->env->limits.max_values);
    }
    FER_TRY(feri_grow(graph->env,
                      &graph->values,
                      &graph->value_capacity,
                      graph->value_count + 1,
                      sizeof(*graph->values)));
    const char *copy = copy_name(graph, name);
    if (copy == NULL) {
        return feri_error_status();
    }
    feri_gvalue *value = &graph->values[graph->value_count];
    memset(value, 0, sizeof(*value));
    value->name = copy;
    value->fact.rank = -1;
    value->origin = origin;
    value->assigned = FER_NO_VALUE;
    value->producer = UINT32_MAX;
    *out_value = graph->value_count++;
    return FER_OK;
}

fer_status feri_graph_new_input(fer_graph *graph, const char *name, fer_value_id *out_value) {
    FER_TRY(feri_bump_grow(&graph->bump,
                           &graph->inputs,
                           &graph->input_capacity,
                           graph->input_count + 1,
                           sizeof(*graph->inputs)));
    fer_value_id value = 0;
    FER_TRY(feri_graph_new_value(graph, name, FERI_ORIGIN_INPUT, &value));
    graph->inputs[graph->input_count++] = value;
    *out_value = value;
    return FER_OK;
}

fer_status feri_graph_new_capture(fer_graph *body,
                                  const char *name,
                                  uint32_t owner_input,
                                  fer_value_id *out_value) {
    FER_TRY(feri_bump_grow(&body->bump,
                           &body->captures,
                           &body->capture_capacity,
                           body->capture_count + 1,
                           sizeof(uint32_t)));
    FER_TRY(feri_graph_new_input(body, name, out_value));
    body->captures[body->capture_count++] = owner_input;
    return FER_OK;
}

fer_status feri_graph_hold(fer_graph *graph, fer_value_id id, fer_tensor *tensor, uint8_t origin) {
    feri_gvalue *value = &graph->values[id];
    uint32_t rank = tensor->rank;
    feri_sym *dims = FERI_BUMP_ARRAY(&graph->bump, feri_sym, rank);
    if (dims == NULL) {
        return feri_error_status();
    }
    for (uint32_t d = 0; d < rank; d++) {
        dims[d] = feri_sym_number(tensor->dims[d]);
    }
    memset(&value->fact, 0, sizeof(value->fact));
    value->fact.kind = FER_KIND_TENSOR;
    value->fact.dtype = tensor->dtype;
    value->fact.rank = (int32_t)rank;
    value->fact.dims = dims;
    if (origin == FERI_ORIGIN_CONSTANT && value->fact.dtype != FER_STRING) {
        value->fact.data = fer_tensor_data(tensor);
    }
    value->constant = fer_tensor_retain(tensor);
    value->origin = origin;
    value->producer = UINT32_MAX;
    return FER_OK;
}

fer_status feri_graph_new_held(fer_graph *graph,
                               const char *name,
                               fer_tensor *tensor,
                               uint8_t origin,
                               fer_value_id *out_value) {
    fer_value_id value = 0;
    FER_TRY(feri_graph_new_value(graph, name, FERI_ORIGIN_NONE, &value));
    fer_status status = feri_graph_hold(graph, value, tensor, origin);
    graph->value_count -= status != FER_OK;
    *out_value = value;
    return status;
}

fer_status feri_graph_new_constant(fer_graph *graph,
                                   const char *name,
                                   fer_tensor *tensor,
                                   fer_value_id *out_value) {
    return feri_graph_new_held(graph, name, tensor, FERI_ORIGIN_CONSTANT, out_value);
}

fer_status feri_graph_append_output(fer_graph *graph, const char *name, fer_value_id value) {
    FER_TRY(feri_bump_grow(&graph->bump,
                           &graph->outputs,
                           &graph->output_capacity,
                           graph->output_count + 1,
                           sizeof(*graph->outputs)));
    FER_TRY(feri_bump_grow(&graph->bump,
                           &graph->output_names,
                           &graph->output_names_capacity,
                           graph->output_count + 1,
                           sizeof(*graph->output_names)));
    const char *copy = copy_name(graph, name);
    if (copy == NULL) {
        return feri_error_status();
    }
    graph->outputs[graph->output_count] = value;
    graph->output_names[graph->output_count++] = copy;
    graph->values[value].is_output = 1;
    return FER_OK;
}

/* ---- nodes ---- */

uint32_t feri_without_tail(const fer_value_id *ids, uint32_t count) {
    while (count > 0 && ids[count - 1] == FER_NO_VALUE) {
        count--;
    }
    return count;
}

fer_status feri_graph_hold_tensor(fer_graph *graph, fer_tensor *tensor) {
    FER_TRY(feri_bump_grow(&graph->bump,
                           &graph->held,
                           &graph->held_capacity,
                           graph->held_count + 1,
                           sizeof(*graph->held)));
    graph->held[graph->held_count++] = fer_tensor_retain(tensor);
    return FER_OK;
}

static fer_status copy_string(feri_bump *bump, fer_string *string) {
    string->data =
        feri_bump_strndup(bump, string->data != NULL ? string->data : "", string->length);
    return string->data != NULL ? FER_OK : feri_error_status();
}

/* What an attribute points to becomes the graph's own. */
static fer_status own_attr(fer_graph *graph, fer_attr *attr) {
    feri_bump *bump = &graph->bump;
    attr->name = copy_name(graph, attr->name);
    if (attr->name == NULL) {
        return feri_error_status();
    }
    if (attr->type == FER_ATTR_TENSOR) {
        return feri_graph_hold_tensor(graph, attr->value.tensor);
    }
    uint32_t bytes = feri_attr_entry_bytes(attr);
    const void *entries = feri_attr_entries(attr, &attr->count);
    if (entries != &attr->value) {
        FER_TRY(feri_bump_copy(bump, &attr->value, attr->count, bytes));
        entries = attr->value.ints;
    }
    for (uint32_t s = 0; bytes == sizeof(fer_string) && s < attr->count; s++) {
        FER_TRY(copy_string(bump, (fer_string *)(uintptr_t)entries + s));
    }
    return FER_OK;
}

/* Sorted by name, no name twice. */
static fer_status own_attrs(fer_graph *graph, feri_gnode *node) {
    if (node->attr_count > 1000) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s' has %u attributes; no op has so many",
                         node->name,
                         node->attr_count);
    }
    FER_TRY(feri_bump_copy(&graph->bump, &node->attrs, node->attr_count, sizeof(fer_attr)));
    for (uint32_t a = 0; a < node->attr_count; a++) {
        fer_attr attr = node->attrs[a];
        FER_TRY(own_attr(graph, &attr));
        int order = 1;
        uint32_t at = a;
        while (at > 0 && (order = strcmp(node->attrs[at - 1].name, attr.name)) > 0) {
            at--;
        }
        if (order == 0) {
            return feri_fail(
                FER_INVALID_MODEL, "node '%s' has attribute '%s' twice", node->name, attr.name);
        }
        memmove(&node->attrs[at + 1], &node->attrs[at], (a - at) * sizeof(attr));
        node->attrs[at] = attr;
    }
    return FER_OK;
}

fer_status
feri_graph_append_node(fer_graph *graph, const feri_gnode *template_node, feri_gnode **out_node) {
    fer_graph *root = graph->root;
    if (root->total_nodes >= graph->env->limits.max_nodes || graph->node_count >= INT32_MAX) {
        return feri_fail(FER_LIMIT,
                         "the graph has more nodes than max_nodes allows (%llu), at node '%s'",
                         (unsigned long long)graph->env->limits.max_nodes,
                         template_node->name);
    }
    FER_TRY(feri_grow(graph->env,
                      &graph->nodes,
                      &graph->node_capacity,
                      graph->node_count + 1,
                      sizeof(feri_gnode *)));
    feri_bump *bump = &graph->bump;
    feri_gnode *node = feri_bump_alloc(bump, sizeof(*node));
    if (node == NULL) {
        return feri_error_status();
    }
    *node = *template_node;
    node->is_dead = 0;
    node->name = copy_name(graph, node->name);
    if (node->name == NULL) {
        return feri_error_status();
    }
    FER_TRY(feri_bump_copy(bump, &node->inputs, node->input_count, sizeof(fer_value_id)));
    FER_TRY(feri_bump_copy(bump, &node->outputs, node->output_count, sizeof(fer_value_id)));
    FER_TRY(feri_bump_copy(bump, &node->bodies, node->body_count, sizeof(fer_graph *)));
    FER_TRY(own_attrs(graph, node));
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (node->outputs[o] != FER_NO_VALUE) {
            graph->values[node->outputs[o]].producer = graph->node_count;
        }
    }
    graph->nodes[graph->node_count++] = node;
    root->total_nodes++;
    if (out_node != NULL) {
        *out_node = node;
    }
    return FER_OK;
}

feri_infer
feri_node_call(const fer_graph *graph, const feri_gnode *node, feri_fact **facts, feri_bump *bump) {
    for (uint64_t f = 0; f < (uint64_t)node->input_count + node->output_count; f++) {
        fer_value_id id =
            f < node->input_count ? node->inputs[f] : node->outputs[f - node->input_count];
        facts[f] = id != FER_NO_VALUE ? &graph->values[id].fact : NULL;
    }
    return (feri_infer){.op = node->op,
                        .node = node->name,
                        .attrs = node->attrs,
                        .attr_count = node->attr_count,
                        .in_count = node->formal_count,
                        .out_count = node->output_count,
                        .in = facts,
                        .out = facts + node->input_count,
                        .terms = graph->terms,
                        .bump = bump};
}
