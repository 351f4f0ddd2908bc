/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of a case: its result, where it ran and how far off it was. Made by the runner in a
 * worker, sent to the parent, held against the expectations, written to the report.
 */
#ifndef FERRULE_CONFORM_VERDICT_H
#define FERRULE_CONFORM_VERDICT_H

#include "case.h"

#include <stdio.h>

enum {
    RESULT_PASS,
    RESULT_FAIL,
    RESULT_UNSUPPORTED, /* within the device's claims, yet refused */
    RESULT_NOT_CLAIMED,
    RESULT_WAIVED, /* as the expectations say it would be */
    RESULT_CRASH,
    RESULT_TIMEOUT,
    RESULT_MISTRUSTED, /* the outputs prove nothing: mostly zeros, or nothing to compare with */
    RESULT_COUNT
};
enum {
    RAN_NOWHERE,
    RAN_NATIVE,   /* as claimed */
    RAN_EXPANDED, /* all on the device, as simpler ops */
    RAN_ASSISTED, /* partly elsewhere */
    RAN_HOST,     /* on the host, as sequences, strings and control do everywhere */
    RAN_COUNT
};

typedef struct verdict {
    int32_t result;
    int32_t ran;
    double error; /* worst element: distance from what is right, */
    double limit; /* and how much was allowed there */
    uint64_t at;  /* its flat index */
    double ms;
    char oracle[12]; /* what it was compared with: scalar, ref, widened, judge, vector, none */
    char sentence[300];
} verdict;

const char *result_name(int32_t result);
/* RESULT_COUNT for what is none. */
int32_t result_from_name(const char *name);
const char *ran_name(int32_t ran);

/* ---- limits (limits.c) ---- */

/* How far an op's results may be from exact ones, in units of the output dtype's last place; 0.5 is
 * correct rounding. */
double limit_ulps(const op_row *op, fer_dtype dtype);
void limits_print(FILE *stream);

/* ---- comparing (judge.c) ---- */

/* Holds got against what the oracle says, as the row's flags tell: exact numbers within the limit,
 * or bit by bit the elements of inputs (see case_input.is_moved; -1 is zero); of sequences,
 * optionals and maps each item. Sets error, limit, at, and result to PASS, FAIL or MISTRUSTED. */
void judge_value(const trial *self, uint32_t output, fer_value *got, const nd *want, verdict *out);
/* Against another tensor, element by element, with the op's limit times factor. */
void judge_tensors(const trial *self,
                   uint32_t output,
                   fer_tensor *got,
                   fer_tensor *want,
                   double factor,
                   verdict *out);

/* ---- running (runner.c) ---- */

typedef struct runner {
    fer_context *context;
    fer_device *device_handle;
    char device[64];
    int32_t is_oracle; /* the device is ref itself */
    double timeout_s;
    int32_t watches_heap; /* what is lost at every run is a failure: needs the worker's allocator */
    const char *lose; /* conform_options.lose */
    struct abi *abi;  /* made by the first case of the ABI suite (abi_suite.c) */
} runner;

fer_status runner_open(runner *self, const char *device);
void runner_close(runner *self);
/* Runs a case or, where name begins with "vector:", a folder in ONNX's test layout. */
void runner_run(runner *self, const char *name, verdict *out);
/* A graph, inputs and expected outputs of a case as an ONNX test in folder; an exit status. */
int repro_write(runner *self, const char *name, const char *folder);

/* The pieces of a run that repro and runner share. */
typedef struct built_case {
    fer_graph *graph;
    fer_value *inputs[CASE_INPUTS];
    uint32_t input_count;
} built_case;
fer_status case_build(const trial *self, fer_context *context, built_case *out);
void built_finish(built_case *self);
/* What ref makes of it. */
fer_status
case_expect(runner *self, const trial *of, const built_case *built, fer_value **out_outputs);
/* 1 when the device claims the op, or one of its expansion's. */
int vector_run(runner *self, const char *name, verdict *out);

#endif
