/* SPDX-License-Identifier: Apache-2.0
 *
 * TreeEnsemble. The trees are attributes that anyone may have written: all lists are checked at
 * bind for length and range, and a walk that takes more steps than there are nodes is a cycle. Each
 * row walks every tree; leaves are put together in f64. Called through the step list.
 */
#include "ref/ref_line.h"
#include "ref/ref_scores.h"

#include <math.h>
#include <string.h>

enum { LEQ, LT, GTE, GT, EQ, NEQ, MEMBER };
enum { AVERAGE, SUM, LEAST, MOST };

typedef struct trees {
    uint64_t nodes, leaves, roots, targets, features, members;
    int64_t aggregate, post;
    const int64_t *feature, *is_leaf[2], *next[2]; /* [0] the false branch */
    const int64_t *tracks_true;                    /* or NULL */
    const int64_t *root, *target;
    feri_ref_tensor mode, split, weight, member;
} trees;

/* An ints attribute of count entries in [0, limit); NULL when it is not. */
static const int64_t *
read_list(feri_ref_call *call, const char *name, uint64_t count, uint64_t limit) {
    const fer_attr *attr = feri_ref_attr(call->node, name);
    if (!attr || attr->type != FER_ATTR_INTS || attr->count != count) {
        return NULL;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (attr->value.ints[i] < 0 || (uint64_t)attr->value.ints[i] >= limit) {
            return NULL;
        }
    }
    return attr->value.ints;
}

/* A tensor attribute; its count, 0 when it is absent or no numbers. */
static uint64_t read_tensor(feri_ref_call *call, const char *name, feri_ref_tensor *out) {
    const fer_attr *attr = feri_ref_attr(call->node, name);
    memset(out, 0, sizeof(*out));
    if (!attr || attr->type != FER_ATTR_TENSOR ||
        fer_tensor_dtype(attr->value.tensor) == FER_STRING) {
        return 0;
    }
    out->dtype = fer_tensor_dtype(attr->value.tensor);
    out->count = fer_tensor_element_count(attr->value.tensor);
    out->data = fer_tensor_data(attr->value.tensor);
    return out->data ? out->count : 0;
}

static int is_allowed(feri_ref_call *call, const trees *p) {
    uint64_t sets = 0, ends = 0;
    for (uint64_t i = 0; i < p->nodes; i++) {
        int64_t mode;
        feri_ref_load_int(call, &p->mode, i, 1, 1, &mode);
        if (mode < LEQ || mode > MEMBER) {
            return 0;
        }
        sets += mode == MEMBER;
        for (int b = 0; b < 2; b++) {
            uint64_t next = (uint64_t)p->next[b][i];
            if (p->is_leaf[b][i] ? next >= p->leaves : next >= p->nodes) {
                return 0;
            }
        }
    }
    for (uint64_t i = 0; i < p->members; i++) {
        double value;
        feri_ref_load_real(call, &p->member, i, 1, 1, &value);
        ends += isnan(value);
    }
    return sets <= ends + 1 || sets == 0;
}

static fer_status bind(feri_ref_call *call) {
    trees *p = call->params;
    const feri_ref_tensor *x = call->in[0], *y = call->out[0];
    const fer_attr *roots = feri_ref_attr(call->node, "tree_roots");
    uint64_t all = UINT32_MAX;
    p->nodes = read_tensor(call, "nodes_modes", &p->mode);
    p->leaves = read_tensor(call, "leaf_weights", &p->weight);
    p->members = read_tensor(call, "membership_values", &p->member);
    p->roots = roots ? roots->count : 0;
    p->aggregate = feri_ref_int(call->node, "aggregate_function", SUM);
    p->post = feri_ref_int(call->node, "post_transform", FERI_REF_RAW);
    if (x->rank < 1 || x->rank > 2 || y->rank != 2 ||
        y->dims[0] != (x->rank == 2 ? x->dims[0] : 1)) {
        return feri_ref_misfit(call, "X must be [rows, features]");
    }
    p->features = (uint64_t)x->dims[x->rank - 1];
    p->targets = (uint64_t)y->dims[1];
    p->feature = read_list(call, "nodes_featureids", p->nodes, p->features);
    p->is_leaf[0] = read_list(call, "nodes_falseleafs", p->nodes, 2);
    p->is_leaf[1] = read_list(call, "nodes_trueleafs", p->nodes, 2);
    p->next[0] = read_list(call, "nodes_falsenodeids", p->nodes, all);
    p->next[1] = read_list(call, "nodes_truenodeids", p->nodes, all);
    p->tracks_true = read_list(call, "nodes_missing_value_tracks_true", p->nodes, 2);
    p->root = read_list(call, "tree_roots", p->roots, p->nodes);
    p->target = read_list(call, "leaf_targetids", p->leaves, p->targets);
    int is_whole = read_tensor(call, "nodes_splits", &p->split) == p->nodes && p->feature &&
                   p->is_leaf[0] && p->is_leaf[1] && p->next[0] && p->next[1] && p->root &&
                   p->target && p->nodes > 0 && p->aggregate >= AVERAGE && p->aggregate <= MOST &&
                   p->post >= FERI_REF_RAW && p->post <= FERI_REF_PROBIT;
    const char *tracks = "nodes_missing_value_tracks_true";
    const fer_attr *given = feri_ref_attr(call->node, tracks);
    if (!is_whole || (given && given->count && !p->tracks_true) || !is_allowed(call, p)) {
        return feri_ref_fail(call,
                             FER_INVALID_MODEL,
                             "the lists that make its trees differ in length or hold an index that "
                             "is out of range (features and targets counted)");
    }
    /* Where each membership node's set starts, then scores and whether there is one, per target. */
    uint64_t starts = p->members ? p->nodes : 0;
    call->scratch_bytes = (starts + 2 * p->targets) * sizeof(uint64_t);
    return FER_OK;
}

