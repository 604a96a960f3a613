"""What experiments hold of other libraries': how its numbers are read, and how it is kept and put back.

A room that lets another library's programs run says so here, see `halfsim.pytorch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

READERS: dict[type, Callable[[Any], Any]] = {}  # by kind: its numbers, as arrays or a mapping of names to such
KEEPERS: dict[type, Callable[[Any], Callable[[], Any]]] = {}  # by kind: keeps the state, and gives what puts it back
RANDOM: list[Callable[[], Callable[[], Any]]] = []  # the same of random numbers


def read(x: Any) -> Any:
    """An object's numbers, if another library's room has said how they are read; else the object itself."""
    for kind, reader in READERS.items():
        if isinstance(x, kind):
            return reader(x)
    return x


def keeper(x: Any) -> Callable[[Any], Callable[[], Any]] | None:
    """What keeps the state of an object of another library's."""
    return next((keep for kind, keep in KEEPERS.items() if isinstance(x, kind)), None)
