/* SPDX-License-Identifier: Apache-2.0
 *
 * The story of a program:
 *
 *     graph -> passes -> segment (specialize: walk, partition, compile, plan) -> runs (execute)
 *
 * What an earlier stage needs of a later one is handed down here: an evaluator to the passes,
 * bodies and single ops to the host's ops.
 */
#include "program.h"

#include "base/error.h"

#include <string.h>

enum { DEFAULT_STATES = 8, MAX_STATES = 1024, MAX_DEVICES = 64 };

/* ---- callbacks handed down ---- */

static fer_status
evaluate(void *self, const feri_gnode *node, fer_tensor *const *inputs, fer_tensor **out_outputs) {
    feri_build *build = self;
    return feri_eager_run(
        build->context, NULL, node, inputs, node->input_count, out_outputs, node->output_count);
}

static fer_status run_op(void *self,
                         feri_run *run,
                         const feri_gnode *node,
                         fer_tensor *const *inputs,
                         uint32_t input_count,
                         fer_tensor **outputs,
                         uint32_t output_count) {
    feri_build *build = self;
    (void)run;
    return feri_eager_run(build->context, NULL, node, inputs, input_count, outputs, output_count);
}

/* ---- the policy ---- */

static fer_status devices_named(fer_program *program, const char *names) {
    feri_policy *policy = &program->build.policy;
    const char *at = names;
    while (*at != 0) {
        size_t length = 0;
        for (int depth = 0; at[length] != 0 && (at[length] != ',' || depth > 0); length++) {
            depth += at[length] == '(' ? 1 : at[length] == ')' ? -1 : 0;
        }
        if (policy->device_count == MAX_DEVICES) {
            return feri_fail(
                FER_INVALID_ARGUMENT, "more than %d devices in '%s'", MAX_DEVICES, names);
        }
        char *name = feri_bump_strndup(&program->bump, at, length);
        if (name == NULL) {
            return fer_error_last()->status;
        }
        fer_device *device = NULL;
        FER_TRY(fer_device_find(program->build.context, name, &device));
        fer_device_release(device); /* the program holds the context, and with it the device */
        policy->devices[policy->device_count++] = device;
        at += length + (at[length] == ',');
    }
    return FER_OK;
}

static fer_status devices_default(fer_program *program) {
    fer_context *context = program->build.context;
    feri_policy *policy = &program->build.policy;
    FER_TRY(feri_devices_ready(context));
    for (uint32_t i = 0; i < context->device_count && policy->device_count < MAX_DEVICES; i++) {
        if ((context->devices[i]->info.flags & FER_DEVICE_NEVER_DEFAULT) == 0) {
            policy->devices[policy->device_count++] = context->devices[i];
        }
    }
    return FER_OK;
}

static fer_status copy_text(feri_bump *bump, const char *text, const char **out_text) {
    if (text == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "a name in the compile options is NULL");
    }
    *out_text = feri_bump_strndup(bump, text, strlen(text));
    return *out_text == NULL ? fer_error_last()->status : FER_OK;
}

static fer_status policy_fill(fer_program *program, const fer_compile_options *options) {
    feri_bump *bump = &program->bump;
    feri_build *build = &program->build;
    fer_pin *pins = FERI_BUMP_ARRAY(bump, fer_pin, options->pin_count);
    fer_share *shares = FERI_BUMP_ARRAY(bump, fer_share, options->share_count);
    fer_dim_value *dims = FERI_BUMP_ARRAY(bump, fer_dim_value, options->dim_count);
    const char **off = FERI_BUMP_ARRAY(bump, const char *, options->passes_off_count);
    build->policy.devices = FERI_BUMP_ARRAY(bump, fer_device *, MAX_DEVICES);
    if (pins == NULL || shares == NULL || dims == NULL || off == NULL ||
        build->policy.devices == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < options->pin_count; i++) {
        FER_TRY(copy_text(bump, options->pins[i].node, &pins[i].node));
        FER_TRY(copy_text(bump, options->pins[i].device, &pins[i].device));
    }
    for (uint32_t i = 0; i < options->share_count; i++) {
        shares[i] = options->shares[i];
        FER_TRY(copy_text(bump, options->shares[i].device, &shares[i].device));
    }
    for (uint32_t i = 0; i < options->dim_count; i++) {
        dims[i] = options->dims[i];
        FER_TRY(copy_text(bump, options->dims[i].name, &dims[i].name));
    }
    for (uint32_t i = 0; i < options->passes_off_count; i++) {
        FER_TRY(copy_text(bump, options->passes_off[i], &off[i]));
    }
    build->policy.pins = pins;
    build->policy.pin_count = options->pin_count;
    build->policy.shares = shares;
    build->policy.share_count = options->share_count;
    build->policy.fallback =
        options->fallback == FER_FALLBACK_DEFAULT ? FER_FALLBACK_WARN : options->fallback;
    build->passes = (feri_pass_env){
        .evaluate = evaluate, .self = build, .off = off, .off_count = options->passes_off_count};
    build->dim_values = dims;
    build->dim_value_count = options->dim_count;
    FER_TRY(options->devices != NULL ? devices_named(program, options->devices)
                                     : devices_default(program));
    if (build->policy.device_count == 0) {
        return feri_fail(
            FER_NO_DEVICE,
            "no device is allowed: name one, or register a backend that may be a default");
    }
    return FER_OK;
}

