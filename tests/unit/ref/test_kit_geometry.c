/* SPDX-License-Identifier: Apache-2.0
 *
 * The kit's shape arithmetic and workspace planner.
 */
#include "kit/geometry.h"
#include "kit/workspace.h"
#include "small_host.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void bytes_round_up_and_saturate(void **state) {
    (void)state;
    assert_int_equal(feri_kit_bytes(FER_I4, 5), 3);
    assert_int_equal(feri_kit_bytes(FER_U2, 5), 2);
    assert_int_equal(feri_kit_bytes(FER_C128, 3), 48);
    assert_true(feri_kit_bytes(FER_F64, UINT64_MAX / 8) == UINT64_MAX);
    for (fer_dtype d = 0; d <= FER_DTYPE_COUNT; d++) {
        assert_int_equal(feri_kit_bits(d), fer_dtype_bits(d));
    }
}

static void count_sees_overflow_and_zero(void **state) {
    (void)state;
    uint64_t count = 7;
    int64_t huge[3] = {INT64_MAX, 2, 1};
    assert_int_equal(feri_kit_count(2, huge, &count), 0);
    huge[2] = 0; /* a zero makes it fit */
    assert_int_equal(feri_kit_count(3, huge, &count), 1);
    assert_int_equal(count, 0);
    int64_t negative[1] = {-1};
    assert_int_equal(feri_kit_count(1, negative, &count), 0);
    assert_int_equal(feri_kit_count(0, NULL, &count), 1);
    assert_int_equal(count, 1);
}

static void dims_resolve_inside_bounds_only(void **state) {
    (void)state;
    fer_dim dims[2] = {
        {.value = 3},
        { .value = -1, .slot = 1, .min = 2, .max = 5}
    };
    fer_value_view value = {.dtype = FER_F32, .rank = 2, .dims = dims};
    int64_t out[FER_MAX_RANK];
    uint64_t count = 0;
    int64_t values[2] = {100, 4};
    assert_int_equal(feri_kit_resolve_dims(&value, values, 2, out, &count), 1);
    assert_int_equal(out[1], 4);
    assert_int_equal(count, 12);
    values[1] = 6;
    assert_int_equal(feri_kit_resolve_dims(&value, values, 2, out, &count), 0);
    values[1] = 1;
    assert_int_equal(feri_kit_resolve_dims(&value, values, 2, out, &count), 0);
    values[1] = 4;
    assert_int_equal(feri_kit_resolve_dims(&value, values, 1, out, &count), 0);
    assert_int_equal(feri_kit_resolve_dims(&value, NULL, 0, out, &count), 0);
}

static void axes_normalise(void **state) {
    (void)state;
    uint32_t axis = 9;
    assert_int_equal(feri_kit_axis(-1, 3, &axis), 1);
    assert_int_equal(axis, 2);
    assert_int_equal(feri_kit_axis(3, 3, &axis), 0);
    assert_int_equal(feri_kit_axis(-4, 3, &axis), 0);
    assert_int_equal(feri_kit_axis(INT64_MIN, 3, &axis), 0);
    assert_int_equal(feri_kit_axis(0, 0, &axis), 0);
}

/* (2, 1, 3) against (4, 1): every output element visited in order, offsets by hand. */
static void walk_broadcasts(void **state) {
    (void)state;
    const int64_t out_dims[3] = {2, 4, 3};
    const int64_t a_dims[3] = {2, 1, 3};
    const int64_t b_dims[2] = {4, 1};
    int64_t a[FER_MAX_RANK];
    int64_t b[FER_MAX_RANK];
    assert_int_equal(feri_kit_broadcast_strides(3, out_dims, 3, a_dims, a), 1);
    assert_int_equal(feri_kit_broadcast_strides(3, out_dims, 2, b_dims, b), 1);
    const int64_t *strides[2] = {a, b};
    feri_kit_walk walk;
    feri_kit_cursor at;
    feri_kit_walk_init(&walk, 3, out_dims, 2, strides);
    assert_int_equal(feri_kit_walk_begin(&walk, &at), 1);
    int64_t n = 0;
    do {
        for (int64_t i = 0; i < walk.inner; i++, n++) {
            assert_int_equal(at.offset[0] + i * walk.step[0], n / 12 * 3 + n % 3);
            assert_int_equal(at.offset[1] + i * walk.step[1], n / 3 % 4);
        }
    } while (feri_kit_walk_next(&walk, &at));
    assert_int_equal(n, 24);
    const int64_t bad[1] = {2};
    assert_int_equal(feri_kit_broadcast_strides(3, out_dims, 1, bad, a), 0);
}

