/* SPDX-License-Identifier: Apache-2.0
 *
 * The other side of bench_relu: the same run through ONNX Runtime's C API, outputs bound, one
 * thread. bench_relu_ort LIBRARY MODEL RUNS ELEMENTS. The wheel on PyPI has the library and not its
 * header, so the functions are found by their place in the API table, which is the library's ABI:
 * places are only ever added at its end.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Places in the table, and the few constants that are needed. */
enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_INTRA_OP_NUM_THREADS = 24,
    CREATE_TENSOR_WITH_DATA = 49,
    CREATE_CPU_MEMORY_INFO = 69,
    RUN_WITH_BINDING = 133,
    CREATE_IO_BINDING = 134,
    BIND_INPUT = 136,
    BIND_OUTPUT = 137,
    API_VERSION = 16,
    LOG_ERROR = 3,
    ARENA_ALLOCATOR = 1,
    MEMORY_DEFAULT = 0,
    ELEMENT_FLOAT = 1
};

typedef struct ort_base {
    void *const *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
} ort_base;

static void *const *api;

/* A function of the table as the type it has; ISO C has no cast from object to function. */
#define CALL(result, place, ...) ((result(*)(__VA_ARGS__))function_at(place))
typedef void (*any_function)(void);

static any_function function_at(int place) {
    any_function function;
    memcpy(&function, &api[place], sizeof function);
    return function;
}

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void must(void *status) {
    if (status != NULL) {
        fprintf(stderr, "%s\n", CALL(const char *, GET_ERROR_MESSAGE, const void *)(status));
        exit(1);
    }
}

static int library_open(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    void *symbol = library == NULL ? NULL : dlsym(library, "OrtGetApiBase");
    const ort_base *(*base)(void);
    if (symbol == NULL) {
        fprintf(stderr, "%s: %s\n", path, dlerror());
        return 0;
    }
    memcpy(&base, &symbol, sizeof base);
    api = base()->get_api(API_VERSION);
    return api != NULL;
}

/* A line of elements that the caller owns, as a value. */
static void *value_over(void *memory, float *data, int64_t elements) {
    void *value = NULL;
    must(CALL(void *,
              CREATE_TENSOR_WITH_DATA,
              const void *,
              void *,
              size_t,
              const int64_t *,
              size_t,
              int,
              void **)(
        memory, data, (size_t)elements * sizeof *data, &elements, 1, ELEMENT_FLOAT, &value));
    return value;
}

int main(int argc, char **argv) {
    if (argc < 5 || !library_open(argv[1])) {
        return 2;
    }
    uint32_t runs = (uint32_t)strtoul(argv[3], NULL, 10);
    int64_t elements = strtoll(argv[4], NULL, 10);
    void *env, *options, *session, *memory, *binding;
    float *x = calloc((size_t)elements, sizeof *x), *y = calloc((size_t)elements, sizeof *y);
    double *samples = malloc(runs * sizeof *samples);
    must(CALL(void *, CREATE_ENV, int, const char *, void **)(LOG_ERROR, "bench", &env));
    must(CALL(void *, CREATE_SESSION_OPTIONS, void **)(&options));
    must(CALL(void *, SET_INTRA_OP_NUM_THREADS, void *, int)(options, 1));
    must(CALL(void *, CREATE_SESSION, void *, const char *, void *, void **)(
        env, argv[2], options, &session));
    must(CALL(void *, CREATE_CPU_MEMORY_INFO, int, int, void **)(
        ARENA_ALLOCATOR, MEMORY_DEFAULT, &memory));
    void *in = value_over(memory, x, elements), *out = value_over(memory, y, elements);
    must(CALL(void *, CREATE_IO_BINDING, void *, void **)(session, &binding));
    must(CALL(void *, BIND_INPUT, void *, const char *, void *)(binding, "x", in));
    must(CALL(void *, BIND_OUTPUT, void *, const char *, void *)(binding, "y", out));
    const char *in_names[] = {"x"}, *out_names[] = {"y"};
    void *(*run)(void *,
                 const void *,
                 const char *const *,
                 const void *const *,
                 size_t,
                 const char *const *,
                 size_t,
                 void **) = CALL(void *,
                                 RUN,
                                 void *,
                                 const void *,
                                 const char *const *,
                                 const void *const *,
                                 size_t,
                                 const char *const *,
                                 size_t,
                                 void **);
    void *(*run_bound)(void *, const void *, const void *) =
        CALL(void *, RUN_WITH_BINDING, void *, const void *, const void *);
    double best[2], middle[2];
    for (int bound = 0; bound < 2; bound++) {
        for (uint32_t i = 0; i < runs + runs / 10; i++) {
            double t0 = now_ns();
            if (bound) {
                must(run_bound(session, NULL, binding));
            } else {
                must(run(session, NULL, in_names, (const void *const *)&in, 1, out_names, 1, &out));
            }
            samples[i < runs ? i : i - runs] = now_ns() - t0;
        }
        qsort(samples, runs, sizeof *samples, by_size);
        best[bound] = samples[0];
        middle[bound] = samples[runs / 2];
    }
    /* The work was done: Relu of -1 and 2, where two elements fit. */
    if (elements >= 2) {
        x[0] = -1;
        x[1] = 2;
        must(run_bound(session, NULL, binding));
        if (y[0] > 0 || y[1] < 2) {
            fprintf(stderr, "the other side computed nothing\n");
            return 1;
        }
    }
    /* The better of its two ways. */
    int pick = middle[1] < middle[0];
    printf("{\"min_ns\": %.0f, \"p50_ns\": %.0f}\n", best[pick], middle[pick]);
    return 0;
}
