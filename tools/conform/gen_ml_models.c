/* SPDX-License-Identifier: Apache-2.0
 *
 * ai.onnx.ml's models. Their lists are too long for a name: coefficients, vectors and trees are
 * drawn from it, in eighths, so that sums of them are exact in f32.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* ---- scores and what is made of them ---- */

/* values and their errors, in place; ONNX Runtime's words for SOFTMAX_ZERO. */
static void transform(const char *kind, uint64_t count, long double *s, long double *off) {
    long double most = -INFINITY, sum = 0, worst = 0;
    for (uint64_t i = 0; i < count; i++) {
        most = fmaxl(most, s[i]);
        worst = fmaxl(worst, off[i] + 0x1p-23L * fabsl(s[i]));
    }
    int is_zero = strcmp(kind, "SOFTMAX_ZERO") == 0,
        is_soft = is_zero || strcmp(kind, "SOFTMAX") == 0;
    for (uint64_t i = 0; i < count && is_soft; i++) {
        s[i] = is_zero && fabsl(s[i]) <= 1e-7L ? s[i] * expl(-most) : expl(s[i] - most);
        sum += s[i];
    }
    for (uint64_t i = 0; i < count; i++) {
        if (is_soft) {
            s[i] /= sum;
            off[i] = s[i] * (expm1l(4 * worst) + 0x1p-20L);
        } else if (strcmp(kind, "LOGISTIC") == 0) {
            s[i] = 1 / (1 + expl(-s[i]));
            off[i] = off[i] / 4 + 0x1p-21L * s[i];
        }
    }
}

static const char *post_of(const trial *self) {
    const char *kind = arg_text(self, "post_transform");
    return kind != NULL ? kind : "NONE";
}

static int is_named(const trial *self) { return arg_text(self, "names") != NULL; }

/* Labels of so many classes: numbers, or names where the case says so. */
static long double label_of(const trial *self, uint64_t which) {
    char name[] = "class a";
    name[6] = (char)('a' + which);
    return is_named(self) ? text_number(name, 7)
                          : (long double)(which * which + 3) * (which % 2 != 0 ? -1 : 1);
}

static fer_attr
label_attr(const trial *self, const char *ints, const char *strings, uint32_t count) {
    fer_attr attr = {.name = is_named(self) ? strings : ints,
                     .type = is_named(self) ? FER_ATTR_STRINGS : FER_ATTR_INTS,
                     .count = count};
    if (is_named(self)) {
        fer_string *list = trial_memory(self, count * sizeof *list);
        for (uint32_t i = 0; i < count; i++) {
            char *name = trial_memory(self, 8);
            memcpy(name, "class a", 8);
            name[6] = (char)('a' + i);
            list[i] = (fer_string){name, 7};
        }
        attr.value.strings = list;
    } else {
        int64_t *list = trial_memory(self, count * sizeof *list);
        for (uint32_t i = 0; i < count; i++) {
            list[i] = (int64_t)label_of(self, i);
        }
        attr.value.ints = list;
    }
    return attr;
}

static fer_attr floats_attr(const char *name, const float *list, uint32_t count) {
    return (fer_attr){.name = name, .type = FER_ATTR_FLOATS, .count = count, .value.floats = list};
}
static void results(const trial *self, uint64_t rows, uint64_t scores, int has_label, nd *out) {
    int64_t dims[] = {(int64_t)rows, (int64_t)scores};
    nd *z = &out[has_label];
    nd_make(self, z, 2, dims);
    nd_slack(self, z);
    z->dtype = FER_F32;
    if (has_label) {
        nd_make(self, &out[0], 1, dims);
        out[0].dtype = is_named(self) ? FER_STRING : FER_I64;
    }
}

/* The first of the largest. */
static uint64_t best_of(const long double *s, uint64_t count) {
    uint64_t best = 0;
    for (uint64_t i = 1; i < count; i++) {
        best = s[i] > s[best] ? i : best;
    }
    return best;
}

/* ---- LinearRegressor, LinearClassifier: E rows of coefficients ---- */

