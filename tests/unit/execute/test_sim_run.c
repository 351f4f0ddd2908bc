/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs on devices with memory and streams of their own: right values, where things lie, what
 * crosses, what the record says.
 */
#include "sim_fixture.h"

static void relu_runs_in_device_memory(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 4, (const char *[]){"Relu"}, 1, "sim");
    for (int i = 0; i < 3; i++) {
        OK(run_floats(program, context, NULL, (float[]){-1, 2, -3, 4}, 4, (float[]){0, 2, 0, 4}));
    }
    sim_stats stats = sim_get_stats(0);
    assert_int_equal(stats.kernels, 3);
    assert_int_equal(stats.runs_async, 3);
    assert_true(stats.copies_in == 3 && stats.copies_out == 3);
    assert_int_equal(stats.compiles, 1);
    fer_program_release(program);
    fer_context_release(context);
}

/* Level 0 and memory alone: the host's defaults for the rest, one node at a time. */
static void a_plain_device_runs_node_by_node(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program =
        chain_program(context, 3, (const char *[]){"Relu", "Neg", "Relu"}, 3, "simplain:1");
    for (int i = 0; i < 2; i++) {
        OK(run_floats(program, context, NULL, (float[]){-1, 2, 3}, 3, (float[]){0, 0, 0}));
    }
    sim_stats stats = sim_get_stats(1);
    assert_int_equal(stats.compiles, 3);
    assert_int_equal(stats.runs_waited, 6);
    assert_int_equal(stats.runs_async, 0);
    fer_program_release(program);
    fer_context_release(context);
}

