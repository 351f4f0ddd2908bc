/* SPDX-License-Identifier: Apache-2.0
 *
 * Passing slots on: see forward.h.
 */
#include "kit/forward.h"

/* ---- memory ---- */

static fer_status
mem_alloc(void *self, uint64_t bytes, uint64_t alignment, int32_t kind, fer_mem *out_mem) {
    const feri_kit_forward *to = self;
    return to->inner->memory->alloc(to->handle, bytes, alignment, kind, out_mem);
}

static void mem_free(void *self, const fer_mem *mem) {
    const feri_kit_forward *to = self;
    to->inner->memory->free(to->handle, mem);
}

static fer_status
mem_copy(void *self, const fer_mem *destination, const fer_mem *source, uint64_t bytes) {
    const feri_kit_forward *to = self;
    return to->inner->memory->copy(to->handle, destination, source, bytes);
}

static fer_status mem_copy_peer(void *self,
                                const fer_mem *destination,
                                void *source_device,
                                const fer_mem *source,
                                uint64_t bytes) {
    const feri_kit_forward *to = self, *from = source_device;
    return to->inner->memory->copy_peer(to->handle, destination, from->handle, source, bytes);
}

static fer_status mem_map(void *self, const fer_mem *mem, void **out_host) {
    const feri_kit_forward *to = self;
    return to->inner->memory->map(to->handle, mem, out_host);
}

static fer_status mem_unmap(void *self, const fer_mem *mem, void *host) {
    const feri_kit_forward *to = self;
    return to->inner->memory->unmap(to->handle, mem, host);
}

const fer_backend_memory feri_kit_forward_memory = {.struct_size = sizeof(fer_backend_memory),
                                                    .alloc = mem_alloc,
                                                    .free = mem_free,
                                                    .copy = mem_copy,
                                                    .copy_peer = mem_copy_peer,
                                                    .map = mem_map,
                                                    .unmap = mem_unmap};

/* ---- async ---- */

static fer_status stream_create(void *self, void **out_stream) {
    const feri_kit_forward *to = self;
    return to->inner->async->stream_create(to->handle, out_stream);
}

static void stream_destroy(void *self, void *stream) {
    const feri_kit_forward *to = self;
    to->inner->async->stream_destroy(to->handle, stream);
}

static fer_status copy_async(void *self,
                             void *stream,
                             const fer_mem *destination,
                             const fer_mem *source,
                             uint64_t bytes,
                             void *const *waits,
                             uint32_t wait_count,
                             void **out_event) {
    const feri_kit_forward *to = self;
    return to->inner->async->copy_async(
        to->handle, stream, destination, source, bytes, waits, wait_count, out_event);
}

static fer_status event_query(void *self, void *event) {
    const feri_kit_forward *to = self;
    return to->inner->async->event_query(to->handle, event);
}

static fer_status event_wait(void *self, void *event, uint64_t timeout_ns) {
    const feri_kit_forward *to = self;
    return to->inner->async->event_wait(to->handle, event, timeout_ns);
}

static fer_status event_on_ready(void *self,
                                 void *event,
                                 void (*ready)(void *self, fer_status status),
                                 void *ready_self) {
    const feri_kit_forward *to = self;
    return to->inner->async->event_on_ready(to->handle, event, ready, ready_self);
}

static void event_destroy(void *self, void *event) {
    const feri_kit_forward *to = self;
    to->inner->async->event_destroy(to->handle, event);
}

static void cancel(void *self, void *stream) {
    const feri_kit_forward *to = self;
    to->inner->async->cancel(to->handle, stream);
}

const fer_backend_async feri_kit_forward_async = {.struct_size = sizeof(fer_backend_async),
                                                  .stream_create = stream_create,
                                                  .stream_destroy = stream_destroy,
                                                  .copy_async = copy_async,
                                                  .event_query = event_query,
                                                  .event_wait = event_wait,
                                                  .event_on_ready = event_on_ready,
                                                  .event_destroy = event_destroy,
                                                  .cancel = cancel};

/* ---- interop ---- */

static fer_status
buffer_import(void *self, int32_t handle_type, uint64_t handle, uint64_t bytes, fer_mem *out_mem) {
    const feri_kit_forward *to = self;
    return to->inner->interop->buffer_import(to->handle, handle_type, handle, bytes, out_mem);
}

static fer_status
buffer_export(void *self, const fer_mem *mem, int32_t handle_type, uint64_t *out_handle) {
    const feri_kit_forward *to = self;
    return to->inner->interop->buffer_export(to->handle, mem, handle_type, out_handle);
}

static fer_status event_import(void *self, int32_t handle_type, uint64_t handle, void **out_event) {
    const feri_kit_forward *to = self;
    return to->inner->interop->event_import(to->handle, handle_type, handle, out_event);
}

static fer_status event_export(void *self, void *event, int32_t handle_type, uint64_t *out_handle) {
    const feri_kit_forward *to = self;
    return to->inner->interop->event_export(to->handle, event, handle_type, out_handle);
}

static fer_status stream_native(void *self, void *stream, uint64_t *out_native) {
    const feri_kit_forward *to = self;
    return to->inner->interop->stream_native(to->handle, stream, out_native);
}

static fer_status stream_wrap(void *self, uint64_t native, void **out_stream) {
    const feri_kit_forward *to = self;
    return to->inner->interop->stream_wrap(to->handle, native, out_stream);
}

const fer_backend_interop feri_kit_forward_interop = {.struct_size = sizeof(fer_backend_interop),
                                                      .buffer_import = buffer_import,
                                                      .buffer_export = buffer_export,
                                                      .event_import = event_import,
                                                      .event_export = event_export,
                                                      .stream_native = stream_native,
                                                      .stream_wrap = stream_wrap};

/* ---- observe ---- */

static fer_status counters(void *self, fer_device_counters *out_counters) {
    const feri_kit_forward *to = self;
    return to->inner->observe->counters(to->handle, out_counters);
}

static fer_status read_clock(void *self, uint64_t *out_device_ns, uint64_t *out_host_ns) {
    const feri_kit_forward *to = self;
    return to->inner->observe->clock(to->handle, out_device_ns, out_host_ns);
}

static fer_status
event_times(void *self, void *event, uint64_t *out_start_ns, uint64_t *out_end_ns) {
    const feri_kit_forward *to = self;
    return to->inner->observe->event_times(to->handle, event, out_start_ns, out_end_ns);
}

static fer_status profile_begin(void *self) {
    const feri_kit_forward *to = self;
    return to->inner->observe->profile_begin(to->handle);
}

static fer_status profile_end(void *self, fer_text_fn write, void *write_self) {
    const feri_kit_forward *to = self;
    return to->inner->observe->profile_end(to->handle, write, write_self);
}

static fer_status trim(void *self, uint64_t *out_freed_bytes) {
    const feri_kit_forward *to = self;
    return to->inner->observe->trim(to->handle, out_freed_bytes);
}

const fer_backend_observe feri_kit_forward_observe = {.struct_size = sizeof(fer_backend_observe),
                                                      .counters = counters,
                                                      .clock = read_clock,
                                                      .event_times = event_times,
                                                      .profile_begin = profile_begin,
                                                      .profile_end = profile_end,
                                                      .trim = trim};
