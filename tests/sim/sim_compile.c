/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulator claims, its execs, its weight layout and its serialised form. An exec is the
 * graph as it came plus where intermediate values live; kernels walk it.
 */
#include "kit/geometry.h"
#include "kit/sized.h"
#include "kit/workspace.h"
#include "sim_chip.h"

#include <stdio.h>
#include <string.h>

static const fer_op_claim default_claims[] = {
    {FER_OP_Add,       27},
    {FER_OP_Concat,    27},
    {FER_OP_Conv,      27},
    {FER_OP_Identity,  27},
    {FER_OP_MatMul,    27},
    {FER_OP_Mul,       27},
    {FER_OP_Neg,       27},
    {FER_OP_NonZero,   27},
    {FER_OP_Relu,      27},
    {FER_OP_Reshape,   27},
    {FER_OP_Softmax,   27},
    {FER_OP_Sub,       27},
    {FER_OP_Transpose, 27},
};

fer_status sim_op_claims(void *object, const fer_op_claim **out_claims, uint32_t *out_count) {
    const sim_device *device = object;
    sim_lock();
    const sim_config *config = &device->chip->config;
    *out_claims = config->asks ? NULL : config->claims != NULL ? config->claims : default_claims;
    *out_count = config->asks             ? 0
                 : config->claims != NULL ? config->claim_count
                                          : sizeof(default_claims) / sizeof(default_claims[0]);
    sim_unlock();
    return FER_OK;
}

static int is_known(uint32_t op) {
    for (size_t i = 0; i < sizeof(default_claims) / sizeof(default_claims[0]); i++) {
        if (default_claims[i].op == op) {
            return 1;
        }
    }
    return 0;
}

static const char *refusal(const fer_subgraph *graph, const fer_node_view *node) {
    if (!is_known(node->op)) {
        return "the chip has no unit for it";
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] == FER_NO_VALUE) {
            continue;
        }
        const fer_value_view *value = graph->values[node->inputs[i]];
        int is_shape = i == 1 && node->op == FER_OP_Reshape;
        if (value->dtype != (is_shape ? FER_I64 : FER_F32)) {
            return "the chip computes in f32 only";
        }
    }
    if (node->op == FER_OP_Conv && graph->values[node->inputs[0]]->rank != 4) {
        return "the chip convolves in two dims only";
    }
    return NULL;
}

fer_status
sim_op_supported(void *object, const fer_subgraph *graph, uint32_t index, fer_support *out) {
    sim_device *device = object;
    fer_status status = FERI_KIT_IS_SHORT(graph) || FERI_KIT_IS_SHORT(out)
                            ? feri_kit_short(device->host)
                            : sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    const fer_node_view *node = graph->nodes[index];
    const char *reason = refusal(graph, node);
    sim_lock();
    int takes_dynamic = device->chip->config.no_dynamic_dims == 0;
    sim_unlock();
    out->supported = reason == NULL;
    out->dynamic_dims = reason == NULL && takes_dynamic;
    if (reason != NULL) {
        (void)snprintf(out->reason, sizeof(out->reason), "%s", reason);
    }
    return FER_OK;
}

static fer_status claim(void *device, const fer_subgraph *graph, fer_support *supports) {
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < graph->node_count && status == FER_OK; i++) {
        status = sim_op_supported(device, graph, i, &supports[i]);
    }
    return status;
}

/* ---- execs ---- */

void sim_exec_destroy(void *object, void *exec_object) {
    const sim_device *device = object;
    sim_exec *exec = exec_object;
    sim_give(device->host, exec->is_blocked, exec->graph->constant_count + 1);
    sim_give(device->host, exec->lives, (exec->graph->value_count + 1) * sizeof(feri_kit_life));
    sim_give(device->host, exec, sizeof(*exec));
    sim_count_live(-1);
}

/* A matrix that only multiplies from the right may be in blocks. */
static int wants_blocks(const fer_subgraph *graph, uint32_t value) {
    const fer_value_view *view = graph->values[value];
    int uses = 0;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const fer_node_view *node = graph->nodes[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] == value && (node->op != FER_OP_MatMul || i != 1)) {
                return 0;
            }
            uses += node->inputs[i] == value;
        }
    }
    return uses > 0 && view->rank == 2 && view->dtype == FER_F32;
}