/* Relu and Neg on sim, Abs and Exp-like ops on ref between them, values crossing each way. */
static void a_split_graph_crosses_memories(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(
        context, 4, (const char *[]){"Neg", "Abs", "Relu", "Sign", "Neg"}, 5, "sim,ref");
    fer_partition_record parts[8];
    for (int i = 0; i < 3; i++) {
        fer_run_record record = {
            .struct_size = sizeof(record), .partitions = parts, .partition_capacity = 8};
        fer_run_options options = {.struct_size = sizeof(options), .record = &record};
        OK(run_floats(
            program, context, &options, (float[]){-1, 0, -3, 4}, 4, (float[]){-1, 0, -1, -1}));
        assert_int_equal(record.partition_count, 5);
        assert_string_equal(parts[0].device, "sim:0");
        assert_string_equal(parts[1].device, "ref:0");
        assert_int_equal(record.bytes_moved, 6 * 16);
    }
    fer_program_release(program);
    /* The other way round: ref first, sim for what is pinned to it. */
    fer_graph *graph = chain(context, 4, (const char *[]){"Neg", "Relu", "Neg"}, 3);
    fer_pin pin = {"n1", "sim:1"};
    fer_compile_options options = {
        .struct_size = sizeof(options), .devices = "ref,sim:1", .pins = &pin, .pin_count = 1};
    OK(fer_program_compile(context, graph, &options, &program));
    OK(run_floats(program, context, NULL, (float[]){-1, 2, -3, 4}, 4, (float[]){-1, 0, -3, 0}));
    assert_int_equal(sim_get_stats(1).kernels, 1);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* Times are the device's clock in terms of the host's. */
static void the_record_speaks_the_hosts_time(void **state) {
    (void)state;
    fer_context *context = sim_context();
    sim_configure(0, &(sim_config){.kernel_ns = 2000000});
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim");
    fer_partition_record part;
    fer_run_record record = {
        .struct_size = sizeof(record), .partitions = &part, .partition_capacity = 1};
    fer_run_options options = {.struct_size = sizeof(options), .record = &record};
    uint64_t before = now_ns();
    OK(run_floats(program, context, &options, (float[]){-1, 2}, 2, (float[]){0, 2}));
    uint64_t after = now_ns();
    assert_int_equal(record.partition_count, 1);
    assert_true(part.end_ns >= part.start_ns + 2000000);
    assert_true(part.start_ns + 1000000 >= before && part.end_ns <= after + 1000000);
    fer_program_release(program);
    fer_context_release(context);
}

/* ---- many ops, weights in the chip's layout ---- */

static fer_value_id constant_of(fer_context *context,
                                fer_graph *graph,
                                const char *name,
                                uint32_t rank,
                                const int64_t *dims,
                                const float *values) {
    fer_tensor *tensor = tensor_of(context, rank, dims, values);
    fer_value_id id = 0;
    OK(fer_graph_add_constant(graph, name, tensor, &id));
    fer_tensor_release(tensor);
    return id;
}

static void small_net(fer_context *context, fer_graph **out_graph) {
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_value_id x = 0;
    OK(fer_graph_add_input(graph, "x", FER_F32, 4, (int64_t[]){1, 1, 3, 3}, NULL, &x));
    float taps[8], matrix[18 * 5], bias[5] = {1, 2, 3, 4, 5};
    for (int i = 0; i < 8; i++) {
        taps[i] = (float)(i - 3) / 4;
    }
    for (int i = 0; i < 18 * 5; i++) {
        matrix[i] = (float)((i * 7) % 11 - 5) / 8;
    }
    fer_value_id w = constant_of(context, graph, "w", 4, (int64_t[]){2, 1, 2, 2}, taps);
    fer_value_id m = constant_of(context, graph, "m", 2, (int64_t[]){18, 5}, matrix);
    fer_value_id b = constant_of(context, graph, "b", 1, (int64_t[]){5}, bias);
    fer_tensor *shape = NULL;
    OK(fer_tensor_create(context, FER_I64, 1, (int64_t[]){2}, &shape));
    memcpy(fer_tensor_data(shape), (int64_t[]){1, -1}, 16);
    fer_value_id s = 0;
    OK(fer_graph_add_constant(graph, "shape", shape, &s));
    fer_tensor_release(shape);
    const fer_attr pads = {
        .name = "pads", .type = FER_ATTR_INTS, .count = 4, .value.ints = (int64_t[]){1, 1, 0, 0}
    };
    const fer_attr axis = {.name = "axis", .type = FER_ATTR_INT, .count = 1, .value.i = 1};
    const fer_attr perm = {
        .name = "perm", .type = FER_ATTR_INTS, .count = 2, .value.ints = (int64_t[]){1, 0}
    };
    fer_value_id c = node_named(graph, "Conv", "conv", (fer_value_id[]){x, w}, 2, &pads, 1);
    c = node_of(graph, "Relu", "relu", c);
    c = node_named(graph, "Reshape", "flat", (fer_value_id[]){c, s}, 2, NULL, 0);
    c = node_named(graph, "MatMul", "product", (fer_value_id[]){c, m}, 2, NULL, 0);
    c = node_named(graph, "Add", "bias", (fer_value_id[]){c, b}, 2, NULL, 0);
    fer_value_id soft = node_named(graph, "Softmax", "soft", &c, 1, &axis, 1);
    fer_value_id both = node_named(graph, "Concat", "both", (fer_value_id[]){c, soft}, 2, &axis, 1);
    fer_value_id turned = node_named(graph, "Transpose", "turn", &both, 1, &perm, 1);
    OK(fer_graph_add_output(graph, "soft", soft));
    OK(fer_graph_add_output(graph, "turned", turned));
    OK(fer_graph_finish(graph));
    *out_graph = graph;
}

static void net_run(fer_context *context, fer_graph *graph, const char *devices, float *out) {
    fer_program *program = NULL;
    OK(compile_on(context, graph, devices, &program));
    fer_tensor *x =
        tensor_of(context, 4, (int64_t[]){1, 1, 3, 3}, (float[]){1, -2, 3, -4, 5, -6, 7, -8, 9});
    fer_tensor *y[2] = {NULL, NULL};
    OK(fer_program_run(program, NULL, &x, 1, y, 2));
    OK(fer_tensor_read(y[0], 0, out, 5 * sizeof(float)));
    OK(fer_tensor_read(y[1], 0, out + 5, 10 * sizeof(float)));
    fer_tensor_release(x);
    fer_tensor_release(y[0]);
    fer_tensor_release(y[1]);
    fer_program_release(program);
}

static void a_net_agrees_with_ref(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = NULL;
    small_net(context, &graph);
    float expected[15], got[15];
    net_run(context, graph, "ref", expected);
    static const char *const devices[] = {"sim", "simplain", "sim:2,ref"};
    for (int i = 0; i < 3; i++) {
        memset(got, 0, sizeof(got));
        net_run(context, graph, devices[i], got);
        for (int k = 0; k < 15; k++) {
            assert_true(got[k] - expected[k] < 1e-5f && expected[k] - got[k] < 1e-5f);
        }
    }
    /* The matrix, once on each. */
    assert_int_equal(sim_get_stats(0).prepares, 1);
    assert_int_equal(sim_get_stats(2).prepares, 1);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* ---- open dims and sizes that data decides ---- */

static void open_dims_cost_one_compile(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, -1, (const char *[]){"Relu", "Neg"}, 2, "sim");
    for (int64_t n = 0; n < 20; n++) {
        float in[20], expected[20];
        for (int64_t i = 0; i < n; i++) {
            in[i] = (float)(i - 5);
            expected[i] = i < 5 ? 0 : -in[i];
        }
        OK(run_floats(program, context, NULL, in, (uint64_t)n, expected));
    }
    assert_int_equal(sim_get_stats(0).compiles, 1);
    fer_program_release(program);
    /* A chip that wants numbers is compiled for each size. */
    sim_configure(1, &(sim_config){.no_dynamic_dims = 1});
    program = chain_program(context, -1, (const char *[]){"Relu"}, 1, "sim:1");
    for (uint64_t n = 1; n < 4; n++) {
        OK(run_floats(program, context, NULL, (float[]){-1, 1, -1}, n, (float[]){0, 1, 0}));
        OK(run_floats(program, context, NULL, (float[]){-2, 2, -2}, n, (float[]){0, 2, 0}));
    }
    assert_int_equal(sim_get_stats(1).compiles, 3);
    fer_program_release(program);
    fer_context_release(context);
}

static fer_program *non_zero_program(fer_context *context, const char *devices) {
    fer_graph *graph = NULL;
    fer_value_id x = 0;
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){5}, NULL, &x));
    fer_value_id found = node_of(graph, "NonZero", "found", node_of(graph, "Relu", "relu", x));
    fer_value_id turned = node_of(graph, "Transpose", "turned", found);
    OK(fer_graph_add_output(graph, "found", found));
    OK(fer_graph_add_output(graph, "turned", turned));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    OK(compile_on(context, graph, devices, &program));
    fer_graph_release(graph);
    return program;
}

