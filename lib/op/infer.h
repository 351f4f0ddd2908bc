/* SPDX-License-Identifier: Apache-2.0
 *
 * What the inference functions share: failing with the node's name, reading operands and
 * attributes that anyone may have written, setting outputs, small values. The functions themselves
 * are named in the columns infer and expand of op_table.def and declared at the end. Used inside
 * lib/op only.
 */
#ifndef FERI_OP_INFER_H
#define FERI_OP_INFER_H

#include "base/error.h"
#include "base/text.h"
#include "op/op.h"

/* INVALID_MODEL with "<Op> '<node>': " in front and the node recorded. */
fer_status feri_infer_fail(const feri_infer *call, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* The operand, NULL when left out; the result, NULL when nobody wants it. */
feri_fact *feri_infer_in(const feri_infer *call, uint32_t index);
feri_fact *feri_infer_out(const feri_infer *call, uint32_t index);

int64_t feri_infer_int(const feri_infer *call, const char *name, int64_t absent);
const char *feri_infer_string(const feri_infer *call, const char *name, const char *absent);
/* The ints of an attribute and their count; NULL and 0 when absent. */
const int64_t *feri_infer_ints(const feri_infer *call, const char *name, uint32_t *out_count);

/* The dtype an attribute names; it must be in allowed (bit per dtype). */
fer_status feri_infer_dtype_attr(
    const feri_infer *call, const char *name, fer_dtype absent, uint32_t allowed, fer_dtype *out);

/* axis in [-rank, rank) made nonnegative. */
fer_status
feri_infer_axis(const feri_infer *call, const char *what, int64_t axis, int32_t rank, int32_t *out);
/* The attribute axis, made nonnegative. */
fer_status feri_infer_axis_attr(const feri_infer *call, int64_t absent, int32_t rank, int32_t *out);
/* Operand index must have this rank, when its rank is known. */
fer_status feri_infer_rank(const feri_infer *call, uint32_t index, int32_t least, int32_t most);
/* Dims a and b must be equal; what names them in the sentence. */
fer_status feri_infer_equal(const feri_infer *call, feri_sym a, feri_sym b, const char *what);
/* Arithmetic whose overflow of numbers is INVALID_MODEL. */
fer_status feri_infer_add(const feri_infer *call, feri_sym a, feri_sym b, feri_sym *out);
fer_status feri_infer_mul(const feri_infer *call, feri_sym a, feri_sym b, feri_sym *out);
/* Two shapes broadcast, right-aligned; FER_MAX_RANK entries in out. */
fer_status feri_infer_broadcast(const feri_infer *call,
                                int32_t a_rank,
                                const feri_sym *a,
                                int32_t b_rank,
                                const feri_sym *b,
                                int32_t *out_rank,
                                feri_sym *out);
/* A dim an attribute or constant gives: must be a number >= 0 when it is one. */
fer_status feri_infer_check_dim(const feri_infer *call, feri_sym dim, const char *what);

/* Sets rank and dims (NULL: unknown ones) of a result. INVALID_MODEL when a dim is negative or the
 * elements overflow. Does nothing for a result nobody wants. */
fer_status
feri_infer_set(const feri_infer *call, uint32_t index, int32_t rank, const feri_sym *dims);
/* The same dims as an operand's. */
fer_status feri_infer_set_like(const feri_infer *call, uint32_t index, const feri_fact *like);

/* Elements of an operand, NULL when unknown; their count is the product of its dims. */
const feri_sym *feri_infer_elements(const feri_infer *call, uint32_t index, uint32_t *out_count);
/* The same as numbers: 1 when all are known, at most capacity. */
int feri_infer_numbers(
    const feri_infer *call, uint32_t index, int64_t *out, uint32_t capacity, uint32_t *out_count);
/* Room for the elements of a result whose dims were set: NULL when they cannot be carried (dtype,
 * unknown dims, more than FERI_MAX_ELEMENTS, memory). */
feri_sym *feri_infer_new_elements(const feri_infer *call, uint32_t index, uint32_t *out_count);
/* Drops the elements of a result again when none of them is known. */
void feri_infer_trim_elements(const feri_infer *call, uint32_t index);
/* Whether a value's elements could be carried. NULL: no. */
int feri_infer_is_small(const feri_fact *fact);
/* Whether a dtype can carry elements, and whether as doubles. */
int feri_infer_is_small_dtype(fer_dtype dtype);
int feri_infer_is_float(fer_dtype dtype);
/* A number as the dtype would hold it: wrapped or rounded. */
int64_t feri_infer_wrap(fer_dtype dtype, int64_t number);
double feri_infer_round(fer_dtype dtype, double value);
/* from as an element of another dtype; unknown when that is not exact integer or float work. */
feri_sym feri_infer_cast(fer_dtype from, fer_dtype to, feri_sym element);

/* Row-major strides of number dims. */
void feri_infer_strides(int32_t rank, const feri_sym *dims, int64_t *out_strides);
/* Result index reads operand in: element at offset + sum of index[d] * strides[d]. */
void feri_infer_view(
    const feri_infer *call, uint32_t out, uint32_t in, int64_t offset, const int64_t *strides);
/* Result index has the elements of operand in, in order. */
void feri_infer_pass_elements(const feri_infer *call, uint32_t out, uint32_t in);
/* Elements of an element-wise op with broadcasting; by op number. */
void feri_infer_evaluate(const feri_infer *call);

/* A sliding window: kernel, strides, dilations and pads of every spatial axis, checked: positive,
 * pads not negative, spans within 63 bits. */
enum { FERI_PAD_GIVEN, FERI_PAD_VALID, FERI_PAD_SAME };
typedef struct feri_window {
    int32_t spatial; /* axes; -1 unknown, the rest is not set then */
    int32_t auto_pad;
    feri_sym kernel[FER_MAX_RANK];
    int64_t stride[FER_MAX_RANK];
    int64_t dilation[FER_MAX_RANK];
    int64_t pad_begin[FER_MAX_RANK];
    int64_t pad_end[FER_MAX_RANK];
} feri_window;
/* x: the sliding operand; weights: whose dims from 2 on are the kernel where kernel_shape is
 * absent, or NULL. */
fer_status feri_infer_window(const feri_infer *call,
                             const feri_fact *x,
                             const feri_fact *weights,
                             feri_window *out);
/* Positions of the window along spatial axis i of a dim. */
fer_status feri_infer_positions(const feri_infer *call,
                                const feri_window *window,
                                int32_t i,
                                feri_sym dim,
                                int is_ceil,
                                feri_sym *out);
/* dilation * (kernel - 1) + 1 */
feri_sym feri_infer_span(const feri_infer *call, const feri_window *window, int32_t i);

/* Every name in the columns infer and expand. */
#define FER_OP(number,                                                                             \
               ident,                                                                              \
               domain,                                                                             \
               name,                                                                               \
               revision,                                                                           \
               inputs,                                                                             \
               outputs,                                                                            \
               types,                                                                              \
               attrs,                                                                              \
               family,                                                                             \
               infer,                                                                              \
               expand,                                                                             \
               flags)                                                                              \
    fer_status feri_infer_##infer(feri_infer *call);                                               \
    fer_status feri_expand_##expand(const feri_infer *call, feri_text *out_body);
#include "ferrule/op_table.def"
#undef FER_OP

#endif
