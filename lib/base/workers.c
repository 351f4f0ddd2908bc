/* SPDX-License-Identifier: Apache-2.0
 *
 * The context's threads. Helpers share one parallel_for at a time: the caller opens a gate, helpers
 * that wake in time take pieces from a shared counter, the caller closes the gate and waits for
 * those inside only, so a sleepy helper costs nothing. Job threads take jobs in order. All block
 * every signal and round to nearest.
 */
#include "base/workers.h"

#include "base/error.h"
#include "base/fpmode.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { MAX_JOB_THREADS = 64, MAX_HELPERS = 255, SPINS = 2000 };

typedef struct job_thread {
    feri_workers *workers;
    pthread_t thread;
    /* On the thread's own stack: set when the pool was destroyed by the job it is running. */
    int *orphaned;
} job_thread;

struct feri_workers {
    feri_env *env; /* borrowed: the env owns the workers */
    uint32_t thread_count;
    uint32_t helper_count; /* started */
    int helpers_refused;   /* the system had no more threads: do with these */
    pthread_mutex_t lock;
    pthread_cond_t helper_wake;
    pthread_cond_t helper_left;
    pthread_cond_t job_wake;
    int stopping;
    /* the parallel_for that has the helpers */
    atomic_flag busy;
    int gate_open;
    uint64_t round;     /* grows with every opened gate */
    atomic_uint inside; /* helpers between joining and leaving */
    atomic_uint_fast64_t next;
    uint64_t count;
    uint64_t piece;
    void (*body)(void *argument, uint64_t begin, uint64_t end);
    void *argument;
    /* jobs */
    feri_job *first;
    feri_job **last;
    uint32_t queued;
    uint32_t idle;
    uint32_t job_thread_count;
    pthread_t helpers[MAX_HELPERS];
    job_thread job_threads[MAX_JOB_THREADS];
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* A thread with all signals blocked, so that the application's handlers run on its own threads. */
static int start_thread(pthread_t *thread, void *(*main)(void *), void *argument) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, main, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

fer_status feri_workers_create(feri_env *env, uint32_t thread_count, feri_workers **out_workers) {
    feri_workers *workers = feri_alloc(env, sizeof *workers);
    if (!workers) {
        return feri_error_status();
    }
    workers->env = env;
    workers->thread_count = thread_count ? thread_count : feri_cpu_count();
    if (workers->thread_count > MAX_HELPERS + 1) {
        workers->thread_count = MAX_HELPERS + 1;
    }
    atomic_flag_clear(&workers->busy);
    workers->last = &workers->first;
    if (pthread_mutex_init(&workers->lock, NULL) ||
        pthread_cond_init(&workers->helper_wake, NULL) ||
        pthread_cond_init(&workers->helper_left, NULL) ||
        pthread_cond_init(&workers->job_wake, NULL)) {
        feri_free(env, workers, sizeof *workers);
        return feri_fail(FER_OUT_OF_MEMORY, "the system has no room for another lock");
    }
    *out_workers = workers;
    return FER_OK;
}

uint32_t feri_workers_thread_count(const feri_workers *workers) { return workers->thread_count; }

/* ---- parallel_for ---- */

static void take_pieces(feri_workers *workers) {
    for (;;) {
        uint64_t begin =
            atomic_fetch_add_explicit(&workers->next, workers->piece, memory_order_relaxed);
        if (begin >= workers->count) {
            return;
        }
        uint64_t left = workers->count - begin;
        workers->body(
            workers->argument, begin, begin + (left < workers->piece ? left : workers->piece));
    }
}

static void *helper_main(void *argument) {
    feri_workers *workers = argument;
    (void)feri_fpmode_enter();
    uint64_t seen = 0;
    (void)pthread_mutex_lock(&workers->lock);
    while (!workers->stopping) {
        if (!workers->gate_open || workers->round == seen) {
            (void)pthread_cond_wait(&workers->helper_wake, &workers->lock);
            continue;
        }
        seen = workers->round;
        atomic_fetch_add_explicit(&workers->inside, 1, memory_order_relaxed);
        (void)pthread_mutex_unlock(&workers->lock);
        take_pieces(workers);
        (void)pthread_mutex_lock(&workers->lock);
        if (atomic_fetch_sub_explicit(&workers->inside, 1, memory_order_release) == 1) {
            (void)pthread_cond_signal(&workers->helper_left);
        }
    }
    (void)pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* Called under the lock. A helper that cannot start is done without. */
static void start_helpers(feri_workers *workers) {
    while (workers->helper_count + 1 < workers->thread_count && !workers->helpers_refused) {
        if (start_thread(&workers->helpers[workers->helper_count], helper_main, workers)) {
            workers->helpers_refused = 1;
            return;
        }
        workers->helper_count++;
    }
}

void feri_workers_for(feri_workers *workers,
                      uint64_t count,
                      uint64_t grain,
                      void (*body)(void *argument, uint64_t begin, uint64_t end),
                      void *argument) {
    grain = grain ? grain : 1;
    if (!count) {
        return;
    }
    if (!workers || count <= grain || workers->thread_count == 1 || count > UINT64_MAX / 2 ||
        atomic_flag_test_and_set_explicit(&workers->busy, memory_order_acquire)) {
        body(argument, 0, count);
        return;
    }
    (void)pthread_mutex_lock(&workers->lock);
    start_helpers(workers);
    uint64_t piece = count / ((uint64_t)workers->thread_count * 4);
    workers->piece = piece > grain ? piece : grain;
    workers->count = count;
    workers->body = body;
    workers->argument = argument;
    atomic_store_explicit(&workers->next, 0, memory_order_relaxed);
    workers->round++;
    workers->gate_open = 1;
    (void)pthread_cond_broadcast(&workers->helper_wake);
    (void)pthread_mutex_unlock(&workers->lock);

    take_pieces(workers);
    (void)pthread_mutex_lock(&workers->lock);
    workers->gate_open = 0;
    (void)pthread_mutex_unlock(&workers->lock);
    for (uint32_t i = 0; i < SPINS && atomic_load_explicit(&workers->inside, memory_order_acquire);
         i++) {
        relax();
    }
    (void)pthread_mutex_lock(&workers->lock);
    while (atomic_load_explicit(&workers->inside, memory_order_acquire)) {
        (void)pthread_cond_wait(&workers->helper_left, &workers->lock);
    }
    (void)pthread_mutex_unlock(&workers->lock);
    atomic_flag_clear_explicit(&workers->busy, memory_order_release);
}

/* ---- jobs ---- */

/* Called under the lock. */
static feri_job *take_job(feri_workers *workers) {
    feri_job *job = workers->first;
    if (job) {
        workers->first = job->next;
        if (!workers->first) {
            workers->last = &workers->first;
        }
        workers->queued--;
        job->next = NULL;
    }
    return job;
}

static void *job_main(void *argument) {
    job_thread *self = argument;
    feri_workers *workers = self->workers;
    int orphaned = 0;
    (void)pthread_mutex_lock(&workers->lock);
    self->orphaned = &orphaned;
    for (;;) {
        feri_job *job = take_job(workers);
        if (job) {
            (void)pthread_mutex_unlock(&workers->lock);
            job->run(job);
            if (orphaned) {
                return NULL; /* the pool is gone: touch nothing of it */
            }
            (void)pthread_mutex_lock(&workers->lock);
        } else if (workers->stopping) {
            break;
        } else {
            workers->idle++;
            (void)pthread_cond_wait(&workers->job_wake, &workers->lock);
            workers->idle--;
        }
    }
    (void)pthread_mutex_unlock(&workers->lock);
    return NULL;
}

fer_status feri_workers_submit(feri_workers *workers, feri_job *job) {
    int failed = 0;
    (void)pthread_mutex_lock(&workers->lock);
    if (workers->idle <= workers->queued && workers->job_thread_count < MAX_JOB_THREADS) {
        job_thread *slot = &workers->job_threads[workers->job_thread_count];
        slot->workers = workers;
        failed = start_thread(&slot->thread, job_main, slot);
        workers->job_thread_count += !failed;
    }
    if (workers->job_thread_count) {
        failed = 0; /* another thread will come to it */
        job->next = NULL;
        *workers->last = job;
        workers->last = &job->next;
        workers->queued++;
        (void)pthread_cond_signal(&workers->job_wake);
    }
    (void)pthread_mutex_unlock(&workers->lock);
    if (failed) {
        return feri_fail(FER_OUT_OF_MEMORY,
                         "no thread could be started for an asynchronous run (error %d); run "
                         "synchronously or raise the process's thread limit",
                         failed);
    }
    return FER_OK;
}

void feri_workers_destroy(feri_workers *workers) {
    if (!workers) {
        return;
    }
    (void)pthread_mutex_lock(&workers->lock);
    workers->stopping = 1;
    (void)pthread_cond_broadcast(&workers->helper_wake);
    (void)pthread_cond_broadcast(&workers->job_wake);
    feri_job *job;
    while ((job = take_job(workers)) != NULL) {
        (void)pthread_mutex_unlock(&workers->lock);
        job->run(job);
        (void)pthread_mutex_lock(&workers->lock);
    }
    (void)pthread_mutex_unlock(&workers->lock);
    for (uint32_t i = 0; i < workers->helper_count; i++) {
        (void)pthread_join(workers->helpers[i], NULL);
    }
    for (uint32_t i = 0; i < workers->job_thread_count; i++) {
        job_thread *slot = &workers->job_threads[i];
        if (pthread_equal(slot->thread, pthread_self())) {
            /* The last reference was dropped by a job: its thread cannot wait for itself. */
            *slot->orphaned = 1;
            (void)pthread_detach(slot->thread);
        } else {
            (void)pthread_join(slot->thread, NULL);
        }
    }
    (void)pthread_mutex_destroy(&workers->lock);
    (void)pthread_cond_destroy(&workers->helper_wake);
    (void)pthread_cond_destroy(&workers->helper_left);
    (void)pthread_cond_destroy(&workers->job_wake);
    feri_free(workers->env, workers, sizeof *workers);
}
