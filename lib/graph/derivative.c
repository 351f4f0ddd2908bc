/* SPDX-License-Identifier: Apache-2.0
 *
 * Derivatives of ops, as texts: element-wise ops, products, reductions and moves. Any other op on
 * the way from xs to y is refused by name. Called by gradient.c.
 */
#include "base/error.h"
#include "graph/gradient.h"

#include <string.h>

typedef struct derivative {
    const char *op;
    const char *text;
} derivative;

static const derivative rows[] = {
    {"Add",        "h0 = Identity(d0)\nh1 = Identity(d0)\n"                              },
    {"Sub",        "h0 = Identity(d0)\nh1 = Neg(d0)\n"                                   },
    {"Mul",        "h0 = Mul(d0, i1)\nh1 = Mul(d0, i0)\n"                                },
    {"Div",        "h0 = Div(d0, i1)\nh1 = Neg(Div(Mul(d0, o0), i1))\n"                  },
    {"Neg",        "h0 = Neg(d0)\n"                                                      },
    {"Abs",        "h0 = Mul(d0, Sign(i0))\n"                                            },
    {"Exp",        "h0 = Mul(d0, o0)\n"                                                  },
    {"Log",        "h0 = Div(d0, i0)\n"                                                  },
    {"Sqrt",       "h0 = Div(d0, Add(o0, o0))\n"                                         },
    {"Reciprocal", "h0 = Neg(Mul(d0, Mul(o0, o0)))\n"                                    },
    {"Tanh",       "h0 = Mul(d0, Sub({1: o0}, Mul(o0, o0)))\n"                           },
    {"Sigmoid",    "h0 = Mul(d0, Mul(o0, Sub({1: o0}, o0)))\n"                           },
    {"Relu",       "h0 = Where(Greater(i0, {0: i0}), d0, {0: d0})\n"                     },
    {"LeakyRelu",  "h0 = Where(Greater(i0, {0: i0}), d0, Mul(d0, {@alpha|0.01: d0}))\n"  },
    {"Softplus",   "h0 = Mul(d0, Sigmoid(i0))\n"                                         },
    {"Sin",        "h0 = Mul(d0, Cos(i0))\n"                                             },
    {"Cos",        "h0 = Neg(Mul(d0, Sin(i0)))\n"                                        },
    {"Tan",        "h0 = Mul(d0, Add({1: o0}, Mul(o0, o0)))\n"                           },
    {"Sinh",       "h0 = Mul(d0, Cosh(i0))\n"                                            },
    {"Cosh",       "h0 = Mul(d0, Sinh(i0))\n"                                            },
    {"Atan",       "h0 = Div(d0, Add({1: i0}, Mul(i0, i0)))\n"                           },
    {"Erf",        "h0 = Mul(d0, Mul({1.1283791670955126: i0}, Exp(Neg(Mul(i0, i0)))))\n"},
    {"Floor",      "h0 = Mul(d0, {0: d0})\n"                                             },
    {"Ceil",       "h0 = Mul(d0, {0: d0})\n"                                             },
    {"Round",      "h0 = Mul(d0, {0: d0})\n"                                             },
    {"Sign",       "h0 = Mul(d0, {0: d0})\n"                                             },
    {"Identity",   "h0 = Identity(d0)\n"                                                 },
    {"Cast",       "h0 = Cast(d0, to=i0)\n"                                              },
    {"Where",      "h1 = Where(i0, d0, {0: d0})\nh2 = Where(i0, {0: d0}, d0)\n"          },
    {"Pow",
     "h0 = Mul(d0, Mul(Cast(i1, to=i0), Pow(i0, Sub(i1, {1: i1}))))\n"
     "h1 = Mul(d0, Mul(o0, Log(i0)))\n"                                                  },
    {"Softmax",
     "s = ReduceSum(Mul(d0, o0), {i64: @axis|-1}, keepdims=1)\n"
     "h0 = Mul(o0, Sub(d0, s))\n"                                                        },
    {"LogSoftmax",
     "s = ReduceSum(d0, {i64: @axis|-1}, keepdims=1)\n"
     "h0 = Sub(d0, Mul(Exp(o0), s))\n"                                                   },
    {"Reshape",    "h0 = Reshape(d0, Shape(i0))\n"                                       },
    {"Squeeze",    "h0 = Reshape(d0, Shape(i0))\n"                                       },
    {"Unsqueeze",  "h0 = Reshape(d0, Shape(i0))\n"                                       },
    {"Flatten",    "h0 = Reshape(d0, Shape(i0))\n"                                       },
    {"Expand",     "h0 = Identity(d0)\n"                                                 },
};

static fer_status refuse(const feri_infer *call, const char *what) {
    fer_status status = feri_fail(FER_UNSUPPORTED,
                                  "%s '%s': Gradient needs %s",
                                  feri_op_name(call->op),
                                  call->node ? call->node : "",
                                  what);
    feri_error_set_node(call->node);
    return status;
}

static void add_perm(feri_text *out_body, const char *name, const int64_t *perm, int32_t rank) {
    feri_text_add(out_body, "Transpose(%s, perm=[", name);
    for (int32_t i = 0; i < rank; i++) {
        feri_text_add(out_body, " %d", (int)perm[i]);
    }
    feri_text_add(out_body, "])");
}

/* name with its last two dims swapped */
static void add_turned(feri_text *out_body, const char *name, int32_t rank) {
    int64_t perm[FER_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) {
        perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    }
    add_perm(out_body, name, perm, rank);
}

