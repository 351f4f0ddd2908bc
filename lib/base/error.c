/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread's last failure: one fixed-size thread-local record, so that reporting needs no memory
 * and no lock. Also the names of statuses. Everything that can fail calls this.
 */
#include "base/error.h"

#include "base/later.h"

#include <stdio.h>
#include <string.h>

/* is_fresh: recorded since feri_error_expect. Beside the record, because the record is public. So
 * is what later.h puts off: the thread's own too. */
static _Thread_local struct {
    fer_error error;
    uint32_t is_fresh;
    uint32_t later_depth;
    feri_later *later;
} last;

/* Names and sentences of all statuses, each ended by NUL, in the order of their numbers. */
#define FER_STATUS(number, name, sentence) #name "\0"
static const char status_names[] =
#include "ferrule/status.def"
    ;
#undef FER_STATUS
#define FER_STATUS(number, name, sentence) sentence "\0"
static const char status_sentences[] =
#include "ferrule/status.def"
    ;
#undef FER_STATUS
enum {
#define FER_STATUS(number, name, sentence) PLACE_##name,
#include "ferrule/status.def"
#undef FER_STATUS
    STATUS_COUNT
};
#define FER_STATUS(number, name, sentence) _Static_assert((number) == PLACE_##name, "no gaps");
#include "ferrule/status.def"
#undef FER_STATUS

fer_status feri_error_status(void) { return last.error.status; }

int feri_status_is_known(fer_status status) { return status >= 0 && status < STATUS_COUNT; }

static const char *text_of(const char *texts, fer_status status, const char *unknown) {
    if (!feri_status_is_known(status)) {
        return unknown;
    }
    for (; status > 0; status--) {
        texts += strlen(texts) + 1;
    }
    return texts;
}

const char *fer_status_name(fer_status status) { return text_of(status_names, status, "UNKNOWN"); }

const char *fer_status_sentence(fer_status status) {
    return text_of(status_sentences, status, "a status this version of the library does not know");
}

const fer_error *fer_error_last(void) {
    last.error.struct_size = sizeof last.error;
    return &last.error;
}

static void copy_text(char *destination, size_t capacity, const char *source) {
    while (--capacity > 0 && *source) {
        *destination++ = *source++;
    }
    *destination = 0;
}

fer_status
feri_fail_list(const char *file, uint32_t line_status, const char *format, va_list arguments) {
    fer_status status = (fer_status)(line_status & 0xff);
    /* Formatted aside first: an argument may point into the record itself. */
    char message[sizeof last.error.message];
    (void)vsnprintf(message, sizeof message, format, arguments);
    const char *slash = strrchr(file, '/');
    last.error.struct_size = sizeof last.error;
    last.error.status = status == FER_OK ? FER_INTERNAL : status;
    last.error.native_code = 0;
    last.error.source_line = line_status >> 8;
    copy_text(last.error.source_file, sizeof last.error.source_file, slash ? slash + 1 : file);
    last.is_fresh = 1;
    last.error.backend[0] = 0;
    last.error.node[0] = 0;
    copy_text(last.error.message, sizeof last.error.message, message);
    return last.error.status;
}

fer_status feri_fail_at(const char *file, uint32_t line_status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fer_status status = feri_fail_list(file, line_status, format, arguments);
    va_end(arguments);
    return status;
}

fer_status feri_error_set_status(fer_status status) { return last.error.status = status; }

fer_status feri_error_set_node(const char *node) {
    if (node && !last.error.node[0]) {
        copy_text(last.error.node, sizeof last.error.node, node);
    }
    return last.error.status;
}

fer_status feri_error_set_backend(const char *backend, int32_t native_code) {
    if (backend && !last.error.backend[0]) {
        copy_text(last.error.backend, sizeof last.error.backend, backend);
    }
    if (!last.error.native_code) {
        last.error.native_code = native_code;
    }
    return last.error.status;
}

void feri_error_expect(void) { last.is_fresh = 0; }

int feri_error_tells(fer_status status) { return last.is_fresh && last.error.status == status; }

fer_status feri_error_why(fer_status status) {
    return status == FER_OUT_OF_MEMORY && feri_error_tells(FER_BUDGET) ? FER_BUDGET : status;
}

void feri_error_prefix(const char *format, ...) {
    char message[sizeof last.error.message];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(message, sizeof message - 2, format, arguments);
    va_end(arguments);
    if (written < 0) {
        return;
    }
    size_t length = strlen(message);
    message[length++] = ':';
    message[length++] = ' ';
    copy_text(message + length, sizeof message - length, last.error.message);
    memcpy(last.error.message, message, sizeof message);
}

void feri_error_save(fer_error *out_error) { *out_error = *fer_error_last(); }

void feri_error_restore(const fer_error *error) {
    if (error != &last.error) {
        last.error = *error;
    }
    last.error.struct_size = sizeof last.error;
}

void feri_later_begin(void) { last.later_depth++; }

static void later_run(void) {
    fer_error kept;
    feri_error_save(&kept);
    while (last.later != NULL) {
        feri_later *later = last.later;
        last.later = later->next;
        later->run(later);
    }
    feri_error_restore(&kept);
}

void feri_later_end(void) {
    if (--last.later_depth == 0 && __builtin_expect(last.later != NULL, 0)) {
        later_run();
    }
}

int feri_later_put(feri_later *later) {
    if (last.later_depth == 0) {
        return 0;
    }
    later->next = last.later;
    last.later = later;
    return 1;
}

fer_status feri_out_of_memory(uint64_t bytes) {
    return feri_fail(FER_OUT_OF_MEMORY,
                     "out of memory: %llu bytes of host memory could not be allocated",
                     (unsigned long long)bytes);
}

fer_status feri_null_argument(const char *what) {
    return feri_fail(FER_INVALID_ARGUMENT, "%s is NULL", what);
}
