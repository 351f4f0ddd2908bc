/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of whole programs: every allocation from context to run is made to fail once, and the same
 * context then still does the work and gives everything back; a warm run allocates nothing.
 */
#include "../import/model_bytes.h"
#include "program_kit.h"

#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
enum { STRIDE = 7 }; /* races do not hide in one index */
#else
enum { STRIDE = 1 };
#endif

/* ---- three small models that between them pass through every kind of stage ---- */

static bytes branch(const char *op, const char *in) {
    bytes graph = {0};
    put_node(&graph, op, in, "v");
    put_output(&graph, "v");
    return graph;
}

static void put_floats(bytes *graph, const char *name, int64_t rows, int64_t count) {
    float data[64];
    for (int i = 0; i < 64; i++) {
        data[i] = rows > 0 ? 0.01f * (float)(i % 7) : 1;
    }
    bytes tensor = {0};
    if (rows > 0) {
        put_int(&tensor, 1, 1);
        put_int(&tensor, 1, rows);
    }
    put_int(&tensor, 1, count);
    put_int(&tensor, 2, FER_F32);
    put_text(&tensor, 8, name);
    put_data(&tensor, 9, data, (size_t)((rows > 0 ? rows : 1) * count) * sizeof(float));
    put_message(graph, 5, &tensor);
}

static void put_numbers(bytes *graph, const char *name, int64_t count, const int64_t *numbers) {
    bytes tensor = a_tensor(name, FER_I64, count, numbers, (size_t)count * 8);
    put_message(graph, 5, &tensor);
}

/* If on a run-time condition, a function of the schemas, one of the model, an LSTM; open dims. */
static bytes branching_model(void) {
    bytes graph = {0}, node = a_node("If", "c", "i");
    put_input(&graph, "x", FER_F32, "N 4");
    put_input(&graph, "c", FER_BOOL, "");
    put_node(&graph, "Relu", "x", "r");
    bytes then_graph = branch("Neg", "r"), else_graph = branch("Mish", "r");
    put_graph_attr(&node, "then_branch", &then_graph);
    put_graph_attr(&node, "else_branch", &else_graph);
    put_message(&graph, 1, &node);
    put_numbers(&graph, "axes", 1, (int64_t[]){1});
    put_floats(&graph, "W", 8, 4);
    put_floats(&graph, "R", 8, 2);
    put_node(&graph, "Unsqueeze", "i axes", "u");
    bytes lstm = a_node("LSTM", "u W R", "Y h");
    put_int_attr(&lstm, "hidden_size", 2);
    put_message(&graph, 1, &lstm);
    bytes twice = a_node("Twice", "Y", "y");
    put_text(&twice, 7, "local");
    put_message(&graph, 1, &twice);
    put_output(&graph, "y");
    put_output(&graph, "i");
    bytes model = a_model(&graph, 21), function = {0};
    put_opset(&model, 8, "local", 1);
    put_text(&function, 1, "Twice");
    put_text(&function, 4, "a");
    put_text(&function, 5, "b");
    bytes add = a_node("Add", "a a", "b");
    put_message(&function, 7, &add);
    put_opset(&function, 9, "", 21);
    put_text(&function, 10, "local");
    put_message(&model, 25, &function);
    return model;
}

/* A Loop that carries and stacks, and sizes that depend on data: stages. */
static bytes looping_model(void) {
    bytes graph = {0}, body = {0}, loop = a_node("Loop", "m _ x", "last all");
    put_input(&graph, "x", FER_F32, "N");
    put_input(&graph, "m", FER_I64, "");
    put_input(&body, "trip", FER_I64, "");
    put_input(&body, "go", FER_BOOL, "");
    put_input(&body, "v", FER_F32, NULL);
    put_node(&body, "Identity", "go", "on");
    put_node(&body, "Add", "v one", "w");
    put_node(&body, "Relu", "w", "s");
    put_output(&body, "on");
    put_output(&body, "w");
    put_output(&body, "s");
    put_floats(&graph, "one", 0, 1);
    put_graph_attr(&loop, "body", &body);
    put_message(&graph, 1, &loop);
    put_node(&graph, "NonZero", "all", "at");
    put_node(&graph, "Transpose", "at", "turned");
    put_output(&graph, "last");
    put_output(&graph, "turned");
    return a_model(&graph, 21);
}

