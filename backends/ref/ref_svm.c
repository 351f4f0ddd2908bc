/* SPDX-License-Identifier: Apache-2.0
 *
 * SVMClassifier. With support vectors each pair of classes votes (libsvm's one against one), and
 * probabilities, where asked for, couple the pairs (Wu, Lin, Weng 2004, the second method); without
 * them a row of coefficients per class scores. Results as in onnx.reference. All in f64. Called
 * through the step list.
 */
#include "ref/ref_line.h"
#include "ref/ref_scores.h"

#include <math.h>
#include <string.h>

enum { LINEAR, POLY, RBF, SIGMOID };

typedef struct machine {
    uint64_t features, classes, vectors, pairs, scores;
    int64_t kernel;
    double gamma, coef0, degree;
    const float *coefficients, *support, *rho, *prob_a, *prob_b;
    uint64_t rho_count;
    const int64_t *each, *labels;
} machine;

static const float *floats(feri_ref_call *call, const char *name, uint64_t *out_count) {
    const fer_attr *attr = feri_ref_attr(call->node, name);
    int is_list = attr && attr->type == FER_ATTR_FLOATS && attr->count > 0;
    *out_count = is_list ? attr->count : 0;
    return is_list ? attr->value.floats : NULL;
}

static const int64_t *ints(feri_ref_call *call, const char *name, uint64_t *out_count) {
    const fer_attr *attr = feri_ref_attr(call->node, name);
    int is_list = attr && attr->type == FER_ATTR_INTS && attr->count > 0;
    *out_count = is_list ? attr->count : 0;
    return is_list ? attr->value.ints : NULL;
}

