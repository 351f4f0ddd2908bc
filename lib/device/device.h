/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts, backends and devices from the inside. A backend's module is completed at registration
 * (complete.c), so no slot is ever NULL behind here. A device that is opened is a session: buffers,
 * execs and streams hold the session they were made in, so that after a loss and reopen the old
 * ones can still be released, and only that.
 */
#ifndef FERI_DEVICE_DEVICE_H
#define FERI_DEVICE_DEVICE_H

#include "base/env.h"
#include "ferrule/backend.h"
#include "tensor/tensor.h"

#include <pthread.h>

/* The tables of all levels. */
typedef struct feri_tables {
    fer_backend_core core;
    fer_backend_instances instances;
    fer_backend_memory memory;
    fer_backend_async async;
    fer_backend_compiler compiler;
    fer_backend_interop interop;
    fer_backend_observe observe;
} feri_tables;

/* What is kept of a module as it was given. */
typedef struct feri_adapter {
    fer_backend_module
        original; /* its pointers are to the tables below, zero where the module's were short */
    const fer_backend_module *inner; /* of a wrapper in use: what it wraps, whoever creates it */
    const fer_backend_module *reference;
    const char *options; /* of its manifest: for wrappers, which have none for it */
    feri_tables tables;
} feri_adapter;

typedef struct feri_backend {
    fer_context *context;
    void *handle;                  /* what create made; NULL until devices are asked for */
    _Atomic(fer_device *) devices; /* its devices, linked by sibling; only ever added to */
    uint32_t device_count;         /* added so far */
    uint8_t has_devices;           /* enumerated */
    char name[48];
    fer_backend_module module; /* complete; tables are the ones below */
    feri_tables tables;
    feri_adapter adapter;
    fer_host host;
    void *library; /* dlopen handle, NULL for linked-in backends */
    char options[];
} feri_backend;

/* One opening of a device. Counted by what was made in it. */
typedef struct feri_session {
    atomic_uint refs;
    fer_device *device;
    void *handle;
    uint32_t generation;
    atomic_uint is_lost;
} feri_session;

struct fer_device {
    fer_context *context;
    feri_backend *backend;
    feri_session *session; /* NULL until first used; set under both locks, read under one */
    fer_device *next;      /* of the context's */
    fer_device *sibling;   /* the next of its backend */
    uint64_t budget_bytes; /* UINT64_MAX: none */
    atomic_uint_fast64_t in_use_bytes;
    uint32_t index;    /* in its backend */
    atomic_uint state; /* FER_STATE_... */
    atomic_uint generation;
    pthread_mutex_t lock; /* around slots that are not [concurrent] */
    /* What tells of loss takes this one alone: a slot under lock may wait for the thread that does. */
    pthread_mutex_t session_lock;
    char name[96];
    fer_backend_device_info info;
};

typedef struct feri_load_entry {
    struct feri_load_entry *before;
    fer_status status;
    char backend[48];
    char detail[256];
} feri_load_entry;

struct fer_context {
    feri_env env;        /* first: feri_env_of */
    atomic_uint handles; /* the callers' references; children count in env */
    pthread_mutex_t lock;
    feri_backend **backends;
    uint32_t backend_count, backend_capacity;
    fer_device *devices; /* linked by next, in preference order */
    uint32_t device_count;
    feri_load_entry *load_last; /* each its own block: callers keep its strings */
    uint32_t load_count;
    uint8_t devices_ready;
    /* Owned by later stages, destroyed with the context: plan/'s prepared weights and program.c's
     * eager programs. */
    void *weights;
    void (*weights_destroy)(feri_env *env, void *weights);
    void *eager;
    void (*eager_destroy)(feri_env *env, void *eager);
};

/* ---- registration (backend.c, complete.c, manifest.c) ---- */

/* library may be NULL; on success the backend owns it. options may be NULL. */
fer_status feri_backend_add(fer_context *context,
                            fer_backend_entry_fn entry,
                            void *library,
                            const char *options);
