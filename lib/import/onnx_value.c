/* SPDX-License-Identifier: Apache-2.0
 *
 * fer_value_from_onnx: serialised TensorProto, SequenceProto and OptionalProto as values, the files
 * of ONNX's test layout. The bytes are copied; what is wrong with them is INVALID_INPUT.
 */
#include "base/error.h"
#include "graph/graph.h"
#include "import/onnx_tensor.h"

#include <string.h>

typedef struct value_reader {
    feri_source source; /* without a model: tensors are copies */
    uint32_t depth;
} value_reader;

static fer_status
read_value(value_reader *reader, const feri_span *message, int32_t kind, fer_value **out_value);

/* A TensorProto or SparseTensorProto. */
static fer_status
read_tensor(value_reader *reader, const feri_span *message, int is_sparse, fer_value **out_value) {
    feri_span name;
    fer_tensor *tensor = NULL;
    FER_TRY(feri_import_tensor(&reader->source, message, is_sparse, &name, &tensor));
    fer_status status = fer_value_from_tensor(tensor, out_value);
    fer_tensor_release(tensor);
    return status;
}

/* SequenceProto and OptionalProto number their fields alike; one of them holds items. */
typedef struct items_view {
    feri_message base;
    feri_spans items;
} items_view;

static fer_status
read_items(value_reader *reader, const items_view *view, fer_value **items, uint32_t *out_count) {
    /* rows of the table: tensors, sequences, optionals, sparse tensors, maps */
    static const uint8_t kinds[] = {0, FER_KIND_TENSOR, FER_KIND_SEQUENCE, FER_KIND_OPTIONAL};
    uint32_t row = view->base.seen != 0 ? (uint32_t)__builtin_ctzll(view->base.seen) : 0;
    if (view->base.seen >> row > 1 || row == 5) {
        return feri_fail(FER_UNSUPPORTED,
                         "values that are maps, or items of several kinds, are not yet supported");
    }
    for (; *out_count < view->items.count; ++*out_count) {
        const feri_span *message = &view->items.list[*out_count];
        FER_TRY(row == 4 ? read_tensor(reader, message, /*is_sparse=*/1, &items[*out_count])
                         : read_value(reader, message, kinds[row], &items[*out_count]));
    }
    return FER_OK;
}

static fer_status read_container(value_reader *reader,
                                 const feri_span *message,
                                 int32_t kind,
                                 fer_value **out_value) {
    static const uint8_t table[] = FERI_TABLE(items_view,
                                              FERI_ROW(items_view, 3, FERI_SPANS, items),
                                              FERI_ROW(items_view, 5, FERI_SPANS, items),
                                              FERI_ROW(items_view, 7, FERI_SPANS, items),
                                              FERI_ROW(items_view, 4, FERI_SPANS, items),
                                              FERI_ROW(items_view, 6, FERI_SPANS, items));
    items_view view;
    uint32_t count = 0;
    feri_bump *scratch = &reader->source.scratch;
    fer_context *context = (fer_context *)(void *)reader->source.env;
    FER_TRY(feri_message_read(scratch, "value", message, table, &view));
    fer_value **items = FERI_BUMP_ARRAY(scratch, fer_value *, view.items.count);
    if (items == NULL) {
        return feri_error_status();
    }
    fer_status status = read_items(reader, &view, items, &count);
    if (status == FER_OK && kind == FER_KIND_SEQUENCE) {
        status = fer_value_sequence(context, items, count, out_value);
    } else if (status == FER_OK && count > 1) {
        status = feri_fail(FER_INVALID_MODEL, "an optional holds %u values", count);
    } else if (status == FER_OK) {
        status = fer_value_optional(context, count > 0 ? items[0] : NULL, out_value);
    }
    for (uint32_t i = 0; i < count; i++) {
        fer_value_release(items[i]);
    }
    return status;
}

static fer_status
read_value(value_reader *reader, const feri_span *message, int32_t kind, fer_value **out_value) {
    if (kind == FER_KIND_TENSOR) {
        return read_tensor(reader, message, /*is_sparse=*/0, out_value);
    }
    FER_TRY(feri_check_nesting(reader->source.env, ++reader->depth, "a value is"));
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
    const feri_span whole = {data, bytes};
    fer_status status = read_value(&reader, &whole, kind, &value);
    feri_source_finish(&reader.source);
    if (status == FER_INVALID_MODEL) {
        return feri_restate(FER_INVALID_INPUT);
    }
    if (status == FER_OK) {
        *out_value = value;
    }
    return status;
}
