"""Whether a remedy helps, does nothing or harms: from differences that are paired by seed, against their spread."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan, cos, pi, sin, sqrt
from typing import NamedTuple

HELPS, NOTHING, HARMS = VERDICTS = ("helps", "nothing", "harms")
LEVEL, LEAST = 0.99, 0.1  # of the interval, and the share of the trouble below which a difference is called none


class Difference(NamedTuple):
    """The mean of paired differences, its standard error, and whether zero is outside of its 99 % interval."""

    mean: float
    error: float
    sure: bool


def difference(before: Sequence[float], after: Sequence[float]) -> Difference:
    """``after - before``, pair by pair; ``ValueError`` for fewer than two pairs, which have no spread.

    >>> difference([1.0, 2.0, 3.0], [0.5, 1.5, 2.5])
    Difference(mean=-0.5, error=0.0, sure=True)
    >>> difference([1.0, 2.0, 3.0], [0.5, 2.5, 2.5]).sure
    False
    """
    apart = [b - a for a, b in zip(before, after, strict=True)]
    n = len(apart)
    if n < 2:
        raise ValueError(f"seeds: {n} is not allowed; allowed: at least 2, for a spread")
    mean = sum(apart) / n
    error = sqrt(sum((x - mean) ** 2 for x in apart) / (n - 1) / n)
    return Difference(mean, error, abs(mean) > quantile(n - 1) * error)


def verdict(before: Sequence[float], after: Sequence[float]) -> str:
    """The word, of which less is better: "nothing" unless the difference is sure, and a tenth of the trouble or more.

    >>> verdict([1.0, 2.0, 3.0], [0.5, 1.5, 2.5]), verdict([1.0, 2.0, 3.0], [0.99, 1.99, 2.99])
    ('helps', 'nothing')
    """
    found = difference(before, after)
    if not found.sure or abs(found.mean) < LEAST * abs(sum(before)) / len(before):
        return NOTHING
    return HELPS if found.mean < 0 else HARMS


def quantile(freedom: int, level: float = LEVEL) -> float:
    """How many standard errors to either side hold ``level`` of Student's t with so many degrees of freedom.

    >>> round(quantile(4), 3)
    4.604
    """
    low, high = 0.0, 1000.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < level else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The probability of a value between -t and t: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7."""
    angle = atan(t / sqrt(freedom))
    odd = freedom % 2
    term, total = cos(angle) if odd else 1.0, 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cos(angle) ** 2 * k / (k + 1)
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
