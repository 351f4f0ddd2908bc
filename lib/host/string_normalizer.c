/* SPDX-License-Identifier: Apache-2.0
 *
 * StringNormalizer: drops stop words, changes the case of what is left. Case is that of the Latin,
 * Greek and Cyrillic letters whose two cases have one UTF-8 length, in every locale alike; other
 * bytes stay. Semantics: the ONNX schema (opset 10).
 */
#include "host/string_ops.h"

#include <string.h>

enum { KEEP, LOWER, UPPER, POLL_ELEMENTS = 1 << 16 };

/* A letter of two UTF-8 bytes in the other case, or itself. */
static uint32_t change_letter(uint32_t letter, int is_upper) {
    static const struct {
        uint16_t first, last; /* capitals */
        uint8_t step;         /* to the small letter; 1: capitals are the even ones, 2: the odd */
    } ranges[] = {
        {0x00c0, 0x00d6, 32},
        {0x00d8, 0x00de, 32},
        {0x0100, 0x012e, 1 },
        {0x0132, 0x0136, 1 },
        {0x0139, 0x0147, 2 },
        {0x014a, 0x0176, 1 },
        {0x0179, 0x017d, 2 },
        {0x0391, 0x03a1, 32},
        {0x03a3, 0x03ab, 32},
        {0x0400, 0x040f, 80},
        {0x0410, 0x042f, 32},
        {0x0460, 0x0480, 1 },
        {0x048a, 0x04be, 1 },
        {0x04d0, 0x052e, 1 },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        uint32_t step = ranges[i].step < 32 ? 1 : ranges[i].step;
        uint32_t capital = is_upper ? letter - step : letter;
        int is_capital = capital >= ranges[i].first && capital <= ranges[i].last;
        int fits = ranges[i].step >= 32 || (capital - ranges[i].first) % 2 == 0;
        if (is_capital && fits) {
            return is_upper ? capital : letter + step;
        }
    }
    return letter;
}

/* In place; the length stays. */
static void change_case(char *text, size_t length, int change) {
    for (size_t i = 0; change != KEEP && i < length; i++) {
        uint8_t byte = (uint8_t)text[i];
        char first = change == UPPER ? 'a' : 'A';
        if (text[i] >= first && text[i] <= first + 25) {
            text[i] = (char)(text[i] ^ 32);
        } else if (byte >= 0xc3 && byte <= 0xdf && i + 1 < length && (text[i + 1] & 0xc0) == 0x80) {
            uint32_t letter = (byte & 0x1fu) << 6 | ((uint8_t)text[i + 1] & 0x3fu);
            letter = change_letter(letter, change == UPPER);
            text[i] = (char)(0xc0 | letter >> 6);
            text[i + 1] = (char)(0x80 | (letter & 0x3f));
            i++;
        }
    }
}

typedef struct normalizing {
    feri_host_call *call;
    const fer_tensor *source;
    const fer_attr *stop_words; /* NULL: none */
    int change;
    int is_case_sensitive;
    uint64_t bytes; /* of text */
    char *text;     /* the kept strings */
    char *folded;   /* room for two strings in small letters */
    uint64_t folded_bytes;
    const char **strings;
    size_t *lengths;
} normalizing;

static fer_status read_attrs(normalizing *n) {
    const feri_gnode *node = n->call->node;
    const char *action =
        feri_attr_string(node->attrs, node->attr_count, "case_change_action", "NONE");
    const fer_attr *words = feri_attr_find(node->attrs, node->attr_count, "stopwords");
    n->stop_words = words && words->type == FER_ATTR_STRINGS ? words : NULL;
    n->is_case_sensitive = feri_host_attr(n->call, "is_case_sensitive", 0) != 0;
    n->change = strcmp(action, "LOWER") == 0 ? LOWER : strcmp(action, "UPPER") == 0 ? UPPER : KEEP;
    if (n->change == KEEP && strcmp(action, "NONE") != 0) {
        return feri_host_fail(n->call,
                              FER_INVALID_MODEL,
                              "case_change_action is '%.40s'; it is LOWER, UPPER or NONE",
                              action);
    }
    return FER_OK;
}

