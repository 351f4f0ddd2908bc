/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks on streams and events. Without an async level a stream is NULL and all is done at once:
 * what holds for NULL events is attacked then too, the rest is not claimed.
 */
#include "abi.h"

#include <string.h>
#include <time.h>

enum { BYTES = 4000 };
#define SECOND UINT64_C(1000000000)

typedef struct copies {
    abi_life life;
    void *stream;
    fer_mem there, back;
    unsigned char data[BYTES], got[BYTES];
} copies;

static void *stream_new(abi_life *life) {
    void *stream = NULL;
    abi_ok(life->suite, life->m->async->stream_create(life->device, &stream), "stream_create");
    if (stream == NULL) {
        abi_skip(life->suite, "it has no async level");
    }
    return stream;
}

/* Without streams the life is closed and the case over. */
static int has_streams(abi_life *life) {
    void *stream = NULL;
    abi_ok(life->suite, life->m->async->stream_create(life->device, &stream), "stream_create");
    if (stream != NULL) {
        life->m->async->stream_destroy(life->device, stream);
    }
    return stream != NULL;
}

static void life_with_streams(abi *self, abi_life *out) {
    abi_life_open(self, out);
    if (!has_streams(out)) {
        abi_life_close(out);
        abi_skip(self, "it has no async level");
    }
}

static void copies_open(abi *self, copies *out) {
    memset(out, 0, sizeof *out);
    life_with_streams(self, &out->life);
    out->stream = stream_new(&out->life);
    for (size_t i = 0; i < BYTES; i++) {
        out->data[i] = (unsigned char)(i * 13 + 1);
    }
    abi_ok(self,
           out->life.m->memory->alloc(out->life.device, BYTES, 64, FER_MEM_DEVICE, &out->there),
           "alloc");
    abi_ok(self,
           out->life.m->memory->alloc(out->life.device, BYTES, 64, FER_MEM_DEVICE, &out->back),
           "alloc");
}

static void copies_close(copies *self) {
    if (self->stream != NULL) {
        self->life.m->async->stream_destroy(self->life.device, self->stream);
    }
    self->life.m->memory->free(self->life.device, &self->there);
    self->life.m->memory->free(self->life.device, &self->back);
    abi_life_close(&self->life);
}

static void *put(copies *self,
                 void *stream,
                 const fer_mem *to,
                 const fer_mem *from,
                 void *const *waits,
                 uint32_t count) {
    void *event = NULL;
    abi_ok(self->life.suite,
           self->life.m->async->copy_async(
               self->life.device, stream, to, from, BYTES, waits, count, &event),
           "copy_async");
    return event;
}

static fer_mem host_piece(void *data) { return (fer_mem){NULL, 0, BYTES, data}; }

static fer_status wait_for(abi_life *life, void *event) {
    return life->m->async->event_wait(life->device, event, 5 * SECOND);
}

static void done(copies *self, void *event, const char *what) {
    abi_ok(self->life.suite, wait_for(&self->life, event), what);
    self->life.m->async->event_destroy(self->life.device, event);
}

static void compare(copies *self) {
    if (memcmp(self->data, self->got, BYTES) != 0) {
        abi_fail(self->life.suite, "what was copied in does not come out again");
    }
}

/* ---- NULL events: for every device ---- */

static void count_ready(void *self, fer_status status) {
    atomic_int *counts = self;
    atomic_fetch_add(&counts[0], 1);
    atomic_fetch_add(&counts[1], status != FER_OK);
}

static void event_null(abi *self) {
    abi_life life;
    atomic_int counts[2] = {0};
    abi_life_open(self, &life);
    const fer_backend_async *async = life.m->async;
    abi_ok(self, async->event_query(life.device, NULL), "event_query of NULL");
    abi_ok(self, async->event_wait(life.device, NULL, 0), "event_wait of NULL");
    abi_ok(self, async->event_wait(life.device, NULL, UINT64_MAX), "event_wait of NULL");
    abi_ok(self, async->event_on_ready(life.device, NULL, count_ready, counts), "event_on_ready");
    if (counts[0] != 1 || counts[1] != 0) {
        abi_fail(self, "event_on_ready of NULL called %d times", counts[0]);
    }
    async->event_destroy(life.device, NULL);
    abi_life_close(&life);
}

/* ---- streams ---- */

static void streams_many(abi *self) {
    void *streams[12];
    abi_life life;
    life_with_streams(self, &life);
    for (int i = 0; i < 12; i++) {
        streams[i] = stream_new(&life);
    }
    for (int i = 0; i < 12; i++) {
        life.m->async->stream_destroy(life.device, streams[(i * 5) % 12]);
    }
    abi_life_close(&life);
}

