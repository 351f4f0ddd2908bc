/* SPDX-License-Identifier: Apache-2.0
 *
 * drop_sources: the original constants go once the device holds copies, what is used in place
 * stays, and a loss is for good.
 */
#include "sim_fixture.h"

enum { ROWS = 64, COLUMNS = 1024 };

/* y = (x . weight) + bias, the weight 256 KiB; x is [1, ROWS], its one open dim where dims < 0. */
static fer_graph *product_graph(fer_context *context, int64_t rows) {
    fer_graph *graph = NULL;
    fer_value_id ids[2], y;
    fer_tensor *weight = tensor_of(context, 2, (int64_t[]){ROWS, COLUMNS}, NULL);
    float *data = fer_tensor_data(weight);
    for (uint32_t i = 0; i < ROWS * COLUMNS; i++) {
        data[i] = (float)(i % 7);
    }
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(
        graph, "x", FER_F32, 2, (int64_t[]){rows, ROWS}, (const char *[]){"n", NULL}, &ids[0]));
    OK(fer_graph_add_constant(graph, "weight", weight, &ids[1]));
    fer_tensor_release(weight);
    y = node_named(graph, "MatMul", "product", ids, 2, NULL, 0);
    OK(fer_graph_add_output(graph, "y", node_of(graph, "Relu", "relu", y)));
    OK(fer_graph_finish(graph));
    return graph;
}

static fer_program *
product_program(fer_context *context, const char *devices, uint32_t drop_sources) {
    fer_graph *graph = product_graph(context, 1);
    fer_program *program = NULL;
    fer_compile_options options = {
        .struct_size = sizeof(options), .devices = devices, .drop_sources = drop_sources};
    OK(fer_program_compile(context, graph, &options, &program));
    fer_graph_release(graph);
    return program;
}

static fer_status run_product(fer_context *context, fer_program *program) {
    float ones[ROWS];
    for (int i = 0; i < ROWS; i++) {
        ones[i] = 1;
    }
    fer_tensor *x = tensor_of(context, 2, (int64_t[]){1, ROWS}, ones), *y = NULL;
    fer_status status = fer_program_run(program, NULL, &x, 1, &y, 1);
    if (status == FER_OK) {
        float got[COLUMNS];
        OK(fer_tensor_read(y, 0, got, sizeof(got)));
        for (int k = 0; k < COLUMNS; k++) {
            float sum = 0;
            for (int i = 0; i < ROWS; i++) {
                sum += (float)((i * COLUMNS + k) % 7);
            }
            assert_true(got[k] == sum);
        }
    }
    fer_tensor_release(y);
    fer_tensor_release(x);
    return status;
}

static void a_copied_constant_goes(void **state) {
    (void)state;
    fer_context *context = sim_context();
    int64_t before = heap.bytes;
    fer_program *kept = product_program(context, "sim:0", 0);
    int64_t with_sources = heap.bytes - before;
    fer_program_release(kept);
    before = heap.bytes;
    fer_program *program = product_program(context, "sim:0", 1);
    int64_t without = heap.bytes - before;
    assert_true(with_sources - without > ROWS * COLUMNS * 4 * 9 / 10);
    OK(run_product(context, program));
    uint64_t freed = 0;
    OK(fer_program_trim(program, FER_TRIM_WEIGHTS, &freed));
    OK(run_product(context,
                   program)); /* there is nothing to make it anew from: it was not dropped */
    fer_value_info info = {.struct_size = sizeof(info)};
    OK(fer_program_input(program, 0, &info));
    assert_string_equal(info.name, "x");
    fer_program_release(program);
    fer_context_release(context);
}

static void what_is_used_in_place_stays(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = product_program(context, "ref", 1);
    OK(run_product(context, program));
    fer_program_release(program);
    fer_context_release(context);
}

static void a_loss_is_for_good(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device = NULL;
    fer_program *program = product_program(context, "sim:0,ref", 1);
    OK(fer_device_find(context, "sim:0", &device));
    OK(run_product(context, program));
    sim_lose(0, /*tell_host=*/1);
    FAILS(FER_DEVICE_LOST, run_product(context, program));
    sim_reset();
    OK(fer_device_reopen(device));
    FAILS(FER_DEVICE_LOST, run_product(context, program));
    SAYS("drop_sources");
    fer_device_release(device);
    fer_program_release(program);
    fer_context_release(context);
}

static void what_waits_for_inputs_is_refused(void **state) {
    (void)state;
    fer_context *context = sim_context();
    sim_configure(0, &(sim_config){.no_dynamic_dims = 1});
    fer_graph *graph = product_graph(context, -1);
    fer_program *program = NULL;
    fer_compile_options options = {
        .struct_size = sizeof(options), .devices = "sim:0", .drop_sources = 1};
    FAILS(FER_UNSUPPORTED, fer_program_compile(context, graph, &options, &program));
    SAYS("fix its open dims");
    assert_null(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(a_copied_constant_goes),
        SIM_TEST(what_is_used_in_place_stays),
        SIM_TEST(a_loss_is_for_good),
        SIM_TEST(what_waits_for_inputs_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
