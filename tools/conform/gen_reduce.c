/* SPDX-License-Identifier: Apache-2.0
 *
 * Reductions over none, some and all axes, running sums and products, ArgMax and ArgMin, TopK,
 * Hardmax.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* ---- Reduce... ---- */

typedef struct reduction {
    long double sum, size, product, most, least, logs;
    uint64_t count;
    int has_nan;
} reduction;

static void reduce_one(reduction *self, long double x) {
    self->has_nan |= isnan(x);
    self->most = self->count == 0 || x > self->most ? x : self->most;
    self->least = self->count == 0 || x < self->least ? x : self->least;
    self->count++;
}

/* Terms that the op adds, so that the error bound is that of a sum. */
static long double term_of(const char *op, long double x) {
    if (strcmp(op, "ReduceL1") == 0) {
        return fabsl(x);
    }
    if (strcmp(op, "ReduceL2") == 0 || strcmp(op, "ReduceSumSquare") == 0) {
        return x * x;
    }
    return x;
}

static long double empty_result(const trial *self) {
    const char *op = self->op->name;
    int is_float = !dtype_is_integer(self->dtype) && self->dtype != FER_BOOL;
    if (strcmp(op, "ReduceMax") == 0) {
        return is_float                       ? -INFINITY
               : dtype_is_signed(self->dtype) ? -dtype_most(self->dtype) - 1
                                              : 0;
    }
    if (strcmp(op, "ReduceMin") == 0) {
        return is_float ? INFINITY : dtype_most(self->dtype);
    }
    if (strcmp(op, "ReduceMean") == 0) {
        return NAN;
    }
    return strcmp(op, "ReduceProd") == 0 ? 1 : strncmp(op, "ReduceLog", 9) == 0 ? -INFINITY : 0;
}

static long double finish(const trial *self, const reduction *r) {
    const char *op = self->op->name + 6;
    if (r->count == 0) {
        return empty_result(self);
    }
    switch (op[0]) {
    case 'M':
        return op[1] == 'e'   ? r->sum / r->count
               : r->has_nan   ? NAN
               : op[1] == 'a' ? r->most
                              : r->least;
    case 'P':
        return r->product;
    case 'L':
        return strcmp(op, "LogSum") == 0      ? logl(r->sum)
               : strcmp(op, "LogSumExp") == 0 ? r->most + logl(r->logs)
               : strcmp(op, "L2") == 0        ? sqrtl(r->sum)
                                              : r->sum;
    default:
        return r->sum;
    }
}

static long double slack_of(const trial *self, const reduction *r, long double result) {
    const char *op = self->op->name + 6;
    long double unit = self->dtype == FER_F64 ? 0x1p-53L : 0x1p-24L;
    long double steps = 2 * ceill(log2l((long double)r->count + 1)) + 8;
    if (self->dtype == FER_F64) { /* nothing wider to accumulate in */
        steps = fmaxl(steps, 2 * sqrtl((long double)r->count));
    }
    if (!isfinite(result) || r->count == 0) {
        return 0;
    }
    if (strcmp(op, "Prod") == 0) {
        return unit * (long double)r->count * fabsl(result);
    }
    if (strcmp(op, "LogSumExp") == 0) {
        return unit * (steps + (self->dtype == FER_F64 ? (long double)r->count : 0) +
                       fabsl(r->most) + fabsl(r->least));
    }
    if (strcmp(op, "LogSum") == 0) {
        return unit * steps * (r->sum != 0 ? r->size / fabsl(r->sum) : 1);
    }
    if (strcmp(op, "L2") == 0) {
        return unit * steps * result;
    }
    if (strcmp(op, "Max") == 0 || strcmp(op, "Min") == 0) {
        return 0;
    }
    return unit * steps * r->size / (strcmp(op, "Mean") == 0 ? (long double)r->count : 1);
}

