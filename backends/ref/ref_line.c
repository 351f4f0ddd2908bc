/* SPDX-License-Identifier: Apache-2.0
 *
 * Strided loads and stores in a compute type, axis splitting and attribute checks for the heavy
 * kernel families. Callers guarantee that the elements they name lie inside the tensor.
 */
#include "ref/ref_line.h"

#include "kit/geometry.h"

#include <math.h>
#include <string.h>

fer_status feri_ref_lines_around(const feri_ref_call *call,
                                 const feri_ref_tensor *t,
                                 int64_t axis,
                                 feri_ref_lines *out_lines) {
    uint32_t at = 0;
    if (!feri_kit_axis(axis, t->rank, &at)) {
        return feri_ref_fail(call, FER_INVALID_MODEL, "axis does not exist in the operand");
    }
    out_lines->outer = (uint64_t)feri_kit_span(t->dims, 0, at);
    out_lines->length = (uint64_t)t->dims[at];
    out_lines->inner = (uint64_t)feri_kit_span(t->dims, at + 1, t->rank);
    return FER_OK;
}

void feri_ref_load_int(const feri_ref_call *call,
                       const feri_ref_tensor *t,
                       uint64_t start,
                       uint64_t stride,
                       uint64_t count,
                       int64_t *out) {
    if (stride == 1 || count == 1) {
        call->host->load_i64(t->dtype, t->data, start, count, out);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        call->host->load_i64(t->dtype, t->data, start + i * stride, 1, out + i);
    }
}

static void load_int_as_real(const feri_ref_call *call,
                             const feri_ref_tensor *t,
                             uint64_t start,
                             uint64_t stride,
                             uint64_t count,
                             double *out) {
    int64_t chunk[FERI_REF_CHUNK];
    for (uint64_t done = 0; done < count;) {
        uint64_t n = count - done < FERI_REF_CHUNK ? count - done : FERI_REF_CHUNK;
        feri_ref_load_int(call, t, start + done * stride, stride, n, chunk);
        for (uint64_t i = 0; i < n; i++) {
            out[done + i] = t->dtype == FER_U64 ? (double)(uint64_t)chunk[i] : (double)chunk[i];
        }
        done += n;
    }
}

void feri_ref_load_real(const feri_ref_call *call,
                        const feri_ref_tensor *t,
                        uint64_t start,
                        uint64_t stride,
                        uint64_t count,
                        double *out) {
    if (feri_kit_class(t->dtype) != FERI_KIT_FLOAT) {
        load_int_as_real(call, t, start, stride, count, out);
        return;
    }
    if (stride == 1 || count == 1) {
        call->host->load_f64(t->dtype, t->data, start, count, out);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        call->host->load_f64(t->dtype, t->data, start + i * stride, 1, out + i);
    }
}

void feri_ref_store_int(const feri_ref_call *call,
                        feri_ref_tensor *t,
                        uint64_t start,
                        uint64_t stride,
                        uint64_t count,
                        const int64_t *values) {
    if (stride == 1) {
        call->host->store_i64(t->dtype, t->data, start, count, values);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        call->host->store_i64(t->dtype, t->data, start + i * stride, 1, values + i);
    }
}

int64_t feri_ref_real_to_int(fer_dtype dtype, double value) {
    uint32_t bits = feri_kit_bits(dtype);
    if (isnan(value)) {
        return 0;
    }
    if (feri_kit_class(dtype) == FERI_KIT_SIGNED) {
        double top = ldexp(1.0, (int)bits - 1);
        if (value >= top) {
            return (int64_t)(UINT64_MAX >> (65 - bits));
        }
        return value <= -top ? -(int64_t)(UINT64_MAX >> (65 - bits)) - 1 : (int64_t)value;
    }
    if (value <= 0.0) {
        return 0;
    }
    if (value >= ldexp(1.0, (int)bits)) {
        return (int64_t)(UINT64_MAX >> (64 - bits));
    }
    return (int64_t)(uint64_t)value;
}

void feri_ref_store_real(const feri_ref_call *call,
                         feri_ref_tensor *t,
                         uint64_t start,
                         uint64_t stride,
                         uint64_t count,
                         const double *values) {
    if (feri_kit_class(t->dtype) == FERI_KIT_FLOAT && stride == 1) {
        call->host->store_f64(t->dtype, t->data, start, count, values, /*saturate=*/0);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (feri_kit_class(t->dtype) == FERI_KIT_FLOAT) {
            call->host->store_f64(t->dtype, t->data, start + i * stride, 1, values + i, 0);
        } else {
            int64_t whole = feri_ref_real_to_int(t->dtype, values[i]);
            call->host->store_i64(t->dtype, t->data, start + i * stride, 1, &whole);
        }
    }
}

fer_status feri_ref_ints(
    const feri_ref_call *call, const char *name, uint32_t count, int64_t absent, int64_t *out) {
    const fer_attr *attr = feri_ref_attr(call->node, name);
    for (uint32_t i = 0; i < count; i++) {
        out[i] = absent;
    }
    if (!attr || (attr->type == FER_ATTR_INTS && attr->count == 0)) {
        return FER_OK;
    }
    if (attr->type != FER_ATTR_INTS || attr->count != count) {
        return feri_ref_fail(
            call, FER_INVALID_MODEL, "an attribute's length does not fit the operand's rank");
    }
    if (count) {
        memcpy(out, attr->value.ints, count * sizeof *out);
    }
    return FER_OK;
}

fer_status feri_ref_same_dims(const feri_ref_call *call,
                              const feri_ref_tensor *a,
                              const feri_ref_tensor *b,
                              const char *message) {
    int same = a->rank == b->rank;
    for (uint32_t i = 0; same && i < a->rank; i++) {
        same = a->dims[i] == b->dims[i];
    }
    return same ? FER_OK : feri_ref_fail(call, FER_INVALID_INPUT, message);
}
