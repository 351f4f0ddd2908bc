/* SPDX-License-Identifier: Apache-2.0
 *
 * Protobuf's wire format over memory: fields one after another, bounds-checked, no copies, no
 * allocation. A reader that met something malformed stays at its end with is_bad set, so loops need
 * one test after them. Nested messages are spans that the caller reads with a reader of its own;
 * how deep is the caller's to limit. Source: protobuf's "Encoding" document.
 */
#ifndef FERI_IMPORT_PROTOBUF_H
#define FERI_IMPORT_PROTOBUF_H

#include <stdint.h>

typedef struct feri_span {
    const uint8_t *data;
    uint64_t length;
} feri_span;

typedef struct feri_wire {
    const uint8_t *at;
    const uint8_t *end;
    int is_bad;
} feri_wire;

enum { FERI_WIRE_VARINT = 0, FERI_WIRE_FIXED64 = 1, FERI_WIRE_BYTES = 2, FERI_WIRE_FIXED32 = 5 };

typedef struct feri_field {
    uint32_t number;
    uint32_t type;   /* FERI_WIRE_... */
    uint64_t value;  /* varint, or the bits of a fixed field */
    feri_span bytes; /* FERI_WIRE_BYTES */
} feri_field;

feri_wire feri_wire_start(feri_span message);
/* 1 and the next field; 0 at the end or at something malformed (is_bad). Groups are malformed. */
int feri_wire_next(feri_wire *wire, feri_field *out_field);

/* The field's contents; a field of another wire type makes the reader bad and reads as empty. */
feri_span feri_field_bytes(feri_wire *wire, const feri_field *field);
int64_t feri_field_int(feri_wire *wire, const feri_field *field);
float feri_field_float(feri_wire *wire, const feri_field *field);

/* Repeated numbers come packed (one bytes field) or one by one. first tells whether this is the
 * start of field; returns 0 when the field is used up. width: 0 varints, 4 or 8 fixed. */
typedef struct feri_packed {
    feri_wire inner;
    int is_single;
} feri_packed;
feri_packed feri_packed_start(feri_wire *wire, const feri_field *field, uint32_t width);
int feri_packed_next(feri_wire *wire,
                     feri_packed *packed,
                     const feri_field *field,
                     uint32_t width,
                     uint64_t *out_value);
/* How many numbers the field holds. */
uint64_t feri_packed_count(feri_wire *wire, const feri_field *field, uint32_t width);

/* For "%.*s": names from files are shown up to a length. */
#define FERI_SPAN_SHOWN(span)                                                                      \
    (int)((span).length < 120 ? (span).length : 120),                                              \
        (span).length > 0 ? (const char *)(span).data : ""

int feri_span_is(feri_span span, const char *text);
int feri_span_equal(feri_span a, feri_span b);

#endif
