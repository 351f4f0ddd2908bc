/* SPDX-License-Identifier: Apache-2.0
 *
 * What callers get wrong, and what they may rely on all the same: every failing call names what is
 * wrong, sets no output, keeps no memory and leaves the program good for the next run.
 */
#include "program_kit.h"

typedef struct bench {
    counted memory;
    fer_context *context;
    fer_program *program; /* y = x + b, z = -x; x and b are f32 [a, 2] */
    fer_tensor *inputs[2];
    fer_tensor *outputs[2];
} bench;

static int set_up(void **state) {
    bench *b = calloc(1, sizeof(*b));
    b->context = counted_context(&b->memory);
    fer_graph *graph = new_graph(b->context);
    fer_value_id in[2] = {add_input(graph, "x", FER_F32, 2, (int64_t[]){-1, 2}),
                          add_input(graph, "b", FER_F32, 2, (int64_t[]){-1, 2})};
    OK(fer_graph_add_output(graph, "y", add_two(graph, "Add", in[0], in[1])));
    OK(fer_graph_add_output(graph, "z", add_one(graph, "Neg", in[0])));
    b->program = compiled(b->context, graph, NULL);
    b->inputs[0] = ramp(b->context, 2, (int64_t[]){3, 2}, 1, 1);
    b->inputs[1] = ramp(b->context, 2, (int64_t[]){3, 2}, 10, 10);
    *state = b;
    return 0;
}

static int tear_down(void **state) {
    bench *b = *state;
    fer_tensor_release(b->inputs[0]);
    fer_tensor_release(b->inputs[1]);
    fer_program_release(b->program);
    fer_context_release(b->context);
    assert_all_back(&b->memory);
    free(b);
    return 0;
}

static uint64_t in_use(const bench *b) {
    uint64_t now = 0;
    fer_context_memory(b->context, &now, NULL);
    return now;
}

static fer_status run(bench *b, const fer_run_options *options) {
    return fer_program_run(b->program, options, b->inputs, 2, b->outputs, 2);
}

static void good_run(bench *b) {
    fer_tensor *out[2] = {NULL, NULL};
    OK(fer_program_run(b->program, NULL, b->inputs, 2, out, 2));
    assert_true(((float *)fer_tensor_data(out[0]))[5] == 66);
    assert_true(((float *)fer_tensor_data(out[1]))[5] == -6);
    fer_tensor_release(out[0]);
    fer_tensor_release(out[1]);
}

/* ---- inputs ---- */

/* The event of an asynchronous run may live a moment longer than the caller's reference: its worker
 * drops the last one. */
static void assert_in_use_again(const bench *b, uint64_t bytes) {
    for (int i = 0; i < 20000 && in_use(b) != bytes; i++) {
        usleep(500);
    }
    assert_int_equal(in_use(b), bytes);
}

/* Input index is replaced: cold and warm the call is refused alike. */
static void refuse_input(bench *b, uint32_t index, fer_tensor *wrong, const char *word) {
    fer_tensor *right = b->inputs[index];
    b->inputs[index] = wrong;
    uint64_t before = in_use(b);
    REFUSED(run(b, NULL), FER_INVALID_INPUT, word);
    assert_true(b->outputs[0] == NULL && b->outputs[1] == NULL);
    assert_int_equal(in_use(b), before);
    fer_event *event = NULL;
    OK(fer_program_run_async(b->program, NULL, b->inputs, 2, NULL, 2, &event));
    REFUSED(fer_event_wait(event, UINT64_MAX), FER_INVALID_INPUT, word);
    fer_tensor *none = NULL;
    REFUSED(fer_event_output(event, 0, &none), FER_INVALID_INPUT, word);
    assert_null(none);
    fer_event_release(event);
    assert_in_use_again(b, before);
    b->inputs[index] = right;
    fer_tensor_release(wrong);
}