static void sizes_that_data_decides_come_back(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = non_zero_program(context, "sim,ref");
    fer_tensor *x = floats(context, 5, (float[]){-1, 7, 0, 8, 9}), *y[2] = {NULL, NULL};
    OK(fer_program_run(program, NULL, &x, 1, y, 2));
    assert_int_equal(fer_tensor_dims(y[0])[1], 3);
    int64_t found[3];
    OK(fer_tensor_read(y[0], 0, found, sizeof(found)));
    assert_memory_equal(found, ((int64_t[]){1, 3, 4}), sizeof(found));
    OK(fer_tensor_read(y[1], 0, found, sizeof(found)));
    assert_memory_equal(found, ((int64_t[]){1, 3, 4}), sizeof(found));
    fer_tensor_release(y[0]);
    fer_tensor_release(y[1]);
    /* Dims no output can have are the backend's failure. */
    static const sim_faults lies[] = {{.dims_wrong_at = 1}, {.dims_negative_at = 1}};
    for (int i = 0; i < 2; i++) {
        sim_inject(0, &lies[i]);
        y[0] = y[1] = NULL;
        FAILS(FER_BACKEND, fer_program_run(program, NULL, &x, 1, y, 2));
        SAYS("sim:0");
        assert_null(y[0]);
        assert_null(y[1]);
        assert_string_equal(fer_error_last()->backend, "sim");
    }
    OK(fer_program_run(program, NULL, &x, 1, y, 2));
    assert_int_equal(fer_tensor_dims(y[0])[1], 3);
    fer_tensor_release(y[0]);
    fer_tensor_release(y[1]);
    fer_tensor_release(x);
    fer_program_release(program);
    fer_context_release(context);
}

/* ---- tensors that live on devices ---- */

