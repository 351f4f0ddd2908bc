/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of a sample of every family: numbers, symbols, unknowns, and what must be refused.
 */
#include "op_kit.h"

static void test_broadcast(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "Add");
    kit_in(kit, FER_F32, "N 1 3");
    kit_in(kit, FER_F32, "4 1");
    KIT_DIMS(kit, "N 4 3");
    kit_op(kit, "Add");
    kit_in(kit, FER_F32, "2 3");
    kit_in(kit, FER_F32, "4");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Where");
    kit_in(kit, FER_BOOL, "2 1");
    kit_in(kit, FER_F32, "3");
    kit_in(kit, FER_F32, "*");
    KIT_DIMS(kit, "*");
}

static void test_types(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "Add");
    kit_in(kit, FER_F32, "2");
    kit_in(kit, FER_F64, "2");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Sin");
    kit_in(kit, FER_I32, "2");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Equal");
    kit_in(kit, FER_F32, "2");
    kit_in(kit, FER_F32, "2");
    KIT_DIMS(kit, "2");
    assert_int_equal(kit->out[0].dtype, FER_BOOL);
    kit_op(kit, "Cast");
    kit_in(kit, FER_F32, "2");
    kit_int(kit, "to", 400);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Add");
    kit_in(kit, FER_F32, "2");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Relu");
    kit_in(kit, FER_F32, "2");
    kit_int(kit, "wild", 1);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Concat"); /* axis is required */
    kit_in(kit, FER_F32, "2");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Softmax");
    kit_in(kit, FER_F32, "2");
    kit_string(kit, "axis", "one");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "SequenceAt");
    kit_in(kit, FER_F32, "2");
    kit_values(kit, "0", /*is_scalar=*/1);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "SequenceConstruct");
    kit_in(kit, FER_F16, "2");
    KIT_DIMS(kit, "*");
    assert_int_equal(kit->out[0].kind, FER_KIND_SEQUENCE);
    assert_int_equal(kit->out[0].dtype, FER_F16);
}

static void test_conv(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "Conv");
    kit_in(kit, FER_F32, "N 3 224 W");
    kit_in(kit, FER_F32, "64 3 7 7");
    KIT_INTS(kit, "strides", 2, 2);
    KIT_INTS(kit, "pads", 3, 3, 3, 3);
    KIT_DIMS(kit, "N 64 112 div(W+1, 2)");
    static const int64_t wild[][2] = {
        {0,         2        },
        {-1,        1        },
        {INT64_MAX, INT64_MAX}
    };
    for (int i = 0; i < 3; i++) {
        kit_op(kit, "Conv");
        kit_in(kit, FER_F32, "1 3 8 8");
        kit_in(kit, FER_F32, "4 3 3 3");
        kit_ints(kit, i == 1 ? "dilations" : "strides", 2, wild[i]);
        KIT_REFUSED(kit, FER_INVALID_MODEL);
    }
    kit_op(kit, "Conv");
    kit_in(kit, FER_F32, "1 3 8 8");
    kit_in(kit, FER_F32, "4 3 3 3");
    KIT_INTS(kit, "pads", -5, 0, 0, 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Conv");
    kit_in(kit, FER_F32, "1 3 8 8");
    kit_in(kit, FER_F32, "4 3 3 3");
    kit_int(kit, "group", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Conv");
    kit_in(kit, FER_F32, "1 3 2 8");
    kit_in(kit, FER_F32, "4 3 3 3");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "ConvTranspose");
    kit_in(kit, FER_F32, "1 3 H 3");
    kit_in(kit, FER_F32, "3 2 3 3");
    KIT_INTS(kit, "strides", 3, 2);
    KIT_INTS(kit, "output_padding", 1, 1);
    KIT_DIMS(kit, "1 2 3*H+1 8");
}