static fer_status matmul(const feri_infer *call, feri_text *out_body) {
    int32_t a = call->in[0]->rank, b = call->in[1]->rank;
    if (a < 2 || b < 2) {
        return refuse(call, "operands whose rank is known, at least 2");
    }
    feri_text_add(out_body, "h0 = MatMul(d0, ");
    add_turned(out_body, "i1", b);
    feri_text_add(out_body, ")\nh1 = MatMul(");
    add_turned(out_body, "i0", a);
    feri_text_add(out_body, ", d0)\n");
    return out_body->status;
}

/* Y = alpha A' B' + beta C; e = alpha dY. */
static fer_status gemm(const feri_infer *call, feri_text *out_body) {
    int a_turns = feri_attr_int(call->attrs, call->attr_count, "transA", 0) != 0;
    int b_turns = feri_attr_int(call->attrs, call->attr_count, "transB", 0) != 0;
    feri_text_add(out_body,
                  "e = Mul({@alpha|1: d0}, d0)\n"
                  "h2 = Mul({@beta|1: d0}, d0)\n"
                  "h0 = Gemm(%s, %s, transA=%d, transB=%d)\n"
                  "h1 = Gemm(%s, %s, transA=%d, transB=%d)\n",
                  a_turns ? "i1" : "e",
                  a_turns ? "e" : "i1",
                  a_turns && b_turns,
                  a_turns ? 1 : !b_turns,
                  b_turns ? "e" : "i0",
                  b_turns ? "i0" : "e",
                  b_turns ? 1 : !a_turns,
                  a_turns && b_turns);
    return out_body->status;
}

/* ReduceSum and ReduceMean: spread over what was summed. */
static fer_status reduce(const feri_infer *call, feri_text *out_body) {
    int keeps = feri_attr_int(call->attrs, call->attr_count, "keepdims", 1) != 0;
    int has_axes = call->in_count > 1 && call->in[1];
    feri_text_add(out_body, keeps || !has_axes ? "u = Identity(d0)\n" : "u = Unsqueeze(d0, i1)\n");
    feri_text_add(out_body,
                  strcmp(feri_op_name(call->op), "ReduceMean") == 0
                      ? "n = Cast(Div(Size(i0), Size(o0)), to=d0)\n"
                        "h0 = Expand(Div(u, n), Shape(i0))\n"
                      : "h0 = Expand(u, Shape(i0))\n");
    return out_body->status;
}

static fer_status transpose(const feri_infer *call, feri_text *out_body) {
    const fer_attr *attr = feri_attr_find(call->attrs, call->attr_count, "perm");
    int32_t rank = call->in[0]->rank;
    int64_t inverse[FER_MAX_RANK];
    if (rank < 0 || (attr && attr->count != (uint32_t)rank)) {
        return refuse(call, "an operand whose rank is known");
    }
    for (int32_t i = 0; i < rank; i++) {
        int64_t from = attr ? attr->value.ints[i] : rank - 1 - i;
        if (from < 0 || from >= rank) {
            return refuse(call, "a perm of its axes");
        }
        inverse[from] = i;
    }
    feri_text_add(out_body, "h0 = ");
    add_perm(out_body, "d0", inverse, rank);
    feri_text_add(out_body, "\n");
    return out_body->status;
}

/* Sum, Mean and Concat of n operands. */
static fer_status of_many(const feri_infer *call, feri_text *out_body) {
    int is_concat = strcmp(feri_op_name(call->op), "Concat") == 0;
    if (call->in_count > 16) {
        return refuse(call, "at most 16 operands");
    }
    if (is_concat) {
        long long axis = feri_attr_int(call->attrs, call->attr_count, "axis", 0);
        for (uint32_t i = 0; i < call->in_count; i++) {
            feri_text_add(out_body, i ? ", h%u" : "h%u", i);
        }
        feri_text_add(out_body, " = Split(d0, Concat(");
        for (uint32_t i = 0; i < call->in_count; i++) {
            feri_text_add(out_body, "Gather(Shape(i%u), {i64: %lld}), ", i, axis);
        }
        feri_text_add(out_body, "axis=0), axis=%lld)\n", axis);
        return out_body->status;
    }
    for (uint32_t i = 0; i < call->in_count; i++) {
        feri_text_add(out_body,
                      strcmp(feri_op_name(call->op), "Mean") == 0 ? "h%u = Div(d0, {%u: d0})\n"
                                                                  : "h%u = Identity(d0)\n",
                      i,
                      call->in_count);
    }
    return out_body->status;
}

fer_status feri_derivative(const feri_infer *call, feri_text *out_body) {
    static const struct {
        const char *op;
        fer_status (*write)(const feri_infer *call, feri_text *out_body);
    } written[] = {
        {"MatMul",     matmul   },
        {"Gemm",       gemm     },
        {"ReduceSum",  reduce   },
        {"ReduceMean", reduce   },
        {"Transpose",  transpose},
        {"Sum",        of_many  },
        {"Mean",       of_many  },
        {"Concat",     of_many  },
    };
    int is_onnx = feri_op_domain(call->op)[0] == '\0';
    for (size_t i = 0; is_onnx && i < sizeof(written) / sizeof(written[0]); i++) {
        if (strcmp(feri_op_name(call->op), written[i].op) == 0) {
            return written[i].write(call, out_body);
        }
    }
    for (size_t i = 0; is_onnx && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(feri_op_name(call->op), rows[i].op) == 0) {
            feri_text_add(out_body, "%s", rows[i].text);
            return out_body->status;
        }
    }
    return refuse(call, "its derivative, which is not there");
}
