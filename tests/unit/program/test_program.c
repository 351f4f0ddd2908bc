/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs through the public API on ref: builder to outputs, dynamic dims, stages, bound outputs,
 * states, records, events.
 */
#include "ferrule/ferrule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        fer_status ok_status = (call);                                                             \
        if (ok_status != FER_OK) {                                                                 \
            fail_msg("%s: %s", fer_status_name(ok_status), fer_error_last()->message);             \
        }                                                                                          \
    } while (0)

static fer_context *context_new(void) {
    fer_context *context = NULL;
    fer_context_options options = {.struct_size = sizeof(options),
                                   .flags = FER_CONTEXT_NO_MANIFESTS};
    OK(fer_context_create(&options, &context));
    return context;
}

static fer_value_id node(fer_graph *graph,
                         const char *op,
                         const fer_value_id *inputs,
                         uint32_t count,
                         const fer_attr *attrs,
                         uint32_t attr_count) {
    fer_value_id out = 0;
    fer_node_desc desc = {.struct_size = sizeof(desc),
                          .input_count = count,
                          .op = op,
                          .inputs = inputs,
                          .attrs = attrs,
                          .attr_count = attr_count,
                          .output_count = 1};
    OK(fer_graph_add_node(graph, &desc, &out));
    return out;
}

static fer_tensor *floats(fer_context *context, int64_t count, const float *values) {
    fer_tensor *tensor = NULL;
    OK(fer_tensor_create(context, FER_F32, 1, &count, &tensor));
    memcpy(fer_tensor_data(tensor), values, (size_t)count * sizeof(float));
    return tensor;
}

static void relu_runs(void **state) {
    (void)state;
    fer_context *context = context_new();
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_value_id x = 0;
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){4}, NULL, &x));
    fer_value_id y = node(graph, "Relu", &x, 1, NULL, 0);
    OK(fer_graph_add_output(graph, "y", y));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    OK(fer_program_compile(context, graph, NULL, &program));
    fer_tensor *in = floats(context, 4, (float[]){-1, 2, -3, 4}), *out = NULL;
    OK(fer_program_run(program, NULL, &in, 1, &out, 1));
    assert_memory_equal(fer_tensor_data(out), ((float[]){0, 2, 0, 4}), 16);
    /* Bound output, with a record. */
    fer_partition_record parts[4];
    fer_run_record record = {
        .struct_size = sizeof(record), .partitions = parts, .partition_capacity = 4};
    fer_run_options options = {.struct_size = sizeof(options), .record = &record};
    memset(fer_tensor_data(out), 0xff, 16);
    OK(fer_program_run(program, &options, &in, 1, &out, 1));
    assert_memory_equal(fer_tensor_data(out), ((float[]){0, 2, 0, 4}), 16);
    assert_int_equal(record.partition_count, 1);
    assert_string_equal(parts[0].device, "ref:0");
    /* In place is refused unless donated. */
    fer_tensor *same = in;
    assert_int_equal(fer_program_run(program, NULL, &in, 1, &same, 1), FER_INVALID_ARGUMENT);
    fer_run_options donate = {
        .struct_size = sizeof(donate), .donated = (uint32_t[]){0}, .donated_count = 1};
    OK(fer_program_run(program, &donate, &in, 1, &same, 1));
    assert_memory_equal(fer_tensor_data(in), ((float[]){0, 2, 0, 4}), 16);
    fer_context_release(context); /* children hold it */
    fer_tensor_release(in);
    fer_tensor_release(out);
    fer_program_release(program);
    fer_graph_release(graph);
}

