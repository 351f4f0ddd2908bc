/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that make values from shapes, or nothing: Shape, Size, Constant, ConstantOfShape, Range,
 * EyeLike.
 */
#include "op/infer.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

void feri_infer_shape(feri_infer *call) {
    const feri_fact *in = call->in[0];
    feri_sym dim = feri_sym_unknown();
    int64_t rank = in->rank;
    int64_t start = feri_infer_int(call, "start", 0);
    int64_t end = feri_infer_int(call, "end", rank);
    if (rank >= 0) {
        start = clamp(start < 0 ? clamp(start, -rank, 0) + rank : start, 0, rank);
        end = clamp(end < 0 ? clamp(end, -rank - 1, 0) + rank : end, 0, rank);
        dim = feri_sym_number(end > start ? end - start : 0);
    }
    uint32_t count;
    feri_infer_set(call, 0, 1, &dim);
    feri_sym *elements = feri_infer_new_elements(call, 0, &count);
    for (uint32_t i = 0; elements && i < count; i++) {
        elements[i] = in->dims[start + i];
    }
    feri_infer_trim_elements(call, 0);
}

void feri_infer_size(feri_infer *call) {
    uint32_t count;
    feri_infer_set(call, 0, 0, /*dims=*/NULL);
    feri_sym *elements = feri_infer_new_elements(call, 0, &count);
    if (elements) {
        elements[0] = feri_fact_count(call->in[0], call->terms);
    }
    feri_infer_trim_elements(call, 0);
}

/* ---- Constant ---- */

static const void *contents(const fer_tensor *tensor) {
    return tensor->buffer && tensor->buffer->host ? tensor->buffer->host + tensor->offset : NULL;
}

void feri_infer_constant(feri_infer *call) {
    static const uint8_t dtypes[] = {[FER_ATTR_INT] = FER_I64,
                                     [FER_ATTR_INTS] = FER_I64,
                                     [FER_ATTR_FLOAT] = FER_F32,
                                     [FER_ATTR_FLOATS] = FER_F32,
                                     [FER_ATTR_STRING] = FER_STRING,
                                     [FER_ATTR_STRINGS] = FER_STRING};
    feri_fact *out = feri_infer_out(call, 0);
    feri_sym dims[FER_MAX_RANK];
    if (call->attr_count != 1) {
        feri_infer_fail(
            call, "it has %u attributes, it must have exactly one value", call->attr_count);
        return;
    }
    const fer_attr *attr = &call->attrs[0];
    int32_t rank = attr->type >= FER_ATTR_INTS; /* lists */
    if (!out) {
        return;
    }
    if (attr->type == FER_ATTR_TENSOR) {
        const fer_tensor *tensor = attr->value.tensor;
        if (tensor) {
            for (uint32_t i = 0; i < tensor->rank; i++) {
                dims[i] = feri_sym_number(tensor->dims[i]);
            }
            out->dtype = tensor->dtype;
            feri_infer_set(call, 0, (int32_t)tensor->rank, dims);
            out->data = contents(tensor);
        }
        return;
    }
    dims[0] = feri_sym_number(attr->count);
    out->dtype = (fer_dtype)dtypes[attr->type];
    feri_infer_set(call, 0, rank, dims);
    /* The elements are read now: the attribute may not live as long as the fact. */
    out->data = rank ? (const void *)attr->value.ints : (const void *)&attr->value;
    feri_fact_elements(out, call->bump);
    out->data = NULL;
}

