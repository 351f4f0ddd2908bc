/* SPDX-License-Identifier: Apache-2.0
 *
 * com.microsoft's quantised ops. Scales are powers of two where the result can be exact, so that
 * half to even can be told from every other rounding; where a function or a quotient comes between,
 * what lies next to a tie may go either way. Semantics: ONNX Runtime's contrib op documentation.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

static void one_scale(trial *self, uint32_t which, double scale) {
    case_input *input = &self->inputs[which];
    input->dtype = FER_F32;
    input->rank = 0;
    input->fill = FILL_LIST;
    input->list_count = 1;
    input->list[0] = scale;
}

static void one_zero(trial *self, uint32_t which, fer_dtype dtype) {
    self->inputs[which].dtype = dtype;
    self->inputs[which].rank = 0;
    input_range(self, which, dtype == FER_I8 ? -9 : 0, 9);
}

/* Half to even and then the zero point, or the zero point and then half to even: an odd one tells
 * the two apart, which few cases are for. */
static void result_zero(trial *self, uint32_t which, fer_dtype dtype) {
    case_input *input = &self->inputs[which];
    one_zero(self, which, dtype);
    input->fill = FILL_LIST;
    input->list_count = 1;
    input->list[0] = (double)(2 * *trial_ints(self, "zero", 1, dtype == FER_I8 ? -4 : 0, 4) +
                              arg_int(self, "odd", 0));
}

static double scale_word(const trial *self, const char *key, double absent) {
    return arg_text(self, key) != NULL ? arg_real(self, key, 1) : absent;
}

static long double at_or(const nd *operand, uint64_t index, long double absent) {
    return operand->v == NULL ? absent : operand->v[operand->count > 1 ? index : 0];
}

static long double saturated(fer_dtype dtype, long double x) {
    long double most = dtype_most(dtype), least = dtype_is_signed(dtype) ? -most - 1 : 0;
    return x < least ? least : x > most ? most : x;
}

/* is_near: x itself is rounded before, so that a tie within reach has two answers. */
static void
quantize(fer_dtype dtype, long double x, long double zero, int is_near, nd *out, uint64_t i) {
    out->v[i] = saturated(dtype, rintl(x) + zero);
    if (is_near && fabsl(x - floorl(x) - 0.5L) < 1e-4L) {
        out->slack[i] = 1;
    }
}

static void
quantized_like(const trial *self, nd *out, uint32_t rank, const int64_t *dims, fer_dtype dtype) {
    nd_make(self, out, rank, dims);
    nd_slack(self, out);
    out->dtype = dtype;
}

/* ---- QLinearAdd, QLinearMul ---- */

static int fill_pair(trial *self) {
    const char *form = arg_text(self, "form");
    int64_t dims[FER_MAX_RANK];
    memcpy(dims, self->dims, sizeof dims);
    for (uint32_t i = 0; form != NULL && form[0] != 's' && i < self->rank;
         i++) { /* a, b: which is of one row */
        dims[i] = i + 1 < self->rank ? 1 : dims[i];
    }
    if (form != NULL && form[0] == 'm' && self->rank > 1) { /* mixed */
        int64_t other[FER_MAX_RANK];
        memcpy(other, self->dims, sizeof other);
        other[self->rank - 1] = 1;
        input_dims(self, 0, self->rank, other);
        input_dims(self, 3, self->rank, dims);
    } else if (form != NULL && form[0] == 's') {
        input_dims(self, 3, 0, dims);
    } else if (form != NULL) {
        input_dims(self, form[0] == 'a' ? 0 : 3, self->rank, dims);
    }
    one_scale(self, 1, scale_word(self, "sa", 0.5));
    one_scale(self, 4, scale_word(self, "sb", 0.25));
    one_scale(self, 6, scale_word(self, "sc", 2));
    one_zero(self, 2, self->dtype);
    one_zero(self, 5, self->dtype);
    result_zero(self, 7, self->dtype);
    return self->rank > 0;
}

