/* SPDX-License-Identifier: Apache-2.0
 *
 * The reports: JSON lines in the order of the cases, whatever order they ran in; JUnit, TAP and a
 * badge from the same verdicts.
 */
#include "command.h"
#include "conform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int is_bad(const tested *one) {
    return one->is_surprise || one->verdict.result == RESULT_FAIL ||
           one->verdict.result == RESULT_CRASH || one->verdict.result == RESULT_TIMEOUT ||
           one->verdict.result == RESULT_UNSUPPORTED;
}

void report_line(FILE *stream, const tested *one) {
    json out;
    const verdict *said = &one->verdict;
    size_t op = strcspn(one->name, "/"),
           dtype = one->name[op] != '\0' ? strcspn(one->name + op + 1, "/") : 0;
    json_begin(&out, stream);
    json_open(&out, NULL, '{');
    json_text(&out, "case", one->name);
    if (strncmp(one->name, "vector:", 7) != 0) {
        json_text_bytes(&out, "op", one->name, op);
        json_text_bytes(&out, "dtype", one->name + op + 1, dtype);
    }
    json_text(&out, "result", one->is_done ? result_name(said->result) : "not run");
    json_text(&out, "ran", ran_name(said->ran));
    json_text(&out, "oracle", said->oracle);
    if (said->limit > 0) {
        json_number(&out, "error", said->error);
        json_number(&out, "limit", said->limit);
        json_integer(&out, "at", (int64_t)said->at);
    }
    json_number(&out, "ms", said->ms);
    if (said->sentence[0] != '\0') {
        json_text(&out, "message", said->sentence);
    }
    json_close(&out, '}');
    json_end(&out);
}

/* Whatever a device's sentence or a folder's name holds, the XML stays XML. */
static void xml_bytes(FILE *stream, const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        unsigned char byte = (unsigned char)text[i];
        size_t bytes = utf8_length((const unsigned char *)text + i, length - i);
        if (byte < 0x20) {
            fputc(' ', stream);
        } else if (byte == '<' || byte == '>' || byte == '&' || byte == '"') {
            fprintf(stream, "&#%d;", byte);
        } else if (bytes == 0 || (bytes == 3 && memcmp(text + i, "\xef\xbf", 2) == 0 &&
                                  (unsigned char)text[i + 2] >= 0xbe)) { /* U+FFFE, U+FFFF */
            fputs("&#65533;", stream);
        } else {
            fwrite(text + i, 1, bytes, stream);
        }
        i += bytes == 0 ? 1 : bytes;
    }
}

static void xml_text(FILE *stream, const char *text) { xml_bytes(stream, text, strlen(text)); }

static FILE *open_report(const char *path) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        (void)complain(EXIT_INVALID, "IO", "%s cannot be written: %s", path, strerror(errno));
    }
    return file;
}

static int close_report(FILE *file, const char *path) {
    int failed = ferror(file);
    failed |= fclose(file) != 0;
    return failed ? complain(EXIT_INVALID, "IO", "%s cannot be written", path) : EXIT_RIGHT;
}

int report_junit(const campaign *self, const char *path) {
    FILE *file = open_report(path);
    uint64_t bad = 0, skipped = 0;
    if (file == NULL) {
        return EXIT_INVALID;
    }
    for (uint64_t i = 0; i < self->count; i++) {
        bad += is_bad(&self->cases[i]) != 0;
        skipped += self->cases[i].verdict.result == RESULT_NOT_CLAIMED ||
                   self->cases[i].verdict.result == RESULT_WAIVED;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"ferrule conform ", file);
    xml_text(file, self->options->device);
    fprintf(file,
            "\" tests=\"%llu\" failures=\"%llu\" skipped=\"%llu\">\n",
            (unsigned long long)self->count,
            (unsigned long long)bad,
            (unsigned long long)skipped);
    for (uint64_t i = 0; i < self->count; i++) {
        const tested *one = &self->cases[i];
        size_t op = strcspn(one->name, "/");
        fputs("<testcase classname=\"", file);
        xml_bytes(file, one->name, op);
        fputs("\" name=\"", file);
        xml_text(file, one->name);
        fprintf(file, "\" time=\"%.4f\">", one->verdict.ms / 1e3);
        int32_t result = one->verdict.result;
        if (is_bad(one)) {
            fprintf(file, "<failure type=\"%s\" message=\"", result_name(result));
            xml_text(file, one->verdict.sentence);
            fputs("\"/>", file);
        } else if (result == RESULT_NOT_CLAIMED || result == RESULT_WAIVED) {
            fprintf(file, "<skipped message=\"%s\"/>", result_name(result));
        }
        fputs("</testcase>\n", file);
    }
    fputs("</testsuite>\n", file);
    return close_report(file, path);
}

void report_tap(const campaign *self, FILE *stream) {
    fprintf(stream, "TAP version 13\n1..%llu\n", (unsigned long long)self->count);
    for (uint64_t i = 0; i < self->count; i++) {
        const tested *one = &self->cases[i];
        int32_t result = one->verdict.result;
        fprintf(stream,
                "%s %llu - %s",
                is_bad(one) ? "not ok" : "ok",
                (unsigned long long)i + 1,
                one->name);
        if (result == RESULT_NOT_CLAIMED || result == RESULT_MISTRUSTED) {
            fprintf(stream, " # SKIP %s", result_name(result));
        } else if (result == RESULT_WAIVED) {
            fputs(" # TODO waived", stream);
        }
        fputc('\n', stream);
        if (is_bad(one)) {
            fprintf(stream, "# %s: %s\n", result_name(result), one->verdict.sentence);
        }
    }
}

static void badge_part(FILE *file, int x, int width, const char *color, const char *text) {
    fprintf(file, "<rect x=\"%d\" width=\"%d\" height=\"20\" fill=\"%s\"/>", x, width, color);
    fprintf(
        file, "<text x=\"%d\" y=\"14\" text-anchor=\"middle\">%s</text>\n", x + width / 2, text);
}

int report_badge(const campaign *self, const char *path) {
    uint64_t all = self->count, passed = self->results[RESULT_PASS];
    uint64_t claimed = self->done - self->results[RESULT_NOT_CLAIMED];
    char left[64], right[64];
    FILE *file = open_report(path);
    if (file == NULL) {
        return EXIT_INVALID;
    }
    (void)snprintf(left,
                   sizeof left,
                   "passed %llu/%llu",
                   (unsigned long long)passed,
                   (unsigned long long)claimed);
    (void)snprintf(right,
                   sizeof right,
                   "claimed %llu/%llu",
                   (unsigned long long)claimed,
                   (unsigned long long)all);
    uint64_t bad =
        self->results[RESULT_FAIL] + self->results[RESULT_CRASH] + self->results[RESULT_TIMEOUT] +
        self->results[RESULT_UNSUPPORTED];
    const char *color = bad > 0 ? "#c03030" : passed == 0 ? "#808080" : "#2f8f4e";
    fputs("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"390\" height=\"20\" "
          "font-family=\"sans-serif\" font-size=\"11\" "
          "fill=\"#fff\">\n",
          file);
    badge_part(file, 0, 110, "#404040", "ferrule conform");
    badge_part(file, 110, 140, color, left);
    badge_part(file, 250, 140, "#305f8f", right);
    fputs("</svg>\n", file);
    return close_report(file, path);
}
