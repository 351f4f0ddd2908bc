/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead code, identity removal, transposes and common subexpressions.
 */
#include "pass_graph.h"

static void dead_trees_go(void **state) {
    pass_graph *g = *state;
    fer_value_id x = pass_input(g);
    fer_value_id kept = pass_node1(g, "Relu", x);
    fer_value_id dead = pass_node1(g, "Neg", kept);
    (void)pass_node1(g, "Abs", pass_node2(g, "Add", dead, dead));
    pass_output(g, kept);
    assert_int_equal(pass_do(g, feri_pass_remove_dead), 3);
    assert_int_equal(g->graph->node_count, 1);
    assert_int_equal(pass_do(g, feri_pass_remove_dead), 0);
}

static void identities(void **state) {
    pass_graph *g = *state;
    fer_value_id x = pass_input(g);
    /* in the middle: gone, whatever stands before it */
    fer_value_id a = pass_node1(g, "Identity", pass_node1(g, "Identity", x));
    fer_value_id b = pass_node1(g, "Relu", a);
    /* at an output after a node: gone, the output becomes b */
    pass_output(g, pass_node1(g, "Identity", b));
    /* a second output of the same value, an output of an input: kept */
    pass_output(g, pass_node1(g, "Identity", b));
    pass_output(g, pass_node1(g, "Identity", x));
    assert_int_equal(pass_do(g, feri_pass_remove_identity), 3);
    assert_int_equal(g->graph->node_count, 3);
    assert_int_equal(g->graph->nodes[0]->inputs[0], x);
    assert_int_equal(g->graph->outputs[0], b);
    assert_int_equal(g->graph->output_count, 3);
    assert_int_equal(pass_do(g, feri_pass_remove_identity), 0);
}

static void next_values_of_variables_stay(void **state) {
    pass_graph *g = *state;
    fer_tensor *initial = NULL;
    fer_value_id variable = 0;
    const int64_t dims[2] = {2, 3};
    assert_int_equal(fer_tensor_create((fer_context *)(void *)g->env, FER_F32, 2, dims, &initial),
                     FER_OK);
    assert_int_equal(feri_graph_new_held(g->graph, "v", initial, FERI_ORIGIN_VARIABLE, &variable),
                     FER_OK);
    fer_tensor_release(initial);
    fer_value_id x = pass_input(g);
    g->graph->values[variable].assigned = pass_node1(g, "Identity", x);
    pass_output(g, pass_node1(g, "Relu", variable));
    assert_int_equal(pass_do(g, feri_pass_remove_identity), 0);
    assert_int_equal(pass_do(g, feri_pass_remove_dead), 0);
    assert_int_equal(g->graph->node_count, 2);
}

static void movements_that_move_nothing(void **state) {
    pass_graph *g = *state;
    const int64_t forward = 1;
    const int64_t backward = -1;
    const int64_t zeros[4] = {0, 0, 0, 0};
    const int64_t shift[4] = {1, 0, -1, 0};
    fer_value_id x = pass_input(g);
    fer_value_id any = pass_ints(g, 1, &forward);
    const fer_value_id slice[5] = {x, any, any, FER_NO_VALUE, any};
    const fer_value_id flip[5] = {x, any, any, FER_NO_VALUE, pass_ints(g, 1, &backward)};
    fer_value_id out[8];
    uint32_t count = 0;
    /* these go */
    out[count++] = pass_node2(g, "Reshape", x, any);
    out[count++] = pass_node_attr(g, "Slice", NULL, 5, slice);
    out[count++] = pass_node2(g, "Pad", x, pass_ints(g, 4, zeros));
    fer_attr axis = {.name = "axis", .type = FER_ATTR_INT, .count = 1, .value.i = 0};
    out[count++] = pass_node_attr(g, "Concat", &axis, 1, &x);
    fer_attr to = {.name = "to", .type = FER_ATTR_INT, .count = 1, .value.i = FER_F32};
    out[count++] = pass_node_attr(g, "Cast", &to, 1, &x);
    /* these move, although the shape stays */
    out[count++] = pass_node_attr(g, "Slice", NULL, 5, flip);
    out[count++] = pass_node2(g, "Pad", x, pass_ints(g, 4, shift));
    fer_value_id turned = pass_node2(g, "Reshape", x, any);
    pass_fact(g, turned, FER_F32, 2, 3, 2);
    out[count++] = turned;
    for (uint32_t i = 0; i < count; i++) {
        pass_output(g, pass_node1(g, "Relu", out[i]));
    }
    assert_int_equal(pass_do(g, feri_pass_remove_identity), 5);
    assert_int_equal(g->graph->node_count, 3 + count);
}

