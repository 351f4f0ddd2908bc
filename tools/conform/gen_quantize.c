/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversions: Cast between every two dtypes, BitCast, and quantisation. Scales are powers of two,
 * so that quotients are exact and rounding half to even can be told from every other rounding.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

static int is_float8(fer_dtype dtype) { return dtype >= FER_F8E4M3FN && dtype <= FER_F8E5M2FNUZ; }

/* Rounded to the dtype, half to even. */
static long double rounded(fer_dtype dtype, long double x) {
    unsigned char bytes[16] = {0};
    long double most = dtype_most(dtype);
    if (dtype == FER_F32) {
        return (float)x;
    }
    if (dtype == FER_F64) {
        return (double)x;
    }
    if (isnan(x) || isinf(x)) {
        return x;
    }
    long double step = dtype_ulp(dtype, x), lower = floorl(x / step) * step,
                rest = (x - lower) / step;
    int is_odd = fmodl(lower / step, 2) != 0;
    long double value = rest > 0.5L || (rest == 0.5L && is_odd) ? lower + step : lower;
    (void)bytes;
    return fabsl(value) > most ? (x > 0 ? INFINITY : -INFINITY) : value;
}

/* Float8 has its own end of the line: saturate clamps, otherwise what is beyond is NaN (or infinity
 * in e5m2). */
static long double to_float8(const trial *self, fer_dtype dtype, long double x) {
    long double value = rounded(dtype, x), most = dtype_most(dtype);
    if (isnan(x) || fabsl(value) <= most) {
        return value;
    }
    if (arg_int(self, "saturate", 1) != 0) {
        return x > 0 ? most : -most;
    }
    return dtype == FER_F8E5M2 ? value : NAN;
}

static long double converted(const trial *self, fer_dtype from, fer_dtype to, long double x) {
    if (from == to) {
        return x; /* infinity is in range where it is a number of both */
    }
    if (to == FER_BOOL) {
        return x != 0 || isnan(x);
    }
    if (dtype_is_integer(to)) {
        return wrap_to(to, (wide_int)x); /* toward zero; integers wrap */
    }
    if (is_float8(to)) {
        return to_float8(self, to, x);
    }
    if (to == FER_F4E2M1) {
        long double value = rounded(to, x);
        return isnan(x) ? 6 : fabsl(value) > 6 ? (x > 0 ? 6 : -6) : value;
    }
    return rounded(to, x);
}

/* Where the specification says nothing (NaN and what does not fit, to integers) there is no case.
 */
static int fill_cast(trial *self) {
    fer_dtype from = self->dtype, to = (fer_dtype)arg_int(self, "to", 0);
    double list[1];
    if (arg_list(self, "to", list, 1) == 1) {
        to = (fer_dtype)list[0];
    }
    if (self->input_count > 1) {
        to = self->inputs[1].dtype;
    }
    int from_whole = dtype_is_integer(from) || from == FER_BOOL, to_whole = dtype_is_integer(to);
    if (!from_whole && (to_whole || to == FER_F4E2M1)) {
        double low = dtype_is_signed(to) ? (double)-dtype_most(to) - 1
                     : to_whole          ? 0
                                         : -6,
               high = (double)dtype_most(to);
        input_range(self, 0, low < -100 ? -100 : low, high > 100 ? 100 : high);
        return strcmp(self->values, "uniform") == 0;
    }
    int is_wide = strcmp(self->values, "wide") == 0 || strcmp(self->values, "special") == 0;
    return !(from_whole && is_wide) && !(strcmp(self->values, "bits") == 0 && !from_whole) &&
           self->inputs[0].dtype != FER_STRING;
}
static int cast_oracle(const trial *self, const nd *in, nd *out) {
    double list[1];
    fer_dtype to = arg_list(self, "to", list, 1) == 1 ? (fer_dtype)list[0] : self->inputs[1].dtype;
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++) {
        out->v[i] = converted(self, self->dtype, to, in->v[i]);
    }
    return 1;
}

static int fill_bit_cast(trial *self) {
    double list[1];
    return arg_list(self, "to", list, 1) == 1 &&
           fer_dtype_bits((fer_dtype)list[0]) == fer_dtype_bits(self->dtype);
}
static int same_oracle(const trial *self, const nd *in, nd *out) {
    nd_like(self, out, in);
    memcpy(out->v, in->v, in->count * sizeof *in->v);
    return 1;
}