/* Fills backend's tables from module: what is missing gets the host's default. */
fer_status feri_module_complete(feri_backend *backend, const fer_backend_module *module);
/* Has it make its object: no driver is touched before. */
fer_status feri_backend_start(feri_backend *backend);
void feri_module_finish(feri_backend *backend);
/* 1 when a list of claims rules a node out: support then says why. No list rules nothing out. */
int feri_claims_refuse(const fer_op_claim *claims,
                       uint32_t count,
                       const fer_node_view *node,
                       fer_support *support);
/* Reads all manifests of a folder ("" and NULL: the default), registering what loads and reporting
 * the rest. */
void feri_manifests_load(fer_context *context, const char *folder);
fer_status feri_backend_open_library(fer_context *context, const char *path, const char *options);
void feri_load_report_add(fer_context *context,
                          fer_status status,
                          const char *backend,
                          const char *detail);
/* Takes the last line back; there is one. */
void feri_load_report_drop(fer_context *context);
void feri_host_services_init(feri_backend *backend);
/* Makes the wrapper backend "outer(inner)" and its devices. Context lock held. */
fer_status feri_backend_wrap(fer_context *context,
                             feri_backend *outer,
                             feri_backend *inner,
                             feri_backend **out_backend);

/* ---- devices (device.c) ---- */

/* Whether name is the device's, or its backend's while it is that one's first. */
int feri_device_is_called(const fer_device *device, const char *name, size_t length);
/* Takes the context's lock, under which its devices are all there and do not change; on failure it
 * is not held. */
fer_status feri_devices_lock(fer_context *context);
/* The open session, opening the device at first. DEVICE_LOST when it is lost. Retained for the
 * caller. */
fer_status feri_device_session(fer_device *device, feri_session **out_session);
feri_session *feri_session_retain(feri_session *session);
void feri_session_release(feri_session *session);
/* A failure as a slot may answer it: a number that is no status, and NOT_READY (events are asked
 * about that before), is a broken contract. */
fer_status feri_backend_status(fer_status status);
/* Passes a slot's status on: latches loss, adds the backend's name to the error. */
fer_status feri_session_status(feri_session *session, fer_status status);
void feri_session_mark_lost(feri_session *session, const char *reason);
/* The open session, if there is one. */
void feri_device_mark_lost(fer_device *device, const char *reason);
static inline int feri_session_is_lost(const feri_session *session) {
    return atomic_load_explicit(&session->is_lost, memory_order_acquire) != 0;
}
/* DEVICE_LOST with a sentence. */
fer_status feri_session_lost_error(const feri_session *session);
static inline int feri_device_is_host(const fer_device *device) {
    return (device->info.flags & FER_DEVICE_HOST_MEMORY) != 0;
}

/* ---- memory (device_memory.c) ---- */

/* Counts bytes against the device's budget; BUDGET names what. */
fer_status feri_device_reserve(fer_device *device, uint64_t bytes, const char *what);
void feri_device_unreserve(fer_device *device, uint64_t bytes);
/* Memory on the session's device as a buffer, not zeroed, counted against the budget. */
fer_status
feri_device_buffer(feri_session *session, uint64_t bytes, int32_t kind, feri_buffer **out_buffer);
/* The session a buffer lies in, NULL for host memory. */
feri_session *feri_buffer_session(const feri_buffer *buffer);
/* A buffer's piece as a backend sees it. */
static inline fer_mem feri_buffer_mem(const feri_buffer *buffer, uint64_t offset, uint64_t bytes) {
    return (fer_mem){
        buffer->handle, offset, bytes, buffer->host != NULL ? buffer->host + offset : NULL};
}
/* Copies between any two places; NULL sessions are host memory. */
fer_status feri_mem_copy(feri_session *to_session,
                         const fer_mem *to,
                         feri_session *from_session,
                         const fer_mem *from,
                         uint64_t bytes);

/* The arena planner, also offered to backends as fer_host.plan_memory (plan/arena.c sets it through
 * this). */
fer_status feri_plan_memory(const fer_lifetime *lifetimes,
                            uint32_t count,
                            uint64_t alignment,
                            feri_env *env,
                            uint64_t *out_offsets,
                            uint64_t *out_bytes);

#endif
