/* SPDX-License-Identifier: Apache-2.0
 *
 * parallel_for covers every index once, also when calls overlap; jobs all run, and a job may drop
 * the pool.
 */
#include "base/workers.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 10000 };
typedef struct sums {
    atomic_uint seen[COUNT];
} sums;

static void add(void *argument, uint64_t begin, uint64_t end) {
    sums *sum = argument;
    for (uint64_t i = begin; i < end; i++) {
        atomic_fetch_add(&sum->seen[i], 1);
    }
}

static feri_workers *shared;

static void *call_often(void *argument) {
    for (int i = 0; i < 50; i++) {
        feri_workers_for(shared, COUNT, 16, add, argument);
    }
    return NULL;
}

static void loops(void **state) {
    (void)state;
    static sums sum;
    feri_env *env = NULL;
    assert_int_equal(feri_env_create(NULL, &env), FER_OK);
    assert_true(feri_cpu_count() >= 1);
    assert_int_equal(feri_workers_create(env, 4, &shared), FER_OK);
    assert_int_equal(feri_workers_thread_count(shared), 4);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &sum), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(sum.seen[i], 150);
    }
    feri_workers_for(shared, 0, 1, add, NULL);
    feri_workers_destroy(shared);
    assert_int_equal(env->now_bytes, 0);
    feri_env_release(env);
}

typedef struct counting_job {
    feri_job job;
    atomic_uint *count;
    feri_workers *destroy;
} counting_job;

static void count_job(feri_job *job) {
    counting_job *counting = (counting_job *)(void *)job;
    feri_workers_destroy(counting->destroy);
    atomic_fetch_add(counting->count, 1);
}

static void jobs(void **state) {
    (void)state;
    feri_env *env = NULL;
    assert_int_equal(feri_env_create(NULL, &env), FER_OK);
    feri_workers *workers = NULL;
    assert_int_equal(feri_workers_create(env, 0, &workers), FER_OK);
    atomic_uint count = 0;
    static counting_job many[300];
    for (int i = 0; i < 300; i++) {
        many[i] = (counting_job){
            {count_job, NULL},
            &count, NULL
        };
        assert_int_equal(feri_workers_submit(workers, &many[i].job), FER_OK);
    }
    feri_workers_destroy(workers);
    assert_int_equal(count, 300);

    /* the last job drops the pool it runs on */
    count = 0;
    assert_int_equal(feri_workers_create(env, 0, &workers), FER_OK);
    for (int i = 0; i < 10; i++) {
        many[i] = (counting_job){
            {count_job, NULL},
            &count, i == 9 ? workers : NULL
        };
        assert_int_equal(feri_workers_submit(workers, &many[i].job), FER_OK);
    }
    while (count < 10) {
        (void)sched_yield();
    }
    assert_int_equal(env->now_bytes, 0);
    feri_env_release(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(loops), cmocka_unit_test(jobs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
