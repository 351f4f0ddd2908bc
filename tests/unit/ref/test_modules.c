/* SPDX-License-Identifier: Apache-2.0
 *
 * The modules null and trace, loaded as the host loads them and driven through their tables: null
 * computes, trace calls the slot of the same name and says so. Skipped where they are not built.
 */
#include "small_host.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef fer_status (*entry_fn)(uint32_t, uint32_t, fer_backend_module *);

/* build/backends/libferrule-<name>.so, found from the folder of manifests the tests are given. */
static entry_fn load(const char *name) {
    const char *manifests = getenv("FERRULE_BACKEND_PATH");
    char path[4096];
    if (!manifests) {
        skip();
    }
    (void)snprintf(path, sizeof(path), "%s/../libferrule-%s.so", manifests, name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        skip();
    }
    entry_fn entry;
    void *symbol = dlsym(library, FER_BACKEND_ENTRY_SYMBOL);
    assert_non_null(symbol);
    memcpy(&entry, &symbol, sizeof(entry));
    return entry;
}

static void null_computes_relu(void **state) {
    (void)state;
    entry_fn entry = load("null");
    small_host small;
    small_host_init(&small);
    float x[4] = {-1, 2, NAN, -3};
    float y[4];
    node_case one = {.op = FER_OP_Relu, .revision = 14, .in_count = 1, .out_count = 1};
    one.in[0] = (node_operand){.dtype = FER_F32, .rank = 1, .dims = {4}, .data = x};
    one.out[0] = (node_operand){.dtype = FER_F32, .rank = 1, .dims = {4}, .data = y};
    assert_int_equal(node_case_run(&small, entry, &one), FER_OK);
    assert_true(y[0] == 0 && y[1] == 2 && isnan(y[2]) && y[3] == 0);
    one.op = FER_OP_Identity;
    one.revision = 25;
    assert_int_equal(node_case_run(&small, entry, &one), FER_OK);
    assert_memory_equal(x, y, sizeof(x));
    one.in[0].dtype = one.out[0].dtype = FER_I32;
    assert_int_equal(node_case_run(&small, entry, &one), FER_UNSUPPORTED);
    assert_non_null(strstr(one.reason, "f32"));
    assert_int_equal(small.live, 0);
}

static void null_survives_failing_allocations(void **state) {
    (void)state;
    entry_fn entry = load("null");
    float x[4] = {0};
    node_case one = {.op = FER_OP_Relu, .revision = 14, .in_count = 1, .out_count = 1};
    one.in[0] = (node_operand){.dtype = FER_F32, .rank = 1, .dims = {4}, .data = x};
    one.out[0] = one.in[0];
    fer_status status = FER_OUT_OF_MEMORY;
    for (uint64_t at = 1; at < 20 && status == FER_OUT_OF_MEMORY; at++) {
        small_host small;
        small_host_init(&small);
        small.fail_at = at;
        status = node_case_run(&small, entry, &one);
        assert_int_equal(small.live, 0);
    }
    assert_int_equal(status, FER_OK);
}

static void modules_refuse_other_versions(void **state) {
    (void)state;
    fer_backend_module module = {.struct_size = sizeof(module)};
    assert_int_equal(load("null")(7, 9, &module), FER_VERSION);
    assert_int_equal(load("trace")(7, 9, &module), FER_VERSION);
}

/* ---- trace over an inner module of which every slot counts ---- */

static int calls;
static int inner_thing; /* its address serves as every inner object */

static fer_status inner_create(void *self, const fer_create_args *args, void **out_backend) {
    assert_ptr_equal(self, &calls);
    assert_null(args->inner);
    *out_backend = &inner_thing;
    calls++;
    return FER_OK;
}
static void inner_destroy(void *object) {
    assert_ptr_equal(object, &inner_thing);
    calls++;
}
static fer_status inner_count(void *object, uint32_t *out_count) {
    assert_ptr_equal(object, &inner_thing);
    *out_count = 3;
    calls++;
    return FER_OK;
}
static fer_status inner_info(void *object, uint32_t index, fer_backend_device_info *out_info) {
    assert_ptr_equal(object, &inner_thing);
    assert_int_equal(index, 2);
    out_info->flags = FER_DEVICE_HOST_MEMORY;
    calls++;
    return FER_OK;
}
static fer_status inner_open(void *object, uint32_t index, void **out_device) {
    assert_ptr_equal(object, &inner_thing);
    assert_int_equal(index, 2);
    *out_device = &inner_thing;
    calls++;
    return FER_OK;
}
static fer_status inner_workspace(void *device, void *exec, const int64_t *dims, uint64_t *out) {
    (void)dims;
    assert_ptr_equal(device, &inner_thing);
    assert_ptr_equal(exec, &calls);
    *out = 42;
    calls++;
    return FER_OK;
}
static fer_status
inner_copy_peer(void *device, const fer_mem *to, void *other, const fer_mem *from, uint64_t bytes) {
    (void)to;
    (void)from;
    (void)bytes;
    assert_ptr_equal(device, &inner_thing);
    assert_ptr_equal(other, &inner_thing); /* unwrapped */
    calls++;
    return FER_UNSUPPORTED;
}
static fer_status inner_stream(void *device, void **out_stream) {
    assert_ptr_equal(device, &inner_thing);
    *out_stream = &calls;
    calls++;
    return FER_OK;
}
static fer_status inner_key(void *device, char *out_text, size_t capacity) {
    assert_ptr_equal(device, &inner_thing);
    (void)snprintf(out_text, capacity, "key");
    calls++;
    return FER_OK;
}
static fer_status inner_trim(void *device, uint64_t *out_freed) {
    assert_ptr_equal(device, &inner_thing);
    *out_freed = 7;
    calls++;
    return FER_DEVICE_LOST;
}

