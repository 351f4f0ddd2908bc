/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host does beside a device: control flow whose bodies run there, values that host ops
 * make for it, shapes that lie on it, and allocations of the host that fail.
 */
#include "sim_fixture.h"

static fer_tensor *scalar_i64(fer_context *context, int64_t value) {
    fer_tensor *tensor = NULL;
    OK(fer_tensor_create(context, FER_I64, 0, NULL, &tensor));
    memcpy(fer_tensor_data(tensor), &value, sizeof(value));
    return tensor;
}

static fer_value_id constant(fer_graph *graph, const char *name, fer_tensor *tensor) {
    fer_value_id id = 0;
    OK(fer_graph_add_constant(graph, name, tensor, &id));
    fer_tensor_release(tensor);
    return id;
}

/* s -> s + s, five times, in a Loop; then Neg: 32 times x, negated. */
static fer_graph *loop_graph(fer_context *context) {
    fer_graph *body = NULL, *graph = NULL;
    fer_value_id in[3], x = 0;
    OK(fer_graph_create(context, &body));
    OK(fer_graph_add_input(body, "trip", FER_I64, 0, NULL, NULL, &in[0]));
    OK(fer_graph_add_input(body, "go", FER_BOOL, 0, NULL, NULL, &in[1]));
    OK(fer_graph_add_input(body, "s", FER_F32, 1, (int64_t[]){2}, NULL, &in[2]));
    OK(fer_graph_add_output(body, "go_on", node_of(body, "Identity", "go_on", in[1])));
    fer_value_id sum =
        node_named(body, "Add", "double", (fer_value_id[]){in[2], in[2]}, 2, NULL, 0);
    OK(fer_graph_add_output(body, "s_next", sum));
    OK(fer_graph_finish(body));
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){2}, NULL, &x));
    fer_tensor *go = NULL;
    OK(fer_tensor_create(context, FER_BOOL, 0, NULL, &go));
    memset(fer_tensor_data(go), 1, 1);
    fer_value_id loop_in[3] = {constant(graph, "five", scalar_i64(context, 5)),
                               constant(graph, "true", go),
                               node_of(graph, "Relu", "before", x)};
    const fer_attr attr = {.name = "body", .type = FER_ATTR_GRAPH, .count = 1, .value.body = body};
    fer_value_id looped = node_named(graph, "Loop", "loop", loop_in, 3, &attr, 1);
    OK(fer_graph_add_output(graph, "y", node_of(graph, "Neg", "after", looped)));
    OK(fer_graph_finish(graph));
    fer_graph_release(body);
    return graph;
}

static void a_loops_body_runs_on_the_device(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = loop_graph(context);
    static const char *const devices[] = {"ref", "sim,ref", "simplain,ref", "sim:1,sim,ref"};
    for (int i = 0; i < 4; i++) {
        fer_program *program = NULL;
        OK(compile_on(context, graph, devices[i], &program));
        for (int k = 0; k < 2; k++) {
            OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, -64}));
        }
        fer_program_release(program);
    }
    assert_true(sim_get_stats(0).kernels >= 2 * (5 + 1 + 1));
    /* It fails, or is lost, in the third trip. */
    fer_program *program = NULL;
    OK(compile_on(context, graph, "sim,ref", &program));
    OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, -64}));
    sim_inject(0, &(sim_faults){.kernel_fails_at = 4});
    FAILS(FER_BACKEND, run_floats(program, context, NULL, (float[]){-1, 2}, 2, NULL));
    SAYS("the kernel faulted");
    OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, -64}));
    sim_inject(0, &(sim_faults){.lost_at_kernel = 4});
    fer_status status = run_floats(program, context, NULL, (float[]){-1, 2}, 2, NULL);
    assert_true(status == FER_OK || status == FER_DEVICE_LOST);
    OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, -64}));
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* Strings become numbers on the host, and numbers of their size are worked on by the chip. */
static void host_ops_feed_the_device(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = NULL;
    fer_value_id text = 0;
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(graph, "text", FER_STRING, 1, (int64_t[]){2}, NULL, &text));
    const fer_attr to = {.name = "to", .type = FER_ATTR_INT, .count = 1, .value.i = FER_F32};
    fer_value_id number = node_named(graph, "Cast", "read", &text, 1, &to, 1);
    OK(fer_graph_add_output(graph, "y", node_of(graph, "Neg", "turn", number)));
    OK(fer_graph_finish(graph));
    static const char *const devices[] = {"ref", "sim,ref", "simplain:1,ref"};
    for (int i = 0; i < 3; i++) {
        fer_program *program = NULL;
        OK(compile_on(context, graph, devices[i], &program));
        fer_tensor *x = NULL, *y = NULL;
        OK(fer_tensor_create_strings(
            context, 1, (int64_t[]){2}, (const char *[]){"1.5", "-2"}, NULL, &x));
        for (int k = 0; k < 2; k++) {
            OK(fer_program_run(program, NULL, &x, 1, &y, 1));
            check_floats(y, (float[]){-1.5f, 2}, 2);
            fer_tensor_release(y);
            y = NULL;
        }
        fer_tensor_release(x);
        fer_program_release(program);
    }
    assert_int_equal(sim_get_stats(0).kernels, 2);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* A shape that decides, in device memory: the run waits for it, and the record says so. */
