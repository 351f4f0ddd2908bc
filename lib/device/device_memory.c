/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory on devices: budgets per (context, device), buffers whose vtable copies through the
 * backend, copies between any two places.
 */
#include "base/error.h"
#include "device/device.h"

#include <string.h>

fer_status feri_device_reserve(fer_device *device, uint64_t bytes, const char *what) {
    uint64_t used = atomic_load(&device->in_use_bytes);
    do {
        if (feri_add_sat(used, bytes) > device->budget_bytes) {
            return feri_fail(FER_BUDGET,
                             "%s needs %llu bytes on %s, where %llu of the budget of %llu are in "
                             "use: raise the budget, "
                             "run fewer states or trim programs",
                             what,
                             (unsigned long long)bytes,
                             device->name,
                             (unsigned long long)used,
                             (unsigned long long)device->budget_bytes);
        }
    } while (!atomic_compare_exchange_weak(&device->in_use_bytes, &used, used + bytes));
    return FER_OK;
}

void feri_device_unreserve(fer_device *device, uint64_t bytes) {
    atomic_fetch_sub(&device->in_use_bytes, bytes);
}

feri_session *feri_buffer_session(const feri_buffer *buffer) { return buffer->owner; }

static fer_status
buffer_read(feri_buffer *buffer, uint64_t offset, void *out_data, uint64_t bytes) {
    fer_mem from = feri_buffer_mem(buffer, offset, bytes);
    fer_mem to = {NULL, 0, bytes, out_data};
    return feri_mem_copy(NULL, &to, buffer->owner, &from, bytes);
}

static fer_status
buffer_write(feri_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes) {
    fer_mem to = feri_buffer_mem(buffer, offset, bytes);
    fer_mem from = {NULL, 0, bytes, (void *)(uintptr_t)data};
    return feri_mem_copy(buffer->owner, &to, NULL, &from, bytes);
}

static void buffer_free(feri_buffer *buffer) {
    feri_session *session = buffer->owner;
    fer_device *device = session->device;
    fer_mem mem = {buffer->release_memory, 0, buffer->bytes, buffer->host};
    device->backend->tables.memory.free(session->handle, &mem);
    feri_device_unreserve(device, buffer->bytes);
    feri_session_release(session);
}

static fer_status buffer_copy(
    feri_buffer *to, uint64_t to_offset, feri_buffer *from, uint64_t from_offset, uint64_t bytes) {
    fer_mem target = feri_buffer_mem(to, to_offset, bytes);
    fer_mem source = feri_buffer_mem(from, from_offset, bytes);
    return feri_mem_copy(to->owner, &target, from->owner, &source, bytes);
}

static fer_device *buffer_device(const feri_buffer *buffer) {
    return ((const feri_session *)buffer->owner)->device;
}

static fer_status
buffer_map(feri_buffer *buffer, uint64_t offset, uint64_t bytes, void **out_host) {
    feri_session *session = buffer->owner;
    if (feri_session_is_lost(session)) {
        return feri_session_lost_error(session);
    }
    feri_error_expect();
    fer_mem mem = feri_buffer_mem(buffer, offset, bytes);
    fer_status status =
        session->device->backend->tables.memory.map(session->handle, &mem, out_host);
    return status == FER_UNSUPPORTED ? status : feri_session_status(session, status);
}

/* Also of a lost device: the window is the backend's to take back. */
static fer_status buffer_unmap(feri_buffer *buffer, uint64_t offset, uint64_t bytes, void *host) {
    feri_session *session = buffer->owner;
    feri_error_expect();
    fer_mem mem = feri_buffer_mem(buffer, offset, bytes);
    return feri_session_status(
        session, session->device->backend->tables.memory.unmap(session->handle, &mem, host));
}

static const feri_buffer_ops device_buffer_ops = {.read = buffer_read,
                                                  .write = buffer_write,
                                                  .free = buffer_free,
                                                  .copy = buffer_copy,
                                                  .map = buffer_map,
                                                  .unmap = buffer_unmap,
                                                  .device = buffer_device};

fer_status
feri_device_buffer(feri_session *session, uint64_t bytes, int32_t kind, feri_buffer **out_buffer) {
    fer_device *device = session->device;
    feri_env *env = &device->context->env;
    feri_error_expect();
    if (feri_session_is_lost(session)) {
        return feri_session_lost_error(session);
    }
    FER_TRY(feri_device_reserve(device, bytes, "a buffer"));
    feri_buffer *buffer = feri_alloc(env, sizeof(*buffer));
    fer_mem mem = {NULL, 0, 0, NULL};
    fer_status status = buffer == NULL ? feri_error_status() : FER_OK;
    if (status == FER_OK) {
        status = feri_session_status(
            session,
            device->backend->tables.memory.alloc(
                session->handle, bytes, device->info.buffer_alignment, kind, &mem));
    }
    if (status != FER_OK) {
        feri_free(env, buffer, sizeof(*buffer));
        feri_device_unreserve(device, bytes);
        return status;
    }
    atomic_init(&buffer->refs, 1);
    buffer->env = feri_env_retain(env);
    buffer->ops = &device_buffer_ops;
    buffer->owner = feri_session_retain(session);
    /* Memory of the host's is known to other devices by its address alone. */
    buffer->handle = feri_device_is_host(device) ? NULL : mem.handle;
    buffer->release_memory = mem.handle;
    buffer->host = mem.host;
    buffer->bytes = bytes;
    *out_buffer = buffer;
    return FER_OK;
}

