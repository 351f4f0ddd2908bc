/* SPDX-License-Identifier: Apache-2.0
 *
 * What the string ops share: two shapes that broadcast, and ordinary ops run through the device.
 * Used inside lib/host only.
 */
#ifndef FERI_HOST_STRING_OPS_H
#define FERI_HOST_STRING_OPS_H

#include "host/host_call.h"

/* Two tensors broadcast against each other, walked in row-major order of the result. */
typedef struct feri_pairing {
    uint32_t rank;
    uint64_t count;      /* of the result */
    uint64_t a_at, b_at; /* flat indices of the pair now */
    int64_t dims[FER_MAX_RANK];
    uint64_t a_steps[FER_MAX_RANK], b_steps[FER_MAX_RANK];
    int64_t index[FER_MAX_RANK];
} feri_pairing;
fer_status feri_pairing_begin(feri_host_call *call,
                              const fer_tensor *a,
                              const fer_tensor *b,
                              feri_pairing *out_pairing);
void feri_pairing_next(feri_pairing *pairing);

/* The string, INVALID_INPUT when the tensor is damaged. */
fer_status feri_string_at(const feri_host_call *call,
                          const fer_tensor *tensor,
                          uint64_t index,
                          const char **out_text,
                          size_t *out_length);
/* 1 when a formal operand is a tensor of strings. */
int feri_string_among_inputs(const feri_host_call *call);
/* Runs the node as it is, for operands that are no strings. */
fer_status feri_string_run_plain(feri_host_call *call);

#endif