static void walk_merges_dense_dims(void **state) {
    (void)state;
    const int64_t dims[4] = {2, 1, 3, 4};
    int64_t dense[FER_MAX_RANK];
    feri_kit_strides(4, dims, dense);
    const int64_t *strides[2] = {dense, dense};
    feri_kit_walk walk;
    feri_kit_walk_init(&walk, 4, dims, 2, strides);
    assert_int_equal(walk.outer_rank, 0);
    assert_int_equal(walk.inner, 24);
    const int64_t empty[2] = {INT64_MAX, 0};
    feri_kit_walk_init(&walk, 2, empty, 0, strides);
    feri_kit_cursor at;
    assert_int_equal(feri_kit_walk_begin(&walk, &at), 0);
}

/* x -> n0 -> a -> n1 -> b -> n2 -> y, and n2 reads a too: a lives 0..2, b 1..2. */
static void lives_end_at_the_last_reader(void **state) {
    (void)state;
    const fer_dim dim = {.value = 16};
    fer_value_view views[4];
    const fer_value_view *values[4];
    for (uint32_t i = 0; i < 4; i++) {
        views[i] = (fer_value_view){.dtype = FER_F32, .rank = 1, .dims = &dim};
        values[i] = &views[i];
    }
    const uint32_t io[6] = {0, 1, 2, 3, 1, FER_NO_VALUE};
    fer_node_view node_views[3] = {
        {.input_count = 1, .inputs = &io[0], .output_count = 1, .outputs = &io[1]},
        {.input_count = 1, .inputs = &io[1], .output_count = 1, .outputs = &io[2]},
        {.input_count = 2,
         .inputs = (const uint32_t[]){2, 1},
         .output_count = 1,
         .outputs = &io[3]                                                       },
    };
    const fer_node_view *nodes[3] = {&node_views[0], &node_views[1], &node_views[2]};
    fer_subgraph graph = {.node_count = 3,
                          .value_count = 4,
                          .input_count = 1,
                          .output_count = 1,
                          .nodes = nodes,
                          .values = values,
                          .inputs = &io[0],
                          .outputs = &io[3]};
    feri_kit_life lives[4];
    uint32_t scratch[4];
    assert_int_equal(feri_kit_lives(&graph, lives, scratch), 2);
    assert_int_equal(lives[0].value, 1);
    assert_int_equal(lives[0].last, 2);
    assert_int_equal(lives[1].first, 1);
    assert_int_equal(lives[1].last, 2);
    small_host small;
    small_host_init(&small);
    uint64_t offsets[2];
    uint64_t bytes = 0;
    assert_int_equal(feri_kit_plan(&small.host, &graph, lives, 2, NULL, offsets, &bytes), FER_OK);
    assert_int_equal(bytes, 128);
    assert_int_equal(small.live, 0);
    small.fail_at = small.total + 1;
    assert_int_equal(feri_kit_plan(&small.host, &graph, lives, 2, NULL, offsets, &bytes),
                     FER_OUT_OF_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_round_up_and_saturate),
        cmocka_unit_test(count_sees_overflow_and_zero),
        cmocka_unit_test(dims_resolve_inside_bounds_only),
        cmocka_unit_test(axes_normalise),
        cmocka_unit_test(walk_broadcasts),
        cmocka_unit_test(walk_merges_dense_dims),
        cmocka_unit_test(lives_end_at_the_last_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
