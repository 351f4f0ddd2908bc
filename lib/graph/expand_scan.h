/* SPDX-License-Identifier: Apache-2.0
 *
 * Words and numbers of the expansion text (expand.h), read in place. Used by lib/graph, and by
 * lib/import for its text of upgrades.
 */
#ifndef FERI_GRAPH_EXPAND_SCAN_H
#define FERI_GRAPH_EXPAND_SCAN_H

#include <stddef.h>
#include <stdint.h>

typedef struct feri_word {
    const char *text; /* where it is or would be, so that scanning can go back to it */
    uint32_t length;  /* 0: no word here */
} feri_word;

typedef struct feri_number {
    int is_float; /* f is the value, else i */
    double f;
    int64_t i;
} feri_number;

typedef struct feri_scan {
    const char *at;
    uint32_t line;
    uint32_t started;
} feri_scan;

void feri_scan_start(feri_scan *scan, const char *text);
/* Takes a first line "exact". */
int feri_scan_exact(feri_scan *scan);
/* Goes to the next line with something on it; 0 at the end. */
int feri_scan_next_line(feri_scan *scan);
int feri_scan_line_is_over(feri_scan *scan);
/* Skips blanks, and takes the character if it is next. Inside calls line ends are blanks too. */
int feri_scan_take(feri_scan *scan, char wanted);
feri_word feri_scan_word(feri_scan *scan);
int feri_scan_quoted(feri_scan *scan, feri_word *out_word);
int feri_scan_number(feri_scan *scan, feri_number *out_number);
int feri_word_is(feri_word word, const char *text);

#endif
