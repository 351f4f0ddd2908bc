/* SPDX-License-Identifier: Apache-2.0
 *
 * com.microsoft's fused floats: the Gelus, FusedMatMul, and norms with what is added before them.
 * Semantics: ONNX Runtime's contrib op documentation. Every step of a body may be rounded to the
 * operands' dtype, which the slack allows.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* Of what is computed with: embeddings' cases are called by their ids. */
static fer_dtype dtype_of(const trial *self) {
    return self->dtype == FER_I32 ? self->inputs[2].dtype : self->dtype;
}
/* What a sum or product in f32 (f64) is off by. */
static long double unit_of(const trial *self) {
    return self->dtype == FER_F64 ? 0x1p-53L : 0x1p-24L;
}

/* ---- Gelu, FastGelu, QuickGelu, BiasGelu ---- */

static int fill_bias(trial *self) {
    if (self->rank < 1) {
        return 0;
    }
    if (self->input_count > 1) {
        input_dims(self, 1, 1, &self->dims[self->rank - 1]);
    }
    return 1;
}

static long double gelu_of(const trial *self, long double x) {
    switch (self->op->name[0]) {
    case 'Q': /* x sigmoid(alpha x) */
        return x / (1 + expl(-(long double)(float)arg_real(self, "alpha", 1.702) * x));
    case 'F': /* by tanh */
        return 0.5L * x * (1 + tanhl(0.797884560802865355879892L * (x + 0.044715L * x * x * x)));
    default:
        return 0.5L * x * erfcl(-x * 0.707106781186547524400844L);
    }
}

static int gelu_oracle(const trial *self, const nd *in, nd *out) {
    nd_like(self, out, in);
    nd_slack(self, out);
    for (uint64_t i = 0; i < in->count; i++) {
        long double x = in->v[i], size = fabsl(x);
        if (in[1].v != NULL) {
            long double bias = in[1].v[i % in[1].count];
            size = fmaxl(size, fabsl(bias)) + fabsl(x + bias);
            x += bias;
        }
        out->v[i] = gelu_of(self, x);
        /* No slope is beyond 1.13; 1 + erf loses what it cancels. */
        out->slack[i] = 8 * unit_of(self) * fminl(size, 1 + size) +
                        4 * dtype_ulp(dtype_of(self), 0) +
                        (in[1].v != NULL ? 2 * dtype_unit(dtype_of(self)) * fabsl(x) : 0);
    }
    return 1;
}

/* ---- FusedMatMul ---- */

/* Shape words give the product's A as [..., M, K]; operands are laid out as the attributes say. */
static void
laid_out(const trial *self, char which, uint32_t rank, const int64_t *dims, int64_t *out) {
    char batch[] = "transBatchA", last[] = "transA";
    int64_t held[FER_MAX_RANK];
    batch[10] = last[5] = which;
    memcpy(held, dims, rank * sizeof *dims);
    if (arg_int(self, last, 0) != 0) {
        held[rank - 2] = dims[rank - 1];
        held[rank - 1] = dims[rank - 2];
    }
    memcpy(out, held, rank * sizeof *out);
    if (arg_int(self, batch, 0) != 0 && rank > 2) { /* the row dim first, then the batch */
        out[0] = held[rank - 2];
        memcpy(out + 1, held, (rank - 2) * sizeof *out);
    }
}

static int fill_fused(trial *self) {
    int64_t n = arg_int(self, "N", 4), b[FER_MAX_RANK];
    if (self->rank < 2 || (arg_is(self, "form", "same", "matrix") && self->rank < 3)) {
        return 0;
    }
    if ((arg_int(self, "transBatchA", 0) || arg_int(self, "transBatchB", 0)) && self->rank < 3) {
        return 0;
    }
    memcpy(b, self->dims, sizeof b);
    b[self->rank - 2] = self->dims[self->rank - 1];
    b[self->rank - 1] = n;
    self->inputs[0].rank = self->rank;
    laid_out(self, 'A', self->rank, self->dims, self->inputs[0].dims);
    if (arg_is(self, "form", "same", "matrix")) {
        self->inputs[1].rank = 2;
        laid_out(self, 'B', 2, b + self->rank - 2, self->inputs[1].dims);
    } else {
        self->inputs[1].rank = self->rank;
        laid_out(self, 'B', self->rank, b, self->inputs[1].dims);
    }
    return 1;
}

