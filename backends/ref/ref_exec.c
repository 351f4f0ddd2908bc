/* SPDX-License-Identifier: Apache-2.0
 *
 * Compile: a subgraph becomes a list of steps with their kernels and operands, all in one
 * allocation. Nothing here depends on dims, so one exec serves every size. Called by ref_backend.c.
 */
#include "ref/ref_exec.h"

#include <stdalign.h>
#include <string.h>

enum { MADE_NOT = 0, MADE_OUTSIDE = 1, MADE_BY_NODE = 2 };

static fer_status refuse_graph(const fer_host *host, const char *node, const char *message) {
    return host->fail(host->self, FER_UNSUPPORTED, /*native_code=*/0, node, message);
}

/* The host orders nodes: only one that is at fault sees this. */
static fer_status refuse_order(const fer_host *host, const char *node) {
    return refuse_graph(host,
                        node,
                        "a value of the region is made after it is read, made twice or listed "
                        "twice, or an output is made by no node");
}

static int reads_host_value(const fer_subgraph *graph, const fer_node_view *node) {
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != FER_NO_VALUE &&
            (graph->values[node->inputs[i]]->flags & FER_VALUE_HOST)) {
            return 1;
        }
    }
    return 0;
}

/* Every operand is made before it is read, and every output by a node: what the run relies on. */
static fer_status check_order(const fer_host *host, const fer_subgraph *graph, uint32_t *made) {
    memset(made, 0, graph->value_count * sizeof(*made));
    for (uint32_t i = 0; i < graph->input_count; i++) {
        made[graph->inputs[i]] = MADE_OUTSIDE;
    }
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        made[graph->constants[i]] = MADE_OUTSIDE;
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const fer_node_view *node = graph->nodes[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            uint32_t value = node->inputs[i];
            if (value == FER_NO_VALUE) {
                continue;
            }
            if (made[value] == MADE_NOT) {
                return refuse_order(host, node->name);
            }
            if (made[value] == MADE_BY_NODE &&
                (graph->values[value]->flags & FER_VALUE_DATA_DEPENDENT)) {
                return refuse_graph(
                    host,
                    node->name,
                    "the size of an input is known only when its maker has run; end the region "
                    "before this node");
            }
        }
        for (uint32_t i = 0; i < node->output_count; i++) {
            uint32_t value = node->outputs[i];
            if (value == FER_NO_VALUE) {
                continue;
            }
            if (made[value] != MADE_NOT) {
                return refuse_order(host, node->name);
            }
            made[value] = MADE_BY_NODE;
        }
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        if (made[graph->outputs[i]] != MADE_BY_NODE) {
            return refuse_order(host, /*node=*/NULL);
        }
        made[graph->outputs[i]] = MADE_OUTSIDE;
    }
    return FER_OK;
}

/* A node none of whose outputs anybody wants: kernels need not think of it. */
static fer_status run_nothing(feri_ref_call *call) {
    (void)call;
    return FER_OK;
}
static const feri_ref_kernel nothing = {.run = run_nothing};

static int is_wanted(const fer_node_view *node) {
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != FER_NO_VALUE) {
            return 1;
        }
    }
    return 0;
}

static fer_status fill_steps(feri_ref_exec *exec) {
    const fer_subgraph *graph = exec->graph;
    uint32_t operand = 0;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const fer_node_view *node = graph->nodes[n];
        feri_ref_step *step = &exec->steps[n];
        step->node = node;
        feri_ref_entry entry = feri_ref_find(node->op);
        step->kernel = entry.kernel;
        if (!entry.kernel || node->revision > entry.revision) {
            return refuse_graph(exec->host, node->name, "the reference backend lacks this op");
        }
        if (!is_wanted(node)) {
            step->kernel = &nothing;
        }
        step->operand = operand;
        for (uint32_t i = 0; i < node->input_count; i++) {
            exec->operands[operand++] = node->inputs[i];
        }
        for (uint32_t i = 0; i < node->output_count; i++) {
            exec->operands[operand++] = node->outputs[i];
        }
        step->params = exec->params_bytes;
        exec->params_bytes += ((uint64_t)step->kernel->params_bytes + 15) / 16 * 16;
        step->rebinds = step->kernel->bind && reads_host_value(graph, node);
        exec->rebind_count += step->rebinds;
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        exec->data_dependent_count +=
            (graph->values[graph->outputs[i]]->flags & FER_VALUE_DATA_DEPENDENT) != 0;
        exec->sub_byte_count += feri_ref_bits(graph->values[graph->outputs[i]]->dtype) < 8;
    }
    return FER_OK;
}

fer_status
feri_ref_compile(const fer_host *host, const fer_subgraph *graph, feri_ref_exec **out_exec) {
    uint64_t operands = 0;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        operands += (uint64_t)graph->nodes[n]->input_count + graph->nodes[n]->output_count;
    }
    if (operands > UINT32_MAX) {
        return host->fail(host->self, FER_LIMIT, 0, NULL, "the graph has too many operands");
    }
    /* All pieces have alignments that divide 8, in an order that keeps them aligned. */
    uint64_t steps_at = sizeof(feri_ref_exec);
    uint64_t lives_at = steps_at + graph->node_count * sizeof(feri_ref_step);
    uint64_t operands_at = lives_at + graph->value_count * sizeof(feri_kit_life);
    uint64_t marks_at = operands_at + operands * sizeof(uint32_t);
    uint64_t bytes = marks_at + graph->value_count * sizeof(uint32_t);
    uint8_t *memory = host->alloc(host->self, bytes, alignof(feri_ref_exec));
    if (!memory) {
        return FER_OUT_OF_MEMORY;
    }
    memset(memory, 0, bytes);
    feri_ref_exec *exec = (feri_ref_exec *)(void *)memory;
    uint32_t *marks = (uint32_t *)(void *)(memory + marks_at);
    exec->host = host;
    exec->graph = graph;
    exec->bytes = bytes;
    exec->operand_count = (uint32_t)operands;
    exec->steps = (feri_ref_step *)(void *)(memory + steps_at);
    exec->lives = (feri_kit_life *)(void *)(memory + lives_at);
    exec->operands = (uint32_t *)(void *)(memory + operands_at);
    fer_status status = check_order(host, graph, marks);
    if (status == FER_OK) {
        status = fill_steps(exec);
    }
    if (status != FER_OK) {
        feri_ref_exec_destroy(exec);
        return status;
    }
    exec->life_count = feri_kit_lives(graph, exec->lives, marks);
    *out_exec = exec;
    return FER_OK;
}

void feri_ref_exec_destroy(feri_ref_exec *exec) {
    if (!exec) {
        return;
    }
    const fer_host *host = exec->host;
    if (exec->own) {
        feri_ref_instance_destroy(exec->own);
    }
    host->free(host->self, exec, exec->bytes, alignof(feri_ref_exec));
}
