/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims, placement and region growing. Regions: a node's depth is the number of device changes on
 * the longest way to it; nodes of one device and depth form a region, which is convex, and regions
 * ordered by depth have no cycle.
 */
#include "partition/partition.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct placing {
    const fer_graph *graph;
    const feri_policy *policy;
    feri_session *const *sessions;
    feri_bump *bump;
    feri_partition *partition;
    fer_support **supports; /* per device: per node of the claimable view */
    uint32_t *view_index;   /* per node: index in the view, UINT32_MAX for host nodes */
    feri_view view;
} placing;

int feri_node_is_host(const fer_graph *graph, const feri_gnode *node) {
    if ((node->op->flags & (FERI_OP_CONTROL | FERI_OP_HOST)) != 0) {
        return 1;
    }
    for (uint32_t i = 0; i < node->input_count + node->output_count; i++) {
        fer_value_id id =
            i < node->input_count ? node->inputs[i] : node->outputs[i - node->input_count];
        if (id != FER_NO_VALUE) {
            const feri_fact *fact = &graph->values[id].fact;
            if ((fact->kind != 0 && fact->kind != FER_KIND_TENSOR) || fact->dtype == FER_STRING) {
                return 1;
            }
        }
    }
    return 0;
}

/* ---- claims ---- */

static fer_status device_claim(placing *p, uint32_t device) {
    uint32_t count = p->view.graph.node_count;
    fer_support *supports = FERI_BUMP_ARRAY(p->bump, fer_support, count);
    if (supports == NULL) {
        return fer_error_last()->status;
    }
    p->supports[device] = supports;
    for (uint32_t i = 0; i < count; i++) {
        supports[i].struct_size = sizeof(fer_support);
    }
    feri_session *session = p->sessions[device];
    if (session == NULL) {
        for (uint32_t i = 0; i < count; i++) {
            snprintf(supports[i].reason, sizeof(supports[i].reason), "the device is lost");
        }
        return FER_OK;
    }
    feri_backend *backend = session->device->backend;
    FER_TRY(feri_session_status(
        session, backend->compiler.claim(session->handle, &p->view.graph, supports)));
    const fer_op_claim *claims = NULL;
    uint32_t claim_count = 0;
    FER_TRY(feri_session_status(session,
                                backend->core.op_claims(session->handle, &claims, &claim_count)));
    for (uint32_t i = 0; i < count; i++) {
        supports[i].reason[sizeof(supports[i].reason) - 1] = 0;
        feri_claims_refuse(claims, claim_count, p->view.graph.nodes[i], &supports[i]);
    }
    return FER_OK;
}

/* ---- placement ---- */

static int pin_matches(const char *pattern, const char *name) {
    size_t length = strlen(pattern);
    if (length > 0 && pattern[length - 1] == '*') {
        return strncmp(pattern, name, length - 1) == 0;
    }
    return strcmp(pattern, name) == 0;
}

static int device_is_named(const fer_device *device, const char *name) {
    return feri_device_is_called(device, name, strlen(name));
}

static const fer_pin *pin_of(const feri_policy *policy, const char *node_name) {
    for (uint32_t i = 0; i < policy->pin_count; i++) {
        if (pin_matches(policy->pins[i].node, node_name)) {
            return &policy->pins[i];
        }
    }
    return NULL;
}

