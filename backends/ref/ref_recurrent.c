/* SPDX-License-Identifier: Apache-2.0
 *
 * LSTM, GRU and RNN: a cell stepped over time for one direction after the other. State stays in f64
 * from step to step and is rounded once, when it is stored. A sequence that is shorter than the
 * batch's keeps its last state and has zeros behind it. Called by the executor through its table.
 */
#include "ref/ref_recurrent.h"

#include "kit/geometry.h"
#include "ref/ref_gemm.h"

#include <math.h>
#include <string.h>

/* One direction's run over time. Buffers are batch x (gates x hidden) or batch x hidden. */
typedef struct sweep sweep;
struct sweep {
    feri_ref_call *call;
    const feri_ref_recurrent *p;
    uint64_t direction;
    int is_reverse;
    double *from_input; /* X x W^T + Wb */
    double *from_state; /* H x R^T + Rb */
    double *h;
    double *c;
    double *reset; /* GRU: r (.) H */
    /* One unit of a batch row takes one step. */
    void (*cell)(sweep *s, uint64_t row, uint64_t unit);
};

/* rows x weights^T is added to sums. */
typedef struct step_product {
    sweep *s;
    const double *rows; /* batch x k; NULL: X at step */
    uint64_t step;
    const feri_ref_tensor *weights;
    uint64_t weight_start; /* element index of the first weight row, each of k */
    uint64_t k;
    double *sums; /* row stride gates x hidden */
} step_product;

/* Steps of a batch row, and its time index at a step. */
static uint64_t length_of(const sweep *s, uint64_t row) {
    const feri_ref_tensor *lengths = feri_ref_input(s->call, 4);
    return lengths ? (uint64_t)feri_ref_scalar_i64(s->call, lengths, row) : s->p->steps;
}

/* Row index (of X, or of Y's time and batch) of a batch row at a step; SIZE_MAX behind its end. */
static uint64_t row_at(const sweep *s, uint64_t row, uint64_t step) {
    uint64_t length = length_of(s, row);
    if (step >= length) {
        return UINT64_MAX;
    }
    uint64_t time = s->is_reverse ? length - 1 - step : step;
    return s->p->is_batch_first ? row * s->p->steps + time : time * s->p->batch + row;
}

static fer_status load_rows(void *self, const feri_ref_block *block, feri_ref_word *panel) {
    step_product *q = self;
    for (uint64_t i = 0; i < block->rows; i++) {
        double *out = &panel[i * block->columns].f;
        uint64_t row = block->row + i, at = q->rows ? 0 : row_at(q->s, row, q->step);
        if (q->rows) {
            memcpy(out, q->rows + row * q->k + block->column, block->columns * sizeof *out);
        } else if (at == UINT64_MAX) {
            memset(out, 0, block->columns * sizeof *out);
        } else {
            feri_ref_load_real(
                q->s->call, q->s->call->in[0], at * q->k + block->column, 1, block->columns, out);
        }
        if (feri_ref_poll(q->s->call, block->columns)) {
            break;
        }
    }
    return q->s->call->status;
}

static fer_status load_weights(void *self, const feri_ref_block *block, feri_ref_word *panel) {
    step_product *q = self;
    for (uint64_t j = 0; j < block->columns; j++) {
        double line[FERI_REF_GEMM_K];
        uint64_t start = q->weight_start + (block->column + j) * q->k + block->row;
        feri_ref_load_real(q->s->call, q->weights, start, 1, block->rows, line);
        for (uint64_t i = 0; i < block->rows; i++) {
            panel[feri_ref_gemm_b_at(block->rows, i, j)].f = line[i];
        }
        if (feri_ref_poll(q->s->call, block->rows)) {
            break;
        }
    }
    return q->s->call->status;
}

static fer_status add_sums(void *self, const feri_ref_block *block, feri_ref_word *values) {
    step_product *q = self;
    uint64_t stride = q->s->p->gates * q->s->p->hidden;
    for (uint64_t i = 0; i < block->rows; i++) {
        double *sums = q->sums + (block->row + i) * stride + block->column;
        for (uint64_t j = 0; j < block->columns; j++) {
            sums[j] += values[i * FERI_REF_GEMM_N + j].f;
        }
        if (feri_ref_poll(q->s->call, block->columns)) {
            break;
        }
    }
    return q->s->call->status;
}

/* Gates [first, first + count): from X when rows is NULL, else from rows (the state). */
static fer_status
add_product(sweep *s, const double *rows, uint64_t step, uint64_t first, uint64_t count) {
    const feri_ref_recurrent *p = s->p;
    step_product q = {.s = s, .rows = rows, .step = step, .k = rows ? p->hidden : p->width};
    q.weights = s->call->in[rows ? 2 : 1];
    q.weight_start = (s->direction * p->gates + first) * p->hidden * q.k;
    q.sums = (rows ? s->from_state : s->from_input) + first * p->hidden;
    feri_ref_gemm gemm = {.call = s->call,
                          .m = p->batch,
                          .n = count * p->hidden,
                          .k = q.k,
                          .self = &q,
                          .load_a = load_rows,
                          .load_b = load_weights,
                          .store = add_sums,
                          .scratch = s->call->scratch};
    return feri_ref_gemm_run(&gemm);
}

