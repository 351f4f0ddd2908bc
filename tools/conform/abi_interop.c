/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks on interop and observe: buffers, events and streams that leave and come back, handles
 * that are none, counters, clocks, profiles.
 */
#include "abi.h"

#include <string.h>
#include <time.h>

enum { BYTES = 1024 };
static void *const untouched = (void *)(uintptr_t)0x1111;
static const int32_t types[] = {FER_HANDLE_NATIVE, FER_HANDLE_OPAQUE_FD, FER_HANDLE_DMABUF};
enum { TYPES = sizeof types / sizeof *types };

static fer_mem take(abi_life *life) {
    fer_mem mem = {0};
    abi_ok(life->suite,
           life->m->memory->alloc(life->device, BYTES, 4096, FER_MEM_DEVICE, &mem),
           "alloc");
    return mem;
}

static void put(abi_life *life, const fer_mem *mem, int byte) {
    unsigned char data[BYTES];
    memset(data, byte, sizeof data);
    fer_mem from = {NULL, 0, BYTES, data};
    abi_ok(life->suite, life->m->memory->copy(life->device, mem, &from, BYTES), "copy in");
}

static void must_be(abi_life *life, const fer_mem *mem, int byte, const char *what) {
    unsigned char data[BYTES];
    fer_mem to = {NULL, 0, BYTES, data};
    abi_ok(life->suite, life->m->memory->copy(life->device, &to, mem, BYTES), "copy out");
    for (size_t i = 0; i < BYTES; i++) {
        if (data[i] != (unsigned char)byte) {
            abi_fail(life->suite, "%s holds other bytes", what);
        }
    }
}

/* ---- buffers ---- */

/* 1 when that type goes out and in again. */
static int buffer_round_type(abi_life *life, int32_t type) {
    abi *self = life->suite;
    fer_mem mem = take(life), in = {0};
    uint64_t handle = 0;
    put(life, &mem, 0x21);
    abi_said_reset();
    fer_status status = life->m->interop->buffer_export(life->device, &mem, type, &handle);
    if (status == FER_OK) {
        abi_said_reset();
        status = life->m->interop->buffer_import(life->device, type, handle, BYTES, &in);
        if (status == FER_OK) {
            must_be(life, &in, 0x21, "an imported buffer");
            put(life, &in, 0x42);
            must_be(life, &mem, 0x42, "a buffer that was written through an import of it");
            life->m->memory->free(life->device, &mem); /* the import keeps it alive */
            must_be(life, &in, 0x42, "an import whose original is freed");
            life->m->memory->free(life->device, &in);
            return 1;
        }
    }
    abi_refused(self, status, "a buffer that leaves and comes back");
    life->m->memory->free(life->device, &mem);
    return 0;
}

static void buffer_round(abi *self) {
    abi_life life;
    int worked = 0;
    abi_life_open(self, &life);
    for (int i = 0; i < TYPES; i++) {
        worked += buffer_round_type(&life, types[i]);
    }
    abi_life_close(&life);
    if (worked == 0) {
        abi_skip(self, "its buffers stay with it");
    }
}

static void buffer_types(abi *self) {
    static const int32_t unknown[] = {0, 4, -1, INT32_MAX, INT32_MIN};
    abi_life life;
    abi_life_open(self, &life);
    fer_mem mem = take(&life);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        uint64_t handle = 5;
        fer_mem in = {untouched, 0, 0, NULL};
        abi_said_reset();
        abi_refused(self,
                    life.m->interop->buffer_export(life.device, &mem, unknown[i], &handle),
                    "buffer_export as an unknown type");
        abi_said_reset();
        abi_refused(self,
                    life.m->interop->buffer_import(life.device, unknown[i], 0, BYTES, &in),
                    "buffer_import of an unknown type");
        if (handle != 5 || in.handle != untouched) {
            abi_fail(self, "what was refused set its out argument");
        }
    }
    life.m->memory->free(life.device, &mem);
    abi_life_close(&life);
}

