/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for people. What a model or a device calls itself is shown, and never obeyed by a terminal:
 * its control characters are question marks.
 */
#include "command.h"

#include <stdlib.h>

void say_bytes(FILE *stream, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        unsigned char next = i + 1 < length ? (unsigned char)text[i + 1] : 0;
        int is_control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
        if (byte == 0xc2 && next >= 0x80 && next < 0xa0) { /* U+0080 to U+009F in UTF-8 */
            is_control = 1;
            i++;
        }
        fputc(is_control ? '?' : byte, stream);
    }
}

void say_list(FILE *stream, const char *format, va_list list) {
    va_list again;
    va_copy(again, list);
    char small[512];
    int length = vsnprintf(small, sizeof small, format, list);
    char *text = length < (int)sizeof small ? small : malloc((size_t)length + 1);
    if (text != NULL && length > 0) {
        if (text != small) {
            vsnprintf(text, (size_t)length + 1, format, again);
        }
        say_bytes(stream, text, (size_t)length);
    }
    va_end(again);
    if (text != small) {
        free(text);
    }
}

void say_text(FILE *stream, const char *format, ...) {
    va_list list;
    va_start(list, format);
    say_list(stream, format, list);
    va_end(list);
}
