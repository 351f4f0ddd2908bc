/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that pick by indices held in tensors: Gather, GatherElements, GatherND, Compress, NonZero,
 * ReverseSequence, OneHot. Every index is checked; one that is out of range fails the run with its
 * value. Compress and NonZero set their output's dims. Called through the step list.
 */
#include "ref/ref_elements.h"

#include <string.h>

/* Copies inner consecutive elements to the output, asking the host in between. */
static fer_status copy_inner(
    feri_ref_call *call, uint64_t to, const feri_ref_tensor *in, uint64_t from, uint64_t inner) {
    uint32_t bits = feri_ref_bits(in->dtype);
    for (uint64_t done = 0; done < inner && call->status == FER_OK;) {
        uint64_t run = inner - done < 4096 ? inner - done : 4096;
        feri_ref_copy_run(bits, call->out[0]->data, to + done, in->data, from + done, run);
        done += run;
        (void)feri_ref_poll(call, run);
    }
    return feri_ref_poll(call, 1);
}

/* data is (outer, dim, inner), out is (outer, indices, inner). */
static fer_status run_gather(feri_ref_call *call) {
    const feri_ref_tensor *data = call->in[0];
    const feri_ref_tensor *indices = call->in[1];
    feri_ref_lines lines;
    if (feri_ref_lines_around(call, data, feri_ref_int(call->node, "axis", 0), &lines)) {
        return call->status;
    }
    if (call->out[0]->count == 0) {
        return FER_OK;
    }
    if (call->out[0]->count != lines.outer * indices->count * lines.inner) {
        return feri_ref_unfit(call);
    }
    uint64_t to = 0;
    for (uint64_t o = 0; o < lines.outer; o++) {
        for (uint64_t k = 0; k < indices->count; k++, to += lines.inner) {
            int64_t index = 0;
            if (feri_ref_index(call, indices, k, (int64_t)lines.length, &index) ||
                copy_inner(call,
                           to,
                           data,
                           (o * lines.length + (uint64_t)index) * lines.inner,
                           lines.inner)) {
                return call->status;
            }
        }
    }
    return FER_OK;
}

static fer_status run_gather_elements(feri_ref_call *call) {
    const feri_ref_tensor *data = call->in[0];
    const feri_ref_tensor *indices = call->in[1];
    feri_ref_tensor *out = call->out[0];
    uint32_t axis;
    int64_t strides[FER_MAX_RANK];
    int64_t dense[FER_MAX_RANK];
    if (!feri_kit_axis(feri_ref_int(call->node, "axis", 0), data->rank, &axis)) {
        return feri_ref_unfit(call);
    }
    if (indices->rank != data->rank || out->count != indices->count) {
        return feri_ref_unfit(call);
    }
    for (uint32_t d = 0; d < data->rank; d++) {
        if (d != axis && indices->dims[d] > data->dims[d]) {
            return feri_ref_unfit(call);
        }
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
            uint64_t to = (uint64_t)(at.offset[1] + i * walk.step[1]);
            int64_t index = 0;
            fer_status status = feri_ref_index(call, indices, to, data->dims[axis], &index);
            if (status == FER_OK) {
                int64_t from = at.offset[0] + i * walk.step[0] + index * axis_stride;
                status = copy_inner(call, to, data, (uint64_t)from, 1);
            }
            if (status != FER_OK) {
                return status;
            }
        }
    } while (feri_kit_walk_next(&walk, &at));
    return FER_OK;
}

