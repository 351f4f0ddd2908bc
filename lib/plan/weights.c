/* SPDX-License-Identifier: Apache-2.0
 *
 * Prepared weights belong to the host and are shared by all programs of a context that hold the
 * same constant in the same layout on the same session. Where a device computes in host memory and
 * wants no layout of its own, constants are used in place and the store is not involved.
 */
#include "base/error.h"
#include "plan/plan.h"

#include <string.h>

enum { BUCKETS = 1024 };

struct feri_weight {
    uint32_t refs;             /* guarded by the store's lock */
    feri_session *session;     /* compared, and kept alive by buffer */
    const feri_buffer *source; /* retained through constant */
    uint64_t offset;
    uint64_t source_bytes;
    fer_tensor *constant; /* NULL: dropped */
    uint32_t bucket;
    char layout[64];
    feri_buffer *buffer;
    feri_weight *next;
};

typedef struct store {
    pthread_mutex_t lock;
    feri_weight *buckets[BUCKETS];
} store;

static void store_destroy(feri_env *env, void *object) {
    store *s = object;
    pthread_mutex_destroy(&s->lock);
    feri_free(env, s, sizeof(*s));
}

static fer_status store_get(fer_context *context, store **out_store) {
    fer_status status = FER_OK;
    pthread_mutex_lock(&context->lock);
    if (context->weights == NULL) {
        store *s = feri_alloc(&context->env, sizeof(*s));
        if (s == NULL) {
            status = fer_error_last()->status;
        } else {
            pthread_mutex_init(&s->lock, NULL);
            context->weights_destroy = store_destroy;
            context->weights = s;
        }
    }
    *out_store = context->weights;
    pthread_mutex_unlock(&context->lock);
    return status;
}

static uint32_t
bucket_of(const feri_session *session, const fer_tensor *constant, const char *layout) {
    uintptr_t key[3] = {
        (uintptr_t)session, (uintptr_t)constant->buffer, (uintptr_t)constant->offset};
    return (uint32_t)(feri_hash(layout, strlen(layout), feri_hash(key, sizeof(key), 0)) % BUCKETS);
}

static void weight_free(feri_env *env, feri_weight *weight) {
    feri_buffer_release(weight->buffer);
    fer_tensor_release(weight->constant);
    feri_free(env, weight, sizeof(*weight));
}

void feri_weight_release(feri_weight *weight) {
    if (weight == NULL) {
        return;
    }
    fer_context *context = weight->session->device->context;
    store *s = context->weights;
    pthread_mutex_lock(&s->lock);
    int is_last = --weight->refs == 0;
    if (is_last) {
        feri_weight **link = &s->buckets[weight->bucket];
        while (*link != weight) {
            link = &(*link)->next;
        }
        *link = weight->next;
    }
    pthread_mutex_unlock(&s->lock);
    if (is_last) {
        weight_free(&context->env, weight);
    }
}

void feri_weight_drop_source(feri_weight *weight) {
    if (weight == NULL) {
        return;
    }
    store *s = weight->session->device->context->weights;
    pthread_mutex_lock(&s->lock);
    fer_tensor *constant = weight->constant;
    weight->constant = NULL;
    weight->source = NULL;
    pthread_mutex_unlock(&s->lock);
    fer_tensor_release(constant);
}

uint64_t feri_weight_bytes(const feri_weight *weight) {
    return weight == NULL ? 0 : weight->buffer->bytes;
}

static fer_status weight_fill(feri_weight *weight,
                              void *exec,
                              uint32_t index,
                              const fer_weight_layout *layout,
                              fer_tensor *constant) {
    feri_session *session = weight->session;
    const fer_backend_compiler *compiler = &session->device->backend->compiler;
    uint64_t bytes = layout->name[0] == 0 ? fer_tensor_bytes(constant) : layout->bytes;
    FER_TRY(feri_device_buffer(session, bytes, FER_MEM_DEVICE, &weight->buffer));
    fer_mem to = feri_buffer_mem(weight->buffer, 0, bytes);
    fer_mem from = {NULL, 0, fer_tensor_bytes(constant), fer_tensor_data(constant)};
    if (layout->name[0] == 0) {
        return feri_mem_copy(session, &to, NULL, &from, bytes);
    }
    return feri_session_status(session,
                               compiler->weight_prepare(session->handle, exec, index, &from, &to));
}

static fer_status weight_make(feri_session *session,
                              void *exec,
                              uint32_t index,
                              const fer_weight_layout *layout,
                              fer_tensor *constant,
                              feri_weight **out_weight) {
    feri_env *env = &session->device->context->env;
    feri_weight *weight = feri_alloc(env, sizeof(*weight));
    if (weight == NULL) {
        return feri_error_status();
    }
    weight->refs = 1;
    weight->session = session;
    weight->source = constant->buffer;
    weight->offset = constant->offset;
    weight->source_bytes = constant->bytes;
    weight->constant = fer_tensor_retain(constant);
    memcpy(weight->layout, layout->name, sizeof(weight->layout));
    fer_status status = weight_fill(weight, exec, index, layout, constant);
    if (status != FER_OK) {
        weight_free(env, weight);
        return status;
    }
    *out_weight = weight;
    return FER_OK;
}

fer_status feri_weight_get(feri_session *session,
                           void *exec,
                           uint32_t index,
                           fer_tensor *constant,
                           fer_mem *out_mem,
                           feri_weight **out_weight) {
    fer_device *device = session->device;
    fer_weight_layout layout = {.struct_size = sizeof(layout)};
    FER_TRY(feri_session_status(
        session, device->backend->compiler.weight_layout(session->handle, exec, index, &layout)));
    layout.name[sizeof(layout.name) - 1] = 0;
    uint64_t bytes = fer_tensor_bytes(constant);
    uint32_t alignment = layout.alignment != 0 ? layout.alignment : device->info.const_alignment;
    void *data = fer_tensor_data(constant);
    *out_weight = NULL;
    if (layout.name[0] == 0 && feri_device_is_host(device) &&
        (alignment <= 1 || (uintptr_t)data % alignment == 0)) {
        *out_mem = (fer_mem){NULL, 0, bytes, data};
        return FER_OK;
    }
    store *s = NULL;
    FER_TRY(store_get(device->context, &s));
    fer_status status = FER_OK;
    pthread_mutex_lock(&s->lock);
    uint32_t index_of = bucket_of(session, constant, layout.name);
    feri_weight **bucket = &s->buckets[index_of];
    feri_weight *weight = *bucket;
    while (weight != NULL &&
           !(weight->session == session && weight->source == constant->buffer &&
             weight->offset == constant->offset && strcmp(weight->layout, layout.name) == 0 &&
             weight->source_bytes == bytes)) {
        weight = weight->next;
    }
    if (weight != NULL) {
        weight->refs++;
    } else {
        /* Prepared under the lock: two programs that want the same weight wait for one copy instead
         * of making two. */
        status = weight_make(session, exec, index, &layout, constant, &weight);
        if (status == FER_OK) {
            weight->bucket = index_of;
            weight->next = *bucket;
            *bucket = weight;
        }
    }
    pthread_mutex_unlock(&s->lock);
    FER_TRY(status);
    *out_mem = feri_buffer_mem(weight->buffer, 0, weight->buffer->bytes);
    *out_weight = weight;
    return FER_OK;
}
