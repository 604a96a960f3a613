"""How far a sum can be off, by the order in which it is formed: what every order adds to the error of its terms.

A term of a sum of n passes through some number h of roundings, each of which changes it by a factor of at most 1 + u.
So the error is at most ((1 + u)**h - 1) times the sum of the terms' magnitudes (Higham, *Accuracy and Stability of
Numerical Algorithms*, 2002, section 4.2), and where the roundings are independent and right on average, it is at most
lambda * sqrt(h) * u times that, but for a probability of 2 exp(-lambda**2 / 2) (Higham and Mary, *A New
Approach to Probabilistic Rounding Error Analysis*, 2019, theorem 2.4). An order is the number h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, expm1, log1p, log2, sqrt

from halfsim.hardware.units import Unit
from halfsim.numerics import units
from halfsim.numerics.accumulate import Accumulator

_SINGLE = 2.0**-24  # u of float32


@dataclass(frozen=True)
class Relative:
    """An error as a share of the sum of the terms' magnitudes.

    ``certain`` is what it cannot pass, ``likely`` what it is in the root of the mean square, at most, where roundings
    are independent: lambda times that is passed with a probability of 2 exp(-lambda**2 / 2).
    """

    certain: float
    likely: float


# By order, for n terms in blocks of k: through how many roundings to the format of the sum a term passes. A block's sum
# is rounded to float32 and added in float32 besides.
_DEPTHS: dict[str, Callable[[int, int], int]] = {
    "blas": lambda n, k: n - 1,  # whatever the order
    "sequential": lambda n, k: n - 1,
    "sequential+fma": lambda n, k: n - 1,
    "pairwise": lambda n, k: ceil(log2(n)),
    "blocked": lambda n, k: ceil(n / k),
}


def unit_roundoff(precision: int, nearest: bool) -> float:
    """The largest relative error of one rounding to so many digits: half an ulp of 1, or a whole one.

    >>> unit_roundoff(11, nearest=True)
    0.00048828125
    """
    return 2.0 ** (-precision if nearest else 1 - precision)


def of_sum(how: Accumulator, terms: int, nearest: bool = True, before: int = 0) -> Relative:
    """The error of a sum of ``terms`` terms that ``how`` forms.

    ``before`` says through how many roundings to its format a term goes before: as a product, or as an operand wider
    than the format. ``nearest`` is whether the precision rounds to nearest; otherwise roundings have a direction, and
    what is likely is what is certain.

    >>> from halfsim.numerics.accumulate import accumulator
    >>> [round(of_sum(accumulator(f"fp16:{order}"), 1024).certain, 4) for order in ("sequential", "pairwise", "kahan")]
    [0.6479, 0.0049, 0.002]
    """
    if how.order == "exact" or terms < 1:
        return Relative(0.0, 0.0)
    if how.order in units.UNITS:
        row = _row(how)
        if row is not None:
            return _of_blocks(row, terms, how.size) if how.size else _of_unit(row, terms)
    u = unit_roundoff(how.format.precision, nearest)
    if how.order in ("kahan", "neumaier"):  # Higham 2002, section 4.3: 2 u, and terms in n u**2
        error = (2 + before) * u + (4 * terms * u**2 if how.order == "kahan" else (terms * u) ** 2)
        return Relative(error, error)
    depth = _DEPTHS.get(how.order, _DEPTHS["blas"])(terms, how.size) + before
    certain, variance = expm1(depth * u), depth * u**2
    if how.order == "blocked":
        blocks = ceil(terms / how.size)
        certain, variance = expm1(depth * u + 2 * blocks * _SINGLE), variance + 2 * blocks * _SINGLE**2
    return Relative(certain, sqrt(variance) if nearest else certain)


def _row(how: Accumulator) -> Unit | None:
    """The row of numbers behind a registered unit, which its product is given."""
    given = getattr(units.UNITS[how.order].product, "args", ())
    return given[0] if given and isinstance(given[0], Unit) else None


def _of_unit(row: Unit, terms: int) -> Relative:
    """The error of a matrix unit: in each step addends are cut below the largest, and their sum is rounded."""
    u = unit_roundoff(row.digits, not row.toward_zero)
    steps = ceil(terms / row.block)
    if row.kind in ("aligned", "floored"):  # what is cut lies below 2**-fraction of the largest addend, or twice that
        cut = (row.block + 1) * 2.0 ** (1 - row.fraction)
        error = expm1(steps * (cut + u))
        return Relative(error, error)
    depth = steps * (1 + (ceil(log2(row.block)) + 1 if row.kind == "tree" else 0)) + row.chains - 1
    return Relative(expm1(depth * u), sqrt(depth) * u)


def _of_blocks(row: Unit, terms: int, size: int) -> Relative:
    """The error of a matrix unit's sums of ``size`` terms, which join a total in float32 one after another."""
    inner, sums = _of_unit(row, min(terms, size)), ceil(terms / size)
    return Relative(expm1(log1p(inner.certain) + sums * _SINGLE), sqrt(inner.likely**2 + sums * _SINGLE**2))
