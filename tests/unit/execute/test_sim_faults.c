/* SPDX-License-Identifier: Apache-2.0
 *
 * What fails on a device, and what is left of it: statuses and sentences, loss and rebuilding, the
 * next allowed device, memory that runs out, nothing leaked at any of these.
 */
#include "sim_fixture.h"

#include <stdatomic.h>

static fer_device *device_of(fer_context *context, const char *name) {
    fer_device *device = NULL;
    OK(fer_device_find(context, name, &device));
    return device;
}

static fer_device_info info_of(fer_device *device) {
    fer_device_info info = {.struct_size = sizeof(info)};
    OK(fer_device_get_info(device, &info));
    return info;
}

/* ---- failures that leave the device as it is ---- */

static void a_failing_kernel_is_told(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program =
        chain_program(context, 2, (const char *[]){"Relu", "Abs", "Neg"}, 3, "sim,ref");
    fer_device *device = device_of(context, "sim");
    const float in[2] = {-1, 2}, out[2] = {0, -2};
    for (uint32_t at = 1; at <= 2; at++) {
        sim_inject(0, &(sim_faults){.kernel_fails_at = at});
        FAILS(FER_BACKEND, run_floats(program, context, NULL, in, 2, NULL));
        SAYS("the kernel faulted");
        assert_string_equal(fer_error_last()->backend, "sim");
        assert_string_equal(fer_error_last()->node, at == 1 ? "n0" : "n2");
        assert_int_equal(fer_error_last()->native_code, 77);
        OK(run_floats(program, context, NULL, in, 2, out));
    }
    for (uint32_t at = 1; at <= 4; at++) {
        sim_inject(0, &(sim_faults){.copy_fails_at = at});
        FAILS(FER_BACKEND, run_floats(program, context, NULL, in, 2, NULL));
        SAYS("the copy engine stalled");
        OK(run_floats(program, context, NULL, in, 2, out));
    }
    sim_inject(0, &(sim_faults){.not_ready_at = 1});
    FAILS(FER_BACKEND, run_floats(program, context, NULL, in, 2, NULL));
    SAYS("NOT_READY");
    /* A device whose work is done when the call returns. */
    sim_configure(0, &(sim_config){.finishes_at_once = 1});
    OK(run_floats(program, context, NULL, in, 2, out));
    sim_inject(0, &(sim_faults){.kernel_fails_at = 1});
    FAILS(FER_BACKEND, run_floats(program, context, NULL, in, 2, NULL));
    SAYS("the kernel faulted");
    OK(run_floats(program, context, NULL, in, 2, out));
    /* Without a sentence of the backend's the status is still one of ours, not an older one. */
    sim_configure(0, &(sim_config){.is_silent = 1});
    sim_inject(0, &(sim_faults){.copy_fails_at = 1});
    FAILS(FER_BACKEND, run_floats(program, context, NULL, in, 2, NULL));
    sim_inject(0, &(sim_faults){.kernel_fails_at = 1});
    FAILS(FER_BACKEND, run_floats(program, context, NULL, in, 2, NULL));
    SAYS("sim:0");
    assert_null(strstr(fer_error_last()->message, "stalled"));
    fer_tensor *tensor = NULL;
    float data[2];
    OK(fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){2}, &tensor));
    sim_configure(0, &(sim_config){.is_silent = 0});
    sim_inject(0, &(sim_faults){.copy_fails_at = 1});
    FAILS(FER_BACKEND, fer_tensor_read(tensor, 0, data, 8));
    SAYS("stalled");
    sim_configure(0, &(sim_config){.is_silent = 1});
    sim_inject(0, &(sim_faults){.copy_fails_at = 1});
    FAILS(FER_BACKEND, fer_tensor_read(tensor, 0, data, 8));
    SAYS("sim:0");
    assert_null(strstr(fer_error_last()->message, "stalled"));
    fer_tensor_release(tensor);
    assert_int_equal(info_of(device).state, FER_STATE_READY);
    fer_device_release(device);
    fer_program_release(program);
    fer_context_release(context);
}

