/* SPDX-License-Identifier: Apache-2.0
 *
 * The text form of expansions: names, nested calls, constants, attributes, half precision, and
 * texts that are wrong.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/error.h"
#include "graph/expand.h"
#include "tensor/dtype.h"

#include <stdlib.h>
#include <string.h>

/* A graph of one LeakyRelu, whose row binds X and Y, and has the attribute alpha. */
typedef struct expand_test {
    feri_env *env;
    fer_graph *graph;
    fer_value_id x, y;
} expand_test;

static void make(expand_test *t, fer_dtype dtype) {
    const int64_t dims[] = {2, 3};
    fer_graph_release(t->graph);
    assert_int_equal(fer_graph_create((fer_context *)(void *)t->env, &t->graph), FER_OK);
    assert_int_equal(fer_graph_add_input(t->graph, "x", dtype, 2, dims, NULL, &t->x), FER_OK);
    const fer_attr alpha = {
        .name = "alpha", .type = FER_ATTR_FLOAT, .count = 1, .value = {.f = 0.25f}};
    const fer_node_desc desc = {.op = "LeakyRelu",
                                .name = "leak",
                                .inputs = &t->x,
                                .input_count = 1,
                                .attrs = &alpha,
                                .attr_count = 1,
                                .output_count = 1};
    assert_int_equal(fer_graph_add_node(t->graph, &desc, &t->y), FER_OK);
    assert_int_equal(fer_graph_add_output(t->graph, "y", t->y), FER_OK);
}

static int set_up(void **state) {
    expand_test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(feri_env_create(NULL, &t->env), FER_OK);
    make(t, FER_F32);
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    expand_test *t = *state;
    fer_graph_release(t->graph);
    int leaked = t->env->now_bytes != 0;
    feri_env_release(t->env);
    free(t);
    return leaked;
}

/* Expands the node by text, puts the graph in order and verifies it. */
static void expand(expand_test *t, const char *text) {
    fer_status status = feri_expand_text(t->graph, t->graph->nodes[0], text);
    if (status != FER_OK) {
        fail_msg("%s", fer_error_last()->message);
    }
    t->graph->nodes[0]->is_dead = 1;
    assert_int_equal(feri_graph_sort(t->graph), FER_OK);
    assert_int_equal(feri_graph_verify(t->graph), FER_OK);
    assert_int_equal(feri_graph_infer(t->graph), FER_OK);
    assert_int_equal(t->graph->values[t->y].fact.rank, 2);
}

static const feri_gnode *assert_op(const expand_test *t, uint32_t index, const char *op) {
    assert_true(index < t->graph->node_count);
    assert_string_equal(feri_op_name(t->graph->nodes[index]->op), op);
    assert_string_equal(t->graph->nodes[index]->name, "leak");
    return t->graph->nodes[index];
}

static double scalar(const expand_test *t, fer_value_id id) {
    const fer_tensor *tensor = t->graph->values[id].constant;
    assert_non_null(tensor);
    assert_int_equal(fer_tensor_rank(tensor), 0);
    return feri_load_f64(fer_tensor_dtype(tensor), fer_tensor_data(tensor), 0);
}

static void calls_nest_and_names_are_bound(void **state) {
    expand_test *t = *state;
    expand(t,
           "# max(x, 0) + alpha min(x, 0)\n"
           "zero = {0: X}\n"
           "low = Mul(Min(X, zero), {@alpha|9.5: X})\n"
           "Y = Add(Max(X, zero),\n"
           "        low)\n");
    assert_int_equal(t->graph->node_count, 4);
    assert_op(t, 0, "Min");
    const feri_gnode *mul = assert_op(t, 1, "Mul");
    assert_true(scalar(t, mul->inputs[1]) == 0.25);
    const feri_gnode *add = assert_op(t, 3, "Add");
    assert_int_equal(add->outputs[0], t->y);
}

