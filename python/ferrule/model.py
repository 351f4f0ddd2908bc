# SPDX-License-Identifier: Apache-2.0
"""Models: loading, running, and where they run."""
from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from . import _native as native
from ._native import lib
from .context import Context, default_context
from .tensor import Tensor, Value, value_to_python

_FALLBACKS = {"error": 1, "warn": 2, "allow": 3}
_KINDS = {1: "tensor", 2: "sequence", 3: "optional", 4: "map"}


@dataclass(frozen=True)
class ValueInfo:
    """What is known of an input or output before a run; a dim is a number or a symbol's text."""
    name: str
    kind: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True)
class PlacementLine:
    """Where one source node runs, and what better devices said."""
    node: str
    op: str
    dtype: str
    device: str
    reason: str
    parts: int
    specialization: int
    work: float


class Placement(Sequence):
    """The placement report: a sequence of PlacementLine whose str() is the table of `ferrule explain`."""

    def __init__(self, lines: list[PlacementLine]):
        self._lines = lines

    def __getitem__(self, index):
        return self._lines[index]

    def __len__(self) -> int:
        return len(self._lines)

    def __str__(self) -> str:
        placed = [line for line in self._lines if line.device not in ("host", "folded")]
        total = sum(line.work for line in placed)
        rows = []
        for device in dict.fromkeys(line.device for line in placed):
            mine = [line for line in placed if line.device == device]
            share = 100 * sum(line.work for line in mine) / total if total else 100 * len(mine) / len(placed)
            rows.append(f"{device:<10} {len(mine):5} of {len(placed)} nodes   {share:5.1f} % of estimated work")
        for device in ("host", "folded"):
            count = sum(line.device == device for line in self._lines)
            if count:
                rows.append(f"{device:<10} {count:5} nodes")
        rows += [f"  {line.node}  {line.op} {line.dtype}   {line.device}: {line.reason}" for line in self._lines
                 if line.reason]
        return "\n".join(rows)


class Event:
    """A run under way. As a context manager it waits at the end; outputs() gives the results."""

    def __init__(self, handle: ctypes.c_void_p, output_count: int, keep: Any):
        self._handle = handle
        self._output_count = output_count
        self._keep = keep  # inputs, record and cancel flag, until the run is done

    @property
    def done(self) -> bool:
        return lib.fer_event_query(self._handle) != native.NOT_READY

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for at most timeout seconds; False if the run is still under way, Error if it failed."""
        code = lib.fer_event_wait(self._handle, native.FOREVER if timeout is None else native.nanoseconds(timeout, 10**9))
        if code == native.NOT_READY:
            return False
        self._keep_until_done()
        native.check(code)
        return True

    def _keep_until_done(self) -> None:
        self._keep = self._keep[:1]  # the cancel flag stays, so that cancel() never fails

    def cancel(self) -> None:
        """Asks the run to stop soon; wait() then raises Error with status CANCELLED."""
        self._keep[0].value = 1

    def outputs(self) -> list[np.ndarray]:
        """Waits, and gives the outputs as arrays."""
        self.wait()
        return [Tensor(native.new(lib.fer_event_output, self._handle, index)).numpy()
                for index in range(self._output_count)]

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle:
            # The run uses our inputs' memory until it is done.
            lib.fer_event_wait(handle, native.FOREVER)
            lib.fer_event_release(handle)

    def __enter__(self) -> Event:
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self.close()

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()


class State:
    """The values of a model's variables (a KV cache, say). One run at a time."""

    def __init__(self, model: Model):
        self._context = model._context
        self._handle = native.new(lib.fer_state_create, model._handle)

    @property
    def version(self) -> int:
        return lib.fer_state_version(self._handle)

    def __getitem__(self, name: str) -> np.ndarray:
        return Tensor(native.new(lib.fer_state_get, self._handle, name.encode())).numpy()

    def __setitem__(self, name: str, array: Any) -> None:
        tensor = Tensor.from_numpy(array, self._context)
        native.check(lib.fer_state_set(self._handle, name.encode(), tensor._handle))

    def __del__(self):
        if getattr(self, "_handle", None):
            lib.fer_state_release(self._handle)


