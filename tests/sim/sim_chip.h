/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator from the inside: what its files share. The world (chips, blocks, counts, faults)
 * has one lock, never held while a host's function is called or a kernel computes. Everything else
 * belongs to one backend object and lives in its host's memory, except device memory, which is the
 * chip's own.
 */
#ifndef FERRULE_TESTS_SIM_CHIP_H
#define FERRULE_TESTS_SIM_CHIP_H

#include "sim.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct sim_device sim_device;

typedef struct sim_chip {
    uint32_t index;
    sim_config config;
    sim_faults faults;
    sim_stats stats;
    uint64_t cached_bytes; /* freed, but not given back before trim */
    uint64_t busy_ns;
} sim_chip;

typedef struct sim_backend {
    const fer_host *host;
    uint32_t is_plain;
} sim_backend;

/* One opening of a chip. */
struct sim_device {
    sim_backend *backend;
    const fer_host *host;
    sim_chip *chip;
    atomic_uint is_lost;
    uint32_t is_profiled; /* the rest under the world's lock */
    uint32_t profile_length;
    char profile[2048];
    sim_device *next; /* in the world's list */
};

/* Device memory. Its handle is token, never an address. */
typedef struct sim_block {
    uintptr_t token;
    sim_device *device;
    void *data;
    uint64_t bytes;
    uint64_t mapped_bytes;
    uint32_t refs;  /* buffer handles: 1, or more when imported; world's lock */
    uint32_t users; /* queued or running work; world's lock */
    void *window;   /* while mapped */
    struct sim_block *next;
} sim_block;

typedef struct sim_event {
    atomic_uint refs;
    const fer_host *host;
    pthread_mutex_t lock;
    pthread_cond_t done;
    fer_status status; /* NOT_READY until done */
    uint64_t start_ns, end_ns;
    void (*ready)(void *self, fer_status status);
    void *ready_self;
    char message[200]; /* why it failed; "" says nothing */
    char node[100];
} sim_event;

/* ---- the world (sim_world.c) ---- */

