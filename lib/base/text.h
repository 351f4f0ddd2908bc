/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing text and a string-keyed map, both on the heap of an env; small files as text.
 */
#ifndef FERI_BASE_TEXT_H
#define FERI_BASE_TEXT_H

#include "base/env.h"

typedef struct feri_text {
    feri_env *env;
    char *data; /* NUL-terminated once anything was added; NULL before */
    uint64_t length;
    uint64_t capacity;
    fer_status status; /* first failure; later additions do nothing */
} feri_text;

void feri_text_init(feri_text *text, feri_env *env);
void feri_text_finish(feri_text *text);
void feri_text_add(feri_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void feri_text_add_bytes(feri_text *text, const char *bytes, uint64_t length);
/* A number in at most significant digits, with a point whatever the locale says ("%g" obeys it). */
void feri_text_add_number(feri_text *text, double value, int significant);

/* Maps text keys to uint32_t. Keys are borrowed and must outlive the map. */
typedef struct feri_name_map {
    feri_env *env;
    struct feri_name_slot *slots;
    uint32_t slot_count; /* a power of two, or 0 */
    uint32_t used;
    uint64_t seed; /* of the hash, so that names cannot be chosen to collide */
} feri_name_map;

void feri_name_map_init(feri_name_map *map, feri_env *env);
void feri_name_map_finish(feri_name_map *map);
/* Sets key (replacing). */
fer_status feri_name_map_set(feri_name_map *map, const char *key, uint64_t length, uint32_t value);
/* 1 and *out_value, or 0. */
int feri_name_map_get(const feri_name_map *map,
                      const char *key,
                      uint64_t length,
                      uint32_t *out_value);

/* A small file's text, ended by NUL: its length, at most capacity - 1; -1 when it cannot be read.
 */
int64_t feri_read_small(const char *path, char *text, size_t capacity);

uint64_t feri_hash(const void *data, uint64_t bytes, uint64_t seed);

#endif
