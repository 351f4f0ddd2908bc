/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs. The warm path (feri_ref_instance_run with the dims of the last run) sets addresses and
 * walks the steps; everything that follows from dims is ref_bind.c's. Called by ref_backend.c.
 */
#include "ref/ref_instance.h"

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

fer_status feri_ref_instance_run(feri_ref_instance *instance, const fer_run_args *args) {
    const feri_ref_exec *exec = instance->exec;
    fer_status status;
    if (instance->dims_id == args->dims_id && args->dims_id != 0) {
        status = set_addresses(instance, args);
        if (status == FER_OK && exec->data_dependent_count > 0) {
            status = feri_ref_reset_outputs(instance, args);
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
        feri_ref_clear_padding(instance);
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
        feri_ref_report_dims(instance, args);
    }
    if (args->out_signal) {
        *args->out_signal = NULL; /* done already */
    }
    return FER_OK;
}
