/* SPDX-License-Identifier: Apache-2.0
 *
 * trace(name:index): a wrapper that logs every call of every slot of an inner backend, with
 * arguments, result and time, through host->log at FER_LOG_INFO. It changes nothing else. This
 * file: the entry, core and instances.
 */
#include "kit/sized.h"
#include "trace/trace.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

const char *feri_trace_status(fer_status status) {
    switch (status) {
#define FER_STATUS(number, name, sentence)                                                         \
    case FER_##name:                                                                               \
        return #name;
#include "ferrule/status.def"
#undef FER_STATUS
    default:
        return "UNKNOWN";
    }
}

void feri_trace_say(const fer_host *host, const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    host->log(host->self, FER_LOG_INFO, line);
}

/* ---- core ---- */

static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    if (feri_kit_create_is_short(args)) {
        return FER_INVALID_ARGUMENT;
    }
    const fer_host *host = args->host;
    if (!args->inner) {
        return host->fail(host->self,
                          FER_INVALID_ARGUMENT,
                          /*native_code=*/0,
                          /*node=*/NULL,
                          "trace wraps another device: name it trace(ref:0)");
    }
    feri_trace_backend *backend =
        host->alloc(host->self, sizeof(*backend), alignof(feri_trace_backend));
    if (!backend) {
        return FER_OUT_OF_MEMORY;
    }
    *backend = (feri_trace_backend){.host = host, .inner = args->inner};
    fer_create_args inner_args = *args;
    inner_args.struct_size = sizeof(inner_args); /* a longer one's tail was not copied */
    inner_args.inner = NULL;
    inner_args.options = ""; /* ours; the host gives the inner one its own */
    fer_status status = args->inner->core->create(args->inner->self, &inner_args, &backend->handle);
    feri_trace_say(host,
                   "trace: create(%s, options \"%s\") -> %s, backend %p",
                   args->inner->name,
                   args->options ? args->options : "",
                   feri_trace_status(status),
                   backend->handle);
    if (status != FER_OK) {
        host->free(host->self, backend, sizeof(*backend), alignof(feri_trace_backend));
        return status;
    }
    *out_backend = backend;
    return FER_OK;
}

static void destroy(void *self) {
    feri_trace_backend *backend = self;
    backend->inner->core->destroy(backend->handle);
    feri_trace_say(backend->host, "trace: destroy(backend %p)", backend->handle);
    backend->host->free(
        backend->host->self, backend, sizeof(*backend), alignof(feri_trace_backend));
}

static fer_status device_count(void *self, uint32_t *out_count) {
    const feri_trace_backend *backend = self;
    fer_status status = backend->inner->core->device_count(backend->handle, out_count);
    feri_trace_say(backend->host,
                   "trace: device_count(backend %p) -> %s, %u devices",
                   backend->handle,
                   feri_trace_status(status),
                   status == FER_OK ? *out_count : 0);
    return status;
}

static fer_status device_info(void *self, uint32_t index, fer_backend_device_info *out_info) {
    const feri_trace_backend *backend = self;
    fer_status status = backend->inner->core->device_info(backend->handle, index, out_info);
    feri_trace_say(backend->host,
                   "trace: device_info(backend %p, %u) -> %s, chip \"%s\", flags %u",
                   backend->handle,
                   index,
                   feri_trace_status(status),
                   status == FER_OK ? out_info->chip : "",
                   status == FER_OK ? out_info->flags : 0);
    if (status == FER_OK) {
        out_info->flags |= FER_DEVICE_NEVER_DEFAULT;
    }
    return status;
}

