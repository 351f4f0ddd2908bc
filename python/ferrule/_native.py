# SPDX-License-Identifier: Apache-2.0
"""The C library: where it is found, its structs and its functions. Nothing outside this package uses it."""
from __future__ import annotations

import ctypes
import ctypes.util
import os
from ctypes import (CFUNCTYPE, POINTER, Structure, Union, byref, c_char, c_char_p, c_double, c_float, c_int32, c_int64,
                    c_size_t, c_uint32, c_uint64, c_void_p)
from pathlib import Path

DTYPES = {"f32": 1, "u8": 2, "i8": 3, "u16": 4, "i16": 5, "i32": 6, "i64": 7, "str": 8, "bool": 9, "f16": 10, "f64": 11,
          "u32": 12, "u64": 13, "c64": 14, "c128": 15, "bf16": 16, "f8e4m3fn": 17, "f8e4m3fnuz": 18, "f8e5m2": 19,
          "f8e5m2fnuz": 20, "u4": 21, "i4": 22, "f4e2m1": 23, "f8e8m0": 24, "u2": 25, "i2": 26}
DTYPE_NAMES = {number: name for name, number in DTYPES.items()}
STRING = DTYPES["str"]
KIND_TENSOR, KIND_SEQUENCE, KIND_OPTIONAL, KIND_MAP = 1, 2, 3, 4
NOT_READY = 15
FOREVER = (1 << 64) - 1
NO_INDEX = 0xFFFFFFFF
RELEASE_FN = CFUNCTYPE(None, c_void_p, c_void_p)
LOG_FN = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
TEXT_FN = CFUNCTYPE(c_int32, c_void_p, POINTER(c_char), c_size_t)


class Sized(Structure):
    """A struct of the ABI: begins with its own size, so that old and new parts can tell."""

    def __init__(self, *args, **fields):
        super().__init__(*args, **fields)
        self.struct_size = ctypes.sizeof(self)


class ErrorRecord(Sized):
    _fields_ = [("struct_size", c_uint32), ("status", c_int32), ("native_code", c_int32), ("source_line", c_uint32),
                ("source_file", c_char * 48), ("backend", c_char * 32), ("node", c_char * 160), ("message", c_char * 800)]


class Allocator(Structure):
    _fields_ = [("alloc", c_void_p), ("free", c_void_p), ("self", c_void_p)]


class Budget(Sized):
    _fields_ = [("struct_size", c_uint32), ("reserved", c_uint32), ("device", c_char_p), ("bytes", c_uint64)]


class ContextOptions(Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("allocator", Allocator), ("log", LOG_FN),
                ("log_self", c_void_p), ("notice", c_void_p), ("notice_self", c_void_p), ("backend_path", c_char_p),
                ("limits", c_void_p), ("budgets", POINTER(Budget)), ("budget_count", c_uint32),
                ("thread_count", c_uint32)]


class LoadLine(Sized):
    _fields_ = [("struct_size", c_uint32), ("status", c_int32), ("backend", c_char_p), ("detail", c_char_p)]


class DeviceInfo(Sized):
    _fields_ = [("struct_size", c_uint32), ("type", c_int32), ("state", c_int32), ("generation", c_uint32),
                ("name", c_char_p), ("backend", c_char_p), ("chip", c_char_p), ("note", c_char_p), ("chip_id", c_char_p),
                ("memory_bytes", c_uint64), ("in_use_bytes", c_uint64), ("budget_bytes", c_uint64),
                ("is_default", c_uint32), ("reserved", c_uint32)]


class ImportOptions(Sized):
    _fields_ = [("struct_size", c_uint32), ("map_file", c_uint32), ("base_folder", c_char_p)]


class ValueInfo(Sized):
    _fields_ = [("struct_size", c_uint32), ("kind", c_int32), ("name", c_char_p), ("dtype", c_int32), ("rank", c_int32),
                ("dims", POINTER(c_int64)), ("symbols", POINTER(c_char_p))]


class String(Structure):
    _fields_ = [("data", c_char_p), ("length", c_uint64)]


