/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory on devices: weights prepared once and shared, budgets per device, arenas that grow, trim
 * and what the next run restores.
 */
#include "sim_fixture.h"

#include <pthread.h>

enum { K = 40, N = 6 };

static fer_tensor *matrix_of(fer_context *context) {
    float values[K * N];
    for (int i = 0; i < K * N; i++) {
        values[i] = (float)(i % 7 - 3);
    }
    return tensor_of(context, 2, (int64_t[]){K, N}, values);
}

/* x [rows, K] times m, then an op; rows < 0: open. */
static fer_graph *product(fer_context *context, fer_tensor *matrix, int64_t rows, const char *op) {
    fer_graph *graph = NULL;
    fer_value_id ids[2];
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(graph,
                           "x",
                           FER_F32,
                           2,
                           (int64_t[]){rows, K},
                           (const char *[]){rows < 0 ? "rows" : NULL, NULL},
                           &ids[0]));
    OK(fer_graph_add_constant(graph, "m", matrix, &ids[1]));
    fer_value_id y = node_named(graph, "MatMul", "product", ids, 2, NULL, 0);
    OK(fer_graph_add_output(graph, "y", node_of(graph, op, "end", y)));
    OK(fer_graph_finish(graph));
    return graph;
}

static fer_status
product_run(fer_context *context, fer_program *program, int64_t rows, int negated) {
    fer_tensor *x = tensor_of(context, 2, (int64_t[]){rows, K}, NULL), *y = NULL;
    float *in = fer_tensor_data(x);
    for (int64_t i = 0; i < rows * K; i++) {
        in[i] = (float)(i % 5 - 2);
    }
    fer_status status = fer_program_run(program, NULL, &x, 1, &y, 1);
    if (status == FER_OK) {
        assert_int_equal(fer_tensor_element_count(y), rows * N);
        const float *out = fer_tensor_data(y);
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t n = 0; n < N; n++) {
                float sum = 0;
                for (int64_t k = 0; k < K; k++) {
                    sum += in[r * K + k] * (float)((k * N + n) % 7 - 3);
                }
                sum = negated ? -sum : sum > 0 ? sum : 0;
                assert_true(out[r * N + n] - sum < 1e-3f && sum - out[r * N + n] < 1e-3f);
            }
        }
    }
    fer_tensor_release(x);
    fer_tensor_release(y);
    return status;
}

static uint64_t in_use(fer_context *context, const char *name) {
    fer_device *device = NULL;
    fer_device_info info = {.struct_size = sizeof(info)};
    OK(fer_device_find(context, name, &device));
    OK(fer_device_get_info(device, &info));
    fer_device_release(device);
    return info.in_use_bytes;
}

static void weights_are_prepared_once(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_tensor *matrix = matrix_of(context);
    fer_graph *graphs[2] = {product(context, matrix, 3, "Neg"),
                            product(context, matrix, 2, "Relu")};
    fer_program *programs[3] = {NULL};
    OK(compile_on(context, graphs[0], "sim", &programs[0]));
    uint64_t one = in_use(context, "sim");
    fer_program_stats stats = {.struct_size = sizeof(stats)};
    OK(fer_program_get_stats(programs[0], &stats));
    assert_true(stats.weight_bytes >= K * N * sizeof(float));
    OK(compile_on(context, graphs[1], "sim", &programs[1]));
    assert_int_equal(sim_get_stats(0).prepares, 1);
    assert_true(in_use(context, "sim") - one < stats.weight_bytes); /* an arena, no weight */
    OK(compile_on(context, graphs[1], "sim:1", &programs[2]));
    assert_int_equal(sim_get_stats(1).prepares, 1);
    OK(product_run(context, programs[0], 3, 1));
    OK(product_run(context, programs[1], 2, 0));
    OK(product_run(context, programs[2], 2, 0));
    fer_program_release(programs[0]);
    OK(product_run(context, programs[1], 2, 0));
    fer_program_release(programs[1]);
    assert_int_equal(in_use(context, "sim"), 0);
    assert_int_equal(sim_get_stats(0).live_bytes, 0);
    fer_program_release(programs[2]);
    /* Row-major: uploaded as it is, and once as well. */
    sim_configure(0, &(sim_config){.row_major = 1});
    OK(compile_on(context, graphs[0], "sim", &programs[0]));
    OK(compile_on(context, graphs[1], "sim", &programs[1]));
    assert_int_equal(sim_get_stats(0).prepares, 1);      /* as before */
    assert_int_equal(sim_get_stats(0).copies_in, 3 + 1); /* inputs of runs, one upload */
    OK(product_run(context, programs[0], 3, 1));
    OK(product_run(context, programs[1], 2, 0));
    fer_program_release(programs[0]);
    fer_program_release(programs[1]);
    fer_tensor_release(matrix);
    fer_graph_release(graphs[0]);
    fer_graph_release(graphs[1]);
    fer_context_release(context);
}

