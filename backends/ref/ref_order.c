/* SPDX-License-Identifier: Apache-2.0
 *
 * Unique and NonMaxSuppression: ops that order their operand and give as much as they find. NaN is
 * equal to NaN and above all numbers. Both set their outputs' dims. Called through the step list.
 */
#include "kit/geometry.h"
#include "ref/ref_elements.h"

#include <math.h>
#include <string.h>

/* Negative, 0, positive: entry a against b. */
typedef int (*compare_fn)(const void *self, uint64_t a, uint64_t b);

/* A stable merge sort of count numbers; spare is as large. */
static fer_status sort_order(feri_ref_call *call,
                             uint64_t *order,
                             uint64_t *spare,
                             uint64_t count,
                             compare_fn compare,
                             const void *self,
                             uint64_t compare_cost) {
    for (uint64_t width = 1; width < count; width *= 2) {
        for (uint64_t from = 0; from < count; from += 2 * width) {
            uint64_t middle = count - from > width ? from + width : count;
            uint64_t end = count - middle > width ? middle + width : count;
            uint64_t left = from, right = middle;
            for (uint64_t i = from; i < end; i++) {
                int takes_left = right == end ||
                                 (left < middle && compare(self, order[left], order[right]) <= 0);
                spare[i] = takes_left ? order[left++] : order[right++];
                fer_status status = feri_ref_poll(call, compare_cost);
                if (status != FER_OK) {
                    return status;
                }
            }
        }
        memcpy(order, spare, count * sizeof(*order));
    }
    return FER_OK;
}

static int compare_f64(double a, double b) {
    if (a != a || b != b) {
        return (a != a) - (b != b);
    }
    return (a > b) - (a < b);
}

/* ---- Unique ---- */

typedef struct unique {
    const fer_host *host;
    feri_ref_tensor in; /* complex numbers as twice as many parts */
    uint64_t outer, count, inner;
    int is_float, is_signed;
} unique;

static int compare_slices(const void *self, uint64_t a, uint64_t b) {
    const unique *u = self;
    for (uint64_t o = 0; o < u->outer; o++) {
        for (uint64_t i = 0; i < u->inner; i++) {
            uint64_t at_a = (o * u->count + a) * u->inner + i;
            uint64_t at_b = (o * u->count + b) * u->inner + i;
            int order;
            if (u->is_float) {
                double pair[2];
                u->host->load_f64(u->in.dtype, u->in.data, at_a, 1, &pair[0]);
                u->host->load_f64(u->in.dtype, u->in.data, at_b, 1, &pair[1]);
                order = compare_f64(pair[0], pair[1]);
            } else {
                int64_t pair[2];
                u->host->load_i64(u->in.dtype, u->in.data, at_a, 1, &pair[0]);
                u->host->load_i64(u->in.dtype, u->in.data, at_b, 1, &pair[1]);
                uint64_t flip = u->is_signed ? UINT64_C(1) << 63 : 0;
                uint64_t x = (uint64_t)pair[0] ^ flip, y = (uint64_t)pair[1] ^ flip;
                order = (x > y) - (x < y);
            }
            if (order != 0) {
                return order;
            }
        }
    }
    return 0;
}

static fer_status unique_view(feri_ref_call *call, unique *u) {
    const feri_ref_tensor *in = call->in[0];
    const fer_attr *axis = feri_ref_attr(call->node, "axis");
    uint32_t kind = feri_kit_class(in->dtype), at = 0;
    *u = (unique){.host = call->host, .in = *in, .outer = 1, .count = in->count, .inner = 1};
    if (axis) {
        if (!feri_kit_axis(axis->value.i, in->rank, &at)) {
            return feri_ref_fail(call, FER_INVALID_MODEL, "axis does not exist in X");
        }
        u->outer = (uint64_t)feri_kit_span(in->dims, 0, at);
        u->count = (uint64_t)in->dims[at];
        u->inner = (uint64_t)feri_kit_span(in->dims, at + 1, in->rank);
    }
    if (kind == FERI_KIT_COMPLEX) {
        u->inner *= 2;
        u->in.dtype = in->dtype == FER_C64 ? FER_F32 : FER_F64;
    }
    u->is_float = kind == FERI_KIT_COMPLEX || kind == FERI_KIT_FLOAT;
    u->is_signed = kind == FERI_KIT_SIGNED;
    return FER_OK;
}

static fer_status unique_bind(feri_ref_call *call) {
    unique u = {.count = 0};
    fer_status status = unique_view(call, &u);
    call->scratch_bytes = (5 * u.count + 1) * sizeof(uint64_t); /* of nothing too: never NULL */
    return status;
}

/* Gives result index its count of entries; NULL when nobody wants it. */
static feri_ref_tensor *give(feri_ref_call *call, uint32_t index, uint64_t count) {
    feri_ref_tensor *out = index < call->node->output_count ? call->out[index] : NULL;
    if (out) {
        out->dims[0] = (int64_t)count;
        out->count = count;
    }
    return out;
}

