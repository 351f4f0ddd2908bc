/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller's floating-point mode and locale: whatever they are while a model is built, compiled
 * and run, the answers are those of the default, bit for bit, and the caller has them back
 * afterwards.
 */
#include "program_kit.h"

#include <ctype.h>
#include <fenv.h>
#include <locale.h>

enum { OUTPUTS = 16, ROWS = 6, COLUMNS = 40 };

typedef struct answers {
    uint8_t bytes[OUTPUTS][4096];
    uint64_t lengths[OUTPUTS];
} answers;

/* ---- modes ---- */

#if defined(__SSE__)
enum { FLUSH = 0x8040, MODES = 0xe040 }; /* FTZ and DAZ; with the rounding bits */
static uint64_t mode_get(void) { return __builtin_ia32_stmxcsr() & MODES; }
static void flush_set(int is_on) {
    uint32_t control = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(is_on ? control | FLUSH : control & ~(uint32_t)FLUSH);
}
#elif defined(__aarch64__)
static uint64_t mode_get(void) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control & UINT64_C(0x03c00000);
}
static void flush_set(int is_on) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control = is_on ? control | UINT64_C(1) << 24 : control & ~(UINT64_C(1) << 24);
    __asm__ volatile("msr fpcr, %0" ::"r"(control) : "memory");
}
#else
static uint64_t mode_get(void) { return (uint64_t)fegetround(); }
static void flush_set(int is_on) { (void)is_on; }
#endif

/* ---- a model that rounds everywhere ---- */

static fer_tensor *
numbers(fer_context *context, uint32_t rank, const int64_t *dims, uint32_t seed) {
    fer_tensor *tensor = tensor_of(context, FER_F32, rank, dims, NULL);
    uint32_t *bits = fer_tensor_data(tensor);
    for (uint64_t i = 0; i < fer_tensor_element_count(tensor); i++) {
        seed = seed * 1664525u + 1013904223u;
        bits[i] = (seed & 0x807fffffu) | (120u + (seed >> 24) % 8) << 23; /* 2^-7 to 2 */
        if (i % 13 == 5) {
            bits[i] = seed & 0x807fffffu; /* a number that flushing takes for 0 */
        }
    }
    return tensor;
}

static fer_value_id
weight(fer_context *context, fer_graph *graph, uint32_t rank, const int64_t *dims) {
    return add_constant(graph, numbers(context, rank, dims, 77u + (uint32_t)dims[0]));
}

static fer_value_id number(fer_context *context, fer_graph *graph, float value) {
    return add_constant(graph, tensor_of(context, FER_F32, 0, NULL, &value));
}

static fer_program *model(fer_context *context) {
    fer_graph *graph = new_graph(context);
    fer_value_id x = add_input(graph, "x", FER_F32, 2, (int64_t[]){ROWS, COLUMNS});
    fer_value_id out[OUTPUTS];
    uint32_t count = 0;
    fer_value_id line = weight(context, graph, 1, (int64_t[]){COLUMNS});
    fer_value_id square = weight(context, graph, 2, (int64_t[]){COLUMNS, 12});
    fer_value_id mixed = out[count++] = add_two(graph, "MatMul", x, square);
    out[count++] = add_two(graph, "Div", x, line);
    out[count++] = add_one(graph, "Exp", x);
    out[count++] = add_one(graph, "Erf", x);
    out[count++] = add_one(graph, "Softmax", mixed);
    out[count++] = add_two(graph, "Mul", x, number(context, graph, 1e-38f));
    out[count++] = add_two(graph, "ReduceMean", x, add_i64s(context, graph, 1, (int64_t[]){1}));
    out[count++] =
        add_node(graph, "LayerNormalization", 3, (fer_value_id[]){x, line, line}, 0, NULL);
    fer_attr half = int_attr("to", FER_F16), brain = int_attr("to", FER_BF16);
    out[count++] = add_node(graph, "Cast", 1, &x, 1, &half);
    out[count++] = add_node(graph, "Cast", 1, &x, 1, &brain);
    fer_value_id quant[2] = {x, number(context, graph, 0.0123f)};
    out[count++] = add_node(graph, "QuantizeLinear", 2, quant, 0, NULL);
    out[count++] = add_one(graph, "Round", add_two(graph, "Mul", x, number(context, graph, 1e3f)));
    /* Folded when compiled, and float shape arithmetic: 240 * 0.7 is 168 only to nearest. */
    out[count++] = add_two(graph, "Div", line, number(context, graph, 3));
    fer_value_id size = add_one(graph, "Size", x);
    fer_attr real = int_attr("to", FER_F32), whole = int_attr("to", FER_I64);
    size = add_node(graph, "Cast", 1, &size, 1, &real);
    size = add_one(graph, "Ceil", add_two(graph, "Mul", size, number(context, graph, 0.7f)));
    size = add_node(graph, "Cast", 1, &size, 1, &whole);
    size = add_two(graph, "Unsqueeze", size, add_i64s(context, graph, 1, (int64_t[]){0}));
    out[count++] = add_two(graph, "Expand", number(context, graph, 0.1f), size);
    fer_value_id lstm[3] = {
        add_two(graph, "Unsqueeze", mixed, add_i64s(context, graph, 1, (int64_t[]){1})),
        weight(context, graph, 3, (int64_t[]){1, 16, 12}),
        weight(context, graph, 3, (int64_t[]){1, 16, 4})};
    fer_attr hidden = int_attr("hidden_size", 4);
    out[count++] = add_node(graph, "LSTM", 3, lstm, 1, &hidden);
    out[count++] = add_one(graph, "Gelu", x);
    assert_int_equal(count, OUTPUTS);
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "o%u", i);
        OK(fer_graph_add_output(graph, name, out[i]));
    }
    return compiled(context, graph, NULL);
}

