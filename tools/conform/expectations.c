/* SPDX-License-Identifier: Apache-2.0
 *
 * expectations.txt: what is known of a device where it differs from the oracle. A line is
 *
 *     op dtype case expected reason...
 *     abi slot attack expected reason...
 *
 * op and dtype are names or patterns, case a pattern on what follows them in the name, expected a
 * result; '#' begins a comment. A line that is malformed is named and left out. A line that no
 * longer holds is a failure too.
 */
#include "command.h"
#include "conform.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct expected_line {
    char *text; /* as in the file */
    char op[96], dtype[24], pattern[CASE_NAME];
    int32_t result; /* RESULT_COUNT: a comment */
    const char *reason;
    uint64_t used;    /* cases it was asked for */
    uint64_t matched; /* and that came out so */
} expected_line;

struct expectations {
    expected_line *lines;
    uint32_t count, capacity;
};

static const char *word(const char *text, char *out_word, size_t capacity) {
    text += strspn(text, " \t");
    size_t length = strcspn(text, " \t");
    if (length == 0 || length >= capacity) {
        return NULL;
    }
    memcpy(out_word, text, length);
    out_word[length] = '\0';
    return text + length;
}

/* NULL, or what was expected where the line goes wrong. */
static const char *parse_line(expected_line *line) {
    char result[24];
    const char *at = line->text + strspn(line->text, " \t");
    line->result = RESULT_COUNT;
    if (*at == '\0' || *at == '#') {
        return NULL;
    }
    if ((at = word(at, line->op, sizeof line->op)) == NULL) {
        return "an op";
    }
    int is_abi = strcmp(line->op, "abi") == 0; /* then dtype is a slot */
    if (!is_abi && strchr("*?[", line->op[0]) == NULL && strncmp(line->op, "vector:", 7) != 0 &&
        strpbrk(line->op, "*?[") == NULL && op_row_find(line->op, strlen(line->op)) == NULL) {
        return "an op of the op table, a pattern, abi or vector:";
    }
    if ((at = word(at, line->dtype, sizeof line->dtype)) == NULL ||
        (!is_abi && strpbrk(line->dtype, "*?[") == NULL &&
         fer_dtype_from_name(line->dtype) == FER_DTYPE_NONE)) {
        return "a dtype or a pattern after the op";
    }
    if ((at = word(at, line->pattern, sizeof line->pattern)) == NULL) {
        return "a pattern of cases after the dtype";
    }
    if ((at = word(at, result, sizeof result)) == NULL ||
        result_from_name(result) == RESULT_COUNT) {
        return "fail, unsupported, crash, timeout, mistrusted or not-claimed after the cases";
    }
    int32_t found = result_from_name(result);
    if (found == RESULT_PASS || found == RESULT_WAIVED) {
        return "a result other than pass and waived";
    }
    at += strspn(at, " \t");
    if (*at == '\0') {
        return "a reason at the end of the line";
    }
    line->result = found;
    line->reason = at;
    return NULL;
}