/* n elements of t from start on, or zeros without it. */
static void
load_line(feri_ref_call *call, const feri_ref_tensor *t, uint64_t start, uint64_t n, double *out) {
    feri_ref_piece p = {.total = n};
    while (feri_ref_next(call, &p)) {
        memset(out + p.begin, 0, p.count * sizeof *out);
        if (t) {
            feri_ref_load_real(call, t, start + p.begin, 1, p.count, out + p.begin);
        }
    }
}

/* Both sums of every batch row start with their biases. */
static void start_sums(sweep *s) {
    const feri_ref_tensor *bias = feri_ref_input(s->call, 3);
    uint64_t n = s->p->gates * s->p->hidden, of_input = s->direction * 2 * n;
    for (uint64_t row = 0; row < s->p->batch; row++) {
        load_line(s->call, bias, of_input, n, s->from_input + row * n);
        load_line(s->call, bias, of_input + n, n, s->from_state + row * n);
    }
}

/* A gate's two sums added. */
static double gate(const sweep *s, uint64_t row, uint64_t which, uint64_t unit) {
    uint64_t at = (row * s->p->gates + which) * s->p->hidden + unit;
    return s->from_input[at] + s->from_state[at];
}

static double act(const sweep *s, int which, double x) {
    double clip = s->p->clip;
    x = x > clip ? clip : x < -clip ? -clip : x;
    return feri_ref_activate(&s->p->activations[s->direction][which], x);
}

/* Peephole weight of a gate (0 i, 1 o, 2 f). */
static double peephole(const sweep *s, uint64_t gate, uint64_t unit) {
    const feri_ref_tensor *weights = feri_ref_input(s->call, 7);
    uint64_t at = (s->direction * 3 + gate) * s->p->hidden + unit;
    return weights ? feri_ref_scalar_f64(s->call, weights, at) : 0.0;
}

/* Gates are i, o, f, c. */
static void lstm_cell(sweep *s, uint64_t row, uint64_t u) {
    int has_peepholes = feri_ref_input(s->call, 7) != NULL;
    uint64_t at = row * s->p->hidden + u;
    double *c = &s->c[at], past = *c;
    double i = gate(s, row, 0, u), o = gate(s, row, 1, u), f = gate(s, row, 2, u);
    if (has_peepholes) {
        i += peephole(s, 0, u) * past;
        f += peephole(s, 2, u) * past;
    }
    i = act(s, 0, i);
    f = s->p->is_input_forget ? 1.0 - i : act(s, 0, f);
    *c = f * past + i * act(s, 1, gate(s, row, 3, u));
    if (has_peepholes) {
        o += peephole(s, 1, u) * *c;
    }
    /* clip bounds sums of products; the cell's own value goes into h as it is */
    s->h[at] = act(s, 0, o) * feri_ref_activate(&s->p->activations[s->direction][2], *c);
}

/* Gates are z, r, h. With linear_before_reset the state's part of h is there already. */
static void gru_cell(sweep *s, uint64_t row, uint64_t u) {
    uint64_t at = (row * 3 + 2) * s->p->hidden + u;
    double *h = &s->h[row * s->p->hidden + u];
    double z = act(s, 0, gate(s, row, 0, u)), of_state = s->from_state[at];
    if (s->p->is_linear_before_reset) {
        of_state *= act(s, 0, gate(s, row, 1, u));
    }
    *h = (1.0 - z) * act(s, 1, s->from_input[at] + of_state) + z * *h;
}

static void rnn_cell(sweep *s, uint64_t row, uint64_t u) {
    s->h[row * s->p->hidden + u] = act(s, 0, gate(s, row, 0, u));
}

/* The sums of one step: all gates see the old state, but GRU's h gate sees the reset one. */
static fer_status sum_gates(sweep *s, uint64_t step) {
    const feri_ref_recurrent *p = s->p;
    uint64_t n = p->hidden;
    int is_late = FERI_REF_IS(p->op, GRU) && !p->is_linear_before_reset;
    start_sums(s);
    if (add_product(s, NULL, step, 0, p->gates) ||
        add_product(s, s->h, step, 0, is_late ? 2 : p->gates) || !is_late) {
        return s->call->status;
    }
    for (uint64_t row = 0; row < p->batch; row++) {
        for (uint64_t u = 0; u < n && !feri_ref_poll(s->call, 1); u++) {
            s->reset[row * n + u] = act(s, 0, gate(s, row, 1, u)) * s->h[row * n + u];
        }
    }
    return add_product(s, s->reset, step, 2, 1);
}

