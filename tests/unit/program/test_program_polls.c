/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadline and cancel flag: every family of kernels asks for them at least once in 65,536 inner
 * operations (counted through whole programs), and what asks is heard: long runs stop soon, loops
 * without end stop at all, whether waited for or not.
 */
#include "program_kit.h"

#include <pthread.h>
#include <time.h>

/* ---- counting ---- */

/* One node over inputs; the count of polls of its second run. */
static uint64_t polls_of(stand *b,
                         const char *op,
                         uint32_t in_count,
                         fer_tensor *const *in,
                         uint32_t attr_count,
                         const fer_attr *attrs,
                         uint32_t out_count) {
    fer_graph *graph = new_graph(b->context);
    fer_value_id ids[8], out_ids[4];
    fer_tensor *given[8], *out[4] = {NULL, NULL, NULL, NULL};
    uint32_t given_count = 0;
    for (uint32_t i = 0; i < in_count; i++) {
        char name[8];
        snprintf(name, sizeof(name), "i%u", i);
        ids[i] = FER_NO_VALUE;
        if (in[i] == NULL) {
            continue;
        }
        given[given_count++] = in[i];
        OK(fer_graph_add_input(graph,
                               name,
                               fer_tensor_dtype(in[i]),
                               fer_tensor_rank(in[i]),
                               fer_tensor_dims(in[i]),
                               NULL,
                               &ids[i]));
    }
    add_nodes(graph, op, in_count, ids, attr_count, attrs, out_count, out_ids);
    for (uint32_t i = 0; i < out_count; i++) {
        char name[8];
        snprintf(name, sizeof(name), "o%u", i);
        OK(fer_graph_add_output(graph, name, out_ids[i]));
    }
    fer_program *program = compiled(b->context, graph, NULL);
    fer_run_record record = {.struct_size = sizeof(record)};
    fer_run_options options = {.struct_size = sizeof(options), .record = &record};
    for (int i = 0; i < 2; i++) {
        OK(fer_program_run(program, &options, given, given_count, out, out_count));
    }
    for (uint32_t i = 0; i < out_count; i++) {
        fer_tensor_release(out[i]);
    }
    fer_program_release(program);
    for (uint32_t i = 0; i < in_count; i++) {
        fer_tensor_release(in[i]);
    }
    return record.poll_count;
}

/* work: multiplications, or elements read or written, whichever an op has more of. */
static void enough(const char *op, uint64_t polls, uint64_t work) {
    print_message("%-18s %10llu operations %6llu polls\n",
                  op,
                  (unsigned long long)work,
                  (unsigned long long)polls);
    if (polls < work / 65536) {
        print_error("%s polls too rarely\n", op);
        fail();
    }
}

static fer_tensor *f32(stand *b, uint32_t rank, const int64_t *dims) {
    return ramp(b->context, rank, dims, -1, 1.0f / 4096);
}

static fer_tensor *i64s(stand *b, int64_t count, const int64_t *values) {
    return i64_line(b->context, count, values);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SIDE = 512, TRIPS = 500 };
#else
enum { SIDE = 1536, TRIPS = 5000 };
#endif
enum { AREA = SIDE * SIDE }; /* 2.4 million, or a ninth */
static const int64_t square[] = {SIDE, SIDE};

static void elementwise_polls(void **state) {
    stand *b = *state;
    static const char *const ones[] = {"Relu", "Exp", "Sigmoid", "Neg", "Floor", "Erf"};
    for (size_t i = 0; i < sizeof(ones) / sizeof(*ones); i++) {
        fer_tensor *in[1] = {f32(b, 2, square)};
        enough(ones[i], polls_of(b, ones[i], 1, in, 0, NULL, 1), AREA);
    }
    static const char *const twos[] = {"Add", "Pow", "Less", "Max"};
    for (size_t i = 0; i < sizeof(twos) / sizeof(*twos); i++) {
        fer_tensor *in[2] = {f32(b, 2, square), f32(b, 1, square)};
        enough(twos[i], polls_of(b, twos[i], 2, in, 0, NULL, 1), AREA);
    }
    fer_tensor *where[3] = {
        tensor_of(b->context, FER_BOOL, 2, square, NULL), f32(b, 2, square), f32(b, 1, square)};
    enough("Where", polls_of(b, "Where", 3, where, 0, NULL, 1), AREA);
    fer_tensor *cast[1] = {f32(b, 2, square)};
    fer_attr to = int_attr("to", FER_I8);
    enough("Cast", polls_of(b, "Cast", 1, cast, 1, &to, 1), AREA);
}

