/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation, budgets, bumps, texts, maps and the floating-point mode.
 */
#include "base/bump.h"
#include "base/env.h"
#include "base/error.h"
#include "base/fpmode.h"
#include "base/text.h"

#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An allocator that checks what it is told, and fails at one index. */
typedef struct checker {
    uint64_t live_bytes;
    uint64_t calls;
    uint64_t fail_at;
} checker;

static void *checker_alloc(void *self, size_t bytes, size_t alignment) {
    checker *check = self;
    assert_true(bytes > 0 && alignment >= 16);
    if (check->calls++ == check->fail_at) {
        return NULL;
    }
    void *memory = NULL;
    assert_int_equal(posix_memalign(&memory, alignment, bytes), 0);
    memset(memory, 0xaa, bytes);
    check->live_bytes += bytes;
    return memory;
}

static void checker_free(void *self, void *memory, size_t bytes, size_t alignment) {
    checker *check = self;
    assert_true(alignment >= 16);
    check->live_bytes -= bytes;
    free(memory);
}

static void budget_and_defaults(void **state) {
    (void)state;
    checker check = {0, 0, UINT64_MAX};
    fer_budget budgets[2] = {
        {0, 0, "cuda:0", 1   },
        {0, 0, "host",   1000}
    };
    fer_limits limits = {.max_nodes = 5};
    fer_context_options options = {
        .allocator = {checker_alloc, checker_free, &check},
        .budgets = budgets,
        .budget_count = 2,
        .limits = &limits
    };
    feri_env *env = NULL;
    assert_int_equal(feri_env_create(&options, &env), FER_OK);
    assert_int_equal(env->limits.max_nodes, 5);
    assert_int_equal(env->limits.max_nesting, 64);
    uint8_t *a = feri_alloc(env, 600);
    assert_non_null(a);
    assert_int_equal(a[599], 0);
    assert_null(feri_alloc(env, 401));
    assert_int_equal(fer_error_last()->status, FER_BUDGET);
    void *b = feri_alloc_aligned(env, 400, 256, 0);
    assert_non_null(b);
    assert_int_equal((uintptr_t)b % 256, 0);
    feri_free(env, a, 600);
    feri_free_aligned(env, b, 400, 256);
    assert_null(feri_alloc(env, UINT64_MAX));
    assert_int_equal(fer_error_last()->status, FER_OUT_OF_MEMORY);
    assert_int_equal(env->now_bytes, 0);
    assert_int_equal(env->peak_bytes, 1000);
    check.fail_at = check.calls;
    assert_null(feri_alloc(env, 8));
    assert_int_equal(fer_error_last()->status, FER_OUT_OF_MEMORY);
    assert_int_equal(env->now_bytes, 0);
    feri_env_release(env);
    assert_int_equal(check.live_bytes, 0);

    options.allocator.free = NULL;
    assert_int_equal(feri_env_create(&options, &env), FER_INVALID_ARGUMENT);
}

static void bumps(void **state) {
    (void)state;
    feri_env *env = NULL;
    assert_int_equal(feri_env_create(NULL, &env), FER_OK);
    feri_bump bump;
    feri_bump_init(&bump, env);
    for (uint64_t i = 0; i < 3000; i++) {
        uint8_t *piece = feri_bump_alloc(&bump, i % 3 ? i : i * 40);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % 16, 0);
        for (uint64_t j = 0; j < (i % 3 ? i : i * 40); j++) {
            if (piece[j]) {
                fail_msg("piece %d is not zeroed", (int)i);
            }
        }
        memset(piece, 0xff, i % 3 ? i : i * 40);
    }
    assert_string_equal(feri_bump_printf(&bump, "%s_%d", "Conv", 17), "Conv_17");
    assert_string_equal(feri_bump_strndup(&bump, "abc", 2), "ab");
    assert_null(FERI_BUMP_ARRAY(&bump, uint64_t, UINT64_MAX / 4));
    uint32_t *numbers = NULL;
    uint32_t capacity = 0;
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(feri_bump_grow(&bump, &numbers, &capacity, i + 1, sizeof *numbers),
                         FER_OK);
        assert_int_equal(numbers[i], 0);
        numbers[i] = i;
    }
    assert_int_equal(numbers[50], 50);
    feri_bump_finish(&bump);
    assert_int_equal(env->now_bytes, 0);
    feri_env_release(env);
}

