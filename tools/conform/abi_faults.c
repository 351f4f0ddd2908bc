/* SPDX-License-Identifier: Apache-2.0
 *
 * Host memory that runs out: every allocation of a slot fails in turn, alone or with all after it.
 * Each time the slot says OUT_OF_MEMORY, keeps nothing, and works when asked again.
 */
#include "abi.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 600 };

typedef struct attempt {
    abi *suite;
    abi_life life;
    abi_graph graph;
    abi_exec exec;
    int64_t index;
    int32_t goes_on;
} attempt;

static void arm(attempt *self) {
    atomic_store(&self->suite->host->refused, 0);
    atomic_store(&self->suite->host->fails_on, self->goes_on);
    atomic_store(&self->suite->host->fails_in, self->index);
    abi_said_reset();
}

static void disarm(attempt *self) { atomic_store(&self->suite->host->fails_in, 0); }

/* Each does one thing with the index armed and gives back what it took. */
typedef fer_status (*deed)(attempt *self);

static void each_index(attempt *self, deed does, const char *what) {
    abi *suite = self->suite;
    for (int32_t goes_on = 0; goes_on < 2; goes_on++) {
        for (int64_t index = 1;; index++) {
            char text[120];
            int64_t before = atomic_load(&suite->host->live);
            self->index = index;
            self->goes_on = goes_on;
            fer_status status = does(self);
            disarm(self);
            int64_t kept = atomic_load(&suite->host->live) - before;
            (void)snprintf(text,
                           sizeof text,
                           "%s with allocation %lld%s failing",
                           what,
                           (long long)index,
                           goes_on ? " and all after it" : "");
            if (status != FER_OK) {
                abi_refused(suite, status, text);
            }
            if (kept != 0) {
                abi_fail(suite, "%s keeps %lld pieces of memory", text, (long long)kept);
            }
            if (atomic_load(&suite->host->refused) == 0) {
                abi_ok(suite, status, what); /* there are no more allocations than that */
                break;
            }
            if (status != FER_OK && status != FER_OUT_OF_MEMORY) {
                abi_fail(
                    suite, "%s is %s, and should be OUT_OF_MEMORY", text, fer_status_name(status));
            }
            if (index == MOST) {
                break;
            }
        }
    }
}

static void begin(abi *suite, attempt *out, int32_t kind) {
    memset(out, 0, sizeof *out);
    out->suite = suite;
    abi_life_open(suite, &out->life);
    abi_graph_pick(&out->life, kind, &out->graph);
}

static void over_graph(abi *suite, int32_t kind, deed does, const char *what) {
    static attempt self;
    begin(suite, &self, kind);
    each_index(&self, does, what);
    abi_exec_make(&self.life, &self.graph, &self.exec);
    abi_exec_must(&self.exec, 1);
    abi_exec_finish(&self.exec);
    abi_life_close(&self.life);
}

/* ---- deeds ---- */

static fer_status open_and_close(attempt *self) {
    abi_life life;
    arm(self);
    fer_status status = abi_life_try(self->suite, &life);
    if (status == FER_OK) {
        abi_life_close(&life);
    }
    return status;
}

static fer_status claim(attempt *self) {
    fer_support supports[ABI_NODES] = {{.struct_size = sizeof(fer_support)},
                                       {.struct_size = sizeof(fer_support)},
                                       {.struct_size = sizeof(fer_support)}};
    arm(self);
    return self->life.m->compiler->claim(self->life.device, &self->graph.graph, supports);
}

static fer_status compile(attempt *self) {
    void *exec = NULL;
    arm(self);
    fer_status status = self->life.m->core->compile(self->life.device, &self->graph.graph, &exec);
    if (status == FER_OK) {
        self->life.m->core->exec_destroy(self->life.device, exec);
    } else if (exec != NULL) {
        abi_fail(self->suite, "compile failed, and yet out_exec was set");
    }
    return status;
}

static fer_status make_exec(attempt *self) {
    arm(self);
    fer_status status = abi_exec_try(&self->life, &self->graph, &self->exec);
    if (status == FER_OK) {
        abi_exec_finish(&self->exec);
    }
    return status;
}

