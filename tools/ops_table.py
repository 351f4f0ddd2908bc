#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ops_table.py --device NAME=REPORT... [--vectors REPORT] [--check | --write]: docs/ops.md, every op with its revision and dtypes and, for
each device, how it ran and how many cases of it passed. REPORT is what `ferrule conform --report` wrote: of the generated cases
for a device, of ONNX's node vectors (on ref) for --vectors. --check fails when docs/ops.md is old.
"""
import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

from status_table import ROOT, op_facts

TITLES = {"": "ai.onnx"}
LEGEND = """# Every op
Made by tools/ops_table.py from the op table and the reports of `ferrule conform`; check.sh fails when it is old.

- *revision*: opset version of the newest meaning. *dtypes*: float is f64 f32 f16 bf16; sint i8 to i64; uint u8 to u64; int both;
  complex c64 c128; float8 its four kinds; sub the sub-byte dtypes; tensor every dtype; seq, opt, any are value kinds.
- a device's column: *native* (a kernel of its own), *expanded* (as simpler ops), *host* (control flow, sequences, optionals and
  strings are the host's), and generated cases passed/run; - where the device does not claim the op. What is waived by the device's
  expectations counts as run and not as passed.
- *vectors*: ONNX's node vectors (onnx 1.22.0) whose graph has the op, passed/all, on ref.
"""


def read_report(path):
    """[cases], the sums left out."""
    return [line for line in map(json.loads, Path(path).read_text().splitlines()) if "case" in line]


def by_op(cases):
    """op -> (how it ran, passed, run)"""
    rans, passed, run = defaultdict(Counter), Counter(), Counter()
    for case in cases:
        if case["result"] != "not-claimed":
            run[case["op"]] += 1
        if case["result"] == "pass":
            passed[case["op"]] += 1
            rans[case["op"]][case["ran"]] += 1
    return {op: (", ".join(ran for ran, _ in rans[op].most_common()), passed[op], run[op]) for op in run}


def by_vector(cases):
    """op -> [passed, all], by the nodes of each vector's graph"""
    import onnx
    counts = defaultdict(lambda: [0, 0])
    for case in cases:
        model = onnx.load(Path(case["case"].removeprefix("vector:")) / "model.onnx")
        for op in {(node.domain + "." if node.domain not in ("", "ai.onnx") else "") + node.op_type for node in model.graph.node}:
            counts[op][0] += case["result"] == "pass"
            counts[op][1] += 1
    return counts


def table(devices, vectors):
    counts = {name: by_op(read_report(path)) for name, path in devices}
    tested = by_vector(read_report(vectors)) if vectors else {}
    out, shown = [LEGEND], None
    for fact in sorted(op_facts(), key=lambda fact: (fact.domain, fact.name)):
        if fact.domain != shown:
            shown = fact.domain
            columns = ["op", "revision", "dtypes", *(name for name, _ in devices), "vectors"]
            out += ["", f"## {TITLES.get(shown, shown)}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        full = (fact.domain + "." if fact.domain else "") + fact.name
        cells = [fact.name, str(fact.revision), fact.types.replace("|", " ") or "-"]
        for name, _ in devices:
            ran, passed, run = counts[name].get(full, ("", 0, 0))
            cells.append(f"{ran} {passed}/{run}".strip() if run else "-")
        cells.append("/".join(map(str, tested[full])) if full in tested else "-")
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", action="append", required=True, metavar="NAME=REPORT")
    parser.add_argument("--vectors", metavar="REPORT")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    made = table([device.split("=", 1) for device in args.device], args.vectors)
    page = ROOT / "docs/ops.md"
    if args.write:
        page.write_text(made)
    elif not args.check:
        print(made, end="")
    elif not page.exists() or page.read_text() != made:
        print(f"FAIL docs/ops.md is old: python3 {' '.join(sys.argv).replace('--check', '--write')}")
        print("1 failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
