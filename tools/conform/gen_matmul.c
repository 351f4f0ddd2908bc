/* SPDX-License-Identifier: Apache-2.0
 *
 * Products: MatMul in every rank and broadcast, Gemm, Einsum, determinants, and the integer
 * products. The error bound is that of shared sums of K products: (2 ceil(log2 K) + 8) units of the
 * accumulator times |A| |B|.
 */
#include "generators.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

long double sum_slack(fer_dtype dtype, uint64_t terms, long double size) {
    long double unit = dtype == FER_F64 ? 0x1p-53L : 0x1p-24L;
    long double steps = 2 * ceill(log2l((long double)terms + 1)) + 8;
    if (dtype == FER_F64) { /* nothing wider to accumulate in */
        steps = fmaxl(steps, 2 * sqrtl((long double)terms));
    }
    return isfinite(size) ? steps * unit * size : 0;
}

/* ---- MatMul and its integer form ---- */

/* Shape words give A of [..., M, K]; words of the text make B. */
static int fill_matmul(trial *self) {
    const char *form = arg_text(self, "form");
    int64_t dims[FER_MAX_RANK], n = arg_int(self, "N", 4);
    uint32_t rank = self->rank;
    if (rank < 1) {
        return 0;
    }
    memcpy(dims, self->dims, sizeof dims);
    int64_t k = dims[rank - 1];
    if (form == NULL || strcmp(form, "same") == 0) { /* equal batch dims */
        if (rank < 2) {
            return 0;
        }
        dims[rank - 2] = k;
        dims[rank - 1] = n;
        input_dims(self, 1, rank, dims);
    } else if (strcmp(form, "matrix") == 0) { /* B has no batch */
        input_dims(self, 1, 2, (int64_t[]){k, n});
    } else if (strcmp(form, "vector") == 0) {
        input_dims(self, 1, 1, &k);
    } else if (strcmp(form, "row") == 0 && rank >= 2) { /* A is a vector */
        dims[rank - 2] = k;
        dims[rank - 1] = n;
        input_dims(self, 0, 1, &k);
        input_dims(self, 1, rank, dims);
    } else if (strcmp(form, "cross") == 0 && rank >= 3) { /* batches broadcast both ways */
        int64_t b[] = {2, 1, k, n};
        input_dims(self, 1, 4, b);
        if (rank != 3) {
            return 0;
        }
    } else {
        return 0;
    }
    if (self->op->name[6] == 'I') {
        input_range(self, 0, self->inputs[0].dtype == FER_I8 ? -100 : 0, 100);
        input_range(self, 1, self->inputs[1].dtype == FER_I8 ? -100 : 0, 120);
        for (uint32_t i = 2; i < self->input_count; i++) {
            self->inputs[i].rank = 0;
            input_range(self, i, 1, 9);
        }
    }
    return 1;
}

/* A and B as [batch..., M, K] x [batch..., K, N]; vectors get a dim of one that the result loses.
 */
int matmul_numbers(const trial *self, const nd *first, const nd *second, nd *out) {
    nd a = *first, b = *second;
    int64_t dims[FER_MAX_RANK], index[FER_MAX_RANK] = {0}, final[FER_MAX_RANK];
    if (first->rank == 1) {
        a.rank = 2;
        a.dims[0] = 1;
        a.dims[1] = first->dims[0];
    }
    if (second->rank == 1) {
        b.rank = 2;
        b.dims[0] = second->dims[0];
        b.dims[1] = 1;
    }
    nd batch_a = {.rank = a.rank - 2}, batch_b = {.rank = b.rank - 2};
    memcpy(batch_a.dims, a.dims, sizeof a.dims);
    memcpy(batch_b.dims, b.dims, sizeof b.dims);
    const nd *batches[] = {&batch_a, &batch_b};
    uint32_t batch_rank, rank = 0;
    if (!dims_broadcast(batches, 2, &batch_rank, dims) ||
        a.dims[a.rank - 1] != b.dims[b.rank - 2]) {
        return 0;
    }
    int64_t m = a.dims[a.rank - 2], k = a.dims[a.rank - 1], n = b.dims[b.rank - 1];
    for (uint32_t i = 0; i < batch_rank; i++) {
        final[rank++] = dims[i];
    }
    if (first->rank > 1) {
        final[rank++] = m;
    }
    if (second->rank > 1) {
        final[rank++] = n;
    }
    nd_make(self, out, rank, final);
    nd_slack(self, out);
    for (uint64_t batch = 0; batch < dims_count(batch_rank, dims);
         batch++, (void)index_next(batch_rank, dims, index)) {
        const long double *x =
            a.v + (uint64_t)(m * k) * index_broadcast(batch_rank, index, &batch_a);
        const long double *y =
            b.v + (uint64_t)(k * n) * index_broadcast(batch_rank, index, &batch_b);
        for (int64_t i = 0; i < m * n; i++) {
            long double sum = 0, size = 0;
            for (int64_t j = 0; j < k; j++) {
                long double product = x[i / n * k + j] * y[j * n + i % n];
                sum += product;
                size += fabsl(product);
            }
            out->v[batch * (uint64_t)(m * n) + (uint64_t)i] = sum;
            out->slack[batch * (uint64_t)(m * n) + (uint64_t)i] =
                sum_slack(self->dtype, (uint64_t)k, size);
        }
    }
    return 1;
}

