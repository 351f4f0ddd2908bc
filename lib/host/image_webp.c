/* SPDX-License-Identifier: Apache-2.0
 *
 * WebP, the lossy kind: the RIFF container and a VP8 key frame's headers, modes and coefficients
 * (RFC 6386). Alpha is dropped; lossless and animated files are UNSUPPORTED. Reading beyond a
 * partition gives zeros, as the format wants.
 */
#include "base/error.h"
#include "host/vp8.h"

#include <string.h>

enum { SEGMENTS = 4, MOST_PARTITIONS = 8 };

/* The arithmetic decoder (section 7). */
typedef struct bools {
    const uint8_t *at, *end;
    uint32_t value, range;
    int bits; /* shifts until the next byte */
} bools;

/* Steps of luma, second-order luma and chroma: [0] DC, [1] the others. */
typedef struct steps {
    int32_t y[2], y2[2], uv[2];
} steps;

/* Which blocks beside had coefficients: 4 Y, 2 U, 2 V, Y2. */
typedef struct beside {
    uint8_t has[9];
    uint8_t modes[4];
} beside;

typedef struct frame {
    feri_vp8 v;
    bools header, parts[MOST_PARTITIONS];
    uint32_t part_count;
    uint8_t has_segments, updates_map, is_absolute, has_skips, skip_chance, sharpness, has_deltas;
    uint8_t tree[3];
    int32_t quantizer[SEGMENTS], strength[SEGMENTS], level, reference_delta, mode_delta;
    steps steps[SEGMENTS];
    uint8_t chances[4][8][3][11];
    beside *above; /* per column */
    beside left;
    int32_t values[25 * 16]; /* Y, U, V and the second-order block */
} frame;

static void start(bools *b, const uint8_t *at, uint64_t bytes) {
    *b = (bools){.at = at, .end = at + bytes, .range = 255, .bits = 8};
    for (int i = 0; i < 2; i++) {
        b->value = b->value << 8 | (b->at < b->end ? *b->at++ : 0);
    }
}

static uint32_t take(bools *b, uint32_t chance) {
    uint32_t split = 1 + (((b->range - 1) * chance) >> 8), bit = b->value >= split << 8;
    if (bit) {
        b->range -= split;
        b->value -= split << 8;
    } else {
        b->range = split;
    }
    while (b->range < 128) {
        b->range <<= 1;
        b->value <<= 1;
        if (--b->bits == 0) {
            b->value |= b->at < b->end ? *b->at++ : 0;
            b->bits = 8;
        }
    }
    return bit;
}

static uint32_t take_number(bools *b, int bits) {
    uint32_t value = 0;
    while (bits-- > 0) {
        value = value * 2 + take(b, 128);
    }
    return value;
}

/* A number with a sign; where there is a flag before it, only if it is set. */
static int32_t take_signed(bools *b, int bits, int has_flag) {
    if (has_flag && !take(b, 128)) {
        return 0;
    }
    int32_t value = (int32_t)take_number(b, bits);
    return take(b, 128) ? -value : value;
}

/* ---- the frame's header ---- */

static void read_segments(frame *f) {
    bools *b = &f->header;
    f->has_segments = (uint8_t)take(b, 128);
    memset(f->tree, 255, sizeof(f->tree));
    if (!f->has_segments) {
        return;
    }
    f->updates_map = (uint8_t)take(b, 128);
    if (take(b, 128)) {
        f->is_absolute = (uint8_t)take(b, 128);
        for (int i = 0; i < SEGMENTS; i++) {
            f->quantizer[i] = take_signed(b, 7, /*has_flag=*/1);
        }
        for (int i = 0; i < SEGMENTS; i++) {
            f->strength[i] = take_signed(b, 6, /*has_flag=*/1);
        }
    }
    for (int i = 0; f->updates_map && i < 3; i++) {
        f->tree[i] = (uint8_t)(take(b, 128) ? take_number(b, 8) : 255);
    }
}

