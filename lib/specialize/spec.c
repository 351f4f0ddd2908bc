/* SPDX-License-Identifier: Apache-2.0
 *
 * One specialisation: walk, passes, claims, expansions, plan, next segment, bodies.
 */
#include "base/error.h"
#include "specialize/specialize.h"

#include <string.h>

/* Expansions of expansions end well before this; beyond it something expands into itself. */
enum { MAX_EXPANSION_ROUNDS = 32 };
/* The text of the passes keeps the first specialisations: about so many bytes. */
enum { MAX_PASS_REPORT = 256 << 10 };

typedef struct making {
    feri_segment *segment;
    feri_build *build;
    feri_spec *spec;
    feri_session **sessions; /* per policy device, NULL: lost */
    feri_bump scratch;
    feri_partition partition;
} making;

static fer_status sessions_open(making *m) {
    const feri_policy *policy = &m->build->policy;
    m->sessions = FERI_BUMP_ARRAY(&m->scratch, feri_session *, policy->device_count);
    if (m->sessions == NULL) {
        return feri_error_status();
    }
    uint32_t open = 0;
    for (uint32_t i = 0; i < policy->device_count; i++) {
        fer_status status = feri_device_session(policy->devices[i], &m->sessions[i]);
        if (status != FER_OK &&
            (status != FER_DEVICE_LOST || (open == 0 && i + 1 == policy->device_count))) {
            return status;
        }
        open += status == FER_OK;
    }
    return FER_OK;
}

/* After an expansion its shape arithmetic is settled like the walk would have. */
static fer_status expanded_settle(making *m) {
    fer_graph *graph = m->spec->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        feri_gnode *node = graph->nodes[i];
        int undetermined = 0;
        if (node->is_dead || node->host_only) {
            continue;
        }
        FER_TRY(feri_node_settle(graph, node, &undetermined));
        if (undetermined && (node->op->flags & FERI_OP_DATA_DEPENDENT) == 0) {
            if (m->spec->is_symbolic) {
                return FERI_NEEDS_NUMBERS;
            }
            (void)feri_fail(
                FER_UNSUPPORTED,
                "in the expansion of node '%s', the output shape of '%s' cannot be determined",
                node->name,
                feri_op_name(node->op));
            return feri_error_set_node(node->name);
        }
    }
    feri_graph_compact(graph);
    return FER_OK;
}

static fer_status nodes_expand(making *m) {
    fer_graph *graph = m->spec->graph;
    uint32_t count = graph->node_count;
    for (uint32_t i = 0; i < count; i++) {
        if (m->partition.nodes[i].expands) {
            FER_TRY(feri_graph_expand_node(graph, i));
        }
    }
    FER_TRY(feri_graph_sort(graph));
    feri_graph_compact(graph);
    return expanded_settle(m);
}

static fer_status passes_run(making *m) {
    feri_build *build = m->build;
    uint32_t changes = 0;
    pthread_mutex_lock(&build->lock);
    feri_pass_env env = build->passes;
    int is_full = build->pass_report.length > MAX_PASS_REPORT;
    env.report = is_full ? NULL : &build->pass_report;
    if (!is_full) {
        feri_text_add(&build->pass_report, "specialization %u:\n", m->spec->number);
    }
    fer_status status = feri_passes_run(m->spec->graph, &env, &changes);
    build->stats.pass_change_count += changes;
    build->pass_report.status = FER_OK; /* a line that found no memory fails this run, not all */
    pthread_mutex_unlock(&build->lock);
    FER_TRY(status);
    feri_graph_compact(m->spec->graph);
    return FER_OK;
}

static fer_status place(making *m) {
    for (uint32_t round = 0; round < MAX_EXPANSION_ROUNDS; round++) {
        FER_TRY(passes_run(m));
        FER_TRY(feri_partition_build(
            m->spec->graph, &m->build->policy, m->sessions, &m->scratch, &m->partition));
        if (m->partition.needs_numbers && m->spec->is_symbolic) {
            return FERI_NEEDS_NUMBERS;
        }
        if (!m->partition.needs_expansion) {
            return FER_OK;
        }
        FER_TRY(nodes_expand(m));
    }
    return feri_fail(
        FER_LIMIT, "ops expand into each other more than %u times", MAX_EXPANSION_ROUNDS);
}

