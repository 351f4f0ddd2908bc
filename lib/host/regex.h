/* SPDX-License-Identifier: Apache-2.0
 *
 * Regular expressions in RE2's syntax, matched in time linear in the text: a pattern becomes a
 * program of small instructions whose threads run in step (Thompson; Cox, "Regular expression
 * matching can be simple and fast", 2007). Left out: Unicode classes (\p) and \C, UNSUPPORTED.
 * Used by string_regex.c.
 */
#ifndef FERI_HOST_REGEX_H
#define FERI_HOST_REGEX_H

#include "base/env.h"

enum {
    FERI_REGEX_SET,    /* one character in sets[x] */
    FERI_REGEX_SPLIT,  /* go on at x and y */
    FERI_REGEX_JUMP,   /* go on at x */
    FERI_REGEX_ASSERT, /* x: FERI_REGEX_BEGIN, ... */
    FERI_REGEX_MATCH
};
enum {
    FERI_REGEX_BEGIN,
    FERI_REGEX_END,
    FERI_REGEX_LINE_BEGIN,
    FERI_REGEX_LINE_END,
    FERI_REGEX_WORD,
    FERI_REGEX_NO_WORD
};

typedef struct feri_regex_step {
    uint32_t kind;
    uint32_t x, y;
} feri_regex_step;

typedef struct feri_regex_range {
    uint32_t low, high; /* code points, both inclusive */
} feri_regex_range;

typedef struct feri_regex_set {
    uint32_t first, count; /* of ranges */
    uint32_t is_negated;
} feri_regex_set;

typedef struct feri_regex {
    feri_env *env;
    feri_regex_step *steps;
    uint32_t step_count, step_capacity;
    feri_regex_set *sets;
    uint32_t set_count, set_capacity;
    feri_regex_range *ranges;
    uint32_t range_count, range_capacity;
    uint32_t *threads;               /* 3 * step_count: two lists and a stack */
    uint32_t *marks;                 /* step_count: last position a thread was added at, plus 1 */
    uint64_t work;                   /* since the last check */
    fer_status (*check)(void *self); /* deadline and cancel, or NULL */
    void *check_self;
} feri_regex;

/* INVALID_MODEL with what is wrong and where, UNSUPPORTED, LIMIT. Close it also after a failure. */
fer_status feri_regex_open(feri_regex *regex, feri_env *env, const char *pattern, size_t length);
void feri_regex_close(feri_regex *regex);
/* Whether the whole text matches. Bytes that are no UTF-8 are U+FFFD each. Fails as check does. */
fer_status feri_regex_matches(feri_regex *regex, const char *text, size_t length, int *out_matches);

/* The next code point; *at moves on. */
uint32_t feri_regex_next(const char **at, const char *end);

#endif
