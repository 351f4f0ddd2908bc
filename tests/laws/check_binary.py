#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The laws that only the built library shows: what it exports, what it links, and that it keeps no mutable globals.

The one thread-local (the last error) lives in .tbss; anything of ours in .data or .bss is a broken law. Lines of
relocated constants are fine (.data.rel.ro).
"""
import re
import subprocess
import sys

ALLOWED_LIBRARIES = ("libc.so", "libm.so", "libpthread.so", "libdl.so", "ld-linux", "libasan", "libubsan", "libtsan",
                     "libgcc_s")
RUNTIME_SYMBOLS = re.compile(r"^(completed\.\d+|__dso_handle|_edata|__bss_start|_end|__TMC_END__|_GLOBAL_OFFSET_TABLE_|"
                             r"__asan\w*|__odr_asan\w*|__ubsan\w*|__tsan\w*|___asan_gen\w*|_DYNAMIC|data_start|__data_start|"
                             r"\.L\w+|__afl\w*|__gcov\w*|__llvm\w*|__sancov\w*)")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main():
    library, broken = sys.argv[1], 0
    for line in output("readelf", "-d", library).splitlines():
        needed = re.search(r"\(NEEDED\).*\[(.*)\]", line)
        if needed and not needed.group(1).startswith(ALLOWED_LIBRARIES):
            print(f"links {needed.group(1)}: the core links libc, libm and pthreads only")
            broken += 1
    for line in output("nm", "-D", "--defined-only", library).splitlines():
        name = line.split()[-1]
        if not name.startswith("fer_") and not name.startswith(("__asan", "__odr", "__tsan", "__ubsan")):
            print(f"exports {name}: only fer_ names are exported")
            broken += 1
    sanitized = "__asan_init" in output("nm", "-D", library) or "__tsan_init" in output("nm", "-D", library)
    for line in output("nm", library).splitlines() if not sanitized else []:
        parts = line.split()
        if len(parts) < 3 or parts[1] not in "dDbBcC" or RUNTIME_SYMBOLS.match(parts[2]):
            continue
        if section_of(library, int(parts[0], 16)) in (".data", ".bss"):
            print(f"mutable global {parts[2]}: the library keeps no state outside its objects")
            broken += 1
    print(f"{library}: {broken} broken")
    return 1 if broken else 0


SECTIONS = {}


def section_of(library, address):
    if not SECTIONS:
        for line in output("readelf", "-SW", library).splitlines():
            found = re.match(r"\s*\[\s*\d+\]\s+(\S+)\s+\S+\s+([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\S+\s+(\w*)", line)
            if found and "T" not in found.group(4) and "A" in found.group(4):
                begin = int(found.group(2), 16)
                SECTIONS[found.group(1)] = (begin, begin + int(found.group(3), 16))
    for name, (begin, end) in SECTIONS.items():
        if begin <= address < end:
            return name
    return ""


if __name__ == "__main__":
    sys.exit(main())
