/* SPDX-License-Identifier: Apache-2.0
 *
 * RNN, GRU and LSTM. The dims of operands and results are rows of letters: T steps, N batch, I
 * inputs, H hidden, D directions, G gates * H, B both biases (2 * G), P peepholes (3 * H). A letter
 * stands for one dim wherever it occurs.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

#include <string.h>

static const char letters[] = "TNIHDGBP";
enum { STEPS, BATCH, INPUT, HIDDEN, DIRECTIONS, GATES, BIASES, PEEPHOLES, NAMED };

typedef struct named_dims {
    feri_sym dims[NAMED];
} named_dims;

static feri_sym *named(named_dims *names, char letter) {
    return &names->dims[strchr(letters, letter) - letters];
}

/* Equal but for case, in every locale (strncasecmp obeys it); names have letters only. */
static int compare_letters(const char *a, const char *b, size_t length) {
    int differ = 0;
    for (size_t i = 0; i < length; i++) {
        differ |= (a[i] ^ b[i]) & ~('a' ^ 'A');
    }
    return differ;
}

static void check_activations(feri_infer *call, int64_t least) {
    const fer_attr *attr = feri_attr_find(call->attrs, call->attr_count, "activations");
    if (!attr) {
        return;
    }
    if (attr->count < least) {
        feri_infer_fail(
            call, "activations has %u entries, it must have %lld", attr->count, (long long)least);
    }
    for (uint32_t i = 0; i < attr->count; i++) {
        const char *given = attr->value.strings[i].data ? attr->value.strings[i].data : "";
        if (feri_infer_find_choice("Relu, Tanh, Sigmoid, Affine, LeakyRelu, ThresholdedRelu, "
                                   "ScaledTanh, HardSigmoid, Elu, Softsign, Softplus",
                                   given,
                                   compare_letters) == UINT32_MAX) {
            feri_infer_fail(call, "it has an activation '%s', which is not known", given);
        }
    }
}

/* The dims that attributes and R decide; the others are unknown until an operand has them. */
static void read_attrs(feri_infer *call, named_dims *names) {
    uint32_t direction = feri_infer_choice(call, "direction", "forward, reverse, bidirectional");
    int64_t directions = direction == 2 ? 2 : 1;
    int64_t hidden = feri_infer_positive(call, "hidden_size", /*absent=*/1);
    int64_t gates = call->op->number == FER_OP_LSTM ? 4 : call->op->number == FER_OP_GRU ? 3 : 1;
    check_activations(call, (gates > 1 ? gates - 1 : 1) * directions);
    feri_sym *dims = names->dims;
    dims[STEPS] = dims[BATCH] = dims[INPUT] = feri_sym_unknown();
    int is_given = feri_attr_find(call->attrs, call->attr_count, "hidden_size") != NULL;
    feri_sym size = is_given ? feri_sym_number(hidden) : feri_sym_unknown();
    size = feri_infer_same(
        call, size, feri_infer_dim(call->in[2], 2), "hidden_size and the last dim of R");
    feri_sym rows = feri_infer_mul(call, size, feri_sym_number(gates));
    dims[HIDDEN] = size;
    dims[DIRECTIONS] = feri_sym_number(directions);
    dims[GATES] = rows;
    dims[BIASES] = feri_infer_mul(call, rows, feri_sym_number(2));
    dims[PEEPHOLES] = feri_infer_mul(call, size, feri_sym_number(3));
}

static void
check_operand(feri_infer *call, uint32_t index, const char *row, int32_t rank, named_dims *names) {
    if (!feri_infer_rank(call, index, rank, rank)) {
        return;
    }
    for (int32_t i = 0; i < rank; i++) {
        feri_sym *dim = named(names, row[i]);
        *dim = feri_infer_same(call,
                               *dim,
                               call->in[index]->dims[i],
                               "the same dims of X (steps T, batch N, input I), W (D, gates * "
                               "H, I), R (D, gates * H, H), B (D, 2 * gates * H), sequence_lens "
                               "(N), the states (D, N, H) and P (D, 3 * H)");
    }
}

static void
set_result(feri_infer *call, uint32_t index, const char *row, int32_t rank, named_dims *names) {
    feri_sym dims[4];
    for (int32_t i = 0; i < rank; i++) {
        dims[i] = *named(names, row[i]);
    }
    feri_infer_set(call, index, rank, dims);
}

void feri_infer_recurrent(feri_infer *call) {
    int64_t layout = feri_infer_int(call, "layout", 0);
    named_dims names;
    if (layout != 0 && layout != 1) {
        feri_infer_fail(call, "layout is %lld, it must be 0 or 1", (long long)layout);
        return;
    }
    read_attrs(call, &names);
    /* Eight operands and three results. */
    const char *row = layout ? "NTI DGI DGH DB N NDH NDH DP NTDH NDH NDH"
                             : "TNI DGI DGH DB N DNH DNH DP TDNH DNH DNH";
    for (uint32_t i = 0; i < 11; i++) {
        int32_t rank = (int32_t)strcspn(row, " ");
        if (i < 8) {
            check_operand(call, i, row, rank, &names);
        } else {
            set_result(call, i - 8, row, rank, &names);
        }
        row += rank + 1;
    }
}
