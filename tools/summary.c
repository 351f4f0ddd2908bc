/* SPDX-License-Identifier: Apache-2.0
 *
 * A value in a line: dtype, shape, smallest, largest and where, mean; small ones in full. The same
 * as JSON.
 */
#include "command.h"

#include <math.h>
#include <stdlib.h>

typedef struct extent {
    double least;
    double most;
    double sum;
    uint64_t most_at;
    uint64_t numbers;
    uint64_t nans;
    uint64_t zeros;
} extent;

static extent measure(fer_dtype dtype, const void *data, uint64_t count) {
    extent all = {.least = INFINITY, .most = -INFINITY};
    for (uint64_t i = 0; i < count; i++) {
        double value = element_get(dtype, data, i);
        if (isnan(value)) {
            all.nans++;
            continue;
        }
        all.numbers++;
        all.sum += value;
        all.zeros += value == 0;
        all.least = value < all.least ? value : all.least;
        if (value > all.most) {
            all.most = value;
            all.most_at = i;
        }
    }
    return all;
}

static void *read_contents(const fer_tensor *tensor) {
    uint64_t bytes = fer_tensor_bytes(tensor);
    void *data = malloc(bytes + 1);
    if (data != NULL && bytes > 0 && fer_tensor_read(tensor, 0, data, bytes) != FER_OK) {
        free(data);
        data = NULL;
    }
    return data;
}

static void print_small(FILE *stream, fer_dtype dtype, const void *data, uint64_t count) {
    fputs(" =", stream);
    for (uint64_t i = 0; i < count; i++) {
        if (dtype == FER_C64 || dtype == FER_C128) {
            fprintf(stream,
                    " %.6g%+.6gi",
                    element_get(dtype, data, i),
                    element_imaginary(dtype, data, i));
        } else {
            fprintf(stream, " %.*g", dtype_is_float(dtype) ? 6 : 17, element_get(dtype, data, i));
        }
    }
}

static void print_tensor(FILE *stream, const fer_tensor *tensor) {
    fer_dtype dtype = fer_tensor_dtype(tensor);
    uint64_t count = fer_tensor_element_count(tensor);
    fprintf(stream, "  %s [", fer_dtype_name(dtype));
    for (uint32_t i = 0; i < fer_tensor_rank(tensor); i++) {
        fprintf(stream, "%s%lld", i > 0 ? ", " : "", (long long)fer_tensor_dims(tensor)[i]);
    }
    fputc(']', stream);
    if (dtype == FER_STRING) {
        for (uint64_t i = 0; i < count && i < 8; i++) {
            size_t length = 0;
            const char *text = fer_tensor_string(tensor, i, &length);
            say_text(stream, " '%.*s'", (int)(length > 60 ? 60 : length), text != NULL ? text : "");
        }
        return;
    }
    void *data = read_contents(tensor);
    if (data == NULL) {
        fputs("  contents cannot be read", stream);
        return;
    }
    if (count <= 8) {
        print_small(stream, dtype, data, count);
    } else {
        extent all = measure(dtype, data, count);
        if (all.numbers > 0) {
            fprintf(stream,
                    "  min %.4f  max %.4f at %llu  mean %.4f",
                    all.least,
                    all.most,
                    (unsigned long long)all.most_at,
                    all.sum / (double)all.numbers);
        }
        if (all.nans > 0) {
            fprintf(stream, "  NaN %llu", (unsigned long long)all.nans);
        }
    }
    free(data);
}

const char *kind_name(int32_t kind) {
    static const char *const names[] = {"nothing", "tensor", "sequence", "optional", "map"};
    return names[kind >= FER_KIND_TENSOR && kind <= FER_KIND_MAP ? kind : 0];
}

void print_value_text(FILE *stream, const char *name, const fer_value *value) {
    if (name != NULL) {
        say_text(stream, "%s", name);
    }
    int32_t kind = fer_value_kind(value);
    if (kind == FER_KIND_TENSOR) {
        print_tensor(stream, fer_value_tensor(value));
        fputc('\n', stream);
        return;
    }
    uint64_t count = fer_value_count(value);
    fprintf(stream, "  %s of %llu\n", kind_name(kind), (unsigned long long)count);
    for (uint64_t i = 0; i < count && i < 16; i++) {
        fprintf(stream, "  %llu:", (unsigned long long)i);
        print_value_text(stream, NULL, fer_value_item(value, i));
    }
}

static void json_tensor(json *out, const fer_tensor *tensor) {
    fer_dtype dtype = fer_tensor_dtype(tensor);
    uint64_t count = fer_tensor_element_count(tensor);
    json_text(out, "dtype", fer_dtype_name(dtype));
    json_open(out, "shape", '[');
    for (uint32_t i = 0; i < fer_tensor_rank(tensor); i++) {
        json_integer(out, NULL, fer_tensor_dims(tensor)[i]);
    }
    json_close(out, ']');
    if (dtype == FER_STRING) {
        json_open(out, "strings", '[');
        for (uint64_t i = 0; i < count && i < 64; i++) {
            size_t length = 0;
            const char *text = fer_tensor_string(tensor, i, &length);
            json_text_bytes(out, NULL, text != NULL ? text : "", length);
        }
        json_close(out, ']');
        return;
    }
    void *data = read_contents(tensor);
    if (data == NULL) {
        return;
    }
    extent all = measure(dtype, data, count);
    if (all.numbers > 0) {
        json_number(out, "min", all.least);
        json_number(out, "max", all.most);
        json_integer(out, "argmax", (int64_t)all.most_at);
        json_number(out, "mean", all.sum / (double)all.numbers);
    }
    json_integer(out, "nan_count", (int64_t)all.nans);
    json_integer(out, "zero_count", (int64_t)all.zeros);
    free(data);
}

void json_value(json *out, const char *name, const fer_value *value) {
    int32_t kind = fer_value_kind(value);
    json_open(out, NULL, '{');
    if (name != NULL) {
        json_text(out, "name", name);
    }
    json_text(out, "kind", kind_name(kind));
    if (kind == FER_KIND_TENSOR) {
        json_tensor(out, fer_value_tensor(value));
    } else {
        json_open(out, "items", '[');
        for (uint64_t i = 0; i < fer_value_count(value) && i < 64; i++) {
            json_value(out, NULL, fer_value_item(value, i));
        }
        json_close(out, ']');
    }
    json_close(out, '}');
}