static int fill_rows(trial *self) {
    return (self->rank == 1 || self->rank == 2) && dims_count(self->rank, self->dims) > 0;
}

static uint32_t features_of(const trial *self) { return (uint32_t)self->dims[self->rank - 1]; }
static uint32_t rows_of(const trial *self) { return self->rank == 2 ? (uint32_t)self->dims[0] : 1; }
static uint32_t classes_of(const trial *self) { return (uint32_t)arg_int(self, "E", 3); }

static fer_status linear_build(const trial *self,
                               fer_graph *graph,
                               fer_context *context,
                               const fer_value_id *inputs,
                               fer_value_id *out) {
    uint32_t classes = classes_of(self), features = features_of(self), count = 0;
    fer_attr more[4];
    more[count++] = floats_attr("coefficients",
                                trial_floats(self, "coefficients", classes * features, -2, 2),
                                classes * features);
    if (!arg_int(self, "bare", 0)) {
        more[count++] =
            floats_attr("intercepts", trial_floats(self, "intercepts", classes, -1, 1), classes);
    }
    if (self->op->name[6] == 'C') {
        more[count++] = label_attr(self, "classlabels_ints", "classlabels_strings", classes);
    }
    return trial_node(self, context, graph, inputs, more, count, out);
}

static int linear_oracle(const trial *self, const nd *in, nd *out) {
    int has_label = self->op->name[6] == 'C';
    uint32_t classes = classes_of(self), features = features_of(self);
    const float *w = trial_floats(self, "coefficients", classes * features, -2, 2),
                *b = trial_floats(self, "intercepts", classes, -1, 1);
    results(self, rows_of(self), classes, has_label, out);
    for (uint32_t row = 0; row < rows_of(self); row++) {
        long double *s = out[has_label].v + row * classes,
                    *off = out[has_label].slack + row * classes;
        for (uint32_t e = 0; e < classes; e++) {
            long double size = 0;
            s[e] = arg_int(self, "bare", 0) ? 0 : (long double)b[e];
            for (uint32_t i = 0; i < features; i++) {
                long double product = in->v[row * features + i] * (long double)w[e * features + i];
                s[e] += product;
                size += fabsl(product);
            }
            off[e] = sum_slack(FER_F32, features + 1, size + fabsl(s[e]));
        }
        uint64_t best = best_of(s, classes);
        transform(post_of(self), classes, s, off);
        if (has_label) { /* SOFTMAX_ZERO alone changes the order */
            int is_zero = strcmp(post_of(self), "SOFTMAX_ZERO") == 0;
            out[0].v[row] = label_of(self, is_zero ? best_of(s, classes) : best);
        }
    }
    return 1;
}

/* ---- SVMs: V vectors, or none ---- */

static uint32_t vectors_of(const trial *self, int64_t *out_each, uint32_t capacity) {
    return arg_ints(self, "vectors_per_class", out_each, capacity);
}

/* kernel_params are written in the text. */
static long double kernel_of(const trial *self,
                             const long double *x,
                             const float *v,
                             uint32_t features,
                             long double *out_off) {
    double list[3] = {0, 0, 0};
    const char *kind = arg_text(self, "kernel_type");
    (void)arg_list(self, "kernel_params", list, 3);
    long double gamma = (long double)(float)list[0], bias = (long double)(float)list[1], sum = 0,
                size = 0;
    int is_radial = kind != NULL && kind[0] == 'R';
    for (uint32_t i = 0; i < features; i++) {
        long double away = x[i] - (long double)v[i],
                    product = is_radial ? away * away : x[i] * (long double)v[i];
        sum += product;
        size += fabsl(product);
    }
    long double off = sum_slack(FER_F32, features + 1, size), inner = gamma * sum + bias;
    if (kind == NULL || kind[0] == 'L') {
        *out_off = off;
        return sum;
    }
    off = gamma * off + 0x1p-22L * (fabsl(gamma * sum) + fabsl(bias));
    if (is_radial) {
        *out_off = expl(-gamma * sum) * (expm1l(off) + 0x1p-21L);
        return expl(-gamma * sum);
    }
    if (kind[0] == 'S') {
        *out_off = off + 0x1p-21L;
        return tanhl(inner);
    }
    long double value = powl(inner, (long double)list[2]);
    *out_off =
        fabsl((long double)list[2]) * powl(fabsl(inner) + off, (long double)list[2] - 1) * off +
        0x1p-20L * fabsl(value);
    return value;
}

