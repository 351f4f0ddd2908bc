/* SPDX-License-Identifier: Apache-2.0
 *
 * Movement with shapes: transposes, reshapes, slices, pads, tiles, splits and joins. Oracles see
 * element numbers instead of values, so one serves every dtype, strings and NaN payloads included,
 * and the comparison is bit by bit.
 */
#include "generators.h"

#include <stdlib.h>
#include <string.h>

#define ZERO (-1.0L)

/* Dims of at most capacity numbers that an argument lists, as int64. */
static uint32_t listed(const trial *self, const char *key, int64_t *out) {
    return arg_ints(self, key, out, FER_MAX_RANK);
}

/* ---- Transpose ---- */

static int perm_of(const trial *self, uint32_t rank, int64_t *out_perm) {
    uint32_t count = listed(self, "perm", out_perm), seen = 0;
    for (uint32_t i = 0; count == 0 && i < rank; i++) {
        out_perm[i] = rank - 1 - i;
    }
    for (uint32_t i = 0; i < rank; i++) {
        seen |= out_perm[i] >= 0 && out_perm[i] < rank ? 1u << out_perm[i] : 0;
    }
    return (count == 0 || count == rank) && seen == (1u << rank) - 1;
}
static int fill_transpose(trial *self) {
    int64_t perm[FER_MAX_RANK];
    return perm_of(self, self->rank, perm);
}
static int transpose_oracle(const trial *self, const nd *in, nd *out) {
    int64_t perm[FER_MAX_RANK], dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0}, at[FER_MAX_RANK];
    (void)perm_of(self, in->rank, perm);
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[i] = in->dims[perm[i]];
    }
    nd_make(self, out, in->rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, dims, index)) {
        for (uint32_t k = 0; k < in->rank; k++) {
            at[perm[k]] = index[k];
        }
        out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
    }
    return 1;
}

/* ---- new dims for the same elements ---- */

/* Reshape: 0 copies, -1 is what is left. */
static int reshaped(
    const trial *self, uint32_t rank, const int64_t *dims, uint32_t *out_rank, int64_t *out_dims) {
    int64_t list[FER_MAX_RANK], known = 1, open = -1;
    uint32_t count = listed(self, "shape", list);
    for (uint32_t i = 0; i < count; i++) {
        int copies = list[i] == 0 && arg_int(self, "allowzero", 0) == 0;
        if (copies && i >= rank) {
            return 0;
        }
        out_dims[i] = copies ? dims[i] : list[i];
        open = out_dims[i] == -1 ? (int64_t)i : open;
        known *= out_dims[i] == -1 ? 1 : out_dims[i];
    }
    int64_t all = (int64_t)dims_count(rank, dims);
    if (open >= 0) {
        if (known == 0 || all % known != 0) {
            return 0;
        }
        out_dims[open] = all / known;
    }
    *out_rank = count;
    return dims_count(count, out_dims) == (uint64_t)all;
}

static int renamed(
    const trial *self, uint32_t rank, const int64_t *dims, uint32_t *out_rank, int64_t *out_dims) {
    const char *op = self->op->name;
    int64_t list[FER_MAX_RANK];
    uint32_t count;
    uint8_t is_named[FER_MAX_RANK];
    *out_rank = 0;
    if (op[0] == 'F') { /* Flatten */
        int64_t axis = arg_int(self, "axis", 1);
        axis += axis < 0 ? (int64_t)rank : 0;
        if (axis < 0 || axis > rank) {
            return 0;
        }
        out_dims[0] = (int64_t)dims_count((uint32_t)axis, dims);
        out_dims[1] = (int64_t)dims_count(rank - (uint32_t)axis, dims + axis);
        *out_rank = 2;
        return 1;
    }
    if (op[0] == 'R') {
        return reshaped(self, rank, dims, out_rank, out_dims);
    }
    if (op[0] == 'S') { /* Squeeze */
        if (!axes_of(self, rank, is_named)) {
            return 0;
        }
        for (uint32_t i = 0; i < rank; i++) {
            int is_all = arg_text(self, "axes") == NULL;
            if (is_named[i] && dims[i] != 1 && !is_all) {
                return 0;
            }
            if (!is_named[i] || dims[i] != 1) {
                out_dims[(*out_rank)++] = dims[i];
            }
        }
        return 1;
    }
    count = listed(self, "axes", list); /* Unsqueeze */
    if (!axes_of(self, rank + count, is_named) || rank + count > FER_MAX_RANK) {
        return 0;
    }
    for (uint32_t i = 0, from = 0; i < rank + count; i++) {
        out_dims[(*out_rank)++] = is_named[i] ? 1 : dims[from++];
    }
    return 1;
}
static int fill_renamed(trial *self) {
    int64_t dims[FER_MAX_RANK];
    uint32_t rank;
    return renamed(self, self->rank, self->dims, &rank, dims);
}
static int renamed_oracle(const trial *self, const nd *in, nd *out) {
    int64_t dims[FER_MAX_RANK];
    uint32_t rank;
    (void)renamed(self, in->rank, in->dims, &rank, dims);
    nd_make(self, out, rank, dims);
    memcpy(out->v, in->v, in->count * sizeof *in->v);
    return 1;
}

