/* SPDX-License-Identifier: Apache-2.0
 *
 * Code blocks of JPEG 2000 (ITU T.800, annexes C and D): the MQ arithmetic decoder and the three
 * passes over each bit plane, in stripes of four rows. Called by image_j2k.c.
 */
#include "base/error.h"
#include "host/image_j2k.h"

#include <string.h>

/* ---- the MQ decoder ---- */

typedef struct mq_state {
    uint16_t chance;
    uint8_t next_more, next_less, flips;
} mq_state;

static const mq_state states[47] = {
    {0x5601, 1,  1,  1},
    {0x3401, 2,  6,  0},
    {0x1801, 3,  9,  0},
    {0x0AC1, 4,  12, 0},
    {0x0521, 5,  29, 0},
    {0x0221, 38, 33, 0},
    {0x5601, 7,  6,  1},
    {0x5401, 8,  14, 0},
    {0x4801, 9,  14, 0},
    {0x3801, 10, 14, 0},
    {0x3001, 11, 17, 0},
    {0x2401, 12, 18, 0},
    {0x1C01, 13, 20, 0},
    {0x1601, 29, 21, 0},
    {0x5601, 15, 14, 1},
    {0x5401, 16, 14, 0},
    {0x5101, 17, 15, 0},
    {0x4801, 18, 16, 0},
    {0x3801, 19, 17, 0},
    {0x3401, 20, 18, 0},
    {0x3001, 21, 19, 0},
    {0x2801, 22, 19, 0},
    {0x2401, 23, 20, 0},
    {0x2201, 24, 21, 0},
    {0x1C01, 25, 22, 0},
    {0x1801, 26, 23, 0},
    {0x1601, 27, 24, 0},
    {0x1401, 28, 25, 0},
    {0x1201, 29, 26, 0},
    {0x1101, 30, 27, 0},
    {0x0AC1, 31, 28, 0},
    {0x09C1, 32, 29, 0},
    {0x08A1, 33, 30, 0},
    {0x0521, 34, 31, 0},
    {0x0441, 35, 32, 0},
    {0x02A1, 36, 33, 0},
    {0x0221, 37, 34, 0},
    {0x0141, 38, 35, 0},
    {0x0111, 39, 36, 0},
    {0x0085, 40, 37, 0},
    {0x0049, 41, 38, 0},
    {0x0025, 42, 39, 0},
    {0x0015, 43, 40, 0},
    {0x0009, 44, 41, 0},
    {0x0005, 45, 42, 0},
    {0x0001, 45, 43, 0},
    {0x5601, 46, 46, 0},
};

enum { SIGN_CONTEXT = 9, REFINE_CONTEXT = 14, RUN_CONTEXT = 17, EVEN_CONTEXT = 18, CONTEXTS = 19 };

typedef struct mq {
    const uint8_t *data;
    uint32_t bytes, at;
    uint32_t code, range, left;
    uint8_t state[CONTEXTS], likely[CONTEXTS];
} mq;

/* The byte at an index; 0xFF beyond the end, as a marker would be. */
static uint32_t byte_at(const mq *m, uint32_t index) {
    return index < m->bytes ? m->data[index] : 0xFF;
}

static void mq_byte(mq *m) {
    if (byte_at(m, m->at) == 0xFF) {
        if (byte_at(m, m->at + 1) > 0x8F) {
            m->code += 0xFF00;
            m->left = 8;
        } else {
            m->at++;
            m->code += byte_at(m, m->at) << 9;
            m->left = 7;
        }
        return;
    }
    m->at++;
    m->code += byte_at(m, m->at) << 8;
    m->left = 8;
}

static void mq_start(mq *m, const uint8_t *data, uint32_t bytes) {
    memset(m, 0, sizeof(*m));
    m->data = data;
    m->bytes = bytes;
    m->state[0] = 4;
    m->state[RUN_CONTEXT] = 3;
    m->state[EVEN_CONTEXT] = 46;
    m->code = byte_at(m, 0) << 16;
    mq_byte(m);
    m->code <<= 7;
    m->left -= 7;
    m->range = 0x8000;
}

static void mq_refill(mq *m) {
    do {
        if (m->left == 0) {
            mq_byte(m);
        }
        m->range <<= 1;
        m->code <<= 1;
        m->left--;
    } while ((m->range & 0x8000) == 0);
}