/* Handles that are none: a native 0, descriptors that are not open. */
static void buffer_bad_handles(abi *self) {
    abi_life life;
    abi_life_open(self, &life);
    for (int i = 0; i < TYPES; i++) {
        fer_mem in = {untouched, 0, 0, NULL};
        uint64_t bad = types[i] == FER_HANDLE_NATIVE ? 0 : 1000000;
        abi_said_reset();
        abi_refused(self,
                    life.m->interop->buffer_import(life.device, types[i], bad, BYTES, &in),
                    "buffer_import of a handle that is none");
        if (in.handle != untouched) {
            abi_fail(self, "buffer_import failed, and yet out_mem was set");
        }
    }
    abi_life_close(&life);
}

static void buffer_too_large(abi *self) {
    abi_life life;
    int asked = 0;
    abi_life_open(self, &life);
    for (int i = 0; i < TYPES; i++) {
        fer_mem mem = take(&life), in = {untouched, 0, 0, NULL};
        uint64_t handle = 0;
        if (life.m->interop->buffer_export(life.device, &mem, types[i], &handle) == FER_OK) {
            asked++;
            abi_said_reset();
            abi_refused(self,
                        life.m->interop->buffer_import(
                            life.device, types[i], handle, (uint64_t)1 << 50, &in),
                        "buffer_import of more bytes than the buffer has");
        }
        life.m->memory->free(life.device, &mem);
    }
    abi_life_close(&life);
    if (asked == 0) {
        abi_skip(self, "its buffers stay with it");
    }
}

/* ---- events and streams ---- */

static int event_round_type(abi_life *life, void *stream, int32_t type) {
    unsigned char data[BYTES] = {0};
    abi *self = life->suite;
    fer_mem mem = take(life), from = {NULL, 0, BYTES, data};
    void *event = NULL, *in = NULL;
    uint64_t handle = 0;
    abi_ok(self,
           life->m->async->copy_async(life->device, stream, &mem, &from, BYTES, NULL, 0, &event),
           "copy_async");
    abi_said_reset();
    fer_status status = event == NULL
                            ? FER_UNSUPPORTED
                            : life->m->interop->event_export(life->device, event, type, &handle);
    if (status == FER_OK) {
        abi_said_reset();
        status = life->m->interop->event_import(life->device, type, handle, &in);
    }
    if (status != FER_OK) {
        abi_refused(self, status, "an event that leaves and comes back");
    }
    abi_ok(self, life->m->async->event_wait(life->device, event, 5000000000U), "event_wait");
    life->m->async->event_destroy(life->device, event);
    if (status == FER_OK) { /* it outlives its original */
        abi_ok(self, life->m->async->event_wait(life->device, in, 5000000000U), "event_wait");
        abi_ok(self, life->m->async->event_query(life->device, in), "event_query of an import");
        life->m->async->event_destroy(life->device, in);
    }
    life->m->memory->free(life->device, &mem);
    return status == FER_OK;
}

static void *stream_or_end(abi *self, abi_life *life) {
    void *stream = NULL;
    abi_life_open(self, life);
    abi_ok(self, life->m->async->stream_create(life->device, &stream), "stream_create");
    if (stream == NULL) {
        abi_life_close(life);
        abi_skip(self, "it has no async level");
    }
    return stream;
}

static void event_round(abi *self) {
    abi_life life;
    int worked = 0;
    void *stream = stream_or_end(self, &life);
    for (int i = 0; i < TYPES; i++) {
        worked += event_round_type(&life, stream, types[i]);
    }
    life.m->async->stream_destroy(life.device, stream);
    abi_life_close(&life);
    if (worked == 0) {
        abi_skip(self, "its events stay with it");
    }
}

static void event_bad_handles(abi *self) {
    static const int32_t all[] = {
        FER_HANDLE_NATIVE, FER_HANDLE_OPAQUE_FD, FER_HANDLE_DMABUF, 0, 4, -1};
    abi_life life;
    abi_life_open(self, &life);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        void *in = untouched;
        uint64_t bad = all[i] == FER_HANDLE_NATIVE ? 0 : 1000000;
        abi_said_reset();
        abi_refused(self,
                    life.m->interop->event_import(life.device, all[i], bad, &in),
                    "event_import of a handle that is none");
        if (in != untouched) {
            abi_fail(self, "event_import failed, and yet out_event was set");
        }
    }
    abi_life_close(&life);
}

