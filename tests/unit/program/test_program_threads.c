/* SPDX-License-Identifier: Apache-2.0
 *
 * One program under eight threads: right answers whatever the size of the pool of run states, one
 * compilation for all who miss at once, and trims, queries, other compilations, asynchronous and
 * eager runs beside it. Run under TSan by tools/check.sh.
 */
#include "program_kit.h"

#include <pthread.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RUNS = 1250 }; /* of each thread: 10,000 in all */
#else
enum { RUNS = 5000 };
#endif
enum { THREADS = 8, CASES = 12 };

typedef struct world {
    counted memory;
    fer_context *context;
    fer_graph *graph;
    fer_program *program;
    uint32_t input_count;
    fer_tensor *inputs[CASES][2];
    fer_tensor *expected[CASES];
    pthread_barrier_t start;
    atomic_uint next_thread;
    atomic_uint running;
    int is_bound; /* outputs are the threads' own tensors */
    uint64_t compiles_before;
} world;

static fer_program_stats stats_of(fer_program *program) {
    fer_program_stats stats = {.struct_size = sizeof(stats)};
    OK(fer_program_get_stats(program, &stats));
    return stats;
}

/* cmocka's checks are for the main thread only: the others stop the process. */
static void must(int is_right, const char *what) {
    if (!is_right) {
        fprintf(stderr, "%s: %s\n", what, fer_error_last()->message);
        abort();
    }
}

static int same(const fer_tensor *a, const fer_tensor *b) {
    return fer_tensor_rank(a) == fer_tensor_rank(b) &&
           memcmp(fer_tensor_dims(a), fer_tensor_dims(b), fer_tensor_rank(a) * sizeof(int64_t)) ==
               0 &&
           memcmp(fer_tensor_data(a), fer_tensor_data(b), fer_tensor_bytes(a)) == 0;
}

static void *runner(void *argument) {
    world *w = argument;
    uint32_t me = atomic_fetch_add(&w->next_thread, 1);
    fer_tensor *mine[CASES];
    for (int c = 0; c < CASES; c++) {
        fer_tensor *like = w->expected[c];
        must(fer_tensor_create(
                 w->context, FER_F32, fer_tensor_rank(like), fer_tensor_dims(like), &mine[c]) ==
                 FER_OK,
             "create");
    }
    pthread_barrier_wait(&w->start);
    for (uint32_t i = 0; i < RUNS; i++) {
        uint32_t c = (i * 5 + me) % CASES;
        fer_partition_record parts[2];
        fer_run_record record = {
            .struct_size = sizeof(record), .partitions = parts, .partition_capacity = 2};
        fer_run_options options = {.struct_size = sizeof(options), .record = &record};
        fer_tensor *out = w->is_bound ? mine[c] : NULL;
        fer_status status = fer_program_run(
            w->program, i % 3 == 0 ? &options : NULL, w->inputs[c], w->input_count, &out, 1);
        must(status == FER_OK, "run");
        must(same(out, w->expected[c]), "another run's numbers");
        if (w->is_bound) {
            memset(fer_tensor_data(out), 0xff, fer_tensor_bytes(out));
        } else {
            fer_tensor_release(out);
        }
    }
    for (int c = 0; c < CASES; c++) {
        fer_tensor_release(mine[c]);
    }
    atomic_fetch_sub(&w->running, 1);
    return NULL;
}

/* beside: also started, told to stop through running. */
static void eight_threads(world *w, void *(*beside)(void *)) {
    pthread_t threads[THREADS + 1];
    atomic_store(&w->next_thread, 0);
    atomic_store(&w->running, THREADS);
    assert_int_equal(pthread_barrier_init(&w->start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, runner, w), 0);
    }
    if (beside != NULL) {
        assert_int_equal(pthread_create(&threads[THREADS], NULL, beside, w), 0);
    }
    for (int i = 0; i < THREADS + (beside != NULL); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    pthread_barrier_destroy(&w->start);
}

/* y = Relu(x W) + b over rows of 6; x is [rows, 6] with rows a number or open. */
static void world_create(world *w, int64_t rows, uint32_t states) {
    memset(w, 0, sizeof(*w));
    w->context = counted_context(&w->memory);
    w->graph = new_graph(w->context);
    fer_value_id x = add_input(w->graph, "x", FER_F32, 2, (int64_t[]){rows, 6});
    fer_value_id weight = add_weight(w->context, w->graph, 2, (int64_t[]){6, 4});
    fer_value_id bias = add_weight(w->context, w->graph, 1, (int64_t[]){4});
    fer_value_id v = add_one(w->graph, "Relu", add_two(w->graph, "MatMul", x, weight));
    OK(fer_graph_add_output(w->graph, "y", add_two(w->graph, "Add", v, bias)));
    OK(fer_graph_finish(w->graph));
    w->input_count = 1;
    fer_compile_options options = {.struct_size = sizeof(options), .state_count = states};
    OK(fer_program_compile(w->context, w->graph, &options, &w->program));
    fer_program *alone = NULL;
    OK(fer_program_compile(w->context, w->graph, NULL, &alone));
    for (int c = 0; c < CASES; c++) {
        int64_t count = rows >= 0 ? rows : c % 5 + 1;
        w->inputs[c][0] = ramp(w->context, 2, (int64_t[]){count, 6}, (float)c - 6, 0.5f);
        OK(fer_program_run(alone, NULL, w->inputs[c], 1, &w->expected[c], 1));
    }
    fer_program_release(alone);
}

