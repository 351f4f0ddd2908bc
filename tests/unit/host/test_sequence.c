/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequences and optionals: positions from both ends, splits that do not add up, joins that do not
 * fit.
 */
#include "host_fixture.h"

static fer_value *sequence_of(fixture *f, fer_value *const *items, uint64_t count) {
    fer_value *sequence = NULL;
    assert_int_equal(fer_value_sequence(f->context, items, count, &sequence), FER_OK);
    for (uint64_t i = 0; i < count; i++) {
        fer_value_release(items[i]);
    }
    return sequence;
}

/* Scalars 0, 10, 20. */
static fer_value *three(fixture *f) {
    fer_value *items[3] = {i64_scalar(f, 0), i64_scalar(f, 10), i64_scalar(f, 20)};
    return sequence_of(f, items, 3);
}

static int64_t item(const fer_value *sequence, uint64_t index) {
    return *numbers_of(fer_value_item(sequence, index));
}

/* Runs op on (three, position) with tensor between them for Insert. */
static fer_status run_at(fixture *f, const char *op, int is_insert, int64_t position) {
    fixture_clear(f);
    fixture_input(f, three(f));
    if (is_insert) {
        fixture_input(f, i64_scalar(f, 99));
    }
    fixture_input(f, position == INT64_MAX ? NULL : i64_scalar(f, position));
    return fixture_run(f, op, 1);
}

static void positions(void **state) {
    fixture *f = *state;
    assert_int_equal(run_at(f, "SequenceAt", 0, 1), FER_OK);
    assert_int_equal(*numbers_of(f->outputs[0]), 10);
    assert_int_equal(run_at(f, "SequenceAt", 0, -3), FER_OK);
    assert_int_equal(*numbers_of(f->outputs[0]), 0);
    assert_int_equal(run_at(f, "SequenceAt", 0, 3), FER_INVALID_INPUT);
    assert_int_equal(run_at(f, "SequenceAt", 0, -4), FER_INVALID_INPUT);
    assert_int_equal(run_at(f, "SequenceAt", 0, INT64_MIN), FER_INVALID_INPUT);

    assert_int_equal(run_at(f, "SequenceInsert", 1, INT64_MAX), FER_OK);
    assert_int_equal(item(f->outputs[0], 3), 99);
    assert_int_equal(run_at(f, "SequenceInsert", 1, -1), FER_OK);
    assert_int_equal(item(f->outputs[0], 2), 99);
    assert_int_equal(item(f->outputs[0], 3), 20);
    assert_int_equal(run_at(f, "SequenceInsert", 1, 3), FER_OK);
    assert_int_equal(run_at(f, "SequenceInsert", 1, 4), FER_INVALID_INPUT);

    assert_int_equal(run_at(f, "SequenceErase", 0, INT64_MAX), FER_OK);
    assert_int_equal(fer_value_count(f->outputs[0]), 2);
    assert_int_equal(run_at(f, "SequenceErase", 0, 0), FER_OK);
    assert_int_equal(item(f->outputs[0], 0), 10);

    assert_int_equal(run_at(f, "SequenceLength", 0, 0), FER_OK);
    assert_int_equal(*numbers_of(f->outputs[0]), 3);
}

static void made_and_empty(void **state) {
    fixture *f = *state;
    assert_int_equal(fixture_run(f, "SequenceEmpty", 1), FER_OK);
    assert_int_equal(fer_value_kind(f->outputs[0]), FER_KIND_SEQUENCE);
    fer_value *empty = fer_value_retain(f->outputs[0]);
    fixture_clear(f);
    fixture_input(f, fer_value_retain(empty));
    assert_int_equal(fixture_run(f, "SequenceErase", 1), FER_INVALID_INPUT);
    fixture_attr(f, "axis", 0);
    assert_int_equal(fixture_run(f, "ConcatFromSequence", 1), FER_INVALID_INPUT);
    fixture_clear(f);
    fixture_input(f, i64_scalar(f, 1));
    fixture_input(f, i64_scalar(f, 2));
    assert_int_equal(fixture_run(f, "SequenceConstruct", 1), FER_OK);
    assert_int_equal(item(f->outputs[0], 1), 2);
    fer_value_release(f->inputs[1]);
    f->inputs[1] = bool_scalar(f, 1);
    fer_value_release(f->outputs[0]);
    f->outputs[0] = NULL;
    assert_int_equal(fixture_run(f, "SequenceConstruct", 1), FER_INVALID_INPUT);
    fer_value_release(f->inputs[1]);
    f->inputs[1] = empty;
    assert_int_equal(fixture_run(f, "SequenceConstruct", 1), FER_INVALID_INPUT);
}

static void set_split(fixture *f, fer_value *split, int64_t axis, int64_t keepdims) {
    const int64_t numbers[6] = {1, 2, 3, 4, 5, 6};
    fixture_clear(f);
    fixture_attr(f, "axis", axis);
    fixture_attr(f, "keepdims", keepdims);
    fixture_input(f, try_tensor(f, FER_I64, 2, (int64_t[]){2, 3}, numbers, sizeof numbers));
    fixture_input(f, split);
}