/* data is (batch, indexed dims, inner), indices (batch, rows, depth), out (batch, rows, inner). */
static fer_status run_gather_nd(feri_ref_call *call) {
    const feri_ref_tensor *data = call->in[0];
    const feri_ref_tensor *indices = call->in[1];
    int64_t batch_dims = feri_ref_int(call->node, "batch_dims", 0);
    if (indices->rank < 1 || batch_dims < 0 || batch_dims >= (int64_t)indices->rank ||
        batch_dims > (int64_t)data->rank) {
        return feri_ref_unfit(call);
    }
    uint32_t first = (uint32_t)batch_dims;
    int64_t depth = indices->dims[indices->rank - 1];
    if (depth < 0 || depth > (int64_t)(data->rank - first)) {
        return feri_ref_misfit(call, "the last dim of indices exceeds the rank of data");
    }
    for (uint32_t d = 0; d < first; d++) {
        if (data->dims[d] != indices->dims[d]) {
            return feri_ref_unfit(call);
        }
    }
    if (call->out[0]->count == 0) {
        return FER_OK;
    }
    uint64_t batches = (uint64_t)feri_kit_span(data->dims, 0, first);
    uint64_t rows = (uint64_t)feri_kit_span(indices->dims, first, indices->rank - 1);
    uint64_t inner = (uint64_t)feri_kit_span(data->dims, first + (uint32_t)depth, data->rank);
    uint64_t batch_elements = (uint64_t)feri_kit_span(data->dims, first, data->rank);
    if (call->out[0]->count != batches * rows * inner) {
        return feri_ref_unfit(call);
    }
    int64_t strides[FER_MAX_RANK];
    feri_kit_strides(data->rank, data->dims, strides);
    for (uint64_t row = 0; row < batches * rows; row++) {
        uint64_t from = row / rows * batch_elements;
        for (uint32_t k = 0; k < depth; k++) {
            int64_t index = 0;
            fer_status status = feri_ref_index(
                call, indices, row * (uint64_t)depth + k, data->dims[first + k], &index);
            if (status != FER_OK) {
                return status;
            }
            from += (uint64_t)(index * strides[first + k]);
        }
        fer_status status = copy_inner(call, row * inner, data, from, inner);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* data is (outer, dim, inner); rows of dim whose condition holds are kept. */
static fer_status run_compress(feri_ref_call *call) {
    const feri_ref_tensor *data = call->in[0];
    const feri_ref_tensor *condition = call->in[1];
    feri_ref_tensor *out = call->out[0];
    const fer_attr *axis = feri_ref_attr(call->node, "axis");
    feri_ref_lines lines = {1, data->count, 1}; /* without an axis */
    if (axis && feri_ref_lines_around(call, data, axis->value.i, &lines)) {
        return call->status;
    }
    uint32_t at = 0;
    (void)feri_kit_axis(axis ? axis->value.i : 0, data->rank, &at);
    uint64_t limit = lines.length < condition->count ? lines.length : condition->count, kept = 0;
    for (uint64_t i = 0; i < limit; i++) {
        kept += condition->data[i] != 0;
    }
    if (out->rank != (axis ? data->rank : 1) || (int64_t)kept > out->dims[at]) {
        return feri_ref_unfit(call);
    }
    out->dims[at] = (int64_t)kept;
    if (!feri_kit_count(out->rank, out->dims, &out->count) || out->count == 0) {
        return FER_OK;
    }
    uint64_t to = 0;
    for (uint64_t row = 0; row < lines.outer * lines.length; row++) {
        uint64_t i = row % lines.length;
        uint64_t wanted = i < limit && condition->data[i] ? lines.inner : 0;
        if (copy_inner(call, to, data, row * lines.inner, wanted)) {
            return call->status;
        }
        to += wanted;
    }
    return FER_OK;
}

static int is_nonzero(feri_ref_call *call, const feri_ref_tensor *in, uint64_t at) {
    double parts[2] = {0, 0};
    fer_dtype half = in->dtype == FER_C64 ? FER_F32 : in->dtype == FER_C128 ? FER_F64 : 0;
    if (half) {
        call->host->load_f64(half, in->data, 2 * at, 2, parts);
    } else if (feri_ref_is_float(in->dtype)) {
        parts[0] = feri_ref_scalar_f64(call, in, at);
    } else {
        return feri_ref_scalar_i64(call, in, at) != 0;
    }
    return parts[0] != 0 || parts[1] != 0;
}

/* out is (rank, found): coordinates column by column, in row-major order of the elements. The
 * second pass fills what the first has counted. */
static fer_status run_non_zero(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    feri_ref_tensor *out = call->out[0];
    uint64_t found = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t column = 0;
        for (uint64_t i = 0; i < in->count; i++) {
            if (feri_ref_poll(call, 1)) {
                return call->status;
            }
            if (!is_nonzero(call, in, i)) {
                continue;
            }
            uint64_t rest = i;
            for (uint32_t d = (uint32_t)out->dims[0]; pass == 1 && d-- > 0;) {
                uint64_t dim = d < in->rank ? (uint64_t)in->dims[d] : 1;
                int64_t coordinate = (int64_t)(rest % dim);
                rest /= dim;
                feri_ref_store_int(call, out, d * found + column, 1, 1, &coordinate);
            }
            column++;
        }
        found = column;
        if (out->rank != 2 || (int64_t)found > out->dims[1] ||
            out->dims[0] > (int64_t)FER_MAX_RANK) {
            return feri_ref_unfit(call);
        }
        out->dims[1] = (int64_t)found;
        out->count = (uint64_t)out->dims[0] * found;
    }
    return FER_OK;
}

/* data is (first, second, inner); batch and time are axes 0 and 1 in either order. */
static fer_status run_reverse_sequence(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *lengths = call->in[1];
    int64_t batch_axis = feri_ref_int(call->node, "batch_axis", 1);
    int64_t time_axis = feri_ref_int(call->node, "time_axis", 0);
    if (in->rank < 2 || batch_axis + time_axis != 1 || (batch_axis != 0 && batch_axis != 1) ||
        lengths->count != (uint64_t)in->dims[batch_axis] || in->count != call->out[0]->count) {
        return feri_ref_misfit(
            call, "batch_axis and time_axis must be 0 and 1, with one length per batch entry");
    }
    uint64_t inner = (uint64_t)feri_kit_span(in->dims, 2, in->rank);
    int64_t times = in->dims[time_axis];
    for (int64_t b = 0; b < in->dims[batch_axis] && in->count > 0; b++) {
        int64_t length = feri_ref_scalar_i64(call, lengths, (uint64_t)b);
        if (length < 0 || length > times) {
            return feri_ref_misfit(call, "a length exceeds the time axis");
        }
        for (int64_t t = 0; t < times; t++) {
            int64_t source = t < length ? length - 1 - t : t;
            int64_t to = batch_axis == 0 ? b * times + t : t * in->dims[1] + b;
            int64_t from = batch_axis == 0 ? b * times + source : source * in->dims[1] + b;
            fer_status status =
                copy_inner(call, (uint64_t)to * inner, in, (uint64_t)from * inner, inner);
            if (status != FER_OK) {
                return status;
            }
        }
    }
    return FER_OK;
}

/* out is (outer, depth, inner) of off with one on per index; indices is (outer, inner). */
static fer_status run_one_hot(feri_ref_call *call) {
    const feri_ref_tensor *indices = call->in[0];
    const feri_ref_tensor *values = call->in[2];
    feri_ref_tensor *out = call->out[0];
    uint32_t axis;
    if (values->count != 2 || out->rank != indices->rank + 1 ||
        !feri_kit_axis(feri_ref_int(call->node, "axis", -1), out->rank, &axis)) {
        return feri_ref_unfit(call);
    }
    if (out->count == 0) {
        return FER_OK;
    }
    int64_t depth = out->dims[axis];
    uint64_t inner = (uint64_t)feri_kit_span(out->dims, axis + 1, out->rank);
    uint32_t bits = feri_ref_bits(out->dtype);
    if (indices->count * (uint64_t)depth != out->count) {
        return feri_ref_unfit(call);
    }
    if (feri_ref_fill(call, out, values->data)) {
        return call->status;
    }
    for (uint64_t i = 0; i < indices->count; i++) {
        int64_t index = feri_ref_scalar_i64(call, indices, i);
        index = index < 0 && index >= -depth ? index + depth : index;
        if (index >= 0 && index < depth) {
            uint64_t to = (i / inner * (uint64_t)depth + (uint64_t)index) * inner + i % inner;
            feri_ref_copy_run(bits, out->data, to, values->data, 1, 1);
        }
        fer_status status = feri_ref_poll(call, 1);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* clang-format off */
const feri_ref_kernel feri_ref_family_gather[] = {
    FERI_REF_KERNEL(Gather, 13, .run = run_gather)
    FERI_REF_KERNEL(GatherElements, 13, .run = run_gather_elements)
    FERI_REF_KERNEL(GatherND, 13, .run = run_gather_nd)
    FERI_REF_KERNEL(Compress, 11, .run = run_compress)
    FERI_REF_KERNEL(NonZero, 13, .run = run_non_zero)
    FERI_REF_KERNEL(ReverseSequence, 10, .run = run_reverse_sequence)
    FERI_REF_KERNEL(OneHot, 11, .run = run_one_hot)
    FERI_REF_END
};
/* clang-format on */
