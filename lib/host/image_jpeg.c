/* SPDX-License-Identifier: Apache-2.0
 *
 * JPEG (ITU T.81), sequential Huffman-coded with 8 bits, one or three components: markers, entropy
 * decoding, and the picture put together. Chroma is upsampled and colors are converted as libjpeg
 * does, with 16-bit fractions, because ImageDecoder promises its pixels. Progressive, arithmetic
 * and CMYK files are UNSUPPORTED.
 */
#include "host/image_jpeg.h"

#include <string.h>

/* ---- bits: 0xFF is followed by 0, else a marker stands there and zeros follow ---- */

static uint32_t take_bit(feri_jpeg *j) {
    if (j->held_bits == 0) {
        uint8_t byte = 0;
        if (j->at < j->image->bytes && !j->at_marker) {
            byte = j->image->data[j->at];
            if (byte == 0xFF && (j->at + 1 >= j->image->bytes || j->image->data[j->at + 1] != 0)) {
                j->at_marker = 1;
                byte = 0;
            } else {
                j->at += byte == 0xFF ? 2 : 1;
            }
        } else {
            j->starved++;
        }
        j->held = byte;
        j->held_bits = 8;
    }
    return j->held >> --j->held_bits & 1;
}

static int32_t take_signed(feri_jpeg *j, uint32_t count) {
    int32_t value = 0;
    for (uint32_t i = 0; i < count; i++) {
        value = value * 2 + (int32_t)take_bit(j);
    }
    return count && value < 1 << (count - 1) ? value - (1 << count) + 1 : value;
}

static uint32_t take_symbol(feri_jpeg *j, const feri_jpeg_code *c) {
    int32_t value = 0, first = 0, index = 0;
    for (int l = 1; l <= 16; l++) {
        value |= (int32_t)take_bit(j);
        if (value - c->count[l] < first) {
            return c->symbol[(index + value - first) & 255];
        }
        index += c->count[l];
        first = (first + c->count[l]) * 2;
        value *= 2;
    }
    j->is_broken = 1;
    return 0;
}

/* ---- blocks ---- */

static void decode_block(feri_jpeg *j, feri_jpeg_component *c, uint32_t column, uint32_t row) {
    static const uint8_t zigzag[64] = {
        0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
        41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
        30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};
    int64_t values[64] = {0};
    const uint16_t *table = j->tables[c->table];
    uint32_t length = take_symbol(j, &j->codes[0][c->dc]) & 15;
    c->last += take_signed(j, length);
    c->last = c->last > 32767 ? 32767 : c->last < -32768 ? -32768 : c->last;
    values[0] = (int64_t)c->last * table[0];
    for (uint32_t k = 1; k < 64; k++) {
        uint32_t symbol = take_symbol(j, &j->codes[1][c->ac]);
        k += symbol >> 4;
        if ((symbol & 15) == 0 && symbol != 0xF0) {
            break;
        }
        if (k > 63) {
            j->is_broken = 1;
            break;
        }
        values[zigzag[k]] = (int64_t)take_signed(j, symbol & 15) * table[k];
    }
    if (column < c->stride / 8 && row < c->rows / 8) {
        feri_jpeg_idct(values, c->plane + (uint64_t)row * 8 * c->stride + column * 8, c->stride);
    }
}

/* After a restart marker the predictions begin anew. */
static void restart(feri_jpeg *j) {
    for (uint32_t c = 0; c < j->count; c++) {
        j->components[c].last = 0;
    }
    j->held_bits = 0;
    j->at_marker = 0;
    const uint8_t *d = j->image->data;
    if (j->image->bytes - j->at >= 2 && d[j->at] == 0xFF && (d[j->at + 1] & 0xF8) == 0xD0) {
        j->at += 2;
    }
}

/* Where the blocks of one component alone end. */
static uint32_t ceil_div(uint64_t a, uint64_t b) { return (uint32_t)((a + b - 1) / b); }

