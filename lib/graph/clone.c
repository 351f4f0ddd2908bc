/* SPDX-License-Identifier: Apache-2.0
 *
 * Deep copies: a graph as a new root (specialize/ rewrites the copy), and a finished root as a body
 * of another graph (the builder's way to make If, Loop and Scan). Recursion is over bodies only,
 * whose depth feri_graph_create bounds.
 */
#include "base/error.h"
#include "graph/graph.h"

#include <string.h>

/* joins: other terms than the source's; input dims are kept by name, the rest is dropped. */

/* A dim of a foreign pool: numbers and named symbols carry over. */
static feri_sym joined_dim(const feri_terms *from, feri_terms *to, feri_sym dim) {
    if (feri_sym_is_number(dim)) {
        return dim;
    }
    const char *name = feri_terms_symbol_name(from, feri_terms_symbol_index(from, dim));
    return name[0] == '\0' || name[0] == '?' ? feri_sym_unknown()
                                             : feri_terms_symbol(to, name, /*min=*/0);
}

static fer_status copy_value(int joins, const fer_graph *from, fer_graph *to, uint32_t v) {
    const feri_gvalue *source = &from->values[v];
    fer_value_id id = 0;
    FER_TRY(feri_graph_new_value(to, source->name, source->origin, &id));
    feri_gvalue *value = &to->values[id];
    feri_fact *fact = &value->fact;
    const char *name = value->name;
    *value = *source;
    value->name = name;
    value->constant = fer_tensor_retain(source->constant);
    FER_TRY(feri_fact_copy(&source->fact, &to->bump, fact));
    if (value->origin != FERI_ORIGIN_CONSTANT) {
        fact->data = NULL; /* may point into a graph that this one outlives */
    }
    if (joins) {
        fact->elements = NULL;
        fact->element_count = 0;
        fact->rank = value->origin == FERI_ORIGIN_NODE ? -1 : fact->rank;
        for (int32_t d = 0; d < fact->rank; d++) {
            fact->dims[d] = joined_dim(from->terms, to->terms, fact->dims[d]);
        }
    }
    return FER_OK;
}

static fer_status copy_contents(int joins, const fer_graph *from, fer_graph *to);

static fer_status
copy_node(int joins, const feri_gnode *source, fer_graph *to, uint32_t source_number) {
    feri_gnode copy = *source;
    copy.source = source_number;
    copy.bodies = FERI_BUMP_ARRAY(&to->bump, fer_graph *, source->body_count);
    if (copy.bodies == NULL) {
        return feri_error_status();
    }
    fer_status status = FER_OK;
    for (uint32_t b = 0; b < source->body_count && status == FER_OK; b++) {
        status = feri_graph_create(to->env, to, &copy.bodies[b]);
        if (status == FER_OK) {
            status = copy_contents(joins, source->bodies[b], copy.bodies[b]);
        }
    }
    if (status == FER_OK) {
        status = feri_graph_append_node(to, &copy, NULL);
    }
    if (status != FER_OK) {
        feri_node_drop_bodies(&copy);
    }
    return status;
}

static fer_status copy_contents(int joins, const fer_graph *from, fer_graph *to) {
    feri_bump *bump = &to->bump;
    to->name = from->name;
    to->inputs = from->inputs;
    to->captures = from->captures;
    to->input_count = to->input_capacity = from->input_count;
    to->capture_count = to->capture_capacity = to->parent != NULL ? from->capture_count : 0;
    FER_TRY(feri_bump_copy(bump, &to->name, strlen(to->name) + 1, 1));
    FER_TRY(feri_bump_copy(bump, &to->inputs, to->input_count, sizeof(fer_value_id)));
    FER_TRY(feri_bump_copy(bump, &to->captures, to->capture_count, sizeof(uint32_t)));
    for (uint32_t v = 0; v < from->value_count; v++) {
        FER_TRY(copy_value(joins, from, to, v));
    }
    for (uint32_t n = 0; n < from->node_count; n++) {
        const feri_gnode *node = from->nodes[n];
        if (!node->is_dead) {
            uint32_t number = joins ? to->root->source_count++ : node->source;
            FER_TRY(copy_node(joins, node, to, number));
        }
    }
    for (uint32_t o = 0; o < from->output_count; o++) {
        FER_TRY(feri_graph_append_output(to, from->output_names[o], from->outputs[o]));
    }
    feri_graph_reindex(to);
    return FER_OK;
}

static fer_status copy_declared(const fer_graph *from, fer_graph *to) {
    if (from->declared == NULL) {
        return FER_OK;
    }
    to->declared = FERI_BUMP_ARRAY(&to->bump, feri_fact, (uint64_t)from->output_count);
    if (to->declared == NULL) {
        return feri_error_status();
    }
    for (uint32_t o = 0; o < from->output_count; o++) {
        FER_TRY(feri_fact_copy(&from->declared[o], &to->bump, &to->declared[o]));
    }
    return FER_OK;
}

fer_status feri_graph_clone(const fer_graph *graph, fer_graph **out_graph) {
    fer_graph *copy = NULL;
    FER_TRY(feri_graph_create(graph->env, /*parent=*/NULL, &copy));
    feri_terms *terms = NULL;
    fer_status status = feri_terms_clone(graph->terms, graph->env, &terms);
    if (status == FER_OK) {
        feri_terms_destroy(copy->terms);
        copy->terms = terms;
        copy->source_count = graph->root->source_count;
        copy->file = fer_tensor_retain(graph->root->file);
        status = copy_contents(/*joins=*/0, graph, copy);
    }
    if (status == FER_OK) {
        status = copy_declared(graph, copy);
    }
    if (status != FER_OK) {
        feri_graph_destroy(copy);
        return status;
    }
    *out_graph = copy;
    return FER_OK;
}

fer_status feri_graph_adopt(fer_graph *parent, const fer_graph *source, fer_graph **out_body) {
    fer_graph *body = NULL;
    FER_TRY(feri_graph_create(parent->env, parent, &body));
    fer_status status = copy_contents(/*joins=*/1, source, body);
    if (status == FER_OK) {
        status = feri_terms_status(body->terms);
    }
    if (status != FER_OK) {
        feri_graph_destroy(body);
        return status;
    }
    *out_body = body;
    return FER_OK;
}
