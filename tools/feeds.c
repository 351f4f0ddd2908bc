/* SPDX-License-Identifier: Apache-2.0
 *
 * One value for each input of a program: from --input, from the --data folder in ONNX's test
 * layout, or filled (random unless --fill says otherwise) in the shape the model declares, with
 * --dim for what it leaves open.
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

/* splitmix64: the whole state is one number, so that a seed is a stream. */
static uint64_t next_random(uint64_t *state) {
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

/* In [-1, 1), with no more bits than the dtype holds, so that rounding cannot reach 1. */
static double random_value(fer_dtype dtype, uint64_t *state) {
    uint64_t bits = next_random(state);
    if (!dtype_is_float(dtype)) {
        return (double)(bits >> 63);
    }
    if (dtype == FER_F8E8M0) {
        return bits >> 63 ? 0.5 : 0.25;
    }
    uint32_t width = fer_dtype_bits(dtype);
    uint32_t keep = dtype == FER_F64 || dtype == FER_C128  ? 52
                    : dtype == FER_F32 || dtype == FER_C64 ? 23
                    : dtype == FER_F16                     ? 10
                    : dtype == FER_BF16                    ? 7
                    : width == 8                           ? 2
                                                           : 1;
    return (double)(bits >> (64 - keep - 1)) / (double)((uint64_t)1 << keep) - 1;
}

static int fill_number(const char *text, double *out_number) {
    char *end;
    *out_number = strtod(text, &end);
    return end != text && *end == '\0';
}

/* The dim of an input's axis: its number, else --dim by symbol or by INPUT.AXIS, else 1. */
static int64_t dim_of(const arguments *args, const fer_value_info *info, int32_t axis) {
    if (info->dims[axis] >= 0) {
        return info->dims[axis];
    }
    char by_axis[600];
    (void)snprintf(by_axis, sizeof by_axis, "%s.%d", info->name, axis);
    for (uint32_t i = 0; i < args->dims.count; i++) {
        size_t length;
        const char *value;
        const char *pair = args->dims.items[i];
        if (!split_pair(pair, &length, &value)) {
            continue;
        }
        const char *names[2] = {info->symbols != NULL ? info->symbols[axis] : "?", by_axis};
        for (int which = 0; which < 2; which++) {
            if (strlen(names[which]) == length && memcmp(names[which], pair, length) == 0) {
                return strtoll(value, NULL, 10);
            }
        }
    }
    return 1;
}

/* A new tensor as the model declares input, filled with number, or at random when number is NULL.
 */
static int make_filled(session *self,
                       const fer_value_info *info,
                       uint32_t index,
                       const double *number,
                       fer_value **out_value) {
    if (info->kind != FER_KIND_TENSOR) {
        return complain(EXIT_INVALID,
                        "INVALID_INPUT",
                        "input '%s' is no tensor but a kind of %s: give it with --data",
                        info->name,
                        kind_name(info->kind));
    }
    int64_t dims[FER_MAX_RANK];
    uint32_t rank = info->rank < 0 ? 0 : (uint32_t)info->rank;
    for (uint32_t axis = 0; axis < rank; axis++) {
        dims[axis] = dim_of(self->args, info, (int32_t)axis);
    }
    fer_tensor *tensor = NULL;
    fer_status status = fer_tensor_create(self->context, info->dtype, rank, dims, &tensor);
    if (status == FER_OK && info->dtype != FER_STRING) {
        uint64_t state = (uint64_t)self->args->seed * 0x100000001b3u + index;
        uint64_t count = fer_tensor_element_count(tensor);
        void *data = fer_tensor_data(tensor);
        for (uint64_t i = 0; i < count; i++) {
            element_set(
                info->dtype, data, i, number != NULL ? *number : random_value(info->dtype, &state));
        }
    }
    if (status == FER_OK) {
        status = fer_value_from_tensor(tensor, out_value);
    }
    fer_tensor_release(tensor);
    return status == FER_OK ? EXIT_RIGHT : fail_with(self->args, status);
}

static int value_from_file(session *self,
                           const char *path,
                           const fer_value_info *info,
                           fer_value **out_value) {
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".npy") == 0) {
        fer_tensor *tensor = NULL;
        int result = npy_read(self->context, path, info->dtype, &tensor);
        if (result == EXIT_RIGHT && fer_value_from_tensor(tensor, out_value) != FER_OK) {
            result = fail_with(self->args, fer_error_last()->status);
        }
        fer_tensor_release(tensor);
        return result;
    }
    uint64_t bytes = 0;
    unsigned char *data = file_read(path, &bytes);
    if (data == NULL) {
        return complain(EXIT_INVALID, "IO", "%s cannot be read", path);
    }
    fer_status status = fer_value_from_onnx(self->context, data, bytes, info->kind, out_value);
    free(data);
    if (status != FER_OK) {
        say_text(stderr,
                 "ferrule: %s: %s: %s\n",
                 fer_status_name(status),
                 path,
                 fer_error_last()->message);
        return EXIT_INVALID;
    }
    return EXIT_RIGHT;
}