/* ---- compilation ---- */

/* Dims the caller fixed by name, before anything is specialised. */
static fer_status dims_fix(fer_program *program, fer_graph *graph) {
    for (uint32_t d = 0; d < program->build.dim_value_count; d++) {
        const fer_dim_value *fixed = &program->build.dim_values[d];
        uint32_t uses = 0;
        for (uint32_t i = 0; i < graph->input_count; i++) {
            feri_fact *fact = &graph->values[graph->inputs[i]].fact;
            for (int32_t k = 0; k < fact->rank; k++) {
                uint32_t symbol = feri_terms_symbol_index(graph->terms, fact->dims[k]);
                if (symbol != UINT32_MAX &&
                    strcmp(feri_terms_symbol_name(graph->terms, symbol), fixed->name) == 0) {
                    fact->dims[k] = feri_sym_number(fixed->value);
                    uses++;
                }
            }
        }
        if (uses == 0 || fixed->value < 0) {
            return feri_fail(
                FER_INVALID_ARGUMENT,
                "dim '%s' = %lld: no input has a dim of that name, or the number is negative",
                fixed->name,
                (long long)fixed->value);
        }
    }
    return FER_OK;
}

static fer_status program_fill(fer_program *program, const fer_compile_options *options) {
    feri_build *build = &program->build;
    FER_TRY(policy_fill(program, options));
    fer_graph *graph = NULL;
    FER_TRY(feri_graph_clone(program->graph, &graph));
    fer_status status = dims_fix(program, graph);
    if (status == FER_OK) {
        status = feri_variables_lower(program, graph);
    }
    if (status == FER_OK) {
        build->passes.report = &build->pass_report;
        feri_text_add(&build->pass_report, "model:\n");
        uint32_t changes = 0;
        status = feri_passes_run(graph, &build->passes, &changes);
        build->stats.pass_change_count += changes;
    }
    if (status == FER_OK) {
        status = build->pass_report.status;
    }
    if (status != FER_OK) {
        feri_graph_destroy(graph);
        return status;
    }
    feri_graph_compact(graph);
    FER_TRY(feri_segment_create(build, graph, &program->segment));
    return feri_segment_prepare(program->segment);
}

static void program_destroy(fer_program *program) {
    feri_env *env = program->build.env;
    feri_segment_destroy(program->segment);
    fer_graph_release(program->graph);
    for (uint32_t i = 0; i < program->variable_count; i++) {
        fer_tensor_release(program->variables[i].initial);
    }
    feri_bump_finish(&program->build.report_bump);
    feri_text_finish(&program->build.pass_report);
    pthread_mutex_destroy(&program->build.lock);
    feri_bump_finish(&program->bump);
    feri_free(env, program, sizeof(*program));
    feri_env_release(env);
}

fer_status fer_program_compile(fer_context *context,
                               fer_graph *graph,
                               const fer_compile_options *given,
                               fer_program **out_program) {
    fer_compile_options options;
    FER_TRY(feri_struct_in(&options, sizeof(options), given, "fer_compile_options"));
    if (context == NULL || graph == NULL || out_program == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "context, graph or out_program is NULL");
    }
    if (!graph->is_finished) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "the graph is not finished: call fer_graph_finish first");
    }
    if (options.state_count > MAX_STATES || options.fallback < 0 ||
        options.fallback > FER_FALLBACK_ALLOW) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "state_count or fallback in the compile options is out of range");
    }
    feri_env *env = feri_env_of(context);
    fer_program *program = feri_alloc(env, sizeof(*program));
    if (program == NULL) {
        return fer_error_last()->status;
    }
    atomic_init(&program->refs, 1);
    feri_build *build = &program->build;
    build->env = feri_env_retain(env);
    build->context = context;
    build->state_count = options.state_count == 0 ? DEFAULT_STATES : options.state_count;
    build->drop_sources = options.drop_sources;
    build->deadline_at =
        options.deadline_ns == 0 ? 0 : feri_add_sat(feri_clock_ns(), options.deadline_ns);
    build->run_op = run_op;
    build->run_op_self = build;
    pthread_mutex_init(&build->lock, NULL);
    feri_bump_init(&build->report_bump, env);
    feri_text_init(&build->pass_report, env);
    feri_bump_init(&program->bump, env);
    program->graph = fer_graph_retain(graph);
    program->input_count = graph->input_count;
    program->output_count = graph->output_count;
    fer_status status = program_fill(program, &options);
    build->deadline_at = 0;
    if (status != FER_OK) {
        program_destroy(program);
        return status;
    }
    *out_program = program;
    return FER_OK;
}

fer_status fer_program_load(fer_context *context,
                            const char *path,
                            const fer_compile_options *options,
                            fer_program **out_program) {
    fer_graph *graph = NULL;
    FER_TRY(fer_graph_import_file(context, path, NULL, &graph));
    fer_status status = fer_program_compile(context, graph, options, out_program);
    fer_graph_release(graph);
    return status;
}

fer_program *fer_program_retain(fer_program *program) {
    if (program != NULL) {
        atomic_fetch_add_explicit(&program->refs, 1, memory_order_relaxed);
    }
    return program;
}

void fer_program_release(fer_program *program) {
    if (program != NULL &&
        atomic_fetch_sub_explicit(&program->refs, 1, memory_order_acq_rel) == 1) {
        program_destroy(program);
    }
}
