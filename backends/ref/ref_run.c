/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances and runs. The warm path (feri_ref_instance_run with the dims of the last run) sets
 * addresses and walks the steps; everything that follows from dims is done by rebind, once per
 * change. Called by ref_backend.c.
 */
#include "kit/geometry.h"
#include "ref/ref_exec.h"

#include <stdalign.h>
#include <string.h>

/* A step of an instance: what the loop touches, and no more. */
typedef struct bound_step {
    fer_status (*run)(feri_ref_call *call);
    feri_ref_call call;
} bound_step;

/* Where intermediates lie at one tuple of dims. Dims that come back find theirs again. */
enum { LAYOUTS = 8 };
typedef struct layout {
    uint64_t dims_id; /* 0: not filled */
    uint64_t workspace_bytes;
    uint64_t *offsets; /* [life_count] */
} layout;

typedef struct feri_ref_instance {
    feri_ref_exec *exec;
    const fer_mem *weights; /* NULL: taken from each run */
    uint64_t bytes;         /* of this allocation */
    uint64_t dims_id;       /* bound for these dims; 0 nothing is bound */
    uint64_t scratch_bytes;
    uint8_t *workspace; /* addresses of intermediates follow from this */
    uint8_t *scratch;   /* own, grown when dims change */
    feri_ref_tensor *tensors;
    bound_step *steps;
    feri_ref_tensor **operands;
    layout layouts[LAYOUTS];
    const layout *layout; /* the one in use */
    uint32_t layout_count;
    uint32_t next_layout;
    uint64_t *input_bytes;
    uint64_t *output_bytes;
    uint8_t *params;
    uint64_t nothing; /* what tensors of no elements point at */
} feri_ref_instance;

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
    uint64_t operands_at = steps_at + graph->node_count * sizeof(bound_step);
    uint64_t offsets_at = operands_at + exec->operand_count * sizeof(feri_ref_tensor *);
    offsets_at = (offsets_at + 7) / 8 * 8;
    uint32_t layout_count = graph->dim_slot_count > 0 ? LAYOUTS : 1;
    uint64_t inputs_at = offsets_at + (uint64_t)layout_count * exec->life_count * sizeof(uint64_t);
    uint64_t outputs_at = inputs_at + graph->input_count * sizeof(uint64_t);
    uint64_t bytes = outputs_at + graph->output_count * sizeof(uint64_t);
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
    instance->steps = (bound_step *)(void *)(memory + steps_at);
    instance->operands = (feri_ref_tensor **)(void *)(memory + operands_at);
    instance->layout_count = layout_count;
    for (uint32_t i = 0; i < layout_count; i++) {
        instance->layouts[i].offsets =
            (uint64_t *)(void *)(memory + offsets_at) + (uint64_t)i * exec->life_count;
    }
    instance->input_bytes = (uint64_t *)(void *)(memory + inputs_at);
    instance->output_bytes = (uint64_t *)(void *)(memory + outputs_at);
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

static fer_status fail_memory(const feri_ref_instance *instance, const char *message) {
    const fer_host *host = instance->exec->host;
    return host->fail(host->self, FER_INVALID_ARGUMENT, /*native_code=*/0, /*node=*/NULL, message);
}

/* Addresses of what the host hands in. bytes[i] is what entry i must hold. */
static fer_status place(feri_ref_instance *instance,
                        const uint32_t *values,
                        uint32_t count,
                        const fer_mem *memories,
                        const uint64_t *bytes) {
    for (uint32_t i = 0; i < count; i++) {
        feri_ref_tensor *tensor = &instance->tensors[values[i]];
        const fer_mem *memory = &memories[i];
        if (bytes[i] > 0) {
            if (!memory->host || memory->bytes < bytes[i]) {
                return fail_memory(
                    instance,
                    "an input or output of the run has no host memory, or less than its dims need");
            }
            tensor->data = memory->host;
        }
    }
    return FER_OK;
}

static fer_status place_weights(feri_ref_instance *instance, const fer_mem *weights) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        feri_ref_tensor *tensor = &instance->tensors[graph->constants[i]];
        uint64_t bytes = feri_kit_bytes(tensor->dtype, tensor->count);
        if (bytes > 0) {
            if (!weights || !weights[i].host || weights[i].bytes < bytes) {
                return fail_memory(instance, "a constant has no host memory, or too little");
            }
            tensor->data = weights[i].host;
        }
    }
    return FER_OK;
}

