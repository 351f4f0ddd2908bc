/* SPDX-License-Identifier: Apache-2.0
 *
 * What Loop and Scan share: states that go from trip to trip, and outputs collected one slice a
 * trip. A stack is memory that grows by doubling, so that a loop of unknown length costs no tensor
 * per trip; one of known length is written once and becomes the result as it is.
 */
#include "host/pieces.h"

#include <string.h>

static fer_status stacked_dims(const feri_host_call *call,
                               const fer_tensor *slice,
                               uint64_t length,
                               int64_t axis,
                               uint32_t *out_axis,
                               int64_t *dims) {
    FER_TRY(feri_host_axis(call, axis, slice->rank + 1, out_axis));
    for (uint32_t d = 0, from = 0; d < slice->rank + 1; d++) {
        dims[d] = d == *out_axis ? (int64_t)length : slice->dims[from++];
    }
    return FER_OK;
}

/* Room for another slice, within the limits of a tensor. expected: how many there will be, 0 when
 * unknown. */
static fer_status reserve(feri_host_call *call, feri_stack *stack, uint64_t expected) {
    const fer_tensor *first = stack->first;
    if (stack->count < stack->capacity) {
        return FER_OK;
    }
    uint64_t wanted = stack->capacity ? feri_mul_sat(stack->capacity, 2) : expected;
    wanted = wanted ? wanted : 4;
    int64_t dims[FER_MAX_RANK + 1];
    uint32_t axis = 0;
    uint64_t count = 0, bytes = 0;
    FER_TRY(stacked_dims(call, first, wanted, 0, &axis, dims));
    FER_TRY(feri_shape_check(call->env, first->dtype, first->rank + 1, dims, &count, &bytes));
    feri_buffer *grown = NULL;
    FER_TRY(feri_buffer_create(call->env, feri_mul_sat(wanted, stack->slice_bytes), &grown));
    if (stack->data) {
        memcpy(grown->host, stack->data->host, stack->count * stack->slice_bytes);
    }
    feri_buffer_release(stack->data);
    stack->data = grown;
    stack->capacity = wanted;
    return FER_OK;
}

static fer_tensor **held_strings(const feri_stack *stack) {
    return (fer_tensor **)(void *)stack->data->host;
}

static fer_status
stack_push(feri_host_call *call, feri_stack *stack, const fer_value *value, uint64_t expected) {
    fer_tensor *tensor = fer_value_tensor(value);
    if (!tensor) {
        return feri_host_fail(call, FER_INVALID_INPUT, "a scan output of its body is no tensor");
    }
    int are_strings = tensor->dtype == FER_STRING;
    if (!stack->first) {
        stack->first = fer_tensor_retain(tensor);
        stack->slice_bytes = are_strings ? sizeof(fer_tensor *) : tensor->bytes;
    }
    if (!feri_tensors_alike(stack->first, tensor)) {
        return feri_host_fail(call,
                              FER_INVALID_INPUT,
                              "a scan output has another dtype or shape in trip %llu than in the "
                              "first one",
                              (unsigned long long)stack->count);
    }
    FER_TRY(reserve(call, stack, expected));
    if (are_strings) {
        held_strings(stack)[stack->count] = fer_tensor_retain(tensor);
    } else {
        FER_TRY(fer_tensor_read(
            tensor, 0, stack->data->host + stack->count * stack->slice_bytes, tensor->bytes));
    }
    stack->count++;
    return FER_OK;
}

/* With the axis at axis (may be negative), in reverse order when is_reversed. At least one was
 * pushed. */
static fer_status stack_join(feri_host_call *call,
                             feri_stack *stack,
                             int64_t axis,
                             int is_reversed,
                             fer_tensor **out_tensor) {
    const fer_tensor *first = stack->first;
    int64_t dims[FER_MAX_RANK + 1];
    uint32_t at = 0;
    FER_TRY(stacked_dims(call, first, stack->count, axis, &at, dims));
    if (at == 0 && !is_reversed && stack->capacity == stack->count &&
        fer_dtype_bits(first->dtype) >= 8) {
        return feri_tensor_on_buffer(
            stack->data, 0, first->dtype, first->rank + 1, dims, out_tensor);
    }
    feri_assembly assembly;
    FER_TRY(feri_assembly_begin(&assembly, call->env, first->dtype, first->rank + 1, dims));
    uint64_t outer = 1;
    for (uint32_t d = 0; d < at; d++) {
        outer *= (uint64_t)dims[d];
    }
    /* Empty slices have nothing to copy; outer may be 0 only then. */
    uint64_t inner = first->element_count ? first->element_count / outer : 0;
    fer_tensor slice = {.dtype = first->dtype, .buffer = stack->data};
    fer_status status = FER_OK;
    for (uint64_t t = 0; inner && t < stack->count && status == FER_OK; t++) {
        uint64_t place = is_reversed ? stack->count - 1 - t : t;
        const fer_tensor *source = first->dtype == FER_STRING ? held_strings(stack)[t] : &slice;
        for (uint64_t o = 0; o < outer && status == FER_OK; o++) {
            uint64_t to = (o * stack->count + place) * inner;
            status = feri_assembly_copy(&assembly, to, source, o * inner, inner);
        }
        slice.offset += stack->slice_bytes;
    }
    return feri_assembly_end(&assembly, status, out_tensor);
}

