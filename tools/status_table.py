#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""status_table.py [--check | --write]: the status table of README, from the op table, the reference backend's kernels and
the committed expectations of ONNX's node vectors. Prints it; --write puts it into README; --check fails when README is old.
"""
import re
import sys
from collections import Counter, namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- status: made by tools/status_table.py --write -->\n", "<!-- end of status -->"
VECTORS = 1765  # node vectors in onnx 1.22.0


Op = namedtuple("Op", "number ident domain name revision inputs outputs types attrs family infer expand flags")


def op_facts():
    """The rows of the op table."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "include/ferrule/op_table.def").read_text(), flags=re.S)
    for row in re.findall(r"^FER_OP\((.*?)\)\s*$", text, re.M | re.S):
        yield Op(*(field.strip().strip('"') for field in re.findall(r'\s*("[^"]*"|[^,"]+)\s*(?:,|$)', row)))


def kernels(folder):
    found = set()
    for path in (ROOT / folder).glob("*.c"):
        found.update(re.findall(r"\b(?:FER_OP_|OP_|ROW\(|MOVES\(|FERI_REF_ROW\(|FERI_REF_KERNEL\(|FERI_REF_IS\([^,]*, )(\w+)", path.read_text()))
    return found


def table():
    ops = {op.ident: (op.family, op.expand) for op in op_facts()}
    ref = kernels("backends/ref") & set(ops)
    host = (kernels("lib/host") & set(ops)) - ref
    expanded = {ident for ident, (_, expansion) in ops.items() if expansion != "none"} - ref - host
    tiers = Counter(line.split()[0] for line in (ROOT / "tests/vectors/expectations.txt").read_text().splitlines()
                    if line and not line.startswith("#"))
    rest = VECTORS - sum(tiers.values())
    families = Counter(ops[ident][0] for ident in ref | host | expanded)
    rows = [
        "| what | how much |",
        "|---|---|",
        f"| ops known (ai.onnx up to opset 27) | {len(ops)} |",
        f"| of them with a reference kernel | {len(ref)} |",
        f"| run by the host (control flow, sequences, optionals, strings) | {len(host)} |",
        f"| run as their expansion | {len(expanded)} |",
        f"| ONNX node vectors of tier T0, right on ref | {tiers['T0']} of 1085 |",
        f"| that expand into T0, right on ref | {tiers['T0x']} of 91 |",
        f"| others, right on ref | {tiers['also']} |",
        f"| random, checked by shape here and by distribution in a test | {tiers['random']} |",
        f"| whose own f32 rounding is above the usual limit, right within a wider one | {tiers['loose']} |",
        f"| refused with \"not yet\" and the op's name | {rest} |",
        f"| families | {', '.join(f'{name} {count}' for name, count in sorted(families.items()))} |",
    ]
    return "\n".join(rows) + "\n"


def main():
    made = table()
    readme = ROOT / "README.md"
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    fresh = head + BEGIN + made + END + tail
    if "--write" in sys.argv:
        readme.write_text(fresh)
    elif "--check" in sys.argv and fresh != text:
        print("README's status table is old: python3 tools/status_table.py --write")
        return 1
    print(made, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