static void wrong_inputs_are_named(void **state) {
    bench *b = *state;
    for (int warm = 0; warm < 2; warm++) {
        refuse_input(b, 1, NULL, "'b'");
        refuse_input(b, 0, tensor_of(b->context, FER_F64, 2, (int64_t[]){3, 2}, NULL), "f64");
        refuse_input(b, 0, tensor_of(b->context, FER_F32, 1, (int64_t[]){6}, NULL), "rank 2");
        refuse_input(b, 1, tensor_of(b->context, FER_F32, 2, (int64_t[]){3, 3}, NULL), "'b'");
        refuse_input(b, 1, tensor_of(b->context, FER_F32, 2, (int64_t[]){4, 2}, NULL), "'b'");
        refuse_input(b, 0, tensor_of(b->context, FER_STRING, 2, (int64_t[]){3, 2}, NULL), "str");
        good_run(b);
    }
    assert_int_equal(fer_program_input_index(b->program, "b"), 1);
    assert_int_equal(fer_program_input_index(b->program, "nobody"), UINT32_MAX);
    assert_int_equal(fer_program_output_index(b->program, NULL), UINT32_MAX);
}

static void counts_and_arrays_are_checked(void **state) {
    bench *b = *state;
    fer_tensor **none = NULL;
    REFUSED(fer_program_run(b->program, NULL, b->inputs, 1, b->outputs, 2),
            FER_INVALID_INPUT,
            "takes 2 inputs");
    REFUSED(fer_program_run(b->program, NULL, b->inputs, 2, b->outputs, 3),
            FER_INVALID_INPUT,
            "gives 2 outputs");
    REFUSED(fer_program_run(b->program, NULL, none, 2, b->outputs, 2),
            FER_INVALID_ARGUMENT,
            "inputs is NULL");
    REFUSED(fer_program_run(b->program, NULL, b->inputs, 2, none, 2),
            FER_INVALID_ARGUMENT,
            "outputs is NULL");
    REFUSED(fer_program_run(NULL, NULL, b->inputs, 2, b->outputs, 2),
            FER_INVALID_ARGUMENT,
            "program is NULL");
    fer_value *values[2] = {NULL, NULL}, *results[2] = {NULL, NULL};
    REFUSED(
        fer_program_run_values(b->program, NULL, values, 2, results, 2), FER_INVALID_INPUT, "'x'");
    REFUSED(fer_program_run_values(b->program, NULL, NULL, 2, results, 2),
            FER_INVALID_ARGUMENT,
            "inputs is NULL");
    REFUSED(fer_program_run_values(b->program, NULL, values, 2, NULL, 2),
            FER_INVALID_ARGUMENT,
            "outputs is NULL");
    fer_event *event = NULL;
    REFUSED(fer_program_run_async(b->program, NULL, b->inputs, 2, NULL, 1, &event),
            FER_INVALID_INPUT,
            "gives 2 outputs");
    REFUSED(fer_program_run_async(b->program, NULL, NULL, 2, NULL, 2, &event),
            FER_INVALID_ARGUMENT,
            "NULL");
    REFUSED(fer_program_run_async(b->program, NULL, b->inputs, 2, NULL, 2, NULL),
            FER_INVALID_ARGUMENT,
            "NULL");
    assert_null(event);
    good_run(b);
}

/* ---- options ---- */

static void options_are_checked(void **state) {
    bench *b = *state;
    fer_run_options options = {.struct_size = sizeof(options), .donated_count = 1};
    REFUSED(run(b, &options), FER_INVALID_ARGUMENT, "donated");
    options.donated = (uint32_t[]){2};
    REFUSED(run(b, &options), FER_INVALID_ARGUMENT, "donated input 2");
    fer_event *event = NULL;
    options = (fer_run_options){.struct_size = sizeof(options), .tag_count = 3};
    REFUSED(fer_program_run_async(b->program, &options, b->inputs, 2, NULL, 2, &event),
            FER_INVALID_ARGUMENT,
            "tags");
    options = (fer_run_options){.struct_size = sizeof(options), .flags = 1u << 20};
    REFUSED(run(b, &options), FER_INVALID_ARGUMENT, "0x100000");
    assert_true(b->outputs[0] == NULL && b->outputs[1] == NULL && event == NULL);
    fer_context *context = NULL;
    const fer_context_options newer = {.struct_size = sizeof(newer), .flags = 1u << 20};
    REFUSED(fer_context_create(&newer, &context), FER_INVALID_ARGUMENT, "0x100000");
    assert_null(context);
    good_run(b);
}

