/* SPDX-License-Identifier: Apache-2.0
 *
 * The heavy kernel families of ref (reductions, products, convolution, pools, norms, Resize,
 * recurrent layers) against values worked out by hand, their refusals, and their polls. Through the
 * table only.
 */
#include "small_host.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})
#define RANK(...) (uint32_t)(sizeof(SHAPE(__VA_ARGS__)) / sizeof(int64_t))
/* operand(F32, data, 2, 3) is a 2 x 3 tensor. */
#define OPERAND(dtype, data, ...) operand(FER_##dtype, data, RANK(__VA_ARGS__), SHAPE(__VA_ARGS__))

static node_operand operand(fer_dtype dtype, void *data, uint32_t rank, const int64_t *dims) {
    node_operand made = {.dtype = dtype, .rank = rank, .data = data};
    memcpy(made.dims, dims, rank * sizeof *dims);
    return made;
}
static node_operand scalar(fer_dtype dtype, void *data) {
    return (node_operand){.dtype = dtype, .data = data};
}

static fer_attr int_attr(const char *name, int64_t value) {
    return (fer_attr){.name = name, .type = FER_ATTR_INT, .count = 1, .value = {.i = value}};
}
static fer_attr ints_attr(const char *name, uint32_t count, const int64_t *values) {
    return (fer_attr){
        .name = name, .type = FER_ATTR_INTS, .count = count, .value = {.ints = values}};
}
static fer_attr string_attr(const char *name, const char *value) {
    return (fer_attr){
        .name = name, .type = FER_ATTR_STRING, .count = 1, .value = {.s = {value, strlen(value)}}};
}
#define INTS(name, ...) ints_attr(name, RANK(__VA_ARGS__), SHAPE(__VA_ARGS__))

static fer_status run(node_case *one, uint32_t op, uint32_t revision) {
    small_host small;
    small_host_init(&small);
    one->op = op;
    one->revision = revision;
    while (one->in_count < NODE_CASE_OPERANDS && one->in[one->in_count].dtype) {
        one->in_count++;
    }
    while (one->out_count < NODE_CASE_OPERANDS && one->out[one->out_count].dtype) {
        one->out_count++;
    }
    fer_status status = node_case_run(&small, fer_ref_backend_open, one);
    assert_int_equal(small.live, 0);
    assert_true(status == FER_OK || one->reason[0] || small.message[0]);
    return status;
}

static void close_to(const float *got, const float *expected, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        assert_true(fabsf(got[i] - expected[i]) <= 1e-5f * (1.0f + fabsf(expected[i])));
    }
}

/* ---- reductions ---- */

static void reduce_folds_named_axes(void **state) {
    (void)state;
    float x[6] = {1, 2, 3, 4, 5, 6}, y[3];
    int64_t axis = 0;
    fer_attr keep = int_attr("keepdims", 0);
    node_case one = {.attrs = &keep, .attr_count = 1};
    one.in[0] = OPERAND(F32, x, 2, 3);
    one.in[1] = OPERAND(I64, &axis, 1);
    one.out[0] = OPERAND(F32, y, 3);
    assert_int_equal(run(&one, FER_OP_ReduceSum, 13), FER_OK);
    close_to(y, (float[]){5, 7, 9}, 3);
    assert_int_equal(run(&one, FER_OP_ReduceSumSquare, 18), FER_OK);
    close_to(y, (float[]){17, 29, 45}, 3);
    axis = 1; /* leaves two, not three */
    assert_int_equal(run(&one, FER_OP_ReduceSum, 13), FER_INVALID_INPUT);
    axis = 7;
    assert_int_equal(run(&one, FER_OP_ReduceSum, 13), FER_INVALID_INPUT);
}

