/* SPDX-License-Identifier: Apache-2.0
 *
 * What every test on the simulator begins and ends with: a context that knows sim and simplain,
 * small graphs, and at the end nothing alive, nothing leaked in the context's own count and no
 * violation of what a host may do.
 */
#ifndef FERRULE_TESTS_SIM_FIXTURE_H
#define FERRULE_TESTS_SIM_FIXTURE_H

#include "ferrule/ferrule.h"
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        fer_status ok_status = (call);                                                             \
        if (ok_status != FER_OK) {                                                                 \
            fail_msg("%s: %s", fer_status_name(ok_status), fer_error_last()->message);             \
        }                                                                                          \
    } while (0)
#define FAILS(status, call)                                                                        \
    do {                                                                                           \
        fer_status fails_status = (call);                                                          \
        if (fails_status != (status)) {                                                            \
            fail_msg("%s instead of %s: %s",                                                       \
                     fer_status_name(fails_status),                                                \
                     fer_status_name(status),                                                      \
                     fer_error_last()->message);                                                   \
        }                                                                                          \
    } while (0)
#define SAYS(text)                                                                                 \
    do {                                                                                           \
        if (strstr(fer_error_last()->message, (text)) == NULL) {                                   \
            fail_msg("'%s' is not in: %s", (text), fer_error_last()->message);                     \
        }                                                                                          \
    } while (0)

/* Counts what the context holds, and counts frees against it. */
typedef struct test_heap {
    _Atomic int64_t bytes;
    _Atomic int64_t fails_in; /* 1: the next allocation; 0: none */
} test_heap;

static inline void *test_heap_alloc(void *self, size_t bytes, size_t alignment) {
    test_heap *mine = self;
    if (mine->fails_in > 0 && --mine->fails_in == 0) {
        return NULL;
    }
    void *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (memory != NULL) {
        mine->bytes += (int64_t)bytes;
    }
    return memory;
}
static inline void test_heap_free(void *self, void *memory, size_t bytes, size_t alignment) {
    (void)alignment;
    ((test_heap *)self)->bytes -= (int64_t)bytes;
    free(memory);
}

static test_heap heap;
static uint32_t live_before; /* what an earlier test that failed left */
static int64_t bytes_before;

static inline fer_context *sim_context_with(const fer_budget *budgets,
                                            uint32_t budget_count,
                                            fer_log_fn log,
                                            fer_notice_fn notice,
                                            void *self) {
    fer_context *context = NULL;
    fer_context_options options = {
        .struct_size = sizeof(options),
        .flags = FER_CONTEXT_NO_MANIFESTS,
        .allocator = {test_heap_alloc, test_heap_free, &heap},
        .budgets = budgets,
        .budget_count = budget_count,
        .log = log,
        .log_self = self,
        .notice = notice,
        .notice_self = self
    };
    OK(fer_context_create(&options, &context));
    OK(fer_backend_register(context, sim_backend_open));
    OK(fer_backend_register(context, sim_plain_open));
    return context;
}
static inline fer_context *sim_context(void) { return sim_context_with(NULL, 0, NULL, NULL, NULL); }

/* How long a test waits for what comes in a moment, unless the machine is busy. */
enum { PATIENCE_MS = 60000 };
#define MINUTE_NS UINT64_C(60000000000)

/* For cmocka's setup and teardown. */
static inline int sim_setup(void **state) {
    (void)state;
    sim_reset();
    live_before = sim_live();
    bytes_before = heap.bytes;
    return 0;
}
/* After the test released all it had. */
static inline int sim_teardown(void **state) {
    (void)state;
    sim_release();
    if (sim_violation() != NULL) {
        print_error("violation: %s\n", sim_violation());
        return -1;
    }
    /* A worker lets go of an event's run a little after the event is done. */
    for (int i = 0; i < PATIENCE_MS && (sim_live() != live_before || heap.bytes != bytes_before); i++) {
        struct timespec time = {0, 1000000};
        nanosleep(&time, NULL);
    }
    if (sim_live() != live_before || heap.bytes != bytes_before) {
        print_error("%u objects of the simulator and %lld bytes of the context are left\n",
                    sim_live() - live_before,
                    (long long)(heap.bytes - bytes_before));
        return -1;
    }
    return 0;
}
#define SIM_TEST(name) cmocka_unit_test_setup_teardown(name, sim_setup, sim_teardown)

