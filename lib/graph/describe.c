/* SPDX-License-Identifier: Apache-2.0
 *
 * What a graph tells its users: inputs and outputs with names, dtypes, dims and symbols, and
 * counts. The answers are made once, before the graph is shared, so that asking needs no lock.
 */
#include "base/error.h"
#include "graph/graph.h"

#include <string.h>

/* What inference knows; where that is nothing, what the model declares. */
static fer_status describe(fer_graph *graph,
                           const char *name,
                           const feri_fact *known,
                           const feri_fact *declared,
                           fer_value_info *info) {
    const feri_fact *shape = known->rank >= 0 ? known : declared;
    uint32_t rank = shape->rank > 0 ? (uint32_t)shape->rank : 0;
    int64_t *dims = FERI_BUMP_ARRAY(&graph->bump, int64_t, rank);
    const char **symbols = FERI_BUMP_ARRAY(&graph->bump, const char *, rank);
    if (dims == NULL || symbols == NULL) {
        return feri_error_status();
    }
    for (uint32_t d = 0; d < rank; d++) {
        char text[256];
        feri_sym_print(graph->terms, shape->dims[d], text, sizeof(text));
        dims[d] = feri_sym_is_number(shape->dims[d]) ? shape->dims[d].number : -1;
        symbols[d] = feri_bump_strndup(&graph->bump, text, strlen(text));
        if (symbols[d] == NULL) {
            return feri_error_status();
        }
    }
    info->struct_size = sizeof(*info);
    info->kind = known->kind != 0 ? known->kind : declared->kind;
    info->kind = info->kind != 0 ? info->kind : FER_KIND_TENSOR;
    info->name = name;
    info->dtype = known->dtype != 0 ? known->dtype : declared->dtype;
    info->rank = shape->rank;
    info->dims = dims;
    info->symbols = symbols;
    return FER_OK;
}

fer_status feri_graph_describe(fer_graph *graph) {
    uint64_t count = (uint64_t)graph->input_count + graph->output_count;
    fer_value_info *made = FERI_BUMP_ARRAY(&graph->bump, fer_value_info, count);
    if (made == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const feri_gvalue *value = &graph->values[graph->inputs[i]];
        FER_TRY(describe(graph, value->name, &value->fact, &value->fact, &made[i]));
    }
    for (uint32_t o = 0; o < graph->output_count; o++) {
        const feri_fact *known = &graph->values[graph->outputs[o]].fact;
        FER_TRY(describe(graph,
                         graph->output_names[o],
                         known,
                         graph->declared != NULL ? &graph->declared[o] : known,
                         &made[graph->input_count + o]));
    }
    graph->public_info = made;
    return FER_OK;
}

uint32_t fer_graph_input_count(const fer_graph *graph) {
    return graph != NULL ? graph->input_count : 0;
}

uint32_t fer_graph_output_count(const fer_graph *graph) {
    return graph != NULL ? graph->output_count : 0;
}

uint64_t fer_graph_node_count(const fer_graph *graph) {
    return graph != NULL ? graph->total_nodes : 0;
}

/* Bodies nest no deeper than the limits allow. */
uint64_t fer_graph_op_count(const fer_graph *graph, uint32_t number) {
    uint64_t count = 0;
    for (uint32_t n = 0; graph != NULL && n < graph->node_count; n++) {
        const feri_gnode *node = graph->nodes[n];
        count += !node->is_dead && node->op->number == number;
        for (uint32_t b = 0; b < node->body_count; b++) {
            count += fer_graph_op_count(node->bodies[b], number);
        }
    }
    return count;
}

static fer_status
tell(const fer_graph *graph, int is_output, uint32_t index, fer_value_info *out_info) {
    uint32_t count = is_output ? fer_graph_output_count(graph) : fer_graph_input_count(graph);
    if (graph == NULL || out_info == NULL || index >= count || graph->public_info == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_graph_%s: an argument is NULL, index %u is not below the count %u, "
                         "or the graph is not finished; call fer_graph_finish",
                         is_output ? "output" : "input",
                         index,
                         count);
    }
    index += is_output ? graph->input_count : 0;
    feri_struct_out(out_info, &graph->public_info[index], sizeof(*out_info));
    return FER_OK;
}

fer_status fer_graph_input(const fer_graph *graph, uint32_t index, fer_value_info *out_info) {
    return tell(graph, /*is_output=*/0, index, out_info);
}

fer_status fer_graph_output(const fer_graph *graph, uint32_t index, fer_value_info *out_info) {
    return tell(graph, /*is_output=*/1, index, out_info);
}
