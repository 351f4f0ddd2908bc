#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pack_ops.py ROOT OUTPUT DEPFILE [LIST]: the op table as lib/op/op_table.c holds it, from include/ferrule/op_table.def.

A row and its texts lie in one object, so that a row tells where its texts are in 16 bits, and equal texts exist once, also
as another's end (so attributes that many ops have stand last). What the library never reads of them is left out: blanks,
and the defaults of attributes. LIST: only these ops and what they need (tools/select_ops.py).
"""
import re
import sys
from collections import Counter
from pathlib import Path

import select_ops

ROW_BYTES = 18  # of feri_op; op_table.c asserts it
LITERAL = r'"((?:[^"\\]|\\.)*)"'
ROW = re.compile(rf"^FER_OP\((\d+), (\w+), {LITERAL}, {LITERAL}, (\d+), {LITERAL}, {LITERAL},\s*{LITERAL},\s*{LITERAL},"
                 r"\s*(\w+), (\w+), (\w+), ([\w| ]+)\)$", re.M)


def pack(texts):
    """The texts behind each other with a NUL each, and where each begins."""
    packed, places = "", {}
    for text in sorted(set(texts), key=lambda text: (-len(text), text)):
        ended = text + "\0"
        place = packed.find(ended)
        places[text] = len(packed) if place < 0 else place
        packed += ended if place < 0 else ""
    return packed, places


def main():
    root, output, depfile = map(Path, sys.argv[1:4])
    table_path = root / "include/ferrule/op_table.def"
    inputs = [table_path, root / "tools/select_ops.py"]
    rows = ROW.findall(table_path.read_text())
    if len(sys.argv) > 4:
        chosen, used = select_ops.read_chosen(Path(sys.argv[4]), root)
        inputs += used
        rows = [row for row in rows if f"{row[2]}:{row[3]}".lstrip(":") in chosen]
    attrs = [[attr.split("=")[0] for attr in row[8].split(", ")] for row in rows]
    uses = Counter(attr for list_ in attrs for attr in list_)
    attrs = [",".join(sorted(list_, key=lambda attr: (uses[attr], attr))) for list_ in attrs]
    lines = [(row[3], *(re.sub("(?<=[,;]) ", "", line) for line in row[5:8]), list_) for row, list_ in zip(rows, attrs)]
    packed, places = pack(line for row in lines for line in row)
    rules = ["none", *sorted({row[10] for row in rows} - {"none"})]
    expansions = ["none", *sorted({row[11] for row in rows} - {"none"})]
    out = [f"/* Made by pack_ops.py from op_table.def: {len(rows)} ops. */",
           f"#define ROW_COUNT {len(rows)}u", f"#define TEXT_BYTES {len(packed)}u", "static const feri_infer_fn rules[] = {",
           *(f"    feri_infer_{name}," for name in rules), "};", "static const feri_expand_fn expansions[] = {",
           *(f"    feri_expand_{name}," for name in expansions), "};", "#define ROWS \\"]
    for i, (row, texts) in enumerate(zip(rows, lines)):
        base = (len(rows) - i) * ROW_BYTES
        at = [base + places[text] for text in texts]
        if max(at) > 0xFFFF:
            sys.exit(f"pack_ops.py: the texts of {row[3]} are out of reach of 16 bits")
        out.append(f"    {{{at[0]}, {{{at[1]}, {at[2]}, {at[3]}, {at[4]}}}, {row[0]}, {rules.index(row[10])}, "
                   f"{expansions.index(row[11])}, {row[4]}, FERI_FAMILY_{row[9]}, {row[12]}}}, \\")
    out += ["", "#define TEXTS \\"]
    out += ["    " + ",".join(str(ord(c)) for c in packed[i:i + 40]) + ", \\" for i in range(0, len(packed), 40)]
    output.write_text("\n".join(out) + "\n\n")
    depfile.write_text(f"{output}: " + " ".join(map(str, inputs)) + "\n")


if __name__ == "__main__":
    main()
