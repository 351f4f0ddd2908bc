/* SPDX-License-Identifier: Apache-2.0
 *
 * ReduceSum and its nine relatives, and the global average and maximum pools. Floats fold in f64,
 * integers in 64-bit wrapping arithmetic (those with a root, a logarithm or an exponential in f64).
 * Axes come from the second operand when it runs, so nothing is kept between runs. Called by the
 * executor through its table.
 */
#include "kit/geometry.h"
#include "ref/ref_line.h"

#include <math.h>
#include <string.h>

typedef struct reduction {
    feri_ref_call *call;
    const feri_ref_tensor *in;
    feri_ref_tensor *out;
    uint32_t op;
    int is_real; /* folds in f64 */
    int is_unsigned;
    uint64_t kept_inner;   /* elements of the innermost run that is kept; 1: it is reduced */
    uint64_t folded;       /* input elements per output element */
    feri_kit_walk kept;    /* over the input, outside kept_inner */
    feri_kit_walk reduced; /* over the input */
    feri_ref_word sum[FERI_REF_CHUNK];
    double scaled[FERI_REF_CHUNK]; /* LogSumExp: sum of exp(x - max), sum holds the max */
} reduction;

static feri_ref_word identity(const reduction *r) {
    feri_ref_word word = {.u = 0};
    int is_max = r->op == FER_OP_ReduceMax;
    if (r->is_real) {
        word.f = FERI_REF_IS(r->op, ReduceProd)                  ? 1.0
                 : is_max || FERI_REF_IS(r->op, ReduceLogSumExp) ? -(double)INFINITY
                 : FERI_REF_IS(r->op, ReduceMin)                 ? (double)INFINITY
                                                                 : 0.0;
    } else if (FERI_REF_IS(r->op, ReduceProd)) {
        word.u = 1;
    } else if (is_max || FERI_REF_IS(r->op, ReduceMin)) {
        uint32_t bits = r->in->dtype == FER_BOOL ? 1 : feri_kit_bits(r->in->dtype);
        uint64_t top = UINT64_MAX >> (64 - bits + (r->is_unsigned ? 0 : 1));
        word.u = r->is_unsigned ? (is_max ? 0 : top) : (is_max ? ~top : top);
    }
    return word;
}

/* sum holds the greatest, scaled the sum of exp(x - greatest). Differences are only taken of
 * unequal numbers: two equal infinities give NaN. */
static void fold_exp(double *sum, double *scaled, double v) {
    if (v > *sum || isnan(v)) {
        *scaled = (*scaled > 0.0 ? *scaled * exp(*sum - v) : 0.0) + 1.0;
        *sum = v;
    } else if (v > -(double)INFINITY) {
        *scaled += v == *sum ? 1.0 : exp(v - *sum);
    }
}

/* sum[i * step] folds values[i]. */
static void fold_real(reduction *r, uint64_t step, const double *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        double *sum = &r->sum[i * step].f, v = values[i];
        if (FERI_REF_IS(r->op, ReduceLogSumExp)) {
            fold_exp(sum, &r->scaled[i * step], v);
            continue;
        }
        if (r->op == FER_OP_ReduceMax) {
            *sum = v > *sum || isnan(v) ? v : *sum;
        } else if (FERI_REF_IS(r->op, ReduceMin)) {
            *sum = v < *sum || isnan(v) ? v : *sum;
        } else if (FERI_REF_IS(r->op, ReduceProd)) {
            *sum *= v;
        } else if (FERI_REF_IS(r->op, ReduceL1)) {
            *sum += fabs(v);
        } else if (FERI_REF_IS(r->op, ReduceL2) || FERI_REF_IS(r->op, ReduceSumSquare)) {
            *sum += v * v;
        } else {
            *sum += v;
        }
    }
}

