/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures in files: one decoder per format, each into rows of 8-bit RGB. A decoder fails with
 * INVALID_INPUT and a reason when the file is damaged (ImageDecoder then gives an empty picture, as
 * ONNX says), and with UNSUPPORTED where a format has more than it knows. Used inside lib/host
 * only.
 */
#ifndef FERI_HOST_IMAGE_H
#define FERI_HOST_IMAGE_H

#include "host/host_call.h"

typedef struct feri_image {
    feri_host_call *call;
    const uint8_t *data; /* the file */
    uint64_t bytes;
    uint32_t dense; /* the most pixels that a byte of this format stands for; 0: any number */
    uint32_t width, height;
    uint8_t *rgb; /* height * width * 3 */
    uint64_t rgb_bytes;
    const char *why; /* what is damaged */
} feri_image;

/* Sets the size, which must not be 0 nor more than the file can hold, and allocates rgb (zeroed);
 * LIMIT beyond max_tensor_bytes. */
fer_status feri_image_start(feri_image *image, uint64_t width, uint64_t height);
/* INVALID_INPUT with why remembered. */
fer_status feri_image_broken(feri_image *image, const char *why);
/* UNSUPPORTED, with the node's name. */
fer_status feri_image_lacks(feri_image *image, const char *what);

static inline uint32_t feri_little16(const uint8_t *at) { return at[0] | (uint32_t)at[1] << 8; }
static inline uint32_t feri_little32(const uint8_t *at) {
    return feri_little16(at) | feri_little16(at + 2) << 16;
}
static inline uint32_t feri_big16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }
static inline uint32_t feri_big32(const uint8_t *at) {
    return feri_big16(at) << 16 | feri_big16(at + 2);
}

fer_status feri_image_bmp(feri_image *image);
fer_status feri_image_pnm(feri_image *image);
fer_status feri_image_tiff(feri_image *image);
fer_status feri_image_png(feri_image *image);
fer_status feri_image_jpeg(feri_image *image);
fer_status feri_image_j2k(feri_image *image);
fer_status feri_image_webp(feri_image *image);

/* RFC 1950 and 1951: a zlib stream into out, which it must fill; 0 when it is damaged or does not.
 */
int feri_inflate(const uint8_t *in, uint64_t in_bytes, uint8_t *out, uint64_t out_bytes);

#endif
