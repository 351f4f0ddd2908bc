/* SPDX-License-Identifier: Apache-2.0
 *
 * Geometry of sliding windows for infer_conv.c and infer_pool.c: reads and checks the attributes,
 * counts positions. Formulas: ONNX's AveragePool and Conv.
 */
#include "op/infer.h"

#include <string.h>

/* The number of spatial axes, from whatever tells it; -1 unknown. */
static int32_t spatial_axes(feri_infer *call,
                            const feri_fact *x,
                            const feri_fact *weights,
                            uint32_t kernel_count) {
    if (kernel_count > FER_MAX_RANK - 2) {
        feri_infer_fail(call, "kernel_shape has %u entries, it is too long", kernel_count);
        return -1;
    }
    int32_t rank = kernel_count ? (int32_t)kernel_count + 2 : -1;
    const feri_fact *const facts[] = {x, weights};
    for (uint32_t i = 0; i < 2; i++) {
        int32_t own = facts[i] ? facts[i]->rank : -1;
        if (own >= 0 && (own < 3 || (rank >= 0 && own != rank))) {
            feri_infer_fail(call,
                            "%s has rank %d; it must be 3 at least, X's and W's, and two more than "
                            "kernel_shape's %u entries",
                            i ? "W" : "X",
                            (int)own,
                            kernel_count);
            return -1;
        }
        rank = own >= 0 ? own : rank;
    }
    return rank >= 0 ? rank - 2 : -1;
}

const int64_t *
feri_infer_each(feri_infer *call, const char *name, int32_t count, int64_t absent, int64_t *out) {
    uint32_t own;
    const int64_t *given = feri_infer_ints(call, name, &own);
    if (given && own != (uint32_t)count) {
        feri_infer_fail(call, "%s has %u entries, it must have %d", name, own, (int)count);
        given = NULL;
    }
    for (int32_t i = 0; i < count; i++) {
        out[i] = given ? given[i] : absent;
        if (out[i] < absent || out[i] > INT32_MAX) {
            feri_infer_fail(call,
                            "%s has an entry %lld, it must lie in [%d, 2^31)",
                            name,
                            (long long)out[i],
                            (int)absent);
            out[i] = absent; /* what follows computes with it */
        }
    }
    return given;
}

void feri_infer_window(feri_infer *call,
                       const feri_fact *x,
                       const feri_fact *weights,
                       feri_window *out) {
    uint32_t kernel_count;
    int64_t kernel[FER_MAX_RANK];
    feri_infer_ints(call, "kernel_shape", &kernel_count);
    memset(out, 0, sizeof(*out));
    out->spatial = spatial_axes(call, x, weights, kernel_count);
    out->auto_pad =
        (int32_t)feri_infer_choice(call, "auto_pad", "NOTSET, VALID, SAME_UPPER, SAME_LOWER");
    if (out->spatial < 0) {
        return;
    }
    feri_infer_each(call, "strides", out->spatial, 1, out->stride);
    feri_infer_each(call, "dilations", out->spatial, 1, out->dilation);
    feri_infer_each(call, "pads", 2 * out->spatial, 0, out->pads);
    int has_kernel = feri_infer_each(call, "kernel_shape", out->spatial, 1, kernel) != NULL;
    if (!has_kernel && !weights) {
        feri_infer_fail(call, "kernel_shape is empty, it must have %d entries", (int)out->spatial);
    }
    for (int32_t i = 0; i < out->spatial; i++) {
        feri_sym own = feri_infer_dim(weights, 2 + i);
        out->kernel[i] = own;
        if (has_kernel) {
            out->kernel[i] = feri_sym_number(kernel[i]);
            feri_infer_equal(call, out->kernel[i], own, "kernel_shape and the dims of W");
        } else if (feri_sym_is_number(own) && (own.number < 1 || own.number > INT32_MAX)) {
            feri_infer_fail(
                call, "its kernel is %lld on an axis, it must be positive", (long long)own.number);
        }
        if (out->auto_pad != FERI_PAD_GIVEN) {
            out->pads[i] = out->pads[i + out->spatial] = 0;
        }
    }
}

feri_sym feri_infer_span(const feri_infer *call, const feri_window *window, int32_t i) {
    feri_terms *terms = call->terms;
    feri_sym steps = feri_sym_sub(terms, window->kernel[i], feri_sym_number(1));
    steps = feri_sym_mul(terms, steps, feri_sym_number(window->dilation[i]));
    return feri_sym_add(terms, steps, feri_sym_number(1));
}

feri_sym feri_infer_positions(
    feri_infer *call, const feri_window *window, int32_t i, feri_sym dim, int is_ceil) {
    feri_terms *terms = call->terms;
    int64_t before = window->pads[i];
    int64_t after = window->pads[i + window->spatial];
    feri_sym stride = feri_sym_number(window->stride[i]);
    feri_sym less_one = feri_sym_number(window->stride[i] - 1);
    if (window->auto_pad >= FERI_PAD_SAME) {
        return feri_sym_div(terms, feri_sym_add(terms, dim, less_one), stride);
    }
    feri_sym span = feri_infer_span(call, window, i);
    feri_sym room = feri_infer_add(call, dim, feri_sym_number(before + after));
    room = feri_sym_sub(terms, room, span);
    if (feri_sym_is_number(room) && room.number < 0) {
        char text[96];
        feri_sym_print(terms, dim, text, sizeof(text));
        feri_infer_fail(call,
                        "spatial axis %d is %s with pads %lld and %lld, smaller than its kernel, "
                        "which spans %lld",
                        (int)i,
                        text,
                        (long long)before,
                        (long long)after,
                        (long long)span.number);
    }
    if (is_ceil) {
        /* Rounded up, but a window that would begin in the end's padding does not count. */
        feri_sym last = feri_sym_add(terms, dim, feri_sym_number(before - 1));
        room = feri_sym_min(terms, feri_sym_add(terms, room, less_one), last);
    }
    return feri_sym_add(terms, feri_sym_div(terms, room, stride), feri_sym_number(1));
}