static fer_status exec_new(sim_device *device, const fer_subgraph *graph, void **out_exec) {
    const fer_host *host = device->host;
    sim_exec *exec = sim_take(host, sizeof(*exec));
    uint8_t *is_blocked = sim_take(host, graph->constant_count + 1);
    size_t lives_bytes = (graph->value_count + 1) * sizeof(feri_kit_life);
    size_t scratch_bytes = (graph->value_count + 1) * sizeof(uint32_t);
    feri_kit_life *lives = sim_take(host, lives_bytes);
    uint32_t *scratch = sim_take(host, scratch_bytes);
    if (exec == NULL || is_blocked == NULL || lives == NULL || scratch == NULL) {
        sim_give(host, exec, sizeof(*exec));
        sim_give(host, is_blocked, graph->constant_count + 1);
        sim_give(host, lives, lives_bytes);
        sim_give(host, scratch, scratch_bytes);
        return FER_OUT_OF_MEMORY;
    }
    exec->graph = graph;
    exec->is_blocked = is_blocked;
    exec->lives = lives;
    exec->life_count = feri_kit_lives(graph, lives, scratch);
    sim_lock();
    int row_major = device->chip->config.row_major != 0 || device->backend->is_plain;
    sim_unlock();
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        is_blocked[i] = (uint8_t)(!row_major && wants_blocks(graph, graph->constants[i]));
    }
    sim_give(host, scratch, scratch_bytes);
    sim_count_live(1);
    *out_exec = exec;
    return FER_OK;
}

fer_status sim_compile(void *object, const fer_subgraph *graph, void **out_exec) {
    sim_device *device = object;
    fer_status status = FERI_KIT_IS_SHORT(graph) ? feri_kit_short(device->host) : sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    const char *name = graph->node_count > 0 ? graph->nodes[0]->name : NULL;
    if (sim_fault_hits(device->chip, &device->chip->faults.compile_fails_at)) {
        return sim_fail(device, FER_BACKEND, name, "the chip's compiler gave up; report it");
    }
    if (device->backend->is_plain && graph->node_count != 1) {
        sim_violate("a graph of %u nodes for a module that said PER_OP", graph->node_count);
    }
    sim_lock();
    device->chip->stats.compiles++;
    device->chip->stats.nodes += graph->node_count;
    sim_unlock();
    return exec_new(device, graph, out_exec);
}

