/* SPDX-License-Identifier: Apache-2.0
 *
 * TensorProto as a tensor; see onnx_tensor.h. The bytes of weights are not touched, only measured.
 * Which typed field serves which dtype, and how narrow dtypes are packed into int32_data: comments
 * of TensorProto in onnx.proto (onnx 1.22.0).
 */
#include "import/onnx_tensor.h"

#include "base/error.h"
#include "tensor/dtype.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ONNX stores contents little-endian");

#define SHOWN(span) FERI_SPAN_SHOWN(span)

/* Field number and kind of each typed field. */
static const uint8_t data_fields[FERI_DATA_COUNT][2] = {
    [FERI_DATA_FLOAT] = {4,  FERI_FIXED32S},
    [FERI_DATA_INT32] = {5,  FERI_VARINTS },
    [FERI_DATA_INT64] = {7,  FERI_VARINTS },
    [FERI_DATA_DOUBLE] = {10, FERI_FIXED64S},
    [FERI_DATA_UINT64] = {11, FERI_VARINTS },
};

static int field_of_dtype(fer_dtype dtype) {
    switch (dtype) {
    case FER_F32:
    case FER_C64:
        return FERI_DATA_FLOAT;
    case FER_F64:
    case FER_C128:
        return FERI_DATA_DOUBLE;
    case FER_I64:
        return FERI_DATA_INT64;
    case FER_U32:
    case FER_U64:
        return FERI_DATA_UINT64;
    default:
        return FERI_DATA_INT32;
    }
}

fer_status
feri_tensor_proto_read(feri_source *source, feri_span message, feri_tensor_proto *out_proto) {
#define DATA(kind, number, entries) FERI_ROW(feri_tensor_proto, number, entries, data[kind])
    static const uint8_t table[] = FERI_TABLE(feri_tensor_proto,
                                              FERI_ROW(feri_tensor_proto, 1, FERI_VARINTS, shape),
                                              FERI_ROW(feri_tensor_proto, 2, FERI_INT, dtype),
                                              FERI_ROW(feri_tensor_proto, 6, FERI_SPANS, strings),
                                              FERI_ROW(feri_tensor_proto, 8, FERI_SPAN, base.name),
                                              FERI_ROW(feri_tensor_proto, 9, FERI_SPAN, raw),
                                              FERI_ROW(feri_tensor_proto, 13, FERI_SPANS, external),
                                              FERI_ROW(feri_tensor_proto, 14, FERI_INT, location),
                                              DATA(FERI_DATA_FLOAT, 4, FERI_FIXED32S),
                                              DATA(FERI_DATA_INT32, 5, FERI_VARINTS),
                                              DATA(FERI_DATA_INT64, 7, FERI_VARINTS),
                                              DATA(FERI_DATA_DOUBLE, 10, FERI_FIXED64S),
                                              DATA(FERI_DATA_UINT64, 11, FERI_VARINTS));
    FER_TRY(feri_message_read(&source->scratch, "tensor", message, table, out_proto));
    feri_numbers_read(&out_proto->base, 1, FERI_VARINTS, 8, FER_MAX_RANK, out_proto->dims);
    return FER_OK;
}

/* ---- contents ---- */

/* A tensor over bytes of the model, or a copy of them when the model is not in a buffer; zeros
 * where data is NULL. */
static fer_status place(feri_source *source,
                        feri_buffer *buffer,
                        const uint8_t *data,
                        const feri_tensor_proto *proto,
                        fer_tensor **out_tensor) {
    if (buffer != NULL && data != NULL) {
        return feri_tensor_on_buffer(buffer,
                                     (uint64_t)(data - buffer->host),
                                     (fer_dtype)proto->dtype,
                                     (uint32_t)proto->shape.count,
                                     proto->dims,
                                     out_tensor);
    }
    FER_TRY(fer_tensor_create((fer_context *)(void *)source->env,
                              (fer_dtype)proto->dtype,
                              (uint32_t)proto->shape.count,
                              proto->dims,
                              out_tensor));
    if (data != NULL && (*out_tensor)->bytes > 0) {
        memcpy(fer_tensor_data(*out_tensor), data, (*out_tensor)->bytes);
    }
    return FER_OK;
}

