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
#include <stdlib.h>
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
    for (uint32_t i = 0; i < context->device_count; i++) {
        fer_device *device = context->devices[i];
        feri_session_release(device->session);
        pthread_mutex_destroy(&device->lock);
        feri_free(&context->env, device, sizeof(*device));
    }
    feri_free(&context->env, context->devices, context->device_capacity * sizeof(fer_device *));
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
    for (uint32_t i = 0; i < context->load_count; i++) {
        feri_free(env, context->load_entries[i], sizeof(feri_load_entry));
    }
    feri_free(env, context->load_entries, context->load_capacity * sizeof(feri_load_entry *));
    for (uint32_t i = 0; i < context->budget_count && context->budgets != NULL; i++) {
        char *name = (char *)(uintptr_t)context->budgets[i].device;
        feri_free(env, name, name == NULL ? 0 : strlen(name) + 1);
    }
    feri_free(env, context->budgets, context->budget_count * sizeof(fer_budget));
    pthread_mutex_destroy(&context->lock);
    fer_allocator allocator = env->allocator;
    if (allocator.free != NULL) {
        allocator.free(allocator.self, context, sizeof(*context), 64);
    } else {
        free(context);
    }
}

static fer_status budgets_copy(fer_context *context, const fer_context_options *options) {
    if (options->budget_count == 0) {
        return FER_OK;
    }
    context->budgets =
        feri_alloc(&context->env, feri_mul_sat(options->budget_count, sizeof(fer_budget)));
    if (context->budgets == NULL) {
        return fer_error_last()->status;
    }
    context->budget_count = options->budget_count;
    const uint8_t *entry = (const uint8_t *)options->budgets; /* of the caller's struct_size */
    for (uint32_t i = 0; i < options->budget_count; i++) {
        fer_budget *budget = &context->budgets[i];
        FER_TRY(feri_struct_in(budget, sizeof(*budget), entry, "fer_budget"));
        uint32_t stride = 0;
        memcpy(&stride, entry, sizeof(stride));
        entry += stride != 0 ? stride : sizeof(*budget);
        const char *device = budget->device; /* feri_env_init saw that it is there */
        budget->device = feri_strndup(&context->env, device, strlen(device));
        if (budget->device == NULL) {
            return fer_error_last()->status;
        }
    }
    return FER_OK;
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
        return feri_fail(FER_INVALID_ARGUMENT, "out_context is NULL");
    }
    if ((options.allocator.alloc == NULL) != (options.allocator.free == NULL)) {
        return feri_fail(FER_INVALID_ARGUMENT, "an allocator needs both alloc and free");
    }
    /* The context itself is the one block that comes before its own heap. */
    fer_context *context =
        options.allocator.alloc != NULL
            ? options.allocator.alloc(options.allocator.self, sizeof(*context), 64)
            : malloc(sizeof(*context));
    if (context == NULL) {
        return feri_out_of_memory(sizeof(*context));
    }
    memset(context, 0, sizeof(*context));
    atomic_init(&context->handles, 1);
    pthread_mutex_init(&context->lock, NULL);
    fer_status status = feri_env_init(&context->env, &options, context_destroy);
    if (status == FER_OK) {
        context->thread_count = options.thread_count;
        status = budgets_copy(context, &options);
    }
    if (status == FER_OK) {
        status = feri_workers_create(&context->env, options.thread_count, &context->env.workers);
    }
    if (status == FER_OK) {
        status = builtins_register(context);
    }
    if (status == FER_OK) {
        if ((options.flags & FER_CONTEXT_NO_MANIFESTS) == 0) {
            feri_manifests_load(context, options.backend_path);
        }
        *out_context = context;
        return FER_OK;
    }
    context_destroy(&context->env);
    return status;
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
    if (feri_grow(&context->env,
                  &context->load_entries,
                  &context->load_capacity,
                  context->load_count + 1,
                  sizeof(feri_load_entry *)) != FER_OK) {
        return; /* a report that cannot be written is not worth failing for */
    }
    feri_load_entry *entry = feri_alloc(&context->env, sizeof(*entry));
    if (entry == NULL) {
        return;
    }
    context->load_entries[context->load_count++] = entry;
    entry->status = load_status;
    snprintf(entry->backend, sizeof(entry->backend), "%s", backend);
    snprintf(entry->detail, sizeof(entry->detail), "%s", detail);
    if (load_status != FER_OK) {
        feri_notify(&context->env, FER_NOTICE_BACKEND_FAILED, backend, detail);
    }
}

void feri_load_report_drop(fer_context *context) {
    if (context->load_count > 0) {
        context->load_count--;
        feri_free(
            &context->env, context->load_entries[context->load_count], sizeof(feri_load_entry));
    }
}

uint32_t fer_context_load_report_count(fer_context *context) {
    return context == NULL ? 0 : context->load_count;
}

fer_status fer_context_load_line(fer_context *context, uint32_t index, fer_load_line *out_line) {
    if (context == NULL || out_line == NULL || index >= context->load_count) {
        return feri_fail(FER_INVALID_ARGUMENT, "no load report line %u", index);
    }
    const feri_load_entry *entry = context->load_entries[index];
    fer_load_line line = {sizeof(line), entry->status, entry->backend, entry->detail};
    feri_struct_out(out_line, &line, sizeof(line));
    return FER_OK;
}
