/* SPDX-License-Identifier: Apache-2.0
 *
 * The importer's twin: a finished graph as a serialised ModelProto, values as TensorProto,
 * SequenceProto and OptionalProto. Nested messages are written into texts of their own, because a
 * message's length stands before it. Refuses what ONNX has no form for: variables, maps, models of
 * 2 GiB.
 */
#include "base/error.h"
#include "base/text.h"
#include "graph/graph.h"

#include <string.h>

/* A graph on the way down: bodies name what they capture as the graph around them does. */
typedef struct frame {
    const fer_graph *graph;
    const feri_gnode *owner;
    const struct frame *outer;
    uint32_t number; /* of the body; names are unique in the whole model */
} frame;

typedef struct writer {
    feri_env *env;
    uint32_t body_count;
} writer;

/* ---- protobuf ---- */

static void put_varint(feri_text *out, uint64_t value) {
    char bytes[10];
    uint32_t count = 0;
    do {
        bytes[count++] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
    feri_text_add_bytes(out, bytes, count);
}

static void put_int(feri_text *out, uint32_t field, int64_t value) {
    put_varint(out, (uint64_t)field << 3);
    put_varint(out, (uint64_t)value);
}

static void put_bytes(feri_text *out, uint32_t field, const void *data, uint64_t length) {
    put_varint(out, (uint64_t)field << 3 | 2);
    put_varint(out, length);
    if (length > 0) {
        feri_text_add_bytes(out, data, length);
    }
}

static void put_string(feri_text *out, uint32_t field, const char *text) {
    put_bytes(out, field, text, strlen(text));
}

static void put_float(feri_text *out, uint32_t field, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    char bytes[4] = {(char)(bits & 0xff),
                     (char)(bits >> 8 & 0xff),
                     (char)(bits >> 16 & 0xff),
                     (char)(bits >> 24)};
    put_varint(out, (uint64_t)field << 3 | 5);
    feri_text_add_bytes(out, bytes, 4);
}

/* Takes over the nested message: its first failure becomes out's. */
static void put_message(feri_text *out, uint32_t field, feri_text *message) {
    if (out->status == FER_OK) {
        out->status = message->status;
    }
    put_bytes(out, field, message->length > 0 ? message->data : "", message->length);
    feri_text_finish(message);
}

/* ---- tensors and types ---- */

static void put_contents(feri_text *out, feri_env *env, const fer_tensor *tensor) {
    uint64_t bytes = fer_tensor_bytes(tensor);
    const void *data = fer_tensor_data(tensor);
    if (data != NULL || bytes == 0) {
        put_bytes(out, 9, data, bytes);
        return;
    }
    void *copy = feri_alloc(env, bytes);
    fer_status status = copy == NULL ? feri_error_status() : fer_tensor_read(tensor, 0, copy, bytes);
    if (status == FER_OK) {
        put_bytes(out, 9, copy, bytes);
    } else if (out->status == FER_OK) {
        out->status = status;
    }
    feri_free(env, copy, copy == NULL ? 0 : bytes);
}

static void put_tensor(feri_text *out, feri_env *env, const fer_tensor *tensor, const char *name) {
    for (uint32_t i = 0; i < fer_tensor_rank(tensor); i++) {
        put_int(out, 1, fer_tensor_dims(tensor)[i]);
    }
    put_int(out, 2, fer_tensor_dtype(tensor));
    if (name[0] != '\0') {
        put_string(out, 8, name);
    }
    if (fer_tensor_dtype(tensor) != FER_STRING) {
        put_contents(out, env, tensor);
        return;
    }
    for (uint64_t i = 0; i < fer_tensor_element_count(tensor); i++) {
        size_t length = 0;
        const char *text = fer_tensor_string(tensor, i, &length);
        put_bytes(out, 6, text, length);
    }
}

static void
put_tensor_type(feri_text *out, const writer *self, const fer_graph *graph, const feri_fact *fact) {
    feri_text shape, type;
    feri_text_init(&type, self->env);
    put_int(&type, 1, fact->dtype);
    if (fact->rank >= 0) {
        feri_text_init(&shape, self->env);
        for (int32_t d = 0; d < fact->rank; d++) {
            feri_text dim;
            char text[128];
            feri_text_init(&dim, self->env);
            if (feri_sym_is_number(fact->dims[d])) {
                put_int(&dim, 1, fact->dims[d].number);
            } else if (!feri_sym_is_unknown(fact->dims[d])) {
                feri_sym_print(graph->terms, fact->dims[d], text, sizeof(text));
                put_string(&dim, 2, text);
            }
            put_message(&shape, 1, &dim);
        }
        put_message(&type, 2, &shape);
    }
    put_message(out, 1, &type);
}

/* TypeProto: tensors, sequences and optionals of tensors, optionals of sequences. */
static void
put_type(feri_text *out, const writer *self, const fer_graph *graph, const feri_fact *fact) {
    if (fact->kind != FER_KIND_SEQUENCE && fact->kind != FER_KIND_OPTIONAL) {
        put_tensor_type(out, self, graph, fact);
        return;
    }
    feri_text element, holder;
    feri_text_init(&element, self->env);
    feri_text_init(&holder, self->env);
    put_tensor_type(&element, self, graph, fact);
    if (fact->kind == FER_KIND_OPTIONAL && fact->is_optional_of_sequence) {
        feri_text sequence, inner;
        feri_text_init(&sequence, self->env);
        feri_text_init(&inner, self->env);
        put_message(&sequence, 1, &element);
        put_message(&inner, 4, &sequence);
        put_message(&holder, 1, &inner);
    } else {
        put_message(&holder, 1, &element);
    }
    put_message(out, fact->kind == FER_KIND_SEQUENCE ? 4 : 9, &holder);
}

/* ---- names ---- */

static void add_name(feri_text *out, const frame *at, fer_value_id id) {
    const fer_graph *graph = at->graph;
    uint32_t formals = graph->input_count - graph->capture_count;
    for (uint32_t i = 0; i < graph->capture_count && at->outer != NULL; i++) {
        if (graph->inputs[formals + i] == id) {
            add_name(out, at->outer, at->owner->inputs[graph->captures[i]]);
            return;
        }
    }
    const feri_gvalue *value = &graph->values[id];
    if (at->outer == NULL && value->name[0] != '\0') {
        feri_text_add_bytes(out, value->name, strlen(value->name));
        return;
    }
    for (uint32_t o = 0; at->outer == NULL && o < graph->output_count; o++) {
        if (graph->outputs[o] == id && value->origin == FERI_ORIGIN_NODE) {
            feri_text_add_bytes(out, graph->output_names[o], strlen(graph->output_names[o]));
            return;
        }
    }
    feri_text_add(out, "ferrule.%u.%u", at->number, id);
}

static void
put_name(feri_text *out, const writer *self, uint32_t field, const frame *at, fer_value_id id) {
    feri_text name;
    feri_text_init(&name, self->env);
    if (id != FER_NO_VALUE) {
        add_name(&name, at, id);
    }
    put_message(out, field, &name);
}

/* ---- nodes ---- */

static void put_graph(feri_text *out, writer *self, const frame *at);

/* Attribute kinds of AttributeProto, by FER_ATTR_... */
static const uint8_t attr_types[] = {[FER_ATTR_INT] = 2,
                                     [FER_ATTR_FLOAT] = 1,
                                     [FER_ATTR_STRING] = 3,
                                     [FER_ATTR_TENSOR] = 4,
                                     [FER_ATTR_INTS] = 7,
                                     [FER_ATTR_FLOATS] = 6,
                                     [FER_ATTR_STRINGS] = 8,
                                     [FER_ATTR_GRAPH] = 5};

static void put_elements(feri_text *out, const fer_attr *attr) {
    for (uint32_t i = 0; i < attr->count; i++) {
        if (attr->type == FER_ATTR_INTS) {
            put_int(out, 8, attr->value.ints[i]);
        } else if (attr->type == FER_ATTR_FLOATS) {
            put_float(out, 7, attr->value.floats[i]);
        } else {
            put_bytes(out, 9, attr->value.strings[i].data, attr->value.strings[i].length);
        }
    }
}

/* Optional's type is held as two numbers: the kind of the element and its dtype. */
static int is_type(const feri_gnode *node, const fer_attr *attr) {
    return strcmp(feri_op_name(node->op), "Optional") == 0 && strcmp(attr->name, "type") == 0 &&
           attr->type == FER_ATTR_INTS && attr->count >= 2;
}

static void
put_type_attr(feri_text *out, const writer *self, const fer_graph *graph, const fer_attr *attr) {
    feri_text type;
    feri_fact fact = {
        .kind = (int32_t)attr->value.ints[0], .dtype = (fer_dtype)attr->value.ints[1], .rank = -1};
    feri_text_init(&type, self->env);
    put_type(&type, self, graph, &fact);
    put_message(out, 14, &type);
    put_int(out, 20, 13);
}

static void put_attr(
    feri_text *out, writer *self, const frame *at, const feri_gnode *node, const fer_attr *attr) {
    feri_text nested;
    /* Sparse tensors are held dense. */
    int is_dense = strcmp(attr->name, "sparse_value") == 0;
    put_string(out, 1, is_dense ? "value" : attr->name);
    if (is_type(node, attr)) {
        put_type_attr(out, self, at->graph, attr);
        return;
    }
    switch (attr->type) {
    case FER_ATTR_INT:
        put_int(out, 3, attr->value.i);
        break;
    case FER_ATTR_FLOAT:
        put_float(out, 2, attr->value.f);
        break;
    case FER_ATTR_STRING:
        put_bytes(out, 4, attr->value.s.data, attr->value.s.length);
        break;
    case FER_ATTR_TENSOR:
        feri_text_init(&nested, self->env);
        put_tensor(&nested, self->env, attr->value.tensor, "");
        put_message(out, 5, &nested);
        break;
    case FER_ATTR_GRAPH: {
        frame body = {.graph = node->bodies[attr->value.graph],
                      .owner = node,
                      .outer = at,
                      .number = ++self->body_count};
        feri_text_init(&nested, self->env);
        put_graph(&nested, self, &body);
        put_message(out, 6, &nested);
        break;
    }
    default:
        put_elements(out, attr);
    }
    put_int(out, 20, attr_types[attr->type]);
}

static void put_node(feri_text *out, writer *self, const frame *at, const feri_gnode *node) {
    for (uint32_t i = 0; i < node->formal_count; i++) {
        put_name(out, self, 1, at, node->inputs[i]);
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        put_name(out, self, 2, at, node->outputs[i]);
    }
    put_string(out, 3, node->name);
    put_string(out, 4, feri_op_name(node->op));
    for (uint32_t i = 0; i < node->attr_count; i++) {
        feri_text attr;
        feri_text_init(&attr, self->env);
        put_attr(&attr, self, at, node, &node->attrs[i]);
        put_message(out, 5, &attr);
    }
    put_string(out, 7, feri_op_domain(node->op));
}

/* ---- graphs ---- */

static void put_info(feri_text *out,
                     writer *self,
                     const frame *at,
                     uint32_t field,
                     fer_value_id id,
                     feri_text *name) {
    feri_text info, type;
    feri_text_init(&info, self->env);
    feri_text_init(&type, self->env);
    put_message(&info, 1, name);
    put_type(&type, self, at->graph, &at->graph->values[id].fact);
    put_message(&info, 2, &type);
    put_message(out, field, &info);
}

/* An output has a name of its own: where its value is called otherwise, or is no node's, an
 * Identity gives it. */
static void put_output(feri_text *out, writer *self, const frame *at, uint32_t index) {
    const fer_graph *graph = at->graph;
    fer_value_id id = graph->outputs[index];
    feri_text name, own;
    feri_text_init(&name, self->env);
    feri_text_init(&own, self->env);
    add_name(&own, at, id);
    if (at->outer == NULL) {
        feri_text_add_bytes(&name, graph->output_names[index], strlen(graph->output_names[index]));
    } else {
        feri_text_add(&name, "ferrule.%u.out%u", at->number, index);
    }
    int is_same = graph->values[id].origin == FERI_ORIGIN_NODE && own.length == name.length &&
                  (own.length == 0 || memcmp(own.data, name.data, own.length) == 0);
    if (!is_same) {
        feri_text node;
        feri_text_init(&node, self->env);
        put_bytes(&node, 1, own.data, own.length);
        put_bytes(&node, 2, name.data, name.length);
        put_string(&node, 4, "Identity");
        put_message(out, 1, &node);
    }
    feri_text_finish(&own);
    put_info(out, self, at, 12, id, &name);
}

static void put_initializers(feri_text *out, writer *self, const frame *at) {
    const fer_graph *graph = at->graph;
    for (uint32_t v = 0; v < graph->value_count; v++) {
        if (graph->values[v].origin != FERI_ORIGIN_CONSTANT) {
            continue;
        }
        feri_text tensor;
        feri_text_init(&tensor, self->env);
        put_tensor(&tensor, self->env, graph->values[v].constant, "");
        put_name(&tensor, self, 8, at, v);
        put_message(out, 5, &tensor);
    }
}

static void put_graph(feri_text *out, writer *self, const frame *at) {
    const fer_graph *graph = at->graph;
    for (uint32_t n = 0; n < graph->node_count && out->status == FER_OK; n++) {
        if (!graph->nodes[n]->is_dead) {
            feri_text node;
            feri_text_init(&node, self->env);
            put_node(&node, self, at, graph->nodes[n]);
            put_message(out, 1, &node);
        }
    }
    put_string(out, 2, graph->name != NULL && graph->name[0] != '\0' ? graph->name : "ferrule");
    put_initializers(out, self, at);
    for (uint32_t i = 0; i < graph->input_count - graph->capture_count; i++) {
        feri_text name;
        feri_text_init(&name, self->env);
        add_name(&name, at, graph->inputs[i]);
        put_info(out, self, at, 11, graph->inputs[i], &name);
    }
    for (uint32_t o = 0; o < graph->output_count; o++) {
        put_output(out, self, at, o);
    }
}

/* ---- the model ---- */

/* The highest revision that a domain's nodes have: each means there what it means here. */
static void note_revisions(const fer_graph *graph, const char *domain, uint32_t *most) {
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const feri_gnode *node = graph->nodes[n];
        if (strcmp(feri_op_domain(node->op), domain) == 0 && node->op->revision > *most) {
            *most = node->op->revision;
        }
        for (uint32_t b = 0; b < node->body_count; b++) {
            note_revisions(node->bodies[b], domain, most);
        }
    }
}

