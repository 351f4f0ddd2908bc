/* SPDX-License-Identifier: Apache-2.0
 *
 * Element-wise ops of another arity: Max, Min, Sum and Mean of any number of broadcast operands
 * (accumulated in f64 or i64, rounded once), Clip, Where. NaN wins in Max and Min, as in numpy.
 * Called through the step list.
 */
#include "ref/ref_elements.h"

#include <math.h>

static double f_sum(double a, double b) { return a + b; }
static double f_max(double a, double b) { return a > b || a != a ? a : b; }
static double f_min(double a, double b) { return a < b || a != a ? a : b; }
static int64_t i_max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t i_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t u_max(int64_t a, int64_t b) { return (uint64_t)a > (uint64_t)b ? a : b; }
static int64_t u_min(int64_t a, int64_t b) { return (uint64_t)a < (uint64_t)b ? a : b; }

/* Pieces of the output, all operands of each in turn. Operands' broadcasts are worked out anew per
 * run: their number is open, so params cannot hold them. */
static fer_status fold_f64(feri_ref_call *call, double (*two)(double, double), double scale) {
    feri_ref_tensor *out = call->out[0];
    double sum[FERI_REF_CHUNK];
    double next[FERI_REF_CHUNK];
    for (uint64_t begin = 0; begin < out->count; begin += FERI_REF_CHUNK) {
        uint64_t count = out->count - begin < FERI_REF_CHUNK ? out->count - begin : FERI_REF_CHUNK;
        for (uint32_t k = 0; k < call->node->input_count; k++) {
            feri_ref_operand operand;
            fer_status status = feri_ref_operand_init(call, &operand, call->in[k], out);
            if (status == FER_OK) {
                status = feri_ref_poll(call, count);
            }
            if (status != FER_OK) {
                return status;
            }
            feri_ref_operand_f64(call->host, &operand, call->in[k], begin, count, k ? next : sum);
            for (uint64_t i = 0; k > 0 && i < count; i++) {
                sum[i] = two(sum[i], next[i]);
            }
        }
        for (uint64_t i = 0; i < count; i++) {
            sum[i] /= scale;
        }
        call->host->store_f64(out->dtype, out->data, begin, count, sum, /*saturate=*/0);
    }
    return FER_OK;
}

static fer_status fold_i64(feri_ref_call *call, int64_t (*two)(int64_t, int64_t)) {
    feri_ref_tensor *out = call->out[0];
    int64_t sum[FERI_REF_CHUNK];
    int64_t next[FERI_REF_CHUNK];
    for (uint64_t begin = 0; begin < out->count; begin += FERI_REF_CHUNK) {
        uint64_t count = out->count - begin < FERI_REF_CHUNK ? out->count - begin : FERI_REF_CHUNK;
        for (uint32_t k = 0; k < call->node->input_count; k++) {
            feri_ref_operand operand;
            fer_status status = feri_ref_operand_init(call, &operand, call->in[k], out);
            if (status == FER_OK) {
                status = feri_ref_poll(call, count);
            }
            if (status != FER_OK) {
                return status;
            }
            feri_ref_operand_i64(call->host, &operand, call->in[k], begin, count, k ? next : sum);
            for (uint64_t i = 0; k > 0 && i < count; i++) {
                sum[i] = two(sum[i], next[i]);
            }
        }
        call->host->store_i64(out->dtype, out->data, begin, count, sum);
    }
    return FER_OK;
}

static fer_status run_extreme(feri_ref_call *call) {
    int is_max = call->node->op == FER_OP_Max;
    fer_dtype dtype = call->out[0]->dtype;
    if (feri_ref_is_float(dtype)) {
        return fold_f64(call, is_max ? f_max : f_min, /*scale=*/1);
    }
    if (feri_ref_is_signed(dtype)) {
        return fold_i64(call, is_max ? i_max : i_min);
    }
    return fold_i64(call, is_max ? u_max : u_min);
}

static fer_status run_sum(feri_ref_call *call) {
    int is_mean = call->node->op == FER_OP_Mean;
    return fold_f64(call, f_sum, is_mean ? (double)call->node->input_count : 1);
}

static const char *refuse_fold(const fer_subgraph *graph, const fer_node_view *node) {
    uint32_t kind = feri_kit_class(graph->values[node->inputs[0]]->dtype);
    int floats_only = node->op == FER_OP_Sum || node->op == FER_OP_Mean;
    if (kind == FERI_KIT_COMPLEX || (floats_only && kind != FERI_KIT_FLOAT)) {
        return "the op is not defined for this dtype";
    }
    return NULL;
}

/* ---- Clip: min(max(x, low), high), so high wins where low > high ---- */

static const feri_ref_tensor *bound(const feri_ref_call *call, uint32_t index) {
    return index < call->node->input_count ? call->in[index] : NULL;
}

