/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops whose output follows from shapes and scalars: Shape, Size, Range, ConstantOfShape, EyeLike,
 * Trilu. Called through the step list.
 */
#include "ref/ref_elements.h"

#include <string.h>

static fer_status run_shape(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int64_t rank = in->rank;
    int64_t start = feri_ref_int(call->node, "start", 0);
    int64_t end = feri_ref_int(call->node, "end", rank);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end < 0 ? 0 : end > rank ? rank : end;
    if (out->count != (uint64_t)(end > start ? end - start : 0)) {
        return feri_ref_unfit(call);
    }
    call->host->store_i64(FER_I64, out->data, 0, out->count, in->dims + start);
    return FER_OK;
}

static fer_status run_size(feri_ref_call *call) {
    int64_t count = (int64_t)call->in[0]->count;
    call->host->store_i64(FER_I64, call->out[0]->data, 0, 1, &count);
    return FER_OK;
}

/* start + i * delta; the output's dims say how many. */
static fer_status run_range(feri_ref_call *call) {
    feri_ref_tensor *out = call->out[0];
    int is_float = feri_ref_is_float(out->dtype);
    feri_ref_word start, delta, values[FERI_REF_CHUNK];
    feri_ref_load(call, call->in[0], 0, 1, 1, &start);
    feri_ref_load(call, call->in[2], 0, 1, 1, &delta);
    feri_ref_piece p = {.total = out->count};
    while (feri_ref_next(call, &p)) {
        for (uint64_t i = 0; i < p.count; i++) {
            if (is_float) {
                values[i].f = start.f + (double)(int64_t)(p.begin + i) * delta.f;
            } else {
                values[i].u = start.u + (p.begin + i) * delta.u;
            }
        }
        feri_ref_store(call, out, p.begin, 1, p.count, values);
    }
    return call->status;
}

static fer_status run_constant_of_shape(feri_ref_call *call) {
    const fer_attr *value = feri_ref_attr(call->node, "value");
    const uint8_t *source = NULL;
    if (value) {
        source = fer_tensor_data(value->value.tensor);
        if (!source || fer_tensor_element_count(value->value.tensor) != 1 ||
            fer_tensor_dtype(value->value.tensor) != call->out[0]->dtype) {
            return feri_ref_misfit(call, "value must be one element of the output's dtype");
        }
    }
    return feri_ref_fill(call, call->out[0], source);
}

static fer_status run_eye_like(feri_ref_call *call) {
    feri_ref_tensor *out = call->out[0];
    fer_status status = feri_ref_fill(call, out, NULL);
    if (status != FER_OK || out->rank != 2) {
        return status != FER_OK ? status : feri_ref_misfit(call, "EyeLike needs a matrix");
    }
    int64_t rows = out->dims[0];
    int64_t columns = out->dims[1];
    int64_t k = feri_ref_int(call->node, "k", 0);
    const double one_f = 1;
    const int64_t one_i = 1;
    for (int64_t row = 0; row < rows; row++) {
        int64_t column;
        if (!__builtin_add_overflow(row, k, &column) && column >= 0 && column < columns) {
            uint64_t at = (uint64_t)(row * columns + column);
            if (feri_ref_is_float(out->dtype)) {
                call->host->store_f64(out->dtype, out->data, at, 1, &one_f, /*saturate=*/0);
            } else {
                call->host->store_i64(out->dtype, out->data, at, 1, &one_i);
            }
        }
        status = feri_ref_poll(call, 1);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* Rows of matrices: columns [keep_from, keep_to) stay, the rest is 0. */
static fer_status run_trilu(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    const feri_ref_tensor *k_one = call->node->input_count > 1 ? call->in[1] : NULL;
    if (in->rank < 2 || in->count != out->count || (k_one && k_one->count != 1)) {
        return feri_ref_misfit(call, "Trilu needs matrices and a scalar k");
    }
    if (in->count == 0) {
        return FER_OK;
    }
    int64_t rows = in->dims[in->rank - 2];
    int64_t columns = in->dims[in->rank - 1];
    int64_t k = k_one ? feri_ref_scalar_i64(call, k_one, 0) : 0;
    k = k < -rows ? -rows : k > columns ? columns : k; /* beyond that nothing changes */
    int is_upper = feri_ref_int(call->node, "upper", 1) != 0;
    uint32_t bits = feri_ref_bits(in->dtype);
    uint64_t total = in->count / (uint64_t)columns;
    (void)feri_ref_fill(call, out, NULL);
    for (uint64_t r = 0; r < total && call->status == FER_OK; r++) {
        int64_t edge = (int64_t)(r % (uint64_t)rows) + k + (is_upper ? 0 : 1);
        edge = edge < 0 ? 0 : edge > columns ? columns : edge;
        uint64_t from = is_upper ? (uint64_t)edge : 0;
        uint64_t count = is_upper ? (uint64_t)(columns - edge) : (uint64_t)edge;
        uint64_t row = r * (uint64_t)columns;
        feri_ref_copy_run(bits, out->data, row + from, in->data, row + from, count);
        (void)feri_ref_poll(call, (uint64_t)columns);
    }
    return call->status;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_generate[] = {
    FERI_REF_KERNEL(Shape, 25, .run = run_shape)
    FERI_REF_KERNEL(Size, 25, .run = run_size)
    FERI_REF_KERNEL(Range, 27, .run = run_range)
    FERI_REF_KERNEL(ConstantOfShape, 25, .run = run_constant_of_shape)
    FERI_REF_KERNEL(EyeLike, 22, .run = run_eye_like)
    FERI_REF_KERNEL(Trilu, 14, .run = run_trilu)
    FERI_REF_END
};
/* clang-format on */
