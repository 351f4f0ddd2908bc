/* SPDX-License-Identifier: Apache-2.0
 *
 * ScatterElements, ScatterND and TensorScatter: a copy of data in which updates replace (or are
 * added to, multiplied with, compared with) what indices name, in the order of the updates. Floats
 * reduce through f64, rounded at every step; integers wrap. Called through the step list.
 */
#include "ref/ref_elements.h"

#include <string.h>

enum { REDUCE_NONE, REDUCE_ADD, REDUCE_MUL, REDUCE_MAX, REDUCE_MIN, REDUCE_UNKNOWN };

static int reduction_of(const fer_node_view *node) {
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    for (int i = 0; i < REDUCE_UNKNOWN; i++) {
        if (feri_ref_string_is(node, "reduction", "none", names[i])) {
            return i;
        }
    }
    return REDUCE_UNKNOWN;
}

static double reduce_f64(int reduction, double a, double b) {
    switch (reduction) {
    case REDUCE_ADD:
        return a + b;
    case REDUCE_MUL:
        return a * b;
    case REDUCE_MAX:
        return a > b || a != a ? a : b;
    default:
        return a < b || a != a ? a : b;
    }
}

static int64_t reduce_i64(int reduction, int is_unsigned, int64_t a, int64_t b) {
    int a_is_less = is_unsigned ? (uint64_t)a < (uint64_t)b : a < b;
    switch (reduction) {
    case REDUCE_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case REDUCE_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case REDUCE_MAX:
        return a_is_less ? b : a;
    default:
        return a_is_less ? a : b;
    }
}

static void reduce_complex(const fer_host *host,
                           int reduction,
                           feri_ref_tensor out,
                           uint64_t to,
                           feri_ref_tensor updates,
                           uint64_t from) {
    double a[2], b[2];
    out.dtype = updates.dtype = out.dtype == FER_C64 ? FER_F32 : FER_F64;
    host->load_f64(out.dtype, out.data, 2 * to, 2, a);
    host->load_f64(out.dtype, updates.data, 2 * from, 2, b);
    double sum[2] = {a[0] + b[0], a[1] + b[1]};
    double product[2] = {a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]};
    host->store_f64(
        out.dtype, out.data, 2 * to, 2, reduction == REDUCE_ADD ? sum : product, /*saturate=*/0);
}

/* count consecutive updates onto consecutive elements of out. */
static fer_status apply(feri_ref_call *call,
                        int reduction,
                        uint64_t to,
                        const feri_ref_tensor *updates,
                        uint64_t from,
                        uint64_t count) {
    feri_ref_tensor *out = call->out[0];
    const fer_host *host = call->host;
    for (uint64_t done = 0; done < count;) {
        uint64_t run = reduction == REDUCE_NONE ? 4096 : 1;
        run = count - done < run ? count - done : run;
        if (reduction == REDUCE_NONE) {
            feri_ref_copy_run(
                feri_ref_bits(out->dtype), out->data, to + done, updates->data, from + done, run);
        } else if (feri_kit_class(out->dtype) == FERI_KIT_COMPLEX) {
            reduce_complex(host, reduction, *out, to + done, *updates, from + done);
        } else if (feri_ref_is_float(out->dtype)) {
            double value = reduce_f64(reduction,
                                      feri_ref_scalar_f64(call, out, to + done),
                                      feri_ref_scalar_f64(call, updates, from + done));
            host->store_f64(out->dtype, out->data, to + done, 1, &value, /*saturate=*/0);
        } else {
            int64_t value = reduce_i64(reduction,
                                       !feri_ref_is_signed(out->dtype),
                                       feri_ref_scalar_i64(call, out, to + done),
                                       feri_ref_scalar_i64(call, updates, from + done));
            host->store_i64(out->dtype, out->data, to + done, 1, &value);
        }
        done += run;
        if (feri_ref_poll(call, run)) {
            return call->status;
        }
    }
    return FER_OK;
}

static fer_status wrong_dims(feri_ref_call *call) {
    return feri_ref_misfit(call, "the shapes of data, indices and updates do not fit each other");
}

static fer_status run_elements(feri_ref_call *call) {
    const feri_ref_tensor *data = call->in[0];
    const feri_ref_tensor *indices = call->in[1];
    const feri_ref_tensor *updates = call->in[2];
    int reduction = reduction_of(call->node);
    uint32_t axis;
    int64_t strides[FER_MAX_RANK];
    int64_t dense[FER_MAX_RANK];
    if (!feri_kit_axis(feri_ref_int(call->node, "axis", 0), data->rank, &axis)) {
        return feri_ref_misfit(call, "axis is not an axis of data");
    }
    if (indices->rank != data->rank || indices->count != updates->count) {
        return wrong_dims(call);
    }
    for (uint32_t d = 0; d < data->rank; d++) {
        if (d != axis && indices->dims[d] > data->dims[d]) {
            return wrong_dims(call);
        }
    }
    fer_status status = feri_ref_copy_all(call, data, call->out[0]);
    if (status != FER_OK) {
        return status;
    }
    feri_kit_strides(data->rank, data->dims, strides);
    feri_kit_strides(indices->rank, indices->dims, dense);
    int64_t axis_stride = strides[axis];
    strides[axis] = 0;
    const int64_t *list[2] = {strides, dense};
    feri_kit_walk walk;
    feri_kit_cursor at;
    feri_kit_walk_init(&walk, indices->rank, indices->dims, 2, list);
    if (!feri_kit_walk_begin(&walk, &at)) {
        return FER_OK;
    }
    do {
        for (int64_t i = 0; i < walk.inner; i++) {
            uint64_t from = (uint64_t)(at.offset[1] + i * walk.step[1]);
            int64_t index;
            status = feri_ref_index(call, indices, from, data->dims[axis], &index);
            if (status == FER_OK) {
                int64_t to = at.offset[0] + i * walk.step[0] + index * axis_stride;
                status = apply(call, reduction, (uint64_t)to, updates, from, 1);
            }
            if (status != FER_OK) {
                return status;
            }
        }
    } while (feri_kit_walk_next(&walk, &at));
    return FER_OK;
}

