/* SPDX-License-Identifier: Apache-2.0
 *
 * TfIdfVectorizer. Tokens (strings or integers) of the pool are numbered; an n-gram is the run of
 * its tokens' numbers, looked up as bytes. Semantics: the ONNX schema (opset 9); weights belong to
 * output coordinates, as in onnx.reference and ONNX Runtime.
 */
#include "host/string_ops.h"
#include "tensor/dtype.h"

#include <string.h>

enum { POLL_GRAMS = 1 << 14 };
#define NO_TOKEN UINT32_MAX

typedef struct ngrams {
    feri_host_call *call;
    const fer_attr *pool, *counts, *indexes, *weights;
    fer_tensor *x;
    uint64_t rows, columns, width; /* of X, of a result row */
    int64_t least, most, skips;
    feri_name_map tokens; /* token -> number */
    feri_name_map grams;  /* numbers -> 1 + place of the n-gram in indexes */
    uint32_t *pool_ids;   /* per entry of the pool */
    uint32_t *row_ids;    /* of one row */
    uint32_t *run;        /* one n-gram */
    uint64_t since_check;
} ngrams;

static fer_status read_attrs(ngrams *g) {
    const feri_gnode *node = g->call->node;
    const fer_attr *attrs = node->attrs;
    uint32_t count = node->attr_count;
    const fer_attr *texts = feri_attr_find(attrs, count, "pool_strings");
    const fer_attr *numbers = feri_attr_find(attrs, count, "pool_int64s");
    int is_text = g->x->dtype == FER_STRING;
    g->pool = is_text ? texts : numbers;
    g->counts = feri_attr_find(attrs, count, "ngram_counts");
    g->indexes = feri_attr_find(attrs, count, "ngram_indexes");
    g->weights = feri_attr_find(attrs, count, "weights");
    g->least = feri_host_attr(g->call, "min_gram_length", 1);
    g->most = feri_host_attr(g->call, "max_gram_length", 1);
    g->skips = feri_host_attr(g->call, "max_skip_count", 0);
    if (!g->pool || !g->counts || !g->indexes || g->indexes->count == 0 || g->least < 1 ||
        g->most < g->least || g->skips < 0) {
        return feri_host_fail(g->call,
                              FER_INVALID_MODEL,
                              "it needs a pool of its input's kind, ngram_counts, ngram_indexes, "
                              "1 <= min_gram_length <= max_gram_length and max_skip_count >= 0");
    }
    g->most = g->most < (int64_t)g->counts->count ? g->most : (int64_t)g->counts->count;
    for (uint32_t i = 0; i < g->indexes->count; i++) {
        int64_t index = g->indexes->value.ints[i];
        if (index < 0 || index >= INT32_MAX) {
            return feri_host_fail(
                g->call, FER_INVALID_MODEL, "ngram_indexes has %lld", (long long)index);
        }
        g->width = (uint64_t)index >= g->width ? (uint64_t)index + 1 : g->width;
    }
    if (g->weights && g->weights->count < g->width) {
        return feri_host_fail(g->call, FER_INVALID_MODEL, "it has too few weights");
    }
    return FER_OK;
}

/* Numbers every token of the pool. */
static fer_status number_pool(ngrams *g) {
    uint32_t next = 0;
    for (uint32_t i = 0; i < g->pool->count; i++) {
        int is_text = g->pool->type == FER_ATTR_STRINGS;
        const char *key =
            is_text ? g->pool->value.strings[i].data : (const char *)&g->pool->value.ints[i];
        uint64_t length = is_text ? g->pool->value.strings[i].length : sizeof(int64_t);
        if (!feri_name_map_get(&g->tokens, key ? key : "", length, &g->pool_ids[i])) {
            g->pool_ids[i] = next;
            FER_TRY(feri_name_map_set(&g->tokens, key ? key : "", length, next++));
        }
    }
    return FER_OK;
}

/* Every n-gram of the lengths asked for; n-grams are numbered over all lengths. */
static fer_status number_grams(ngrams *g) {
    int64_t place = 0;
    for (uint32_t s = 0; s < g->counts->count; s++) {
        int64_t size = (int64_t)s + 1, from = g->counts->value.ints[s];
        int64_t to = s + 1 < g->counts->count ? g->counts->value.ints[s + 1] : g->pool->count;
        if (from < 0 || to < from || to > (int64_t)g->pool->count) {
            return feri_host_fail(
                g->call, FER_INVALID_MODEL, "ngram_counts does not ascend inside the pool");
        }
        for (; from + size <= to; from += size, place++) {
            if (size < g->least || size > g->most) {
                continue;
            }
            if (place >= (int64_t)g->indexes->count) {
                return feri_host_fail(
                    g->call, FER_INVALID_MODEL, "the pool has more n-grams than ngram_indexes");
            }
            FER_TRY(feri_name_map_set(&g->grams,
                                      (const char *)(g->pool_ids + from),
                                      (uint64_t)size * sizeof(uint32_t),
                                      (uint32_t)place));
        }
    }
    return FER_OK;
}

