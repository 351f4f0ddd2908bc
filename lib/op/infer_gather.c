/* SPDX-License-Identifier: Apache-2.0
 *
 * Gather and Scatter in all their forms, and OneHot. Indices whose values are known are checked
 * here; the others are the kernel's to check.
 */
#include "base/error.h"
#include "op/infer.h"

#include <string.h>

/* An index in [-dim, dim) made nonnegative; -1 when unknown. */
static int64_t read_index(feri_infer *call, feri_sym index, feri_sym dim) {
    if (!feri_sym_is_number(index) || !feri_sym_is_number(dim)) {
        return -1;
    }
    if (index.number < -dim.number || index.number >= dim.number) {
        feri_infer_fail(call,
                        "an index is %lld, for a dim of %lld it must lie in [-%lld, %lld)",
                        (long long)index.number,
                        (long long)dim.number,
                        (long long)dim.number,
                        (long long)dim.number);
        return -1;
    }
    return index.number < 0 ? index.number + dim.number : index.number;
}

/* ---- Gather ---- */

/* Checks indices that are known; takes the elements they name, which are pieces of inner ones. */
static void evaluate_gather(feri_infer *call, feri_sym dim, uint32_t inner) {
    uint32_t index_count;
    uint32_t data_count;
    uint32_t count;
    const feri_sym *indices = feri_infer_elements(call, 1, &index_count);
    const feri_sym *source = feri_infer_elements(call, 0, &data_count);
    feri_sym *target = source ? feri_infer_new_elements(call, 0, &count) : NULL;
    uint32_t row = inner * (uint32_t)dim.number;
    uint32_t rows = row ? data_count / row : 0;
    for (uint32_t i = 0; indices && i < index_count; i++) {
        int64_t index = read_index(call, indices[i], dim);
        if (!target || index < 0) {
            continue;
        }
        for (uint32_t outer = 0; outer < rows; outer++) {
            memcpy(target + (outer * index_count + i) * inner,
                   source + outer * row + (uint32_t)index * inner,
                   inner * sizeof(*target));
        }
    }
    feri_infer_trim_elements(call, 0);
}

void feri_infer_gather(feri_infer *call) {
    const feri_fact *data = call->in[0];
    const feri_fact *indices = call->in[1];
    feri_sym dims[2 * FER_MAX_RANK];
    uint32_t inner = 1;
    int32_t at = 0;
    int32_t axis;
    if (data->rank < 0) {
        return;
    }
    FERI_STEP(axis = feri_infer_axis_attr(call, 0, data->rank));
    if (indices->rank < 0) {
        return;
    }
    for (int32_t i = 0; i < data->rank; i++) {
        if (i != axis) {
            dims[at++] = data->dims[i];
            inner *= i < axis ? 1 : (uint32_t)data->dims[i].number;
            continue;
        }
        for (int32_t j = 0; j < indices->rank; j++) {
            dims[at++] = indices->dims[j];
        }
    }
    feri_infer_set(call, 0, at, dims);
    evaluate_gather(call, data->dims[axis], inner);
}

/* ---- GatherElements and ScatterElements ---- */

/* The data index that entry i of indices names along axis; UINT32_MAX unknown. */
static void element_place(feri_infer *call,
                          const feri_fact *data,
                          const feri_fact *indices,
                          const feri_sym *elements,
                          int32_t axis,
                          uint32_t i,
                          uint32_t *out_at) {
    uint32_t at = 0;
    uint32_t stride = 1;
    int64_t index;
    uint32_t rest = i;
    FERI_STEP(index = read_index(call, elements[i], data->dims[axis]));
    *out_at = UINT32_MAX;
    if (index < 0) {
        return;
    }
    for (int32_t d = data->rank - 1; d >= 0; d--) {
        uint32_t dim = (uint32_t)indices->dims[d].number;
        uint32_t own = d == axis ? (uint32_t)index : rest % dim;
        if (own >= (uint64_t)data->dims[d].number) {
            feri_infer_fail(call, "indices are larger than data along axis %d", (int)d);
            return;
        }
        at += own * stride;
        stride *= (uint32_t)data->dims[d].number;
        rest /= dim;
    }
    *out_at = at;
}

static void
element_axis(feri_infer *call, const feri_fact *data, int32_t *out_axis, int *out_is_known) {
    const feri_fact *indices = feri_infer_in(call, 1);
    *out_is_known = data->rank >= 0 && indices->rank >= 0;
    if (data->rank < 0) {
        return;
    }
    FERI_STEP(*out_axis = feri_infer_axis_attr(call, 0, data->rank));
    if (indices->rank >= 0 && indices->rank != data->rank) {
        feri_infer_fail(call,
                        "data has rank %d and indices %d; they must be equal",
                        (int)data->rank,
                        (int)indices->rank);
        return;
    }
    for (int32_t d = 0; *out_is_known && d < data->rank; d++) {
        if (d != *out_axis &&
            feri_sym_compare_less(call->terms, data->dims[d], indices->dims[d]) == 1) {
            feri_infer_fail(call, "indices are larger than data along axis %d", (int)d);
            return;
        }
    }
}

