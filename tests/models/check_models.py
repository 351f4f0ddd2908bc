#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the ten real models on real inputs and compares with ONNX Runtime, its optimisations off.

|err| <= 1e-3 |ref| + 1e-5 max|ref| for every output. The half model's lines say so: its f16 nodes may round at other
places than ONNX Runtime's. An output that is mostly zero proves nothing and is counted as mistrusted.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from model_inputs import real_models

RELATIVE, OF_LARGEST = 1e-3, 1e-5


def oracle(path, feeds):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    return session.run(None, {name: array for name, array in feeds.items() if name in wanted}), wanted


def ours(command, device, path, feeds, folder):
    line = [command, "run", str(path), "--device", device, "--output", str(folder / "out"), "--json"]
    for index, (name, array) in enumerate(feeds.items()):
        np.save(folder / f"in_{index}.npy", array)
        line += ["--input", f"{name}={folder}/in_{index}.npy"]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        return None, f"exit {done.returncode}: {done.stderr.strip()[:300]}"
    return json.loads(done.stdout), ""


def excess(got, want):
    """Largest |err| divided by what is allowed; above 1 is wrong."""
    if got.dtype != want.dtype or got.shape != want.shape:
        return float("inf")
    if not want.size:
        return 0.0
    allowed = RELATIVE * np.abs(want) + OF_LARGEST * np.abs(want).max()
    error = np.abs(got.astype(np.float64) - want)
    return float(np.max(np.where(error == 0, 0, error / np.maximum(allowed, 1e-300))))


def check_case(args, name, path, label, feeds):
    is_half = "half" in name
    wants, wanted = oracle(path, feeds)
    feeds = {key: array for key, array in feeds.items() if key in wanted}
    with tempfile.TemporaryDirectory() as folder:
        told, problem = ours(args.command, args.device, path, feeds, Path(folder))
        if told is None:
            print(f"FAIL {name:28} {label:22} {problem}")
            return False
        worst, largest, mistrusted = 0.0, 0.0, 0
        for index, want in enumerate(wants):
            got = np.load(f"{folder}/out/output_{index}.npy")
            worst = max(worst, excess(got, want))
            largest = max(largest, float(np.abs(got.astype(np.float64) - want).max(initial=0)) if got.shape == want.shape else np.inf)
            mistrusted += bool(want.size) and float(np.mean(want == 0)) > 0.9
    good = worst <= 1
    shapes = " ".join(str(list(want.shape)) for want in wants)
    print(f"{'ok  ' if good else 'FAIL'} {name:28} {label:22} err/limit {worst:8.2e}  |err| {largest:8.2e}  {told['run_ms']:8.1f} ms  {shapes}"
          f"{'  half' if is_half else ''}{'  MISTRUSTED: mostly zero' if mistrusted else ''}")
    return good and not mistrusted


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="build/tools/ferrule")
    parser.add_argument("--device", default="ref")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    begin = time.monotonic()
    good = bad = models = 0
    for name, path, cases in real_models():
        if args.only not in name:
            continue
        models += 1
        for label, feeds in cases:
            if check_case(args, name, path, label, feeds):
                good += 1
            else:
                bad += 1
            sys.stdout.flush()
    print(f"{models} models, {good + bad} cases in {time.monotonic() - begin:.0f} s")
    print(f"{good} passed, {bad} failed, 0 skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
