/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs whose contents decide shapes or branches: what is compiled for one content never serves
 * another, whatever changes - numbers, length, dtype order - and what was seen is found again.
 */
#include "../program/program_kit.h"

static uint64_t compiles(fer_program *program) {
    fer_program_stats stats = {.struct_size = sizeof(stats)};
    OK(fer_program_get_stats(program, &stats));
    return stats.compile_count;
}

/* Reshape of 24 elements to shapes of one to four dims: the length of the shape changes too. */
static void a_shape_may_change_its_length(void **state) {
    stand *b = *state;
    static const struct {
        int64_t rank, dims[4];
    } shapes[] = {
        {1, {24}         },
        {2, {4, 6}       },
        {3, {2, 3, 4}    },
        {4, {1, 2, 3, 4} },
        {2, {6, 4}       },
        {1, {-1}         },
        {3, {-1, 12, 1}  },
        {4, {24, 1, 1, 1}}
    };
    fer_graph *graph = new_graph(b->context);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){-1});
    fer_value_id to = add_input(graph, "to", FER_I64, 1, (int64_t[]){-1});
    fer_value_id y = add_two(graph, "Reshape", x, to);
    OK(fer_graph_add_output(graph, "y", add_one(graph, "Neg", y)));
    fer_program *program = compiled(b->context, graph, NULL);
    fer_tensor *in[2] = {ramp(b->context, 1, (int64_t[]){24}, 0, 1), NULL};
    uint64_t after_first = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            fer_tensor *out = NULL;
            in[1] = i64_line(b->context, shapes[i].rank, shapes[i].dims);
            OK(fer_program_run(program, NULL, in, 2, &out, 1));
            assert_int_equal(fer_tensor_rank(out), shapes[i].rank);
            int64_t rest = 24;
            for (int64_t d = 0; d < shapes[i].rank; d++) {
                int64_t dim = shapes[i].dims[d];
                assert_true(dim == -1 || fer_tensor_dims(out)[d] == dim);
                rest /= fer_tensor_dims(out)[d];
            }
            assert_int_equal(rest, 1);
            assert_true(((float *)fer_tensor_data(out))[23] == -23);
            fer_tensor_release(out);
            fer_tensor_release(in[1]);
        }
        after_first = round == 0 ? compiles(program) : after_first;
    }
    assert_int_equal(compiles(program), after_first);
    fer_tensor_release(in[0]);
    fer_program_release(program);
}

/* Two deciding inputs of changing lengths, so that signatures of equal size differ inside. */
static void two_deciding_inputs(void **state) {
    stand *b = *state;
    fer_graph *graph = new_graph(b->context);
    fer_value_id k = add_input(graph, "k", FER_I64, 1, (int64_t[]){-1});
    fer_value_id m = add_input(graph, "m", FER_I64, 1, (int64_t[]){-1});
    OK(fer_graph_add_output(graph, "y", add_one(graph, "ConstantOfShape", k)));
    OK(fer_graph_add_output(graph, "z", add_one(graph, "ConstantOfShape", m)));
    fer_program *program = compiled(b->context, graph, NULL);
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t mix = i * 2654435761u;
        int64_t first[3] = {mix % 3, mix / 3 % 3, mix / 9 % 3};
        int64_t second[3] = {mix / 27 % 3, mix / 81 % 3, mix / 243 % 3};
        int64_t lengths[2] = {mix / 729 % 4, mix / 2916 % 4};
        fer_tensor *in[2] = {i64_line(b->context, lengths[0], first),
                             i64_line(b->context, lengths[1], second)};
        fer_tensor *out[2] = {NULL, NULL};
        OK(fer_program_run(program, NULL, in, 2, out, 2));
        for (int o = 0; o < 2; o++) {
            assert_int_equal(fer_tensor_rank(out[o]), lengths[o]);
            for (int64_t d = 0; d < lengths[o]; d++) {
                assert_int_equal(fer_tensor_dims(out[o])[d], o == 0 ? first[d] : second[d]);
            }
            fer_tensor_release(out[o]);
            fer_tensor_release(in[o]);
        }
    }
    fer_program_release(program);
}

