/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker: reads case names from descriptor 3, answers each with a line on descriptor 4, ends
 * with its input. It dies with its parent, whatever a backend does; stdout and stderr are the
 * backend's own.
 */
#include "command.h"
#include "conform.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void verdict_write(const verdict *self, char *out_line, size_t capacity) {
    char sentence[sizeof self->sentence];
    (void)snprintf(sentence, sizeof sentence, "%s", self->sentence);
    for (char *at = sentence; *at != '\0'; at++) {
        *at = *at == '\n' || *at == '\t' ? ' ' : *at;
    }
    (void)snprintf(out_line,
                   capacity,
                   "%d %d %.17g %.17g %llu %.3f %s %s",
                   self->result,
                   self->ran,
                   self->error,
                   self->limit,
                   (unsigned long long)self->at,
                   self->ms,
                   self->oracle[0] != '\0' ? self->oracle : "-",
                   sentence);
}

int verdict_read(verdict *out, const char *line) {
    char *end;
    memset(out, 0, sizeof *out);
    out->result = (int32_t)strtol(line, &end, 10);
    out->ran = (int32_t)strtol(end, &end, 10);
    out->error = strtod(end, &end);
    out->limit = strtod(end, &end);
    out->at = strtoull(end, &end, 10);
    out->ms = strtod(end, &end);
    if (*end != ' ' || out->result < 0 || out->result >= RESULT_COUNT || out->ran < 0 ||
        out->ran >= RAN_COUNT) {
        return 0;
    }
    size_t length = strcspn(++end, " ");
    (void)snprintf(out->oracle, sizeof out->oracle, "%.*s", (int)length, end);
    end += length + (end[length] == ' ');
    (void)snprintf(out->sentence, sizeof out->sentence, "%s", end);
    return 1;
}

int worker_main(const conform_options *options) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN); /* the parent decides */
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    FILE *names = fdopen(3, "r"), *answers = fdopen(4, "w");
    if (names == NULL || answers == NULL) {
        return complain(EXIT_USAGE, "USAGE", "--worker is for the command's own use");
    }
    runner self;
    fer_status status = runner_open(&self, options->device);
    if (status != FER_OK) {
        fprintf(answers, "error %s: %s\n", fer_status_name(status), fer_error_last()->message);
        (void)fclose(answers);
        return EXIT_DEVICE;
    }
    self.timeout_s = options->timeout_s;
    self.watches_heap = 1;
    self.lose = options->lose;
    fputs("ready\n", answers);
    (void)fflush(answers);
    char name[CASE_LINE], line[800];
    verdict out;
    pid_t own = getpid();
    while (fgets(name, sizeof name, names) != NULL) {
        name[strcspn(name, "\n")] = '\0';
        runner_run(&self, name, &out);
        if (getpid() != own) { /* a device forked, and its child came back */
            _exit(EXIT_DEVICE);
        }
        verdict_write(&out, line, sizeof line);
        if (fprintf(answers, "%s\n", line) < 0 || fflush(answers) != 0) {
            break;
        }
    }
    runner_close(&self);
    return EXIT_RIGHT;
}

int worker_run_here(campaign *work) {
    runner self;
    fer_status status = runner_open(&self, work->options->device);
    if (status != FER_OK) {
        return complain(EXIT_DEVICE,
                        "NO_DEVICE",
                        "the device '%s' cannot be opened: %s: %s",
                        work->options->device,
                        fer_status_name(status),
                        fer_error_last()->message);
    }
    self.timeout_s = work->options->timeout_s;
    self.lose = work->options->lose;
    for (uint64_t i = 0; i < work->count; i++) {
        verdict out;
        campaign_progress(work, work->cases[i].name);
        runner_run(&self, work->cases[i].name, &out);
        campaign_take(work, i, &out);
    }
    runner_close(&self);
    return EXIT_RIGHT;
}
