/* SPDX-License-Identifier: Apache-2.0
 *
 * Upgrades: a node of an older opset becomes the newest form, with the nodes that takes. One test
 * per kind of change; that the results are right is for the node vectors.
 */
#include "model_bytes.h"

/* A model of one node on inputs x (of dims) and others as named; all outputs are the graph's. */
static bytes one_node(bytes *node, const char *dims, int64_t opset) {
    bytes graph = {0};
    put_message(&graph, 1, node);
    put_input(&graph, "x", FER_F32, dims);
    put_output(&graph, "y");
    return a_model(&graph, opset);
}

static int64_t constant_int(const import_test *t, fer_value_id id, int64_t index) {
    int64_t value = 0;
    const feri_gvalue *constant = &t->graph->values[id];
    assert_int_equal(constant->origin, FERI_ORIGIN_CONSTANT);
    assert_int_equal(constant->fact.dtype, FER_I64);
    assert_true(index < (int64_t)fer_tensor_element_count(constant->constant));
    memcpy(&value, (const char *)fer_tensor_data(constant->constant) + 8 * index, sizeof(value));
    return value;
}

static void attributes_become_inputs(void **state) {
    import_test *t = *state;
    const int64_t axes[] = {1, 2}, starts[] = {0, 1}, ends[] = {3, 4};
    bytes node = a_node("ReduceSum", "x", "y");
    put_ints_attr(&node, "axes", 2, axes);
    bytes model = one_node(&node, "2 3 4", 11);
    assert_imports(t, &model);
    const feri_gnode *made = assert_op(t, 0, "ReduceSum");
    assert_int_equal(made->input_count, 2);
    assert_int_equal(made->attr_count, 0);
    assert_int_equal(constant_int(t, made->inputs[1], 1), 2);
    node = a_node("Slice", "x", "y");
    put_ints_attr(&node, "starts", 2, starts);
    put_ints_attr(&node, "ends", 2, ends);
    put_ints_attr(&node, "axes", 2, axes);
    model = one_node(&node, "2 3 4", 9);
    assert_imports(t, &model);
    made = assert_op(t, 0, "Slice");
    assert_int_equal(made->input_count, 4);
    assert_int_equal(constant_int(t, made->inputs[2], 1), 4);
    assert_int_equal(t->graph->values[made->outputs[0]].fact.dims[1].number, 3);
    node = a_node("TopK", "x", "y i");
    put_int_attr(&node, "k", 2);
    model = one_node(&node, "2 3 4", 9);
    assert_imports(t, &model);
    assert_int_equal(constant_int(t, assert_op(t, 0, "TopK")->inputs[1], 0), 2);
}

static void empty_axes_of_a_reduction_are_all(void **state) {
    import_test *t = *state;
    bytes node = a_node("ReduceMax", "x", "y");
    put_ints_attr(&node, "axes", 0, NULL);
    bytes model = one_node(&node, "2 3", 13);
    assert_imports(t, &model);
    assert_int_equal(assert_op(t, 0, "ReduceMax")->input_count, 1);
}

static void clip_bounds_have_the_dtype_of_x(void **state) {
    import_test *t = *state;
    bytes node = a_node("Clip", "x", "y");
    put_float_attr(&node, "max", 6);
    bytes graph = {0};
    put_message(&graph, 1, &node);
    put_input(&graph, "x", FER_F64, "2");
    put_output(&graph, "y");
    bytes model = a_model(&graph, 10);
    assert_imports(t, &model);
    const feri_gnode *made = assert_op(t, 0, "Clip");
    assert_int_equal(made->input_count, 3);
    assert_int_equal(made->inputs[1], FER_NO_VALUE);
    const fer_tensor *max = t->graph->values[made->inputs[2]].constant;
    double value = 0;
    assert_int_equal(fer_tensor_dtype(max), FER_F64);
    assert_int_equal(fer_tensor_rank(max), 0);
    memcpy(&value, fer_tensor_data(max), sizeof(value));
    assert_true(value == 6.0);
}