/* ---- Concat, Split ---- */

static int fill_concat(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), self->rank);
    for (uint32_t i = 0; axis >= 0 && i < self->input_count; i++) {
        self->inputs[i].dims[axis] += i;
    }
    return axis >= 0;
}
static int concat_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), in->rank), dims[FER_MAX_RANK],
            index[FER_MAX_RANK] = {0};
    memcpy(dims, in->dims, sizeof dims);
    for (uint32_t k = 1; k < self->input_count; k++) {
        dims[axis] += in[k].dims[axis];
    }
    nd_make(self, out, in->rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, dims, index)) {
        int64_t at[FER_MAX_RANK];
        uint32_t k = 0;
        memcpy(at, index, sizeof at);
        while (at[axis] >= in[k].dims[axis]) {
            at[axis] -= in[k++].dims[axis];
        }
        out->v[i] = in[k].v[index_flat(in->rank, in[k].dims, at)];
    }
    return 1;
}

/* Sizes of the parts; 0 when they do not fit. */
static int parts_of(const trial *self, int64_t size, int64_t *out_parts) {
    uint32_t count = self->output_count, given = listed(self, "split", out_parts);
    int64_t sum = 0, each = (size + count - 1) / count;
    for (uint32_t i = 0; i < count; i++) {
        if (arg_text(self, "split") == NULL) {
            if (each * (count - 1) > size) { /* more parts than it has chunks: left open */
                return 0;
            }
            out_parts[i] = sum + each <= size ? each : size - sum;
        }
        if (out_parts[i] < 0) {
            return 0;
        }
        sum += out_parts[i];
    }
    return sum == size && (given == 0 || given == count);
}
static int fill_split(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), self->rank), parts[FER_MAX_RANK];
    return axis >= 0 && parts_of(self, self->dims[axis], parts);
}
static int split_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), in->rank), parts[FER_MAX_RANK], offset = 0;
    (void)parts_of(self, in->dims[axis], parts);
    for (uint32_t k = 0; k < self->output_count; k++) {
        int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
        memcpy(dims, in->dims, sizeof dims);
        dims[axis] = parts[k];
        nd_make(self, &out[k], in->rank, dims);
        for (uint64_t i = 0; i < out[k].count; i++, (void)index_next(in->rank, dims, index)) {
            int64_t at[FER_MAX_RANK];
            memcpy(at, index, sizeof at);
            at[axis] += offset;
            out[k].v[i] = in->v[index_flat(in->rank, in->dims, at)];
        }
        offset += parts[k];
    }
    return 1;
}

/* ---- Slice ---- */