/* The operand as [batch..., rows, columns]. */
static void as_product(const trial *self, char which, const nd *given, nd *out) {
    char batch[] = "transBatchA", last[] = "transA";
    batch[10] = last[5] = which;
    uint32_t rank = given->rank, order[FER_MAX_RANK];
    int64_t dims[FER_MAX_RANK], at[FER_MAX_RANK] = {0}, from[FER_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) {
        order[i] = i;
    }
    if (arg_int(self, batch, 0) != 0 && rank > 2) {
        for (uint32_t i = 0; i + 2 < rank; i++) {
            order[i] = i + 1;
        }
        order[rank - 2] = 0;
    }
    if (arg_int(self, last, 0) != 0) {
        uint32_t held = order[rank - 2];
        order[rank - 2] = order[rank - 1];
        order[rank - 1] = held;
    }
    for (uint32_t i = 0; i < rank; i++) {
        dims[i] = given->dims[order[i]];
    }
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, at)) {
        for (uint32_t d = 0; d < rank; d++) {
            from[order[d]] = at[d];
        }
        out->v[i] = given->v[index_flat(rank, given->dims, from)];
    }
}

static int fused_oracle(const trial *self, const nd *in, nd *out) {
    nd a, b;
    as_product(self, 'A', &in[0], &a);
    as_product(self, 'B', &in[1], &b);
    if (!matmul_numbers(self, &a, &b, out)) {
        return 0;
    }
    long double alpha = (long double)arg_real(self, "alpha", 1);
    for (uint64_t i = 0; i < out->count; i++) {
        out->slack[i] = out->slack[i] * fabsl(alpha) +
                        (alpha != 1 ? dtype_unit(dtype_of(self)) * fabsl(out->v[i] * alpha) : 0);
        out->v[i] *= alpha;
    }
    return 1;
}

/* ---- norms ---- */

typedef struct line {
    const long double *x;
    const long double *off; /* what x may be off by; NULL nothing */
    int64_t size;
    long double epsilon;
    int is_rms;
} line;

/* y = (x - mean) / deviation with its slack; the mean and 1 / deviation. */
static void
normalize(const trial *self, const line *l, long double *y, long double *slack, long double *kept) {
    long double mean = 0, square = 0, most = 0, off = 0, unit = 24 * unit_of(self);
    for (int64_t i = 0; i < l->size; i++) {
        mean += l->is_rms ? 0 : l->x[i];
        most = fmaxl(most, fabsl(l->x[i]));
        off = l->off != NULL ? fmaxl(off, l->off[i]) : off;
    }
    mean /= (long double)l->size;
    for (int64_t i = 0; i < l->size; i++) {
        square += (l->x[i] - mean) * (l->x[i] - mean);
    }
    long double inverse = 1 / sqrtl(square / (long double)l->size + l->epsilon);
    unit += self->dtype == FER_F64 ? (long double)l->size * 0x1p-53L : 0;
    unit += dtype_unit(dtype_of(self)) > 0x1p-20L ? 4 * dtype_unit(dtype_of(self)) : 0;
    for (int64_t i = 0; i < l->size; i++) {
        y[i] = (l->x[i] - mean) * inverse;
        long double spread = (unit * most + 2 * off) * inverse;
        slack[i] = spread + fabsl(y[i]) * (unit + spread * most * inverse);
    }
    kept[0] = mean;
    kept[1] = inverse;
    kept[2] = unit * most + off;
    kept[3] = inverse * (unit + (unit * most + 2 * off) * most * inverse * inverse);
}

static void scaled(const trial *self, nd *out, uint64_t at, long double gamma, long double beta) {
    long double value = out->v[at] * gamma;
    out->v[at] = value + beta;
    out->slack[at] =
        out->slack[at] * fabsl(gamma) + 4 * unit_of(self) * (fabsl(value) + fabsl(beta)) +
        (dtype_unit(dtype_of(self)) > 0x1p-20L ? 2 * dtype_unit(dtype_of(self)) * fabsl(value) : 0);
}

static void statistics(const trial *self, const nd *x, uint32_t axis, nd *out) {
    int64_t dims[FER_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++) {
        dims[i] = i < axis ? x->dims[i] : 1;
    }
    nd_make(self, out, x->rank, dims);
    nd_slack(self, out);
    out->dtype = FER_F32;
}

/* Skip..., whose operands past gamma are beta (not of the simplified one) and bias. */
static int fill_skip(trial *self) {
    int64_t last = self->rank > 0 ? self->dims[self->rank - 1] : 0;
    if ((self->rank != 2 && self->rank != 3) || last < 1) {
        return 0;
    }
    for (uint32_t i = 2; i < self->input_count; i++) {
        input_dims(self, i, 1, &last);
    }
    const char *form = arg_text(self, "skip_form");
    if (form != NULL && self->rank != 3) {
        return 0;
    }
    if (form != NULL && form[0] == 'o') { /* one batch for all */
        input_dims(self, 1, 3, (int64_t[]){1, self->dims[1], last});
    } else if (form != NULL) {
        input_dims(self, 1, 2, self->dims + 1);
    }
    return 1;
}

