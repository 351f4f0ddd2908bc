/* SPDX-License-Identifier: Apache-2.0
 *
 * A host as small as can be for tests of a backend through its table: malloc that is counted and
 * can be made to fail, lib/tensor's conversions, a planner that shares nothing. And node_case: one
 * node on made-up values, from create to destroy.
 */
#ifndef FERI_TEST_SMALL_HOST_H
#define FERI_TEST_SMALL_HOST_H

#include "ferrule/backend.h"
#include "tensor/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

fer_status fer_ref_backend_open(uint32_t, uint32_t, fer_backend_module *);

typedef struct small_host {
    fer_host host;
    int64_t live;     /* allocations */
    uint64_t total;   /* allocations ever made */
    uint64_t fail_at; /* the allocation (1, 2, ...) that fails; 0 none */
    uint64_t polls;
    fer_status poll_status; /* what the poll answers */
    fer_status failed;      /* last recorded failure */
    char message[400];
    char log[400];
    uint32_t log_lines;
} small_host;

static inline void *small_alloc(void *self, size_t bytes, size_t alignment) {
    small_host *small = self;
    void *memory = NULL;
    if (++small->total == small->fail_at) {
        small->failed = FER_OUT_OF_MEMORY;
        return NULL;
    }
    alignment = alignment < sizeof(void *) ? sizeof(void *) : alignment;
    if (posix_memalign(&memory, alignment, bytes ? bytes : 1) != 0) {
        return NULL;
    }
    memset(memory, 0xA5, bytes);
    small->live++;
    return memory;
}

static inline void small_free(void *self, void *memory, size_t bytes, size_t alignment) {
    (void)bytes;
    (void)alignment;
    ((small_host *)self)->live -= memory != NULL;
    free(memory);
}

static inline void small_log(void *self, int32_t level, const char *message) {
    small_host *small = self;
    (void)level;
    small->log_lines++;
    (void)snprintf(small->log, sizeof(small->log), "%s", message);
}

static inline fer_status small_fail(
    void *self, fer_status status, int32_t native_code, const char *node, const char *message) {
    small_host *small = self;
    (void)native_code;
    (void)node;
    small->failed = status;
    (void)snprintf(small->message, sizeof(small->message), "%s", message);
    return status;
}

static inline void small_parallel_for(void *self,
                                      uint64_t count,
                                      uint64_t grain,
                                      void (*body)(void *argument, uint64_t begin, uint64_t end),
                                      void *argument) {
    (void)self;
    (void)grain;
    body(argument, 0, count);
}

static inline fer_status small_plan(void *self,
                                    const fer_lifetime *lifetimes,
                                    uint32_t count,
                                    uint64_t alignment,
                                    uint64_t *out_offsets,
                                    uint64_t *out_bytes) {
    (void)self;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        out_offsets[i] = bytes;
        bytes += (lifetimes[i].bytes + alignment - 1) / alignment * alignment;
    }
    *out_bytes = bytes;
    return FER_OK;
}

static inline uint64_t small_clock(void *self) {
    (void)self;
    return 0;
}
static inline uint64_t small_span_begin(void *self, const char *name) {
    (void)self;
    (void)name;
    return 0;
}
static inline void small_span_end(void *self, uint64_t span) {
    (void)self;
    (void)span;
}

static inline void small_host_init(small_host *small) {
    memset(small, 0, sizeof(*small));
    small->host = (fer_host){.struct_size = sizeof(fer_host),
                             .abi_version = FER_BACKEND_ABI_MAX,
                             .self = small,
                             .alloc = small_alloc,
                             .free = small_free,
                             .log = small_log,
                             .fail = small_fail,
                             .parallel_for = small_parallel_for,
                             .plan_memory = small_plan,
                             .load_f64 = feri_load_run_f64,
                             .store_f64 = feri_store_run_f64,
                             .load_i64 = feri_load_run_i64,
                             .store_i64 = feri_store_run_i64,
                             .clock_ns = small_clock,
                             .span_begin = small_span_begin,
                             .span_end = small_span_end};
}

static inline fer_status small_poll(void *self) {
    small_host *small = self;
    small->polls++;
    return small->poll_status;
}

/* ---- one node ---- */

#define NODE_CASE_OPERANDS 16
typedef struct node_operand {
    fer_dtype dtype; /* 0: left out */
    uint32_t rank;
    int64_t dims[FER_MAX_RANK];
    void *data;
    uint32_t flags; /* FER_VALUE_DATA_DEPENDENT, FER_VALUE_HOST */
} node_operand;

typedef struct node_case {
    uint32_t op;
    uint32_t revision;
    const char *op_name;
    const fer_attr *attrs;
    uint32_t attr_count;
    uint32_t in_count;
    uint32_t out_count;
    uint32_t runs; /* 0: one; all on the same instance */
    node_operand in[NODE_CASE_OPERANDS];
    node_operand out[NODE_CASE_OPERANDS];
    int64_t out_dims[NODE_CASE_OPERANDS][FER_MAX_RANK]; /* of data-dependent outputs */
    char reason[240];                                   /* why the node was refused */
} node_case;

/* A subgraph over a case, with all its views in one place. */
typedef struct case_graph {
    fer_subgraph graph;
    fer_node_view node;
    fer_value_view values[2 * NODE_CASE_OPERANDS];
    fer_dim dims[2 * NODE_CASE_OPERANDS][FER_MAX_RANK];
    const fer_node_view *nodes[1];
    const fer_value_view *value_list[2 * NODE_CASE_OPERANDS];
    uint32_t node_in[NODE_CASE_OPERANDS];
    uint32_t node_out[NODE_CASE_OPERANDS];
    uint32_t inputs[NODE_CASE_OPERANDS];
    uint32_t outputs[NODE_CASE_OPERANDS];
    fer_mem in[NODE_CASE_OPERANDS];
    fer_mem out[NODE_CASE_OPERANDS];
} case_graph;