/* All of a life, from the context on; the event comes from a thread that the context started. */
static void answer(answers *a, int is_async) {
    counted memory;
    fer_context_options options = counted_options(&memory);
    options.thread_count = 3;
    fer_context *context = NULL;
    OK(fer_context_create(&options, &context));
    fer_program *program = model(context);
    fer_tensor *in = numbers(context, 2, (int64_t[]){ROWS, COLUMNS}, 5), *out[OUTPUTS] = {NULL};
    if (is_async) {
        fer_event *event = NULL;
        OK(fer_program_run_async(program, NULL, &in, 1, NULL, OUTPUTS, &event));
        OK(fer_event_wait(event, UINT64_MAX));
        for (uint32_t i = 0; i < OUTPUTS; i++) {
            OK(fer_event_output(event, i, &out[i]));
        }
        fer_event_release(event);
    } else {
        OK(fer_program_run(program, NULL, &in, 1, out, OUTPUTS));
    }
    for (int i = 0; i < OUTPUTS; i++) {
        a->lengths[i] = fer_tensor_bytes(out[i]);
        assert_true(a->lengths[i] <= sizeof(a->bytes[i]));
        memcpy(a->bytes[i], fer_tensor_data(out[i]), a->lengths[i]);
        fer_tensor_release(out[i]);
    }
    fer_tensor_release(in);
    fer_program_release(program);
    fer_context_release(context);
    assert_all_back(&memory);
}

static uint32_t differing(const answers *a, const answers *b, const char *mode) {
    uint32_t count = 0;
    for (int i = 0; i < OUTPUTS; i++) {
        if (a->lengths[i] != b->lengths[i] ||
            memcmp(a->bytes[i], b->bytes[i], a->lengths[i]) != 0) {
            print_error("output %d differs %s\n", i, mode);
            count++;
        }
    }
    return count;
}

static void modes_change_nothing(void **state) {
    (void)state;
    static const struct {
        int round;
        const char *name;
    } modes[] = {
        {FE_TONEAREST,  "to nearest"  },
        {FE_UPWARD,     "upward"      },
        {FE_DOWNWARD,   "downward"    },
        {FE_TOWARDZERO, "towards zero"},
    };
    static answers plain, other;
    uint32_t wrong = 0;
    answer(&plain, 0);
    for (int m = 0; m < 4; m++) {
        for (int way = 0; way < 4; way++) {
            fesetround(modes[m].round);
            flush_set(way % 2);
            uint64_t before = mode_get();
            answer(&other, way / 2);
            uint64_t after = mode_get();
            int round = fegetround();
            fesetround(FE_TONEAREST);
            flush_set(0);
            assert_int_equal(after, before);
            assert_int_equal(round, modes[m].round);
            wrong += differing(&plain, &other, modes[m].name);
        }
    }
    assert_int_equal(wrong, 0);
}

/* Failing calls give the modes back too. */
static void failures_restore_modes(void **state) {
    (void)state;
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_program *program = model(context);
    fer_tensor *in = numbers(context, 2, (int64_t[]){ROWS, COLUMNS}, 5), *out[OUTPUTS] = {NULL};
    fer_tensor *wrong = numbers(context, 1, (int64_t[]){3}, 5);
    fesetround(FE_UPWARD);
    flush_set(1);
    uint64_t before = mode_get(), after[3];
    const uint32_t cancel = 1;
    fer_run_options options = {.struct_size = sizeof(options), .cancel = &cancel};
    fer_status status[3];
    status[0] = fer_program_run(program, &options, &in, 1, out, OUTPUTS);
    after[0] = mode_get();
    status[1] = fer_program_run(program, NULL, &wrong, 1, out, OUTPUTS);
    after[1] = mode_get();
    memory.fail_at = atomic_load(&memory.calls) + 3;
    status[2] = fer_program_run(program, NULL, &in, 1, out, OUTPUTS);
    after[2] = mode_get();
    fesetround(FE_TONEAREST);
    flush_set(0);
    assert_int_equal(status[0], FER_CANCELLED);
    assert_int_equal(status[1], FER_INVALID_INPUT);
    assert_int_equal(status[2], FER_OUT_OF_MEMORY);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(after[i], before);
    }
    fer_tensor_release(in);
    fer_tensor_release(wrong);
    fer_program_release(program);
    fer_context_release(context);
    assert_all_back(&memory);
}

