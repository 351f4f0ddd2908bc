/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes and dtypes of ai.onnx.ml ops and TfIdfVectorizer. Rows N are X's first dim (one row when X
 * has rank 1), features its last.
 */
#include "ferrule/op_numbers.h"
#include "op/infer.h"

#include <string.h>

static const fer_attr *attr_of(feri_infer *call, const char *name) {
    return feri_attr_find(call->attrs, call->attr_count, name);
}

static uint32_t list_count(feri_infer *call, const char *name) {
    const fer_attr *attr = attr_of(call, name);
    return attr ? attr->count : 0;
}

/* Rows of X, of rank 1 or 2. */
static void rows_of(feri_infer *call, feri_sym *out) {
    const feri_fact *x = feri_infer_in(call, 0);
    FERI_STEP(feri_infer_rank(call, 0, 1, 2));
    *out = x->rank == 2 ? x->dims[0] : x->rank == 1 ? feri_sym_number(1) : feri_sym_unknown();
}

static void set_matrix(feri_infer *call, uint32_t index, feri_sym rows, feri_sym columns) {
    feri_sym dims[2] = {rows, columns};
    feri_infer_set(call, index, 2, dims);
}

/* ---- tables ---- */

void feri_infer_label_encoder(feri_infer *call) {
    static const struct {
        const char *name;
        fer_dtype dtype;
    } values[] = {
        {"values_strings", FER_STRING},
        {"values_int64s",  FER_I64   },
        {"values_floats",  FER_F32   },
    };
    const fer_attr *tensor = attr_of(call, "values_tensor");
    fer_dtype dtype = tensor ? fer_tensor_dtype(tensor->value.tensor) : FER_DTYPE_NONE;
    for (uint32_t i = 0; i < 3; i++) {
        dtype = list_count(call, values[i].name) ? values[i].dtype : dtype;
    }
    if (list_count(call, "classes_strings")) { /* the form of ai.onnx.ml 1 */
        feri_infer_category_mapper(call);
        return;
    }
    if (!dtype) {
        feri_infer_fail(call, "it has no values: one of values_* must be given");
        return;
    }
    if (feri_infer_out(call, 0)) {
        feri_infer_out(call, 0)->dtype = dtype;
    }
    feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}

void feri_infer_category_mapper(feri_infer *call) {
    fer_dtype in = feri_infer_in(call, 0)->dtype;
    if (feri_infer_out(call, 0)) {
        feri_infer_out(call, 0)->dtype = in == FER_STRING ? FER_I64
                                         : in             ? FER_STRING
                                                          : FER_DTYPE_NONE;
    }
    feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}

void feri_infer_one_hot_encoder(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    feri_sym dims[FER_MAX_RANK + 1];
    if (x->rank < 0) {
        return;
    }
    memcpy(dims, x->dims, (size_t)x->rank * sizeof(*dims));
    dims[x->rank] =
        feri_sym_number(list_count(call, x->dtype == FER_STRING ? "cats_strings" : "cats_int64s"));
    feri_infer_set(call, 0, x->rank + 1, dims);
}

/* X [..., C] and K indices -> [..., K], [1, K] for X of rank 1. */
void feri_infer_feature_extractor(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    feri_sym dims[FER_MAX_RANK] = {
        {1, 0}
    };
    int32_t rank = x->rank == 1 ? 2 : x->rank;
    FERI_STEP(feri_infer_rank(call, 0, 1, FER_MAX_RANK));
    if (x->rank < 0) {
        return;
    }
    for (int32_t i = 0; i + 1 < x->rank; i++) {
        dims[i] = x->dims[i];
    }
    dims[rank - 1] = feri_fact_count(feri_infer_in(call, 1), call->terms);
    feri_infer_set(call, 0, rank, dims);
}

void feri_infer_tfidf(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    uint32_t count;
    const int64_t *indexes = feri_infer_ints(call, "ngram_indexes", &count);
    int64_t most = -1;
    for (uint32_t i = 0; i < count; i++) {
        most = indexes[i] > most ? indexes[i] : most;
    }
    if (most < 0 || most >= INT32_MAX) {
        feri_infer_fail(call, "ngram_indexes must be numbers from 0 on");
        return;
    }
    FERI_STEP(feri_infer_rank(call, 0, 0, 2));
    feri_sym dims[2] = {x->rank == 2 ? x->dims[0] : feri_sym_unknown(), feri_sym_number(most + 1)};
    if (x->rank < 0) {
        return;
    }
    if (x->rank == 2) {
        feri_infer_set(call, 0, 2, dims);
    } else {
        feri_infer_set(call, 0, 1, dims + 1);
    }
}

