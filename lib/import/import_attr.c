/* SPDX-License-Identifier: Apache-2.0
 *
 * AttributeProto as attributes of drafts: numbers, strings, tensors, bodies, types, and references
 * to the attributes of an inlined function. Constant's many forms of a tensor are here too.
 */
#include "base/error.h"
#include "import/importer.h"

#include <string.h>

/* AttributeProto.AttributeType */
enum {
    KIND_FLOAT = 1,
    KIND_INT = 2,
    KIND_STRING = 3,
    KIND_TENSOR = 4,
    KIND_GRAPH = 5,
    KIND_FLOATS = 6,
    KIND_INTS = 7,
    KIND_STRINGS = 8,
    KIND_TENSORS = 9,
    KIND_GRAPHS = 10,
    KIND_SPARSE = 11,
    KIND_SPARSES = 12,
    KIND_TYPE = 13,
    KIND_TYPES = 14
};

typedef struct attr_proto {
    feri_span message;
    feri_span name;
    feri_span reference;
    int64_t kind;
    int64_t implied; /* by the field that is there */
    float f;
    int64_t i;
    feri_span bytes; /* string, tensor, graph, sparse tensor or type */
    uint64_t count;  /* of a repeated field */
} attr_proto;

/* Which field holds the contents of each kind. */
static const uint8_t kind_fields[] = {[KIND_FLOAT] = 2,
                                      [KIND_INT] = 3,
                                      [KIND_STRING] = 4,
                                      [KIND_TENSOR] = 5,
                                      [KIND_GRAPH] = 6,
                                      [KIND_FLOATS] = 7,
                                      [KIND_INTS] = 8,
                                      [KIND_STRINGS] = 9,
                                      [KIND_TENSORS] = 10,
                                      [KIND_GRAPHS] = 11,
                                      [KIND_TYPE] = 14,
                                      [KIND_TYPES] = 15,
                                      [KIND_SPARSE] = 22,
                                      [KIND_SPARSES] = 23};
enum { KINDS = sizeof(kind_fields) / sizeof(kind_fields[0]) };

static int64_t kind_of_field(uint32_t number) {
    for (int k = 1; k < KINDS; k++) {
        if (kind_fields[k] == number) {
            return k;
        }
    }
    return 0;
}

static void read_contents(feri_wire *wire, const feri_field *field, attr_proto *proto) {
    int64_t kind = kind_of_field(field->number);
    switch (kind) {
    case 0:
        return;
    case KIND_FLOAT:
        proto->f = feri_field_float(wire, field);
        break;
    case KIND_INT:
        proto->i = feri_field_int(wire, field);
        break;
    case KIND_FLOATS:
        proto->count += feri_packed_count(wire, field, 4);
        break;
    case KIND_INTS:
        proto->count += feri_packed_count(wire, field, 0);
        break;
    default:
        proto->bytes = feri_field_bytes(wire, field);
        proto->count++;
    }
    proto->implied = kind;
}

static fer_status read_proto(feri_span message, attr_proto *proto) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    memset(proto, 0, sizeof(*proto));
    proto->message = message;
    while (feri_wire_next(&wire, &field)) {
        switch (field.number) {
        case 1:
            proto->name = feri_field_bytes(&wire, &field);
            break;
        case 20:
            proto->kind = feri_field_int(&wire, &field);
            break;
        case 21:
            proto->reference = feri_field_bytes(&wire, &field);
            break;
        default:
            read_contents(&wire, &field, proto);
        }
    }
    if (wire.is_bad || proto->name.length == 0) {
        return feri_fail(FER_INVALID_MODEL,
                         "attribute '%.*s' is malformed, cut off or has no name",
                         FERI_SPAN_SHOWN(proto->name));
    }
    if (proto->kind == 0) {
        proto->kind = proto->implied; /* as IR 1 did */
    }
    if (proto->implied != 0 && proto->implied != proto->kind) {
        return feri_fail(FER_INVALID_MODEL,
                         "attribute '%.*s' says it is of type %lld but holds type %lld",
                         FERI_SPAN_SHOWN(proto->name),
                         (long long)proto->kind,
                         (long long)proto->implied);
    }
    return FER_OK;
}

/* ---- references ---- */

/* The attribute called name in a message whose attributes are field number. */
static fer_status
find_attr(feri_span message, uint32_t number, feri_span name, attr_proto *proto, int *out_found) {
    feri_wire wire = feri_wire_start(message);
    feri_field field;
    while (feri_wire_next(&wire, &field)) {
        if (field.number == number) {
            FER_TRY(read_proto(feri_field_bytes(&wire, &field), proto));
            if (feri_span_equal(proto->name, name)) {
                *out_found = 1;
                return FER_OK;
            }
        }
    }
    *out_found = 0;
    return FER_OK;
}