static fer_status clip_floats(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *low_one = bound(call, 1);
    const feri_ref_tensor *high_one = bound(call, 2);
    double low = low_one ? feri_ref_scalar_f64(call->host, low_one, 0) : -INFINITY;
    double high = high_one ? feri_ref_scalar_f64(call->host, high_one, 0) : INFINITY;
    double values[FERI_REF_CHUNK];
    for (uint64_t begin = 0; begin < in->count; begin += FERI_REF_CHUNK) {
        uint64_t count = in->count - begin < FERI_REF_CHUNK ? in->count - begin : FERI_REF_CHUNK;
        call->host->load_f64(in->dtype, in->data, begin, count, values);
        for (uint64_t i = 0; i < count; i++) {
            values[i] = values[i] < low ? low : values[i];
            values[i] = values[i] > high ? high : values[i];
        }
        call->host->store_f64(in->dtype, call->out[0]->data, begin, count, values, 0);
        fer_status status = feri_ref_poll(call, count);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status run_clip(feri_ref_call *call) {
    const feri_ref_tensor *in = call->in[0];
    const feri_ref_tensor *low_one = bound(call, 1);
    const feri_ref_tensor *high_one = bound(call, 2);
    if (in->count != call->out[0]->count || (low_one && low_one->count != 1) ||
        (high_one && high_one->count != 1)) {
        return feri_ref_fail(call, FER_INVALID_INPUT, "min and max must be scalars");
    }
    if (feri_ref_is_float(in->dtype)) {
        return clip_floats(call);
    }
    int is_signed = feri_ref_is_signed(in->dtype);
    int64_t (*at_least)(int64_t, int64_t) = is_signed ? i_max : u_max;
    int64_t (*at_most)(int64_t, int64_t) = is_signed ? i_min : u_min;
    int64_t low = is_signed ? INT64_MIN : 0;
    int64_t high = is_signed ? INT64_MAX : -1;
    low = low_one ? feri_ref_scalar_i64(call->host, low_one, 0) : low;
    high = high_one ? feri_ref_scalar_i64(call->host, high_one, 0) : high;
    int64_t values[FERI_REF_CHUNK];
    for (uint64_t begin = 0; begin < in->count; begin += FERI_REF_CHUNK) {
        uint64_t count = in->count - begin < FERI_REF_CHUNK ? in->count - begin : FERI_REF_CHUNK;
        call->host->load_i64(in->dtype, in->data, begin, count, values);
        for (uint64_t i = 0; i < count; i++) {
            values[i] = at_most(at_least(values[i], low), high);
        }
        call->host->store_i64(in->dtype, call->out[0]->data, begin, count, values);
        fer_status status = feri_ref_poll(call, count);
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

/* ---- Where ---- */

static fer_status run_where(feri_ref_call *call) {
    feri_ref_tensor *out = call->out[0];
    uint32_t bits = feri_ref_bits(out->dtype);
    int64_t strides[4][FER_MAX_RANK];
    const int64_t *list[4] = {strides[0], strides[1], strides[2], strides[3]};
    for (uint32_t k = 0; k < 3; k++) {
        const feri_ref_tensor *in = call->in[k];
        if (!feri_kit_broadcast_strides(out->rank, out->dims, in->rank, in->dims, strides[k])) {
            return feri_ref_fail(
                call, FER_INVALID_INPUT, "the shapes of condition, X and Y do not broadcast");
        }
    }
    feri_kit_strides(out->rank, out->dims, strides[3]);
    feri_kit_walk walk;
    feri_kit_cursor at;
    feri_kit_walk_init(&walk, out->rank, out->dims, 4, list);
    if (!feri_kit_walk_begin(&walk, &at)) {
        return FER_OK;
    }
    do {
        for (int64_t i = 0; i < walk.inner; i++) {
            uint32_t from = call->in[0]->data[at.offset[0] + i * walk.step[0]] ? 1 : 2;
            feri_ref_copy_run(bits,
                              out->data,
                              (uint64_t)(at.offset[3] + i * walk.step[3]),
                              call->in[from]->data,
                              (uint64_t)(at.offset[from] + i * walk.step[from]),
                              1);
            fer_status status = feri_ref_poll(call, 1);
            if (status != FER_OK) {
                return status;
            }
        }
    } while (feri_kit_walk_next(&walk, &at));
    return FER_OK;
}

/* clang-format off */
static const feri_ref_kernel kernels[] = {
    FERI_REF_ROW(Max, 13, run_extreme, NULL, 0, NULL, refuse_fold)
    FERI_REF_ROW(Min, 13, run_extreme, NULL, 0, NULL, refuse_fold)
    FERI_REF_ROW(Sum, 13, run_sum, NULL, 0, NULL, refuse_fold)
    FERI_REF_ROW(Mean, 13, run_sum, NULL, 0, NULL, refuse_fold)
    FERI_REF_ROW(Clip, 13, run_clip, NULL, 0, NULL, NULL)
    FERI_REF_ROW(Where, 16, run_where, NULL, 0, NULL, NULL)
    FERI_REF_END
};
/* clang-format on */
const feri_ref_family feri_ref_family_select = FERI_REF_FAMILY_OF(kernels);
