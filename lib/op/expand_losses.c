/* SPDX-License-Identifier: Apache-2.0
 *
 * Expansions of the two classification losses: the score at each target, weighed, with ignored
 * targets counting nothing. Texts of graph/expand.h; any rank.
 */
#include "op/infer.h"

#include <string.h>

/* The loss from log-probabilities. Where a target is ignored, class 0 is read in its place and
 * neither the score nor its weight counts. */
static fer_status add_loss(feri_infer *call,
                           feri_text *out_body,
                           const char *scores,
                           const char *target,
                           const char *weight,
                           const char *loss) {
    const char *reduction = feri_infer_string(call, "reduction", "mean");
    int is_none = strcmp(reduction, "none") == 0;
    int is_mean = strcmp(reduction, "mean") == 0;
    int skips = feri_attr_find(call->attrs, call->attr_count, "ignore_index") != NULL;
    feri_text_add(out_body, "t = Unsqueeze(%s, {i64: 1})\n", target);
    if (skips) {
        feri_text_add(out_body,
                      "skip = Equal(t, {@ignore_index: t})\n"
                      "safe = Where(skip, {0: t}, t)\n"
                      "g = Neg(GatherElements(%s, safe, axis=1))\n"
                      "l = Where(skip, {0: g}, g)\n",
                      scores);
    } else {
        feri_text_add(out_body, "l = Neg(GatherElements(%s, t, axis=1))\n", scores);
    }
    if (weight) {
        feri_text_add(out_body,
                      skips ? "gw = Gather(%s, safe)\nw = Where(skip, {0: gw}, gw)\n"
                            : "w = Gather(%s, t)\n",
                      weight);
    } else if (skips && is_mean) {
        feri_text_add(out_body, "w = Cast(Not(skip), to=l)\n");
    }
    feri_text_add(out_body, weight ? "p = Mul(l, w)\n" : "p = Identity(l)\n");
    if (is_none) {
        feri_text_add(out_body, "%s = Squeeze(p, {i64: 1})\n", loss);
    } else if (is_mean && (weight || skips)) {
        feri_text_add(
            out_body, "%s = Div(ReduceSum(p, keepdims=0), ReduceSum(w, keepdims=0))\n", loss);
    } else {
        feri_text_add(
            out_body, "%s = %s(p, keepdims=0)\n", loss, is_mean ? "ReduceMean" : "ReduceSum");
    }
    return out_body->status;
}

fer_status feri_expand_nll_loss(feri_infer *call, feri_text *out_body) {
    return add_loss(
        call, out_body, "input", "target", feri_infer_in(call, 2) ? "weight" : NULL, "loss");
}

fer_status feri_expand_cross_entropy(feri_infer *call, feri_text *out_body) {
    feri_text_add(out_body, "log_prob = LogSoftmax(scores, axis=1)\n");
    return add_loss(
        call, out_body, "log_prob", "labels", feri_infer_in(call, 2) ? "weights" : NULL, "output");
}
