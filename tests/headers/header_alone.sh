#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# header_alone.sh HEADER c11|cxx17 INCLUDE COMPILER...: compiles a file that includes one public header and nothing else.
set -eu
header=$1 language=$2 include=$3
shift 3
case $language in
c11) flags="-x c -std=c11 -Wstrict-prototypes" ;;
cxx17) flags="-x c++ -std=c++17" ;;
*) echo "header_alone.sh: no language $language" >&2; exit 2 ;;
esac
# Included twice: the guard is part of the contract.
printf '#include "ferrule/%s.h"\n#include "ferrule/%s.h"\nint alone(void);\nint alone(void) { return 0; }\n' "$header" "$header" |
    "$@" $flags -Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror -I "$include" -fsyntax-only -
