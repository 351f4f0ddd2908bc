/* SPDX-License-Identifier: Apache-2.0
 *
 * Sliding windows over the spatial dims of N x C x spatial tensors, shared by convolution,
 * transposed convolution and pooling: attributes with their checks, pads of every auto_pad kind,
 * and for a run of output positions and one kernel tap the input elements that lie inside. A tap
 * outside the input is never read, whatever the dims are. Used inside backends/ref only.
 */
#ifndef FERI_REF_WINDOW_H
#define FERI_REF_WINDOW_H

#include "ref/ref_line.h"

#define FERI_REF_SPATIAL (FER_MAX_RANK - 2)

typedef struct feri_ref_window {
    uint32_t rank;          /* spatial dims, >= 1 */
    uint32_t is_transposed; /* of ConvTranspose */
    uint64_t in_count;      /* of one channel */
    uint64_t out_count;
    uint64_t taps;
    int64_t in[FERI_REF_SPATIAL];
    int64_t out[FERI_REF_SPATIAL];
    int64_t kernel[FERI_REF_SPATIAL];
    int64_t stride[FERI_REF_SPATIAL];
    int64_t dilation[FERI_REF_SPATIAL];
    int64_t begin[FERI_REF_SPATIAL]; /* pads */
    int64_t end[FERI_REF_SPATIAL];
} feri_ref_window;

/* Reads the attributes of the call's node for x -> y. kernel is the weight's spatial dims, or NULL:
 * then kernel_shape says it. INVALID_MODEL or INVALID_INPUT when something does not fit. */
fer_status feri_ref_window_bind(feri_ref_call *call,
                                const feri_ref_tensor *x,
                                const feri_ref_tensor *y,
                                const int64_t *kernel,
                                feri_ref_window *out_window);

/* Output positions that are neighbours on the last dim. */
typedef struct feri_ref_run {
    uint64_t count;
    int64_t base[FERI_REF_SPATIAL]; /* of the first position: input coordinate of tap 0, times
                                       stride when transposed */
} feri_ref_run;
/* The run that starts at a position of the output channel, of at most limit positions. */
void feri_ref_window_run(const feri_ref_window *window,
                         uint64_t position,
                         uint64_t limit,
                         feri_ref_run *out_run);

/* tap's coordinates in the kernel, and the step to the next tap. */
void feri_ref_window_tap(const feri_ref_window *window, uint64_t tap, int64_t *out_tap);
void feri_ref_window_next_tap(const feri_ref_window *window, int64_t *tap);

/* What a run sees through one tap: positions first, first + out_step, ... (count of them) see the
 * channel's elements in_first, in_first + in_step, ... */
typedef struct feri_ref_view {
    uint64_t first;
    uint64_t out_step;
    uint64_t count;
    uint64_t in_first;
    uint64_t in_step;
} feri_ref_view;
/* 0 when the run sees padding only. */
int feri_ref_window_view(const feri_ref_window *window,
                         const feri_ref_run *run,
                         const int64_t *tap,
                         feri_ref_view *out_view);

#endif