static void world_end(world *w) {
    for (int c = 0; c < CASES; c++) {
        fer_tensor_release(w->inputs[c][0]);
        fer_tensor_release(w->inputs[c][1]);
        fer_tensor_release(w->expected[c]);
    }
    fer_program_release(w->program);
    fer_graph_release(w->graph);
    fer_context_release(w->context);
    assert_all_back(&w->memory);
}

static void pools_of_any_size(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 8};
    for (int i = 0; i < 3; i++) {
        world w;
        world_create(&w, 3, sizes[i]);
        for (w.is_bound = 0; w.is_bound < 2; w.is_bound++) {
            eight_threads(&w, NULL);
        }
        fer_program_stats stats = stats_of(w.program);
        assert_int_equal(stats.compile_count, 1);
        assert_int_equal(stats.run_count, 2 * THREADS * RUNS);
        world_end(&w);
    }
}

static void dims_that_change(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 8};
    for (int i = 0; i < 3; i++) {
        world w;
        world_create(&w, -1, sizes[i]);
        w.is_bound = i == 1;
        eight_threads(&w, NULL);
        fer_program_stats stats = stats_of(w.program);
        assert_int_equal(stats.compile_count, 1);
        assert_int_equal(stats.specialization_count, 1);
        assert_int_equal(stats.binding_count, 5);
        world_end(&w);
    }
}

/* Shapes that contents decide: five keys, and all threads miss each of them at once. */
static void misses_at_once_compile_once(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++) {
        world w;
        memset(&w, 0, sizeof(w));
        w.context = counted_context(&w.memory);
        w.graph = new_graph(w.context);
        fer_value_id x = add_input(w.graph, "x", FER_F32, 1, (int64_t[]){24});
        fer_value_id to = add_input(w.graph, "to", FER_I64, 1, (int64_t[]){2});
        fer_value_id y = add_one(w.graph, "Neg", add_two(w.graph, "Reshape", x, to));
        fer_value_id sum =
            add_two(w.graph, "ReduceSum", y, add_i64s(w.context, w.graph, 1, (int64_t[]){1}));
        OK(fer_graph_add_output(w.graph, "y", sum));
        OK(fer_graph_finish(w.graph));
        w.input_count = 2;
        OK(fer_program_compile(w.context, w.graph, NULL, &w.program));
        w.compiles_before = stats_of(w.program).compile_count;
        fer_program *alone = NULL;
        OK(fer_program_compile(w.context, w.graph, NULL, &alone));
        static const int64_t heights[] = {2, 3, 4, 6, 12};
        for (int c = 0; c < CASES; c++) {
            w.inputs[c][0] = ramp(w.context, 1, (int64_t[]){24}, (float)c, 1);
            w.inputs[c][1] =
                i64_line(w.context, 2, (int64_t[]){heights[c % 5], 24 / heights[c % 5]});
            OK(fer_program_run(alone, NULL, w.inputs[c], 2, &w.expected[c], 1));
        }
        fer_program_release(alone);
        eight_threads(&w, NULL);
        fer_program_stats stats = stats_of(w.program);
        assert_true(stats.compile_count - w.compiles_before <= 5);
        assert_true(stats.specialization_count <= 5);
        world_end(&w);
    }
}

/* ---- beside the runs ---- */

static void query(world *w) {
    uint64_t count = 0;
    must(fer_program_placement_count(w->program, &count) == FER_OK, "placement_count");
    for (uint64_t i = 0; i < count; i++) {
        fer_placement line = {.struct_size = sizeof(line)};
        must(fer_program_placement(w->program, i, &line) == FER_OK, "placement");
        must(strlen(line.node) > 0 && strlen(line.device) > 0, "an empty line");
    }
    (void)stats_of(w->program);
    uint64_t now = 0, peak = 0;
    fer_context_memory(w->context, &now, &peak);
    must(now <= peak, "memory");
}

static int32_t swallow(void *self, const char *text, size_t length) {
    (void)text;
    *(size_t *)self += length;
    return 0;
}

