/* SPDX-License-Identifier: Apache-2.0
 *
 * Element-wise ops: results like the operand or broadcast from all of them, casts, and the
 * activations that only pass a shape on. Small values: eval_elementwise.c.
 */
#include "base/error.h"
#include "op/infer.h"

#include <string.h>

/* Result 0 like operand 0. */
fer_status feri_infer_unary(feri_infer *call) {
    FER_TRY(feri_infer_set_like(call, 0, feri_infer_in(call, 0)));
    feri_infer_evaluate(call);
    return FER_OK;
}

/* Result 0 broadcast from all operands. */
fer_status feri_infer_broadcast_all(feri_infer *call) {
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = 0;
    for (uint32_t i = 0; i < call->in_count; i++) {
        const feri_fact *fact = call->in[i];
        if (!fact) {
            continue;
        }
        if (fact->rank < 0) {
            return FER_OK;
        }
        FER_TRY(feri_infer_broadcast(call, rank, dims, fact->rank, fact->dims, &rank, dims));
    }
    FER_TRY(feri_infer_set(call, 0, rank, dims));
    feri_infer_evaluate(call);
    return FER_OK;
}

/* Result 0 like operand 0, which operand 1 broadcasts to. */
fer_status feri_infer_prelu(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    const feri_fact *slope = feri_infer_in(call, 1);
    if (x->rank >= 0 && slope->rank >= 0) {
        feri_sym dims[FER_MAX_RANK];
        int32_t rank;
        FER_TRY(
            feri_infer_broadcast(call, x->rank, x->dims, slope->rank, slope->dims, &rank, dims));
        if (rank != x->rank) {
            return feri_infer_fail(call,
                                   "slope has rank %d and does not broadcast to X of rank %d",
                                   (int)slope->rank,
                                   (int)x->rank);
        }
        for (int32_t i = 0; i < rank; i++) {
            FER_TRY(feri_infer_equal(call, dims[i], x->dims[i], "X's dims and slope's"));
        }
    }
    return feri_infer_set_like(call, 0, x);
}

/* min and max must be scalars. */
fer_status feri_infer_clip(feri_infer *call) {
    for (uint32_t i = 1; i <= 2; i++) {
        FER_TRY(feri_infer_rank(call, i, 0, 1));
        const feri_fact *bound = feri_infer_in(call, i);
        if (bound && bound->rank == 1) {
            FER_TRY(feri_infer_equal(
                call, bound->dims[0], feri_sym_number(1), "the size of a bound and 1"));
        }
    }
    FER_TRY(feri_infer_set_like(call, 0, feri_infer_in(call, 0)));
    feri_infer_evaluate(call);
    return FER_OK;
}

fer_status feri_infer_identity(feri_infer *call) {
    feri_fact *out = feri_infer_out(call, 0);
    const feri_fact *in = feri_infer_in(call, 0);
    if (!out) {
        return FER_OK;
    }
    const void *data = in->data;
    FER_TRY(feri_fact_copy(in, call->bump, out));
    out->data = data;
    return FER_OK;
}

/* ---- casts ---- */

static fer_status cast_to(feri_infer *call, fer_dtype to) {
    const feri_fact *in = feri_infer_in(call, 0);
    feri_fact *out = feri_infer_out(call, 0);
    FER_TRY(feri_infer_set_like(call, 0, in));
    if (!out) {
        return FER_OK;
    }
    out->dtype = to;
    uint32_t count;
    uint32_t out_count;
    const feri_sym *source = feri_infer_elements(call, 0, &count);
    feri_sym *target = source ? feri_infer_new_elements(call, 0, &out_count) : NULL;
    if (target && out_count == count) {
        for (uint32_t i = 0; i < count; i++) {
            target[i] = feri_infer_cast(in->dtype, to, source[i]);
        }
    }
    feri_infer_trim_elements(call, 0);
    return FER_OK;
}

/* The dtype an attribute names; bits of the set say which are fine. */
fer_status feri_infer_dtype_attr(
    const feri_infer *call, const char *name, fer_dtype absent, uint32_t allowed, fer_dtype *out) {
    int64_t number = feri_infer_int(call, name, absent);
    if (number <= 0 || number >= FER_DTYPE_COUNT || !(allowed & (1u << number))) {
        return feri_infer_fail(call,
                               "attribute '%s' is %lld (%s), which it cannot produce",
                               name,
                               (long long)number,
                               number > 0 && number < FER_DTYPE_COUNT
                                   ? fer_dtype_name((fer_dtype)number)
                                   : "no dtype");
    }
    *out = (fer_dtype)number;
    return FER_OK;
}

fer_status feri_infer_cast_op(feri_infer *call) {
    fer_dtype to = FER_DTYPE_NONE;
    uint32_t complex_bits = (1u << FER_C64) | (1u << FER_C128);
    FER_TRY(feri_infer_dtype_attr(call, "to", FER_DTYPE_NONE, ~complex_bits, &to));
    return cast_to(call, to);
}

fer_status feri_infer_cast_like(feri_infer *call) {
    const feri_fact *target = feri_infer_in(call, 1);
    return cast_to(call, target->dtype);
}

/* The last dim scales by the ratio of the element sizes. */
fer_status feri_infer_bit_cast(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    feri_fact *out = feri_infer_out(call, 0);
    fer_dtype to = FER_DTYPE_NONE;
    FER_TRY(feri_infer_dtype_attr(call, "to", FER_DTYPE_NONE, ~(1u << FER_STRING), &to));
    if (in->dtype && fer_dtype_bits(in->dtype) != fer_dtype_bits(to)) {
        return feri_infer_fail(call,
                               "%s has %u bits and %s %u; they must be equal",
                               fer_dtype_name(in->dtype),
                               fer_dtype_bits(in->dtype),
                               fer_dtype_name(to),
                               fer_dtype_bits(to));
    }
    if (out) {
        out->dtype = to;
    }
    return feri_infer_set_like(call, 0, in);
}

/* ---- shapes only ---- */

/* Result 0 like operand 0; the attribute axis must fit. */
fer_status feri_infer_along_axis(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    int64_t absent = strcmp(call->op->name, "TensorScatter") == 0 ? -2 : -1;
    if (in->rank >= 0) {
        int32_t axis;
        int64_t given = feri_infer_int(call, "axis", absent);
        if (in->rank == 0 && (given == 0 || given == -1)) {
            return feri_infer_set_like(call, 0, in); /* a scalar is a vector of one */
        }
        FER_TRY(feri_infer_axis(call, "axis", given, in->rank, &axis));
    }
    return feri_infer_set_like(call, 0, in);
}

/* Like operand 0, and a mask of the same dims. */
fer_status feri_infer_dropout(feri_infer *call) {
    FER_TRY(feri_infer_set_like(call, 0, feri_infer_in(call, 0)));
    FER_TRY(feri_infer_set_like(call, 1, feri_infer_in(call, 0)));
    if (feri_infer_out(call, 1)) {
        feri_infer_out(call, 1)->dtype = FER_BOOL;
    }
    return FER_OK;
}