static void dropout(void **state) {
    pass_graph *g = *state;
    fer_value_id x = pass_input(g);
    const uint8_t on = 1;
    fer_value_id training = pass_constant(g, FER_BOOL, 0, NULL, &on);
    const fer_value_id inputs[3] = {x, FER_NO_VALUE, training};
    fer_value_id a = pass_node1(g, "Dropout", x);
    fer_value_id b = pass_node_attr(g, "Dropout", NULL, 3, inputs);
    fer_value_id c = pass_node_attr(g, "Dropout", NULL, 3, inputs);
    pass_output(g, pass_node2(g, "Add", a, pass_node2(g, "Add", b, c)));
    assert_int_equal(pass_do(g, feri_pass_remove_identity), 1);
    /* two that train draw different numbers */
    assert_int_equal(pass_do(g, feri_pass_merge_common), 0);
    assert_int_equal(g->graph->node_count, 4);
}

static void transposes(void **state) {
    pass_graph *g = *state;
    static const int64_t left[3] = {1, 2, 0};
    static const int64_t right[3] = {2, 0, 1};
    fer_value_id x = pass_input(g);
    pass_fact(g, x, FER_F32, 3, 2, 3, 4);
    fer_value_id once = pass_transpose(g, x, left);
    fer_value_id twice = pass_transpose(g, once, left);
    fer_value_id back = pass_transpose(g, twice, left);
    pass_output(g, pass_node1(g, "Relu", twice));
    pass_output(g, pass_node1(g, "Relu", back));
    assert_int_equal(pass_do(g, feri_pass_merge_transpose), 2);
    assert_memory_equal(g->graph->nodes[1]->attrs[0].value.ints, right, sizeof right);
    assert_int_equal(g->graph->nodes[1]->inputs[0], x);
    /* three turns are none */
    assert_int_equal(pass_do(g, feri_pass_remove_identity), 1);
    assert_int_equal(pass_do(g, feri_pass_remove_dead), 1);
    assert_int_equal(g->graph->node_count, 3);
}

static void transposes_without_perm(void **state) {
    pass_graph *g = *state;
    fer_value_id x = pass_input(g);
    fer_value_id back = pass_transpose(g, pass_transpose(g, x, NULL), NULL);
    pass_output(g, pass_node1(g, "Relu", back));
    assert_int_equal(pass_do(g, feri_pass_merge_transpose), 1);
    assert_int_equal(pass_do(g, feri_pass_remove_identity), 1);
}

static void common(void **state) {
    pass_graph *g = *state;
    static const int64_t left[3] = {1, 2, 0};
    static const int64_t same[3] = {1, 2, 0};
    static const int64_t right[3] = {2, 0, 1};
    const float one = 1;
    fer_value_id x = pass_input(g);
    pass_fact(g, x, FER_F32, 3, 2, 3, 4);
    fer_value_id a = pass_node2(g, "Add", x, pass_floats(g, 1, &one));
    fer_value_id b = pass_node2(g, "Add", x, pass_floats(g, 1, &one)); /* an equal constant */
    fer_value_id c = pass_node2(g, "Sub", x, pass_floats(g, 1, &one));
    fer_value_id d = pass_transpose(g, a, left);
    fer_value_id e = pass_transpose(g, b, same); /* equal once a is b */
    fer_value_id f = pass_transpose(g, b, right);
    fer_value_id h = pass_node2(g, "RandomNormalLike", d, FER_NO_VALUE);
    g->graph->nodes[g->graph->node_count - 1]->input_count = 1;
    g->graph->nodes[g->graph->node_count - 1]->formal_count = 1;
    fer_value_id i = pass_node1(g, "RandomNormalLike", d);
    pass_output(g, d);
    pass_output(g, e); /* outputs stay values of their own */
    pass_output(g, pass_node2(g, "Add", f, pass_node2(g, "Add", c, pass_node2(g, "Add", h, i))));
    assert_int_equal(pass_do(g, feri_pass_merge_common), 3); /* two constants, b */
    assert_int_equal(g->graph->nodes[2]->inputs[0], a);
    assert_int_equal(g->graph->nodes[3]->inputs[0], a);
    assert_int_equal(pass_do(g, feri_pass_merge_common), 0);
    assert_int_equal(g->graph->node_count, 10);
}

