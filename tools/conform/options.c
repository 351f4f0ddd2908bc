/* SPDX-License-Identifier: Apache-2.0
 *
 * The flags of `ferrule conform` in one table.
 */
#include "command.h"
#include "conform.h"

#include <string.h>

#define AT(field) offsetof(conform_options, field)
static const flag flags[] = {
    {"--device",              "D",            FLAG_TEXT,    1, AT(device),         "the device to test (default ref)"             },
    {"--suite",               "SUITE",        FLAG_TEXT,    1, AT(suite),          "generated (default), onnx, abi or all"        },
    {"--op",                  "PATTERN",      FLAG_TEXT,    1, AT(filter.op),      "ops by name, as a shell pattern"              },
    {"--dtype",               "PATTERN",      FLAG_TEXT,    1, AT(filter.dtype),   "dtypes by name: f32, f*, i8, ..."             },
    {"--case",                "NAME|PATTERN", FLAG_TEXT,    1, AT(filter.pattern), "one case, or all that match"                  },
    {"--sample",              "N",            FLAG_INTEGER, 1, AT(sample),         "every N-th case only"                         },
    {"--onnx",                "DIR",          FLAG_TEXT,    1, AT(onnx),           "folder of ONNX's test vectors"                },
    {"--jobs",                "N",            FLAG_INTEGER, 1, AT(jobs),           "worker processes (default 2)"                 },
    {"--timeout",             "S",            FLAG_REAL,    1, AT(timeout_s),      "seconds a case may take (default 30)"         },
    {"--lose",                "OPTIONS",      FLAG_TEXT,    1, AT(lose),           "abi: options that feign a loss (%: 1 to 60)"  },
    {"--in-process",          NULL,           FLAG_SWITCH,  1, AT(in_process),     "no workers: a crash ends the command"         },
    {"--report",              "FILE.jsonl",   FLAG_TEXT,    1, AT(report),         "one JSON object per case, then the sums"      },
    {"--junit",               "FILE",         FLAG_TEXT,    1, AT(junit),          "the report as JUnit XML"                      },
    {"--tap",                 NULL,           FLAG_SWITCH,  1, AT(tap),            "the report as TAP on stdout"                  },
    {"--badge",               "FILE.svg",     FLAG_TEXT,    1, AT(badge),          "passed/claimed and claimed/all as an image"   },
    {"--expectations",
     "FILE",                                  FLAG_TEXT,
     1,                                                        AT(expectations),
     "known failures; none: not even the backend's"                                                                               },
    {"--update-expectations",
     NULL,                                    FLAG_SWITCH,
     1,                                                        AT(update),
     "writes what was found into that file"                                                                                       },
    {"--repro",               "CASE",         FLAG_TEXT,    1, AT(repro),          "writes a case as an ONNX test and ends"       },
    {"--output",
     "DIR",                                   FLAG_TEXT,
     1,                                                        AT(output),
     "where --repro writes (default: named after the case)"                                                                       },
    {"--list",                NULL,           FLAG_SWITCH,  1, AT(list),           "names the cases and ends"                     },
    {"--limits",              NULL,           FLAG_SWITCH,  1, AT(limits),         "prints the limits with their sources and ends"},
    {"--json",                NULL,           FLAG_SWITCH,  1, AT(json),           "the sums as one JSON object"                  },
    {"--worker",              NULL,           FLAG_SWITCH,  1, AT(worker),         "for the command's own use"                    },
    {"--help",                NULL,           FLAG_SWITCH,  1, AT(help),           "this"                                         },
};
static const flag_table table = {flags, sizeof flags / sizeof *flags, "conform", 1};

void conform_help(FILE *stream) {
    fputs("usage: ferrule conform [flags]\n\n", stream);
    flags_help(&table, stream);
    fputs("\nA case is op/dtype/shape/attributes/values/seed, vector:FOLDER or abi/slot/attack. "
          "Exit status: 0 all as claimed and "
          "expected, 1 not so,\n"
          "2 usage, 4 a file is malformed, 6 no such device.\n",
          stream);
}

static int check(conform_options *out) {
    static const char *const suites[] = {"generated", "onnx", "abi", "all"};
    int known = 0;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        known |= strcmp(out->suite, suites[i]) == 0;
    }
    if (!known) {
        return complain(
            EXIT_USAGE, "USAGE", "--suite takes generated, onnx, abi or all, not '%s'", out->suite);
    }
    if (strcmp(out->suite, "onnx") == 0 && out->onnx == NULL) {
        return complain(
            EXIT_USAGE, "USAGE", "--suite onnx needs --onnx DIR, the folder of the vectors");
    }
    if (out->update && (out->expectations == NULL || strcmp(out->expectations, "none") == 0)) {
        return complain(EXIT_USAGE, "USAGE", "--update-expectations needs --expectations FILE");
    }
    if (out->jobs < 1 || out->jobs > 256 || out->sample < 1 || !(out->timeout_s > 0) ||
        out->timeout_s > 1e6) {
        return complain(EXIT_USAGE,
                        "USAGE",
                        "--jobs takes 1 to 256, --sample at least 1, --timeout more than 0 and at most "
                        "1000000");
    }
    return EXIT_RIGHT;
}

static int no_word(void *into, const char *word) {
    (void)into;
    return complain(EXIT_USAGE, "USAGE", "ferrule conform does not take '%s'", word);
}

int conform_parse(conform_options *out, int argc, char **argv) {
    *out = (conform_options){
        .device = "ref", .suite = "generated", .jobs = 2, .sample = 1, .timeout_s = 30};
    int status = flags_parse(&table, out, argc, argv, no_word);
    return status == EXIT_RIGHT ? check(out) : status;
}
