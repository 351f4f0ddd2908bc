/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of the suite: the list of cases, their verdicts as they come in, what is printed
 * meanwhile and at the end.
 */
#include "command.h"
#include "conform.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int campaign_add(campaign *self, const char *name) {
    if (self->count == self->capacity) {
        uint64_t capacity = 2 * self->capacity + 1024;
        tested *grown = realloc(self->cases, capacity * sizeof *grown);
        if (grown == NULL) {
            return complain(EXIT_LIMIT,
                            "OUT_OF_MEMORY",
                            "no memory for %llu cases",
                            (unsigned long long)capacity);
        }
        self->cases = grown;
        self->capacity = capacity;
    }
    tested *one = &self->cases[self->count];
    memset(one, 0, sizeof *one);
    one->name = strdup(name);
    if (one->name == NULL) {
        return complain(EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for the case %s", name);
    }
    self->count++;
    return EXIT_RIGHT;
}

static int is_bad(int32_t result) {
    return result == RESULT_FAIL || result == RESULT_CRASH || result == RESULT_TIMEOUT ||
           result == RESULT_UNSUPPORTED;
}

static void clear_line(void) {
    if (isatty(2)) {
        fputs("\r\033[K", stderr);
    }
}

static void print_bad(const campaign *self, const tested *one) {
    static const char *const words[RESULT_COUNT] = {
        "PASS", "FAIL", "UNSUPPORTED", "NOT CLAIMED", "WAIVED", "CRASH", "TIMEOUT", "MISTRUSTED"};
    const verdict *said = &one->verdict;
    FILE *stream = self->options->tap || self->options->json ? stderr : stdout;
    clear_line();
    fprintf(stream, "%s %s", words[said->result], one->name);
    if (said->result == RESULT_FAIL && said->limit > 0) {
        fprintf(stream, "  err %.3g, limit %.3g", said->error, said->limit);
    }
    fprintf(stream,
            "  %s   rerun: ferrule conform --device %s --case '%s'\n",
            said->sentence,
            self->options->device,
            one->name);
    (void)fflush(stream);
}

/* An expected failure is waived; one that passes is a failure. */
static void hold_against(campaign *self, tested *one) {
    const char *reason = "";
    int32_t expected = expectations_find(self->expected, one->name, &reason),
            result = one->verdict.result;
    if (expected == RESULT_COUNT || result == RESULT_NOT_CLAIMED) {
        return;
    }
    if (expected == result) {
        one->verdict.result = RESULT_WAIVED;
        (void)snprintf(one->verdict.sentence,
                       sizeof one->verdict.sentence,
                       "%s: %.250s",
                       result_name(result),
                       reason);
    } else if (result == RESULT_PASS) {
        one->is_surprise = 1;
        self->surprises++;
        one->verdict.result = RESULT_FAIL;
        one->verdict.limit = 0;
        (void)snprintf(one->verdict.sentence,
                       sizeof one->verdict.sentence,
                       "it passes, yet the expectations say %s (%.160s): remove the line",
                       result_name(expected),
                       reason);
    }
}

void campaign_take(campaign *self, uint64_t index, const verdict *given) {
    tested *one = &self->cases[index];
    one->verdict = *given;
    one->is_done = 1;
    hold_against(self, one);
    self->done++;
    self->results[one->verdict.result]++;
    if (one->verdict.result == RESULT_PASS) {
        self->rans[one->verdict.ran]++;
    }
    if (is_bad(one->verdict.result)) {
        print_bad(self, one);
    }
    while (self->report != NULL && self->reported < self->count &&
           self->cases[self->reported].is_done) {
        report_line(self->report, &self->cases[self->reported++]);
    }
    campaign_progress(self, one->name);
}

