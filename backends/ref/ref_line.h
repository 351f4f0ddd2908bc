/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of elements as the heavy kernel families read and write them: a tensor seen as
 * outer x axis x inner, loads of strided runs in a compute type, attribute arrays and axes with
 * their checks. Used inside backends/ref only.
 */
#ifndef FERI_REF_LINE_H
#define FERI_REF_LINE_H

#include "ref/ref.h"

/* Elements per inner chunk: small enough to live on the stack and to keep polls frequent. */
#define FERI_REF_CHUNK 256u

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
fer_status feri_ref_lines_around(const feri_ref_call *call,
                                 const feri_ref_tensor *t,
                                 int64_t axis,
                                 feri_ref_lines *out_lines);
/* count elements from start, stride apart, as doubles (integers are converted). */
void feri_ref_load_real(const feri_ref_call *call,
                        const feri_ref_tensor *t,
                        uint64_t start,
                        uint64_t stride,
                        uint64_t count,
                        double *out);
/* The same as 64-bit integers. Not for floats. */
void feri_ref_load_int(const feri_ref_call *call,
                       const feri_ref_tensor *t,
                       uint64_t start,
                       uint64_t stride,
                       uint64_t count,
                       int64_t *out);
/* Doubles to t: rounded for floats; truncated and clamped to the range for integers. */
void feri_ref_store_real(const feri_ref_call *call,
                         feri_ref_tensor *t,
                         uint64_t start,
                         uint64_t stride,
                         uint64_t count,
                         const double *values);
void feri_ref_store_int(const feri_ref_call *call,
                        feri_ref_tensor *t,
                        uint64_t start,
                        uint64_t stride,
                        uint64_t count,
                        const int64_t *values);
/* value truncated and clamped to an integer dtype's range, NaN as 0; u64 as its bits. */
int64_t feri_ref_real_to_int(fer_dtype dtype, double value);

/* Ints attribute of exactly count entries into out, absent ones set to absent. */
fer_status feri_ref_ints(
    const feri_ref_call *call, const char *name, uint32_t count, int64_t absent, int64_t *out);
/* INVALID_INPUT with message unless a and b have equal ranks and dims. */
fer_status feri_ref_same_dims(const feri_ref_call *call,
                              const feri_ref_tensor *a,
                              const feri_ref_tensor *b,
                              const char *message);
/* Operand index, NULL when the node has fewer or leaves it out. */
static inline const feri_ref_tensor *feri_ref_input(const feri_ref_call *call, uint32_t index) {
    return index < call->node->input_count ? call->in[index] : NULL;
}
static inline feri_ref_tensor *feri_ref_output(const feri_ref_call *call, uint32_t index) {
    return index < call->node->output_count ? call->out[index] : NULL;
}

#endif
