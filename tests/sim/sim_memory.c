/* SPDX-License-Identifier: Apache-2.0
 *
 * The chips' memory. A handle is a number that no address can be, so that a host which takes it for
 * one faults; blocks are found through a list. Host addresses are handed out only for staging
 * memory and for windows while a block is mapped.
 */
#include "sim_chip.h"

#include <string.h>
#include <sys/mman.h>

static sim_block *blocks; /* world's lock */
static uint64_t serial;

enum { PAGE = 4096, DEFAULT_BYTES = 64 << 20 };

/* Beyond any user address of x86-64 and aarch64 with 48 bits, and never reused. */
static uintptr_t token_next(void) {
    return ((uintptr_t)0x51a0 << 48) | (uintptr_t)(++serial << 12);
}

static sim_block *block_of(const void *handle) {
    for (sim_block *block = blocks; block != NULL; block = block->next) {
        if (block->token == (uintptr_t)handle) {
            return block;
        }
    }
    return NULL;
}

void *sim_address(const sim_device *device, const fer_mem *mem, uint64_t bytes) {
    if (mem->handle == NULL) {
        if (mem->host == NULL && bytes > 0) {
            sim_violate("chip %u got a piece without handle and address", device->chip->index);
        }
        return mem->host;
    }
    sim_lock();
    const sim_block *block = block_of(mem->handle);
    int is_ours = block != NULL && block->device == device;
    int fits = is_ours && mem->offset <= block->bytes && bytes <= block->bytes - mem->offset &&
               bytes <= mem->bytes;
    void *address = fits ? (char *)block->data + mem->offset : NULL;
    sim_unlock();
    if (address == NULL) {
        sim_violate("chip %u got a piece (offset %llu, %llu of %llu bytes) that %s",
                    device->chip->index,
                    (unsigned long long)mem->offset,
                    (unsigned long long)bytes,
                    (unsigned long long)mem->bytes,
                    block == NULL ? "does not exist"
                    : is_ours     ? "is out of range"
                                  : "belongs to another device or an older opening");
    }
    return address;
}

void sim_use(const fer_mem *mem, int32_t by) {
    sim_lock();
    sim_block *block = mem->handle == NULL ? NULL : block_of(mem->handle);
    if (block != NULL) {
        block->users += (uint32_t)by;
    }
    sim_unlock();
}

/* ---- slots ---- */

static fer_status block_new(sim_device *device, uint64_t bytes, int32_t kind, fer_mem *out_mem) {
    const fer_host *host = device->host;
    sim_block *block = sim_take(host, sizeof(*block));
    if (block == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    block->mapped_bytes = (bytes + PAGE) & ~(uint64_t)(PAGE - 1);
    block->data =
        mmap(NULL, block->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block->data == MAP_FAILED) {
        sim_give(host, block, sizeof(*block));
        return sim_fail(device, FER_OUT_OF_MEMORY, NULL, "the machine has no memory for the chip");
    }
    memset(block->data, 0xcd, bytes); /* nothing may rely on zeros */
    block->device = device;
    block->bytes = bytes;
    block->refs = 1;
    sim_lock();
    block->token = token_next();
    block->next = blocks;
    blocks = block;
    device->chip->stats.allocs++;
    device->chip->stats.live_bytes += bytes;
    sim_unlock();
    sim_count_live(1);
    *out_mem =
        (fer_mem){(void *)block->token, 0, bytes, kind == FER_MEM_STAGING ? block->data : NULL};
    return FER_OK;
}

static fer_status
mem_alloc(void *object, uint64_t bytes, uint64_t alignment, int32_t kind, fer_mem *out_mem) {
    sim_device *device = object;
    sim_chip *chip = device->chip;
    fer_status status = sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > PAGE) {
        sim_violate("alloc with alignment %llu", (unsigned long long)alignment);
    }
    sim_lock();
    uint64_t total = chip->config.memory_bytes == 0 ? DEFAULT_BYTES : chip->config.memory_bytes;
    int is_full = bytes > total || chip->stats.live_bytes > total - bytes;
    sim_unlock();
    if (sim_fault_hits(chip, &chip->faults.alloc_fails_at) || is_full) {
        return sim_fail(device, FER_OUT_OF_MEMORY, NULL, "the chip's memory is full");
    }
    return block_new(device, bytes, kind, out_mem);
}

static void mem_free(void *object, const fer_mem *mem) {
    sim_device *device = object;
    sim_lock();
    sim_block **link = &blocks;
    while (*link != NULL && (*link)->token != (uintptr_t)mem->handle) {
        link = &(*link)->next;
    }
    sim_block *block = *link;
    int is_foreign = block != NULL && block->device != device;
    uint32_t users = block == NULL ? 0 : block->users;
    int is_last = block != NULL && --block->refs == 0;
    if (is_last) {
        *link = block->next;
        device->chip->stats.frees++;
        device->chip->stats.live_bytes -= block->bytes;
        device->chip->cached_bytes += block->bytes;
    }
    sim_unlock();
    if (block == NULL || is_foreign) {
        sim_violate("free of a block that %s", block == NULL ? "does not exist" : "is another's");
    }
    if (is_last && users > 0) {
        sim_violate("free of a block that %u pieces of work still use", users);
    }
    if (is_last) {
        if (users == 0) { /* else it stays mapped: a violation should be told, not a crash */
            munmap(block->data, block->mapped_bytes);
        }
        sim_give(device->host, block, sizeof(*block));
        sim_count_live(-1);
    }
}

