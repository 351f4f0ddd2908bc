/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams: a thread each, which takes tasks in order, waits for what they wait for, does them and
 * finishes their events. Cancelling ends what waits and what hangs; destroying ends everything.
 */
#include "sim_chip.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct sim_stream {
    atomic_uint refs; /* stream_wrap makes a second handle */
    sim_device *device;
    const fer_host *host;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    sim_task *first, *last; /* the running one stays first until done */
    uint32_t ends;
    atomic_uint is_aborted;
    fer_status stuck; /* the first failure: all that follows ends with it; worker only */
    char stuck_message[200];
    char stuck_node[100];
};

/* ---- the worker ---- */

/* Waits in pieces, so that cancel and destroy are seen. */
static fer_status waits_wait(sim_stream *stream, sim_task *task) {
    for (uint32_t i = 0; i < task->wait_count; i++) {
        fer_status status = FER_NOT_READY;
        while (status == FER_NOT_READY) {
            if (atomic_load(&task->is_cancelled) != 0 || atomic_load(&stream->is_aborted) != 0) {
                return FER_CANCELLED;
            }
            status = sim_event_status(task->waits[i]);
            if (status == FER_NOT_READY) {
                struct timespec little = {0, 100000};
                nanosleep(&little, NULL);
            }
        }
        if (status != FER_OK) {
            (void)snprintf(task->message, sizeof(task->message), "what it waited for failed");
            return status;
        }
    }
    return FER_OK;
}

static void task_do(sim_stream *stream, sim_task *task) {
    sim_device *device = stream->device;
    sim_chip *chip = device->chip;
    fer_status status = waits_wait(stream, task);
    if (stream->stuck != FER_OK) {
        status = stream->stuck;
        memcpy(task->message, stream->stuck_message, sizeof(task->message));
        memcpy(task->node, stream->stuck_node, sizeof(task->node));
    }
    task->event->start_ns = sim_chip_clock(chip);
    if (status == FER_OK && atomic_load(&device->is_lost) != 0) {
        status = FER_DEVICE_LOST;
        (void)snprintf(task->message, sizeof(task->message), "the simulated chip is gone");
    }
    if (status == FER_OK && atomic_load(&task->is_cancelled) != 0) {
        status = FER_CANCELLED;
    }
    if (status == FER_OK) {
        status = task->work(task, device);
    }
    if (status == FER_CANCELLED && task->message[0] == 0) {
        (void)snprintf(task->message, sizeof(task->message), "the work was cancelled");
    }
    task->event->end_ns = sim_chip_clock(chip);
    sim_lock();
    chip->busy_ns += task->event->end_ns - task->event->start_ns;
    sim_unlock();
    if (stream->stuck == FER_OK && status != FER_OK) {
        stream->stuck = status;
        memcpy(stream->stuck_message, task->message, sizeof(task->message));
        memcpy(stream->stuck_node, task->node, sizeof(task->node));
    }
    sim_event *event = task->event;
    char node[sizeof(task->node)], message[sizeof(task->message)];
    memcpy(node, task->node, sizeof(node));
    memcpy(message, task->message, sizeof(message));
    /* What the task uses is free before its event says so. */
    pthread_mutex_lock(&stream->lock);
    stream->first = task->next;
    stream->last = stream->first == NULL ? NULL : stream->last;
    pthread_mutex_unlock(&stream->lock);
    for (uint32_t i = 0; i < task->wait_count; i++) {
        sim_event_release(task->waits[i]);
    }
    sim_give(stream->host, task->waits, task->wait_capacity * sizeof(sim_event *));
    task->drop(task, stream->host);
    sim_event_finish(event, status, node, message);
    sim_event_release(event);
}

static void *stream_work(void *object) {
    sim_stream *stream = object;
    for (;;) {
        pthread_mutex_lock(&stream->lock);
        while (stream->first == NULL && !stream->ends) {
            pthread_cond_wait(&stream->more, &stream->lock);
        }
        sim_task *task = stream->first;
        pthread_mutex_unlock(&stream->lock);
        if (task == NULL) {
            return NULL;
        }
        task_do(stream, task);
    }
}

fer_status sim_stream_put(
    sim_stream *stream, sim_task *task, void *const *waits, uint32_t wait_count, void **out_event) {
    const fer_host *host = stream->host;
    task->event = sim_event_new(host, /*refs=*/2);
    task->wait_capacity = wait_count + 1;
    task->waits = sim_take(host, task->wait_capacity * sizeof(sim_event *));
    if (task->event == NULL || task->waits == NULL) {
        if (task->event != NULL) {
            sim_event_release(task->event);
            sim_event_release(task->event);
        }
        sim_give(host, task->waits, task->wait_capacity * sizeof(sim_event *));
        task->drop(task, host);
        return FER_OUT_OF_MEMORY;
    }
    for (uint32_t i = 0; i < wait_count; i++) {
        if (waits[i] != NULL) {
            task->waits[task->wait_count++] = sim_event_retain(waits[i]);
        }
    }
    task->is_aborted = &stream->is_aborted;
    *out_event = task->event;
    pthread_mutex_lock(&stream->lock);
    if (stream->last != NULL) {
        stream->last->next = task;
    } else {
        stream->first = task;
    }
    stream->last = task;
    pthread_cond_signal(&stream->more);
    pthread_mutex_unlock(&stream->lock);
    return FER_OK;
}

