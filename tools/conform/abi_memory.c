/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks on the memory level, the host's default where the module has none: alloc, free, copy,
 * copy_peer, map, unmap.
 */
#include "abi.h"

#include <string.h>

enum { BYTES = 1000 };

static void pattern(unsigned char *out, uint64_t bytes, uint32_t seed) {
    for (uint64_t i = 0; i < bytes; i++) {
        out[i] = (unsigned char)(i * 31 + seed * 17 + 5);
    }
}

static fer_mem host_piece(void *data, uint64_t bytes) { return (fer_mem){NULL, 0, bytes, data}; }

static fer_mem take(abi_life *life, uint64_t bytes) {
    fer_mem mem = {0};
    abi_ok(life->suite,
           life->m->memory->alloc(life->device, bytes, 64, FER_MEM_DEVICE, &mem),
           "alloc");
    if (mem.bytes != bytes || (mem.handle == NULL && mem.host == NULL && bytes > 0)) {
        abi_fail(life->suite,
                 "alloc gave %llu bytes, %llu were asked for, or no memory at all",
                 (unsigned long long)mem.bytes,
                 (unsigned long long)bytes);
    }
    return mem;
}

static void put(abi_life *life, const fer_mem *mem, void *data, uint64_t bytes) {
    fer_mem from = host_piece(data, bytes);
    abi_ok(life->suite, life->m->memory->copy(life->device, mem, &from, bytes), "copy in");
}

static void
must_hold(abi_life *life, const fer_mem *mem, const unsigned char *want, uint64_t bytes) {
    unsigned char got[4096];
    memset(got, 0, sizeof got);
    fer_mem to = host_piece(got, bytes);
    abi_ok(life->suite, life->m->memory->copy(life->device, &to, mem, bytes), "copy out");
    if (memcmp(got, want, (size_t)bytes) != 0) {
        abi_fail(life->suite, "what was copied in does not come out again");
    }
}

/* ---- alloc and free ---- */

static void alloc_sizes(abi *self) {
    static const uint64_t sizes[] = {0, 1, 2, 3, 63, 64, 65, 4095, 4096};
    unsigned char data[4096];
    abi_life life;
    abi_life_open(self, &life);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fer_mem mem = take(&life, sizes[i]);
        pattern(data, sizes[i], i);
        if (sizes[i] > 0) {
            put(&life, &mem, data, sizes[i]);
            must_hold(&life, &mem, data, sizes[i]);
        }
        life.m->memory->free(life.device, &mem);
    }
    abi_life_close(&life);
}

static void alloc_alignments(abi *self) {
    abi_life life;
    abi_life_open(self, &life);
    for (uint64_t alignment = 1; alignment <= 4096; alignment *= 2) {
        fer_mem mem = {0};
        abi_ok(self,
               life.m->memory->alloc(life.device, 100, alignment, FER_MEM_DEVICE, &mem),
               "alloc");
        if (mem.host != NULL && ((uintptr_t)mem.host & (alignment - 1)) != 0) {
            abi_fail(self, "alloc ignored the alignment %llu", (unsigned long long)alignment);
        }
        life.m->memory->free(life.device, &mem);
    }
    abi_life_close(&life);
}

static void alloc_too_much(abi *self) {
    static const uint64_t sizes[] = {
        UINT64_MAX, UINT64_MAX - 63, (uint64_t)INT64_MAX, (uint64_t)1 << 60};
    abi_life life;
    abi_life_open(self, &life);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fer_mem mem = {(void *)1, 2, 3, (void *)4}, kept = mem;
        abi_said_reset();
        fer_status status = life.m->memory->alloc(life.device, sizes[i], 64, FER_MEM_DEVICE, &mem);
        abi_refused(self, status, "alloc of more than there can be");
        if (status != FER_OUT_OF_MEMORY) {
            abi_fail(self,
                     "alloc of more than there can be is OUT_OF_MEMORY, not %s",
                     fer_status_name(status));
        }
        if (memcmp(&mem, &kept, sizeof mem) != 0) {
            abi_fail(self, "alloc failed, and yet out_mem was set");
        }
    }
    fer_mem after = take(&life, BYTES);
    life.m->memory->free(life.device, &after);
    abi_life_close(&life);
}

