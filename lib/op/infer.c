/* SPDX-License-Identifier: Apache-2.0
 *
 * What the inference functions share; see infer.h.
 */
#include "op/infer.h"

#include "tensor/dtype.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

fer_status feri_infer_fail(const feri_infer *call, const char *format, ...) {
    char message[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    fer_status status = feri_fail(
        FER_INVALID_MODEL, "%s '%s': %s", call->op->name, call->node ? call->node : "", message);
    feri_error_set_node(call->node);
    return status;
}

feri_fact *feri_infer_in(const feri_infer *call, uint32_t index) {
    return index < call->in_count ? call->in[index] : NULL;
}

feri_fact *feri_infer_out(const feri_infer *call, uint32_t index) {
    return index < call->out_count ? call->out[index] : NULL;
}

int64_t feri_infer_int(const feri_infer *call, const char *name, int64_t absent) {
    return feri_attr_int(call->attrs, call->attr_count, name, absent);
}

const char *feri_infer_string(const feri_infer *call, const char *name, const char *absent) {
    return feri_attr_string(call->attrs, call->attr_count, name, absent);
}

const int64_t *feri_infer_ints(const feri_infer *call, const char *name, uint32_t *out_count) {
    const fer_attr *attr = feri_attr_find(call->attrs, call->attr_count, name);
    *out_count = 0;
    if (!attr || attr->type != FER_ATTR_INTS || attr->count == 0) {
        return NULL;
    }
    *out_count = attr->count;
    return attr->value.ints;
}

/* ---- checks ---- */

fer_status feri_infer_axis(
    const feri_infer *call, const char *what, int64_t axis, int32_t rank, int32_t *out) {
    if (axis < -(int64_t)rank || axis >= rank) {
        return feri_infer_fail(call,
                               "%s is %lld, for rank %d it must lie in [%d, %d]",
                               what,
                               (long long)axis,
                               (int)rank,
                               -(int)rank,
                               (int)rank - 1);
    }
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return FER_OK;
}

fer_status
feri_infer_axis_attr(const feri_infer *call, int64_t absent, int32_t rank, int32_t *out) {
    return feri_infer_axis(call, "axis", feri_infer_int(call, "axis", absent), rank, out);
}

fer_status feri_infer_rank(const feri_infer *call, uint32_t index, int32_t least, int32_t most) {
    const feri_fact *fact = feri_infer_in(call, index);
    if (!fact || fact->rank < 0 || (fact->rank >= least && fact->rank <= most)) {
        return FER_OK;
    }
    if (least == most) {
        return feri_infer_fail(call,
                               "operand %u has rank %d, it must have rank %d",
                               index,
                               (int)fact->rank,
                               (int)least);
    }
    return feri_infer_fail(call,
                           "operand %u has rank %d, it must lie in [%d, %d]",
                           index,
                           (int)fact->rank,
                           (int)least,
                           (int)most);
}

fer_status feri_infer_equal(const feri_infer *call, feri_sym a, feri_sym b, const char *what) {
    if (feri_terms_require_equal(call->terms, a, b)) {
        return FER_OK;
    }
    char left[96];
    char right[96];
    feri_sym_print(call->terms, a, left, sizeof(left));
    feri_sym_print(call->terms, b, right, sizeof(right));
    return feri_infer_fail(call, "%s must be equal, they are %s and %s", what, left, right);
}

fer_status feri_infer_add(const feri_infer *call, feri_sym a, feri_sym b, feri_sym *out) {
    *out = feri_sym_add(call->terms, a, b);
    if (feri_sym_is_unknown(*out) && feri_sym_is_number(a) && feri_sym_is_number(b)) {
        return feri_infer_fail(call, "a dim is larger than 2^63 - 1");
    }
    return FER_OK;
}

fer_status feri_infer_mul(const feri_infer *call, feri_sym a, feri_sym b, feri_sym *out) {
    *out = feri_sym_mul(call->terms, a, b);
    if (feri_sym_is_unknown(*out) && feri_sym_is_number(a) && feri_sym_is_number(b)) {
        return feri_infer_fail(call, "a dim is larger than 2^63 - 1");
    }
    return FER_OK;
}

fer_status feri_infer_broadcast(const feri_infer *call,
                                int32_t a_rank,
                                const feri_sym *a,
                                int32_t b_rank,
                                const feri_sym *b,
                                int32_t *out_rank,
                                feri_sym *out) {
    int32_t rank = a_rank > b_rank ? a_rank : b_rank;
    feri_sym result[FER_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) {
        int32_t ai = i - (rank - a_rank);
        int32_t bi = i - (rank - b_rank);
        feri_sym left = ai >= 0 ? a[ai] : feri_sym_number(1);
        feri_sym right = bi >= 0 ? b[bi] : feri_sym_number(1);
        if (feri_sym_is_number(left) && feri_sym_is_number(right) && left.number != right.number &&
            left.number != 1 && right.number != 1) {
            return feri_infer_fail(call,
                                   "axis %d of the shapes does not broadcast: %lld and %lld must "
                                   "be equal or one of them 1",
                                   (int)i,
                                   (long long)left.number,
                                   (long long)right.number);
        }
        result[i] = feri_sym_broadcast(call->terms, left, right);
    }
    *out_rank = rank;
    memcpy(out, result, (size_t)rank * sizeof(*out));
    return FER_OK;
}

fer_status feri_infer_check_dim(const feri_infer *call, feri_sym dim, const char *what) {
    if (feri_sym_is_number(dim) && dim.number < 0) {
        return feri_infer_fail(
            call, "%s is %lld, it must not be negative", what, (long long)dim.number);
    }
    return FER_OK;
}

/* ---- results ---- */

fer_status
feri_infer_set(const feri_infer *call, uint32_t index, int32_t rank, const feri_sym *dims) {
    feri_fact *fact = feri_infer_out(call, index);
    if (!fact) {
        return FER_OK;
    }
    if (rank > FER_MAX_RANK) {
        fer_status status = feri_fail(FER_LIMIT,
                                      "%s '%s': its result has rank %d; Ferrule allows %d",
                                      call->op->name,
                                      call->node ? call->node : "",
                                      (int)rank,
                                      FER_MAX_RANK);
        feri_error_set_node(call->node);
        return status;
    }
    int64_t count = 1;
    int is_too_large = 0;
    int is_empty = 0;
    for (int32_t i = 0; i < rank && dims; i++) {
        if (!feri_sym_is_number(dims[i])) {
            continue;
        }
        if (dims[i].number < 0) {
            return feri_infer_fail(call,
                                   "dim %d of its result %u would be %lld; the operands are too "
                                   "small or an attribute is wrong",
                                   (int)i,
                                   index,
                                   (long long)dims[i].number);
        }
        is_empty |= dims[i].number == 0;
        is_too_large |= !is_empty && __builtin_mul_overflow(count, dims[i].number, &count);
    }
    if (is_too_large && !is_empty) {
        return feri_infer_fail(call, "its result %u has more than 2^63 - 1 elements", index);
    }
    FER_TRY(feri_fact_set_dims(fact, call->bump, rank, dims));
    return feri_terms_status(call->terms);
}

fer_status feri_infer_set_like(const feri_infer *call, uint32_t index, const feri_fact *like) {
    return like ? feri_infer_set(call, index, like->rank, like->dims) : FER_OK;
}

/* ---- small values ---- */

int feri_infer_is_float(fer_dtype dtype) {
    return dtype == FER_F32 || dtype == FER_F64 || dtype == FER_F16 || dtype == FER_BF16;
}

int feri_infer_is_small_dtype(fer_dtype dtype) {
    switch (dtype) {
    case FER_I8:
    case FER_I16:
    case FER_I32:
    case FER_I64:
    case FER_U8:
    case FER_U16:
    case FER_U32:
    case FER_U64:
    case FER_BOOL:
        return 1;
    default:
        return feri_infer_is_float(dtype);
    }
}

/* The count of elements when all dims are numbers and few; UINT32_MAX otherwise. */
static uint32_t small_count(const feri_fact *fact) {
    uint64_t count = 1;
    if (fact->kind != FER_KIND_TENSOR || fact->rank < 0 ||
        !feri_infer_is_small_dtype(fact->dtype)) {
        return UINT32_MAX;
    }
    for (int32_t i = 0; i < fact->rank; i++) {
        if (!feri_sym_is_number(fact->dims[i]) || fact->dims[i].number < 0) {
            return UINT32_MAX;
        }
        count = feri_mul_sat(count, (uint64_t)fact->dims[i].number);
    }
    return count > FERI_MAX_ELEMENTS ? UINT32_MAX : (uint32_t)count;
}

int feri_infer_is_small(const feri_fact *fact) { return fact && small_count(fact) != UINT32_MAX; }

const feri_sym *feri_infer_elements(const feri_infer *call, uint32_t index, uint32_t *out_count) {
    feri_fact *fact = feri_infer_in(call, index);
    uint32_t count;
    *out_count = 0;
    if (!fact || (count = small_count(fact)) == UINT32_MAX) {
        return NULL;
    }
    const feri_sym *elements = feri_fact_elements(fact, call->bump);
    if (!elements || fact->element_count != count) {
        return NULL;
    }
    *out_count = count;
    return elements;
}

int feri_infer_numbers(
    const feri_infer *call, uint32_t index, int64_t *out, uint32_t capacity, uint32_t *out_count) {
    const feri_sym *elements = feri_infer_elements(call, index, out_count);
    if (!elements || *out_count > capacity ||
        feri_infer_is_float(feri_infer_in(call, index)->dtype)) {
        return 0;
    }
    for (uint32_t i = 0; i < *out_count; i++) {
        if (!feri_sym_is_number(elements[i])) {
            return 0;
        }
        out[i] = elements[i].number;
    }
    return 1;
}

feri_sym *feri_infer_new_elements(const feri_infer *call, uint32_t index, uint32_t *out_count) {
    feri_fact *fact = feri_infer_out(call, index);
    *out_count = 0;
    if (!fact) {
        return NULL;
    }
    uint32_t count = small_count(fact);
    if (count == UINT32_MAX) {
        return NULL;
    }
    feri_sym *elements = FERI_BUMP_ARRAY(call->bump, feri_sym, count);
    if (!elements) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        elements[i] = feri_sym_unknown();
    }
    fact->elements = elements;
    fact->element_count = count;
    *out_count = count;
    return elements;
}

