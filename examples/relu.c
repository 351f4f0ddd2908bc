/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest whole program: a graph from builder calls, compiled and run. What README shows.
 */
#include "ferrule/ferrule.h"

#include <stdio.h>

int main(void) {
    fer_context *ctx = NULL;
    fer_graph *graph = NULL;
    fer_program *program = NULL;
    fer_tensor *in = NULL, *out = NULL;
    fer_value_id x, y;
    float data[4] = {-1, 2, -3, 4};

    FER_CHECK(fer_context_create(NULL, &ctx));
    FER_CHECK(fer_graph_create(ctx, &graph));
    FER_CHECK(fer_graph_add_input(graph, "x", FER_F32, 1, (const int64_t[]){-1}, NULL, &x));
    fer_node_desc relu = {.struct_size = sizeof relu,
                          .op = "Relu",
                          .inputs = &x,
                          .input_count = 1,
                          .output_count = 1};
    FER_CHECK(fer_graph_add_node(graph, &relu, &y));
    FER_CHECK(fer_graph_add_output(graph, "y", y));
    FER_CHECK(fer_graph_finish(graph));
    FER_CHECK(fer_program_compile(ctx, graph, NULL, &program));
    FER_CHECK(fer_tensor_wrap(ctx, FER_F32, 1, (const int64_t[]){4}, data, &in));
    FER_CHECK(fer_program_run(program, NULL, &in, 1, &out, 1));
    const float *got = fer_tensor_data(out);
    int wrong = got[0] != 0 || got[1] != 2 || got[2] != 0 || got[3] != 4;
    printf("%g %g %g %g\n", got[0], got[1], got[2], got[3]);

    fer_tensor_release(out);
    fer_tensor_release(in);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(ctx);
    return wrong;
}