static int pair_oracle(const trial *self, const nd *in, nd *out) {
    const nd *operands[] = {&in[0], &in[3]};
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    uint32_t rank;
    if (!dims_broadcast(operands, 2, &rank, dims)) {
        return 0;
    }
    quantized_like(self, out, rank, dims, self->dtype);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, index)) {
        long double a = (in[0].v[index_broadcast(rank, index, &in[0])] - at_or(&in[2], 0, 0)) *
                        in[1].v[0],
                    b = (in[3].v[index_broadcast(rank, index, &in[3])] - at_or(&in[5], 0, 0)) *
                        in[4].v[0];
        quantize(self->dtype,
                 (self->op->name[7] == 'A' ? a + b : a * b) / in[6].v[0],
                 at_or(&in[7], 0, 0),
                 arg_text(self, "sc") != NULL,
                 out,
                 i);
    }
    return 1;
}

/* ---- QLinearSigmoid, QLinearLeakyRelu ---- */

static int fill_function(trial *self) {
    one_scale(self, 1, scale_word(self, "sx", 0.0625));
    one_scale(self, 3, scale_word(self, "sy", self->op->name[7] == 'S' ? 0.00390625 : 0.03125));
    one_zero(self, 2, self->dtype);
    one_zero(self, 4, self->dtype);
    return 1;
}

static int function_oracle(const trial *self, const nd *in, nd *out) {
    quantized_like(self, out, in->rank, in->dims, self->dtype);
    long double alpha = (long double)(float)arg_real(self, "alpha", 0.01);
    for (uint64_t i = 0; i < in->count; i++) {
        long double x = (in->v[i] - at_or(&in[2], 0, 0)) * in[1].v[0], y = self->op->name[7] == 'S'
                                                                               ? 1 / (1 + expl(-x))
                                                                           : x < 0 ? x * alpha
                                                                                   : x;
        quantize(self->dtype, y / in[3].v[0], at_or(&in[4], 0, 0), 1, out, i);
    }
    return 1;
}

/* ---- QLinearGlobalAveragePool ---- */

static int fill_average(trial *self) {
    one_scale(self, 1, 0.5);
    one_scale(self, 3, scale_word(self, "sy", 0.25));
    one_zero(self, 2, self->dtype);
    one_zero(self, 4, self->dtype);
    return self->rank >= 3 && dims_count(self->rank, self->dims) > 0;
}

static int average_oracle(const trial *self, const nd *in, nd *out) {
    int is_last = arg_int(self, "channels_last", 0) != 0;
    uint32_t channel = is_last ? in->rank - 1 : 1;
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[i] = i == 0 || i == channel ? in->dims[i] : 1;
    }
    quantized_like(self, out, in->rank, dims, self->dtype);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        out->v[index[0] * in->dims[channel] + index[channel]] += in->v[i] - at_or(&in[2], 0, 0);
    }
    uint64_t size = in->count / out->count;
    for (uint64_t i = 0; i < out->count; i++) {
        quantize(self->dtype,
                 out->v[i] / (long double)size * in[1].v[0] / in[3].v[0],
                 at_or(&in[4], 0, 0),
                 1,
                 out,
                 i);
    }
    return 1;
}

/* ---- QLinearConcat: Y_scale, Y_zero_point, then a tensor, its scale and zero point each ---- */

static int fill_concat(trial *self) {
    static const double scales[] = {0.5, 0.25, 2, 1};
    int64_t axis = axis_of(arg_int(self, "axis", 0), self->rank), dims[FER_MAX_RANK];
    if (axis < 0 || (self->input_count - 2) % 3 != 0) {
        return 0;
    }
    one_scale(self, 0, 0.5);
    result_zero(self, 1, self->dtype);
    for (uint32_t i = 2; i < self->input_count; i += 3) {
        memcpy(dims, self->dims, sizeof dims);
        dims[axis] += arg_int(self, "even", 0) ? 0 : (int64_t)i / 3;
        self->inputs[i].dtype = self->dtype;
        input_dims(self, i, self->rank, dims);
        one_scale(self, i + 1, scales[i / 3 % 4]);
        one_zero(self, i + 2, self->dtype);
    }
    return 1;
}

