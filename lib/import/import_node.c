/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes. All outputs of a graph are declared before any node is made, so that order does not matter
 * and a name that nobody makes is told at once; Constant nodes become constants of the graph.
 */
#include "base/error.h"
#include "import/importer.h"

#include <string.h>

#define MOST_ATTRS 1000

/* ---- drafts ---- */

static fer_status push_id(
    feri_importer *im, fer_value_id **ids, uint32_t *count, uint32_t *capacity, fer_value_id id) {
    FER_TRY(feri_bump_grow(im->scratch, ids, capacity, *count + 1, sizeof(fer_value_id)));
    (*ids)[(*count)++] = id;
    return FER_OK;
}

fer_status feri_draft_add_input(feri_importer *im, feri_draft *draft, fer_value_id value) {
    return push_id(
        im, &draft->node.inputs, &draft->node.input_count, &draft->input_capacity, value);
}

fer_status feri_draft_add_output(feri_importer *im, feri_draft *draft, fer_value_id value) {
    return push_id(
        im, &draft->node.outputs, &draft->node.output_count, &draft->output_capacity, value);
}

fer_status feri_draft_add_attr(feri_importer *im, feri_draft *draft, const fer_attr *attr) {
    FER_TRY(feri_bump_grow(im->scratch,
                           &draft->node.attrs,
                           &draft->attr_capacity,
                           draft->node.attr_count + 1,
                           sizeof(fer_attr)));
    draft->node.attrs[draft->node.attr_count++] = *attr;
    return FER_OK;
}

/* ---- appending ---- */

/* Control ops have the outputs of their bodies; those nobody listed are unwanted. */
static fer_status fit_outputs(feri_importer *im, feri_draft *draft, const feri_op *op) {
    int32_t kind = feri_control_kind(op);
    if (kind == FERI_CONTROL_NONE || draft->node.body_count == 0) {
        draft->node.output_count = feri_without_tail(draft->node.outputs, draft->node.output_count);
        return FER_OK;
    }
    uint32_t wanted = draft->node.bodies[0]->output_count;
    wanted -= kind == FERI_CONTROL_LOOP && wanted > 0;
    while (draft->node.output_count < wanted) {
        FER_TRY(feri_draft_add_output(im, draft, FER_NO_VALUE));
    }
    return FER_OK;
}

/* Facts are inferred as nodes come; a node before its producer has to be inferred again. */
static void note_order(feri_importer *im, const fer_graph *graph, const feri_gnode *node) {
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != FER_NO_VALUE) {
            const feri_gvalue *value = &graph->values[node->inputs[i]];
            im->is_unordered |= value->origin == FERI_ORIGIN_NODE && value->producer == UINT32_MAX;
        }
    }
}

fer_status feri_import_append(feri_importer *im, fer_graph *graph, feri_draft *draft) {
    const feri_op *op = NULL;
    FER_TRY(feri_op_find_for(draft->domain, draft->op, draft->node.name, &op));
    FER_TRY(fit_outputs(im, draft, op));
    uint32_t formal_count = draft->node.input_count;
    for (uint32_t c = 0; c < draft->captured_count; c++) {
        FER_TRY(feri_draft_add_input(im, draft, draft->captured[c]));
    }
    feri_gnode *node = &draft->node;
    node->op = op;
    node->revision = op->revision;
    node->formal_count = formal_count;
    note_order(im, graph, node);
    FER_TRY(feri_graph_check_control(node));
    if (graph->parent != NULL) { /* bodies are inferred with the node they belong to */
        FER_TRY(feri_graph_infer_node_types(graph, node));
    }
    feri_gnode *made = NULL;
    FER_TRY(feri_graph_append_node(graph, node, &made));
    draft->node.body_count = 0; /* the graph's now */
    return graph->parent == NULL ? feri_graph_infer_node_known(graph, made) : FER_OK;
}

/* ---- reading ---- */

static fer_status read_view(feri_importer *im, const feri_span *message, feri_node_view *view) {
    static const uint8_t table[] =
        FERI_TABLE(feri_node_view,
                   FERI_ROW(feri_node_view, 1, FERI_SPANS, inputs),
                   FERI_ROW(feri_node_view, 2, FERI_SPANS, outputs),
                   FERI_ROW(feri_node_view, 3, FERI_SPAN, base.name),
                   FERI_ROW(feri_node_view, 4, FERI_SPAN, callee.op),
                   FERI_ROW(feri_node_view, 5, FERI_SPANS, attrs),
                   FERI_ROW(feri_node_view, 7, FERI_SPAN, callee.domain),
                   FERI_ROW(feri_node_view, 8, FERI_SPAN, callee.overload));
    FER_TRY(feri_message_read(im->scratch, "node", message, table, view));
    if (view->callee.op.length == 0 || view->attrs.count > MOST_ATTRS) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%.*s' has no op or more than %d attributes",
                         FERI_SPAN_SHOWN(view->base.name),
                         MOST_ATTRS);
    }
    feri_domain_short(&view->callee.domain);
    return feri_find_function(im, view);
}

static int is_constant(const feri_node_view *view) {
    return view->callee.domain.length == 0 && feri_span_is(&view->callee.op, "Constant") &&
           view->function == NULL;
}

/* ---- first walk: outputs ---- */

static fer_status declare_output(feri_scope *scope, const feri_span *name) {
    fer_value_id value = FER_NO_VALUE;
    const char *key = (const char *)name->data;
    if (scope->results == NULL || !feri_name_map_get(scope->results, key, name->length, &value) ||
        value == FER_NO_VALUE) {
        FER_TRY(feri_graph_new_value(scope->graph, /*name=*/NULL, FERI_ORIGIN_NODE, &value));
    }
    return feri_scope_bind(scope, name, value);
}

