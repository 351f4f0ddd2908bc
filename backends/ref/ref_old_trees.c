/* SPDX-License-Identifier: Apache-2.0
 *
 * TreeEnsembleClassifier and TreeEnsembleRegressor, the older form of TreeEnsemble: nodes and votes
 * named by (tree, node), leaves with any number of votes. Each run turns the lists into nodes that
 * name each other by index, checks them, and walks from every node that is nobody's child; a walk
 * longer than the list is a cycle. Two classes are scored as ONNX Runtime does. Called through the
 * step list.
 */
#include "ref/ref_line.h"
#include "ref/ref_scores.h"

#include <math.h>
#include <string.h>

enum { LEQ, LT, GTE, GT, EQ, NEQ, LEAF };
enum { AVERAGE, SUM, LEAST, MOST };
#define NOBODY UINT32_MAX

typedef struct tree_node {
    double value;
    uint32_t next[2]; /* [0] the false branch */
    uint32_t votes, vote_count;
    uint32_t feature;
    uint8_t mode;
    uint8_t tracks_true;
    uint8_t is_child;
} tree_node;

/* Numbers from a list of floats or a tensor. */
typedef struct numbers {
    uint64_t count;
    const float *floats;
    feri_ref_tensor tensor;
} numbers;

typedef struct forest {
    uint64_t nodes, votes, features, targets;
    const int64_t *tree, *node, *feature, *next[2], *tracks_true;
    const int64_t *vote_tree, *vote_node, *vote_target;
    const fer_string *mode;
    numbers value, weight, base;
    int is_classifier, are_positive, is_single;
    int64_t aggregate;
    const int64_t *labels; /* or NULL: class numbers */
} forest;

/* What a run works on, in scratch. */
typedef struct grove {
    tree_node *nodes;
    uint32_t *by_name, *votes_by_name;
    double *scores, *counts;
    uint64_t roots;
} grove;

static const fer_attr *list(feri_ref_call *call, const char *name, int32_t type) {
    const fer_attr *attr = feri_ref_attr(call->node, name);
    return attr && attr->type == type && attr->count > 0 ? attr : NULL;
}

static const int64_t *ints(feri_ref_call *call, const char *name, uint64_t count) {
    const fer_attr *attr = list(call, name, FER_ATTR_INTS);
    return attr && attr->count == count ? attr->value.ints : NULL;
}

static void read_numbers(feri_ref_call *call, const char *name, const char *tensor, numbers *out) {
    const fer_attr *attr = list(call, name, FER_ATTR_FLOATS);
    const fer_attr *given = feri_ref_attr(call->node, tensor);
    memset(out, 0, sizeof(*out));
    if (attr) {
        out->floats = attr->value.floats;
        out->count = attr->count;
    } else if (given && given->type == FER_ATTR_TENSOR &&
               feri_ref_is_float(fer_tensor_dtype(given->value.tensor))) {
        out->tensor.dtype = fer_tensor_dtype(given->value.tensor);
        out->tensor.data = fer_tensor_data(given->value.tensor);
        out->count = out->tensor.data ? fer_tensor_element_count(given->value.tensor) : 0;
    }
}

static double number_at(feri_ref_call *call, const numbers *n, uint64_t i) {
    double value = 0;
    if (n->floats) {
        return (double)n->floats[i];
    }
    feri_ref_load_real(call, &n->tensor, i, 1, 1, &value);
    return value;
}

static fer_status wrong(feri_ref_call *call, const char *what) {
    return feri_ref_fail(call, FER_INVALID_MODEL, what);
}

