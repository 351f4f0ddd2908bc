/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be asked of a program: inputs and outputs, placement, statistics, passes; and trimming.
 */
#include "base/error.h"
#include "base/later.h"
#include "program.h"

#include <string.h>

uint32_t fer_program_input_count(const fer_program *program) {
    return program == NULL ? 0 : program->input_count;
}

uint32_t fer_program_output_count(const fer_program *program) {
    return program == NULL ? 0 : program->output_count;
}

fer_status fer_program_input(const fer_program *program, uint32_t index, fer_value_info *out_info) {
    return fer_graph_input(program == NULL ? NULL : program->graph, index, out_info);
}

fer_status
fer_program_output(const fer_program *program, uint32_t index, fer_value_info *out_info) {
    return fer_graph_output(program == NULL ? NULL : program->graph, index, out_info);
}

static uint32_t index_of(const fer_program *program, const char *name, int is_output) {
    uint32_t count =
        is_output ? fer_program_output_count(program) : fer_program_input_count(program);
    for (uint32_t i = 0; name != NULL && i < count; i++) {
        const fer_graph *graph = program->graph;
        if (strcmp(name,
                   is_output ? graph->output_names[i] : graph->values[graph->inputs[i]].name) ==
            0) {
            return i;
        }
    }
    return UINT32_MAX;
}

uint32_t fer_program_input_index(const fer_program *program, const char *name) {
    return index_of(program, name, /*is_output=*/0);
}

uint32_t fer_program_output_index(const fer_program *program, const char *name) {
    return index_of(program, name, /*is_output=*/1);
}

fer_status fer_program_placement_count(fer_program *program, uint64_t *out_count) {
    if (program == NULL || out_count == NULL) {
        return feri_null_argument("program or out_count");
    }
    pthread_mutex_lock(&program->build.lock);
    *out_count = program->build.line_count;
    pthread_mutex_unlock(&program->build.lock);
    return FER_OK;
}

fer_status
fer_program_placement(fer_program *program, uint64_t index, fer_placement *out_placement) {
    if (program == NULL || out_placement == NULL) {
        return feri_null_argument("program or out_placement");
    }
    pthread_mutex_lock(&program->build.lock);
    uint32_t count = program->build.line_count;
    if (index < count) {
        feri_struct_out(out_placement, &program->build.lines[index].said, sizeof(*out_placement));
    }
    pthread_mutex_unlock(&program->build.lock);
    return index < count ? FER_OK
                         : feri_fail(FER_INVALID_ARGUMENT,
                                     "no placement line %llu, there are %u",
                                     (unsigned long long)index,
                                     count);
}

fer_status fer_program_trim(fer_program *program, int32_t level, uint64_t *out_freed_bytes) {
    if (program == NULL || level < FER_TRIM_STATES || level > FER_TRIM_WEIGHTS) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "program is NULL or level %d is none of FER_TRIM_...", level);
    }
    feri_later_begin();
    uint64_t freed = feri_segment_trim(program->segment, level);
    if (out_freed_bytes != NULL) {
        *out_freed_bytes = freed;
    }
    feri_later_end();
    return FER_OK;
}

fer_status fer_program_get_stats(fer_program *program, fer_program_stats *out_stats) {
    if (program == NULL || out_stats == NULL) {
        return feri_null_argument("program or out_stats");
    }
    pthread_mutex_lock(&program->build.lock);
    fer_program_stats stats = program->build.stats;
    pthread_mutex_unlock(&program->build.lock);
    stats.struct_size = sizeof(stats);
    stats.run_count = atomic_load(&program->run_count);
    stats.arena_bytes = feri_segment_arena_bytes(program->segment);
    stats.binding_count = feri_segment_binding_count(program->segment);
    feri_struct_out(out_stats, &stats, sizeof(stats));
    return FER_OK;
}

fer_status fer_program_print_passes(fer_program *program, fer_text_fn write, void *write_self) {
    if (program == NULL || write == NULL) {
        return feri_null_argument("program or write");
    }
    feri_text copy;
    feri_text_init(&copy, program->build.env);
    pthread_mutex_lock(&program->build.lock);
    feri_text_add_bytes(&copy, program->build.pass_report.data, program->build.pass_report.length);
    pthread_mutex_unlock(&program->build.lock);
    fer_status status = copy.status;
    if (status == FER_OK && copy.length > 0 && write(write_self, copy.data, copy.length) != 0) {
        status = feri_fail(FER_CANCELLED, "the caller's write function stopped the text");
    }
    feri_text_finish(&copy);
    return status;
}
