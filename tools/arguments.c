/* SPDX-License-Identifier: Apache-2.0
 *
 * The flags of every verb in one table: which verbs take it, where its value goes and its line of
 * help. Parsing, checking and --help are all made from it.
 */
#include "command.h"

#include <string.h>

enum { ON_DEVICES = 1, ON_INSPECT = 2, ON_EXPLAIN = 4, ON_RUN = 8, ON_BENCH = 16, ON_VERSION = 32 };
#define ON_ALL 63
#define ON_COMPILE (ON_INSPECT | ON_EXPLAIN | ON_RUN | ON_BENCH)
#define ON_FEED (ON_EXPLAIN | ON_RUN | ON_BENCH)

#define AT(field) offsetof(arguments, field)
static const flag flags[] = {
    {"--device",
     "D[,D2]",            FLAG_TEXT,
     ON_COMPILE,                                    AT(device),
     "devices, best first (default: all default devices)"                                                      },
    {"--data",
     "DIR",               FLAG_TEXT,
     ON_FEED,                                       AT(data),
     "folder with input_0.pb or input_0.npy and so on"                                                         },
    {"--input",
     "NAME=FILE|NUMBER",  FLAG_LIST,
     ON_FEED,                                       AT(inputs),
     "one input from a .npy or .pb file, or filled with a number"                                              },
    {"--fill",
     "zeros|ones|random", FLAG_TEXT,
     ON_FEED,                                       AT(fill),
     "contents of inputs not given (random: floats in [-1, 1), integers 0 or 1)"                               },
    {"--seed",     "N",   FLAG_SIGNED,  ON_FEED,    AT(seed),        "of random (default 0)"                   },
    {"--dim",
     "NAME=N",            FLAG_LIST,
     ON_COMPILE,                                    AT(dims),
     "value of a symbolic dim (default 1); NAME may be INPUT.AXIS"                                             },
    {"--output",   "DIR", FLAG_TEXT,    ON_RUN,     AT(output),      "writes output_0.npy and so on"           },
    {"--expect",
     "DIR",               FLAG_TEXT,
     ON_RUN,                                        AT(expect),
     "compares with output_0.pb or output_0.npy and so on"                                                     },
    {"--rtol",     "R",   FLAG_REAL,    ON_RUN,     AT(rtol),        "relative tolerance (default 1e-3)"       },
    {"--atol",     "A",   FLAG_REAL,    ON_RUN,     AT(atol),        "absolute tolerance (default 1e-7)"       },
    {"--threads",
     "N",                 FLAG_INTEGER,
     ON_COMPILE,                                    AT(threads),
     "threads that compute (default: what the machine allows)"                                                 },
    {"--deadline", "MS",  FLAG_REAL,    ON_FEED,    AT(deadline_ms), "for compiling and for each run"          },
    {"--budget",
     "BYTES",             FLAG_BYTES,
     ON_COMPILE,                                    AT(budget),
     "cap on host and device memory; K, M and G are understood"                                                },
    {"--fallback",
     "error|warn|allow",  FLAG_TEXT,
     ON_COMPILE,                                    AT(fallback),
     "may a node run on a later device than the first? (default warn)"                                         },
    {"--pin",
     "NODE=DEVICE",       FLAG_LIST,
     ON_COMPILE,                                    AT(pins),
     "this node there and nowhere else; a trailing * matches a prefix"                                         },
    {"--share",
     "DEVICE=PERCENT",    FLAG_LIST,
     ON_COMPILE,                                    AT(shares),
     "at least this much of the estimated work there"                                                          },
    {"--map",      NULL,  FLAG_SWITCH,  ON_COMPILE, AT(map),         "map the model file instead of reading it"},
    {"--passes",   NULL,  FLAG_SWITCH,  ON_INSPECT, AT(passes),      "what the passes did"                     },
    {"--op-list",
     NULL,                FLAG_SWITCH,
     ON_INSPECT,                                    AT(op_list),
     "the models' ops, a line each, for building Ferrule with -Dops=FILE"                                      },
    {"--nodes",    NULL,  FLAG_SWITCH,  ON_EXPLAIN, AT(nodes),       "a line for every node"                   },
    {"--seconds",  "S",   FLAG_REAL,    ON_BENCH,   AT(seconds),     "how long to measure (default 2)"         },
    {"--json",     NULL,  FLAG_SWITCH,  ON_ALL,     AT(json),        "one JSON object instead of text"         },
    {"--help",     NULL,  FLAG_SWITCH,  ON_ALL,     AT(help),        "this"                                    },
};
static int32_t verb_bit(const char *verb) {
    static const char *const names[] = {"devices", "inspect", "explain", "run", "bench", "version"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(verb, names[i]) == 0) {
            return (int32_t)1 << i;
        }
    }
    return 0;
}

static flag_table table_for(const char *verb) {
    return (flag_table){flags, sizeof flags / sizeof *flags, verb, verb_bit(verb)};
}

void arguments_help(const char *verb, FILE *stream) {
    flag_table table = table_for(verb);
    fprintf(stream,
            "usage: ferrule %s%s [flags]\n\n",
            verb,
            (table.bit & ON_COMPILE) != 0 ? " MODEL" : "");
    flags_help(&table, stream);
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

static int set_model(void *into, const char *path) {
    arguments *args = into;
    int32_t bit = verb_bit(args->verb);
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
    flag_table table = table_for(args->verb);
    args->rtol = 1e-3;
    args->atol = 1e-7;
    args->seconds = 2;
    args->budget = -1;
    int status = flags_parse(&table, args, argc, argv, set_model);
    if (status != EXIT_RIGHT) {
        return status;
    }
    if (!args->help && args->model == NULL && (table.bit & ON_COMPILE) != 0) {
        return complain(EXIT_USAGE, "USAGE", "ferrule %s needs a model file", args->verb);
    }
    if (args->more_models.count > 0 && !args->op_list) {
        return complain(EXIT_USAGE, "USAGE", "only --op-list takes several models");
    }
    return check_words(args);
}
