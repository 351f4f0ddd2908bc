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

/* Inference remembers its first failure in call->status: what follows does nothing, and
 * feri_op_infer returns it. A rule goes on after a step that failed unless the next would then read
 * what is not there: values read after a failure are 0, unknown or absent. */
#define FERI_STEP(expression)                                                                      \
    do {                                                                                           \
        expression;                                                                                \
        if (__builtin_expect(call->status != FER_OK, 0)) {                                         \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* INVALID_MODEL with "<Op> '<node>': " in front and the node recorded; returns call->status. */
fer_status feri_infer_fail(feri_infer *call, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* The operand, NULL when left out (call->in[i] where the row requires it); the result, NULL when
 * nobody wants it. */
feri_fact *feri_infer_in(const feri_infer *call, uint32_t index);
feri_fact *feri_infer_out(const feri_infer *call, uint32_t index);
/* A dim of an operand, counted from the end when negative; unknown when there is no such. */
feri_sym feri_infer_dim(const feri_fact *fact, int32_t index);

int64_t feri_infer_int(const feri_infer *call, const char *name, int64_t absent);
const char *feri_infer_string(const feri_infer *call, const char *name, const char *absent);
/* The ints of an attribute and their count; NULL and 0 when absent. */
const int64_t *feri_infer_ints(const feri_infer *call, const char *name, uint32_t *out_count);
/* An int that must be 1 or more; 1 after a failure. */
int64_t feri_infer_positive(feri_infer *call, const char *name, int64_t absent);
/* The place of a string attribute in choices, "first, second, third", of which the first is meant
 * when it is absent; any other value fails. */
uint32_t feri_infer_choice(feri_infer *call, const char *name, const char *choices);
/* The place of a text in such a list, UINT32_MAX when it is not there. compare: as strncmp. */
uint32_t feri_infer_find_choice(const char *choices,
                                const char *text,
                                int (*compare)(const char *, const char *, size_t));

/* The dtype an attribute names; it must be in allowed (bit per dtype). */
fer_dtype
feri_infer_dtype_attr(feri_infer *call, const char *name, fer_dtype absent, uint32_t allowed);

/* axis in [-rank, rank) made nonnegative; 0 after a failure. */
int32_t feri_infer_axis(feri_infer *call, const char *what, int64_t axis, int32_t rank);
/* The attribute axis, made nonnegative. */
int32_t feri_infer_axis_attr(feri_infer *call, int64_t absent, int32_t rank);
/* count axes, no two equal, made nonnegative: into axes, as bits when it returns. given NULL: all
 * axes in order, count of them. axes may be NULL. */
uint32_t feri_infer_axes(
    feri_infer *call, const int64_t *given, uint32_t count, int32_t rank, int32_t *axes);
/* The axes that operand index lists for a shape of this rank, like feri_infer_axes: 1 when they are
 * known. *out_count is how many there are, -1 unknown; an operand left out has none. */
int feri_infer_axes_operand(feri_infer *call,
                            uint32_t index,
                            int32_t rank,
                            int32_t *axes,
                            int32_t *out_count,
                            uint32_t *out_set);
/* Operand index must have this rank, when its rank is known. 1 when it is there and has. */
int feri_infer_rank(feri_infer *call, uint32_t index, int32_t least, int32_t most);
/* Dims a and b must be equal; what names them in the sentence. */
void feri_infer_equal(feri_infer *call, feri_sym a, feri_sym b, const char *what);
void feri_infer_dims_equal(feri_infer *call,
                           const feri_fact *a,
                           int32_t a_index,
                           const feri_fact *b,
                           int32_t b_index,
                           const char *what);
/* The same; returns the one that says more. */
feri_sym feri_infer_same(feri_infer *call, feri_sym a, feri_sym b, const char *what);
/* Arithmetic whose overflow of numbers is INVALID_MODEL. */
feri_sym feri_infer_add(feri_infer *call, feri_sym a, feri_sym b);
feri_sym feri_infer_mul(feri_infer *call, feri_sym a, feri_sym b);
/* A dim an attribute or constant gives: must be a number >= 0 when it is one. */
void feri_infer_check_dim(feri_infer *call, feri_sym dim, const char *what);
/* Two shapes broadcast, right-aligned: the rank, and as many entries in out. */
int32_t feri_infer_broadcast(feri_infer *call,
                             int32_t a_rank,
                             const feri_sym *a,
                             int32_t b_rank,
                             const feri_sym *b,
                             feri_sym *out);
/* Operand index, when its rank is known, must broadcast to these dims without making them larger.
 */
void feri_infer_fits(feri_infer *call, uint32_t index, int32_t rank, const feri_sym *dims);

/* Sets rank and dims (NULL: unknown ones) of a result. INVALID_MODEL when a dim is negative or the
 * elements overflow, LIMIT when the rank is too large. Does nothing for a result nobody wants. */
void feri_infer_set(feri_infer *call, uint32_t index, int32_t rank, const feri_sym *dims);
/* The same dims as an operand's. */
void feri_infer_set_like(feri_infer *call, uint32_t index, const feri_fact *like);
void feri_infer_set_dtype(feri_infer *call, uint32_t index, fer_dtype dtype);
/* The elements of operand index, a vector of dims, *out_count of them. NULL when they are not known
 * or too many: *out_count is then the rank for feri_infer_set, which says so; -1 unknown. */
const feri_sym *feri_infer_shape_operand(feri_infer *call, uint32_t index, int32_t *out_count);

/* Elements of an operand, NULL when unknown; their count is the product of its dims. */
const feri_sym *feri_infer_elements(const feri_infer *call, uint32_t index, uint32_t *out_count);
/* The element of an operand that must have just one; unknown when it is. */
feri_sym feri_infer_one(feri_infer *call, uint32_t index);
/* The elements as numbers: 1 when all are known, at most capacity. */
int feri_infer_numbers(
    const feri_infer *call, uint32_t index, int64_t *out, uint32_t capacity, uint32_t *out_count);
/* Room for the elements of a result whose dims were set: NULL when they cannot be carried (dtype,
 * unknown dims, more than FERI_MAX_ELEMENTS, memory). */
feri_sym *feri_infer_new_elements(const feri_infer *call, uint32_t index, uint32_t *out_count);
/* Drops the elements of a result again when none of them is known. */
void feri_infer_trim_elements(const feri_infer *call, uint32_t index);
/* Whether a value's elements could be carried. NULL: no. */
int feri_infer_is_small(const feri_fact *fact);
/* The count of elements of a value that could carry them: number dims, few; else UINT32_MAX. */
uint32_t feri_fact_small_count(const feri_fact *fact);
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
/* Those of an operand that broadcasts to a result, 0 where it repeats. */
void feri_infer_spread_strides(const feri_fact *in, const feri_fact *out, int64_t *out_strides);
/* The sum of index[d] * strides[d] over the axes of a small value's entry. */
int64_t feri_infer_offset(const feri_fact *shape, uint32_t entry, const int64_t *strides);
/* Result index reads operand in: element at offset + sum of index[d] * strides[d]. */
void feri_infer_view(
    const feri_infer *call, uint32_t out, uint32_t in, int64_t offset, const int64_t *strides);
/* Result 0 has the elements of operand in, broadcast. */
void feri_infer_spread(const feri_infer *call, uint32_t in);
/* Result 0 has the elements of operand 0, in order. */
void feri_infer_pass_elements(const feri_infer *call);
/* Elements of an element-wise op with broadcasting; by op number. */
void feri_infer_evaluate(feri_infer *call);
/* One element of such an op of two operands of a dtype. */
feri_sym feri_infer_two(feri_infer *call, uint32_t op, fer_dtype dtype, feri_sym a, feri_sym b);

/* A sliding window: kernel, strides, dilations and pads of every spatial axis, checked: positive,
 * pads not negative, spans within 63 bits. */
enum { FERI_PAD_GIVEN, FERI_PAD_VALID, FERI_PAD_SAME, FERI_PAD_SAME_LOWER };
typedef struct feri_window {
    int32_t spatial; /* axes; -1 unknown, the rest is not set then */
    int32_t auto_pad;
    int64_t stride[FER_MAX_RANK];
    int64_t dilation[FER_MAX_RANK];
    int64_t pads[2 * FER_MAX_RANK]; /* in front, spatial of them; behind */
    feri_sym kernel[FER_MAX_RANK];
} feri_window;
/* x: the sliding operand; weights: whose dims from 2 on are the kernel where kernel_shape is
 * absent, or NULL. */
void feri_infer_window(feri_infer *call,
                       const feri_fact *x,
                       const feri_fact *weights,
                       feri_window *out);
/* The ints of an attribute, count of them, each absent or more: into out, which is all absent when
 * there is none; NULL is returned then. */
const int64_t *
feri_infer_each(feri_infer *call, const char *name, int32_t count, int64_t absent, int64_t *out);
/* Positions of the window along spatial axis i of a dim. */
feri_sym feri_infer_positions(
    feri_infer *call, const feri_window *window, int32_t i, feri_sym dim, int is_ceil);
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
    void feri_infer_##infer(feri_infer *call);                                                     \
    fer_status feri_expand_##expand(feri_infer *call, feri_text *out_body);
#include "ferrule/op_table.def"
#undef FER_OP

#endif
