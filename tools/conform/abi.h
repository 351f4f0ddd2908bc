/* SPDX-License-Identifier: Apache-2.0
 *
 * The ABI suite from the inside: a backend attacked through its table. A case opens what it needs
 * through the device's completed module with a host of its own, which guards every allocation with
 * pages that fault, fails on demand and counts; whatever is found ends the case with a sentence.
 * What is right is what backend.h says. Cases are rows of one table per file (abi_core.c, ...).
 */
#ifndef FERRULE_CONFORM_ABI_H
#define FERRULE_CONFORM_ABI_H

#include "ferrule/backend.h"
#include "verdict.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

/* ---- the host a backend is given (abi_host.c) ---- */

typedef struct abi_block abi_block;
typedef struct abi_host {
    fer_host table;       /* what the backend sees */
    const fer_host *real; /* serves conversions, threads and the arena planner */
    pthread_mutex_t lock;
    abi_block *blocks;
    uint64_t block_count, block_capacity;
    uint64_t drop_at;         /* freed blocks before it are unmapped */
    _Atomic int64_t live;     /* blocks the backend holds */
    _Atomic int64_t fails_in; /* 1: the next allocation fails; 0: none */
    atomic_int fails_on;      /* and all after it */
    int32_t is_quick;         /* plain allocations: threads meet more often in the backend */
    _Atomic uint64_t refused; /* allocations that failed on demand */
    _Atomic uint64_t lost;    /* calls of lost */
    char broken[200];         /* the first rule of memory that was broken */
} abi_host;

abi_host *abi_host_new(const fer_host *real);
/* Unmaps everything; NULL is fine. */
void abi_host_free(abi_host *self);
/* Memory that ends at a page which faults (as near as alignment allows), filled with 0xa5. NULL
 * when there is none. Not counted as the backend's. */
void *abi_guarded(abi_host *self, size_t bytes, size_t alignment);
/* A struct (struct_size first) of keep bytes only, or with ABI_TAIL bytes of tail behind it; NULL
 * when there is no memory. */
enum { ABI_TAIL = 64 };
void *abi_cut(abi_host *self, const void *full, size_t keep);
void *abi_lengthen(abi_host *self, const void *full, size_t size, int tail);
/* 1 when nothing was written behind it. */
int abi_tail_is(const void *longer, size_t size, int tail);
/* From now on it faults: the backend may not look there any more. */
void abi_guarded_close(abi_host *self, void *memory);
/* The first rule of memory that was broken, NULL if none was. */
const char *abi_host_check(abi_host *self);
/* Calls of host->fail on this thread since abi_said_reset, and the last status given. */
void abi_said_reset(void);
uint32_t abi_said(fer_status *out_status);

/* ---- a case and what it holds (abi_suite.c) ---- */

typedef struct abi {
    fer_context *context;
    const fer_backend_module *module;    /* complete: no slot is NULL */
    const fer_backend_module *reference; /* NULL: none in this build */
    const fer_host *real;
    uint32_t index;             /* of the device */
    const char *device;         /* its name */
    fer_backend_entry_fn entry; /* the module's own, NULL where its file is not known */
    char options[512];
    const char *lose; /* options that make the device pretend to be lost; NULL */
    double timeout_s;
    /* The case under way. */
    abi_host *host;
    verdict *out;
    jmp_buf end;
} abi;

typedef struct abi_case {
    const char *slot;
    const char *attack;
    void (*run)(abi *self);
} abi_case;
typedef struct abi_cases {
    const abi_case *rows;
    uint32_t count;
} abi_cases;
extern const abi_cases abi_table_cases, abi_core_cases, abi_support_cases, abi_run_cases,
    abi_memory_cases, abi_async_cases, abi_compile_cases, abi_interop_cases, abi_thread_cases,
    abi_fault_cases, abi_loss_cases;

