/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: any bytes as a model file. What imports is printed, compiled and run once on
 * zeros, all under small limits, a budget and deadlines. The sanitizers and libFuzzer's own limits
 * find the rest.
 */
#include "fuzz_context.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int32_t discard(void *self, const char *text, size_t length) {
    uint64_t *sum = self;
    *sum += length + (length > 0 ? (unsigned char)text[0] : 0);
    return *sum > 1000000;
}

static fer_tensor *zero_input(fer_context *context, const fer_value_info *info) {
    int64_t dims[FER_MAX_RANK];
    fer_tensor *tensor = NULL;
    if (info->kind != FER_KIND_TENSOR || info->rank < 0 || info->rank > FER_MAX_RANK) {
        return NULL;
    }
    for (int32_t axis = 0; axis < info->rank; axis++) {
        dims[axis] = info->dims[axis] >= 0 ? info->dims[axis] : 2;
    }
    if (fer_tensor_create(context, info->dtype, (uint32_t)info->rank, dims, &tensor) != FER_OK) {
        return NULL;
    }
    return tensor;
}

static void run_once(fer_context *context, fer_program *program) {
    enum { CAPACITY = 16 };
    fer_tensor *inputs[CAPACITY] = {NULL}, *outputs[CAPACITY] = {NULL};
    uint32_t count = fer_program_input_count(program);
    uint32_t output_count = fer_program_output_count(program);
    int ok = count <= CAPACITY && output_count <= CAPACITY;
    for (uint32_t i = 0; ok && i < count; i++) {
        fer_value_info info = {.struct_size = sizeof info};
        ok = fer_program_input(program, i, &info) == FER_OK;
        inputs[i] = ok ? zero_input(context, &info) : NULL;
        ok = ok && inputs[i] != NULL;
    }
    if (ok) {
        fer_run_options options = {.struct_size = sizeof options, .deadline_ns = 200000000};
        fer_status status =
            fer_program_run(program, &options, inputs, count, outputs, output_count);
        if (status == FER_INTERNAL) {
            abort();
        }
    }
    for (uint32_t i = 0; i < CAPACITY; i++) {
        fer_tensor_release(inputs[i]);
        fer_tensor_release(outputs[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fer_context *context = fuzz_context();
    fer_graph *graph = NULL;
    fer_program *program = NULL;
    uint64_t sum = 0;
    fer_status status = fer_graph_import_memory(context, data, size, NULL, NULL, NULL, &graph);
    if (status == FER_OK) {
        status = fer_graph_print(graph, discard, &sum);
        fer_compile_options compile = {
            .struct_size = sizeof compile, .devices = "ref", .deadline_ns = 500000000};
        status = fer_program_compile(context, graph, &compile, &program);
    }
    if (status == FER_OK) {
        run_once(context, program);
    } else if (status == FER_INTERNAL || fer_error_last()->message[0] == '\0') {
        abort(); /* every failure has a sentence, and none is our own bug */
    }
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
    return 0;
}
