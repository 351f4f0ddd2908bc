/* SPDX-License-Identifier: Apache-2.0
 *
 * The builder, rewriting, order, verification, clones and the printed form.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/error.h"
#include "graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct graph_test {
    feri_env *env;
    fer_context *context;
    fer_graph *graph;
} graph_test;

static int set_up(void **state) {
    graph_test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(feri_env_create(NULL, &t->env), FER_OK);
    t->context = (fer_context *)(void *)t->env;
    assert_int_equal(fer_graph_create(t->context, &t->graph), FER_OK);
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    graph_test *t = *state;
    fer_graph_release(t->graph);
    int leaked = t->env->now_bytes != 0;
    feri_env_release(t->env);
    free(t);
    return leaked;
}

static fer_value_id input(fer_graph *graph, const char *name, fer_dtype dtype) {
    const int64_t dims[] = {-1, 3};
    const char *const symbols[] = {"N", NULL};
    fer_value_id id = 0;
    assert_int_equal(fer_graph_add_input(graph, name, dtype, 2, dims, symbols, &id), FER_OK);
    return id;
}

static fer_status
try_node(fer_graph *graph, const char *op, fer_value_id a, fer_value_id b, fer_value_id *out) {
    const fer_value_id inputs[] = {a, b};
    fer_node_desc desc = {
        .op = op, .inputs = inputs, .input_count = b != FER_NO_VALUE ? 2 : 1, .output_count = 1};
    return fer_graph_add_node(graph, &desc, out);
}

static fer_value_id node(fer_graph *graph, const char *op, fer_value_id a, fer_value_id b) {
    fer_value_id out = FER_NO_VALUE;
    fer_status status = try_node(graph, op, a, b, &out);
    if (status != FER_OK) {
        fail_msg("%s", fer_error_last()->message);
    }
    return out;
}

static void finish_infers_outputs(void **state) {
    graph_test *t = *state;
    fer_value_id x = input(t->graph, "x", FER_F32);
    fer_value_id y = node(t->graph, "Add", x, x);
    assert_int_equal(fer_graph_add_output(t->graph, "y", y), FER_OK);
    fer_value_info info = {.struct_size = sizeof(info)};
    assert_int_equal(fer_graph_output(t->graph, 0, &info), FER_INVALID_ARGUMENT);
    assert_int_equal(fer_graph_finish(t->graph), FER_OK);
    assert_int_equal(fer_graph_output(t->graph, 0, &info), FER_OK);
    assert_int_equal(info.dtype, FER_F32);
    assert_int_equal(info.rank, 2);
    assert_string_equal(info.symbols[0], "N");
    assert_int_equal(info.dims[1], 3);
    assert_int_equal(fer_graph_node_count(t->graph), 1);
    assert_int_equal(fer_graph_finish(t->graph), FER_INVALID_ARGUMENT);
    assert_int_equal(fer_graph_add_output(t->graph, "z", y), FER_INVALID_ARGUMENT);
}

static void wrong_calls_are_told_at_once(void **state) {
    graph_test *t = *state;
    const int64_t bad[] = {-2};
    fer_value_id id = 0;
    fer_value_id x = input(t->graph, "x", FER_F32);
    fer_value_id i = input(t->graph, "i", FER_I64);
    assert_int_equal(fer_graph_add_input(t->graph, "x", FER_F32, 1, bad, NULL, &id),
                     FER_INVALID_ARGUMENT);
    assert_non_null(strstr(fer_error_last()->message, "taken"));
    assert_int_equal(fer_graph_add_input(t->graph, "z", FER_F32, 1, bad, NULL, &id),
                     FER_INVALID_ARGUMENT);
    assert_int_equal(try_node(t->graph, "Nope", x, FER_NO_VALUE, &id), FER_UNSUPPORTED);
    assert_int_equal(try_node(t->graph, "Add", x, i, &id), FER_INVALID_MODEL);
    assert_int_equal(try_node(t->graph, "Add", x, 99, &id), FER_INVALID_ARGUMENT);
    assert_int_equal(try_node(t->graph, "Relu", x, x, &id), FER_INVALID_MODEL);
    assert_int_equal(t->graph->node_count, 0);
    assert_int_equal(t->graph->value_count, 2); /* failed nodes leave nothing */
}