static expected_line *line_new(expectations *self, const char *text) {
    if (self->count == self->capacity) {
        uint32_t capacity = 2 * self->capacity + 64;
        expected_line *grown = realloc(self->lines, capacity * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        self->lines = grown;
        self->capacity = capacity;
    }
    expected_line *line = &self->lines[self->count];
    memset(line, 0, sizeof *line);
    line->result = RESULT_COUNT;
    line->text = strdup(text);
    self->count += line->text != NULL;
    return line->text != NULL ? line : NULL;
}

int expectations_read(const char *path, expectations **io) {
    int status = EXIT_RIGHT;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return complain(EXIT_INVALID, "IO", "%s cannot be read: %s", path, strerror(errno));
    }
    expectations *self = *io != NULL ? *io : calloc(1, sizeof *self);
    char text[1200];
    for (uint32_t number = 1; self != NULL && fgets(text, sizeof text, file) != NULL; number++) {
        int is_whole = text[strcspn(text, "\n")] == '\n' || feof(file);
        text[strcspn(text, "\n")] = '\0';
        for (int c = 0; !is_whole && c != '\n' && c != EOF;) {
            c = fgetc(file);
        }
        expected_line *line = line_new(self, text);
        const char *wanted = line == NULL ? "memory for it"
                             : !is_whole  ? "a line of at most 1,198 bytes"
                                          : parse_line(line);
        if (wanted != NULL) {
            status = complain(EXIT_INVALID,
                              "INVALID_INPUT",
                              "%s:%u: expected %s, in '%.120s'",
                              path,
                              number,
                              wanted,
                              text);
        }
    }
    if (self != NULL && ferror(file)) { /* a folder, for one, opens and cannot be read */
        status = complain(EXIT_INVALID, "IO", "%s cannot be read: %s", path, strerror(errno));
    }
    (void)fclose(file);
    *io = self;
    return self != NULL ? status : complain(EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for %s", path);
}

static int line_matches(const expected_line *line, const char *name) {
    char op[600], dtype[24] = "*";
    const char *rest = name;
    if (line->result == RESULT_COUNT) {
        return 0;
    }
    if (strncmp(name, "vector:", 7) == 0) {
        const char *last = strrchr(name, '/');
        return strncmp(line->op, "vector:", 7) == 0 &&
               fnmatch(line->pattern, last != NULL ? last + 1 : name + 7, 0) == 0;
    }
    if (strncmp(name, "abi/", 4) == 0 && strcmp(line->op, "abi") != 0) {
        return 0; /* patterns of ops are about ops */
    }
    size_t length = strcspn(rest, "/");
    (void)snprintf(op, sizeof op, "%.*s", (int)length, rest);
    rest += length + (rest[length] == '/');
    length = strcspn(rest, "/");
    (void)snprintf(dtype, sizeof dtype, "%.*s", (int)length, rest);
    rest += length + (rest[length] == '/');
    return fnmatch(line->op, op, 0) == 0 && fnmatch(line->dtype, dtype, 0) == 0 &&
           (strcmp(line->pattern, rest) == 0 || fnmatch(line->pattern, rest, 0) == 0);
}

/* A line that names the case itself goes before patterns, else the first that matches. */
static int names(const expected_line *line, const char *name) {
    size_t op = strlen(line->op), dtype = strlen(line->dtype);
    if (strncmp(name, "vector:", 7) == 0) {
        const char *last = strrchr(name, '/');
        return strcmp(line->pattern, last != NULL ? last + 1 : name + 7) == 0;
    }
    return strncmp(name, line->op, op) == 0 && name[op] == '/' &&
           strncmp(name + op + 1, line->dtype, dtype) == 0 && name[op + 1 + dtype] == '/' &&
           strcmp(name + op + 1 + dtype + 1, line->pattern) == 0;
}

int32_t expectations_find(expectations *self, const char *name, const char **out_reason) {
    expected_line *found = NULL;
    for (uint32_t i = 0; self != NULL && i < self->count; i++) {
        expected_line *line = &self->lines[i];
        if (line_matches(line, name) && (found == NULL || names(line, name))) {
            found = line;
        }
    }
    if (found == NULL) {
        return RESULT_COUNT;
    }
    found->used++;
    *out_reason = found->reason;
    return found->result;
}

/* What went wrong as a line of its own. */
static void write_new(FILE *file, const tested *one) {
    const char *result = result_name(one->verdict.result), *sentence = one->verdict.sentence;
    if (strncmp(one->name, "vector:", 7) == 0) {
        const char *last = strrchr(one->name, '/');
        fprintf(file,
                "vector: * %s %s new: %s\n",
                last != NULL ? last + 1 : one->name + 7,
                result,
                sentence);
        return;
    }
    char name[CASE_LINE];
    (void)snprintf(name, sizeof name, "%s", one->name);
    for (int slash = 0; slash < 2; slash++) {
        char *at = strchr(name, '/');
        if (at != NULL) {
            *at = ' ';
        }
    }
    fprintf(file, "%s %s new: %s\n", name, result, sentence);
}

static void write_lines(FILE *file, const expectations *self, const campaign *ran) {
    for (uint32_t l = 0; l < self->count; l++) {
        const expected_line *line = &self->lines[l];
        if (line->result == RESULT_COUNT || line->used == 0 || line->matched > 0) {
            fprintf(file, "%s\n", line->text);
        }
    }
    for (uint64_t i = 0; i < ran->count; i++) {
        const tested *one = &ran->cases[i];
        int32_t result = one->verdict.result;
        if (one->is_done && !one->is_surprise && result != RESULT_PASS && result != RESULT_WAIVED &&
            result != RESULT_NOT_CLAIMED && result != RESULT_MISTRUSTED) {
            write_new(file, one);
        }
    }
}

/* Lines stay while a case that they name comes out so; what else went wrong becomes lines of its
 * own. The file is replaced once the new one is whole. */
int expectations_update(expectations *self, const char *path, const campaign *ran) {
    char place[4096], made[4096 + 8];
    for (uint32_t l = 0; l < self->count; l++) {
        for (uint64_t i = 0; i < ran->count; i++) {
            const tested *one = &ran->cases[i];
            if (one->is_done && line_matches(&self->lines[l], one->name)) {
                self->lines[l].used++;
                self->lines[l].matched += one->verdict.result == RESULT_WAIVED;
            }
        }
    }
    if (realpath(path, place) == NULL) { /* what a link leads to is replaced, not the link */
        (void)snprintf(place, sizeof place, "%s", path);
    }
    (void)snprintf(made, sizeof made, "%s.new", place);
    FILE *file = fopen(made, "w");
    if (file == NULL) {
        return complain(EXIT_INVALID, "IO", "%s cannot be written: %s", made, strerror(errno));
    }
    write_lines(file, self, ran);
    int failed = ferror(file);
    failed |= fclose(file) != 0;
    if (failed || rename(made, place) != 0) {
        int status = complain(EXIT_INVALID,
                              "IO",
                              "%s cannot be written, and is left as it was: %s",
                              path,
                              strerror(errno));
        (void)unlink(made);
        return status;
    }
    return EXIT_RIGHT;
}

void expectations_free(expectations *self) {
    for (uint32_t i = 0; self != NULL && i < self->count; i++) {
        free(self->lines[i].text);
    }
    if (self != NULL) {
        free(self->lines);
    }
    free(self);
}
