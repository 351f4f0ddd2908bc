/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks on the module's own entry and tables, which only its file shows (the host completes what
 * other cases see): versions, structs of other sizes, and hosts that know less or more of each
 * table than the module does.
 */
#include "abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fer_backend_entry_fn entry_of(abi *self) {
    if (self->entry == NULL) {
        abi_skip(self, "the module's file is not known: it has no manifest");
    }
    return self->entry;
}

/* ---- versions ---- */

static void refuse_versions(abi *self, uint32_t least, uint32_t most) {
    fer_backend_module module = {.struct_size = sizeof module}, kept = module;
    fer_status status = entry_of(self)(least, most, &module);
    if (status != FER_VERSION) {
        abi_fail(self,
                 "asked for ABI versions %u to %u it answers %s, VERSION is right",
                 least,
                 most,
                 fer_status_name(status));
    }
    if (memcmp(&module, &kept, sizeof module) != 0) {
        abi_fail(self, "asked for ABI versions %u to %u it refuses, and yet fills", least, most);
    }
}

static void entry_older(abi *self) { refuse_versions(self, 0, FER_BACKEND_ABI_MIN - 1); }

static void entry_newer(abi *self) {
    refuse_versions(self, 1000000, 1000001);
    refuse_versions(self, 1000000, UINT32_MAX);
    refuse_versions(self, UINT32_MAX, UINT32_MAX);
}

static void entry_backward(abi *self) {
    refuse_versions(self, 1000000, 0);
    refuse_versions(self, UINT32_MAX, 0);
}

static void entry_ranges(abi *self) {
    static const uint32_t ranges[][2] = {
        {FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX},
        {0,                   FER_BACKEND_ABI_MAX},
        {FER_BACKEND_ABI_MIN, 1000               },
        {0,                   UINT32_MAX         },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        fer_backend_module module = {.struct_size = sizeof module};
        abi_ok(self, entry_of(self)(ranges[i][0], ranges[i][1], &module), "the entry");
        if (module.abi_version < ranges[i][0] || module.abi_version > ranges[i][1] ||
            module.abi_version < FER_BACKEND_ABI_MIN || module.core == NULL ||
            module.name == NULL) {
            abi_fail(self,
                     "asked for ABI versions %u to %u it chose %u, or filled too little",
                     ranges[i][0],
                     ranges[i][1],
                     module.abi_version);
        }
    }
}

/* ---- structs of other sizes ---- */

static void entry_long(abi *self) {
    fer_backend_module module = {0};
    fer_backend_module *longer = abi_lengthen(self->host, &module, sizeof module, 0xee);
    abi_ok(self,
           entry_of(self)(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, longer),
           "the entry with a longer module struct");
    if (!abi_tail_is(longer, sizeof module, 0xee) ||
        longer->struct_size != sizeof module + ABI_TAIL) {
        abi_fail(self, "the entry wrote behind what it knows, or over struct_size");
    }
}

static void entry_short(abi *self) {
    fer_backend_module module = {0};
    fer_status status =
        entry_of(self)(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, abi_cut(self->host, &module, 16));
    if (status != FER_VERSION) {
        abi_fail(self,
                 "given 16 bytes for the module it answers %s, VERSION is right",
                 fer_status_name(status));
    }
}

/* ---- pure ---- */

static int same_body(void *with, uint32_t thread, char *sentence) {
    const abi *self = with;
    fer_backend_module first = {.struct_size = sizeof first};
    (void)thread;
    if (self->entry(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &first) != FER_OK) {
        (void)snprintf(sentence, 200, "the entry fails");
        return 1;
    }
    for (int i = 0; i < 1000; i++) {
        fer_backend_module again = {.struct_size = sizeof again};
        if (self->entry(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &again) != FER_OK ||
            memcmp(&first, &again, sizeof first) != 0) {
            (void)snprintf(sentence, 200, "the entry answers another thing when asked again");
            return 1;
        }
    }
    return 0;
}

static void entry_eight(abi *self) {
    (void)entry_of(self);
    abi_eight(self, same_body, self);
}

