/* SPDX-License-Identifier: Apache-2.0
 *
 * How soon a run stops: long runs are cancelled after 20 ms by another thread, and given a deadline
 * of 20 ms. Prints the worst time from the wish to the return, per op. bench_stop [ROUNDS]
 */
#include "ferrule/ferrule.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LEAD_NS = 20000000 };

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* x [a, a], y [a, a] -> op -> out, each long enough on one thread to be stopped. */
static const struct {
    const char *op;
    int64_t size;
    uint32_t inputs;
} cases[] = {
    {"Exp",       6000, 1},
    {"Add",       8000, 2},
    {"MatMul",    1500, 2},
    {"Softmax",   6000, 1},
    {"ReduceMax", 9000, 1},
    {"Transpose", 9000, 1},
    {"CumSum",    8000, 2},
};

static int build(fer_context *ctx, uint32_t index, fer_program **out) {
    fer_graph *graph = NULL;
    fer_value_id ids[2], y;
    int64_t dims[2] = {cases[index].size, cases[index].size};
    FER_CHECK(fer_graph_create(ctx, &graph));
    FER_CHECK(fer_graph_add_input(graph, "x", FER_F32, 2, dims, NULL, &ids[0]));
    if (cases[index].op[0] == 'C') { /* CumSum wants an axis */
        fer_tensor *axis = NULL;
        FER_CHECK(fer_tensor_create(ctx, FER_I64, 0, NULL, &axis));
        FER_CHECK(fer_graph_add_constant(graph, "axis", axis, &ids[1]));
        fer_tensor_release(axis);
    } else if (cases[index].inputs == 2) {
        ids[1] = ids[0];
    }
    fer_node_desc node = {.struct_size = sizeof node,
                          .op = cases[index].op,
                          .inputs = ids,
                          .input_count = cases[index].inputs,
                          .output_count = 1};
    FER_CHECK(fer_graph_add_node(graph, &node, &y));
    FER_CHECK(fer_graph_add_output(graph, "y", y));
    FER_CHECK(fer_graph_finish(graph));
    fer_compile_options options = {.struct_size = sizeof options, .devices = "ref"};
    FER_CHECK(fer_program_compile(ctx, graph, &options, out));
    fer_graph_release(graph);
    return 0;
}

typedef struct wish {
    uint32_t cancel;
    uint64_t at;
} wish;

static void *cancel_later(void *argument) {
    wish *w = argument;
    struct timespec lead = {0, LEAD_NS};
    (void)nanosleep(&lead, NULL);
    w->at = now_ns();
    __atomic_store_n(&w->cancel, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Microseconds from the wish to the return; -1: the run was over before. */
static double stopped_us(fer_program *program, fer_tensor *x, fer_tensor **y, int by_deadline) {
    wish w = {0, 0};
    pthread_t thread;
    fer_run_options options = {.struct_size = sizeof options};
    if (by_deadline) {
        options.deadline_ns = LEAD_NS;
        w.at = now_ns() + LEAD_NS;
    } else {
        options.cancel = &w.cancel;
        if (pthread_create(&thread, NULL, cancel_later, &w) != 0) {
            return -1;
        }
    }
    fer_status status = fer_program_run(program, &options, &x, 1, y, 1);
    uint64_t end = now_ns();
    if (!by_deadline) {
        (void)pthread_join(thread, NULL);
    }
    return status == FER_CANCELLED || status == FER_DEADLINE ? (double)(end - w.at) / 1000 : -1;
}

int main(int argc, char **argv) {
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 5;
    fer_context *ctx = NULL;
    fer_context_options one = {.struct_size = sizeof one, .thread_count = 1};
    FER_CHECK(fer_context_create(&one, &ctx));
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fer_program *program = NULL;
        fer_tensor *x = NULL, *y = NULL;
        int64_t dims[2] = {cases[i].size, cases[i].size};
        double worst[2] = {-1, -1};
        if (build(ctx, i, &program) != 0) {
            return 1;
        }
        FER_CHECK(fer_tensor_create(ctx, FER_F32, 2, dims, &x));
        FER_CHECK(fer_tensor_create(ctx, FER_F32, 2, dims, &y));
        if (cases[i].op[0] == 'R') { /* ReduceMax over everything */
            fer_tensor_release(y);
            FER_CHECK(fer_tensor_create(ctx, FER_F32, 2, (int64_t[]){1, 1}, &y));
        }
        for (uint32_t round = 0; round < rounds; round++) {
            for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
                double us = stopped_us(program, x, &y, by_deadline);
                worst[by_deadline] = us > worst[by_deadline] ? us : worst[by_deadline];
            }
        }
        printf("{\"op\": \"%s\", \"cancel_worst_us\": %.0f, \"deadline_worst_us\": %.0f}\n",
               cases[i].op,
               worst[0],
               worst[1]);
        fer_tensor_release(x);
        fer_tensor_release(y);
        fer_program_release(program);
    }
    fer_context_release(ctx);
    return 0;
}
