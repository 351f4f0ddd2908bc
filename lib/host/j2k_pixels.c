/* SPDX-License-Identifier: Apache-2.0
 *
 * From wavelet coefficients to pixels (ITU T.800, annexes F and G): the reversible 5/3 transform,
 * level by level, and the reversible color transform. Called by image_j2k.c.
 */
#include "base/error.h"
#include "host/image_j2k.h"

/* value[i] with the ends mirrored. */
static int64_t mirrored(const int32_t *value, int64_t i, int64_t count) {
    i = i < 0 ? -i : i;
    i = i >= count ? 2 * (count - 1) - i : i;
    return value[i < 0 ? 0 : i];
}

/* A line of count, low-pass half first, becomes samples; is_odd: the first place is an odd one.
 * work has count entries. */
static void join_line(int32_t *line, uint32_t step, uint32_t count, int is_odd, int32_t *work) {
    uint32_t lows = (count + !is_odd) / 2;
    if (count == 1) {
        line[0] = is_odd ? line[0] / 2 : line[0];
        return;
    }
    for (uint32_t i = 0; i < count; i++) { /* interleaved */
        int is_low = (i + (uint32_t)is_odd) % 2 == 0;
        work[i] = line[(size_t)(is_low ? i / 2 : lows + i / 2) * step];
    }
    for (uint32_t i = (uint32_t)is_odd; i < count; i += 2) {
        int64_t around =
            mirrored(work, (int64_t)i - 1, count) + mirrored(work, (int64_t)i + 1, count);
        work[i] = (int32_t)(work[i] - ((around + 2) >> 2));
    }
    for (uint32_t i = !is_odd; i < count; i += 2) {
        int64_t around =
            mirrored(work, (int64_t)i - 1, count) + mirrored(work, (int64_t)i + 1, count);
        work[i] = (int32_t)(work[i] + (around >> 1));
    }
    for (uint32_t i = 0; i < count; i++) {
        line[(size_t)i * step] = work[i];
    }
}

static fer_status join_levels(feri_j2k *j, feri_j2k_component *c, int32_t *work) {
    uint32_t stride = feri_j2k_width(&j->at);
    for (uint32_t r = 1; r <= j->levels; r++) {
        const feri_j2k_rect *at = &c->resolutions[r].at;
        uint32_t width = feri_j2k_width(at), height = feri_j2k_height(at);
        for (uint32_t y = 0; y < height && width > 0; y++) {
            join_line(c->data + (size_t)y * stride, 1, width, (int)(at->x0 & 1), work);
        }
        for (uint32_t x = 0; x < width && height > 0; x++) {
            join_line(c->data + x, stride, height, (int)(at->y0 & 1), work);
        }
        FER_TRY(feri_host_check(j->image->call));
    }
    return FER_OK;
}

static uint8_t to_byte(int64_t value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void paint(const feri_j2k *j) {
    uint64_t count = (uint64_t)feri_j2k_width(&j->at) * feri_j2k_height(&j->at);
    for (uint64_t i = 0; i < count; i++) {
        int64_t v[3];
        for (uint32_t k = 0; k < 3; k++) {
            v[k] = j->components[j->count >= 3 ? k : 0].data[i];
        }
        if (j->turns_colors && j->count >= 3) {
            int64_t green = v[0] - ((v[1] + v[2]) >> 2);
            int64_t red = v[2] + green, blue = v[1] + green;
            v[0] = red;
            v[1] = green;
            v[2] = blue;
        }
        for (uint32_t k = 0; k < 3; k++) {
            j->image->rgb[3 * i + k] = to_byte(v[k] + 128);
        }
    }
}

fer_status feri_j2k_draw(feri_j2k *j) {
    uint32_t width = feri_j2k_width(&j->at), height = feri_j2k_height(&j->at);
    int32_t *work = FERI_BUMP_ARRAY(&j->bump, int32_t, width > height ? width : height);
    if (!work) {
        return feri_error_status();
    }
    for (uint32_t c = 0; c < j->count; c++) {
        FER_TRY(join_levels(j, &j->components[c], work));
    }
    paint(j);
    return FER_OK;
}
