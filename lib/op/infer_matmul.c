/* SPDX-License-Identifier: Apache-2.0
 *
 * Products: MatMul and its quantised kin, Gemm, Einsum, Det.
 */
#include "op/infer.h"

#include <string.h>

static fer_status matmul(feri_infer *call, const feri_fact *a, const feri_fact *b) {
    if (a->rank < 0 || b->rank < 0) {
        return FER_OK;
    }
    if (a->rank == 0 || b->rank == 0) {
        return feri_infer_fail(call, "an operand is a scalar, both must have rank 1 at least");
    }
    feri_sym inner_b = b->dims[b->rank == 1 ? 0 : b->rank - 2];
    FER_TRY(
        feri_infer_equal(call, a->dims[a->rank - 1], inner_b, "A's last dim and B's last but one"));
    feri_sym dims[FER_MAX_RANK + 2];
    int32_t rank;
    FER_TRY(feri_infer_broadcast(call,
                                 a->rank > 2 ? a->rank - 2 : 0,
                                 a->dims,
                                 b->rank > 2 ? b->rank - 2 : 0,
                                 b->dims,
                                 &rank,
                                 dims));
    if (a->rank > 1) {
        dims[rank++] = a->dims[a->rank - 2];
    }
    if (b->rank > 1) {
        dims[rank++] = b->dims[b->rank - 1];
    }
    return feri_infer_set(call, 0, rank, dims);
}

fer_status feri_infer_matmul(feri_infer *call) {
    return matmul(call, feri_infer_in(call, 0), feri_infer_in(call, 1));
}

fer_status feri_infer_qlinear_matmul(feri_infer *call) {
    FER_TRY(feri_infer_rank(call, 6, 0, 1));
    FER_TRY(feri_infer_rank(call, 7, 0, 1));
    return matmul(call, feri_infer_in(call, 0), feri_infer_in(call, 3));
}

fer_status feri_infer_gemm(feri_infer *call) {
    const feri_fact *a = feri_infer_in(call, 0);
    const feri_fact *b = feri_infer_in(call, 1);
    const feri_fact *c = feri_infer_in(call, 2);
    int a_turned = feri_infer_int(call, "transA", 0) != 0;
    int b_turned = feri_infer_int(call, "transB", 0) != 0;
    FER_TRY(feri_infer_rank(call, 0, 2, 2));
    FER_TRY(feri_infer_rank(call, 1, 2, 2));
    FER_TRY(feri_infer_rank(call, 2, 0, 2));
    feri_sym dims[FER_MAX_RANK] = {a->rank == 2 ? a->dims[a_turned] : feri_sym_unknown(),
                                   b->rank == 2 ? b->dims[!b_turned] : feri_sym_unknown()};
    if (a->rank == 2 && b->rank == 2) {
        FER_TRY(feri_infer_equal(
            call, a->dims[!a_turned], b->dims[b_turned], "the inner dims of A and B"));
    }
    if (c && c->rank >= 0) {
        feri_sym both[FER_MAX_RANK];
        int32_t rank;
        FER_TRY(feri_infer_broadcast(call, 2, dims, c->rank, c->dims, &rank, both));
        for (int32_t i = 0; i < 2; i++) {
            FER_TRY(feri_infer_equal(call, both[i], dims[i], "C's dims and the result's"));
        }
    }
    return feri_infer_set(call, 0, 2, dims);
}