/* Strings, sequences and shape arithmetic: the host's ops. */
static bytes host_model(void) {
    bytes graph = {0}, text = {0};
    put_input(&graph, "x", FER_F32, "N 2");
    put_int(&text, 1, 2);
    put_int(&text, 2, FER_STRING);
    put_text(&text, 6, "left");
    put_text(&text, 6, "right");
    put_text(&text, 8, "words");
    put_message(&graph, 5, &text);
    put_node(&graph, "Neg", "x", "n");
    put_node(&graph, "SequenceConstruct", "x n", "pair");
    put_node(&graph, "SequenceInsert", "pair x", "three");
    bytes join = a_node("ConcatFromSequence", "three", "joined");
    put_int_attr(&join, "axis", 0);
    put_message(&graph, 1, &join);
    put_node(&graph, "Shape", "joined", "shape");
    bytes cast = a_node("Cast", "shape", "numbers");
    put_int_attr(&cast, "to", FER_STRING);
    put_message(&graph, 1, &cast);
    put_node(&graph, "StringConcat", "words numbers", "names");
    put_output(&graph, "joined");
    put_output(&graph, "names");
    return a_model(&graph, 21);
}

/* ---- one life, every step of which may fail once ---- */

typedef struct life {
    counted memory;
    const bytes *model;
    const char *path; /* NULL: from memory */
    int64_t rows;
    int kind; /* of the inputs */
    uint32_t failures;
    fer_context *context;
    fer_graph *graph;
    fer_program *program;
    fer_tensor *inputs[2], *outputs[2];
    uint32_t input_count;
    fer_event *event;
} life;

static fer_status step_context(life *l) {
    fer_context_options options = {
        .struct_size = sizeof(options),
        .flags = FER_CONTEXT_NO_MANIFESTS,
        .allocator = {counted_alloc, counted_free, &l->memory}
    };
    return fer_context_create(&options, &l->context);
}

static fer_status step_import(life *l) {
    return l->path != NULL
               ? fer_graph_import_file(l->context, l->path, NULL, &l->graph)
               : fer_graph_import_memory(
                     l->context, l->model->data, l->model->length, NULL, NULL, NULL, &l->graph);
}

static fer_status step_compile(life *l) {
    return fer_program_compile(l->context, l->graph, NULL, &l->program);
}

static fer_status step_first_input(life *l) {
    const int64_t dims[] = {l->rows, l->kind == 0 ? 4 : 2};
    fer_status status =
        fer_tensor_create(l->context, FER_F32, l->kind == 1 ? 1 : 2, dims, &l->inputs[0]);
    float *data = status == FER_OK ? fer_tensor_data(l->inputs[0]) : NULL;
    for (uint64_t i = 0; data != NULL && i < fer_tensor_element_count(l->inputs[0]); i++) {
        data[i] = (float)i - 1;
    }
    return status;
}

static fer_status step_second_input(life *l) {
    if (l->kind == 2) {
        return FER_OK;
    }
    fer_status status =
        fer_tensor_create(l->context, l->kind == 0 ? FER_BOOL : FER_I64, 0, NULL, &l->inputs[1]);
    if (status == FER_OK && l->kind == 1) {
        *(int64_t *)fer_tensor_data(l->inputs[1]) = 3;
    }
    return status;
}

static fer_status step_run(life *l) {
    return fer_program_run(l->program, NULL, l->inputs, l->input_count, l->outputs, 2);
}

static fer_status step_start(life *l) {
    return fer_program_run_async(l->program, NULL, l->inputs, l->input_count, NULL, 2, &l->event);
}