/* Both end the case; never from a thread that the case started. */
_Noreturn void abi_fail(abi *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The device does not have what the case is about. */
_Noreturn void abi_skip(abi *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* FER_OK or the end: "what failed with X: message". */
void abi_ok(abi *self, fer_status status, const char *what);
/* A refusal: no FER_OK, a known status, host->fail called at most once and with that status. Who
 * only answers (UNSUPPORTED, NOT_READY, a poll's status) or got no memory need not call it. Counts
 * what was said since abi_said_reset. */
void abi_refused(abi *self, fer_status status, const char *what);

/* Name is what follows "abi/". 0 and a sentence when there is no such case. */
const abi_case *abi_find(const char *name);
/* "abi/slot/attack" of all that match. */
int abi_each(const case_filter *filter, case_visit visit, void *visit_self);
void abi_run(runner *self, const char *name, verdict *out);

/* ---- how the device's tables are reached (abi_access.c) ---- */

/* Opens attack(device) in context, whose tables self then has. */
fer_status abi_reach(abi *self, fer_context *context, const char *device);
/* The module's entry and options as its manifest names them; entry stays NULL where none does. */
void abi_find_entry(abi *self);

/* ---- an opened device (abi_life.c) ---- */

typedef struct abi_life {
    abi *suite;
    const fer_backend_module *m;
    abi_host *host;
    void *backend, *device;
    fer_backend_device_info info;
} abi_life;
/* A status; nothing is left open on failure. */
fer_status abi_life_try(abi *self, abi_life *out);
void abi_life_open(abi *self, abi_life *out);
void abi_life_close(abi_life *self);
static inline int abi_is_host(const abi_life *self) {
    return (self->info.flags & FER_DEVICE_HOST_MEMORY) != 0;
}

/* Memory as a host would make it for this device, and its contents. */
fer_status abi_mem_take(abi_life *self, uint64_t bytes, fer_mem *out);
void abi_mem_give(abi_life *self, const fer_mem *mem);
fer_status abi_mem_write(abi_life *self, const fer_mem *mem, const void *data, uint64_t bytes);
fer_status abi_mem_read(abi_life *self, const fer_mem *mem, void *data, uint64_t bytes);

/* ---- small graphs (abi_graph.c) ---- */

enum { ABI_SIDE = 5, ABI_VALUES = 8, ABI_NODES = 3 };
enum {
    ABI_PLAIN,    /* one node, operands are inputs */
    ABI_CONSTANT, /* its second operand is a constant */
    ABI_CHAIN,    /* three nodes in a row */
    ABI_DYNAMIC,  /* the first dim is known at the run */
    ABI_EMPTY,    /* the first dim is 0 */
    ABI_SCALAR,   /* rank 0 */
    ABI_DEEP,     /* rank 8 */
    ABI_LONG      /* 2^18 elements */
};
typedef struct abi_graph {
    fer_subgraph graph;
    char graph_tail[ABI_TAIL];
    struct {
        fer_value_view view;
        char tail[ABI_TAIL];
    } values[ABI_VALUES];
    struct {
        fer_node_view view;
        char tail[ABI_TAIL];
    } nodes[ABI_NODES];
    fer_dim dims[ABI_VALUES][FER_MAX_RANK];
    const fer_value_view *value_list[ABI_VALUES];
    const fer_node_view *node_list[ABI_NODES];
    uint32_t operands[ABI_NODES][2], results[ABI_NODES];
    uint32_t inputs[2], outputs[1], constants[1];
    float *constant; /* guarded, of the case's host */
    uint64_t constant_count;
    uint32_t op, arity;
    int32_t kind;
    fer_status asked; /* FER_OK, or how claim failed */
    int64_t rows;     /* what the first dim is at the run, where it is not fixed */
} abi_graph;
/* A graph of that kind whose nodes the device takes, or the end of life and case as not claimed. */
void abi_graph_pick(abi_life *life, int32_t kind, abi_graph *out);
/* NonZero of 5 x 5 numbers: the output's second dim is the run's to say, 25 at most. */
void abi_graph_nonzero(abi_life *life, abi_graph *out);
/* The same without ending: 1 when there is one. */
int abi_graph_find(abi_life *life, int32_t kind, abi_graph *out);
/* Pointers again, after the struct was copied. */
void abi_graph_wire(abi_graph *self);
uint64_t abi_graph_count(const abi_graph *self, uint32_t value, int64_t rows);
/* Elements of an operand for a seed, and what the graph makes of them. */
void abi_graph_fill(const abi_graph *self, uint32_t input, int64_t rows, uint64_t seed, float *out);
void abi_graph_expect(const abi_graph *self, uint64_t seed, int64_t rows, float *out);

/* ---- runs (abi_exec.c) ---- */

typedef struct abi_exec {
    abi_life *life;
    const abi_graph *graph;
    void *exec, *instance, *stream;
    fer_mem inputs[2], outputs[1], weights[1], workspace;
    int64_t dim_values[1];
    uint64_t dims_id;
    float *numbers; /* for filling and reading: the largest value */
    float *right;
    uint64_t bytes;
    fer_poll poll;
    _Atomic uint64_t polls;
    _Atomic int32_t poll_answer;
    char wrong[160]; /* how the last outputs were not right */
} abi_exec;
/* Compiles and makes all a run needs. A status; nothing is left on failure. */
fer_status abi_exec_try(abi_life *life, const abi_graph *graph, abi_exec *out);
/* The same for an exec that is there already: taken over, also on failure. */
fer_status abi_exec_adopt(abi_life *life, const abi_graph *graph, void *exec, abi_exec *out);
void abi_exec_make(abi_life *life, const abi_graph *graph, abi_exec *out);
void abi_exec_finish(abi_exec *self);
/* Arguments of a run as it is. */
fer_run_args abi_exec_args(abi_exec *self);
/* Fills the inputs from the seed, spoils the output. */
fer_status abi_exec_feed(abi_exec *self, uint64_t seed);
/* Runs the instance with args, waits for its event. */
fer_status abi_exec_go(abi_exec *self, fer_run_args *args);
/* FER_OK and self->wrong empty: the outputs are right. */
fer_status abi_exec_check(abi_exec *self, uint64_t seed);
/* Feeds, runs, checks. */
fer_status abi_exec_run(abi_exec *self, uint64_t seed);
void abi_exec_must(abi_exec *self, uint64_t seed);

/* Life, graph and exec at once, and their end. */
typedef struct abi_all {
    abi_life life;
    abi_graph graph;
    abi_exec exec;
} abi_all;
void abi_all_open(abi *self, int32_t kind, abi_all *out);
void abi_all_close(abi_all *self);

/* ---- eight threads (abi_threads.c) ---- */

enum { ABI_THREADS = 8 };
/* Runs body on eight threads that begin together; each returns 0 or has filled its sentence. The
 * first sentence ends the case. */
void abi_eight(abi *self, int (*body)(void *with, uint32_t thread, char *sentence), void *with);

#endif