static fer_status bind(feri_ref_call *call) {
    forest *p = call->params;
    const feri_ref_tensor *x = call->in[0];
    p->is_classifier = call->node->op == FER_OP_ml_TreeEnsembleClassifier;
    const char *prefix[2][4] = {
        {"target_treeids", "target_nodeids", "target_ids", "target_weights"},
        {"class_treeids",  "class_nodeids",  "class_ids",  "class_weights" }
    };
    const char *const *names = prefix[p->is_classifier];
    const fer_attr *trees = list(call, "nodes_treeids", FER_ATTR_INTS);
    const fer_attr *modes = list(call, "nodes_modes", FER_ATTR_STRINGS);
    const fer_attr *votes = list(call, names[0], FER_ATTR_INTS);
    p->nodes = trees ? trees->count : 0;
    p->votes = votes ? votes->count : 0;
    p->mode = modes && modes->count == p->nodes ? modes->value.strings : NULL;
    p->tree = ints(call, "nodes_treeids", p->nodes);
    p->node = ints(call, "nodes_nodeids", p->nodes);
    p->feature = ints(call, "nodes_featureids", p->nodes);
    p->next[0] = ints(call, "nodes_falsenodeids", p->nodes);
    p->next[1] = ints(call, "nodes_truenodeids", p->nodes);
    p->tracks_true = ints(call, "nodes_missing_value_tracks_true", p->nodes);
    p->vote_tree = ints(call, names[0], p->votes);
    p->vote_node = ints(call, names[1], p->votes);
    p->vote_target = ints(call, names[2], p->votes);
    read_numbers(call, "nodes_values", "nodes_values_as_tensor", &p->value);
    read_numbers(call,
                 names[3],
                 p->is_classifier ? "class_weights_as_tensor" : "target_weights_as_tensor",
                 &p->weight);
    read_numbers(call, "base_values", "base_values_as_tensor", &p->base);
    if (x->rank < 1 || x->rank > 2 || !p->mode || !p->node || !p->feature || !p->next[0] ||
        !p->next[1] || !p->vote_node || !p->vote_target || p->value.count != p->nodes ||
        p->weight.count != p->votes || p->nodes >= NOBODY || p->votes >= NOBODY) {
        return wrong(call, "the lists that make its trees are missing or differ in length");
    }
    p->features = (uint64_t)x->dims[x->rank - 1];
    return FER_OK;
}