/* A kind from the future: memory of some kind, or a refusal. */
static void alloc_kinds(abi *self) {
    static const int32_t kinds[] = {FER_MEM_STAGING, 2, -1, INT32_MAX};
    unsigned char data[BYTES];
    abi_life life;
    abi_life_open(self, &life);
    pattern(data, BYTES, 3);
    for (uint32_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        fer_mem mem = {0};
        abi_said_reset();
        fer_status status = life.m->memory->alloc(life.device, BYTES, 64, kinds[i], &mem);
        if (kinds[i] == FER_MEM_STAGING) {
            abi_ok(self, status, "alloc of staging memory");
            if (mem.host == NULL) {
                abi_fail(self, "staging memory has no host address");
            }
        }
        if (status != FER_OK) {
            abi_refused(self, status, "alloc of an unknown kind");
            continue;
        }
        put(&life, &mem, data, BYTES);
        must_hold(&life, &mem, data, BYTES);
        life.m->memory->free(life.device, &mem);
    }
    abi_life_close(&life);
}

/* Two hundred at once, freed in another order: none touches another. */
static void alloc_many(abi *self) {
    enum { MANY = 200 };
    static fer_mem mems[MANY];
    unsigned char data[BYTES];
    abi_life life;
    abi_life_open(self, &life);
    for (uint32_t i = 0; i < MANY; i++) {
        mems[i] = take(&life, 1 + i * 5);
        pattern(data, mems[i].bytes, i);
        put(&life, &mems[i], data, mems[i].bytes);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t at = (i * 77) % MANY;
        pattern(data, mems[at].bytes, at);
        must_hold(&life, &mems[at], data, mems[at].bytes);
        life.m->memory->free(life.device, &mems[at]);
    }
    abi_life_close(&life);
}

/* ---- copy ---- */

static void copy_within(abi *self) {
    unsigned char data[BYTES];
    abi_life life;
    abi_life_open(self, &life);
    fer_mem first = take(&life, BYTES), second = take(&life, BYTES);
    pattern(data, BYTES, 1);
    put(&life, &first, data, BYTES);
    abi_ok(self, life.m->memory->copy(life.device, &second, &first, BYTES), "copy on the device");
    must_hold(&life, &second, data, BYTES);
    life.m->memory->free(life.device, &first);
    must_hold(&life, &second, data, BYTES);
    life.m->memory->free(life.device, &second);
    abi_life_close(&life);
}

static fer_mem piece_of(const fer_mem *whole, uint64_t offset, uint64_t bytes) {
    return (fer_mem){whole->handle,
                     whole->offset + offset,
                     bytes,
                     whole->host == NULL ? NULL : (char *)whole->host + offset};
}

static void copy_offsets(abi *self) {
    unsigned char data[BYTES], small[100];
    abi_life life;
    abi_life_open(self, &life);
    fer_mem mem = take(&life, BYTES);
    memset(data, 0x77, BYTES);
    put(&life, &mem, data, BYTES);
    for (uint32_t i = 0; i < 8; i++) {
        fer_mem piece = piece_of(&mem, 13 + i * 120, 100);
        pattern(small, sizeof small, i);
        memcpy(data + 13 + (size_t)i * 120, small, sizeof small);
        put(&life, &piece, small, sizeof small);
    }
    must_hold(&life, &mem, data, BYTES);
    life.m->memory->free(life.device, &mem);
    abi_life_close(&life);
}

static void copy_nothing(abi *self) {
    abi_life life;
    abi_life_open(self, &life);
    fer_mem mem = take(&life, BYTES), nowhere = {0};
    abi_ok(self, life.m->memory->copy(life.device, &mem, &nowhere, 0), "copy of no bytes");
    abi_ok(self, life.m->memory->copy(life.device, &nowhere, &mem, 0), "copy of no bytes");
    life.m->memory->free(life.device, &mem);
    abi_life_close(&life);
}

static void copy_beyond(abi *self) {
    unsigned char data[2 * BYTES] = {0};
    abi_life life;
    abi_life_open(self, &life);
    fer_mem mem = take(&life, BYTES), from = host_piece(data, 2 * BYTES);
    abi_said_reset();
    abi_refused(self,
                life.m->memory->copy(life.device, &mem, &from, 2 * BYTES),
                "copy of more than the destination holds");
    abi_said_reset();
    abi_refused(self,
                life.m->memory->copy(life.device, &from, &mem, 2 * BYTES),
                "copy of more than the source holds");
    pattern(data, BYTES, 1);
    put(&life, &mem, data, BYTES);
    must_hold(&life, &mem, data, BYTES);
    life.m->memory->free(life.device, &mem);
    abi_life_close(&life);
}

