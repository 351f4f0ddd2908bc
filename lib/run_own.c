/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of what a run must not hand out as it is: the program, a state or the caller holds it too.
 * Called by run_outputs.c.
 */
#include "base/error.h"
#include "program.h"

/* Somebody else holds the tensor or its memory, and strings never change. */
static int is_shared(fer_tensor *tensor) {
    return tensor->dtype != FER_STRING &&
           (atomic_load_explicit(&tensor->refs, memory_order_acquire) > 1 ||
            atomic_load_explicit(&tensor->buffer->refs, memory_order_acquire) > 1);
}

/* The value itself, or a copy of what others hold of it. */
static fer_status value_own(feri_env *env, fer_value *value, int shared, fer_value **out) {
    shared |= atomic_load_explicit(&value->refs, memory_order_acquire) > 1;
    if (value->tensor != NULL) {
        if (value->tensor->dtype == FER_STRING || (!shared && !is_shared(value->tensor))) {
            *out = fer_value_retain(value);
            return FER_OK;
        }
        fer_tensor *copy = NULL;
        FER_TRY(feri_tensor_clone(env, value->tensor, &copy));
        fer_status status = fer_value_from_tensor(copy, out);
        fer_tensor_release(copy);
        return status;
    }
    uint64_t bytes = value->count * sizeof(fer_value *), done = 0;
    fer_value **items = feri_alloc(env, bytes);
    if (items == NULL) {
        return feri_error_status();
    }
    fer_status status = FER_OK;
    for (; done < value->count && status == FER_OK; done++) {
        status = value_own(env, value->items[done], shared, &items[done]);
    }
    if (status == FER_OK) {
        status = feri_value_of_items((fer_context *)env, value->kind, items, done, out);
    }
    for (uint64_t i = 0; i < done; i++) {
        fer_value_release(items[i]);
    }
    feri_free(env, items, bytes);
    return status;
}

fer_status feri_arg_own(feri_env *env, feri_arg *made) {
    if (made->tensor != NULL && is_shared(made->tensor)) {
        fer_tensor *copy = NULL;
        FER_TRY(feri_tensor_clone(env, made->tensor, &copy));
        fer_tensor_release(made->tensor);
        made->tensor = copy;
    }
    if (made->value != NULL) {
        fer_value *own = NULL;
        FER_TRY(value_own(env, made->value, /*shared=*/0, &own));
        fer_value_release(made->value);
        made->value = own;
    }
    return FER_OK;
}
