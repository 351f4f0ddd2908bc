/* SPDX-License-Identifier: Apache-2.0
 *
 * A device with five ops on f32 tensors of one fixed shape (Add, Sub, Mul, Neg, Relu), built once
 * for each way to be bad: -DPLUGIN_MODE=crash, hang, leak, lie, lose, fork or babble, under the
 * name PLUGIN_NAME. Bad are the Mul ones only, so that a report has both kinds of lines; examples/plugin is the right
 * one.
 */
#define _POSIX_C_SOURCE 200809L
#include <ferrule/backend.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { crash, hang, leak, lie, lose, forks, babble };

static const fer_op_claim claims[] = {
    {.op = FER_OP_Add,  .revision = 14},
    {.op = FER_OP_Sub,  .revision = 14},
    {.op = FER_OP_Mul,  .revision = 14},
    {.op = FER_OP_Neg,  .revision = 13},
    {.op = FER_OP_Relu, .revision = 14},
};

typedef struct operand {
    uint32_t is_weight;
    uint32_t index;
} operand;

typedef struct five_exec {
    uint32_t op;
    operand operands[2];
    uint64_t count;
} five_exec;

static const fer_host *host_of(void *object) { return *(const fer_host **)object; }

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
    snprintf(out_info->chip, sizeof out_info->chip, "five ops");
    return FER_OK;
}

static fer_status device_open(void *backend, uint32_t index, void **out_device) {
    (void)index;
    *out_device = backend;
    return FER_OK;
}

static void device_close(void *device) { (void)device; }

static int is_ours(uint32_t op) {
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        if (claims[i].op == op) {
            return 1;
        }
    }
    return 0;
}

static fer_status
op_supported(void *device, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    (void)device;
    const fer_node_view *view = graph->nodes[node];
    const char *reason = is_ours(view->op) ? NULL : "this device has five other ops";
    const fer_value_view *a = reason == NULL ? graph->values[view->inputs[0]] : NULL;
    for (uint32_t i = 0; i < view->input_count && reason == NULL; i++) {
        const fer_value_view *b = graph->values[view->inputs[i]];
        reason = b->dtype != FER_F32  ? "only f32"
                 : b->rank != a->rank ? "only tensors of one shape"
                                      : NULL;
        for (uint32_t d = 0; d < b->rank && reason == NULL; d++) {
            reason = b->dims[d].value < 0 || b->dims[d].value != a->dims[d].value
                         ? "only tensors of one fixed shape"
                         : NULL;
        }
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

static fer_status compile(void *device, const fer_subgraph *graph, void **out_exec) {
    const fer_host *host = host_of(device);
    five_exec *exec = host->alloc(host->self, sizeof *exec, 16);
    if (exec == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    const fer_value_view *output = graph->values[graph->outputs[0]];
    *exec = (five_exec){.op = graph->nodes[0]->op, .count = 1};
    for (uint32_t i = 0; i < graph->nodes[0]->input_count && i < 2; i++) {
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
    host->free(host->self, exec, sizeof(five_exec), 16);
}

static fer_status
workspace_bytes(void *device, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    (void)device;
    (void)exec;
    (void)dim_values;
    *out_bytes = 0;
    return FER_OK;
}

static float one(uint32_t op, float a, float b) {
    switch (op) {
    case FER_OP_Add:
        return a + b;
    case FER_OP_Sub:
        return a - b;
    case FER_OP_Mul:
        return a * b;
    case FER_OP_Neg:
        return -a;
    default:
        return a < 0 ? 0 : a;
    }
}

/* What is bad about Mul; returns 1 when the result is to be wrong. */
static int misbehave(void) {
    static void *volatile kept[64]; /* volatile: the compiler would drop what nobody reads */
    static size_t count;
    volatile int *nowhere = NULL;
    switch (PLUGIN_MODE) {
    case crash:
        *nowhere = 1;
        return 0;
    case hang:
        for (volatile int forever = 1; forever != 0;) {
        }
        return 0;
    case forks: /* the child holds the worker's pipes; it ends by itself if nobody ends it */
        if (fork() == 0) {
            for (int second = 0; second < 600; second++) {
                (void)sleep(1);
            }
            _exit(0);
        }
        *nowhere = 1;
        return 0;
    case babble:
        (void)!write(4, "7\n", 2);
        return 0;
    case leak:
        kept[count++ % 64] = malloc(4096);
        return 0;
    default:
        return PLUGIN_MODE == lie;
    }
}

static fer_status run(void *device, void *exec, const fer_run_args *args) {
    const five_exec *self = exec;
    const char *sources[2];
    if (PLUGIN_MODE == lose && self->op == FER_OP_Mul) {
        const fer_host *host = host_of(device);
        return host->fail(host->self, FER_DEVICE_LOST, 0, NULL, "the chip fell off <\xff&\x01>");
    }
    int is_wrong = self->op == FER_OP_Mul && misbehave();
    for (uint32_t i = 0; i < 2; i++) {
        const operand *from = &self->operands[i];
        sources[i] = (from->is_weight ? args->weights : args->inputs)[from->index].host;
    }
    char *out = args->outputs[0].host;
    for (uint64_t i = 0; i < self->count; i++) {
        float a, b;
        memcpy(&a, sources[0] + i * sizeof a, sizeof a);
        memcpy(&b, sources[1] + i * sizeof b, sizeof b);
        a = one(self->op, a, b) + (is_wrong && i == self->count / 2 ? 0.25f : 0);
        memcpy(out + i * sizeof a, &a, sizeof a);
    }
    return FER_OK;
}

static fer_status op_claims(void *device, const fer_op_claim **out_claims, uint32_t *out_count) {
    (void)device;
    *out_claims = claims;
    *out_count = sizeof claims / sizeof *claims;
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
    .op_claims = op_claims,
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
    out_module->name = PLUGIN_NAME;
    out_module->version = "1";
    out_module->core = &core;
    return FER_OK;
}