static fer_status instance(attempt *self) {
    void *made = NULL;
    abi_exec_make(&self->life, &self->graph, &self->exec);
    fer_instance_args args = {.struct_size = sizeof args, .weights = self->exec.weights};
    arm(self);
    fer_status status =
        self->life.m->instances->instance_create(self->life.device, self->exec.exec, &args, &made);
    if (status == FER_OK) {
        self->life.m->instances->instance_destroy(self->life.device, made);
    } else if (made != NULL) {
        abi_fail(self->suite, "instance_create failed, and yet out_instance was set");
    }
    disarm(self);
    abi_exec_finish(&self->exec);
    return status;
}

static fer_status first_run(attempt *self) {
    abi_exec_make(&self->life, &self->graph, &self->exec);
    abi_ok(self->suite, abi_exec_feed(&self->exec, 1), "filling the inputs");
    fer_run_args args = abi_exec_args(&self->exec);
    arm(self);
    fer_status status = abi_exec_go(&self->exec, &args);
    disarm(self);
    if (status == FER_OK) {
        abi_ok(self->suite, abi_exec_check(&self->exec, 1), "reading the output");
    } else if (self->exec.stream == NULL) { /* a right run is right after it */
        abi_exec_must(&self->exec, 2);
    }
    if (self->exec.wrong[0] != '\0') {
        abi_fail(self->suite, "%s", self->exec.wrong);
    }
    abi_exec_finish(&self->exec);
    return status;
}

/* Level 0's run, which where instances are there makes one by itself. */
static fer_status core_run(attempt *self) {
    abi_exec_make(&self->life, &self->graph, &self->exec);
    abi_ok(self->suite, abi_exec_feed(&self->exec, 1), "filling the inputs");
    fer_run_args args = abi_exec_args(&self->exec);
    args.stream = NULL;
    arm(self);
    fer_status status = self->life.m->core->run(self->life.device, self->exec.exec, &args);
    disarm(self);
    abi_exec_finish(&self->exec);
    return status;
}

static fer_status memory(attempt *self) {
    unsigned char data[256] = {1, 2, 3};
    fer_mem mem = {0}, from = {NULL, 0, sizeof data, data};
    const fer_backend_memory *slots = self->life.m->memory;
    arm(self);
    fer_status status = slots->alloc(self->life.device, sizeof data, 64, FER_MEM_DEVICE, &mem);
    if (status != FER_OK) {
        return status;
    }
    status = slots->copy(self->life.device, &mem, &from, sizeof data);
    if (status == FER_OK) {
        void *window = NULL;
        status = slots->map(self->life.device, &mem, &window);
        status = status == FER_OK            ? slots->unmap(self->life.device, &mem, window)
                 : status == FER_UNSUPPORTED ? FER_OK
                                             : status;
    }
    slots->free(self->life.device, &mem);
    return status;
}

static fer_status streams(attempt *self) {
    unsigned char data[256] = {1, 2, 3};
    const fer_backend_async *async = self->life.m->async;
    fer_mem mem = {0}, from = {NULL, 0, sizeof data, data};
    void *stream = NULL, *event = NULL;
    abi_ok(self->suite,
           self->life.m->memory->alloc(self->life.device, sizeof data, 64, FER_MEM_DEVICE, &mem),
           "alloc");
    arm(self);
    fer_status status = async->stream_create(self->life.device, &stream);
    if (status == FER_OK) {
        status =
            async->copy_async(self->life.device, stream, &mem, &from, sizeof data, NULL, 0, &event);
        if (status == FER_OK) {
            status = async->event_wait(self->life.device, event, 5000000000U);
            async->event_destroy(self->life.device, event);
        }
        async->stream_destroy(self->life.device, stream);
    }
    disarm(self);
    self->life.m->memory->free(self->life.device, &mem);
    return status;
}

typedef struct bytes {
    unsigned char data[65536];
    size_t length;
} bytes;
static bytes saved;

static int32_t bytes_write(void *object, const void *data, size_t count) {
    bytes *self = object;
    if (count > sizeof self->data - self->length) {
        return 1;
    }
    if (count > 0) {
        memcpy(self->data + self->length, data, count);
    }
    self->length += count;
    return 0;
}

static fer_status serialize(attempt *self) {
    saved.length = 0;
    abi_exec_make(&self->life, &self->graph, &self->exec);
    arm(self);
    fer_status status =
        self->life.m->compiler->serialize(self->life.device, self->exec.exec, bytes_write, &saved);
    disarm(self);
    abi_exec_finish(&self->exec);
    return status;
}

