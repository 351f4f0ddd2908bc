/* SPDX-License-Identifier: Apache-2.0
 *
 * The host that the ABI suite gives a backend. Every allocation is pages of its own that end at one
 * which faults, and faults as a whole once freed, so that what is read or written out of bounds or
 * too late is a crash and no accident. Frees must be of what was allocated, with the same size.
 */
#include "abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, SLACK = 0xa7, FRESH = 0xa5, KEPT = 6000 };

struct abi_block {
    char *memory;
    size_t bytes, alignment;
    char *map;
    size_t map_bytes; /* the guard included */
    int32_t is_freed;
    int32_t is_ours;   /* the suite's own, not the backend's */
    int32_t is_closed; /* of ours: faults, though not freed */
};

static _Thread_local uint32_t said;
static _Thread_local fer_status said_status;

void abi_said_reset(void) {
    said = 0;
    said_status = FER_OK;
}

uint32_t abi_said(fer_status *out_status) {
    *out_status = said_status;
    return said;
}

/* ---- memory ---- */

static void breaks(abi_host *self, const char *what, size_t bytes) {
    if (self->broken[0] == '\0') {
        (void)snprintf(self->broken, sizeof self->broken, "%s (%zu bytes)", what, bytes);
    }
}

/* Lock held. Freed blocks stay unreadable for a while, then go. */
static void drop_oldest(abi_host *self) {
    for (; self->block_count - self->drop_at > KEPT; self->drop_at++) {
        abi_block *oldest = &self->blocks[self->drop_at];
        if (oldest->is_freed) {
            (void)munmap(oldest->map, oldest->map_bytes);
            oldest->map = NULL;
        }
    }
}

/* Lock held. */
static abi_block *block_new(abi_host *self, size_t bytes, size_t alignment, size_t least) {
    size_t step = alignment < least ? least : alignment, over = step > PAGE ? step : 0;
    if (bytes > (size_t)1 << 40 || alignment > (size_t)1 << 30 || (step & (step - 1)) != 0) {
        return NULL;
    }
    if (self->block_count == self->block_capacity) {
        uint64_t capacity = 2 * self->block_capacity + 256;
        abi_block *grown = realloc(self->blocks, capacity * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        self->blocks = grown;
        self->block_capacity = capacity;
    }
    size_t flush = (bytes + step - 1) / step * step;
    size_t used = (flush + over + PAGE - 1) / PAGE * PAGE, map_bytes = used + PAGE;
    char *map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        return NULL;
    }
    (void)mprotect(map + used, PAGE, PROT_NONE);
    char *memory = map + used - flush;
    memory -= over > 0 ? (uintptr_t)memory % step : 0;
    memset(map, SLACK, used);
    memset(memory, FRESH, bytes);
    drop_oldest(self);
    abi_block *block = &self->blocks[self->block_count++];
    *block = (abi_block){memory, bytes, alignment, map, map_bytes, 0, 0, 0};
    return block;
}

