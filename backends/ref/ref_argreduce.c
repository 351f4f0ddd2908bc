/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that compare or accumulate along one axis: ArgMax, ArgMin, Hardmax, TopK, CumSum, CumProd.
 * Elements are compared through unsigned keys in their own order, so that one code serves every
 * dtype exactly; NaN is larger than every number (for ArgMin too it is found first, as in numpy),
 * equal elements keep the order of their indices. Called by the executor through its table.
 */
#include "ref/ref_elements.h"

#include <math.h>
#include <string.h>

#define SIGN ((uint64_t)1 << 63)

/* Keys of count elements from start, stride apart; is_least turns the order of numbers round. */
static void load_keys(feri_ref_call *call,
                      const feri_ref_tensor *t,
                      uint64_t start,
                      uint64_t stride,
                      uint64_t count,
                      int is_least,
                      uint64_t *keys) {
    feri_ref_word words[FERI_REF_CHUNK];
    uint32_t kind = feri_kit_class(t->dtype);
    feri_ref_load(call, t, start, stride, count, words);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t key = words[i].u;
        if (kind == FERI_KIT_FLOAT) {
            feri_ref_word sum = {.f = words[i].f + 0.0}; /* -0 and 0 are equal */
            key = isnan(words[i].f) ? UINT64_MAX : sum.u & SIGN ? ~sum.u : sum.u | SIGN;
        } else if (kind == FERI_KIT_SIGNED) {
            key ^= SIGN;
        }
        keys[i] = is_least ? ~key : key;
    }
}

/* ---- ArgMax, ArgMin, Hardmax ---- */

typedef struct best {
    uint64_t key;
    uint64_t index;
} best;

/* The index of the line's best element. */
static uint64_t find_best(
    feri_ref_call *call, uint64_t start, const feri_ref_lines *lines, int is_least, int is_last) {
    best found = {0, 0};
    int is_float = feri_ref_is_float(call->in[0]->dtype);
    feri_ref_piece p = {.total = lines->length};
    while (feri_ref_next(call, &p)) {
        uint64_t keys[FERI_REF_CHUNK], from = start + p.begin * lines->inner;
        load_keys(call, call->in[0], from, lines->inner, p.count, is_least, keys);
        for (uint64_t i = 0; i < p.count; i++) {
            /* NaN's inverted key is 0: it comes first all the same. */
            uint64_t key = is_float && is_least && keys[i] == 0 ? UINT64_MAX : keys[i];
            if (p.begin + i == 0 || key > found.key || (is_last && key == found.key)) {
                found = (best){key, p.begin + i};
            }
        }
    }
    return found.index;
}

/* The output's dims are the input's without, or with 1 or length, at the axis: counts say it. */
static fer_status arg_bind(feri_ref_call *call) {
    feri_ref_lines *lines = call->params;
    int is_hardmax = FERI_REF_IS(call->node->op, Hardmax);
    fer_status status = feri_ref_lines_around(
        call, call->in[0], feri_ref_int(call->node, "axis", is_hardmax ? -1 : 0), lines);
    if (status) {
        return status;
    }
    uint64_t expected = lines->outer * lines->inner * (is_hardmax ? lines->length : 1);
    if (call->out[0]->count != expected) {
        return feri_ref_unfit(call);
    }
    if (expected && lines->length == 0) {
        return feri_ref_misfit(call, "the axis is empty, so it has no maximum");
    }
    return FER_OK;
}

static fer_status arg_run(feri_ref_call *call) {
    const feri_ref_lines *lines = call->params;
    uint32_t op = call->node->op;
    int is_last = feri_ref_int(call->node, "select_last_index", 0) != 0;
    feri_ref_tensor *out = call->out[0];
    uint64_t count = out->count ? lines->outer * lines->inner : 0;
    for (uint64_t line = 0; line < count && call->status == FER_OK; line++) {
        uint64_t start = feri_ref_line_start(lines, line);
        int64_t found = (int64_t)find_best(call, start, lines, op == FER_OP_ArgMin, is_last);
        if (!FERI_REF_IS(op, Hardmax)) {
            feri_ref_store_int(call, out, line, 1, 1, &found);
            continue;
        }
        for (uint64_t i = 0; i < lines->length && !feri_ref_poll(call, 1); i++) {
            double value = i == (uint64_t)found ? 1.0 : 0.0;
            feri_ref_store_real(call, out, start + i * lines->inner, 1, 1, &value);
        }
    }
    return call->status;
}

