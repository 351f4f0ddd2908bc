/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted memory behind tensors. Two kinds are here, the host's own and borrowed host memory; the
 * memory of devices is made by device/, which fills the same struct. The release callback of
 * borrowed memory fires exactly once, also when importing fails.
 */
#include "base/error.h"
#include "tensor/tensor.h"

#include <string.h>

enum { HOST_ALIGNMENT = 64 };

static fer_status host_read(feri_buffer *buffer, uint64_t offset, void *out_data, uint64_t bytes) {
    if (bytes) {
        memmove(out_data, buffer->host + offset, bytes);
    }
    return FER_OK;
}

static fer_status
host_write(feri_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes) {
    if (bytes) {
        memmove(buffer->host + offset, data, bytes);
    }
    return FER_OK;
}

/* Our own memory has an alignment, borrowed memory has none. */
static void host_free(feri_buffer *buffer) {
    if (buffer->alignment) {
        feri_free_aligned(buffer->env, buffer->host, buffer->bytes, buffer->alignment);
    } else if (buffer->release) {
        buffer->release(buffer->release_self, buffer->release_memory);
    }
}

static const feri_buffer_ops host_ops = {.read = host_read, .write = host_write, .free = host_free};

fer_status feri_buffer_create(feri_env *env, uint64_t bytes, feri_buffer **out_buffer) {
    feri_buffer *buffer = feri_alloc(env, sizeof *buffer);
    if (!buffer) {
        return feri_error_status();
    }
    buffer->host = feri_alloc_aligned(env, bytes, HOST_ALIGNMENT, /*zeroed=*/1);
    if (!buffer->host) {
        feri_free(env, buffer, sizeof *buffer);
        return feri_error_status();
    }
    atomic_init(&buffer->refs, 1);
    buffer->env = feri_env_retain(env);
    buffer->ops = &host_ops;
    buffer->bytes = bytes;
    buffer->alignment = HOST_ALIGNMENT;
    *out_buffer = buffer;
    return FER_OK;
}

fer_status feri_buffer_import(feri_env *env,
                              void *memory,
                              uint64_t bytes,
                              int is_read_only,
                              fer_release_fn release,
                              void *release_self,
                              feri_buffer **out_buffer) {
    feri_buffer *buffer = NULL;
    if (memory || !bytes) {
        buffer = feri_alloc(env, sizeof *buffer);
    } else {
        (void)feri_fail(FER_INVALID_ARGUMENT,
                        "memory is NULL, but the tensor has %llu bytes",
                        (unsigned long long)bytes);
    }
    if (!buffer) {
        fer_status status = feri_error_status();
        if (release) {
            release(release_self, memory);
        }
        return status;
    }
    atomic_init(&buffer->refs, 1);
    buffer->is_read_only = is_read_only != 0;
    buffer->env = feri_env_retain(env);
    buffer->ops = &host_ops;
    buffer->host = memory ? memory : (uint8_t *)buffer; /* an address, for no bytes */
    buffer->bytes = bytes;
    buffer->release = release;
    buffer->release_self = release_self;
    buffer->release_memory = memory;
    *out_buffer = buffer;
    return FER_OK;
}

feri_buffer *feri_buffer_retain(feri_buffer *buffer) {
    if (buffer) {
        atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed);
    }
    return buffer;
}

static void buffer_end(feri_later *later) {
    feri_buffer *buffer = (feri_buffer *)later;
    feri_env *env = buffer->env;
    buffer->ops->free(buffer);
    feri_free(env, buffer, sizeof *buffer);
    feri_env_release(env);
}

void feri_buffer_release(feri_buffer *buffer) {
    if (buffer && atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel) == 1) {
        buffer->later.run = buffer_end;
        if (!buffer->release || !feri_later_put(&buffer->later)) {
            buffer_end(&buffer->later);
        }
    }
}
