"""The gallery: precision bugs that were reported, remedies measured, half precision at work on real data.

Nothing is loaded before it is asked for: ``hs.gallery.list()`` imports the cases, and nothing else.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import Any as _Any

from halfsim.names import missing as _missing

# Where each public name is; a room of the gallery adds its own.
_LATER: dict[str, str] = {
    "Case": "case",
    "Entries": "catalogue",
    "Exhibit": "exhibit",
    "Exhibits": "page",
    "applications": "uses.catalogue",
    "list": "catalogue",
    "papers": "literature.catalogue",
    "remedies": "matrix.study",
    "run": "catalogue",
    "why": "questions.result",
}

__all__ = sorted(_LATER)


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise _missing("halfsim.gallery", name, __all__)
    globals()[name] = getattr(_import_module(f"halfsim.gallery.{_LATER[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return [*__all__]