static void reduce_without_axes_folds_all_or_nothing(void **state) {
    (void)state;
    int32_t x[4] = {-7, 2, 1, 1}, y[4];
    fer_attr noop = int_attr("noop_with_empty_axes", 1);
    node_case all = {.in_count = 1};
    all.in[0] = OPERAND(I32, x, 4);
    all.out[0] = OPERAND(I32, y, 1);
    assert_int_equal(run(&all, FER_OP_ReduceMean, 18), FER_OK);
    assert_int_equal(y[0], 0); /* -3 / 4 truncates */
    assert_int_equal(run(&all, FER_OP_ReduceMin, 20), FER_OK);
    assert_int_equal(y[0], -7);
    node_case none = {.attrs = &noop, .attr_count = 1};
    none.in[0] = OPERAND(I32, x, 4);
    none.out[0] = OPERAND(I32, y, 4);
    assert_int_equal(run(&none, FER_OP_ReduceSum, 13), FER_OK);
    assert_memory_equal(x, y, sizeof x);
}

static void reduce_of_nothing_is_the_identity(void **state) {
    (void)state;
    float unused = 0, y[2];
    int64_t axis = 1;
    node_case one = {.in_count = 2};
    one.in[0] = OPERAND(F32, &unused, 2, 0);
    one.in[1] = OPERAND(I64, &axis, 1);
    one.out[0] = OPERAND(F32, y, 2, 1);
    assert_int_equal(run(&one, FER_OP_ReduceMax, 20), FER_OK);
    assert_true(isinf(y[0]) && y[0] < 0);
    assert_int_equal(run(&one, FER_OP_ReduceProd, 18), FER_OK);
    assert_true(y[1] == 1);
    assert_int_equal(run(&one, FER_OP_ReduceLogSumExp, 18), FER_OK);
    assert_true(isinf(y[1]) && y[1] < 0);
}

static void arg_and_topk_keep_the_order_of_ties(void **state) {
    (void)state;
    uint64_t x[5] = {3, UINT64_MAX, 1, UINT64_MAX, 1}, values[3];
    int64_t index = 9, k = 3, indices[3];
    fer_attr last[2] = {int_attr("keepdims", 0), int_attr("select_last_index", 1)};
    node_case arg = {.attrs = last, .attr_count = 1};
    arg.in[0] = OPERAND(U64, x, 5);
    arg.out[0] = scalar(FER_I64, &index);
    assert_int_equal(run(&arg, FER_OP_ArgMax, 13), FER_OK);
    assert_int_equal(index, 1);
    arg.attr_count = 2;
    assert_int_equal(run(&arg, FER_OP_ArgMin, 13), FER_OK);
    assert_int_equal(index, 4);
    node_case top = {.in_count = 2};
    top.in[0] = OPERAND(U64, x, 5);
    top.in[1] = OPERAND(I64, &k, 1);
    top.out[0] = OPERAND(U64, values, 3);
    top.out[1] = OPERAND(I64, indices, 3);
    assert_int_equal(run(&top, FER_OP_TopK, 24), FER_OK);
    assert_true(values[0] == UINT64_MAX && values[1] == UINT64_MAX && values[2] == 3);
    assert_true(indices[0] == 1 && indices[1] == 3 && indices[2] == 0);
}

static void cumsum_runs_both_ways(void **state) {
    (void)state;
    float x[4] = {1, 2, 3, 4}, y[4];
    int64_t axis = -1;
    fer_attr attrs[2] = {int_attr("reverse", 1), int_attr("exclusive", 1)};
    node_case one = {.attrs = attrs, .attr_count = 2};
    one.in[0] = OPERAND(F32, x, 4);
    one.in[1] = scalar(FER_I64, &axis);
    one.out[0] = OPERAND(F32, y, 4);
    assert_int_equal(run(&one, FER_OP_CumSum, 14), FER_OK);
    close_to(y, (float[]){9, 7, 4, 0}, 4);
}

/* ---- products ---- */