static void put_opset(feri_text *out, const writer *self, const char *domain, uint32_t version) {
    feri_text opset;
    feri_text_init(&opset, self->env);
    put_string(&opset, 1, domain);
    put_int(&opset, 2, version);
    put_message(out, 8, &opset);
}

/* Every other domain once: where no earlier row has it. */
static void
put_opsets(feri_text *out, const writer *self, const fer_graph *graph, uint32_t version) {
    put_opset(out, self, "", version);
    for (uint32_t i = 0; i < feri_op_table_count(); i++) {
        const char *domain = feri_op_domain(feri_op_at(i));
        uint32_t most = 0,
                 is_first = domain[0] != '\0' &&
                            (i == 0 || strcmp(feri_op_domain(feri_op_at(i - 1)), domain) != 0);
        if (is_first) {
            note_revisions(graph, domain, &most);
        }
        if (most > 0) {
            put_opset(out, self, domain, most);
        }
    }
}

static fer_status check_writable(const fer_graph *graph) {
    for (uint32_t v = 0; v < graph->value_count; v++) {
        if (graph->values[v].origin == FERI_ORIGIN_VARIABLE) {
            return feri_fail(FER_UNSUPPORTED,
                             "the graph has the variable '%s', and ONNX has no form for variables",
                             graph->values[v].name);
        }
    }
    return FER_OK;
}

