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

/* AttributeProto. */
typedef struct attr_proto {
    feri_message base;
    int64_t kind;
    feri_span reference;
    uint64_t f_bits;
    int64_t i;
    feri_span bytes; /* string, tensor, graph, sparse tensor or type */
    feri_numbers floats;
    feri_numbers ints;
    feri_spans strings;
} attr_proto;

/* The contents of each kind in the order of kinds. */
static const uint8_t attr_table[] = FERI_TABLE(attr_proto,
                                               FERI_ROW(attr_proto, 2, FERI_BITS32, f_bits),
                                               FERI_ROW(attr_proto, 3, FERI_INT, i),
                                               FERI_ROW(attr_proto, 4, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 5, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 6, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 7, FERI_FIXED32S, floats),
                                               FERI_ROW(attr_proto, 8, FERI_VARINTS, ints),
                                               FERI_ROW(attr_proto, 9, FERI_SPANS, strings),
                                               FERI_ROW(attr_proto, 10, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 11, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 22, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 23, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 14, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 15, FERI_SPAN, bytes),
                                               FERI_ROW(attr_proto, 1, FERI_SPAN, base.name),
                                               FERI_ROW(attr_proto, 20, FERI_INT, kind),
                                               FERI_ROW(attr_proto, 21, FERI_SPAN, reference));
enum { KIND_MASK = (2 << KIND_TYPES) - 2, NUMBER_OF_FLOATS = 7, NUMBER_OF_INTS = 8 };

static fer_status read_proto(feri_importer *im, const feri_span *message, attr_proto *proto) {
    FER_TRY(feri_message_read(im->scratch, "attribute", message, attr_table, proto));
    uint64_t held = proto->base.seen & KIND_MASK;
    int implied = held != 0 ? __builtin_ctzll(held) : 0;
    if (proto->kind == 0) {
        proto->kind = implied; /* as IR 1 did */
    }
    if (proto->base.name.length == 0 || (implied != 0 && implied != proto->kind)) {
        return feri_fail(FER_INVALID_MODEL,
                         "attribute '%.*s' has no name, or is of type %lld but holds type %d",
                         FERI_SPAN_SHOWN(proto->base.name),
                         (long long)proto->kind,
                         implied);
    }
    return FER_OK;
}

/* ---- references ---- */

/* The attribute called name; the name of *proto is empty where there is none. */
static fer_status
find_attr(feri_importer *im, const feri_spans *attrs, const feri_span *name, attr_proto *proto) {
    for (uint64_t a = 0; a < attrs->count; a++) {
        FER_TRY(read_proto(im, &attrs->list[a], proto));
        if (feri_span_equal(&proto->base.name, name)) {
            return FER_OK;
        }
    }
    memset(proto, 0, sizeof(*proto));
    return FER_OK;
}

/* Reads an attribute and follows references from call to call, up to a proto with contents: its
 * name is empty where a call leaves the attribute out. */
static fer_status
read_resolved(const feri_scope *scope, const feri_span *message, attr_proto *proto) {
    feri_importer *im = scope->im;
    FER_TRY(read_proto(im, message, proto));
    feri_span name = proto->base.name;
    while (proto->reference.length > 0) {
        const feri_frame *frame = scope->frame;
        feri_span wanted = proto->reference;
        if (frame == NULL) {
            return feri_fail(FER_INVALID_MODEL,
                             "attribute '%.*s' refers to '%.*s' but is inside no function",
                             FERI_SPAN_SHOWN(name),
                             FERI_SPAN_SHOWN(wanted));
        }
        FER_TRY(find_attr(im, &frame->call->attrs, &wanted, proto));
        if (proto->base.name.length == 0) {
            FER_TRY(find_attr(im, &frame->function->defaults, &wanted, proto));
            proto->reference.length = 0; /* a default is itself */
        }
        if (proto->base.name.length == 0) {
            return FER_OK;
        }
        if (proto->kind == KIND_GRAPH) {
            return feri_fail(FER_UNSUPPORTED,
                             "attribute '%.*s' hands a graph to a function; that is not supported",
                             FERI_SPAN_SHOWN(wanted));
        }
        proto->base.name = name;
        scope = frame->caller;
    }
    return FER_OK;
}

