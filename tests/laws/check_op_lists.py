#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_op_lists.py ROOT: the op selection (tools/select_ops.py) against the op table and the shipped lists.

Every expansion that the op table names has texts, which call known ops only; a list is closed over them; the header drops
exactly the rest; a wrong name is refused with its line.
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(sys.argv[1])
sys.path.insert(0, str(ROOT / "tools"))
import select_ops  # noqa: E402


def selected(text, folder):
    (folder / "list.txt").write_text(text)
    return subprocess.run([sys.executable, str(ROOT / "tools/select_ops.py"), "list.txt", str(ROOT), "out.h", "out.d"],
                          cwd=folder, capture_output=True, text=True)


def main():
    table = select_ops.read_table(ROOT / "include/ferrule/op_table.def")
    expansions = select_ops.read_expansions(ROOT)
    rows = (ROOT / "include/ferrule/op_table.def").read_text().count("\nFER_OP(")
    failures = [] if rows == len(table) else [f"op_table.def has {rows} rows, select_ops.py reads {len(table)}"]
    for op, (_, expansion) in table.items():
        calls = expansions.get(expansion, set())
        if expansion != "none" and not calls:
            failures.append(f"{op}: no text of its expansion '{expansion}' in lib/op/expand_*")
        failures += [f"{op}: its expansion calls '{called}', which is no op" for called in calls if called not in table]
    domains = {first: name for first, name in re.findall(r'\{(\d+), +"([^"]*)" *\}', (ROOT / "lib/op/op_table.c").read_text())}
    for number, domain in re.findall(r'^FER_OP\((\d+), \w+, "([^"]*)"', (ROOT / "include/ferrule/op_table.def").read_text(), re.M):
        if domains[max((first for first in domains if int(first) <= int(number)), key=int)] != domain:
            failures.append(f"op {number} of domain '{domain}' is outside that domain's range of numbers in op_table.c")
    for path in (ROOT / "tools/oplists").glob("*.txt"):
        chosen = select_ops.read_list(path, table)
        if not chosen <= select_ops.close(chosen, table, expansions):
            failures.append(f"{path.name}: closing it lost an op")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = selected("HardSwish # HardSigmoid, so Add, Max, Min, Mul\nai.onnx.ml:Scaler\n", folder)
        header = (folder / "out.h").read_text() if done.returncode == 0 else done.stderr
        for kept in ("HardSwish", "HardSigmoid", "Add", "Max", "Min", "Mul", "Cast", "ml_Scaler"):
            if f"FERI_WITHOUT_{kept} " in header:
                failures.append(f"HardSwish needs {kept}, but it is dropped")
        if "#define FERI_WITHOUT_Conv ~,\n" not in header or "#define FERI_WITHOUT_ml_Imputer ~,\n" not in header:
            failures.append(f"Conv or ai.onnx.ml:Imputer is not dropped: {header[:200]}")
        done = selected("Add\nFrobnicate\n", folder)
        if done.returncode == 0 or "list.txt:2: 'Frobnicate'" not in done.stderr:
            failures.append(f"an unknown op is not refused by name and line: {done.stderr}")
    print("\n".join(f"FAIL {failure}" for failure in failures) or "op lists are right")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
