#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_bert.py FILE [--layers N]: a synthetic BERT-base encoder (12 layers, 768 wide) as onnx.save writes it.

About 340 MB, nearly all of it the layers (the vocabulary is cut to 1,000 words). Weights are random; attention, layer
norm and GELU are decomposed as exporters of opset 12 did. Batch and sequence are dynamic.
"""
import argparse

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, INNER, WORDS, PLACES = 768, 12, 3072, 1000, 512


class Builder:
    def __init__(self, seed):
        self.nodes, self.weights, self.count = [], [], 0
        self.random = np.random.default_rng(seed)

    def weight(self, name, *shape, scale=0.02):
        array = self.random.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def constant(self, name, array):
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op, *inputs, scope="", **attributes):
        self.count += 1
        output = f"{scope}/{op}_{self.count}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def linear(self, x, scope, rows, columns):
        product = self.add("MatMul", x, self.weight(f"{scope}.weight", rows, columns), scope=scope)
        return self.add("Add", product, self.weight(f"{scope}.bias", columns), scope=scope)

    def layer_norm(self, x, scope):
        mean = self.add("ReduceMean", x, scope=scope, axes=[-1])
        centered = self.add("Sub", x, mean, scope=scope)
        squared = self.add("Pow", centered, "two", scope=scope)
        variance = self.add("ReduceMean", squared, scope=scope, axes=[-1])
        deviation = self.add("Sqrt", self.add("Add", variance, "epsilon", scope=scope), scope=scope)
        normal = self.add("Div", centered, deviation, scope=scope)
        scaled = self.add("Mul", normal, self.constant(f"{scope}.gamma", np.ones(WIDTH, np.float32)), scope=scope)
        return self.add("Add", scaled, self.constant(f"{scope}.beta", np.zeros(WIDTH, np.float32)), scope=scope)

    def heads(self, x, scope, perm):
        split = self.add("Reshape", x, "split_shape", scope=scope)
        return self.add("Transpose", split, scope=scope, perm=perm)

    def layer(self, x, mask, scope):
        q = self.heads(self.linear(x, f"{scope}/query", WIDTH, WIDTH), scope, [0, 2, 1, 3])
        k = self.heads(self.linear(x, f"{scope}/key", WIDTH, WIDTH), scope, [0, 2, 3, 1])
        v = self.heads(self.linear(x, f"{scope}/value", WIDTH, WIDTH), scope, [0, 2, 1, 3])
        scores = self.add("Div", self.add("MatMul", q, k, scope=scope), "root", scope=scope)
        weights = self.add("Softmax", self.add("Add", scores, mask, scope=scope), scope=scope, axis=3)
        joined = self.add("Transpose", self.add("MatMul", weights, v, scope=scope), scope=scope, perm=[0, 2, 1, 3])
        merged = self.add("Reshape", joined, "merge_shape", scope=scope)
        x = self.layer_norm(self.add("Add", self.linear(merged, f"{scope}/out", WIDTH, WIDTH), x, scope=scope), f"{scope}/norm1")
        inner = self.linear(x, f"{scope}/inner", WIDTH, INNER)
        erf = self.add("Erf", self.add("Div", inner, "root_two", scope=scope), scope=scope)
        gelu = self.add("Mul", self.add("Mul", inner, self.add("Add", erf, "one", scope=scope), scope=scope), "half", scope=scope)
        outer = self.linear(gelu, f"{scope}/outer", INNER, WIDTH)
        return self.layer_norm(self.add("Add", outer, x, scope=scope), f"{scope}/norm2")


def make(layers):
    b = Builder(0)
    for name, value in (("two", 2), ("epsilon", 1e-12), ("root", WIDTH // HEADS), ("root_two", 2), ("one", 1), ("half", 0.5),
                        ("most", -10000)):
        value = np.sqrt(value) if name.startswith("root") else value
        b.constant(name, np.float32(value))
    b.constant("split_shape", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
    b.constant("merge_shape", np.array([0, 0, WIDTH], np.int64))
    words = b.add("Gather", b.weight("words", WORDS, WIDTH), "input_ids", scope="embed")
    length = b.add("Gather", b.add("Shape", "input_ids", scope="embed"), b.constant("axis_one", np.array([1], np.int64)), scope="embed")
    b.constant("start", np.array([0], np.int64))
    places = b.add("Slice", b.weight("places", PLACES, WIDTH), "start", length, scope="embed")
    x = b.layer_norm(b.add("Add", words, places, scope="embed"), "embed/norm")
    wide = b.add("Unsqueeze", b.add("Cast", "attention_mask", scope="mask", to=TensorProto.FLOAT), scope="mask", axes=[1, 2])
    mask = b.add("Mul", b.add("Sub", "one", wide, scope="mask"), "most", scope="mask")
    for index in range(layers):
        x = b.layer(x, mask, f"layer.{index}")
    first = b.add("Gather", x, b.constant("zero", np.array(0, np.int64)), scope="pool", axis=1)
    pooled = b.add("Tanh", b.linear(first, "pool/dense", WIDTH, WIDTH), scope="pool")
    b.nodes[-1].output[0] = "pooled"
    del pooled
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")]
    hidden = helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "sequence", WIDTH])
    pooled = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", WIDTH])
    graph = helper.make_graph(b.nodes, "bert", inputs, [hidden, pooled], initializer=b.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7, producer_name="ferrule tests")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--layers", type=int, default=12)
    args = parser.parse_args()
    model = make(args.layers)
    onnx.save(model, args.file)
    print(f"{args.file}: {model.ByteSize() / 1e6:.0f} MB, {len(model.graph.node)} nodes")


if __name__ == "__main__":
    main()
