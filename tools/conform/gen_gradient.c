/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradient: y = z * z of z = OP(x, ...), so that what flows back is not all ones. Outputs are y,
 * which the attribute names as the graph's out0, then the derivatives by xs; with second=1 those
 * of the first of them, out1, follow. With at=1 the node's operands are not those it names, but
 * as many behind them. Importing takes Gradient apart, so these cases go through a model's bytes.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

static const char *inner_op(const trial *self) { return arg_text(self, "of"); }
static int is_op(const trial *self, const char *name) { return arg_is(self, "of", "", name); }

/* ---- of one operand, element by element ---- */

static long double sigmoid(long double x) { return 1 / (1 + expl(-x)); }

static long double slope_one(const char *op, long double x, long double *out_value) {
    static const struct {
        const char *name;
        long double (*function)(long double);
    } plain[] = {
        {"Exp",     expl   },
        {"Sinh",    sinhl  },
        {"Cosh",    coshl  },
        {"Sin",     sinl   },
        {"Cos",     cosl   },
        {"Tan",     tanl   },
        {"Tanh",    tanhl  },
        {"Atan",    atanl  },
        {"Erf",     erfl   },
        {"Log",     logl   },
        {"Sqrt",    sqrtl  },
        {"Abs",     fabsl  },
        {"Floor",   floorl },
        {"Ceil",    ceill  },
        {"Sigmoid", sigmoid}
    };
    long double v = x;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        v = strcmp(op, plain[i].name) == 0 ? plain[i].function(x) : v;
    }
#define SLOPE(name, value, slope)                                                                  \
    if (strcmp(op, name) == 0) {                                                                   \
        *out_value = (value);                                                                      \
        return (slope);                                                                            \
    }
    SLOPE("Identity", x, 1)
    SLOPE("Neg", -x, -1)
    SLOPE("Abs", v, x < 0 ? -1 : 1)
    SLOPE("Exp", v, v)
    SLOPE("Log", v, 1 / x)
    SLOPE("Sqrt", v, 0.5L / v)
    SLOPE("Reciprocal", 1 / x, -1 / (x * x))
    SLOPE("Tanh", v, 1 / (coshl(x) * coshl(x)))
    SLOPE("Sigmoid", v, sigmoid(x) * sigmoid(-x))
    SLOPE("Relu", x > 0 ? x : 0, x > 0)
    SLOPE("LeakyRelu", x > 0 ? x : x * (long double)0.01f, x > 0 ? 1 : (long double)0.01f)
    SLOPE("Softplus", log1pl(expl(x)), sigmoid(x))
    SLOPE("Sin", v, cosl(x))
    SLOPE("Cos", v, -sinl(x))
    SLOPE("Tan", v, 1 / (cosl(x) * cosl(x)))
    SLOPE("Sinh", v, coshl(x))
    SLOPE("Cosh", v, sinhl(x))
    SLOPE("Atan", v, 1 / (1 + x * x))
    SLOPE("Erf", v, 2 / sqrtl(acosl(-1)) * expl(-x * x))
    SLOPE("Floor", v, 0)
    SLOPE("Ceil", v, 0)
#undef SLOPE
    *out_value = NAN;
    return NAN;
}

/* ---- of two operands that broadcast ---- */

static long double
slopes_two(const char *op, long double a, long double b, long double *out_slopes) {
    switch (op[0] == 'D' ? 'D' : op[0] == 'P' ? 'P' : op[0]) {
    case 'A':
        out_slopes[0] = out_slopes[1] = 1;
        return a + b;
    case 'S':
        out_slopes[0] = 1;
        out_slopes[1] = -1;
        return a - b;
    case 'M':
        out_slopes[0] = b;
        out_slopes[1] = a;
        return a * b;
    case 'D':
        out_slopes[0] = 1 / b;
        out_slopes[1] = -a / (b * b);
        return a / b;
    default:
        out_slopes[0] = b * powl(a, b - 1);
        out_slopes[1] = powl(a, b) * logl(a);
        return powl(a, b);
    }
}

