/* SPDX-License-Identifier: Apache-2.0
 *
 * Warm runs: variables, the floating-point mode, the record; the segment does the work. What only
 * some runs need is run_request.c's.
 */
#include "base/error.h"
#include "base/fpmode.h"
#include "base/later.h"
#include "program.h"

#include <string.h>

/* Runs with this many inputs and outputs or fewer need no memory for their arguments. */
enum { FEW_ARGS = 24 };

/* ---- the run ---- */

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

fer_status feri_run_once(fer_program *program,
                         feri_run *run,
                         const feri_request *request,
                         feri_arg *inputs,
                         feri_arg *outputs,
                         const feri_arg *bound) {
    fer_state *state = request->options.state;
    memset(
        outputs, 0, ((size_t)program->output_count + program->variable_count) * sizeof(*outputs));
    if (program->output_count > 0 && (request->options.flags & FER_RUN_COMMIT) == 0) {
        memcpy(outputs, bound, program->output_count * sizeof(*outputs));
    }
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

static fer_status run_filled(fer_program *program,
                             const feri_request *request,
                             feri_arg *inputs,
                             feri_arg *outputs,
                             const feri_arg *bound) {
    fer_run_record local;
    feri_run run = {.env = program->build.env,
                    .flags = request->options.flags,
                    .deadline_at = request->deadline_at,
                    .cancel = request->options.cancel,
                    .record = record_begin(program, request, &local),
                    .run_body = feri_run_body,
                    .run_op = program->build.passes.evaluate,
                    .self = program->build.passes.self};
    run.poll = (fer_poll){feri_run_check, &run};
    feri_fpmode mode = feri_fpmode_enter();
    fer_status status = FER_OK;
    if (run.deadline_at != 0 || run.cancel != NULL) {
        status = feri_run_check(&run); /* short kernels may never ask */
    }
    if (status == FER_OK && request->options.donated_count > 0) {
        status = feri_donated_copy(program, &request->options, inputs, bound);
    }
    if (status == FER_OK) {
        status = feri_run_once(program, &run, request, inputs, outputs, bound);
    }
    if (__builtin_expect(status == FER_DEVICE_LOST, 0)) {
        status = feri_run_again(program, &run, request, inputs, outputs, bound);
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
    uint64_t input_total = (uint64_t)program->input_count + program->variable_count;
    uint64_t total = input_total + program->output_count + program->variable_count;
    uint64_t bytes = feri_mul_sat(total, sizeof(feri_arg));
    feri_arg *inputs = total <= FEW_ARGS ? few : feri_alloc(program->build.env, bytes);
    if (inputs == NULL) {
        return feri_error_status();
    }
    feri_arg *outputs = inputs + input_total;
    if (program->input_count > 0) {
        memcpy(inputs, given_inputs, program->input_count * sizeof(feri_arg));
    }
    fer_status status = run_filled(program, request, inputs, outputs, given_outputs);
    atomic_fetch_add_explicit(&program->run_count, 1, memory_order_relaxed);
    if (status == FER_OK && program->output_count > 0) {
        memcpy(given_outputs, outputs, program->output_count * sizeof(feri_arg));
    }
    for (uint32_t i = 0; request->options.donated_count > 0 && i < program->input_count; i++) {
        if (inputs[i].tensor != given_inputs[i].tensor) {
            fer_tensor_release(inputs[i].tensor); /* a copy of what was donated */
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

fer_status fer_program_run(fer_program *program,
                           const fer_run_options *given,
                           fer_tensor *const *inputs,
                           uint32_t input_count,
                           fer_tensor **outputs,
                           uint32_t output_count) {
    feri_request request;
    FER_TRY(
        feri_request_fill(&request, program, given, inputs, input_count, outputs, output_count));
    feri_arg few[FEW_ARGS];
    uint64_t total = (uint64_t)input_count + output_count;
    uint64_t bytes = feri_mul_sat(total, sizeof(feri_arg));
    feri_arg *args = total <= FEW_ARGS ? few : feri_alloc(program->build.env, bytes);
    if (args == NULL) {
        return feri_error_status();
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
