/* SPDX-License-Identifier: Apache-2.0
 *
 * How ref compiles and runs: intermediates, dims that change, what a warm run allocates, polling,
 * allocations that fail, bad hosts. Through the table only.
 */
#include "chain.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static chain c; /* large */

typedef struct session {
    void *exec;
    void *instance;
    uint8_t *workspace;
    uint64_t workspace_bytes;
} session;

static fer_status begin(small_host *small, session *s, int64_t length) {
    fer_instance_args args = {.struct_size = sizeof(args)};
    memset(s, 0, sizeof(*s));
    fer_status status = c.module.core->compile(c.device, &c.graph, &s->exec);
    if (status == FER_OK) {
        status = c.module.core->workspace_bytes(c.device, s->exec, &length, &s->workspace_bytes);
    }
    if (status == FER_OK) {
        s->workspace = malloc(s->workspace_bytes + 1);
        status = c.module.instances->instance_create(c.device, s->exec, &args, &s->instance);
    }
    (void)small;
    return status;
}

static void end(session *s) {
    if (s->instance) {
        c.module.instances->instance_destroy(c.device, s->instance);
    }
    if (s->exec) {
        c.module.core->exec_destroy(c.device, s->exec);
    }
    free(s->workspace);
}

static fer_status run(small_host *small, session *s, int64_t length, float *x, float *y) {
    fer_poll poll = {.check = small_poll, .self = small};
    fer_mem in = {.bytes = (uint64_t)length * 4, .host = x};
    fer_mem out = {.bytes = (uint64_t)length * 4, .host = y};
    void *signal = &in;
    fer_run_args args = {
        .struct_size = sizeof(args),
        .dim_count = 1,
        .dim_values = &length,
        .dims_id = (uint64_t)length + 1,
        .inputs = &in,
        .outputs = &out,
        .workspace = {.bytes = s->workspace_bytes, .host = s->workspace},
        .poll = &poll,
        .out_signal = &signal
    };
    fer_status status = c.module.instances->run(c.device, s->instance, &args);
    assert_true(status != FER_OK || signal == NULL);
    return status;
}

static void a_chain_runs_in_many_sizes(void **state) {
    (void)state;
    small_host small;
    small_host_init(&small);
    session s;
    float x[300];
    float y[300];
    chain_make(&c, 5, FER_OP_Neg, FER_OP_Abs); /* -| -| -  : y = -|x| */
    assert_int_equal(chain_open(&c, &small), FER_OK);
    assert_int_equal(begin(&small, &s, 300), FER_OK);
    for (int64_t length = 0; length <= 300; length += 100) {
        for (int64_t i = 0; i < 300; i++) {
            x[i] = (float)(i % 2 ? i : -i);
            y[i] = 77;
        }
        for (int again = 0; again < 2; again++) {
            assert_int_equal(run(&small, &s, length, x, y), FER_OK);
        }
        for (int64_t i = 0; i < 300; i++) {
            assert_true(y[i] == (float)(i < length ? -i : 77));
        }
    }
    end(&s);
    chain_close(&c);
    assert_int_equal(small.live, 0);
}

static void a_warm_run_allocates_nothing(void **state) {
    (void)state;
    small_host small;
    small_host_init(&small);
    session s;
    float x[16] = {-1, 2};
    float y[16];
    float z[16];
    chain_make(&c, 1000, FER_OP_Relu, FER_OP_Neg);
    assert_int_equal(chain_open(&c, &small), FER_OK);
    assert_int_equal(begin(&small, &s, 16), FER_OK);
    assert_int_equal(run(&small, &s, 16, x, y), FER_OK);
    uint64_t before = small.total;
    assert_int_equal(run(&small, &s, 16, x, z), FER_OK); /* another output address */
    assert_int_equal(small.total, before);
    assert_memory_equal(y, z, sizeof(y));
    end(&s);
    chain_close(&c);
    assert_int_equal(small.live, 0);
}

static void kernels_ask_every_65536_operations(void **state) {
    (void)state;
    small_host small;
    small_host_init(&small);
    session s;
    int64_t length = 1 << 20;
    float *x = calloc((size_t)length, 4);
    float *y = calloc((size_t)length, 4);
    chain_make(&c, 2, FER_OP_Relu, FER_OP_Neg);
    assert_int_equal(chain_open(&c, &small), FER_OK);
    assert_int_equal(begin(&small, &s, length), FER_OK);
    assert_int_equal(run(&small, &s, length, x, y), FER_OK);
    assert_true(small.polls >= 32 && small.polls < 64);
    small.poll_status = FER_CANCELLED;
    small.polls = 0;
    assert_int_equal(run(&small, &s, length, x, y), FER_CANCELLED);
    assert_int_equal(small.polls, 1);
    end(&s);
    chain_close(&c);
    free(x);
    free(y);
    assert_int_equal(small.live, 0);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    float x[16] = {0};
    float y[16];
    chain_make(&c, 4, FER_OP_Relu, FER_OP_Neg);
    int failures = 0;
    for (uint64_t at = 1; at < 100; at++) {
        small_host small;
        small_host_init(&small);
        small.fail_at = at;
        session s = {0};
        fer_status status = chain_open(&c, &small);
        if (status == FER_OK) {
            status = begin(&small, &s, 16);
        }
        if (status == FER_OK) {
            status = run(&small, &s, 16, x, y);
        }
        end(&s);
        chain_close(&c);
        assert_int_equal(small.live, 0);
        assert_true(status == FER_OK || status == FER_OUT_OF_MEMORY);
        failures += status != FER_OK;
        if (status == FER_OK) {
            break;
        }
    }
    assert_true(failures >= 4);
}

static void bad_runs_are_refused(void **state) {
    (void)state;
    small_host small;
    small_host_init(&small);
    session s;
    float x[16] = {0};
    float y[16];
    chain_make(&c, 2, FER_OP_Relu, FER_OP_Neg);
    assert_int_equal(chain_open(&c, &small), FER_OK);
    assert_int_equal(begin(&small, &s, 16), FER_OK);
    assert_int_equal(run(&small, &s, 16, x, NULL), FER_INVALID_ARGUMENT);
    assert_int_equal(run(&small, &s, (1 << 20) + 1, x, y), FER_INVALID_INPUT); /* above max */
    s.workspace_bytes = 1;
    assert_int_equal(run(&small, &s, 16, x, y), FER_INVALID_ARGUMENT);
    s.workspace_bytes = 64;
    assert_int_equal(run(&small, &s, 16, x, y), FER_OK);
    end(&s);
    /* A graph that is not in order. */
    c.node_list[0] = &c.nodes[1];
    c.node_list[1] = &c.nodes[0];
    void *exec = NULL;
    assert_int_equal(c.module.core->compile(c.device, &c.graph, &exec), FER_UNSUPPORTED);
    assert_null(exec);
    chain_close(&c);
    assert_int_equal(small.live, 0);
}

static void versions_are_negotiated(void **state) {
    (void)state;
    fer_backend_module module = {.struct_size = sizeof(module)};
    assert_int_equal(fer_ref_backend_open(2, 9, &module), FER_VERSION);
    assert_int_equal(fer_ref_backend_open(1, 9, &module), FER_OK);
    assert_int_equal(module.abi_version, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_runs_in_many_sizes),
        cmocka_unit_test(a_warm_run_allocates_nothing),
        cmocka_unit_test(kernels_ask_every_65536_operations),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(bad_runs_are_refused),
        cmocka_unit_test(versions_are_negotiated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
