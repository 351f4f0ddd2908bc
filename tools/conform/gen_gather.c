/* SPDX-License-Identifier: Apache-2.0
 *
 * Movement by indices: Gather and Scatter in their forms, OneHot, Compress, NonZero, Unique,
 * TensorScatter, and what makes tensors from numbers (Range, EyeLike, ConstantOfShape, Shape,
 * Size).
 */
#include "generators.h"

#include <math.h>
#include <string.h>

#define ZERO (-1.0L)

/* Index contents are drawn from both halves of the allowed range. */
static void as_index(trial *self, uint32_t which, int64_t size) {
    self->inputs[which].is_moved = 0;
    input_range(self, which, (double)-size, (double)size - 1);
}

/* ---- Gather ---- */

static int fill_gather(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), self->rank), dims[] = {2, 3};
    const char *form = arg_text(self, "form");
    if (axis < 0 || self->dims[axis] == 0) {
        return 0;
    }
    input_dims(self,
               1,
               form == NULL     ? 2
               : form[0] == 's' ? 0
                                : 1,
               form != NULL && form[0] == 'e' ? (int64_t[]){0} : dims);
    as_index(self, 1, self->dims[axis]);
    return 1;
}
static int64_t wrapped(long double index, int64_t size) {
    return (int64_t)index + (index < 0 ? size : 0);
}

static int gather_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t axis = (uint32_t)axis_of(arg_int(self, "axis", 0), in->rank), rank = 0;
    int64_t dims[2 * FER_MAX_RANK], index[2 * FER_MAX_RANK] = {0}, at[FER_MAX_RANK];
    for (uint32_t i = 0; i < axis; i++) {
        dims[rank++] = in->dims[i];
    }
    for (uint32_t i = 0; i < in[1].rank; i++) {
        dims[rank++] = in[1].dims[i];
    }
    for (uint32_t i = axis + 1; i < in->rank; i++) {
        dims[rank++] = in->dims[i];
    }
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, index)) {
        memcpy(at, index, axis * sizeof *at);
        at[axis] =
            wrapped(in[1].v[index_flat(in[1].rank, in[1].dims, index + axis)], in->dims[axis]);
        memcpy(at + axis + 1, index + axis + in[1].rank, (in->rank - axis - 1) * sizeof *at);
        out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
    }
    return 1;
}

static int fill_elements(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), self->rank);
    if (axis < 0 || self->dims[axis] == 0) {
        return 0;
    }
    self->inputs[1].dims[axis] = arg_int(self, "size", self->dims[axis]);
    as_index(self, 1, self->dims[axis]);
    return 1;
}
static int gather_elements_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), in->rank), index[FER_MAX_RANK] = {0},
            at[FER_MAX_RANK];
    nd_like(self, out, &in[1]);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(out->rank, out->dims, index)) {
        memcpy(at, index, sizeof at);
        at[axis] = wrapped(in[1].v[i], in->dims[axis]);
        out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
    }
    return 1;
}

/* GatherND: indices of [batch..., 2, k]; every coordinate is drawn for the smallest dim it may
 * meet. */
static int fill_nd(trial *self) {
    int64_t b = arg_int(self, "batch_dims", 0), k = arg_int(self, "k", 1), dims[FER_MAX_RANK],
            least = 1 << 20;
    if (b + k > self->rank) {
        return 0;
    }
    memcpy(dims, self->dims, sizeof dims);
    dims[b] = 2;
    dims[b + 1] = k;
    for (int64_t i = b; i < b + k; i++) {
        least = self->dims[i] < least ? self->dims[i] : least;
    }
    input_dims(self, 1, (uint32_t)b + 2, dims);
    as_index(self, 1, least);
    return least > 0;
}
static int gather_nd_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t b = (uint32_t)arg_int(self, "batch_dims", 0), k = (uint32_t)in[1].dims[in[1].rank - 1],
             rank = 0;
    int64_t dims[2 * FER_MAX_RANK], index[2 * FER_MAX_RANK] = {0}, at[FER_MAX_RANK],
                                              slot[FER_MAX_RANK];
    for (uint32_t i = 0; i + 1 < in[1].rank; i++) {
        dims[rank++] = in[1].dims[i];
    }
    for (uint32_t i = b + k; i < in->rank; i++) {
        dims[rank++] = in->dims[i];
    }
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(rank, dims, index)) {
        memcpy(at, index, b * sizeof *at);
        memcpy(slot, index, (in[1].rank - 1) * sizeof *slot);
        for (uint32_t c = 0; c < k; c++) {
            slot[in[1].rank - 1] = c;
            at[b + c] = wrapped(in[1].v[index_flat(in[1].rank, in[1].dims, slot)], in->dims[b + c]);
        }
        memcpy(at + b + k, index + in[1].rank - 1, (in->rank - b - k) * sizeof *at);
        out->v[i] = in->v[index_flat(in->rank, in->dims, at)];
    }
    return 1;
}