static inline uint32_t case_value(case_graph *g, node_operand *operand, uint32_t flag) {
    uint32_t id = g->graph.value_count++;
    for (uint32_t d = 0; d < operand->rank; d++) {
        g->dims[id][d] = (fer_dim){.value = operand->dims[d]};
    }
    g->values[id] = (fer_value_view){.struct_size = sizeof(fer_value_view),
                                     .flags = operand->flags | flag,
                                     .dtype = operand->dtype,
                                     .rank = operand->rank,
                                     .dims = g->dims[id],
                                     .name = "value"};
    g->value_list[id] = &g->values[id];
    return id;
}

static inline fer_mem case_memory(const node_operand *operand) {
    uint64_t bits = fer_dtype_bits(operand->dtype);
    for (uint32_t d = 0; d < operand->rank; d++) {
        bits *= (uint64_t)operand->dims[d];
    }
    return (fer_mem){.bytes = (bits + 7) / 8, .host = operand->data};
}

static inline void case_graph_make(case_graph *g, node_case *one) {
    memset(g, 0, sizeof(*g));
    for (uint32_t i = 0; i < one->in_count; i++) {
        g->node_in[i] = FER_NO_VALUE;
        if (one->in[i].dtype) {
            g->node_in[i] = case_value(g, &one->in[i], FER_VALUE_INPUT);
            g->in[g->graph.input_count] = case_memory(&one->in[i]);
            g->inputs[g->graph.input_count++] = g->node_in[i];
        }
    }
    for (uint32_t i = 0; i < one->out_count; i++) {
        g->node_out[i] = FER_NO_VALUE;
        if (one->out[i].dtype) {
            g->node_out[i] = case_value(g, &one->out[i], FER_VALUE_OUTPUT);
            g->out[g->graph.output_count] = case_memory(&one->out[i]);
            g->outputs[g->graph.output_count++] = g->node_out[i];
        }
    }
    g->node = (fer_node_view){.struct_size = sizeof(fer_node_view),
                              .op = one->op,
                              .revision = one->revision,
                              .input_count = one->in_count,
                              .output_count = one->out_count,
                              .attr_count = one->attr_count,
                              .inputs = g->node_in,
                              .outputs = g->node_out,
                              .attrs = one->attrs,
                              .name = "node",
                              .op_name = one->op_name ? one->op_name : "op"};
    g->nodes[0] = &g->node;
    g->graph.struct_size = sizeof(fer_subgraph);
    g->graph.node_count = 1;
    g->graph.nodes = g->nodes;
    g->graph.values = g->value_list;
    g->graph.inputs = g->inputs;
    g->graph.outputs = g->outputs;
}

static inline fer_status case_compiled(small_host *small,
                                       const fer_backend_module *module,
                                       void *device,
                                       void *exec,
                                       node_case *one,
                                       case_graph *g) {
    uint64_t workspace = 0;
    void *instance = NULL;
    fer_instance_args instance_args = {.struct_size = sizeof(instance_args)};
    fer_poll poll = {.check = small_poll, .self = small};
    fer_run_args args = {.struct_size = sizeof(args),
                         .dims_id = 1,
                         .inputs = g->in,
                         .outputs = g->out,
                         .out_dims = one->out_dims,
                         .poll = &poll};
    fer_status status = module->core->workspace_bytes(device, exec, NULL, &workspace);
    if (status == FER_OK) {
        status = module->instances->instance_create(device, exec, &instance_args, &instance);
    }
    for (uint32_t i = 0; status == FER_OK && i < (one->runs ? one->runs : 1); i++) {
        status = module->instances->run(device, instance, &args);
    }
    if (instance) {
        module->instances->instance_destroy(device, instance);
    }
    if (status == FER_OK) { /* level 0 gives the same */
        status = module->core->run(device, exec, &args);
    }
    return status;
}

/* Runs a case on the module that entry opens. UNSUPPORTED with reason set when the node is refused.
 */
static inline fer_status
node_case_run(small_host *small,
              fer_status (*entry)(uint32_t, uint32_t, fer_backend_module *),
              node_case *one) {
    fer_backend_module module = {.struct_size = sizeof(module)};
    fer_create_args create_args = {
        .struct_size = sizeof(create_args), .host = &small->host, .options = ""};
    void *backend = NULL;
    void *device = NULL;
    void *exec = NULL;
    static case_graph g;
    fer_support support = {.struct_size = sizeof(support)};
    case_graph_make(&g, one);
    fer_status status = entry(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &module);
    if (status == FER_OK) {
        status = module.core->create(module.self, &create_args, &backend);
    }
    if (status != FER_OK) {
        return status;
    }
    status = module.core->device_open(backend, 0, &device);
    if (status == FER_OK) {
        status = module.core->op_supported(device, &g.graph, 0, &support);
        if (status == FER_OK && !support.supported) {
            (void)snprintf(one->reason, sizeof(one->reason), "%s", support.reason);
            status = FER_UNSUPPORTED;
        }
        if (status == FER_OK) {
            status = module.core->compile(device, &g.graph, &exec);
        }
        if (status == FER_OK) {
            status = case_compiled(small, &module, device, exec, one, &g);
            module.core->exec_destroy(device, exec);
        }
        module.core->device_close(device);
    }
    module.core->destroy(backend);
    return status;
}

#endif