static int parse_decimal(feri_span text, uint64_t *out_value) {
    uint64_t value = 0;
    if (text.length == 0 || text.length > 19) {
        return 0;
    }
    for (uint64_t c = 0; c < text.length; c++) {
        if (text.data[c] < '0' || text.data[c] > '9') {
            return 0;
        }
        value = value * 10 + (uint64_t)(text.data[c] - '0');
    }
    *out_value = value;
    return 1;
}

/* Contents of a length that is not the one shape and dtype ask for. */
static fer_status wrong_length(const feri_tensor_proto *proto,
                               const char *what,
                               uint64_t needed,
                               const char *holder,
                               uint64_t given) {
    return feri_fail(FER_INVALID_MODEL,
                     "tensor '%.*s': its shape and dtype %s need %llu %s but %s has %llu",
                     SHOWN(proto->base.name),
                     fer_dtype_name((fer_dtype)proto->dtype),
                     (unsigned long long)needed,
                     what,
                     holder,
                     (unsigned long long)given);
}

/* StringStringEntryProto: its name is the key. */
typedef struct entry_view {
    feri_message base;
    feri_span value;
} entry_view;

static fer_status from_external(feri_source *source,
                                const feri_tensor_proto *proto,
                                uint64_t bytes,
                                fer_tensor **out_tensor) {
    static const uint8_t table[] = FERI_TABLE(entry_view,
                                              FERI_ROW(entry_view, 1, FERI_SPAN, base.name),
                                              FERI_ROW(entry_view, 2, FERI_SPAN, value));
    uint64_t offset = 0;
    uint64_t length = bytes;
    feri_span location = {NULL, 0};
    for (uint64_t e = 0; e < proto->external.count; e++) {
        entry_view entry;
        FER_TRY(feri_message_read(
            &source->scratch, "external_data", proto->external.list[e], table, &entry));
        if (feri_span_is(entry.base.name, "location")) {
            location = entry.value;
            continue;
        }
        int is_length = feri_span_is(entry.base.name, "length");
        if ((is_length || feri_span_is(entry.base.name, "offset")) && entry.value.length > 0 &&
            !parse_decimal(entry.value, is_length ? &length : &offset)) {
            return feri_fail(FER_INVALID_MODEL,
                             "tensor '%.*s': offset or length of its external data is not a number",
                             SHOWN(proto->base.name));
        }
    }
    if (length != bytes) {
        return wrong_length(proto, "bytes", bytes, "its external data", length);
    }
    feri_buffer *file = NULL;
    FER_TRY(feri_source_external(source, location, proto->base.name, &file));
    if (offset > file->bytes || length > file->bytes - offset) {
        return feri_fail(FER_INVALID_MODEL,
                         "tensor '%.*s': bytes %llu to %llu lie beyond the %llu bytes of '%.*s'",
                         SHOWN(proto->base.name),
                         (unsigned long long)offset,
                         (unsigned long long)feri_add_sat(offset, length),
                         (unsigned long long)file->bytes,
                         SHOWN(location));
    }
    return place(source, file, file->host + offset, proto, out_tensor);
}

