/* SPDX-License-Identifier: Apache-2.0
 *
 * The term algebra: canonical forms, bounds, requirements, evaluation, and that nothing hostile
 * makes it large or slow.
 */
#include "op_kit.h"

static const char *show(op_kit *kit, feri_sym sym) { return kit_list(kit, 1, &sym); }

static feri_sym num(int64_t number) { return feri_sym_number(number); }

static void test_linear_forms(void **state) {
    op_kit *kit = *state;
    feri_terms *t = kit->terms;
    feri_sym n = feri_terms_symbol(t, "N", 1);
    feri_sym m = feri_terms_symbol(t, "M", 1);
    assert_true(feri_sym_equal(n, feri_terms_symbol(t, "N", 1)));
    feri_sym up = feri_sym_add(t, n, num(1));
    assert_true(feri_sym_equal(feri_sym_sub(t, up, num(1)), n));
    assert_string_equal(show(kit, feri_sym_sub(t, n, n)), "0");
    assert_true(feri_sym_equal(feri_sym_add(t, n, m), feri_sym_add(t, m, n)));
    feri_sym twice = feri_sym_mul(t, up, num(2));
    assert_string_equal(show(kit, twice), "2*N+2");
    assert_true(feri_sym_equal(feri_sym_mul(t, n, m), feri_sym_mul(t, m, n)));
    /* (N+1)(M+2) - NM - 2N - M = 2 */
    feri_sym product = feri_sym_mul(t, up, feri_sym_add(t, m, num(2)));
    product = feri_sym_sub(t, product, feri_sym_mul(t, n, m));
    product = feri_sym_sub(t, product, feri_sym_mul(t, n, num(2)));
    assert_string_equal(show(kit, feri_sym_sub(t, product, m)), "2");
}

static void test_quotients(void **state) {
    op_kit *kit = *state;
    feri_terms *t = kit->terms;
    feri_sym n = feri_terms_symbol(t, "N", 0);
    feri_sym m = feri_terms_symbol(t, "M", 1);
    feri_sym nm = feri_sym_mul(t, n, m);
    assert_true(feri_sym_equal(feri_sym_div(t, feri_sym_mul(t, nm, num(6)), num(3)),
                               feri_sym_mul(t, nm, num(2))));
    assert_true(feri_sym_equal(feri_sym_div(t, nm, m), n));
    /* (2N + 1) / 2 = N */
    feri_sym odd = feri_sym_add(t, feri_sym_mul(t, n, num(2)), num(1));
    assert_true(feri_sym_equal(feri_sym_div(t, odd, num(2)), n));
    assert_string_equal(show(kit, feri_sym_mod(t, odd, num(2))), "1");
    /* (N / 2) / 3 = N / 6 */
    feri_sym nested = feri_sym_div(t, feri_sym_div(t, n, num(2)), num(3));
    assert_true(feri_sym_equal(nested, feri_sym_div(t, n, num(6))));
    assert_true(feri_sym_is_unknown(feri_sym_div(t, n, num(0))));
    assert_string_equal(show(kit, feri_sym_div(t, num(-7), num(2))), "-4");
    assert_true(feri_sym_is_unknown(feri_sym_div(t, num(INT64_MIN), num(-1))));
    assert_true(feri_sym_is_unknown(feri_sym_add(t, num(INT64_MAX), num(1))));
    assert_true(feri_sym_is_unknown(feri_sym_mul(t, num(INT64_MAX), num(2))));
}

static void test_order(void **state) {
    op_kit *kit = *state;
    feri_terms *t = kit->terms;
    feri_sym n = feri_terms_symbol(t, "N", 1);
    feri_sym up = feri_sym_add(t, n, num(1));
    assert_int_equal(feri_sym_compare_equal(t, n, up), 0);
    assert_int_equal(feri_sym_compare_less(t, n, up), 1);
    assert_int_equal(feri_sym_compare_less(t, n, num(5)), -1);
    assert_int_equal(feri_sym_compare_equal(t, n, num(0)), 0);
    assert_true(feri_sym_equal(feri_sym_max(t, n, up), up));
    assert_true(feri_sym_equal(feri_sym_min(t, n, num(0)), num(0)));
    assert_true(feri_sym_equal(feri_sym_max(t, n, num(1)), n));
    int64_t low;
    int64_t high;
    feri_sym_bounds(t, feri_sym_mul(t, up, num(3)), &low, &high);
    assert_int_equal(low, 6);
    feri_sym_bounds(t, feri_sym_mod(t, n, num(4)), &low, &high);
    assert_int_equal(low, 0);
    assert_int_equal(high, 3);
}

