/* SPDX-License-Identifier: Apache-2.0
 *
 * Element-wise cases: one operand, two, or several with broadcasting in each direction. The oracle
 * is a table of functions from libm in long double; integers wrap to their width.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide_uint;

/* ---- one operand ---- */

typedef long double (*one_fn)(const trial *self, long double x);

static long double keep(const trial *self, long double x) { return (void)self, x; }
#define LIBM(name)                                                                                 \
    static long double do_##name(const trial *self, long double x) { return (void)self, name(x); }
LIBM(fabsl)
LIBM(acosl)
LIBM(acoshl)
LIBM(asinl)
LIBM(asinhl)
LIBM(atanl)
LIBM(atanhl)
LIBM(ceill)
LIBM(cosl)
LIBM(coshl)
LIBM(erfl)
LIBM(expl)
LIBM(floorl)
LIBM(logl)
LIBM(rintl)
LIBM(sinl)
LIBM(sinhl)
LIBM(sqrtl)
LIBM(tanl)
LIBM(tanhl)

static long double negate(const trial *self, long double x) { return (void)self, -x; }
static long double reciprocal(const trial *self, long double x) { return (void)self, 1 / x; }
static long double sign(const trial *self, long double x) {
    return (void)self, x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x;
}
static long double relu(const trial *self, long double x) { return (void)self, x < 0 ? 0 : x; }
static long double not_zero(const trial *self, long double x) { return (void)self, x == 0; }
static long double is_nan(const trial *self, long double x) { return (void)self, isnan(x) != 0; }
static long double is_inf(const trial *self, long double x) {
    return isinf(x) && arg_int(self, x > 0 ? "detect_positive" : "detect_negative", 1) != 0;
}
static long double bitwise_not(const trial *self, long double x) {
    return wrap_to(self->dtype, ~(wide_int)x);
}
static long double sigmoid(const trial *self, long double x) {
    return (void)self, 1 / (1 + expl(-x));
}
static long double softplus(const trial *self, long double x) {
    return (void)self, x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}
static long double softsign(const trial *self, long double x) {
    return (void)self, x / (1 + fabsl(x));
}
static long double mish(const trial *self, long double x) { return x * tanhl(softplus(self, x)); }
static long double hard_swish(const trial *self, long double x) {
    return (void)self, x * fmaxl(0, fminl(1, x / 6 + 0.5L));
}
static long double hard_sigmoid(const trial *self, long double x) {
    long double y =
        (long double)arg_real(self, "alpha", 0.2f) * x + (long double)arg_real(self, "beta", 0.5f);
    return y < 0 ? 0 : y > 1 ? 1 : y;
}
static long double elu(const trial *self, long double x) {
    return x < 0 ? (long double)arg_real(self, "alpha", 1) * expm1l(x) : x;
}
static long double selu(const trial *self, long double x) {
    long double alpha = arg_real(self, "alpha", 1.67326319f),
                gamma = arg_real(self, "gamma", 1.05070102f);
    return gamma * (x > 0 ? x : alpha * expm1l(x));
}
static long double celu(const trial *self, long double x) {
    long double alpha = arg_real(self, "alpha", 1);
    return fmaxl(0, x) + fminl(0, alpha * expm1l(x / alpha));
}
static long double leaky_relu(const trial *self, long double x) {
    return x < 0 ? (long double)arg_real(self, "alpha", 0.01f) * x : x;
}
static long double thresholded_relu(const trial *self, long double x) {
    return x > (long double)arg_real(self, "alpha", 1) ? x : 0;
}
static long double shrink(const trial *self, long double x) {
    long double bias = arg_real(self, "bias", 0), lambd = arg_real(self, "lambd", 0.5);
    return x < -lambd ? x + bias : x > lambd ? x - bias : 0;
}
static long double swish(const trial *self, long double x) {
    return x * sigmoid(self, (long double)arg_real(self, "alpha", 1) * x);
}
static long double gelu(const trial *self, long double x) {
    if (arg_is(self, "approximate", "none", "tanh")) {
        return 0.5L * x *
               (1 + tanhl(sqrtl(2 / 3.14159265358979323846264L) * (x + 0.044715L * x * x * x)));
    }
    return 0.5L * x * (1 + erfl(x / sqrtl(2)));
}