fer_status
sim_copy_now(sim_device *device, const fer_mem *to, const fer_mem *from, uint64_t bytes) {
    void *target = sim_address(device, to, bytes);
    const void *source = sim_address(device, from, bytes);
    sim_lock();
    sim_stats *stats = &device->chip->stats;
    *(from->handle == NULL ? &stats->copies_in
      : to->handle == NULL ? &stats->copies_out
                           : &stats->copies_within) += 1;
    sim_unlock();
    if (sim_fault_hits(device->chip, &device->chip->faults.copy_fails_at)) {
        return FER_BACKEND;
    }
    if (target == NULL || source == NULL) {
        return bytes == 0 ? FER_OK : FER_BACKEND;
    }
    memmove(target, source, bytes);
    return FER_OK;
}

static fer_status mem_copy(void *object, const fer_mem *to, const fer_mem *from, uint64_t bytes) {
    sim_device *device = object;
    fer_status status = sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    status = sim_copy_now(device, to, from, bytes);
    return status == FER_OK ? FER_OK : sim_fail(device, status, NULL, "the copy engine stalled");
}

static fer_status mem_copy_peer(
    void *object, const fer_mem *to, void *source_object, const fer_mem *from, uint64_t bytes) {
    sim_device *device = object, *source = source_object;
    fer_status status = sim_enter(device);
    status = status == FER_OK ? sim_enter(source) : status;
    if (status != FER_OK) {
        return status;
    }
    sim_lock();
    int no_peer = device->chip->config.no_peer != 0;
    device->chip->stats.copies_peer += no_peer == 0;
    sim_unlock();
    if (no_peer) {
        return FER_UNSUPPORTED;
    }
    void *target = sim_address(device, to, bytes);
    const void *data = sim_address(source, from, bytes);
    if (target == NULL || data == NULL) {
        return sim_fail(device, FER_BACKEND, NULL, "a peer copy of memory that is not there");
    }
    memmove(target, data, bytes);
    return FER_OK;
}

/* ---- windows ---- */

static fer_status mem_map(void *object, const fer_mem *mem, void **out_host) {
    sim_device *device = object;
    fer_status status = sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    sim_lock();
    int no_map = device->chip->config.no_map != 0;
    sim_block *block = block_of(mem->handle);
    device->chip->stats.maps += no_map == 0;
    sim_unlock();
    if (no_map) {
        return FER_UNSUPPORTED;
    }
    if (sim_fault_hits(device->chip, &device->chip->faults.map_fails_at)) {
        return sim_fail(device, FER_BACKEND, NULL, "the window does not open");
    }
    const void *data = sim_address(device, mem, mem->bytes);
    if (data == NULL || block == NULL) {
        return sim_fail(device, FER_INVALID_ARGUMENT, NULL, "no such memory");
    }
    if (block->window != NULL) {
        return FER_UNSUPPORTED; /* one window per block at a time */
    }
    void *window = sim_take(device->host, mem->bytes + 1);
    if (window == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    memcpy(window, data, mem->bytes);
    block->window = window;
    *out_host = window;
    return FER_OK;
}

static fer_status mem_unmap(void *object, const fer_mem *mem, void *host) {
    sim_device *device = object;
    sim_lock();
    sim_block *block = block_of(mem->handle);
    sim_unlock();
    if (block == NULL || block->window != host) {
        sim_violate("unmap of what was not mapped");
        return FER_INVALID_ARGUMENT;
    }
    fer_status status = sim_enter(device);
    if (status == FER_OK) {
        memcpy((char *)block->data + mem->offset, host, mem->bytes);
    }
    sim_give(device->host, host, mem->bytes + 1);
    block->window = NULL;
    return status;
}

/* ---- buffers for others ---- */

fer_status sim_buffer_import(
    void *object, int32_t handle_type, uint64_t handle, uint64_t bytes, fer_mem *out_mem) {
    sim_device *device = object;
    sim_lock();
    sim_block *block =
        handle_type == FER_HANDLE_NATIVE ? block_of((void *)(uintptr_t)handle) : NULL;
    int fits = block != NULL && block->device == device && bytes <= block->bytes;
    if (fits) {
        block->refs++;
    }
    sim_unlock();
    if (!fits) {
        return sim_fail(device, FER_UNSUPPORTED, NULL, "only native handles of this chip");
    }
    *out_mem = (fer_mem){(void *)(uintptr_t)handle, 0, bytes, NULL};
    return FER_OK;
}

fer_status
sim_buffer_export(void *object, const fer_mem *mem, int32_t handle_type, uint64_t *out_handle) {
    sim_device *device = object;
    if (handle_type != FER_HANDLE_NATIVE || mem->offset != 0) {
        return sim_fail(device, FER_UNSUPPORTED, NULL, "only native handles of whole blocks");
    }
    *out_handle = (uintptr_t)mem->handle;
    return FER_OK;
}

const fer_backend_memory sim_memory = {.struct_size = sizeof(sim_memory),
                                       .alloc = mem_alloc,
                                       .free = mem_free,
                                       .copy = mem_copy,
                                       .copy_peer = mem_copy_peer,
                                       .map = mem_map,
                                       .unmap = mem_unmap};