/* A caller that traps: dividing by zero and worse is the model's right. */
static void traps_stay_the_callers(void **state) {
    (void)state;
#if defined(__x86_64__)
    static answers plain, trapped;
    answer(&plain, 0);
    feclearexcept(FE_ALL_EXCEPT);
    int before = feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
    answer(&trapped, 0);
    int during = fedisableexcept(FE_ALL_EXCEPT);
    assert_int_equal(before, 0);
    assert_int_equal(during, FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
    assert_int_equal(differing(&plain, &trapped, "under traps"), 0);
#else
    skip();
#endif
}

/* ---- locale ---- */

static fer_tensor *cast(fer_context *context, fer_tensor *from, fer_dtype to) {
    fer_tensor *out = NULL;
    fer_attr attr = int_attr("to", to);
    OK(fer_op_run(context, NULL, "", "Cast", &attr, 1, &from, 1, &out, 1));
    return out;
}

/* None is installed on many machines; glibc's own tool makes one where its sources are there. */
static int made_locale(const char *name) {
    char folder[] = "/tmp/ferrule-locale-XXXXXX", command[256];
    if (mkdtemp(folder) == NULL) {
        return 0;
    }
    snprintf(command,
             sizeof(command),
             "localedef -c -i %s -f UTF-8 %s/%s.UTF-8 >/dev/null 2>&1",
             name,
             folder,
             name);
    setenv("LOCPATH", folder, 1);
    char full[16];
    snprintf(full, sizeof(full), "%s.UTF-8", name);
    int is_made = system(command) == 0 && setlocale(LC_ALL, full) != NULL;
    unsetenv("LOCPATH");
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    return is_made;
}

/* One of the names (the last NULL), or the first made; the test is skipped without. */
static void enter_locale(const char *const *names, const char *to_make) {
    for (; *names != NULL; names++) {
        if (setlocale(LC_ALL, *names) != NULL) {
            return;
        }
    }
    if (!made_locale(to_make)) {
        print_message("skipped: no locale like %s is here, and none can be made\n", to_make);
        skip();
    }
}

static void a_decimal_comma_changes_nothing(void **state) {
    (void)state;
    enter_locale((const char *[]){"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", NULL},
                 "de_DE");
    assert_string_equal(localeconv()->decimal_point, ",");
    counted memory;
    fer_context *context = counted_context(&memory);
    const char *const texts[] = {"1.5", "-2.25e3", "1e-3"};
    fer_tensor *strings = NULL;
    OK(fer_tensor_create_strings(context, 1, (int64_t[]){3}, texts, NULL, &strings));
    fer_tensor *reals = cast(context, strings, FER_F32);
    const float *data = fer_tensor_data(reals);
    assert_true(data[0] == 1.5f && data[1] == -2250 && data[2] == 1e-3f);
    fer_tensor *back = cast(context, reals, FER_STRING);
    size_t length = 0;
    const char *text = fer_tensor_string(back, 0, &length);
    assert_int_equal(length, 3);
    assert_memory_equal(text, "1.5", 3);
    setlocale(LC_ALL, "C");
    fer_tensor_release(strings);
    fer_tensor_release(reals);
    fer_tensor_release(back);
    fer_context_release(context);
    assert_all_back(&memory);
}

/* In Turkish an I is no capital i. */
static void names_without_case_are_the_same(void **state) {
    (void)state;
    enter_locale((const char *[]){"tr_TR.UTF-8", "tr_TR.utf8", "tr_TR", NULL}, "tr_TR");
    assert_int_not_equal(toupper('i'), 'I');
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_tensor *in[3] = {ramp(context, 3, (int64_t[]){1, 1, 1}, 0, 1),
                         ramp(context, 3, (int64_t[]){1, 1, 1}, 1, 1),
                         ramp(context, 3, (int64_t[]){1, 1, 1}, 1, 1)};
    fer_string name = {"SIGMOID", 7};
    fer_attr attrs[2] = {
        {.name = "activations", .type = FER_ATTR_STRINGS, .count = 1, .value.strings = &name},
        int_attr("hidden_size", 1)
    };
    fer_tensor *out[2] = {NULL, NULL};
    OK(fer_op_run(context, NULL, "", "RNN", attrs, 2, in, 3, out, 2));
    assert_true(*(const float *)fer_tensor_data(out[1]) == 0.5f);
    setlocale(LC_ALL, "C");
    for (int i = 0; i < 3; i++) {
        fer_tensor_release(in[i]);
    }
    fer_tensor_release(out[0]);
    fer_tensor_release(out[1]);
    fer_context_release(context);
    assert_all_back(&memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_change_nothing),
        cmocka_unit_test(failures_restore_modes),
        cmocka_unit_test(traps_stay_the_callers),
        cmocka_unit_test(a_decimal_comma_changes_nothing),
        cmocka_unit_test(names_without_case_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