/* "Afterwards nothing of it touches memory": it is unmapped at once. */
static void stream_pending(abi *self) {
    copies all;
    void *events[20];
    copies_open(self, &all);
    void *window = abi_guarded(self->host, BYTES, 16);
    fer_mem from = host_piece(all.data), to = host_piece(window);
    for (int i = 0; i < 20; i++) {
        events[i] =
            put(&all, all.stream, i % 2 ? &to : &all.there, i % 2 ? &all.there : &from, NULL, 0);
    }
    all.life.m->async->stream_destroy(all.life.device, all.stream);
    all.stream = NULL;
    abi_guarded_close(self->host, window);
    memset(all.data, 0, BYTES);
    struct timespec little = {0, 20000000};
    (void)nanosleep(&little, NULL);
    for (int i = 0; i < 20; i++) {
        if (wait_for(&all.life, events[i]) == FER_NOT_READY) {
            abi_fail(self, "an event is not done though its stream is destroyed");
        }
        all.life.m->async->event_destroy(all.life.device, events[i]);
    }
    copies_close(&all);
}

/* ---- copies ---- */

static void copy_round(abi *self) {
    copies all;
    copies_open(self, &all);
    fer_mem from = host_piece(all.data), to = host_piece(all.got);
    void *first = put(&all, all.stream, &all.there, &from, NULL, 0);
    void *second = put(&all, all.stream, &all.back, &all.there, NULL, 0);
    void *third = put(&all, all.stream, &to, &all.back, NULL, 0);
    done(&all, third, "the last of three copies");
    compare(&all);
    done(&all, first, "the first of three copies");
    done(&all, second, "the second of three copies");
    copies_close(&all);
}

/* Three streams, each waiting for the one before, and for NULL events in between. */
static void copy_waits(abi *self) {
    copies all;
    copies_open(self, &all);
    fer_mem from = host_piece(all.data), to = host_piece(all.got);
    void *second = stream_new(&all.life), *third = stream_new(&all.life);
    void *one = put(&all, all.stream, &all.there, &from, NULL, 0);
    void *const after_one[] = {NULL, one, NULL};
    void *two = put(&all, second, &all.back, &all.there, after_one, 3);
    void *const after_both[] = {two, one};
    void *three = put(&all, third, &to, &all.back, after_both, 2);
    all.life.m->async->event_destroy(all.life.device, one); /* before it is done, perhaps */
    all.life.m->async->event_destroy(all.life.device, two);
    done(&all, three, "the last of three copies");
    compare(&all);
    all.life.m->async->stream_destroy(all.life.device, second);
    all.life.m->async->stream_destroy(all.life.device, third);
    copies_close(&all);
}

static void copy_nothing(abi *self) {
    copies all;
    void *event = NULL;
    copies_open(self, &all);
    fer_mem nowhere = {0};
    abi_ok(self,
           all.life.m->async->copy_async(
               all.life.device, all.stream, &all.there, &nowhere, 0, NULL, 0, &event),
           "copy_async of no bytes");
    done(&all, event, "a copy of no bytes");
    copies_close(&all);
}

/* When one piece of work fails, what comes after it ends with the same status, untouched. */
static void copy_fails_on(abi *self) {
    static unsigned char large[2 * BYTES];
    copies all;
    void *bad = NULL;
    copies_open(self, &all);
    fer_mem from = {NULL, 0, 2 * BYTES, large}, to = host_piece(all.got);
    abi_said_reset();
    fer_status status = all.life.m->async->copy_async(
        all.life.device, all.stream, &all.there, &from, 2 * BYTES, NULL, 0, &bad);
    if (status != FER_OK) {
        abi_refused(self, status, "copy_async of more than the destination holds");
        copies_close(&all);
        return;
    }
    void *after = put(&all, all.stream, &to, &all.there, NULL, 0);
    status = wait_for(&all.life, bad);
    fer_status then = wait_for(&all.life, after);
    if (status == FER_OK || then != status) {
        abi_fail(self,
                 "a copy of too much ends with %s, what follows on its stream with %s",
                 fer_status_name(status),
                 fer_status_name(then));
    }
    for (size_t i = 0; i < BYTES; i++) {
        if (all.got[i] != 0) {
            abi_fail(self, "work after a failure touched its output");
        }
    }
    all.life.m->async->event_destroy(all.life.device, bad);
    all.life.m->async->event_destroy(all.life.device, after);
    copies_close(&all);
}