static void fold_int(reduction *r, uint64_t step, const int64_t *values, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        feri_ref_word *sum = &r->sum[i * step];
        uint64_t v = (uint64_t)values[i];
        if (r->op == FER_OP_ReduceMax) {
            sum->u = (r->is_unsigned ? v > sum->u : values[i] > sum->i) ? v : sum->u;
        } else if (FERI_REF_IS(r->op, ReduceMin)) {
            sum->u = (r->is_unsigned ? v < sum->u : values[i] < sum->i) ? v : sum->u;
        } else if (FERI_REF_IS(r->op, ReduceProd)) {
            sum->u *= v;
        } else if (FERI_REF_IS(r->op, ReduceL1)) {
            sum->u += !r->is_unsigned && values[i] < 0 ? 0 - v : v;
        } else if (FERI_REF_IS(r->op, ReduceSumSquare)) {
            sum->u += v * v;
        } else {
            sum->u += v;
        }
    }
}

/* One contiguous run of the input into the sums: all into sum[0], or each into its own. */
static void fold_run(reduction *r, uint64_t start, uint64_t count, uint64_t step) {
    feri_ref_piece p = {.begin = start, .total = start + count};
    while (feri_ref_next(r->call, &p)) {
        feri_ref_word chunk[FERI_REF_CHUNK];
        feri_ref_load_as(r->call, r->in, p.begin, 1, p.count, chunk, r->is_real);
        if (r->is_real) {
            fold_real(r, step, &chunk->f, p.count);
        } else {
            fold_int(r, step, &chunk->i, p.count);
        }
    }
}

static void finish(reduction *r, uint64_t index, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        feri_ref_word *sum = &r->sum[i];
        if (FERI_REF_IS(r->op, ReduceLogSumExp) && r->scaled[i] > 0.0) {
            sum->f += log(r->scaled[i]);
        } else if (FERI_REF_IS(r->op, ReduceLogSum)) {
            sum->f = log(sum->f);
        } else if (FERI_REF_IS(r->op, ReduceL2)) {
            sum->f = sqrt(sum->f);
        } else if (r->op == FER_OP_ReduceMean && r->is_real) {
            sum->f /= (double)(int64_t)r->folded;
        } else if (r->op == FER_OP_ReduceMean && r->folded) {
            /* A signed sum is never INT64_MIN / -1: folded is positive. */
            sum->u = r->is_unsigned ? sum->u / r->folded : (uint64_t)(sum->i / (int64_t)r->folded);
        }
    }
    feri_ref_store_as(r->call, r->out, index, 1, count, r->sum, r->is_real);
}

/* Output elements [index, index + count), whose inputs start at start and neighbour each other. */
static void fold_outputs(reduction *r, uint64_t start, uint64_t index, uint64_t count) {
    feri_kit_cursor at;
    uint64_t inner = (uint64_t)r->reduced.inner, step = (uint64_t)r->reduced.step[0];
    int is_run = count == 1 && r->kept_inner == 1 && (step == 1 || inner == 1);
    for (uint64_t i = 0; i < count; i++) {
        r->sum[i] = identity(r);
        r->scaled[i] = 0.0;
    }
    for (int more = feri_kit_walk_begin(&r->reduced, &at); more && r->call->status == FER_OK;
         more = feri_kit_walk_next(&r->reduced, &at)) {
        uint64_t row = start + (uint64_t)at.offset[0];
        for (uint64_t i = 0; i < (is_run ? 1 : inner); i++) {
            fold_run(r, row + i * step, is_run ? inner : count, is_run ? 0 : 1);
        }
    }
    finish(r, index, count);
}

/* A global pool is a reduction of all spatial dims. */
static int is_global(uint32_t op) {
    return FERI_REF_IS(op, GlobalAveragePool) || FERI_REF_IS(op, GlobalMaxPool);
}

/* Reads the axes operand into a flag per dim. */
static fer_status read_axes(feri_ref_call *call, const feri_ref_tensor *in, uint8_t *flags) {
    const feri_ref_tensor *axes = feri_ref_input(call, 1);
    uint64_t count = axes ? axes->count : 0;
    if (is_global(call->node->op)) {
        memset(flags, 1, FER_MAX_RANK);
        flags[0] = flags[1] = 0;
        return in->rank >= 2 ? FER_OK : feri_ref_unfit(call);
    }
    memset(flags, count == 0 && !feri_ref_int(call->node, "noop_with_empty_axes", 0), FER_MAX_RANK);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t at = 0;
        if (!feri_kit_axis(feri_ref_scalar_i64(call, axes, i), in->rank, &at) || flags[at]) {
            return feri_ref_misfit(call,
                                   "an axis is beyond the rank of its operand or given twice");
        }
        flags[at] = 1;
    }
    return FER_OK;
}

