/* SPDX-License-Identifier: Apache-2.0
 *
 * Eight threads at once in slots that are marked [concurrent], in instances of one exec, and in
 * backends of their own. Slots that are not marked are called under one lock, as a host does.
 */
#include "abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct crew {
    int (*body)(void *with, uint32_t thread, char *sentence);
    void *with;
    pthread_barrier_t begin;
} crew;
typedef struct member {
    crew *of;
    uint32_t thread;
    int result;
    char sentence[200];
} member;

static void *member_run(void *object) {
    member *self = object;
    (void)pthread_barrier_wait(&self->of->begin);
    self->result = self->of->body(self->of->with, self->thread, self->sentence);
    return NULL;
}

void abi_eight(abi *self, int (*body)(void *with, uint32_t thread, char *sentence), void *with) {
    crew all = {.body = body, .with = with};
    member members[ABI_THREADS] = {0};
    pthread_t threads[ABI_THREADS];
    (void)pthread_barrier_init(&all.begin, NULL, ABI_THREADS);
    for (uint32_t i = 0; i < ABI_THREADS; i++) {
        members[i] = (member){.of = &all, .thread = i};
        if (pthread_create(&threads[i], NULL, member_run, &members[i]) != 0) {
            (void)fputs("ferrule: no thread can be made\n", stderr);
            exit(5); /* those that wait for the others cannot be ended */
        }
    }
    for (uint32_t i = 0; i < ABI_THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    (void)pthread_barrier_destroy(&all.begin);
    for (uint32_t i = 0; i < ABI_THREADS; i++) {
        if (members[i].result != 0) {
            abi_fail(self, "from eight threads at once: %s", members[i].sentence);
        }
    }
}

/* What a thread says when a slot failed there. */
static int failed(char *sentence, fer_status status, const char *what) {
    (void)snprintf(
        sentence, 200, "%s: %s: %.100s", what, fer_status_name(status), fer_error_last()->message);
    return 1;
}

typedef struct shared {
    abi_all all;
    pthread_mutex_t lock; /* for slots that are not marked */
    abi_exec own[ABI_THREADS];
    void *event;
    atomic_int ready;
} shared;

static void shared_open(abi *self, int32_t kind, shared *out) {
    memset(out, 0, sizeof *out);
    (void)pthread_mutex_init(&out->lock, NULL);
    abi_all_open(self, kind, &out->all);
}

static void shared_close(shared *self) {
    abi_all_close(&self->all);
    (void)pthread_mutex_destroy(&self->lock);
}

/* ---- compiling ---- */

static int ask_body(void *with, uint32_t thread, char *sentence) {
    shared *self = with;
    (void)thread;
    for (int i = 0; i < 200; i++) {
        fer_support support = {.struct_size = sizeof support};
        fer_status status = self->all.life.m->core->op_supported(
            self->all.life.device, &self->all.graph.graph, 0, &support);
        if (status != FER_OK) {
            return failed(sentence, status, "op_supported");
        }
        if (!support.supported) {
            (void)snprintf(sentence, 200, "op_supported says no: %.150s", support.reason);
            return 1;
        }
    }
    return 0;
}

static int compile_body(void *with, uint32_t thread, char *sentence) {
    shared *self = with;
    abi_life *life = &self->all.life;
    (void)thread;
    int rounds = life->host->is_quick ? 200 : 40;
    for (int i = 0; i < rounds; i++) {
        void *exec = NULL;
        uint64_t bytes = 0;
        fer_status status = life->m->core->compile(life->device, &self->all.graph.graph, &exec);
        if (status != FER_OK) {
            return failed(sentence, status, "compile");
        }
        status = life->m->core->workspace_bytes(life->device, exec, NULL, &bytes);
        (void)pthread_mutex_lock(&self->lock);
        life->m->core->exec_destroy(life->device, exec);
        (void)pthread_mutex_unlock(&self->lock);
        if (status != FER_OK) {
            return failed(sentence, status, "workspace_bytes");
        }
    }
    return 0;
}

/* One exec for all. */
static int exec_body(void *with, uint32_t thread, char *sentence) {
    shared *self = with;
    abi_life *life = &self->all.life;
    (void)thread;
    int rounds = self->all.life.host->is_quick ? 400 : 60;
    for (int i = 0; i < rounds; i++) {
        void *instance = NULL;
        uint64_t bytes = 0;
        fer_weight_layout layout = {.struct_size = sizeof layout};
        fer_instance_args args = {.struct_size = sizeof args,
                                  .weights = self->all.exec.weights,
                                  .stream = self->all.exec.stream};
        fer_status status =
            life->m->core->workspace_bytes(life->device, self->all.exec.exec, NULL, &bytes);
        if (status == FER_OK) {
            status =
                life->m->compiler->weight_layout(life->device, self->all.exec.exec, 0, &layout);
        }
        if (status == FER_OK) {
            status = life->m->instances->instance_create(
                life->device, self->all.exec.exec, &args, &instance);
        }
        if (status != FER_OK) {
            return failed(sentence, status, "workspace_bytes, weight_layout or instance_create");
        }
        (void)pthread_mutex_lock(&self->lock);
        life->m->instances->instance_destroy(life->device, instance);
        (void)pthread_mutex_unlock(&self->lock);
    }
    return 0;
}

static void
with_shared(abi *self, int32_t kind, int (*body)(void *with, uint32_t thread, char *sentence)) {
    static shared all;
    shared_open(self, kind, &all);
    abi_eight(self, body, &all);
    abi_exec_must(&all.all.exec, 1);
    shared_close(&all);
}

/* The same with little else to do: what is not atomic in the backend is met more often. */
static void
at_speed(abi *self, int32_t kind, int (*body)(void *with, uint32_t thread, char *sentence)) {
    self->host->is_quick = 1;
    for (int i = 0; i < 4; i++) {
        with_shared(self, kind, body);
    }
}

static void compile_at_speed(abi *self) { at_speed(self, ABI_CONSTANT, compile_body); }
static void exec_at_speed(abi *self) { at_speed(self, ABI_CONSTANT, exec_body); }
static void support_eight(abi *self) { with_shared(self, ABI_PLAIN, ask_body); }
static void compile_eight(abi *self) { with_shared(self, ABI_CHAIN, compile_body); }
static void compile_one_eight(abi *self) { with_shared(self, ABI_PLAIN, compile_body); }
static void exec_eight(abi *self) { with_shared(self, ABI_CONSTANT, exec_body); }

/* ---- running ---- */

/* Each thread with an exec, instance, stream and memory of its own. */
static int run_body(void *with, uint32_t thread, char *sentence) {
    shared *self = with;
    abi_exec *own = &self->own[thread];
    for (uint64_t i = 0; i < 100; i++) {
        fer_status status = abi_exec_run(own, i * ABI_THREADS + thread);
        if (status != FER_OK) {
            return failed(sentence, status, "run");
        }
        if (own->wrong[0] != '\0') {
            (void)snprintf(sentence, 200, "%s", own->wrong);
            return 1;
        }
    }
    return 0;
}

static void runs_eight(abi *self, int32_t kind, int shares_exec) {
    static shared all;
    shared_open(self, kind, &all);
    abi_life *life = &all.all.life;
    void *own[ABI_THREADS] = {NULL};
    for (uint32_t i = 0; i < ABI_THREADS; i++) {
        abi_exec_make(life, &all.all.graph, &all.own[i]);
        if (shares_exec) { /* an instance of the one exec instead */
            fer_instance_args args = {.struct_size = sizeof args,
                                      .weights = all.own[i].weights,
                                      .stream = all.own[i].stream};
            own[i] = all.own[i].instance;
            abi_ok(self,
                   life->m->instances->instance_create(
                       life->device, all.all.exec.exec, &args, &all.own[i].instance),
                   "instance_create");
        }
    }
    abi_eight(self, run_body, &all);
    for (uint32_t i = 0; i < ABI_THREADS; i++) {
        if (shares_exec) {
            if (all.own[i].stream != NULL) {
                life->m->async->stream_destroy(life->device, all.own[i].stream);
                all.own[i].stream = NULL;
            }
            life->m->instances->instance_destroy(life->device, all.own[i].instance);
            all.own[i].instance = own[i];
        }
        abi_exec_finish(&all.own[i]);
    }
    abi_exec_must(&all.all.exec, 1);
    shared_close(&all);
}

static void run_at_speed(abi *self) {
    self->host->is_quick = 1;
    for (int i = 0; i < 5; i++) {
        runs_eight(self, ABI_CONSTANT, 1);
    }
}

static void run_eight(abi *self) { runs_eight(self, ABI_PLAIN, 1); }
static void run_constant_eight(abi *self) { runs_eight(self, ABI_CONSTANT, 1); }
static void run_execs_eight(abi *self) { runs_eight(self, ABI_PLAIN, 0); }

/* ---- memory ---- */

static int memory_body(void *with, uint32_t thread, char *sentence) {
    abi_life *life = with;
    const fer_backend_memory *slots = life->m->memory;
    for (uint32_t i = 0; i < 100; i++) {
        unsigned char data[512], got[512];
        fer_mem mem = {0}, second = {0};
        fer_mem from = {NULL, 0, sizeof data, data}, to = {NULL, 0, sizeof got, got};
        memset(data, (int)(thread * 16 + i % 16), sizeof data);
        fer_status status = slots->alloc(life->device, sizeof data, 64, FER_MEM_DEVICE, &mem);
        if (status != FER_OK) {
            return failed(sentence, status, "alloc");
        }
        status = slots->alloc(life->device, sizeof data, 64, FER_MEM_DEVICE, &second);
        if (status != FER_OK) {
            return failed(sentence, status, "alloc");
        }
        status = slots->copy(life->device, &mem, &from, sizeof data);
        status = status == FER_OK ? slots->copy(life->device, &second, &mem, sizeof data) : status;
        status = status == FER_OK ? slots->copy(life->device, &to, &second, sizeof data) : status;
        slots->free(life->device, &mem);
        slots->free(life->device, &second);
        if (status != FER_OK) {
            return failed(sentence, status, "copy");
        }
        if (memcmp(data, got, sizeof data) != 0) {
            (void)snprintf(sentence, 200, "bytes that were copied in do not come out again");
            return 1;
        }
    }
    return 0;
}

static void memory_eight(abi *self) {
    abi_life life;
    abi_life_open(self, &life);
    abi_eight(self, memory_body, &life);
    abi_life_close(&life);
}

static void memory_at_speed(abi *self) {
    self->host->is_quick = 1;
    for (int i = 0; i < 5; i++) {
        memory_eight(self);
    }
}

/* ---- events ---- */

static void count_ready(void *object, fer_status status) {
    shared *self = object;
    atomic_fetch_add(&self->ready, status == FER_OK);
}

static int event_body(void *with, uint32_t thread, char *sentence) {
    shared *self = with;
    const abi_life *life = &self->all.life;
    const fer_backend_async *async = life->m->async;
    if (thread % 2) {
        fer_status status = async->event_wait(life->device, self->event, 10000000000U);
        return status == FER_OK ? 0 : failed(sentence, status, "event_wait");
    }
    fer_status status = FER_NOT_READY;
    for (int i = 0; i < 100000 && status == FER_NOT_READY; i++) {
        status = async->event_query(life->device, self->event);
    }
    return status == FER_OK || status == FER_NOT_READY ? 0
                                                       : failed(sentence, status, "event_query");
}

static void event_eight(abi *self) {
    static shared all;
    shared_open(self, ABI_LONG, &all);
    abi_life *life = &all.all.life;
    if (all.all.exec.stream == NULL) {
        shared_close(&all);
        abi_skip(self, "it has no async level");
    }
    for (uint64_t i = 0; i < 10; i++) {
        abi_ok(self, abi_exec_feed(&all.all.exec, i), "filling the inputs");
        fer_run_args args = abi_exec_args(&all.all.exec);
        args.out_signal = &all.event;
        atomic_store(&all.ready, 0);
        abi_ok(self, life->m->instances->run(life->device, all.all.exec.instance, &args), "run");
        abi_ok(self,
               life->m->async->event_on_ready(life->device, all.event, count_ready, &all),
               "event_on_ready");
        abi_eight(self, event_body, &all);
        abi_ok(
            self, life->m->async->event_wait(life->device, all.event, 10000000000U), "event_wait");
        for (int spin = 0; spin < 2000 && atomic_load(&all.ready) == 0; spin++) {
            struct timespec little = {0, 1000000};
            (void)nanosleep(&little, NULL);
        }
        if (atomic_load(&all.ready) != 1) {
            abi_fail(self, "event_on_ready called %d times", atomic_load(&all.ready));
        }
        life->m->async->event_destroy(life->device, all.event);
        all.event = NULL;
        abi_ok(self, abi_exec_check(&all.all.exec, i), "reading the output");
        if (all.all.exec.wrong[0] != '\0') {
            abi_fail(self, "%s", all.all.exec.wrong);
        }
    }
    shared_close(&all);
}

/* ---- whole lives ---- */

/* Devices of several backends, each by one thread. */
static int life_body(void *with, uint32_t thread, char *sentence) {
    abi *self = with;
    for (uint64_t i = 0; i < 15; i++) {
        abi_life life;
        abi_graph graph;
        abi_exec exec;
        fer_status status = abi_life_try(self, &life);
        if (status != FER_OK) {
            return failed(sentence, status, "create and device_open");
        }
        if (abi_graph_find(&life, ABI_PLAIN, &graph)) {
            status = abi_exec_try(&life, &graph, &exec);
            if (status == FER_OK) {
                status = abi_exec_run(&exec, i + thread);
                (void)snprintf(sentence, 200, "%s", exec.wrong);
                abi_exec_finish(&exec);
            }
        }
        abi_life_close(&life);
        if (status != FER_OK) {
            return failed(sentence, status, "an exec's life");
        }
        if (sentence[0] != '\0') {
            return 1;
        }
    }
    return 0;
}

static void lives_eight(abi *self) { abi_eight(self, life_body, self); }
static void lives_at_speed(abi *self) {
    self->host->is_quick = 1;
    for (int i = 0; i < 5; i++) {
        abi_eight(self, life_body, self);
    }
}

/* ---- observing ---- */

static int observe_body(void *with, uint32_t thread, char *sentence) {
    const abi_life *life = with;
    (void)thread;
    for (int i = 0; i < 200; i++) {
        fer_device_counters counters = {.struct_size = sizeof counters};
        uint64_t device_ns = 0, host_ns = 0;
        fer_status status = life->m->observe->counters(life->device, &counters);
        status =
            status == FER_OK ? life->m->observe->clock(life->device, &device_ns, &host_ns) : status;
        if (status != FER_OK) {
            return failed(sentence, status, "counters or clock");
        }
    }
    return 0;
}

static void observe_eight(abi *self) {
    abi_life life;
    abi_life_open(self, &life);
    abi_eight(self, observe_body, &life);
    abi_life_close(&life);
}

static const abi_case rows[] = {
    {"create",          "eight-threads",  lives_eight       },
    {"create",          "eight-at-speed", lives_at_speed    },
    {"compile",         "eight-at-speed", compile_at_speed  },
    {"instance_create", "eight-at-speed", exec_at_speed     },
    {"run",             "eight-at-speed", run_at_speed      },
    {"alloc",           "eight-at-speed", memory_at_speed   },
    {"op_supported",    "eight-threads",  support_eight     },
    {"compile",         "eight-threads",  compile_one_eight },
    {"compile",         "eight-chains",   compile_eight     },
    {"instance_create", "eight-threads",  exec_eight        },
    {"run",             "eight-threads",  run_eight         },
    {"run",             "eight-constant", run_constant_eight},
    {"run",             "eight-execs",    run_execs_eight   },
    {"alloc",           "eight-threads",  memory_eight      },
    {"event_wait",      "eight-threads",  event_eight       },
    {"counters",        "eight-threads",  observe_eight     },
};
const abi_cases abi_thread_cases = {rows, sizeof rows / sizeof *rows};
