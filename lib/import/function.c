/* SPDX-License-Identifier: Apache-2.0
 *
 * Model-local functions: found by domain, name and overload, and inlined where they are called. A
 * call is a scope of its own that fills the caller's graph; its nodes keep the name and number of
 * the calling node. Recursion is INVALID_MODEL; how much inlining may make is bounded by max_nodes,
 * counting calls too, since a call may add no node.
 */
#include "base/error.h"
#include "graph/expand.h"
#include "import/importer.h"

#include <string.h>

/* "domain\0name\0overload"; NULL where there is no memory. */
static const char *key_of(feri_importer *im, const feri_callee *callee, uint64_t *out_length) {
    const feri_span *parts[] = {&callee->domain, &callee->op, &callee->overload};
    *out_length = callee->domain.length + callee->op.length + callee->overload.length + 2;
    char *key = feri_bump_alloc(im->scratch, *out_length);
    char *at = key;
    for (int p = 0; p < 3 && key != NULL; p++) {
        if (parts[p]->length > 0) {
            memcpy(at, parts[p]->data, parts[p]->length);
        }
        at += parts[p]->length + 1;
    }
    return key;
}

static fer_status
read_function(feri_importer *im, const feri_span *message, feri_function *function) {
    static const uint8_t table[] =
        FERI_TABLE(feri_function,
                   FERI_ROW(feri_function, 1, FERI_SPAN, base.name),
                   FERI_ROW(feri_function, 4, FERI_SPANS, inputs),
                   FERI_ROW(feri_function, 5, FERI_SPANS, outputs),
                   FERI_ROW(feri_function, 7, FERI_SPANS, nodes),
                   FERI_ROW(feri_function, 9, FERI_SPANS, opset_imports),
                   FERI_ROW(feri_function, 10, FERI_SPAN, callee.domain),
                   FERI_ROW(feri_function, 11, FERI_SPANS, defaults),
                   FERI_ROW(feri_function, 13, FERI_SPAN, callee.overload));
    FER_TRY(feri_message_read(im->scratch, "function", message, table, function));
    if (function->base.name.length == 0) {
        return feri_fail(FER_INVALID_MODEL, "a function has no name");
    }
    function->callee.op = function->base.name;
    feri_domain_short(&function->callee.domain);
    return FER_OK;
}

fer_status feri_import_functions(feri_importer *im, const feri_spans *messages) {
    im->functions = FERI_BUMP_ARRAY(im->scratch, feri_function, messages->count);
    if (im->functions == NULL) {
        return feri_error_status();
    }
    for (; im->function_count < messages->count; im->function_count++) {
        feri_function *function = &im->functions[im->function_count];
        uint64_t length;
        uint32_t other = 0;
        FER_TRY(read_function(im, &messages->list[im->function_count], function));
        const char *key = key_of(im, &function->callee, &length);
        if (key == NULL) {
            return feri_error_status();
        }
        if (feri_name_map_get(&im->function_names, key, length, &other)) {
            return feri_fail(FER_INVALID_MODEL,
                             "function '%.*s' is defined twice",
                             FERI_SPAN_SHOWN(function->base.name));
        }
        FER_TRY(feri_name_map_set(&im->function_names, key, length, im->function_count));
    }
    return FER_OK;
}

fer_status feri_find_function(feri_importer *im, feri_node_view *node) {
    uint64_t length;
    uint32_t index = 0;
    if (im->function_count == 0) {
        return FER_OK;
    }
    const char *key = key_of(im, &node->callee, &length);
    if (key == NULL) {
        return feri_error_status();
    }
    if (feri_name_map_get(&im->function_names, key, length, &index)) {
        node->function = &im->functions[index];
    }
    return FER_OK;
}

/* ---- inlining ---- */

