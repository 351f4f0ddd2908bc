/* SPDX-License-Identifier: Apache-2.0
 *
 * One run again on the reference backend: inputs and results are brought to host memory, the
 * reference computes, and every output is compared element by element. Owns all it brings for as
 * long as the run.
 */
#include "check/check.h"
#include "kit/geometry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64, PIECE = 256 };

/* What a rerun owns: inputs, then got, then expected outputs. */
typedef struct rerun {
    const feri_check_device *device;
    const fer_subgraph *graph;
    const fer_run_args *args;
    fer_mem *inputs;
    fer_mem *got;
    fer_mem *expected;
    uint32_t count; /* of all three together */
    int64_t (*out_dims)[FER_MAX_RANK];
    fer_mem workspace;
} rerun;

static fer_status mem_take(const rerun *r, uint64_t bytes, fer_mem *out_mem) {
    const fer_host *host = r->device->host;
    void *memory = bytes >= SIZE_MAX ? NULL : host->alloc(host->self, (size_t)bytes + 1, ALIGNMENT);
    *out_mem = (fer_mem){NULL, 0, bytes, memory};
    return memory == NULL ? FER_OUT_OF_MEMORY : FER_OK;
}

static void mem_give(const rerun *r, const fer_mem *mem) {
    if (mem->host != NULL) {
        r->device->host->free(r->device->host->self, mem->host, (size_t)mem->bytes + 1, ALIGNMENT);
    }
}

/* bytes of value at these dims; dims are upper bounds where the run decides them. */
static fer_status value_bytes(const rerun *r, uint32_t index, uint64_t *out_bytes) {
    const fer_value_view *value = r->graph->values[index];
    int64_t dims[FER_MAX_RANK];
    uint64_t count = 0;
    if (!feri_kit_resolve_dims(
            value, r->args->dim_values, r->graph->dim_slot_count, dims, &count)) {
        return r->device->host->fail(r->device->host->self,
                                     FER_INVALID_INPUT,
                                     0,
                                     value->name,
                                     "check: the dims of a value do not resolve");
    }
    *out_bytes = feri_kit_bytes(value->dtype, count);
    return FER_OK;
}

/* A copy in host memory of what lies on the inner device. */
static fer_status bring(const rerun *r, uint32_t value, const fer_mem *from, fer_mem *out_mem) {
    uint64_t bytes = 0;
    fer_status status = value_bytes(r, value, &bytes);
    if (status == FER_OK) {
        status = mem_take(r, bytes, out_mem);
    }
    if (status != FER_OK || bytes == 0) {
        return status;
    }
    if (from->host != NULL) {
        memcpy(out_mem->host, from->host, (size_t)bytes);
        return FER_OK;
    }
    return r->device->to.inner->memory->copy(r->device->to.handle, out_mem, from, bytes);
}

static fer_status bring_all(rerun *r) {
    const fer_subgraph *graph = r->graph;
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < graph->input_count && status == FER_OK; i++) {
        status = bring(r, graph->inputs[i], &r->args->inputs[i], &r->inputs[i]);
    }
    for (uint32_t i = 0; i < graph->output_count && status == FER_OK; i++) {
        status = bring(r, graph->outputs[i], &r->args->outputs[i], &r->got[i]);
        if (status == FER_OK) {
            status = mem_take(r, r->got[i].bytes, &r->expected[i]);
        }
    }
    return status;
}

static fer_status compute(rerun *r, const feri_check_instance *instance) {
    const feri_check_device *device = r->device;
    uint64_t bytes = 0;
    fer_status status = device->reference->core->workspace_bytes(
        device->reference_handle, instance->exec->reference, r->args->dim_values, &bytes);
    if (status == FER_OK) {
        status = mem_take(r, bytes, &r->workspace);
    }
    if (status != FER_OK) {
        return status;
    }
    fer_run_args args = {.struct_size = sizeof(args),
                         .dim_count = r->args->dim_count,
                         .dim_values = r->args->dim_values,
                         .dims_id = r->args->dims_id,
                         .inputs = r->inputs,
                         .outputs = r->expected,
                         .weights = instance->exec->constants,
                         .workspace = r->workspace,
                         .out_dims = r->out_dims,
                         .poll = r->args->poll};
    return device->reference->instances->run(device->reference_handle, instance->reference, &args);
}

/* ---- comparing ---- */

/* The node that makes a value, for messages. */
static const fer_node_view *maker_of(const fer_subgraph *graph, uint32_t value) {
    for (uint32_t i = 0; i < graph->node_count; i++) {
        for (uint32_t k = 0; k < graph->nodes[i]->output_count; k++) {
            if (graph->nodes[i]->outputs[k] == value) {
                return graph->nodes[i];
            }
        }
    }
    return NULL;
}

static fer_status differs(const rerun *r, uint32_t value, const char *how) {
    const fer_node_view *node = maker_of(r->graph, value);
    char message[400];
    (void)snprintf(message,
                   sizeof(message),
                   "check: output '%s' of %s: %s",
                   r->graph->values[value]->name,
                   node == NULL ? "the graph" : node->op_name,
                   how);
    return r->device->host->fail(
        r->device->host->self, FER_BACKEND, 0, node == NULL ? NULL : node->name, message);
}

