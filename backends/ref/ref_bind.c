/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances, and what follows from dims: sizes and places of values, params and scratch of kernels.
 * Done once per change of dims; ref_run.c walks the steps. Called by ref_backend.c and ref_run.c.
 */
#include "kit/geometry.h"
#include "ref/ref_instance.h"

#include <stdalign.h>
#include <string.h>

static void wire_steps(feri_ref_instance *instance) {
    const feri_ref_exec *exec = instance->exec;
    for (uint32_t i = 0; i < exec->operand_count; i++) {
        uint32_t value = exec->operands[i];
        instance->operands[i] = value == FER_NO_VALUE ? NULL : &instance->tensors[value];
    }
    for (uint32_t n = 0; n < exec->graph->node_count; n++) {
        const feri_ref_step *step = &exec->steps[n];
        feri_ref_tensor **operand = instance->operands + step->operand;
        instance->steps[n].run = step->kernel->run;
        instance->steps[n].call = (feri_ref_call){.host = exec->host,
                                                  .node = step->node,
                                                  .in = operand,
                                                  .out = operand + step->node->input_count,
                                                  .params = instance->params + step->params};
    }
    for (uint32_t v = 0; v < exec->graph->value_count; v++) {
        instance->tensors[v].dtype = exec->graph->values[v]->dtype;
        instance->tensors[v].rank = exec->graph->values[v]->rank;
        instance->tensors[v].data = (uint8_t *)&instance->nothing;
    }
}

fer_status feri_ref_instance_create(feri_ref_exec *exec,
                                    const fer_mem *weights,
                                    feri_ref_instance **out_instance) {
    const fer_host *host = exec->host;
    const fer_subgraph *graph = exec->graph;
    uint64_t params_at = (sizeof(feri_ref_instance) + 15) / 16 * 16;
    uint64_t tensors_at = params_at + exec->params_bytes;
    uint64_t steps_at = tensors_at + graph->value_count * sizeof(feri_ref_tensor);
    uint64_t operands_at = steps_at + graph->node_count * sizeof(feri_ref_bound_step);
    uint64_t offsets_at = operands_at + exec->operand_count * sizeof(feri_ref_tensor *);
    offsets_at = (offsets_at + 7) / 8 * 8;
    uint32_t layout_count = graph->dim_slot_count > 0 ? FERI_REF_LAYOUTS : 1;
    uint64_t bytes = offsets_at + (uint64_t)layout_count * exec->life_count * sizeof(uint64_t);
    uint8_t *memory = host->alloc(host->self, bytes, 16);
    if (!memory) {
        return FER_OUT_OF_MEMORY;
    }
    memset(memory, 0, bytes);
    feri_ref_instance *instance = (feri_ref_instance *)(void *)memory;
    instance->exec = exec;
    instance->weights = weights;
    instance->bytes = bytes;
    instance->params = memory + params_at;
    instance->tensors = (feri_ref_tensor *)(void *)(memory + tensors_at);
    instance->steps = (feri_ref_bound_step *)(void *)(memory + steps_at);
    instance->operands = (feri_ref_tensor **)(void *)(memory + operands_at);
    instance->layout_count = layout_count;
    for (uint32_t i = 0; i < layout_count; i++) {
        instance->layouts[i].offsets =
            (uint64_t *)(void *)(memory + offsets_at) + (uint64_t)i * exec->life_count;
    }
    wire_steps(instance);
    *out_instance = instance;
    return FER_OK;
}

void feri_ref_instance_destroy(feri_ref_instance *instance) {
    const fer_host *host = instance->exec->host;
    if (instance->scratch) {
        host->free(host->self, instance->scratch, instance->scratch_bytes, 64);
    }
    host->free(host->self, instance, instance->bytes, 16);
}

fer_status feri_ref_run_misfit(const feri_ref_instance *instance, const char *message) {
    const fer_host *host = instance->exec->host;
    return host->fail(host->self, FER_INVALID_ARGUMENT, /*native_code=*/0, /*node=*/NULL, message);
}

fer_status feri_ref_place_workspace(feri_ref_instance *instance, const fer_mem *workspace) {
    const feri_ref_exec *exec = instance->exec;
    uint64_t bytes = instance->layout->workspace_bytes;
    if (bytes > 0 && (!workspace->host || workspace->bytes < bytes)) {
        return feri_ref_run_misfit(instance,
                                   "the workspace is smaller than workspace_bytes answered");
    }
    instance->workspace = workspace->host;
    for (uint32_t i = 0; i < exec->life_count; i++) {
        feri_ref_tensor *tensor = &instance->tensors[exec->lives[i].value];
        if (tensor->count > 0) {
            tensor->data = instance->workspace + instance->layout->offsets[i];
        }
    }
    return FER_OK;
}

static fer_status resolve(feri_ref_instance *instance, const fer_run_args *args) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t v = 0; v < graph->value_count; v++) {
        feri_ref_tensor *tensor = &instance->tensors[v];
        tensor->data = (uint8_t *)&instance->nothing;
        if (!feri_kit_resolve_dims(graph->values[v],
                                   args->dim_values,
                                   args->dim_count,
                                   tensor->dims,
                                   &tensor->count)) {
            const fer_host *host = instance->exec->host;
            return host->fail(host->self,
                              FER_INVALID_INPUT,
                              /*native_code=*/0,
                              /*node=*/NULL,
                              "the run's dims lie outside the bounds the graph was compiled for");
        }
        tensor->bytes = feri_kit_bytes(tensor->dtype, tensor->count);
    }
    return FER_OK;
}

