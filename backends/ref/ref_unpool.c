/* SPDX-License-Identifier: Apache-2.0
 *
 * MaxUnpool (elements back to where a max pool found them) and Col2Im (overlapping blocks summed
 * into an image). Positions are data or come from attributes that anyone may have written: each is
 * checked. Called through the step list.
 */
#include "kit/geometry.h"
#include "ref/ref_elements.h"
#include "ref/ref_line.h"

#include <string.h>

enum { SPATIAL = FER_MAX_RANK - 2 };
#define MOST 2147483647 /* of a pad, stride, dilation or block dim: products of two fit */

/* Attribute entries in [least, MOST]. */
static fer_status read_ints(feri_ref_call *call,
                            const char *name,
                            uint32_t count,
                            int64_t absent,
                            int64_t least,
                            int64_t *out) {
    fer_status status = feri_ref_ints(call, name, count, absent, out);
    for (uint32_t i = 0; status == FER_OK && i < count; i++) {
        if (out[i] < least || out[i] > MOST) {
            status = feri_ref_fail(
                call, FER_INVALID_MODEL, "a pad, stride, dilation or kernel dim is out of range");
        }
    }
    return status;
}

/* ---- MaxUnpool ---- */

/* The tensor that a max pool of these windows would have read: the indices count in it. */
static fer_status pooled_from(feri_ref_call *call, int64_t *dims, uint64_t *out_count) {
    const feri_ref_tensor *x = call->in[0];
    uint32_t spatial = x->rank - 2;
    int64_t kernel[SPATIAL], stride[SPATIAL], pads[2 * SPATIAL];
    fer_status status = read_ints(call, "kernel_shape", spatial, 1, 1, kernel);
    status = status ? status : read_ints(call, "strides", spatial, 1, 1, stride);
    status = status ? status : read_ints(call, "pads", 2 * spatial, 0, 0, pads);
    if (status != FER_OK) {
        return status;
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        dims[i] = x->dims[i];
        if (i >= 2) {
            int64_t span;
            uint32_t s = i - 2;
            if (__builtin_mul_overflow(x->dims[i] - 1, stride[s], &span) ||
                __builtin_add_overflow(span, kernel[s] - pads[s] - pads[spatial + s], &span) ||
                span < 0) {
                return feri_ref_misfit(call, "the windows do not fit X");
            }
            dims[i] = span;
        }
    }
    return feri_kit_count(x->rank, dims, out_count)
               ? FER_OK
               : feri_ref_misfit(call, "the result would be too large");
}

static fer_status unpool_run(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0], *indices = call->in[1];
    feri_ref_tensor *y = call->out[0];
    uint32_t bits = feri_ref_bits(x->dtype);
    int64_t dims[FER_MAX_RANK];
    uint64_t count = 0;
    if (x->rank < 3 || y->rank != x->rank || indices->count != x->count) {
        return feri_ref_misfit(call, "X, I and the output do not fit");
    }
    fer_status status = pooled_from(call, dims, &count);
    status = status ? status : feri_ref_fill(call, y, NULL);
    for (uint64_t i = 0; status == FER_OK && i < x->count; i++) {
        int64_t index;
        feri_ref_load_int(call, indices, i, 1, 1, &index);
        if (index < 0 || (uint64_t)index >= count) {
            return feri_ref_misfit(call, "an index of I is out of range");
        }
        uint64_t rest = (uint64_t)index, at = 0, step = 1;
        int is_inside = 1;
        for (uint32_t d = x->rank; d-- > 0;) {
            uint64_t place = rest % (uint64_t)dims[d];
            rest /= (uint64_t)dims[d];
            is_inside &= place < (uint64_t)y->dims[d];
            at += place * step;
            step *= (uint64_t)y->dims[d];
        }
        if (is_inside) {
            feri_ref_copy_run(bits, y->data, at, x->data, i, 1);
        }
        status = feri_ref_poll(call, x->rank);
    }
    return status;
}

/* ---- Col2Im ---- */

typedef struct fold {
    uint32_t spatial;
    uint32_t parts;  /* 2 for complex numbers, which are summed part by part */
    fer_dtype dtype; /* of a part */
    uint32_t is_float;
    uint64_t taps;
    uint64_t blocks;
    int64_t tap[SPATIAL], block[SPATIAL], stride[SPATIAL], dilation[SPATIAL], pads[2 * SPATIAL];
} fold;