/* The stale copies of a lost session are not the new session's. */
static void weights_follow_the_session(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_tensor *matrix = matrix_of(context);
    fer_graph *graph = product(context, matrix, 2, "Relu");
    fer_program *program = NULL;
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    OK(compile_on(context, graph, "sim", &program));
    OK(product_run(context, program, 2, 0));
    sim_lose(0, /*tell_host=*/1);
    OK(fer_device_reopen(device));
    OK(product_run(context, program, 2, 0));
    assert_int_equal(sim_get_stats(0).prepares, 2);
    fer_program_release(program);
    assert_int_equal(in_use(context, "sim"), 0);
    assert_int_equal(sim_get_stats(0).live_bytes, 0);
    fer_device_release(device);
    fer_tensor_release(matrix);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* ---- budgets ---- */

static void budgets_belong_to_devices(void **state) {
    (void)state;
    fer_budget budgets[] = {
        {sizeof(fer_budget), 0, "sim:0", 4096   },
        {sizeof(fer_budget), 0, "sim:1", 1 << 20}
    };
    fer_context *context = sim_context_with(budgets, 2, NULL, NULL, NULL);
    fer_device *device = NULL;
    fer_device_info info = {.struct_size = sizeof(info)};
    OK(fer_device_find(context, "sim", &device));
    OK(fer_device_get_info(device, &info));
    assert_int_equal(info.budget_bytes, 4096);
    fer_tensor *tensor = NULL, *large = NULL;
    OK(fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){512}, &tensor));
    FAILS(FER_BUDGET, fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){600}, &large));
    SAYS("sim:0");
    assert_null(large);
    fer_tensor_release(tensor);
    fer_device_release(device);
    /* A weight that fits with an arena that does not: over budget at compilation, by name. */
    fer_tensor *matrix = matrix_of(context);
    fer_graph *graph = product(context, matrix, 64, "Neg");
    fer_program *program = NULL;
    FAILS(FER_BUDGET, compile_on(context, graph, "sim", &program));
    SAYS("largest: 'x'");
    assert_null(program);
    assert_int_equal(in_use(context, "sim"), 0);
    OK(compile_on(context, graph, "sim:1", &program));
    OK(product_run(context, program, 64, 1));
    assert_true(in_use(context, "sim:1") <= 1 << 20);
    fer_program_release(program);
    fer_graph_release(graph);
    /* Open sizes: the run that is too large fails, smaller ones go on. */
    graph = product(context, matrix, -1, "Neg");
    OK(compile_on(context, graph, "sim", &program));
    OK(product_run(context, program, 2, 1));
    FAILS(FER_BUDGET, product_run(context, program, 100, 1));
    SAYS("sim:0");
    OK(product_run(context, program, 3, 1));
    OK(product_run(context, program, 2, 1));
    fer_program_release(program);
    assert_int_equal(in_use(context, "sim"), 0);
    fer_graph_release(graph);
    fer_tensor_release(matrix);
    fer_context_release(context);
}

/* Out of device memory in the middle of open sizes: told apart, and the program goes on. */
static void an_arena_that_cannot_grow_is_no_loss(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_tensor *matrix = matrix_of(context);
    fer_graph *graph = product(context, matrix, -1, "Neg");
    fer_program *program = NULL;
    OK(compile_on(context, graph, "sim", &program));
    OK(product_run(context, program, 2, 1));
    sim_inject(0, &(sim_faults){.alloc_fails_at = 1});
    FAILS(FER_OUT_OF_MEMORY, product_run(context, program, 50, 1));
    SAYS("an arena of");
    OK(product_run(context, program, 2, 1));
    OK(product_run(context, program, 50, 1));
    fer_program_release(program);
    fer_graph_release(graph);
    fer_tensor_release(matrix);
    fer_context_release(context);
}

typedef struct customer {
    fer_context *context;
    fer_program *program;
    pthread_t thread;
    int refused;
} customer;

static void *buy(void *self) {
    customer *me = self;
    for (int i = 0; i < 30; i++) {
        me->refused += product_run(me->context, me->program, 64, 1) != FER_OK;
    }
    return NULL;
}

