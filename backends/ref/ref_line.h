/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of elements as the heavy kernel families read and write them: a tensor seen as
 * outer x axis x inner, loads of strided runs in a compute type, attribute arrays and axes with
 * their checks. Used inside backends/ref only.
 */
#ifndef FERI_REF_LINE_H
#define FERI_REF_LINE_H

#include "ref/ref.h"

/* Any 64-bit element of a compute class. */
typedef union feri_ref_word {
    double f;
    int64_t i;
    uint64_t u;
} feri_ref_word;

/* A tensor as outer x length x inner around one axis. */
typedef struct feri_ref_lines {
    uint64_t outer;
    uint64_t length;
    uint64_t inner;
} feri_ref_lines;

/* Splits t around axis (perhaps negative); INVALID_MODEL when it does not exist. */
fer_status feri_ref_lines_around(feri_ref_call *call,
                                 const feri_ref_tensor *t,
                                 int64_t axis,
                                 feri_ref_lines *out_lines);
/* Index of a line's first element; lines are counted from 0 to outer * inner. */
uint64_t feri_ref_line_start(const feri_ref_lines *lines, uint64_t line);
/* count elements from start, stride apart: as f64 (integers are converted), or as 64-bit integers
 * (not for floats). */
void feri_ref_load_as(feri_ref_call *call,
                      const feri_ref_tensor *t,
                      uint64_t start,
                      uint64_t stride,
                      uint64_t count,
                      feri_ref_word *out,
                      int is_real);
/* Doubles are rounded for floats, truncated and clamped to the range for integers. */
void feri_ref_store_as(feri_ref_call *call,
                       feri_ref_tensor *t,
                       uint64_t start,
                       uint64_t stride,
                       uint64_t count,
                       const feri_ref_word *values,
                       int is_real);
/* As doubles. */
void feri_ref_load_real(feri_ref_call *call,
                        const feri_ref_tensor *t,
                        uint64_t start,
                        uint64_t stride,
                        uint64_t count,
                        double *out);
/* As integers. */
void feri_ref_load_int(feri_ref_call *call,
                       const feri_ref_tensor *t,
                       uint64_t start,
                       uint64_t stride,
                       uint64_t count,
                       int64_t *out);
/* As the tensor's own class has it: f64 for floats, else i64. */
void feri_ref_load(feri_ref_call *call,
                   const feri_ref_tensor *t,
                   uint64_t start,
                   uint64_t stride,
                   uint64_t count,
                   feri_ref_word *out);
void feri_ref_store(feri_ref_call *call,
                    feri_ref_tensor *t,
                    uint64_t start,
                    uint64_t stride,
                    uint64_t count,
                    const feri_ref_word *values);
void feri_ref_store_real(feri_ref_call *call,
                         feri_ref_tensor *t,
                         uint64_t start,
                         uint64_t stride,
                         uint64_t count,
                         const double *values);
void feri_ref_store_int(feri_ref_call *call,
                        feri_ref_tensor *t,
                        uint64_t start,
                        uint64_t stride,
                        uint64_t count,
                        const int64_t *values);
/* One element as an integer: floats truncate. For axes, starts, k and their like. */
int64_t feri_ref_scalar_i64(feri_ref_call *call, const feri_ref_tensor *in, uint64_t index);
double feri_ref_scalar_f64(feri_ref_call *call, const feri_ref_tensor *in, uint64_t index);
/* value truncated and clamped to an integer dtype's range, NaN as 0; u64 as its bits. */
int64_t feri_ref_real_to_int(fer_dtype dtype, double value);

/* Ints attribute of exactly count entries into out, absent ones set to absent. Answers
 * call->status, so several can be read before one asks. */
fer_status
feri_ref_ints(feri_ref_call *call, const char *name, uint32_t count, int64_t absent, int64_t *out);
/* feri_ref_unfit unless a and b have equal ranks and dims. */
fer_status
feri_ref_same_dims(feri_ref_call *call, const feri_ref_tensor *a, const feri_ref_tensor *b);
/* Operand index, NULL when the node has fewer or leaves it out. */
const feri_ref_tensor *feri_ref_input(feri_ref_call *call, uint32_t index);
feri_ref_tensor *feri_ref_output(feri_ref_call *call, uint32_t index);

#endif