/* Units of a batch row take a step; Y gets the state, or zeros behind the sequence's end. */
static void run_row(sweep *s, uint64_t row, uint64_t step) {
    const feri_ref_recurrent *p = s->p;
    feri_ref_tensor *y = feri_ref_output(s->call, 0);
    uint64_t n = p->hidden, time = step, at = row_at(s, row, step);
    int is_past = at == UINT64_MAX;
    double zeros[FERI_REF_CHUNK] = {0.0};
    if (!is_past) {
        time = p->is_batch_first ? at % p->steps : at / p->batch;
    }
    at = p->is_batch_first ? (row * p->steps + time) * p->directions + s->direction
                           : (time * p->directions + s->direction) * p->batch + row;
    feri_ref_piece units = {.total = n};
    while (feri_ref_next(s->call, &units) && !feri_ref_poll(s->call, 3 * units.count)) {
        for (uint64_t u = 0; !is_past && u < units.count; u++) {
            s->cell(s, row, units.begin + u);
        }
        if (y) {
            const double *values = is_past ? zeros : s->h + row * n + units.begin;
            feri_ref_store_real(s->call, y, at * n + units.begin, 1, units.count, values);
        }
    }
}

/* The state's element index in initial_h, Y_h and their like. */
static uint64_t state_at(const sweep *s, uint64_t row) {
    const feri_ref_recurrent *p = s->p;
    return p->hidden *
           (p->is_batch_first ? row * p->directions + s->direction : s->direction * p->batch + row);
}

/* A batch row of a final state, when somebody wants it. */
static void store_state(sweep *s, uint32_t output, uint64_t row, const double *state) {
    feri_ref_tensor *out = feri_ref_output(s->call, output);
    feri_ref_piece p = {.total = out ? s->p->hidden : 0};
    while (feri_ref_next(s->call, &p)) {
        uint64_t at = state_at(s, row) + p.begin;
        feri_ref_store_real(s->call, out, at, 1, p.count, state + p.begin);
    }
}

static void run_direction(sweep *s) {
    const feri_ref_recurrent *p = s->p;
    const feri_ref_tensor *h = feri_ref_input(s->call, 5);
    const feri_ref_tensor *c = FERI_REF_IS(p->op, LSTM) ? feri_ref_input(s->call, 6) : NULL;
    uint64_t n = p->hidden;
    for (uint64_t row = 0; row < p->batch; row++) {
        load_line(s->call, h, state_at(s, row), n, s->h + row * n);
        load_line(s->call, c, state_at(s, row), n, s->c + row * n);
    }
    for (uint64_t step = 0; step < p->steps && !sum_gates(s, step); step++) {
        for (uint64_t row = 0; row < p->batch; row++) {
            run_row(s, row, step);
        }
    }
    for (uint64_t row = 0; row < p->batch; row++) {
        store_state(s, 1, row, s->h + row * n);
        store_state(s, 2, row, s->c + row * n);
    }
}

static fer_status recurrent_run(feri_ref_call *call) {
    const feri_ref_recurrent *p = call->params;
    uint64_t sums = p->batch * p->gates * p->hidden, states = p->batch * p->hidden;
    sweep s = {.call = call, .p = p};
    s.from_input = (double *)call->scratch + FERI_REF_GEMM_BYTES / sizeof(double);
    s.from_state = s.from_input + sums;
    s.h = s.from_state + sums;
    s.c = s.h + states;
    s.reset = s.c + states;
    s.cell = FERI_REF_IS(p->op, LSTM) ? lstm_cell : FERI_REF_IS(p->op, GRU) ? gru_cell : rnn_cell;
    for (uint64_t row = 0; row < p->batch; row++) {
        if (length_of(&s, row) > p->steps) { /* a negative one is huge */
            return feri_ref_misfit(call, "sequence_lens has a length outside the sequence");
        }
        if (feri_ref_poll(call, 1)) {
            return call->status;
        }
    }
    for (s.direction = 0; states && s.direction < p->directions; s.direction++) {
        s.is_reverse = p->is_reverse || s.direction == 1;
        run_direction(&s);
    }
    return call->status;
}

#define RECURRENT(ident)                                                                           \
    FERI_REF_KERNEL(ident,                                                                         \
                    22,                                                                            \
                    .run = recurrent_run,                                                          \
                    .bind = feri_ref_recurrent_bind,                                               \
                    .params_bytes = sizeof(feri_ref_recurrent))
/* clang-format off */
const feri_ref_kernel feri_ref_family_recurrent[] = {
    RECURRENT(GRU)
    RECURRENT(LSTM)
    RECURRENT(RNN)
    FERI_REF_END
};
/* clang-format on */