static fer_status decode_scan(feri_jpeg *j, const uint32_t *in_scan, uint32_t count) {
    uint32_t columns = j->mcu_columns, rows = j->mcu_rows, h = 1, v = 1;
    if (count == 1) { /* not interleaved: only blocks that hold pixels */
        const feri_jpeg_component *c = &j->components[in_scan[0]];
        columns = ceil_div(c->width, 8);
        rows = ceil_div(c->height, 8);
    }
    restart(j);
    uint32_t until_restart = j->interval;
    for (uint64_t m = 0; m < (uint64_t)columns * rows; m++) {
        uint32_t x = (uint32_t)(m % columns), y = (uint32_t)(m / columns);
        if (j->interval && until_restart-- == 0) {
            restart(j);
            until_restart = j->interval - 1;
        }
        for (uint32_t i = 0; i < count; i++) {
            feri_jpeg_component *c = &j->components[in_scan[i]];
            h = count == 1 ? 1 : c->h;
            v = count == 1 ? 1 : c->v;
            for (uint32_t b = 0; b < h * v; b++) {
                decode_block(j, c, x * h + b % h, y * v + b / h);
            }
        }
        if (j->is_broken || j->starved > 4096) {
            return feri_image_broken(j->image, "a JPEG's coded pixels");
        }
        FER_TRY(m % 1024 ? FER_OK : feri_host_check(j->image->call));
    }
    j->is_drawn = 1;
    return FER_OK;
}

/* ---- markers: body of length bytes ---- */

static fer_status read_tables(feri_jpeg *j, const uint8_t *body, uint32_t length) {
    while (length > 0) {
        uint32_t wide = body[0] >> 4 ? 2 : 1, id = body[0] & 15;
        if (id > 3 || length < 1 + 64 * wide) {
            return feri_image_broken(j->image, "a JPEG's quantisation table");
        }
        for (uint32_t i = 0; i < 64; i++) {
            j->tables[id][i] = (uint16_t)(wide == 2 ? feri_big16(body + 1 + 2 * i) : body[1 + i]);
        }
        body += 1 + 64 * wide;
        length -= 1 + 64 * wide;
    }
    return FER_OK;
}

static fer_status read_codes(feri_jpeg *j, const uint8_t *body, uint32_t length) {
    while (length > 0) {
        uint32_t total = 0;
        for (uint32_t i = 1; length >= 17 && i <= 16; i++) {
            total += body[i];
        }
        if (length < 17 || (body[0] >> 4) > 1 || (body[0] & 15) > 3 || total > 256 ||
            length < 17 + total) {
            return feri_image_broken(j->image, "a JPEG's Huffman table");
        }
        feri_jpeg_code *c = &j->codes[body[0] >> 4][body[0] & 15];
        memset(c, 0, sizeof(*c));
        memcpy(c->count + 1, body + 1, 16);
        memcpy(c->symbol, body + 17, total);
        body += 17 + total;
        length -= 17 + total;
    }
    return FER_OK;
}

static fer_status make_planes(feri_jpeg *j) {
    for (uint32_t i = 0; i < j->count; i++) {
        feri_jpeg_component *c = &j->components[i];
        c->width = ceil_div((uint64_t)j->image->width * c->h, j->most_h);
        c->height = ceil_div((uint64_t)j->image->height * c->v, j->most_v);
        c->stride = j->mcu_columns * c->h * 8;
        c->rows = j->mcu_rows * c->v * 8;
        c->bytes = (uint64_t)c->stride * c->rows;
        c->plane = feri_alloc(j->image->call->env, c->bytes);
        if (!c->plane) {
            return feri_error_status();
        }
    }
    return FER_OK;
}

