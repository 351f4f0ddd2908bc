/* SPDX-License-Identifier: Apache-2.0
 *
 * An out-of-tree backend in one file, level 0 only: its device has five ops (Add, Sub, Mul, Neg,
 * Relu) on f32 tensors of fixed shapes in host memory, broadcasting as NumPy does, and refuses
 * everything else with a reason. docs/conformance.md takes it to its badge.
 */
#include <ferrule/backend.h>
#include <stdio.h>
#include <string.h>

enum { MOST_DIMS = 8, POLL_EVERY = 65536 };

static float add(float a, float b) { return a + b; }
static float sub(float a, float b) { return a - b; }
static float mul(float a, float b) { return a * b; }
static float neg(float a, float b) { return (void)b, -a; }
static float relu(float a, float b) { return (void)b, a < 0 ? 0 : a; }

static const fer_op_claim claims[] = {
    {.op = FER_OP_Add,  .revision = 14},
    {.op = FER_OP_Sub,  .revision = 14},
    {.op = FER_OP_Mul,  .revision = 14},
    {.op = FER_OP_Neg,  .revision = 13},
    {.op = FER_OP_Relu, .revision = 14},
};
enum { CLAIM_COUNT = sizeof claims / sizeof *claims };
static float (*const kernels[CLAIM_COUNT])(float, float) = {add, sub, mul, neg, relu};

/* Where an operand comes from (run input or weight, and which), and its stride in elements along
 * each dim of the output: 0 where it is broadcast. */
typedef struct operand {
    uint32_t is_weight;
    uint32_t index;
    uint64_t bytes;
    uint64_t strides[MOST_DIMS];
} operand;

typedef struct five_exec {
    float (*kernel)(float, float);
    uint64_t count;
    uint32_t rank;
    uint32_t operand_count;
    uint64_t dims[MOST_DIMS];
    operand operands[2];
} five_exec;

static const fer_host *host_of(void *object) {
    return *(const fer_host **)object; /* every object of ours begins with its host */
}

/* What can be seen to be wrong is refused with a sentence. */
static fer_status refuse(void *object, fer_status status, const char *sentence) {
    const fer_host *host = host_of(object);
    return host->fail(host->self, status, /*native_code=*/0, /*node=*/NULL, sentence);
}

/* Structs begin with their size: one that ends before what this header has is refused untouched. */
#define IS_SHORT(it) ((it)->struct_size < sizeof *(it))
static const char too_short[] = "a struct of the call is shorter than ABI version 1 has it";

static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    if (IS_SHORT(args) || IS_SHORT(args->host)) {
        return FER_INVALID_ARGUMENT; /* there is no host to tell */
    }
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
    if (IS_SHORT(out_info)) {
        return refuse(backend, FER_INVALID_ARGUMENT, too_short);
    }
    if (index != 0) {
        return refuse(backend, FER_NO_DEVICE, "there is one device, five:0");
    }
    out_info->type = FER_DEVICE_OTHER;
    out_info->flags = FER_DEVICE_HOST_MEMORY | FER_DEVICE_NEVER_DEFAULT;
    snprintf(out_info->chip, sizeof out_info->chip, "five ops");
    snprintf(out_info->note, sizeof out_info->note, "the example of an out-of-tree backend");
    return FER_OK;
}

static fer_status device_open(void *backend, uint32_t index, void **out_device) {
    if (index != 0) {
        return refuse(backend, FER_NO_DEVICE, "there is one device, five:0");
    }
    *out_device = backend; /* nothing more to know */
    return FER_OK;
}

static void device_close(void *device) { (void)device; }

/* Nodes outside the list are refused without asking op_supported, and are no failure in
 * conformance. */
static fer_status op_claims(void *device, const fer_op_claim **out_claims, uint32_t *out_count) {
    (void)device;
    *out_claims = claims;
    *out_count = CLAIM_COUNT;
    return FER_OK;
}

static fer_status
op_supported(void *device, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    if (IS_SHORT(graph) || IS_SHORT(out_support)) {
        return refuse(device, FER_INVALID_ARGUMENT, too_short);
    }
    const fer_node_view *view = graph->nodes[node];
    const char *reason = NULL;
    for (uint32_t i = 0; i < view->input_count && reason == NULL; i++) {
        const fer_value_view *value = graph->values[view->inputs[i]];
        reason = value->dtype != FER_F32   ? "this device only knows f32"
                 : value->rank > MOST_DIMS ? "this device knows tensors of at most 8 dims"
                                           : NULL;
        for (uint32_t d = 0; reason == NULL && d < value->rank; d++) {
            reason = value->dims[d].value < 0 ? "this device only knows fixed shapes" : NULL;
        }
    }
    out_support->supported = reason == NULL;
    snprintf(out_support->reason, sizeof out_support->reason, "%s", reason != NULL ? reason : "");
    return FER_OK;
}

