/* SPDX-License-Identifier: Apache-2.0
 *
 * StringConcat and StringSplit. Blanks are ASCII's. Semantics: the ONNX schemas (opset 20); what
 * they leave open follows onnx.reference: an empty string split on a delimiter is one empty piece.
 */
#include "host/string_ops.h"

#include <string.h>

enum { POLL_ELEMENTS = 1 << 16 };

/* ---- StringConcat ---- */

typedef struct joining {
    feri_host_call *call;
    const fer_tensor *a, *b;
    feri_pairing pairs;
    uint64_t bytes; /* of all results */
    char *text;
    const char **strings;
    size_t *lengths;
} joining;

/* Lengths first, so that the bytes are allocated once and held against the limit before. */
static fer_status measure(joining *j) {
    const char *text = NULL;
    size_t x = 0;
    size_t y = 0;
    feri_pairing pairs = j->pairs;
    for (uint64_t i = 0; i < pairs.count; i++) {
        FER_TRY(i % POLL_ELEMENTS ? FER_OK : feri_host_check(j->call));
        FER_TRY(feri_string_at(j->call, j->a, pairs.a_at, &text, &x));
        FER_TRY(feri_string_at(j->call, j->b, pairs.b_at, &text, &y));
        j->lengths[i] = x + y;
        j->bytes = feri_add_sat(j->bytes, feri_add_sat(x, y));
        feri_pairing_next(&pairs);
    }
    uint64_t most = j->call->env->limits.max_tensor_bytes;
    if (j->bytes > most) {
        return feri_host_fail(j->call,
                              FER_LIMIT,
                              "its result would have %llu bytes; max_tensor_bytes is %llu",
                              (unsigned long long)j->bytes,
                              (unsigned long long)most);
    }
    return FER_OK;
}

static void join(joining *j) {
    char *at = j->text;
    for (uint64_t i = 0; i < j->pairs.count; i++) {
        size_t x = 0;
        size_t y = 0;
        const char *first = fer_tensor_string(j->a, j->pairs.a_at, &x);
        const char *second = fer_tensor_string(j->b, j->pairs.b_at, &y);
        j->strings[i] = at;
        memcpy(at, first, x);
        memcpy(at + x, second, y);
        at += x + y;
        feri_pairing_next(&j->pairs);
    }
}

static fer_status concat(joining *j, fer_tensor **out_tensor) {
    feri_env *env = j->call->env;
    uint64_t count = j->pairs.count;
    j->strings = feri_alloc(env, feri_mul_sat(count, sizeof *j->strings));
    j->lengths = feri_alloc(env, feri_mul_sat(count, sizeof *j->lengths));
    if (!j->strings || !j->lengths) {
        return feri_error_status();
    }
    fer_status status = measure(j);
    if (status != FER_OK) {
        j->bytes = 0;
        return status;
    }
    j->text = feri_alloc(env, j->bytes);
    if (!j->text) {
        return feri_error_status();
    }
    join(j);
    return fer_tensor_create_strings(feri_host_context(j->call),
                                     j->pairs.rank,
                                     j->pairs.dims,
                                     j->strings,
                                     j->lengths,
                                     out_tensor);
}

static fer_status string_operand(feri_host_call *call, uint32_t index, fer_tensor **out_tensor) {
    FER_TRY(feri_host_tensor(call, index, out_tensor));
    if ((*out_tensor)->dtype != FER_STRING) {
        return feri_host_fail(call,
                              FER_INVALID_INPUT,
                              "input %u is %s, not str",
                              index,
                              fer_dtype_name((*out_tensor)->dtype));
    }
    return FER_OK;
}

fer_status feri_host_string_concat(feri_host_call *call) {
    joining j = {.call = call};
    fer_tensor *a = NULL;
    fer_tensor *b = NULL;
    fer_tensor *result = NULL;
    FER_TRY(string_operand(call, 0, &a));
    FER_TRY(string_operand(call, 1, &b));
    j.a = a;
    j.b = b;
    FER_TRY(feri_pairing_begin(call, a, b, &j.pairs));
    fer_status status = concat(&j, &result);
    feri_free(call->env, j.text, j.bytes);
    feri_free(call->env, j.strings, feri_mul_sat(j.pairs.count, sizeof *j.strings));
    feri_free(call->env, j.lengths, feri_mul_sat(j.pairs.count, sizeof *j.lengths));
    return status == FER_OK ? feri_host_give_tensor(call, 0, result) : status;
}

/* ---- StringSplit ---- */

typedef struct cutting {
    const char *at;
    const char *end;
    const fer_string *delimiter; /* NULL or empty: blanks */
    uint64_t left;               /* cuts that may still be made */
    int is_done;
} cutting;

