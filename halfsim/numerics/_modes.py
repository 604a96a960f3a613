"""How a scaled number becomes an integer of its sign, by rounding mode, in a block and in place.

It has a magnitude of up to 2**p. What is not finite may come out as anything. ``w`` is a block to work in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.rounding import Rounding

Array = NDArray[Any]
Draws = tuple[Array, int]  # random integers, one a number, and how many bits they have


def _nearest_even(t: Array, w: Array) -> None:
    np.rint(t, out=t)


def _nearest_away(t: Array, w: Array) -> None:
    np.trunc(t, out=w)
    np.subtract(w, t, out=w)  # less the fraction, exact
    np.subtract(t, w, out=t)  # the fraction doubled: it reaches one from a half on
    np.trunc(t, out=t)


def _toward_zero(t: Array, w: Array) -> None:
    np.trunc(t, out=t)


def _upward(t: Array, w: Array) -> None:
    np.ceil(t, out=t)


def _downward(t: Array, w: Array) -> None:
    np.floor(t, out=t)


def _to_odd(t: Array, w: Array) -> None:
    np.multiply(t, 0.5, out=t)  # an integer if t is an even one; else the integers on both sides add up to the odd one
    np.floor(t, out=w)
    np.ceil(t, out=t)
    np.add(t, w, out=t)


INTEGER: dict[Rounding, Callable[[Array, Array], None]] = {
    Rounding.NEAREST_EVEN: _nearest_even,
    Rounding.NEAREST_AWAY: _nearest_away,
    Rounding.TOWARD_ZERO: _toward_zero,
    Rounding.UPWARD: _upward,
    Rounding.DOWNWARD: _downward,
    Rounding.TO_ODD: _to_odd,
}


def drawn(t: Array, w: Array, draws: Draws) -> None:
    """Up from the integer below where the first bits of the fraction, as an integer, are more than was drawn."""
    words, bits = draws
    np.floor(t, out=w)
    fraction = np.multiply(np.subtract(t, w), t.dtype.type(2.0**bits))
    np.copyto(fraction, 0, where=~np.isfinite(fraction))
    np.add(w, fraction.astype(np.uint64) > words, out=w)
    np.copysign(w, t, out=t)  # which matters where a number became zero