static void test_pool(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "MaxPool");
    kit_in(kit, FER_F32, "1 3 32 32");
    KIT_INTS(kit, "kernel_shape", 5, 5);
    KIT_INTS(kit, "strides", 3, 3);
    kit_int(kit, "ceil_mode", 1);
    KIT_DIMS(kit, "1 3 10 10");
    kit_op(kit, "AveragePool");
    kit_in(kit, FER_F32, "1 3 7 7");
    KIT_INTS(kit, "kernel_shape", 3, 3);
    KIT_INTS(kit, "strides", 2, 2);
    kit_string(kit, "auto_pad", "SAME_UPPER");
    KIT_DIMS(kit, "1 3 4 4");
    kit_op(kit, "AveragePool");
    kit_in(kit, FER_F32, "1 3 7 7");
    KIT_INTS(kit, "kernel_shape", 3, 3);
    kit_string(kit, "auto_pad", "SIDEWAYS");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "AveragePool");
    kit_in(kit, FER_F32, "1 3 7 7");
    KIT_INTS(kit, "kernel_shape", 3, 3);
    kit_string(kit, "auto_pad", "");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
}

static void test_reshape(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "Reshape");
    kit_in(kit, FER_F32, "N 12 64");
    kit_values(kit, "0 -1", 0);
    KIT_DIMS(kit, "N 768");
    kit_op(kit, "Reshape");
    kit_in(kit, FER_F32, "N S 768");
    kit_values(kit, "N S 12 -1", 0);
    KIT_DIMS(kit, "N S 12 64");
    kit_op(kit, "Reshape");
    kit_in(kit, FER_F32, "? 8 4");
    kit_values(kit, "0 -1 2", 0);
    KIT_DIMS(kit, "? 16 2");
    kit_op(kit, "Reshape");
    kit_in(kit, FER_F32, "2 3");
    kit_values(kit, "4 -1", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Reshape");
    kit_in(kit, FER_F32, "2 3");
    kit_values(kit, "-1 -1", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Reshape");
    kit_in(kit, FER_F32, "2 3");
    kit_values(kit, "7", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Reshape");
    kit_in(kit, FER_F32, "0 3");
    kit_values(kit, "3 0", 0);
    kit_int(kit, "allowzero", 1);
    KIT_DIMS(kit, "3 0");
    kit_op(kit, "Reshape");
    kit_in(kit, FER_F32, "2 3");
    kit_values(kit, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 6", 0);
    KIT_REFUSED(kit, FER_LIMIT);
}

static void test_layout(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "Transpose");
    kit_in(kit, FER_F32, "A B C");
    KIT_INTS(kit, "perm", 2, 0, 1);
    KIT_DIMS(kit, "C A B");
    static const int64_t perms[][3] = {
        {0,         1, 1},
        {0,         1, 7},
        {INT64_MIN, 0, 1}
    };
    for (int i = 0; i < 3; i++) {
        kit_op(kit, "Transpose");
        kit_in(kit, FER_F32, "2 3 4");
        kit_ints(kit, "perm", 3, perms[i]);
        KIT_REFUSED(kit, FER_INVALID_MODEL);
    }
    kit_op(kit, "Squeeze");
    kit_in(kit, FER_F32, "1 N 1");
    kit_values(kit, "0 -1", 0);
    KIT_DIMS(kit, "N");
    kit_op(kit, "Squeeze");
    kit_in(kit, FER_F32, "2 3");
    kit_values(kit, "0", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Unsqueeze");
    kit_in(kit, FER_F32, "N");
    kit_values(kit, "0 -1", 0);
    KIT_DIMS(kit, "1 N 1");
    kit_op(kit, "Expand");
    kit_in(kit, FER_F32, "3 1");
    kit_values(kit, "N 1 4", 0);
    KIT_DIMS(kit, "N 3 4");
    kit_op(kit, "Tile");
    kit_in(kit, FER_F32, "2 N");
    kit_values(kit, "4611686018427387904 1", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Concat");
    kit_in(kit, FER_F32, "2 N");
    kit_in(kit, FER_F32, "2 3");
    kit_int(kit, "axis", -1);
    KIT_DIMS(kit, "2 N+3");
    kit_op(kit, "Concat");
    kit_in(kit, FER_F32, "2 3");
    kit_in(kit, FER_F32, "2 3");
    kit_int(kit, "axis", INT64_MIN);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Split");
    kit_in(kit, FER_F32, "7 2");
    kit_int(kit, "num_outputs", 3);
    kit->call.out_count = 3;
    KIT_DIMS(kit, "3 2");
    assert_string_equal(kit_dims(kit, 2), "1 2");
    kit_op(kit, "Pad");
    kit_in(kit, FER_F32, "N 4");
    kit_values(kit, "1 -9 1 0", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "ConstantOfShape");
    kit_values(kit, "9223372036854775807 9223372036854775807", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
}

static void test_slice(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "Slice");
    kit_in(kit, FER_F32, "N 10");
    kit_values(kit, "1 -3", 0);
    kit_values(kit, "9223372036854775807 -1", 0);
    kit_values(kit, "0 1", 0);
    KIT_DIMS(kit, "N-1 2");
    kit_op(kit, "Slice");
    kit_in(kit, FER_F32, "10");
    kit_values(kit, "-1", 0);
    kit_values(kit, "-9223372036854775808", 0);
    kit_values(kit, "0", 0);
    kit_values(kit, "-3", 0);
    KIT_DIMS(kit, "4");
    kit_op(kit, "Slice");
    kit_in(kit, FER_F32, "10");
    kit_values(kit, "0", 0);
    kit_values(kit, "5", 0);
    kit_values(kit, "0", 0);
    kit_values(kit, "0", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Slice");
    kit_in(kit, FER_F32, "10");
    kit_values(kit, "0", 0);
    kit_values(kit, "5", 0);
    kit_values(kit, "4", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Slice");
    kit_in(kit, FER_F32, "0");
    kit_values(kit, "-1", 0);
    kit_values(kit, "-5", 0);
    kit_values(kit, "0", 0);
    kit_values(kit, "-1", 0);
    KIT_DIMS(kit, "0");
}

static void test_reduce(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "ReduceMean");
    kit_in(kit, FER_F32, "N 3 H");
    kit_values(kit, "-1", 0);
    kit_int(kit, "keepdims", 0);
    KIT_DIMS(kit, "N 3");
    kit_op(kit, "ReduceSum");
    kit_in(kit, FER_F32, "N 3");
    KIT_DIMS(kit, "1 1");
    kit_op(kit, "ReduceSum");
    kit_in(kit, FER_F32, "N 3");
    kit_values(kit, "0 0", 0);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "ReduceSum");
    kit_in(kit, FER_F32, "N 3");
    kit_in(kit, FER_I64, "1");
    kit_int(kit, "keepdims", 0);
    KIT_DIMS(kit, "?");
    kit_op(kit, "TopK");
    kit_in(kit, FER_F32, "4 3");
    kit_values(kit, "9", 0);
    kit->call.out_count = 2;
    KIT_REFUSED(kit, FER_INVALID_MODEL);
}

static void test_products(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "MatMul");
    kit_in(kit, FER_F32, "N 12 S 64");
    kit_in(kit, FER_F32, "N 12 64 S");
    KIT_DIMS(kit, "N 12 S S");
    kit_op(kit, "MatMul");
    kit_in(kit, FER_F32, "2 3");
    kit_in(kit, FER_F32, "4 5");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "MatMul");
    kit_in(kit, FER_F32, "3");
    kit_in(kit, FER_F32, "3");
    KIT_DIMS(kit, "");
    kit_op(kit, "Einsum");
    kit_in(kit, FER_F32, "2 3 4");
    kit_in(kit, FER_F32, "4 5");
    kit_string(kit, "equation", "...j,jk->...k");
    KIT_DIMS(kit, "2 3 5");
    kit_op(kit, "Einsum");
    kit_in(kit, FER_F32, "2 3");
    kit_string(kit, "equation", "ij->.z");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "LSTM");
    kit_in(kit, FER_F32, "T 2 8");
    kit_in(kit, FER_F32, "1 64 8");
    kit_in(kit, FER_F32, "1 64 16");
    kit_int(kit, "hidden_size", 16);
    kit->call.out_count = 3;
    KIT_DIMS(kit, "T 1 2 16");
    assert_string_equal(kit_dims(kit, 2), "1 2 16");
}

static void test_resize(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "Resize");
    kit_in(kit, FER_F32, "1 3 H 20");
    kit_no_in(kit);
    feri_fact *scales = kit_in(kit, FER_F32, "4");
    static const float values[] = {1, 1, 2, 0.6F};
    scales->data = values;
    KIT_DIMS(kit, "1 3 2*H 12");
    kit_op(kit, "Resize");
    kit_in(kit, FER_F32, "1 3 8 8");
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Resize");
    kit_in(kit, FER_F32, "7 8");
    kit_no_in(kit);
    kit_no_in(kit);
    kit_values(kit, "3 8", 0);
    kit_string(kit, "keep_aspect_ratio_policy", "not_larger");
    KIT_DIMS(kit, "3 3");
}

