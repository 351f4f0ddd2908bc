/* SPDX-License-Identifier: Apache-2.0
 *
 * What every object of a context needs from it: the heap, the limits, the log. fer_context begins
 * with its feri_env, so lower layers take fer_context and never know more of it. Counted: the
 * context is destroyed with its last child.
 */
#ifndef FERI_BASE_ENV_H
#define FERI_BASE_ENV_H

#include "ferrule/ferrule.h"

#include <stdatomic.h>

typedef struct feri_workers feri_workers;

typedef struct feri_env {
    atomic_uint refs;
    void (*destroy)(struct feri_env *env); /* ends the object env is the start of */
    fer_allocator allocator;
    uint64_t budget_bytes; /* host budget, UINT64_MAX: none */
    fer_budget *budgets;   /* all that were given, in the env's own block */
    uint32_t budget_count;
    uint64_t block_bytes; /* of the object that env is the start of, and its budgets */
    atomic_uint_fast64_t now_bytes;
    atomic_uint_fast64_t peak_bytes;
    fer_limits limits; /* all fields set */
    fer_log_fn log;
    void *log_self;
    fer_notice_fn notice;
    void *notice_self;
    feri_workers *workers;        /* created by device/, NULL until then */
    atomic_uint_fast64_t next_id; /* run ids and other unique numbers of the context */
} feri_env;

/* An object of object_bytes that begins with its env, zeroed behind that, with one reference, from
 * the allocator of options (may be NULL). destroy ends with feri_env_free. */
fer_status feri_env_create_in(const fer_context_options *options,
                              uint64_t object_bytes,
                              void (*destroy)(feri_env *env),
                              feri_env **out_env);
void feri_env_free(feri_env *env);
/* An env by itself, for the tests of lower layers; feri_env_release frees it. */
fer_status feri_env_create(const fer_context_options *options, feri_env **out_env);
feri_env *feri_env_retain(feri_env *env);
void feri_env_release(feri_env *env);

static inline feri_env *feri_env_of(const fer_context *context) {
    return (feri_env *)(uintptr_t)context;
}

/* Zeroed memory, aligned to 16 (feri_alloc) or alignment, counted against the budget; NULL on
 * failure, with feri_fail(OUT_OF_MEMORY or BUDGET) recorded. bytes may be 0 (returns a unique
 * pointer; free it with 0). */
void *feri_alloc(feri_env *env, uint64_t bytes) __attribute__((malloc));
void *feri_alloc_aligned(feri_env *env, uint64_t bytes, uint64_t alignment, int zeroed)
    __attribute__((malloc));
/* bytes (and alignment) as allocated; NULL is fine. */
void feri_free(feri_env *env, void *memory, uint64_t bytes);
void feri_free_aligned(feri_env *env, void *memory, uint64_t bytes, uint64_t alignment);
/* Grows array (of element_bytes each, *capacity of them) to hold needed elements; new ones are
 * zeroed. */
fer_status feri_grow(
    feri_env *env, void *array_pointer, uint32_t *capacity, uint32_t needed, size_t element_bytes);

/* a * b and a + b, or UINT64_MAX on overflow. */
static inline uint64_t feri_mul_sat(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}
static inline uint64_t feri_add_sat(uint64_t a, uint64_t b) {
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* level: FER_LOG_...; drops the message when nobody listens. Do not call under a lock. */
void feri_log(feri_env *env, int32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void feri_notify(feri_env *env, int32_t kind, const char *subject, const char *detail);

uint64_t feri_clock_ns(void);
/* DEADLINE "... passed while <what>" from a time of feri_clock_ns on; 0: there is none. */
fer_status feri_deadline_check(uint64_t deadline_at, const char *what);

#endif
