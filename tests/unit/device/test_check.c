/* SPDX-License-Identifier: Apache-2.0
 *
 * The wrapper check over a right device, over one with memory of its own, and over one that lies.
 * Skipped where the module is not built.
 */
#include "sim_fixture.h"

/* ---- a backend whose Relu forgets one element in four ---- */

typedef struct liar {
    const fer_host *host;
} liar;

static fer_status answer; /* of its runs */

static fer_status liar_create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    liar *made = args->host->alloc(args->host->self, sizeof(*made), 16);
    if (made == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    made->host = args->host;
    *out_backend = made;
    return FER_OK;
}
static void liar_destroy(void *backend) {
    const liar *made = backend;
    made->host->free(made->host->self, backend, sizeof(*made), 16);
}
static fer_status liar_count(void *backend, uint32_t *out_count) {
    (void)backend;
    *out_count = 1;
    return FER_OK;
}
static fer_status liar_info(void *backend, uint32_t index, fer_backend_device_info *out_info) {
    (void)backend;
    (void)index;
    out_info->flags = FER_DEVICE_HOST_MEMORY | FER_DEVICE_NEVER_DEFAULT;
    return FER_OK;
}
static fer_status liar_open(void *backend, uint32_t index, void **out_device) {
    (void)index;
    *out_device = backend;
    return FER_OK;
}
static void liar_close(void *device) { (void)device; }
static fer_status
liar_supported(void *device, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    (void)device;
    out_support->supported = graph->nodes[node]->op == FER_OP_Relu;
    return FER_OK;
}
static fer_status liar_compile(void *device, const fer_subgraph *graph, void **out_exec) {
    (void)device;
    *out_exec = (void *)(uintptr_t)graph;
    return FER_OK;
}
static void liar_exec_destroy(void *device, void *exec) {
    (void)device;
    (void)exec;
}
static fer_status
liar_workspace(void *device, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    (void)device;
    (void)exec;
    (void)dim_values;
    *out_bytes = 0;
    return FER_OK;
}
static fer_status liar_run(void *device, void *exec, const fer_run_args *args) {
    (void)device;
    (void)exec;
    const float *in = args->inputs[0].host;
    float *out = args->outputs[0].host;
    for (uint64_t i = 0; i < args->outputs[0].bytes / sizeof(float); i++) {
        out[i] = in[i] > 0 || i % 4 == 3 ? in[i] : 0;
    }
    return answer;
}
static fer_status liar_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    static const fer_backend_core core = {sizeof(core),
                                          0,
                                          liar_create,
                                          liar_destroy,
                                          liar_count,
                                          liar_info,
                                          liar_open,
                                          liar_close,
                                          liar_supported,
                                          liar_compile,
                                          liar_exec_destroy,
                                          liar_workspace,
                                          liar_run,
                                          NULL};
    (void)host_min;
    out->abi_version = host_max;
    out->flags = FER_MODULE_PER_OP;
    out->name = "liar";
    out->core = &core;
    return FER_OK;
}

/* ---- the tests ---- */

static fer_context *check_context(void) {
    const char *manifests = getenv("FERRULE_BACKEND_PATH");
    char path[4096];
    fer_context *context = sim_context();
    (void)snprintf(
        path, sizeof(path), "%s/../libferrule-check.so", manifests == NULL ? "" : manifests);
    if (manifests == NULL || fer_backend_load(context, path) == FER_IO) {
        fer_context_release(context);
        skip();
    }
    OK(fer_backend_register(context, liar_backend_open));
    return context;
}

static const char *const relu_neg[] = {"Relu", "Neg"};

static fer_status run_four(fer_context *context, fer_program *program, const float *values) {
    fer_tensor *x = floats(context, 4, values), *y = NULL;
    fer_status status = fer_program_run(program, NULL, &x, 1, &y, 1);
    if (status == FER_OK) {
        float expected[4];
        for (int i = 0; i < 4; i++) {
            expected[i] = values[i] > 0 ? -values[i] : 0;
        }
        check_floats(y, expected, 4);
    }
    fer_tensor_release(x);
    fer_tensor_release(y);
    return status;
}

