/* SPDX-License-Identifier: Apache-2.0
 *
 * Who runs what: devices claim nodes in the policy's order, the host takes what only it can run,
 * and convex regions are grown. Nothing is decided silently: each node keeps the reasons of the
 * devices that refused it.
 */
#ifndef FERI_PARTITION_PARTITION_H
#define FERI_PARTITION_PARTITION_H

#include "partition/view.h"

enum { FERI_ON_HOST = -1 };

/* A policy with its names resolved. Lives as long as the program. */
typedef struct feri_policy {
    fer_device **devices; /* in order of preference, retained by the program's context */
    uint32_t device_count;
    int32_t fallback;
    const fer_pin *pins;
    uint32_t pin_count;
    const fer_share *shares;
    uint32_t share_count;
} feri_policy;

typedef struct feri_region {
    int32_t device; /* index into policy, or FERI_ON_HOST: then one node */
    uint32_t node_count;
    uint32_t *nodes; /* indices into the graph */
} feri_region;

/* Where a node went and why. */
typedef struct feri_placed {
    const char *reason; /* what the devices before its own said, "" if none was asked */
    double work;
    int32_t device;      /* as a region's */
    uint32_t view_index; /* in the view that devices claim from, UINT32_MAX for host nodes */
    uint8_t expands;     /* it should be replaced by its expansion first */
} feri_placed;

typedef struct feri_partition {
    feri_region *regions; /* in an order they can run in */
    uint32_t region_count;
    uint8_t needs_numbers;   /* a device refused run-time dims: specialise with numbers instead */
    uint8_t needs_expansion; /* some node expands */
    feri_placed *nodes;
} feri_partition;

/* Claims and places. sessions[i] is the open session of policy device i, or NULL when that device
 * is lost. Everything in bump. UNSUPPORTED names op and node that nobody runs; PLACEMENT a refused
 * fallback, pin or share. */
fer_status feri_partition_build(const fer_graph *graph,
                                const feri_policy *policy,
                                feri_session *const *sessions,
                                feri_bump *bump,
                                feri_partition *out_partition);

/* 1 when only the host can run the node: control flow, sequences, optionals, strings. */
int feri_node_is_host(const fer_graph *graph, const feri_gnode *node);

#endif
