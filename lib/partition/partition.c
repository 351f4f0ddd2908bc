/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims, placement and region growing. Regions: a node's depth is the number of device changes on
 * the longest way to it; nodes of one device and depth form a region, which is convex, and regions
 * ordered by depth have no cycle.
 */
#include "partition/partition.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

typedef struct placing {
    const fer_graph *graph;
    const feri_policy *policy;
    feri_session *const *sessions;
    feri_bump *bump;
    feri_partition *partition;
    fer_support *supports; /* per device: per node of the claimable view */
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

static fer_support *support_of(const placing *p, uint32_t device, uint32_t view_node) {
    return &p->supports[(uint64_t)device * p->view.graph.node_count + view_node];
}

static fer_status device_claim(placing *p, uint32_t device) {
    uint32_t count = p->view.graph.node_count;
    fer_support *supports = support_of(p, device, 0);
    feri_session *session = p->sessions[device];
    for (uint32_t i = 0; i < count; i++) {
        supports[i].struct_size = sizeof(fer_support);
        if (session == NULL) {
            static const char lost[] = "the device is lost";
            memcpy(supports[i].reason, lost, sizeof(lost));
        }
    }
    if (session == NULL) {
        return FER_OK;
    }
    const feri_tables *tables = &session->device->backend->tables;
    const fer_op_claim *claims = NULL;
    uint32_t claim_count = 0;
    pthread_mutex_lock(&session->device->lock);
    fer_status status = tables->compiler.claim(session->handle, &p->view.graph, supports);
    if (status == FER_OK) {
        status = tables->core.op_claims(session->handle, &claims, &claim_count);
    }
    pthread_mutex_unlock(&session->device->lock);
    FER_TRY(feri_session_status(session, status));
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

static int device_is_named(const placing *p, uint32_t device, const char *name) {
    return feri_device_is_called(p->policy->devices[device], name, strlen(name));
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

/* What the first devices said of a node. */
static fer_status reasons_join(placing *p, feri_placed *placed, uint32_t device_end) {
    feri_text text;
    feri_text_init(&text, p->graph->env);
    for (uint32_t d = 0; d < device_end; d++) {
        const fer_support *support = support_of(p, d, placed->view_index);
        const char *why = support->supported   ? "pinned elsewhere"
                          : support->reason[0] ? support->reason
                                               : "no reason given";
        feri_text_add(&text, "%s%s: %s", d == 0 ? "" : "; ", p->policy->devices[d]->name, why);
    }
    fer_status status = text.status;
    if (status == FER_OK && text.length > 0) {
        placed->reason = feri_bump_strndup(p->bump, text.data, text.length);
        status = placed->reason == NULL ? feri_error_status() : FER_OK;
    }
    feri_text_finish(&text);
    return status;
}

/* Why a node may not run where it could: the policy, unless a device it may use is lost. */
static fer_status place_status(const placing *p, uint32_t device_end, const fer_pin *pin) {
    for (uint32_t d = 0; d < device_end; d++) {
        if (p->sessions[d] == NULL && (pin == NULL || device_is_named(p, d, pin->device))) {
            return FER_DEVICE_LOST;
        }
    }
    return FER_PLACEMENT;
}

/* No device of the policy, or not the one it is pinned to, runs the node. */
static fer_status nobody_error(placing *p, const feri_gnode *node, const char *reason) {
    const fer_pin *pin = pin_of(p->policy, node->name);
    if (pin != NULL) {
        feri_fail(place_status(p, p->policy->device_count, pin),
                  "node '%s' is pinned to %s, which does not run it: %s",
                  node->name,
                  pin->device,
                  reason);
    } else {
        feri_fail(FER_UNSUPPORTED,
                  "no allowed device runs '%s' (node '%s'): %s",
                  feri_op_name(node->op),
                  node->name,
                  reason);
    }
    return feri_error_set_node(node->name);
}

/* The first device that may have the node and takes it; device_count when there is none. */
static uint32_t device_choose(placing *p, const fer_pin *pin, uint32_t view_node) {
    int is_dynamic = node_is_dynamic(p, p->view.graph.nodes[view_node]);
    uint32_t d = 0;
    for (; d < p->policy->device_count; d++) {
        const fer_support *support = support_of(p, d, view_node);
        if (support->supported && (pin == NULL || device_is_named(p, d, pin->device))) {
            p->partition->needs_numbers |= is_dynamic && !support->dynamic_dims;
            break;
        }
    }
    return d;
}

static fer_status node_place(placing *p, uint32_t index) {
    const feri_gnode *node = p->graph->nodes[index];
    feri_placed *placed = &p->partition->nodes[index];
    placed->reason = "";
    placed->device = FERI_ON_HOST;
    if (placed->view_index == UINT32_MAX) {
        return FER_OK;
    }
    placed->work = p->view.graph.nodes[placed->view_index]->work;
    const fer_pin *pin = pin_of(p->policy, node->name);
    uint32_t device = device_choose(p, pin, placed->view_index);
    int is_nobodys = device == p->policy->device_count;
    FER_TRY(reasons_join(p, placed, device));
    placed->device = is_nobodys ? 0 : (int32_t)device;
    if (node->op->expansion != 0 &&
        (is_nobodys || (device > 0 && pin == NULL && p->policy->fallback == FER_FALLBACK_ERROR))) {
        placed->expands = p->partition->needs_expansion = 1;
        return FER_OK;
    }
    return is_nobodys ? nobody_error(p, node, placed->reason) : FER_OK;
}

static fer_status fallback_check(placing *p) {
    if (p->policy->fallback != FER_FALLBACK_ERROR) {
        return FER_OK;
    }
    for (uint32_t i = 0; i < p->graph->node_count; i++) {
        const feri_gnode *node = p->graph->nodes[i];
        const feri_placed *placed = &p->partition->nodes[i];
        if (placed->device > 0 && pin_of(p->policy, node->name) == NULL) {
            feri_fail(place_status(p, (uint32_t)placed->device, NULL),
                      "'%s' (node '%s') would fall back to %s: %s; allow fallback or pin the node",
                      feri_op_name(node->op),
                      node->name,
                      p->policy->devices[placed->device]->name,
                      placed->reason);
            return feri_error_set_node(node->name);
        }
    }
    return FER_OK;
}

static fer_status shares_check(placing *p) {
    for (uint32_t s = 0; s < p->policy->share_count; s++) {
        const fer_share *share = &p->policy->shares[s];
        double total = 0, have = 0;
        for (uint32_t i = 0; i < p->graph->node_count; i++) {
            const feri_placed *placed = &p->partition->nodes[i];
            if (placed->device != FERI_ON_HOST) {
                double work = placed->work > 0 ? placed->work : 1;
                total += work;
                have += device_is_named(p, (uint32_t)placed->device, share->device) ? work : 0;
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
    uint64_t place; /* depth, and in the low half device + 1: what a region's nodes share */
    uint32_t node;
    uint32_t alone; /* nodes that must be regions of their own */
} sort_key;

static int by_place(const void *a, const void *b) {
    const sort_key *x = a, *y = b;
    if (x->place != y->place) {
        return x->place < y->place ? -1 : 1;
    }
    return x->node < y->node ? -1 : x->node > y->node;
}

static int device_is_per_op(const placing *p, int32_t device) {
    return (p->policy->devices[device]->backend->module.flags & FER_MODULE_PER_OP) != 0;
}

static fer_status places_fill(placing *p, sort_key *keys) {
    const fer_graph *graph = p->graph;
    /* Per value: the key of the node that makes it. */
    const sort_key **made_by = FERI_BUMP_ARRAY(p->bump, const sort_key *, graph->value_count);
    if (made_by == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const feri_gnode *node = graph->nodes[i];
        int32_t device = p->partition->nodes[i].device;
        uint32_t alone = device == FERI_ON_HOST || device_is_per_op(p, device);
        uint32_t low = (uint32_t)(device + 1);
        uint64_t depth = 0;
        for (uint32_t k = 0; k < node->input_count; k++) {
            fer_value_id id = node->inputs[k];
            if (id != FER_NO_VALUE && made_by[id] != NULL) {
                uint64_t place = made_by[id]->place;
                uint64_t at = (place >> 32) + ((uint32_t)place != low || alone);
                depth = at > depth ? at : depth;
            }
        }
        keys[i] = (sort_key){depth << 32 | low, i, alone};
        for (uint32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] != FER_NO_VALUE) {
                made_by[node->outputs[k]] = &keys[i];
            }
        }
    }
    return FER_OK;
}

static fer_status regions_grow(placing *p) {
    uint32_t count = p->graph->node_count;
    sort_key *keys = FERI_BUMP_ARRAY(p->bump, sort_key, count);
    uint32_t *order = FERI_BUMP_ARRAY(p->bump, uint32_t, count);
    feri_region *regions = FERI_BUMP_ARRAY(p->bump, feri_region, count);
    if (keys == NULL || order == NULL || regions == NULL) {
        return feri_error_status();
    }
    FER_TRY(places_fill(p, keys));
    qsort(keys, count, sizeof(*keys), by_place);
    uint32_t region_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        order[i] = keys[i].node;
        if (i == 0 || keys[i].place != keys[i - 1].place || keys[i].alone) {
            int32_t device = p->partition->nodes[order[i]].device;
            regions[region_count++] = (feri_region){device, 0, &order[i]};
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
    uint32_t *scratch = FERI_BUMP_ARRAY(p->bump, uint32_t, p->graph->value_count);
    p->partition->nodes = FERI_BUMP_ARRAY(p->bump, feri_placed, count);
    if (nodes == NULL || scratch == NULL || p->partition->nodes == NULL) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < count; i++) {
        const feri_gnode *node = p->graph->nodes[i];
        uint32_t *index = &p->partition->nodes[i].view_index;
        *index = UINT32_MAX;
        if (!node->host_only && !feri_node_is_host(p->graph, node)) {
            *index = kept;
            nodes[kept++] = i;
        }
    }
    FER_TRY(feri_view_build(p->graph, scratch, nodes, kept, p->bump, &p->view));
    uint64_t supports = (uint64_t)p->policy->device_count * kept; /* no overflow: 32 bits each */
    p->supports = FERI_BUMP_ARRAY(p->bump, fer_support, supports);
    return p->supports == NULL ? feri_error_status() : FER_OK;
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
    for (uint32_t d = 0; d < policy->device_count; d++) {
        FER_TRY(device_claim(&p, d));
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        FER_TRY(node_place(&p, i));
    }
    if (out_partition->needs_expansion || out_partition->needs_numbers) {
        return FER_OK;
    }
    FER_TRY(fallback_check(&p));
    FER_TRY(shares_check(&p));
    return regions_grow(&p);
}
