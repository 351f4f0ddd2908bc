/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors of strings in ordinary ops. Ops that only move elements run on numbers that stand for the
 * strings, 1 and up, through the call's evaluator, and the results are read back; 0 stands for the
 * empty string, which is what Pad fills with. Equal compares directly.
 */
#include "host/string_ops.h"

#include "host/pieces.h"

#include <string.h>

/* Elements between two looks at deadline and cancel. */
enum { POLL_ELEMENTS = 1 << 16 };

/* ---- pairs ---- */

static uint64_t dim_from_end(const fer_tensor *tensor, uint32_t back) {
    return back < tensor->rank ? (uint64_t)tensor->dims[tensor->rank - 1 - back] : 1;
}

fer_status feri_pairing_begin(feri_host_call *call,
                              const fer_tensor *a,
                              const fer_tensor *b,
                              feri_pairing *out_pairing) {
    feri_pairing *p = out_pairing;
    memset(p, 0, sizeof *p);
    p->rank = a->rank > b->rank ? a->rank : b->rank;
    uint64_t a_step = 1;
    uint64_t b_step = 1;
    for (uint32_t back = 0; back < p->rank; back++) {
        uint64_t x = dim_from_end(a, back);
        uint64_t y = dim_from_end(b, back);
        if (x != y && x != 1 && y != 1) {
            return feri_host_fail(call,
                                  FER_INVALID_INPUT,
                                  "dims %llu and %llu do not broadcast",
                                  (unsigned long long)x,
                                  (unsigned long long)y);
        }
        uint32_t d = p->rank - 1 - back;
        p->dims[d] = (int64_t)(x == 1 ? y : x);
        p->a_steps[d] = x == 1 ? 0 : a_step;
        p->b_steps[d] = y == 1 ? 0 : b_step;
        a_step *= x; /* wraps only where nothing is walked: a dim is 0 */
        b_step *= y;
    }
    uint64_t bytes = 0;
    return feri_shape_check(call->env, FER_STRING, p->rank, p->dims, &p->count, &bytes);
}

void feri_pairing_next(feri_pairing *p) {
    for (uint32_t d = p->rank; d-- > 0;) {
        p->a_at += p->a_steps[d];
        p->b_at += p->b_steps[d];
        if (++p->index[d] < p->dims[d]) {
            return;
        }
        p->a_at -= p->a_steps[d] * (uint64_t)p->dims[d];
        p->b_at -= p->b_steps[d] * (uint64_t)p->dims[d];
        p->index[d] = 0;
    }
}

fer_status feri_string_at(const feri_host_call *call,
                          const fer_tensor *tensor,
                          uint64_t index,
                          const char **out_text,
                          size_t *out_length) {
    *out_text = fer_tensor_string(tensor, index, out_length);
    if (!*out_text) {
        return feri_host_fail(call,
                              FER_INVALID_INPUT,
                              "string %llu of a tensor has offsets that lie outside it",
                              (unsigned long long)index);
    }
    return FER_OK;
}

/* ---- Equal ---- */

static fer_status compare_pairs(feri_host_call *call,
                                const fer_tensor *a,
                                const fer_tensor *b,
                                feri_pairing *pairs,
                                uint8_t *out) {
    for (uint64_t i = 0; i < pairs->count; i++) {
        const char *x = NULL;
        const char *y = NULL;
        size_t x_length = 0;
        size_t y_length = 0;
        if (i % POLL_ELEMENTS == POLL_ELEMENTS - 1) {
            FER_TRY(feri_host_check(call));
        }
        FER_TRY(feri_string_at(call, a, pairs->a_at, &x, &x_length));
        FER_TRY(feri_string_at(call, b, pairs->b_at, &y, &y_length));
        out[i] = x_length == y_length && memcmp(x, y, x_length) == 0;
        feri_pairing_next(pairs);
    }
    return FER_OK;
}