static void matmul_broadcasts_batches(void **state) {
    (void)state;
    int32_t a[4] = {1, 2, 3, INT32_MAX}, b[4] = {1, 1, 10, 2}, y[4];
    node_case one = {.in_count = 2};
    one.in[0] = OPERAND(I32, a, 2, 1, 1, 2);
    one.in[1] = OPERAND(I32, b, 2, 2, 1);
    one.out[0] = OPERAND(I32, y, 2, 2, 1, 1);
    assert_int_equal(run(&one, FER_OP_MatMul, 13), FER_OK);
    /* 3 * 10 + INT32_MAX * 2 wraps */
    assert_true(y[0] == 3 && y[1] == 14 && y[2] == INT32_MIN + 2 && y[3] == 28);
    one.in[1] = OPERAND(I32, b, 4, 1, 1); /* 2 against 4, and k does not fit */
    assert_int_equal(run(&one, FER_OP_MatMul, 13), FER_INVALID_INPUT);
}

static void gemm_transposes_and_adds(void **state) {
    (void)state;
    float a[6] = {1, 2, 3, 4, 5, 6}, b[3] = {1, 0, -1}, c[2] = {10, 20}, y[2];
    fer_attr attrs[2] = {int_attr("transA", 1), int_attr("transB", 1)};
    node_case one = {.attrs = attrs, .attr_count = 2};
    one.in[0] = OPERAND(F32, a, 3, 2);
    one.in[1] = OPERAND(F32, b, 1, 3);
    one.in[2] = OPERAND(F32, c, 2, 1);
    one.out[0] = OPERAND(F32, y, 2, 1);
    assert_int_equal(run(&one, FER_OP_Gemm, 13), FER_OK);
    close_to(y, (float[]){1 - 5 + 10, 2 - 6 + 20}, 2);
}

/* Larger than every block, so that edges of blocks and tiles are met: against plain loops. */
static void matmul_crosses_its_blocks(void **state) {
    (void)state;
    enum { M = 197, K = 301, N = 263 };
    static float a[M * K], b[K * N], y[M * N];
    for (uint32_t i = 0; i < M * K; i++) {
        a[i] = (float)((int)(i * 7 % 23) - 11);
    }
    for (uint32_t i = 0; i < K * N; i++) {
        b[i] = (float)((int)(i * 5 % 19) - 9);
    }
    node_case one = {.in_count = 2};
    one.in[0] = OPERAND(F32, a, M, K);
    one.in[1] = OPERAND(F32, b, K, N);
    one.out[0] = OPERAND(F32, y, M, N);
    assert_int_equal(run(&one, FER_OP_MatMul, 13), FER_OK);
    for (uint32_t i = 0; i < M; i += 7) {
        for (uint32_t j = 0; j < N; j++) {
            float sum = 0; /* small integers: exact */
            for (uint32_t k = 0; k < K; k++) {
                sum += a[i * K + k] * b[k * N + j];
            }
            assert_true(y[i * N + j] == sum);
        }
    }
}

/* A product of 4,194,304 steps asks at least once per 65,536 and stops when told to. */
static void long_work_polls_and_stops(void **state) {
    (void)state;
    enum { SIDE = 64, K = 1024 };
    static float a[SIDE * K], b[K * SIDE], y[SIDE * SIDE];
    node_case one = {.op = FER_OP_MatMul, .revision = 13, .in_count = 2, .out_count = 1};
    one.in[0] = OPERAND(F32, a, SIDE, K);
    one.in[1] = OPERAND(F32, b, K, SIDE);
    one.out[0] = OPERAND(F32, y, SIDE, SIDE);
    small_host small;
    small_host_init(&small);
    assert_int_equal(node_case_run(&small, fer_ref_backend_open, &one), FER_OK);
    assert_true(small.polls >= 64);
    small.polls = 0;
    small.poll_status = FER_CANCELLED;
    assert_int_equal(node_case_run(&small, fer_ref_backend_open, &one), FER_CANCELLED);
    assert_int_equal(small.polls, 1);
}

/* ---- windows ---- */