/* ---- Scatter ---- */

static long double combined(const trial *self, long double old, long double new) {
    const char *how = arg_text(self, "reduction");
    long double value = how == NULL || how[0] == 'n' ? new
                        : how[0] == 'a'              ? old + new
                        : how[1] == 'u'              ? old *new
                        : how[1] == 'a'              ? (new > old ? new : old)
                                                     : (new < old ? new : old);
    return dtype_is_integer(self->dtype) && how != NULL ? wrap_to(self->dtype, (wide_int)value)
                                                        : value;
}

/* Element number at of out, and number i of updates, of as many parts as the dtype has. */
static void combine(const trial *self, nd *out, uint64_t at, const nd *updates, uint64_t i) {
    uint64_t parts;
    const char *how = arg_text(self, "reduction");
    long double factor = how != NULL ? 2 * dtype_unit(self->dtype) : 0;
    (void)dtype_part(self->dtype, &parts);
    if (parts == 2 && (self->row->flags & ROW_MOVEMENT) == 0) {
        long double *to = out->v + 2 * at;
        const long double *from = updates->v + 2 * i;
        int is_add = how != NULL && how[0] == 'a';
        long double re = is_add ? to[0] + from[0] : to[0] * from[0] - to[1] * from[1];
        long double im = is_add ? to[1] + from[1] : to[0] * from[1] + to[1] * from[0];
        long double size =
            (1 + fabsl(to[0]) + fabsl(to[1])) * (1 + fabsl(from[0]) + fabsl(from[1]));
        to[0] = re;
        to[1] = im;
        out->slack[2 * at] =
            out->slack[2 * at] * (is_add ? 1 : fabsl(from[0]) + fabsl(from[1])) + 2 * factor * size;
        out->slack[2 * at + 1] = out->slack[2 * at];
        return;
    }
    out->v[at] = combined(self, out->v[at], updates->v[i]);
    out->slack[at] += factor * (1 + fabsl(out->v[at]));
}

/* Without a reduction no index may come twice: one row of a permutation, here a rotation. */
static int fill_scatter_elements(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), self->rank);
    int reduces = arg_text(self, "reduction") != NULL;
    if (axis < 0 || self->dims[axis] == 0) {
        return 0;
    }
    int64_t size = reduces ? arg_int(self, "size", self->dims[axis]) : 1;
    self->inputs[1].dims[axis] = size;
    self->inputs[2].dims[axis] = size;
    as_index(self, 1, self->dims[axis]);
    return 1;
}
static int scatter_elements_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), in->rank), index[FER_MAX_RANK] = {0},
            at[FER_MAX_RANK];
    nd_like(self, out, in);
    nd_slack(self, out);
    memcpy(out->v, in->v, 2 * in->count * sizeof *in->v);
    for (uint64_t i = 0; i < in[1].count; i++, (void)index_next(in[1].rank, in[1].dims, index)) {
        memcpy(at, index, sizeof at);
        at[axis] = wrapped(in[1].v[i], in->dims[axis]);
        combine(self, out, index_flat(in->rank, in->dims, at), &in[2], i);
    }
    return 1;
}
static int fill_scatter_nd(trial *self) {
    int64_t k = arg_int(self, "k", 1), dims[FER_MAX_RANK], least = 1 << 20,
            n = arg_text(self, "reduction") != NULL ? 3 : 1;
    uint32_t rank = 0;
    if (k > self->rank) {
        return 0;
    }
    for (int64_t i = 0; i < k; i++) {
        least = self->dims[i] < least ? self->dims[i] : least;
    }
    dims[rank++] = n;
    input_dims(self, 1, 2, (int64_t[]){n, k});
    for (uint32_t i = (uint32_t)k; i < self->rank; i++) {
        dims[rank++] = self->dims[i];
    }
    input_dims(self, 2, rank, dims);
    as_index(self, 1, least);
    return least > 0;
}
static int scatter_nd_oracle(const trial *self, const nd *in, nd *out) {
    uint32_t k = (uint32_t)in[1].dims[1];
    int64_t index[FER_MAX_RANK] = {0}, at[FER_MAX_RANK];
    nd_like(self, out, in);
    nd_slack(self, out);
    memcpy(out->v, in->v, 2 * in->count * sizeof *in->v);
    for (uint64_t i = 0; i < in[2].count; i++, (void)index_next(in[2].rank, in[2].dims, index)) {
        for (uint32_t c = 0; c < k; c++) {
            at[c] = wrapped(in[1].v[(uint64_t)index[0] * k + c], in->dims[c]);
        }
        memcpy(at + k, index + 1, (in->rank - k) * sizeof *at);
        combine(self, out, index_flat(in->rank, in->dims, at), &in[2], i);
    }
    return 1;
}