fer_status feri_host_string_equal(feri_host_call *call) {
    fer_tensor *a = NULL;
    fer_tensor *b = NULL;
    fer_tensor *equal = NULL;
    feri_pairing pairs;
    FER_TRY(feri_host_tensor(call, 0, &a));
    FER_TRY(feri_host_tensor(call, 1, &b));
    if (a->dtype != FER_STRING || b->dtype != FER_STRING) {
        return feri_string_run_plain(call);
    }
    FER_TRY(feri_pairing_begin(call, a, b, &pairs));
    FER_TRY(fer_tensor_create(feri_host_context(call), FER_BOOL, pairs.rank, pairs.dims, &equal));
    return feri_host_end(call, compare_pairs(call, a, b, &pairs, fer_tensor_data(equal)), equal);
}

/* ---- movement ---- */

typedef struct text {
    const char *at;
    size_t length;
} text;

typedef struct moving {
    feri_host_call *call;
    uint32_t in_count, out_count;
    fer_tensor **in;  /* in_count: numbers for strings, else the operand; references */
    fer_tensor **out; /* output_count */
    uint64_t text_count;
    text *texts; /* 0: the empty one */
} moving;

static fer_tensor *string_operand(const feri_host_call *call, uint32_t index) {
    fer_tensor *tensor = fer_value_tensor(feri_host_operand(call, index));
    return tensor && tensor->dtype == FER_STRING ? tensor : NULL;
}

int feri_string_among_inputs(const feri_host_call *call) {
    int has = 0;
    for (uint32_t i = 0; i < call->node->formal_count; i++) {
        has |= string_operand(call, i) != NULL;
    }
    return has;
}

static uint64_t tensor_bytes(const moving *m) {
    return ((uint64_t)m->in_count + m->out_count) * sizeof *m->in;
}

static fer_status open_moving(moving *m) {
    feri_env *env = m->call->env;
    m->in_count = m->call->node->formal_count;
    m->out_count = m->call->node->output_count;
    m->text_count = 1;
    for (uint32_t i = 0; i < m->in_count; i++) {
        const fer_tensor *tensor = string_operand(m->call, i);
        m->text_count += tensor ? tensor->element_count : 0;
    }
    m->in = feri_alloc(env, tensor_bytes(m));
    m->texts = feri_alloc(env, feri_mul_sat(m->text_count, sizeof *m->texts));
    if (!m->in || !m->texts) {
        return feri_error_status();
    }
    m->out = m->in + m->in_count;
    m->texts[0].at = "";
    return FER_OK;
}

static void close_moving(moving *m) {
    feri_env *env = m->call->env;
    for (uint32_t i = 0; m->in && i < m->in_count + m->out_count; i++) {
        fer_tensor_release(m->in[i]);
    }
    feri_free(env, m->in, tensor_bytes(m));
    feri_free(env, m->texts, feri_mul_sat(m->text_count, sizeof *m->texts));
}

/* Numbers from *next up in place of the strings. */
static fer_status number_strings(moving *m, uint32_t index, uint64_t *next) {
    fer_tensor *source = string_operand(m->call, index);
    FER_TRY(fer_tensor_create(
        feri_host_context(m->call), FER_I64, source->rank, source->dims, &m->in[index]));
    int64_t *numbers = fer_tensor_data(m->in[index]);
    for (uint64_t i = 0; i < source->element_count; i++, ++*next) {
        text *next_text = &m->texts[*next];
        FER_TRY(feri_string_at(m->call, source, i, &next_text->at, &next_text->length));
        numbers[i] = next_text->length ? (int64_t)*next : 0; /* empty ones are zeros to any op */
    }
    return FER_OK;
}

static fer_status feed_operands(moving *m) {
    uint64_t next = 1;
    for (uint32_t i = 0; i < m->in_count; i++) {
        if (string_operand(m->call, i)) {
            FER_TRY(number_strings(m, i, &next));
        } else if (feri_host_operand(m->call, i)) {
            fer_tensor *tensor = NULL;
            FER_TRY(feri_host_tensor(m->call, i, &tensor));
            m->in[i] = fer_tensor_retain(tensor);
        }
    }
    return FER_OK;
}

