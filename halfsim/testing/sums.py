"""Strategies for sums and dot products whose condition number is as asked for, with their exact values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from halfsim.card import Record
from halfsim.numerics.exact_rounding import log2_floor
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array
from halfsim.testing._hypothesis import st
from halfsim.testing.drawn import Strategy, array_dtype, floats, known, refused

__all__ = ["IllConditionedDot", "IllConditionedSum", "ill_conditioned_dots", "ill_conditioned_sums"]


@dataclass(frozen=True, eq=False)
class IllConditionedSum(Record):
    """Numbers with their exact sum and its condition number, sum(abs(x)) / abs(sum(x)); np.asarray reads the numbers.

    ``values`` is an array of one axis, ``exact`` and ``condition`` are Fractions.
    """

    values: Array
    exact: Fraction
    condition: Fraction

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.values, dtype)


@dataclass(frozen=True, eq=False)
class IllConditionedDot(Record):
    """Two vectors with their exact dot product and its condition number, abs(x) @ abs(y) / abs(x @ y).

    ``x`` and ``y`` are arrays of one axis, read by np.asarray as two rows; ``exact`` and ``condition`` are Fractions.
    """

    x: Array
    y: Array
    exact: Fraction
    condition: Fraction

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array([self.x, self.y], dtype)


def ill_conditioned_sums(
    format: object = "float16", *, condition: float = 1e4, max_size: int = 32
) -> Strategy[IllConditionedSum]:
    """Numbers of ``format`` whose exact sum has the condition number ``condition``, to a tenth of it, and that sum.

    There are at most ``max_size`` of them, in any order; every partial sum is in the format's range. The condition
    number is sum(abs(x)) / abs(sum(x)) (Higham, Accuracy and Stability of Numerical Algorithms, 2002, 4.2).
    ``InvalidArgument`` for one below 1 or too large for the format's range, and for a size that is too small.

    >>> from hypothesis import Phase, find, settings
    >>> any_one = settings(phases=[Phase.generate])
    >>> found = find(ill_conditioned_sums("float16", condition=1000), lambda case: True, settings=any_one)
    >>> found.exact == sum(map(Fraction, found.values.tolist())), 900 < found.condition < 1100
    (True, True)
    """
    fmt = _signed(format)
    return _conditioned(fmt, condition, max_size, False).map(lambda found: _sum(fmt, *found))


def ill_conditioned_dots(
    format: object = "float16", *, condition: float = 1e4, max_size: int = 32
) -> Strategy[IllConditionedDot]:
    """Two vectors of ``format`` whose exact dot product has the condition number ``condition``, to a tenth of it.

    The sizes and errors are those of `ill_conditioned_sums`; the condition number is abs(x) @ abs(y) / abs(x @ y)
    (Higham, 2002, 3.1; Ogita, Rump and Oishi, 2005, take twice that).

    >>> from hypothesis import Phase, find, settings
    >>> any_one = settings(phases=[Phase.generate])
    >>> found = find(ill_conditioned_dots("float16", condition=1000), lambda case: True, settings=any_one)
    >>> found.exact == sum(map(lambda a, b: Fraction(a) * Fraction(b), found.x.tolist(), found.y.tolist()))
    True
    """
    fmt = _signed(format)
    return _conditioned(fmt, condition, max_size, True).map(lambda found: _dot(fmt, *found))


def _signed(format: object) -> Format:
    fmt = known(format)
    if not fmt.signed or fmt.zero_field != "subnormals":
        raise refused("format", fmt.name, "formats with a sign and subnormal numbers")
    return fmt


Terms = list[tuple[Fraction, Fraction]]  # factors of each term; the second is 1 in a sum

_DIGITS = 6  # significant binary digits of the exact value: its condition number is as asked for to 1/16


def _conditioned(fmt: Format, condition: float, max_size: int, dot: bool) -> Strategy[tuple[Terms, bool, list[int]]]:
    """Terms of which the positive ones have a sum P, and the negative ones P (condition - 1) / (condition + 1)."""
    if not condition >= 1:
        raise refused("condition", condition, "numbers from 1")
    factors = 1 + dot
    least = Fraction(2) ** (fmt.lowest * factors)  # the smallest term
    wanted = Fraction(condition) + 1
    most = Fraction(1) if dot else Fraction(fmt.max) / (2 << factors)
    if wanted > most / (4 << _DIGITS) / least * 4 or 2 << factors > fmt.max:
        allowed = most / (1 << _DIGITS) / least - 1
        limit = f"numbers from 1 to {float(allowed):.6g}" if allowed >= 1 and 2 << factors <= fmt.max else "none"
        raise refused("condition", condition, f"{limit} for {fmt}")
    start = Fraction(1) if dot else max(Fraction(1), Fraction(2) ** (log2_floor(wanted * least) + _DIGITS))
    unit = max(start * Fraction(2) ** (1 - fmt.precision), Fraction(2) ** fmt.lowest)
    finest = max(min(unit**factors, start / wanted / (1 << _DIGITS)), least)
    bits = log2_floor(max_size * (2 * start) ** factors / finest) + 2
    rest = -(-bits // fmt.precision)  # how many terms what remains may take
    if max_size <= rest:
        raise refused("max_size", max_size, f"integers from {rest + 1} with condition={condition} and {fmt}")
    largest = min((max_size - rest + 1) // 2, int(Fraction(fmt.max) / ((2 << factors) * start**factors)))
    return _terms(fmt, wanted, start, unit, largest, max_size - rest, dot)


@st.composite
def _terms(
    draw: Any, fmt: Format, wanted: Fraction, start: Fraction, unit: Fraction, largest: int, room: int, dot: bool
) -> tuple[Terms, bool, list[int]]:
    number = floats(fmt, min_value=float(start), max_value=float(2 * start - unit)).map(Fraction)
    factor = number if dot else st.just(Fraction(1))
    terms: Terms = draw(st.lists(st.tuples(number, factor), min_size=1, max_size=max(largest, 1)))
    above = sum((x * y for x, y in terms), Fraction(0))
    gap = min(_cut(2 * above / wanted, _DIGITS), above)
    below = above - gap
    for share in draw(st.lists(st.integers(1, 7), max_size=room - len(terms))):
        y = draw(factor)
        x = _cut(below * share / 16 / y // unit * unit, fmt.precision)  # a multiple of the unit, as the others are
        if 0 < x <= 2 * start - unit:
            terms.append((-x, y))
            below -= x * y
    while below:
        x, y = _cut(below, fmt.precision), Fraction(1)
        if dot and x < Fraction(2) ** (fmt.lowest + fmt.nmant):  # in two factors, for it may be no number itself
            y = max(Fraction(2) ** (log2_floor(x) + 1), Fraction(2) ** fmt.lowest)
        terms.append((-x / y, y))
        below -= x
    return terms, draw(st.booleans()), draw(st.permutations(range(len(terms))))


def _cut(x: Fraction, digits: int) -> Fraction:
    """``x`` without what is past its first ``digits`` binary digits."""
    if not x:
        return x
    unit = Fraction(2) ** (log2_floor(x) + 1 - digits)
    return x // unit * unit


def _sum(fmt: Format, terms: Terms, minus: bool, order: list[int]) -> IllConditionedSum:
    found = [-terms[k][0] if minus else terms[k][0] for k in order]
    exact = sum(found, Fraction(0))
    return IllConditionedSum(np.array([float(x) for x in found]).astype(array_dtype(fmt)), exact, _condition(found))


def _dot(fmt: Format, terms: Terms, minus: bool, order: list[int]) -> IllConditionedDot:
    xs, ys = ([terms[k][i] for k in order] for i in (0, 1))
    xs = [-x for x in xs] if minus else xs
    products = [x * y for x, y in zip(xs, ys, strict=True)]
    x, y = (np.array([float(one) for one in some]).astype(array_dtype(fmt)) for some in (xs, ys))
    return IllConditionedDot(x, y, sum(products, Fraction(0)), _condition(products))


def _condition(terms: list[Fraction]) -> Fraction:
    return sum(map(abs, terms), Fraction(0)) / abs(sum(terms, Fraction(0)))