static fer_status fold_bind(feri_ref_call *call) {
    fold *p = call->params;
    const feri_ref_tensor *in = call->in[0], *y = call->out[0];
    uint32_t kind = feri_kit_class(y->dtype);
    p->spatial = y->rank < 3 ? 0 : y->rank - 2;
    if (in->rank != 3 || p->spatial == 0 || call->in[2]->count != p->spatial) {
        return feri_ref_misfit(call, "image_shape and block_shape do not fit");
    }
    p->parts = kind == FERI_KIT_COMPLEX ? 2 : 1;
    p->dtype = y->dtype == FER_C64 ? FER_F32 : y->dtype == FER_C128 ? FER_F64 : y->dtype;
    p->is_float = kind == FERI_KIT_FLOAT || kind == FERI_KIT_COMPLEX;
    fer_status status = read_ints(call, "strides", p->spatial, 1, 1, p->stride);
    status = status ? status : read_ints(call, "dilations", p->spatial, 1, 1, p->dilation);
    status = status ? status : read_ints(call, "pads", 2 * p->spatial, 0, 0, p->pads);
    if (status != FER_OK) {
        return status;
    }
    p->taps = p->blocks = 1;
    for (uint32_t i = 0; i < p->spatial; i++) {
        feri_ref_load_int(call, call->in[2], i, 1, 1, &p->tap[i]);
        if (p->tap[i] < 1 || p->tap[i] > MOST) {
            return feri_ref_misfit(call, "an entry of block_shape is not positive");
        }
        int64_t span = p->dilation[i] * (p->tap[i] - 1) + 1;
        int64_t room = y->dims[i + 2] + p->pads[i] + p->pads[p->spatial + i] - span;
        p->block[i] = room < 0 ? 0 : room / p->stride[i] + 1;
        if (__builtin_mul_overflow(p->taps, (uint64_t)p->tap[i], &p->taps) ||
            __builtin_mul_overflow(p->blocks, (uint64_t)p->block[i], &p->blocks)) {
            p->taps = 0; /* then nothing fits */
        }
    }
    if ((uint64_t)in->dims[2] != p->blocks || p->taps == 0 || in->dims[0] != y->dims[0] ||
        (uint64_t)in->dims[1] % p->taps != 0 ||
        (uint64_t)in->dims[1] / p->taps != (uint64_t)y->dims[1]) {
        return feri_ref_misfit(call, "the input's blocks do not fit image_shape and block_shape");
    }
    return FER_OK;
}

/* The block whose tap lies on place, 0 when there is none. */
static int find_block(const fold *p, const int64_t *place, const int64_t *tap, uint64_t *out) {
    *out = 0;
    for (uint32_t i = 0; i < p->spatial; i++) {
        int64_t at = place[i] + p->pads[i] - tap[i] * p->dilation[i];
        if (at < 0 || at % p->stride[i] != 0 || at / p->stride[i] >= p->block[i]) {
            return 0;
        }
        *out = *out * (uint64_t)p->block[i] + (uint64_t)(at / p->stride[i]);
    }
    return 1;
}

/* Steps a row-major index; dims > 0. */
static void next_index(uint32_t rank, const int64_t *dims, int64_t *index) {
    for (uint32_t d = rank; d-- > 0;) {
        if (++index[d] < dims[d]) {
            return;
        }
        index[d] = 0;
    }
}

/* The sum of all blocks at one place of channel. */
static fer_status
sum_place(feri_ref_call *call, uint64_t channel, const int64_t *place, uint64_t at) {
    const fold *p = call->params;
    feri_ref_tensor in = *call->in[0], y = *call->out[0];
    in.dtype = y.dtype = p->dtype;
    int64_t tap[SPATIAL] = {0}, whole = 0;
    double real[2] = {0, 0};
    for (uint64_t t = 0; t < p->taps; t++) {
        uint64_t block;
        if (find_block(p, place, tap, &block)) {
            uint64_t from = (channel * p->taps + t) * p->blocks + block;
            for (uint32_t k = 0; k < p->parts; k++) {
                int64_t more = 0;
                double value = 0;
                if (p->is_float) {
                    feri_ref_load_real(call, &in, from * p->parts + k, 1, 1, &value);
                } else {
                    feri_ref_load_int(call, &in, from, 1, 1, &more);
                }
                real[k] += value;
                whole = (int64_t)((uint64_t)whole + (uint64_t)more);
            }
        }
        next_index(p->spatial, p->tap, tap);
        fer_status status = feri_ref_poll(call, p->spatial);
        if (status != FER_OK) {
            return status;
        }
    }
    if (p->is_float) {
        feri_ref_store_real(call, &y, at * p->parts, 1, p->parts, real);
    } else {
        feri_ref_store_int(call, &y, at, 1, 1, &whole);
    }
    return FER_OK;
}

static fer_status fold_run(feri_ref_call *call) {
    const fold *p = call->params;
    feri_ref_tensor *y = call->out[0];
    uint64_t area = (uint64_t)feri_kit_span(y->dims, 2, y->rank);
    int64_t place[SPATIAL] = {0};
    fer_status status = FER_OK;
    for (uint64_t i = 0; status == FER_OK && i < y->count; i++) {
        status = sum_place(call, i / area, place, i);
        next_index(p->spatial, y->dims + 2, place);
    }
    return status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_unpool[] = {
    FERI_REF_KERNEL(MaxUnpool, 22, .run = unpool_run)
    FERI_REF_KERNEL(Col2Im, 18, .run = fold_run, .bind = fold_bind, .params_bytes = sizeof(fold))
    FERI_REF_END
};
/* clang-format on */
