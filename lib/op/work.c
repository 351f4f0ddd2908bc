/* SPDX-License-Identifier: Apache-2.0
 *
 * Estimated operations of a node: what partition weighs shares by and what placement reports show.
 * An estimate, never an input of correctness.
 */
#include "ferrule/op_numbers.h"
#include "ferrule/op_selection.h"
#include "op/infer.h"

/* The product of dims from one on (-1: the last); 1 for what is not there, not a number
 * or 0. */
static double count_from(const feri_fact *fact, int32_t from) {
    double count = 1;
    for (int32_t i = from < 0 && fact ? fact->rank + from : from; fact && i < fact->rank; i++) {
        feri_sym dim = feri_infer_dim(fact, i);
        count *= feri_sym_is_number(dim) && dim.number > 0 ? (double)dim.number : 1;
    }
    return count;
}

/* Ops that multiply and add for each element of one tensor the dims of another. */
enum { RESULT = 9 };
typedef struct product {
    uint16_t op;
    uint8_t each;
    uint8_t by;
    int8_t from;
} product;
#define PRODUCT(ident, ...) FERI_OP_ROW(ident, {FER_OP_##ident, __VA_ARGS__}, )
/* clang-format off */
static const product products[] = {
    PRODUCT(MatMul, RESULT, 0, -1)
    PRODUCT(MatMulInteger, RESULT, 0, -1)
    PRODUCT(QLinearMatMul, RESULT, 0, -1)
    PRODUCT(Gemm, 0, RESULT, -1)
    PRODUCT(Conv, RESULT, 1, 1) /* C/group * kernel */
    PRODUCT(ConvInteger, RESULT, 1, 1)
    PRODUCT(DeformConv, RESULT, 1, 1)
    PRODUCT(CausalConvWithState, RESULT, 1, 1)
    PRODUCT(QLinearConv, RESULT, 3, 1)
    PRODUCT(ConvTranspose, 0, 1, 1) /* M/group * kernel */
    {0}
};
/* clang-format on */

static const feri_fact *tensor(const feri_infer *call, uint32_t index) {
    return index == RESULT ? feri_infer_out(call, 0) : feri_infer_in(call, index);
}

double feri_op_work(const feri_infer *call) {
    uint32_t op = call->op->number;
    const feri_fact *a = feri_infer_in(call, 0);
    double work = count_from(feri_infer_out(call, 0), 0);
    for (size_t i = 0; products[i].op != FER_OP_NONE; i++) {
        if (products[i].op == op) {
            return 2 * count_from(tensor(call, products[i].each), 0) *
                   count_from(tensor(call, products[i].by), products[i].from);
        }
    }
    if (call->op->family == FERI_FAMILY_recurrent) {
        /* X [T, N, I], W [D, G, I], R [D, G, H]: both products of every step. */
        return 2 * count_from(a, 0) / count_from(a, -1) *
               (count_from(feri_infer_in(call, 1), 0) + count_from(feri_infer_in(call, 2), 0));
    }
    if (FERI_HAS_OP(Attention) && op == FER_OP_Attention) { /* Q K^T and P V */
        const feri_fact *keys = feri_infer_in(call, 1);
        return 4 * count_from(a, 0) * count_from(keys, -2) / count_from(keys, -1);
    }
    uint32_t count;
    const int64_t *kernel = feri_infer_ints(call, "kernel_shape", &count);
    for (uint32_t i = 0; i < count; i++) {
        work *= kernel[i] > 0 ? (double)kernel[i] : 1;
    }
    double read = count_from(a, 0);
    return call->op->family == FERI_FAMILY_reduce && read > work ? read : work;
}
