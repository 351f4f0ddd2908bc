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

/* What programs must have in common to share a copy; no padding: compared and hashed as bytes. */
typedef struct weight_key {
    feri_session *session; /* kept alive by buffer */
    const feri_buffer *source;
    uint64_t offset;
    uint64_t bytes;
    char layout[64];
} weight_key;

struct feri_weight {
    uint32_t refs;        /* guarded by the store's lock */
    fer_tensor *constant; /* retained, and with it source; NULL: dropped */
    feri_buffer *buffer;
    feri_weight **bucket;
    feri_weight *next;
    weight_key key;
};

/* One call of feri_weight_get. */
typedef struct wanted {
    weight_key key;
    const feri_exec *exec;
    uint32_t index;
    fer_tensor *constant;
    uint64_t layout_bytes;
} wanted;

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

static void weight_free(feri_env *env, feri_weight *weight) {
    feri_buffer_release(weight->buffer);
    fer_tensor_release(weight->constant);
    feri_free(env, weight, sizeof(*weight));
}

void feri_weight_release(feri_weight *weight) {
    if (weight == NULL) {
        return;
    }
    fer_context *context = weight->key.session->device->context;
    store *s = context->weights;
    pthread_mutex_lock(&s->lock);
    int is_last = --weight->refs == 0;
    if (is_last) {
        feri_weight **link = weight->bucket;
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
    store *s = weight->key.session->device->context->weights;
    pthread_mutex_lock(&s->lock);
    fer_tensor *constant = weight->constant;
    weight->constant = NULL;
    pthread_mutex_unlock(&s->lock);
    fer_tensor_release(constant);
}

uint64_t feri_weight_bytes(const feri_weight *weight) {
    return weight == NULL ? 0 : weight->buffer->bytes;
}

static fer_status weight_fill(const wanted *w, feri_buffer **out_buffer) {
    feri_session *session = w->key.session;
    int is_as_it_is = w->key.layout[0] == 0;
    uint64_t bytes = is_as_it_is ? w->key.bytes : w->layout_bytes;
    FER_TRY(feri_device_buffer(session, bytes, FER_MEM_DEVICE, out_buffer));
    fer_mem to = feri_buffer_mem(*out_buffer, 0, bytes);
    fer_mem from = {NULL, 0, w->key.bytes, fer_tensor_data(w->constant)};
    return is_as_it_is
               ? feri_mem_copy(session, &to, NULL, &from, bytes)
               : feri_session_status(session,
                                     session->device->backend->tables.compiler.weight_prepare(
                                         session->handle, w->exec->handle, w->index, &from, &to));
}

static fer_status weight_make(const wanted *w, feri_weight **out_weight) {
    feri_env *env = &w->key.session->device->context->env;
    feri_weight *weight = feri_alloc(env, sizeof(*weight));
    if (weight == NULL) {
        return feri_error_status();
    }
    weight->refs = 1;
    weight->key = w->key;
    weight->constant = fer_tensor_retain(w->constant);
    fer_status status = weight_fill(w, &weight->buffer);
    if (status != FER_OK) {
        weight_free(env, weight);
        return status;
    }
    *out_weight = weight;
    return FER_OK;
}

/* The copy that is there, else a new one. Prepared under the store's lock: two programs that want
 * the same weight wait for one copy instead of making two. */
static fer_status weight_share(store *s, const wanted *w, feri_weight **out_weight) {
    feri_weight **bucket = &s->buckets[feri_hash(&w->key, sizeof(w->key), 0) % BUCKETS];
    for (feri_weight *weight = *bucket; weight != NULL; weight = weight->next) {
        if (weight->constant != NULL && memcmp(&weight->key, &w->key, sizeof(w->key)) == 0) {
            weight->refs++;
            *out_weight = weight;
            return FER_OK;
        }
    }
    FER_TRY(weight_make(w, out_weight));
    (*out_weight)->bucket = bucket;
    (*out_weight)->next = *bucket;
    *bucket = *out_weight;
    return FER_OK;
}

fer_status feri_weight_get(feri_exec *exec, uint32_t index, fer_tensor *constant) {
    feri_session *session = exec->session;
    fer_device *device = session->device;
    fer_mem *mem = &exec->weight_mems[index];
    fer_weight_layout layout = {.struct_size = sizeof(layout)};
    FER_TRY(feri_session_status(session,
                                device->backend->tables.compiler.weight_layout(
                                    session->handle, exec->handle, index, &layout)));
    uint32_t alignment = layout.alignment != 0 ? layout.alignment : device->info.const_alignment;
    mem->host = fer_tensor_data(constant);
    mem->bytes = constant->bytes;
    if (layout.name[0] == 0 && feri_device_is_host(device) &&
        (alignment <= 1 || (uintptr_t)mem->host % alignment == 0)) {
        return FER_OK;
    }
    wanted w = {
        {session, constant->buffer, constant->offset, constant->bytes, {0}},
        exec,
        index,
        constant,
        layout.bytes
    };
    memcpy(w.key.layout, layout.name, strnlen(layout.name, sizeof(w.key.layout) - 1));
    store *s = NULL;
    FER_TRY(store_get(device->context, &s));
    pthread_mutex_lock(&s->lock);
    fer_status status = weight_share(s, &w, &exec->weights[index]);
    pthread_mutex_unlock(&s->lock);
    FER_TRY(status);
    const feri_buffer *buffer = exec->weights[index]->buffer;
    *mem = feri_buffer_mem(buffer, 0, buffer->bytes);
    return FER_OK;
}