static int64_t clamped(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static int slice_of(const trial *self,
                    uint32_t rank,
                    const int64_t *dims,
                    int64_t *start,
                    int64_t *step,
                    int64_t *size) {
    int64_t starts[FER_MAX_RANK], ends[FER_MAX_RANK], axes[FER_MAX_RANK], steps[FER_MAX_RANK];
    uint32_t count = listed(self, "starts", starts);
    if (listed(self, "ends", ends) != count || count > rank) {
        return 0;
    }
    uint32_t named = listed(self, "axes", axes), stepped = listed(self, "steps", steps);
    for (uint32_t i = 0; i < rank; i++) {
        start[i] = 0;
        step[i] = 1;
        size[i] = dims[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t axis = axis_of(named > 0 ? axes[i] : i, rank);
        if (axis < 0 || (named != 0 && named != count) || (stepped != 0 && stepped != count)) {
            return 0;
        }
        int64_t dim = dims[axis], by = stepped > 0 ? steps[i] : 1;
        int64_t from = starts[i] + (starts[i] < 0 ? dim : 0),
                to = ends[i] + (ends[i] < 0 ? dim : 0);
        from = by > 0 ? clamped(from, 0, dim) : clamped(from, 0, dim - 1);
        to = by > 0 ? clamped(to, 0, dim) : clamped(to, -1, dim - 1);
        int64_t span = by > 0 ? to - from : from - to, pace = by > 0 ? by : -by;
        start[axis] = from;
        step[axis] = by;
        size[axis] = span > 0 && dim > 0 ? (span + pace - 1) / pace : 0;
    }
    return 1;
}
static int fill_slice(trial *self) {
    int64_t start[FER_MAX_RANK], step[FER_MAX_RANK], size[FER_MAX_RANK];
    return slice_of(self, self->rank, self->dims, start, step, size);
}
static int slice_oracle(const trial *self, const nd *in, nd *out) {
    int64_t start[FER_MAX_RANK], step[FER_MAX_RANK], size[FER_MAX_RANK], index[FER_MAX_RANK] = {0},
                                                                         at[FER_MAX_RANK];
    (void)slice_of(self, in->rank, in->dims, start, step, size);
    nd_make(self, out, in->rank, size);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, size, index)) {
        for (uint32_t k = 0; k < in->rank; k++) {
            at[k] = start[k] + index[k] * step[k];
        }
        out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
    }
    return 1;
}

/* ---- Pad ---- */

static int pads_of(const trial *self, uint32_t rank, int64_t *before, int64_t *after) {
    int64_t pads[2 * FER_MAX_RANK], axes[FER_MAX_RANK];
    uint32_t count = arg_ints(self, "pads", pads, 2 * FER_MAX_RANK),
             named = listed(self, "axes", axes);
    uint32_t each = named > 0 ? named : rank;
    memset(before, 0, rank * sizeof *before);
    memset(after, 0, rank * sizeof *after);
    if (count != 2 * each) {
        return 0;
    }
    for (uint32_t i = 0; i < each; i++) {
        int64_t axis = named > 0 ? axis_of(axes[i], rank) : i;
        if (axis < 0) {
            return 0;
        }
        before[axis] = pads[i];
        after[axis] = pads[each + i];
    }
    return 1;
}
static int fill_pad(trial *self) {
    int64_t before[FER_MAX_RANK], after[FER_MAX_RANK];
    if (self->input_count > 2) {
        self->inputs[2].rank = 0;
    }
    if (!pads_of(self, self->rank, before, after)) {
        return 0;
    }
    int needs = !arg_is(self, "mode", "constant", "constant");
    for (uint32_t i = 0; i < self->rank; i++) {
        int64_t most = before[i] > after[i] ? before[i] : after[i];
        int64_t least = before[i] < after[i] ? before[i] : after[i];
        if (self->dims[i] + before[i] + after[i] < 0 || self->dims[i] + least < 0 ||
            (needs && most >= self->dims[i])) {
            return 0;
        }
    }
    return 1;
}
/* Where position at of a padded axis comes from; -1: the constant. */
static int64_t pad_source(const char *mode, int64_t at, int64_t dim) {
    if (at >= 0 && at < dim) {
        return at;
    }
    switch (mode[0]) {
    case 'r':
        return at < 0 ? -at : 2 * (dim - 1) - at;
    case 'e':
        return at < 0 ? 0 : dim - 1;
    case 'w':
        return ((at % dim) + dim) % dim;
    default:
        return -1;
    }
}
static int pad_oracle(const trial *self, const nd *in, nd *out) {
    int64_t before[FER_MAX_RANK], after[FER_MAX_RANK], dims[FER_MAX_RANK],
        index[FER_MAX_RANK] = {0}, at[FER_MAX_RANK];
    const char *mode = arg_text(self, "mode");
    (void)pads_of(self, in->rank, before, after);
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[i] = in->dims[i] + before[i] + after[i];
    }
    nd_make(self, out, in->rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, dims, index)) {
        int is_outside = 0;
        for (uint32_t k = 0; k < in->rank; k++) {
            at[k] = pad_source(mode != NULL ? mode : "constant", index[k] - before[k], in->dims[k]);
            is_outside |= at[k] < 0;
        }
        out->v[i] = !is_outside       ? in->v[index_flat(in->rank, in->dims, at)]
                    : in[2].v != NULL ? in[2].v[0]
                                      : ZERO;
    }
    return 1;
}

