/* SPDX-License-Identifier: Apache-2.0
 *
 * What ai.onnx.ml's models do to their scores at the end: the post_transform attribute. Used by
 * trees and support vector machines.
 */
#ifndef FERI_REF_SCORES_H
#define FERI_REF_SCORES_H

#include "ref/ref.h"

enum { FERI_REF_RAW, FERI_REF_SOFTMAX, FERI_REF_LOGISTIC, FERI_REF_SOFTMAX_ZERO, FERI_REF_PROBIT };

/* The string attribute post_transform; raw where it is absent or not known. */
int64_t feri_ref_post_transform(const fer_node_view *node);
/* In place, over one row. */
void feri_ref_transform_scores(int64_t kind, uint64_t count, double *scores);

#endif