static fer_status dims_compare(const rerun *r, uint32_t output, uint64_t *out_count) {
    uint32_t index = r->graph->outputs[output];
    const fer_value_view *value = r->graph->values[index];
    int64_t dims[FER_MAX_RANK];
    if ((value->flags & FER_VALUE_DATA_DEPENDENT) == 0) {
        return feri_kit_resolve_dims(
                   value, r->args->dim_values, r->graph->dim_slot_count, dims, out_count)
                   ? FER_OK
                   : FER_INVALID_INPUT;
    }
    for (uint32_t k = 0; k < value->rank; k++) {
        if (r->args->out_dims[output][k] != r->out_dims[output][k]) {
            char how[120];
            (void)snprintf(how,
                           sizeof(how),
                           "dim %u is %lld, the reference has %lld",
                           k,
                           (long long)r->args->out_dims[output][k],
                           (long long)r->out_dims[output][k]);
            return differs(r, index, how);
        }
    }
    return feri_kit_count(value->rank, r->out_dims[output], out_count) ? FER_OK : FER_INVALID_INPUT;
}

static int agree(const feri_check_limits *limits, double got, double expected) {
    if (got == expected || (isnan(got) && isnan(expected))) {
        return 1;
    }
    /* An infinity or NaN on one side alone fails both comparisons. */
    return fabs(got - expected) <= limits->relative * fabs(expected) + limits->absolute &&
           isfinite(expected);
}

static fer_status floats_compare(const rerun *r, uint32_t output, fer_dtype dtype, uint64_t count) {
    double got[PIECE], expected[PIECE];
    for (uint64_t done = 0; done < count; done += PIECE) {
        uint64_t now = count - done < PIECE ? count - done : PIECE;
        r->device->host->load_f64(dtype, r->got[output].host, done, now, got);
        r->device->host->load_f64(dtype, r->expected[output].host, done, now, expected);
        for (uint64_t i = 0; i < now; i++) {
            if (!agree(&r->device->limits, got[i], expected[i])) {
                char how[200];
                (void)snprintf(how,
                               sizeof(how),
                               "element %llu is %.9g, the reference has %.9g (limit %g relative, "
                               "%g absolute)",
                               (unsigned long long)(done + i),
                               got[i],
                               expected[i],
                               r->device->limits.relative,
                               r->device->limits.absolute);
                return differs(r, r->graph->outputs[output], how);
            }
        }
    }
    return FER_OK;
}

static fer_status output_compare(const rerun *r, uint32_t output) {
    const fer_value_view *value = r->graph->values[r->graph->outputs[output]];
    uint64_t count = 0;
    fer_status status = dims_compare(r, output, &count);
    if (status != FER_OK || count == 0) {
        return status;
    }
    uint32_t class = feri_kit_class(value->dtype);
    if (class == FERI_KIT_FLOAT) {
        return floats_compare(r, output, value->dtype, count);
    }
    if (class == FERI_KIT_COMPLEX) { /* pairs of floats */
        return floats_compare(r, output, value->dtype == FER_C64 ? FER_F32 : FER_F64, 2 * count);
    }
    /* Everything else is the same to the bit. */
    uint64_t bytes = feri_kit_bytes(value->dtype, count);
    if (memcmp(r->got[output].host, r->expected[output].host, (size_t)bytes) == 0) {
        return FER_OK;
    }
    const uint8_t *got = r->got[output].host, *expected = r->expected[output].host;
    uint64_t at = 0;
    while (got[at] == expected[at]) {
        at++;
    }
    char how[120];
    (void)snprintf(how,
                   sizeof(how),
                   "element %llu differs from the reference's",
                   (unsigned long long)(at * 8 / feri_kit_bits(value->dtype)));
    return differs(r, r->graph->outputs[output], how);
}

/* ---- the whole ---- */

fer_status feri_check_run(const feri_check_device *device,
                          const feri_check_instance *instance,
                          const fer_run_args *args) {
    const fer_host *host = device->host;
    const fer_subgraph *graph = instance->exec->graph;
    uint32_t count = graph->input_count + 2 * graph->output_count;
    size_t mems_bytes = count * sizeof(fer_mem) + 1;
    size_t dims_bytes = graph->output_count * sizeof(int64_t[FER_MAX_RANK]) + 1;
    rerun r = {.device = device, .graph = graph, .args = args, .count = count};
    r.inputs = host->alloc(host->self, mems_bytes, ALIGNMENT);
    r.out_dims = host->alloc(host->self, dims_bytes, ALIGNMENT);
    fer_status status = r.inputs == NULL || r.out_dims == NULL ? FER_OUT_OF_MEMORY : FER_OK;
    if (r.inputs != NULL) {
        memset(r.inputs, 0, mems_bytes);
        r.got = r.inputs + graph->input_count;
        r.expected = r.got + graph->output_count;
    }
    if (status == FER_OK) {
        memset(r.out_dims, 0, dims_bytes);
        status = bring_all(&r);
    }
    if (status == FER_OK) {
        status = compute(&r, instance);
    }
    for (uint32_t i = 0; i < graph->output_count && status == FER_OK; i++) {
        status = output_compare(&r, i);
    }
    for (uint32_t i = 0; i < count && r.inputs != NULL; i++) {
        mem_give(&r, &r.inputs[i]);
    }
    mem_give(&r, &r.workspace);
    if (r.inputs != NULL) {
        host->free(host->self, r.inputs, mems_bytes, ALIGNMENT);
    }
    if (r.out_dims != NULL) {
        host->free(host->self, r.out_dims, dims_bytes, ALIGNMENT);
    }
    return status;
}
