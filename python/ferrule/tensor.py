# SPDX-License-Identifier: Apache-2.0
"""Tensors and values: from and to numpy and DLPack, without copies where memory allows."""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from . import _dlpack
from . import _native as native
from ._native import lib
from .context import Context, default_context

try:  # numpy's own dtypes end at f64; ml_dtypes, where installed, names the others.
    import ml_dtypes
except Exception:  # also one that is installed and does not fit this numpy
    ml_dtypes = None

_NUMPY = {"f32": "<f4", "u8": "u1", "i8": "i1", "u16": "<u2", "i16": "<i2", "i32": "<i4", "i64": "<i8", "bool": "?",
          "f16": "<f2", "f64": "<f8", "u32": "<u4", "u64": "<u8", "c64": "<c8", "c128": "<c16"}
_EXTRA = {"bf16": "bfloat16", "f8e4m3fn": "float8_e4m3fn", "f8e4m3fnuz": "float8_e4m3fnuz", "f8e5m2": "float8_e5m2",
          "f8e5m2fnuz": "float8_e5m2fnuz", "u4": "uint4", "i4": "int4", "f4e2m1": "float4_e2m1fn", "u2": "uint2",
          "i2": "int2", "f8e8m0": "float8_e8m0fnu"}
_BITS = {"bf16": 16, "u4": 4, "i4": 4, "f4e2m1": 4, "u2": 2, "i2": 2}
_TO_NUMPY = {native.DTYPES[name]: np.dtype(text) for name, text in _NUMPY.items()}
for _name, _attribute in _EXTRA.items():
    if hasattr(ml_dtypes, _attribute):
        _TO_NUMPY[native.DTYPES[_name]] = np.dtype(getattr(ml_dtypes, _attribute))
_FROM_NUMPY = {dtype: number for number, dtype in _TO_NUMPY.items()}

_BORROW, _BORROW_MUTABLE = 1, 2  # FER_IMPORT_...


def _dims(shape) -> Any:
    return (ctypes.c_int64 * max(1, len(shape)))(*shape)