static void tensors_live_on_devices(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device[2] = {NULL, NULL};
    OK(fer_device_find(context, "sim:0", &device[0]));
    OK(fer_device_find(context, "sim:1", &device[1]));
    fer_tensor *here = NULL, *there = NULL;
    int64_t count = 4;
    OK(fer_tensor_create_on(device[0], FER_F32, 1, &count, &here));
    OK(fer_tensor_create_on(device[1], FER_F32, 1, &count, &there));
    assert_null(fer_tensor_data(here));
    assert_ptr_equal(fer_tensor_device(here), device[0]);
    assert_ptr_equal(fer_tensor_device(there), device[1]);
    check_floats(here, (float[]){0, 0, 0, 0}, 4);
    OK(fer_tensor_write(here, 4, (float[]){5, -6}, 8));
    check_floats(here, (float[]){0, 5, -6, 0}, 4);
    FAILS(FER_INVALID_ARGUMENT, fer_tensor_write(here, 12, (float[]){5, -6}, 8));
    /* Mapped, changed, unmapped. */
    void *data = NULL;
    OK(fer_tensor_map(here, &data));
    ((float *)data)[3] = 7;
    FAILS(FER_INVALID_ARGUMENT, fer_tensor_map(here, &data));
    OK(fer_tensor_unmap(here));
    check_floats(here, (float[]){0, 5, -6, 7}, 4);
    assert_int_equal(sim_get_stats(0).maps, 1);
    FAILS(FER_INVALID_ARGUMENT, fer_tensor_unmap(here));
    sim_configure(0, &(sim_config){.no_map = 1}); /* then by copying */
    OK(fer_tensor_map(here, &data));
    ((float *)data)[3] = 8;
    OK(fer_tensor_unmap(here));
    check_floats(here, (float[]){0, 5, -6, 8}, 4);
    sim_configure(0, &(sim_config){.no_map = 0});
    sim_inject(0, &(sim_faults){.map_fails_at = 1});
    data = NULL;
    FAILS(FER_BACKEND, fer_tensor_map(here, &data));
    SAYS("the window does not open");
    assert_null(data);
    OK(fer_tensor_map(here, &data)); /* let go with its tensor */
    fer_tensor *view = NULL;
    OK(fer_tensor_view(here, 2, (int64_t[]){2, 2}, &view));
    fer_tensor_release(here);
    here = view;
    OK(fer_tensor_write(here, 12, (float[]){7}, 4));
    /* Between chips: directly, and through the host where the chip cannot. */
    OK(fer_tensor_copy(here, there));
    check_floats(there, (float[]){0, 5, -6, 7}, 4);
    assert_int_equal(sim_get_stats(1).copies_peer, 1);
    sim_configure(1, &(sim_config){.no_peer = 1});
    OK(fer_tensor_write(here, 0, (float[]){9}, 4));
    OK(fer_tensor_copy(here, there));
    check_floats(there, (float[]){9, 5, -6, 7}, 4);
    fer_tensor_release(here);
    fer_tensor_release(there);
    assert_int_equal(sim_get_stats(0).live_bytes, 0);
    fer_device_release(device[0]);
    fer_device_release(device[1]);
    fer_context_release(context);
}

/* Inputs and bound outputs on the device, on another device and on the host, in all pairs. */
static void runs_take_tensors_from_anywhere(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 4, (const char *[]){"Relu", "Neg"}, 2, "sim");
    static const char *const places[] = {NULL, "sim:0", "sim:1", "simplain:0"};
    int64_t count = 4;
    for (int from = 0; from < 4; from++) {
        for (int to = 0; to < 4; to++) {
            fer_tensor *ends[2] = {NULL, NULL};
            for (int i = 0; i < 2; i++) {
                const char *place = places[i == 0 ? from : to];
                fer_device *device = NULL;
                if (place == NULL) {
                    OK(fer_tensor_create(context, FER_F32, 1, &count, &ends[i]));
                } else {
                    OK(fer_device_find(context, place, &device));
                    OK(fer_tensor_create_on(device, FER_F32, 1, &count, &ends[i]));
                    fer_device_release(device);
                }
            }
            for (int i = 0; i < 2; i++) {
                float in[4] = {(float)i, -1, 3, -4};
                OK(fer_tensor_write(ends[0], 0, in, sizeof(in)));
                fer_run_options options = {.struct_size = sizeof(options),
                                           .flags = i == 0 ? 0 : FER_RUN_COMMIT};
                OK(fer_program_run(program, &options, &ends[0], 1, &ends[1], 1));
                check_floats(ends[1], (float[]){(float)-i, 0, -3, 0}, 4);
            }
            fer_tensor_release(ends[0]);
            fer_tensor_release(ends[1]);
        }
    }
    fer_program_release(program);
    fer_context_release(context);
}