static void moving_polls(void **state) {
    stand *b = *state;
    fer_tensor *transpose[1] = {f32(b, 2, square)};
    enough("Transpose", polls_of(b, "Transpose", 1, transpose, 0, NULL, 1), AREA);
    fer_tensor *concat[2] = {f32(b, 2, square), f32(b, 2, square)};
    fer_attr axis = int_attr("axis", 1);
    enough("Concat", polls_of(b, "Concat", 2, concat, 1, &axis, 1), AREA / 16);
    fer_tensor *expand[2] = {f32(b, 2, (int64_t[]){SIDE, 1}), i64s(b, 2, square)};
    enough("Expand", polls_of(b, "Expand", 2, expand, 0, NULL, 1), AREA);
    fer_tensor *tile[2] = {f32(b, 1, (int64_t[]){3}), i64s(b, 1, (int64_t[]){AREA / 3})};
    enough("Tile", polls_of(b, "Tile", 2, tile, 0, NULL, 1), AREA);
    fer_tensor *slice[5] = {f32(b, 2, square),
                            i64s(b, 1, (int64_t[]){-1}),
                            i64s(b, 1, (int64_t[]){INT64_MIN}),
                            i64s(b, 1, (int64_t[]){1}),
                            i64s(b, 1, (int64_t[]){-1})};
    enough("Slice", polls_of(b, "Slice", 5, slice, 0, NULL, 1), AREA);
    fer_tensor *pad[2] = {f32(b, 2, square), i64s(b, 4, (int64_t[]){1, 1, 1, 1})};
    fer_attr mode = text_attr("mode", "reflect");
    enough("Pad", polls_of(b, "Pad", 2, pad, 1, &mode, 1), AREA / 16);
    fer_tensor *resize[3] = {f32(b, 4, (int64_t[]){1, 1, 96, 96}), NULL, f32(b, 1, (int64_t[]){4})};
    float *scales = fer_tensor_data(resize[2]);
    scales[0] = scales[1] = 1;
    scales[2] = scales[3] = 16;
    fer_attr linear = text_attr("mode", "linear");
    enough("Resize", polls_of(b, "Resize", 3, resize, 1, &linear, 1), AREA);
}

static void indexing_polls(void **state) {
    stand *b = *state;
    fer_tensor *gather[2] = {f32(b, 2, square), tensor_of(b->context, FER_I64, 2, square, NULL)};
    fer_attr axis = int_attr("axis", 0);
    enough("GatherElements", polls_of(b, "GatherElements", 2, gather, 1, &axis, 1), AREA);
    fer_tensor *rows[2] = {f32(b, 2, (int64_t[]){4, 3}),
                           tensor_of(b->context, FER_I32, 1, (int64_t[]){AREA / 3}, NULL)};
    enough("Gather", polls_of(b, "Gather", 2, rows, 0, NULL, 1), AREA);
    fer_tensor *scatter[3] = {
        f32(b, 2, square), tensor_of(b->context, FER_I64, 2, square, NULL), f32(b, 2, square)};
    enough("ScatterElements", polls_of(b, "ScatterElements", 3, scatter, 1, &axis, 1), AREA);
    fer_tensor *hot[3] = {tensor_of(b->context, FER_I64, 1, (int64_t[]){AREA / 64}, NULL),
                          i64s(b, 1, (int64_t[]){64}),
                          i64s(b, 2, (int64_t[]){0, 1})};
    enough("OneHot", polls_of(b, "OneHot", 3, hot, 0, NULL, 1), AREA);
    fer_tensor *zeros[1] = {f32(b, 2, square)};
    enough("NonZero", polls_of(b, "NonZero", 1, zeros, 0, NULL, 1), AREA);
    fer_tensor *top[2] = {f32(b, 1, (int64_t[]){AREA}), i64s(b, 1, (int64_t[]){1000})};
    enough("TopK", polls_of(b, "TopK", 2, top, 0, NULL, 2), AREA);
    fer_tensor *all[2] = {f32(b, 1, (int64_t[]){AREA / 4}), i64s(b, 1, (int64_t[]){AREA / 4})};
    enough("TopK of all", polls_of(b, "TopK", 2, all, 0, NULL, 2), AREA / 4 * 19);
}

