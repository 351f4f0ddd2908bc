/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX's test vectors as cases: a folder with model.onnx and test_data_set_N is "vector:FOLDER".
 */
#include "command.h"
#include "conform.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Vectors whose values are drawn: only kinds, dtypes and shapes are compared; the generated cases
 * judge distributions. */
static const struct {
    const char *pattern;
    const char *reason;
} drawn[] = {
    {"test_bernoulli*", "it draws its output"},
};

static const char *drawn_reason(const char *name) {
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
        if (fnmatch(drawn[i].pattern, name, 0) == 0) {
            return drawn[i].reason;
        }
    }
    return NULL;
}

static int is_wanted(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static int add_below(campaign *self, const char *dir, int depth) {
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_wanted, alphasort), status = EXIT_RIGHT;
    if (count < 0) {
        return complain(EXIT_INVALID, "IO", "%s cannot be read: %s", dir, strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        char path[900], model[1000], name[1000];
        struct stat info;
        (void)snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        (void)snprintf(model, sizeof model, "%s/model.onnx", path);
        (void)snprintf(name, sizeof name, "vector:%s", path);
        const char *pattern = self->options->filter.pattern, *op = self->options->filter.op;
        int matches = (pattern == NULL || fnmatch(pattern, entries[i]->d_name, 0) == 0) &&
                      (op == NULL || fnmatch(op, entries[i]->d_name, 0) == 0);
        if (status == EXIT_RIGHT && stat(model, &info) == 0 && matches) {
            status = campaign_add(self, name);
        } else if (status == EXIT_RIGHT && depth < 2 && stat(model, &info) != 0 &&
                   stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
            status = add_below(self, path, depth + 1);
        }
        free(entries[i]);
    }
    free((void *)entries);
    return status;
}

int vectors_add(campaign *self, const char *dir) { return add_below(self, dir, 0); }

/* ---- running one ---- */

typedef struct vector_case {
    runner *with;
    fer_graph *graph;
    fer_program *program;
    fer_value *inputs[64];
    fer_value *outputs[64];
    uint32_t input_count, output_count;
    verdict *out;
} vector_case;

static int say(vector_case *self, int32_t result, const char *what, const char *detail) {
    self->out->result = result;
    (void)snprintf(self->out->sentence, sizeof self->out->sentence, "%.100s: %.190s", what, detail);
    return 0;
}

static int read_value(vector_case *self,
                      const char *set,
                      const char *stem,
                      uint32_t index,
                      int32_t kind,
                      fer_value **out) {
    char path[1200];
    uint64_t bytes = 0;
    (void)snprintf(path, sizeof path, "%s/%s_%u.pb", set, stem, index);
    unsigned char *data = file_read(path, &bytes);
    if (data == NULL) {
        return say(self, RESULT_FAIL, "cannot be read", path);
    }
    fer_status status = fer_value_from_onnx(self->with->context, data, bytes, kind, out);
    free(data);
    return status == FER_OK ? 1 : say(self, RESULT_FAIL, path, fer_error_last()->message);
}

static void drop_values(vector_case *self) {
    for (uint32_t i = 0; i < 64; i++) {
        fer_value_release(self->inputs[i]);
        fer_value_release(self->outputs[i]);
        self->inputs[i] = self->outputs[i] = NULL;
    }
}

static int run_set(vector_case *self, const char *set) {
    fer_value_info info = {.struct_size = sizeof info};
    self->input_count = fer_program_input_count(self->program);
    self->output_count = fer_program_output_count(self->program);
    if (self->input_count > 64 || self->output_count > 64) {
        return say(self, RESULT_FAIL, "too many inputs or outputs", set);
    }
    for (uint32_t i = 0; i < self->input_count; i++) {
        if (fer_program_input(self->program, i, &info) != FER_OK ||
            !read_value(self, set, "input", i, info.kind, &self->inputs[i])) {
            return 0;
        }
    }
    fer_run_options options = {.struct_size = sizeof options,
                               .deadline_ns = (uint64_t)(self->with->timeout_s * 0.9e9)};
    fer_status status = fer_program_run_values(self->program,
                                               &options,
                                               self->inputs,
                                               self->input_count,
                                               self->outputs,
                                               self->output_count);
    if (status != FER_OK) {
        int32_t result = status == FER_UNSUPPORTED || status == FER_PLACEMENT ? RESULT_UNSUPPORTED
                         : status == FER_DEADLINE                             ? RESULT_TIMEOUT
                                                                              : RESULT_FAIL;
        return say(self, result, fer_status_name(status), fer_error_last()->message);
    }
    return 1;
}

static int compare_set(vector_case *self, const char *set, const char *drawn_because) {
    for (uint32_t i = 0; i < self->output_count; i++) {
        fer_value *want = NULL;
        agreement found = {0};
        if (!read_value(self, set, "output", i, fer_value_kind(self->outputs[i]), &want)) {
            return 0;
        }
        int same =
            values_agree(self->outputs[i], want, 1e-3, drawn_because != NULL ? 1e30 : 1e-7, &found);
        if (!same && drawn_because == NULL) {
            /* Some expect what rounding left of an exact zero. */
            agreement again = {0};
            same = found.worst < 1e-6 && values_agree(self->outputs[i], want, 1e-3, 1e-6, &again);
        }
        fer_value_release(want);
        if (!same) {
            return say(self, RESULT_FAIL, "an output is not as expected", found.sentence);
        }
    }
    return 1;
}

static int32_t where_vector_ran(const vector_case *self) {
    uint64_t count = 0, here = 0, split = 0, elsewhere = 0;
    if (fer_program_placement_count(self->program, &count) != FER_OK) {
        return RAN_NOWHERE;
    }
    for (uint64_t i = 0; i < count; i++) {
        fer_placement line = {.struct_size = sizeof line};
        if (fer_program_placement(self->program, i, &line) != FER_OK ||
            strcmp(line.device, "host") == 0 || strcmp(line.device, "folded") == 0) {
            continue;
        }
        int is_here = strcmp(line.device, self->with->device) == 0;
        elsewhere += !is_here;
        here += is_here;
        split += is_here && (line.part_count > 1 || line.reason[0] != '\0');
    }
    return elsewhere > 0 ? (here > 0 ? RAN_ASSISTED : RAN_NOWHERE)
           : split > 0   ? RAN_EXPANDED
           : here > 0    ? RAN_NATIVE
                         : RAN_HOST;
}

static int run_sets(vector_case *self, const char *folder, const char *because) {
    int sets = 0, good = 1;
    for (; good; sets++) {
        char set[1100];
        struct stat info;
        (void)snprintf(set, sizeof set, "%s/test_data_set_%d", folder, sets);
        if (stat(set, &info) != 0) {
            break;
        }
        good = run_set(self, set) && compare_set(self, set, because);
        drop_values(self);
    }
    return good && sets == 0 ? say(self, RESULT_FAIL, folder, "has no test_data_set_0") : good;
}

int vector_run(runner *with, const char *folder, verdict *out) {
    vector_case self = {.with = with, .out = out};
    char path[1100], devices[96];
    const char *name = strrchr(folder, '/');
    const char *because = drawn_reason(name != NULL ? name + 1 : folder);
    (void)snprintf(path, sizeof path, "%s/model.onnx", folder);
    (void)snprintf(devices, sizeof devices, "%s%s", with->device, with->is_oracle ? "" : ",ref:0");
    (void)snprintf(out->oracle, sizeof out->oracle, "vector");
    fer_compile_options compile = {
        .struct_size = sizeof compile, .fallback = FER_FALLBACK_ALLOW, .devices = devices};
    fer_status status = fer_graph_import_file(with->context, path, NULL, &self.graph);
    if (status == FER_OK) {
        status = fer_program_compile(with->context, self.graph, &compile, &self.program);
    }
    if (status != FER_OK) {
        (void)say(&self,
                  status == FER_UNSUPPORTED ? RESULT_UNSUPPORTED : RESULT_FAIL,
                  fer_status_name(status),
                  fer_error_last()->message);
    } else if (run_sets(&self, folder, because)) {
        out->ran = where_vector_ran(&self);
        out->result = out->ran == RAN_NOWHERE || (out->ran == RAN_HOST && !with->is_oracle)
                          ? RESULT_NOT_CLAIMED
                          : RESULT_PASS;
        if (because != NULL) {
            (void)snprintf(
                out->sentence, sizeof out->sentence, "values are not compared: %s", because);
        }
    }
    fer_program_release(self.program);
    fer_graph_release(self.graph);
    return 1;
}