void feri_infer_constant_of_shape(feri_infer *call) {
    const fer_attr *value = feri_attr_find(call->attrs, call->attr_count, "value");
    const fer_tensor *tensor = value ? value->value.tensor : NULL;
    feri_fact one = {.kind = FER_KIND_TENSOR, .dtype = FER_F32};
    feri_sym zero = feri_sym_from_f64(0);
    uint32_t count;
    int32_t rank;
    if (tensor) {
        one.dtype = tensor->dtype;
        one.data = contents(tensor);
        if (tensor->element_count != 1) {
            feri_infer_fail(call,
                            "its value has %llu elements, it must have one",
                            (unsigned long long)tensor->element_count);
        }
    }
    feri_infer_set_dtype(call, 0, one.dtype);
    const feri_sym *shape = feri_infer_shape_operand(call, 0, &rank);
    feri_infer_set(call, 0, rank, shape);
    const feri_sym *element = tensor ? feri_fact_elements(&one, call->bump) : &zero;
    feri_sym *elements = element ? feri_infer_new_elements(call, 0, &count) : NULL;
    for (uint32_t i = 0; elements && i < count; i++) {
        elements[i] = *element;
    }
}

/* ---- Range ---- */

/* max(ceil((last - first) / step), 0), unknown where it is not known or too large. */
static feri_sym count_floats(double first, double last, double step) {
    double count = ceil((last - first) / step);
    return count < 9.0e18 ? feri_sym_number(count > 0 ? (int64_t)count : 0) : feri_sym_unknown();
}

static feri_sym count_ints(feri_terms *terms, feri_sym first, feri_sym last, int64_t step) {
    if (step == INT64_MIN) {
        return feri_sym_unknown();
    }
    feri_sym span = step > 0 ? feri_sym_sub(terms, last, first) : feri_sym_sub(terms, first, last);
    step = step > 0 ? step : -step;
    span = feri_sym_add(terms, span, feri_sym_number(step - 1));
    span = feri_sym_div(terms, span, feri_sym_number(step));
    return feri_sym_max(terms, span, feri_sym_number(0));
}

void feri_infer_range(feri_infer *call) {
    feri_terms *terms = call->terms;
    int is_float = feri_infer_is_float(call->in[0]->dtype);
    feri_sym first = feri_infer_one(call, 0);
    feri_sym last = feri_infer_one(call, 1);
    feri_sym delta = feri_infer_one(call, 2);
    double step = feri_sym_as_f64(delta);
    feri_sym dim = feri_sym_unknown();
    if (feri_sym_is_number(delta)) {
        if (is_float ? step == 0 : delta.number == 0) {
            feri_infer_fail(call, "delta is 0, so it would never end");
            return;
        }
        int is_known = feri_sym_is_number(first) && feri_sym_is_number(last);
        if (!is_float) {
            dim = count_ints(terms, first, last, delta.number);
        } else if (is_known) {
            dim = count_floats(feri_sym_as_f64(first), feri_sym_as_f64(last), step);
        }
        if (is_known && feri_sym_is_unknown(dim)) {
            feri_infer_fail(call, "its result would be too large or its operands are NaN");
        }
    }
    uint32_t count;
    feri_infer_set(call, 0, 1, &dim);
    feri_sym *elements = feri_infer_new_elements(call, 0, &count);
    for (uint32_t i = 0; elements && i < count; i++) {
        elements[i] = is_float ? feri_sym_from_f64(feri_infer_round(
                                     call->in[0]->dtype, feri_sym_as_f64(first) + i * step))
                               : first;
        first = is_float ? first : feri_sym_add(terms, first, delta);
    }
    feri_infer_trim_elements(call, 0);
}

void feri_infer_eye_like(feri_infer *call) {
    const feri_fact *in = call->in[0];
    feri_fact *out = feri_infer_out(call, 0);
    fer_dtype dtype;
    FERI_STEP(feri_infer_rank(call, 0, 2, 2));
    if (feri_infer_int(call, "dtype", 0) != 0 || in->dtype) {
        FERI_STEP(dtype = feri_infer_dtype_attr(
                      call,
                      "dtype",
                      in->dtype,
                      ~((1u << FER_STRING) | (1u << FER_C64) | (1u << FER_C128))));
        if (out) {
            out->dtype = dtype;
        }
    }
    feri_infer_set_like(call, 0, in);
}
