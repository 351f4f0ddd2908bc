/* SPDX-License-Identifier: Apache-2.0
 *
 * The error record and sized structs.
 */
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void fail_records(void **state) {
    (void)state;
    assert_int_equal(feri_fail(FER_LIMIT, "%d is too many", 7), FER_LIMIT);
    const fer_error *error = fer_error_last();
    assert_int_equal(error->status, FER_LIMIT);
    assert_string_equal(error->message, "7 is too many");
    assert_string_equal(error->source_file, "test_error.c");
    assert_string_equal(error->node, "");
    feri_error_set_node("conv_1");
    feri_error_set_node("other");
    assert_string_equal(error->node, "conv_1");
    feri_error_set_backend("ref", 3);
    feri_error_prefix("run %d", 2);
    assert_string_equal(error->message, "run 2: 7 is too many");
    assert_string_equal(error->backend, "ref");
    assert_int_equal(error->native_code, 3);

    fer_error saved;
    feri_error_save(&saved);
    (void)feri_fail(FER_IO, "another");
    assert_string_equal(error->node, "");
    feri_error_restore(&saved);
    assert_string_equal(error->message, "run 2: 7 is too many");
}

static void long_messages_are_cut(void **state) {
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    (void)feri_fail(FER_IO, "%s", text);
    assert_int_equal(strlen(fer_error_last()->message), sizeof fer_error_last()->message - 1);
    feri_error_prefix("%s", text);
    assert_int_equal(strlen(fer_error_last()->message), sizeof fer_error_last()->message - 1);
    /* the record may be quoted in its own successor */
    (void)feri_fail(FER_IO, "a");
    (void)feri_fail(FER_IO, "b %s", fer_error_last()->message);
    assert_string_equal(fer_error_last()->message, "b a");
}

static void names(void **state) {
    (void)state;
    assert_string_equal(fer_status_name(FER_OK), "OK");
    assert_string_equal(fer_status_name(FER_DEVICE_LOST), "DEVICE_LOST");
    assert_string_equal(fer_status_name(-4), "UNKNOWN");
    assert_non_null(strstr(fer_status_sentence(FER_DEADLINE), "deadline"));
}

typedef struct sample {
    uint32_t struct_size;
    uint32_t a;
    uint64_t b;
} sample;

static void structs(void **state) {
    (void)state;
    sample full;
    assert_int_equal(feri_struct_in(&full, sizeof full, NULL, "sample"), FER_OK);
    assert_int_equal(full.struct_size, sizeof full);
    sample shorter = {8, 5, 9};
    assert_int_equal(feri_struct_in(&full, sizeof full, &shorter, "sample"), FER_OK);
    assert_int_equal(full.a, 5);
    assert_int_equal(full.b, 0);
    struct {
        sample known;
        uint32_t tail[2];
    } longer = {
        {sizeof longer, 1, 2},
        {0,             0             }
    };
    assert_int_equal(feri_struct_in(&full, sizeof full, &longer, "sample"), FER_OK);
    assert_int_equal(full.b, 2);
    longer.tail[1] = 1;
    assert_int_equal(feri_struct_in(&full, sizeof full, &longer, "sample"), FER_INVALID_ARGUMENT);
    sample tiny = {2, 0, 0};
    assert_int_equal(feri_struct_in(&full, sizeof full, &tiny, "sample"), FER_INVALID_ARGUMENT);

    sample given = {8, 0, UINT64_MAX};
    full = (sample){sizeof full, 4, 0x1111111122222222};
    feri_struct_out(&given, &full, sizeof full);
    assert_int_equal(given.struct_size, 8);
    assert_int_equal(given.a, 4);
    assert_true(given.b == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fail_records),
                                       cmocka_unit_test(long_messages_are_cut),
                                       cmocka_unit_test(names),
                                       cmocka_unit_test(structs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
