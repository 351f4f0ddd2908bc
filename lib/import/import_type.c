/* SPDX-License-Identifier: Apache-2.0
 *
 * TypeProto and ValueInfoProto as facts. Types of graph inputs are believed (the caller's tensors
 * are held against them); all others are hints, of which only kind and dtype are kept.
 */
#include "base/error.h"
#include "import/importer.h"
#include "tensor/dtype.h"

#include <string.h>

typedef struct dim_view {
    feri_message base; /* its name is the symbol's */
    int64_t value;
} dim_view;

typedef struct shape_view {
    feri_message base;
    feri_spans dims;
} shape_view;

typedef struct tensor_view {
    feri_message base;
    int64_t dtype;
    feri_span shape;
} tensor_view;

/* A TypeProto, or the element type in one. */
typedef struct type_view {
    feri_message base;
    feri_span body;
} type_view;

/* Numbers below 0 are unknown; an unknown dim of the main graph is a symbol of its own. */
static fer_status read_dim(feri_importer *im, const feri_span *message, feri_sym *out_dim) {
    static const uint8_t table[] = FERI_TABLE(dim_view,
                                              FERI_ROW(dim_view, 1, FERI_INT, value),
                                              FERI_ROW(dim_view, 2, FERI_SPAN, base.name));
    dim_view dim;
    FER_TRY(feri_message_read(im->scratch, "dim", message, table, &dim));
    if ((dim.base.seen & 2) != 0 && dim.value >= 0) {
        *out_dim = feri_sym_number(dim.value);
        return FER_OK;
    }
    const char *name = NULL;
    if (dim.base.name.length > 0) {
        name = feri_importer_text(im, &dim.base.name);
        if (name == NULL) {
            return feri_error_status();
        }
    }
    *out_dim = feri_terms_symbol(im->root->terms, name, /*min=*/0);
    return feri_terms_status(im->root->terms);
}

static fer_status read_shape(feri_importer *im, const feri_span *message, feri_fact *fact) {
    static const uint8_t table[] =
        FERI_TABLE(shape_view, FERI_ROW(shape_view, 1, FERI_SPANS, dims));
    shape_view shape;
    FER_TRY(feri_message_read(im->scratch, "shape", message, table, &shape));
    int32_t rank = shape.dims.count < INT32_MAX ? (int32_t)shape.dims.count : INT32_MAX;
    FER_TRY(feri_fact_set_dims(fact, &im->root->bump, rank, /*dims=*/NULL));
    for (int32_t d = 0; d < rank; d++) {
        FER_TRY(read_dim(im, &shape.dims.list[d], &fact->dims[d]));
    }
    return FER_OK;
}

static fer_status
read_tensor_type(feri_importer *im, const feri_span *message, int with_symbols, feri_fact *fact) {
    static const uint8_t table[] = FERI_TABLE(tensor_view,
                                              FERI_ROW(tensor_view, 1, FERI_INT, dtype),
                                              FERI_ROW(tensor_view, 2, FERI_SPAN, shape));
    tensor_view tensor;
    FER_TRY(feri_message_read(im->scratch, "type", message, table, &tensor));
    fact->dtype = (fer_dtype)tensor.dtype;
    if (fact->dtype != FER_DTYPE_NONE && !feri_dtype_is_valid(fact->dtype)) {
        return feri_fail(FER_INVALID_MODEL,
                         "a tensor type has an element type that does not exist (%d)",
                         fact->dtype);
    }
    return with_symbols && tensor.shape.data != NULL ? read_shape(im, &tensor.shape, fact) : FER_OK;
}

fer_status feri_import_type(feri_importer *im,
                            const feri_span *message,
                            int with_symbols,
                            feri_fact *out_fact) {
    /* tensor, sequence, map, opaque, sparse tensor, optional */
    static const uint8_t table[] = FERI_TABLE(type_view,
                                              FERI_ROW(type_view, 1, FERI_SPAN, body),
                                              FERI_ROW(type_view, 4, FERI_SPAN, body),
                                              FERI_ROW(type_view, 9, FERI_SPAN, body),
                                              FERI_ROW(type_view, 5, FERI_SPAN, body),
                                              FERI_ROW(type_view, 7, FERI_SPAN, body),
                                              FERI_ROW(type_view, 8, FERI_SPAN, body));
    static const uint8_t kinds[] = {
        FER_KIND_TENSOR, FER_KIND_SEQUENCE, FER_KIND_OPTIONAL, FER_KIND_MAP};
    static const uint8_t element[] = FERI_TABLE(type_view, FERI_ROW(type_view, 1, FERI_SPAN, body));
    static const uint8_t mapped[] = FERI_TABLE(type_view, FERI_ROW(type_view, 2, FERI_SPAN, body));
    type_view type;
    memset(out_fact, 0, sizeof(*out_fact));
    out_fact->rank = -1;
    for (uint32_t depth = 0;; depth++) {
        FER_TRY(feri_check_nesting(im->env, depth, "a type is"));
        FER_TRY(feri_message_read(im->scratch, "type", message, table, &type));
        if (type.base.seen == 0) {
            return FER_OK; /* no type given */
        }
        uint32_t row = (uint32_t)__builtin_ctzll(type.base.seen) - 1;
        if (row >= sizeof(kinds)) {
            return feri_fail(FER_UNSUPPORTED,
                             "values that are opaque or sparse tensors are not yet supported; give "
                             "tensors instead");
        }
        int32_t kind = kinds[row];
        out_fact->is_optional_of_sequence |=
            kind == FER_KIND_SEQUENCE && out_fact->kind == FER_KIND_OPTIONAL;
        out_fact->kind = out_fact->kind != 0 ? out_fact->kind : kind;
        if (kind == FER_KIND_TENSOR) {
            return read_tensor_type(im, &type.body, with_symbols && depth == 0, out_fact);
        }
        FER_TRY(feri_message_read(
            im->scratch, "type", &type.body, kind == FER_KIND_MAP ? mapped : element, &type));
        message = &type.body;
    }
}

fer_status feri_import_value_info(feri_importer *im,
                                  const feri_span *message,
                                  int with_symbols,
                                  feri_span *out_name,
                                  feri_fact *out_fact) {
    static const uint8_t table[] = FERI_TABLE(type_view,
                                              FERI_ROW(type_view, 1, FERI_SPAN, base.name),
                                              FERI_ROW(type_view, 2, FERI_SPAN, body));
    type_view value;
    FER_TRY(feri_message_read(im->scratch, "value", message, table, &value));
    *out_name = value.base.name;
    fer_status status = feri_import_type(im, &value.body, with_symbols, out_fact);
    if (status != FER_OK) {
        feri_error_prefix("value '%.*s'", FERI_SPAN_SHOWN(*out_name));
    }
    return status;
}
