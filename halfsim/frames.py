"""Whose line of code it was: the nearest frame outside halfsim."""

from __future__ import annotations

import sys
from os.path import basename
from types import FrameType

Line = tuple[str, int]  # file name and line number

_OURS = ("halfsim", "contextlib", "functools")  # whose lines are nobody's own code


_known: dict[str, bool] = {}  # whether a module is one of these, by its name


def _above(frame: FrameType | None) -> tuple[int, FrameType | None]:
    """How many frames up the nearest one outside halfsim is, and that frame."""
    up = 0
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        ours = _known.get(name)
        if ours is None:
            ours = _known[name] = name.partition(".")[0] in _OURS
        if not ours:
            break
        up, frame = up + 1, frame.f_back
    return up, frame


def caller() -> Line | None:
    """File and line of the nearest frame outside halfsim; None where there is none."""
    frame = _above(sys._getframe(1))[1]
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def level() -> int:
    """The ``stacklevel`` for a warning of the function that asks: that of the nearest line outside halfsim."""
    return _above(sys._getframe(1))[0] + 1


def spelled(line: Line | None) -> str:
    """A line as people write it, "train.py:41"; "" for None.

    >>> spelled(("/home/me/train.py", 41)), spelled(None)
    ('train.py:41', '')
    """
    return "" if line is None else f"{basename(line[0])}:{line[1]}"
