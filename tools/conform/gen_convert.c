/* SPDX-License-Identifier: Apache-2.0
 *
 * From one form to another: Cast between strings and numbers and to powers of two (f8e8m0),
 * Constant, ImageDecoder on pictures small enough to be written out.
 */
#include "case_onnx.h"
#include "generators.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fer_dtype target_of(const trial *self) {
    double list[1];
    return self->input_count > 1                ? self->inputs[1].dtype
           : arg_list(self, "to", list, 1) == 1 ? (fer_dtype)list[0]
                                                : FER_DTYPE_NONE;
}

/* ---- strings to numbers: the value families numbers (whole ones) and reals ---- */

static int fill_read(trial *self) {
    fer_dtype to = target_of(self);
    int is_whole = strcmp(self->values, "numbers") == 0,
        is_signed = strcmp(self->values, "signed") == 0;
    return is_whole || !dtype_is_integer(to) || (is_signed && dtype_is_signed(to));
}
static int read_oracle(const trial *self, const nd *in, nd *out) {
    fer_dtype to = target_of(self);
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++) {
        size_t length = 0;
        const char *text = fer_tensor_string(self->inputs[0].tensor, i, &length);
        char copy[32] = "";
        memcpy(copy, text, length < sizeof copy - 1 ? length : 0);
        out->v[i] = strtold(copy, NULL);
        if (dtype_is_integer(to)) {
            out->v[i] = wrap_to(to, (wide_int)out->v[i]);
        }
    }
    return 1;
}

/* ---- numbers to strings: the specification wants plain decimals that mean the number ---- */

static int fill_spell(trial *self) { return target_of(self) == FER_STRING; }
static int spells(fer_dtype dtype, const char *text, size_t length, long double want) {
    char copy[400] = "", *end;
    if (length == 0 || length >= sizeof copy || isspace((unsigned char)text[0])) {
        return 0;
    }
    memcpy(copy, text, length);
    long double got = strtold(copy, &end);
    if (*end != '\0' || isnan(got) != isnan(want)) {
        return 0;
    }
    /* One unit of the last place: seventeen digits and nine are not asked for. */
    return got == want || isnan(want) ||
           (!dtype_is_integer(dtype) && fabsl(got - want) <= dtype_ulp(dtype, want));
}
static int
judge_spell(const trial *self, fer_tensor *const *outputs, char *sentence, size_t capacity) {
    const nd *x = &self->inputs[0].number;
    if (outputs[0] == NULL || fer_tensor_dtype(outputs[0]) != FER_STRING ||
        fer_tensor_element_count(outputs[0]) != x->count) {
        (void)snprintf(sentence, capacity, "there are not as many strings as numbers");
        return 0;
    }
    for (uint64_t i = 0; i < x->count; i++) {
        size_t length = 0;
        const char *text = fer_tensor_string(outputs[0], i, &length);
        if (!spells(self->dtype, text, length, x->v[i])) {
            (void)snprintf(sentence,
                           capacity,
                           "at %llu it is '%.40s', not %.17Lg",
                           (unsigned long long)i,
                           text,
                           x->v[i]);
            return 0;
        }
    }
    return 1;
}

/* ---- powers of two ---- */

static int fill_power(trial *self) {
    self->inputs[0].fill = FILL_POSITIVE; /* of 0 and below the specification says little */
    /* Denormal numbers of f64 are 0 to a device that goes through f32. */
    int is_small = strcmp(self->values, "denormal") == 0 &&
                   (arg_int(self, "saturate", 1) == 0 || self->dtype == FER_F64);
    return strcmp(self->values, "ints") == 0 || (!dtype_is_integer(self->dtype) && !is_small);
}
static int power_oracle(const trial *self, const nd *in, nd *out) {
    const char *mode = arg_text(self, "round_mode");
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++) {
        long double x = in->v[i];
        if (!isfinite(x)) {
            out->v[i] = isnan(x) || arg_int(self, "saturate", 1) == 0 ? NAN : 0x1p127L;
            continue;
        }
        long double low = ldexpl(1, ilogbl(x)), value = low;
        if (x != low) {
            value = mode == NULL || mode[0] == 'u' ? 2 * low
                    : mode[0] == 'd'               ? low
                    : x >= 1.5L * low              ? 2 * low
                                                   : low;
        }
        int fits = value >= 0x1p-127L && value <= 0x1p127L;
        out->v[i] = fits                                ? value
                    : arg_int(self, "saturate", 1) == 0 ? NAN
                    : value < 1                         ? 0x1p-127L
                                                        : 0x1p127L;
    }
    return 1;
}
static int from_power_oracle(const trial *self, const nd *in, nd *out) {
    nd_like(self, out, in);
    memcpy(out->v, in->v, in->count * sizeof *in->v);
    for (uint64_t i = 0; target_of(self) == FER_F16 && i < in->count; i++) {
        out->v[i] = in->v[i] >= 65536      ? INFINITY
                    : in->v[i] <= 0x1p-25L ? 0 /* half of the least number, to even */
                                           : in->v[i];
    }
    return 1;
}
static int fill_anything(trial *self) { return (void)self, 1; }