static void conv_pads_strides_and_groups(void **state) {
    (void)state;
    float x[8] = {1, 2, 3, 4, 10, 20, 30, 40}, w[6] = {1, 1, 1, -1, 0, 1}, bias[2] = {0, 0.5f};
    float y[4];
    fer_attr attrs[3] = {INTS("pads", 1, 1), INTS("strides", 2), int_attr("group", 2)};
    node_case one = {.attrs = attrs, .attr_count = 3};
    one.in[0] = OPERAND(F32, x, 1, 2, 4);
    one.in[1] = OPERAND(F32, w, 2, 1, 3);
    one.in[2] = OPERAND(F32, bias, 2);
    one.out[0] = OPERAND(F32, y, 1, 2, 2);
    assert_int_equal(run(&one, FER_OP_Conv, 22), FER_OK);
    close_to(y, (float[]){3, 9, 20.5f, 20.5f}, 4);
    attrs[2] = int_attr("group", 3);
    assert_int_equal(run(&one, FER_OP_Conv, 22), FER_INVALID_INPUT);
    attrs[2] = int_attr("group", 2);
    attrs[1] = INTS("strides", 0);
    assert_int_equal(run(&one, FER_OP_Conv, 22), FER_INVALID_MODEL);
}

static void conv_transpose_spreads(void **state) {
    (void)state;
    float x[2] = {1, 2}, w[3] = {1, 10, 100}, y[6];
    fer_attr attrs[2] = {INTS("strides", 2), INTS("output_padding", 1)};
    node_case one = {.attrs = attrs, .attr_count = 2};
    one.in[0] = OPERAND(F32, x, 1, 1, 2);
    one.in[1] = OPERAND(F32, w, 1, 1, 3);
    one.out[0] = OPERAND(F32, y, 1, 1, 6);
    assert_int_equal(run(&one, FER_OP_ConvTranspose, 22), FER_OK);
    close_to(y, (float[]){1, 10, 102, 20, 200, 0}, 6);
}

static void pools_see_the_input_only(void **state) {
    (void)state;
    float x[4] = {-1, -2, -3, -4}, y[4];
    int64_t indices[4];
    fer_attr attrs[4] = {INTS("kernel_shape", 2, 2),
                         INTS("pads", 1, 1, 0, 0),
                         int_attr("storage_order", 1),
                         int_attr("count_include_pad", 1)};
    node_case max = {.attrs = attrs, .attr_count = 3};
    max.in[0] = OPERAND(F32, x, 1, 1, 2, 2);
    max.out[0] = OPERAND(F32, y, 1, 1, 2, 2);
    max.out[1] = OPERAND(I64, indices, 1, 1, 2, 2);
    assert_int_equal(run(&max, FER_OP_MaxPool, 22), FER_OK);
    close_to(y, (float[]){-1, -1, -1, -1}, 4);
    node_case average = {.attrs = attrs, .attr_count = 2};
    average.in[0] = max.in[0];
    average.out[0] = max.out[0];
    assert_int_equal(run(&average, FER_OP_AveragePool, 22), FER_OK);
    close_to(y, (float[]){-1, -1.5f, -2, -2.5f}, 4);
    average.attr_count = 4;
    assert_int_equal(run(&average, FER_OP_AveragePool, 22), FER_OK);
    close_to(y, (float[]){-0.25f, -0.75f, -1, -2.5f}, 4);
    average.attr_count = 0;
    average.out[0] = OPERAND(F32, y, 1, 1, 1, 1);
    assert_int_equal(run(&average, FER_OP_GlobalMaxPool, 22), FER_OK);
    assert_true(y[0] == -1);
}

/* ---- norms ---- */

static void softmax_survives_large_numbers(void **state) {
    (void)state;
    float x[4] = {1000, 0, 1000, 1000}, y[4];
    fer_attr axis = int_attr("axis", 0);
    node_case one = {.attrs = &axis, .attr_count = 1};
    one.in[0] = OPERAND(F32, x, 2, 2);
    one.out[0] = OPERAND(F32, y, 2, 2);
    assert_int_equal(run(&one, FER_OP_Softmax, 13), FER_OK);
    close_to(y, (float[]){0.5f, 0, 0.5f, 1}, 4);
    assert_int_equal(run(&one, FER_OP_LogSoftmax, 13), FER_OK);
    close_to(y, (float[]){-0.6931472f, -1000, -0.6931472f, 0}, 4);
}