static void constants_and_attributes_have_forms(void **state) {
    expand_test *t = *state;
    expand(t,
           "axes = {i64: 0 1}\n"
           "r = ReduceSum(X, axes, keepdims=1)\n"
           "k = {i64: -7}'\n"
           "c = Cast(k, to=X)\n"
           "d = {1.5e-3: X}\n"
           "s, _ = Split(X, axis=1, num_outputs=@missing|2)\n"
           "u = Transpose(X, perm=[0, 1])\n"
           "Y = Sum(u, Mul(c, d), r)\n");
    const feri_gnode *reduce = assert_op(t, 0, "ReduceSum");
    const fer_tensor *axes = t->graph->values[reduce->inputs[1]].constant;
    assert_int_equal(fer_tensor_rank(axes), 1);
    assert_int_equal(feri_load_i64(FER_I64, fer_tensor_data(axes), 1), 1);
    const feri_gnode *cast = assert_op(t, 1, "Cast");
    assert_int_equal(feri_attr_int(cast->attrs, cast->attr_count, "to", 0), FER_F32);
    const feri_gnode *split = assert_op(t, 2, "Split");
    assert_int_equal(feri_attr_int(split->attrs, split->attr_count, "num_outputs", 0), 2);
    const feri_gnode *mul = assert_op(t, 4, "Mul");
    assert_true((float)scalar(t, mul->inputs[1]) == 1.5e-3f);
}

static void halves_are_computed_in_f32(void **state) {
    expand_test *t = *state;
    make(t, FER_BF16);
    expand(t, "Y = Mul(X, {2: X})\n");
    assert_int_equal(t->graph->node_count, 3);
    assert_op(t, 0, "Cast");
    const feri_gnode *mul = assert_op(t, 1, "Mul");
    assert_int_equal(t->graph->values[mul->outputs[0]].fact.dtype, FER_F32);
    const feri_gnode *cast = assert_op(t, 2, "Cast");
    assert_int_equal(cast->outputs[0], t->y);
    assert_int_equal(t->graph->values[t->y].fact.dtype, FER_BF16);
    make(t, FER_BF16);
    expand(t, "exact\nY = Mul(X, {2: X})\n");
    assert_int_equal(t->graph->node_count, 1);
}

static void wrong_texts_are_internal(void **state) {
    expand_test *t = *state;
    static const char *const texts[] = {
        "Z = Relu(X)\n",            /* Y is wanted */
        "Y = Relu(Q)\n",            /* unknown name */
        "Y = Relu(X\n",             /* unclosed */
        "Y = Relu(X) X\n",          /* two statements */
        "Y Relu(X)\n",              /* no = */
        "Y = Relu(X)\nY = Exp(X)\n" /* twice */
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        make(t, FER_F32);
        assert_int_equal(feri_expand_text(t->graph, t->graph->nodes[0], texts[i]), FER_INTERNAL);
    }
    make(t, FER_F32); /* an op that the build may have left out */
    fer_status status = feri_expand_text(t->graph, t->graph->nodes[0], "Y = Nope(X)\n");
    assert_int_equal(status, FER_UNSUPPORTED);
}

/* A failing expansion leaves the graph as it was. */
static void failure_changes_nothing(void **state) {
    expand_test *t = *state;
    uint32_t values = t->graph->value_count;
    t->graph->nodes[0]->op = feri_op_find("", "MatMul"); /* has none, and never will */
    assert_int_equal(feri_graph_expand_node(t->graph, 0), FER_UNSUPPORTED);
    assert_non_null(strstr(fer_error_last()->message, "'leak'"));
    assert_int_equal(t->graph->value_count, values);
    assert_int_equal(t->graph->nodes[0]->is_dead, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(calls_nest_and_names_are_bound),
        TEST(constants_and_attributes_have_forms),
        TEST(halves_are_computed_in_f32),
        TEST(wrong_texts_are_internal),
        TEST(failure_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
