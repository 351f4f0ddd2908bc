/* SPDX-License-Identifier: Apache-2.0
 *
 * Scopes and graphs: initializers, inputs, nodes, outputs. A name is looked up in the graph it is
 * used in, then in those around it: a constant found there becomes a constant here too (the same
 * tensor), anything else an explicit input of the body (graph.h). Initializers that are also listed
 * as inputs are constants and no inputs of the program, whatever the IR version: a default that may
 * be overridden is kept as its default.
 */
#include "base/error.h"
#include "import/importer.h"

#include <string.h>

void feri_scope_init(feri_scope *scope, feri_importer *im, feri_scope *outer, fer_graph *graph) {
    memset(scope, 0, sizeof(*scope));
    scope->im = im;
    scope->outer = outer;
    scope->graph = graph;
    feri_name_map_init(&scope->names, im->env);
    if (outer != NULL) {
        scope->opsets = outer->opsets;
        scope->frame = outer->frame;
    }
}

void feri_scope_finish(feri_scope *scope) { feri_name_map_finish(&scope->names); }

fer_status feri_importer_enter(feri_importer *im, const char *what) {
    FER_TRY(feri_check_nesting(im->env, im->nesting + 1, what));
    im->nesting++;
    return FER_OK;
}

void feri_importer_leave(feri_importer *im) { im->nesting--; }

const char *feri_importer_text(feri_importer *im, feri_span span) {
    return feri_bump_strndup(im->scratch, (const char *)span.data, span.length);
}

const char *feri_scope_value_name(feri_scope *scope, feri_span name) {
    return scope->frame != NULL ? "" : feri_importer_text(scope->im, name);
}

fer_status feri_scope_bind(feri_scope *scope, feri_span name, fer_value_id value) {
    fer_value_id other = 0;
    const char *key = (const char *)name.data;
    if (feri_name_map_get(&scope->names, key, name.length, &other)) {
        return feri_fail(FER_INVALID_MODEL,
                         "the name '%.*s' stands for two values of one graph",
                         FERI_SPAN_SHOWN(name));
    }
    return feri_name_map_set(&scope->names, key, name.length, value);
}

/* What is called name around a body, inside of it. */
static fer_status
capture(feri_scope *scope, feri_span name, fer_value_id around, fer_value_id *out_value) {
    const feri_gvalue *value = &scope->outer->graph->values[around];
    const char *text = feri_scope_value_name(scope, name);
    if (text == NULL) {
        return feri_error_status();
    }
    if (value->origin == FERI_ORIGIN_CONSTANT) {
        return feri_graph_new_constant(scope->graph, text, value->constant, out_value);
    }
    feri_draft *owner = scope->owner;
    feri_fact fact = {.kind = value->fact.kind, .dtype = value->fact.dtype, .rank = -1};
    FER_TRY(feri_bump_grow(scope->im->scratch,
                           &owner->captured,
                           &owner->captured_capacity,
                           owner->captured_count + 1,
                           sizeof(fer_value_id)));
    FER_TRY(feri_graph_new_capture(
        scope->graph, text, owner->node.input_count + owner->captured_count, out_value));
    owner->captured[owner->captured_count++] = around;
    scope->graph->values[*out_value].fact = fact;
    return FER_OK;
}

int feri_scope_resolve(feri_scope *scope, feri_span name, fer_value_id *out_value) {
    if (name.length == 0) {
        *out_value = FER_NO_VALUE;
        return 1;
    }
    const char *key = (const char *)name.data;
    if (feri_name_map_get(&scope->names, key, name.length, out_value)) {
        return 1;
    }
    fer_value_id around = FER_NO_VALUE;
    int found = scope->outer != NULL ? feri_scope_resolve(scope->outer, name, &around) : 0;
    if (found != 1) {
        return found;
    }
    fer_value_id value = FER_NO_VALUE;
    if (around != FER_NO_VALUE && capture(scope, name, around, &value) != FER_OK) {
        return -1;
    }
    if (feri_name_map_set(&scope->names, key, name.length, value) != FER_OK) {
        return -1;
    }
    *out_value = value;
    return 1;
}

/* ---- filling ---- */

/* GraphProto. */
typedef struct graph_view {
    feri_message base;
    feri_spans nodes;
    feri_spans initializers;
    feri_spans sparse;
    feri_spans inputs; /* ValueInfoProto */
    feri_spans outputs;
} graph_view;

static fer_status read_graph(feri_importer *im, feri_span message, graph_view *view) {
    static const uint8_t table[] = FERI_TABLE(graph_view,
                                              FERI_ROW(graph_view, 1, FERI_SPANS, nodes),
                                              FERI_ROW(graph_view, 2, FERI_SPAN, base.name),
                                              FERI_ROW(graph_view, 5, FERI_SPANS, initializers),
                                              FERI_ROW(graph_view, 11, FERI_SPANS, inputs),
                                              FERI_ROW(graph_view, 12, FERI_SPANS, outputs),
                                              FERI_ROW(graph_view, 15, FERI_SPANS, sparse));
    return feri_message_read(im->scratch, "graph", message, table, view);
}

