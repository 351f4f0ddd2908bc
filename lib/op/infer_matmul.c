/* SPDX-License-Identifier: Apache-2.0
 *
 * Products: MatMul and its quantised kin, Gemm, Einsum, Det.
 */
#include "op/infer.h"

#include <string.h>

static void matmul(feri_infer *call, uint32_t b_index) {
    const feri_fact *a = call->in[0];
    const feri_fact *b = call->in[b_index];
    feri_sym dims[FER_MAX_RANK + 2];
    if (a->rank < 0 || b->rank < 0) {
        return;
    }
    if (a->rank == 0 || b->rank == 0) {
        feri_infer_fail(call, "an operand is a scalar, both must have rank 1 at least");
    }
    feri_infer_dims_equal(
        call, a, -1, b, b->rank == 1 ? 0 : -2, "A's last dim and B's last but one");
    int32_t rank = feri_infer_broadcast(
        call, a->rank > 2 ? a->rank - 2 : 0, a->dims, b->rank > 2 ? b->rank - 2 : 0, b->dims, dims);
    if (a->rank > 1) {
        dims[rank++] = a->dims[a->rank - 2];
    }
    if (b->rank > 1) {
        dims[rank++] = b->dims[b->rank - 1];
    }
    feri_infer_set(call, 0, rank, dims);
}

void feri_infer_matmul(feri_infer *call) { matmul(call, 1); }

void feri_infer_qlinear_matmul(feri_infer *call) {
    feri_infer_rank(call, 6, 0, 1);
    feri_infer_rank(call, 7, 0, 1);
    matmul(call, 3);
}

void feri_infer_gemm(feri_infer *call) {
    const feri_fact *a = call->in[0];
    const feri_fact *b = call->in[1];
    int a_turned = feri_infer_int(call, "transA", 0) != 0;
    int b_turned = feri_infer_int(call, "transB", 0) != 0;
    feri_sym dims[2] = {feri_infer_dim(a, a_turned), feri_infer_dim(b, !b_turned)};
    feri_infer_rank(call, 0, 2, 2);
    feri_infer_rank(call, 1, 2, 2);
    feri_infer_dims_equal(call, a, !a_turned, b, b_turned, "the inner dims of A and B");
    feri_infer_fits(call, 2, 2, dims);
    feri_infer_set(call, 0, 2, dims);
}

void feri_infer_det(feri_infer *call) {
    const feri_fact *x = call->in[0];
    FERI_STEP(feri_infer_rank(call, 0, 2, FER_MAX_RANK));
    if (x->rank < 0) {
        return;
    }
    FERI_STEP(feri_infer_equal(
        call, x->dims[x->rank - 2], x->dims[x->rank - 1], "the last two dims of X"));
    feri_infer_set(call, 0, x->rank - 2, x->dims);
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

static void bind_label(feri_infer *call, einsum *e, char label, feri_sym dim) {
    unsigned char at = (unsigned char)label;
    if (!e->seen[at]) {
        e->seen[at] = 1;
        e->letter[at] = dim;
        return;
    }
    if (feri_sym_is_number(dim) && dim.number == 1) {
        return;
    }
    if (feri_sym_is_number(e->letter[at]) && e->letter[at].number == 1) {
        e->letter[at] = dim;
        return;
    }
    feri_infer_equal(call, e->letter[at], dim, "the dims of one label");
}

/* One operand's term: its labels and at most one "...". */
static void
read_term(feri_infer *call, einsum *e, const char *text, size_t length, const feri_fact *fact) {
    int32_t labels = 0;
    int has_dots = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') {
            continue;
        }
        if (text[i] == '.') {
            if (has_dots || i + 2 >= length || text[i + 1] != '.' || text[i + 2] != '.') {
                feri_infer_fail(call, "equation has a stray '.'");
                return;
            }
            has_dots = 1;
            i += 2;
        } else if (is_label(text[i])) {
            labels++;
            e->uses[(unsigned char)text[i]] += e->uses[(unsigned char)text[i]] < 255;
        } else {
            feri_infer_fail(call, "equation has a character '%c'", text[i]);
            return;
        }
    }
    if (!fact || fact->rank < 0) {
        return;
    }
    int32_t dots = fact->rank - labels;
    if (dots < 0 || (dots > 0 && !has_dots)) {
        feri_infer_fail(
            call, "equation gives a term %d labels, its operand has rank %d", labels, fact->rank);
        return;
    }
    int32_t axis = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.') {
            FERI_STEP(e->dots_rank = feri_infer_broadcast(
                          call, e->dots_rank, e->dots, dots, fact->dims + axis, e->dots));
            axis += dots;
            i += 2;
        } else if (is_label(text[i])) {
            FERI_STEP(bind_label(call, e, text[i], fact->dims[axis]));
            axis++;
        }
    }
}

static void add_dim(feri_infer *call, feri_sym *dims, int32_t *rank, feri_sym dim) {
    if (*rank == FER_MAX_RANK) {
        feri_infer_fail(call, "equation makes a result of more than %d axes", FER_MAX_RANK);
        return;
    }
    dims[(*rank)++] = dim;
}

void feri_infer_einsum(feri_infer *call) {
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
            feri_infer_fail(call, "equation has more terms than operands");
            return;
        }
        is_complete &= call->in[terms] && call->in[terms]->rank >= 0;
        FERI_STEP(read_term(call, &e, equation + at, length, call->in[terms]));
        terms++;
        at += length + 1;
    }
    if (terms != call->in_count) {
        feri_infer_fail(call, "equation has %u terms for %u operands", terms, call->in_count);
        return;
    }
    if (!is_complete) {
        return;
    }
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = 0;
    if (!arrow) { /* the ellipsis, then labels used once, in alphabetical order */
        for (int32_t i = 0; i < e.dots_rank; i++) {
            FERI_STEP(add_dim(call, dims, &rank, e.dots[i]));
        }
        for (int c = 0; c < 128; c++) {
            if (e.uses[c] == 1) {
                FERI_STEP(add_dim(call, dims, &rank, e.letter[c]));
            }
        }
        feri_infer_set(call, 0, rank, dims);
        return;
    }
    for (const char *c = arrow + 2; *c; c++) {
        if (c[0] == '.' && c[1] == '.' && c[2] == '.') {
            for (int32_t i = 0; i < e.dots_rank; i++) {
                FERI_STEP(add_dim(call, dims, &rank, e.dots[i]));
            }
            c += 2;
        } else if (is_label(*c) && e.seen[(unsigned char)*c]) {
            FERI_STEP(add_dim(call, dims, &rank, e.letter[(unsigned char)*c]));
        } else if (*c != ' ') {
            feri_infer_fail(call, "equation's result has '%c', which no term has", *c);
            return;
        }
    }
    feri_infer_set(call, 0, rank, dims);
}