class AttrValue(Union):
    _fields_ = [("i", c_int64), ("f", c_float), ("s", String), ("ints", POINTER(c_int64)), ("floats", POINTER(c_float)),
                ("strings", POINTER(String)), ("tensor", c_void_p), ("graph", c_uint32), ("body", c_void_p)]


class Attr(Structure):
    _fields_ = [("name", c_char_p), ("type", c_int32), ("count", c_uint32), ("value", AttrValue)]


class Pin(Structure):
    _fields_ = [("node", c_char_p), ("device", c_char_p)]


class Share(Structure):
    _fields_ = [("device", c_char_p), ("percent", c_double)]


class DimValue(Structure):
    _fields_ = [("name", c_char_p), ("value", c_int64)]


class CompileOptions(Sized):
    _fields_ = [("struct_size", c_uint32), ("fallback", c_int32), ("devices", c_char_p), ("pins", POINTER(Pin)),
                ("pin_count", c_uint32), ("share_count", c_uint32), ("shares", POINTER(Share)),
                ("dims", POINTER(DimValue)), ("dim_count", c_uint32), ("state_count", c_uint32),
                ("passes_off", POINTER(c_char_p)), ("passes_off_count", c_uint32), ("drop_sources", c_uint32),
                ("deadline_ns", c_uint64)]


class Placement(Sized):
    _fields_ = [("struct_size", c_uint32), ("part_count", c_uint32), ("node", c_char_p), ("op", c_char_p),
                ("device", c_char_p), ("reason", c_char_p), ("dtype", c_int32), ("specialization", c_uint32),
                ("work", c_double)]


class ProgramStats(Sized):
    _fields_ = [("struct_size", c_uint32), ("specialization_count", c_uint32), ("binding_count", c_uint64),
                ("compile_count", c_uint64), ("run_count", c_uint64), ("weight_bytes", c_uint64),
                ("arena_bytes", c_uint64), ("pass_change_count", c_uint64)]


class Tag(Structure):
    _fields_ = [("key", c_char_p), ("value", c_char_p), ("weight", c_double)]


class RunRecord(Sized):
    _fields_ = [("struct_size", c_uint32), ("attempt", c_uint32), ("run_id", c_uint64), ("parent_id", c_uint64),
                ("queue_ns", c_uint64), ("compile_ns", c_uint64), ("start_ns", c_uint64), ("end_ns", c_uint64),
                ("bytes_moved", c_uint64), ("import_copies_bytes", c_uint64), ("poll_count", c_uint64),
                ("stage_count", c_uint32), ("shape_wait_count", c_uint32), ("partition_capacity", c_uint32),
                ("partition_count", c_uint32), ("partitions", c_void_p)]


class RunOptions(Sized):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("deadline_ns", c_uint64), ("cancel", POINTER(c_uint32)),
                ("tags", POINTER(Tag)), ("tag_count", c_uint32), ("donated_count", c_uint32),
                ("donated", POINTER(c_uint32)), ("parent_id", c_uint64), ("record", POINTER(RunRecord)),
                ("state", c_void_p)]


class OpInfo(Sized):
    _fields_ = [("struct_size", c_uint32), ("number", c_uint32), ("domain", c_char_p), ("name", c_char_p),
                ("revision", c_uint32), ("has_expansion", c_uint32), ("family", c_char_p)]


def _candidates():
    override = os.environ.get("FERRULE_LIBRARY")
    if override:
        yield override
        return
    inside = Path(__file__).resolve().parent / "lib" / "libferrule.so"
    if inside.exists():
        yield str(inside)
    yield "libferrule.so.0"
    found = ctypes.util.find_library("ferrule")
    if found:
        yield found


def _open():
    problems = []
    for path in _candidates():
        try:
            return ctypes.CDLL(path)
        except OSError as problem:
            problems.append(str(problem))
    raise ImportError("libferrule was not found: " + "; ".join(problems))


lib = _open()

