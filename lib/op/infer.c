/* SPDX-License-Identifier: Apache-2.0
 *
 * What the inference functions share; see infer.h.
 */
#include "op/infer.h"

#include "tensor/dtype.h"

#include <string.h>

fer_status feri_infer_fail(feri_infer *call, const char *format, ...) {
    if (call->status == FER_OK) {
        va_list arguments;
        va_start(arguments, format);
        call->status = feri_fail_list(FERI_FILE, FERI_LINE(FER_INVALID_MODEL), format, arguments);
        va_end(arguments);
        feri_error_prefix("%s '%s'", feri_op_name(call->op), call->node ? call->node : "");
        feri_error_set_node(call->node);
    }
    return call->status;
}

feri_fact *feri_infer_in(const feri_infer *call, uint32_t index) {
    return index < call->in_count ? call->in[index] : NULL;
}

feri_fact *feri_infer_out(const feri_infer *call, uint32_t index) {
    return index < call->out_count ? call->out[index] : NULL;
}

feri_sym feri_infer_dim(const feri_fact *fact, int32_t index) {
    if (!fact) {
        return feri_sym_unknown();
    }
    index += index < 0 ? fact->rank : 0;
    return index >= 0 && index < fact->rank ? fact->dims[index] : feri_sym_unknown();
}

/* ---- attributes ---- */

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

int64_t feri_infer_positive(feri_infer *call, const char *name, int64_t absent) {
    int64_t given = feri_infer_int(call, name, absent);
    if (given < 1) {
        feri_infer_fail(call, "%s is %lld, it must be positive", name, (long long)given);
        return 1;
    }
    return given;
}

uint32_t feri_infer_find_choice(const char *choices,
                                const char *text,
                                int (*compare)(const char *, const char *, size_t)) {
    size_t length = strlen(text);
    for (uint32_t i = 0;; i++) {
        size_t own = strcspn(choices, ",");
        if (own == length && compare(choices, text, length) == 0) {
            return i;
        }
        if (choices[own] == '\0') {
            return UINT32_MAX;
        }
        choices += own + 2;
    }
}

uint32_t feri_infer_choice(feri_infer *call, const char *name, const char *choices) {
    const char *given = feri_infer_string(call, name, NULL);
    uint32_t place = given ? feri_infer_find_choice(choices, given, strncmp) : 0;
    if (place == UINT32_MAX) {
        feri_infer_fail(call, "%s is '%s', it must be one of %s", name, given, choices);
        return 0;
    }
    return place;
}

fer_dtype
feri_infer_dtype_attr(feri_infer *call, const char *name, fer_dtype absent, uint32_t allowed) {
    int64_t number = feri_infer_int(call, name, absent);
    int is_dtype = number > 0 && number < FER_DTYPE_COUNT;
    if (!is_dtype || !(allowed & (1u << number))) {
        feri_infer_fail(call,
                        "attribute '%s' is %lld (%s), which it cannot produce",
                        name,
                        (long long)number,
                        is_dtype ? fer_dtype_name((fer_dtype)number) : "no dtype");
        return FER_DTYPE_NONE;
    }
    return (fer_dtype)number;
}

/* ---- checks ---- */

int32_t feri_infer_axis(feri_infer *call, const char *what, int64_t axis, int32_t rank) {
    if (axis < -(int64_t)rank || axis >= rank) {
        feri_infer_fail(call,
                        "%s is %lld, for rank %d it must lie in [%d, %d]",
                        what,
                        (long long)axis,
                        (int)rank,
                        -(int)rank,
                        (int)rank - 1);
        return 0;
    }
    return (int32_t)(axis < 0 ? axis + rank : axis);
}

int32_t feri_infer_axis_attr(feri_infer *call, int64_t absent, int32_t rank) {
    return feri_infer_axis(call, "axis", feri_infer_int(call, "axis", absent), rank);
}

uint32_t feri_infer_axes(
    feri_infer *call, const int64_t *given, uint32_t count, int32_t rank, int32_t *axes) {
    uint32_t seen = 0;
    for (uint32_t i = 0; i < count && call->status == FER_OK; i++) {
        int32_t axis = feri_infer_axis(call, "an axis", given ? given[i] : (int64_t)i, rank);
        if (seen & (1u << axis)) {
            feri_infer_fail(call, "axis %d is given twice", (int)axis);
            break; /* so that axes is never written beyond rank */
        }
        seen |= 1u << axis;
        if (axes) {
            axes[i] = axis;
        }
    }
    return seen;
}

