/* SPDX-License-Identifier: Apache-2.0
 *
 * An exec with all that its runs need, made and driven as a host would, each step's status handed
 * on: what fails leaves nothing behind.
 */
#include "abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fer_status poll_check(void *object) {
    abi_exec *self = object;
    atomic_fetch_add(&self->polls, 1);
    return atomic_load(&self->poll_answer);
}

/* ---- making ---- */

/* The constant as the exec wants it. */
static fer_status weight_make(abi_exec *self) {
    abi_life *life = self->life;
    const fer_backend_compiler *compiler = life->m->compiler;
    const fer_value_view *value = &self->graph->values[1].view;
    fer_weight_layout layout = {.struct_size = sizeof layout};
    fer_status status = compiler->weight_layout(life->device, self->exec, 0, &layout);
    int is_own = layout.name[0] != '\0';
    uint64_t bytes = is_own ? layout.bytes : value->bytes;
    if (status == FER_OK) {
        status = abi_mem_take(life, bytes, &self->weights[0]);
    }
    if (status != FER_OK) {
        return status;
    }
    if (!is_own) {
        return abi_mem_write(life, &self->weights[0], value->data, bytes);
    }
    fer_mem source = {NULL, 0, value->bytes, (void *)(uintptr_t)value->data};
    return compiler->weight_prepare(life->device, self->exec, 0, &source, &self->weights[0]);
}

static fer_status memory_make(abi_exec *self) {
    abi_life *life = self->life;
    const abi_graph *graph = self->graph;
    int64_t most = graph->kind == ABI_DYNAMIC ? 40 : graph->rows;
    uint64_t count = 1, bytes = 0;
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < graph->graph.input_count && status == FER_OK; i++) {
        uint64_t elements = abi_graph_count(graph, graph->inputs[i], most);
        count = elements > count ? elements : count;
        status = abi_mem_take(life, elements * sizeof(float), &self->inputs[i]);
    }
    uint64_t elements = abi_graph_count(graph, graph->outputs[0], most);
    count = elements > count ? elements : count;
    self->bytes = elements * sizeof(float);
    if (status == FER_OK) {
        status = abi_mem_take(life, self->bytes, &self->outputs[0]);
    }
    self->numbers = calloc(count, sizeof(float));
    self->right = calloc(count, sizeof(float));
    if (self->numbers == NULL || self->right == NULL) {
        status = FER_LIMIT; /* the machine's fault; no case expects it */
    }
    if (status == FER_OK) {
        status = life->m->core->workspace_bytes(
            life->device, self->exec, graph->kind == ABI_DYNAMIC ? self->dim_values : NULL, &bytes);
    }
    return status == FER_OK && bytes > 0 ? abi_mem_take(life, bytes, &self->workspace) : status;
}

fer_status abi_exec_adopt(abi_life *life, const abi_graph *graph, void *exec, abi_exec *out) {
    memset(out, 0, sizeof *out);
    out->life = life;
    out->graph = graph;
    out->exec = exec;
    out->dim_values[0] = 40;
    out->dims_id = 1;
    out->poll = (fer_poll){poll_check, out};
    fer_status status = memory_make(out);
    out->dim_values[0] = graph->rows;
    if (status == FER_OK && graph->graph.constant_count > 0) {
        status = weight_make(out);
    }
    if (status == FER_OK) {
        status = life->m->async->stream_create(life->device, &out->stream);
    }
    if (status == FER_OK) {
        fer_instance_args args = {.struct_size = sizeof args,
                                  .weights = graph->graph.constant_count > 0 ? out->weights : NULL,
                                  .stream = out->stream};
        status = life->m->instances->instance_create(life->device, exec, &args, &out->instance);
    }
    if (status != FER_OK) {
        out->instance = NULL;
        abi_exec_finish(out);
    }
    return status;
}

fer_status abi_exec_try(abi_life *life, const abi_graph *graph, abi_exec *out) {
    void *exec = NULL;
    fer_status status = life->m->core->compile(life->device, &graph->graph, &exec);
    return status == FER_OK ? abi_exec_adopt(life, graph, exec, out) : status;
}

void abi_exec_make(abi_life *life, const abi_graph *graph, abi_exec *out) {
    abi_ok(life->suite, abi_exec_try(life, graph, out), "making an exec ready to run");
}