static void reducing_polls(void **state) {
    stand *b = *state;
    static const char *const reductions[] = {"ReduceSum", "ReduceMax", "ReduceL2"};
    for (size_t i = 0; i < sizeof(reductions) / sizeof(*reductions); i++) {
        fer_tensor *in[2] = {f32(b, 2, square), i64s(b, 1, (int64_t[]){(int64_t)i % 2})};
        enough(reductions[i], polls_of(b, reductions[i], 2, in, 0, NULL, 1), AREA);
    }
    static const char *const lines[] = {"Softmax", "LogSoftmax", "ArgMax", "Hardmax"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        fer_tensor *in[1] = {f32(b, 2, square)};
        fer_attr axis = int_attr("axis", 0);
        enough(lines[i], polls_of(b, lines[i], 1, in, 1, &axis, 1), AREA);
    }
    fer_tensor *sum[2] = {f32(b, 2, square), i64s(b, 1, (int64_t[]){0})};
    enough("CumSum", polls_of(b, "CumSum", 2, sum, 0, NULL, 1), AREA);
    fer_tensor *norm[3] = {f32(b, 2, square), f32(b, 1, square), f32(b, 1, square)};
    enough("LayerNormalization", polls_of(b, "LayerNormalization", 3, norm, 0, NULL, 1), AREA);
    fer_tensor *pool[1] = {f32(b, 4, (int64_t[]){1, 1, SIDE, SIDE / 4})};
    fer_attr kernel = ints_attr("kernel_shape", 2, (int64_t[]){3, 3});
    enough("MaxPool", polls_of(b, "MaxPool", 1, pool, 1, &kernel, 1), AREA / 4 * 9 - 65536);
}

