/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals: DFT and its inverse, STFT, the windows, MelWeightMatrix. Transforms are sums of N
 * products as their definition has them; the bound is that of sums.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846264338327950288L

/* ---- DFT ---- */

/* One line: count numbers, stride apart, of parts (1: no imaginary one). */
typedef struct signal {
    const long double *v;
    uint64_t stride, count, parts;
} signal;

static long double signal_part(const signal *s, uint64_t n, uint64_t part) {
    return n < s->count && part < s->parts ? s->v[n * s->stride * s->parts + part] : 0;
}

/* sum over n < length of x[n] e^(sign 2 pi i k n / length); the size of the sum for its bound. */
static void transform(
    const signal *s, uint64_t length, uint64_t k, int sign, long double *out, long double *size) {
    out[0] = out[1] = *size = 0;
    for (uint64_t n = 0; n < length; n++) {
        long double angle = sign * 2 * PI * (long double)(k * n % length) / (long double)length,
                    c = cosl(angle), d = sinl(angle);
        long double re = signal_part(s, n, 0), im = signal_part(s, n, 1);
        out[0] += re * c - im * d;
        out[1] += re * d + im * c;
        *size += fabsl(re) + fabsl(im);
    }
}

/* A real signal from half its spectrum: the other half is its mirror image. */
static void
from_half(const signal *s, uint64_t length, uint64_t m, long double *out, long double *size) {
    *out = *size = 0;
    for (uint64_t k = 0; k < length; k++) {
        uint64_t at = k <= length / 2 ? k : length - k;
        long double angle = 2 * PI * (long double)(k * m % length) / (long double)length;
        long double re = signal_part(s, at, 0),
                    im = signal_part(s, at, 1) * (k <= length / 2 ? 1 : -1);
        im = k == 0 || 2 * k == length ? 0 : im;
        *out += re * cosl(angle) - im * sinl(angle);
        *size += fabsl(re) + fabsl(im);
    }
}

static int fill_dft(trial *self) {
    if (self->rank < 2 || dims_count(self->rank, self->dims) == 0) {
        return 0;
    }
    int64_t parts = self->dims[self->rank - 1],
            axis = axis_of(arg_int(self, "axis", -2), self->rank);
    int is_one = arg_int(self, "onesided", 0) != 0, is_inverse = arg_int(self, "inverse", 0) != 0;
    return axis >= 0 && axis + 1 < (int64_t)self->rank && (parts == 1 || parts == 2) &&
           arg_int(self, "dft_length", 1) > 0 && (!is_one || parts == 1 + is_inverse) &&
           (!is_one || !is_inverse || self->dims[axis] > 1);
}

static int dft_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t axis = (uint32_t)axis_of(arg_int(self, "axis", -2), in->rank);
    int is_one = arg_int(self, "onesided", 0) != 0, is_inverse = arg_int(self, "inverse", 0) != 0,
        is_half = is_one && is_inverse;
    int64_t dims[FER_MAX_RANK],
        length = arg_int(self, "dft_length", is_half ? 2 * (in->dims[axis] - 1) : in->dims[axis]);
    uint64_t parts = (uint64_t)in->dims[in->rank - 1],
             inner = dims_count(in->rank - axis - 2, in->dims + axis + 1),
             count = (uint64_t)in->dims[axis];
    memcpy(dims, in->dims, sizeof dims);
    dims[axis] = is_one && !is_inverse ? length / 2 + 1 : length;
    dims[in->rank - 1] = is_half ? 1 : 2;
    nd_make(self, out, in->rank, dims);
    nd_slack(self, out);
    uint64_t each = (uint64_t)dims[in->rank - 1], rows = (uint64_t)dims[axis];
    for (uint64_t i = 0; i < out->count / each; i++) {
        uint64_t column = i % inner, k = i / inner % rows, outer = i / inner / rows;
        signal s = {in->v + (outer * count * inner + column) * parts, inner, count, parts};
        long double sum[2], size, scale = is_inverse ? length : 1;
        if (is_half) {
            from_half(&s, (uint64_t)length, k, sum, &size);
        } else {
            transform(&s, (uint64_t)length, k, is_inverse ? 1 : -1, sum, &size);
        }
        for (uint64_t p = 0; p < each; p++) {
            out->v[i * each + p] = sum[p] / scale;
            out->slack[i * each + p] = sum_slack(self->dtype, (uint64_t)length, size / scale);
        }
    }
    return 1;
}

