/* SPDX-License-Identifier: Apache-2.0
 *
 * The floating-point mode of a run: round to nearest, denormals kept, whatever the caller had set;
 * restored afterwards.
 */
#ifndef FERI_BASE_FPMODE_H
#define FERI_BASE_FPMODE_H

#include <stdint.h>

typedef struct feri_fpmode {
    uint64_t saved;
} feri_fpmode;
/* Inline reads and writes of MXCSR (x86) or FPCR (aarch64); <fenv.h> elsewhere. */
feri_fpmode feri_fpmode_enter(void);
void feri_fpmode_leave(feri_fpmode mode);

#endif
