/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions: Conv and its quantised kin, ConvTranspose, DeformConv, Col2Im,
 * CausalConvWithState.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

#include <string.h>

/* B, if present, has one entry per output channel. */
static void check_bias(feri_infer *call, uint32_t index, feri_sym channels) {
    feri_infer_rank(call, index, 1, 1);
    feri_infer_equal(call,
                     feri_infer_dim(feri_infer_in(call, index), 0),
                     channels,
                     "the size of B and the output channels");
}

/* group, which must divide dim when that is a number. */
static feri_sym read_group(feri_infer *call, feri_sym dim) {
    int64_t group = feri_infer_positive(call, "group", 1);
    if (feri_sym_is_number(dim) && dim.number % group != 0) {
        feri_infer_fail(call, "group is %lld, it must divide the channels", (long long)group);
    }
    return feri_sym_number(group);
}

static void conv(feri_infer *call, uint32_t w_index, uint32_t b_index) {
    const feri_fact *x = call->in[0];
    const feri_fact *w = call->in[w_index];
    feri_window window;
    feri_sym dims[FER_MAX_RANK] = {feri_infer_dim(x, 0), feri_infer_dim(w, 0)};
    feri_infer_window(call, x, w, &window);
    feri_sym want = feri_infer_mul(call, feri_infer_dim(w, 1), read_group(call, dims[1]));
    feri_infer_equal(call, feri_infer_dim(x, 1), want, "X's channels and W's times group");
    check_bias(call, b_index, dims[1]);
    for (int32_t i = 0; i < window.spatial; i++) {
        dims[2 + i] =
            feri_infer_positions(call, &window, i, feri_infer_dim(x, 2 + i), /*is_ceil=*/0);
    }
    feri_infer_set(call, 0, window.spatial < 0 ? -1 : window.spatial + 2, dims);
}

void feri_infer_conv(feri_infer *call) { conv(call, 1, 2); }

void feri_infer_conv_integer(feri_infer *call) {
    FERI_STEP(feri_infer_rank(call, 2, 0, 1));
    FERI_STEP(feri_infer_rank(call, 3, 0, 1));
    conv(call, 1, UINT32_MAX);
}

void feri_infer_qlinear_conv(feri_infer *call) {
    for (uint32_t i = 1; i <= 7; i++) {
        if (i != 3) {
            FERI_STEP(feri_infer_rank(call, i, 0, 1));
        }
    }
    conv(call, 3, 8);
}

/* X, W, offset, B, mask. */
void feri_infer_deform_conv(feri_infer *call) {
    const feri_fact *offset = feri_infer_in(call, 2);
    int64_t groups = feri_infer_int(call, "offset_group", 1);
    if (groups < 1) {
        feri_infer_fail(call, "offset_group is %lld, it must be positive", (long long)groups);
        return;
    }
    FERI_STEP(conv(call, 1, 3));
    feri_fact *out = feri_infer_out(call, 0);
    if (out && out->rank >= 0 && offset->rank >= 0) {
        FERI_STEP(feri_infer_rank(call, 2, out->rank, out->rank));
        for (int32_t i = 2; i < out->rank; i++) {
            FERI_STEP(feri_infer_equal(
                call, offset->dims[i], out->dims[i], "the dims of offset and the result"));
        }
    }
}

/* ---- ConvTranspose ---- */

static feri_sym transposed_dim(
    feri_infer *call, const feri_window *window, int32_t i, feri_sym dim, int64_t extra) {
    feri_sym stride = feri_sym_number(window->stride[i]);
    if (window->auto_pad >= FERI_PAD_SAME) {
        return feri_infer_mul(call, dim, stride);
    }
    extra -= window->pads[i] + window->pads[i + window->spatial];
    dim = feri_infer_mul(call, feri_sym_sub(call->terms, dim, feri_sym_number(1)), stride);
    dim = feri_infer_add(call, dim, feri_infer_span(call, window, i));
    return feri_infer_add(call, dim, feri_sym_number(extra));
}