/* Splits the dims into what is kept, what is reduced and the innermost kept run; the output must
 * have as many elements as are kept. */
static fer_status set_walks(reduction *r, const uint8_t *flags) {
    int64_t strides[FER_MAX_RANK], kept[FER_MAX_RANK], reduced[FER_MAX_RANK];
    const int64_t *operand[1] = {strides};
    uint32_t rank = r->in->rank;
    feri_kit_strides(rank, r->in->dims, strides);
    r->kept_inner = 1;
    while (rank > 0 && (!flags[rank - 1] || r->in->dims[rank - 1] == 1)) {
        r->kept_inner *= (uint64_t)r->in->dims[--rank];
    }
    r->folded = 1;
    uint64_t count = r->kept_inner;
    for (uint32_t i = 0; i < rank; i++) {
        kept[i] = flags[i] ? 1 : r->in->dims[i];
        reduced[i] = flags[i] ? r->in->dims[i] : 1;
        r->folded *= (uint64_t)reduced[i];
        count *= (uint64_t)kept[i];
    }
    feri_kit_walk_init(&r->kept, rank, kept, 1, operand);
    feri_kit_walk_init(&r->reduced, rank, reduced, 1, operand);
    return r->out->count == count ? FER_OK : feri_ref_unfit(r->call);
}

static fer_status run_reduction(reduction *r) {
    feri_kit_cursor at;
    uint64_t index = 0;
    int more = r->out->count > 0 && feri_kit_walk_begin(&r->kept, &at);
    for (; more && r->call->status == FER_OK; more = feri_kit_walk_next(&r->kept, &at)) {
        for (uint64_t row = 0; row < (uint64_t)r->kept.inner; row++) {
            uint64_t start = (uint64_t)at.offset[0] + row * (uint64_t)r->kept.step[0];
            feri_ref_piece p = {.total = r->kept_inner};
            while (feri_ref_next(r->call, &p)) {
                fold_outputs(r, start + p.begin, index, p.count);
                index += p.count;
            }
        }
    }
    return r->call->status;
}

static fer_status reduce_run(feri_ref_call *call) {
    uint8_t flags[FER_MAX_RANK];
    reduction r;
    r.call = call;
    r.in = call->in[0];
    r.out = call->out[0];
    r.op = call->node->op;
    if (is_global(r.op)) {
        r.op = FERI_REF_IS(r.op, GlobalMaxPool) ? FER_OP_ReduceMax : FER_OP_ReduceMean;
    }
    r.is_unsigned = feri_kit_class(r.in->dtype) != FERI_KIT_SIGNED;
    r.is_real = feri_kit_class(r.in->dtype) == FERI_KIT_FLOAT || FERI_REF_IS(r.op, ReduceL2) ||
                FERI_REF_IS(r.op, ReduceLogSum) || FERI_REF_IS(r.op, ReduceLogSumExp);
    if (read_axes(call, r.in, flags) || set_walks(&r, flags)) {
        return call->status;
    }
    return run_reduction(&r);
}

const feri_ref_kernel feri_ref_family_reduce[] = {{.run = reduce_run}};
/* clang-format off */
const feri_ref_op feri_ref_ops_reduce[] = {
    FERI_REF_ROW(ReduceL1, 18)
    FERI_REF_ROW(ReduceL2, 18)
    FERI_REF_ROW(ReduceLogSum, 18)
    FERI_REF_ROW(ReduceLogSumExp, 18)
    FERI_REF_ROW(ReduceMax, 20)
    FERI_REF_ROW(ReduceMean, 18)
    FERI_REF_ROW(ReduceMin, 20)
    FERI_REF_ROW(ReduceProd, 18)
    FERI_REF_ROW(ReduceSum, 13)
    FERI_REF_ROW(ReduceSumSquare, 18)
    FERI_REF_ROW(GlobalAveragePool, 22)
    FERI_REF_ROW(GlobalMaxPool, 22)
    FERI_REF_END
};
/* clang-format on */
