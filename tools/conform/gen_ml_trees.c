/* SPDX-License-Identifier: Apache-2.0
 *
 * ai.onnx.ml's trees, old form and new: full binary trees whose features, thresholds and weights
 * are drawn from the case's name, in eighths, so that sums are exact in f32. Words: trees, depth,
 * mode (LEQ, LT, GTE, GT, EQ, NEQ, MEMBER or mixed), votes=all for a vote to every target at each
 * leaf, missing=1 for nodes where NaN goes the true way, E classes or targets, binary=1 for two
 * labels of which the first alone has votes, positive=1 for weights that are. Under PROBIT weights
 * are such that scores lie in (0, 1).
 */
#include "generators.h"

#include <math.h>
#include <string.h>

static const char *const modes[] = {"LEQ", "LT", "GTE", "GT", "EQ", "NEQ", "MEMBER"};
enum { EQ = 4, NEQ, MEMBER, MODES };

typedef struct forest {
    uint32_t trees, depth, inner, nodes, leaves, features, targets,
        votes; /* of one tree; votes of one leaf */
    int64_t *feature, *mode, *tracks, *target;
    float *split, *weight, *base;
} forest;

static uint32_t features_of(const trial *self) { return (uint32_t)self->dims[self->rank - 1]; }
static uint32_t rows_of(const trial *self) { return self->rank == 2 ? (uint32_t)self->dims[0] : 1; }

static const char *post_of(const trial *self) {
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    const char *kind = arg_text(self, "post_transform");
    return kind == NULL ? "NONE" : kind[0] <= '9' ? names[kind[0] - '0'] : kind;
}

static void shape_weights(const trial *self, const forest *f, uint32_t votes) {
    int is_probit = strcmp(post_of(self), "PROBIT") == 0;
    for (uint32_t i = 0; i < votes; i++) {
        float centre = (i % f->targets + self->seed) % 2 != 0 ? 0.25f : 0.75f;
        f->weight[i] = is_probit ? (centre + f->weight[i] / 64) / (float)f->trees
                       : arg_int(self, "positive", 0) ? fabsf(f->weight[i]) / 8
                                                      : f->weight[i];
    }
}

static forest plant(const trial *self) {
    forest f = {.trees = (uint32_t)arg_int(self, "trees", 1),
                .depth = (uint32_t)arg_int(self, "depth", 2),
                .features = features_of(self),
                .targets = (uint32_t)arg_int(self, "E", 1)};
    f.inner = (1u << f.depth) - 1;
    f.leaves = f.inner + 1;
    f.nodes = f.inner + f.leaves;
    f.votes = arg_is(self, "votes", "one", "all") ? f.targets : 1;
    uint32_t inner = f.trees * f.inner, votes = f.trees * f.leaves * f.votes;
    f.feature = trial_ints(self, "feature", inner, 0, f.features - 1);
    f.tracks = trial_ints(self, "tracks", inner, 0, arg_int(self, "missing", 0) != 0);
    f.mode = trial_ints(self, "mode", inner, 0, NEQ);
    f.split = trial_floats(self, "split", inner, -1, 1);
    f.weight = trial_floats(self, "weight", votes, -4, 4);
    f.target = trial_ints(self, "target", votes, 0, f.targets - 1);
    f.base = trial_floats(self, "base", f.targets, -2, 2);
    shape_weights(self, &f, votes);
    for (uint32_t i = 0; i < votes && f.votes > 1; i++) {
        f.target[i] = i % f.targets;
    }
    for (int64_t m = 0; m < MODES; m++) {
        for (uint32_t i = 0; i < inner && arg_is(self, "mode", "LEQ", modes[m]); i++) {
            f.mode[i] = m;
        }
    }
    for (uint32_t i = 0; i < inner; i++) { /* so that equality happens */
        f.split[i] = f.mode[i] >= EQ || strcmp(self->values, "ints") == 0 ? floorf(f.split[i] * 2)
                                                                          : f.split[i];
    }
    return f;
}