void feri_infer_gather_elements(feri_infer *call) {
    const feri_fact *data = call->in[0];
    const feri_fact *indices = feri_infer_in(call, 1);
    int32_t axis = 0;
    int is_known;
    uint32_t count;
    uint32_t data_count;
    FERI_STEP(element_axis(call, data, &axis, &is_known));
    FERI_STEP(feri_infer_set_like(call, 0, indices));
    const feri_sym *elements = is_known ? feri_infer_elements(call, 1, &count) : NULL;
    const feri_sym *source = elements ? feri_infer_elements(call, 0, &data_count) : NULL;
    feri_sym *target = source ? feri_infer_new_elements(call, 0, &count) : NULL;
    for (uint32_t i = 0; target && i < count; i++) {
        uint32_t at;
        FERI_STEP(element_place(call, data, indices, elements, axis, i, &at));
        target[i] = at < data_count ? source[at] : feri_sym_unknown();
    }
    feri_infer_trim_elements(call, 0);
}

/* How updates and what is there are put together; 0: they replace it. */
static uint32_t scatter_reduction(feri_infer *call) {
    return feri_infer_choice(call, "reduction", "none, add, mul, max, min");
}

void feri_infer_scatter_elements(feri_infer *call) {
    const feri_fact *data = call->in[0];
    const feri_fact *indices = feri_infer_in(call, 1);
    const feri_fact *updates = feri_infer_in(call, 2);
    int32_t axis = 0;
    int is_known;
    FERI_STEP(element_axis(call, data, &axis, &is_known));
    FERI_STEP((void)scatter_reduction(call));
    if (indices->rank >= 0 && updates->rank >= 0) {
        if (indices->rank != updates->rank) {
            feri_infer_fail(call,
                            "indices have rank %d and updates %d; they must be equal",
                            (int)indices->rank,
                            (int)updates->rank);
            return;
        }
        for (int32_t d = 0; d < indices->rank; d++) {
            FERI_STEP(feri_infer_equal(
                call, indices->dims[d], updates->dims[d], "the dims of indices and updates"));
        }
    }
    feri_infer_set_like(call, 0, data);
}

/* ---- GatherND and ScatterND ---- */

/* The last dim of indices: how many axes an index names; -1 when not known yet. */
static void
tuple_size(feri_infer *call, const feri_fact *data, int64_t batch_dims, int64_t *out_size) {
    const feri_fact *indices = feri_infer_in(call, 1);
    *out_size = -1;
    if (indices->rank == 0 || data->rank == 0) {
        feri_infer_fail(call, "data and indices must have rank 1 at least");
        return;
    }
    if (indices->rank < 0 || data->rank < 0) {
        return;
    }
    if (batch_dims < 0 || batch_dims >= indices->rank || batch_dims >= data->rank) {
        feri_infer_fail(
            call, "batch_dims is %lld, it must be less than both ranks", (long long)batch_dims);
        return;
    }
    feri_sym last = indices->dims[indices->rank - 1];
    if (!feri_sym_is_number(last)) {
        return;
    }
    if (last.number < 0 || last.number > data->rank - batch_dims) {
        feri_infer_fail(call,
                        "an index has %lld entries for data of rank %d",
                        (long long)last.number,
                        (int)data->rank);
        return;
    }
    *out_size = last.number;
}

/* The flat place of the slice that tuple names (batch index first); UINT32_MAX unknown. */
static void tuple_place(feri_infer *call,
                        const feri_fact *data,
                        int32_t batch_dims,
                        const feri_sym *tuple,
                        int64_t size,
                        uint32_t batch,
                        uint32_t *out_at) {
    uint32_t at = batch;
    *out_at = UINT32_MAX;
    for (int32_t d = batch_dims; d < data->rank; d++) {
        int64_t index = 0;
        if (d - batch_dims < size) {
            FERI_STEP(index = read_index(call, tuple[d - batch_dims], data->dims[d]));
            if (index < 0) {
                return;
            }
        }
        at = at * (uint32_t)data->dims[d].number + (uint32_t)index;
    }
    *out_at = at;
}

static uint32_t count_from(const feri_fact *fact, int32_t first, int32_t end) {
    uint32_t count = 1;
    for (int32_t d = first; d < end; d++) {
        count *= (uint32_t)fact->dims[d].number;
    }
    return count;
}