static void store_index(feri_ref_call *call, feri_ref_tensor *out, uint64_t at, uint64_t value) {
    int64_t number = (int64_t)value;
    if (out) {
        call->host->store_i64(FER_I64, out->data, at, 1, &number);
    }
}

/* Slices first[g] of in to Y. */
static fer_status
give_values(feri_ref_call *call, const unique *u, const uint64_t *first, uint64_t groups) {
    feri_ref_tensor *y = call->out[0];
    const fer_attr *axis = feri_ref_attr(call->node, "axis");
    uint32_t bits = feri_ref_bits(u->in.dtype), at = 0;
    if (!y) {
        return FER_OK;
    }
    (void)feri_kit_axis(axis ? axis->value.i : 0, y->rank, &at);
    y->dims[at] = (int64_t)groups;
    y->count = (uint64_t)feri_kit_span(y->dims, 0, y->rank);
    for (uint64_t o = 0; o < u->outer; o++) {
        for (uint64_t g = 0; g < groups; g++) {
            uint64_t from = (o * u->count + first[g]) * u->inner;
            for (uint64_t done = 0; done < u->inner;) {
                uint64_t run = u->inner - done < 4096 ? u->inner - done : 4096;
                feri_ref_copy_run(bits,
                                  y->data,
                                  (o * groups + g) * u->inner + done,
                                  u->in.data,
                                  from + done,
                                  run);
                done += run;
                fer_status status = feri_ref_poll(call, run);
                if (status != FER_OK) {
                    return status;
                }
            }
        }
    }
    return FER_OK;
}

static fer_status unique_run(feri_ref_call *call) {
    unique u;
    fer_status status = unique_view(call, &u);
    if (status != FER_OK) {
        return status;
    }
    uint64_t n = u.count, groups = 0, cost = u.outer * u.inner < 4096 ? u.outer * u.inner : 4096;
    uint64_t *order = call->scratch, *group_of = order + n, *first = group_of + n;
    uint64_t *number = first + n, *count = number + n;
    for (uint64_t i = 0; i < n; i++) {
        order[i] = i;
    }
    status = sort_order(call, order, group_of, n, compare_slices, &u, cost + 1);
    for (uint64_t i = 0; status == FER_OK && i < n; i++) {
        if (i == 0 || compare_slices(&u, order[i - 1], order[i]) != 0) {
            first[groups] = order[i]; /* the sort is stable: the earliest of its group */
            number[groups] = groups;
            count[groups++] = 0;
        }
        group_of[order[i]] = groups - 1;
        count[groups - 1]++;
        status = feri_ref_poll(call, cost + 1);
    }
    if (status != FER_OK) {
        return status;
    }
    if (feri_ref_int(call->node, "sorted", 1) == 0) { /* by first appearance; order is free again */
        for (uint64_t i = 0, next = 0; i < n; i++) {
            if (first[group_of[i]] == i) {
                number[group_of[i]] = next;
                order[next++] = i;
            }
        }
    } else if (groups > 0) {
        memcpy(order, first, groups * sizeof(*order));
    }
    feri_ref_tensor *indices = give(call, 1, groups), *inverse = give(call, 2, n);
    feri_ref_tensor *counts = give(call, 3, groups);
    for (uint64_t g = 0; g < groups; g++) {
        store_index(call, indices, g, order[g]);
        store_index(call, counts, number[g], count[g]);
    }
    for (uint64_t i = 0; i < n; i++) {
        store_index(call, inverse, i, number[group_of[i]]);
    }
    return give_values(call, &u, order, groups);
}

/* ---- NonMaxSuppression ---- */

typedef struct suppression {
    feri_ref_call *call;
    uint64_t boxes;
    uint64_t most; /* of a class */
    double overlap, least_score;
    int has_least, is_center;
    const double *scores; /* of one class */
    uint64_t *order, *spare;
    uint64_t given;
} suppression;

/* Higher scores first; ties keep the order of boxes. */
static int compare_scores(const void *self, uint64_t a, uint64_t b) {
    const suppression *s = self;
    return compare_f64(s->scores[b], s->scores[a]);
}

/* A box as least and largest x and y. */
static void load_box(const suppression *s, uint64_t image, uint64_t box, double *out) {
    double raw[4];
    feri_ref_load_real(s->call, s->call->in[0], (image * s->boxes + box) * 4, 1, 4, raw);
    for (int i = 0; i < 2; i++) {
        double a = s->is_center ? raw[i] - raw[i + 2] / 2 : raw[i];
        double b = s->is_center ? raw[i] + raw[i + 2] / 2 : raw[i + 2];
        out[i] = s->is_center || a < b ? a : b;
        out[i + 2] = s->is_center || a < b ? b : a;
    }
}