void feri_infer_trim_elements(const feri_infer *call, uint32_t index) {
    feri_fact *fact = feri_infer_out(call, index);
    if (!fact || !fact->elements) {
        return;
    }
    for (uint32_t i = 0; i < fact->element_count; i++) {
        if (!feri_sym_is_unknown(fact->elements[i])) {
            return;
        }
    }
    if (fact->element_count > 0) {
        fact->elements = NULL;
        fact->element_count = 0;
    }
}

int64_t feri_infer_wrap(fer_dtype dtype, int64_t number) {
    switch (dtype) {
    case FER_I8:
        return (int8_t)(uint8_t)number;
    case FER_I16:
        return (int16_t)(uint16_t)number;
    case FER_I32:
        return (int32_t)(uint32_t)number;
    case FER_U8:
        return (uint8_t)number;
    case FER_U16:
        return (uint16_t)number;
    case FER_U32:
        return (uint32_t)number;
    case FER_BOOL:
        return number != 0;
    default:
        return number;
    }
}

double feri_infer_round(fer_dtype dtype, double value) {
    switch (dtype) {
    case FER_F32:
        return (double)(float)value;
    case FER_F16:
        return (double)feri_f16_to_f32(feri_f64_to_f16(value));
    case FER_BF16:
        return (double)feri_bf16_to_f32(feri_f64_to_bf16(value));
    default:
        return value;
    }
}

