/* SPDX-License-Identifier: Apache-2.0
 *
 * JPEG 2000 (ITU T.800), the reversible kind: the box around the codestream, its markers, packet
 * headers with their tag trees, and where every code block lies. One tile, 8 bits, components that
 * are not subsampled, one precinct a resolution; the irreversible transform, regions of interest
 * and the rarer coding styles are UNSUPPORTED.
 */
#include "host/image_j2k.h"

#include "base/error.h"

#include <string.h>

static uint32_t up(uint64_t value, uint32_t shift) {
    return (uint32_t)((value + ((UINT64_C(1) << shift) - 1)) >> shift);
}

/* ---- tag trees ---- */

static fer_status make_tree(feri_j2k *j, uint32_t width, uint32_t height, feri_j2k_tree *out) {
    uint64_t count = 0;
    uint32_t w = width, h = height;
    while (w > 0 && h > 0) {
        count += (uint64_t)w * h;
        if (w == 1 && h == 1) {
            break;
        }
        w = (w + 1) / 2;
        h = (h + 1) / 2;
    }
    out->width = width;
    out->height = height;
    out->nodes = feri_bump_array(&j->bump, count + 1, sizeof(*out->nodes));
    if (!out->nodes || count >= UINT32_MAX) {
        return out->nodes ? feri_image_broken(j->image, "too many code blocks")
                          : feri_error_status();
    }
    uint32_t level = 0;
    for (w = width, h = height; w > 0 && h > 0;) {
        uint32_t next = level + w * h, wide = (w + 1) / 2;
        for (uint32_t i = 0; i < w * h; i++) {
            int is_root = w == 1 && h == 1;
            out->nodes[level + i].parent =
                is_root ? UINT32_MAX : next + i / w / 2 * wide + i % w / 2;
        }
        if (w == 1 && h == 1) {
            break;
        }
        level = next;
        w = wide;
        h = (h + 1) / 2;
    }
    return FER_OK;
}

/* ---- bits of packet headers: after 0xFF a byte holds seven ---- */

typedef struct bits {
    const uint8_t *data;
    uint32_t bytes, at, held, left;
    uint8_t is_short;
} bits;

static uint32_t take(bits *b) {
    if (b->left == 0) {
        if (b->at >= b->bytes) {
            b->is_short = 1;
            return 0;
        }
        b->left = b->held == 0xFF ? 7 : 8;
        b->held = b->data[b->at++];
    }
    b->left--;
    return b->held >> b->left & 1;
}

static uint32_t take_many(bits *b, uint32_t count) {
    uint32_t value = 0;
    while (count-- > 0) {
        value = value * 2 + take(b);
    }
    return value;
}

/* Whole bytes follow; a last 0xFF is followed by one more. */
static void align(bits *b) {
    if (b->held == 0xFF && b->at > 0) {
        b->at++;
    }
    b->left = b->held = 0;
}

/* Reads on until the leaf's value is known, or known to be at least limit; 1 when it is below. */
static int tree_below(feri_j2k_tree *t, bits *b, uint32_t leaf, uint32_t limit) {
    uint32_t path[40], depth = 0, least = 0;
    for (uint32_t n = leaf; n != UINT32_MAX && depth < 40; n = t->nodes[n].parent) {
        path[depth++] = n;
    }
    while (depth-- > 0) {
        struct feri_j2k_node *n = &t->nodes[path[depth]];
        n->value = n->value < least ? least : n->value;
        while (!n->is_known && n->value < limit && !b->is_short) {
            if (take(b)) {
                n->is_known = 1;
            } else {
                n->value++;
            }
        }
        least = n->value;
    }
    return t->nodes[leaf].is_known && t->nodes[leaf].value < limit;
}

/* ---- packets ---- */

static uint32_t take_passes(bits *b) {
    if (!take(b)) {
        return 1;
    }
    if (!take(b)) {
        return 2;
    }
    uint32_t more = take_many(b, 2);
    if (more < 3) {
        return 3 + more;
    }
    more = take_many(b, 5);
    return more < 31 ? 6 + more : 37 + take_many(b, 7);
}

static uint32_t log_of(uint32_t value) {
    uint32_t log = 0;
    while (value > 1) {
        value >>= 1;
        log++;
    }
    return log;
}