/* Half a million nodes: a pass that looks at pairs would run into the time limit of all tests. */
static void large_graphs_are_quick(void **state) {
    pass_graph *g = *state;
    fer_value_id x = pass_input(g);
    fer_value_id y = x;
    for (int i = 0; i < 500000; i++) {
        y = pass_node1(g, "Identity", y);
    }
    fer_value_id sum = pass_node1(g, "Relu", y);
    for (int i = 0; i < 100000; i++) {
        sum = pass_node2(g, "Add", sum, pass_node1(g, "Neg", x));
    }
    pass_output(g, sum);
    assert_int_equal(pass_do(g, feri_pass_remove_identity), 500000);
    assert_int_equal(pass_do(g, feri_pass_merge_common), 99999);
    assert_int_equal(pass_do(g, feri_pass_remove_dead), 0);
    assert_int_equal(g->graph->node_count, 100002);
}

static void driver(void **state) {
    pass_graph *g = *state;
    fer_value_id x = pass_input(g);
    fer_value_id a = pass_node1(g, "Relu", pass_node1(g, "Identity", x));
    fer_value_id b = pass_node1(g, "Relu", x); /* common only once the identity is gone */
    (void)pass_node1(g, "Neg", b);
    pass_output(g, pass_node2(g, "Add", a, b));
    const char *off[] = {"infer", "dead_code"};
    feri_text report;
    feri_text_init(&report, g->env);
    feri_pass_env env = {.off = off, .off_count = 2, .report = &report};
    uint32_t changes = 0;
    assert_int_equal(feri_passes_run(g->graph, &env, &changes), FER_OK);
    assert_int_equal(changes, 2);
    assert_int_equal(g->graph->node_count, 3);
    assert_non_null(strstr(report.data, "remove_identity: 1"));
    assert_non_null(strstr(report.data, "merge_common: 1"));
    assert_null(strstr(report.data, "dead_code"));
    env.off_count = 1;
    assert_int_equal(feri_passes_run(g->graph, &env, NULL), FER_OK);
    assert_int_equal(g->graph->node_count, 2);
    feri_text_finish(&report);
}

/* The usual way exporters keep a batch dim: all of it is shape arithmetic, and comes to nothing. */
static void shape_arithmetic_vanishes(void **state) {
    pass_graph *g = *state;
    fer_value_id x = pass_input(g);
    pass_fact(g, x, FER_F32, 2, -1, 3);
    const int64_t first = 0;
    const int64_t three = 3;
    const fer_attr axis = {.name = "axis", .type = FER_ATTR_INT, .count = 1, .value.i = 0};
    fer_value_id shape = pass_node1(g, "Shape", x);
    fer_value_id batch = pass_node2(g, "Gather", shape, pass_ints(g, 1, &first));
    const fer_value_id dims[2] = {batch, pass_ints(g, 1, &three)};
    fer_value_id target = pass_node_attr(g, "Concat", &axis, 2, dims);
    pass_output(g, pass_node1(g, "Relu", pass_node2(g, "Reshape", x, target)));
    assert_int_equal(feri_passes_run(g->graph, &g->pass_env, NULL), FER_OK);
    assert_int_equal(g->graph->node_count, 1);
    assert_string_equal(feri_op_name(g->graph->nodes[0]->op), "Relu");
    assert_int_equal(g->graph->nodes[0]->inputs[0], x);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, pass_set_up, pass_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(dead_trees_go),
                                       TEST(identities),
                                       TEST(next_values_of_variables_stay),
                                       TEST(movements_that_move_nothing),
                                       TEST(dropout),
                                       TEST(transposes),
                                       TEST(transposes_without_perm),
                                       TEST(common),
                                       TEST(large_graphs_are_quick),
                                       TEST(driver),
                                       TEST(shape_arithmetic_vanishes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
