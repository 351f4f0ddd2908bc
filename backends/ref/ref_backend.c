/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference backend's table: one device that is always there and computes in plain host memory.
 * Levels core and instances; the host's defaults serve for the rest. Entry: fer_ref_backend_open
 * for static registration, fer_backend_open when built as a module.
 */
#include "kit/sized.h"
#include "ref/ref_exec.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

/* The backend is its one device. */
typedef struct ref_backend {
    const fer_host *host;
    uint64_t bytes;
    uint32_t claim_count;
    fer_op_claim claims[];
} ref_backend;

static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    if (feri_kit_create_is_short(args)) {
        return FER_INVALID_ARGUMENT;
    }
    uint32_t count = feri_ref_claims(NULL);
    uint64_t bytes = sizeof(ref_backend) + count * sizeof(fer_op_claim);
    const fer_host *host = args->host;
    ref_backend *backend = host->alloc(host->self, bytes, alignof(ref_backend));
    if (!backend) {
        return FER_OUT_OF_MEMORY;
    }
    backend->host = host;
    backend->bytes = bytes;
    backend->claim_count = feri_ref_claims(backend->claims);
    *out_backend = backend;
    return FER_OK;
}

static void destroy(void *self) {
    ref_backend *backend = self;
    backend->host->free(backend->host->self, backend, backend->bytes, alignof(ref_backend));
}

static fer_status device_count(void *backend, uint32_t *out_count) {
    (void)backend;
    *out_count = 1;
    return FER_OK;
}

static fer_status device_info(void *self, uint32_t index, fer_backend_device_info *out_info) {
    ref_backend *backend = self;
    if (FERI_KIT_IS_SHORT(out_info)) {
        return feri_kit_short(backend->host);
    }
    if (index != 0) {
        return backend->host->fail(backend->host->self,
                                   FER_NO_DEVICE,
                                   /*native_code=*/0,
                                   /*node=*/NULL,
                                   "the reference backend has one device, ref:0");
    }
    out_info->type = FER_DEVICE_CPU;
    out_info->flags = FER_DEVICE_HOST_MEMORY;
    out_info->preference = 0;
    out_info->const_alignment = 1;
    out_info->buffer_alignment = 0;
    out_info->memory_bytes = 0;
    (void)snprintf(out_info->chip, sizeof(out_info->chip), "any CPU");
    (void)snprintf(out_info->note, sizeof(out_info->note), "reference kernels in plain C");
    out_info->chip_id[0] = '\0';
    return FER_OK;
}

static fer_status device_open(void *self, uint32_t index, void **out_device) {
    fer_backend_device_info unused = {.struct_size = sizeof(unused)};
    fer_status status = device_info(self, index, &unused);
    if (status == FER_OK) {
        *out_device = self;
    }
    return status;
}

static void device_close(void *device) { (void)device; }

static int uses_strings(const fer_subgraph *graph, const uint32_t *values, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (values[i] != FER_NO_VALUE && graph->values[values[i]]->dtype == FER_STRING) {
            return 1;
        }
    }
    return 0;
}

typedef struct refusal {
    uint32_t op;
    const char *(*reason)(const fer_subgraph *graph, const fer_node_view *node);
} refusal;
/* clang-format off */
static const refusal refusals[] = {
    FERI_REF_ROW(Resize, feri_ref_refuse_resize)
    FERI_REF_ROW(ScatterElements, feri_ref_refuse_scatter)
    FERI_REF_ROW(ScatterND, feri_ref_refuse_scatter)
    FERI_REF_END
};
/* clang-format on */

static const char *reason_of(const fer_subgraph *graph, const fer_node_view *node) {
    const refusal *row = refusals;
    while (row->op != FER_OP_NONE && row->op != node->op) {
        row++;
    }
    return row->reason ? row->reason(graph, node) : NULL;
}

static fer_status
op_supported(void *device, const fer_subgraph *graph, uint32_t index, fer_support *out_support) {
    if (FERI_KIT_IS_SHORT(graph) || FERI_KIT_IS_SHORT(out_support)) {
        return feri_kit_short(((ref_backend *)device)->host);
    }
    const fer_node_view *node = graph->nodes[index];
    feri_ref_entry entry = feri_ref_find(node->op);
    const char *reason = NULL;
    out_support->supported = 0;
    if (!entry.kernel) {
        reason = "not yet: the reference backend has no kernel for this op";
    } else if (node->revision > entry.revision) {
        reason = "not yet: the op's meaning is newer than the reference kernel";
    } else if (uses_strings(graph, node->inputs, node->input_count) ||
               uses_strings(graph, node->outputs, node->output_count)) {
        reason = "strings are handled by the host";
    } else {
        reason = reason_of(graph, node);
    }
    if (reason) {
        (void)snprintf(out_support->reason, sizeof(out_support->reason), "%s", reason);
        return FER_OK;
    }
    out_support->supported = 1;
    out_support->dynamic_dims = 1;
    return FER_OK;
}