void *abi_guarded(abi_host *self, size_t bytes, size_t alignment) {
    (void)pthread_mutex_lock(&self->lock);
    abi_block *block = block_new(self, bytes, alignment, /*least=*/1);
    void *memory = NULL;
    if (block != NULL) {
        block->is_ours = 1;
        memory = block->memory;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return memory;
}

static int is_refused(abi_host *self) {
    if (atomic_load(&self->fails_in) <= 0) {
        return 0;
    }
    if (atomic_fetch_sub(&self->fails_in, 1) != 1) {
        return 0;
    }
    if (atomic_load(&self->fails_on)) {
        atomic_store(&self->fails_in, 1);
    }
    atomic_fetch_add(&self->refused, 1);
    return 1;
}

/* Before a quick allocation: what it was asked as. */
typedef struct quick_head {
    size_t bytes, alignment;
    void *raw;
    uint64_t mark;
} quick_head;
#define QUICK_MARK 0x6b636975715f6962u

static void *quick_alloc(size_t bytes, size_t alignment) {
    size_t step = alignment < 64 ? 64 : alignment;
    char *raw = bytes <= (size_t)1 << 40 ? malloc(bytes + 2 * step + sizeof(quick_head)) : NULL;
    if (raw == NULL) {
        return NULL;
    }
    uintptr_t least = (uintptr_t)raw + sizeof(quick_head);
    char *memory = raw + sizeof(quick_head) + (step - least % step) % step;
    quick_head head = {bytes, alignment, raw, QUICK_MARK};
    memcpy(memory - sizeof head, &head, sizeof head);
    return memory;
}

static const char *quick_free(char *memory, size_t bytes, size_t alignment) {
    quick_head head;
    memcpy(&head, memory - sizeof head, sizeof head);
    if (head.mark != QUICK_MARK) {
        return "it freed a piece of memory twice, or what it never allocated";
    }
    memset(memory - sizeof head, 0xdd, sizeof head + head.bytes);
    free(head.raw);
    return head.bytes != bytes || head.alignment != alignment
               ? "it freed memory with another size or alignment than it asked for"
               : NULL;
}

static void *host_alloc(void *object, size_t bytes, size_t alignment) {
    abi_host *self = object;
    if (is_refused(self)) {
        return NULL;
    }
    if (self->is_quick) {
        void *quick = quick_alloc(bytes, alignment);
        atomic_fetch_add(&self->live, quick != NULL);
        return quick;
    }
    (void)pthread_mutex_lock(&self->lock);
    abi_block *block = block_new(self, bytes, alignment, /*least=*/16);
    void *memory = block != NULL ? block->memory : NULL;
    (void)pthread_mutex_unlock(&self->lock);
    atomic_fetch_add(&self->live, memory != NULL);
    return memory;
}

static int slack_is_whole(const abi_block *block) {
    const char *end = block->map + block->map_bytes - PAGE;
    for (const char *at = block->map; at < end; at++) {
        if ((at < block->memory || at >= block->memory + block->bytes) &&
            (unsigned char)*at != SLACK) {
            return 0;
        }
    }
    return 1;
}

static void host_free(void *object, void *memory, size_t bytes, size_t alignment) {
    abi_host *self = object;
    if (memory == NULL) {
        return;
    }
    if (self->is_quick) {
        const char *wrong = quick_free(memory, bytes, alignment);
        atomic_fetch_sub(&self->live, 1);
        if (wrong != NULL) {
            (void)pthread_mutex_lock(&self->lock);
            breaks(self, wrong, bytes);
            (void)pthread_mutex_unlock(&self->lock);
        }
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    abi_block *found = NULL;
    for (uint64_t i = self->block_count; i > 0 && found == NULL; i--) {
        abi_block *block = &self->blocks[i - 1];
        found = block->memory == memory && block->map != NULL ? block : NULL;
    }
    if (found == NULL || found->is_ours) {
        breaks(self, "it freed what it never allocated", bytes);
    } else if (found->is_freed) {
        breaks(self, "it freed a piece of memory twice", bytes);
    } else {
        if (found->bytes != bytes || found->alignment != alignment) {
            breaks(self, "it freed memory with another size or alignment than it asked for", bytes);
        }
        if (!slack_is_whole(found)) {
            breaks(self, "it wrote beside its memory", bytes);
        }
        found->is_freed = 1;
        (void)mprotect(found->map, found->map_bytes, PROT_NONE);
        atomic_fetch_sub(&self->live, 1);
    }
    (void)pthread_mutex_unlock(&self->lock);
}

/* ---- structs of other sizes ---- */

static void *sized(abi_host *self, const void *full, size_t size, size_t copied, int tail) {
    uint32_t said_size = (uint32_t)size;
    char *memory = abi_guarded(self, size, 8);
    if (memory == NULL) {
        return NULL;
    }
    memset(memory, tail, size);
    memcpy(memory, full, copied);
    memcpy(memory, &said_size, sizeof said_size);
    return memory;
}

void *abi_cut(abi_host *self, const void *full, size_t keep) {
    return sized(self, full, keep, keep, 0);
}

void *abi_lengthen(abi_host *self, const void *full, size_t size, int tail) {
    return sized(self, full, size + ABI_TAIL, size, tail);
}

int abi_tail_is(const void *longer, size_t size, int tail) {
    const unsigned char *bytes = longer;
    for (size_t i = size; i < size + ABI_TAIL; i++) {
        if (bytes[i] != (unsigned char)tail) {
            return 0;
        }
    }
    return 1;
}

const char *abi_host_check(abi_host *self) {
    (void)pthread_mutex_lock(&self->lock);
    for (uint64_t i = 0; i < self->block_count; i++) {
        const abi_block *block = &self->blocks[i];
        if (block->is_ours && !block->is_closed && !slack_is_whole(block)) {
            breaks(self, "it wrote beside memory that the host gave it", block->bytes);
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    return self->broken[0] != '\0' ? self->broken : NULL;
}

void abi_guarded_close(abi_host *self, void *memory) {
    (void)pthread_mutex_lock(&self->lock);
    for (uint64_t i = 0; i < self->block_count; i++) {
        abi_block *block = &self->blocks[i];
        if (block->memory == memory && block->is_ours) {
            block->is_closed = 1;
            (void)mprotect(block->map, block->map_bytes, PROT_NONE);
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
}

/* ---- the rest of the table ---- */

static void host_log(void *object, int32_t level, const char *message) {
    abi_host *self = object;
    (void)level;
    if (message == NULL) {
        (void)pthread_mutex_lock(&self->lock);
        breaks(self, "it logged NULL", 0);
        (void)pthread_mutex_unlock(&self->lock);
    }
}

static fer_status host_fail(
    void *object, fer_status status, int32_t native_code, const char *node, const char *message) {
    abi_host *self = object;
    (void)native_code;
    (void)node;
    if (message == NULL || message[0] == '\0' || status == FER_OK) {
        (void)pthread_mutex_lock(&self->lock);
        breaks(self, "it called host->fail without a sentence or with OK", 0);
        (void)pthread_mutex_unlock(&self->lock);
    }
    said++;
    said_status = status;
    return self->real->fail(self->real->self, status, native_code, node, message);
}

static void host_parallel_for(void *object,
                              uint64_t count,
                              uint64_t grain,
                              void (*body)(void *argument, uint64_t begin, uint64_t end),
                              void *argument) {
    const abi_host *self = object;
    self->real->parallel_for(self->real->self, count, grain, body, argument);
}

/* Planning may need memory too. */
static fer_status host_plan_memory(void *object,
                                   const fer_lifetime *lifetimes,
                                   uint32_t count,
                                   uint64_t alignment,
                                   uint64_t *out_offsets,
                                   uint64_t *out_bytes) {
    abi_host *self = object;
    return is_refused(self)
               ? FER_OUT_OF_MEMORY
               : self->real->plan_memory(
                     self->real->self, lifetimes, count, alignment, out_offsets, out_bytes);
}

static void host_lost(void *object, uint32_t device_index, const char *reason) {
    abi_host *self = object;
    (void)device_index;
    (void)reason;
    atomic_fetch_add(&self->lost, 1);
}

static uint64_t host_clock(void *object) {
    const abi_host *self = object;
    return self->real->clock_ns(self->real->self);
}

static uint64_t host_span_begin(void *object, const char *name) {
    (void)name;
    return host_clock(object);
}

static void host_span_end(void *object, uint64_t span) {
    (void)object;
    (void)span;
}

abi_host *abi_host_new(const fer_host *real) {
    abi_host *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    self->real = real;
    self->table = *real;
    self->table.struct_size = sizeof self->table;
    self->table.self = self;
    self->table.alloc = host_alloc;
    self->table.free = host_free;
    self->table.log = host_log;
    self->table.fail = host_fail;
    self->table.parallel_for = host_parallel_for;
    self->table.plan_memory = host_plan_memory;
    self->table.lost = host_lost;
    self->table.clock_ns = host_clock;
    self->table.span_begin = host_span_begin;
    self->table.span_end = host_span_end;
    return self;
}

void abi_host_free(abi_host *self) {
    if (self == NULL) {
        return;
    }
    for (uint64_t i = 0; i < self->block_count; i++) {
        if (self->blocks[i].map != NULL) {
            (void)munmap(self->blocks[i].map, self->blocks[i].map_bytes);
        }
    }
    free(self->blocks);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}
