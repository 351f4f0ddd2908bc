/* SPDX-License-Identifier: Apache-2.0
 *
 * PNG (W3C, second edition): every color type and depth, not interlaced. 16-bit samples keep their
 * high byte, alpha is dropped, checksums of chunks are not looked at (that of the pixels is).
 */
#include "host/image.h"

#include <stdlib.h>
#include <string.h>

typedef struct png {
    feri_image *image;
    uint32_t depth, color;
    uint32_t channels;
    uint64_t row_bytes; /* without the filter's byte */
    uint8_t palette[256 * 3];
    uint32_t colors;
    uint8_t *packed; /* all IDAT chunks */
    uint64_t packed_bytes;
    uint8_t *rows;
    uint64_t rows_bytes;
} png;

static fer_status read_header(png *p, const uint8_t *at, uint32_t length) {
    static const uint8_t channels[7] = {1, 0, 3, 1, 2, 0, 4};
    static const uint8_t depths[7] = {
        1 | 2 | 4 | 8 | 16, 0, 8 | 16, 1 | 2 | 4 | 8, 8 | 16, 0, 8 | 16};
    if (length != 13 || at[9] > 6 || (depths[at[9]] & at[8]) == 0 || (at[8] & (at[8] - 1)) != 0) {
        return feri_image_broken(p->image, "a PNG's header");
    }
    if (at[12] != 0) {
        return feri_image_lacks(p->image, "interlaced PNG");
    }
    p->depth = at[8];
    p->color = at[9];
    p->channels = channels[p->color];
    FER_TRY(feri_image_start(p->image, feri_big32(at), feri_big32(at + 4)));
    p->row_bytes = ((uint64_t)p->image->width * p->channels * p->depth + 7) / 8;
    return FER_OK;
}

/* Chunks: header, palette, and the sum of the pixels' sizes; with packed set, their bytes. */
static fer_status read_chunks(png *p) {
    feri_image *image = p->image;
    uint64_t at = 8, done = 0;
    while (image->bytes - at >= 12) {
        uint32_t length = feri_big32(image->data + at);
        const uint8_t *body = image->data + at + 8;
        if (length > image->bytes - at - 12) {
            return feri_image_broken(image, "a PNG's chunk ends early");
        }
        if (memcmp(body - 4, "IHDR", 4) == 0 && !p->packed) {
            FER_TRY(read_header(p, body, length));
        } else if (memcmp(body - 4, "PLTE", 4) == 0 && length <= 768) {
            memcpy(p->palette, body, length);
            p->colors = length / 3;
        } else if (memcmp(body - 4, "IDAT", 4) == 0) {
            if (p->packed && length) {
                memcpy(p->packed + done, body, length);
            }
            done += length;
        } else if (memcmp(body - 4, "IEND", 4) == 0) {
            break;
        }
        at += 12 + (uint64_t)length;
    }
    p->packed_bytes = done;
    return image->rgb ? FER_OK : feri_image_broken(image, "a PNG without a header");
}

static uint8_t paeth(int a, int b, int c) {
    int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

static int undo_filter(const png *p, uint8_t *row, const uint8_t *above) {
    uint64_t step = (p->channels * p->depth + 7) / 8;
    uint8_t kind = row[0];
    row++;
    for (uint64_t i = 0; i < p->row_bytes; i++) {
        uint8_t left = i >= step ? row[i - step] : 0, up = above ? above[i] : 0;
        uint8_t corner = above && i >= step ? above[i - step] : 0;
        row[i] = (uint8_t)(row[i] + (kind == 1   ? left
                                     : kind == 2 ? up
                                     : kind == 3 ? (left + up) / 2
                                     : kind == 4 ? paeth(left, up, corner)
                                                 : 0));
    }
    return kind <= 4;
}

/* Sample index of a row as 8 bits; palette indices as they are. */
static uint8_t sample(const png *p, const uint8_t *row, uint64_t index) {
    if (p->depth >= 8) {
        return row[index * (p->depth / 8)];
    }
    uint64_t bit = index * p->depth;
    uint32_t most = (1u << p->depth) - 1;
    uint32_t value = row[bit / 8] >> (8 - p->depth - bit % 8) & most;
    return (uint8_t)(p->color == 3 ? value : value * 255 / most);
}

static fer_status draw(png *p) {
    feri_image *image = p->image;
    for (uint32_t y = 0; y < image->height; y++) {
        uint8_t *row = p->rows + (uint64_t)y * (p->row_bytes + 1);
        if (!undo_filter(p, row, y ? row - p->row_bytes : NULL)) {
            return feri_image_broken(image, "a PNG's filter");
        }
        uint8_t *to = image->rgb + (uint64_t)y * image->width * 3;
        for (uint64_t x = 0; x < image->width; x++) {
            uint8_t first = sample(p, row + 1, x * p->channels);
            if (p->color == 3 && first >= p->colors) {
                return feri_image_broken(image, "a PNG's pixel is not in its palette");
            }
            for (uint32_t c = 0; c < 3; c++) {
                to[3 * x + c] = p->color == 3     ? p->palette[3 * first + c]
                                : p->channels > 2 ? sample(p, row + 1, x * p->channels + c)
                                                  : first;
            }
        }
        FER_TRY(y % 64 ? FER_OK : feri_host_check(image->call));
    }
    return FER_OK;
}

static fer_status unpack(png *p) {
    feri_env *env = p->image->call->env;
    p->packed = feri_alloc(env, p->packed_bytes);
    p->rows_bytes = feri_mul_sat(p->row_bytes + 1, p->image->height);
    p->rows = p->packed ? feri_alloc(env, p->rows_bytes) : NULL;
    if (!p->rows) {
        return feri_error_status();
    }
    uint64_t packed_bytes = p->packed_bytes;
    FER_TRY(read_chunks(p));
    if (!feri_inflate(p->packed, packed_bytes, p->rows, p->rows_bytes)) {
        return feri_image_broken(p->image, "a PNG's pixels");
    }
    return draw(p);
}

fer_status feri_image_png(feri_image *image) {
    feri_env *env = image->call->env;
    png *p = feri_alloc(env, sizeof(*p));
    if (!p) {
        return feri_error_status();
    }
    p->image = image;
    fer_status status = read_chunks(p);
    status = status ? status : unpack(p);
    feri_free(env, p->packed, p->packed_bytes);
    feri_free(env, p->rows, p->rows_bytes);
    feri_free(env, p, sizeof(*p));
    return status;
}