/* What a packet's header says of one block; *out_bytes is 0 when it is left out. */
static void
read_block(feri_j2k_band *band, bits *b, uint32_t i, uint32_t layer, uint32_t *out_bytes) {
    feri_j2k_block *block = &band->blocks[i];
    *out_bytes = 0;
    if (block->is_included ? !take(b) : !tree_below(&band->inclusion, b, i, layer + 1)) {
        return;
    }
    if (!block->is_included) {
        uint32_t zeros = 1;
        while (!tree_below(&band->zeros, b, i, zeros) && zeros < 64 && !b->is_short) {
            zeros++;
        }
        block->zero_planes = zeros - 1;
        block->length_bits = 3;
        block->is_included = 1;
    }
    uint32_t passes = take_passes(b);
    while (take(b) && block->length_bits < 28) {
        block->length_bits++;
    }
    uint32_t wide = block->length_bits + log_of(passes);
    block->passes += passes;
    *out_bytes = wide <= 31 ? take_many(b, wide) : UINT32_MAX;
}

static fer_status
add_bytes(feri_j2k *j, feri_j2k_block *block, const uint8_t *data, uint32_t bytes) {
    FER_TRY(feri_bump_grow(&j->bump, &block->data, &block->capacity, block->bytes + bytes, 1));
    memcpy(block->data + block->bytes, data, bytes);
    block->bytes += bytes;
    return FER_OK;
}

static fer_status
read_packet(feri_j2k *j, uint32_t *at, feri_j2k_resolution *r, uint32_t layer, uint32_t *lengths) {
    const uint8_t *data = j->packets;
    if (j->has_marks && j->packet_bytes - *at >= 6 && feri_big16(data + *at) == 0xFF91) {
        *at += 6;
    }
    bits b = {.data = data, .bytes = j->packet_bytes, .at = *at};
    uint32_t n = 0;
    if (take(&b)) {
        for (uint32_t k = 0; k < r->band_count; k++) {
            feri_j2k_band *band = &r->bands[k];
            for (uint32_t i = 0; i < band->columns * band->rows; i++) {
                read_block(band, &b, i, layer, &lengths[n++]);
            }
        }
    }
    align(&b);
    if (j->has_ends && j->packet_bytes - b.at >= 2 && feri_big16(data + b.at) == 0xFF92) {
        b.at += 2;
    }
    uint32_t m = 0;
    for (uint32_t k = 0; n > 0 && k < r->band_count; k++) {
        for (uint32_t i = 0; i < r->bands[k].columns * r->bands[k].rows; i++, m++) {
            if (b.at > j->packet_bytes || lengths[m] > j->packet_bytes - b.at) {
                return feri_image_broken(j->image, "a JPEG 2000 packet ends early");
            }
            if (lengths[m]) {
                FER_TRY(add_bytes(j, &r->bands[k].blocks[i], data + b.at, lengths[m]));
            }
            b.at += lengths[m];
        }
    }
    *at = b.at;
    return b.is_short ? feri_image_broken(j->image, "a JPEG 2000 packet ends early") : FER_OK;
}

/* Every order is a nest of loops over layers, resolutions and components, as there is one precinct
 * a resolution. */
static fer_status read_packets(feri_j2k *j) {
    static const char nests[5][4] = {"lrc", "rlc", "rcl", "crl", "crl"};
    uint32_t most = 1, at = 0;
    const char *nest = nests[j->order];
    for (uint32_t i = 0; i <= j->levels * j->count; i++) {
        const feri_j2k_resolution *r = &j->components[i % j->count].resolutions[i / j->count];
        uint32_t blocks = 0;
        for (uint32_t k = 0; k < r->band_count; k++) {
            blocks += r->bands[k].columns * r->bands[k].rows;
        }
        most = blocks > most ? blocks : most;
    }
    for (uint32_t c = 0; c < j->count; c++) {
        const feri_j2k_resolution *r = &j->components[c].resolutions[j->levels];
        uint32_t blocks = 0;
        for (uint32_t k = 0; k < r->band_count; k++) {
            blocks += r->bands[k].columns * r->bands[k].rows;
        }
        most = blocks > most ? blocks : most;
    }
    uint32_t *lengths = FERI_BUMP_ARRAY(&j->bump, uint32_t, most);
    if (!lengths) {
        return feri_error_status();
    }
    uint32_t ends[3], index[3];
    for (int d = 0; d < 3; d++) {
        ends[d] = nest[d] == 'l' ? j->layers : nest[d] == 'r' ? j->levels + 1 : j->count;
    }
    for (index[0] = 0; index[0] < ends[0]; index[0]++) {
        for (index[1] = 0; index[1] < ends[1]; index[1]++) {
            for (index[2] = 0; index[2] < ends[2]; index[2]++) {
                uint32_t layer = 0, r = 0, c = 0;
                for (int d = 0; d < 3; d++) {
                    *(nest[d] == 'l' ? &layer : nest[d] == 'r' ? &r : &c) = index[d];
                }
                feri_j2k_resolution *resolution = &j->components[c].resolutions[r];
                if (feri_j2k_width(&resolution->at) == 0 || feri_j2k_height(&resolution->at) == 0) {
                    continue; /* no precinct, no packet */
                }
                if (at >= j->packet_bytes) {
                    return FER_OK; /* cut off: what is there is drawn */
                }
                FER_TRY(read_packet(j, &at, resolution, layer, lengths));
                FER_TRY(feri_host_check(j->image->call));
            }
        }
    }
    return FER_OK;
}

