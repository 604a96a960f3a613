"""ONNX models as modules: `load` reads one, and trace, compare, policies and reports work on it as on any.

It needs the package onnx, which comes with ``pip install "halfsim[onnx]"``.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import Any as _Any

from halfsim.names import missing as _missing
from halfsim.onnx.model import Model, load
from halfsim.options import guarded_names as _guarded_names

__all__ = ["Model", "backend", "load"]


def __getattr__(name: str) -> _Any:
    if name == "backend":
        return _import_module("halfsim.onnx.backend")
    raise _missing("halfsim.onnx", name, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)


_guarded_names(globals(), ["load"])