static fer_status device_open(void *self, uint32_t index, void **out_device) {
    const feri_trace_backend *backend = self;
    const fer_host *host = backend->host;
    feri_trace_device *device =
        host->alloc(host->self, sizeof(*device), alignof(feri_trace_device));
    if (!device) {
        return FER_OUT_OF_MEMORY;
    }
    *device = (feri_trace_device){.host = host, .inner = backend->inner, .index = index};
    fer_status status = backend->inner->core->device_open(backend->handle, index, &device->handle);
    feri_trace_say(host,
                   "trace: device_open(backend %p, %u) -> %s, device %p",
                   backend->handle,
                   index,
                   feri_trace_status(status),
                   device->handle);
    if (status != FER_OK) {
        host->free(host->self, device, sizeof(*device), alignof(feri_trace_device));
        return status;
    }
    *out_device = device;
    return FER_OK;
}

static void device_close(void *self) {
    feri_trace_device *device = self;
    device->inner->core->device_close(device->handle);
    feri_trace_say(device->host, "trace: device_close(device %p)", device->handle);
    device->host->free(device->host->self, device, sizeof(*device), alignof(feri_trace_device));
}

static fer_status
op_supported(void *self, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->core->op_supported(device->handle, graph, node, out_support);
    const fer_node_view *view = graph->nodes[node];
    feri_trace_say(device->host,
                   "trace: op_supported(device %p, node %u %s '%s' revision %u) -> %s, %s%s%s",
                   device->handle,
                   node,
                   view->op_name ? view->op_name : "",
                   view->name ? view->name : "",
                   view->revision,
                   feri_trace_status(status),
                   status != FER_OK         ? "no answer"
                   : out_support->supported ? "yes"
                                            : "no: ",
                   status == FER_OK && out_support->supported && out_support->dynamic_dims
                       ? ", dynamic dims"
                       : "",
                   status == FER_OK && !out_support->supported ? out_support->reason : "");
    return status;
}

static fer_status compile(void *self, const fer_subgraph *graph, void **out_exec) {
    const feri_trace_device *device = self;
    uint64_t start = device->host->clock_ns(device->host->self);
    fer_status status = device->inner->core->compile(device->handle, graph, out_exec);
    feri_trace_say(device->host,
                   "trace: compile(device %p, %u nodes, %u values, %u inputs, %u outputs, "
                   "%u constants, %u dim slots) -> %s, exec %p, %llu ns",
                   device->handle,
                   graph->node_count,
                   graph->value_count,
                   graph->input_count,
                   graph->output_count,
                   graph->constant_count,
                   graph->dim_slot_count,
                   feri_trace_status(status),
                   status == FER_OK ? *out_exec : NULL,
                   (unsigned long long)(device->host->clock_ns(device->host->self) - start));
    return status;
}

static void exec_destroy(void *self, void *exec) {
    const feri_trace_device *device = self;
    device->inner->core->exec_destroy(device->handle, exec);
    feri_trace_say(device->host, "trace: exec_destroy(device %p, exec %p)", device->handle, exec);
}

static fer_status
workspace_bytes(void *self, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    const feri_trace_device *device = self;
    fer_status status =
        device->inner->core->workspace_bytes(device->handle, exec, dim_values, out_bytes);
    feri_trace_say(device->host,
                   "trace: workspace_bytes(device %p, exec %p) -> %s, %llu bytes",
                   device->handle,
                   exec,
                   feri_trace_status(status),
                   status == FER_OK ? (unsigned long long)*out_bytes : 0);
    return status;
}

static fer_status op_claims(void *self, const fer_op_claim **out_claims, uint32_t *out_count) {
    const feri_trace_device *device = self;
    fer_status status = device->inner->core->op_claims(device->handle, out_claims, out_count);
    feri_trace_say(device->host,
                   "trace: op_claims(device %p) -> %s, %u ops",
                   device->handle,
                   feri_trace_status(status),
                   status == FER_OK ? *out_count : 0);
    return status;
}