static void level_check(abi *self, const void *table, size_t least, const char *name) {
    uint32_t size = 0;
    if (table == NULL) {
        return;
    }
    memcpy(&size, table, sizeof size);
    if (size < least || size % sizeof(void *) != 0) {
        abi_fail(self, "the table %s says it has %u bytes", name, size);
    }
}

static void entry_tables(abi *self) {
    fer_backend_module m = {.struct_size = sizeof m};
    uint32_t known = FER_MODULE_PER_OP | FER_MODULE_WRAPPER | FER_MODULE_MAY_UNLOAD;
    abi_ok(self, entry_of(self)(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &m), "the entry");
    if ((m.flags & ~known) != 0 || m.struct_size != sizeof m || m.version == NULL) {
        abi_fail(self, "flags %x, or struct_size was changed, or version is NULL", m.flags);
    }
    level_check(self, m.core, offsetof(fer_backend_core, op_claims), "core");
    level_check(self, m.instances, sizeof *m.instances, "instances");
    level_check(self, m.memory, offsetof(fer_backend_memory, copy_peer), "memory");
    level_check(self, m.async, offsetof(fer_backend_async, cancel), "async");
    level_check(self, m.compiler, 8, "compiler");
    level_check(self, m.interop, 8, "interop");
    level_check(self, m.observe, 8, "observe");
}

/* ---- hosts that know another part of the tables ---- */

enum {
    LONGER,
    NO_INSTANCES,
    NO_ASYNC,
    NO_INTEROP,
    NO_OBSERVE,
    SHORT_CORE,
    SHORT_MEMORY,
    SHORT_ASYNC,
    SHORT_COMPILER,
    SHORT_OBSERVE
};

/* An entry has no argument of its own. */
static fer_backend_entry_fn cut_entry;
static int cut_how;
static char cut_tables[7][1024];

/* A copy that says size bytes, with what lies behind them spoiled. */
static const void *resized(int which, const void *table, size_t bytes) {
    uint32_t size = 0;
    if (table == NULL) {
        return NULL;
    }
    memcpy(&size, table, sizeof size);
    size_t kept = bytes < size ? bytes : size;
    memset(cut_tables[which], 0xee, sizeof cut_tables[which]);
    memcpy(cut_tables[which], table, kept < 900 ? kept : 900);
    size = bytes == SIZE_MAX ? size + ABI_TAIL : (uint32_t)kept;
    memcpy(cut_tables[which], &size, sizeof size);
    return cut_tables[which];
}

static fer_status cut_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out) {
    fer_status status = cut_entry(host_min, host_max, out);
    if (status != FER_OK) {
        return status;
    }
    switch (cut_how) {
    case LONGER:
        out->core = resized(0, out->core, SIZE_MAX);
        out->instances = resized(1, out->instances, SIZE_MAX);
        out->memory = resized(2, out->memory, SIZE_MAX);
        out->async = resized(3, out->async, SIZE_MAX);
        out->compiler = resized(4, out->compiler, SIZE_MAX);
        out->interop = resized(5, out->interop, SIZE_MAX);
        out->observe = resized(6, out->observe, SIZE_MAX);
        break;
    case NO_INSTANCES:
        out->instances = NULL;
        break;
    case NO_ASYNC:
        out->async = NULL;
        break;
    case NO_INTEROP:
        out->interop = NULL;
        break;
    case NO_OBSERVE:
        out->observe = NULL;
        break;
    case SHORT_CORE:
        out->core = resized(0, out->core, offsetof(fer_backend_core, op_claims));
        break;
    case SHORT_MEMORY:
        out->memory = resized(2, out->memory, offsetof(fer_backend_memory, copy_peer));
        break;
    case SHORT_ASYNC:
        out->async = resized(3, out->async, offsetof(fer_backend_async, cancel));
        break;
    case SHORT_COMPILER:
        out->compiler = resized(4, out->compiler, offsetof(fer_backend_compiler, serialize));
        break;
    default:
        out->observe = resized(6, out->observe, offsetof(fer_backend_observe, event_times));
        break;
    }
    return status;
}