/* ---- QuantizeLinear, DequantizeLinear ---- */

static const double scales[] = {0.5, 0.25, 2, 1, 0.125, 4, 0.5};

static void scale_list(trial *self, uint32_t which) {
    self->inputs[which].fill = FILL_LIST;
    self->inputs[which].list_count = sizeof scales / sizeof *scales;
    memcpy(self->inputs[which].list, scales, sizeof scales);
}
static void zero_list(trial *self, uint32_t which) {
    fer_dtype dtype = self->inputs[which].dtype;
    if (dtype_is_integer(dtype) && dtype != FER_I32) {
        double most = (double)dtype_most(dtype);
        input_range(self, which, dtype_is_signed(dtype) ? -1 : 0, most > 9 ? 9 : most);
    } else {
        self->inputs[which].fill = FILL_LIST;
        self->inputs[which].list_count = 1;
        self->inputs[which].list[0] = 0;
    }
}

static int fill_linear(trial *self) {
    const char *form = arg_text(self, "form");
    int64_t axis = axis_of(arg_int(self, "axis", 1), self->rank),
            block = arg_int(self, "block_size", 0);
    for (uint32_t i = 1; i < self->input_count; i++) {
        self->inputs[i].rank = 0;
        if (form != NULL && axis < 0) {
            return 0;
        }
        if (form != NULL && form[0] == 'a') {
            input_dims(self, i, 1, &self->dims[axis]);
        } else if (form != NULL) {
            input_dims(self, i, self->rank, self->dims);
            self->inputs[i].dims[axis] = (self->dims[axis] + block - 1) / block;
            if (self->dims[axis] % block != 0) {
                return 0;
            }
        }
    }
    scale_list(self, 1);
    if (self->input_count > 2) {
        zero_list(self, 2);
    }
    if (strcmp(self->values, "uniform") == 0 && !dtype_is_integer(self->dtype)) {
        input_range(self, 0, -40, 40);
    }
    return 1;
}

/* The scale or zero point that element index sees. */
static long double
operand_of(const trial *self, const nd *operand, uint32_t rank, const int64_t *index) {
    int64_t axis = axis_of(arg_int(self, "axis", 1), rank), block = arg_int(self, "block_size", 0),
            at[FER_MAX_RANK];
    if (operand->v == NULL) {
        return 0;
    }
    if (operand->rank == 0) {
        return operand->v[0];
    }
    if (operand->rank == 1 && block == 0) {
        return operand->v[index[axis]];
    }
    memcpy(at, index, sizeof at);
    at[axis] /= block;
    return operand->v[index_flat(operand->rank, operand->dims, at)];
}

static long double saturated(fer_dtype dtype, long double x) {
    long double most = dtype_most(dtype), least = dtype_is_signed(dtype) ? -most - 1 : 0;
    return x < least ? least : x > most ? most : x;
}

/* The quotient in the precision that is asked for, or else the scale's. */
static long double divided(const trial *self, long double x, long double scale) {
    double list[1];
    fer_dtype precision = arg_list(self, "precision", list, 1) == 1 ? (fer_dtype)list[0]
                                                                    : self->inputs[1].dtype;
    int is_narrow = precision == FER_F32 || precision == FER_F16 || precision == FER_BF16;
    return is_narrow ? rounded(precision, x / scale) : x / scale;
}

static int quantize_oracle(const trial *self, const nd *in, nd *out) {
    int64_t index[FER_MAX_RANK] = {0};
    double list[1];
    fer_dtype to = self->input_count > 2                          ? self->inputs[2].dtype
                   : arg_list(self, "output_dtype", list, 1) == 1 ? (fer_dtype)list[0]
                                                                  : FER_U8;
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        long double x = divided(self, in->v[i], operand_of(self, &in[1], in->rank, index));
        long double zero = operand_of(self, &in[2], in->rank, index);
        out->v[i] = dtype_is_integer(to) ? saturated(to, rintl(x) + zero)
                                         : converted(self, self->dtype, to, x);
    }
    return 1;
}
static int dequantize_oracle(const trial *self, const nd *in, nd *out) {
    int64_t index[FER_MAX_RANK] = {0};
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        out->v[i] = (in->v[i] - operand_of(self, &in[2], in->rank, index)) *
                    operand_of(self, &in[1], in->rank, index);
    }
    return 1;
}

