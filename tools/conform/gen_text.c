/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings: StringConcat, StringNormalizer, StringSplit, RegexFullMatch (held against POSIX extended
 * expressions, which mean the same in these patterns) and TfIdfVectorizer. Words are ASCII: case
 * elsewhere is the locale's.
 */
#include "generators.h"

#include <ctype.h>
#include <regex.h>
#include <string.h>

static const char *
string_at(const trial *self, uint32_t input, uint64_t index, size_t *out_length) {
    return fer_tensor_string(self->inputs[input].tensor, index, out_length);
}

/* ---- StringConcat ---- */

static int concat_oracle(const trial *self, const nd *in, nd *out) {
    const nd *operands[] = {&in[0], &in[1]};
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    uint32_t rank;
    if (!dims_broadcast(operands, 2, &rank, dims)) {
        return 0;
    }
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, index)) {
        size_t a = 0, b = 0;
        const char *x = string_at(self, 0, index_broadcast(rank, index, &in[0]), &a),
                   *y = string_at(self, 1, index_broadcast(rank, index, &in[1]), &b);
        char *joined = trial_memory(self, a + b + 1);
        memcpy(joined, x, a);
        memcpy(joined + a, y, b);
        out->v[i] = text_number(joined, a + b);
    }
    return 1;
}

/* ---- StringNormalizer: [C] or [1, C] ---- */

static int fill_normalizer(trial *self) {
    self->inputs[0].words = "Monday:monday:MONDAY:a:x9:The:the:two Words:";
    return (self->rank == 1 || (self->rank == 2 && self->dims[0] == 1)) &&
           dims_count(self->rank, self->dims) > 0;
}

static char *cased(const trial *self, const char *text, size_t length, int how) {
    char *out = trial_memory(self, length + 1);
    for (size_t i = 0; i < length; i++) {
        out[i] = (char)(how == 'L'   ? tolower((unsigned char)text[i])
                        : how == 'U' ? toupper((unsigned char)text[i])
                                     : text[i]);
    }
    return out;
}

static int is_stopped(const trial *self, const char *text, size_t length) {
    const char *list = arg_text(self, "stopwords");
    int how = arg_int(self, "is_case_sensitive", 0) != 0 ? 'N' : 'L';
    for (uint32_t i = 0; list != NULL && i < text_pieces(list); i++) {
        const char *piece = text_piece(self, list, i);
        if (strcmp(cased(self, piece, strlen(piece), how), cased(self, text, length, how)) == 0) {
            return 1;
        }
    }
    return 0;
}

static int normalizer_oracle(const trial *self, const nd *in, nd *out) {
    const char *change = arg_text(self, "case_change_action");
    int64_t dims[] = {1, 0};
    long double *kept = trial_memory(self, (in->count + 1) * sizeof *kept);
    for (uint64_t i = 0; i < in->count; i++) {
        size_t length = 0;
        const char *text = string_at(self, 0, i, &length);
        if (!is_stopped(self, text, length)) {
            kept[dims[1]++] =
                text_number(cased(self, text, length, change != NULL ? change[0] : 'N'), length);
        }
    }
    if (dims[1] == 0) { /* nothing is left: one empty string */
        kept[dims[1]++] = text_number("", 0);
    }
    nd_make(self, out, in->rank, dims + (in->rank == 1));
    memcpy(out->v, kept, out->count * sizeof *kept);
    return 1;
}

/* ---- StringSplit ---- */

static int fill_split(trial *self) {
    self->inputs[0].words = arg_text(self, "delimiter") != NULL
                                ? "axbxc:xx:x:abxabxab:one:xleft:rightx:a;b;;c:;"
                                : "one:two words: lead:trail :a  b   c:\t tab\tbed:x";
    return 1;
}

/* Pieces of text; numbers may be NULL. */
static uint64_t split(const trial *self, const char *text, size_t length, long double *numbers) {
    const char *by = arg_text(self, "delimiter");
    int64_t most = arg_int(self, "maxsplit", -1);
    uint64_t count = 0;
    size_t at = 0, width = by != NULL ? strlen(by) : 0;
    while (1) {
        while (by == NULL && at < length && isspace((unsigned char)text[at])) {
            at++;
        }
        if (by == NULL && at == length) {
            return count;
        }
        size_t end = at;
        int is_last = most >= 0 && (int64_t)count == most;
        while (end < length &&
               (is_last ||
                !(by == NULL ? isspace((unsigned char)text[end])
                             : end + width <= length && memcmp(text + end, by, width) == 0))) {
            end++;
        }
        size_t stop = end;
        while (by == NULL && is_last && stop > at && isspace((unsigned char)text[stop - 1])) {
            stop--; /* blanks at the end belong to nobody */
        }
        if (numbers != NULL) {
            numbers[count] = text_number(text + at, stop - at);
        }
        count++;
        if (end == length) {
            return count;
        }
        at = end + (by == NULL ? 1 : width);
    }
}

