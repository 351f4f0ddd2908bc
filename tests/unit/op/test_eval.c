/* SPDX-License-Identifier: Apache-2.0
 *
 * Small values: shape arithmetic on numbers and symbols, and the table itself.
 */
#include "op_kit.h"

static void test_shape_chain(void **state) {
    op_kit *kit = *state;
    kit_op(kit, "Shape");
    kit_in(kit, FER_F32, "N 3 H");
    KIT_ELEMENTS(kit, "N 3 H");
    kit_op(kit, "Shape");
    kit_in(kit, FER_F32, "N 3 H");
    kit_int(kit, "start", -2);
    kit_int(kit, "end", -1);
    KIT_ELEMENTS(kit, "3");
    kit_op(kit, "Size");
    kit_in(kit, FER_F32, "N 3 H");
    KIT_ELEMENTS(kit, "3*N*H");
    kit_op(kit, "Gather");
    kit_values(kit, "N 3 H", 0);
    kit_values(kit, "-1", 1);
    KIT_ELEMENTS(kit, "H");
    kit_op(kit, "Gather");
    kit_values(kit, "N 3 H", 0);
    kit_values(kit, "3", 1);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
    kit_op(kit, "Concat");
    kit_values(kit, "N", 0);
    kit_values(kit, "-1 4", 0);
    kit_int(kit, "axis", 0);
    KIT_ELEMENTS(kit, "N -1 4");
    kit_op(kit, "Slice");
    kit_values(kit, "1 N 3 H", 0);
    kit_values(kit, "-1", 0);
    kit_values(kit, "-9223372036854775807", 0);
    kit_values(kit, "0", 0);
    kit_values(kit, "-2", 0);
    KIT_ELEMENTS(kit, "H N");
    kit_op(kit, "Unsqueeze");
    kit_values(kit, "N", 1);
    kit_values(kit, "0", 0);
    KIT_ELEMENTS(kit, "N");
    kit_op(kit, "Range");
    kit_values(kit, "0", 1);
    kit_values(kit, "N", 1);
    kit_values(kit, "1", 1);
    KIT_DIMS(kit, "N");
    kit_op(kit, "Range");
    kit_values(kit, "10", 1);
    kit_values(kit, "3", 1);
    kit_values(kit, "-3", 1);
    KIT_ELEMENTS(kit, "10 7 4");
    kit_op(kit, "Range");
    kit_values(kit, "10", 1);
    kit_values(kit, "3", 1);
    kit_values(kit, "0", 1);
    KIT_REFUSED(kit, FER_INVALID_MODEL);
}

static void binary(op_kit *kit, const char *op, const char *a, const char *b) {
    kit_op(kit, op);
    kit_values(kit, a, 0);
    kit_values(kit, b, 0);
}

static void test_arithmetic(void **state) {
    op_kit *kit = *state;
    binary(kit, "Div", "-7 7 N -9223372036854775808", "2 0 2 -1");
    KIT_ELEMENTS(kit, "-3 ? div(N, 2) -9223372036854775808");
    binary(kit, "Mod", "-7 7", "3 -3");
    KIT_ELEMENTS(kit, "2 -2");
    binary(kit, "Mod", "-7 7", "3 -3");
    kit_int(kit, "fmod", 1);
    KIT_ELEMENTS(kit, "-1 1");
    binary(kit, "Mul", "N 9223372036854775807", "2 2");
    KIT_ELEMENTS(kit, "2*N ?"); /* what overflows 64 bits is the kernel's to say */
    binary(kit, "Pow", "3 -2 2", "4 3 -1");
    KIT_ELEMENTS(kit, "81 -8 ?");
    binary(kit, "Equal", "N 4 N", "0 4 7");
    KIT_ELEMENTS(kit, "0 1 ?");
    kit_op(kit, "Where");
    kit_values(kit, "1 0", 0)->dtype = FER_BOOL;
    kit_values(kit, "N", 0);
    kit_values(kit, "5 6", 0);
    KIT_ELEMENTS(kit, "N 6");
    kit_op(kit, "ReduceProd");
    kit_values(kit, "2 N 3", 0);
    kit_int(kit, "keepdims", 0);
    KIT_ELEMENTS(kit, "6*N");
    kit_op(kit, "NonZero");
    kit_values(kit, "0 5 0 7", 0);
    KIT_ELEMENTS(kit, "1 3");
}

static void test_floats(void **state) {
    op_kit *kit = *state;
    static const float a[] = {1, 7.5F, -2.5F};
    static const float b[] = {3, 0.1F, 1};
    kit_op(kit, "Div");
    kit_in(kit, FER_F32, "3")->data = a;
    kit_in(kit, FER_F32, "3")->data = b;
    assert_int_equal(feri_op_infer(&kit->call), FER_OK);
    assert_non_null(kit->out[0].elements);
    for (int i = 0; i < 3; i++) {
        assert_true(feri_sym_as_f64(kit->out[0].elements[i]) == (double)(a[i] / b[i]));
    }
    kit_op(kit, "Round");
    kit_in(kit, FER_F32, "3")->data = a;
    assert_int_equal(feri_op_infer(&kit->call), FER_OK);
    assert_true(feri_sym_as_f64(kit->out[0].elements[1]) == 8);
    assert_true(feri_sym_as_f64(kit->out[0].elements[2]) == -2);
    kit_op(kit, "Cast");
    kit_in(kit, FER_F32, "3")->data = a;
    kit_int(kit, "to", FER_I64);
    KIT_ELEMENTS(kit, "1 7 -2");
}

static void test_table(void **state) {
    (void)state;
    for (uint32_t i = 0; i < feri_op_table_count(); i++) {
        const feri_op *op = feri_op_at(i);
        assert_ptr_equal(feri_op_find(feri_op_domain(op), feri_op_name(op)), op);
        if (i > 0) {
            const feri_op *before = feri_op_at(i - 1);
            int order = strcmp(feri_op_domain(before), feri_op_domain(op));
            assert_true(order < 0 ||
                        (order == 0 && strcmp(feri_op_name(before), feri_op_name(op)) < 0));
        }
    }
    assert_null(feri_op_find("", "Nonsense"));
    const feri_op *resize = feri_op_find("ai.onnx", "Resize");
    assert_int_equal(feri_op_min_inputs(resize), 1);
    assert_int_equal(feri_op_max_inputs(resize), 4);
    assert_true(feri_op_input_is_optional(resize, 1));
    assert_true(feri_op_input_decides(resize, 3));
    assert_false(feri_op_input_decides(resize, 0));
    assert_int_equal(feri_op_max_inputs(feri_op_find("", "Concat")), UINT32_MAX);
    assert_int_equal(feri_op_min_outputs(feri_op_find("", "LSTM")), 0);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_shape_chain), CASE(test_arithmetic), CASE(test_floats), CASE(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
