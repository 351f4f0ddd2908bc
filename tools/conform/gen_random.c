/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that draw: judged by range, mean and deviation of what they drew, and by the seed, which two
 * nodes of one graph share.
 */
#include "generators.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int
is_near(char *sentence, size_t capacity, const char *what, double got, double want, double most) {
    if (fabs(got - want) <= most) {
        return 1;
    }
    (void)snprintf(sentence,
                   capacity,
                   "the %s of what it drew is %.6g; %.6g, give or take %.3g, was expected",
                   what,
                   got,
                   want,
                   most);
    return 0;
}

/* Mean, deviation and range of the first output's elements. */
typedef struct drawn {
    double mean, deviation, least, most;
    uint64_t count;
} drawn;

static void measure(fer_tensor *tensor, drawn *out) {
    double sum = 0, square = 0;
    memset(out, 0, sizeof *out);
    out->count = fer_tensor_element_count(tensor);
    for (uint64_t i = 0; i < out->count; i++) {
        double x = (double)number_get(fer_tensor_dtype(tensor), fer_tensor_data(tensor), i);
        sum += x;
        square += x * x;
        out->least = i == 0 || x < out->least ? x : out->least;
        out->most = i == 0 || x > out->most ? x : out->most;
    }
    out->mean = out->count > 0 ? sum / (double)out->count : 0;
    out->deviation =
        out->count > 0 ? sqrt(fmax(0, square / (double)out->count - out->mean * out->mean)) : 0;
}

static int
judge_uniform(const trial *self, fer_tensor *const *outputs, char *sentence, size_t capacity) {
    drawn d;
    double low = arg_real(self, "low", 0), high = arg_real(self, "high", 1), span = high - low;
    measure(outputs[0], &d);
    if (d.count > 0 && (d.least < low - span * 0.01 || d.most > high + span * 0.01)) {
        (void)snprintf(sentence,
                       capacity,
                       "it drew from %.6g to %.6g, not within %.6g and %.6g",
                       d.least,
                       d.most,
                       low,
                       high);
        return 0;
    }
    double slack = 6 * span / sqrt(12.0 * (double)d.count + 1);
    return d.count < 500 ||
           (is_near(sentence, capacity, "mean", d.mean, (low + high) / 2, slack + span * 0.004) &&
            is_near(sentence, capacity, "deviation", d.deviation, span / sqrt(12), span * 0.05));
}

static int
judge_normal(const trial *self, fer_tensor *const *outputs, char *sentence, size_t capacity) {
    drawn d;
    double mean = arg_real(self, "mean", 0), scale = arg_real(self, "scale", 1);
    measure(outputs[0], &d);
    return d.count < 500 ||
           (is_near(sentence,
                    capacity,
                    "mean",
                    d.mean,
                    mean,
                    6 * scale / sqrt((double)d.count) + 0.01 * scale) &&
            is_near(sentence, capacity, "deviation", d.deviation, scale, scale * 0.15) &&
            is_near(sentence, capacity, "largest", d.most, mean + 3.5 * scale, 2.5 * scale));
}

static int
judge_bernoulli(const trial *self, fer_tensor *const *outputs, char *sentence, size_t capacity) {
    drawn d;
    double expected = 0;
    measure(outputs[0], &d);
    for (uint64_t i = 0; i < self->inputs[0].number.count; i++) {
        expected += (double)self->inputs[0].number.v[i];
    }
    expected /= self->inputs[0].number.count > 0 ? (double)self->inputs[0].number.count : 1;
    if (d.count > 0 && (d.least < 0 || d.most > 1)) {
        (void)snprintf(sentence, capacity, "it drew something other than 0 and 1");
        return 0;
    }
    return d.count < 500 ||
           is_near(sentence, capacity, "mean", d.mean, expected, 3 / sqrt((double)d.count));
}
static int fill_chances(trial *self) {
    input_range(self, 0, 0, 1);
    return 1;
}

/* Dropout: kept elements are scaled by 1 / (1 - ratio), the mask says which. */
static int
judge_dropout(const trial *self, fer_tensor *const *outputs, char *sentence, size_t capacity) {
    double ratio = arg_real(self, "ratio", 0.5);
    uint64_t count = self->inputs[0].number.count, kept = 0;
    const unsigned char *mask = fer_tensor_data(outputs[1]);
    fer_dtype dtype = fer_tensor_dtype(outputs[0]);
    for (uint64_t i = 0; i < count; i++) {
        double got = (double)number_get(dtype, fer_tensor_data(outputs[0]), i);
        double want = mask[i] != 0 ? (double)self->inputs[0].number.v[i] / (1 - ratio) : 0;
        kept += mask[i] != 0;
        if (fabs(got - want) > 4 * (double)dtype_ulp(dtype, want)) {
            (void)snprintf(sentence,
                           capacity,
                           "at %llu it is %.6g, not %.6g",
                           (unsigned long long)i,
                           got,
                           want);
            return 0;
        }
    }
    return count < 500 || is_near(sentence,
                                  capacity,
                                  "share kept",
                                  (double)kept / (double)count,
                                  1 - ratio,
                                  3 / sqrt((double)count));
}
static int fill_dropout(trial *self) {
    for (uint32_t i = 1; i < self->input_count; i++) {
        self->inputs[i].rank = 0;
    }
    return 1;
}
static int dropout_oracle(const trial *self, const nd *in, nd *out) {
    nd_like(self, &out[0], in);
    memcpy(out->v, in->v, in->count * sizeof *in->v);
    if (self->output_count > 1) {
        nd_like(self, &out[1], in);
        for (uint64_t i = 0; i < in->count; i++) {
            out[1].v[i] = 1;
        }
    }
    return 1;
}

