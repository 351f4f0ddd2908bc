/* SPDX-License-Identifier: Apache-2.0
 *
 * Geometry of sliding windows for infer_conv.c and infer_pool.c: reads and checks the attributes,
 * counts positions. Formulas: ONNX's AveragePool and Conv.
 */
#include "op/infer.h"

#include <string.h>

/* The number of spatial axes, from whatever tells it; -1 unknown. */
static fer_status spatial_axes(const feri_infer *call,
                               const feri_fact *x,
                               const feri_fact *weights,
                               uint32_t kernel_count,
                               int32_t *out) {
    int32_t rank = x && x->rank >= 0 ? x->rank : -1;
    if (weights && weights->rank >= 0) {
        if (rank >= 0 && weights->rank != rank) {
            return feri_infer_fail(
                call, "X has rank %d and W %d; they must be equal", (int)rank, (int)weights->rank);
        }
        rank = weights->rank;
    }
    if (rank >= 0 && rank < 3) {
        return feri_infer_fail(call, "X has rank %d, it must have 3 at least", (int)rank);
    }
    if (kernel_count > FER_MAX_RANK ||
        (rank >= 0 && kernel_count && kernel_count + 2 != (uint32_t)rank)) {
        return feri_infer_fail(
            call, "kernel_shape has %u entries for X of rank %d", kernel_count, (int)rank);
    }
    *out = rank >= 0 ? rank - 2 : kernel_count ? (int32_t)kernel_count : -1;
    return FER_OK;
}

/* An attribute with one entry per axis, each at least least; absent: 1. */
static fer_status
read_each(const feri_infer *call, const char *name, int32_t spatial, int64_t *out) {
    uint32_t count;
    const int64_t *given = feri_infer_ints(call, name, &count);
    if (given && count != (uint32_t)spatial) {
        return feri_infer_fail(
            call, "%s has %u entries for %d spatial axes", name, count, (int)spatial);
    }
    for (int32_t i = 0; i < spatial; i++) {
        out[i] = given ? given[i] : 1;
        if (out[i] < 1 || out[i] > INT32_MAX) {
            return feri_infer_fail(
                call, "%s has an entry %lld, it must be positive", name, (long long)out[i]);
        }
    }
    return FER_OK;
}

static fer_status read_pads(const feri_infer *call, feri_window *w) {
    const char *mode = feri_infer_string(call, "auto_pad", "NOTSET");
    uint32_t count;
    const int64_t *pads = feri_infer_ints(call, "pads", &count);
    w->auto_pad = strcmp(mode, "VALID") == 0 ? FERI_PAD_VALID
                  : strcmp(mode, "SAME_UPPER") == 0 || strcmp(mode, "SAME_LOWER") == 0
                      ? FERI_PAD_SAME
                      : FERI_PAD_GIVEN;
    if (w->auto_pad == FERI_PAD_GIVEN && strcmp(mode, "NOTSET") != 0 && mode[0] != '\0') {
        return feri_infer_fail(
            call, "auto_pad is '%s', it must be NOTSET, SAME_UPPER, SAME_LOWER or VALID", mode);
    }
    if (pads && count != 2 * (uint32_t)w->spatial) {
        return feri_infer_fail(
            call, "pads has %u entries for %d spatial axes", count, (int)w->spatial);
    }
    for (int32_t i = 0; i < w->spatial; i++) {
        int is_given = pads && w->auto_pad == FERI_PAD_GIVEN;
        w->pad_begin[i] = is_given ? pads[i] : 0;
        w->pad_end[i] = is_given ? pads[i + w->spatial] : 0;
        if (w->pad_begin[i] < 0 || w->pad_end[i] < 0 || w->pad_begin[i] > INT32_MAX ||
            w->pad_end[i] > INT32_MAX) {
            return feri_infer_fail(call,
                                   "pads are %lld and %lld on an axis, they must not be negative",
                                   (long long)w->pad_begin[i],
                                   (long long)w->pad_end[i]);
        }
    }
    return FER_OK;
}

