/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run gives: the tensors a caller may bind, and, after the steps, results that share no
 * memory with what the caller or the program holds. Under FER_RUN_COMMIT the run writes to memory
 * of its own, and only here, when everything has succeeded, to what is bound.
 */
#include "base/error.h"
#include "program.h"

/* ---- before the steps ---- */

int feri_is_donated(const fer_run_options *options, uint32_t input) {
    for (uint32_t i = 0; i < options->donated_count; i++) {
        if (options->donated[i] == input) {
            return 1;
        }
    }
    return 0;
}

int feri_tensors_overlap(const fer_tensor *a, const fer_tensor *b) {
    if (a->buffer->host != NULL && b->buffer->host != NULL) {
        uintptr_t x = (uintptr_t)a->buffer->host + a->offset,
                  y = (uintptr_t)b->buffer->host + b->offset;
        return x < y + b->bytes && y < x + a->bytes;
    }
    return a->buffer == b->buffer && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

/* Values nest no deeper than max_nesting. */
static int value_overlaps(const fer_value *value, const fer_tensor *tensor) {
    if (value == NULL) {
        return 0;
    }
    int overlaps = value->tensor != NULL && feri_tensors_overlap(value->tensor, tensor);
    for (uint64_t i = 0; value->items != NULL && i < value->count && !overlaps; i++) {
        overlaps = value_overlaps(value->items[i], tensor);
    }
    return overlaps;
}

static fer_status output_check(const fer_program *program,
                               const feri_request *request,
                               const feri_arg *inputs,
                               const feri_arg *outputs,
                               uint32_t index) {
    const fer_tensor *output = outputs[index].tensor;
    const char *name = program->graph->output_names[index];
    if (output->buffer->is_read_only || output->dtype == FER_STRING) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "the tensor bound to output '%s' %s: bind another or none",
                         name,
                         output->dtype == FER_STRING ? "holds strings, which never change"
                                                     : "borrows memory read only");
    }
    for (uint32_t i = 0; i < program->input_count; i++) {
        const fer_tensor *input = inputs[i].tensor;
        if ((input != NULL && feri_tensors_overlap(output, input) &&
             !feri_is_donated(&request->options, i)) ||
            value_overlaps(inputs[i].value, output)) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "output '%s' overlaps input '%s': donate the input or bind other "
                             "memory",
                             name,
                             program->graph->values[program->graph->inputs[i]].name);
        }
    }
    for (uint32_t i = 0; i < index; i++) {
        if (outputs[i].tensor != NULL && feri_tensors_overlap(output, outputs[i].tensor)) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "outputs '%s' and '%s' are bound to overlapping memory",
                             program->graph->output_names[i],
                             name);
        }
    }
    return FER_OK;
}

static fer_status not_tensor(const fer_program *program, uint32_t index) {
    return feri_fail(FER_INVALID_ARGUMENT,
                     "output '%s' is not a tensor: use fer_program_run_values, and bind nothing "
                     "to it",
                     program->graph->output_names[index]);
}

fer_status feri_outputs_check(const fer_program *program,
                              const feri_request *request,
                              const feri_arg *inputs,
                              const feri_arg *outputs) {
    const fer_graph *graph = program->graph;
    for (uint32_t o = 0; o < program->output_count; o++) {
        int32_t kind = graph->values[graph->outputs[o]].fact.kind;
        if ((request->needs_tensors || outputs[o].tensor != NULL) && kind != 0 &&
            kind != FER_KIND_TENSOR && kind != FER_KIND_OPTIONAL) {
            return not_tensor(program, o);
        }
        if (outputs[o].tensor != NULL) {
            FER_TRY(output_check(program, request, inputs, outputs, o));
        }
    }
    return FER_OK;
}

/* ---- after them ---- */

static fer_status settle(const fer_program *program,
                         const feri_request *request,
                         feri_arg *made,
                         const feri_arg *bound) {
    uint32_t count = program->output_count;
    for (uint32_t o = 0; o < count + program->variable_count; o++) {
        const fer_tensor *tensor = made[o].tensor, *to = o < count ? bound[o].tensor : NULL;
        if (tensor == NULL && o < count && (request->needs_tensors || to != NULL)) {
            return not_tensor(program, o);
        }
        if (to == NULL) {
            FER_TRY(feri_arg_own(program->build.env, &made[o]));
        } else if (tensor != to) {
            FER_TRY(feri_output_check(program->graph->output_names[o],
                                      to,
                                      tensor->dtype,
                                      (int32_t)tensor->rank,
                                      tensor->dims));
        }
    }
    for (uint32_t o = 0; o < count; o++) { /* nothing but a device can fail from here on */
        if (bound[o].tensor != NULL && made[o].tensor != bound[o].tensor) {
            FER_TRY(fer_tensor_copy(made[o].tensor, bound[o].tensor));
            fer_tensor_release(made[o].tensor);
            made[o].tensor = bound[o].tensor;
        }
    }
    return FER_OK;
}

fer_status feri_outputs_settle(const fer_program *program,
                               const feri_request *request,
                               feri_arg *made,
                               const feri_arg *bound) {
    fer_status status = settle(program, request, made, bound);
    uint32_t count = program->output_count;
    for (uint32_t o = 0; status != FER_OK && o < count + program->variable_count; o++) {
        if (o < count && made[o].tensor == bound[o].tensor) {
            made[o].tensor = NULL; /* the caller's */
        }
        feri_arg_release(&made[o]);
    }
    return status;
}
