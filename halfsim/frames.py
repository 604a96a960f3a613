"""Which line of the caller's code is running: the nearest frame that is not halfsim's own."""

from __future__ import annotations

import sys
from os.path import basename
from types import FrameType

Line = tuple[str, int]  # file name and line number

_OURS = ("halfsim", "torch", "contextlib", "functools")  # whose lines are nobody's own code


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
    """File name and line number of the nearest frame outside halfsim; None where all frames are its own."""
    frame = _above(sys._getframe(1))[1]
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def level() -> int:
    """The ``stacklevel`` with which the caller of this makes a warning point at the nearest line outside halfsim."""
    return _above(sys._getframe(1))[0] + 1


def spelled(line: Line | None) -> str:
    """A line as people write it, "train.py:41", without the folders, and "In[3]:2" of a notebook; "" for None.

    >>> spelled(("/home/me/train.py", 41)), spelled(None)
    ('train.py:41', '')
    """
    return "" if line is None else f"{_cell(line[0]) or basename(line[0])}:{line[1]}"


def _cell(file: str) -> str | None:
    """The cell of a notebook that is kept under that name, as IPython calls it in its tracebacks; or None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    called = shell.compile.format_code_name(file) if shell is not None else None
    return called and called[1]
