/* SPDX-License-Identifier: Apache-2.0
 *
 * The null backend: the least that is a whole device, written to be cloned. Copy this folder,
 * change the names, and replace what the comments marked NEXT say. It claims Relu and Identity on
 * f32, computes them on the calling thread in plain host memory, and is never chosen by default.
 *
 * What is here: the entry, level 0 (core) and the instances level. What is not: memory, async,
 * compiler, interop and observe. The host gives a module that lacks a level its defaults, so add
 * levels when the chip has something to say there, not before.
 */
#include "ferrule/backend.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

/* ---- objects ----
 *
 * The host knows our objects as void pointers only. It destroys children before parents: instances,
 * then execs, then devices, then the backend. So a child may point at its parent without counting.
 */

/* One per context that uses us. It is also our only device: a backend with several chips would have
 * a struct for each, made in device_open. */
typedef struct null_backend {
    const fer_host *host; /* what the host offers; valid until destroy returns */
} null_backend;

/* A compiled graph. It is immutable after compile, since many threads may run instances of it. */
typedef struct null_exec {
    uint32_t op;          /* FER_OP_Relu or FER_OP_Identity */
    uint32_t is_constant; /* the operand is the graph's constant 0, not its input 0 */
    uint64_t count;       /* elements */
} null_exec;

/* All that one run at a time needs beside the exec: for a chip its command buffer, scratch memory
 * and bound addresses. Here only where the constants are. */
typedef struct null_instance {
    const null_exec *exec;
    const fer_mem *weights; /* valid as long as the instance */
} null_instance;

/* ---- failing ----
 *
 * A slot that fails calls host->fail once, with a sentence that says what and what to do, and
 * returns the status that it gives back. It sets no out argument. Never print, exit, abort or
 * throw.
 */
static fer_status
fail(const null_backend *backend, fer_status status, const char *node, const char *message) {
    return backend->host->fail(backend->host->self, status, /*native_code=*/0, node, message);
}

/* Structs that the host passes begin with their size. One that ends before what this header has is
 * refused untouched; a longer one is of a newer host, and what lies behind ours is not looked at.
 */
#define IS_SHORT(it) ((it)->struct_size < sizeof(*(it)))

static fer_status fail_short(const null_backend *backend) {
    return fail(backend,
                FER_INVALID_ARGUMENT,
                /*node=*/NULL,
                "a struct of the call is shorter than ABI version 1 has it");
}

/* Every allocation goes through the host, so that it counts against the caller's budget, and may
 * fail. The host has recorded the failure when it returns NULL. */
static void *take(const null_backend *backend, size_t bytes) {
    void *memory = backend->host->alloc(backend->host->self, bytes, alignof(max_align_t));
    if (memory) {
        memset(memory, 0, bytes);
    }
    return memory;
}

static void give_back(const null_backend *backend, void *memory, size_t bytes) {
    backend->host->free(backend->host->self, memory, bytes, alignof(max_align_t));
}

/* ---- core: backend and device ---- */

/* NEXT: keep this free of the vendor's driver. A program that never asks for devices must not pay
 * for one; device_count is where the driver is first touched. */
static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self; /* the module's self: we gave none */
    if (IS_SHORT(args) || IS_SHORT(args->host)) {
        return FER_INVALID_ARGUMENT; /* the one failure without a sentence: there is no host yet */
    }
    null_backend first = {.host = args->host};
    null_backend *backend = take(&first, sizeof(*backend));
    if (!backend) {
        return FER_OUT_OF_MEMORY;
    }
    *backend = first;
    *out_backend = backend;
    return FER_OK;
}

static void destroy(void *self) { give_back(self, self, sizeof(null_backend)); }

/* NEXT: open the vendor's library (dlopen) and count chips. Having none is not a failure: answer 0
 * and log the reason with host->log. */
static fer_status device_count(void *backend, uint32_t *out_count) {
    (void)backend;
    *out_count = 1;
    return FER_OK;
}

/* out_info comes zeroed with struct_size set: fill what you know. Two backends that see one chip
 * give the same chip_id, so that the host does not use it twice. */
