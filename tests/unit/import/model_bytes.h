/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX models written by hand: a message is a growing run of bytes, and a model is put together
 * from the inside out. For the tests of import.
 */
#ifndef FERI_TESTS_MODEL_BYTES_H
#define FERI_TESTS_MODEL_BYTES_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/error.h"
#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>

typedef struct bytes {
    uint8_t *data;
    size_t length, capacity;
} bytes;

static inline void put_raw(bytes *to, const void *data, size_t length) {
    if (to->length + length > to->capacity) {
        to->capacity = (to->length + length) * 2;
        to->data = realloc(to->data, to->capacity);
        assert_non_null(to->data);
    }
    if (length > 0) {
        memcpy(to->data + to->length, data, length);
    }
    to->length += length;
}

static inline void put_varint(bytes *to, uint64_t value) {
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put_raw(to, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static inline void put_int(bytes *to, uint32_t field, int64_t value) {
    put_varint(to, (uint64_t)field << 3);
    put_varint(to, (uint64_t)value);
}

static inline void put_float(bytes *to, uint32_t field, float value) {
    put_varint(to, (uint64_t)field << 3 | 5);
    put_raw(to, &value, sizeof(value));
}

static inline void put_data(bytes *to, uint32_t field, const void *data, size_t length) {
    put_varint(to, (uint64_t)field << 3 | 2);
    put_varint(to, length);
    put_raw(to, data, length);
}

static inline void put_text(bytes *to, uint32_t field, const char *text) {
    put_data(to, field, text, strlen(text));
}

/* Adds the message and frees it. */
static inline void put_message(bytes *to, uint32_t field, bytes *message) {
    put_data(to, field, message->data, message->length);
    free(message->data);
    memset(message, 0, sizeof(*message));
}

/* Blank-separated names, "_" for one left out, into a repeated field. */
static inline void put_names(bytes *to, uint32_t field, const char *names) {
    char copy[256];
    assert_true(strlen(names) < sizeof(copy));
    strcpy(copy, names);
    char *rest = copy;
    for (char *name; (name = strtok_r(rest, " ", &rest)) != NULL;) {
        put_text(to, field, strcmp(name, "_") == 0 ? "" : name);
    }
}

static inline bytes a_node(const char *op, const char *inputs, const char *outputs) {
    bytes node = {0};
    put_names(&node, 1, inputs);
    put_names(&node, 2, outputs);
    put_text(&node, 4, op);
    return node;
}

static inline bytes an_attr(const char *name, int type) {
    bytes attr = {0};
    put_text(&attr, 1, name);
    put_int(&attr, 20, type);
    return attr;
}

static inline void put_int_attr(bytes *node, const char *name, int64_t value) {
    bytes attr = an_attr(name, 2);
    put_int(&attr, 3, value);
    put_message(node, 5, &attr);
}

static inline void put_float_attr(bytes *node, const char *name, float value) {
    bytes attr = an_attr(name, 1);
    put_float(&attr, 2, value);
    put_message(node, 5, &attr);
}

static inline void put_ints_attr(bytes *node, const char *name, int count, const int64_t *values) {
    bytes attr = an_attr(name, 7);
    for (int i = 0; i < count; i++) {
        put_int(&attr, 8, values[i]);
    }
    put_message(node, 5, &attr);
}

static inline void put_graph_attr(bytes *node, const char *name, bytes *graph) {
    bytes attr = an_attr(name, 5);
    put_message(&attr, 6, graph);
    put_message(node, 5, &attr);
}

/* name: dtype of dims, "N" for a symbol, "?" for an unknown one; NULL: no shape. */
static inline void
put_value(bytes *graph, uint32_t field, const char *name, int dtype, const char *dims) {
    bytes shape = {0}, tensor = {0}, type = {0}, value = {0};
    char copy[128] = "";
    put_int(&tensor, 1, dtype);
    if (dims != NULL) {
        strcpy(copy, dims);
        char *rest = copy;
        for (char *dim; (dim = strtok_r(rest, " ", &rest)) != NULL;) {
            bytes one = {0};
            if ((dim[0] >= '0' && dim[0] <= '9') || dim[0] == '-') {
                put_int(&one, 1, strtoll(dim, NULL, 10));
            } else if (dim[0] != '?') {
                put_text(&one, 2, dim);
            }
            put_message(&shape, 1, &one);
        }
        put_message(&tensor, 2, &shape);
    }
    put_message(&type, 1, &tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, &type);
    put_message(graph, field, &value);
}

static inline void put_input(bytes *graph, const char *name, int dtype, const char *dims) {
    put_value(graph, 11, name, dtype, dims);
}

static inline void put_output(bytes *graph, const char *name) {
    put_value(graph, 12, name, 1, NULL);
}

static inline void put_node(bytes *graph, const char *op, const char *in, const char *out) {
    bytes node = a_node(op, in, out);
    put_message(graph, 1, &node);
}

/* An initializer of one dim with raw data. */
static inline bytes
a_tensor(const char *name, int dtype, int64_t dim, const void *data, size_t length) {
    bytes tensor = {0};
    put_int(&tensor, 1, dim);
    put_int(&tensor, 2, dtype);
    put_text(&tensor, 8, name);
    if (data != NULL) {
        put_data(&tensor, 9, data, length);
    }
    return tensor;
}

static inline void put_opset(bytes *to, uint32_t field, const char *domain, int64_t version) {
    bytes opset = {0};
    put_text(&opset, 1, domain);
    put_int(&opset, 2, version);
    put_message(to, field, &opset);
}

/* The graph is freed. */
static inline bytes a_model(bytes *graph, int64_t opset) {
    bytes model = {0};
    put_int(&model, 1, 8);
    put_opset(&model, 8, "", opset);
    put_message(&model, 7, graph);
    return model;
}

/* ---- importing ---- */

typedef struct import_test {
    feri_env *env;
    fer_context *context;
    fer_graph *graph;
} import_test;

static inline int import_set_up(void **state) {
    import_test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(feri_env_create(NULL, &t->env), FER_OK);
    t->context = (fer_context *)(void *)t->env;
    *state = t;
    return 0;
}

static inline int import_tear_down(void **state) {
    import_test *t = *state;
    fer_graph_release(t->graph);
    int leaked = t->env->now_bytes != 0;
    feri_env_release(t->env);
    free(t);
    return leaked;
}

/* Imports the model and frees it. */
static inline fer_status import_bytes(import_test *t, bytes *model) {
    fer_graph_release(t->graph);
    t->graph = NULL;
    fer_status status = fer_graph_import_memory(
        t->context, model->data, model->length, NULL, NULL, NULL, &t->graph);
    free(model->data);
    memset(model, 0, sizeof(*model));
    return status;
}

static inline void assert_imports(import_test *t, bytes *model) {
    fer_status status = import_bytes(t, model);
    if (status != FER_OK) {
        fail_msg("%s: %s", fer_status_name(status), fer_error_last()->message);
    }
}

/* Fails with status and a message that has both words in it. */
static inline void assert_refused(
    import_test *t, bytes *model, fer_status status, const char *word, const char *other_word) {
    fer_status got = import_bytes(t, model);
    if (got != status) {
        fail_msg("%s: %s", fer_status_name(got), fer_error_last()->message);
    }
    assert_null(t->graph);
    if (strstr(fer_error_last()->message, word) == NULL ||
        strstr(fer_error_last()->message, other_word) == NULL) {
        fail_msg("'%s' and '%s' expected in: %s", word, other_word, fer_error_last()->message);
    }
}

/* Node index of the main graph is op. */
static inline const feri_gnode *assert_op(const import_test *t, uint32_t index, const char *op) {
    assert_true(index < t->graph->node_count);
    assert_string_equal(feri_op_name(t->graph->nodes[index]->op), op);
    return t->graph->nodes[index];
}

/* if cond: y = x + w else: y = -x, with x computed outside and w an initializer; x itself is a
 * second output where asked. */
static inline bytes if_graph(const char *in_dims, int gives_x) {
    const float data[] = {1, 2};
    bytes graph = {0}, then_graph = {0}, else_graph = {0};
    bytes tensor = a_tensor("w", FER_F32, 2, data, sizeof(data));
    bytes node = a_node("If", "cond", "y");
    put_message(&graph, 5, &tensor);
    put_input(&graph, "cond", FER_BOOL, "");
    put_input(&graph, "in", FER_F32, in_dims);
    put_node(&graph, "Relu", "in", "x");
    put_node(&then_graph, "Add", "x w", "sum");
    put_output(&then_graph, "sum");
    put_node(&else_graph, "Neg", "x", "sum");
    put_output(&else_graph, "sum");
    put_graph_attr(&node, "then_branch", &then_graph);
    put_graph_attr(&node, "else_branch", &else_graph);
    put_message(&graph, 1, &node);
    put_output(&graph, "y");
    if (gives_x) {
        put_output(&graph, "x");
    }
    return graph;
}

#endif
