/* SPDX-License-Identifier: Apache-2.0
 *
 * A host call made by hand for the tests of lib/host: an env whose allocator can be told to fail, a
 * node, operands. fixture_run runs the op with every allocation failing once before it lets it
 * succeed, and holds the memory in use against what it was.
 */
#ifndef FERI_TEST_HOST_FIXTURE_H
#define FERI_TEST_HOST_FIXTURE_H

#include "base/error.h"
#include "host/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 8 };

typedef struct fixture {
    feri_env *env;
    fer_context *context;
    int64_t left; /* allocations that still succeed; -1: all */
    feri_gnode node;
    fer_value_id out_ids[MOST];
    fer_attr attrs[MOST];
    fer_graph *bodies[1];
    fer_graph body;
    uint32_t captures[MOST];
    feri_gvalue body_values[MOST];
    fer_value_id body_outputs[MOST];
    fer_value *inputs[MOST];
    fer_value *outputs[MOST];
    feri_host_call call;
} fixture;

static void *fixture_alloc(void *self, size_t bytes, size_t alignment) {
    fixture *f = self;
    void *memory = NULL;
    if (f->left == 0) {
        return NULL;
    }
    f->left -= f->left > 0;
    return posix_memalign(&memory, alignment < 16 ? 16 : alignment, bytes) ? NULL : memory;
}

static void fixture_free(void *self, void *memory, size_t bytes, size_t alignment) {
    (void)self;
    (void)bytes;
    (void)alignment;
    free(memory);
}

static int fixture_set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) {
        return 1;
    }
    fer_limits limits = {.max_loop_trips = 10};
    fer_context_options options = {
        .allocator = {fixture_alloc, fixture_free, f},
          .limits = &limits
    };
    f->left = -1;
    *state = f;
    if (feri_env_create(&options, &f->env) != FER_OK) {
        return 1;
    }
    f->context = (fer_context *)(void *)f->env;
    f->call.env = f->env;
    f->call.node = &f->node;
    f->call.inputs = f->inputs;
    f->call.outputs = f->outputs;
    f->call.self = f;
    f->node.name = "it";
    f->node.attrs = f->attrs;
    f->node.outputs = f->out_ids;
    f->bodies[0] = &f->body;
    f->node.bodies = f->bodies;
    f->body.captures = f->captures;
    f->body.values = f->body_values;
    f->body.outputs = f->body_outputs;
    for (uint32_t i = 0; i < MOST; i++) {
        f->body_outputs[i] = i;
        f->body_values[i].fact.rank = -1;
    }
    return 0;
}

/* Drops operands and results, so that another op can be set up. */
static void fixture_clear(fixture *f) {
    for (uint32_t i = 0; i < MOST; i++) {
        fer_value_release(f->inputs[i]);
        fer_value_release(f->outputs[i]);
        f->inputs[i] = NULL;
        f->outputs[i] = NULL;
    }
    f->node.attr_count = 0;
    f->node.input_count = 0;
}

static int fixture_tear_down(void **state) {
    fixture *f = *state;
    fixture_clear(f);
    int leaked = f->env->now_bytes != 0;
    feri_env_release(f->env);
    free(f);
    return leaked;
}

static void fixture_attr(fixture *f, const char *name, int64_t value) {
    f->attrs[f->node.attr_count++] =
        (fer_attr){.name = name, .type = FER_ATTR_INT, .count = 1, .value.i = value};
}

static inline void
fixture_ints(fixture *f, const char *name, const int64_t *values, uint32_t count) {
    f->attrs[f->node.attr_count++] =
        (fer_attr){.name = name, .type = FER_ATTR_INTS, .count = count, .value.ints = values};
}

static inline void
fixture_body(fixture *f, const char *attr, uint32_t in, uint32_t captures, uint32_t out) {
    f->attrs[f->node.attr_count++] =
        (fer_attr){.name = attr, .type = FER_ATTR_GRAPH, .count = 1, .value.graph = 0};
    f->node.body_count = 1;
    f->body.input_count = in + captures;
    f->body.capture_count = captures;
    f->body.output_count = out;
}