static fer_status device_info(void *self, uint32_t index, fer_backend_device_info *out_info) {
    if (IS_SHORT(out_info)) {
        return fail_short(self);
    }
    if (index != 0) {
        return fail(self, FER_NO_DEVICE, /*node=*/NULL, "the null backend has one device, null:0");
    }
    out_info->type = FER_DEVICE_OTHER;
    /* HOST_MEMORY: inputs, outputs and workspace come as host addresses and nothing is copied.
     * NEVER_DEFAULT: only who names null:0 gets it. A real device drops that flag and sets its
     * preference (a CPU about 100, a GPU about 200). */
    out_info->flags = FER_DEVICE_HOST_MEMORY | FER_DEVICE_NEVER_DEFAULT;
    out_info->preference = 0;
    out_info->const_alignment = 1; /* we read unaligned constants; a chip may ask for 64 or 256 */
    (void)snprintf(out_info->chip, sizeof(out_info->chip), "no chip");
    (void)snprintf(out_info->note, sizeof(out_info->note), "skeleton: Relu and Identity on f32");
    return FER_OK;
}

static fer_status device_open(void *self, uint32_t index, void **out_device) {
    if (index != 0) {
        return fail(self, FER_NO_DEVICE, /*node=*/NULL, "the null backend has one device, null:0");
    }
    *out_device = self; /* NEXT: a context or command queue of the chip */
    return FER_OK;
}

static void device_close(void *device) { (void)device; }

/* ---- core: what we can do ---- */

/* The ops asked about at all, each with the highest opset version whose meaning we implement. The
 * host never shows us a node of a later meaning, and refuses ops that are not here by itself. */
static const fer_op_claim claims[] = {
    {FER_OP_Relu,     14},
    {FER_OP_Identity, 25}
};

static fer_status op_claims(void *device, const fer_op_claim **out_claims, uint32_t *out_count) {
    (void)device;
    *out_claims = claims;
    *out_count = sizeof(claims) / sizeof(claims[0]);
    return FER_OK;
}

/* "Can you run this node?" Refusing is an answer, not a failure: return FER_OK, leave supported 0
 * and give the reason as a clause; users read it in the placement report. Look at everything that
 * matters here (dtypes, ranks, attributes): once supported, compile and run must not refuse. */
static fer_status
op_supported(void *device, const fer_subgraph *graph, uint32_t index, fer_support *out_support) {
    if (IS_SHORT(graph) || IS_SHORT(out_support)) {
        return fail_short(device);
    }
    const fer_node_view *node = graph->nodes[index];
    const char *reason = NULL;
    if (node->input_count != 1 || node->output_count != 1 || node->inputs[0] == FER_NO_VALUE ||
        node->outputs[0] == FER_NO_VALUE) {
        reason = "null takes one input and one output";
    } else if (graph->values[node->inputs[0]]->dtype != FER_F32) {
        reason = "null computes in f32 only";
    }
    out_support->supported = reason == NULL;
    /* We answer 0 for dynamic_dims: every size is compiled anew. NEXT: if kernels take sizes as
     * arguments, answer 1, and read dims from args->dim_values in run. */
    out_support->dynamic_dims = 0;
    if (reason) {
        (void)snprintf(out_support->reason, sizeof(out_support->reason), "%s", reason);
    }
    return FER_OK;
}

/* ---- core: compile ----
 *
 * The module says FER_MODULE_PER_OP, so graphs have one node. Without that flag they are connected
 * pieces in topological order, and values between nodes live in the workspace (backends/kit has a
 * planner for it). graph and its views stay valid until exec_destroy; a constant's data does not.
 */
static fer_status compile(void *device, const fer_subgraph *graph, void **out_exec) {
    const null_backend *backend = device;
    if (IS_SHORT(graph)) {
        return fail_short(backend);
    }
    if (graph->node_count != 1) {
        return fail(backend,
                    FER_UNSUPPORTED,
                    /*node=*/NULL,
                    "null compiles graphs of one node; the host must honor FER_MODULE_PER_OP");
    }
    const fer_node_view *node = graph->nodes[0];
    const fer_value_view *value = graph->values[node->inputs[0]];
    uint64_t count = 1;
    for (uint32_t i = 0; i < value->rank; i++) {
        if (value->dims[i].value < 0 ||
            __builtin_mul_overflow(count, (uint64_t)value->dims[i].value, &count)) {
            return fail(backend, FER_UNSUPPORTED, node->name, "null needs dims that are numbers");
        }
    }
    null_exec *exec = take(backend, sizeof(*exec));
    if (!exec) {
        return FER_OUT_OF_MEMORY;
    }
    exec->op = node->op;
    exec->count = count;
    exec->is_constant = graph->constant_count > 0 && graph->constants[0] == node->inputs[0];
    *out_exec = exec;
    return FER_OK;
}

static void exec_destroy(void *device, void *exec) { give_back(device, exec, sizeof(null_exec)); }

/* Memory for one run beside inputs and outputs. The host puts it into the device's arena and hands
 * it to run as args->workspace. One node needs none. */