static void read_filter(frame *f) {
    bools *b = &f->header;
    f->v.is_simple = (uint8_t)take(b, 128);
    f->level = (int32_t)take_number(b, 6);
    f->sharpness = (uint8_t)take_number(b, 3);
    f->has_deltas = (uint8_t)take(b, 128);
    if (!f->has_deltas || !take(b, 128)) {
        return;
    }
    for (int i = 0; i < 8; i++) { /* only those of intra frames and of 4x4 modes matter */
        int32_t delta = take_signed(b, 6, /*has_flag=*/1);
        f->reference_delta = i == 0 ? delta : f->reference_delta;
        f->mode_delta = i == 4 ? delta : f->mode_delta;
    }
}

static int32_t step_index(int32_t value) { return value < 0 ? 0 : value > 127 ? 127 : value; }

static void read_steps(frame *f) {
    bools *b = &f->header;
    int32_t base = (int32_t)take_number(b, 7), delta[5];
    for (int i = 0; i < 5; i++) {
        delta[i] = take_signed(b, 4, /*has_flag=*/1);
    }
    for (int i = 0; i < SEGMENTS; i++) {
        int32_t q = !f->has_segments ? base : f->quantizer[i] + (f->is_absolute ? 0 : base);
        steps *s = &f->steps[i];
        s->y[0] = feri_vp8_dc_steps[step_index(q + delta[0])];
        s->y[1] = feri_vp8_ac_steps[step_index(q)];
        s->y2[0] = 2 * feri_vp8_dc_steps[step_index(q + delta[1])];
        s->y2[1] = feri_vp8_ac_steps[step_index(q + delta[2])] * 155 / 100;
        s->y2[1] = s->y2[1] < 8 ? 8 : s->y2[1];
        s->uv[0] = feri_vp8_dc_steps[step_index(q + delta[3])];
        s->uv[0] = s->uv[0] > 132 ? 132 : s->uv[0];
        s->uv[1] = feri_vp8_ac_steps[step_index(q + delta[4])];
    }
}

static void read_chances(frame *f) {
    bools *b = &f->header;
    uint8_t *flat = &f->chances[0][0][0][0];
    const uint16_t(*update)[2] = feri_vp8_updates;
    memcpy(f->chances, feri_vp8_chances, sizeof(f->chances));
    for (uint32_t i = 0; i < sizeof(f->chances); i++) {
        uint32_t chance = 255;
        if ((*update)[0] == i && (*update)[1]) {
            chance = (*update)[1];
            update++;
        }
        if (take(b, chance)) {
            flat[i] = (uint8_t)take_number(b, 8);
        }
    }
}

/* Partitions of coefficients behind the first one, whose sizes stand before them. */
static fer_status find_parts(frame *f, const uint8_t *at, uint64_t bytes) {
    uint64_t sizes = 3 * (uint64_t)(f->part_count - 1);
    if (sizes > bytes) {
        return feri_image_broken(f->v.image, "a WebP's partitions");
    }
    const uint8_t *size = at;
    at += sizes;
    bytes -= sizes;
    for (uint32_t i = 0; i < f->part_count; i++, size += 3) {
        uint64_t own =
            i + 1 < f->part_count ? feri_little16(size) | (uint64_t)size[2] << 16 : bytes;
        own = own > bytes ? bytes : own;
        start(&f->parts[i], at, own);
        at += own;
        bytes -= own;
    }
    return FER_OK;
}