static int split_oracle(const trial *self, const nd *in, nd *out) {
    int64_t dims[FER_MAX_RANK], most = 0;
    nd_like(self, &out[1], in);
    out[1].dtype = FER_I64;
    for (uint64_t i = 0; i < in->count; i++) {
        size_t length = 0;
        const char *text = string_at(self, 0, i, &length);
        out[1].v[i] = (long double)split(self, text, length, NULL);
        most = (int64_t)out[1].v[i] > most ? (int64_t)out[1].v[i] : most;
    }
    memcpy(dims, in->dims, in->rank * sizeof *dims);
    dims[in->rank] = most;
    nd_make(self, out, in->rank + 1, dims);
    for (uint64_t i = 0; i < out->count; i++) {
        out->v[i] = text_number("", 0);
    }
    for (uint64_t i = 0; i < in->count; i++) {
        size_t length = 0;
        const char *text = string_at(self, 0, i, &length);
        (void)split(self, text, length, out->v + i * (uint64_t)most);
    }
    return 1;
}

/* ---- RegexFullMatch ---- */

static int fill_match(trial *self) {
    self->inputs[0].words = "a:aa:ab:abab:abc:cab:2026-11:x1:Zeta:a.b:b:";
    return 1;
}

static int match_oracle(const trial *self, const nd *in, nd *out) {
    char pattern[CASE_LIST * 2 + 8] = "^(";
    regex_t compiled;
    strncat(pattern, arg_text(self, "pattern"), CASE_LIST * 2);
    strcat(pattern, ")$");
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return 0;
    }
    nd_like(self, out, in);
    out->dtype = FER_BOOL;
    for (uint64_t i = 0; i < in->count; i++) {
        size_t length = 0;
        const char *text = string_at(self, 0, i, &length);
        out->v[i] = regexec(&compiled, cased(self, text, length, 'N'), 0, NULL, 0) == 0;
    }
    regfree(&compiled);
    return 1;
}

/* ---- TfIdfVectorizer: a pool of four single words and three pairs, or with pool=3 a triple more
 * ---- */

static int fill_grams(trial *self) {
    if ((self->rank != 1 && self->rank != 2) ||
        (self->dtype == FER_STRING) != (arg_text(self, "pool_strings") != NULL)) {
        return 0;
    }
    if (self->dtype == FER_STRING) {
        self->inputs[0].words = "a:b:c:d:e:f";
    } else {
        input_range(self, 0, 1, 8);
    }
    return 1;
}

static uint64_t found(const nd *in,
                      uint64_t row,
                      uint64_t length,
                      const long double *gram,
                      uint64_t n,
                      uint64_t skip) {
    uint64_t count = 0;
    for (uint64_t first = 0; length > 0 && first + (n - 1) * (skip + 1) < length; first++) {
        uint64_t k = 0;
        while (k < n && in->v[row * length + first + k * (skip + 1)] == gram[k]) {
            k++;
        }
        count += k == n;
    }
    return count;
}

static int grams_oracle(const trial *self, const nd *in, nd *out) {
    int64_t counts[8], indexes[CASE_LIST], dims[2];
    long double pool[CASE_LIST];
    const char *words = arg_text(self, "pool_strings"), *mode = arg_text(self, "mode");
    uint32_t lengths = arg_ints(self, "ngram_counts", counts, 8),
             grams = arg_ints(self, "ngram_indexes", indexes, CASE_LIST);
    uint32_t size = words != NULL ? text_pieces(words) : 0;
    double numbers[CASE_LIST], weights[CASE_LIST];
    for (uint32_t i = 0; i < size; i++) {
        const char *piece = text_piece(self, words, i);
        pool[i] = text_number(piece, strlen(piece));
    }
    if (words == NULL) {
        size = arg_list(self, "pool_int64s", numbers, CASE_LIST);
        for (uint32_t i = 0; i < size; i++) {
            pool[i] = (long double)numbers[i];
        }
    }
    uint32_t weighted = arg_list(self, "weights", weights, CASE_LIST);
    int64_t most = 0;
    for (uint32_t i = 0; i < grams; i++) {
        most = indexes[i] >= most ? indexes[i] + 1 : most;
    }
    dims[0] = in->rank == 2 ? in->dims[0] : most;
    dims[1] = most;
    nd_make(self, out, in->rank, dims);
    out->dtype = FER_F32;
    uint64_t rows = in->rank == 2 ? (uint64_t)in->dims[0] : 1,
             length = (uint64_t)in->dims[in->rank - 1];
    for (uint64_t row = 0; row < rows; row++) {
        uint32_t gram = 0;
        for (uint32_t n = 1; n <= lengths; n++) {
            uint32_t end = n < lengths ? (uint32_t)counts[n] : size;
            for (uint32_t at = (uint32_t)counts[n - 1]; at < end; at += n, gram++) {
                uint64_t count = 0;
                int64_t skips = n == 1 ? 0 : arg_int(self, "max_skip_count", 0);
                for (int64_t skip = 0; skip <= skips && n >= arg_int(self, "min_gram_length", 1) &&
                                       n <= arg_int(self, "max_gram_length", 1);
                     skip++) {
                    count += found(in, row, length, pool + at, n, (uint64_t)skip);
                }
                long double weight = weighted > 0 ? (long double)(float)weights[indexes[gram]]
                                                  : 1; /* of the coordinate */
                out->v[row * (uint64_t)most + (uint64_t)indexes[gram]] =
                    mode[0] == 'I'    ? (count > 0 ? weight : 0)
                    : mode[2] == '\0' ? (long double)count
                                      : weight * (long double)count;
            }
        }
    }
    return 1;
}