static const struct {
    const char *op;
    one_fn run;
    int32_t cancels; /* its usual formula subtracts: an error of a few f32 units of 1 + |x| is
                        allowed beside the ulps */
} ones[] = {
    {"Abs",             do_fabsl,         0},
    {"Acos",            do_acosl,         0},
    {"Acosh",           do_acoshl,        0},
    {"Asin",            do_asinl,         0},
    {"Asinh",           do_asinhl,        0},
    {"Atan",            do_atanl,         0},
    {"Atanh",           do_atanhl,        0},
    {"BitwiseNot",      bitwise_not,      0},
    {"Ceil",            do_ceill,         0},
    {"Celu",            celu,             1},
    {"Cos",             do_cosl,          0},
    {"Cosh",            do_coshl,         0},
    {"Elu",             elu,              1},
    {"Erf",             do_erfl,          0},
    {"Exp",             do_expl,          0},
    {"Floor",           do_floorl,        0},
    {"Gelu",            gelu,             1},
    {"HardSigmoid",     hard_sigmoid,     1},
    {"HardSwish",       hard_swish,       1},
    {"Identity",        keep,             0},
    {"IsInf",           is_inf,           0},
    {"IsNaN",           is_nan,           0},
    {"LeakyRelu",       leaky_relu,       0},
    {"Log",             do_logl,          0},
    {"Mish",            mish,             1},
    {"Neg",             negate,           0},
    {"Not",             not_zero,         0},
    {"Reciprocal",      reciprocal,       0},
    {"Relu",            relu,             0},
    {"Round",           do_rintl,         0},
    {"Selu",            selu,             1},
    {"Shrink",          shrink,           0},
    {"Sigmoid",         sigmoid,          1},
    {"Sign",            sign,             0},
    {"Sin",             do_sinl,          0},
    {"Sinh",            do_sinhl,         0},
    {"Softplus",        softplus,         1},
    {"Softsign",        softsign,         0},
    {"Sqrt",            do_sqrtl,         0},
    {"Swish",           swish,            1},
    {"Tan",             do_tanl,          0},
    {"Tanh",            do_tanhl,         0},
    {"ThresholdedRelu", thresholded_relu, 0},
};

/* An expansion of a narrow op computes in f32. */
static long double working_unit(fer_dtype dtype) { return dtype == FER_F64 ? 0x1p-53L : 0x1p-24L; }

static int one_oracle(const trial *self, const nd *in, nd *out) {
    size_t at = 0;
    while (at < sizeof ones / sizeof *ones && strcmp(ones[at].op, self->op->name) != 0) {
        at++;
    }
    if (at == sizeof ones / sizeof *ones) {
        return 0;
    }
    nd_like(self, out, in);
    if (ones[at].cancels) {
        nd_slack(self, out);
    }
    for (uint64_t i = 0; i < in->count; i++) {
        long double x = in->v[i], y = ones[at].run(self, x);
        if (dtype_is_integer(self->dtype) && !self->inputs[0].is_moved) {
            y = wrap_to(self->dtype, (wide_int)y);
        }
        out->v[i] = y;
        if (ones[at].cancels) {
            out->slack[i] = 4 * working_unit(self->dtype) * (1 + (fabsl(x) < 16 ? fabsl(x) : 0));
        }
    }
    return 1;
}

/* ---- two operands and more ---- */

/* How operand index is shaped under bcast: a and b lose their leading dim, ab have ones in turn, s
 * is a scalar. */
