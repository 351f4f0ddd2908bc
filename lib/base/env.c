/* SPDX-License-Identifier: Apache-2.0
 *
 * The env of a context: where host memory comes from, what it may cost, who hears about it. All
 * allocation of lib/ passes through here and is counted. Refuses half-given allocators; knows
 * nothing of devices.
 */
#include "base/env.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEAP_ALIGNMENT = 16 };

static void *heap_alloc(void *self, size_t bytes, size_t alignment) {
    (void)self;
    void *memory = NULL;
    return posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, bytes)
               ? NULL
               : memory;
}

static void heap_free(void *self, void *memory, size_t bytes, size_t alignment) {
    (void)self;
    (void)bytes;
    (void)alignment;
    free(memory);
}

static fer_status set_limits(fer_limits *limits, const fer_limits *given) {
    FER_TRY(feri_struct_in(limits, sizeof *limits, given, "fer_limits"));
#define DEFAULT(field, value) limits->field = limits->field ? limits->field : (value)
    DEFAULT(max_nesting, 64);
    DEFAULT(max_nodes, UINT64_C(1000000));
    DEFAULT(max_values, UINT64_C(4000000));
    DEFAULT(max_model_bytes, UINT64_C(64) << 30);
    DEFAULT(max_tensor_bytes, UINT64_C(64) << 30);
    DEFAULT(max_loop_trips, UINT64_C(100000000));
    DEFAULT(max_specialization_bytes, UINT64_C(256) << 20);
#undef DEFAULT
    return FER_OK;
}

/* The next of the caller's budgets, which may be of another size than ours. */
static fer_status budget_next(const uint8_t **entry, fer_budget *out_budget) {
    uint32_t stride = 0;
    memcpy(&stride, *entry, sizeof stride);
    FER_TRY(feri_struct_in(out_budget, sizeof *out_budget, *entry, "fer_budget"));
    *entry += stride ? stride : sizeof *out_budget;
    return FER_OK;
}

/* Adds what the budgets take behind the object. */
static fer_status budgets_measure(const fer_context_options *options, uint64_t *bytes) {
    const uint8_t *entry = (const uint8_t *)options->budgets;
    if (options->budget_count && !entry) {
        return feri_fail(FER_INVALID_ARGUMENT, "budget_count is not 0, but budgets is NULL");
    }
    for (uint32_t i = 0; i < options->budget_count; i++) {
        fer_budget budget;
        FER_TRY(budget_next(&entry, &budget));
        if (!budget.device) {
            return feri_fail(FER_INVALID_ARGUMENT, "budget %u names no device", i);
        }
        *bytes += sizeof budget + strlen(budget.device) + 1;
    }
    return FER_OK;
}

/* Copies the budgets, their names behind them; the one called "host" is the env's own. */
static void set_budgets(feri_env *env, const fer_context_options *options, uint64_t object_bytes) {
    const uint8_t *entry = (const uint8_t *)options->budgets;
    env->budgets = (fer_budget *)((uint8_t *)env + object_bytes);
    env->budget_count = options->budget_count;
    env->budget_bytes = UINT64_MAX;
    char *names = (char *)(env->budgets + env->budget_count);
    for (uint32_t i = 0; i < env->budget_count; i++) {
        fer_budget *budget = &env->budgets[i];
        (void)budget_next(&entry, budget); /* budgets_measure saw that it is right */
        if (strcmp(budget->device, "host") == 0 && budget->bytes) {
            env->budget_bytes = budget->bytes;
        }
        size_t length = strlen(budget->device) + 1;
        budget->device = memcpy(names, budget->device, length);
        names += length;
    }
}

fer_status feri_env_create_in(const fer_context_options *given,
                              uint64_t object_bytes,
                              void (*destroy)(feri_env *env),
                              feri_env **out_env) {
    fer_context_options options;
    fer_limits limits;
    uint64_t bytes = object_bytes;
    FER_TRY(feri_struct_in(&options, sizeof options, given, "fer_context_options"));
    FER_TRY(set_limits(&limits, options.limits));
    FER_TRY(budgets_measure(&options, &bytes));
    if (!options.allocator.alloc != !options.allocator.free) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "allocator needs both alloc and free, or neither for malloc");
    }
    if (!options.allocator.alloc) {
        options.allocator = (fer_allocator){heap_alloc, heap_free, NULL};
    }
    feri_env *env = options.allocator.alloc(options.allocator.self, bytes, HEAP_ALIGNMENT);
    if (!env) {
        return feri_out_of_memory(bytes);
    }
    memset(env, 0, bytes);
    env->allocator = options.allocator;
    env->block_bytes = bytes;
    env->limits = limits;
    env->log = options.log;
    env->log_self = options.log_self;
    env->notice = options.notice;
    env->notice_self = options.notice_self;
    env->destroy = destroy;
    atomic_init(&env->refs, 1);
    atomic_init(&env->next_id, 1);
    set_budgets(env, &options, object_bytes);
    *out_env = env;
    return FER_OK;
}

void feri_env_free(feri_env *env) {
    fer_allocator allocator = env->allocator;
    allocator.free(allocator.self, env, env->block_bytes, HEAP_ALIGNMENT);
}

