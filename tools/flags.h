/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags from a table: a row says a flag's name, what it takes, which verbs know it, where its value
 * goes and its line of help. Parsing and --help are made from it, for every verb alike.
 */
#ifndef FERRULE_FLAGS_H
#define FERRULE_FLAGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LIST_CAPACITY 256
typedef struct text_list {
    const char *items[LIST_CAPACITY];
    uint32_t count;
} text_list;

enum {
    FLAG_SWITCH,  /* int32_t: 1; takes nothing */
    FLAG_TEXT,    /* const char * */
    FLAG_LIST,    /* text_list of NAME=VALUE */
    FLAG_INTEGER, /* int64_t, at least 0 */
    FLAG_SIGNED,  /* int64_t */
    FLAG_BYTES,   /* int64_t, at least 0; K, M, G and T are understood */
    FLAG_REAL     /* double, at least 0 */
};
typedef struct flag {
    const char *name;
    const char *value; /* what it takes, for help; NULL for a switch */
    int32_t kind;
    int32_t verbs; /* bits */
    size_t offset; /* of the field */
    const char *help;
} flag;
typedef struct flag_table {
    const flag *flags;
    size_t count;
    const char *verb;
    int32_t bit; /* the verb's */
} flag_table;

/* Fills the struct at into. other is given words that are no flags. EXIT_USAGE with a sentence
 * printed on failure. */
int flags_parse(const flag_table *table,
                void *into,
                int argc,
                char **argv,
                int (*other)(void *into, const char *word));
/* A line per flag of the verb. */
void flags_help(const flag_table *table, FILE *stream);
/* Splits "NAME=VALUE": the length of NAME and a pointer to VALUE; 0 when there is no '='. The last
 * '=' splits, because names may hold one. */
int split_pair(const char *pair, size_t *out_name_length, const char **out_value);

#endif