static fer_status read_header(frame *f, const uint8_t *data, uint64_t bytes) {
    if (bytes < 10 || (data[0] & 1) || feri_little16(data + 3) != 0x019D || data[5] != 0x2A) {
        return feri_image_broken(f->v.image, "a WebP's frame");
    }
    uint64_t first = (data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16) >> 5;
    if (first > bytes - 10) {
        return feri_image_broken(f->v.image, "a WebP's first partition ends early");
    }
    FER_TRY(feri_image_start(
        f->v.image, feri_little16(data + 6) & 0x3FFF, feri_little16(data + 8) & 0x3FFF));
    start(&f->header, data + 10, first);
    (void)take_number(&f->header, 2); /* color space, whether clamping is needed */
    read_segments(f);
    read_filter(f);
    f->part_count = 1u << take_number(&f->header, 2);
    read_steps(f);
    (void)take(&f->header, 128); /* whether chances outlive the frame */
    read_chances(f);
    f->has_skips = (uint8_t)take(&f->header, 128);
    f->skip_chance = (uint8_t)(f->has_skips ? take_number(&f->header, 8) : 0);
    return find_parts(f, data + 10 + first, bytes - 10 - first);
}

/* ---- macroblocks ---- */

static uint32_t take_block_mode(bools *b, uint32_t above, uint32_t left) {
    static const int8_t tree[18] = {-FERI_VP8_DC,
                                    2,
                                    -FERI_VP8_TM,
                                    4,
                                    -FERI_VP8_VE,
                                    6,
                                    8,
                                    12,
                                    -FERI_VP8_HE,
                                    10,
                                    -FERI_VP8_RD,
                                    -FERI_VP8_VR,
                                    -FERI_VP8_LD,
                                    14,
                                    -FERI_VP8_VL,
                                    16,
                                    -FERI_VP8_HD,
                                    -FERI_VP8_HU};
    const uint8_t *chances = feri_vp8_mode_chances[above][left];
    int at = 0;
    do {
        at = tree[at + (int)take(b, chances[at / 2])];
    } while (at > 0);
    return (uint32_t)-at;
}

/* modes of the 16 blocks (or the one of all); 1 when they are the blocks' own. */
static int take_modes(frame *f, beside *above, uint8_t *modes, uint32_t *out_chroma) {
    bools *b = &f->header;
    int by_blocks = !take(b, 145);
    uint32_t whole = FERI_VP8_DC;
    if (!by_blocks) {
        whole = take(b, 156) ? (take(b, 128) ? FERI_VP8_TM : FERI_VP8_HE)
                             : (take(b, 163) ? FERI_VP8_VE : FERI_VP8_DC);
    }
    for (int i = 0; i < 16; i++) {
        uint8_t *up = &above->modes[i % 4], *left = &f->left.modes[i / 4];
        modes[i] = (uint8_t)(by_blocks ? take_block_mode(b, *up, *left) : whole);
        *up = *left = modes[i];
    }
    *out_chroma = !take(b, 142)   ? FERI_VP8_DC
                  : !take(b, 114) ? FERI_VP8_VE
                  : take(b, 183)  ? FERI_VP8_TM
                                  : FERI_VP8_HE;
    return by_blocks;
}

/* A value above 1, whose first two decisions are taken. */
static int32_t take_large(bools *b, const uint8_t *p) {
    static const uint8_t more[] = {173, 148, 140, 0,   176, 155, 140, 135, 0,
                                   180, 157, 141, 134, 130, 0,   254, 254, 243,
                                   230, 196, 177, 153, 140, 133, 130, 129, 0};
    static const uint8_t starts[4] = {0, 4, 9, 15};
    if (!take(b, p[3])) {
        return !take(b, p[4]) ? 2 : 3 + (int32_t)take(b, p[5]);
    }
    if (!take(b, p[6])) {
        if (!take(b, p[7])) {
            return 5 + (int32_t)take(b, 159);
        }
        int32_t high = (int32_t)take(b, 165);
        return 7 + 2 * high + (int32_t)take(b, 145);
    }
    uint32_t kind = take(b, p[8]) * 2;
    kind += take(b, p[9 + kind / 2]);
    int32_t value = 0;
    for (const uint8_t *m = more + starts[kind]; *m; m++) {
        value = 2 * value + (int32_t)take(b, *m);
    }
    return value + 3 + (8 << kind);
}