/* Binds one step and makes sure that the scratch all steps share is large enough. */
static fer_status bind_step(feri_ref_instance *instance, uint32_t index, const fer_poll *poll) {
    const feri_ref_step *step = &instance->exec->steps[index];
    feri_ref_call *call = &instance->steps[index].call;
    call->poll = poll;
    call->status = FER_OK;
    call->scratch_bytes = 0;
    if (step->kernel->bind) {
        memset(call->params, 0, step->kernel->params_bytes);
        fer_status status = step->kernel->bind(call);
        if (status != FER_OK) {
            return status;
        }
    }
    uint64_t bytes = call->scratch_bytes;
    if (bytes <= instance->scratch_bytes) {
        return FER_OK;
    }
    const fer_host *host = instance->exec->host;
    uint8_t *scratch = bytes <= INT64_MAX ? host->alloc(host->self, (size_t)bytes, 64) : NULL;
    if (!scratch) {
        return feri_ref_fail(call, FER_OUT_OF_MEMORY, "no memory for the kernel's scratch");
    }
    if (instance->scratch) {
        host->free(host->self, instance->scratch, instance->scratch_bytes, 64);
    }
    instance->scratch = scratch;
    instance->scratch_bytes = bytes;
    for (uint32_t n = 0; n < instance->exec->graph->node_count; n++) {
        instance->steps[n].call.scratch = scratch;
    }
    return FER_OK;
}

static fer_status layout_get(feri_ref_instance *instance, const fer_run_args *args) {
    const feri_ref_exec *exec = instance->exec;
    for (uint32_t i = 0; i < instance->layout_count; i++) {
        if (instance->layouts[i].dims_id == args->dims_id && args->dims_id != 0) {
            instance->layout = &instance->layouts[i];
            return FER_OK;
        }
    }
    feri_ref_layout *made = &instance->layouts[instance->next_layout++ % instance->layout_count];
    made->dims_id = 0;
    fer_status status = feri_kit_plan(exec->host,
                                      exec->graph,
                                      exec->lives,
                                      exec->life_count,
                                      args->dim_values,
                                      made->offsets,
                                      &made->workspace_bytes);
    made->dims_id = status == FER_OK ? args->dims_id : 0;
    instance->layout = made;
    return status;
}

fer_status feri_ref_bind(feri_ref_instance *instance, const fer_run_args *args) {
    const fer_subgraph *graph = instance->exec->graph;
    const fer_mem *weights = instance->weights ? instance->weights : args->weights;
    fer_status status;
    instance->dims_id = 0;
    if ((status = resolve(instance, args)) || (status = layout_get(instance, args)) ||
        (status = feri_ref_place(instance, graph->inputs, graph->input_count, args->inputs)) ||
        (status = feri_ref_place(instance, graph->outputs, graph->output_count, args->outputs)) ||
        (status = feri_ref_place(instance, graph->constants, graph->constant_count, weights)) ||
        (status = feri_ref_place_workspace(instance, &args->workspace))) {
        return status;
    }
    for (uint32_t n = 0; n < graph->node_count && status == FER_OK; n++) {
        status = bind_step(instance, n, args->poll);
    }
    instance->dims_id = status == FER_OK ? args->dims_id : 0;
    return status;
}

fer_status feri_ref_bind_again(feri_ref_instance *instance, const fer_poll *poll) {
    const feri_ref_exec *exec = instance->exec;
    fer_status status = FER_OK;
    for (uint32_t n = 0; n < exec->graph->node_count && status == FER_OK; n++) {
        if (exec->steps[n].rebinds) {
            status = bind_step(instance, n, poll);
        }
    }
    return status;
}

/* ---- what few regions need in a run ---- */

fer_status feri_ref_reset_outputs(feri_ref_instance *instance, const fer_run_args *args) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const fer_value_view *value = graph->values[graph->outputs[i]];
        feri_ref_tensor *tensor = &instance->tensors[graph->outputs[i]];
        if ((value->flags & FER_VALUE_DATA_DEPENDENT) &&
            !feri_kit_resolve_dims(
                value, args->dim_values, args->dim_count, tensor->dims, &tensor->count)) {
            return feri_ref_run_misfit(instance, "dim_values changed while dims_id did not");
        }
    }
    return FER_OK;
}

void feri_ref_clear_padding(const feri_ref_instance *instance) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const feri_ref_tensor *tensor = &instance->tensors[graph->outputs[i]];
        if (feri_ref_bits(tensor->dtype) < 8 && tensor->bytes > 0) {
            tensor->data[tensor->bytes - 1] = 0;
        }
    }
}

void feri_ref_report_dims(const feri_ref_instance *instance, const fer_run_args *args) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const feri_ref_tensor *tensor = &instance->tensors[graph->outputs[i]];
        if ((graph->values[graph->outputs[i]]->flags & FER_VALUE_DATA_DEPENDENT) &&
            args->out_dims && tensor->rank > 0) {
            memcpy(args->out_dims[i], tensor->dims, tensor->rank * sizeof(int64_t));
        }
    }
}