static void test_data_dependent(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "NonZero");
    kit_in(kit, FER_F32, "4 5");
    KIT_DIMS(kit, "2 ?");
    assert_int_equal(feri_op_upper_bound(&kit->call), FER_OK);
    assert_string_equal(kit_dims(kit, 0), "2 20");
    kit_op(kit, "Compress");
    kit_in(kit, FER_F32, "4 5");
    kit_in(kit, FER_BOOL, "3");
    kit_int(kit, "axis", 1);
    KIT_DIMS(kit, "4 ?");
    assert_int_equal(feri_op_upper_bound(&kit->call), FER_OK);
    assert_string_equal(kit_dims(kit, 0), "4 3");
}

/* Every row: whatever the ranks, dims and attributes, an answer and no crash. */
static void test_every_row(void **state) {
    op_kit *kit = *state;
    static const char *const shapes[] = {"*", "", "0", "3", "? ?", "2 N 4", "1 3 5 7", "-4 2"};
    static const int64_t wild[] = {INT64_MIN, -1, 0, 2, 99, INT64_MAX};
    for (uint32_t row = 0; row < feri_op_table_count(); row++) {
        const feri_op *op = feri_op_at(row);
        const char *attrs = feri_op_text(op, FERI_COLUMN_ATTRS);
        for (uint32_t shape = 0; shape < 8; shape++) {
            for (uint32_t value = 0; value < 6; value++) {
                kit_op(kit, "Add");
                kit->call.op = op;
                uint32_t most = feri_op_max_inputs(op);
                for (uint32_t i = 0; i < (most < 8 ? most : 3); i++) {
                    kit_in(kit, i % 2 && value % 2 ? FER_I64 : FER_F32, shapes[shape]);
                }
                uint32_t outs = feri_op_max_outputs(op);
                kit->call.out_count = outs < 8 ? outs : 3;
                const char *names[] = {"axis", "blocksize", "group", "num_groups", "to", "dtype"};
                for (int i = 0; i < 6; i++) {
                    char given[32];
                    snprintf(given, sizeof(given), "%s:i", names[i]);
                    const char *at = strstr(attrs, given);
                    if (at && (at == attrs || at[-1] == ',')) {
                        kit_int(kit, names[i], wild[value]);
                    }
                }
                const char *lists[] = {"pads", "strides", "kernel_shape", "axes", "perm", "shape"};
                for (int i = 0; i < 6; i++) {
                    char given[32];
                    snprintf(given, sizeof(given), "%s:I", lists[i]);
                    const char *at = strstr(attrs, given);
                    if (at && (at == attrs || at[-1] == ',')) {
                        kit_ints(kit, lists[i], 1 + value % 4, wild);
                    }
                }
                fer_status status = feri_op_infer(&kit->call);
                assert_true(status == FER_OK || status == FER_INVALID_MODEL ||
                            status == FER_UNSUPPORTED || status == FER_LIMIT);
            }
        }
    }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {CASE(test_broadcast),
                                       CASE(test_types),
                                       CASE(test_conv),
                                       CASE(test_pool),
                                       CASE(test_reshape),
                                       CASE(test_layout),
                                       CASE(test_slice),
                                       CASE(test_reduce),
                                       CASE(test_products),
                                       CASE(test_resize),
                                       CASE(test_data_dependent),
                                       CASE(test_every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