static void variables_are_assigned(void **state) {
    graph_test *t = *state;
    const int64_t dims[] = {2};
    fer_tensor *start = NULL;
    fer_value_id v = 0;
    assert_int_equal(fer_tensor_create(t->context, FER_F32, 1, dims, &start), FER_OK);
    assert_int_equal(fer_graph_add_variable(t->graph, "v", start, &v), FER_OK);
    fer_tensor_release(start);
    fer_value_id next = node(t->graph, "Exp", v, FER_NO_VALUE);
    assert_int_equal(fer_graph_assign_variable(t->graph, next, v), FER_INVALID_ARGUMENT);
    assert_int_equal(fer_graph_assign_variable(t->graph, v, next), FER_OK);
    assert_int_equal(fer_graph_finish(t->graph), FER_OK);
    assert_int_equal(t->graph->values[next].use_count, 1);
}

/* ---- bodies ---- */

/* A finished Loop body: counts up, and hands v on doubled. */
static fer_graph *loop_body(graph_test *t) {
    fer_graph *body = NULL;
    fer_value_id i = 0, cond = 0;
    assert_int_equal(fer_graph_create(t->context, &body), FER_OK);
    assert_int_equal(fer_graph_add_input(body, "i", FER_I64, 0, NULL, NULL, &i), FER_OK);
    assert_int_equal(fer_graph_add_input(body, "cond", FER_BOOL, 0, NULL, NULL, &cond), FER_OK);
    fer_value_id v = input(body, "v", FER_F32);
    fer_value_id sum = node(body, "Add", v, v);
    assert_int_equal(fer_graph_add_output(body, "cond", cond), FER_OK);
    assert_int_equal(fer_graph_add_output(body, "v", sum), FER_OK);
    assert_int_equal(fer_graph_add_output(body, "scan", sum), FER_OK);
    assert_int_equal(fer_graph_finish(body), FER_OK);
    return body;
}

static void loop_facts_settle(void **state) {
    graph_test *t = *state;
    const int64_t trips = 5;
    fer_tensor *count = NULL;
    fer_value_id m = 0;
    fer_value_id out[2];
    fer_graph *body = loop_body(t);
    fer_value_id x = input(t->graph, "x", FER_F32);
    assert_int_equal(fer_tensor_create(t->context, FER_I64, 0, NULL, &count), FER_OK);
    memcpy(fer_tensor_data(count), &trips, sizeof(trips));
    assert_int_equal(fer_graph_add_constant(t->graph, "m", count, &m), FER_OK);
    fer_tensor_release(count);
    const fer_attr attr = {.name = "body", .type = FER_ATTR_GRAPH, .value = {.body = body}};
    const fer_value_id inputs[] = {m, FER_NO_VALUE, x};
    fer_node_desc desc = {.op = "Loop",
                          .inputs = inputs,
                          .input_count = 3,
                          .attrs = &attr,
                          .attr_count = 1,
                          .output_count = 2};
    assert_int_equal(fer_graph_add_node(t->graph, &desc, out), FER_OK);
    fer_graph_release(body); /* the node has a copy */
    assert_int_equal(fer_graph_add_output(t->graph, "y", out[1]), FER_OK);
    assert_int_equal(fer_graph_finish(t->graph), FER_OK);
    assert_int_equal(t->graph->total_nodes, 2);
    const feri_fact *carried = &t->graph->values[out[0]].fact;
    assert_int_equal(carried->rank, 2);
    assert_true(feri_sym_equal(carried->dims[0], t->graph->values[x].fact.dims[0]));
    const feri_fact *scan = &t->graph->values[out[1]].fact;
    assert_int_equal(scan->rank, 3);
    assert_int_equal(scan->dims[0].number, 5);
}

