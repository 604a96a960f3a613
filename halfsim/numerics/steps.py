"""Single steps of a sum on whole arrays: multiply, add, subtract or fuse two numbers, and round the result once.

A unit is an object that does these steps in one format and one rounding mode. There are three, which give the same
bits, so that `halfsim.numerics.orders` takes the quickest that fits: `Plain` for any mode, `Fast` for rounding to
nearest, and `halfsim.numerics.half_kernel.Half` for sums of halves that cannot overflow.

Operands are arrays of numbers of the format, in the dtype that `carrier` names; they broadcast. NaN and infinities
are added and multiplied as IEEE 754 says. Where a step passes the largest number, the mode decides what becomes of it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from halfsim.numerics.exact_sums import add_in, add_odd
from halfsim.numerics.formats import Format, float16, float32, float64
from halfsim.numerics.quantize import Array, container, round_
from halfsim.numerics.rounding import Mode, Rounding, Stochastic


class Unit(Protocol):
    """What the loops of `halfsim.numerics.orders` ask of a unit.

    A method may write its result into ``out``, an array of the result's shape, and returns the result either way;
    callers go on with what is returned. ``over`` is a mask with an element for each sum under way, in which the unit
    sets True where a step passed the largest number of the format; None notes nothing.
    """

    format: Format
    over: Array | None

    def mul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The rounded product. A zero may lose its sign where sums start from +0, for then it shows in none."""

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The rounded sum; ``out`` may be an operand."""

    def sub(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """The rounded difference; ``out`` may be an operand."""

    def fuse(self, total: Array, product: Array, out: Array) -> Array:
        """``total`` plus an exact product in float64, rounded once: a fused multiply-add. ``product`` may change."""

    def rounded(self, x: Array, out: Array | None = None, signed: bool = True) -> Array:
        """``x`` rounded to the format; ``x`` may change. Without ``signed`` a result of -0 may come out as +0."""

    def as_read(self, x: Array) -> Array:
        """``x`` as an addition reads it: with zeros for subnormal numbers if the mode flushes inputs."""

    def run(self, total: Array, terms: Array) -> Array | None:
        """``total`` and the partial sums after each of ``terms`` (K, ...), all at once; None where that cannot be."""


class Plain:
    """A unit for any mode, in float64: slow, and right without further conditions.

    A product of two numbers of at most 26 bits is exact in float64. A sum is first rounded to odd there, which leaves
    in the last bit whether anything was cut off, so that rounding it to the format is as good as rounding the exact
    sum (Boldo and Melquiond 2008). For float64 itself the host's own operations are the result.
    """

    def __init__(self, fmt: Format, mode: Mode | None) -> None:
        self.format, self.mode = fmt, mode
        self.over: Array | None = None
        self.native = fmt == float64 and mode is None  # whether the host's result needs no rounding
        # Where outputs are flushed, nothing that the unit made is left for its inputs to flush.
        self.takes = mode is not None and mode.flush_inputs and not mode.flush_outputs
        self._normal = fmt.smallest_normal

    def rounded(self, x: Array, out: Array | None = None, signed: bool = True) -> Array:
        if self.native:
            return x
        if self.over is None or self.over.shape == x.shape:
            return round_(x, self.format, None, self.mode, self.over)
        over = np.zeros(x.shape, np.bool_)  # several terms of each sum at once
        x = round_(x, self.format, None, self.mode, over)
        self.over |= over.any(0)
        return x

    def as_read(self, x: Array) -> Array:
        if not self.takes:
            return x
        small = np.abs(x) < self._normal
        return np.multiply(x, ~small) if small.any() else x

    def mul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return self.rounded(np.multiply(a, b, out=out))

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self.takes:
            a, b = self.as_read(a), self.as_read(b)
        if self.format == float64:
            return self.rounded(np.asarray(a + b))
        return self.rounded(add_in(a, b, self.mode))

    def sub(self, a: Array, b: Array, out: Array | None = None) -> Array:
        return self.add(a, np.negative(b), out)

    def fuse(self, total: Array, product: Array, out: Array) -> Array:
        return self.rounded(add_in(self.as_read(total), product, self.mode))

    def run(self, total: Array, terms: Array) -> Array | None:
        return None


class Fast(Plain):
    """A unit for rounding to nearest, ties to even, in the container of the format, float32 or float64.

    A sum or product is rounded to the container and then to the format. The container has more than twice as many
    bits, so that the two roundings give what one would (Figueroa 1995). ``dtype`` is the container, or a wider one.
    """

    def __init__(self, fmt: Format, mode: Mode | None, dtype: np.dtype[Any]) -> None:
        super().__init__(fmt, mode)
        self.native = mode is None and fmt == (float32 if dtype == np.float32 else float64)
        # Whether a fused sum may be rounded to float64 first: the proof is in `halfsim.numerics.orders.fused`.
        self._narrow = 3 * fmt.precision + 4 <= 53 and fmt.emax - fmt.emin + fmt.precision <= 52
        self._normal = dtype.type(fmt.smallest_normal)

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self.takes:
            a, b = self.as_read(a), self.as_read(b)
        return self.rounded(np.add(a, b, out=out))

    def sub(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if self.takes:
            a, b = self.as_read(a), self.as_read(b)
        return self.rounded(np.subtract(a, b, out=out))

    def fuse(self, total: Array, product: Array, out: Array) -> Array:
        total = self.as_read(total)
        return self.rounded(np.add(total, product, out=out) if self._narrow else add_odd(total, product))

    def run(self, total: Array, terms: Array) -> Array | None:
        return running(self, total, self.as_read(terms), self.format, self.mode)


def running(unit: Unit, total: Array, terms: Array, fmt: Format, mode: Mode | None) -> Array | None:
    """``total`` and the sums after each of ``terms`` (K, ...), as steps of ``unit`` to nearest form them; or None.

    NumPy's accumulate is that loop: it adds one term after another, and rounds each sum in its dtype to nearest, ties
    to even. (Its reduce adds in pairs.) None where a word of ``mode`` would have intervened. A sum that becomes NaN is
    what the unit's step makes of it, with the sign and the payload that a conversion to float16 would cut off.
    """
    sums = np.empty((len(terms) + 1, *total.shape), HOSTED[fmt])
    sums[0], sums[1:] = total, terms
    sums = np.add.accumulate(sums, axis=0).astype(total.dtype, copy=False)
    flushes = mode is not None and (mode.flush_inputs or mode.flush_outputs)
    if (clips(mode) and not np.isfinite(sums[-1]).all()) or (flushes and _any_subnormal(sums, fmt)):
        return None
    if np.isnan(sums[-1]).any():
        nan = np.isnan(sums)
        first = nan.argmax(0, keepdims=True)
        step = np.maximum(first - 1, 0)
        made = unit.add(np.take_along_axis(sums, step, 0), np.take_along_axis(terms, step, 0))
        np.copyto(sums, np.where(first > 0, made, total), where=nan)
    return sums


def _any_subnormal(x: Array, fmt: Format) -> bool:
    return bool(((x != 0) & (np.abs(x) < fmt.smallest_normal)).any())


HOSTED: dict[Format, Any] = {float16: np.float16, float32: np.float32, float64: np.float64}


def clips(mode: Mode | None) -> bool:
    """Whether ``mode`` rounds to nearest, but to the largest number what lies past it."""
    return mode is not None and mode.nearest and mode.clips


def nearest(mode: Mode | None) -> bool:
    """Whether ``mode`` rounds to nearest, which is what `Fast` does; None stands for the default mode."""
    return mode is None or mode.nearest


def draws(mode: Mode | None) -> bool:
    """Whether roundings draw random numbers: then the order in which elements are rounded changes the result."""
    return mode is not None and (isinstance(mode.rounding, Stochastic) or mode.rounding is Rounding.STOCHASTIC)


def carrier(fmt: Format, mode: Mode | None) -> np.dtype[Any]:
    """The dtype that holds the operands and partial sums of sums in ``fmt``."""
    if not nearest(mode) or (fmt == float32 and mode is not None and mode.clips):
        return np.dtype(np.float64)  # float32 itself would overflow to infinity
    return container(fmt)


def unit_of(fmt: Format, mode: Mode | None, dtype: np.dtype[Any]) -> Plain:
    """The quicker of `Fast` and `Plain` that serves ``mode``, for operands of ``dtype``: `carrier`, or wider."""
    return Fast(fmt, mode, dtype) if nearest(mode) else Plain(fmt, mode)
