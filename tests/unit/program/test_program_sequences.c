/* SPDX-License-Identifier: Apache-2.0
 *
 * A model that takes a sequence, given what is none, or holds what it should not: cold and warm,
 * the call is refused with the input's or node's name, and the next right one is right.
 */
#include "../import/model_bytes.h"
#include "program_kit.h"

typedef struct bench {
    counted memory;
    fer_context *context;
    fer_program *program; /* y = -ConcatFromSequence(s), s a sequence of f32 lines */
} bench;

static bytes sequence_model(void) {
    bytes graph = {0}, tensor = {0}, element = {0}, sequence = {0}, type = {0}, value = {0};
    put_int(&tensor, 1, FER_F32);
    put_message(&element, 1, &tensor);
    put_message(&sequence, 1, &element);
    put_message(&type, 4, &sequence);
    put_text(&value, 1, "s");
    put_message(&value, 2, &type);
    put_message(&graph, 11, &value);
    bytes join = a_node("ConcatFromSequence", "s", "joined");
    put_int_attr(&join, "axis", 0);
    put_message(&graph, 1, &join);
    put_node(&graph, "Neg", "joined", "y");
    put_output(&graph, "y");
    return a_model(&graph, 21);
}

static int set_up(void **state) {
    bench *b = calloc(1, sizeof(*b));
    b->context = counted_context(&b->memory);
    bytes model = sequence_model();
    fer_graph *graph = NULL;
    OK(fer_graph_import_memory(b->context, model.data, model.length, NULL, NULL, NULL, &graph));
    OK(fer_program_compile(b->context, graph, NULL, &b->program));
    fer_graph_release(graph);
    free(model.data);
    *state = b;
    return 0;
}

static int tear_down(void **state) {
    bench *b = *state;
    fer_program_release(b->program);
    fer_context_release(b->context);
    assert_all_back(&b->memory);
    free(b);
    return 0;
}

/* count lines of two elements each; the last one of dtype last. */
static fer_value *lines(bench *b, uint32_t count, fer_dtype last) {
    fer_value *items[4] = {NULL}, *value = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const int64_t two = 2;
        fer_tensor *tensor = i + 1 == count && last != FER_F32
                                 ? tensor_of(b->context, last, 1, &two, NULL)
                                 : ramp(b->context, 1, &two, (float)i * 2, 1);
        OK(fer_value_from_tensor(tensor, &items[i]));
        fer_tensor_release(tensor);
    }
    OK(fer_value_sequence(b->context, items, count, &value));
    for (uint32_t i = 0; i < count; i++) {
        fer_value_release(items[i]);
    }
    return value;
}

static void good(bench *b, uint32_t count) {
    fer_value *in = lines(b, count, FER_F32), *out = NULL;
    OK(fer_program_run_values(b->program, NULL, &in, 1, &out, 1));
    fer_tensor *tensor = fer_value_tensor(out);
    assert_int_equal(fer_tensor_dims(tensor)[0], 2 * count);
    for (uint32_t i = 0; i < 2 * count; i++) {
        assert_true(((float *)fer_tensor_data(tensor))[i] == -(float)i);
    }
    fer_value_release(in);
    fer_value_release(out);
}

/* Takes in over. */
static void bad(bench *b, fer_value *in, const char *word) {
    fer_value *out = NULL;
    fer_status status = fer_program_run_values(b->program, NULL, &in, 1, &out, 1);
    assert_null(out);
    if (status == FER_INVALID_MODEL) { /* a host op's own word for what it was given */
        status = FER_INVALID_INPUT;
    }
    REFUSED(status, FER_INVALID_INPUT, word);
    fer_value_release(in);
}

static void only_sequences_of_lines_run(void **state) {
    bench *b = *state;
    static const fer_dtype others[] = {FER_U8, FER_F64, FER_I64, FER_F16, FER_STRING, FER_C128};
    for (int warm = 0; warm < 3; warm++) {
        bad(b, NULL, "'s'");
        fer_value *tensor = NULL, *optional = NULL, *nested = NULL, *inner = lines(b, 1, FER_F32);
        fer_tensor *line = ramp(b->context, 1, (int64_t[]){2}, 0, 1);
        OK(fer_value_from_tensor(line, &tensor));
        OK(fer_value_optional(b->context, NULL, &optional));
        OK(fer_value_sequence(b->context, &inner, 1, &nested));
        fer_tensor_release(line);
        fer_value_release(inner);
        bad(b, tensor, "'s'");
        bad(b, optional, "'s'");
        bad(b, nested, "");
        bad(b, lines(b, 0, FER_F32), "");
        for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
            bad(b, lines(b, 1, others[i]), "");
            bad(b, lines(b, 3, others[i]), "");
        }
        good(b, 1 + (uint32_t)warm);
    }
    fer_tensor *line = ramp(b->context, 1, (int64_t[]){2}, 0, 1), *out = NULL;
    REFUSED(fer_program_run(b->program, NULL, &line, 1, &out, 1), FER_INVALID_INPUT, "'s'");
    fer_tensor *none = NULL;
    REFUSED(fer_program_run(b->program, NULL, &none, 1, &out, 1), FER_INVALID_INPUT, "'s'");
    fer_tensor_release(line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_sequences_of_lines_run, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