/* Coefficients of a block from number first on; whether there are any. */
static int take_values(
    frame *f, bools *b, int type, uint32_t context, int first, const int32_t *step, int32_t *out) {
    static const uint8_t bands[16] = {0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7};
    static const uint8_t zigzag[16] = {0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15};
    int n = first;
    while (n < 16) {
        const uint8_t *p = f->chances[type][bands[n]][context];
        if (!take(b, p[0])) {
            return n > first;
        }
        while (!take(b, p[1])) {
            if (++n == 16) {
                return 1;
            }
            p = f->chances[type][bands[n]][0];
        }
        int32_t value = take(b, p[2]) ? take_large(b, p) : 1;
        context = value > 1 ? 2 : 1;
        out[zigzag[n]] = (take(b, 128) ? -value : value) * step[n > 0];
        n++;
    }
    return 1;
}

/* One block with what lies beside it; 1 when a value of it is not 0. */
static int take_block(frame *f,
                      bools *b,
                      int type,
                      int first,
                      const int32_t *step,
                      uint8_t *up,
                      uint8_t *left,
                      int32_t *out) {
    int any = take_values(f, b, type, (uint32_t)(*up + *left), first, step, out);
    *up = *left = (uint8_t)any;
    return any;
}

/* All coefficients of a macroblock; 1 when there are any. */
static int take_residue(frame *f, bools *b, beside *above, int by_blocks, const steps *s) {
    int any = 0, type = 3, first = 0;
    if (!by_blocks) {
        int32_t *second = f->values + 24 * 16;
        (void)take_block(f, b, 1, 0, s->y2, &above->has[8], &f->left.has[8], second);
        feri_vp8_spread(second, f->values);
        type = 0;
        first = 1;
    }
    for (int i = 0; i < 16; i++) {
        any |= take_block(
            f, b, type, first, s->y, &above->has[i % 4], &f->left.has[i / 4], f->values + 16 * i);
        any |= f->values[16 * i] != 0;
    }
    for (int i = 0; i < 8; i++) {
        int plane = 4 + i / 4 * 2;
        any |= take_block(f,
                          b,
                          2,
                          0,
                          s->uv,
                          &above->has[plane + i % 2],
                          &f->left.has[plane + i / 2 % 2],
                          f->values + 16 * (16 + i));
    }
    return any;
}

static void
set_filter(const frame *f, uint32_t segment, int by_blocks, int any, feri_vp8_filter *out) {
    int32_t level =
        !f->has_segments ? f->level : f->strength[segment] + (f->is_absolute ? 0 : f->level);
    if (f->has_deltas) {
        level += f->reference_delta + (by_blocks ? f->mode_delta : 0);
    }
    level = level < 0 ? 0 : level > 63 ? 63 : level;
    int32_t inner = level >> (f->sharpness > 4 ? 2 : f->sharpness > 0);
    if (f->sharpness && inner > 9 - f->sharpness) {
        inner = 9 - f->sharpness;
    }
    inner = inner < 1 ? 1 : inner;
    *out = (feri_vp8_filter){
        (uint8_t)level, (uint8_t)inner, (uint8_t)(2 * level + inner), (uint8_t)(by_blocks || any)};
}

static void decode_macroblock(frame *f, uint32_t column, uint32_t row) {
    bools *b = &f->header;
    beside *above = &f->above[column];
    uint8_t modes[16];
    uint32_t segment = 0, chroma = 0;
    if (f->updates_map) {
        segment = take(b, f->tree[0]) ? 2 + take(b, f->tree[2]) : take(b, f->tree[1]);
    }
    int skips = f->has_skips && take(b, f->skip_chance), any = 0;
    int by_blocks = take_modes(f, above, modes, &chroma);
    memset(f->values, 0, sizeof(f->values));
    if (!skips) {
        bools *part = &f->parts[row & (f->part_count - 1)];
        any = take_residue(f, part, above, by_blocks, &f->steps[segment]);
    } else {
        memset(above->has, 0, by_blocks ? 8 : 9);
        memset(f->left.has, 0, by_blocks ? 8 : 9);
    }
    set_filter(f, segment, by_blocks, any, &f->v.filters[row * f->v.columns + column]);
    feri_vp8_rebuild(&f->v, column, row, by_blocks, modes, chroma, f->values);
}

