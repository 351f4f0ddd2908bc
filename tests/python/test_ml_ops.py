# SPDX-License-Identifier: Apache-2.0
"""ai.onnx.ml against ONNX Runtime. Where the two differ, ONNX's text is the judge and the expected values stand here."""
import numpy as np
import pytest

import ferrule
from ort_oracle import Maker, by_both, compare, model_of, strings

ML = "ai.onnx.ml"
NAN = float("nan")
TREES = {
    "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1], "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
    "nodes_featureids": [0, 0, 1, 0, 0, 2, 0, 0], "nodes_values": [0.1, 0.0, 0.2, 0.0, 0.0, -0.1, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_GT", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 3, 0, 0, 1, 0, 0], "nodes_falsenodeids": [2, 0, 4, 0, 0, 2, 0, 0],
    "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0, 0, 0],
}
VOTES = {"treeids": [0, 0, 0, 1, 1, 1], "nodeids": [1, 3, 4, 1, 2, 2]}


def plain(m):
    return m.floats(5, 4)


def with_nan(m):
    x = m.floats(5, 4)
    x[1, 2] = x[3, 0] = np.nan
    return x


def numbers(m, count):
    return [float(value) for value in m.floats(count)]


# name: (op, inputs from a Maker, attributes)
CASES = {
    "binarizer": ("Binarizer", lambda m: [plain(m)], {"threshold": 0.2}),
    "scaler": ("Scaler", lambda m: [plain(m)], {"offset": [0.1, 0.2, 0.3, 0.4], "scale": [1.0, 2.0, 3.0, 4.0]}),
    "scaler, one": ("Scaler", lambda m: [plain(m)], {"offset": [0.1], "scale": [2.0]}),
    "scaler, integers": ("Scaler", lambda m: [m.integers(0, 9, 3, 4, dtype=np.int64)], {"offset": [0.5], "scale": [2.0]}),
    "norm, most": ("Normalizer", lambda m: [plain(m)], {"norm": "MAX"}),
    "norm, sum": ("Normalizer", lambda m: [plain(m)], {"norm": "L1"}),
    "norm, length": ("Normalizer", lambda m: [plain(m)], {"norm": "L2"}),
    "imputer": ("Imputer", lambda m: [with_nan(m)], {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0], "replaced_value_float": NAN}),
    "imputer, integers": ("Imputer", lambda m: [m.integers(0, 3, 4, 3, dtype=np.int64)],
                          {"imputed_value_int64s": [7], "replaced_value_int64": 1}),
    "vectorizer": ("FeatureVectorizer", lambda m: [m.floats(3, 2), m.floats(3, 4)], {"inputdimensions": [3, 2]}),
    "vectorizer, whole": ("FeatureVectorizer", lambda m: [m.floats(3, 2), m.floats(3, 4)], {"inputdimensions": [2, 4]}),
    "extractor": ("ArrayFeatureExtractor", lambda m: [plain(m), np.array([[1, 3]], np.int64)], {}),
    "extractor, strings": ("ArrayFeatureExtractor", lambda m: [strings("a", "b", "c"), np.array([2, 0], np.int64)], {}),
    "one-hot": ("OneHotEncoder", lambda m: [np.array([[1, 2], [5, 9]], np.int64)], {"cats_int64s": [1, 5, 9], "zeros": 1}),
    "one-hot, strings": ("OneHotEncoder", lambda m: [strings("a", "x", "b")], {"cats_strings": ["a", "b"], "zeros": 1}),
    "labels, to numbers": ("LabelEncoder", lambda m: [strings("a", "x", "b")],
                           {"keys_strings": ["a", "b"], "values_floats": [1.5, 2.5]}),
    "labels, to strings": ("LabelEncoder", lambda m: [np.array([1, 2, 3], np.int64)],
                           {"keys_int64s": [1, 3], "values_strings": ["p", "q"]}),
    "category": ("CategoryMapper", lambda m: [strings("a", "x", "b")], {"cats_strings": ["a", "b"], "cats_int64s": [4, 5]}),
    "category, back": ("CategoryMapper", lambda m: [np.array([4, 6, 5], np.int64)],
                       {"cats_strings": ["a", "b"], "cats_int64s": [4, 5]}),
    "linear": ("LinearRegressor", lambda m: [plain(m)],
               {"coefficients": [0.1 * i - 0.4 for i in range(8)], "intercepts": [0.1, 0.2], "targets": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_simple(name):
    op, inputs, attributes = CASES[name]
    compare(op, ML, inputs(Maker(name)), attributes)


@pytest.mark.parametrize("after", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
def test_linear_classifier(after):
    m = Maker(after)
    compare("LinearClassifier", ML, [plain(m)], {"coefficients": numbers(m, 12), "intercepts": [0.1, 0.2, 0.3],
                                                 "classlabels_ints": [3, 4, 5], "post_transform": after}, (1, 1))


def test_linear_classifier_of_two():
    m = Maker("two")
    compare("LinearClassifier", ML, [plain(m)], {"coefficients": numbers(m, 4), "intercepts": [0.1],
                                                 "classlabels_strings": ["no", "yes"], "post_transform": "LOGISTIC"}, (1, 1))


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_support_vectors(kernel):
    m = Maker(kernel)
    kind = {"kernel_type": kernel, "kernel_params": [0.3, 0.1, 2.0]}
    compare("SVMRegressor", ML, [plain(m)], {"coefficients": numbers(m, 3), "support_vectors": numbers(m, 12), "rho": [0.1],
                                             "n_supports": 3, **kind})
    three = {"coefficients": numbers(m, 10), "support_vectors": numbers(m, 20), "rho": [0.1, 0.2, -0.1],
             "vectors_per_class": [2, 1, 2], "classlabels_ints": [3, 4, 5], **kind}
    two = {"coefficients": numbers(m, 4), "support_vectors": numbers(m, 16), "rho": [0.1], "vectors_per_class": [2, 2],
           "classlabels_strings": ["n", "y"], **kind}
    compare("SVMClassifier", ML, [plain(m)], three, (1, 1))
    compare("SVMClassifier", ML, [plain(m)], {**three, "prob_a": [-1.0, -1.2, -0.8], "prob_b": [0.1, 0.0, -0.1]}, (1, 1))
    compare("SVMClassifier", ML, [plain(m)], two, (1, 1))
    compare("SVMClassifier", ML, [plain(m)], {**two, "prob_a": [-1.0], "prob_b": [0.2]}, (1, 1))


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_tree_regressor(aggregate):
    targets = {**{f"target_{key}": value for key, value in VOTES.items()}, "target_ids": [0, 1, 0, 0, 1, 0],
               "target_weights": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "n_targets": 2}
    compare("TreeEnsembleRegressor", ML, [with_nan(Maker(aggregate))], {**TREES, **targets, "aggregate_function": aggregate})


@pytest.mark.parametrize("after", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
def test_tree_classifier_of_three(after):
    votes = {**{f"class_{key}": value for key, value in VOTES.items()}, "class_ids": [0, 1, 2, 0, 1, 2],
             "class_weights": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "classlabels_int64s": [7, 8, 9]}
    compare("TreeEnsembleClassifier", ML, [with_nan(Maker(after))], {**TREES, **votes, "post_transform": after}, (1, 1))


@pytest.mark.parametrize("after", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("weights, base", [([0.1, 0.2, 0.3, 0.4, 0.5], []), ([-0.1, 0.2, -0.3, 0.4, 0.5], []),
                                           ([-0.1, 0.2, -0.3, 0.4, 0.5], [0.1])])
def test_tree_classifier_of_two(after, weights, base):
    votes = {"class_treeids": [0, 0, 0, 1, 1], "class_nodeids": [1, 3, 4, 1, 2], "class_ids": [0] * 5, "class_weights": weights,
             "classlabels_strings": ["n", "y"], **({"base_values": base} if base else {})}
    compare("TreeEnsembleClassifier", ML, [with_nan(Maker(after))], {**TREES, **votes, "post_transform": after}, (1, 1))


def test_strings_beyond_ml():
    words = strings("b", "a", "b", "", "zz", "a")
    for in_order in (0, 1):
        compare("Unique", "", [words], {"sorted": in_order}, (1, 1, 1, 1))
    compare("TfIdfVectorizer", "", [np.array([["a", "b", "c", "a"], ["b", "b", "z", "a"]], object)],
            {"max_gram_length": 2, "min_gram_length": 1, "max_skip_count": 1, "mode": "TFIDF", "ngram_counts": [0, 2],
             "ngram_indexes": [0, 1, 2, 3], "pool_strings": ["a", "b", "a", "b", "b", "c"], "weights": [0.5, 1.0, 2.0, 3.0]})


def test_strings_fold_where_blocks_lie_apart():
    """Nobody else folds strings. Where blocks may overlap it would take a sum, which strings have not."""
    words = np.array([[list("ae"), list("bf"), list("cg"), list("dh")]], object)
    shapes = [np.array([2, 4], np.int64), np.array([2, 2], np.int64)]
    model = model_of("Col2Im", "", [words, *shapes], {"strides": [2, 2]}, (1,), opset=18)
    assert ferrule.load(model, device="ref")(words, *shapes)[0].tolist() == [[[list("abef"), list("cdgh")]]]
    model = model_of("Col2Im", "", [words, *shapes], {}, (1,), opset=18)
    with pytest.raises(ferrule.Error, match="strings have no sum"):
        ferrule.load(model, device="ref")(words, *shapes)


def test_a_nan_is_a_key_like_others():
    """ONNX Runtime finds no NaN; the schema of LabelEncoder 4 says that NaN keys match."""
    inputs = [np.array([1, 2, NAN], np.float32)]
    ours, theirs = by_both("LabelEncoder", ML, inputs, {"keys_floats": [1.0, NAN], "values_int64s": [10, 20]}, (1,))
    assert np.asarray(ours[0]).tolist() == [10, -1, 20]
    assert theirs[0].tolist() != [10, -1, 20], "ONNX Runtime has changed: compare() will do"


def test_svm_without_vectors_is_linear():
    """ONNX Runtime wants kernel_params even so."""
    m = Maker("linear")
    x, weights = plain(m), numbers(m, 4)
    model = model_of("SVMRegressor", ML, [x], {"coefficients": weights, "rho": [0.1]}, (1,))
    np.testing.assert_allclose(ferrule.load(model, device="ref")(x)[0][:, 0], x @ np.float32(weights) + 0.1, rtol=1e-5, atol=1e-6)
