/* SPDX-License-Identifier: Apache-2.0
 *
 * Protobuf's wire format over memory. A message is read into a struct by a table of its fields:
 * bounds-checked, no copies of contents; lists of spans are the only thing allocated. Nested
 * messages are spans that the caller reads by tables of their own; how deep is the caller's to
 * limit. Source: protobuf's "Encoding" document.
 */
#ifndef FERI_IMPORT_PROTOBUF_H
#define FERI_IMPORT_PROTOBUF_H

#include "base/bump.h"

#include <stddef.h>

typedef struct feri_span {
    const uint8_t *data; /* NULL: the field is not there */
    uint64_t length;
} feri_span;

typedef struct feri_wire {
    const uint8_t *at;
    const uint8_t *end;
    int is_bad; /* met something malformed, and stays at its end */
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

/* What every struct of a message begins with. */
typedef struct feri_message {
    feri_span bytes; /* of the whole message */
    feri_span name;  /* what sentences call it */
    uint64_t seen;   /* a bit per row of its table, from 1: the field was there */
} feri_message;

typedef struct feri_spans {
    feri_span *list;
    uint64_t count;
} feri_spans;

/* A repeated number, packed or not; feri_numbers_read copies the entries. */
typedef struct feri_numbers {
    uint64_t count;
    feri_span packed; /* the last packed part: all of them where it is long enough */
} feri_numbers;

/* Kinds of members. A field of another wire type is malformed; of a field that comes more than once
 * the last one counts. */
enum {
    FERI_SPAN,    /* feri_span */
    FERI_SPANS,   /* feri_spans: repeated bytes */
    FERI_INT,     /* int64_t */
    FERI_BITS32,  /* uint64_t: the bits of a float */
    FERI_VARINTS, /* feri_numbers, and their width on the wire */
    FERI_FIXED32S,
    FERI_FIXED64S
};

/* A table: the struct's size, rows of number, kind and member, and 0. Other fields are skipped. */
#define FERI_TABLE(type, ...)                                                                      \
    { sizeof(type) / 8, __VA_ARGS__, 0 }
#define FERI_ROW(type, number, kind, member) number, kind, offsetof(type, member) / 8

/* INVALID_MODEL "noun 'name' is malformed or cut off"; OUT_OF_MEMORY. */
fer_status feri_message_read(feri_bump *bump,
                             const char *noun,
                             const feri_span *bytes,
                             const uint8_t *table,
                             void *out_message);
/* The first count entries of a repeated number of a message that was read, store bytes each. */
void feri_numbers_read(const feri_message *message,
                       uint32_t number,
                       int kind,
                       uint32_t store,
                       uint64_t count,
                       void *out_entries);

/* For "%.*s": names from files are shown up to a length. */
#define FERI_SPAN_SHOWN(span)                                                                      \
    (int)((span).length < 120 ? (span).length : 120), (const char *)(span).data

int feri_span_is(const feri_span *span, const char *text);
int feri_span_equal(const feri_span *a, const feri_span *b);

#endif
