/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalizations and softmax: means and variances in long double. What is divided by a small
 * deviation may be off by the rounding of the inputs' spread, which the slack allows.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

static long double unit_of(const trial *self) {
    return self->dtype == FER_F64 ? 0x1p-53L : 0x1p-24L;
}

/* ---- over one axis: Softmax, LogSoftmax, LpNormalization ---- */

static int fill_axis(trial *self) { return axis_of(arg_int(self, "axis", -1), self->rank) >= 0; }

/* One line: size elements, stride apart, from first on. */
static void axis_line(
    const trial *self, const nd *in, nd *out, uint64_t first, uint64_t stride, uint64_t size) {
    int is_lp = self->op->name[1] == 'p', is_log = self->op->name[0] == 'L' && !is_lp,
        p = (int)arg_int(self, "p", 2);
    long double most = -INFINITY, sum = 0;
    for (uint64_t k = 0; k < size; k++) {
        long double x = in->v[first + k * stride];
        most = x > most ? x : most;
    }
    for (uint64_t k = 0; k < size; k++) {
        long double x = in->v[first + k * stride];
        sum += !is_lp ? expl(x - most) : p == 1 ? fabsl(x) : x * x;
    }
    for (uint64_t k = 0; k < size; k++) {
        uint64_t at = first + k * stride;
        long double x = in->v[at], norm = p == 1 ? sum : sqrtl(sum);
        out->v[at] = is_lp    ? (norm == 0 ? 0 : x / norm)
                     : is_log ? x - most - logl(sum)
                              : expl(x - most) / sum;
        /* x - most is rounded before exp sees it. */
        out->slack[at] =
            is_lp ? unit_of(self) * (4 + (self->dtype == FER_F64 ? (long double)size : 0)) *
                        fabsl(out->v[at])
            : is_log
                ? unit_of(self) *
                      (4 + 4 * fabsl(x - most) + (self->dtype == FER_F64 ? (long double)size : 0))
                : unit_of(self) *
                          (2 * fabsl(x - most) + (self->dtype == FER_F64 ? (long double)size : 0)) *
                          out->v[at] +
                      dtype_ulp(self->dtype, 0);
    }
}

static int axis_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t axis = (uint32_t)axis_of(arg_int(self, "axis", -1), in->rank);
    nd_like(self, out, in);
    nd_slack(self, out);
    uint64_t stride = dims_count(in->rank - 1 - axis, in->dims + axis + 1),
             size = (uint64_t)in->dims[axis];
    for (uint64_t i = 0; i < in->count; i++) {
        if (i / stride % size == 0) {
            axis_line(self, in, out, i, stride, size);
        }
    }
    return 1;
}

/* ---- mean and variance of sets of elements ---- */

typedef struct moments {
    long double mean, variance, most;
    long double steps; /* roundings of its sums: of f64 nothing wider accumulates */
} moments;

/* A negative epsilon is added to the deviation, not to the variance.
 * same(i, k) tells whether elements i and k are normalized together: by group number. */
static void moments_of(const nd *in, const uint64_t *group, uint64_t which, moments *out) {
    long double sum = 0, square = 0;
    uint64_t count = 0;
    out->most = 0;
    for (uint64_t k = 0; k < in->count; k++) {
        if (group[k] == which) {
            sum += in->v[k];
            count++;
            out->most = fabsl(in->v[k]) > out->most ? fabsl(in->v[k]) : out->most;
        }
    }
    out->mean = sum / (long double)count;
    for (uint64_t k = 0; k < in->count; k++) {
        if (group[k] == which) {
            square += (in->v[k] - out->mean) * (in->v[k] - out->mean);
        }
    }
    out->variance = square / (long double)count;
    out->steps = (long double)count;
}

static void normalize(const trial *self,
                      const nd *in,
                      const uint64_t *group,
                      uint64_t groups,
                      long double epsilon,
                      nd *out,
                      moments *kept) {
    nd_like(self, out, in);
    nd_slack(self, out);
    for (uint64_t g = 0; g < groups; g++) {
        moments m;
        moments_of(in, group, g, &m);
        if (kept != NULL) {
            kept[g] = m;
        }
        long double scale =
            epsilon < 0 ? 1 / (sqrtl(m.variance) - epsilon) : 1 / sqrtl(m.variance + epsilon);
        m.steps = self->dtype == FER_F64 ? 16 + m.steps : 16;
        for (uint64_t k = 0; k < in->count; k++) {
            if (group[k] == g) {
                out->v[k] = (in->v[k] - m.mean) * scale;
                out->slack[k] =
                    m.steps * unit_of(self) *
                    (m.most * scale + fabsl(out->v[k]) * (1 + m.most * m.most * scale * scale));
            }
        }
    }
}

