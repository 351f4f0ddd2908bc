/* SPDX-License-Identifier: Apache-2.0
 *
 * QuantizeLinear and DequantizeLinear with one scale, one per entry of an axis, or one per block
 * along it. The quotient is rounded to the dtype of the division (the scale's, or precision), then
 * to an integer, ties to even. Called through the step list.
 */
#include "ref/ref_line.h"

#include <math.h>

/* Where the factor (scale, zero point) of an element is. */
typedef struct factors {
    uint64_t axis;
    uint64_t inner;
    uint64_t block; /* 0: one per entry of the axis */
    uint32_t is_one;
    uint32_t reserved;
} factors;

static fer_status bind(feri_ref_call *call) {
    factors *f = call->params;
    const feri_ref_tensor *x = call->in[0], *scale = call->in[1], *zero = feri_ref_input(call, 2);
    int64_t block = feri_ref_int(call->node, "block_size", 0);
    feri_ref_lines lines = {1, 1, 1};
    if (call->out[0]->count != x->count || (zero && zero->count != scale->count)) {
        return feri_ref_misfit(call, "scale and zero point differ in size");
    }
    f->is_one = scale->count == 1 && block == 0;
    if (f->is_one) {
        return FER_OK;
    }
    fer_status status = feri_ref_lines_around(call, x, feri_ref_int(call->node, "axis", 1), &lines);
    if (status != FER_OK) {
        return status;
    }
    f->axis = lines.length;
    f->inner = lines.inner;
    f->block = block > 0 ? (uint64_t)block : 0;
    uint64_t want = lines.length;
    if (block > 0) {
        uint64_t blocks = lines.length / f->block + (lines.length % f->block != 0);
        want = lines.outer * blocks * lines.inner;
    }
    return scale->count == want ? FER_OK
                                : feri_ref_misfit(call, "the scales do not fit the axis of x");
}

/* Factors of elements [begin, begin + count): runs that share one or that are neighbours. */
static void load_factors(
    feri_ref_call *call, const feri_ref_tensor *t, uint64_t begin, uint64_t count, double *out) {
    const factors *f = call->params;
    for (uint64_t i = 0; i < count;) {
        uint64_t index = 0, run = count - i;
        int is_same = 1;
        if (!f->is_one) {
            uint64_t in = (begin + i) % f->inner;
            uint64_t at = (begin + i) / f->inner % f->axis;
            uint64_t left = f->inner > 1 ? f->inner - in : f->axis - at;
            index = at;
            is_same = f->inner > 1;
            if (f->block) {
                uint64_t blocks = f->axis / f->block + (f->axis % f->block != 0);
                uint64_t outer = (begin + i) / f->inner / f->axis;
                index = (outer * blocks + at / f->block) * f->inner + in;
                is_same = f->inner == 1;
                if (is_same && left > f->block - at % f->block) {
                    left = f->block - at % f->block;
                }
            }
            run = run < left ? run : left;
        }
        feri_ref_load_real(call, t, index, 1, is_same ? 1 : run, out + i);
        for (uint64_t k = 1; is_same && k < run; k++) {
            out[i + k] = out[i];
        }
        i += run;
    }
}

/* values as dtype holds them; others than floats of fewer bits stay. */
static void round_to(feri_ref_call *call, fer_dtype dtype, uint64_t count, double *values) {
    uint8_t packed[FERI_REF_CHUNK * 8];
    if (dtype == FER_F32 || dtype == FER_F16 || dtype == FER_BF16) {
        call->host->store_f64(dtype, packed, 0, count, values, /*saturate=*/0);
        call->host->load_f64(dtype, packed, 0, count, values);
    }
}

static fer_status run_quantize(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0], *scale = call->in[1], *zero = feri_ref_input(call, 2);
    feri_ref_tensor *y = call->out[0];
    int is_float = feri_ref_is_float(y->dtype);
    fer_dtype precision = (fer_dtype)feri_ref_int(call->node, "precision", 0);
    int32_t saturate = feri_ref_int(call->node, "saturate", 1) != 0;
    precision = precision ? precision : scale->dtype;
    for (uint64_t begin = 0; begin < x->count; begin += FERI_REF_CHUNK) {
        double values[FERI_REF_CHUNK], factor[FERI_REF_CHUNK];
        uint64_t count = x->count - begin < FERI_REF_CHUNK ? x->count - begin : FERI_REF_CHUNK;
        feri_ref_load_real(call, x, begin, 1, count, values);
        load_factors(call, scale, begin, count, factor);
        for (uint64_t i = 0; i < count; i++) {
            values[i] /= factor[i];
        }
        round_to(call, precision, count, values);
        for (uint64_t i = 0; !is_float && i < count; i++) {
            values[i] = rint(values[i]);
        }
        if (zero) {
            load_factors(call, zero, begin, count, factor);
            for (uint64_t i = 0; i < count; i++) {
                values[i] += factor[i];
            }
        }
        if (is_float) {
            call->host->store_f64(y->dtype, y->data, begin, count, values, saturate);
        } else {
            int64_t whole[FERI_REF_CHUNK];
            for (uint64_t i = 0; i < count; i++) {
                whole[i] = feri_ref_real_to_int(y->dtype, values[i]);
            }
            call->host->store_i64(y->dtype, y->data, begin, count, whole);
        }
        fer_status status = feri_ref_poll(call, count);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status run_dequantize(feri_ref_call *call) {
    const feri_ref_tensor *x = call->in[0], *scale = call->in[1], *zero = feri_ref_input(call, 2);
    feri_ref_tensor *y = call->out[0];
    for (uint64_t begin = 0; begin < x->count; begin += FERI_REF_CHUNK) {
        double values[FERI_REF_CHUNK], factor[FERI_REF_CHUNK];
        uint64_t count = x->count - begin < FERI_REF_CHUNK ? x->count - begin : FERI_REF_CHUNK;
        feri_ref_load_real(call, x, begin, 1, count, values);
        if (zero) {
            load_factors(call, zero, begin, count, factor);
            for (uint64_t i = 0; i < count; i++) {
                values[i] -= factor[i];
            }
        }
        load_factors(call, scale, begin, count, factor);
        for (uint64_t i = 0; i < count; i++) {
            values[i] *= factor[i];
        }
        call->host->store_f64(y->dtype, y->data, begin, count, values, /*saturate=*/0);
        fer_status status = feri_ref_poll(call, count);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_quantize[] = {
    FERI_REF_KERNEL(QuantizeLinear, 25, .run = run_quantize, .bind = bind, .params_bytes = sizeof(factors))
    FERI_REF_KERNEL(DequantizeLinear, 25, .run = run_dequantize, .bind = bind, .params_bytes = sizeof(factors))
    FERI_REF_END
};
/* clang-format on */
