/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that compare or accumulate along one axis: ArgMax, ArgMin, Hardmax, TopK, CumSum, CumProd.
 * Elements are compared through unsigned keys in their own order, so that one code serves every
 * dtype exactly; NaN is larger than every number (for ArgMin too it is found first, as in numpy),
 * equal elements keep the order of their indices. Called by the executor through its table.
 */
#include "kit/geometry.h"
#include "ref/ref_line.h"

#include <math.h>
#include <string.h>

#define SIGN ((uint64_t)1 << 63)

/* Keys of count elements from start, stride apart; is_least turns the order of numbers round. */
static void load_keys(const feri_ref_call *call,
                      const feri_ref_tensor *t,
                      uint64_t start,
                      uint64_t stride,
                      uint64_t count,
                      int is_least,
                      uint64_t *keys) {
    feri_ref_word words[FERI_REF_CHUNK];
    uint32_t kind = feri_kit_class(t->dtype);
    if (kind == FERI_KIT_FLOAT) {
        feri_ref_load_real(call, t, start, stride, count, &words[0].f);
    } else {
        feri_ref_load_int(call, t, start, stride, count, &words[0].i);
    }
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
static fer_status find_best(feri_ref_call *call,
                            uint64_t start,
                            const feri_ref_lines *lines,
                            int is_least,
                            int is_last,
                            uint64_t *out_index) {
    best found = {0, 0};
    int is_float = feri_kit_class(call->in[0]->dtype) == FERI_KIT_FLOAT;
    for (uint64_t at = 0; at < lines->length; at += FERI_REF_CHUNK) {
        uint64_t keys[FERI_REF_CHUNK], n = lines->length - at;
        n = n < FERI_REF_CHUNK ? n : FERI_REF_CHUNK;
        load_keys(call, call->in[0], start + at * lines->inner, lines->inner, n, is_least, keys);
        for (uint64_t i = 0; i < n; i++) {
            /* NaN's inverted key is 0: it comes first all the same. */
            uint64_t key = is_float && is_least && keys[i] == 0 ? UINT64_MAX : keys[i];
            if (at + i == 0 || key > found.key || (is_last && key == found.key)) {
                found = (best){key, at + i};
            }
        }
        fer_status status = feri_ref_poll(call, n);
        if (status) {
            return status;
        }
    }
    *out_index = found.index;
    return FER_OK;
}

/* The output's dims are the input's without, or with 1 or length, at the axis: counts say it. */
static fer_status arg_bind(feri_ref_call *call) {
    feri_ref_lines *lines = call->params;
    int is_hardmax = call->node->op == FER_OP_Hardmax;
    fer_status status = feri_ref_lines_around(
        call, call->in[0], feri_ref_int(call->node, "axis", is_hardmax ? -1 : 0), lines);
    if (status) {
        return status;
    }
    uint64_t expected = lines->outer * lines->inner * (is_hardmax ? lines->length : 1);
    if (call->out[0]->count != expected) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "the output's shape does not fit the input");
    }
    if (expected && lines->length == 0) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "the axis is empty, so it has no maximum");
    }
    return FER_OK;
}