void feri_infer_conv_transpose(feri_infer *call) {
    const feri_fact *x = call->in[0];
    const feri_fact *w = call->in[1];
    feri_window window;
    int64_t padding[FER_MAX_RANK];
    int64_t shape[FER_MAX_RANK];
    feri_sym channels = feri_infer_dim(w, 0);
    feri_infer_window(call, x, w, &window);
    feri_infer_each(call, "output_padding", window.spatial, 0, padding);
    int has_shape = feri_infer_each(call, "output_shape", window.spatial, 0, shape) != NULL;
    feri_sym dims[FER_MAX_RANK] = {
        feri_infer_dim(x, 0),
        feri_infer_mul(call, feri_infer_dim(w, 1), read_group(call, channels))};
    feri_infer_dims_equal(call, x, 1, w, 0, "X's channels and W's first dim");
    check_bias(call, 2, dims[1]);
    for (int32_t i = 0; i < window.spatial; i++) {
        dims[2 + i] = has_shape
                          ? feri_sym_number(shape[i])
                          : transposed_dim(call, &window, i, feri_infer_dim(x, 2 + i), padding[i]);
    }
    feri_infer_set(call, 0, window.spatial < 0 ? -1 : window.spatial + 2, dims);
}

/* ---- Col2Im ---- */

/* input [N, C * product(block), L] -> [N, C, image_shape...]. */
void feri_infer_col2im(feri_infer *call) {
    const feri_fact *in = call->in[0];
    uint32_t image_count;
    uint32_t block_count;
    FERI_STEP(feri_infer_rank(call, 0, 3, 3));
    FERI_STEP(feri_infer_rank(call, 1, 1, 1));
    FERI_STEP(feri_infer_rank(call, 2, 1, 1));
    const feri_sym *image = feri_infer_elements(call, 1, &image_count);
    const feri_sym *block = feri_infer_elements(call, 2, &block_count);
    if (!image) {
        return;
    }
    if (image_count > FER_MAX_RANK - 2 || (block && block_count != image_count)) {
        feri_infer_fail(call,
                        "image_shape has %u entries and block_shape %u; they must have as "
                        "many, at most %d",
                        image_count,
                        block_count,
                        FER_MAX_RANK - 2);
        return;
    }
    feri_sym dims[FER_MAX_RANK];
    feri_sym area = block ? feri_sym_number(1) : feri_sym_unknown();
    for (uint32_t i = 0; i < image_count; i++) {
        dims[2 + i] = image[i];
        if (block) {
            FERI_STEP(area = feri_infer_mul(call, area, block[i]));
        }
    }
    if (feri_sym_is_number(area) && area.number < 1) {
        feri_infer_fail(call, "block_shape has an entry that is not positive");
        return;
    }
    dims[0] = in->rank >= 0 ? in->dims[0] : feri_sym_unknown();
    dims[1] = in->rank >= 0 ? feri_sym_div(call->terms, in->dims[1], area) : feri_sym_unknown();
    feri_infer_set(call, 0, (int32_t)image_count + 2, dims);
}

/* ---- CausalConvWithState ---- */

/* input [B, C, L], weight [C, 1, k], bias [C], past and present state [B, C, k-1]. */
void feri_infer_causal_conv(feri_infer *call) {
    const feri_fact *in = call->in[0];
    const feri_fact *weight = feri_infer_in(call, 1);
    const feri_fact *past = feri_infer_in(call, 3);
    const char *activation = feri_infer_string(call, "activation", "none");
    if (strcmp(activation, "none") != 0 && strcmp(activation, "silu") != 0 &&
        strcmp(activation, "swish") != 0) {
        feri_infer_fail(call, "activation is '%s', it must be none, silu or swish", activation);
        return;
    }
    FERI_STEP(feri_infer_rank(call, 0, 3, 3));
    FERI_STEP(feri_infer_rank(call, 1, 3, 3));
    FERI_STEP(feri_infer_rank(call, 3, 3, 3));
    FERI_STEP(feri_infer_set_like(call, 0, in));
    feri_sym dims[3] = {feri_sym_unknown(), feri_sym_unknown(), feri_sym_unknown()};
    if (in->rank == 3) {
        dims[0] = in->dims[0];
        dims[1] = in->dims[1];
        FERI_STEP(check_bias(call, 2, in->dims[1]));
    }
    if (weight->rank == 3) {
        dims[2] = feri_sym_sub(call->terms, weight->dims[2], feri_sym_number(1));
        FERI_STEP(feri_infer_equal(
            call, weight->dims[1], feri_sym_number(1), "the middle dim of weight and 1"));
        FERI_STEP(feri_infer_equal(call, weight->dims[0], dims[1], "the channels"));
    }
    for (int32_t i = 0; past && past->rank == 3 && i < 3; i++) {
        FERI_STEP(feri_infer_equal(call, past->dims[i], dims[i], "the dims of past_state"));
    }
    feri_infer_set(call, 1, 3, dims);
}
