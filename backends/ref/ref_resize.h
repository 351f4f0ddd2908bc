/* SPDX-License-Identifier: Apache-2.0
 *
 * What Resize is once its attributes are read, and the tables of taps: for every output coordinate
 * of a dim the input coordinates it is made of. Filled by ref_resize_taps.c, used by ref_resize.c.
 */
#ifndef FERI_REF_REF_RESIZE_H
#define FERI_REF_REF_RESIZE_H

#include "ref/ref_line.h"

enum { FERI_REF_NEAREST, FERI_REF_LINEAR, FERI_REF_CUBIC };

/* Input coordinates first to first + count - 1 of one output coordinate; first is -1 where the
 * extrapolation value stands. */
typedef struct feri_ref_taps {
    int64_t first;
    int64_t count;
} feri_ref_taps;

typedef struct feri_ref_resize_axis {
    feri_ref_taps *taps; /* of each output coordinate; NULL: the dim stays as it is */
    double *weights;     /* width per output coordinate */
    uint64_t width;
    double scale;
    double roi[2];
} feri_ref_resize_axis;

typedef struct feri_ref_resize {
    int mode;
    int nearest_mode; /* index of ref_resize_taps.c's names */
    int coordinates;  /* same */
    int is_antialiased;
    int is_outside_excluded;
    double cubic_a;
    double extrapolation;
    uint64_t table_bytes;
    feri_ref_resize_axis axes[FER_MAX_RANK];
} feri_ref_resize;

/* The kernel's bind: attributes, dims, and room for the tables (scales are read when it runs). */
fer_status feri_ref_resize_bind(feri_ref_call *call);
/* Reads scales, sizes and roi, and fills the tables in the call's scratch. */
fer_status feri_ref_resize_table(feri_ref_call *call, feri_ref_resize *resize);

#endif
