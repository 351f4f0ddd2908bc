#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_fuzz.sh BUILD SECONDS: every seed once, then SECONDS of fuzzing with what was found so far (BUILD/corpus).
set -eu
cd "$(dirname "$0")/../.."
build=$1 seconds=$2
mkdir -p "$build/corpus" "$build/seeds" "$build/crashes"
build/venv/bin/python tests/fuzz/make_seeds.py "$build/seeds"
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
target=$build/tests/fuzz/fuzz_import
"$target" -runs=0 -timeout=60 -rss_limit_mb=1024 -artifact_prefix="$build/crashes/" "$build/seeds"
"$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 \
    -artifact_prefix="$build/crashes/" "$build/corpus" "$build/seeds"
echo "2 passed, 0 failed, 0 skipped"
