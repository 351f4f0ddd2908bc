/* SPDX-License-Identifier: Apache-2.0
 *
 * trace: the compiler and observe levels. Each slot calls the inner module's and logs one line.
 */
#include "kit/sized.h"
#include "trace/trace.h"

#define U64(number) ((unsigned long long)(number))

/* ---- compiler ---- */

static fer_status claim(void *self, const fer_subgraph *graph, fer_support *supports) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->compiler->claim(device->handle, graph, supports);
    uint32_t claimed = 0;
    for (uint32_t i = 0; status == FER_OK && i < graph->node_count; i++) {
        claimed += supports[i].supported != 0;
    }
    feri_trace_say(device->host,
                   "trace: claim(device %p, %u nodes) -> %s, %u claimed",
                   device->handle,
                   graph->node_count,
                   feri_trace_status(status),
                   claimed);
    return status;
}

static fer_status
weight_layout(void *self, void *exec, uint32_t index, fer_weight_layout *out_layout) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->compiler->weight_layout(device->handle, exec, index, out_layout);
    feri_trace_say(device->host,
                   "trace: weight_layout(device %p, exec %p, constant %u) -> %s, \"%s\", "
                   "%llu bytes",
                   device->handle,
                   exec,
                   index,
                   feri_trace_status(status),
                   status == FER_OK ? out_layout->name : "",
                   status == FER_OK ? U64(out_layout->bytes) : 0);
    return status;
}

static fer_status weight_prepare(
    void *self, void *exec, uint32_t index, const fer_mem *source, const fer_mem *destination) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->compiler->weight_prepare(device->handle, exec, index, source, destination);
    feri_trace_say(device->host,
                   "trace: weight_prepare(device %p, exec %p, constant %u, %llu bytes to %llu) -> "
                   "%s",
                   device->handle,
                   exec,
                   index,
                   U64(source->bytes),
                   U64(destination->bytes),
                   feri_trace_status(status));
    return status;
}

static fer_status serialize(void *self,
                            void *exec,
                            int32_t (*write)(void *self, const void *data, size_t bytes),
                            void *write_self) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->compiler->serialize(device->handle, exec, write, write_self);
    feri_trace_say(device->host,
                   "trace: serialize(device %p, exec %p) -> %s",
                   device->handle,
                   exec,
                   feri_trace_status(status));
    return status;
}

static fer_status deserialize(
    void *self, const fer_subgraph *graph, const void *data, size_t bytes, void **out_exec) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->compiler->deserialize(device->handle, graph, data, bytes, out_exec);
    feri_trace_say(device->host,
                   "trace: deserialize(device %p, %u nodes, %llu bytes) -> %s, exec %p",
                   device->handle,
                   graph->node_count,
                   U64(bytes),
                   feri_trace_status(status),
                   status == FER_OK ? *out_exec : NULL);
    return status;
}

static fer_status compatibility_key(void *self, char *out_text, size_t capacity) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->compiler->compatibility_key(device->handle, out_text, capacity);
    feri_trace_say(device->host,
                   "trace: compatibility_key(device %p) -> %s, \"%s\"",
                   device->handle,
                   feri_trace_status(status),
                   status == FER_OK && capacity > 0 ? out_text : "");
    return status;
}

const fer_backend_compiler feri_trace_compiler = {
    .struct_size = sizeof(feri_trace_compiler),
    .claim = claim,
    .weight_layout = weight_layout,
    .weight_prepare = weight_prepare,
    .serialize = serialize,
    .deserialize = deserialize,
    .compatibility_key = compatibility_key,
};

/* ---- observe ---- */

static fer_status counters(void *self, fer_device_counters *out_counters) {
    const feri_trace_device *device = self;
    if (FERI_KIT_IS_SHORT(out_counters)) {
        return feri_kit_short(device->host);
    }
    fer_status status = device->inner->observe->counters(device->handle, out_counters);
    feri_trace_say(device->host,
                   "trace: counters(device %p) -> %s, %llu bytes used, busy %llu ns",
                   device->handle,
                   feri_trace_status(status),
                   status == FER_OK ? U64(out_counters->memory_used_bytes) : 0,
                   status == FER_OK ? U64(out_counters->busy_ns) : 0);
    return status;
}

static fer_status read_clock(void *self, uint64_t *out_device_ns, uint64_t *out_host_ns) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->observe->clock(device->handle, out_device_ns, out_host_ns);
    feri_trace_say(device->host,
                   "trace: clock(device %p) -> %s, device %llu, host %llu",
                   device->handle,
                   feri_trace_status(status),
                   status == FER_OK ? U64(*out_device_ns) : 0,
                   status == FER_OK ? U64(*out_host_ns) : 0);
    return status;
}

static fer_status
event_times(void *self, void *event, uint64_t *out_start_ns, uint64_t *out_end_ns) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->observe->event_times(device->handle, event, out_start_ns, out_end_ns);
    feri_trace_say(device->host,
                   "trace: event_times(device %p, event %p) -> %s, %llu to %llu",
                   device->handle,
                   event,
                   feri_trace_status(status),
                   status == FER_OK ? U64(*out_start_ns) : 0,
                   status == FER_OK ? U64(*out_end_ns) : 0);
    return status;
}

static fer_status profile_begin(void *self) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->observe->profile_begin(device->handle);
    feri_trace_say(device->host,
                   "trace: profile_begin(device %p) -> %s",
                   device->handle,
                   feri_trace_status(status));
    return status;
}

static fer_status profile_end(void *self, fer_text_fn write, void *write_self) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->observe->profile_end(device->handle, write, write_self);
    feri_trace_say(device->host,
                   "trace: profile_end(device %p) -> %s",
                   device->handle,
                   feri_trace_status(status));
    return status;
}

static fer_status trim(void *self, uint64_t *out_freed_bytes) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->observe->trim(device->handle, out_freed_bytes);
    feri_trace_say(device->host,
                   "trace: trim(device %p) -> %s, %llu bytes freed",
                   device->handle,
                   feri_trace_status(status),
                   status == FER_OK ? U64(*out_freed_bytes) : 0);
    return status;
}

const fer_backend_observe feri_trace_observe = {
    .struct_size = sizeof(feri_trace_observe),
    .counters = counters,
    .clock = read_clock,
    .event_times = event_times,
    .profile_begin = profile_begin,
    .profile_end = profile_end,
    .trim = trim,
};
