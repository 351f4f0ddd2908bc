/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings: numbers as text and back under any locale, casts, Equal, and moving through an op that
 * only sees numbers.
 */
#include "host/number_text.h"
#include "host_fixture.h"

#include <locale.h>
#include <math.h>

/* ---- numbers ---- */

static void check_print(fer_dtype dtype, const void *data, const char *expected) {
    char text[FERI_NUMBER_TEXT_BYTES + 1];
    size_t length = feri_number_print(dtype, data, 0, text);
    assert_true(length < sizeof text);
    text[length] = '\0';
    assert_string_equal(text, expected);
}

static void printed(void) {
    const struct {
        double value;
        const char *single;
        const char *real;
    } cases[] = {
        {0.1F,                   "0.1",           "0.10000000149011612"   },
        {1,                      "1",             "1"                     },
        {-0.0,                   "-0",            "-0"                    },
        {100000,                 "100000",        "100000"                },
        {123456789,              "1.2345679e+08", "123456789"             },
        {1e20,                   "1e+20",         "1e+20"                 },
        {0.000244140625,         "0.00024414062", "0.000244140625"        },
        {9.5367431640625e-07,    "9.536743e-07",  "9.5367431640625e-07"   },
        {16777216,               "16777216",      "16777216"              },
        {0.5,                    "0.5",           "0.5"                   },
        {INFINITY,               "INF",           "INF"                   },
        {-INFINITY,              "-INF",          "-INF"                  },
        {(double)NAN,            "NaN",           "NaN"                   },
        {3.4028234663852886e+38, "3.4028235e+38", "3.4028234663852886e+38"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float single = (float)cases[i].value;
        check_print(FER_F32, &single, cases[i].single);
        check_print(FER_F64, &cases[i].value, cases[i].real);
    }
    check_print(FER_F64, &(double){-2.2250738585072014e-308}, "-2.2250738585072014e-308");
    check_print(FER_F64, &(double){5e-324}, "5e-324");
    check_print(FER_F16, &(uint16_t){0x2e66}, "0.1");
    check_print(FER_F16, &(uint16_t){0x7bff}, "65500");
    check_print(FER_BF16, &(uint16_t){0x3dcd}, "0.1");
    check_print(FER_I64, &(int64_t){INT64_MIN}, "-9223372036854775808");
    check_print(FER_U64, &(uint64_t){UINT64_MAX}, "18446744073709551615");
    check_print(FER_BOOL, &(uint8_t){1}, "1");
    check_print(FER_I4, &(uint8_t){0x0f}, "-1");
}

static double parsed(fer_dtype dtype, const char *text) {
    uint64_t cell = 0;
    assert_true(feri_number_parse(dtype, text, strlen(text), 1, &cell, 0));
    if (dtype == FER_F32) {
        float single;
        memcpy(&single, &cell, sizeof single);
        return (double)single;
    }
    double value;
    memcpy(&value, &cell, sizeof value);
    return value;
}

static int64_t parsed_integer(fer_dtype dtype, const char *text) {
    int64_t cell = 0;
    assert_true(feri_number_parse(dtype, text, strlen(text), 1, &cell, 0));
    return cell;
}

static int refused(fer_dtype dtype, const char *text) {
    uint64_t cell = 0;
    return !feri_number_parse(dtype, text, strlen(text), 1, &cell, 0);
}

static void read_back(void) {
    assert_true(parsed(FER_F64, "3.14") == 3.14);
    assert_true(parsed(FER_F32, " 3.14\n") == (double)3.14F);
    assert_true(parsed(FER_F64, "-1e-5") == -1e-5);
    assert_true(parsed(FER_F64, ".5E+2") == 50);
    assert_true(parsed(FER_F64, "1e400") == INFINITY);
    assert_true(parsed(FER_F64, "1e-999999999999999999999") == 0);
    assert_true(parsed(FER_F64, "-inf") == -INFINITY);
    assert_true(parsed(FER_F64, "+INF") == INFINITY);
    assert_true(isnan(parsed(FER_F32, "NaN")));
    assert_true(parsed(FER_F64, "2.2250738585072011e-308") == 2.2250738585072011e-308);
    assert_int_equal(parsed_integer(FER_I64, "-9223372036854775808"), INT64_MIN);
    assert_int_equal(parsed_integer(FER_U64, "18446744073709551615"), -1);
    assert_int_equal(parsed_integer(FER_I32, "100.9"), 100);
    assert_int_equal(parsed_integer(FER_I64, "1e3"), 1000);
    assert_int_equal(parsed_integer(FER_U8, "255"), 255);
    assert_int_equal(parsed_integer(FER_BOOL, "True"), 1);
    assert_int_equal(parsed_integer(FER_BOOL, "0"), 0);
    assert_int_equal(parsed_integer(FER_I4, "-8"), 8);
    assert_true(refused(FER_U8, "256") && refused(FER_U8, "-1") && refused(FER_I64, "1e19"));
    assert_true(refused(FER_I64, "nan") && refused(FER_I64, "inf") && refused(FER_I4, "8"));
    const char *bad[] = {"",
                         " ",
                         "-",
                         ".",
                         "1.2.3",
                         "7x",
                         "1e",
                         "1e+",
                         "hello",
                         "0x10",
                         "--1",
                         "e5",
                         "1,5",
                         "infin"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(refused(FER_F64, bad[i]));
        assert_true(refused(FER_I32, bad[i]));
    }
    /* 1 + half an ulp, and a crumb 800 digits further on that tips it. */
    char text[1000];
    memset(text, '0', sizeof text);
    static const char half[] = "1.00000000000000011102230246251565404236316680908203125";
    memcpy(text, half, sizeof half - 1);
    text[sizeof text - 1] = '1';
    uint64_t cell = 0;
    assert_true(feri_number_parse(FER_F64, text, sizeof text, 1, &cell, 0));
    assert_int_equal(cell, 0x3ff0000000000001);
    assert_true(feri_number_parse(FER_F64, text, sizeof text - 1, 1, &cell, 0));
    assert_int_equal(cell, 0x3ff0000000000000);
}

static void numbers_in_locales(void **state) {
    (void)state;
    const char *names[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (setlocale(LC_ALL, names[i])) {
            printed();
            read_back();
        }
    }
    setlocale(LC_ALL, "C");
}

/* ---- ops ---- */

static void casts(void **state) {
    fixture *f = *state;
    const char *texts[3] = {"1.5", "-INF", " 7 "};
    fixture_input(f, string_value(f, 2, (int64_t[]){1, 3}, texts));
    fixture_attr(f, "to", FER_F32);
    assert_int_equal(fixture_run(f, "Cast", 1), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){1, 3});
    const float *data = fer_tensor_data(fer_value_tensor(f->outputs[0]));
    assert_true(data[0] == 1.5F && data[1] == -INFINITY && data[2] == 7);
    fer_value_release(f->outputs[0]);
    f->outputs[0] = NULL;
    f->attrs[0].value.i = FER_I32;
    assert_int_equal(fixture_run(f, "Cast", 1), FER_INVALID_INPUT);
    assert_non_null(strstr(fer_error_last()->message, "'-INF'"));
    f->attrs[0].value.i = FER_C64;
    assert_int_equal(fixture_run(f, "Cast", 1), FER_UNSUPPORTED);
    f->attrs[0].value.i = INT64_MAX;
    assert_int_equal(fixture_run(f, "Cast", 1), FER_UNSUPPORTED);
    fixture_clear(f);
    fixture_input(f, i64_line(f, (int64_t[]){-5, 12}, 2));
    fixture_input(f, string_value(f, 0, NULL, texts));
    assert_int_equal(fixture_run(f, "CastLike", 1), FER_OK);
    assert_string(f->outputs[0], 0, "-5");
    assert_string(f->outputs[0], 1, "12");
}