static void layer_norm_gives_its_moments(void **state) {
    (void)state;
    float x[4] = {1, 3, -2, 2}, scale[2] = {1, 2}, y[4], mean[2], inverse[2];
    fer_attr epsilon = {.name = "epsilon", .type = FER_ATTR_FLOAT, .count = 1, .value = {.f = 0}};
    node_case one = {.attrs = &epsilon, .attr_count = 1};
    one.in[0] = OPERAND(F32, x, 2, 2);
    one.in[1] = OPERAND(F32, scale, 2);
    one.out[0] = OPERAND(F32, y, 2, 2);
    one.out[1] = OPERAND(F32, mean, 2, 1);
    one.out[2] = OPERAND(F32, inverse, 2, 1);
    assert_int_equal(run(&one, FER_OP_LayerNormalization, 17), FER_OK);
    close_to(y, (float[]){-1, 2, -1, 2}, 4);
    close_to(mean, (float[]){2, 0}, 2);
    close_to(inverse, (float[]){1, 0.5f}, 2);
}

/* ---- Resize ---- */

static void resize_blends_and_copies(void **state) {
    (void)state;
    float x[2] = {0, 4}, scales[1] = {2}, y[4];
    uint8_t bytes[2] = {1, 4}, out[4];
    fer_attr attrs[2] = {string_attr("mode", "linear"),
                         string_attr("coordinate_transformation_mode", "half_pixel")};
    fer_attr *mode = &attrs[0], *coordinates = &attrs[1];
    node_case one = {.attrs = attrs, .attr_count = 2, .in_count = 3};
    one.in[0] = OPERAND(F32, x, 2);
    one.in[2] = OPERAND(F32, scales, 1);
    one.in[2].flags = FER_VALUE_HOST;
    one.out[0] = OPERAND(F32, y, 4);
    assert_int_equal(run(&one, FER_OP_Resize, 19), FER_OK);
    close_to(y, (float[]){0, 1, 3, 4}, 4);
    *coordinates = string_attr("coordinate_transformation_mode", "tf_half_pixel_for_nn");
    assert_int_equal(run(&one, FER_OP_Resize, 19), FER_OK); /* opset 11 has it */
    close_to(y, (float[]){1, 3, 4, 4}, 4);
    *coordinates = string_attr("coordinate_transformation_mode", "half_pixel");
    one.in[0] = OPERAND(U8, bytes, 2); /* 1.75 and 3.25 round */
    one.out[0] = OPERAND(U8, out, 4);
    assert_int_equal(run(&one, FER_OP_Resize, 19), FER_OK);
    assert_true(out[0] == 1 && out[1] == 2 && out[2] == 3 && out[3] == 4);
    *mode = string_attr("mode", "nearest");
    assert_int_equal(run(&one, FER_OP_Resize, 19), FER_OK);
    assert_true(out[0] == 1 && out[1] == 1 && out[2] == 4 && out[3] == 4);
    scales[0] = 0.1f; /* Y would be empty */
    assert_int_equal(run(&one, FER_OP_Resize, 19), FER_INVALID_INPUT);
}

/* ---- recurrent ---- */