/* How slope_one changes: by differences of differences, which is more than f64 holds. */
static long double bend_one(const char *op, long double x) {
    long double level[4], value, h = 0x1p-9L;
    static const char *const straight[] = {
        "Identity", "Neg", "Abs", "Relu", "LeakyRelu", "Floor", "Ceil"};
    for (size_t i = 0; i < sizeof straight / sizeof *straight; i++) {
        if (strcmp(op, straight[i]) == 0) {
            return 0;
        }
    }
    for (int i = 0; i < 4; i++, h /= 2) {
        level[i] = (slope_one(op, x + h, &value) - slope_one(op, x - h, &value)) / (2 * h);
    }
    for (int order = 1; order < 4; order++) { /* Richardson */
        for (int i = 3; i >= order; i--) {
            level[i] += (level[i] - level[i - 1]) / (ldexpl(1, 2 * order) - 1);
        }
    }
    return level[3];
}

/* How the first slope of slopes_two changes with each operand. */
static void bends_two(const char *op, long double a, long double b, long double *out) {
    out[0] = out[1] = 0;
    if (op[0] == 'M') {
        out[1] = 1;
    } else if (op[0] == 'D') {
        out[1] = -1 / (b * b);
    } else if (op[0] == 'P') {
        out[0] = b * (b - 1) * powl(a, b - 2);
        out[1] = powl(a, b - 1) * (1 + b * logl(a));
    }
}

/* ---- cases ---- */

/* Of OP; behind them lie those of Gradient where they are others. */
static uint32_t operands_of(const trial *self) {
    return self->input_count / (arg_int(self, "at", 0) ? 2 : 1);
}
/* Which operand the index-th of xs is. */
static uint32_t named_by(const trial *self, uint32_t index) {
    const char *name = text_piece(self, arg_text(self, "xs"), index);
    return name != NULL && name[0] == 'i' && name[2] == '1';
}

static int fill_gradient(trial *self) {
    const char *op = inner_op(self);
    int is_pair = operands_of(self) == 2, is_product = is_op(self, "MatMul");
    uint32_t rank = self->rank;
    if (op == NULL || (rank == 0 && arg_text(self, "bcast") != NULL) ||
        dims_count(rank, self->dims) == 0 || (is_product && rank < 2) ||
        ((is_op(self, "Transpose") || is_op(self, "Softmax")) && rank < 2)) {
        return 0;
    }
    if (is_product) {
        input_dims(self, 1, 2, (int64_t[]){self->dims[rank - 1], 3});
    } else if (is_pair && arg_is(self, "bcast", "-", "row")) {
        input_dims(self, 1, 1, &self->dims[rank - 1]);
    } else if (is_pair && arg_is(self, "bcast", "-", "column")) {
        self->inputs[1].dims[rank - 1] = 1;
    } else if (is_pair && arg_is(self, "bcast", "-", "scalar")) {
        self->inputs[1].rank = 0;
    }
    int is_positive = is_op(self, "Log") || is_op(self, "Sqrt") || is_op(self, "Reciprocal") ||
                      is_op(self, "Div") || is_op(self, "Pow");
    for (uint32_t i = 0; i < self->input_count; i++) {
        const case_input *like = &self->inputs[i % operands_of(self)];
        input_dims(self, i, like->rank, like->dims);
        input_range(self, i, is_positive ? 0.4 : -1.3, 1.3);
    }
    return 1;
}

/* Adds what flows into one element of an operand. */
static void flow(const trial *self, nd *out, uint64_t at, long double back, long double slope) {
    out->v[at] += back * slope;
    out->slack[at] += 64 * dtype_unit(self->dtype) * (1 + fabsl(back)) * (1 + fabsl(slope));
}

