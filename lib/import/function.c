/* SPDX-License-Identifier: Apache-2.0
 *
 * Model-local functions: found by domain, name and overload, and inlined where they are called. A
 * call is a scope of its own that fills the caller's graph; its nodes keep the name and number of
 * the calling node. Recursion is INVALID_MODEL; how much inlining may make is bounded by max_nodes,
 * counting calls too, since a call may add no node.
 */
#include "base/error.h"
#include "import/importer.h"

#include <string.h>

static fer_status
key_of(feri_importer *im, feri_span domain, feri_span name, feri_span overload, feri_text *key) {
    (void)im;
    feri_text_add_bytes(key, (const char *)domain.data, domain.length);
    feri_text_add_bytes(key, "", 1);
    feri_text_add_bytes(key, (const char *)name.data, name.length);
    feri_text_add_bytes(key, "", 1);
    feri_text_add_bytes(key, (const char *)overload.data, overload.length);
    return key->status;
}

/* The parts of FunctionProto that a lookup needs. */
static fer_status
read_head(feri_importer *im, feri_span message, feri_function *function, feri_text *key) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    feri_span overload = {NULL, 0};
    memset(function, 0, sizeof(*function));
    function->message = message;
    while (feri_wire_next(&wire, &field)) {
        if (field.number == 1) {
            function->name = feri_field_bytes(&wire, &field);
        } else if (field.number == 10) {
            function->domain = feri_field_bytes(&wire, &field);
        } else if (field.number == 13) {
            overload = feri_field_bytes(&wire, &field);
        }
    }
    if (wire.is_bad || function->name.length == 0) {
        return feri_fail(FER_INVALID_MODEL,
                         "function '%.*s' is malformed, cut off or has no name",
                         FERI_SPAN_SHOWN(function->name));
    }
    if (feri_span_is(function->domain, "ai.onnx")) {
        function->domain.length = 0;
    }
    return key_of(im, function->domain, function->name, overload, key);
}

static fer_status note_function(feri_importer *im, feri_span message, uint32_t index) {
    feri_text key;
    uint32_t other = 0;
    feri_function *function = &im->functions[index];
    feri_text_init(&key, im->env);
    fer_status status = read_head(im, message, function, &key);
    if (status == FER_OK && feri_name_map_get(&im->function_names, key.data, key.length, &other)) {
        status = feri_fail(
            FER_INVALID_MODEL, "function '%.*s' is defined twice", FERI_SPAN_SHOWN(function->name));
    }
    if (status == FER_OK) {
        const char *copy = feri_bump_strndup(&im->scratch, key.data, key.length);
        status = copy != NULL ? feri_name_map_set(&im->function_names, copy, key.length, index)
                              : fer_error_last()->status;
    }
    feri_text_finish(&key);
    return status;
}

fer_status feri_import_functions(feri_importer *im, const feri_span *messages, uint32_t count) {
    im->functions = FERI_BUMP_ARRAY(&im->scratch, feri_function, count);
    if (im->functions == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t f = 0; f < count; f++) {
        FER_TRY(note_function(im, messages[f], f));
        im->function_count++;
    }
    return FER_OK;
}

feri_function *feri_find_function(feri_importer *im, const feri_node_view *node) {
    char key[512];
    uint64_t length = node->domain.length + node->op.length + node->overload.length + 2;
    uint32_t index = 0;
    if (im->function_count == 0 || length >= sizeof(key)) {
        return NULL; /* names that long are called by nobody */
    }
    uint64_t at = 0;
    const feri_span parts[] = {node->domain, node->op, node->overload};
    for (int p = 0; p < 3; p++) {
        if (parts[p].length > 0) {
            memcpy(key + at, parts[p].data, parts[p].length);
        }
        at += parts[p].length;
        key[at < sizeof(key) ? at : sizeof(key) - 1] = '\0';
        at++;
    }
    return feri_name_map_get(&im->function_names, key, length, &index) ? &im->functions[index]
                                                                       : NULL;
}

/* ---- reading ---- */

/* The repeated fields of FunctionProto. */
static fer_status read_body(feri_importer *im, feri_function *function) {
    feri_graph_view *view = &function->view;
    feri_span *opsets = NULL;
    uint32_t opset_count = 0;
    struct {
        uint32_t number;
        feri_span **spans;
        uint32_t *count;
    } lists[] = {
        {4,  &view->inputs,       &view->input_count      },
        {5,  &view->outputs,      &view->output_count     },
        {7,  &view->nodes,        &view->node_count       },
        {9,  &opsets,             &opset_count            },
        {11, &function->defaults, &function->default_count},
    };
    enum { LISTS = sizeof(lists) / sizeof(lists[0]) };
    for (int pass = 0; pass < 2; pass++) {
        feri_wire wire = feri_wire_start(function->message);
        feri_field field;
        while (feri_wire_next(&wire, &field)) {
            for (int l = 0; l < LISTS; l++) {
                if (field.number != lists[l].number) {
                    continue;
                }
                feri_span span = feri_field_bytes(&wire, &field);
                if (pass == 1) {
                    (*lists[l].spans)[*lists[l].count] = span;
                }
                ++*lists[l].count;
            }
        }
        if (wire.is_bad || view->node_count > im->env->limits.max_nodes) {
            return feri_fail(FER_INVALID_MODEL,
                             "function '%.*s' is malformed, cut off or too large",
                             FERI_SPAN_SHOWN(function->name));
        }
        for (int l = 0; l < LISTS && pass == 0; l++) {
            *lists[l].spans = FERI_BUMP_ARRAY(&im->scratch, feri_span, *lists[l].count);
            if (*lists[l].spans == NULL) {
                return fer_error_last()->status;
            }
            *lists[l].count = 0;
        }
    }
    function->opsets.list = FERI_BUMP_ARRAY(&im->scratch, feri_opset, opset_count);
    if (function->opsets.list == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t o = 0; o < opset_count; o++) {
        FER_TRY(feri_import_opset(im, opsets[o], &function->opsets.list[o]));
        function->opsets.count++;
    }
    function->is_read = 1;
    return FER_OK;
}

