#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_size.sh: libferrule.so with core and ref at -O2, sections collected, stripped, is at most 300 KB.
set -eu
cd "$(dirname "$0")/../.."
limit=300000
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
if [ "$bytes" -gt "$limit" ]; then
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
echo "1 passed, 0 failed, 0 skipped"
