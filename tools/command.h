/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `ferrule` from the inside: the parsed arguments, what the verbs share (a session,
 * feeds, comparing, printing) and the exit statuses. Public headers only: the command can do
 * nothing that another program cannot.
 */
#ifndef FERRULE_COMMAND_H
#define FERRULE_COMMAND_H

#include "ferrule/ferrule.h"
#include "flags.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    EXIT_RIGHT = 0,
    EXIT_DIFFER = 1,
    EXIT_USAGE = 2,
    EXIT_UNSUPPORTED = 3, /* also an unmet share or a refused fallback */
    EXIT_INVALID = 4,     /* model or input invalid or unreadable */
    EXIT_LIMIT = 5,       /* limit, budget, deadline or cancel */
    EXIT_DEVICE = 6       /* device absent or lost */
};

/* ---- arguments ---- */

typedef struct arguments {
    const char *verb;
    const char *model;
    text_list more_models; /* inspect --op-list */
    const char *device;
    const char *data;
    const char *fill;
    const char *output;
    const char *expect;
    const char *fallback;
    text_list inputs; /* NAME=FILE or NAME=NUMBER */
    text_list dims;   /* NAME=N */
    text_list pins;   /* NODE=DEVICE */
    text_list shares; /* DEVICE=PERCENT */
    double rtol;
    double atol;
    double deadline_ms;
    double seconds;
    int64_t seed;
    int64_t threads;
    int64_t budget; /* bytes; -1 none */
    int32_t map;
    int32_t json;
    int32_t passes;
    int32_t nodes;
    int32_t op_list;
    int32_t help;
} arguments;

/* Fills args from argv after the verb; EXIT_USAGE with a sentence printed on failure. */
int arguments_parse(arguments *args, int argc, char **argv);
void arguments_help(const char *verb, FILE *stream);

/* ---- saying (say.c) ---- */

/* As fprintf and fwrite, for text that a model or a device wrote a part of. */
void say_text(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say_list(FILE *stream, const char *format, va_list list) __attribute__((format(printf, 2, 0)));
void say_bytes(FILE *stream, const char *text, size_t length);

/* ---- failing ---- */

/* "ferrule: USAGE: sentence" on stderr; returns exit_status. */
int complain(int exit_status, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The thread's last error as a sentence (and, under --json, as an object on stdout); returns the
 * exit status the fer_status maps to. */
int fail_with(const arguments *args, fer_status status);

/* ---- session: context, graph, program ---- */

typedef struct session {
    const arguments *args;
    fer_context *context;
    fer_graph *graph;
    fer_program *program;
    uint32_t cancel; /* set by SIGINT */
    double load_ms;
    double compile_ms;
} session;

double now_ms(void);
/* Each returns an exit status and prints what went wrong. */
int session_open(session *self, const arguments *args);
int session_import(session *self);
int session_compile(session *self);
void session_close(session *self);
void session_run_options(session *self, fer_run_options *out_options, fer_run_record *record);

/* ---- feeds ---- */

typedef struct feeds {
    fer_value **values;
    uint32_t count;
} feeds;

/* One value per program input: --input, else --data, else a fill. */
int feeds_make(session *self, feeds *out_feeds);
void feeds_finish(feeds *self);
/* input_3.pb or input_3.npy of a folder (stem "input"); *out_value NULL when neither exists. kind
 * and dtype are what the model expects there. */
int value_from_folder(session *self,
                      const char *folder,
                      const char *stem,
                      uint32_t index,
                      const fer_value_info *info,
                      fer_value **out_value);

/* Runs once when the program must see inputs before it can be shown, or the caller gave some. */
int session_rehearse(session *self, fer_run_record *record);

/* ---- elements ---- */

/* The real value of element index (bool 0 or 1; of a complex number the real part). */
double element_get(fer_dtype dtype, const void *data, uint64_t index);
/* The imaginary part; 0 for what is not complex. */
double element_imaginary(fer_dtype dtype, const void *data, uint64_t index);
/* Stores a value rounded to the dtype. */
void element_set(fer_dtype dtype, void *data, uint64_t index, double value);
int dtype_is_float(fer_dtype dtype);

/* ---- npy ---- */

/* want: what to read void bytes as (numpy knows no bf16 or f8); FER_DTYPE_NONE: nothing. On failure
 * prints the sentence. */
int npy_read(fer_context *context, const char *path, fer_dtype want, fer_tensor **out_tensor);
int npy_write(const char *path, const fer_tensor *tensor);
/* Whole file, malloc'ed; NULL when it cannot be read. */
unsigned char *file_read(const char *path, uint64_t *out_bytes);

/* ---- comparing and printing ---- */

/* "tensor", "sequence", "optional", "map"; "nothing" for what is none. */
const char *kind_name(int32_t kind);

typedef struct agreement {
    uint64_t compared;
    uint64_t differing;
    double worst; /* largest |got - want| - (atol + rtol |want|) */
    char sentence[300];
} agreement;
/* 1 when got is what was wanted: kinds, dtypes and shapes exactly, numbers to rtol and atol. */
int values_agree(
    const fer_value *got, const fer_value *want, double rtol, double atol, agreement *out);

void print_value_text(FILE *stream, const char *name, const fer_value *value);

typedef struct json json;
void json_value(json *out, const char *name, const fer_value *value);

/* ---- json ---- */

struct json {
    FILE *stream;
    int32_t depth;
    int32_t has_item[32];
};
/* Bytes of the UTF-8 sequence at text, 0 when it is not one. */
size_t utf8_length(const unsigned char *text, size_t rest);
void json_begin(json *self, FILE *stream);
/* key NULL inside arrays and at the top. */
void json_open(json *self, const char *key, char bracket);
void json_close(json *self, char bracket);
void json_text(json *self, const char *key, const char *text);
void json_text_bytes(json *self, const char *key, const char *text, size_t length);
void json_number(json *self, const char *key, double number); /* null for NaN and infinities */
void json_integer(json *self, const char *key, int64_t number);
void json_end(json *self);

/* ---- placement ---- */

typedef struct placement_sum {
    char device[32];
    uint64_t nodes;
    double work;
} placement_sum;
typedef struct placement_report {
    placement_sum sums[16];
    uint32_t sum_count;
    uint64_t node_count;   /* host and folded nodes excluded */
    uint64_t device_first; /* of them, on the first device of the list */
    uint64_t host_count;
    uint64_t folded_count;
    uint64_t fallback_count; /* nodes that a better device refused */
    double work;
} placement_report;
/* 0, or a failed fer_status. */
fer_status placement_read(fer_program *program, placement_report *out_report);

/* ---- verbs ---- */

int verb_devices(const arguments *args);
int verb_inspect(const arguments *args);
int verb_explain(const arguments *args);
int verb_run(const arguments *args);
int verb_bench(const arguments *args);
int verb_version(const arguments *args);
/* argv after the verb. */
int verb_conform(int argc, char **argv);

#endif
