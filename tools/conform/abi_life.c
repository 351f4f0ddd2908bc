/* SPDX-License-Identifier: Apache-2.0
 *
 * A device opened through its table as a host would, and memory there.
 */
#include "abi.h"

#include <string.h>

fer_status abi_life_try(abi *self, abi_life *out) {
    const fer_backend_module *m = self->module;
    fer_create_args args = {.struct_size = sizeof args,
                            .host = &self->host->table,
                            .options = self->options,
                            .reference = self->reference};
    *out = (abi_life){.suite = self, .m = m, .host = self->host};
    out->info.struct_size = sizeof out->info;
    fer_status status = m->core->create(m->self, &args, &out->backend);
    if (status != FER_OK) {
        return status;
    }
    status = m->core->device_info(out->backend, self->index, &out->info);
    if (status == FER_OK) {
        status = m->core->device_open(out->backend, self->index, &out->device);
    }
    if (status != FER_OK) {
        m->core->destroy(out->backend);
    }
    return status;
}

void abi_life_open(abi *self, abi_life *out) {
    abi_ok(self, abi_life_try(self, out), "create, device_info and device_open");
}

void abi_life_close(abi_life *self) {
    self->m->core->device_close(self->device);
    self->m->core->destroy(self->backend);
}

fer_status abi_mem_take(abi_life *self, uint64_t bytes, fer_mem *out) {
    uint64_t alignment = self->info.buffer_alignment < 64 ? 64 : self->info.buffer_alignment;
    if (!abi_is_host(self)) {
        return self->m->memory->alloc(self->device, bytes, alignment, FER_MEM_DEVICE, out);
    }
    void *memory = abi_guarded(self->host, (size_t)bytes, (size_t)alignment);
    *out = (fer_mem){NULL, 0, bytes, memory};
    return memory != NULL ? FER_OK : FER_OUT_OF_MEMORY;
}

void abi_mem_give(abi_life *self, const fer_mem *mem) {
    if (!abi_is_host(self) && (mem->handle != NULL || mem->host != NULL)) {
        self->m->memory->free(self->device, mem);
    }
}

fer_status abi_mem_write(abi_life *self, const fer_mem *mem, const void *data, uint64_t bytes) {
    if (bytes == 0) {
        return FER_OK;
    }
    if (abi_is_host(self)) {
        memcpy(mem->host, data, (size_t)bytes);
        return FER_OK;
    }
    fer_mem from = {NULL, 0, bytes, (void *)(uintptr_t)data};
    return self->m->memory->copy(self->device, mem, &from, bytes);
}

fer_status abi_mem_read(abi_life *self, const fer_mem *mem, void *data, uint64_t bytes) {
    if (bytes == 0) {
        return FER_OK;
    }
    if (abi_is_host(self)) {
        memcpy(data, mem->host, (size_t)bytes);
        return FER_OK;
    }
    fer_mem to = {NULL, 0, bytes, data};
    return self->m->memory->copy(self->device, &to, mem, bytes);
}
