/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices as contexts see them: facts, counters, two contexts on one chip, wrappers, and the slots
 * that runs do not use (interop, observe, serialised execs) through the completed tables.
 */
#include "device/device.h"
#include "program.h"
#include "sim_fixture.h"

#include <pthread.h>
#include <unistd.h>

/* Enumeration that found no memory goes on where it was. */
static void devices_come_once(void **state) {
    (void)state;
    int failed = 1;
    for (int64_t at = 1; failed; at++) {
        fer_context *context = sim_context();
        uint32_t count = 0;
        heap.fails_in = at;
        failed = fer_context_device_count(context, &count) != FER_OK;
        heap.fails_in = 0;
        OK(fer_context_device_count(context, &count));
        assert_int_equal(count, 2 * SIM_CHIPS + 1);
        fer_context_release(context);
    }
}

static void facts_are_the_backends(void **state) {
    (void)state;
    fer_context *context = sim_context();
    uint32_t count = 0;
    OK(fer_context_device_count(context, &count));
    assert_int_equal(count, 2 * SIM_CHIPS + 1);
    uint32_t sims = 0;
    for (uint32_t i = 0; i < count; i++) {
        fer_device *device = NULL;
        fer_device_info info = {.struct_size = sizeof(info)};
        OK(fer_context_device(context, i, &device));
        OK(fer_device_get_info(device, &info));
        if (strcmp(info.backend, "sim") == 0) {
            char name[16], chip[32];
            (void)snprintf(name, sizeof(name), "sim:%u", sims);
            (void)snprintf(chip, sizeof(chip), "simulated chip %u", sims);
            assert_string_equal(info.name, name);
            assert_string_equal(info.chip, chip);
            assert_string_equal(info.note, "f32");
            assert_int_equal(info.type, FER_DEVICE_ACCELERATOR);
            assert_int_equal(info.memory_bytes, 64 << 20);
            assert_int_equal(info.is_default, 0);
            assert_int_equal(info.state, FER_STATE_READY);
            assert_int_equal(info.budget_bytes, 0);
            sims++;
        }
        /* Highest preference first: ref is the last. */
        assert_int_equal(strcmp(info.backend, "ref") == 0, i + 1 == count);
        fer_device_release(device);
    }
    assert_int_equal(sims, SIM_CHIPS);
    assert_int_equal(sim_get_stats(0).opens, 0); /* nothing was opened for that */
    fer_device *device = NULL;
    FAILS(FER_INVALID_ARGUMENT, fer_context_device(context, count, &device));
    FAILS(FER_NO_DEVICE, fer_device_find(context, "sim:3", &device));
    fer_context_release(context);
}

static void counters_count(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device = NULL;
    fer_device_counters counters = {.struct_size = sizeof(counters)};
    OK(fer_device_find(context, "sim:2", &device));
    OK(fer_device_get_counters(device, &counters));
    assert_int_equal(counters.memory_used_bytes, 0);
    assert_int_equal(counters.memory_total_bytes, 64 << 20);
    fer_tensor *tensor = NULL;
    OK(fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){1000}, &tensor));
    OK(fer_device_get_counters(device, &counters));
    assert_int_equal(counters.memory_used_bytes, 4000);
    fer_tensor_release(tensor);
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu"}, 1, "sim:2");
    OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, 2}));
    OK(fer_device_get_counters(device, &counters));
    assert_true(counters.busy_ns > 0);
    assert_int_equal(counters.has_energy, 1);
    assert_int_equal(counters.energy_uj, 10);
    fer_program_release(program);
    fer_device_release(device);
    fer_context_release(context);
}