static void reduce_line(
    const trial *self, const nd *in, const uint8_t *is_named, const int64_t *outer, reduction *r) {
    int64_t inner_dims[FER_MAX_RANK], at[FER_MAX_RANK] = {0}, index[FER_MAX_RANK];
    for (uint32_t i = 0; i < in->rank; i++) {
        inner_dims[i] = is_named[i] ? in->dims[i] : 1;
    }
    memset(r, 0, sizeof *r);
    r->product = 1;
    for (int pass = 0; pass < 2 && dims_count(in->rank, inner_dims) > 0; pass++) {
        memset(at, 0, sizeof at);
        do {
            for (uint32_t i = 0; i < in->rank; i++) {
                index[i] = is_named[i] ? at[i] : outer[i];
            }
            long double x = in->v[index_flat(in->rank, in->dims, index)];
            if (pass == 0) {
                reduce_one(r, x);
                r->sum += term_of(self->op->name, x);
                r->size += fabsl(term_of(self->op->name, x));
                r->product *= x;
            } else {
                r->logs += expl(x - r->most);
            }
        } while (index_next(in->rank, inner_dims, at));
    }
}

/* What is no whole number of whole ones: how it is rounded is not said. */
static int is_fraction(const trial *self) {
    const char *op = self->op->name;
    return dtype_is_integer(self->dtype) &&
           (strncmp(op, "ReduceLog", 9) == 0 || strcmp(op, "ReduceL2") == 0 ||
            strcmp(op, "ReduceMean") == 0);
}

static int reduce_oracle(const trial *self, const nd *in, nd *out) {
    uint8_t is_named[FER_MAX_RANK];
    int64_t dims[FER_MAX_RANK], outer_dims[FER_MAX_RANK], outer[FER_MAX_RANK] = {0};
    uint32_t rank = 0;
    int keeps = arg_int(self, "keepdims", 1) != 0;
    if (!axes_of(self, in->rank, is_named)) {
        return 0;
    }
    const char *axes = arg_text(self, "axes");
    int is_none = axes == NULL || in[1].count == 0;
    if (is_none) {
        memset(is_named, arg_int(self, "noop_with_empty_axes", 0) == 0, in->rank);
    }
    for (uint32_t i = 0; i < in->rank; i++) {
        outer_dims[i] = is_named[i] ? 1 : in->dims[i];
        if (keeps || !is_named[i]) {
            dims[rank++] = outer_dims[i];
        }
    }
    nd_make(self, out, rank, dims);
    nd_slack(self, out);
    int is_float = !dtype_is_integer(self->dtype) && self->dtype != FER_BOOL;
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, outer_dims, outer)) {
        reduction r;
        reduce_line(self, in, is_named, outer, &r);
        out->v[i] = finish(self, &r);
        if (is_float) {
            out->slack[i] = slack_of(self, &r, out->v[i]);
        } else if (is_fraction(self)) {
            out->slack[i] = 1 - 1e-6L;
        } else if (isfinite(out->v[i])) {
            out->v[i] = wrap_to(self->dtype, (wide_int)out->v[i]);
        }
    }
    return 1;
}

static int fill_reduce(trial *self) {
    uint8_t is_named[FER_MAX_RANK];
    const char *op = self->op->name;
    int is_whole = dtype_is_integer(self->dtype);
    if (!axes_of(self, self->rank, is_named)) {
        return 0;
    }
    if (strcmp(op, "ReduceLogSum") == 0) {
        self->inputs[0].fill = FILL_POSITIVE;
    }
    if (is_fraction(self) &&
        (strcmp(self->values, "ints") != 0 || dims_count(self->rank, self->dims) == 0)) {
        return 0;
    }
    if (strcmp(op, "ReduceProd") == 0) {
        double span = dims_count(self->rank, self->dims) > 500 ? 0.001 : 0.25;
        input_range(self, 0, is_whole ? 1 : 1 - span, is_whole ? 2 : 1 + span);
        return dims_count(self->rank, self->dims) < 30 || !is_whole;
    }
    return 1;
}

/* ---- CumSum, CumProd ---- */

