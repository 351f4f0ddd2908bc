/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of elements for kernels: see ref_elements.h. Owns nothing.
 */
#include "ref/ref_elements.h"

#include <string.h>

fer_status feri_ref_operand_init(const feri_ref_call *call,
                                 feri_ref_operand *operand,
                                 const feri_ref_tensor *in,
                                 const feri_ref_tensor *out) {
    int64_t strides[FER_MAX_RANK];
    if (!feri_kit_broadcast_strides(out->rank, out->dims, in->rank, in->dims, strides)) {
        return feri_ref_fail(call,
                             FER_INVALID_INPUT,
                             "the shapes of the inputs do not broadcast to the output's; dims must "
                             "be equal or 1");
    }
    feri_kit_walk walk;
    const int64_t *list[1] = {strides};
    feri_kit_walk_init(&walk, out->rank, out->dims, 1, list);
    operand->rank = 0;
    operand->is_dense = walk.is_empty || (walk.outer_rank == 0 && walk.step[0] == 1) ||
                        (walk.inner == 1 && walk.outer_rank == 0);
    if (!operand->is_dense) {
        operand->rank = walk.outer_rank + 1;
        memcpy(operand->dims, walk.dims, walk.outer_rank * sizeof(int64_t));
        memcpy(operand->strides, walk.strides[0], walk.outer_rank * sizeof(int64_t));
        operand->dims[walk.outer_rank] = walk.inner;
        operand->strides[walk.outer_rank] = walk.step[0];
    }
    return FER_OK;
}

/* Where a flat output index lies in a broadcast operand. */
typedef struct place {
    int64_t index[FER_MAX_RANK];
    int64_t offset;
} place;

static void place_at(const feri_ref_operand *operand, uint64_t flat, place *at) {
    at->offset = 0;
    for (uint32_t d = operand->rank; d-- > 0;) {
        at->index[d] = (int64_t)(flat % (uint64_t)operand->dims[d]);
        flat /= (uint64_t)operand->dims[d];
        at->offset += at->index[d] * operand->strides[d];
    }
}

/* Moves on by count elements of the inner dim, at most to its end. */
static void place_advance(const feri_ref_operand *operand, place *at, int64_t count) {
    uint32_t d = operand->rank - 1;
    at->index[d] += count;
    at->offset += count * operand->strides[d];
    while (d > 0 && at->index[d] == operand->dims[d]) {
        at->offset -= operand->dims[d] * operand->strides[d];
        at->index[d] = 0;
        d--;
        at->index[d]++;
        at->offset += operand->strides[d];
    }
}

static uint64_t row_left(const feri_ref_operand *operand, const place *at, uint64_t count) {
    uint32_t inner = operand->rank - 1;
    uint64_t left = (uint64_t)(operand->dims[inner] - at->index[inner]);
    return left < count ? left : count;
}

void feri_ref_operand_f64(const fer_host *host,
                          const feri_ref_operand *operand,
                          const feri_ref_tensor *in,
                          uint64_t begin,
                          uint64_t count,
                          double *out) {
    if (operand->is_dense) {
        feri_ref_load_f64(host, in, begin, count, out);
        return;
    }
    place at;
    place_at(operand, begin, &at);
    while (count > 0) {
        uint64_t run = row_left(operand, &at, count);
        int repeats = operand->strides[operand->rank - 1] == 0;
        feri_ref_load_f64(host, in, (uint64_t)at.offset, repeats ? 1 : run, out);
        for (uint64_t i = 1; repeats && i < run; i++) {
            out[i] = out[0];
        }
        place_advance(operand, &at, (int64_t)run);
        out += run;
        count -= run;
    }
}

void feri_ref_operand_i64(const fer_host *host,
                          const feri_ref_operand *operand,
                          const feri_ref_tensor *in,
                          uint64_t begin,
                          uint64_t count,
                          int64_t *out) {
    if (operand->is_dense) {
        host->load_i64(in->dtype, in->data, begin, count, out);
        return;
    }
    place at;
    place_at(operand, begin, &at);
    while (count > 0) {
        uint64_t run = row_left(operand, &at, count);
        int repeats = operand->strides[operand->rank - 1] == 0;
        host->load_i64(in->dtype, in->data, (uint64_t)at.offset, repeats ? 1 : run, out);
        for (uint64_t i = 1; repeats && i < run; i++) {
            out[i] = out[0];
        }
        place_advance(operand, &at, (int64_t)run);
        out += run;
        count -= run;
    }
}