static void contexts_share_a_chip(void **state) {
    (void)state;
    fer_context *contexts[2] = {sim_context(), sim_context()};
    fer_program *programs[2];
    fer_device *devices[2] = {NULL, NULL};
    const float in[2] = {-1, 2}, out[2] = {0, 2};
    for (int i = 0; i < 2; i++) {
        OK(fer_device_find(contexts[i], "sim", &devices[i]));
        programs[i] = chain_program(contexts[i], 2, (const char *[]){"Relu"}, 1, "sim");
        OK(run_floats(programs[i], contexts[i], NULL, in, 2, out));
    }
    assert_int_equal(sim_get_stats(0).opens, 2);
    /* A tensor of one is a stranger to the other, even on one chip: it goes through the host. */
    fer_tensor *x = NULL, *y = NULL;
    OK(fer_tensor_create_on(devices[0], FER_F32, 1, (int64_t[]){2}, &x));
    OK(fer_tensor_write(x, 0, in, sizeof(in)));
    OK(fer_program_run(programs[1], NULL, &x, 1, &y, 1));
    check_floats(y, out, 2);
    fer_tensor_release(y);
    /* The chip is lost for both; each context comes back by itself. */
    sim_lose(0, /*tell_host=*/0);
    for (int i = 0; i < 2; i++) {
        FAILS(FER_DEVICE_LOST, run_floats(programs[i], contexts[i], NULL, in, 2, NULL));
    }
    OK(fer_device_reopen(devices[0]));
    OK(run_floats(programs[0], contexts[0], NULL, in, 2, out));
    FAILS(FER_DEVICE_LOST, run_floats(programs[1], contexts[1], NULL, in, 2, NULL));
    fer_device_info info = {.struct_size = sizeof(info)};
    OK(fer_device_get_info(devices[1], &info));
    assert_int_equal(info.generation, 1);
    fer_tensor_release(x);
    for (int i = 0; i < 2; i++) {
        fer_program_release(programs[i]);
        fer_device_release(devices[i]);
        fer_context_release(contexts[i]);
    }
}

/* ---- wrappers ---- */

static void count_lines(void *self, int32_t level, const char *message) {
    (void)level;
    *(_Atomic int *)self += strstr(message, "copy_async") != NULL;
}

static void trace_wraps_an_asynchronous_device(void **state) {
    (void)state;
    const char *manifests = getenv("FERRULE_BACKEND_PATH");
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/../libferrule-trace.so", manifests ? manifests : "");
    if (access(path, R_OK) != 0) {
        skip();
    }
    _Atomic int lines = 0;
    fer_context *context = sim_context_with(NULL, 0, count_lines, NULL, &lines);
    OK(fer_backend_load(context, path));
    fer_program *program =
        chain_program(context, 2, (const char *[]){"Relu", "Neg"}, 2, "trace(sim:1)");
    const float in[2] = {-1, 2}, out[2] = {0, -2};
    for (int i = 0; i < 2; i++) {
        OK(run_floats(program, context, NULL, in, 2, out));
    }
    assert_true(lines >= 2);
    assert_int_equal(sim_get_stats(1).runs_async, 2);
    sim_inject(1, &(sim_faults){.kernel_fails_at = 1});
    FAILS(FER_BACKEND, run_floats(program, context, NULL, in, 2, NULL));
    SAYS("the kernel faulted");
    sim_inject(1, &(sim_faults){.lost_at_kernel = 1});
    FAILS(FER_DEVICE_LOST, run_floats(program, context, NULL, in, 2, NULL));
    fer_device *device = NULL;
    OK(fer_device_find(context, "trace(sim:1)", &device));
    OK(fer_device_reopen(device));
    OK(run_floats(program, context, NULL, in, 2, out));
    fer_device_release(device);
    fer_program_release(program);
    fer_context_release(context);
}

/* ---- slots through the completed tables ---- */

typedef struct text {
    char data[512];
    size_t length;
} text;

static int32_t text_write(void *self, const char *data, size_t length) {
    text *t = self;
    if (length > sizeof(t->data) - t->length) {
        return 1;
    }
    memcpy(t->data + t->length, data, length);
    t->length += length;
    return 0;
}
static int32_t bytes_write(void *self, const void *data, size_t length) {
    return text_write(self, data, length);
}