static void an_event_owns_its_error(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim");
    fer_tensor *x = floats(context, 2, (float[]){-1, 2}), *y = NULL;
    fer_event *event = NULL;
    sim_inject(0, &(sim_faults){.kernel_fails_at = 1});
    OK(fer_program_run_async(program, NULL, &x, 1, NULL, 1, &event));
    FAILS(FER_BACKEND, fer_event_wait(event, UINT64_MAX));
    FAILS(FER_BACKEND, fer_event_query(event));
    SAYS("the kernel faulted");
    assert_int_not_equal(fer_event_output(event, 0, &y), FER_OK);
    assert_null(y);
    fer_event_release(event);
    fer_tensor_release(x);
    fer_program_release(program);
    fer_context_release(context);
}

/* A run that fails commits no variable, and with COMMIT touches no bound output. */
static void a_failing_run_commits_nothing(void **state) {
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
    fer_run_options options = {
        .struct_size = sizeof(options), .state = values, .flags = FER_RUN_COMMIT};
    fer_tensor *in = floats(context, 2, (float[]){1, 2}),
               *out = floats(context, 2, (float[]){7, 7});
    OK(fer_program_run(program, &options, &in, 1, &out, 1));
    check_floats(out, (float[]){1, 2}, 2);
    sim_inject(0, &(sim_faults){.kernel_fails_at = 1});
    FAILS(FER_BACKEND, fer_program_run(program, &options, &in, 1, &out, 1));
    check_floats(out, (float[]){1, 2}, 2);
    assert_int_equal(fer_state_version(values), 1);
    OK(fer_state_get(values, "sum", &sum));
    check_floats(sum, (float[]){1, 2}, 2);
    fer_tensor_release(sum);
    fer_tensor_release(zero);
    fer_tensor_release(in);
    fer_tensor_release(out);
    fer_state_release(values);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* x [1, k] times a constant matrix: the weight is prepared. */
static fer_graph *product_graph(fer_context *context, fer_tensor *matrix) {
    fer_graph *graph = NULL;
    fer_value_id ids[2];
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(
        graph, "x", FER_F32, 2, (int64_t[]){1, fer_tensor_dims(matrix)[0]}, NULL, &ids[0]));
    OK(fer_graph_add_constant(graph, "m", matrix, &ids[1]));
    OK(fer_graph_add_output(graph, "y", node_named(graph, "MatMul", "product", ids, 2, NULL, 0)));
    OK(fer_graph_finish(graph));
    return graph;
}

static void a_failing_compilation_leaves_nothing(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_tensor *matrix = tensor_of(context, 2, (int64_t[]){3, 2}, (float[]){1, 2, 3, 4, 5, 6});
    fer_graph *graph = product_graph(context, matrix);
    fer_device *device = device_of(context, "sim");
    fer_program *program = NULL;
    sim_inject(0, &(sim_faults){.compile_fails_at = 1});
    FAILS(FER_BACKEND, compile_on(context, graph, "sim", &program));
    SAYS("the chip's compiler gave up");
    assert_string_equal(fer_error_last()->node, "product");
    sim_inject(0, &(sim_faults){.prepare_fails_at = 1});
    FAILS(FER_BACKEND, compile_on(context, graph, "sim", &program));
    SAYS("could not order a weight");
    sim_inject(0, &(sim_faults){.layout_wrong_at = 1});
    assert_int_not_equal(compile_on(context, graph, "sim", &program), FER_OK);
    assert_null(program);
    sim_inject(0, &(sim_faults){.workspace_wrong_at = 1});
    FAILS(FER_LIMIT, compile_on(context, graph, "sim", &program));
    assert_int_equal(info_of(device).in_use_bytes, 0);
    assert_int_equal(info_of(device).state, FER_STATE_READY);
    /* Out of memory at each alloc there is: told apart from loss, and nothing stays. */
    int failures = 0;
    for (uint32_t at = 1; program == NULL; at++) {
        sim_inject(0, &(sim_faults){.alloc_fails_at = at});
        fer_status status = compile_on(context, graph, "sim", &program);
        if (status != FER_OK) {
            FAILS(FER_OUT_OF_MEMORY, status);
            SAYS("the chip's memory is full");
            assert_int_equal(info_of(device).in_use_bytes, 0);
            assert_int_equal(sim_get_stats(0).live_bytes, 0);
            failures++;
        }
        assert_true(at < 20);
    }
    assert_true(failures >= 2); /* the weight and the arena at least */
    assert_int_equal(info_of(device).state, FER_STATE_READY);
    fer_program_release(program);
    /* A chip that is full. */
    sim_configure(0, &(sim_config){.memory_bytes = 1000});
    program = NULL;
    FAILS(FER_OUT_OF_MEMORY, compile_on(context, graph, "sim", &program));
    fer_tensor *large = NULL;
    FAILS(FER_OUT_OF_MEMORY, fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){1000}, &large));
    assert_null(large);
    assert_int_equal(info_of(device).in_use_bytes, 0);
    fer_tensor_release(matrix);
    fer_graph_release(graph);
    fer_device_release(device);
    fer_context_release(context);
}

