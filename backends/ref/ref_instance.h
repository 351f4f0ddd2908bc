/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance from the inside: what ref_bind.c sets up once per change of dims, and ref_run.c
 * walks in every run.
 */
#ifndef FERI_REF_INSTANCE_H
#define FERI_REF_INSTANCE_H

#include "ref/ref_exec.h"

/* A step of an instance: what the loop touches, and no more. */
typedef struct feri_ref_bound_step {
    fer_status (*run)(feri_ref_call *call);
    feri_ref_call call;
} feri_ref_bound_step;

/* Where intermediates lie at one tuple of dims. Dims that come back find theirs again. */
enum { FERI_REF_LAYOUTS = 8 };
typedef struct feri_ref_layout {
    uint64_t dims_id; /* 0: not filled */
    uint64_t workspace_bytes;
    uint64_t *offsets; /* [life_count] */
} feri_ref_layout;

typedef struct feri_ref_instance {
    feri_ref_exec *exec;
    const fer_mem *weights; /* NULL: taken from each run */
    uint64_t bytes;         /* of this allocation */
    uint64_t dims_id;       /* bound for these dims; 0 nothing is bound */
    uint64_t scratch_bytes;
    uint8_t *workspace; /* addresses of intermediates follow from this */
    uint8_t *scratch;   /* own, grown when dims change */
    feri_ref_tensor *tensors;
    feri_ref_bound_step *steps;
    feri_ref_tensor **operands;
    const feri_ref_layout *layout; /* the one in use */
    uint32_t layout_count;
    uint32_t next_layout;
    uint8_t *params;
    uint64_t nothing; /* what tensors of no elements point at */
    feri_ref_layout layouts[FERI_REF_LAYOUTS];
} feri_ref_instance;

/* Everything that follows from dims: sizes, places, kernels' params. */
fer_status feri_ref_bind(feri_ref_instance *instance, const fer_run_args *args);
/* What follows from the contents of host values. */
fer_status feri_ref_bind_again(feri_ref_instance *instance, const fer_poll *poll);
/* Addresses of the values that the host hands in: INVALID_ARGUMENT when a memory is too small. */
fer_status feri_ref_place(feri_ref_instance *instance,
                          const uint32_t *values,
                          uint32_t count,
                          const fer_mem *memories);
fer_status feri_ref_place_workspace(feri_ref_instance *instance, const fer_mem *workspace);
/* Kernels shrink the dims of data-dependent outputs; a new run starts at the upper bound again. */
fer_status feri_ref_reset_outputs(feri_ref_instance *instance, const fer_run_args *args);
/* Kernels write the bits of elements only; equal results shall be equal bytes. */
void feri_ref_clear_padding(const feri_ref_instance *instance);
/* The dims of data-dependent outputs, to the host. */
void feri_ref_report_dims(const feri_ref_instance *instance, const fer_run_args *args);
fer_status feri_ref_run_misfit(const feri_ref_instance *instance, const char *message);

#endif
