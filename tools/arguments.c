/* SPDX-License-Identifier: Apache-2.0
 *
 * The flags of every verb in one table: which verbs take it, where its value goes and its line of
 * help. Parsing, checking and --help are all made from it.
 */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ON_DEVICES = 1, ON_INSPECT = 2, ON_EXPLAIN = 4, ON_RUN = 8, ON_BENCH = 16, ON_VERSION = 32 };
#define ON_ALL 63
#define ON_COMPILE (ON_INSPECT | ON_EXPLAIN | ON_RUN | ON_BENCH)
#define ON_FEED (ON_EXPLAIN | ON_RUN | ON_BENCH)

enum { KIND_FLAG, KIND_TEXT, KIND_LIST, KIND_INTEGER, KIND_BYTES, KIND_REAL };

#define AT(field) offsetof(arguments, field)
static const struct {
    const char *name;
    const char *value;
    int32_t kind;
    int32_t verbs;
    size_t offset;
    const char *help;
} flags[] = {
    {"--device",
     "D[,D2]",            KIND_TEXT,
     ON_COMPILE,                                    AT(device),
     "devices, best first (default: all default devices)"                                                      },
    {"--data",
     "DIR",               KIND_TEXT,
     ON_FEED,                                       AT(data),
     "folder with input_0.pb or input_0.npy and so on"                                                         },
    {"--input",
     "NAME=FILE|NUMBER",  KIND_LIST,
     ON_FEED,                                       AT(inputs),
     "one input from a .npy or .pb file, or filled with a number"                                              },
    {"--fill",
     "zeros|ones|random", KIND_TEXT,
     ON_FEED,                                       AT(fill),
     "contents of inputs not given (random: floats in [-1, 1), integers 0 or 1)"                               },
    {"--seed",     "N",   KIND_INTEGER, ON_FEED,    AT(seed),        "of random (default 0)"                   },
    {"--dim",
     "NAME=N",            KIND_LIST,
     ON_COMPILE,                                    AT(dims),
     "value of a symbolic dim (default 1); NAME may be INPUT.AXIS"                                             },
    {"--output",   "DIR", KIND_TEXT,    ON_RUN,     AT(output),      "writes output_0.npy and so on"           },
    {"--expect",
     "DIR",               KIND_TEXT,
     ON_RUN,                                        AT(expect),
     "compares with output_0.pb or output_0.npy and so on"                                                     },
    {"--rtol",     "R",   KIND_REAL,    ON_RUN,     AT(rtol),        "relative tolerance (default 1e-3)"       },
    {"--atol",     "A",   KIND_REAL,    ON_RUN,     AT(atol),        "absolute tolerance (default 1e-7)"       },
    {"--threads",
     "N",                 KIND_INTEGER,
     ON_COMPILE,                                    AT(threads),
     "threads that compute (default: what the machine allows)"                                                 },
    {"--deadline", "MS",  KIND_REAL,    ON_FEED,    AT(deadline_ms), "for compiling and for each run"          },
    {"--budget",
     "BYTES",             KIND_BYTES,
     ON_COMPILE,                                    AT(budget),
     "cap on host and device memory; K, M and G are understood"                                                },
    {"--fallback",
     "error|warn|allow",  KIND_TEXT,
     ON_COMPILE,                                    AT(fallback),
     "may a node run on a later device than the first? (default warn)"                                         },
    {"--pin",
     "NODE=DEVICE",       KIND_LIST,
     ON_COMPILE,                                    AT(pins),
     "this node there and nowhere else; a trailing * matches a prefix"                                         },
    {"--share",
     "DEVICE=PERCENT",    KIND_LIST,
     ON_COMPILE,                                    AT(shares),
     "at least this much of the estimated work there"                                                          },
    {"--map",      NULL,  KIND_FLAG,    ON_COMPILE, AT(map),         "map the model file instead of reading it"},
    {"--passes",   NULL,  KIND_FLAG,    ON_INSPECT, AT(passes),      "what the passes did"                     },
    {"--op-list",
     NULL,                KIND_FLAG,
     ON_INSPECT,                                    AT(op_list),
     "the models' ops, a line each, for building Ferrule with -Dops=FILE"                                      },
    {"--nodes",    NULL,  KIND_FLAG,    ON_EXPLAIN, AT(nodes),       "a line for every node"                   },
    {"--seconds",  "S",   KIND_REAL,    ON_BENCH,   AT(seconds),     "how long to measure (default 2)"         },
    {"--json",     NULL,  KIND_FLAG,    ON_ALL,     AT(json),        "one JSON object instead of text"         },
    {"--help",     NULL,  KIND_FLAG,    ON_ALL,     AT(help),        "this"                                    },
};
static const size_t flag_count = sizeof flags / sizeof *flags;

