/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of attacks and what becomes of one: the case runs with a host of its own, and after it
 * the host tells of memory that was kept, freed twice or written beside.
 */
#include "abi.h"
#include "command.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const abi_cases *const lists[] = {
    &abi_table_cases,
    &abi_core_cases,
    &abi_support_cases,
    &abi_run_cases,
    &abi_memory_cases,
    &abi_async_cases,
    &abi_compile_cases,
    &abi_interop_cases,
    &abi_thread_cases,
    &abi_fault_cases,
    &abi_loss_cases,
};

/* ---- verdicts ---- */

static _Noreturn void finish(abi *self, int32_t result, const char *format, va_list rest) {
    self->out->result = result;
    (void)vsnprintf(self->out->sentence, sizeof self->out->sentence, format, rest);
    longjmp(self->end, 1);
}

void abi_fail(abi *self, const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    finish(self, RESULT_FAIL, format, rest);
}

void abi_skip(abi *self, const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    finish(self, RESULT_NOT_CLAIMED, format, rest);
}

void abi_ok(abi *self, fer_status status, const char *what) {
    if (status != FER_OK) {
        abi_fail(self,
                 "%s failed with %s: %.160s",
                 what,
                 fer_status_name(status),
                 fer_error_last()->status == status ? fer_error_last()->message : "");
    }
}

void abi_refused(abi *self, fer_status status, const char *what) {
    fer_status told = FER_OK;
    uint32_t count = abi_said(&told);
    if (status == FER_OK) {
        abi_fail(self, "%s was answered with OK", what);
    }
    if (strcmp(fer_status_name(status), "UNKNOWN") == 0) {
        abi_fail(self, "%s was answered with %d, which is no status", what, status);
    }
    if (count > 1) {
        abi_fail(self, "%s: host->fail was called %u times, once is right", what, count);
    }
    if (count == 1 && told != status) {
        abi_fail(self,
                 "%s was answered with %s, but host->fail was told %s",
                 what,
                 fer_status_name(status),
                 fer_status_name(told));
    }
    int may_be_silent = status == FER_UNSUPPORTED || status == FER_NOT_READY ||
                        status == FER_OUT_OF_MEMORY || status == FER_CANCELLED;
    if (count == 0 && !may_be_silent) {
        abi_fail(self,
                 "%s was answered with %s without a sentence: call host->fail",
                 what,
                 fer_status_name(status));
    }
}

/* ---- the list ---- */

const abi_case *abi_find(const char *name) {
    size_t slot = strcspn(name, "/");
    for (size_t l = 0; l < sizeof lists / sizeof *lists && name[slot] == '/'; l++) {
        for (uint32_t i = 0; i < lists[l]->count; i++) {
            const abi_case *row = &lists[l]->rows[i];
            if (strlen(row->slot) == slot && memcmp(row->slot, name, slot) == 0 &&
                strcmp(row->attack, name + slot + 1) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

int abi_each(const case_filter *filter, case_visit visit, void *visit_self) {
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        for (uint32_t i = 0; i < lists[l]->count; i++) {
            const abi_case *row = &lists[l]->rows[i];
            char name[160];
            (void)snprintf(name, sizeof name, "abi/%s/%s", row->slot, row->attack);
            if ((filter->op != NULL && fnmatch(filter->op, "abi", 0) != 0) ||
                (filter->dtype != NULL && fnmatch(filter->dtype, row->slot, 0) != 0) ||
                (filter->pattern != NULL && strcmp(filter->pattern, name) != 0 &&
                 fnmatch(filter->pattern, name, 0) != 0)) {
                continue;
            }
            int stop = visit(visit_self, name);
            if (stop != 0) {
                return stop;
            }
        }
    }
    return 0;
}

/* ---- one case ---- */

static void judge_memory(abi *self) {
    const char *broken = abi_host_check(self->host);
    int64_t live = atomic_load(&self->host->live);
    if (broken == NULL && live == 0) {
        return;
    }
    self->out->result = RESULT_FAIL;
    if (broken != NULL) {
        (void)snprintf(self->out->sentence, sizeof self->out->sentence, "%s", broken);
    } else {
        (void)snprintf(self->out->sentence,
                       sizeof self->out->sentence,
                       "%lld pieces of host memory were not given back",
                       (long long)live);
    }
}

static void run_case(abi *self, const abi_case *row, verdict *out) {
    self->out = out;
    self->host = abi_host_new(self->real);
    if (self->host == NULL) {
        out->result = RESULT_FAIL;
        (void)snprintf(out->sentence, sizeof out->sentence, "no memory for the suite's host");
        return;
    }
    out->result = RESULT_PASS;
    const fer_backend_module *const module = self->module, *const reference = self->reference;
    const fer_host *const real = self->real;
    fer_context *const context = self->context;
    char options[sizeof self->options];
    memcpy(options, self->options, sizeof options);
    if (setjmp(self->end) == 0) {
        row->run(self);
    }
    memcpy(self->options, options, sizeof options);
    self->module = module; /* a case may have reached another */
    self->reference = reference;
    self->real = real;
    self->context = context;
    if (out->result == RESULT_PASS || out->result == RESULT_NOT_CLAIMED) {
        judge_memory(self);
    }
    /* After a failure the backend's objects are still there, and use the host. */
    if (out->result == RESULT_PASS || out->result == RESULT_NOT_CLAIMED) {
        abi_host_free(self->host);
    }
    self->host = NULL;
}

void abi_run(runner *self, const char *name, verdict *out) {
    const abi_case *row = abi_find(name);
    (void)snprintf(out->oracle, sizeof out->oracle, "contract");
    out->ran = RAN_NATIVE;
    out->result = RESULT_FAIL;
    if (row == NULL) {
        (void)snprintf(out->sentence,
                       sizeof out->sentence,
                       "there is no case abi/%.200s; see ferrule conform --suite abi --list",
                       name);
        return;
    }
    if (self->abi == NULL) {
        abi *made = calloc(1, sizeof *made);
        fer_status status =
            made == NULL ? FER_OUT_OF_MEMORY : abi_reach(made, self->context, self->device);
        if (status != FER_OK) {
            (void)snprintf(out->sentence,
                           sizeof out->sentence,
                           "the device's tables cannot be reached: %s: %.200s",
                           fer_status_name(status),
                           fer_error_last()->message);
            free(made);
            return;
        }
        abi_find_entry(made);
        self->abi = made;
    }
    self->abi->timeout_s = self->timeout_s;
    self->abi->lose = self->lose;
    run_case(self->abi, row, out);
}
