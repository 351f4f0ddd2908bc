/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: what a call says is copied (it is the host's only during the call), then done on the stream
 * or, where there is none or no event is wanted, at once.
 */
#include "kit/geometry.h"
#include "kit/sized.h"
#include "kit/workspace.h"
#include "sim_chip.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct sim_instance {
    const sim_exec *exec;
    fer_mem *weights;
    void *stream;
    atomic_uint users;
} sim_instance;

/* One run: a block with its arrays behind it. */
typedef struct run_task {
    sim_task task; /* first */
    const sim_exec *exec;
    sim_instance *instance; /* NULL without instances */
    fer_mem *mems;          /* per value */
    int64_t *dim_values;
    uint64_t *offsets;
    int64_t (*out_dims)[FER_MAX_RANK]; /* the host's: there until the event is done */
    const fer_poll *poll;              /* at once only */
    size_t bytes;
} run_task;

enum { MAX_OPERANDS = 16 };

/* ---- doing it ---- */

static fer_status
operand_fill(sim_device *device, const run_task *run, uint32_t index, sim_operand *out) {
    const fer_subgraph *graph = run->exec->graph;
    const fer_value_view *value = graph->values[index];
    const fer_mem *mem = &run->mems[index];
    if (!feri_kit_resolve_dims(
            value, run->dim_values, graph->dim_slot_count, out->dims, &out->count)) {
        sim_violate("dims of '%s' lie outside what was promised", value->name);
        return FER_BACKEND;
    }
    out->dtype = value->dtype;
    out->rank = value->rank;
    uint64_t bytes = feri_kit_bytes(value->dtype, out->count);
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        if (graph->constants[i] == index && run->exec->is_blocked[i]) {
            out->is_blocked = 1;
            bytes = sim_blocked_bytes(value);
        }
    }
    int is_host = (value->flags & FER_VALUE_HOST) != 0;
    if (bytes > 0 && is_host != (mem->handle == NULL)) {
        sim_violate("value '%s' came in %s memory", value->name, is_host ? "device" : "host");
        return FER_BACKEND;
    }
    out->data = bytes == 0 ? NULL : sim_address(device, mem, bytes);
    return bytes > 0 && out->data == NULL ? FER_BACKEND : FER_OK;
}

static fer_status node_run(sim_device *device, const run_task *run, const fer_node_view *node) {
    sim_operand places[MAX_OPERANDS];
    const sim_operand *in[MAX_OPERANDS] = {NULL}, *out[MAX_OPERANDS] = {NULL};
    memset(places, 0, sizeof(places));
    int64_t dims[FER_MAX_RANK] = {0};
    fer_status status = FER_OK;
    if (node->input_count + node->output_count > MAX_OPERANDS) {
        return FER_LIMIT;
    }
    for (uint32_t i = 0; i < node->input_count + node->output_count && status == FER_OK; i++) {
        int is_in = i < node->input_count;
        uint32_t value = is_in ? node->inputs[i] : node->outputs[i - node->input_count];
        if (value != FER_NO_VALUE) {
            status = operand_fill(device, run, value, &places[i]);
            *(is_in ? &in[i] : &out[i - node->input_count]) = &places[i];
        }
    }
    status = status == FER_OK ? sim_kernel(node, in, out, dims) : status;
    const fer_subgraph *graph = run->exec->graph;
    for (uint32_t i = 0; i < graph->output_count && status == FER_OK; i++) {
        const fer_value_view *view = graph->values[graph->outputs[i]];
        if (graph->outputs[i] == node->outputs[0] &&
            (view->flags & FER_VALUE_DATA_DEPENDENT) != 0) {
            memcpy(run->out_dims[i], dims, sizeof(dims));
        }
    }
    return status;
}

static void dims_spoil(sim_device *device, const run_task *run) {
    const fer_subgraph *graph = run->exec->graph;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const fer_value_view *view = graph->values[graph->outputs[i]];
        if ((view->flags & FER_VALUE_DATA_DEPENDENT) == 0) {
            continue;
        }
        if (sim_fault_hits(device->chip, &device->chip->faults.dims_wrong_at)) {
            run->out_dims[i][view->rank - 1] = INT64_C(1) << 40;
        }
        if (sim_fault_hits(device->chip, &device->chip->faults.dims_negative_at)) {
            run->out_dims[i][0] = -1;
        }
    }
}

static fer_status slow_down(sim_device *device, const run_task *run) {
    sim_lock();
    uint64_t left = device->chip->config.kernel_ns;
    sim_unlock();
    while (left > 0) {
        uint64_t piece = left < 500000 ? left : 500000;
        struct timespec little = {0, (long)piece};
        nanosleep(&little, NULL);
        left -= piece;
        if (atomic_load(&run->task.is_cancelled) != 0 ||
            (run->task.is_aborted != NULL && atomic_load(run->task.is_aborted) != 0)) {
            return FER_CANCELLED;
        }
    }
    return FER_OK;
}

