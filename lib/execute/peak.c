/* SPDX-License-Identifier: Apache-2.0
 *
 * The sentence of a budget that is too small: which values are the largest. Called by state.c when
 * an arena cannot be had; slow, and nobody waits for a failure.
 */
#include "base/error.h"
#include "execute/run_state.h"
#include "tensor/dtype.h"

#include <stdio.h>

enum { SHOWN = 3 };
/* Of the whole sentence: three names of 80 bytes, four numbers of 20 and the words between. */
enum { TEXT_BYTES = 512 };

typedef struct peak {
    fer_value_id ids[SHOWN];
    uint64_t bytes[SHOWN]; /* falling */
} peak;

static void peak_add(peak *p, fer_value_id id, uint64_t bytes) {
    for (int at = 0; at < SHOWN; at++) {
        if (bytes > p->bytes[at]) {
            uint64_t smaller = p->bytes[at];
            fer_value_id other = p->ids[at];
            p->bytes[at] = bytes;
            p->ids[at] = id;
            bytes = smaller;
            id = other;
        }
    }
}

/* What has no slot and is no constant stays inside a step. */
static int is_inside(const feri_plan *plan, fer_value_id id) {
    uint32_t i = 0;
    while (i < plan->slot_count && plan->slots[i].value != id) {
        i++;
    }
    return i == plan->slot_count && plan->graph->values[id].origin != FERI_ORIGIN_CONSTANT;
}

/* Values that stay inside a step: the device plans them into its workspace. */
static void
workspace_add(peak *p, const feri_plan *plan, const feri_view *view, const int64_t *dim_values) {
    for (uint32_t v = 0; v < view->graph.value_count; v++) {
        const fer_value_view *value = view->graph.values[v];
        uint64_t count = 1;
        for (uint32_t i = 0; i < value->rank; i++) {
            int64_t dim = value->dims[i].value;
            dim = dim < 0 ? dim_values[value->dims[i].slot] : dim;
            count = feri_mul_sat(count, dim < 0 ? 0 : (uint64_t)dim);
        }
        if (is_inside(plan, view->value_ids[v])) {
            peak_add(p, view->value_ids[v], feri_dtype_bytes(value->dtype, count));
        }
    }
}

/* A value as the model's author knows it: by its name, or by the node that makes it. */
static const char *label(const fer_graph *graph, fer_value_id id) {
    const feri_gvalue *value = &graph->values[id];
    return value->name[0] == 0 && value->origin == FERI_ORIGIN_NODE
               ? graph->nodes[value->producer]->name
               : value->name;
}

void feri_peak_tell(const feri_plan *plan, const feri_binding *binding, uint32_t space) {
    peak p = {{0}, {0}};
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        if (plan->slots[i].space == space && plan->slots[i].at == FERI_AT_ARENA) {
            peak_add(&p, plan->slots[i].value, binding->slot_bytes[i]);
        }
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const feri_step *step = &plan->steps[i];
        if (step->space == space && binding->work_bytes[i] > 0) {
            workspace_add(&p, plan, &plan->execs[step->exec].view, binding->step_dims[i]);
        }
    }
    char text[TEXT_BYTES];
    int used = snprintf(text,
                        sizeof(text),
                        "an arena of %llu bytes",
                        (unsigned long long)binding->arena_bytes[space]);
    for (int i = 0; i < SHOWN && p.bytes[i] > 0; i++) {
        used += snprintf(text + used,
                         sizeof(text) - (size_t)used,
                         "%s'%.80s' %llu bytes",
                         i == 0 ? " (largest: " : ", ",
                         label(plan->graph, p.ids[i]),
                         (unsigned long long)p.bytes[i]);
    }
    feri_error_prefix("%s%s", text, p.bytes[0] > 0 ? ")" : "");
}
