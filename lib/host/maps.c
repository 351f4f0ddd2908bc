/* SPDX-License-Identifier: Apache-2.0
 *
 * ZipMap, CastMap and DictVectorizer: between tensors and maps. A map is two vectors of equal
 * length, keys (i64 or str) and values. Shapes where the schema says nothing are ONNX Runtime's.
 */
#include "host/number_text.h"
#include "host/string_ops.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

#include <string.h>

/* ---- ZipMap ---- */

/* The class labels as a vector. */
static fer_status make_keys(feri_host_call *call, fer_tensor **out_keys) {
    const feri_gnode *node = call->node;
    const fer_attr *texts = feri_attr_find(node->attrs, node->attr_count, "classlabels_strings");
    const fer_attr *numbers = feri_attr_find(node->attrs, node->attr_count, "classlabels_int64s");
    uint32_t count = texts ? texts->count : numbers ? numbers->count : 0;
    int64_t dims[1] = {count};
    if (count == 0 || (texts && texts->count && numbers && numbers->count)) {
        return feri_host_fail(
            call, FER_INVALID_MODEL, "it needs classlabels_strings or classlabels_int64s");
    }
    if (!texts) {
        FER_TRY(fer_tensor_create(feri_host_context(call), FER_I64, 1, dims, out_keys));
        memcpy(fer_tensor_data(*out_keys), numbers->value.ints, count * sizeof(int64_t));
        return FER_OK;
    }
    const char **strings = feri_alloc(call->env, feri_mul_sat(count, sizeof(*strings)));
    size_t *lengths = feri_alloc(call->env, feri_mul_sat(count, sizeof(*lengths)));
    fer_status status = strings && lengths ? FER_OK : feri_error_status();
    for (uint32_t i = 0; status == FER_OK && i < count; i++) {
        strings[i] = texts->value.strings[i].data ? texts->value.strings[i].data : "";
        lengths[i] = texts->value.strings[i].length;
    }
    if (status == FER_OK) {
        status =
            fer_tensor_create_strings(feri_host_context(call), 1, dims, strings, lengths, out_keys);
    }
    feri_free(call->env, strings, feri_mul_sat(count, sizeof(*strings)));
    feri_free(call->env, lengths, feri_mul_sat(count, sizeof(*lengths)));
    return status;
}

/* Row number row of x as a map of keys to it. */
static fer_status make_row(
    feri_host_call *call, fer_tensor *keys, const fer_tensor *x, uint64_t row, fer_value **out) {
    uint64_t count = keys->element_count, bytes = feri_dtype_bytes(x->dtype, count);
    fer_tensor *values = NULL;
    FER_TRY(fer_tensor_create(feri_host_context(call), x->dtype, 1, keys->dims, &values));
    const uint8_t *from = fer_tensor_data((fer_tensor *)(uintptr_t)x);
    memcpy(fer_tensor_data(values), from + row * bytes, bytes);
    fer_status status = fer_value_map(feri_host_context(call), keys, values, out);
    fer_tensor_release(values);
    return status;
}

fer_status feri_host_zip_map(feri_host_call *call) {
    fer_tensor *x = NULL, *keys = NULL;
    fer_value *result = NULL;
    FER_TRY(feri_host_tensor(call, 0, &x));
    if (x->dtype != FER_F32 || x->rank < 1 || x->rank > 2) {
        return feri_host_fail(call, FER_INVALID_INPUT, "its input must be f32 of rank 1 or 2");
    }
    FER_TRY(make_keys(call, &keys));
    uint64_t rows = x->rank == 2 ? (uint64_t)x->dims[0] : 1, made = 0;
    uint64_t bytes = feri_mul_sat(rows, sizeof(fer_value *));
    fer_status status = FER_OK;
    if ((uint64_t)x->dims[x->rank - 1] != keys->element_count) {
        status = feri_host_fail(call,
                                FER_INVALID_INPUT,
                                "it has %llu labels for %lld columns",
                                (unsigned long long)keys->element_count,
                                (long long)x->dims[x->rank - 1]);
    }
    fer_value **items = status == FER_OK ? feri_alloc(call->env, bytes) : NULL;
    status = status == FER_OK && !items ? feri_error_status() : status;
    while (status == FER_OK && made < rows) {
        status = made % 1024 ? FER_OK : feri_host_check(call);
        status = status ? status : make_row(call, keys, x, made, &items[made]);
        made += status == FER_OK;
    }
    status = status ? status : fer_value_sequence(feri_host_context(call), items, rows, &result);
    while (made > 0) {
        fer_value_release(items[--made]);
    }
    feri_free(call->env, items, bytes);
    fer_tensor_release(keys);
    if (status == FER_OK) {
        feri_host_give(call, 0, result);
    }
    return status;
}

