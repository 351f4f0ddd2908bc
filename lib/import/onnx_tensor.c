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

/* field number and wire width of each typed field */
static const struct {
    uint32_t number;
    uint32_t width;
} data_fields[FERI_DATA_COUNT] = {
    [FERI_DATA_FLOAT] = {4,  4},
    [FERI_DATA_INT32] = {5,  0},
    [FERI_DATA_INT64] = {7,  0},
    [FERI_DATA_DOUBLE] = {10, 8},
    [FERI_DATA_UINT64] = {11, 0},
    [FERI_DATA_STRING] = {6,  0},
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
    case FER_STRING:
        return FERI_DATA_STRING;
    default:
        return FERI_DATA_INT32;
    }
}

static fer_status malformed(feri_span name, const char *what) {
    return feri_fail(FER_INVALID_MODEL, "tensor '%.*s': %s", SHOWN(name), what);
}

static void read_external(feri_wire *wire, const feri_field *field, feri_tensor_proto *proto) {
    feri_wire entry = feri_wire_start(feri_field_bytes(wire, field));
    feri_field part;
    feri_span key = {NULL, 0};
    feri_span value = {NULL, 0};
    while (feri_wire_next(&entry, &part)) {
        if (part.number == 1) {
            key = feri_field_bytes(&entry, &part);
        } else if (part.number == 2) {
            value = feri_field_bytes(&entry, &part);
        }
    }
    wire->is_bad |= entry.is_bad;
    if (feri_span_is(key, "location")) {
        proto->location = value;
    } else if (feri_span_is(key, "offset")) {
        proto->offset_text = value;
    } else if (feri_span_is(key, "length")) {
        proto->length_text = value;
    }
}

static void read_dims(feri_wire *wire, const feri_field *field, feri_tensor_proto *proto) {
    uint64_t value = 0;
    feri_packed packed = feri_packed_start(wire, field, 0);
    while (feri_packed_next(wire, &packed, field, 0, &value)) {
        if (proto->rank < FER_MAX_RANK) {
            proto->dims[proto->rank] = (int64_t)value;
        }
        proto->rank++;
    }
}

static void count_data(feri_wire *wire, const feri_field *field, feri_tensor_proto *proto) {
    for (int d = 0; d < FERI_DATA_COUNT; d++) {
        if (data_fields[d].number != field->number) {
            continue;
        }
        if (d == FERI_DATA_STRING) {
            (void)feri_field_bytes(wire, field);
            proto->counts[d]++;
        } else {
            proto->counts[d] += feri_packed_count(wire, field, data_fields[d].width);
            if (data_fields[d].width != 0 && field->type == FERI_WIRE_BYTES) {
                proto->packed = field->bytes;
                proto->packed_kind = d;
            }
        }
    }
}

fer_status feri_tensor_proto_read(feri_span message, feri_tensor_proto *out_proto) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    memset(out_proto, 0, sizeof(*out_proto));
    out_proto->message = message;
    while (feri_wire_next(&wire, &field)) {
        switch (field.number) {
        case 1:
            read_dims(&wire, &field, out_proto);
            break;
        case 2:
            out_proto->dtype = (int32_t)feri_field_int(&wire, &field);
            break;
        case 8:
            out_proto->name = feri_field_bytes(&wire, &field);
            break;
        case 9:
            out_proto->raw = feri_field_bytes(&wire, &field);
            out_proto->has_raw = 1;
            break;
        case 13:
            read_external(&wire, &field, out_proto);
            break;
        case 14:
            out_proto->is_external = feri_field_int(&wire, &field) == 1;
            break;
        default:
            count_data(&wire, &field, out_proto);
        }
    }
    return wire.is_bad ? malformed(out_proto->name, "its protobuf encoding is malformed or cut off")
                       : FER_OK;
}

/* ---- contents ---- */

