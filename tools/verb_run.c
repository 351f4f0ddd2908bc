/* SPDX-License-Identifier: Apache-2.0
 *
 * `ferrule run MODEL`: one run. The outputs in a line each, then where and how long; with --expect
 * whether they are what they should be; with --output as files.
 */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct one_run {
    session session;
    feeds feeds;
    fer_value **outputs;
    uint32_t output_count;
    fer_run_record record;
    double run_ms;
    uint64_t differing; /* outputs */
    json *json;         /* NULL: text */
} one_run;

static const char *output_name(const one_run *self, uint32_t index) {
    fer_value_info info = {.struct_size = sizeof info};
    fer_status status = fer_program_output(self->session.program, index, &info);
    return status == FER_OK ? info.name : "?";
}

static int compare_one(one_run *self, uint32_t index) {
    const arguments *args = self->session.args;
    fer_value_info info = {.struct_size = sizeof info};
    fer_status status = fer_program_output(self->session.program, index, &info);
    if (status != FER_OK) {
        return fail_with(args, status);
    }
    /* What a file holds decides its kind as much as what the model declares. */
    info.kind = fer_value_kind(self->outputs[index]);
    fer_value *want = NULL;
    int result = value_from_folder(&self->session, args->expect, "output", index, &info, &want);
    if (result != EXIT_RIGHT) {
        return result;
    }
    if (want == NULL) {
        return complain(EXIT_INVALID,
                        "INVALID_INPUT",
                        "%s has no output_%u.pb or output_%u.npy",
                        args->expect,
                        index,
                        index);
    }
    agreement found = {0};
    int same = values_agree(self->outputs[index], want, args->rtol, args->atol, &found);
    self->differing += !same;
    if (self->json != NULL) {
        json_open(self->json, NULL, '{');
        json_text(self->json, "name", info.name);
        json_integer(self->json, "agrees", same);
        json_integer(self->json, "compared", (int64_t)found.compared);
        json_integer(self->json, "differing", (int64_t)found.differing);
        json_text(self->json, "difference", found.sentence);
        json_close(self->json, '}');
    }
    if (!same) {
        say_text(stderr,
                 "ferrule: DIFFER: output %u '%s' is not as expected: %s",
                 index,
                 info.name,
                 found.sentence);
        if (found.compared > 0) {
            fprintf(stderr,
                    " (%llu of %llu elements)",
                    (unsigned long long)found.differing,
                    (unsigned long long)found.compared);
        }
        (void)fputc('\n', stderr);
    }
    fer_value_release(want);
    return EXIT_RIGHT;
}

static int compare_all(one_run *self) {
    int result = EXIT_RIGHT;
    if (self->json != NULL) {
        json_open(self->json, "expected", '[');
    }
    for (uint32_t i = 0; i < self->output_count && result == EXIT_RIGHT; i++) {
        result = compare_one(self, i);
    }
    if (self->json != NULL) {
        json_close(self->json, ']');
    } else if (result == EXIT_RIGHT && self->differing == 0) {
        printf("outputs are as expected (rtol %g, atol %g)\n",
               self->session.args->rtol,
               self->session.args->atol);
    }
    return result == EXIT_RIGHT && self->differing > 0 ? EXIT_DIFFER : result;
}

/* output_0.npy; items of sequences and optionals as output_0_0.npy and so on. */
static int write_value(const char *stem, const fer_value *value) {
    char path[4096];
    if (fer_value_kind(value) == FER_KIND_TENSOR) {
        (void)snprintf(path, sizeof path, "%s.npy", stem);
        return npy_write(path, fer_value_tensor(value));
    }
    int result = EXIT_RIGHT;
    for (uint64_t i = 0; i < fer_value_count(value) && result == EXIT_RIGHT; i++) {
        (void)snprintf(path, sizeof path, "%s_%llu", stem, (unsigned long long)i);
        result = write_value(path, fer_value_item(value, i));
    }
    return result;
}

static int write_outputs(const one_run *self) {
    const char *folder = self->session.args->output;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        return complain(
            EXIT_INVALID, "IO", "the folder %s cannot be made: %s", folder, strerror(errno));
    }
    int result = EXIT_RIGHT;
    for (uint32_t i = 0; i < self->output_count && result == EXIT_RIGHT; i++) {
        char stem[4000];
        (void)snprintf(stem, sizeof stem, "%s/output_%u", folder, i);
        result = write_value(stem, self->outputs[i]);
    }
    return result;
}