static fer_status svm_build(const trial *self,
                            fer_graph *graph,
                            fer_context *context,
                            const fer_value_id *inputs,
                            fer_value_id *out) {
    uint32_t features = features_of(self), count = 0,
             vectors = (uint32_t)arg_int(self, "n_supports", 0), classes = 0, rho = 1;
    int64_t each[8];
    fer_attr more[5];
    if (self->op->name[3] == 'C') {
        classes = vectors_of(self, each, 8);
        for (uint32_t i = 0; i < classes; i++) {
            vectors += (uint32_t)each[i];
        }
        rho = classes * (classes - 1) / 2;
        more[count++] = label_attr(self, "classlabels_ints", "classlabels_strings", classes);
    }
    uint32_t weights = classes > 0 ? vectors * (classes - 1) : vectors > 0 ? vectors : features;
    more[count++] =
        floats_attr("coefficients", trial_floats(self, "coefficients", weights, -2, 2), weights);
    more[count++] = floats_attr("rho", trial_floats(self, "rho", rho, -1, 1), rho);
    if (vectors > 0) {
        more[count++] =
            floats_attr("support_vectors",
                        trial_floats(self, "support_vectors", vectors * features, -1, 1),
                        vectors * features);
    }
    return trial_node(self, context, graph, inputs, more, count, out);
}

static int svm_regressor_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t features = features_of(self), vectors = (uint32_t)arg_int(self, "n_supports", 0);
    const float *v = trial_floats(self, "support_vectors", vectors * features, -1, 1),
                *w = trial_floats(self, "coefficients", vectors > 0 ? vectors : features, -2, 2);
    results(self, rows_of(self), 1, 0, out);
    for (uint32_t row = 0; row < rows_of(self); row++) {
        const long double *x = in->v + row * features;
        long double sum = (long double)*trial_floats(self, "rho", 1, -1, 1), off = 0,
                    size = fabsl(sum);
        for (uint32_t i = 0; i < (vectors > 0 ? vectors : features); i++) {
            long double error = 0, k = vectors > 0
                                           ? kernel_of(self, x, v + i * features, features, &error)
                                           : x[i];
            sum += k * (long double)w[i];
            size += fabsl(k * (long double)w[i]);
            off += error * fabsl((long double)w[i]);
        }
        off += sum_slack(FER_F32, vectors + features, size);
        if (arg_int(self, "one_class", 0) != 0) {
            sum = fabsl(sum) < off ? 0 : sum;
            out->slack[row] = sum == 0 ? 2 : 0;
            out->v[row] = sum > 0 ? 1 : -1;
            continue;
        }
        out->v[row] = sum;
        out->slack[row] = off;
        transform(post_of(self), 1, &out->v[row], &out->slack[row]);
    }
    return 1;
}

/* libsvm's one against one: the label is that of most votes, the first of equals; scores are those
 * of the pairs. */