static void apply(const trial *self, nd *out, uint64_t at, long double scale, long double bias) {
    long double fixed = out->v[at] * scale + bias;
    out->slack[at] = out->slack[at] * fabsl(scale) +
                     4 * unit_of(self) * (fabsl(out->v[at] * scale) + fabsl(bias));
    out->v[at] = fixed;
}

/* ---- LayerNormalization, RMSNormalization ---- */

static int fill_layer(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), self->rank);
    if (axis < 0 || dims_count(self->rank, self->dims) == 0) {
        return 0;
    }
    for (uint32_t i = 1; i < self->input_count; i++) {
        input_dims(self, i, self->rank - (uint32_t)axis, self->dims + axis);
    }
    return 1;
}
static int layer_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), in->rank);
    uint64_t inner = dims_count(in->rank - (uint32_t)axis, in->dims + axis),
             groups = in->count / inner;
    uint64_t *group = trial_memory(self, (in->count + 1) * sizeof *group);
    moments *kept = trial_memory(self, (groups + 1) * sizeof *kept);
    long double epsilon = arg_real(self, "epsilon", 1e-5f);
    for (uint64_t i = 0; i < in->count; i++) {
        group[i] = i / inner;
    }
    normalize(self, in, group, groups, epsilon, &out[0], kept);
    for (uint64_t i = 0; i < in->count; i++) {
        apply(self, &out[0], i, in[1].v[i % inner], in[2].v != NULL ? in[2].v[i % inner] : 0);
    }
    for (uint32_t o = 1; o < self->output_count; o++) {
        int64_t dims[FER_MAX_RANK];
        for (uint32_t i = 0; i < in->rank; i++) {
            dims[i] = i < axis ? in->dims[i] : 1;
        }
        nd_make(self, &out[o], in->rank, dims);
        nd_slack(self, &out[o]);
        for (uint64_t g = 0; g < groups; g++) {
            out[o].v[g] = o == 1 ? kept[g].mean : 1 / sqrtl(kept[g].variance + epsilon);
            out[o].slack[g] =
                (self->dtype == FER_F64 ? 32 + (long double)inner : 32) * unit_of(self) *
                (o == 1 ? kept[g].most
                        : out[o].v[g] *
                              (1 + kept[g].most * kept[g].most / (kept[g].variance + epsilon)));
        }
    }
    return 1;
}
/* SimplifiedLayerNormalization has a second result: 1 / root of every group. */
static int rms_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), in->rank), dims[FER_MAX_RANK];
    uint64_t inner = dims_count(in->rank - (uint32_t)axis, in->dims + axis);
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[i] = i < axis ? in->dims[i] : 1;
    }
    if (self->output_count > 1) {
        nd_make(self, &out[1], in->rank, dims);
        nd_slack(self, &out[1]);
    }
    nd_like(self, out, in);
    nd_slack(self, out);
    for (uint64_t g = 0; g < in->count / inner; g++) {
        long double sum = 0;
        for (uint64_t k = 0; k < inner; k++) {
            sum += in->v[g * inner + k] * in->v[g * inner + k];
        }
        long double root =
            sqrtl(sum / (long double)inner + (long double)arg_real(self, "epsilon", 1e-5f));
        if (self->output_count > 1) {
            out[1].v[g] = 1 / root;
            out[1].slack[g] =
                ((self->dtype == FER_F64 ? 24 + (long double)inner : 24) * unit_of(self) +
                 2 * dtype_unit(self->dtype)) /
                root;
        }
        for (uint64_t k = 0; k < inner; k++) {
            long double y = in->v[g * inner + k] / root;
            out->v[g * inner + k] = y * in[1].v[k];
            /* The quotient is cast back to the input's dtype before the scale. */
            out->slack[g * inner + k] =
                ((self->dtype == FER_F64 ? 24 + (long double)inner : 24) * unit_of(self) +
                 2 * fmaxl(dtype_unit(self->dtype), dtype_unit(self->inputs[1].dtype))) *
                fabsl(out->v[g * inner + k]);
        }
    }
    return 1;
}

