# SPDX-License-Identifier: Apache-2.0
"""The ten real models of the tests and real inputs for them: speech from espeak-ng, a rendered line of text and page,
real files. A case is (label, {input name: array}).
"""
import importlib.util
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np


def package_folder(name):
    return Path(importlib.util.find_spec(name).origin).parent


def speech(rate):
    """A sentence of speech as f32 at rate Hz."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/speech.wav"
        subprocess.run(["espeak-ng", "-v", "en", "-w", path, "A ferrule is the metal band that fits one handle to any tool head."],
                       check=True, capture_output=True)
        with wave.open(path) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
            source_rate = file.getframerate()
    places = np.arange(0, len(samples) - 1, source_rate / rate)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)


def windows(samples, size, count, context=0):
    """count stretches of size samples from where the speech is loud, each with the context samples before it."""
    start = int(len(samples) * 0.2)
    rows = [samples[start + i * size - context:start + (i + 1) * size] for i in range(count)]
    return np.stack(rows).astype(np.float32)


def silero_cases(name):
    state = np.zeros((2, 1, 128), np.float32)
    speech16 = speech(16000)
    if name == "silero_vad_16k_sequence":
        for length in (4, 31):
            yield f"{length} windows", {"input": windows(speech16, 512, length, 64), "h": state[:1], "c": state[1:]}
        return
    loud = np.random.default_rng(7).standard_normal((2, 1, 128)).astype(np.float32) * 0.1
    for label, filled in (("fresh state", state), ("used state", loud)):
        yield f"16 kHz, {label}", {"input": windows(speech16, 512, 1, 64), "state": filled, "sr": np.array(16000, np.int64)}
    if name == "silero_vad_openvino_16k":
        return
    yield "16 kHz, batch 3", {"input": windows(speech16, 512, 3, 64), "state": np.repeat(loud, 3, axis=1), "sr": np.array(16000, np.int64)}
    if name in ("silero_vad", "silero_vad_op18_ifless"):
        yield "8 kHz", {"input": windows(speech(8000), 256, 1, 32), "state": loud, "sr": np.array(8000, np.int64)}


def font(size):
    from PIL import ImageFont
    return ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", size)


def rendered(width, height, lines, size):
    from PIL import Image, ImageDraw
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((6, 4 + row * size * 1.5), line, fill="black", font=font(size))
    return np.asarray(image, np.float32)


def normalised(image, mean, scale):
    return np.ascontiguousarray(((image / 255 - mean) / scale).transpose(2, 0, 1)[None], np.float32)


PAGE = ["The handle fits any tool head.", "One model file, any chip.", "Never a silent decision.", "Total 1,234.56"]


def det_cases():
    mean, scale = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for width, height, size in ((320, 224, 24), (224, 288, 26)):
        yield f"page {width}x{height}", {"x": normalised(rendered(width, height, PAGE + PAGE[:2], size), mean, scale)}


def rec_cases():
    for width in (320, 184):
        yield f"line of {width}", {"x": normalised(rendered(width, 48, [PAGE[1]], 22), 0.5, 0.5)}
    both = [normalised(rendered(320, 48, [text], 22), 0.5, 0.5) for text in PAGE[:2]]
    yield "two lines", {"x": np.concatenate(both)}


def cls_cases():
    upright = rendered(192, 48, [PAGE[2]], 22)
    yield "upright", {"x": normalised(upright, 0.5, 0.5)}
    yield "both ways", {"x": np.concatenate([normalised(upright, 0.5, 0.5), normalised(upright[::-1, ::-1], 0.5, 0.5)])}


def magika_features(path):
    """What magika's model reads: see examples/identify_files.c."""
    data = Path(path).read_bytes()
    begin, end = data[:4096].lstrip()[:1024], data[-4096:].rstrip()[-1024:]
    return list(begin) + [256] * (1024 - len(begin)) + [256] * (1024 - len(end)) + list(end)


def magika_cases():
    root = Path(__file__).resolve().parents[2]
    files = [root / "meson.build", root / "include/ferrule/ferrule.h", root / "tools/check.sh", Path(__file__), Path("/bin/sh")]
    rows = np.array([magika_features(path) for path in files], np.int32)
    for count in (1, 3, len(files)):
        yield f"{count} files", {"bytes": rows[:count]}


def real_models():
    """(name, path, list of cases) of all ten."""
    silero, magika, ocr = (package_folder(name) for name in ("silero_vad", "magika", "rapidocr_onnxruntime"))
    for path in sorted((silero / "data").glob("*.onnx")):
        yield path.stem, path, list(silero_cases(path.stem))
    yield "magika", magika / "models/standard_v3_3/model.onnx", list(magika_cases())
    for role, cases in (("det", det_cases), ("rec", rec_cases), ("cls", cls_cases)):
        (path,) = (ocr / "models").glob(f"*_{role}_infer.onnx")
        yield f"rapidocr {role}", path, list(cases())