static fer_status declare(feri_scope *scope, const feri_node_view *view) {
    int constant = is_constant(view);
    for (uint64_t o = 0; o < view->outputs.count; o++) {
        const feri_span *name = &view->outputs.list[o];
        fer_tensor *tensor = NULL;
        if (name->length == 0) {
            continue;
        }
        if (constant) {
            FER_TRY(feri_import_constant(scope, view, &tensor));
            FER_TRY(feri_scope_constant(scope, name, tensor));
        } else {
            FER_TRY(declare_output(scope, name));
        }
    }
    return FER_OK;
}

/* ---- second walk: nodes ---- */

static fer_status draft_names(feri_scope *scope, const feri_node_view *view, feri_draft *draft) {
    feri_importer *im = scope->im;
    draft->op = feri_importer_text(im, &view->callee.op);
    draft->domain = feri_importer_text(im, &view->callee.domain);
    if (draft->op == NULL || draft->domain == NULL) {
        return feri_error_status();
    }
    if (scope->frame != NULL) {
        draft->node.name = scope->frame->draft->node.name;
        draft->node.source = scope->frame->draft->node.source;
        return FER_OK;
    }
    draft->node.source = im->root->source_count++;
    draft->node.name = view->base.name.length > 0
                           ? feri_importer_text(im, &view->base.name)
                           : feri_bump_printf(im->scratch, "%s_%u", draft->op, draft->node.source);
    return draft->node.name != NULL ? FER_OK : feri_error_status();
}

static fer_status draft_input(feri_scope *scope, feri_draft *draft, const feri_span *name) {
    fer_value_id value = feri_scope_resolve(scope, name);
    FER_TRY(scope->im->status);
    if (value == FERI_NAME_UNKNOWN) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s' (%s): input %u, '%.*s', is made by no node, input or "
                         "initializer",
                         draft->node.name,
                         draft->op,
                         draft->node.input_count,
                         FERI_SPAN_SHOWN(*name));
    }
    return feri_draft_add_input(scope->im, draft, value);
}

static fer_status draft_output(feri_scope *scope, feri_draft *draft, const feri_span *name) {
    fer_value_id value = FER_NO_VALUE;
    if (name->length > 0) {
        (void)feri_name_map_get(&scope->names, (const char *)name->data, name->length, &value);
    }
    return feri_draft_add_output(scope->im, draft, value);
}

/* Bodies count on their captures following the inputs, so these are final before bodies are read.
 */
static fer_status settle_inputs(feri_scope *scope, feri_draft *draft) {
    draft->node.input_count = feri_without_tail(draft->node.inputs, draft->node.input_count);
    int is_loop = draft->domain[0] == '\0' && strcmp(draft->op, "Loop") == 0;
    while (is_loop && draft->node.input_count < 2) {
        FER_TRY(feri_draft_add_input(scope->im, draft, FER_NO_VALUE));
    }
    return FER_OK;
}

static fer_status draft_operands(feri_scope *scope, const feri_node_view *view, feri_draft *draft) {
    for (uint64_t i = 0; i < view->inputs.count; i++) {
        FER_TRY(draft_input(scope, draft, &view->inputs.list[i]));
    }
    for (uint64_t o = 0; o < view->outputs.count; o++) {
        FER_TRY(draft_output(scope, draft, &view->outputs.list[o]));
    }
    return settle_inputs(scope, draft);
}

static fer_status
find_version(const feri_scope *scope, const feri_node_view *view, feri_draft *draft) {
    for (uint32_t i = 0; i < scope->opsets->count; i++) {
        const feri_opset *opset = &scope->opsets->list[i];
        if (feri_span_equal(&opset->base.name, &view->callee.domain)) {
            draft->version = opset->version;
            return FER_OK;
        }
    }
    if (draft->domain[0] != '\0') {
        const feri_op *op = NULL;
        FER_TRY(feri_op_find_for(draft->domain, draft->op, draft->node.name, &op));
    }
    return feri_fail(FER_INVALID_MODEL,
                     "node '%s' (%s) is of domain '%s', of which the model imports no opset",
                     draft->node.name,
                     draft->op,
                     draft->domain);
}

static fer_status make_node(feri_scope *scope, const feri_node_view *view, feri_draft *draft) {
    FER_TRY(draft_operands(scope, view, draft));
    if (view->function != NULL) {
        return feri_inline_function(scope, view, draft);
    }
    for (uint64_t a = 0; a < view->attrs.count; a++) {
        FER_TRY(feri_import_attr(scope, draft, &view->attrs.list[a]));
    }
    FER_TRY(find_version(scope, view, draft));
    return feri_upgrade_and_append(scope->im, scope->graph, draft);
}

static fer_status import_node(feri_scope *scope, const feri_node_view *view) {
    feri_draft draft;
    memset(&draft, 0, sizeof(draft));
    FER_TRY(draft_names(scope, view, &draft));
    if (is_constant(view)) {
        return FER_OK;
    }
    fer_status status = make_node(scope, view, &draft);
    feri_node_drop_bodies(&draft.node);
    if (status != FER_OK) {
        feri_error_set_node(draft.node.name);
    }
    return status;
}

fer_status feri_import_nodes(feri_scope *scope, const feri_spans *nodes) {
    feri_node_view *views = FERI_BUMP_ARRAY(scope->im->scratch, feri_node_view, nodes->count);
    if (views == NULL) {
        return feri_error_status();
    }
    for (uint64_t n = 0; n < nodes->count; n++) {
        FER_TRY(read_view(scope->im, &nodes->list[n], &views[n]));
        FER_TRY(declare(scope, &views[n]));
    }
    for (uint64_t n = 0; n < nodes->count; n++) {
        FER_TRY(import_node(scope, &views[n]));
    }
    return FER_OK;
}