static void softmax_is_flattened_before_13(void **state) {
    import_test *t = *state;
    bytes node = a_node("Softmax", "x", "y");
    bytes model = one_node(&node, "2 3 4", 12);
    assert_imports(t, &model);
    assert_op(t, 0, "Shape");
    assert_op(t, 1, "Flatten");
    const feri_gnode *softmax = assert_op(t, 2, "Softmax");
    assert_int_equal(feri_attr_int(softmax->attrs, softmax->attr_count, "axis", 7), -1);
    const feri_gnode *last = assert_op(t, 3, "Reshape");
    assert_string_equal(t->graph->values[last->outputs[0]].name, "y");
    assert_int_equal(t->graph->values[last->outputs[0]].fact.rank, 3);
    assert_string_equal(last->name, "Softmax_0");
    assert_int_equal(last->source, 0);
    node = a_node("Softmax", "x", "y"); /* the last axis needs none of it */
    put_int_attr(&node, "axis", 2);
    model = one_node(&node, "2 3 4", 12);
    assert_imports(t, &model);
    assert_int_equal(t->graph->node_count, 1);
}

/* broadcast=1 with an axis lines b up with dims of a that are not its last. */
static bytes old_add(const char *dims) {
    bytes graph = {0};
    bytes node = a_node("Add", "x b", "y");
    put_int_attr(&node, "broadcast", 1);
    put_int_attr(&node, "axis", 1);
    put_message(&graph, 1, &node);
    put_input(&graph, "x", FER_F32, dims);
    put_input(&graph, "b", FER_F32, "3");
    put_output(&graph, "y");
    return a_model(&graph, 6);
}

static void old_broadcasts_are_aligned(void **state) {
    import_test *t = *state;
    bytes model = old_add("2 3 4 5");
    assert_imports(t, &model);
    const feri_gnode *align = assert_op(t, 0, "Reshape");
    assert_int_equal(constant_int(t, align->inputs[1], 0), 0); /* its own */
    assert_int_equal(constant_int(t, align->inputs[1], 1), 1);
    assert_int_equal(constant_int(t, align->inputs[1], 2), 1);
    const feri_gnode *add = assert_op(t, 1, "Add");
    assert_int_equal(add->attr_count, 0);
    assert_int_equal(t->graph->values[add->outputs[0]].fact.rank, 4);
    assert_int_equal(t->graph->values[add->outputs[0]].fact.dims[1].number, 3);
    model = old_add(NULL); /* unknown rank: computed when it runs */
    assert_imports(t, &model);
    assert_op(t, t->graph->node_count - 1, "Add");
    assert_op(t, t->graph->node_count - 2, "Reshape");
}

static void upsample_becomes_resize(void **state) {
    import_test *t = *state;
    bytes node = a_node("Upsample", "x", "y");
    bytes attr = an_attr("scales", 6);
    for (int i = 0; i < 4; i++) {
        put_float(&attr, 7, i < 2 ? 1.0f : 2.0f);
    }
    put_message(&node, 5, &attr);
    bytes model = one_node(&node, "1 1 2 3", 7);
    assert_imports(t, &model);
    const feri_gnode *resize = assert_op(t, 0, "Resize");
    assert_int_equal(resize->input_count, 3);
    assert_int_equal(resize->inputs[1], FER_NO_VALUE);
    assert_string_equal(
        feri_attr_string(resize->attrs, resize->attr_count, "coordinate_transformation_mode", ""),
        "asymmetric");
    assert_int_equal(t->graph->values[resize->outputs[0]].fact.dims[3].number, 6);
}

/* Scan of opset 8 is a Scan over the batch around today's; captures go through both. */
static bytes old_scan(const char *inputs) {
    bytes graph = {0}, body = {0};
    bytes node = a_node("Scan", inputs, "y z");
    put_input(&body, "sum", FER_F32, NULL);
    put_input(&body, "next", FER_F32, NULL);
    put_node(&body, "Add", "sum next", "total");
    put_node(&body, "Mul", "total c", "out");
    put_output(&body, "total");
    put_output(&body, "out");
    put_graph_attr(&node, "body", &body);
    put_int_attr(&node, "num_scan_inputs", 1);
    put_input(&graph, "x", FER_F32, "2 3 4");
    put_input(&graph, "s", FER_F32, "2 4");
    put_node(&graph, "Relu", "s", "c");
    put_message(&graph, 1, &node);
    put_output(&graph, "z");
    return a_model(&graph, 8);
}

