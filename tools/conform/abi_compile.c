/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks on the compiler level: weight layouts, serialised execs and what is no serialised exec,
 * the compatibility key.
 */
#include "abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *const untouched = (void *)(uintptr_t)0x1111;

/* ---- weights ---- */

static void layout_sizes(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_CONSTANT, &all);
    const fer_backend_compiler *compiler = all.life.m->compiler;
    fer_weight_layout first = {.struct_size = sizeof first}, again = first;
    abi_ok(
        self, compiler->weight_layout(all.life.device, all.exec.exec, 0, &first), "weight_layout");
    abi_ok(
        self, compiler->weight_layout(all.life.device, all.exec.exec, 0, &again), "weight_layout");
    if (memchr(first.name, 0, sizeof first.name) == NULL ||
        memcmp(&first, &again, sizeof first) != 0) {
        abi_fail(self, "weight_layout says another thing when asked again, or its name has no end");
    }
    if ((first.alignment & (first.alignment - 1)) != 0 || first.bytes > (1U << 30)) {
        abi_fail(self,
                 "weight_layout wants %llu bytes aligned to %u",
                 (unsigned long long)first.bytes,
                 first.alignment);
    }
    fer_weight_layout empty = {0};
    fer_weight_layout *longer = abi_lengthen(self->host, &empty, sizeof empty, 0xee);
    abi_ok(
        self, compiler->weight_layout(all.life.device, all.exec.exec, 0, longer), "weight_layout");
    if (!abi_tail_is(longer, sizeof empty, 0xee)) {
        abi_fail(self, "weight_layout wrote behind what it knows");
    }
    if (first.name[0] != '\0') {
        abi_said_reset();
        abi_refused(self,
                    compiler->weight_layout(
                        all.life.device, all.exec.exec, 0, abi_cut(self->host, &empty, 8)),
                    "weight_layout into 8 bytes");
    }
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

static void layout_beyond(abi *self) {
    static const uint32_t indices[] = {1, 2, UINT32_MAX};
    abi_all all;
    abi_all_open(self, ABI_CONSTANT, &all);
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        fer_weight_layout layout = {.struct_size = sizeof layout};
        abi_said_reset();
        fer_status status = all.life.m->compiler->weight_layout(
            all.life.device, all.exec.exec, indices[i], &layout);
        if (status != FER_OK) {
            abi_refused(self, status, "weight_layout of a constant that is not there");
        } else if (layout.name[0] != '\0' || layout.bytes != 0) {
            abi_fail(self, "weight_layout describes a constant that is not there");
        }
    }
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

/* An exec whose constant wants a layout of its own; skips the case where there is none. */
static fer_weight_layout layout_open(abi *self, abi_all *all) {
    abi_all_open(self, ABI_CONSTANT, all);
    fer_weight_layout layout = {.struct_size = sizeof layout};
    abi_ok(self,
           all->life.m->compiler->weight_layout(all->life.device, all->exec.exec, 0, &layout),
           "weight_layout");
    if (layout.name[0] == '\0') {
        abi_all_close(all);
        abi_skip(self, "it takes weights as they are");
    }
    return layout;
}