static void stream_round(abi *self) {
    unsigned char data[BYTES], got[BYTES] = {0};
    abi_life life;
    void *stream = stream_or_end(self, &life), *wrapped = NULL, *event = NULL;
    uint64_t native = 0;
    abi_said_reset();
    fer_status status = life.m->interop->stream_native(life.device, stream, &native);
    if (status == FER_OK) {
        abi_said_reset();
        status = life.m->interop->stream_wrap(life.device, native, &wrapped);
    }
    if (status != FER_OK) {
        abi_refused(self, status, "a stream that leaves and comes back");
        life.m->async->stream_destroy(life.device, stream);
        abi_life_close(&life);
        abi_skip(self, "its streams stay with it");
    }
    fer_mem mem = take(&life), from = {NULL, 0, BYTES, data}, to = {NULL, 0, BYTES, got};
    memset(data, 0x66, sizeof data);
    abi_ok(self,
           life.m->async->copy_async(life.device, wrapped, &mem, &from, BYTES, NULL, 0, &event),
           "copy_async on the vendor's stream");
    abi_ok(self, life.m->async->event_wait(life.device, event, 5000000000U), "event_wait");
    life.m->async->event_destroy(life.device, event);
    life.m->async->stream_destroy(life.device, wrapped); /* the vendor's own goes on */
    abi_ok(self,
           life.m->async->copy_async(life.device, stream, &to, &mem, BYTES, NULL, 0, &event),
           "copy_async after the wrapped stream is gone");
    abi_ok(self, life.m->async->event_wait(life.device, event, 5000000000U), "event_wait");
    life.m->async->event_destroy(life.device, event);
    if (memcmp(data, got, BYTES) != 0) {
        abi_fail(self, "what was copied in on a wrapped stream does not come out again");
    }
    life.m->memory->free(life.device, &mem);
    life.m->async->stream_destroy(life.device, stream);
    abi_life_close(&life);
}

static void stream_none(abi *self) {
    abi_life life;
    void *wrapped = untouched;
    abi_life_open(self, &life);
    abi_said_reset();
    abi_refused(self, life.m->interop->stream_wrap(life.device, 0, &wrapped), "stream_wrap of 0");
    if (wrapped != untouched) {
        abi_fail(self, "stream_wrap failed, and yet out_stream was set");
    }
    abi_life_close(&life);
}

/* ---- observe ---- */

static void counters_sizes(abi *self) {
    abi_life life;
    abi_life_open(self, &life);
    fer_device_counters counters = {.struct_size = sizeof counters};
    abi_ok(self, life.m->observe->counters(life.device, &counters), "counters");
    fer_device_counters *longer = abi_lengthen(self->host, &counters, sizeof counters, 0xee);
    abi_ok(self, life.m->observe->counters(life.device, longer), "counters into a longer struct");
    if (!abi_tail_is(longer, sizeof counters, 0xee) ||
        longer->struct_size != sizeof counters + ABI_TAIL) {
        abi_fail(self, "counters wrote behind what it knows, or over struct_size");
    }
    fer_device_counters *cut = abi_cut(self->host, &counters, 8);
    abi_said_reset();
    fer_status status = life.m->observe->counters(life.device, cut);
    if (status != FER_OK) { /* the default writes nothing */
        abi_refused(self, status, "counters into 8 bytes");
    }
    if (counters.memory_total_bytes > 0 &&
        counters.memory_used_bytes > counters.memory_total_bytes) {
        abi_fail(self, "more memory is used than there is");
    }
    abi_life_close(&life);
}

static uint64_t now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void clock_goes(abi *self) {
    abi_life life;
    uint64_t last = 0;
    abi_life_open(self, &life);
    for (int i = 0; i < 50; i++) {
        uint64_t device_ns = 0, host_ns = 0, before = now_ns();
        abi_ok(self, life.m->observe->clock(life.device, &device_ns, &host_ns), "clock");
        if (host_ns < before || host_ns > now_ns()) {
            abi_fail(self, "clock's host time is not CLOCK_MONOTONIC's of the call");
        }
        if (device_ns < last) {
            abi_fail(self, "the device's clock goes backward");
        }
        last = device_ns;
    }
    abi_life_close(&life);
}

