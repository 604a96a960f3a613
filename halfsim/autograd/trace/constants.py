"""The numbers in a formula, such as an eps, that the formats of a precision turn into others: into 0, 1 or infinity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halfsim.autograd.trace.event import Constant
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array


def unheld(value: float, kept: Any, precision: Precision) -> Constant | None:
    """What became of a number ``value`` that the formula reads as ``kept``; None where that means the same.

    A number near 1, as a decay rate, that a format rounds to 1 has another meaning too.
    """
    size, compute, storage = abs(value), precision.compute, precision.storage
    if kept == 0:
        return Constant("constant", value, compute, 0.0) if value != 0 else None
    if not np.isfinite(kept):
        return Constant("constant", value, compute, float(kept)) if size != np.inf and value == value else None
    if 0.5 < size < 1.5:
        fmt = min(compute, storage, key=lambda f: f.precision)
        if size != 1 and ((size - 1 <= fmt.eps / 2) if size > 1 else (1 - size <= fmt.epsneg / 2)):
            return Constant("constant", value, fmt, float(np.sign(value)))
    elif size >= storage.overflow_threshold:
        return Constant("constant", value, storage, math.copysign(math.inf, value))
    elif size <= storage.smallest_subnormal / 2:
        return Constant("constant", value, storage, 0.0)
    return None


class Constants:
    """Those of one formula, each beside the number that the formula has for it, by which a step's operands show it.

    ``large`` is one that storage cannot hold and something was computed with.
    """

    __slots__ = ("_found", "_unused", "large")

    def __init__(self) -> None:
        self.large: Constant | None = None
        self._found: list[tuple[Any, Constant]] = []
        self._unused: list[tuple[Any, Constant]] = []  # past the largest number of storage: trouble only where stored

    def note(self, kept: Any, lost: Constant) -> None:
        """Add the constant ``lost``, for which the formula has ``kept``."""
        past_storage = np.isfinite(kept) and np.isinf(lost.became)
        (self._unused if past_storage else self._found).append((kept, lost))

    def used(self, operands: Sequence[Array]) -> None:
        """A step has read ``operands``: a constant among them is a factor, nobody's eps, and not stored as it is."""
        if self._unused:
            left = [pair for pair in self._unused if not any(x is pair[0] for x in operands)]
            if len(left) < len(self._unused):
                self.large, self._unused = self._unused[0][1], left
        for i, (kept, lost) in enumerate(self._found):
            if any(x is kept for x in operands):
                self._found[i] = kept, replace(lost, name="factor")

    def stored(self, as_nan: bool) -> None:
        """Results past the largest number were stored, which a constant may have been, as one that fills a mask."""
        if self._unused:
            large = self._unused[0][1]
            self._found.append((np.inf, replace(large, became=np.nan) if as_nan else large))

    def lost(self, flushed: bool) -> Constant | None:
        """One that became 0, 1 or infinite: in ``compute``, or, where something was ``flushed``, in ``storage``."""
        for kept, lost in self._found:
            if kept == 0 or not np.isfinite(kept) or abs(lost.became) == 1:
                return lost
            if flushed and lost.name == "constant":
                return lost
        return None
