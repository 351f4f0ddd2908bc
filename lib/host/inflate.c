/* SPDX-License-Identifier: Apache-2.0
 *
 * Inflate (RFC 1951) in a zlib wrapper (RFC 1950), into memory of known size, with canonical codes
 * decoded by counting (as in Mark Adler's puff). Nothing is read or written outside; the checksum
 * is checked.
 */
#include "host/image.h"

#include <string.h>

enum { MOST_BITS = 15, MOST_SYMBOLS = 288 };

typedef struct inflating {
    const uint8_t *in;
    uint64_t in_bytes, at;
    uint32_t held, held_bits;
    uint8_t *out;
    uint64_t out_bytes, done;
    int is_broken;
} inflating;

typedef struct code {
    uint16_t count[MOST_BITS + 1];
    uint16_t symbol[MOST_SYMBOLS];
} code;

static uint32_t take_bits(inflating *z, uint32_t count) {
    while (z->held_bits < count) {
        if (z->at >= z->in_bytes) {
            z->is_broken = 1;
            return 0;
        }
        z->held |= (uint32_t)z->in[z->at++] << z->held_bits;
        z->held_bits += 8;
    }
    uint32_t bits = z->held & ((1u << count) - 1);
    z->held >>= count;
    z->held_bits -= count;
    return bits;
}

/* 0 when the lengths are over-subscribed. */
static int make_code(code *c, const uint8_t *lengths, uint32_t count) {
    uint16_t first[MOST_BITS + 1] = {0};
    int left = 1;
    memset(c, 0, sizeof(*c));
    for (uint32_t i = 0; i < count; i++) {
        c->count[lengths[i]]++;
    }
    c->count[0] = 0;
    for (int l = 1; l <= MOST_BITS; l++) {
        left = left * 2 - c->count[l];
        if (left < 0) {
            return 0;
        }
        if (l < MOST_BITS) {
            first[l + 1] = (uint16_t)(first[l] + c->count[l]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (lengths[i]) {
            c->symbol[first[lengths[i]]++] = (uint16_t)i;
        }
    }
    return 1;
}

static uint32_t take_symbol(inflating *z, const code *c) {
    int32_t value = 0, first = 0, index = 0;
    for (int l = 1; l <= MOST_BITS && !z->is_broken; l++) {
        value |= (int32_t)take_bits(z, 1);
        int32_t count = c->count[l];
        if (value - count < first) {
            return c->symbol[index + (value - first)];
        }
        index += count;
        first = (first + count) * 2;
        value *= 2;
    }
    z->is_broken = 1;
    return 0;
}

static void stored_block(inflating *z) {
    z->held = z->held_bits = 0;
    if (z->in_bytes - z->at < 4) {
        z->is_broken = 1;
        return;
    }
    uint64_t length = feri_little16(z->in + z->at);
    z->at += 4;
    if (length > z->in_bytes - z->at || length > z->out_bytes - z->done) {
        z->is_broken = 1;
        return;
    }
    if (length) {
        memcpy(z->out + z->done, z->in + z->at, length);
    }
    z->at += length;
    z->done += length;
}

static void copy_back(inflating *z, uint64_t length, uint64_t distance) {
    if (distance > z->done || length > z->out_bytes - z->done) {
        z->is_broken = 1;
        return;
    }
    for (; length > 0; length--, z->done++) {
        z->out[z->done] = z->out[z->done - distance];
    }
}

static void coded_block(inflating *z, const code *literals, const code *distances) {
    static const uint16_t length_base[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                             15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                             67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                            2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    while (!z->is_broken) {
        uint32_t symbol = take_symbol(z, literals);
        if (symbol == 256) {
            return;
        }
        if (symbol < 256) {
            if (z->done >= z->out_bytes) {
                z->is_broken = 1;
            } else if (!z->is_broken) {
                z->out[z->done++] = (uint8_t)symbol;
            }
            continue;
        }
        if (symbol > 285) {
            z->is_broken = 1;
            return;
        }
        uint32_t length = length_base[symbol - 257] + take_bits(z, length_bits[symbol - 257]);
        uint32_t d = take_symbol(z, distances);
        if (d > 29 || z->is_broken) {
            z->is_broken = 1;
            return;
        }
        uint32_t extra = d < 4 ? 0 : d / 2 - 1;
        uint32_t base = d < 4 ? d + 1 : ((2 + (d & 1)) << extra) + 1;
        copy_back(z, length, base + take_bits(z, extra));
    }
}

static void fixed_block(inflating *z) {
    uint8_t lengths[MOST_SYMBOLS];
    code literals, distances;
    for (int i = 0; i < MOST_SYMBOLS; i++) {
        lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    }
    (void)make_code(&literals, lengths, MOST_SYMBOLS);
    memset(lengths, 5, 30);
    (void)make_code(&distances, lengths, 30);
    coded_block(z, &literals, &distances);
}

static void dynamic_block(inflating *z) {
    static const uint8_t order[19] = {
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[320] = {0};
    code literals, distances;
    uint32_t literal_count = take_bits(z, 5) + 257, distance_count = take_bits(z, 5) + 1;
    uint32_t code_count = take_bits(z, 4) + 4, all = literal_count + distance_count;
    for (uint32_t i = 0; i < code_count; i++) {
        lengths[order[i]] = (uint8_t)take_bits(z, 3);
    }
    if (literal_count > 286 || !make_code(&literals, lengths, 19)) {
        z->is_broken = 1;
    }
    memset(lengths, 0, sizeof(lengths));
    for (uint32_t i = 0; i < all && !z->is_broken;) {
        uint32_t symbol = take_symbol(z, &literals);
        if (symbol < 16) {
            lengths[i++] = (uint8_t)symbol;
            continue;
        }
        uint8_t value = symbol == 16 && i > 0 ? lengths[i - 1] : 0;
        uint32_t times = symbol == 16   ? 3 + take_bits(z, 2)
                         : symbol == 17 ? 3 + take_bits(z, 3)
                                        : 11 + take_bits(z, 7);
        if ((symbol == 16 && i == 0) || times > all - i) {
            z->is_broken = 1;
            return;
        }
        memset(lengths + i, value, times);
        i += times;
    }
    if (z->is_broken || lengths[256] == 0 || !make_code(&literals, lengths, literal_count) ||
        !make_code(&distances, lengths + literal_count, distance_count)) {
        z->is_broken = 1;
        return;
    }
    coded_block(z, &literals, &distances);
}

static uint32_t adler(const uint8_t *data, uint64_t bytes) {
    uint32_t a = 1, b = 0;
    for (uint64_t i = 0; i < bytes; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

int feri_inflate(const uint8_t *in, uint64_t in_bytes, uint8_t *out, uint64_t out_bytes) {
    inflating z = {.in = in, .in_bytes = in_bytes, .at = 2, .out = out, .out_bytes = out_bytes};
    if (in_bytes < 6 || (in[0] & 15) != 8 || feri_big16(in) % 31 != 0 || (in[1] & 32) != 0) {
        return 0;
    }
    for (uint32_t is_last = 0; !is_last && !z.is_broken;) {
        is_last = take_bits(&z, 1);
        switch (take_bits(&z, 2)) {
        case 0:
            stored_block(&z);
            break;
        case 1:
            fixed_block(&z);
            break;
        case 2:
            dynamic_block(&z);
            break;
        default:
            z.is_broken = 1;
        }
    }
    return !z.is_broken && z.done == out_bytes && in_bytes - z.at >= 4 &&
           feri_big32(in + z.at) == adler(out, out_bytes);
}
