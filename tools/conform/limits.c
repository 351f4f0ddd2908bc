/* SPDX-License-Identifier: Apache-2.0
 *
 * The limits: one table, each line with its source. Ops that are not in it are exact (movement,
 * integers, comparisons) or carry their error in the oracle (sums, products), as
 * docs/conformance.md tells.
 */
#include "verdict.h"

#include <stdio.h>
#include <string.h>

#define OPENCL "OpenCL 3.0 C, table of relative errors as ULPs"
#define ROUNDED "IEEE 754: correctly rounded"
#define BODY "sum of the steps of its function body"
#define ONEDNN "oneDNN benchdnn"

static const struct {
    const char *op;
    double ulps; /* f32 and f64 */
    const char *source;
} table[] = {
    {"Add",                0.5, ROUNDED},
    {"Sub",                0.5, ROUNDED},
    {"Mul",                0.5, ROUNDED},
    {"Div",                2.5, OPENCL },
    {"Reciprocal",         2.5, OPENCL },
    {"Sqrt",               3,   OPENCL },
    {"Exp",                3,   OPENCL },
    {"Log",                3,   OPENCL },
    {"Sin",                4,   OPENCL },
    {"Cos",                4,   OPENCL },
    {"Tan",                5,   OPENCL },
    {"Asin",               4,   OPENCL },
    {"Acos",               4,   OPENCL },
    {"Atan",               5,   OPENCL },
    {"Sinh",               4,   OPENCL },
    {"Cosh",               4,   OPENCL },
    {"Tanh",               5,   OPENCL },
    {"Asinh",              4,   OPENCL },
    {"Acosh",              4,   OPENCL },
    {"Atanh",              5,   OPENCL },
    {"Erf",                16,  OPENCL },
    {"Pow",                16,  OPENCL },
    {"Sigmoid",            6,   BODY   },
    {"Softsign",           4,   BODY   },
    {"Gelu",               20,  BODY   },
    {"FastGelu",           20,  BODY   },
    {"BiasGelu",           20,  BODY   },
    {"QuickGelu",          8,   BODY   },
    {"Mish",               16,  BODY   },
    {"Softplus",           8,   BODY   },
    {"Elu",                6,   BODY   },
    {"Selu",               8,   BODY   },
    {"Celu",               8,   BODY   },
    {"Swish",              8,   BODY   },
    {"HardSigmoid",        2,   BODY   },
    {"HardSwish",          4,   BODY   },
    {"LeakyRelu",          1,   BODY   },
    {"PRelu",              0.5, ROUNDED},
    {"Shrink",             1,   BODY   },
    {"Mean",               2.5, OPENCL },
    {"Sum",                0.5, ROUNDED},
    {"Softmax",            10,  ONEDNN },
    {"LogSoftmax",         50,  ONEDNN },
    {"LayerNormalization", 8,   ONEDNN },
    {"BatchNormalization", 8,   ONEDNN },
    {"ReduceLogSum",       4,   BODY   },
    {"ReduceLogSumExp",    6,   BODY   },
    {"ReduceL2",           3.5, BODY   },
    {"ReduceMean",         2.5, BODY   },
    {"CumProd",            0.5, ROUNDED},
    {"LRN",                20,  BODY   },
    {"LpNormalization",    6,   BODY   },
    {"LpPool",             20,  BODY   },
    {"GlobalLpPool",       20,  BODY   },
};

/* What the oracles carry beside the units above, by class: each bound and where it comes from. */
/* clang-format off */
static const struct {
    const char *ops;
    const char *bound;
    const char *source;
} carried[] = {
    {"MatMul, Gemm, Conv, DeformConv, Col2Im, AffineGrid, DFT, STFT, CausalConvWithState",
     "(2 ceil(log2 K) + 8) units of the accumulator times the sum of the sizes of K products", "bound of shared sums"},
    {"Resize, GridSample, RoiAlign, DeformConv", "2^-18 (but for Resize 2^-44 in f64) of every element read", "weights computed in f32"},
    {"HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix", "2^-20, whatever comes out", "their bodies work in f32"},
    {"Attention, FlexAttention", "of scores: sums, and four units of the dtype; softmax doubles that as relative error", BODY},
    {"RotaryEmbedding", "two units of the sizes of both products", BODY},
    {"LinearAttention", "a sum's and four units for every step of the recurrence", ONEDNN ", recurrent layers"},
    {"NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss", "LogSoftmax's, and a unit for every step of the body", BODY},
    {"Adagrad, Adam, Momentum", "16 units of what is added, grown by what a root or 1 - beta^T loses", BODY},
    {"Gradient", "64 units of (1 + |dy/dz|) (1 + |dz/dx|)", BODY},
    {"Cast to strings", "one unit of the last place", "ONNX does not say how many digits"},
};
/* clang-format on */

double limit_ulps(const op_row *op, fer_dtype dtype) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].op, op->name) == 0) {
            /* Narrow floats are computed in f32 and rounded once. */
            int is_narrow = fer_dtype_bits(dtype) <= 16;
            return is_narrow && table[i].ulps > 2 ? 2 : table[i].ulps;
        }
    }
    return 0.5;
}

void limits_print(FILE *stream) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        fprintf(stream, "%-20s %5.1f ULP  %s\n", table[i].op, table[i].ulps, table[i].source);
    }
    for (size_t i = 0; i < sizeof carried / sizeof *carried; i++) {
        fprintf(stream, "%s: %s (%s)\n", carried[i].ops, carried[i].bound, carried[i].source);
    }
}
