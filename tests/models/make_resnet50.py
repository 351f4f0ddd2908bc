#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_resnet50.py FILE: ResNet-50 (He et al. 2015, stride on the 3x3) with random weights, batch norms not folded."""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    def __init__(self):
        self.nodes, self.weights = [], []
        self.random = np.random.default_rng(0)

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def add(self, op, name, *inputs, **attributes):
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, x, name, inputs, outputs, size, stride=1, relu=True):
        fan = inputs * size * size
        w = self.random.standard_normal((outputs, inputs, size, size), dtype=np.float32) * np.sqrt(2 / fan)
        pad = size // 2
        y = self.add("Conv", f"{name}/conv", x, self.weight(f"{name}.w", w), kernel_shape=[size, size], strides=[stride, stride],
                     pads=[pad, pad, pad, pad])
        uniform = self.random.uniform
        statistics = [self.weight(f"{name}.{part}", array) for part, array in (
            ("scale", uniform(0.8, 1.2, outputs)), ("bias", uniform(-0.1, 0.1, outputs)), ("mean", uniform(-0.1, 0.1, outputs)),
            ("variance", uniform(0.8, 1.2, outputs)))]
        y = self.add("BatchNormalization", f"{name}/norm", y, *statistics, epsilon=1e-5)
        return self.add("Relu", f"{name}/relu", y) if relu else y

    def block(self, x, name, inputs, width, stride):
        outputs = 4 * width
        y = self.conv(x, f"{name}.a", inputs, width, 1)
        y = self.conv(y, f"{name}.b", width, width, 3, stride)
        y = self.conv(y, f"{name}.c", width, outputs, 1, relu=False)
        if inputs != outputs:
            x = self.conv(x, f"{name}.side", inputs, outputs, 1, stride, relu=False)
        return self.add("Relu", f"{name}/out", self.add("Add", f"{name}/sum", y, x))


def make():
    b = Builder()
    x = b.conv("image", "stem", 3, 64, 7, 2)
    x = b.add("MaxPool", "stem/pool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inputs = 64
    for stage, (count, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for index in range(count):
            x = b.block(x, f"stage{stage}.{index}", inputs, width, 2 if stage and not index else 1)
            inputs = 4 * width
    x = b.add("Flatten", "flat", b.add("GlobalAveragePool", "pool", x))
    w = b.weight("head.w", b.random.standard_normal((1000, 2048)) * 0.01)
    b.add("Gemm", "scores", x, w, b.weight("head.b", np.zeros(1000)), transB=1)
    graph = helper.make_graph(b.nodes, "resnet50", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])],
                              [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 1000])], initializer=b.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8, producer_name="ferrule tests")


if __name__ == "__main__":
    model = make()
    onnx.save(model, sys.argv[1])
    print(f"{sys.argv[1]}: {model.ByteSize() / 1e6:.0f} MB, {len(model.graph.node)} nodes")
