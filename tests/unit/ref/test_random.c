/* SPDX-License-Identifier: Apache-2.0
 *
 * The distribution of random ops, which ONNX's vectors cannot compare: moments and histograms of
 * many draws within five standard errors, bounds, and what a seed promises.
 */
#include "ferrule/ferrule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DRAWS = 100000 };

static fer_context *context;

/* shape and dtype as attributes, or as one operand. */
static fer_tensor *draw(const char *op, fer_dtype dtype, const fer_attr *more, uint32_t count) {
    static const int64_t shape[1] = {DRAWS};
    fer_attr attrs[8] = {
        {.name = "shape", .type = FER_ATTR_INTS, .count = 1, .value.ints = shape},
        {.name = "dtype", .type = FER_ATTR_INT,  .count = 1, .value.i = dtype   },
    };
    fer_tensor *out = NULL;
    if (count) {
        memcpy(attrs + 2, more, count * sizeof(*more));
    }
    assert_int_equal(fer_op_run(context, NULL, "", op, attrs, count + 2, NULL, 0, &out, 1), FER_OK);
    assert_int_equal(fer_tensor_element_count(out), DRAWS);
    return out;
}

static fer_attr number(const char *name, float value) {
    return (fer_attr){.name = name, .type = FER_ATTR_FLOAT, .count = 1, .value.f = value};
}

static void moments(const float *x, double *mean, double *variance) {
    double sum = 0, squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    *mean = sum / DRAWS;
    *variance = squares / DRAWS - *mean * *mean;
}

static void uniform_fills_its_range_evenly(void **state) {
    (void)state;
    fer_attr attrs[3] = {number("low", -2), number("high", 6), number("seed", 1)};
    fer_tensor *out = draw("RandomUniform", FER_F32, attrs, 3);
    const float *x = fer_tensor_data(out);
    double mean, variance;
    int cells[16] = {0};
    moments(x, &mean, &variance);
    for (int i = 0; i < DRAWS; i++) {
        assert_true(x[i] >= -2 && x[i] < 6);
        cells[(int)((x[i] + 2) * 2)]++;
    }
    assert_true(fabs(mean - 2) < 5 * 8 / sqrt(12.0 * DRAWS));
    assert_true(fabs(variance - 64 / 12.0) < 0.1);
    double chi = 0;
    for (int c = 0; c < 16; c++) {
        chi += pow(cells[c] - DRAWS / 16.0, 2) / (DRAWS / 16.0);
    }
    assert_true(chi < 50); /* 15 degrees of freedom: 1e-5 above */
    fer_tensor_release(out);
}

static void normal_has_its_moments(void **state) {
    (void)state;
    fer_attr attrs[3] = {number("mean", 3), number("scale", 2), number("seed", 7)};
    fer_tensor *out = draw("RandomNormal", FER_F32, attrs, 3);
    const float *x = fer_tensor_data(out);
    double mean, variance;
    int inside = 0;
    moments(x, &mean, &variance);
    for (int i = 0; i < DRAWS; i++) {
        inside += fabsf(x[i] - 3) < 2;
    }
    assert_true(fabs(mean - 3) < 5 * 2 / sqrt((double)DRAWS));
    assert_true(fabs(variance - 4) < 0.1);
    assert_true(fabs(inside / (double)DRAWS - 0.682689) < 5 * 0.4655 / sqrt((double)DRAWS));
    fer_tensor_release(out);
}

