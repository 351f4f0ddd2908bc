/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes JSON to a stream as the verbs walk their results: no tree, no memory. Text that is not
 * UTF-8 loses the bytes that are wrong.
 */
#include "command.h"

#include <math.h>
#include <string.h>

void json_begin(json *self, FILE *stream) { *self = (json){.stream = stream}; }

void json_end(json *self) { fputc('\n', self->stream); }

size_t utf8_length(const unsigned char *text, size_t rest) {
    if (text[0] < 0x80) {
        return 1;
    }
    size_t length = text[0] >= 0xc2 && text[0] < 0xe0   ? 2
                    : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                                                        : 4;
    if (text[0] < 0xc2 || text[0] > 0xf4 || length > rest) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    /* Overlong forms, surrogates and what lies beyond U+10FFFF. */
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f)) {
        return 0;
    }
    return length;
}

static void quoted(FILE *stream, const char *text, size_t length) {
    fputc('"', stream);
    for (size_t i = 0; i < length;) {
        unsigned char byte = (unsigned char)text[i];
        size_t bytes = utf8_length((const unsigned char *)text + i, length - i);
        if (byte == '"' || byte == '\\') {
            fprintf(stream, "\\%c", byte);
        } else if (byte == '\n') {
            fputs("\\n", stream);
        } else if (byte < 0x20 || byte == 0x7f) {
            fprintf(stream, "\\u%04x", byte);
        } else if (bytes == 0) {
            fputs("\\ufffd", stream);
        } else {
            fwrite(text + i, 1, bytes, stream);
        }
        i += bytes == 0 ? 1 : bytes;
    }
    fputc('"', stream);
}

static void begin_item(json *self, const char *key) {
    if (self->depth > 0) {
        if (self->has_item[self->depth]) {
            fputs(", ", self->stream);
        }
        self->has_item[self->depth] = 1;
    }
    if (key != NULL) {
        quoted(self->stream, key, strlen(key));
        fputs(": ", self->stream);
    }
}

void json_open(json *self, const char *key, char bracket) {
    begin_item(self, key);
    fputc(bracket, self->stream);
    if (self->depth + 1 < (int32_t)(sizeof self->has_item / sizeof *self->has_item)) {
        self->depth++;
    }
    self->has_item[self->depth] = 0;
}

void json_close(json *self, char bracket) {
    fputc(bracket, self->stream);
    self->depth -= self->depth > 0;
}

void json_text_bytes(json *self, const char *key, const char *text, size_t length) {
    begin_item(self, key);
    quoted(self->stream, text, length);
}

void json_text(json *self, const char *key, const char *text) {
    json_text_bytes(self, key, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

void json_number(json *self, const char *key, double number) {
    begin_item(self, key);
    if (isfinite(number)) {
        fprintf(self->stream, "%.9g", number);
    } else {
        fputs("null", self->stream);
    }
}

void json_integer(json *self, const char *key, int64_t number) {
    begin_item(self, key);
    fprintf(self->stream, "%lld", (long long)number);
}