/* ---- STFT: shape words are [batch, length, parts] ---- */

static int64_t frame_of(const trial *self) {
    return arg_int(self, "frame_length", arg_int(self, "wide", 0));
}
static int fill_stft(trial *self) {
    int64_t frame = frame_of(self), wide = arg_int(self, "wide", frame);
    int is_one = arg_int(self, "onesided", 1) != 0;
    if (self->rank != 3 || frame < 1 || wide < frame || arg_int(self, "frame_step", 1) < 1 ||
        self->dims[1] < frame || (is_one && self->dims[2] != 1)) {
        return 0;
    }
    if (arg_with(self, "window")) {
        input_dims(self, 2, 1, &wide);
        input_range(self, 2, 0, 1);
    }
    return 1;
}
static int stft_oracle(const trial *self, const nd *in, nd *out) {
    int64_t frame = frame_of(self), step = arg_int(self, "frame_step", 1),
            frames = (in->dims[1] - frame) / step + 1;
    int64_t bins = arg_int(self, "onesided", 1) != 0 ? frame / 2 + 1 : frame,
            dims[] = {in->dims[0], frames, bins, 2};
    uint64_t parts = (uint64_t)in->dims[2];
    nd_make(self, out, 4, dims);
    nd_slack(self, out);
    long double *line = trial_memory(self, ((uint64_t)frame * 2 + 1) * sizeof *line);
    for (int64_t f = 0; f < in->dims[0] * frames; f++) {
        uint64_t first =
            ((uint64_t)(f / frames) * (uint64_t)in->dims[1] + (uint64_t)(f % frames * step)) *
            parts;
        for (uint64_t n = 0; n < (uint64_t)frame * parts; n++) {
            line[n] = in->v[first + n] * (in[2].v != NULL ? in[2].v[n / parts] : 1);
        }
        signal s = {line, 1, (uint64_t)frame, parts};
        for (int64_t k = 0; k < bins; k++) {
            long double size;
            uint64_t at = (uint64_t)(f * bins + k) * 2;
            transform(&s, (uint64_t)frame, (uint64_t)k, -1, out->v + at, &size);
            out->slack[at] = out->slack[at + 1] = sum_slack(self->dtype, (uint64_t)frame, size);
        }
    }
    return 1;
}

/* ---- windows ---- */

static fer_dtype type_of(const trial *self, const char *key) {
    double list[1];
    return arg_list(self, key, list, 1) == 1 ? (fer_dtype)list[0] : FER_F32;
}
/* The bodies of these functions work in f32, whatever comes out. Integers are cut off: beside a
 * whole number either is right. */
static void put(const trial *self, nd *out, uint64_t i, long double value) {
    out->v[i] = value;
    out->slack[i] = 0x1p-20L;
    if (dtype_is_integer(type_of(self, "output_datatype"))) {
        out->slack[i] = fabsl(value - roundl(value)) < 0x1p-18L ? 1 : 0;
        out->v[i] = truncl(value);
    }
}

static int fill_scalars(trial *self) {
    return self->rank == 0 && arg_int(self, "size", 1) >= 0 &&
           arg_int(self, "num_mel_bins", 1) > 0 && arg_int(self, "dft_length", 1) > 0;
}
static int window_oracle(const trial *self, const nd *in, nd *out) {
    int64_t size = (int64_t)in->v[0], length = arg_int(self, "periodic", 1) != 0 ? size : size - 1;
    nd_make(self, out, 1, &size);
    nd_slack(self, out);
    for (int64_t n = 0; n < size; n++) {
        long double angle = 2 * PI * n / length, c = cosl(angle);
        switch (self->op->name[1]) {
        case 'a': /* Hann, Hamming */
            put(self,
                out,
                (uint64_t)n,
                self->op->name[2] == 'n' ? 0.5L - 0.5L * c : 25.0L / 46 - 21.0L / 46 * c);
            break;
        default:
            put(self, out, (uint64_t)n, 0.42L - 0.5L * c + 0.08L * cosl(2 * angle));
            break;
        }
    }
    return 1;
}