/* Attributes of the results: how many scores, labels, how votes are put together. */
static fer_status bind_scores(feri_ref_call *call) {
    static const char *const ways[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    forest *p = call->params;
    fer_status status = bind(call);
    if (status != FER_OK) {
        return status;
    }
    const feri_ref_tensor *scores = feri_ref_output(call, p->is_classifier ? 1 : 0);
    const fer_attr *labels = list(call, "classlabels_int64s", FER_ATTR_INTS);
    int64_t count = p->is_classifier ? (labels ? (int64_t)labels->count : 0)
                                     : feri_ref_int(call->node, "n_targets", 1);
    count = count < 1 && scores ? scores->dims[1] : count;
    p->labels = labels ? labels->value.ints : NULL;
    p->aggregate = SUM;
    for (int64_t i = 0; i < 4; i++) {
        p->aggregate =
            feri_ref_string_is(call->node, "aggregate_function", "SUM", ways[i]) ? i : p->aggregate;
    }
    if (count < 1 || (scores && (scores->rank != 2 || scores->dims[1] != count)) ||
        (p->base.count > 1 && p->base.count != (uint64_t)count)) {
        return wrong(call, "labels, n_targets and base_values do not fit the result");
    }
    p->targets = (uint64_t)count;
    p->are_positive = p->is_single = 1;
    for (uint64_t i = 0; i < p->votes; i++) {
        if (p->vote_target[i] < 0 || p->vote_target[i] >= count) {
            return wrong(call, "a vote is for a class or target that does not exist");
        }
        p->are_positive &= number_at(call, &p->weight, i) >= 0;
        p->is_single &= p->vote_target[i] == p->vote_target[0];
    }
    call->scratch_bytes = p->nodes * sizeof(tree_node) + 2 * p->targets * sizeof(double) +
                          (p->nodes + p->votes) * sizeof(uint32_t);
    return FER_OK;
}

/* ---- names ---- */

typedef struct pairs {
    const int64_t *tree, *node;
} pairs;

static int precedes(const pairs *p, uint32_t a, int64_t tree, int64_t node) {
    return p->tree[a] != tree ? p->tree[a] < tree : p->node[a] < node;
}

/* Heap sort; equal names keep no order. */
static fer_status sort_names(feri_ref_call *call, const pairs *p, uint32_t *order, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
    }
    for (uint64_t step = 0; count > 1 && step < count / 2 + count - 1; step++) {
        uint64_t root = step < count / 2 ? count / 2 - 1 - step : 0;
        uint64_t end = step < count / 2 ? count : count - 1 - (step - count / 2);
        if (step >= count / 2) {
            uint32_t held = order[0];
            order[0] = order[end];
            order[end] = held;
        }
        for (uint64_t child = 2 * root + 1; child < end; child = 2 * root + 1) {
            if (child + 1 < end &&
                precedes(p, order[child], p->tree[order[child + 1]], p->node[order[child + 1]])) {
                child++;
            }
            if (!precedes(p, order[root], p->tree[order[child]], p->node[order[child]])) {
                break;
            }
            uint32_t held = order[root];
            order[root] = order[child];
            order[child] = held;
            root = child;
        }
        fer_status status = feri_ref_poll(call, 32);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* The first place in order that does not precede the name. */
static uint64_t
find_name(const pairs *p, const uint32_t *order, uint64_t count, int64_t tree, int64_t node) {
    uint64_t low = 0, high = count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (precedes(p, order[middle], tree, node)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int is_name(const pairs *p,
                   const uint32_t *order,
                   uint64_t count,
                   uint64_t at,
                   int64_t tree,
                   int64_t node) {
    return at < count && p->tree[order[at]] == tree && p->node[order[at]] == node;
}

/* ---- nodes ---- */

static fer_status make_node(feri_ref_call *call, grove *g, uint64_t i) {
    static const char *const modes[] = {
        "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "LEAF"};
    const forest *p = call->params;
    const pairs names = {p->tree, p->node}, votes = {p->vote_tree, p->vote_node};
    tree_node *n = &g->nodes[i];
    n->value = number_at(call, &p->value, i);
    n->tracks_true = p->tracks_true && p->tracks_true[i] != 0;
    n->mode = UINT8_MAX;
    for (uint8_t m = 0; m <= LEAF; m++) {
        const char *text = p->mode[i].data ? p->mode[i].data : "";
        n->mode = strcmp(text, modes[m]) == 0 ? m : n->mode;
    }
    if (n->mode == LEAF) {
        uint64_t at = find_name(&votes, g->votes_by_name, p->votes, p->tree[i], p->node[i]);
        n->votes = (uint32_t)at;
        while (is_name(&votes, g->votes_by_name, p->votes, at, p->tree[i], p->node[i])) {
            at++;
        }
        n->vote_count = (uint32_t)at - n->votes;
        return FER_OK;
    }
    if (n->mode > LEAF || p->feature[i] < 0 || (uint64_t)p->feature[i] >= p->features) {
        return wrong(call, "a node's mode is not known, or its feature does not exist");
    }
    n->feature = (uint32_t)p->feature[i];
    for (int b = 0; b < 2; b++) {
        uint64_t at = find_name(&names, g->by_name, p->nodes, p->tree[i], p->next[b][i]);
        if (!is_name(&names, g->by_name, p->nodes, at, p->tree[i], p->next[b][i])) {
            return wrong(call, "a node names a child that does not exist");
        }
        n->next[b] = g->by_name[at];
        g->nodes[n->next[b]].is_child = 1;
    }
    return FER_OK;
}

static fer_status grow(feri_ref_call *call, grove *g) {
    const forest *p = call->params;
    const pairs names = {p->tree, p->node}, votes = {p->vote_tree, p->vote_node};
    g->nodes = call->scratch;
    g->scores = (double *)(void *)(g->nodes + p->nodes);
    g->counts = g->scores + p->targets;
    g->by_name = (uint32_t *)(void *)(g->counts + p->targets);
    g->votes_by_name = g->by_name + p->nodes;
    g->roots = 0;
    memset(g->nodes, 0, p->nodes * sizeof(tree_node));
    fer_status status = sort_names(call, &names, g->by_name, p->nodes);
    status = status ? status : sort_names(call, &votes, g->votes_by_name, p->votes);
    for (uint64_t i = 0; status == FER_OK && i < p->nodes; i++) {
        status = make_node(call, g, i);
        status = status ? status : feri_ref_poll(call, 64);
    }
    for (uint64_t i = 0; status == FER_OK && i < p->nodes; i++) {
        g->roots += !g->nodes[i].is_child;
    }
    return status;
}

static int goes_true(const tree_node *n, double x) {
    if (isnan(x)) {
        return n->tracks_true;
    }
    switch (n->mode) {
    case LEQ:
        return x <= n->value;
    case LT:
        return x < n->value;
    case GTE:
        return x >= n->value;
    case GT:
        return x > n->value;
    case EQ:
        return x == n->value;
    default:
        return x != n->value;
    }
}

static fer_status add_tree(feri_ref_call *call, const grove *g, uint64_t row, const tree_node *n) {
    const forest *p = call->params;
    for (uint64_t steps = 0; n->mode != LEAF; steps++) {
        double x;
        feri_ref_load_real(call, call->in[0], row * p->features + n->feature, 1, 1, &x);
        n = &g->nodes[n->next[goes_true(n, x)]];
        fer_status status = feri_ref_poll(call, 4);
        if (status != FER_OK || steps > p->nodes) {
            return status != FER_OK ? status : wrong(call, "its nodes form a cycle");
        }
    }
    for (uint32_t v = n->votes; v < n->votes + n->vote_count; v++) {
        uint32_t vote = g->votes_by_name[v];
        double weight = number_at(call, &p->weight, vote);
        double *score = &g->scores[p->vote_target[vote]];
        double *count = &g->counts[p->vote_target[vote]];
        int wins = p->aggregate == LEAST ? weight < *score : weight > *score;
        if (p->aggregate == LEAST || p->aggregate == MOST) {
            *score = *count == 0 || wins ? weight : *score;
        } else {
            *score += p->aggregate == AVERAGE ? weight / (double)g->roots : weight;
        }
        *count = 1;
    }
    return feri_ref_poll(call, n->vote_count);
}

/* ---- results ---- */

/* The class of two that wins, with the scores of both. One class alone may have votes, then the
 * other's score follows: 1 - s where weights are positive, else -s. */
static uint64_t decide_two(feri_ref_call *call, const grove *g) {
    const forest *p = call->params;
    double *s = g->scores;
    int64_t post = feri_ref_post_transform(call->node);
    int has_second = g->counts[1] != 0;
    if (p->base.count == 2) {
        double base[2] = {number_at(call, &p->base, 0), number_at(call, &p->base, 1)};
        s[1] = has_second ? base[1] + s[0] + s[1] * (p->is_single ? 1 : 0) : s[1] + base[1];
        s[0] = has_second && p->is_single ? -s[1] : s[0] + base[0];
        has_second = 1;
    } else if (p->base.count == 1) {
        s[0] += number_at(call, &p->base, 0);
    }
    /* Scores are f32 for whoever trained the model: so is the comparison with 0.5. */
    float positive = (float)(has_second ? s[1] : s[0]);
    uint64_t winner = positive > (p->is_single && p->are_positive ? 0.5f : 0.0f);
    if (has_second) {
        winner = p->is_single ? winner : s[1] > s[0];
    } else {
        s[1] = s[0];
        s[0] = p->are_positive && post == FERI_REF_RAW ? 1 - s[1] : -s[1];
    }
    feri_ref_transform_scores(post, 2, s);
    return winner;
}

static uint64_t decide_many(feri_ref_call *call, const grove *g) {
    const forest *p = call->params;
    uint64_t winner = 0;
    for (uint64_t t = 0; t < p->targets; t++) {
        g->scores[t] += p->base.count == p->targets ? number_at(call, &p->base, t) : 0;
        winner = g->scores[t] > g->scores[winner] ? t : winner;
    }
    feri_ref_transform_scores(feri_ref_post_transform(call->node), p->targets, g->scores);
    return winner;
}

static fer_status finish_row(feri_ref_call *call, const grove *g, uint64_t row) {
    const forest *p = call->params;
    feri_ref_tensor *scores = feri_ref_output(call, p->is_classifier ? 1 : 0);
    feri_ref_tensor *labels = p->is_classifier ? call->out[0] : NULL;
    uint64_t winner = 0;
    if (p->is_classifier) {
        winner = p->targets == 2 ? decide_two(call, g) : decide_many(call, g);
    } else {
        for (uint64_t t = 0; t < p->targets; t++) {
            g->scores[t] +=
                p->base.count ? number_at(call, &p->base, p->base.count > 1 ? t : 0) : 0;
        }
        feri_ref_transform_scores(feri_ref_post_transform(call->node), p->targets, g->scores);
    }
    if (labels) {
        int64_t label = p->labels ? p->labels[winner] : (int64_t)winner;
        feri_ref_store_int(call, labels, row, 1, 1, &label);
    }
    if (scores) {
        feri_ref_store_real(call, scores, row * p->targets, 1, p->targets, g->scores);
    }
    return feri_ref_poll(call, p->targets);
}

static fer_status run(feri_ref_call *call) {
    const forest *p = call->params;
    const feri_ref_tensor *x = call->in[0];
    uint64_t rows = x->rank == 2 ? (uint64_t)x->dims[0] : 1;
    grove g;
    fer_status status = grow(call, &g);
    for (uint64_t row = 0; status == FER_OK && row < rows; row++) {
        memset(g.scores, 0, 2 * p->targets * sizeof(double));
        for (uint64_t i = 0; status == FER_OK && i < p->nodes; i++) {
            status =
                g.nodes[i].is_child ? feri_ref_poll(call, 1) : add_tree(call, &g, row, &g.nodes[i]);
        }
        status = status ? status : finish_row(call, &g, row);
    }
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_old_trees[] = {
    FERI_REF_KERNEL(ml_TreeEnsembleClassifier, 3, .run = run, .bind = bind_scores, .params_bytes = sizeof(forest))
    FERI_REF_KERNEL(ml_TreeEnsembleRegressor, 3, .run = run, .bind = bind_scores, .params_bytes = sizeof(forest))
    FERI_REF_END
};
/* clang-format on */