static int node_is_dynamic(const placing *p, const fer_node_view *node) {
    for (uint32_t i = 0; i < node->input_count + node->output_count; i++) {
        uint32_t index =
            i < node->input_count ? node->inputs[i] : node->outputs[i - node->input_count];
        if (index == FER_NO_VALUE) {
            continue;
        }
        const fer_value_view *value = p->view.graph.values[index];
        if ((value->flags & FER_VALUE_HOST) != 0) {
            return 1;
        }
        for (uint32_t k = 0; k < value->rank; k++) {
            if (value->dims[k].value < 0 && (value->flags & FER_VALUE_DATA_DEPENDENT) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

static fer_status reasons_join(placing *p, uint32_t node, uint32_t view_node, uint32_t device_end) {
    feri_text text;
    feri_text_init(&text, p->graph->env);
    for (uint32_t d = 0; d < device_end; d++) {
        const fer_support *support = &p->supports[d][view_node];
        const char *why = support->supported   ? "pinned elsewhere"
                          : support->reason[0] ? support->reason
                                               : "no reason given";
        feri_text_add(&text, "%s%s: %s", d == 0 ? "" : "; ", p->policy->devices[d]->name, why);
    }
    fer_status status = text.status;
    if (status == FER_OK && text.length > 0) {
        p->partition->reasons[node] = feri_bump_strndup(p->bump, text.data, text.length);
        status = p->partition->reasons[node] == NULL ? fer_error_last()->status : FER_OK;
    }
    feri_text_finish(&text);
    return status;
}

static fer_status nobody_error(placing *p, const feri_gnode *node, uint32_t index) {
    fer_status status = feri_fail(FER_UNSUPPORTED,
                                  "no allowed device runs '%s' (node '%s'): %s",
                                  feri_op_name(node->op),
                                  node->name,
                                  p->partition->reasons[index]);
    feri_error_set_node(node->name);
    return status;
}

/* Why a node may not run where it could: the policy, unless a device it may use is lost. */
static fer_status place_status(const placing *p, uint32_t device_end, const fer_pin *pin) {
    for (uint32_t d = 0; d < device_end; d++) {
        if (p->sessions[d] == NULL &&
            (pin == NULL || device_is_named(p->policy->devices[d], pin->device))) {
            return FER_DEVICE_LOST;
        }
    }
    return FER_PLACEMENT;
}

static fer_status node_place(placing *p, uint32_t index) {
    const feri_gnode *node = p->graph->nodes[index];
    uint32_t v = p->view_index[index];
    if (v == UINT32_MAX) {
        p->partition->device_of[index] = FERI_ON_HOST;
        return FER_OK;
    }
    const fer_node_view *view = p->view.graph.nodes[v];
    p->partition->work[index] = view->work;
    int is_dynamic = node_is_dynamic(p, view);
    const fer_pin *pin = pin_of(p->policy, node->name);
    int refused_first = 0;
    for (uint32_t d = 0; d < p->policy->device_count; d++) {
        const fer_support *support = &p->supports[d][v];
        if (pin != NULL && !device_is_named(p->policy->devices[d], pin->device)) {
            continue;
        }
        if (support->supported && is_dynamic && !support->dynamic_dims) {
            p->partition->needs_numbers = 1;
        }
        if (support->supported) {
            p->partition->device_of[index] = (int32_t)d;
            FER_TRY(reasons_join(p, index, v, d));
            refused_first = d > 0 && pin == NULL;
            if (refused_first && node->op->expansion != 0 &&
                p->policy->fallback == FER_FALLBACK_ERROR) {
                p->partition->expand_nodes[index] = p->partition->needs_expansion = 1;
            }
            return FER_OK;
        }
    }
    FER_TRY(reasons_join(p, index, v, p->policy->device_count));
    if (node->op->expansion != 0) {
        p->partition->expand_nodes[index] = p->partition->needs_expansion = 1;
        p->partition->device_of[index] = 0;
        return FER_OK;
    }
    if (pin != NULL) {
        fer_status status = feri_fail(place_status(p, p->policy->device_count, pin),
                                      "node '%s' is pinned to %s, which does not run it: %s",
                                      node->name,
                                      pin->device,
                                      p->partition->reasons[index]);
        feri_error_set_node(node->name);
        return status;
    }
    return nobody_error(p, node, index);
}

static fer_status fallback_check(placing *p) {
    if (p->policy->fallback != FER_FALLBACK_ERROR) {
        return FER_OK;
    }
    for (uint32_t i = 0; i < p->graph->node_count; i++) {
        const feri_gnode *node = p->graph->nodes[i];
        if (p->partition->device_of[i] > 0 && pin_of(p->policy, node->name) == NULL) {
            fer_status status = feri_fail(
                place_status(p, (uint32_t)p->partition->device_of[i], NULL),
                "'%s' (node '%s') would fall back to %s: %s; allow fallback or pin the node",
                feri_op_name(node->op),
                node->name,
                p->policy->devices[p->partition->device_of[i]]->name,
                p->partition->reasons[i]);
            feri_error_set_node(node->name);
            return status;
        }
    }
    return FER_OK;
}

static fer_status shares_check(placing *p) {
    for (uint32_t s = 0; s < p->policy->share_count; s++) {
        const fer_share *share = &p->policy->shares[s];
        double total = 0, have = 0;
        for (uint32_t i = 0; i < p->graph->node_count; i++) {
            int32_t device = p->partition->device_of[i];
            if (device != FERI_ON_HOST) {
                double work = p->partition->work[i] > 0 ? p->partition->work[i] : 1;
                total += work;
                have += device_is_named(p->policy->devices[device], share->device) ? work : 0;
            }
        }
        double percent = total > 0 ? 100.0 * have / total : 100.0;
        if (percent < share->percent) {
            return feri_fail(FER_PLACEMENT,
                             "%s gets %d.%d %% of the estimated work, %d.%d %% are required",
                             share->device,
                             (int)percent,
                             (int)(percent * 10) % 10,
                             (int)share->percent,
                             (int)(share->percent * 10) % 10);
        }
    }
    return FER_OK;
}

/* ---- regions ---- */

typedef struct sort_key {
    uint32_t depth;
    int32_t device;
    uint32_t node;
    uint32_t alone; /* nodes that must be regions of their own */
} sort_key;

static int by_depth(const void *a, const void *b) {
    const sort_key *x = a, *y = b;
    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    if (x->device != y->device) {
        return x->device < y->device ? -1 : 1;
    }
    return x->node < y->node ? -1 : x->node > y->node;
}

static fer_status depths_fill(placing *p, sort_key *keys) {
    const fer_graph *graph = p->graph;
    uint64_t bytes = feri_mul_sat(graph->value_count, 2 * sizeof(uint32_t));
    uint32_t *depth_of = feri_alloc(graph->env, bytes); /* per value: depth of its node */
    if (depth_of == NULL) {
        return fer_error_last()->status;
    }
    int32_t *made_on =
        (int32_t *)(depth_of + graph->value_count); /* device + 2, 0 for what no node makes */
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const feri_gnode *node = graph->nodes[i];
        int32_t device = p->partition->device_of[i];
        int per_op = device != FERI_ON_HOST &&
                     (p->policy->devices[device]->backend->module.flags & FER_MODULE_PER_OP) != 0;
        int alone = device == FERI_ON_HOST || per_op;
        uint32_t depth = 0;
        for (uint32_t k = 0; k < node->input_count; k++) {
            fer_value_id id = node->inputs[k];
            if (id != FER_NO_VALUE && made_on[id] != 0) {
                uint32_t at = depth_of[id] + (made_on[id] != device + 2 || alone);
                depth = at > depth ? at : depth;
            }
        }
        keys[i] = (sort_key){depth, device, i, (uint32_t)alone};
        for (uint32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] != FER_NO_VALUE) {
                depth_of[node->outputs[k]] = depth;
                made_on[node->outputs[k]] = device + 2;
            }
        }
    }
    feri_free(graph->env, depth_of, bytes);
    return FER_OK;
}

static fer_status regions_grow(placing *p) {
    uint32_t count = p->graph->node_count;
    sort_key *keys = FERI_BUMP_ARRAY(p->bump, sort_key, count);
    uint32_t *order = FERI_BUMP_ARRAY(p->bump, uint32_t, count);
    feri_region *regions = FERI_BUMP_ARRAY(p->bump, feri_region, count);
    if (keys == NULL || order == NULL || regions == NULL) {
        return fer_error_last()->status;
    }
    FER_TRY(depths_fill(p, keys));
    qsort(keys, count, sizeof(*keys), by_depth);
    uint32_t region_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        order[i] = keys[i].node;
        int starts = i == 0 || keys[i].depth != keys[i - 1].depth ||
                     keys[i].device != keys[i - 1].device || keys[i].alone;
        if (starts) {
            regions[region_count++] = (feri_region){keys[i].device, keys[i].depth, &order[i], 0};
        }
        regions[region_count - 1].node_count++;
    }
    p->partition->regions = regions;
    p->partition->region_count = region_count;
    return FER_OK;
}

