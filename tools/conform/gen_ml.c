/* SPDX-License-Identifier: Apache-2.0
 *
 * ai.onnx.ml's ops on features: scaling, imputing, encoders and dictionaries. Tables are written in
 * the attribute text, so that an oracle reads the same words as the op.
 */
#include "generators.h"

#include <math.h>
#include <string.h>

#define REAL 0x1p-22L /* results are f32, computed in f32 or wider */

static int fill_features(trial *self) { return self->rank == 1 || self->rank == 2; }

/* Element of a list attribute, one for all or one a feature. */
static long double
listed(const trial *self, const char *key, uint64_t feature, long double absent) {
    double list[CASE_LIST];
    uint32_t count = arg_list(self, key, list, CASE_LIST);
    return count == 0 ? absent : (long double)(float)list[count == 1 ? 0 : feature % count];
}

static int lists_fit(const trial *self, const char *key) {
    double list[CASE_LIST];
    uint32_t count = arg_list(self, key, list, CASE_LIST);
    return count < 2 || (self->rank > 0 && count == (uint64_t)self->dims[self->rank - 1]);
}

/* ---- Binarizer, Scaler, Normalizer, Imputer ---- */

static int binarizer_oracle(const trial *self, const nd *in, nd *out) {
    nd_like(self, out, in);
    for (uint64_t i = 0; i < in->count; i++) {
        out->v[i] = in->v[i] > (long double)(float)arg_real(self, "threshold", 0);
    }
    return 1;
}

static int fill_scaler(trial *self) {
    return fill_features(self) && lists_fit(self, "offset") && lists_fit(self, "scale");
}
static int scaler_oracle(const trial *self, const nd *in, nd *out) {
    uint64_t features = (uint64_t)in->dims[in->rank - 1];
    nd_like(self, out, in);
    nd_slack(self, out);
    out->dtype = FER_F32;
    for (uint64_t i = 0; i < in->count; i++) {
        long double offset = listed(self, "offset", i % features, 0),
                    scale = listed(self, "scale", i % features, 1);
        out->v[i] = (in->v[i] - offset) * scale;
        out->slack[i] = REAL * (fabsl(in->v[i]) + fabsl(offset)) * fabsl(scale);
    }
    return 1;
}

static int normalizer_oracle(const trial *self, const nd *in, nd *out) {
    const char *norm = arg_text(self, "norm");
    int64_t size = in->dims[in->rank - 1];
    nd_like(self, out, in);
    nd_slack(self, out);
    out->dtype = FER_F32;
    for (int64_t row = 0; row < (int64_t)in->count; row += size) {
        long double most = in->v[row], sum = 0, square = 0;
        for (int64_t i = 0; i < size; i++) {
            most = fmaxl(most, in->v[row + i]);
            sum += fabsl(in->v[row + i]);
            square += in->v[row + i] * in->v[row + i];
        }
        long double by = norm == NULL || norm[0] == 'M' ? most
                         : norm[1] == '1'               ? sum
                                                        : sqrtl(square);
        for (int64_t i = 0; i < size; i++) {
            out->v[row + i] = by == 0 ? in->v[row + i] : in->v[row + i] / by;
            out->slack[row + i] = REAL * fabsl(out->v[row + i]);
        }
    }
    return 1;
}

static int fill_imputer(trial *self) {
    return fill_features(self) && lists_fit(self, "imputed_value_floats") &&
           lists_fit(self, "imputed_value_int64s");
}
static int imputer_oracle(const trial *self, const nd *in, nd *out) {
    int is_whole = dtype_is_integer(self->dtype);
    long double replaced = is_whole ? (long double)arg_int(self, "replaced_value_int64", 0)
                                    : (long double)(float)arg_real(self, "replaced_value_float", 0);
    uint64_t features = (uint64_t)in->dims[in->rank - 1];
    nd_like(self, out, in);
    out->dtype = self->dtype;
    for (uint64_t i = 0; i < in->count; i++) {
        int is_hit = isnan(replaced) ? isnan(in->v[i]) : in->v[i] == replaced;
        out->v[i] = is_hit ? listed(self,
                                    is_whole ? "imputed_value_int64s" : "imputed_value_floats",
                                    i % features,
                                    0)
                           : in->v[i];
    }
    return 1;
}

/* ---- FeatureVectorizer, ArrayFeatureExtractor ---- */