static fer_status hand_over(feri_text *text, fer_text_fn write, void *write_self) {
    fer_status status = text->status;
    if (status == FER_OK && text->length > INT32_MAX) {
        status = feri_fail(FER_LIMIT,
                           "the message has %llu bytes; protobuf allows 2 GiB",
                           (unsigned long long)text->length);
    }
    if (status == FER_OK && text->length > 0) {
        (void)write(write_self, text->data, text->length);
    }
    feri_text_finish(text);
    return status;
}

fer_status fer_graph_write_onnx(const fer_graph *graph, fer_text_fn write, void *write_self) {
    if (graph == NULL || write == NULL || !graph->is_finished) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_graph_write_onnx: an argument is NULL or the graph not finished");
    }
    FER_TRY(check_writable(graph));
    writer self = {.env = graph->env};
    frame root = {.graph = graph};
    uint32_t version = 13;
    feri_text model, body;
    feri_text_init(&model, graph->env);
    feri_text_init(&body, graph->env);
    note_revisions(graph, "", &version);
    put_int(&model, 1, version <= 22 ? 10 : version == 23 ? 11 : version == 24 ? 12 : 13);
    put_string(&model, 2, "ferrule");
    put_graph(&body, &self, &root);
    put_message(&model, 7, &body);
    put_opsets(&model, &self, graph, version);
    return hand_over(&model, write, write_self);
}