int fill_broadcast(trial *self) {
    const char *how = arg_text(self, "bcast");
    if (how == NULL || self->input_count < 2) {
        return 1;
    }
    uint32_t rank = self->rank;
    case_input *a = &self->inputs[0], *b = &self->inputs[self->input_count - 1];
    if (rank == 0) {
        return 0;
    }
    if (strcmp(how, "a") == 0) {
        input_dims(self, 0, rank - 1, self->dims + 1);
    } else if (strcmp(how, "b") == 0) {
        input_dims(self, self->input_count - 1, rank - 1, self->dims + 1);
    } else if (strcmp(how, "s") == 0) {
        b->rank = 0;
    } else if (strcmp(how, "ab") == 0 && rank >= 2) {
        a->dims[0] = 1;
        b->dims[rank - 1] = 1;
    } else if (strcmp(how, "m") == 0 && rank >= 3) {
        b->dims[1] = 1;
    } else {
        return 0;
    }
    return 1;
}

typedef struct two {
    const char *op;
    long double (*real)(const trial *self, long double a, long double b);
    wide_int (*whole)(const trial *self, wide_int a, wide_int b);
} two;

#define REAL(name, expression)                                                                     \
    static long double real_##name(const trial *self, long double a, long double b) {              \
        return (void)self, (expression);                                                           \
    }
#define WHOLE(name, expression)                                                                    \
    static wide_int whole_##name(const trial *self, wide_int a, wide_int b) {                      \
        return (void)self, (expression);                                                           \
    }
REAL(add, a + b)
REAL(sub, a - b)
REAL(mul, a *b)
REAL(div, a / b)
REAL(pow, powl(a, b))
REAL(mod, fmodl(a, b))
REAL(prelu, a < 0 ? a * b : a)
REAL(equal, a == b)
REAL(greater, a > b)
REAL(greater_equal, a >= b)
REAL(less, a < b)
REAL(less_equal, a <= b)
REAL(and, a != 0 && b != 0)
REAL(or, a != 0 || b != 0)
REAL(xor, (a != 0) != (b != 0))
WHOLE(add, a + b)
WHOLE(sub, a - b)
WHOLE(mul, (wide_int)((wide_uint)a *(wide_uint)b))
WHOLE(div, a / b)
WHOLE(prelu, a < 0 ? a * b : a)
WHOLE(and, a &b)
WHOLE(or, a | b)
WHOLE(xor, a ^ b)

static wide_int whole_mod(const trial *self, wide_int a, wide_int b) {
    wide_int rest = a % b;
    int like_divisor = arg_int(self, "fmod", 0) == 0;
    return like_divisor && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
static wide_int whole_shift(const trial *self, wide_int a, wide_int b) {
    return arg_is(self, "direction", "", "LEFT") ? a << b : a >> b;
}
static wide_int whole_pow(const trial *self, wide_int a, wide_int b) {
    wide_int product = 1;
    for (wide_int i = 0; i < b; i++) {
        product = (wide_int)((wide_uint)product * (wide_uint)a);
    }
    return (void)self, product;
}

static const two twos[] = {
    {"Add",            real_add,           whole_add  },
    {"Sub",            real_sub,           whole_sub  },
    {"Mul",            real_mul,           whole_mul  },
    {"Div",            real_div,           whole_div  },
    {"Pow",            real_pow,           whole_pow  },
    {"Mod",            real_mod,           whole_mod  },
    {"PRelu",          real_prelu,         whole_prelu},
    {"Equal",          real_equal,         NULL       },
    {"Greater",        real_greater,       NULL       },
    {"GreaterOrEqual", real_greater_equal, NULL       },
    {"Less",           real_less,          NULL       },
    {"LessOrEqual",    real_less_equal,    NULL       },
    {"And",            real_and,           NULL       },
    {"Or",             real_or,            NULL       },
    {"Xor",            real_xor,           NULL       },
    {"BitwiseAnd",     NULL,               whole_and  },
    {"BitwiseOr",      NULL,               whole_or   },
    {"BitwiseXor",     NULL,               whole_xor  },
    {"BitShift",       NULL,               whole_shift},
};

static int two_oracle(const trial *self, const nd *in, nd *out) {
    const nd *both[] = {&in[0], &in[1]};
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    uint32_t rank;
    size_t at = 0;
    while (at < sizeof twos / sizeof *twos && strcmp(twos[at].op, self->op->name) != 0) {
        at++;
    }
    if (at == sizeof twos / sizeof *twos || !dims_broadcast(both, 2, &rank, dims)) {
        return 0;
    }
    int is_whole = dtype_is_integer(self->dtype) && twos[at].whole != NULL &&
                   dtype_is_integer(self->inputs[1].dtype);
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, index)) {
        long double a = in[0].v[index_broadcast(rank, index, &in[0])],
                    b = in[1].v[index_broadcast(rank, index, &in[1])];
        out->v[i] = is_whole ? wrap_to(self->dtype, twos[at].whole(self, (wide_int)a, (wide_int)b))
                    : dtype_is_integer(self->dtype) && twos[at].whole != NULL
                        ? truncl(twos[at].real(self, a, b))
                        : twos[at].real(self, a, b);
    }
    return 1;
}