static void of_pair(const trial *self, const nd *in, nd *z, nd *out) {
    int64_t index[FER_MAX_RANK] = {0};
    nd_like(self, z, in);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        long double slopes[2];
        uint64_t other = index_broadcast(in->rank, index, &in[1]);
        z->v[i] = slopes_two(inner_op(self), in[0].v[i], in[1].v[other], slopes);
        flow(self, &out[0], i, 2 * z->v[i], slopes[0]);
        flow(self, &out[1], other, 2 * z->v[i], slopes[1]);
    }
}
static void of_product(const trial *self, const nd *in, nd *z, nd *out) {
    int64_t dims[FER_MAX_RANK], k = in->dims[in->rank - 1], n = in[1].dims[1];
    memcpy(dims, in->dims, sizeof dims);
    dims[in->rank - 1] = n;
    nd_make(self, z, in->rank, dims);
    for (int64_t i = 0; i < (int64_t)z->count; i++) {
        for (int64_t e = 0; e < k; e++) {
            z->v[i] += in->v[i / n * k + e] * in[1].v[e * n + i % n];
        }
        for (int64_t e = 0; e < k; e++) {
            flow(self, &out[0], (uint64_t)(i / n * k + e), 2 * z->v[i], in[1].v[e * n + i % n]);
            flow(self, &out[1], (uint64_t)(e * n + i % n), 2 * z->v[i], in->v[i / n * k + e]);
        }
    }
}
static void of_sum(const trial *self, const nd *in, nd *z, nd *out) {
    int64_t ones[FER_MAX_RANK];
    for (uint32_t i = 0; i < FER_MAX_RANK; i++) {
        ones[i] = 1;
    }
    long double share = is_op(self, "ReduceMean") ? 1 / (long double)in->count : 1;
    nd_make(self, z, arg_int(self, "keepdims", 1) != 0 ? in->rank : 0, ones);
    for (uint64_t i = 0; i < in->count; i++) {
        z->v[0] += in->v[i] * share;
    }
    for (uint64_t i = 0; i < in->count; i++) {
        flow(self, out, i, 2 * z->v[0], share);
        out->slack[i] +=
            sum_slack(self->dtype, in->count, 4 * share * share * (long double)in->count) +
            8 * dtype_unit(self->dtype);
    }
}
static void of_turned(const trial *self, const nd *in, nd *z, nd *out) {
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0}, turned[FER_MAX_RANK];
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[i] = in->dims[in->rank - 1 - i];
    }
    nd_make(self, z, in->rank, dims);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        for (uint32_t d = 0; d < in->rank; d++) {
            turned[d] = index[in->rank - 1 - d];
        }
        z->v[index_flat(in->rank, dims, turned)] = in->v[i];
        flow(self, out, i, 2 * in->v[i], 1);
    }
}
static void of_softmax(const trial *self, const nd *in, nd *z, nd *out) {
    uint64_t size = (uint64_t)in->dims[in->rank - 1];
    nd_like(self, z, in);
    for (uint64_t row = 0; row < in->count; row += size) {
        long double sum = 0, mixed = 0;
        for (uint64_t i = row; i < row + size; i++) {
            z->v[i] = expl(in->v[i]);
            sum += z->v[i];
        }
        for (uint64_t i = row; i < row + size; i++) {
            z->v[i] /= sum;
            mixed += 2 * z->v[i] * z->v[i];
        }
        for (uint64_t i = row; i < row + size; i++) {
            flow(self, out, i, 2 * z->v[i] - mixed, z->v[i]);
        }
    }
}

/* z, and the derivatives of z * z by each operand, added to out. */
static void differentiate(const trial *self, const nd *in, nd *z, nd *out) {
    if (is_op(self, "MatMul")) {
        of_product(self, in, z, out);
    } else if (operands_of(self) == 2) {
        of_pair(self, in, z, out);
    } else if (strncmp(inner_op(self), "Reduce", 6) == 0) {
        of_sum(self, in, z, out);
    } else if (is_op(self, "Transpose")) {
        of_turned(self, in, z, out);
    } else if (is_op(self, "Softmax")) {
        of_softmax(self, in, z, out);
    } else {
        nd_like(self, z, in);
        for (uint64_t i = 0; i < in->count; i++) {
            long double slope = slope_one(inner_op(self), in->v[i], &z->v[i]);
            flow(self, out, i, 2 * z->v[i], slope);
        }
    }
}

/* The sum of the derivatives by the first operand, 2 z z_0, by each: 2 (z_0 z_i + z z_0i). */
static void differentiate_twice(const trial *self, const nd *in, nd *out) {
    const char *op = inner_op(self);
    for (uint64_t i = 0; i < in->count; i++) {
        long double z, slopes[2] = {0}, bends[2] = {0};
        if (operands_of(self) == 2) {
            z = slopes_two(op, in[0].v[i], in[1].v[i], slopes);
            bends_two(op, in[0].v[i], in[1].v[i], bends);
        } else {
            slopes[0] = slope_one(op, in->v[i], &z);
            bends[0] = bend_one(op, in->v[i]);
        }
        for (uint32_t o = 0; o < operands_of(self); o++) {
            flow(self, &out[o], i, 2 * slopes[0], slopes[o]);
            flow(self, &out[o], i, 2 * z, bends[o]);
        }
    }
}