static fer_status arg_run(feri_ref_call *call) {
    const feri_ref_lines *lines = call->params;
    uint32_t op = call->node->op;
    int is_last = feri_ref_int(call->node, "select_last_index", 0) != 0;
    feri_ref_tensor *out = call->out[0];
    uint64_t count = out->count ? lines->outer * lines->inner : 0;
    for (uint64_t line = 0; line < count; line++) {
        uint64_t outer = line / lines->inner, index = 0;
        uint64_t start = outer * lines->length * lines->inner + line % lines->inner;
        fer_status status = find_best(call, start, lines, op == FER_OP_ArgMin, is_last, &index);
        if (status) {
            return status;
        }
        if (op != FER_OP_Hardmax) {
            int64_t found = (int64_t)index;
            feri_ref_store_int(call, out, line, 1, 1, &found);
            continue;
        }
        for (uint64_t i = 0; i < lines->length; i++) {
            double value = i == index ? 1.0 : 0.0;
            feri_ref_store_real(call, out, start + i * lines->inner, 1, 1, &value);
            if ((status = feri_ref_poll(call, 1))) {
                return status;
            }
        }
    }
    return FER_OK;
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

static fer_status topk_bind(feri_ref_call *call) {
    feri_ref_lines *lines = call->params;
    const feri_ref_tensor *x = call->in[0];
    int64_t axis = feri_ref_int(call->node, "axis", -1);
    fer_status status = feri_ref_lines_around(call, x, axis, lines);
    if (status) {
        return status;
    }
    uint32_t at = (uint32_t)(axis < 0 ? axis + (int64_t)x->rank : axis);
    for (uint32_t i = 0; i < 2; i++) {
        const feri_ref_tensor *y = feri_ref_output(call, i);
        int fits = !y || y->rank == x->rank;
        for (uint32_t d = 0; y && fits && d < x->rank; d++) {
            fits = d == at ? y->dims[d] <= x->dims[d] : y->dims[d] == x->dims[d];
        }
        if (!fits) {
            return feri_ref_fail(
                call, FER_INVALID_INPUT, "K is larger than the axis, or the output does not fit");
        }
    }
    return FER_OK;
}

/* K of the outputs: both have it at the axis. */
static uint64_t topk_k(const feri_ref_call *call) {
    const feri_ref_lines *lines = call->params;
    uint64_t k = lines->length, lines_count = lines->outer * lines->inner;
    for (uint32_t i = 0; i < 2; i++) {
        const feri_ref_tensor *y = feri_ref_output(call, i);
        uint64_t here = y && lines_count ? y->count / lines_count : k;
        k = here < k ? here : k;
    }
    return k;
}

static uint64_t topk_scratch(const feri_ref_call *call) { return topk_k(call) * sizeof(best); }

/* Fills heap with the line's k best elements, in the order of the result. */
static fer_status select_best(
    feri_ref_call *call, uint64_t start, const feri_ref_lines *lines, best *heap, uint64_t k) {
    int is_least = feri_ref_int(call->node, "largest", 1) == 0;
    uint64_t filled = 0;
    for (uint64_t at = 0; at < lines->length; at += FERI_REF_CHUNK) {
        uint64_t keys[FERI_REF_CHUNK], n = lines->length - at;
        n = n < FERI_REF_CHUNK ? n : FERI_REF_CHUNK;
        load_keys(call, call->in[0], start + at * lines->inner, lines->inner, n, is_least, keys);
        for (uint64_t i = 0; i < n; i++) {
            best next = {keys[i], at + i};
            if (filled < k) {
                sift_up(heap, filled++, next);
            } else if (goes_before(next, heap[0])) {
                heap[0] = next;
                sift_down(heap, k, 0);
            }
        }
        fer_status status = feri_ref_poll(call, 16 * n);
        if (status) {
            return status;
        }
    }
    for (uint64_t left = k; left > 1; left--) {
        best last = heap[0];
        heap[0] = heap[left - 1];
        heap[left - 1] = last;
        sift_down(heap, left - 1, 0);
        fer_status status = feri_ref_poll(call, 16);
        if (status) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status topk_run(feri_ref_call *call) {
    const feri_ref_lines *lines = call->params;
    const feri_ref_tensor *x = call->in[0];
    feri_ref_tensor *values = call->out[0], *indices = feri_ref_output(call, 1);
    uint64_t k = topk_k(call), bytes = feri_kit_bits(x->dtype) / 8;
    best *heap = call->scratch;
    uint64_t count = k ? lines->outer * lines->inner : 0;
    for (uint64_t line = 0; line < count; line++) {
        uint64_t outer = line / lines->inner, inner = line % lines->inner;
        uint64_t start = outer * lines->length * lines->inner + inner;
        fer_status status = select_best(call, start, lines, heap, k);
        for (uint64_t i = 0; !status && i < k; i++) {
            uint64_t to = (outer * k + i) * lines->inner + inner;
            int64_t index = (int64_t)heap[i].index;
            if (values) {
                memcpy(values->data + to * bytes,
                       x->data + (start + heap[i].index * lines->inner) * bytes,
                       bytes);
            }
            if (indices) {
                feri_ref_store_int(call, indices, to, 1, 1, &index);
            }
            status = feri_ref_poll(call, 1);
        }
        if (status) {
            return status;
        }
    }
    return FER_OK;
}

/* ---- CumSum, CumProd ---- */

static fer_status cumulate_bind(feri_ref_call *call) {
    if (call->in[1]->count != 1) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "axis must be one number");
    }
    return feri_ref_same_dims(
        call, call->in[0], call->out[0], "the output must have the shape of the input");
}

static feri_ref_word fold(uint32_t op, int is_real, feri_ref_word sum, feri_ref_word next) {
    if (is_real) {
        sum.f = op == FER_OP_CumSum ? sum.f + next.f : sum.f * next.f;
    } else {
        sum.u = op == FER_OP_CumSum ? sum.u + next.u : sum.u * next.u;
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
    feri_ref_word sum = {.u = op == FER_OP_CumProd};
    if (is_real) {
        sum.f = op == FER_OP_CumProd ? 1.0 : 0.0;
    }
    for (uint64_t at = 0; at < count; at += FERI_REF_CHUNK) {
        feri_ref_word chunk[FERI_REF_CHUNK];
        uint64_t n = count - at < FERI_REF_CHUNK ? count - at : FERI_REF_CHUNK;
        if (is_real) {
            feri_ref_load_real(call, x, start + at * step, step, n, &chunk[0].f);
        } else {
            feri_ref_load_int(call, x, start + at * step, step, n, &chunk[0].i);
        }
        for (uint64_t i = 0; i < n; i++) {
            feri_ref_word next = fold(op, is_real, sum, chunk[i]);
            chunk[i] = is_exclusive ? sum : next;
            sum = next;
        }
        if (is_real) {
            feri_ref_store_real(call, call->out[0], start + at * step, step, n, &chunk[0].f);
        } else {
            feri_ref_store_int(call, call->out[0], start + at * step, step, n, &chunk[0].i);
        }
        fer_status status = feri_ref_poll(call, n);
        if (status) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status cumulate_run(feri_ref_call *call) {
    feri_ref_lines lines;
    int64_t axis = 0;
    int is_reverse = feri_ref_int(call->node, "reverse", 0) != 0;
    feri_ref_load_int(call, call->in[1], 0, 1, 1, &axis);
    fer_status status = feri_ref_lines_around(call, call->in[0], axis, &lines);
    uint64_t count = call->out[0]->count ? lines.outer * lines.inner : 0;
    for (uint64_t line = 0; !status && line < count; line++) {
        uint64_t start = line / lines.inner * lines.length * lines.inner + line % lines.inner;
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
    FERI_REF_ROW(ident,                                                                            \
                 .revision = number,                                                               \
                 .run = does,                                                                      \
                 .bind = binds,                                                                    \
                 .params_bytes = sizeof(feri_ref_lines))
/* clang-format off */
static const feri_ref_kernel kernels[] = {
    ALONG(ArgMax, 13, arg_run, arg_bind)
    ALONG(ArgMin, 13, arg_run, arg_bind)
    ALONG(CumProd, 26, cumulate_run, cumulate_bind)
    ALONG(CumSum, 14, cumulate_run, cumulate_bind)
    ALONG(Hardmax, 13, arg_run, arg_bind)
    FERI_REF_ROW(TopK, .revision = 24, .run = topk_run, .bind = topk_bind,
                 .params_bytes = sizeof(feri_ref_lines), .scratch_bytes = topk_scratch)
    FERI_REF_END
};
/* clang-format on */
const feri_ref_family feri_ref_family_argreduce = FERI_REF_FAMILY_OF(kernels);
