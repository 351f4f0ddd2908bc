/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a whole module of a partial one. An adapter sits between the host and the module's own
 * objects: every slot the module has is passed through, every one it lacks gets the host's default,
 * so nothing behind here tests a slot for NULL. Completed modules are also what wrappers (trace,
 * check) are given.
 */
#include "base/error.h"
#include "device/device.h"

#include <stdio.h>
#include <string.h>

/* A backend, device or exec as the host has it. */
typedef struct adapted {
    const feri_tables *module; /* its own tables */
    const fer_host *host;
    void *handle;         /* the module's own object */
    pthread_mutex_t lock; /* of an exec without instances: one run at a time */
} adapted;

/* ---- core ---- */

static adapted *adapted_new(const feri_tables *module, const fer_host *host) {
    adapted *object = host->alloc(host->self, sizeof(*object), 16);
    if (object != NULL) {
        *object = (adapted){.module = module, .host = host};
        pthread_mutex_init(&object->lock, NULL);
    }
    return object;
}

static void adapted_free(adapted *object) {
    pthread_mutex_destroy(&object->lock);
    object->host->free(object->host->self, object, sizeof(*object), 16);
}

/* What the module made, or why it did not: a slot that answers OK has made something. */
static fer_status adapted_keep(adapted *object, fer_status status, void **out_object) {
    if (status == FER_OK && object->handle == NULL) {
        status = object->host->fail(
            object->host->self, FER_BACKEND, 0, NULL, "it answered OK and made nothing");
    }
    if (status != FER_OK) {
        adapted_free(object);
        return status;
    }
    *out_object = object;
    return FER_OK;
}

static fer_status core_create(void *self, const fer_create_args *args, void **out_backend) {
    const feri_adapter *adapter = self;
    if (args->struct_size < sizeof(*args)) {
        return FER_INVALID_ARGUMENT; /* there is no host to tell */
    }
    /* A wrapper around this one knows neither what this one wraps nor what its manifest says. */
    fer_create_args own = *args;
    own.struct_size = sizeof(own);
    if (own.options == NULL || own.options[0] == 0) {
        own.options = adapter->options;
    }
    if (adapter->inner != NULL) {
        own.inner = adapter->inner;
        own.reference = adapter->reference;
    }
    adapted *backend = adapted_new(&adapter->tables, own.host);
    return backend == NULL ? FER_OUT_OF_MEMORY
                           : adapted_keep(backend,
                                          backend->module->core.create(
                                              adapter->original.self, &own, &backend->handle),
                                          out_backend);
}

static void core_destroy(void *object) {
    adapted *backend = object;
    backend->module->core.destroy(backend->handle);
    adapted_free(backend);
}

static fer_status core_device_count(void *object, uint32_t *out_count) {
    const adapted *backend = object;
    return backend->module->core.device_count(backend->handle, out_count);
}

static fer_status
core_device_info(void *object, uint32_t index, fer_backend_device_info *out_info) {
    const adapted *backend = object;
    return backend->module->core.device_info(backend->handle, index, out_info);
}

static fer_status core_device_open(void *object, uint32_t index, void **out_device) {
    const adapted *backend = object;
    adapted *device = adapted_new(backend->module, backend->host);
    return device == NULL ? FER_OUT_OF_MEMORY
                          : adapted_keep(device,
                                         device->module->core.device_open(
                                             backend->handle, index, &device->handle),
                                         out_device);
}

static void core_device_close(void *object) {
    adapted *device = object;
    device->module->core.device_close(device->handle);
    adapted_free(device);
}

static fer_status core_op_supported(void *object,
                                    const fer_subgraph *graph,
                                    uint32_t node,
                                    fer_support *out_support) {
    const adapted *device = object;
    return device->module->core.op_supported(device->handle, graph, node, out_support);
}

static fer_status core_compile(void *object, const fer_subgraph *graph, void **out_exec) {
    const adapted *device = object;
    adapted *exec = adapted_new(device->module, device->host);
    return exec == NULL
               ? FER_OUT_OF_MEMORY
               : adapted_keep(exec,
                              exec->module->core.compile(device->handle, graph, &exec->handle),
                              out_exec);
}

static void core_exec_destroy(void *object, void *object_exec) {
    const adapted *device = object;
    adapted *exec = object_exec;
    exec->module->core.exec_destroy(device->handle, exec->handle);
    adapted_free(exec);
}

