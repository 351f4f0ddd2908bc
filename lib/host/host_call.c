/* SPDX-License-Identifier: Apache-2.0
 *
 * Operands, results and bodies of a host op's call. Operands are judged here: what is left out or
 * of another kind is INVALID_INPUT with the node's name, for facts may have been unknown until now.
 */
#include "host/host_call.h"

#include "host/pieces.h"
#include "tensor/dtype.h"

#include <string.h>

fer_status feri_host_fail(const feri_host_call *call, fer_status status, const char *format, ...) {
    const feri_gnode *node = call->node;
    va_list list;
    va_start(list, format);
    (void)feri_fail_list(FERI_FILE, FERI_LINE(status), format, list);
    va_end(list);
    feri_error_prefix("%s '%s'", feri_op_name(node->op), node->name);
    feri_error_set_node(node->name);
    return status;
}

fer_status feri_host_check(const feri_host_call *call) {
    return call->check ? call->check(call->self) : FER_OK;
}

/* ---- operands ---- */

fer_value *feri_host_operand(const feri_host_call *call, uint32_t index) {
    return index < call->node->input_count ? call->inputs[index] : NULL;
}

static const char *kind_name(const fer_value *value) {
    static const char *const names[] = {
        "left out", "a tensor", "a sequence", "an optional", "a map"};
    return names[fer_value_kind(value)];
}

fer_status feri_host_tensor(const feri_host_call *call, uint32_t index, fer_tensor **out_tensor) {
    fer_value *value = feri_host_operand(call, index);
    *out_tensor = fer_value_tensor(value);
    if (!*out_tensor) {
        return feri_host_fail(
            call, FER_INVALID_INPUT, "input %u is %s, not a tensor", index, kind_name(value));
    }
    return FER_OK;
}

fer_status feri_host_sequence(const feri_host_call *call, uint32_t index, fer_value **out_value) {
    fer_value *value = feri_host_operand(call, index);
    /* An optional that holds a sequence stands for it, as Loop's carried values may be either. */
    if (value && value->kind == FER_KIND_OPTIONAL && value->count == 1) {
        value = value->items[0];
    }
    if (!value || value->kind != FER_KIND_SEQUENCE) {
        return feri_host_fail(
            call, FER_INVALID_INPUT, "input %u is %s, not a sequence", index, kind_name(value));
    }
    *out_value = value;
    return FER_OK;
}

fer_status feri_host_number(const feri_host_call *call,
                            const fer_value *value,
                            const char *what,
                            int64_t *out_number) {
    fer_tensor *tensor = fer_value_tensor(value);
    int32_t class = tensor ? feri_dtype_class(tensor->dtype) : FERI_CLASS_NONE;
    int is_integer =
        class == FERI_CLASS_SIGNED || class == FERI_CLASS_UNSIGNED || class == FERI_CLASS_BOOL;
    if (!is_integer || tensor->element_count != 1) {
        return feri_host_fail(
            call, FER_INVALID_INPUT, "%s must be an integer or bool tensor of one element", what);
    }
    fer_tensor *here = NULL;
    FER_TRY(feri_tensor_on_host(tensor, &here));
    *out_number = feri_load_i64(here->dtype, fer_tensor_data(here), 0);
    fer_tensor_release(here);
    return FER_OK;
}

int64_t feri_host_attr(const feri_host_call *call, const char *name, int64_t absent) {
    return feri_attr_int(call->node->attrs, call->node->attr_count, name, absent);
}

fer_status
feri_host_axis(const feri_host_call *call, int64_t axis, uint32_t rank, uint32_t *out_axis) {
    int64_t least = -(int64_t)rank;
    if (axis < least || axis >= (int64_t)rank) {
        return feri_host_fail(
            call, FER_INVALID_INPUT, "axis %lld does not fit rank %u", (long long)axis, rank);
    }
    *out_axis = (uint32_t)(axis < 0 ? axis + rank : axis);
    return FER_OK;
}

/* ---- results ---- */