static uint32_t mq_bit(mq *m, uint32_t context) {
    const mq_state *s = &states[m->state[context]];
    uint32_t bit = m->likely[context];
    m->range -= s->chance;
    int is_low = (m->code >> 16) < s->chance, is_small = m->range < s->chance;
    if (!is_low) {
        m->code -= (uint32_t)s->chance << 16;
        if (m->range & 0x8000) {
            return bit;
        }
    }
    int is_likely = is_low ? is_small : !is_small;
    if (is_low) {
        m->range = s->chance;
    }
    if (!is_likely) {
        bit ^= 1;
        m->likely[context] ^= s->flips;
    }
    m->state[context] = is_likely ? s->next_more : s->next_less;
    mq_refill(m);
    return bit;
}

/* ---- passes ---- */

enum { SIGNIFICANT = 1, NEGATIVE = 2, VISITED = 4, REFINED = 8 };

typedef struct passes {
    mq m;
    uint32_t width, height, step; /* of flags, with a border of one */
    uint32_t kind;
    uint8_t *flags;
    int32_t *out;
    uint32_t stride;
    int32_t plane; /* 1 << bit */
} passes;

static uint8_t *flag_at(const passes *p, uint32_t x, uint32_t y) {
    return p->flags + (size_t)(y + 1) * p->step + x + 1;
}

static uint32_t zero_context(const passes *p, const uint8_t *f) {
    uint32_t s = p->step;
    uint32_t h = (f[-1] & 1u) + (f[1] & 1u), v = (f[-(ptrdiff_t)s] & 1u) + (f[s] & 1u);
    uint32_t d = (f[-(ptrdiff_t)s - 1] & 1u) + (f[1 - (ptrdiff_t)s] & 1u) + (f[s - 1] & 1u) +
                 (f[s + 1] & 1u);
    if (p->kind == 3) {
        uint32_t hv = h + v > 2 ? 2 : h + v;
        return d >= 3 ? 8 : d == 2 ? 6 + (hv > 0) : d == 1 ? 3 + hv : hv;
    }
    if (p->kind == 1) {
        uint32_t held = h;
        h = v;
        v = held;
    }
    if (h == 2) {
        return 8;
    }
    if (h == 1) {
        return v ? 7 : d ? 6 : 5;
    }
    return v ? 2 + v : d > 2 ? 2 : d;
}

/* 1 positive, -1 negative, 0 not significant. */
static int sign_of(uint8_t flag) { return flag & SIGNIFICANT ? (flag & NEGATIVE ? -1 : 1) : 0; }

static void decode_sign(passes *p, uint8_t *f) {
    static const uint8_t contexts[3][3] = {
        {13, 12, 11},
        {10, 9,  10},
        {11, 12, 13}
    };
    ptrdiff_t s = p->step;
    int h = sign_of(f[-1]) + sign_of(f[1]), v = sign_of(f[-s]) + sign_of(f[s]);
    h = h > 0 ? 1 : h < 0 ? -1 : 0;
    v = v > 0 ? 1 : v < 0 ? -1 : 0;
    uint32_t flips = h < 0 || (h == 0 && v < 0);
    if (mq_bit(&p->m, contexts[h + 1][v + 1]) ^ flips) {
        *f |= NEGATIVE;
    }
    *f |= SIGNIFICANT;
}

static int32_t *value_at(const passes *p, uint32_t x, uint32_t y) {
    return p->out + (size_t)y * p->stride + x;
}

static void become(passes *p, uint8_t *f, uint32_t x, uint32_t y) {
    decode_sign(p, f);
    *value_at(p, x, y) = p->plane;
}

static void significance(passes *p, uint32_t x, uint32_t y) {
    uint8_t *f = flag_at(p, x, y);
    uint32_t context = *f & SIGNIFICANT ? 0 : zero_context(p, f);
    if (context) {
        *f |= VISITED;
        if (mq_bit(&p->m, context)) {
            become(p, f, x, y);
        }
    }
}

