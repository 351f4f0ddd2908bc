/* SPDX-License-Identifier: Apache-2.0
 *
 * LabelEncoder, CategoryMapper and OneHotEncoder: values looked up in a table that attributes give,
 * strings and numbers alike. A number is the key of its 8 bytes as f64 or i64, one NaN and one zero
 * for all. The last of equal keys counts. Semantics: the ai.onnx.ml schemas.
 */
#include "host/string_ops.h"
#include "tensor/dtype.h"

#include <string.h>

enum { POLL_ELEMENTS = 1 << 16 };

/* A list from an attribute or a tensor: strings, or numbers of one of two kinds. */
typedef struct column {
    uint64_t count;
    fer_dtype dtype;          /* FER_STRING, FER_F32, FER_I64 or the tensor's */
    const fer_string *texts;  /* attribute of strings */
    const void *data;         /* numbers */
    const fer_tensor *tensor; /* strings of a tensor */
} column;

typedef struct lookup {
    feri_host_call *call;
    feri_name_map map;
    uint64_t *words; /* keys of numbers, one per entry */
    uint64_t word_count;
} lookup;

static const fer_attr *attr_of(const feri_host_call *call, const char *name) {
    return feri_attr_find(call->node->attrs, call->node->attr_count, name);
}

/* The first attribute of names that is there; 0 when none is. */
static int
read_column(const feri_host_call *call, const char *const *names, uint32_t count, column *out) {
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < count; i++) {
        const fer_attr *attr = attr_of(call, names[i]);
        if (!attr || attr->count == 0) {
            continue;
        }
        out->count = attr->count;
        if (attr->type == FER_ATTR_STRINGS) {
            out->dtype = FER_STRING;
            out->texts = attr->value.strings;
        } else if (attr->type == FER_ATTR_INTS) {
            out->dtype = FER_I64;
            out->data = attr->value.ints;
        } else if (attr->type == FER_ATTR_FLOATS) {
            out->dtype = FER_F32;
            out->data = attr->value.floats;
        } else if (attr->type == FER_ATTR_TENSOR) {
            out->tensor = attr->value.tensor;
            out->dtype = fer_tensor_dtype(out->tensor);
            out->count = fer_tensor_element_count(out->tensor);
            out->data = out->dtype == FER_STRING ? NULL : fer_tensor_data(attr->value.tensor);
        } else {
            continue;
        }
        return 1;
    }
    return 0;
}

static fer_status text_of(
    const feri_host_call *call, const column *c, uint64_t i, const char **out, size_t *out_length) {
    if (c->tensor) {
        return feri_string_at(call, c->tensor, i, out, out_length);
    }
    *out = c->texts[i].data ? c->texts[i].data : "";
    *out_length = c->texts[i].length;
    return FER_OK;
}

/* The 8 bytes that stand for a number. */
static uint64_t word_of(fer_dtype dtype, const void *data, uint64_t i) {
    uint64_t word;
    if (feri_dtype_class(dtype) == FERI_CLASS_FLOAT) {
        double value = feri_load_f64(dtype, data, i);
        value = value != value ? (double)__builtin_nanf("") : value + 0.0;
        memcpy(&word, &value, sizeof(word));
        return word;
    }
    return (uint64_t)feri_load_i64(dtype, data, i);
}

static fer_status lookup_open(lookup *l, feri_host_call *call, const column *keys) {
    l->call = call;
    feri_name_map_init(&l->map, call->env);
    if (keys->count >= UINT32_MAX) {
        return feri_host_fail(call, FER_LIMIT, "it has more than 2^32 keys");
    }
    l->word_count = keys->dtype == FER_STRING ? 0 : keys->count;
    l->words = feri_alloc(call->env, feri_mul_sat(l->word_count, sizeof(*l->words)));
    if (!l->words) {
        return feri_error_status();
    }
    for (uint64_t i = 0; i < keys->count; i++) {
        const char *text = NULL;
        size_t length = sizeof(uint64_t);
        if (keys->dtype == FER_STRING) {
            FER_TRY(text_of(call, keys, i, &text, &length));
        } else {
            l->words[i] = word_of(keys->dtype, keys->data, i);
            text = (const char *)&l->words[i];
        }
        FER_TRY(feri_name_map_set(&l->map, text, length, (uint32_t)i));
    }
    return FER_OK;
}