void feri_infer_gather_nd(feri_infer *call) {
    const feri_fact *data = call->in[0];
    const feri_fact *indices = feri_infer_in(call, 1);
    int64_t batch = feri_infer_int(call, "batch_dims", 0);
    int64_t size;
    FERI_STEP(tuple_size(call, data, batch, &size));
    if (size < 0) {
        return;
    }
    feri_sym dims[2 * FER_MAX_RANK];
    int32_t rank = 0;
    for (int32_t d = 0; d < indices->rank - 1; d++) {
        if (d < batch) {
            FERI_STEP(feri_infer_equal(
                call, indices->dims[d], data->dims[d], "the batch dims of data and indices"));
        }
        dims[rank++] = indices->dims[d];
    }
    for (int32_t d = (int32_t)(batch + size); d < data->rank; d++) {
        dims[rank++] = data->dims[d];
    }
    FERI_STEP(feri_infer_set(call, 0, rank, dims));
    uint32_t count;
    uint32_t tuple_count;
    uint32_t data_count;
    const feri_sym *tuples = feri_infer_elements(call, 1, &tuple_count);
    const feri_sym *source = tuples ? feri_infer_elements(call, 0, &data_count) : NULL;
    feri_sym *target = source ? feri_infer_new_elements(call, 0, &count) : NULL;
    if (!target || count == 0) {
        return;
    }
    uint32_t slice = count_from(data, (int32_t)(batch + size), data->rank);
    uint32_t per_batch = count_from(indices, (int32_t)batch, indices->rank - 1);
    for (uint32_t i = 0; i < count / slice; i++) {
        uint32_t at;
        FERI_STEP(tuple_place(call,
                              data,
                              (int32_t)batch,
                              tuples + (size_t)i * (size_t)size,
                              size,
                              i / per_batch,
                              &at));
        for (uint32_t j = 0; j < slice && at < data_count; j++) {
            target[i * slice + j] = source[at + j];
        }
    }
    feri_infer_trim_elements(call, 0);
}

/* Updates are as many slices as there are index tuples. */
static void check_updates(feri_infer *call, const feri_fact *data, int64_t size) {
    const feri_fact *indices = feri_infer_in(call, 1);
    const feri_fact *updates = feri_infer_in(call, 2);
    if (updates->rank < 0) {
        return;
    }
    int32_t rank = indices->rank - 1 + data->rank - (int32_t)size;
    if (updates->rank != rank) {
        feri_infer_fail(
            call, "updates have rank %d, they must have %d", (int)updates->rank, (int)rank);
        return;
    }
    for (int32_t d = 0; d < rank; d++) {
        feri_sym want = d < indices->rank - 1 ? indices->dims[d]
                                              : data->dims[d - (indices->rank - 1) + (int32_t)size];
        FERI_STEP(feri_infer_equal(
            call, updates->dims[d], want, "a dim of updates and what indices and data ask for"));
    }
}

void feri_infer_scatter_nd(feri_infer *call) {
    const feri_fact *data = call->in[0];
    int64_t size;
    uint32_t count;
    uint32_t tuple_count;
    uint32_t update_count;
    uint32_t reduction;
    FERI_STEP(reduction = scatter_reduction(call));
    FERI_STEP(tuple_size(call, data, 0, &size));
    FERI_STEP(feri_infer_set_like(call, 0, data));
    if (size < 0) {
        return;
    }
    FERI_STEP(check_updates(call, data, size));
    if (reduction != 0) {
        return;
    }
    const feri_sym *tuples = feri_infer_elements(call, 1, &tuple_count);
    const feri_sym *updates = tuples ? feri_infer_elements(call, 2, &update_count) : NULL;
    if (!updates || !feri_infer_elements(call, 0, &count)) {
        return;
    }
    feri_infer_pass_elements(call);
    feri_fact *out = feri_infer_out(call, 0);
    feri_sym *target = out ? out->elements : NULL;
    uint32_t slice = count_from(data, (int32_t)size, data->rank);
    for (uint32_t i = 0; target && slice && i < update_count / slice; i++) {
        uint32_t at;
        FERI_STEP(tuple_place(call, data, 0, tuples + (size_t)i * (size_t)size, size, 0, &at));
        if (at == UINT32_MAX) { /* it could go anywhere */
            out->elements = NULL;
            out->element_count = 0;
            return;
        }
        for (uint32_t j = 0; j < slice && at + j < out->element_count; j++) {
            target[at + j] = updates[i * slice + j];
        }
    }
}

/* ---- OneHot ---- */

void feri_infer_one_hot(feri_infer *call) {
    const feri_fact *indices = call->in[0];
    uint32_t count;
    int32_t axis;
    FERI_STEP(feri_infer_rank(call, 1, 0, 1));
    FERI_STEP(feri_infer_rank(call, 2, 1, 1));
    feri_infer_equal(
        call, feri_infer_dim(call->in[2], 0), feri_sym_number(2), "the entries of values and 2");
    if (indices->rank < 0) {
        return;
    }
    const feri_sym *depth = feri_infer_elements(call, 1, &count);
    feri_sym dim = depth && count == 1 ? depth[0] : feri_sym_unknown();
    if (!feri_sym_is_unknown(dim)) {
        dim = feri_infer_cast(feri_infer_in(call, 1)->dtype, FER_I64, dim);
    }
    FERI_STEP(feri_infer_check_dim(call, dim, "depth"));
    FERI_STEP(axis = feri_infer_axis_attr(call, -1, indices->rank + 1));
    if (indices->rank + 1 > FER_MAX_RANK) {
        feri_infer_set(call, 0, indices->rank + 1, /*dims=*/NULL);
        return;
    }
    feri_sym dims[FER_MAX_RANK];
    int32_t from = 0;
    for (int32_t d = 0; d <= indices->rank; d++) {
        dims[d] = d == axis ? dim : indices->dims[from++];
    }
    feri_infer_set(call, 0, indices->rank + 1, dims);
}
