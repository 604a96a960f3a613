"""Lessons: predictions noted before a cell runs, exercises checked in the notebook, and the notebooks themselves.

``halfsim lessons`` writes the notebooks. Nothing is loaded before it is asked for.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import Any as _Any

from halfsim.names import missing as _missing

# Where each public name is.
_LATER: dict[str, str] = {
    "check": "session",
    "predict": "session",
    "reveal": "session",
    "score": "session",
    "start": "session",
    "write": "writing",
}

__all__ = sorted(_LATER)


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise _missing("halfsim.teach", name, __all__)
    globals()[name] = getattr(_import_module(f"halfsim.teach.{_LATER[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return [*__all__]