/* Sets stand in the order of their nodes, each ended by NaN. */
static fer_status find_sets(feri_ref_call *call, uint64_t *starts) {
    const trees *p = call->params;
    uint64_t at = 0;
    for (uint64_t i = 0; p->members && i < p->nodes; i++) {
        int64_t mode;
        double value = 0;
        feri_ref_load_int(call, &p->mode, i, 1, 1, &mode);
        starts[i] = at;
        while (mode == MEMBER && at < p->members && !isnan(value)) {
            feri_ref_load_real(call, &p->member, at++, 1, 1, &value);
            fer_status status = feri_ref_poll(call, 1);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    return FER_OK;
}

static int is_member(feri_ref_call *call, uint64_t start, double value) {
    const trees *p = call->params;
    for (uint64_t i = start; i < p->members; i++) {
        double member;
        feri_ref_load_real(call, &p->member, i, 1, 1, &member);
        if (isnan(member) || member == value) {
            return member == value;
        }
    }
    return 0;
}

static int is_true(feri_ref_call *call, uint64_t node, double value, const uint64_t *starts) {
    const trees *p = call->params;
    int64_t mode;
    double split;
    feri_ref_load_int(call, &p->mode, node, 1, 1, &mode);
    feri_ref_load_real(call, &p->split, node, 1, 1, &split);
    if (isnan(value)) { /* a missing value, also where the mode is NEQ */
        return p->tracks_true && p->tracks_true[node];
    }
    switch (mode) {
    case LEQ:
        return value <= split;
    case LT:
        return value < split;
    case GTE:
        return value >= split;
    case GT:
        return value > split;
    case EQ:
        return value == split;
    case NEQ:
        return value != split;
    default:
        return p->members && is_member(call, starts[node], value);
    }
}

static fer_status
walk(feri_ref_call *call, uint64_t row, uint64_t root, const uint64_t *starts, uint64_t *out_leaf) {
    const trees *p = call->params;
    uint64_t node = root;
    for (uint64_t steps = 0; steps < p->nodes; steps++) {
        double value;
        feri_ref_load_real(
            call, call->in[0], row * p->features + (uint64_t)p->feature[node], 1, 1, &value);
        int branch = is_true(call, node, value, starts);
        int ends = p->is_leaf[branch][node] != 0;
        node = (uint64_t)p->next[branch][node];
        fer_status status = feri_ref_poll(call, 4);
        if (status != FER_OK) {
            return status;
        }
        if (ends) {
            *out_leaf = node;
            return FER_OK;
        }
    }
    return feri_ref_fail(call, FER_INVALID_MODEL, "its nodes form a cycle");
}

static fer_status score_row(
    feri_ref_call *call, uint64_t row, const uint64_t *starts, double *scores, double *counts) {
    const trees *p = call->params;
    for (uint64_t t = 0; t < p->targets; t++) {
        scores[t] = counts[t] = 0;
    }
    for (uint64_t r = 0; r < p->roots; r++) {
        uint64_t leaf = 0;
        double weight;
        fer_status status = walk(call, row, (uint64_t)p->root[r], starts, &leaf);
        if (status != FER_OK) {
            return status;
        }
        feri_ref_load_real(call, &p->weight, leaf, 1, 1, &weight);
        double *score = &scores[p->target[leaf]], *count = &counts[p->target[leaf]];
        if (p->aggregate == LEAST || p->aggregate == MOST) {
            int wins = p->aggregate == LEAST ? weight < *score : weight > *score;
            *score = *count == 0 || wins ? weight : *score;
        } else {
            *score += p->aggregate == AVERAGE ? weight / (double)p->roots : weight;
        }
        *count = 1;
    }
    feri_ref_transform_scores(p->post, p->targets, scores);
    feri_ref_store_real(call, call->out[0], row * p->targets, 1, p->targets, scores);
    return feri_ref_poll(call, p->targets);
}

static fer_status run(feri_ref_call *call) {
    const trees *p = call->params;
    uint64_t *starts = call->scratch;
    double *scores = (double *)call->scratch + (p->members ? p->nodes : 0);
    fer_status status = find_sets(call, starts);
    for (uint64_t row = 0; status == FER_OK && row < (uint64_t)call->out[0]->dims[0]; row++) {
        status = score_row(call, row, starts, scores, scores + p->targets);
    }
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_trees[] = {
    FERI_REF_KERNEL(ml_TreeEnsemble, 5, .run = run, .bind = bind, .params_bytes = sizeof(trees))
    FERI_REF_END
};
/* clang-format on */