static fer_status
bind_inputs(feri_scope *scope, const feri_function *function, const feri_draft *call) {
    const feri_spans *inputs = &function->inputs;
    if (call->node.input_count > inputs->count ||
        call->node.output_count > function->outputs.count) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s' calls function '%.*s' with %u inputs and %u outputs; it has "
                         "%u and %u",
                         call->node.name,
                         FERI_SPAN_SHOWN(function->base.name),
                         call->node.input_count,
                         call->node.output_count,
                         (unsigned)inputs->count,
                         (unsigned)function->outputs.count);
    }
    for (uint64_t i = 0; i < inputs->count; i++) {
        fer_value_id value = i < call->node.input_count ? call->node.inputs[i] : FER_NO_VALUE;
        FER_TRY(feri_scope_bind(scope, &inputs->list[i], value));
    }
    for (uint32_t o = 0; o < call->node.output_count; o++) {
        feri_span name = function->outputs.list[o];
        FER_TRY(feri_name_map_set(
            scope->results, (const char *)name.data, name.length, call->node.outputs[o]));
    }
    return FER_OK;
}

/* An output that is not made by a node of its own (an input, a constant, another output): copied.
 */
static fer_status
copy_output(feri_scope *scope, const feri_draft *call, fer_value_id from, fer_value_id to) {
    feri_gnode node = call->node;
    node.inputs = &from;
    node.input_count = node.formal_count = 1;
    node.outputs = &to;
    node.output_count = 1;
    return feri_expand_value(scope->graph, &node, "Identity", "o0 = Identity(i0)", &from);
}

static fer_status
deliver_outputs(feri_scope *scope, const feri_function *function, const feri_draft *call) {
    for (uint32_t o = 0; o < call->node.output_count; o++) {
        feri_span name = function->outputs.list[o];
        fer_value_id value = FER_NO_VALUE;
        if (call->node.outputs[o] == FER_NO_VALUE) {
            continue;
        }
        if (!feri_name_map_get(&scope->names, (const char *)name.data, name.length, &value) ||
            value == FER_NO_VALUE) {
            return feri_fail(FER_INVALID_MODEL,
                             "output '%.*s' of function '%.*s' is made by none of its nodes",
                             FERI_SPAN_SHOWN(name),
                             FERI_SPAN_SHOWN(function->base.name));
        }
        if (value != call->node.outputs[o]) {
            FER_TRY(copy_output(scope, call, value, call->node.outputs[o]));
        }
    }
    return FER_OK;
}

static fer_status
fill_call(feri_scope *scope, const feri_function *function, const feri_draft *call) {
    FER_TRY(bind_inputs(scope, function, call));
    FER_TRY(feri_import_nodes(scope, &function->nodes));
    return deliver_outputs(scope, function, call);
}

static fer_status check_call(feri_importer *im, feri_function *function, const feri_draft *call) {
    if (function->is_active) {
        return feri_fail(FER_INVALID_MODEL,
                         "node '%s': function '%.*s' calls itself",
                         call->node.name,
                         FERI_SPAN_SHOWN(function->base.name));
    }
    if (im->call_count++ >= im->env->limits.max_nodes) {
        return feri_fail(FER_LIMIT,
                         "node '%s': inlining functions makes more than max_nodes (%llu) calls",
                         call->node.name,
                         (unsigned long long)im->env->limits.max_nodes);
    }
    if (function->opsets.list != NULL) {
        return FER_OK;
    }
    return feri_import_opsets(im, &function->opset_imports, &function->opsets);
}

fer_status
feri_inline_function(feri_scope *scope, const feri_node_view *node, const feri_draft *call) {
    feri_importer *im = scope->im;
    feri_function *function = node->function;
    FER_TRY(check_call(im, function, call));
    feri_frame frame = {.function = function, .caller = scope, .call = node, .draft = call};
    feri_scope inside;
    feri_name_map results;
    FER_TRY(feri_scope_init(&inside, im, /*outer=*/NULL, scope->graph));
    feri_name_map_init(&results, im->env);
    inside.opsets = &function->opsets;
    inside.frame = &frame;
    inside.results = &results;
    function->is_active = 1;
    fer_status status = fill_call(&inside, function, call);
    function->is_active = 0;
    feri_name_map_finish(&results);
    feri_scope_finish(&inside);
    return status;
}