static void equals(void **state) {
    fixture *f = *state;
    const char *texts[4] = {"a", "", "ab", "a"};
    fixture_input(f, string_value(f, 2, (int64_t[]){2, 2}, texts));
    fixture_input(f, string_value(f, 2, (int64_t[]){2, 1}, texts));
    assert_int_equal(fixture_run(f, "Equal", 1), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){2, 2});
    assert_memory_equal(
        fer_tensor_data(fer_value_tensor(f->outputs[0])), ((uint8_t[]){1, 0, 0, 0}), 4);
    fixture_clear(f);
    fixture_input(f, string_value(f, 1, (int64_t[]){4}, texts));
    fixture_input(f, string_value(f, 1, (int64_t[]){3}, texts));
    assert_int_equal(fixture_run(f, "Equal", 1), FER_INVALID_INPUT);
}

/* All elements of all operands and a 0 behind them, as Concat and Pad would give. */
static fer_status append_op(void *self,
                            const feri_gnode *node,
                            fer_tensor *const *inputs,
                            fer_tensor **outputs) {
    fixture *f = self;
    int64_t numbers[2 * MOST];
    int64_t count = 0;
    assert_int_equal(node->output_count, 1);
    assert_string_equal(node->name, "it");
    assert_int_equal(node->host_only, 0);
    for (uint32_t i = 0; i < node->input_count; i++) {
        assert_int_equal(fer_tensor_dtype(inputs[i]), FER_I64);
        uint64_t more = fer_tensor_element_count(inputs[i]);
        if (more) {
            memcpy(numbers + count, fer_tensor_data(inputs[i]), more * sizeof *numbers);
        }
        count += (int64_t)more;
    }
    numbers[count++] = 0;
    FER_TRY(fer_tensor_create(f->context, FER_I64, 1, &count, outputs));
    memcpy(fer_tensor_data(*outputs), numbers, (size_t)count * sizeof *numbers);
    return FER_OK;
}

