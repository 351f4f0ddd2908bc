/* SPDX-License-Identifier: Apache-2.0
 *
 * fer_value: a tensor, a sequence of values, an optional or a map. Values are immutable, so sharing
 * is safe, and nest no deeper than the context's max_nesting, so that releasing one cannot exhaust
 * the stack.
 */
#include "base/error.h"
#include "tensor/tensor.h"

/* A tensor's counts as one item, but lies in no list. */
static uint64_t value_bytes(int32_t kind, uint64_t count) {
    return feri_add_sat(sizeof(fer_value),
                        kind == FER_KIND_TENSOR ? 0 : feri_mul_sat(count, sizeof(fer_value *)));
}

static fer_status value_create(feri_env *env, int32_t kind, uint64_t count, fer_value **out_value) {
    fer_value *value = feri_alloc(env, value_bytes(kind, count));
    if (!value) {
        return feri_error_status();
    }
    atomic_init(&value->refs, 1);
    value->kind = kind;
    value->env = feri_env_retain(env);
    value->items = kind == FER_KIND_TENSOR ? NULL : (fer_value **)(value + 1);
    value->count = count;
    *out_value = value;
    return FER_OK;
}

fer_status feri_value_of_items(fer_context *context,
                               int32_t kind,
                               fer_value *const *items,
                               uint64_t count,
                               fer_value **out_value) {
    if (!context || !out_value || (count && !items)) {
        return feri_null_argument("context, items or out_value");
    }
    feri_env *env = feri_env_of(context);
    uint32_t depth = 1;
    for (uint64_t i = 0; i < count; i++) {
        if (!items[i]) {
            return feri_fail(FER_INVALID_ARGUMENT, "item %llu is NULL", (unsigned long long)i);
        }
        depth = items[i]->depth + 1 > depth ? items[i]->depth + 1 : depth;
    }
    if (depth > env->limits.max_nesting) {
        return feri_fail(
            FER_LIMIT, "values nest deeper than max_nesting, %u", env->limits.max_nesting);
    }
    fer_value *value = NULL;
    FER_TRY(value_create(env, kind, count, &value));
    value->depth = depth;
    for (uint64_t i = 0; i < count; i++) {
        value->items[i] = fer_value_retain(items[i]);
    }
    *out_value = value;
    return FER_OK;
}

fer_status fer_value_from_tensor(fer_tensor *tensor, fer_value **out_value) {
    if (!tensor || !out_value) {
        return feri_null_argument(tensor ? "out_value" : "tensor");
    }
    FER_TRY(value_create(feri_tensor_env(tensor), FER_KIND_TENSOR, 1, out_value));
    (*out_value)->tensor = fer_tensor_retain(tensor);
    return FER_OK;
}

fer_status fer_value_sequence(fer_context *context,
                              fer_value *const *items,
                              uint64_t count,
                              fer_value **out_value) {
    return feri_value_of_items(context, FER_KIND_SEQUENCE, items, count, out_value);
}

fer_status fer_value_optional(fer_context *context, fer_value *item, fer_value **out_value) {
    return feri_value_of_items(context, FER_KIND_OPTIONAL, &item, item ? 1 : 0, out_value);
}

/* A tensor that may be the keys or values of a map. */
static fer_status check_vector(const fer_tensor *tensor, const char *what) {
    if (!tensor || tensor->rank != 1) {
        return feri_fail(FER_INVALID_ARGUMENT, "the %s of a map must be a vector", what);
    }
    return FER_OK;
}

fer_status
fer_value_map(fer_context *context, fer_tensor *keys, fer_tensor *values, fer_value **out_value) {
    fer_value *items[2] = {NULL, NULL};
    FER_TRY(check_vector(keys, "keys"));
    FER_TRY(check_vector(values, "values"));
    if (keys->element_count != values->element_count ||
        (keys->dtype != FER_I64 && keys->dtype != FER_STRING)) {
        return feri_fail(FER_INVALID_ARGUMENT,
                         "a map needs as many keys (i64 or str, not %s) as values",
                         fer_dtype_name(keys->dtype));
    }
    fer_status status = fer_value_from_tensor(keys, &items[0]);
    status = status ? status : fer_value_from_tensor(values, &items[1]);
    status = status ? status : feri_value_of_items(context, FER_KIND_MAP, items, 2, out_value);
    fer_value_release(items[0]);
    fer_value_release(items[1]);
    return status;
}

fer_value *fer_value_retain(fer_value *value) {
    if (value) {
        atomic_fetch_add_explicit(&value->refs, 1, memory_order_relaxed);
    }
    return value;
}

void fer_value_release(fer_value *value) {
    if (!value || atomic_fetch_sub_explicit(&value->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    feri_env *env = value->env;
    fer_tensor_release(value->tensor);
    for (uint64_t i = 0; value->items && i < value->count; i++) {
        fer_value_release(value->items[i]);
    }
    feri_free(env, value, value_bytes(value->kind, value->count));
    feri_env_release(env);
}

int32_t fer_value_kind(const fer_value *value) { return value ? value->kind : 0; }

uint64_t fer_value_count(const fer_value *value) { return value ? value->count : 0; }

fer_value *fer_value_item(const fer_value *value, uint64_t index) {
    return value && value->items && index < value->count ? value->items[index] : NULL;
}

fer_tensor *fer_value_tensor(const fer_value *value) { return value ? value->tensor : NULL; }
