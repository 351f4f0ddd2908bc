/* SPDX-License-Identifier: Apache-2.0
 *
 * ImageDecoder: finds the format by its first bytes and arranges the channels. A damaged file gives
 * an empty picture and a warning in the log, as the ONNX schema (opset 20) says; what a
 * decoder here lacks is UNSUPPORTED by name. Gray is Y' = 0.299 R + 0.587 G + 0.114 B in 16-bit
 * fractions.
 */
#include "host/image.h"
#include "tensor/tensor.h"

#include <string.h>

fer_status feri_image_broken(feri_image *image, const char *why) {
    image->why = why;
    return FER_INVALID_INPUT;
}

fer_status feri_image_lacks(feri_image *image, const char *what) {
    return feri_host_fail(
        image->call, FER_UNSUPPORTED, "%s is not yet there; decode such pictures outside", what);
}

fer_status feri_image_start(feri_image *image, uint64_t width, uint64_t height) {
    uint64_t bytes = feri_mul_sat(feri_mul_sat(width, height), 3);
    uint64_t most = image->call->env->limits.max_tensor_bytes;
    if (width == 0 || height == 0 || image->rgb) {
        return feri_image_broken(image, "it has no pixels, or two sizes");
    }
    if (image->dense && bytes / 3 / image->dense > image->bytes) {
        return feri_image_broken(image, "it is too short for its size");
    }
    if (bytes > most || width > INT32_MAX || height > INT32_MAX) {
        return feri_host_fail(image->call,
                              FER_LIMIT,
                              "a picture of %llu by %llu; max_tensor_bytes is %llu",
                              (unsigned long long)width,
                              (unsigned long long)height,
                              (unsigned long long)most);
    }
    image->width = (uint32_t)width;
    image->height = (uint32_t)height;
    image->rgb_bytes = bytes;
    image->rgb = feri_alloc(image->call->env, bytes);
    return image->rgb ? FER_OK : feri_error_status();
}

typedef struct format {
    const char *magic;
    uint32_t length;
    uint32_t at;
    uint32_t dense; /* deflate repeats up to 1032 times, a JPEG's block has at least 2 bits */
    fer_status (*decode)(feri_image *image);
} format;

static const format formats[] = {
    {"BM",                2, 0, 8,        feri_image_bmp },
    {"\x89PNG\r\n\x1a\n", 8, 0, 8 * 1032, feri_image_png },
    {"\xff\xd8\xff",      3, 0, 256,      feri_image_jpeg},
    {"II*\0",             4, 0, 8,        feri_image_tiff},
    {"MM\0*",             4, 0, 8,        feri_image_tiff},
    {"jP  \r\n\x87\n",    8, 4, 0,        feri_image_j2k },
    {"\xff\x4f\xff\x51",  4, 0, 0,        feri_image_j2k },
    {"WEBP",              4, 8, 0,        feri_image_webp},
};

static fer_status decode(feri_image *image) {
    if (image->bytes > 2 && image->data[0] == 'P' && image->data[1] >= '1' &&
        image->data[1] <= '6') {
        image->dense = 8;
        return feri_image_pnm(image);
    }
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const format *f = &formats[i];
        if (image->bytes >= f->at + f->length &&
            memcmp(image->data + f->at, f->magic, f->length) == 0) {
            image->dense = f->dense;
            return f->decode(image);
        }
    }
    return feri_image_broken(image, "its format is not known");
}

static uint8_t gray(const uint8_t *rgb) {
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

static void arrange(const feri_image *image, int is_gray, int is_bgr, uint8_t *out) {
    for (uint64_t i = 0; i < (uint64_t)image->width * image->height; i++) {
        const uint8_t *rgb = image->rgb + 3 * i;
        if (is_gray) {
            out[i] = gray(rgb);
            continue;
        }
        for (int c = 0; c < 3; c++) {
            out[3 * i + c] = rgb[is_bgr ? 2 - c : c];
        }
    }
}

fer_status feri_host_image_decoder(feri_host_call *call) {
    const char *pixels =
        feri_attr_string(call->node->attrs, call->node->attr_count, "pixel_format", "RGB");
    int is_gray = strcmp(pixels, "Grayscale") == 0, is_bgr = strcmp(pixels, "BGR") == 0;
    fer_tensor *file = NULL, *result = NULL;
    FER_TRY(feri_host_tensor(call, 0, &file));
    if (file->dtype != FER_U8 || file->rank != 1 ||
        (!is_gray && !is_bgr && strcmp(pixels, "RGB") != 0)) {
        return feri_host_fail(call,
                              FER_INVALID_INPUT,
                              "it needs a vector of bytes and pixel_format RGB, BGR or Grayscale");
    }
    feri_image image = {.call = call, .data = fer_tensor_data(file), .bytes = file->element_count};
    fer_status status = decode(&image);
    if (status == FER_INVALID_INPUT && image.why) {
        feri_log(call->env,
                 FER_LOG_WARN,
                 "ImageDecoder '%s': an empty picture, for the file is damaged: %s",
                 call->node->name,
                 image.why);
        image.width = image.height = 0;
        status = FER_OK;
    }
    if (status == FER_OK) {
        int64_t dims[3] = {image.height, image.width, is_gray ? 1 : 3};
        status = fer_tensor_create(feri_host_context(call), FER_U8, 3, dims, &result);
    }
    if (status == FER_OK) {
        arrange(&image, is_gray, is_bgr, fer_tensor_data(result));
        status = feri_host_give_tensor(call, 0, result);
    }
    feri_free(call->env, image.rgb, image.rgb_bytes);
    return status;
}
