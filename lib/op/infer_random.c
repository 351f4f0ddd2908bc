/* SPDX-License-Identifier: Apache-2.0
 *
 * Random values, windows and spectra, losses, and attention's shapes: ops whose dtype or size an
 * attribute or a scalar operand gives.
 */
#include "op/infer.h"

#include <string.h>

#define BIT(dtype) (1u << (dtype))
#define FLOATS (BIT(FER_F32) | BIT(FER_F64) | BIT(FER_F16) | BIT(FER_BF16))
#define INTS                                                                                       \
    (BIT(FER_I8) | BIT(FER_I16) | BIT(FER_I32) | BIT(FER_I64) | BIT(FER_U8) | BIT(FER_U16) |       \
     BIT(FER_U32) | BIT(FER_U64))

static void set_dtype(feri_infer *call, const char *name, fer_dtype absent, uint32_t allowed) {
    feri_fact *out = feri_infer_out(call, 0);
    fer_dtype dtype;
    if (!absent && !feri_attr_find(call->attrs, call->attr_count, name)) {
        return; /* the operand's dtype is not known yet */
    }
    FERI_STEP(dtype = feri_infer_dtype_attr(call, name, absent, allowed));
    if (out) {
        out->dtype = dtype;
    }
}

/* RandomNormal, RandomUniform. */
void feri_infer_random(feri_infer *call) {
    uint32_t count;
    const int64_t *shape = feri_infer_ints(call, "shape", &count);
    feri_sym dims[FER_MAX_RANK];
    FERI_STEP(set_dtype(call, "dtype", FER_F32, FLOATS));
    if (count > FER_MAX_RANK) {
        feri_infer_set(call, 0, FER_MAX_RANK + 1, /*dims=*/NULL);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        dims[i] = feri_sym_number(shape[i]);
    }
    feri_infer_set(call, 0, (int32_t)count, dims);
}

/* RandomNormalLike, RandomUniformLike, Bernoulli. */
void feri_infer_random_like(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    uint32_t allowed =
        strcmp(feri_op_name(call->op), "Bernoulli") == 0 ? FLOATS | INTS | BIT(FER_BOOL) : FLOATS;
    FERI_STEP(set_dtype(call, "dtype", in->dtype, allowed));
    feri_infer_set_like(call, 0, in);
}

void feri_infer_multinomial(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    feri_sym dims[2] = {feri_sym_unknown(),
                        feri_sym_number(feri_infer_int(call, "sample_size", 1))};
    FERI_STEP(set_dtype(call, "dtype", FER_I32, BIT(FER_I32) | BIT(FER_I64)));
    FERI_STEP(feri_infer_rank(call, 0, 2, 2));
    if (in->rank == 2) {
        dims[0] = in->dims[0];
    }
    feri_infer_set(call, 0, 2, dims);
}

/* ---- windows and spectra ---- */

/* The only element of an operand; unknown when it is. */
static void read_scalar(feri_infer *call, uint32_t index, feri_sym *out) {
    uint32_t count;
    FERI_STEP(feri_infer_rank(call, index, 0, 1));
    const feri_sym *elements = feri_infer_elements(call, index, &count);
    if (elements && count != 1) {
        feri_infer_fail(call, "operand %u has %u elements, it must have one", index, count);
        return;
    }
    *out = elements ? elements[0] : feri_sym_unknown();
}

void feri_infer_signal_window(feri_infer *call) {
    feri_sym size;
    FERI_STEP(set_dtype(call, "output_datatype", FER_F32, FLOATS | INTS));
    FERI_STEP(read_scalar(call, 0, &size));
    FERI_STEP(feri_infer_check_dim(call, size, "size"));
    feri_infer_set(call, 0, 1, &size);
}

void feri_infer_mel_weights(feri_infer *call) {
    feri_sym bins;
    feri_sym length;
    FERI_STEP(set_dtype(call, "output_datatype", FER_F32, FLOATS | INTS));
    FERI_STEP(read_scalar(call, 0, &bins));
    FERI_STEP(read_scalar(call, 1, &length));
    FERI_STEP(feri_infer_check_dim(call, length, "dft_length"));
    feri_sym half = feri_sym_div(call->terms, length, feri_sym_number(2));
    feri_sym dims[2] = {feri_sym_add(call->terms, half, feri_sym_number(1)), bins};
    feri_infer_set(call, 0, 2, dims);
}

/* Bins of a spectrum of a length: all, or half and one. */
static feri_sym spectrum_size(feri_infer *call, feri_sym length, int is_onesided) {
    if (!is_onesided) {
        return length;
    }
    feri_sym half = feri_sym_div(call->terms, length, feri_sym_number(2));
    return feri_sym_add(call->terms, half, feri_sym_number(1));
}

