/* SPDX-License-Identifier: Apache-2.0
 *
 * Moving a tensor's contents between memories: read, write, map and copy, through the buffer's two
 * functions. Writing to memory that was borrowed read-only is refused, and so are raw accesses to
 * strings.
 */
#include "base/error.h"
#include "tensor/tensor.h"

#include <string.h>

enum { STAGING_BYTES = 1 << 20 };

static fer_status
check_range(const fer_tensor *tensor, uint64_t offset, const void *data, uint64_t bytes) {
    if (!tensor || (!data && bytes)) {
        return feri_null_argument(tensor ? "data" : "tensor");
    }
    if (offset > tensor->bytes || bytes > tensor->bytes - offset) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "bytes %llu to %llu lie outside the tensor's %llu%s",
                         (unsigned long long)offset,
                         (unsigned long long)feri_add_sat(offset, bytes),
                         (unsigned long long)tensor->bytes,
                         tensor->dtype == FER_STRING ? "; strings are read by fer_tensor_string"
                                                     : "");
    }
    return FER_OK;
}

static fer_status check_writable(const fer_tensor *tensor) {
    if (tensor->buffer->is_read_only) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "the tensor's memory was borrowed read-only (FER_IMPORT_BORROW, a "
                         "read-only DLPack tensor, or a weight)");
    }
    return FER_OK;
}

fer_status
fer_tensor_read(const fer_tensor *tensor, uint64_t offset, void *out_data, uint64_t bytes) {
    FER_TRY(check_range(tensor, offset, out_data, bytes));
    feri_buffer *buffer = tensor->buffer;
    return bytes ? buffer->ops->read(buffer, tensor->offset + offset, out_data, bytes) : FER_OK;
}

fer_status fer_tensor_write(fer_tensor *tensor, uint64_t offset, const void *data, uint64_t bytes) {
    FER_TRY(check_range(tensor, offset, data, bytes));
    FER_TRY(check_writable(tensor));
    feri_buffer *buffer = tensor->buffer;
    return bytes ? buffer->ops->write(buffer, tensor->offset + offset, data, bytes) : FER_OK;
}

fer_status fer_tensor_map(fer_tensor *tensor, void **out_data) {
    if (!tensor || !out_data) {
        return feri_null_argument(tensor ? "out_data" : "tensor");
    }
    if (tensor->dtype == FER_STRING) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "string tensors cannot be mapped; use fer_tensor_string");
    }
    if (tensor->buffer->host) {
        *out_data = tensor->buffer->host + tensor->offset;
        return FER_OK;
    }
    if (tensor->mapped) {
        return feri_fail(FER_INVALID_ARGUMENT, "the tensor is mapped already; unmap it first");
    }
    feri_buffer *buffer = tensor->buffer;
    if (buffer->ops->map && tensor->bytes) {
        fer_status status =
            buffer->ops->map(buffer, tensor->offset, tensor->bytes, &tensor->mapped);
        if (status != FER_UNSUPPORTED) {
            tensor->is_window = status == FER_OK;
            *out_data = status == FER_OK ? tensor->mapped : *out_data;
            return status;
        }
    }
    feri_env *env = feri_tensor_env(tensor);
    void *copy = feri_alloc(env, tensor->bytes);
    if (!copy) {
        return feri_error_status();
    }
    fer_status status = fer_tensor_read(tensor, 0, copy, tensor->bytes);
    if (status != FER_OK) {
        feri_free(env, copy, tensor->bytes);
        return status;
    }
    tensor->mapped = copy;
    *out_data = copy;
    return FER_OK;
}

fer_status fer_tensor_unmap(fer_tensor *tensor) {
    if (!tensor) {
        return feri_null_argument("tensor");
    }
    if (!tensor->mapped) {
        return tensor->buffer->host ? FER_OK
                                    : feri_fail(FER_INVALID_ARGUMENT, "the tensor is not mapped");
    }
    feri_buffer *buffer = tensor->buffer;
    fer_status status = FER_OK;
    if (tensor->is_window) {
        status = buffer->ops->unmap(buffer, tensor->offset, tensor->bytes, tensor->mapped);
        tensor->mapped = NULL;
        tensor->is_window = 0;
        return status;
    }
    if (!buffer->is_read_only) {
        status = fer_tensor_write(tensor, 0, tensor->mapped, tensor->bytes);
    }
    feri_free(feri_tensor_env(tensor), tensor->mapped, tensor->bytes);
    tensor->mapped = NULL;
    return status;
}

