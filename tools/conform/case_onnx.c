/* SPDX-License-Identifier: Apache-2.0
 *
 * A writer of ONNX messages that is just enough for cases: see case_onnx.h. Field numbers are those
 * of onnx.proto.
 */
#include "case_onnx.h"

#include <string.h>

static void put(message *self, const void *data, size_t bytes) {
    if (self->length + bytes > self->capacity) {
        self->capacity = 2 * (self->length + bytes) + 64;
        unsigned char *grown = trial_memory(self->of, self->capacity);
        if (self->length > 0) {
            memcpy(grown, self->data, self->length);
        }
        self->data = grown;
    }
    if (bytes > 0) {
        memcpy(self->data + self->length, data, bytes);
        self->length += bytes;
    }
}

static void put_number(message *self, uint64_t value) {
    do {
        unsigned char byte = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
        put(self, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void add_int(message *self, uint32_t field, int64_t value) {
    put_number(self, field << 3);
    put_number(self, (uint64_t)value);
}

static void add_bytes(message *self, uint32_t field, const void *data, size_t bytes) {
    put_number(self, field << 3 | 2);
    put_number(self, bytes);
    put(self, data, bytes);
}

static void add_text(message *self, uint32_t field, const char *text) {
    add_bytes(self, field, text, strlen(text));
}

static void add_message(message *self, uint32_t field, const message *inner) {
    add_bytes(self, field, inner->data, inner->length);
}

/* ---- types ---- */

static void add_tensor_type(message *type, fer_dtype dtype, int32_t rank, const int64_t *dims) {
    message tensor = {.of = type->of}, shape = {.of = type->of};
    add_int(&tensor, 1, (int64_t)dtype); /* the numbers are ONNX's */
    for (int32_t i = 0; i < rank; i++) {
        message dim = {.of = type->of};
        if (dims[i] >= 0) {
            add_int(&dim, 1, dims[i]);
        }
        add_message(&shape, 1, &dim);
    }
    if (rank >= 0) {
        add_message(&tensor, 2, &shape);
    }
    add_message(type, 1, &tensor);
}

static void wrap(message *type, uint32_t field) {
    message inner = *type, around = {.of = type->of};
    *type = (message){.of = type->of};
    add_message(&around, 1, &inner);
    add_message(type, field, &around);
}

static message type_of(const trial *of, const onnx_value *value) {
    message type = {.of = of};
    add_tensor_type(&type, value->dtype, value->rank, value->dims);
    if (value->kind == FER_KIND_SEQUENCE || value->of_sequence) {
        wrap(&type, 4);
    }
    if (value->kind == FER_KIND_OPTIONAL) {
        wrap(&type, 9);
    }
    if (value->kind == FER_KIND_MAP) {
        message scalar = {.of = of}, map = {.of = of};
        add_tensor_type(&scalar, value->dtype, -1, NULL);
        add_int(&map, 1, (int64_t)value->key);
        add_message(&map, 2, &scalar);
        type = (message){.of = of};
        add_message(&type, 5, &map);
    }
    return type;
}

void onnx_add_value(message *graph, uint32_t field, const onnx_value *value) {
    message info = {.of = graph->of}, type = type_of(graph->of, value);
    add_text(&info, 1, value->name);
    add_message(&info, 2, &type);
    add_message(graph, field, &info);
}

/* ---- nodes ---- */

static void add_names(message *node, uint32_t field, const char *names) {
    while (*names != '\0') {
        size_t length = strcspn(names, " ");
        int is_left_out = length == 1 && names[0] == '-';
        add_bytes(node, field, names, is_left_out ? 0 : length);
        names += length + (names[length] == ' ');
    }
}

void onnx_add_node(message *graph,
                   const char *domain,
                   const char *op,
                   const char *inputs,
                   const char *outputs,
                   const message *attrs) {
    message node = {.of = graph->of};
    add_names(&node, 1, inputs);
    add_names(&node, 2, outputs);
    add_text(&node, 4, op);
    if (attrs != NULL) {
        put(&node, attrs->data, attrs->length);
    }
    if (domain[0] != '\0') {
        add_text(&node, 7, domain);
    }
    add_message(graph, 1, &node);
}

void onnx_attr_int(message *attrs, const char *name, int64_t value) {
    message attr = {.of = attrs->of};
    add_text(&attr, 1, name);
    add_int(&attr, 3, value);
    add_int(&attr, 20, 2);
    add_message(attrs, 5, &attr);
}

void onnx_attr_ints(message *attrs, const char *name, const int64_t *list, uint32_t count) {
    message attr = {.of = attrs->of};
    add_text(&attr, 1, name);
    for (uint32_t i = 0; i < count; i++) {
        add_int(&attr, 8, list[i]);
    }
    add_int(&attr, 20, 7);
    add_message(attrs, 5, &attr);
}

void onnx_attr_type(message *attrs, const char *name, const onnx_value *value) {
    message attr = {.of = attrs->of}, type = type_of(attrs->of, value);
    add_text(&attr, 1, name);
    add_message(&attr, 14, &type);
    add_int(&attr, 20, 13);
    add_message(attrs, 5, &attr);
}

void onnx_attr_sparse(message *attrs, const char *name, const onnx_sparse *sparse) {
    message attr = {.of = attrs->of}, tensor = {.of = attrs->of}, values = {.of = attrs->of},
            indices = {.of = attrs->of};
    int64_t columns = sparse->are_flat ? 1 : sparse->rank;
    add_int(&values, 1, sparse->count);
    add_int(&values, 2, (int64_t)sparse->dtype);
    add_bytes(&values, 9, sparse->values, sparse->bytes);
    add_int(&indices, 1, sparse->count);
    if (!sparse->are_flat) {
        add_int(&indices, 1, columns);
    }
    add_int(&indices, 2, FER_I64);
    for (int64_t i = 0; i < sparse->count * columns; i++) {
        add_int(&indices, 7, sparse->indices[i]);
    }
    add_message(&tensor, 1, &values);
    add_message(&tensor, 2, &indices);
    for (uint32_t i = 0; i < sparse->rank; i++) {
        add_int(&tensor, 3, sparse->dims[i]);
    }
    add_text(&attr, 1, name);
    add_message(&attr, 22, &tensor);
    add_int(&attr, 20, 11);
    add_message(attrs, 5, &attr);
}

void onnx_attr_graph(message *attrs, const char *name, const message *graph) {
    message attr = {.of = attrs->of};
    add_text(&attr, 1, name);
    add_message(&attr, 6, graph);
    add_int(&attr, 20, 5);
    add_message(attrs, 5, &attr);
}

void onnx_attr_strings(message *attrs, const char *name, const char *list) {
    message attr = {.of = attrs->of};
    add_text(&attr, 1, name);
    for (uint32_t i = 0; i < text_pieces(list); i++) {
        add_text(&attr, 9, text_piece(attrs->of, list, i));
    }
    add_int(&attr, 20, 8);
    add_message(attrs, 5, &attr);
}

void onnx_attr_string(message *attrs, const char *name, const char *text) {
    message attr = {.of = attrs->of};
    add_text(&attr, 1, name);
    add_text(&attr, 4, text);
    add_int(&attr, 20, 3);
    add_message(attrs, 5, &attr);
}

void onnx_add_ints(
    message *graph, const char *name, const int64_t *list, int32_t rank, uint32_t count) {
    message tensor = {.of = graph->of}, attr = {.of = graph->of}, attrs = {.of = graph->of};
    if (rank == 1) {
        add_int(&tensor, 1, count);
    }
    add_int(&tensor, 2, FER_I64);
    for (uint32_t i = 0; i < count; i++) {
        add_int(&tensor, 7, list[i]);
    }
    add_text(&attr, 1, "value");
    add_message(&attr, 5, &tensor);
    add_int(&attr, 20, 4);
    add_message(&attrs, 5, &attr);
    onnx_add_node(graph, "", "Constant", "", name, &attrs);
}

/* ---- the model ---- */

fer_status onnx_import(const message *graph, fer_context *context, fer_graph **out_graph) {
    static const struct {
        const char *domain;
        int64_t version;
    } opsets[] = {
        {"",           24},
        {"ai.onnx.ml", 5 },
    };
    message model = {.of = graph->of}, named = {.of = graph->of};
    fer_import_options options = {.struct_size = sizeof options};
    put(&named, graph->data, graph->length);
    add_text(&named, 2, "case");
    add_int(&model, 1, 10);
    add_message(&model, 7, &named);
    for (size_t i = 0; i < sizeof opsets / sizeof *opsets; i++) {
        message opset = {.of = graph->of};
        add_text(&opset, 1, opsets[i].domain);
        add_int(&opset, 2, opsets[i].version);
        add_message(&model, 8, &opset);
    }
    return fer_graph_import_memory(
        context, model.data, model.length, &options, NULL, NULL, out_graph);
}
