/* SPDX-License-Identifier: Apache-2.0
 *
 * Letting go of a program's original constants once devices hold copies of them. Only for a
 * program that is whole after compile: nothing may be compiled afterwards, so a lost device stays
 * lost to it. What devices or steps use in place stays.
 */
#include "base/error.h"
#include "specialize/specialize.h"

static int is_whole(const feri_segment *segment) {
    const feri_spec *spec = segment->specs;
    return spec != NULL && spec->link == NULL && spec->next == NULL && spec->body_count == 0 &&
           (segment->symbolic == 1 || (!segment->has_open_dims && !segment->has_deciding));
}

void feri_graph_drop_constants(fer_graph *graph, const uint8_t *keep) {
    for (uint32_t i = 0; i < graph->value_count; i++) {
        feri_gvalue *value = &graph->values[i];
        if (value->origin == FERI_ORIGIN_CONSTANT && (keep == NULL || !keep[i])) {
            fer_tensor_release(value->constant);
            value->constant = NULL;
            value->fact.data = NULL;
        }
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        for (uint32_t k = 0; k < graph->nodes[i]->body_count; k++) {
            feri_graph_drop_constants(graph->nodes[i]->bodies[k], NULL);
        }
    }
    fer_tensor_release(graph->file);
    graph->file = NULL;
}

fer_status feri_segment_drop_sources(feri_segment *segment) {
    feri_env *env = segment->build->env;
    if (!is_whole(segment)) {
        return feri_fail(FER_UNSUPPORTED,
                         "drop_sources needs a program that is compiled whole before it runs, and "
                         "this one has parts that wait for its inputs: fix its open dims, or leave "
                         "drop_sources 0");
    }
    feri_plan *plan = segment->specs->plan;
    uint8_t *keep = feri_alloc(env, plan->graph->value_count);
    if (keep == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        keep[plan->slots[i].value] |= plan->slots[i].at == FERI_AT_CONST;
    }
    for (uint32_t i = 0; i < plan->exec_count; i++) {
        const feri_exec *exec = &plan->execs[i];
        for (uint32_t k = 0; k < exec->view.graph.constant_count; k++) {
            keep[exec->view.value_ids[exec->view.graph.constants[k]]] |= exec->weights[k] == NULL;
            feri_weight_drop_source(exec->weights[k]);
        }
    }
    feri_graph_drop_constants(plan->graph, keep);
    feri_graph_drop_constants(segment->graph, NULL);
    feri_free(env, keep, plan->graph->value_count);
    segment->is_final = 1;
    return FER_OK;
}

fer_status feri_segment_final_spec(feri_segment *segment, feri_spec **out_spec) {
    if (feri_plan_is_lost(segment->specs->plan)) {
        return feri_fail(FER_DEVICE_LOST,
                         "a device was lost, and with drop_sources the program cannot be rebuilt: "
                         "load the model again");
    }
    *out_spec = segment->specs;
    return FER_OK;
}