static void settle(const trial *self, fer_dtype dtype, nd *out) {
    int is_exact = dtype_is_integer(dtype) || strcmp(self->values, "ints") == 0;
    for (uint64_t i = 0; i < out->count; i++) {
        if (dtype_is_integer(dtype)) {
            out->v[i] = wrap_to(dtype, (wide_int)out->v[i]);
        }
        if (is_exact && out->slack != NULL) {
            out->slack[i] = 0;
        }
    }
}

static int matmul_oracle(const trial *self, const nd *in, nd *out) {
    if (!matmul_numbers(self, &in[0], &in[1], out)) {
        return 0;
    }
    settle(self, self->dtype, out);
    return 1;
}

static int matmul_integer_oracle(const trial *self, const nd *in, nd *out) {
    nd sides[2] = {in[0], in[1]};
    for (uint32_t s = 0; s < 2; s++) {
        sides[s].v = trial_memory(self, (in[s].count + 1) * sizeof(long double));
        for (uint64_t i = 0; i < in[s].count; i++) {
            sides[s].v[i] = in[s].v[i] - (in[s + 2].v != NULL ? in[s + 2].v[0] : 0);
        }
    }
    if (!matmul_numbers(self, &sides[0], &sides[1], out)) {
        return 0;
    }
    settle(self, FER_I32, out);
    return 1;
}

/* ---- Gemm ---- */

static int fill_gemm(trial *self) {
    double alpha = arg_real(self, "alpha", 1), beta = arg_real(self, "beta", 1);
    if (self->rank != 2 ||
        (dtype_is_integer(self->dtype) && (alpha != floor(alpha) || beta != floor(beta)))) {
        return 0;
    }
    int64_t m = self->dims[0], k = self->dims[1], n = arg_int(self, "N", 4);
    int64_t a[] = {m, k}, at[] = {k, m}, b[] = {k, n}, bt[] = {n, k};
    input_dims(self, 0, 2, arg_int(self, "transA", 0) != 0 ? at : a);
    input_dims(self, 1, 2, arg_int(self, "transB", 0) != 0 ? bt : b);
    if (self->input_count > 2) {
        const char *form = arg_text(self, "C_form");
        int64_t row[] = {1, n}, column[] = {m, 1}, whole[] = {m, n};
        int which = form == NULL ? 'w' : form[0];
        if (which == 's') {
            self->inputs[2].rank = 0;
        } else if (which == 'v') {
            input_dims(self, 2, 1, &n);
        } else {
            input_dims(self, 2, 2, which == 'r' ? row : which == 'c' ? column : whole);
        }
    }
    return 1;
}

static int gemm_oracle(const trial *self, const nd *in, nd *out) {
    int ta = arg_int(self, "transA", 0) != 0, tb = arg_int(self, "transB", 0) != 0;
    int64_t m = in[0].dims[ta], k = in[0].dims[!ta], n = in[1].dims[!tb], dims[] = {m, n};
    long double alpha = arg_real(self, "alpha", 1), beta = arg_real(self, "beta", 1);
    nd_make(self, out, 2, dims);
    nd_slack(self, out);
    for (int64_t i = 0; i < m * n; i++) {
        long double sum = 0, size = 0;
        int64_t row = i / n, column = i % n, at[] = {row, column};
        for (int64_t j = 0; j < k; j++) {
            long double product = in[0].v[ta ? j * m + row : row * k + j] *
                                  in[1].v[tb ? column * k + j : j * n + column];
            sum += product;
            size += fabsl(product);
        }
        long double c = in[2].v != NULL ? beta * in[2].v[index_broadcast(2, at, &in[2])] : 0;
        out->v[i] = alpha * sum + c;
        out->slack[i] = sum_slack(self->dtype, (uint64_t)k + 2, fabsl(alpha) * size + fabsl(c));
    }
    if (alpha == floorl(alpha) && beta == floorl(beta)) {
        settle(self, self->dtype, out);
    }
    return 1;
}