/* Three hundred on one stream, none of which is waited for but the last. */
static void copy_hundreds(abi *self) {
    copies all;
    copies_open(self, &all);
    fer_mem from = host_piece(all.data), to = host_piece(all.got);
    done(&all, put(&all, all.stream, &all.there, &from, NULL, 0), "a copy");
    for (int i = 0; i < 300; i++) {
        void *event = put(&all,
                          all.stream,
                          i % 2 ? &all.there : &all.back,
                          i % 2 ? &all.back : &all.there,
                          NULL,
                          0);
        all.life.m->async->event_destroy(all.life.device, event);
    }
    done(&all, put(&all, all.stream, &to, &all.there, NULL, 0), "a copy after three hundred");
    compare(&all);
    copies_close(&all);
}

/* ---- events ---- */

static void event_query(abi *self) {
    copies all;
    copies_open(self, &all);
    fer_mem from = host_piece(all.data);
    void *event = put(&all, all.stream, &all.there, &from, NULL, 0);
    fer_status status = FER_NOT_READY;
    for (int i = 0; i < 5000 && status == FER_NOT_READY; i++) {
        struct timespec little = {0, 100000};
        abi_said_reset();
        status = all.life.m->async->event_query(all.life.device, event);
        (void)nanosleep(&little, NULL);
    }
    abi_ok(self, status, "event_query until it is done");
    abi_ok(self, all.life.m->async->event_query(all.life.device, event), "event_query once more");
    abi_ok(self, all.life.m->async->event_wait(all.life.device, event, 1), "event_wait of 1 ns");
    abi_ok(self, all.life.m->async->event_wait(all.life.device, event, 0), "event_wait of 0 ns");
    abi_ok(self,
           all.life.m->async->event_wait(all.life.device, event, UINT64_MAX),
           "event_wait without end");
    all.life.m->async->event_destroy(all.life.device, event);
    copies_close(&all);
}

static void event_early(abi *self) {
    copies all;
    copies_open(self, &all);
    fer_mem from = host_piece(all.data), to = host_piece(all.got);
    for (int i = 0; i < 20; i++) {
        void *event = put(&all, all.stream, &all.there, &from, NULL, 0);
        all.life.m->async->event_destroy(all.life.device, event);
    }
    done(&all, put(&all, all.stream, &to, &all.there, NULL, 0), "a copy");
    compare(&all);
    copies_close(&all);
}

static void event_ready(abi *self) {
    copies all;
    atomic_int counts[2] = {0};
    copies_open(self, &all);
    fer_mem from = host_piece(all.data);
    void *event = put(&all, all.stream, &all.there, &from, NULL, 0);
    abi_ok(self,
           all.life.m->async->event_on_ready(all.life.device, event, count_ready, counts),
           "event_on_ready");
    abi_ok(self, wait_for(&all.life, event), "a copy");
    struct timespec little = {0, 20000000};
    (void)nanosleep(&little, NULL);
    if (counts[0] != 1 || counts[1] != 0) {
        abi_fail(self,
                 "event_on_ready called %d times, %d of them with a failure",
                 counts[0],
                 counts[1]);
    }
    abi_ok(self,
           all.life.m->async->event_on_ready(all.life.device, event, count_ready, counts),
           "event_on_ready of what is done");
    (void)nanosleep(&little, NULL);
    if (counts[0] != 2) {
        abi_fail(self, "event_on_ready of a done event called %d times", counts[0] - 1);
    }
    all.life.m->async->event_destroy(all.life.device, event);
    copies_close(&all);
}

/* ---- cancel ---- */

static void cancel_pending(abi *self) {
    copies all;
    void *events[10];
    copies_open(self, &all);
    all.life.m->async->cancel(all.life.device, all.stream); /* nothing is there yet */
    fer_mem from = host_piece(all.data);
    for (int i = 0; i < 10; i++) {
        events[i] = put(&all, all.stream, &all.there, &from, NULL, 0);
    }
    all.life.m->async->cancel(all.life.device, all.stream);
    all.life.m->async->cancel(all.life.device, all.stream);
    for (int i = 0; i < 10; i++) {
        fer_status status = wait_for(&all.life, events[i]);
        if (status != FER_OK && status != FER_CANCELLED) {
            abi_fail(self, "cancelled work ended with %s", fer_status_name(status));
        }
        all.life.m->async->event_destroy(all.life.device, events[i]);
    }
    all.life.m->async->stream_destroy(all.life.device, all.stream);
    all.stream = stream_new(&all.life);
    fer_mem to = host_piece(all.got);
    done(&all, put(&all, all.stream, &all.there, &from, NULL, 0), "a copy on a new stream");
    done(&all, put(&all, all.stream, &to, &all.there, NULL, 0), "a copy on a new stream");
    compare(&all);
    copies_close(&all);
}