static fer_status
core_workspace_bytes(void *object, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    const adapted *device = object;
    return device->module->core.workspace_bytes(
        device->handle, ((adapted *)exec)->handle, dim_values, out_bytes);
}

static fer_status core_run(void *object, void *object_exec, const fer_run_args *args) {
    const adapted *device = object;
    adapted *exec = object_exec;
    pthread_mutex_lock(&exec->lock);
    fer_status status = device->module->core.run(device->handle, exec->handle, args);
    pthread_mutex_unlock(&exec->lock);
    return status;
}

static fer_status
core_op_claims(void *object, const fer_op_claim **out_claims, uint32_t *out_count) {
    const adapted *device = object;
    if (device->module->core.op_claims == NULL) {
        *out_claims = NULL;
        *out_count = 0;
        return FER_OK;
    }
    return device->module->core.op_claims(device->handle, out_claims, out_count);
}

/* ---- instances: by default the exec itself, which core_run takes under its lock ---- */

static fer_status
instance_create(void *object, void *exec, const fer_instance_args *args, void **out_instance) {
    const adapted *device = object;
    if (device->module->instances.instance_create == NULL) {
        *out_instance = exec;
        return FER_OK;
    }
    return device->module->instances.instance_create(
        device->handle, ((adapted *)exec)->handle, args, out_instance);
}

static void instance_destroy(void *object, void *instance) {
    const adapted *device = object;
    if (device->module->instances.instance_destroy != NULL) {
        device->module->instances.instance_destroy(device->handle, instance);
    }
}

static fer_status instance_run(void *object, void *instance, const fer_run_args *args) {
    const adapted *device = object;
    return device->module->instances.run(device->handle, instance, args);
}

/* ---- memory: by default the host's ---- */