static fer_status number_row(ngrams *g, uint64_t row) {
    for (uint64_t i = 0; i < g->columns; i++) {
        uint64_t at = row * g->columns + i;
        const char *key = NULL;
        size_t length = sizeof(int64_t);
        int64_t word = 0;
        if (g->x->dtype == FER_STRING) {
            FER_TRY(feri_string_at(g->call, g->x, at, &key, &length));
        } else {
            word = feri_load_i64(g->x->dtype, fer_tensor_data(g->x), at);
            key = (const char *)&word;
        }
        if (!feri_name_map_get(&g->tokens, key, length, &g->row_ids[i])) {
            g->row_ids[i] = NO_TOKEN;
        }
    }
    return FER_OK;
}

/* All n-grams that start at a token, distance apart, of at least so many tokens. */
static fer_status
count_from(ngrams *g, uint64_t start, uint64_t distance, int64_t least, float *out_row) {
    for (int64_t size = 1; size <= g->most; size++) {
        uint64_t at = start + (uint64_t)(size - 1) * distance;
        uint32_t place = 0;
        if (at >= g->columns || g->row_ids[at] == NO_TOKEN) {
            return FER_OK;
        }
        g->run[size - 1] = g->row_ids[at];
        if (size >= least &&
            feri_name_map_get(
                &g->grams, (const char *)g->run, (uint64_t)size * sizeof(uint32_t), &place)) {
            out_row[g->indexes->value.ints[place]] += 1;
        }
        if (++g->since_check >= POLL_GRAMS) {
            g->since_check = 0;
            FER_TRY(feri_host_check(g->call));
        }
    }
    return FER_OK;
}

static fer_status count_row(ngrams *g, float *out_row) {
    int64_t least = g->least;
    uint64_t farthest = (uint64_t)g->skips < g->columns ? (uint64_t)g->skips : g->columns;
    for (uint64_t distance = 1; distance <= farthest + 1; distance++) {
        for (uint64_t start = 0; start < g->columns; start++) {
            uint64_t reach = feri_mul_sat(distance, (uint64_t)(least - 1));
            if (reach >= g->columns - start) {
                break;
            }
            FER_TRY(count_from(g, start, distance, least, out_row));
        }
        if (least == 1 && ++least > g->most) { /* skips do not change single tokens */
            break;
        }
    }
    return FER_OK;
}

static void weigh(const ngrams *g, float *out_row) {
    const char *mode =
        feri_attr_string(g->call->node->attrs, g->call->node->attr_count, "mode", "TF");
    int is_plain = strcmp(mode, "TF") == 0, is_idf = strcmp(mode, "IDF") == 0;
    for (uint64_t i = 0; !is_plain && i < g->width; i++) {
        float weight = g->weights ? g->weights->value.floats[i] : 1;
        out_row[i] = is_idf ? (out_row[i] > 0 ? weight : 0) : out_row[i] * weight;
    }
}

static fer_status reserve(ngrams *g) {
    feri_env *env = g->call->env;
    g->pool_ids = feri_alloc(env, feri_mul_sat(g->pool->count, sizeof(uint32_t)));
    g->row_ids = feri_alloc(env, feri_mul_sat(g->columns, sizeof(uint32_t)));
    g->run = feri_alloc(env, feri_mul_sat((uint64_t)g->most, sizeof(uint32_t)));
    return g->pool_ids && g->row_ids && g->run ? FER_OK : feri_error_status();
}

static fer_status vectorize(ngrams *g, fer_tensor **out_tensor) {
    int64_t dims[2] = {(int64_t)g->rows, (int64_t)g->width};
    uint32_t rank = g->x->rank == 2 ? 2 : 1;
    FER_TRY(reserve(g));
    FER_TRY(number_pool(g));
    FER_TRY(number_grams(g));
    FER_TRY(fer_tensor_create(
        feri_host_context(g->call), FER_F32, rank, dims + (2 - rank), out_tensor));
    float *rows = fer_tensor_data(*out_tensor);
    memset(rows, 0, feri_dtype_bytes(FER_F32, (*out_tensor)->element_count));
    for (uint64_t r = 0; r < g->rows; r++) {
        FER_TRY(number_row(g, r));
        FER_TRY(count_row(g, rows + r * g->width));
        weigh(g, rows + r * g->width);
        FER_TRY(feri_host_check(g->call));
    }
    return FER_OK;
}

fer_status feri_host_tfidf(feri_host_call *call) {
    ngrams g = {.call = call};
    fer_tensor *result = NULL;
    FER_TRY(feri_host_tensor(call, 0, &g.x));
    if (g.x->rank > 2) {
        return feri_host_fail(call, FER_INVALID_INPUT, "its input has rank %u", g.x->rank);
    }
    g.rows = g.x->rank == 2 ? (uint64_t)g.x->dims[0] : 1;
    g.columns = g.x->rank == 0 ? 1 : (uint64_t)g.x->dims[g.x->rank - 1];
    FER_TRY(read_attrs(&g));
    feri_name_map_init(&g.tokens, call->env);
    feri_name_map_init(&g.grams, call->env);
    fer_status status = vectorize(&g, &result);
    feri_name_map_finish(&g.tokens);
    feri_name_map_finish(&g.grams);
    feri_free(call->env, g.pool_ids, feri_mul_sat(g.pool->count, sizeof(uint32_t)));
    feri_free(call->env, g.row_ids, feri_mul_sat(g.columns, sizeof(uint32_t)));
    feri_free(call->env, g.run, feri_mul_sat((uint64_t)g.most, sizeof(uint32_t)));
    if (status != FER_OK) {
        fer_tensor_release(result);
        return status;
    }
    return feri_host_give_tensor(call, 0, result);
}
