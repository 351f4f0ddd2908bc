/* SPDX-License-Identifier: Apache-2.0
 *
 * Conv and ConvTranspose in any number of spatial dims. Per image and group the output is a matrix
 * product of the weights with columns gathered from the input (a transposed convolution gathers the
 * elements that reach an output position), a bounded block at a time. Called by the executor
 * through its table.
 */
#include "ref/ref_gemm.h"
#include "ref/ref_window.h"

#include <string.h>

typedef struct conv_params {
    feri_ref_window window;
    uint64_t group;
    uint64_t in_channels; /* of one group */
    uint64_t out_channels;
} conv_params;

/* One image and group on its way through feri_ref_gemm_run. */
typedef struct convolution {
    feri_ref_call *call;
    const conv_params *params;
    uint64_t in_channel;  /* first of the group, counted over all images */
    uint64_t out_channel; /* same for the output */
    uint64_t in_weight;   /* first input channel of the group in one image */
    uint64_t out_weight;  /* first output channel of the group in one image */
} convolution;

/* Weights of Conv: M x C/group x taps, so a row of A is contiguous. */
static fer_status load_weights(void *self, const feri_ref_block *block, feri_ref_word *panel) {
    convolution *c = self;
    uint64_t k = c->params->in_channels * c->params->window.taps;
    for (uint64_t i = 0; i < block->rows; i++) {
        feri_ref_load_real(c->call,
                           c->call->in[1],
                           (c->out_weight + block->row + i) * k + block->column,
                           1,
                           block->columns,
                           &panel[i * block->columns].f);
        if (feri_ref_poll(c->call, block->columns)) {
            return c->call->status;
        }
    }
    return FER_OK;
}

/* Weights of ConvTranspose: C x M/group x taps; a row of A has one run per input channel. */
static fer_status load_transposed(void *self, const feri_ref_block *block, feri_ref_word *panel) {
    convolution *c = self;
    uint64_t taps = c->params->window.taps;
    for (uint64_t i = 0; i < block->rows; i++) {
        for (uint64_t j = 0; j < block->columns;) {
            uint64_t k = block->column + j, channel = k / taps, tap = k % taps;
            uint64_t n = taps - tap < block->columns - j ? taps - tap : block->columns - j;
            uint64_t row = (c->in_weight + channel) * c->params->out_channels + block->row + i;
            feri_ref_load_real(
                c->call, c->call->in[1], row * taps + tap, 1, n, &panel[i * block->columns + j].f);
            if (feri_ref_poll(c->call, n)) {
                return c->call->status;
            }
            j += n;
        }
    }
    return FER_OK;
}

/* Rows of the panel are (input channel, tap), columns are output positions of one run. */
static fer_status load_run(convolution *c,
                           const feri_ref_block *block,
                           const feri_ref_run *run,
                           uint64_t column,
                           feri_ref_word *panel) {
    const feri_ref_window *w = &c->params->window;
    uint64_t channel = block->row / w->taps, tap_index = block->row % w->taps;
    int64_t tap[FERI_REF_SPATIAL];
    feri_ref_window_tap(w, tap_index, tap);
    for (uint64_t k = 0; k < block->rows; k++) {
        feri_ref_view view;
        uint64_t seen = 0;
        if (feri_ref_window_view(w, run, tap, &view)) {
            double chunk[FERI_REF_GEMM_N];
            uint64_t start = (c->in_channel + channel) * w->in_count + view.in_first;
            seen = view.count;
            feri_ref_load_real(c->call, c->call->in[0], start, view.in_step, seen, chunk);
            for (uint64_t i = 0; i < seen; i++) {
                uint64_t j = column + view.first + i * view.out_step;
                panel[feri_ref_gemm_b_at(block->rows, k, j)].f = chunk[i];
            }
        }
        if (feri_ref_poll(c->call, seen + w->rank)) {
            return c->call->status;
        }
        feri_ref_window_next_tap(w, tap);
        if (++tap_index == w->taps) {
            tap_index = 0;
            channel++;
        }
    }
    return FER_OK;
}

static fer_status load_columns(void *self, const feri_ref_block *block, feri_ref_word *panel) {
    convolution *c = self;
    for (uint64_t j = 0; j < block->columns;) {
        feri_ref_run run;
        feri_ref_window_run(&c->params->window, block->column + j, block->columns - j, &run);
        fer_status status = load_run(c, block, &run, j, panel);
        if (status) {
            return status;
        }
        j += run.count;
    }
    return FER_OK;
}

