/* SPDX-License-Identifier: Apache-2.0
 *
 * The wire reader: every wire type, messages by table, numbers packed and not, and input that lies.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/env.h"
#include "import/protobuf.h"

#include <string.h>

#define BYTES(text) ((feri_span){(const uint8_t *)(text), sizeof(text) - 1})
#define WIRE(text) feri_wire_start(BYTES(text))

static void fields_follow_each_other(void **state) {
    (void)state;
    feri_wire wire = WIRE("\x08\xac\x02"                         /* 1: varint 300 */
                          "\x12\x03"                             /* 2: three bytes */
                          "abc"                                  /* */
                          "\x1d\x00\x00\x80\x3f"                 /* 3: 1.0f */
                          "\x21\x01\x00\x00\x00\x00\x00\x00\x80" /* 4: fixed 64 */
    );
    feri_field field;
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.value, 300);
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    assert_true(feri_span_is(&field.bytes, "abc"));
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    assert_int_equal(field.value, 0x3f800000);
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    assert_int_equal(field.value, UINT64_C(0x8000000000000001));
    assert_int_equal(feri_wire_next(&wire, &field), 0);
    assert_int_equal(wire.is_bad, 0);
}

static void lies_are_bad(void **state) {
    (void)state;
    feri_wire wires[] = {
        WIRE("\x08"),                                             /* no value */
        WIRE("\x08\x80"),                                         /* value cut off */
        WIRE("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /* eleven bytes */
        WIRE("\x12\x04"
             "abc"),                                          /* longer than what is left */
        WIRE("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* much longer */
        WIRE("\x1d\x00\x00\x80"),                             /* fixed 32 cut off */
        WIRE("\x00\x01"),                                     /* field 0 */
        WIRE("\x0b\x0c"),                                     /* a group */
        WIRE("\x0f"),                                         /* wire type 7 */
    };
    for (size_t w = 0; w < sizeof(wires) / sizeof(wires[0]); w++) {
        feri_field field;
        while (feri_wire_next(&wires[w], &field)) {
        }
        assert_int_equal(wires[w].is_bad, 1);
        assert_int_equal(feri_wire_next(&wires[w], &field), 0);
    }
}

typedef struct things {
    feri_message base;
    int64_t number;
    feri_spans texts;
    feri_numbers varints;
    feri_numbers words;
} things;

static const uint8_t table[] = FERI_TABLE(things,
                                          FERI_ROW(things, 1, FERI_INT, number),
                                          FERI_ROW(things, 2, FERI_SPAN, base.name),
                                          FERI_ROW(things, 3, FERI_SPANS, texts),
                                          FERI_ROW(things, 4, FERI_VARINTS, varints),
                                          FERI_ROW(things, 5, FERI_FIXED32S, words));

static fer_status read_things(feri_span bytes, things *out, void (*look)(const things *)) {
    feri_env *env = NULL;
    feri_bump bump;
    assert_int_equal(feri_env_create(NULL, &env), FER_OK);
    feri_bump_init(&bump, env);
    fer_status status = feri_message_read(&bump, "things", &bytes, table, out);
    if (status == FER_OK && look != NULL) {
        look(out);
    }
    feri_bump_finish(&bump);
    feri_env_release(env);
    return status;
}

static void look_at_texts(const things *t) {
    assert_int_equal(t->texts.count, 2);
    assert_true(feri_span_is(&t->texts.list[0], "a"));
    assert_true(feri_span_is(&t->texts.list[1], ""));
}

static void messages_are_read_by_table(void **state) {
    (void)state;
    things t;
    feri_span bytes = BYTES("\x1a\x01"
                            "a\x12\x02"
                            "no\x08\x07\x1a\x00\x30\x01\x12\x03"
                            "yes");
    assert_int_equal(read_things(bytes, &t, look_at_texts), FER_OK);
    assert_true(feri_span_is(&t.base.name, "yes")); /* the last one counts */
    assert_int_equal(t.number, 7);
    assert_int_equal(t.base.seen, 1u << 1 | 1u << 2 | 1u << 3);
}

static void wrong_wire_types_are_bad(void **state) {
    (void)state;
    things t;
    static const feri_span texts[] = {
        {(const uint8_t *)"\x12\x03yes\x0a\x01x",        8 }, /* bytes for an int */
        {(const uint8_t *)"\x12\x03yes\x18\x01",         7 }, /* an int for bytes */
        {(const uint8_t *)"\x12\x03yes\x25\0\0\0\0",     10}, /* fixed 32 for a varint */
        {(const uint8_t *)"\x12\x03yes\x2a\x03\1\2\3",   10}, /* no multiple of 4 */
        {(const uint8_t *)"\x12\x03yes\x22\x02\x01\x80", 9 }  /* packed, cut off */
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(read_things(texts[i], &t, NULL), FER_INVALID_MODEL);
        assert_non_null(strstr(fer_error_last()->message, "things 'yes'"));
    }
}

static void numbers_come_packed_or_not(void **state) {
    (void)state;
    things t;
    uint64_t wide[4];
    uint32_t narrow[3];
    assert_int_equal(read_things(BYTES("\x20\x01\x22\x03\x02\xac\x02\x20\x05"), &t, NULL), FER_OK);
    assert_int_equal(t.varints.count, 4);
    feri_numbers_read(&t.base, 4, FERI_VARINTS, 8, 4, wide);
    assert_int_equal(wide[0] + wide[1] + wide[2] + wide[3], 308);
    wide[1] = 77;
    feri_numbers_read(&t.base, 4, FERI_VARINTS, 8, 1, wide); /* no more than asked for */
    assert_int_equal(wide[1], 77);
    assert_int_equal(read_things(BYTES("\x2a\x08\x01\0\0\0\x02\0\0\0\x2d\x04\0\0\0"), &t, NULL),
                     FER_OK);
    assert_int_equal(t.words.count, 3);
    assert_int_equal(t.words.packed.length, 8);
    feri_numbers_read(&t.base, 5, FERI_FIXED32S, 4, 3, narrow);
    assert_int_equal(narrow[0] + narrow[1] + narrow[2], 7);
    assert_int_equal(read_things(BYTES("\x22\x00"), &t, NULL), FER_OK);
    assert_int_equal(t.varints.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_follow_each_other),
        cmocka_unit_test(lies_are_bad),
        cmocka_unit_test(messages_are_read_by_table),
        cmocka_unit_test(wrong_wire_types_are_bad),
        cmocka_unit_test(numbers_come_packed_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