static int gradient_oracle(const trial *self, const nd *in, nd *out) {
    nd z, first[2], second[2];
    uint32_t operands = operands_of(self), named = text_pieces(arg_text(self, "xs"));
    const nd *at = in + (self->input_count - operands); /* in, or what lies behind */
    for (uint32_t o = 0; o < operands; o++) {
        nd_like(self, &first[o], &at[o]);
        nd_slack(self, &first[o]);
        nd_like(self, &second[o], &at[o]);
        nd_slack(self, &second[o]);
    }
    differentiate(self, at, &z, first);
    if (arg_int(self, "second", 0)) {
        differentiate_twice(self, at, second);
    }
    for (uint32_t o = 0; o + 1 < self->output_count; o++) {
        out[o + 1] = (o < named ? first : second)[named_by(self, o % named)];
    }
    if (at != in) { /* y is of those it names; at=1 has no second */
        differentiate(self, in, &z, second);
    }
    nd_like(self, &out[0], &z);
    nd_slack(self, &out[0]);
    for (uint64_t i = 0; i < z.count; i++) {
        out->v[i] = z.v[i] * z.v[i];
        out->slack[i] = 64 * dtype_unit(self->dtype) * (1 + fabsl(z.v[i])) * (1 + fabsl(z.v[i])) +
                        sum_slack(self->dtype,
                                  in->count,
                                  fabsl(z.v[i]) + (z.count == 1 ? (long double)in->count : 0));
    }
    return 1;
}

static fer_status gradient_build(const trial *self,
                                 fer_graph *graph,
                                 fer_context *context,
                                 const fer_value_id *inputs,
                                 fer_value_id *out_outputs) {
    fer_attr attrs[CASE_ARGS], keeps = {.name = "keepdims",
                                        .type = FER_ATTR_INT,
                                        .count = 1,
                                        .value.i = arg_int(self, "keepdims", 1)};
    fer_value_id z, twice[2];
    uint32_t operands = operands_of(self), named = text_pieces(arg_text(self, "xs"));
    fer_node_desc inner = {.struct_size = sizeof inner,
                           .input_count = operands,
                           .op = inner_op(self),
                           .name = "inner",
                           .inputs = inputs,
                           .attrs = &keeps,
                           .attr_count = arg_text(self, "keepdims") != NULL,
                           .output_count = 1};
    fer_status status = fer_graph_add_node(graph, &inner, &z);
    twice[0] = twice[1] = z;
    fer_node_desc square = {.struct_size = sizeof square,
                            .input_count = 2,
                            .op = "Mul",
                            .name = "square",
                            .inputs = twice,
                            .output_count = 1};
    status = status ? status : fer_graph_add_node(graph, &square, &out_outputs[0]);
    fer_value_id values[2] = {inputs[self->input_count - operands], inputs[self->input_count - 1]};
    if (operands == 2 && named_by(self, 0) == 1) { /* in the order of xs and zs */
        values[1] = inputs[self->input_count - 2];
        values[0] = inputs[self->input_count - 1];
    }
    fer_node_desc node = {.struct_size = sizeof node,
                          .input_count = operands,
                          .domain = self->op->domain,
                          .op = self->op->name,
                          .name = "case",
                          .inputs = values,
                          .attrs = attrs,
                          .attr_count = trial_attrs(self, context, attrs, CASE_ARGS),
                          .output_count = named};
    status = status ? status : fer_graph_add_node(graph, &node, out_outputs + 1);
    for (uint32_t i = 0; i < node.attr_count; i++) {
        if (strcmp(attrs[i].name, "y") == 0) {
            attrs[i].value.s = (fer_string){"out1", 4};
        }
    }
    node.name = "second";
    return status || !arg_int(self, "second", 0)
               ? status
               : fer_graph_add_node(graph, &node, out_outputs + 1 + named);
}