fer_status
sim_workspace_bytes(void *object, void *exec_object, const int64_t *dims, uint64_t *out_bytes) {
    sim_device *device = object;
    const sim_exec *exec = exec_object;
    size_t bytes = (exec->life_count + 1) * sizeof(uint64_t);
    uint64_t *offsets = sim_take(device->host, bytes);
    if (offsets == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    fer_status status = feri_kit_plan(
        device->host, exec->graph, exec->lives, exec->life_count, dims, offsets, out_bytes);
    sim_give(device->host, offsets, bytes);
    if (sim_fault_hits(device->chip, &device->chip->faults.workspace_wrong_at)) {
        *out_bytes = UINT64_MAX - 5;
    }
    return status;
}

/* ---- weights ---- */

uint64_t sim_blocked_bytes(const fer_value_view *value) {
    uint64_t columns = (uint64_t)(value->dims[1].value + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;
    return sizeof(sim_block_head) + columns * (uint64_t)value->dims[0].value * sizeof(float);
}

static fer_status
weight_layout(void *object, void *exec_object, uint32_t index, fer_weight_layout *out_layout) {
    sim_device *device = object;
    const sim_exec *exec = exec_object;
    if (index >= exec->graph->constant_count) {
        sim_violate("weight %u of %u", index, exec->graph->constant_count);
        return sim_fail(device, FER_INVALID_ARGUMENT, NULL, "there is no such weight");
    }
    if (FERI_KIT_IS_SHORT(out_layout)) {
        return feri_kit_short(device->host);
    }
    if (exec->is_blocked[index]) {
        out_layout->bytes = sim_blocked_bytes(exec->graph->values[exec->graph->constants[index]]);
        (void)snprintf(out_layout->name, sizeof(out_layout->name), "sim columns of %d", SIM_BLOCK);
        if (sim_fault_hits(device->chip, &device->chip->faults.layout_wrong_at)) {
            out_layout->bytes = UINT64_MAX - 5;
        }
    }
    return FER_OK;
}

static fer_status weight_prepare(void *object,
                                 void *exec_object,
                                 uint32_t index,
                                 const fer_mem *source,
                                 const fer_mem *destination) {
    sim_device *device = object;
    const sim_exec *exec = exec_object;
    fer_status status = sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    if (sim_fault_hits(device->chip, &device->chip->faults.prepare_fails_at)) {
        return sim_fail(device, FER_BACKEND, NULL, "the chip could not order a weight");
    }
    if (index >= exec->graph->constant_count || !exec->is_blocked[index] ||
        source->handle != NULL || source->host == NULL ||
        source->bytes < exec->graph->values[exec->graph->constants[index]]->bytes) {
        sim_violate("weight_prepare with a bad index or source");
        return sim_fail(device, FER_INVALID_ARGUMENT, NULL, "no such weight, or its source is cut");
    }
    const fer_value_view *value = exec->graph->values[exec->graph->constants[index]];
    int64_t k_count = value->dims[0].value, n_count = value->dims[1].value;
    uint8_t *to = sim_address(device, destination, sim_blocked_bytes(value));
    const uint8_t *from = source->host;
    if (to == NULL) {
        sim_violate("weight_prepare with a bad destination");
        return sim_fail(device, FER_INVALID_ARGUMENT, NULL, "a weight does not fit its memory");
    }
    sim_block_head head = {SIM_BLOCK_MAGIC, 0, k_count, n_count};
    memcpy(to, &head, sizeof(head));
    to += sizeof(head);
    for (int64_t n = 0; n < n_count; n += SIM_BLOCK) {
        for (int64_t k = 0; k < k_count; k++) {
            float row[SIM_BLOCK] = {0};
            int64_t width = n_count - n < SIM_BLOCK ? n_count - n : SIM_BLOCK;
            memcpy(row, from + (k * n_count + n) * (int64_t)sizeof(float), (size_t)width * 4);
            memcpy(to, row, sizeof(row));
            to += sizeof(row);
        }
    }
    sim_lock();
    device->chip->stats.prepares++;
    sim_unlock();
    return FER_OK;
}

/* ---- serialised execs: a head and the ops, which must be the graph's ---- */

static const char serial_head[8] = "SIMEXEC1";

static fer_status serialize(void *object,
                            void *exec_object,
                            int32_t (*write)(void *self, const void *data, size_t bytes),
                            void *self) {
    const sim_device *device = object;
    const sim_exec *exec = exec_object;
    int32_t stop = write(self, serial_head, sizeof(serial_head));
    for (uint32_t i = 0; i < exec->graph->node_count && stop == 0; i++) {
        stop = write(self, &exec->graph->nodes[i]->op, sizeof(uint32_t));
    }
    return stop == 0 ? FER_OK : sim_fail(device, FER_IO, NULL, "the caller could not write on");
}

static fer_status deserialize(
    void *object, const fer_subgraph *graph, const void *data, size_t bytes, void **out_exec) {
    sim_device *device = object;
    const uint8_t *at = data;
    int fits = bytes == sizeof(serial_head) + graph->node_count * sizeof(uint32_t) &&
               memcmp(at, serial_head, sizeof(serial_head)) == 0;
    for (uint32_t i = 0; i < graph->node_count && fits; i++) {
        fits = memcmp(at + sizeof(serial_head) + i * sizeof(uint32_t),
                      &graph->nodes[i]->op,
                      sizeof(uint32_t)) == 0;
    }
    return fits ? exec_new(device, graph, out_exec)
                : sim_fail(device, FER_INVALID_ARGUMENT, NULL, "not this graph's exec");
}

static fer_status compatibility_key(void *object, char *out_text, size_t capacity) {
    const sim_device *device = object;
    (void)snprintf(out_text, capacity, "sim 1 chip %u", device->chip->index);
    return FER_OK;
}

const fer_backend_compiler sim_compiler = {.struct_size = sizeof(sim_compiler),
                                           .claim = claim,
                                           .weight_layout = weight_layout,
                                           .weight_prepare = weight_prepare,
                                           .serialize = serialize,
                                           .deserialize = deserialize,
                                           .compatibility_key = compatibility_key};