int feri_infer_axes_operand(feri_infer *call,
                            uint32_t index,
                            int32_t rank,
                            int32_t *axes,
                            int32_t *out_count,
                            uint32_t *out_set) {
    const feri_fact *fact = feri_infer_in(call, index);
    int64_t numbers[FER_MAX_RANK];
    uint32_t known;
    feri_sym count = fact ? feri_fact_count(fact, call->terms) : feri_sym_number(0);
    feri_infer_rank(call, index, 0, 1);
    *out_set = 0;
    *out_count = -1;
    if (feri_sym_is_number(count)) {
        *out_count = (int32_t)count.number;
        if (count.number > rank) {
            feri_infer_fail(call,
                            "it has %lld axes for a tensor of rank %d",
                            (long long)count.number,
                            (int)rank);
            *out_count = 0;
        }
    }
    if (fact && !feri_infer_numbers(call, index, numbers, FER_MAX_RANK, &known)) {
        return 0;
    }
    *out_set = feri_infer_axes(call, numbers, (uint32_t)*out_count, rank, axes);
    return 1;
}

int feri_infer_rank(feri_infer *call, uint32_t index, int32_t least, int32_t most) {
    const feri_fact *fact = feri_infer_in(call, index);
    if (!fact || fact->rank < 0) {
        return 0;
    }
    if (fact->rank < least || fact->rank > most) {
        feri_infer_fail(call,
                        least == most ? "operand %u has rank %d, it must have rank %d"
                                      : "operand %u has rank %d, it must lie in [%d, %d]",
                        index,
                        (int)fact->rank,
                        (int)least,
                        (int)most);
        return 0;
    }
    return 1;
}

void feri_infer_equal(feri_infer *call, feri_sym a, feri_sym b, const char *what) {
    if (call->status != FER_OK || feri_terms_require_equal(call->terms, a, b)) {
        return;
    }
    char left[96];
    char right[96];
    feri_sym_print(call->terms, a, left, sizeof(left));
    feri_sym_print(call->terms, b, right, sizeof(right));
    feri_infer_fail(call, "%s must be equal, they are %s and %s", what, left, right);
}

void feri_infer_dims_equal(feri_infer *call,
                           const feri_fact *a,
                           int32_t a_index,
                           const feri_fact *b,
                           int32_t b_index,
                           const char *what) {
    feri_infer_equal(call, feri_infer_dim(a, a_index), feri_infer_dim(b, b_index), what);
}

feri_sym feri_infer_same(feri_infer *call, feri_sym a, feri_sym b, const char *what) {
    feri_infer_equal(call, a, b, what);
    return feri_sym_is_unknown(a) || feri_sym_is_number(b) ? b : a;
}

/* result, which must not be unknown where both operands are numbers. */
static feri_sym fitting(feri_infer *call, feri_sym a, feri_sym b, feri_sym result) {
    if (feri_sym_is_unknown(result) && feri_sym_is_number(a) && feri_sym_is_number(b)) {
        feri_infer_fail(call, "a dim is larger than 2^63 - 1");
    }
    return result;
}

feri_sym feri_infer_add(feri_infer *call, feri_sym a, feri_sym b) {
    return fitting(call, a, b, feri_sym_add(call->terms, a, b));
}

feri_sym feri_infer_mul(feri_infer *call, feri_sym a, feri_sym b) {
    return fitting(call, a, b, feri_sym_mul(call->terms, a, b));
}

/* The dim of a shape that is right-aligned with one of this rank, 1 in front of it. */
static feri_sym aligned(int32_t own_rank, const feri_sym *dims, int32_t i, int32_t rank) {
    i -= rank - own_rank;
    return i >= 0 ? dims[i] : feri_sym_number(1);
}

void feri_infer_check_dim(feri_infer *call, feri_sym dim, const char *what) {
    if (feri_sym_is_number(dim) && dim.number < 0) {
        feri_infer_fail(call, "%s is %lld, it must not be negative", what, (long long)dim.number);
    }
}