/* A stream goes before the instances made for it. */
void abi_exec_finish(abi_exec *self) {
    abi_life *life = self->life;
    if (self->stream != NULL) {
        life->m->async->stream_destroy(life->device, self->stream);
    }
    if (self->instance != NULL) {
        life->m->instances->instance_destroy(life->device, self->instance);
    }
    if (self->exec != NULL) {
        life->m->core->exec_destroy(life->device, self->exec);
    }
    abi_mem_give(life, &self->inputs[0]);
    abi_mem_give(life, &self->inputs[1]);
    abi_mem_give(life, &self->outputs[0]);
    abi_mem_give(life, &self->weights[0]);
    abi_mem_give(life, &self->workspace);
    free(self->numbers);
    free(self->right);
    memset(self, 0, sizeof *self);
}

/* ---- running ---- */

fer_run_args abi_exec_args(abi_exec *self) {
    int is_dynamic = self->graph->kind == ABI_DYNAMIC;
    return (fer_run_args){.struct_size = sizeof(fer_run_args),
                          .dim_count = (uint32_t)is_dynamic,
                          .dim_values = is_dynamic ? self->dim_values : NULL,
                          .dims_id = self->dims_id,
                          .inputs = self->inputs,
                          .outputs = self->outputs,
                          .weights = self->graph->graph.constant_count > 0 ? self->weights : NULL,
                          .workspace = self->workspace,
                          .poll = &self->poll,
                          .stream = self->stream};
}

fer_status abi_exec_feed(abi_exec *self, uint64_t seed) {
    const abi_graph *graph = self->graph;
    fer_status status = FER_OK;
    int64_t rows = self->dim_values[0];
    for (uint32_t i = 0; i < graph->graph.input_count && status == FER_OK; i++) {
        uint64_t count = abi_graph_count(graph, graph->inputs[i], rows);
        abi_graph_fill(graph, graph->inputs[i], rows, seed, self->numbers);
        status = abi_mem_write(self->life, &self->inputs[i], self->numbers, count * sizeof(float));
    }
    memset(self->numbers, 0x5a, (size_t)self->bytes);
    return status == FER_OK
               ? abi_mem_write(self->life, &self->outputs[0], self->numbers, self->bytes)
               : status;
}

fer_status abi_exec_go(abi_exec *self, fer_run_args *args) {
    const fer_backend_async *async = self->life->m->async;
    void *device = self->life->device, *event = NULL;
    args->out_signal = args->stream != NULL ? &event : NULL;
    fer_status status = self->life->m->instances->run(device, self->instance, args);
    if (status != FER_OK || event == NULL) {
        return status;
    }
    status = async->event_wait(device, event, (uint64_t)(self->life->suite->timeout_s * 0.8e9));
    async->event_destroy(device, event);
    return status;
}

fer_status abi_exec_check(abi_exec *self, uint64_t seed) {
    uint64_t count = abi_graph_count(self->graph, self->graph->outputs[0], self->dim_values[0]);
    fer_status status =
        abi_mem_read(self->life, &self->outputs[0], self->numbers, count * sizeof(float));
    self->wrong[0] = '\0';
    if (status != FER_OK) {
        return status;
    }
    abi_graph_expect(self->graph, seed, self->dim_values[0], self->right);
    for (uint64_t i = 0; i < count; i++) {
        float off = self->numbers[i] - self->right[i];
        if (!(off < 0.01F && off > -0.01F)) {
            (void)snprintf(self->wrong,
                           sizeof self->wrong,
                           "the run's output is wrong: element %llu is %g, %g is right",
                           (unsigned long long)i,
                           (double)self->numbers[i],
                           (double)self->right[i]);
            return FER_OK;
        }
    }
    return FER_OK;
}

fer_status abi_exec_run(abi_exec *self, uint64_t seed) {
    fer_status status = abi_exec_feed(self, seed);
    fer_run_args args = abi_exec_args(self);
    status = status == FER_OK ? abi_exec_go(self, &args) : status;
    return status == FER_OK ? abi_exec_check(self, seed) : status;
}

void abi_exec_must(abi_exec *self, uint64_t seed) {
    abi_ok(self->life->suite, abi_exec_run(self, seed), "a run");
    if (self->wrong[0] != '\0') {
        abi_fail(self->life->suite, "%s", self->wrong);
    }
}

void abi_all_open(abi *self, int32_t kind, abi_all *out) {
    abi_life_open(self, &out->life);
    abi_graph_pick(&out->life, kind, &out->graph);
    abi_exec_make(&out->life, &out->graph, &out->exec);
}

void abi_all_close(abi_all *self) {
    abi_exec_finish(&self->exec);
    abi_life_close(&self->life);
}