/* clang-format off */
#define LINES "scalar odd prime vector one empty high"
#define POOL "ngram_counts=0:4,ngram_indexes=0:1:2:3:4:5:6,pool_int64s=2:3:5:4:5:6:7:8:6:7"
#define MIXED "ngram_counts=0:4,ngram_indexes=6:0:3:1:5:2:4,pool_int64s=2:3:5:4:5:6:7:8:6:7"
#define THREE "ngram_counts=0:2:6,ngram_indexes=0:1:2:3:4:5,pool_int64s=1:2:3:4:1:1:1:2:3:4:4:4"
#define WORDS "ngram_counts=0:3,ngram_indexes=0:1:2:3:4,pool_strings=a:b:c:a:b:c:d"
#define GRAMS(pool) pool ",mode=TF,min_gram_length=1,max_gram_length=1,max_skip_count=0 " pool ",mode=TF,min_gram_length=2,max_gram_length=2,max_skip_count=0 " pool ",mode=TF,min_gram_length=1,max_gram_length=2,max_skip_count=1 " \
    pool ",mode=IDF,min_gram_length=1,max_gram_length=2,max_skip_count=3 " pool ",mode=TFIDF,min_gram_length=2,max_gram_length=2,max_skip_count=5 "
#define WEIGHTED(pool, weights) pool ",mode=TFIDF,min_gram_length=1,max_gram_length=2,max_skip_count=1," weights " " pool ",mode=IDF,min_gram_length=1,max_gram_length=2,max_skip_count=0," weights " "
static const case_row rows[] = {
    {"StringConcat", NULL, LINES, "- bcast=a bcast=b bcast=row bcast=column bcast=scalar", "ints", fill_broadcast, concat_oracle, ROW_ZEROS},
    {"StringNormalizer", NULL, "vector 1x13 1 1x1 9", "- case_change_action=LOWER case_change_action=UPPER case_change_action=NONE,stopwords=monday case_change_action=LOWER,stopwords=monday:the "
     "case_change_action=UPPER,stopwords=MONDAY:x9,is_case_sensitive=1 stopwords=monday:a,is_case_sensitive=1 stopwords=the:MONDAY:a:x9 stopwords=Monday:monday:MONDAY:a:x9:The:the,is_case_sensitive=0", "ints numbers", fill_normalizer,
     normalizer_oracle, ROW_ZEROS},
    {"StringSplit", NULL, LINES, "- maxsplit=1 maxsplit=2 delimiter=x delimiter=x,maxsplit=1 delimiter=ab delimiter=; delimiter=;,maxsplit=2 delimiter=nowhere delimiter=x,maxsplit=0", "ints numbers", fill_split, split_oracle, ROW_ZEROS},
    {"RegexFullMatch", NULL, LINES, "pattern=a pattern=a+ pattern=(ab)* pattern=[a-c]+ pattern=[^a]*b? pattern=.* pattern=a|b|x1 pattern=[0-9]{4}-[0-9]{2} pattern=a.b pattern=a[.]b pattern=(a|ab)(c|b)? pattern=[A-Z][a-z]+ pattern=a{2}",
     "ints", fill_match, match_oracle, ROW_ZEROS},
    {"TfIdfVectorizer", "i32|i64", "13 1 4x9 3x1 13x17 37", GRAMS(POOL) GRAMS(MIXED) WEIGHTED(POOL, "weights=1:2:0.5:3:-1:4:0.25") WEIGHTED(MIXED, "weights=1:2:0.5:3:-1:4:0.25") THREE
     ",mode=TF,min_gram_length=1,max_gram_length=3,max_skip_count=0 " THREE ",mode=TF,min_gram_length=2,max_gram_length=3,max_skip_count=2", "ints", fill_grams, grams_oracle, ROW_ZEROS},
    {"TfIdfVectorizer", "str", "13 1 4x9 3x1 13x17 37", GRAMS(WORDS) WEIGHTED(WORDS, "weights=1:2:0.5:3:-1"), "ints", fill_grams, grams_oracle, ROW_ZEROS},
};
/* clang-format on */

const case_family cases_text = {"text", rows, sizeof rows / sizeof *rows};