/* ---- values ---- */

static void put_value(feri_text *out, feri_env *env, const fer_value *value, const char *name) {
    /* elem_type of SequenceProto and OptionalProto, and the field an item goes to. */
    static const uint8_t elem_types[] = {0, 1, 3, 5}, fields[] = {0, 3, 5, 7};
    int32_t kind = fer_value_kind(value);
    if (kind == FER_KIND_TENSOR) {
        put_tensor(out, env, fer_value_tensor(value), name);
        return;
    }
    if (name[0] != '\0') {
        put_string(out, 1, name);
    }
    uint64_t count = fer_value_count(value);
    int32_t item_kind = count > 0 ? fer_value_kind(fer_value_item(value, 0)) : 0;
    if ((kind != FER_KIND_SEQUENCE && kind != FER_KIND_OPTIONAL) || item_kind > FER_KIND_OPTIONAL) {
        out->status = feri_fail(
            FER_UNSUPPORTED, "values of kind %d have no file in ONNX's test layout", kind);
        return;
    }
    put_int(out, 2, elem_types[item_kind]);
    for (uint64_t i = 0; i < count && out->status == FER_OK; i++) {
        feri_text item;
        feri_text_init(&item, env);
        put_value(&item, env, fer_value_item(value, i), "");
        put_message(out, fields[item_kind], &item);
    }
}

fer_status fer_value_to_onnx(fer_context *context,
                             const fer_value *value,
                             const char *name,
                             fer_text_fn write,
                             void *write_self) {
    if (context == NULL || value == NULL || write == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "fer_value_to_onnx: an argument is NULL");
    }
    feri_text message;
    feri_text_init(&message, feri_env_of(context));
    put_value(&message, feri_env_of(context), value, name != NULL ? name : "");
    return hand_over(&message, write, write_self);
}
