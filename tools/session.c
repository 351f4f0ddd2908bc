/* SPDX-License-Identifier: Apache-2.0
 *
 * One command's context, graph and program, made from the arguments: options, budgets, pins,
 * shares, dims. SIGINT cancels what runs.
 */
#include "command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* What the handler sets: the one session's cancel flag. */
static uint32_t *cancel_flag;

static void on_interrupt(int number) {
    (void)number;
    __atomic_store_n(cancel_flag, 1, __ATOMIC_RELAXED);
}

static void log_line(void *self, int32_t level, const char *message) {
    (void)self;
    if (level <= FER_LOG_WARN) {
        say_text(
            stderr, "ferrule: %s: %s\n", level == FER_LOG_ERROR ? "error" : "warning", message);
    }
}

/* Splits "cuda:0,cpu" into names with an index each; returns how many. */
static uint32_t device_names(const char *list, char (*out_names)[32], uint32_t capacity) {
    uint32_t count = 0;
    while (list != NULL && *list != '\0' && count < capacity) {
        size_t length = strcspn(list, ",");
        int has_index = memchr(list, ':', length) != NULL;
        if (length > 0 && length + 3 < sizeof *out_names) {
            (void)snprintf(out_names[count++],
                           sizeof *out_names,
                           "%.*s%s",
                           (int)length,
                           list,
                           has_index ? "" : ":0");
        }
        list += length + (list[length] == ',');
    }
    return count;
}

int session_open(session *self, const arguments *args) {
    *self = (session){.args = args};
    if (args->threads < 0 || args->threads > 4096) {
        return complain(EXIT_USAGE, "USAGE", "--threads takes 1 to 4096");
    }
    fer_budget budgets[17];
    char names[16][32];
    uint32_t count = 0;
    fer_context_options options = {
        .struct_size = sizeof options, .log = log_line, .thread_count = (uint32_t)args->threads};
    if (args->budget >= 0) {
        uint64_t bytes = args->budget == 0 ? 1 : (uint64_t)args->budget;
        uint32_t devices = device_names(args->device, names, 16);
        budgets[count++] =
            (fer_budget){.struct_size = sizeof *budgets, .device = "host", .bytes = bytes};
        for (uint32_t i = 0; i < devices; i++) {
            budgets[count++] =
                (fer_budget){.struct_size = sizeof *budgets, .device = names[i], .bytes = bytes};
        }
        options.budgets = budgets;
        options.budget_count = count;
    }
    fer_status status = fer_context_create(&options, &self->context);
    if (status != FER_OK) {
        return fail_with(args, status);
    }
    cancel_flag = &self->cancel;
    (void)signal(SIGINT, on_interrupt);
    return EXIT_RIGHT;
}

int session_import(session *self) {
    double begin = now_ms();
    fer_import_options options = {.struct_size = sizeof options,
                                  .map_file = (uint32_t)self->args->map};
    fer_status status =
        fer_graph_import_file(self->context, self->args->model, &options, &self->graph);
    self->load_ms = now_ms() - begin;
    return status == FER_OK ? EXIT_RIGHT : fail_with(self->args, status);
}

/* What name is: a symbol of an input's dims, or INPUT.AXIS of an open one, which serves the feeds
 * only. */
enum { NO_DIM, A_SYMBOL, AN_AXIS };
static int dim_kind(const session *self, const char *name) {
    int kind = NO_DIM;
    for (uint32_t i = 0; i < fer_graph_input_count(self->graph); i++) {
        fer_value_info info = {.struct_size = sizeof info};
        if (fer_graph_input(self->graph, i, &info) != FER_OK) {
            continue;
        }
        for (int32_t axis = 0; axis < info.rank; axis++) {
            char by_axis[600];
            (void)snprintf(by_axis, sizeof by_axis, "%s.%d", info.name, axis);
            if (info.dims[axis] < 0 && strcmp(info.symbols[axis], name) == 0) {
                return A_SYMBOL;
            }
            kind = info.dims[axis] < 0 && strcmp(by_axis, name) == 0 ? AN_AXIS : kind;
        }
    }
    return kind;
}

