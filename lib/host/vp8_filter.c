/* SPDX-License-Identifier: Apache-2.0
 *
 * VP8's loop filter (RFC 6386, section 15), over the whole frame once it is rebuilt, and the way to
 * RGB as libwebp goes: chroma weighed 9:3:3:1 in two roundings, BT.601 with 14-bit fractions.
 * Called by image_webp.c.
 */
#include "host/vp8.h"

#include <stdlib.h>

static int32_t clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

/* s: samples across the edge, step apart; s[0] is the first behind it. */
static int is_smooth(const uint8_t *s, ptrdiff_t step, int limit) {
    return 4 * abs(s[-step] - s[0]) + abs(s[-2 * step] - s[step]) <= 2 * limit + 1;
}

static int is_flat(const uint8_t *s, ptrdiff_t step, int inner) {
    for (int i = -4; i < 3; i++) {
        if (i != -1 && abs(s[i * step] - s[(i + 1) * step]) > inner) {
            return 0;
        }
    }
    return 1;
}

/* The two samples at the edge; others where is_wide, by half. */
static void adjust(uint8_t *s, ptrdiff_t step, int is_wide) {
    int p1 = s[-2 * step], p0 = s[-step], q0 = s[0], q1 = s[step];
    int a = 3 * (q0 - p0) + (is_wide ? 0 : clamp(p1 - q1, -128, 127));
    int a1 = clamp((a + 4) >> 3, -16, 15), a2 = clamp((a + 3) >> 3, -16, 15);
    s[-step] = feri_vp8_byte(p0 + a2);
    s[0] = feri_vp8_byte(q0 - a1);
    if (is_wide) {
        int a3 = (a1 + 1) >> 1;
        s[-2 * step] = feri_vp8_byte(p1 + a3);
        s[step] = feri_vp8_byte(q1 - a3);
    }
}

/* Three samples on each side, at the edges of macroblocks. */
static void adjust_six(uint8_t *s, ptrdiff_t step) {
    int a = 3 * (s[0] - s[-step]) + clamp(s[-2 * step] - s[step], -128, 127);
    a = clamp(a, -128, 127);
    for (int i = 0; i < 3; i++) {
        int by = (9 * (3 - i) * a + 63) >> 7;
        s[-(i + 1) * step] = feri_vp8_byte(s[-(i + 1) * step] + by);
        s[i * step] = feri_vp8_byte(s[i * step] - by);
    }
}

typedef struct edge {
    int limit, inner, threshold;
    int is_outer, is_simple;
} edge;

/* count places along the edge, next apart. */
static void filter_edge(uint8_t *s, ptrdiff_t step, ptrdiff_t next, int count, const edge *e) {
    for (int i = 0; i < count; i++, s += next) {
        if (!is_smooth(s, step, e->limit)) {
            continue;
        }
        if (e->is_simple) {
            adjust(s, step, /*is_wide=*/0);
            continue;
        }
        if (!is_flat(s, step, e->inner)) {
            continue;
        }
        int is_rough =
            abs(s[-2 * step] - s[-step]) > e->threshold || abs(s[step] - s[0]) > e->threshold;
        if (is_rough || !e->is_outer) {
            adjust(s, step, !is_rough);
        } else {
            adjust_six(s, step);
        }
    }
}

/* Edges of one plane's part of a macroblock in one direction: its own and those inside. */
static void filter_direction(uint8_t *at,
                             ptrdiff_t step,
                             ptrdiff_t next,
                             int size,
                             int has_outer,
                             const feri_vp8_filter *f,
                             int is_simple) {
    edge e = {.limit = f->edge_limit + 4,
              .inner = f->inner_level,
              .threshold = f->level >= 40 ? 2 : f->level >= 15,
              .is_outer = 1,
              .is_simple = is_simple};
    if (has_outer) {
        filter_edge(at, step, next, size, &e);
    }
    e.limit = f->edge_limit;
    e.is_outer = 0;
    for (int i = 4; f->is_inner && i < size; i += 4) {
        filter_edge(at + i * step, step, next, size, &e);
    }
}

void feri_vp8_smooth(feri_vp8 *v) {
    for (uint32_t m = 0; m < v->columns * v->rows; m++) {
        uint32_t column = m % v->columns, row = m / v->columns;
        const feri_vp8_filter *f = &v->filters[m];
        for (int pass = 0; f->level && pass < 2; pass++) {
            for (int p = 0; p < (v->is_simple ? 1 : 3); p++) {
                int size = p ? 8 : 16;
                ptrdiff_t stride = v->planes[p].stride;
                uint8_t *at = v->planes[p].at + (size_t)row * (size_t)(size * stride) +
                              (size_t)column * (size_t)size;
                filter_direction(at,
                                 pass ? stride : 1,
                                 pass ? 1 : stride,
                                 size,
                                 pass ? row > 0 : column > 0,
                                 f,
                                 v->is_simple);
            }
        }
    }
}

/* ---- colors ---- */

/* A chroma sample at a pixel, from the two rows and columns around it. */
static int chroma(const feri_vp8 *v, int p, uint32_t x, uint32_t y) {
    uint32_t width = v->image->width, last = (v->image->height + 1) / 2 - 1, near = y / 2;
    uint32_t far = y % 2 ? (near < last ? near + 1 : near) : (near > 0 ? near - 1 : near);
    const uint8_t *n = v->planes[p].at + (size_t)near * v->planes[p].stride;
    const uint8_t *f = v->planes[p].at + (size_t)far * v->planes[p].stride;
    if (x == 0 || (x + 1 == width && width % 2 == 0)) {
        return (3 * n[x / 2] + f[x / 2] + 2) >> 2;
    }
    uint32_t left = (x - 1) / 2, right = left + 1;
    int sum = n[left] + n[right] + f[left] + f[right] + 8;
    if (x % 2) {
        return (((sum + 2 * (n[right] + f[left])) >> 3) + n[left]) >> 1;
    }
    return (((sum + 2 * (n[left] + f[right])) >> 3) + n[right]) >> 1;
}

void feri_vp8_paint(const feri_vp8 *v) {
    for (uint32_t y = 0; y < v->image->height; y++) {
        uint8_t *to = v->image->rgb + (size_t)y * v->image->width * 3;
        for (uint32_t x = 0; x < v->image->width; x++, to += 3) {
            int luma = v->planes[0].at[(size_t)y * v->planes[0].stride + x] * 19077 >> 8;
            int cb = chroma(v, 1, x, y), cr = chroma(v, 2, x, y);
            to[0] = feri_vp8_byte((luma + (cr * 26149 >> 8) - 14234) >> 6);
            to[1] = feri_vp8_byte((luma - (cb * 6419 >> 8) - (cr * 13320 >> 8) + 8708) >> 6);
            to[2] = feri_vp8_byte((luma + (cb * 33050 >> 8) - 17685) >> 6);
        }
    }
}
