"""The line of the user's code that an operation was called from."""

from __future__ import annotations

import sys
from os.path import basename
from types import FrameType

Line = tuple[str, int]  # file name and line number


def caller() -> Line | None:
    """File and line of the nearest frame outside halfsim; None where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != "halfsim" and not name.startswith("halfsim."):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def spelled(line: Line | None) -> str:
    """A line as people write it, "train.py:41"; "" for None.

    >>> spelled(("/home/me/train.py", 41)), spelled(None)
    ('train.py:41', '')
    """
    return "" if line is None else f"{basename(line[0])}:{line[1]}"