/* ---- Constant ---- */

/* value: a tensor of the shape, element i being i modulo 2 (or a power of two, which f8e8m0 has
 * alone). The other attributes: what they say. */
static long double constant_element(const trial *self, uint64_t i) {
    return self->dtype == FER_F8E8M0 ? ldexpl(1, (int)(i % 5) - 2) : (long double)(i % 2);
}

static int fill_constant(trial *self) {
    int is_real = arg_text(self, "value_float") != NULL || arg_text(self, "value_floats") != NULL;
    int is_whole = arg_text(self, "value_int") != NULL || arg_text(self, "value_ints") != NULL;
    return self->arg_count == 0 ? self->dtype != FER_STRING
                                : self->rank == 0 && self->dtype == (is_real    ? FER_F32
                                                                     : is_whole ? FER_I64
                                                                                : FER_STRING);
}
static int constant_oracle(const trial *self, const nd *in, nd *out) {
    double list[CASE_LIST];
    int64_t count = 0;
    (void)in;
    if (self->arg_count == 0) {
        uint64_t parts;
        (void)dtype_part(self->dtype, &parts);
        nd_make(self, out, self->rank, self->dims);
        for (uint64_t i = 0; i < out->count * parts; i++) {
            out->v[i] = constant_element(self, i);
        }
        return 1;
    }
    if (self->dtype == FER_STRING) {
        return 0; /* judged */
    }
    count = arg_list(self, self->args[0].key, list, CASE_LIST);
    nd_make(self, out, self->args[0].key[strlen(self->args[0].key) - 1] == 's', &count);
    for (int64_t i = 0; i < count; i++) {
        out->v[i] = self->dtype == FER_F32 ? (long double)(float)list[i] : (long double)list[i];
    }
    return 1;
}
static int
judge_constant(const trial *self, fer_tensor *const *outputs, char *sentence, size_t capacity) {
    const char *text = self->args[0].text;
    text += strcmp(self->args[0].key, "value") == 0 ? 4 : 0; /* behind "str:" */
    uint64_t count = outputs[0] != NULL ? fer_tensor_element_count(outputs[0]) : 0;
    for (uint64_t i = 0; i < count; i++) {
        size_t length = 0, wanted = strcspn(text, ":");
        const char *got = fer_tensor_string(outputs[0], i, &length);
        if (length != wanted || memcmp(got, text, length) != 0) {
            (void)snprintf(sentence,
                           capacity,
                           "string %llu is '%.40s', not '%.*s'",
                           (unsigned long long)i,
                           got,
                           (int)wanted,
                           text);
            return 0;
        }
        text += wanted + (text[wanted] == ':');
    }
    int is_right = count > 0 && *text == '\0';
    (void)snprintf(
        sentence, capacity, "%s", is_right ? "" : "there are fewer strings than the attribute has");
    return is_right;
}
static fer_status constant_build(const trial *self,
                                 fer_graph *graph,
                                 fer_context *context,
                                 const fer_value_id *inputs,
                                 fer_value_id *out_outputs) {
    fer_attr attrs[CASE_ARGS];
    fer_tensor *tensor = NULL;
    fer_node_desc node = {.struct_size = sizeof node,
                          .op = "Constant",
                          .name = "case",
                          .attrs = attrs,
                          .attr_count = trial_attrs(self, context, attrs, CASE_ARGS),
                          .output_count = 1};
    fer_status status = FER_OK;
    (void)inputs;
    if (self->arg_count == 0) {
        uint64_t parts;
        fer_dtype part = dtype_part(self->dtype, &parts);
        status = fer_tensor_create(context, self->dtype, self->rank, self->dims, &tensor);
        for (uint64_t i = 0; status == FER_OK && i < fer_tensor_element_count(tensor) * parts;
             i++) {
            number_set(part, fer_tensor_data(tensor), i, constant_element(self, i));
        }
        attrs[0] = (fer_attr){
            .name = "value", .type = FER_ATTR_TENSOR, .count = 1, .value.tensor = tensor};
        node.attr_count = 1;
    }
    status = status ? status : fer_graph_add_node(graph, &node, out_outputs);
    fer_tensor_release(tensor);
    return status;
}

/* sparse_value: every third element is 1, those between them are left out; empty=1 leaves all. */
static int is_kept(const trial *self, uint64_t i) {
    return i % 3 == 1 && !arg_int(self, "empty", 0);
}

