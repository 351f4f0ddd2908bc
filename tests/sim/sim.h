/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated accelerator, from the side of the test: three chips of one process that backends made
 * from sim_backend_open (every level) and sim_plain_open (level 0 and memory only, one node at a
 * time) see as sim:0.. and simplain:0... Their memory is reached through handles that fault when
 * used as addresses. Settings belong to a chip and hold for all contexts; sim_reset puts everything
 * back. What a host may not do (use of freed or foreign memory, freeing what a kernel still uses,
 * unprepared weights) is counted as a violation. Every function may be called from any thread.
 */
#ifndef FERRULE_TESTS_SIM_H
#define FERRULE_TESTS_SIM_H

#include "ferrule/backend.h"

enum { SIM_CHIPS = 3 };

/* Zero is the default everywhere. */
typedef struct sim_config {
    uint64_t memory_bytes;      /* of the chip (64 MiB) */
    const fer_op_claim *claims; /* a list of the test's own, static (NULL: Add Concat Conv Identity
                                   MatMul Mul Neg NonZero Relu Reshape Softmax Sub Transpose) */
    uint32_t claim_count;
    uint32_t asks;             /* 1: op_claims gives no list, op_supported is asked about all */
    uint32_t no_dynamic_dims;  /* 1: refuses dims known only at run time */
    uint32_t row_major;        /* 1: no weight layout of its own */
    uint32_t no_peer;          /* 1: copy_peer is UNSUPPORTED */
    uint32_t no_map;           /* 1: map is UNSUPPORTED */
    uint32_t finishes_at_once; /* 1: runs and async copies are done when they return, event NULL */
    uint32_t is_silent;        /* 1: failures come without a sentence */
    uint32_t kernel_ns;        /* every kernel takes this much longer */
    uint32_t buffer_alignment; /* told to the host (256) */
} sim_config;

/* Counted from sim_inject on; 1 is the next one, 0 never. Each happens once. */
typedef struct sim_faults {
    uint32_t alloc_fails_at;     /* OUT_OF_MEMORY from alloc */
    uint32_t open_fails_at;      /* DEVICE_LOST from device_open */
    uint32_t compile_fails_at;   /* BACKEND from compile */
    uint32_t prepare_fails_at;   /* BACKEND from weight_prepare */
    uint32_t copy_fails_at;      /* BACKEND from copy, or the event of copy_async */
    uint32_t kernel_fails_at;    /* BACKEND from a run's event */
    uint32_t kernel_hangs_at;    /* until cancelled, released or its stream destroyed */
    uint32_t lost_at_kernel;     /* the chip is lost while the kernel runs */
    uint32_t lost_at_call;       /* the chip is lost at a call of any slot that can say so */
    uint32_t dims_wrong_at;      /* a run that returns dims returns one too many */
    uint32_t dims_negative_at;   /* a run that returns dims returns -1 */
    uint32_t layout_wrong_at;    /* weight_layout asks for more bytes than there can be */
    uint32_t workspace_wrong_at; /* workspace_bytes wants more than there can be */
    uint32_t not_ready_at;       /* a run answers NOT_READY, which only events may */
    uint32_t map_fails_at;       /* BACKEND from map */
    uint32_t ignores_cancel;     /* 1: a hanging kernel does */
    uint32_t tells_loss;         /* 1: loss is told through host->lost from where it happens */
} sim_faults;

typedef struct sim_stats {
    uint64_t opens, allocs, frees, compiles, prepares, kernels, nodes, runs_async, runs_waited;
    uint64_t copies_in, copies_out, copies_within, copies_peer, copies_async, cancels, trims, maps;
    uint64_t live_bytes;
} sim_stats;

/* The entries, for fer_backend_register. */
fer_status sim_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out_module);
fer_status sim_plain_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out_module);

/* Configuration, faults and counts of all chips back to zero, hangs released. */
void sim_reset(void);
void sim_configure(uint32_t chip, const sim_config *config);
void sim_inject(uint32_t chip, const sim_faults *faults);
/* Lets kernels that hang go on. */
void sim_release(void);
/* Kernels that hang now, on all chips. */
uint32_t sim_hanging(void);
/* The chip is lost now: all its open devices are. */
void sim_lose(uint32_t chip, int tell_host);
sim_stats sim_get_stats(uint32_t chip);
/* Backends, devices, execs, instances, streams, events, blocks and tasks that exist. */
uint32_t sim_live(void);
/* The first violation since sim_reset, NULL if none. */
const char *sim_violation(void);
/* How far the chip's clock is ahead of CLOCK_MONOTONIC. */
uint64_t sim_clock_ahead_ns(uint32_t chip);

#endif
