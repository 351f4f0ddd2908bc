/* SPDX-License-Identifier: Apache-2.0
 *
 * A VP8 key frame being decoded (RFC 6386), between image_webp.c (headers, modes, coefficients),
 * vp8_predict.c (prediction, transforms) and vp8_filter.c (loop filter, colors). Used inside
 * lib/host only.
 */
#ifndef FERI_HOST_VP8_H
#define FERI_HOST_VP8_H

#include "host/image.h"

/* Modes of 4x4 blocks; the first four are those of whole macroblocks too. */
enum {
    FERI_VP8_DC,
    FERI_VP8_TM,
    FERI_VP8_VE,
    FERI_VP8_HE,
    FERI_VP8_RD,
    FERI_VP8_VR,
    FERI_VP8_LD,
    FERI_VP8_VL,
    FERI_VP8_HD,
    FERI_VP8_HU
};

/* A plane with a row above, a column at the left, and some room at the right. */
typedef struct feri_vp8_plane {
    uint8_t *memory;
    uint8_t *at; /* the first sample */
    uint32_t stride;
    uint64_t bytes;
} feri_vp8_plane;

/* What the loop filter needs of a macroblock. */
typedef struct feri_vp8_filter {
    uint8_t level, inner_level, edge_limit, is_inner;
} feri_vp8_filter;

typedef struct feri_vp8 {
    feri_image *image;
    uint32_t columns, rows; /* of macroblocks */
    feri_vp8_plane planes[3];
    feri_vp8_filter *filters; /* per macroblock */
    uint8_t is_simple;
} feri_vp8;

extern const uint8_t feri_vp8_mode_chances[10][10][9]; /* [above][left] */
extern const uint8_t feri_vp8_chances[4][8][3][11];
extern const uint16_t feri_vp8_updates[]
                                      [2]; /* index in the flat table above, chance; ends with 0 */
extern const uint8_t feri_vp8_dc_steps[128];
extern const uint16_t feri_vp8_ac_steps[128];

/* A macroblock: predicted by its modes, residue added. values: 24 blocks of 16 (Y, U, V). */
void feri_vp8_rebuild(feri_vp8 *v,
                      uint32_t column,
                      uint32_t row,
                      int by_blocks,
                      const uint8_t *modes,
                      uint32_t chroma_mode,
                      const int32_t *values);
/* Inverse of the second-order transform: DCs of the 16 luma blocks. */
void feri_vp8_spread(const int32_t *in, int32_t *values);
void feri_vp8_smooth(feri_vp8 *v);
void feri_vp8_paint(const feri_vp8 *v);

static inline uint8_t feri_vp8_byte(int32_t value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

#endif
