# SPDX-License-Identifier: Apache-2.0
"""Any op, eagerly: ferrule.ops.conv(x, w, pads=[1, 1, 1, 1]).

Names are ONNX's, in any spelling of case and underscores (matmul, MatMul, mat_mul). Positional arguments are the op's
inputs, None where an optional one is left out; keywords are its attributes. A float attribute wants a float (1.0), an
int attribute an int. outputs=N asks for more than one; device= and context= choose where.
"""
from __future__ import annotations

import ctypes
from typing import Any, Callable

import numpy as np

from . import _native as native
from ._native import lib
from .context import Context, default_context
from .tensor import Tensor, as_tensor

_INT, _FLOAT, _STRING, _TENSOR, _INTS, _FLOATS, _STRINGS = 1, 2, 3, 4, 5, 6, 7


def _table() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for index in range(lib.fer_op_count()):
        info = native.OpInfo()
        native.check(lib.fer_op_get(index, ctypes.byref(info)))
        name, domain = native.text(info.name), native.text(info.domain)
        found.setdefault(name.lower(), (domain, name))
    return found


_OPS = _table()


def _bytes(item: Any) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode()


def _int64(name: str, item: Any) -> int:
    number = int(item)
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(f"attribute {name}: {number} does not fit 64 bits")
    return number


def _attr(name: str, value: Any, context: Context, keep: list[Any]) -> native.Attr:
    attr = native.Attr(name=name.encode(), count=1)
    if isinstance(value, (bool, int, np.integer)):
        attr.type, attr.value.i = _INT, _int64(name, value)
    elif isinstance(value, (float, np.floating)):
        attr.type, attr.value.f = _FLOAT, float(value)
    elif isinstance(value, (str, bytes)):
        data = _bytes(value)
        keep.append(data)
        attr.type, attr.value.s = _STRING, native.String(data, len(data))
    elif isinstance(value, (np.ndarray, Tensor)):
        tensor = as_tensor(value, context)
        keep.append(tensor)
        attr.type, attr.value.tensor = _TENSOR, tensor._handle
    else:
        items = list(value)
        attr.count = len(items)
        if items and isinstance(items[0], (str, bytes)):
            texts = [_bytes(item) for item in items]
            array: Any = (native.String * len(texts))(*[native.String(text, len(text)) for text in texts])
            keep += [texts, array]
            attr.type, attr.value.strings = _STRINGS, array
        elif any(isinstance(item, (float, np.floating)) for item in items):
            array = (ctypes.c_float * len(items))(*[float(item) for item in items])
            keep.append(array)
            attr.type, attr.value.floats = _FLOATS, array
        else:
            array = (ctypes.c_int64 * max(1, len(items)))(*[_int64(name, item) for item in items])
            keep.append(array)
            attr.type, attr.value.ints = _INTS, array
    return attr


def run(op: str, *inputs: Any, outputs: int = 1, domain: str = "", device: str | None = None,
        context: Context | None = None, **attributes: Any) -> Any:
    """Runs one op; returns its output, or a list when outputs > 1."""
    context = context or default_context()
    keep: list[Any] = []
    attrs = [_attr(name, value, context, keep) for name, value in attributes.items()]
    tensors = [None if item is None else as_tensor(item, context) for item in inputs]
    handles = (ctypes.c_void_p * max(1, len(tensors)))(*[tensor._handle if tensor else None for tensor in tensors])
    results = (ctypes.c_void_p * max(1, outputs))()
    place = native.new(lib.fer_device_find, context._handle, device.encode()) if device else None
    try:
        native.check(lib.fer_op_run(context._handle, place, domain.encode(), op.encode(),
                                    (native.Attr * max(1, len(attrs)))(*attrs), len(attrs), handles, len(tensors),
                                    results, outputs))
    finally:
        if place:
            lib.fer_device_release(place)
    arrays = [Tensor(ctypes.c_void_p(results[index])).numpy() for index in range(outputs)]
    return arrays[0] if outputs == 1 else arrays


def __getattr__(name: str) -> Callable[..., Any]:
    key = name.replace("_", "").lower()
    if name.startswith("__") or key not in _OPS:
        raise AttributeError(f"ferrule.ops has no op '{name}'")
    domain, op = _OPS[key]

    def call(*inputs: Any, **keywords: Any) -> Any:
        return run(op, *inputs, domain=domain, **keywords)

    call.__name__ = name
    call.__doc__ = f"ONNX's {op}, eagerly."
    return call


def __dir__() -> list[str]:
    return sorted(["run", *_OPS])
