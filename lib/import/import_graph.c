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

fer_status
feri_scope_init(feri_scope *scope, feri_importer *im, feri_scope *outer, fer_graph *graph) {
    FER_TRY(feri_check_nesting(im->env, im->nesting, "subgraphs and calls of functions are"));
    im->nesting++;
    memset(scope, 0, sizeof(*scope));
    scope->im = im;
    scope->outer = outer;
    scope->graph = graph;
    feri_name_map_init(&scope->names, im->env);
    if (outer != NULL) {
        scope->opsets = outer->opsets;
        scope->frame = outer->frame;
    }
    return FER_OK;
}

void feri_scope_finish(feri_scope *scope) {
    feri_name_map_finish(&scope->names);
    scope->im->nesting--;
}

const char *feri_importer_text(feri_importer *im, const feri_span *span) {
    return feri_bump_strndup(im->scratch, (const char *)span->data, span->length);
}

fer_status feri_scope_bind(feri_scope *scope, const feri_span *name, fer_value_id value) {
    fer_value_id other = 0;
    const char *key = (const char *)name->data;
    if (feri_name_map_get(&scope->names, key, name->length, &other)) {
        return feri_fail(FER_INVALID_MODEL,
                         "the name '%.*s' stands for two values of one graph",
                         FERI_SPAN_SHOWN(*name));
    }
    if (scope->frame == NULL) {
        fer_graph *graph = scope->graph;
        const char *text = feri_bump_strndup(&graph->bump, key, name->length);
        if (text == NULL) {
            return feri_error_status();
        }
        graph->values[value].name = text;
    }
    return feri_name_map_set(&scope->names, key, name->length, value);
}

/* A value around a body, inside of it. */
static fer_status capture(feri_scope *scope, fer_value_id around, fer_value_id *out_value) {
    const feri_gvalue *value = &scope->outer->graph->values[around];
    if (value->origin == FERI_ORIGIN_CONSTANT) {
        return feri_graph_new_constant(scope->graph, /*name=*/NULL, value->constant, out_value);
    }
    feri_draft *owner = scope->owner;
    feri_fact fact = {.kind = value->fact.kind, .dtype = value->fact.dtype, .rank = -1};
    FER_TRY(feri_bump_grow(scope->im->scratch,
                           &owner->captured,
                           &owner->captured_capacity,
                           owner->captured_count + 1,
                           sizeof(fer_value_id)));
    FER_TRY(feri_graph_new_capture(scope->graph,
                                   /*name=*/NULL,
                                   owner->node.input_count + owner->captured_count,
                                   out_value));
    owner->captured[owner->captured_count++] = around;
    scope->graph->values[*out_value].fact = fact;
    return FER_OK;
}