static int running_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of((int64_t)in[1].v[0], in->rank), index[FER_MAX_RANK] = {0};
    int is_sum = strcmp(self->op->name, "CumSum") == 0, is_whole = dtype_is_integer(self->dtype);
    int skips = arg_int(self, "exclusive", 0) != 0, back = arg_int(self, "reverse", 0) != 0;
    if (axis < 0) {
        return 0;
    }
    nd_like(self, out, in);
    nd_slack(self, out);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        int64_t at[FER_MAX_RANK], here = index[axis], size = in->dims[axis];
        long double total = is_sum ? 0 : 1, absolute = 0;
        memcpy(at, index, sizeof at);
        for (int64_t k = back ? here + skips : 0; k < (back ? size : here + !skips); k++) {
            at[axis] = k;
            long double x = in->v[index_flat(in->rank, in->dims, at)];
            total = is_sum ? total + x : total * x;
            absolute += fabsl(x);
        }
        out->v[i] = is_whole ? wrap_to(self->dtype, (wide_int)total) : total;
        /* One after another in the dtype itself is right too. */
        out->slack[i] = is_whole ? 0
                        : is_sum ? (long double)size * dtype_unit(self->dtype) * absolute
                                 : (long double)size * dtype_unit(self->dtype) * fabsl(total);
    }
    return 1;
}
static int fill_running(trial *self) {
    if (axis_of(arg_int(self, "axis", 0), self->rank) < 0) {
        return 0;
    }
    if (strcmp(self->op->name, "CumProd") == 0) {
        int is_whole = dtype_is_integer(self->dtype);
        input_range(self, 0, is_whole ? 1 : 0.75, is_whole ? 2 : 1.25);
        return !is_whole || self->dims[axis_of(arg_int(self, "axis", 0), self->rank)] < 30;
    }
    return 1;
}

/* ---- ArgMax, ArgMin ---- */

static int fill_axis(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), self->rank);
    return axis >= 0 && self->dims[axis] > 0;
}

static int arg_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), in->rank), dims[FER_MAX_RANK],
            outer[FER_MAX_RANK] = {0};
    int64_t outer_dims[FER_MAX_RANK];
    uint32_t rank = 0;
    int is_max = strcmp(self->op->name, "ArgMax") == 0,
        last = arg_int(self, "select_last_index", 0) != 0;
    for (uint32_t i = 0; i < in->rank; i++) {
        outer_dims[i] = i == axis ? 1 : in->dims[i];
        if (i != axis || arg_int(self, "keepdims", 1) != 0) {
            dims[rank++] = outer_dims[i];
        }
    }
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, outer_dims, outer)) {
        int64_t best = 0, at[FER_MAX_RANK];
        memcpy(at, outer, sizeof at);
        for (int64_t k = 1; k < in->dims[axis]; k++) {
            at[axis] = best;
            long double so_far = in->v[index_flat(in->rank, in->dims, at)];
            at[axis] = k;
            long double x = in->v[index_flat(in->rank, in->dims, at)];
            if (is_max ? x > so_far : x < so_far) {
                best = k;
            } else if (x == so_far && last) {
                best = k;
            }
        }
        out->v[i] = best;
    }
    return 1;
}

/* ---- TopK: on equal values the lower index comes first ---- */

static int top_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), in->rank), dims[FER_MAX_RANK],
            index[FER_MAX_RANK] = {0};
    int64_t k = (int64_t)in[1].v[0];
    int largest = arg_int(self, "largest", 1) != 0;
    memcpy(dims, in->dims, sizeof dims);
    dims[axis] = k;
    nd_make(self, &out[0], in->rank, dims);
    nd_make(self, &out[1], in->rank, dims);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        int64_t at[FER_MAX_RANK], place = 0;
        long double x = in->v[i];
        memcpy(at, index, sizeof at);
        for (int64_t j = 0; j < in->dims[axis]; j++) {
            at[axis] = j;
            long double other = in->v[index_flat(in->rank, in->dims, at)];
            place += other == x ? j < index[axis] : (largest ? other > x : other < x);
        }
        if (place < k) {
            at[axis] = place;
            uint64_t flat = index_flat(in->rank, dims, at);
            out[0].v[flat] = x;
            out[1].v[flat] = index[axis];
        }
    }
    return 1;
}
static int fill_top(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), self->rank), k = 0;
    return axis >= 0 && arg_ints(self, "K", &k, 1) == 1 && k <= self->dims[axis] &&
           self->dims[axis] < 2000;
}

/* ---- Hardmax: 1 at the first largest ---- */