/* A count without its list: each of the lists of a compilation. */
static void lists_with_a_count_are_there(void **state) {
    bench *b = *state;
    const fer_compile_options wrong[] = {
        {.struct_size = sizeof(wrong[0]), .pin_count = 1},
        {.struct_size = sizeof(wrong[0]), .share_count = 2},
        {.struct_size = sizeof(wrong[0]), .dim_count = UINT32_MAX},
        {.struct_size = sizeof(wrong[0]), .passes_off_count = 1},
    };
    fer_graph *graph = new_graph(b->context);
    OK(fer_graph_add_output(
        graph, "y", add_one(graph, "Neg", add_input(graph, "x", FER_F32, 1, (int64_t[]){2}))));
    OK(fer_graph_finish(graph));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fer_program *none = NULL;
        REFUSED(fer_program_compile(b->context, graph, &wrong[i], &none),
                FER_INVALID_ARGUMENT,
                "a list with a count in the compile options");
        assert_null(none);
    }
    fer_graph_release(graph);
}

/* Shorter and longer structs, of an older and a newer header. */
static void structs_may_have_other_sizes(void **state) {
    bench *b = *state;
    struct {
        fer_run_options known;
        uint64_t later[2];
    } longer = {.known = {.struct_size = sizeof(longer)}};
    OK(run(b, &longer.known));
    fer_tensor_release(b->outputs[0]);
    fer_tensor_release(b->outputs[1]);
    b->outputs[0] = b->outputs[1] = NULL;
    longer.later[1] = 7;
    REFUSED(run(b, &longer.known), FER_INVALID_ARGUMENT, "fer_run_options");
    fer_run_options options = {.struct_size = 3};
    REFUSED(run(b, &options), FER_INVALID_ARGUMENT, "struct_size is 3");
    uint32_t *alone = malloc(sizeof(*alone)); /* the sanitizer sees reads behind it */
    *alone = sizeof(*alone);
    OK(run(b, (const fer_run_options *)(const void *)alone));
    free(alone);
    /* A record of an early header: nothing is written behind its end, by either kind of run. */
    for (uint32_t size = 4; size < sizeof(fer_run_record); size += 4) {
        uint8_t *bytes = malloc(size);
        memset(bytes, 0, size);
        memcpy(bytes, &size, sizeof(size));
        options = (fer_run_options){.struct_size = sizeof(options),
                                    .record = (fer_run_record *)(void *)bytes};
        OK(run(b, &options));
        fer_event *event = NULL;
        OK(fer_program_run_async(b->program, &options, b->inputs, 2, NULL, 2, &event));
        OK(fer_event_wait(event, UINT64_MAX));
        fer_event_release(event);
        if (size >= 16) {
            uint64_t run_id = 0;
            memcpy(&run_id, bytes + offsetof(fer_run_record, run_id), sizeof(run_id));
            assert_true(run_id > 0);
        }
        free(bytes);
    }
    fer_tensor_release(b->outputs[0]);
    fer_tensor_release(b->outputs[1]);
}

/* ---- bound outputs ---- */

static void refuse_output(bench *b, uint32_t index, fer_tensor *wrong, const char *word) {
    b->outputs[index] = wrong;
    uint64_t before = in_use(b);
    REFUSED(run(b, NULL), FER_INVALID_ARGUMENT, word);
    assert_ptr_equal(b->outputs[index], wrong);
    assert_null(b->outputs[1 - index]);
    assert_int_equal(in_use(b), before);
    b->outputs[index] = NULL;
    fer_tensor_release(wrong);
}

static void wrong_bound_outputs_are_named(void **state) {
    bench *b = *state;
    good_run(b); /* what is compiled stays */
    for (int again = 0; again < 2; again++) {
        refuse_output(b, 1, tensor_of(b->context, FER_I32, 2, (int64_t[]){3, 2}, NULL), "'z'");
        refuse_output(b, 0, tensor_of(b->context, FER_F32, 2, (int64_t[]){2, 3}, NULL), "'y'");
        refuse_output(b, 0, tensor_of(b->context, FER_F32, 1, (int64_t[]){6}, NULL), "'y'");
        refuse_output(b, 0, tensor_of(b->context, FER_STRING, 0, NULL, NULL), "'y'");
        fer_tensor *view = NULL;
        OK(fer_tensor_view(b->inputs[1], 2, (int64_t[]){3, 2}, &view));
        refuse_output(b, 1, view, "overlaps input 'b'");
        float memory[8] = {0};
        fer_tensor *left = NULL, *right = NULL;
        OK(fer_tensor_import(b->context,
                             FER_F32,
                             2,
                             (int64_t[]){3, 2},
                             memory,
                             FER_IMPORT_BORROW,
                             NULL,
                             NULL,
                             &left));
        refuse_output(b, 0, left, "read only");
        OK(fer_tensor_wrap(b->context, FER_F32, 2, (int64_t[]){3, 2}, memory, &left));
        OK(fer_tensor_wrap(b->context, FER_F32, 2, (int64_t[]){3, 2}, memory + 2, &right));
        b->outputs[0] = left;
        b->outputs[1] = right;
        REFUSED(run(b, NULL), FER_INVALID_ARGUMENT, "'y' and 'z'");
        b->outputs[0] = b->outputs[1] = NULL;
        fer_tensor_release(left);
        fer_tensor_release(right);
        good_run(b);
    }
}

