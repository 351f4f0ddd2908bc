/* SPDX-License-Identifier: Apache-2.0
 *
 * ai.onnx.ml's models. Their lists are too long for a name: coefficients, vectors and trees are
 * drawn from it, in eighths, so that sums of them are exact in f32.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* ---- scores and what is made of them ---- */

/* Where a standard normal number is below so often; Winitzki's approximation, as in onnx.reference
 * and ONNX Runtime. out_off is how far the exact one is away, and what steps in f32 lose. */
long double probit_number(long double share, long double *out_off) {
    long double t = 2 * share - 1, l = logl((1 - t) * (1 + t)), a = 0.147L,
                v = 2 / (acosl(-1) * a) + l / 2,
                z = sqrtl(2) * copysignl(sqrtl(sqrtl(v * v - l / a) - v), t), exact = z;
    for (int i = 0; i < 8 && isfinite(z); i++) { /* Newton */
        exact +=
            (share - erfcl(-exact / sqrtl(2)) / 2) * sqrtl(2 * acosl(-1)) * expl(exact * exact / 2);
    }
    *out_off =
        isfinite(z) ? 1.0625L * fabsl(exact - z) + 0x1p-20L * (1 / (fabsl(z) + 0x1p-8L) + 1) : 0;
    return z;
}

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
    if (is_zero && sum == 0) { /* all were 0 */
        for (uint64_t i = 0; i < count; i++) {
            s[i] = 0.5L;
        }
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (is_soft) {
            s[i] /= sum;
            off[i] = s[i] * (expm1l(4 * worst) + 0x1p-20L);
        } else if (strcmp(kind, "LOGISTIC") == 0) {
            s[i] = 1 / (1 + expl(-s[i]));
            off[i] = off[i] / 4 + 0x1p-21L * s[i];
        } else if (strcmp(kind, "PROBIT") == 0) {
            long double own, z = probit_number(s[i], &own);
            off[i] = own + 2 * off[i] * sqrtl(2 * acosl(-1)) * expl(z * z / 2);
            s[i] = z;
        }
    }
}

static const char *post_of(const trial *self) {
    const char *kind = arg_text(self, "post_transform");
    return kind != NULL ? kind : "NONE";
}

static int is_probit(const trial *self) { return strcmp(post_of(self), "PROBIT") == 0; }

/* Offsets and weights; under PROBIT such that so many terms make scores in (0, 1). */
static float *offsets_of(const trial *self, const char *key, uint32_t count) {
    float *list = trial_floats(self, key, count, -1, 1);
    for (uint32_t i = 0; is_probit(self) && i < count; i++) {
        list[i] = ((i + self->seed) % 2 != 0 ? 0.25f : 0.75f) + list[i] / 16;
    }
    return list;
}
static float *weights_of(const trial *self, uint32_t count, uint32_t terms) {
    float *list = trial_floats(self, "coefficients", count, -2, 2);
    for (uint32_t i = 0; is_probit(self) && i < count; i++) {
        list[i] = ldexpf(list[i], -4 - (int)ceil(log2((double)terms))); /* sums stay exact */
    }
    return list;
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
    if (is_probit(self)) {
        input_range(self, 0, -1, 1);
    }
    return (self->rank == 1 || self->rank == 2) && dims_count(self->rank, self->dims) > 0;
}

static uint32_t features_of(const trial *self) { return (uint32_t)self->dims[self->rank - 1]; }
static uint32_t rows_of(const trial *self) { return self->rank == 2 ? (uint32_t)self->dims[0] : 1; }
static uint32_t classes_of(const trial *self) { return (uint32_t)arg_int(self, "E", 3); }
/* One row of coefficients has two labels, one or none. */
static uint32_t labels_of(const trial *self) {
    return (uint32_t)arg_int(self, "labels", classes_of(self));
}

