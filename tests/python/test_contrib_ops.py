# SPDX-License-Identifier: Apache-2.0
"""com.microsoft's ops as exporters emit them, against ONNX Runtime, whose ops they are."""
import numpy as np
import pytest

from ort_oracle import Maker, compare, f32, i8, u8

MS = "com.microsoft"


def rounded(m, *shape, high=2):
    return m.integers(0, high, *shape)


def angles(m, width):
    angle = m.random.random((20, width))
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


# name: (op, inputs from a Maker, attributes[, outputs])
SIMPLE = {
    "gelu": ("Gelu", lambda m: [m.floats(3, 5)], {}),
    "fast gelu": ("FastGelu", lambda m: [m.floats(3, 5)], {}),
    "fast gelu, bias": ("FastGelu", lambda m: [m.floats(3, 5), m.floats(5)], {}),
    "bias gelu": ("BiasGelu", lambda m: [m.floats(2, 3, 5), m.floats(5)], {}),
    "quick gelu": ("QuickGelu", lambda m: [m.floats(3, 5)], {"alpha": 1.5}),
    "matmul": ("FusedMatMul", lambda m: [m.floats(2, 3, 4), m.floats(2, 4, 5)], {"alpha": 0.5}),
    "matmul tt": ("FusedMatMul", lambda m: [m.floats(2, 4, 3), m.floats(2, 5, 4)], {"alpha": 0.5, "transA": 1, "transB": 1}),
    "matmul, batch of a": ("FusedMatMul", lambda m: [m.floats(3, 2, 4), m.floats(2, 4, 5)], {"transBatchA": 1}),
    "matmul, all of a": ("FusedMatMul", lambda m: [m.floats(4, 2, 3), m.floats(2, 4, 5)], {"transBatchA": 1, "transA": 1}),
    "matmul, batch of b": ("FusedMatMul", lambda m: [m.floats(2, 3, 4), m.floats(4, 2, 5)], {"transBatchB": 1}),
    "matmul, all of b": ("FusedMatMul", lambda m: [m.floats(2, 3, 4), m.floats(5, 2, 4)], {"transBatchB": 1, "transB": 1}),
    "skip norm": ("SkipLayerNormalization", lambda m: [m.floats(2, 3, 8), m.floats(2, 3, 8), m.floats(8), m.floats(8), m.floats(8)],
                  {"epsilon": 1e-5}, (1, 0, 0, 1)),
    "skip norm, no beta": ("SkipLayerNormalization", lambda m: [m.floats(2, 3, 8), m.floats(2, 3, 8), m.floats(8)], {}),
    "skip rms norm": ("SkipSimplifiedLayerNormalization", lambda m: [m.floats(2, 3, 8), m.floats(2, 3, 8), m.floats(8)],
                      {"epsilon": 1e-5}, (1, 0, 0, 1)),
    "embed": ("EmbedLayerNormalization",
              lambda m: [rounded(m, 2, 4, high=10), rounded(m, 2, 4), m.floats(10, 8), m.floats(6, 8), m.floats(2, 8), m.floats(8),
                         m.floats(8), np.array([[1, 1, 1, 0], [1, 1, 0, 0]], np.int32)], {}, (1, 1)),
    "embed, no segments": ("EmbedLayerNormalization",
                           lambda m: [rounded(m, 2, 4, high=10), None, m.floats(10, 8), m.floats(6, 8), None, m.floats(8),
                                      m.floats(8)], {}, (1, 1)),
    "embed, positions": ("EmbedLayerNormalization",
                         lambda m: [rounded(m, 2, 4, high=10), rounded(m, 2, 4), m.floats(10, 8), m.floats(6, 8), m.floats(2, 8),
                                    m.floats(8), m.floats(8), None, np.array([[3, 2, 1, 0], [0, 1, 2, 3]], np.int32)], {}, (1, 1, 1)),
    "rotary": ("RotaryEmbedding", lambda m: [m.floats(2, 5, 24), np.array([3], np.int64), *angles(m, 4)], {}),
    "rotary, 4d": ("RotaryEmbedding",
                   lambda m: [m.floats(2, 3, 5, 8), m.integers(0, 20, 2, 5, dtype=np.int64), *angles(m, 4)], {"interleaved": 1}),
    "rotary, part": ("RotaryEmbedding", lambda m: [m.floats(2, 5, 36), np.array([0], np.int64), *angles(m, 4)],
                     {"num_heads": 3, "rotary_embedding_dim": 8}),
    "pool": ("NhwcMaxPool", lambda m: [m.bytes(1, 6, 7, 3)], {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    "dynamic matmul": ("DynamicQuantizeMatMul", lambda m: [m.floats(3, 8), m.weights(8, 5), f32(0.02), i8(3), m.floats(5)], {}),
    "dynamic matmul, columns": ("DynamicQuantizeMatMul", lambda m: [m.floats(3, 8), m.bytes(8, 5), m.floats(5), m.bytes(5)], {}),
    "integer matmul": ("MatMulIntegerToFloat",
                       lambda m: [m.bytes(3, 8), m.weights(8, 5), f32(0.02), f32(0.03), u8(4), i8(3), m.floats(5)], {}),
    "integer matmul, plain": ("MatMulIntegerToFloat", lambda m: [m.bytes(3, 8), m.bytes(8, 5), f32(0.02), f32(0.03)], {}),
}
QUANTIZED = {
    "add": ("QLinearAdd", lambda m: [m.bytes(2, 3, 4), f32(0.02), u8(4), m.bytes(3, 1), f32(0.03), u8(3), f32(0.04), u8(100)], {}),
    "mul": ("QLinearMul", lambda m: [m.bytes(2, 3, 4), f32(0.02), u8(4), m.bytes(3, 1), f32(0.03), u8(3), f32(0.04), u8(100)], {}),
    "add, signed": ("QLinearAdd",
                    lambda m: [m.weights(2, 3), f32(0.02), i8(4), m.weights(2, 3), f32(0.03), i8(3), f32(0.04), i8(-10)], {}),
    "sigmoid": ("QLinearSigmoid", lambda m: [m.bytes(2, 30), f32(0.05), u8(120), f32(0.004), u8(2)], {}),
    "leaky": ("QLinearLeakyRelu", lambda m: [m.weights(2, 30), f32(0.05), i8(1), f32(0.04), i8(2)], {"alpha": 0.1}),
    "average": ("QLinearGlobalAveragePool", lambda m: [m.bytes(2, 3, 4, 5), f32(0.05), u8(120), f32(0.04), u8(2)], {}),
    "average, channels last": ("QLinearGlobalAveragePool", lambda m: [m.bytes(2, 4, 5, 3), f32(0.05), u8(120), f32(0.04), u8(2)],
                               {"channels_last": 1}),
    "concat": ("QLinearConcat",
               lambda m: [f32(0.05), u8(3), m.bytes(2, 3), f32(0.04), u8(1), m.bytes(2, 4), f32(0.06), u8(0)], {"axis": 1}),
    "gemm": ("QGemm", lambda m: [m.bytes(3, 8), f32(0.02), u8(4), m.weights(8, 5), f32(0.03), i8(3), m.integers(-500, 500, 5),
                                 f32(0.1), u8(100)], {}),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_simple(name):
    op, inputs, attributes, *outputs = SIMPLE[name]
    compare(op, MS, inputs(Maker(name)), attributes, *outputs)


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized(name):
    op, inputs, attributes = QUANTIZED[name]
    compare(op, MS, inputs(Maker(name)), attributes, steps=1)


def test_simplified_layer_normalization():
    m = Maker("rms")
    compare("SimplifiedLayerNormalization", "", [m.floats(2, 3, 8), m.floats(8)], {"epsilon": 1e-5, "axis": -1})


@pytest.mark.parametrize("bits, k, n, block, points", [(4, 40, 6, 16, ""), (4, 40, 6, 16, "packed"), (4, 64, 5, 32, "float"),
                                                       (8, 64, 5, 32, "packed"), (2, 64, 5, 32, "")])
def test_matmul_of_few_bits(bits, k, n, block, points):
    m, blocks = Maker(f"{bits}{points}"), (k + block - 1) // block
    inputs = [m.floats(3, k), m.bytes(n, blocks, block * bits // 8), m.floats(n * blocks)]
    if points:
        inputs.append(m.floats(n * blocks) if points == "float" else m.bytes(n * ((blocks * bits + 7) // 8)))
    compare("MatMulNBits", MS, inputs, {"K": k, "N": n, "bits": bits, "block_size": block}, rtol=1e-2, atol=1e-2)


def mask_of(m, kind, batch, rows, total):
    return {"2d": lambda: m.random.random((batch, total)) > 0.3, "3d": lambda: m.random.random((batch, rows, total)) > 0.3,
            "ends": lambda: np.array([3, 4]), "ends and starts": lambda: np.array([3, 4, 1, 0]), "": lambda: None}[kind]()


@pytest.mark.parametrize("mask", ["", "2d", "3d", "ends", "ends and starts"])
@pytest.mark.parametrize("past, attributes", [(0, {}), (5, {}), (0, {"unidirectional": 1}), (5, {"unidirectional": 1}),
                                              (0, {"scale": 0.3}), (0, {"qkv_hidden_sizes": [12, 12, 6]})])
def test_attention(mask, past, attributes):
    m, batch, rows, width, heads = Maker(mask + str(past)), 2, 4, 12, 3
    columns = sum(attributes.get("qkv_hidden_sizes", [3 * width]))
    masked = mask_of(m, mask, batch, rows, rows + past)
    inputs = [m.floats(batch, rows, width), m.floats(width, columns), m.floats(columns),
              None if masked is None else masked.astype(np.int32), m.floats(2, batch, heads, past, width // heads) if past else None]
    compare("Attention", MS, inputs, {"num_heads": heads, **attributes}, (1, 1) if past else (1,))


@pytest.mark.parametrize("kind", ["plain", "bias", "past", "causal", "2d", "3d", "ends", "added", "cross"])
def test_multi_head_attention(kind):
    m, batch, rows, width, heads = Maker(kind), 2, 4, 12, 3
    keys, past = 6 if kind == "cross" else rows, 5 if kind == "past" else 0
    masked = mask_of(m, kind if kind in ("2d", "3d", "ends") else "", batch, rows, keys + past)
    inputs = [m.floats(batch, rows, width), m.floats(batch, keys, width), m.floats(batch, keys, width),
              m.floats(3 * width) if kind == "bias" else None, None if masked is None else masked.astype(np.int32),
              m.floats(batch, heads, rows, keys) if kind == "added" else None]
    if past:
        inputs += [m.floats(batch, heads, past, width // heads), m.floats(batch, heads, past, width // heads)]
    compare("MultiHeadAttention", MS, inputs, {"num_heads": heads, "unidirectional": int(kind == "causal")},
            (1, 1, 1) if past else (1,))


@pytest.mark.parametrize("past, packed, attributes", [(0, 0, {}), (6, 0, {}), (6, 0, {"do_rotary": 1}), (0, 0, {"do_rotary": 1}),
                                                      (0, 1, {"do_rotary": 1}), (0, 0, {"local_window_size": 2}),
                                                      (0, 0, {"softcap": 5.0}), (0, 0, {"do_rotary": 1, "rotary_interleaved": 1})])
def test_group_query_attention(past, packed, attributes):
    m, batch, heads, groups, width = Maker(f"{past}{packed}{attributes}"), 2, 4, 2, 16
    rows = 1 if past else 5
    total = past + rows
    cos, sin = angles(m, width // 2) if "do_rotary" in attributes else (None, None)
    inputs = [m.floats(batch, rows, (heads + 2 * groups if packed else heads) * width)]
    inputs += [None if packed else m.floats(batch, rows, groups * width) for _ in range(2)]
    inputs += [m.floats(batch, groups, past, width) if past else None for _ in range(2)]
    inputs += [np.array([total - 1] * batch, np.int32), np.array(total, np.int32), cos, sin]
    compare("GroupQueryAttention", MS, inputs[: 9 if cos is not None else 7],
            {"num_heads": heads, "kv_num_heads": groups, **attributes}, (1, 1, 1))
