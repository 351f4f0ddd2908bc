/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that choose by comparing: Unique in its order and forms, NonMaxSuppression.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* ---- Unique: lines of elements along the axis, or single elements ---- */

static int order_elements(const trial *self, uint64_t a, uint64_t b) {
    const case_input *x = &self->inputs[0];
    if (x->dtype == FER_STRING) {
        size_t m, n;
        const char *left = fer_tensor_string(x->tensor, a, &m),
                   *right = fer_tensor_string(x->tensor, b, &n);
        int order = m > 0 && n > 0 ? memcmp(left, right, m < n ? m : n) : 0;
        return order != 0 ? order : m < n ? -1 : m > n;
    }
    uint64_t parts;
    fer_dtype part = dtype_part(x->dtype, &parts);
    for (uint64_t k = 0; k < parts; k++) {
        long double left = number_get(part, fer_tensor_data(x->tensor), a * parts + k),
                    right = number_get(part, fer_tensor_data(x->tensor), b * parts + k);
        if (left != right) {
            return left < right ? -1 : 1;
        }
    }
    return 0;
}

/* Line k has outer * inner elements; element e of it. */
typedef struct lines {
    uint64_t outer, inner, count;
} lines;
static uint64_t line_element(const lines *l, uint64_t k, uint64_t e) {
    return (e / l->inner * l->count + k) * l->inner + e % l->inner;
}
static int order_lines(const trial *self, const lines *l, uint64_t a, uint64_t b) {
    int order = 0;
    for (uint64_t e = 0; order == 0 && e < l->outer * l->inner; e++) {
        order = order_elements(self, line_element(l, a, e), line_element(l, b, e));
    }
    return order;
}

static int fill_unique(trial *self) {
    return arg_text(self, "axis") == NULL || (axis_of(arg_int(self, "axis", 0), self->rank) >= 0 &&
                                              dims_count(self->rank, self->dims) > 0);
}

/* first[]: the lines that are kept, in order. */
static uint64_t keep_lines(const trial *self, const lines *l, uint64_t *first) {
    uint64_t kept = 0;
    for (uint64_t k = 0; k < l->count; k++) {
        uint64_t at = 0;
        int order = 1;
        while (at < kept && (order = order_lines(self, l, first[at], k)) != 0 &&
               (order < 0 || arg_int(self, "sorted", 1) == 0)) {
            at++;
        }
        if (at < kept && order == 0) {
            continue;
        }
        memmove(first + at + 1, first + at, (kept - at) * sizeof *first);
        first[at] = k;
        kept++;
    }
    return kept;
}

static int unique_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis =
                arg_text(self, "axis") != NULL ? axis_of(arg_int(self, "axis", 0), in->rank) : -1,
            dims[FER_MAX_RANK];
    lines l = {.outer = 1, .inner = 1, .count = in->count};
    if (axis >= 0) {
        l = (lines){dims_count((uint32_t)axis, in->dims),
                    dims_count(in->rank - (uint32_t)axis - 1, in->dims + axis + 1),
                    (uint64_t)in->dims[axis]};
    }
    uint64_t *first = trial_memory(self, (l.count + 1) * sizeof *first),
             kept = keep_lines(self, &l, first), each = l.outer * l.inner;
    memcpy(dims, in->dims, sizeof dims);
    dims[axis < 0 ? 0 : axis] = (int64_t)kept;
    nd_make(self, &out[0], axis < 0 ? 1 : in->rank, dims);
    lines to = {l.outer, l.inner, kept};
    for (uint64_t k = 0; k < kept; k++) {
        for (uint64_t e = 0; e < each; e++) {
            out->v[line_element(&to, k, e)] = in->v[line_element(&l, first[k], e)];
        }
    }
    int64_t sizes[] = {0, (int64_t)kept, (int64_t)l.count, (int64_t)kept};
    for (uint32_t o = 1; o < self->output_count; o++) {
        nd_make(self, &out[o], 1, &sizes[o]);
    }
    for (uint64_t i = 0; self->output_count > 1 && i < l.count; i++) {
        uint64_t k = 0;
        while (order_lines(self, &l, first[k], i) != 0) {
            k++;
        }
        out[1].v[k] = (long double)first[k];
        if (self->output_count > 2) {
            out[2].v[i] = (long double)k;
        }
        if (self->output_count > 3) {
            out[3].v[k]++;
        }
    }
    return 1;
}

/* ---- NonMaxSuppression ---- */

/* Shape words are [batches, classes, boxes]. */
static int fill_suppress(trial *self) {
    static const double exact[] = {0, 0, 1, 1,   0, 0,   1, 0.5, 0.5, 0, 1, 1, 2, 2,
                                   3, 3, 2, 2.5, 3, 3.5, 1, 1,   0,   0, 0, 1, 1, 0};
    if (self->rank != 3) {
        return 0;
    }
    input_dims(self, 0, 3, (int64_t[]){self->dims[0], self->dims[2], 4});
    input_range(self, 0, arg_int(self, "center_point_box", 0) != 0 ? 0.125 : -1, 1);
    if (arg_int(self, "exact", 0) != 0) {
        self->inputs[0].fill = FILL_LIST;
        self->inputs[0].list_count = sizeof exact / sizeof *exact;
        memcpy(self->inputs[0].list, exact, sizeof exact);
    }
    input_range(self, 1, 0, 1);
    if (arg_int(self, "even", 0) != 0) { /* scores that meet the threshold; none twice in a class */
        self->inputs[1].fill = FILL_WHEEL;
        self->inputs[1].low = 1.0 / 16;
        self->inputs[1].high = 4;
    }
    return 1;
}

