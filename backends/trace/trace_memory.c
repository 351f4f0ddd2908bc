/* SPDX-License-Identifier: Apache-2.0
 *
 * trace: the memory, async and interop levels. Each slot calls the inner module's and logs one
 * line.
 */
#include "trace/trace.h"

#define U64(number) ((unsigned long long)(number))

/* ---- memory ---- */

static fer_status
mem_alloc(void *self, uint64_t bytes, uint64_t alignment, int32_t kind, fer_mem *out_mem) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->memory->alloc(device->handle, bytes, alignment, kind, out_mem);
    feri_trace_say(device->host,
                   "trace: alloc(device %p, %llu bytes, alignment %llu, %s) -> %s, handle %p",
                   device->handle,
                   U64(bytes),
                   U64(alignment),
                   kind == FER_MEM_STAGING ? "staging" : "device",
                   feri_trace_status(status),
                   status == FER_OK ? out_mem->handle : NULL);
    return status;
}

static void mem_free(void *self, const fer_mem *mem) {
    const feri_trace_device *device = self;
    void *handle = mem->handle;
    uint64_t bytes = mem->bytes;
    device->inner->memory->free(device->handle, mem);
    feri_trace_say(device->host,
                   "trace: free(device %p, handle %p, %llu bytes)",
                   device->handle,
                   handle,
                   U64(bytes));
}

static fer_status
mem_copy(void *self, const fer_mem *destination, const fer_mem *source, uint64_t bytes) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->memory->copy(device->handle, destination, source, bytes);
    feri_trace_say(device->host,
                   "trace: copy(device %p, to handle %p + %llu, from handle %p + %llu, %llu bytes)"
                   " -> %s",
                   device->handle,
                   destination->handle,
                   U64(destination->offset),
                   source->handle,
                   U64(source->offset),
                   U64(bytes),
                   feri_trace_status(status));
    return status;
}

/* The other device is of the same wrapped backend, so it is one of ours. */
static fer_status mem_copy_peer(void *self,
                                const fer_mem *destination,
                                void *source_device,
                                const fer_mem *source,
                                uint64_t bytes) {
    const feri_trace_device *device = self;
    const feri_trace_device *other = source_device;
    fer_status status =
        device->inner->memory->copy_peer(device->handle, destination, other->handle, source, bytes);
    feri_trace_say(device->host,
                   "trace: copy_peer(device %p, handle %p, from device %p, handle %p, %llu bytes)"
                   " -> %s",
                   device->handle,
                   destination->handle,
                   other->handle,
                   source->handle,
                   U64(bytes),
                   feri_trace_status(status));
    return status;
}

static fer_status mem_map(void *self, const fer_mem *mem, void **out_host) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->memory->map(device->handle, mem, out_host);
    feri_trace_say(device->host,
                   "trace: map(device %p, handle %p) -> %s, host %p",
                   device->handle,
                   mem->handle,
                   feri_trace_status(status),
                   status == FER_OK ? *out_host : NULL);
    return status;
}

static fer_status mem_unmap(void *self, const fer_mem *mem, void *host_address) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->memory->unmap(device->handle, mem, host_address);
    feri_trace_say(device->host,
                   "trace: unmap(device %p, handle %p, host %p) -> %s",
                   device->handle,
                   mem->handle,
                   host_address,
                   feri_trace_status(status));
    return status;
}

const fer_backend_memory feri_trace_memory = {
    .struct_size = sizeof(feri_trace_memory),
    .alloc = mem_alloc,
    .free = mem_free,
    .copy = mem_copy,
    .copy_peer = mem_copy_peer,
    .map = mem_map,
    .unmap = mem_unmap,
};

/* ---- async ---- */

static fer_status stream_create(void *self, void **out_stream) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->async->stream_create(device->handle, out_stream);
    feri_trace_say(device->host,
                   "trace: stream_create(device %p) -> %s, stream %p",
                   device->handle,
                   feri_trace_status(status),
                   status == FER_OK ? *out_stream : NULL);
    return status;
}

static void stream_destroy(void *self, void *stream) {
    const feri_trace_device *device = self;
    device->inner->async->stream_destroy(device->handle, stream);
    feri_trace_say(
        device->host, "trace: stream_destroy(device %p, stream %p)", device->handle, stream);
}

static fer_status copy_async(void *self,
                             void *stream,
                             const fer_mem *destination,
                             const fer_mem *source,
                             uint64_t bytes,
                             void *const *waits,
                             uint32_t wait_count,
                             void **out_event) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->async->copy_async(
        device->handle, stream, destination, source, bytes, waits, wait_count, out_event);
    feri_trace_say(device->host,
                   "trace: copy_async(device %p, stream %p, to handle %p, from handle %p, "
                   "%llu bytes, %u waits) -> %s, event %p",
                   device->handle,
                   stream,
                   destination->handle,
                   source->handle,
                   U64(bytes),
                   wait_count,
                   feri_trace_status(status),
                   status == FER_OK && out_event ? *out_event : NULL);
    return status;
}

