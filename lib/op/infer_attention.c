/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of Attention, LinearAttention and FlexAttention. Operands of rank 3 pack heads into their
 * last dim; B batch, H heads of the query, G of keys and values, L and S lengths.
 */
#include "op/infer.h"

#include <string.h>

/* An operand as [B, heads, length, size]. */
typedef struct headed {
    feri_sym batch, heads, length, size;
} headed;

static headed nothing(void) {
    return (headed){feri_sym_unknown(), feri_sym_unknown(), feri_sym_unknown(), feri_sym_unknown()};
}

/* Rank 4 as it is, rank 3 by the attribute. */
static void read_heads(feri_infer *call, uint32_t index, const char *attr, headed *out) {
    const feri_fact *in = feri_infer_in(call, index);
    int64_t heads = feri_infer_int(call, attr, 0);
    *out = nothing();
    if (!in || in->rank < 0) {
        return;
    }
    out->batch = in->dims[0];
    if (in->rank == 4) {
        *out = (headed){in->dims[0], in->dims[1], in->dims[2], in->dims[3]};
        return;
    }
    if (heads < 1) {
        feri_infer_fail(
            call, "%s is %lld; operands of rank 3 need it, positive", attr, (long long)heads);
        return;
    }
    if (feri_sym_is_number(in->dims[2]) && in->dims[2].number % heads != 0) {
        feri_infer_fail(call,
                        "%s is %lld, it must divide the last dim %lld of operand %u",
                        attr,
                        (long long)heads,
                        (long long)in->dims[2].number,
                        index);
        return;
    }
    out->heads = feri_sym_number(heads);
    out->length = in->dims[1];
    out->size = feri_sym_div(call->terms, in->dims[2], out->heads);
}

static void check_groups(feri_infer *call, feri_sym heads, feri_sym groups) {
    if (feri_sym_is_number(heads) && feri_sym_is_number(groups) &&
        (groups.number < 1 ? heads.number != groups.number : heads.number % groups.number != 0)) {
        feri_infer_fail(call,
                        "%lld heads of the query are no multiple of %lld heads of the keys",
                        (long long)heads.number,
                        (long long)groups.number);
        return;
    }
}

/* Q, K and V agree; what the result needs is left in q, k and v. */
static void read_qkv(feri_infer *call, int32_t least_rank, headed *q, headed *k, headed *v) {
    for (uint32_t i = 0; i < 3; i++) {
        FERI_STEP(feri_infer_rank(call, i, least_rank, 4));
    }
    FERI_STEP(read_heads(call, 0, "q_num_heads", q));
    FERI_STEP(read_heads(call, 1, "kv_num_heads", k));
    FERI_STEP(read_heads(call, 2, "kv_num_heads", v));
    FERI_STEP(feri_infer_equal(call, q->batch, k->batch, "the batches of Q and K"));
    FERI_STEP(feri_infer_equal(call, q->batch, v->batch, "the batches of Q and V"));
    FERI_STEP(feri_infer_equal(call, k->heads, v->heads, "the heads of K and V"));
    FERI_STEP(feri_infer_equal(call, k->length, v->length, "the lengths of K and V"));
    FERI_STEP(feri_infer_equal(call, q->size, k->size, "the head sizes of Q and K"));
    check_groups(call, q->heads, k->heads);
}

static void
set_four(feri_infer *call, uint32_t index, feri_sym a, feri_sym b, feri_sym c, feri_sym d) {
    feri_sym dims[4] = {a, b, c, d};
    feri_infer_set(call, index, 4, dims);
}

/* past_key and past_value, which come together: adds their length. */
static void add_past(feri_infer *call, const headed *k, const headed *v, feri_sym *in_out_length) {
    const feri_fact *past[2] = {feri_infer_in(call, 4), feri_infer_in(call, 5)};
    const headed *fresh[2] = {k, v};
    if (!past[0] != !past[1]) {
        feri_infer_fail(call, "past_key and past_value must be given together");
        return;
    }
    for (uint32_t i = 0; i < 2 && past[i]; i++) {
        FERI_STEP(feri_infer_rank(call, 4 + i, 4, 4));
        if (past[i]->rank == 4) {
            FERI_STEP(
                feri_infer_equal(call, past[i]->dims[0], fresh[i]->batch, "the past's batch"));
            FERI_STEP(
                feri_infer_equal(call, past[i]->dims[1], fresh[i]->heads, "the past's heads"));
            FERI_STEP(
                feri_infer_equal(call, past[i]->dims[3], fresh[i]->size, "the past's head size"));
        }
    }
    if (past[0] && past[0]->rank == 4 && past[1]->rank == 4) {
        FERI_STEP(feri_infer_equal(
            call, past[0]->dims[2], past[1]->dims[2], "the lengths of past_key and past_value"));
        *in_out_length = feri_infer_add(call, *in_out_length, past[0]->dims[2]);
        return;
    }
    *in_out_length = past[0] ? feri_sym_unknown() : *in_out_length;
}

