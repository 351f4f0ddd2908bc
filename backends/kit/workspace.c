/* SPDX-License-Identifier: Apache-2.0
 *
 * Lifetimes of a subgraph's intermediate values and their places in one workspace: see workspace.h.
 */
#include "kit/workspace.h"

#include "kit/geometry.h"

#include <string.h>

#define NOT_MADE UINT32_MAX
#define NOT_OURS (UINT32_MAX - 1)

uint32_t feri_kit_lives(const fer_subgraph *graph, feri_kit_life *out_lives, uint32_t *scratch) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->value_count; i++) {
        scratch[i] = NOT_MADE;
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        scratch[graph->inputs[i]] = NOT_OURS;
    }
    for (uint32_t i = 0; i < graph->output_count; i++) {
        scratch[graph->outputs[i]] = NOT_OURS;
    }
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        scratch[graph->constants[i]] = NOT_OURS;
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const fer_node_view *node = graph->nodes[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            uint32_t value = node->inputs[i];
            if (value != FER_NO_VALUE && scratch[value] < NOT_OURS) {
                out_lives[scratch[value]].last = n;
            }
        }
        for (uint32_t i = 0; i < node->output_count; i++) {
            uint32_t value = node->outputs[i];
            if (value != FER_NO_VALUE && scratch[value] == NOT_MADE) {
                scratch[value] = count;
                out_lives[count++] = (feri_kit_life){.value = value, .first = n, .last = n};
            }
        }
    }
    return count;
}

static fer_status measure(const fer_host *host,
                          const fer_subgraph *graph,
                          const feri_kit_life *lives,
                          uint32_t life_count,
                          const int64_t *dim_values,
                          fer_lifetime *lifetimes) {
    for (uint32_t i = 0; i < life_count; i++) {
        const fer_value_view *value = graph->values[lives[i].value];
        const char *node = graph->nodes[lives[i].first]->name;
        int64_t dims[FER_MAX_RANK];
        uint64_t count;
        if (!feri_kit_resolve_dims(value, dim_values, graph->dim_slot_count, dims, &count)) {
            return host->fail(host->self,
                              FER_INVALID_INPUT,
                              0,
                              node,
                              "the dims of an intermediate value do not fit their bounds; check "
                              "the shapes of the inputs");
        }
        uint64_t bytes = feri_kit_bytes(value->dtype, count);
        if (bytes > INT64_MAX) {
            return host->fail(host->self,
                              FER_LIMIT,
                              0,
                              node,
                              "an intermediate value is larger than memory can be; use smaller "
                              "inputs");
        }
        lifetimes[i] =
            (fer_lifetime){.bytes = bytes, .first = lives[i].first, .last = lives[i].last};
    }
    return FER_OK;
}

fer_status feri_kit_plan(const fer_host *host,
                         const fer_subgraph *graph,
                         const feri_kit_life *lives,
                         uint32_t life_count,
                         const int64_t *dim_values,
                         uint64_t *out_offsets,
                         uint64_t *out_bytes) {
    if (life_count == 0) {
        *out_bytes = 0;
        return FER_OK;
    }
    size_t bytes = (size_t)life_count * sizeof(fer_lifetime);
    fer_lifetime *lifetimes = host->alloc(host->self, bytes, _Alignof(fer_lifetime));
    if (!lifetimes) {
        return FER_OUT_OF_MEMORY;
    }
    fer_status status = measure(host, graph, lives, life_count, dim_values, lifetimes);
    if (status == FER_OK) {
        status = host->plan_memory(host->self,
                                   lifetimes,
                                   life_count,
                                   FERI_KIT_WORKSPACE_ALIGNMENT,
                                   out_offsets,
                                   out_bytes);
    }
    host->free(host->self, lifetimes, bytes, _Alignof(fer_lifetime));
    return status;
}
