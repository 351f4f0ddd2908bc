#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_add.py FOLDER: writes a one-node model, its input and its output in ONNX's test layout."""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    shape = [2, 3]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"], name="double")], "add",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    x = np.arange(6, dtype=np.float32).reshape(shape) - 2.5
    for stem, array in (("input_0", x), ("output_0", x + x)):
        (folder / f"{stem}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())


if __name__ == "__main__":
    main()
