/* SPDX-License-Identifier: Apache-2.0
 *
 * Element-wise and moving kernels of ref against values worked out by hand; the semantics ONNX
 * leaves open are pinned here too. Through the table only.
 */
#include "small_host.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static node_operand vector(fer_dtype dtype, int64_t count, void *data) {
    return (node_operand){.dtype = dtype, .rank = 1, .dims = {count}, .data = data};
}
static node_operand matrix(fer_dtype dtype, int64_t rows, int64_t columns, void *data) {
    return (node_operand){
        .dtype = dtype, .rank = 2, .dims = {rows, columns},
                .data = data
    };
}
static node_operand scalar(fer_dtype dtype, void *data) {
    return (node_operand){.dtype = dtype, .data = data};
}

static fer_status run(node_case *one) {
    small_host small;
    small_host_init(&small);
    fer_status status = node_case_run(&small, fer_ref_backend_open, one);
    assert_int_equal(small.live, 0);
    assert_true(status == FER_OK || one->reason[0] || small.message[0]);
    return status;
}

static void relu_keeps_nan(void **state) {
    (void)state;
    float x[4] = {-1, NAN, 2, -0.0f};
    float y[4];
    node_case one = {.op = FER_OP_Relu, .revision = 14, .in_count = 1, .out_count = 1};
    one.in[0] = vector(FER_F32, 4, x);
    one.out[0] = vector(FER_F32, 4, y);
    assert_int_equal(run(&one), FER_OK);
    assert_true(y[0] == 0 && isnan(y[1]) && y[2] == 2 && y[3] == 0);
}

static void integers_wrap(void **state) {
    (void)state;
    int8_t x[2] = {-128, 5};
    int8_t y[2];
    node_case one = {.op = FER_OP_Neg, .revision = 13, .in_count = 1, .out_count = 1};
    one.in[0] = vector(FER_I8, 2, x);
    one.out[0] = vector(FER_I8, 2, y);
    assert_int_equal(run(&one), FER_OK);
    assert_true(y[0] == -128 && y[1] == -5);
}

static void division_never_traps(void **state) {
    (void)state;
    int64_t a[5] = {INT64_MIN, 7, -7, 7, INT64_MIN};
    int64_t b[5] = {-1, 0, 2, -2, 0};
    int64_t y[5];
    node_case one = {.op = FER_OP_Div, .revision = 14, .in_count = 2, .out_count = 1};
    one.in[0] = vector(FER_I64, 5, a);
    one.in[1] = vector(FER_I64, 5, b);
    one.out[0] = vector(FER_I64, 5, y);
    assert_int_equal(run(&one), FER_OK);
    const int64_t quotient[5] = {INT64_MIN, 0, -3, -3, 0};
    assert_memory_equal(y, quotient, sizeof(y));
    one.op = FER_OP_Mod; /* the divisor's sign */
    one.revision = 13;
    assert_int_equal(run(&one), FER_OK);
    const int64_t rest[5] = {0, 0, 1, -1, 0};
    assert_memory_equal(y, rest, sizeof(y));
}

static void u64_is_not_signed(void **state) {
    (void)state;
    uint64_t a[2] = {UINT64_MAX, 1};
    uint64_t b[2] = {2, 2};
    uint64_t y[2];
    uint8_t flag[2];
    node_case one = {.op = FER_OP_Max, .revision = 13, .in_count = 2, .out_count = 1};
    one.in[0] = vector(FER_U64, 2, a);
    one.in[1] = vector(FER_U64, 2, b);
    one.out[0] = vector(FER_U64, 2, y);
    assert_int_equal(run(&one), FER_OK);
    assert_true(y[0] == UINT64_MAX && y[1] == 2);
    one.op = FER_OP_Greater;
    one.out[0] = vector(FER_BOOL, 2, flag);
    assert_int_equal(run(&one), FER_OK);
    assert_true(flag[0] == 1 && flag[1] == 0);
}

static void operands_broadcast(void **state) {
    (void)state;
    float a[3] = {1, 2, 3};
    float b[2] = {10, 20};
    float y[6];
    node_case one = {.op = FER_OP_Add, .revision = 14, .in_count = 2, .out_count = 1};
    one.in[0] = vector(FER_F32, 3, a);
    one.in[1] = matrix(FER_F32, 2, 1, b);
    one.out[0] = matrix(FER_F32, 2, 3, y);
    assert_int_equal(run(&one), FER_OK);
    const float sum[6] = {11, 12, 13, 21, 22, 23};
    assert_memory_equal(y, sum, sizeof(y));
    one.in[1] = vector(FER_F32, 2, b);
    assert_int_equal(run(&one), FER_INVALID_INPUT);
}

