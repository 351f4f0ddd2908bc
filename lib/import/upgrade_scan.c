/* SPDX-License-Identifier: Apache-2.0
 *
 * Scan of opset 8. It had a batch axis (0) in every operand and scanned along axis 1: an outer Scan
 * over the batch around the Scan of today says the same. Lengths per sequence are refused.
 */
#include "base/error.h"
#include "import/upgrade.h"

#include <string.h>

/* Fills the graph between: a sample of the batch in, a sample's results out. inner is the graph's
 * once the node is appended. */
static fer_status fill_sample(feri_upgrade *up, fer_graph *sample, fer_graph *inner) {
    const feri_draft *draft = up->draft;
    feri_gnode node = draft->node;
    node.op = feri_op_find("", "Scan");
    node.revision = node.op->revision;
    node.formal_count = draft->node.input_count - 1; /* sequence_lens is gone */
    node.input_count = node.formal_count + draft->captured_count;
    node.output_count = inner->output_count;
    node.inputs = FERI_BUMP_ARRAY(up->im->scratch, fer_value_id, node.input_count);
    node.outputs = FERI_BUMP_ARRAY(up->im->scratch, fer_value_id, node.output_count);
    node.bodies = &inner;
    if (node.inputs == NULL || node.outputs == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < node.input_count; i++) {
        FER_TRY(i < node.formal_count
                    ? feri_graph_new_input(sample, /*name=*/NULL, &node.inputs[i])
                    : feri_graph_new_capture(sample, /*name=*/NULL, i, &node.inputs[i]));
    }
    for (uint32_t c = 0; c < inner->capture_count; c++) {
        inner->captures[c]--;
    }
    for (uint32_t o = 0; o < node.output_count; o++) {
        FER_TRY(feri_graph_new_value(sample, /*name=*/NULL, FERI_ORIGIN_NODE, &node.outputs[o]));
        FER_TRY(feri_graph_append_output(sample, /*name=*/NULL, node.outputs[o]));
    }
    FER_TRY(feri_graph_check_control(&node));
    FER_TRY(feri_graph_append_node(sample, &node, NULL));
    feri_graph_reindex(sample);
    return FER_OK;
}

fer_status feri_upgrade_scan_9(feri_upgrade *up) {
    static const char directions[] = "scan_input_directions";
    feri_draft *draft = up->draft;
    if (draft->node.body_count != 1 || draft->node.input_count < 2) {
        return feri_fail(
            FER_INVALID_MODEL, "node '%s': Scan needs a body and inputs to scan", draft->node.name);
    }
    if (draft->node.inputs[0] != FER_NO_VALUE) {
        return feri_up_refuse(up, "with sequence_lens");
    }
    fer_attr *attr = feri_up_attr(up, "directions");
    if (attr != NULL) {
        attr->name = directions;
    }
    fer_graph *sample = NULL;
    fer_graph *inner = NULL;
    FER_TRY(feri_graph_create(up->im->env, up->graph, &sample));
    fer_status status = feri_graph_adopt(sample, draft->node.bodies[0], &inner);
    if (status == FER_OK) {
        status = fill_sample(up, sample, inner);
        if (status != FER_OK) {
            feri_graph_destroy(inner);
        }
    }
    if (status != FER_OK) {
        feri_graph_destroy(sample);
        return status;
    }
    feri_graph_destroy(draft->node.bodies[0]);
    draft->node.bodies[0] = sample;
    memmove(draft->node.inputs,
            draft->node.inputs + 1,
            --draft->node.input_count * sizeof(*draft->node.inputs));
    feri_up_drop(up, directions);
    feri_up_set_int(up, "num_scan_inputs", draft->node.input_count);
    return up->status;
}
