/* SPDX-License-Identifier: Apache-2.0
 *
 * Element-wise ops: results like the operand or broadcast from all of them, casts, and the
 * activations that only pass a shape on. Small values: eval_elementwise.c.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

/* Result 0 like operand 0. */
void feri_infer_unary(feri_infer *call) {
    feri_infer_set_like(call, 0, call->in[0]);
    feri_infer_evaluate(call);
}

/* Result 0 broadcast from all operands. */
void feri_infer_broadcast_all(feri_infer *call) {
    feri_sym dims[FER_MAX_RANK];
    int32_t rank = 0;
    for (uint32_t i = 0; i < call->in_count; i++) {
        const feri_fact *fact = call->in[i];
        if (!fact) {
            continue;
        }
        if (fact->rank < 0) {
            return;
        }
        rank = feri_infer_broadcast(call, rank, dims, fact->rank, fact->dims, dims);
    }
    feri_infer_set(call, 0, rank, dims);
    feri_infer_evaluate(call);
}

/* Result 0 like operand 0, which operand 1 broadcasts to. */
void feri_infer_prelu(feri_infer *call) {
    const feri_fact *x = call->in[0];
    feri_infer_fits(call, 1, x->rank, x->dims);
    feri_infer_set_like(call, 0, x);
}

/* min and max must have one element. */
void feri_infer_clip(feri_infer *call) {
    feri_infer_one(call, 1);
    feri_infer_one(call, 2);
    feri_infer_unary(call);
}

void feri_infer_identity(feri_infer *call) {
    feri_fact *out = feri_infer_out(call, 0);
    if (out) { /* constants stay constants */
        call->status = feri_fact_copy(call->in[0], call->bump, out);
    }
}

/* ---- casts ---- */

static void cast_to(feri_infer *call, fer_dtype to) {
    const feri_fact *in = call->in[0];
    uint32_t count;
    feri_infer_set_like(call, 0, in);
    feri_infer_set_dtype(call, 0, to);
    const feri_sym *source = feri_infer_elements(call, 0, &count);
    feri_sym *target = source ? feri_infer_new_elements(call, 0, &count) : NULL;
    for (uint32_t i = 0; target && i < count; i++) {
        target[i] = feri_infer_cast(in->dtype, to, source[i]);
    }
    feri_infer_trim_elements(call, 0);
}

void feri_infer_cast_op(feri_infer *call) {
    uint32_t complex_bits = (1u << FER_C64) | (1u << FER_C128);
    cast_to(call, feri_infer_dtype_attr(call, "to", FER_DTYPE_NONE, ~complex_bits));
}

void feri_infer_cast_like(feri_infer *call) { cast_to(call, call->in[1]->dtype); }

/* The last dim scales by the ratio of the element sizes. */
void feri_infer_bit_cast(feri_infer *call) {
    const feri_fact *in = call->in[0];
    feri_fact *out = feri_infer_out(call, 0);
    fer_dtype to = FER_DTYPE_NONE;
    FERI_STEP(to = feri_infer_dtype_attr(call, "to", FER_DTYPE_NONE, ~(1u << FER_STRING)));
    if (in->dtype && fer_dtype_bits(in->dtype) != fer_dtype_bits(to)) {
        feri_infer_fail(call,
                        "%s has %u bits and %s %u; they must be equal",
                        fer_dtype_name(in->dtype),
                        fer_dtype_bits(in->dtype),
                        fer_dtype_name(to),
                        fer_dtype_bits(to));
        return;
    }
    if (out) {
        out->dtype = to;
    }
    feri_infer_set_like(call, 0, in);
}

/* ---- shapes only ---- */

/* Result 0 like operand 0; the attribute axis must fit, a scalar being a vector of one. */
void feri_infer_along_axis(feri_infer *call) {
    const feri_fact *in = call->in[0];
    int64_t absent = call->op->number == FER_OP_TensorScatter ? -2 : -1;
    if (in->rank >= 0) {
        feri_infer_axis_attr(call, absent, in->rank ? in->rank : 1);
    }
    feri_infer_set_like(call, 0, in);
}

/* Like operand 0, and a mask of the same dims. */
void feri_infer_dropout(feri_infer *call) {
    feri_infer_set_like(call, 0, call->in[0]);
    feri_infer_set_like(call, 1, call->in[0]);
    feri_infer_set_dtype(call, 1, FER_BOOL);
}
