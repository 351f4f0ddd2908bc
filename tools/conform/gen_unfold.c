/* SPDX-License-Identifier: Apache-2.0
 *
 * Back to where it came from: MaxUnpool and Col2Im.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

/* ---- MaxUnpool ---- */

typedef struct unpooled {
    int64_t kernel[4], stride[4], pads[8], dims[FER_MAX_RANK];
} unpooled;

/* The tensor that was pooled: indices count in it. */
static int unpooled_of(const trial *self, uint32_t rank, const int64_t *dims, unpooled *out) {
    uint32_t spatial = rank - 2;
    *out = (unpooled){
        .stride = {1, 1, 1, 1}
    };
    if (rank < 3 || rank > 6 || arg_ints(self, "kernel_shape", out->kernel, 4) != spatial) {
        return 0;
    }
    (void)arg_ints(self, "strides", out->stride, 4);
    (void)arg_ints(self, "pads", out->pads, 8);
    memcpy(out->dims, dims, rank * sizeof *dims);
    for (uint32_t i = 0; i < spatial; i++) {
        out->dims[2 + i] = (dims[2 + i] - 1) * out->stride[i] + out->kernel[i] - out->pads[i] -
                           out->pads[spatial + i];
        if (out->dims[2 + i] < 1) {
            return 0;
        }
    }
    return 1;
}

static int fill_unpool(trial *self) {
    unpooled from;
    int64_t shape[8];
    uint32_t count = arg_ints(self, "output_shape", shape, 8);
    if (!unpooled_of(self, self->rank, self->dims, &from) ||
        (count > 0 &&
         (count != self->rank || shape[0] != self->dims[0] || shape[1] != self->dims[1]))) {
        return 0;
    }
    uint64_t total = dims_count(self->rank, from.dims);
    self->inputs[1].is_moved = 0;
    self->inputs[1].fill = FILL_WHEEL;
    self->inputs[1].low = 7919; /* a prime: every index once */
    self->inputs[1].high = (double)total;
    return total % 7919 != 0 && dims_count(self->rank, self->dims) <= total;
}

static int unpool_oracle(const trial *self, const nd *in, nd *out) {
    unpooled from;
    int64_t shape[8], index[FER_MAX_RANK];
    if (!unpooled_of(self, in->rank, in->dims, &from)) {
        return 0;
    }
    nd_make(self, out, in->rank, arg_ints(self, "output_shape", shape, 8) > 0 ? shape : from.dims);
    for (uint64_t i = 0; i < out->count; i++) {
        out->v[i] = -1;
    }
    for (uint64_t i = 0; i < in->count; i++) {
        int64_t rest = (int64_t)in[1].v[i];
        for (uint32_t d = in->rank; d-- > 0;) {
            index[d] = rest % from.dims[d];
            rest /= from.dims[d];
        }
        out->v[index_flat(in->rank, out->dims, index)] = in->v[i];
    }
    return 1;
}

/* ---- Col2Im ---- */

typedef struct fold {
    uint32_t spatial;
    int64_t image[5], block[5], stride[5], dilation[5], pads[10], blocks[5];
    int64_t taps, count;
} fold;

static int fold_of(const trial *self, fold *out) {
    *out = (fold){
        .stride = {1, 1, 1, 1, 1},
          .dilation = {1, 1, 1, 1, 1},
          .taps = 1, .count = 1
    };
    out->spatial = arg_ints(self, "image_shape", out->image, 5);
    if (out->spatial == 0 || arg_ints(self, "block_shape", out->block, 5) != out->spatial) {
        return 0;
    }
    (void)arg_ints(self, "strides", out->stride, 5);
    (void)arg_ints(self, "dilations", out->dilation, 5);
    (void)arg_ints(self, "pads", out->pads, 10);
    for (uint32_t i = 0; i < out->spatial; i++) {
        if (out->stride[i] < 1 || out->dilation[i] < 1 || out->block[i] < 1 || out->image[i] < 0) {
            return 0;
        }
        int64_t room = out->image[i] + out->pads[i] + out->pads[out->spatial + i] -
                       out->dilation[i] * (out->block[i] - 1) - 1;
        out->blocks[i] = room < 0 ? 0 : room / out->stride[i] + 1;
        out->taps *= out->block[i];
        out->count *= out->blocks[i];
    }
    return 1;
}

/* The shape word is [N, C]. */
static int fill_fold(trial *self) {
    fold f;
    if (self->rank != 2 || !fold_of(self, &f)) {
        return 0;
    }
    input_dims(self, 0, 3, (int64_t[]){self->dims[0], self->dims[1] * f.taps, f.count});
    return 1;
}

