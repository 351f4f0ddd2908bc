/* SPDX-License-Identifier: Apache-2.0
 *
 * fer_tensor: making, importing, viewing and asking. Contents are dense and row-major. Shapes are
 * checked here, once, so that nothing later overflows. Moving contents is in tensor_copy.c, strings
 * are in tensor_string.c.
 */
#include "tensor/tensor.h"

#include "base/error.h"
#include "tensor/dtype.h"

#include <string.h>

fer_status feri_shape_check(const feri_env *env,
                            fer_dtype dtype,
                            uint32_t rank,
                            const int64_t *dims,
                            uint64_t *out_count,
                            uint64_t *out_bytes) {
    if (!feri_dtype_is_valid(dtype)) {
        return feri_fail(FER_INVALID_ARGUMENT, "there is no dtype %d", dtype);
    }
    if (rank > FER_MAX_RANK) {
        return feri_fail(FER_LIMIT, "rank %u; tensors have at most %d dims", rank, FER_MAX_RANK);
    }
    if (rank && !dims) {
        return feri_fail(FER_INVALID_ARGUMENT, "rank is %u, but dims is NULL", rank);
    }
    uint64_t count = 1;
    int is_empty = 0;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 0) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "dim %u is %lld; a tensor's dims are at least 0",
                             i,
                             (long long)dims[i]);
        }
        is_empty |= dims[i] == 0;
        count = feri_mul_sat(count, dims[i] ? (uint64_t)dims[i] : 1);
    }
    count = is_empty ? 0 : count;
    uint64_t bytes = feri_dtype_bytes(dtype, count);
    /* Strings cost an offset each, which is what the limit is held against. */
    uint64_t cost =
        dtype == FER_STRING ? feri_mul_sat(feri_add_sat(count, 1), sizeof(uint64_t)) : bytes;
    if (count > INT64_MAX || cost > env->limits.max_tensor_bytes) {
        return feri_fail(FER_LIMIT,
                         "a %s tensor of %llu elements exceeds max_tensor_bytes, %llu",
                         fer_dtype_name(dtype),
                         (unsigned long long)count,
                         (unsigned long long)env->limits.max_tensor_bytes);
    }
    *out_count = count;
    *out_bytes = bytes;
    return FER_OK;
}

fer_status feri_tensor_on_buffer(feri_buffer *buffer,
                                 uint64_t offset,
                                 fer_dtype dtype,
                                 uint32_t rank,
                                 const int64_t *dims,
                                 fer_tensor **out_tensor) {
    uint64_t count = 0;
    uint64_t bytes = 0;
    FER_TRY(feri_shape_check(buffer->env, dtype, rank, dims, &count, &bytes));
    uint64_t needed = dtype == FER_STRING ? (count + 1) * sizeof(uint64_t) : bytes;
    if (offset > buffer->bytes || needed > buffer->bytes - offset) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "a tensor of %llu bytes at offset %llu does not fit a buffer of %llu",
                         (unsigned long long)needed,
                         (unsigned long long)offset,
                         (unsigned long long)buffer->bytes);
    }
    fer_tensor *tensor = feri_alloc(buffer->env, sizeof *tensor);
    if (!tensor) {
        return feri_error_status();
    }
    atomic_init(&tensor->refs, 1);
    tensor->dtype = dtype;
    tensor->rank = rank;
    tensor->buffer = feri_buffer_retain(buffer);
    tensor->offset = offset;
    tensor->element_count = count;
    tensor->bytes = bytes;
    if (rank) {
        memcpy(tensor->dims, dims, rank * sizeof *dims);
    }
    *out_tensor = tensor;
    return FER_OK;
}

fer_status feri_tensor_take_buffer(feri_buffer *buffer,
                                   fer_dtype dtype,
                                   uint32_t rank,
                                   const int64_t *dims,
                                   fer_tensor **out_tensor) {
    fer_status status = feri_tensor_on_buffer(buffer, 0, dtype, rank, dims, out_tensor);
    feri_buffer_release(buffer);
    return status;
}

fer_status fer_tensor_create(fer_context *context,
                             fer_dtype dtype,
                             uint32_t rank,
                             const int64_t *dims,
                             fer_tensor **out_tensor) {
    if (!context || !out_tensor) {
        return feri_null_argument(context ? "out_tensor" : "context");
    }
    feri_env *env = feri_env_of(context);
    uint64_t count = 0;
    uint64_t bytes = 0;
    FER_TRY(feri_shape_check(env, dtype, rank, dims, &count, &bytes));
    feri_buffer *buffer = NULL;
    /* Zeroed end offsets are empty strings. */
    FER_TRY(feri_buffer_create(
        env, dtype == FER_STRING ? (count + 1) * sizeof(uint64_t) : bytes, &buffer));
    return feri_tensor_take_buffer(buffer, dtype, rank, dims, out_tensor);
}

fer_status fer_tensor_wrap(fer_context *context,
                           fer_dtype dtype,
                           uint32_t rank,
                           const int64_t *dims,
                           void *data,
                           fer_tensor **out_tensor) {
    return fer_tensor_import(context,
                             dtype,
                             rank,
                             dims,
                             data,
                             FER_IMPORT_BORROW_MUTABLE,
                             /*release=*/NULL,
                             /*release_self=*/NULL,
                             out_tensor);
}