static int32_t verb_bit(const char *verb) {
    static const char *const names[] = {"devices", "inspect", "explain", "run", "bench", "version"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(verb, names[i]) == 0) {
            return (int32_t)1 << i;
        }
    }
    return 0;
}

void arguments_help(const char *verb, FILE *stream) {
    int32_t bit = verb_bit(verb);
    fprintf(
        stream, "usage: ferrule %s%s [flags]\n\n", verb, (bit & ON_COMPILE) != 0 ? " MODEL" : "");
    for (size_t i = 0; i < flag_count; i++) {
        if ((flags[i].verbs & bit) == 0) {
            continue;
        }
        char left[64];
        const char *value = flags[i].value != NULL ? flags[i].value : "";
        (void)snprintf(left, sizeof left, "%s %s", flags[i].name, value);
        fprintf(stream, "  %-28s %s\n", left, flags[i].help);
    }
}

int split_pair(const char *pair, size_t *out_name_length, const char **out_value) {
    const char *at = strrchr(pair, '=');
    if (at == NULL || at == pair || at[1] == '\0') {
        return 0;
    }
    *out_name_length = (size_t)(at - pair);
    *out_value = at + 1;
    return 1;
}

static int set_number(arguments *args, size_t flag, const char *text) {
    char *end = NULL;
    errno = 0;
    double real = 0;
    int64_t integer = 0;
    if (flags[flag].kind == KIND_REAL) {
        real = strtod(text, &end);
    } else {
        integer = strtoll(text, &end, 10);
    }
    if (flags[flag].kind == KIND_BYTES && end != text && *end != '\0') {
        static const char units[] = "KMGT";
        const char *unit = strchr(units, *end);
        int64_t scale = unit != NULL ? (int64_t)1 << (10 * (unit - units + 1)) : 1;
        end += unit != NULL;
        if (integer < 0 || integer > INT64_MAX / scale) {
            errno = ERANGE;
        } else {
            integer *= scale;
        }
    }
    if (end == text || *end != '\0' || errno != 0 || real < 0 || real != real ||
        (integer < 0 && strcmp(flags[flag].name, "--seed") != 0)) {
        return complain(EXIT_USAGE,
                        "USAGE",
                        "%s takes %s, not '%s'",
                        flags[flag].name,
                        flags[flag].value,
                        text);
    }
    char *field = (char *)args + flags[flag].offset;
    if (flags[flag].kind == KIND_REAL) {
        memcpy(field, &real, sizeof real);
    } else {
        memcpy(field, &integer, sizeof integer);
    }
    return EXIT_RIGHT;
}