_POINTER_RESULT = c_void_p
_STATUS = [
    ("fer_context_create", [POINTER(ContextOptions), POINTER(c_void_p)]),
    ("fer_context_load_line", [c_void_p, c_uint32, POINTER(LoadLine)]),
    ("fer_backend_load", [c_void_p, c_char_p]),
    ("fer_context_device_count", [c_void_p, POINTER(c_uint32)]),
    ("fer_context_device", [c_void_p, c_uint32, POINTER(c_void_p)]),
    ("fer_device_find", [c_void_p, c_char_p, POINTER(c_void_p)]),
    ("fer_device_get_info", [c_void_p, POINTER(DeviceInfo)]),
    ("fer_tensor_create", [c_void_p, c_int32, c_uint32, POINTER(c_int64), POINTER(c_void_p)]),
    ("fer_tensor_wrap", [c_void_p, c_int32, c_uint32, POINTER(c_int64), c_void_p, POINTER(c_void_p)]),
    ("fer_tensor_import", [c_void_p, c_int32, c_uint32, POINTER(c_int64), c_void_p, c_int32, RELEASE_FN, c_void_p,
                           POINTER(c_void_p)]),
    ("fer_tensor_create_strings", [c_void_p, c_uint32, POINTER(c_int64), POINTER(c_char_p), POINTER(c_size_t),
                                   POINTER(c_void_p)]),
    ("fer_tensor_read", [c_void_p, c_uint64, c_void_p, c_uint64]),
    ("fer_tensor_write", [c_void_p, c_uint64, c_void_p, c_uint64]),
    ("fer_tensor_from_dlpack", [c_void_p, c_void_p, c_int32, c_uint64, POINTER(c_void_p)]),
    ("fer_tensor_to_dlpack", [c_void_p, c_uint64, POINTER(c_void_p)]),
    ("fer_value_from_tensor", [c_void_p, POINTER(c_void_p)]),
    ("fer_value_sequence", [c_void_p, POINTER(c_void_p), c_uint64, POINTER(c_void_p)]),
    ("fer_value_optional", [c_void_p, c_void_p, POINTER(c_void_p)]),
    ("fer_value_map", [c_void_p, c_void_p, c_void_p, POINTER(c_void_p)]),
    ("fer_value_from_onnx", [c_void_p, c_char_p, c_uint64, c_int32, POINTER(c_void_p)]),
    ("fer_graph_import_file", [c_void_p, c_char_p, POINTER(ImportOptions), POINTER(c_void_p)]),
    ("fer_graph_import_memory", [c_void_p, c_char_p, c_uint64, POINTER(ImportOptions), c_void_p, c_void_p,
                                 POINTER(c_void_p)]),
    ("fer_graph_print", [c_void_p, TEXT_FN, c_void_p]),
    ("fer_program_compile", [c_void_p, c_void_p, POINTER(CompileOptions), POINTER(c_void_p)]),
    ("fer_program_input", [c_void_p, c_uint32, POINTER(ValueInfo)]),
    ("fer_program_output", [c_void_p, c_uint32, POINTER(ValueInfo)]),
    ("fer_program_placement_count", [c_void_p, POINTER(c_uint64)]),
    ("fer_program_placement", [c_void_p, c_uint64, POINTER(Placement)]),
    ("fer_program_trim", [c_void_p, c_int32, POINTER(c_uint64)]),
    ("fer_program_get_stats", [c_void_p, POINTER(ProgramStats)]),
    ("fer_program_print_passes", [c_void_p, TEXT_FN, c_void_p]),
    ("fer_program_run_values", [c_void_p, POINTER(RunOptions), POINTER(c_void_p), c_uint32, POINTER(c_void_p), c_uint32]),
    ("fer_program_run_async", [c_void_p, POINTER(RunOptions), POINTER(c_void_p), c_uint32, POINTER(c_void_p), c_uint32,
                               POINTER(c_void_p)]),
    ("fer_event_query", [c_void_p]),
    ("fer_event_wait", [c_void_p, c_uint64]),
    ("fer_event_output", [c_void_p, c_uint32, POINTER(c_void_p)]),
    ("fer_state_create", [c_void_p, POINTER(c_void_p)]),
    ("fer_state_get", [c_void_p, c_char_p, POINTER(c_void_p)]),
    ("fer_state_set", [c_void_p, c_char_p, c_void_p]),
    ("fer_op_run", [c_void_p, c_void_p, c_char_p, c_char_p, POINTER(Attr), c_uint32, POINTER(c_void_p), c_uint32,
                    POINTER(c_void_p), c_uint32]),
    ("fer_op_get", [c_uint32, POINTER(OpInfo)]),
]
_OTHERS = [
    ("fer_version_string", [], c_char_p),
    ("fer_status_name", [c_int32], c_char_p),
    ("fer_status_sentence", [c_int32], c_char_p),
    ("fer_error_last", [], POINTER(ErrorRecord)),
    ("fer_context_load_report_count", [c_void_p], c_uint32),
    ("fer_tensor_dtype", [c_void_p], c_int32),
    ("fer_tensor_rank", [c_void_p], c_uint32),
    ("fer_tensor_dims", [c_void_p], POINTER(c_int64)),
    ("fer_tensor_element_count", [c_void_p], c_uint64),
    ("fer_tensor_bytes", [c_void_p], c_uint64),
    ("fer_tensor_data", [c_void_p], c_void_p),
    ("fer_tensor_device", [c_void_p], c_void_p),
    ("fer_tensor_string", [c_void_p, c_uint64, POINTER(c_size_t)], c_void_p),
    ("fer_value_kind", [c_void_p], c_int32),
    ("fer_value_count", [c_void_p], c_uint64),
    ("fer_value_item", [c_void_p, c_uint64], _POINTER_RESULT),
    ("fer_value_tensor", [c_void_p], _POINTER_RESULT),
    ("fer_program_input_count", [c_void_p], c_uint32),
    ("fer_program_output_count", [c_void_p], c_uint32),
    ("fer_program_input_index", [c_void_p, c_char_p], c_uint32),
    ("fer_state_version", [c_void_p], c_uint64),
    ("fer_op_count", [], c_uint32),
]
for _name, _arguments in _STATUS:
    getattr(lib, _name).argtypes = _arguments
    getattr(lib, _name).restype = c_int32