static int dynamic_oracle(const trial *self, const nd *in, nd *out) {
    long double most = 0, least = 0;
    for (uint64_t i = 0; i < in->count; i++) {
        most = in->v[i] > most ? in->v[i] : most;
        least = in->v[i] < least ? in->v[i] : least;
    }
    long double scale = (most - least) / 255;
    if (scale == 0) {
        return 0;
    }
    long double zero = saturated(FER_U8, rintl(-least / scale));
    nd_like(self, &out[0], in);
    nd_slack(self, &out[0]);
    nd_make(self, &out[1], 0, NULL);
    nd_make(self, &out[2], 0, NULL);
    nd_slack(self, &out[2]);
    nd_slack(self, &out[1]);
    out[1].slack[0] = 0x1p-23L * scale;
    out[1].v[0] = scale;
    out[2].v[0] = zero;
    for (uint64_t i = 0; i < in->count; i++) {
        long double x = in->v[i] / scale, off = fabsl(x - floorl(x) - 0.5L);
        out->v[i] = saturated(FER_U8, rintl(x) + zero);
        out->slack[i] = off < 1e-4L ? 1 : 0; /* the scale is rounded to f32 first */
    }
    return 1;
}

/* ---- QLinearMatMul, QLinearConv ---- */

static int fill_qlinear(trial *self) {
    int is_conv = self->op->name[7] == 'C';
    int64_t n = arg_int(self, "N", 4), dims[FER_MAX_RANK];
    memcpy(dims, self->dims, sizeof dims);
    for (uint32_t i = 0; i < self->input_count; i++) {
        if (i != 0 && i != 3) {
            self->inputs[i].rank = 0;
            (i % 3 == 1 || i == 6 ? scale_list : zero_list)(self, i);
        }
    }
    self->inputs[7].rank = 0;
    zero_list(self, 7);
    scale_list(self, 6);
    zero_list(self, 5);
    scale_list(self, 4);
    self->inputs[6].list[0] = 2;
    if (is_conv) {
        int64_t m = arg_int(self, "M", 4), group = arg_int(self, "group", 1),
                k = arg_int(self, "k", 2);
        if (self->rank < 3 || self->dims[1] % group != 0) {
            return 0;
        }
        dims[0] = m;
        dims[1] = self->dims[1] / group;
        for (uint32_t i = 2; i < self->rank; i++) {
            dims[i] = k;
            if (self->dims[i] < k) {
                return 0;
            }
        }
        input_dims(self, 3, self->rank, dims);
        if (arg_text(self, "form") != NULL) { /* a weight scale per channel of the result */
            input_dims(self, 4, 1, &m);
        }
        if (arg_is(self, "form", "", "zeros")) { /* and a zero point */
            input_dims(self, 5, 1, &m);
        }
        if (self->input_count > 8) {
            input_dims(self, 8, 1, &m);
            input_range(self, 8, -50, 50);
        }
        int64_t list[8];
        uint32_t strides = arg_ints(self, "strides", list, 8),
                 pads = arg_ints(self, "pads", list, 8);
        return (strides == 0 || strides == self->rank - 2) &&
               (pads == 0 || pads == 2 * (self->rank - 2));
    }
    if (self->rank < 2) {
        return 0;
    }
    dims[self->rank - 2] = dims[self->rank - 1];
    dims[self->rank - 1] = n;
    input_dims(self, 3, self->rank, dims);
    return 1;
}
static int qlinear_oracle(const trial *self, const nd *in, nd *out) {
    int is_conv = self->op->name[7] == 'C';
    nd sides[2] = {in[0], in[3]}, product;
    for (uint32_t s = 0; s < 2; s++) {
        sides[s].v = trial_memory(self, (sides[s].count + 1) * sizeof(long double));
        const nd *zero = &in[3 * s + 2];
        uint64_t each = zero->rank > 0 ? sides[s].count / (uint64_t)zero->dims[0] : 0;
        for (uint64_t i = 0; i < sides[s].count; i++) {
            sides[s].v[i] = in[3 * s].v[i] - zero->v[each > 0 ? i / each : 0];
        }
    }
    if (is_conv) {
        conv_numbers(self, &sides[0], &sides[1], in[8].v != NULL ? &in[8] : NULL, &product);
    } else if (!matmul_numbers(self, &sides[0], &sides[1], &product)) {
        return 0;
    }
    nd_like(self, out, &product);
    uint64_t plane = is_conv ? dims_count(product.rank - 2, product.dims + 2) : 1;
    for (uint64_t i = 0; i < out->count; i++) {
        uint64_t channel = is_conv ? i / plane % (uint64_t)product.dims[1] : 0;
        long double scale = in[1].v[0] * in[4].v[in[4].rank > 0 ? channel : 0] / in[6].v[0];
        if (is_float8(self->inputs[7].dtype)) {
            out->v[i] = to_float8(self, self->inputs[7].dtype, product.v[i] * scale);
            continue;
        }
        out->v[i] = saturated(self->inputs[7].dtype, rintl(product.v[i] * scale) + in[7].v[0]);
    }
    return 1;
}