/* ---- loss ---- */

typedef struct notices {
    fer_device *device;
    atomic_int lost; /* counted last: on any thread, perhaps after the run that met it */
    char subject[64];
    char detail[200];
} notices;

static void on_notice(void *self, const fer_notice *notice) {
    notices *seen = self;
    if (notice->kind == FER_NOTICE_DEVICE_LOST) {
        (void)snprintf(seen->subject, sizeof(seen->subject), "%s", notice->subject);
        (void)snprintf(seen->detail, sizeof(seen->detail), "%s", notice->detail);
        atomic_fetch_add(&seen->lost, 1);
    }
}

static void a_lost_device_is_reopened(void **state) {
    (void)state;
    notices seen = {0};
    fer_context *context = sim_context_with(NULL, 0, NULL, on_notice, &seen);
    seen.device = device_of(context, "sim");
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim");
    const float in[2] = {-1, 2}, out[2] = {0, 2};
    fer_tensor *old = NULL, *host = floats(context, 2, in), *y = NULL;
    OK(fer_tensor_create_on(seen.device, FER_F32, 1, (int64_t[]){2}, &old));
    OK(run_floats(program, context, NULL, in, 2, out));
    sim_inject(0, &(sim_faults){.lost_at_kernel = 1});
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, in, 2, NULL));
    assert_int_equal(seen.lost, 1);
    assert_string_equal(seen.subject, "sim:0");
    assert_int_equal(info_of(seen.device).state, FER_STATE_LOST);
    assert_int_equal(info_of(seen.device).generation, 1);
    /* Until reopened everything says so; what is there can only be released. */
    float data[2];
    void *mapped = NULL;
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, in, 2, NULL));
    FAILS(FER_DEVICE_LOST, fer_tensor_read(old, 0, data, 8));
    SAYS("sim:0");
    FAILS(FER_DEVICE_LOST, fer_tensor_write(old, 0, data, 8));
    FAILS(FER_DEVICE_LOST, fer_tensor_map(old, &mapped));
    FAILS(FER_DEVICE_LOST, fer_tensor_copy(old, host));
    FAILS(FER_DEVICE_LOST, fer_tensor_copy(host, old));
    fer_tensor *none = NULL;
    FAILS(FER_DEVICE_LOST, fer_tensor_create_on(seen.device, FER_F32, 1, (int64_t[]){2}, &none));
    fer_device_counters counters = {.struct_size = sizeof(counters)};
    FAILS(FER_DEVICE_LOST, fer_device_get_counters(seen.device, &counters));
    assert_int_equal(seen.lost, 1);
    /* Reopened: the program is rebuilt by its next run, the old tensor stays stale. */
    sim_inject(0, &(sim_faults){.open_fails_at = 1});
    FAILS(FER_DEVICE_LOST, fer_device_reopen(seen.device));
    assert_int_equal(info_of(seen.device).state, FER_STATE_LOST);
    OK(fer_device_reopen(seen.device));
    assert_int_equal(info_of(seen.device).state, FER_STATE_READY);
    assert_int_equal(info_of(seen.device).generation, 2);
    OK(run_floats(program, context, NULL, in, 2, out));
    FAILS(FER_DEVICE_LOST, fer_tensor_read(old, 0, data, 8));
    FAILS(FER_DEVICE_LOST, fer_program_run(program, NULL, &old, 1, &y, 1));
    assert_null(y);
    FAILS(FER_DEVICE_LOST, fer_program_run(program, NULL, &host, 1, &old, 1));
    /* ... and its troubles are not the new session's. */
    assert_int_equal(info_of(seen.device).state, FER_STATE_READY);
    assert_int_equal(seen.lost, 1);
    OK(run_floats(program, context, NULL, in, 2, out));
    fer_tensor_release(old);
    fer_tensor_release(host);
    fer_program_release(program);
    assert_int_equal(info_of(seen.device).in_use_bytes, 0);
    fer_device_release(seen.device);
    fer_context_release(context);
}