static fer_status from_typed(feri_source *source,
                             const feri_tensor_proto *proto,
                             uint64_t bytes,
                             fer_tensor **out_tensor) {
    int kind = field_of_dtype((fer_dtype)proto->dtype);
    const feri_numbers *data = &proto->data[kind];
    uint32_t bits = fer_dtype_bits((fer_dtype)proto->dtype);
    uint32_t store = bits < 8 ? 1 : bits / 8;
    if (proto->dtype == FER_C64 || proto->dtype == FER_C128) {
        store /= 2; /* real and imaginary parts are entries of their own */
    }
    uint64_t needed = bytes / store;
    if (data->count != needed) {
        return wrong_length(proto, "entries", needed, "its field", data->count);
    }
    int is_raw = bytes > 0 && data_fields[kind][1] != FERI_VARINTS && data->packed.length == bytes;
    FER_TRY(place(source, source->model, is_raw ? data->packed.data : NULL, proto, out_tensor));
    if (!is_raw && bytes > 0) {
        feri_numbers_read(&proto->base,
                          data_fields[kind][0],
                          data_fields[kind][1],
                          store,
                          needed,
                          fer_tensor_data(*out_tensor));
    }
    return FER_OK;
}

static fer_status from_strings(feri_source *source,
                               const feri_tensor_proto *proto,
                               uint64_t count,
                               fer_tensor **out_tensor) {
    if (proto->strings.count != count) {
        return wrong_length(proto, "strings", count, "its field", proto->strings.count);
    }
    const char **strings = FERI_BUMP_ARRAY(&source->scratch, const char *, count);
    size_t *lengths = FERI_BUMP_ARRAY(&source->scratch, size_t, count);
    if (strings == NULL || lengths == NULL) {
        return feri_error_status();
    }
    for (uint64_t s = 0; s < count; s++) {
        strings[s] = (const char *)proto->strings.list[s].data;
        lengths[s] = (size_t)proto->strings.list[s].length;
    }
    return fer_tensor_create_strings((fer_context *)(void *)source->env,
                                     (uint32_t)proto->shape.count,
                                     proto->dims,
                                     strings,
                                     lengths,
                                     out_tensor);
}

static fer_status
tensor_contents(feri_source *source, const feri_tensor_proto *proto, fer_tensor **out_tensor) {
    fer_dtype dtype = (fer_dtype)proto->dtype;
    if (dtype != proto->dtype || !feri_dtype_is_valid(dtype)) {
        return feri_fail(FER_INVALID_MODEL,
                         "tensor '%.*s': data_type %lld does not exist",
                         SHOWN(proto->base.name),
                         (long long)proto->dtype);
    }
    if (proto->shape.count > FER_MAX_RANK) {
        return feri_fail(FER_LIMIT,
                         "tensor '%.*s' has rank %llu; ranks end at %d",
                         SHOWN(proto->base.name),
                         (unsigned long long)proto->shape.count,
                         FER_MAX_RANK);
    }
    uint64_t count = 0;
    uint64_t bytes = 0;
    FER_TRY(feri_shape_check(
        source->env, dtype, (uint32_t)proto->shape.count, proto->dims, &count, &bytes));
    if (dtype == FER_STRING) {
        return from_strings(source, proto, count, out_tensor);
    }
    if (proto->location == 1) {
        return from_external(source, proto, bytes, out_tensor);
    }
    if (proto->raw.data == NULL) {
        return from_typed(source, proto, bytes, out_tensor);
    }
    if (proto->raw.length != bytes) {
        return wrong_length(proto, "bytes", bytes, "raw_data", proto->raw.length);
    }
    return place(source, source->model, proto->raw.data, proto, out_tensor);
}

fer_status feri_restate(fer_status status) {
    fer_error error;
    feri_error_save(&error);
    error.status = status;
    feri_error_restore(&error);
    return status;
}

fer_status
feri_import_tensor(feri_source *source, const feri_tensor_proto *proto, fer_tensor **out_tensor) {
    fer_status status = tensor_contents(source, proto, out_tensor);
    if (status == FER_INVALID_ARGUMENT) { /* what is the caller's fault elsewhere is the file's */
        feri_error_prefix("tensor '%.*s'", SHOWN(proto->base.name));
        return feri_restate(FER_INVALID_MODEL);
    }
    return status;
}