static void body_counts_are_verified(void **state) {
    graph_test *t = *state;
    fer_value_id out[3];
    fer_graph *body = loop_body(t);
    fer_value_id x = input(t->graph, "x", FER_F32);
    const fer_attr attr = {.name = "body", .type = FER_ATTR_GRAPH, .value = {.body = body}};
    const fer_value_id inputs[] = {FER_NO_VALUE, FER_NO_VALUE, x};
    fer_node_desc desc = {.op = "Loop",
                          .inputs = inputs,
                          .input_count = 3,
                          .attrs = &attr,
                          .attr_count = 1,
                          .output_count = 3}; /* the body has two beside its condition */
    assert_int_equal(fer_graph_add_node(t->graph, &desc, out), FER_OK);
    fer_graph_release(body);
    assert_int_equal(fer_graph_finish(t->graph), FER_INVALID_MODEL);
    assert_string_equal(fer_error_last()->node, "Loop_0");
}

/* ---- inside ---- */

static void order_is_kept_and_restored(void **state) {
    graph_test *t = *state;
    assert_int_equal(feri_graph_sort(t->graph), FER_OK); /* nothing to sort */
    fer_value_id x = input(t->graph, "x", FER_F32);
    fer_value_id a = node(t->graph, "Exp", x, FER_NO_VALUE);
    fer_value_id b = node(t->graph, "Neg", a, FER_NO_VALUE);
    (void)node(t->graph, "Relu", b, FER_NO_VALUE);
    feri_gnode *first = t->graph->nodes[0];
    t->graph->nodes[0] = t->graph->nodes[2];
    t->graph->nodes[2] = first;
    assert_int_equal(feri_graph_verify(t->graph), FER_INVALID_MODEL);
    assert_int_equal(feri_graph_sort(t->graph), FER_OK);
    assert_string_equal(feri_op_name(t->graph->nodes[0]->op), "Exp");
    assert_string_equal(feri_op_name(t->graph->nodes[2]->op), "Relu");
    assert_int_equal(feri_graph_verify(t->graph), FER_OK);
    first = t->graph->nodes[0];
    first->inputs[0] = b; /* a cycle */
    assert_int_equal(feri_graph_sort(t->graph), FER_INVALID_MODEL);
    assert_non_null(strstr(fer_error_last()->message, "cycle"));
}

static void uses_are_replaced_in_one_walk(void **state) {
    graph_test *t = *state;
    fer_value_id x = input(t->graph, "x", FER_F32);
    fer_value_id a = node(t->graph, "Identity", x, FER_NO_VALUE);
    fer_value_id b = node(t->graph, "Identity", a, FER_NO_VALUE);
    fer_value_id c = node(t->graph, "Exp", b, FER_NO_VALUE);
    assert_int_equal(fer_graph_add_output(t->graph, "c", c), FER_OK);
    assert_int_equal(fer_graph_add_output(t->graph, "b", b), FER_OK);
    fer_value_id to[4];
    for (fer_value_id v = 0; v < 4; v++) {
        to[v] = v;
    }
    to[b] = a;
    to[a] = x;
    feri_graph_replace_many(t->graph, to);
    t->graph->nodes[0]->is_dead = 1;
    t->graph->nodes[1]->is_dead = 1;
    feri_graph_compact(t->graph);
    assert_int_equal(t->graph->node_count, 1);
    assert_int_equal(t->graph->total_nodes, 1);
    assert_int_equal(t->graph->nodes[0]->inputs[0], x);
    assert_int_equal(t->graph->outputs[1], x);
    assert_int_equal(t->graph->values[x].use_count, 2);
    assert_int_equal(t->graph->values[c].producer, 0);
    assert_int_equal(feri_graph_verify(t->graph), FER_OK);
}

static void broken_graphs_do_not_verify(void **state) {
    graph_test *t = *state;
    fer_value_id x = input(t->graph, "x", FER_F32);
    fer_value_id a = node(t->graph, "Exp", x, FER_NO_VALUE);
    (void)node(t->graph, "Neg", a, FER_NO_VALUE);
    feri_gnode *exp = t->graph->nodes[0];
    feri_gnode *neg = t->graph->nodes[1];
    exp->inputs[0] = 1000;
    assert_int_equal(feri_graph_verify(t->graph), FER_INVALID_MODEL);
    exp->inputs[0] = x;
    neg->outputs[0] = a; /* made twice */
    assert_int_equal(feri_graph_verify(t->graph), FER_INVALID_MODEL);
    neg->outputs[0] = x; /* an input cannot be made */
    assert_int_equal(feri_graph_verify(t->graph), FER_INVALID_MODEL);
    assert_non_null(strstr(fer_error_last()->message, neg->name));
}