for _name, _arguments, _result in _OTHERS:
    getattr(lib, _name).argtypes = _arguments
    getattr(lib, _name).restype = _result
for _noun in ("context", "device", "tensor", "value", "graph", "program", "state", "event"):
    getattr(lib, f"fer_{_noun}_release").argtypes = [c_void_p]
    getattr(lib, f"fer_{_noun}_release").restype = None
    getattr(lib, f"fer_{_noun}_retain").argtypes = [c_void_p]
    getattr(lib, f"fer_{_noun}_retain").restype = c_void_p


class Error(Exception):
    """A failure of the library: what, where and what to do.

    Attributes are the fields of fer_error: status (its name), code (its number), message, node, backend, native_code,
    source_file and source_line.
    """

    def __init__(self, code: int):
        record = lib.fer_error_last().contents
        self.code = code
        self.status = lib.fer_status_name(code).decode()
        self.message = record.message.decode(errors="replace") or lib.fer_status_sentence(code).decode()
        self.node = record.node.decode(errors="replace")
        self.backend = record.backend.decode(errors="replace")
        self.native_code = record.native_code
        self.source_file = record.source_file.decode(errors="replace")
        self.source_line = record.source_line
        super().__init__(f"{self.status}: {self.message}")

    def __reduce__(self):  # other processes see the same error
        return _restore_error, (self.args, self.__dict__)


def _restore_error(args: tuple, fields: dict) -> Error:
    error = Error.__new__(Error, *args)
    error.__dict__.update(fields)
    return error


def check(code: int) -> None:
    """Raises Error unless code is FER_OK. Call it on the thread of the failing call, before any other."""
    if code != 0:
        raise Error(code)


def new(function, *arguments) -> c_void_p:
    """Calls a function whose last argument is an out handle, and returns the handle."""
    handle = c_void_p()
    check(function(*arguments, byref(handle)))
    return handle


def nanoseconds(amount: float | None, unit: int) -> int:
    """Units as nanoseconds, for a field where 0 is none: what is over already is the least there is."""
    return min(max(1, int(min(amount, FOREVER) * unit)), FOREVER) if amount else 0


def text(pointer: bytes | None) -> str:
    return pointer.decode(errors="replace") if pointer else ""