/* ---- where things lie ---- */

static fer_status make_band(feri_j2k *j, feri_j2k_band *band, uint32_t level, uint32_t exponent) {
    uint32_t shift_x = band->kind & 1 ? 1u << (level - 1) : 0;
    uint32_t shift_y = band->kind & 2 ? 1u << (level - 1) : 0;
    const feri_j2k_rect *all = &j->at;
    band->at = (feri_j2k_rect){all->x0 > shift_x ? up(all->x0 - shift_x, level) : 0,
                               all->y0 > shift_y ? up(all->y0 - shift_y, level) : 0,
                               all->x1 > shift_x ? up(all->x1 - shift_x, level) : 0,
                               all->y1 > shift_y ? up(all->y1 - shift_y, level) : 0};
    band->planes = j->guard_bits + exponent - 1;
    if (exponent == 0 || band->planes > FERI_J2K_PLANES) {
        return feri_image_broken(j->image, "a JPEG 2000 subband has no bits or too many");
    }
    uint32_t w = j->block_width, h = j->block_height, first_x = band->at.x0 >> w;
    uint32_t first_y = band->at.y0 >> h;
    if (feri_j2k_width(&band->at) == 0 || feri_j2k_height(&band->at) == 0) {
        return FER_OK;
    }
    band->columns = up(band->at.x1, w) - first_x;
    band->rows = up(band->at.y1, h) - first_y;
    if ((uint64_t)band->columns * band->rows > 1u << 26) {
        return feri_image_broken(j->image, "a JPEG 2000 subband of too many blocks");
    }
    band->blocks = FERI_BUMP_ARRAY(&j->bump, feri_j2k_block, (uint64_t)band->columns * band->rows);
    if (!band->blocks) {
        return feri_error_status();
    }
    for (uint32_t i = 0; i < band->columns * band->rows; i++) {
        uint32_t x = (first_x + i % band->columns) << w, y = (first_y + i / band->columns) << h;
        feri_j2k_rect *at = &band->blocks[i].at;
        at->x0 = x > band->at.x0 ? x : band->at.x0;
        at->y0 = y > band->at.y0 ? y : band->at.y0;
        at->x1 = x + (1u << w) < band->at.x1 ? x + (1u << w) : band->at.x1;
        at->y1 = y + (1u << h) < band->at.y1 ? y + (1u << h) : band->at.y1;
    }
    FER_TRY(make_tree(j, band->columns, band->rows, &band->inclusion));
    return make_tree(j, band->columns, band->rows, &band->zeros);
}

static fer_status make_component(feri_j2k *j, feri_j2k_component *c) {
    uint64_t count = (uint64_t)feri_j2k_width(&j->at) * feri_j2k_height(&j->at);
    c->data = FERI_BUMP_ARRAY(&j->bump, int32_t, count);
    if (!c->data) {
        return feri_error_status();
    }
    for (uint32_t r = 0; r <= j->levels; r++) {
        feri_j2k_resolution *at = &c->resolutions[r];
        uint32_t shift = j->levels - r;
        at->at = (feri_j2k_rect){
            up(j->at.x0, shift), up(j->at.y0, shift), up(j->at.x1, shift), up(j->at.y1, shift)};
        at->band_count = r ? 3 : 1;
        for (uint32_t k = 0; k < at->band_count; k++) {
            at->bands[k].kind = r ? k + 1 : 0;
            FER_TRY(make_band(
                j, &at->bands[k], r ? shift + 1 : shift, j->exponents[r ? 3 * r - 2 + k : 0]));
        }
    }
    return FER_OK;
}

