/* SPDX-License-Identifier: Apache-2.0
 *
 * Pad: constant, reflect, edge and wrap. Negative pads crop first. The constant mode is a fill and
 * a block copy; the others look each axis' source index up in a table made per run in scratch.
 * Called through the step list.
 */
#include "ref/ref_elements.h"

#include <string.h>

typedef struct pad_axis {
    int64_t low;   /* first element of the input that is kept */
    int64_t kept;  /* elements kept */
    int64_t start; /* where they begin in the output */
} pad_axis;

enum { CONSTANT, REFLECT, EDGE, WRAP };
static int mode_of(feri_ref_call *call) {
    return feri_ref_name_index(call, "mode", "constant, reflect, edge, wrap");
}

static fer_status bind(feri_ref_call *call) {
    int mode = mode_of(call);
    for (uint32_t d = 0; mode != CONSTANT && call->out[0]->count && d < call->out[0]->rank; d++) {
        call->scratch_bytes += (uint64_t)call->out[0]->dims[d] * sizeof(int64_t);
    }
    return FER_OK;
}

static fer_status read_pads(feri_ref_call *call, pad_axis *axes) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *out = call->out[0];
    const feri_ref_tensor *pads = call->in[1];
    const feri_ref_tensor *named = feri_ref_input(call, 3);
    uint64_t count = named ? named->count : in->rank;
    if (count > in->rank || pads->count != 2 * count || out->rank != in->rank) {
        return feri_ref_unfit(call);
    }
    for (uint32_t d = 0; d < in->rank; d++) {
        axes[d] = (pad_axis){.low = 0, .kept = in->dims[d], .start = 0};
    }
    for (uint64_t i = 0; i < count; i++) {
        uint32_t axis = (uint32_t)i;
        if (named && !feri_kit_axis(feri_ref_scalar_i64(call, named, i), in->rank, &axis)) {
            return feri_ref_unfit(call);
        }
        int64_t begin = feri_ref_scalar_i64(call, pads, i);
        int64_t end = feri_ref_scalar_i64(call, pads, count + i);
        int64_t dim = in->dims[axis];
        int64_t size;
        if (begin < -dim || end < -dim || __builtin_add_overflow(dim, begin, &size) ||
            __builtin_add_overflow(size, end, &size) || size < 0) {
            return feri_ref_misfit(call, "pads crop more than there is");
        }
        int64_t kept = dim + (begin < 0 ? begin : 0) + (end < 0 ? end : 0);
        axes[axis] = (pad_axis){.low = begin < 0 ? -begin : 0,
                                .kept = kept < 0 ? 0 : kept,
                                .start = begin > 0 ? begin : 0};
        if (size != out->dims[axis]) {
            return feri_ref_unfit(call);
        }
    }
    for (uint32_t d = 0; d < in->rank; d++) {
        if (axes[d].kept + axes[d].start > out->dims[d]) {
            return feri_ref_unfit(call);
        }
    }
    return FER_OK;
}

static fer_status pad_constant(feri_ref_call *call, const pad_axis *axes) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    const feri_ref_tensor *value = feri_ref_input(call, 2);
    if (value && (value->count != 1 || value->dtype != out->dtype)) {
        return feri_ref_misfit(call, "constant_value must be one element");
    }
    if (feri_ref_fill(call, out, value ? value->data : NULL)) {
        return call->status;
    }
    feri_ref_move move;
    feri_ref_move_init(&move, in, out);
    for (uint32_t d = 0; d < in->rank; d++) {
        move.dims[d] = axes[d].kept;
        if (axes[d].kept == 0) {
            return FER_OK;
        }
        move.from_offset += axes[d].low * move.from_strides[d];
        move.to_offset += axes[d].start * move.to_strides[d];
    }
    return feri_ref_move_run(call, &move);
}

/* Position at (relative to the kept stretch, perhaps outside) to one inside it. */
static int64_t mirror(int64_t at, int64_t kept) {
    if (kept == 1) {
        return 0;
    }
    int64_t period = 2 * (kept - 1);
    at = at % period;
    at = at < 0 ? at + period : at;
    return at < kept ? at : period - at;
}
static int64_t clamp(int64_t at, int64_t kept) { return at < 0 ? 0 : at < kept ? at : kept - 1; }
static int64_t wrap(int64_t at, int64_t kept) {
    at = at % kept;
    return at < 0 ? at + kept : at;
}

static fer_status pad_mapped(feri_ref_call *call, const pad_axis *axes) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int mode = mode_of(call);
    int64_t (*map)(int64_t, int64_t) = mode == REFLECT ? mirror : mode == EDGE ? clamp : wrap;
    int64_t strides[FER_MAX_RANK];
    const int64_t *table[FER_MAX_RANK]; /* source offset per output position, one per axis */
    int64_t *next = call->scratch;
    feri_kit_strides(in->rank, in->dims, strides);
    for (uint32_t d = 0; d < in->rank; d++) {
        if (axes[d].kept <= 0) {
            return feri_ref_misfit(call, "there is nothing to pad with");
        }
        table[d] = next;
        for (int64_t o = 0; o < out->dims[d]; o++) {
            *next++ = (axes[d].low + map(o - axes[d].start, axes[d].kept)) * strides[d];
        }
        if (feri_ref_poll(call, 1)) {
            return call->status;
        }
    }
    uint32_t bits = feri_ref_bits(out->dtype);
    int64_t index[FER_MAX_RANK] = {0};
    for (uint64_t to = 0; to < out->count; to++) {
        int64_t from = 0;
        for (uint32_t d = 0; d < in->rank; d++) {
            from += table[d][index[d]];
        }
        feri_ref_copy_run(bits, out->data, to, in->data, (uint64_t)from, 1);
        for (uint32_t d = in->rank; d-- > 0 && ++index[d] == out->dims[d];) {
            index[d] = 0;
        }
        if (feri_ref_poll(call, 1)) {
            return call->status;
        }
    }
    return FER_OK;
}

static fer_status run(feri_ref_call *call) {
    pad_axis axes[FER_MAX_RANK];
    if (read_pads(call, axes) || call->out[0]->count == 0) {
        return call->status;
    }
    return mode_of(call) == CONSTANT ? pad_constant(call, axes) : pad_mapped(call, axes);
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_pad[] = {
    FERI_REF_KERNEL(Pad, 25, .run = run, .bind = bind)
    FERI_REF_END
};
/* clang-format on */
