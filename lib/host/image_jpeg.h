/* SPDX-License-Identifier: Apache-2.0
 *
 * A JPEG being decoded, between image_jpeg.c (markers and bits) and jpeg_pixels.c (transform,
 * upsampling, colors). Used inside lib/host only.
 */
#ifndef FERI_HOST_IMAGE_JPEG_H
#define FERI_HOST_IMAGE_JPEG_H

#include "host/image.h"

typedef struct feri_jpeg_code {
    uint8_t count[17]; /* codes per length */
    uint8_t symbol[256];
} feri_jpeg_code;

typedef struct feri_jpeg_component {
    uint32_t id, h, v, table, dc, ac;
    uint32_t width, height; /* samples that count */
    uint32_t stride, rows;  /* of plane, whole blocks */
    int32_t last;           /* DC before */
    uint8_t *plane;
    uint64_t bytes;
} feri_jpeg_component;

typedef struct feri_jpeg {
    feri_image *image;
    uint64_t at;
    uint32_t held, held_bits, interval;
    uint32_t starved; /* bytes read beyond the end of a scan */
    uint32_t count, most_h, most_v, mcu_columns, mcu_rows;
    uint8_t at_marker, is_broken, is_drawn, is_rgb;
    feri_jpeg_component components[3];
    uint16_t tables[4][64];
    feri_jpeg_code codes[2][4]; /* [0] DC */
} feri_jpeg;

/* Inverse transform of dequantised values into 8 rows of 8 bytes. */
void feri_jpeg_idct(const int64_t *values, uint8_t *out, uint32_t stride);
/* Planes to the picture. */
fer_status feri_jpeg_draw(feri_jpeg *jpeg);

#endif