/* What a stack of none is: dims from the fact of a body's output, 0 where unknown. */
static fer_status stack_none(feri_host_call *call,
                             const feri_host_body *body,
                             uint32_t body_output,
                             int64_t axis,
                             fer_tensor **out_tensor) {
    const feri_fact *fact = &body->graph->values[body->graph->outputs[body_output]].fact;
    if (fact->dtype == 0) {
        return feri_host_fail(call,
                              FER_INVALID_INPUT,
                              "it makes no trip, and the dtype of its body's output %u is not "
                              "known, so there is no empty result to give",
                              body_output);
    }
    fer_tensor slice = {.dtype = fact->dtype};
    for (int32_t d = 0; d < fact->rank && d < FER_MAX_RANK; d++) {
        feri_sym dim = fact->dims[d];
        slice.dims[slice.rank++] = feri_sym_is_number(dim) && dim.number > 0 ? dim.number : 0;
    }
    int64_t dims[FER_MAX_RANK + 1];
    uint32_t at = 0;
    /* An axis that only fits the rank not known here must not fail. */
    FER_TRY(stacked_dims(call, &slice, 0, fact->rank < 0 ? 0 : axis, &at, dims));
    return fer_tensor_create(
        feri_host_context(call), slice.dtype, slice.rank + 1, dims, out_tensor);
}

static void stack_drop(feri_stack *stack) {
    int has_strings = stack->first && stack->first->dtype == FER_STRING;
    for (uint64_t i = 0; has_strings && i < stack->count; i++) {
        fer_tensor_release(held_strings(stack)[i]);
    }
    feri_buffer_release(stack->data);
    fer_tensor_release(stack->first);
}

/* ---- rounds ---- */

int64_t feri_rounds_entry(const feri_host_call *call, const char *name, uint32_t index) {
    const feri_gnode *node = call->node;
    const fer_attr *attr = feri_attr_find(node->attrs, node->attr_count, name);
    int has = attr && attr->type == FER_ATTR_INTS && index < attr->count;
    return has ? attr->value.ints[index] : 0;
}

fer_status feri_rounds_open(feri_rounds *r) {
    if (r->body.out_count < r->state_out + r->state_count) {
        return feri_host_fail(r->call, FER_INVALID_MODEL, "its body has too few outputs");
    }
    r->stack_count = r->body.out_count - r->state_out - r->state_count;
    for (uint32_t s = 0; s < r->state_count; s++) {
        fer_value *initial = feri_host_operand(r->call, r->operand + s);
        if (!initial) {
            return feri_host_fail(
                r->call, FER_INVALID_INPUT, "the initial value of carried value %u is left out", s);
        }
        feri_host_body_set(&r->body, r->state_in + s, fer_value_retain(initial));
    }
    r->stacks = feri_alloc(r->call->env, feri_mul_sat(r->stack_count, sizeof *r->stacks));
    return r->stacks ? FER_OK : feri_error_status();
}

fer_status feri_rounds_next(feri_rounds *r, uint64_t expected) {
    for (uint32_t s = 0; s < r->state_count; s++) {
        feri_host_body_set(
            &r->body, r->state_in + s, feri_host_body_take(&r->body, r->state_out + s));
    }
    for (uint32_t k = 0; k < r->stack_count; k++) {
        uint32_t index = r->state_count + k;
        if (feri_host_wants(r->call, index)) {
            const fer_value *slice = r->body.out[r->state_out + index];
            FER_TRY(stack_push(r->call, &r->stacks[k], slice, expected));
        }
    }
    r->trips++;
    return FER_OK;
}

/* Loop has no such attributes: its axes are 0. */
static fer_status give_stack(feri_rounds *r, uint32_t k) {
    uint32_t index = r->state_count + k;
    int64_t axis = feri_rounds_entry(r->call, "scan_output_axes", k);
    int is_reversed = feri_rounds_entry(r->call, "scan_output_directions", k) != 0;
    fer_tensor *stacked = NULL;
    if (!feri_host_wants(r->call, index)) {
        return FER_OK;
    }
    FER_TRY(r->trips ? stack_join(r->call, &r->stacks[k], axis, is_reversed, &stacked)
                     : stack_none(r->call, &r->body, r->state_out + index, axis, &stacked));
    return feri_host_give_tensor(r->call, index, stacked);
}

fer_status feri_rounds_end(feri_rounds *r, fer_status status) {
    feri_env *env = r->call->env;
    for (uint32_t s = 0; s < r->state_count && status == FER_OK; s++) {
        feri_host_give(r->call, s, fer_value_retain(r->body.in[r->state_in + s]));
    }
    for (uint32_t k = 0; r->stacks && k < r->stack_count; k++) {
        status = status == FER_OK ? give_stack(r, k) : status;
        stack_drop(&r->stacks[k]);
    }
    feri_free(env, r->stacks, feri_mul_sat(r->stack_count, sizeof *r->stacks));
    feri_host_body_close(&r->body);
    return status;
}