/* A tensor that lives where it is used does not travel. */
static void resident_tensors_stay_where_they_are(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 4, (const char *[]){"Relu"}, 1, "sim");
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    fer_tensor *x = NULL, *y = NULL;
    int64_t count = 4;
    OK(fer_tensor_create_on(device, FER_F32, 1, &count, &x));
    OK(fer_tensor_create_on(device, FER_F32, 1, &count, &y));
    OK(fer_tensor_write(x, 0, (float[]){-1, 2, -3, 4}, 16));
    sim_stats before = sim_get_stats(0);
    OK(fer_program_run(program, NULL, &x, 1, &y, 1));
    sim_stats after = sim_get_stats(0);
    assert_int_equal(after.copies_in, before.copies_in);
    assert_int_equal(after.copies_out, before.copies_out);
    check_floats(y, (float[]){0, 2, 0, 4}, 4);
    fer_tensor_release(x);
    fer_tensor_release(y);
    fer_program_release(program);
    fer_device_release(device);
    fer_context_release(context);
}

static void two_chips_work_on_one_graph(void **state) {
    (void)state;
    fer_context *context = sim_context();
    for (int no_peer = 0; no_peer < 2; no_peer++) {
        sim_reset();
        sim_configure(1, &(sim_config){.no_peer = (uint32_t)no_peer});
        fer_graph *graph = chain(context, 3, (const char *[]){"Neg", "Relu", "Neg", "Relu"}, 4);
        fer_pin pins[] = {
            {"n1", "sim:1"},
            {"n2", "sim:1"}
        };
        fer_compile_options options = {.struct_size = sizeof(options),
                                       .devices = "sim:0,sim:1",
                                       .pins = pins,
                                       .pin_count = 2,
                                       .fallback = FER_FALLBACK_ERROR};
        fer_program *program = NULL;
        OK(fer_program_compile(context, graph, &options, &program));
        for (int i = 0; i < 3; i++) {
            OK(run_floats(program, context, NULL, (float[]){-1, 2, -3}, 3, (float[]){0, 0, 0}));
            OK(run_floats(program, context, NULL, (float[]){1, 2, 3}, 3, (float[]){0, 0, 0}));
        }
        assert_int_equal(sim_get_stats(0).kernels, 12);
        assert_int_equal(sim_get_stats(1).kernels, 6);
        fer_program_release(program);
        fer_graph_release(graph);
    }
    fer_context_release(context);
}

static void single_ops_run_on_a_named_device(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim:1", &device));
    for (int i = 0; i < 3; i++) {
        fer_tensor *in[2] = {floats(context, 3, (float[]){1, 2, 3}),
                             floats(context, 3, (float[]){4, 5, 6})};
        fer_tensor *out = NULL;
        OK(fer_op_run(context, device, "", "Mul", NULL, 0, in, 2, &out, 1));
        check_floats(out, (float[]){4, 10, 18}, 3);
        fer_tensor_release(out);
        fer_tensor_release(in[0]);
        fer_tensor_release(in[1]);
    }
    assert_int_equal(sim_get_stats(1).kernels, 3);
    assert_int_equal(sim_get_stats(1).compiles, 1);
    fer_tensor *x = floats(context, 1, (float[]){4}), *out = NULL;
    FAILS(FER_UNSUPPORTED, fer_op_run(context, device, "", "Sqrt", NULL, 0, &x, 1, &out, 1));
    SAYS("Sqrt");
    fer_tensor_release(x);
    fer_device_release(device);
    fer_context_release(context);
}

/* Outputs that are inputs, constants or the same value twice. */
static void outputs_alias_nothing(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_value_id x = 0;
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){2}, NULL, &x));
    fer_value_id c = constant_of(context, graph, "c", 1, (int64_t[]){2}, (float[]){3, 4});
    fer_value_id y = node_of(graph, "Neg", "n", x);
    OK(fer_graph_add_output(graph, "x_again", x));
    OK(fer_graph_add_output(graph, "c", c));
    OK(fer_graph_add_output(graph, "y", y));
    OK(fer_graph_add_output(graph, "y_again", y));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    OK(compile_on(context, graph, "sim", &program));
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    for (int on_device = 0; on_device < 2; on_device++) {
        fer_tensor *in = floats(context, 2, (float[]){1, -2}), *out[4] = {NULL};
        if (on_device) {
            fer_tensor *moved = NULL;
            OK(fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){2}, &moved));
            OK(fer_tensor_copy(in, moved));
            fer_tensor_release(in);
            in = moved;
            OK(fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){2}, &out[0]));
            OK(fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){2}, &out[3]));
        }
        OK(fer_program_run(program, NULL, &in, 1, out, 4));
        OK(fer_tensor_write(in, 0, (float[]){8, 8}, 8));
        OK(fer_tensor_write(out[2], 0, (float[]){9, 9}, 8));
        check_floats(out[0], (float[]){1, -2}, 2);
        check_floats(out[1], (float[]){3, 4}, 2);
        check_floats(out[3], (float[]){-1, 2}, 2);
        for (int i = 0; i < 4; i++) {
            fer_tensor_release(out[i]);
        }
        fer_tensor_release(in);
    }
    fer_device_release(device);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* Strings stay with the host while the rest runs on the device. */
