/* SPDX-License-Identifier: Apache-2.0
 *
 * Time: events, deadlines and cancellation while a kernel hangs, what is held meanwhile, many
 * threads at once.
 */
#include "sim_fixture.h"

#include <pthread.h>

static _Atomic int ready_count;
static _Atomic int ready_status;

static void on_ready(void *self, fer_status status) {
    ready_status = status;
    (*(_Atomic int *)self)++;
}

static void events_tell_when_a_run_is_done(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim");
    sim_inject(0, &(sim_faults){.kernel_hangs_at = 1});
    fer_tensor *x = floats(context, 2, (float[]){-1, 2}), *y = NULL;
    fer_event *event = NULL;
    ready_count = 0;
    OK(fer_program_run_async(program, NULL, &x, 1, NULL, 1, &event));
    wait_hanging(1);
    FAILS(FER_NOT_READY, fer_event_query(event));
    FAILS(FER_NOT_READY, fer_event_wait(event, 3000000));
    OK(fer_event_on_ready(event, on_ready, &ready_count));
    assert_int_equal(ready_count, 0);
    sim_release();
    OK(fer_event_wait(event, UINT64_MAX));
    OK(fer_event_query(event));
    OK(fer_event_output(event, 0, &y));
    check_floats(y, (float[]){0, 2}, 2);
    for (int i = 0; i < PATIENCE_MS && ready_count == 0; i++) {
        nap_ms(1);
    }
    assert_int_equal(ready_count, 1);
    assert_int_equal(ready_status, FER_OK);
    fer_tensor_release(y);
    fer_event_release(event);
    fer_tensor_release(x);
    fer_program_release(program);
    fer_context_release(context);
}

/* Everything may be let go of while the run is under way. */
static void a_run_keeps_what_it_needs(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim");
    sim_inject(0, &(sim_faults){.kernel_hangs_at = 1});
    fer_tensor *x = floats(context, 2, (float[]){-1, 2}), *y = NULL;
    fer_event *event = NULL;
    OK(fer_program_run_async(program, NULL, &x, 1, NULL, 1, &event));
    fer_tensor_release(x);
    fer_program_release(program);
    fer_context_release(context);
    wait_hanging(1);
    sim_release();
    OK(fer_event_wait(event, UINT64_MAX));
    OK(fer_event_output(event, 0, &y));
    fer_event_release(event);
    check_floats(y, (float[]){0, 2}, 2);
    fer_tensor_release(y);
    /* The event may be the first to go. */
    context = sim_context();
    program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim");
    x = floats(context, 2, (float[]){-1, 2});
    OK(fer_program_run_async(program, NULL, &x, 1, NULL, 1, &event));
    fer_event_release(event);
    fer_tensor_release(x);
    fer_program_release(program);
    fer_context_release(context);
}

/* ---- deadlines ---- */

static void count_release(void *self, void *memory) {
    (void)memory;
    (*(_Atomic int *)self)++;
}

static fer_tensor *imported(fer_context *context, float *memory, _Atomic int *released) {
    fer_tensor *tensor = NULL;
    int64_t count = 4;
    OK(fer_tensor_import(context,
                         FER_F32,
                         1,
                         &count,
                         memory,
                         FER_IMPORT_BORROW_MUTABLE,
                         count_release,
                         released,
                         &tensor));
    return tensor;
}

/* Runs until its deadline passed while its kernel hung; on a busy machine a kernel may begin later than
 * that, and a longer deadline is tried. */
static void overrun(fer_program *program, fer_tensor *x, fer_tensor **y) {
    fer_run_options options = {.struct_size = sizeof(options), .deadline_ns = 20000000};
    for (;;) {
        sim_inject(0, &(sim_faults){.kernel_hangs_at = 1, .ignores_cancel = 1});
        uint64_t start = now_ns();
        FAILS(FER_DEADLINE, fer_program_run(program, &options, &x, 1, y, 1));
        assert_true(now_ns() - start >= options.deadline_ns);
        if (sim_hanging() > 0) {
            return;
        }
        sim_inject(0, &(sim_faults){0});
        sim_release();
        options.deadline_ns *= 4;
    }
}

