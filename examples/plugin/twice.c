/* SPDX-License-Identifier: Apache-2.0
 *
 * An out-of-tree backend in one file, level 0 only: its device adds f32 tensors of equal, fixed
 * shape in host memory, and refuses everything else with a reason.
 */
#include <ferrule/backend.h>
#include <stdio.h>
#include <string.h>

static const fer_host *host_of(void *object) {
    return *(const fer_host **)object; /* every object of ours begins with its host */
}

/* Where an operand comes from: run input or weight, and which. */
typedef struct operand {
    uint32_t is_weight;
    uint32_t index;
} operand;

typedef struct twice_exec {
    operand operands[2];
    uint64_t count;
} twice_exec;

static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    const fer_host **backend = args->host->alloc(args->host->self, sizeof *backend, 16);
    if (backend == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    *backend = args->host;
    *out_backend = (void *)backend;
    return FER_OK;
}

static void destroy(void *backend) {
    const fer_host *host = host_of(backend);
    host->free(host->self, backend, sizeof host, 16);
}

static fer_status device_count(void *backend, uint32_t *out_count) {
    (void)backend;
    *out_count = 1;
    return FER_OK;
}

static fer_status device_info(void *backend, uint32_t index, fer_backend_device_info *out_info) {
    (void)backend;
    (void)index;
    out_info->type = FER_DEVICE_OTHER;
    out_info->flags = FER_DEVICE_HOST_MEMORY | FER_DEVICE_NEVER_DEFAULT;
    snprintf(out_info->chip, sizeof out_info->chip, "an adder");
    snprintf(out_info->note, sizeof out_info->note, "the example of an out-of-tree backend");
    return FER_OK;
}

static fer_status device_open(void *backend, uint32_t index, void **out_device) {
    (void)index;
    *out_device = backend; /* nothing more to know */
    return FER_OK;
}

static void device_close(void *device) { (void)device; }

static fer_status
op_supported(void *device, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    (void)device;
    const fer_node_view *view = graph->nodes[node];
    const char *reason = NULL;
    if (view->op != FER_OP_Add) {
        reason = "this device only adds";
    } else {
        const fer_value_view *a = graph->values[view->inputs[0]];
        const fer_value_view *b = graph->values[view->inputs[1]];
        reason = a->dtype != FER_F32 ? "this device only adds f32" : NULL;
        for (uint32_t i = 0; i < a->rank && reason == NULL; i++) {
            if (a->rank != b->rank || a->dims[i].value < 0 ||
                a->dims[i].value != b->dims[i].value) {
                reason = "this device only adds tensors of one fixed shape";
            }
        }
        reason = a->rank != b->rank ? "this device only adds tensors of one fixed shape" : reason;
    }
    out_support->supported = reason == NULL;
    snprintf(out_support->reason, sizeof out_support->reason, "%s", reason != NULL ? reason : "");
    return FER_OK;
}

static operand find_operand(const fer_subgraph *graph, uint32_t value) {
    for (uint32_t i = 0; i < graph->input_count; i++) {
        if (graph->inputs[i] == value) {
            return (operand){.is_weight = 0, .index = i};
        }
    }
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        if (graph->constants[i] == value) {
            return (operand){.is_weight = 1, .index = i};
        }
    }
    return (operand){0};
}

/* FER_MODULE_PER_OP: the host sends graphs of one node. */
static fer_status compile(void *device, const fer_subgraph *graph, void **out_exec) {
    const fer_host *host = host_of(device);
    twice_exec *exec = host->alloc(host->self, sizeof *exec, 16);
    if (exec == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    const fer_value_view *output = graph->values[graph->outputs[0]];
    *exec = (twice_exec){.count = 1};
    for (uint32_t i = 0; i < 2; i++) {
        exec->operands[i] = find_operand(graph, graph->nodes[0]->inputs[i]);
    }
    for (uint32_t i = 0; i < output->rank; i++) {
        exec->count *= (uint64_t)output->dims[i].value;
    }
    *out_exec = exec;
    return FER_OK;
}

static void exec_destroy(void *device, void *exec) {
    const fer_host *host = host_of(device);
    host->free(host->self, exec, sizeof(twice_exec), 16);
}

static fer_status
workspace_bytes(void *device, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    (void)device;
    (void)exec;
    (void)dim_values;
    *out_bytes = 0;
    return FER_OK;
}

static fer_status run(void *device, void *exec, const fer_run_args *args) {
    (void)device;
    const twice_exec *self = exec;
    const char *sources[2];
    for (uint32_t i = 0; i < 2; i++) {
        const operand *from = &self->operands[i];
        sources[i] = (from->is_weight ? args->weights : args->inputs)[from->index].host;
    }
    char *out = args->outputs[0].host;
    for (uint64_t i = 0; i < self->count; i++) {
        float a, b;
        memcpy(&a, sources[0] + i * sizeof a, sizeof a);
        memcpy(&b, sources[1] + i * sizeof b, sizeof b);
        a += b;
        memcpy(out + i * sizeof a, &a, sizeof a);
        if (i % 65536 == 65535) {
            fer_status status = args->poll->check(args->poll->self);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    return FER_OK;
}

static const fer_backend_core core = {
    .struct_size = sizeof core,
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
};

FER_API fer_status fer_backend_open(uint32_t host_min,
                                    uint32_t host_max,
                                    fer_backend_module *out_module);

fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out_module) {
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN) {
        return FER_VERSION;
    }
    out_module->abi_version = FER_BACKEND_ABI_MAX;
    out_module->flags = FER_MODULE_PER_OP | FER_MODULE_MAY_UNLOAD;
    out_module->name = "twice";
    out_module->version = "1";
    out_module->core = &core;
    return FER_OK;
}
