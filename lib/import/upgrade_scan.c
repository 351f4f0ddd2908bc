/* SPDX-License-Identifier: Apache-2.0
 *
 * Scan of opset 8. It had a batch axis (0) in every operand and scanned along axis 1: an outer Scan
 * over the batch around the Scan of today says the same. Lengths per sequence are refused.
 */
#include "base/error.h"
#include "import/upgrade.h"

#include <string.h>

/* The graph between: a sample of the batch in, a sample's results out. */
typedef struct sample_scan {
    fer_graph *graph;
    fer_graph *inner; /* graph's until it is part of node */
    feri_gnode node;
    fer_attr attrs[3];
    fer_value_id *inputs;
    fer_value_id *outputs;
} sample_scan;

static fer_status sample_operands(feri_upgrade *up, sample_scan *sample) {
    const feri_draft *draft = up->draft;
    uint32_t formals = draft->node.input_count - 1;
    uint32_t count = formals + draft->captured_count;
    feri_bump *scratch = up->im->scratch;
    sample->inputs = FERI_BUMP_ARRAY(scratch, fer_value_id, count);
    sample->outputs = FERI_BUMP_ARRAY(scratch, fer_value_id, sample->inner->output_count);
    if (sample->inputs == NULL || sample->outputs == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < formals; i++) {
        FER_TRY(feri_graph_new_input(sample->graph, /*name=*/NULL, &sample->inputs[i]));
    }
    for (uint32_t i = formals; i < count; i++) {
        FER_TRY(feri_graph_new_capture(sample->graph, /*name=*/NULL, i, &sample->inputs[i]));
    }
    for (uint32_t c = 0; c < sample->inner->capture_count; c++) {
        sample->inner->captures[c]--; /* sequence_lens is gone */
    }
    for (uint32_t o = 0; o < sample->inner->output_count; o++) {
        FER_TRY(feri_graph_new_value(
            sample->graph, /*name=*/NULL, FERI_ORIGIN_NODE, &sample->outputs[o]));
    }
    sample->node.input_count = count;
    sample->node.formal_count = formals;
    sample->node.output_count = sample->inner->output_count;
    return FER_OK;
}

static fer_status sample_attrs(feri_upgrade *up, sample_scan *sample, int64_t scanned) {
    const fer_attr *directions = feri_up_attr(up, "directions");
    sample->attrs[0] = (fer_attr){.name = "body", .type = FER_ATTR_GRAPH, .count = 1};
    sample->attrs[1] = (fer_attr){
        .name = "num_scan_inputs", .type = FER_ATTR_INT, .count = 1, .value = {.i = scanned}};
    sample->node.attr_count = 2;
    if (directions != NULL && directions->type == FER_ATTR_INTS) {
        sample->attrs[2] = *directions;
        sample->attrs[2].name = "scan_input_directions";
        sample->node.attr_count = 3;
    }
    return FER_OK;
}

static fer_status fill_sample(feri_upgrade *up, sample_scan *sample, int64_t scanned) {
    const feri_draft *draft = up->draft;
    FER_TRY(sample_operands(up, sample));
    FER_TRY(sample_attrs(up, sample, scanned));
    sample->node.op = feri_op_find("", "Scan");
    sample->node.name = draft->node.name;
    sample->node.source = draft->node.source;
    sample->node.revision = sample->node.op->revision;
    sample->node.inputs = sample->inputs;
    sample->node.outputs = sample->outputs;
    sample->node.attrs = sample->attrs;
    sample->node.bodies = &sample->inner;
    sample->node.body_count = 1;
    FER_TRY(feri_graph_check_control(&sample->node));
    FER_TRY(feri_graph_append_node(sample->graph, &sample->node, NULL));
    sample->inner = NULL;
    for (uint32_t o = 0; o < sample->node.output_count; o++) {
        FER_TRY(feri_graph_append_output(sample->graph, /*name=*/NULL, sample->outputs[o]));
    }
    feri_graph_reindex(sample->graph);
    return FER_OK;
}

fer_status feri_upgrade_scan_9(feri_upgrade *up) {
    feri_draft *draft = up->draft;
    int64_t scanned = feri_up_int(up, "num_scan_inputs", 0);
    FER_TRY(up->status);
    if (draft->node.body_count != 1 || draft->node.input_count < 2) {
        return feri_fail(
            FER_INVALID_MODEL, "node '%s': Scan needs a body and inputs to scan", draft->node.name);
    }
    if (draft->node.inputs[0] != FER_NO_VALUE) {
        return feri_up_refuse(up, "with sequence_lens");
    }
    sample_scan sample;
    memset(&sample, 0, sizeof(sample));
    FER_TRY(feri_graph_create(up->im->env, up->graph, &sample.graph));
    fer_status status = feri_graph_adopt(sample.graph, draft->node.bodies[0], &sample.inner);
    if (status == FER_OK) {
        status = fill_sample(up, &sample, scanned);
    }
    if (status != FER_OK) {
        feri_graph_destroy(sample.inner);
        feri_graph_destroy(sample.graph);
        return status;
    }
    feri_graph_destroy(draft->node.bodies[0]);
    draft->node.bodies[0] = sample.graph;
    memmove(draft->node.inputs,
            draft->node.inputs + 1,
            --draft->node.input_count * sizeof(*draft->node.inputs));
    feri_up_drop(up, "directions");
    feri_up_set_int(up, "num_scan_inputs", draft->node.input_count);
    return up->status;
}
