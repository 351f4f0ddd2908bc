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

/* The typed fields of TensorProto. */
enum { DATA_FLOAT, DATA_INT32, DATA_INT64, DATA_DOUBLE, DATA_UINT64, DATA_COUNT };

/* Field number and kind of each typed field. */
static const uint8_t data_fields[DATA_COUNT][2] = {
    [DATA_FLOAT] = {4,  FERI_FIXED32S},
    [DATA_INT32] = {5,  FERI_VARINTS },
    [DATA_INT64] = {7,  FERI_VARINTS },
    [DATA_DOUBLE] = {10, FERI_FIXED64S},
    [DATA_UINT64] = {11, FERI_VARINTS },
};

static int field_of_dtype(fer_dtype dtype) {
    switch (dtype) {
    case FER_F32:
    case FER_C64:
        return DATA_FLOAT;
    case FER_F64:
    case FER_C128:
        return DATA_DOUBLE;
    case FER_I64:
        return DATA_INT64;
    case FER_U32:
    case FER_U64:
        return DATA_UINT64;
    default:
        return DATA_INT32;
    }
}

/* A TensorProto read once: everything but the contents. */
typedef struct tensor_proto {
    feri_message base;
    feri_numbers shape;
    int64_t dtype;
    feri_span raw;
    feri_spans external;
    int64_t location; /* 1: external */
    feri_spans strings;
    feri_numbers data[DATA_COUNT];
    int64_t dims[FER_MAX_RANK]; /* the first ones of shape */
} tensor_proto;

/* ---- contents ---- */

/* A tensor over bytes of the model, or a copy of them when the model is not in a buffer; zeros
 * where data is NULL. */
static fer_status place(feri_source *source,
                        feri_buffer *buffer,
                        const uint8_t *data,
                        const tensor_proto *proto,
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

/* 0 when text is no number; nothing at all changes nothing. */
static int parse_decimal(const feri_span *text, uint64_t *out_value) {
    uint64_t value = 0;
    if (text->length == 0 || text->length > 19) {
        return text->length == 0;
    }
    for (uint64_t c = 0; c < text->length; c++) {
        uint32_t digit = (uint32_t)text->data[c] - '0';
        if (digit > 9) {
            return 0;
        }
        value = value * 10 + digit;
    }
    *out_value = value;
    return 1;
}

/* Contents of a length that is not the one shape and dtype ask for. */
static fer_status wrong_length(const tensor_proto *proto,
                               const char *what,
                               uint64_t needed,
                               const char *holder,
                               uint64_t given) {
    return feri_fail(FER_INVALID_MODEL,
                     "its shape and dtype %s need %llu %s but %s has %llu",
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
                                const tensor_proto *proto,
                                uint64_t bytes,
                                fer_tensor **out_tensor) {
    static const uint8_t table[] = FERI_TABLE(entry_view,
                                              FERI_ROW(entry_view, 1, FERI_SPAN, base.name),
                                              FERI_ROW(entry_view, 2, FERI_SPAN, value));
    static const char keys[] = "offset\0length\0location\0";
    feri_span told[3] = {{0}};
    uint64_t offset = 0;
    uint64_t length = bytes;
    for (uint64_t e = 0; e < proto->external.count; e++) {
        entry_view entry;
        FER_TRY(feri_message_read(
            &source->scratch, "external_data", &proto->external.list[e], table, &entry));
        const char *key = keys;
        for (int k = 0; k < 3; k++, key += strlen(key) + 1) {
            if (feri_span_is(&entry.base.name, key)) {
                told[k] = entry.value;
            }
        }
    }
    if (!parse_decimal(&told[0], &offset) || !parse_decimal(&told[1], &length)) {
        return feri_fail(FER_INVALID_MODEL,
                         "offset or length of its external data is not a number");
    }
    if (length != bytes) {
        return wrong_length(proto, "bytes", bytes, "its external data", length);
    }
    feri_buffer *file = NULL;
    FER_TRY(feri_source_external(source, &told[2], &file));
    if (offset > file->bytes || length > file->bytes - offset) {
        return feri_fail(FER_INVALID_MODEL,
                         "bytes %llu to %llu lie beyond the %llu bytes of '%.*s'",
                         (unsigned long long)offset,
                         (unsigned long long)feri_add_sat(offset, length),
                         (unsigned long long)file->bytes,
                         SHOWN(told[2]));
    }
    return place(source, file, file->host + offset, proto, out_tensor);
}

static fer_status from_typed(feri_source *source,
                             const tensor_proto *proto,
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
                               const tensor_proto *proto,
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
tensor_contents(feri_source *source, const tensor_proto *proto, fer_tensor **out_tensor) {
    /* what fits no dtype or rank is refused with the others */
    fer_dtype dtype = proto->dtype == (fer_dtype)proto->dtype ? (fer_dtype)proto->dtype : -1;
    uint32_t rank = proto->shape.count < UINT32_MAX ? (uint32_t)proto->shape.count : UINT32_MAX;
    uint64_t count = 0;
    uint64_t bytes = 0;
    FER_TRY(feri_shape_check(source->env, dtype, rank, proto->dims, &count, &bytes));
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

static fer_status import_dense(feri_source *source,
                               const feri_span *message,
                               feri_span *out_name,
                               fer_tensor **out_tensor) {
#define ROW(number, kind, member) FERI_ROW(tensor_proto, number, kind, member)
    static const uint8_t table[] = FERI_TABLE(tensor_proto,
                                              ROW(1, FERI_VARINTS, shape),
                                              ROW(2, FERI_INT, dtype),
                                              ROW(6, FERI_SPANS, strings),
                                              ROW(8, FERI_SPAN, base.name),
                                              ROW(9, FERI_SPAN, raw),
                                              ROW(13, FERI_SPANS, external),
                                              ROW(14, FERI_INT, location),
                                              ROW(4, FERI_FIXED32S, data[DATA_FLOAT]),
                                              ROW(5, FERI_VARINTS, data[DATA_INT32]),
                                              ROW(7, FERI_VARINTS, data[DATA_INT64]),
                                              ROW(10, FERI_FIXED64S, data[DATA_DOUBLE]),
                                              ROW(11, FERI_VARINTS, data[DATA_UINT64]));
#undef ROW
    tensor_proto proto;
    FER_TRY(feri_message_read(&source->scratch, "tensor", message, table, &proto));
    feri_numbers_read(&proto.base, 1, FERI_VARINTS, 8, FER_MAX_RANK, proto.dims);
    *out_name = proto.base.name;
    fer_status status = tensor_contents(source, &proto, out_tensor);
    if (status != FER_OK) {
        feri_error_prefix("tensor '%.*s'", SHOWN(*out_name));
    }
    return status;
}

/* What is the caller's fault elsewhere is the file's. */
fer_status feri_import_tensor(feri_source *source,
                              const feri_span *message,
                              int is_sparse,
                              feri_span *out_name,
                              fer_tensor **out_tensor) {
    fer_status status =
        (is_sparse ? feri_import_sparse : import_dense)(source, message, out_name, out_tensor);
    return status == FER_INVALID_ARGUMENT ? feri_restate(FER_INVALID_MODEL) : status;
}