static void trace_passes_calls_on_and_logs_them(void **state) {
    (void)state;
    entry_fn entry = load("trace");
    small_host small;
    small_host_init(&small);
    const fer_backend_core core = {.create = inner_create,
                                   .destroy = inner_destroy,
                                   .device_count = inner_count,
                                   .device_info = inner_info,
                                   .device_open = inner_open,
                                   .device_close = inner_destroy,
                                   .workspace_bytes = inner_workspace};
    const fer_backend_memory memory = {.copy_peer = inner_copy_peer};
    const fer_backend_async async = {.stream_create = inner_stream};
    const fer_backend_compiler compiler = {.compatibility_key = inner_key};
    const fer_backend_observe observe = {.trim = inner_trim};
    const fer_backend_module inner = {.name = "inner",
                                      .self = &calls,
                                      .core = &core,
                                      .memory = &memory,
                                      .async = &async,
                                      .compiler = &compiler,
                                      .observe = &observe};
    fer_backend_module trace = {.struct_size = sizeof(trace)};
    fer_create_args args = {.struct_size = sizeof(args), .host = &small.host, .options = ""};
    void *backend = NULL;
    void *device = NULL;
    void *stream = NULL;
    uint32_t count = 0;
    uint64_t number = 0;
    char key[8];
    fer_backend_device_info info = {.struct_size = sizeof(info)};
    const fer_mem mem = {0};
    assert_int_equal(entry(1, 1, &trace), FER_OK);
    assert_true(trace.flags & FER_MODULE_WRAPPER);
    assert_int_equal(trace.core->create(trace.self, &args, &backend), FER_INVALID_ARGUMENT);
    args.inner = &inner;
    assert_int_equal(trace.core->create(trace.self, &args, &backend), FER_OK);
    assert_int_equal(trace.core->device_count(backend, &count), FER_OK);
    assert_int_equal(trace.core->device_info(backend, 2, &info), FER_OK);
    assert_int_equal(info.flags, FER_DEVICE_HOST_MEMORY | FER_DEVICE_NEVER_DEFAULT);
    assert_int_equal(trace.core->device_open(backend, 2, &device), FER_OK);
    assert_int_equal(trace.core->workspace_bytes(device, &calls, NULL, &number), FER_OK);
    assert_int_equal(number, 42);
    assert_non_null(strstr(small.log, "workspace_bytes"));
    assert_non_null(strstr(small.log, "42 bytes"));
    assert_int_equal(trace.memory->copy_peer(device, &mem, device, &mem, 5), FER_UNSUPPORTED);
    assert_non_null(strstr(small.log, "UNSUPPORTED"));
    assert_int_equal(trace.async->stream_create(device, &stream), FER_OK);
    assert_ptr_equal(stream, &calls);
    assert_int_equal(trace.compiler->compatibility_key(device, key, sizeof(key)), FER_OK);
    assert_int_equal(trace.observe->trim(device, &number), FER_DEVICE_LOST);
    assert_non_null(strstr(small.log, "DEVICE_LOST"));
    trace.core->device_close(device);
    trace.core->destroy(backend);
    assert_int_equal(calls, 11);
    assert_int_equal(small.log_lines, calls);
    assert_int_equal(small.live, 0);
}

/* Every slot of every table is there: the host would give a default where trace has a hole. */
static void trace_has_every_slot(void **state) {
    (void)state;
    fer_backend_module trace = {.struct_size = sizeof(trace)};
    assert_int_equal(load("trace")(1, 1, &trace), FER_OK);
    const struct {
        const void *table;
        size_t bytes;
    } tables[] = {
        {trace.core,      sizeof(*trace.core)     },
        {trace.instances, sizeof(*trace.instances)},
        {trace.memory,    sizeof(*trace.memory)   },
        {trace.async,     sizeof(*trace.async)    },
        {trace.compiler,  sizeof(*trace.compiler) },
        {trace.interop,   sizeof(*trace.interop)  },
        {trace.observe,   sizeof(*trace.observe)  }
    };
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        for (size_t at = 8; at < tables[t].bytes; at += sizeof(void *)) { /* after the two words */
            void *slot;
            memcpy(&slot, (const char *)tables[t].table + at, sizeof(slot));
            assert_non_null(slot);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_computes_relu),
        cmocka_unit_test(null_survives_failing_allocations),
        cmocka_unit_test(modules_refuse_other_versions),
        cmocka_unit_test(trace_passes_calls_on_and_logs_them),
        cmocka_unit_test(trace_has_every_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