static fer_status event_query(void *self, void *event) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->async->event_query(device->handle, event);
    feri_trace_say(device->host,
                   "trace: event_query(device %p, event %p) -> %s",
                   device->handle,
                   event,
                   feri_trace_status(status));
    return status;
}

static fer_status event_wait(void *self, void *event, uint64_t timeout_ns) {
    const feri_trace_device *device = self;
    uint64_t start = device->host->clock_ns(device->host->self);
    fer_status status = device->inner->async->event_wait(device->handle, event, timeout_ns);
    feri_trace_say(device->host,
                   "trace: event_wait(device %p, event %p, at most %llu ns) -> %s, %llu ns",
                   device->handle,
                   event,
                   U64(timeout_ns),
                   feri_trace_status(status),
                   U64(device->host->clock_ns(device->host->self) - start));
    return status;
}

/* The callback goes to the host as it is: it may run after this device object is gone. */
static fer_status event_on_ready(void *self,
                                 void *event,
                                 void (*ready)(void *self, fer_status status),
                                 void *ready_self) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->async->event_on_ready(device->handle, event, ready, ready_self);
    feri_trace_say(device->host,
                   "trace: event_on_ready(device %p, event %p) -> %s",
                   device->handle,
                   event,
                   feri_trace_status(status));
    return status;
}

static void event_destroy(void *self, void *event) {
    const feri_trace_device *device = self;
    device->inner->async->event_destroy(device->handle, event);
    feri_trace_say(
        device->host, "trace: event_destroy(device %p, event %p)", device->handle, event);
}

static void cancel(void *self, void *stream) {
    const feri_trace_device *device = self;
    device->inner->async->cancel(device->handle, stream);
    feri_trace_say(device->host, "trace: cancel(device %p, stream %p)", device->handle, stream);
}

const fer_backend_async feri_trace_async = {
    .struct_size = sizeof(feri_trace_async),
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .copy_async = copy_async,
    .event_query = event_query,
    .event_wait = event_wait,
    .event_on_ready = event_on_ready,
    .event_destroy = event_destroy,
    .cancel = cancel,
};

/* ---- interop ---- */

static fer_status
buffer_import(void *self, int32_t handle_type, uint64_t handle, uint64_t bytes, fer_mem *out_mem) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->interop->buffer_import(device->handle, handle_type, handle, bytes, out_mem);
    feri_trace_say(device->host,
                   "trace: buffer_import(device %p, type %d, %llu bytes) -> %s, handle %p",
                   device->handle,
                   handle_type,
                   U64(bytes),
                   feri_trace_status(status),
                   status == FER_OK ? out_mem->handle : NULL);
    return status;
}

static fer_status
buffer_export(void *self, const fer_mem *mem, int32_t handle_type, uint64_t *out_handle) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->interop->buffer_export(device->handle, mem, handle_type, out_handle);
    feri_trace_say(device->host,
                   "trace: buffer_export(device %p, handle %p, type %d) -> %s",
                   device->handle,
                   mem->handle,
                   handle_type,
                   feri_trace_status(status));
    return status;
}

static fer_status event_import(void *self, int32_t handle_type, uint64_t handle, void **out_event) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->interop->event_import(device->handle, handle_type, handle, out_event);
    feri_trace_say(device->host,
                   "trace: event_import(device %p, type %d) -> %s, event %p",
                   device->handle,
                   handle_type,
                   feri_trace_status(status),
                   status == FER_OK ? *out_event : NULL);
    return status;
}

static fer_status event_export(void *self, void *event, int32_t handle_type, uint64_t *out_handle) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->interop->event_export(device->handle, event, handle_type, out_handle);
    feri_trace_say(device->host,
                   "trace: event_export(device %p, event %p, type %d) -> %s",
                   device->handle,
                   event,
                   handle_type,
                   feri_trace_status(status));
    return status;
}

static fer_status stream_native(void *self, void *stream, uint64_t *out_native) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->interop->stream_native(device->handle, stream, out_native);
    feri_trace_say(device->host,
                   "trace: stream_native(device %p, stream %p) -> %s",
                   device->handle,
                   stream,
                   feri_trace_status(status));
    return status;
}

static fer_status stream_wrap(void *self, uint64_t native, void **out_stream) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->interop->stream_wrap(device->handle, native, out_stream);
    feri_trace_say(device->host,
                   "trace: stream_wrap(device %p) -> %s, stream %p",
                   device->handle,
                   feri_trace_status(status),
                   status == FER_OK ? *out_stream : NULL);
    return status;
}

const fer_backend_interop feri_trace_interop = {
    .struct_size = sizeof(feri_trace_interop),
    .buffer_import = buffer_import,
    .buffer_export = buffer_export,
    .event_import = event_import,
    .event_export = event_export,
    .stream_native = stream_native,
    .stream_wrap = stream_wrap,
};
