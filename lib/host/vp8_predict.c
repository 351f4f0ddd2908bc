/* SPDX-License-Identifier: Apache-2.0
 *
 * VP8 (RFC 6386, sections 12 and 14): intra prediction from the samples above and at the left, and
 * the inverse transforms. Called by image_webp.c.
 */
#include "host/vp8.h"

#include <string.h>

void feri_vp8_spread(const int32_t *in, int32_t *values) {
    int32_t work[16];
    for (int i = 0; i < 4; i++) {
        int32_t a = in[i] + in[12 + i], b = in[4 + i] + in[8 + i];
        int32_t c = in[4 + i] - in[8 + i], d = in[i] - in[12 + i];
        work[i] = a + b;
        work[8 + i] = a - b;
        work[4 + i] = d + c;
        work[12 + i] = d - c;
    }
    for (int i = 0; i < 4; i++) {
        const int32_t *w = work + 4 * i;
        int32_t a = w[0] + 3 + w[3], b = w[1] + w[2], c = w[1] - w[2], d = w[0] + 3 - w[3];
        int32_t *to = values + 64 * i;
        to[0] = (a + b) >> 3;
        to[16] = (d + c) >> 3;
        to[32] = (a - b) >> 3;
        to[48] = (d - c) >> 3;
    }
}

static int32_t times_1(int32_t a) { return (int32_t)(((int64_t)a * 20091) >> 16) + a; }
static int32_t times_2(int32_t a) { return (int32_t)(((int64_t)a * 35468) >> 16); }

/* Four values step apart become four, in out. */
static void transform(const int32_t *in, int step, int32_t more, int32_t *out) {
    int32_t a = in[0] + more + in[2 * step], b = in[0] + more - in[2 * step];
    int32_t c = times_2(in[step]) - times_1(in[3 * step]);
    int32_t d = times_1(in[step]) + times_2(in[3 * step]);
    out[0] = a + d;
    out[1] = b + c;
    out[2] = b - c;
    out[3] = a - d;
}

static void add_residue(uint8_t *at, uint32_t stride, const int32_t *values) {
    int32_t work[16], line[4];
    for (int i = 0; i < 4; i++) {
        transform(values + i, 4, 0, work + 4 * i);
    }
    for (int y = 0; y < 4; y++) {
        transform(work + y, 4, 4, line);
        for (int x = 0; x < 4; x++) {
            at[x] = feri_vp8_byte(at[x] + (line[x] >> 3));
        }
        at += stride;
    }
}

/* ---- whole macroblocks: size 16 or 8 ---- */

static void fill_average(uint8_t *at, uint32_t stride, int size, int has_above, int has_left) {
    uint32_t sum = 0, shift = size == 16 ? 3 : 2;
    for (int i = 0; i < size; i++) {
        sum += has_above ? at[i - (ptrdiff_t)stride] : 0;
        sum += has_left ? at[(ptrdiff_t)i * stride - 1] : 0;
    }
    shift += (uint32_t)(has_above && has_left) + 1;
    uint8_t value = has_above || has_left ? (uint8_t)((sum + (1u << (shift - 1))) >> shift) : 128;
    for (int y = 0; y < size; y++) {
        memset(at + (size_t)y * stride, value, (size_t)size);
    }
}

/* Also for 4x4 blocks: the sample at the left plus how the row above changes. */
static void fill_true_motion(uint8_t *at, uint32_t stride, int size) {
    const uint8_t *above = at - stride;
    int corner = above[-1];
    for (int y = 0; y < size; y++, at += stride) {
        for (int x = 0; x < size; x++) {
            at[x] = feri_vp8_byte(at[-1] + above[x] - corner);
        }
    }
}

static void
predict(uint8_t *at, uint32_t stride, int size, uint32_t mode, int has_above, int has_left) {
    if (mode == FERI_VP8_DC) {
        fill_average(at, stride, size, has_above, has_left);
    } else if (mode == FERI_VP8_TM) {
        fill_true_motion(at, stride, size);
    } else {
        for (int y = 0; y < size; y++) {
            uint8_t *line = at + (size_t)y * stride;
            if (mode == FERI_VP8_VE) {
                memcpy(line, at - stride, (size_t)size);
            } else {
                memset(line, line[-1], (size_t)size);
            }
        }
    }
}

/* ---- 4x4 blocks: e is the edge from the lowest sample at the left (0) over the corner (4) to the
 * eighth above (12) ---- */

static uint8_t two(const uint8_t *e, int i) { return (uint8_t)((e[i] + e[i + 1] + 1) >> 1); }
static uint8_t three(const uint8_t *e, int i) {
    return (uint8_t)((e[i - 1] + 2 * e[i] + e[i + 1] + 2) >> 2);
}

