/* SPDX-License-Identifier: Apache-2.0
 *
 * QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: like x; the dtype from an attribute or
 * an operand; scales per tensor, per axis or per block.
 */
#include "op/infer.h"

#include <string.h>

#define BIT(dtype) (1u << (dtype))

/* A scalar or one element: both stand for the whole tensor, also mixed. */
static int is_one(const feri_fact *fact) {
    return fact->rank == 0 ||
           (fact->rank == 1 && feri_sym_is_number(fact->dims[0]) && fact->dims[0].number == 1);
}

/* The scale's shape against x: one element, dims[axis] of them, or blocks along axis. */
static void check_scale(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    const feri_fact *scale = feri_infer_in(call, 1);
    const feri_fact *zero = feri_infer_in(call, 2);
    int64_t block = feri_infer_int(call, "block_size", 0);
    int32_t axis = 0;
    if (block < 0) {
        feri_infer_fail(call, "block_size is %lld, it must not be negative", (long long)block);
        return;
    }
    if (zero && zero->rank >= 0 && scale->rank >= 0 && zero->rank != scale->rank &&
        !(is_one(zero) && is_one(scale))) {
        feri_infer_fail(call,
                        "the scale has rank %d and the zero point %d; they must be equal",
                        (int)scale->rank,
                        (int)zero->rank);
        return;
    }
    for (int32_t i = 0; zero && zero->rank == scale->rank && i < zero->rank; i++) {
        FERI_STEP(feri_infer_equal(
            call, zero->dims[i], scale->dims[i], "the dims of scale and zero point"));
    }
    if (x->rank < 0 || scale->rank <= 0) {
        return;
    }
    int is_single =
        scale->rank == 1 && feri_sym_is_number(scale->dims[0]) && scale->dims[0].number == 1;
    if (is_single) {
        return;
    }
    FERI_STEP(axis = feri_infer_axis_attr(call, 1, x->rank));
    if (block == 0) {
        FERI_STEP(feri_infer_rank(call, 1, 1, 1));
        feri_infer_equal(
            call, scale->dims[0], x->dims[axis], "the count of scales and the axis of x");
        return;
    }
    FERI_STEP(feri_infer_rank(call, 1, x->rank, x->rank));
    for (int32_t i = 0; i < x->rank; i++) {
        feri_sym want = x->dims[i];
        if (i == axis) {
            feri_sym up = feri_sym_add(call->terms, want, feri_sym_number(block - 1));
            want = feri_sym_div(call->terms, up, feri_sym_number(block));
        }
        FERI_STEP(feri_infer_equal(call, scale->dims[i], want, "the scale's dims and x's blocks"));
    }
}

void feri_infer_quantize_linear(feri_infer *call) {
    const feri_fact *zero = feri_infer_in(call, 2);
    feri_fact *out = feri_infer_out(call, 0);
    int64_t asked = feri_infer_int(call, "output_dtype", 0);
    uint32_t allowed = BIT(FER_F8E4M3FN) | BIT(FER_F8E4M3FNUZ) | BIT(FER_F8E5M2) |
                       BIT(FER_F8E5M2FNUZ) | BIT(FER_U4) | BIT(FER_I4) | BIT(FER_U2) | BIT(FER_I2) |
                       BIT(FER_F4E2M1) | BIT(FER_I8) | BIT(FER_I16) | BIT(FER_U8) | BIT(FER_U16);
    fer_dtype dtype = zero && zero->dtype ? zero->dtype : FER_U8;
    if (asked != 0) {
        FERI_STEP(dtype = feri_infer_dtype_attr(call, "output_dtype", FER_DTYPE_NONE, allowed));
        if (zero && zero->dtype && zero->dtype != dtype) {
            feri_infer_fail(call,
                            "output_dtype is %s, but the zero point is %s",
                            fer_dtype_name(dtype),
                            fer_dtype_name(zero->dtype));
            return;
        }
    }
    if (out) {
        out->dtype = dtype;
    }
    FERI_STEP(check_scale(call));
    feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}

void feri_infer_dequantize_linear(feri_infer *call) {
    feri_fact *out = feri_infer_out(call, 0);
    const feri_fact *scale = feri_infer_in(call, 1);
    int64_t asked = feri_infer_int(call, "output_dtype", 0);
    fer_dtype dtype = scale->dtype;
    if (asked != 0 || (dtype && dtype == FER_F8E8M0)) {
        FERI_STEP(
            dtype = feri_infer_dtype_attr(
                call, "output_dtype", FER_DTYPE_NONE, BIT(FER_F32) | BIT(FER_F16) | BIT(FER_BF16)));
    }
    if (out) {
        out->dtype = dtype;
    }
    FERI_STEP(check_scale(call));
    feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}

void feri_infer_dynamic_quantize(feri_infer *call) {
    FERI_STEP(feri_infer_set_like(call, 0, feri_infer_in(call, 0)));
    FERI_STEP(feri_infer_set(call, 1, 0, /*dims=*/NULL));
    feri_infer_set(call, 2, 0, /*dims=*/NULL);
}