static int fill_vectorizer(trial *self) {
    int64_t widths[CASE_INPUTS];
    if (self->rank != 2 ||
        arg_ints(self, "inputdimensions", widths, CASE_INPUTS) != self->input_count) {
        return 0;
    }
    for (uint32_t i = 0; i < self->input_count; i++) {
        input_dims(self, i, 2, (int64_t[]){self->dims[0], widths[i]});
    }
    return 1;
}
static int vectorizer_oracle(const trial *self, const nd *in, nd *out) {
    int64_t total = 0, column = 0;
    for (uint32_t i = 0; i < self->input_count; i++) {
        total += in[i].dims[1];
    }
    nd_make(self, out, 2, (int64_t[]){self->dims[0], total});
    out->dtype = FER_F32;
    for (uint32_t i = 0; i < self->input_count; i++) {
        for (int64_t k = 0; k < (int64_t)in[i].count; k++) {
            out->v[k / in[i].dims[1] * total + column + k % in[i].dims[1]] = in[i].v[k];
        }
        column += in[i].dims[1];
    }
    return 1;
}

static int fill_extractor(trial *self) {
    int64_t picks[CASE_LIST];
    uint32_t count = arg_ints(self, "Y", picks, CASE_LIST);
    for (uint32_t i = 0; i < count; i++) {
        if (self->rank < 1 || picks[i] >= self->dims[self->rank - 1]) {
            return 0;
        }
    }
    return count > 0 && self->rank > 0;
}
static int extractor_oracle(const trial *self, const nd *in, nd *out) {
    int64_t picks[CASE_LIST], dims[FER_MAX_RANK] = {1}, size = in->dims[in->rank - 1];
    uint32_t count = arg_ints(self, "Y", picks, CASE_LIST), rank = in->rank > 1 ? in->rank : 2;
    memcpy(dims, in->dims, (in->rank > 1 ? in->rank - 1 : 0) * sizeof *dims);
    dims[rank - 1] = count;
    nd_make(self, out, rank, dims);
    for (uint64_t i = 0; i < out->count; i++) {
        out->v[i] = in->v[i / count * (uint64_t)size + (uint64_t)picks[i % count]];
    }
    return 1;
}

/* ---- tables: LabelEncoder, CategoryMapper, OneHotEncoder ---- */

/* A list of the text as numbers; of strings those that stand for them. */
typedef struct entries {
    uint32_t count;
    fer_dtype dtype;
    long double v[CASE_LIST];
} entries;

static int ends_with(const char *text, const char *tail) {
    size_t a = strlen(text), b = strlen(tail);
    return a >= b && strcmp(text + a - b, tail) == 0;
}

/* The first of the case's attributes that begins with prefix. */
static int entries_of(const trial *self, const char *prefix, entries *out) {
    for (uint32_t a = 0; a < self->arg_count; a++) {
        const case_arg *arg = &self->args[a];
        double list[CASE_LIST];
        if (strncmp(arg->key, prefix, strlen(prefix)) != 0) {
            continue;
        }
        uint32_t skipped = ends_with(arg->key, "_tensor");
        out->count = arg_list(self, arg->key, list, CASE_LIST) - skipped;
        out->dtype = skipped                             ? (fer_dtype)list[0]
                     : strstr(arg->key, "int64") != NULL ? FER_I64
                     : strstr(arg->key, "float") != NULL ? FER_F32
                                                         : FER_STRING;
        for (uint32_t i = 0; out->dtype != FER_STRING && i < out->count; i++) {
            long double value = (long double)list[i + skipped];
            out->v[i] = out->dtype == FER_F32 ? (long double)(float)value : value;
        }
        if (out->dtype == FER_STRING) {
            out->count = text_pieces(arg->text) - skipped;
            for (uint32_t i = 0; i < out->count; i++) {
                const char *piece = text_piece(self, arg->text, i + skipped);
                out->v[i] = text_number(piece, strlen(piece));
            }
        }
        return 1;
    }
    return 0;
}

static int fill_table(trial *self) {
    entries keys;
    const char *prefix = self->op->name[0] == 'L'    ? "keys_"
                         : self->dtype == FER_STRING ? "cats_strings"
                                                     : "cats_int64s";
    if (!entries_of(self, prefix, &keys) ||
        (self->op->name[0] != 'O' && keys.dtype != self->dtype) ||
        (self->op->name[0] == 'O' && (keys.dtype == FER_STRING) != (self->dtype == FER_STRING))) {
        return 0;
    }
    case_input *x = &self->inputs[0];
    x->words = "a:bc:def:x:Ferrule:two words";
    x->fill = FILL_LIST;
    for (uint32_t i = 0; i < 13; i++) { /* what is known, and now and then what is not */
        x->list[i] =
            i % 4 == 3 || keys.dtype == FER_STRING ? (double)i : (double)keys.v[i % keys.count];
    }
    x->list_count = 13;
    return 1;
}

