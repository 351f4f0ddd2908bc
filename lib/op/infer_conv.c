/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions: Conv and its quantised kin, ConvTranspose, DeformConv, Col2Im,
 * CausalConvWithState.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

#include <string.h>

/* B, if present, has one entry per output channel. */
static fer_status check_bias(const feri_infer *call, uint32_t index, feri_sym channels) {
    const feri_fact *bias = feri_infer_in(call, index);
    FER_TRY(feri_infer_rank(call, index, 1, 1));
    return bias && bias->rank == 1
               ? feri_infer_equal(
                     call, bias->dims[0], channels, "the size of B and the output channels")
               : FER_OK;
}

/* group: positive, and a divisor of dim when that is a number. */
static fer_status
check_group(const feri_infer *call, const char *name, feri_sym dim, int64_t *out_group) {
    int64_t group = feri_infer_int(call, name, 1);
    if (group < 1 || (feri_sym_is_number(dim) && dim.number % group != 0)) {
        return feri_infer_fail(call,
                               "%s is %lld, it must be positive and divide the channels",
                               name,
                               (long long)group);
    }
    *out_group = group;
    return FER_OK;
}

static fer_status conv(feri_infer *call, uint32_t w_index, uint32_t b_index) {
    const feri_fact *x = feri_infer_in(call, 0);
    const feri_fact *w = feri_infer_in(call, w_index);
    feri_window window;
    feri_sym dims[FER_MAX_RANK];
    FER_TRY(feri_infer_window(call, x, w, &window));
    if (window.spatial < 0) {
        return FER_OK;
    }
    int64_t group = 1;
    feri_sym channels = w->rank >= 0 ? w->dims[0] : feri_sym_unknown();
    FER_TRY(check_group(call, "group", channels, &group));
    if (x->rank >= 0 && w->rank >= 0) {
        feri_sym want;
        FER_TRY(feri_infer_mul(call, w->dims[1], feri_sym_number(group), &want));
        FER_TRY(feri_infer_equal(call, x->dims[1], want, "X's channels and W's times group"));
    }
    FER_TRY(check_bias(call, b_index, channels));
    dims[0] = x->rank >= 0 ? x->dims[0] : feri_sym_unknown();
    dims[1] = channels;
    for (int32_t i = 0; i < window.spatial; i++) {
        dims[2 + i] = feri_sym_unknown();
        if (x->rank >= 0) {
            FER_TRY(feri_infer_positions(
                call, &window, i, x->dims[2 + i], /*is_ceil=*/0, &dims[2 + i]));
        }
    }
    return feri_infer_set(call, 0, window.spatial + 2, dims);
}

fer_status feri_infer_conv(feri_infer *call) { return conv(call, 1, 2); }

fer_status feri_infer_conv_integer(feri_infer *call) {
    FER_TRY(feri_infer_rank(call, 2, 0, 1));
    FER_TRY(feri_infer_rank(call, 3, 0, 1));
    return conv(call, 1, UINT32_MAX);
}

fer_status feri_infer_qlinear_conv(feri_infer *call) {
    for (uint32_t i = 1; i <= 7; i++) {
        if (i != 3) {
            FER_TRY(feri_infer_rank(call, i, 0, 1));
        }
    }
    return conv(call, 3, 8);
}

/* X, W, offset, B, mask. */
fer_status feri_infer_deform_conv(feri_infer *call) {
    const feri_fact *offset = feri_infer_in(call, 2);
    int64_t groups = feri_infer_int(call, "offset_group", 1);
    if (groups < 1) {
        return feri_infer_fail(
            call, "offset_group is %lld, it must be positive", (long long)groups);
    }
    FER_TRY(conv(call, 1, 3));
    feri_fact *out = feri_infer_out(call, 0);
    if (out && out->rank >= 0 && offset->rank >= 0) {
        FER_TRY(feri_infer_rank(call, 2, out->rank, out->rank));
        for (int32_t i = 2; i < out->rank; i++) {
            FER_TRY(feri_infer_equal(
                call, offset->dims[i], out->dims[i], "the dims of offset and the result"));
        }
    }
    return FER_OK;
}

/* ---- ConvTranspose ---- */

static fer_status transposed_dim(const feri_infer *call,
                                 const feri_window *window,
                                 int32_t i,
                                 feri_sym dim,
                                 int64_t output_padding,
                                 feri_sym *out) {
    feri_terms *terms = call->terms;
    feri_sym stride = feri_sym_number(window->stride[i]);
    if (window->auto_pad == FERI_PAD_SAME) {
        return feri_infer_mul(call, dim, stride, out);
    }
    feri_sym sum;
    FER_TRY(feri_infer_mul(call, feri_sym_sub(terms, dim, feri_sym_number(1)), stride, &sum));
    FER_TRY(feri_infer_add(call, sum, feri_infer_span(call, window, i), &sum));
    int64_t pads = window->pad_begin[i] + window->pad_end[i];
    return feri_infer_add(call, sum, feri_sym_number(output_padding - pads), out);
}

/* output_padding and output_shape: right count, not negative; NULL when absent. */
static fer_status
read_extra(const feri_infer *call, const char *name, int32_t spatial, const int64_t **out_values) {
    uint32_t count;
    *out_values = feri_infer_ints(call, name, &count);
    if (*out_values && count != (uint32_t)spatial) {
        return feri_infer_fail(
            call, "%s has %u entries for %d spatial axes", name, count, (int)spatial);
    }
    for (uint32_t i = 0; i < count; i++) {
        if ((*out_values)[i] < 0 || (*out_values)[i] > INT32_MAX) {
            return feri_infer_fail(call,
                                   "%s has an entry %lld, it must not be negative",
                                   name,
                                   (long long)(*out_values)[i]);
        }
    }
    return FER_OK;
}

