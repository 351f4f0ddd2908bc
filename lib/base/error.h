/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread's last failure and the two ways a function fails: feri_fail records a sentence and
 * returns the status, FER_TRY passes a callee's failure on. The record is the one thread-local of
 * the library (design: the sole exemption).
 */
#ifndef FERI_BASE_ERROR_H
#define FERI_BASE_ERROR_H

#include "ferrule/ferrule.h"

#include <stdarg.h>

/* Records message and place as the thread's last error and returns status (never FER_OK).
 * Truncates, never allocates. Clears node and backend; add them afterwards. */
fer_status feri_fail_at(const char *file, uint32_t line_status, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
/* The same from a function that itself takes a sentence and its arguments. */
fer_status
feri_fail_list(const char *file, uint32_t line_status, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0), cold));
#ifdef __FILE_NAME__
#define FERI_FILE __FILE_NAME__
#else
#define FERI_FILE __FILE__
#endif
/* Line and status travel in one number: hundreds of calls are an instruction shorter. */
#define FERI_LINE(status) ((uint32_t)__LINE__ << 8 | (uint8_t)(status))
#define feri_fail(status, ...) feri_fail_at(FERI_FILE, FERI_LINE(status), __VA_ARGS__)

/* The last error is one of this status after all, which is returned. */
fer_status feri_error_set_status(fer_status status);
/* Adds to the last error if the field is still empty; NULL is ignored. Returns its status. */
fer_status feri_error_set_node(const char *node);
fer_status feri_error_set_backend(const char *backend, int32_t native_code);
int feri_status_is_known(fer_status status);
/* Of the last failure: what to return where a callee had no memory and answered NULL. */
fer_status feri_error_status(void);
/* Work that others do begins: feri_error_tells answers whether a failure of this status was
 * recorded since, or an older sentence would stand for it. */
void feri_error_expect(void);
int feri_error_tells(fer_status status);
/* The status of a backend, which only sees that it got no memory: BUDGET where that is why. */
fer_status feri_error_why(fer_status status);
/* Puts "context: " before the last error's message. */
void feri_error_prefix(const char *format, ...) __attribute__((format(printf, 1, 2), cold));
/* An event owns its error: copy out of and back into the thread's record. */
void feri_error_save(fer_error *out_error);
void feri_error_restore(const fer_error *error);

/* The usual sentence for a failed allocation; returns FER_OUT_OF_MEMORY. */
fer_status feri_out_of_memory(uint64_t bytes);
/* INVALID_ARGUMENT: what the caller named what is NULL. */
fer_status feri_null_argument(const char *what);

/* Where nothing is owned. */
#define FER_TRY(expression)                                                                        \
    do {                                                                                           \
        fer_status fer_try_status = (expression);                                                  \
        if (__builtin_expect(fer_try_status != FER_OK, 0)) {                                       \
            return fer_try_status;                                                                 \
        }                                                                                          \
    } while (0)
/* Where something is: needs a fer_status status and a label. */
#define FER_TRY_OR(label, expression)                                                              \
    do {                                                                                           \
        status = (expression);                                                                     \
        if (__builtin_expect(status != FER_OK, 0)) {                                               \
            goto label;                                                                            \
        }                                                                                          \
    } while (0)

/* Copies an argument struct that may be shorter or longer than ours into full (size bytes, zeroed
 * first). given NULL is all defaults; struct_size 0 means size. INVALID_ARGUMENT when an unknown
 * tail is not zero; what names the struct. */
fer_status feri_struct_in(void *full, size_t size, const void *given, const char *what);
/* Copies our full struct into the caller's out struct, as far as its struct_size reaches; keeps its
 * struct_size. */
void feri_struct_out(void *given, const void *full, size_t size);

#endif