class Tensor:
    """A tensor of the library. numpy() and np.asarray() view host memory without a copy; DLPack works both ways."""

    def __init__(self, handle: ctypes.c_void_p, keep: Any = None, is_readonly: bool = False):
        self._handle = handle
        self._keep = keep  # whose memory this borrows
        self._is_readonly = is_readonly

    def _live(self) -> ctypes.c_void_p:
        if self._handle is None:
            raise ValueError("the tensor is closed")
        return self._handle

    @staticmethod
    def from_numpy(array: Any, context: Context | None = None) -> Tensor:
        """A tensor over the array's memory (copied only if it is not C-contiguous), read only where the array is. The
        array is kept alive."""
        context = context or default_context()
        array = np.asarray(array)
        if array.dtype.kind in "OSU":
            return _from_strings(array, context)
        array = np.asarray(array, order="C")
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        number = _FROM_NUMPY.get(array.dtype)
        if number is None:
            raise TypeError(f"ferrule has no dtype for numpy's {array.dtype}")
        if native.DTYPE_NAMES[number] in _BITS and _BITS[native.DTYPE_NAMES[number]] < 8:
            return _from_unpacked(array, number, context)
        mode = _BORROW_MUTABLE if array.flags.writeable else _BORROW
        handle = native.new(lib.fer_tensor_import, context._handle, number, array.ndim, _dims(array.shape),
                            array.ctypes.data if array.size else None, mode, native.RELEASE_FN(), None)
        return Tensor(handle, array, mode == _BORROW)

    @staticmethod
    def from_dlpack(source: Any, context: Context | None = None, *, zero_copy: bool = False) -> Tensor:
        """A tensor over any object that speaks DLPack, read only where that says so."""
        context = context or default_context()
        address, is_readonly = _dlpack.take_over(source)
        handle = native.new(lib.fer_tensor_from_dlpack, context._handle, address, int(zero_copy), 0)
        return Tensor(handle, is_readonly=is_readonly)

    @property
    def dtype(self) -> str:
        return native.DTYPE_NAMES.get(lib.fer_tensor_dtype(self._live()), "?")

    @property
    def shape(self) -> tuple[int, ...]:
        rank = lib.fer_tensor_rank(self._live())
        return tuple(lib.fer_tensor_dims(self._handle)[:rank])

    @property
    def device(self) -> str | None:
        """The device whose memory holds the contents; None for host memory."""
        handle = lib.fer_tensor_device(self._live())
        if not handle:
            return None
        info = native.DeviceInfo()
        native.check(lib.fer_device_get_info(handle, ctypes.byref(info)))
        return native.text(info.name)

    def numpy(self) -> np.ndarray:
        """The contents: a view of host memory, or a copy of what lies on a device or is packed."""
        number = lib.fer_tensor_dtype(self._live())
        if number == native.STRING:
            return self._strings()
        name = native.DTYPE_NAMES[number]
        dtype = _TO_NUMPY.get(number)
        if _BITS.get(name, 8) < 8:
            return self._unpack(name, dtype)
        if dtype is None:
            dtype = np.dtype("<u2") if name == "bf16" else np.dtype("u1")
        data = lib.fer_tensor_data(self._handle)
        size = lib.fer_tensor_bytes(self._handle)
        if size == 0:
            return np.empty(self.shape, dtype)
        if data:
            return np.asarray(_Memory(self, data, size)).view(dtype).reshape(self.shape)
        return self._raw(size).view(dtype).reshape(self.shape)

    def _raw(self, size: int) -> np.ndarray:
        raw = np.empty(size, np.uint8)
        if size:
            native.check(lib.fer_tensor_read(self._handle, 0, raw.ctypes.data, size))
        return raw

    def _strings(self) -> np.ndarray:
        length = ctypes.c_size_t()
        items = []
        for index in range(lib.fer_tensor_element_count(self._handle)):
            data = lib.fer_tensor_string(self._handle, index, ctypes.byref(length))
            items.append(ctypes.string_at(data, length.value).decode(errors="surrogateescape") if data else "")
        return np.array(items, dtype=object).reshape(self.shape)

    def _unpack(self, name: str, dtype: np.dtype | None) -> np.ndarray:
        bits = _BITS[name]
        raw = self._raw(lib.fer_tensor_bytes(self._handle))
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        codes = (raw[:, None] >> shifts & ((1 << bits) - 1)).reshape(-1)[: lib.fer_tensor_element_count(self._handle)]
        if name in ("i4", "i2"):
            codes = codes.astype(np.int8)
            codes[codes >= 1 << (bits - 1)] -= 1 << bits
            return (codes.astype(dtype) if dtype is not None else codes).reshape(self.shape)
        if name == "f4e2m1" and dtype is not None:
            return codes.view(dtype).reshape(self.shape)
        return (codes.astype(dtype) if dtype is not None else codes).reshape(self.shape)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: Any = None,
                   copy: bool | None = None) -> Any:
        if copy:
            raise BufferError("ferrule exports views only")
        pointer = native.new(lib.fer_tensor_to_dlpack, self._live(), int(stream or 0))
        return _dlpack.capsule_of(pointer.value, self._keep, max_version)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # host memory; a device's own memory is exported by way of numpy()

    def __repr__(self) -> str:
        if self._handle is None:
            return "ferrule.Tensor(closed)"
        return f"ferrule.Tensor({self.dtype} {list(self.shape)})"

    def close(self) -> None:
        """Lets go of the memory now. Views made from it must not be used any more."""
        handle, self._handle = self._handle, None
        if handle:
            lib.fer_tensor_release(handle)
        self._keep = None

    def __enter__(self) -> Tensor:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()


class _Memory:
    """Host memory of a tensor as numpy wants to see it; holds the tensor."""

    def __init__(self, tensor: Tensor, data: int, size: int):
        self._tensor = tensor
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (size,), "data": (data, tensor._is_readonly)}


def _from_strings(array: np.ndarray, context: Context) -> Tensor:
    items = [item if isinstance(item, bytes) else str(item).encode(errors="surrogateescape")
             for item in array.reshape(-1).tolist()]
    pointers = (ctypes.c_char_p * max(1, len(items)))(*items)
    lengths = (ctypes.c_size_t * max(1, len(items)))(*[len(item) for item in items])
    return Tensor(native.new(lib.fer_tensor_create_strings, context._handle, array.ndim, _dims(array.shape), pointers,
                             lengths))