void feri_infer_dft(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    int is_onesided = feri_infer_int(call, "onesided", 0) != 0;
    int is_inverse = feri_infer_int(call, "inverse", 0) != 0;
    feri_sym dims[FER_MAX_RANK];
    feri_sym length = feri_sym_unknown();
    feri_sym given = feri_sym_number(-2);
    FERI_STEP(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    if (in->rank < 0) {
        return;
    }
    if (feri_infer_in(call, 2)) {
        FERI_STEP(read_scalar(call, 2, &given));
    }
    if (!feri_sym_is_number(given)) {
        feri_infer_set(call, 0, in->rank, /*dims=*/NULL);
        return;
    }
    int32_t axis;
    FERI_STEP(axis = feri_infer_axis(call, "axis", given.number, in->rank));
    if (axis == in->rank - 1) {
        feri_infer_fail(call, "axis is the last one, which holds the complex parts");
        return;
    }
    memcpy(dims, in->dims, (size_t)in->rank * sizeof(*dims));
    length = dims[axis];
    if (feri_infer_in(call, 1)) {
        FERI_STEP(read_scalar(call, 1, &length));
        FERI_STEP(feri_infer_check_dim(call, length, "dft_length"));
    } else if (is_inverse && is_onesided) {
        length = feri_sym_sub(call->terms, length, feri_sym_number(1));
        length = feri_sym_mul(call->terms, length, feri_sym_number(2));
    }
    dims[axis] = is_inverse ? length : spectrum_size(call, length, is_onesided);
    dims[in->rank - 1] = feri_sym_number(is_inverse && is_onesided ? 1 : 2);
    feri_infer_set(call, 0, in->rank, dims);
}

/* signal [B, L, 1 or 2] -> [B, frames, bins, 2]. */
void feri_infer_stft(feri_infer *call) {
    const feri_fact *signal = feri_infer_in(call, 0);
    const feri_fact *window = feri_infer_in(call, 2);
    feri_sym step;
    feri_sym length = feri_sym_unknown();
    feri_sym dims[4] = {
        feri_sym_unknown(), feri_sym_unknown(), feri_sym_unknown(), feri_sym_number(2)};
    FERI_STEP(feri_infer_rank(call, 0, 3, 3));
    FERI_STEP(feri_infer_rank(call, 2, 1, 1));
    FERI_STEP(read_scalar(call, 1, &step));
    if (feri_infer_in(call, 3)) {
        FERI_STEP(read_scalar(call, 3, &length));
    } else if (window && window->rank == 1) {
        length = window->dims[0];
    }
    if ((feri_sym_is_number(step) && step.number < 1) ||
        (feri_sym_is_number(length) && length.number < 1)) {
        feri_infer_fail(call, "frame_step and frame_length must be positive");
        return;
    }
    if (signal->rank == 3) {
        dims[0] = signal->dims[0];
        feri_sym room = feri_sym_sub(call->terms, signal->dims[1], length);
        feri_sym frames = feri_sym_div(call->terms, room, step);
        dims[1] = feri_sym_add(call->terms, frames, feri_sym_number(1));
    }
    dims[2] = spectrum_size(call, length, feri_infer_int(call, "onesided", 1) != 0);
    feri_infer_set(call, 0, 4, dims);
}

/* ---- losses ---- */

void feri_infer_loss(feri_infer *call) {
    const char *reduction = feri_infer_string(call, "reduction", "mean");
    const feri_fact *scores = feri_infer_in(call, 0);
    const feri_fact *target = feri_infer_in(call, 1);
    int is_none = strcmp(reduction, "none") == 0;
    if (!is_none && strcmp(reduction, "mean") != 0 && strcmp(reduction, "sum") != 0) {
        feri_infer_fail(call, "reduction is '%s', it must be none, mean or sum", reduction);
        return;
    }
    FERI_STEP(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    FERI_STEP(feri_infer_rank(call, 2, 1, 1));
    if (scores->rank >= 2 && target->rank >= 0) {
        FERI_STEP(feri_infer_rank(call, 1, scores->rank - 1, scores->rank - 1));
        for (int32_t i = 0; i < target->rank; i++) {
            FERI_STEP(feri_infer_equal(call,
                                       target->dims[i],
                                       scores->dims[i == 0 ? 0 : i + 1],
                                       "the dims of the targets and the scores"));
        }
    }
    FERI_STEP(feri_infer_set_like(call, 1, scores));
    if (is_none) {
        feri_infer_set_like(call, 0, target);
    } else {
        feri_infer_set(call, 0, 0, /*dims=*/NULL);
    }
}

/* ---- rotary embedding ---- */

void feri_infer_rotary(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    int64_t heads = feri_infer_int(call, "num_heads", 0);
    int64_t part = feri_infer_int(call, "rotary_embedding_dim", 0);
    int32_t cache_rank = feri_infer_in(call, 3) ? 2 : 3;
    FERI_STEP(feri_infer_rank(call, 0, 3, 4));
    FERI_STEP(feri_infer_rank(call, 1, cache_rank, cache_rank));
    FERI_STEP(feri_infer_rank(call, 2, cache_rank, cache_rank));
    FERI_STEP(feri_infer_rank(call, 3, 2, 2));
    if (heads < 0 || part < 0 || part % 2 != 0) {
        feri_infer_fail(call,
                        "num_heads and rotary_embedding_dim must not be negative, the second even");
        return;
    }
    if (x->rank == 3) {
        if (heads == 0) {
            feri_infer_fail(call, "num_heads is missing, X of rank 3 needs it");
            return;
        }
        if (feri_sym_is_number(x->dims[2]) && x->dims[2].number % heads != 0) {
            feri_infer_fail(call,
                            "num_heads is %lld, it must divide X's last dim %lld",
                            (long long)heads,
                            (long long)x->dims[2].number);
            return;
        }
    }
    feri_infer_set_like(call, 0, x);
}