/* clang-format off */
#define TARGETS                                                                                                             \
    "to=f32 to=f64 to=f16 to=bf16 to=i8 to=i16 to=i32 to=i64 to=u8 to=u16 to=u32 to=u64 to=bool to=f8e4m3fn to=f8e4m3fnuz " \
    "to=f8e5m2 to=f8e5m2fnuz to=f8e4m3fn,saturate=0 to=f8e5m2,saturate=0 to=i4 to=u4 to=i2 to=u2 to=f4e2m1"
#define FORMS                                                                                                               \
    "- T3=i8,with=y_zero_point T3=u8,with=y_zero_point T3=i16,with=y_zero_point T3=u16,with=y_zero_point "                 \
    "T3=u4,with=y_zero_point T3=i4,with=y_zero_point T3=i2,with=y_zero_point T3=u2,with=y_zero_point "                     \
    "T3=f8e4m3fn,with=y_zero_point T3=f8e5m2,with=y_zero_point T3=f4e2m1,with=y_zero_point "                               \
    "T3=i8,with=y_zero_point,form=axis T3=u8,with=y_zero_point,form=axis,axis=-1 T3=i8,with=y_zero_point,form=block,block_size=2,axis=2 " \
    "form=axis,axis=0 T3=i8,with=y_zero_point,form=block,block_size=7,axis=-1"