/* ---- slots ---- */

static fer_status stream_create(void *object, void **out_stream) {
    sim_device *device = object;
    fer_status status = sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    sim_stream *stream = sim_take(device->host, sizeof(*stream));
    if (stream == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    atomic_init(&stream->refs, 1);
    stream->device = device;
    stream->host = device->host;
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->more, NULL);
    if (pthread_create(&stream->thread, NULL, stream_work, stream) != 0) {
        pthread_cond_destroy(&stream->more);
        pthread_mutex_destroy(&stream->lock);
        sim_give(device->host, stream, sizeof(*stream));
        return sim_fail(device, FER_OUT_OF_MEMORY, NULL, "no thread for a stream");
    }
    sim_count_live(1);
    *out_stream = stream;
    return FER_OK;
}

static void tasks_cancel(sim_stream *stream) {
    pthread_mutex_lock(&stream->lock);
    for (sim_task *task = stream->first; task != NULL; task = task->next) {
        atomic_store(&task->is_cancelled, 1);
    }
    pthread_mutex_unlock(&stream->lock);
}

static void stream_destroy(void *object, void *stream_object) {
    sim_device *device = object;
    sim_stream *stream = stream_object;
    if (stream->device != device) {
        sim_violate("a stream is destroyed on another device than it was made on");
    }
    if (atomic_fetch_sub(&stream->refs, 1) != 1) {
        return;
    }
    tasks_cancel(stream);
    atomic_store(&stream->is_aborted, 1);
    pthread_mutex_lock(&stream->lock);
    stream->ends = 1;
    pthread_cond_signal(&stream->more);
    pthread_mutex_unlock(&stream->lock);
    pthread_join(stream->thread, NULL);
    pthread_cond_destroy(&stream->more);
    pthread_mutex_destroy(&stream->lock);
    sim_give(device->host, stream, sizeof(*stream));
    sim_count_live(-1);
}

static void stream_cancel(void *object, void *stream) {
    sim_device *device = object;
    sim_lock();
    device->chip->stats.cancels++;
    sim_unlock();
    tasks_cancel(stream);
}

fer_status sim_stream_native(void *device, void *stream, uint64_t *out_native) {
    (void)device;
    *out_native = (uintptr_t)stream;
    return FER_OK;
}

fer_status sim_stream_wrap(void *device, uint64_t native, void **out_stream) {
    sim_stream *stream = (sim_stream *)(uintptr_t)native;
    if (stream == NULL) {
        return sim_fail(device, FER_INVALID_ARGUMENT, NULL, "0 is no native stream");
    }
    atomic_fetch_add(&stream->refs, 1);
    *out_stream = stream;
    return FER_OK;
}

/* ---- copies ---- */

typedef struct copy_task {
    sim_task task; /* first */
    fer_mem to, from;
    uint64_t bytes;
} copy_task;

static fer_status copy_work(sim_task *task, sim_device *device) {
    copy_task *copy = (copy_task *)task;
    fer_status status = sim_copy_now(device, &copy->to, &copy->from, copy->bytes);
    if (status != FER_OK) {
        (void)snprintf(task->message, sizeof(task->message), "the copy engine stalled");
    }
    return status;
}

static void copy_drop(sim_task *task, const fer_host *host) {
    copy_task *copy = (copy_task *)task;
    sim_use(&copy->to, -1);
    sim_use(&copy->from, -1);
    sim_give(host, copy, sizeof(*copy));
}

static fer_status copy_async(void *object,
                             void *stream,
                             const fer_mem *destination,
                             const fer_mem *source,
                             uint64_t bytes,
                             void *const *waits,
                             uint32_t wait_count,
                             void **out_event) {
    sim_device *device = object;
    fer_status status = sim_enter(device);
    if (status != FER_OK) {
        return status;
    }
    sim_lock();
    int at_once = device->chip->config.finishes_at_once != 0;
    sim_unlock();
    if (at_once && wait_count == 0) {
        *out_event = NULL;
        status = sim_copy_now(device, destination, source, bytes);
        return status == FER_OK ? FER_OK
                                : sim_fail(device, status, NULL, "the copy engine stalled");
    }
    copy_task *copy = sim_take(device->host, sizeof(*copy));
    if (copy == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    copy->task.work = copy_work;
    copy->task.drop = copy_drop;
    copy->to = *destination;
    copy->from = *source;
    copy->bytes = bytes;
    sim_use(destination, 1);
    sim_use(source, 1);
    sim_lock();
    device->chip->stats.copies_async++;
    sim_unlock();
    return sim_stream_put(stream, &copy->task, waits, wait_count, out_event);
}

const fer_backend_async sim_async = {.struct_size = sizeof(sim_async),
                                     .stream_create = stream_create,
                                     .stream_destroy = stream_destroy,
                                     .copy_async = copy_async,
                                     .event_query = sim_event_query,
                                     .event_wait = sim_event_wait,
                                     .event_on_ready = sim_event_on_ready,
                                     .event_destroy = sim_event_destroy,
                                     .cancel = stream_cancel};