fer_status feri_infer_conv_transpose(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    const feri_fact *w = feri_infer_in(call, 1);
    feri_window window;
    feri_sym dims[FER_MAX_RANK];
    const int64_t *padding;
    const int64_t *shape;
    int64_t group = 1;
    FER_TRY(feri_infer_window(call, x, w, &window));
    if (window.spatial < 0) {
        return FER_OK;
    }
    FER_TRY(read_extra(call, "output_padding", window.spatial, &padding));
    FER_TRY(read_extra(call, "output_shape", window.spatial, &shape));
    FER_TRY(check_group(call, "group", w->rank >= 0 ? w->dims[0] : feri_sym_unknown(), &group));
    dims[0] = x->rank >= 0 ? x->dims[0] : feri_sym_unknown();
    dims[1] = feri_sym_unknown();
    if (w->rank >= 0) {
        FER_TRY(feri_infer_mul(call, w->dims[1], feri_sym_number(group), &dims[1]));
        if (x->rank >= 0) {
            FER_TRY(
                feri_infer_equal(call, x->dims[1], w->dims[0], "X's channels and W's first dim"));
        }
    }
    FER_TRY(check_bias(call, 2, dims[1]));
    for (int32_t i = 0; i < window.spatial; i++) {
        dims[2 + i] = shape ? feri_sym_number(shape[i]) : feri_sym_unknown();
        if (!shape && x->rank >= 0) {
            FER_TRY(transposed_dim(
                call, &window, i, x->dims[2 + i], padding ? padding[i] : 0, &dims[2 + i]));
        }
    }
    return feri_infer_set(call, 0, window.spatial + 2, dims);
}

/* ---- Col2Im ---- */

/* input [N, C * product(block), L] -> [N, C, image_shape...]. */
fer_status feri_infer_col2im(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    uint32_t image_count;
    uint32_t block_count;
    FER_TRY(feri_infer_rank(call, 0, 3, 3));
    FER_TRY(feri_infer_rank(call, 1, 1, 1));
    FER_TRY(feri_infer_rank(call, 2, 1, 1));
    const feri_sym *image = feri_infer_elements(call, 1, &image_count);
    const feri_sym *block = feri_infer_elements(call, 2, &block_count);
    if (!image) {
        return FER_OK;
    }
    if (image_count > FER_MAX_RANK - 2 || (block && block_count != image_count)) {
        return feri_infer_fail(call,
                               "image_shape has %u entries and block_shape %u; they must have as "
                               "many, at most %d",
                               image_count,
                               block_count,
                               FER_MAX_RANK - 2);
    }
    feri_sym dims[FER_MAX_RANK];
    feri_sym area = block ? feri_sym_number(1) : feri_sym_unknown();
    for (uint32_t i = 0; i < image_count; i++) {
        dims[2 + i] = image[i];
        if (block) {
            FER_TRY(feri_infer_mul(call, area, block[i], &area));
        }
    }
    if (feri_sym_is_number(area) && area.number < 1) {
        return feri_infer_fail(call, "block_shape has an entry that is not positive");
    }
    dims[0] = in->rank >= 0 ? in->dims[0] : feri_sym_unknown();
    dims[1] = in->rank >= 0 ? feri_sym_div(call->terms, in->dims[1], area) : feri_sym_unknown();
    return feri_infer_set(call, 0, (int32_t)image_count + 2, dims);
}

/* ---- CausalConvWithState ---- */

/* input [B, C, L], weight [C, 1, k], bias [C], past and present state [B, C, k-1]. */
fer_status feri_infer_causal_conv(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    const feri_fact *weight = feri_infer_in(call, 1);
    const feri_fact *past = feri_infer_in(call, 3);
    const char *activation = feri_infer_string(call, "activation", "none");
    if (strcmp(activation, "none") != 0 && strcmp(activation, "silu") != 0 &&
        strcmp(activation, "swish") != 0) {
        return feri_infer_fail(
            call, "activation is '%s', it must be none, silu or swish", activation);
    }
    FER_TRY(feri_infer_rank(call, 0, 3, 3));
    FER_TRY(feri_infer_rank(call, 1, 3, 3));
    FER_TRY(feri_infer_rank(call, 3, 3, 3));
    FER_TRY(feri_infer_set_like(call, 0, in));
    feri_sym dims[3] = {feri_sym_unknown(), feri_sym_unknown(), feri_sym_unknown()};
    if (in->rank == 3) {
        dims[0] = in->dims[0];
        dims[1] = in->dims[1];
        FER_TRY(check_bias(call, 2, in->dims[1]));
    }
    if (weight->rank == 3) {
        dims[2] = feri_sym_sub(call->terms, weight->dims[2], feri_sym_number(1));
        FER_TRY(feri_infer_equal(
            call, weight->dims[1], feri_sym_number(1), "the middle dim of weight and 1"));
        FER_TRY(feri_infer_equal(call, weight->dims[0], dims[1], "the channels"));
    }
    for (int32_t i = 0; past && past->rank == 3 && i < 3; i++) {
        FER_TRY(feri_infer_equal(call, past->dims[i], dims[i], "the dims of past_state"));
    }
    return feri_infer_set(call, 1, 3, dims);
}