static void fallbacks_tell(const making *m) {
    const feri_policy *policy = &m->build->policy;
    for (uint32_t i = 0; policy->fallback != FER_FALLBACK_ALLOW && i < m->spec->graph->node_count;
         i++) {
        const feri_placed *placed = &m->partition.nodes[i];
        if (placed->device > 0) {
            const feri_gnode *node = m->spec->graph->nodes[i];
            feri_log(m->build->env,
                     FER_LOG_WARN,
                     "node '%s' (%s) falls back to %s: %s",
                     node->name,
                     feri_op_name(node->op),
                     policy->devices[placed->device]->name,
                     placed->reason);
            feri_notify(m->build->env, FER_NOTICE_FALLBACK, node->name, placed->reason);
        }
    }
}

static fer_status bodies_make(making *m) {
    feri_spec *spec = m->spec;
    spec->body_start = FERI_BUMP_ARRAY(&spec->bump, uint32_t, spec->graph->node_count);
    if (spec->body_start == NULL) {
        return feri_error_status();
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < spec->graph->node_count; i++) {
        spec->body_start[i] = count;
        count += spec->graph->nodes[i]->body_count;
    }
    spec->bodies = FERI_BUMP_ARRAY(&spec->bump, feri_segment *, count);
    if (spec->bodies == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < spec->graph->node_count; i++) {
        const feri_gnode *node = spec->graph->nodes[i];
        for (uint32_t k = 0; k < node->body_count; k++) {
            fer_graph *body = NULL;
            FER_TRY(feri_graph_clone(node->bodies[k], &body));
            FER_TRY(feri_segment_create(m->build, body, &spec->bodies[spec->body_count]));
            spec->body_count++;
        }
    }
    return FER_OK;
}

static fer_status spec_fill(making *m) {
    feri_spec *spec = m->spec;
    feri_build *build = m->build;
    const fer_graph *graph = m->segment->graph;
    fer_graph *later = NULL;
    FER_TRY(feri_walk(graph, spec, &later));
    if (later != NULL) {
        FER_TRY(feri_segment_create(build, later, &spec->next));
    }
    FER_TRY(sessions_open(m));
    FER_TRY(place(m));
    FER_TRY(feri_deadline_check(build->passes.deadline_at, "the model was compiled"));
    FER_TRY(feri_plan_build(spec->graph, &build->policy, m->sessions, &m->partition, &spec->plan));
    FER_TRY(bodies_make(m));
    FER_TRY(feri_report(
        build, graph, spec->next == NULL ? NULL : spec->next->graph, spec, &m->partition));
    fallbacks_tell(m);
    return FER_OK;
}

fer_status
feri_spec_create(feri_segment *segment, fer_graph *now, int is_symbolic, feri_spec **out_spec) {
    feri_build *build = segment->build;
    feri_env *env = build->env;
    feri_spec *spec = feri_alloc(env, sizeof(*spec));
    if (spec == NULL) {
        feri_graph_destroy(now);
        return feri_error_status();
    }
    spec->segment = segment;
    spec->graph = now;
    spec->is_symbolic = (uint8_t)is_symbolic;
    feri_bump_init(&spec->bump, env);
    pthread_mutex_lock(&build->lock);
    spec->number = build->stats.specialization_count;
    pthread_mutex_unlock(&build->lock);
    making m = {.segment = segment, .build = build, .spec = spec};
    feri_bump_init(&m.scratch, env);
    fer_status status = spec_fill(&m);
    for (uint32_t i = 0; m.sessions != NULL && i < build->policy.device_count; i++) {
        feri_session_release(m.sessions[i]);
    }
    feri_bump_finish(&m.scratch);
    if (status != FER_OK) {
        feri_spec_destroy(spec);
        return status == FERI_NEEDS_NUMBERS ? FER_OK : status;
    }
    spec->is_counted = 1;
    pthread_mutex_lock(&build->lock);
    build->stats.specialization_count++;
    build->stats.compile_count += spec->plan->compile_count;
    build->stats.weight_bytes += spec->plan->weight_bytes;
    pthread_mutex_unlock(&build->lock);
    feri_notify(
        env, FER_NOTICE_COMPILED, "specialization", is_symbolic ? "symbolic dims" : "numbers");
    *out_spec = spec;
    return FER_OK;
}

void feri_spec_destroy(feri_spec *spec) {
    feri_build *build = spec->segment->build;
    if (spec->is_counted) {
        pthread_mutex_lock(&build->lock);
        build->stats.weight_bytes -= spec->plan->weight_bytes;
        pthread_mutex_unlock(&build->lock);
    }
    for (uint32_t i = 0; i < spec->body_count; i++) {
        feri_segment_destroy(spec->bodies[i]);
    }
    feri_segment_destroy(spec->next);
    feri_plan_destroy(spec->plan);
    feri_graph_destroy(spec->graph);
    feri_free(build->env, spec->signature, spec->signature_bytes);
    feri_bump_finish(&spec->bump);
    feri_free(build->env, spec, sizeof(*spec));
}
