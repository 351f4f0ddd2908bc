#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_install.sh: what `meson install` leaves is enough: a C program through pkg-config (shared and static), one through
# CMake, the command, and the out-of-tree plugin of examples/plugin, found by a manifest.
set -eu
cd "$(dirname "$0")/../.."
source=$PWD
work=$PWD/build/install-test
prefix=$work/prefix
passed=0 failed=0
rm -rf "$work"
mkdir -p "$work"
if [ ! -f build/meson-private/coredata.dat ]; then
    meson setup build
fi
ninja -C build
meson setup "$work/build" --prefix="$prefix" --libdir=lib -Dtests=disabled -Dexamples=disabled --buildtype=release >"$work/setup.log"
ninja -C "$work/build" >"$work/build.log" || { tail -20 "$work/build.log"; exit 1; }
meson install -C "$work/build" --quiet

ok() {
    name=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name: $*"
        tail -15 "$work/out"
    fi
}

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
unset FERRULE_BACKEND_PATH
for file in include/ferrule/ferrule.h include/ferrule/backend.h include/ferrule/op_numbers.h include/ferrule/status.def include/ferrule/op_table.def \
    lib/libferrule.so lib/libferrule.so.0 lib/libferrule.a lib/pkgconfig/ferrule.pc lib/cmake/Ferrule/FerruleConfig.cmake \
    lib/ferrule/backends.d bin/ferrule; do
    ok "installed $file" test -e "$prefix/$file"
done
ok "soname" sh -c "readelf -d '$prefix/lib/libferrule.so' | grep -q 'SONAME.*libferrule.so.0'"
ok "command" "$prefix/bin/ferrule" version
ok "devices" "$prefix/bin/ferrule" devices
ok "modules found" sh -c "'$prefix/bin/ferrule' devices | grep -q '^null'"

user=$source/tests/install/user.c
# eval: pkg-config quotes the blanks of its paths.
ok "pkg-config shared" sh -c "eval \"cc -std=c11 '$user' -o '$work/user-shared' \$(pkg-config --cflags --libs ferrule) -Wl,-rpath,'$prefix/lib'\""
ok "run shared" "$work/user-shared"
ok "pkg-config static" sh -c "eval \"cc -std=c11 '$user' -o '$work/user-static' \$(pkg-config --cflags ferrule) '$prefix/lib/libferrule.a' \$(pkg-config --static --libs-only-l ferrule | sed 's/-lferrule//g')\""
ok "run static" "$work/user-static"
ok "cmake configure" cmake -G Ninja -S "$source/tests/install" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix"
ok "cmake build" cmake --build "$work/cmake"
ok "cmake run" "$work/cmake/user"
ok "cmake run static" "$work/cmake/user_static"

for header in forward geometry sized workspace; do
    ok "installed kit/$header.h" sh "$source/tests/headers/header_alone.sh" "kit/$header" c11 "$prefix/include" cc
    ok "kit/$header.h as C++" sh "$source/tests/headers/header_alone.sh" "kit/$header" cxx17 "$prefix/include" c++
done
ok "kit links" sh -c "eval \"cc -std=c11 '$source/tests/install/kit_user.c' -o '$work/kit-user' \$(pkg-config --cflags --libs ferrule-kit)\""
ok "kit runs" "$work/kit-user"

# A plugin knows the installed headers only: it is copied out of the tree first.
cp -r "$source/examples/plugin" "$work/plugin"
ok "plugin configure" meson setup "$work/plugin/build" "$work/plugin"
ok "plugin build" ninja -C "$work/plugin/build"
ok "plugin found by manifest" sh -c "FERRULE_BACKEND_PATH='$work/plugin/build/manifests' '$prefix/bin/ferrule' devices | grep '^five:0'"
ok "plugin gets its badge" env FERRULE_BACKEND_PATH="$work/plugin/build/manifests" "$prefix/bin/ferrule" conform --device five --op '[AMNRS]*[dlgub]' \
    --badge "$work/five.svg"
ok "badge is green" grep -q '#2f8f4e' "$work/five.svg"
if [ -x build/venv/bin/python ]; then
    build/venv/bin/python "$source/tests/install/make_add.py" "$work/add"
    ok "plugin runs" env FERRULE_BACKEND_PATH="$work/plugin/build/manifests" "$prefix/bin/ferrule" run "$work/add/model.onnx" \
        --device five,ref --fallback error --data "$work/add" --expect "$work/add"
    ok "installed command runs on ref" "$prefix/bin/ferrule" run "$work/add/model.onnx" --device ref --data "$work/add" --expect "$work/add"
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