static int concat_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t axis = (uint32_t)axis_of(arg_int(self, "axis", 0), self->rank);
    int64_t dims[FER_MAX_RANK], before = 0;
    memcpy(dims, in[2].dims, sizeof dims);
    for (uint32_t i = 5; i < self->input_count; i += 3) {
        dims[axis] += in[i].dims[axis];
    }
    quantized_like(self, out, self->rank, dims, self->dtype);
    for (uint32_t t = 2; t < self->input_count; t += 3) {
        int64_t index[FER_MAX_RANK] = {0};
        for (uint64_t i = 0; i < in[t].count;
             i++, (void)index_next(self->rank, in[t].dims, index)) {
            int64_t to[FER_MAX_RANK];
            memcpy(to, index, sizeof to);
            to[axis] += before;
            quantize(self->dtype,
                     (in[t].v[i] - in[t + 2].v[0]) * in[t + 1].v[0] / in[0].v[0],
                     in[1].v[0],
                     0,
                     out,
                     index_flat(self->rank, dims, to));
        }
        before += in[t].dims[axis];
    }
    return 1;
}

/* ---- products: sum of (A - zero) (B - zero), as [m, n] of each batch ---- */

typedef struct whole {
    nd product;
    int64_t columns;
} whole;

static int product_of(
    const trial *self, const nd *a, const nd *b, const nd *a_zero, const nd *b_zero, whole *out) {
    nd sides[2] = {*a, *b};
    const nd *zeros[] = {a_zero, b_zero};
    out->columns = b->dims[b->rank - 1];
    for (uint32_t s = 0; s < 2; s++) {
        sides[s].v = trial_memory(self, (sides[s].count + 1) * sizeof(long double));
        for (uint64_t i = 0; i < sides[s].count; i++) {
            sides[s].v[i] = (s == 0 ? a : b)->v[i] - at_or(zeros[s], i % (uint64_t)out->columns, 0);
        }
    }
    return matmul_numbers(self, &sides[0], &sides[1], &out->product);
}

/* QGemm */
static int fill_gemm(trial *self) {
    int64_t n = arg_int(self, "N", 5);
    if (self->rank != 2) {
        return 0;
    }
    int64_t m = self->dims[0], k = self->dims[1];
    int turns_a = arg_int(self, "transA", 0) != 0, turns_b = arg_int(self, "transB", 0) != 0;
    input_dims(self, 0, 2, turns_a ? (int64_t[]){k, m} : (int64_t[]){m, k});
    input_dims(self, 3, 2, turns_b ? (int64_t[]){n, k} : (int64_t[]){k, n});
    one_scale(self, 1, 0.5);
    one_zero(self, 2, self->inputs[0].dtype);
    one_scale(self, 4, 0.25);
    one_zero(self, 5, self->inputs[3].dtype);
    if (arg_text(self, "per_column") != NULL) {
        static const double scales[] = {0.25, 0.5, 1, 0.125};
        input_dims(self, 4, 1, &n);
        input_dims(self, 5, 1, &n);
        self->inputs[4].list_count = 4;
        memcpy(self->inputs[4].list, scales, sizeof scales);
    }
    input_dims(self, 6, 1, &n);
    input_range(self, 6, -300, 300);
    if (arg_is(self, "C_form", "vector", "whole")) {
        input_dims(self, 6, 2, (int64_t[]){m, n});
    }
    if (self->input_count > 7) {
        one_scale(self, 7, 16);
        result_zero(self, 8, self->inputs[0].dtype);
        return arg_with(self, "y_scale") == arg_with(self, "y_zero_point");
    }
    return 1;
}

