/* SPDX-License-Identifier: Apache-2.0
 *
 * Loop, Scan, If and SequenceMap with bodies written in C.
 */
#include "host_fixture.h"

typedef fer_value *const *operands;

/* ---- Loop ---- */

/* carried: a line that grows by the captured number + trip; scan outputs: the trip, a u4 pair. */
static fer_status growing_body(void *self,
                               uint32_t index,
                               operands in,
                               uint32_t in_count,
                               fer_value **out,
                               uint32_t out_count) {
    fixture *f = self;
    assert_int_equal(index, 0);
    assert_int_equal(in_count, 4);
    assert_int_equal(out_count, 4);
    assert_true(*(const uint8_t *)fer_tensor_data(fer_value_tensor(in[1])));
    fer_tensor *line = fer_value_tensor(in[2]);
    int64_t count = fer_tensor_dims(line)[0];
    int64_t trip = *numbers_of(in[0]);
    int64_t grown[MOST + 8];
    memcpy(grown, numbers_of(in[2]), (size_t)count * sizeof *grown);
    grown[count] = *numbers_of(in[3]) + trip;
    const int64_t three = 3;
    const uint8_t packed[2] = {(uint8_t)(trip | 2 << 4), 7};
    out[0] = bool_scalar(f, trip < 4);
    out[1] = i64_line(f, grown, count + 1);
    out[2] = fer_value_retain(in[0]);
    out[3] = try_tensor(f, FER_U4, 1, &three, packed, 2);
    if (out[0] && out[1] && out[3]) {
        return FER_OK;
    }
    for (uint32_t o = 0; o < 4; o++) {
        fer_value_release(out[o]);
        out[o] = NULL;
    }
    return FER_OUT_OF_MEMORY;
}

static void set_growing(fixture *f, fer_value *most) {
    const int64_t seed[1] = {5};
    f->call.run_body = growing_body;
    fixture_body(f, "body", 3, 1, 4);
    fixture_input(f, most);
    fixture_input(f, NULL);
    fixture_input(f, i64_line(f, seed, 1));
    f->inputs[f->node.input_count++] = i64_scalar(f, 100);
    f->captures[0] = 3;
    f->node.formal_count = 3;
}

static void loop_ends_by_trips(void **state) {
    fixture *f = *state;
    set_growing(f, i64_scalar(f, 3));
    assert_int_equal(fixture_run(f, "Loop", 3), FER_OK);
    assert_dims(f->outputs[0], 1, (int64_t[]){4});
    assert_memory_equal(numbers_of(f->outputs[0]), ((int64_t[]){5, 100, 101, 102}), 32);
    assert_dims(f->outputs[1], 1, (int64_t[]){3});
    assert_memory_equal(numbers_of(f->outputs[1]), ((int64_t[]){0, 1, 2}), 24);
    assert_dims(f->outputs[2], 2, (int64_t[]){3, 3});
    /* 0 2 7 1 2 7 2 2 7, low bits first */
    const uint8_t packed[5] = {0x20, 0x17, 0x72, 0x22, 0x07};
    assert_memory_equal(fer_tensor_data(fer_value_tensor(f->outputs[2])), packed, 5);
}

static void loop_ends_by_condition(void **state) {
    fixture *f = *state;
    set_growing(f, NULL);
    f->out_ids[2] = FER_NO_VALUE;
    assert_int_equal(fixture_run(f, "Loop", 3), FER_OK);
    assert_dims(f->outputs[1], 1, (int64_t[]){5});
    assert_null(f->outputs[2]);
}

/* What is stacked is held against the limit of a tensor while it grows: room for eight numbers is
 * more than 63 bytes, though five of them would do. */
static void loop_outgrows_a_tensor(void **state) {
    fixture *f = *state;
    uint64_t before = f->call.env->limits.max_tensor_bytes;
    set_growing(f, NULL);
    f->call.env->limits.max_tensor_bytes = 63;
    assert_int_equal(fixture_run(f, "Loop", 3), FER_LIMIT);
    f->call.env->limits.max_tensor_bytes = before;
}

static void loop_of_no_trips(void **state) {
    fixture *f = *state;
    feri_sym dims[2] = {
        {.number = 7},
        { .number = 1,  .term = 9}
    };
    set_growing(f, i64_scalar(f, 0));
    f->body_values[2].fact.dtype = FER_F16;
    f->body_values[3].fact = (feri_fact){.dtype = FER_U4, .rank = 2, .dims = dims};
    assert_int_equal(fixture_run(f, "Loop", 3), FER_OK);
    assert_dims(f->outputs[0], 1, (int64_t[]){1});
    assert_dims(f->outputs[1], 1, (int64_t[]){0});
    assert_int_equal(fer_tensor_dtype(fer_value_tensor(f->outputs[1])), FER_F16);
    assert_dims(f->outputs[2], 3, (int64_t[]){0, 7, 0});
}

