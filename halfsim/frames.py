"""Whose line of code it was: how far above halfsim's own frames the caller is."""

from __future__ import annotations

import sys

_OURS = ("halfsim", "contextlib", "functools")  # whose lines are nobody's own code


def level() -> int:
    """The ``stacklevel`` for a warning of the function that asks: that of the nearest line outside halfsim."""
    found, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        found, frame = found + 1, frame.f_back
    return found