static fer_status
mem_alloc(void *object, uint64_t bytes, uint64_t alignment, int32_t kind, fer_mem *out_mem) {
    const adapted *device = object;
    if (device->module->memory.alloc != NULL) {
        return device->module->memory.alloc(device->handle, bytes, alignment, kind, out_mem);
    }
    if (bytes > SIZE_MAX - 64) {
        return FER_OUT_OF_MEMORY;
    }
    /* The alignment is needed again at free, which is only told the piece: it is kept in the
     * handle. */
    void *memory =
        device->host->alloc(device->host->self, bytes == 0 ? 1 : (size_t)bytes, (size_t)alignment);
    if (memory == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    *out_mem = (fer_mem){(void *)(uintptr_t)alignment, 0, bytes, memory};
    return FER_OK;
}

static void mem_free(void *object, const fer_mem *mem) {
    const adapted *device = object;
    if (device->module->memory.free != NULL) {
        device->module->memory.free(device->handle, mem);
        return;
    }
    device->host->free(device->host->self,
                       mem->host,
                       mem->bytes == 0 ? 1 : (size_t)mem->bytes,
                       (size_t)(uintptr_t)mem->handle);
}

static fer_status
mem_copy(void *object, const fer_mem *destination, const fer_mem *source, uint64_t bytes) {
    const adapted *device = object;
    if (device->module->memory.copy != NULL) {
        return device->module->memory.copy(device->handle, destination, source, bytes);
    }
    if (bytes > destination->bytes || bytes > source->bytes) {
        return device->host->fail(device->host->self,
                                  FER_INVALID_ARGUMENT,
                                  0,
                                  NULL,
                                  "a copy is larger than the memory it names");
    }
    if (bytes > 0) {
        memmove(destination->host, source->host, (size_t)bytes);
    }
    return FER_OK;
}

static fer_status copy_peer(void *object,
                            const fer_mem *destination,
                            void *source_object,
                            const fer_mem *source,
                            uint64_t bytes) {
    const adapted *device = object;
    const adapted *from = source_object;
    if (device->module->memory.copy_peer == NULL || device->module != from->module) {
        return FER_UNSUPPORTED;
    }
    return device->module->memory.copy_peer(
        device->handle, destination, from->handle, source, bytes);
}

static fer_status mem_map(void *object, const fer_mem *mem, void **out_host) {
    const adapted *device = object;
    if (device->module->memory.map == NULL || device->module->memory.unmap == NULL) {
        return FER_UNSUPPORTED;
    }
    return device->module->memory.map(device->handle, mem, out_host);
}

static fer_status mem_unmap(void *object, const fer_mem *mem, void *host) {
    const adapted *device = object;
    return device->module->memory.unmap == NULL
               ? FER_UNSUPPORTED
               : device->module->memory.unmap(device->handle, mem, host);
}

/* ---- async: by default everything is done when a call returns ---- */

static fer_status stream_create(void *object, void **out_stream) {
    const adapted *device = object;
    *out_stream = NULL;
    return device->module->async.stream_create == NULL
               ? FER_OK
               : device->module->async.stream_create(device->handle, out_stream);
}

static void stream_destroy(void *object, void *stream) {
    const adapted *device = object;
    if (device->module->async.stream_destroy != NULL) {
        device->module->async.stream_destroy(device->handle, stream);
    }
}

static fer_status copy_async(void *object,
                             void *stream,
                             const fer_mem *destination,
                             const fer_mem *source,
                             uint64_t bytes,
                             void *const *waits,
                             uint32_t wait_count,
                             void **out_event) {
    const adapted *device = object;
    if (device->module->async.copy_async == NULL) {
        *out_event = NULL;
        return mem_copy(object, destination, source, bytes);
    }
    return device->module->async.copy_async(
        device->handle, stream, destination, source, bytes, waits, wait_count, out_event);
}

/* A NULL event is done, whatever the module thinks of it. */
static fer_status event_query(void *object, void *event) {
    const adapted *device = object;
    return event == NULL || device->module->async.event_query == NULL
               ? FER_OK
               : device->module->async.event_query(device->handle, event);
}

static fer_status event_wait(void *object, void *event, uint64_t timeout_ns) {
    const adapted *device = object;
    return event == NULL || device->module->async.event_wait == NULL
               ? FER_OK
               : device->module->async.event_wait(device->handle, event, timeout_ns);
}

static void event_destroy(void *object, void *event) {
    const adapted *device = object;
    if (event != NULL && device->module->async.event_destroy != NULL) {
        device->module->async.event_destroy(device->handle, event);
    }
}

/* Without a slot of its own the caller waits: right, if not asynchronous. */
static fer_status event_on_ready(void *object,
                                 void *event,
                                 void (*ready)(void *self, fer_status status),
                                 void *self) {
    const adapted *device = object;
    if (event != NULL && device->module->async.event_on_ready != NULL) {
        return device->module->async.event_on_ready(device->handle, event, ready, self);
    }
    ready(self, event_wait(object, event, UINT64_MAX));
    return FER_OK;
}

static void stream_cancel(void *object, void *stream) {
    const adapted *device = object;
    if (device->module->async.cancel != NULL) {
        device->module->async.cancel(device->handle, stream);
    }
}

/* ---- compiler ---- */

int feri_claims_refuse(const fer_op_claim *claims,
                       uint32_t count,
                       const fer_node_view *node,
                       fer_support *support) {
    const fer_op_claim *found = NULL;
    for (uint32_t i = 0; i < count && found == NULL; i++) {
        found = claims[i].op == node->op ? &claims[i] : NULL;
    }
    if (count == 0 || (found != NULL && node->revision <= found->revision)) {
        return 0;
    }
    support->supported = 0;
    if (found != NULL) {
        snprintf(support->reason,
                 sizeof(support->reason),
                 "it knows %s up to opset %u, this one means opset %u",
                 node->op_name,
                 found->revision,
                 node->revision);
    } else {
        snprintf(support->reason,
                 sizeof(support->reason),
                 "%s is not among the ops it claims",
                 node->op_name);
    }
    return 1;
}

static fer_status compiler_claim(void *object, const fer_subgraph *graph, fer_support *supports) {
    const adapted *device = object;
    if (device->module->compiler.claim != NULL) {
        return device->module->compiler.claim(device->handle, graph, supports);
    }
    const fer_op_claim *claims = NULL;
    uint32_t count = 0;
    FER_TRY(core_op_claims(object, &claims, &count));
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (!feri_claims_refuse(claims, count, graph->nodes[i], &supports[i])) {
            FER_TRY(device->module->core.op_supported(device->handle, graph, i, &supports[i]));
        }
    }
    return FER_OK;
}

static fer_status
weight_layout(void *object, void *exec, uint32_t index, fer_weight_layout *out_layout) {
    const adapted *device = object;
    if (device->module->compiler.weight_layout == NULL ||
        device->module->compiler.weight_prepare == NULL) {
        return FER_OK; /* zeroed: row-major as in the model */
    }
    return device->module->compiler.weight_layout(
        device->handle, ((adapted *)exec)->handle, index, out_layout);
}