/* ---- MelWeightMatrix ---- */

/* Edges of the triangles as bins; 0 when rounding decides on one. */
static int mel_bins(const nd *in, int64_t count, int64_t *bins) {
    long double low = 2595 * log10l(1 + in[3].v[0] / 700),
                high = 2595 * log10l(1 + in[4].v[0] / 700);
    long double step = (high - low) / count;
    for (int64_t i = 0; i < count; i++) {
        long double hertz = 700 * (powl(10, (low + step * i) / 2595) - 1),
                    bin = (in[1].v[0] + 1) * hertz / in[2].v[0];
        if (fabsl(bin - roundl(bin)) < 1e-3L && !(i == 0 && in[3].v[0] == 0)) {
            return 0;
        }
        bins[i] = (int64_t)floorl(bin + (i == 0 && in[3].v[0] == 0 ? 0.5L : 0));
    }
    return 1;
}
static int mel_oracle(const trial *self, const nd *in, nd *out) {
    int64_t mels = (int64_t)in[0].v[0], rows = (int64_t)in[1].v[0] / 2 + 1, bins[128];
    if (mels > 120 || !mel_bins(in, mels + 2, bins)) {
        return 0;
    }
    nd_make(self, out, 2, (int64_t[]){rows, mels});
    nd_slack(self, out);
    for (int64_t i = 0; i < mels; i++) {
        int64_t low = bins[i], top = bins[i + 1], high = bins[i + 2];
        for (int64_t r = 0; r < rows; r++) {
            long double value = r == top && low == top ? 1
                                : r >= low && r <= top && top > low
                                    ? (long double)(r - low) / (top - low)
                                    : 0;
            if (r >= top && r < high && high > top) {
                value = (long double)(high - r) / (high - top);
            }
            put(self, out, (uint64_t)(r * mels + i), value);
        }
    }
    return 1;
}

/* clang-format off */
#define DFTS "- inverse=1 onesided=1 onesided=1,inverse=1 axis=0 axis=1,inverse=1 dft_length=16 dft_length=5,inverse=1 dft_length=12,onesided=1 dft_length=7,onesided=1 " \
    "dft_length=9,onesided=1,inverse=1 dft_length=8,onesided=1,inverse=1 axis=-3,dft_length=4 axis=0,onesided=1 dft_length=1,T2=i32 axis=1,onesided=1,inverse=1"
#define WINDOWS "size=10 size=1 size=2 size=17 size=16 size=10,periodic=0 size=17,periodic=0 size=2,periodic=0 size=0 size=1000 size=8,output_datatype=f64 " \
    "size=9,output_datatype=f16,periodic=0 size=12,output_datatype=bf16 size=16,output_datatype=i32 size=10,periodic=0,output_datatype=u8 size=11,output_datatype=i64"
