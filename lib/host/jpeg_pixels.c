/* SPDX-License-Identifier: Apache-2.0
 *
 * From coefficients to pixels as libjpeg computes them: the accurate integer inverse transform
 * (Loeffler, Ligtenberg, Moschytz 1989, with 13-bit fractions), triangle upsampling of chroma, and
 * color conversion with 16-bit fractions. 64-bit arithmetic, so that no input overflows.
 */
#include "host/image_jpeg.h"

static uint8_t to_byte(int64_t value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Eight values step apart, in place; the result is scaled down by bits. */
static void transform_line(int64_t *v, int step, int bits) {
    int64_t z1 = (v[2 * step] + v[6 * step]) * 4433;
    int64_t even2 = z1 - v[6 * step] * 15137, even3 = z1 + v[2 * step] * 6270;
    int64_t even0 = (v[0] + v[4 * step]) * 8192, even1 = (v[0] - v[4 * step]) * 8192;
    int64_t top[4] = {even0 + even3, even1 + even2, even1 - even2, even0 - even3};
    int64_t a = v[7 * step], b = v[5 * step], c = v[3 * step], d = v[step];
    int64_t z5 = (a + c + b + d) * 9633;
    int64_t za = (a + d) * -7373, zb = (b + c) * -20995;
    int64_t zc = (a + c) * -16069 + z5, zd = (b + d) * -3196 + z5;
    int64_t odd[4] = {
        d * 12299 + za + zd, c * 25172 + zb + zc, b * 16819 + zb + zd, a * 2446 + za + zc};
    int64_t half = INT64_C(1) << (bits - 1);
    for (int i = 0; i < 4; i++) {
        v[i * step] = (top[i] + odd[i] + half) >> bits;
        v[(7 - i) * step] = (top[i] - odd[i] + half) >> bits;
    }
}

void feri_jpeg_idct(const int64_t *values, uint8_t *out, uint32_t stride) {
    int64_t work[64];
    for (int i = 0; i < 64; i++) {
        work[i] = values[i];
    }
    for (int i = 0; i < 8; i++) {
        transform_line(work + i, 8, 11);
    }
    for (int i = 0; i < 8; i++) {
        transform_line(work + 8 * i, 1, 18);
        for (int k = 0; k < 8; k++) {
            out[(uint64_t)i * stride + (uint64_t)k] = to_byte(work[8 * i + k] + 128);
        }
    }
}

static uint32_t row_at(const feri_jpeg_component *c, uint32_t row, uint32_t x) {
    return c->plane[(uint64_t)row * c->stride + x];
}

/* A component's sample at a pixel. Twice as many pixels as samples in a direction: three quarters
 * of the nearest and one of the next, rounded alternately; other ratios repeat samples. */
static uint32_t sample(const feri_jpeg *j, const feri_jpeg_component *c, uint32_t x, uint32_t y) {
    uint32_t by_x = j->most_h / c->h, by_y = j->most_v / c->v;
    uint32_t cx = x / by_x, cy = y / by_y;
    int is_smooth_x = by_x == 2 && c->width > 2, is_smooth_y = by_y == 2;
    if ((by_x != 1 && !is_smooth_x) || (by_y != 1 && !is_smooth_y) || (is_smooth_y && by_x > 2)) {
        return row_at(c, cy, cx);
    }
    uint32_t next_y = y % 2 ? (cy + 1 < c->height ? cy + 1 : cy) : (cy > 0 ? cy - 1 : cy);
    uint32_t next_x = x % 2 ? cx + 1 : cx - 1;
    int is_edge = x % 2 ? cx + 1 >= c->width : cx == 0;
    if (!is_smooth_y && !is_smooth_x) {
        return row_at(c, cy, cx);
    }
    if (!is_smooth_y) {
        uint32_t near = row_at(c, cy, cx);
        return is_edge ? near : (3 * near + row_at(c, cy, next_x) + 1 + x % 2) >> 2;
    }
    uint32_t here = 3 * row_at(c, cy, cx) + row_at(c, next_y, cx);
    if (!is_smooth_x) {
        return (here + 1 + y % 2) >> 2;
    }
    uint32_t beside = is_edge ? here : 3 * row_at(c, cy, next_x) + row_at(c, next_y, next_x);
    return (3 * here + beside + 8 - x % 2) >> 4;
}

fer_status feri_jpeg_draw(feri_jpeg *j) {
    feri_image *image = j->image;
    for (uint32_t y = 0; y < image->height; y++) {
        uint8_t *to = image->rgb + (uint64_t)y * image->width * 3;
        for (uint32_t x = 0; x < image->width; x++, to += 3) {
            int64_t c[3] = {0};
            for (uint32_t i = 0; i < j->count; i++) {
                c[i] = sample(j, &j->components[i], x, y);
            }
            if (j->count == 1 || j->is_rgb) {
                for (uint32_t i = 0; i < 3; i++) {
                    to[i] = (uint8_t)c[j->count == 1 ? 0 : i];
                }
                continue;
            }
            int64_t cb = c[1] - 128, cr = c[2] - 128;
            to[0] = to_byte(c[0] + ((91881 * cr + 32768) >> 16));
            to[1] = to_byte(c[0] + ((-22554 * cb - 46802 * cr + 32768) >> 16));
            to[2] = to_byte(c[0] + ((116130 * cb + 32768) >> 16));
        }
        FER_TRY(y % 16 ? FER_OK : feri_host_check(image->call));
    }
    return FER_OK;
}