/* Follows references from call to call, up to a proto with contents: 0 in out_found when a call
 * leaves the attribute out. */
static fer_status resolve_reference(const feri_scope *scope, attr_proto *proto, int *out_found) {
    *out_found = 1;
    while (proto->reference.length > 0) {
        const feri_frame *frame = scope->frame;
        feri_span name = proto->name;
        feri_span wanted = proto->reference;
        if (frame == NULL) {
            return feri_fail(FER_INVALID_MODEL,
                             "attribute '%.*s' refers to '%.*s' but is inside no function",
                             FERI_SPAN_SHOWN(name),
                             FERI_SPAN_SHOWN(wanted));
        }
        int found = 0;
        FER_TRY(find_attr(frame->call->message, 5, wanted, proto, &found));
        if (!found) {
            FER_TRY(find_attr(frame->function->message, 11, wanted, proto, &found));
            proto->reference.length = 0;
        }
        if (!found) {
            *out_found = 0;
            return FER_OK;
        }
        if (proto->kind == KIND_GRAPH) {
            return feri_fail(FER_UNSUPPORTED,
                             "attribute '%.*s' hands a graph to a function; that is not supported",
                             FERI_SPAN_SHOWN(wanted));
        }
        proto->name = name;
        scope = frame->caller;
    }
    return FER_OK;
}

/* ---- contents ---- */

static fer_status read_ints(feri_importer *im, const attr_proto *proto, fer_attr *attr) {
    int64_t *ints = FERI_BUMP_ARRAY(&im->scratch, int64_t, proto->count);
    if (ints == NULL) {
        return fer_error_last()->status;
    }
    feri_wire wire = feri_wire_start(proto->message);
    feri_field field;
    uint64_t value = 0;
    uint64_t at = 0;
    while (feri_wire_next(&wire, &field)) {
        if (field.number == kind_fields[KIND_INTS]) {
            feri_packed packed = feri_packed_start(&wire, &field, 0);
            while (at < proto->count && feri_packed_next(&wire, &packed, &field, 0, &value)) {
                ints[at++] = (int64_t)value;
            }
        }
    }
    attr->type = FER_ATTR_INTS;
    attr->value.ints = ints;
    return FER_OK;
}

static fer_status read_floats(feri_importer *im, const attr_proto *proto, fer_attr *attr) {
    float *floats = FERI_BUMP_ARRAY(&im->scratch, float, proto->count);
    if (floats == NULL) {
        return fer_error_last()->status;
    }
    feri_wire wire = feri_wire_start(proto->message);
    feri_field field;
    uint64_t value = 0;
    uint64_t at = 0;
    while (feri_wire_next(&wire, &field)) {
        if (field.number == kind_fields[KIND_FLOATS]) {
            feri_packed packed = feri_packed_start(&wire, &field, 4);
            while (at < proto->count && feri_packed_next(&wire, &packed, &field, 4, &value)) {
                uint32_t bits = (uint32_t)value;
                memcpy(&floats[at++], &bits, sizeof(bits));
            }
        }
    }
    attr->type = FER_ATTR_FLOATS;
    attr->value.floats = floats;
    return FER_OK;
}

static fer_status read_string(feri_importer *im, feri_span bytes, fer_string *out_string) {
    const char *data = bytes.length > 0 ? (const char *)bytes.data : "";
    out_string->data = feri_bump_strndup(&im->scratch, data, bytes.length);
    out_string->length = bytes.length;
    return out_string->data != NULL ? FER_OK : fer_error_last()->status;
}

static fer_status read_strings(feri_importer *im, const attr_proto *proto, fer_attr *attr) {
    fer_string *strings = FERI_BUMP_ARRAY(&im->scratch, fer_string, proto->count);
    if (strings == NULL) {
        return fer_error_last()->status;
    }
    feri_wire wire = feri_wire_start(proto->message);
    feri_field field;
    uint64_t at = 0;
    while (feri_wire_next(&wire, &field)) {
        if (field.number == kind_fields[KIND_STRINGS] && at < proto->count) {
            FER_TRY(read_string(im, field.bytes, &strings[at++]));
        }
    }
    attr->type = FER_ATTR_STRINGS;
    attr->value.strings = strings;
    return FER_OK;
}

