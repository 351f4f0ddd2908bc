/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions and pools, by loops over every output and every tap: pads, strides, dilations,
 * groups, auto_pad, ceil_mode.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

#define SPATIAL 4

/* What the attributes say of each spatial axis. */
typedef struct window {
    uint32_t rank;
    int64_t in[SPATIAL], out[SPATIAL], kernel[SPATIAL], stride[SPATIAL], dilation[SPATIAL],
        begin[SPATIAL], end[SPATIAL];
} window;

static int
list_or(const trial *self, const char *key, uint32_t rank, int64_t absent, int64_t *out) {
    int64_t list[2 * SPATIAL];
    uint32_t count = arg_ints(self, key, list, 2 * SPATIAL);
    for (uint32_t i = 0; i < rank; i++) {
        out[i] = count > i ? list[i] : absent;
    }
    return count == 0 || count == rank;
}

static void auto_pads(const trial *self, window *w, uint32_t i) {
    int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    int64_t out = (w->in[i] + w->stride[i] - 1) / w->stride[i];
    int64_t total = (out - 1) * w->stride[i] + reach - w->in[i];
    total = total > 0 ? total : 0;
    w->begin[i] = arg_is(self, "auto_pad", "NOTSET", "SAME_UPPER") ? total / 2 : total - total / 2;
    w->end[i] = total - w->begin[i];
}

static int window_of(const trial *self,
                     uint32_t tensor_rank,
                     const int64_t *dims,
                     const int64_t *kernel,
                     window *w) {
    int64_t pads[2 * SPATIAL];
    w->rank = tensor_rank - 2;
    uint32_t pad_count = arg_ints(self, "pads", pads, 2 * SPATIAL);
    if (tensor_rank < 3 || w->rank > SPATIAL || !list_or(self, "strides", w->rank, 1, w->stride) ||
        !list_or(self, "dilations", w->rank, 1, w->dilation) ||
        (pad_count != 0 && pad_count != 2 * w->rank)) {
        return 0;
    }
    int same =
        strncmp(arg_text(self, "auto_pad") != NULL ? arg_text(self, "auto_pad") : "", "SAME", 4) ==
        0;
    for (uint32_t i = 0; i < w->rank; i++) {
        w->in[i] = dims[2 + i];
        w->kernel[i] = kernel[i];
        w->begin[i] = pad_count > 0 ? pads[i] : 0;
        w->end[i] = pad_count > 0 ? pads[w->rank + i] : 0;
        if (same) {
            auto_pads(self, w, i);
        }
        int64_t reach = (kernel[i] - 1) * w->dilation[i] + 1,
                room = w->in[i] + w->begin[i] + w->end[i] - reach;
        if (room < 0) {
            return 0;
        }
        w->out[i] = room / w->stride[i] + 1;
        if (arg_int(self, "ceil_mode", 0) != 0 && room % w->stride[i] != 0 && !same) {
            /* A window that would start in the padding behind is none. */
            w->out[i] += (w->out[i] * w->stride[i] < w->in[i] + w->begin[i]);
        }
    }
    return 1;
}

/* Position of a tap in the input; 0 when it lies outside. */
static int tap_at(const window *w, const int64_t *out_at, const int64_t *tap, int64_t *in_at) {
    for (uint32_t i = 0; i < w->rank; i++) {
        in_at[i] = out_at[i] * w->stride[i] - w->begin[i] + tap[i] * w->dilation[i];
        if (in_at[i] < 0 || in_at[i] >= w->in[i]) {
            return 0;
        }
    }
    return 1;
}

/* ---- Conv, ConvInteger ---- */

static void kernel_of(const trial *self, uint32_t rank, int64_t *kernel) {
    int64_t list[SPATIAL];
    uint32_t count = arg_ints(self, "k", list, SPATIAL);
    for (uint32_t i = 0; i < rank && i < SPATIAL; i++) {
        kernel[i] = count > i ? list[i] : count > 0 ? list[count - 1] : 3;
    }
}