static fer_status endless_body(void *self,
                               uint32_t index,
                               operands in,
                               uint32_t in_count,
                               fer_value **out,
                               uint32_t out_count) {
    (void)self;
    (void)index;
    (void)in_count;
    (void)out_count;
    out[0] = fer_value_retain(in[1]);
    return FER_OK;
}

static fer_status stop(void *self) {
    (void)self;
    return feri_fail(FER_CANCELLED, "stop");
}

static void loop_without_end(void **state) {
    fixture *f = *state;
    f->call.run_body = endless_body;
    fixture_body(f, "body", 2, 0, 1);
    fixture_input(f, i64_scalar(f, INT64_MAX));
    fixture_input(f, bool_scalar(f, 1));
    assert_int_equal(fixture_run(f, "Loop", 0), FER_LIMIT);
    f->call.check = stop;
    assert_int_equal(fixture_run(f, "Loop", 0), FER_CANCELLED);
    f->call.check = NULL;
    fer_value_release(f->inputs[1]);
    f->inputs[1] = i64_line(f, (int64_t[]){1, 1}, 2);
    assert_int_equal(fixture_run(f, "Loop", 0), FER_INVALID_INPUT);
}

/* The second trip gives another shape. */
static fer_status uneven_body(void *self,
                              uint32_t index,
                              operands in,
                              uint32_t in_count,
                              fer_value **out,
                              uint32_t out_count) {
    fixture *f = self;
    (void)index;
    (void)in_count;
    (void)out_count;
    const int64_t numbers[2] = {0, 0};
    out[0] = fer_value_retain(in[1]);
    out[1] = i64_line(f, numbers, 1 + *numbers_of(in[0]));
    if (!out[1]) {
        fer_value_release(out[0]);
        out[0] = NULL;
        return FER_OUT_OF_MEMORY;
    }
    return FER_OK;
}

static void loop_with_uneven_slices(void **state) {
    fixture *f = *state;
    f->call.run_body = uneven_body;
    fixture_body(f, "body", 2, 0, 2);
    fixture_input(f, i64_scalar(f, 2));
    fixture_input(f, NULL);
    assert_int_equal(fixture_run(f, "Loop", 1), FER_INVALID_INPUT);
}

/* ---- Scan ---- */

/* state: sum so far; scan output: the slice plus the state, and the slice itself. */
static fer_status summing_body(void *self,
                               uint32_t index,
                               operands in,
                               uint32_t in_count,
                               fer_value **out,
                               uint32_t out_count) {
    fixture *f = self;
    (void)index;
    assert_int_equal(in_count, 2);
    assert_int_equal(out_count, 3);
    assert_dims(in[1], 1, (int64_t[]){2});
    int64_t sums[2] = {numbers_of(in[0])[0] + numbers_of(in[1])[0],
                       numbers_of(in[0])[1] + numbers_of(in[1])[1]};
    out[0] = i64_line(f, sums, 2);
    if (!out[0]) {
        return FER_OUT_OF_MEMORY;
    }
    out[1] = fer_value_retain(out[0]);
    out[2] = fer_value_retain(in[1]);
    return FER_OK;
}

static void set_summing(fixture *f, int64_t axis, const int64_t *dims) {
    static const int64_t out_axes[2] = {-1, 0};
    static const int64_t out_directions[2] = {0, 1};
    const int64_t numbers[6] = {1, 2, 3, 10, 20, 30};
    f->call.run_body = summing_body;
    fixture_body(f, "body", 2, 0, 3);
    fixture_attr(f, "num_scan_inputs", 1);
    fixture_attr(f, "unused", axis);
    fixture_ints(f, "scan_input_axes", &f->attrs[f->node.attr_count - 1].value.i, 1);
    fixture_ints(f, "scan_output_axes", out_axes, 2);
    fixture_ints(f, "scan_output_directions", out_directions, 2);
    fixture_input(f, i64_line(f, (int64_t[]){0, 0}, 2));
    fixture_input(f, try_tensor(f, FER_I64, 2, dims, numbers, (size_t)(dims[0] * dims[1]) * 8));
}

