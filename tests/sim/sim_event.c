/* SPDX-License-Identifier: Apache-2.0
 *
 * Events: counted, finished once, waited for by hosts and by streams. Who asks gets the sentence,
 * on the thread that asks.
 */
#include "sim_chip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

sim_event *sim_event_new(const fer_host *host, uint32_t refs) {
    sim_event *event = sim_take(host, sizeof(*event));
    if (event == NULL) {
        return NULL;
    }
    atomic_init(&event->refs, refs);
    event->host = host;
    event->status = FER_NOT_READY;
    pthread_mutex_init(&event->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&event->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sim_count_live(1);
    return event;
}

sim_event *sim_event_retain(sim_event *event) {
    atomic_fetch_add(&event->refs, 1);
    return event;
}

void sim_event_release(sim_event *event) {
    if (event != NULL && atomic_fetch_sub(&event->refs, 1) == 1) {
        pthread_cond_destroy(&event->done);
        pthread_mutex_destroy(&event->lock);
        sim_give(event->host, event, sizeof(*event));
        sim_count_live(-1);
    }
}

/* The sentence comes on the thread that calls. */
static void ready_call(const sim_event *event,
                       void (*ready)(void *self, fer_status status),
                       void *self,
                       fer_status status) {
    if (status != FER_OK && event->message[0] != 0) {
        (void)event->host->fail(event->host->self, status, 77, event->node, event->message);
    }
    ready(self, status);
}

void sim_event_finish(sim_event *event, fer_status status, const char *node, const char *message) {
    pthread_mutex_lock(&event->lock);
    (void)snprintf(event->message, sizeof(event->message), "%s", message);
    (void)snprintf(event->node, sizeof(event->node), "%s", node);
    event->status = status;
    void (*ready)(void *self, fer_status status) = event->ready;
    void *self = event->ready_self;
    pthread_cond_broadcast(&event->done);
    pthread_mutex_unlock(&event->lock);
    if (ready != NULL) {
        ready_call(event, ready, self, status);
    }
}

fer_status sim_event_status(sim_event *event) {
    pthread_mutex_lock(&event->lock);
    fer_status status = event->status;
    pthread_mutex_unlock(&event->lock);
    return status;
}

/* Lock held by none: a finished event does not change any more. */
static fer_status told(const sim_device *device, const sim_event *event, fer_status status) {
    if (status == FER_OK || status == FER_NOT_READY || event->message[0] == 0) {
        return status;
    }
    return sim_fail(device, status, event->node[0] == 0 ? NULL : event->node, event->message);
}

fer_status sim_event_query(void *device, void *event) {
    return told(device, event, sim_event_status(event));
}

fer_status sim_event_wait(void *device, void *object, uint64_t timeout_ns) {
    sim_event *event = object;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t most = UINT64_C(1000000000) * 86400 * 365;
    timeout_ns = timeout_ns > most ? most : timeout_ns;
    until.tv_sec += (time_t)(timeout_ns / 1000000000u);
    until.tv_nsec += (long)(timeout_ns % 1000000000u);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&event->lock);
    int late = 0;
    while (event->status == FER_NOT_READY && late != ETIMEDOUT) {
        late = pthread_cond_timedwait(&event->done, &event->lock, &until);
    }
    fer_status status = event->status;
    pthread_mutex_unlock(&event->lock);
    return told(device, event, status);
}

fer_status sim_event_on_ready(void *device,
                              void *object,
                              void (*ready)(void *self, fer_status status),
                              void *self) {
    sim_event *event = object;
    (void)device;
    pthread_mutex_lock(&event->lock);
    fer_status status = event->status;
    if (status == FER_NOT_READY) {
        event->ready = ready;
        event->ready_self = self;
    }
    pthread_mutex_unlock(&event->lock);
    if (status != FER_NOT_READY) {
        ready_call(event, ready, self, status);
    }
    return FER_OK;
}

void sim_event_destroy(void *device, void *event) {
    (void)device;
    sim_event_release(event);
}

fer_status
sim_event_times(void *object, void *event_object, uint64_t *out_start, uint64_t *out_end) {
    const sim_device *device = object;
    sim_event *event = event_object;
    if (sim_event_status(event) == FER_NOT_READY) {
        return sim_fail(device, FER_NOT_READY, NULL, "the work is not done");
    }
    *out_start = event->start_ns;
    *out_end = event->end_ns;
    return FER_OK;
}
