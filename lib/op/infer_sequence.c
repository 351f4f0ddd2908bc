/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequences, optionals and strings: kinds and dtypes; what is inside a sequence has no shape here.
 */
#include "op/infer.h"

#include <string.h>

static void set_sequence(feri_infer *call, fer_dtype dtype) {
    feri_fact *out = feri_infer_out(call, 0);
    if (out) {
        out->kind = FER_KIND_SEQUENCE;
        out->dtype = dtype;
    }
}

/* SequenceConstruct, SplitToSequence: of operand 0's dtype. */
void feri_infer_to_sequence(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    set_sequence(call, in ? in->dtype : FER_DTYPE_NONE);
    if (strcmp(feri_op_name(call->op), "SplitToSequence") == 0 && in->rank >= 0) {
        feri_infer_rank(call, 1, 0, 1);
        feri_infer_axis_attr(call, 0, in->rank);
    }
}

void feri_infer_sequence_empty(feri_infer *call) {
    fer_dtype dtype;
    FERI_STEP(dtype = feri_infer_dtype_attr(call, "dtype", FER_F32, UINT32_MAX));
    set_sequence(call, dtype);
}

/* SequenceInsert, SequenceErase: the sequence again. */
void feri_infer_sequence_edit(feri_infer *call) {
    const feri_fact *sequence = feri_infer_in(call, 0);
    const feri_fact *item = feri_infer_in(call, 1);
    fer_dtype dtype = sequence->dtype;
    if (strcmp(feri_op_name(call->op), "SequenceInsert") == 0) {
        if (dtype && item->dtype && item->dtype != dtype) {
            feri_infer_fail(call,
                            "a tensor of %s cannot go into a sequence of %s",
                            fer_dtype_name(item->dtype),
                            fer_dtype_name(dtype));
            return;
        }
        dtype = dtype ? dtype : item->dtype;
    }
    set_sequence(call, dtype);
}

/* SequenceAt, ConcatFromSequence: a tensor of the sequence's dtype. */
void feri_infer_from_sequence(feri_infer *call) {
    feri_fact *out = feri_infer_out(call, 0);
    if (out) {
        out->kind = FER_KIND_TENSOR;
        out->dtype = feri_infer_in(call, 0)->dtype;
    }
}

/* SequenceLength: a scalar. */
void feri_infer_scalar(feri_infer *call) { feri_infer_set(call, 0, 0, /*dims=*/NULL); }

/* The attribute type, made by the importer, is [kind of the element, dtype]. */
void feri_infer_optional(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    feri_fact *out = feri_infer_out(call, 0);
    uint32_t count;
    const int64_t *type = feri_infer_ints(call, "type", &count);
    if (!in && count != 2) {
        feri_infer_fail(call, "it has neither an input nor a type");
        return;
    }
    if (!out) {
        return;
    }
    out->kind = FER_KIND_OPTIONAL;
    if (in) {
        out->dtype = in->dtype;
        out->is_optional_of_sequence = in->kind == FER_KIND_SEQUENCE;
        return;
    }
    if (type[1] <= 0 || type[1] >= FER_DTYPE_COUNT) {
        feri_infer_fail(call, "its type names dtype %lld", (long long)type[1]);
        return;
    }
    out->dtype = (fer_dtype)type[1];
    out->is_optional_of_sequence = type[0] == FER_KIND_SEQUENCE;
}

void feri_infer_optional_has(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    uint32_t count;
    FERI_STEP(feri_infer_set(call, 0, 0, /*dims=*/NULL));
    if (!in || in->kind == FER_KIND_TENSOR || in->kind == FER_KIND_SEQUENCE) {
        feri_sym *element = feri_infer_new_elements(call, 0, &count);
        if (element && count == 1) {
            element[0] = feri_sym_number(in != NULL);
        }
    }
}

void feri_infer_optional_get(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    feri_fact *out = feri_infer_out(call, 0);
    if (!out) {
        return;
    }
    if (in->kind != FER_KIND_OPTIONAL) {
        call->status = feri_fact_copy(in, call->bump, out);
        return;
    }
    out->kind = in->is_optional_of_sequence ? FER_KIND_SEQUENCE : FER_KIND_TENSOR;
    out->dtype = in->dtype;
}

/* ---- strings ---- */

void feri_infer_string_normalizer(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    feri_sym dims[2] = {feri_sym_unknown(), feri_sym_unknown()};
    FERI_STEP(feri_infer_rank(call, 0, 1, 2));
    if (x->rank == 2) {
        dims[0] = feri_sym_number(1);
    }
    if (!(x->rank < 0)) {
        feri_infer_set(call, 0, x->rank, dims);
    }
}

void feri_infer_string_split(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    feri_sym dims[FER_MAX_RANK + 1];
    if (x->rank < 0) {
        return;
    }
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(*dims));
    dims[x->rank] = feri_sym_unknown();
    FERI_STEP(feri_infer_set(call, 0, x->rank + 1, dims));
    feri_infer_set(call, 1, x->rank, dims);
}