/* ---- what a tree says ---- */

static int goes_true(const forest *f, uint32_t node, long double x) {
    long double split = (long double)f->split[node];
    if (isnan(x)) {
        return f->tracks[node] != 0;
    }
    switch (f->mode[node]) {
    case 0:
        return x <= split;
    case 1:
        return x < split;
    case 2:
        return x >= split;
    case 3:
        return x > split;
    case EQ:
        return x == split;
    case NEQ:
        return x != split;
    default: /* of a set of two */
        return x == split || x == split + 2;
    }
}

static uint32_t leaf_of(const forest *f, uint32_t tree, const long double *x) {
    uint32_t at = 0;
    while (at < f->inner) {
        uint32_t node = tree * f->inner + at;
        at = 2 * at + (goes_true(f, node, x[f->feature[node]]) ? 1 : 2);
    }
    return at - f->inner;
}

enum { AVERAGE, SUM, LEAST, MOST };

static int64_t aggregate_of(const trial *self) {
    static const char *const names[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    int64_t found = SUM;
    for (int64_t i = 0; i < 4; i++) {
        found = arg_is(self, "aggregate_function", "SUM", names[i]) ? i : found;
    }
    const char *number = arg_text(self, "aggregate_function");
    return number != NULL && number[0] <= '9' ? number[0] - '0' : found;
}

static void score(const trial *self, const forest *f, const long double *x, long double *s) {
    int64_t how = aggregate_of(self);
    uint8_t seen[16] = {0};
    for (uint32_t t = 0; t < f->trees; t++) {
        uint32_t leaf = t * f->leaves + leaf_of(f, t, x);
        for (uint32_t v = 0; v < f->votes; v++) {
            int64_t target = f->target[leaf * f->votes + v];
            long double weight = (long double)f->weight[leaf * f->votes + v];
            s[target] = !seen[target] && (how == LEAST || how == MOST) ? weight
                        : how == LEAST                                 ? fminl(s[target], weight)
                        : how == MOST                                  ? fmaxl(s[target], weight)
                                                                       : s[target] + weight;
            seen[target] = 1;
        }
    }
    for (uint32_t i = 0; i < f->targets; i++) {
        s[i] /= how == AVERAGE ? (long double)f->trees : 1;
        s[i] += arg_int(self, "base", 0) ? (long double)f->base[i] : 0;
    }
}

static void transform(const char *kind, uint64_t count, long double *s, long double *off) {
    long double most = -INFINITY, sum = 0;
    for (uint64_t i = 0; i < count && strcmp(kind, "PROBIT") == 0; i++) {
        long double own, z = probit_number(s[i], &own);
        off[i] += own + 0x1p-20L * expl(z * z / 2);
        s[i] = z;
    }
    if (strcmp(kind, "PROBIT") == 0) {
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        most = fmaxl(most, s[i]);
    }
    int is_zero = strcmp(kind, "SOFTMAX_ZERO") == 0;
    for (uint64_t i = 0; i < count; i++) {
        s[i] = strcmp(kind, "LOGISTIC") == 0 ? 1 / (1 + expl(-s[i]))
               : is_zero && s[i] == 0        ? 0
                                             : expl(s[i] - most);
        sum += s[i];
    }
    for (uint64_t i = 0; i < count && strcmp(kind, "LOGISTIC") != 0; i++) {
        s[i] = is_zero && sum == 0 ? 0.5L : s[i] / sum;
    }
}

static uint64_t best_of(const long double *s, uint64_t count) {
    uint64_t best = 0;
    for (uint64_t i = 1; i < count; i++) {
        best = s[i] > s[best] ? i : best;
    }
    return best;
}

static int forest_oracle(const trial *self, const nd *in, nd *out) {
    int is_classifier = strstr(self->op->name, "Classifier") != NULL,
        is_new = self->op->name[12] == '\0';
    forest f = plant(self);
    int is_binary = arg_int(self, "binary", 0) != 0, is_raw = strcmp(post_of(self), "NONE") == 0;
    int64_t dims[] = {rows_of(self), is_binary ? 2 : f.targets};
    nd *z = &out[is_classifier];
    nd_make(self, z, 2, dims);
    nd_slack(self, z);
    z->dtype = is_new ? self->dtype : FER_F32;
    if (is_classifier) {
        nd_make(self, &out[0], 1, dims);
        out[0].dtype = arg_text(self, "names") != NULL ? FER_STRING : FER_I64;
    }
    for (int64_t row = 0; row < dims[0]; row++) {
        long double *s = z->v + row * dims[1];
        score(self, &f, in->v + row * f.features, s);
        if (is_classifier) {
            uint64_t best = best_of(s, f.targets);
            if (is_binary) { /* as ONNX Runtime does; the specification does not say */
                int is_share = arg_int(self, "positive", 0) != 0;
                best = s[0] > (is_share ? 0.5L : 0);
                s[1] = s[0];
                s[0] = is_share && is_raw ? 1 - s[1] : -s[1];
            }
            char name[] = "class a";
            name[6] = (char)('a' + best);
            out[0].v[row] = arg_text(self, "names") != NULL ? text_number(name, 7)
                                                            : (long double)(3 * best + 1);
        }
        long double *off = z->slack + row * dims[1];
        if (!is_raw) {
            transform(post_of(self), (uint64_t)dims[1], s, off);
        }
        for (int64_t i = 0; i < dims[1]; i++) { /* means and transforms are rounded, sums are not */
            int is_exact = is_raw && aggregate_of(self) != AVERAGE;
            off[i] += is_exact
                          ? 0
                          : fmaxl(dtype_unit(z->dtype) * 4, z->dtype == FER_F64 ? 0 : 0x1p-22L) *
                                (fabsl(s[i]) + 1);
        }
    }
    return 1;
}

/* ---- the lists of the old form ---- */

static fer_attr ints(const char *name, const int64_t *list, uint32_t count) {
    return (fer_attr){.name = name, .type = FER_ATTR_INTS, .count = count, .value.ints = list};
}

/* A list of floats or, for doubles, a tensor, which has another name. */
static fer_attr reals(const trial *self,
                      fer_context *context,
                      const char *name,
                      const char *as_tensor,
                      const float *list,
                      uint32_t count) {
    fer_attr attr = {.name = name, .type = FER_ATTR_FLOATS, .count = count, .value.floats = list};
    int64_t dim = count;
    fer_tensor *made = NULL;
    if (as_tensor != NULL && arg_int(self, "tensors", as_tensor == name) &&
        fer_tensor_create(context,
                          self->dtype == FER_F16 || self->dtype == FER_F32 ? self->dtype : FER_F64,
                          1,
                          &dim,
                          &made) == FER_OK) {
        for (uint32_t i = 0; i < count; i++) {
            number_set(fer_tensor_dtype(made), fer_tensor_data(made), i, (long double)list[i]);
        }
        attr = (fer_attr){.name = as_tensor,
                          .type = FER_ATTR_TENSOR,
                          .count = 1,
                          .value.tensor = trial_hold(self, made)};
    }
    return attr;
}

static fer_attr node_modes(const trial *self, const forest *f) {
    fer_string *list = trial_memory(self, f->trees * f->nodes * sizeof *list);
    for (uint32_t i = 0; i < f->trees * f->nodes; i++) {
        uint32_t at = i % f->nodes;
        char *text = trial_memory(self, 16);
        if (at < f->inner) {
            memcpy(text, "BRANCH_", 7);
            memcpy(text + 7,
                   modes[f->mode[i / f->nodes * f->inner + at]],
                   strlen(modes[f->mode[i / f->nodes * f->inner + at]]));
        } else {
            memcpy(text, "LEAF", 4);
        }
        list[i] = (fer_string){text, strlen(text)};
    }
    return (fer_attr){.name = "nodes_modes",
                      .type = FER_ATTR_STRINGS,
                      .count = f->trees * f->nodes,
                      .value.strings = list};
}

static uint32_t old_nodes(const trial *self, fer_context *context, const forest *f, fer_attr *out) {
    uint32_t all = f->trees * f->nodes, count = 0;
    int64_t *lists[6];
    for (int i = 0; i < 6; i++) {
        lists[i] = trial_memory(self, (all + 1) * sizeof **lists);
    }
    float *values = trial_memory(self, (all + 1) * sizeof *values);
    for (uint32_t i = 0; i < all; i++) {
        uint32_t at = i % f->nodes, node = i / f->nodes * f->inner + at;
        int is_leaf = at >= f->inner;
        lists[0][i] = i / f->nodes;
        lists[1][i] = at;
        lists[2][i] = is_leaf ? 0 : f->feature[node];
        lists[3][i] = is_leaf ? 0 : 2 * at + 1;
        lists[4][i] = is_leaf ? 0 : 2 * at + 2;
        lists[5][i] = is_leaf ? 0 : f->tracks[node];
        values[i] = is_leaf ? 0 : f->split[node];
    }
    static const char *const names[] = {"nodes_treeids",
                                        "nodes_nodeids",
                                        "nodes_featureids",
                                        "nodes_truenodeids",
                                        "nodes_falsenodeids",
                                        "nodes_missing_value_tracks_true"};
    for (int i = 0; i < 5 + (arg_int(self, "missing", 0) != 0); i++) {
        out[count++] = ints(names[i], lists[i], all);
    }
    out[count++] = node_modes(self, f);
    out[count++] = reals(self, context, "nodes_values", "nodes_values_as_tensor", values, all);
    return count;
}

static fer_status old_build(const trial *self,
                            fer_graph *graph,
                            fer_context *context,
                            const fer_value_id *inputs,
                            fer_value_id *out) {
    int is_classifier = strstr(self->op->name, "Classifier") != NULL;
    forest f = plant(self);
    fer_attr more[16];
    uint32_t count = old_nodes(self, context, &f, more), votes = f.trees * f.leaves * f.votes;
    uint32_t labels = arg_int(self, "binary", 0) ? 2 : f.targets;
    int64_t *trees = trial_memory(self, (votes + 1) * sizeof *trees),
            *nodes = trial_memory(self, (votes + 1) * sizeof *nodes),
            *targets = trial_memory(self, sizeof *targets * 16);
    fer_string *names = trial_memory(self, 16 * sizeof *names);
    for (uint32_t i = 0; i < votes; i++) {
        trees[i] = i / f.votes / f.leaves;
        nodes[i] = f.inner + i / f.votes % f.leaves;
    }
    more[count++] = ints(is_classifier ? "class_treeids" : "target_treeids", trees, votes);
    more[count++] = ints(is_classifier ? "class_nodeids" : "target_nodeids", nodes, votes);
    more[count++] = ints(is_classifier ? "class_ids" : "target_ids", f.target, votes);
    more[count++] =
        is_classifier
            ? reals(self, context, "class_weights", "class_weights_as_tensor", f.weight, votes)
            : reals(self, context, "target_weights", "target_weights_as_tensor", f.weight, votes);
    if (arg_int(self, "base", 0)) {
        more[count++] =
            reals(self, context, "base_values", "base_values_as_tensor", f.base, f.targets);
    }
    targets[0] = f.targets;
    if (!is_classifier) {
        more[count++] =
            (fer_attr){.name = "n_targets", .type = FER_ATTR_INT, .count = 1, .value.i = f.targets};
    } else if (arg_text(self, "names") == NULL) {
        for (uint32_t i = 0; i < labels; i++) {
            targets[i] = 3 * i + 1;
        }
        more[count++] = ints("classlabels_int64s", targets, labels);
    } else {
        for (uint32_t i = 0; i < labels; i++) {
            char *name = trial_memory(self, 8);
            memcpy(name, "class a", 8);
            name[6] = (char)('a' + i);
            names[i] = (fer_string){name, 7};
        }
        more[count++] = (fer_attr){.name = "classlabels_strings",
                                   .type = FER_ATTR_STRINGS,
                                   .count = labels,
                                   .value.strings = names};
    }
    return trial_node(self, context, graph, inputs, more, count, out);
}

/* ---- the tensors of the new form: inner nodes and leaves apart ---- */

static uint32_t sets_of(const trial *self, fer_context *context, const forest *f, fer_attr *out) {
    uint32_t all = f->trees * f->inner, count = 0;
    float *members = trial_memory(self, (3 * all + 1) * sizeof *members);
    for (uint32_t i = 0; i < all; i++) {
        if (f->mode[i] == MEMBER) {
            members[count++] = f->split[i];
            members[count++] = f->split[i] + 2;
            members[count++] = NAN;
        }
    }
    if (count > 0) {
        *out = reals(self, context, "membership_values", "membership_values", members, count);
    }
    return count > 0;
}

static fer_status new_build(const trial *self,
                            fer_graph *graph,
                            fer_context *context,
                            const fer_value_id *inputs,
                            fer_value_id *out) {
    forest f = plant(self);
    uint32_t all = f.trees * f.inner, leaves = f.trees * f.leaves, count = 0;
    fer_attr more[16];
    int64_t *lists[4], *roots = trial_memory(self, (f.trees + 1) * sizeof *roots), dim = all;
    fer_tensor *modes_tensor = NULL;
    for (int i = 0; i < 4; i++) {
        lists[i] = trial_memory(self, (all + 1) * sizeof **lists);
    }
    fer_status status = fer_tensor_create(context, FER_U8, 1, &dim, &modes_tensor);
    if (status != FER_OK) {
        return status;
    }
    for (uint32_t i = 0; i < all; i++) {
        uint32_t tree = i / f.inner, at = i % f.inner;
        for (uint32_t side = 0; side < 2; side++) {
            uint32_t next = 2 * at + 1 + side;
            lists[2 * side][i] = next >= f.inner;
            lists[2 * side + 1][i] =
                next >= f.inner ? tree * f.leaves + next - f.inner : tree * f.inner + next;
        }
        number_set(FER_U8, fer_tensor_data(modes_tensor), i, (long double)f.mode[i]);
    }
    for (uint32_t t = 0; t < f.trees; t++) {
        roots[t] = t * f.inner;
    }
    more[count++] = (fer_attr){.name = "nodes_modes",
                               .type = FER_ATTR_TENSOR,
                               .count = 1,
                               .value.tensor = trial_hold(self, modes_tensor)};
    more[count++] = ints("nodes_featureids", f.feature, all);
    more[count++] = ints("nodes_trueleafs", lists[0], all);
    more[count++] = ints("nodes_truenodeids", lists[1], all);
    more[count++] = ints("nodes_falseleafs", lists[2], all);
    more[count++] = ints("nodes_falsenodeids", lists[3], all);
    more[count++] = ints("tree_roots", roots, f.trees);
    more[count++] = ints("leaf_targetids", f.target, leaves);
    more[count++] = reals(self, context, "nodes_splits", "nodes_splits", f.split, all);
    more[count++] = reals(self, context, "leaf_weights", "leaf_weights", f.weight, leaves);
    more[count++] =
        (fer_attr){.name = "n_targets", .type = FER_ATTR_INT, .count = 1, .value.i = f.targets};
    if (arg_int(self, "missing", 0) != 0) {
        more[count++] = ints("nodes_missing_value_tracks_true", f.tracks, all);
    }
    count += sets_of(self, context, &f, &more[count]);
    return trial_node(self, context, graph, inputs, more, count, out);
}

static int fill_forest(trial *self) {
    int is_new = self->op->name[12] == '\0';
    return (self->rank == 1 || self->rank == 2) && dims_count(self->rank, self->dims) > 0 &&
           (strcmp(self->values, "special") != 0 || !dtype_is_integer(self->dtype)) &&
           (is_new || !arg_is(self, "mode", "LEQ", "MEMBER")) && arg_int(self, "E", 1) <= 16;
}

/* clang-format off */
#define ML "ai.onnx.ml."
#define SHAPES "4x3 1x3 7x1 13x17 61x3"
#define MODES_OF(words) words " " words ",mode=LT " words ",mode=GTE " words ",mode=GT " words ",mode=EQ " words ",mode=NEQ " words ",mode=mixed " words ",mode=mixed,missing=1 "
static const case_row rows[] = {
    {ML "TreeEnsembleRegressor", NULL, SHAPES, MODES_OF("trees=1") MODES_OF("trees=3,depth=3") "trees=5,E=3 trees=3,E=2,votes=all trees=4,aggregate_function=AVERAGE trees=4,aggregate_function=MIN trees=4,aggregate_function=MAX,base=1 "
     "trees=3,E=3,votes=all,aggregate_function=AVERAGE,base=1 trees=3,E=3,votes=all,aggregate_function=MIN,missing=1 trees=7,depth=4,base=1 trees=2,depth=1 trees=2,depth=0 trees=3,E=3,votes=all,post_transform=SOFTMAX "
     "trees=3,E=3,votes=all,post_transform=LOGISTIC trees=2,tensors=1", "ints uniform special", fill_forest, forest_oracle, ROW_ZEROS, NULL, old_build},
    {ML "TreeEnsembleClassifier", NULL, SHAPES, MODES_OF("trees=3,E=3,votes=all") "trees=5,E=3 trees=3,depth=3,E=4,base=1,votes=all trees=2,E=3,votes=all,post_transform=SOFTMAX trees=2,E=3,votes=all,post_transform=LOGISTIC "
     "trees=2,E=3,votes=all,post_transform=SOFTMAX_ZERO trees=3,E=3,votes=all,names=1,T2=str trees=3,E=5,names=1,T2=str trees=3,E=3,votes=all,tensors=1", "ints uniform special", fill_forest, forest_oracle, ROW_ZEROS, NULL, old_build},
    {ML "TreeEnsemble", NULL, SHAPES, MODES_OF("trees=1") MODES_OF("trees=3,depth=3") "trees=5,E=3 trees=4,aggregate_function=0 trees=4,aggregate_function=2 trees=4,aggregate_function=3 trees=7,depth=4 trees=2,depth=1 trees=3,mode=MEMBER "
     "trees=2,mode=MEMBER,missing=1 trees=3,E=3,post_transform=1 trees=3,E=3,post_transform=2 trees=9,depth=3,E=2", "ints uniform special", fill_forest, forest_oracle, ROW_ZEROS, NULL, new_build},
    {ML "TreeEnsembleRegressor", NULL, SHAPES, "trees=3,post_transform=PROBIT trees=4,E=3,votes=all,post_transform=PROBIT trees=3,E=3,votes=all,post_transform=SOFTMAX_ZERO", "ints uniform special", fill_forest, forest_oracle, ROW_ZEROS,
     NULL, old_build},
    {ML "TreeEnsembleClassifier", NULL, SHAPES, "trees=4,E=3,votes=all,post_transform=PROBIT trees=3,E=2,votes=all trees=3,E=2,votes=all,post_transform=SOFTMAX trees=3,E=2,votes=all,names=1,T2=str trees=4,E=2,votes=all,post_transform=PROBIT "
     "trees=3,binary=1 trees=3,binary=1,post_transform=LOGISTIC trees=3,binary=1,positive=1 trees=3,binary=1,positive=1,names=1,T2=str", "ints uniform special", fill_forest, forest_oracle, ROW_ZEROS, NULL, old_build},
    {ML "TreeEnsemble", NULL, SHAPES, "trees=3,post_transform=4 trees=4,depth=3,post_transform=4 trees=3,E=3,post_transform=3", "ints uniform special", fill_forest, forest_oracle, ROW_ZEROS, NULL, new_build},
};
/* clang-format on */

const case_family cases_ml_trees = {"ml trees", rows, sizeof rows / sizeof *rows};