/* ---- OneHot ---- */

static int fill_one_hot(trial *self) {
    self->inputs[0].is_moved = 0;
    /* Beyond the depth on both sides: no hot element. */
    static const double hots[] = {0, 3, -1, 2, -3, 6, 1, -6, 4, -2};
    self->inputs[0].fill = FILL_LIST;
    self->inputs[0].list_count = 10;
    memcpy(self->inputs[0].list, hots, sizeof hots);
    input_dims(self, 2, 1, (int64_t[]){2});
    if (dtype_is_integer(self->inputs[0].dtype) && !dtype_is_signed(self->inputs[0].dtype)) {
        input_range(self, 0, 0, 6);
    }
    self->inputs[2].is_moved = 1;
    int64_t axis = arg_int(self, "axis", -1);
    return axis <= (int64_t)self->rank && axis >= -(int64_t)self->rank - 1;
}
static int one_hot_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", -1), in->rank + 1), depth = (int64_t)in[1].v[0];
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0}, at[FER_MAX_RANK];
    for (uint32_t i = 0, from = 0; i <= in->rank; i++) {
        dims[i] = i == axis ? depth : in->dims[from++];
    }
    nd_make(self, out, in->rank + 1, dims);
    for (uint64_t i = 0; i < out->count; i++, (void)index_next(in->rank + 1, dims, index)) {
        memcpy(at, index, (size_t)axis * sizeof *at);
        memcpy(at + axis, index + axis + 1, (in->rank - (size_t)axis) * sizeof *at);
        long double hot = in->v[index_flat(in->rank, in->dims, at)];
        hot += hot < 0 ? depth : 0;
        out->v[i] = in[2].v[hot == index[axis]];
    }
    return 1;
}

/* ---- Compress, NonZero ---- */

static int fill_compress(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", 0), self->rank);
    const char *flat = arg_text(self, "axis");
    if (axis < 0) {
        return 0;
    }
    int64_t size = flat == NULL ? (int64_t)dims_count(self->rank, self->dims) : self->dims[axis];
    size -= arg_int(self, "short", 0);
    input_dims(self, 1, 1, &size);
    self->inputs[1].is_moved = 0;
    self->inputs[1].dtype = FER_BOOL;
    return size >= 0;
}
static int compress_oracle(const trial *self, const nd *in, nd *out) {
    int is_flat = arg_text(self, "axis") == NULL;
    int64_t axis = is_flat ? 0 : axis_of(arg_int(self, "axis", 0), in->rank), kept = 0,
            dims[FER_MAX_RANK];
    int64_t index[FER_MAX_RANK] = {0};
    for (uint64_t i = 0; i < in[1].count; i++) {
        kept += in[1].v[i] != 0;
    }
    memcpy(dims, in->dims, sizeof dims);
    dims[axis] = kept;
    nd_make(self, out, is_flat ? 1 : in->rank, is_flat ? &kept : dims);
    uint64_t to = 0;
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        uint64_t which = is_flat ? i : (uint64_t)index[axis];
        if (which < in[1].count && in[1].v[which] != 0) {
            out->v[to++] = in->v[i];
        }
    }
    return 1;
}
/* Of strings only the empty one is nothing. */
static int is_something(const trial *self, const nd *in, uint64_t i) {
    uint64_t parts;
    size_t length = 0;
    (void)dtype_part(self->dtype, &parts);
    if (self->dtype == FER_STRING) {
        (void)fer_tensor_string(self->inputs[0].tensor, i, &length);
        return length > 0;
    }
    return in->v[i * parts] != 0 || in->v[i * parts + parts - 1] != 0;
}
static int non_zero_oracle(const trial *self, const nd *in, nd *out) {
    int64_t index[FER_MAX_RANK] = {0}, found = 0;
    for (uint64_t i = 0; i < in->count; i++) {
        found += is_something(self, in, i);
    }
    nd_make(self, out, 2, (int64_t[]){in->rank, found});
    int64_t to = 0;
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        int is_found = is_something(self, in, i);
        for (uint32_t k = 0; is_found && k < in->rank; k++) {
            out->v[(int64_t)k * found + to] = index[k];
        }
        to += is_found;
    }
    return 1;
}

