/* SPDX-License-Identifier: Apache-2.0
 *
 * What surrounds a run: its options, donated inputs, another attempt after a loss, and runs on
 * values instead of tensors: fer_program_run_values and the bodies of host ops.
 */
#include "base/error.h"
#include "program.h"

#include <string.h>

/* ---- the request ---- */

fer_status feri_request_fill(feri_request *request,
                             const fer_program *program,
                             const fer_run_options *given,
                             const void *inputs,
                             uint32_t input_count,
                             const void *outputs,
                             uint32_t output_count) {
    fer_run_options *options = &request->options;
    FER_TRY(feri_struct_in(options, sizeof(*options), given, "fer_run_options"));
    request->queue_ns = 0;
    request->needs_tensors = 1;
    if (program == NULL) {
        return feri_null_argument("program");
    }
    if (input_count != program->input_count || output_count != program->output_count) {
        return feri_fail(FER_INVALID_INPUT,
                         "the program takes %u inputs and gives %u outputs, the call has %u and %u",
                         program->input_count,
                         program->output_count,
                         input_count,
                         output_count);
    }
    if ((options->flags & ~(uint32_t)(FER_RUN_COMMIT | FER_RUN_ZERO_COPY)) != 0) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "flags 0x%x has bits that are no FER_RUN_...", options->flags);
    }
    const char *missing =
        inputs == NULL && input_count > 0                        ? "inputs"
        : outputs == NULL && output_count > 0                    ? "outputs"
        : options->donated == NULL && options->donated_count > 0 ? "donated in the run options"
        : options->tags == NULL && options->tag_count > 0        ? "tags in the run options"
                                                                 : NULL;
    if (missing != NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "%s is NULL, but its count is not 0", missing);
    }
    for (uint32_t i = 0; i < options->donated_count; i++) {
        if (options->donated[i] >= input_count) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "donated input %u: there are %u inputs",
                             options->donated[i],
                             input_count);
        }
    }
    request->deadline_at =
        options->deadline_ns == 0 ? 0 : feri_add_sat(feri_clock_ns(), options->deadline_ns);
    return FER_OK;
}

/* ---- donated inputs and lost devices ---- */

/* A donated input that an output overlaps is read from a copy: kernels may write an output before
 * they have read all inputs. */
fer_status feri_donated_copy(const fer_program *program,
                             const fer_run_options *options,
                             feri_arg *inputs,
                             const feri_arg *outputs) {
    for (uint32_t d = 0; d < options->donated_count; d++) {
        uint32_t i = options->donated[d];
        for (uint32_t o = 0; o < program->output_count; o++) {
            fer_tensor *input = inputs[i].tensor, *output = outputs[o].tensor;
            if (input != NULL && output != NULL && feri_tensors_overlap(input, output)) {
                FER_TRY(feri_tensor_clone(program->build.env, input, &inputs[i].tensor));
                break;
            }
        }
    }
    return FER_OK;
}

/* A run that lost a device is repeated where the policy lets its nodes run elsewhere: not with
 * donated inputs, which may be overwritten already. Failing again tells of the loss, unless it is
 * the caller's own limits that ended it. */
fer_status feri_run_again(fer_program *program,
                          feri_run *run,
                          const feri_request *request,
                          feri_arg *inputs,
                          feri_arg *outputs,
                          const feri_arg *bound) {
    const feri_policy *policy = &program->build.policy;
    fer_error loss;
    feri_error_save(&loss);
    fer_status status = FER_DEVICE_LOST;
    for (uint32_t attempt = 1;
         status == FER_DEVICE_LOST && attempt < policy->device_count &&
         policy->fallback != FER_FALLBACK_ERROR && request->options.donated_count == 0;
         attempt++) {
        if (run->record != NULL) {
            run->record->attempt = attempt;
            run->record->partition_count = 0;
            run->record->stage_count = 0;
        }
        status = feri_run_once(program, run, request, inputs, outputs, bound);
    }
    if (status != FER_OK && status != FER_DEADLINE && status != FER_CANCELLED) {
        feri_error_restore(&loss);
        return FER_DEVICE_LOST;
    }
    return status;
}

/* ---- values ---- */

/* Wraps what a run made; either all outputs are set or none. What was bound keeps its value. */
static fer_status values_take(feri_arg *results, fer_value **outputs, uint32_t count) {
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < count && status == FER_OK; i++) {
        if (results[i].value == NULL && results[i].tensor != fer_value_tensor(outputs[i])) {
            status = fer_value_from_tensor(results[i].tensor, &results[i].value);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (results[i].tensor != fer_value_tensor(outputs[i])) {
            fer_tensor_release(results[i].tensor); /* its value, if any, holds it */
        }
        if (status != FER_OK) {
            fer_value_release(results[i].value);
        } else if (results[i].value != NULL) {
            outputs[i] = results[i].value;
        }
    }
    return status;
}

/* Runs a segment (a body's, in the run that reached it) or, where it is NULL, the program. */
typedef struct values_call {
    feri_segment *segment;
    feri_run *run;
    fer_program *program;
    const feri_request *request;
} values_call;

static fer_status values_run(const values_call *call,
                             feri_env *env,
                             fer_value *const *inputs,
                             uint32_t input_count,
                             fer_value **outputs,
                             uint32_t output_count) {
    uint64_t bytes = feri_mul_sat((uint64_t)input_count + output_count, sizeof(feri_arg));
    feri_arg *args = feri_alloc(env, bytes);
    if (args == NULL) {
        return feri_error_status();
    }
    feri_arg *results = args + input_count;
    for (uint32_t i = 0; i < input_count; i++) {
        args[i].tensor = fer_value_tensor(inputs[i]);
        args[i].value = args[i].tensor == NULL ? inputs[i] : NULL;
    }
    for (uint32_t i = 0; i < output_count; i++) {
        results[i].tensor = fer_value_tensor(outputs[i]);
    }
    fer_status status = call->segment != NULL
                            ? feri_segment_run(call->segment, call->run, args, results)
                            : feri_program_run_args(call->program, call->request, args, results);
    if (status == FER_OK) {
        status = values_take(results, outputs, output_count);
    }
    feri_free(env, args, bytes);
    return status;
}

fer_status feri_run_body(void *self,
                         feri_run *run,
                         uint32_t node_index,
                         uint32_t body,
                         fer_value *const *inputs,
                         uint32_t input_count,
                         fer_value **outputs,
                         uint32_t output_count) {
    const feri_spec *spec = self;
    values_call call = {.segment = spec->bodies[spec->body_start[node_index] + body], .run = run};
    if (output_count > 0) {
        memset(outputs, 0, output_count * sizeof(fer_value *)); /* nothing is bound */
    }
    return values_run(&call, run->env, inputs, input_count, outputs, output_count);
}

fer_status fer_program_run_values(fer_program *program,
                                  const fer_run_options *given,
                                  fer_value *const *inputs,
                                  uint32_t input_count,
                                  fer_value **outputs,
                                  uint32_t output_count) {
    feri_request request;
    FER_TRY(
        feri_request_fill(&request, program, given, inputs, input_count, outputs, output_count));
    request.needs_tensors = 0;
    for (uint32_t i = 0; i < output_count; i++) {
        if (outputs[i] != NULL && fer_value_tensor(outputs[i]) == NULL) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "what is bound to output '%s' is not a tensor: bind one or NULL",
                             program->graph->output_names[i]);
        }
    }
    values_call call = {.program = program, .request = &request};
    return values_run(&call, program->build.env, inputs, input_count, outputs, output_count);
}