/* The branch follows the condition, and each is compiled once. */
static void branches_follow_the_condition(void **state) {
    stand *b = *state;
    fer_graph *graph = new_graph(b->context), *bodies[2];
    fer_value_id condition = add_input(graph, "c", FER_BOOL, 0, NULL);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){-1});
    for (int i = 0; i < 2; i++) {
        bodies[i] = new_graph(b->context);
        fer_value_id k = add_weight(b->context, bodies[i], 1, (int64_t[]){i + 2});
        OK(fer_graph_add_output(bodies[i], "v", add_one(bodies[i], "Neg", k)));
        OK(fer_graph_finish(bodies[i]));
    }
    fer_attr attrs[2] = {body_attr("then_branch", bodies[1]), body_attr("else_branch", bodies[0])};
    fer_value_id y = add_node(graph, "If", 1, &condition, 2, attrs);
    OK(fer_graph_add_output(graph, "y", y));
    OK(fer_graph_add_output(graph, "z", add_one(graph, "Neg", x)));
    fer_program *program = compiled(b->context, graph, NULL);
    uint64_t after = 0;
    for (int i = 0; i < 40; i++) {
        uint8_t flag = i % 3 == 0;
        fer_tensor *in[2] = {tensor_of(b->context, FER_BOOL, 0, NULL, &flag),
                             ramp(b->context, 1, (int64_t[]){2}, 1, 1)};
        fer_tensor *out[2] = {NULL, NULL};
        OK(fer_program_run(program, NULL, in, 2, out, 2));
        assert_int_equal(fer_tensor_dims(out[0])[0], flag ? 3 : 2);
        assert_true(((float *)fer_tensor_data(out[0]))[0] == 0.25f);
        for (int o = 0; o < 2; o++) {
            fer_tensor_release(in[o]);
            fer_tensor_release(out[o]);
        }
        after = i == 2 ? compiles(program) : after;
    }
    assert_int_equal(compiles(program), after);
    fer_program_release(program);
    fer_graph_release(bodies[0]);
    fer_graph_release(bodies[1]);
}

/* A cache of specialisations that may hold little: memory stays where it is however many come. */
static void the_cache_is_bounded(void **state) {
    (void)state;
    counted memory;
    fer_context_options options = counted_options(&memory);
    fer_limits limits = {.struct_size = sizeof(limits), .max_specialization_bytes = 64 << 10};
    options.limits = &limits;
    fer_context *context = NULL;
    OK(fer_context_create(&options, &context));
    fer_graph *graph = new_graph(context);
    fer_value_id to = add_input(graph, "to", FER_I64, 1, (int64_t[]){2});
    fer_value_id y = add_one(graph, "ConstantOfShape", to);
    OK(fer_graph_add_output(graph, "y", add_one(graph, "Neg", y)));
    fer_program *program = compiled(context, graph, NULL);
    uint64_t early = 0, late = 0;
    for (int64_t i = 0; i < 4000; i++) {
        fer_tensor *in = i64_line(context, 2, (int64_t[]){i % 61 + 1, i / 61 % 67 + 1}),
                   *out = NULL;
        OK(fer_program_run(program, NULL, &in, 1, &out, 1));
        assert_int_equal(fer_tensor_element_count(out), (i % 61 + 1) * (i / 61 % 67 + 1));
        fer_tensor_release(in);
        fer_tensor_release(out);
        if (i == 1999) {
            fer_context_memory(context, &early, NULL);
        }
    }
    fer_context_memory(context, &late, NULL);
    print_message("%llu bytes after 2,000 sizes, %llu after 4,000\n",
                  (unsigned long long)early,
                  (unsigned long long)late);
    assert_true(late < early + early / 4);
    fer_program_release(program);
    fer_context_release(context);
    assert_all_back(&memory);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, stand_set_up, stand_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_shape_may_change_its_length),
        TEST(two_deciding_inputs),
        TEST(branches_follow_the_condition),
        cmocka_unit_test(the_cache_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