/* ---- TensorScatter: writes [batch, .., update, ..] at an offset per batch ---- */

static int fill_tensor_scatter(trial *self) {
    int64_t axis = axis_of(arg_int(self, "axis", -2), self->rank);
    if (axis <= 0) {
        return 0;
    }
    self->inputs[1].dims[axis] = 2;
    if (self->input_count > 2) {
        input_dims(self, 2, 1, self->dims);
        self->inputs[2].is_moved = 0;
        input_range(self,
                    2,
                    0,
                    (double)self->dims[axis] -
                        (arg_is(self, "mode", "linear", "circular") ? 1 : 2));
    }
    return self->dims[axis] >= 2;
}
static int tensor_scatter_oracle(const trial *self, const nd *in, nd *out) {
    int64_t axis = axis_of(arg_int(self, "axis", -2), in->rank), index[FER_MAX_RANK] = {0},
            at[FER_MAX_RANK];
    nd_like(self, out, in);
    memcpy(out->v, in->v, 2 * in->count * sizeof *in->v);
    for (uint64_t i = 0; i < in[1].count; i++, (void)index_next(in[1].rank, in[1].dims, index)) {
        memcpy(at, index, sizeof at);
        at[axis] += in[2].v != NULL ? (int64_t)in[2].v[index[0]] : 0;
        at[axis] %= in->dims[axis];
        out->v[index_flat(in->rank, in->dims, at)] = in[1].v[i];
    }
    return 1;
}

/* ---- tensors from numbers ---- */

static int fill_none(trial *self) { return (void)self, 1; }
static int eye_oracle(const trial *self, const nd *in, nd *out) {
    int64_t index[FER_MAX_RANK] = {0}, k = arg_int(self, "k", 0);
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++, (void)index_next(in->rank, in->dims, index)) {
        out->v[i] = index[1] - index[0] == k;
    }
    return 1;
}
static int fill_eye(trial *self) { return self->rank == 2; }
static int shape_oracle(const trial *self, const nd *in, nd *out) {
    if (self->op->name[1] == 'i') { /* Size */
        nd_make(self, out, 0, NULL);
        out->v[0] = (long double)in->count;
        return 1;
    }
    int64_t rank = in->rank, start = arg_int(self, "start", 0), end = arg_int(self, "end", rank);
    start += start < 0 ? rank : 0;
    end += end < 0 ? rank : 0;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end < 0 ? 0 : end > rank ? rank : end;
    int64_t count = end > start ? end - start : 0;
    nd_make(self, out, 1, &count);
    for (int64_t i = 0; i < count; i++) {
        out->v[i] = in->dims[start + i];
    }
    return 1;
}
static int constant_oracle(const trial *self, const nd *in, nd *out) {
    int64_t dims[FER_MAX_RANK];
    for (uint64_t i = 0; i < in->count; i++) {
        dims[i] = (int64_t)in->v[i];
    }
    nd_make(self, out, (uint32_t)in->count, dims);
    return 1;
}
static int range_oracle(const trial *self, const nd *in, nd *out) {
    long double start = in[0].v[0], limit = in[1].v[0], delta = in[2].v[0];
    int64_t count = (int64_t)ceill((limit - start) / delta);
    count = count < 0 ? 0 : count;
    nd_make(self, out, 1, &count);
    nd_slack(self, out);
    for (int64_t i = 0; i < count; i++) {
        out->v[i] = start + (long double)i * delta;
        out->slack[i] =
            dtype_is_integer(self->dtype)
                ? 0
                : 2 * dtype_unit(self->dtype) * (fabsl(start) + (long double)i * fabsl(delta));
    }
    return 1;
}

#define MOVE(op, shapes, attrs, fill, oracle)                                                      \
    { op, NULL, shapes, attrs, "bits", fill, oracle, ROW_MOVEMENT, NULL, NULL }
#define NUMERIC "f16|f32|f64|bf16|i8|i16|i32|i64|u8|u16|u32|u64"
#define FEW "one odd prime high"