fer_status feri_infer_det(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    FER_TRY(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    if (x->rank < 0) {
        return FER_OK;
    }
    FER_TRY(feri_infer_equal(
        call, x->dims[x->rank - 2], x->dims[x->rank - 1], "the last two dims of X"));
    return feri_infer_set(call, 0, x->rank - 2, x->dims);
}

/* ---- Einsum ---- */

/* Labels a-z, A-Z and the axes of the ellipsis, with their dims. */
typedef struct einsum {
    feri_sym letter[128];
    uint8_t seen[128];
    uint8_t uses[128];
    feri_sym dots[FER_MAX_RANK]; /* right-aligned */
    int32_t dots_rank;
} einsum;

static int is_label(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static fer_status bind_label(const feri_infer *call, einsum *e, char label, feri_sym dim) {
    unsigned char at = (unsigned char)label;
    if (!e->seen[at]) {
        e->seen[at] = 1;
        e->letter[at] = dim;
        return FER_OK;
    }
    if (feri_sym_is_number(dim) && dim.number == 1) {
        return FER_OK;
    }
    if (feri_sym_is_number(e->letter[at]) && e->letter[at].number == 1) {
        e->letter[at] = dim;
        return FER_OK;
    }
    return feri_infer_equal(call, e->letter[at], dim, "the dims of one label");
}

/* One operand's term: its labels and at most one "...". */
static fer_status read_term(
    const feri_infer *call, einsum *e, const char *text, size_t length, const feri_fact *fact) {
    int32_t labels = 0;
    int has_dots = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') {
            continue;
        }
        if (text[i] == '.') {
            if (has_dots || i + 2 >= length || text[i + 1] != '.' || text[i + 2] != '.') {
                return feri_infer_fail(call, "equation has a stray '.'");
            }
            has_dots = 1;
            i += 2;
        } else if (is_label(text[i])) {
            labels++;
            e->uses[(unsigned char)text[i]] += e->uses[(unsigned char)text[i]] < 255;
        } else {
            return feri_infer_fail(call, "equation has a character '%c'", text[i]);
        }
    }
    if (!fact || fact->rank < 0) {
        return FER_OK;
    }
    int32_t dots = fact->rank - labels;
    if (dots < 0 || (dots > 0 && !has_dots)) {
        return feri_infer_fail(
            call, "equation gives a term %d labels, its operand has rank %d", labels, fact->rank);
    }
    int32_t axis = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.') {
            FER_TRY(feri_infer_broadcast(
                call, e->dots_rank, e->dots, dots, fact->dims + axis, &e->dots_rank, e->dots));
            axis += dots;
            i += 2;
        } else if (is_label(text[i])) {
            FER_TRY(bind_label(call, e, text[i], fact->dims[axis]));
            axis++;
        }
    }
    return FER_OK;
}

static fer_status add_dim(const feri_infer *call, feri_sym *dims, int32_t *rank, feri_sym dim) {
    if (*rank == FER_MAX_RANK) {
        return feri_infer_fail(call, "equation makes a result of more than %d axes", FER_MAX_RANK);
    }
    dims[(*rank)++] = dim;
    return FER_OK;
}

fer_status feri_infer_einsum(feri_infer *call) {
    const char *equation = feri_infer_string(call, "equation", "");
    const char *arrow = strstr(equation, "->");
    size_t left = arrow ? (size_t)(arrow - equation) : strlen(equation);
    einsum e = {.dots_rank = 0};
    size_t at = 0;
    uint32_t terms = 0;
    int is_complete = 1;
    while (at <= left) {
        size_t length = 0;
        while (at + length < left && equation[at + length] != ',') {
            length++;
        }
        if (terms >= call->in_count) {
            return feri_infer_fail(call, "equation has more terms than operands");
        }
        is_complete &= call->in[terms] && call->in[terms]->rank >= 0;
        FER_TRY(read_term(call, &e, equation + at, length, call->in[terms]));
        terms++;
        at += length + 1;
    }
    if (terms != call->in_count) {
        return feri_infer_fail(
            call, "equation has %u terms for %u operands", terms, call->in_count);
    }
    if (!is_complete) {
        return FER_OK;
    }
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = 0;
    if (!arrow) { /* the ellipsis, then labels used once, in alphabetical order */
        for (int32_t i = 0; i < e.dots_rank; i++) {
            FER_TRY(add_dim(call, dims, &rank, e.dots[i]));
        }
        for (int c = 0; c < 128; c++) {
            if (e.uses[c] == 1) {
                FER_TRY(add_dim(call, dims, &rank, e.letter[c]));
            }
        }
        return feri_infer_set(call, 0, rank, dims);
    }
    for (const char *c = arrow + 2; *c; c++) {
        if (c[0] == '.' && c[1] == '.' && c[2] == '.') {
            for (int32_t i = 0; i < e.dots_rank; i++) {
                FER_TRY(add_dim(call, dims, &rank, e.dots[i]));
            }
            c += 2;
        } else if (is_label(*c) && e.seen[(unsigned char)*c]) {
            FER_TRY(add_dim(call, dims, &rank, e.letter[(unsigned char)*c]));
        } else if (*c != ' ') {
            return feri_infer_fail(call, "equation's result has '%c', which no term has", *c);
        }
    }
    return feri_infer_set(call, 0, rank, dims);
}