class Model:
    """A compiled model. Call it with arrays, by position or by name; it returns the outputs as a list of arrays."""

    def __init__(self, context: Context, program: ctypes.c_void_p):
        self._context = context
        self._handle = program
        self.inputs = self._infos(lib.fer_program_input_count(program), lib.fer_program_input)
        self.outputs = self._infos(lib.fer_program_output_count(program), lib.fer_program_output)
        self._positions = {info.name: index for index, info in enumerate(self.inputs)}
        self.record: dict[str, int] = {}

    def _infos(self, count: int, get: Any) -> list[ValueInfo]:
        found = []
        for index in range(count):
            info = native.ValueInfo()
            native.check(get(self._handle, index, ctypes.byref(info)))
            shape = None
            if info.rank >= 0:
                shape = tuple(info.dims[axis] if info.dims[axis] >= 0 else native.text(info.symbols[axis])
                              for axis in range(info.rank))
            found.append(ValueInfo(native.text(info.name), _KINDS.get(info.kind, "tensor"),
                                   native.DTYPE_NAMES.get(info.dtype, "?"), shape))
        return found

    def __call__(self, *arrays: Any, **named: Any) -> list[Any]:
        """Runs with inputs by position, by name, or both."""
        return self.run(self._merge(arrays, named))

    def _merge(self, arrays: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        if len(arrays) > len(self.inputs):
            raise TypeError(f"the model has {len(self.inputs)} inputs, {len(arrays)} were given")
        feeds: list[Any] = list(arrays) + [_MISSING] * (len(self.inputs) - len(arrays))
        for name, array in named.items():
            if name not in self._positions:
                raise TypeError(f"the model has no input '{name}'; it has {', '.join(self._positions) or 'none'}")
            if feeds[self._positions[name]] is not _MISSING:
                raise TypeError(f"input '{name}' is given twice")
            feeds[self._positions[name]] = array
        missing = [info.name for info, feed in zip(self.inputs, feeds) if feed is _MISSING]
        if missing:
            raise TypeError(f"missing inputs: {', '.join(missing)}")
        return feeds

    def _feeds(self, inputs: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
        return self._merge((), inputs) if isinstance(inputs, Mapping) else self._merge(tuple(inputs), {})

    def _options(self, deadline_ms: float | None, state: State | None, tags: Mapping[str, str] | None):
        options = native.RunOptions(deadline_ns=native.nanoseconds(deadline_ms, 10**6))
        cancel, record = ctypes.c_uint32(0), native.RunRecord()
        rows = [native.Tag(key=key.encode(), value=value.encode()) for key, value in (tags or {}).items()]
        array = (native.Tag * len(rows))(*rows) if rows else None
        options.cancel, options.record = ctypes.pointer(cancel), ctypes.pointer(record)
        options.tags, options.tag_count = array, len(rows)
        options.state = state._handle if state is not None else None
        return options, [cancel, record, array, state]

    def run(self, inputs: Mapping[str, Any] | Sequence[Any], *, deadline_ms: float | None = None,
            state: State | None = None, tags: Mapping[str, str] | None = None) -> list[Any]:
        """Runs with a mapping by name or a sequence by position. The run's record is in self.record afterwards."""
        values = [Value(feed, self._context, _kind_number(info), native.DTYPES.get(info.dtype, 0))
                  for info, feed in zip(self.inputs, self._feeds(inputs))]
        handles = (ctypes.c_void_p * max(1, len(values)))(*[value.handle for value in values])
        outputs = (ctypes.c_void_p * max(1, len(self.outputs)))()
        options, keep = self._options(deadline_ms, state, tags)
        native.check(lib.fer_program_run_values(self._handle, ctypes.byref(options), handles, len(values), outputs,
                                                len(self.outputs)))
        self.record = {name: getattr(keep[1], name) for name, _ in native.RunRecord._fields_
                       if name not in ("struct_size", "partitions")}
        try:
            return [value_to_python(outputs[index]) for index in range(len(self.outputs))]
        finally:
            for index in range(len(self.outputs)):
                lib.fer_value_release(outputs[index])

    def run_async(self, *arrays: Any, deadline_ms: float | None = None, state: State | None = None,
                  tags: Mapping[str, str] | None = None, **named: Any) -> Event:
        """Starts a run of tensors and returns its Event. The arrays must not change until it is done."""
        values = [Value(feed, self._context, dtype=native.DTYPES.get(info.dtype, 0))
                  for info, feed in zip(self.inputs, self._merge(arrays, named))]
        handles = (ctypes.c_void_p * max(1, len(values)))(*[value.tensor._handle for value in values])
        options, keep = self._options(deadline_ms, state, tags)
        event = native.new(lib.fer_program_run_async, self._handle, ctypes.byref(options), handles, len(values), None,
                           len(self.outputs))
        return Event(event, len(self.outputs), keep + [values, self])

    @property
    def placement(self) -> Placement:
        """Every node's device, and why not a better one. What only later shapes decide appears after a run."""
        count = ctypes.c_uint64()
        native.check(lib.fer_program_placement_count(self._handle, ctypes.byref(count)))
        lines = []
        for index in range(count.value):
            line = native.Placement()
            native.check(lib.fer_program_placement(self._handle, index, ctypes.byref(line)))
            lines.append(PlacementLine(native.text(line.node), native.text(line.op),
                                       native.DTYPE_NAMES.get(line.dtype, "?"), native.text(line.device),
                                       native.text(line.reason), line.part_count, line.specialization, line.work))
        return Placement(lines)

    @property
    def stats(self) -> dict[str, int]:
        """Counts of specialisations, compiles and runs, bytes of weights and arenas."""
        stats = native.ProgramStats()
        native.check(lib.fer_program_get_stats(self._handle, ctypes.byref(stats)))
        return {name: getattr(stats, name) for name, _ in stats._fields_ if name != "struct_size"}

    def passes(self) -> str:
        """What each pass did, as text."""
        pieces: list[bytes] = []

        def write(_, data, length):
            pieces.append(ctypes.string_at(data, length))
            return 0

        native.check(lib.fer_program_print_passes(self._handle, native.TEXT_FN(write), None))
        return b"".join(pieces).decode(errors="replace")

    def state(self) -> State:
        """Fresh values of the model's variables, for run(state=...)."""
        return State(self)

    def trim(self, level: str = "states") -> int:
        """Drops what idles: "states", "specializations" or "weights"; the next run restores it. Bytes freed."""
        freed = ctypes.c_uint64()
        number = {"states": 1, "specializations": 2, "weights": 3}[level]
        native.check(lib.fer_program_trim(self._handle, number, ctypes.byref(freed)))
        return freed.value

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle:
            lib.fer_program_release(handle)

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a model is called, not iterated")


_MISSING = object()


def _kind_number(info: ValueInfo) -> int:
    return {"tensor": 1, "sequence": 2, "optional": 3, "map": 4}[info.kind]


def _import(context: Context, model: Any, map_file: bool, base_folder: str | None) -> ctypes.c_void_p:
    if hasattr(model, "SerializeToString"):  # an onnx.ModelProto
        model = model.SerializeToString()
    options = native.ImportOptions(map_file=int(map_file))
    if base_folder is not None:
        options.base_folder = os.fsencode(base_folder)
    if isinstance(model, (bytes, bytearray, memoryview)):
        data = bytes(model)
        return native.new(lib.fer_graph_import_memory, context._handle, data, len(data), ctypes.byref(options), None, None)
    return native.new(lib.fer_graph_import_file, context._handle, os.fsencode(model), ctypes.byref(options))


def load(model: Any, device: str | None = None, *, fallback: str = "warn", dims: Mapping[str, int] | None = None,
         pins: Mapping[str, str] | None = None, shares: Mapping[str, float] | None = None,
         passes_off: Sequence[str] = (), states: int = 0, deadline_ms: float | None = None, map_file: bool = False,
         base_folder: str | None = None, context: Context | None = None) -> Model:
    """Imports and compiles a model.

    model: a path, the bytes of a file, or an onnx.ModelProto. device: "cuda,cpu", best first; None: all default devices.
    fallback: may a node run on a later device than the first: "error", "warn" or "allow". dims: values of symbolic dims.
    pins: node name -> device. shares: device -> least percent of the estimated work. passes_off: passes to skip.
    states: runs that may proceed at once. map_file: map the file; it must not shrink. base_folder: where external data
    of a model from memory lies.
    """
    context = context or default_context()
    options = native.CompileOptions(fallback=_FALLBACKS[fallback], state_count=states,
                                    deadline_ns=native.nanoseconds(deadline_ms, 10**6))
    options.devices = device.encode() if device else None
    pin_rows = [native.Pin(node.encode(), where.encode()) for node, where in (pins or {}).items()]
    share_rows = [native.Share(where.encode(), percent) for where, percent in (shares or {}).items()]
    dim_rows = [native.DimValue(name.encode(), value) for name, value in (dims or {}).items()]
    names = [name.encode() for name in passes_off]
    options.pins, options.pin_count = (native.Pin * len(pin_rows))(*pin_rows), len(pin_rows)
    options.shares, options.share_count = (native.Share * len(share_rows))(*share_rows), len(share_rows)
    options.dims, options.dim_count = (native.DimValue * len(dim_rows))(*dim_rows), len(dim_rows)
    options.passes_off, options.passes_off_count = (ctypes.c_char_p * len(names))(*names), len(names)
    graph = _import(context, model, map_file, base_folder)
    try:
        return Model(context, native.new(lib.fer_program_compile, context._handle, graph, ctypes.byref(options)))
    finally:
        lib.fer_graph_release(graph)