/* ---- Tile, Expand ---- */

static int fill_tile(trial *self) {
    int64_t list[FER_MAX_RANK];
    return listed(self, "repeats", list) == self->rank;
}
static int tile_oracle(const trial *self, const nd *in, nd *out) {
    int64_t repeats[FER_MAX_RANK], dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0}, at[FER_MAX_RANK];
    (void)listed(self, "repeats", repeats);
    for (uint32_t i = 0; i < in->rank; i++) {
        dims[i] = in->dims[i] * repeats[i];
    }
    nd_make(self, out, in->rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, dims, index)) {
        for (uint32_t k = 0; k < in->rank; k++) {
            at[k] = index[k] % in->dims[k];
        }
        out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
    }
    return 1;
}
static int expand_dims(const trial *self, const nd *in, uint32_t *rank, int64_t *dims) {
    nd wanted = {0};
    wanted.rank = listed(self, "shape", wanted.dims);
    const nd *both[] = {in, &wanted};
    return dims_broadcast(both, 2, rank, dims);
}
static int fill_expand(trial *self) {
    nd in = {.rank = self->rank};
    int64_t dims[FER_MAX_RANK];
    uint32_t rank;
    memcpy(in.dims, self->dims, sizeof in.dims);
    return expand_dims(self, &in, &rank, dims) && dims_count(rank, dims) < 1u << 20;
}
static int expand_oracle(const trial *self, const nd *in, nd *out) {
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0};
    uint32_t rank;
    (void)expand_dims(self, in, &rank, dims);
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, index)) {
        out->v[i] = in->v[index_broadcast(rank, index, in)];
    }
    return 1;
}

/* ---- Trilu ---- */

static int fill_matrix(trial *self) { return self->rank >= 2; }
static int trilu_oracle(const trial *self, const nd *in, nd *out) {
    int64_t k = arg_int(self, "k", 0), index[FER_MAX_RANK] = {0};
    int is_upper = arg_int(self, "upper", 1) != 0;
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        int64_t off = index[in->rank - 1] - index[in->rank - 2];
        out->v[i] = (is_upper ? off >= k : off <= k) ? in->v[i] : ZERO;
    }
    return 1;
}

/* ---- DepthToSpace, SpaceToDepth: [N, C, H, W] ---- */

static int fill_depth(trial *self) {
    int64_t b = arg_int(self, "blocksize", 2), n = arg_int(self, "n", 1), *d = self->inputs[0].dims;
    if (self->rank != 4) {
        return 0;
    }
    (void)n;
    if (self->op->name[0] == 'D') {
        d[1] *= b * b;
    } else {
        d[2] *= b;
        d[3] *= b;
    }
    return 1;
}
static int depth_oracle(const trial *self, const nd *in, nd *out) {
    int64_t b = arg_int(self, "blocksize", 2), index[4] = {0};
    int is_out = self->op->name[0] == 'D', is_crd = arg_is(self, "mode", "DCR", "CRD");
    const int64_t *d = in->dims;
    int64_t wide[] = {d[0], d[1] / (b * b), d[2] * b, d[3] * b},
            deep[] = {d[0], d[1] * b * b, d[2] / b, d[3] / b};
    nd_make(self, out, 4, is_out ? wide : deep);
    const int64_t *dims = is_out ? d : out->dims; /* of the deep side */
    const int64_t *flat = is_out ? out->dims : d;
    for (uint64_t i = 0; i < out->count;
         i++, (void)index_next(4, dims, index)) { /* over the deep side */
        int64_t c = dims[1] / (b * b), row, column, channel;
        if (is_crd) { /* channels first, then the block */
            channel = index[1] / (b * b);
            row = index[1] / b % b;
            column = index[1] % b;
        } else {
            row = index[1] / (b * c);
            column = index[1] / c % b;
            channel = index[1] % c;
        }
        int64_t at[] = {index[0], channel, index[2] * b + row, index[3] * b + column};
        uint64_t here = index_flat(4, dims, index), there = index_flat(4, flat, at);
        out->v[is_out ? there : here] = in->v[is_out ? here : there];
    }
    return 1;
}