static int fill_conv(trial *self) {
    int64_t kernel[SPATIAL], dims[FER_MAX_RANK], group = arg_int(self, "group", 1),
                                                 m = arg_int(self, "M", 4);
    window w;
    if (self->rank < 3 || self->rank > 2 + SPATIAL || self->dims[1] % group != 0 ||
        m % group != 0) {
        return 0;
    }
    kernel_of(self, self->rank - 2, kernel);
    int64_t given[SPATIAL];
    uint32_t named = arg_ints(self, "kernel_shape", given, SPATIAL);
    if (!window_of(self, self->rank, self->dims, kernel, &w) ||
        (named != 0 && (named != w.rank || given[0] != kernel[0]))) {
        return 0;
    }
    dims[0] = m;
    dims[1] = self->dims[1] / group;
    memcpy(dims + 2, kernel, w.rank * sizeof *dims);
    uint32_t weight = self->op->name[0] == 'Q' ? 3 : 1;
    input_dims(self, weight, self->rank, dims);
    for (uint32_t i = 2; i < self->input_count; i++) { /* bias, or zero points and scales */
        if (i != weight) {
            input_dims(self, i, strcmp(self->inputs[i].name, "B") == 0, &m);
        }
    }
    if (self->op->name[0] == 'C' && self->op->name[4] == 'I') {
        for (uint32_t i = 2; i < self->input_count; i++) {
            input_range(self, i, 1, 9);
        }
    }
    return 1;
}

void conv_numbers(const trial *self, const nd *x, const nd *w, const nd *bias, nd *out) {
    window g = {0};
    int64_t dims[FER_MAX_RANK], at[FER_MAX_RANK] = {0}, group = arg_int(self, "group", 1);
    (void)window_of(self, x->rank, x->dims, w->dims + 2, &g);
    dims[0] = x->dims[0];
    dims[1] = w->dims[0];
    memcpy(dims + 2, g.out, g.rank * sizeof *dims);
    nd_make(self, out, x->rank, dims);
    nd_slack(self, out);
    int64_t each = w->dims[1], per = w->dims[0] / group;
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(x->rank, dims, at)) {
        long double sum = bias != NULL && bias->v != NULL ? bias->v[at[1]] : 0, size = fabsl(sum);
        int64_t tap[SPATIAL] = {0}, from[FER_MAX_RANK] = {at[0]}, weight[FER_MAX_RANK] = {at[1]};
        do {
            if (!tap_at(&g, at + 2, tap, from + 2)) {
                continue;
            }
            memcpy(weight + 2, tap, g.rank * sizeof *tap);
            for (int64_t c = 0; c < each; c++) {
                from[1] = at[1] / per * each + c;
                weight[1] = c;
                long double product = x->v[index_flat(x->rank, x->dims, from)] *
                                      w->v[index_flat(w->rank, w->dims, weight)];
                sum += product;
                size += fabsl(product);
            }
        } while (index_next(g.rank, g.kernel, tap));
        out->v[i] = sum;
        out->slack[i] = strcmp(self->values, "ints") == 0
                            ? 0
                            : sum_slack(self->dtype, (uint64_t)(each * 27), size);
    }
}

static int conv_oracle(const trial *self, const nd *in, nd *out) {
    conv_numbers(self, &in[0], &in[1], &in[2], out);
    return 1;
}

static int conv_integer_oracle(const trial *self, const nd *in, nd *out) {
    nd sides[2] = {in[0], in[1]};
    for (uint32_t s = 0; s < 2; s++) {
        sides[s].v = trial_memory(self, (in[s].count + 1) * sizeof(long double));
        for (uint64_t i = 0; i < in[s].count; i++) {
            sides[s].v[i] = in[s].v[i] - (in[s + 2].v != NULL ? in[s + 2].v[0] : 0);
        }
    }
    conv_numbers(self, &sides[0], &sides[1], NULL, out);
    return 1;
}

/* ---- ConvTranspose ---- */

