/* SPDX-License-Identifier: Apache-2.0
 *
 * check(name:index): a wrapper that runs every piece of work again on the reference backend and
 * compares. A difference is an error of the run that names the node's output, the element and both
 * numbers. This file: the entry, core, instances, compiler; check_run.c compares.
 */
#include "check/check.h"
#include "kit/sized.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *take(const fer_host *host, size_t bytes) {
    void *memory = host->alloc(host->self, bytes, 16);
    if (memory != NULL) {
        memset(memory, 0, bytes);
    }
    return memory;
}

static void give(const fer_host *host, void *memory, size_t bytes) {
    if (memory != NULL) {
        host->free(host->self, memory, bytes, 16);
    }
}

/* 0.001, 1e-3: digits, a point, an exponent. strtod would read the point by the locale. */
static double option_number(const char *options, const char *name, double otherwise) {
    const char *at = options == NULL ? NULL : strstr(options, name);
    double number = 0, scale = 1;
    if (at == NULL) {
        return otherwise;
    }
    at += strlen(name);
    for (int is_after_point = 0; (*at >= '0' && *at <= '9') || *at == '.'; at++) {
        if (*at == '.') {
            is_after_point = 1;
            continue;
        }
        number = number * 10 + (*at - '0');
        scale *= is_after_point ? 10 : 1;
    }
    return *at == 'e' ? number / scale * pow(10, strtol(at + 1, NULL, 10)) : number / scale;
}

/* ---- the backend ---- */

static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    if (feri_kit_create_is_short(args)) {
        return FER_INVALID_ARGUMENT;
    }
    const fer_host *host = args->host;
    if (args->inner == NULL) {
        return host->fail(host->self,
                          FER_INVALID_ARGUMENT,
                          /*native_code=*/0,
                          /*node=*/NULL,
                          "check wraps another device: name it check(cuda:0)");
    }
    if (args->reference == NULL) {
        return host->fail(host->self,
                          FER_UNSUPPORTED,
                          /*native_code=*/0,
                          /*node=*/NULL,
                          "check needs the reference backend, and this build has none");
    }
    feri_check_backend *backend = take(host, sizeof(*backend));
    if (backend == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    *backend = (feri_check_backend){
        .host = host,
        .inner = args->inner,
        .reference = args->reference,
        .limits = {option_number(args->options, "rtol=", 1e-3),
                   option_number(args->options, "atol=", 1e-5)}
    };
    fer_create_args inner = *args;
    inner.struct_size = sizeof(inner); /* a longer one's tail was not copied */
    inner.inner = NULL;
    inner.options = "";
    fer_status status = args->inner->core->create(args->inner->self, &inner, &backend->handle);
    if (status == FER_OK) {
        status = args->reference->core->create(
            args->reference->self, &inner, &backend->reference_handle);
        if (status != FER_OK) {
            args->inner->core->destroy(backend->handle);
        }
    }
    if (status != FER_OK) {
        give(host, backend, sizeof(*backend));
        return status;
    }
    *out_backend = backend;
    return FER_OK;
}

static void destroy(void *self) {
    feri_check_backend *backend = self;
    backend->reference->core->destroy(backend->reference_handle);
    backend->inner->core->destroy(backend->handle);
    give(backend->host, backend, sizeof(*backend));
}

static fer_status device_count(void *self, uint32_t *out_count) {
    const feri_check_backend *backend = self;
    return backend->inner->core->device_count(backend->handle, out_count);
}

static fer_status device_info(void *self, uint32_t index, fer_backend_device_info *out_info) {
    const feri_check_backend *backend = self;
    fer_status status = backend->inner->core->device_info(backend->handle, index, out_info);
    if (status == FER_OK) {
        out_info->flags |= FER_DEVICE_NEVER_DEFAULT;
    }
    return status;
}