void campaign_progress(campaign *self, const char *now_running) {
    double now = now_ms(), spent = now - self->begin_ms;
    int is_terminal = isatty(2);
    if (spent < 1000 || now - self->shown_ms < (is_terminal ? 200 : 15000) || self->done == 0) {
        return;
    }
    self->shown_ms = now;
    double share = (double)self->done / (double)self->count;
    uint64_t bad =
        self->results[RESULT_FAIL] + self->results[RESULT_CRASH] + self->results[RESULT_TIMEOUT] +
        self->results[RESULT_UNSUPPORTED];
    int left = (int)(spent / share * (1 - share) / 1e3), bar = (int)(share * 18);
    clear_line();
    fprintf(stderr,
            "[%.*s%.*s] %2.0f %%  %llu of %llu   %.40s   %llu failed   %dm%02ds left%s",
            bar,
            "##################",
            18 - bar,
            "------------------",
            share * 100,
            (unsigned long long)self->done,
            (unsigned long long)self->count,
            now_running != NULL ? now_running : "",
            (unsigned long long)bad,
            left / 60,
            left % 60,
            is_terminal ? "" : "\n");
    (void)fflush(stderr);
}

static uint64_t claimed(const campaign *self) {
    return self->done - self->results[RESULT_NOT_CLAIMED];
}

static void json_sums(const campaign *self, FILE *stream) {
    json out;
    json_begin(&out, stream);
    json_open(&out, NULL, '{');
    json_open(&out, "sums", '{');
    json_text(&out, "device", self->options->device);
    json_text(&out, "version", fer_version_string());
    json_text(&out, "suite", self->options->suite);
    json_integer(&out, "cases", (int64_t)self->count);
    for (int32_t i = 0; i < RESULT_COUNT; i++) {
        json_integer(&out, result_name(i), (int64_t)self->results[i]);
    }
    for (int32_t i = RAN_NATIVE; i < RAN_COUNT; i++) {
        json_integer(&out, ran_name(i), (int64_t)self->rans[i]);
    }
    json_integer(&out, "claimed", (int64_t)claimed(self));
    json_integer(&out, "surprises", (int64_t)self->surprises);
    json_close(&out, '}');
    json_close(&out, '}');
    json_end(&out);
}

static void print_sums(const campaign *self) {
    FILE *stream = self->options->tap ? stderr : stdout;
    clear_line();
    if (self->options->json) {
        json_sums(self, stdout);
        return;
    }
    fprintf(stream,
            "pass %llu (native %llu, expanded %llu, assisted %llu, host %llu)",
            (unsigned long long)self->results[RESULT_PASS],
            (unsigned long long)self->rans[RAN_NATIVE],
            (unsigned long long)self->rans[RAN_EXPANDED],
            (unsigned long long)self->rans[RAN_ASSISTED],
            (unsigned long long)self->rans[RAN_HOST]);
    for (int32_t i = RESULT_FAIL; i < RESULT_COUNT; i++) {
        fprintf(stream, "   %s %llu", result_name(i), (unsigned long long)self->results[i]);
    }
    fprintf(stream,
            "\n%llu of %llu cases on %s in %.0f s",
            (unsigned long long)self->done,
            (unsigned long long)self->count,
            self->options->device,
            (now_ms() - self->begin_ms) / 1e3);
    if (self->options->report != NULL) {
        fprintf(stream, "   report: %s", self->options->report);
    }
    fputc('\n', stream);
}

int campaign_finish(campaign *self) {
    const conform_options *options = self->options;
    int status = EXIT_RIGHT;
    while (self->report != NULL && self->reported < self->count) {
        report_line(self->report, &self->cases[self->reported++]);
    }
    if (self->report != NULL) {
        json_sums(self, self->report);
        int failed = ferror(self->report);
        if (fclose(self->report) != 0 || failed) {
            status = complain(EXIT_INVALID, "IO", "%s cannot be written", options->report);
        }
    }
    if (options->tap) {
        report_tap(self, stdout);
    }
    if (options->junit != NULL && status == EXIT_RIGHT) {
        status = report_junit(self, options->junit);
    }
    if (options->badge != NULL && status == EXIT_RIGHT) {
        status = report_badge(self, options->badge);
    }
    if (options->update && status == EXIT_RIGHT) {
        status = expectations_update(self->expected, options->expectations, self);
    }
    print_sums(self);
    for (int32_t i = 0; i < RESULT_COUNT && status == EXIT_RIGHT; i++) {
        status = is_bad(i) && self->results[i] > 0 ? EXIT_DIFFER : EXIT_RIGHT;
    }
    return status;
}