static void outputs_check(life *l) {
    const float *y = fer_tensor_data(l->outputs[0]);
    assert_non_null(y);
    if (l->kind == 0) { /* -1 0 1 2 ... through Relu and Mish */
        const float *i = fer_tensor_data(l->outputs[1]);
        assert_true(i[0] == 0 && i[1] == 0 && i[2] > 0.8650f && i[2] < 0.8652f);
        assert_int_equal(fer_tensor_element_count(l->outputs[0]), l->rows * 2);
        assert_true(y[0] != 0);
    } else if (l->kind == 1) {
        assert_true(y[0] == 2 && y[1] == 3 && y[2] == 4);
        assert_int_equal(fer_tensor_dims(l->outputs[1])[0], 3 * l->rows - 1);
        assert_int_equal(fer_tensor_dims(l->outputs[1])[1], 2);
    } else {
        assert_int_equal(fer_tensor_dims(l->outputs[0])[0], 3 * l->rows);
        assert_true(y[0] == -1 && y[2 * l->rows] == 1);
        size_t length = 0;
        const char *name = fer_tensor_string(l->outputs[1], 1, &length);
        assert_int_equal(length, 6);
        assert_memory_equal(name, "right2", 6);
    }
    for (int o = 0; o < 2; o++) {
        fer_tensor_release(l->outputs[o]);
        l->outputs[o] = NULL;
    }
}

/* One allocation fails in all, so the second try of a step has no reason to. */
static void attempt(life *l, fer_status (*step)(life *l)) {
    fer_status status = step(l);
    if (status == FER_OK) {
        return;
    }
    assert_int_equal(status, FER_OUT_OF_MEMORY);
    assert_int_equal(fer_error_last()->status, status);
    assert_true(strlen(fer_error_last()->message) > 10);
    assert_null(l->outputs[0]);
    assert_null(l->outputs[1]);
    l->failures++;
    OK(step(l));
}

static void async_run(life *l) {
    for (;;) {
        attempt(l, step_start);
        fer_status status = fer_event_wait(l->event, UINT64_MAX);
        if (status == FER_OK) {
            break;
        }
        assert_int_equal(status, FER_OUT_OF_MEMORY);
        fer_event_release(l->event);
        l->event = NULL;
        assert_true(l->failures++ == 0);
    }
    OK(fer_event_output(l->event, 0, &l->outputs[0]));
    OK(fer_event_output(l->event, 1, &l->outputs[1]));
    fer_event_release(l->event);
    l->event = NULL;
}

/* Returns the number of allocations. */
static uint64_t live(const bytes *model, const char *path, int kind, uint64_t fail_at) {
    life l = {.model = model, .path = path, .kind = kind, .input_count = kind == 2 ? 1 : 2};
    l.memory.fail_at = fail_at;
    attempt(&l, step_context);
    attempt(&l, step_import);
    attempt(&l, step_compile);
    for (l.rows = 3; l.rows < 5; l.rows++) { /* the second size meets what the first left */
        attempt(&l, step_first_input);
        attempt(&l, step_second_input);
        attempt(&l, step_run);
        outputs_check(&l);
        async_run(&l);
        outputs_check(&l);
        fer_tensor_release(l.inputs[0]);
        fer_tensor_release(l.inputs[1]);
    }
    fer_program_release(l.program);
    fer_graph_release(l.graph);
    fer_context_release(l.context);
    assert_all_back(&l.memory);
    uint64_t calls = atomic_load(&l.memory.calls);
    assert_true(fail_at == UINT64_MAX || l.failures <= 1);
    return calls;
}

static void every_allocation(bytes model, const char *path, int kind) {
    if (path != NULL) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(model.data, 1, model.length, file), model.length);
        assert_int_equal(fclose(file), 0);
    }
    uint64_t calls = live(&model, path, kind, UINT64_MAX);
    print_message("%llu allocations\n", (unsigned long long)calls);
    assert_true(calls > 100);
    for (uint64_t at = 0; at < calls; at += STRIDE) {
        live(&model, path, kind, at);
    }
    free(model.data);
}

static void branches_survive_each_failure(void **state) {
    (void)state;
    every_allocation(branching_model(), NULL, 0);
}

static void loops_survive_each_failure(void **state) {
    (void)state;
    every_allocation(looping_model(), NULL, 1);
}

static void a_file_survives_each_failure(void **state) {
    (void)state;
    char path[] = "/tmp/ferrule-memory-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    every_allocation(host_model(), path, 2);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_survive_each_failure),
        cmocka_unit_test(loops_survive_each_failure),
        cmocka_unit_test(a_file_survives_each_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