/* A run fails at its deadline; what the chip may still touch is held until it answers. */
static void a_deadline_passes_while_a_kernel_hangs(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 4, (const char *[]){"Relu"}, 1, "sim");
    float *in = malloc(16), *out = malloc(16);
    _Atomic int released = 0;
    memcpy(in, (float[]){-1, 2, -3, 4}, 16);
    fer_tensor *x = imported(context, in, &released), *y = imported(context, out, &released);
    overrun(program, x, &y);
    fer_tensor_release(x);
    fer_tensor_release(y);
    assert_int_equal(released, 0);
    /* Others run meanwhile. */
    OK(run_floats(program, context, NULL, (float[]){-5, 6, 7, 8}, 4, (float[]){0, 6, 7, 8}));
    assert_int_equal(released, 0);
    sim_release();
    wait_hanging(0);
    for (int i = 0; i < PATIENCE_MS && released < 2; i++) { /* the next runs notice */
        OK(run_floats(program, context, NULL, (float[]){-5, 6, 7, 8}, 4, (float[]){0, 6, 7, 8}));
        nap_ms(1);
    }
    assert_int_equal(released, 2);
    fer_program_release(program);
    fer_context_release(context);
    free(in);
    free(out);
}

/* A release callback may do what its program does, whoever lets the memory go. */
typedef struct caller {
    fer_context *context;
    fer_program *program;
    int calls;
} caller;

static void call_back(void *self, void *memory) {
    caller *me = self;
    (void)memory;
    me->calls++;
    fer_run_options options = {.struct_size = sizeof(options), .deadline_ns = MINUTE_NS};
    OK(run_floats(me->program, me->context, &options, (float[]){-1, 2}, 2, (float[]){0, 2}));
    OK(fer_program_trim(me->program, FER_TRIM_STATES, NULL));
    fer_tensor *none = NULL; /* and fail in between */
    FAILS(FER_INVALID_ARGUMENT, fer_tensor_create(me->context, 99, 0, NULL, &none));
}

static void release_callbacks_may_call_back(void **state) {
    (void)state;
    for (int by_trim = 0; by_trim < 2; by_trim++) {
        fer_context *context = sim_context();
        fer_graph *graph = chain(context, 2, (const char *[]){"Relu"}, 1);
        fer_compile_options compile = {
            .struct_size = sizeof(compile), .devices = "sim", .state_count = 1};
        caller me = {.context = context};
        OK(fer_program_compile(context, graph, &compile, &me.program));
        float memory[2] = {-1, 2};
        fer_tensor *x = NULL, *y = NULL;
        OK(fer_tensor_import(context,
                             FER_F32,
                             1,
                             (int64_t[]){2},
                             memory,
                             FER_IMPORT_BORROW_MUTABLE,
                             call_back,
                             &me,
                             &x));
        overrun(me.program, x, &y);
        assert_null(y);
        fer_tensor_release(x);
        assert_int_equal(me.calls, 0);
        sim_release();
        wait_hanging(0);
        for (int i = 0; i < PATIENCE_MS && me.calls == 0; i++) {
            if (by_trim) {
                OK(fer_program_trim(me.program, FER_TRIM_WEIGHTS, NULL));
            } else {
                OK(run_floats(me.program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, 2}));
            }
            nap_ms(1);
        }
        assert_int_equal(me.calls, 1);
        fer_program_release(me.program);
        fer_graph_release(graph);
        fer_context_release(context);
    }
}

/* A program that ends while a kernel of its own hangs waits a little, then takes the chip as lost.
 */
static void a_chip_that_never_answers_is_closed(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 4, (const char *[]){"Relu"}, 1, "sim");
    float *in = malloc(16);
    _Atomic int released = 0;
    memcpy(in, (float[]){-1, 2, -3, 4}, 16);
    fer_tensor *x = imported(context, in, &released), *y = NULL;
    overrun(program, x, &y);
    assert_null(y);
    fer_tensor_release(x);
    assert_int_equal(released, 0);
    fer_program_release(program);
    assert_int_equal(released, 1);
    free(in);
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    fer_device_info info = {.struct_size = sizeof(info)};
    OK(fer_device_get_info(device, &info));
    assert_int_equal(info.state, FER_STATE_LOST);
    assert_int_equal(info.in_use_bytes, 0);
    OK(fer_device_reopen(device));
    program = chain_program(context, 4, (const char *[]){"Relu"}, 1, "sim");
    OK(run_floats(program, context, NULL, (float[]){-5, 6, 7, 8}, 4, (float[]){0, 6, 7, 8}));
    fer_program_release(program);
    fer_device_release(device);
    fer_context_release(context);
}

