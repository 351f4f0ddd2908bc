/* SPDX-License-Identifier: Apache-2.0
 *
 * A chain of one-input nodes over a vector whose length is a run-time dim, for tests of how ref
 * runs graphs: x -> op -> op -> ... -> y.
 */
#ifndef FERI_TEST_CHAIN_H
#define FERI_TEST_CHAIN_H

#include "small_host.h"

#define CHAIN_MAX 1024
typedef struct chain {
    fer_subgraph graph;
    fer_dim dim;
    uint32_t ids[CHAIN_MAX + 1];
    fer_node_view nodes[CHAIN_MAX];
    fer_value_view values[CHAIN_MAX + 1];
    const fer_node_view *node_list[CHAIN_MAX];
    const fer_value_view *value_list[CHAIN_MAX + 1];
    fer_backend_module module;
    void *backend;
    void *device;
} chain;

/* op(i) is even_op or odd_op in turn. */
static inline void chain_make(chain *c, uint32_t length, uint32_t even_op, uint32_t odd_op) {
    memset(c, 0, sizeof(*c));
    c->dim = (fer_dim){.value = -1, .slot = 0, .min = 0, .max = 1 << 20, .multiple = 1};
    for (uint32_t i = 0; i <= length; i++) {
        c->ids[i] = i;
        c->values[i] = (fer_value_view){.struct_size = sizeof(fer_value_view),
                                        .dtype = FER_F32,
                                        .rank = 1,
                                        .dims = &c->dim,
                                        .name = "v"};
        c->value_list[i] = &c->values[i];
    }
    c->values[0].flags = FER_VALUE_INPUT;
    c->values[length].flags = FER_VALUE_OUTPUT;
    for (uint32_t i = 0; i < length; i++) {
        c->nodes[i] = (fer_node_view){.struct_size = sizeof(fer_node_view),
                                      .op = i % 2 ? odd_op : even_op,
                                      .revision = 13,
                                      .input_count = 1,
                                      .output_count = 1,
                                      .inputs = &c->ids[i],
                                      .outputs = &c->ids[i + 1],
                                      .name = "n",
                                      .op_name = "op"};
        c->node_list[i] = &c->nodes[i];
    }
    c->graph = (fer_subgraph){.struct_size = sizeof(fer_subgraph),
                              .node_count = length,
                              .value_count = length + 1,
                              .input_count = 1,
                              .output_count = 1,
                              .dim_slot_count = 1,
                              .nodes = c->node_list,
                              .values = c->value_list,
                              .inputs = &c->ids[0],
                              .outputs = &c->ids[length]};
}

static inline fer_status chain_open(chain *c, small_host *small) {
    fer_create_args args = {.struct_size = sizeof(args), .host = &small->host, .options = ""};
    c->module.struct_size = sizeof(c->module);
    fer_status status = fer_ref_backend_open(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &c->module);
    if (status == FER_OK) {
        status = c->module.core->create(c->module.self, &args, &c->backend);
    }
    if (status == FER_OK) {
        status = c->module.core->device_open(c->backend, 0, &c->device);
    }
    return status;
}

static inline void chain_close(chain *c) {
    if (c->device) {
        c->module.core->device_close(c->device);
    }
    if (c->backend) {
        c->module.core->destroy(c->backend);
    }
    c->device = c->backend = NULL;
}

#endif