/* Every block's coefficients to their place: low-pass first in each direction. */
static fer_status decode_blocks(feri_j2k *j, feri_j2k_component *c) {
    uint32_t stride = feri_j2k_width(&j->at);
    for (uint32_t r = 0; r <= j->levels; r++) {
        for (uint32_t k = 0; k < c->resolutions[r].band_count; k++) {
            const feri_j2k_band *band = &c->resolutions[r].bands[k];
            const feri_j2k_rect *low = &c->resolutions[r ? r - 1 : 0].at;
            uint32_t right = band->kind & 1 ? feri_j2k_width(low) : 0;
            uint32_t down = band->kind & 2 ? feri_j2k_height(low) : 0;
            for (uint32_t i = 0; i < band->columns * band->rows; i++) {
                const feri_j2k_block *block = &band->blocks[i];
                size_t x = right + block->at.x0 - band->at.x0;
                size_t y = down + block->at.y0 - band->at.y0;
                FER_TRY(feri_j2k_decode_block(j, band, block, c->data + y * stride + x, stride));
            }
        }
    }
    return FER_OK;
}

/* ---- markers ---- */

static fer_status read_size(feri_j2k *j, const uint8_t *body, uint32_t length) {
    uint32_t count = length >= 36 ? feri_big16(body + 34) : 0;
    if (count < 1 || count > FERI_J2K_COMPONENTS || length < 36 + 3 * count) {
        return feri_image_broken(j->image, "a JPEG 2000 size");
    }
    j->count = count;
    j->at = (feri_j2k_rect){
        feri_big32(body + 10), feri_big32(body + 14), feri_big32(body + 2), feri_big32(body + 6)};
    uint64_t tile_x = (uint64_t)feri_big32(body + 26) + feri_big32(body + 18);
    uint64_t tile_y = (uint64_t)feri_big32(body + 30) + feri_big32(body + 22);
    if (j->at.x0 >= j->at.x1 || j->at.y0 >= j->at.y1 || j->at.x1 > INT32_MAX ||
        j->at.y1 > INT32_MAX) {
        return feri_image_broken(j->image, "a JPEG 2000 size");
    }
    for (uint32_t c = 0; c < count; c++) {
        if (body[36 + 3 * c] != 7 || body[37 + 3 * c] != 1 || body[38 + 3 * c] != 1) {
            return feri_image_lacks(j->image, "JPEG 2000 of other than 8 bits a sample");
        }
    }
    if (tile_x < j->at.x1 || tile_y < j->at.y1 || count == 2) {
        return feri_image_lacks(j->image, "JPEG 2000 in tiles, or of two components");
    }
    return feri_image_start(j->image, feri_j2k_width(&j->at), feri_j2k_height(&j->at));
}

static fer_status read_style(feri_j2k *j, const uint8_t *body, uint32_t length) {
    if (length < 10 || body[1] > 4 || body[5] > FERI_J2K_LEVELS || body[6] > 8 || body[7] > 8 ||
        body[6] + body[7] > 8) {
        return feri_image_broken(j->image, "a JPEG 2000 coding style");
    }
    j->has_marks = (body[0] & 2) != 0;
    j->has_ends = (body[0] & 4) != 0;
    j->order = body[1];
    j->layers = feri_big16(body + 2);
    j->turns_colors = body[4] == 1;
    j->levels = body[5];
    j->block_width = body[6] + 2u;
    j->block_height = body[7] + 2u;
    j->has_symbols = (body[8] & 32) != 0;
    j->has_style = 1;
    if ((body[0] & 1) || (body[8] & ~32) || body[9] != 1) {
        return feri_image_lacks(j->image, "irreversible JPEG 2000, precincts or a coding style");
    }
    return FER_OK;
}

static fer_status read_steps(feri_j2k *j, const uint8_t *body, uint32_t length) {
    uint32_t count = length > 1 ? length - 1 : 0;
    if (count == 0 || (body[0] & 31) != 0) {
        return feri_image_lacks(j->image, "irreversible JPEG 2000");
    }
    j->guard_bits = body[0] >> 5;
    for (uint32_t i = 0; i < count && i < sizeof(j->exponents); i++) {
        j->exponents[i] = body[1 + i] >> 3;
    }
    j->has_steps = 1;
    return FER_OK;
}

