/* SPDX-License-Identifier: Apache-2.0
 *
 * Cast and CastLike between all dtypes that are not strings: floats to f64 and rounded once;
 * integers wrap; floats to integers truncate and then wrap (ONNX leaves what does not fit open);
 * anything but zero is true. BitCast, which only moves bits. f8e8m0 (OCP MX 1.0) is rounded here,
 * as ONNX's round_mode says. Called through the step list.
 */
#include "ref/ref_elements.h"

#include <string.h>

enum { ROUND_UP, ROUND_DOWN, ROUND_NEAREST };
typedef struct cast_params {
    int32_t saturate;
    int32_t round_mode; /* f8e8m0 only */
} cast_params;

static fer_status bind(feri_ref_call *call) {
    cast_params *params = call->params;
    fer_dtype to = call->out[0]->dtype;
    int is_float8 = to == FER_F8E4M3FN || to == FER_F8E4M3FNUZ || to == FER_F8E5M2 ||
                    to == FER_F8E5M2FNUZ || to == FER_F8E8M0;
    if (call->in[0]->count != call->out[0]->count) {
        return feri_ref_unfit(call);
    }
    /* f4e2m1 has no infinity to overflow to, and wider floats no saturation. */
    params->saturate = is_float8 ? feri_ref_int(call->node, "saturate", 1) != 0 : to == FER_F4E2M1;
    params->round_mode = feri_ref_string_is(call->node, "round_mode", "up", "down") ? ROUND_DOWN
                         : feri_ref_string_is(call->node, "round_mode", "up", "nearest")
                             ? ROUND_NEAREST
                             : ROUND_UP;
    return FER_OK;
}

/* The exponent byte of an f32: 2^(byte - 127), 255 NaN. Its denormal numbers lie on both sides of
 * the least number, 2^-127: half the fraction. */
static uint8_t round_to_e8m0(double value, const cast_params *params) {
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof(bits));
    uint32_t exponent = (bits >> 23) & 0xFF, fraction = bits & 0x7FFFFF;
    uint32_t exact = exponent > 0 ? 0 : 0x400000, middle = exponent > 0 ? 0x400000 : 0x600000;
    if (exponent == 0xFF) {
        return params->saturate && fraction == 0 ? 0xFE : 0xFF;
    }
    if (!params->saturate && fraction < exact && exponent == 0) {
        return 0xFF;
    }
    int rounds_up = params->round_mode == ROUND_UP        ? fraction > exact
                    : params->round_mode == ROUND_NEAREST ? fraction >= middle
                                                          : 0;
    if (params->saturate && exponent == 0xFE) {
        rounds_up = 0;
    }
    return (uint8_t)(exponent + (uint32_t)rounds_up);
}

static void store_floats(feri_ref_call *call,
                         const cast_params *params,
                         uint64_t begin,
                         uint64_t count,
                         const double *values) {
    feri_ref_tensor *out = call->out[0];
    if (out->dtype != FER_F8E8M0) {
        call->host->store_f64(out->dtype, out->data, begin, count, values, params->saturate);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        out->data[begin + i] = round_to_e8m0(values[i], params);
    }
}

static fer_status run(feri_ref_call *call) {
    const cast_params *params = call->params;
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    if (in->dtype == out->dtype) {
        return feri_ref_copy_all(call, in, out);
    }
    feri_ref_word values[FERI_REF_CHUNK];
    feri_ref_piece p = {.total = in->count};
    while (feri_ref_next(call, &p)) {
        if (feri_ref_is_float(in->dtype) || feri_ref_is_float(out->dtype)) {
            call->host->load_f64(in->dtype, in->data, p.begin, p.count, &values->f);
            store_floats(call, params, p.begin, p.count, &values->f);
        } else {
            call->host->load_i64(in->dtype, in->data, p.begin, p.count, &values->i);
            call->host->store_i64(out->dtype, out->data, p.begin, p.count, &values->i);
        }
    }
    return call->status;
}

/* The dims of in and out agree unless the element sizes differ in the last one: bytes decide. */
static fer_status run_bits(feri_ref_call *call) {
    return feri_ref_copy_all(call, call->in[0], call->out[0]);
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_cast[] = {
    FERI_REF_KERNEL(Cast, 25, .run = run, .bind = bind, .params_bytes = sizeof(cast_params))
    FERI_REF_KERNEL(CastLike, 25, .run = run, .bind = bind, .params_bytes = sizeof(cast_params))
    FERI_REF_KERNEL(BitCast, 26, .run = run_bits)
    FERI_REF_END
};
/* clang-format on */
