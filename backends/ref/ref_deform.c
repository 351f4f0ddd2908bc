/* SPDX-License-Identifier: Apache-2.0
 *
 * DeformConv in any number of spatial dims: a convolution whose taps are moved by offsets and read
 * between pixels (linear, nothing outside), each weighed by a mask. Offsets [N, G' * taps * dims,
 * out...], mask [N, G' * taps, out...]. Called through the step list.
 */
#include "kit/geometry.h"
#include "ref/ref_window.h"

#include <math.h>

typedef struct deform {
    feri_ref_window window;
    uint64_t group, offset_group;
    uint64_t in_channels, out_channels; /* of one group */
} deform;

static fer_status bind(feri_ref_call *call) {
    deform *p = call->params;
    const feri_ref_tensor *x = call->in[0], *w = call->in[1], *offset = call->in[2];
    const feri_ref_tensor *bias = feri_ref_input(call, 3), *mask = feri_ref_input(call, 4);
    const feri_ref_tensor *y = call->out[0];
    int64_t group = feri_ref_int(call->node, "group", 1);
    int64_t offset_group = feri_ref_int(call->node, "offset_group", 1);
    if (x->rank < 3 || w->rank != x->rank || y->rank != x->rank || offset->rank != x->rank) {
        return feri_ref_misfit(call, "X, W and offset must have equal ranks");
    }
    fer_status status = feri_ref_window_bind(call, x, y, w->dims + 2, &p->window);
    if (status != FER_OK) {
        return status;
    }
    if (group < 1 || offset_group < 1 || x->dims[1] % group != 0 || y->dims[1] % group != 0 ||
        x->dims[1] % offset_group != 0 || w->dims[1] != x->dims[1] / group ||
        w->dims[0] != y->dims[1] || y->dims[0] != x->dims[0]) {
        return feri_ref_misfit(call, "the groups do not divide the channels");
    }
    p->group = (uint64_t)group;
    p->offset_group = (uint64_t)offset_group;
    p->in_channels = (uint64_t)w->dims[1];
    p->out_channels = (uint64_t)(y->dims[1] / group);
    uint64_t places = (uint64_t)x->dims[0] * p->offset_group * p->window.taps * p->window.out_count;
    if (offset->count != places * p->window.rank || (mask && mask->count != places) ||
        (bias && bias->count != (uint64_t)y->dims[1])) {
        return feri_ref_misfit(call, "offset, mask or B do not fit X and W");
    }
    return FER_OK;
}

/* X between pixels; start is the channel's first element. */
static double between(feri_ref_call *call, uint64_t start, const double *point) {
    const deform *p = call->params;
    const feri_ref_window *w = &p->window;
    double low[FERI_REF_SPATIAL], sum = 0;
    for (uint32_t d = 0; d < w->rank; d++) {
        if (!(point[d] > -1 && point[d] < (double)w->in[d])) {
            return 0;
        }
        low[d] = floor(point[d]);
    }
    for (uint32_t corner = 0; corner < 1u << w->rank; corner++) {
        uint64_t index = 0;
        double weight = 1, value;
        int is_inside = 1;
        for (uint32_t d = 0; d < w->rank; d++) {
            int is_high = (int)(corner >> d & 1);
            double t = point[d] - low[d];
            int64_t at = (int64_t)low[d] + is_high;
            is_inside &= at >= 0 && at < w->in[d];
            index = index * (uint64_t)w->in[d] + (uint64_t)(at < 0 ? 0 : at);
            weight *= is_high ? t : 1 - t;
        }
        if (is_inside && weight != 0) {
            feri_ref_load_real(call, call->in[0], start + index, 1, 1, &value);
            sum += weight * value;
        }
    }
    return sum;
}

/* What one tap of one input channel adds at an output position, weight excepted. */
static double
tap_value(feri_ref_call *call, uint64_t image, uint64_t channel, uint64_t tap, uint64_t position) {
    const deform *p = call->params;
    const feri_ref_window *w = &p->window;
    const feri_ref_tensor *mask = feri_ref_input(call, 4);
    uint64_t channels = p->in_channels * p->group;
    uint64_t lane = image * p->offset_group + channel / (channels / p->offset_group);
    uint64_t cell = lane * w->taps + tap, rest = position;
    int64_t place[FERI_REF_SPATIAL];
    double point[FERI_REF_SPATIAL], scale = 1;
    feri_ref_window_tap(w, tap, place);
    for (uint32_t d = w->rank; d-- > 0;) {
        double moved;
        int64_t at = (int64_t)(rest % (uint64_t)w->out[d]);
        rest /= (uint64_t)w->out[d];
        feri_ref_load_real(
            call, call->in[2], (cell * w->rank + d) * w->out_count + position, 1, 1, &moved);
        point[d] = (double)(at * w->stride[d] - w->begin[d] + place[d] * w->dilation[d]) + moved;
    }
    if (mask) {
        feri_ref_load_real(call, mask, cell * w->out_count + position, 1, 1, &scale);
    }
    return scale * between(call, (image * channels + channel) * w->in_count, point);
}

static fer_status
output(feri_ref_call *call, uint64_t image, uint64_t out_channel, uint64_t position) {
    const deform *p = call->params;
    const feri_ref_tensor *bias = feri_ref_input(call, 3);
    uint64_t first = out_channel / p->out_channels * p->in_channels;
    double sum = 0;
    if (bias) {
        feri_ref_load_real(call, bias, out_channel, 1, 1, &sum);
    }
    for (uint64_t c = 0; c < p->in_channels; c++) {
        for (uint64_t t = 0; t < p->window.taps; t++) {
            double weight;
            feri_ref_load_real(call,
                               call->in[1],
                               (out_channel * p->in_channels + c) * p->window.taps + t,
                               1,
                               1,
                               &weight);
            sum += weight * tap_value(call, image, first + c, t, position);
            fer_status status = feri_ref_poll(call, 1u << p->window.rank);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    uint64_t at =
        (image * p->out_channels * p->group + out_channel) * p->window.out_count + position;
    feri_ref_store_real(call, call->out[0], at, 1, 1, &sum);
    return FER_OK;
}

static fer_status run(feri_ref_call *call) {
    const deform *p = call->params;
    uint64_t channels = p->out_channels * p->group;
    fer_status status = FER_OK;
    for (uint64_t i = 0; status == FER_OK && i < call->out[0]->count; i++) {
        uint64_t plane = i / p->window.out_count;
        status = output(call, plane / channels, plane % channels, i % p->window.out_count);
        status = status ? status : feri_ref_poll(call, 1);
    }
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_deform[] = {
    FERI_REF_KERNEL(DeformConv, 22, .run = run, .bind = bind, .params_bytes = sizeof(deform))
    FERI_REF_END
};
/* clang-format on */