/* Neither side has a host address: piece by piece through our own memory. */
static fer_status copy_staged(const fer_tensor *source, fer_tensor *destination) {
    feri_env *env = feri_tensor_env(destination);
    uint64_t piece = source->bytes < STAGING_BYTES ? source->bytes : STAGING_BYTES;
    void *staging = feri_alloc_aligned(env, piece, 64, /*zeroed=*/0);
    if (!staging) {
        return feri_error_status();
    }
    fer_status status = FER_OK;
    for (uint64_t at = 0; at < source->bytes && status == FER_OK; at += piece) {
        uint64_t bytes = source->bytes - at < piece ? source->bytes - at : piece;
        status = fer_tensor_read(source, at, staging, bytes);
        if (status == FER_OK) {
            status = fer_tensor_write(destination, at, staging, bytes);
        }
    }
    feri_free_aligned(env, staging, piece, 64);
    return status;
}

/* String contents never change, so the buffer itself is handed over, within a context: a tensor is
 * freed by the env of its buffer. */
static fer_status copy_strings(const fer_tensor *source, fer_tensor *destination) {
    feri_buffer *before = destination->buffer, *from = source->buffer, *now = from;
    if (from->env == before->env) {
        (void)feri_buffer_retain(now);
    } else {
        FER_TRY(feri_buffer_create(before->env, from->bytes, &now));
        memcpy(now->host, from->host, from->bytes);
    }
    destination->buffer = now;
    destination->offset = source->offset;
    feri_buffer_release(before);
    return FER_OK;
}

fer_status fer_tensor_copy(const fer_tensor *source, fer_tensor *destination) {
    if (!source || !destination) {
        return feri_null_argument(source ? "destination" : "source");
    }
    if (source->dtype != destination->dtype ||
        source->element_count != destination->element_count) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "cannot copy %llu elements of %s onto %llu of %s",
                         (unsigned long long)source->element_count,
                         fer_dtype_name(source->dtype),
                         (unsigned long long)destination->element_count,
                         fer_dtype_name(destination->dtype));
    }
    FER_TRY(check_writable(destination));
    if (source->dtype == FER_STRING) {
        return copy_strings(source, destination);
    }
    if (source->buffer->host) {
        return fer_tensor_write(
            destination, 0, source->buffer->host + source->offset, source->bytes);
    }
    if (destination->buffer->host) {
        return fer_tensor_read(
            source, 0, destination->buffer->host + destination->offset, source->bytes);
    }
    const feri_buffer_ops *ops = destination->buffer->ops;
    if (ops->copy && ops == source->buffer->ops) {
        return source->bytes ? ops->copy(destination->buffer,
                                         destination->offset,
                                         source->buffer,
                                         source->offset,
                                         source->bytes)
                             : FER_OK;
    }
    return copy_staged(source, destination);
}

fer_status feri_tensor_clone(feri_env *env, const fer_tensor *source, fer_tensor **out_tensor) {
    fer_tensor *copy = NULL;
    FER_TRY(
        fer_tensor_create((fer_context *)env, source->dtype, source->rank, source->dims, &copy));
    fer_status status = fer_tensor_copy(source, copy);
    if (status != FER_OK) {
        fer_tensor_release(copy);
        return status;
    }
    *out_tensor = copy;
    return FER_OK;
}

fer_status feri_tensor_on_host(fer_tensor *tensor, fer_tensor **out_tensor) {
    if (tensor->buffer->host) {
        *out_tensor = fer_tensor_retain(tensor);
        return FER_OK;
    }
    return feri_tensor_clone(feri_tensor_env(tensor), tensor, out_tensor);
}
