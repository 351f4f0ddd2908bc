/* SPDX-License-Identifier: Apache-2.0
 *
 * TypeProto and ValueInfoProto as facts. Types of graph inputs are believed (the caller's tensors
 * are held against them); all others are hints, of which only kind and dtype are kept.
 */
#include "base/error.h"
#include "import/importer.h"
#include "tensor/dtype.h"

#include <string.h>

typedef struct dim_list {
    feri_sym dims[FER_MAX_RANK];
    uint32_t rank;
} dim_list;

/* Numbers below 0 are unknown; an unknown dim of the main graph is a symbol of its own. */
static fer_status read_dim(feri_importer *im, feri_span message, feri_sym *out_dim) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    int64_t number = -1;
    feri_span param = {NULL, 0};
    while (feri_wire_next(&wire, &field)) {
        if (field.number == 1) {
            number = feri_field_int(&wire, &field);
        } else if (field.number == 2) {
            param = feri_field_bytes(&wire, &field);
        }
    }
    if (wire.is_bad) {
        return feri_fail(FER_INVALID_MODEL, "a dim is malformed or cut off");
    }
    if (number >= 0) {
        *out_dim = feri_sym_number(number);
        return FER_OK;
    }
    const char *name = NULL;
    if (param.length > 0) {
        name = feri_bump_strndup(&im->scratch, (const char *)param.data, param.length);
        if (name == NULL) {
            return fer_error_last()->status;
        }
    }
    *out_dim = feri_terms_symbol(im->root->terms, name, /*min=*/0);
    return feri_terms_status(im->root->terms);
}

static fer_status read_shape(feri_importer *im, feri_span message, int symbols, dim_list *list) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    while (feri_wire_next(&wire, &field)) {
        if (field.number != 1) {
            continue;
        }
        feri_span dim = feri_field_bytes(&wire, &field);
        if (list->rank == FER_MAX_RANK) {
            return feri_fail(FER_LIMIT, "a shape has a rank above %d", FER_MAX_RANK);
        }
        list->dims[list->rank] = feri_sym_unknown();
        if (symbols) {
            FER_TRY(read_dim(im, dim, &list->dims[list->rank]));
        }
        list->rank++;
    }
    return wire.is_bad ? feri_fail(FER_INVALID_MODEL, "a shape is malformed or cut off") : FER_OK;
}

static fer_status
read_tensor_type(feri_importer *im, feri_span message, int with_symbols, feri_fact *fact) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    dim_list list = {.rank = 0};
    int has_shape = 0;
    while (feri_wire_next(&wire, &field)) {
        if (field.number == 1) {
            fact->dtype = (fer_dtype)feri_field_int(&wire, &field);
        } else if (field.number == 2) {
            list.rank = 0;
            has_shape = 1;
            FER_TRY(read_shape(im, feri_field_bytes(&wire, &field), with_symbols, &list));
        }
    }
    if (wire.is_bad || (fact->dtype != FER_DTYPE_NONE && !feri_dtype_is_valid(fact->dtype))) {
        return feri_fail(FER_INVALID_MODEL,
                         "a tensor type is malformed or has an element type that does not exist "
                         "(%d)",
                         fact->dtype);
    }
    if (has_shape && with_symbols) {
        return feri_fact_set_dims(fact, &im->root->bump, (int32_t)list.rank, list.dims);
    }
    return FER_OK;
}

/* The element type of a sequence or optional (field 1) or the values' of a map (field 2), and the
 * contents of a TypeProto. */
typedef struct type_step {
    uint32_t field;
    feri_span body;
} type_step;

static fer_status read_step(feri_span message, type_step *step) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    step->field = 0;
    while (feri_wire_next(&wire, &field)) {
        /* 1 tensor, 4 sequence, 5 map, 7 opaque, 8 sparse tensor, 9 optional */
        if (field.number == 1 || (field.number >= 4 && field.number <= 9 && field.number != 6)) {
            step->field = field.number;
            step->body = feri_field_bytes(&wire, &field);
        }
    }
    return wire.is_bad ? feri_fail(FER_INVALID_MODEL, "a type is malformed or cut off") : FER_OK;
}

static fer_status read_element(feri_span message, uint32_t number, feri_span *out_type) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    *out_type = (feri_span){NULL, 0};
    while (feri_wire_next(&wire, &field)) {
        if (field.number == number) {
            *out_type = feri_field_bytes(&wire, &field);
        }
    }
    return wire.is_bad ? feri_fail(FER_INVALID_MODEL, "a type is malformed or cut off") : FER_OK;
}

fer_status
feri_import_type(feri_importer *im, feri_span message, int with_symbols, feri_fact *out_fact) {
    memset(out_fact, 0, sizeof(*out_fact));
    out_fact->rank = -1;
    for (uint32_t depth = 0; depth <= im->env->limits.max_nesting; depth++) {
        type_step step;
        FER_TRY(read_step(message, &step));
        switch (step.field) {
        case 0:
            return FER_OK; /* no type given */
        case 1:
            out_fact->kind = out_fact->kind != 0 ? out_fact->kind : FER_KIND_TENSOR;
            return read_tensor_type(im, step.body, with_symbols && depth == 0, out_fact);
        case 4:
            out_fact->is_optional_of_sequence |= out_fact->kind == FER_KIND_OPTIONAL;
            out_fact->kind = out_fact->kind != 0 ? out_fact->kind : FER_KIND_SEQUENCE;
            break;
        case 9:
            out_fact->kind = out_fact->kind != 0 ? out_fact->kind : FER_KIND_OPTIONAL;
            break;
        case 5:
            out_fact->kind = out_fact->kind != 0 ? out_fact->kind : FER_KIND_MAP;
            break;
        default:
            return feri_fail(FER_UNSUPPORTED,
                             "values that are %s are not yet supported; give tensors instead",
                             step.field == 8 ? "sparse tensors" : "opaque");
        }
        FER_TRY(read_element(step.body, step.field == 5 ? 2 : 1, &message));
    }
    return feri_fail(FER_LIMIT,
                     "a type is nested deeper than max_nesting allows (%u)",
                     im->env->limits.max_nesting);
}

fer_status feri_import_value_info(feri_importer *im,
                                  feri_span message,
                                  int with_symbols,
                                  feri_span *out_name,
                                  feri_fact *out_fact) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    feri_span type = {NULL, 0};
    *out_name = (feri_span){NULL, 0};
    while (feri_wire_next(&wire, &field)) {
        if (field.number == 1) {
            *out_name = feri_field_bytes(&wire, &field);
        } else if (field.number == 2) {
            type = feri_field_bytes(&wire, &field);
        }
    }
    if (wire.is_bad) {
        return feri_fail(FER_INVALID_MODEL, "the declaration of a value is malformed or cut off");
    }
    fer_status status = feri_import_type(im, type, with_symbols, out_fact);
    if (status != FER_OK) {
        feri_error_prefix("value '%.*s'", FERI_SPAN_SHOWN(*out_name));
    }
    return status;
}