static int fill_sparse(trial *self) { return self->rank > 0; }

static int sparse_oracle(const trial *self, const nd *in, nd *out) {
    (void)in;
    uint64_t parts;
    (void)dtype_part(self->dtype, &parts);
    nd_make(self, out, self->rank, self->dims);
    for (uint64_t i = 0; i < out->count * parts; i++) {
        out->v[i] = is_kept(self, i / parts);
    }
    return 1;
}

static fer_status make_sparse(const trial *self,
                              fer_context *context,
                              fer_graph **out_graph,
                              fer_value **out_inputs,
                              uint32_t *out_count) {
    message graph = {.of = self}, attrs = {.of = self};
    uint64_t count = dims_count(self->rank, self->dims), parts;
    fer_dtype part = dtype_part(self->dtype, &parts);
    onnx_sparse sparse = {.dtype = self->dtype,
                          .are_flat = arg_is(self, "indices", "flat", "flat"),
                          .rank = self->rank,
                          .dims = self->dims};
    int64_t index[FER_MAX_RANK] = {0}, *indices = trial_memory(self, (count + 1) * sizeof index);
    char *values = trial_memory(self, 16 * (count + 1));
    for (uint64_t i = 0; i < count; i++, (void)index_next(self->rank, self->dims, index)) {
        if (!is_kept(self, i)) {
            continue;
        }
        int64_t flat = (int64_t)i;
        memcpy(indices + sparse.count * (sparse.are_flat ? 1 : self->rank),
               sparse.are_flat ? &flat : index,
               (sparse.are_flat ? 1 : self->rank) * sizeof *indices);
        for (uint64_t p = 0; p < parts; p++) {
            number_set(part, values, (uint64_t)sparse.count * parts + p, 1);
        }
        sparse.count++;
    }
    sparse.values = values;
    sparse.bytes = ((uint64_t)sparse.count * fer_dtype_bits(self->dtype) + 7) / 8;
    sparse.indices = indices;
    onnx_attr_sparse(&attrs, "sparse_value", &sparse);
    onnx_add_node(&graph, "", "Constant", "", "out0", &attrs);
    onnx_add_value(&graph,
                   GRAPH_OUTPUT,
                   &(onnx_value){.name = "out0",
                                 .kind = FER_KIND_TENSOR,
                                 .dtype = self->dtype,
                                 .rank = (int32_t)self->rank,
                                 .dims = self->dims});
    (void)out_inputs;
    *out_count = 0;
    return onnx_import(&graph, context, out_graph);
}

/* ---- ImageDecoder: shape words are [rows, columns] ---- */

static unsigned pixel(const trial *self, int64_t at) {
    return (unsigned)((at * 37 + self->seed * 11 + 5) % 256);
}

static void put_number(case_input *stream, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        stream->list[stream->list_count++] = value >> (8 * i) & 255;
    }
}

/* Rows from the bottom up, padded to four bytes, blue first. */
static void write_bmp(const trial *self, case_input *stream) {
    int64_t rows = self->dims[0], columns = self->dims[1], line = (columns * 3 + 3) / 4 * 4;
    put_number(stream, 'B' | 'M' << 8, 2);
    put_number(stream, (uint32_t)(54 + rows * line), 4);
    put_number(stream, 0, 4);
    put_number(stream, 54, 4);
    put_number(stream, 40, 4);
    put_number(stream, (uint32_t)columns, 4);
    put_number(stream, (uint32_t)rows, 4);
    put_number(stream, 1, 2);
    put_number(stream, 24, 2);
    for (int i = 0; i < 6; i++) {
        put_number(stream, i == 1 ? (uint32_t)(rows * line) : 0, 4);
    }
    for (int64_t r = rows - 1; r >= 0; r--) {
        for (int64_t k = 0; k < line; k++) {
            put_number(stream,
                       k < columns * 3 ? pixel(self, r * columns * 3 + k / 3 * 3 + 2 - k % 3) : 0,
                       1);
        }
    }
}
static void write_plain(const trial *self, int channels, case_input *stream) {
    char head[32];
    int length = snprintf(head,
                          sizeof head,
                          "P%d\n%d %d\n255\n",
                          channels == 3 ? 6 : 5,
                          (int)self->dims[1],
                          (int)self->dims[0]);
    for (int i = 0; i < length; i++) {
        put_number(stream, (unsigned char)head[i], 1);
    }
    for (int64_t i = 0; i < self->dims[0] * self->dims[1] * channels; i++) {
        put_number(stream, pixel(self, i), 1);
    }
}