/* ---- columns ---- */

/* A list as long as X's last dim, or of one entry. */
static void check_columns(feri_infer *call, const char *name) {
    const feri_fact *x = feri_infer_in(call, 0);
    uint32_t count = list_count(call, name);
    if (count > 1 && x->rank > 0) {
        feri_infer_equal(call,
                         x->dims[x->rank - 1],
                         feri_sym_number(count),
                         "X's last dim and the list's length");
        return;
    }
}

void feri_infer_scaler(feri_infer *call) {
    FERI_STEP(check_columns(call, "offset"));
    FERI_STEP(check_columns(call, "scale"));
    feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}

void feri_infer_imputer(feri_infer *call) {
    uint32_t floats = list_count(call, "imputed_value_floats");
    uint32_t ints = list_count(call, "imputed_value_int64s");
    if (!floats == !ints) {
        feri_infer_fail(call, "one of imputed_value_floats and imputed_value_int64s is needed");
        return;
    }
    FERI_STEP(check_columns(call, floats ? "imputed_value_floats" : "imputed_value_int64s"));
    feri_infer_set_like(call, 0, feri_infer_in(call, 0));
}

void feri_infer_feature_vectorizer(feri_infer *call) {
    uint32_t count;
    const int64_t *widths = feri_infer_ints(call, "inputdimensions", &count);
    feri_sym rows, total = feri_sym_number(0);
    if (count != call->in_count) {
        feri_infer_fail(
            call, "inputdimensions has %u entries for %u operands", count, call->in_count);
        return;
    }
    FERI_STEP(rows_of(call, &rows));
    if (feri_infer_in(call, 0)->rank == 1) { /* a vector holds one feature of every row */
        rows = feri_infer_in(call, 0)->dims[0];
    }
    for (uint32_t i = 0; i < count; i++) {
        FERI_STEP(feri_infer_rank(call, i, 1, 2));
        if (widths[i] < 0) {
            feri_infer_fail(call, "inputdimensions has a negative entry");
            return;
        }
        FERI_STEP(total = feri_infer_add(call, total, feri_sym_number(widths[i])));
    }
    set_matrix(call, 0, rows, total);
}

/* ---- models ---- */

void feri_infer_linear_regressor(feri_infer *call) {
    feri_sym rows;
    int64_t targets = feri_infer_int(call, "targets", 1);
    uint32_t weights = list_count(call, "coefficients"), more = list_count(call, "intercepts");
    FERI_STEP(rows_of(call, &rows));
    if (targets < 1 || weights % (uint64_t)targets != 0 || (more && more != (uint64_t)targets)) {
        feri_infer_fail(call,
                        "%u coefficients and %u intercepts do not fit %lld targets",
                        weights,
                        more,
                        (long long)targets);
        return;
    }
    const feri_fact *x = feri_infer_in(call, 0);
    if (x->rank > 0) {
        FERI_STEP(feri_infer_equal(call,
                                   x->dims[x->rank - 1],
                                   feri_sym_number(weights / (uint32_t)targets),
                                   "X's features and the coefficients of a target"));
    }
    set_matrix(call, 0, rows, feri_sym_number(targets));
}

/* Labels: how many there are; sets their dtype and shape [N]. */
static void set_labels(feri_infer *call, feri_sym rows, uint32_t *out_count) {
    uint32_t texts = list_count(call, "classlabels_strings");
    uint32_t numbers =
        list_count(call, "classlabels_ints") + list_count(call, "classlabels_int64s");
    feri_fact *y = feri_infer_out(call, 0);
    *out_count = texts > numbers ? texts : numbers;
    if (texts && numbers) {
        feri_infer_fail(call, "it has both classlabels_ints and classlabels_strings");
        return;
    }
    if (y) {
        y->dtype = texts ? FER_STRING : FER_I64;
    }
    feri_infer_set(call, 0, 1, &rows);
}