static void scan_along_axes(void **state) {
    fixture *f = *state;
    set_summing(f, -1, (int64_t[]){2, 3});
    assert_int_equal(fixture_run(f, "Scan", 3), FER_OK);
    assert_memory_equal(numbers_of(f->outputs[0]), ((int64_t[]){6, 60}), 16);
    assert_dims(f->outputs[1], 2, (int64_t[]){2, 3});
    assert_memory_equal(numbers_of(f->outputs[1]), ((int64_t[]){1, 3, 6, 10, 30, 60}), 48);
    assert_dims(f->outputs[2], 2, (int64_t[]){3, 2});
    assert_memory_equal(numbers_of(f->outputs[2]), ((int64_t[]){3, 30, 2, 20, 1, 10}), 48);
}

static void scan_backwards(void **state) {
    fixture *f = *state;
    const int64_t backwards = 1;
    set_summing(f, 0, (int64_t[]){3, 2});
    fixture_ints(f, "scan_input_directions", &backwards, 1);
    assert_int_equal(fixture_run(f, "Scan", 2), FER_OK);
    /* slices 20 30, 3 10, 1 2 */
    assert_memory_equal(numbers_of(f->outputs[1]), ((int64_t[]){20, 23, 24, 30, 40, 42}), 48);
}

static void scan_of_nothing_and_nonsense(void **state) {
    fixture *f = *state;
    set_summing(f, 0, (int64_t[]){0, 2});
    f->body_values[1].fact =
        (feri_fact){.dtype = FER_I64, .rank = 1, .dims = &(feri_sym){.number = 2}};
    assert_int_equal(fixture_run(f, "Scan", 2), FER_OK);
    assert_dims(f->outputs[1], 2, (int64_t[]){2, 0});
    fixture_clear(f);
    set_summing(f, 2, (int64_t[]){3, 2});
    assert_int_equal(fixture_run(f, "Scan", 2), FER_INVALID_INPUT);
    fixture_clear(f);
    set_summing(f, 0, (int64_t[]){3, 2});
    f->attrs[1].value.i = 3;
    assert_int_equal(fixture_run(f, "Scan", 2), FER_INVALID_MODEL);
}

/* ---- If and SequenceMap ---- */

static fer_status pair_body(void *self,
                            uint32_t index,
                            operands in,
                            uint32_t in_count,
                            fer_value **out,
                            uint32_t out_count) {
    fixture *f = self;
    (void)index;
    (void)out_count;
    out[0] = i64_scalar(f, *numbers_of(in[0]) + *numbers_of(in[in_count - 1]));
    return out[0] ? FER_OK : FER_OUT_OF_MEMORY;
}

static fer_value *sequence_of(fixture *f, const int64_t *numbers, uint64_t count) {
    fer_value *items[MOST] = {NULL};
    fer_value *sequence = NULL;
    for (uint64_t i = 0; i < count; i++) {
        items[i] = i64_scalar(f, numbers[i]);
    }
    assert_int_equal(fer_value_sequence(f->context, items, count, &sequence), FER_OK);
    for (uint64_t i = 0; i < count; i++) {
        fer_value_release(items[i]);
    }
    return sequence;
}

static void if_takes_a_branch(void **state) {
    fixture *f = *state;
    f->call.run_body = pair_body;
    fixture_body(f, "else_branch", 0, 1, 1);
    fixture_input(f, bool_scalar(f, 0));
    fixture_input(f, i64_scalar(f, 21));
    f->captures[0] = 1;
    assert_int_equal(fixture_run(f, "If", 1), FER_OK);
    assert_int_equal(*numbers_of(f->outputs[0]), 42);
}

static void map_over_items(void **state) {
    fixture *f = *state;
    f->call.run_body = pair_body;
    fixture_body(f, "body", 2, 0, 1);
    fixture_input(f, sequence_of(f, (int64_t[]){1, 2, 3}, 3));
    fixture_input(f, i64_scalar(f, 10));
    assert_int_equal(fixture_run(f, "SequenceMap", 1), FER_OK);
    assert_int_equal(fer_value_count(f->outputs[0]), 3);
    assert_int_equal(*numbers_of(fer_value_item(f->outputs[0], 2)), 13);
    fer_value_release(f->inputs[1]);
    f->inputs[1] = sequence_of(f, (int64_t[]){1, 2}, 2);
    fer_value_release(f->outputs[0]);
    f->outputs[0] = NULL;
    assert_int_equal(fixture_run(f, "SequenceMap", 1), FER_INVALID_INPUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(loop_ends_by_trips),
        TEST(loop_ends_by_condition),
        TEST(loop_outgrows_a_tensor),
        TEST(loop_of_no_trips),
        TEST(loop_without_end),
        TEST(loop_with_uneven_slices),
        TEST(scan_along_axes),
        TEST(scan_backwards),
        TEST(scan_of_nothing_and_nonsense),
        TEST(if_takes_a_branch),
        TEST(map_over_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