static inline fer_value_id node_named(fer_graph *graph,
                                      const char *op,
                                      const char *name,
                                      const fer_value_id *inputs,
                                      uint32_t count,
                                      const fer_attr *attrs,
                                      uint32_t attr_count) {
    fer_value_id out = 0;
    fer_node_desc desc = {.struct_size = sizeof(desc),
                          .input_count = count,
                          .op = op,
                          .name = name,
                          .inputs = inputs,
                          .attrs = attrs,
                          .attr_count = attr_count,
                          .output_count = 1};
    OK(fer_graph_add_node(graph, &desc, &out));
    return out;
}
static inline fer_value_id
node_of(fer_graph *graph, const char *op, const char *name, fer_value_id input) {
    return node_named(graph, op, name, &input, 1, NULL, 0);
}

static inline fer_tensor *
tensor_of(fer_context *context, uint32_t rank, const int64_t *dims, const float *values) {
    fer_tensor *tensor = NULL;
    OK(fer_tensor_create(context, FER_F32, rank, dims, &tensor));
    if (values != NULL) {
        memcpy(fer_tensor_data(tensor), values, fer_tensor_bytes(tensor));
    }
    return tensor;
}
static inline fer_tensor *floats(fer_context *context, int64_t count, const float *values) {
    return tensor_of(context, 1, &count, values);
}

/* x f32 [count] -> one op after the other, named n0, n1, ... -> y */
static inline fer_graph *
chain(fer_context *context, int64_t count, const char *const *ops, uint32_t op_count) {
    fer_graph *graph = NULL;
    fer_value_id value = 0;
    OK(fer_graph_create(context, &graph));
    OK(fer_graph_add_input(
        graph, "x", FER_F32, 1, &count, count < 0 ? (const char *[]){"n"} : NULL, &value));
    for (uint32_t i = 0; i < op_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", i);
        value = node_of(graph, ops[i], name, value);
    }
    OK(fer_graph_add_output(graph, "y", value));
    OK(fer_graph_finish(graph));
    return graph;
}

static inline fer_status
compile_on(fer_context *context, fer_graph *graph, const char *devices, fer_program **out_program) {
    fer_compile_options options = {.struct_size = sizeof(options), .devices = devices};
    return fer_program_compile(context, graph, &options, out_program);
}
static inline fer_program *chain_program(fer_context *context,
                                         int64_t count,
                                         const char *const *ops,
                                         uint32_t op_count,
                                         const char *devices) {
    fer_graph *graph = chain(context, count, ops, op_count);
    fer_program *program = NULL;
    OK(compile_on(context, graph, devices, &program));
    fer_graph_release(graph);
    return program;
}

/* Contents, wherever they lie. */
static inline void check_floats(const fer_tensor *tensor, const float *expected, uint64_t count) {
    float got[256];
    assert_true(count <= 256);
    assert_int_equal(fer_tensor_element_count(tensor), count);
    OK(fer_tensor_read(tensor, 0, got, count * sizeof(float)));
    for (uint64_t i = 0; i < count; i++) {
        if (got[i] - expected[i] > 1e-5f || expected[i] - got[i] > 1e-5f || got[i] != got[i]) {
            fail_msg("element %u is %g, not %g", (unsigned)i, (double)got[i], (double)expected[i]);
        }
    }
}
/* A run on four floats. */
static inline fer_status run_floats(fer_program *program,
                                    fer_context *context,
                                    const fer_run_options *options,
                                    const float *in,
                                    uint64_t count,
                                    const float *expected) {
    fer_tensor *x = floats(context, (int64_t)count, in), *y = NULL;
    fer_status status = fer_program_run(program, options, &x, 1, &y, 1);
    fer_error error = *fer_error_last();
    if (status == FER_OK && expected != NULL) {
        check_floats(y, expected, count);
    } else if (status != FER_OK) {
        assert_null(y);
        assert_int_equal(error.status, status);
    }
    fer_tensor_release(x);
    fer_tensor_release(y);
    return status;
}

static inline void nap_ms(uint32_t ms) {
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}
/* Waits until as many kernels hang. */
static inline void wait_hanging(uint32_t count) {
    for (int i = 0; i < PATIENCE_MS && sim_hanging() != count; i++) {
        nap_ms(1);
    }
    assert_int_equal(sim_hanging(), count);
}
static inline uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