static int fill_image(trial *self) {
    case_input *stream = &self->inputs[0];
    int is_gray = arg_is(self, "as", "bmp", "pgm");
    if (self->rank != 2 || dims_count(2, self->dims) > 9) {
        return 0;
    }
    stream->fill = FILL_LIST;
    if (arg_is(self, "as", "bmp", "bmp")) {
        write_bmp(self, stream);
    } else {
        write_plain(self, is_gray ? 1 : 3, stream);
    }
    int64_t length = stream->list_count;
    input_dims(self, 0, 1, &length);
    return is_gray || !arg_is(self, "pixel_format", "RGB", "Grayscale");
}
static int image_oracle(const trial *self, const nd *in, nd *out) {
    int is_gray = arg_is(self, "as", "bmp", "pgm"),
        is_reversed = arg_is(self, "pixel_format", "RGB", "BGR");
    int64_t channels = arg_is(self, "pixel_format", "RGB", "Grayscale") ? 1 : 3;
    (void)in;
    nd_make(self, out, 3, (int64_t[]){self->dims[0], self->dims[1], channels});
    for (int64_t i = 0; i < (int64_t)out->count; i++) {
        int64_t channel = is_reversed ? 2 - i % 3 : i % 3;
        out->v[i] = pixel(self, is_gray ? i / channels : i / 3 * 3 + channel);
    }
    return 1;
}

/* clang-format off */
#define TO_NUMBERS "to=f32 to=f64 to=f16 to=bf16 to=i8 to=i16 to=i32 to=i64 to=u8 to=u16 to=u32 to=u64"
#define POWERS "to=f8e8m0 to=f8e8m0,round_mode=down to=f8e8m0,round_mode=nearest to=f8e8m0,round_mode=up,saturate=0 to=f8e8m0,round_mode=nearest,saturate=0"
static const case_row rows[] = {
    {"Cast", "str", "scalar odd prime empty", TO_NUMBERS, "numbers signed reals", fill_read, read_oracle, ROW_ZEROS, NULL, NULL},
    {"Cast", "float|int", "scalar odd prime empty", "to=str", "ints uniform wide special bits extreme", fill_spell, NULL, 0, judge_spell, NULL},
    {"Cast", "f32|f64|f16|bf16|i32|i64|u8", "odd prime", POWERS, "ints wide huge denormal special", fill_power, power_oracle, ROW_EXACT, NULL, NULL},
    {"Cast", "f8e8m0", "odd prime", "to=f32 to=f64 to=bf16 to=f16", "bits", fill_anything, from_power_oracle, ROW_EXACT | ROW_ZEROS, NULL, NULL},
    {"CastLike", "f32|f64|f16|bf16|i32", "odd", "T2=f8e8m0 T2=f8e8m0,round_mode=nearest T2=f8e8m0,round_mode=down,saturate=0", "ints wide huge denormal special", fill_power, power_oracle, ROW_EXACT, NULL, NULL},
    {"CastLike", "f8e8m0", "odd", "T2=f32 T2=f64 T2=bf16 T2=f16", "bits", fill_anything, from_power_oracle, ROW_EXACT | ROW_ZEROS, NULL, NULL},
    {"CastLike", "str", "scalar odd", "T2=f32 T2=i64 T2=u8", "numbers signed reals", fill_read, read_oracle, ROW_ZEROS, NULL, NULL},
    {"Constant", "float|int|complex|bool|float8|sub", "scalar odd one empty high", "-", "ints", fill_constant, constant_oracle, ROW_ZEROS, NULL, constant_build},
    {"Constant", "f8e8m0", "scalar odd one empty high", "-", "ints", fill_constant, constant_oracle, ROW_ZEROS, NULL, constant_build},
    {"Constant", "float|int|complex|bool|float8|sub", "vector odd one empty high", "indices=flat indices=rows indices=flat,empty=1 indices=rows,empty=1", "ints", fill_sparse, sparse_oracle, ROW_ZEROS, NULL, NULL, make_sparse},
    {"Constant", "f32|i64", "scalar", "value_float=1.5 value_float=-0.1 value_floats=1:2.5:-3 value_floats=7: value_int=7 value_int=-9007199254740993 value_ints=1:-2:3:4 value_ints=5:", "ints",
     fill_constant, constant_oracle, ROW_ZEROS, NULL, constant_build},
    {"Constant", "str", "scalar", "value_string=chip value_strings=a:bc:def value_strings=x: value=str:a:bc:def value=str:x:", "ints", fill_constant, NULL, 0, judge_constant, constant_build},
    {"ImageDecoder", NULL, "2x3 3x3 1x1 3x2 1x7 9x1", "- pixel_format=BGR as=ppm as=ppm,pixel_format=BGR as=pgm as=pgm,pixel_format=Grayscale", "ints", fill_image, image_oracle, ROW_ZEROS, NULL, NULL},
};
/* clang-format on */

const case_family cases_convert = {"convert", rows, sizeof rows / sizeof *rows};