/* A pool of eight states where the budget has room for one: runs wait for it. */
static void runs_share_the_states_that_fit(void **state) {
    (void)state;
    uint64_t room = 0;
    for (int is_narrow = 0; is_narrow < 2; is_narrow++) {
        fer_budget budget = {sizeof(fer_budget), 0, "sim:0", room + 1000};
        fer_context *context = sim_context_with(&budget, (uint32_t)is_narrow, NULL, NULL, NULL);
        fer_tensor *matrix = matrix_of(context);
        fer_graph *graph = product(context, matrix, 64, "Neg");
        fer_program *program = NULL;
        OK(compile_on(context, graph, "sim", &program));
        OK(product_run(context, program, 64, 1));
        room = in_use(context, "sim");
        sim_configure(0, &(sim_config){.kernel_ns = 500000}); /* so that they meet */
        customer all[4];
        for (int i = 0; i < 4 && is_narrow; i++) {
            all[i] = (customer){.context = context, .program = program};
            assert_int_equal(pthread_create(&all[i].thread, NULL, buy, &all[i]), 0);
        }
        for (int i = 0; i < 4 && is_narrow; i++) {
            assert_int_equal(pthread_join(all[i].thread, NULL), 0);
            assert_int_equal(all[i].refused, 0);
        }
        fer_program_release(program);
        fer_graph_release(graph);
        fer_tensor_release(matrix);
        fer_context_release(context);
    }
}

/* ---- trim ---- */

static void trim_drops_and_runs_restore(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_tensor *matrix = matrix_of(context);
    for (int is_open = 0; is_open < 2; is_open++) {
        sim_reset();
        fer_graph *graph = product(context, matrix, is_open ? -1 : 8, "Neg");
        fer_program *program = NULL;
        OK(compile_on(context, graph, "sim", &program));
        OK(product_run(context, program, 8, 1));
        uint64_t full = in_use(context, "sim");
        uint64_t freed = 0;
        OK(fer_program_trim(program, FER_TRIM_STATES, &freed));
        uint64_t without_states = in_use(context, "sim");
        assert_true(without_states < full);
        assert_true(freed >= full - without_states); /* the device's bytes count */
        assert_int_equal(sim_get_stats(0).compiles, 1);
        OK(product_run(context, program, 8, 1));
        assert_int_equal(in_use(context, "sim"), full);
        assert_int_equal(sim_get_stats(0).compiles, 1);
        OK(fer_program_trim(program, FER_TRIM_SPECIALIZATIONS, &freed));
        OK(product_run(context, program, 8, 1));
        OK(fer_program_trim(program, FER_TRIM_WEIGHTS, &freed));
        assert_true(freed > 0);
        assert_int_equal(in_use(context, "sim"), 0);
        assert_int_equal(sim_get_stats(0).live_bytes, 0);
        uint32_t prepares = (uint32_t)sim_get_stats(0).prepares;
        OK(product_run(context, program, 8, 1));
        assert_int_equal(in_use(context, "sim"), full);
        assert_int_equal(sim_get_stats(0).prepares, prepares + 1);
        OK(fer_program_trim(program, FER_TRIM_WEIGHTS, NULL));
        fer_program_release(program);
        fer_graph_release(graph);
    }
    fer_tensor_release(matrix);
    fer_context_release(context);
}

/* A size that fails to compile, wherever it does, leaves the count as it was. */
static void weights_of_failures_are_not_counted(void **state) {
    (void)state;
    fer_context *context = sim_context();
    sim_configure(0, &(sim_config){.no_dynamic_dims = 1});
    fer_tensor *matrix = matrix_of(context);
    fer_graph *graph = product(context, matrix, -1, "Neg");
    fer_program *program = NULL;
    OK(compile_on(context, graph, "sim", &program));
    OK(product_run(context, program, 1, 1));
    fer_program_stats stats = {.struct_size = sizeof(stats)};
    OK(fer_program_get_stats(program, &stats));
    uint64_t one = stats.weight_bytes;
    assert_true(one >= K * N * sizeof(float));
    fer_tensor *x = tensor_of(context, 2, (int64_t[]){2, K}, NULL), *y = NULL;
    memset(fer_tensor_data(x), 0, fer_tensor_bytes(x));
    int64_t failures = 0;
    for (fer_status status = FER_OUT_OF_MEMORY; status != FER_OK;) {
        heap.fails_in = failures + 1;
        status = fer_program_run(program, NULL, &x, 1, &y, 1);
        heap.fails_in = 0;
        OK(fer_program_get_stats(program, &stats));
        if (status != FER_OK) {
            failures++;
            assert_int_equal(status, FER_OUT_OF_MEMORY);
            assert_true(stats.weight_bytes % one == 0 && stats.weight_bytes >= one);
        }
    }
    assert_true(failures > 20);
    assert_int_equal(stats.weight_bytes, 2 * one);
    fer_tensor_release(x);
    fer_tensor_release(y);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_tensor_release(matrix);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(weights_are_prepared_once),
        SIM_TEST(weights_of_failures_are_not_counted),
        SIM_TEST(weights_follow_the_session),
        SIM_TEST(budgets_belong_to_devices),
        SIM_TEST(an_arena_that_cannot_grow_is_no_loss),
        SIM_TEST(runs_share_the_states_that_fit),
        SIM_TEST(trim_drops_and_runs_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