static void turned(const trial *self, const nd *x, int turns, nd *out) {
    *out = *x;
    if (turns) {
        nd_make(self, out, 2, (int64_t[]){x->dims[1], x->dims[0]});
        for (int64_t i = 0; i < (int64_t)x->count; i++) {
            out->v[i % x->dims[1] * x->dims[0] + i / x->dims[1]] = x->v[i];
        }
    }
}

static int gemm_oracle(const trial *self, const nd *in, nd *out) {
    nd a, b;
    whole w;
    int is_float = self->input_count < 8;
    turned(self, &in[0], arg_int(self, "transA", 0) != 0, &a);
    turned(self, &in[3], arg_int(self, "transB", 0) != 0, &b);
    if (!product_of(self, &a, &b, &in[2], &in[5], &w)) {
        return 0;
    }
    quantized_like(self, out, 2, w.product.dims, is_float ? FER_F32 : self->inputs[0].dtype);
    for (uint64_t i = 0; i < out->count; i++) {
        uint64_t column = i % (uint64_t)w.columns;
        long double sum =
            w.product.v[i] + (in[6].v == NULL ? 0 : in[6].v[in[6].rank == 2 ? i : column]);
        sum *= in[1].v[0] * at_or(&in[4], column, 1) * (long double)arg_real(self, "alpha", 1);
        if (is_float) {
            out->v[i] = sum;
            out->slack[i] = 0x1p-23L * fabsl(sum);
        } else {
            quantize(self->inputs[0].dtype,
                     sum / in[7].v[0],
                     in[8].v[0],
                     arg_text(self, "alpha") != NULL,
                     out,
                     i);
        }
    }
    return 1;
}

/* MatMulIntegerToFloat and DynamicQuantizeMatMul: shape words are A */
static int fill_product(trial *self) {
    int is_dynamic = self->op->name[0] == 'D';
    uint32_t scale = is_dynamic ? 2 : 3, zero = is_dynamic ? 3 : 5, bias = is_dynamic ? 4 : 6;
    int64_t n = arg_int(self, "N", 5), dims[FER_MAX_RANK];
    if (self->rank < 2) {
        return 0;
    }
    memcpy(dims, self->dims, sizeof dims);
    dims[self->rank - 2] = self->dims[self->rank - 1];
    dims[self->rank - 1] = n;
    input_dims(self, 1, self->rank, dims);
    if (arg_is(self, "form", "same", "matrix")) {
        input_dims(self, 1, 2, dims + self->rank - 2);
    }
    fer_dtype real = is_dynamic ? FER_F32 : self->inputs[2].dtype;
    one_scale(self, scale, 0.25);
    self->inputs[scale].dtype = real;
    one_zero(self, zero, self->inputs[1].dtype);
    if (arg_text(self, "per_column") != NULL) {
        static const double scales[] = {0.25, 0.5, 1, 0.125};
        input_dims(self, scale, 1, &n);
        input_dims(self, zero, 1, &n);
        self->inputs[scale].list_count = 4;
        memcpy(self->inputs[scale].list, scales, sizeof scales);
    }
    if (!is_dynamic) {
        one_scale(self, 2, 0.0078125);
        self->inputs[2].dtype = real;
        one_zero(self, 4, self->inputs[0].dtype);
    }
    if (self->input_count > bias) {
        input_dims(self, bias, 1, &n);
        self->inputs[bias].fill = FILL_FAMILY;
        input_range(self, bias, -8, 8);
    }
    return 1;
}

