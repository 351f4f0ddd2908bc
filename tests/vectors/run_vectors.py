#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the vectors and models of ONNX's wheel through the command and compares with expectations.txt.

A vector is "pass" (exit 0 on all its data sets), "not yet" (exit 3 with a sentence that says so and names an op) or
"fail" (anything else: a wrong output, a crash, another refusal). Listed vectors must pass; all others must be "not yet".
An unexpected pass fails too: --write adds it to the list.

A line's third field and on is why it is not compared as usual: "random" vectors may differ in values only, "loose" ones
are compared with atol 1e-6. The other suites (simple, pytorch-converted, pytorch-operator and the light networks, whose
inputs ONNX's runner makes) are not listed: all of them must pass.
"""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx

HERE = Path(__file__).resolve().parent
WHEEL = Path(onnx.__file__).parent / "backend/test/data"
SUITES = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")


def prepare_light(model, folder):
    """A data set for a light network: an input that rises from 0 to 1, as ONNX's runner makes it, and the stored output."""
    graph = onnx.load(model).graph
    weights = {weight.name for weight in graph.initializer}
    folder.mkdir(parents=True)
    for number, value in enumerate(value for value in graph.input if value.name not in weights):
        shape = [max(dim.dim_value, 1) for dim in value.type.tensor_type.shape.dim]
        rising = (np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)).astype(np.float32)
        (folder / f"input_{number}.pb").write_bytes(onnx.numpy_helper.from_array(rising).SerializeToString())
    shutil.copy(model.with_name(model.stem + "_output_0.pb"), folder / "output_0.pb")


def suite_cases(suite, scratch):
    """name -> (model, its data sets)"""
    if suite == "light":
        models = sorted((WHEEL / suite).glob("*.onnx"))
        for model in models:
            prepare_light(model, scratch / model.stem)
        return {model.stem: (model, [scratch / model.stem]) for model in models}
    folders = [folder for folder in sorted((WHEEL / suite).iterdir()) if (folder / "model.onnx").exists()]
    return {folder.name: (folder / "model.onnx", sorted(folder.glob("test_data_set_*"))) for folder in folders}


def run_one(case, command, device, kind):
    """(verdict, sentence) of a vector."""
    model, data_sets = case
    for data in data_sets:
        line = [command, "run", model, "--device", device, "--threads", "1", "--data", data, "--expect", data]
        line += ["--atol", "1e-6"] if kind == "loose" else []
        try:
            done = subprocess.run([str(part) for part in line], capture_output=True, text=True, errors="replace", timeout=120)
        except subprocess.TimeoutExpired:
            return "fail", "takes more than 120 s"
        sentence = done.stderr.strip().splitlines()[0] if done.stderr.strip() else ""
        if done.returncode == 3 and "not yet" in done.stderr:
            return "not yet", done.stderr.strip()
        if kind == "random" and done.returncode == 1 and re.search(r"as expected: at \d+ it is", done.stderr):
            continue
        if done.returncode != 0:
            return "fail", f"exit {done.returncode}: {sentence}"
    return "pass", ""


def ops_of(graph):
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            yield from ops_of(attribute.g) if attribute.HasField("g") else ()


def read_expectations(path):
    expected = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            kind, name = line.split()[:2]
            expected[name] = kind
    return expected


def report(results, expected):
    """Prints the table and every surprise; returns how many surprises there are."""
    tiers = Counter()
    for name, (verdict, _) in results.items():
        tiers[expected.get(name, "rest"), verdict] += 1
    print(f"{'':18} {'pass':>6} {'not yet':>8} {'fail':>6}")
    for kind in ("T0", "T0x", "also", "random", "loose", "rest", *SUITES[1:]):
        print(f"{kind:18} {tiers[kind, 'pass']:6} {tiers[kind, 'not yet']:8} {tiers[kind, 'fail']:6}")
    surprises = 0
    for name, (verdict, sentence) in sorted(results.items()):
        if (verdict == "pass") != (name in expected) or verdict == "fail":
            surprises += 1
            print(f"FAIL {name}: {verdict}{': ' + sentence if sentence else ''}"[:240])
    return surprises


def report_not_yet(results, cases):
    named, unnamed = Counter(), []
    for name, (verdict, sentence) in results.items():
        if verdict != "not yet":
            continue
        ops = set(ops_of(onnx.load(cases[name][0]).graph))
        said = [op for op in ops if re.search(rf"\b{op}\b", sentence)]
        named.update(said[:1])
        if not said:
            unnamed.append((name, sentence))
    print("not yet, by op: " + ", ".join(f"{op} {count}" for op, count in sorted(named.items())))
    for name, sentence in unnamed:
        print(f"FAIL {name}: 'not yet' without the op's name: {sentence}"[:240])
    return len(unnamed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="build/tools/ferrule")
    parser.add_argument("--device", default="ref")
    parser.add_argument("--only", default="", help="a pattern names must match")
    parser.add_argument("--tier", help="only vectors of this kind in expectations.txt: T0, for builds with that op list")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="add new passes to expectations.txt")
    parser.add_argument("--suite", choices=SUITES, action="append", help="only this suite (may be repeated)")
    args = parser.parse_args()
    begin = time.monotonic()
    path = HERE / "expectations.txt"
    expected = read_expectations(path)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(args.jobs) as pool:
        suites = {suite: suite_cases(suite, Path(scratch)) for suite in args.suite or SUITES}
        cases = {name: case for cases in suites.values() for name, case in cases.items()
                 if re.search(args.only, name) and args.tier in (None, expected.get(name))}
        verdicts = pool.map(lambda name: run_one(cases[name], args.command, args.device, expected.get(name)), cases)
        results = dict(zip(cases, verdicts))
    models = {name: suite for suite, cases in suites.items() if suite != "node" for name in cases if name in results}
    if args.write:
        new = [name for name, (verdict, _) in results.items() if verdict == "pass" and name not in expected and name not in models]
        with path.open("a") as file:
            file.writelines(f"also {name}\n" for name in new)
        expected = read_expectations(path)
    surprises = report(results, {**models, **expected}) + report_not_yet(results, cases)
    print(f"{len(cases)} vectors in {time.monotonic() - begin:.0f} s")
    print(f"{len(results) - surprises} passed, {surprises} failed, 0 skipped")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