void feri_ref_load_f64(
    const fer_host *host, const feri_ref_tensor *in, uint64_t begin, uint64_t count, double *out) {
    if (feri_ref_is_float(in->dtype)) {
        host->load_f64(in->dtype, in->data, begin, count, out);
        return;
    }
    int64_t piece[64];
    while (count > 0) {
        uint64_t run = count < 64 ? count : 64;
        host->load_i64(in->dtype, in->data, begin, run, piece);
        for (uint64_t i = 0; i < run; i++) {
            out[i] = in->dtype == FER_U64 ? (double)(uint64_t)piece[i] : (double)piece[i];
        }
        out += run;
        begin += run;
        count -= run;
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

int64_t feri_ref_to_u64_bits(double value) {
    if (value >= 18446744073709551616.0) {
        return -1;
    }
    return value >= 9223372036854775808.0 ? (int64_t)(uint64_t)value : feri_ref_to_i64(value);
}

int64_t feri_ref_scalar_i64(const fer_host *host, const feri_ref_tensor *in, uint64_t index) {
    if (feri_ref_is_float(in->dtype)) {
        return feri_ref_to_i64(feri_ref_scalar_f64(host, in, index));
    }
    int64_t value = 0;
    host->load_i64(in->dtype, in->data, index, 1, &value);
    return value;
}

double feri_ref_scalar_f64(const fer_host *host, const feri_ref_tensor *in, uint64_t index) {
    double value = 0;
    feri_ref_load_f64(host, in, index, 1, &value);
    return value;
}

/* ---- moves ---- */

/* One element of a sub-byte dtype: low bits first. */
static void copy_bits(uint32_t bits,
                      uint8_t *destination,
                      uint64_t destination_index,
                      const uint8_t *source,
                      uint64_t source_index) {
    uint32_t per_byte = 8 / bits;
    uint32_t mask = (1u << bits) - 1;
    uint32_t from = (uint32_t)(source_index % per_byte) * bits;
    uint32_t to = (uint32_t)(destination_index % per_byte) * bits;
    uint32_t element = ((uint32_t)source[source_index / per_byte] >> from) & mask;
    uint8_t *byte = &destination[destination_index / per_byte];
    *byte = (uint8_t)((*byte & ~(mask << to)) | (element << to));
}

/* One element of a whole-byte dtype; constant sizes become single moves. */
static inline void copy_bytes(uint32_t bytes, uint8_t *destination, const uint8_t *source) {
    switch (bytes) {
    case 1:
        *destination = *source;
        break;
    case 2:
        memcpy(destination, source, 2);
        break;
    case 4:
        memcpy(destination, source, 4);
        break;
    case 8:
        memcpy(destination, source, 8);
        break;
    default:
        memcpy(destination, source, bytes);
        break;
    }
}

void feri_ref_copy_run(uint32_t bits,
                       uint8_t *destination,
                       uint64_t destination_index,
                       const uint8_t *source,
                       uint64_t source_index,
                       uint64_t count) {
    if (count == 0) {
        return;
    }
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

void feri_ref_fill_run(uint32_t bits,
                       uint8_t *destination,
                       uint64_t destination_index,
                       const uint8_t *source,
                       uint64_t source_index,
                       uint64_t count) {
    uint32_t bytes = bits / 8;
    for (uint64_t i = 0; i < count; i++) {
        if (bytes > 0) {
            copy_bytes(bytes,
                       destination + (destination_index + i) * bytes,
                       source + source_index * bytes);
        } else {
            copy_bits(bits, destination, destination_index + i, source, source_index);
        }
    }
}

static void copy_row(const feri_ref_block *block,
                     int64_t to,
                     int64_t to_step,
                     int64_t from,
                     int64_t from_step,
                     int64_t count) {
    to += block->destination_offset;
    from += block->source_offset;
    if (to_step == 1 && from_step == 1) {
        feri_ref_copy_run(block->bits,
                          block->destination,
                          (uint64_t)to,
                          block->source,
                          (uint64_t)from,
                          (uint64_t)count);
        return;
    }
    uint32_t bytes = block->bits / 8;
    for (int64_t i = 0; i < count; i++, to += to_step, from += from_step) {
        if (bytes > 0) {
            copy_bytes(bytes, block->destination + to * bytes, block->source + from * bytes);
        } else {
            copy_bits(block->bits, block->destination, (uint64_t)to, block->source, (uint64_t)from);
        }
    }
}

fer_status feri_ref_copy_block(feri_ref_call *call, const feri_ref_block *block) {
    feri_kit_walk walk;
    feri_kit_cursor at;
    const int64_t *strides[2] = {block->destination_strides, block->source_strides};
    feri_kit_walk_init(&walk, block->rank, block->dims, 2, strides);
    if (!feri_kit_walk_begin(&walk, &at)) {
        return FER_OK;
    }
    do {
        for (int64_t done = 0; done < walk.inner;) {
            int64_t run = walk.inner - done < 4096 ? walk.inner - done : 4096;
            copy_row(block,
                     at.offset[0] + done * walk.step[0],
                     walk.step[0],
                     at.offset[1] + done * walk.step[1],
                     walk.step[1],
                     run);
            done += run;
            fer_status status = feri_ref_poll(call, (uint64_t)run);
            if (status != FER_OK) {
                return status;
            }
        }
    } while (feri_kit_walk_next(&walk, &at));
    return FER_OK;
}

fer_status feri_ref_copy_all(feri_ref_call *call, const feri_ref_tensor *in, feri_ref_tensor *out) {
    if (in->count != out->count || in->dtype != out->dtype) {
        return feri_ref_fail(
            call, FER_INVALID_INPUT, "the input's elements do not fill the output's shape");
    }
    uint64_t bytes = feri_kit_bytes(in->dtype, in->count);
    for (uint64_t done = 0; done < bytes;) {
        uint64_t run = bytes - done < 1u << 20 ? bytes - done : 1u << 20;
        memcpy(out->data + done, in->data + done, (size_t)run);
        done += run;
        /* 1 MiB is moved in about the time of 4,096 scalar operations. */
        fer_status status = feri_ref_poll(call, run / 256 + 1);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}