/* ---- CenterCropPad ---- */

static int crop_dims(const trial *self, uint32_t rank, const int64_t *dims, int64_t *out) {
    int64_t axes[FER_MAX_RANK], shape[FER_MAX_RANK];
    uint32_t named = listed(self, "axes", axes), count = listed(self, "shape", shape);
    memcpy(out, dims, rank * sizeof *out);
    for (uint32_t i = 0; i < count; i++) {
        int64_t axis = axis_of(named > 0 ? axes[i] : i, rank);
        if (axis < 0) {
            return 0;
        }
        out[axis] = shape[i];
    }
    return named > 0 ? named == count : count == rank;
}
static int fill_crop(trial *self) {
    int64_t dims[FER_MAX_RANK];
    return crop_dims(self, self->rank, self->dims, dims);
}
static int crop_oracle(const trial *self, const nd *in, nd *out) {
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0}, at[FER_MAX_RANK];
    (void)crop_dims(self, in->rank, in->dims, dims);
    nd_make(self, out, in->rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank, dims, index)) {
        int is_outside = 0;
        for (uint32_t k = 0; k < in->rank; k++) {
            int64_t more = dims[k] - in->dims[k];
            at[k] = more >= 0 ? index[k] - more / 2 : index[k] + -more / 2;
            is_outside |= at[k] < 0 || at[k] >= in->dims[k];
        }
        out->v[i] = is_outside ? ZERO : in->v[index_flat(in->rank, in->dims, at)];
    }
    return 1;
}

/* ---- ReverseSequence ---- */

static int fill_reverse(trial *self) {
    int64_t lens[CASE_LIST], batch = arg_int(self, "batch_axis", 1),
                             time = arg_int(self, "time_axis", 0);
    uint32_t count = arg_ints(self, "sequence_lens", lens, CASE_LIST);
    if (self->rank < 2 || (int64_t)count != self->dims[batch]) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (lens[i] > self->dims[time]) {
            return 0;
        }
    }
    return 1;
}
static int reverse_oracle(const trial *self, const nd *in, nd *out) {
    int64_t batch = arg_int(self, "batch_axis", 1), time = arg_int(self, "time_axis", 0),
            index[FER_MAX_RANK] = {0};
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        int64_t at[FER_MAX_RANK], length = (int64_t)in[1].v[index[batch]];
        memcpy(at, index, sizeof at);
        at[time] = at[time] < length ? length - 1 - at[time] : at[time];
        out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
    }
    return 1;
}

#define MOVE(op, shapes, attrs, fill, oracle)                                                      \
    { op, NULL, shapes, attrs, "bits", fill, oracle, ROW_MOVEMENT, NULL, NULL }