static void a_shape_on_the_device_is_fetched(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = NULL;
    fer_value_id ids[2];
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){4}, NULL, &ids[0]));
    OK(fer_graph_add_input(graph, "shape", FER_I64, 1, (int64_t[]){2}, NULL, &ids[1]));
    fer_value_id shaped = node_named(graph, "Reshape", "shape_it", ids, 2, NULL, 0);
    OK(fer_graph_add_output(graph, "y", node_of(graph, "Transpose", "turn", shaped)));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    OK(compile_on(context, graph, "sim,ref", &program));
    fer_tensor *x[2] = {floats(context, 4, (float[]){1, 2, 3, 4}), NULL}, *y = NULL;
    OK(fer_tensor_create_on(device, FER_I64, 1, (int64_t[]){2}, &x[1]));
    static const int64_t shapes[3][2] = {
        {2, 2},
        {4, 1},
        {2, 2}
    };
    static const float expected[3][4] = {
        {1, 3, 2, 4},
        {1, 2, 3, 4},
        {1, 3, 2, 4}
    };
    for (int i = 0; i < 3; i++) {
        fer_run_record record = {.struct_size = sizeof(record)};
        fer_run_options options = {.struct_size = sizeof(options), .record = &record};
        OK(fer_tensor_write(x[1], 0, shapes[i], sizeof(shapes[i])));
        OK(fer_program_run(program, &options, x, 2, &y, 1));
        assert_int_equal(fer_tensor_dims(y)[0], shapes[i][1]);
        check_floats(y, expected[i], 4);
        assert_true(record.shape_wait_count >= 1);
        fer_tensor_release(y);
        y = NULL;
    }
    /* Lost while it is needed. */
    sim_lose(0, /*tell_host=*/0);
    FAILS(FER_DEVICE_LOST, fer_program_run(program, NULL, x, 2, &y, 1));
    assert_null(y);
    fer_tensor_release(x[0]);
    fer_tensor_release(x[1]);
    fer_program_release(program);
    fer_device_release(device);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* Inputs given away, and memory that overlaps, on the device. */
static void overlaps_are_seen_on_devices(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 4, (const char *[]){"Neg"}, 1, "sim");
    fer_device *device = NULL;
    fer_tensor *x = NULL, *view = NULL;
    OK(fer_device_find(context, "sim", &device));
    OK(fer_tensor_create_on(device, FER_F32, 2, (int64_t[]){2, 2}, &x));
    OK(fer_tensor_view(x, 1, (int64_t[]){4}, &view));
    OK(fer_tensor_write(x, 0, (float[]){1, 2, 3, 4}, 16));
    fer_tensor *same = view;
    FAILS(FER_INVALID_ARGUMENT, fer_program_run(program, NULL, &view, 1, &same, 1));
    fer_run_options donate = {
        .struct_size = sizeof(donate), .donated = (uint32_t[]){0}, .donated_count = 1};
    OK(fer_program_run(program, &donate, &view, 1, &same, 1));
    check_floats(x, (float[]){-1, -2, -3, -4}, 4);
    fer_tensor_release(x);
    fer_tensor_release(view);
    fer_device_release(device);
    fer_program_release(program);
    fer_context_release(context);
}

/* Every allocation of the host's fails once, at compilation and in a run across three devices. */
static void host_memory_may_run_out_anywhere(void **state) {
    (void)state;
    int failed = 0;
    for (int64_t at = 1;; at++) {
        assert_true(at < 5000);
        uint32_t alive = sim_live();
        int64_t bytes = heap.bytes;
        fer_context *context = sim_context();
        fer_graph *graph = chain(context, 4, (const char *[]){"Neg", "Abs", "Relu"}, 3);
        fer_pin pin = {"n2", "simplain"};
        fer_compile_options options = {.struct_size = sizeof(options),
                                       .devices = "sim,simplain,ref",
                                       .pins = &pin,
                                       .pin_count = 1};
        fer_tensor *x = floats(context, 4, (float[]){-1, 2, -3, 4}), *y[2] = {NULL, NULL};
        fer_program *program = NULL;
        heap.fails_in = at;
        fer_status status = fer_program_compile(context, graph, &options, &program);
        if (status == FER_OK) {
            status = fer_program_run(program, NULL, &x, 1, &y[0], 1);
        }
        int is_last = heap.fails_in > 0;
        heap.fails_in = 0;
        if (status == FER_OK) {
            check_floats(y[0], (float[]){1, 2, 3, 4}, 4);
        } else {
            FAILS(FER_OUT_OF_MEMORY, status);
            assert_null(y[0]);
            failed++;
        }
        if (program != NULL) { /* and it goes on */
            OK(fer_program_run(program, NULL, &x, 1, &y[1], 1));
            check_floats(y[1], (float[]){1, 2, 3, 4}, 4);
        }
        fer_tensor_release(x);
        fer_tensor_release(y[0]);
        fer_tensor_release(y[1]);
        fer_program_release(program);
        fer_graph_release(graph);
        fer_context_release(context);
        assert_int_equal(heap.bytes, bytes);
        assert_int_equal(sim_live(), alive);
        assert_null(sim_violation());
        if (is_last) {
            break;
        }
    }
    assert_true(failed > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(a_loops_body_runs_on_the_device),
        SIM_TEST(host_ops_feed_the_device),
        SIM_TEST(a_shape_on_the_device_is_fetched),
        SIM_TEST(overlaps_are_seen_on_devices),
        SIM_TEST(host_memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
