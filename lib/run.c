/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: options, donated inputs, variables, the floating-point mode, the record, another attempt
 * after loss; the segment does the work.
 */
#include "base/error.h"
#include "base/fpmode.h"
#include "base/later.h"
#include "program.h"

#include <string.h>

/* Runs with this many inputs and outputs or fewer need no memory for their arguments. */
enum { FEW_ARGS = 24 };

/* ---- donated inputs ---- */

/* A donated input that an output overlaps is read from a copy: kernels may write an output before
 * they have read all inputs. */
static fer_status donated_copy(const fer_program *program,
                               const fer_run_options *options,
                               feri_arg *inputs,
                               const feri_arg *outputs,
                               uint8_t *is_copy) {
    for (uint32_t d = 0; d < options->donated_count; d++) {
        uint32_t i = options->donated[d];
        for (uint32_t o = 0; o < program->output_count && !is_copy[i]; o++) {
            fer_tensor *input = inputs[i].tensor, *output = outputs[o].tensor;
            if (input != NULL && output != NULL && feri_tensors_overlap(input, output)) {
                FER_TRY(feri_tensor_clone(program->build.env, input, &inputs[i].tensor));
                is_copy[i] = 1;
            }
        }
    }
    return FER_OK;
}

/* ---- the run ---- */

static fer_status run_body(void *self,
                           feri_run *run,
                           uint32_t node_index,
                           uint32_t body,
                           fer_value *const *inputs,
                           uint32_t input_count,
                           fer_value **outputs,
                           uint32_t output_count) {
    const feri_spec *spec = self;
    feri_segment *segment = spec->bodies[spec->body_start[node_index] + body];
    uint64_t bytes = feri_mul_sat((uint64_t)input_count + output_count, sizeof(feri_arg));
    feri_arg *args = feri_alloc(run->env, bytes);
    if (args == NULL) {
        return fer_error_last()->status;
    }
    feri_arg *results = args + input_count;
    for (uint32_t i = 0; i < input_count; i++) {
        fer_tensor *tensor = fer_value_tensor(inputs[i]);
        args[i] = (feri_arg){tensor, tensor == NULL ? inputs[i] : NULL};
    }
    fer_status status = feri_segment_run(segment, run, args, results);
    for (uint32_t i = 0; i < output_count && status == FER_OK; i++) {
        outputs[i] = results[i].value;
        results[i].value = NULL;
        if (results[i].tensor != NULL) {
            status = fer_value_from_tensor(results[i].tensor, &outputs[i]);
        }
    }
    for (uint32_t i = 0; i < output_count; i++) {
        fer_tensor_release(results[i].tensor);
        fer_value_release(results[i].value);
        if (status != FER_OK) {
            fer_value_release(outputs[i]);
            outputs[i] = NULL;
        }
    }
    feri_free(run->env, args, bytes);
    return status;
}

static fer_run_record *
record_begin(const fer_program *program, const feri_request *request, fer_run_record *local) {
    fer_run_record *given = request->options.record;
    if (given == NULL) {
        return NULL;
    }
    uint32_t capacity = 0;
    fer_partition_record *partitions = NULL;
    uint32_t size = given->struct_size == 0 ? (uint32_t)sizeof(*given) : given->struct_size;
    if (size >= sizeof(*given)) {
        capacity = given->partition_capacity;
        partitions = given->partitions;
    }
    memset(local, 0, sizeof(*local));
    local->struct_size = size;
    local->run_id =
        atomic_fetch_add_explicit(&program->build.env->next_id, 1, memory_order_relaxed) + 1;
    local->parent_id = request->options.parent_id;
    local->partition_capacity = capacity;
    local->partitions = partitions;
    local->queue_ns = request->queue_ns;
    local->start_ns = feri_clock_ns();
    return local;
}

/* outputs come empty where the caller bound nothing, and everywhere under FER_RUN_COMMIT. */
static fer_status run_once(fer_program *program,
                           feri_run *run,
                           const feri_request *request,
                           feri_arg *inputs,
                           feri_arg *outputs,
                           const feri_arg *bound) {
    fer_state *state = request->options.state;
    if (program->variable_count > 0) {
        FER_TRY(feri_state_begin(program, state, inputs + program->input_count));
    }
    fer_status status = feri_segment_run(program->segment, run, inputs, outputs);
    if (status == FER_OK) {
        status = feri_outputs_settle(program, request, outputs, bound);
    }
    if (program->variable_count > 0) {
        feri_state_end(state, outputs, program, status);
    }
    return status;
}