static fer_status place_workspace(feri_ref_instance *instance, const fer_mem *workspace) {
    const feri_ref_exec *exec = instance->exec;
    uint64_t bytes = instance->layout->workspace_bytes;
    if (bytes > 0 && (!workspace->host || workspace->bytes < bytes)) {
        return fail_memory(instance, "the workspace is smaller than workspace_bytes answered");
    }
    instance->workspace = workspace->host;
    for (uint32_t i = 0; i < exec->life_count; i++) {
        feri_ref_tensor *tensor = &instance->tensors[exec->lives[i].value];
        tensor->data = tensor->count > 0 ? instance->workspace + instance->layout->offsets[i]
                                         : (uint8_t *)&instance->nothing;
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
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const feri_ref_tensor *tensor = &instance->tensors[graph->inputs[i]];
        instance->input_bytes[i] = feri_kit_bytes(tensor->dtype, tensor->count);
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const feri_ref_tensor *tensor = &instance->tensors[graph->outputs[i]];
        instance->output_bytes[i] = feri_kit_bytes(tensor->dtype, tensor->count);
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
    layout *made = &instance->layouts[instance->next_layout++ % instance->layout_count];
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

/* Everything that follows from dims: sizes, places, kernels' params. */
static fer_status rebind(feri_ref_instance *instance, const fer_run_args *args) {
    const feri_ref_exec *exec = instance->exec;
    const fer_subgraph *graph = exec->graph;
    instance->dims_id = 0;
    fer_status status = resolve(instance, args);
    if (status == FER_OK) {
        status = layout_get(instance, args);
    }
    if (status == FER_OK) {
        status =
            place(instance, graph->inputs, graph->input_count, args->inputs, instance->input_bytes);
    }
    if (status == FER_OK) {
        status = place(
            instance, graph->outputs, graph->output_count, args->outputs, instance->output_bytes);
    }
    if (status == FER_OK) {
        status = place_weights(instance, instance->weights ? instance->weights : args->weights);
    }
    if (status == FER_OK) {
        status = place_workspace(instance, &args->workspace);
    }
    for (uint32_t n = 0; n < graph->node_count && status == FER_OK; n++) {
        status = bind_step(instance, n, args->poll);
    }
    if (status == FER_OK) {
        instance->dims_id = args->dims_id;
    }
    return status;
}

/* The warm path's share of rebind: only addresses can have changed. */
static fer_status set_addresses(feri_ref_instance *instance, const fer_run_args *args) {
    const fer_subgraph *graph = instance->exec->graph;
    fer_status status =
        place(instance, graph->inputs, graph->input_count, args->inputs, instance->input_bytes);
    if (status == FER_OK) {
        status = place(
            instance, graph->outputs, graph->output_count, args->outputs, instance->output_bytes);
    }
    if (status == FER_OK && !instance->weights && graph->constant_count > 0) {
        status = place_weights(instance, args->weights);
    }
    if (status == FER_OK && (uint8_t *)args->workspace.host != instance->workspace) {
        status = place_workspace(instance, &args->workspace);
    }
    return status;
}

/* Kernels shrink the dims of data-dependent outputs; a new run starts at the upper bound again. */
static fer_status reset_outputs(feri_ref_instance *instance, const fer_run_args *args) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const fer_value_view *value = graph->values[graph->outputs[i]];
        feri_ref_tensor *tensor = &instance->tensors[graph->outputs[i]];
        if ((value->flags & FER_VALUE_DATA_DEPENDENT) &&
            !feri_kit_resolve_dims(
                value, args->dim_values, args->dim_count, tensor->dims, &tensor->count)) {
            return fail_memory(instance, "dim_values changed while dims_id did not");
        }
    }
    return FER_OK;
}

/* Kernels write the bits of elements only; equal results shall be equal bytes. */
static void clear_padding(const feri_ref_instance *instance) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const feri_ref_tensor *tensor = &instance->tensors[graph->outputs[i]];
        if (feri_ref_bits(tensor->dtype) < 8 && instance->output_bytes[i] > 0) {
            tensor->data[instance->output_bytes[i] - 1] = 0;
        }
    }
}

static void report_dims(const feri_ref_instance *instance, const fer_run_args *args) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const feri_ref_tensor *tensor = &instance->tensors[graph->outputs[i]];
        if ((graph->values[graph->outputs[i]]->flags & FER_VALUE_DATA_DEPENDENT) &&
            args->out_dims && tensor->rank > 0) {
            memcpy(args->out_dims[i], tensor->dims, tensor->rank * sizeof(int64_t));
        }
    }
}

static fer_status rebind_host_readers(feri_ref_instance *instance, const fer_poll *poll) {
    const feri_ref_exec *exec = instance->exec;
    fer_status status = FER_OK;
    for (uint32_t n = 0; n < exec->graph->node_count && status == FER_OK; n++) {
        if (exec->steps[n].rebinds) {
            status = bind_step(instance, n, poll);
        }
    }
    return status;
}

fer_status feri_ref_instance_run(feri_ref_instance *instance, const fer_run_args *args) {
    const feri_ref_exec *exec = instance->exec;
    fer_status status;
    if (instance->dims_id == args->dims_id && args->dims_id != 0) {
        status = set_addresses(instance, args);
        if (status == FER_OK && exec->data_dependent_count > 0) {
            status = reset_outputs(instance, args);
        }
        if (status == FER_OK && exec->rebind_count > 0) {
            status = rebind_host_readers(instance, args->poll);
        }
    } else {
        status = rebind(instance, args);
    }
    if (status != FER_OK) {
        return status;
    }
    if (exec->sub_byte_count > 0) {
        clear_padding(instance);
    }
    uint64_t work = 0; /* since the last poll: carried from step to step */
    bound_step *end = instance->steps + exec->graph->node_count;
    for (bound_step *step = instance->steps; step < end; step++) {
        step->call.poll = args->poll;
        step->call.work_since_poll = work;
        status = step->run(&step->call);
        if (status != FER_OK) {
            step->call.status = FER_OK; /* the instance may run again */
            return status;
        }
        work = step->call.work_since_poll + 1;
    }
    if (exec->data_dependent_count > 0) {
        report_dims(instance, args);
    }
    if (args->out_signal) {
        *args->out_signal = NULL; /* done already */
    }
    return FER_OK;
}
