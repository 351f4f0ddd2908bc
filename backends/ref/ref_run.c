/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs. The warm path (feri_ref_instance_run with the dims of the last run) sets addresses and
 * walks the steps; everything that follows from dims is ref_bind.c's. Called by ref_backend.c.
 */
#include "kit/geometry.h"
#include "ref/ref_instance.h"

#include <string.h>

fer_status feri_ref_place(feri_ref_instance *instance,
                          const uint32_t *values,
                          uint32_t count,
                          const fer_mem *memories) {
    for (uint32_t i = 0; i < count; i++) {
        feri_ref_tensor *tensor = &instance->tensors[values[i]];
        if (tensor->bytes > 0) {
            if (!memories || !memories[i].host || memories[i].bytes < tensor->bytes) {
                return feri_ref_run_misfit(instance,
                                           "an input, output or constant of the run has no host "
                                           "memory, or less than its dims need");
            }
            tensor->data = memories[i].host;
        }
    }
    return FER_OK;
}

/* The warm path's share of binding: only addresses can have changed. */
static fer_status set_addresses(feri_ref_instance *instance, const fer_run_args *args) {
    const fer_subgraph *graph = instance->exec->graph;
    fer_status status = feri_ref_place(instance, graph->inputs, graph->input_count, args->inputs);
    if (status == FER_OK) {
        status = feri_ref_place(instance, graph->outputs, graph->output_count, args->outputs);
    }
    if (status == FER_OK && !instance->weights && graph->constant_count > 0) {
        status = feri_ref_place(instance, graph->constants, graph->constant_count, args->weights);
    }
    if (status == FER_OK && (uint8_t *)args->workspace.host != instance->workspace) {
        status = feri_ref_place_workspace(instance, &args->workspace);
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
            return feri_ref_run_misfit(instance, "dim_values changed while dims_id did not");
        }
    }
    return FER_OK;
}

/* Kernels write the bits of elements only; equal results shall be equal bytes. */
static void clear_padding(const feri_ref_instance *instance) {
    const fer_subgraph *graph = instance->exec->graph;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const feri_ref_tensor *tensor = &instance->tensors[graph->outputs[i]];
        if (feri_ref_bits(tensor->dtype) < 8 && tensor->bytes > 0) {
            tensor->data[tensor->bytes - 1] = 0;
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

fer_status feri_ref_instance_run(feri_ref_instance *instance, const fer_run_args *args) {
    const feri_ref_exec *exec = instance->exec;
    fer_status status;
    if (instance->dims_id == args->dims_id && args->dims_id != 0) {
        status = set_addresses(instance, args);
        if (status == FER_OK && exec->data_dependent_count > 0) {
            status = reset_outputs(instance, args);
        }
        if (status == FER_OK && exec->rebind_count > 0) {
            status = feri_ref_bind_again(instance, args->poll);
        }
    } else {
        status = feri_ref_bind(instance, args);
    }
    if (status != FER_OK) {
        return status;
    }
    if (exec->sub_byte_count > 0) {
        clear_padding(instance);
    }
    uint64_t work = 0; /* since the last poll: carried from step to step */
    feri_ref_bound_step *end = instance->steps + exec->graph->node_count;
    for (feri_ref_bound_step *step = instance->steps; step < end; step++) {
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
