/* SPDX-License-Identifier: Apache-2.0
 *
 * The placement report: a line per source node, with the device it runs on and what better ones
 * said. A later specialisation adds lines only for what it decided otherwise, so that the report is
 * as long as there are decisions, not sizes. Nodes that left nothing to run are there too.
 */
#include "base/error.h"
#include "specialize/specialize.h"

#include <string.h>

/* The last line that an earlier compilation wrote for a source node, NULL if none. */
static const feri_report_line *line_told(const feri_build *build, uint32_t source) {
    return source < build->told_capacity && build->told[source] != 0
               ? &build->lines[build->told[source] - 1]
               : NULL;
}

static fer_status
line_new(feri_build *build, const feri_gnode *node, uint32_t number, feri_report_line **out_line) {
    FER_TRY(feri_bump_grow(&build->report_bump,
                           &build->lines,
                           &build->line_capacity,
                           build->line_count + 1,
                           sizeof(feri_report_line)));
    feri_report_line *line = &build->lines[build->line_count];
    memset(line, 0, sizeof(*line));
    const feri_report_line *told = line_told(build, node->source);
    line->said.node = told != NULL
                          ? told->said.node
                          : feri_bump_strndup(&build->report_bump, node->name, strlen(node->name));
    line->source = node->source;
    line->said.op = feri_op_name(node->op);
    line->said.device = "folded";
    line->said.reason = "";
    line->said.specialization = number;
    if (line->said.node == NULL) {
        return feri_error_status();
    }
    build->line_count++;
    *out_line = line;
    return FER_OK;
}

static fer_dtype node_dtype(const fer_graph *graph, const feri_gnode *node) {
    return node->output_count > 0 && node->outputs[0] != FER_NO_VALUE
               ? graph->values[node->outputs[0]].fact.dtype
               : FER_DTYPE_NONE;
}

static fer_status reason_set(feri_build *build, feri_report_line *line, const char *reason) {
    const feri_report_line *told = line_told(build, line->source);
    if (reason[0] == 0) {
        return FER_OK;
    }
    const char *copy = told != NULL && strcmp(told->said.reason, reason) == 0
                           ? told->said.reason
                           : feri_bump_strndup(&build->report_bump, reason, strlen(reason));
    if (copy == NULL) {
        return feri_error_status();
    }
    line->said.reason = copy;
    return FER_OK;
}

static fer_status placed_fill(feri_build *build,
                              const feri_spec *spec,
                              const feri_partition *partition,
                              uint32_t first,
                              uint32_t *line_of) {
    for (uint32_t i = 0; i < spec->graph->node_count; i++) {
        const feri_gnode *node = spec->graph->nodes[i];
        if (node->source >= spec->graph->source_count) {
            continue;
        }
        if (line_of[node->source] == 0) { /* out of the branch of an If */
            feri_report_line *made = NULL;
            FER_TRY(line_new(build, node, spec->number, &made));
            line_of[node->source] = build->line_count - first;
        }
        feri_report_line *line = &build->lines[first + line_of[node->source] - 1];
        const feri_placed *placed = &partition->nodes[i];
        line->said.part_count++;
        line->said.work += placed->work;
        if (line->said.part_count == 1 || line->said.reason[0] == 0) {
            line->said.device = placed->device == FERI_ON_HOST
                                    ? "host"
                                    : build->policy.devices[placed->device]->name;
            line->said.dtype = node_dtype(spec->graph, node);
            FER_TRY(reason_set(build, line, placed->reason));
        }
    }
    return FER_OK;
}