/* A tile part from its SOT marker at *at: skips to its data, keeps that, leaves *at behind it. */
static fer_status read_part(feri_j2k *j, const uint8_t *data, uint64_t end, uint64_t *at) {
    uint64_t part_end = *at + feri_big32(data + *at + 6);
    part_end = part_end == *at || part_end > end ? end : part_end;
    uint64_t here = *at + 12;
    while (part_end - here >= 4 && here < part_end && feri_big16(data + here) != 0xFF93) {
        uint32_t marker = feri_big16(data + here);
        if (marker != 0xFF64 && marker != 0xFF58) { /* comment, lengths of packets */
            return feri_image_lacks(j->image, "JPEG 2000 with coding styles a tile");
        }
        here += 2 + (uint64_t)feri_big16(data + here + 2);
        if (here > part_end) {
            return feri_image_broken(j->image, "a JPEG 2000 tile part");
        }
    }
    if (here + 2 > part_end) {
        return feri_image_broken(j->image, "a JPEG 2000 tile part");
    }
    uint64_t bytes = part_end - here - 2;
    if (bytes > UINT32_MAX / 4 - j->packet_bytes) {
        return feri_image_broken(j->image, "a JPEG 2000 tile of a gigabyte");
    }
    FER_TRY(feri_bump_grow(
        &j->bump, &j->packets, &j->packet_capacity, j->packet_bytes + (uint32_t)bytes + 1, 1));
    memcpy(j->packets + j->packet_bytes, data + here + 2, bytes);
    j->packet_bytes += (uint32_t)bytes;
    *at = part_end;
    return FER_OK;
}

static fer_status read_marker(feri_j2k *j, uint32_t marker, const uint8_t *body, uint32_t length) {
    switch (marker) {
    case 0xFF51:
        return read_size(j, body, length);
    case 0xFF52:
        return read_style(j, body, length);
    case 0xFF5C:
        return read_steps(j, body, length);
    case 0xFF53:
    case 0xFF5D:
    case 0xFF5E:
    case 0xFF5F:
    case 0xFF60:
        return feri_image_lacks(j->image, "JPEG 2000 with styles a component or regions");
    default:
        return FER_OK;
    }
}

static fer_status read_codestream(feri_j2k *j, const uint8_t *data, uint64_t end) {
    uint64_t at = 2;
    while (end - at >= 12) {
        uint32_t marker = feri_big16(data + at), length = feri_big16(data + at + 2);
        if (marker == 0xFFD9) {
            break;
        }
        if (marker == 0xFF90) {
            FER_TRY(read_part(j, data, end, &at));
            continue;
        }
        if (marker < 0xFF30 || length < 2 || length > end - at - 2) {
            return feri_image_broken(j->image, "a JPEG 2000 marker");
        }
        FER_TRY(read_marker(j, marker, data + at + 4, length - 2));
        at += 2 + (uint64_t)length;
    }
    if (!j->image->rgb || !j->has_style || !j->has_steps || !j->packets) {
        return feri_image_broken(j->image, "a JPEG 2000 without size, style or pixels");
    }
    for (uint32_t c = 0; c < j->count; c++) {
        FER_TRY(make_component(j, &j->components[c]));
    }
    FER_TRY(read_packets(j));
    for (uint32_t c = 0; c < j->count; c++) {
        FER_TRY(decode_blocks(j, &j->components[c]));
    }
    return feri_j2k_draw(j);
}

/* The codestream inside the boxes of a file, or the file itself. */
static fer_status find_codestream(feri_image *image, const uint8_t **out, uint64_t *out_bytes) {
    uint64_t at = 0;
    *out = image->data;
    *out_bytes = image->bytes;
    if (feri_big16(image->data) == 0xFF4F) {
        return FER_OK;
    }
    while (image->bytes - at >= 8) {
        uint64_t length = feri_big32(image->data + at);
        length = length == 0 ? image->bytes - at : length;
        if (length < 8 || length > image->bytes - at) {
            break;
        }
        if (memcmp(image->data + at + 4, "jp2c", 4) == 0) {
            *out = image->data + at + 8;
            *out_bytes = length - 8;
            return *out_bytes >= 2 ? FER_OK : feri_image_broken(image, "an empty JPEG 2000");
        }
        at += length;
    }
    return feri_image_broken(image, "a JPEG 2000 file without a picture");
}

fer_status feri_image_j2k(feri_image *image) {
    feri_env *env = image->call->env;
    const uint8_t *data = NULL;
    uint64_t bytes = 0;
    FER_TRY(find_codestream(image, &data, &bytes));
    feri_j2k *j = feri_alloc(env, sizeof(*j));
    if (!j) {
        return feri_error_status();
    }
    j->image = image;
    feri_bump_init(&j->bump, env);
    fer_status status = read_codestream(j, data, bytes);
    feri_bump_finish(&j->bump);
    feri_free(env, j, sizeof(*j));
    return status;
}
