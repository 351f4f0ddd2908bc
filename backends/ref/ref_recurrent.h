/* SPDX-License-Identifier: Apache-2.0
 *
 * What a recurrent layer is once its attributes are read and its dims are checked; filled by
 * ref_recurrent_bind.c, used by ref_recurrent.c.
 */
#ifndef FERI_REF_REF_RECURRENT_H
#define FERI_REF_REF_RECURRENT_H

#include "ref/ref_line.h"

typedef struct feri_ref_activation {
    uint32_t function; /* index into ref_recurrent_bind.c's table */
    double alpha;
    double beta;
} feri_ref_activation;

typedef struct feri_ref_recurrent {
    uint32_t op;
    int is_reverse; /* the first direction */
    int is_batch_first;
    int is_input_forget;
    int is_linear_before_reset;
    uint64_t directions;
    uint64_t gates;
    uint64_t steps;
    uint64_t batch;
    uint64_t width; /* of X's rows */
    uint64_t hidden;
    double clip;                           /* infinity: none */
    feri_ref_activation activations[2][3]; /* f, g, h of each direction */
} feri_ref_recurrent;

/* The kernels' bind: INVALID_MODEL or INVALID_INPUT when an attribute or a shape does not fit. */
fer_status feri_ref_recurrent_bind(feri_ref_call *call);
double feri_ref_activate(const feri_ref_activation *activation, double x);

#endif