/* ---- TopK ---- */

/* a goes before b in the result. */
static int goes_before(best a, best b) {
    return a.key > b.key || (a.key == b.key && a.index < b.index);
}

/* A heap has the entry that goes last in the result on top. */
static void sift_up(best *heap, uint64_t hole, best moved) {
    while (hole > 0 && goes_before(heap[(hole - 1) / 2], moved)) {
        heap[hole] = heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    heap[hole] = moved;
}

static void sift_down(best *heap, uint64_t count, uint64_t hole) {
    best moved = heap[hole];
    for (;;) {
        uint64_t child = 2 * hole + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && goes_before(heap[child], heap[child + 1])) {
            child++;
        }
        if (!goes_before(moved, heap[child])) {
            break;
        }
        heap[hole] = heap[child];
        hole = child;
    }
    heap[hole] = moved;
}

/* K of the outputs: both have it at the axis. */
static uint64_t topk_k(feri_ref_call *call) {
    const feri_ref_lines *lines = call->params;
    uint64_t count = lines->outer * lines->inner;
    const feri_ref_tensor *y = call->out[0] ? call->out[0] : feri_ref_output(call, 1);
    return y && count ? y->count / count : 0;
}

static fer_status topk_bind(feri_ref_call *call) {
    feri_ref_lines *lines = call->params;
    int64_t axis = feri_ref_int(call->node, "axis", -1);
    if (feri_ref_lines_around(call, call->in[0], axis, lines)) {
        return call->status;
    }
    uint64_t k = topk_k(call), count = k * lines->outer * lines->inner;
    for (uint32_t i = 0; i < 2; i++) {
        const feri_ref_tensor *y = feri_ref_output(call, i);
        if (k > lines->length || (y && y->count != count)) {
            return feri_ref_unfit(call);
        }
    }
    call->scratch_bytes = k * sizeof(best);
    return FER_OK;
}

/* Fills heap with the line's k best elements, in the order of the result. */
static void select_best(
    feri_ref_call *call, uint64_t start, const feri_ref_lines *lines, best *heap, uint64_t k) {
    int is_least = feri_ref_int(call->node, "largest", 1) == 0;
    uint64_t filled = 0;
    feri_ref_piece p = {.total = lines->length};
    while (feri_ref_next(call, &p) && !feri_ref_poll(call, 15 * p.count)) {
        uint64_t keys[FERI_REF_CHUNK], from = start + p.begin * lines->inner;
        load_keys(call, call->in[0], from, lines->inner, p.count, is_least, keys);
        for (uint64_t i = 0; i < p.count; i++) {
            best next = {keys[i], p.begin + i};
            if (filled < k) {
                sift_up(heap, filled++, next);
            } else if (goes_before(next, heap[0])) {
                heap[0] = next;
                sift_down(heap, k, 0);
            }
        }
    }
    for (uint64_t left = k; left > 1 && !feri_ref_poll(call, 16); left--) {
        best last = heap[0];
        heap[0] = heap[left - 1];
        heap[left - 1] = last;
        sift_down(heap, left - 1, 0);
    }
}

static fer_status topk_run(feri_ref_call *call) {
    const feri_ref_lines *lines = call->params;
    const feri_ref_tensor *x = call->in[0];
    feri_ref_tensor *values = call->out[0], *indices = feri_ref_output(call, 1);
    uint64_t k = topk_k(call);
    feri_ref_lines result = {lines->outer, k, lines->inner};
    best *heap = call->scratch;
    uint64_t count = k ? lines->outer * lines->inner : 0;
    for (uint64_t line = 0; line < count && call->status == FER_OK; line++) {
        uint64_t start = feri_ref_line_start(lines, line);
        uint64_t to = feri_ref_line_start(&result, line);
        select_best(call, start, lines, heap, k);
        for (uint64_t i = 0; i < k && !feri_ref_poll(call, 1); i++, to += lines->inner) {
            uint64_t from = start + heap[i].index * lines->inner;
            int64_t index = (int64_t)heap[i].index;
            if (values) {
                feri_ref_copy_run(feri_ref_bits(x->dtype), values->data, to, x->data, from, 1);
            }
            if (indices) {
                feri_ref_store_int(call, indices, to, 1, 1, &index);
            }
        }
    }
    return call->status;
}

