/* SPDX-License-Identifier: Apache-2.0
 *
 * The context's threads: parallel_for for kernels and a queue of jobs for asynchronous runs.
 * Threads start on first use and spin only inside a parallel_for. POSIX threads.
 */
#ifndef FERI_BASE_WORKERS_H
#define FERI_BASE_WORKERS_H

#include "base/env.h"

/* CPUs that affinity and the cgroup's quota leave to this process, at least 1. (cpu_count.c) */
uint32_t feri_cpu_count(void);

/* thread_count: those that compute, the caller's included; 0: what affinity and the cgroup's quota
 * allow. */
fer_status feri_workers_create(feri_env *env, uint32_t thread_count, feri_workers **out_workers);
/* Waits for all jobs. NULL is fine. */
void feri_workers_destroy(feri_workers *workers);
uint32_t feri_workers_thread_count(const feri_workers *workers);

/* As fer_host.parallel_for. Concurrent calls are fine: one has the helpers, the others run alone.
 */
void feri_workers_for(feri_workers *workers,
                      uint64_t count,
                      uint64_t grain,
                      void (*body)(void *argument, uint64_t begin, uint64_t end),
                      void *argument);

/* A job embeds this; the queue never allocates. run is called once on a worker thread. */
typedef struct feri_job {
    void (*run)(struct feri_job *job);
    struct feri_job *next;
} feri_job;
/* Starts a job thread if all that exist are busy (at most 64; jobs wait in order then). */
fer_status feri_workers_submit(feri_workers *workers, feri_job *job);

#endif
