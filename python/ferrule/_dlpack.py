# SPDX-License-Identifier: Apache-2.0
"""DLPack capsules: of version 1, and of version 0 for libraries that speak nothing else. Used by tensor.py alone.

The C library knows version 1. Where a consumer wants version 0, a producer gives it, or the memory is borrowed from an
array of Python's, a struct of this module stands between the two: it copies the description and holds what it describes.
"""
from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any

READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY


class _Tensor(Structure):
    _fields_ = [("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32), ("code", c_uint8),
                ("bits", c_uint8), ("lanes", c_uint16), ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)),
                ("byte_offset", c_uint64)]


class _Managed0(Structure):
    name, used = b"dltensor", b"used_dltensor"
    _fields_ = [("tensor", _Tensor), ("manager_ctx", c_void_p), ("deleter", c_void_p)]


class _Managed1(Structure):
    name, used = b"dltensor_versioned", b"used_dltensor_versioned"
    _fields_ = [("major", c_uint32), ("minor", c_uint32), ("manager_ctx", c_void_p), ("deleter", c_void_p), ("flags", c_uint64),
                ("tensor", _Tensor)]


_DELETER = CFUNCTYPE(None, c_void_p)
_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [c_void_p, c_char_p, c_void_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.py_object, c_char_p]
_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.restype, _rename.argtypes = ctypes.c_int, [ctypes.py_object, c_char_p]
# The same by address: a capsule that is being destroyed must not gain a reference.
_raw_valid = ctypes.PYFUNCTYPE(ctypes.c_int, c_void_p, c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_raw_pointer = ctypes.PYFUNCTYPE(c_void_p, c_void_p, c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))


def _delete(kind: Any, address: int, deleter_type: Any = _DELETER) -> None:
    deleter = kind.from_address(address).deleter
    if deleter:
        deleter_type(deleter)(address)


# Structs of ours that somebody holds, by address: the struct, what it stands for, and what that borrows.
_held: dict[int, tuple[Any, Any, int, Any]] = {}


@_DELETER
def _let_go(address, held=_held, delete=_delete):
    _, kind, inner, _ = held.pop(address)
    delete(kind, inner)


@ctypes.PYFUNCTYPE(None, c_void_p)
def _drop_capsule(capsule, kinds=(_Managed0, _Managed1), valid=_raw_valid, pointer=_raw_pointer, delete=_delete):
    """A capsule that nobody took over gives its tensor back."""
    for kind in kinds:
        if valid(capsule, kind.name):
            delete(kind, pointer(capsule, kind.name))


for _callback in (_let_go, _drop_capsule):  # others may call them when this module is gone
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_callback))


def _stand_in(wanted: Any, kind: Any, address: int, keep: Any) -> int:
    """The address of a struct of the wanted kind for one of another."""
    struct = wanted(deleter=ctypes.cast(_let_go, c_void_p).value)
    if wanted is _Managed1:
        struct.major = 1
        struct.flags = kind.from_address(address).flags if kind is _Managed1 else 0
    ctypes.memmove(ctypes.byref(struct, wanted.tensor.offset), address + kind.tensor.offset, ctypes.sizeof(_Tensor))
    _held[ctypes.addressof(struct)] = (struct, kind, address, keep)
    return ctypes.addressof(struct)


def capsule_of(address: int, keep: Any, max_version: tuple[int, int] | None) -> Any:
    """A capsule for what the library exported, which borrows from keep; of version 0 unless the consumer asks for 1."""
    wanted = _Managed1 if max_version is not None and max_version[0] >= 1 else _Managed0
    kind = _Managed1
    try:
        if wanted is _Managed0 and _Managed1.from_address(address).flags & READ_ONLY:
            raise BufferError("memory that is read-only needs DLPack 1: the consumer must ask with max_version=(1, 0)")
        if wanted is _Managed0 or keep is not None:
            address, kind = _stand_in(wanted, kind, address, keep), wanted
        return _new(address, kind.name, ctypes.cast(_drop_capsule, c_void_p))
    except BaseException:
        _delete(kind, address)
        raise


def take_over(source: Any) -> tuple[int, bool]:
    """What source exports, for the library to own: the address of a struct of version 1, and whether it is read-only."""
    try:
        capsule = source.__dlpack__(max_version=(1, 0))
    except TypeError:  # of before version 1
        capsule = source.__dlpack__()
    for kind in (_Managed1, _Managed0):
        if _is_valid(capsule, kind.name):
            address = _pointer(capsule, kind.name)
            _rename(capsule, kind.used)
            if kind is _Managed0:
                address = _stand_in(_Managed1, kind, address, None)
            return address, bool(_Managed1.from_address(address).flags & READ_ONLY)
    raise BufferError(f"{type(source).__name__}.__dlpack__ gave no DLPack capsule")
