/* SPDX-License-Identifier: Apache-2.0
 *
 * How the host calls slots that are not [concurrent]: for one device one at a time, and under no
 * lock that a report of loss, from whatever thread the slot waits for, would wait for.
 */
#include "sim_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* ---- the simulator with slots that look around ---- */

static fer_backend_module sim;
static fer_backend_core core;
static fer_backend_instances instances;
static fer_backend_async async;
static fer_backend_compiler compiler;
static const fer_host *host;
static atomic_int inside, crowds, tells_loss;

static void enter(void) {
    crowds += ++inside != 1;
    for (int i = 0; i < 20; i++) {
        (void)sched_yield(); /* whoever may come in now comes */
    }
}
static void leave(void) { inside--; }

static void *tell_loss(void *unused) {
    (void)unused;
    host->lost(host->self, 0, "a thread of the driver saw it go");
    return NULL;
}
/* A slot that ends a thread of its driver's, which just then has something to say. */
static void join_driver(void) {
    pthread_t driver;
    if (atomic_exchange(&tells_loss, 0)) {
        assert_int_equal(pthread_create(&driver, NULL, tell_loss, NULL), 0);
        assert_int_equal(pthread_join(driver, NULL), 0);
    }
}

static fer_status alone_create(void *self, const fer_create_args *args, void **out_backend) {
    host = args->host;
    return sim.core->create(self, args, out_backend);
}
static fer_status alone_claims(void *device, const fer_op_claim **out_claims, uint32_t *out_count) {
    enter();
    fer_status status = sim.core->op_claims(device, out_claims, out_count);
    leave();
    return status;
}
static fer_status alone_claim(void *device, const fer_subgraph *graph, fer_support *supports) {
    enter();
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < graph->node_count && status == FER_OK; i++) {
        status = sim.core->op_supported(device, graph, i, &supports[i]);
    }
    leave();
    return status;
}
static void alone_exec_destroy(void *device, void *exec) {
    enter();
    sim.core->exec_destroy(device, exec);
    leave();
}
static void alone_instance_destroy(void *device, void *instance) {
    enter();
    sim.instances->instance_destroy(device, instance);
    leave();
}
static fer_status alone_stream_create(void *device, void **out_stream) {
    enter();
    fer_status status = sim.async->stream_create(device, out_stream);
    leave();
    return status;
}
static void alone_stream_destroy(void *device, void *stream) {
    enter();
    join_driver();
    sim.async->stream_destroy(device, stream);
    leave();
}

static fer_status alone_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    fer_status status = sim_backend_open(host_min, host_max, out);
    sim = *out;
    core = *sim.core;
    core.create = alone_create;
    core.op_claims = alone_claims;
    core.exec_destroy = alone_exec_destroy;
    instances = *sim.instances;
    instances.instance_destroy = alone_instance_destroy;
    async = *sim.async;
    async.stream_create = alone_stream_create;
    async.stream_destroy = alone_stream_destroy;
    compiler = *sim.compiler;
    compiler.claim = alone_claim;
    out->name = "alone";
    out->core = &core;
    out->instances = &instances;
    out->async = &async;
    out->compiler = &compiler;
    return status;
}

static fer_context *alone_context(void) {
    fer_context *context = sim_context();
    OK(fer_backend_register(context, alone_open));
    inside = crowds = tells_loss = 0;
    return context;
}

/* ---- the tests ---- */

static const char *const ops[] = {"Relu", "Neg"};

static void *compile_often(void *context) {
    for (int i = 0; i < 20; i++) {
        fer_program *program = chain_program(context, 4, ops, 2, "alone:0");
        OK(run_floats(program, context, NULL, (float[]){-1, 2, 3, -4}, 4, (float[]){0, -2, -3, 0}));
        fer_program_release(program);
    }
    return NULL;
}

static void one_thread_at_a_time(void **state) {
    (void)state;
    fer_context *context = alone_context();
    pthread_t others[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&others[i], NULL, compile_often, context), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(others[i], NULL), 0);
    }
    assert_int_equal(crowds, 0);
    fer_context_release(context);
}

static void loss_is_told_while_a_slot_waits(void **state) {
    (void)state;
    fer_context *context = alone_context();
    fer_program *program = chain_program(context, 4, ops, 2, "alone:0");
    OK(run_floats(program, context, NULL, (float[]){-1, 2, 3, -4}, 4, NULL));
    tells_loss = 1;
    OK(fer_program_trim(program, FER_TRIM_STATES, NULL)); /* its streams are destroyed */
    assert_int_equal(tells_loss, 0);
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, (float[]){1, 2, 3, 4}, 4, NULL));
    fer_program_release(program);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {SIM_TEST(one_thread_at_a_time),
                                       SIM_TEST(loss_is_told_while_a_slot_waits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