static int transposed_of(const trial *self, const int64_t *dims, const int64_t *kernel, window *w) {
    int64_t extra[SPATIAL], shape[SPATIAL], pads[2 * SPATIAL];
    uint32_t rank = self->rank - 2, pad_count = arg_ints(self, "pads", pads, 2 * SPATIAL);
    uint32_t shaped = arg_ints(self, "output_shape", shape, SPATIAL);
    w->rank = rank;
    if (!list_or(self, "strides", rank, 1, w->stride) ||
        !list_or(self, "dilations", rank, 1, w->dilation) ||
        !list_or(self, "output_padding", rank, 0, extra) ||
        (pad_count != 0 && pad_count != 2 * rank) || (shaped != 0 && shaped != rank)) {
        return 0;
    }
    int same =
        strncmp(arg_text(self, "auto_pad") != NULL ? arg_text(self, "auto_pad") : "", "SAME", 4) ==
        0;
    int upper = arg_is(self, "auto_pad", "NOTSET", "SAME_UPPER");
    for (uint32_t i = 0; i < rank; i++) {
        w->in[i] = dims[2 + i];
        w->kernel[i] = kernel[i];
        int64_t full =
            w->stride[i] * (w->in[i] - 1) + extra[i] + (kernel[i] - 1) * w->dilation[i] + 1;
        w->begin[i] = pad_count > 0 ? pads[i] : 0;
        w->end[i] = pad_count > 0 ? pads[rank + i] : 0;
        w->out[i] = full - w->begin[i] - w->end[i];
        if (shaped > 0 || same) {
            w->out[i] = shaped > 0 ? shape[i] : w->in[i] * w->stride[i];
            int64_t total = full - w->out[i];
            if (total < 0) {
                return 0;
            }
            w->begin[i] = upper ? total / 2 : total - total / 2;
            w->end[i] = total - w->begin[i];
        }
        if (w->out[i] <= 0 || extra[i] >= w->stride[i] + w->dilation[i]) {
            return 0;
        }
    }
    return 1;
}
static int fill_transposed(trial *self) {
    int64_t kernel[SPATIAL], dims[FER_MAX_RANK], group = arg_int(self, "group", 1),
                                                 m = arg_int(self, "M", 4);
    window w = {0};
    if (self->rank < 3 || self->rank > 2 + SPATIAL || self->dims[1] % group != 0 ||
        m % group != 0) {
        return 0;
    }
    kernel_of(self, self->rank - 2, kernel);
    dims[0] = self->dims[1];
    dims[1] = m / group;
    memcpy(dims + 2, kernel, (self->rank - 2) * sizeof *dims);
    input_dims(self, 1, self->rank, dims);
    input_dims(self, 2, 1, &m);
    return transposed_of(self, self->dims, kernel, &w);
}
static int transposed_oracle(const trial *self, const nd *in, nd *out) {
    window g = {0};
    const nd *x = &in[0], *w = &in[1];
    int64_t dims[FER_MAX_RANK], at[FER_MAX_RANK] = {0}, group = arg_int(self, "group", 1),
                                per = w->dims[1];
    int64_t each = x->dims[1] / group;
    (void)transposed_of(self, x->dims, w->dims + 2, &g);
    dims[0] = x->dims[0];
    dims[1] = per * group;
    memcpy(dims + 2, g.out, g.rank * sizeof *dims);
    nd_make(self, out, x->rank, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(x->rank, dims, at)) { /* by bias */
        out->v[i] = in[2].v != NULL ? in[2].v[at[1]] : 0;
        out->slack[i] = sum_slack(self->dtype, 2, fabsl(out->v[i]));
    }
    memset(at, 0, sizeof at);
    for (uint64_t i = 0; i < x->count;
         i++, (void)index_next(x->rank, x->dims, at)) { /* every input goes to its taps */
        int64_t tap[SPATIAL] = {0}, to[FER_MAX_RANK] = {at[0]}, weight[FER_MAX_RANK] = {at[1]};
        do {
            int is_inside = 1;
            for (uint32_t k = 0; k < g.rank; k++) {
                to[2 + k] = at[2 + k] * g.stride[k] + tap[k] * g.dilation[k] - g.begin[k];
                is_inside &= to[2 + k] >= 0 && to[2 + k] < g.out[k];
            }
            memcpy(weight + 2, tap, g.rank * sizeof *tap);
            for (int64_t m = 0; is_inside && m < per; m++) {
                to[1] = at[1] / each * per + m;
                weight[1] = m;
                long double product = x->v[i] * w->v[index_flat(w->rank, w->dims, weight)];
                uint64_t flat = index_flat(x->rank, dims, to);
                out->v[flat] += product;
                out->slack[flat] += sum_slack(self->dtype, 200, fabsl(product));
            }
        } while (index_next(g.rank, g.kernel, tap));
    }
    return 1;
}