static int svm_classifier_oracle(const trial *self, const nd *in, nd *out) {
    int64_t each[8], first[9] = {0}, votes[8];
    uint32_t features = features_of(self), classes = vectors_of(self, each, 8);
    for (uint32_t i = 0; i < classes; i++) {
        first[i + 1] = first[i] + each[i];
    }
    uint32_t vectors = (uint32_t)first[classes], pairs = classes * (classes - 1) / 2;
    if (classes < 3) {
        return 0;
    }
    const float *v = trial_floats(self, "support_vectors", vectors * features, -1, 1),
                *w = trial_floats(self, "coefficients", vectors * (classes - 1), -2, 2),
                *rho = trial_floats(self, "rho", pairs, -1, 1);
    results(self, rows_of(self), pairs, 1, out);
    for (uint32_t row = 0; row < rows_of(self); row++) {
        uint32_t pair = 0, best = 0;
        memset(votes, 0, sizeof votes);
        for (uint32_t i = 0; i < classes; i++) {
            for (uint32_t j = i + 1; j < classes; j++, pair++) {
                long double sum = (long double)rho[pair], off = 0, size = fabsl(sum);
                for (int64_t k = 0; k < vectors; k++) {
                    if ((k < first[i] || k >= first[i + 1]) &&
                        (k < first[j] || k >= first[j + 1])) {
                        continue;
                    }
                    uint32_t against = k < first[i + 1] && k >= first[i] ? j - 1 : i;
                    long double error,
                        kernel = kernel_of(
                            self, in->v + row * features, v + k * features, features, &error),
                        weight = (long double)w[against * vectors + k];
                    sum += kernel * weight;
                    size += fabsl(kernel * weight);
                    off += error * fabsl(weight);
                }
                out[1].v[row * pairs + pair] = sum;
                out[1].slack[row * pairs + pair] = off + sum_slack(FER_F32, vectors, size);
                votes[sum > 0 ? i : j]++;
            }
        }
        for (uint32_t i = 1; i < classes; i++) {
            best = votes[i] > votes[best] ? i : best;
        }
        out[0].v[row] = label_of(self, best);
        transform(post_of(self), pairs, out[1].v + row * pairs, out[1].slack + row * pairs);
    }
    return 1;
}

/* clang-format off */
#define ML "ai.onnx.ml."
#define SHAPES "4x3 1x3 7x1 3 13x17 61x3"
#define POST(words) words " " words ",post_transform=LOGISTIC " words ",post_transform=SOFTMAX " words ",post_transform=SOFTMAX_ZERO "
#define KERNELS(words) words ",kernel_type=LINEAR,kernel_params=1:0:1 " words ",kernel_type=POLY,kernel_params=0.5:1:2 " words ",kernel_type=POLY,kernel_params=0.25:-0.5:3 " words ",kernel_type=RBF,kernel_params=0.5:0:0 " words \
    ",kernel_type=SIGMOID,kernel_params=0.25:0.5:0 " words ",kernel_type=RBF,kernel_params=0.1:0:3,post_transform=LOGISTIC "
static const case_row rows[] = {
    {ML "LinearRegressor", NULL, SHAPES, POST("E=3,targets=3") "E=1 E=1,targets=1,bare=1 E=2,targets=2,bare=1 E=5,targets=5", "ints uniform", fill_rows, linear_oracle, ROW_ZEROS, NULL, linear_build},
    {ML "LinearClassifier", NULL, SHAPES, POST("E=3") "E=4,bare=1 E=3,multi_class=1 E=2 E=3,names=1,T2=str E=5,names=1,T2=str,post_transform=SOFTMAX", "ints uniform", fill_rows, linear_oracle, ROW_ZEROS, NULL, linear_build},
    {ML "SVMRegressor", NULL, SHAPES, KERNELS("n_supports=4") KERNELS("n_supports=1") "n_supports=0 n_supports=0,post_transform=LOGISTIC n_supports=5,one_class=1,kernel_type=RBF,kernel_params=0.5:0:0 n_supports=3,one_class=1", "ints uniform",
     fill_rows, svm_regressor_oracle, ROW_ZEROS, NULL, svm_build},
    {ML "SVMClassifier", NULL, SHAPES, KERNELS("vectors_per_class=2:3:1") KERNELS("vectors_per_class=1:2:1:3") "vectors_per_class=2:2:2,names=1,T2=str,kernel_type=RBF,kernel_params=0.25:0:0", "ints uniform", fill_rows, svm_classifier_oracle,
     ROW_ZEROS, NULL, svm_build},
};
/* clang-format on */

const case_family cases_ml_models = {"ml models", rows, sizeof rows / sizeof *rows};