/* Divisors are not 0 and shifts stay below the width: the specification leaves the rest open. */
static int fill_divisor(trial *self) {
    if (dtype_is_integer(self->dtype)) {
        self->inputs[1].fill = FILL_NONZERO;
        if (dtype_is_signed(self->dtype) && strcmp(self->values, "extreme") == 0) {
            input_range(self, 1, 2, 100); /* the least number divided by -1 has no answer */
        }
    }
    return fill_broadcast(self);
}
static int fill_shift(trial *self) {
    input_range(self, 1, 0, fer_dtype_bits(self->dtype) - 1);
    return fill_broadcast(self);
}
static int fill_power(trial *self) {
    if (dtype_is_integer(self->dtype)) {
        input_range(self, 0, -3, 4);
        input_range(self, 1, 0, 3);
        if (!dtype_is_integer(
                self->inputs[1].dtype)) { /* a root of an integer lies on the edge of two */
            self->inputs[1].fill = FILL_LIST;
            self->inputs[1].list_count = 4;
            for (uint32_t i = 0; i < 4; i++) {
                self->inputs[1].list[i] = i;
            }
        }
    } else if (dtype_is_integer(self->inputs[1].dtype)) {
        input_range(self, 1, dtype_is_signed(self->inputs[1].dtype) ? -3 : 0, 5);
    } else if (strcmp(self->values, "uniform") == 0 || strcmp(self->values, "wide") == 0) {
        self->inputs[0].fill = FILL_POSITIVE;
        input_range(self, 1, -3, 3);
    }
    return fill_broadcast(self);
}

/* ---- any number of operands ---- */

static long double fold_one(const trial *self, long double so_far, long double x) {
    const char *op = self->op->name;
    if (strcmp(op, "Max") == 0 || strcmp(op, "Min") == 0) {
        int is_max = op[1] == 'a';
        return isnan(so_far) ? so_far : isnan(x) ? x : (x > so_far) == is_max ? x : so_far;
    }
    return so_far + x;
}

static int fold_oracle(const trial *self, const nd *in, nd *out) {
    const nd *all[CASE_INPUTS];
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    uint32_t rank, count = self->input_count;
    int is_sum = self->op->name[0] == 'S' || strcmp(self->op->name, "Mean") == 0;
    for (uint32_t k = 0; k < count; k++) {
        all[k] = &in[k];
    }
    if (!dims_broadcast(all, count, &rank, dims)) {
        return 0;
    }
    nd_make(self, out, rank, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, index)) {
        long double sum = 0, size = 0;
        for (uint32_t k = 0; k < count; k++) {
            long double x = in[k].v[index_broadcast(rank, index, &in[k])];
            sum = k == 0 ? x : fold_one(self, sum, x);
            size += fabsl(x);
        }
        int is_mean = self->op->name[1] == 'e';
        out->v[i] = is_mean ? sum / count : sum;
        /* Adding one after another in the dtype itself is right too. */
        out->slack[i] = is_sum && count > 1 && isfinite(size)
                            ? dtype_unit(self->dtype) * size * (count - 1)
                            : 0;
    }
    return 1;
}