/* The strings that the numbers of a result stand for. */
static fer_status read_strings(moving *m, const fer_tensor *numbers, fer_tensor **out_tensor) {
    const int64_t *data = fer_tensor_data(numbers);
    feri_assembly strings;
    FER_TRY(feri_assembly_begin(&strings, m->call->env, FER_STRING, numbers->rank, numbers->dims));
    fer_status status = FER_OK;
    for (uint64_t i = 0; i < numbers->element_count && status == FER_OK; i++) {
        if ((uint64_t)data[i] < m->text_count) {
            strings.strings[i] = m->texts[data[i]].at;
            strings.lengths[i] = m->texts[data[i]].length;
        } else {
            status = feri_host_fail(m->call, FER_INTERNAL, "moving strings made up a new one");
        }
    }
    return feri_assembly_end(&strings, status, out_tensor);
}

static fer_status give_moved(moving *m, uint32_t index, int are_strings) {
    fer_tensor *here = NULL;
    fer_tensor *strings = NULL;
    if (!are_strings) {
        return feri_host_give_tensor(m->call, index, fer_tensor_retain(m->out[index]));
    }
    if (m->out[index]->dtype != FER_I64) {
        return feri_host_fail(m->call, FER_INTERNAL, "moving strings changed their kind");
    }
    FER_TRY(feri_tensor_on_host(m->out[index], &here));
    fer_status status = read_strings(m, here, &strings);
    fer_tensor_release(here);
    return status == FER_OK ? feri_host_give_tensor(m->call, index, strings) : status;
}

static fer_status move(moving *m, int are_strings) {
    feri_host_call *call = m->call;
    if (!call->run_op) {
        return feri_host_fail(
            call, FER_UNSUPPORTED, "there is no device here to run it on; compile for one");
    }
    FER_TRY(open_moving(m));
    FER_TRY(feed_operands(m));
    feri_gnode plain = *call->node;
    plain.host_only = 0; /* or the evaluator would come back here */
    plain.input_count = m->in_count;
    FER_TRY(call->run_op(call->self, &plain, m->in, m->out));
    for (uint32_t o = 0; o < m->out_count; o++) {
        if (feri_host_wants(call, o) && m->out[o]) {
            FER_TRY(give_moved(m, o, are_strings));
        }
    }
    return FER_OK;
}

static fer_status run_moving(feri_host_call *call, int are_strings) {
    moving m = {.call = call};
    fer_status status = move(&m, are_strings);
    close_moving(&m);
    return status;
}

fer_status feri_host_string_move(feri_host_call *call) {
    return run_moving(call, feri_string_among_inputs(call));
}

static int64_t entry_or_one(const feri_host_call *call, const char *name, uint64_t index) {
    const fer_attr *attr = feri_attr_find(call->node->attrs, call->node->attr_count, name);
    return attr && index < attr->count ? attr->value.ints[index] : 1;
}

/* Col2Im adds where blocks overlap, and strings have no sum. */
fer_status feri_host_string_fold(feri_host_call *call) {
    fer_tensor *tensor = NULL, *block = NULL;
    FER_TRY(feri_host_tensor(call, 2, &tensor));
    FER_TRY(feri_tensor_on_host(tensor, &block));
    const int64_t *taps = fer_tensor_data(block);
    int overlaps = 0;
    for (uint64_t i = 0; i < block->element_count; i++) {
        int64_t step = entry_or_one(call, "dilations", i),
                stride = entry_or_one(call, "strides", i);
        overlaps |= taps[i] > 1 && (step < 1 || stride < 1 || (stride - 1) / step < taps[i] - 1);
    }
    fer_tensor_release(block);
    return overlaps ? feri_host_fail(call,
                                     FER_UNSUPPORTED,
                                     "its blocks may overlap, and strings have no sum; use strides "
                                     "above dilations * (block_shape - 1)")
                    : run_moving(call, /*are_strings=*/1);
}

fer_status feri_host_string_nonzero(feri_host_call *call) {
    return run_moving(call, /*are_strings=*/0);
}

fer_status feri_string_run_plain(feri_host_call *call) {
    return run_moving(call, /*are_strings=*/0);
}
