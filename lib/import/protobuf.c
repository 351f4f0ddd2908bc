/* SPDX-License-Identifier: Apache-2.0
 *
 * The wire reader; see protobuf.h. Every length is compared with what is left before a pointer
 * moves.
 */
#include "import/protobuf.h"

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

feri_span feri_field_bytes(feri_wire *wire, const feri_field *field) {
    if (field->type != FERI_WIRE_BYTES) {
        (void)bad(wire);
        return (feri_span){NULL, 0};
    }
    return field->bytes;
}

int64_t feri_field_int(feri_wire *wire, const feri_field *field) {
    if (field->type != FERI_WIRE_VARINT) {
        return bad(wire);
    }
    return (int64_t)field->value;
}

float feri_field_float(feri_wire *wire, const feri_field *field) {
    float value = 0;
    if (field->type != FERI_WIRE_FIXED32) {
        (void)bad(wire);
        return value;
    }
    uint32_t bits = (uint32_t)field->value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t single_type(uint32_t width) {
    return width == 0 ? FERI_WIRE_VARINT : width == 4 ? FERI_WIRE_FIXED32 : FERI_WIRE_FIXED64;
}

feri_packed feri_packed_start(feri_wire *wire, const feri_field *field, uint32_t width) {
    feri_packed packed = {feri_wire_start((feri_span){NULL, 0}), 0};
    if (field->type == FERI_WIRE_BYTES) {
        packed.inner = feri_wire_start(field->bytes);
    } else if (field->type == single_type(width)) {
        packed.is_single = 1;
    } else {
        (void)bad(wire);
    }
    return packed;
}

int feri_packed_next(feri_wire *wire,
                     feri_packed *packed,
                     const feri_field *field,
                     uint32_t width,
                     uint64_t *out_value) {
    if (packed->is_single) {
        packed->is_single = 0;
        *out_value = field->value;
        return 1;
    }
    if (packed->inner.at == packed->inner.end) {
        return 0;
    }
    int got = width == 0 ? read_varint(&packed->inner, out_value)
                         : read_fixed(&packed->inner, width, out_value);
    return got ? 1 : bad(wire);
}

uint64_t feri_packed_count(feri_wire *wire, const feri_field *field, uint32_t width) {
    if (field->type != FERI_WIRE_BYTES) {
        if (field->type != single_type(width)) {
            (void)bad(wire);
            return 0;
        }
        return 1;
    }
    if (width != 0) {
        if (field->bytes.length % width != 0) {
            (void)bad(wire);
        }
        return field->bytes.length / width;
    }
    uint64_t count = 0;
    for (uint64_t b = 0; b < field->bytes.length; b++) {
        count += (field->bytes.data[b] & 0x80) == 0; /* a varint's last byte */
    }
    return count;
}

int feri_span_is(feri_span span, const char *text) {
    size_t length = strlen(text);
    return span.length == length && (length == 0 || memcmp(span.data, text, length) == 0);
}

int feri_span_equal(feri_span a, feri_span b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}