/* ---- Clip, Where ---- */

static int clip_oracle(const trial *self, const nd *in, nd *out) {
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++) {
        long double x = in->v[i];
        if (in[1].v != NULL && x < in[1].v[0]) {
            x = in[1].v[0];
        }
        if (in[2].v != NULL && x > in[2].v[0]) {
            x = in[2].v[0];
        }
        out->v[i] = x;
    }
    return 1;
}

static int where_oracle(const trial *self, const nd *in, nd *out) {
    const nd *all[] = {&in[0], &in[1], &in[2]};
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    uint32_t rank;
    if (!dims_broadcast(all, 3, &rank, dims)) {
        return 0;
    }
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, index)) {
        const nd *side = in[0].v[index_broadcast(rank, index, &in[0])] != 0 ? &in[1] : &in[2];
        out->v[i] = side->v[index_broadcast(rank, index, side)];
    }
    return 1;
}
static int fill_where(trial *self) {
    self->inputs[0].dtype = FER_BOOL;
    self->inputs[0].is_moved = 0;
    return fill_broadcast(self);
}

#define SHAPES "scalar empty one odd prime wide tall high big"
#define FEW "scalar odd empty tall high big"
#define SMOOTH "ints uniform wide denormal"
#define BCAST "- bcast=a bcast=b bcast=ab bcast=s bcast=m"
#define ONE(op)                                                                                    \
    { op, NULL, SHAPES, "-", NULL, NULL, one_oracle, ROW_ZEROS, NULL, NULL }
#define ONE_WITH(op, attrs)                                                                        \
    { op, NULL, FEW, attrs, SMOOTH, NULL, one_oracle, ROW_ZEROS, NULL, NULL }
#define TWO(op, fill)                                                                              \
    { op, NULL, FEW, BCAST, NULL, fill, two_oracle, ROW_ZEROS, NULL, NULL }

