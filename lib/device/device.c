/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices: enumeration, names, wrappers made on demand, sessions, loss and reopening.
 */
#include "device/device.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* ---- sessions ---- */

feri_session *feri_session_retain(feri_session *session) {
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

void feri_session_release(feri_session *session) {
    if (session == NULL ||
        atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    fer_device *device = session->device;
    device->backend->tables.core.device_close(session->handle);
    feri_free(&device->context->env, session, sizeof(*session));
}

fer_status feri_session_lost_error(const feri_session *session) {
    feri_fail(FER_DEVICE_LOST,
              "device %s was lost (generation %u): reopen it or run on another device",
              session->device->name,
              session->generation);
    return feri_error_set_backend(session->device->backend->name, 0);
}

/* A failure that a device answered, with a sentence: the device's own if it gave one. */
static fer_status answer_tell(const fer_device *device, fer_status answer, const char *what) {
    fer_status known = feri_backend_status(answer);
    fer_status status = feri_error_why(known);
    if (feri_error_tells(status)) {
        /* it said why */
    } else if (known != answer) {
        feri_fail(status,
                  "device %s answered with status %d (%s), which is no answer here",
                  device->name,
                  answer,
                  fer_status_name(answer));
    } else {
        feri_fail(status, "device %s%s: %s", device->name, what, fer_status_sentence(status));
    }
    return feri_error_set_backend(device->backend->name, 0);
}

fer_status feri_session_status(feri_session *session, fer_status status) {
    if (status == FER_OK) {
        return status;
    }
    status = answer_tell(session->device, status, "");
    if (status == FER_DEVICE_LOST && !feri_session_is_lost(session)) {
        fer_error kept;
        feri_error_save(&kept);
        feri_session_mark_lost(session, kept.message);
        feri_error_restore(&kept);
    }
    return status;
}

void feri_session_mark_lost(feri_session *session, const char *reason) {
    fer_device *device = session->device;
    if (atomic_exchange_explicit(&session->is_lost, 1, memory_order_acq_rel) != 0) {
        return;
    }
    /* What was made before a reopen tells nothing about the device as it is now. */
    pthread_mutex_lock(&device->session_lock);
    int is_current = device->session == session;
    if (is_current) {
        atomic_store(&device->state, FER_STATE_LOST);
    }
    pthread_mutex_unlock(&device->session_lock);
    if (is_current) {
        feri_log(
            &device->context->env, FER_LOG_ERROR, "device %s was lost: %s", device->name, reason);
        feri_notify(&device->context->env, FER_NOTICE_DEVICE_LOST, device->name, reason);
    }
}

void feri_device_mark_lost(fer_device *device, const char *reason) {
    pthread_mutex_lock(&device->session_lock);
    feri_session *session = device->session == NULL ? NULL : feri_session_retain(device->session);
    pthread_mutex_unlock(&device->session_lock);
    if (session != NULL) {
        feri_session_mark_lost(session, reason);
        feri_session_release(session);
    }
}

/* The device's lock is held. The session that was there before, whose reference is the caller's
 * now, stays until there is another. */
static fer_status session_open(fer_device *device, feri_session **out_old) {
    feri_error_expect();
    feri_session *session = feri_alloc(&device->context->env, sizeof(*session));
    if (session == NULL) {
        return feri_error_status();
    }
    atomic_init(&session->refs, 1);
    session->device = device;
    session->generation = atomic_load(&device->generation);
    feri_backend *backend = device->backend;
    fer_status status =
        backend->tables.core.device_open(backend->handle, device->index, &session->handle);
    if (status != FER_OK) {
        feri_free(&device->context->env, session, sizeof(*session));
        return answer_tell(device, status, " cannot be opened");
    }
    pthread_mutex_lock(&device->session_lock);
    *out_old = device->session;
    device->session = session;
    atomic_store(&device->state, FER_STATE_READY);
    pthread_mutex_unlock(&device->session_lock);
    return FER_OK;
}

fer_status feri_device_session(fer_device *device, feri_session **out_session) {
    fer_status status = FER_OK;
    feri_session *none = NULL;
    feri_error_expect();
    pthread_mutex_lock(&device->lock);
    if (device->session == NULL) {
        status = session_open(device, &none);
    }
    if (status == FER_OK) {
        *out_session = feri_session_retain(device->session);
    }
    pthread_mutex_unlock(&device->lock);
    if (status == FER_OK && feri_session_is_lost(*out_session)) {
        status = feri_session_lost_error(*out_session);
        feri_session_release(*out_session);
        *out_session = NULL;
    }
    return status;
}

fer_status fer_device_reopen(fer_device *device) {
    if (device == NULL) {
        return feri_null_argument("device");
    }
    fer_status status = FER_OK;
    feri_session *old = NULL;
    pthread_mutex_lock(&device->lock);
    if (device->session == NULL) {
        status = session_open(device, &old);
    } else if (feri_session_is_lost(device->session)) {
        atomic_fetch_add(&device->generation, 1);
        status = session_open(device, &old);
        if (status != FER_OK) {
            atomic_fetch_sub(&device->generation, 1);
        }
    }
    pthread_mutex_unlock(&device->lock);
    feri_session_release(old);
    return status;
}

/* ---- enumeration ---- */

static uint64_t budget_of(const fer_device *device) {
    const feri_env *env = &device->context->env;
    for (uint32_t i = 0; i < env->budget_count; i++) {
        const char *given = env->budgets[i].device;
        if (feri_device_is_called(device, given, strlen(given))) {
            return env->budgets[i].bytes;
        }
    }
    return UINT64_MAX;
}

static fer_status device_add(fer_context *context,
                             feri_backend *backend,
                             uint32_t index,
                             const char *name,
                             fer_device **out_device) {
    fer_device *device = feri_alloc(&context->env, sizeof(*device));
    if (device == NULL) {
        return feri_error_status();
    }
    device->context = context;
    device->backend = backend;
    device->index = index;
    device->info.struct_size = sizeof(device->info);
    snprintf(device->name, sizeof(device->name), "%s", name);
    fer_status status = backend->tables.core.device_info(backend->handle, index, &device->info);
    if (status != FER_OK) {
        feri_free(&context->env, device, sizeof(*device));
        return status;
    }
    device->info.chip[sizeof(device->info.chip) - 1] = 0;
    device->info.note[sizeof(device->info.note) - 1] = 0;
    device->info.chip_id[sizeof(device->info.chip_id) - 1] = 0;
    if (device->info.buffer_alignment < 64) {
        device->info.buffer_alignment = 64;
    }
    device->budget_bytes = budget_of(device);
    atomic_init(&device->generation, 1);
    atomic_init(&device->state, FER_STATE_READY);
    pthread_mutex_init(&device->lock, NULL);
    pthread_mutex_init(&device->session_lock, NULL);
    fer_device **at = &context->devices;
    while (*at != NULL && (*at)->info.preference >= device->info.preference) {
        at = &(*at)->next;
    }
    device->next = *at;
    *at = device;
    context->device_count++;
    device->sibling = atomic_load(&backend->devices);
    atomic_store_explicit(&backend->devices, device, memory_order_release);
    *out_device = device;
    return FER_OK;
}

static fer_status backend_enumerate(fer_context *context, feri_backend *backend) {
    if ((backend->module.flags & FER_MODULE_WRAPPER) != 0 || backend->has_devices) {
        return FER_OK;
    }
    if (backend->handle == NULL) {
        FER_TRY(feri_backend_start(backend));
    }
    uint32_t count = 0;
    FER_TRY(backend->tables.core.device_count(backend->handle, &count));
    for (uint32_t i = backend->device_count; i < count && i < 256;
         i++) { /* goes on after a failure */
        char name[64];
        fer_device *added = NULL;
        snprintf(name, sizeof(name), "%s:%u", backend->name, i);
        FER_TRY(device_add(context, backend, i, name, &added));
        backend->device_count = i + 1;
    }
    backend->has_devices = 1;
    return FER_OK;
}

fer_status feri_devices_lock(fer_context *context) {
    fer_status status = FER_OK;
    pthread_mutex_lock(&context->lock);
    for (uint32_t i = 0; i < context->backend_count && !context->devices_ready; i++) {
        feri_backend *backend = context->backends[i];
        feri_error_expect();
        fer_status one = feri_error_why(backend_enumerate(context, backend));
        if (one == FER_OUT_OF_MEMORY || one == FER_BUDGET) {
            status = one;
            break;
        }
        if (one != FER_OK) {
            backend->has_devices = 1; /* asked once */
            feri_load_report_add(context,
                                 one,
                                 backend->name,
                                 feri_error_tells(one) ? fer_error_last()->message
                                                       : fer_status_sentence(one));
        }
    }
    context->devices_ready = status == FER_OK;
    if (status != FER_OK) {
        pthread_mutex_unlock(&context->lock);
    }
    return status;
}

fer_status fer_context_device_count(fer_context *context, uint32_t *out_count) {
    if (context == NULL || out_count == NULL) {
        return feri_null_argument("context or out_count");
    }
    FER_TRY(feri_devices_lock(context));
    *out_count = context->device_count;
    pthread_mutex_unlock(&context->lock);
    return FER_OK;
}

fer_device *fer_device_retain(fer_device *device) {
    if (device != NULL) {
        (void)feri_env_retain(&device->context->env);
    }
    return device;
}

void fer_device_release(fer_device *device) {
    if (device != NULL) {
        feri_env_release(&device->context->env);
    }
}

fer_status fer_context_device(fer_context *context, uint32_t index, fer_device **out_device) {
    if (context == NULL || out_device == NULL) {
        return feri_null_argument("context or out_device");
    }
    FER_TRY(feri_devices_lock(context));
    uint32_t count = context->device_count;
    fer_device *device = context->devices;
    for (uint32_t i = 0; i < index && device != NULL; i++) {
        device = device->next;
    }
    pthread_mutex_unlock(&context->lock);
    if (device == NULL) {
        return feri_fail(FER_INVALID_ARGUMENT, "no device %u, there are %u", index, count);
    }
    *out_device = fer_device_retain(device);
    return FER_OK;
}

/* ---- names ---- */

static int is_called(const char *own, const char *name, size_t length) {
    return strncmp(own, name, length) == 0 && own[length] == 0;
}

int feri_device_is_called(const fer_device *device, const char *name, size_t length) {
    return is_called(device->name, name, length) ||
           (device->index == 0 && is_called(device->backend->name, name, length));
}

/* No device has a backend's name: there is a ':' in each. */
static fer_device *device_named(fer_context *context, const char *name, size_t length) {
    fer_device *device = context->devices;
    while (device != NULL && !feri_device_is_called(device, name, length)) {
        device = device->next;
    }
    return device;
}

static feri_backend *wrapper_named(fer_context *context, const char *name, size_t length) {
    for (uint32_t i = 0; i < context->backend_count; i++) {
        feri_backend *backend = context->backends[i];
        if ((backend->module.flags & FER_MODULE_WRAPPER) != 0 && backend->handle == NULL &&
            is_called(backend->name, name, length)) {
            return backend;
        }
    }
    return NULL;
}

static fer_status
device_find(fer_context *context, const char *name, size_t length, fer_device **out_device);

/* outer(inner): the wrapper over inner's backend, its device of inner's index. */
static fer_status wrapped_find(fer_context *context,
                               const char *name,
                               size_t length,
                               const char *open,
                               fer_device **out_device) {
    size_t outer_length = (size_t)(open - name);
    feri_backend *outer = wrapper_named(context, name, outer_length);
    if (outer == NULL) {
        return feri_fail(
            FER_NO_DEVICE, "there is no wrapper backend called '%.*s'", (int)outer_length, name);
    }
    fer_device *inner = NULL;
    char full[96];
    size_t written = length; /* no shorter once names are whole, and no deeper recursion */
    if (written < sizeof(full)) {
        FER_TRY(device_find(context, open + 1, length - outer_length - 2, &inner));
        written = (size_t)snprintf(full, sizeof(full), "%s(%s)", outer->name, inner->name);
    }
    if (written >= sizeof(full)) {
        return feri_fail(FER_NO_DEVICE, "wrappers are nested too deeply in '%.100s'", name);
    }
    *out_device = device_named(context, full, strlen(full));
    if (*out_device != NULL) {
        return FER_OK;
    }
    feri_backend *wrapped = NULL;
    FER_TRY(feri_backend_wrap(context, outer, inner->backend, &wrapped));
    wrapped->has_devices = 1;
    FER_TRY(device_add(context, wrapped, inner->index, full, out_device));
    (*out_device)->info.flags |= FER_DEVICE_NEVER_DEFAULT;
    return FER_OK;
}

static fer_status
device_find(fer_context *context, const char *name, size_t length, fer_device **out_device) {
    *out_device = device_named(context, name, length);
    if (*out_device != NULL) {
        return FER_OK;
    }
    const char *open = memchr(name, '(', length);
    if (open != NULL && name[length - 1] == ')') {
        return wrapped_find(context, name, length, open, out_device);
    }
    return feri_fail(FER_NO_DEVICE,
                     "there is no device '%.*s': `ferrule devices` lists what this machine has",
                     (int)(length > 100 ? 100 : length),
                     name);
}

fer_status fer_device_find(fer_context *context, const char *name, fer_device **out_device) {
    if (context == NULL || name == NULL || out_device == NULL) {
        return feri_null_argument("context, name or out_device");
    }
    fer_device *device = NULL;
    FER_TRY(feri_devices_lock(context));
    fer_status status = device_find(context, name, strlen(name), &device);
    pthread_mutex_unlock(&context->lock);
    if (status == FER_OK) {
        *out_device = fer_device_retain(device);
    }
    return status;
}

/* ---- facts ---- */

fer_status fer_device_get_info(fer_device *device, fer_device_info *out_info) {
    if (device == NULL || out_info == NULL) {
        return feri_null_argument("device or out_info");
    }
    fer_device_info info = {
        .struct_size = sizeof(info),
        .type = device->info.type,
        .state = (int32_t)atomic_load(&device->state),
        .generation = atomic_load(&device->generation),
        .name = device->name,
        .backend = device->backend->name,
        .chip = device->info.chip,
        .note = device->info.note,
        .chip_id = device->info.chip_id,
        .memory_bytes = device->info.memory_bytes,
        .in_use_bytes = atomic_load(&device->in_use_bytes),
        .budget_bytes = device->budget_bytes == UINT64_MAX ? 0 : device->budget_bytes,
        .is_default = (device->info.flags & FER_DEVICE_NEVER_DEFAULT) == 0,
    };
    feri_struct_out(out_info, &info, sizeof(info));
    return FER_OK;
}

fer_status fer_device_get_counters(fer_device *device, fer_device_counters *out_counters) {
    if (device == NULL || out_counters == NULL) {
        return feri_null_argument("device or out_counters");
    }
    feri_session *session = NULL;
    FER_TRY(feri_device_session(device, &session));
    fer_device_counters counters = {.struct_size = sizeof(counters)};
    fer_status status = feri_session_status(
        session, device->backend->tables.observe.counters(session->handle, &counters));
    feri_session_release(session);
    if (status == FER_OK) {
        feri_struct_out(out_counters, &counters, sizeof(counters));
    }
    return status;
}

fer_status fer_device_op_claim(fer_device *device, uint32_t op_number, uint32_t *out_revision) {
    if (device == NULL || out_revision == NULL) {
        return feri_null_argument("device or out_revision");
    }
    feri_session *session = NULL;
    const fer_op_claim *claims = NULL;
    uint32_t count = 0;
    FER_TRY(feri_device_session(device, &session));
    pthread_mutex_lock(&device->lock);
    fer_status status = device->backend->tables.core.op_claims(session->handle, &claims, &count);
    pthread_mutex_unlock(&device->lock);
    status = feri_session_status(session, status);
    if (status == FER_OK) {
        *out_revision = count == 0 ? UINT32_MAX : 0;
        for (uint32_t i = 0; i < count; i++) {
            *out_revision = claims[i].op == op_number ? claims[i].revision : *out_revision;
        }
    }
    feri_session_release(session);
    return status;
}