static int hardmax_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), in->rank), index[FER_MAX_RANK] = {0};
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        int64_t at[FER_MAX_RANK];
        int is_best = 1;
        memcpy(at, index, sizeof at);
        for (int64_t j = 0; j < in->dims[axis]; j++) {
            at[axis] = j;
            long double other = in->v[index_flat(in->rank, in->dims, at)];
            is_best &= j < index[axis] ? other < in->v[i] : other <= in->v[i];
        }
        out->v[i] = is_best;
    }
    return 1;
}
static int fill_hardmax(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), self->rank);
    return axis >= 0 && self->dims[axis] < 2000;
}

#define REDUCE(op, values)                                                                         \
    {                                                                                              \
        op, NULL, "scalar empty one odd prime wide tall high big",                                 \
            "- axes=0: axes=-1: axes=0:2 axes=1:,keepdims=0 axes=:,noop_with_empty_axes=1 "        \
            "axes=:,keepdims=0 keepdims=0 axes=-2:-1",                                             \
            values, fill_reduce, reduce_oracle, ROW_ZEROS, NULL, NULL                              \
    }

/* clang-format off */
static const case_row rows[] = {
    REDUCE("ReduceL1", "ints uniform wide"),
    REDUCE("ReduceL2", "ints uniform wide"),
    REDUCE("ReduceLogSum", "ints uniform"),
    REDUCE("ReduceLogSumExp", "ints uniform"),
    REDUCE("ReduceMax", "ints uniform special"),
    REDUCE("ReduceMean", "ints uniform wide"),
    REDUCE("ReduceMin", "ints uniform special"),
    REDUCE("ReduceProd", "uniform"),
    REDUCE("ReduceSum", "ints uniform wide"),
    REDUCE("ReduceSumSquare", "ints uniform wide"),
    {"CumSum",
                                              NULL, "one odd prime wide high",
                                              "axis=0 axis=-1 axis=1,exclusive=1 axis=0,reverse=1 axis=-1,exclusive=1,reverse=1",
                                              "ints uniform",                                                                                     fill_running,
                                              running_oracle,                                                                                                                   ROW_ZEROS,
                                              NULL,                                                                                                                                              NULL},
    {"CumProd",
                                              NULL, "one odd prime high",
                                              "axis=0 axis=-1 axis=1,exclusive=1 axis=0,reverse=1 axis=-1,exclusive=1,reverse=1",
                                              "uniform",                                                                                          fill_running,
                                              running_oracle,                                                                                                                   ROW_ZEROS,
                                              NULL,                                                                                                                                              NULL},
    {"ArgMax",
                                              NULL, "one odd prime tall high",
                                              "- axis=1 axis=-1,keepdims=0 axis=0,select_last_index=1 "
                                              "axis=-1,select_last_index=1,keepdims=0",                                           "ints uniform",
                                              fill_axis,                                                                                                        arg_oracle,
                                              ROW_ZEROS,                                                                                                                                   NULL,
                                              NULL                                                                                                                                                   },
    {"ArgMin",
                                              NULL, "one odd prime tall high",
                                              "- axis=1 axis=-1,keepdims=0 axis=0,select_last_index=1 "
                                              "axis=-1,select_last_index=1,keepdims=0",                                           "ints uniform",
                                              fill_axis,                                                                                                        arg_oracle,
                                              ROW_ZEROS,                                                                                                                                   NULL,
                                              NULL                                                                                                                                                   },
    {"TopK",
                                              NULL, "one odd prime wide high",
                                              "K=1: K=3: K=2:,largest=0 K=5:,axis=1 K=3:,axis=0,largest=0 K=0:",
                                              "ints uniform",                                                                                     fill_top,
                                              top_oracle,                                                                                                                       ROW_ZEROS,
                                              NULL,                                                                                                                                              NULL},
    {"Hardmax",
                                              NULL, "one odd prime wide high",
                                              "- axis=0 axis=1 axis=-2",                                                          "ints uniform",
                                              fill_hardmax,                                                                                                     hardmax_oracle,
                                              ROW_ZEROS,                                                                                                                                   NULL,
                                              NULL                                                                                                                                                   },
};
/* clang-format on */

const case_family cases_reduce = {"reduce", rows, sizeof rows / sizeof *rows};