/* Index in the table; its count when the value is not there. */
static uint32_t found_at(const entries *keys, long double value) {
    uint32_t i = 0;
    while (i < keys->count && !(keys->v[i] == value || (isnan(keys->v[i]) && isnan(value)))) {
        i++;
    }
    return i;
}

static long double absent_of(const trial *self, fer_dtype dtype) {
    entries given;
    const char *text = arg_text(self, "default_string");
    text = text != NULL ? text : "_Unused";
    if (entries_of(self, "default_tensor", &given)) {
        return given.v[0];
    }
    return dtype == FER_STRING ? text_number(text, strlen(text))
           : dtype == FER_F32 || dtype == FER_F64
               ? (long double)(float)arg_real(self, "default_float", 0)
               : (long double)arg_int(self, "default_int64", -1);
}

static int table_oracle(const trial *self, const nd *in, nd *out) {
    entries keys, values;
    int is_mapper = self->op->name[0] == 'C';
    const char *to =
        is_mapper ? (self->dtype == FER_STRING ? "cats_int64s" : "cats_strings") : "values_";
    if (!entries_of(self,
                    is_mapper ? (self->dtype == FER_STRING ? "cats_strings" : "cats_int64s")
                              : "keys_",
                    &keys) ||
        !entries_of(self, to, &values)) {
        return 0;
    }
    nd_like(self, out, in);
    out->dtype = values.dtype;
    for (uint64_t i = 0; i < in->count; i++) {
        uint32_t at = found_at(&keys, in->v[i]);
        out->v[i] = at < keys.count ? values.v[at] : absent_of(self, values.dtype);
    }
    return 1;
}

static int one_hot_oracle(const trial *self, const nd *in, nd *out) {
    entries keys;
    int64_t dims[FER_MAX_RANK];
    if (!entries_of(self, "cats_", &keys) || in->rank + 1 > FER_MAX_RANK) {
        return 0;
    }
    memcpy(dims, in->dims, in->rank * sizeof *dims);
    dims[in->rank] = keys.count;
    nd_make(self, out, in->rank + 1, dims);
    out->dtype = FER_F32;
    for (uint64_t i = 0; i < out->count; i++) {
        out->v[i] = keys.v[i % keys.count] == in->v[i / keys.count];
    }
    return 1;
}

/* ---- ZipMap: a sequence of maps ---- */

static int fill_zip(trial *self) {
    entries labels;
    return fill_features(self) && entries_of(self, "classlabels_", &labels) &&
           labels.count == (uint64_t)self->dims[self->rank - 1];
}
static int zip_oracle(const trial *self, const nd *in, nd *out) {
    entries labels;
    (void)entries_of(self, "classlabels_", &labels);
    int64_t count = labels.count;
    uint64_t rows = in->rank == 2 ? (uint64_t)in->dims[0] : 1;
    nd_group(self, out, FER_KIND_SEQUENCE, (uint32_t)rows);
    for (uint64_t row = 0; row < rows; row++) {
        nd *map = &out->items[row];
        nd_group(self, map, FER_KIND_MAP, 2);
        nd_make(self, &map->items[0], 1, &count);
        nd_make(self, &map->items[1], 1, &count);
        map->items[0].dtype = labels.dtype;
        map->items[1].dtype = FER_F32;
        memcpy(map->items[0].v, labels.v, labels.count * sizeof *labels.v);
        memcpy(map->items[1].v, in->v + row * labels.count, labels.count * sizeof *in->v);
    }
    return 1;
}

/* clang-format off */
#define ML "ai.onnx.ml."
#define PAIRED(keys) keys ",values_int64s=10:-20:30:40 " keys ",values_strings=p:qq:rrr:ssss " keys ",values_floats=0.5:-1.25:3:100 " keys ",values_int64s=1:2:3:4,default_int64=77 " keys \
    ",values_strings=p:qq:rrr:ssss,default_string=none " keys ",values_floats=1:2:3:4,default_float=0.25 "
#define TABLED(keys) keys ",values_tensor=f64:0.5:-1.25:3:100,default_tensor=f64:7.5 " keys ",values_tensor=i16:1:-2:3:4,default_tensor=i16:9 " keys ",values_tensor=i32:5:6:7:8,default_tensor=i32:-1 " keys \
    ",values_tensor=str:p:qq:rrr:ssss,default_tensor=str:zz " keys ",values_tensor=i64:11:12:13:14,default_tensor=i64:-5 " keys ",values_tensor=f32:1:2:3:4,default_tensor=f32:0.5 "
