/* SPDX-License-Identifier: Apache-2.0
 *
 * The trace wrapper from the inside. Only the backend and its devices are wrapped, so that slots
 * find the inner module; execs, instances, streams and events are the inner module's own.
 */
#ifndef FERI_TRACE_TRACE_H
#define FERI_TRACE_TRACE_H

#include "ferrule/backend.h"

typedef struct feri_trace_backend {
    const fer_host *host;
    const fer_backend_module *inner; /* complete: no table and no slot is NULL */
    void *handle;                    /* the inner backend */
} feri_trace_backend;

typedef struct feri_trace_device {
    const fer_host *host;
    const fer_backend_module *inner;
    void *handle; /* the inner device */
    uint32_t index;
    uint32_t reserved;
} feri_trace_device;

/* "INVALID_INPUT"; "UNKNOWN" for numbers this build does not know. */
const char *feri_trace_status(fer_status status);
/* One line at FER_LOG_INFO, cut at 500 bytes. */
void feri_trace_say(const fer_host *host, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

extern const fer_backend_core feri_trace_core;
extern const fer_backend_instances feri_trace_instances;
extern const fer_backend_memory feri_trace_memory;
extern const fer_backend_async feri_trace_async;
extern const fer_backend_compiler feri_trace_compiler;
extern const fer_backend_interop feri_trace_interop;
extern const fer_backend_observe feri_trace_observe;

#endif
