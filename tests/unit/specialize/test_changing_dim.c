/* SPDX-License-Identifier: Apache-2.0
 *
 * Where not all dims can be symbols, a dim that keeps changing becomes one after four misses, so
 * that the fifth compile is the last; when that does not work out either, it is said.
 */
#include "../program/program_kit.h"

typedef struct text {
    char data[4096];
    size_t length;
} text;

static int32_t collect(void *self, const char *data, size_t length) {
    text *t = self;
    size_t fits =
        sizeof(t->data) - 1 - t->length < length ? sizeof(t->data) - 1 - t->length : length;
    memcpy(t->data + t->length, data, fits);
    t->length += fits;
    return 0;
}

/* y = Reshape(Neg(x), shape): the contents of shape decide, so not everything can be a symbol. */
static fer_program *reshape_program(fer_context *context) {
    fer_graph *graph = new_graph(context);
    fer_value_id x = add_input(graph, "x", FER_F32, 2, (int64_t[]){-1, -1});
    fer_value_id shape = add_input(graph, "shape", FER_I64, 1, (int64_t[]){3});
    fer_value_id y = add_two(graph, "Reshape", add_one(graph, "Neg", x), shape);
    OK(fer_graph_add_output(graph, "y", y));
    return compiled(context, graph, NULL);
}

static void
run_reshape(fer_context *context, fer_program *program, int64_t rows, const int64_t *shape) {
    fer_tensor *inputs[2] = {ramp(context, 2, (int64_t[]){rows, 6}, 1.0f, 1.0f),
                             i64_line(context, 3, shape)};
    fer_tensor *out = NULL;
    OK(fer_program_run(program, NULL, inputs, 2, &out, 1));
    assert_int_equal(fer_tensor_rank(out), 3);
    assert_int_equal(fer_tensor_element_count(out), rows * 6);
    const float *data = fer_tensor_data(out);
    for (int64_t i = 0; i < rows * 6; i++) {
        assert_true(data[i] == -(float)(i + 1));
    }
    fer_tensor_release(out);
    fer_tensor_release(inputs[0]);
    fer_tensor_release(inputs[1]);
}

static uint32_t compiles(fer_program *program) {
    fer_program_stats stats = {.struct_size = sizeof(stats)};
    OK(fer_program_get_stats(program, &stats));
    return (uint32_t)stats.compile_count;
}

static void the_fifth_compile_is_the_last(void **state) {
    (void)state;
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_program *program = reshape_program(context);
    for (int64_t rows = 1; rows <= 12; rows++) {
        run_reshape(context, program, rows, (int64_t[]){0, 3, 2});
        assert_int_equal(compiles(program), rows < 5 ? rows : 5);
    }
    /* Other contents are another structure: counted anew, and not served by the first. */
    for (int64_t rows = 1; rows <= 8; rows++) {
        run_reshape(context, program, rows, (int64_t[]){0, 2, 3});
        assert_int_equal(compiles(program), 5 + (rows < 5 ? rows : 5));
    }
    run_reshape(context, program, 100, (int64_t[]){0, 3, 2});
    assert_int_equal(compiles(program), 10);
    fer_program_release(program);
    fer_context_release(context);
    assert_all_back(&memory);
}

/* A branch that gives a number. */
static fer_graph *number_branch(fer_context *context, float number) {
    fer_graph *graph = new_graph(context);
    OK(fer_graph_add_output(
        graph, "number", add_constant(graph, ramp(context, 0, NULL, number, 0))));
    OK(fer_graph_finish(graph));
    return graph;
}

/* Which branch is taken hangs on the dim itself: no symbol tells. */
static void what_cannot_be_a_symbol_is_said(void **state) {
    (void)state;
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_graph *graph = new_graph(context);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){-1});
    fer_value_id limit = add_constant(graph, tensor_of(context, FER_I64, 0, NULL, (int64_t[]){6}));
    fer_value_id is_less = add_two(graph, "Less", add_one(graph, "Size", x), limit);
    fer_graph *few = number_branch(context, 1), *many = number_branch(context, 2);
    fer_attr bodies[2] = {body_attr("then_branch", few), body_attr("else_branch", many)};
    fer_value_id number = add_node(graph, "If", 1, &is_less, 2, bodies);
    OK(fer_graph_add_output(graph, "y", add_two(graph, "Add", x, number)));
    fer_graph_release(few);
    fer_graph_release(many);
    fer_program *program = compiled(context, graph, NULL);
    for (int64_t rows = 1; rows <= 8; rows++) {
        fer_tensor *in = ramp(context, 1, &rows, 0, 1), *out = NULL;
        OK(fer_program_run(program, NULL, &in, 1, &out, 1));
        const float *data = fer_tensor_data(out);
        assert_true(data[rows - 1] == (float)(rows - 1) + (rows < 6 ? 1.0f : 2.0f));
        assert_int_equal(compiles(program), rows);
        fer_tensor_release(in);
        fer_tensor_release(out);
    }
    text passes = {.length = 0};
    OK(fer_program_print_passes(program, collect, &passes));
    assert_non_null(strstr(passes.data, "dim 0 of input 'x' keeps changing"));
    fer_program_release(program);
    fer_context_release(context);
    assert_all_back(&memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fifth_compile_is_the_last),
        cmocka_unit_test(what_cannot_be_a_symbol_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