static void splits(void **state) {
    fixture *f = *state;
    set_split(f, NULL, 0, 0);
    assert_int_equal(fixture_run(f, "SplitToSequence", 1), FER_OK);
    assert_int_equal(fer_value_count(f->outputs[0]), 2);
    assert_dims(fer_value_item(f->outputs[0], 1), 1, (int64_t[]){3});
    assert_int_equal(numbers_of(fer_value_item(f->outputs[0], 1))[2], 6);
    set_split(f, i64_scalar(f, 2), -1, 0);
    assert_int_equal(fixture_run(f, "SplitToSequence", 1), FER_OK);
    assert_dims(fer_value_item(f->outputs[0], 0), 2, (int64_t[]){2, 2});
    assert_dims(fer_value_item(f->outputs[0], 1), 2, (int64_t[]){2, 1});
    assert_memory_equal(
        numbers_of(fer_value_item(f->outputs[0], 0)), ((int64_t[]){1, 2, 4, 5}), 32);
    assert_memory_equal(numbers_of(fer_value_item(f->outputs[0], 1)), ((int64_t[]){3, 6}), 16);
    set_split(f, i64_line(f, (int64_t[]){0, 3}, 2), 1, 1);
    assert_int_equal(fixture_run(f, "SplitToSequence", 1), FER_OK);
    assert_dims(fer_value_item(f->outputs[0], 0), 2, (int64_t[]){2, 0});

    set_split(f, i64_line(f, (int64_t[]){1, 1}, 2), 1, 1);
    assert_int_equal(fixture_run(f, "SplitToSequence", 1), FER_INVALID_INPUT);
    set_split(f, i64_line(f, (int64_t[]){INT64_MAX, INT64_MAX}, 2), 1, 1);
    assert_int_equal(fixture_run(f, "SplitToSequence", 1), FER_INVALID_INPUT);
    set_split(f, i64_scalar(f, 0), 1, 1);
    assert_int_equal(fixture_run(f, "SplitToSequence", 1), FER_INVALID_INPUT);
    set_split(f, NULL, 2, 1);
    assert_int_equal(fixture_run(f, "SplitToSequence", 1), FER_INVALID_INPUT);
    set_split(f, NULL, 0, 1);
    fer_value_release(f->inputs[0]);
    f->inputs[0] = try_tensor(f, FER_I64, 2, (int64_t[]){INT64_MAX, 0}, NULL, 0);
    assert_int_equal(fixture_run(f, "SplitToSequence", 1), FER_LIMIT);
}

static void joins(void **state) {
    fixture *f = *state;
    const int64_t numbers[4] = {1, 2, 3, 4};
    fer_value *items[2] = {try_tensor(f, FER_I64, 2, (int64_t[]){2, 1}, numbers, 16),
                           try_tensor(f, FER_I64, 2, (int64_t[]){2, 2}, numbers, 32)};
    fixture_input(f, sequence_of(f, items, 2));
    fixture_attr(f, "axis", 1);
    assert_int_equal(fixture_run(f, "ConcatFromSequence", 1), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){2, 3});
    assert_memory_equal(numbers_of(f->outputs[0]), ((int64_t[]){1, 1, 2, 2, 3, 4}), 48);
    fer_value_release(f->outputs[0]);
    f->outputs[0] = NULL;
    fixture_attr(f, "new_axis", 1);
    assert_int_equal(fixture_run(f, "ConcatFromSequence", 1), FER_INVALID_INPUT);
    fixture_clear(f);
    const char *texts[2] = {"a", "bc"};
    fer_value *lines[2] = {string_value(f, 1, (int64_t[]){2}, texts),
                           string_value(f, 1, (int64_t[]){2}, texts)};
    fixture_input(f, sequence_of(f, lines, 2));
    fixture_attr(f, "axis", -1);
    fixture_attr(f, "new_axis", 1);
    assert_int_equal(fixture_run(f, "ConcatFromSequence", 1), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){2, 2});
    assert_string(f->outputs[0], 1, "a");
    assert_string(f->outputs[0], 2, "bc");
}

static void optionals(void **state) {
    fixture *f = *state;
    fixture_input(f, i64_scalar(f, 7));
    assert_int_equal(fixture_run(f, "Optional", 1), FER_OK);
    fer_value *full = fer_value_retain(f->outputs[0]);
    fixture_clear(f);
    assert_int_equal(fixture_run(f, "Optional", 1), FER_OK);
    fer_value *empty = fer_value_retain(f->outputs[0]);
    fer_value *const values[4] = {full, empty, NULL, i64_scalar(f, 3)};
    const uint8_t has[4] = {1, 0, 0, 1};
    for (uint32_t i = 0; i < 4; i++) {
        fixture_clear(f);
        fixture_input(f, values[i]);
        assert_int_equal(fixture_run(f, "OptionalHasElement", 1), FER_OK);
        assert_int_equal(*(uint8_t *)fer_tensor_data(fer_value_tensor(f->outputs[0])), has[i]);
        fer_value_release(f->outputs[0]);
        f->outputs[0] = NULL;
        assert_int_equal(fixture_run(f, "OptionalGetElement", 1),
                         has[i] ? FER_OK : FER_INVALID_INPUT);
        assert_true(!has[i] || fer_value_kind(f->outputs[0]) == FER_KIND_TENSOR);
    }
}

static void identity_and_refusals(void **state) {
    fixture *f = *state;
    fixture_input(f, three(f));
    assert_int_equal(fixture_run(f, "Identity", 1), FER_OK);
    assert_ptr_equal(f->outputs[0], f->inputs[0]);
    fer_value_release(f->outputs[0]);
    f->outputs[0] = NULL;
    assert_int_equal(fixture_run(f, "Conv", 1), FER_UNSUPPORTED);
    f->node.op = feri_op_find("", "Loop");
    assert_null(feri_host_refuses(NULL, &f->node));
    f->node.op = feri_op_find("", "Conv");
    assert_non_null(feri_host_refuses(NULL, &f->node));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(positions),
        TEST(made_and_empty),
        TEST(splits),
        TEST(joins),
        TEST(optionals),
        TEST(identity_and_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