/* ---- Einsum: the letters of the text are joined by '+' where the equation has ',' ----
 * Y and Z are the axes of an ellipsis and are written as one, "YZij" as "...ij". Without '>' the
 * equation has no arrow: then the result is the ellipsis and the letters used once, in order. */

static int einsum_build_letters(const trial *self, char terms[CASE_INPUTS][16], char *result) {
    const char *text = arg_text(self, "eq");
    uint32_t count = 0;
    size_t length = 0;
    while (text != NULL && *text != '\0' && *text != '>') {
        if (*text == '+') {
            terms[count++][length] = '\0';
            length = 0;
        } else if (length < 15) {
            terms[count][length++] = *text;
        }
        text++;
    }
    terms[count++][length] = '\0';
    (void)snprintf(result, 16, "%s", text != NULL && *text == '>' ? text + 1 : "");
    const char *all = arg_text(self, "eq");
    for (const char *at = "YZABCDEFGHIJKLMNOPQRSTUVWXabcdefghijklmnopqrstuvwxyz";
         all != NULL && strchr(all, '>') == NULL && *at != '\0';
         at++) {
        const char *first = strchr(all, *at);
        size_t end = strlen(result);
        if (first != NULL && (*at == 'Y' || *at == 'Z' || strchr(first + 1, *at) == NULL)) {
            result[end] = *at;
            result[end + 1] = '\0';
        }
    }
    return (int)count;
}

static int64_t letter_size(char letter) {
    return letter == 'i' ? 3 : letter == 'j' ? 4 : letter == 'k' ? 5 : 2;
}

static int fill_einsum(trial *self) {
    char terms[CASE_INPUTS][16], result[16];
    int count = einsum_build_letters(self, terms, result);
    if (count != (int)self->input_count) {
        return 0;
    }
    for (int t = 0; t < count; t++) {
        int64_t dims[16];
        uint32_t rank = 0;
        for (const char *at = terms[t]; *at != '\0'; at++) {
            dims[rank++] = letter_size(*at);
        }
        input_dims(self, (uint32_t)t, rank, dims);
    }
    return 1;
}

static int einsum_oracle(const trial *self, const nd *in, nd *out) {
    char terms[CASE_INPUTS][16], result[16], letters[32] = "";
    int count = einsum_build_letters(self, terms, result);
    int64_t dims[32], index[32] = {0}, out_dims[16];
    uint32_t rank = 0;
    for (int t = -1; t < count; t++) {
        for (const char *at = t < 0 ? result : terms[t]; *at != '\0'; at++) {
            if (strchr(letters, *at) == NULL) {
                letters[rank] = *at;
                letters[rank + 1] = '\0';
                dims[rank++] = letter_size(*at);
            }
        }
    }
    for (size_t i = 0; i < strlen(result); i++) {
        out_dims[i] = letter_size(result[i]);
    }
    nd_make(self, out, (uint32_t)strlen(result), out_dims);
    nd_slack(self, out);
    do { /* over all letters, those of the result first */
        long double product = 1;
        for (int t = 0; t < count; t++) {
            uint64_t flat = 0;
            for (const char *at = terms[t]; *at != '\0'; at++) {
                flat = flat * (uint64_t)letter_size(*at) +
                       (uint64_t)index[strchr(letters, *at) - letters];
            }
            product *= in[t].v[flat];
        }
        uint64_t flat = index_flat(out->rank, out->dims, index);
        out->v[flat] += product;
        out->slack[flat] += sum_slack(self->dtype, 64, fabsl(product));
    } while (index_next(rank, dims, index));
    settle(self, self->dtype, out);
    return 1;
}

static fer_status einsum_build(const trial *self,
                               fer_graph *graph,
                               fer_context *context,
                               const fer_value_id *inputs,
                               fer_value_id *outputs) {
    char equation[96];
    size_t length = 0;
    (void)context;
    for (const char *at = arg_text(self, "eq"); *at != '\0' && length + 4 < sizeof equation; at++) {
        if (*at == '>') {
            equation[length++] = '-';
        }
        if (*at == 'Y' || *at == 'Z') {
            if (at == arg_text(self, "eq") || at[-1] != 'Y') {
                memcpy(equation + length, "...", 3);
                length += 3;
            }
            continue;
        }
        equation[length++] = *at == '+' ? ',' : *at;
    }
    fer_attr attr = {
        .name = "equation", .type = FER_ATTR_STRING, .count = 1, .value.s = {equation, length}
    };
    fer_node_desc node = {.struct_size = sizeof node,
                          .input_count = self->input_count,
                          .op = "Einsum",
                          .name = "case",
                          .inputs = inputs,
                          .attrs = &attr,
                          .attr_count = 1,
                          .output_count = 1};
    return fer_graph_add_node(graph, &node, outputs);
}

