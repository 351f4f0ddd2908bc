/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a case out as a test in ONNX's layout, so that another runtime can be asked: model.onnx, test_data_set_0 with
 * inputs and what the oracle expects (the scalar one where there is one, rounded to the output's dtype; else ref).
 */
#include "conform.h"

#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct file_sink {
    FILE *file;
    int failed;
} file_sink;

static int32_t write_piece(void *self, const char *text, size_t length) {
    file_sink *sink = self;
    sink->failed |= fwrite(text, 1, length, sink->file) != length;
    return sink->failed;
}

static int close_sink(file_sink *sink, const char *path, fer_status status) {
    sink->failed |= fclose(sink->file) != 0;
    if (status != FER_OK) {
        return complain(EXIT_INVALID, fer_status_name(status), "%s: %s", path, fer_error_last()->message);
    }
    return sink->failed ? complain(EXIT_INVALID, "IO", "%s cannot be written", path) : EXIT_RIGHT;
}

static int write_value(runner *self, const char *folder, const char *stem, uint32_t index, const char *name, const fer_value *value) {
    char path[1200];
    (void)snprintf(path, sizeof path, "%s/test_data_set_0/%s_%u.pb", folder, stem, index);
    file_sink sink = {.file = fopen(path, "wb")};
    if (sink.file == NULL) {
        return complain(EXIT_INVALID, "IO", "%s cannot be written: %s", path, strerror(errno));
    }
    return close_sink(&sink, path, fer_value_to_onnx(self->context, value, name, write_piece, &sink));
}

static int make_folder(const char *path) {
    return mkdir(path, 0777) == 0 || errno == EEXIST
               ? EXIT_RIGHT
               : complain(EXIT_INVALID, "IO", "the folder %s cannot be made: %s", path, strerror(errno));
}

static int write_model(const built_case *built, const char *folder) {
    char path[1200];
    int status = make_folder(folder);
    (void)snprintf(path, sizeof path, "%s/test_data_set_0", folder);
    status = status == EXIT_RIGHT ? make_folder(path) : status;
    (void)snprintf(path, sizeof path, "%s/model.onnx", folder);
    file_sink sink = {.file = status == EXIT_RIGHT ? fopen(path, "wb") : NULL};
    if (sink.file == NULL) {
        return status != EXIT_RIGHT ? status : complain(EXIT_INVALID, "IO", "%s cannot be written: %s", path, strerror(errno));
    }
    return close_sink(&sink, path, fer_graph_write_onnx(built->graph, write_piece, &sink));
}

/* The oracle's numbers over ref's output, which has dtype and shape. */
static void use_scalar(const trial *of, fer_value **outputs) {
    nd in[CASE_INPUTS], want[CASE_OUTPUTS];
    memset(want, 0, sizeof want);
    for (uint32_t i = 0; i < CASE_INPUTS; i++) {
        in[i] = i < of->input_count ? of->inputs[i].number : (nd){0};
    }
    if (of->row->oracle == NULL || (of->row->flags & ROW_MOVEMENT) != 0 || !of->row->oracle(of, in, want)) {
        return;
    }
    for (uint32_t o = 0; o < of->output_count; o++) {
        fer_tensor *tensor = fer_value_tensor(outputs[o]);
        if (tensor == NULL || want[o].v == NULL || fer_tensor_data(tensor) == NULL ||
            fer_tensor_element_count(tensor) != want[o].count || fer_tensor_dtype(tensor) == FER_STRING) {
            continue;
        }
        uint64_t parts;
        fer_dtype part = dtype_part(fer_tensor_dtype(tensor), &parts);
        for (uint64_t i = 0; i < want[o].count * parts; i++) {
            if (want[o].slack == NULL || want[o].slack[i] < 1e300L) { /* else it may be anything */
                number_set(part, fer_tensor_data(tensor), i, want[o].v[i]);
            }
        }
    }
}

static int write_case(runner *self, const trial *of, const built_case *built, const char *folder) {
    fer_value *outputs[CASE_OUTPUTS] = {NULL};
    int result = write_model(built, folder);
    for (uint32_t i = 0; i < built->input_count && result == EXIT_RIGHT; i++) {
        fer_value_info info = {.struct_size = sizeof info};
        fer_status status = fer_graph_input(built->graph, i, &info);
        result = write_value(self, folder, "input", i, status == FER_OK ? info.name : NULL, built->inputs[i]);
    }
    fer_status status = result == EXIT_RIGHT ? case_expect(self, of, built, outputs) : FER_OK;
    if (status != FER_OK) {
        result = complain(EXIT_UNSUPPORTED, fer_status_name(status), "ref cannot run it: %s", fer_error_last()->message);
    }
    if (result == EXIT_RIGHT) {
        use_scalar(of, outputs);
    }
    for (uint32_t i = 0; i < of->output_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "out%u", i);
        result = result == EXIT_RIGHT ? write_value(self, folder, "output", i, name, outputs[i]) : result;
        fer_value_release(outputs[i]);
    }
    return result;
}

int repro_write(runner *self, const char *name, const char *folder) {
    static trial of;
    built_case built = {0};
    if (!trial_parse(&of, name)) {
        return complain(EXIT_INVALID, "INVALID_INPUT", "--repro '%s': %s", name, of.sentence);
    }
    int result = EXIT_RIGHT;
    if (trial_values(&of, self->context) != FER_OK || case_build(&of, self->context, &built) != FER_OK) {
        result = complain(EXIT_INVALID, "INVALID_MODEL", "the case cannot be built: %s", fer_error_last()->message);
    } else {
        result = write_case(self, &of, &built, folder);
    }
    built_finish(&built);
    trial_finish(&of);
    if (result == EXIT_RIGHT) {
        printf("%s/model.onnx and its test_data_set_0: ferrule run %s/model.onnx --data %s/test_data_set_0 --expect "
               "%s/test_data_set_0\n",
               folder, folder, folder, folder);
    }
    return result;
}