static int fold_oracle(const trial *self, const nd *in, nd *out) {
    fold f;
    int is_moved = (self->row->flags & ROW_MOVEMENT) != 0;
    uint64_t parts;
    (void)dtype_part(self->dtype, &parts);
    parts = is_moved ? 1 : parts;
    (void)fold_of(self, &f);
    int64_t dims[FER_MAX_RANK] = {self->dims[0], self->dims[1]}, at[FER_MAX_RANK], block[5] = {0},
            tap[5];
    memcpy(dims + 2, f.image, f.spatial * sizeof *dims);
    nd_make(self, out, 2 + f.spatial, dims);
    nd_slack(self, out);
    for (uint64_t i = 0; is_moved && i < out->count; i++) {
        out->v[i] = -1;
    }
    for (uint64_t i = 0; i < in->count; i++) {
        int64_t l = (int64_t)i % f.count, row = (int64_t)i / f.count, t = row % f.taps,
                c = row / f.taps;
        int is_inside = 1;
        at[0] = c / dims[1];
        at[1] = c % dims[1];
        for (uint32_t d = f.spatial; d-- > 0;) {
            block[d] = l % f.blocks[d];
            l /= f.blocks[d];
            tap[d] = t % f.block[d];
            t /= f.block[d];
            at[2 + d] = block[d] * f.stride[d] + tap[d] * f.dilation[d] - f.pads[d];
            is_inside &= at[2 + d] >= 0 && at[2 + d] < dims[2 + d];
        }
        for (uint64_t part = 0; is_inside && part < parts; part++) {
            uint64_t to = index_flat(out->rank, dims, at) * parts + part;
            long double value = in->v[i * parts + part];
            out->slack[to] += dtype_is_integer(self->dtype)
                                  ? 0
                                  : sum_slack(self->dtype, (uint64_t)f.taps, fabsl(value));
            out->v[to] = is_moved ? value
                         : dtype_is_integer(self->dtype)
                             ? wrap_to(self->dtype, (wide_int)out->v[to] + (wide_int)value)
                             : out->v[to] + value;
        }
    }
    return 1;
}

/* clang-format off */
#define FOLDS "image_shape=5:5,block_shape=2:3 image_shape=5:7,block_shape=3:2,strides=2:1 image_shape=4:4,block_shape=2:2,pads=1:0:1:2 " \
    "image_shape=9:8,block_shape=2:3,dilations=3:2 image_shape=7:5,block_shape=3:3,dilations=2:1,strides=1:2,pads=0:1:1:1 image_shape=1:1,block_shape=1:1 " \
    "image_shape=3:4:5,block_shape=2:2:3 image_shape=4:3:5,block_shape=1:3:2,strides=2:1:2,pads=0:1:0:1:0:1 image_shape=61:4,block_shape=5:1,strides=3:1"
static const case_row rows[] = {
    {"MaxUnpool", NULL, "image row", "kernel_shape=2:2,strides=2:2 kernel_shape=3:2,strides=2:3 kernel_shape=2:2 kernel_shape=3:3,strides=3:3,pads=1:0:1:1 kernel_shape=4:5,strides=2:2",
     "bits special", fill_unpool, unpool_oracle, ROW_MOVEMENT, NULL, NULL},
    {"MaxUnpool", NULL, "line", "kernel_shape=3:,strides=2: kernel_shape=2:,strides=4: kernel_shape=4:,strides=3:,pads=2:1", "bits", fill_unpool, unpool_oracle, ROW_MOVEMENT, NULL, NULL},
    {"MaxUnpool", NULL, "cube", "kernel_shape=2:2:2,strides=2:2:2 kernel_shape=1:2:3,strides=1:3:3,pads=0:0:1:0:0:1", "bits", fill_unpool, unpool_oracle, ROW_MOVEMENT, NULL, NULL},
    {"MaxUnpool", NULL, "1x1x2x2 2x3x2x2", "kernel_shape=2:2,strides=2:2,output_shape=1:1:5:5 kernel_shape=2:2,strides=2:2,output_shape=2:3:5:4 kernel_shape=2:2,strides=2:2,output_shape=2:3:7:6",
     "bits", fill_unpool, unpool_oracle, ROW_MOVEMENT, NULL, NULL},
    {"Col2Im", "str", "2x3 1x1", "image_shape=4:6,block_shape=2:3,strides=2:3 image_shape=6:8,block_shape=3:2,strides=3:2,pads=0:1:0:1 image_shape=4:4:6,block_shape=2:1:3,strides=2:2:3", "ints", fill_fold, fold_oracle, ROW_MOVEMENT, NULL,
     NULL},
    {"Col2Im", "float|int|complex", "2x3 1x1 3x1", FOLDS, "ints uniform", fill_fold, fold_oracle, ROW_ZEROS, NULL, NULL},
    {"Col2Im", "int", "1x2", FOLDS, "bits", fill_fold, fold_oracle, ROW_ZEROS, NULL, NULL},
    {"Col2Im", "float|int|complex|bool", "2x3 1x1", "image_shape=4:6,block_shape=2:3,strides=2:3 image_shape=7:9,block_shape=1:2,strides=2:4 image_shape=6:8,block_shape=3:2,strides=3:2,pads=0:1:0:1 "
     "image_shape=4:4:6,block_shape=2:1:3,strides=2:2:3", "ints", fill_fold, fold_oracle, ROW_MOVEMENT, NULL, NULL},
};
/* clang-format on */

const case_family cases_unfold = {"unfold", rows, sizeof rows / sizeof *rows};
