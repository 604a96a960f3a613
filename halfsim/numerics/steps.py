"""One step of a sum, rounded once: a plain unit for any mode, and a fast one for the nearest.

A unit's methods write their result into ``out`` where that saves time and return it either way; callers go on with
what is returned. ``over``, a mask of the sums being formed, gains True where a step overflowed; None counts nothing.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from halfsim.numerics.exact_sums import add_in, add_odd
from halfsim.numerics.formats import Format, float32, float64
from halfsim.numerics.quantize import Array, container, round_
from halfsim.numerics.rounding import Mode, Rounding, Stochastic


class Unit(Protocol):
    """What the loops of `halfsim.numerics.orders` need of a unit."""

    over: Array | None

    def mul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The rounded product; the sign of a zero may be lost where no sum can show it."""

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The rounded sum; ``out`` may be an operand."""

    def sub(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The rounded difference; ``out`` may be an operand."""

    def fuse(self, total: Array, product: Array, out: Array) -> Array:
        """``total`` plus an exact product in float64, rounded once; may write over ``product``."""

    def into(self, x: Array, out: Array | None = None, signed: bool = True) -> Array:
        """``x``, which may be changed, rounded to the format; zeros need no sign unless ``signed``."""

    def taken(self, x: Array) -> Array:
        """``x`` as an addition reads it: without subnormal numbers if the mode flushes inputs."""


class Plain:
    """Any mode, in float64: a sum is rounded to odd, so that the rounding that follows is the only one.

    Products of two numbers of at most 26 digits are exact there (Boldo and Melquiond 2008).
    """

    def __init__(self, fmt: Format, mode: Mode | None) -> None:
        self.format, self.mode = fmt, mode
        self.over: Array | None = None
        self.native = fmt == float64 and mode is None
        # Where outputs are flushed, nothing that the unit made is left for its inputs to flush.
        self.takes = mode is not None and mode.flush_inputs and not mode.flush_outputs
        self._normal = fmt.smallest_normal

    def into(self, x: Array, out: Array | None = None, signed: bool = True) -> Array:
        if self.native:
            return x
        if self.over is None or self.over.shape == x.shape:
            return round_(x, self.format, None, self.mode, self.over)
        over = np.zeros(x.shape, np.bool_)  # several terms of each sum at once
        x = round_(x, self.format, None, self.mode, over)
        self.over |= over.any(0)
        return x

    def taken(self, x: Array) -> Array:
        if not self.takes:
            return x
        small = np.abs(x) < self._normal
        return np.multiply(x, ~small) if small.any() else x

    def mul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return self.into(np.multiply(a, b, out=out))

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self.takes:
            a, b = self.taken(a), self.taken(b)
        if self.format == float64:
            return self.into(np.asarray(a + b))
        return self.into(add_in(a, b, self.mode))

    def sub(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return self.add(a, np.negative(b), out)

    def fuse(self, total: Array, product: Array, out: Array) -> Array:
        return self.into(add_in(self.taken(total), product, self.mode))


class Fast(Plain):
    """To nearest, ties to even, in place: a sum in the container may be rounded twice without harm."""

    def __init__(self, fmt: Format, mode: Mode | None, dtype: np.dtype[Any]) -> None:
        super().__init__(fmt, mode)
        self.native = mode is None and fmt == (float32 if dtype == np.float32 else float64)
        # The exact sum of a number and a product may first be rounded to float64, see `halfsim.numerics.orders.fused`.
        self._narrow = 3 * fmt.precision + 4 <= 53 and 2 * fmt.emax + fmt.precision <= 53
        self._normal = dtype.type(fmt.smallest_normal)

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self.takes:
            a, b = self.taken(a), self.taken(b)
        return self.into(np.add(a, b, out=out))

    def sub(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self.takes:
            a, b = self.taken(a), self.taken(b)
        return self.into(np.subtract(a, b, out=out))

    def fuse(self, total: Array, product: Array, out: Array) -> Array:
        total = self.taken(total)
        return self.into(np.add(total, product, out=out) if self._narrow else add_odd(total, product))


def nearest(mode: Mode | None) -> bool:
    """Whether results are the nearest numbers, so that the fast unit gives them."""
    return mode is None or mode.nearest


def draws(mode: Mode | None) -> bool:
    """Whether roundings take random numbers, one after another: what is rounded when is then part of the result."""
    return mode is not None and (isinstance(mode.rounding, Stochastic) or mode.rounding is Rounding.STOCHASTIC)


def carrier(fmt: Format, mode: Mode | None) -> np.dtype[Any]:
    """The dtype in which sums in ``fmt`` are formed."""
    if not nearest(mode) or (fmt == float32 and mode is not None and mode.overflow == "saturate"):
        return np.dtype(np.float64)  # float32 itself would overflow to infinity
    return container(fmt)


def unit_of(fmt: Format, mode: Mode | None, dtype: np.dtype[Any]) -> Plain:
    """The unit for operands of ``dtype``, which is `carrier` or wider."""
    return Fast(fmt, mode, dtype) if nearest(mode) else Plain(fmt, mode)