int32_t feri_infer_broadcast(feri_infer *call,
                             int32_t a_rank,
                             const feri_sym *a,
                             int32_t b_rank,
                             const feri_sym *b,
                             feri_sym *out) {
    int32_t rank = a_rank > b_rank ? a_rank : b_rank;
    feri_sym result[FER_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) {
        feri_sym left = aligned(a_rank, a, i, rank);
        feri_sym right = aligned(b_rank, b, i, rank);
        result[i] = feri_sym_broadcast(call->terms, left, right);
        /* Numbers that broadcast give a number. */
        if (feri_sym_is_unknown(result[i]) && feri_sym_is_number(left) &&
            feri_sym_is_number(right)) {
            feri_infer_fail(call,
                            "axis %d of the shapes does not broadcast: %lld and %lld must be equal "
                            "or one of them 1",
                            (int)i,
                            (long long)left.number,
                            (long long)right.number);
        }
    }
    memcpy(out, result, (size_t)rank * sizeof(*out));
    return rank;
}

void feri_infer_fits(feri_infer *call, uint32_t index, int32_t rank, const feri_sym *dims) {
    const feri_fact *own = feri_infer_in(call, index);
    feri_sym both[FER_MAX_RANK];
    if (!own || own->rank < 0 || rank < 0) {
        return;
    }
    if (own->rank > rank) {
        feri_infer_fail(call,
                        "operand %u has rank %d and does not broadcast to rank %d",
                        index,
                        (int)own->rank,
                        (int)rank);
        return;
    }
    feri_infer_broadcast(call, rank, dims, own->rank, own->dims, both);
    for (int32_t i = 0; i < rank; i++) {
        feri_infer_equal(call, both[i], dims[i], "the dims of an operand and of what it goes with");
    }
}

/* ---- results ---- */

void feri_infer_set(feri_infer *call, uint32_t index, int32_t rank, const feri_sym *dims) {
    feri_fact *fact = feri_infer_out(call, index);
    if (!fact || call->status != FER_OK) {
        return;
    }
    int64_t count = 1;
    int is_too_large = 0;
    int is_empty = 0;
    for (int32_t i = 0; i < rank && i < FER_MAX_RANK && dims; i++) {
        if (!feri_sym_is_number(dims[i])) {
            continue;
        }
        int64_t dim = dims[i].number;
        if (dim < 0) {
            feri_infer_fail(call,
                            "dim %d of its result %u would be %lld; the operands are too small or "
                            "an attribute is wrong",
                            (int)i,
                            index,
                            (long long)dim);
        }
        is_empty |= dim == 0;
        is_too_large |= __builtin_mul_overflow(count, dim, &count);
    }
    if (is_too_large && !is_empty) {
        feri_infer_fail(call, "its result %u has more than 2^63 - 1 elements", index);
    }
    if (call->status == FER_OK) {
        call->status = feri_fact_set_dims(fact, call->bump, rank, dims);
        if (call->status == FER_LIMIT) {
            feri_error_prefix("%s '%s'", feri_op_name(call->op), call->node ? call->node : "");
            feri_error_set_node(call->node);
        }
    }
    if (call->status == FER_OK) {
        call->status = feri_terms_status(call->terms);
    }
}

void feri_infer_set_like(feri_infer *call, uint32_t index, const feri_fact *like) {
    if (like) {
        feri_infer_set(call, index, like->rank, like->dims);
    }
}

void feri_infer_set_dtype(feri_infer *call, uint32_t index, fer_dtype dtype) {
    feri_fact *fact = feri_infer_out(call, index);
    if (fact) {
        fact->dtype = dtype;
    }
}

