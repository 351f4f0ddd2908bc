/* SPDX-License-Identifier: Apache-2.0
 *
 * Assembling tensors from runs of elements and taking pieces out of them. All sizes were checked
 * when the tensors were made; what is new here goes through feri_shape_check. Stacks of loop
 * outputs are in stack.c.
 */
#include "host/pieces.h"

#include <string.h>

/* ---- assembly ---- */

static uint64_t product(const int64_t *dims, uint32_t from, uint32_t to) {
    uint64_t count = 1;
    for (uint32_t d = from; d < to; d++) {
        count = feri_mul_sat(count, (uint64_t)dims[d]);
    }
    return count;
}

/* Of strings, and lengths behind them. */
static uint64_t text_bytes(const feri_assembly *assembly) {
    return feri_mul_sat(assembly->element_count, sizeof(char *) + sizeof(size_t));
}

fer_status feri_assembly_begin(
    feri_assembly *assembly, feri_env *env, fer_dtype dtype, uint32_t rank, const int64_t *dims) {
    uint64_t bytes = 0;
    memset(assembly, 0, sizeof *assembly);
    FER_TRY(feri_shape_check(env, dtype, rank, dims, &assembly->element_count, &bytes));
    assembly->env = env;
    assembly->dtype = dtype;
    assembly->rank = rank;
    if (rank) {
        memcpy(assembly->dims, dims, rank * sizeof *dims);
    }
    if (dtype != FER_STRING) {
        return fer_tensor_create((fer_context *)(void *)env, dtype, rank, dims, &assembly->tensor);
    }
    assembly->strings = feri_alloc(env, text_bytes(assembly));
    if (!assembly->strings) {
        return feri_error_status();
    }
    assembly->lengths = (size_t *)(assembly->strings + assembly->element_count);
    return FER_OK;
}

/* Elements of bits (1, 2 or 4), packed from the low bits up. */
static void copy_packed(
    uint8_t *to, uint64_t at, const uint8_t *source, uint64_t from, uint64_t count, uint32_t bits) {
    uint32_t per_byte = 8 / bits;
    uint32_t mask = (1u << bits) - 1;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t value =
            (uint32_t)source[(from + i) / per_byte] >> ((from + i) % per_byte * bits) & mask;
        uint32_t shift = (uint32_t)((at + i) % per_byte) * bits;
        uint8_t *byte = &to[(at + i) / per_byte];
        *byte = (uint8_t)((*byte & ~(mask << shift)) | value << shift);
    }
}

static fer_status copy_strings(
    feri_assembly *assembly, uint64_t at, const fer_tensor *source, uint64_t from, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        const char *text = fer_tensor_string(source, from + i, &assembly->lengths[at + i]);
        if (!text) {
            return feri_fail(FER_INVALID_INPUT,
                             "string %llu of a tensor has offsets that lie outside it",
                             (unsigned long long)(from + i));
        }
        assembly->strings[at + i] = text;
    }
    return FER_OK;
}

fer_status feri_assembly_copy(
    feri_assembly *assembly, uint64_t at, const fer_tensor *source, uint64_t from, uint64_t count) {
    if (assembly->dtype == FER_STRING) {
        return copy_strings(assembly, at, source, from, count);
    }
    uint32_t bits = fer_dtype_bits(assembly->dtype);
    uint8_t *to = fer_tensor_data(assembly->tensor);
    const uint8_t *data = fer_tensor_data(source);
    if (count && bits >= 8) {
        uint64_t bytes = bits / 8;
        memcpy(to + at * bytes, data + from * bytes, count * bytes);
    } else if (count) {
        copy_packed(to, at, data, from, count, bits);
    }
    return FER_OK;
}

fer_status feri_assembly_end(feri_assembly *assembly, fer_status status, fer_tensor **out_tensor) {
    if (status == FER_OK && assembly->dtype == FER_STRING) {
        status = fer_tensor_create_strings((fer_context *)(void *)assembly->env,
                                           assembly->rank,
                                           assembly->dims,
                                           assembly->strings,
                                           assembly->lengths,
                                           out_tensor);
    } else if (status == FER_OK) {
        *out_tensor = fer_tensor_retain(assembly->tensor);
    }
    fer_tensor_release(assembly->tensor);
    feri_free(assembly->env, assembly->strings, text_bytes(assembly));
    return status;
}

/* ---- pieces ---- */