/* The first stage can write y, and the second fails: y keeps what it has only under COMMIT. */
static void commit_leaves_outputs_alone(void **state) {
    bench *b = *state;
    fer_graph *graph = new_graph(b->context);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){4});
    fer_value_id table = add_weight(b->context, graph, 1, (int64_t[]){3});
    fer_value_id at = add_one(graph, "NonZero", x);
    OK(fer_graph_add_output(graph, "y", add_one(graph, "Neg", x)));
    OK(fer_graph_add_output(graph, "same", add_one(graph, "Identity", x)));
    OK(fer_graph_add_output(graph, "picked", add_two(graph, "Gather", table, at)));
    fer_program *program = compiled(b->context, graph, NULL);
    fer_tensor *in = ramp(b->context, 1, (int64_t[]){4}, 1, 1); /* index 3 of a table of 3 */
    fer_tensor *out[3] = {tensor_of(b->context, FER_F32, 1, (int64_t[]){4}, NULL),
                          tensor_of(b->context, FER_F32, 1, (int64_t[]){4}, NULL),
                          NULL};
    fer_run_options options = {.struct_size = sizeof(options), .flags = FER_RUN_COMMIT};
    memset(fer_tensor_data(out[0]), 0x55, 16);
    memset(fer_tensor_data(out[1]), 0x55, 16);
    for (int i = 0; i < 2; i++) {
        REFUSED(fer_program_run(program, &options, &in, 1, out, 3), FER_INVALID_INPUT, "");
        for (int k = 0; k < 16; k++) {
            assert_int_equal(((uint8_t *)fer_tensor_data(out[0]))[k], 0x55);
            assert_int_equal(((uint8_t *)fer_tensor_data(out[1]))[k], 0x55);
        }
        assert_null(out[2]);
    }
    /* A bound output of another shape is found before any of the others is touched. */
    ((float *)fer_tensor_data(in))[3] = 0;
    out[2] = tensor_of(b->context, FER_F32, 2, (int64_t[]){1, 4}, NULL);
    REFUSED(fer_program_run(program, &options, &in, 1, out, 3), FER_INVALID_ARGUMENT, "'picked'");
    assert_int_equal(((uint8_t *)fer_tensor_data(out[1]))[15], 0x55);
    fer_tensor_release(out[2]);
    out[2] = tensor_of(b->context, FER_F32, 2, (int64_t[]){1, 3}, NULL);
    OK(fer_program_run(program, &options, &in, 1, out, 3));
    assert_true(((float *)fer_tensor_data(out[0]))[1] == -2);
    assert_true(((float *)fer_tensor_data(out[1]))[2] == 3);
    assert_true(((float *)fer_tensor_data(out[2]))[0] == -0.25f);
    for (int i = 0; i < 3; i++) {
        fer_tensor_release(out[i]);
    }
    fer_tensor_release(in);
    fer_program_release(program);
}

static void donated_inputs_may_be_outputs(void **state) {
    bench *b = *state;
    fer_run_options options = {
        .struct_size = sizeof(options), .donated_count = 1, .donated = (uint32_t[]){0}};
    for (int i = 0; i < 3; i++) {
        fer_tensor *x = ramp(b->context, 2, (int64_t[]){3, 2}, 1, 1), *out[2] = {NULL, x};
        OK(fer_program_run(b->program, &options, (fer_tensor *[]){x, b->inputs[1]}, 2, out, 2));
        assert_true(((float *)fer_tensor_data(out[0]))[5] == 66); /* reads x, writes over it */
        assert_true(((float *)fer_tensor_data(x))[5] == -6);
        fer_tensor_release(out[0]);
        fer_tensor_release(x);
    }
}

/* ---- values ---- */