/* clang-format off */
static const case_row rows[] = {
    MOVE("Gather", "one odd prime tall high big", "- axis=1 axis=-1 form=scalar form=vector,axis=1 form=empty Tind=i32,axis=-2", fill_gather, gather_oracle),
    MOVE("GatherElements", "one odd prime high", "- axis=1 axis=-1,size=2 axis=0,size=1 axis=1,Tind=i32,size=9", fill_elements, gather_elements_oracle),
    MOVE("GatherND", "one odd prime high big", "k=1 k=2 k=3 k=1,batch_dims=1 k=2,batch_dims=1 k=1,batch_dims=2", fill_nd, gather_nd_oracle),
    MOVE("ScatterElements", FEW, "- axis=1 axis=-1 Tind=i32,axis=-1", fill_scatter_elements, scatter_elements_oracle),
    MOVE("ScatterND", FEW, "k=1 k=2 k=3", fill_scatter_nd, scatter_nd_oracle),
    {"OneHot", NULL, "scalar one odd prime",
     "depth=4,T2=i64 depth=4,axis=0,T2=i64 depth=5,axis=1,T3=i64,T2=i64 depth=3:,axis=-2,T3=f16,T2=i32 depth=4,T3=str,T2=i64 depth=4,T3=bool,T2=f32",
     "ints", fill_one_hot, one_hot_oracle, ROW_MOVEMENT, NULL, NULL},
    {"OneHot", "i64|f32", "one odd", "depth=4,T3=c64,T2=i64 depth=4,axis=0,T3=c128,T2=i64", "ints", fill_one_hot, one_hot_oracle, ROW_MOVEMENT, NULL, NULL},
    MOVE("Compress", "one odd prime high", "- axis=0 axis=1 axis=-1,short=1 short=1", fill_compress, compress_oracle),
    {"NonZero", NUMERIC "|bool|complex|str", "empty one odd prime high", "-", "ints", NULL, non_zero_oracle, ROW_ZEROS, NULL, NULL},
    MOVE("TensorScatter", "3x5x7 2x3x4x5", "- with=write_indices axis=1,with=write_indices with=write_indices,mode=circular", fill_tensor_scatter, tensor_scatter_oracle),
    {"EyeLike", NULL, "prime tall wide 1x1 3x0", "- k=1 k=-2 dtype=f32 dtype=i64,k=1 dtype=bool dtype=f16", "ints", fill_eye, eye_oracle, ROW_ZEROS, NULL, NULL},
    {"Shape", NULL, "scalar empty odd high big", "- start=1 end=-1 start=-2 start=1,end=2 start=5 end=0 start=-100,end=100", "ints", fill_none, shape_oracle, ROW_ZEROS, NULL, NULL},
    {"Size", NULL, "scalar empty odd high big", "-", "ints", fill_none, shape_oracle, ROW_ZEROS, NULL, NULL},
    {"ConstantOfShape", NULL, "scalar", "input=3:2 input=: input=0:4 input=7:", "ints", fill_none, constant_oracle, ROW_ZEROS, NULL, NULL},
    {"Range", NULL, "scalar", "start=0,limit=5,delta=1 start=10,limit=-3,delta=-2 start=3,limit=3,delta=1 start=5,limit=2,delta=1 start=1,limit=9,delta=3", "ints",
     fill_none, range_oracle, ROW_ZEROS, NULL, NULL},
    {"Range", "f32|f64|f16|bf16", "scalar", "start=0.5,limit=4,delta=0.25", "ints", fill_none, range_oracle, ROW_ZEROS, NULL, NULL},
};

/* With a reduction elements are computed, not moved. */
static const case_row reduced[] = {
    {"ScatterElements", NUMERIC, FEW, "reduction=add reduction=mul,axis=1 reduction=max,axis=-1,size=9 reduction=min,size=2", "ints",
     fill_scatter_elements, scatter_elements_oracle, ROW_ZEROS, NULL, NULL},
    {"ScatterND", NUMERIC, FEW, "k=1,reduction=add k=2,reduction=mul k=1,reduction=max k=1,reduction=min", "ints", fill_scatter_nd,
     scatter_nd_oracle, ROW_ZEROS, NULL, NULL},
    {"ScatterElements", "complex", FEW, "reduction=add reduction=mul,axis=1 reduction=add,axis=-1,size=9", "ints uniform", fill_scatter_elements, scatter_elements_oracle, ROW_ZEROS, NULL, NULL},
    {"ScatterND", "complex", FEW, "k=1,reduction=add k=2,reduction=mul k=1,reduction=mul", "ints uniform", fill_scatter_nd, scatter_nd_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_gather = {"gather", rows, sizeof rows / sizeof *rows};
const case_family cases_scatter = {"scatter", reduced, sizeof reduced / sizeof *reduced};