/* ---- per channel: BatchNormalization, InstanceNormalization, GroupNormalization,
 * MeanVarianceNormalization, LRN ---- */

static int fill_channels(trial *self) {
    if (self->rank < 2 || dims_count(self->rank, self->dims) == 0) {
        return 0;
    }
    int64_t groups = arg_int(self, "num_groups", 1);
    if (self->dims[1] % groups != 0 || (self->op->name[0] == 'I' && self->rank < 3)) {
        return 0;
    }
    for (uint32_t i = 1; i < self->input_count; i++) {
        input_dims(self, i, 1, &self->dims[1]);
    }
    if (self->input_count > 4) {
        input_range(self, 4, 0.25, 2); /* variances */
    }
    return 1;
}
static uint64_t channel_of(const nd *in, uint64_t flat) {
    uint64_t plane = dims_count(in->rank - 2, in->dims + 2);
    return flat / plane % (uint64_t)in->dims[1];
}
static int batch_oracle(const trial *self, const nd *in, nd *out) {
    long double epsilon = arg_real(self, "epsilon", 1e-5f),
                momentum = arg_real(self, "momentum", 0.9f);
    uint64_t channels = (uint64_t)in->dims[1];
    uint64_t *group = trial_memory(self, (in->count + 1) * sizeof *group);
    moments *kept = trial_memory(self, (channels + 1) * sizeof *kept);
    int trains = arg_int(self, "training_mode", 0) != 0;
    for (uint64_t i = 0; i < in->count; i++) {
        group[i] = channel_of(in, i);
    }
    if (trains) {
        normalize(self, in, group, channels, epsilon, &out[0], kept);
    } else {
        nd_like(self, &out[0], in);
        nd_slack(self, &out[0]);
    }
    for (uint64_t i = 0; i < in->count; i++) {
        uint64_t c = group[i];
        if (!trains) {
            long double scale = 1 / sqrtl(in[4].v[c] + epsilon);
            out->v[i] = (in->v[i] - in[3].v[c]) * scale;
            out->slack[i] = 8 * unit_of(self) * (fabsl(in->v[i]) + fabsl(in[3].v[c])) * scale;
        }
        apply(self, &out[0], i, in[1].v[c], in[2].v[c]);
    }
    for (uint32_t o = 1; o < self->output_count; o++) {
        nd_like(self, &out[o], &in[3]);
        nd_slack(self, &out[o]);
        for (uint64_t c = 0; c < channels; c++) {
            long double now = o == 1 ? kept[c].mean : kept[c].variance;
            out[o].v[c] = in[2 + o].v[c] * momentum + now * (1 - momentum);
            out[o].slack[c] = 32 * unit_of(self) *
                              (fabsl(in[2 + o].v[c]) + kept[c].most * kept[c].most + kept[c].most);
        }
    }
    return 1;
}
static int group_oracle(const trial *self, const nd *in, nd *out) {
    uint64_t plane = dims_count(in->rank - 2, in->dims + 2), channels = (uint64_t)in->dims[1];
    uint64_t groups =
        self->op->name[0] == 'I' ? channels : (uint64_t)arg_int(self, "num_groups", 1);
    uint64_t *group = trial_memory(self, (in->count + 1) * sizeof *group),
             each = channels / groups * plane;
    for (uint64_t i = 0; i < in->count; i++) {
        group[i] = i / each;
    }
    normalize(self, in, group, in->count / each, arg_real(self, "epsilon", 1e-5f), out, NULL);
    for (uint64_t i = 0; i < in->count; i++) {
        apply(self, out, i, in[1].v[channel_of(in, i)], in[2].v[channel_of(in, i)]);
    }
    return 1;
}
static int fill_mean_variance(trial *self) {
    uint8_t is_named[FER_MAX_RANK];
    return self->rank == 4 && axes_of(self, self->rank, is_named) &&
           dims_count(self->rank, self->dims) > 0;
}
static int mean_variance_oracle(const trial *self, const nd *in, nd *out) {
    uint8_t is_named[FER_MAX_RANK] = {1, 0, 1, 1};
    uint64_t *group = trial_memory(self, (in->count + 1) * sizeof *group), groups = 0;
    int64_t index[FER_MAX_RANK] = {0};
    if (arg_text(self, "axes") != NULL) {
        (void)axes_of(self, in->rank, is_named);
    }
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        for (uint32_t k = 0; k < in->rank; k++) {
            group[i] =
                is_named[k] ? group[i] : group[i] * (uint64_t)in->dims[k] + (uint64_t)index[k];
        }
        groups = group[i] >= groups ? group[i] + 1 : groups;
    }
    normalize(self, in, group, groups, -1e-9L, out, NULL);
    /* One element alone has no deviation: what is left is rounding. */
    return in->count > groups;
}
static int lrn_oracle(const trial *self, const nd *in, nd *out) {
    int64_t size = arg_int(self, "size", 3), index[FER_MAX_RANK] = {0}, channels = in->dims[1];
    long double alpha = arg_real(self, "alpha", 1e-4f), beta = arg_real(self, "beta", 0.75f),
                bias = arg_real(self, "bias", 1);
    uint64_t plane = dims_count(in->rank - 2, in->dims + 2);
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        int64_t c = index[1], from = c - (size - 1) / 2,
                to = c + size / 2; /* floor and ceil of (size - 1) / 2 */
        long double sum = 0;
        for (int64_t k = from < 0 ? 0 : from; k <= to && k < channels; k++) {
            long double x = in->v[(int64_t)i + (k - c) * (int64_t)plane];
            sum += x * x;
        }
        out->v[i] = in->v[i] / powl(bias + alpha / (long double)size * sum, beta);
    }
    return 1;
}