static void refinement(passes *p, uint32_t x, uint32_t y) {
    uint8_t *f = flag_at(p, x, y);
    if ((*f & (SIGNIFICANT | VISITED)) != SIGNIFICANT) {
        return;
    }
    uint32_t context = *f & REFINED ? 2 : zero_context(p, f) != 0;
    *f |= REFINED;
    if (mq_bit(&p->m, REFINE_CONTEXT + context)) {
        *value_at(p, x, y) |= p->plane;
    }
}

static void cleanup_from(passes *p, uint32_t x, uint32_t y, uint32_t end) {
    for (; y < end; y++) {
        uint8_t *f = flag_at(p, x, y);
        if ((*f & (SIGNIFICANT | VISITED)) == 0 && mq_bit(&p->m, zero_context(p, f))) {
            become(p, f, x, y);
        }
    }
}

/* A column of a stripe; four that nothing is near of are taken together. */
static void cleanup(passes *p, uint32_t x, uint32_t y) {
    uint32_t end = y + 4 < p->height ? y + 4 : p->height;
    int is_quiet = y + 4 <= p->height;
    for (uint32_t i = y; is_quiet && i < end; i++) {
        uint8_t *f = flag_at(p, x, i);
        is_quiet = (*f & (SIGNIFICANT | VISITED)) == 0 && zero_context(p, f) == 0;
    }
    if (is_quiet) {
        if (!mq_bit(&p->m, RUN_CONTEXT)) {
            return;
        }
        y += mq_bit(&p->m, EVEN_CONTEXT) << 1;
        y += mq_bit(&p->m, EVEN_CONTEXT);
        become(p, flag_at(p, x, y), x, y);
        y++;
    }
    cleanup_from(p, x, y, end);
}

static void run_pass(passes *p, uint32_t kind) {
    for (uint32_t y = 0; y < p->height; y += 4) {
        uint32_t end = y + 4 < p->height ? y + 4 : p->height;
        for (uint32_t x = 0; x < p->width; x++) {
            if (kind == 2) {
                cleanup(p, x, y);
                continue;
            }
            for (uint32_t i = y; i < end; i++) {
                if (kind == 0) {
                    significance(p, x, i);
                } else {
                    refinement(p, x, i);
                }
            }
        }
    }
}

static void forget_visits(passes *p) {
    for (size_t i = 0; i < (size_t)p->step * (p->height + 2); i++) {
        p->flags[i] &= (uint8_t)~VISITED;
    }
}

fer_status feri_j2k_decode_block(feri_j2k *j,
                                 const feri_j2k_band *band,
                                 const feri_j2k_block *block,
                                 int32_t *out,
                                 uint32_t stride) {
    passes p = {.width = feri_j2k_width(&block->at), .height = feri_j2k_height(&block->at)};
    p.step = p.width + 2;
    p.kind = band->kind;
    p.out = out;
    p.stride = stride;
    if (block->passes == 0 || block->zero_planes >= band->planes) {
        return block->passes ? feri_image_broken(j->image, "a JPEG 2000 block without planes")
                             : FER_OK;
    }
    uint32_t planes = band->planes - block->zero_planes;
    if (block->passes > 3 * planes - 2) {
        return feri_image_broken(j->image, "a JPEG 2000 block with too many passes");
    }
    uint64_t flag_bytes = (uint64_t)p.step * (p.height + 2);
    p.flags = feri_alloc(j->image->call->env, flag_bytes);
    if (!p.flags) {
        return feri_error_status();
    }
    mq_start(&p.m, block->data, block->bytes);
    for (uint32_t i = 0; i < block->passes; i++) {
        uint32_t kind = (i + 2) % 3;
        p.plane = (int32_t)(1u << (planes - 1 - (i + 2) / 3));
        run_pass(&p, kind);
        if (kind == 2) {
            forget_visits(&p);
            for (int s = 0; j->has_symbols && s < 4; s++) {
                (void)mq_bit(&p.m, EVEN_CONTEXT);
            }
        }
    }
    for (uint32_t i = 0; i < p.width * p.height; i++) {
        uint32_t x = i % p.width, y = i / p.width;
        int32_t *value = value_at(&p, x, y);
        *value = *flag_at(&p, x, y) & NEGATIVE ? -*value : *value;
    }
    feri_free(j->image->call->env, p.flags, flag_bytes);
    return feri_host_check(j->image->call);
}