/* ---- contents ---- */

static fer_status read_string(feri_importer *im, const feri_span *bytes, fer_string *out_string) {
    out_string->data = feri_importer_text(im, bytes);
    out_string->length = bytes->length;
    return out_string->data != NULL ? FER_OK : feri_error_status();
}

/* A list of numbers or strings, or one of them: the last that the file has. */
static fer_status read_entries(feri_importer *im, const attr_proto *proto, fer_attr *attr) {
    uint64_t count = 1;
    const feri_span *strings = &proto->bytes;
    void *entries = &attr->value;
    if (proto->kind >= KIND_FLOATS) {
        strings = proto->strings.list;
        count = proto->kind == KIND_STRINGS ? proto->strings.count
                : proto->kind == KIND_INTS  ? proto->ints.count
                                            : proto->floats.count;
        if (count > UINT32_MAX) {
            return feri_fail(FER_LIMIT, "attribute '%s' is too long", attr->name);
        }
        entries = feri_bump_array(im->scratch, count, feri_attr_entry_bytes(attr));
        if (entries == NULL) {
            return feri_error_status();
        }
        attr->value.ints = entries;
    }
    attr->count = (uint32_t)count;
    switch (proto->kind) {
    case KIND_FLOAT:
        memcpy(entries, &proto->f_bits, sizeof(float));
        break;
    case KIND_INT:
        attr->value.i = proto->i;
        break;
    case KIND_FLOATS:
        feri_numbers_read(&proto->base, NUMBER_OF_FLOATS, FERI_FIXED32S, 4, count, entries);
        break;
    case KIND_INTS:
        feri_numbers_read(&proto->base, NUMBER_OF_INTS, FERI_VARINTS, 8, count, entries);
        break;
    default:
        for (uint64_t s = 0; s < count; s++) {
            FER_TRY(read_string(im, &strings[s], (fer_string *)entries + s));
        }
    }
    return FER_OK;
}

static fer_status make_tensor(feri_importer *im, const attr_proto *proto, fer_tensor **out_tensor) {
    feri_span name;
    return feri_import_tensor(
        im->source, &proto->bytes, proto->kind == KIND_SPARSE, &name, out_tensor);
}

/* As the op table keeps types: kind, then element dtype. */
static fer_status read_type(feri_importer *im, const attr_proto *proto, fer_attr *attr) {
    feri_fact fact;
    int64_t *ints = FERI_BUMP_ARRAY(im->scratch, int64_t, 2);
    if (ints == NULL) {
        return feri_error_status();
    }
    FER_TRY(feri_import_type(im, &proto->bytes, /*with_symbols=*/0, &fact));
    ints[0] = fact.kind;
    ints[1] = fact.dtype;
    attr->count = 2;
    attr->value.ints = ints;
    return FER_OK;
}

/* ---- bodies ---- */

static fer_status
read_body(feri_scope *scope, feri_draft *draft, const attr_proto *proto, fer_attr *attr) {
    fer_graph *body = NULL;
    FER_TRY(feri_bump_grow(scope->im->scratch,
                           &draft->node.bodies,
                           &draft->body_capacity,
                           draft->node.body_count + 1,
                           sizeof(fer_graph *)));
    FER_TRY(feri_graph_create(scope->im->env, scope->graph, &body));
    draft->node.bodies[draft->node.body_count] = body;
    attr->value.graph = draft->node.body_count++;
    feri_scope inside;
    FER_TRY(feri_scope_init(&inside, scope->im, scope, body));
    inside.owner = draft;
    fer_status status = feri_import_graph(&inside, &proto->bytes);
    feri_scope_finish(&inside);
    return status;
}