/* Reopening a device that works changes nothing. */
static void a_healthy_device_stays_as_it_is(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device = device_of(context, "sim");
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim");
    const float in[2] = {-1, 2}, out[2] = {0, 2};
    fer_tensor *old = NULL, *y = NULL;
    float data[2];
    OK(fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){2}, &old));
    OK(fer_device_reopen(device));
    assert_int_equal(info_of(device).generation, 1);
    OK(run_floats(program, context, NULL, in, 2, out));
    OK(fer_tensor_read(old, 0, data, 8));
    OK(fer_program_run(program, NULL, &old, 1, &y, 1));
    assert_int_equal(sim_get_stats(0).compiles, 1);
    fer_tensor_release(y);
    fer_tensor_release(old);
    fer_program_release(program);
    fer_device_release(device);
    fer_context_release(context);
}

/* Loss that the chip tells of by itself, from its own threads or between runs. */
static void loss_is_told_by_the_backend(void **state) {
    (void)state;
    notices seen = {0};
    fer_context *context = sim_context_with(NULL, 0, NULL, on_notice, &seen);
    seen.device = device_of(context, "sim");
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim");
    const float in[2] = {-1, 2}, out[2] = {0, 2};
    sim_lose(0, /*tell_host=*/1);
    assert_int_equal(seen.lost, 1);
    assert_non_null(strstr(seen.detail, "fell off its bus"));
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, in, 2, NULL));
    OK(fer_device_reopen(seen.device));
    OK(run_floats(program, context, NULL, in, 2, out));
    sim_inject(0, &(sim_faults){.lost_at_kernel = 1, .tells_loss = 1});
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, in, 2, NULL));
    for (int i = 0; i < PATIENCE_MS && atomic_load(&seen.lost) < 2; i++) {
        nap_ms(1);
    }
    assert_int_equal(seen.lost, 2);
    OK(fer_device_reopen(seen.device));
    OK(run_floats(program, context, NULL, in, 2, out));
    fer_program_release(program);
    fer_device_release(seen.device);
    fer_context_release(context);
}

/* A program that served any dim serves any dim again, also when it was run in between. */
static void open_dims_outlive_a_loss(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device = device_of(context, "sim");
    fer_program *program = chain_program(context, -1, (const char *[]){"Relu"}, 1, "sim");
    const float in[3] = {-1, 2, -3}, out[3] = {0, 2, 0};
    OK(run_floats(program, context, NULL, in, 3, out));
    sim_lose(0, /*tell_host=*/1);
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, in, 3, NULL));
    OK(fer_device_reopen(device));
    uint64_t before = sim_get_stats(0).compiles;
    for (uint64_t count = 1; count <= 3; count++) {
        OK(run_floats(program, context, NULL, in, count, out));
    }
    assert_int_equal(sim_get_stats(0).compiles - before, 1);
    fer_program_release(program);
    fer_device_release(device);
    fer_context_release(context);
}

static const char *device_of_first_node(fer_program *program) {
    uint64_t count = 0;
    OK(fer_program_placement_count(program, &count));
    fer_placement line = {.struct_size = sizeof(line)};
    OK(fer_program_placement(program, count - 1, &line));
    return line.device;
}

static void the_next_allowed_device_takes_over(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device = device_of(context, "sim");
    fer_program *program =
        chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim:0,sim:1,ref");
    const float in[2] = {-1, 2}, out[2] = {0, 2};
    fer_partition_record part;
    fer_run_record record = {
        .struct_size = sizeof(record), .partitions = &part, .partition_capacity = 1};
    fer_run_options options = {.struct_size = sizeof(options), .record = &record};
    OK(run_floats(program, context, &options, in, 2, out));
    assert_string_equal(part.device, "sim:0");
    assert_int_equal(record.attempt, 0);
    /* The run itself is repeated there, and says so. */
    sim_inject(0, &(sim_faults){.lost_at_kernel = 1});
    OK(run_floats(program, context, &options, in, 2, out));
    assert_string_equal(part.device, "sim:1");
    assert_int_equal(record.attempt, 1);
    assert_string_equal(device_of_first_node(program), "sim:1");
    sim_lose(1, /*tell_host=*/0);
    OK(run_floats(program, context, &options, in, 2, out));
    assert_string_equal(part.device, "ref:0");
    assert_int_equal(record.attempt, 1);
    OK(run_floats(program, context, &options, in, 2, out));
    assert_int_equal(record.attempt, 0);
    OK(fer_device_reopen(device));
    /* What runs stays where it is; a new compilation sees the device again. */
    OK(run_floats(program, context, &options, in, 2, out));
    fer_program_release(program);
    program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim:0,sim:1,ref");
    OK(run_floats(program, context, &options, in, 2, out));
    assert_string_equal(part.device, "sim:0");
    assert_int_equal(part.generation, 2);
    fer_program_release(program);
    fer_device_release(device);
    fer_context_release(context);
}