static void mem_advance(fer_mem *mem, uint64_t bytes) {
    mem->offset += bytes;
    mem->host = mem->host == NULL ? NULL : (char *)mem->host + bytes;
}

/* Through host memory, a piece at a time, when neither side's backend can do it alone. */
static fer_status copy_bounced(feri_session *to_session,
                               const fer_mem *to,
                               feri_session *from_session,
                               const fer_mem *from,
                               uint64_t bytes) {
    feri_env *env = &to_session->device->context->env;
    uint64_t piece_bytes = bytes < (1u << 20) ? bytes : (1u << 20);
    void *piece = feri_alloc_aligned(env, piece_bytes, 64, /*zeroed=*/0);
    if (piece == NULL) {
        return feri_error_status();
    }
    fer_mem source = *from, destination = *to, middle = {NULL, 0, piece_bytes, piece};
    fer_status status = FER_OK;
    for (uint64_t now; bytes > 0 && status == FER_OK; bytes -= now) {
        now = bytes < piece_bytes ? bytes : piece_bytes;
        status = feri_mem_copy(NULL, &middle, from_session, &source, now);
        if (status == FER_OK) {
            status = feri_mem_copy(to_session, &destination, NULL, &middle, now);
        }
        mem_advance(&source, now);
        mem_advance(&destination, now);
    }
    feri_free_aligned(env, piece, piece_bytes, 64);
    return status;
}

static int is_gone(const feri_session *session) {
    return session != NULL && feri_session_is_lost(session);
}

/* NULL for host memory, which a device that shares it with the host has too. */
static feri_session *beyond_host(feri_session *session) {
    return session != NULL && feri_device_is_host(session->device) ? NULL : session;
}

fer_status feri_mem_copy(feri_session *to_session,
                         const fer_mem *to,
                         feri_session *from_session,
                         const fer_mem *from,
                         uint64_t bytes) {
    if (bytes == 0) {
        return FER_OK;
    }
    if (is_gone(to_session) || is_gone(from_session)) {
        return feri_session_lost_error(is_gone(to_session) ? to_session : from_session);
    }
    feri_error_expect();
    to_session = beyond_host(to_session);
    from_session = beyond_host(from_session);
    feri_session *session = to_session != NULL ? to_session : from_session;
    if (session == NULL) {
        memmove(to->host, from->host, (size_t)bytes);
        return FER_OK;
    }
    fer_status status = FER_UNSUPPORTED;
    fer_backend_memory *memory = &session->device->backend->tables.memory;
    if (to_session == NULL || from_session == NULL || to_session == from_session) {
        /* A host piece goes by address alone. */
        fer_mem host_side = {NULL, 0, bytes, to_session == NULL ? to->host : from->host};
        return feri_session_status(session,
                                   memory->copy(session->handle,
                                                to_session == NULL ? &host_side : to,
                                                from_session == NULL ? &host_side : from,
                                                bytes));
    }
    if (session->device->backend == from_session->device->backend) {
        status = memory->copy_peer(session->handle, to, from_session->handle, from, bytes);
    }
    return status == FER_UNSUPPORTED ? copy_bounced(session, to, from_session, from, bytes)
                                     : feri_session_status(session, status);
}

static fer_status write_zeros(feri_env *env, feri_buffer *buffer, uint64_t bytes) {
    uint64_t piece = bytes < (1 << 16) ? bytes : 1 << 16;
    uint8_t *zeros = feri_alloc(env, piece);
    fer_status status = zeros != NULL ? FER_OK : feri_error_status();
    for (uint64_t done = 0; done < bytes && status == FER_OK; done += piece) {
        status = buffer_write(buffer, done, zeros, bytes - done < piece ? bytes - done : piece);
    }
    feri_free(env, zeros, piece);
    return status;
}

fer_status fer_tensor_create_on(fer_device *device,
                                fer_dtype dtype,
                                uint32_t rank,
                                const int64_t *dims,
                                fer_tensor **out_tensor) {
    if (device == NULL || out_tensor == NULL || dtype == FER_STRING) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "fer_tensor_create_on needs a device, an out_tensor and no strings");
    }
    feri_env *env = &device->context->env;
    uint64_t count = 0, bytes = 0;
    FER_TRY(feri_shape_check(env, dtype, rank, dims, &count, &bytes));
    feri_session *session = NULL;
    FER_TRY(feri_device_session(device, &session));
    feri_buffer *buffer = NULL;
    fer_status status = feri_device_buffer(session, bytes, FER_MEM_DEVICE, &buffer);
    feri_session_release(session);
    if (status == FER_OK) {
        status = write_zeros(env, buffer, bytes);
    }
    if (status == FER_OK) {
        status = feri_tensor_on_buffer(buffer, 0, dtype, rank, dims, out_tensor);
    }
    feri_buffer_release(buffer);
    return status;
}