/* ---- Det ---- */

static long double determinant(const long double *m, int64_t n, int64_t stride) {
    if (n == 0) {
        return 1;
    }
    long double sum = 0, minor[36];
    for (int64_t c = 0; c < n; c++) {
        for (int64_t i = 1; i < n; i++) {
            for (int64_t j = 0, to = 0; j < n; j++) {
                if (j != c) {
                    minor[(i - 1) * 6 + to++] = m[i * stride + j];
                }
            }
        }
        sum += (c % 2 != 0 ? -1 : 1) * m[c] * determinant(minor, n - 1, 6);
    }
    return sum;
}
static int fill_det(trial *self) {
    return self->rank >= 2 && self->dims[self->rank - 1] == self->dims[self->rank - 2] &&
           self->dims[self->rank - 1] <= 5;
}
static int det_oracle(const trial *self, const nd *in, nd *out) {
    int64_t n = in->dims[in->rank - 1];
    nd_make(self, out, in->rank - 2, in->dims);
    nd_slack(self, out);
    for (uint64_t i = 0; i < out->count; i++) {
        out->v[i] = determinant(in->v + i * (uint64_t)(n * n), n, n);
        out->slack[i] = 200 * (self->dtype == FER_F64 ? 0x1p-53L : 0x1p-24L) *
                        powl(strcmp(self->values, "ints") ? 1.5L : 6, (long double)n);
    }
    return 1;
}

/* clang-format off */
static const case_row rows[] = {
    {"MatMul",
     NULL,    "odd prime wide tall vector one 2x3x4x5 1x1 3x0 0x4 17x300 257x256 1x3x1x7",
     "- form=matrix form=vector form=row form=cross N=1 N=17",                                       "ints uniform",
     fill_matmul, matmul_oracle,
     ROW_ZEROS, NULL,
     NULL        },
    {"MatMulInteger",
     "i8|u8", "odd prime wide one 2x3x4x5",
     "- with=a_zero_point:b_zero_point T2=i8 T2=u8,with=a_zero_point form=matrix",                   "ints",
     fill_matmul, matmul_integer_oracle,
     ROW_ZEROS, NULL,
     NULL        },
    {"Gemm",
     NULL,    "prime wide tall 1x1 5x7 3x0 64x65",
     "- transA=1 transB=1 transA=1,transB=1,with=C with=C with=C,C_form=row with=C,C_form=column "
     "with=C,C_form=scalar with=C,C_form=vector "
     "alpha=0.5,beta=2,with=C alpha=2,beta=3,with=C alpha=0.25 beta=0.5,with=C,transB=1 N=1,with=C", "ints uniform",
     fill_gemm,   gemm_oracle,
     ROW_ZEROS, NULL,
     NULL        },
    {"Einsum",
     NULL,    "scalar",
     "n=2,eq=ij+jk>ik n=2,eq=bij+bjk>bik n=1,eq=ij>ji n=1,eq=ii>i n=1,eq=ij>i n=1,eq=ij> "
     "n=2,eq=i+j>ij n=2,eq=i+i> "
     "n=3,eq=ij+jk+kb>ib n=2,eq=bij+bkj>bik n=1,eq=ijk>kij n=1,eq=ii> "
     "n=2,eq=ij+jk n=1,eq=ji n=2,eq=iB+Bk n=2,eq=jA+iA n=2,eq=jA+ij n=1,eq=ii n=2,eq=YZij+YZjk>YZik n=2,eq=Zij+YZjk>YZik n=2,eq=YZi+YZi> "
     "n=1,eq=YZij n=2,eq=Zij+Zjk n=1,eq=YZij>jYZ n=2,eq=YZji+i>YZj",                              "ints uniform",
     fill_einsum, einsum_oracle,
     ROW_ZEROS, NULL,
     einsum_build},
    {"Det",
     NULL,    "1x1 2x2 3x3 2x4x4 5x5 2x3x2x2",
     "-",                                                                                            "ints uniform",
     fill_det,    det_oracle,
     ROW_ZEROS, NULL,
     NULL        },
};
/* clang-format on */

const case_family cases_matmul = {"matmul", rows, sizeof rows / sizeof *rows};