/* softmax_precision: absent, 0 or a float dtype. */
static void check_precision(feri_infer *call) {
    int64_t precision = feri_infer_int(call, "softmax_precision", 0);
    if (precision != 0 && precision != FER_F32 && precision != FER_F64 && precision != FER_F16 &&
        precision != FER_BF16) {
        feri_infer_fail(
            call, "softmax_precision is %lld, it must be a float dtype", (long long)precision);
        return;
    }
}

void feri_infer_attention(feri_infer *call) {
    const feri_fact *query = feri_infer_in(call, 0);
    int64_t mode = feri_infer_int(call, "qk_matmul_output_mode", 0);
    headed q, k, v;
    FERI_STEP(check_precision(call));
    FERI_STEP(feri_infer_rank(call, 6, 1, 1));
    FERI_STEP(feri_infer_rank(call, 3, 1, 4));
    FERI_STEP(read_qkv(call, 3, &q, &k, &v));
    if (mode < 0 || mode > 3) {
        feri_infer_fail(call, "qk_matmul_output_mode is %lld, it must be 0 to 3", (long long)mode);
        return;
    }
    feri_sym total = k.length;
    FERI_STEP(add_past(call, &k, &v, &total));
    FERI_STEP(set_four(call, 1, k.batch, k.heads, total, k.size));
    FERI_STEP(set_four(call, 2, v.batch, v.heads, total, v.size));
    FERI_STEP(set_four(call, 3, q.batch, q.heads, q.length, total));
    if (query->rank == 4) {
        set_four(call, 0, q.batch, q.heads, q.length, v.size);
        return;
    }
    if (query->rank == 3) {
        feri_sym dims[3] = {q.batch, q.length, feri_sym_unknown()};
        FERI_STEP(dims[2] = feri_infer_mul(call, q.heads, v.size));
        feri_infer_set(call, 0, 3, dims);
        return;
    }
}

void feri_infer_flex_attention(feri_infer *call) {
    headed q, k, v;
    FERI_STEP(check_precision(call));
    FERI_STEP(read_qkv(call, 4, &q, &k, &v));
    set_four(call, 0, q.batch, q.heads, q.length, v.size);
}

/* ---- LinearAttention ---- */

/* decay and beta are there exactly when the rule uses them. */
static void check_rule(feri_infer *call) {
    const char *rule = feri_infer_string(call, "update_rule", "gated_delta");
    int is_gated = strncmp(rule, "gated", 5) == 0;
    int is_delta = strcmp(rule, "delta") == 0 || strcmp(rule, "gated_delta") == 0;
    if (!is_delta && strcmp(rule, "linear") != 0 && strcmp(rule, "gated") != 0) {
        feri_infer_fail(
            call, "update_rule is '%s', it must be linear, gated, delta or gated_delta", rule);
        return;
    }
    if (is_gated != (feri_infer_in(call, 4) != NULL) ||
        is_delta != (feri_infer_in(call, 5) != NULL)) {
        feri_infer_fail(call,
                        "update_rule '%s' %s decay and %s beta",
                        rule,
                        is_gated ? "needs" : "forbids",
                        is_delta ? "needs" : "forbids");
        return;
    }
}

void feri_infer_linear_attention(feri_infer *call) {
    const feri_fact *past = feri_infer_in(call, 3);
    feri_fact *state = feri_infer_out(call, 1);
    headed q, k, v;
    FERI_STEP(check_rule(call));
    for (uint32_t i = 0; i < 6; i++) {
        FERI_STEP(feri_infer_rank(call, i, i == 3 ? 4 : 3, i == 3 ? 4 : 3));
    }
    FERI_STEP(read_qkv(call, 3, &q, &k, &v));
    FERI_STEP(feri_infer_equal(call, q.length, k.length, "the lengths of query and key"));
    if (past && past->rank == 4) {
        FERI_STEP(feri_infer_equal(call, past->dims[0], q.batch, "past_state's batch"));
        FERI_STEP(feri_infer_equal(call, past->dims[1], k.heads, "past_state's heads"));
        FERI_STEP(feri_infer_equal(call, past->dims[2], k.size, "past_state's rows"));
        FERI_STEP(feri_infer_equal(call, past->dims[3], v.size, "past_state's columns"));
    }
    for (uint32_t i = 4; i < 6; i++) {
        const feri_fact *gate = feri_infer_in(call, i);
        if (gate && gate->rank == 3) {
            FERI_STEP(feri_infer_equal(call, gate->dims[0], q.batch, "the batch of a gate"));
            FERI_STEP(feri_infer_equal(call, gate->dims[1], q.length, "the length of a gate"));
        }
    }
    if (state) {
        state->dtype = past ? past->dtype : call->in[0]->dtype;
    }
    feri_sym dims[3] = {q.batch, q.length, feri_sym_unknown()};
    FERI_STEP(dims[2] = feri_infer_mul(call, q.heads, v.size));
    FERI_STEP(feri_infer_set(call, 0, 3, dims));
    set_four(call, 1, q.batch, k.heads, k.size, v.size);
}