static void times_of_a_run(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_PLAIN, &all);
    if (all.exec.stream == NULL) {
        abi_all_close(&all);
        abi_skip(self, "it has no async level");
    }
    void *event = NULL, *device = all.life.device;
    uint64_t start = 1, end = 0, at = 0, host = 0;
    abi_ok(self, abi_exec_feed(&all.exec, 1), "filling the inputs");
    fer_run_args args = abi_exec_args(&all.exec);
    args.out_signal = &event;
    abi_ok(self, all.life.m->instances->run(device, all.exec.instance, &args), "run");
    abi_ok(self, all.life.m->async->event_wait(device, event, 5000000000U), "event_wait");
    abi_said_reset();
    fer_status status = event == NULL
                            ? FER_UNSUPPORTED
                            : all.life.m->observe->event_times(device, event, &start, &end);
    all.life.m->async->event_destroy(device, event);
    abi_ok(self, all.life.m->observe->clock(device, &at, &host), "clock");
    if (status == FER_OK && (start > end || end > at)) {
        abi_fail(self, "a run's times are not in order, or not before now");
    }
    if (status != FER_OK) {
        abi_refused(self, status, "event_times");
    }
    abi_all_close(&all);
    if (status != FER_OK) {
        abi_skip(self, "it keeps no times");
    }
}

static int32_t take_text(void *self, const char *text, size_t length) {
    size_t *sum = self;
    (void)text;
    *sum += length;
    return 0;
}

static int32_t refuse_text(void *self, const char *text, size_t length) {
    (void)self;
    (void)text;
    (void)length;
    return 1;
}

/* Ended before begun, begun twice, and a writer that takes nothing. */
static void profile_order(abi *self) {
    abi_all all;
    size_t sum = 0;
    abi_all_open(self, ABI_PLAIN, &all);
    const fer_backend_observe *observe = all.life.m->observe;
    void *device = all.life.device;
    abi_said_reset();
    fer_status status = observe->profile_end(device, take_text, &sum);
    if (status != FER_OK) {
        abi_refused(self, status, "profile_end before profile_begin");
    }
    for (int i = 0; i < 2; i++) {
        abi_said_reset();
        status = observe->profile_begin(device);
        if (status != FER_OK) {
            abi_refused(self, status, "profile_begin");
        }
    }
    abi_exec_must(&all.exec, 1);
    abi_said_reset();
    status = observe->profile_end(device, refuse_text, &sum);
    if (status != FER_OK) {
        abi_refused(self, status, "profile_end whose writer says stop");
    }
    abi_said_reset();
    status = observe->profile_end(device, take_text, &sum);
    if (status != FER_OK) {
        abi_refused(self, status, "profile_end once more");
    }
    abi_exec_must(&all.exec, 2);
    abi_all_close(&all);
}

static void trim_used(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_CONSTANT, &all);
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t freed = UINT64_MAX;
        abi_ok(self, all.life.m->observe->trim(all.life.device, &freed), "trim");
        if (freed == UINT64_MAX) {
            abi_fail(self, "trim set no number");
        }
        abi_exec_must(&all.exec, i);
    }
    abi_all_close(&all);
}

static const abi_case rows[] = {
    {"buffer_export", "round",       buffer_round      },
    {"buffer_export", "every-type",  buffer_types      },
    {"buffer_import", "bad-handles", buffer_bad_handles},
    {"buffer_import", "too-large",   buffer_too_large  },
    {"event_export",  "round",       event_round       },
    {"event_import",  "bad-handles", event_bad_handles },
    {"stream_native", "round",       stream_round      },
    {"stream_wrap",   "none",        stream_none       },
    {"counters",      "other-sizes", counters_sizes    },
    {"clock",         "goes",        clock_goes        },
    {"event_times",   "of-a-run",    times_of_a_run    },
    {"profile_begin", "any-order",   profile_order     },
    {"trim",          "in-use",      trim_used         },
};
const abi_cases abi_interop_cases = {rows, sizeof rows / sizeof *rows};