typedef struct pairs {
    fer_pin pins[LIST_CAPACITY];
    fer_share shares[LIST_CAPACITY];
    fer_dim_value dims[LIST_CAPACITY];
    char *texts[3 * LIST_CAPACITY];
    uint32_t text_count;
} pairs;

static char *left_of(pairs *self, const char *pair, const char **out_value) {
    size_t length = 0;
    (void)split_pair(pair, &length, out_value);
    char *text = strndup(pair, length);
    if (text != NULL) {
        self->texts[self->text_count++] = text;
    }
    return text;
}

static int fill_pairs(const session *self, pairs *all, fer_compile_options *options) {
    const arguments *args = self->args;
    const char *value = NULL;
    char *end;
    for (uint32_t i = 0; i < args->pins.count; i++) {
        fer_pin pin = {.node = left_of(all, args->pins.items[i], &value)};
        pin.device = value;
        all->pins[options->pin_count++] = pin;
    }
    for (uint32_t i = 0; i < args->shares.count; i++) {
        const char *name = left_of(all, args->shares.items[i], &value);
        double percent = strtod(value, &end);
        if (*end != '\0' || !(percent >= 0 && percent <= 100)) {
            return complain(EXIT_USAGE,
                            "USAGE",
                            "--share takes DEVICE=PERCENT, not '%s'",
                            args->shares.items[i]);
        }
        all->shares[options->share_count++] = (fer_share){.device = name, .percent = percent};
    }
    for (uint32_t i = 0; i < args->dims.count; i++) {
        const char *name = left_of(all, args->dims.items[i], &value);
        errno = 0;
        int64_t number = strtoll(value, &end, 10);
        if (*end != '\0' || number < 0 || errno != 0) {
            return complain(
                EXIT_USAGE, "USAGE", "--dim takes NAME=N, not '%s'", args->dims.items[i]);
        }
        int kind = name != NULL ? dim_kind(self, name) : AN_AXIS;
        if (kind == NO_DIM) {
            return complain(
                EXIT_USAGE, "USAGE", "no input has an open dim '%s'; see ferrule inspect", name);
        }
        if (kind == A_SYMBOL) {
            all->dims[options->dim_count++] = (fer_dim_value){.name = name, .value = number};
        }
    }
    options->pins = all->pins;
    options->shares = all->shares;
    options->dims = all->dims;
    return EXIT_RIGHT;
}

/* 0: none. What is shorter than a nanosecond is over at once, what is longer than all time never.
 */
static uint64_t deadline_ns(const arguments *args) {
    double ns = args->deadline_ms * 1e6;
    return ns >= 0x1p64 ? UINT64_MAX : ns > 0 && ns < 1 ? 1 : (uint64_t)ns;
}

int session_compile(session *self) {
    const arguments *args = self->args;
    fer_compile_options options = {
        .struct_size = sizeof options, .devices = args->device, .deadline_ns = deadline_ns(args)};
    if (args->fallback != NULL) {
        options.fallback = args->fallback[0] == 'e'   ? FER_FALLBACK_ERROR
                           : args->fallback[0] == 'w' ? FER_FALLBACK_WARN
                                                      : FER_FALLBACK_ALLOW;
    }
    pairs *all = calloc(1, sizeof *all);
    if (all == NULL) {
        return complain(EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for the arguments");
    }
    int result = fill_pairs(self, all, &options);
    if (result == EXIT_RIGHT) {
        double begin = now_ms();
        fer_status status =
            fer_program_compile(self->context, self->graph, &options, &self->program);
        self->compile_ms = now_ms() - begin;
        result = status == FER_OK ? EXIT_RIGHT : fail_with(args, status);
    }
    for (uint32_t i = 0; i < all->text_count; i++) {
        free(all->texts[i]);
    }
    free(all);
    return result;
}

void session_run_options(session *self, fer_run_options *out_options, fer_run_record *record) {
    *out_options = (fer_run_options){.struct_size = sizeof *out_options,
                                     .deadline_ns = deadline_ns(self->args),
                                     .cancel = &self->cancel,
                                     .record = record};
}

void session_close(session *self) {
    fer_program_release(self->program);
    fer_graph_release(self->graph);
    fer_context_release(self->context);
    (void)signal(SIGINT, SIG_DFL);
}
