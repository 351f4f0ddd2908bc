/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing text. The first failure sticks and later additions do nothing, so that a printer checks
 * once, at its end.
 */
#include "base/text.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void feri_text_init(feri_text *text, feri_env *env) {
    *text = (feri_text){.env = env, .status = FER_OK};
}

void feri_text_finish(feri_text *text) {
    feri_free(text->env, text->data, text->capacity);
    feri_text_init(text, text->env);
}

/* Room for length more bytes and the terminator. */
static int reserve(feri_text *text, uint64_t length) {
    if (text->status != FER_OK) {
        return 0;
    }
    uint64_t needed = feri_add_sat(feri_add_sat(text->length, length), 1);
    if (needed <= text->capacity) {
        return 1;
    }
    uint64_t capacity = feri_mul_sat(text->capacity, 2);
    capacity = capacity < 64 ? 64 : capacity;
    capacity = capacity < needed ? needed : capacity;
    char *data = feri_alloc_aligned(text->env, capacity, 16, /*zeroed=*/0);
    if (!data) {
        text->status = feri_error_status();
        return 0;
    }
    if (text->length) {
        memcpy(data, text->data, text->length);
    }
    data[text->length] = 0;
    feri_free(text->env, text->data, text->capacity);
    text->data = data;
    text->capacity = capacity;
    return 1;
}

void feri_text_add_bytes(feri_text *text, const char *bytes, uint64_t length) {
    if (reserve(text, length)) {
        if (length) {
            memcpy(text->data + text->length, bytes, length);
        }
        text->length += length;
        text->data[text->length] = 0;
    }
}

void feri_text_add(feri_text *text, const char *format, ...) {
    uint64_t needed = 0; /* not known before the first try */
    while (reserve(text, needed)) {
        uint64_t room = text->capacity - text->length;
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(text->data + text->length, room, format, arguments);
        va_end(arguments);
        needed = (uint64_t)length;
        if (length >= 0 && needed < room) {
            text->length += needed;
            return;
        }
        text->data[text->length] = 0;
        if (length < 0) {
            text->status = feri_fail(FER_INTERNAL, "a text could not be formatted");
        }
    }
}

void feri_text_add_number(feri_text *text, double value, int significant) {
    char digits[64];
    int length = snprintf(digits, sizeof digits, "%.*g", significant, value);
    int used = 0;
    for (int i = 0; i < length && i < (int)sizeof digits - 1; i++) {
        if (strchr("0123456789+-einfa", digits[i])) {
            digits[used++] = digits[i];
        } else if (!used || digits[used - 1] != '.') {
            digits[used++] = '.'; /* a locale's separator may be several bytes */
        }
    }
    feri_text_add_bytes(text, digits, (uint64_t)used);
}
