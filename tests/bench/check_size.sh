#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_size.sh: what libferrule.so weighs at -O2, sections collected, stripped: with the ops of tier T0 (and control flow,
# LSTM, GRU, NonZero, Compress; tools/oplists/t0.txt), with those of magika and silero-vad, and with all. The small builds
# must also be right: T0's pass T0's vectors, the models' run their models, and they say so when a model needs an op that
# was left out.
set -eu
cd "$(dirname "$0")/../.."
passed=0 failed=0

# weigh NAME LIMIT [-Dops=LIST]: builds build/size-NAME.
weigh() {
    name=$1 limit=$2
    shift 2
    folder=build/size-$name
    if [ ! -f "$folder/meson-private/coredata.dat" ]; then
        meson setup "$folder" -Doptimization=2 -Ddebug=false -Db_ndebug=true -Ddefault_library=shared -Dtests=disabled \
            -Dexamples=disabled "$@"
    fi
    ninja -C "$folder"
    library=$(find "$folder/lib" -maxdepth 1 -type f -name 'libferrule.so.*.*.*' | head -1)
    strip -o "$folder/stripped.so" "$library"
    bytes=$(wc -c <"$folder/stripped.so")
    size "$folder/stripped.so"
    echo "libferrule.so, $name ops, stripped: $bytes bytes, limit $limit"
    if [ "$bytes" -gt "$limit" ]; then
        echo "FAIL size: $name is $((bytes - limit)) bytes above its limit"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}

weigh t0 300000 -Dops=tools/oplists/t0.txt
weigh magika_silero 250000 -Dops=tools/oplists/magika_silero.txt
weigh all 1000000

python=build/venv/bin/python
$python tests/vectors/run_vectors.py --command build/size-t0/tools/ferrule --tier T0 || failed=$((failed + 1))
for model in magika silero; do
    $python tests/models/check_models.py --command build/size-magika_silero/tools/ferrule --only $model || failed=$((failed + 1))
done
vectors=$($python -c 'import onnx, pathlib; print(pathlib.Path(onnx.__file__).parent / "backend/test/data/node")')
if build/size-t0/tools/ferrule inspect "$vectors/test_det_2d/model.onnx" 2>&1 | grep -q "op 'Det' .* is left out of this build"; then
    passed=$((passed + 1))
else
    echo "FAIL size: a model with an op that was left out is not refused with that sentence"
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
