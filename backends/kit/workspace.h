/* SPDX-License-Identifier: Apache-2.0
 *
 * The workspace planner: where the values between a subgraph's nodes live. Nodes run in their
 * order; a value that is no input, output or constant lives from the node that makes it to the last
 * that reads it. feri_kit_lives finds those once, at compile; feri_kit_plan places them for one
 * tuple of dim values through host->plan_memory. Called by backends; owns only what it says.
 */
#ifndef FERI_KIT_WORKSPACE_H
#define FERI_KIT_WORKSPACE_H

#include "ferrule/backend.h"

#define FERI_KIT_WORKSPACE_ALIGNMENT 64

typedef struct feri_kit_life {
    uint32_t value; /* index into the subgraph's values */
    uint32_t first; /* node that makes it */
    uint32_t last;  /* last node that reads it, first if none does */
} feri_kit_life;

/* Intermediates of graph in the order they are made. Fills at most value_count entries of out_lives
 * (which the caller allocated) and returns how many. scratch holds value_count entries; its
 * contents afterwards mean nothing. */
uint32_t feri_kit_lives(const fer_subgraph *graph, feri_kit_life *out_lives, uint32_t *scratch);

/* Places lives: out_offsets[i] for lives[i], and the bytes of the whole workspace. Allocates and
 * frees through host while it works. INVALID_INPUT when dims do not resolve, LIMIT when a size
 * overflows. */
fer_status feri_kit_plan(const fer_host *host,
                         const fer_subgraph *graph,
                         const feri_kit_life *lives,
                         uint32_t life_count,
                         const int64_t *dim_values,
                         uint64_t *out_offsets,
                         uint64_t *out_bytes);

#endif