/* ---- from maps ---- */

typedef struct map {
    fer_tensor *keys, *values;
} map;

static fer_status read_map(const feri_host_call *call, map *out) {
    const fer_value *value = feri_host_operand(call, 0);
    if (!value || value->kind != FER_KIND_MAP) {
        return feri_host_fail(call, FER_INVALID_INPUT, "its input is no map");
    }
    out->keys = value->items[0]->tensor;
    out->values = value->items[1]->tensor;
    return FER_OK;
}

/* Element from of values as element to of out. */
static fer_status
convert(feri_host_call *call, const map *m, uint64_t from, fer_tensor *out, uint64_t to) {
    void *data = fer_tensor_data(out);
    if (m->values->dtype == FER_STRING) {
        const char *text = NULL;
        size_t length = 0;
        FER_TRY(feri_string_at(call, m->values, from, &text, &length));
        return feri_number_parse(out->dtype, text, length, /*saturate=*/1, data, to)
                   ? FER_OK
                   : feri_host_fail(call, FER_INVALID_INPUT, "a value of its map is no number");
    }
    const void *source = fer_tensor_data(m->values);
    if (feri_dtype_class(out->dtype) == FERI_CLASS_FLOAT) {
        double value = feri_dtype_class(m->values->dtype) == FERI_CLASS_FLOAT
                           ? feri_load_f64(m->values->dtype, source, from)
                           : (double)feri_load_i64(m->values->dtype, source, from);
        feri_store_run_f64(out->dtype, data, to, 1, &value, /*saturate=*/1);
        return FER_OK;
    }
    double real = feri_dtype_class(m->values->dtype) == FERI_CLASS_FLOAT
                      ? feri_load_f64(m->values->dtype, source, from)
                      : 0;
    int64_t whole = feri_dtype_class(m->values->dtype) == FERI_CLASS_FLOAT
                        ? (real > -9.2e18 && real < 9.2e18 ? (int64_t)real : 0)
                        : feri_load_i64(m->values->dtype, source, from);
    feri_store_run_i64(out->dtype, data, to, 1, &whole);
    return FER_OK;
}

/* How many keys are below key number index: its place in ascending order. */
static uint64_t rank_of(const map *m, uint64_t index) {
    const uint8_t *keys = fer_tensor_data(m->keys);
    int64_t own = feri_load_i64(FER_I64, keys, index);
    uint64_t below = 0;
    for (uint64_t i = 0; i < m->keys->element_count; i++) {
        below += feri_load_i64(FER_I64, keys, i) < own;
    }
    return below;
}

fer_status feri_host_cast_map(feri_host_call *call) {
    const feri_gnode *node = call->node;
    const char *to = feri_attr_string(node->attrs, node->attr_count, "cast_to", "TO_FLOAT");
    const char *form = feri_attr_string(node->attrs, node->attr_count, "map_form", "DENSE");
    int64_t most = feri_host_attr(call, "max_map", 1);
    int is_sparse = strcmp(form, "SPARSE") == 0;
    fer_tensor *out = NULL;
    map m = {NULL, NULL};
    FER_TRY(read_map(call, &m));
    if (strcmp(to, "TO_STRING") == 0) {
        return feri_host_fail(
            call, FER_UNSUPPORTED, "cast_to TO_STRING is not there; cast the result instead");
    }
    if (m.keys->dtype != FER_I64 || (is_sparse && most < 1)) {
        return feri_host_fail(
            call, FER_INVALID_INPUT, "its keys must be i64, and max_map positive where sparse");
    }
    int64_t dims[2] = {1, is_sparse ? most : (int64_t)m.keys->element_count};
    fer_dtype dtype = strcmp(to, "TO_INT64") == 0 ? FER_I64 : FER_F32;
    FER_TRY(fer_tensor_create(feri_host_context(call), dtype, 2, dims, &out));
    memset(fer_tensor_data(out), 0, feri_dtype_bytes(dtype, out->element_count));
    fer_status status = FER_OK;
    for (uint64_t i = 0; status == FER_OK && i < m.keys->element_count; i++) {
        int64_t key = feri_load_i64(FER_I64, fer_tensor_data(m.keys), i);
        uint64_t place = is_sparse ? (uint64_t)key : rank_of(&m, i);
        status = place < out->element_count
                     ? convert(call, &m, i, out, place)
                     : feri_host_fail(call, FER_INVALID_INPUT, "a key is not below max_map");
        status = status ? status : feri_host_check(call);
    }
    if (status != FER_OK) {
        fer_tensor_release(out);
        return status;
    }
    return feri_host_give_tensor(call, 0, out);
}