static int to_float_oracle(const trial *self, const nd *in, nd *out) {
    whole w;
    fer_dtype dtype = self->inputs[2].dtype;
    if (!product_of(self, &in[0], &in[1], &in[4], &in[5], &w)) {
        return 0;
    }
    quantized_like(self, out, w.product.rank, w.product.dims, dtype);
    for (uint64_t i = 0; i < out->count; i++) {
        uint64_t column = i % (uint64_t)w.columns;
        long double scaled = w.product.v[i] * in[2].v[0] * at_or(&in[3], column, 1),
                    bias = at_or(&in[6], column, 0);
        out->v[i] = scaled + bias;
        /* The sum may be rounded to the dtype before it is scaled and after. */
        out->slack[i] = dtype_unit(dtype) * (4 * fabsl(scaled) + fabsl(bias));
    }
    return 1;
}

/* A in 8 bits as DynamicQuantizeLinear says: next to a tie either number is right. */
static int dynamic_oracle(const trial *self, const nd *in, nd *out) {
    long double most = 0, least = 0;
    whole w, b;
    nd a = in[0], ties = in[0], size = in[0], magnitude = in[1];
    for (uint64_t i = 0; i < a.count; i++) {
        most = fmaxl(most, a.v[i]);
        least = fminl(least, a.v[i]);
    }
    long double scale = (most - least) / 255;
    if (scale == 0) {
        return 0;
    }
    long double zero = saturated(FER_U8, rintl(-least / scale));
    nd_like(self, &a, &in[0]);
    nd_like(self, &ties, &in[0]);
    nd_like(self, &magnitude, &in[1]);
    (void)size;
    int zero_is_tie = fabsl(-least / scale - floorl(-least / scale) - 0.5L) < 1e-4L;
    for (uint64_t i = 0; i < a.count; i++) {
        long double x = in[0].v[i] / scale;
        a.v[i] = saturated(FER_U8, rintl(x) + zero) - zero;
        ties.v[i] = zero_is_tie || fabsl(x - floorl(x) - 0.5L) < 1e-4L;
    }
    for (uint64_t i = 0; i < magnitude.count; i++) {
        magnitude.v[i] =
            fabsl(in[1].v[i] - at_or(&in[3], i % (uint64_t)in[1].dims[in[1].rank - 1], 0));
    }
    if (!product_of(self, &a, &in[1], &(nd){0}, &in[3], &w) ||
        !product_of(self, &ties, &magnitude, &(nd){0}, &(nd){0}, &b)) {
        return 0;
    }
    quantized_like(self, out, w.product.rank, w.product.dims, FER_F32);
    for (uint64_t i = 0; i < out->count; i++) {
        uint64_t column = i % (uint64_t)w.columns;
        long double factor = scale * at_or(&in[2], column, 1), bias = at_or(&in[4], column, 0);
        out->v[i] = w.product.v[i] * factor + bias;
        out->slack[i] = b.product.v[i] * factor + 0x1p-22L * fabsl(w.product.v[i] * factor) +
                        0x1p-24L * fabsl(bias);
    }
    return 1;
}

/* ---- MatMulNBits: shape words are A; B [N, blocks, bytes] ---- */

static int fill_bits(trial *self) {
    int64_t n = arg_int(self, "N", 3), k = arg_int(self, "K", 1), bits = arg_int(self, "bits", 4),
            block = arg_int(self, "block_size", 16), blocks = (k + block - 1) / block;
    if (self->rank < 1 || self->dims[self->rank - 1] != k) {
        return 0;
    }
    input_dims(self, 1, 3, (int64_t[]){n, blocks, block * bits / 8});
    input_range(self, 1, 0, 255);
    int64_t scales = n * blocks;
    input_dims(self, 2, 1, &scales);
    input_range(self, 2, 0.125, 1);
    if (self->input_count > 3) {
        int64_t zeros = n * ((blocks * bits + 7) / 8);
        if (self->inputs[3].dtype == FER_U8) {
            input_dims(self, 3, 1, &zeros);
            input_range(self, 3, 0, 255);
        } else {
            input_dims(self, 3, 2, (int64_t[]){n, blocks});
            input_range(self, 3, 0, (double)(1 << bits) - 1);
        }
    }
    input_dims(self, 5, 1, &n);
    return 1;
}

