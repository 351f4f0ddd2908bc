/* SPDX-License-Identifier: Apache-2.0
 *
 * Strided loads and stores in a compute type, axis splitting and attribute checks for the heavy
 * kernel families. Callers guarantee that the elements they name lie inside the tensor.
 */
#include "ref/ref_line.h"

#include "kit/geometry.h"

#include <math.h>
#include <string.h>

fer_status feri_ref_lines_around(feri_ref_call *call,
                                 const feri_ref_tensor *t,
                                 int64_t axis,
                                 feri_ref_lines *out_lines) {
    uint32_t at = 0;
    if (!feri_kit_axis(axis, t->rank, &at)) { /* an attribute has been checked, an operand not */
        return feri_ref_misfit(call, "axis is beyond the rank of its operand");
    }
    out_lines->outer = (uint64_t)feri_kit_span(t->dims, 0, at);
    out_lines->length = (uint64_t)t->dims[at];
    out_lines->inner = (uint64_t)feri_kit_span(t->dims, at + 1, t->rank);
    return FER_OK;
}

uint64_t feri_ref_line_start(const feri_ref_lines *lines, uint64_t line) {
    return line / lines->inner * lines->length * lines->inner + line % lines->inner;
}

/* A contiguous run is one call of the host's, a strided one a call per element. */
void feri_ref_load_as(feri_ref_call *call,
                      const feri_ref_tensor *t,
                      uint64_t start,
                      uint64_t stride,
                      uint64_t count,
                      feri_ref_word *out,
                      int is_real) {
    uint64_t run = stride == 1 ? count : 1;
    for (uint64_t i = 0; i < count; i += run, start += stride) {
        if (is_real) {
            call->host->load_f64(t->dtype, t->data, start, run, &out[i].f);
        } else {
            call->host->load_i64(t->dtype, t->data, start, run, &out[i].i);
        }
    }
}

void feri_ref_load_int(feri_ref_call *call,
                       const feri_ref_tensor *t,
                       uint64_t start,
                       uint64_t stride,
                       uint64_t count,
                       int64_t *out) {
    feri_ref_load_as(call, t, start, stride, count, (void *)out, /*is_real=*/0);
}

void feri_ref_load_real(feri_ref_call *call,
                        const feri_ref_tensor *t,
                        uint64_t start,
                        uint64_t stride,
                        uint64_t count,
                        double *out) {
    feri_ref_load_as(call, t, start, stride, count, (void *)out, /*is_real=*/1);
}

void feri_ref_load(feri_ref_call *call,
                   const feri_ref_tensor *t,
                   uint64_t start,
                   uint64_t stride,
                   uint64_t count,
                   feri_ref_word *out) {
    feri_ref_load_as(call, t, start, stride, count, out, feri_ref_is_float(t->dtype));
}

int64_t feri_ref_real_to_int(fer_dtype dtype, double value) {
    int is_signed = feri_ref_is_signed(dtype);
    int bits = (int)feri_kit_bits(dtype) - is_signed;
    double top = ldexp(1.0, bits), least = is_signed ? -top : 0.0;
    if (!(value > least)) {
        return isnan(value) || !is_signed ? 0 : (int64_t)least;
    }
    if (value >= top) {
        return (int64_t)(UINT64_MAX >> (64 - bits));
    }
    return is_signed ? (int64_t)value : (int64_t)(uint64_t)value;
}

void feri_ref_store_as(feri_ref_call *call,
                       feri_ref_tensor *t,
                       uint64_t start,
                       uint64_t stride,
                       uint64_t count,
                       const feri_ref_word *values,
                       int is_real) {
    int is_cut = is_real && !feri_ref_is_float(t->dtype);
    uint64_t run = stride == 1 && !is_cut ? count : 1;
    for (uint64_t i = 0; i < count; i += run, start += stride) {
        if (is_real && !is_cut) {
            call->host->store_f64(t->dtype, t->data, start, run, &values[i].f, /*saturate=*/0);
            continue;
        }
        feri_ref_word whole = values[i];
        if (is_cut) {
            whole.i = feri_ref_real_to_int(t->dtype, whole.f);
        }
        call->host->store_i64(t->dtype, t->data, start, run, is_cut ? &whole.i : &values[i].i);
    }
}

void feri_ref_store_int(feri_ref_call *call,
                        feri_ref_tensor *t,
                        uint64_t start,
                        uint64_t stride,
                        uint64_t count,
                        const int64_t *values) {
    feri_ref_store_as(call, t, start, stride, count, (const void *)values, /*is_real=*/0);
}

void feri_ref_store_real(feri_ref_call *call,
                         feri_ref_tensor *t,
                         uint64_t start,
                         uint64_t stride,
                         uint64_t count,
                         const double *values) {
    feri_ref_store_as(call, t, start, stride, count, (const void *)values, /*is_real=*/1);
}

void feri_ref_store(feri_ref_call *call,
                    feri_ref_tensor *t,
                    uint64_t start,
                    uint64_t stride,
                    uint64_t count,
                    const feri_ref_word *values) {
    feri_ref_store_as(call, t, start, stride, count, values, feri_ref_is_float(t->dtype));
}

int64_t feri_ref_scalar_i64(feri_ref_call *call, const feri_ref_tensor *in, uint64_t index) {
    int64_t value = 0;
    call->host->load_i64(in->dtype, in->data, index, 1, &value);
    return value;
}

double feri_ref_scalar_f64(feri_ref_call *call, const feri_ref_tensor *in, uint64_t index) {
    double value = 0;
    call->host->load_f64(in->dtype, in->data, index, 1, &value);
    return value;
}

const feri_ref_tensor *feri_ref_input(feri_ref_call *call, uint32_t index) {
    return index < call->node->input_count ? call->in[index] : NULL;
}

feri_ref_tensor *feri_ref_output(feri_ref_call *call, uint32_t index) {
    return index < call->node->output_count ? call->out[index] : NULL;
}

fer_status
feri_ref_ints(feri_ref_call *call, const char *name, uint32_t count, int64_t absent, int64_t *out) {
    const fer_attr *attr = feri_ref_attr(call->node, name);
    for (uint32_t i = 0; i < count; i++) {
        out[i] = absent;
    }
    if (!attr || (attr->type == FER_ATTR_INTS && attr->count == 0)) {
        return call->status;
    }
    if (attr->type != FER_ATTR_INTS || attr->count != count) {
        return feri_ref_unfit(call);
    }
    if (count) {
        memcpy(out, attr->value.ints, count * sizeof *out);
    }
    return call->status;
}

fer_status
feri_ref_same_dims(feri_ref_call *call, const feri_ref_tensor *a, const feri_ref_tensor *b) {
    int same = a->rank == b->rank;
    for (uint32_t i = 0; same && i < a->rank; i++) {
        same = a->dims[i] == b->dims[i];
    }
    return same ? FER_OK : feri_ref_unfit(call);
}