fer_status feri_scope_constant(feri_scope *scope, feri_span name, fer_tensor *tensor) {
    const char *text = feri_scope_value_name(scope, name);
    fer_value_id value = 0;
    fer_status status = text != NULL ? feri_graph_new_constant(scope->graph, text, tensor, &value)
                                     : feri_error_status();
    fer_tensor_release(tensor);
    return status == FER_OK ? feri_scope_bind(scope, name, value) : status;
}

static fer_status add_initializers(feri_scope *scope, const graph_view *view) {
    feri_source *source = scope->im->source;
    for (uint64_t i = 0; i < view->initializers.count + view->sparse.count; i++) {
        feri_tensor_proto proto;
        fer_tensor *tensor = NULL;
        if (i < view->initializers.count) {
            FER_TRY(feri_tensor_proto_read(source, view->initializers.list[i], &proto));
            FER_TRY(feri_import_tensor(source, &proto, &tensor));
        } else {
            feri_span sparse = view->sparse.list[i - view->initializers.count];
            FER_TRY(feri_import_sparse(source, sparse, &proto.base.name, &tensor));
        }
        if (proto.base.name.length == 0) {
            fer_tensor_release(tensor);
            return feri_fail(FER_INVALID_MODEL, "an initializer has no name");
        }
        FER_TRY(feri_scope_constant(scope, proto.base.name, tensor));
    }
    return FER_OK;
}

static fer_status add_input(feri_scope *scope, feri_span message) {
    int is_root = scope->graph->parent == NULL;
    feri_span name = {NULL, 0};
    feri_fact fact;
    fer_value_id value = 0;
    FER_TRY(feri_import_value_info(scope->im, message, is_root, &name, &fact));
    if (name.length == 0) {
        return feri_fail(FER_INVALID_MODEL, "an input of a graph has no name");
    }
    if (is_root && feri_name_map_get(&scope->names, (const char *)name.data, name.length, &value) &&
        scope->graph->values[value].origin == FERI_ORIGIN_CONSTANT) {
        return FER_OK; /* the default of an initializer stays */
    }
    if (is_root && (fact.kind == 0 || fact.dtype == FER_DTYPE_NONE)) {
        return feri_fail(FER_INVALID_MODEL,
                         "input '%.*s' has no type; declare its element type",
                         FERI_SPAN_SHOWN(name));
    }
    const char *text = feri_scope_value_name(scope, name);
    if (text == NULL) {
        return feri_error_status();
    }
    FER_TRY(feri_graph_new_input(scope->graph, text, &value));
    scope->graph->values[value].fact = fact;
    return feri_scope_bind(scope, name, value);
}

static fer_status add_outputs(feri_scope *scope, const graph_view *view) {
    fer_graph *graph = scope->graph;
    int is_root = graph->parent == NULL;
    feri_fact *declared = FERI_BUMP_ARRAY(&graph->bump, feri_fact, view->outputs.count);
    if (declared == NULL) {
        return feri_error_status();
    }
    for (uint32_t o = 0; o < view->outputs.count; o++) {
        feri_span name = {NULL, 0};
        fer_value_id value = FER_NO_VALUE;
        FER_TRY(
            feri_import_value_info(scope->im, view->outputs.list[o], is_root, &name, &declared[o]));
        int found = feri_scope_resolve(scope, name, &value);
        if (found < 0) {
            return feri_error_status();
        }
        if (found == 0 || value == FER_NO_VALUE) {
            return feri_fail(FER_INVALID_MODEL,
                             "output '%.*s' of graph '%.*s' is made by no node, input or "
                             "initializer",
                             FERI_SPAN_SHOWN(name),
                             FERI_SPAN_SHOWN(view->base.name));
        }
        const char *text = feri_importer_text(scope->im, name);
        if (text == NULL) {
            return feri_error_status();
        }
        FER_TRY(feri_graph_append_output(graph, text, value));
    }
    graph->declared = is_root ? declared : NULL;
    return FER_OK;
}

fer_status feri_import_graph(feri_scope *scope, feri_span message) {
    graph_view view;
    fer_graph *graph = scope->graph;
    FER_TRY(read_graph(scope->im, message, &view));
    feri_span name = view.base.name;
    graph->name = feri_bump_strndup(&graph->bump, (const char *)name.data, name.length);
    if (graph->name == NULL) {
        return feri_error_status();
    }
    int is_root = graph->parent == NULL;
    if (is_root) { /* initializers first: they decide what is an input */
        FER_TRY(add_initializers(scope, &view));
    }
    for (uint64_t i = 0; i < view.inputs.count; i++) {
        FER_TRY(add_input(scope, view.inputs.list[i]));
    }
    if (!is_root) { /* formal inputs come before captures */
        FER_TRY(add_initializers(scope, &view));
    }
    FER_TRY(feri_import_nodes(scope, view.nodes));
    FER_TRY(add_outputs(scope, &view));
    return feri_graph_sort(graph);
}