static fer_status read_kernel(const feri_infer *call,
                              const feri_fact *weights,
                              const int64_t *given,
                              feri_window *w) {
    for (int32_t i = 0; i < w->spatial; i++) {
        feri_sym own = weights && weights->rank >= 0 ? weights->dims[2 + i] : feri_sym_unknown();
        w->kernel[i] = given ? feri_sym_number(given[i]) : own;
        if (given && weights) {
            FER_TRY(feri_infer_equal(call, w->kernel[i], own, "kernel_shape and the dims of W"));
        }
        if (feri_sym_is_number(w->kernel[i]) &&
            (w->kernel[i].number < 1 || w->kernel[i].number > INT32_MAX)) {
            return feri_infer_fail(call,
                                   "its kernel is %lld on an axis, it must be positive",
                                   (long long)w->kernel[i].number);
        }
    }
    return FER_OK;
}

fer_status feri_infer_window(const feri_infer *call,
                             const feri_fact *x,
                             const feri_fact *weights,
                             feri_window *out) {
    uint32_t kernel_count;
    const int64_t *kernel = feri_infer_ints(call, "kernel_shape", &kernel_count);
    memset(out, 0, sizeof(*out));
    FER_TRY(spatial_axes(call, x, weights, kernel_count, &out->spatial));
    if (out->spatial < 0) {
        return FER_OK;
    }
    FER_TRY(read_kernel(call, weights, kernel, out));
    FER_TRY(read_each(call, "strides", out->spatial, out->stride));
    FER_TRY(read_each(call, "dilations", out->spatial, out->dilation));
    return read_pads(call, out);
}

feri_sym feri_infer_span(const feri_infer *call, const feri_window *window, int32_t i) {
    feri_terms *terms = call->terms;
    feri_sym steps = feri_sym_sub(terms, window->kernel[i], feri_sym_number(1));
    steps = feri_sym_mul(terms, steps, feri_sym_number(window->dilation[i]));
    return feri_sym_add(terms, steps, feri_sym_number(1));
}

fer_status feri_infer_positions(const feri_infer *call,
                                const feri_window *window,
                                int32_t i,
                                feri_sym dim,
                                int is_ceil,
                                feri_sym *out) {
    feri_terms *terms = call->terms;
    feri_sym stride = feri_sym_number(window->stride[i]);
    feri_sym one = feri_sym_number(1);
    if (window->auto_pad == FERI_PAD_SAME) {
        feri_sym up = feri_sym_add(terms, dim, feri_sym_number(window->stride[i] - 1));
        *out = feri_sym_div(terms, up, stride);
        return FER_OK;
    }
    feri_sym padded;
    FER_TRY(feri_infer_add(
        call, dim, feri_sym_number(window->pad_begin[i] + window->pad_end[i]), &padded));
    feri_sym span = feri_infer_span(call, window, i);
    feri_sym room = feri_sym_sub(terms, padded, span);
    if (feri_sym_is_number(room) && room.number < 0) {
        char text[96];
        feri_sym_print(terms, dim, text, sizeof(text));
        return feri_infer_fail(call,
                               "spatial axis %d is %s with pads %lld and %lld, smaller than its "
                               "kernel, which spans %lld",
                               (int)i,
                               text,
                               (long long)window->pad_begin[i],
                               (long long)window->pad_end[i],
                               (long long)span.number);
    }
    if (!is_ceil) {
        *out = feri_sym_add(terms, feri_sym_div(terms, room, stride), one);
        return FER_OK;
    }
    /* Rounded up, but a window that would begin in the end's padding does not count. */
    feri_sym up = feri_sym_add(terms, room, feri_sym_number(window->stride[i] - 1));
    feri_sym last = feri_sym_add(terms, dim, feri_sym_number(window->pad_begin[i] - 1));
    *out = feri_sym_add(
        terms,
        feri_sym_min(terms, feri_sym_div(terms, up, stride), feri_sym_div(terms, last, stride)),
        one);
    return FER_OK;
}
