/* SPDX-License-Identifier: Apache-2.0
 *
 * String tensors: one host buffer that holds element_count + 1 end offsets (the first is 0) and
 * then all bytes. Immutable once made. Offsets are checked when they are read, for a buffer may be
 * imported.
 */
#include "base/error.h"
#include "tensor/tensor.h"

#include <string.h>

/* Bytes of string i. */
static size_t length_of(const char *const *strings, const size_t *lengths, uint64_t i) {
    if (lengths) {
        return lengths[i];
    }
    return strings[i] ? strlen(strings[i]) : 0;
}

fer_status fer_tensor_create_strings(fer_context *context,
                                     uint32_t rank,
                                     const int64_t *dims,
                                     const char *const *strings,
                                     const size_t *lengths,
                                     fer_tensor **out_tensor) {
    if (!context || !out_tensor) {
        return feri_null_argument(context ? "out_tensor" : "context");
    }
    feri_env *env = feri_env_of(context);
    uint64_t count = 0;
    uint64_t bytes = 0;
    FER_TRY(feri_shape_check(env, FER_STRING, rank, dims, &count, &bytes));
    if (count && !strings) {
        return feri_null_argument("strings");
    }
    uint64_t total = (count + 1) * sizeof(uint64_t);
    for (uint64_t i = 0; i < count; i++) {
        size_t length = length_of(strings, lengths, i);
        if (!strings[i] && length) {
            return feri_fail(FER_INVALID_ARGUMENT, "string %llu is NULL", (unsigned long long)i);
        }
        total = feri_add_sat(total, length);
    }
    if (total > env->limits.max_tensor_bytes) {
        return feri_fail(FER_LIMIT,
                         "a string tensor of %llu bytes exceeds max_tensor_bytes, %llu",
                         (unsigned long long)total,
                         (unsigned long long)env->limits.max_tensor_bytes);
    }
    feri_buffer *buffer = NULL;
    FER_TRY(feri_buffer_create(env, total, &buffer));
    uint64_t *ends = (uint64_t *)(void *)buffer->host;
    uint8_t *text = buffer->host + (count + 1) * sizeof(uint64_t);
    for (uint64_t i = 0; i < count; i++) {
        size_t length = length_of(strings, lengths, i);
        if (length) {
            memcpy(text + ends[i], strings[i], length);
        }
        ends[i + 1] = ends[i] + length;
    }
    return feri_tensor_take_buffer(buffer, FER_STRING, rank, dims, out_tensor);
}

const char *fer_tensor_string(const fer_tensor *tensor, uint64_t index, size_t *out_length) {
    if (out_length) {
        *out_length = 0;
    }
    if (!tensor || tensor->dtype != FER_STRING || index >= tensor->element_count ||
        !tensor->buffer->host) {
        return NULL;
    }
    const uint8_t *base = tensor->buffer->host + tensor->offset;
    uint64_t header = (tensor->element_count + 1) * sizeof(uint64_t);
    uint64_t room = tensor->buffer->bytes - tensor->offset - header;
    uint64_t ends[2];
    memcpy(ends, base + index * sizeof(uint64_t), sizeof ends);
    if (ends[0] > ends[1] || ends[1] > room) {
        return NULL;
    }
    if (out_length) {
        *out_length = ends[1] - ends[0];
    }
    return (const char *)base + header + ends[0];
}
