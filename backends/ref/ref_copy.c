/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies by element size for kernels that only move: runs, strided blocks, fills (ref_elements.h).
 * Knows widths, never dtypes. Owns nothing.
 */
#include "ref/ref_elements.h"

#include <string.h>

/* One element of a sub-byte dtype: low bits first. */
static void
copy_bits(uint32_t bits, uint8_t *to, uint64_t to_at, const uint8_t *from, uint64_t at) {
    uint32_t per_byte = 8 / bits;
    uint32_t mask = (1u << bits) - 1;
    uint32_t element = ((uint32_t)from[at / per_byte] >> (at % per_byte * bits)) & mask;
    uint32_t shift = (uint32_t)(to_at % per_byte) * bits;
    uint8_t *byte = &to[to_at / per_byte];
    *byte = (uint8_t)((*byte & ~(mask << shift)) | (element << shift));
}

void feri_ref_copy_run(uint32_t bits,
                       uint8_t *destination,
                       uint64_t destination_index,
                       const uint8_t *source,
                       uint64_t source_index,
                       uint64_t count) {
    if (bits >= 8) {
        uint64_t bytes = bits / 8;
        memmove(
            destination + destination_index * bytes, source + source_index * bytes, count * bytes);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        copy_bits(bits, destination, destination_index + i, source, source_index + i);
    }
}

/* The first piece element by element, the others from it. */
fer_status feri_ref_fill(feri_ref_call *call, feri_ref_tensor *out, const uint8_t *source) {
    static const uint8_t zero[16] = {0};
    uint32_t bits = feri_ref_bits(out->dtype);
    feri_ref_piece p = {.total = out->count};
    while (feri_ref_next(call, &p)) {
        for (uint64_t i = 0; p.begin == 0 && i < p.count; i++) {
            feri_ref_copy_run(bits, out->data, i, source ? source : zero, 0, 1);
        }
        if (p.begin > 0) {
            feri_ref_copy_run(bits, out->data, p.begin, out->data, 0, p.count);
        }
    }
    return call->status;
}

void feri_ref_move_init(feri_ref_move *move,
                        const feri_ref_tensor *in,
                        const feri_ref_tensor *out) {
    memset(move, 0, sizeof *move);
    move->bits = feri_ref_bits(in->dtype);
    move->rank = out->rank;
    move->to = out->data;
    move->from = in->data;
    memcpy(move->dims, out->dims, sizeof move->dims);
    feri_kit_strides(out->rank, out->dims, move->to_strides);
    feri_kit_strides(in->rank, in->dims, move->from_strides);
}

/* count elements with a step each; constant sizes become single moves. */
static void copy_row(const feri_ref_move *m,
                     int64_t to_at,
                     int64_t to_step,
                     int64_t from_at,
                     int64_t from_step,
                     int64_t count) {
    int64_t bytes = m->bits / 8;
    uint8_t *to = m->to + to_at * bytes;
    const uint8_t *from = m->from + from_at * bytes;
    if (bytes == 0 || (to_step == 1 && from_step == 1)) {
        for (int64_t i = 0, run = bytes ? count : 1; i < count; i += run) {
            feri_ref_copy_run(m->bits,
                              m->to,
                              (uint64_t)(to_at + i * to_step),
                              m->from,
                              (uint64_t)(from_at + i * from_step),
                              (uint64_t)run);
        }
        return;
    }
    to_step *= bytes;
    from_step *= bytes;
    for (int64_t i = 0; i < count; i++, to += to_step, from += from_step) {
        if (bytes == 1) {
            *to = *from;
        } else if (bytes == 2) {
            memcpy(to, from, 2);
        } else if (bytes == 4) {
            memcpy(to, from, 4);
        } else {
            memcpy(to, from, 8);
            memcpy(to + bytes - 8, from + bytes - 8, 8); /* complex: two doubles */
        }
    }
}

fer_status feri_ref_move_run(feri_ref_call *call, const feri_ref_move *move) {
    feri_kit_walk walk;
    feri_kit_cursor at;
    const int64_t *strides[2] = {move->to_strides, move->from_strides};
    feri_kit_walk_init(&walk, move->rank, move->dims, 2, strides);
    for (int more = feri_kit_walk_begin(&walk, &at); more; more = feri_kit_walk_next(&walk, &at)) {
        for (int64_t done = 0; done < walk.inner;) {
            int64_t run = walk.inner - done < 4096 ? walk.inner - done : 4096;
            copy_row(move,
                     move->to_offset + at.offset[0] + done * walk.step[0],
                     walk.step[0],
                     move->from_offset + at.offset[1] + done * walk.step[1],
                     walk.step[1],
                     run);
            done += run;
            if (feri_ref_poll(call, (uint64_t)run)) {
                return call->status;
            }
        }
    }
    return FER_OK;
}

fer_status feri_ref_copy_all(feri_ref_call *call, const feri_ref_tensor *in, feri_ref_tensor *out) {
    uint64_t bytes = feri_kit_bytes(in->dtype, in->count);
    if (bytes != feri_kit_bytes(out->dtype, out->count)) {
        return feri_ref_unfit(call);
    }
    for (uint64_t done = 0; done < bytes && call->status == FER_OK;) {
        uint64_t run = bytes - done < 1u << 20 ? bytes - done : 1u << 20;
        memcpy(out->data + done, in->data + done, (size_t)run);
        done += run;
        /* 1 MiB is moved in about the time of 4,096 scalar operations. */
        (void)feri_ref_poll(call, run / 256 + 1);
    }
    return call->status;
}
