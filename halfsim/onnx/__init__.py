"""ONNX models as modules: `load` reads one, and trace, compare, policies and reports work on it as on any.

`audit` says what of a model must stay in float32 when it is converted to half.

It needs the package onnx, which comes with ``pip install "halfsim[onnx]"``.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from halfsim.names import missing as _missing
from halfsim.onnx.model import Model, load
from halfsim.options import guarded_names as _guarded_names

if _TYPE_CHECKING:
    from halfsim.onnx.conversion.audited import Audit, audit

__all__ = ["Audit", "Model", "audit", "backend", "load"]


def __getattr__(name: str) -> _Any:
    if name == "backend":
        return _import_module("halfsim.onnx.backend")
    if name in ("Audit", "audit"):
        return getattr(_import_module("halfsim.onnx.conversion.audited"), name)
    raise _missing("halfsim.onnx", name, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)


_guarded_names(globals(), ["load"])