static void open_dims_compile_once(void **state) {
    (void)state;
    fer_context *context = context_new();
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_value_id ids[2];
    OK(fer_graph_add_input(
        graph, "x", FER_F32, 1, (int64_t[]){-1}, (const char *[]){"n"}, &ids[0]));
    fer_tensor *one = floats(context, 1, (float[]){1});
    OK(fer_graph_add_constant(graph, "one", one, &ids[1]));
    OK(fer_graph_add_output(graph, "y", node(graph, "Add", ids, 2, NULL, 0)));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    OK(fer_program_compile(context, graph, NULL, &program));
    for (int64_t n = 0; n < 50; n++) {
        float values[64] = {0};
        values[0] = (float)n;
        fer_tensor *in = floats(context, n, values), *out = NULL;
        OK(fer_program_run(program, NULL, &in, 1, &out, 1));
        assert_int_equal(fer_tensor_dims(out)[0], n);
        if (n > 0) {
            assert_true(((float *)fer_tensor_data(out))[0] == (float)n + 1);
        }
        fer_tensor_release(in);
        fer_tensor_release(out);
    }
    fer_program_stats stats = {.struct_size = sizeof(stats)};
    OK(fer_program_get_stats(program, &stats));
    assert_int_equal(stats.compile_count, 1);
    assert_int_equal(stats.specialization_count, 1);
    fer_tensor_release(one);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

static void data_dependent_sizes_make_stages(void **state) {
    (void)state;
    fer_context *context = context_new();
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_value_id x = 0;
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){5}, NULL, &x));
    fer_value_id found = node(graph, "NonZero", &x, 1, NULL, 0);
    fer_value_id turned = node(graph, "Transpose", &found, 1, NULL, 0);
    OK(fer_graph_add_output(graph, "found", found));
    OK(fer_graph_add_output(graph, "turned", turned));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    OK(fer_program_compile(context, graph, NULL, &program));
    fer_tensor *in = floats(context, 5, (float[]){0, 7, 0, 8, 9}), *out[2] = {NULL, NULL};
    fer_run_record record = {.struct_size = sizeof(record)};
    fer_run_options options = {.struct_size = sizeof(options), .record = &record};
    OK(fer_program_run(program, &options, &in, 1, out, 2));
    assert_int_equal(fer_tensor_dims(out[0])[0], 1);
    assert_int_equal(fer_tensor_dims(out[0])[1], 3);
    assert_int_equal(fer_tensor_dims(out[1])[0], 3);
    assert_memory_equal(fer_tensor_data(out[1]), ((int64_t[]){1, 3, 4}), 24);
    assert_int_equal(record.stage_count, 2);
    fer_tensor_release(in);
    fer_tensor_release(out[0]);
    fer_tensor_release(out[1]);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

static void variables_commit(void **state) {
    (void)state;
    fer_context *context = context_new();
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_tensor *zero = floats(context, 2, (float[]){0, 0});
    fer_value_id ids[2];
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){2}, NULL, &ids[0]));
    OK(fer_graph_add_variable(graph, "sum", zero, &ids[1]));
    fer_value_id sum = node(graph, "Add", ids, 2, NULL, 0);
    OK(fer_graph_assign_variable(graph, ids[1], sum));
    OK(fer_graph_add_output(graph, "y", sum));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    fer_state *values = NULL;
    OK(fer_program_compile(context, graph, NULL, &program));
    OK(fer_state_create(program, &values));
    fer_run_options options = {.struct_size = sizeof(options), .state = values};
    fer_tensor *in = floats(context, 2, (float[]){1, 2}), *now = NULL;
    for (int i = 0; i < 3; i++) {
        fer_tensor *out = NULL;
        OK(fer_program_run(program, &options, &in, 1, &out, 1));
        fer_tensor_release(out);
    }
    assert_int_equal(fer_state_version(values), 3);
    OK(fer_state_get(values, "sum", &now));
    assert_memory_equal(fer_tensor_data(now), ((float[]){3, 6}), 8);
    fer_tensor_release(now);
    fer_tensor_release(in);
    fer_tensor_release(zero);
    fer_state_release(values);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

/* What fer_op_run is given is the caller's own: nothing but a sentence comes of what is wrong in
 * it. */
