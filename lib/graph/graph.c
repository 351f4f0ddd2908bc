/* SPDX-License-Identifier: Apache-2.0
 *
 * Making graphs: values, nodes, outputs, and their end. Every graph-sized array grows on the heap,
 * everything else lives in the graph's bump. Called by import/, the public builder and whoever
 * rewrites. Refuses nothing about meaning: that is verify.c's.
 */
#include "graph/graph.h"

#include "base/error.h"

#include <string.h>

/* Recursion over bodies must stay far below a thread's stack whatever max_nesting says. */
#define DEEPEST_NESTING 512

fer_status feri_graph_create(feri_env *env, fer_graph *parent, fer_graph **out_graph) {
    uint32_t depth = parent != NULL ? parent->depth + 1 : 0;
    uint32_t limit = env->limits.max_nesting;
    limit = limit < DEEPEST_NESTING ? limit : DEEPEST_NESTING;
    if (depth > limit) {
        return feri_fail(FER_LIMIT,
                         "graphs are nested deeper than max_nesting allows (%u); raise the limit "
                         "in fer_context_options (at most %d) or flatten the model",
                         limit,
                         DEEPEST_NESTING);
    }
    fer_graph *graph = feri_alloc(env, sizeof(*graph));
    if (graph == NULL) {
        return fer_error_last()->status;
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

static void destroy_bodies(feri_gnode *node) {
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
        destroy_bodies(graph->nodes[n]);
    }
    for (uint32_t v = 0; v < graph->value_count; v++) {
        fer_tensor_release(graph->values[v].constant);
    }
    for (uint32_t h = 0; h < graph->held_count; h++) {
        fer_tensor_release(graph->held[h]);
    }
    feri_free(env, graph->values, (uint64_t)graph->value_capacity * sizeof(*graph->values));
    feri_free(env, graph->nodes, (uint64_t)graph->node_capacity * sizeof(*graph->nodes));
    feri_free(env, graph->inputs, (uint64_t)graph->input_capacity * sizeof(*graph->inputs));
    feri_free(env, graph->outputs, (uint64_t)graph->output_capacity * sizeof(*graph->outputs));
    feri_free(env,
              graph->output_names,
              (uint64_t)graph->output_names_capacity * sizeof(*graph->output_names));
    feri_free(env, graph->held, (uint64_t)graph->held_capacity * sizeof(*graph->held));
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
    const char *copy = "";
    if (name != NULL && name[0] != '\0') {
        copy = feri_bump_strndup(&graph->bump, name, strlen(name));
        if (copy == NULL) {
            return fer_error_last()->status;
        }
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
    FER_TRY(feri_grow(graph->env,
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
    /* Doubling in the bump: abandoned copies add up to as much again. */
    if ((body->capture_count & (body->capture_count - 1)) == 0) {
        uint64_t capacity = body->capture_count == 0 ? 1 : (uint64_t)body->capture_count * 2;
        uint32_t *grown = FERI_BUMP_ARRAY(&body->bump, uint32_t, capacity);
        if (grown == NULL) {
            return fer_error_last()->status;
        }
        if (body->capture_count > 0) {
            memcpy(grown, body->captures, body->capture_count * sizeof(*grown));
        }
        body->captures = grown;
    }
    FER_TRY(feri_graph_new_input(body, name, out_value));
    body->captures[body->capture_count++] = owner_input;
    return FER_OK;
}

/* What a constant tells: its contents too, where the host can read them. */
static fer_status
constant_fact(feri_bump *bump, fer_tensor *tensor, int with_data, feri_fact *fact) {
    uint32_t rank = fer_tensor_rank(tensor);
    feri_sym *dims = FERI_BUMP_ARRAY(bump, feri_sym, rank);
    if (dims == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t d = 0; d < rank; d++) {
        dims[d] = feri_sym_number(fer_tensor_dims(tensor)[d]);
    }
    memset(fact, 0, sizeof(*fact));
    fact->kind = FER_KIND_TENSOR;
    fact->dtype = fer_tensor_dtype(tensor);
    fact->rank = (int32_t)rank;
    fact->dims = dims;
    if (with_data && fact->dtype != FER_STRING) {
        fact->data = fer_tensor_data(tensor);
    }
    return FER_OK;
}

fer_status feri_graph_new_constant(fer_graph *graph,
                                   const char *name,
                                   fer_tensor *tensor,
                                   fer_value_id *out_value) {
    feri_fact fact;
    FER_TRY(constant_fact(&graph->bump, tensor, /*with_data=*/1, &fact));
    fer_value_id value = 0;
    FER_TRY(feri_graph_new_value(graph, name, FERI_ORIGIN_CONSTANT, &value));
    graph->values[value].fact = fact;
    graph->values[value].constant = fer_tensor_retain(tensor);
    *out_value = value;
    return FER_OK;
}

fer_status feri_graph_new_variable(fer_graph *graph,
                                   const char *name,
                                   fer_tensor *initial,
                                   fer_value_id *out_value) {
    feri_fact fact;
    FER_TRY(constant_fact(&graph->bump, initial, /*with_data=*/0, &fact));
    fer_value_id value = 0;
    FER_TRY(feri_graph_new_value(graph, name, FERI_ORIGIN_VARIABLE, &value));
    graph->values[value].fact = fact;
    graph->values[value].constant = fer_tensor_retain(initial);
    *out_value = value;
    return FER_OK;
}

fer_status feri_graph_append_output(fer_graph *graph, const char *name, fer_value_id value) {
    FER_TRY(feri_grow(graph->env,
                      &graph->outputs,
                      &graph->output_capacity,
                      graph->output_count + 1,
                      sizeof(*graph->outputs)));
    FER_TRY(feri_grow(graph->env,
                      &graph->output_names,
                      &graph->output_names_capacity,
                      graph->output_count + 1,
                      sizeof(*graph->output_names)));
    const char *copy = "";
    if (name != NULL && name[0] != '\0') {
        copy = feri_bump_strndup(&graph->bump, name, strlen(name));
        if (copy == NULL) {
            return fer_error_last()->status;
        }
    }
    graph->outputs[graph->output_count] = value;
    graph->output_names[graph->output_count++] = copy;
    graph->values[value].is_output = 1;
    return FER_OK;
}

/* ---- nodes ---- */

static fer_status hold_tensor(fer_graph *graph, fer_tensor *tensor) {
    FER_TRY(feri_grow(graph->env,
                      &graph->held,
                      &graph->held_capacity,
                      graph->held_count + 1,
                      sizeof(*graph->held)));
    graph->held[graph->held_count++] = fer_tensor_retain(tensor);
    return FER_OK;
}

static fer_status copy_string(feri_bump *bump, fer_string from, fer_string *to) {
    char *copy = feri_bump_strndup(bump, from.data != NULL ? from.data : "", from.length);
    if (copy == NULL) {
        return fer_error_last()->status;
    }
    to->data = copy;
    to->length = from.length;
    return FER_OK;
}

static fer_status copy_strings(feri_bump *bump, const fer_attr *from, fer_attr *to) {
    fer_string *strings = FERI_BUMP_ARRAY(bump, fer_string, from->count);
    if (strings == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t s = 0; s < from->count; s++) {
        FER_TRY(copy_string(bump, from->value.strings[s], &strings[s]));
    }
    to->value.strings = strings;
    return FER_OK;
}

static fer_status
copy_array(feri_bump *bump, const void *from, uint64_t count, size_t element_bytes, void **to) {
    *to = feri_bump_alloc(bump, feri_mul_sat(count, element_bytes));
    if (*to == NULL) {
        return fer_error_last()->status;
    }
    if (count > 0) {
        memcpy(*to, from, count * element_bytes);
    }
    return FER_OK;
}

static fer_status copy_attr(fer_graph *graph, const fer_attr *from, fer_attr *to) {
    feri_bump *bump = &graph->bump;
    void *array = NULL;
    *to = *from;
    to->name = feri_bump_strndup(bump, from->name, strlen(from->name));
    if (to->name == NULL) {
        return fer_error_last()->status;
    }
    switch (from->type) {
    case FER_ATTR_STRING:
        return copy_string(bump, from->value.s, &to->value.s);
    case FER_ATTR_STRINGS:
        return copy_strings(bump, from, to);
    case FER_ATTR_INTS:
        FER_TRY(copy_array(bump, from->value.ints, from->count, sizeof(int64_t), &array));
        to->value.ints = array;
        return FER_OK;
    case FER_ATTR_FLOATS:
        FER_TRY(copy_array(bump, from->value.floats, from->count, sizeof(float), &array));
        to->value.floats = array;
        return FER_OK;
    case FER_ATTR_TENSOR:
        return hold_tensor(graph, from->value.tensor);
    default:
        return FER_OK;
    }
}

/* Sorted by name, no name twice. */
static fer_status copy_attrs(fer_graph *graph, const feri_gnode *template_node, feri_gnode *node) {
    if (template_node->attr_count > 1000) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s' has %u attributes; no op has so many",
                         template_node->name,
                         template_node->attr_count);
    }
    node->attrs = FERI_BUMP_ARRAY(&graph->bump, fer_attr, template_node->attr_count);
    if (node->attrs == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t a = 0; a < template_node->attr_count; a++) {
        fer_attr copy;
        FER_TRY(copy_attr(graph, &template_node->attrs[a], &copy));
        uint32_t at = a;
        while (at > 0 && strcmp(node->attrs[at - 1].name, copy.name) > 0) {
            node->attrs[at] = node->attrs[at - 1];
            at--;
        }
        if (at > 0 && strcmp(node->attrs[at - 1].name, copy.name) == 0) {
            return feri_fail(FER_INVALID_MODEL,
                             "node '%s' has attribute '%s' twice",
                             template_node->name,
                             copy.name);
        }
        node->attrs[at] = copy;
    }
    node->attr_count = template_node->attr_count;
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
        return fer_error_last()->status;
    }
    *node = *template_node;
    node->is_dead = 0;
    node->name = feri_bump_strndup(bump, template_node->name, strlen(template_node->name));
    if (node->name == NULL) {
        return fer_error_last()->status;
    }
    void *array = NULL;
    FER_TRY(
        copy_array(bump, template_node->inputs, node->input_count, sizeof(fer_value_id), &array));
    node->inputs = array;
    FER_TRY(
        copy_array(bump, template_node->outputs, node->output_count, sizeof(fer_value_id), &array));
    node->outputs = array;
    FER_TRY(copy_array(bump, template_node->bodies, node->body_count, sizeof(fer_graph *), &array));
    node->bodies = array;
    FER_TRY(copy_attrs(graph, template_node, node));
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