typedef struct box {
    long double low[2], high[2];
} box;
static void box_read(const trial *self, const long double *v, box *out) {
    for (int k = 0; k < 2; k++) {
        int is_center = arg_int(self, "center_point_box", 0) != 0;
        long double a = is_center ? v[k] - v[k + 2] / 2 : v[k],
                    b = is_center ? v[k] + v[k + 2] / 2 : v[k + 2];
        out->low[k] = fminl(a, b);
        out->high[k] = fmaxl(a, b);
    }
}
static long double overlap(const trial *self, const long double *a, const long double *b) {
    box x, y;
    long double both = 1, first = 1, second = 1;
    box_read(self, a, &x);
    box_read(self, b, &y);
    for (int k = 0; k < 2; k++) {
        both *= fmaxl(0, fminl(x.high[k], y.high[k]) - fmaxl(x.low[k], y.low[k]));
        first *= x.high[k] - x.low[k];
        second *= y.high[k] - y.low[k];
    }
    return both > 0 ? both / (first + second - both) : 0;
}

/* Of one class of one batch; writes box numbers, returns how many. */
static int64_t
suppress(const trial *self, const nd *in, int64_t batch, int64_t class, int64_t *chosen) {
    int64_t boxes = in->dims[1], count = 0, most = in[2].v != NULL ? (int64_t)in[2].v[0] : 0;
    long double threshold = in[3].v != NULL ? in[3].v[0] : 0;
    const long double *scores = in[1].v + (batch * in[1].dims[1] + class) * boxes,
                      *all = in->v + batch * boxes * 4;
    uint8_t *is_gone = trial_memory(self, (uint64_t)boxes + 1);
    while (count < most) {
        int64_t best = -1;
        for (int64_t i = 0; i < boxes; i++) {
            int is_low = in[4].v != NULL && scores[i] < in[4].v[0];
            if (!is_gone[i] && !is_low && (best < 0 || scores[i] > scores[best])) {
                best = i;
            }
        }
        if (best < 0) {
            break;
        }
        is_gone[best] = 1;
        chosen[count++] = best;
        for (int64_t i = 0; i < boxes; i++) {
            is_gone[i] |= overlap(self, all + 4 * i, all + 4 * best) > threshold;
        }
    }
    return count;
}

static int suppress_oracle(const trial *self, const nd *in, nd *out) {
    int64_t boxes = in->dims[1], classes = in[1].dims[1], total = 0;
    int64_t *chosen = trial_memory(self, ((uint64_t)boxes + 1) * sizeof *chosen);
    long double *found = trial_memory(self, (in[1].count * 3 + 1) * sizeof *found);
    for (int64_t g = 0; g < in->dims[0] * classes; g++) {
        int64_t count = suppress(self, in, g / classes, g % classes, chosen);
        for (int64_t i = 0; i < count; i++, total++) {
            found[3 * total] = g / classes;
            found[3 * total + 1] = g % classes;
            found[3 * total + 2] = chosen[i];
        }
    }
    nd_make(self, out, 2, (int64_t[]){total, 3});
    memcpy(out->v, found, out->count * sizeof *found);
    return 1;
}

/* clang-format off */
#define FORMS "- outs=4 sorted=0,outs=4 outs=2 outs=3,sorted=0 axis=0 axis=0,outs=4 axis=-1,outs=4 axis=1,sorted=0,outs=4 axis=-1,outs=4,sorted=0"
static const case_row rows[] = {
    {"Unique", "i8|i16|i32|u8|u16|u32|u64|f32|f64|f16|bool|complex", "vector one odd prime tall empty 2x2x2 4x3", FORMS, "ints", fill_unique, unique_oracle, ROW_MOVEMENT, NULL, NULL},
    {"Unique", "i64", "vector one odd prime tall empty 2x2x2 4x3", FORMS, "ints extreme", fill_unique, unique_oracle, ROW_EXACT | ROW_ZEROS, NULL, NULL},
    {"Unique", "str", "vector one odd prime 2x2x2 4x3", FORMS, "ints", fill_unique, unique_oracle, ROW_MOVEMENT, NULL, NULL},
    {"Unique", "i32|u64|i8|u8", "vector odd", FORMS, "extreme", fill_unique, unique_oracle, ROW_MOVEMENT, NULL, NULL},
    {"NonMaxSuppression", NULL, "1x1x7 2x3x13 1x2x61 3x1x1 2x2x0",
     "- max_output_boxes_per_class=3 max_output_boxes_per_class=100,iou_threshold=0.5 max_output_boxes_per_class=5,iou_threshold=0.3,score_threshold=0.4 "
     "max_output_boxes_per_class=0:,iou_threshold=0.5: max_output_boxes_per_class=20:,iou_threshold=0.25:,score_threshold=0.1: "
     "max_output_boxes_per_class=4,iou_threshold=0.4,center_point_box=1 max_output_boxes_per_class=50,iou_threshold=0.1,score_threshold=0.2,center_point_box=1 "
     "max_output_boxes_per_class=50,iou_threshold=1 max_output_boxes_per_class=9,score_threshold=2 max_output_boxes_per_class=9,exact=1,iou_threshold=0.5 "
     "max_output_boxes_per_class=9,exact=1,iou_threshold=0.25 max_output_boxes_per_class=9,exact=1 max_output_boxes_per_class=99,even=1,iou_threshold=0.9,score_threshold=0.25:",
     "uniform", fill_suppress, suppress_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_pick = {"pick", rows, sizeof rows / sizeof *rows};