static void moved(void **state) {
    fixture *f = *state;
    const char *texts[2] = {"left", "right"};
    fixture_attr(f, "axis", 0);
    fixture_input(f, string_value(f, 1, (int64_t[]){2}, texts));
    fixture_input(f, string_value(f, 1, (int64_t[]){0}, texts));
    fixture_input(f, string_value(f, 1, (int64_t[]){1}, texts + 1));
    assert_int_equal(fixture_run(f, "Concat", 1), FER_UNSUPPORTED);
    f->call.run_op = append_op;
    f->node.host_only = 1;
    assert_int_equal(fixture_run(f, "Concat", 1), FER_OK);
    assert_dims(f->outputs[0], 1, (int64_t[]){4});
    assert_string(f->outputs[0], 0, "left");
    assert_string(f->outputs[0], 1, "right");
    assert_string(f->outputs[0], 2, "right");
    assert_string(f->outputs[0], 3, "");
    /* Without strings the op runs as it is. */
    fixture_clear(f);
    fixture_input(f, i64_line(f, (int64_t[]){3}, 1));
    assert_int_equal(fixture_run(f, "Concat", 1), FER_OK);
    assert_memory_equal(numbers_of(f->outputs[0]), ((int64_t[]){3, 0}), 16);
    /* A string that no operand has. */
    fixture_clear(f);
    fixture_input(f, string_value(f, 1, (int64_t[]){1}, texts));
    fixture_input(f, i64_line(f, (int64_t[]){9}, 1));
    assert_int_equal(fixture_run(f, "Gather", 1), FER_INTERNAL);
}

static void shapes(void **state) {
    fixture *f = *state;
    const char *texts[6] = {"", "", "", "", "", ""};
    fixture_attr(f, "start", -2);
    fixture_input(f, string_value(f, 3, (int64_t[]){1, 2, 3}, texts));
    assert_int_equal(fixture_run(f, "Shape", 1), FER_OK);
    assert_dims(f->outputs[0], 1, (int64_t[]){2});
    assert_memory_equal(numbers_of(f->outputs[0]), ((int64_t[]){2, 3}), 16);
    fer_value_release(f->outputs[0]);
    f->outputs[0] = NULL;
    assert_int_equal(fixture_run(f, "Size", 1), FER_OK);
    assert_int_equal(*numbers_of(f->outputs[0]), 6);
    f->attrs[0] = (fer_attr){
        .name = "reduction",
        .type = FER_ATTR_STRING,
        .count = 1,
        .value.s = {.data = "add", .length = 3}
    };
    f->node.op = feri_op_find("", "ScatterND");
    assert_non_null(feri_host_refuses(NULL, &f->node));
}

static void concats(void **state) {
    fixture *f = *state;
    const char *texts[3] = {"a", "", "xyz"};
    fixture_input(f, string_value(f, 2, (int64_t[]){2, 1}, texts));
    fixture_input(f, string_value(f, 1, (int64_t[]){3}, texts));
    assert_int_equal(fixture_run(f, "StringConcat", 1), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){2, 3});
    assert_string(f->outputs[0], 2, "axyz");
    assert_string(f->outputs[0], 4, "");
    fer_value_release(f->inputs[1]);
    f->inputs[1] = i64_scalar(f, 1);
    fer_value_release(f->outputs[0]);
    f->outputs[0] = NULL;
    assert_int_equal(fixture_run(f, "StringConcat", 1), FER_INVALID_INPUT);
}

