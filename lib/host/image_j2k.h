/* SPDX-License-Identifier: Apache-2.0
 *
 * A JPEG 2000 codestream being decoded, between image_j2k.c (markers, packets), j2k_block.c
 * (entropy decoding) and j2k_pixels.c (wavelet, colors). Used inside lib/host only.
 */
#ifndef FERI_HOST_IMAGE_J2K_H
#define FERI_HOST_IMAGE_J2K_H

#include "base/bump.h"
#include "host/image.h"

enum { FERI_J2K_LEVELS = 16, FERI_J2K_COMPONENTS = 4, FERI_J2K_PLANES = 24 };

/* Where something lies, in its own coordinates. */
typedef struct feri_j2k_rect {
    uint32_t x0, y0, x1, y1;
} feri_j2k_rect;

typedef struct feri_j2k_block {
    feri_j2k_rect at; /* in the subband */
    uint32_t passes, zero_planes, length_bits;
    uint8_t is_included;
    uint8_t *data;
    uint32_t bytes, capacity;
} feri_j2k_block;

/* A tag tree: nodes of all levels, leaves first. */
typedef struct feri_j2k_tree {
    uint32_t width, height; /* of the leaves */
    struct feri_j2k_node {
        uint32_t parent; /* UINT32_MAX at the root */
        uint32_t value;  /* at least, or exactly where known */
        uint8_t is_known;
    } * nodes;
} feri_j2k_tree;

typedef struct feri_j2k_band {
    uint32_t kind; /* 0 LL, 1 HL, 2 LH, 3 HH: bits say where it is high-pass */
    feri_j2k_rect at;
    uint32_t planes;        /* bit planes a block may have */
    uint32_t columns, rows; /* of blocks */
    feri_j2k_block *blocks;
    feri_j2k_tree inclusion, zeros;
} feri_j2k_band;

typedef struct feri_j2k_resolution {
    feri_j2k_rect at;
    uint32_t band_count;
    feri_j2k_band bands[3];
} feri_j2k_resolution;

typedef struct feri_j2k_component {
    int32_t *data; /* coefficients, then samples; low-pass first in each direction */
    feri_j2k_resolution resolutions[FERI_J2K_LEVELS + 1];
} feri_j2k_component;

typedef struct feri_j2k {
    feri_image *image;
    feri_bump bump;
    feri_j2k_rect at;
    uint32_t count;                                            /* components */
    uint32_t levels, order, layers, block_width, block_height; /* logarithms of the sizes */
    uint32_t guard_bits;
    uint8_t has_marks, has_ends, turns_colors, has_symbols, has_style, has_steps;
    uint8_t exponents[3 * FERI_J2K_LEVELS + 1];
    uint8_t *packets;
    uint32_t packet_bytes, packet_capacity;
    feri_j2k_component components[FERI_J2K_COMPONENTS];
} feri_j2k;

static inline uint32_t feri_j2k_width(const feri_j2k_rect *r) { return r->x1 - r->x0; }
static inline uint32_t feri_j2k_height(const feri_j2k_rect *r) { return r->y1 - r->y0; }

/* The block's coefficients into out, rows stride apart. */
fer_status feri_j2k_decode_block(feri_j2k *j,
                                 const feri_j2k_band *band,
                                 const feri_j2k_block *block,
                                 int32_t *out,
                                 uint32_t stride);
/* Coefficients of all components to the picture. */
fer_status feri_j2k_draw(feri_j2k *j);

#endif