static void lookup_close(lookup *l) {
    if (l->call) {
        feri_name_map_finish(&l->map);
        feri_free(l->call->env, l->words, feri_mul_sat(l->word_count, sizeof(*l->words)));
    }
}

/* The number of the key that element i of x equals; 0 when there is none. */
static fer_status lookup_find(
    const lookup *l, const fer_tensor *x, uint64_t i, uint32_t *out_number, int *out_found) {
    const char *text = NULL;
    size_t length = sizeof(uint64_t);
    uint64_t word = 0;
    if (i % POLL_ELEMENTS == POLL_ELEMENTS - 1) {
        FER_TRY(feri_host_check(l->call));
    }
    if (x->dtype == FER_STRING) {
        FER_TRY(feri_string_at(l->call, x, i, &text, &length));
    } else {
        word = word_of(x->dtype, fer_tensor_data((fer_tensor *)(uintptr_t)x), i);
        text = (const char *)&word;
    }
    *out_found = feri_name_map_get(&l->map, text, length, out_number);
    return FER_OK;
}

/* Keys must be of x's kind: strings, floats or integers. */
static fer_status check_kind(feri_host_call *call, const column *keys, const fer_tensor *x) {
    int32_t have = feri_dtype_class(x->dtype), want = feri_dtype_class(keys->dtype);
    int is_same = have == want || (have != FERI_CLASS_STRING && want != FERI_CLASS_STRING &&
                                   (have == FERI_CLASS_FLOAT) == (want == FERI_CLASS_FLOAT));
    return is_same ? FER_OK
                   : feri_host_fail(call,
                                    FER_INVALID_INPUT,
                                    "its input is %s, but its keys are %s",
                                    fer_dtype_name(x->dtype),
                                    fer_dtype_name(keys->dtype));
}

/* ---- results ---- */

typedef struct mapping {
    feri_host_call *call;
    const fer_tensor *x;
    column keys, values;
    column fallback; /* one entry */
    lookup found;
} mapping;

static fer_status map_numbers(mapping *m, fer_tensor **out_tensor) {
    fer_dtype dtype = m->values.dtype;
    FER_TRY(
        fer_tensor_create(feri_host_context(m->call), dtype, m->x->rank, m->x->dims, out_tensor));
    uint64_t bytes = feri_dtype_bytes(dtype, 1);
    uint8_t *data = fer_tensor_data(*out_tensor);
    for (uint64_t i = 0; i < m->x->element_count; i++) {
        uint32_t number = 0;
        int is_found = 0;
        FER_TRY(lookup_find(&m->found, m->x, i, &number, &is_found));
        const uint8_t *from = is_found ? m->values.data : m->fallback.data;
        memcpy(data + i * bytes, from + (is_found ? number * bytes : 0), bytes);
    }
    return FER_OK;
}

static fer_status map_strings(mapping *m, fer_tensor **out_tensor) {
    feri_env *env = m->call->env;
    uint64_t count = m->x->element_count;
    const char **texts = feri_alloc(env, feri_mul_sat(count, sizeof(*texts)));
    size_t *lengths = feri_alloc(env, feri_mul_sat(count, sizeof(*lengths)));
    fer_status status = texts && lengths ? FER_OK : feri_error_status();
    for (uint64_t i = 0; status == FER_OK && i < count; i++) {
        uint32_t number = 0;
        int is_found = 0;
        status = lookup_find(&m->found, m->x, i, &number, &is_found);
        const column *from = is_found ? &m->values : &m->fallback;
        status =
            status ? status : text_of(m->call, from, is_found ? number : 0, &texts[i], &lengths[i]);
    }
    if (status == FER_OK) {
        status = fer_tensor_create_strings(
            feri_host_context(m->call), m->x->rank, m->x->dims, texts, lengths, out_tensor);
    }
    feri_free(env, texts, feri_mul_sat(count, sizeof(*texts)));
    feri_free(env, lengths, feri_mul_sat(count, sizeof(*lengths)));
    return status;
}