/* The place of key number index in the vocabulary; UINT32_MAX when it is not there. */
static fer_status
find_key(feri_host_call *call, const map *m, uint64_t index, const fer_attr *words, uint32_t *out) {
    const char *text = NULL;
    size_t length = 0;
    int is_text = m->keys->dtype == FER_STRING;
    int64_t key = is_text ? 0 : feri_load_i64(FER_I64, fer_tensor_data(m->keys), index);
    if (is_text) {
        FER_TRY(feri_string_at(call, m->keys, index, &text, &length));
    }
    *out = UINT32_MAX;
    for (uint32_t w = 0; w < words->count && *out == UINT32_MAX; w++) {
        const fer_string *word = is_text ? &words->value.strings[w] : NULL;
        int is_it = is_text ? word->length == length && memcmp(word->data, text, length) == 0
                            : words->value.ints[w] == key;
        *out = is_it ? w : *out;
    }
    return FER_OK;
}

static fer_status place_of_key(
    feri_host_call *call, const map *m, uint64_t i, const fer_attr *words, uint32_t *out_place) {
    FER_TRY(find_key(call, m, i, words, out_place));
    FER_TRY(feri_host_check(call));
    return *out_place != UINT32_MAX ? FER_OK
                                    : feri_host_fail(call,
                                                     FER_INVALID_INPUT,
                                                     "a key of its map is not in the vocabulary");
}

/* Words without a value are empty strings. */
static fer_status
vectorize_texts(feri_host_call *call, const map *m, const fer_attr *words, fer_tensor **out) {
    uint64_t bytes = feri_mul_sat((uint64_t)words->count + 1, sizeof(char *));
    const char **texts = feri_alloc(call->env, bytes);
    size_t *lengths = feri_alloc(call->env, bytes);
    int64_t dims[2] = {1, words->count};
    fer_status status = texts && lengths ? FER_OK : feri_error_status();
    for (uint32_t i = 0; status == FER_OK && i < words->count; i++) {
        texts[i] = "";
        lengths[i] = 0;
    }
    for (uint64_t i = 0; status == FER_OK && i < m->keys->element_count; i++) {
        uint32_t place = 0;
        status = place_of_key(call, m, i, words, &place);
        if (status == FER_OK) {
            status = feri_string_at(call, m->values, i, &texts[place], &lengths[place]);
        }
    }
    if (status == FER_OK) {
        status = fer_tensor_create_strings(feri_host_context(call), 2, dims, texts, lengths, out);
    }
    feri_free(call->env, texts, bytes);
    feri_free(call->env, lengths, bytes);
    return status;
}

static fer_status
vectorize_numbers(feri_host_call *call, const map *m, const fer_attr *words, fer_tensor **out) {
    int64_t dims[2] = {1, words->count};
    FER_TRY(fer_tensor_create(feri_host_context(call), m->values->dtype, 2, dims, out));
    memset(fer_tensor_data(*out), 0, feri_dtype_bytes((*out)->dtype, (*out)->element_count));
    fer_status status = FER_OK;
    for (uint64_t i = 0; status == FER_OK && i < m->keys->element_count; i++) {
        uint32_t place = 0;
        status = place_of_key(call, m, i, words, &place);
        status = status ? status : convert(call, m, i, *out, place);
    }
    if (status != FER_OK) {
        fer_tensor_release(*out);
    }
    return status;
}

fer_status feri_host_dict_vectorizer(feri_host_call *call) {
    map m = {NULL, NULL};
    fer_tensor *out = NULL;
    FER_TRY(read_map(call, &m));
    int is_text = m.keys->dtype == FER_STRING;
    const fer_attr *words = feri_attr_find(call->node->attrs,
                                           call->node->attr_count,
                                           is_text ? "string_vocabulary" : "int64_vocabulary");
    if (!words) {
        return feri_host_fail(call, FER_INVALID_INPUT, "it needs a vocabulary of its keys' kind");
    }
    FER_TRY(m.values->dtype == FER_STRING ? vectorize_texts(call, &m, words, &out)
                                          : vectorize_numbers(call, &m, words, &out));
    return feri_host_give_tensor(call, 0, out);
}