static void texts_and_maps(void **state) {
    (void)state;
    feri_env *env = NULL;
    assert_int_equal(feri_env_create(NULL, &env), FER_OK);
    feri_text text;
    feri_text_init(&text, env);
    for (int i = 0; i < 500; i++) {
        feri_text_add(&text, "%d,", i);
    }
    feri_text_add_bytes(&text, "end", 3);
    assert_int_equal(text.status, FER_OK);
    assert_int_equal(strlen(text.data), text.length);
    assert_string_equal(text.data + text.length - 7, "499,end");
    feri_text_finish(&text);
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is installed */
    feri_text_add_number(&text, -0.5, 9);
    feri_text_add_number(&text, 1e30, 9);
    (void)setlocale(LC_ALL, "C");
    assert_string_equal(text.data, "-0.51e+30");
    feri_text_finish(&text);

    static char keys[5000][8];
    feri_name_map map;
    feri_name_map_init(&map, env);
    uint32_t value = 77;
    assert_int_equal(feri_name_map_get(&map, "k", 1, &value), 0);
    for (uint32_t i = 0; i < 5000; i++) {
        int length = snprintf(keys[i], sizeof keys[i], "k%u", i);
        assert_int_equal(feri_name_map_set(&map, keys[i], (uint64_t)length, i), FER_OK);
    }
    assert_int_equal(feri_name_map_set(&map, "", 0, 9), FER_OK);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(feri_name_map_get(&map, keys[i], strlen(keys[i]), &value), 1);
        assert_int_equal(value, i);
    }
    assert_int_equal(feri_name_map_get(&map, "", 0, &value), 1);
    assert_int_equal(value, 9);
    assert_int_equal(feri_name_map_get(&map, "k5000", 5, &value), 0);
    assert_int_equal(feri_name_map_set(&map, "k7", 2, 1), FER_OK);
    assert_int_equal(feri_name_map_get(&map, "k7", 2, &value), 1);
    assert_int_equal(value, 1);
    feri_name_map_finish(&map);
    assert_int_equal(env->now_bytes, 0);
    feri_env_release(env);
}

static void floating_point_mode(void **state) {
    (void)state;
    volatile double one = 1;
    volatile double three = 3;
    /* volatile, or the divisions move across the calls that change the mode. */
    volatile double nearest = one / three;
    assert_int_equal(fesetround(FE_UPWARD), 0);
    volatile double upward = one / three;
    assert_true(upward != nearest);
    feri_fpmode mode = feri_fpmode_enter();
    volatile double restored = one / three;
    assert_true(restored == nearest);
    feri_fpmode_leave(mode);
    assert_int_equal(fegetround(), FE_UPWARD);
    assert_int_equal(fesetround(FE_TONEAREST), 0);
}

/* Asks for more than the budget has, over and over. */
typedef struct greedy {
    feri_env *env;
    atomic_int is_done;
} greedy;

static void *ask_too_much(void *argument) {
    greedy *self = argument;
    for (int i = 0; i < 50000; i++) {
        if (feri_alloc(self->env, 1 << 30)) {
            break; /* and leaks, which the test sees */
        }
    }
    atomic_store(&self->is_done, 1);
    return NULL;
}

/* What one thread is refused costs another nothing. */
static void budget_of_two_threads(void **state) {
    (void)state;
    fer_budget budget = {.device = "host", .bytes = 1 << 20};
    fer_context_options options = {.budgets = &budget, .budget_count = 1};
    greedy other = {.env = NULL};
    assert_int_equal(feri_env_create(&options, &other.env), FER_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_too_much, &other), 0);
    int refused = 0;
    while (!atomic_load(&other.is_done)) {
        void *memory = feri_alloc(other.env, 64);
        refused += !memory;
        feri_free(other.env, memory, 64);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(refused, 0);
    assert_int_equal(other.env->now_bytes, 0);
    feri_env_release(other.env);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(budget_and_defaults),
                                       cmocka_unit_test(budget_of_two_threads),
                                       cmocka_unit_test(bumps),
                                       cmocka_unit_test(texts_and_maps),
                                       cmocka_unit_test(floating_point_mode)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
