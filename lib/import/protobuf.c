/* SPDX-License-Identifier: Apache-2.0
 *
 * The wire reader; see protobuf.h. Every length is compared with what is left before a pointer
 * moves.
 */
#include "import/protobuf.h"

#include "base/error.h"

#include <string.h>

feri_wire feri_wire_start(feri_span message) {
    static const uint8_t nothing = 0;
    const uint8_t *at = message.length > 0 ? message.data : &nothing;
    return (feri_wire){at, at + message.length, 0};
}

static int bad(feri_wire *wire) {
    wire->is_bad = 1;
    wire->at = wire->end;
    return 0;
}

static uint64_t left(const feri_wire *wire) { return (uint64_t)(wire->end - wire->at); }

static int read_varint(feri_wire *wire, uint64_t *out_value) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (wire->at == wire->end) {
            return bad(wire);
        }
        uint8_t byte = *wire->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out_value = value;
            return 1;
        }
    }
    return bad(wire);
}

static int read_fixed(feri_wire *wire, uint32_t width, uint64_t *out_value) {
    if (left(wire) < width) {
        return bad(wire);
    }
    uint64_t value = 0;
    for (uint32_t b = 0; b < width; b++) {
        value |= (uint64_t)wire->at[b] << (8 * b);
    }
    wire->at += width;
    *out_value = value;
    return 1;
}

int feri_wire_next(feri_wire *wire, feri_field *out_field) {
    uint64_t tag = 0;
    if (wire->at == wire->end || !read_varint(wire, &tag)) {
        return 0;
    }
    memset(out_field, 0, sizeof(*out_field));
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
        return bad(wire);
    }
    out_field->number = (uint32_t)(tag >> 3);
    out_field->type = (uint32_t)(tag & 7);
    switch (out_field->type) {
    case FERI_WIRE_VARINT:
        return read_varint(wire, &out_field->value);
    case FERI_WIRE_FIXED64:
        return read_fixed(wire, 8, &out_field->value);
    case FERI_WIRE_FIXED32:
        return read_fixed(wire, 4, &out_field->value);
    case FERI_WIRE_BYTES:
        if (!read_varint(wire, &out_field->bytes.length) || out_field->bytes.length > left(wire)) {
            return bad(wire);
        }
        out_field->bytes.data = wire->at;
        wire->at += out_field->bytes.length;
        return 1;
    default:
        return bad(wire);
    }
}

/* ---- messages ---- */

/* The next entry of a repeated number whose wire is in its packed part. */
static int read_number(feri_wire *wire, int kind, uint64_t *out_value) {
    return kind == FERI_VARINTS ? read_varint(wire, out_value)
                                : read_fixed(wire, kind == FERI_FIXED32S ? 4 : 8, out_value);
}

static int single_type(int kind) {
    static const uint8_t types[] = {[FERI_SPAN] = FERI_WIRE_BYTES,
                                    [FERI_SPANS] = FERI_WIRE_BYTES,
                                    [FERI_INT] = FERI_WIRE_VARINT,
                                    [FERI_BITS32] = FERI_WIRE_FIXED32,
                                    [FERI_VARINTS] = FERI_WIRE_VARINT,
                                    [FERI_FIXED32S] = FERI_WIRE_FIXED32,
                                    [FERI_FIXED64S] = FERI_WIRE_FIXED64};
    return types[kind];
}

static void count_numbers(feri_wire *wire, const feri_field *field, int kind, feri_numbers *to) {
    feri_wire inner = feri_wire_start(field->bytes);
    uint64_t value;
    if (field->type != FERI_WIRE_BYTES) {
        to->count++;
        return;
    }
    to->packed = field->bytes;
    while (inner.at != inner.end && read_number(&inner, kind, &value)) {
        to->count++;
    }
    wire->is_bad |= inner.is_bad;
}

/* The first walk counts lists, the second fills them. */
static void
take_field(feri_wire *wire, const feri_field *field, const uint8_t *row, int fills, uint8_t *out) {
    void *member = out + 8 * (size_t)row[2];
    int kind = row[1];
    if (field->type != (uint32_t)single_type(kind) &&
        (kind < FERI_VARINTS || field->type != FERI_WIRE_BYTES)) {
        (void)bad(wire);
    } else if (kind == FERI_SPANS) {
        feri_spans *spans = member;
        if (fills) {
            spans->list[spans->count] = field->bytes;
        }
        spans->count++;
    } else if (kind == FERI_SPAN) {
        *(feri_span *)member = field->bytes;
    } else if (kind < FERI_VARINTS) {
        *(uint64_t *)member = field->value;
    } else if (!fills) {
        count_numbers(wire, field, kind, member);
    }
}

fer_status feri_message_read(feri_bump *bump,
                             const char *noun,
                             const feri_span *bytes,
                             const uint8_t *table,
                             void *out_message) {
    feri_message *message = out_message;
    feri_span all = *bytes; /* which may lie in what is read into */
    memset(out_message, 0, 8 * (size_t)table[0]);
    message->bytes = all;
    message->name.data = (const uint8_t *)"";
    int has_lists = 0;
    for (int fills = 0; fills <= has_lists; fills++) {
        feri_wire wire = feri_wire_start(message->bytes);
        feri_field field;
        while (feri_wire_next(&wire, &field)) {
            const uint8_t *row = table + 1;
            uint32_t index = 1;
            for (; row[0] != 0 && row[0] != field.number; row += 3) {
                index++;
            }
            if (row[0] != 0) {
                message->seen |= UINT64_C(1) << index;
                take_field(&wire, &field, row, fills, out_message);
            }
        }
        if (wire.is_bad) {
            return feri_fail(FER_INVALID_MODEL,
                             "%s%s%.*s%s is malformed or cut off",
                             noun,
                             message->name.length > 0 ? " '" : "",
                             FERI_SPAN_SHOWN(message->name),
                             message->name.length > 0 ? "'" : "");
        }
        for (const uint8_t *row = table + 1; row[0] != 0 && !fills; row += 3) {
            feri_spans *spans = (feri_spans *)(void *)((uint8_t *)out_message + 8 * (size_t)row[2]);
            if (row[1] == FERI_SPANS && spans->count > 0) {
                spans->list = FERI_BUMP_ARRAY(bump, feri_span, spans->count);
                if (spans->list == NULL) {
                    return feri_error_status();
                }
                spans->count = 0;
                has_lists = 1;
            }
        }
    }
    return FER_OK;
}

void feri_numbers_read(const feri_message *message,
                       uint32_t number,
                       int kind,
                       uint32_t store,
                       uint64_t count,
                       void *out_entries) {
    uint8_t *out = out_entries;
    feri_wire wire = feri_wire_start(message->bytes);
    feri_field field;
    while (feri_wire_next(&wire, &field)) {
        feri_wire inner = feri_wire_start(field.bytes);
        int is_single = field.type != FERI_WIRE_BYTES;
        while (field.number == number && count > 0 &&
               (is_single || (inner.at != inner.end && read_number(&inner, kind, &field.value)))) {
            memcpy(out, &field.value, store);
            out += store;
            count--;
            if (is_single) {
                break;
            }
        }
    }
}

int feri_span_equal(const feri_span *a, const feri_span *b) {
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

int feri_span_is(const feri_span *span, const char *text) {
    feri_span other = {(const uint8_t *)text, strlen(text)};
    return feri_span_equal(span, &other);
}