fer_status feri_take_piece(fer_tensor *source, const feri_take *take, fer_tensor **out_tensor) {
    int64_t dims[FER_MAX_RANK];
    uint32_t rank = 0;
    for (uint32_t d = 0; d < source->rank; d++) {
        if (d != take->axis) {
            dims[rank++] = source->dims[d];
        } else if (!take->drops_axis) {
            dims[rank++] = take->length;
        }
    }
    uint64_t outer = product(source->dims, 0, take->axis);
    uint64_t inner = product(source->dims, take->axis + 1, source->rank);
    uint64_t bits = fer_dtype_bits(source->dtype);
    if (take->may_share && outer == 1 && bits >= 8 && source->element_count) {
        uint64_t skipped = (uint64_t)take->begin * inner * (bits / 8);
        return feri_tensor_on_buffer(
            source->buffer, source->offset + skipped, source->dtype, rank, dims, out_tensor);
    }
    feri_assembly assembly;
    fer_status status =
        feri_assembly_begin(&assembly, feri_tensor_env(source), source->dtype, rank, dims);
    if (status != FER_OK) {
        return status;
    }
    uint64_t run = assembly.element_count ? (uint64_t)take->length * inner : 0;
    uint64_t step = (uint64_t)source->dims[take->axis] * inner;
    for (uint64_t o = 0; run && o < outer && status == FER_OK; o++) {
        uint64_t from = o * step + (uint64_t)take->begin * inner;
        status = feri_assembly_copy(&assembly, o * run, source, from, run);
    }
    return feri_assembly_end(&assembly, status, out_tensor);
}

/* Dims of the joined tensor; what does not fit is named. */
static fer_status joined_dims(const feri_host_call *call,
                              fer_tensor *const *pieces,
                              uint64_t count,
                              uint32_t axis,
                              int is_new_axis,
                              int64_t *dims) {
    const fer_tensor *first = pieces[0];
    uint64_t length = 0;
    for (uint64_t i = 0; i < count; i++) {
        const fer_tensor *piece = pieces[i];
        int fits = piece->dtype == first->dtype && piece->rank == first->rank;
        for (uint32_t d = 0; fits && d < first->rank; d++) {
            fits = piece->dims[d] == first->dims[d] || (!is_new_axis && d == axis);
        }
        if (!fits) {
            return feri_host_fail(call,
                                  FER_INVALID_INPUT,
                                  "tensor %llu has another dtype or shape than tensor 0, so they "
                                  "cannot be joined along axis %u",
                                  (unsigned long long)i,
                                  axis);
        }
        length = feri_add_sat(length, is_new_axis ? 1 : (uint64_t)piece->dims[axis]);
    }
    if (length > INT64_MAX) {
        return feri_host_fail(call, FER_LIMIT, "the joined axis is longer than an int64 counts");
    }
    for (uint32_t d = 0, from = 0; d < first->rank + (is_new_axis ? 1 : 0); d++) {
        dims[d] = d == axis && is_new_axis ? (int64_t)length : first->dims[from++];
    }
    dims[axis] = (int64_t)length;
    return FER_OK;
}

static fer_status copy_joined(feri_assembly *assembly,
                              fer_tensor *const *pieces,
                              uint64_t count,
                              uint32_t axis,
                              int is_new_axis) {
    uint64_t outer = product(assembly->dims, 0, axis);
    uint64_t inner = product(assembly->dims, axis + 1, assembly->rank);
    uint64_t step = assembly->element_count ? (uint64_t)assembly->dims[axis] * inner : 0;
    uint64_t base = 0;
    for (uint64_t i = 0; step && i < count; i++) {
        uint64_t run = (is_new_axis ? 1 : (uint64_t)pieces[i]->dims[axis]) * inner;
        fer_tensor *here = NULL;
        FER_TRY(feri_tensor_on_host(pieces[i], &here));
        fer_status status = FER_OK;
        for (uint64_t o = 0; run && o < outer && status == FER_OK; o++) {
            status = feri_assembly_copy(assembly, o * step + base, here, o * run, run);
        }
        fer_tensor_release(here);
        FER_TRY(status);
        base += run;
    }
    return FER_OK;
}

fer_status feri_join_pieces(feri_host_call *call,
                            fer_tensor *const *pieces,
                            uint64_t count,
                            int64_t axis,
                            int is_new_axis,
                            fer_tensor **out_tensor) {
    int64_t dims[FER_MAX_RANK + 1];
    uint32_t at = 0;
    uint32_t rank = pieces[0]->rank + (is_new_axis ? 1 : 0);
    FER_TRY(feri_host_axis(call, axis, rank, &at));
    FER_TRY(joined_dims(call, pieces, count, at, is_new_axis, dims));
    feri_assembly assembly;
    FER_TRY(feri_assembly_begin(&assembly, call->env, pieces[0]->dtype, rank, dims));
    fer_status status = copy_joined(&assembly, pieces, count, at, is_new_axis);
    return feri_assembly_end(&assembly, status, out_tensor);
}
