#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The laws of the house, over the source tree: layering, sizes, names, what library code may not do.

One function per law; each yields sentences "path:line: what is wrong". A waiver is a line in waivers.txt:
law path reason.
"""
import re
import sys
from pathlib import Path

LAYERS = ["base", "tensor", "op", "graph", "import", "passes", "device", "partition", "host", "plan", "execute",
          "specialize"]
SEES_BACKEND = {"device", "partition", "host", "plan", "execute", "specialize", "program.c"}
BANNED_NAMES = ("utils", "util", "common", "misc", "helpers", "helper")
CODE = (".c", ".h", ".def", ".inc")
SPDX = "SPDX-License-Identifier: Apache-2.0"
FORBIDDEN_CALLS = ("abort", "exit", "_exit", "_Exit", "quick_exit", "printf", "fprintf", "vprintf", "vfprintf", "puts",
                   "putchar", "fputs", "perror", "signal", "sigaction", "setlocale", "atexit", "system", "strcpy", "strcat",
                   "sprintf", "vsprintf", "gets", "alloca", "strtok", "setenv", "putenv")
RAW_HEAP = ("malloc", "calloc", "realloc", "free", "strdup", "strndup", "aligned_alloc", "posix_memalign", "asprintf")


class Tree:
    def __init__(self, root):
        self.root = Path(root)
        self.texts = {}
        for folder in ("include", "lib", "backends", "tools", "examples", "python", "tests", "cross", ".ci"):
            base = self.root / folder
            if not base.is_dir():
                continue
            for path in sorted(base.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    try:
                        self.texts[path.relative_to(self.root).as_posix()] = path.read_text()
                    except UnicodeDecodeError:
                        continue

    def code(self, *folders):
        for path, text in self.texts.items():
            if path.endswith(CODE) and (not folders or path.split("/")[0] in folders):
                yield path, text


def blank(found):
    return re.sub(r"[^\n]", " ", found.group(0))


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.S)


def bare(text):
    """Code without comments, strings and character constants, line numbers kept."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def includes(text):
    for found in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+(["<])([^">]+)[">]', without_comments_keep_strings(text), re.M):
        yield line_of(text, found.start()), found.group(1), found.group(2)


def without_comments_keep_strings(text):
    return re.sub(r"/\*.*?\*/", blank, text, flags=re.S)


def law_layers(tree):
    for path, text in tree.code("lib"):
        parts = path.split("/")
        mine = parts[1] if len(parts) > 2 else "program.c"
        for line, _, target in includes(text):
            top = target.split("/")[0]
            if target == "ferrule/backend.h" and mine not in SEES_BACKEND:
                yield f"{path}:{line}: {mine} may not see ferrule/backend.h"
            if target in ("ferrule/ferrule.h", "ferrule/backend.h", "ferrule/op_numbers.h", "ferrule/status.def", "ferrule/op_table.def", "ferrule/op_selection.h"):
                continue
            if top in ("kit", "ref", "cpu", "null", "trace", "check", "cuda", "opencl", "level_zero", "backends"):
                yield f"{path}:{line}: the library includes a backend: {target}"
            if top in LAYERS and mine in LAYERS and LAYERS.index(top) > LAYERS.index(mine):
                yield f"{path}:{line}: {mine} may not include {target}"




def law_backend_includes(tree):
    for path, text in tree.code("backends"):
        mine = path.split("/")[1]
        for line, mark, target in includes(text):
            if mark == "<":
                continue
            top = target.split("/")[0]
            allowed = target in ("ferrule/backend.h", "ferrule/op_numbers.h", "ferrule/op_table.def", "ferrule/op_selection.h", "ferrule/status.def", "feri_builtin.h")
            if allowed or top == mine or (top == "kit" and mine != "kit") or "/" not in target:
                continue
            yield f"{path}:{line}: a backend includes ferrule/backend.h, kit and itself, not {target}"


def law_public_only(tree):
    for path, text in tree.code("tools", "examples"):
        for line, mark, target in includes(text):
            if mark == '"' and "/" in target and not target.startswith("ferrule/"):
                yield f"{path}:{line}: tools and examples use public headers only, not {target}"
    for path, text in tree.texts.items():
        if path.startswith("python/") and re.search(r"\bferi_", text):
            yield f"{path}:1: python uses internal names"


def law_file_lengths(tree):
    for path, text in tree.code("lib", "backends", "tools", "examples"):
        count = text.count("\n")
        if path.endswith(".c") and count >= 800:
            yield f"{path}:{count}: a .c file has under 800 lines"
        if path.endswith(".h") and count >= 250:
            yield f"{path}:{count}: an internal header has under 250 lines"
        if path.startswith("examples/") and path.endswith(".c") and path.count("/") == 1 and count > 120:
            yield f"{path}:{count}: an example has at most 120 lines"
        if path == "lib/program.c" and count >= 200:
            yield f"{path}:{count}: program.c tells the story in under 200 lines"
        if path.startswith("backends/null/") and path.endswith(".c") and count >= 400:
            yield f"{path}:{count}: the null backend has under 400 lines"


FUNCTION = re.compile(r"^(?!typedef\b|struct\b|union\b|enum\b)[A-Za-z_][^;={}#]*\)\s*\{", re.M)


def functions(text):
    """(name, first line, line count) of every function body that starts in column 0."""
    clean = bare(text)
    for found in FUNCTION.finditer(clean):
        head = found.group(0)
        name = re.search(r"(\w+)\s*\(", head)
        depth, at = 1, found.end()
        while depth and at < len(clean):
            depth += {"{": 1, "}": -1}.get(clean[at], 0)
            at += 1
        yield name.group(1), line_of(text, found.start()), text.count("\n", found.start(), at) + 1


def law_function_lengths(tree):
    for path, text in tree.code("lib", "backends", "tools", "examples"):
        if not path.endswith(".c"):
            continue
        for name, line, count in functions(text):
            if count >= 60:
                yield f"{path}:{line}: {name} has {count} lines; a function has under 60"


def law_unique_names(tree):
    seen = {}
    for path, _ in tree.code():
        name = path.split("/")[-1]
        if name in seen and not path.startswith("examples/plugin/"):
            yield f"{path}:1: the name {name} is taken by {seen[name]}"
        seen.setdefault(name, path)


def law_banned_names(tree):
    for path in tree.texts:
        for part in path.split("/"):
            if part.split(".")[0] in BANNED_NAMES:
                yield f"{path}:1: no file or folder is called {part}"


def law_spdx(tree):
    for path, text in tree.texts.items():
        if path.endswith("meson.build") and text.count("\n") <= 3:
            continue  # a bare list of files
        if path.endswith((".c", ".h", ".def", ".map", ".py", ".sh", ".build", ".cmake.in")) or path == ".ci/run":
            if SPDX not in "\n".join(text.splitlines()[:3]):
                yield f"{path}:1: no SPDX line at the top"


def law_head_comment(tree):
    for path, text in tree.code("lib", "backends", "tools"):
        if path.endswith((".c", ".h")):
            head = re.match(r"/\*.*?\*/", text, re.S)
            lines = head.group(0).count("\n") if head else 0
            if lines < 2:
                yield f"{path}:1: a file opens with its SPDX line and what it owns"


def law_forbidden_calls(tree):
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(FORBIDDEN_CALLS) + r")\s*\(")
    for path, text in tree.code("lib", "backends"):
        clean = bare(text)
        for found in pattern.finditer(clean):
            yield f"{path}:{line_of(text, found.start())}: library code does not call {found.group(1)}"