/* ---- CumSum, CumProd ---- */

static fer_status cumulate_bind(feri_ref_call *call) {
    if (call->in[1]->count != 1) {
        return feri_ref_misfit(call, "axis must be one number");
    }
    return feri_ref_same_dims(call, call->in[0], call->out[0]);
}

static feri_ref_word fold(uint32_t op, int is_real, feri_ref_word sum, feri_ref_word next) {
    if (is_real) {
        sum.f = FERI_REF_IS(op, CumSum) ? sum.f + next.f : sum.f * next.f;
    } else {
        sum.u = FERI_REF_IS(op, CumSum) ? sum.u + next.u : sum.u * next.u;
    }
    return sum;
}

/* start is the line's first element in the direction of the sum, step may be its negative. */
static fer_status
cumulate_line(feri_ref_call *call, uint64_t start, uint64_t step, uint64_t count) {
    const feri_ref_tensor *x = call->in[0];
    uint32_t op = call->node->op;
    int is_real = feri_kit_class(x->dtype) == FERI_KIT_FLOAT;
    int is_exclusive = feri_ref_int(call->node, "exclusive", 0) != 0;
    feri_ref_word sum = {.u = FERI_REF_IS(op, CumProd)};
    if (is_real) {
        sum.f = FERI_REF_IS(op, CumProd) ? 1.0 : 0.0;
    }
    feri_ref_piece p = {.total = count};
    while (feri_ref_next(call, &p)) {
        feri_ref_word chunk[FERI_REF_CHUNK];
        feri_ref_load(call, x, start + p.begin * step, step, p.count, chunk);
        for (uint64_t i = 0; i < p.count; i++) {
            feri_ref_word next = fold(op, is_real, sum, chunk[i]);
            chunk[i] = is_exclusive ? sum : next;
            sum = next;
        }
        feri_ref_store(call, call->out[0], start + p.begin * step, step, p.count, chunk);
    }
    return call->status;
}

static fer_status cumulate_run(feri_ref_call *call) {
    feri_ref_lines lines;
    int64_t axis = 0;
    int is_reverse = feri_ref_int(call->node, "reverse", 0) != 0;
    feri_ref_load_int(call, call->in[1], 0, 1, 1, &axis);
    fer_status status = feri_ref_lines_around(call, call->in[0], axis, &lines);
    uint64_t count = call->out[0]->count ? lines.outer * lines.inner : 0;
    for (uint64_t line = 0; !status && line < count; line++) {
        uint64_t start = feri_ref_line_start(&lines, line);
        uint64_t step = lines.inner;
        if (is_reverse) { /* walks down from the end: unsigned steps wrap as they should */
            start += (lines.length - 1) * lines.inner;
            step = 0 - step;
        }
        status = cumulate_line(call, start, step, lines.length);
    }
    return status;
}

#define ALONG(ident, number, does, binds)                                                          \
    FERI_REF_KERNEL(                                                                               \
        ident, number, .run = does, .bind = binds, .params_bytes = sizeof(feri_ref_lines))
/* clang-format off */
const feri_ref_kernel feri_ref_family_argreduce[] = {
    ALONG(ArgMax, 13, arg_run, arg_bind)
    ALONG(ArgMin, 13, arg_run, arg_bind)
    ALONG(CumProd, 26, cumulate_run, cumulate_bind)
    ALONG(CumSum, 14, cumulate_run, cumulate_bind)
    ALONG(Hardmax, 13, arg_run, arg_bind)
    FERI_REF_KERNEL(TopK, 24, .run = topk_run, .bind = topk_bind,
                 .params_bytes = sizeof(feri_ref_lines))
    FERI_REF_END
};
/* clang-format on */