/* ---- runs ---- */

/* A run that waits for what fills its input, and a copy that waits for the run. */
static void run_between(abi *self) {
    abi_all all;
    abi_life probe;
    life_with_streams(self, &probe);
    abi_life_close(&probe);
    abi_all_open(self, ABI_PLAIN, &all);
    if (abi_is_host(&all.life)) {
        abi_all_close(&all);
        abi_skip(self, "it computes in host memory");
    }
    const fer_backend_async *async = all.life.m->async;
    void *device = all.life.device, *other = stream_new(&all.life), *copied = NULL, *ran = NULL,
         *read = NULL;
    fer_mem host = {NULL, 0, all.exec.inputs[0].bytes, all.exec.numbers};
    abi_ok(self, abi_exec_feed(&all.exec, 1), "filling the inputs");
    abi_graph_fill(&all.graph, all.graph.inputs[0], all.graph.rows, 2, all.exec.numbers);
    if (all.graph.graph.input_count == 2) { /* its seed is that of the run */
        abi_ok(self, abi_exec_feed(&all.exec, 2), "filling the inputs");
        abi_graph_fill(&all.graph, all.graph.inputs[0], all.graph.rows, 2, all.exec.numbers);
    }
    abi_ok(
        self,
        async->copy_async(device, other, &all.exec.inputs[0], &host, host.bytes, NULL, 0, &copied),
        "copy_async");
    fer_run_args args = abi_exec_args(&all.exec);
    args.out_signal = &ran;
    void *const waits[] = {NULL, copied};
    args.waits = waits;
    args.wait_count = 2;
    abi_ok(self, all.life.m->instances->run(device, all.exec.instance, &args), "a run that waits");
    fer_mem to = {NULL, 0, all.exec.bytes, all.exec.right};
    abi_ok(self,
           async->copy_async(device, other, &to, &all.exec.outputs[0], to.bytes, &ran, 1, &read),
           "copy_async");
    abi_ok(self, wait_for(&all.life, read), "the copy after the run");
    async->event_destroy(device, copied);
    async->event_destroy(device, ran);
    async->event_destroy(device, read);
    abi_ok(self, abi_exec_check(&all.exec, 2), "reading the output");
    if (all.exec.wrong[0] != '\0') {
        abi_fail(self, "%s", all.exec.wrong);
    }
    async->stream_destroy(device, other);
    abi_all_close(&all);
}

/* An exec and its instance are destroyed while another's run is under way. */
static void run_beside(abi *self) {
    abi_all all;
    abi_exec other;
    void *event = NULL;
    abi_life probe;
    life_with_streams(self, &probe);
    abi_life_close(&probe);
    abi_all_open(self, ABI_LONG, &all);
    for (uint64_t seed = 0; seed < 5; seed++) {
        abi_exec_make(&all.life, &all.graph, &other);
        abi_exec_must(&other, seed + 9);
        abi_ok(self, abi_exec_feed(&all.exec, seed), "filling the inputs");
        fer_run_args args = abi_exec_args(&all.exec);
        args.out_signal = &event;
        abi_ok(
            self, all.life.m->instances->run(all.life.device, all.exec.instance, &args), "a run");
        abi_exec_finish(&other);
        abi_ok(self, wait_for(&all.life, event), "a run beside which another exec was destroyed");
        all.life.m->async->event_destroy(all.life.device, event);
        abi_ok(self, abi_exec_check(&all.exec, seed), "reading the output");
        if (all.exec.wrong[0] != '\0') {
            abi_fail(self, "%s", all.exec.wrong);
        }
    }
    abi_all_close(&all);
}

static const abi_case rows[] = {
    {"event_wait",     "null",         event_null    },
    {"stream_create",  "many",         streams_many  },
    {"stream_destroy", "pending",      stream_pending},
    {"copy_async",     "round",        copy_round    },
    {"copy_async",     "waits",        copy_waits    },
    {"copy_async",     "nothing",      copy_nothing  },
    {"copy_async",     "fails-on",     copy_fails_on },
    {"copy_async",     "hundreds",     copy_hundreds },
    {"exec_destroy",   "beside-a-run", run_beside    },
    {"event_query",    "until-done",   event_query   },
    {"event_destroy",  "early",        event_early   },
    {"event_on_ready", "once",         event_ready   },
    {"cancel",         "pending",      cancel_pending},
    {"run",            "async-waits",  run_between   },
};
const abi_cases abi_async_cases = {rows, sizeof rows / sizeof *rows};
