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

fer_status feri_infer_shape(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    feri_sym dim = feri_sym_unknown();
    if (in->rank < 0) {
        return feri_infer_set(call, 0, 1, &dim);
    }
    int64_t rank = in->rank;
    int64_t start = feri_infer_int(call, "start", 0);
    int64_t end = feri_infer_int(call, "end", rank);
    start = clamp(start < 0 ? clamp(start, -rank, 0) + rank : start, 0, rank);
    end = clamp(end < 0 ? clamp(end, -rank - 1, 0) + rank : end, 0, rank);
    uint32_t count;
    dim = feri_sym_number(end > start ? end - start : 0);
    FER_TRY(feri_infer_set(call, 0, 1, &dim));
    feri_sym *elements = feri_infer_new_elements(call, 0, &count);
    for (uint32_t i = 0; elements && i < count; i++) {
        elements[i] = in->dims[start + i];
    }
    feri_infer_trim_elements(call, 0);
    return FER_OK;
}

fer_status feri_infer_size(feri_infer *call) {
    uint32_t count;
    FER_TRY(feri_infer_set(call, 0, 0, /*dims=*/NULL));
    feri_sym *elements = feri_infer_new_elements(call, 0, &count);
    if (elements && count == 1) {
        elements[0] = feri_fact_count(feri_infer_in(call, 0), call->terms);
    }
    feri_infer_trim_elements(call, 0);
    return feri_terms_status(call->terms);
}

/* ---- Constant ---- */

static fer_status set_tensor(feri_infer *call, const fer_tensor *tensor) {
    feri_fact *out = feri_infer_out(call, 0);
    feri_sym dims[FER_MAX_RANK];
    if (!out || !tensor) {
        return FER_OK;
    }
    for (uint32_t i = 0; i < tensor->rank; i++) {
        dims[i] = feri_sym_number(tensor->dims[i]);
    }
    out->dtype = tensor->dtype;
    FER_TRY(feri_infer_set(call, 0, (int32_t)tensor->rank, dims));
    out->data =
        tensor->buffer && tensor->buffer->host ? tensor->buffer->host + tensor->offset : NULL;
    return FER_OK;
}

static fer_status set_list(feri_infer *call, const fer_attr *attr, fer_dtype dtype, int32_t rank) {
    feri_fact *out = feri_infer_out(call, 0);
    feri_sym dim = feri_sym_number(attr->count);
    uint32_t count;
    if (!out) {
        return FER_OK;
    }
    out->dtype = dtype;
    FER_TRY(feri_infer_set(call, 0, rank, &dim));
    feri_sym *elements = feri_infer_new_elements(call, 0, &count);
    for (uint32_t i = 0; elements && i < count; i++) {
        switch (attr->type) {
        case FER_ATTR_INT:
            elements[i] = feri_sym_number(attr->value.i);
            break;
        case FER_ATTR_INTS:
            elements[i] = feri_sym_number(attr->value.ints[i]);
            break;
        case FER_ATTR_FLOAT:
            elements[i] = feri_sym_from_f64((double)attr->value.f);
            break;
        default:
            elements[i] = feri_sym_from_f64((double)attr->value.floats[i]);
            break;
        }
    }
    return FER_OK;
}

fer_status feri_infer_constant(feri_infer *call) {
    if (call->attr_count != 1) {
        return feri_infer_fail(
            call, "it has %u attributes, it must have exactly one value", call->attr_count);
    }
    const fer_attr *attr = &call->attrs[0];
    switch (attr->type) {
    case FER_ATTR_TENSOR:
        return set_tensor(call, attr->value.tensor);
    case FER_ATTR_INT:
        return set_list(call, attr, FER_I64, 0);
    case FER_ATTR_INTS:
        return set_list(call, attr, FER_I64, 1);
    case FER_ATTR_FLOAT:
        return set_list(call, attr, FER_F32, 0);
    case FER_ATTR_FLOATS:
        return set_list(call, attr, FER_F32, 1);
    default: { /* strings have no elements here */
        feri_fact *out = feri_infer_out(call, 0);
        feri_sym dim = feri_sym_number(attr->count);
        if (out) {
            out->dtype = FER_STRING;
        }
        return feri_infer_set(call, 0, attr->type == FER_ATTR_STRINGS ? 1 : 0, &dim);
    }
    }
}

