/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures that are hardly packed: BMP (24 and 32 bits, palettes of 8, not run-length coded),
 * Netpbm P1 to P6, TIFF (8-bit gray and RGB in uncompressed strips). Sources: the formats' own
 * specifications. Every offset is checked against the file.
 */
#include "host/image.h"

#include <string.h>

/* ---- BMP ---- */

static fer_status bmp_rows(feri_image *image,
                           uint64_t pixels_at,
                           uint32_t bits,
                           const uint8_t *palette,
                           uint32_t colors,
                           int is_top_down) {
    uint64_t stride = ((uint64_t)image->width * bits + 31) / 32 * 4;
    if (pixels_at > image->bytes || stride * image->height > image->bytes - pixels_at) {
        return feri_image_broken(image, "a BMP's pixels end early");
    }
    for (uint32_t y = 0; y < image->height; y++) {
        const uint8_t *from =
            image->data + pixels_at + stride * (is_top_down ? y : image->height - 1 - y);
        uint8_t *to = image->rgb + (uint64_t)y * image->width * 3;
        for (uint32_t x = 0; x < image->width; x++, to += 3) {
            const uint8_t *bgr =
                bits == 8 ? palette + 4 * (size_t)from[x] : from + (size_t)x * bits / 8;
            if (bits == 8 && from[x] >= colors) {
                return feri_image_broken(image, "a BMP's pixel is not in its palette");
            }
            to[0] = bgr[2];
            to[1] = bgr[1];
            to[2] = bgr[0];
        }
    }
    return FER_OK;
}

fer_status feri_image_bmp(feri_image *image) {
    const uint8_t *d = image->data;
    if (image->bytes < 54 || feri_little32(d + 14) < 40) {
        return feri_image_broken(image, "a BMP's header ends early");
    }
    int32_t width = (int32_t)feri_little32(d + 18), height = (int32_t)feri_little32(d + 22);
    uint32_t bits = feri_little16(d + 28), packing = feri_little32(d + 30);
    uint64_t palette_at = 14 + (uint64_t)feri_little32(d + 14);
    uint32_t colors = feri_little32(d + 46);
    colors = colors == 0 || colors > 256 ? 256 : colors;
    if (packing != 0 || (bits != 8 && bits != 24 && bits != 32)) {
        return feri_image_lacks(image, "BMP with other than 8, 24 or 32 plain bits");
    }
    if (width < 1 || height == 0 || height == INT32_MIN ||
        (bits == 8 && (palette_at > image->bytes || colors * 4 > image->bytes - palette_at))) {
        return feri_image_broken(image, "a BMP's size or palette");
    }
    FER_TRY(feri_image_start(
        image, (uint64_t)width, (uint64_t)(height < 0 ? -(int64_t)height : height)));
    return bmp_rows(image, feri_little32(d + 10), bits, d + palette_at, colors, height < 0);
}

/* ---- Netpbm ---- */

/* The next number of a header or a plain picture; 0 (the answer) at the end or at other letters. */
static int pnm_number(const feri_image *image, uint64_t *at, uint32_t *out) {
    *out = 0;
    for (;;) {
        while (*at < image->bytes && memchr(" \t\r\n\v\f", image->data[*at], 6)) {
            ++*at;
        }
        if (*at >= image->bytes || image->data[*at] != '#') {
            break;
        }
        while (*at < image->bytes && image->data[*at] != '\n') {
            ++*at;
        }
    }
    int digits = 0;
    while (*at < image->bytes && image->data[*at] >= '0' && image->data[*at] <= '9' && digits < 9) {
        *out = *out * 10 + (image->data[(*at)++] - '0');
        digits++;
    }
    return digits > 0;
}

/* One sample of a plain picture: P1 has digits that need no blanks between them. */
static int pnm_plain(const feri_image *image, uint64_t *at, int is_bitmap, uint32_t *out) {
    if (!is_bitmap) {
        return pnm_number(image, at, out);
    }
    while (*at < image->bytes && (image->data[*at] | 1) != '1') {
        ++*at;
    }
    *out = *at < image->bytes ? image->data[(*at)++] - '0' : 0;
    return *at <= image->bytes;
}

static fer_status pnm_samples(feri_image *image, char kind, uint64_t at, uint32_t most) {
    int is_plain = kind <= '3', is_bitmap = kind == '1' || kind == '4',
        channels = kind == '3' || kind == '6' ? 3 : 1;
    uint64_t wide = most > 255 ? 2 : 1, row_bits = is_bitmap ? ((uint64_t)image->width + 7) / 8 : 0;
    uint64_t need = is_plain    ? 0
                    : is_bitmap ? row_bits * image->height
                                : (uint64_t)image->width * image->height * channels * wide;
    if (need > image->bytes - at) {
        return feri_image_broken(image, "a PNM's samples end early");
    }
    for (uint64_t i = 0; i < (uint64_t)image->width * image->height * channels; i++) {
        uint32_t sample = 0;
        if (is_plain && !pnm_plain(image, &at, is_bitmap, &sample)) {
            return feri_image_broken(image, "a PNM's samples end early");
        }
        if (!is_plain && is_bitmap) {
            uint64_t x = i % image->width, y = i / image->width;
            sample = image->data[at + y * row_bits + x / 8] >> (7 - x % 8) & 1;
        } else if (!is_plain) {
            const uint8_t *from = image->data + at + i * wide;
            sample = wide == 2 ? feri_big16(from) : from[0];
        }
        sample = sample > most ? most : sample;
        uint8_t byte = (uint8_t)(is_bitmap ? (sample ? 0 : 255) : (sample * 255 + most / 2) / most);
        for (int c = 0; c < 4 - channels && c < 3; c++) {
            image->rgb[channels == 3 ? i : 3 * i + (uint64_t)c] = byte;
        }
    }
    return FER_OK;
}