static void strings_run_beside_the_device(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_value_id ids[3];
    OK(fer_graph_add_input(graph, "a", FER_STRING, 1, (int64_t[]){2}, NULL, &ids[0]));
    OK(fer_graph_add_input(graph, "b", FER_STRING, 1, (int64_t[]){2}, NULL, &ids[1]));
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){2}, NULL, &ids[2]));
    OK(fer_graph_add_output(
        graph, "joined", node_named(graph, "StringConcat", "join", ids, 2, NULL, 0)));
    OK(fer_graph_add_output(graph, "y", node_of(graph, "Relu", "relu", ids[2])));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    fer_compile_options options = {
        .struct_size = sizeof(options), .devices = "sim", .fallback = FER_FALLBACK_ERROR};
    OK(fer_program_compile(context, graph, &options, &program));
    fer_tensor *in[3] = {NULL, NULL, floats(context, 2, (float[]){-1, 2})}, *out[2] = {NULL, NULL};
    OK(fer_tensor_create_strings(
        context, 1, (int64_t[]){2}, (const char *[]){"a", "b"}, NULL, &in[0]));
    OK(fer_tensor_create_strings(
        context, 1, (int64_t[]){2}, (const char *[]){"x", "y"}, NULL, &in[1]));
    for (int i = 0; i < 2; i++) {
        OK(fer_program_run(program, NULL, in, 3, out, 2));
        size_t length = 0;
        assert_memory_equal(fer_tensor_string(out[0], 1, &length), "by", 2);
        assert_int_equal(length, 2);
        check_floats(out[1], (float[]){0, 2}, 2);
        fer_tensor_release(out[0]);
        fer_tensor_release(out[1]);
        out[0] = out[1] = NULL;
    }
    for (int i = 0; i < 3; i++) {
        fer_tensor_release(in[i]);
    }
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* Variables stay the caller's state while their sums are made on the chip. */
static void variables_commit_from_a_device(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_tensor *zero = floats(context, 2, (float[]){0, 0}), *sum = NULL;
    fer_value_id ids[2];
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){2}, NULL, &ids[0]));
    OK(fer_graph_add_variable(graph, "sum", zero, &ids[1]));
    fer_value_id y = node_named(graph, "Add", "add", ids, 2, NULL, 0);
    OK(fer_graph_assign_variable(graph, ids[1], y));
    OK(fer_graph_add_output(graph, "y", y));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    fer_state *values = NULL;
    OK(compile_on(context, graph, "sim", &program));
    OK(fer_state_create(program, &values));
    fer_run_options options = {.struct_size = sizeof(options), .state = values};
    for (int i = 1; i <= 3; i++) {
        OK(run_floats(
            program, context, &options, (float[]){1, 2}, 2, (float[]){(float)i, (float)(2 * i)}));
    }
    assert_int_equal(fer_state_version(values), 3);
    OK(fer_state_get(values, "sum", &sum));
    check_floats(sum, (float[]){3, 6}, 2);
    fer_tensor_release(sum);
    fer_tensor_release(zero);
    fer_state_release(values);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(relu_runs_in_device_memory),
        SIM_TEST(a_plain_device_runs_node_by_node),
        SIM_TEST(a_split_graph_crosses_memories),
        SIM_TEST(the_record_speaks_the_hosts_time),
        SIM_TEST(a_net_agrees_with_ref),
        SIM_TEST(open_dims_cost_one_compile),
        SIM_TEST(sizes_that_data_decides_come_back),
        SIM_TEST(tensors_live_on_devices),
        SIM_TEST(runs_take_tensors_from_anywhere),
        SIM_TEST(resident_tensors_stay_where_they_are),
        SIM_TEST(two_chips_work_on_one_graph),
        SIM_TEST(single_ops_run_on_a_named_device),
        SIM_TEST(outputs_alias_nothing),
        SIM_TEST(strings_run_beside_the_device),
        SIM_TEST(variables_commit_from_a_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
