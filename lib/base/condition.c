/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions on the monotonic clock.
 */
#include "base/condition.h"

#include <time.h>

void feri_condition_init(pthread_cond_t *condition) {
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

void feri_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ns) {
    if (until_ns == UINT64_MAX) {
        (void)pthread_cond_wait(condition, lock);
        return;
    }
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    (void)pthread_cond_timedwait(condition, lock, &until);
}