static void print_where(const one_run *self, const placement_report *report) {
    const char *device = report->sum_count > 0 ? report->sums[0].device : "host";
    double compile = self->session.compile_ms + (double)self->record.compile_ns * 1e-6;
    printf("%.1f ms on %s (load %.1f, compile %.1f, run %.1f), %llu/%llu nodes",
           self->run_ms,
           device,
           self->session.load_ms,
           compile,
           self->run_ms,
           (unsigned long long)report->device_first,
           (unsigned long long)report->node_count);
    if (report->fallback_count > 0) {
        printf(", %llu elsewhere: see ferrule explain", (unsigned long long)report->fallback_count);
    } else {
        fputs(", no fallback", stdout);
    }
    fputc('\n', stdout);
}

static void json_where(one_run *self, const placement_report *report) {
    json *out = self->json;
    json_number(out, "load_ms", self->session.load_ms);
    json_number(
        out, "compile_ms", self->session.compile_ms + (double)self->record.compile_ns * 1e-6);
    json_number(out, "run_ms", self->run_ms);
    json_open(out, "nodes", '{');
    for (uint32_t i = 0; i < report->sum_count; i++) {
        json_integer(out, report->sums[i].device, (int64_t)report->sums[i].nodes);
    }
    json_integer(out, "host", (int64_t)report->host_count);
    json_integer(out, "folded", (int64_t)report->folded_count);
    json_close(out, '}');
    json_integer(out, "fallback_nodes", (int64_t)report->fallback_count);
    json_integer(out, "stages", self->record.stage_count);
    json_integer(out, "bytes_moved", (int64_t)self->record.bytes_moved);
    json_integer(out, "poll_count", (int64_t)self->record.poll_count);
}

static int run_program(one_run *self) {
    fer_program *program = self->session.program;
    self->output_count = fer_program_output_count(program);
    self->outputs = calloc(self->output_count + 1, sizeof *self->outputs);
    if (self->outputs == NULL) {
        return complain(
            EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for %u outputs", self->output_count);
    }
    fer_run_options options;
    self->record.struct_size = sizeof self->record;
    session_run_options(&self->session, &options, &self->record);
    double begin = now_ms();
    fer_status status = fer_program_run_values(program,
                                               &options,
                                               self->feeds.values,
                                               self->feeds.count,
                                               self->outputs,
                                               self->output_count);
    self->run_ms = now_ms() - begin - (double)self->record.compile_ns * 1e-6;
    return status == FER_OK ? EXIT_RIGHT : fail_with(self->session.args, status);
}

static int report_run(one_run *self) {
    const arguments *args = self->session.args;
    placement_report report;
    fer_status status = placement_read(self->session.program, &report);
    int result = status == FER_OK ? EXIT_RIGHT : fail_with(args, status);
    if (result == EXIT_RIGHT && args->output != NULL) {
        result = write_outputs(self);
    }
    if (result != EXIT_RIGHT) {
        return result;
    }
    json out;
    if (args->json) {
        self->json = &out;
        json_begin(&out, stdout);
        json_open(&out, NULL, '{');
        json_text(&out, "model", args->model);
        json_open(&out, "outputs", '[');
    }
    for (uint32_t i = 0; i < self->output_count; i++) {
        if (args->json) {
            json_value(&out, output_name(self, i), self->outputs[i]);
        } else {
            print_value_text(stdout, output_name(self, i), self->outputs[i]);
        }
    }
    if (args->json) {
        json_close(&out, ']');
        json_where(self, &report);
    } else {
        print_where(self, &report);
    }
    if (args->expect != NULL) {
        result = compare_all(self);
    }
    if (args->json) {
        json_close(&out, '}');
        json_end(&out);
    }
    return result;
}

int verb_run(const arguments *args) {
    one_run self = {0};
    int result = session_open(&self.session, args);
    if (result == EXIT_RIGHT) {
        result = session_import(&self.session);
    }
    if (result == EXIT_RIGHT) {
        result = session_compile(&self.session);
    }
    if (result == EXIT_RIGHT) {
        result = feeds_make(&self.session, &self.feeds);
    }
    if (result == EXIT_RIGHT) {
        result = run_program(&self);
    }
    if (result == EXIT_RIGHT) {
        result = report_run(&self);
    }
    for (uint32_t i = 0; i < self.output_count && self.outputs != NULL; i++) {
        fer_value_release(self.outputs[i]);
    }
    free((void *)self.outputs);
    feeds_finish(&self.feeds);
    session_close(&self.session);
    return result;
}