/* Number index of row, low bits first. */
static long double
taken(const nd *bytes, int64_t row, int64_t row_bytes, int64_t bits, int64_t index) {
    int64_t byte = (int64_t)bytes->v[row * row_bytes + index * bits / 8];
    return (long double)(byte >> (index * bits % 8) & ((1 << bits) - 1));
}

static int bits_oracle(const trial *self, const nd *in, nd *out) {
    int64_t n = arg_int(self, "N", 3), k = arg_int(self, "K", 1), bits = arg_int(self, "bits", 4),
            block = arg_int(self, "block_size", 16), blocks = (k + block - 1) / block,
            dims[FER_MAX_RANK];
    memcpy(dims, in->dims, sizeof dims);
    dims[in->rank - 1] = n;
    quantized_like(self, out, in->rank, dims, self->dtype);
    for (int64_t i = 0; i < (int64_t)out->count; i++) {
        int64_t row = i / n, column = i % n;
        long double sum = 0, size = 0, bias = at_or(&in[5], (uint64_t)column, 0);
        for (int64_t e = 0; e < k; e++) {
            long double zero = (long double)(1 << (bits - 1));
            if (in[3].v != NULL) {
                zero = self->inputs[3].dtype == FER_U8
                           ? taken(&in[3], column, (blocks * bits + 7) / 8, bits, e / block)
                           : in[3].v[column * blocks + e / block];
            }
            long double weight =
                (taken(&in[1], column, blocks * block * bits / 8, bits, e) - zero) *
                in[2].v[column * blocks + e / block];
            sum += in->v[row * k + e] * weight;
            size += fabsl(in->v[row * k + e]) * (fabsl(weight) + fabsl(zero) * 0x1p-20L);
        }
        out->v[i] = sum + bias;
        /* Weights may be rounded to the dtype. */
        out->slack[i] = sum_slack(self->dtype, (uint64_t)k, size) +
                        2 * dtype_unit(self->dtype) * (size + fabsl(bias));
    }
    return 1;
}

/* ---- NhwcMaxPool ---- */

typedef struct windows {
    int64_t kernel[2], stride[2], dilation[2], begin[2], end[2], out[2];
} windows;

static int windows_of(const trial *self, windows *w) {
    int64_t pads[4] = {0};
    const char *automatic = arg_text(self, "auto_pad");
    *w = (windows){
        .stride = {1, 1},
          .dilation = {1, 1}
    };
    uint32_t given = arg_ints(self, "pads", pads, 4);
    if (self->rank != 4 || arg_ints(self, "kernel_shape", w->kernel, 2) != 2 ||
        (given != 0 && given != 4)) {
        return 0;
    }
    (void)arg_ints(self, "strides", w->stride, 2);
    (void)arg_ints(self, "dilations", w->dilation, 2);
    for (int i = 0; i < 2; i++) {
        int64_t in = self->dims[1 + i], reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
        w->begin[i] = pads[i];
        w->end[i] = pads[2 + i];
        if (automatic != NULL && automatic[0] == 'S') {
            int64_t total =
                ((in + w->stride[i] - 1) / w->stride[i] - 1) * w->stride[i] + reach - in;
            total = total > 0 ? total : 0;
            w->begin[i] = strcmp(automatic, "SAME_LOWER") == 0 ? total - total / 2 : total / 2;
            w->end[i] = total - w->begin[i];
        }
        int64_t room = in + w->begin[i] + w->end[i] - reach;
        if (room < 0 || w->begin[i] >= reach || w->end[i] >= reach || in < reach) {
            return 0;
        }
        int is_ceil = arg_int(self, "ceil_mode", 0) != 0;
        w->out[i] = (room + (is_ceil ? w->stride[i] - 1 : 0)) / w->stride[i] + 1;
        w->out[i] -=
            (w->out[i] - 1) * w->stride[i] >= in + w->begin[i]; /* begins in the padding behind */
    }
    return 1;
}