/* The same line for core.run and instances.run. */
static void say_run(const feri_trace_device *device,
                    const char *what,
                    const void *object,
                    const fer_run_args *args,
                    fer_status status,
                    uint64_t start) {
    feri_trace_say(device->host,
                   "trace: run(device %p, %s %p, dims %llu, workspace %llu bytes, %u waits%s) -> "
                   "%s%s, %llu ns",
                   device->handle,
                   what,
                   object,
                   (unsigned long long)args->dims_id,
                   (unsigned long long)args->workspace.bytes,
                   args->wait_count,
                   args->stream ? ", a stream" : "",
                   feri_trace_status(status),
                   status == FER_OK && args->out_signal && *args->out_signal ? ", signal set" : "",
                   (unsigned long long)(device->host->clock_ns(device->host->self) - start));
}

static fer_status run(void *self, void *exec, const fer_run_args *args) {
    const feri_trace_device *device = self;
    if (FERI_KIT_IS_SHORT(args)) {
        return feri_kit_short(device->host);
    }
    uint64_t start = device->host->clock_ns(device->host->self);
    fer_status status = device->inner->core->run(device->handle, exec, args);
    say_run(device, "exec", exec, args, status, start);
    return status;
}

const fer_backend_core feri_trace_core = {
    .struct_size = sizeof(feri_trace_core),
    .create = create,
    .destroy = destroy,
    .device_count = device_count,
    .device_info = device_info,
    .device_open = device_open,
    .device_close = device_close,
    .op_supported = op_supported,
    .compile = compile,
    .exec_destroy = exec_destroy,
    .workspace_bytes = workspace_bytes,
    .run = run,
    .op_claims = op_claims,
};

/* ---- instances ---- */

static fer_status
instance_create(void *self, void *exec, const fer_instance_args *args, void **out_instance) {
    const feri_trace_device *device = self;
    if (FERI_KIT_IS_SHORT(args)) {
        return feri_kit_short(device->host);
    }
    fer_status status =
        device->inner->instances->instance_create(device->handle, exec, args, out_instance);
    feri_trace_say(device->host,
                   "trace: instance_create(device %p, exec %p, stream %p) -> %s, instance %p",
                   device->handle,
                   exec,
                   args->stream,
                   feri_trace_status(status),
                   status == FER_OK ? *out_instance : NULL);
    return status;
}

static void instance_destroy(void *self, void *instance) {
    const feri_trace_device *device = self;
    device->inner->instances->instance_destroy(device->handle, instance);
    feri_trace_say(
        device->host, "trace: instance_destroy(device %p, instance %p)", device->handle, instance);
}

static fer_status instance_run(void *self, void *instance, const fer_run_args *args) {
    const feri_trace_device *device = self;
    if (FERI_KIT_IS_SHORT(args)) {
        return feri_kit_short(device->host);
    }
    uint64_t start = device->host->clock_ns(device->host->self);
    fer_status status = device->inner->instances->run(device->handle, instance, args);
    say_run(device, "instance", instance, args, status, start);
    return status;
}

const fer_backend_instances feri_trace_instances = {
    .struct_size = sizeof(feri_trace_instances),
    .instance_create = instance_create,
    .instance_destroy = instance_destroy,
    .run = instance_run,
};

/* ---- the module ---- */

fer_status fer_trace_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_trace_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN ||
        out->struct_size < sizeof(*out)) {
        return FER_VERSION;
    }
    out->abi_version = host_max < FER_BACKEND_ABI_MAX ? host_max : FER_BACKEND_ABI_MAX;
    out->flags = FER_MODULE_WRAPPER | FER_MODULE_MAY_UNLOAD;
    out->name = "trace";
    out->version = "0.1.0";
    out->core = &feri_trace_core;
    out->instances = &feri_trace_instances;
    out->memory = &feri_trace_memory;
    out->async = &feri_trace_async;
    out->compiler = &feri_trace_compiler;
    out->interop = &feri_trace_interop;
    out->observe = &feri_trace_observe;
    return FER_OK;
}

#ifdef FER_BACKEND_MODULE
FER_API fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    return fer_trace_backend_open(host_min, host_max, out);
}
#endif