static int skip_oracle(const trial *self, const nd *in, nd *out) {
    int is_rms = strstr(self->op->name, "Simplified") != NULL;
    const nd *x = &in[0], *beta = is_rms ? &(nd){0} : &in[3], *bias = is_rms ? &in[3] : &in[4];
    int64_t size = x->dims[x->rank - 1];
    nd sum;
    nd_like(self, &sum, x);
    nd_slack(self, &sum);
    for (uint64_t i = 0; i < x->count; i++) {
        long double skip = in[1].v[i % in[1].count],
                    more = bias->v != NULL ? bias->v[i % (uint64_t)size] : 0;
        sum.v[i] = x->v[i] + skip + more;
        sum.slack[i] = dtype_unit(dtype_of(self)) * (fabsl(x->v[i] + skip) + fabsl(sum.v[i]));
    }
    nd_like(self, out, x);
    nd_slack(self, out);
    for (uint32_t i = 1; i < 3; i++) {
        statistics(self, x, x->rank - 1, &out[i]);
    }
    out[3] = sum;
    for (int64_t row = 0; row < (int64_t)x->count / size; row++) {
        long double kept[4];
        line l = {sum.v + row * size,
                  sum.slack + row * size,
                  size,
                  (long double)(float)arg_real(self, "epsilon", is_rms ? 1e-5 : 1e-12),
                  is_rms};
        normalize(self, &l, out->v + row * size, out->slack + row * size, kept);
        for (int64_t i = 0; i < size; i++) {
            scaled(self,
                   out,
                   (uint64_t)(row * size + i),
                   in[2].v[i],
                   beta->v != NULL ? beta->v[i] : 0);
        }
        for (uint32_t i = 0; i < 2; i++) {
            out[i + 1].v[row] = kept[i];
            out[i + 1].slack[row] = kept[i + 2];
        }
    }
    out[1].v = is_rms ? NULL : out[1].v; /* what it would be, nobody says */
    return 1;
}

static int fill_simplified(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), self->rank);
    if (axis < 0 || dims_count(self->rank, self->dims) == 0) {
        return 0;
    }
    input_dims(self, 1, self->rank - (uint32_t)axis, self->dims + axis);
    return self->inputs[1].dtype == self->dtype;
}

static int simplified_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t axis = (uint32_t)axis_of(arg_int(self, "axis", -1), in->rank);
    int64_t size = (int64_t)dims_count(in->rank - axis, in->dims + axis);
    nd_like(self, out, in);
    nd_slack(self, out);
    statistics(self, in, axis, &out[1]);
    for (int64_t row = 0; row < (int64_t)in->count / size; row++) {
        long double kept[4];
        line l = {
            in->v + row * size, NULL, size, (long double)(float)arg_real(self, "epsilon", 1e-5), 1};
        normalize(self, &l, out->v + row * size, out->slack + row * size, kept);
        for (int64_t i = 0; i < size; i++) {
            scaled(self, out, (uint64_t)(row * size + i), in[1].v[i], 0);
        }
        out[1].v[row] = kept[1];
        out[1].slack[row] = kept[3];
    }
    return 1;
}

/* ---- EmbedLayerNormalization: shape words are [batch, steps, size] ---- */

enum { WORDS = 13, PLACES = 19, SEGMENTS = 3 };

static int fill_embed(trial *self) {
    int64_t last = self->dims[2], steps[] = {1, self->dims[1]};
    if (self->rank != 3 || dims_count(3, self->dims) == 0 ||
        arg_with(self, "segment_ids") != arg_with(self, "segment_embedding")) {
        return 0;
    }
    for (uint32_t i = 0; i < self->input_count; i++) {
        input_dims(self, i, 2, self->dims);
    }
    input_range(self, 0, 0, WORDS - 1);
    input_range(self, 1, 0, SEGMENTS - 1);
    input_dims(self, 2, 2, (int64_t[]){WORDS, last});
    input_dims(self, 3, 2, (int64_t[]){PLACES, last});
    input_dims(self, 4, 2, (int64_t[]){SEGMENTS, last});
    input_dims(self, 5, 1, &last);
    input_dims(self, 6, 1, &last);
    input_range(self, 7, 0, 1);
    input_range(self, 8, 0, PLACES - 1);
    if (arg_int(self, "one", 0) != 0) { /* one row of positions for all */
        input_dims(self, 8, 2, steps);
    }
    return self->dims[1] <= PLACES;
}