int feri_host_wants(const feri_host_call *call, uint32_t index) {
    return index < call->node->output_count && call->node->outputs[index] != FER_NO_VALUE;
}

void feri_host_give(feri_host_call *call, uint32_t index, fer_value *value) {
    if (!feri_host_wants(call, index)) {
        fer_value_release(value);
        return;
    }
    fer_value_release(call->outputs[index]);
    call->outputs[index] = value;
}

fer_status feri_host_give_tensor(feri_host_call *call, uint32_t index, fer_tensor *tensor) {
    fer_value *value = NULL;
    fer_status status = fer_value_from_tensor(tensor, &value);
    fer_tensor_release(tensor);
    if (status == FER_OK) {
        feri_host_give(call, index, value);
    }
    return status;
}

fer_status feri_host_end(feri_host_call *call, fer_status status, fer_tensor *tensor) {
    if (status == FER_OK) {
        return feri_host_give_tensor(call, 0, tensor);
    }
    fer_tensor_release(tensor);
    return status;
}

fer_status feri_host_scalar(const feri_host_call *call,
                            fer_dtype dtype,
                            int64_t number,
                            fer_value **out_value) {
    fer_tensor *tensor = NULL;
    FER_TRY(fer_tensor_create(feri_host_context(call), dtype, 0, /*dims=*/NULL, &tensor));
    feri_store_run_i64(dtype, fer_tensor_data(tensor), 0, 1, &number);
    fer_status status = fer_value_from_tensor(tensor, out_value);
    fer_tensor_release(tensor);
    return status;
}

/* ---- bodies ---- */

/* Of the values: in, then out. */
static uint64_t body_bytes(const feri_host_body *body) {
    return ((uint64_t)body->in_count + body->out_count) * sizeof *body->in;
}

fer_status feri_host_body_open(feri_host_call *call, const char *attr, feri_host_body *body) {
    const feri_gnode *node = call->node;
    memset(body, 0, sizeof *body);
    const fer_attr *found = feri_attr_find(node->attrs, node->attr_count, attr);
    if (!found || found->type != FER_ATTR_GRAPH || found->value.graph >= node->body_count) {
        return feri_host_fail(call, FER_INVALID_MODEL, "its attribute '%s' is no graph", attr);
    }
    body->call = call;
    body->index = found->value.graph;
    body->graph = node->bodies[body->index];
    body->in_count = body->graph->input_count;
    body->out_count = body->graph->output_count;
    body->formal_count = body->in_count - body->graph->capture_count;
    body->in = feri_alloc(call->env, body_bytes(body));
    if (!body->in) {
        return feri_error_status();
    }
    body->out = body->in + body->in_count;
    for (uint32_t i = 0; i < body->graph->capture_count; i++) {
        fer_value *captured = feri_host_operand(call, body->graph->captures[i]);
        body->in[body->formal_count + i] = fer_value_retain(captured);
    }
    return FER_OK;
}

static void release_all(fer_value **values, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        fer_value_release(values[i]);
        values[i] = NULL;
    }
}

void feri_host_body_close(feri_host_body *body) {
    if (body->in) {
        release_all(body->in, body->in_count + body->out_count);
        feri_free(body->call->env, body->in, body_bytes(body));
    }
}

void feri_host_body_set(feri_host_body *body, uint32_t index, fer_value *value) {
    fer_value_release(body->in[index]);
    body->in[index] = value;
}

fer_status feri_host_body_run(feri_host_body *body) {
    feri_host_call *call = body->call;
    release_all(body->out, body->out_count);
    FER_TRY(feri_host_check(call));
    fer_status status = call->run_body(
        call->self, body->index, body->in, body->in_count, body->out, body->out_count);
    for (uint32_t i = 0; status == FER_OK && i < body->out_count; i++) {
        if (!body->out[i]) {
            status = feri_host_fail(call, FER_INTERNAL, "its body gave no output %u", i);
        }
    }
    return status;
}

fer_value *feri_host_body_take(feri_host_body *body, uint32_t index) {
    fer_value *value = body->out[index];
    body->out[index] = NULL;
    return value;
}