static int overlaps(const suppression *s, uint64_t image, uint64_t a, uint64_t b) {
    double x[4], y[4];
    load_box(s, image, a, x);
    load_box(s, image, b, y);
    double common = 1;
    for (int i = 0; i < 2; i++) {
        double low = x[i] > y[i] ? x[i] : y[i];
        double high = x[i + 2] < y[i + 2] ? x[i + 2] : y[i + 2];
        if (!(high > low)) {
            return 0;
        }
        common *= high - low;
    }
    double area_x = (x[2] - x[0]) * (x[3] - x[1]), area_y = (y[2] - y[0]) * (y[3] - y[1]);
    double together = area_x + area_y - common;
    return area_x > 0 && area_y > 0 && together > 0 &&
           (float)(common / together) > (float)s->overlap;
}

static fer_status
select_class(suppression *s, uint64_t image, uint64_t class_index, uint64_t classes) {
    feri_ref_call *call = s->call;
    feri_ref_tensor *out = call->out[0];
    uint64_t candidates = 0, chosen = 0;
    double *scores = (double *)(void *)(s->spare + s->boxes);
    s->scores = scores;
    for (uint64_t done = 0; done < s->boxes;) {
        uint64_t run = s->boxes - done < 4096 ? s->boxes - done : 4096;
        feri_ref_load_real(call,
                           call->in[1],
                           (image * classes + class_index) * s->boxes + done,
                           1,
                           run,
                           scores + done);
        done += run;
        if (feri_ref_poll(call, run)) {
            return call->status;
        }
    }
    for (uint64_t i = 0; i < s->boxes; i++) {
        if (!s->has_least || scores[i] >= s->least_score) {
            s->order[candidates++] = i;
        }
    }
    fer_status status =
        sort_order(call, s->order, s->spare, candidates, compare_scores, s, /*compare_cost=*/2);
    for (uint64_t i = 0; status == FER_OK && i < candidates && chosen < s->most; i++) {
        int is_kept = 1;
        for (uint64_t k = 0; status == FER_OK && k < chosen && is_kept; k++) {
            is_kept = !overlaps(s, image, s->order[i], s->spare[k]);
            status = feri_ref_poll(call, 16);
        }
        if (is_kept && status == FER_OK) {
            store_index(call, out, s->given * 3, image);
            store_index(call, out, s->given * 3 + 1, class_index);
            store_index(call, out, s->given++ * 3 + 2, s->order[i]);
            s->spare[chosen++] = s->order[i];
        }
    }
    return status;
}

static fer_status suppress_bind(feri_ref_call *call) {
    const feri_ref_tensor *boxes = call->in[0], *scores = call->in[1];
    int fits = boxes->rank == 3 && scores->rank == 3 && boxes->dims[2] == 4 &&
               scores->dims[2] == boxes->dims[1] && scores->dims[0] == boxes->dims[0];
    if (!fits) {
        return feri_ref_misfit(call, "boxes and scores do not fit each other");
    }
    call->scratch_bytes = (3 * (uint64_t)boxes->dims[1] + 1) * sizeof(uint64_t); /* as above */
    return FER_OK;
}

static fer_status suppress_run(feri_ref_call *call) {
    const feri_ref_tensor *scores = call->in[1], *limits[3] = {NULL, NULL, NULL};
    feri_ref_tensor *out = call->out[0];
    suppression s = {.call = call, .boxes = (uint64_t)scores->dims[2], .order = call->scratch};
    s.spare = s.order + s.boxes;
    for (uint32_t i = 0; i < 3; i++) {
        limits[i] = i + 2 < call->node->input_count ? call->in[i + 2] : NULL;
        if (limits[i] && limits[i]->count != 1) {
            return feri_ref_misfit(call, "the limits must be scalars");
        }
    }
    int64_t most = limits[0] ? feri_ref_scalar_i64(call, limits[0], 0) : 0;
    uint64_t room = out->count / 3;
    s.most = most > 0 ? (uint64_t)most : 0;
    s.overlap = limits[1] ? feri_ref_scalar_f64(call, limits[1], 0) : 0;
    s.has_least = limits[2] != NULL;
    s.least_score = limits[2] ? feri_ref_scalar_f64(call, limits[2], 0) : 0;
    s.is_center = feri_ref_int(call->node, "center_point_box", 0) != 0;
    uint64_t classes = (uint64_t)scores->dims[1], lanes = (uint64_t)scores->dims[0] * classes;
    fer_status status = FER_OK;
    for (uint64_t lane = 0; status == FER_OK && lane < lanes; lane++) {
        uint64_t left = room - s.given;
        s.most = s.most < left ? s.most : left; /* what the host made room for */
        status = select_class(&s, lane / classes, lane % classes, classes);
    }
    out->dims[0] = (int64_t)s.given;
    out->count = s.given * 3;
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_order[] = {
    FERI_REF_KERNEL(Unique, 11, .run = unique_run, .bind = unique_bind)
    FERI_REF_KERNEL(NonMaxSuppression, 11, .run = suppress_run, .bind = suppress_bind)
    FERI_REF_END
};
/* clang-format on */
