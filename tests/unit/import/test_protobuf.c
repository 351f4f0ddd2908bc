/* SPDX-License-Identifier: Apache-2.0
 *
 * The wire reader: every wire type, packed and not, and input that lies.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "import/protobuf.h"

#include <string.h>

#define WIRE(text) feri_wire_start((feri_span){(const uint8_t *)(text), sizeof(text) - 1})

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
    assert_int_equal(feri_field_int(&wire, &field), 300);
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    assert_true(feri_span_is(feri_field_bytes(&wire, &field), "abc"));
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    assert_true(feri_field_float(&wire, &field) == 1.0f);
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

static void wrong_wire_types_are_bad(void **state) {
    (void)state;
    feri_wire wire = WIRE("\x08\x01");
    feri_field field;
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    assert_int_equal(feri_field_bytes(&wire, &field).length, 0);
    assert_int_equal(wire.is_bad, 1);
}

static uint64_t sum(feri_wire wire, uint32_t width, uint64_t *out_count) {
    feri_field field;
    uint64_t total = 0, value = 0, counted = 0, told = 0;
    while (feri_wire_next(&wire, &field)) {
        told += feri_packed_count(&wire, &field, width);
        feri_packed packed = feri_packed_start(&wire, &field, width);
        while (feri_packed_next(&wire, &packed, &field, width, &value)) {
            total += value;
            counted++;
        }
    }
    assert_int_equal(counted, told);
    *out_count = wire.is_bad ? UINT64_MAX : counted;
    return total;
}

static void numbers_come_packed_or_not(void **state) {
    (void)state;
    uint64_t count = 0;
    assert_int_equal(sum(WIRE("\x08\x01\x0a\x03\x02\xac\x02\x08\x05"), 0, &count), 308);
    assert_int_equal(count, 4);
    assert_int_equal(sum(WIRE("\x0a\x08\x01\0\0\0\x02\0\0\0\x0d\x04\0\0\0"), 4, &count), 7);
    assert_int_equal(count, 3);
    assert_int_equal(sum(WIRE("\x0a\x00"), 0, &count), 0);
    assert_int_equal(count, 0);
}

static void packed_numbers_may_be_cut_off(void **state) {
    (void)state;
    feri_wire wire = WIRE("\x0a\x02\x01\x80");
    feri_field field;
    uint64_t value = 0;
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    feri_packed packed = feri_packed_start(&wire, &field, 0);
    assert_int_equal(feri_packed_next(&wire, &packed, &field, 0, &value), 1);
    assert_int_equal(feri_packed_next(&wire, &packed, &field, 0, &value), 0);
    assert_int_equal(wire.is_bad, 1);
    wire = WIRE("\x0a\x03\x01\x02\x03");
    assert_int_equal(feri_wire_next(&wire, &field), 1);
    (void)feri_packed_count(&wire, &field, 4); /* no multiple of 4 */
    assert_int_equal(wire.is_bad, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_follow_each_other),
        cmocka_unit_test(lies_are_bad),
        cmocka_unit_test(wrong_wire_types_are_bad),
        cmocka_unit_test(numbers_come_packed_or_not),
        cmocka_unit_test(packed_numbers_may_be_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