static void use_all(abi *self) {
    static const int32_t kinds[] = {ABI_PLAIN, ABI_CONSTANT, ABI_CHAIN, ABI_DYNAMIC};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        abi_life life;
        abi_graph graph;
        abi_exec exec;
        uint64_t freed = 0, device_ns = 0, host_ns = 0;
        abi_life_open(self, &life);
        fer_device_counters counters = {.struct_size = sizeof counters};
        abi_ok(self, life.m->observe->counters(life.device, &counters), "counters");
        abi_ok(self, life.m->observe->clock(life.device, &device_ns, &host_ns), "clock");
        abi_ok(self, life.m->observe->trim(life.device, &freed), "trim");
        if (abi_graph_find(&life, kinds[i], &graph)) {
            abi_exec_make(&life, &graph, &exec);
            abi_exec_must(&exec, 1);
            abi_exec_must(&exec, 2);
            if (exec.stream != NULL) {
                life.m->async->cancel(life.device, exec.stream);
            }
            abi_exec_finish(&exec);
        }
        abi_life_close(&life);
    }
}

/* The module in a context of its own, where it is registered as a host of that kind sees it. */
static void with_cut(abi *self, int how) {
    fer_context_options options = {
        .struct_size = sizeof options, .thread_count = 1, .backend_path = "/dev/null"};
    fer_context *context = NULL;
    cut_entry = entry_of(self);
    cut_how = how;
    abi_ok(self, fer_context_create(&options, &context), "a context");
    abi_ok(self, fer_backend_register(context, cut_open), "registering the module");
    fer_status status = abi_reach(self, context, self->device);
    if (status == FER_NO_DEVICE) {
        fer_context_release(context);
        abi_skip(self, "what it wraps is not built in");
    }
    abi_ok(self, status, "finding the device");
    use_all(self);
    fer_context_release(context); /* the suite goes back to its own tables after the case */
}

static void tables_longer(abi *self) { with_cut(self, LONGER); }
static void no_instances(abi *self) { with_cut(self, NO_INSTANCES); }
static void no_async(abi *self) { with_cut(self, NO_ASYNC); }
static void no_interop(abi *self) { with_cut(self, NO_INTEROP); }
static void no_observe(abi *self) { with_cut(self, NO_OBSERVE); }
static void short_core(abi *self) {
    fer_backend_module module = {.struct_size = sizeof module};
    abi_ok(self, entry_of(self)(FER_BACKEND_ABI_MIN, FER_BACKEND_ABI_MAX, &module), "the entry");
    const fer_backend_core *core = module.core;
    if (core->struct_size > offsetof(fer_backend_core, op_claims) && core->op_claims != NULL) {
        abi_skip(self, "it counts on a host that asks for its claims");
    }
    with_cut(self, SHORT_CORE);
}
static void short_memory(abi *self) { with_cut(self, SHORT_MEMORY); }
static void short_async(abi *self) { with_cut(self, SHORT_ASYNC); }
static void short_compiler(abi *self) { with_cut(self, SHORT_COMPILER); }
static void short_observe(abi *self) { with_cut(self, SHORT_OBSERVE); }

static const abi_case rows[] = {
    {"entry",  "older",          entry_older   },
    {"entry",  "newer",          entry_newer   },
    {"entry",  "backward",       entry_backward},
    {"entry",  "ranges",         entry_ranges  },
    {"entry",  "long-module",    entry_long    },
    {"entry",  "short-module",   entry_short   },
    {"entry",  "eight-threads",  entry_eight   },
    {"tables", "sizes",          entry_tables  },
    {"tables", "longer",         tables_longer },
    {"tables", "no-instances",   no_instances  },
    {"tables", "no-async",       no_async      },
    {"tables", "no-interop",     no_interop    },
    {"tables", "no-observe",     no_observe    },
    {"tables", "short-core",     short_core    },
    {"tables", "short-memory",   short_memory  },
    {"tables", "short-async",    short_async   },
    {"tables", "short-compiler", short_compiler},
    {"tables", "short-observe",  short_observe },
};
const abi_cases abi_table_cases = {rows, sizeof rows / sizeof *rows};
