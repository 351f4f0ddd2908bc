/* SPDX-License-Identifier: Apache-2.0
 *
 * Time (and, under callgrind, instructions) of warm runs with bound outputs and a caller-owned
 * record: bench_relu [NODES] [RUNS] [ELEMENTS]. NODES alternate Relu and Neg. Prints ns per run as
 * minimum and median, and an empty-call row.
 */
#include "ferrule/ferrule.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static int build(fer_context *ctx, uint32_t nodes, int64_t elements, fer_program **out) {
    fer_graph *graph = NULL;
    fer_value_id value;
    FER_CHECK(fer_graph_create(ctx, &graph));
    FER_CHECK(fer_graph_add_input(graph, "x", FER_F32, 1, &elements, NULL, &value));
    for (uint32_t i = 0; i < nodes; i++) {
        fer_value_id input = value;
        fer_node_desc node = {.struct_size = sizeof node,
                              .op = i % 2 == 0 ? "Relu" : "Neg",
                              .inputs = &input,
                              .input_count = 1,
                              .output_count = 1};
        FER_CHECK(fer_graph_add_node(graph, &node, &value));
    }
    FER_CHECK(fer_graph_add_output(graph, "y", value));
    FER_CHECK(fer_graph_finish(graph));
    fer_compile_options options = {.struct_size = sizeof options, .devices = "ref"};
    FER_CHECK(fer_program_compile(ctx, graph, &options, out));
    fer_graph_release(graph);
    return 0;
}

/* What callgrind is told to count. */
__attribute__((noinline)) fer_status measured_run(fer_program *program,
                                                  const fer_run_options *options,
                                                  fer_tensor *const *in,
                                                  fer_tensor **out);
fer_status measured_run(fer_program *program,
                        const fer_run_options *options,
                        fer_tensor *const *in,
                        fer_tensor **out) {
    return fer_program_run(program, options, in, 1, out, 1);
}

int main(int argc, char **argv) {
    uint32_t nodes = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    uint32_t runs = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100000;
    int64_t elements = argc > 3 ? strtoll(argv[3], NULL, 10) : 16;
    fer_context *ctx = NULL;
    fer_program *program = NULL;
    fer_tensor *in = NULL, *out = NULL;
    fer_run_record record = {.struct_size = sizeof record};
    fer_run_options options = {.struct_size = sizeof options, .record = &record};
    FER_CHECK(fer_context_create(NULL, &ctx));
    if (build(ctx, nodes, elements, &program) != 0) {
        return 1;
    }
    FER_CHECK(fer_tensor_create(ctx, FER_F32, 1, &elements, &in));
    FER_CHECK(fer_tensor_create(ctx, FER_F32, 1, &elements, &out));
    for (int64_t i = 0; i < elements; i++) {
        ((float *)fer_tensor_data(in))[i] = (float)(i - 7);
    }
    double *samples = malloc(runs * sizeof *samples), *empty = malloc(runs * sizeof *empty);
    for (uint32_t i = 0; i < runs / 10 + 3; i++) {
        FER_CHECK(measured_run(program, &options, &in, &out));
    }
    for (uint32_t i = 0; i < runs && samples != NULL && empty != NULL; i++) {
        double t0 = now_ns();
        FER_CHECK(measured_run(program, &options, &in, &out));
        double t1 = now_ns();
        samples[i] = t1 - t0;
        empty[i] = now_ns() - t1;
    }
    qsort(samples, runs, sizeof *samples, by_size);
    qsort(empty, runs, sizeof *empty, by_size);
    printf("{\"nodes\": %u, \"min_ns\": %.0f, \"p50_ns\": %.0f, \"empty_ns\": %.0f}\n",
           nodes,
           samples[0],
           samples[runs / 2],
           empty[runs / 2]);
    free(samples);
    free(empty);
    fer_tensor_release(in);
    fer_tensor_release(out);
    fer_program_release(program);
    fer_context_release(ctx);
    return 0;
}
