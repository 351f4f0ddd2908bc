/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `ferrule`: finds the verb, parses its arguments, maps every failure to a sentence on
 * stderr and an exit status. Each verb is a file of its own.
 */
#include "command.h"

#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(const arguments *args);
    const char *help;
} verbs[] = {
    {"devices", verb_devices, "the devices of this machine, and why a backend has none"},
    {"inspect", verb_inspect, "a model's graph; with --passes what the passes do to it"},
    {"explain", verb_explain, "where every node runs, and why not elsewhere"           },
    {"run",     verb_run,     "runs a model; compares and writes outputs"              },
    {"bench",   verb_bench,   "times loading, compiling and running"                   },
    {"version", verb_version, "the version of the command and of the library"          },
};
#define CONFORM_HELP "tests a device, op by op and dtype by dtype"

static const int exit_of_status[] = {
    [FER_OK] = EXIT_RIGHT,
    [FER_INVALID_ARGUMENT] = EXIT_USAGE,
    [FER_INVALID_MODEL] = EXIT_INVALID,
    [FER_INVALID_INPUT] = EXIT_INVALID,
    [FER_UNSUPPORTED] = EXIT_UNSUPPORTED,
    [FER_PLACEMENT] = EXIT_UNSUPPORTED,
    [FER_OUT_OF_MEMORY] = EXIT_LIMIT,
    [FER_BUDGET] = EXIT_LIMIT,
    [FER_LIMIT] = EXIT_LIMIT,
    [FER_DEADLINE] = EXIT_LIMIT,
    [FER_CANCELLED] = EXIT_LIMIT,
    [FER_NO_DEVICE] = EXIT_DEVICE,
    [FER_DEVICE_LOST] = EXIT_DEVICE,
    [FER_IO] = EXIT_INVALID,
    [FER_BACKEND] = EXIT_DEVICE,
    [FER_NOT_READY] = EXIT_LIMIT,
    [FER_VERSION] = EXIT_DEVICE,
    [FER_INTERNAL] = EXIT_DEVICE,
};

int complain(int exit_status, const char *kind, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "ferrule: %s: ", kind);
    say_list(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    return exit_status;
}

int fail_with(const arguments *args, fer_status status) {
    const fer_error *error = fer_error_last();
    const char *sentence = error->message[0] != '\0' ? error->message : fer_status_sentence(status);
    say_text(stderr, "ferrule: %s: %s\n", fer_status_name(status), sentence);
    if (args->json) {
        json out;
        json_begin(&out, stdout);
        json_open(&out, NULL, '{');
        json_open(&out, "error", '{');
        json_text(&out, "status", fer_status_name(status));
        json_text(&out, "message", sentence);
        json_text(&out, "node", error->node);
        json_text(&out, "backend", error->backend);
        json_integer(&out, "native_code", error->native_code);
        json_close(&out, '}');
        json_close(&out, '}');
        json_end(&out);
    }
    if (status < 0 || (size_t)status >= sizeof exit_of_status / sizeof *exit_of_status) {
        return EXIT_DEVICE;
    }
    return exit_of_status[status];
}

static void print_help(FILE *stream) {
    fputs("usage: ferrule VERB [MODEL] [flags]\n\n", stream);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        fprintf(stream, "  %-9s %s\n", verbs[i].name, verbs[i].help);
    }
    fprintf(stream, "  %-9s %s\n", "conform", CONFORM_HELP);
    fputs("\n`ferrule VERB --help` lists a verb's flags; --json gives every answer as one object.\n"
          "Exit status: 0 right, 1 outputs differ, 2 usage, 3 unsupported, unmet share or refused\n"
          "fallback, 4 invalid or unreadable model or input, 5 limit, budget, deadline or cancel,\n"
          "6 device absent or lost.\n",
          stream);
}

/* What was said reached its reader, or the verb has failed. */
static int said(int status) {
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_RIGHT) {
        return complain(EXIT_INVALID, "IO", "writing to stdout failed");
    }
    return status;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_RIGHT;
    }
    if (strcmp(argv[1], "conform") == 0) { /* its flags are its own: it runs no model */
        return said(verb_conform(argc - 2, argv + 2));
    }
    const char *verb = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i].name) != 0) {
            continue;
        }
        arguments args = {.verb = verbs[i].name};
        int status = arguments_parse(&args, argc - 2, argv + 2);
        if (status != EXIT_RIGHT) {
            return status;
        }
        if (args.help) {
            arguments_help(args.verb, stdout);
            return EXIT_RIGHT;
        }
        return said(verbs[i].run(&args));
    }
    return complain(EXIT_USAGE, "USAGE", "there is no verb '%s'; see ferrule --help", verb);
}