static int fill_pool(trial *self) {
    windows w;
    return windows_of(self, &w);
}

static int pool_oracle(const trial *self, const nd *in, nd *out) {
    windows w;
    (void)windows_of(self, &w);
    int64_t rows = in->dims[1], columns = in->dims[2], channels = in->dims[3];
    nd_make(self, out, 4, (int64_t[]){in->dims[0], w.out[0], w.out[1], channels});
    for (int64_t i = 0; i < (int64_t)out->count; i++) {
        int64_t c = i % channels, x = i / channels % w.out[1],
                y = i / channels / w.out[1] % w.out[0], b = i / channels / w.out[1] / w.out[0];
        long double best = -INFINITY;
        for (int64_t t = 0; t < w.kernel[0] * w.kernel[1]; t++) {
            int64_t r = y * w.stride[0] - w.begin[0] + t / w.kernel[1] * w.dilation[0],
                    q = x * w.stride[1] - w.begin[1] + t % w.kernel[1] * w.dilation[1];
            if (r >= 0 && r < rows && q >= 0 && q < columns) {
                best = fmaxl(best, in->v[((b * rows + r) * columns + q) * channels + c]);
            }
        }
        out->v[i] = best;
    }
    return 1;
}

/* clang-format off */
#define MS "com.microsoft."
#define ZEROS "with=A_zero_point:B_zero_point:C_zero_point"
#define XY "with=X_zero_point:Y_zero_point"
#define NBITS(k) "K=" #k ",N=3,block_size=16 K=" #k ",N=5,block_size=32,with=zero_points,T3=u8 K=" #k ",N=3,block_size=16,bits=8 K=" #k ",N=3,block_size=16,bits=8,with=zero_points,T3=u8 K=" #k \
    ",N=4,block_size=16,with=zero_points K=" #k ",N=3,block_size=16,bits=2 K=" #k ",N=3,block_size=64,with=bias K=" #k ",N=1,block_size=16,with=zero_points:bias,T3=u8 K=" #k ",N=6,block_size=16,accuracy_level=1 " \
    "K=" #k ",N=3,block_size=16,bits=2,with=zero_points,T3=u8 "
