/* SPDX-License-Identifier: Apache-2.0
 *
 * fer_value_from_onnx: serialised TensorProto, SequenceProto and OptionalProto as values, the files
 * of ONNX's test layout. The bytes are copied; what is wrong with them is INVALID_INPUT.
 */
#include "base/error.h"
#include "import/onnx_tensor.h"

#include <string.h>

typedef struct value_reader {
    feri_source source; /* without a model: tensors are copies */
    uint32_t depth;
} value_reader;

static fer_status
read_value(value_reader *reader, feri_span message, int32_t kind, fer_value **out_value);

static fer_status read_tensor(value_reader *reader, feri_span message, fer_value **out_value) {
    feri_tensor_proto proto;
    fer_tensor *tensor = NULL;
    FER_TRY(feri_tensor_proto_read(message, &proto));
    FER_TRY(feri_import_tensor(&reader->source, &proto, &tensor));
    fer_status status = fer_value_from_tensor(tensor, out_value);
    fer_tensor_release(tensor);
    return status;
}

static fer_status read_sparse(value_reader *reader, feri_span message, fer_value **out_value) {
    feri_span name;
    fer_tensor *tensor = NULL;
    FER_TRY(feri_import_sparse(&reader->source, message, &name, &tensor));
    fer_status status = fer_value_from_tensor(tensor, out_value);
    fer_tensor_release(tensor);
    return status;
}

/* The item in a field of SequenceProto or OptionalProto; both number their fields alike. NULL when
 * the field holds no item. */
static fer_status
read_item(value_reader *reader, feri_wire *wire, const feri_field *field, fer_value **out_value) {
    *out_value = NULL;
    if (field->number < 3 || field->number > 7) {
        return FER_OK;
    }
    feri_span message = feri_field_bytes(wire, field);
    switch (field->number) {
    case 3:
        return read_value(reader, message, FER_KIND_TENSOR, out_value);
    case 4:
        return read_sparse(reader, message, out_value);
    case 5:
        return read_value(reader, message, FER_KIND_SEQUENCE, out_value);
    case 7:
        return read_value(reader, message, FER_KIND_OPTIONAL, out_value);
    default:
        return feri_fail(FER_UNSUPPORTED, "values that are maps are not yet supported");
    }
}

typedef struct item_list {
    fer_value **items;
    uint32_t count, capacity;
} item_list;

static fer_status read_items(value_reader *reader, feri_span message, item_list *list) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    while (feri_wire_next(&wire, &field)) {
        fer_value *item = NULL;
        FER_TRY(feri_grow(reader->source.env,
                          &list->items,
                          &list->capacity,
                          list->count + 1,
                          sizeof(fer_value *)));
        FER_TRY(read_item(reader, &wire, &field, &item));
        if (item != NULL) {
            list->items[list->count++] = item;
        }
    }
    return wire.is_bad ? feri_fail(FER_INVALID_MODEL, "a value is malformed or cut off") : FER_OK;
}

static fer_status
read_container(value_reader *reader, feri_span message, int32_t kind, fer_value **out_value) {
    item_list list = {NULL, 0, 0};
    feri_env *env = reader->source.env;
    fer_context *context = (fer_context *)(void *)env;
    fer_status status = read_items(reader, message, &list);
    if (status == FER_OK && kind == FER_KIND_SEQUENCE) {
        status = fer_value_sequence(context, list.items, list.count, out_value);
    } else if (status == FER_OK && list.count > 1) {
        status = feri_fail(FER_INVALID_MODEL, "an optional holds %u values", list.count);
    } else if (status == FER_OK) {
        status = fer_value_optional(context, list.count > 0 ? list.items[0] : NULL, out_value);
    }
    for (uint32_t i = 0; i < list.count; i++) {
        fer_value_release(list.items[i]);
    }
    feri_free(env, list.items, (uint64_t)list.capacity * sizeof(fer_value *));
    return status;
}

static fer_status
read_value(value_reader *reader, feri_span message, int32_t kind, fer_value **out_value) {
    uint32_t limit = reader->source.env->limits.max_nesting;
    if (kind == FER_KIND_TENSOR) {
        return read_tensor(reader, message, out_value);
    }
    if (reader->depth >= (limit < 512 ? limit : 512)) {
        return feri_fail(FER_LIMIT, "a value is nested deeper than max_nesting allows (%u)", limit);
    }
    reader->depth++;
    fer_status status = read_container(reader, message, kind, out_value);
    reader->depth--;
    return status;
}

fer_status fer_value_from_onnx(
    fer_context *context, const void *data, uint64_t bytes, int32_t kind, fer_value **out_value) {
    if (context == NULL || (data == NULL && bytes > 0) || out_value == NULL ||
        kind < FER_KIND_TENSOR || kind > FER_KIND_OPTIONAL) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_value_from_onnx: an argument is NULL or kind (%d) unknown",
                         kind);
    }
    value_reader reader;
    memset(&reader, 0, sizeof(reader));
    feri_source_init(&reader.source, feri_env_of(context));
    fer_value *value = NULL;
    fer_status status = read_value(&reader, (feri_span){data, bytes}, kind, &value);
    feri_source_finish(&reader.source);
    if (status == FER_INVALID_MODEL) {
        return feri_restate(FER_INVALID_INPUT);
    }
    if (status == FER_OK) {
        *out_value = value;
    }
    return status;
}