/* Two preparations of one constant are equal. */
static void prepare_twice(abi *self) {
    abi_all all;
    fer_weight_layout layout = layout_open(self, &all);
    const fer_backend_compiler *compiler = all.life.m->compiler;
    fer_mem second;
    char *bytes = calloc(2, layout.bytes);
    const fer_value_view *value = &all.graph.values[1].view;
    fer_mem source = {NULL, 0, value->bytes, (void *)(uintptr_t)value->data};
    abi_ok(self, abi_mem_take(&all.life, layout.bytes, &second), "memory for a weight");
    abi_ok(self,
           compiler->weight_prepare(all.life.device, all.exec.exec, 0, &source, &second),
           "weight_prepare");
    abi_ok(self, abi_mem_read(&all.life, &all.exec.weights[0], bytes, layout.bytes), "reading");
    abi_ok(self, abi_mem_read(&all.life, &second, bytes + layout.bytes, layout.bytes), "reading");
    int is_same = memcmp(bytes, bytes + layout.bytes, layout.bytes) == 0;
    free(bytes);
    if (!is_same) {
        abi_fail(self, "one constant was prepared in two ways under one layout name");
    }
    abi_mem_give(&all.life, &second);
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

static void prepare_wrong(abi *self) {
    abi_all all;
    (void)layout_open(self, &all);
    const fer_backend_compiler *compiler = all.life.m->compiler;
    const fer_value_view *value = &all.graph.values[1].view;
    fer_mem small, source = {NULL, 0, value->bytes, (void *)(uintptr_t)value->data};
    fer_mem cut = {NULL, 0, 8, abi_guarded(self->host, 8, 8)}, none = {NULL, 0, value->bytes, NULL};
    abi_ok(self, abi_mem_take(&all.life, 8, &small), "memory for a weight");
    const fer_mem *const pairs[][2] = {
        {&source, &small              },
        {&cut,    &all.exec.weights[0]},
        {&none,   &all.exec.weights[0]}
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        abi_said_reset();
        abi_refused(
            self,
            compiler->weight_prepare(all.life.device, all.exec.exec, 0, pairs[i][0], pairs[i][1]),
            "weight_prepare from or to memory that is too small");
    }
    abi_said_reset();
    abi_refused(
        self,
        compiler->weight_prepare(all.life.device, all.exec.exec, 9, &source, &all.exec.weights[0]),
        "weight_prepare of a constant that is not there");
    abi_exec_must(&all.exec, 1);
    abi_mem_give(&all.life, &small);
    abi_all_close(&all);
}

/* ---- serialised execs ---- */

typedef struct blob {
    unsigned char buffer[65536];
    size_t bytes;
    size_t length;
    uint32_t calls, stops_at; /* 1: the first call is refused */
} blob;

static int32_t blob_write(void *object, const void *data, size_t bytes) {
    blob *self = object;
    if (++self->calls == self->stops_at || self->length + bytes > sizeof self->buffer) {
        return 1;
    }
    if (bytes > 0) {
        memcpy(self->buffer + self->length, data, bytes);
    }
    self->length += bytes;
    return 0;
}

/* Opens a device with a graph and its blob, or ends the case. */
static void blob_make(abi *self, int32_t kind, abi_all *all, blob *out) {
    abi_all_open(self, kind, all);
    memset(out, 0, sizeof *out);
    abi_said_reset();
    fer_status status =
        all->life.m->compiler->serialize(all->life.device, all->exec.exec, blob_write, out);
    if (status == FER_UNSUPPORTED) {
        abi_all_close(all);
        abi_skip(self, "it serialises nothing");
    }
    abi_ok(self, status, "serialize");
    out->bytes = out->length;
    if (out->bytes == 0) {
        abi_fail(self, "serialize wrote nothing and answered OK");
    }
}

/* A copy that ends where a page faults. */
static const void *guarded(abi *self, const void *data, size_t bytes) {
    void *memory = abi_guarded(self->host, bytes, 1);
    if (memory != NULL && bytes > 0) {
        memcpy(memory, data, bytes);
    }
    return memory;
}

static fer_status
bring_back(abi_all *all, const abi_graph *graph, const void *data, size_t bytes, void **out) {
    abi_said_reset();
    return all->life.m->compiler->deserialize(all->life.device, &graph->graph, data, bytes, out);
}

/* Refused, and out_exec as it was. */
static void must_refuse(abi_all *all, const void *data, size_t bytes, const char *what) {
    void *exec = untouched;
    abi *self = all->life.suite;
    fer_status status = bring_back(all, &all->graph, data, bytes, &exec);
    abi_refused(self, status, what);
    if (exec != untouched) {
        abi_fail(self, "%s was refused, and yet out_exec was set", what);
    }
}

static void serialize_round(abi *self, int32_t kind) {
    static blob saved;
    abi_all all;
    abi_exec again;
    void *exec = NULL;
    blob_make(self, kind, &all, &saved);
    const void *data = guarded(self, saved.buffer, saved.bytes);
    abi_exec_must(&all.exec, 1);
    abi_exec_finish(&all.exec); /* what it was made from is gone */
    abi_ok(self, bring_back(&all, &all.graph, data, saved.bytes, &exec), "deserialize");
    abi_guarded_close(self->host, (void *)(uintptr_t)data);
    abi_ok(self, abi_exec_adopt(&all.life, &all.graph, exec, &again), "preparing a run");
    abi_exec_must(&again, 1);
    abi_exec_must(&again, 2);
    abi_exec_finish(&again);
    abi_life_close(&all.life);
}

static void round_plain(abi *self) { serialize_round(self, ABI_PLAIN); }
static void round_constant(abi *self) { serialize_round(self, ABI_CONSTANT); }
static void round_chain(abi *self) { serialize_round(self, ABI_CHAIN); }
static void round_dims(abi *self) { serialize_round(self, ABI_DYNAMIC); }

static void serialize_again(abi *self) {
    static blob first, second;
    abi_all all;
    blob_make(self, ABI_PLAIN, &all, &first);
    memset(&second, 0, sizeof second);
    abi_ok(self,
           all.life.m->compiler->serialize(all.life.device, all.exec.exec, blob_write, &second),
           "serialize");
    if (first.length != second.length || memcmp(first.buffer, second.buffer, first.length) != 0) {
        abi_fail(self, "one exec was serialised into different bytes");
    }
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

static void serialize_stopped(abi *self) {
    static blob saved, stopped;
    abi_all all;
    blob_make(self, ABI_CHAIN, &all, &saved);
    for (uint32_t at = 1; at <= saved.calls; at++) {
        memset(&stopped, 0, sizeof stopped);
        stopped.stops_at = at;
        abi_said_reset();
        abi_refused(
            self,
            all.life.m->compiler->serialize(all.life.device, all.exec.exec, blob_write, &stopped),
            "serialize whose write says stop");
        if (stopped.calls != at) {
            abi_fail(self, "serialize went on writing after write said stop");
        }
    }
    abi_all_close(&all);
}

static void blob_truncated(abi *self) {
    static blob saved;
    abi_all all;
    blob_make(self, ABI_PLAIN, &all, &saved);
    size_t step = saved.bytes / 500 + 1;
    must_refuse(&all, NULL, 0, "deserialize of nothing");
    for (size_t length = 0; length < saved.bytes; length += step) {
        char what[80];
        (void)snprintf(
            what, sizeof what, "deserialize of the first %zu of %zu bytes", length, saved.bytes);
        must_refuse(&all, guarded(self, saved.buffer, length), length, what);
    }
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

static void blob_flipped(abi *self) {
    static blob saved;
    abi_all all;
    blob_make(self, ABI_PLAIN, &all, &saved);
    size_t step = saved.bytes * 8 / 2000 + 1;
    for (size_t bit = 0; bit < saved.bytes * 8; bit += step) {
        char what[80];
        (void)snprintf(what, sizeof what, "deserialize with bit %zu flipped", bit);
        saved.buffer[bit / 8] ^= (unsigned char)(1U << (bit % 8));
        must_refuse(&all, guarded(self, saved.buffer, saved.bytes), saved.bytes, what);
        saved.buffer[bit / 8] ^= (unsigned char)(1U << (bit % 8));
    }
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

static void blob_longer(abi *self) {
    static blob saved;
    abi_all all;
    blob_make(self, ABI_PLAIN, &all, &saved);
    static const size_t more[] = {1, 4, 1000};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        must_refuse(&all,
                    guarded(self, saved.buffer, saved.bytes + more[i]),
                    saved.bytes + more[i],
                    "deserialize of a blob with bytes behind it");
    }
    abi_all_close(&all);
}

static void blob_garbage(abi *self) {
    static unsigned char noise[4096];
    static blob saved;
    abi_all all;
    uint64_t state = 88172645463325252U;
    blob_make(self, ABI_PLAIN, &all, &saved);
    for (int round = 0; round < 200; round++) {
        size_t bytes = (size_t)round * 20 + 1;
        for (size_t i = 0; i < bytes; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise[i] = (unsigned char)state;
        }
        /* Half of them begin as a blob does. */
        memcpy(
            noise, saved.buffer, round % 2 ? (saved.bytes < bytes ? saved.bytes : bytes) / 2 : 0);
        must_refuse(&all, guarded(self, noise, bytes), bytes, "deserialize of noise");
    }
    abi_all_close(&all);
}

/* The blob of three nodes with a graph of one: never taken for it. */
static void blob_other_graph(abi *self) {
    static blob saved;
    abi_all all;
    abi_graph one;
    blob_make(self, ABI_CHAIN, &all, &saved);
    if (!abi_graph_find(&all.life, ABI_PLAIN, &one)) {
        abi_all_close(&all);
        abi_skip(self, "it takes no other graph");
    }
    void *exec = untouched;
    const void *data = guarded(self, saved.buffer, saved.bytes);
    abi_refused(self,
                bring_back(&all, &one, data, saved.bytes, &exec),
                "deserialize with another graph than the exec was made from");
    abi_all_close(&all);
}

/* ---- the key ---- */

static void key_text(abi *self) {
    char first[256], again[256];
    abi_life life;
    abi_life_open(self, &life);
    memset(first, 0x33, sizeof first);
    fer_status status = life.m->compiler->compatibility_key(life.device, first, sizeof first);
    if (status == FER_UNSUPPORTED) {
        abi_life_close(&life);
        abi_skip(self, "it has no compatibility key");
    }
    abi_ok(self, status, "compatibility_key");
    if (memchr(first, 0, sizeof first) == NULL || first[0] == '\0') {
        abi_fail(self, "the compatibility key is empty or has no end");
    }
    static const size_t sizes[] = {1, 2, 8, 16};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *small = abi_guarded(self->host, sizes[i], 1);
        memset(small, 0x33, sizes[i]);
        abi_said_reset();
        status = life.m->compiler->compatibility_key(life.device, small, sizes[i]);
        if (status != FER_OK) {
            abi_refused(self, status, "compatibility_key into a few bytes");
        } else if (memchr(small, 0, sizes[i]) == NULL) {
            abi_fail(self, "compatibility_key into %zu bytes has no end", sizes[i]);
        }
    }
    abi_life_close(&life);
    abi_life_open(self, &life);
    abi_ok(self,
           life.m->compiler->compatibility_key(life.device, again, sizeof again),
           "compatibility_key");
    if (strcmp(first, again) != 0) {
        abi_fail(
            self, "the compatibility key of one device changes: '%.60s', '%.60s'", first, again);
    }
    abi_life_close(&life);
}

/* A blob of a device with another key: refused, or the exec is right. */
static void key_wrong(abi *self) {
    static blob saved;
    char here[256] = "", there[256] = "";
    abi_all all;
    uint32_t count = 0;
    blob_make(self, ABI_PLAIN, &all, &saved);
    abi_life other = all.life;
    const fer_backend_compiler *compiler = all.life.m->compiler;
    abi_ok(self, all.life.m->core->device_count(all.life.backend, &count), "device_count");
    if (count < 2) {
        abi_all_close(&all);
        abi_skip(self, "there is one device only");
    }
    abi_ok(self,
           other.m->core->device_open(other.backend, (self->index + 1) % count, &other.device),
           "device_open");
    abi_ok(
        self, compiler->compatibility_key(all.life.device, here, sizeof here), "compatibility_key");
    abi_ok(
        self, compiler->compatibility_key(other.device, there, sizeof there), "compatibility_key");
    void *exec = untouched;
    abi_said_reset();
    fer_status status = compiler->deserialize(other.device,
                                              &all.graph.graph,
                                              guarded(self, saved.buffer, saved.bytes),
                                              saved.bytes,
                                              &exec);
    if (status == FER_OK) {
        abi_exec again;
        abi_ok(self, abi_exec_adopt(&other, &all.graph, exec, &again), "preparing a run");
        abi_exec_must(&again, 1);
        abi_exec_finish(&again);
    } else {
        abi_refused(self, status, "deserialize of another device's blob");
    }
    other.m->core->device_close(other.device);
    if (status != FER_OK && strcmp(here, there) == 0) {
        abi_fail(self, "two devices have one key, and yet one refuses the other's blob");
    }
    abi_all_close(&all);
}

static const abi_case rows[] = {
    {"weight_layout",     "other-sizes",  layout_sizes     },
    {"weight_layout",     "beyond",       layout_beyond    },
    {"weight_prepare",    "twice",        prepare_twice    },
    {"weight_prepare",    "wrong-memory", prepare_wrong    },
    {"serialize",         "round",        round_plain      },
    {"serialize",         "constant",     round_constant   },
    {"serialize",         "chain",        round_chain      },
    {"serialize",         "runtime-dims", round_dims       },
    {"serialize",         "again",        serialize_again  },
    {"serialize",         "stopped",      serialize_stopped},
    {"deserialize",       "truncated",    blob_truncated   },
    {"deserialize",       "flipped",      blob_flipped     },
    {"deserialize",       "longer",       blob_longer      },
    {"deserialize",       "garbage",      blob_garbage     },
    {"deserialize",       "other-graph",  blob_other_graph },
    {"compatibility_key", "text",         key_text         },
    {"compatibility_key", "wrong",        key_wrong        },
};
const abi_cases abi_compile_cases = {rows, sizeof rows / sizeof *rows};
