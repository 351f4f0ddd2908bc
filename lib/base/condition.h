/* SPDX-License-Identifier: Apache-2.0
 *
 * Condition variables whose timed waits go by feri_clock_ns: a wall clock that is set while somebody
 * waits neither stretches nor cuts the wait.
 */
#ifndef FERI_BASE_CONDITION_H
#define FERI_BASE_CONDITION_H

#include <pthread.h>
#include <stdint.h>

void feri_condition_init(pthread_cond_t *condition);
/* Under the lock: until signalled, woken for nothing, or until_ns (of feri_clock_ns; UINT64_MAX: never) has
 * passed. */
void feri_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ns);

#endif