static fer_status device_open(void *self, uint32_t index, void **out_device) {
    const feri_check_backend *backend = self;
    feri_check_device *device = take(backend->host, sizeof(*device));
    if (device == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    *device = (feri_check_device){.to = {.inner = backend->inner},
                                  .host = backend->host,
                                  .reference = backend->reference,
                                  .limits = backend->limits,
                                  .index = index};
    fer_status status = backend->reference->core->device_open(
        backend->reference_handle, 0, &device->reference_handle);
    if (status == FER_OK) {
        status = backend->inner->core->device_open(backend->handle, index, &device->to.handle);
        if (status != FER_OK) {
            backend->reference->core->device_close(device->reference_handle);
        }
    }
    if (status != FER_OK) {
        give(backend->host, device, sizeof(*device));
        return status;
    }
    *out_device = device;
    return FER_OK;
}

static void device_close(void *self) {
    feri_check_device *device = self;
    device->to.inner->core->device_close(device->to.handle);
    device->reference->core->device_close(device->reference_handle);
    give(device->host, device, sizeof(*device));
}

static fer_status
op_supported(void *self, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    const feri_check_device *device = self;
    return device->to.inner->core->op_supported(device->to.handle, graph, node, out_support);
}

static fer_status op_claims(void *self, const fer_op_claim **out_claims, uint32_t *out_count) {
    const feri_check_device *device = self;
    return device->to.inner->core->op_claims(device->to.handle, out_claims, out_count);
}

/* ---- execs ---- */

/* Whether the reference can say what is right: it runs every node, and none draws random numbers.
 */
static fer_status
graph_is_checked(const feri_check_device *device, const fer_subgraph *graph, int *out_checked) {
    static const char *const random[] = {
        "RandomNormal", "RandomUniform", "Bernoulli", "Multinomial", "Dropout"};
    *out_checked = 1;
    for (uint32_t i = 0; i < graph->node_count && *out_checked; i++) {
        const fer_node_view *node = graph->nodes[i];
        fer_support support = {.struct_size = sizeof(support)};
        fer_status status =
            device->reference->core->op_supported(device->reference_handle, graph, i, &support);
        if (status != FER_OK) {
            return status;
        }
        *out_checked = support.supported != 0;
        for (size_t k = 0; k < sizeof(random) / sizeof(random[0]); k++) {
            *out_checked &= strncmp(node->op_name, random[k], strlen(random[k])) != 0;
        }
        if (!*out_checked) {
            char line[400];
            (void)snprintf(line,
                           sizeof(line),
                           "check: node '%s' (%s) and the %u others of its graph are not checked: "
                           "%s",
                           node->name,
                           node->op_name,
                           graph->node_count - 1,
                           support.supported ? "its results are random" : support.reason);
            device->host->log(device->host->self, FER_LOG_WARN, line);
        }
    }
    return FER_OK;
}

static void constants_give(const feri_check_device *device, feri_check_exec *exec) {
    for (uint32_t i = 0; exec->constants != NULL && i < exec->graph->constant_count; i++) {
        give(device->host, exec->constants[i].host, (size_t)exec->constants[i].bytes + 1);
    }
    give(device->host,
         exec->constants,
         exec->graph == NULL ? 0 : exec->graph->constant_count * sizeof(fer_mem) + 1);
}

static void exec_destroy(void *self, void *object) {
    const feri_check_device *device = self;
    feri_check_exec *exec = object;
    if (exec->reference != NULL) {
        device->reference->core->exec_destroy(device->reference_handle, exec->reference);
    }
    if (exec->inner != NULL) {
        device->to.inner->core->exec_destroy(device->to.handle, exec->inner);
    }
    constants_give(device, exec);
    give(device->host, exec, sizeof(*exec));
}

static fer_status constants_copy(const feri_check_device *device, feri_check_exec *exec) {
    const fer_subgraph *graph = exec->graph;
    exec->constants = take(device->host, graph->constant_count * sizeof(fer_mem) + 1);
    for (uint32_t i = 0; exec->constants != NULL && i < graph->constant_count; i++) {
        const fer_value_view *value = graph->values[graph->constants[i]];
        void *copy = take(device->host, (size_t)value->bytes + 1);
        if (copy == NULL) {
            return FER_OUT_OF_MEMORY;
        }
        if (value->bytes > 0) {
            memcpy(copy, value->data, (size_t)value->bytes);
        }
        exec->constants[i] = (fer_mem){NULL, 0, value->bytes, copy};
    }
    return exec->constants == NULL ? FER_OUT_OF_MEMORY : FER_OK;
}

/* The reference's half of an exec whose inner half is there. Takes the exec on failure. */
static fer_status
exec_finish(feri_check_device *device, feri_check_exec *exec, fer_status status, void **out_exec) {
    int checked = 0;
    if (status == FER_OK) {
        status = graph_is_checked(device, exec->graph, &checked);
    }
    if (status == FER_OK && checked) {
        status = constants_copy(device, exec);
    }
    if (status == FER_OK && checked) {
        status = device->reference->core->compile(
            device->reference_handle, exec->graph, &exec->reference);
    }
    if (status != FER_OK) {
        exec_destroy(device, exec);
        return status;
    }
    *out_exec = exec;
    return FER_OK;
}

static fer_status compile(void *self, const fer_subgraph *graph, void **out_exec) {
    feri_check_device *device = self;
    feri_check_exec *exec = take(device->host, sizeof(*exec));
    if (exec == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    exec->graph = graph;
    fer_status status = device->to.inner->core->compile(device->to.handle, graph, &exec->inner);
    return exec_finish(device, exec, status, out_exec);
}

static fer_status
workspace_bytes(void *self, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    const feri_check_device *device = self;
    return device->to.inner->core->workspace_bytes(
        device->to.handle, ((feri_check_exec *)exec)->inner, dim_values, out_bytes);
}

/* ---- instances ---- */

static void instance_destroy(void *self, void *object) {
    const feri_check_device *device = self;
    feri_check_instance *instance = object;
    if (instance->reference != NULL) {
        device->reference->instances->instance_destroy(device->reference_handle,
                                                       instance->reference);
    }
    if (instance->inner != NULL) {
        device->to.inner->instances->instance_destroy(device->to.handle, instance->inner);
    }
    give(device->host, instance, sizeof(*instance));
}

static fer_status
instance_create(void *self, void *object, const fer_instance_args *args, void **out_instance) {
    feri_check_device *device = self;
    const feri_check_exec *exec = object;
    feri_check_instance *instance = take(device->host, sizeof(*instance));
    if (instance == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    instance->exec = exec;
    fer_status status = device->to.inner->instances->instance_create(
        device->to.handle, exec->inner, args, &instance->inner);
    if (status == FER_OK && exec->reference != NULL) {
        fer_instance_args reference = {
            .struct_size = sizeof(reference), .weights = exec->constants, .stream = NULL};
        status = device->reference->instances->instance_create(
            device->reference_handle, exec->reference, &reference, &instance->reference);
    }
    if (status != FER_OK) {
        instance_destroy(device, instance);
        return status;
    }
    *out_instance = instance;
    return FER_OK;
}

/* Given up, the work must be off the device before the host takes its memory back. */
static void give_up(const feri_check_device *device, void *stream, void *event) {
    enum { PATIENCE_NS = 2000000000 };
    const fer_backend_async *async = device->to.inner->async;
    async->cancel(device->to.handle, stream);
    if (async->event_wait(device->to.handle, event, PATIENCE_NS) == FER_NOT_READY) {
        device->host->lost(
            device->host->self, device->index, "it did not finish work that was given up");
    }
}

static fer_status done_wait(const feri_check_device *device, const fer_run_args *args) {
    enum { PIECE_NS = 1000000 };
    const fer_backend_async *async = device->to.inner->async;
    void *event = *args->out_signal;
    fer_status status = async->event_wait(device->to.handle, event, PIECE_NS);
    while (status == FER_NOT_READY) {
        status = args->poll->check(args->poll->self);
        if (status != FER_OK) {
            give_up(device, args->stream, event);
            break;
        }
        status = async->event_wait(device->to.handle, event, PIECE_NS);
    }
    async->event_destroy(device->to.handle, event);
    *args->out_signal = NULL;
    return status;
}

static fer_status instance_run(void *self, void *object, const fer_run_args *args) {
    const feri_check_device *device = self;
    const feri_check_instance *instance = object;
    fer_status status = device->to.inner->instances->run(device->to.handle, instance->inner, args);
    if (status != FER_OK || instance->reference == NULL) {
        return status;
    }
    if (args->out_signal != NULL && *args->out_signal != NULL) { /* results are looked at at once */
        status = done_wait(device, args);
    }
    return status == FER_OK ? feri_check_run(device, instance, args) : status;
}

/* Level 0's run, for hosts that know no instances: by one that lasts as long. */
static fer_status run(void *self, void *exec, const fer_run_args *args) {
    const feri_check_device *device = self;
    if (FERI_KIT_IS_SHORT(args)) {
        return feri_kit_short(device->host);
    }
    fer_instance_args made = {
        .struct_size = sizeof(made), .weights = args->weights, .stream = args->stream};
    void *instance = NULL;
    fer_status status = instance_create(self, exec, &made, &instance);
    if (status == FER_OK) {
        status = instance_run(self, instance, args);
        instance_destroy(self, instance);
    }
    return status;
}

/* ---- compiler ---- */

static fer_status claim(void *self, const fer_subgraph *graph, fer_support *supports) {
    const feri_check_device *device = self;
    return device->to.inner->compiler->claim(device->to.handle, graph, supports);
}

static fer_status
weight_layout(void *self, void *exec, uint32_t index, fer_weight_layout *out_layout) {
    const feri_check_device *device = self;
    return device->to.inner->compiler->weight_layout(
        device->to.handle, ((feri_check_exec *)exec)->inner, index, out_layout);
}

static fer_status weight_prepare(
    void *self, void *exec, uint32_t index, const fer_mem *source, const fer_mem *destination) {
    const feri_check_device *device = self;
    return device->to.inner->compiler->weight_prepare(
        device->to.handle, ((feri_check_exec *)exec)->inner, index, source, destination);
}

static fer_status serialize(void *self,
                            void *exec,
                            int32_t (*write)(void *self, const void *data, size_t bytes),
                            void *write_self) {
    const feri_check_device *device = self;
    return device->to.inner->compiler->serialize(
        device->to.handle, ((feri_check_exec *)exec)->inner, write, write_self);
}

static fer_status deserialize(
    void *self, const fer_subgraph *graph, const void *data, size_t bytes, void **out_exec) {
    feri_check_device *device = self;
    feri_check_exec *exec = take(device->host, sizeof(*exec));
    if (exec == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    exec->graph = graph;
    fer_status status = device->to.inner->compiler->deserialize(
        device->to.handle, graph, data, bytes, &exec->inner);
    return exec_finish(device, exec, status, out_exec);
}

static fer_status compatibility_key(void *self, char *out_text, size_t capacity) {
    const feri_check_device *device = self;
    return device->to.inner->compiler->compatibility_key(device->to.handle, out_text, capacity);
}

/* ---- the module ---- */

static const fer_backend_core check_core = {.struct_size = sizeof(fer_backend_core),
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
                                            .op_claims = op_claims};

static const fer_backend_instances check_instances = {.struct_size = sizeof(fer_backend_instances),
                                                      .instance_create = instance_create,
                                                      .instance_destroy = instance_destroy,
                                                      .run = instance_run};

static const fer_backend_compiler check_compiler = {.struct_size = sizeof(fer_backend_compiler),
                                                    .claim = claim,
                                                    .weight_layout = weight_layout,
                                                    .weight_prepare = weight_prepare,
                                                    .serialize = serialize,
                                                    .deserialize = deserialize,
                                                    .compatibility_key = compatibility_key};

fer_status fer_check_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_check_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN ||
        out->struct_size < sizeof(*out)) {
        return FER_VERSION;
    }
    out->abi_version = host_max < FER_BACKEND_ABI_MAX ? host_max : FER_BACKEND_ABI_MAX;
    out->flags = FER_MODULE_WRAPPER | FER_MODULE_MAY_UNLOAD;
    out->name = "check";
    out->version = "0.1.0";
    out->core = &check_core;
    out->instances = &check_instances;
    out->memory = &feri_kit_forward_memory;
    out->async = &feri_kit_forward_async;
    out->compiler = &check_compiler;
    out->interop = &feri_kit_forward_interop;
    out->observe = &feri_kit_forward_observe;
    return FER_OK;
}

#ifdef FER_BACKEND_MODULE
FER_API fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    return fer_check_backend_open(host_min, host_max, out);
}
#endif