fer_value_id feri_scope_resolve(feri_scope *scope, const feri_span *name) {
    fer_status *status = &scope->im->status;
    fer_value_id value = FER_NO_VALUE;
    if (name->length == 0 ||
        feri_name_map_get(&scope->names, (const char *)name->data, name->length, &value)) {
        return value;
    }
    fer_value_id around = FERI_NAME_UNKNOWN;
    if (scope->outer != NULL) {
        around = feri_scope_resolve(scope->outer, name);
    }
    if (around == FERI_NAME_UNKNOWN || *status != FER_OK) {
        return around;
    }
    if (around != FER_NO_VALUE) {
        *status = capture(scope, around, &value);
    }
    if (*status == FER_OK) {
        *status = feri_scope_bind(scope, name, value);
    }
    return value;
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

static fer_status read_graph(feri_importer *im, const feri_span *message, graph_view *view) {
    static const uint8_t table[] = FERI_TABLE(graph_view,
                                              FERI_ROW(graph_view, 1, FERI_SPANS, nodes),
                                              FERI_ROW(graph_view, 2, FERI_SPAN, base.name),
                                              FERI_ROW(graph_view, 5, FERI_SPANS, initializers),
                                              FERI_ROW(graph_view, 11, FERI_SPANS, inputs),
                                              FERI_ROW(graph_view, 12, FERI_SPANS, outputs),
                                              FERI_ROW(graph_view, 15, FERI_SPANS, sparse));
    return feri_message_read(im->scratch, "graph", message, table, view);
}

fer_status feri_scope_constant(feri_scope *scope, const feri_span *name, fer_tensor *tensor) {
    fer_value_id value = 0;
    fer_status status = feri_graph_new_constant(scope->graph, /*name=*/NULL, tensor, &value);
    fer_tensor_release(tensor);
    return status == FER_OK ? feri_scope_bind(scope, name, value) : status;
}

static fer_status add_initializers(feri_scope *scope, const graph_view *view) {
    feri_source *source = scope->im->source;
    for (uint64_t i = 0; i < view->initializers.count + view->sparse.count; i++) {
        int is_sparse = i >= view->initializers.count;
        const feri_span *message = is_sparse ? &view->sparse.list[i - view->initializers.count]
                                             : &view->initializers.list[i];
        feri_span name;
        fer_tensor *tensor = NULL;
        FER_TRY(feri_import_tensor(source, message, is_sparse, &name, &tensor));
        if (name.length == 0) {
            fer_tensor_release(tensor);
            return feri_fail(FER_INVALID_MODEL, "an initializer has no name");
        }
        FER_TRY(feri_scope_constant(scope, &name, tensor));
    }
    return FER_OK;
}

static fer_status add_input(feri_scope *scope, const feri_span *message) {
    int is_root = scope->graph->parent == NULL;
    feri_span name;
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
    FER_TRY(feri_graph_new_input(scope->graph, /*name=*/NULL, &value));
    scope->graph->values[value].fact = fact;
    return feri_scope_bind(scope, &name, value);
}

static fer_status add_outputs(feri_scope *scope, const graph_view *view) {
    fer_graph *graph = scope->graph;
    int is_root = graph->parent == NULL;
    feri_fact *declared = FERI_BUMP_ARRAY(&graph->bump, feri_fact, view->outputs.count);
    if (declared == NULL) {
        return feri_error_status();
    }
    for (uint32_t o = 0; o < view->outputs.count; o++) {
        feri_span name;
        FER_TRY(feri_import_value_info(
            scope->im, &view->outputs.list[o], is_root, &name, &declared[o]));
        fer_value_id value = feri_scope_resolve(scope, &name);
        FER_TRY(scope->im->status);
        if (value >= FERI_NAME_UNKNOWN) {
            return feri_fail(FER_INVALID_MODEL,
                             "output '%.*s' of graph '%.*s' is made by no node, input or "
                             "initializer",
                             FERI_SPAN_SHOWN(name),
                             FERI_SPAN_SHOWN(view->base.name));
        }
        const char *text = feri_importer_text(scope->im, &name);
        if (text == NULL) {
            return feri_error_status();
        }
        FER_TRY(feri_graph_append_output(graph, text, value));
    }
    graph->declared = is_root ? declared : NULL;
    return FER_OK;
}

fer_status feri_import_graph(feri_scope *scope, const feri_span *message) {
    graph_view view;
    fer_graph *graph = scope->graph;
    FER_TRY(read_graph(scope->im, message, &view));
    const feri_span *name = &view.base.name;
    graph->name = feri_bump_strndup(&graph->bump, (const char *)name->data, name->length);
    if (graph->name == NULL) {
        return feri_error_status();
    }
    int is_root = graph->parent == NULL;
    if (is_root) { /* initializers first: they decide what is an input */
        FER_TRY(add_initializers(scope, &view));
    }
    for (uint64_t i = 0; i < view.inputs.count; i++) {
        FER_TRY(add_input(scope, &view.inputs.list[i]));
    }
    if (!is_root) { /* formal inputs come before captures */
        FER_TRY(add_initializers(scope, &view));
    }
    FER_TRY(feri_import_nodes(scope, &view.nodes));
    FER_TRY(add_outputs(scope, &view));
    return feri_graph_sort(graph);
}
