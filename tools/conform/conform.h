/* SPDX-License-Identifier: Apache-2.0
 *
 * `ferrule conform` from the inside: its options, the list of cases, workers, expectations and
 * reports.
 */
#ifndef FERRULE_CONFORM_CONFORM_H
#define FERRULE_CONFORM_CONFORM_H

#include "verdict.h"

#include <stdio.h>

/* Room for a name between parent and worker: a case, or "vector:" and a path. */
#define CASE_LINE 1100

typedef struct conform_options {
    const char *device;
    case_filter filter;
    const char *suite; /* generated, onnx, abi, all */
    const char *onnx;  /* folder of vectors */
    const char *report;
    const char *junit;
    const char *badge;
    const char *expectations;
    const char *repro; /* a case, or NULL */
    const char *output;
    const char *lose; /* options that make a device pretend to be lost */
    int64_t jobs;
    int64_t sample; /* every n-th case */
    double timeout_s;
    int32_t tap;
    int32_t update;
    int32_t list;
    int32_t limits;
    int32_t worker;
    int32_t in_process;
    int32_t json;
    int32_t help;
} conform_options;

/* An exit status; EXIT_USAGE with a sentence printed. */
int conform_parse(conform_options *out, int argc, char **argv);
void conform_help(FILE *stream);

/* ---- the list of cases and their verdicts ---- */

typedef struct tested {
    char *name;
    verdict verdict;
    int32_t is_done;
    int32_t is_surprise; /* against the expectations */
} tested;

typedef struct campaign {
    const conform_options *options;
    tested *cases;
    uint64_t count, capacity;
    uint64_t done;
    uint64_t results[RESULT_COUNT];
    uint64_t rans[RAN_COUNT]; /* of what passed */
    uint64_t surprises;
    struct expectations *expected;
    FILE *report;
    uint64_t reported; /* prefix of cases already in the report */
    double begin_ms;
    double shown_ms;
} campaign;

/* An exit status. */
int campaign_add(campaign *self, const char *name);
/* Takes a verdict in whatever order it comes; prints and reports. */
void campaign_take(campaign *self, uint64_t index, const verdict *given);
void campaign_progress(campaign *self, const char *now_running);
int campaign_finish(campaign *self); /* sums and files; an exit status */

/* ---- workers (pool.c, worker.c) ---- */

/* Runs all cases in worker processes; an exit status. */
int pool_run(campaign *self);
/* Runs them in this process: what crashes takes the command with it. */
int worker_run_here(campaign *self);
int worker_main(const conform_options *options);
/* A verdict as one line without newline, and back (0 when malformed). */
void verdict_write(const verdict *self, char *out_line, size_t capacity);
int verdict_read(verdict *out, const char *line);

/* ---- expectations.txt (expectations.c) ---- */

typedef struct expectations expectations;
/* Adds a file's lines to *io (made when NULL). EXIT_INVALID when a line is malformed (printed with
 * file and line; the others still count). */
int expectations_read(const char *path, expectations **io);
/* The same for what the backends of a device say of themselves (known_failures.c). */
int known_failures_read(const char *device, expectations **io);
/* Where the library looks for manifests: the environment's folder, or the one installed beside the
 * library. */
void manifest_folder(char *out_folder, size_t capacity);
/* The result expected of a case, RESULT_COUNT when nothing is said. */
int32_t expectations_find(expectations *self, const char *name, const char **out_reason);
int expectations_update(expectations *self, const char *path, const campaign *ran);
void expectations_free(expectations *self);

/* ---- reports ---- */

void report_line(FILE *stream, const tested *one);
int report_junit(const campaign *self, const char *path);
void report_tap(const campaign *self, FILE *stream);
int report_badge(const campaign *self, const char *path);

/* ---- vectors (vectors.c) ---- */

/* Adds "vector:FOLDER" for every test below dir that matches; an exit status. */
int vectors_add(campaign *self, const char *dir);

#endif
