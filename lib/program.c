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
#include "base/fpmode.h"
#include "base/later.h"

enum { DEFAULT_STATES = 8, MAX_STATES = 1024 };

/* ---- callbacks handed down ---- */

static fer_status
evaluate(void *self, const feri_gnode *node, fer_tensor *const *inputs, fer_tensor **outputs) {
    return feri_eager_run(((feri_build *)self)->context, node, inputs, outputs);
}

/* ---- compilation ---- */

/* The caller's graph may be in other hands: a copy without constants takes its place. */
static fer_status sources_drop(fer_program *program) {
    fer_graph *graph = NULL;
    FER_TRY(feri_segment_drop_sources(program->segment));
    FER_TRY(feri_graph_clone(program->graph, &graph));
    fer_graph_release(program->graph);
    program->graph = graph;
    feri_graph_drop_constants(graph, NULL);
    graph->is_finished = 1;
    return feri_graph_describe(graph);
}

static fer_status stages_build(fer_program *program, fer_compile_options *options) {
    feri_build *build = &program->build;
    FER_TRY(feri_policy_fill(program, options));
    FER_TRY(feri_policy_check(options, program->graph));
    build->passes.evaluate = evaluate;
    build->passes.self = build;
    fer_graph *graph = NULL;
    FER_TRY(feri_graph_clone(program->graph, &graph));
    fer_status status = feri_dims_fix(program, graph);
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
    if (status == FER_OK) {
        feri_graph_compact(graph);
        status = feri_report(build, program->graph, graph, /*spec=*/NULL, /*partition=*/NULL);
    }
    if (status != FER_OK) {
        feri_graph_destroy(graph);
        return status;
    }
    FER_TRY(feri_segment_create(build, graph, &program->segment));
    FER_TRY(feri_segment_prepare(program->segment));
    return options->drop_sources != 0 ? sources_drop(program) : FER_OK;
}

/* Folding and shape arithmetic round as runs do, whatever the caller's mode is. */
static fer_status program_fill(fer_program *program, fer_compile_options *options) {
    feri_fpmode mode = feri_fpmode_enter();
    fer_status status = stages_build(program, options);
    feri_fpmode_leave(mode);
    return status;
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
        return feri_null_argument("context, graph or out_program");
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
        return feri_error_status();
    }
    atomic_init(&program->refs, 1);
    feri_build *build = &program->build;
    build->env = feri_env_retain(env);
    build->context = context;
    build->state_count = options.state_count == 0 ? DEFAULT_STATES : options.state_count;
    build->passes.deadline_at =
        options.deadline_ns == 0 ? 0 : feri_add_sat(feri_clock_ns(), options.deadline_ns);
    pthread_mutex_init(&build->lock, NULL);
    feri_bump_init(&build->report_bump, env);
    feri_text_init(&build->pass_report, env);
    feri_bump_init(&program->bump, env);
    program->graph = fer_graph_retain(graph);
    program->input_count = graph->input_count;
    program->output_count = graph->output_count;
    feri_later_begin();
    fer_status status = program_fill(program, &options);
    build->passes.deadline_at = 0; /* runs have their own */
    if (status == FER_OK) {
        *out_program = program;
    } else {
        program_destroy(program);
    }
    feri_later_end();
    return status;
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