static void profile_add(sim_device *device, const fer_node_view *node) {
    sim_lock();
    if (device->is_profiled && device->profile_length < sizeof(device->profile) - 1) {
        size_t room = sizeof(device->profile) - device->profile_length;
        int length = snprintf(
            device->profile + device->profile_length, room, "%s %s\n", node->op_name, node->name);
        device->profile_length += length < 0 || (size_t)length >= room ? 0 : (uint32_t)length;
    }
    sim_unlock();
}

static fer_status fate_meet(run_task *run, sim_device *device) {
    const char *node = run->exec->graph->nodes[0]->name;
    switch (sim_kernel_fate(device->chip)) {
    case SIM_LOSE:
        sim_lock();
        int tells = device->chip->faults.tells_loss != 0;
        sim_unlock();
        sim_lose(device->chip->index, tells);
        (void)snprintf(run->task.message, sizeof(run->task.message), "the simulated chip is gone");
        return FER_DEVICE_LOST;
    case SIM_BREAK:
        (void)snprintf(run->task.message, sizeof(run->task.message), "the kernel faulted");
        (void)snprintf(run->task.node, sizeof(run->task.node), "%s", node);
        return FER_BACKEND;
    case SIM_HANG:
        if (!sim_hang(device, &run->task.is_cancelled, run->task.is_aborted)) {
            return atomic_load(&device->is_lost) != 0 ? FER_DEVICE_LOST : FER_CANCELLED;
        }
        return FER_OK;
    default:
        return FER_OK;
    }
}

static fer_status run_work(sim_task *task, sim_device *device) {
    run_task *run = (run_task *)task;
    const fer_subgraph *graph = run->exec->graph;
    sim_lock();
    device->chip->stats.kernels++;
    sim_unlock();
    fer_status status = fate_meet(run, device);
    status = status == FER_OK ? slow_down(device, run) : status;
    for (uint32_t i = 0; i < graph->node_count && status == FER_OK; i++) {
        profile_add(device, graph->nodes[i]);
        status = node_run(device, run, graph->nodes[i]);
        if (status != FER_OK) {
            (void)snprintf(task->message, sizeof(task->message), "a kernel refused its operands");
            (void)snprintf(task->node, sizeof(task->node), "%s", graph->nodes[i]->name);
        } else if (run->poll != NULL) {
            status = run->poll->check(run->poll->self);
        }
    }
    if (status == FER_OK) {
        dims_spoil(device, run);
    }
    return status;
}

static void run_drop(sim_task *task, const fer_host *host) {
    run_task *run = (run_task *)task;
    for (uint32_t i = 0; i < run->exec->graph->value_count; i++) {
        sim_use(&run->mems[i], -1);
    }
    if (run->instance != NULL) {
        atomic_fetch_sub(&run->instance->users, 1);
    }
    sim_give(host, run, run->bytes);
    sim_count_live(-1);
}

/* ---- putting it together ---- */

static void mems_fill(run_task *run, const fer_mem *weights, const fer_run_args *args) {
    const fer_subgraph *graph = run->exec->graph;
    const feri_kit_life *lives = run->exec->lives;
    for (uint32_t i = 0; i < run->exec->life_count; i++) {
        fer_mem *mem = &run->mems[lives[i].value];
        *mem = args->workspace;
        mem->offset += run->offsets[i];
        mem->bytes -= run->offsets[i] < mem->bytes ? run->offsets[i] : mem->bytes;
        mem->host = mem->host == NULL ? NULL : (char *)mem->host + run->offsets[i];
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        run->mems[graph->inputs[i]] = args->inputs[i];
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        run->mems[graph->outputs[i]] = args->outputs[i];
    }
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        run->mems[graph->constants[i]] = weights[i];
    }
}

