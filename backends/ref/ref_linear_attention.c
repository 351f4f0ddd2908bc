/* SPDX-License-Identifier: Apache-2.0
 *
 * LinearAttention: per batch and key head a state of K x V is carried along the sequence,
 *
 *     S = exp(g) S;  v' = beta (v - S^T k);  S = S + k v'^T;  o = scale q^T S
 *
 * with g = 0 or v' = v where the rule leaves them out. All in f64. Called through the step list.
 */
#include "ref/ref_line.h"

#include <math.h>

typedef struct recurrence {
    uint64_t batches, steps, heads, groups; /* of the query, of keys and values */
    uint64_t rows, columns;                 /* of the state */
    uint64_t decays, betas;                 /* last dims of the gates */
    double scale;
} recurrence;

static fer_status bind(feri_ref_call *call) {
    recurrence *p = call->params;
    const feri_ref_tensor *q = call->in[0], *k = call->in[1], *v = call->in[2];
    const feri_ref_tensor *past = feri_ref_input(call, 3), *decay = feri_ref_input(call, 4);
    const feri_ref_tensor *beta = feri_ref_input(call, 5);
    int64_t heads = feri_ref_int(call->node, "q_num_heads", 0);
    int64_t groups = feri_ref_int(call->node, "kv_num_heads", 0);
    if (q->rank != 3 || k->rank != 3 || v->rank != 3 || heads < 1 || groups < 1 ||
        heads % groups != 0 || q->dims[2] % heads != 0 || k->dims[2] % groups != 0 ||
        v->dims[2] % groups != 0 || q->dims[2] / heads != k->dims[2] / groups ||
        k->dims[0] != q->dims[0] || v->dims[0] != q->dims[0] || k->dims[1] != q->dims[1] ||
        v->dims[1] != q->dims[1]) {
        return feri_ref_misfit(call, "query, key and value do not fit the numbers of heads");
    }
    p->batches = (uint64_t)q->dims[0];
    p->steps = (uint64_t)q->dims[1];
    p->heads = (uint64_t)heads;
    p->groups = (uint64_t)groups;
    p->rows = (uint64_t)(k->dims[2] / groups);
    p->columns = (uint64_t)(v->dims[2] / groups);
    p->decays = decay ? (uint64_t)decay->dims[2] : 0;
    p->betas = beta ? (uint64_t)beta->dims[2] : 0;
    uint64_t tokens = p->batches * p->steps;
    if ((past && past->count != p->batches * p->groups * p->rows * p->columns) ||
        (decay && (decay->count != tokens * p->decays ||
                   (p->decays != p->groups && p->decays != p->groups * p->rows))) ||
        (beta && (beta->count != tokens * p->betas || (p->betas != p->groups && p->betas != 1)))) {
        return feri_ref_misfit(call, "past_state, decay or beta do not fit the numbers of heads");
    }
    double scale = feri_ref_float(call->node, "scale", 0);
    p->scale = scale != 0 ? scale : 1 / sqrt((double)p->rows);
    /* The state, then a row for each of q, k, the gate, and v, the retrieved and the read. */
    call->scratch_bytes = (p->rows * p->columns + 3 * p->rows + 2 * p->columns) * sizeof(double);
    return FER_OK;
}

static double dot_column(const recurrence *p, const double *row, const double *state, uint64_t c) {
    double sum = 0;
    for (uint64_t r = 0; r < p->rows; r++) {
        sum += row[r] * state[r * p->columns + c];
    }
    return sum;
}

/* What one token does to the rows of a head's state: 1 without decay. */
static void load_gate(feri_ref_call *call, uint64_t token, uint64_t group, double *gate) {
    const recurrence *p = call->params;
    const feri_ref_tensor *decay = feri_ref_input(call, 4);
    double shared = 0;
    int is_shared = p->decays == p->groups;
    if (decay && is_shared) {
        feri_ref_load_real(call, decay, token * p->decays + group, 1, 1, &shared);
    } else if (decay) {
        feri_ref_load_real(call, decay, token * p->decays + group * p->rows, 1, p->rows, gate);
    }
    for (uint64_t r = 0; r < p->rows; r++) {
        gate[r] = exp(decay && !is_shared ? gate[r] : shared);
    }
}

static fer_status update(feri_ref_call *call, uint64_t token, uint64_t group, double *state) {
    const recurrence *p = call->params;
    const feri_ref_tensor *beta = feri_ref_input(call, 5);
    double *k = state + p->rows * p->columns, *gate = k + p->rows, *v = gate + p->rows;
    double rate = 1;
    feri_ref_load_real(call, call->in[1], (token * p->groups + group) * p->rows, 1, p->rows, k);
    feri_ref_load_real(
        call, call->in[2], (token * p->groups + group) * p->columns, 1, p->columns, v);
    load_gate(call, token, group, gate);
    if (beta) {
        feri_ref_load_real(call, beta, token * p->betas + (p->betas == 1 ? 0 : group), 1, 1, &rate);
    }
    for (uint64_t r = 0; r < p->rows; r++) {
        for (uint64_t c = 0; c < p->columns; c++) {
            state[r * p->columns + c] *= gate[r];
        }
    }
    for (uint64_t c = 0; c < p->columns; c++) {
        v[c] = beta ? rate * (v[c] - dot_column(p, k, state, c)) : v[c];
        for (uint64_t r = 0; r < p->rows; r++) {
            state[r * p->columns + c] += k[r] * v[c];
        }
        fer_status status = feri_ref_poll(call, 4 * p->rows);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status read_state(feri_ref_call *call, uint64_t token, uint64_t head, double *state) {
    const recurrence *p = call->params;
    double *q = state + p->rows * p->columns, *o = q + 2 * p->rows;
    feri_ref_load_real(call, call->in[0], (token * p->heads + head) * p->rows, 1, p->rows, q);
    for (uint64_t c = 0; c < p->columns; c++) {
        o[c] = p->scale * dot_column(p, q, state, c);
        fer_status status = feri_ref_poll(call, p->rows);
        if (status != FER_OK) {
            return status;
        }
    }
    if (call->out[0]) {
        feri_ref_store_real(
            call, call->out[0], (token * p->heads + head) * p->columns, 1, p->columns, o);
    }
    return FER_OK;
}

static fer_status run(feri_ref_call *call) {
    const recurrence *p = call->params;
    const feri_ref_tensor *past = feri_ref_input(call, 3);
    double *state = call->scratch;
    uint64_t cells = p->rows * p->columns, each = p->heads / p->groups;
    for (uint64_t lane = 0; lane < p->batches * p->groups; lane++) {
        uint64_t batch = lane / p->groups, group = lane % p->groups;
        fer_status status = FER_OK;
        for (uint64_t i = 0; i < cells; i++) {
            state[i] = 0;
        }
        if (past) {
            feri_ref_load_real(call, past, lane * cells, 1, cells, state);
        }
        for (uint64_t t = 0; t < p->steps && status == FER_OK; t++) {
            status = update(call, batch * p->steps + t, group, state);
            for (uint64_t h = 0; h < each && status == FER_OK; h++) {
                status = read_state(call, batch * p->steps + t, group * each + h, state);
            }
        }
        if (status != FER_OK) {
            return status;
        }
        if (feri_ref_output(call, 1)) {
            feri_ref_store_real(call, call->out[1], lane * cells, 1, cells, state);
        }
    }
    return FER_OK;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_linear_attention[] = {
    FERI_REF_KERNEL(LinearAttention, 27, .run = run, .bind = bind, .params_bytes = sizeof(recurrence))
    FERI_REF_END
};
/* clang-format on */