/* data is (indexed dims, inner), indices (rows, depth), updates (rows, inner). */
static fer_status run_nd(feri_ref_call *call) {
    const feri_ref_tensor *data = call->in[0];
    const feri_ref_tensor *indices = call->in[1];
    const feri_ref_tensor *updates = call->in[2];
    int reduction = reduction_of(call->node);
    if (indices->rank < 1 || indices->dims[indices->rank - 1] > (int64_t)data->rank) {
        return feri_ref_misfit(call, "the last dim of indices exceeds the rank of data");
    }
    fer_status status = feri_ref_copy_all(call, data, call->out[0]);
    if (status != FER_OK || updates->count == 0) {
        return status;
    }
    uint32_t depth = (uint32_t)indices->dims[indices->rank - 1];
    uint64_t rows = (uint64_t)feri_kit_span(indices->dims, 0, indices->rank - 1);
    uint64_t inner = (uint64_t)feri_kit_span(data->dims, depth, data->rank);
    int64_t strides[FER_MAX_RANK];
    feri_kit_strides(data->rank, data->dims, strides);
    if (updates->count != rows * inner) {
        return wrong_dims(call);
    }
    for (uint64_t row = 0; row < rows; row++) {
        uint64_t to = 0;
        for (uint32_t k = 0; k < depth; k++) {
            int64_t index;
            status = feri_ref_index(call, indices, row * depth + k, data->dims[k], &index);
            if (status != FER_OK) {
                return status;
            }
            to += (uint64_t)(index * strides[k]);
        }
        status = apply(call, reduction, to, updates, row * inner, inner);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* cache is (batch, middle, capacity, inner), update (batch, middle, length, inner): update goes to
 * write_indices[batch] onwards along the capacity. */
static fer_status run_tensor_scatter(feri_ref_call *call) {
    const feri_ref_tensor *cache = call->in[0];
    const feri_ref_tensor *update = call->in[1];
    const feri_ref_tensor *starts = call->node->input_count > 2 ? call->in[2] : NULL;
    int is_circular = feri_ref_string_is(call->node, "mode", "linear", "circular");
    uint32_t axis;
    if (cache->rank < 2 || update->rank != cache->rank ||
        !feri_kit_axis(feri_ref_int(call->node, "axis", -2), cache->rank, &axis) || axis == 0) {
        return wrong_dims(call);
    }
    for (uint32_t d = 0; d < cache->rank; d++) {
        if (d == axis ? update->dims[d] > cache->dims[d] : update->dims[d] != cache->dims[d]) {
            return wrong_dims(call);
        }
    }
    if (starts && starts->count != (uint64_t)cache->dims[0]) {
        return wrong_dims(call);
    }
    fer_status status = feri_ref_copy_all(call, cache, call->out[0]);
    if (status != FER_OK || update->count == 0) {
        return status;
    }
    int64_t capacity = cache->dims[axis];
    int64_t length = update->dims[axis];
    uint64_t middle = (uint64_t)feri_kit_span(cache->dims, 1, axis);
    uint64_t inner = (uint64_t)feri_kit_span(cache->dims, axis + 1, cache->rank);
    for (uint64_t row = 0; row < (uint64_t)cache->dims[0] * middle; row++) {
        int64_t start = starts ? feri_ref_scalar_i64(call, starts, row / middle) : 0;
        if (start < 0 || (is_circular ? start >= capacity : start > capacity - length)) {
            return feri_ref_misfit(call, "write_indices points outside the cache");
        }
        for (int64_t k = 0; k < length; k++) {
            uint64_t to = (row * (uint64_t)capacity + (uint64_t)((start + k) % capacity)) * inner;
            uint64_t from = (row * (uint64_t)length + (uint64_t)k) * inner;
            status = apply(call, REDUCE_NONE, to, update, from, inner);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    return FER_OK;
}

const char *feri_ref_refuse_scatter(const fer_subgraph *graph, const fer_node_view *node) {
    int reduction = reduction_of(node);
    if (reduction == REDUCE_UNKNOWN) {
        return "reduction must be none, add, mul, max or min";
    }
    if ((reduction == REDUCE_MAX || reduction == REDUCE_MIN) &&
        feri_kit_class(graph->values[node->inputs[0]]->dtype) == FERI_KIT_COMPLEX) {
        return "complex numbers have no order, which reduction max or min would need";
    }
    return NULL;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_scatter[] = {
    FERI_REF_KERNEL(ScatterElements, 18, .run = run_elements)
    FERI_REF_KERNEL(ScatterND, 18, .run = run_nd)
    FERI_REF_KERNEL(TensorScatter, 24, .run = run_tensor_scatter)
    FERI_REF_END
};
/* clang-format on */