void sim_lock(void);
void sim_unlock(void);
sim_chip *sim_chip_at(uint32_t index);
/* Adds to the count of living objects. */
void sim_count_live(int32_t by);
void sim_violate(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *sim_take(const fer_host *host, size_t bytes); /* zeroed; NULL when the host has none */
void sim_give(const fer_host *host, void *memory, size_t bytes);
fer_status sim_fail(const sim_device *device, fer_status status, const char *node, const char *why);
uint64_t sim_chip_clock(const sim_chip *chip);

/* ---- faults (sim_faults.c) ---- */

enum { SIM_GO = 0, SIM_HANG, SIM_LOSE, SIM_BREAK };
/* 1 when the counter (a field of chip->faults) reaches its fault now. */
int sim_fault_hits(sim_chip *chip, uint32_t *counter);
/* At the start of a slot that can fail: loss, injected or earlier. */
fer_status sim_enter(sim_device *device);
/* What happens to the next kernel: SIM_GO, ... */
int sim_kernel_fate(sim_chip *chip);
/* Waits as a hanging kernel does. 1: go on; 0: give up (cancelled, stream destroyed, lost). */
int sim_hang(sim_device *device, const atomic_uint *cancelled, const atomic_uint *aborted);
void sim_device_enlist(sim_device *device);
void sim_device_delist(sim_device *device);

/* ---- memory (sim_memory.c) ---- */

/* Address of a piece for the chip's own use, NULL with a violation. Host pieces (handle NULL) give
 * their address. */
void *sim_address(const sim_device *device, const fer_mem *mem, uint64_t bytes);
/* Work that uses a piece begins and ends: its block must live as long. */
void sim_use(const fer_mem *mem, int32_t by);
fer_status sim_copy_now(sim_device *device, const fer_mem *to, const fer_mem *from, uint64_t bytes);
extern const fer_backend_memory sim_memory;
fer_status sim_buffer_import(
    void *device, int32_t handle_type, uint64_t handle, uint64_t bytes, fer_mem *out_mem);
fer_status
sim_buffer_export(void *device, const fer_mem *mem, int32_t handle_type, uint64_t *out_handle);

/* ---- events and streams (sim_event.c, sim_stream.c) ---- */

sim_event *sim_event_new(const fer_host *host, uint32_t refs);
sim_event *sim_event_retain(sim_event *event);
void sim_event_release(sim_event *event);
void sim_event_finish(sim_event *event, fer_status status, const char *node, const char *message);
fer_status sim_event_status(sim_event *event);
fer_status sim_event_query(void *device, void *event);
fer_status sim_event_wait(void *device, void *event, uint64_t timeout_ns);
fer_status sim_event_on_ready(void *device,
                              void *event,
                              void (*ready)(void *self, fer_status status),
                              void *self);
void sim_event_destroy(void *device, void *event);
fer_status sim_event_times(void *device, void *event, uint64_t *out_start, uint64_t *out_end);

typedef struct sim_stream sim_stream;
/* What a stream does: work is called once on the stream's thread; message and node are the event's.
 */
typedef struct sim_task {
    fer_status (*work)(struct sim_task *task, sim_device *device);
    void (*drop)(struct sim_task *task, const fer_host *host); /* frees the task */
    sim_event *event;
    sim_event **waits;
    uint32_t wait_count;
    uint32_t wait_capacity;
    atomic_uint is_cancelled;
    const atomic_uint *is_aborted; /* the stream's */
    char message[200];
    char node[100];
    struct sim_task *next;
} sim_task;
/* Takes the task over, also on failure. */
fer_status sim_stream_put(
    sim_stream *stream, sim_task *task, void *const *waits, uint32_t wait_count, void **out_event);
extern const fer_backend_async sim_async;
fer_status sim_stream_native(void *device, void *stream, uint64_t *out_native);
fer_status sim_stream_wrap(void *device, uint64_t native, void **out_stream);

/* ---- compiling (sim_compile.c) and running (sim_run.c, sim_kernels.c) ---- */

typedef struct sim_exec {
    const fer_subgraph *graph;
    uint8_t *is_blocked; /* per constant: wanted in the chip's layout */
    void *lives;         /* feri_kit_life per intermediate value */
    uint32_t life_count;
} sim_exec;

/* A value during a run. */
typedef struct sim_operand {
    void *data;
    fer_dtype dtype;
    uint32_t rank;
    int64_t dims[FER_MAX_RANK];
    uint64_t count;
    uint32_t is_blocked;
} sim_operand;

/* Runs one node; out_dims is written by nodes that decide their size. NULL operands are left out.
 */
fer_status sim_kernel(const fer_node_view *node,
                      const sim_operand *const *in,
                      const sim_operand *const *out,
                      int64_t *out_dims);

/* The chip's layout of a matrix of k rows and n columns: a head, then blocks of four columns. */
enum { SIM_BLOCK = 4 };
typedef struct sim_block_head {
    uint32_t magic;
    uint32_t reserved;
    int64_t k, n;
} sim_block_head;
uint64_t sim_blocked_bytes(const fer_value_view *value);
#define SIM_BLOCK_MAGIC 0x424d4953u

fer_status sim_op_claims(void *device, const fer_op_claim **out_claims, uint32_t *out_count);
fer_status
sim_op_supported(void *device, const fer_subgraph *graph, uint32_t node, fer_support *out_support);
fer_status sim_compile(void *device, const fer_subgraph *graph, void **out_exec);
void sim_exec_destroy(void *device, void *exec);
fer_status
sim_workspace_bytes(void *device, void *exec, const int64_t *dim_values, uint64_t *out_bytes);
fer_status sim_run(void *device, void *exec, const fer_run_args *args);
extern const fer_backend_compiler sim_compiler;
extern const fer_backend_instances sim_instances;

#endif
