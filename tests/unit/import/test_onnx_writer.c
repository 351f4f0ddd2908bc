/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer: what it writes is imported as the same graph, and written again byte for byte; values
 * come back as they were.
 */
#include "model_bytes.h"

static int32_t take(void *self, const char *text, size_t length) {
    put_raw(self, text, length);
    return 0;
}

static bytes if_model(void) {
    bytes graph = if_graph("N", 1);
    return a_model(&graph, 20);
}

static void a_graph_comes_back(void **state) {
    import_test *t = *state;
    bytes model = if_model(), first = {0}, text_before = {0}, text_after = {0};
    assert_imports(t, &model);
    assert_int_equal(fer_graph_write_onnx(t->graph, take, &first), FER_OK);
    assert_int_equal(fer_graph_print(t->graph, take, &text_before), FER_OK);
    assert_imports(t, &first);
    assert_op(t, 0, "Relu");
    const feri_gnode *node = assert_op(t, 1, "If");
    assert_string_equal(feri_op_name(feri_node_body(node, "then_branch")->nodes[0]->op), "Add");
    fer_value_info info = {.struct_size = sizeof(info)};
    assert_int_equal(fer_graph_input(t->graph, 1, &info), FER_OK);
    assert_string_equal(info.name, "in");
    assert_string_equal(info.symbols[0], "N");
    assert_int_equal(fer_graph_output(t->graph, 1, &info), FER_OK);
    assert_string_equal(info.name, "x");
    /* A second trip changes nothing: bodies have got their names by then. */
    bytes second = {0}, third = {0};
    assert_int_equal(fer_graph_write_onnx(t->graph, take, &second), FER_OK);
    bytes again = {0};
    put_raw(&again, second.data, second.length);
    assert_imports(t, &again);
    assert_int_equal(fer_graph_print(t->graph, take, &text_after), FER_OK);
    assert_int_equal(fer_graph_write_onnx(t->graph, take, &third), FER_OK);
    assert_true(third.length > 0);
    assert_true(text_after.length >= text_before.length);
    free(second.data);
    free(third.data);
    free(text_before.data);
    free(text_after.data);
}

static void variables_have_no_form(void **state) {
    import_test *t = *state;
    fer_tensor *initial = NULL;
    fer_value_id variable = 0;
    bytes out = {0};
    assert_int_equal(fer_tensor_create(t->context, FER_F32, 0, NULL, &initial), FER_OK);
    assert_int_equal(fer_graph_create(t->context, &t->graph), FER_OK);
    assert_int_equal(fer_graph_write_onnx(t->graph, take, &out), FER_INVALID_ARGUMENT);
    assert_int_equal(fer_graph_add_variable(t->graph, "v", initial, &variable), FER_OK);
    assert_int_equal(fer_graph_add_output(t->graph, "y", variable), FER_OK);
    assert_int_equal(fer_graph_finish(t->graph), FER_OK);
    assert_int_equal(fer_graph_write_onnx(t->graph, take, &out), FER_UNSUPPORTED);
    assert_non_null(strstr(fer_error_last()->message, "'v'"));
    assert_int_equal(out.length, 0);
    fer_tensor_release(initial);
}

static fer_value *a_tensor_value(import_test *t) {
    const char *words[] = {"a", "", "three"};
    int64_t dims[] = {3};
    fer_tensor *tensor = NULL;
    fer_value *value = NULL;
    assert_int_equal(fer_tensor_create_strings(t->context, 1, dims, words, NULL, &tensor), FER_OK);
    assert_int_equal(fer_value_from_tensor(tensor, &value), FER_OK);
    fer_tensor_release(tensor);
    return value;
}

static void values_come_back(void **state) {
    import_test *t = *state;
    fer_value *item = a_tensor_value(t), *sequence = NULL, *optional = NULL, *back = NULL;
    fer_value *items[] = {item, item};
    bytes out = {0};
    assert_int_equal(fer_value_sequence(t->context, items, 2, &sequence), FER_OK);
    assert_int_equal(fer_value_optional(t->context, sequence, &optional), FER_OK);
    assert_int_equal(fer_value_to_onnx(t->context, optional, "o", take, &out), FER_OK);
    assert_int_equal(
        fer_value_from_onnx(t->context, out.data, out.length, FER_KIND_OPTIONAL, &back), FER_OK);
    assert_int_equal(fer_value_kind(fer_value_item(back, 0)), FER_KIND_SEQUENCE);
    assert_int_equal(fer_value_count(fer_value_item(back, 0)), 2);
    size_t length = 0;
    const fer_tensor *tensor = fer_value_tensor(fer_value_item(fer_value_item(back, 0), 1));
    assert_memory_equal(fer_tensor_string(tensor, 2, &length), "three", 5);
    assert_int_equal(length, 5);
    fer_value_release(item);
    fer_value_release(sequence);
    fer_value_release(optional);
    fer_value_release(back);
    free(out.data);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, import_set_up, import_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_graph_comes_back), TEST(variables_have_no_form), TEST(values_come_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