static void test_evaluation(void **state) {
    op_kit *kit = *state;
    feri_terms *t = kit->terms;
    feri_sym n = feri_terms_symbol(t, "N", 0);
    feri_sym m = feri_terms_symbol(t, "M", 0);
    feri_sym sum = feri_sym_add(t, feri_sym_mul(t, n, m), feri_sym_div(t, n, num(2)));
    sum = feri_sym_max(t, sum, feri_sym_mul(t, m, m));
    int64_t value;
    assert_int_equal(feri_sym_evaluate(t, sum, (int64_t[]){7, 5}, &value), FER_OK);
    assert_int_equal(value, 38);
    assert_int_equal(feri_sym_evaluate(t, sum, (int64_t[]){INT64_MAX, 2}, &value),
                     FER_INVALID_INPUT);
    feri_sym wide = feri_sym_broadcast(t, n, m);
    assert_int_equal(feri_sym_evaluate(t, wide, (int64_t[]){1, 9}, &value), FER_OK);
    assert_int_equal(value, 9);
    assert_int_equal(feri_sym_evaluate(t, wide, (int64_t[]){3, 9}, &value), FER_INVALID_INPUT);
}

static void test_requirements(void **state) {
    op_kit *kit = *state;
    feri_terms *t = kit->terms;
    feri_sym n = feri_terms_symbol(t, "N", 2);
    feri_sym m = feri_terms_symbol(t, "M", 0);
    assert_int_equal(feri_terms_require_equal(t, n, num(1)), 0);
    assert_int_equal(feri_terms_require_equal(t, n, m), 1);
    assert_true(feri_sym_equal(feri_sym_broadcast(t, m, num(4)), num(4)));
    assert_int_equal(feri_terms_check(t, (int64_t[]){4, 4}), FER_OK);
    assert_int_equal(feri_terms_check(t, (int64_t[]){4, 1}), FER_INVALID_INPUT);
    assert_int_equal(feri_terms_check(t, (int64_t[]){5, 5}), FER_INVALID_INPUT);
    assert_int_equal(feri_terms_check(t, (int64_t[]){1, 1}), FER_INVALID_INPUT);
    assert_int_equal(feri_terms_set_recording(t, 0), 1);
    assert_int_equal(feri_terms_require_equal(t, m, num(77)), 1);
    assert_int_equal(feri_terms_set_recording(t, 1), 0);
    assert_int_equal(feri_terms_check(t, (int64_t[]){4, 4}), FER_OK);
}

static void test_clone(void **state) {
    op_kit *kit = *state;
    feri_sym n = feri_terms_symbol(kit->terms, "N", 1);
    feri_sym sum = feri_sym_add(kit->terms, n, num(3));
    feri_terms *copy = NULL;
    assert_int_equal(feri_terms_clone(kit->terms, kit->env, &copy), FER_OK);
    assert_true(feri_sym_equal(feri_terms_symbol(copy, "N", 1), n));
    assert_true(feri_sym_equal(feri_sym_add(copy, n, num(3)), sum));
    assert_false(feri_sym_equal(feri_terms_symbol(copy, NULL, 0), n));
    feri_terms_destroy(copy);
}

/* Doubling what is made of itself must end in unknown, not in 2^N work. */
static void test_hostile_growth(void **state) {
    op_kit *kit = *state;
    feri_terms *t = kit->terms;
    feri_sym n = feri_terms_symbol(t, "N", 0);
    feri_sym x = n;
    for (int i = 0; i < 200; i++) {
        feri_sym other = feri_sym_div(t, x, feri_terms_symbol(t, NULL, 1));
        x = feri_sym_max(t, feri_sym_mul(t, x, other), feri_sym_add(t, x, other));
    }
    assert_true(feri_sym_is_unknown(x));
    feri_sym sum = num(0);
    for (int i = 0; i < 200; i++) {
        sum = feri_sym_add(t, sum, feri_terms_symbol(t, NULL, 1));
    }
    assert_true(feri_sym_is_unknown(sum));
    assert_int_equal(feri_terms_status(t), FER_OK);
    char small[4];
    feri_sym_print(t, feri_sym_add(t, n, num(12345)), small, sizeof(small));
    assert_int_equal(strlen(small), 3);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {CASE(test_linear_forms),
                                       CASE(test_quotients),
                                       CASE(test_order),
                                       CASE(test_evaluation),
                                       CASE(test_requirements),
                                       CASE(test_clone),
                                       CASE(test_hostile_growth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