static fer_status weight_prepare(
    void *object, void *exec, uint32_t index, const fer_mem *source, const fer_mem *destination) {
    const adapted *device = object;
    if (device->module->compiler.weight_prepare == NULL) {
        return FER_UNSUPPORTED;
    }
    return device->module->compiler.weight_prepare(
        device->handle, ((adapted *)exec)->handle, index, source, destination);
}

static fer_status serialize(void *object,
                            void *exec,
                            int32_t (*write)(void *self, const void *data, size_t bytes),
                            void *self) {
    const adapted *device = object;
    if (device->module->compiler.serialize == NULL) {
        return FER_UNSUPPORTED;
    }
    return device->module->compiler.serialize(
        device->handle, ((adapted *)exec)->handle, write, self);
}

static fer_status deserialize(
    void *object, const fer_subgraph *graph, const void *data, size_t bytes, void **out_exec) {
    const adapted *device = object;
    if (device->module->compiler.deserialize == NULL) {
        return FER_UNSUPPORTED;
    }
    adapted *exec = adapted_new(device->module, device->host);
    return exec == NULL ? FER_OUT_OF_MEMORY
                        : adapted_keep(exec,
                                       device->module->compiler.deserialize(
                                           device->handle, graph, data, bytes, &exec->handle),
                                       out_exec);
}

static fer_status compatibility_key(void *object, char *out_text, size_t capacity) {
    const adapted *device = object;
    if (device->module->compiler.compatibility_key == NULL) {
        return FER_UNSUPPORTED;
    }
    return device->module->compiler.compatibility_key(device->handle, out_text, capacity);
}

/* ---- interop and observe ---- */

#define PASS_OR(table, slot, fallback, ...)                                                        \
    const adapted *device = object;                                                                \
    return device->module->table.slot == NULL                                                      \
               ? (fallback)                                                                        \
               : device->module->table.slot(device->handle, __VA_ARGS__)

static fer_status buffer_import(
    void *object, int32_t handle_type, uint64_t handle, uint64_t bytes, fer_mem *out_mem) {
    PASS_OR(interop, buffer_import, FER_UNSUPPORTED, handle_type, handle, bytes, out_mem);
}

static fer_status
buffer_export(void *object, const fer_mem *mem, int32_t handle_type, uint64_t *out_handle) {
    PASS_OR(interop, buffer_export, FER_UNSUPPORTED, mem, handle_type, out_handle);
}

static fer_status
event_import(void *object, int32_t handle_type, uint64_t handle, void **out_event) {
    PASS_OR(interop, event_import, FER_UNSUPPORTED, handle_type, handle, out_event);
}

static fer_status
event_export(void *object, void *event, int32_t handle_type, uint64_t *out_handle) {
    PASS_OR(interop, event_export, FER_UNSUPPORTED, event, handle_type, out_handle);
}

static fer_status stream_native(void *object, void *stream, uint64_t *out_native) {
    PASS_OR(interop, stream_native, FER_UNSUPPORTED, stream, out_native);
}

static fer_status stream_wrap(void *object, uint64_t native, void **out_stream) {
    PASS_OR(interop, stream_wrap, FER_UNSUPPORTED, native, out_stream);
}

static fer_status counters(void *object, fer_device_counters *out_counters) {
    PASS_OR(observe, counters, FER_OK, out_counters); /* zeroed: nothing is counted */
}

static fer_status device_clock(void *object, uint64_t *out_device_ns, uint64_t *out_host_ns) {
    const adapted *device = object;
    if (device->module->observe.clock != NULL) {
        return device->module->observe.clock(device->handle, out_device_ns, out_host_ns);
    }
    *out_device_ns = *out_host_ns = feri_clock_ns();
    return FER_OK;
}

static fer_status
event_times(void *object, void *event, uint64_t *out_start_ns, uint64_t *out_end_ns) {
    PASS_OR(observe, event_times, FER_UNSUPPORTED, event, out_start_ns, out_end_ns);
}

static fer_status profile_begin(void *object) {
    const adapted *device = object;
    return device->module->observe.profile_begin == NULL
               ? FER_OK
               : device->module->observe.profile_begin(device->handle);
}

static fer_status profile_end(void *object, fer_text_fn write, void *self) {
    PASS_OR(observe, profile_end, FER_OK, write, self);
}

