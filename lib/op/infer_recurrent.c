/* SPDX-License-Identifier: Apache-2.0
 *
 * RNN, GRU and LSTM. Shapes with T steps, N batch, I inputs, H hidden, D directions, G gates:
 * X (T,N,I), W (D,G*H,I), R (D,G*H,H), B (D,2*G*H), states (D,N,H), Y (T,D,N,H); layout 1 puts N
 * first.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

#include <string.h>
#include <strings.h>

typedef struct recurrent {
    int64_t gates;
    int64_t directions;
    int is_batch_first;
    feri_sym steps, batch, input, hidden;
} recurrent;

static fer_status check_activations(const feri_infer *call, const recurrent *r) {
    static const char *const names[] = {"Relu",
                                        "Tanh",
                                        "Sigmoid",
                                        "Affine",
                                        "LeakyRelu",
                                        "ThresholdedRelu",
                                        "ScaledTanh",
                                        "HardSigmoid",
                                        "Elu",
                                        "Softsign",
                                        "Softplus"};
    const fer_attr *attr = feri_attr_find(call->attrs, call->attr_count, "activations");
    if (!attr || attr->type != FER_ATTR_STRINGS) {
        return FER_OK;
    }
    int64_t each = r->gates == 4 ? 3 : r->gates == 3 ? 2 : 1;
    if (attr->count < each * r->directions) {
        return feri_infer_fail(call,
                               "activations has %u entries, it must have %lld",
                               attr->count,
                               (long long)(each * r->directions));
    }
    for (uint32_t i = 0; i < attr->count; i++) {
        const char *given = attr->value.strings[i].data ? attr->value.strings[i].data : "";
        int is_known = 0;
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
            is_known |= strcasecmp(given, names[j]) == 0;
        }
        if (!is_known) {
            return feri_infer_fail(call, "it has an activation '%s', which is not known", given);
        }
    }
    return FER_OK;
}

static fer_status read_attrs(const feri_infer *call, recurrent *r) {
    const char *direction = feri_infer_string(call, "direction", "forward");
    int64_t layout = feri_infer_int(call, "layout", 0);
    int64_t hidden = feri_infer_int(call, "hidden_size", -1);
    r->gates = call->op->number == FER_OP_LSTM ? 4 : call->op->number == FER_OP_GRU ? 3 : 1;
    r->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    r->is_batch_first = layout == 1;
    r->hidden = feri_sym_unknown();
    if (r->directions == 1 && strcmp(direction, "forward") != 0 &&
        strcmp(direction, "reverse") != 0) {
        return feri_infer_fail(
            call, "direction is '%s', it must be forward, reverse or bidirectional", direction);
    }
    if (layout != 0 && layout != 1) {
        return feri_infer_fail(call, "layout is %lld, it must be 0 or 1", (long long)layout);
    }
    if (feri_attr_find(call->attrs, call->attr_count, "hidden_size")) {
        if (hidden < 1) {
            return feri_infer_fail(
                call, "hidden_size is %lld, it must be positive", (long long)hidden);
        }
        r->hidden = feri_sym_number(hidden);
    }
    return check_activations(call, r);
}

/* Binds *dim, or checks that own is the same. */
static fer_status unify(const feri_infer *call, feri_sym *dim, feri_sym own, const char *what) {
    FER_TRY(feri_infer_equal(call, *dim, own, what));
    *dim = feri_sym_is_unknown(*dim) || feri_sym_is_number(own) ? own : *dim;
    return FER_OK;
}

static feri_sym times(const feri_infer *call, feri_sym dim, int64_t by) {
    return feri_sym_mul(call->terms, dim, feri_sym_number(by));
}

/* Operand index must have these dims. */
static fer_status check_operand(
    const feri_infer *call, uint32_t index, int32_t rank, const feri_sym *dims, const char *what) {
    const feri_fact *fact = feri_infer_in(call, index);
    FER_TRY(feri_infer_rank(call, index, rank, rank));
    for (int32_t i = 0; fact && fact->rank == rank && i < rank; i++) {
        FER_TRY(feri_infer_equal(call, fact->dims[i], dims[i], what));
    }
    return FER_OK;
}

static fer_status check_weights(const feri_infer *call, recurrent *r) {
    const feri_fact *rec = feri_infer_in(call, 2);
    feri_sym directions = feri_sym_number(r->directions);
    FER_TRY(feri_infer_rank(call, 2, 3, 3));
    if (rec->rank == 3) {
        FER_TRY(unify(call, &r->hidden, rec->dims[2], "hidden_size and the last dim of R"));
    }
    if (feri_sym_is_number(r->hidden) && r->hidden.number > INT64_MAX / 16) {
        return feri_infer_fail(call, "its hidden size overflows");
    }
    feri_sym rows = times(call, r->hidden, r->gates);
    feri_sym w[3] = {directions, rows, r->input};
    feri_sym rr[3] = {directions, rows, r->hidden};
    feri_sym b[2] = {directions, times(call, rows, 2)};
    feri_sym p[2] = {directions, times(call, r->hidden, 3)};
    FER_TRY(check_operand(call, 1, 3, w, "W's dims and (directions, gates * hidden, input)"));
    FER_TRY(check_operand(call, 2, 3, rr, "R's dims and (directions, gates * hidden, hidden)"));
    FER_TRY(check_operand(call, 3, 2, b, "B's dims and (directions, 2 * gates * hidden)"));
    return check_operand(call, 7, 2, p, "P's dims and (directions, 3 * hidden)");
}

fer_status feri_infer_recurrent(feri_infer *call) {
    recurrent r = {0};
    const feri_fact *x = feri_infer_in(call, 0);
    FER_TRY(read_attrs(call, &r));
    FER_TRY(feri_infer_rank(call, 0, 3, 3));
    r.steps = r.batch = r.input = feri_sym_unknown();
    if (x->rank == 3) {
        r.steps = x->dims[r.is_batch_first];
        r.batch = x->dims[!r.is_batch_first];
        r.input = x->dims[2];
    }
    FER_TRY(check_weights(call, &r));
    feri_sym directions = feri_sym_number(r.directions);
    feri_sym state[3] = {directions, r.batch, r.hidden};
    feri_sym y[4] = {r.steps, directions, r.batch, r.hidden};
    if (r.is_batch_first) {
        state[0] = r.batch;
        state[1] = directions;
        y[0] = r.batch;
        y[1] = r.steps;
        y[2] = directions;
    }
    FER_TRY(check_operand(call, 4, 1, &r.batch, "the count of sequence_lens and the batch"));
    FER_TRY(check_operand(call, 5, 3, state, "initial_h's dims and (directions, batch, hidden)"));
    FER_TRY(check_operand(call, 6, 3, state, "initial_c's dims and (directions, batch, hidden)"));
    FER_TRY(feri_infer_set(call, 0, 4, y));
    FER_TRY(feri_infer_set(call, 1, 3, state));
    return feri_infer_set(call, 2, 3, state);
}