/* ---- pools ---- */

static int fill_pool(trial *self) {
    int64_t kernel[SPATIAL];
    window w = {0};
    if (self->rank < 3 || self->rank > 2 + SPATIAL ||
        arg_ints(self, "kernel_shape", kernel, SPATIAL) != self->rank - 2 ||
        !window_of(self, self->rank, self->dims, kernel, &w)) {
        return 0;
    }
    for (uint32_t i = 0; i < w.rank; i++) { /* no window of padding alone */
        int64_t reach = (kernel[i] - 1) * w.dilation[i] + 1;
        if (w.begin[i] >= reach || w.end[i] >= reach || w.begin[i] + w.in[i] < w.dilation[i]) {
            return 0;
        }
    }
    return 1;
}

typedef struct pooled {
    long double sum, size, best;
    int64_t best_at, inside, padded;
} pooled;

static void
pool_window(const trial *self, const nd *x, const window *g, const int64_t *at, pooled *p) {
    int64_t tap[SPATIAL] = {0}, from[FER_MAX_RANK] = {at[0], at[1]};
    long double power = arg_int(self, "p", 2);
    memset(p, 0, sizeof *p);
    do {
        int is_padded = 1;
        for (uint32_t i = 0; i < g->rank; i++) {
            int64_t here = at[2 + i] * g->stride[i] + tap[i] * g->dilation[i];
            is_padded &= here < g->in[i] + g->begin[i] + g->end[i];
        }
        p->padded += is_padded;
        if (!tap_at(g, at + 2, tap, from + 2)) {
            continue;
        }
        uint64_t flat = index_flat(x->rank, x->dims, from);
        long double v = x->v[flat], term = self->op->name[0] == 'L' ? powl(fabsl(v), power) : v;
        if (p->inside++ == 0 || v > p->best) {
            p->best = v;
            p->best_at = (int64_t)flat;
        }
        p->sum += term;
        p->size += fabsl(term);
    } while (index_next(g->rank, g->kernel, tap));
}

/* Row-major flat index as one that counts the spatial axes from the first on. */
static int64_t column_major(const nd *x, int64_t flat) {
    int64_t index[FER_MAX_RANK], plane = 1, spatial = 0, stride = 1;
    for (uint32_t i = x->rank; i-- > 0;) {
        index[i] = flat % x->dims[i];
        flat /= x->dims[i];
    }
    for (uint32_t i = 2; i < x->rank; i++) {
        spatial += index[i] * stride;
        stride *= x->dims[i];
        plane *= x->dims[i];
    }
    return (index[0] * x->dims[1] + index[1]) * plane + spatial;
}

static int pool_oracle(const trial *self, const nd *in, nd *out) {
    window g = {0};
    int64_t kernel[SPATIAL], dims[FER_MAX_RANK], at[FER_MAX_RANK] = {0};
    (void)arg_ints(self, "kernel_shape", kernel, SPATIAL);
    (void)window_of(self, in->rank, in->dims, kernel, &g);
    memcpy(dims, in->dims, 2 * sizeof *dims);
    memcpy(dims + 2, g.out, g.rank * sizeof *dims);
    nd_make(self, &out[0], in->rank, dims);
    nd_slack(self, &out[0]);
    if (self->output_count > 1) {
        nd_make(self, &out[1], in->rank, dims);
    }
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, dims, at)) {
        pooled p;
        pool_window(self, in, &g, at, &p);
        if (self->op->name[0] == 'M') {
            out->v[i] = p.best;
            if (self->output_count > 1) {
                out[1].v[i] = arg_int(self, "storage_order", 0) != 0 ? column_major(in, p.best_at)
                                                                     : p.best_at;
            }
            continue;
        }
        if (self->op->name[0] == 'L') {
            out->v[i] = powl(p.sum, 1 / (long double)arg_int(self, "p", 2));
            continue;
        }
        long double count = arg_int(self, "count_include_pad", 0) != 0 ? p.padded : p.inside;
        out->v[i] = p.sum / count;
        out->slack[i] = sum_slack(self->dtype, (uint64_t)p.inside + 1, p.size / count);
    }
    return 1;
}

