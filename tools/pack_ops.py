#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pack_ops.py ROOT OUTPUT DEPFILE [LIST]: the op table as lib/op/op_table.c holds it, from include/ferrule/op_table.def.

A row and its texts lie in one object, so that a row tells where its texts are in 16 bits, and equal texts exist once.
What the library never reads of them is left out: blanks, and the defaults of attributes. The columns of a row are one
text with a NUL between them; the expansions of lib/op/expand_plain.def are texts too. LIST: only these ops and what
they need (tools/select_ops.py).
"""
import re
import sys
from pathlib import Path

import select_ops

ROW_BYTES = 12  # of feri_op; op_table.c asserts it
LITERAL = r'"((?:[^"\\]|\\.)*)"'
ROW = re.compile(rf"^FER_OP\((\d+), (\w+), {LITERAL}, {LITERAL}, (\d+), {LITERAL}, {LITERAL},\s*{LITERAL},\s*{LITERAL},"
                 r"\s*(\w+), (\w+), (\w+), ([\w| ]+)\)$", re.M)


def pack(texts):
    """The texts behind each other with a NUL each, and where each begins; one may be another's end."""
    packed, places = "", {}
    for text in sorted(set(texts), key=lambda text: (-len(text), text)):
        ended = text + "\0"
        place = packed.find(ended)
        places[text] = len(packed) if place < 0 else place
        packed += ended if place < 0 else ""
    return packed, places


def columns_of(row):
    """The columns that the library reads: inputs, outputs, types, attributes."""
    lines = [re.sub("(?<=[,;]) ", "", line) for line in row[5:8]]
    lines.append(",".join(attr.split("=")[0] for attr in row[8].split(", ")))
    return "\0".join(lines)


def literal(text):
    return "".join("    " + ",".join(str(ord(c)) for c in text[i:i + 40]) + ", \\\n" for i in range(0, len(text), 40))


def main():
    root, output, depfile = map(Path, sys.argv[1:4])
    table_path = root / "include/ferrule/op_table.def"
    inputs = [table_path, root / "tools/select_ops.py", root / "lib/op/expand_plain.def"]
    rows = ROW.findall(table_path.read_text())
    if len(sys.argv) > 4:
        chosen, used = select_ops.read_chosen(Path(sys.argv[4]), root)
        inputs += used
        rows = [row for row in rows if f"{row[2]}:{row[3]}".lstrip(":") in chosen]
    columns = [columns_of(row) for row in rows]
    named = {row[11] for row in rows} - {"none"}
    bodies = {name: text for name, text in select_ops.read_plain(root).items() if name in named}
    packed, places = pack([*columns, *bodies.values(), *(row[3] for row in rows)])
    rules = ["none", *sorted({row[10] for row in rows} - {"none"})]
    functions = ["none", *sorted(named - set(bodies))]
    expansions = [*functions, *bodies]
    out = [f"/* Made by pack_ops.py from op_table.def: {len(rows)} ops. */",
           f"#define ROW_COUNT {len(rows)}u", f"#define TEXT_BYTES {len(packed)}u", "static const feri_infer_fn rules[] = {",
           *(f"    feri_infer_{name}," for name in rules), "};",
           f"#define FUNCTION_COUNT {len(functions)}u", "static const feri_expand_fn functions[FUNCTION_COUNT] = {",
           *(f"    feri_expand_{name}," for name in functions), "};", "static const uint16_t plain_at[] = {",
           *(f"    {places[text]}, /* {name} */" for name, text in bodies.items()), "    0};", "#define ROWS \\"]
    for i, (row, text) in enumerate(zip(rows, columns)):
        base = (len(rows) - i) * ROW_BYTES
        name_at, text_at = base + places[row[3]], base + places[text]
        if max(name_at, text_at) > 0xFFFF:
            sys.exit(f"pack_ops.py: the texts of {row[3]} are out of reach of 16 bits")
        out.append(f"    {{{name_at}, {text_at}, {row[0]}, {rules.index(row[10])}, "
                   f"{expansions.index(row[11])}, {row[4]}, FERI_FAMILY_{row[9]}, {row[12]}}}, \\")
    out += ["", "#define TEXTS \\", literal(packed)]
    output.write_text("\n".join(out) + "\n\n")
    depfile.write_text(f"{output}: " + " ".join(map(str, inputs)) + "\n")


if __name__ == "__main__":
    main()