def law_heap(tree):
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(RAW_HEAP) + r")\s*\(")
    for path, text in tree.code("lib", "backends"):
        clean = bare(text)
        for found in pattern.finditer(clean):
            yield f"{path}:{line_of(text, found.start())}: memory comes from the env or the host, not {found.group(1)}"


def law_conditionals(tree):
    for path, text in tree.code():
        for found in re.finditer(r"^\s*#\s*if\s+0\b", text, re.M):
            yield f"{path}:{line_of(text, found.start())}: no #if 0"
        for found in re.finditer(r"#\s*include\s*<threads\.h>", text):
            yield f"{path}:{line_of(text, found.start())}: POSIX threads, not <threads.h>"


def law_no_constructors(tree):
    for path, text in tree.code("lib", "backends"):
        for found in re.finditer(r"__attribute__\(\(\s*(constructor|destructor)", text):
            yield f"{path}:{line_of(text, found.start())}: no constructors"


def law_public_names(tree):
    text = re.sub(r"^#.*$", blank, without_comments(tree.texts["include/ferrule/ferrule.h"]), flags=re.M)
    for found in re.finditer(r"FER_API\b[^;()]*?\b(\w+)\s*\(", text):
        if not found.group(1).startswith("fer_"):
            yield f"include/ferrule/ferrule.h:{line_of(text, found.start())}: public names begin with fer_"


def law_commit_free_of_places(tree):
    """Nothing names a machine's own paths or a package host."""
    for path, text in tree.texts.items():
        if path.startswith("tests/laws/"):
            continue
        for found in re.finditer(r"(?<![\w.$}/])/(?:home|root|Users)/\w+", text):
            yield f"{path}:{line_of(text, found.start())}: names a path of one machine: {found.group(0)}"


def waivers(root):
    path = Path(root) / "tests/laws/waivers.txt"
    entries = set()
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.strip() and not line.startswith("#"):
            law, file, reason = line.split(None, 2)
            entries.add((law, file))
    return entries


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    tree = Tree(root)
    waived, used, broken = waivers(root), set(), 0
    laws = [(name[4:], law) for name, law in sorted(globals().items()) if name.startswith("law_")]
    for name, law in laws:
        for sentence in law(tree):
            key = (name, sentence.split(":")[0])
            if key in waived:
                used.add(key)
                continue
            print(f"{name}: {sentence}")
            broken += 1
    for name, file in sorted(waived - used):
        print(f"waivers.txt: {name} {file} is no longer needed: remove it")
        broken += 1
    print(f"{len(laws)} laws over {len(tree.texts)} files, {broken} broken, {len(used)} waived")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
