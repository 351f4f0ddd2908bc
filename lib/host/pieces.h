/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors put together from pieces and taken apart: slices of a scan, stacks of a loop's outputs,
 * joined sequences. Any dtype: strings and packed sub-byte elements too. Used inside lib/host only.
 */
#ifndef FERI_HOST_PIECES_H
#define FERI_HOST_PIECES_H

#include "host/host_call.h"

/* A tensor in the making. Strings stay borrowed from their sources until the end. */
typedef struct feri_assembly {
    feri_env *env;
    fer_dtype dtype;
    uint32_t rank;
    uint64_t element_count;
    fer_tensor *tensor; /* not for strings */
    const char **strings;
    size_t *lengths;
    int64_t dims[FER_MAX_RANK];
} feri_assembly;
fer_status feri_assembly_begin(
    feri_assembly *assembly, feri_env *env, fer_dtype dtype, uint32_t rank, const int64_t *dims);
/* count elements of source (host memory, same dtype) from flat index from to flat index at; the
 * caller keeps both in range. */
fer_status feri_assembly_copy(
    feri_assembly *assembly, uint64_t at, const fer_tensor *source, uint64_t from, uint64_t count);
/* The tensor where status is OK, else status; the assembly is finished, on failure too. */
fer_status feri_assembly_end(feri_assembly *assembly, fer_status status, fer_tensor **out_tensor);

/* Indices [begin, begin + length) of an axis, in range; drops_axis wants length 1. Shares memory
 * where may_share and the piece is one run of whole bytes. source is in host memory. */
typedef struct feri_take {
    uint32_t axis;
    int64_t begin;
    int64_t length;
    uint8_t drops_axis;
    uint8_t may_share;
} feri_take;
fer_status feri_take_piece(fer_tensor *source, const feri_take *take, fer_tensor **out_tensor);

/* Joins count >= 1 tensors along an axis (nonnegative, checked here against their rank), which is
 * new when is_new_axis. INVALID_INPUT with the node's name when dtypes or dims do not fit. */
fer_status feri_join_pieces(feri_host_call *call,
                            fer_tensor *const *pieces,
                            uint64_t count,
                            int64_t axis,
                            int is_new_axis,
                            fer_tensor **out_tensor);

/* Equal tensors, one per trip, that become one tensor with a new axis. Numbers are copied into
 * memory that grows, strings are kept. */
typedef struct feri_stack {
    uint64_t count, capacity;
    uint64_t slice_bytes;
    fer_tensor *first; /* gives dtype and dims */
    feri_buffer *data; /* slice after slice; of strings the tensors, retained */
} feri_stack;

/* A body run trip after trip (Loop, Scan): states of any kind go from one to the next, the outputs
 * behind them are stacked. */
typedef struct feri_rounds {
    feri_host_call *call;
    feri_stack *stacks;           /* stack_count */
    uint32_t operand;             /* the node's first one that is a state */
    uint32_t state_in, state_out; /* the body's first input and output that are */
    uint32_t state_count, stack_count;
    uint64_t trips; /* done */
    feri_host_body body;
} feri_rounds;
/* Feeds the first trip; body and the state's places are set. */
fer_status feri_rounds_open(feri_rounds *rounds);
/* After a run of the body: states for the next one, slices onto the stacks. expected: how many
 * trips there will be, 0 when unknown. */
fer_status feri_rounds_next(feri_rounds *rounds, uint64_t expected);
/* Gives the results when status is OK and ends the rounds, however far they came. */
fer_status feri_rounds_end(feri_rounds *rounds, fer_status status);
/* An entry of a list attribute, 0 where it has none. */
int64_t feri_rounds_entry(const feri_host_call *call, const char *name, uint32_t index);

#endif