static fer_status deserialize(attempt *self) {
    void *exec = NULL;
    arm(self);
    fer_status status = self->life.m->compiler->deserialize(
        self->life.device, &self->graph.graph, saved.data, saved.length, &exec);
    if (status == FER_OK) {
        self->life.m->core->exec_destroy(self->life.device, exec);
    }
    return status;
}

/* From create to destroy. */
static fer_status whole_life(attempt *self) {
    abi_life life;
    abi_exec exec;
    arm(self);
    fer_status status = abi_life_try(self->suite, &life);
    if (status != FER_OK) {
        return status;
    }
    status = abi_exec_try(&life, &self->graph, &exec);
    if (status == FER_OK) {
        status = abi_exec_run(&exec, 1);
        abi_exec_finish(&exec);
    }
    abi_life_close(&life);
    return status;
}

/* ---- cases ---- */

static void create_fails(abi *self) {
    static attempt with;
    memset(&with, 0, sizeof with);
    with.suite = self;
    each_index(&with, open_and_close, "create, device_info and device_open");
}
static void claim_fails(abi *self) { over_graph(self, ABI_CHAIN, claim, "claim"); }
static void claim_one_fails(abi *self) { over_graph(self, ABI_PLAIN, claim, "claim"); }
static void compile_fails(abi *self) { over_graph(self, ABI_PLAIN, compile, "compile"); }
static void chain_fails(abi *self) {
    over_graph(self, ABI_CHAIN, make_exec, "an exec of three nodes made ready");
}
static void constant_fails(abi *self) {
    over_graph(self, ABI_CONSTANT, make_exec, "an exec with a constant made ready");
}
static void instance_fails(abi *self) {
    over_graph(self, ABI_CONSTANT, instance, "instance_create");
}
static void run_fails(abi *self) { over_graph(self, ABI_PLAIN, first_run, "a run"); }
static void run_chain_fails(abi *self) {
    over_graph(self, ABI_CHAIN, first_run, "a run of three nodes");
}
static void run_dims_fails(abi *self) {
    over_graph(self, ABI_DYNAMIC, first_run, "a run with runtime dims");
}
static void core_run_fails(abi *self) {
    over_graph(self, ABI_PLAIN, core_run, "core's run of an exec");
}
static void memory_fails(abi *self) { over_graph(self, ABI_PLAIN, memory, "alloc, copy and map"); }
static void streams_fail(abi *self) {
    over_graph(self, ABI_PLAIN, streams, "stream_create and copy_async");
}
static void life_fails(abi *self) {
    over_graph(self, ABI_CONSTANT, whole_life, "all from create to destroy");
}
static void life_plain_fails(abi *self) {
    over_graph(self, ABI_PLAIN, whole_life, "all from create to destroy");
}

static void serial_fails(abi *suite) {
    static attempt self;
    begin(suite, &self, ABI_PLAIN);
    self.index = 0;
    if (serialize(&self) == FER_UNSUPPORTED) {
        abi_life_close(&self.life);
        abi_skip(suite, "it serialises nothing");
    }
    each_index(&self, serialize, "serialize");
    each_index(&self, deserialize, "deserialize");
    abi_life_close(&self.life);
}

static const abi_case rows[] = {
    {"create",          "allocation-fails",     create_fails    },
    {"create",          "life-without-memory",  life_plain_fails},
    {"create",          "life-with-constant",   life_fails      },
    {"op_supported",    "allocation-fails",     claim_one_fails },
    {"claim",           "allocation-fails",     claim_fails     },
    {"compile",         "allocation-fails",     compile_fails   },
    {"compile",         "chain-without-memory", chain_fails     },
    {"weight_prepare",  "allocation-fails",     constant_fails  },
    {"instance_create", "allocation-fails",     instance_fails  },
    {"run",             "allocation-fails",     run_fails       },
    {"run",             "chain-without-memory", run_chain_fails },
    {"run",             "dims-without-memory",  run_dims_fails  },
    {"run",             "of-an-exec-no-memory", core_run_fails  },
    {"alloc",           "allocation-fails",     memory_fails    },
    {"stream_create",   "allocation-fails",     streams_fail    },
    {"serialize",       "allocation-fails",     serial_fails    },
};
const abi_cases abi_fault_cases = {rows, sizeof rows / sizeof *rows};