static void multiplying_polls(void **state) {
    stand *b = *state;
    const int64_t side[] = {160, 160}, macs = 160 * 160 * 160;
    fer_tensor *two[2] = {f32(b, 2, side), f32(b, 2, side)};
    enough("MatMul", polls_of(b, "MatMul", 2, two, 0, NULL, 1), (uint64_t)macs);
    fer_tensor *gemm[2] = {f32(b, 2, side), f32(b, 2, side)};
    fer_attr turned = int_attr("transA", 1);
    enough("Gemm", polls_of(b, "Gemm", 2, gemm, 1, &turned, 1), (uint64_t)macs);
    const int64_t ints = 160;
    fer_tensor *quant[2] = {tensor_of(b->context, FER_U8, 2, side, NULL),
                            tensor_of(b->context, FER_U8, 2, side, NULL)};
    enough("MatMulInteger",
           polls_of(b, "MatMulInteger", 2, quant, 0, NULL, 1),
           (uint64_t)(ints * ints * ints));
    fer_tensor *conv[2] = {f32(b, 4, (int64_t[]){1, 16, 40, 40}),
                           f32(b, 4, (int64_t[]){16, 16, 3, 3})};
    enough("Conv", polls_of(b, "Conv", 2, conv, 0, NULL, 1), 16 * 16 * 9 * 38 * 38);
    fer_tensor *spread[2] = {f32(b, 4, (int64_t[]){1, 16, 40, 40}),
                             f32(b, 4, (int64_t[]){16, 16, 3, 3})};
    enough("ConvTranspose",
           polls_of(b, "ConvTranspose", 2, spread, 0, NULL, 1),
           16 * 16 * 9 * 38 * 38);
    fer_tensor *dot[2] = {f32(b, 1, (int64_t[]){AREA}), f32(b, 1, (int64_t[]){AREA})};
    enough("MatMul of lines", polls_of(b, "MatMul", 2, dot, 0, NULL, 1), AREA);
    fer_attr hidden = int_attr("hidden_size", 32);
    static const struct {
        const char *op;
        int64_t gates;
    } cells[] = {
        {"LSTM", 4},
        {"GRU",  3},
        {"RNN",  1}
    };
    for (int i = 0; i < 3; i++) {
        int64_t gates = cells[i].gates * 32;
        fer_tensor *cell[3] = {f32(b, 3, (int64_t[]){64, 4, 32}),
                               f32(b, 3, (int64_t[]){1, gates, 32}),
                               f32(b, 3, (int64_t[]){1, gates, 32})};
        enough(cells[i].op,
               polls_of(b, cells[i].op, 3, cell, 1, &hidden, 1),
               (uint64_t)(64 * 4 * gates * 64));
    }
}

/* ---- stopping ---- */

/* x through a Loop; trips NULL is without end. */
static fer_program *loop_program(stand *b, const int64_t *trips) {
    fer_graph *graph = new_graph(b->context), *body = new_graph(b->context);
    fer_value_id in[3] = {add_input(body, "trip", FER_I64, 0, NULL),
                          add_input(body, "go", FER_BOOL, 0, NULL),
                          add_input(body, "v", FER_F32, 1, (int64_t[]){4})};
    OK(fer_graph_add_output(body, "on", add_one(body, "Identity", in[1])));
    OK(fer_graph_add_output(body, "w", add_one(body, "Neg", in[2])));
    OK(fer_graph_finish(body));
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){4}), count = FER_NO_VALUE;
    if (trips != NULL) {
        count = add_constant(graph, tensor_of(b->context, FER_I64, 0, NULL, trips));
    }
    fer_attr attr = body_attr("body", body);
    fer_value_id y = add_node(graph, "Loop", 3, (fer_value_id[]){count, FER_NO_VALUE, x}, 1, &attr);
    OK(fer_graph_add_output(graph, "y", y));
    fer_program *program = compiled(b->context, graph, NULL);
    fer_graph_release(body);
    return program;
}