static void right_devices_pass(void **state) {
    (void)state;
    fer_context *context = check_context();
    static const char *const devices[] = {"check(ref:0)", "check(sim:0)", "check(simplain:0)"};
    for (uint32_t i = 0; i < 3; i++) {
        fer_program *program = chain_program(context, 4, relu_neg, 2, devices[i]);
        OK(run_four(context, program, (float[]){-1, 2, 3, -4}));
        fer_program_release(program);
    }
    fer_context_release(context);
}

/* A wrapper around a wrapper: the inner one still knows what it wraps. */
static void wrappers_are_wrapped(void **state) {
    (void)state;
    fer_context *context = check_context();
    static const char *const devices[] = {"check(check(ref:0))", "check(check(sim:1))"};
    for (uint32_t i = 0; i < 2; i++) {
        fer_program *program = chain_program(context, 4, relu_neg, 2, devices[i]);
        OK(run_four(context, program, (float[]){-1, 2, 3, -4}));
        fer_program_release(program);
    }
    fer_context_release(context);
}

/* However deep a name is, it is refused at once: no stack is that large. */
static void names_have_an_end(void **state) {
    (void)state;
    enum { DEEP = 300000, OPENED = 6, BYTES = DEEP * (OPENED + 1) + 5 + 1 };
    fer_context *context = check_context();
    fer_device *device = NULL;
    char *name = malloc(BYTES);
    assert_non_null(name);
    for (uint32_t i = 0; i < DEEP; i++) {
        memcpy(name + (size_t)i * OPENED, "check(", OPENED);
    }
    memcpy(name + DEEP * OPENED, "ref:0", 5);
    memset(name + DEEP * OPENED + 5, ')', DEEP);
    name[BYTES - 1] = 0;
    FAILS(FER_NO_DEVICE, fer_device_find(context, name, &device));
    SAYS("nested too deeply in 'check(check(");
    assert_null(device);
    free(name);
    fer_context_release(context);
}

static void a_lie_is_named(void **state) {
    (void)state;
    fer_context *context = check_context();
    fer_program *program = chain_program(context, 4, relu_neg, 1, "check(liar:0)");
    fer_tensor *x = floats(context, 4, (float[]){-1, 2, 3, 4}), *y = NULL;
    OK(fer_program_run(program, NULL, &x, 1, &y, 1)); /* the forgotten element is right as it is */
    fer_tensor_release(x);
    fer_tensor_release(y);
    x = floats(context, 4, (float[]){-1, 2, 3, -4});
    y = NULL;
    FAILS(FER_BACKEND, fer_program_run(program, NULL, &x, 1, &y, 1));
    SAYS("element 3 is -4, the reference has 0");
    assert_string_equal(fer_error_last()->node, "n0");
    assert_null(y);
    fer_tensor_release(x);
    fer_program_release(program);
    fer_context_release(context);
}

/* Without the wrapper: what is no status, or no answer to a run, is a broken contract. */
static void a_status_that_is_none_is_the_backends_fault(void **state) {
    (void)state;
    fer_context *context = sim_context();
    OK(fer_backend_register(context, liar_backend_open));
    fer_program *program = chain_program(context, 4, relu_neg, 1, "liar:0");
    static const fer_status none[] = {300, -1, 18, 256, FER_NOT_READY};
    for (uint32_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        fer_tensor *x = floats(context, 4, (float[]){1, 2, 3, 4}), *y = NULL;
        answer = none[i];
        FAILS(FER_BACKEND, fer_program_run(program, NULL, &x, 1, &y, 1));
        SAYS("liar:0");
        assert_string_equal(fer_error_last()->backend, "liar");
        assert_null(y);
        fer_tensor_release(x);
    }
    answer = FER_OK;
    fer_program_release(program);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(right_devices_pass),
        SIM_TEST(wrappers_are_wrapped),
        SIM_TEST(names_have_an_end),
        SIM_TEST(a_lie_is_named),
        SIM_TEST(a_status_that_is_none_is_the_backends_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
