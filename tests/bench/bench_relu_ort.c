/* SPDX-License-Identifier: Apache-2.0
 *
 * The other side of bench_relu: the same run through ONNX Runtime's C API, outputs bound, one
 * thread. bench_relu_ort MODEL RUNS ELEMENTS. Built by bench_dispatch.py where the header is found.
 */
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const OrtApi *api;

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void must(OrtStatus *status) {
    if (status != NULL) {
        fprintf(stderr, "%s\n", api->GetErrorMessage(status));
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        return 2;
    }
    uint32_t runs = (uint32_t)strtoul(argv[2], NULL, 10);
    int64_t elements = strtoll(argv[3], NULL, 10);
    OrtEnv *env;
    OrtSessionOptions *session_options;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtIoBinding *binding;
    OrtValue *in = NULL, *out = NULL;
    float *x = calloc((size_t)elements, sizeof *x), *y = calloc((size_t)elements, sizeof *y);
    double *samples = malloc(runs * sizeof *samples);
    api = OrtGetApiBase()->GetApi(16);
    must(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "bench", &env));
    must(api->CreateSessionOptions(&session_options));
    must(api->SetIntraOpNumThreads(session_options, 1));
    must(api->CreateSession(env, argv[1], session_options, &session));
    must(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    must(api->CreateTensorWithDataAsOrtValue(
        memory, x, (size_t)elements * 4, &elements, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in));
    must(api->CreateTensorWithDataAsOrtValue(
        memory, y, (size_t)elements * 4, &elements, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &out));
    must(api->CreateIoBinding(session, &binding));
    must(api->BindInput(binding, "x", in));
    must(api->BindOutput(binding, "y", out));
    const char *in_names[] = {"x"}, *out_names[] = {"y"};
    double best[2], middle[2];
    for (int bound = 0; bound < 2; bound++) {
        for (uint32_t i = 0; i < runs + runs / 10; i++) {
            double t0 = now_ns();
            if (bound) {
                must(api->RunWithBinding(session, NULL, binding));
            } else {
                must(api->Run(
                    session, NULL, in_names, (const OrtValue *const *)&in, 1, out_names, 1, &out));
            }
            samples[i < runs ? i : i - runs] = now_ns() - t0;
        }
        qsort(samples, runs, sizeof *samples, by_size);
        best[bound] = samples[0];
        middle[bound] = samples[runs / 2];
    }
    /* The better of its two ways. */
    int pick = middle[1] < middle[0];
    printf("{\"min_ns\": %.0f, \"p50_ns\": %.0f}\n", best[pick], middle[pick]);
    return 0;
}