static void each_trip_polls(void **state) {
    stand *b = *state;
    fer_program *program = loop_program(b, &(int64_t){TRIPS});
    fer_tensor *in = ramp(b->context, 1, (int64_t[]){4}, 1, 1), *out = NULL;
    fer_run_record record = {.struct_size = sizeof(record)};
    fer_run_options options = {.struct_size = sizeof(options), .record = &record};
    OK(fer_program_run(program, &options, &in, 1, &out, 1));
    enough("Loop", record.poll_count, UINT64_C(65536) * TRIPS);
    assert_true(record.compile_ns > 0); /* the body, whose symbols are tried first */
    assert_true(((float *)fer_tensor_data(out))[3] == 4);
    fer_tensor_release(in);
    fer_tensor_release(out);
    fer_program_release(program);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

typedef struct later {
    uint32_t flag;
    useconds_t after;
} later;

static void *set_later(void *argument) {
    later *l = argument;
    usleep(l->after);
    __atomic_store_n(&l->flag, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* 64 G multiplications, or the Loop without end: neither would end by itself in this test. */
static fer_program *long_program(stand *b, int is_loop, fer_tensor **out_input) {
    if (is_loop) {
        *out_input = ramp(b->context, 1, (int64_t[]){4}, 1, 1);
        return loop_program(b, NULL);
    }
    fer_graph *graph = new_graph(b->context);
    fer_value_id x = add_input(graph, "x", FER_F32, 2, (int64_t[]){4096, 2048}), y = x;
    fer_attr turn = ints_attr("perm", 2, (int64_t[]){1, 0});
    fer_value_id t = add_node(graph, "Transpose", 1, &x, 1, &turn);
    y = add_two(graph, "MatMul", x, t);
    OK(fer_graph_add_output(graph, "y", add_two(graph, "MatMul", y, x)));
    *out_input = f32(b, 2, (int64_t[]){4096, 2048});
    return compiled(b->context, graph, NULL);
}

static void long_runs_stop(void **state) {
    stand *b = *state;
    for (int kind = 0; kind < 4; kind++) { /* MatMul or Loop, waited for or not */
        fer_tensor *in = NULL, *out = NULL;
        fer_program *program = long_program(b, kind % 2, &in);
        later cancel = {.after = 30000};
        fer_run_record record = {.struct_size = sizeof(record)};
        fer_run_options options = {
            .struct_size = sizeof(options), .cancel = &cancel.flag, .record = &record};
        pthread_t thread;
        for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
            double start = seconds_now();
            if (!by_deadline) {
                assert_int_equal(pthread_create(&thread, NULL, set_later, &cancel), 0);
            }
            fer_status status;
            if (kind < 2) {
                status = fer_program_run(program, &options, &in, 1, &out, 1);
            } else {
                fer_event *event = NULL;
                OK(fer_program_run_async(program, &options, &in, 1, NULL, 1, &event));
                status = fer_event_wait(event, UINT64_MAX);
                assert_int_equal(fer_event_query(event), status);
                assert_int_equal(fer_event_output(event, 0, &out), status);
                fer_event_release(event);
            }
            double spent = seconds_now() - start;
            REFUSED(status,
                    by_deadline ? FER_DEADLINE : FER_CANCELLED,
                    by_deadline ? "deadline" : "cancelled");
            assert_null(out);
            assert_true(record.poll_count > 0 && record.end_ns > record.start_ns);
            print_message("%s %s after %.0f ms\n",
                          kind % 2 ? "Loop" : "MatMul",
                          by_deadline ? "over its deadline" : "cancelled",
                          spent * 1000);
            if (!by_deadline) {
                pthread_join(thread, NULL);
            }
            options.cancel = NULL;
            options.deadline_ns = 30000000;
        }
        fer_tensor_release(in);
        fer_program_release(program);
    }
}

/* A deadline or flag from before the run stops the smallest one. */
static void the_past_is_heard(void **state) {
    stand *b = *state;
    fer_graph *graph = new_graph(b->context);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){2});
    OK(fer_graph_add_output(graph, "y", add_one(graph, "Relu", x)));
    fer_program *program = compiled(b->context, graph, NULL);
    fer_tensor *in = ramp(b->context, 1, (int64_t[]){2}, 1, 1), *out = NULL;
    const uint32_t set = 1;
    for (int i = 0; i < 4; i++) {
        fer_run_record record = {.struct_size = sizeof(record)};
        fer_run_options options = {.struct_size = sizeof(options), .record = &record};
        options.deadline_ns = i % 2 == 0;
        options.cancel = i % 2 == 0 ? NULL : &set;
        fer_status expected = i % 2 == 0 ? FER_DEADLINE : FER_CANCELLED;
        if (i < 2) {
            REFUSED(fer_program_run(program, &options, &in, 1, &out, 1), expected, "");
        } else {
            fer_event *event = NULL;
            OK(fer_program_run_async(program, &options, &in, 1, NULL, 1, &event));
            REFUSED(fer_event_wait(event, UINT64_MAX), expected, "");
            fer_event_release(event);
        }
        assert_null(out);
        assert_true(record.run_id > 0 && record.end_ns >= record.start_ns);
    }
    fer_run_options patient = {.struct_size = sizeof(patient), .deadline_ns = UINT64_MAX};
    OK(fer_program_run(program, &patient, &in, 1, &out, 1));
    fer_tensor_release(in);
    fer_tensor_release(out);
    fer_program_release(program);
}