static fer_status store_channels(void *self, const feri_ref_block *block, feri_ref_word *values) {
    convolution *c = self;
    const feri_ref_tensor *bias = feri_ref_input(c->call, 2);
    for (uint64_t i = 0; i < block->rows; i++) {
        double *row = &values[i * FERI_REF_GEMM_N].f, added = 0.0;
        if (bias) {
            added = feri_ref_scalar_f64(c->call, bias, c->out_weight + block->row + i);
        }
        for (uint64_t j = 0; bias && j < block->columns; j++) {
            row[j] += added;
        }
        uint64_t channel = c->out_channel + block->row + i;
        feri_ref_store_real(c->call,
                            c->call->out[0],
                            channel * c->params->window.out_count + block->column,
                            1,
                            block->columns,
                            row);
        if (feri_ref_poll(c->call, block->columns)) {
            return c->call->status;
        }
    }
    return FER_OK;
}

static fer_status conv_run(feri_ref_call *call) {
    const conv_params *p = call->params;
    uint64_t images = (uint64_t)call->out[0]->dims[0];
    convolution c = {.call = call, .params = p};
    feri_ref_gemm gemm = {.call = call,
                          .m = p->out_channels,
                          .n = p->window.out_count,
                          .k = p->in_channels * p->window.taps,
                          .self = &c,
                          .load_a = FERI_REF_IS(call->node->op, ConvTranspose) ? load_transposed
                                                                               : load_weights,
                          .load_b = load_columns,
                          .store = store_channels,
                          .scratch = call->scratch};
    if (call->out[0]->count == 0) {
        return FER_OK;
    }
    for (uint64_t image = 0; image < images; image++) {
        for (uint64_t g = 0; g < p->group; g++) {
            c.in_weight = g * p->in_channels;
            c.out_weight = g * p->out_channels;
            c.in_channel = image * p->group * p->in_channels + c.in_weight;
            c.out_channel = image * p->group * p->out_channels + c.out_weight;
            fer_status status = feri_ref_gemm_run(&gemm);
            if (status) {
                return status;
            }
        }
    }
    return FER_OK;
}

/* A 1x1 kernel that moves by one without pads sees the channel as one line. */
static void flatten(feri_ref_window *w) {
    int is_plain = w->taps == 1;
    for (uint32_t i = 0; i < w->rank; i++) {
        is_plain &= w->stride[i] == 1 && w->begin[i] == 0 && w->in[i] == w->out[i];
    }
    if (is_plain) {
        w->rank = 1;
        w->in[0] = w->out[0] = (int64_t)w->out_count;
    }
}

static fer_status bind(feri_ref_call *call) {
    conv_params *p = call->params;
    const feri_ref_tensor *x = call->in[0], *w = call->in[1], *y = call->out[0];
    const feri_ref_tensor *bias = feri_ref_input(call, 2);
    int64_t group = feri_ref_int(call->node, "group", 1);
    int is_transposed = FERI_REF_IS(call->node->op, ConvTranspose);
    if (w->rank != x->rank || w->rank < 3) {
        return feri_ref_unfit(call);
    }
    fer_status status = feri_ref_window_bind(call, x, y, w->dims + 2, &p->window);
    if (status) {
        return status;
    }
    if (group < 1 || x->dims[1] % group != 0 || y->dims[1] % group != 0) {
        return feri_ref_unfit(call);
    }
    int64_t in_channels = x->dims[1] / group, out_channels = y->dims[1] / group;
    int fits = is_transposed ? w->dims[0] == x->dims[1] && w->dims[1] == out_channels
                             : w->dims[0] == y->dims[1] && w->dims[1] == in_channels;
    if (!fits || (bias && bias->count != (uint64_t)y->dims[1])) {
        return feri_ref_unfit(call);
    }
    p->group = (uint64_t)group;
    p->in_channels = (uint64_t)in_channels;
    p->out_channels = (uint64_t)out_channels;
    flatten(&p->window);
    call->scratch_bytes = FERI_REF_GEMM_BYTES;
    return FER_OK;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_conv[] = {
    FERI_REF_KERNEL(Conv, 22, .run = conv_run, .bind = bind,
                 .params_bytes = sizeof(conv_params))
    FERI_REF_KERNEL(ConvTranspose, 22, .run = conv_run, .bind = bind,
                 .params_bytes = sizeof(conv_params))
    FERI_REF_END
};
/* clang-format on */
