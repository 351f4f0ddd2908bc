#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# demo.sh: from a fresh Debian machine to the main job: dependencies, build, magika's model from its PyPI package, then a
# C program that names the type of real files on every device found, beside the answer of magika's own Python package.
set -eu
cd "$(dirname "$0")/.."

echo "demo: 1/4 dependencies"
sh tools/deps.sh demo
echo "demo: 2/4 building Ferrule (log: build/demo.log)"
if [ ! -f build/meson-private/coredata.dat ]; then
    meson setup build >build/demo.log 2>&1 || { tail -20 build/demo.log; exit 1; }
fi
if [ -t 1 ]; then # ninja tells how far it is, in one line
    ninja -C build
else
    ninja -C build >>build/demo.log 2>&1 || { tail -30 build/demo.log; exit 1; }
fi

python=build/demo-venv/bin/python
model=$($python -c 'import importlib.util, pathlib
print(pathlib.Path(importlib.util.find_spec("magika").origin).parent / "models/standard_v3_3")')
$python -c 'import json, sys
print("\n".join(json.load(open(sys.argv[1]))["target_labels_space"]))' "$model/config.min.json" >build/magika-labels.txt

# Real files of this machine and of this tree.
set --
for file in include/ferrule/ferrule.h tools/check.sh tools/requirements/check.txt tests/abi/dump_abi.py README.md meson.build \
    build/tools/ferrule "$model/model.onnx" "$model/config.min.json" /etc/passwd /usr/share/common-licenses/GPL-3 \
    /usr/share/doc/bash/changelog.Debian.gz /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf /usr/lib/os-release; do
    [ ! -r "$file" ] || set -- "$@" "$file"
done

echo "demo: 3/4 the devices of this machine"
export FERRULE_BACKEND_PATH="$PWD/build/backends/manifests"
build/tools/ferrule devices
echo "demo: 4/4 naming files: device, label, score, time; then where each node ran"
build/examples/identify_files "$model/model.onnx" build/magika-labels.txt "$@" >build/demo-ours.txt
grep -v '^  node' build/demo-ours.txt
awk '/^  node/ { on[$NF]++; total++ } END { for (d in on) printf "  %d of %d nodes: %s\n", on[d], total, d }' build/demo-ours.txt
echo "  (each node: build/demo-ours.txt)"

echo "magika's own Python, and whether both agree:"
$python - build/demo-ours.txt "$@" <<'PYTHON'
import sys
from pathlib import Path
from magika import Magika

ours = {}
for line in open(sys.argv[1]):
    if not line.startswith("  node"):
        device, label, score, _, _, path = line.split(None, 5)
        ours.setdefault(path.strip(), []).append((device, label, float(score)))
magika, differing = Magika(), 0
for path in sys.argv[2:]:
    result = magika.identify_path(Path(path))
    label, score = str(result.dl.label), float(result.score)
    for device, our_label, our_score in ours.get(path, []):
        # magika answers tiny files by rule, without its model.
        same = label == "undefined" or (label == our_label and abs(score - our_score) < 1e-3)
        differing += not same
        print(f"  {label:<14} {score:.4f}   {device} {our_label:<14} {our_score:.4f}   {'same' if same else 'DIFFERENT'}   {path}")
print(f"demo: {differing} of {len(sys.argv) - 2} files named differently")
sys.exit(differing != 0)
PYTHON