static void
set_split(fixture *f, const char *delimiter, int64_t maxsplit, const char *const *texts) {
    fixture_clear(f);
    fixture_input(f, string_value(f, 1, (int64_t[]){2}, texts));
    if (delimiter) {
        f->attrs[f->node.attr_count++] = (fer_attr){
            .name = "delimiter",
            .type = FER_ATTR_STRING,
            .count = 1,
            .value.s = {.data = delimiter, .length = strlen(delimiter)}
        };
    }
    fixture_attr(f, "maxsplit", maxsplit);
}

static void splits(void **state) {
    fixture *f = *state;
    const char *commas[2] = {"a,,b", ""};
    set_split(f, ",", -1, commas);
    assert_int_equal(fixture_run(f, "StringSplit", 2), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){2, 3});
    assert_string(f->outputs[0], 1, "");
    assert_string(f->outputs[0], 2, "b");
    assert_string(f->outputs[0], 3, "");
    assert_memory_equal(numbers_of(f->outputs[1]), ((int64_t[]){3, 1}), 16);
    set_split(f, ",", 1, commas);
    assert_int_equal(fixture_run(f, "StringSplit", 2), FER_OK);
    assert_string(f->outputs[0], 1, ",b");
    const char *blanks[2] = {"  a\tb  c ", " "};
    set_split(f, NULL, 1, blanks);
    assert_int_equal(fixture_run(f, "StringSplit", 2), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){2, 2});
    assert_string(f->outputs[0], 1, "b  c");
    assert_memory_equal(numbers_of(f->outputs[1]), ((int64_t[]){2, 0}), 16);
    set_split(f, "", 0, blanks);
    assert_int_equal(fixture_run(f, "StringSplit", 2), FER_OK);
    assert_string(f->outputs[0], 0, "a\tb  c");
}

static void normalizes(void **state) {
    fixture *f = *state;
    static const fer_string words[2] = {
        {"\xc3\x89T\xc3\x89", 5},
        {"b",                 1}
    };
    /* ete with accents, B, Zh, o umlaut */
    const char *texts[4] = {"\xc3\xa9t\xc3\xa9", "B", "\xd0\x96z", "\xc3\xb6"};
    fixture_input(f, string_value(f, 2, (int64_t[]){1, 4}, texts));
    f->attrs[0] = (fer_attr){
        .name = "stopwords", .type = FER_ATTR_STRINGS, .count = 2, .value.strings = words};
    f->attrs[1] = (fer_attr){
        .name = "case_change_action",
        .type = FER_ATTR_STRING,
        .count = 1,
        .value.s = {.data = "UPPER", .length = 5}
    };
    f->node.attr_count = 2;
    assert_int_equal(fixture_run(f, "StringNormalizer", 1), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){1, 2});
    assert_string(f->outputs[0], 0, "\xd0\x96Z");
    assert_string(f->outputs[0], 1, "\xc3\x96");
    fixture_attr(f, "is_case_sensitive", 1);
    f->attrs[1].value.s = (fer_string){.data = "LOWER", .length = 5};
    fer_value_release(f->outputs[0]);
    f->outputs[0] = NULL;
    assert_int_equal(fixture_run(f, "StringNormalizer", 1), FER_OK);
    assert_dims(f->outputs[0], 2, (int64_t[]){1, 4});
    assert_string(f->outputs[0], 2, "\xd0\xb6z");
    fixture_clear(f);
    f->node.attr_count = 1;
    fixture_input(f, string_value(f, 1, (int64_t[]){1}, texts + 1));
    assert_int_equal(fixture_run(f, "StringNormalizer", 1), FER_OK);
    assert_dims(f->outputs[0], 1, (int64_t[]){1});
    assert_string(f->outputs[0], 0, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_locales),
        TEST(casts),
        TEST(equals),
        TEST(moved),
        TEST(shapes),
        TEST(concats),
        TEST(splits),
        TEST(normalizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