def _from_unpacked(array: np.ndarray, number: int, context: Context) -> Tensor:
    """numpy keeps sub-byte elements one per byte; the library packs them, the first in the low bits."""
    bits = _BITS[native.DTYPE_NAMES[number]]
    codes = array.reshape(-1)
    codes = codes.view(np.uint8) if codes.dtype.itemsize == 1 else codes.astype(np.uint8)
    per_byte = 8 // bits
    codes = np.pad(codes & ((1 << bits) - 1), (0, -len(codes) % per_byte)).reshape(-1, per_byte)
    packed = np.bitwise_or.reduce(codes << (np.arange(per_byte, dtype=np.uint8) * bits), axis=1).astype(np.uint8)
    handle = native.new(lib.fer_tensor_create, context._handle, number, array.ndim, _dims(array.shape))
    tensor = Tensor(handle)
    if packed.size:
        native.check(lib.fer_tensor_write(handle, 0, packed.ctypes.data, packed.size))
    return tensor


def as_tensor(source: Any, context: Context, dtype: int = 0) -> Tensor:
    """Whatever a caller hands in. Python numbers and lists take the dtype the model wants."""
    if isinstance(source, Tensor):
        source._live()
        return source
    if not isinstance(source, np.ndarray) and hasattr(source, "__dlpack__") and not np.isscalar(source):
        return Tensor.from_dlpack(source, context)
    if not isinstance(source, (np.ndarray, np.generic)) and dtype in _TO_NUMPY:
        source = np.asarray(source, dtype=_TO_NUMPY[dtype])
    return Tensor.from_numpy(source, context)


class Value:
    """Owns a fer_value made from Python objects: an array, a list (sequence) or None (empty optional)."""

    def __init__(self, source: Any, context: Context, kind: int = native.KIND_TENSOR, dtype: int = 0):
        self._parts: list[Any] = []
        if kind == native.KIND_OPTIONAL:
            inner = None if source is None else Value(source, context, _kind_of(source), dtype)
            self._parts.append(inner)
            self.handle = native.new(lib.fer_value_optional, context._handle, inner.handle if inner else None)
        elif kind == native.KIND_SEQUENCE:
            self._parts = [Value(item, context, _kind_of(item), dtype) for item in source]
            handles = (ctypes.c_void_p * max(1, len(self._parts)))(*[part.handle for part in self._parts])
            self.handle = native.new(lib.fer_value_sequence, context._handle, handles, len(self._parts))
        elif kind == native.KIND_MAP:
            keys = np.asarray(list(source), dtype=object if isinstance(next(iter(source), 0), str) else np.int64)
            self._parts = [as_tensor(keys, context), as_tensor(list(source.values()), context, dtype)]
            self.handle = native.new(lib.fer_value_map, context._handle, self._parts[0]._handle, self._parts[1]._handle)
        else:
            self.tensor = as_tensor(source, context, dtype)
            self.handle = native.new(lib.fer_value_from_tensor, self.tensor._handle)

    def __del__(self):
        if getattr(self, "handle", None):
            lib.fer_value_release(self.handle)


def _kind_of(source: Any) -> int:
    if isinstance(source, dict):
        return native.KIND_MAP
    return native.KIND_SEQUENCE if isinstance(source, (list, tuple)) else native.KIND_TENSOR


def value_to_python(handle: Any) -> Any:
    """A tensor as an array, a sequence as a list, an optional as its item or None, a map as a dict."""
    kind = lib.fer_value_kind(handle)
    if kind == native.KIND_TENSOR:
        return Tensor(ctypes.c_void_p(lib.fer_tensor_retain(lib.fer_value_tensor(handle)))).numpy()
    items = [value_to_python(lib.fer_value_item(handle, index)) for index in range(lib.fer_value_count(handle))]
    if kind == native.KIND_OPTIONAL:
        return items[0] if items else None
    if kind == native.KIND_MAP:
        return dict(zip(items[0].tolist(), items[1].tolist()))
    return items