/* Of the three above, one that walks along the edge: where it starts, in which of two ways. */
static uint8_t slanted(const uint8_t *e, uint32_t mode, int x, int y) {
    int i;
    switch (mode) {
    case FERI_VP8_RD:
        return three(e, 4 + x - y);
    case FERI_VP8_LD:
        i = 6 + x + y;
        return i < 12 ? three(e, i) : (uint8_t)((e[11] + 3 * e[12] + 2) >> 2);
    case FERI_VP8_VR:
        i = 2 * x - y;
        return i < -1       ? three(e, 5 - y)
               : i % 2 == 0 ? two(e, 4 + i / 2)
                            : three(e, 4 + (i + 1) / 2);
    case FERI_VP8_HD:
        i = 2 * y - x;
        return i < -1       ? three(e, 3 + x)
               : i % 2 == 0 ? two(e, 3 - i / 2)
                            : three(e, 4 - (i + 1) / 2);
    case FERI_VP8_VL:
        if (y == 3 && x == 3) {
            return three(e, 11);
        }
        if (y == 2 && x == 3) {
            return three(e, 10);
        }
        i = 5 + x + y / 2;
        return y % 2 == 0 ? two(e, i) : three(e, i + 1);
    default: /* HU */
        i = x + 2 * y;
        return i > 5        ? e[0]
               : i == 5     ? (uint8_t)((e[1] + 3 * e[0] + 2) >> 2)
               : i % 2 == 0 ? two(e, 2 - i / 2)
                            : three(e, 2 - i / 2);
    }
}

static void predict_block(uint8_t *at, uint32_t stride, uint32_t mode, const uint8_t *beyond) {
    uint8_t e[13];
    uint32_t sum = 4;
    for (int i = 0; i < 4; i++) {
        e[3 - i] = at[(ptrdiff_t)i * stride - 1];
        e[5 + i] = at[i - (ptrdiff_t)stride];
        e[9 + i] = beyond[i];
        sum += (uint32_t)e[3 - i] + e[5 + i];
    }
    e[4] = at[-(ptrdiff_t)stride - 1];
    if (mode == FERI_VP8_TM) {
        fill_true_motion(at, stride, 4);
        return;
    }
    for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 4; x++) {
            uint8_t value;
            if (mode == FERI_VP8_DC) {
                value = (uint8_t)(sum >> 3);
            } else if (mode == FERI_VP8_VE) {
                value = three(e, 5 + x);
            } else if (mode == FERI_VP8_HE) {
                value = y < 3 ? three(e, 3 - y) : (uint8_t)((e[1] + 3 * e[0] + 2) >> 2);
            } else {
                value = slanted(e, mode, x, y);
            }
            at[(size_t)y * stride + (size_t)x] = value;
        }
    }
}

/* The four samples above and to the right of a macroblock, which all its blocks at the right edge
 * read. */
static void
find_beyond(const feri_vp8 *v, const uint8_t *at, uint32_t column, uint32_t row, uint8_t *out) {
    const uint8_t *above = at - v->planes[0].stride;
    if (row > 0 && column + 1 == v->columns) {
        memset(out, above[15], 4);
    } else {
        memcpy(out, above + 16, 4);
    }
}

void feri_vp8_rebuild(feri_vp8 *v,
                      uint32_t column,
                      uint32_t row,
                      int by_blocks,
                      const uint8_t *modes,
                      uint32_t chroma_mode,
                      const int32_t *values) {
    uint32_t stride = v->planes[0].stride;
    uint8_t *luma = v->planes[0].at + (size_t)row * 16 * stride + (size_t)column * 16, beyond[4];
    find_beyond(v, luma, column, row, beyond);
    if (!by_blocks) {
        predict(luma, stride, 16, modes[0], row > 0, column > 0);
    }
    for (int b = 0; b < 16; b++) {
        uint8_t *at = luma + (size_t)(b / 4) * 4 * stride + (size_t)(b % 4) * 4;
        if (by_blocks) {
            predict_block(at, stride, modes[b], b % 4 == 3 ? beyond : at - stride + 4);
        }
        add_residue(at, stride, values + 16 * b);
    }
    for (int p = 1; p < 3; p++) {
        stride = v->planes[p].stride;
        uint8_t *chroma = v->planes[p].at + (size_t)row * 8 * stride + (size_t)column * 8;
        predict(chroma, stride, 8, chroma_mode, row > 0, column > 0);
        for (int b = 0; b < 4; b++) {
            add_residue(chroma + (size_t)(b / 2) * 4 * stride + (size_t)(b % 2) * 4,
                        stride,
                        values + 16 * (12 + 4 * p + b));
        }
    }
}
