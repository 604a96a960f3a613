"""The rounding modes as small kernels on a block: on numbers scaled to integers, and on encodings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsim.numerics.rounding import Rounding, Stochastic

Array = NDArray[Any]
Scaled = Callable[[Array, Array, Stochastic | None], None]
Increment = Callable[[Array, Array, int, Stochastic | None], Any]


# On scaled numbers: t, of magnitude up to 2**p, becomes an integer in place; w is a block to work in. What is not
# finite may come out as anything.


def _nearest_even(t: Array, w: Array, source: Stochastic | None) -> None:
    np.rint(t, out=t)


def _toward_zero(t: Array, w: Array, source: Stochastic | None) -> None:
    np.trunc(t, out=t)


def _upward(t: Array, w: Array, source: Stochastic | None) -> None:
    np.ceil(t, out=t)


def _downward(t: Array, w: Array, source: Stochastic | None) -> None:
    np.floor(t, out=t)


def _nearest_away(t: Array, w: Array, source: Stochastic | None) -> None:
    np.trunc(t, out=w)
    np.subtract(t, w, out=t)  # the fraction, exact, as is twice the fraction
    np.add(t, t, out=t)
    np.trunc(t, out=t)  # one from a half on
    np.add(w, t, out=t)
    np.copysign(t, w, out=t)


def _to_odd(t: Array, w: Array, source: Stochastic | None) -> None:
    np.trunc(t, out=w)
    even = np.multiply(w, 0.5)
    np.equal(np.trunc(even), even, out=even)
    np.not_equal(t, w, out=(lost := np.empty(t.shape, np.bool_)))
    np.multiply(even, lost, out=even)
    np.add(np.abs(w), even, out=even)
    np.copysign(even, t, out=t)


def _stochastic(t: Array, w: Array, source: Stochastic | None) -> None:
    assert source is not None
    np.floor(t, out=w)
    fraction = np.multiply(np.subtract(t, w), t.dtype.type(2.0**source.bits))
    np.copyto(fraction, 0, where=~np.isfinite(fraction))
    np.add(w, fraction.astype(np.uint64) > source.draw(t.size), out=w)
    np.copysign(w, t, out=t)


SCALED: dict[Rounding, Scaled] = {
    Rounding.NEAREST_EVEN: _nearest_even,
    Rounding.NEAREST_AWAY: _nearest_away,
    Rounding.TOWARD_ZERO: _toward_zero,
    Rounding.UPWARD: _upward,
    Rounding.DOWNWARD: _downward,
    Rounding.TO_ODD: _to_odd,
    Rounding.STOCHASTIC: _stochastic,
}


# On encodings: what to add to the magnitude before the `drop` trailing bits are cleared; odd is the last kept bit.


def _half_even(code: Array, odd: Array, drop: int, source: Stochastic | None) -> Any:
    return odd + ((1 << (drop - 1)) - 1)


def _half(code: Array, odd: Array, drop: int, source: Stochastic | None) -> Any:
    return 1 << (drop - 1)


def _nothing(code: Array, odd: Array, drop: int, source: Stochastic | None) -> Any:
    return 0


def _positive(code: Array, odd: Array, drop: int, source: Stochastic | None) -> Any:
    return ~(code >> (8 * code.itemsize - 1)) & ((1 << drop) - 1)


def _negative(code: Array, odd: Array, drop: int, source: Stochastic | None) -> Any:
    return (code >> (8 * code.itemsize - 1)) & ((1 << drop) - 1)


def _if_even(code: Array, odd: Array, drop: int, source: Stochastic | None) -> Any:
    return (odd - 1) & ((1 << drop) - 1)


def _random(code: Array, odd: Array, drop: int, source: Stochastic | None) -> Any:
    assert source is not None
    draws = source.draw(code.size).astype(code.dtype if drop > source.bits else np.int64)
    shift = drop - source.bits
    return (draws << shift if shift >= 0 else draws >> -shift).astype(code.dtype)


INCREMENT: dict[Rounding, Increment] = {
    Rounding.NEAREST_EVEN: _half_even,
    Rounding.NEAREST_AWAY: _half,
    Rounding.TOWARD_ZERO: _nothing,
    Rounding.UPWARD: _positive,
    Rounding.DOWNWARD: _negative,
    Rounding.TO_ODD: _if_even,
    Rounding.STOCHASTIC: _random,
}