static fer_status map_run(mapping *m) {
    fer_tensor *source = NULL, *result = NULL;
    FER_TRY(feri_host_tensor(m->call, 0, &source));
    m->x = source;
    FER_TRY(check_kind(m->call, &m->keys, source));
    if (m->keys.count != m->values.count || m->fallback.count != 1 ||
        m->fallback.dtype != m->values.dtype ||
        (m->values.dtype != FER_STRING &&
         feri_dtype_bytes(m->values.dtype, 8) != 8 * feri_dtype_bytes(m->values.dtype, 1))) {
        return feri_host_fail(m->call,
                              FER_INVALID_MODEL,
                              "it has %llu keys and %llu values, and a default of %s for %s",
                              (unsigned long long)m->keys.count,
                              (unsigned long long)m->values.count,
                              fer_dtype_name(m->fallback.dtype),
                              fer_dtype_name(m->values.dtype));
    }
    fer_status status = lookup_open(&m->found, m->call, &m->keys);
    if (status == FER_OK) {
        status = m->values.dtype == FER_STRING ? map_strings(m, &result) : map_numbers(m, &result);
    }
    lookup_close(&m->found);
    if (status != FER_OK) {
        fer_tensor_release(result);
        return status;
    }
    return feri_host_give_tensor(m->call, 0, result);
}

/* The default of values' kind: the attribute, or what the schema says. storage outlives the call.
 */
typedef struct defaults {
    float real;
    int64_t whole;
    double real_wide;
    int16_t whole_narrow;
    int32_t whole_short;
    fer_string text;
} defaults;

static void read_default(const feri_host_call *call, fer_dtype dtype, defaults *d, column *out) {
    const fer_attr *real = attr_of(call, "default_float");
    const fer_attr *whole = attr_of(call, "default_int64"), *text = attr_of(call, "default_string");
    d->real = real ? real->value.f : -0.0f;
    d->real_wide = (double)d->real;
    d->whole = whole ? whole->value.i : -1;
    d->whole_narrow = (int16_t)d->whole;
    d->whole_short = (int32_t)d->whole;
    d->text = text ? text->value.s : (fer_string){"_Unused", 7};
    *out = (column){.count = 1, .dtype = dtype, .texts = &d->text, .data = &d->real};
    out->data = dtype == FER_F64   ? (const void *)&d->real_wide
                : dtype == FER_I64 ? (const void *)&d->whole
                : dtype == FER_I32 ? (const void *)&d->whole_short
                : dtype == FER_I16 ? (const void *)&d->whole_narrow
                                   : (const void *)&d->real;
}

/* The form of ai.onnx.ml 1: classes_strings stand for their positions, in either direction. */
static fer_status map_classes(mapping *m, const fer_tensor *x) {
    static const char *const names[] = {"classes_strings"};
    feri_host_call *call = m->call;
    defaults d;
    column classes;
    (void)read_column(call, names, 1, &classes);
    uint64_t bytes = feri_mul_sat(classes.count, sizeof(int64_t));
    int64_t *positions = feri_alloc(call->env, bytes);
    if (!positions) {
        return feri_error_status();
    }
    for (uint64_t i = 0; i < classes.count; i++) {
        positions[i] = (int64_t)i;
    }
    const column numbers = {.count = classes.count, .dtype = FER_I64, .data = positions};
    m->keys = x->dtype == FER_STRING ? classes : numbers;
    m->values = x->dtype == FER_STRING ? numbers : classes;
    read_default(call, m->values.dtype, &d, &m->fallback);
    fer_status status = map_run(m);
    feri_free(call->env, positions, bytes);
    return status;
}

fer_status feri_host_label_encoder(feri_host_call *call) {
    static const char *const keys[] = {"keys_strings", "keys_int64s", "keys_floats", "keys_tensor"};
    static const char *const values[] = {
        "values_strings", "values_int64s", "values_floats", "values_tensor"};
    static const char *const given[] = {"default_tensor"};
    mapping m = {.call = call};
    defaults d;
    const fer_attr *classes = attr_of(call, "classes_strings");
    if (classes && classes->count > 0) {
        fer_tensor *x = NULL;
        FER_TRY(feri_host_tensor(call, 0, &x));
        return map_classes(&m, x);
    }
    if (!read_column(call, keys, 4, &m.keys) || !read_column(call, values, 4, &m.values)) {
        return feri_host_fail(call, FER_INVALID_MODEL, "it has no keys or no values");
    }
    if (!read_column(call, given, 1, &m.fallback)) {
        read_default(call, m.values.dtype, &d, &m.fallback);
    }
    return map_run(&m);
}

