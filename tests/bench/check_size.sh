#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_size.sh: libferrule.so with core and ref at -O2, sections collected, stripped, is to be at most 300 KB. It is not
# yet (lib/op, the op table's strings and import are the bulk): until then that is an expected failure, counted as
# skipped. Growing past the ceiling fails, and so does meeting the limit while this expectation stands.
set -eu
cd "$(dirname "$0")/../.."
limit=300000
ceiling=560000 # 547 KB when this was written
if [ ! -f build/size/meson-private/coredata.dat ]; then
    meson setup build/size -Doptimization=2 -Ddebug=false -Db_ndebug=true -Ddefault_library=shared -Dtests=disabled \
        -Dexamples=disabled -Dtools=disabled
fi
ninja -C build/size
library=$(find build/size/lib -maxdepth 1 -type f -name 'libferrule.so.*.*.*' | head -1)
strip -o build/size/stripped.so "$library"
bytes=$(wc -c <build/size/stripped.so)
size build/size/stripped.so
echo "libferrule.so stripped: $bytes bytes, limit $limit"
if [ "$bytes" -gt "$ceiling" ]; then
    echo "FAIL size: above the ceiling of $ceiling bytes"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
if [ "$bytes" -le "$limit" ]; then
    echo "FAIL size: the limit is met: drop the expectation and make it the ceiling"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
echo "0 passed, 0 failed, 1 skipped"