fer_status feri_importer_keep(feri_importer *im, fer_tensor *tensor) {
    fer_status status = feri_grow(
        im->env, &im->tensors, &im->tensor_capacity, im->tensor_count + 1, sizeof(fer_tensor *));
    if (status != FER_OK) {
        fer_tensor_release(tensor);
        return status;
    }
    im->tensors[im->tensor_count++] = tensor;
    return FER_OK;
}

static fer_status make_tensor(feri_importer *im, const attr_proto *proto, fer_tensor **out_tensor) {
    if (proto->kind == KIND_SPARSE) {
        feri_span name;
        return feri_import_sparse(im->source, proto->bytes, &name, out_tensor);
    }
    feri_tensor_proto tensor;
    FER_TRY(feri_tensor_proto_read(proto->bytes, &tensor));
    return feri_import_tensor(im->source, &tensor, out_tensor);
}

static fer_status read_tensor(feri_importer *im, const attr_proto *proto, fer_attr *attr) {
    fer_tensor *tensor = NULL;
    FER_TRY(make_tensor(im, proto, &tensor));
    attr->type = FER_ATTR_TENSOR;
    attr->value.tensor = tensor;
    return feri_importer_keep(im, tensor);
}

/* As the op table keeps types: kind, then element dtype. */
static fer_status read_type(feri_importer *im, const attr_proto *proto, fer_attr *attr) {
    feri_fact fact;
    int64_t *ints = FERI_BUMP_ARRAY(&im->scratch, int64_t, 2);
    if (ints == NULL) {
        return fer_error_last()->status;
    }
    FER_TRY(feri_import_type(im, proto->bytes, /*with_symbols=*/0, &fact));
    ints[0] = fact.kind;
    ints[1] = fact.dtype;
    attr->type = FER_ATTR_INTS;
    attr->count = 2;
    attr->value.ints = ints;
    return FER_OK;
}

/* ---- bodies ---- */

static fer_status
fill_body(feri_scope *around, feri_draft *draft, fer_graph *body, feri_span text) {
    feri_scope scope;
    feri_importer *im = around->im;
    FER_TRY(feri_importer_enter(im, "a subgraph"));
    feri_scope_init(&scope, im, around, body);
    scope.owner = draft;
    fer_status status = feri_import_graph(&scope, text);
    feri_scope_finish(&scope);
    feri_importer_leave(im);
    return status;
}

static fer_status
read_body(feri_scope *scope, feri_draft *draft, const attr_proto *proto, fer_attr *attr) {
    fer_graph *body = NULL;
    FER_TRY(feri_bump_grow(&scope->im->scratch,
                           &draft->bodies,
                           &draft->body_capacity,
                           draft->body_count + 1,
                           sizeof(fer_graph *)));
    FER_TRY(feri_graph_create(scope->im->env, scope->graph, &body));
    draft->bodies[draft->body_count] = body;
    attr->type = FER_ATTR_GRAPH;
    attr->value.graph = draft->body_count++;
    return fill_body(scope, draft, body, proto->bytes);
}

/* ---- the whole ---- */

static fer_status
read_attr(feri_scope *scope, feri_draft *draft, const attr_proto *proto, fer_attr *attr) {
    feri_importer *im = scope->im;
    memset(attr, 0, sizeof(*attr));
    attr->count = 1;
    attr->name =
        feri_bump_strndup(&im->scratch, (const char *)proto->name.data, proto->name.length);
    if (attr->name == NULL) {
        return fer_error_last()->status;
    }
    int is_list =
        proto->kind == KIND_FLOATS || proto->kind == KIND_INTS || proto->kind == KIND_STRINGS;
    if (is_list && proto->count > UINT32_MAX) {
        return feri_fail(FER_LIMIT, "attribute '%s' is too long", attr->name);
    }
    attr->count = is_list ? (uint32_t)proto->count : 1;
    switch (proto->kind) {
    case KIND_FLOAT:
        attr->type = FER_ATTR_FLOAT;
        attr->value.f = proto->f;
        return FER_OK;
    case KIND_INT:
        attr->type = FER_ATTR_INT;
        attr->value.i = proto->i;
        return FER_OK;
    case KIND_STRING:
        attr->type = FER_ATTR_STRING;
        return read_string(im, proto->bytes, &attr->value.s);
    case KIND_TENSOR:
    case KIND_SPARSE:
        return read_tensor(im, proto, attr);
    case KIND_GRAPH:
        return read_body(scope, draft, proto, attr);
    case KIND_FLOATS:
        return read_floats(im, proto, attr);
    case KIND_INTS:
        return read_ints(im, proto, attr);
    case KIND_STRINGS:
        return read_strings(im, proto, attr);
    case KIND_TYPE:
        return read_type(im, proto, attr);
    default:
        return feri_fail(FER_UNSUPPORTED,
                         "attribute '%s' is of type %lld, which no op that is supported has",
                         attr->name,
                         (long long)proto->kind);
    }
}