static void eager_refuses_attributes(void **state) {
    (void)state;
    fer_context *context = context_new();
    fer_tensor *x = floats(context, 3, (float[]){1, 2, 3}), *out = NULL;
    const fer_attr bad[] = {
        {.name = NULL,                .type = FER_ATTR_INT, .value.i = 1},
        {.name = "axes",                           .type = FER_ATTR_INTS,                                  .count = 2},
        {.name = "axes",                 .type = FER_ATTR_NONE   },
        {.name = "axes",.type = FER_ATTR_GRAPH + 1      },
        {.name = "value",            .type = FER_ATTR_TENSOR                         }
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fer_op_run(context, NULL, "", "Neg", &bad[i], 1, &x, 1, &out, 1),
                         FER_INVALID_ARGUMENT);
        assert_non_null(strstr(fer_error_last()->message, "fer_op_run 'Neg'"));
    }
    assert_null(out);
    const fer_attr body = {.name = "body", .type = FER_ATTR_GRAPH};
    assert_int_not_equal(fer_op_run(context, NULL, "", "Neg", &body, 1, &x, 1, &out, 1), FER_OK);
    /* In any order, and more of them than an op has. */
    const fer_attr axis[2] = {
        {.name = "keepdims", .type = FER_ATTR_INT, .value.i = 0},
        {.name = "axis",     .type = FER_ATTR_INT, .value.i = 0}
    };
    OK(fer_op_run(context, NULL, "", "ArgMax", axis, 2, &x, 1, &out, 1));
    assert_int_equal(*(int64_t *)fer_tensor_data(out), 2);
    fer_tensor_release(out);
    fer_tensor_release(x);
    fer_context_release(context);
}

static void eager_and_async(void **state) {
    (void)state;
    fer_context *context = context_new();
    fer_tensor *in[2] = {floats(context, 3, (float[]){1, 2, 3}),
                         floats(context, 3, (float[]){4, 5, 6})};
    for (int i = 0; i < 3; i++) {
        fer_tensor *out = NULL;
        OK(fer_op_run(context, NULL, "", "Mul", NULL, 0, in, 2, &out, 1));
        assert_memory_equal(fer_tensor_data(out), ((float[]){4, 10, 18}), 12);
        fer_tensor_release(out);
    }
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    fer_value_id x = 0;
    OK(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){3}, NULL, &x));
    OK(fer_graph_add_output(graph, "y", node(graph, "Neg", &x, 1, NULL, 0)));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    OK(fer_program_compile(context, graph, NULL, &program));
    fer_event *event = NULL;
    OK(fer_program_run_async(program, NULL, in, 1, NULL, 1, &event));
    OK(fer_event_wait(event, UINT64_MAX));
    fer_tensor *out = NULL;
    OK(fer_event_output(event, 0, &out));
    assert_memory_equal(fer_tensor_data(out), ((float[]){-1, -2, -3}), 12);
    fer_tensor_release(out);
    fer_run_options options = {.struct_size = sizeof(options)};
    fer_event_release(event);
    fer_event *given_up = NULL;
    options.deadline_ns = 1; /* passed before the job can start */
    char *key = strdup("project");
    fer_tag tags[2] = {{key, "ferrule", 0}, {"free", NULL, 2}};
    options.tags = tags;
    options.tag_count = 2;
    OK(fer_program_run_async(program, &options, in, 1, NULL, 1, &given_up));
    free(key); /* copied */
    memset(tags, 0xff, sizeof(tags));
    assert_int_equal(fer_event_wait(given_up, UINT64_MAX), FER_DEADLINE);
    fer_event_release(given_up);
    /* Values: new outputs are the caller's. */
    fer_value *value = NULL, *result = NULL;
    OK(fer_value_from_tensor(in[0], &value));
    OK(fer_program_run_values(program, NULL, &value, 1, &result, 1));
    assert_memory_equal(fer_tensor_data(fer_value_tensor(result)), ((float[]){-1, -2, -3}), 12);
    fer_value_release(result);
    fer_value_release(value);
    fer_tensor_release(in[0]);
    fer_tensor_release(in[1]);
    fer_program_release(program);
    fer_graph_release(graph);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relu_runs),
        cmocka_unit_test(open_dims_compile_once),
        cmocka_unit_test(data_dependent_sizes_make_stages),
        cmocka_unit_test(variables_commit),
        cmocka_unit_test(eager_refuses_attributes),
        cmocka_unit_test(eager_and_async),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