static void outputs_begin(const fer_program *program,
                          const feri_request *request,
                          feri_arg *outputs,
                          const feri_arg *bound) {
    memset(
        outputs, 0, ((size_t)program->output_count + program->variable_count) * sizeof(*outputs));
    if (program->output_count > 0 && (request->options.flags & FER_RUN_COMMIT) == 0) {
        memcpy(outputs, bound, program->output_count * sizeof(*outputs));
    }
}

/* A run that lost a device is repeated where the policy lets its nodes run elsewhere: not with
 * donated inputs, which may be overwritten already. Failing again tells of the loss, unless it is
 * the caller's own limits that ended it. */
static fer_status run_again(fer_program *program,
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
        outputs_begin(program, request, outputs, bound);
        if (run->record != NULL) {
            run->record->attempt = attempt;
            run->record->partition_count = 0;
            run->record->stage_count = 0;
        }
        status = run_once(program, run, request, inputs, outputs, bound);
    }
    if (status != FER_OK && status != FER_DEADLINE && status != FER_CANCELLED) {
        feri_error_restore(&loss);
        return FER_DEVICE_LOST;
    }
    return status;
}

static fer_status run_filled(fer_program *program,
                             const feri_request *request,
                             feri_arg *inputs,
                             feri_arg *outputs,
                             uint8_t *is_copy,
                             const feri_arg *bound) {
    fer_run_record local;
    feri_run run = {.env = program->build.env,
                    .flags = request->options.flags,
                    .deadline_at = request->deadline_at,
                    .cancel = request->options.cancel,
                    .record = record_begin(program, request, &local),
                    .run_body = run_body,
                    .run_op = program->build.run_op,
                    .self = program->build.run_op_self};
    run.poll = (fer_poll){feri_run_check, &run};
    feri_fpmode mode = feri_fpmode_enter();
    fer_status status = FER_OK;
    if (run.deadline_at != 0 || run.cancel != NULL) {
        status = feri_run_check(&run); /* short kernels may never ask */
    }
    if (status == FER_OK) {
        status = donated_copy(program, &request->options, inputs, bound, is_copy);
    }
    if (status == FER_OK) {
        status = run_once(program, &run, request, inputs, outputs, bound);
    }
    if (__builtin_expect(status == FER_DEVICE_LOST, 0)) {
        status = run_again(program, &run, request, inputs, outputs, bound);
    }
    feri_fpmode_leave(mode);
    if (run.record != NULL) {
        local.end_ns = feri_clock_ns();
        local.poll_count = run.poll_count;
        feri_struct_out(request->options.record, &local, sizeof(local));
    }
    return status;
}

static fer_status run_args(fer_program *program,
                           const feri_request *request,
                           const feri_arg *given_inputs,
                           feri_arg *given_outputs) {
    FER_TRY(feri_outputs_check(program, request, given_inputs, given_outputs));
    feri_arg few[FEW_ARGS];
    uint8_t few_copies[FEW_ARGS] = {0};
    uint64_t input_total = (uint64_t)program->input_count + program->variable_count;
    uint64_t total = input_total + program->output_count + program->variable_count;
    uint64_t bytes = feri_mul_sat(total, sizeof(feri_arg) + 1);
    feri_arg *inputs = total <= FEW_ARGS ? few : feri_alloc(program->build.env, bytes);
    if (inputs == NULL) {
        return fer_error_last()->status;
    }
    feri_arg *outputs = inputs + input_total;
    uint8_t *is_copy = inputs == few ? few_copies : (uint8_t *)(inputs + total);
    if (program->input_count > 0) {
        memcpy(inputs, given_inputs, program->input_count * sizeof(feri_arg));
    }
    outputs_begin(program, request, outputs, given_outputs);
    fer_status status = run_filled(program, request, inputs, outputs, is_copy, given_outputs);
    atomic_fetch_add_explicit(&program->run_count, 1, memory_order_relaxed);
    if (status == FER_OK && program->output_count > 0) {
        memcpy(given_outputs, outputs, program->output_count * sizeof(feri_arg));
    }
    for (uint32_t i = 0; request->options.donated_count > 0 && i < program->input_count; i++) {
        if (is_copy[i]) {
            fer_tensor_release(inputs[i].tensor);
        }
    }
    if (inputs != few) {
        feri_free(program->build.env, inputs, bytes);
    }
    return status;
}

