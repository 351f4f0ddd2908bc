/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference backend from the inside: what a kernel sees and the rows by which it is found.
 * Kernels are written to be obviously right: floats are computed in f64 and rounded once on store,
 * integers in i64/u64. A family of ops is one file with one table; families.def lists the tables.
 */
#ifndef FERI_REF_REF_H
#define FERI_REF_REF_H

#include "ferrule/backend.h"
#include "ferrule/op_selection.h"

#include <stddef.h>

/* A dense row-major tensor at run time; data may be unaligned. */
typedef struct feri_ref_tensor {
    fer_dtype dtype;
    uint32_t rank;
    uint64_t count; /* elements */
    uint64_t bytes; /* of memory, at the bound dims; 0 in tensors that kernels make up */
    uint8_t *data;
    int64_t dims[FER_MAX_RANK];
} feri_ref_tensor;

/* One node about to run. */
typedef struct feri_ref_call {
    const fer_host *host;
    const fer_poll *poll;
    const fer_node_view *node;
    feri_ref_tensor *const *in; /* NULL where an operand is left out; node->input_count entries */
    feri_ref_tensor *const
        *out;     /* NULL where nobody wants it. Dims and count are set by the host's inference, for
                     data-dependent ops to the upper bound: the kernel then sets dims and count */
    void *params; /* kernel's params_bytes, zeroed before bind, kept until dims change */
    void *scratch;            /* scratch_bytes, aligned to 64 */
    uint64_t work_since_poll; /* see feri_ref_poll */
    fer_status status;        /* first failure of feri_ref_fail or feri_ref_poll: it sticks, so a
                                 kernel may go on to where it asks next */
    uint64_t scratch_bytes;   /* what the kernel needs: set by bind, 0 before it */
} feri_ref_call;

typedef struct feri_ref_kernel {
    uint16_t op;       /* FER_OP_... */
    uint16_t revision; /* highest known */
    uint32_t params_bytes;
    fer_status (*run)(feri_ref_call *call);
    /* Optional: once dims are known, fill params from attributes and dims, and say what scratch is
     * needed. Contents of operands are not there yet, except that constants' and host values' data
     * are. Also the place to refuse dims that do not fit (INVALID_INPUT). */
    fer_status (*bind)(feri_ref_call *call);
} feri_ref_kernel;

/* Why a node cannot be run (a clause), NULL when it can: of the few ops that do not take every node
 * that the op table allows. ref_backend.c lists them. */
const char *feri_ref_refuse_resize(const fer_subgraph *graph, const fer_node_view *node);
const char *feri_ref_refuse_scatter(const fer_subgraph *graph, const fer_node_view *node);

/* An op of a family whose one kernel serves them all. */
typedef struct feri_ref_op {
    uint16_t op;
    uint16_t revision;
} feri_ref_op;

/* A row of a table by op, unless this build leaves the op out. Tables of kernels and lists of ops
 * end with FERI_REF_END, so that they are never empty. */
#define FERI_REF_ROW(ident, ...) FERI_OP_ROW(ident, {FER_OP_##ident, __VA_ARGS__}, )
#define FERI_REF_KERNEL(ident, highest, ...)                                                       \
    FERI_OP_ROW(ident, {.op = FER_OP_##ident, .revision = (highest), __VA_ARGS__}, )
#define FERI_REF_END                                                                               \
    { .op = FER_OP_NONE }

/* op is ident, which never holds in a build without it: its code goes then. */
#define FERI_REF_IS(op, ident) (FERI_HAS_OP(ident) && (op) == FER_OP_##ident)

typedef struct feri_ref_entry {
    const feri_ref_kernel *kernel; /* NULL: ref does not have the op */
    uint32_t op;
    uint32_t revision; /* highest known */
} feri_ref_entry;
feri_ref_entry feri_ref_find(uint32_t op);
/* Enters all ops with their revisions where claims is not NULL; answers how many there are. */
uint32_t feri_ref_claims(fer_op_claim *claims);

/* Counts inner operations and asks the host at least every 65,536 of them, as long as kernels
 * report at most 4,096 at a time. Answers call->status. */
fer_status feri_ref_poll(feri_ref_call *call, uint64_t operations);

/* A loop over total elements in pieces of at most FERI_REF_CHUNK, with a poll for each; it ends
 * early when the call has failed:
 *
 *     feri_ref_piece p = {.total = n};
 *     while (feri_ref_next(call, &p)) { ... p.begin, p.count ... }
 *     return call->status;
 */
#define FERI_REF_CHUNK 256u
typedef struct feri_ref_piece {
    uint64_t begin;
    uint64_t count;
    uint64_t total;
} feri_ref_piece;
int feri_ref_next(feri_ref_call *call, feri_ref_piece *piece);

/* Fails with the node's name in front; message is a clause. The second form is INVALID_INPUT. */
fer_status feri_ref_fail(feri_ref_call *call, fer_status status, const char *message);
fer_status feri_ref_misfit(feri_ref_call *call, const char *message);

/* INVALID_INPUT for shapes, axes and attributes that do not fit each other. The host's inference
 * has refused them before, naming what is wrong: only a host that is at fault sees this. What
 * follows from contents of operands, and what inference allows, gets a sentence of its own. */
fer_status feri_ref_unfit(feri_ref_call *call);

/* Kernels read operands whose contents decide shapes (axes, starts, ...) in run, or in bind: steps
 * that read a FER_VALUE_HOST input are bound again before every run. */

/* Attributes with the op's default for absent ones. */
const fer_attr *feri_ref_attr(const fer_node_view *node, const char *name);
int64_t feri_ref_int(const fer_node_view *node, const char *name, int64_t absent);
double feri_ref_float(const fer_node_view *node, const char *name, double absent);
const char *feri_ref_string(const fer_node_view *node, const char *name, const char *absent);
/* 1 when the attribute (or, without it, absent) equals text; strings need no NUL. */
int feri_ref_string_is(const fer_node_view *node,
                       const char *name,
                       const char *absent,
                       const char *text);
/* Index of a name among names, "first, second" (as inference lists them, so that the text is there
 * once); -1: none. compare: as strncmp. */
int feri_ref_find_name(const char *names,
                       const char *name,
                       uint64_t length,
                       int (*compare)(const char *, const char *, size_t));
/* The same of a string attribute's value, 0 when it is absent. */
int feri_ref_name_index(feri_ref_call *call, const char *attr, const char *names);
/* Bits per element; 1 for a float, 2 for a signed, 3 for an unsigned integer, 4 bool, 5 complex
 * class. */
uint32_t feri_ref_bits(fer_dtype dtype);
int feri_ref_is_float(fer_dtype dtype);
int feri_ref_is_signed(fer_dtype dtype);

#endif
