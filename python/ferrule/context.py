# SPDX-License-Identifier: Apache-2.0
"""Contexts and devices."""
from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass
from typing import Callable, Mapping

from . import _native as native
from ._native import lib

_STATES = {1: "ready", 2: "lost", 3: "closed"}
_TYPES = {0: "other", 1: "cpu", 2: "gpu", 3: "accelerator"}


@dataclass(frozen=True)
class Device:
    """One chip as one backend sees it, at the time it was asked for."""
    name: str
    backend: str
    type: str
    chip: str
    chip_id: str
    note: str
    state: str
    generation: int
    memory_bytes: int
    in_use_bytes: int
    is_default: bool


class Context:
    """Loaded backends, devices, limits and budgets.

    threads: threads that compute (default: what the machine allows). budgets: bytes per device name, "host" included.
    backend_path: folder of manifests. log: called with (level, message) from any thread; 1 error, 2 warning, 3 info,
    4 debug. Closing it is optional: programs and tensors keep what they need.
    """

    def __init__(self, *, threads: int = 0, budgets: Mapping[str, int] | None = None, backend_path: str | None = None,
                 log: Callable[[int, str], None] | None = None):
        for name, size in {"threads": threads, **(budgets or {})}.items():
            if size < 0:
                raise ValueError(f"{name} must not be negative, it is {size}")
        options = native.ContextOptions(thread_count=threads)
        if backend_path is not None:
            options.backend_path = str(backend_path).encode()
        rows = [native.Budget(device=name.encode(), bytes=size) for name, size in (budgets or {}).items()]
        options.budgets = (native.Budget * len(rows))(*rows) if rows else None
        options.budget_count = len(rows)
        # The callback lives as long as the context may call it: the interpreter's life, as other objects hold the context.
        if log is not None:
            callback = native.LOG_FN(lambda _, level, message: log(level, native.text(message)))
            _kept_callbacks.append(callback)
            options.log = callback
        self._handle = native.new(lib.fer_context_create, ctypes.byref(options))

    @property
    def devices(self) -> list[Device]:
        """Every device of every backend, in preference order. The first call touches the drivers."""
        count = ctypes.c_uint32()
        native.check(lib.fer_context_device_count(self._handle, ctypes.byref(count)))
        found = []
        for index in range(count.value):
            handle = native.new(lib.fer_context_device, self._handle, index)
            try:
                info = native.DeviceInfo()
                native.check(lib.fer_device_get_info(handle, ctypes.byref(info)))
                found.append(Device(native.text(info.name), native.text(info.backend), _TYPES.get(info.type, "other"),
                                    native.text(info.chip), native.text(info.chip_id), native.text(info.note),
                                    _STATES.get(info.state, "?"), info.generation, info.memory_bytes, info.in_use_bytes,
                                    bool(info.is_default)))
            finally:
                lib.fer_device_release(handle)
        return found

    @property
    def load_report(self) -> list[tuple[str, str, str]]:
        """(backend, status, detail) of each backend that was looked at."""
        lines = []
        for index in range(lib.fer_context_load_report_count(self._handle)):
            line = native.LoadLine()
            native.check(lib.fer_context_load_line(self._handle, index, ctypes.byref(line)))
            lines.append((native.text(line.backend), native.text(lib.fer_status_name(line.status)),
                          native.text(line.detail)))
        return lines

    def load_backend(self, path: str) -> None:
        """Opens a backend module by path."""
        native.check(lib.fer_backend_load(self._handle, str(path).encode()))

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle:
            lib.fer_context_release(handle)

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()


_kept_callbacks: list = []
_default: Context | None = None
_default_lock = threading.Lock()


def default_context() -> Context:
    """The context used when none is given, made on first use."""
    global _default
    with _default_lock:
        if _default is None or _default._handle is None:
            _default = Context()
        return _default


def devices() -> list[Device]:
    """The devices of the default context."""
    return default_context().devices