/* Source nodes of the segment that this stage took (everything that did not go to later). */
static fer_status lines_fill(feri_build *build,
                             const feri_spec *spec,
                             const feri_partition *partition,
                             const fer_graph *source,
                             uint32_t *line_of,
                             uint8_t *is_next) {
    uint32_t first = build->line_count;
    const fer_graph *next = spec->next == NULL ? NULL : spec->next->graph;
    for (uint32_t i = 0; next != NULL && i < next->node_count; i++) {
        if (next->nodes[i]->source < spec->graph->source_count) {
            is_next[next->nodes[i]->source] = 1;
        }
    }
    for (uint32_t i = 0; i < source->node_count; i++) {
        const feri_gnode *node = source->nodes[i];
        if (node->is_dead || node->source >= spec->graph->source_count ||
            line_of[node->source] != 0 || is_next[node->source]) {
            continue;
        }
        feri_report_line *line = NULL;
        FER_TRY(line_new(build, node, spec->number, &line));
        line_of[node->source] = build->line_count - first;
        line->said.dtype = node_dtype(source, node);
    }
    return placed_fill(build, spec, partition, first, line_of);
}

/* Drops the lines from first on that say what was told before; the rest is told now. */
static fer_status lines_settle(feri_build *build, uint32_t first, uint32_t source_count) {
    uint32_t kept = first;
    FER_TRY(feri_bump_grow(
        &build->report_bump, &build->told, &build->told_capacity, source_count, sizeof(uint32_t)));
    for (uint32_t i = first; i < build->line_count; i++) {
        const feri_report_line *line = &build->lines[i], *told = line_told(build, line->source);
        if (told != NULL && told->said.device == line->said.device &&
            told->said.dtype == line->said.dtype &&
            told->said.part_count == line->said.part_count &&
            strcmp(told->said.reason, line->said.reason) == 0) {
            continue;
        }
        build->lines[kept] = *line;
        build->told[build->lines[kept].source] = kept + 1;
        kept++;
    }
    build->line_count = kept;
    return FER_OK;
}

fer_status feri_report_spec(feri_build *build,
                            const feri_spec *spec,
                            const feri_partition *partition,
                            const fer_graph *source) {
    uint64_t bytes = feri_mul_sat(spec->graph->source_count, sizeof(uint32_t) + 1);
    uint32_t *line_of = feri_alloc(build->env, bytes);
    if (line_of == NULL) {
        return feri_error_status();
    }
    pthread_mutex_lock(&build->lock);
    uint8_t *is_next = (uint8_t *)(line_of + spec->graph->source_count);
    uint32_t before = build->line_count;
    fer_status status = lines_fill(build, spec, partition, source, line_of, is_next);
    status = status == FER_OK ? lines_settle(build, before, spec->graph->source_count) : status;
    if (status != FER_OK) {
        build->line_count = before; /* the next try tells it whole */
    }
    pthread_mutex_unlock(&build->lock);
    feri_free(build->env, line_of, bytes);
    return status;
}

static void sources_mark(const fer_graph *graph, uint8_t *is_there, uint32_t count) {
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const feri_gnode *node = graph->nodes[i];
        if (!node->is_dead && node->source < count) {
            is_there[node->source] = 1;
        }
        for (uint32_t k = 0; k < node->body_count && !node->is_dead; k++) {
            sources_mark(node->bodies[k], is_there, count);
        }
    }
}

fer_status feri_report_removed(feri_build *build, const fer_graph *before, const fer_graph *after) {
    uint32_t count = before->root->source_count;
    uint8_t *is_there = feri_alloc(build->env, count);
    if (is_there == NULL) {
        return feri_error_status();
    }
    sources_mark(after, is_there, count);
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < before->node_count && status == FER_OK; i++) {
        const feri_gnode *node = before->nodes[i];
        if (node->source >= count || is_there[node->source]) {
            continue;
        }
        feri_report_line *line = NULL;
        status = line_new(build, node, /*number=*/0, &line);
        if (status == FER_OK) {
            is_there[node->source] = 1;
            line->said.dtype = node_dtype(before, node);
            line->said.reason = "a pass over the model left nothing of it to run";
        }
    }
    feri_free(build->env, is_there, count);
    return status;
}