/* The same when work is lost and mute: what it may touch is held until its stream is gone. */
static void loss_ends_what_hangs(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 4, (const char *[]){"Relu"}, 1, "sim");
    sim_inject(0, &(sim_faults){.kernel_hangs_at = 1, .ignores_cancel = 1});
    fer_tensor *x = floats(context, 4, NULL);
    fer_event *event = NULL;
    OK(fer_program_run_async(program, NULL, &x, 1, NULL, 1, &event));
    wait_hanging(1);
    sim_lose(0, /*tell_host=*/1);
    FAILS(FER_DEVICE_LOST, fer_event_wait(event, UINT64_MAX));
    SAYS("sim:0");
    fer_event_release(event);
    fer_tensor_release(x);
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    OK(fer_device_reopen(device));
    OK(run_floats(program, context, NULL, (float[]){-5, 6, 7, 8}, 4, (float[]){0, 6, 7, 8}));
    fer_device_release(device);
    fer_program_release(program);
    fer_context_release(context);
}

static void a_full_pool_waits_until_the_deadline(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_graph *graph = chain(context, 2, (const char *[]){"Relu"}, 1);
    fer_compile_options compile = {
        .struct_size = sizeof(compile), .devices = "sim", .state_count = 1};
    fer_program *program = NULL;
    OK(fer_program_compile(context, graph, &compile, &program));
    sim_inject(0, &(sim_faults){.kernel_hangs_at = 1});
    fer_tensor *x = floats(context, 2, (float[]){-1, 2});
    fer_event *event = NULL;
    OK(fer_program_run_async(program, NULL, &x, 1, NULL, 1, &event));
    wait_hanging(1);
    fer_run_record record = {.struct_size = sizeof(record)};
    fer_run_options options = {
        .struct_size = sizeof(options), .deadline_ns = 20000000, .record = &record};
    do { /* all of a short deadline may pass before the run comes to the pool */
        FAILS(FER_DEADLINE, run_floats(program, context, &options, (float[]){1, 2}, 2, NULL));
        options.deadline_ns *= 4;
    } while (record.queue_ns < 10000000 && options.deadline_ns < MINUTE_NS);
    assert_true(record.queue_ns >= 10000000);
    sim_release();
    OK(fer_event_wait(event, UINT64_MAX));
    options.deadline_ns = MINUTE_NS;
    OK(run_floats(program, context, &options, (float[]){1, 2}, 2, (float[]){1, 2}));
    fer_event_release(event);
    fer_tensor_release(x);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* ---- cancel ---- */

static void a_run_is_cancelled(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program =
        chain_program(context, 4, (const char *[]){"Relu", "Abs", "Neg"}, 3, "sim,ref");
    for (int at = 1; at <= 2; at++) {
        sim_inject(0, &(sim_faults){.kernel_hangs_at = (uint32_t)at});
        fer_tensor *x = floats(context, 4, (float[]){-1, 2, -3, 4});
        uint32_t cancel = 0;
        fer_run_options options = {.struct_size = sizeof(options), .cancel = &cancel};
        fer_event *event = NULL;
        OK(fer_program_run_async(program, &options, &x, 1, NULL, 1, &event));
        wait_hanging(1);
        __atomic_store_n(&cancel, 1, __ATOMIC_RELAXED);
        FAILS(FER_CANCELLED, fer_event_wait(event, UINT64_MAX));
        fer_event_release(event);
        fer_tensor_release(x);
        wait_hanging(0); /* the chip was told */
        OK(run_floats(program, context, NULL, (float[]){-1, 2, -3, 4}, 4, (float[]){0, -2, 0, -4}));
    }
    assert_true(sim_get_stats(0).cancels >= 2);
    fer_device *device = NULL;
    fer_device_info info = {.struct_size = sizeof(info)};
    OK(fer_device_find(context, "sim", &device));
    OK(fer_device_get_info(device, &info));
    assert_int_equal(info.state, FER_STATE_READY);
    fer_device_release(device);
    fer_program_release(program);
    fer_context_release(context);
}

/* ---- threads ---- */

enum { THREADS = 6, RUNS = 60 };

typedef struct worker {
    pthread_t thread;
    fer_context *context;
    fer_program *program;
    int index;
    int failures;
} worker;

static void *work(void *self) {
    worker *me = self;
    for (int i = 0; i < RUNS; i++) {
        float in[4] = {(float)(i - 20), (float)me->index, -1, (float)i}, got[4];
        float expected[4];
        for (int k = 0; k < 4; k++) {
            expected[k] = in[k] < 0 ? in[k] : -in[k];
        }
        fer_tensor *x = NULL, *y = NULL;
        int64_t count = 4;
        fer_event *event = NULL;
        fer_status status = fer_tensor_create(me->context, FER_F32, 1, &count, &x);
        if (status == FER_OK) {
            memcpy(fer_tensor_data(x), in, sizeof(in));
            if (i % 3 == 0) {
                status = fer_program_run_async(me->program, NULL, &x, 1, NULL, 1, &event);
                status = status == FER_OK ? fer_event_wait(event, UINT64_MAX) : status;
                status = status == FER_OK ? fer_event_output(event, 0, &y) : status;
                fer_event_release(event);
            } else {
                status = fer_program_run(me->program, NULL, &x, 1, &y, 1);
            }
        }
        status = status == FER_OK ? fer_tensor_read(y, 0, got, sizeof(got)) : status;
        me->failures += status != FER_OK || memcmp(got, expected, sizeof(got)) != 0;
        fer_tensor_release(x);
        fer_tensor_release(y);
        if (i % 16 == 7 && me->index == 0) {
            me->failures += fer_program_trim(me->program, 1 + i % 3, NULL) != FER_OK;
        }
    }
    return NULL;
}

static void many_threads_share_a_program(void **state) {
    (void)state;
    fer_context *context = sim_context();
    /* -|x|, crossing between two chips and ref. */
    fer_graph *graph =
        chain(context, -1, (const char *[]){"Identity", "Abs", "Neg", "Identity"}, 4);
    fer_pin pin = {"n3", "sim:1"};
    fer_compile_options options = {.struct_size = sizeof(options),
                                   .devices = "sim,sim:1,ref",
                                   .pins = &pin,
                                   .pin_count = 1,
                                   .passes_off = (const char *[]){"remove_identity"},
                                   .passes_off_count = 1,
                                   .state_count = 3};
    fer_program *program = NULL;
    OK(fer_program_compile(context, graph, &options, &program));
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.context = context, .program = program, .index = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].failures, 0);
    }
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

