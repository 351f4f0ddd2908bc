/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller's release callbacks never fire under a lock of ours, nor while this thread has a run
 * state: whoever takes such things begins and ends around them, and what is put off meanwhile on
 * the thread happens at the last end. Called by program.c and its files; tensor/ puts off.
 */
#ifndef FERI_BASE_LATER_H
#define FERI_BASE_LATER_H

/* Part of what it is about; run may free it. */
typedef struct feri_later {
    void (*run)(struct feri_later *later);
    struct feri_later *next;
} feri_later;

void feri_later_begin(void);
/* The thread's last error is the same afterwards, whatever a callback called. */
void feri_later_end(void);
/* 1: later->run will be called at the end; 0: nothing has begun on this thread, call it now. */
int feri_later_put(feri_later *later);

#endif
