# SPDX-License-Identifier: Apache-2.0
"""ImageDecoder against Pillow, bit for bit: every format it reads, odd sizes, and files that are damaged."""
import io
import random

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

import ferrule

WRITERS = {
    "bmp": ("bmp", {}),
    "ppm": ("ppm", {}),
    "tiff": ("tiff", {}),
    "png": ("png", {}),
    "jpeg 4:4:4": ("jpeg", {"quality": 90, "subsampling": 0}),
    "jpeg 4:2:2": ("jpeg", {"quality": 50, "subsampling": 1}),
    "jpeg 4:2:0": ("jpeg", {"quality": 75, "subsampling": 2}),
    "jpeg with restarts": ("jpeg", {"restart_marker_blocks": 3}),
    "jpeg 2000": ("jpeg2000", {}),
    "webp, low quality": ("webp", {"quality": 10, "method": 6}),
    "webp, fast": ("webp", {"quality": 80, "method": 0}),
    "webp, high quality": ("webp", {"quality": 100}),
}


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), (x + y) * 3 % 256], -1)
    noise = np.random.default_rng(1).integers(-30, 31, smooth.shape)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def written(image, writer):
    file = io.BytesIO()
    image.save(file, writer[0], **writer[1])
    return file.getvalue()


@pytest.fixture(scope="module")
def decoder():
    node = helper.make_node("ImageDecoder", ["file"], ["picture"])
    graph = helper.make_graph([node], "test", [helper.make_tensor_value_info("file", TensorProto.UINT8, ["bytes"])],
                              [helper.make_tensor_value_info("picture", TensorProto.UINT8, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return ferrule.load(model, device="ref")


def decode(decoder, data):
    return decoder(np.frombuffer(data, np.uint8))[0]


def by_pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_pictures_are_as_pillow_gives_them(decoder, writer):
    for size in ((1, 1), (3, 2), (17, 9), (33, 47), (64, 64), (100, 37)):
        data = written(picture(*size), writer)
        np.testing.assert_array_equal(decode(decoder, data), by_pillow(data), err_msg=str(size))


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA"])
def test_png_of_every_kind(decoder, mode):
    data = written(picture(19, 21).convert(mode), WRITERS["png"])
    np.testing.assert_array_equal(decode(decoder, data), by_pillow(data))


@pytest.mark.parametrize("format, options, name", [("jpeg", {"progressive": True}, "progressive"), ("webp", {"lossless": True}, "lossless")])
def test_what_is_not_there_is_named(decoder, format, options, name):
    with pytest.raises(ferrule.Error, match=name) as caught:
        decode(decoder, written(picture(20, 20), (format, options)))
    assert caught.value.status == "UNSUPPORTED"


def test_a_small_file_cannot_ask_for_much_memory(decoder):
    data = bytearray(written(picture(19, 21), WRITERS["png"]))
    data[16:24] = bytes((0, 1, 0, 0, 0, 1, 0, 0))
    assert decode(decoder, bytes(data)).size == 0


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_damaged_files_end_well(decoder, writer):
    """Any picture, an empty one, or a refusal: never a crash, and the next file is read as if nothing had been."""
    chance = random.Random(7)
    whole = written(picture(19, 21), writer)
    for _ in range(60):
        data = bytearray(whole[: chance.randrange(1, len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(3):
            data[chance.randrange(min(len(data), chance.choice((40, 400, len(data)))))] = chance.choice((0, 1, 127, 255))
        try:
            assert decode(decoder, bytes(data)).dtype == np.uint8
        except ferrule.Error as error:
            assert error.status in ("UNSUPPORTED", "LIMIT", "INVALID_INPUT", "OUT_OF_MEMORY")
    np.testing.assert_array_equal(decode(decoder, whole), by_pillow(whole))