static int fill_global(trial *self) {
    return self->rank >= 3 && dims_count(self->rank, self->dims) > 0;
}
static int global_oracle(const trial *self, const nd *in, nd *out) {
    int64_t dims[FER_MAX_RANK];
    uint64_t size = dims_count(in->rank - 2, in->dims + 2);
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[i] = i < 2 ? in->dims[i] : 1;
    }
    nd_make(self, out, in->rank, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++) {
        long double sum = 0, total = 0, best = 0, power = arg_int(self, "p", 2);
        for (uint64_t k = 0; k < size; k++) {
            long double v = in->v[i * size + k];
            long double term = self->op->name[6] == 'L' ? powl(fabsl(v), power) : v;
            best = k == 0 || v > best ? v : best;
            sum += term;
            total += fabsl(term);
        }
        out->v[i] = self->op->name[6] == 'M'   ? best
                    : self->op->name[6] == 'L' ? powl(sum, 1 / power)
                                               : sum / (long double)size;
        out->slack[i] = self->op->name[6] == 'A'
                            ? sum_slack(self->dtype, size + 1, total / (long double)size)
                        : self->op->name[6] == 'L' ? sum_slack(self->dtype, size + 1, out->v[i])
                                                   : 0;
    }
    return 1;
}

#define IMAGES "image row column line cube pixel hollow"
#define POOLS                                                                                      \
    "kernel_shape=2:2 kernel_shape=3:3,strides=2:2,pads=1:1:1:1 "                                  \
    "kernel_shape=3:2,strides=2:1,pads=1:0:2:1 "                                                   \
    "kernel_shape=3:3,auto_pad=SAME_UPPER,strides=2:2 kernel_shape=2:3,auto_pad=SAME_LOWER "       \
    "kernel_shape=2:2,auto_pad=VALID,strides=2:1 "                                                 \
    "kernel_shape=2:2,dilations=2:2 kernel_shape=2:2,strides=3:3,ceil_mode=1 "                     \
    "kernel_shape=3:3,strides=2:2,pads=0:0:1:1,ceil_mode=1 "                                       \
    "kernel_shape=3: kernel_shape=3:,strides=2:,pads=1:1,ceil_mode=1 kernel_shape=2:2:2 "          \
    "kernel_shape=1:1 "                                                                            \
    "kernel_shape=2:2:2,strides=2:2:2,pads=1:1:1:1:1:1 "                                           \
    "kernel_shape=3:3,dilations=2:1,pads=2:1:2:1,strides=1:2"

