#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_fuzz.sh BUILD SECONDS: every seed once, then SECONDS of fuzzing models, and half as many of fuzzing what runs are
# given, with what was found so far (BUILD/corpus, BUILD/corpus-inputs).
set -eu
cd "$(dirname "$0")/../.."
build=$1 seconds=$2
mkdir -p "$build/corpus" "$build/corpus-inputs" "$build/crashes"
build/venv/bin/python tests/fuzz/make_seeds.py "$build/seeds" "$build/seeds-inputs"
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# fuzz TARGET SECONDS LENGTH CORPUS SEEDS
fuzz() {
    target=$build/tests/fuzz/fuzz_$1
    "$target" -runs=0 -timeout=60 -rss_limit_mb=1024 -artifact_prefix="$build/crashes/" "$5"
    "$target" -max_total_time="$2" -timeout=60 -rss_limit_mb=1024 -max_len="$3" -print_final_stats=1 \
        -artifact_prefix="$build/crashes/" "$4" "$5"
}
fuzz import "$seconds" 16384 "$build/corpus" "$build/seeds"
fuzz inputs $((seconds / 2)) 4096 "$build/corpus-inputs" "$build/seeds-inputs"
echo "4 passed, 0 failed, 0 skipped"