/* With the identity as activation an RNN sums what it sees. */
static void rnn_sums_both_ways_and_stops_at_the_end(void **state) {
    (void)state;
    float x[6] = {1, 10, 2, 20, 4, 40}, w[2] = {1, 1}, r[2] = {1, 1}, y[12], last[4];
    int32_t lengths[2] = {3, 2};
    fer_string names[2] = {
        {"Affine", 6},
        {"Affine", 6}
    };
    fer_attr attrs[3] = {
        int_attr("hidden_size", 1),
        string_attr("direction", "bidirectional"),
        {.name = "activations", .type = FER_ATTR_STRINGS, .count = 2, .value = {.strings = names}}
    };
    node_case one = {.attrs = attrs, .attr_count = 3, .in_count = 5};
    one.in[0] = OPERAND(F32, x, 3, 2, 1);
    one.in[1] = OPERAND(F32, w, 2, 1, 1);
    one.in[2] = OPERAND(F32, r, 2, 1, 1);
    one.in[4] = OPERAND(I32, lengths, 2);
    one.out[0] = OPERAND(F32, y, 3, 2, 2, 1);
    one.out[1] = OPERAND(F32, last, 2, 2, 1);
    assert_int_equal(run(&one, FER_OP_RNN, 22), FER_OK);
    close_to(y, (float[]){1, 10, 7, 30, 3, 30, 6, 20, 7, 0, 4, 0}, 12);
    close_to(last, (float[]){7, 30, 7, 30}, 4);
    lengths[0] = 4;
    assert_int_equal(run(&one, FER_OP_RNN, 22), FER_INVALID_INPUT);
    names[1] = (fer_string){"Cosine", 6};
    assert_int_equal(run(&one, FER_OP_RNN, 22), FER_INVALID_INPUT);
}

/* Zero weights: every gate is sigmoid(0) = 0.5, so the cell halves and adds nothing. */
static void lstm_and_gru_mix_their_gates(void **state) {
    (void)state;
    float x[1] = {3}, zeros[4] = {0}, first[1] = {2}, y[1], cell[1];
    fer_attr size = int_attr("hidden_size", 1);
    node_case lstm = {.attrs = &size, .attr_count = 1, .in_count = 7, .out_count = 3};
    lstm.in[0] = OPERAND(F32, x, 1, 1, 1);
    lstm.in[1] = OPERAND(F32, zeros, 1, 4, 1);
    lstm.in[2] = OPERAND(F32, zeros, 1, 4, 1);
    lstm.in[6] = OPERAND(F32, first, 1, 1, 1);
    lstm.out[1] = OPERAND(F32, y, 1, 1, 1);
    lstm.out[2] = OPERAND(F32, cell, 1, 1, 1);
    assert_int_equal(run(&lstm, FER_OP_LSTM, 22), FER_OK);
    close_to(cell, (float[]){1}, 1);
    close_to(y, (float[]){0.5f * tanhf(1)}, 1);
    node_case gru = {.attrs = &size, .attr_count = 1, .in_count = 6, .out_count = 2};
    gru.in[0] = lstm.in[0];
    gru.in[1] = OPERAND(F32, zeros, 1, 3, 1);
    gru.in[2] = OPERAND(F32, zeros, 1, 3, 1);
    gru.in[5] = OPERAND(F32, first, 1, 1, 1);
    gru.out[1] = OPERAND(F32, y, 1, 1, 1);
    assert_int_equal(run(&gru, FER_OP_GRU, 22), FER_OK);
    close_to(y, (float[]){1}, 1);
    size = int_attr("hidden_size", 2);
    assert_int_equal(run(&gru, FER_OP_GRU, 22), FER_INVALID_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduce_folds_named_axes),
        cmocka_unit_test(reduce_without_axes_folds_all_or_nothing),
        cmocka_unit_test(reduce_of_nothing_is_the_identity),
        cmocka_unit_test(arg_and_topk_keep_the_order_of_ties),
        cmocka_unit_test(cumsum_runs_both_ways),
        cmocka_unit_test(matmul_broadcasts_batches),
        cmocka_unit_test(gemm_transposes_and_adds),
        cmocka_unit_test(matmul_crosses_its_blocks),
        cmocka_unit_test(long_work_polls_and_stops),
        cmocka_unit_test(conv_pads_strides_and_groups),
        cmocka_unit_test(conv_transpose_spreads),
        cmocka_unit_test(pools_see_the_input_only),
        cmocka_unit_test(softmax_survives_large_numbers),
        cmocka_unit_test(layer_norm_gives_its_moments),
        cmocka_unit_test(resize_blends_and_copies),
        cmocka_unit_test(rnn_sums_both_ways_and_stops_at_the_end),
        cmocka_unit_test(lstm_and_gru_mix_their_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