/* Takes the value over as the next operand; NULL leaves it out. */
static void fixture_input(fixture *f, fer_value *value) {
    f->inputs[f->node.input_count++] = value;
    f->node.formal_count = f->node.input_count;
}

/* Bodies and run_op of tests may fail too, so these two tell. */
static inline fer_value *try_tensor(fixture *f,
                                    fer_dtype dtype,
                                    uint32_t rank,
                                    const int64_t *dims,
                                    const void *data,
                                    size_t bytes) {
    fer_tensor *tensor = NULL;
    fer_value *value = NULL;
    if (fer_tensor_create(f->context, dtype, rank, dims, &tensor) != FER_OK) {
        return NULL;
    }
    if (bytes) {
        memcpy(fer_tensor_data(tensor), data, bytes);
    }
    fer_status status = fer_value_from_tensor(tensor, &value);
    fer_tensor_release(tensor);
    return status == FER_OK ? value : NULL;
}

static inline fer_value *i64_scalar(fixture *f, int64_t number) {
    return try_tensor(f, FER_I64, 0, NULL, &number, sizeof number);
}

static inline fer_value *bool_scalar(fixture *f, int is_true) {
    uint8_t byte = is_true != 0;
    return try_tensor(f, FER_BOOL, 0, NULL, &byte, 1);
}

static inline fer_value *i64_line(fixture *f, const int64_t *numbers, int64_t count) {
    return try_tensor(f, FER_I64, 1, &count, numbers, (size_t)count * sizeof *numbers);
}

static inline fer_value *
string_value(fixture *f, uint32_t rank, const int64_t *dims, const char *const *strings) {
    fer_tensor *tensor = NULL;
    fer_value *value = NULL;
    assert_int_equal(fer_tensor_create_strings(f->context, rank, dims, strings, NULL, &tensor),
                     FER_OK);
    assert_int_equal(fer_value_from_tensor(tensor, &value), FER_OK);
    fer_tensor_release(tensor);
    return value;
}

static inline const int64_t *numbers_of(const fer_value *value) {
    assert_non_null(fer_value_tensor(value));
    assert_int_equal(fer_tensor_dtype(fer_value_tensor(value)), FER_I64);
    return fer_tensor_data(fer_value_tensor(value));
}

static inline void assert_dims(const fer_value *value, uint32_t rank, const int64_t *dims) {
    fer_tensor *tensor = fer_value_tensor(value);
    assert_non_null(tensor);
    assert_int_equal(fer_tensor_rank(tensor), rank);
    for (uint32_t d = 0; d < rank; d++) {
        assert_int_equal(fer_tensor_dims(tensor)[d], dims[d]);
    }
}

static inline void assert_string(const fer_value *value, uint64_t index, const char *expected) {
    size_t length = 0;
    const char *text = fer_tensor_string(fer_value_tensor(value), index, &length);
    assert_non_null(text);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(text, expected, length);
}

/* Every allocation fails once; then the status of the call with enough memory. */
static fer_status fixture_run(fixture *f, const char *op, uint32_t output_count) {
    f->node.op = feri_op_find("", op);
    assert_non_null(f->node.op);
    f->node.output_count = output_count;
    uint64_t before = f->env->now_bytes;
    for (int64_t index = 0;; index++) {
        f->left = index;
        fer_status status = feri_host_run(&f->call);
        int ran_out = f->left == 0;
        f->left = -1;
        if (status == FER_OK || !ran_out || status != FER_OUT_OF_MEMORY) {
            if (status != FER_OK) {
                assert_int_equal(f->env->now_bytes, before);
                assert_string_equal(fer_error_last()->node, "it");
            }
            return status;
        }
        assert_int_equal(f->env->now_bytes, before);
        for (uint32_t o = 0; o < MOST; o++) {
            assert_null(f->outputs[o]);
        }
    }
}

#endif
