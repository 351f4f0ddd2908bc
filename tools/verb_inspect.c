/* SPDX-License-Identifier: Apache-2.0
 *
 * `ferrule inspect MODEL`: inputs, outputs and the graph as text; with --passes it compiles the
 * model, runs it once where specialisation waits for that, and shows what each pass did; with
 * --op-list MODEL... it writes a list of their ops for meson's option ops.
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

typedef struct text_sink {
    char *data;
    size_t length;
    size_t capacity;
} text_sink;

static int32_t collect(void *self, const char *text, size_t length) {
    text_sink *sink = self;
    if (sink->length + length > sink->capacity) {
        size_t capacity = 2 * (sink->capacity + length);
        char *grown = realloc(sink->data, capacity);
        if (grown == NULL) {
            return 1;
        }
        sink->data = grown;
        sink->capacity = capacity;
    }
    memcpy(sink->data + sink->length, text, length);
    sink->length += length;
    return 0;
}

static int32_t to_stdout(void *self, const char *text, size_t length) {
    (void)self;
    say_bytes(stdout, text, length);
    return ferror(stdout) != 0;
}

static void print_info(const char *role, const fer_value_info *info) {
    say_text(stdout, "%-7s %s  ", role, info->name);
    if (info->kind != FER_KIND_TENSOR) {
        say_text(stdout, "%s of ", kind_name(info->kind));
    }
    say_text(stdout, "%s [", fer_dtype_name(info->dtype));
    for (int32_t axis = 0; axis < info->rank; axis++) {
        fputs(axis > 0 ? ", " : "", stdout);
        if (info->dims[axis] >= 0) {
            say_text(stdout, "%lld", (long long)info->dims[axis]);
        } else {
            say_text(stdout, "%s", info->symbols[axis]);
        }
    }
    puts(info->rank < 0 ? "...]" : "]");
}

static void json_info(json *out, const fer_value_info *info) {
    json_open(out, NULL, '{');
    json_text(out, "name", info->name);
    json_text(out, "kind", kind_name(info->kind));
    json_text(out, "dtype", fer_dtype_name(info->dtype));
    json_integer(out, "rank", info->rank);
    json_open(out, "shape", '[');
    for (int32_t axis = 0; axis < info->rank; axis++) {
        if (info->dims[axis] >= 0) {
            json_integer(out, NULL, info->dims[axis]);
        } else {
            json_text(out, NULL, info->symbols[axis]);
        }
    }
    json_close(out, ']');
    json_close(out, '}');
}

typedef fer_status (*info_fn)(const fer_graph *graph, uint32_t index, fer_value_info *out_info);

static fer_status
list_infos(const fer_graph *graph, uint32_t count, info_fn get, const char *role, json *out) {
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < count && status == FER_OK; i++) {
        fer_value_info info = {.struct_size = sizeof info};
        status = get(graph, i, &info);
        if (status == FER_OK && out != NULL) {
            json_info(out, &info);
        } else if (status == FER_OK) {
            print_info(role, &info);
        }
    }
    return status;
}

static fer_status write_text(session *self) {
    const fer_graph *graph = self->graph;
    say_text(stdout,
             "%s: %llu nodes, read in %.1f ms\n",
             self->args->model,
             (unsigned long long)fer_graph_node_count(graph),
             self->load_ms);
    fer_status status =
        list_infos(graph, fer_graph_input_count(graph), fer_graph_input, "input", NULL);
    if (status == FER_OK) {
        status = list_infos(graph, fer_graph_output_count(graph), fer_graph_output, "output", NULL);
    }
    if (status == FER_OK && self->program != NULL) {
        return fer_program_print_passes(self->program, to_stdout, NULL);
    }
    return status == FER_OK ? fer_graph_print(graph, to_stdout, NULL) : status;
}

static fer_status write_json(session *self) {
    const fer_graph *graph = self->graph;
    text_sink sink = {0};
    json out;
    json_begin(&out, stdout);
    json_open(&out, NULL, '{');
    json_text(&out, "model", self->args->model);
    json_integer(&out, "nodes", (int64_t)fer_graph_node_count(graph));
    json_number(&out, "load_ms", self->load_ms);
    json_open(&out, "inputs", '[');
    fer_status status = list_infos(graph, fer_graph_input_count(graph), fer_graph_input, "", &out);
    json_close(&out, ']');
    json_open(&out, "outputs", '[');
    if (status == FER_OK) {
        status = list_infos(graph, fer_graph_output_count(graph), fer_graph_output, "", &out);
    }
    json_close(&out, ']');
    if (status == FER_OK) {
        status = self->program != NULL ? fer_program_print_passes(self->program, collect, &sink)
                                       : fer_graph_print(graph, collect, &sink);
    }
    json_text_bytes(&out,
                    self->program != NULL ? "passes" : "graph",
                    sink.data != NULL ? sink.data : "",
                    sink.length);
    json_close(&out, '}');
    json_end(&out);
    free(sink.data);
    return status;
}

/* The ops of the models so far, in is_used by index. */
static fer_status mark_ops(const fer_graph *graph, char *is_used) {
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < fer_op_count() && status == FER_OK; i++) {
        fer_op_info info = {.struct_size = sizeof info};
        status = fer_op_get(i, &info);
        is_used[i] |= status == FER_OK && fer_graph_op_count(graph, info.number) > 0;
    }
    return status;
}

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static fer_status write_op_list(const arguments *args, const char *is_used) {
    say_text(stdout, "# The ops of %s", file_name(args->model));
    for (uint32_t m = 0; m < args->more_models.count; m++) {
        say_text(stdout, ", %s", file_name(args->more_models.items[m]));
    }
    puts("; build Ferrule with them alone: meson setup -Dops=THIS_FILE");
    for (uint32_t i = 0; i < fer_op_count(); i++) {
        fer_op_info info = {.struct_size = sizeof info};
        fer_status status = fer_op_get(i, &info);
        if (status != FER_OK) {
            return status;
        }
        if (is_used[i]) {
            say_text(stdout, "%s%s%s\n", info.domain, info.domain[0] != '\0' ? ":" : "", info.name);
        }
    }
    return FER_OK;
}