static fer_status device_trim(void *object, uint64_t *out_freed_bytes) {
    *out_freed_bytes = 0;
    PASS_OR(observe, trim, FER_OK, out_freed_bytes);
}

/* ---- completion ---- */

/* clang-format off */
static const feri_tables complete = {
    {sizeof(fer_backend_core), 0, core_create, core_destroy, core_device_count, core_device_info,
     core_device_open, core_device_close, core_op_supported, core_compile, core_exec_destroy,
     core_workspace_bytes, core_run, core_op_claims},
    {sizeof(fer_backend_instances), 0, instance_create, instance_destroy, instance_run},
    {sizeof(fer_backend_memory), 0, mem_alloc, mem_free, mem_copy, copy_peer, mem_map, mem_unmap},
    {sizeof(fer_backend_async), 0, stream_create, stream_destroy, copy_async, event_query,
     event_wait, event_on_ready, event_destroy, stream_cancel},
    {sizeof(fer_backend_compiler), 0, compiler_claim, weight_layout, weight_prepare, serialize,
     deserialize, compatibility_key},
    {sizeof(fer_backend_interop), 0, buffer_import, buffer_export, event_import, event_export,
     stream_native, stream_wrap},
    {sizeof(fer_backend_observe), 0, counters, device_clock, event_times, profile_begin,
     profile_end, device_trim},
};

/* A level: where a module has the pointer to its table, and where that lies among all. */
typedef struct level {
    uint16_t in_module, at;
    uint16_t bytes;
    uint16_t together; /* bit i: slot i; a module has all of these or, but for the core's, none */
    const char *needs;
} level;

#define LEVEL(table, together, needs)                                                              \
    {offsetof(fer_backend_module, table), offsetof(feri_tables, table), sizeof(fer_backend_##table),      \
     together, needs}
static const level levels[] = {
    LEVEL(core, 0x7ff, "the module needs all slots of level 0"),
    LEVEL(instances, 0x07, "the instances level needs all its slots"),
    LEVEL(memory, 0x07, "the memory level needs alloc, free and copy"),
    LEVEL(async, 0x5f, "the async level needs streams, copies and events"),
    LEVEL(compiler, 0, NULL),
    LEVEL(interop, 0, NULL),
    LEVEL(observe, 0, NULL),
};
/* clang-format on */

/* As much of a table as the module has; a longer one's tail is unknown to us and ignored. */
static void table_copy(void *ours, uint32_t our_size, const void *theirs) {
    uint32_t their_size = 0;
    if (theirs != NULL) {
        memcpy(&their_size, theirs, sizeof(their_size));
        memcpy(ours, theirs, their_size < our_size ? their_size : our_size);
    }
}

/* Which of the level's slots that come together are there. */
static uint32_t slots_there(const level *of, const char *table) {
    uint32_t there = 0;
    for (uint32_t i = 0; (of->together >> i) != 0; i++) {
        uintptr_t slot = 0; /* only its being NULL or not matters */
        memcpy(&slot, table + offsetof(fer_backend_core, create) + i * sizeof(slot), sizeof(slot));
        there |= slot != 0 ? 1u << i : 0;
    }
    return there & of->together;
}

fer_status feri_module_complete(feri_backend *backend, const fer_backend_module *module) {
    feri_adapter *adapter = &backend->adapter;
    adapter->options = backend->options;
    adapter->original = *module;
    backend->module = *module;
    backend->module.name = backend->name;
    backend->module.self = adapter;
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        const level *l = &levels[i];
        char *copy = (char *)&adapter->tables + l->at;
        char *whole_table = (char *)&backend->tables + l->at;
        const void *theirs = NULL;
        memcpy(&theirs, (const char *)module + l->in_module, sizeof(theirs));
        table_copy(copy, l->bytes, theirs);
        memcpy((char *)&adapter->original + l->in_module, &copy, sizeof(copy));
        memcpy(whole_table, (const char *)&complete + l->at, l->bytes);
        memcpy((char *)&backend->module + l->in_module, &whole_table, sizeof(whole_table));
        uint32_t there = slots_there(l, copy);
        if (there != l->together && (there != 0 || i == 0)) {
            return feri_fail(FER_BACKEND, "backend '%s': %s together", module->name, l->needs);
        }
    }
    if (adapter->tables.instances.run == NULL) {
        backend->tables.instances.run = core_run; /* an instance is the exec */
    }
    return FER_OK;
}
