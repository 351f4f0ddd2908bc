/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a segment, shared by segment.c (life, runs), key.c (signatures), entry.c (bindings)
 * and slice.c.
 */
#ifndef FERI_SPECIALIZE_SEGMENT_H
#define FERI_SPECIALIZE_SEGMENT_H

#include "specialize/specialize.h"

/* A specialisation at one signature: dtype, rank and dims of every input, and the contents of those
 * that decide. */
typedef struct feri_entry {
    feri_spec *spec;
    feri_binding *binding;
    uint8_t *signature;
    uint64_t signature_bytes;
    uint64_t tick;        /* of the last slow look-up */
    uint32_t bound_count; /* slots whose state is bound to it: it stays while there are any */
    struct feri_entry *link;
} feri_entry;

/* A run state and who has it. entry and state change only while busy is held under the segment's
 * lock. */
typedef struct feri_state_slot {
    atomic_uint busy;
    feri_run_state *state;
    feri_entry *entry; /* what state is bound to */
} feri_state_slot;

fer_status feri_slice_inputs(const fer_graph *graph, uint8_t *out_decides);

/* ---- signatures (key.c) ---- */

/* ONE_DIM: they differ in dims of one symbol only. */
enum { FERI_KEYS_EQUAL, FERI_KEYS_ONE_DIM, FERI_KEYS_DIFFERENT };

/* Bytes of an input's contents that belong to its signature. */
uint64_t
feri_signature_contents(const feri_segment *segment, uint32_t index, const fer_tensor *tensor);
/* FERI_KEYS_...; out_place is where a ONE_DIM difference is. */
int feri_signature_compare(const feri_segment *segment,
                           const uint8_t *signature,
                           int with_contents,
                           const feri_arg *inputs,
                           feri_dim_place *out_place);
/* Whether dims are one, or of the same symbol. */
int feri_same_symbol(const feri_segment *segment, feri_dim_place a, feri_dim_place b);
/* 1 when the entry is for these inputs. */
int feri_entry_matches(const feri_segment *segment,
                       const feri_entry *entry,
                       const feri_arg *inputs);
/* Makes an entry, compiling when needed. Segment lock held. */
fer_status feri_entry_create(feri_segment *segment,
                             feri_run *run,
                             const feri_arg *inputs,
                             feri_entry **out_entry);
void feri_entry_destroy(feri_segment *segment, feri_entry *entry);
/* Tries the symbolic specialisation; segment->symbolic tells how it went. */
fer_status feri_segment_try_symbolic(feri_segment *segment, feri_run *run);

#endif