fer_status feri_env_create(const fer_context_options *options, feri_env **out_env) {
    return feri_env_create_in(options, sizeof **out_env, feri_env_free, out_env);
}

feri_env *feri_env_retain(feri_env *env) {
    if (env) {
        atomic_fetch_add_explicit(&env->refs, 1, memory_order_relaxed);
    }
    return env;
}

void feri_env_release(feri_env *env) {
    if (env && atomic_fetch_sub_explicit(&env->refs, 1, memory_order_acq_rel) == 1) {
        env->destroy(env);
    }
}

/* Reserves bytes; 0 when over budget. What is refused is never counted, not even for a moment:
 * other threads would be refused what there is room for. */
static int charge(feri_env *env, uint64_t bytes) {
    uint_fast64_t before = atomic_load_explicit(&env->now_bytes, memory_order_relaxed);
    do {
        if (bytes > env->budget_bytes - before) {
            return 0;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &env->now_bytes, &before, before + bytes, memory_order_relaxed, memory_order_relaxed));
    uint64_t now = before + bytes;
    uint_fast64_t peak = atomic_load_explicit(&env->peak_bytes, memory_order_relaxed);
    while (now > peak &&
           !atomic_compare_exchange_weak_explicit(
               &env->peak_bytes, &peak, now, memory_order_relaxed, memory_order_relaxed)) {
    }
    return 1;
}

void *feri_alloc_aligned(feri_env *env, uint64_t bytes, uint64_t alignment, int zeroed) {
    bytes = bytes ? bytes : 1;
    alignment = alignment < HEAP_ALIGNMENT ? HEAP_ALIGNMENT : alignment;
    if (bytes > PTRDIFF_MAX) {
        (void)feri_out_of_memory(bytes);
        return NULL;
    }
    if (!charge(env, bytes)) {
        (void)feri_fail(FER_BUDGET,
                        "%llu bytes of host memory on top of %llu in use would exceed the host "
                        "budget of %llu bytes; raise the budget or trim programs",
                        (unsigned long long)bytes,
                        (unsigned long long)atomic_load(&env->now_bytes),
                        (unsigned long long)env->budget_bytes);
        return NULL;
    }
    void *memory;
    if (env->allocator.alloc == heap_alloc && zeroed && alignment == HEAP_ALIGNMENT) {
        memory = calloc(1, bytes); /* fresh pages need no second zeroing */
    } else {
        memory = env->allocator.alloc(env->allocator.self, bytes, alignment);
        if (memory && zeroed) {
            memset(memory, 0, bytes);
        }
    }
    if (!memory) {
        atomic_fetch_sub_explicit(&env->now_bytes, bytes, memory_order_relaxed);
        (void)feri_out_of_memory(bytes);
    }
    return memory;
}

void feri_free_aligned(feri_env *env, void *memory, uint64_t bytes, uint64_t alignment) {
    if (!memory) {
        return;
    }
    bytes = bytes ? bytes : 1;
    alignment = alignment < HEAP_ALIGNMENT ? HEAP_ALIGNMENT : alignment;
    env->allocator.free(env->allocator.self, memory, bytes, alignment);
    atomic_fetch_sub_explicit(&env->now_bytes, bytes, memory_order_relaxed);
}

void *feri_alloc(feri_env *env, uint64_t bytes) {
    return feri_alloc_aligned(env, bytes, HEAP_ALIGNMENT, /*zeroed=*/1);
}

void feri_free(feri_env *env, void *memory, uint64_t bytes) {
    feri_free_aligned(env, memory, bytes, HEAP_ALIGNMENT);
}

fer_status feri_grow(
    feri_env *env, void *array_pointer, uint32_t *capacity, uint32_t needed, size_t element_bytes) {
    if (needed <= *capacity) {
        return FER_OK;
    }
    uint32_t grown = *capacity > UINT32_MAX / 2 ? UINT32_MAX : *capacity * 2;
    grown = grown < 8 ? 8 : grown;
    grown = grown < needed ? needed : grown;
    void *old = NULL;
    memcpy(&old, array_pointer, sizeof old);
    void *array = feri_alloc(env, feri_mul_sat(grown, element_bytes));
    if (!array) {
        return feri_error_status();
    }
    if (old) {
        memcpy(array, old, (uint64_t)*capacity * element_bytes);
        feri_free(env, old, (uint64_t)*capacity * element_bytes);
    }
    memcpy(array_pointer, &array, sizeof array);
    *capacity = grown;
    return FER_OK;
}

void feri_log(feri_env *env, int32_t level, const char *format, ...) {
    if (!env->log) {
        return;
    }
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    env->log(env->log_self, level, message);
}

void feri_notify(feri_env *env, int32_t kind, const char *subject, const char *detail) {
    if (env->notice) {
        fer_notice notice = {sizeof notice, kind, subject ? subject : "", detail ? detail : ""};
        env->notice(env->notice_self, &notice);
    }
}

uint64_t feri_clock_ns(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

fer_status feri_deadline_check(uint64_t deadline_at, const char *what) {
    return deadline_at == 0 || feri_clock_ns() < deadline_at
               ? FER_OK
               : feri_fail(FER_DEADLINE, "the deadline passed while %s", what);
}
