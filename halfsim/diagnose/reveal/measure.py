"""What outputs tell of an accumulator: how many bits it keeps, how it rounds, which numbers it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from halfsim.card import Record
from halfsim.diagnose.reveal.box import Box
from halfsim.numerics.formats import (
    Format,
    bfloat16,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float16,
    float32,
    float64,
    tfloat32,
)
from halfsim.numerics.quantize import Array

_FORMATS = (
    float32, tfloat32, bfloat16, float16, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, float64,
)  # fmt: skip
_SUMS = (float32, float16, bfloat16, float64)

# What becomes of 1 + d ulp for each of these d, in ulp above 1, and of -1 - d.
_PARTS = (0.25, 0.5, 0.75, 1.25, 1.5, 1.75)
_WAYS = {
    ((0, 0, 1, 1, 2, 2), (0, 0, 1, 1, 2, 2)): "to nearest, ties to even",
    ((0, 1, 1, 1, 2, 2), (0, 1, 1, 1, 2, 2)): "to nearest, ties away from zero",
    ((0, 0, 0, 1, 1, 1), (0, 0, 0, 1, 1, 1)): "toward zero",
    ((1, 1, 1, 2, 2, 2), (0, 0, 0, 1, 1, 1)): "up",
    ((0, 0, 0, 1, 1, 1), (1, 1, 1, 2, 2, 2)): "down",
    ((1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1)): "to odd",
    ((0, 0, 0, 1, 2, 2), (0, 0, 1, 2, 2, 2)): "down to half a unit in the last place, then to nearest, ties to even",
}
_ASKED = 8  # triples that are asked how they round
_NAMELESS = "in a way that has no name here"


@dataclass(frozen=True)
class Kept(Record):
    """The bits of a sum: ``stored`` below the leading one between additions, None where nothing was ever lost.

    ``inside`` are those that survive where terms are added at once; ``rounding`` says how the others go. ``top`` and
    ``bottom`` are the exponents of the largest and the smallest power of two that come out, of one term alone;
    ``given`` are the bits of what comes out in the end.
    """

    stored: int | None
    inside: int | None
    rounding: str
    top: int
    bottom: int
    given: int

    @property
    def digits(self) -> int | None:
        """The precision of a stored sum, its leading one included."""
        return None if self.stored is None else self.stored + 1


@dataclass(frozen=True)
class Taken(Record):
    """What a product takes: significant bits, exponents of the largest and smallest power of two, and rounding."""

    digits: int
    top: int
    bottom: int
    rounding: str

    @property
    def format(self) -> Format | None:
        """The format with these numbers, None where there is none."""
        for fmt in _FORMATS:
            if (fmt.precision, fmt.emax) == (self.digits, self.top) and self.bottom in (fmt.emin, lowest(fmt)):
                return fmt
        return None

    @property
    def flushes(self) -> bool:
        """Whether subnormal operands are taken for zeros."""
        return self.format is not None and self.bottom == self.format.emin


def lowest(fmt: Format) -> int:
    """The exponent of the smallest subnormal number."""
    return int(np.log2(fmt.smallest_subnormal))


def span(box: Box) -> tuple[int, int]:
    """The exponents of the largest and the smallest power of two that come out of ``box`` as they go in."""

    def whole(exponents: Array) -> Array:
        rows = np.zeros((2, 4))
        rows[:, 0] = np.ldexp(1.0, exponents * [1, -1])
        right: Array = box.terms(rows) == rows[:, 0]
        return right

    if not whole(np.zeros(2, int)).all():
        raise ValueError("f: 1 does not come out of it as it goes in; allowed: a sum of products, or of terms")
    pairs = np.array([[1, other, 0, 0] for other in (1, -1)], np.float64)
    for other, total in zip((1, -1), box.terms(pairs), strict=True):
        if total != 1 + other:
            raise ValueError(f"f: {total:g} for the terms 1 and {other} is not allowed; allowed: {1 + other}, a sum")
    top, bottom = _last(whole, np.array([0, 0]), np.array([127, 149]))
    return int(top), -int(bottom)


def _last(holds: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """The largest numbers from ``low`` to ``high`` for which something holds: up to these, and no further."""
    while (low < high).any():
        middle = (low + high + 1) // 2
        right = holds(middle)
        low, high = np.where(right, middle, low), np.where(right, high, middle - 1)
    return low


def _run(exponents: Array) -> tuple[int, int]:
    """The ends of the longest run of integers around the one nearest to zero."""
    known = {*exponents.tolist()}
    top = bottom = min(known, key=abs, default=0)
    while top + 1 in known:
        top += 1
    while bottom - 1 in known:
        bottom -= 1
    return top, bottom


def kept(box: Box, n: int) -> Kept:
    """How many bits survive beside a power of two that goes away again, for several places of the three terms."""
    top, bottom = span(box)
    most = min(top - bottom, 140)
    given = _given(box, n, top, min(most, 52))
    places = [(i, j, k) for some in combinations(sorted({0, 1, 2, 5, n - 1}), 3)
              for i, j, k in (some, (some[0], some[2], some[1]), (some[1], some[2], some[0]))]  # fmt: skip
    widths = _survive(box, n, places, top, most)
    limited = {place: w for place, w in zip(places, widths, strict=True) if w < most}
    if not limited:
        return Kept(None, None, "nothing is rounded before the end", top, bottom, given)
    stored = min(limited.values())
    where = [place for place, w in limited.items() if w == stored]
    ways = [_rounding(box, n, place, top, stored, bottom) for place in where[:: -(-len(where) // _ASKED)]]
    named = [way for way in ways if way != _NAMELESS]  # the tiny term may meet the other large one first
    told = " or ".join(sorted({*(named or ways)}))
    return Kept(stored, max(limited.values()), told, top, bottom, given)


def _survive(box: Box, n: int, places: list[tuple[int, int, int]], top: int, most: int) -> list[int]:
    """For each (i, j, k) the largest e up to ``most`` for which 2**-e at j survives beside 1 at i and -1 at k."""
    signs = np.array([[1.0], [-1.0]])

    def whole(exponents: Array) -> Array:
        rows = np.zeros((2, len(places), n))  # of either sign, for -1 + 2**-e has one bit more than 1 + 2**-e
        for k, ((i, j, last), e) in enumerate(zip(places, exponents, strict=True)):
            rows[:, k, i], rows[:, k, last] = 2.0**top, -(2.0**top)
            rows[:, k, j] = signs[:, 0] * 2.0 ** (top - int(e))
        found: Array = box.terms(rows.reshape(-1, n)).reshape(2, -1) == signs * np.ldexp(1.0, top - exponents)
        return np.logical_and(found[0], found[1])

    return [int(e) for e in _last(whole, np.zeros(len(places), int), np.full(len(places), most))]


def _given(box: Box, n: int, top: int, most: int) -> int:
    """The largest e for which 1 + 2**-e comes out whole, as a sum of two terms."""

    def whole(exponents: Array) -> Array:
        rows = np.zeros((1, n))
        rows[0, :2] = 2.0**top, 2.0 ** (top - int(exponents[0]))
        right: Array = box.terms(rows) == rows.sum(1)
        return right

    return int(_last(whole, np.array([0]), np.array([most]))[0])


def _rounding(box: Box, n: int, place: tuple[int, int, int], top: int, stored: int, bottom: int) -> str:
    """What becomes of sums between two numbers of the accumulator."""
    unit, scale = 2.0**-stored, 2.0**top
    if top - stored - 2 < bottom:
        return "not to be seen: the range is too narrow"
    i, j, k = place
    rows = np.zeros((2 * len(_PARTS), n))
    for row, (sign, part) in zip(rows, ((s, d) for s in (1, -1) for d in _PARTS), strict=True):
        row[[i, j, k]] = sign * scale, sign * part * unit * scale, -sign * scale
    first, again = (np.abs(box.terms(rows)) / (unit * scale) for _ in range(2))
    if (first != again).any():
        return "changes from call to call"
    return way(first)


def way(ups: Array) -> str:
    """The name of a rounding that takes 1 + d to these, for the d of `_PARTS` and then for those below -1."""
    half = len(_PARTS)
    return _WAYS.get((tuple(ups[:half].tolist()), tuple(ups[half:].tolist())), _NAMELESS)


def taken(box: Box, n: int, found: Kept) -> Taken:
    """The format that a product takes its operands in, or a sum its terms; the range of these is that of sums."""
    top, bottom = found.top, found.bottom
    if box.product:
        exponents = np.arange(-149, 128)
        half = -(exponents // 2)
        top, bottom = _run(exponents[_alone(box, n, np.ldexp(1.0, exponents), np.ldexp(1.0, half))])
    digits = 1
    for e in range(1, 24):
        if not any((_less(box, n, [1 + 2.0**-e], order) == 2.0**-e).all() for order in ((0, 1), (1, 0))):
            break
        digits = e + 1
    unit = 2.0 ** (1 - digits)
    values = [sign * (1 + part * unit) for sign in (1, -1) for part in _PARTS]
    ways = [way(np.abs(_less(box, n, values, order)) / unit) for order in ((0, 1), (1, 0))] if digits < 23 else []
    return Taken(digits, top, bottom, next((w for w in ways if w in _WAYS.values()), "") if ways else "")


def _alone(box: Box, n: int, x: Array, y: Array) -> Array:
    """Where a product of one ``x`` and one ``y`` comes out right."""
    a, b = np.zeros((2, len(x), n))
    a[:, 0], b[:, 0] = x, y
    right: Array = box.pairs(a, b) == x * y
    return right


def _less(box: Box, n: int, values: Iterable[float], order: tuple[int, int]) -> Array:
    """Each value times 1, less the whole number below its magnitude, in either order."""
    given = np.array([*values])
    a, b = np.zeros((2, len(given), n))
    b[:, :2] = 1
    a[:, order[0]], a[:, order[1]] = given, -np.sign(given)
    return box.pairs(a, b)


def fused(box: Box, n: int, digits: int, stored: int | None) -> bool | None:
    """Whether a product joins a sum unrounded; None where products fit the accumulator, or nothing is rounded."""
    if stored is None or 2 * digits <= stored + 1:
        return None
    h = min(digits - 1, stored // 2 + 1)  # the square of 1 + 2**-h has 2 h bits after its leading one
    if 2 * h <= stored:
        return None
    a, b = np.zeros((2, 6, n))
    for row, (i, j) in enumerate(((0, 1), (1, 0), (0, n - 1), (n - 1, 0), (0, n // 2), (n // 2, 0))):
        a[row, i], b[row, i] = -(1 + 2.0 ** (1 - h)), 1
        a[row, j] = b[row, j] = 1 + 2.0**-h
    return bool((box.pairs(a, b) == 2.0 ** (-2 * h)).any())


def sum_format(found: Kept) -> Format | None:
    """The format whose precision a stored sum has, where there is one, and whose range it needs."""
    return _with(found.digits, found)


def given_format(found: Kept) -> Format | None:
    """The format of what comes out, where it is narrower than the running sum; else None."""
    narrower = found.stored is None or found.given < found.stored
    return _with(found.given + 1, found) if narrower else None


def _with(digits: int | None, found: Kept) -> Format | None:
    return next((fmt for fmt in _SUMS if fmt.precision == digits and found.top <= fmt.emax), None)
