/* SPDX-License-Identifier: Apache-2.0
 *
 * post_transform of ai.onnx.ml. SOFTMAX_ZERO leaves scores of 0 out of the softmax; PROBIT is
 * Winitzki's approximation of the inverse normal distribution, as in ONNX Runtime.
 */
#include "ref/ref_scores.h"

#include <math.h>

int64_t feri_ref_post_transform(const fer_node_view *node) {
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    for (int64_t i = 0; i < 5; i++) {
        if (feri_ref_string_is(node, "post_transform", "NONE", names[i])) {
            return i;
        }
    }
    return FERI_REF_RAW;
}

static double probit(double score) {
    double t = 2 * score - 1, l = log((1 - t) * (1 + t));
    double v = 2 / (3.14159265358979323846 * 0.147) + 0.5 * l;
    return sqrt(2) * copysign(sqrt(sqrt(v * v - l / 0.147) - v), t);
}

void feri_ref_transform_scores(int64_t kind, uint64_t count, double *scores) {
    double most = -INFINITY, sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        most = scores[i] > most ? scores[i] : most;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (kind == FERI_REF_LOGISTIC) {
            scores[i] = 1 / (1 + exp(-scores[i]));
        } else if (kind == FERI_REF_PROBIT) {
            scores[i] = probit(scores[i]);
        } else if (kind != FERI_REF_RAW) {
            int counts = kind == FERI_REF_SOFTMAX || fabs(scores[i]) > 1e-7;
            scores[i] = counts ? exp(scores[i] - most) : scores[i] * exp(-most);
            sum += scores[i];
        }
    }
    for (uint64_t i = 0; (kind == FERI_REF_SOFTMAX || kind == FERI_REF_SOFTMAX_ZERO) && i < count;
         i++) {
        scores[i] = sum == 0 ? 0.5 : scores[i] / sum;
    }
}
