/* SPDX-License-Identifier: Apache-2.0
 *
 * The string-keyed map and the hash behind it. Names come from hostile files: the hash is seeded
 * per map, so that a file cannot be made to collide, and the table stays at most half full. Order
 * is never seen, so the seed changes no result.
 */
#include "base/error.h"
#include "base/text.h"

#include <string.h>

struct feri_name_slot {
    const char *key; /* NULL: free */
    uint64_t length;
    uint64_t hash;
    uint32_t value;
};

static uint64_t mix(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply-and-fold over 8-byte words, after wyhash (public domain). */
uint64_t feri_hash(const void *data, uint64_t bytes, uint64_t seed) {
    const uint64_t prime_0 = UINT64_C(0xa0761d6478bd642f);
    const uint64_t prime_1 = UINT64_C(0xe7037ed1a0b428db);
    const uint8_t *cursor = data;
    uint64_t state = seed ^ prime_0;
    uint64_t left = bytes;
    while (left >= 8) {
        uint64_t word;
        memcpy(&word, cursor, 8);
        state = mix(state ^ word ^ prime_1, prime_0 ^ (state << 1));
        cursor += 8;
        left -= 8;
    }
    uint64_t word = 0;
    if (left) {
        memcpy(&word, cursor, left);
    }
    state = mix(state ^ word ^ prime_1, prime_0 ^ (left << 56));
    return mix(state ^ bytes, prime_1 ^ (state >> 32));
}

void feri_name_map_init(feri_name_map *map, feri_env *env) {
    *map = (feri_name_map){.env = env};
    map->seed = feri_clock_ns() ^ (uint64_t)(uintptr_t)map;
}

void feri_name_map_finish(feri_name_map *map) {
    feri_free(map->env, map->slots, (uint64_t)map->slot_count * sizeof *map->slots);
    map->slots = NULL;
    map->slot_count = 0;
    map->used = 0;
}

/* The slot of key, or the free slot where it belongs. */
static struct feri_name_slot *probe(
    struct feri_name_slot *slots, uint32_t count, uint64_t hash, const char *key, uint64_t length) {
    for (uint32_t i = (uint32_t)hash & (count - 1);; i = (i + 1) & (count - 1)) {
        struct feri_name_slot *slot = &slots[i];
        if (!slot->key || (slot->hash == hash && slot->length == length &&
                           (!length || memcmp(slot->key, key, length) == 0))) {
            return slot;
        }
    }
}

static fer_status grow(feri_name_map *map) {
    uint32_t count = map->slot_count ? map->slot_count * 2 : 16;
    if (count < map->slot_count) {
        return feri_fail(FER_LIMIT, "more than %u names in one map", map->used);
    }
    struct feri_name_slot *slots = feri_alloc(map->env, (uint64_t)count * sizeof *slots);
    if (!slots) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < map->slot_count; i++) {
        const struct feri_name_slot *old = &map->slots[i];
        if (old->key) {
            *probe(slots, count, old->hash, old->key, old->length) = *old;
        }
    }
    feri_free(map->env, map->slots, (uint64_t)map->slot_count * sizeof *slots);
    map->slots = slots;
    map->slot_count = count;
    return FER_OK;
}

fer_status feri_name_map_set(feri_name_map *map, const char *key, uint64_t length, uint32_t value) {
    if (map->used >= map->slot_count / 2) {
        FER_TRY(grow(map));
    }
    uint64_t hash = feri_hash(key, length, map->seed);
    struct feri_name_slot *slot = probe(map->slots, map->slot_count, hash, key, length);
    if (!slot->key) {
        map->used++;
        *slot = (struct feri_name_slot){key ? key : "", length, hash, value};
    }
    slot->value = value;
    return FER_OK;
}

int feri_name_map_get(const feri_name_map *map,
                      const char *key,
                      uint64_t length,
                      uint32_t *out_value) {
    if (!map->slot_count) {
        return 0;
    }
    uint64_t hash = feri_hash(key, length, map->seed);
    const struct feri_name_slot *slot = probe(map->slots, map->slot_count, hash, key, length);
    if (!slot->key) {
        return 0;
    }
    *out_value = slot->value;
    return 1;
}