/* With fallback an error, a lost device is nothing to fall back from silently. */
static void a_pinned_node_does_not_move(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = chain(context, 2, (const char *[]){"Relu"}, 1);
    fer_pin pin = {"n0", "sim:0"};
    fer_compile_options options = {
        .struct_size = sizeof(options), .devices = "sim:0,ref", .pins = &pin, .pin_count = 1};
    fer_program *program = NULL;
    OK(fer_program_compile(context, graph, &options, &program));
    sim_lose(0, /*tell_host=*/1);
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, (float[]){1, 2}, 2, NULL));
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, (float[]){1, 2}, 2, NULL));
    SAYS("pinned");
    fer_program_release(program);
    fer_device *device = device_of(context, "sim:0");
    OK(fer_device_reopen(device));
    options.pin_count = 0;
    options.fallback = FER_FALLBACK_ERROR;
    OK(fer_program_compile(context, graph, &options, &program));
    sim_lose(0, /*tell_host=*/1);
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, (float[]){1, 2}, 2, NULL));
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, (float[]){1, 2}, 2, NULL));
    OK(fer_device_reopen(device));
    OK(run_floats(program, context, NULL, (float[]){1, -2}, 2, (float[]){1, 0}));
    fer_device_release(device);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* Loss at every call the host makes, from compilation to the last copy. */
static void loss_at_any_call_is_only_loss(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_tensor *matrix = tensor_of(context, 2, (int64_t[]){2, 2}, (float[]){1, 2, 3, 4});
    fer_graph *graph = product_graph(context, matrix);
    fer_device *device = device_of(context, "sim");
    int losses = 0;
    for (uint32_t at = 1;; at++) {
        assert_true(at < 200);
        sim_inject(0, &(sim_faults){.lost_at_call = at, .tells_loss = at % 2});
        fer_program *program = NULL;
        fer_tensor *x = tensor_of(context, 2, (int64_t[]){1, 2}, (float[]){1, 1}), *y = NULL;
        fer_status status = compile_on(context, graph, "sim", &program);
        for (int i = 0; i < 2 && status == FER_OK; i++) {
            fer_tensor_release(y);
            y = NULL;
            status = fer_program_run(program, NULL, &x, 1, &y, 1);
        }
        if (status == FER_OK) {
            check_floats(y, (float[]){4, 6}, 2);
        } else {
            FAILS(FER_DEVICE_LOST, status);
            assert_int_equal(info_of(device).state, FER_STATE_LOST);
            losses++;
            OK(fer_device_reopen(device));
            if (program != NULL) {
                OK(fer_program_run(program, NULL, &x, 1, &y, 1));
                check_floats(y, (float[]){4, 6}, 2);
            }
        }
        fer_tensor_release(x);
        fer_tensor_release(y);
        fer_program_release(program);
        assert_int_equal(info_of(device).in_use_bytes, 0);
        if (status == FER_OK) {
            break;
        }
    }
    assert_true(losses > 8);
    fer_device_release(device);
    fer_tensor_release(matrix);
    fer_graph_release(graph);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(a_failing_kernel_is_told),
        SIM_TEST(an_event_owns_its_error),
        SIM_TEST(a_failing_run_commits_nothing),
        SIM_TEST(a_failing_compilation_leaves_nothing),
        SIM_TEST(a_lost_device_is_reopened),
        SIM_TEST(a_healthy_device_stays_as_it_is),
        SIM_TEST(loss_is_told_by_the_backend),
        SIM_TEST(open_dims_outlive_a_loss),
        SIM_TEST(the_next_allowed_device_takes_over),
        SIM_TEST(a_pinned_node_does_not_move),
        SIM_TEST(loss_at_any_call_is_only_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
