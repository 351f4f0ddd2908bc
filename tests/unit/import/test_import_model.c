/* SPDX-License-Identifier: Apache-2.0
 *
 * Import of whole models: what a graph looks like afterwards, bodies, functions, and refusals.
 */
#include "model_bytes.h"

#include <stdio.h>

static bytes relu_model(void) {
    bytes graph = {0};
    put_input(&graph, "x", FER_F32, "N 3 ? -1");
    put_node(&graph, "Relu", "x", "y");
    put_output(&graph, "y");
    return a_model(&graph, 20);
}

static void infos_tell_names_and_dims(void **state) {
    import_test *t = *state;
    bytes model = relu_model();
    assert_imports(t, &model);
    fer_value_info info = {.struct_size = sizeof(info)};
    assert_int_equal(fer_graph_input(t->graph, 0, &info), FER_OK);
    assert_string_equal(info.name, "x");
    assert_int_equal(info.rank, 4);
    assert_int_equal(info.dims[0], -1);
    assert_string_equal(info.symbols[0], "N");
    assert_int_equal(info.dims[1], 3);
    assert_int_equal(fer_graph_output(t->graph, 0, &info), FER_OK);
    assert_string_equal(info.name, "y");
    assert_int_equal(info.dtype, FER_F32);
    assert_string_equal(info.symbols[0], "N");
    assert_int_equal(fer_graph_output(t->graph, 1, &info), FER_INVALID_ARGUMENT);
    assert_string_equal(t->graph->nodes[0]->name, "Relu_0");
}

static void every_prefix_is_survived(void **state) {
    import_test *t = *state;
    bytes model = relu_model();
    for (size_t length = 0; length < model.length; length++) {
        bytes prefix = {0};
        put_raw(&prefix, model.data, length);
        (void)import_bytes(t, &prefix);
    }
    free(model.data);
}

static void nodes_may_come_in_any_order(void **state) {
    import_test *t = *state;
    bytes graph = {0};
    put_input(&graph, "x", FER_F32, "2");
    put_node(&graph, "Neg", "b", "y");
    put_node(&graph, "Exp", "a", "b");
    put_node(&graph, "Relu", "x", "a");
    put_output(&graph, "y");
    bytes model = a_model(&graph, 20);
    assert_imports(t, &model);
    assert_op(t, 0, "Relu");
    assert_op(t, 1, "Exp");
    assert_op(t, 2, "Neg");
    assert_int_equal(t->graph->values[t->graph->outputs[0]].fact.dims[0].number, 2);
}

static void bad_wiring_is_named(void **state) {
    import_test *t = *state;
    bytes graph = {0};
    put_node(&graph, "Relu", "b", "a");
    put_node(&graph, "Neg", "a", "b");
    put_output(&graph, "a");
    bytes model = a_model(&graph, 20);
    assert_refused(t, &model, FER_INVALID_MODEL, "cycle", "_");
    put_node(&graph, "Relu", "nobody", "a");
    put_output(&graph, "a");
    model = a_model(&graph, 20);
    assert_refused(t, &model, FER_INVALID_MODEL, "'nobody'", "Relu_0");
    put_input(&graph, "x", FER_F32, "2");
    put_node(&graph, "Relu", "x", "a");
    put_node(&graph, "Neg", "x", "a");
    put_output(&graph, "a");
    model = a_model(&graph, 20);
    assert_refused(t, &model, FER_INVALID_MODEL, "'a'", "two values");
    put_input(&graph, "x", FER_F32, "2");
    put_node(&graph, "Relu", "x", "a");
    put_output(&graph, "c");
    model = a_model(&graph, 20);
    assert_refused(t, &model, FER_INVALID_MODEL, "output 'c'", "no node");
}

static void versions_and_ops_are_named(void **state) {
    import_test *t = *state;
    bytes graph = {0};
    put_input(&graph, "x", FER_F32, "2");
    put_node(&graph, "Frobnicate", "x", "y");
    put_output(&graph, "y");
    bytes model = a_model(&graph, 20);
    assert_refused(t, &model, FER_UNSUPPORTED, "op 'Frobnicate'", "node 'Frobnicate_0'");
    model = a_model(&graph, 28);
    assert_refused(t, &model, FER_UNSUPPORTED, "28", "27");
    put_input(&graph, "x", FER_F32, "2");
    put_node(&graph, "Relu", "x", "y");
    put_output(&graph, "y");
    put_int(&model, 1, 2);
    put_message(&model, 7, &graph);
    assert_refused(t, &model, FER_UNSUPPORTED, "IR version 2", "3");
    put_int(&model, 1, 10);
    assert_refused(t, &model, FER_INVALID_MODEL, "no graph", "cut off");
    put_int(&model, 1, 10);
    put_raw(&model, "\xff", 1);
    assert_refused(t, &model, FER_INVALID_MODEL, "model: it is malformed", "cut off");
}