static void old_scans_go_over_the_batch(void **state) {
    import_test *t = *state;
    bytes model = old_scan("_ s x");
    assert_imports(t, &model);
    const feri_gnode *outer = assert_op(t, 1, "Scan");
    assert_int_equal(outer->formal_count, 2);
    assert_int_equal(outer->input_count, 3);
    assert_int_equal(outer->inputs[2], t->graph->nodes[0]->outputs[0]);
    const fer_graph *sample = outer->bodies[0];
    const feri_gnode *inner = sample->nodes[0];
    assert_int_equal(inner->inputs[2], sample->inputs[2]);
    assert_int_equal(inner->bodies[0]->captures[0], 2);
    const feri_fact *z = &t->graph->values[outer->outputs[1]].fact;
    assert_int_equal(z->rank, 4); /* c is not sliced: [2, 4] broadcasts */
    assert_int_equal(z->dims[0].number, 2);
    assert_int_equal(z->dims[1].number, 3);
    model = old_scan("s s x");
    assert_refused(t, &model, FER_UNSUPPORTED, "sequence_lens", "Scan_1");
}

/* What the resizing in y is told to round, and the last dim it makes. */
static void assert_resize(import_test *t, uint32_t index, const char *rounding, int64_t dim) {
    const feri_gnode *resize = assert_op(t, index, "Resize");
    assert_string_equal(feri_attr_string(resize->attrs, resize->attr_count, "nearest_mode", ""),
                        rounding);
    assert_int_equal(t->graph->values[resize->outputs[0]].fact.dims[3].number, dim);
}

/* Nearest rounded up where it shrank and down where it enlarged. */
static void old_resizes_shrink_before_they_enlarge(void **state) {
    import_test *t = *state;
    const float scales[] = {1, 1, 0.5f, 2};
    bytes graph = {0};
    bytes node = a_node("Resize", "x s", "y");
    bytes tensor = a_tensor("s", FER_F32, 4, scales, sizeof(scales));
    put_message(&graph, 1, &node);
    put_message(&graph, 5, &tensor);
    put_input(&graph, "x", FER_F32, "1 1 4 3");
    put_output(&graph, "y");
    bytes model = a_model(&graph, 10);
    assert_imports(t, &model);
    assert_resize(t, 1, "ceil", 3);
    assert_resize(t, t->graph->node_count - 1, "floor", 6);
}

static void norms_by_place_are_spelt_out(void **state) {
    import_test *t = *state;
    bytes graph = {0};
    bytes node = a_node("BatchNormalization", "x s s s s", "y _ _ _ _");
    put_int_attr(&node, "spatial", 0);
    put_message(&graph, 1, &node);
    put_input(&graph, "x", FER_F32, "2 3");
    put_input(&graph, "s", FER_F32, "3");
    put_output(&graph, "y");
    bytes model = a_model(&graph, 7);
    assert_imports(t, &model);
    const feri_gnode *last = assert_op(t, t->graph->node_count - 1, "Add");
    assert_int_equal(last->attr_count, 0);
    assert_string_equal(last->name, "BatchNormalization_0");
}

static void what_cannot_be_upgraded_is_named(void **state) {
    import_test *t = *state;
    bytes node = a_node("LpPool", "x", "y");
    put_float_attr(&node, "p", 2.5f);
    bytes model = one_node(&node, "1 1 4 4", 1);
    assert_refused(t, &model, FER_UNSUPPORTED, "LpPool_0", "newer opset");
    node = a_node("Cast", "x", "y");
    bytes attr = an_attr("to", 3);
    put_text(&attr, 4, "FLAOT");
    put_message(&node, 5, &attr);
    model = one_node(&node, "2", 5);
    assert_refused(t, &model, FER_INVALID_MODEL, "Cast_0", "FLAOT");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, import_set_up, import_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(attributes_become_inputs),
        TEST(empty_axes_of_a_reduction_are_all),
        TEST(clip_bounds_have_the_dtype_of_x),
        TEST(softmax_is_flattened_before_13),
        TEST(old_broadcasts_are_aligned),
        TEST(upsample_becomes_resize),
        TEST(old_scans_go_over_the_batch),
        TEST(old_resizes_shrink_before_they_enlarge),
        TEST(norms_by_place_are_spelt_out),
        TEST(what_cannot_be_upgraded_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