static void bernoulli_follows_each_probability(void **state) {
    (void)state;
    static float p[DRAWS];
    const int64_t dims[1] = {DRAWS};
    fer_tensor *in = NULL, *out = NULL;
    fer_attr attrs[2] = {
        number("seed", 3), {.name = "dtype", .type = FER_ATTR_INT, .count = 1, .value.i = FER_I32}
    };
    for (int i = 0; i < DRAWS; i++) {
        p[i] = (float)(i % 4) / 3;
    }
    assert_int_equal(fer_tensor_create(context, FER_F32, 1, dims, &in), FER_OK);
    memcpy(fer_tensor_data(in), p, sizeof(p));
    assert_int_equal(fer_op_run(context, NULL, "", "Bernoulli", attrs, 2, &in, 1, &out, 1), FER_OK);
    const int32_t *x = fer_tensor_data(out);
    int ones[4] = {0};
    for (int i = 0; i < DRAWS; i++) {
        ones[i % 4] += x[i];
    }
    assert_int_equal(ones[0], 0);
    assert_int_equal(ones[3], DRAWS / 4);
    for (int k = 1; k < 3; k++) {
        double each = ones[k] / (DRAWS / 4.0);
        assert_true(fabs(each - k / 3.0) < 5 * sqrt(2 / 9.0 / (DRAWS / 4.0)));
    }
    fer_tensor_release(in);
    fer_tensor_release(out);
}

static void multinomial_follows_its_weights(void **state) {
    (void)state;
    const int64_t dims[2] = {1, 3};
    const float logs[3] = {0, -INFINITY, 1.0986123f}; /* 1 : 0 : 3 */
    fer_tensor *in = NULL, *out = NULL;
    fer_attr attrs[2] = {
        number("seed", 9),
        {.name = "sample_size", .type = FER_ATTR_INT, .count = 1, .value.i = DRAWS}
    };
    assert_int_equal(fer_tensor_create(context, FER_F32, 2, dims, &in), FER_OK);
    memcpy(fer_tensor_data(in), logs, sizeof(logs));
    assert_int_equal(fer_op_run(context, NULL, "", "Multinomial", attrs, 2, &in, 1, &out, 1),
                     FER_OK);
    const int32_t *x = fer_tensor_data(out);
    int seen[3] = {0};
    for (int i = 0; i < DRAWS; i++) {
        assert_in_range(x[i], 0, 2);
        seen[x[i]]++;
    }
    assert_int_equal(seen[1], 0);
    assert_true(fabs(seen[0] / (double)DRAWS - 0.25) < 5 * sqrt(3 / 16.0 / DRAWS));
    fer_tensor_release(in);
    fer_tensor_release(out);
}

static void a_seed_decides_and_no_seed_does_not(void **state) {
    (void)state;
    fer_attr seeds[2] = {number("seed", 5), number("seed", 6)};
    fer_tensor *a = draw("RandomUniform", FER_F64, &seeds[0], 1);
    fer_tensor *b = draw("RandomUniform", FER_F64, &seeds[0], 1);
    fer_tensor *c = draw("RandomUniform", FER_F64, &seeds[1], 1);
    fer_tensor *d = draw("RandomUniform", FER_F64, NULL, 0);
    fer_tensor *e = draw("RandomUniform", FER_F64, NULL, 0);
    size_t bytes = DRAWS * sizeof(double);
    assert_memory_equal(fer_tensor_data(a), fer_tensor_data(b), bytes);
    assert_true(memcmp(fer_tensor_data(a), fer_tensor_data(c), bytes) != 0);
    assert_true(memcmp(fer_tensor_data(d), fer_tensor_data(e), bytes) != 0);
    fer_tensor *all[5] = {a, b, c, d, e};
    for (int i = 0; i < 5; i++) {
        fer_tensor_release(all[i]);
    }
}

/* Known answer of Philox4x32-10 (the generator's own test file): counter and key 0. */
static void the_generator_is_philox(void **state) {
    (void)state;
    fer_attr seed = number("seed", 0);
    fer_tensor *out = draw("RandomUniform", FER_F64, &seed, 1);
    const double *x = fer_tensor_data(out);
    uint64_t words = (uint64_t)0x6627e8d5u << 32 | 0xe169c58du;
    assert_true(x[0] == ldexp((double)(words >> 11), -53));
    fer_tensor_release(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_fills_its_range_evenly),
        cmocka_unit_test(normal_has_its_moments),
        cmocka_unit_test(bernoulli_follows_each_probability),
        cmocka_unit_test(multinomial_follows_its_weights),
        cmocka_unit_test(a_seed_decides_and_no_seed_does_not),
        cmocka_unit_test(the_generator_is_philox),
    };
    if (fer_context_create(NULL, &context) != FER_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fer_context_release(context);
    return failed;
}