static int embed_oracle(const trial *self, const nd *in, nd *out) {
    int64_t batch = self->dims[0], steps = self->dims[1], size = self->dims[2];
    nd_make(self, &out[0], 3, self->dims);
    nd_slack(self, out);
    nd_make(self, &out[1], 1, &batch);
    out[1].dtype = FER_I32;
    nd_make(self, &out[2], 3, self->dims);
    nd_slack(self, &out[2]);
    for (int64_t row = 0; row < batch * steps; row++) {
        int64_t place =
            in[8].v != NULL ? (int64_t)in[8].v[(uint64_t)row % in[8].count] : row % steps;
        for (int64_t i = 0; i < size; i++) {
            long double sum = in[2].v[(int64_t)in[0].v[row] * size + i] + in[3].v[place * size + i],
                        first = fabsl(sum);
            sum += in[4].v != NULL ? in[4].v[(int64_t)in[1].v[row] * size + i] : 0;
            out[2].v[row * size + i] = sum;
            out[2].slack[row * size + i] = dtype_unit(dtype_of(self)) * (first + fabsl(sum));
        }
        long double kept[4];
        line l = {out[2].v + row * size,
                  out[2].slack + row * size,
                  size,
                  (long double)(float)arg_real(self, "epsilon", 1e-12),
                  0};
        normalize(self, &l, out->v + row * size, out->slack + row * size, kept);
        for (int64_t i = 0; i < size; i++) {
            scaled(self, out, (uint64_t)(row * size + i), in[5].v[i], in[6].v[i]);
        }
        out[1].v[row / steps] += in[7].v != NULL ? in[7].v[row] : 0;
    }
    return 1;
}

/* clang-format off */
#define MS "com.microsoft."
#define SHAPES "empty one odd prime wide tall vector high big"
#define PLAIN "ints uniform wide denormal"
#define TURNS "- transA=1 transB=1 transA=1,transB=1 alpha=0.5 alpha=-3,transB=1 form=matrix form=matrix,transB=1,alpha=0.25 transBatchA=1 transBatchB=1 transBatchA=1,transBatchB=1 " \
    "transBatchA=1,transA=1 transBatchB=1,transB=1,alpha=2 transBatchA=1,transBatchB=1,transA=1,transB=1 N=1 N=1,transB=1"
#define SKIPS "- with=bias skip_form=one skip_form=two skip_form=two,with=bias epsilon=0.5 outs=4 outs=4,with=bias "
static const case_row rows[] = {
    {MS "Gelu", NULL, "scalar " SHAPES, "-", PLAIN, NULL, gelu_oracle, 0},
    {MS "FastGelu", NULL, SHAPES, "- with=bias", PLAIN, fill_bias, gelu_oracle, 0},
    {MS "QuickGelu", NULL, "scalar " SHAPES, "- alpha=1 alpha=-0.5 alpha=3.25", PLAIN, NULL, gelu_oracle, 0},
    {MS "BiasGelu", NULL, SHAPES, "-", PLAIN, fill_bias, gelu_oracle, 0},
    {MS "FusedMatMul", NULL, "prime 3x5 1x1 2x3x4x5 odd image tall 2x1x7 4x0x3", TURNS, "ints uniform wide", fill_fused, fused_oracle, ROW_ZEROS},
    {MS "SkipLayerNormalization", NULL, "prime odd wide 2x3x16 1x1x64 7x1x8", SKIPS "with=beta with=beta:bias with=beta,epsilon=0.01,outs=4", "ints uniform", fill_skip, skip_oracle, 0},
    {MS "SkipSimplifiedLayerNormalization", NULL, "prime odd wide 2x3x16 1x1x64 7x1x8", SKIPS, "ints uniform", fill_skip, skip_oracle, 0},
    {MS "SimplifiedLayerNormalization", NULL, "odd prime wide tall high vector image big", "- outs=2 axis=0 axis=1 axis=-2,outs=2 epsilon=0.5 axis=0,outs=2,epsilon=0.01", "ints uniform wide",
     fill_simplified, simplified_oracle, 0},
    {"SimplifiedLayerNormalization", NULL, "odd prime wide tall high vector image big", "- outs=2 axis=0 axis=1 axis=-2,outs=2 epsilon=0.5 axis=0,outs=2,epsilon=0.01", "ints uniform wide",
     fill_simplified, simplified_oracle, 0},
    {MS "EmbedLayerNormalization", "i32", "2x3x8 1x1x4 3x7x16 2x5x33", "outs=2 outs=3 with=segment_ids:segment_embedding,outs=3 with=mask,outs=2 with=position_ids,outs=3 with=position_ids,one=1,outs=2 "
     "with=segment_ids:segment_embedding:mask:position_ids,outs=3,epsilon=0.5", "ints uniform", fill_embed, embed_oracle, ROW_ZEROS},
    {MS "EmbedLayerNormalization", "i32", "2x3x8 1x1x4 3x7x16", "T=f16,outs=2 T=f16,outs=3 T=f16,with=segment_ids:segment_embedding:mask:position_ids,outs=3", "ints uniform", fill_embed, embed_oracle, ROW_ZEROS},
};
/* clang-format on */

const case_family cases_contrib = {"contrib", rows, sizeof rows / sizeof *rows};
