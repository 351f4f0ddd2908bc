/* SPDX-License-Identifier: Apache-2.0
 *
 * Estimated operations of a node: what partition weighs shares by and what placement reports show.
 * An estimate, never an input of correctness.
 */
#include "ferrule/op_numbers.h"
#include "op/op.h"

/* Product of the dims from first on; 1 for what is unknown. */
static double count_from(const feri_fact *fact, int32_t first) {
    double count = 1;
    if (!fact) {
        return 1;
    }
    for (int32_t i = first; i < fact->rank; i++) {
        count *= feri_sym_is_number(fact->dims[i]) ? (double)fact->dims[i].number : 1;
    }
    return count;
}

static double dim_at(const feri_fact *fact, int32_t index) {
    if (!fact || index < 0 || index >= fact->rank || !feri_sym_is_number(fact->dims[index])) {
        return 1;
    }
    return (double)fact->dims[index].number;
}

static double count_of(const feri_infer *call, uint32_t out) {
    return out < call->out_count && call->out[out] ? count_from(call->out[out], 0) : 1;
}

static const feri_fact *input(const feri_infer *call, uint32_t index) {
    return index < call->in_count ? call->in[index] : NULL;
}

/* X [T, N, I], R [D, G, H]: the recurrent and the input product of every step. */
static double recurrent_work(const feri_infer *call) {
    const feri_fact *x = input(call, 0);
    const feri_fact *w = input(call, 1);
    const feri_fact *r = input(call, 2);
    return 2.0 * dim_at(x, 0) * dim_at(x, 1) * (count_from(w, 0) + count_from(r, 0));
}

double feri_op_work(const feri_infer *call) {
    const feri_fact *a = input(call, 0);
    switch (call->op->number) {
    case FER_OP_MatMul:
    case FER_OP_MatMulInteger:
    case FER_OP_QLinearMatMul:
        return 2.0 * count_of(call, 0) * dim_at(a, a ? a->rank - 1 : 0);
    case FER_OP_Gemm: {
        int64_t is_transposed = feri_attr_int(call->attrs, call->attr_count, "transA", 0);
        return 2.0 * count_of(call, 0) * dim_at(a, is_transposed ? 0 : 1);
    }
    case FER_OP_Conv:
    case FER_OP_ConvInteger:
    case FER_OP_DeformConv: /* per output: C/group * kernel */
        return 2.0 * count_of(call, 0) * count_from(input(call, 1), 1);
    case FER_OP_QLinearConv:
        return 2.0 * count_of(call, 0) * count_from(input(call, 3), 1);
    case FER_OP_CausalConvWithState:
        return 2.0 * count_of(call, 0) * count_from(input(call, 1), 1);
    case FER_OP_ConvTranspose: /* per input: M/group * kernel */
        return 2.0 * count_from(a, 0) * count_from(input(call, 1), 1);
    case FER_OP_LSTM:
    case FER_OP_GRU:
    case FER_OP_RNN:
        return recurrent_work(call);
    case FER_OP_Attention: /* Q K^T and P V */
        return 4.0 * count_from(a, 0) *
               dim_at(input(call, 1), input(call, 1) ? input(call, 1)->rank - 2 : 0);
    case FER_OP_AveragePool:
    case FER_OP_MaxPool:
    case FER_OP_LpPool: {
        const fer_attr *kernel = feri_attr_find(call->attrs, call->attr_count, "kernel_shape");
        double work = count_of(call, 0);
        for (uint32_t i = 0; kernel && kernel->type == FER_ATTR_INTS && i < kernel->count; i++) {
            work *= kernel->value.ints[i] > 0 ? (double)kernel->value.ints[i] : 1;
        }
        return work;
    }
    default:
        break;
    }
    double work = count_of(call, 0);
    double read = a ? count_from(a, 0) : 0;
    int is_reduction = call->op->family == FERI_FAMILY_reduce;
    return is_reduction && read > work ? read : work;
}
