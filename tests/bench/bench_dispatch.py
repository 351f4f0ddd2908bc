#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dispatch cost: warm runs of one 16-element Relu against ONNX Runtime from C (interleaved), and instructions by callgrind.

    bench_dispatch.py [--build build/release]
Where ONNX Runtime's wheel does not carry its library, its Python binding is timed, and that is said.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def relu_model(path, elements):
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [elements])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [elements])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), path)


def run_json(*command, **keywords):
    return json.loads(subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True, **keywords).stdout)


def ort_library():
    found = glob.glob(str(Path(onnxruntime.__file__).parent / "capi/libonnxruntime.so*"))
    return found[0] if found else None


def ort_python(path, elements, runs):
    """The fastest Python offers: bound inputs and outputs. The binding's own cost is in it."""
    import time
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    x, y = (onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(elements, np.float32)) for _ in range(2))
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", x)
    binding.bind_ortvalue_output("y", y)
    run, raw, timer, samples = session._sess.run_with_iobinding, binding._iobinding, time.perf_counter_ns, []
    for _ in range(runs):
        begin = timer()
        run(raw, None)
        samples.append(timer() - begin)
    samples.sort()
    return {"min_ns": samples[0], "p50_ns": samples[len(samples) // 2]}


def instructions(binary, nodes, elements):
    """Instructions of one warm run, the kernel included, and those under the backend's kernels."""
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        for runs in (10, 1010):
            out = f"{folder}/callgrind.{runs}"
            subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--toggle-collect=measured_run",
                            str(binary), str(nodes), str(runs), str(elements)], check=True, capture_output=True)
            total = int(re.search(r"^(?:summary|totals): (\d+)", open(out).read(), re.M).group(1))
            counts.append(total)
    return (counts[1] - counts[0]) / (1000 * 1.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    binary = Path(args.build) / "tests/bench/bench_relu"
    elements, runs = 16, 50000
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "relu.onnx"
        relu_model(model, elements)
        library = ort_library()
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(run_json(binary, 1, runs, elements))
            theirs.append(run_json(f"{binary}_ort", library, model, runs, elements) if library else ort_python(model, elements, runs))
    mine, other = min(row["min_ns"] for row in ours), min(row["min_ns"] for row in theirs)
    mine_middle, other_middle = min(row["p50_ns"] for row in ours), min(row["p50_ns"] for row in theirs)
    print(f"machine: {os.cpu_count()} cores; empty call {min(row['empty_ns'] for row in ours):.0f} ns")
    print(f"Relu of {elements}: ferrule {mine:.0f} ns   ONNX Runtime {other:.0f} ns ({'C' if library else 'Python binding'})   ratio of minima {mine / other:.3f}, of medians {mine_middle / other_middle:.3f} (aim <= 0.4 from C)")
    one = instructions(binary, 1, elements)
    print(f"instructions of a run of one Relu of {elements}: {one:.0f} (aim <= 2500)")
    short, long = instructions(binary, 100, 1), instructions(binary, 1000, 1)
    print(f"instructions per step of 1,000 alternating Relu and Neg of 1 element, kernel included: {(long - short) / 900:.0f}")


if __name__ == "__main__":
    sys.exit(main())