static fer_status run_new(sim_device *device,
                          const sim_exec *exec,
                          sim_instance *instance,
                          const fer_run_args *args,
                          run_task **out_run) {
    const fer_subgraph *graph = exec->graph;
    size_t mems_bytes = graph->value_count * sizeof(fer_mem);
    size_t dims_bytes = (graph->dim_slot_count + 1) * sizeof(int64_t);
    size_t bytes = sizeof(run_task) + mems_bytes + dims_bytes + exec->life_count * sizeof(uint64_t);
    run_task *run = sim_take(device->host, bytes);
    if (run == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    run->bytes = bytes;
    run->exec = exec;
    run->mems = (fer_mem *)(run + 1);
    run->dim_values = (int64_t *)((char *)run->mems + mems_bytes);
    run->offsets = (uint64_t *)((char *)run->dim_values + dims_bytes);
    run->out_dims = args->out_dims;
    run->task.work = run_work;
    run->task.drop = run_drop;
    if (graph->dim_slot_count > 0) {
        memcpy(run->dim_values, args->dim_values, graph->dim_slot_count * sizeof(int64_t));
    }
    uint64_t needed = 0;
    fer_status status = feri_kit_plan(
        device->host, graph, exec->lives, exec->life_count, run->dim_values, run->offsets, &needed);
    if (status == FER_OK && needed > args->workspace.bytes) {
        sim_violate("a workspace of %llu bytes where %llu are needed",
                    (unsigned long long)args->workspace.bytes,
                    (unsigned long long)needed);
        status = sim_fail(device, FER_INVALID_ARGUMENT, NULL, "the workspace is too small");
    }
    if (status != FER_OK) {
        sim_give(device->host, run, bytes);
        return status;
    }
    mems_fill(run, instance != NULL ? instance->weights : args->weights, args);
    for (uint32_t i = 0; i < graph->value_count; i++) {
        sim_use(&run->mems[i], 1);
    }
    if (instance != NULL && atomic_fetch_add(&instance->users, 1) != 0) {
        sim_violate("an instance runs twice at a time");
    }
    run->instance = instance;
    sim_count_live(1);
    *out_run = run;
    return FER_OK;
}

static fer_status run_at_once(sim_device *device, run_task *run, const fer_run_args *args) {
    run->poll = args->poll;
    uint64_t start = sim_chip_clock(device->chip);
    fer_status status = run_work(&run->task, device);
    char message[sizeof(run->task.message)], node[sizeof(run->task.node)];
    memcpy(message, run->task.message, sizeof(message));
    memcpy(node, run->task.node, sizeof(node));
    run_drop(&run->task, device->host);
    sim_lock();
    device->chip->stats.runs_waited++;
    device->chip->busy_ns += sim_chip_clock(device->chip) - start;
    sim_unlock();
    return status == FER_OK || message[0] == 0
               ? status
               : sim_fail(device, status, node[0] == 0 ? NULL : node, message);
}

fer_status sim_run(void *object, void *exec, const fer_run_args *args) {
    sim_device *device = object;
    run_task *run = NULL;
    fer_status status = FERI_KIT_IS_SHORT(args) ? feri_kit_short(device->host) : sim_enter(device);
    status = status == FER_OK ? run_new(device, exec, NULL, args, &run) : status;
    return status == FER_OK ? run_at_once(device, run, args) : status;
}

/* ---- instances ---- */

static fer_status instance_create(void *object,
                                  void *exec_object,
                                  const fer_instance_args *args,
                                  void **out_instance) {
    sim_device *device = object;
    const sim_exec *exec = exec_object;
    fer_status status = FERI_KIT_IS_SHORT(args) ? feri_kit_short(device->host) : sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    uint32_t count = exec->graph->constant_count;
    sim_instance *instance = sim_take(device->host, sizeof(*instance));
    fer_mem *weights = sim_take(device->host, (count + 1) * sizeof(fer_mem));
    if (instance == NULL || weights == NULL) {
        sim_give(device->host, instance, sizeof(*instance));
        sim_give(device->host, weights, (count + 1) * sizeof(fer_mem));
        return FER_OUT_OF_MEMORY;
    }
    if (count > 0) {
        memcpy(weights, args->weights, count * sizeof(fer_mem));
    }
    instance->exec = exec;
    instance->weights = weights;
    instance->stream = args->stream;
    sim_count_live(1);
    *out_instance = instance;
    return FER_OK;
}

static void instance_destroy(void *object, void *instance_object) {
    const sim_device *device = object;
    sim_instance *instance = instance_object;
    if (atomic_load(&instance->users) != 0) {
        sim_violate("an instance is destroyed while its run is under way");
    }
    sim_give(device->host,
             instance->weights,
             (instance->exec->graph->constant_count + 1) * sizeof(fer_mem));
    sim_give(device->host, instance, sizeof(*instance));
    sim_count_live(-1);
}

static fer_status instance_run(void *object, void *instance_object, const fer_run_args *args) {
    sim_device *device = object;
    sim_instance *instance = instance_object;
    fer_status status = FERI_KIT_IS_SHORT(args) ? feri_kit_short(device->host) : sim_enter(device);
    run_task *run = NULL;
    if (sim_fault_hits(device->chip, &device->chip->faults.not_ready_at)) {
        return FER_NOT_READY;
    }
    status = status == FER_OK ? run_new(device, instance->exec, instance, args, &run) : status;
    if (status != FER_OK) {
        return status;
    }
    sim_lock();
    int at_once = device->chip->config.finishes_at_once != 0;
    sim_unlock();
    if (args->out_signal == NULL || args->stream == NULL || at_once) {
        if (args->out_signal != NULL) {
            *args->out_signal = NULL;
        }
        return run_at_once(device, run, args);
    }
    if (args->stream != instance->stream) {
        sim_violate("a run on another stream than its instance's");
    }
    sim_lock();
    device->chip->stats.runs_async++;
    sim_unlock();
    return sim_stream_put(
        args->stream, &run->task, args->waits, args->wait_count, args->out_signal);
}

const fer_backend_instances sim_instances = {.struct_size = sizeof(sim_instances),
                                             .instance_create = instance_create,
                                             .instance_destroy = instance_destroy,
                                             .run = instance_run};