static int set_flag(arguments *args, size_t flag, const char *text) {
    char *field = (char *)args + flags[flag].offset;
    switch (flags[flag].kind) {
    case KIND_FLAG:
        *(int32_t *)(void *)field = 1;
        return EXIT_RIGHT;
    case KIND_TEXT:
        *(const char **)(void *)field = text;
        return EXIT_RIGHT;
    case KIND_LIST: {
        text_list *list = (text_list *)(void *)field;
        size_t length;
        const char *value;
        if (!split_pair(text, &length, &value)) {
            return complain(EXIT_USAGE,
                            "USAGE",
                            "%s takes %s, not '%s'",
                            flags[flag].name,
                            flags[flag].value,
                            text);
        }
        if (list->count == LIST_CAPACITY) {
            return complain(EXIT_USAGE,
                            "USAGE",
                            "%s is given more than %d times",
                            flags[flag].name,
                            LIST_CAPACITY);
        }
        list->items[list->count++] = text;
        return EXIT_RIGHT;
    }
    default:
        return set_number(args, flag, text);
    }
}

static int check_words(const arguments *args) {
    static const char *const fills[] = {"zeros", "ones", "random"};
    static const char *const fallbacks[] = {"error", "warn", "allow"};
    int ok = args->fill == NULL;
    for (size_t i = 0; i < 3 && !ok; i++) {
        ok = strcmp(args->fill, fills[i]) == 0;
    }
    if (!ok) {
        return complain(
            EXIT_USAGE, "USAGE", "--fill takes zeros, ones or random, not '%s'", args->fill);
    }
    ok = args->fallback == NULL;
    for (size_t i = 0; i < 3 && !ok; i++) {
        ok = strcmp(args->fallback, fallbacks[i]) == 0;
    }
    if (!ok) {
        return complain(
            EXIT_USAGE, "USAGE", "--fallback takes error, warn or allow, not '%s'", args->fallback);
    }
    return EXIT_RIGHT;
}

static size_t flag_find(const char *name, size_t length, int32_t bit) {
    for (size_t i = 0; i < flag_count; i++) {
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, name, length) == 0 &&
            (flags[i].verbs & bit) != 0) {
            return i;
        }
    }
    return flag_count;
}

static int set_model(arguments *args, const char *path, int32_t bit) {
    text_list *more = &args->more_models;
    if ((bit & ON_COMPILE) != 0 && args->model == NULL) {
        args->model = path;
        return EXIT_RIGHT;
    }
    if ((bit & ON_INSPECT) != 0 && more->count < LIST_CAPACITY) {
        more->items[more->count++] = path;
        return EXIT_RIGHT;
    }
    return complain(EXIT_USAGE, "USAGE", "ferrule %s does not take '%s'", args->verb, path);
}

int arguments_parse(arguments *args, int argc, char **argv) {
    int32_t bit = verb_bit(args->verb);
    args->rtol = 1e-3;
    args->atol = 1e-7;
    args->seconds = 2;
    args->budget = -1;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            int status = set_model(args, argv[i], bit);
            if (status != EXIT_RIGHT) {
                return status;
            }
            continue;
        }
        const char *equals = strchr(argv[i], '=');
        size_t length = equals != NULL ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        size_t flag = flag_find(argv[i], length, bit);
        if (flag == flag_count || (equals != NULL && flags[flag].kind == KIND_FLAG)) {
            return complain(EXIT_USAGE,
                            "USAGE",
                            "ferrule %s has no flag '%s'; see ferrule %s --help",
                            args->verb,
                            argv[i],
                            args->verb);
        }
        const char *text = equals != NULL ? equals + 1 : NULL;
        if (flags[flag].kind != KIND_FLAG && text == NULL) {
            if (i + 1 == argc) {
                return complain(EXIT_USAGE, "USAGE", "%s needs %s", argv[i], flags[flag].value);
            }
            text = argv[++i];
        }
        int status = set_flag(args, flag, text);
        if (status != EXIT_RIGHT) {
            return status;
        }
    }
    if (!args->help && args->model == NULL && (bit & ON_COMPILE) != 0) {
        return complain(EXIT_USAGE, "USAGE", "ferrule %s needs a model file", args->verb);
    }
    if (args->more_models.count > 0 && !args->op_list) {
        return complain(EXIT_USAGE, "USAGE", "only --op-list takes several models");
    }
    return check_words(args);
}