void feri_infer_linear_classifier(feri_infer *call) {
    const feri_fact *x = feri_infer_in(call, 0);
    uint32_t weights = list_count(call, "coefficients"), more = list_count(call, "intercepts");
    uint32_t labels;
    feri_sym rows, scores = feri_sym_unknown();
    FERI_STEP(rows_of(call, &rows));
    FERI_STEP(set_labels(call, rows, &labels));
    if (x->rank > 0 && feri_sym_is_number(x->dims[x->rank - 1])) {
        int64_t features = x->dims[x->rank - 1].number;
        int64_t classes = features > 0 ? weights / features : 0;
        if (classes < 1 || classes * features != weights || (more && more != classes) ||
            (labels > 0 && labels != classes && !(labels == 2 && classes == 1))) {
            feri_infer_fail(call,
                            "%u coefficients, %u intercepts and %u labels do not fit %lld "
                            "features",
                            weights,
                            more,
                            labels,
                            (long long)features);
            return;
        }
        scores = feri_sym_number(classes == 1 && labels == 2 ? 2 : classes);
    }
    set_matrix(call, 1, rows, scores);
}

void feri_infer_svm_regressor(feri_infer *call) {
    feri_sym rows;
    FERI_STEP(rows_of(call, &rows));
    set_matrix(call, 0, rows, feri_sym_number(1));
}

/* Scores: one per class; where there are no probabilities and two classes, still two. Without
 * vectors_per_class the model is linear, one row of coefficients per class. */
void feri_infer_svm_classifier(feri_infer *call) {
    feri_sym rows;
    uint32_t labels;
    FERI_STEP(rows_of(call, &rows));
    FERI_STEP(set_labels(call, rows, &labels));
    if (labels < 1) {
        feri_infer_fail(call, "it has no class labels");
        return;
    }
    uint64_t pairs = (uint64_t)labels * (labels - 1) / 2;
    int is_pairwise = list_count(call, "vectors_per_class") > 0 && !list_count(call, "prob_a");
    uint64_t scores = is_pairwise && labels > 2 ? pairs : labels;
    set_matrix(call, 1, rows, feri_sym_number((int64_t)scores));
}

void feri_infer_tree_ensemble(feri_infer *call) {
    feri_sym rows;
    int64_t targets = feri_infer_int(call, "n_targets", 1);
    FERI_STEP(rows_of(call, &rows));
    if (targets < 1) {
        feri_infer_fail(call, "n_targets is %lld, it must be positive", (long long)targets);
        return;
    }
    set_matrix(call, 0, rows, feri_sym_number(targets));
}

void feri_infer_tree_classifier(feri_infer *call) {
    feri_sym rows;
    uint32_t labels;
    FERI_STEP(rows_of(call, &rows));
    FERI_STEP(set_labels(call, rows, &labels));
    if (labels < 1) {
        feri_infer_fail(call, "it has no class labels");
        return;
    }
    set_matrix(call, 1, rows, feri_sym_number(labels));
}

/* The size is in the file. */
void feri_infer_image_decoder(feri_infer *call) {
    int is_gray = strcmp(feri_infer_string(call, "pixel_format", "RGB"), "Grayscale") == 0;
    feri_sym dims[3] = {feri_sym_unknown(), feri_sym_unknown(), feri_sym_number(is_gray ? 1 : 3)};
    FERI_STEP(feri_infer_rank(call, 0, 1, 1));
    feri_infer_set(call, 0, 3, dims);
}

/* ---- maps ---- */

/* One map per row: a sequence. */
void feri_infer_zip_map(feri_infer *call) {
    if (feri_infer_out(call, 0)) {
        feri_infer_out(call, 0)->kind = FER_KIND_SEQUENCE;
        feri_infer_out(call, 0)->dtype = FER_F32;
    }
    feri_infer_rank(call, 0, 1, 2);
}

void feri_infer_cast_map(feri_infer *call) {
    const char *to = feri_infer_string(call, "cast_to", "TO_FLOAT");
    feri_sym dims[2] = {feri_sym_number(1), feri_sym_unknown()};
    if (feri_infer_out(call, 0)) {
        feri_infer_out(call, 0)->dtype = strcmp(to, "TO_INT64") == 0    ? FER_I64
                                         : strcmp(to, "TO_STRING") == 0 ? FER_STRING
                                                                        : FER_F32;
    }
    feri_infer_set(call, 0, 2, dims);
}

void feri_infer_dict_vectorizer(feri_infer *call) {
    feri_sym dims[2] = {feri_sym_number(1), feri_sym_unknown()};
    if (feri_infer_out(call, 0)) {
        feri_infer_out(call, 0)->dtype = feri_infer_in(call, 0)->dtype;
    }
    feri_infer_set(call, 0, 2, dims);
}
