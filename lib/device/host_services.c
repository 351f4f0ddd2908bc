/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host offers a backend (fer_host): memory, log, error detail, threads, the arena planner,
 * loss, conversions. self of every function is the feri_backend.
 */
#include "base/error.h"
#include "base/workers.h"
#include "device/device.h"
#include "tensor/dtype.h"

#include <string.h>

static feri_env *env_of(void *self) { return &((feri_backend *)self)->context->env; }

static void *service_alloc(void *self, size_t bytes, size_t alignment) {
    return feri_alloc_aligned(env_of(self), bytes, alignment < 16 ? 16 : alignment, /*zeroed=*/0);
}

static void service_free(void *self, void *memory, size_t bytes, size_t alignment) {
    feri_free_aligned(env_of(self), memory, bytes, alignment < 16 ? 16 : alignment);
}

static void service_log(void *self, int32_t level, const char *message) {
    feri_log(env_of(self), level, "%s: %s", ((feri_backend *)self)->name, message);
}

fer_status feri_backend_status(fer_status status) {
    return status == FER_OK || status == FER_NOT_READY || !feri_status_is_known(status)
               ? FER_BACKEND
               : status;
}

static fer_status service_fail(
    void *self, fer_status status, int32_t native_code, const char *node, const char *message) {
    message = message == NULL ? "no reason given" : message;
    if (feri_error_why(status) != status) {
        feri_error_prefix("%s", message); /* and what the host said of its budget */
        status = FER_BUDGET;
    } else {
        status = feri_fail(feri_backend_status(status), "%s", message);
    }
    feri_error_set_backend(((feri_backend *)self)->name, native_code);
    feri_error_set_node(node);
    return status;
}

static void service_parallel_for(void *self,
                                 uint64_t count,
                                 uint64_t grain,
                                 void (*body)(void *argument, uint64_t begin, uint64_t end),
                                 void *argument) {
    feri_workers_for(env_of(self)->workers, count, grain, body, argument);
}

static fer_status service_plan_memory(void *self,
                                      const fer_lifetime *lifetimes,
                                      uint32_t count,
                                      uint64_t alignment,
                                      uint64_t *out_offsets,
                                      uint64_t *out_bytes) {
    return feri_plan_memory(lifetimes, count, alignment, env_of(self), out_offsets, out_bytes);
}

static void service_lost(void *self, uint32_t device_index, const char *reason) {
    feri_backend *backend = self;
    /* Slots that enumerate run under the context's lock: the list is read without it. */
    for (fer_device *device = atomic_load_explicit(&backend->devices, memory_order_acquire);
         device != NULL;
         device = device->sibling) {
        if (device_index == UINT32_MAX || device->index == device_index) {
            feri_device_mark_lost(device, reason);
        }
    }
}

static uint64_t service_clock_ns(void *self) {
    (void)self;
    return feri_clock_ns();
}

static uint64_t service_span_begin(void *self, const char *name) {
    (void)self;
    (void)name;
    return feri_clock_ns();
}

static void service_span_end(void *self, uint64_t span) {
    feri_log(env_of(self),
             FER_LOG_DEBUG,
             "span of %llu ns",
             (unsigned long long)(feri_clock_ns() - span));
}

static const fer_host services = {
    .struct_size = sizeof(fer_host),
    .abi_version = FER_BACKEND_ABI_MAX,
    .alloc = service_alloc,
    .free = service_free,
    .log = service_log,
    .fail = service_fail,
    .parallel_for = service_parallel_for,
    .plan_memory = service_plan_memory,
    .lost = service_lost,
    .load_f64 = feri_load_run_f64,
    .store_f64 = feri_store_run_f64,
    .load_i64 = feri_load_run_i64,
    .store_i64 = feri_store_run_i64,
    .clock_ns = service_clock_ns,
    .span_begin = service_span_begin,
    .span_end = service_span_end,
};

void feri_host_services_init(feri_backend *backend) {
    memcpy(&backend->host, &services, sizeof(services));
    backend->host.self = backend;
}