static int is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int next_word(cutting *c, const char **out_piece, size_t *out_length) {
    while (c->at < c->end && is_blank(*c->at)) {
        c->at++;
    }
    while (c->at < c->end && is_blank(c->end[-1])) {
        c->end--;
    }
    if (c->at == c->end) {
        return 0;
    }
    const char *piece = c->at;
    while (c->at < c->end && (c->left == 0 || !is_blank(*c->at))) {
        c->at++;
    }
    c->left -= c->left > 0;
    *out_piece = piece;
    *out_length = (size_t)(c->at - piece);
    return 1;
}

static int next_piece(cutting *c, const char **out_piece, size_t *out_length) {
    if (!c->delimiter || c->delimiter->length == 0) {
        return next_word(c, out_piece, out_length);
    }
    if (c->is_done) {
        return 0;
    }
    size_t room = (size_t)(c->end - c->at);
    const char *cut = c->left && room
                          ? memmem(c->at, room, c->delimiter->data, (size_t)c->delimiter->length)
                          : NULL;
    *out_piece = c->at;
    *out_length = (size_t)((cut ? cut : c->end) - c->at);
    c->is_done = !cut;
    c->at = cut ? cut + c->delimiter->length : c->end;
    c->left -= c->left > 0;
    return 1;
}

typedef struct splitting {
    feri_host_call *call;
    fer_tensor *source;
    cutting begin;      /* delimiter and cuts */
    fer_tensor *counts; /* i64, dims of source */
    uint64_t width;     /* most pieces of one string */
    uint64_t cells;     /* of the result */
    const char **strings;
    size_t *lengths;
} splitting;

static fer_status begin_string(const splitting *s, uint64_t index, cutting *out) {
    size_t length = 0;
    *out = s->begin;
    FER_TRY(index % POLL_ELEMENTS ? FER_OK : feri_host_check(s->call));
    FER_TRY(feri_string_at(s->call, s->source, index, &out->at, &length));
    out->end = out->at + length;
    return FER_OK;
}

static fer_status count_pieces(splitting *s) {
    FER_TRY(fer_tensor_create(
        feri_host_context(s->call), FER_I64, s->source->rank, s->source->dims, &s->counts));
    int64_t *counts = fer_tensor_data(s->counts);
    for (uint64_t i = 0; i < s->source->element_count; i++) {
        cutting cut;
        const char *piece = NULL;
        size_t length = 0;
        FER_TRY(begin_string(s, i, &cut));
        while (next_piece(&cut, &piece, &length)) {
            counts[i]++;
        }
        s->width = (uint64_t)counts[i] > s->width ? (uint64_t)counts[i] : s->width;
    }
    return FER_OK;
}

static fer_status cut_strings(splitting *s, fer_tensor **out_tensor) {
    feri_env *env = s->call->env;
    int64_t dims[FER_MAX_RANK + 1];
    uint64_t bytes = 0;
    uint32_t rank = s->source->rank;
    memcpy(dims, s->source->dims, sizeof s->source->dims);
    dims[rank] = (int64_t)s->width;
    FER_TRY(feri_shape_check(env, FER_STRING, rank + 1, dims, &s->cells, &bytes));
    s->strings = feri_alloc(env, feri_mul_sat(s->cells, sizeof *s->strings));
    s->lengths = feri_alloc(env, feri_mul_sat(s->cells, sizeof *s->lengths));
    if (!s->strings || !s->lengths) {
        return feri_error_status();
    }
    for (uint64_t i = 0; i < s->source->element_count; i++) {
        cutting cut;
        FER_TRY(begin_string(s, i, &cut));
        uint64_t at = i * s->width;
        while (next_piece(&cut, &s->strings[at], &s->lengths[at])) {
            if (++at == (i + 1) * s->width) {
                break;
            }
        }
    }
    return fer_tensor_create_strings(
        feri_host_context(s->call), rank + 1, dims, s->strings, s->lengths, out_tensor);
}

static fer_status split(splitting *s) {
    const feri_gnode *node = s->call->node;
    const fer_attr *delimiter = feri_attr_find(node->attrs, node->attr_count, "delimiter");
    int64_t cuts = feri_host_attr(s->call, "maxsplit", -1);
    s->begin.delimiter =
        delimiter && delimiter->type == FER_ATTR_STRING ? &delimiter->value.s : NULL;
    s->begin.left = cuts < 0 ? UINT64_MAX : (uint64_t)cuts;
    FER_TRY(string_operand(s->call, 0, &s->source));
    FER_TRY(count_pieces(s));
    fer_tensor *pieces = NULL;
    FER_TRY(cut_strings(s, &pieces));
    FER_TRY(feri_host_give_tensor(s->call, 0, pieces));
    return feri_host_give_tensor(s->call, 1, fer_tensor_retain(s->counts));
}

fer_status feri_host_string_split(feri_host_call *call) {
    splitting s = {.call = call};
    fer_status status = split(&s);
    fer_tensor_release(s.counts);
    feri_free(call->env, s.strings, feri_mul_sat(s.cells, sizeof *s.strings));
    feri_free(call->env, s.lengths, feri_mul_sat(s.cells, sizeof *s.lengths));
    return status;
}
