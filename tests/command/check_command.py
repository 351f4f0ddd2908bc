#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command, verb by verb, on models that `ferrule conform --repro` writes: exit statuses, sentences, and JSON that is JSON."""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

failures = []
# Outputs of every kind that a run can give and a file can hold.
CASES = {"numbers": "Relu/f32/odd/-/ints/1", "strings": "StringConcat/str/odd/-/ints/6",
         "sequence": "SequenceConstruct/f32/scalar/n=3/ints/1"}


def check(good, what):
    if not good:
        failures.append(what)
        print("FAIL", what, flush=True)


class Command:
    def __init__(self, path):
        self.path = path

    def __call__(self, *words):
        return subprocess.run([self.path, *map(str, words)], capture_output=True, text=True, timeout=600)

    def exits(self, status, sentence, *words):
        done = self(*words)
        check(done.returncode == status and sentence in done.stderr,
              f"{words}: exit {done.returncode}, not {status}; '{sentence}' wanted in: {done.stderr}")
        return done

    def answers(self, *words):
        done = self.exits(0, "", *words, "--json")
        try:
            return json.loads(done.stdout)
        except ValueError as problem:
            check(False, f"{words}: {problem}: {done.stdout[:300]}")
            return {}


def check_models(ferrule, folder):
    for name, case in CASES.items():
        here = folder / name
        ferrule.exits(0, "", "conform", "--repro", case, "--output", here)
        model, data = here / "model.onnx", here / "test_data_set_0"
        for words in (("inspect", model), ("inspect", model, "--passes"), ("explain", model, "--device", "ref", "--data", data),
                      ("run", model, "--device", "ref", "--data", data, "--expect", data),
                      ("bench", model, "--device", "ref", "--data", data, "--seconds", "0.01")):
            check(ferrule.answers(*words) and ferrule(*words).stdout, f"{words} says nothing")
        bench = ferrule.answers("bench", model, "--device", "ref", "--data", data, "--seconds", "0")
        keys = {"load_ms", "compile_ms", "first_ms", "min_ms", "p50_ms", "p90_ms", "p99_ms", "runs", "peak_rss_bytes"}
        check(keys <= set(bench) and bench["runs"] >= 1, f"bench of {name}: {bench}")


def check_names(ferrule, folder):
    """What a model calls its values is shown, and no terminal obeys it."""
    model = folder / "numbers/model.onnx"
    name = ferrule.answers("inspect", model)["inputs"][0]["name"].encode()
    wild = folder / "wild.onnx"
    wild.write_bytes(model.read_bytes().replace(name, b"\x1b" * len(name)))
    for words in (("inspect", wild), ("inspect", wild, "--passes"), ("explain", wild), ("run", wild, "--input", name.decode() + "=1")):
        done = ferrule(*words)
        said = done.stdout + done.stderr
        check("\x1b" not in said and ("?" in said or words[0] != "inspect"), f"{words}: {said!r}")


def check_exits(ferrule, folder):
    model, data = folder / "numbers/model.onnx", folder / "numbers/test_data_set_0"
    other = folder / "strings/test_data_set_0"
    run = ("run", model, "--device", "ref")
    ferrule.exits(1, "not as expected", *run, "--fill", "ones", "--expect", data)
    differing = ferrule.exits(1, "it is f32, not str", *run, "--data", data, "--expect", other)
    check("0 of 0" not in differing.stderr, f"a sum of what was not compared: {differing.stderr}")
    ferrule.exits(2, "no verb", "walk")
    ferrule.exits(2, "no flag '--nosuch'", *run, "--nosuch")
    ferrule.exits(2, "--deadline takes MS", *run, "--deadline", "soon")
    ferrule.exits(2, "open dim 'nosuch'", *run, "--dim", "nosuch=3")
    ferrule.exits(2, "--dim takes NAME=N", *run, "--dim", "n=99999999999999999999")
    ferrule.exits(4, "no such file", "run", folder / "nosuch.onnx")
    ferrule.exits(4, "'", "run", data / "input_0.pb")
    for deadline in ("0.000001", "1e-12"):
        ferrule.exits(5, "deadline", *run, "--deadline", deadline)
    ferrule.exits(5, "budget", *run, "--budget", "1")
    ferrule.exits(6, "no device 'nosuch'", "run", model, "--device", "nosuch")
    for deadline in ("0", "1e30", "inf"):
        ferrule.exits(0, "", *run, "--deadline", deadline)
    failed = ferrule("run", model, "--device", "nosuch", "--json")
    check(json.loads(failed.stdout)["error"]["status"] == "NO_DEVICE", f"--json of a failure: {failed.stdout}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="build/tools/ferrule")
    ferrule = Command(parser.parse_args().command)
    check("ref:0" in ferrule("devices").stdout, "devices does not list ref:0")
    check(ferrule.answers("devices") and ferrule.answers("version"), "devices or version says nothing")
    with tempfile.TemporaryDirectory(prefix="ferrule-command-") as folder:
        check_models(ferrule, Path(folder))
        check_names(ferrule, Path(folder))
        check_exits(ferrule, Path(folder))
    print("ok" if not failures else f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