/* A tensor over bytes of the model, or a copy of them when the model is not in a buffer. */
static fer_status place(feri_source *source,
                        feri_buffer *buffer,
                        const uint8_t *data,
                        const feri_tensor_proto *proto,
                        fer_tensor **out_tensor) {
    if (buffer != NULL) {
        return feri_tensor_on_buffer(buffer,
                                     (uint64_t)(data - buffer->host),
                                     proto->dtype,
                                     (uint32_t)proto->rank,
                                     proto->dims,
                                     out_tensor);
    }
    fer_tensor *tensor = NULL;
    FER_TRY(fer_tensor_create((fer_context *)(void *)source->env,
                              proto->dtype,
                              (uint32_t)proto->rank,
                              proto->dims,
                              &tensor));
    if (fer_tensor_bytes(tensor) > 0) {
        memcpy(fer_tensor_data(tensor), data, fer_tensor_bytes(tensor));
    }
    *out_tensor = tensor;
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

static fer_status from_external(feri_source *source,
                                const feri_tensor_proto *proto,
                                uint64_t bytes,
                                fer_tensor **out_tensor) {
    uint64_t offset = 0;
    uint64_t length = bytes;
    if ((proto->offset_text.length > 0 && !parse_decimal(proto->offset_text, &offset)) ||
        (proto->length_text.length > 0 && !parse_decimal(proto->length_text, &length))) {
        return malformed(proto->name, "offset or length of its external data is not a number");
    }
    if (length != bytes) {
        return feri_fail(FER_INVALID_MODEL,
                         "tensor '%.*s': its shape needs %llu bytes but its external data has %llu",
                         SHOWN(proto->name),
                         (unsigned long long)bytes,
                         (unsigned long long)length);
    }
    feri_buffer *file = NULL;
    FER_TRY(feri_source_external(source, proto->location, proto->name, &file));
    if (offset > file->bytes || length > file->bytes - offset) {
        return feri_fail(FER_INVALID_MODEL,
                         "tensor '%.*s': bytes %llu to %llu lie beyond the %llu bytes of '%.*s'",
                         SHOWN(proto->name),
                         (unsigned long long)offset,
                         (unsigned long long)feri_add_sat(offset, length),
                         (unsigned long long)file->bytes,
                         SHOWN(proto->location));
    }
    return place(source, file, file->host + offset, proto, out_tensor);
}

static fer_status from_raw(feri_source *source,
                           const feri_tensor_proto *proto,
                           uint64_t bytes,
                           fer_tensor **out_tensor) {
    if (proto->raw.length != bytes) {
        return feri_fail(FER_INVALID_MODEL,
                         "tensor '%.*s': its shape needs %llu bytes but raw_data has %llu",
                         SHOWN(proto->name),
                         (unsigned long long)bytes,
                         (unsigned long long)proto->raw.length);
    }
    return place(source, source->model, proto->raw.data, proto, out_tensor);
}

/* Writes the entries of one typed field, store bytes each. */
static void store_entries(const feri_tensor_proto *proto, int kind, uint32_t store, uint8_t *out) {
    feri_wire wire = feri_wire_start(proto->message);
    feri_field field;
    uint64_t value = 0;
    while (feri_wire_next(&wire, &field)) {
        if (field.number != data_fields[kind].number) {
            continue;
        }
        feri_packed packed = feri_packed_start(&wire, &field, data_fields[kind].width);
        while (feri_packed_next(&wire, &packed, &field, data_fields[kind].width, &value)) {
            memcpy(out, &value, store);
            out += store;
        }
    }
}

static fer_status from_typed(feri_source *source,
                             const feri_tensor_proto *proto,
                             uint64_t bytes,
                             fer_tensor **out_tensor) {
    int kind = field_of_dtype(proto->dtype);
    uint32_t bits = fer_dtype_bits(proto->dtype);
    uint32_t store = bits < 8 ? 1 : bits / 8;
    if (proto->dtype == FER_C64 || proto->dtype == FER_C128) {
        store /= 2; /* real and imaginary parts are entries of their own */
    }
    uint64_t needed = bytes / store;
    if (proto->counts[kind] != needed) {
        return feri_fail(FER_INVALID_MODEL,
                         "tensor '%.*s': its shape and dtype %s need %llu entries but there are "
                         "%llu",
                         SHOWN(proto->name),
                         fer_dtype_name(proto->dtype),
                         (unsigned long long)needed,
                         (unsigned long long)proto->counts[kind]);
    }
    if (bytes > 0 && proto->packed_kind == kind && proto->packed.length == bytes) {
        return place(source, source->model, proto->packed.data, proto, out_tensor);
    }
    fer_tensor *tensor = NULL;
    FER_TRY(fer_tensor_create((fer_context *)(void *)source->env,
                              proto->dtype,
                              (uint32_t)proto->rank,
                              proto->dims,
                              &tensor));
    if (bytes > 0) {
        store_entries(proto, kind, store, fer_tensor_data(tensor));
    }
    *out_tensor = tensor;
    return FER_OK;
}

static fer_status from_strings(feri_source *source,
                               const feri_tensor_proto *proto,
                               uint64_t count,
                               fer_tensor **out_tensor) {
    if (proto->counts[FERI_DATA_STRING] != count) {
        return feri_fail(FER_INVALID_MODEL,
                         "tensor '%.*s': its shape needs %llu strings but there are %llu",
                         SHOWN(proto->name),
                         (unsigned long long)count,
                         (unsigned long long)proto->counts[FERI_DATA_STRING]);
    }
    feri_bump bump;
    feri_bump_init(&bump, source->env);
    const char **strings = FERI_BUMP_ARRAY(&bump, const char *, count);
    size_t *lengths = FERI_BUMP_ARRAY(&bump, size_t, count);
    fer_status status = FER_OK;
    if (strings == NULL || lengths == NULL) {
        status = fer_error_last()->status;
    }
    if (status == FER_OK) {
        feri_wire wire = feri_wire_start(proto->message);
        feri_field field;
        uint64_t at = 0;
        while (feri_wire_next(&wire, &field) && at < count) {
            if (field.number == data_fields[FERI_DATA_STRING].number) {
                strings[at] = field.bytes.length > 0 ? (const char *)field.bytes.data : "";
                lengths[at++] = (size_t)field.bytes.length;
            }
        }
        status = fer_tensor_create_strings((fer_context *)(void *)source->env,
                                           (uint32_t)proto->rank,
                                           proto->dims,
                                           strings,
                                           lengths,
                                           out_tensor);
    }
    feri_bump_finish(&bump);
    return status;
}

static fer_status
tensor_contents(feri_source *source, const feri_tensor_proto *proto, fer_tensor **out_tensor) {
    if (!feri_dtype_is_valid(proto->dtype)) {
        return feri_fail(FER_INVALID_MODEL,
                         "tensor '%.*s': data_type %d does not exist",
                         SHOWN(proto->name),
                         proto->dtype);
    }
    if (proto->rank > FER_MAX_RANK) {
        return feri_fail(FER_LIMIT,
                         "tensor '%.*s' has rank %llu; ranks end at %d",
                         SHOWN(proto->name),
                         (unsigned long long)proto->rank,
                         FER_MAX_RANK);
    }
    uint64_t count = 0;
    uint64_t bytes = 0;
    FER_TRY(feri_shape_check(
        source->env, proto->dtype, (uint32_t)proto->rank, proto->dims, &count, &bytes));
    if (proto->dtype == FER_STRING) {
        return from_strings(source, proto, count, out_tensor);
    }
    if (proto->is_external) {
        return from_external(source, proto, bytes, out_tensor);
    }
    return proto->has_raw ? from_raw(source, proto, bytes, out_tensor)
                          : from_typed(source, proto, bytes, out_tensor);
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
        feri_error_prefix("tensor '%.*s'", SHOWN(proto->name));
        return feri_restate(FER_INVALID_MODEL);
    }
    return status;
}