/* clang-format off */
static const case_row rows[] = {
    MOVE("Transpose", "scalar vector empty one odd prime wide tall high big",
         "- perm=0:2:1 perm=1:0:2 perm=2:0:1 perm=1:0 perm=0:1 perm=5:3:1:0:2:4 perm=0:1:2:3:5:4", fill_transpose, transpose_oracle),
    MOVE("Reshape", "scalar empty one odd prime high big",
         "shape=-1: shape=0:-1 shape=5:21 shape=7:-1:3 shape=1:1:1 shape=221: shape=: shape=0:0:0 shape=3:0:5,allowzero=1 shape=2:-1:2:1:3 "
         "shape=9973:7",
         fill_renamed, renamed_oracle),
    MOVE("Flatten", "scalar empty odd prime high big", "- axis=0 axis=2 axis=-1 axis=3 axis=-3", fill_renamed, renamed_oracle),
    MOVE("Squeeze", "one odd high 1x3x1x5 1x0x1", "- axes=0: axes=-1: axes=0:2 axes=1: axes=1:3 axes=-2:", fill_renamed, renamed_oracle),
    MOVE("Unsqueeze", "scalar empty odd prime", "axes=0: axes=-1: axes=0:2 axes=1:-1 axes=0:1:2 axes=3:", fill_renamed, renamed_oracle),
    MOVE("Concat", "empty one odd prime high big", "axis=0,n=2 axis=1,n=3 axis=-1,n=2 axis=0,n=1 axis=-2,n=4", fill_concat, concat_oracle),
    MOVE("Split", "odd prime high 6x4 big",
         "outs=2,num_outputs=2 outs=3,num_outputs=3,axis=1 outs=2,split=2:1 outs=3,split=1:0:4,axis=1 outs=2,num_outputs=2,axis=-1 outs=1,num_outputs=1",
         fill_split, split_oracle),
    MOVE("Slice", "empty one odd prime wide high big",
         "starts=0:,ends=2: starts=1:0,ends=3:5,axes=0:1 starts=-3:,ends=-1:,axes=-1: starts=10:,ends=-100:,axes=1:,steps=-1: "
         "starts=1:,ends=100:,axes=1:,steps=2: starts=0:1:2,ends=3:5:7,axes=0:1:2,steps=1:2:3 starts=-1:,ends=0:,axes=-1:,steps=-2: "
         "starts=2:,ends=1:,axes=0: starts=0:,ends=1000000: starts=-2:-100,ends=100:4,axes=-1:-2 starts=0:,ends=2:,Tind=i32",
         fill_slice, slice_oracle),
    MOVE("Pad", "empty one odd prime high",
         "pads=1:0:2:0:1:3 pads=1:0:2:0:1:3,with=constant_value pads=1:1:2:2:1:1,mode=reflect pads=1:2:0:2:1:3,mode=edge "
         "pads=1:2:3:2:4:5,mode=wrap pads=-1:1:0:0:-2:0 pads=1:2,axes=-1: pads=0:3,axes=0:,mode=edge pads=2:1:0:3 pads=2:1:0:3,mode=reflect "
         "pads=0:0:0:0 pads=-1:0:0:1,with=constant_value",
         fill_pad, pad_oracle),
    MOVE("Tile", "scalar empty one odd prime", "repeats=: repeats=2:1:3 repeats=1:2 repeats=0:2:1 repeats=3:1 repeats=1:1:1", fill_tile, tile_oracle),
    MOVE("Expand", "scalar one odd prime high 3x1x7 5x1", "shape=3:5:7 shape=2:1:1:1 shape=1: shape=: shape=3:5:1 shape=4:1:1 shape=0:1 shape=13:17 shape=5:6",
         fill_expand, expand_oracle),
    MOVE("Trilu", "empty one odd prime wide tall high", "- upper=0 k=1 k=-2 k=3,upper=0 k=-1,upper=0 k=100 k=-20 k=-20,upper=0 k=-100", fill_matrix, trilu_oracle),
    MOVE("DepthToSpace", "2x3x2x5 1x1x1x1 0x2x2x2", "blocksize=2 blocksize=3 blocksize=2,mode=CRD blocksize=3,mode=CRD blocksize=1", fill_depth, depth_oracle),
    MOVE("SpaceToDepth", "2x3x2x5 1x1x1x1 0x2x2x2", "blocksize=2 blocksize=3 blocksize=1", fill_depth, depth_oracle),
    MOVE("CenterCropPad", "odd prime 4x6x5", "shape=5:5:5 shape=2:3:9 shape=4:,axes=1: shape=10:,axes=-1: shape=13:20 shape=3:3,axes=0:-1", fill_crop, crop_oracle),
    MOVE("ReverseSequence", "5x3 5x3x2 3x5x2",
         "sequence_lens=1:3:5 sequence_lens=5:0:2 sequence_lens=1:3:5,batch_axis=0,time_axis=1 sequence_lens=2:2:2 sequence_lens=5:4:3:2:1,batch_axis=0,time_axis=1",
         fill_reverse, reverse_oracle),
};
/* clang-format on */

const case_family cases_layout = {"layout", rows, sizeof rows / sizeof *rows};