static void clones_are_independent(void **state) {
    graph_test *t = *state;
    fer_graph *copy = NULL;
    fer_value_id x = input(t->graph, "x", FER_F32);
    fer_value_id y = node(t->graph, "Exp", x, FER_NO_VALUE);
    assert_int_equal(fer_graph_add_output(t->graph, "y", y), FER_OK);
    assert_int_equal(fer_graph_finish(t->graph), FER_OK);
    assert_int_equal(feri_graph_clone(t->graph, &copy), FER_OK);
    fer_graph_release(t->graph);
    t->graph = copy;
    assert_int_equal(copy->is_finished, 0);
    assert_string_equal(copy->values[x].name, "x");
    char text[32];
    feri_sym_print(copy->terms, copy->values[y].fact.dims[0], text, sizeof(text));
    assert_string_equal(text, "N");
    assert_int_equal(feri_graph_infer(copy), FER_OK);
    assert_int_equal(feri_graph_verify(copy), FER_OK);
}

static int32_t collect(void *self, const char *text, size_t length) {
    char *all = self;
    size_t had = strlen(all);
    assert_true(had + length < 1000);
    memcpy(all + had, text, length);
    all[had + length] = '\0';
    return 0;
}

static void text_has_a_node_a_line(void **state) {
    graph_test *t = *state;
    char all[1000] = "";
    fer_value_id x = input(t->graph, "x", FER_F32);
    fer_value_id y = node(t->graph, "Exp", x, FER_NO_VALUE);
    assert_int_equal(fer_graph_add_output(t->graph, "y", y), FER_OK);
    assert_int_equal(fer_graph_finish(t->graph), FER_OK);
    assert_int_equal(fer_graph_print(t->graph, collect, all), FER_OK);
    assert_string_equal(all,
                        "input %x: f32[N, 3]\n"
                        "%1: f32[N, 3] = Exp(%x)   \"Exp_0\"\n"
                        "output %1: f32[N, 3] as y\n");
}

/* count is of lists: what else it says of one entry is not believed. */
static void one_entry_is_one(void **state) {
    graph_test *t = *state;
    const fer_attr attrs[] = {
        {.name = "value_string", .type = FER_ATTR_STRING, .count = 7, .value.s = {"word", 4}}
    };
    fer_node_desc desc = {.op = "Constant", .attrs = attrs, .attr_count = 1, .output_count = 1};
    fer_value_id id = 0;
    assert_int_equal(fer_graph_add_node(t->graph, &desc, &id), FER_OK);
    const fer_tensor *tensor = t->graph->values[id].constant;
    assert_int_equal(fer_tensor_element_count(tensor), 1);
    assert_int_equal(fer_tensor_rank(tensor), 0);
}

static void large_graphs_take_linear_time(void **state) {
    graph_test *t = *state;
    enum { NODES = 100000 };
    fer_value_id at = input(t->graph, "x", FER_F32);
    for (int n = 0; n < NODES; n++) {
        at = node(t->graph, "Neg", at, FER_NO_VALUE);
    }
    for (int n = 0; n < NODES / 2; n++) { /* reversed: the deepest sort there is */
        feri_gnode *swapped = t->graph->nodes[n];
        t->graph->nodes[n] = t->graph->nodes[NODES - 1 - n];
        t->graph->nodes[NODES - 1 - n] = swapped;
    }
    assert_int_equal(fer_graph_add_output(t->graph, "y", at), FER_OK);
    assert_int_equal(feri_graph_sort(t->graph), FER_OK);
    assert_int_equal(fer_graph_finish(t->graph), FER_OK);
    assert_int_equal(t->graph->values[at].fact.rank, 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(finish_infers_outputs),
        TEST(wrong_calls_are_told_at_once),
        TEST(variables_are_assigned),
        TEST(loop_facts_settle),
        TEST(body_counts_are_verified),
        TEST(order_is_kept_and_restored),
        TEST(uses_are_replaced_in_one_walk),
        TEST(broken_graphs_do_not_verify),
        TEST(clones_are_independent),
        TEST(text_has_a_node_a_line),
        TEST(one_entry_is_one),
        TEST(large_graphs_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