/* clang-format off */
#define ONE(op) "n=1,outs=2,xs=in0,y=out0,of=" op " "
#define TWO(op) "n=2,outs=3,xs=in0:in1,y=out0,of=" op " "
#define REST(op) "n=2,outs=2,xs=in0,zs=in1,y=out0,of=" op " n=2,outs=2,xs=in1,zs=in0,y=out0,of=" op " "
#define AT_ONE(op) "n=2,outs=2,xs=in0,y=out0,at=1,of=" op " "
#define AT_TWO(op) "n=4,outs=3,xs=in0:in1,y=out0,at=1,of=" op " n=4,outs=2,xs=in0,zs=in1,y=out0,at=1,of=" op " "
#define AGAIN(op) "n=1,outs=3,xs=in0,y=out0,second=1,of=" op " "
#define AGAIN_TWO(op) "n=2,outs=5,xs=in0:in1,y=out0,second=1,of=" op " n=2,outs=3,xs=in0,zs=in1,y=out0,second=1,of=" op " "
#define SPREAD(op, how) "n=2,outs=3,xs=in0:in1,y=out0,bcast=" how ",of=" op " "
static const case_row rows[] = {
    {"ai.onnx.preview.training.Gradient", "f32|f64|f16", "scalar one odd prime",
     ONE("Identity") ONE("Neg") ONE("Abs") ONE("Exp") ONE("Log") ONE("Sqrt") ONE("Reciprocal") ONE("Tanh") ONE("Sigmoid") ONE("Relu") ONE("LeakyRelu") ONE("Softplus") ONE("Sin") ONE("Cos") ONE("Tan")
     ONE("Sinh") ONE("Cosh") ONE("Atan") ONE("Erf") ONE("Floor") ONE("Ceil") ONE("Transpose") ONE("Softmax") ONE("ReduceSum") ONE("ReduceMean") "n=1,outs=2,xs=in0,y=out0,keepdims=0,of=ReduceSum "
     "n=1,outs=2,xs=in0,y=out0,keepdims=0,of=ReduceMean", "uniform", fill_gradient, gradient_oracle, ROW_ZEROS | ROW_IMPORTED, NULL, gradient_build},
    {"ai.onnx.preview.training.Gradient", "f32|f64|f16", "scalar one odd prime 2x3x4x5",
     TWO("Add") TWO("Sub") TWO("Mul") TWO("Div") TWO("Pow") SPREAD("Add", "row") SPREAD("Sub", "column") SPREAD("Mul", "row") SPREAD("Mul", "scalar") SPREAD("Div", "column") SPREAD("Div", "scalar") SPREAD("Pow", "row")
     TWO("MatMul"), "uniform", fill_gradient, gradient_oracle, ROW_ZEROS | ROW_IMPORTED, NULL, gradient_build},
    {"ai.onnx.preview.training.Gradient", "f32|f64|f16", "scalar one odd prime",
     REST("Add") REST("Sub") REST("Mul") REST("Div") REST("Pow") REST("MatMul") "n=2,outs=2,xs=in0,zs=in1,y=out0,bcast=row,of=Mul n=2,outs=2,xs=in1,zs=in0,y=out0,bcast=row,of=Mul "
     AT_ONE("Exp") AT_ONE("Tanh") AT_ONE("Sigmoid") AT_ONE("Softmax") AT_ONE("ReduceMean") AT_TWO("Add") AT_TWO("Mul") AT_TWO("Div") AT_TWO("MatMul"), "uniform", fill_gradient, gradient_oracle, ROW_ZEROS | ROW_IMPORTED, NULL, gradient_build},
    {"ai.onnx.preview.training.Gradient", "f32|f64|f16", "scalar one odd prime",
     AGAIN("Identity") AGAIN("Neg") AGAIN("Abs") AGAIN("Exp") AGAIN("Log") AGAIN("Sqrt") AGAIN("Reciprocal") AGAIN("Tanh") AGAIN("Sigmoid") AGAIN("Relu") AGAIN("LeakyRelu") AGAIN("Softplus") AGAIN("Sin") AGAIN("Cos") AGAIN("Tan")
     AGAIN("Sinh") AGAIN("Cosh") AGAIN("Atan") AGAIN("Erf") AGAIN("Floor") AGAIN_TWO("Add") AGAIN_TWO("Sub") AGAIN_TWO("Mul") AGAIN_TWO("Div") AGAIN_TWO("Pow"), "uniform", fill_gradient, gradient_oracle, ROW_ZEROS | ROW_IMPORTED, NULL,
     gradient_build},
};
/* clang-format on */

const case_family cases_gradient = {"gradient", rows, sizeof rows / sizeof *rows};