/* ---- inlining ---- */

static fer_status
bind_inputs(feri_scope *scope, const feri_function *function, const feri_draft *call) {
    const feri_graph_view *view = &function->view;
    if (call->input_count > view->input_count || call->output_count > view->output_count) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s' calls function '%.*s' with %u inputs and %u outputs; it has "
                         "%u and %u",
                         call->name,
                         FERI_SPAN_SHOWN(function->name),
                         call->input_count,
                         call->output_count,
                         view->input_count,
                         view->output_count);
    }
    for (uint32_t i = 0; i < view->input_count; i++) {
        fer_value_id value = i < call->input_count ? call->inputs[i] : FER_NO_VALUE;
        FER_TRY(feri_scope_bind(scope, view->inputs[i], value));
    }
    for (uint32_t o = 0; o < call->output_count; o++) {
        feri_span name = view->outputs[o];
        FER_TRY(feri_name_map_set(
            scope->results, (const char *)name.data, name.length, call->outputs[o]));
    }
    return FER_OK;
}

/* An output that is not made by a node of its own (an input, a constant, another output): copied.
 */
static fer_status
copy_output(feri_scope *scope, const feri_frame *frame, fer_value_id from, fer_value_id to) {
    feri_draft draft = {.op = "Identity",
                        .domain = "",
                        .name = frame->source_name,
                        .source = frame->source,
                        .version = FERI_ONNX_OPSET};
    FER_TRY(feri_draft_add_input(scope->im, &draft, from));
    FER_TRY(feri_draft_add_output(scope->im, &draft, to));
    return feri_import_append(scope->im, scope->graph, &draft);
}

static fer_status
deliver_outputs(feri_scope *scope, const feri_frame *frame, const feri_draft *call) {
    const feri_function *function = frame->function;
    for (uint32_t o = 0; o < call->output_count; o++) {
        feri_span name = function->view.outputs[o];
        fer_value_id value = FER_NO_VALUE;
        if (call->outputs[o] == FER_NO_VALUE) {
            continue;
        }
        if (!feri_name_map_get(&scope->names, (const char *)name.data, name.length, &value) ||
            value == FER_NO_VALUE) {
            return feri_fail(FER_INVALID_MODEL,
                             "output '%.*s' of function '%.*s' is made by none of its nodes",
                             FERI_SPAN_SHOWN(name),
                             FERI_SPAN_SHOWN(function->name));
        }
        if (value != call->outputs[o]) {
            FER_TRY(copy_output(scope, frame, value, call->outputs[o]));
        }
    }
    return FER_OK;
}

static fer_status fill_call(feri_scope *scope, const feri_frame *frame, const feri_draft *call) {
    const feri_graph_view *view = &frame->function->view;
    FER_TRY(bind_inputs(scope, frame->function, call));
    FER_TRY(feri_import_nodes(scope, view->nodes, view->node_count));
    return deliver_outputs(scope, frame, call);
}

static fer_status check_call(feri_importer *im, feri_function *function, const feri_draft *call) {
    if (function->is_active) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s': function '%.*s' calls itself",
                         call->name,
                         FERI_SPAN_SHOWN(function->name));
    }
    if (im->call_count++ >= im->env->limits.max_nodes) {
        return feri_fail(FER_LIMIT,
                         "node '%s': inlining functions makes more than max_nodes (%llu) calls",
                         call->name,
                         (unsigned long long)im->env->limits.max_nodes);
    }
    return function->is_read ? FER_OK : read_body(im, function);
}

fer_status feri_inline_function(feri_scope *scope,
                                feri_function *function,
                                const feri_node_view *node,
                                const feri_draft *call) {
    feri_importer *im = scope->im;
    FER_TRY(check_call(im, function, call));
    FER_TRY(feri_importer_enter(im, "a function call"));
    feri_frame frame = {.function = function,
                        .caller = scope,
                        .call = node,
                        .source_name = call->name,
                        .source = call->source};
    feri_scope inside;
    feri_name_map results;
    feri_scope_init(&inside, im, /*outer=*/NULL, scope->graph);
    feri_name_map_init(&results, im->env);
    inside.opsets = &function->opsets;
    inside.frame = &frame;
    inside.results = &results;
    function->is_active = 1;
    fer_status status = fill_call(&inside, &frame, call);
    function->is_active = 0;
    feri_name_map_finish(&results);
    feri_scope_finish(&inside);
    feri_importer_leave(im);
    return status;
}
