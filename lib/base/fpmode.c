/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets and restores the thread's floating-point mode around a run. Exception flags that the run
 * raises are dropped only where the mode had to be changed.
 */
#include "base/fpmode.h"

#if defined(__SSE__)

/* MXCSR: flush to zero (15), rounding (14:13), exception masks (12:7), denormals are zero (6). */
enum { MODE_BITS = 0xffc0, MODE_NORMAL = 0x1f80 };

feri_fpmode feri_fpmode_enter(void) {
    uint32_t control = __builtin_ia32_stmxcsr();
    if ((control & MODE_BITS) != MODE_NORMAL) {
        __builtin_ia32_ldmxcsr(MODE_NORMAL);
    }
    return (feri_fpmode){control};
}

void feri_fpmode_leave(feri_fpmode mode) {
    if ((mode.saved & MODE_BITS) != MODE_NORMAL) {
        __builtin_ia32_ldmxcsr((uint32_t)mode.saved);
    }
}

#elif defined(__aarch64__)

/* FPCR: rounding (23:22), flush (24, 19, 1, 0), traps (15, 12:8), alternative half (26), default
 * NaN (25). */
#define MODE_BITS UINT64_C(0x07c89f03)

feri_fpmode feri_fpmode_enter(void) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    if (control & MODE_BITS) {
        __asm__ volatile("msr fpcr, %0" ::"r"(control & ~MODE_BITS) : "memory");
    }
    return (feri_fpmode){control};
}

void feri_fpmode_leave(feri_fpmode mode) {
    if (mode.saved & MODE_BITS) {
        __asm__ volatile("msr fpcr, %0" ::"r"(mode.saved) : "memory");
    }
}

#else
#include <fenv.h>

feri_fpmode feri_fpmode_enter(void) {
    int rounding = fegetround();
    (void)fesetround(FE_TONEAREST);
    return (feri_fpmode){(uint64_t)(int64_t)rounding};
}

void feri_fpmode_leave(feri_fpmode mode) { (void)fesetround((int)(int64_t)mode.saved); }

#endif
