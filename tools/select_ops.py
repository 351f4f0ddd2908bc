#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""select_ops.py LIST ROOT OUTPUT DEPFILE: the header behind meson's option `ops` (see ferrule/op_selection.h).

LIST has an op a line, "domain:name" or a plain name; # starts a comment; `ferrule inspect --op-list` writes one. An op
needs the ops that its expansion emits: they are read from the texts in ROOT/lib/op/expand_*.c, where a function owns its
own texts and those of the functions it calls, and in expand_plain.def.
"""
import re
import sys
from pathlib import Path

ALWAYS = {"Identity", "Cast", "Constant"}  # emitted by the importer and by every expansion
ROW = re.compile(r'^FER_OP\((\d+), (\w+), "([^"]*)", "(\w+)",(.*?)\n *(\w+), (\w+), (\w+), [\w| ]+\)$', re.M | re.S)
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def read_table(path):
    """{"domain:name": (ident, expansion)}"""
    return {f"{row[3]}:{row[4]}".lstrip(":"): (row[2], row[8]) for row in ROW.finditer(path.read_text())}


def read_list(path, table):
    chosen = set()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        name = line.split("#")[0].strip()
        name = name.removeprefix("ai.onnx:")
        if name and name not in table:
            sys.exit(f"{path}:{number}: '{name}' is no op of Ferrule; write domain:name, or the name alone for ai.onnx")
        if name:
            chosen.add(name)
    return chosen


def definitions(text):
    """(name, body) of every function, and of every PLAIN(name, text)."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for found in re.finditer(r"^[a-z][^;{}]*?(\w+)\([^;{}]*\)\s*\{\n(.*?)^\}", text, re.M | re.S):
        yield found[1], found[2]
    for found in re.finditer(r"^PLAIN\((\w+),(.*?)\)$", text, re.M | re.S):
        yield f"feri_expand_{found[1]}", found[2]


def read_plain(root):
    """{expansion: its text} of those that are the same for every node."""
    found = definitions((root / "lib/op/expand_plain.def").read_text())
    return {name.removeprefix("feri_expand_"): "".join(STRING.findall(body)).replace("\\n", "\n") for name, body in found}


def expansion_files(root):
    return [root / "lib/op/expand_plain.def", *sorted((root / "lib/op").glob("expand_*.c"))]


def read_expansions(root):
    """{expansion: names of the ops its texts call}"""
    emitted = {}
    for path in expansion_files(root):
        bodies = dict(definitions(path.read_text()))
        for name in bodies:
            reached, waiting = set(), {name}
            while waiting:
                body = bodies[waiting.pop()]
                texts = " ".join(STRING.findall(body))
                emitted.setdefault(name, set()).update(re.findall(r"\b([A-Z]\w*)\(", texts))
                called = {other for other in bodies if re.search(rf"\b{other}\(", STRING.sub("", body))}
                waiting |= called - reached
                reached |= called
    return {name.removeprefix("feri_expand_"): ops for name, ops in emitted.items()}


def close(chosen, table, expansions):
    waiting = set(chosen) | ALWAYS
    chosen = set()
    while waiting:
        op = waiting.pop()
        chosen.add(op)
        expansion = table[op][1]
        if expansion != "none" and expansion not in expansions:
            sys.exit(f"select_ops.py: no text of expansion '{expansion}' of {op} in lib/op/expand_*")
        waiting |= expansions.get(expansion, set()) - chosen
    return chosen


def read_chosen(list_path, root):
    """The ops of a list and what they need; the files that say so."""
    table_path = root / "include/ferrule/op_table.def"
    table = read_table(table_path)
    return close(read_list(list_path, table), table, read_expansions(root)), [list_path, table_path, *expansion_files(root)]


def main():
    list_path, root, output, depfile = map(Path, sys.argv[1:])
    chosen, used = read_chosen(list_path, root)
    table = read_table(root / "include/ferrule/op_table.def")
    left_out = sorted(set(table) - chosen)
    lines = [f"/* Made by select_ops.py from {list_path.name}: {len(chosen)} of {len(table)} ops. */"]
    lines += [f"#define FERI_WITHOUT_{table[op][0]} ~," for op in left_out]
    output.write_text("\n".join(lines) + "\n")
    depfile.write_text(f"{output}: " + " ".join(map(str, used)) + "\n")


if __name__ == "__main__":
    main()