static void outputs_may_be_inputs_or_constants(void **state) {
    import_test *t = *state;
    const float data[] = {1, 2};
    bytes graph = {0};
    bytes tensor = a_tensor("w", FER_F32, 2, data, sizeof(data));
    put_message(&graph, 5, &tensor);
    put_input(&graph, "x", FER_F32, "2");
    put_input(&graph, "w", FER_F32, "2"); /* a default is no input */
    put_output(&graph, "x");
    put_output(&graph, "w");
    bytes model = a_model(&graph, 20);
    assert_imports(t, &model);
    assert_int_equal(fer_graph_input_count(t->graph), 1);
    const feri_gvalue *w = &t->graph->values[t->graph->outputs[1]];
    assert_int_equal(w->origin, FERI_ORIGIN_CONSTANT);
    assert_memory_equal(fer_tensor_data(w->constant), data, sizeof(data));
}

/* ---- bodies ---- */

static void bodies_capture_values_and_copy_constants(void **state) {
    import_test *t = *state;
    bytes graph = if_graph("2", 0);
    bytes model = a_model(&graph, 20);
    assert_imports(t, &model);
    const feri_gnode *node = assert_op(t, 1, "If");
    assert_int_equal(node->formal_count, 1);
    assert_int_equal(node->input_count, 3); /* x for each branch */
    assert_int_equal(node->inputs[1], t->graph->nodes[0]->outputs[0]);
    const fer_graph *then_body = feri_node_body(node, "then_branch");
    assert_int_equal(then_body->capture_count, 1);
    assert_int_equal(then_body->input_count, 1);
    fer_value_id w = then_body->nodes[0]->inputs[1];
    assert_int_equal(then_body->values[w].origin, FERI_ORIGIN_CONSTANT);
    assert_int_equal(t->graph->values[node->outputs[0]].fact.dims[0].number, 2);
    fer_graph *copy = NULL;
    assert_int_equal(feri_graph_clone(t->graph, &copy), FER_OK);
    assert_int_equal(feri_graph_verify(copy), FER_OK);
    assert_int_equal(copy->total_nodes, t->graph->total_nodes);
    fer_graph_release(copy);
}

static void deep_nesting_is_a_limit(void **state) {
    import_test *t = *state;
    bytes graph = {0};
    put_output(&graph, "cond");
    for (int depth = 0; depth < 2000; depth++) {
        bytes around = {0}, empty = {0};
        bytes node = a_node("If", "cond", "y");
        put_output(&empty, "cond");
        put_graph_attr(&node, "then_branch", &graph);
        put_graph_attr(&node, "else_branch", &empty);
        put_message(&around, 1, &node);
        put_output(&around, "y");
        graph = around;
    }
    put_input(&graph, "cond", FER_BOOL, "");
    bytes model = a_model(&graph, 20);
    assert_refused(t, &model, FER_LIMIT, "nested", "max_nesting");
}

/* ---- functions ---- */

static bytes a_function(const char *name, const char *inputs, const char *outputs) {
    bytes function = {0};
    put_text(&function, 1, name);
    put_names(&function, 4, inputs);
    put_names(&function, 5, outputs);
    put_opset(&function, 9, "", 20);
    put_opset(&function, 9, "own", 1);
    put_text(&function, 10, "own");
    return function;
}

static bytes a_call(const char *name, const char *inputs, const char *outputs) {
    bytes node = a_node(name, inputs, outputs);
    put_text(&node, 7, "own");
    return node;
}

static bytes calling_model(const char *name) {
    bytes graph = {0};
    bytes node = a_call(name, "x", "y");
    put_text(&node, 3, "the call");
    put_int_attr(&node, "where", 1);
    put_message(&graph, 1, &node);
    put_input(&graph, "x", FER_F32, "2 3");
    put_output(&graph, "y");
    return a_model(&graph, 20);
}

