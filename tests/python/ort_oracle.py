# SPDX-License-Identifier: Apache-2.0
"""One node, run by Ferrule on ref and by ONNX Runtime, and compared: for ops that ONNX's node vectors do not have."""
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import helper

import ferrule

onnxruntime.set_default_logger_severity(4)


class Maker:
    """Inputs that depend on a case's name alone."""

    def __init__(self, name):
        self.random = np.random.default_rng(zlib.crc32(name.encode()))

    def floats(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def bytes(self, *shape):
        return self.random.integers(0, 256, shape).astype(np.uint8)

    def weights(self, *shape):
        """Signed bytes small enough that no runtime's 16-bit sums of two products saturate."""
        return self.random.integers(-64, 64, shape).astype(np.int8)

    def integers(self, low, high, *shape, dtype=np.int32):
        return self.random.integers(low, high, shape).astype(dtype)


def f32(value):
    return np.array(value, np.float32)


def u8(value):
    return np.array(value, np.uint8)


def i8(value):
    return np.array(value, np.int8)


def strings(*values):
    return np.array(values, object)


def model_of(op, domain, inputs, attributes, outputs, opset=17):
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{i}" if wanted else "" for i, wanted in enumerate(outputs)], domain=domain, name="node",
                            **attributes)
    infos = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
             for name, value in zip(names, inputs) if name]
    graph = helper.make_graph([node], "case", infos, [helper.make_empty_tensor_value_info(name) for name in node.output if name])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def by_both(op, domain, inputs, attributes, outputs):
    """(ref's outputs, ONNX Runtime's outputs)"""
    model = model_of(op, domain, inputs, attributes, outputs)
    feeds = {f"x{i}": value for i, value in enumerate(inputs) if value is not None}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ferrule.load(model, device="ref").run(feeds), session.run(None, feeds)


def compare(op, domain, inputs, attributes=None, outputs=(1,), rtol=1e-3, atol=2e-5, steps=0):
    """steps: how far quantised outputs may be off, where the two round differently."""
    ours, theirs = by_both(op, domain, inputs, attributes or {}, outputs)
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs):
        our, their = np.asarray(our), np.asarray(their)
        assert our.shape == their.shape
        if their.dtype.kind in "OU":
            assert our.ravel().tolist() == their.ravel().tolist()
            continue
        assert our.dtype == their.dtype
        if their.dtype.kind == "f":
            np.testing.assert_allclose(our, their, rtol=rtol, atol=atol)
        else:
            assert np.abs(our.astype(np.int64) - their.astype(np.int64)).max(initial=0) <= steps