/* The session has imported args->model. */
static int op_list(session *self) {
    const arguments *args = self->args;
    char *is_used = calloc(fer_op_count() + 1, 1);
    if (is_used == NULL) {
        return complain(EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for the list of ops");
    }
    fer_status status = mark_ops(self->graph, is_used);
    for (uint32_t m = 0; m < args->more_models.count && status == FER_OK; m++) {
        fer_graph *graph = NULL;
        status = fer_graph_import_file(
            self->context, args->more_models.items[m], /*options=*/NULL, &graph);
        status = status == FER_OK ? mark_ops(graph, is_used) : status;
        fer_graph_release(graph);
    }
    status = status == FER_OK ? write_op_list(args, is_used) : status;
    free(is_used);
    return status == FER_OK ? EXIT_RIGHT : fail_with(args, status);
}

int verb_inspect(const arguments *args) {
    session self;
    int result = session_open(&self, args);
    if (result == EXIT_RIGHT) {
        result = session_import(&self);
    }
    if (result == EXIT_RIGHT && args->passes) {
        result = session_compile(&self);
        if (result == EXIT_RIGHT) {
            fer_run_record record = {.struct_size = sizeof record};
            result = session_rehearse(&self, &record);
        }
    }
    if (result == EXIT_RIGHT && args->op_list) {
        result = op_list(&self);
    } else if (result == EXIT_RIGHT) {
        fer_status status = args->json ? write_json(&self) : write_text(&self);
        result = status == FER_OK ? EXIT_RIGHT : fail_with(args, status);
    }
    session_close(&self);
    return result;
}
