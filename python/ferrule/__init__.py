# SPDX-License-Identifier: Apache-2.0
"""Ferrule: one model graph on any chip.

    model = ferrule.load("magika.onnx")
    scores, = model(bytes=features)
    print(model.placement)
"""
from ._native import Error, lib as _lib
from . import ops
from .context import Context, Device, default_context, devices
from .model import Event, Model, Placement, PlacementLine, State, ValueInfo, load
from .tensor import Tensor

__version__ = _lib.fer_version_string().decode()
__all__ = ["Context", "Device", "Error", "Event", "Model", "Placement", "PlacementLine", "State", "Tensor", "ValueInfo",
           "default_context", "devices", "load", "ops"]
