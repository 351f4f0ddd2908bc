/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures: what tells one set of inputs from another. dtype, rank and dims of every input, and
 * the contents of those that decide shapes or branches. Compared on every run.
 */
#include "base/error.h"
#include "specialize/segment.h"

#include <string.h>

uint64_t
feri_signature_contents(const feri_segment *segment, uint32_t index, const fer_tensor *tensor) {
    return segment->decides[index] && tensor->element_count <= FERI_MAX_ELEMENTS ? tensor->bytes
                                                                                 : 0;
}

int feri_same_symbol(const feri_segment *segment, feri_dim_place a, feri_dim_place b) {
    const fer_graph *graph = segment->graph;
    const feri_fact *one = &graph->values[graph->inputs[a.input]].fact;
    const feri_fact *other = &graph->values[graph->inputs[b.input]].fact;
    if (a.input == b.input && a.axis == b.axis) {
        return 1;
    }
    if ((int32_t)a.axis >= one->rank || (int32_t)b.axis >= other->rank) {
        return 0;
    }
    uint32_t symbol = feri_terms_symbol_index(graph->terms, one->dims[a.axis]);
    return symbol != UINT32_MAX &&
           symbol == feri_terms_symbol_index(graph->terms, other->dims[b.axis]);
}

int feri_signature_compare(const feri_segment *segment,
                           const uint8_t *at,
                           int with_contents,
                           const feri_arg *inputs,
                           feri_dim_place *out_place) {
    int found = FERI_KEYS_EQUAL;
    for (uint32_t i = 0; i < segment->graph->input_count; i++) {
        const fer_tensor *tensor = inputs[i].tensor;
        int32_t head[2];
        memcpy(head, at, sizeof(head));
        at += sizeof(head);
        if (tensor == NULL) {
            if (head[0] != FER_DTYPE_NONE || inputs[i].value == NULL ||
                head[1] != inputs[i].value->kind) {
                return FERI_KEYS_DIFFERENT;
            }
            continue;
        }
        if (head[0] != tensor->dtype || head[1] != (int32_t)tensor->rank) {
            return FERI_KEYS_DIFFERENT;
        }
        size_t dims_bytes = tensor->rank * sizeof(int64_t);
        if (dims_bytes > 0 && memcmp(at, tensor->dims, dims_bytes) != 0) {
            if (with_contents && segment->decides[i]) {
                return FERI_KEYS_DIFFERENT; /* as many contents as the dims of each say */
            }
            for (uint32_t k = 0; k < tensor->rank; k++) {
                int64_t dim;
                memcpy(&dim, at + k * sizeof(dim), sizeof(dim));
                if (dim == tensor->dims[k]) {
                    continue;
                }
                feri_dim_place place = {i, k};
                if (found == FERI_KEYS_EQUAL) {
                    *out_place = place;
                } else if (!feri_same_symbol(segment, *out_place, place)) {
                    return FERI_KEYS_DIFFERENT;
                }
                found = FERI_KEYS_ONE_DIM;
            }
        }
        at += dims_bytes;
        uint64_t bytes = with_contents ? feri_signature_contents(segment, i, tensor) : 0;
        const void *data = bytes > 0 ? fer_tensor_data(tensor) : NULL;
        if (bytes > 0 && (data == NULL || memcmp(at, data, bytes) != 0)) {
            return FERI_KEYS_DIFFERENT;
        }
        at += bytes;
    }
    return found;
}

int feri_entry_matches(const feri_segment *segment,
                       const feri_entry *entry,
                       const feri_arg *inputs) {
    feri_dim_place place;
    return feri_signature_compare(
               segment, entry->signature, entry->spec->signature != NULL, inputs, &place) ==
           FERI_KEYS_EQUAL;
}