static fer_status import_check(fer_context *context,
                               fer_dtype dtype,
                               uint32_t rank,
                               const int64_t *dims,
                               const void *data,
                               int32_t mode,
                               uint64_t *out_bytes) {
    uint64_t count = 0;
    if (dtype == FER_STRING) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "string tensors cannot be imported; use fer_tensor_create_strings");
    }
    FER_TRY(feri_shape_check(feri_env_of(context), dtype, rank, dims, &count, out_bytes));
    if (mode < FER_IMPORT_COPY || mode > FER_IMPORT_BORROW_MUTABLE) {
        return feri_fail(FER_INVALID_ARGUMENT, "there is no import mode %d", mode);
    }
    if (!data && *out_bytes) {
        return feri_null_argument("data");
    }
    return FER_OK;
}

fer_status fer_tensor_import(fer_context *context,
                             fer_dtype dtype,
                             uint32_t rank,
                             const int64_t *dims,
                             void *data,
                             int32_t mode,
                             fer_release_fn release,
                             void *release_self,
                             fer_tensor **out_tensor) {
    uint64_t bytes = 0;
    fer_status status = !context || !out_tensor
                            ? feri_null_argument(context ? "out_tensor" : "context")
                            : import_check(context, dtype, rank, dims, data, mode, &bytes);
    if (status == FER_OK && mode != FER_IMPORT_COPY) {
        feri_buffer *buffer = NULL;
        FER_TRY(feri_buffer_import(feri_env_of(context),
                                   data,
                                   bytes,
                                   mode == FER_IMPORT_BORROW,
                                   release,
                                   release_self,
                                   &buffer));
        return feri_tensor_take_buffer(buffer, dtype, rank, dims, out_tensor);
    }
    if (status == FER_OK) {
        status = fer_tensor_create(context, dtype, rank, dims, out_tensor);
        if (status == FER_OK && bytes) {
            memcpy((*out_tensor)->buffer->host, data, bytes);
        }
    }
    if (release) {
        release(release_self, data);
    }
    return status;
}

fer_status
fer_tensor_view(fer_tensor *tensor, uint32_t rank, const int64_t *dims, fer_tensor **out_view) {
    if (!tensor || !out_view) {
        return feri_null_argument(tensor ? "out_view" : "tensor");
    }
    uint32_t bits = fer_dtype_bits(tensor->dtype);
    if (bits && bits < 8) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "%s tensors are packed and have no views; copy instead",
                         fer_dtype_name(tensor->dtype));
    }
    uint64_t count = 0;
    uint64_t bytes = 0;
    FER_TRY(feri_shape_check(feri_tensor_env(tensor), tensor->dtype, rank, dims, &count, &bytes));
    if (count != tensor->element_count) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "a view of %llu elements over a tensor of %llu",
                         (unsigned long long)count,
                         (unsigned long long)tensor->element_count);
    }
    return feri_tensor_on_buffer(
        tensor->buffer, tensor->offset, tensor->dtype, rank, dims, out_view);
}

fer_tensor *fer_tensor_retain(fer_tensor *tensor) {
    if (tensor) {
        atomic_fetch_add_explicit(&tensor->refs, 1, memory_order_relaxed);
    }
    return tensor;
}

void fer_tensor_release(fer_tensor *tensor) {
    if (tensor && atomic_fetch_sub_explicit(&tensor->refs, 1, memory_order_acq_rel) == 1) {
        feri_buffer *buffer = tensor->buffer;
        if (tensor->is_window) {
            (void)buffer->ops->unmap(buffer, tensor->offset, tensor->bytes, tensor->mapped);
        } else {
            feri_free(buffer->env, tensor->mapped, tensor->bytes);
        }
        feri_free(buffer->env, tensor, sizeof *tensor);
        feri_buffer_release(buffer);
    }
}

int feri_tensors_alike(const fer_tensor *a, const fer_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) == 0;
}

fer_dtype fer_tensor_dtype(const fer_tensor *tensor) {
    return tensor ? tensor->dtype : FER_DTYPE_NONE;
}

uint32_t fer_tensor_rank(const fer_tensor *tensor) { return tensor ? tensor->rank : 0; }

const int64_t *fer_tensor_dims(const fer_tensor *tensor) { return tensor ? tensor->dims : NULL; }

uint64_t fer_tensor_element_count(const fer_tensor *tensor) {
    return tensor ? tensor->element_count : 0;
}

uint64_t fer_tensor_bytes(const fer_tensor *tensor) { return tensor ? tensor->bytes : 0; }

void *fer_tensor_data(const fer_tensor *tensor) {
    return tensor && tensor->buffer->host && tensor->dtype != FER_STRING
               ? tensor->buffer->host + tensor->offset
               : NULL;
}

fer_device *fer_tensor_device(const fer_tensor *tensor) {
    const feri_buffer *buffer = tensor ? tensor->buffer : NULL;
    return buffer && buffer->ops->device ? buffer->ops->device(buffer) : NULL;
}
