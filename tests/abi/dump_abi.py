#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dumps what programs compiled against ferrule.h and backend.h rely on, and compares it with a committed dump.

A C program made from the headers prints the size of every struct, the offset and size of every field and the value of
every enum constant; nm lists the exported symbols. Lines may only be added: a line of abi.txt that is missing from the
dump is a broken promise, an extra one asks for abi.txt to be regenerated (--write).
"""
import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"//[^\n]*", " ", text)


def split_fields(body):
    """Names of the fields of a struct body at its top level."""
    names, depth, item = [], 0, ""
    for char in body:
        if char in "{(":
            depth += 1
        elif char in "})":
            depth -= 1
        if char == ";" and depth == 0:
            names.append(field_name(item.strip()))
            item = ""
        else:
            item += char
    return [name for name in names if name]


def field_name(item):
    pointer = re.search(r"\(\s*\*\s*(?:const\s+)?(\w+)\s*\)\s*[(\[]", item)
    if pointer:
        return pointer.group(1)
    item = re.sub(r"\[[^\]]*\]", "", item)
    found = re.search(r"(\w+)\s*$", item)
    return found.group(1) if found else None


def structs_of(text):
    for found in re.finditer(r"typedef struct (\w+) \{", text):
        depth, at = 1, found.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        yield found.group(1), split_fields(text[found.end():at - 1])


def enum_names(include, compiler):
    """Every enum constant, after the preprocessor has expanded status.def and op_table.def."""
    run = subprocess.run(compiler + ["-std=c11", "-E", "-P", "-I", include, "-"], input='#include "ferrule/backend.h"\n',
                         capture_output=True, text=True, check=True)
    names = []
    for found in re.finditer(r"enum\s*\{(.*?)\}", run.stdout, re.S):
        for item in found.group(1).split(","):
            name = item.split("=")[0].strip()
            if name.startswith("FER_"):
                names.append(name)
    return names


def program(include, compiler):
    lines = ['#include "ferrule/backend.h"', "#include <stdio.h>", "int main(void) {"]
    for header in ("ferrule.h", "backend.h"):
        text = strip_comments((Path(include) / "ferrule" / header).read_text())
        for struct, fields in structs_of(text):
            lines.append(f'printf("struct {struct} size %zu\\n", sizeof({struct}));')
            for field in fields:
                lines.append(f'printf("field {struct}.{field} at %zu size %zu\\n", offsetof({struct}, {field}), '
                             f"sizeof((({struct} *)0)->{field}));")
    for name in enum_names(include, compiler):
        lines.append(f'printf("enum {name} %lld\\n", (long long){name});')
    for name in ("FER_BACKEND_ABI_MIN", "FER_BACKEND_ABI_MAX", "FER_MAX_RANK"):
        lines.append(f'printf("define {name} %lld\\n", (long long){name});')
    return "\n".join(lines + ["return 0;", "}", ""])


def dump(include, library, compiler):
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "dump.c", Path(folder) / "dump"
        source.write_text(program(include, compiler))
        subprocess.run(compiler + ["-std=c11", "-I", include, str(source), "-o", str(binary)], check=True)
        lines = subprocess.run([str(binary)], capture_output=True, text=True, check=True).stdout.splitlines()
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    names = sorted(line.split()[-1] for line in symbols.splitlines() if " T " in line or " D " in line or " B " in line
                   or " R " in line)
    declared = set(re.findall(r"\b(fer_\w+)\s*\(", strip_comments((Path(include) / "ferrule/ferrule.h").read_text())))
    missing = sorted(name for name in declared_functions(include) if name not in names)
    alien = sorted(name for name in names if name not in declared)
    return lines + [f"symbol {name}" for name in names], missing, alien


def declared_functions(include):
    text = strip_comments((Path(include) / "ferrule/ferrule.h").read_text())
    return [found.group(1) for found in re.finditer(r"FER_API\b[^;()]*?\b(fer_\w+)\s*\(", text)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--include", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--compare")
    parser.add_argument("--write")
    parser.add_argument("compiler", nargs="+")
    args = parser.parse_args()
    lines, missing, alien = dump(args.include, args.library, args.compiler)
    for name in missing:
        print(f"declared in ferrule.h and not exported: {name}")
    for name in alien:
        print(f"exported and not declared in ferrule.h: {name}")
    if args.write:
        Path(args.write).write_text("\n".join(lines) + "\n")
        print(f"{len(lines)} lines written to {args.write}")
        return 0
    want = Path(args.compare).read_text().splitlines()
    gone = [line for line in want if line not in set(lines)]
    new = [line for line in lines if line not in set(want)]
    for line in gone:
        print(f"- {line}")
    for line in new:
        print(f"+ {line}")
    if new and not gone:
        print("only additions: regenerate abi.txt with --write")
    print(f"{len(lines)} lines, {len(gone)} gone or changed, {len(new)} new")
    return 1 if gone or new or missing or alien else 0


if __name__ == "__main__":
    sys.exit(main())