static void what_is_observed(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu", "Neg"}, 2, "sim:1");
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim:1", &device));
    feri_session *session = NULL;
    OK(feri_device_session(device, &session));
    const fer_backend_observe *observe = &device->backend->tables.observe;
    uint64_t device_ns = 0, host_ns = 0, freed = 0;
    OK(observe->clock(session->handle, &device_ns, &host_ns));
    assert_int_equal(device_ns - host_ns, sim_clock_ahead_ns(1));
    OK(observe->profile_begin(session->handle));
    OK(run_floats(program, context, NULL, (float[]){-1, 2}, 2, (float[]){0, -2}));
    text seen = {.length = 0};
    OK(observe->profile_end(session->handle, text_write, &seen));
    seen.data[seen.length] = 0;
    assert_string_equal(seen.data, "Relu n0\nNeg n1\n");
    fer_program_release(program);
    OK(observe->trim(session->handle, &freed));
    assert_true(freed > 0);
    OK(observe->trim(session->handle, &freed));
    assert_int_equal(freed, 0);
    feri_session_release(session);
    fer_device_release(device);
    fer_context_release(context);
}

static void what_is_shared_with_others(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_device *device = NULL;
    OK(fer_device_find(context, "sim", &device));
    feri_session *session = NULL;
    OK(feri_device_session(device, &session));
    const feri_backend *backend = device->backend;
    void *handle = session->handle;
    /* A buffer under a second name outlives its first. */
    fer_mem mem = {0}, same = {0};
    uint64_t native = 0;
    OK(backend->tables.memory.alloc(handle, 16, 256, FER_MEM_STAGING, &mem));
    assert_non_null(mem.host);
    memcpy(mem.host, "0123456789abcde", 16);
    OK(backend->tables.interop.buffer_export(handle, &mem, FER_HANDLE_NATIVE, &native));
    FAILS(FER_UNSUPPORTED,
          backend->tables.interop.buffer_export(handle, &mem, FER_HANDLE_DMABUF, &native));
    OK(backend->tables.interop.buffer_import(handle, FER_HANDLE_NATIVE, native, 16, &same));
    FAILS(FER_UNSUPPORTED,
          backend->tables.interop.buffer_import(handle, FER_HANDLE_NATIVE, native, 17, &same));
    backend->tables.memory.free(handle, &mem);
    char data[16];
    fer_mem to = {NULL, 0, 16, data};
    OK(backend->tables.memory.copy(handle, &to, &same, 16));
    assert_string_equal(data, "0123456789abcde");
    void *window = NULL;
    OK(backend->tables.memory.map(handle, &same, &window));
    memcpy(window, "x", 1);
    OK(backend->tables.memory.unmap(handle, &same, window));
    OK(backend->tables.memory.copy(handle, &to, &same, 16));
    assert_string_equal(data, "x123456789abcde");
    /* Events and streams. */
    void *stream = NULL, *wrapped = NULL, *event = NULL, *imported = NULL, *after = NULL;
    OK(backend->tables.async.stream_create(handle, &stream));
    OK(backend->tables.interop.stream_native(handle, stream, &native));
    OK(backend->tables.interop.stream_wrap(handle, native, &wrapped));
    OK(backend->tables.async.copy_async(handle, wrapped, &to, &same, 16, NULL, 0, &event));
    OK(backend->tables.interop.event_export(handle, event, FER_HANDLE_NATIVE, &native));
    OK(backend->tables.interop.event_import(handle, FER_HANDLE_NATIVE, native, &imported));
    backend->tables.async.event_destroy(handle, event);
    OK(backend->tables.async.copy_async(handle, stream, &same, &to, 16, &imported, 1, &after));
    OK(backend->tables.async.event_wait(handle, imported, UINT64_MAX));
    OK(backend->tables.async.event_wait(handle, after, UINT64_MAX));
    backend->tables.async.event_destroy(handle, imported);
    backend->tables.async.event_destroy(handle, after);
    backend->tables.async.stream_destroy(handle, wrapped);
    backend->tables.async.stream_destroy(handle, stream);
    backend->tables.memory.free(handle, &same);
    feri_session_release(session);
    /* Where a module has none of it, the host says so. */
    fer_device_release(device);
    OK(fer_device_find(context, "simplain", &device));
    OK(feri_device_session(device, &session));
    backend = device->backend;
    assert_int_equal(backend->tables.interop.stream_native(session->handle, NULL, &native),
                     FER_UNSUPPORTED);
    assert_int_equal(
        backend->tables.compiler.compatibility_key(session->handle, data, sizeof(data)),
        FER_UNSUPPORTED);
    OK(backend->tables.async.event_query(session->handle, NULL));
    uint64_t device_ns = 0, host_ns = 1;
    OK(backend->tables.observe.clock(session->handle, &device_ns, &host_ns));
    assert_int_equal(device_ns, host_ns);
    feri_session_release(session);
    fer_device_release(device);
    fer_context_release(context);
}

