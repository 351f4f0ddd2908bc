/* SPDX-License-Identifier: Apache-2.0
 *
 * Optionals, Identity of any value, and the shape of values that only the host holds. A tensor or
 * sequence counts as an optional that is full. Semantics: the ONNX schemas of Optional*, Identity,
 * Shape and Size.
 */
#include "host/host_call.h"

fer_status feri_host_optional(feri_host_call *call) {
    fer_value *optional = NULL;
    FER_TRY(fer_value_optional(feri_host_context(call), feri_host_operand(call, 0), &optional));
    feri_host_give(call, 0, optional);
    return FER_OK;
}

fer_status feri_host_optional_has_element(feri_host_call *call) {
    const fer_value *value = feri_host_operand(call, 0);
    int has = value && (value->kind != FER_KIND_OPTIONAL || value->count == 1);
    fer_value *answer = NULL;
    FER_TRY(feri_host_scalar(call, FER_BOOL, has, &answer));
    feri_host_give(call, 0, answer);
    return FER_OK;
}

fer_status feri_host_optional_get_element(feri_host_call *call) {
    fer_value *value = feri_host_operand(call, 0);
    if (value && value->kind == FER_KIND_OPTIONAL) {
        value = fer_value_item(value, 0);
    }
    if (!value) {
        return feri_host_fail(
            call, FER_INVALID_INPUT, "its optional is empty; ask OptionalHasElement before");
    }
    feri_host_give(call, 0, fer_value_retain(value));
    return FER_OK;
}

fer_status feri_host_identity(feri_host_call *call) {
    fer_value *value = feri_host_operand(call, 0);
    if (!value) {
        return feri_host_fail(call, FER_INVALID_INPUT, "input 0 is left out");
    }
    feri_host_give(call, 0, fer_value_retain(value));
    return FER_OK;
}

static int64_t clamp(int64_t at, int64_t rank) {
    at = at < 0 ? at + rank : at;
    return at < 0 ? 0 : at > rank ? rank : at;
}

fer_status feri_host_shape(feri_host_call *call) {
    fer_tensor *tensor = NULL;
    fer_tensor *shape = NULL;
    FER_TRY(feri_host_tensor(call, 0, &tensor));
    int64_t rank = tensor->rank;
    int64_t start = clamp(feri_host_attr(call, "start", 0), rank);
    int64_t end = clamp(feri_host_attr(call, "end", rank), rank);
    int64_t count = end > start ? end - start : 0;
    FER_TRY(fer_tensor_create(feri_host_context(call), FER_I64, 1, &count, &shape));
    int64_t *dims = fer_tensor_data(shape);
    for (int64_t d = 0; d < count; d++) {
        dims[d] = tensor->dims[start + d];
    }
    return feri_host_give_tensor(call, 0, shape);
}

fer_status feri_host_size(feri_host_call *call) {
    fer_tensor *tensor = NULL;
    fer_value *size = NULL;
    FER_TRY(feri_host_tensor(call, 0, &tensor));
    FER_TRY(feri_host_scalar(call, FER_I64, (int64_t)tensor->element_count, &size));
    feri_host_give(call, 0, size);
    return FER_OK;
}