static void cast_saturates_float8_and_packs_int4(void **state) {
    (void)state;
    float x[3] = {1e9f, -3.7f, 1};
    uint8_t y[3];
    fer_attr plain = {.name = "saturate", .type = FER_ATTR_INT, .count = 1, .value.i = 0};
    node_case one = {.op = FER_OP_Cast, .revision = 25, .in_count = 1, .out_count = 1};
    one.in[0] = vector(FER_F32, 3, x);
    one.out[0] = vector(FER_F8E4M3FN, 3, y);
    assert_int_equal(run(&one), FER_OK);
    assert_int_equal(y[0], 0x7E); /* 448 */
    assert_int_equal(y[2], 0x38);
    one.attrs = &plain;
    one.attr_count = 1;
    assert_int_equal(run(&one), FER_OK);
    assert_int_equal(y[0], 0x7F); /* NaN */
    x[0] = 7;
    one.out[0] = vector(FER_I4, 3, y);
    y[1] = 0xFF;
    assert_int_equal(run(&one), FER_OK);
    assert_int_equal(y[0], 0xD7); /* 7, then -3: truncated */
    assert_int_equal(y[1], 0x01); /* padding bits are 0 */
}

static void slice_goes_backwards(void **state) {
    (void)state;
    int16_t x[5] = {0, 1, 2, 3, 4};
    int16_t y[3];
    int64_t starts[1] = {-1};
    int64_t ends[1] = {INT64_MIN};
    int64_t axes[1] = {0};
    int64_t steps[1] = {-2};
    node_case one = {.op = FER_OP_Slice, .revision = 13, .in_count = 5, .out_count = 1};
    one.in[0] = vector(FER_I16, 5, x);
    one.in[1] = vector(FER_I64, 1, starts);
    one.in[2] = vector(FER_I64, 1, ends);
    one.in[3] = vector(FER_I64, 1, axes);
    one.in[4] = vector(FER_I64, 1, steps);
    one.out[0] = vector(FER_I16, 3, y);
    assert_int_equal(run(&one), FER_OK);
    const int16_t wanted[3] = {4, 2, 0};
    assert_memory_equal(y, wanted, sizeof(y));
    steps[0] = 0;
    assert_int_equal(run(&one), FER_INVALID_INPUT);
    steps[0] = INT64_MIN; /* one element, of a shape that says three */
    assert_int_equal(run(&one), FER_INVALID_INPUT);
}

static void transpose_moves_nibbles(void **state) {
    (void)state;
    uint8_t x[3] = {0x10, 0x32, 0x54}; /* 0 1 2 / 3 4 5 */
    uint8_t y[3];
    int64_t perm[2] = {1, 0};
    fer_attr attr = {.name = "perm", .type = FER_ATTR_INTS, .count = 2, .value.ints = perm};
    node_case one = {
        .op = FER_OP_Transpose, .revision = 25, .in_count = 1, .out_count = 1, .attrs = &attr};
    one.attr_count = 1;
    one.in[0] = matrix(FER_U4, 2, 3, x);
    one.out[0] = matrix(FER_U4, 3, 2, y);
    assert_int_equal(run(&one), FER_OK);
    const uint8_t wanted[3] = {0x30, 0x41, 0x52};
    assert_memory_equal(y, wanted, sizeof(y));
    perm[1] = 1; /* an axis twice would read outside */
    one.in[0] = matrix(FER_U4, 2, 2, x);
    one.out[0] = matrix(FER_U4, 2, 2, y);
    assert_int_equal(run(&one), FER_INVALID_INPUT);
}

static void gather_checks_indices(void **state) {
    (void)state;
    float x[3] = {5, 6, 7};
    float y[2];
    int32_t indices[2] = {-1, 1};
    node_case one = {.op = FER_OP_Gather, .revision = 13, .in_count = 2, .out_count = 1};
    one.in[0] = vector(FER_F32, 3, x);
    one.in[1] = vector(FER_I32, 2, indices);
    one.out[0] = vector(FER_F32, 2, y);
    assert_int_equal(run(&one), FER_OK);
    assert_true(y[0] == 7 && y[1] == 6);
    indices[0] = 3;
    assert_int_equal(run(&one), FER_INVALID_INPUT);
}

static void pad_reflects_and_crops(void **state) {
    (void)state;
    int32_t x[4] = {1, 2, 3, 4};
    int32_t y[5];
    int64_t pads[2] = {3, -2};
    fer_attr mode = {
        .name = "mode", .type = FER_ATTR_STRING, .count = 1, .value.s = {"reflect", 7}
    };
    node_case one = {
        .op = FER_OP_Pad, .revision = 25, .in_count = 2, .out_count = 1, .attrs = &mode};
    one.attr_count = 1;
    one.in[0] = vector(FER_I32, 4, x);
    one.in[1] = vector(FER_I64, 2, pads);
    one.out[0] = vector(FER_I32, 5, y);
    assert_int_equal(run(&one), FER_OK); /* of 1 2: 2 1 2 | 1 2 */
    const int32_t wanted[5] = {2, 1, 2, 1, 2};
    assert_memory_equal(y, wanted, sizeof(y));
    one.attr_count = 0; /* constant, 0 */
    assert_int_equal(run(&one), FER_OK);
    const int32_t zeros[5] = {0, 0, 0, 1, 2};
    assert_memory_equal(y, zeros, sizeof(y));
}