fer_status feri_host_category_mapper(feri_host_call *call) {
    static const char *const texts[] = {"cats_strings"}, *const numbers[] = {"cats_int64s"};
    mapping m = {.call = call};
    defaults d;
    fer_tensor *x = NULL;
    FER_TRY(feri_host_tensor(call, 0, &x));
    int from_text = x->dtype == FER_STRING;
    if (!read_column(call, from_text ? texts : numbers, 1, &m.keys) ||
        !read_column(call, from_text ? numbers : texts, 1, &m.values)) {
        return feri_host_fail(call, FER_INVALID_MODEL, "cats_int64s or cats_strings is missing");
    }
    read_default(call, m.values.dtype, &d, &m.fallback);
    return map_run(&m);
}

/* ---- OneHotEncoder ---- */

static fer_status mark(const lookup *l, const fer_tensor *x, uint64_t categories, float *out) {
    int fills = feri_host_attr(l->call, "zeros", 1) != 0;
    for (uint64_t i = 0; i < x->element_count; i++) {
        uint32_t number = 0;
        int is_found = 0;
        FER_TRY(lookup_find(l, x, i, &number, &is_found));
        if (!is_found && !fills) {
            return feri_host_fail(l->call,
                                  FER_INVALID_INPUT,
                                  "element %llu is no category, and zeros is 0",
                                  (unsigned long long)i);
        }
        if (is_found) {
            out[i * categories + number] = 1;
        }
    }
    return FER_OK;
}

/* Numbers are compared as integers. */
static fer_status as_integers(feri_host_call *call, fer_tensor *x, fer_tensor **out_tensor) {
    if (feri_dtype_class(x->dtype) != FERI_CLASS_FLOAT) {
        *out_tensor = fer_tensor_retain(x);
        return FER_OK;
    }
    FER_TRY(fer_tensor_create(feri_host_context(call), FER_I64, x->rank, x->dims, out_tensor));
    int64_t *data = fer_tensor_data(*out_tensor);
    for (uint64_t i = 0; i < x->element_count; i++) {
        double value = feri_load_f64(x->dtype, fer_tensor_data(x), i);
        data[i] = value > -9.2e18 && value < 9.2e18 ? (int64_t)value : INT64_MIN;
    }
    return FER_OK;
}

fer_status feri_host_one_hot_encoder(feri_host_call *call) {
    static const char *const texts[] = {"cats_strings"}, *const numbers[] = {"cats_int64s"};
    column keys;
    lookup l;
    int64_t dims[FER_MAX_RANK];
    fer_tensor *x = NULL, *whole = NULL, *result = NULL;
    memset(&l, 0, sizeof(l));
    FER_TRY(feri_host_tensor(call, 0, &x));
    if (!read_column(call, x->dtype == FER_STRING ? texts : numbers, 1, &keys) ||
        x->rank >= FER_MAX_RANK) {
        return feri_host_fail(call, FER_INVALID_MODEL, "it has no categories of its input's kind");
    }
    memcpy(dims, x->dims, x->rank * sizeof(*dims));
    dims[x->rank] = (int64_t)keys.count;
    FER_TRY(as_integers(call, x, &whole));
    fer_status status = lookup_open(&l, call, &keys);
    if (status == FER_OK) {
        status = fer_tensor_create(feri_host_context(call), FER_F32, x->rank + 1, dims, &result);
    }
    if (status == FER_OK) {
        memset(fer_tensor_data(result), 0, feri_dtype_bytes(FER_F32, result->element_count));
        status = mark(&l, whole, keys.count, fer_tensor_data(result));
    }
    lookup_close(&l);
    fer_tensor_release(whole);
    if (status != FER_OK) {
        fer_tensor_release(result);
        return status;
    }
    return feri_host_give_tensor(call, 0, result);
}