fer_status feri_image_pnm(feri_image *image) {
    char kind = (char)image->data[1];
    uint32_t width, height, most = 1;
    uint64_t at = 2;
    if (!pnm_number(image, &at, &width) || !pnm_number(image, &at, &height) ||
        (kind != '1' && kind != '4' && !pnm_number(image, &at, &most)) || most == 0 ||
        most > 65535 || at >= image->bytes) {
        return feri_image_broken(image, "a PNM's header");
    }
    FER_TRY(feri_image_start(image, width, height));
    return pnm_samples(image, kind, at + 1, most);
}

/* ---- TIFF ---- */

typedef struct tiff {
    feri_image *image;
    int is_big;
    uint64_t directory;
    uint32_t entries;
} tiff;

static uint32_t tiff16(const tiff *t, uint64_t at) {
    return t->is_big ? feri_big16(t->image->data + at) : feri_little16(t->image->data + at);
}
static uint32_t tiff32(const tiff *t, uint64_t at) {
    return t->is_big ? feri_big32(t->image->data + at) : feri_little32(t->image->data + at);
}

/* Number index of a tag's values; absent when there is no such value. */
static uint32_t tiff_value(const tiff *t, uint32_t tag, uint32_t index, uint32_t absent) {
    for (uint32_t e = 0; e < t->entries; e++) {
        uint64_t at = t->directory + 2 + 12 * (uint64_t)e;
        if (tiff16(t, at) != tag) {
            continue;
        }
        uint32_t type = tiff16(t, at + 2), count = tiff32(t, at + 4);
        uint32_t size = type == 3 ? 2 : type == 4 ? 4 : 0;
        if (size == 0 || index >= count) {
            return absent;
        }
        uint64_t from = (uint64_t)size * count <= 4 ? at + 8 : tiff32(t, at + 8);
        from += (uint64_t)size * index;
        if (from > t->image->bytes || size > t->image->bytes - from) {
            return absent;
        }
        return size == 2 ? tiff16(t, from) : tiff32(t, from);
    }
    return absent;
}

static fer_status tiff_strips(const tiff *t, uint32_t channels, int is_inverted) {
    feri_image *image = t->image;
    uint32_t rows = tiff_value(t, 278, 0, image->height);
    uint64_t row_bytes = (uint64_t)image->width * channels;
    if (rows == 0) {
        return feri_image_broken(image, "a TIFF's strips have no rows");
    }
    for (uint32_t y = 0; y < image->height; y++) {
        uint64_t at = tiff_value(t, 273, y / rows, UINT32_MAX);
        at += row_bytes * (y % rows);
        if (at > image->bytes || row_bytes > image->bytes - at) {
            return feri_image_broken(image, "a TIFF's strip ends early");
        }
        uint8_t *to = image->rgb + (uint64_t)y * image->width * 3;
        for (uint64_t x = 0; x < image->width; x++) {
            for (uint32_t c = 0; c < 3; c++) {
                uint8_t byte = image->data[at + x * channels + (channels >= 3 ? c : 0)];
                to[3 * x + c] = is_inverted ? (uint8_t)(255 - byte) : byte;
            }
        }
    }
    return FER_OK;
}

fer_status feri_image_tiff(feri_image *image) {
    tiff t = {.image = image, .is_big = image->data[0] == 'M'};
    if (image->bytes < 8) {
        return feri_image_broken(image, "a TIFF's header ends early");
    }
    t.directory = tiff32(&t, 4);
    if (t.directory > image->bytes || image->bytes - t.directory < 2) {
        return feri_image_broken(image, "a TIFF's directory lies outside");
    }
    t.entries = tiff16(&t, t.directory);
    if (12 * (uint64_t)t.entries > image->bytes - t.directory - 2) {
        return feri_image_broken(image, "a TIFF's directory ends early");
    }
    uint32_t kind = tiff_value(&t, 262, 0, UINT32_MAX), channels = tiff_value(&t, 277, 0, 1);
    if (tiff_value(&t, 259, 0, 1) != 1 || tiff_value(&t, 258, 0, 1) != 8 || kind > 2 ||
        channels < 1 || channels > 4 || (kind == 2) != (channels >= 3) ||
        tiff_value(&t, 284, 0, 1) != 1 || tiff_value(&t, 322, 0, 0) != 0) {
        return feri_image_lacks(image, "TIFF that is not 8-bit gray or RGB in plain strips");
    }
    FER_TRY(feri_image_start(image, tiff_value(&t, 256, 0, 0), tiff_value(&t, 257, 0, 0)));
    return tiff_strips(&t, channels, kind == 0);
}