static void functions_are_inlined(void **state) {
    import_test *t = *state;
    bytes model = calling_model("F");
    bytes function = a_function("F", "a unused", "b");
    bytes node = a_node("Softmax", "a", "t");
    bytes attr = an_attr("axis", 2);
    put_text(&attr, 21, "where");
    put_message(&node, 5, &attr);
    put_message(&function, 7, &node);
    node = a_call("G", "t", "b");
    put_message(&function, 7, &node);
    put_message(&model, 25, &function);
    function = a_function("G", "a", "a"); /* hands its input on */
    put_message(&model, 25, &function);
    assert_imports(t, &model);
    const feri_gnode *softmax = assert_op(t, 0, "Softmax");
    assert_int_equal(feri_attr_int(softmax->attrs, softmax->attr_count, "axis", 7), 1);
    assert_string_equal(softmax->name, "the call");
    assert_op(t, 1, "Identity");
    assert_int_equal(t->graph->node_count, 2);
}

static void recursion_is_named(void **state) {
    import_test *t = *state;
    bytes model = calling_model("F");
    bytes function = a_function("F", "a", "b");
    bytes node = a_call("F", "a", "b");
    put_message(&function, 7, &node);
    put_message(&model, 25, &function);
    assert_refused(t, &model, FER_INVALID_MODEL, "'F'", "calls itself");
}

/* f0 calls f1 twice, and so on 39 times; adds: the innermost has a node, or none at all. */
static void explosion(import_test *t, int adds) {
    t->env->limits.max_nodes = 20000;
    bytes model = calling_model("f0");
    for (int f = 0; f < 40; f++) {
        char name[16], next[16];
        snprintf(name, sizeof(name), "f%d", f);
        snprintf(next, sizeof(next), "f%d", f + 1);
        bytes function = a_function(name, "a", adds || f == 0 ? "b" : "");
        for (int i = 0; i < 2 && f < 39; i++) {
            bytes node = a_call(next, "a", adds && i == 0 ? "b" : "");
            put_message(&function, 7, &node);
        }
        if (f == 39 && adds) {
            bytes node = a_node("Relu", "a", "b");
            put_message(&function, 7, &node);
        }
        put_message(&model, 25, &function);
    }
    assert_refused(t, &model, FER_LIMIT, "max_nodes", "the call");
}

static void explosions_are_limits(void **state) {
    explosion(*state, 1);
    explosion(*state, 0);
}

/* ---- allocation ---- */

typedef struct failing {
    uint64_t count, fail_at;
} failing;

static void *failing_alloc(void *self, size_t length, size_t alignment) {
    failing *f = self;
    void *memory = NULL;
    if (f->count++ == f->fail_at ||
        posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, length)) {
        return NULL;
    }
    return memory;
}

static void failing_free(void *self, void *memory, size_t length, size_t alignment) {
    (void)self;
    (void)length;
    (void)alignment;
    free(memory);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    bytes graph = if_graph("2", 0);
    bytes model = a_model(&graph, 11);
    int is_done = 0;
    for (uint64_t index = 0; !is_done; index++) {
        failing f = {0, UINT64_MAX};
        fer_context_options options = {
            .allocator = {failing_alloc, failing_free, &f}
        };
        feri_env *env = NULL;
        fer_graph *imported = NULL;
        assert_int_equal(feri_env_create(&options, &env), FER_OK);
        f.fail_at = f.count + index;
        fer_status status = fer_graph_import_memory(
            (fer_context *)(void *)env, model.data, model.length, NULL, NULL, NULL, &imported);
        is_done = status == FER_OK;
        assert_true(is_done || status == FER_OUT_OF_MEMORY);
        fer_graph_release(imported);
        assert_int_equal(env->now_bytes, 0);
        feri_env_release(env);
        assert_true(index < 100000);
    }
    free(model.data);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, import_set_up, import_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(infos_tell_names_and_dims),
        TEST(every_prefix_is_survived),
        TEST(nodes_may_come_in_any_order),
        TEST(bad_wiring_is_named),
        TEST(versions_and_ops_are_named),
        TEST(outputs_may_be_inputs_or_constants),
        TEST(bodies_capture_values_and_copy_constants),
        TEST(deep_nesting_is_a_limit),
        TEST(functions_are_inlined),
        TEST(recursion_is_named),
        TEST(explosions_are_limits),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