#define LINES "one odd prime wide tall high big"

/* clang-format off */
static const case_row rows[] = {
    {"Softmax", NULL, LINES, "- axis=0 axis=1 axis=-2", "ints uniform wide", fill_axis, axis_oracle, ROW_ZEROS, NULL, NULL},
    {"LogSoftmax", NULL, LINES, "- axis=0 axis=1 axis=-2", "ints uniform wide", fill_axis, axis_oracle, ROW_ZEROS, NULL, NULL},
    {"LpNormalization", NULL, LINES, "- axis=0 p=1 axis=1,p=1 axis=-2", "ints uniform", fill_axis, axis_oracle, ROW_ZEROS, NULL, NULL},
    {"LayerNormalization", NULL, LINES " image", "- axis=1 axis=0 with=B with=B,axis=-2,epsilon=0.01 outs=3 outs=3,with=B,axis=1 outs=2", "ints uniform", fill_layer,
     layer_oracle, ROW_ZEROS, NULL, NULL},
    {"RMSNormalization", NULL, LINES " image", "- axis=1 axis=0 axis=-2,epsilon=0.01", "ints uniform", fill_layer, rms_oracle, ROW_ZEROS, NULL, NULL},
    {"SimplifiedLayerNormalization", NULL, LINES " image", "- axis=1 axis=0 axis=-2,epsilon=0.01 outs=2 outs=2,axis=1 outs=2,axis=-2,epsilon=0.5 V=f32 V=f16,outs=2", "ints uniform", fill_layer, rms_oracle, ROW_ZEROS, NULL, NULL},
    {"BatchNormalization", NULL, "image line cube prime row pixel", "- epsilon=0.01 training_mode=1,outs=3 training_mode=1,outs=3,momentum=0.5", "ints uniform", fill_channels,
     batch_oracle, ROW_ZEROS, NULL, NULL},
    {"InstanceNormalization", NULL, "image line cube row", "- epsilon=0.01", "ints uniform", fill_channels, group_oracle, ROW_ZEROS, NULL, NULL},
    {"GroupNormalization", NULL, "image line cube row", "num_groups=1 num_groups=2 num_groups=4,epsilon=0.01 num_groups=3", "ints uniform", fill_channels, group_oracle,
     ROW_ZEROS, NULL, NULL},
    {"MeanVarianceNormalization", NULL, "image row", "- axes=1:2:3 axes=2:3", "uniform", fill_mean_variance, mean_variance_oracle, ROW_ZEROS, NULL, NULL},
    {"LRN", NULL, "image row line 1x7x2x3", "size=3 size=5,alpha=0.5 size=2,beta=0.5,bias=2 size=1", "ints uniform", fill_channels, lrn_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_norm = {"norm", rows, sizeof rows / sizeof *rows};