feri_sym feri_infer_cast(fer_dtype from, fer_dtype to, feri_sym element) {
    if (feri_sym_is_unknown(element) || !feri_infer_is_small_dtype(to)) {
        return feri_sym_unknown();
    }
    if (!feri_sym_is_number(element)) { /* dims fit any index dtype */
        return (to == FER_I64 || to == FER_I32) ? element : feri_sym_unknown();
    }
    if (feri_infer_is_float(from)) {
        double value = feri_sym_as_f64(element);
        if (feri_infer_is_float(to)) {
            return feri_sym_from_f64(feri_infer_round(to, value));
        }
        if (to == FER_BOOL) {
            return feri_sym_number(value != 0);
        }
        if (!(value > -9.2e18 && value < 9.2e18) || (to == FER_U64 && value < 0) ||
            feri_infer_wrap(to, (int64_t)value) != (int64_t)value) {
            return feri_sym_unknown();
        }
        return feri_sym_number((int64_t)value);
    }
    if (feri_infer_is_float(to)) {
        double value = from == FER_U64 ? (double)(uint64_t)element.number : (double)element.number;
        return feri_sym_from_f64(feri_infer_round(to, value));
    }
    return feri_sym_number(feri_infer_wrap(to, element.number));
}

void feri_infer_strides(int32_t rank, const feri_sym *dims, int64_t *out_strides) {
    int64_t stride = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        out_strides[i] = stride;
        if (__builtin_mul_overflow(stride, dims[i].number, &stride)) {
            stride = 0;
        }
    }
}

void feri_infer_view(
    const feri_infer *call, uint32_t out, uint32_t in, int64_t offset, const int64_t *strides) {
    uint32_t in_count;
    uint32_t out_count;
    const feri_sym *source = feri_infer_elements(call, in, &in_count);
    feri_sym *target = source ? feri_infer_new_elements(call, out, &out_count) : NULL;
    if (!target) {
        return;
    }
    const feri_fact *fact = feri_infer_out(call, out);
    for (uint32_t i = 0; i < out_count; i++) {
        int64_t at = offset;
        uint32_t rest = i;
        for (int32_t d = fact->rank - 1; d >= 0; d--) {
            uint32_t dim = (uint32_t)fact->dims[d].number;
            at += (int64_t)(rest % dim) * strides[d];
            rest /= dim;
        }
        target[i] = at >= 0 && at < in_count ? source[at] : feri_sym_unknown();
    }
    feri_infer_trim_elements(call, out);
}

void feri_infer_pass_elements(const feri_infer *call, uint32_t out, uint32_t in) {
    uint32_t in_count;
    uint32_t out_count;
    const feri_sym *source = feri_infer_elements(call, in, &in_count);
    feri_sym *target = source ? feri_infer_new_elements(call, out, &out_count) : NULL;
    if (target && in_count == out_count) {
        for (uint32_t i = 0; i < in_count; i++) {
            target[i] = source[i];
        }
    }
    feri_infer_trim_elements(call, out);
}
