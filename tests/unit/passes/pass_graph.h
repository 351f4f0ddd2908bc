/* SPDX-License-Identifier: Apache-2.0
 *
 * Small graphs for the tests of passes. Facts are set by hand, so that a pass is tested without
 * inference.
 */
#ifndef FERI_TESTS_PASS_GRAPH_H
#define FERI_TESTS_PASS_GRAPH_H

#include "base/error.h"
#include "passes/pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct pass_graph {
    feri_env *env;
    fer_graph *graph;
    feri_pass_env pass_env;
    uint32_t changes;
} pass_graph;

static inline int pass_set_up(void **state) {
    static pass_graph g;
    memset(&g, 0, sizeof g);
    *state = &g;
    return feri_env_create(NULL, &g.env) != FER_OK ||
           feri_graph_create(g.env, NULL, &g.graph) != FER_OK;
}

static inline int pass_tear_down(void **state) {
    pass_graph *g = *state;
    feri_graph_destroy(g->graph);
    int leaked = g->env->now_bytes != 0;
    feri_env_release(g->env);
    return leaked;
}

/* What is known of a value: rank dims, -1 for a fresh symbol. */
static inline void pass_fact(pass_graph *g, fer_value_id id, fer_dtype dtype, int rank, ...) {
    feri_fact *fact = &g->graph->values[id].fact;
    feri_sym dims[FER_MAX_RANK];
    va_list list;
    va_start(list, rank);
    for (int i = 0; i < rank; i++) {
        int dim = va_arg(list, int);
        dims[i] = dim < 0 ? feri_terms_symbol(g->graph->terms, "N", 0) : feri_sym_number(dim);
    }
    va_end(list);
    fact->kind = FER_KIND_TENSOR;
    fact->dtype = dtype;
    assert_int_equal(feri_fact_set_dims(fact, &g->graph->bump, rank, dims), FER_OK);
}

static inline fer_value_id pass_input(pass_graph *g) {
    fer_value_id id = 0;
    assert_int_equal(feri_graph_new_input(g->graph, NULL, &id), FER_OK);
    pass_fact(g, id, FER_F32, 2, 2, 3);
    return id;
}

static inline fer_value_id pass_constant(
    pass_graph *g, fer_dtype dtype, uint32_t rank, const int64_t *dims, const void *data) {
    fer_tensor *tensor = NULL;
    fer_value_id id = 0;
    assert_int_equal(fer_tensor_create((fer_context *)(void *)g->env, dtype, rank, dims, &tensor),
                     FER_OK);
    memcpy(fer_tensor_data(tensor), data, fer_tensor_bytes(tensor));
    assert_int_equal(feri_graph_new_constant(g->graph, NULL, tensor, &id), FER_OK);
    fer_tensor_release(tensor);
    return id;
}

static inline fer_value_id pass_ints(pass_graph *g, int64_t count, const int64_t *values) {
    return pass_constant(g, FER_I64, 1, &count, values);
}

static inline fer_value_id pass_floats(pass_graph *g, int64_t count, const float *values) {
    return pass_constant(g, FER_F32, 1, &count, values);
}

/* A node with one f32 [2, 3] output; attr may be NULL. */
static inline fer_value_id pass_node_attr(pass_graph *g,
                                          const char *op,
                                          const fer_attr *attr,
                                          uint32_t input_count,
                                          const fer_value_id *inputs) {
    fer_value_id output = 0;
    assert_int_equal(feri_graph_new_value(g->graph, NULL, FERI_ORIGIN_NODE, &output), FER_OK);
    pass_fact(g, output, FER_F32, 2, 2, 3);
    feri_gnode node = {.op = feri_op_find("", op),
                       .name = op,
                       .input_count = input_count,
                       .formal_count = input_count,
                       .output_count = 1,
                       .attr_count = attr ? 1 : 0,
                       .inputs = (fer_value_id *)(uintptr_t)inputs,
                       .outputs = &output,
                       .attrs = (fer_attr *)(uintptr_t)attr};
    assert_non_null(node.op);
    node.revision = node.op->revision;
    assert_int_equal(feri_graph_append_node(g->graph, &node, NULL), FER_OK);
    return output;
}

static inline fer_value_id pass_node1(pass_graph *g, const char *op, fer_value_id a) {
    return pass_node_attr(g, op, NULL, 1, &a);
}

static inline fer_value_id
pass_node2(pass_graph *g, const char *op, fer_value_id a, fer_value_id b) {
    const fer_value_id inputs[2] = {a, b};
    return pass_node_attr(g, op, NULL, 2, inputs);
}

static inline fer_value_id pass_transpose(pass_graph *g, fer_value_id a, const int64_t *perm) {
    const fer_attr attr = {.name = "perm", .type = FER_ATTR_INTS, .count = 3, .value.ints = perm};
    return pass_node_attr(g, "Transpose", perm ? &attr : NULL, 1, &a);
}

static inline void pass_output(pass_graph *g, fer_value_id id) {
    assert_int_equal(feri_graph_append_output(g->graph, "y", id), FER_OK);
}

typedef fer_status (*pass_run)(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes);

/* Runs one pass, which must leave a graph that verifies (attributes and ids). */
static inline uint32_t pass_do(pass_graph *g, pass_run run) {
    uint32_t changes = 0;
    assert_int_equal(run(g->graph, &g->pass_env, &changes), FER_OK);
    fer_status status = feri_graph_verify(g->graph);
    if (status != FER_OK) {
        fail_msg("%s", fer_error_last()->message);
    }
    return changes;
}

#endif
