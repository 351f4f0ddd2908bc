/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequences: made, read, changed, split from a tensor and joined to one. Values are immutable, so a
 * changed sequence is a new one that shares its items. Semantics: the ONNX schemas of Sequence*,
 * SplitToSequence (opset 24) and ConcatFromSequence.
 */
#include "host/pieces.h"
#include "tensor/dtype.h"

#include <string.h>

/* ---- made ---- */

static fer_status give_sequence(feri_host_call *call, fer_value *const *items, uint64_t count) {
    fer_value *sequence = NULL;
    FER_TRY(fer_value_sequence(feri_host_context(call), items, count, &sequence));
    feri_host_give(call, 0, sequence);
    return FER_OK;
}

static fer_status
check_alike(const feri_host_call *call, const fer_tensor *first, const fer_tensor *tensor) {
    if (first && first->dtype != tensor->dtype) {
        return feri_host_fail(call,
                              FER_INVALID_INPUT,
                              "tensors of a sequence have one dtype, not %s and %s",
                              fer_dtype_name(first->dtype),
                              fer_dtype_name(tensor->dtype));
    }
    return FER_OK;
}

fer_status feri_host_sequence_construct(feri_host_call *call) {
    fer_tensor *first = NULL;
    for (uint32_t i = 0; i < call->node->input_count; i++) {
        fer_tensor *tensor = NULL;
        FER_TRY(feri_host_tensor(call, i, &tensor));
        FER_TRY(check_alike(call, first, tensor));
        first = tensor;
    }
    return give_sequence(call, call->inputs, call->node->input_count);
}

fer_status feri_host_sequence_empty(feri_host_call *call) {
    return give_sequence(call, /*items=*/NULL, 0);
}

/* ---- read and changed ---- */

/* Operand index as a position among count items, counted from the back when negative; absent
 * without the operand. */
static fer_status read_position(
    const feri_host_call *call, uint32_t index, uint64_t count, uint64_t absent, uint64_t *out) {
    fer_value *value = feri_host_operand(call, index);
    if (!value) {
        *out = absent;
        return FER_OK;
    }
    int64_t position = 0;
    FER_TRY(feri_host_number(call, value, "its position", &position));
    *out = position < 0 ? count - (0 - (uint64_t)position) : (uint64_t)position;
    if (position < 0 && 0 - (uint64_t)position > count) {
        *out = UINT64_MAX;
    }
    return FER_OK;
}

static fer_status outside(const feri_host_call *call, uint64_t count) {
    return feri_host_fail(call,
                          FER_INVALID_INPUT,
                          "its position is outside the sequence of %llu items",
                          (unsigned long long)count);
}

fer_status feri_host_sequence_at(feri_host_call *call) {
    fer_value *sequence = NULL;
    uint64_t at = 0;
    FER_TRY(feri_host_sequence(call, 0, &sequence));
    FER_TRY(read_position(call, 1, sequence->count, UINT64_MAX, &at));
    if (at >= sequence->count) {
        return outside(call, sequence->count);
    }
    feri_host_give(call, 0, fer_value_retain(sequence->items[at]));
    return FER_OK;
}

/* The items before position skip and those after it, with item between them where there is one. */
static fer_status give_spliced(feri_host_call *call,
                               const fer_value *sequence,
                               uint64_t position,
                               uint64_t skipped,
                               fer_value *item) {
    uint64_t tail = sequence->count - position - skipped;
    uint64_t count = position + (item ? 1 : 0) + tail;
    fer_value **items = feri_alloc(call->env, feri_mul_sat(count, sizeof *items));
    if (!items) {
        return feri_error_status();
    }
    if (position) {
        memcpy(items, sequence->items, position * sizeof *items);
    }
    if (item) {
        items[position] = item;
    }
    if (tail) {
        memcpy(items + (count - tail), sequence->items + position + skipped, tail * sizeof *items);
    }
    fer_status status = give_sequence(call, items, count);
    feri_free(call->env, items, feri_mul_sat(count, sizeof *items));
    return status;
}

fer_status feri_host_sequence_insert(feri_host_call *call) {
    fer_value *sequence = NULL;
    fer_tensor *tensor = NULL;
    uint64_t at = 0;
    FER_TRY(feri_host_sequence(call, 0, &sequence));
    FER_TRY(feri_host_tensor(call, 1, &tensor));
    FER_TRY(read_position(call, 2, sequence->count, sequence->count, &at));
    if (at > sequence->count) {
        return outside(call, sequence->count);
    }
    if (sequence->count && sequence->items[0]->tensor) {
        FER_TRY(check_alike(call, sequence->items[0]->tensor, tensor));
    }
    return give_spliced(call, sequence, at, 0, call->inputs[1]);
}

fer_status feri_host_sequence_erase(feri_host_call *call) {
    fer_value *sequence = NULL;
    uint64_t at = 0;
    FER_TRY(feri_host_sequence(call, 0, &sequence));
    FER_TRY(read_position(call, 1, sequence->count, sequence->count - 1, &at));
    if (at >= sequence->count) {
        return outside(call, sequence->count);
    }
    return give_spliced(call, sequence, at, 1, /*item=*/NULL);
}

fer_status feri_host_sequence_length(feri_host_call *call) {
    fer_value *sequence = NULL;
    fer_value *length = NULL;
    FER_TRY(feri_host_sequence(call, 0, &sequence));
    FER_TRY(feri_host_scalar(call, FER_I64, (int64_t)sequence->count, &length));
    feri_host_give(call, 0, length);
    return FER_OK;
}

/* ---- split and joined ---- */