static operand operand_of(const fer_subgraph *graph, uint32_t value, uint32_t out_rank) {
    operand found = {0};
    for (uint32_t i = 0; i < graph->input_count; i++) {
        found.index = graph->inputs[i] == value ? i : found.index;
    }
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        if (graph->constants[i] == value) {
            found.is_weight = 1;
            found.index = i;
        }
    }
    const fer_value_view *view = graph->values[value];
    uint64_t stride = 1;
    for (uint32_t d = view->rank; d-- > 0;) { /* dims are aligned at the last one */
        uint64_t extent = (uint64_t)view->dims[d].value;
        found.strides[out_rank - view->rank + d] = extent == 1 ? 0 : stride;
        stride *= extent;
    }
    found.bytes = stride * sizeof(float);
    return found;
}

/* FER_MODULE_PER_OP: the host sends graphs of one node. */
static fer_status compile(void *device, const fer_subgraph *graph, void **out_exec) {
    const fer_host *host = host_of(device);
    if (IS_SHORT(graph)) {
        return refuse(device, FER_INVALID_ARGUMENT, too_short);
    }
    const fer_node_view *node = graph->nodes[0];
    const fer_value_view *output = graph->values[graph->outputs[0]];
    five_exec *exec = host->alloc(host->self, sizeof *exec, 16);
    if (exec == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    *exec = (five_exec){.count = 1, .rank = output->rank, .operand_count = node->input_count};
    for (uint32_t i = 0; i < CLAIM_COUNT; i++) {
        exec->kernel = claims[i].op == node->op ? kernels[i] : exec->kernel;
    }
    for (uint32_t d = 0; d < output->rank; d++) {
        exec->dims[d] = (uint64_t)output->dims[d].value;
        if (__builtin_mul_overflow(exec->count, exec->dims[d], &exec->count) ||
            exec->count > INT64_MAX / sizeof(float)) {
            host->free(host->self, exec, sizeof *exec, 16);
            return refuse(device, FER_LIMIT, "a tensor is larger than memory can be");
        }
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        exec->operands[i] = operand_of(graph, node->inputs[i], output->rank);
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

/* Element at of the output needs which one of this operand. */
static uint64_t element_of(const five_exec *exec, const operand *from, uint64_t at) {
    uint64_t element = 0;
    for (uint32_t d = exec->rank; d-- > 0; at /= exec->dims[d]) {
        element += at % exec->dims[d] * from->strides[d];
    }
    return element;
}

static int is_there(const fer_mem *memory, uint64_t bytes) {
    return bytes == 0 || (memory->host != NULL && memory->bytes >= bytes);
}

static const fer_mem *buffer_of(const operand *from, const fer_run_args *args) {
    return &(from->is_weight ? args->weights : args->inputs)[from->index];
}

static fer_status run(void *device, void *exec, const fer_run_args *args) {
    const five_exec *self = exec;
    if (IS_SHORT(args)) {
        return refuse(device, FER_INVALID_ARGUMENT, too_short);
    }
    int is_whole = is_there(&args->outputs[0], self->count * sizeof(float));
    for (uint32_t i = 0; i < self->operand_count; i++) {
        const operand *from = &self->operands[i];
        is_whole &= is_there(buffer_of(from, args), from->bytes);
    }
    if (!is_whole) {
        return refuse(device, FER_INVALID_ARGUMENT, "a tensor has no memory, or too little");
    }
    float *out = args->outputs[0].host;
    for (uint64_t at = 0; at < self->count; at++) {
        float operands[2] = {0};
        for (uint32_t i = 0; i < self->operand_count; i++) {
            const operand *from = &self->operands[i];
            const char *data =
                buffer_of(from, args)->host; /* not aligned: const_alignment was left 0 */
            memcpy(&operands[i], data + element_of(self, from, at) * sizeof(float), sizeof(float));
        }
        out[at] = self->kernel(operands[0], operands[1]);
        if (at % POLL_EVERY == POLL_EVERY - 1) {
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
    .op_claims = op_claims,
};

FER_API fer_status fer_backend_open(uint32_t host_min,
                                    uint32_t host_max,
                                    fer_backend_module *out_module);

fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out_module) {
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN || IS_SHORT(out_module)) {
        return FER_VERSION;
    }
    out_module->abi_version = FER_BACKEND_ABI_MAX;
    out_module->flags = FER_MODULE_PER_OP | FER_MODULE_MAY_UNLOAD;
    out_module->name = "five";
    out_module->version = "1";
    out_module->core = &core;
    return FER_OK;
}
