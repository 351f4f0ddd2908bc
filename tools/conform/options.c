/* SPDX-License-Identifier: Apache-2.0
 *
 * The flags of `ferrule conform` in one table.
 */
#include "command.h"
#include "conform.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { KIND_FLAG, KIND_TEXT, KIND_COUNT, KIND_SECONDS };
#define AT(field) offsetof(conform_options, field)
static const struct {
    const char *name;
    const char *value;
    int32_t kind;
    size_t offset;
    const char *help;
} flags[] = {
    {"--device",              "D",                      KIND_TEXT,    AT(device),         "the device to test (default ref)"             },
    {"--suite",               "generated|onnx|all",     KIND_TEXT,    AT(suite),          "what to run (default generated)"              },
    {"--op",                  "PATTERN",                KIND_TEXT,    AT(filter.op),      "ops by name, as a shell pattern"              },
    {"--dtype",               "PATTERN",                KIND_TEXT,    AT(filter.dtype),   "dtypes by name: f32, f*, i8, ..."             },
    {"--case",                "NAME|PATTERN",           KIND_TEXT,    AT(filter.pattern), "one case, or all that match"                  },
    {"--sample",              "N",                      KIND_COUNT,   AT(sample),         "every N-th case only"                         },
    {"--onnx",                "DIR",                    KIND_TEXT,    AT(onnx),           "folder of ONNX's test vectors"                },
    {"--jobs",                "N",                      KIND_COUNT,   AT(jobs),           "worker processes (default 2)"                 },
    {"--timeout",             "S",                      KIND_SECONDS, AT(timeout_s),      "seconds a case may take (default 30)"         },
    {"--report",              "FILE.jsonl",             KIND_TEXT,    AT(report),         "one JSON object per case, then the sums"      },
    {"--junit",               "FILE",                   KIND_TEXT,    AT(junit),          "the report as JUnit XML"                      },
    {"--tap",                 NULL,                     KIND_FLAG,    AT(tap),            "the report as TAP on stdout"                  },
    {"--badge",               "FILE.svg",               KIND_TEXT,    AT(badge),          "passed/claimed and claimed/all as an image"   },
    {"--expectations",        "FILE",                   KIND_TEXT,    AT(expectations),   "what is known to fail, and why"               },
    {"--update-expectations", NULL,                     KIND_FLAG,    AT(update),         "writes what was found into that file"         },
    {"--repro",               "CASE",                   KIND_TEXT,    AT(repro),          "writes a case as an ONNX test and ends"       },
    {"--output",
     "DIR",                                             KIND_TEXT,
     AT(output),
     "where --repro writes (default: named after the case)"                                                                              },
    {"--list",                NULL,                     KIND_FLAG,    AT(list),           "names the cases and ends"                     },
    {"--limits",              NULL,                     KIND_FLAG,    AT(limits),         "prints the limits with their sources and ends"},
    {"--json",                NULL,                     KIND_FLAG,    AT(json),           "the sums as one JSON object"                  },
    {"--worker",              NULL,                     KIND_FLAG,    AT(worker),         "for the command's own use"                    },
    {"--help",                NULL,                     KIND_FLAG,    AT(help),           "this"                                         },
};

void conform_help(FILE *stream) {
    fputs("usage: ferrule conform [flags]\n\n", stream);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        char left[64];
        (void)snprintf(left,
                       sizeof left,
                       "%s %s",
                       flags[i].name,
                       flags[i].value != NULL ? flags[i].value : "");
        fprintf(stream, "  %-32s %s\n", left, flags[i].help);
    }
    fputs("\nA case is op/dtype/shape/attributes/values/seed. Exit status: 0 all as claimed and "
          "expected, 1 not so,\n"
          "2 usage, 4 a file is malformed, 6 no such device.\n",
          stream);
}

static int set_value(conform_options *out, size_t flag, const char *text) {
    char *field = (char *)out + flags[flag].offset;
    char *end;
    if (flags[flag].kind == KIND_TEXT) {
        memcpy(field, &text, sizeof text);
        return EXIT_RIGHT;
    }
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number > 0 && number < 1e6)) {
        return complain(EXIT_USAGE,
                        "USAGE",
                        "%s takes %s, not '%s'",
                        flags[flag].name,
                        flags[flag].value,
                        text);
    }
    int64_t whole = (int64_t)number;
    if (flags[flag].kind == KIND_COUNT) {
        memcpy(field, &whole, sizeof whole);
    } else {
        memcpy(field, &number, sizeof number);
    }
    return EXIT_RIGHT;
}

static int check(conform_options *out) {
    static const char *const suites[] = {"generated", "onnx", "all"};
    int known = 0;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        known |= strcmp(out->suite, suites[i]) == 0;
    }
    if (!known) {
        return complain(
            EXIT_USAGE, "USAGE", "--suite takes generated, onnx or all, not '%s'", out->suite);
    }
    if (strcmp(out->suite, "onnx") == 0 && out->onnx == NULL) {
        return complain(
            EXIT_USAGE, "USAGE", "--suite onnx needs --onnx DIR, the folder of the vectors");
    }
    if (out->update && out->expectations == NULL) {
        return complain(EXIT_USAGE, "USAGE", "--update-expectations needs --expectations FILE");
    }
    if (out->jobs > 256) {
        return complain(EXIT_USAGE, "USAGE", "--jobs takes 1 to 256");
    }
    return EXIT_RIGHT;
}

int conform_parse(conform_options *out, int argc, char **argv) {
    *out = (conform_options){
        .device = "ref", .suite = "generated", .jobs = 2, .sample = 1, .timeout_s = 30};
    for (int i = 0; i < argc; i++) {
        size_t flag = 0;
        while (flag < sizeof flags / sizeof *flags && strcmp(argv[i], flags[flag].name) != 0) {
            flag++;
        }
        if (flag == sizeof flags / sizeof *flags) {
            return complain(
                EXIT_USAGE, "USAGE", "conform knows no '%s'; see ferrule conform --help", argv[i]);
        }
        if (flags[flag].kind == KIND_FLAG) {
            int32_t one = 1;
            memcpy((char *)out + flags[flag].offset, &one, sizeof one);
            continue;
        }
        if (i + 1 == argc) {
            return complain(EXIT_USAGE, "USAGE", "%s takes %s", argv[i], flags[flag].value);
        }
        int status = set_value(out, flag, argv[++i]);
        if (status != EXIT_RIGHT) {
            return status;
        }
    }
    return check(out);
}
