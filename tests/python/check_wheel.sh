#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_wheel.sh: builds the wheel, installs it into a virtual environment that has nothing else of ours, takes away the
# build, and runs the Python tests there.
set -eu
cd "$(dirname "$0")/../.."
source=$PWD
work=$PWD/build/wheel-test
rm -rf "$work"
mkdir -p "$work/dist"
PATH=$PWD/build/venv/bin:$PATH build/venv/bin/python -m pip -q --disable-pip-version-check wheel --no-build-isolation --no-deps \
    -w "$work/dist" .
/usr/bin/python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip -q --disable-pip-version-check install --no-deps "$work"/dist/*.whl
# numpy, onnx and pytest come from the tests' own environment; ferrule comes from the wheel.
echo "$source/build/venv/lib/$(ls "$work/venv/lib")/site-packages" >"$work/venv/lib/$(ls "$work/venv/lib")/site-packages/zz-tests.pth"
unzip -l "$work"/dist/*.whl | awk '{print $4}' | grep -E 'libferrule|backend$' || true
cd "$work"
env -u FERRULE_BACKEND_PATH -u LD_LIBRARY_PATH -u PYTHONPATH "$work/venv/bin/python" -m pytest -q -p no:cacheprovider \
    "$source/tests/python"