static void compress_and_non_zero_report_dims(void **state) {
    (void)state;
    float x[4] = {0, 3, 0, 5};
    uint8_t keep[3] = {0, 1, 1};
    float y[4];
    int64_t where[8];
    node_case one = {.op = FER_OP_Compress, .revision = 11, .in_count = 2, .out_count = 1};
    one.in[0] = vector(FER_F32, 4, x);
    one.in[1] = vector(FER_BOOL, 3, keep);
    one.out[0] = vector(FER_F32, 4, y);
    one.out[0].flags = FER_VALUE_DATA_DEPENDENT;
    one.runs = 3;
    assert_int_equal(run(&one), FER_OK);
    assert_int_equal(one.out_dims[0][0], 2);
    assert_true(y[0] == 3 && y[1] == 0);
    node_case two = {.op = FER_OP_NonZero, .revision = 13, .in_count = 1, .out_count = 1};
    two.in[0] = matrix(FER_F32, 2, 2, x);
    two.out[0] = matrix(FER_I64, 2, 4, where);
    two.out[0].flags = FER_VALUE_DATA_DEPENDENT;
    assert_int_equal(run(&two), FER_OK);
    assert_int_equal(two.out_dims[0][0], 2);
    assert_int_equal(two.out_dims[0][1], 2);
    const int64_t wanted[4] = {0, 1, 1, 1};
    assert_memory_equal(where, wanted, sizeof(wanted));
}

static void clip_and_where(void **state) {
    (void)state;
    int8_t x[3] = {-100, 0, 100};
    int8_t low = -5;
    int8_t high = 7;
    int8_t y[3];
    uint8_t choose[3] = {1, 0, 1};
    node_case one = {.op = FER_OP_Clip, .revision = 13, .in_count = 3, .out_count = 1};
    one.in[0] = vector(FER_I8, 3, x);
    one.in[1] = scalar(FER_I8, &low);
    one.in[2] = scalar(FER_I8, &high);
    one.out[0] = vector(FER_I8, 3, y);
    assert_int_equal(run(&one), FER_OK);
    assert_true(y[0] == -5 && y[1] == 0 && y[2] == 7);
    node_case two = {.op = FER_OP_Where, .revision = 16, .in_count = 3, .out_count = 1};
    two.in[0] = vector(FER_BOOL, 3, choose);
    two.in[1] = vector(FER_I8, 3, x);
    two.in[2] = scalar(FER_I8, &high);
    two.out[0] = vector(FER_I8, 3, y);
    assert_int_equal(run(&two), FER_OK);
    assert_true(y[0] == -100 && y[1] == 7 && y[2] == 100);
}

static void what_is_not_there_is_refused(void **state) {
    (void)state;
    float x[1] = {0};
    node_case one = {.op = FER_OP_Relu, .revision = 99, .in_count = 1, .out_count = 1};
    one.in[0] = vector(FER_F32, 1, x);
    one.out[0] = vector(FER_F32, 1, x);
    assert_int_equal(run(&one), FER_UNSUPPORTED);
    assert_non_null(strstr(one.reason, "newer"));
    one.op = FER_OP_StringConcat;
    assert_int_equal(run(&one), FER_UNSUPPORTED);
    one.op = FER_OP_BitwiseNot; /* not of floats */
    one.revision = 18;
    assert_int_equal(run(&one), FER_UNSUPPORTED);
}

static void an_output_nobody_wants_is_fine(void **state) {
    (void)state;
    float x[2] = {1, 2};
    node_case one = {.op = FER_OP_Relu, .revision = 14, .in_count = 1, .out_count = 1};
    one.in[0] = vector(FER_F32, 2, x);
    assert_int_equal(run(&one), FER_OK);
    uint8_t mask[2] = {0, 0};
    node_case two = {.op = FER_OP_Dropout, .revision = 22, .in_count = 1, .out_count = 2};
    two.in[0] = vector(FER_F32, 2, x);
    two.out[1] = vector(FER_BOOL, 2, mask);
    assert_int_equal(run(&two), FER_OK);
    assert_true(mask[0] == 1 && mask[1] == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relu_keeps_nan),
        cmocka_unit_test(integers_wrap),
        cmocka_unit_test(division_never_traps),
        cmocka_unit_test(u64_is_not_signed),
        cmocka_unit_test(operands_broadcast),
        cmocka_unit_test(cast_saturates_float8_and_packs_int4),
        cmocka_unit_test(slice_goes_backwards),
        cmocka_unit_test(transpose_moves_nibbles),
        cmocka_unit_test(gather_checks_indices),
        cmocka_unit_test(pad_reflects_and_crops),
        cmocka_unit_test(compress_and_non_zero_report_dims),
        cmocka_unit_test(clip_and_where),
        cmocka_unit_test(what_is_not_there_is_refused),
        cmocka_unit_test(an_output_nobody_wants_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