/* ---- the whole ---- */

static fer_status claimable_view(placing *p) {
    uint32_t count = p->graph->node_count, kept = 0;
    uint32_t *nodes = FERI_BUMP_ARRAY(p->bump, uint32_t, count);
    p->view_index = FERI_BUMP_ARRAY(p->bump, uint32_t, count);
    if (nodes == NULL || p->view_index == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t i = 0; i < count; i++) {
        const feri_gnode *node = p->graph->nodes[i];
        p->view_index[i] = node->host_only || feri_node_is_host(p->graph, node) ? UINT32_MAX : kept;
        if (p->view_index[i] != UINT32_MAX) {
            nodes[kept++] = i;
        }
    }
    uint32_t *scratch = FERI_BUMP_ARRAY(p->bump, uint32_t, p->graph->value_count);
    if (scratch == NULL) {
        return fer_error_last()->status;
    }
    return feri_view_build(p->graph, scratch, nodes, kept, p->bump, &p->view);
}

fer_status feri_partition_build(const fer_graph *graph,
                                const feri_policy *policy,
                                feri_session *const *sessions,
                                feri_bump *bump,
                                feri_partition *out_partition) {
    memset(out_partition, 0, sizeof(*out_partition));
    placing p = {.graph = graph,
                 .policy = policy,
                 .sessions = sessions,
                 .bump = bump,
                 .partition = out_partition};
    FER_TRY(claimable_view(&p));
    out_partition->device_of = FERI_BUMP_ARRAY(bump, int32_t, graph->node_count);
    out_partition->reasons = FERI_BUMP_ARRAY(bump, const char *, graph->node_count);
    out_partition->work = FERI_BUMP_ARRAY(bump, double, graph->node_count);
    out_partition->expand_nodes = FERI_BUMP_ARRAY(bump, uint8_t, graph->node_count);
    p.supports = FERI_BUMP_ARRAY(bump, fer_support *, policy->device_count);
    if (out_partition->device_of == NULL || out_partition->reasons == NULL ||
        out_partition->work == NULL || out_partition->expand_nodes == NULL || p.supports == NULL) {
        return fer_error_last()->status;
    }
    for (uint32_t d = 0; d < policy->device_count; d++) {
        FER_TRY(device_claim(&p, d));
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        out_partition->reasons[i] = "";
        FER_TRY(node_place(&p, i));
    }
    if (out_partition->needs_expansion || out_partition->needs_numbers) {
        return FER_OK;
    }
    FER_TRY(fallback_check(&p));
    FER_TRY(shares_check(&p));
    return regions_grow(&p);
}