#define OTHERS "size=10,output_datatype=f32 size=13,output_datatype=i8 size=13,output_datatype=i16 size=13,output_datatype=u16 size=13,output_datatype=u32 size=13,output_datatype=u64"
static const case_row rows[] = {
    {"DFT", NULL, "2x10x1 3x8x2 1x7x1 1x13x2 2x3x16x1 3x5x2x2 4x1x1 1x64x2", DFTS, "ints uniform wide", fill_dft, dft_oracle, ROW_ZEROS, NULL, NULL},
    {"DFT", "f32|f64|f16", "1x251x1 1x512x2 2x100x1", "- onesided=1 inverse=1 axis=0", "uniform", fill_dft, dft_oracle, ROW_ZEROS, NULL, NULL},
    {"STFT", NULL, "1x16x1 2x37x1 1x128x1",
     "frame_step=4,frame_length=8 frame_step=3,frame_length=7 frame_step=8,frame_length=16,with=window frame_step=1,frame_length=5,with=window,onesided=0 "
     "frame_step=5,with=window,wide=9 frame_step=2,frame_length=4,onesided=0,T2=i32 frame_step=16,frame_length=16 frame_step=40,frame_length=1",
     "ints uniform", fill_stft, stft_oracle, ROW_ZEROS, NULL, NULL},
    {"STFT", NULL, "2x37x2 1x16x2", "frame_step=4,frame_length=8,onesided=0 frame_step=3,frame_length=7,with=window,onesided=0 frame_step=2,with=window,wide=10,onesided=0", "ints uniform",
     fill_stft, stft_oracle, ROW_ZEROS, NULL, NULL},
    {"HannWindow", NULL, "scalar", WINDOWS, "ints", fill_scalars, window_oracle, ROW_ZEROS, NULL, NULL},
    {"HammingWindow", NULL, "scalar", WINDOWS, "ints", fill_scalars, window_oracle, ROW_ZEROS, NULL, NULL},
    {"BlackmanWindow", NULL, "scalar", WINDOWS, "ints", fill_scalars, window_oracle, ROW_ZEROS, NULL, NULL},
    {"HannWindow", NULL, "scalar", OTHERS, "ints", fill_scalars, window_oracle, ROW_ZEROS, NULL, NULL},
    {"HammingWindow", NULL, "scalar", OTHERS, "ints", fill_scalars, window_oracle, ROW_ZEROS, NULL, NULL},
    {"BlackmanWindow", NULL, "scalar", OTHERS, "ints", fill_scalars, window_oracle, ROW_ZEROS, NULL, NULL},
    {"MelWeightMatrix", NULL, "scalar",
     "num_mel_bins=6,dft_length=32,sample_rate=8000,lower_edge_hertz=30,upper_edge_hertz=3000,output_datatype=bf16 num_mel_bins=6,dft_length=32,sample_rate=8000,lower_edge_hertz=30,upper_edge_hertz=3000,output_datatype=u8 "
     "num_mel_bins=6,dft_length=32,sample_rate=8000,lower_edge_hertz=30,upper_edge_hertz=3000,output_datatype=i8 num_mel_bins=6,dft_length=32,sample_rate=8000,lower_edge_hertz=30,upper_edge_hertz=3000,output_datatype=i64 "
     "num_mel_bins=6,dft_length=32,sample_rate=8000,lower_edge_hertz=30,upper_edge_hertz=3000,T2=f16 num_mel_bins=6,dft_length=32,sample_rate=8000,lower_edge_hertz=30,upper_edge_hertz=3000,T2=bf16", "ints", fill_scalars, mel_oracle, ROW_ZEROS, NULL, NULL},
    {"MelWeightMatrix", NULL, "scalar",
     "num_mel_bins=8,dft_length=16,sample_rate=8192,lower_edge_hertz=0,upper_edge_hertz=4096 num_mel_bins=20,dft_length=512,sample_rate=16000,lower_edge_hertz=20,upper_edge_hertz=7600 "
     "num_mel_bins=5,dft_length=64,sample_rate=8000,lower_edge_hertz=100,upper_edge_hertz=3900,output_datatype=f64 "
     "num_mel_bins=3,dft_length=33,sample_rate=4000,lower_edge_hertz=10,upper_edge_hertz=1990,output_datatype=f16 "
     "num_mel_bins=1,dft_length=10,sample_rate=100,lower_edge_hertz=7,upper_edge_hertz=41 num_mel_bins=40,dft_length=256,sample_rate=22050,lower_edge_hertz=50,upper_edge_hertz=11000,T2=f64 "
     "num_mel_bins=6,dft_length=32,sample_rate=8000,lower_edge_hertz=30,upper_edge_hertz=3000,output_datatype=i32", "ints", fill_scalars, mel_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_signal = {"signal", rows, sizeof rows / sizeof *rows};