static fer_status linear_build(const trial *self,
                               fer_graph *graph,
                               fer_context *context,
                               const fer_value_id *inputs,
                               fer_value_id *out) {
    uint32_t classes = classes_of(self), features = features_of(self), count = 0;
    fer_attr more[4];
    more[count++] = floats_attr(
        "coefficients", weights_of(self, classes * features, features), classes * features);
    if (!arg_int(self, "bare", 0)) {
        more[count++] = floats_attr("intercepts", offsets_of(self, "intercepts", classes), classes);
    }
    if (self->op->name[6] == 'C' && labels_of(self) > 0) {
        more[count++] =
            label_attr(self, "classlabels_ints", "classlabels_strings", labels_of(self));
    }
    return trial_node(self, context, graph, inputs, more, count, out);
}

/* Of one score: the label there is, or 1, where it is reached; 0 or an empty name elsewhere. */
static long double only_label(const trial *self, int is_reached) {
    return labels_of(self) > 0 && is_reached ? label_of(self, 0)
           : is_named(self)                  ? text_number("", 0)
                                             : is_reached;
}

static int linear_oracle(const trial *self, const nd *in, nd *out) {
    int has_label = self->op->name[6] == 'C';
    uint32_t classes = classes_of(self), features = features_of(self);
    uint32_t scores = has_label && classes == 1 && labels_of(self) == 2 ? 2 : classes;
    const float *w = weights_of(self, classes * features, features),
                *b = offsets_of(self, "intercepts", classes);
    results(self, rows_of(self), scores, has_label, out);
    for (uint32_t row = 0; row < rows_of(self); row++) {
        long double *s = out[has_label].v + row * scores,
                    *off = out[has_label].slack + row * scores;
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
        if (scores > classes) { /* one row speaks for the second label and against the first */
            s[1] = s[0];
            off[1] = off[0];
            s[0] = -s[1];
        }
        uint64_t best = best_of(s, scores);
        transform(post_of(self), scores, s, off);
        if (has_label) { /* SOFTMAX_ZERO alone changes the order */
            int is_zero = strcmp(post_of(self), "SOFTMAX_ZERO") == 0;
            out[0].v[row] =
                scores > 1
                    ? label_of(self, is_zero ? best_of(s, scores) : best)
                    : only_label(self,
                                 s[0] >= (arg_text(self, "post_transform") != NULL ? 0.5L : 0));
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

/* A bound of the kernels' sum, for PROBIT, whose cases have no POLY. */
static uint32_t terms_of(const trial *self, uint32_t vectors) {
    const char *kind = arg_text(self, "kernel_type");
    int is_bounded = kind != NULL && kind[0] != 'L' && vectors > 0;
    return (vectors > 0 ? vectors : 1) * (is_bounded ? 1 : features_of(self));
}

static fer_status svm_build(const trial *self,
                            fer_graph *graph,
                            fer_context *context,
                            const fer_value_id *inputs,
                            fer_value_id *out) {
    uint32_t features = features_of(self), count = 0,
             vectors = (uint32_t)arg_int(self, "n_supports", 0), classes = 0, rho = 1;
    int64_t each[8];
    fer_attr more[8];
    if (self->op->name[3] == 'C') {
        classes = vectors_of(self, each, 8);
        for (uint32_t i = 0; i < classes; i++) {
            vectors += (uint32_t)each[i];
        }
        rho = classes > 0 ? classes * (classes - 1) / 2 : 1;
        classes = classes > 0 ? classes : classes_of(self);
        more[count++] = label_attr(self, "classlabels_ints", "classlabels_strings", classes);
    }
    uint32_t weights = vectors > 0 ? vectors * (classes > 0 ? classes - 1 : 1)
                                   : features * (classes > 0 ? classes : 1);
    more[count++] =
        floats_attr("coefficients", weights_of(self, weights, terms_of(self, vectors)), weights);
    more[count++] = floats_attr("rho", offsets_of(self, "rho", rho), rho);
    if (arg_int(self, "prob", 0)) {
        more[count++] = floats_attr("prob_a", trial_floats(self, "prob_a", rho, -2, 2), rho);
        more[count++] = floats_attr("prob_b", trial_floats(self, "prob_b", rho, -1, 1), rho);
    }
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
                *w = weights_of(self, vectors > 0 ? vectors : features, terms_of(self, vectors));
    results(self, rows_of(self), 1, 0, out);
    for (uint32_t row = 0; row < rows_of(self); row++) {
        const long double *x = in->v + row * features;
        long double sum = (long double)*offsets_of(self, "rho", 1), off = 0, size = fabsl(sum);
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

/* ---- SVMClassifier: K classes of vectors, or E rows of coefficients ---- */

typedef struct machine {
    uint32_t features, classes, vectors, pairs;
    int64_t first[9]; /* vector of each class */
    const float *v, *w, *rho;
} machine;

static machine machine_of(const trial *self) {
    int64_t each[8];
    machine m = {.features = features_of(self), .classes = vectors_of(self, each, 8)};
    for (uint32_t i = 0; i < m.classes; i++) {
        m.first[i + 1] = m.first[i] + each[i];
    }
    m.vectors = (uint32_t)m.first[m.classes];
    m.pairs = m.classes * (m.classes - (m.classes > 0)) / 2;
    m.classes = m.classes > 0 ? m.classes : classes_of(self);
    m.v = trial_floats(self, "support_vectors", m.vectors * m.features, -1, 1);
    m.w = weights_of(self,
                     m.vectors > 0 ? m.vectors * (m.classes - 1) : m.features * m.classes,
                     terms_of(self, m.vectors));
    m.rho = offsets_of(self, "rho", m.vectors > 0 ? m.pairs : 1);
    return m;
}

/* One against one: a score a pair, above 0 for the first of it. */
static void score_pairs(const trial *self,
                        const machine *m,
                        const long double *x,
                        int64_t *votes,
                        long double *s,
                        long double *s_off) {
    for (uint32_t i = 0, pair = 0; i < m->classes; i++) {
        for (uint32_t j = i + 1; j < m->classes; j++, pair++) {
            long double sum = (long double)m->rho[pair], off = 0, size = fabsl(sum);
            for (int64_t k = 0; k < m->vectors; k++) {
                int is_first = k >= m->first[i] && k < m->first[i + 1];
                if (!is_first && (k < m->first[j] || k >= m->first[j + 1])) {
                    continue;
                }
                uint32_t against = is_first ? j - 1 : i;
                long double error,
                    kernel = kernel_of(self, x, m->v + k * m->features, m->features, &error),
                    weight = (long double)m->w[against * m->vectors + k];
                sum += kernel * weight;
                size += fabsl(kernel * weight);
                off += error * fabsl(weight);
            }
            s[pair] = sum;
            s_off[pair] = off + sum_slack(FER_F32, m->vectors, size);
            votes[sum > 0 ? i : j]++;
        }
    }
}

/* One sweep over the classes of Wu, Lin and Weng's second method (Probability estimates for
 * multi-class classification by pairwise coupling, 2004), as libsvm does it; how far it was off. */
static long double sweep(uint32_t k, long double q[8][8], long double *p) {
    long double qp[8], all = 0, worst = 0;
    for (uint32_t t = 0; t < k; t++) {
        qp[t] = 0;
        for (uint32_t j = 0; j < k; j++) {
            qp[t] += q[t][j] * p[j];
        }
        all += p[t] * qp[t];
    }
    for (uint32_t t = 0; t < k; t++) {
        worst = fmaxl(worst, fabsl(qp[t] - all));
    }
    for (uint32_t t = 0; worst >= 0.005L / k && t < k; t++) {
        long double step = (all - qp[t]) / q[t][t];
        p[t] += step;
        all = (all + step * (step * q[t][t] + 2 * qp[t])) / (1 + step) / (1 + step);
        for (uint32_t j = 0; j < k; j++) {
            qp[j] = (qp[j] + step * q[t][j]) / (1 + step);
            p[j] /= 1 + step;
        }
    }
    return worst;
}

/* Probabilities of the classes from the pairs' scores. Whoever stops a sweep sooner or later where
 * the rule is met by a hair, or goes on to the end, is right too. */
static void couple(const trial *self,
                   uint32_t k,
                   const long double *s,
                   const long double *s_off,
                   long double *p,
                   long double *p_off) {
    uint32_t pairs = k * (k - 1) / 2;
    const float *a = trial_floats(self, "prob_a", pairs, -2, 2),
                *b = trial_floats(self, "prob_b", pairs, -1, 1);
    long double r[8][8], q[8][8] = {{0}}, last[8] = {0}, off = 0;
    for (uint32_t i = 0, pair = 0; i < k; i++) {
        p[i] = 1 / (long double)k;
        for (uint32_t j = i + 1; j < k; j++, pair++) {
            long double at = s[pair] * (long double)a[pair] + (long double)b[pair];
            r[i][j] = fminl(fmaxl(1 / (1 + expl(at)), 1e-7L), 1 - 1e-7L);
            r[j][i] = 1 - r[i][j];
            off = fmaxl(off, fabsl((long double)a[pair]) * s_off[pair] / 4 + 0x1p-22L);
        }
    }
    for (uint32_t i = 0; i < k; i++) {
        for (uint32_t j = 0; j < k; j++) {
            q[i][i] += i != j ? r[j][i] * r[j][i] : 0;
            q[i][j] = i != j ? -r[j][i] * r[i][j] : q[i][j];
        }
    }
    for (uint32_t round = 0; round < 100; round++) {
        long double worst = sweep(k, q, p), edge = 0.005L / k;
        int is_near = fabsl(worst - edge) < edge * 0x1p-8L + 8 * off;
        for (uint32_t i = 0; i < k; i++) {
            p_off[i] = 16 * off + (is_near ? 2 * fabsl(p[i] - last[i]) + edge : 0);
            last[i] = p[i];
        }
        if (worst < edge) {
            break;
        }
    }
}

static int svm_classifier_oracle(const trial *self, const nd *in, nd *out) {
    machine m = machine_of(self);
    int has_chances = arg_int(self, "prob", 0) != 0;
    uint32_t scores = m.vectors > 0 && !has_chances && m.classes > 2 ? m.pairs : m.classes;
    results(self, rows_of(self), scores, 1, out);
    for (uint32_t row = 0; row < rows_of(self); row++) {
        const long double *x = in->v + row * m.features;
        long double pairs[28], pairs_off[28], *s = out[1].v + row * scores,
                                              *off = out[1].slack + row * scores;
        int64_t votes[8] = {0};
        uint32_t best = 0;
        if (m.vectors == 0) { /* rows of coefficients */
            for (uint32_t e = 0; e < m.classes; e++) {
                long double size = fabsl((long double)m.rho[0]);
                s[e] = (long double)m.rho[0];
                for (uint32_t i = 0; i < m.features; i++) {
                    s[e] += x[i] * (long double)m.w[e * m.features + i];
                    size += fabsl(x[i] * (long double)m.w[e * m.features + i]);
                }
                off[e] = sum_slack(FER_F32, m.features, size);
            }
            best = (uint32_t)best_of(s, m.classes);
        } else {
            score_pairs(self, &m, x, votes, pairs, pairs_off);
            for (uint32_t i = 1; i < m.classes; i++) {
                best = votes[i] > votes[best] ? i : best;
            }
        }
        if (has_chances) {
            couple(self, m.classes, pairs, pairs_off, s, off);
        } else if (m.vectors > 0) {
            memcpy(s + (scores - m.pairs), pairs, m.pairs * sizeof *s);
            memcpy(off + (scores - m.pairs), pairs_off, m.pairs * sizeof *s);
            if (scores > m.pairs) { /* two classes: the score and its opposite */
                s[0] = -pairs[0];
                off[0] = pairs_off[0];
            }
        }
        out[0].v[row] = label_of(self, best);
        transform(post_of(self), scores, s, off);
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
    {ML "LinearRegressor", NULL, SHAPES, "E=3,targets=3,post_transform=PROBIT E=1,post_transform=PROBIT", "ints uniform", fill_rows, linear_oracle, ROW_ZEROS, NULL, linear_build},
    {ML "LinearClassifier", NULL, SHAPES, POST("E=1,labels=2") POST("E=1,labels=1") POST("E=1,labels=0") "E=1,labels=2,names=1,T2=str E=1,labels=2,names=1,T2=str,post_transform=LOGISTIC E=1,labels=1,names=1,T2=str "
     "E=1,labels=1,names=1,T2=str,post_transform=LOGISTIC E=3,post_transform=PROBIT E=5,names=1,T2=str,post_transform=PROBIT E=1,labels=1,post_transform=PROBIT E=1,labels=0,post_transform=PROBIT", "ints uniform",
     fill_rows, linear_oracle, ROW_ZEROS, NULL, linear_build},
    {ML "SVMRegressor", NULL, SHAPES, KERNELS("n_supports=4") KERNELS("n_supports=1") "n_supports=0 n_supports=0,post_transform=LOGISTIC n_supports=5,one_class=1,kernel_type=RBF,kernel_params=0.5:0:0 n_supports=3,one_class=1", "ints uniform",
     fill_rows, svm_regressor_oracle, ROW_ZEROS, NULL, svm_build},
    {ML "SVMRegressor", NULL, SHAPES, "n_supports=4,kernel_type=RBF,kernel_params=0.5:0:0,post_transform=PROBIT n_supports=0,post_transform=PROBIT", "ints uniform", fill_rows, svm_regressor_oracle, ROW_ZEROS, NULL, svm_build},
    {ML "SVMClassifier", NULL, SHAPES, KERNELS("vectors_per_class=2:3:1") KERNELS("vectors_per_class=1:2:1:3") "vectors_per_class=2:2:2,names=1,T2=str,kernel_type=RBF,kernel_params=0.25:0:0", "ints uniform", fill_rows, svm_classifier_oracle,
     ROW_ZEROS, NULL, svm_build},
    {ML "SVMClassifier", NULL, SHAPES, KERNELS("vectors_per_class=2:3") KERNELS("vectors_per_class=2:3,prob=1") KERNELS("vectors_per_class=2:3:1,prob=1") POST("vectors_per_class=4:3,kernel_type=RBF,kernel_params=0.125:0:0")
     POST("vectors_per_class=4:3,prob=1,kernel_type=RBF,kernel_params=0.125:0:0") POST("E=2,kernel_type=LINEAR,kernel_params=0:0:0") POST("E=3,kernel_type=LINEAR,kernel_params=0:0:0") "vectors_per_class=1:2:1:3,prob=1,kernel_type=RBF,kernel_params=0.5:0:0,post_transform=PROBIT "
     "vectors_per_class=2:3,prob=1,kernel_type=RBF,kernel_params=0.5:0:0,post_transform=PROBIT vectors_per_class=2:3:1,kernel_type=RBF,kernel_params=0.5:0:0,post_transform=PROBIT E=3,kernel_type=LINEAR,kernel_params=0:0:0,post_transform=PROBIT "
     "vectors_per_class=3:2,names=1,T2=str,kernel_type=RBF,kernel_params=0.25:0:0 vectors_per_class=3:2,prob=1,names=1,T2=str,kernel_type=RBF,kernel_params=0.25:0:0 E=2,names=1,T2=str,kernel_type=LINEAR,kernel_params=0:0:0", "ints uniform",
     fill_rows, svm_classifier_oracle, ROW_ZEROS, NULL, svm_build},
};
/* clang-format on */

const case_family cases_ml_models = {"ml models", rows, sizeof rows / sizeof *rows};