static const case_row rows[] = {
    {"Cast", "float|int|float8|sub|bool", "odd prime", TARGETS, "ints bits uniform wide special", fill_cast, cast_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"CastLike", "float|int|float8|sub|bool", "odd", "T2=f32 T2=f16 T2=i8 T2=u16 T2=bool T2=f64 T2=bf16 T2=f8e4m3fn T2=i4", "ints uniform bits", fill_cast, cast_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"BitCast", NULL, "odd prime", "to=f32 to=i32 to=u32 to=f64 to=i64 to=u64 to=c64 to=f16 to=bf16 to=i16 to=u16 to=i8 to=u8 to=bool to=f8e4m3fn to=i4 to=u4 to=f4e2m1 to=c128 to=i2 to=u2",
     "ints", fill_bit_cast, same_oracle, ROW_MOVEMENT, NULL, NULL},
    {"QuantizeLinear", "f32|f16|bf16", "odd prime 2x3x4x5 image big", FORMS, "ints uniform", fill_linear, quantize_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"QuantizeLinear", "i32", "odd prime 2x3x4x5", "T2=f32 T2=f32,T3=i8,with=y_zero_point T2=f32,T3=u8,with=y_zero_point,form=axis T2=f32,T3=i16,with=y_zero_point,form=block,block_size=7,axis=-1", "ints",
     fill_linear, quantize_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"QuantizeLinear", "f32|f16|bf16", "odd 2x3x4x5", "T3=f8e4m3fnuz,with=y_zero_point T3=f8e5m2fnuz,with=y_zero_point T3=f8e4m3fnuz,with=y_zero_point,form=axis T2=f8e8m0,T3=i8,with=y_zero_point T2=f8e8m0,T3=f8e4m3fn,with=y_zero_point "
     "T2=f8e8m0,T3=f4e2m1,with=y_zero_point,form=block,block_size=5,axis=-1 T2=f8e8m0", "ints uniform", fill_linear, quantize_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"QuantizeLinear", "f32", "odd 2x3x4x5", "T2=f16 T2=bf16,T3=i8,with=y_zero_point T2=f16,T3=u16,with=y_zero_point,form=axis precision=f16 precision=bf16,T3=i8,with=y_zero_point "
     "precision=f32,T2=f16,T3=i16,with=y_zero_point output_dtype=i8 output_dtype=u16 output_dtype=i16 output_dtype=i4 output_dtype=u2 output_dtype=f8e4m3fn output_dtype=f8e5m2fnuz output_dtype=f4e2m1", "ints uniform",
     fill_linear, quantize_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"QuantizeLinear", "f32|f16|bf16", "odd 2x3x4x5", "T3=f8e4m3fn,with=y_zero_point T3=f8e5m2,with=y_zero_point T3=f8e4m3fn,with=y_zero_point,saturate=0 T3=f8e5m2,with=y_zero_point,saturate=0 "
     "T3=f8e4m3fnuz,with=y_zero_point,saturate=0 T3=f8e5m2fnuz,with=y_zero_point,saturate=0 T3=i8,with=y_zero_point T3=u16,with=y_zero_point,form=axis", "wide", fill_linear, quantize_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"DequantizeLinear", "float8|sub|i8|u8|i32", "odd 2x3x4x5", "T2=f8e8m0,T3=f32,output_dtype=f32 T2=f8e8m0,T3=f16,output_dtype=f16,with=x_zero_point T2=f8e8m0,T3=bf16,output_dtype=bf16,form=axis T2=f32,T3=f16,output_dtype=f16 T2=f16,T3=f32,output_dtype=f32", "ints bits", fill_linear,
     dequantize_oracle, ROW_ZEROS, NULL, NULL},
    {"DequantizeLinear", "float8|sub|i8|i16|u8|u16|i32", "odd prime 2x3x4x5 image",
     "- with=x_zero_point with=x_zero_point,form=axis form=axis,axis=0 with=x_zero_point,form=axis,axis=-1 T2=f16,T3=f16,with=x_zero_point T2=bf16,T3=bf16 "
     "with=x_zero_point,form=block,block_size=2,axis=2 form=block,block_size=7,axis=-1", "ints bits", fill_linear, dequantize_oracle, ROW_ZEROS, NULL, NULL},
    {"DynamicQuantizeLinear", NULL, "one odd prime wide tall big", "-", "ints uniform wide", NULL, dynamic_oracle, ROW_ZEROS, NULL, NULL},
    {"QLinearMatMul", "i8|u8", "prime odd 2x3x4x5 1x1", "- T2=i8,T3=u8 T2=u8,T3=i8 N=1", "ints bits", fill_qlinear, qlinear_oracle, ROW_ZEROS, NULL, NULL},
    {"QLinearMatMul", "float8", "prime odd 1x1", "TS=f32 TS=f16 TS=f32,N=1", "ints", fill_qlinear, qlinear_oracle, ROW_ZEROS, NULL, NULL},
    {"QLinearMatMul", "i8|u8|float8", "prime odd", "TS=bf16 TS=f16,N=2", "ints", fill_qlinear, qlinear_oracle, ROW_ZEROS, NULL, NULL},
    {"QLinearConv", "i8|u8", "image line row", "- with=B T2=i8,T3=u8,strides=2:2 T2=u8,group=2,M=2 form=axis,pads=1:0:1:1,with=B k=1", "ints bits", fill_qlinear, qlinear_oracle,
     ROW_ZEROS, NULL, NULL},
    {"QLinearConv", "i8|u8", "image", "dilations=2:2 dilations=1:2,pads=1:1:0:2,with=B auto_pad=SAME_UPPER,strides=2:2 auto_pad=SAME_LOWER auto_pad=VALID,k=3 kernel_shape=2:2,pads=0:1:1:0 form=zeros,with=B", "ints bits",
     fill_qlinear, qlinear_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_quantize = {"quantize", rows, sizeof rows / sizeof *rows};