static void *lose_often(void *self) {
    fer_device *device = self;
    for (int i = 0; i < 15; i++) {
        nap_ms(3);
        sim_lose(0, i % 2);
        nap_ms(2);
        if (fer_device_reopen(device) != FER_OK) {
            return self;
        }
    }
    return NULL;
}

/* Runs end as they should or as lost, and nothing else, while a chip comes and goes. */
static void a_chip_comes_and_goes_under_load(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    fer_program *program =
        chain_program(context, 4, (const char *[]){"Neg", "Abs", "Neg"}, 3, "sim,ref");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, lose_often, device), 0);
    int done = 0;
    for (int i = 0; i < 400 || done == 0; i++) {
        fer_tensor *x = floats(context, 4, (float[]){-1, 2, -3, 4}), *y = NULL;
        fer_status status = fer_program_run(program, NULL, &x, 1, &y, 1);
        if (status == FER_OK) {
            check_floats(y, (float[]){-1, -2, -3, -4}, 4);
            done++;
        } else if (status == FER_DEVICE_LOST) {
            assert_null(y);
        } else {
            fail_msg("%s: %s", fer_status_name(status), fer_error_last()->message);
        }
        fer_tensor_release(x);
        fer_tensor_release(y);
    }
    void *failed = NULL;
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    OK(run_floats(program, context, NULL, (float[]){-1, 2, -3, 4}, 4, (float[]){-1, -2, -3, -4}));
    fer_program_release(program);
    fer_device_release(device);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(events_tell_when_a_run_is_done),
        SIM_TEST(a_run_keeps_what_it_needs),
        SIM_TEST(a_deadline_passes_while_a_kernel_hangs),
        SIM_TEST(release_callbacks_may_call_back),
        SIM_TEST(a_chip_that_never_answers_is_closed),
        SIM_TEST(loss_ends_what_hangs),
        SIM_TEST(a_full_pool_waits_until_the_deadline),
        SIM_TEST(a_run_is_cancelled),
        SIM_TEST(many_threads_share_a_program),
        SIM_TEST(a_chip_comes_and_goes_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