typedef struct splitting {
    feri_host_call *call;
    fer_tensor *tensor;
    fer_tensor *sizes; /* NULL: pieces of step; the last may be shorter */
    int64_t step;
    uint64_t count;
    feri_take take;
} splitting;

static fer_status count_listed(splitting *s) {
    int64_t left = s->tensor->dims[s->take.axis];
    for (uint64_t i = 0; i < s->sizes->element_count; i++) {
        int64_t size = feri_load_i64(s->sizes->dtype, fer_tensor_data(s->sizes), i);
        if (size < 0 || size > left) {
            return feri_host_fail(s->call,
                                  FER_INVALID_INPUT,
                                  "its split sizes do not add up to %lld, the length of axis %u",
                                  (long long)s->tensor->dims[s->take.axis],
                                  s->take.axis);
        }
        left -= size;
    }
    s->count = s->sizes->element_count;
    return left == 0 ? FER_OK
                     : feri_host_fail(s->call,
                                      FER_INVALID_INPUT,
                                      "its split sizes leave %lld of axis %u over",
                                      (long long)left,
                                      s->take.axis);
}

static fer_status plan_split(splitting *s) {
    fer_value *split = feri_host_operand(s->call, 1);
    FER_TRY(feri_host_tensor(s->call, 0, &s->tensor));
    FER_TRY(feri_host_axis(
        s->call, feri_host_attr(s->call, "axis", 0), s->tensor->rank, &s->take.axis));
    s->step = 1;
    s->take.drops_axis = !split && feri_host_attr(s->call, "keepdims", 1) == 0;
    if (split) {
        fer_tensor *sizes = NULL;
        FER_TRY(feri_host_tensor(s->call, 1, &sizes));
        if (sizes->rank > 1 || (sizes->dtype != FER_I64 && sizes->dtype != FER_I32)) {
            return feri_host_fail(
                s->call, FER_INVALID_INPUT, "split must be a scalar or 1-D tensor of i32 or i64");
        }
        if (sizes->rank == 1) {
            s->sizes = sizes;
            return count_listed(s);
        }
        FER_TRY(feri_host_number(s->call, split, "split", &s->step));
    }
    if (s->step <= 0) {
        return feri_host_fail(s->call,
                              FER_INVALID_INPUT,
                              "split is %lld; pieces are at least 1 long",
                              (long long)s->step);
    }
    int64_t dim = s->tensor->dims[s->take.axis];
    s->count = (uint64_t)(dim / s->step + (dim % s->step != 0));
    return FER_OK;
}

static fer_status make_piece(splitting *s, uint64_t index, fer_value **out_value) {
    int64_t left = s->tensor->dims[s->take.axis] - s->take.begin;
    s->take.length = s->sizes ? feri_load_i64(s->sizes->dtype, fer_tensor_data(s->sizes), index)
                     : s->step < left ? s->step
                                      : left;
    fer_tensor *piece = NULL;
    FER_TRY(feri_take_piece(s->tensor, &s->take, &piece));
    fer_status status = fer_value_from_tensor(piece, out_value);
    fer_tensor_release(piece);
    s->take.begin += s->take.length;
    return status;
}

fer_status feri_host_split_to_sequence(feri_host_call *call) {
    splitting s = {.call = call};
    FER_TRY(plan_split(&s));
    if (s.count > call->env->limits.max_loop_trips) {
        return feri_host_fail(call,
                              FER_LIMIT,
                              "it would make %llu pieces; max_loop_trips allows %llu",
                              (unsigned long long)s.count,
                              (unsigned long long)call->env->limits.max_loop_trips);
    }
    fer_value **items = feri_alloc(call->env, feri_mul_sat(s.count, sizeof *items));
    if (!items) {
        return feri_error_status();
    }
    fer_status status = FER_OK;
    for (uint64_t i = 0; i < s.count && status == FER_OK; i++) {
        status = i % 1024 ? FER_OK : feri_host_check(call);
        status = status == FER_OK ? make_piece(&s, i, &items[i]) : status;
    }
    status = status == FER_OK ? give_sequence(call, items, s.count) : status;
    for (uint64_t i = 0; i < s.count; i++) {
        fer_value_release(items[i]);
    }
    feri_free(call->env, items, feri_mul_sat(s.count, sizeof *items));
    return status;
}

fer_status feri_host_concat_from_sequence(feri_host_call *call) {
    fer_value *sequence = NULL;
    FER_TRY(feri_host_sequence(call, 0, &sequence));
    uint64_t count = sequence->count;
    if (!count) {
        return feri_host_fail(
            call, FER_INVALID_INPUT, "its sequence is empty, so the result has no shape");
    }
    fer_tensor **pieces = feri_alloc(call->env, feri_mul_sat(count, sizeof *pieces));
    if (!pieces) {
        return feri_error_status();
    }
    fer_status status = FER_OK;
    for (uint64_t i = 0; i < count && status == FER_OK; i++) {
        pieces[i] = sequence->items[i]->tensor;
        if (!pieces[i]) {
            status = feri_host_fail(call, FER_INVALID_INPUT, "its sequence holds no tensors");
        }
    }
    fer_tensor *joined = NULL;
    if (status == FER_OK) {
        status = feri_join_pieces(call,
                                  pieces,
                                  count,
                                  feri_host_attr(call, "axis", 0),
                                  feri_host_attr(call, "new_axis", 0) != 0,
                                  &joined);
    }
    feri_free(call->env, pieces, feri_mul_sat(count, sizeof *pieces));
    return status == FER_OK ? feri_host_give_tensor(call, 0, joined) : status;
}