/* items: Identity of a sequence; first: its item 0; made: a sequence of a tensor and a constant. */
static fer_program *sequence_program(bench *b, int with_variable) {
    fer_graph *graph = new_graph(b->context);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){-1});
    fer_value_id k = add_weight(b->context, graph, 1, (int64_t[]){2});
    fer_value_id pair = add_two(graph, "SequenceConstruct", x, k);
    fer_value_id zero = add_constant(graph, tensor_of(b->context, FER_I64, 0, NULL, NULL));
    OK(fer_graph_add_output(graph, "first", add_two(graph, "SequenceAt", pair, zero)));
    OK(fer_graph_add_output(graph, "pair", pair));
    OK(fer_graph_add_output(graph, "again", add_one(graph, "Identity", pair)));
    if (with_variable) {
        fer_tensor *initial = ramp(b->context, 1, (int64_t[]){2}, 0, 0);
        fer_value_id sum = 0;
        OK(fer_graph_add_variable(graph, "sum", initial, &sum));
        fer_tensor_release(initial);
        OK(fer_graph_assign_variable(graph, sum, add_two(graph, "Add", sum, k)));
    }
    return compiled(b->context, graph, NULL);
}

/* What a run gives is the caller's alone: writing to it changes nothing else. */
static void values_share_no_memory(void **state) {
    bench *b = *state;
    fer_program *program = sequence_program(b, 0);
    fer_tensor *x = ramp(b->context, 1, (int64_t[]){3}, 1, 1);
    fer_value *in = NULL;
    OK(fer_value_from_tensor(x, &in));
    for (int i = 0; i < 3; i++) {
        fer_value *out[3] = {NULL, NULL, NULL};
        OK(fer_program_run_values(program, NULL, &in, 1, out, 3));
        assert_int_equal(fer_value_count(out[1]), 2);
        fer_tensor *all[5] = {fer_value_tensor(out[0]),
                              fer_value_tensor(fer_value_item(out[1], 0)),
                              fer_value_tensor(fer_value_item(out[1], 1)),
                              fer_value_tensor(fer_value_item(out[2], 0)),
                              fer_value_tensor(fer_value_item(out[2], 1))};
        for (int k = 0; k < 5; k++) {
            float *data = fer_tensor_data(all[k]);
            assert_true(data[1] == (k == 2 || k == 4 ? -0.24f : 2));
            data[1] = 1e6f;
        }
        assert_true(((float *)fer_tensor_data(x))[1] == 2);
        for (int k = 0; k < 3; k++) {
            fer_value_release(out[k]);
        }
    }
    fer_value_release(in);
    fer_tensor_release(x);
    fer_program_release(program);
}

static void what_is_no_tensor_is_told_before_the_run(void **state) {
    bench *b = *state;
    fer_program *program = sequence_program(b, 1);
    fer_state *values = NULL;
    OK(fer_state_create(program, &values));
    fer_run_options options = {.struct_size = sizeof(options), .state = values};
    fer_tensor *x = ramp(b->context, 1, (int64_t[]){3}, 1, 1), *out[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 2; i++) {
        REFUSED(fer_program_run(program, &options, &x, 1, out, 3),
                FER_INVALID_ARGUMENT,
                "'pair' is not a tensor");
        fer_event *event = NULL;
        OK(fer_program_run_async(program, &options, &x, 1, NULL, 3, &event));
        REFUSED(fer_event_wait(event, UINT64_MAX), FER_INVALID_ARGUMENT, "'pair' is not a tensor");
        fer_event_release(event);
        assert_int_equal(fer_state_version(values), 0);
        assert_true(out[0] == NULL && out[1] == NULL && out[2] == NULL);
    }
    /* A bound value must be a tensor, and the output too. */
    fer_value *in = NULL, *sequence = NULL, *results[3] = {NULL, NULL, NULL};
    OK(fer_value_from_tensor(x, &in));
    OK(fer_value_sequence(b->context, &in, 1, &sequence));
    results[1] = sequence;
    REFUSED(fer_program_run_values(program, &options, &in, 1, results, 3),
            FER_INVALID_ARGUMENT,
            "'pair'");
    assert_ptr_equal(results[1], sequence);
    fer_tensor *other = ramp(b->context, 1, (int64_t[]){3}, 1, 1);
    fer_value *bound = NULL;
    OK(fer_value_from_tensor(other, &bound));
    results[1] = bound;
    REFUSED(fer_program_run_values(program, &options, &in, 1, results, 3),
            FER_INVALID_ARGUMENT,
            "'pair'");
    assert_int_equal(fer_state_version(values), 0);
    results[1] = NULL;
    results[0] = bound;
    OK(fer_program_run_values(program, &options, &in, 1, results, 3));
    assert_ptr_equal(results[0], bound);
    assert_int_equal(fer_state_version(values), 1);
    fer_value_release(results[1]);
    fer_value_release(results[2]);
    fer_value_release(bound);
    fer_value_release(sequence);
    fer_value_release(in);
    fer_tensor_release(other);
    fer_tensor_release(x);
    fer_state_release(values);
    fer_program_release(program);
}