static const case_row rows[] = {
    {MS "QLinearAdd", NULL, "odd prime wide vector high big empty", ZEROS " - form=a," ZEROS " form=b," ZEROS " form=scalar," ZEROS " form=mixed," ZEROS " with=A_zero_point:C_zero_point sa=0.25,sb=2," ZEROS " sc=0.3," ZEROS " odd=1," ZEROS,
     "ints bits", fill_pair, pair_oracle, ROW_ZEROS},
    {MS "QLinearMul", NULL, "odd prime wide vector high big empty", ZEROS " - form=a," ZEROS " form=b," ZEROS " form=scalar," ZEROS " form=mixed," ZEROS " with=A_zero_point:C_zero_point sa=0.25,sb=2," ZEROS " sc=0.3," ZEROS " odd=1," ZEROS,
     "ints bits", fill_pair, pair_oracle, ROW_ZEROS},
    {MS "QLinearSigmoid", NULL, "odd prime wide vector high scalar big empty", XY " - with=X_zero_point sx=0.5," XY " sy=0.01," XY, "ints bits", fill_function, function_oracle, ROW_ZEROS},
    {MS "QLinearLeakyRelu", NULL, "odd prime wide vector high scalar big empty", XY " - with=X_zero_point alpha=0.25," XY " alpha=-0.5 sy=0.1,alpha=0.125," XY, "ints bits", fill_function, function_oracle, ROW_ZEROS},
    {MS "QLinearGlobalAveragePool", NULL, "image row column line cube pixel", "with=x_zero_point:y_zero_point - channels_last=1,with=x_zero_point:y_zero_point sy=0.125 channels_last=1", "ints bits", fill_average, average_oracle,
     ROW_ZEROS},
    {MS "QLinearConcat", "i8|u8", "odd prime wide vector image high", "n=8,axis=0 n=8,axis=-1 n=8,axis=1,even=1 n=11,axis=1 n=14,axis=-2 n=5,axis=0 n=8,axis=0,odd=1", "ints bits", fill_concat, concat_oracle, ROW_ZEROS},
    {MS "QGemm", NULL, "prime wide tall 1x1 4x7", "with=y_scale:y_zero_point - with=C with=C:y_scale:y_zero_point with=C,C_form=whole,transB=1 transA=1,with=y_scale:y_zero_point transA=1,transB=1,with=C:y_scale:y_zero_point "
     "TB=i8,with=y_scale:y_zero_point TB=u8,with=C per_column=1,with=y_scale:y_zero_point per_column=1,TB=i8,transB=1,with=C alpha=0.5 alpha=0.3,with=C:y_scale:y_zero_point N=1 odd=1,with=y_scale:y_zero_point", "ints bits", fill_gemm, gemm_oracle, ROW_ZEROS},
    {MS "MatMulIntegerToFloat", NULL, "prime odd tall 1x1 2x3x4x5", "T3=f32 T3=f32,with=a_zero_point T3=f32,with=a_zero_point:b_zero_point T3=f32,with=bias T3=f32,with=a_zero_point:b_zero_point:bias,per_column=1 T2=i8,T3=f32,with=b_zero_point "
     "T2=u8,T3=f32,with=a_zero_point:bias,per_column=1 T3=f32,form=matrix,with=a_zero_point:b_zero_point T3=f16,with=a_zero_point:b_zero_point T3=f16,with=bias,per_column=1 T3=f32,N=1", "ints", fill_product, to_float_oracle, ROW_ZEROS},
    {MS "MatMulIntegerToFloat", NULL, "prime 2x3x4x5", "T3=f32,with=a_zero_point:b_zero_point,N=7 T3=f32,with=bias,N=2", "bits", fill_product, to_float_oracle, ROW_ZEROS},
    {MS "DynamicQuantizeMatMul", NULL, "prime odd tall 1x7 2x3x4x5", "T2=u8 T2=i8 T2=u8,with=b_zero_point T2=i8,with=b_zero_point,per_column=1 T2=u8,with=bias T2=i8,with=b_zero_point:bias T2=u8,form=matrix,with=b_zero_point,per_column=1 T2=i8,N=1",
     "ints uniform", fill_product, dynamic_oracle, ROW_ZEROS},
    {MS "MatMulNBits", NULL, "3x32 2x3x32 1x40 40 5x16 2x1x128", NBITS(32) NBITS(40) NBITS(16) NBITS(128), "ints uniform", fill_bits, bits_oracle, ROW_ZEROS},
    {MS "NhwcMaxPool", NULL, "2x7x5x4 1x9x11x3 1x3x61x1 3x4x4x17", "kernel_shape=2:2 kernel_shape=3:3,strides=2:2,pads=1:1:1:1 kernel_shape=3:2,strides=2:1,pads=1:0:2:1 kernel_shape=3:3,auto_pad=SAME_UPPER,strides=2:2 "
     "kernel_shape=2:3,auto_pad=SAME_LOWER kernel_shape=2:2,auto_pad=VALID,strides=2:1 kernel_shape=2:2,dilations=2:2 kernel_shape=2:2,strides=3:3,ceil_mode=1 kernel_shape=3:3,strides=2:2,pads=0:0:1:1,ceil_mode=1 kernel_shape=1:1",
     "ints bits extreme", fill_pool, pool_oracle, ROW_ZEROS},
};
/* clang-format on */

const case_family cases_contrib_quant = {"contrib quantised", rows, sizeof rows / sizeof *rows};