fer_status feri_infer_constant_of_shape(feri_infer *call) {
    const feri_fact *shape_fact = feri_infer_in(call, 0);
    const fer_attr *value = feri_attr_find(call->attrs, call->attr_count, "value");
    feri_fact *out = feri_infer_out(call, 0);
    const fer_tensor *tensor = value ? value->value.tensor : NULL;
    uint32_t count;
    if (tensor && tensor->element_count != 1) {
        return feri_infer_fail(call,
                               "its value has %llu elements, it must have one",
                               (unsigned long long)tensor->element_count);
    }
    if (out) {
        out->dtype = tensor ? tensor->dtype : FER_F32;
    }
    FER_TRY(feri_infer_rank(call, 0, 1, 1));
    const feri_sym *shape = feri_infer_elements(call, 0, &count);
    if (!shape) {
        if (shape_fact->rank != 1 || !feri_sym_is_number(shape_fact->dims[0])) {
            return FER_OK;
        }
        int64_t rank = shape_fact->dims[0].number;
        return feri_infer_set(
            call, 0, rank > FER_MAX_RANK ? FER_MAX_RANK + 1 : (int32_t)rank, /*dims=*/NULL);
    }
    for (uint32_t i = 0; i < count; i++) {
        FER_TRY(feri_infer_check_dim(call, shape[i], "a dim of its shape"));
    }
    FER_TRY(
        feri_infer_set(call, 0, count > FER_MAX_RANK ? FER_MAX_RANK + 1 : (int32_t)count, shape));
    const uint8_t *host = tensor && tensor->buffer && tensor->buffer->host
                              ? tensor->buffer->host + tensor->offset
                              : NULL;
    feri_sym *elements = !tensor || host ? feri_infer_new_elements(call, 0, &count) : NULL;
    for (uint32_t i = 0; elements && i < count; i++) {
        elements[i] = !host ? feri_sym_from_f64(0)
                      : feri_infer_is_float(tensor->dtype)
                          ? feri_sym_from_f64(feri_load_f64(tensor->dtype, host, 0))
                          : feri_sym_number(feri_load_i64(tensor->dtype, host, 0));
    }
    return FER_OK;
}

/* ---- Range ---- */

static feri_sym range_count_floats(double start, double limit, double delta) {
    double count = ceil((limit - start) / delta);
    if (!(count < 9.0e18)) {
        return feri_sym_unknown();
    }
    return feri_sym_number(count > 0 ? (int64_t)count : 0);
}

/* max(ceil((limit - start) / delta), 0), for a delta that is a number. */
static feri_sym
range_count(const feri_infer *call, feri_sym start, feri_sym limit, feri_sym delta) {
    feri_terms *terms = call->terms;
    if (!feri_sym_is_number(delta) || delta.number == 0 || delta.number == INT64_MIN) {
        return feri_sym_unknown();
    }
    feri_sym span =
        delta.number > 0 ? feri_sym_sub(terms, limit, start) : feri_sym_sub(terms, start, limit);
    int64_t step = delta.number > 0 ? delta.number : -delta.number;
    feri_sym up = feri_sym_add(terms, span, feri_sym_number(step - 1));
    feri_sym count = feri_sym_div(terms, up, feri_sym_number(step));
    return feri_sym_max(terms, count, feri_sym_number(0));
}

static void evaluate_range(const feri_infer *call, feri_sym start, feri_sym delta, int is_float) {
    feri_fact *out = feri_infer_out(call, 0);
    uint32_t count;
    feri_sym *elements = feri_infer_new_elements(call, 0, &count);
    for (uint32_t i = 0; elements && i < count; i++) {
        if (is_float) {
            elements[i] = feri_sym_from_f64(
                feri_infer_round(out->dtype, feri_sym_as_f64(start) + i * feri_sym_as_f64(delta)));
        } else {
            feri_sym step = feri_sym_mul(call->terms, delta, feri_sym_number(i));
            elements[i] = feri_sym_add(call->terms, start, step);
        }
    }
    feri_infer_trim_elements(call, 0);
}

fer_status feri_infer_range(feri_infer *call) {
    feri_sym value[3];
    int is_float = feri_infer_is_float(feri_infer_in(call, 0)->dtype);
    feri_sym dim = feri_sym_unknown();
    int is_known = 1;
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t count;
        FER_TRY(feri_infer_rank(call, i, 0, 1));
        const feri_sym *elements = feri_infer_elements(call, i, &count);
        if (elements && count != 1) {
            return feri_infer_fail(call, "operand %u has %u elements, it must have one", i, count);
        }
        value[i] = elements ? elements[0] : feri_sym_unknown();
        is_known &= !feri_sym_is_unknown(value[i]);
    }
    int is_zero = feri_sym_is_number(value[2]) &&
                  (is_float ? feri_sym_as_f64(value[2]) == 0 : value[2].number == 0);
    if (is_zero) {
        return feri_infer_fail(call, "delta is 0, so it would never end");
    }
    if (is_known) {
        dim = is_float ? range_count_floats(feri_sym_as_f64(value[0]),
                                            feri_sym_as_f64(value[1]),
                                            feri_sym_as_f64(value[2]))
                       : range_count(call, value[0], value[1], value[2]);
        if (feri_sym_is_unknown(dim) && feri_sym_is_number(value[0]) &&
            feri_sym_is_number(value[1])) {
            return feri_infer_fail(call, "its result would be too large or its operands are NaN");
        }
    }
    FER_TRY(feri_infer_set(call, 0, 1, &dim));
    if (is_known) {
        evaluate_range(call, value[0], value[2], is_float);
    }
    return FER_OK;
}

fer_status feri_infer_eye_like(feri_infer *call) {
    const feri_fact *in = feri_infer_in(call, 0);
    feri_fact *out = feri_infer_out(call, 0);
    fer_dtype dtype;
    FER_TRY(feri_infer_rank(call, 0, 2, 2));
    if (feri_infer_int(call, "dtype", 0) != 0 || in->dtype) {
        FER_TRY(feri_infer_dtype_attr(call,
                                      "dtype",
                                      in->dtype,
                                      ~((1u << FER_STRING) | (1u << FER_C64) | (1u << FER_C128)),
                                      &dtype));
        if (out) {
            out->dtype = dtype;
        }
    }
    return feri_infer_set_like(call, 0, in);
}