static fer_status compile(void *device, const fer_subgraph *graph, void **out_exec) {
    const ref_backend *backend = device;
    if (FERI_KIT_IS_SHORT(graph)) {
        return feri_kit_short(backend->host);
    }
    feri_ref_exec *exec = NULL;
    fer_status status = feri_ref_compile(backend->host, graph, &exec);
    if (status == FER_OK) {
        *out_exec = exec;
    }
    return status;
}

static void exec_destroy(void *device, void *exec) {
    (void)device;
    feri_ref_exec_destroy(exec);
}

static fer_status
workspace_bytes(void *device, void *self, const int64_t *dim_values, uint64_t *out_bytes) {
    const ref_backend *backend = device;
    const feri_ref_exec *exec = self;
    uint64_t bytes = (uint64_t)exec->life_count * sizeof(uint64_t);
    if (bytes == 0) {
        *out_bytes = 0;
        return FER_OK;
    }
    const fer_host *host = backend->host;
    uint64_t *offsets = host->alloc(host->self, bytes, alignof(uint64_t));
    if (!offsets) {
        return FER_OUT_OF_MEMORY;
    }
    fer_status status = feri_kit_plan(
        host, exec->graph, exec->lives, exec->life_count, dim_values, offsets, out_bytes);
    host->free(host->self, offsets, bytes, alignof(uint64_t));
    return status;
}

static fer_status
instance_create(void *device, void *exec, const fer_instance_args *args, void **out_instance) {
    if (FERI_KIT_IS_SHORT(args)) {
        return feri_kit_short(((ref_backend *)device)->host);
    }
    struct feri_ref_instance *instance = NULL;
    fer_status status = feri_ref_instance_create(exec, args->weights, &instance);
    if (status == FER_OK) {
        *out_instance = instance;
    }
    return status;
}

static void instance_destroy(void *device, void *instance) {
    (void)device;
    feri_ref_instance_destroy(instance);
}

static fer_status instance_run(void *device, void *instance, const fer_run_args *args) {
    return FERI_KIT_IS_SHORT(args) ? feri_kit_short(((ref_backend *)device)->host)
                                   : feri_ref_instance_run(instance, args);
}

static fer_status run(void *device, void *self, const fer_run_args *args) {
    feri_ref_exec *exec = self;
    if (FERI_KIT_IS_SHORT(args)) {
        return feri_kit_short(((ref_backend *)device)->host);
    }
    if (!exec->own) {
        fer_status status = feri_ref_instance_create(exec, /*weights=*/NULL, &exec->own);
        if (status != FER_OK) {
            return status;
        }
    }
    return feri_ref_instance_run(exec->own, args);
}

static fer_status op_claims(void *device, const fer_op_claim **out_claims, uint32_t *out_count) {
    const ref_backend *backend = device;
    *out_claims = backend->claims;
    *out_count = backend->claim_count;
    return FER_OK;
}

static const fer_backend_core core = {.struct_size = sizeof(core),
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
static const fer_backend_instances instances = {.struct_size = sizeof(instances),
                                                .instance_create = instance_create,
                                                .instance_destroy = instance_destroy,
                                                .run = instance_run};

fer_status fer_ref_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_ref_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    if (host_min > FER_BACKEND_ABI_MAX || host_max < FER_BACKEND_ABI_MIN ||
        out->struct_size < sizeof(*out)) {
        return FER_VERSION;
    }
    out->abi_version = host_max < FER_BACKEND_ABI_MAX ? host_max : FER_BACKEND_ABI_MAX;
    out->flags = FER_MODULE_MAY_UNLOAD;
    out->name = "ref";
    out->version = "0.1.0";
    out->core = &core;
    out->instances = &instances;
    return FER_OK;
}

#ifdef FER_BACKEND_MODULE
FER_API fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out);
fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    return fer_ref_backend_open(host_min, host_max, out);
}
#endif