static fer_status
workspace_bytes(void *device, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    (void)device;
    (void)exec;
    (void)dim_values;
    *out_bytes = 0;
    return FER_OK;
}

/* ---- running ---- */

enum { PIECE = 4096 };

/* Memory may be unaligned, so elements go through memcpy; compilers make single moves of it. */
static void relu(const uint8_t *in, uint8_t *out, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        float x;
        memcpy(&x, in + i * sizeof(x), sizeof(x));
        x = x > 0 || x != x ? x : 0; /* NaN stays NaN */
        memcpy(out + i * sizeof(x), &x, sizeof(x));
    }
}

static fer_status run_exec(const null_backend *backend,
                           const null_exec *exec,
                           const fer_mem *weights,
                           const fer_run_args *args) {
    if (IS_SHORT(args)) {
        return fail_short(backend);
    }
    const fer_mem *from = exec->is_constant ? &weights[0] : &args->inputs[0];
    const fer_mem *to = &args->outputs[0];
    uint64_t bytes = exec->count * sizeof(float);
    if (bytes > 0 && (!from->host || !to->host || from->bytes < bytes || to->bytes < bytes)) {
        return fail(backend,
                    FER_INVALID_ARGUMENT,
                    /*node=*/NULL,
                    "null was handed memory that is not on the host, or too small");
    }
    const uint8_t *in = from->host;
    uint8_t *out = to->host;
    for (uint64_t done = 0; done < exec->count;) {
        uint64_t piece = exec->count - done < PIECE ? exec->count - done : PIECE;
        if (exec->op == FER_OP_Relu) {
            relu(in + done * sizeof(float), out + done * sizeof(float), piece);
        } else {
            memcpy(out + done * sizeof(float), in + done * sizeof(float), piece * sizeof(float));
        }
        done += piece;
        /* Ask every 65,536 operations at most whether to go on (deadline, cancel), and return what
         * is not FER_OK as it is. */
        if (done % 65536 < PIECE) {
            fer_status status = args->poll->check(args->poll->self);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    /* Asynchronous devices set an event here and return at once. NULL says: done already. */
    if (args->out_signal) {
        *args->out_signal = NULL;
    }
    return FER_OK;
}

/* Level 0's run. The host serialises runs of one exec; with the instances level below it is used by
 * hosts that do not know instances only. */
static fer_status run(void *device, void *exec, const fer_run_args *args) {
    return run_exec(device, exec, IS_SHORT(args) ? NULL : args->weights, args);
}

static fer_status
instance_create(void *device, void *exec, const fer_instance_args *args, void **out_instance) {
    if (IS_SHORT(args)) {
        return fail_short(device);
    }
    null_instance *instance = take(device, sizeof(*instance));
    if (!instance) {
        return FER_OUT_OF_MEMORY;
    }
    instance->exec = exec;
    instance->weights = args->weights;
    *out_instance = instance;
    return FER_OK;
}

static void instance_destroy(void *device, void *instance) {
    give_back(device, instance, sizeof(null_instance));
}

static fer_status instance_run(void *device, void *self, const fer_run_args *args) {
    const null_instance *instance = self;
    return run_exec(device, instance->exec, instance->weights, args);
}

/* ---- the tables ----
 *
 * Constant, and named slot by slot, so that a slot added to the header later is NULL here and gets
 * the host's default.
 */
static const fer_backend_core core = {
    .struct_size = sizeof(core),
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

static const fer_backend_instances instances = {
    .struct_size = sizeof(instances),
    .instance_create = instance_create,
    .instance_destroy = instance_destroy,
    .run = instance_run,
};

/* The entry. Pure: it touches no driver and allocates nothing, and answers FER_VERSION when no ABI
 * version is known to both sides. out_module comes zeroed with struct_size set. Programs that link
 * us pass it to fer_backend_register; NEXT: give it your backend's name. */
fer_status fer_null_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_null_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN ||
        out->struct_size < sizeof(*out)) {
        return FER_VERSION;
    }
    out->abi_version = host_max < FER_BACKEND_ABI_MAX ? host_max : FER_BACKEND_ABI_MAX;
    out->flags = FER_MODULE_PER_OP | FER_MODULE_MAY_UNLOAD;
    out->name = "null"; /* devices are null:0, null:1, ... */
    out->version = "0.1.0";
    out->core = &core;
    out->instances = &instances;
    return FER_OK;
}

/* A module exports this one symbol, under the same name in all of them. */
#ifdef FER_BACKEND_MODULE
FER_API fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    return fer_null_backend_open(host_min, host_max, out);
}
#endif