/* clang-format off */
static const case_row rows[] = {
    {"Conv",
     NULL,      IMAGES,
     "- with=B k=1 k=1,group=2,M=2 group=4,with=B pads=1:1:1:1 pads=1:0:2:1 "
     "strides=2:2,pads=1:1:1:1 strides=2:1 dilations=2:2,k=2 "
     "dilations=1:2,pads=0:1:2:0,k=2 auto_pad=SAME_UPPER auto_pad=SAME_UPPER,strides=2:2 "
     "auto_pad=SAME_LOWER,strides=2:2,k=2 auto_pad=SAME_LOWER,k=2 "
     "auto_pad=VALID,with=B k=3:1 k=2:3,pads=1:0:0:1 group=2,M=6,pads=1:1:1:1,with=B "
     "kernel_shape=3:3 pads=1:1 strides=3:,pads=2:1 dilations=2:,k=2 "
     "pads=1:1:1:0:0:0,k=2 strides=1:2:1,k=2 M=1 k=5:5,pads=2:2:2:2",      "ints uniform",
     fill_conv,                                                                                            conv_oracle,
     ROW_ZEROS,                                                                                                                            NULL,
     NULL                                                                                                                                            },
    {"Conv",
     "f32|f16", "1x3x64x64 1x16x33x31",
     "k=3,M=8,pads=1:1:1:1 k=1,M=16 group=1,M=3,strides=2:2",              "ints uniform",
     fill_conv,                                                                                            conv_oracle,
     0,                                                                                                                                    NULL,
     NULL                                                                                                                                            },
    {"ConvInteger",
     "i8|u8",   "image line pixel row",
     "- with=x_zero_point with=x_zero_point:w_zero_point,pads=1:1:1:1 "
     "T2=i8,strides=2:2,pads=1:0:1:0 T2=u8,group=2,k=2 k=1 "
     "dilations=2:2,k=2,with=x_zero_point auto_pad=SAME_UPPER,with=x_zero_point "
     "auto_pad=SAME_LOWER,strides=2:2,k=2 auto_pad=VALID kernel_shape=3:3",               "ints",
     fill_conv,                                                                                            conv_integer_oracle,
     ROW_ZEROS,                                                                                                                            NULL,
     NULL                                                                                                                                            },
    {"ConvTranspose",
     NULL,      "image row line cube pixel",
     "- with=B strides=2:2 strides=2:3,pads=1:1:1:1 strides=2:2,output_padding=1:1 dilations=2:2 "
     "group=2,with=B pads=1:0:2:1 strides=3:2,output_shape=21:14 "
     "strides=2:2,auto_pad=SAME_UPPER strides=2:2,auto_pad=SAME_LOWER,k=2 "
     "strides=3:2,output_shape=20:10,auto_pad=SAME_UPPER strides=2: strides=2:,pads=1:0,k=4 "
     "k=1 k=2:3,strides=1:2 strides=2:2:2,k=2",                            "ints uniform",
     fill_transposed,                                                                                      transposed_oracle,
     ROW_ZEROS,                                                                                                                            NULL,
     NULL                                                                                                                                            },
    {"MaxPool",
     NULL,      IMAGES,
     POOLS " kernel_shape=2:2,outs=2 kernel_shape=3:2,strides=2:1,pads=1:0:1:1,outs=2 "
           "kernel_shape=2:2,outs=2,storage_order=1 "
           "kernel_shape=2:,outs=2 kernel_shape=2:2,dilations=2:2,outs=2", "ints uniform wide",
     fill_pool,                                                                                            pool_oracle,
     ROW_ZEROS,                                                                                                                            NULL,
     NULL                                                                                                                                            },
    {"AveragePool",
     NULL,      IMAGES,
     POOLS " kernel_shape=3:3,pads=1:1:1:1,count_include_pad=1 "
           "kernel_shape=3:2,strides=2:1,pads=1:0:2:1,count_include_pad=1 "
           "kernel_shape=3:3,strides=2:2,pads=1:1:1:1,count_include_pad=1,ceil_mode=1 "
           "kernel_shape=3:3,auto_pad=SAME_UPPER,count_include_pad=1",     "ints uniform",
     fill_pool,                                                                                            pool_oracle,
     ROW_ZEROS,                                                                                                                            NULL,
     NULL                                                                                                                                            },
    {"LpPool",
     NULL,      IMAGES,
     POOLS " kernel_shape=2:2,p=1 kernel_shape=2:2,p=3,strides=2:2",
     "ints uniform",                                                                            fill_pool,
     pool_oracle,                                                                                                               ROW_ZEROS,
     NULL,                                                                                                                                       NULL},
    {"GlobalAveragePool",
     NULL,      IMAGES " large",
     "-",                                                                  "ints uniform",
     fill_global,                                                                                          global_oracle,
     ROW_ZEROS,                                                                                                                            NULL,
     NULL                                                                                                                                            },
    {"GlobalMaxPool",
     NULL,      IMAGES " large",
     "-",                                                                  "ints uniform wide",
     fill_global,                                                                                          global_oracle,
     ROW_ZEROS,                                                                                                                            NULL,
     NULL                                                                                                                                            },
    {"GlobalLpPool",
     NULL,      IMAGES " large",
     "- p=1 p=3",                                                          "ints uniform",
     fill_global,                                                                                          global_oracle,
     ROW_ZEROS,                                                                                                                            NULL,
     NULL                                                                                                                                            },
};
/* clang-format on */

const case_family cases_conv = {"conv", rows, sizeof rows / sizeof *rows};
