/* SPDX-License-Identifier: Apache-2.0
 *
 * fer_context: creation, the load report, and the end of everything a context owns. Backends linked
 * in are registered here, from the list the build makes; nothing touches a driver before a device
 * is asked for.
 */
#include "base/error.h"
#include "base/workers.h"
#include "device/device.h"
#include "feri_builtin.h"

#include <stdio.h>
#include <string.h>

#define X(entry)                                                                                   \
    fer_status entry(uint32_t host_min, uint32_t host_max, fer_backend_module *out_module);
FERI_BUILTIN_BACKENDS
#undef X

static const fer_backend_entry_fn builtin_entries[] = {
#define X(entry) entry,
    FERI_BUILTIN_BACKENDS
#undef X
        NULL};

static void devices_destroy(fer_context *context) {
    for (fer_device *device = context->devices, *next; device != NULL; device = next) {
        next = device->next;
        feri_session_release(device->session);
        pthread_mutex_destroy(&device->lock);
        pthread_mutex_destroy(&device->session_lock);
        feri_free(&context->env, device, sizeof(*device));
    }
}

static void context_destroy(feri_env *env) {
    fer_context *context = (fer_context *)env;
    feri_workers_destroy(env->workers);
    if (context->weights != NULL) {
        context->weights_destroy(env, context->weights);
    }
    devices_destroy(context);
    /* Wrappers come after what they wrap, so the last goes first. */
    for (uint32_t i = context->backend_count; i-- > 0;) {
        feri_module_finish(context->backends[i]);
    }
    feri_free(env, context->backends, context->backend_capacity * sizeof(feri_backend *));
    while (context->load_last != NULL) {
        feri_load_report_drop(context);
    }
    pthread_mutex_destroy(&context->lock);
    feri_env_free(env);
}

/* A backend that cannot be had is a line of the report; no memory for it is no context. */
static fer_status builtins_register(fer_context *context) {
    for (uint32_t i = 0; builtin_entries[i] != NULL; i++) {
        fer_status status =
            feri_backend_add(context, builtin_entries[i], /*library=*/NULL, /*options=*/"");
        if (status == FER_OUT_OF_MEMORY || status == FER_BUDGET) {
            return status;
        }
        if (status != FER_OK) {
            feri_load_report_add(context, status, "built-in", fer_error_last()->message);
        }
    }
    return FER_OK;
}

fer_status fer_context_create(const fer_context_options *given, fer_context **out_context) {
    fer_context_options options;
    FER_TRY(feri_struct_in(&options, sizeof(options), given, "fer_context_options"));
    if (out_context == NULL) {
        return feri_null_argument("out_context");
    }
    if ((options.flags & ~(uint32_t)FER_CONTEXT_NO_MANIFESTS) != 0) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "flags 0x%x has bits that are no FER_CONTEXT_...", options.flags);
    }
    feri_env *env = NULL;
    FER_TRY(feri_env_create_in(&options, sizeof(fer_context), context_destroy, &env));
    fer_context *context = (fer_context *)env;
    atomic_init(&context->handles, 1);
    pthread_mutex_init(&context->lock, NULL);
    fer_status status = feri_workers_create(env, options.thread_count, &env->workers);
    if (status == FER_OK) {
        status = builtins_register(context);
    }
    if (status != FER_OK) {
        context_destroy(env);
        return status;
    }
    if ((options.flags & FER_CONTEXT_NO_MANIFESTS) == 0) {
        feri_manifests_load(context, options.backend_path);
    }
    *out_context = context;
    return FER_OK;
}

fer_context *fer_context_retain(fer_context *context) {
    if (context != NULL) {
        atomic_fetch_add(&context->handles, 1);
    }
    return context;
}

void fer_context_release(fer_context *context) {
    if (context == NULL || atomic_fetch_sub(&context->handles, 1) != 1) {
        return;
    }
    /* Cached programs are children that hold the context: they go with the last handle, or it would
     * never end. */
    if (context->eager != NULL) {
        context->eager_destroy(&context->env, context->eager);
        context->eager = NULL;
    }
    feri_env_release(&context->env);
}

void fer_context_memory(const fer_context *context,
                        uint64_t *out_now_bytes,
                        uint64_t *out_peak_bytes) {
    feri_env *env = feri_env_of(context);
    if (out_now_bytes != NULL) {
        *out_now_bytes = env == NULL ? 0 : atomic_load(&env->now_bytes);
    }
    if (out_peak_bytes != NULL) {
        *out_peak_bytes = env == NULL ? 0 : atomic_load(&env->peak_bytes);
    }
}

void feri_load_report_add(fer_context *context,
                          fer_status load_status,
                          const char *backend,
                          const char *detail) {
    feri_load_entry *entry = feri_alloc(&context->env, sizeof(*entry));
    if (entry == NULL) {
        return; /* a report that cannot be written is not worth failing for */
    }
    entry->before = context->load_last;
    context->load_last = entry;
    context->load_count++;
    entry->status = load_status;
    snprintf(entry->backend, sizeof(entry->backend), "%s", backend);
    snprintf(entry->detail, sizeof(entry->detail), "%s", detail);
    if (load_status != FER_OK) {
        feri_notify(&context->env, FER_NOTICE_BACKEND_FAILED, backend, detail);
    }
}

void feri_load_report_drop(fer_context *context) {
    feri_load_entry *entry = context->load_last;
    context->load_last = entry->before;
    context->load_count--;
    feri_free(&context->env, entry, sizeof(*entry));
}

uint32_t fer_context_load_report_count(fer_context *context) {
    uint32_t count = 0;
    if (context != NULL) {
        pthread_mutex_lock(&context->lock);
        count = context->load_count;
        pthread_mutex_unlock(&context->lock);
    }
    return count;
}

fer_status fer_context_load_line(fer_context *context, uint32_t index, fer_load_line *out_line) {
    const feri_load_entry *entry = NULL;
    if (context != NULL && out_line != NULL) {
        pthread_mutex_lock(&context->lock); /* others may register backends meanwhile */
        entry = context->load_last;
        for (uint32_t count = context->load_count; entry != NULL && count != index + 1; count--) {
            entry = entry->before;
        }
        pthread_mutex_unlock(&context->lock);
    }
    if (entry == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "no load report line %u", index);
    }
    fer_load_line line = {sizeof(line), entry->status, entry->backend, entry->detail};
    feri_struct_out(out_line, &line, sizeof(line));
    return FER_OK;
}