/* ---- the whole ---- */

static fer_status read_tensor(feri_scope *scope, const attr_proto *proto, fer_attr *attr) {
    FER_TRY(make_tensor(scope->im, proto, &attr->value.tensor));
    fer_status status = feri_graph_hold_tensor(scope->graph, attr->value.tensor);
    fer_tensor_release(attr->value.tensor);
    return status;
}

static fer_status
read_attr(feri_scope *scope, feri_draft *draft, const attr_proto *proto, fer_attr *attr) {
    static const uint8_t types[] = {[KIND_FLOAT] = FER_ATTR_FLOAT,
                                    [KIND_INT] = FER_ATTR_INT,
                                    [KIND_STRING] = FER_ATTR_STRING,
                                    [KIND_TENSOR] = FER_ATTR_TENSOR,
                                    [KIND_GRAPH] = FER_ATTR_GRAPH,
                                    [KIND_FLOATS] = FER_ATTR_FLOATS,
                                    [KIND_INTS] = FER_ATTR_INTS,
                                    [KIND_STRINGS] = FER_ATTR_STRINGS,
                                    [KIND_SPARSE] = FER_ATTR_TENSOR,
                                    [KIND_TYPE] = FER_ATTR_INTS};
    feri_importer *im = scope->im;
    memset(attr, 0, sizeof(*attr));
    attr->count = 1;
    attr->type = (uint64_t)proto->kind < sizeof(types) ? types[proto->kind] : FER_ATTR_NONE;
    attr->name = feri_importer_text(im, &proto->base.name);
    if (attr->name == NULL) {
        return feri_error_status();
    }
    if (attr->type == FER_ATTR_TENSOR) {
        return read_tensor(scope, proto, attr);
    }
    if (attr->type == FER_ATTR_GRAPH) {
        return read_body(scope, draft, proto, attr);
    }
    if (proto->kind == KIND_TYPE) {
        return read_type(im, proto, attr);
    }
    if (attr->type == FER_ATTR_NONE) {
        return feri_fail(FER_UNSUPPORTED,
                         "attribute '%s' is of type %lld, which no op that is supported has",
                         attr->name,
                         (long long)proto->kind);
    }
    return read_entries(im, proto, attr);
}

fer_status feri_import_attr(feri_scope *scope, feri_draft *draft, const feri_span *message) {
    attr_proto proto;
    fer_attr attr;
    FER_TRY(read_resolved(scope, message, &proto));
    if (proto.base.name.length == 0) {
        return FER_OK;
    }
    FER_TRY(read_attr(scope, draft, &proto, &attr));
    return feri_draft_add_attr(scope->im, draft, &attr);
}

/* ---- Constant ---- */

static int is_value(const feri_span *name) {
    return (name->length >= 5 && memcmp(name->data, "value", 5) == 0) ||
           feri_span_is(name, "sparse_value");
}

fer_status
feri_import_constant(feri_scope *scope, const feri_node_view *node, fer_tensor **out_tensor) {
    for (uint64_t a = 0; a < node->attrs.count; a++) {
        attr_proto proto;
        fer_attr attr;
        FER_TRY(read_resolved(scope, &node->attrs.list[a], &proto));
        if (!is_value(&proto.base.name)) {
            continue;
        }
        if (proto.kind == KIND_TENSOR || proto.kind == KIND_SPARSE) {
            return make_tensor(scope->im, &proto, out_tensor);
        }
        if (proto.kind == KIND_GRAPH) {
            break;
        }
        FER_TRY(read_attr(scope, /*draft=*/NULL, &proto, &attr));
        return feri_constant_of_attr(scope->im->env, scope->im->scratch, &attr, out_tensor);
    }
    return feri_fail(
        FER_INVALID_MODEL, "Constant '%.*s' has no value", FERI_SPAN_SHOWN(node->base.name));
}
