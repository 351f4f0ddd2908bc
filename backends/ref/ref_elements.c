/* SPDX-License-Identifier: Apache-2.0
 *
 * Broadcast operands and single elements for kernels: see ref_elements.h. Owns nothing.
 */
#include "ref/ref_elements.h"

#include <stdio.h>
#include <string.h>

fer_status feri_ref_operand_init(feri_ref_call *call,
                                 feri_ref_operand *operand,
                                 const feri_ref_tensor *in,
                                 const feri_ref_tensor *out) {
    int64_t strides[FER_MAX_RANK];
    if (in->count == 1) {
        *operand = (feri_ref_operand){.rank = 1, .dims = {INT64_MAX}};
        return FER_OK;
    }
    if (!feri_kit_broadcast_strides(out->rank, out->dims, in->rank, in->dims, strides)) {
        return feri_ref_unfit(call);
    }
    feri_kit_walk walk;
    const int64_t *list[1] = {strides};
    feri_kit_walk_init(&walk, out->rank, out->dims, 1, list);
    operand->rank = 0;
    if (!walk.is_empty && (walk.outer_rank > 0 || (walk.inner > 1 && walk.step[0] != 1))) {
        operand->rank = walk.outer_rank + 1;
        memcpy(operand->dims, walk.dims, sizeof walk.dims);
        memcpy(operand->strides, walk.strides[0], sizeof walk.strides[0]);
        operand->dims[walk.outer_rank] = walk.inner;
        operand->strides[walk.outer_rank] = walk.step[0];
    }
    return FER_OK;
}

void feri_ref_operand_load(feri_ref_call *call,
                           const feri_ref_operand *operand,
                           const feri_ref_tensor *in,
                           int is_real,
                           const feri_ref_piece *piece,
                           feri_ref_word *out) {
    uint64_t inner = operand->rank ? (uint64_t)operand->dims[operand->rank - 1] : UINT64_MAX;
    uint64_t step = operand->rank ? (uint64_t)operand->strides[operand->rank - 1] : 1;
    for (uint64_t done = 0; done < piece->count;) {
        uint64_t row = (piece->begin + done) / inner, column = (piece->begin + done) % inner;
        uint64_t run = inner - column < piece->count - done ? inner - column : piece->count - done;
        uint64_t at = column * step; /* step is 0 or 1: what repeats is read once */
        for (uint32_t d = operand->rank; row > 0 && d-- > 1;) {
            uint64_t dim = (uint64_t)operand->dims[d - 1];
            at += row % dim * (uint64_t)operand->strides[d - 1];
            row /= dim;
        }
        feri_ref_load_as(call, in, at, 1, step ? run : 1, out + done, is_real);
        for (uint64_t i = 1; !step && i < run; i++) {
            out[done + i] = out[done];
        }
        done += run;
    }
}

int64_t feri_ref_to_i64(double value) {
    if (value != value) {
        return 0;
    }
    if (value >= 9223372036854775808.0) {
        return INT64_MAX;
    }
    return value < -9223372036854775808.0 ? INT64_MIN : (int64_t)value;
}

fer_status feri_ref_index(feri_ref_call *call,
                          const feri_ref_tensor *indices,
                          uint64_t at,
                          int64_t dim,
                          int64_t *out_index) {
    int64_t index = feri_ref_scalar_i64(call, indices, at);
    if (index < -dim || index >= dim) {
        char text[160];
        (void)snprintf(text,
                       sizeof(text),
                       "index %lld at position %llu is outside [%lld, %lld)",
                       (long long)index,
                       (unsigned long long)at,
                       -(long long)dim,
                       (long long)dim);
        return feri_ref_misfit(call, text);
    }
    *out_index = index < 0 ? index + dim : index;
    return FER_OK;
}