/* clang-format off */
static const case_row rows[] = {
    ONE("Abs"),
    ONE("Acos"),
    ONE("Acosh"),
    ONE("Asin"),
    ONE("Asinh"),
    ONE("Atan"),
    ONE("Atanh"),
    ONE("BitwiseNot"),
    ONE("Ceil"),
    ONE("Cos"),
    ONE("Cosh"),
    ONE("Erf"),
    ONE("Exp"),
    ONE("Floor"),
    ONE("IsNaN"),
    ONE("Log"),
    ONE("Neg"),
    ONE("Not"),
    ONE("Reciprocal"),
    ONE("Relu"),
    ONE("Round"),
    ONE("Sign"),
    ONE("Sin"),
    ONE("Sinh"),
    ONE("Sqrt"),
    ONE("Tan"),
    ONE("Tanh"),
    {"IsInf",
              NULL,                            SHAPES,
              "- detect_negative=0 detect_positive=0 detect_negative=0,detect_positive=0",      NULL,
              NULL,                                                                                                        one_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    ONE_WITH("Celu", "- alpha=0.5 alpha=2"),
    ONE_WITH("Elu", "- alpha=0.5 alpha=2"),
    ONE_WITH("Gelu", "- approximate=tanh"),
    ONE_WITH("HardSigmoid", "- alpha=0.5,beta=0.25"),
    ONE_WITH("HardSwish", "-"),
    ONE_WITH("LeakyRelu", "- alpha=0.25 alpha=2"),
    ONE_WITH("Mish", "-"),
    ONE_WITH("Selu", "- alpha=2,gamma=3"),
    ONE_WITH("Sigmoid", "-"),
    ONE_WITH("Softplus", "-"),
    ONE_WITH("Softsign", "-"),
    ONE_WITH("Swish", "- alpha=1.75"),
    ONE_WITH("ThresholdedRelu", "- alpha=0.25"),
    {"Shrink",
              NULL,                            FEW,
              "- bias=1.5,lambd=1.5 lambd=0.25",                                                "ints uniform",
              NULL,                                                                                                        one_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Identity", NULL,                FEW,    "-",                                     "bits special",      NULL, one_oracle,   ROW_MOVEMENT, NULL, NULL},
    TWO("Add", fill_broadcast),
    TWO("Sub", fill_broadcast),
    TWO("Mul", fill_broadcast),
    TWO("Div", fill_divisor),
    TWO("Equal", fill_broadcast),
    TWO("Greater", fill_broadcast),
    TWO("GreaterOrEqual", fill_broadcast),
    TWO("Less", fill_broadcast),
    TWO("LessOrEqual", fill_broadcast),
    TWO("And", fill_broadcast),
    TWO("Or", fill_broadcast),
    TWO("Xor", fill_broadcast),
    TWO("BitwiseAnd", fill_broadcast),
    TWO("BitwiseOr", fill_broadcast),
    TWO("BitwiseXor", fill_broadcast),
    {"PRelu",
              NULL,                            FEW,
              "- bcast=b bcast=s bcast=m",                                                      NULL,
              fill_broadcast,                                                                                              two_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"BitShift",
              NULL,                            FEW,
              "direction=LEFT direction=RIGHT direction=LEFT,bcast=ab direction=RIGHT,bcast=b", NULL,
              fill_shift,                                                                                                  two_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Mod",
              "i8|i16|i32|i64|u8|u16|u32|u64", FEW,
              "- fmod=1 bcast=a fmod=1,bcast=ab bcast=s",                                       NULL,
              fill_divisor,                                                                                                two_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Mod",
              "f16|f32|f64|bf16",              FEW,
              "fmod=1 fmod=1,bcast=ab",                                                         NULL,
              fill_divisor,                                                                                                two_oracle,
              ROW_ZEROS | ROW_EXACT,
              NULL,                                                                                                                                          NULL},
    {"Pow",
              NULL,                            FEW,
              "- bcast=a bcast=b bcast=ab T1=f32 T1=i32 T1=i64",                                "ints uniform wide",
              fill_power,                                                                                                  two_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Pow",
              "f32|f64|i32|i64",               "odd",
              "T1=i8 T1=i16 T1=u8 T1=u16 T1=u32 T1=u64 T1=f16 T1=bf16 T1=f64",                  "ints",
              fill_power,                                                                                                  two_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Max",
              NULL,                            FEW,
              "n=2 n=1 n=3,bcast=ab n=2,bcast=a n=4,bcast=s",                                   NULL,
              fill_broadcast,                                                                                              fold_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Min",
              NULL,                            FEW,
              "n=2 n=1 n=3,bcast=ab n=2,bcast=a n=4,bcast=s",                                   NULL,
              fill_broadcast,                                                                                              fold_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Sum",
              NULL,                            FEW,
              "n=2 n=1 n=3,bcast=ab n=2,bcast=a n=4,bcast=s",                                   "ints uniform wide",
              fill_broadcast,                                                                                              fold_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Mean",
              NULL,                            FEW,
              "n=2 n=1 n=3,bcast=ab n=2,bcast=a n=4,bcast=s",                                   "ints uniform wide",
              fill_broadcast,                                                                                              fold_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Clip",
              NULL,                            FEW,
              "- min=-1 max=2 min=-0.5,max=0.75 min=2,max=1",                                   NULL,
              NULL,                                                                                                        clip_oracle,
              ROW_ZEROS,                                                                                                                               NULL,
              NULL                                                                                                                                               },
    {"Where",
              "float|int|complex|bool|str",    FEW,
              BCAST,                                                                            "bits",
              fill_where,                                                                                                  where_oracle,
              ROW_MOVEMENT,                                                                                                                            NULL,
              NULL                                                                                                                                               },
};
/* clang-format on */

const case_family cases_pointwise = {"pointwise", rows, sizeof rows / sizeof *rows};