static fer_status reserve(normalizing *n) {
    feri_env *env = n->call->env;
    uint64_t count = n->source->element_count + 1;
    uint64_t longest = 0;
    for (uint64_t i = 0; i + 1 < count; i++) {
        const char *text = NULL;
        size_t length = 0;
        FER_TRY(feri_string_at(n->call, n->source, i, &text, &length));
        n->bytes = feri_add_sat(n->bytes, length);
        longest = length > longest ? length : longest;
    }
    n->folded_bytes = feri_mul_sat(longest, 2);
    n->text = feri_alloc(env, n->bytes);
    n->folded = feri_alloc(env, n->folded_bytes);
    n->strings = feri_alloc(env, feri_mul_sat(count, sizeof *n->strings));
    n->lengths = feri_alloc(env, feri_mul_sat(count, sizeof *n->lengths));
    return n->text && n->folded && n->strings && n->lengths ? FER_OK : feri_error_status();
}

static int is_stop_word(const normalizing *n, const char *text, size_t length) {
    char *one = n->folded;
    char *other = n->folded + n->folded_bytes / 2;
    memcpy(one, text, length);
    change_case(one, length, n->is_case_sensitive ? KEEP : LOWER);
    for (uint32_t w = 0; n->stop_words && w < n->stop_words->count; w++) {
        const fer_string *word = &n->stop_words->value.strings[w];
        if (word->length != length) {
            continue;
        }
        if (length) {
            memcpy(other, word->data, length);
        }
        change_case(other, length, n->is_case_sensitive ? KEEP : LOWER);
        if (memcmp(one, other, length) == 0) {
            return 1;
        }
    }
    return 0;
}

static fer_status normalize(normalizing *n, fer_tensor **out_tensor) {
    uint64_t kept = 0;
    char *at = n->text;
    for (uint64_t i = 0; i < n->source->element_count; i++) {
        size_t length = 0;
        const char *text = fer_tensor_string(n->source, i, &length);
        FER_TRY(i % POLL_ELEMENTS ? FER_OK : feri_host_check(n->call));
        if (is_stop_word(n, text, length)) {
            continue;
        }
        memcpy(at, text, length);
        change_case(at, length, n->change);
        n->strings[kept] = at;
        n->lengths[kept++] = length;
        at += length;
    }
    if (!kept) {
        n->strings[0] = "";
        n->lengths[kept++] = 0;
    }
    const int64_t dims[2] = {1, (int64_t)kept};
    uint32_t rank = n->source->rank;
    return fer_tensor_create_strings(
        feri_host_context(n->call), rank, dims + (2 - rank), n->strings, n->lengths, out_tensor);
}

fer_status feri_host_string_normalizer(feri_host_call *call) {
    normalizing n = {.call = call};
    fer_tensor *source = NULL;
    fer_tensor *result = NULL;
    FER_TRY(feri_host_tensor(call, 0, &source));
    int is_row = source->rank == 1 || (source->rank == 2 && source->dims[0] == 1);
    if (source->dtype != FER_STRING || !is_row) {
        return feri_host_fail(
            call, FER_INVALID_INPUT, "its input must be strings of shape [C] or [1, C]");
    }
    n.source = source;
    FER_TRY(read_attrs(&n));
    fer_status status = reserve(&n);
    if (status == FER_OK) {
        status = normalize(&n, &result);
    }
    uint64_t count = source->element_count + 1;
    feri_free(call->env, n.text, n.bytes);
    feri_free(call->env, n.folded, n.folded_bytes);
    feri_free(call->env, n.strings, feri_mul_sat(count, sizeof *n.strings));
    feri_free(call->env, n.lengths, feri_mul_sat(count, sizeof *n.lengths));
    return status == FER_OK ? feri_host_give_tensor(call, 0, result) : status;
}