static void execs_are_serialised(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 2, (const char *[]){"Relu", "Neg"}, 2, "sim:1");
    const feri_exec *exec = &program->segment->specs->plan->execs[0];
    const feri_backend *backend = exec->session->device->backend;
    void *device = exec->session->handle, *copy = NULL;
    text bytes = {.length = 0};
    char key[64];
    OK(backend->tables.compiler.compatibility_key(device, key, sizeof(key)));
    assert_string_equal(key, "sim 1 chip 1");
    OK(backend->tables.compiler.serialize(device, exec->handle, bytes_write, &bytes));
    assert_true(bytes.length > 8);
    OK(backend->tables.compiler.deserialize(
        device, &exec->view.graph, bytes.data, bytes.length, &copy));
    backend->tables.core.exec_destroy(device, copy);
    copy = NULL;
    FAILS(FER_INVALID_ARGUMENT,
          backend->tables.compiler.deserialize(
              device, &exec->view.graph, bytes.data, bytes.length - 1, &copy));
    assert_null(copy);
    bytes.length = sizeof(bytes.data) - 4;
    FAILS(FER_IO, backend->tables.compiler.serialize(device, exec->handle, bytes_write, &bytes));
    fer_program_release(program);
    fer_context_release(context);
}

/* ---- threads that open, lose and ask at once ---- */

static void *ask(void *self) {
    fer_context *context = self;
    for (int i = 0; i < 100; i++) {
        fer_device *device = NULL;
        fer_device_info info = {.struct_size = sizeof(info)};
        fer_device_counters counters = {.struct_size = sizeof(counters)};
        fer_tensor *tensor = NULL;
        uint32_t count = 0;
        if (fer_context_device_count(context, &count) != FER_OK ||
            fer_device_find(context, "sim", &device) != FER_OK ||
            fer_device_get_info(device, &info) != FER_OK) {
            return self;
        }
        fer_status status = fer_device_get_counters(device, &counters);
        if (status == FER_OK) {
            status = fer_tensor_create_on(device, FER_F32, 1, (int64_t[]){8}, &tensor);
        }
        if (status == FER_OK) {
            status = fer_tensor_write(tensor, 0, "12345678", 8);
        }
        if (status == FER_DEVICE_LOST) {
            status = fer_device_reopen(device);
        }
        fer_tensor_release(tensor);
        fer_device_release(device);
        if (status != FER_OK && status != FER_DEVICE_LOST) {
            return self;
        }
    }
    return NULL;
}

static void devices_are_safe_to_share(void **state) {
    (void)state;
    fer_context *context = sim_context();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, context), 0);
    }
    for (int i = 0; i < 20; i++) {
        nap_ms(1);
        sim_lose(0, i % 2);
    }
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(devices_come_once),
        SIM_TEST(facts_are_the_backends),
        SIM_TEST(counters_count),
        SIM_TEST(contexts_share_a_chip),
        SIM_TEST(trace_wraps_an_asynchronous_device),
        SIM_TEST(what_is_observed),
        SIM_TEST(what_is_shared_with_others),
        SIM_TEST(execs_are_serialised),
        SIM_TEST(devices_are_safe_to_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