static int read_kernel(feri_ref_call *call, machine *p) {
    static const char *const names[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    uint64_t count;
    const float *params = floats(call, "kernel_params", &count);
    p->kernel = -1;
    for (int64_t i = 0; i < 4; i++) {
        p->kernel =
            feri_ref_string_is(call->node, "kernel_type", "LINEAR", names[i]) ? i : p->kernel;
    }
    if (params && count >= 3) {
        p->gamma = (double)params[0];
        p->coef0 = (double)params[1];
        p->degree = trunc((double)params[2]);
    }
    return p->kernel >= 0;
}

/* Vectors of all classes; 0 when vectors_per_class is not what it should be. */
static int count_vectors(machine *p, uint64_t classes) {
    p->vectors = 0;
    for (uint64_t i = 0; p->each && i < classes; i++) {
        if (p->each[i] < 0 || p->each[i] > INT32_MAX) {
            return 0;
        }
        p->vectors += (uint64_t)p->each[i];
    }
    return 1;
}

static fer_status bind(feri_ref_call *call) {
    machine *p = call->params;
    const feri_ref_tensor *x = call->in[0], *y = feri_ref_output(call, 0);
    const feri_ref_tensor *z = feri_ref_output(call, 1);
    uint64_t weights, support, a, b, each, labels;
    p->coefficients = floats(call, "coefficients", &weights);
    p->support = floats(call, "support_vectors", &support);
    p->rho = floats(call, "rho", &p->rho_count);
    p->prob_a = floats(call, "prob_a", &a);
    p->prob_b = floats(call, "prob_b", &b);
    p->each = ints(call, "vectors_per_class", &each);
    p->labels = ints(call, "classlabels_ints", &labels);
    p->features = x->rank ? (uint64_t)x->dims[x->rank - 1] : 0;
    p->classes = labels;
    p->pairs = labels * (labels - (labels > 0)) / 2;
    if (labels < 1 || x->rank < 1 || x->rank > 2 || !p->coefficients || p->rho_count == 0 ||
        !read_kernel(call, p) || (p->each && each != labels) || !count_vectors(p, labels)) {
        return feri_ref_fail(call,
                             FER_INVALID_MODEL,
                             "its labels, coefficients, rho, kernel or vectors_per_class are "
                             "missing or do not fit");
    }
    uint64_t rows = x->rank == 2 ? (uint64_t)x->dims[0] : 1;
    p->scores = p->vectors && !p->prob_a && labels > 2 ? p->pairs : labels;
    int fits = p->vectors ? support == p->vectors * p->features &&
                                weights == p->vectors * (labels - 1) && p->rho_count >= p->pairs
                          : weights == labels * p->features;
    fits &= !p->prob_a || !p->vectors || (a == p->pairs && b == p->pairs);
    fits &= (!y || y->count == rows) && (!z || z->count == rows * p->scores);
    /* A row, kernels of its vectors, scores of pairs and classes, votes, two matrices of classes.
     */
    uint64_t most = p->pairs > p->classes ? p->pairs : p->classes;
    call->scratch_bytes =
        (p->features + p->vectors + most + 4 * p->classes + 2 * p->classes * p->classes) *
        sizeof(double);
    return fits ? FER_OK
                : feri_ref_fail(call,
                                FER_INVALID_MODEL,
                                "the coefficients, vectors and probabilities do not fit X and the "
                                "classes");
}

static double kernel_dot(const machine *p, const double *x, const float *v, int64_t kernel) {
    double sum = 0;
    for (uint64_t i = 0; i < p->features; i++) {
        double other = (double)v[i], away = x[i] - other;
        sum += kernel == RBF ? away * away : x[i] * other;
    }
    switch (kernel) {
    case POLY:
        return pow(p->gamma * sum + p->coef0, p->degree);
    case RBF:
        return exp(-p->gamma * sum);
    case SIGMOID:
        return tanh(p->gamma * sum + p->coef0);
    default:
        return sum;
    }
}

/* The part of a pair's score that class own adds, with the coefficients against other. */
static double
half_score(const machine *p, uint64_t own, uint64_t other, uint64_t first, const double *kernels) {
    const float *row = p->coefficients + (other > own ? other - 1 : other) * p->vectors;
    double sum = 0;
    for (uint64_t v = first; v < first + (uint64_t)p->each[own]; v++) {
        sum += (double)row[v] * kernels[v];
    }
    return sum;
}

static fer_status
score_pairs(feri_ref_call *call, const double *kernels, double *scores, double *votes) {
    const machine *p = call->params;
    uint64_t pair = 0, first_i = 0;
    for (uint64_t i = 0; i < p->classes; i++) {
        uint64_t first_j = first_i + (uint64_t)p->each[i];
        for (uint64_t j = i + 1; j < p->classes; j++, pair++) {
            scores[pair] = (double)p->rho[pair] + half_score(p, i, j, first_i, kernels) +
                           half_score(p, j, i, first_j, kernels);
            votes[scores[pair] > 0 ? i : j] += 1;
            first_j += (uint64_t)p->each[j];
            fer_status status = feri_ref_poll(call, (uint64_t)(p->each[i] + p->each[j]) % 4096 + 1);
            if (status != FER_OK) {
                return status;
            }
        }
        first_i += (uint64_t)p->each[i];
    }
    return FER_OK;
}

static double clamp(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

/* Probabilities of classes from those of pairs: minimises the sum of squares of r_ji p_i - r_ij p_j
 * under sum p = 1, one class at a time. */
static fer_status couple(feri_ref_call *call, const double *scores, double *r, double *out) {
    const machine *p = call->params;
    uint64_t k = p->classes, pair = 0, rounds = k > 100 ? k : 100;
    double *q = r + k * k, *qp = out + k, stop = 0.005 / (double)k;
    for (uint64_t i = 0; i < k; i++) {
        for (uint64_t j = i + 1; j < k; j++, pair++) {
            double at = scores[pair] * (double)p->prob_a[pair] + (double)p->prob_b[pair];
            r[i * k + j] = clamp(1 / (1 + exp(at)), 1e-7, 1 - 1e-7);
            r[j * k + i] = 1 - r[i * k + j];
        }
    }
    for (uint64_t t = 0; t < k; t++) {
        out[t] = 1 / (double)k;
        q[t * k + t] = 0;
        for (uint64_t j = 0; j < k; j++) {
            q[t * k + t] += j != t ? r[j * k + t] * r[j * k + t] : 0;
            q[t * k + j] = j != t ? -r[j * k + t] * r[t * k + j] : q[t * k + t];
        }
        for (uint64_t j = 0; j < t; j++) {
            q[t * k + j] = q[j * k + t];
        }
    }
    for (uint64_t round = 0; round < rounds; round++) {
        double pqp = 0, worst = 0;
        for (uint64_t t = 0; t < k; t++) {
            qp[t] = 0;
            for (uint64_t j = 0; j < k; j++) {
                qp[t] += q[t * k + j] * out[j];
            }
            pqp += out[t] * qp[t];
        }
        for (uint64_t t = 0; t < k; t++) {
            worst = fabs(qp[t] - pqp) > worst ? fabs(qp[t] - pqp) : worst;
        }
        for (uint64_t t = 0; worst >= stop && t < k; t++) {
            double step = (pqp - qp[t]) / q[t * k + t];
            out[t] += step;
            pqp = (pqp + step * (step * q[t * k + t] + 2 * qp[t])) / (1 + step) / (1 + step);
            for (uint64_t j = 0; j < k; j++) {
                qp[j] = (qp[j] + step * q[t * k + j]) / (1 + step);
                out[j] /= 1 + step;
            }
        }
        fer_status status = feri_ref_poll(call, 2 * k * k % 4096 + 1);
        if (status != FER_OK || worst < stop) {
            return status;
        }
    }
    return FER_OK;
}

/* The best of count; the first of equals. */
static uint64_t best(const double *values, uint64_t count) {
    uint64_t at = 0;
    for (uint64_t i = 1; i < count; i++) {
        at = values[i] > values[at] ? i : at;
    }
    return at;
}

static fer_status
finish(feri_ref_call *call, uint64_t row, double *scores, uint64_t count, uint64_t winner) {
    const machine *p = call->params;
    int64_t post = feri_ref_post_transform(call->node);
    int64_t label = p->labels[winner];
    if (count == 1 && p->scores == 2) { /* one pair: the score and its opposite */
        scores[1] = scores[0];
        scores[0] = -scores[1];
        count = 2;
    }
    feri_ref_transform_scores(post, count, scores);
    if (feri_ref_output(call, 0)) {
        feri_ref_store_int(call, call->out[0], row, 1, 1, &label);
    }
    if (feri_ref_output(call, 1)) {
        feri_ref_store_real(call, call->out[1], row * p->scores, 1, p->scores, scores);
    }
    return feri_ref_poll(call, count % 4096 + 1);
}

static fer_status run_row(feri_ref_call *call, uint64_t row) {
    const machine *p = call->params;
    uint64_t most = p->pairs > p->classes ? p->pairs : p->classes;
    double *x = call->scratch, *kernels = x + p->features, *scores = kernels + p->vectors;
    double *votes = scores + most, *chances = votes + p->classes, *r = chances + 2 * p->classes;
    memset(scores, 0, (most + p->classes) * sizeof(double));
    feri_ref_load_real(call, call->in[0], row * p->features, 1, p->features, x);
    for (uint64_t v = 0; v < (p->vectors ? p->vectors : p->classes); v++) {
        const float *list = p->vectors ? p->support : p->coefficients;
        double value = kernel_dot(p, x, list + v * p->features, p->vectors ? p->kernel : LINEAR);
        *(p->vectors ? &kernels[v] : &scores[v]) = value + (p->vectors ? 0 : (double)p->rho[0]);
        fer_status status = feri_ref_poll(call, p->features % 4096 + 1);
        if (status != FER_OK) {
            return status;
        }
    }
    if (!p->vectors) {
        uint64_t winner = best(scores, p->classes);
        return finish(call, row, scores, p->classes, winner);
    }
    fer_status status = score_pairs(call, kernels, scores, votes);
    uint64_t winner = best(votes, p->classes);
    if (status == FER_OK && p->prob_a) {
        status = couple(call, scores, r, chances);
        return status ? status : finish(call, row, chances, p->classes, winner);
    }
    return status ? status : finish(call, row, scores, p->pairs, winner);
}

static fer_status run(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0];
    uint64_t rows = x->rank == 2 ? (uint64_t)x->dims[0] : 1;
    fer_status status = FER_OK;
    for (uint64_t row = 0; status == FER_OK && row < rows; row++) {
        status = run_row(call, row);
    }
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_svm[] = {
    FERI_REF_KERNEL(ml_SVMClassifier, 1, .run = run, .bind = bind, .params_bytes = sizeof(machine))
    FERI_REF_END
};
/* clang-format on */
