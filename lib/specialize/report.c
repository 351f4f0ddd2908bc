/* SPDX-License-Identifier: Apache-2.0
 *
 * The placement report: a line per source node, with the device it runs on and what better ones
 * said. A later specialisation adds lines only for what it decided otherwise, so that the report is
 * as long as there are decisions, not sizes. Nodes that left nothing to run are there too.
 */
#include "base/error.h"
#include "specialize/specialize.h"

#include <string.h>

/* One call of feri_report. */
typedef struct telling {
    feri_build *build;
    const feri_spec *spec; /* NULL: the passes over the model */
    uint32_t source_count;
    uint32_t *line_of; /* per source node: its line of this call, plus 1 */
    uint8_t *is_after; /* per source node: others run what is left of it */
} telling;

/* The last line that an earlier compilation wrote for a source node, NULL if none. */
static const feri_report_line *line_told(const feri_build *build, uint32_t source) {
    return source < build->told_capacity && build->told[source] != 0
               ? &build->lines[build->told[source] - 1]
               : NULL;
}

/* A text that lives as long as the report: told, when it says the same. */
static const char *text_keep(feri_build *build, const char *told, const char *text) {
    return told != NULL && strcmp(told, text) == 0
               ? told
               : feri_bump_strndup(&build->report_bump, text, strlen(text));
}

static fer_dtype node_dtype(const fer_graph *graph, const feri_gnode *node) {
    return node->output_count > 0 && node->outputs[0] != FER_NO_VALUE
               ? graph->values[node->outputs[0]].fact.dtype
               : FER_DTYPE_NONE;
}

static fer_status line_new(telling *t, const fer_graph *graph, const feri_gnode *node) {
    feri_build *build = t->build;
    FER_TRY(feri_bump_grow(&build->report_bump,
                           &build->lines,
                           &build->line_capacity,
                           build->line_count + 1,
                           sizeof(feri_report_line)));
    const feri_report_line *told = line_told(build, node->source);
    fer_placement said = {
        .node = text_keep(build, told == NULL ? NULL : told->said.node, node->name),
        .op = feri_op_name(node->op),
        .device = "folded",
        .reason = t->spec == NULL ? "a pass over the model left nothing of it to run" : "",
        .dtype = node_dtype(graph, node),
        .specialization = t->spec == NULL ? 0 : t->spec->number};
    if (said.node == NULL) {
        return feri_error_status();
    }
    build->lines[build->line_count] = (feri_report_line){said, node->source};
    t->line_of[node->source] = ++build->line_count;
    return FER_OK;
}

static fer_status placed_fill(telling *t, const feri_partition *partition) {
    feri_build *build = t->build;
    const fer_graph *graph = t->spec->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const feri_gnode *node = graph->nodes[i];
        const feri_placed *placed = &partition->nodes[i];
        if (node->source >= t->source_count) {
            continue;
        }
        if (t->line_of[node->source] == 0) { /* out of the branch of an If */
            FER_TRY(line_new(t, graph, node));
        }
        fer_placement *said = &build->lines[t->line_of[node->source] - 1].said;
        said->part_count++;
        said->work += placed->work;
        if (said->part_count > 1 && said->reason[0] != 0) {
            continue;
        }
        said->device =
            placed->device == FERI_ON_HOST ? "host" : build->policy.devices[placed->device]->name;
        said->dtype = node_dtype(graph, node);
        if (placed->reason[0] != 0) {
            const feri_report_line *told = line_told(build, node->source);
            said->reason =
                text_keep(build, told == NULL ? NULL : told->said.reason, placed->reason);
            if (said->reason == NULL) {
                return feri_error_status();
            }
        }
    }
    return FER_OK;
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

static void sources_mark(const telling *t, const fer_graph *graph) {
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const feri_gnode *node = graph->nodes[i];
        if (!node->is_dead && node->source < t->source_count) {
            t->is_after[node->source] = 1;
        }
        for (uint32_t k = 0; k < node->body_count && !node->is_dead; k++) {
            sources_mark(t, node->bodies[k]);
        }
    }
}

static fer_status lines_fill(telling *t,
                             const fer_graph *source,
                             const fer_graph *after,
                             const feri_partition *partition) {
    uint32_t first = t->build->line_count;
    if (after != NULL) {
        sources_mark(t, after);
    }
    for (uint32_t i = 0; i < source->node_count; i++) {
        const feri_gnode *node = source->nodes[i];
        if (!node->is_dead && node->source < t->source_count && t->line_of[node->source] == 0 &&
            !t->is_after[node->source]) {
            FER_TRY(line_new(t, source, node));
        }
    }
    if (t->spec != NULL) {
        FER_TRY(placed_fill(t, partition));
    }
    return lines_settle(t->build, first, t->source_count);
}

fer_status feri_report(feri_build *build,
                       const fer_graph *source,
                       const fer_graph *after,
                       const feri_spec *spec,
                       const feri_partition *partition) {
    telling t = {build, spec, source->root->source_count, NULL, NULL};
    uint64_t bytes = feri_mul_sat(t.source_count, sizeof(uint32_t) + 1);
    t.line_of = feri_alloc(build->env, bytes);
    if (t.line_of == NULL) {
        return feri_error_status();
    }
    t.is_after = (uint8_t *)(t.line_of + t.source_count);
    pthread_mutex_lock(&build->lock);
    uint32_t before = build->line_count;
    fer_status status = lines_fill(&t, source, after, partition);
    if (status != FER_OK) {
        build->line_count = before; /* the next try tells it whole */
    }
    pthread_mutex_unlock(&build->lock);
    feri_free(build->env, t.line_of, bytes);
    return status;
}