#define SHAPES "4x3 1x3 7x1 3 13x17 521x3"
static const case_row rows[] = {
    {ML "Binarizer", NULL, "odd prime wide tall one vector high empty", "- threshold=1 threshold=-0.5 threshold=0.1", "ints uniform special bits", NULL, binarizer_oracle, ROW_ZEROS | ROW_EXACT},
    {ML "Scaler", NULL, SHAPES, "offset=1:2:3,scale=0.5:2:-1 offset=1.5:,scale=0.1: offset=0.1:,scale=1: offset=-1:0:100,scale=3: offset=1:,scale=1:0:-2", "ints uniform wide", fill_scaler, scaler_oracle, ROW_ZEROS},
    {ML "Normalizer", NULL, SHAPES, "- norm=MAX norm=L1 norm=L2", "ints uniform wide", fill_features, normalizer_oracle, ROW_ZEROS},
    {ML "Imputer", "f32|f64", SHAPES, "imputed_value_floats=1.5:2.5:3.5 imputed_value_floats=0.1: imputed_value_floats=1:2:3,replaced_value_float=nan imputed_value_floats=7:,replaced_value_float=nan "
     "imputed_value_floats=9:,replaced_value_float=1", "ints uniform special", fill_imputer, imputer_oracle, ROW_ZEROS | ROW_EXACT},
    {ML "Imputer", "i32|i64", SHAPES, "imputed_value_int64s=1:2:3 imputed_value_int64s=7: imputed_value_int64s=9:,replaced_value_int64=1 imputed_value_int64s=4:5:6,replaced_value_int64=-2", "ints bits", fill_imputer,
     imputer_oracle, ROW_ZEROS | ROW_EXACT},
    {ML "FeatureVectorizer", NULL, "4x1 1x1 7x1", "n=1,inputdimensions=3: n=2,inputdimensions=2:3 n=3,inputdimensions=1:4:2 n=4,inputdimensions=1:1:1:5", "ints uniform", fill_vectorizer, vectorizer_oracle, ROW_ZEROS},
    {ML "ArrayFeatureExtractor", NULL, "odd prime wide vector 2x3x4x5 one tall", "Y=0: Y=2:0:1 Y=1:1:2:2 Y=6:4 Y=0:0:0", "ints", fill_extractor, extractor_oracle, ROW_MOVEMENT},
    {ML "LabelEncoder", "i64", "odd prime vector one empty", PAIRED("keys_int64s=1:2:3:9"), "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "LabelEncoder", "f32", "odd prime vector one empty", PAIRED("keys_floats=1.5:2:-3.25:0") PAIRED("keys_floats=nan:1:2:5.5"), "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "LabelEncoder", "str", "odd prime vector one empty", PAIRED("keys_strings=a:bc:x:nobody"), "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "LabelEncoder", "f64", "odd prime", TABLED("keys_tensor=f64:1.5:2:0.1:-7"), "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "LabelEncoder", "i16", "odd prime", TABLED("keys_tensor=i16:1:2:3:-7"), "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "LabelEncoder", "i32", "odd prime", TABLED("keys_tensor=i32:1:2:3:-7"), "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "LabelEncoder", "i64", "odd prime", TABLED("keys_tensor=i64:1:2:3:-7"), "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "LabelEncoder", "str", "odd prime", TABLED("keys_tensor=str:a:bc:x:nobody"), "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "CategoryMapper", "str|i64", "odd prime vector one empty high", "cats_strings=a:bc:x,cats_int64s=1:2:30 cats_strings=a:bc:x,cats_int64s=5:-6:7,default_int64=99 cats_strings=a:bc:x,cats_int64s=1:2:3,default_string=none "
     "cats_strings=def:,cats_int64s=4:", "ints", fill_table, table_oracle, ROW_ZEROS},
    {ML "OneHotEncoder", "f32|f64|i32|i64", "odd prime vector one empty high", "cats_int64s=1:2:3 cats_int64s=3:0:7:-2:1 cats_int64s=2:", "ints", fill_table, one_hot_oracle, ROW_ZEROS},
    {ML "OneHotEncoder", "str", "odd prime vector one empty high", "cats_strings=a:bc:x cats_strings=def:", "ints", fill_table, one_hot_oracle, ROW_ZEROS},
    {ML "ZipMap", "f32", "4x3 1x3 7x1 3 1x5 13x2", "classlabels_int64s=1:2:3 classlabels_int64s=7: classlabels_int64s=-1:4 classlabels_int64s=9:8:7:6:5 classlabels_strings=a:bc:def classlabels_strings=x: classlabels_strings=yes:no", "ints uniform",
     fill_zip, zip_oracle, ROW_ZEROS},
};
/* clang-format on */

const case_family cases_ml = {"ml", rows, sizeof rows / sizeof *rows};