/* From another device where there is one, else from another opening of this one. */
static void copy_peer(abi *self) {
    unsigned char data[BYTES];
    abi_life life;
    uint32_t count = 0;
    abi_life_open(self, &life);
    abi_life other = life;
    abi_ok(self, life.m->core->device_count(life.backend, &count), "device_count");
    uint32_t index = count > 1 ? (self->index + 1) % count : self->index;
    abi_ok(self, life.m->core->device_open(life.backend, index, &other.device), "device_open");
    fer_mem here = take(&life, BYTES), there = take(&other, BYTES);
    pattern(data, BYTES, 9);
    put(&other, &there, data, BYTES);
    fer_status status = life.m->memory->copy_peer(life.device, &here, other.device, &there, BYTES);
    if (status == FER_OK) {
        must_hold(&life, &here, data, BYTES);
    } else if (status != FER_UNSUPPORTED) {
        abi_ok(self, status, "copy_peer");
    }
    life.m->memory->free(life.device, &here);
    other.m->memory->free(other.device, &there);
    other.m->core->device_close(other.device);
    abi_life_close(&life);
    if (status == FER_UNSUPPORTED) {
        abi_skip(self, "it does not copy between devices");
    }
}

/* ---- map ---- */

static void map_round(abi *self, uint64_t offset, uint64_t bytes) {
    unsigned char data[BYTES];
    void *window = NULL;
    abi_life life;
    abi_life_open(self, &life);
    fer_mem mem = take(&life, BYTES), piece = piece_of(&mem, offset, bytes);
    pattern(data, BYTES, 2);
    put(&life, &mem, data, BYTES);
    for (uint32_t i = 0; i < 3; i++) {
        fer_status status = life.m->memory->map(life.device, &piece, &window);
        if (status == FER_UNSUPPORTED) {
            life.m->memory->free(life.device, &mem);
            abi_life_close(&life);
            abi_skip(self, "it does not map memory");
        }
        abi_ok(self, status, "map");
        if (memcmp(window, data + offset, (size_t)bytes) != 0) {
            abi_fail(self, "the window shows other bytes than were copied in");
        }
        pattern(data + offset, bytes, 20 + i);
        memcpy(window, data + offset, (size_t)bytes);
        abi_ok(self, life.m->memory->unmap(life.device, &piece, window), "unmap");
        must_hold(&life, &mem, data, BYTES);
    }
    life.m->memory->free(life.device, &mem);
    abi_life_close(&life);
}

static void map_again(abi *self) { map_round(self, 0, BYTES); }
static void map_piece(abi *self) { map_round(self, 128, 300); }

/* While one window is open a second may be refused, and the first stays right. */
static void map_twice(abi *self) {
    unsigned char data[BYTES];
    void *first = NULL, *second = NULL;
    abi_life life;
    abi_life_open(self, &life);
    fer_mem mem = take(&life, BYTES);
    pattern(data, BYTES, 2);
    put(&life, &mem, data, BYTES);
    if (life.m->memory->map(life.device, &mem, &first) != FER_OK) {
        life.m->memory->free(life.device, &mem);
        abi_life_close(&life);
        abi_skip(self, "it does not map memory");
    }
    abi_said_reset();
    fer_status status = life.m->memory->map(life.device, &mem, &second);
    if (status == FER_OK) {
        abi_ok(self, life.m->memory->unmap(life.device, &mem, second), "unmap of the second");
    } else {
        abi_refused(self, status, "a second map");
    }
    if (memcmp(first, data, BYTES) != 0) {
        abi_fail(self, "the first window changed when a second was asked for");
    }
    abi_ok(self, life.m->memory->unmap(life.device, &mem, first), "unmap of the first");
    must_hold(&life, &mem, data, BYTES);
    life.m->memory->free(life.device, &mem);
    abi_life_close(&life);
}

static const abi_case rows[] = {
    {"alloc",     "every-size",      alloc_sizes     },
    {"alloc",     "every-alignment", alloc_alignments},
    {"alloc",     "too-much",        alloc_too_much  },
    {"alloc",     "every-kind",      alloc_kinds     },
    {"alloc",     "many",            alloc_many      },
    {"copy",      "within",          copy_within     },
    {"copy",      "offsets",         copy_offsets    },
    {"copy",      "nothing",         copy_nothing    },
    {"copy",      "beyond",          copy_beyond     },
    {"copy_peer", "round",           copy_peer       },
    {"map",       "again",           map_again       },
    {"map",       "piece",           map_piece       },
    {"map",       "twice",           map_twice       },
};
const abi_cases abi_memory_cases = {rows, sizeof rows / sizeof *rows};