/* Of a compilation; runs have their own. */
static void a_compilation_keeps_its_deadline(void **state) {
    stand *b = *state;
    fer_graph *graph = new_graph(b->context);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){2});
    OK(fer_graph_add_output(graph, "y", add_one(graph, "Relu", x)));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    fer_compile_options options = {.struct_size = sizeof(options), .deadline_ns = 1};
    REFUSED(fer_program_compile(b->context, graph, &options, &program),
            FER_DEADLINE,
            "the deadline passed while the model was compiled");
    assert_null(program);
    options.deadline_ns = UINT64_MAX;
    OK(fer_program_compile(b->context, graph, &options, &program));
    fer_tensor *in = ramp(b->context, 1, (int64_t[]){2}, 1, 1), *out = NULL;
    OK(fer_program_run(program, NULL, &in, 1, &out, 1));
    fer_tensor_release(in);
    fer_tensor_release(out);
    fer_program_release(program);
    fer_graph_release(graph);
}

/* Many small steps: none of them is long, the chain is. */
static void small_steps_add_up(void **state) {
    stand *b = *state;
    fer_graph *graph = new_graph(b->context);
    fer_value_id v = add_input(graph, "x", FER_F32, 1, (int64_t[]){100});
    for (int i = 0; i < 4000; i++) {
        v = add_one(graph, i % 2 == 0 ? "Exp" : "Neg", v);
    }
    OK(fer_graph_add_output(graph, "y", v));
    fer_program *program = compiled(b->context, graph, NULL);
    fer_tensor *in = ramp(b->context, 1, (int64_t[]){100}, 0, 0), *out = NULL;
    fer_run_record record = {.struct_size = sizeof(record)};
    fer_run_options options = {.struct_size = sizeof(options), .record = &record};
    OK(fer_program_run(program, &options, &in, 1, &out, 1));
    enough("4,000 steps", record.poll_count, 400000);
    fer_tensor_release(in);
    fer_tensor_release(out);
    fer_program_release(program);
}

/* ---- limits ---- */

static void trips_have_a_limit(void **state) {
    (void)state;
    stand b = {.context = NULL};
    fer_context_options options = counted_options(&b.memory);
    fer_limits limits = {.struct_size = sizeof(limits), .max_loop_trips = 1000};
    options.limits = &limits;
    OK(fer_context_create(&options, &b.context));
    static const int64_t trips[] = {1000, 1001, INT64_C(1) << 62, INT64_MAX, -1, INT64_MIN};
    for (int i = 0; i < 7; i++) {
        fer_program *program = loop_program(&b, i < 6 ? &trips[i] : NULL);
        fer_tensor *in = ramp(b.context, 1, (int64_t[]){4}, 1, 1), *out = NULL;
        fer_status status = fer_program_run(program, NULL, &in, 1, &out, 1);
        if (i == 0 || i == 4 || i == 5) {
            OK(status);
        } else {
            REFUSED(status, FER_LIMIT, "max_loop_trips, 1000");
            assert_true(strstr(fer_error_last()->node, "Loop") != NULL);
            assert_null(out);
        }
        fer_tensor_release(out);
        fer_tensor_release(in);
        fer_program_release(program);
    }
    fer_context_release(b.context);
    assert_all_back(&b.memory);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, stand_set_up, stand_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(elementwise_polls),
        TEST(moving_polls),
        TEST(indexing_polls),
        TEST(reducing_polls),
        TEST(multiplying_polls),
        TEST(each_trip_polls),
        TEST(long_runs_stop),
        TEST(the_past_is_heard),
        TEST(a_compilation_keeps_its_deadline),
        TEST(small_steps_add_up),
        cmocka_unit_test(trips_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
