/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: any bytes as what a run is given. The first byte says what they are: a picture
 * for ImageDecoder, a pattern and a text for RegexFullMatch, or a serialised value.
 */
#include "fuzz_context.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs an op with one attribute, and lets go of its operand. */
static fer_status run_op(
    fer_context *context, const char *op, const char *name, fer_string text, fer_tensor *operand) {
    fer_attr attr = {.name = name, .type = FER_ATTR_STRING, .count = 1, .value.s = text};
    fer_tensor *out = NULL;
    fer_status status = fer_op_run(context, NULL, "", op, &attr, 1, &operand, 1, &out, 1);
    if ((status == FER_OK) != (out != NULL)) {
        abort();
    }
    fer_tensor_release(out);
    fer_tensor_release(operand);
    return status;
}

static fer_status picture(fer_context *context, uint8_t which, const uint8_t *data, size_t size) {
    static const char *const formats[] = {"RGB", "BGR", "Grayscale"};
    const char *format = formats[which % 3];
    fer_tensor *bytes = NULL;
    void *own = (void *)(uintptr_t)data;
    if (fer_tensor_wrap(context, FER_U8, 1, (int64_t[]){(int64_t)size}, own, &bytes) != FER_OK) {
        abort();
    }
    return run_op(
        context, "ImageDecoder", "pixel_format", (fer_string){format, strlen(format)}, bytes);
}

/* Strings of operators end with a NUL. */
static fer_status pattern(fer_context *context, uint8_t which, const uint8_t *data, size_t size) {
    size_t length = which % (size + 1), rest = size - length;
    char *copy = calloc(1, length + 1);
    const char *text = (const char *)data + length;
    fer_tensor *strings = NULL;
    if (copy == NULL ||
        fer_tensor_create_strings(context, 1, (int64_t[]){1}, &text, &rest, &strings) != FER_OK) {
        abort();
    }
    memcpy(copy, data, length);
    fer_status status =
        run_op(context, "RegexFullMatch", "pattern", (fer_string){copy, length}, strings);
    free(copy);
    return status;
}

static int32_t discard(void *self, const char *text, size_t length) {
    (void)self, (void)text, (void)length;
    return 0;
}

static fer_status value(fer_context *context, uint8_t which, const uint8_t *data, size_t size) {
    fer_value *made = NULL;
    fer_status status = fer_value_from_onnx(context, data, size, 1 + which % 3, &made);
    if (status == FER_OK) {
        status = fer_value_to_onnx(context, made, "again", discard, NULL);
    }
    fer_value_release(made);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fer_context *context; /* ops stay compiled from one input to the next */
    if (context == NULL) {
        context = fuzz_context();
    }
    if (size < 2) {
        return 0;
    }
    fer_status (*const kinds[])(fer_context *, uint8_t, const uint8_t *, size_t) = {
        picture, pattern, value};
    fer_status status = kinds[data[0] % 3](context, data[1], data + 2, size - 2);
    if (status == FER_INTERNAL || (status != FER_OK && fer_error_last()->message[0] == '\0')) {
        abort(); /* every failure has a sentence, and none is our own bug */
    }
    return 0;
}