/* ---- memory ---- */

/* Above the frame there are 127, at its left 129. */
static fer_status make_planes(frame *f) {
    feri_vp8 *v = &f->v;
    v->columns = (v->image->width + 15) / 16;
    v->rows = (v->image->height + 15) / 16;
    for (int p = 0; p < 3; p++) {
        feri_vp8_plane *plane = &v->planes[p];
        uint32_t size = p ? 8 : 16;
        plane->stride = v->columns * size + 32;
        plane->bytes = (uint64_t)plane->stride * (v->rows * size + 1);
        plane->memory = feri_alloc(v->image->call->env, plane->bytes);
        if (!plane->memory) {
            return feri_error_status();
        }
        plane->at = plane->memory + plane->stride + 16;
        memset(plane->memory, 127, plane->stride);
        for (uint32_t y = 0; y < v->rows * size; y++) {
            plane->at[(ptrdiff_t)y * plane->stride - 1] = 129;
        }
    }
    v->filters = feri_alloc(v->image->call->env,
                            feri_mul_sat((uint64_t)v->columns * v->rows, sizeof(*v->filters)));
    f->above = feri_alloc(v->image->call->env, feri_mul_sat(v->columns, sizeof(*f->above)));
    return v->filters && f->above ? FER_OK : feri_error_status();
}

static void drop_planes(frame *f) {
    feri_env *env = f->v.image->call->env;
    for (int p = 0; p < 3; p++) {
        feri_free(env, f->v.planes[p].memory, f->v.planes[p].bytes);
    }
    feri_free(
        env, f->v.filters, feri_mul_sat((uint64_t)f->v.columns * f->v.rows, sizeof(*f->v.filters)));
    feri_free(env, f->above, feri_mul_sat(f->v.columns, sizeof(*f->above)));
}

static fer_status decode_frame(frame *f, const uint8_t *data, uint64_t bytes) {
    FER_TRY(read_header(f, data, bytes));
    FER_TRY(make_planes(f));
    for (uint32_t row = 0; row < f->v.rows; row++) {
        memset(&f->left, 0, sizeof(f->left));
        for (uint32_t column = 0; column < f->v.columns; column++) {
            decode_macroblock(f, column, row);
        }
        FER_TRY(feri_host_check(f->v.image->call));
    }
    feri_vp8_smooth(&f->v);
    feri_vp8_paint(&f->v);
    return FER_OK;
}

fer_status feri_image_webp(feri_image *image) {
    uint64_t at = 12;
    while (image->bytes - at >= 8 && at <= image->bytes) {
        const uint8_t *chunk = image->data + at;
        uint64_t length = feri_little32(chunk + 4);
        if (length > image->bytes - at - 8) {
            return feri_image_broken(image, "a WebP's chunk ends early");
        }
        if (memcmp(chunk, "VP8L", 4) == 0 || memcmp(chunk, "ANIM", 4) == 0) {
            return feri_image_lacks(image, "lossless or animated WebP");
        }
        if (memcmp(chunk, "VP8 ", 4) == 0) {
            frame *f = feri_alloc(image->call->env, sizeof(*f));
            if (!f) {
                return feri_error_status();
            }
            f->v.image = image;
            fer_status status = decode_frame(f, chunk + 8, length);
            drop_planes(f);
            feri_free(image->call->env, f, sizeof(*f));
            return status;
        }
        at += 8 + length + (length & 1);
        if (at > image->bytes) {
            break;
        }
    }
    return feri_image_broken(image, "a WebP without a picture");
}
