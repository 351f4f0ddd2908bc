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
        return feri_ref_fail(call, FER_INVALID_INPUT, "input and output differ in size");
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

static void
store_integers(feri_ref_call *call, uint64_t begin, uint64_t count, const double *values) {
    feri_ref_tensor *out = call->out[0];
    int64_t integers[FERI_REF_CHUNK];
    for (uint64_t i = 0; i < count; i++) {
        integers[i] = out->dtype == FER_BOOL  ? values[i] != 0
                      : out->dtype == FER_U64 ? feri_ref_to_u64_bits(values[i])
                                              : feri_ref_to_i64(values[i]);
    }
    call->host->store_i64(out->dtype, out->data, begin, count, integers);
}

static void cast_integers(feri_ref_call *call, uint64_t begin, uint64_t count) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int64_t integers[FERI_REF_CHUNK];
    call->host->load_i64(in->dtype, in->data, begin, count, integers);
    for (uint64_t i = 0; out->dtype == FER_BOOL && i < count; i++) {
        integers[i] = integers[i] != 0;
    }
    call->host->store_i64(out->dtype, out->data, begin, count, integers);
}

static fer_status run(feri_ref_call *call) {
    const cast_params *params = call->params;
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    int from_float = feri_ref_is_float(in->dtype);
    int to_float = feri_ref_is_float(out->dtype);
    if (in->dtype == out->dtype) {
        return feri_ref_copy_all(call, in, out);
    }
    double values[FERI_REF_CHUNK];
    for (uint64_t begin = 0; begin < in->count; begin += FERI_REF_CHUNK) {
        uint64_t count = in->count - begin < FERI_REF_CHUNK ? in->count - begin : FERI_REF_CHUNK;
        if (!from_float && !to_float) {
            cast_integers(call, begin, count);
        } else {
            feri_ref_load_f64(call->host, in, begin, count, values);
            if (to_float) {
                store_floats(call, params, begin, count, values);
            } else {
                store_integers(call, begin, count, values);
            }
        }
        fer_status status = feri_ref_poll(call, count);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static const char *refuse(const fer_subgraph *graph, const fer_node_view *node) {
    uint32_t from = feri_kit_class(graph->values[node->inputs[0]]->dtype);
    uint32_t to = feri_kit_class(graph->values[node->outputs[0]]->dtype);
    if (from == FERI_KIT_COMPLEX || to == FERI_KIT_COMPLEX) {
        return "casts of complex numbers are not defined";
    }
    return NULL;
}

/* The dims of in and out agree unless the element sizes differ in the last one: bytes decide. */
static fer_status run_bits(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    uint64_t bytes = feri_kit_bytes(in->dtype, in->count);
    if (bytes != feri_kit_bytes(out->dtype, out->count)) {
        return feri_ref_fail(
            call, FER_INVALID_INPUT, "input and output of a BitCast differ in bytes");
    }
    for (uint64_t done = 0; done < bytes;) {
        uint64_t run = bytes - done < 65536 ? bytes - done : 65536;
        memcpy(out->data + done, in->data + done, (size_t)run);
        done += run;
        fer_status status = feri_ref_poll(call, run / 16 + 1);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* clang-format off */
static const feri_ref_kernel kernels[] = {
    FERI_REF_ROW(Cast, 25, run, bind, sizeof(cast_params), NULL, refuse)
    FERI_REF_ROW(CastLike, 25, run, bind, sizeof(cast_params), NULL, refuse)
    FERI_REF_ROW(BitCast, 26, run_bits, NULL, 0, NULL, NULL)
    FERI_REF_END
};
/* clang-format on */
const feri_ref_family feri_ref_family_cast = FERI_REF_FAMILY_OF(kernels);