int value_from_folder(session *self,
                      const char *folder,
                      const char *stem,
                      uint32_t index,
                      const fer_value_info *info,
                      fer_value **out_value) {
    static const char *const endings[] = {"pb", "npy"};
    *out_value = NULL;
    for (size_t i = 0; i < 2; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s_%u.%s", folder, stem, index, endings[i]);
        FILE *file = fopen(path, "rb");
        if (file != NULL) {
            (void)fclose(file);
            return value_from_file(self, path, info, out_value);
        }
    }
    return EXIT_RIGHT;
}

static const char *input_argument(const arguments *args, const char *name) {
    for (uint32_t i = 0; i < args->inputs.count; i++) {
        size_t length;
        const char *value;
        if (split_pair(args->inputs.items[i], &length, &value) && strlen(name) == length &&
            memcmp(args->inputs.items[i], name, length) == 0) {
            return value;
        }
    }
    return NULL;
}

static int
make_one(session *self, uint32_t index, const fer_value_info *info, fer_value **out_value) {
    const arguments *args = self->args;
    const char *given = input_argument(args, info->name);
    double number;
    if (given != NULL && fill_number(given, &number)) {
        return make_filled(self, info, index, &number, out_value);
    }
    if (given != NULL) {
        return value_from_file(self, given, info, out_value);
    }
    if (args->data != NULL) {
        int result = value_from_folder(self, args->data, "input", index, info, out_value);
        if (result != EXIT_RIGHT || *out_value != NULL) {
            return result;
        }
        if (args->fill == NULL) {
            return complain(EXIT_INVALID,
                            "INVALID_INPUT",
                            "%s has no input_%u.pb or input_%u.npy for input '%s'; give it with "
                            "--input or allow --fill",
                            args->data,
                            index,
                            index,
                            info->name);
        }
    }
    number = args->fill != NULL && args->fill[0] == 'o' ? 1 : 0;
    int is_random = args->fill == NULL || args->fill[0] == 'r';
    return make_filled(self, info, index, is_random ? NULL : &number, out_value);
}

/* A name that no input has is a mistake, not something to ignore. */
static int check_names(session *self) {
    for (uint32_t i = 0; i < self->args->inputs.count; i++) {
        size_t length;
        const char *value;
        const char *pair = self->args->inputs.items[i];
        (void)split_pair(pair, &length, &value);
        char *name = strndup(pair, length);
        uint32_t index = name != NULL ? fer_program_input_index(self->program, name) : UINT32_MAX;
        free(name);
        if (index == UINT32_MAX) {
            return complain(EXIT_USAGE,
                            "USAGE",
                            "the model has no input '%.*s'; see ferrule inspect",
                            (int)length,
                            pair);
        }
    }
    return EXIT_RIGHT;
}

int feeds_make(session *self, feeds *out_feeds) {
    *out_feeds = (feeds){0};
    int result = check_names(self);
    uint32_t count = fer_program_input_count(self->program);
    if (result != EXIT_RIGHT) {
        return result;
    }
    out_feeds->values = calloc(count + 1, sizeof *out_feeds->values);
    if (out_feeds->values == NULL) {
        return complain(EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for %u inputs", count);
    }
    out_feeds->count = count;
    for (uint32_t i = 0; i < count && result == EXIT_RIGHT; i++) {
        fer_value_info info = {.struct_size = sizeof info};
        fer_status status = fer_program_input(self->program, i, &info);
        result = status == FER_OK ? make_one(self, i, &info, &out_feeds->values[i])
                                  : fail_with(self->args, status);
    }
    return result;
}

void feeds_finish(feeds *self) {
    for (uint32_t i = 0; i < self->count; i++) {
        fer_value_release(self->values[i]);
    }
    free((void *)self->values);
    *self = (feeds){0};
}
