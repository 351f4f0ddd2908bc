#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_seeds.py FOLDER INPUTS: the seed corpora: small models that reach every corner of the importer, and what runs are given
(see fuzz_inputs.c: two bytes say what the rest is).

Handmade ones for initializers in each storage, external data, subgraphs, functions, sparse tensors and old opsets, and
the models of ONNX's node vectors up to 2 KB.
"""
import io
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

F32 = TensorProto.FLOAT


def info(name, shape, dtype=F32):
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes, inputs, outputs, opset=17, functions=(), **graph):
    made = helper.make_graph(nodes, "seed", inputs, outputs, **graph)
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid("own", 1)] if functions else [])
    return helper.make_model(made, opset_imports=opsets, ir_version=8, functions=list(functions))


def seeds():
    x, y = info("x", ["n", 4]), info("y", None)
    weight = numpy_helper.from_array(np.arange(16, dtype=np.float32).reshape(4, 4), "w")
    typed = helper.make_tensor("w", F32, [4, 4], [float(i) for i in range(16)])
    yield "raw", model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [x], [y], initializer=[weight])
    yield "typed", model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [x], [y], initializer=[typed])
    lying = onnx.TensorProto()
    lying.CopyFrom(weight)
    lying.dims[0] = 1 << 40
    yield "lying", model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [x], [y], initializer=[lying])
    outside = onnx.TensorProto(name="w", data_type=F32, dims=[4, 4], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="../weights.bin")
    yield "external", model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [x], [y], initializer=[outside])
    condition = info("c", [], TensorProto.BOOL)
    branch = [helper.make_graph([helper.make_node(op, ["x"], ["b"])], op, [], [info("b", None)]) for op in ("Relu", "Neg")]
    yield "if", model_of([helper.make_node("If", ["c"], ["y"], then_branch=branch[0], else_branch=branch[1])],
                         [condition, x], [y])
    body = helper.make_graph([helper.make_node("Add", ["s", "x"], ["t"]), helper.make_node("Identity", ["k"], ["l"])],
                             "body", [info("i", [], TensorProto.INT64), info("k", [], TensorProto.BOOL), info("s", None)],
                             [info("l", [], TensorProto.BOOL), info("t", None)])
    yield "loop", model_of([helper.make_node("Loop", ["m", "", "x"], ["y"], body=body)],
                           [info("m", [], TensorProto.INT64), x], [y])
    function = helper.make_function("own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
                                    [helper.make_opsetid("", 17)])
    recursive = helper.make_function("own", "Twice", ["a"], ["b"], [helper.make_node("Twice", ["a"], ["b"], domain="own")],
                                     [helper.make_opsetid("own", 1)])
    for name, made in (("function", function), ("recursion", recursive)):
        yield name, model_of([helper.make_node("Twice", ["x"], ["y"], domain="own")], [x], [y], functions=[made])
    values = numpy_helper.from_array(np.array([1, 2], dtype=np.float32), "w")
    places = numpy_helper.from_array(np.array([1, 6], dtype=np.int64), "places")
    sparse = helper.make_sparse_tensor(values, places, [4, 4])
    yield "sparse", model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [x], [y], sparse_initializer=[sparse])
    yield "reshape", model_of([helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Reshape", ["x", "s"], ["y"])], [x], [y])
    yield "old_add", model_of([helper.make_node("Add", ["x", "w"], ["y"], axis=1, broadcast=1)], [x], [y], opset=6,
                              initializer=[numpy_helper.from_array(np.ones(4, dtype=np.float32), "w")])
    yield "old_slice", model_of([helper.make_node("Slice", ["x"], ["y"], starts=[0], ends=[2], axes=[1])], [x], [y], opset=9)
    yield "strings", model_of([helper.make_node("Constant", [], ["y"], value_strings=["a", "bc"])], [], [y])


def pictures():
    slope = np.add.outer(np.arange(13) * 9, np.arange(17) * 7).astype(np.uint8)
    for mode in ("RGB", "L", "P", "1"):
        picture = Image.fromarray(np.dstack([slope, slope[::-1], slope[:, ::-1]])).convert(mode)
        for kind, options in (("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {"lossless": True}), ("WEBP", {"quality": 30}),
                              ("JPEG2000", {}), ("JPEG2000", {"irreversible": True, "tile_size": (8, 8)}), ("BMP", {}), ("PPM", {}), ("TIFF", {})):
            data = io.BytesIO()
            try:
                picture.save(data, kind, **options)
            except (OSError, ValueError):  # not every format holds every mode
                continue
            yield data.getvalue()


def inputs():
    for number, picture in enumerate(pictures()):
        yield bytes([0, number % 3]) + picture
    for pattern, text in (("a*b|c+", "aab"), ("[a-z0-9_]{2,5}x?", "abcx"), (r"\w+@\w+\.(com|org)", "ab@c.com"), ("(?i:ab)[^x]", "ABy"),
                          (r"(a|b)*\d{3}$", "ab123"), ("^.*$", "x\ny")):
        yield bytes([1, len(pattern)]) + (pattern + text).encode()
    three = np.arange(3, dtype=np.float32)
    for array in (three, np.array(["a", "bc"], dtype=object), np.array([1 + 2j], dtype=np.complex64)):
        yield b"\2\0" + numpy_helper.from_array(array).SerializeToString()
    yield b"\2\1" + numpy_helper.from_list([three, three]).SerializeToString()
    yield b"\2\2" + numpy_helper.from_optional(three).SerializeToString()


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, model in seeds():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
        count += 1
    vectors = Path(onnx.__file__).parent / "backend/test/data/node"
    for path in sorted(vectors.glob("*/model.onnx")):
        if path.stat().st_size <= 2048:
            shutil.copy(path, folder / f"{path.parent.name}.onnx")
            count += 1
    other = Path(sys.argv[2])
    other.mkdir(parents=True, exist_ok=True)
    others = list(inputs())
    for number, data in enumerate(others):
        (other / f"{number:03}").write_bytes(data)
    print(f"{count} seeds in {folder}, {len(others)} in {other}")


if __name__ == "__main__":
    main()