/* A loop over x: what a model does with a sequence that is given. The builder has tensors only, so
 * the model is written by hand elsewhere; here the kinds of a tensor input are tried. */
static void kinds_of_inputs_are_checked(void **state) {
    bench *b = *state;
    fer_value *tensor = NULL, *sequence = NULL, *empty = NULL, *out[2] = {NULL, NULL};
    OK(fer_value_from_tensor(b->inputs[0], &tensor));
    OK(fer_value_sequence(b->context, &tensor, 1, &sequence));
    OK(fer_value_optional(b->context, NULL, &empty));
    for (int warm = 0; warm < 2; warm++) {
        REFUSED(
            fer_program_run_values(b->program, NULL, (fer_value *[]){tensor, sequence}, 2, out, 2),
            FER_INVALID_INPUT,
            "'b' must be a tensor");
        REFUSED(fer_program_run_values(b->program, NULL, (fer_value *[]){empty, tensor}, 2, out, 2),
                FER_INVALID_INPUT,
                "'x' must be a tensor");
        REFUSED(fer_program_run_values(b->program, NULL, (fer_value *[]){tensor, NULL}, 2, out, 2),
                FER_INVALID_INPUT,
                "'b'");
        good_run(b);
    }
    fer_value_release(tensor);
    fer_value_release(sequence);
    fer_value_release(empty);
}

/* ---- releases ---- */

static void release(int which, void *const *handle) {
    switch (which) {
    case 0:
        fer_context_release(handle[0]);
        break;
    case 1:
        fer_graph_release(handle[1]);
        break;
    case 2:
        fer_program_release(handle[2]);
        break;
    case 3:
        fer_tensor_release(handle[3]);
        break;
    case 4:
        fer_tensor_release(handle[4]);
        break;
    default:
        fer_event_release(handle[5]);
        break;
    }
}

/* Order number order of six handles: children hold their parents. */
static void one_order(int order, int is_early) {
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_graph *graph = new_graph(context);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){2});
    OK(fer_graph_add_output(graph, "y", add_one(graph, "Neg", x)));
    OK(fer_graph_finish(graph));
    fer_program *program = NULL;
    OK(fer_program_compile(context, graph, NULL, &program));
    fer_tensor *in = ramp(context, 1, (int64_t[]){2}, 1, 1), *out = NULL;
    fer_event *event = NULL;
    OK(fer_program_run(program, NULL, &in, 1, &out, 1));
    OK(fer_program_run_async(program, NULL, &in, 1, NULL, 1, &event));
    if (!is_early) {
        OK(fer_event_wait(event, UINT64_MAX));
    }
    void *handles[6] = {context, graph, program, in, out, event};
    int left[6] = {0, 1, 2, 3, 4, 5};
    for (int count = 6; count > 0; order /= count, count--) {
        int pick = order % count;
        release(left[pick], handles);
        left[pick] = left[count - 1];
    }
    assert_all_back(&memory);
}

static void any_order_of_release_is_right(void **state) {
    (void)state;
    for (int order = 0; order < 720; order++) {
        one_order(order, order % 5 == 0); /* some while the run may still be under way */
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(wrong_inputs_are_named),
        TEST(counts_and_arrays_are_checked),
        TEST(options_are_checked),
        TEST(lists_with_a_count_are_there),
        TEST(structs_may_have_other_sizes),
        TEST(wrong_bound_outputs_are_named),
        TEST(commit_leaves_outputs_alone),
        TEST(donated_inputs_may_be_outputs),
        TEST(values_share_no_memory),
        TEST(what_is_no_tensor_is_told_before_the_run),
        TEST(kinds_of_inputs_are_checked),
        cmocka_unit_test(any_order_of_release_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
