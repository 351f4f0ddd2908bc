/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: options, overlap checks, variables, the floating-point mode, the record; then the segment
 * does the work.
 */
#include "base/error.h"
#include "base/fpmode.h"
#include "program.h"

#include <string.h>

/* Runs with this many inputs and outputs or fewer need no memory for their arguments. */
enum { FEW_ARGS = 24 };

/* ---- checks ---- */

static int is_donated(const fer_run_options *options, uint32_t input) {
    for (uint32_t i = 0; i < options->donated_count; i++) {
        if (options->donated[i] == input) {
            return 1;
        }
    }
    return 0;
}

static int overlaps(const fer_tensor *a, const fer_tensor *b) {
    if (a->buffer->host != NULL && b->buffer->host != NULL) {
        uintptr_t x = (uintptr_t)a->buffer->host + a->offset,
                  y = (uintptr_t)b->buffer->host + b->offset;
        return x < y + b->bytes && y < x + a->bytes;
    }
    return a->buffer == b->buffer && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

static fer_status overlaps_check(const fer_program *program,
                                 const fer_run_options *options,
                                 const feri_arg *inputs,
                                 const feri_arg *outputs) {
    for (uint32_t o = 0; o < program->output_count; o++) {
        const fer_tensor *output = outputs[o].tensor;
        if (output == NULL) {
            continue;
        }
        if (output->buffer->is_read_only) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "the tensor bound to output '%s' borrows memory read only",
                             program->graph->output_names[o]);
        }
        for (uint32_t i = 0; i < program->input_count; i++) {
            if (inputs[i].tensor != NULL && overlaps(output, inputs[i].tensor) &&
                !is_donated(options, i)) {
                return feri_fail(
                    FER_INVALID_ARGUMENT,
                    "output '%s' overlaps input '%s': donate the input or bind other memory",
                    program->graph->output_names[o],
                    program->graph->values[program->graph->inputs[i]].name);
            }
        }
        for (uint32_t p = 0; p < o; p++) {
            if (outputs[p].tensor != NULL && overlaps(output, outputs[p].tensor)) {
                return feri_fail(FER_INVALID_ARGUMENT,
                                 "outputs %u and %u are bound to overlapping memory",
                                 p,
                                 o);
            }
        }
    }
    return FER_OK;
}

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
        if (i >= program->input_count) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "donated input %u: there are %u inputs",
                             i,
                             program->input_count);
        }
        for (uint32_t o = 0; o < program->output_count && !is_copy[i]; o++) {
            fer_tensor *input = inputs[i].tensor;
            if (input == NULL || outputs[o].tensor == NULL || !overlaps(input, outputs[o].tensor)) {
                continue;
            }
            fer_tensor *copy = NULL;
            FER_TRY(fer_tensor_create(
                program->build.context, input->dtype, input->rank, input->dims, &copy));
            fer_status status = fer_tensor_copy(input, copy);
            if (status != FER_OK) {
                fer_tensor_release(copy);
                return status;
            }
            inputs[i].tensor = copy;
            is_copy[i] = 1;
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
record_begin(const fer_program *program, const fer_run_options *options, fer_run_record *local) {
    fer_run_record *given = options->record;
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
    local->parent_id = options->parent_id;
    local->partition_capacity = capacity;
    local->partitions = partitions;
    local->start_ns = feri_clock_ns();
    return local;
}

static fer_status segment_run(fer_program *program,
                              feri_run *run,
                              const fer_run_options *options,
                              feri_arg *inputs,
                              feri_arg *outputs) {
    if (program->variable_count == 0) {
        return feri_segment_run(program->segment, run, inputs, outputs);
    }
    FER_TRY(feri_state_begin(program, options->state, inputs + program->input_count));
    fer_status status = feri_segment_run(program->segment, run, inputs, outputs);
    feri_state_end(options->state, outputs, program, status);
    return status;
}

static void record_end(const feri_run *run, fer_run_record *out_record, fer_run_record *local) {
    local->end_ns = feri_clock_ns();
    local->poll_count = run->poll_count;
    feri_struct_out(out_record, local, sizeof(*local));
}

fer_status feri_program_run_args(fer_program *program,
                                 const fer_run_options *options,
                                 uint64_t deadline_at,
                                 const feri_arg *given_inputs,
                                 feri_arg *given_outputs) {
    feri_env *env = program->build.env;
    FER_TRY(overlaps_check(program, options, given_inputs, given_outputs));
    feri_arg few[FEW_ARGS];
    uint8_t few_copies[FEW_ARGS] = {0};
    uint64_t input_total = (uint64_t)program->input_count + program->variable_count;
    uint64_t total = input_total + program->output_count + program->variable_count;
    uint64_t bytes = feri_mul_sat(total, sizeof(feri_arg) + 1);
    feri_arg *inputs = total <= FEW_ARGS ? few : feri_alloc(env, bytes);
    if (inputs == NULL) {
        return fer_error_last()->status;
    }
    feri_arg *outputs = inputs + input_total;
    uint8_t *is_copy = inputs == few ? few_copies : (uint8_t *)(inputs + total);
    if (program->input_count > 0) {
        memcpy(inputs, given_inputs, program->input_count * sizeof(feri_arg));
    }
    if (program->output_count > 0) {
        memcpy(outputs, given_outputs, program->output_count * sizeof(feri_arg));
    }
    memset(outputs + program->output_count, 0, program->variable_count * sizeof(feri_arg));

    fer_run_record local;
    feri_run run = {.env = env,
                    .flags = options->flags,
                    .deadline_at = deadline_at,
                    .cancel = options->cancel,
                    .record = record_begin(program, options, &local),
                    .run_body = run_body,
                    .run_op = program->build.run_op,
                    .self = program->build.run_op_self};
    run.poll = (fer_poll){feri_run_check, &run};
    feri_fpmode mode = feri_fpmode_enter();
    fer_status status = donated_copy(program, options, inputs, outputs, is_copy);
    if (status == FER_OK) {
        status = segment_run(program, &run, options, inputs, outputs);
    }
    feri_fpmode_leave(mode);
    if (run.record != NULL) {
        record_end(&run, options->record, &local);
    }
    atomic_fetch_add_explicit(&program->run_count, 1, memory_order_relaxed);
    if (status == FER_OK && program->output_count > 0) {
        memcpy(given_outputs, outputs, program->output_count * sizeof(feri_arg));
    }
    for (uint32_t i = 0; options->donated_count > 0 && i < program->input_count; i++) {
        if (is_copy[i]) {
            fer_tensor_release(inputs[i].tensor);
        }
    }
    if (inputs != few) {
        feri_free(env, inputs, bytes);
    }
    return status;
}

/* ---- the public calls ---- */

static fer_status run_begin(const fer_program *program,
                            const fer_run_options *given,
                            uint32_t input_count,
                            uint32_t output_count,
                            fer_run_options *options,
                            uint64_t *out_deadline) {
    FER_TRY(feri_struct_in(options, sizeof(*options), given, "fer_run_options"));
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
    *out_deadline =
        options->deadline_ns == 0 ? 0 : feri_add_sat(feri_clock_ns(), options->deadline_ns);
    return FER_OK;
}

fer_status fer_program_run(fer_program *program,
                           const fer_run_options *given,
                           fer_tensor *const *inputs,
                           uint32_t input_count,
                           fer_tensor **outputs,
                           uint32_t output_count) {
    fer_run_options options;
    uint64_t deadline = 0;
    FER_TRY(run_begin(program, given, input_count, output_count, &options, &deadline));
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
    fer_status status = feri_program_run_args(program, &options, deadline, args, results);
    for (uint32_t i = 0; i < output_count && status == FER_OK; i++) {
        if (results[i].tensor == NULL) {
            status = feri_fail(FER_INVALID_ARGUMENT,
                               "output '%s' is not a tensor: use fer_program_run_values",
                               program->graph->output_names[i]);
        }
    }
    for (uint32_t i = 0; i < output_count; i++) {
        if (status == FER_OK) {
            outputs[i] = results[i].tensor;
        } else if (results[i].tensor != outputs[i]) {
            fer_tensor_release(results[i].tensor);
        }
        fer_value_release(status != FER_OK ? results[i].value : NULL);
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
    fer_run_options options;
    uint64_t deadline = 0;
    FER_TRY(run_begin(program, given, input_count, output_count, &options, &deadline));
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
    fer_status status = feri_program_run_args(program, &options, deadline, args, results);
    status = status == FER_OK ? values_take(results, outputs, output_count) : status;
    feri_free(env, args, bytes);
    return status;
}