fer_status feri_import_attr(feri_scope *scope, feri_draft *draft, feri_span message) {
    attr_proto proto;
    fer_attr attr;
    int found = 0;
    FER_TRY(read_proto(message, &proto));
    FER_TRY(resolve_reference(scope, &proto, &found));
    if (!found) {
        return FER_OK;
    }
    FER_TRY(read_attr(scope, draft, &proto, &attr));
    return feri_draft_add_attr(scope->im, draft, &attr);
}

/* ---- Constant ---- */

/* A tensor of one of the value_... attributes: a scalar, or a list. */
static fer_status tensor_of_attr(feri_importer *im, const fer_attr *attr, fer_tensor **out_tensor) {
    static const struct {
        int32_t type;
        fer_dtype dtype;
        uint32_t rank;
    } forms[] = {
        {FER_ATTR_FLOAT,   FER_F32,    0},
        {FER_ATTR_INT,     FER_I64,    0},
        {FER_ATTR_STRING,  FER_STRING, 0},
        {FER_ATTR_FLOATS,  FER_F32,    1},
        {FER_ATTR_INTS,    FER_I64,    1},
        {FER_ATTR_STRINGS, FER_STRING, 1},
    };
    fer_context *context = (fer_context *)(void *)im->env;
    int64_t dim = attr->count;
    size_t form = 0;
    while (form < sizeof(forms) / sizeof(forms[0]) && forms[form].type != attr->type) {
        form++;
    }
    if (form == sizeof(forms) / sizeof(forms[0])) {
        return feri_fail(
            FER_INVALID_MODEL, "attribute '%s' of a Constant is of a wrong type", attr->name);
    }
    uint32_t rank = forms[form].rank;
    if (forms[form].dtype != FER_STRING) {
        FER_TRY(fer_tensor_create(context, forms[form].dtype, rank, &dim, out_tensor));
        const void *from = rank == 0                       ? (const void *)&attr->value
                           : attr->type == FER_ATTR_FLOATS ? (const void *)attr->value.floats
                                                           : (const void *)attr->value.ints;
        if (fer_tensor_bytes(*out_tensor) > 0) {
            memcpy(fer_tensor_data(*out_tensor), from, fer_tensor_bytes(*out_tensor));
        }
        return FER_OK;
    }
    const fer_string *strings = rank == 0 ? &attr->value.s : attr->value.strings;
    const char **texts = FERI_BUMP_ARRAY(&im->scratch, const char *, attr->count);
    size_t *lengths = FERI_BUMP_ARRAY(&im->scratch, size_t, attr->count);
    if (texts == NULL || lengths == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t s = 0; s < attr->count; s++) {
        texts[s] = strings[s].data;
        lengths[s] = (size_t)strings[s].length;
    }
    return fer_tensor_create_strings(context, rank, &dim, texts, lengths, out_tensor);
}

static int is_value(const attr_proto *proto) {
    return proto->name.length >= 5 &&
           (memcmp(proto->name.data, "value", 5) == 0 || feri_span_is(proto->name, "sparse_value"));
}

fer_status
feri_import_constant(feri_scope *scope, const feri_node_view *node, fer_tensor **out_tensor) {
    feri_wire wire = feri_wire_start(node->message);
    feri_field field;
    while (feri_wire_next(&wire, &field)) {
        attr_proto proto;
        int found = 0;
        if (field.number != 5) {
            continue;
        }
        FER_TRY(read_proto(feri_field_bytes(&wire, &field), &proto));
        FER_TRY(resolve_reference(scope, &proto, &found));
        if (!found || !is_value(&proto)) {
            continue;
        }
        if (proto.kind == KIND_TENSOR || proto.kind == KIND_SPARSE) {
            return make_tensor(scope->im, &proto, out_tensor);
        }
        if (proto.kind == KIND_GRAPH) {
            break;
        }
        fer_attr attr;
        FER_TRY(read_attr(scope, /*draft=*/NULL, &proto, &attr));
        return tensor_of_attr(scope->im, &attr, out_tensor);
    }
    return feri_fail(
        FER_INVALID_MODEL, "Constant '%.*s' has no value", FERI_SPAN_SHOWN(node->name));
}
