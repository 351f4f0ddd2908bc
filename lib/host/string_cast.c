/* SPDX-License-Identifier: Apache-2.0
 *
 * Cast and CastLike where one side is strings. Text that is no number, or one that an integer dtype
 * cannot hold, is INVALID_INPUT. Semantics: the ONNX schema of Cast (opset 25); what it leaves open
 * is in number_text.h.
 */
#include "host/number_text.h"
#include "host/pieces.h"
#include "host/string_ops.h"
#include "tensor/dtype.h"

#include <string.h>

enum { POLL_ELEMENTS = 1 << 16, SHOWN_BYTES = 40 };

static fer_status poll(const feri_host_call *call, uint64_t index) {
    return index % POLL_ELEMENTS == POLL_ELEMENTS - 1 ? feri_host_check(call) : FER_OK;
}

static fer_status target_dtype(feri_host_call *call, fer_dtype *out_dtype) {
    const fer_attr *to = feri_attr_find(call->node->attrs, call->node->attr_count, "to");
    if (to && to->type == FER_ATTR_INT) {
        *out_dtype = to->value.i > 0 && to->value.i < FER_DTYPE_COUNT ? (fer_dtype)to->value.i
                                                                      : FER_DTYPE_NONE;
    } else {
        fer_tensor *like = NULL;
        FER_TRY(feri_host_tensor(call, 1, &like));
        *out_dtype = like->dtype;
    }
    int32_t class = feri_dtype_class(*out_dtype);
    if (class == FERI_CLASS_NONE || class == FERI_CLASS_COMPLEX) {
        return feri_host_fail(call,
                              FER_UNSUPPORTED,
                              "there is no cast between str and %s",
                              fer_dtype_name(*out_dtype));
    }
    return FER_OK;
}

static fer_status
parse_all(feri_host_call *call, const fer_tensor *source, fer_dtype dtype, void *data) {
    int32_t saturate = feri_host_attr(call, "saturate", 1) != 0;
    for (uint64_t i = 0; i < source->element_count; i++) {
        const char *text = NULL;
        size_t length = 0;
        FER_TRY(poll(call, i));
        FER_TRY(feri_string_at(call, source, i, &text, &length));
        if (!feri_number_parse(dtype, text, length, saturate, data, i)) {
            return feri_host_fail(call,
                                  FER_INVALID_INPUT,
                                  "string %llu, '%.*s', is no number that %s holds",
                                  (unsigned long long)i,
                                  (int)(length < SHOWN_BYTES ? length : SHOWN_BYTES),
                                  text,
                                  fer_dtype_name(dtype));
        }
    }
    return FER_OK;
}

static fer_status cast_from_strings(feri_host_call *call, fer_tensor *source, fer_dtype dtype) {
    fer_tensor *numbers = NULL;
    FER_TRY(
        fer_tensor_create(feri_host_context(call), dtype, source->rank, source->dims, &numbers));
    return feri_host_end(call, parse_all(call, source, dtype, fer_tensor_data(numbers)), numbers);
}

static fer_status cast_to_strings(feri_host_call *call, fer_tensor *source) {
    uint64_t text_bytes = feri_mul_sat(source->element_count, FERI_NUMBER_TEXT_BYTES);
    fer_tensor *result = NULL;
    feri_assembly strings;
    FER_TRY(feri_assembly_begin(&strings, call->env, FER_STRING, source->rank, source->dims));
    char *texts = feri_alloc(call->env, text_bytes), *text = texts;
    fer_status status = texts ? FER_OK : feri_error_status();
    for (uint64_t i = 0; i < source->element_count && status == FER_OK; i++) {
        strings.strings[i] = text;
        strings.lengths[i] = feri_number_print(source->dtype, fer_tensor_data(source), i, text);
        text += FERI_NUMBER_TEXT_BYTES;
        status = poll(call, i);
    }
    status = feri_assembly_end(&strings, status, &result);
    feri_free(call->env, texts, text_bytes);
    return feri_host_end(call, status, result);
}

fer_status feri_host_string_cast(feri_host_call *call) {
    fer_tensor *source = NULL;
    fer_dtype dtype = FER_DTYPE_NONE;
    FER_TRY(feri_host_tensor(call, 0, &source));
    FER_TRY(target_dtype(call, &dtype));
    if (source->dtype != FER_STRING && dtype != FER_STRING) {
        return feri_string_run_plain(call);
    }
    if (source->dtype == FER_STRING && dtype == FER_STRING) {
        return feri_host_identity(call);
    }
    if (source->dtype == FER_STRING) {
        return cast_from_strings(call, source, dtype);
    }
    int32_t class = feri_dtype_class(source->dtype);
    if (class == FERI_CLASS_COMPLEX) {
        return feri_host_fail(call, FER_UNSUPPORTED, "complex numbers have no cast to strings");
    }
    return cast_to_strings(call, source);
}