const feri_sym *feri_infer_shape_operand(feri_infer *call, uint32_t index, int32_t *out_count) {
    uint32_t count;
    *out_count = -1;
    if (!feri_infer_rank(call, index, 1, 1)) {
        return NULL;
    }
    feri_sym length = call->in[index]->dims[0];
    if (feri_sym_is_number(length)) {
        *out_count = length.number > FER_MAX_RANK ? FER_MAX_RANK + 1 : (int32_t)length.number;
    }
    const feri_sym *elements = feri_infer_elements(call, index, &count);
    return count <= FER_MAX_RANK ? elements : NULL;
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

int feri_infer_is_small(const feri_fact *fact) {
    return fact && feri_fact_small_count(fact) != UINT32_MAX;
}

const feri_sym *feri_infer_elements(const feri_infer *call, uint32_t index, uint32_t *out_count) {
    feri_fact *fact = feri_infer_in(call, index);
    uint32_t count;
    *out_count = 0;
    if (!fact || (count = feri_fact_small_count(fact)) == UINT32_MAX) {
        return NULL;
    }
    const feri_sym *elements = feri_fact_elements(fact, call->bump);
    if (!elements || fact->element_count != count) {
        return NULL;
    }
    *out_count = count;
    return elements;
}

feri_sym feri_infer_one(feri_infer *call, uint32_t index) {
    const feri_fact *fact = feri_infer_in(call, index);
    uint32_t count;
    feri_infer_rank(call, index, 0, 1);
    if (fact) {
        feri_infer_equal(call,
                         feri_fact_count(fact, call->terms),
                         feri_sym_number(1),
                         "the elements of an operand that has one and 1");
    }
    const feri_sym *elements = feri_infer_elements(call, index, &count);
    return count == 1 ? elements[0] : feri_sym_unknown();
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
    uint32_t count = feri_fact_small_count(fact);
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
    int to_float = feri_infer_is_float(to);
    if (feri_sym_is_unknown(element) || !feri_infer_is_small_dtype(to)) {
        return feri_sym_unknown();
    }
    if (!feri_sym_is_number(element)) { /* dims fit any index dtype */
        return (to == FER_I64 || to == FER_I32) ? element : feri_sym_unknown();
    }
    if (!feri_infer_is_float(from) && !to_float) {
        return feri_sym_number(feri_infer_wrap(to, element.number));
    }
    double value = feri_sym_as_f64(element);
    if (!feri_infer_is_float(from)) {
        if (from == FER_U64 && element.number < 0) {
            return feri_sym_unknown();
        }
        value = (double)element.number;
    }
    if (to_float) {
        return feri_sym_from_f64(feri_infer_round(to, value));
    }
    int64_t whole = value > -9.2e18 && value < 9.2e18 ? (int64_t)value : INT64_MIN;
    if (to == FER_BOOL) {
        return feri_sym_number(value != 0);
    }
    return whole == INT64_MIN || (to == FER_U64 && value < 0) || feri_infer_wrap(to, whole) != whole
               ? feri_sym_unknown()
               : feri_sym_number(whole);
}

void feri_infer_strides(int32_t rank, const feri_sym *dims, int64_t *out_strides) {
    uint64_t stride = 1; /* wraps for values that are not small, where nobody asks */
    for (int32_t i = rank - 1; i >= 0; i--) {
        out_strides[i] = (int64_t)stride;
        stride *= (uint64_t)dims[i].number;
    }
}

void feri_infer_spread_strides(const feri_fact *in, const feri_fact *out, int64_t *out_strides) {
    uint64_t stride = 1; /* wraps for values that are not small, where nobody asks */
    for (int32_t i = out->rank - 1; i >= 0; i--) {
        uint64_t dim = (uint64_t)aligned(in->rank, in->dims, i, out->rank).number;
        out_strides[i] = dim == 1 ? 0 : (int64_t)stride;
        stride *= dim;
    }
}

int64_t feri_infer_offset(const feri_fact *shape, uint32_t entry, const int64_t *strides) {
    int64_t at = 0;
    for (int32_t d = shape->rank - 1; d >= 0; d--) {
        uint32_t dim = (uint32_t)shape->dims[d].number;
        at += (int64_t)(entry % dim) * strides[d];
        entry /= dim;
    }
    return at;
}

void feri_infer_view(
    const feri_infer *call, uint32_t out, uint32_t in, int64_t offset, const int64_t *strides) {
    uint32_t in_count;
    uint32_t out_count;
    const feri_sym *source = feri_infer_elements(call, in, &in_count);
    feri_sym *target = source ? feri_infer_new_elements(call, out, &out_count) : NULL;
    for (uint32_t i = 0; target && i < out_count; i++) {
        int64_t at = offset + feri_infer_offset(call->out[out], i, strides);
        target[i] = at >= 0 && at < in_count ? source[at] : feri_sym_unknown();
    }
    feri_infer_trim_elements(call, out);
}

void feri_infer_spread(const feri_infer *call, uint32_t in) {
    int64_t strides[FER_MAX_RANK];
    const feri_fact *out = feri_infer_out(call, 0);
    if (feri_infer_is_small(out)) {
        feri_infer_spread_strides(call->in[in], out, strides);
        feri_infer_view(call, 0, in, 0, strides);
    }
}

void feri_infer_pass_elements(const feri_infer *call) {
    int64_t strides[FER_MAX_RANK];
    const feri_fact *out = feri_infer_out(call, 0);
    if (feri_infer_is_small(out)) {
        feri_infer_strides(out->rank, out->dims, strides);
        feri_infer_view(call, 0, 0, 0, strides);
    }
}
