#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh [STAGE...]: every test, or the stages named, with the time of each; logs in build/check/. Idempotent: a second
# run rebuilds only what changed. Last line: N passed, N failed, N skipped; exit status 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
passed=0 failed=0 skipped=0
begin_all=$(date +%s)
wanted=" $* "
all_stages="deps plain asan tsan clang static fuzz ubsan aarch64 install size python vectors conform models"
for name in "$@"; do
    case " $all_stages " in
    *" $name "*) ;;
    *)
        echo "check: there is no stage '$name': $all_stages" >&2
        exit 2
        ;;
    esac
done
mkdir -p build/check
export PYTHONDONTWRITEBYTECODE=1
venv=build/venv/bin/python

# configure FOLDER CC OPTION...: meson setup, or its reconfiguration when the options changed.
configure() {
    folder=$1 compiler=$2
    shift 2
    if [ -f "$folder/meson-private/coredata.dat" ] && [ "$(cat "$folder/check-options" 2>/dev/null)" = "$compiler $*" ]; then
        return 0
    fi
    [ -f "$folder/meson-private/coredata.dat" ] && wipe=--wipe || wipe=
    # build/ holds more than meson's files: never wipe it.
    [ "$folder" = build ] && [ -n "$wipe" ] && wipe=--reconfigure
    # shellcheck disable=SC2086
    CC=$compiler meson setup $wipe "$folder" "$@" || return 1
    echo "$compiler $*" >"$folder/check-options"
}

build() { configure "$@" && ninja -C "$1"; }

stage_deps() { sh tools/deps.sh check; }

stage_plain() {
    build build gcc --buildtype=debugoptimized && meson test -C build --print-errorlogs
}

stage_asan() {
    build build/asan gcc -Db_sanitize=address,undefined -Db_lundef=false --buildtype=debugoptimized &&
        ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
            meson test -C build/asan --print-errorlogs --timeout-multiplier 4 --no-suite laws --no-suite abi --no-suite headers
}

stage_tsan() {
    build build/tsan gcc -Db_sanitize=thread -Db_lundef=false --buildtype=debugoptimized -Dexamples=disabled &&
        TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
            meson test -C build/tsan --print-errorlogs --timeout-multiplier 8 --suite base --suite device --suite host \
            --suite plan --suite execute --suite specialize --suite program
}

stage_clang() {
    build build/clang clang --buildtype=debugoptimized -Db_lundef=false &&
        meson test -C build/clang --print-errorlogs --no-suite laws --no-suite abi
}

stage_static() {
    build build/static gcc -Ddefault_library=static --buildtype=debugoptimized &&
        meson test -C build/static --print-errorlogs --no-suite laws --no-suite headers &&
        build/static/tools/ferrule version
}

build_fuzz() {
    build build/fuzz clang -Dfuzz=enabled -Dtests=disabled -Dexamples=disabled -Ddefault_library=static \
        -Db_sanitize=address,undefined -Db_lundef=false --buildtype=debugoptimized
}

stage_fuzz() { build_fuzz && sh tests/fuzz/run_fuzz.sh build/fuzz "${FUZZ_SECONDS:-40}"; }

# Every generated case under the sanitizers of clang, which see more than those of gcc: an error ends the worker, and the case
# is reported as crashed.
stage_ubsan() {
    build_fuzz && UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        build/fuzz/tools/ferrule conform --device ref --report build/check/ubsan.jsonl
}

stage_aarch64() {
    export PKG_CONFIG_LIBDIR="$root/build/arm64/usr/lib/aarch64-linux-gnu/pkgconfig" \
        PKG_CONFIG_SYSROOT_DIR="$root/build/arm64"
    build build/aarch64 gcc --cross-file cross/aarch64-linux-gnu.txt -Dexamples=disabled --buildtype=debugoptimized &&
        QEMU_SET_ENV="LD_LIBRARY_PATH=$root/build/arm64/usr/lib/aarch64-linux-gnu" \
            meson test -C build/aarch64 --print-errorlogs --timeout-multiplier 10 --no-suite laws --no-suite headers
    result=$?
    unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
    return $result
}

stage_install() { sh tests/install/check_install.sh; }
stage_size() { sh tests/bench/check_size.sh; }

stage_python() {
    sh tests/python/check_wheel.sh
}

stage_vectors() { ninja -C build && $venv tests/vectors/run_vectors.py --command build/tools/ferrule; }
stage_conform() {
    data=$($venv -c 'import onnx, pathlib; print(pathlib.Path(onnx.__file__).parent / "backend/test/data/node")') &&
        ninja -C build && build/tools/ferrule conform --device ref --report build/check/ref.jsonl &&
        build/tools/ferrule conform --device ref --suite onnx --onnx "$data" --report build/check/vectors.jsonl &&
        FERRULE_BACKEND_PATH=build/backends/manifests build/tools/ferrule conform --device null --report build/check/null.jsonl &&
        $venv tools/ops_table.py --device ref=build/check/ref.jsonl --device null=build/check/null.jsonl \
            --vectors build/check/vectors.jsonl --check &&
        $venv tests/conformance/check_oracle.py --command build/tools/ferrule --sample 60
}
stage_models() { ninja -C build && $venv tests/models/check_models.py --command build/tools/ferrule; }

# Adds up what meson, pytest and our own scripts count.
count_log() {
    awk '
        /^Ok:/ { p += $2 } /^Expected Fail:/ { p += $3 } /^Fail:/ { f += $2 } /^Unexpected Pass:/ { f += $3 }
        /^Timeout:/ { f += $2 } /^Skipped:/ { s += $2 }
        /^=*[ ]*[0-9]+ (passed|failed|skipped)/ {
            line = $0; gsub(/[,=]/, " ", line); n = split(line, word, " +")
            for (i = 1; i < n; i++) {
                if (word[i + 1] == "passed") p += word[i]
                if (word[i + 1] == "failed") f += word[i]
                if (word[i + 1] == "skipped") s += word[i]
            }
        }
        END { print p + 0, f + 0, s + 0 }' "$1"
}

run_stage() {
    name=$1
    log=build/check/$name.log
    printf '%-9s ' "$name"
    begin=$(date +%s)
    ("stage_$name") >"$log" 2>&1
    result=$?
    # shellcheck disable=SC2046
    set -- $(count_log "$log")
    if [ "$result" != 0 ] && [ "$2" = 0 ]; then
        set -- "$1" 1 "$3"
    elif [ "$result" = 0 ] && [ "$1" = 0 ] && [ "$2" = 0 ] && [ "$3" = 0 ]; then
        set -- 1 0 "$3"
    fi
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    printf '%5d s  %5d passed  %3d failed  %3d skipped\n' $(($(date +%s) - begin)) "$1" "$2" "$3"
    if [ "$2" != 0 ] || [ "$result" != 0 ]; then
        grep -E '(FAIL|FAILED|ERROR|error:|Error|TIMEOUT|not as expected|runtime error|WARNING: ThreadSan)' "$log" | head -15 | cut -c1-200 | sed 's/^/          /'
        echo "          log: $log"
    fi
}

for name in $all_stages; do
    case $wanted in
    "  " | *" $name "*) run_stage "$name" ;;
    esac
done
echo "check: $(($(date +%s) - begin_all)) s on $(nproc) cores"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