fer_status feri_program_run_args(fer_program *program,
                                 const feri_request *request,
                                 const feri_arg *given_inputs,
                                 feri_arg *given_outputs) {
    feri_later_begin();
    fer_status status = run_args(program, request, given_inputs, given_outputs);
    feri_later_end();
    return status;
}

/* ---- the public calls ---- */

fer_status feri_request_fill(feri_request *request,
                             const fer_program *program,
                             const fer_run_options *given,
                             uint32_t input_count,
                             uint32_t output_count) {
    fer_run_options *options = &request->options;
    FER_TRY(feri_struct_in(options, sizeof(*options), given, "fer_run_options"));
    request->queue_ns = 0;
    request->needs_tensors = 1;
    if (program == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "program is NULL");
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
    if ((options->donated_count > 0 && options->donated == NULL) ||
        (options->tag_count > 0 && options->tags == NULL)) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "%s in the run options is NULL, but its count is not 0",
                         options->donated_count > 0 && options->donated == NULL ? "donated"
                                                                                : "tags");
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

static fer_status
arrays_check(const void *inputs, uint32_t input_count, const void *outputs, uint32_t output_count) {
    if ((inputs == NULL && input_count > 0) || (outputs == NULL && output_count > 0)) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "%s is NULL, but its count is not 0",
                         inputs == NULL && input_count > 0 ? "inputs" : "outputs");
    }
    return FER_OK;
}

fer_status fer_program_run(fer_program *program,
                           const fer_run_options *given,
                           fer_tensor *const *inputs,
                           uint32_t input_count,
                           fer_tensor **outputs,
                           uint32_t output_count) {
    feri_request request;
    FER_TRY(feri_request_fill(&request, program, given, input_count, output_count));
    FER_TRY(arrays_check(inputs, input_count, outputs, output_count));
    feri_arg few[FEW_ARGS];
    uint64_t total = (uint64_t)input_count + output_count;
    uint64_t bytes = feri_mul_sat(total, sizeof(feri_arg));
    feri_arg *args = total <= FEW_ARGS ? few : feri_alloc(program->build.env, bytes);
    if (args == NULL) {
        return fer_error_last()->status;
    }
    feri_arg *results = args + input_count;
    for (uint32_t i = 0; i < input_count; i++) {
        args[i] = (feri_arg){inputs[i], NULL};
    }
    for (uint32_t i = 0; i < output_count; i++) {
        results[i] = (feri_arg){outputs[i], NULL};
    }
    fer_status status = feri_program_run_args(program, &request, args, results);
    for (uint32_t i = 0; i < output_count && status == FER_OK; i++) {
        outputs[i] = results[i].tensor;
    }
    if (args != few) {
        feri_free(program->build.env, args, bytes);
    }
    return status;
}

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

fer_status fer_program_run_values(fer_program *program,
                                  const fer_run_options *given,
                                  fer_value *const *inputs,
                                  uint32_t input_count,
                                  fer_value **outputs,
                                  uint32_t output_count) {
    feri_request request;
    FER_TRY(feri_request_fill(&request, program, given, input_count, output_count));
    FER_TRY(arrays_check(inputs, input_count, outputs, output_count));
    request.needs_tensors = 0;
    for (uint32_t i = 0; i < output_count; i++) {
        if (outputs[i] != NULL && fer_value_tensor(outputs[i]) == NULL) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "what is bound to output '%s' is not a tensor: bind one or NULL",
                             program->graph->output_names[i]);
        }
    }
    feri_env *env = program->build.env;
    uint64_t bytes = feri_mul_sat((uint64_t)input_count + output_count, sizeof(feri_arg));
    feri_arg *args = feri_alloc(env, bytes);
    if (args == NULL) {
        return fer_error_last()->status;
    }
    feri_arg *results = args + input_count;
    for (uint32_t i = 0; i < input_count; i++) {
        fer_tensor *tensor = fer_value_tensor(inputs[i]);
        args[i] = (feri_arg){tensor, tensor == NULL ? inputs[i] : NULL};
    }
    for (uint32_t i = 0; i < output_count; i++) {
        results[i].tensor = fer_value_tensor(outputs[i]);
    }
    fer_status status = feri_program_run_args(program, &request, args, results);
    status = status == FER_OK ? values_take(results, outputs, output_count) : status;
    feri_free(env, args, bytes);
    return status;
}