static fer_status read_frame(feri_jpeg *j, const uint8_t *body, uint32_t length) {
    uint32_t count = length >= 6 ? body[5] : 0;
    if (count == 4) {
        return feri_image_lacks(j->image, "JPEG in CMYK");
    }
    if ((count != 1 && count != 3) || length < 6 + 3 * count || body[0] != 8) {
        return feri_image_broken(j->image, "a JPEG's frame");
    }
    j->count = count;
    j->most_h = j->most_v = 1;
    for (uint32_t i = 0; i < count; i++) {
        feri_jpeg_component *c = &j->components[i];
        c->id = body[6 + 3 * i];
        c->h = count == 1 ? 1 : body[7 + 3 * i] >> 4;
        c->v = count == 1 ? 1 : body[7 + 3 * i] & 15;
        c->table = body[8 + 3 * i];
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->table > 3) {
            return feri_image_broken(j->image, "a JPEG's component");
        }
        j->most_h = c->h > j->most_h ? c->h : j->most_h;
        j->most_v = c->v > j->most_v ? c->v : j->most_v;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (j->most_h % j->components[i].h || j->most_v % j->components[i].v) {
            return feri_image_lacks(j->image, "JPEG with fractional subsampling");
        }
    }
    FER_TRY(feri_image_start(j->image, feri_big16(body + 3), feri_big16(body + 1)));
    j->mcu_columns = ceil_div(j->image->width, 8 * j->most_h);
    j->mcu_rows = ceil_div(j->image->height, 8 * j->most_v);
    return make_planes(j);
}

static fer_status read_scan(feri_jpeg *j, const uint8_t *body, uint32_t length) {
    uint32_t in_scan[3] = {0}, count = length ? body[0] : 0;
    if (!j->count || count < 1 || count > j->count || length < 4 + 2 * count) {
        return feri_image_broken(j->image, "a JPEG's scan");
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t c = 0;
        while (c < j->count && j->components[c].id != body[1 + 2 * i]) {
            c++;
        }
        uint8_t tables = body[2 + 2 * i];
        if (c == j->count || (tables >> 4) > 3 || (tables & 15) > 3) {
            return feri_image_broken(j->image, "a JPEG's scan");
        }
        in_scan[i] = c;
        j->components[c].dc = tables >> 4;
        j->components[c].ac = tables & 15;
    }
    return decode_scan(j, in_scan, count);
}

static fer_status read_marker(feri_jpeg *j, uint8_t marker, const uint8_t *body, uint32_t length) {
    switch (marker) {
    case 0xC0:
    case 0xC1:
        return read_frame(j, body, length);
    case 0xC4:
        return read_codes(j, body, length);
    case 0xDA:
        return read_scan(j, body, length);
    case 0xDB:
        return read_tables(j, body, length);
    case 0xDD:
        j->interval = length >= 2 ? feri_big16(body) : 0;
        return FER_OK;
    case 0xEE:
        j->is_rgb = length >= 12 && memcmp(body, "Adobe", 5) == 0 && body[11] == 0;
        return FER_OK;
    default:
        return marker >= 0xC2 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC
                   ? feri_image_lacks(j->image, "progressive, lossless or arithmetic JPEG")
                   : FER_OK;
    }
}

static fer_status read_file(feri_jpeg *j) {
    const uint8_t *d = j->image->data;
    j->at = 2;
    while (j->image->bytes - j->at >= 4) {
        uint8_t marker = d[j->at + 1];
        if (d[j->at] != 0xFF || marker == 0xFF || marker == 0) {
            j->at++; /* padding, or what is left of a scan */
            continue;
        }
        if (marker == 0xD9) {
            break;
        }
        if (marker == 0x01 || (marker & 0xF8) == 0xD0) {
            j->at += 2;
            continue;
        }
        uint32_t length = feri_big16(d + j->at + 2);
        if (length < 2 || length > j->image->bytes - j->at - 2) {
            return feri_image_broken(j->image, "a JPEG's marker ends early");
        }
        const uint8_t *body = d + j->at + 4;
        j->at += 2 + (uint64_t)length;
        FER_TRY(read_marker(j, marker, body, length - 2));
    }
    return j->is_drawn ? FER_OK : feri_image_broken(j->image, "a JPEG without pixels");
}

fer_status feri_image_jpeg(feri_image *image) {
    feri_env *env = image->call->env;
    feri_jpeg *j = feri_alloc(env, sizeof(*j));
    if (!j) {
        return feri_error_status();
    }
    j->image = image;
    fer_status status = read_file(j);
    status = status ? status : feri_jpeg_draw(j);
    for (uint32_t c = 0; c < 3; c++) {
        feri_free(env, j->components[c].plane, j->components[c].bytes);
    }
    feri_free(env, j, sizeof(*j));
    return status;
}