/* Multinomial: logs of weights per row; the shares drawn are those of the softmax. */
static int
judge_multinomial(const trial *self, fer_tensor *const *outputs, char *sentence, size_t capacity) {
    int64_t rows = self->dims[0], classes = self->dims[1],
            samples = arg_int(self, "sample_size", 1);
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, share[64] = {0};
        for (int64_t c = 0; c < classes && c < 64; c++) {
            sum += exp((double)self->inputs[0].number.v[r * classes + c]);
        }
        for (int64_t s = 0; s < samples; s++) {
            int64_t drew = (int64_t)number_get(fer_tensor_dtype(outputs[0]),
                                               fer_tensor_data(outputs[0]),
                                               (uint64_t)(r * samples + s));
            if (drew < 0 || drew >= classes) {
                (void)snprintf(sentence,
                               capacity,
                               "it drew class %lld of %lld",
                               (long long)drew,
                               (long long)classes);
                return 0;
            }
            share[drew & 63] += 1.0 / (double)samples;
        }
        for (int64_t c = 0; c < classes && c < 64 && samples >= 500; c++) {
            double want = exp((double)self->inputs[0].number.v[r * classes + c]) / sum;
            if (!is_near(sentence,
                         capacity,
                         "share of a class",
                         share[c],
                         want,
                         3 / sqrt((double)samples))) {
                return 0;
            }
        }
    }
    return 1;
}
static int fill_multinomial(trial *self) { return self->rank == 2 && self->dims[1] <= 64; }

/* clang-format off */
#define SIZES "scalar odd prime tall big"
static const case_row rows[] = {
    {"RandomUniform", NULL, "scalar", "shape=70:40 shape=1000:,seed=3,low=-2,high=5 shape=0:3 shape=2:3:4:100,seed=1.5 shape=50:50,dtype=f64 shape=50:50,dtype=f16,low=-1",
     "ints", NULL, NULL, 0, judge_uniform, NULL},
    {"RandomNormal", NULL, "scalar", "shape=70:40 shape=1000:,seed=3,mean=-2,scale=5 shape=0:3 shape=2:3:4:100,seed=1.5 shape=50:50,dtype=f64 shape=50:50,dtype=f16,mean=1",
     "ints", NULL, NULL, 0, judge_normal, NULL},
    {"RandomUniformLike", "float|int|complex|bool", SIZES, "dtype=f32 dtype=f64,seed=2 dtype=f16,low=-3,high=3", "ints", NULL, NULL, 0, judge_uniform, NULL},
    {"RandomNormalLike", "float|int|complex|bool", SIZES, "dtype=f32 dtype=f64,seed=2 dtype=f16,mean=3,scale=0.5", "ints", NULL, NULL, 0, judge_normal, NULL},
    {"RandomUniformLike", "str", SIZES, "dtype=f32 dtype=f64,seed=2 dtype=f16,low=-3,high=3 dtype=bf16", "ints", NULL, NULL, 0, judge_uniform, NULL},
    {"RandomNormalLike", "str", SIZES, "dtype=f32 dtype=f64,seed=2 dtype=f16,mean=3,scale=0.5 dtype=bf16", "ints", NULL, NULL, 0, judge_normal, NULL},
    {"RandomUniformLike", "float", SIZES, "- low=-3,high=3", "ints", NULL, NULL, 0, judge_uniform, NULL},
    {"RandomNormalLike", "float", SIZES, "- mean=3,scale=0.5", "ints", NULL, NULL, 0, judge_normal, NULL},
    {"Bernoulli", "f32|f64", SIZES, "dtype=f32 dtype=f64 dtype=bf16 dtype=i8 dtype=i16 dtype=i64 dtype=u8 dtype=u16 dtype=u32 dtype=u64", "uniform", fill_chances, NULL, 0, judge_bernoulli, NULL},
    {"Multinomial", "f32|f16", "2x5", "sample_size=2000,dtype=i32 sample_size=2000,dtype=i32,seed=7", "uniform", fill_multinomial, NULL, 0, judge_multinomial, NULL},
    {"Bernoulli", NULL, SIZES, "- seed=3 dtype=i32 dtype=bool,seed=1 dtype=f16", "uniform", fill_chances, NULL, 0, judge_bernoulli, NULL},
    {"Dropout", "float", SIZES, "outs=2,ratio=0.5,training_mode=1 outs=2,ratio=0.25,training_mode=1,seed=5 outs=2,ratio=0,training_mode=1", "ints uniform", fill_dropout, NULL, 0, judge_dropout, NULL},
    {"Dropout", "float|float8", SIZES, "- outs=2 outs=2,ratio=0.75 outs=2,ratio=0.5,training_mode=0", "ints uniform", fill_dropout, dropout_oracle, ROW_ZEROS | ROW_EXACT, NULL, NULL},
    {"Multinomial", NULL, "2x5 1x3 3x1", "sample_size=1 sample_size=2000 sample_size=2000,dtype=i64,seed=7", "uniform", fill_multinomial, NULL, 0, judge_multinomial, NULL},
};
/* clang-format on */

const case_family cases_random = {"random", rows, sizeof rows / sizeof *rows};