static void run_otherwise(world *w, uint32_t i) {
    uint32_t c = i % CASES;
    fer_event *event = NULL;
    must(fer_program_run_async(w->program, NULL, w->inputs[c], w->input_count, NULL, 1, &event) ==
             FER_OK,
         "run_async");
    fer_tensor *out = NULL;
    must(fer_op_run(w->context, NULL, "", "Neg", NULL, 0, w->inputs[c], 1, &out, 1) == FER_OK,
         "op_run");
    fer_tensor_release(out);
    out = NULL;
    if (i % 2 == 0) { /* else nobody waits for it */
        must(fer_event_wait(event, UINT64_MAX) == FER_OK, "wait");
        must(fer_event_output(event, 0, &out) == FER_OK, "output");
        must(same(out, w->expected[c]), "another run's numbers");
        fer_tensor_release(out);
    }
    fer_event_release(event);
    fer_compile_options options = {.struct_size = sizeof(options), .state_count = 1};
    fer_program *other = NULL;
    out = NULL;
    must(fer_program_compile(w->context, w->graph, &options, &other) == FER_OK, "compile");
    must(fer_program_run(other, NULL, w->inputs[c], w->input_count, &out, 1) == FER_OK, "run");
    must(same(out, w->expected[c]), "another program's numbers");
    fer_tensor_release(out);
    fer_program_release(other);
}

static void *meddler(void *argument) {
    world *w = argument;
    for (uint32_t i = 0; atomic_load(&w->running) > 0; i++) {
        uint64_t freed = 0;
        size_t length = 0;
        must(fer_program_trim(w->program, (int32_t)(i % 3) + 1, &freed) == FER_OK, "trim");
        query(w);
        must(fer_program_print_passes(w->program, swallow, &length) == FER_OK, "passes");
        run_otherwise(w, i);
    }
    return NULL;
}

static void trims_and_queries_beside(void **state) {
    (void)state;
    for (int open = 0; open < 2; open++) {
        world w;
        world_create(&w, open ? -1 : 3, open ? 2 : 8);
        eight_threads(&w, meddler);
        world_end(&w);
    }
}

/* Contexts, programs and tensors of many threads at once, from nothing to nothing. */
static void *lives(void *argument) {
    (void)argument;
    for (int i = 0; i < 20; i++) {
        world w;
        world_create(&w, -1, 1);
        fer_tensor *out = NULL;
        must(fer_program_run(w.program, NULL, w.inputs[0], 1, &out, 1) == FER_OK, "run");
        must(same(out, w.expected[0]), "another context's numbers");
        fer_tensor_release(out);
        world_end(&w);
    }
    return NULL;
}

static void contexts_beside_each_other(void **state) {
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, lives, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

/* A full pool makes a run wait until its deadline, or until the caller cancels. */
static void a_full_pool_keeps_the_deadline(void **state) {
    (void)state;
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_graph *graph = new_graph(context), *body = new_graph(context);
    fer_value_id in[3] = {add_input(body, "trip", FER_I64, 0, NULL),
                          add_input(body, "go", FER_BOOL, 0, NULL),
                          add_input(body, "v", FER_F32, 1, (int64_t[]){4})};
    OK(fer_graph_add_output(body, "on", add_one(body, "Identity", in[1])));
    OK(fer_graph_add_output(body, "w", add_one(body, "Neg", in[2])));
    OK(fer_graph_finish(body));
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){4});
    fer_attr attr = body_attr("body", body);
    fer_value_id y =
        add_node(graph, "Loop", 3, (fer_value_id[]){FER_NO_VALUE, FER_NO_VALUE, x}, 1, &attr);
    OK(fer_graph_add_output(graph, "y", y));
    fer_compile_options one = {.struct_size = sizeof(one), .state_count = 1};
    fer_program *program = compiled(context, graph, &one);
    fer_graph_release(body);
    fer_tensor *input = ramp(context, 1, (int64_t[]){4}, 1, 1), *out = NULL;
    uint32_t cancel = 0;
    fer_run_options endless = {.struct_size = sizeof(endless), .cancel = &cancel};
    fer_event *event = NULL;
    OK(fer_program_run_async(program, &endless, &input, 1, NULL, 1, &event));
    usleep(20000);
    assert_int_equal(fer_event_query(event), FER_NOT_READY);
    fer_run_options hasty = {.struct_size = sizeof(hasty), .deadline_ns = 30000000};
    REFUSED(fer_program_run(program, &hasty, &input, 1, &out, 1), FER_DEADLINE, "deadline");
    assert_null(out);
    assert_int_equal(fer_event_query(event), FER_NOT_READY);
    __atomic_store_n(&cancel, 1, __ATOMIC_RELAXED);
    REFUSED(fer_event_wait(event, UINT64_MAX), FER_CANCELLED, "cancelled");
    fer_event_release(event);
    fer_tensor_release(input);
    fer_program_release(program);
    fer_context_release(context);
    assert_all_back(&memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_of_any_size),
        cmocka_unit_test(dims_that_change),
        cmocka_unit_test(misses_at_once_compile_once),
        cmocka_unit_test(trims_and_queries_beside),
        cmocka_unit_test(contexts_beside_each_other),
        cmocka_unit_test(a_full_pool_keeps_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
