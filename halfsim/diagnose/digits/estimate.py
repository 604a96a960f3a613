"""How many digits runs under random rounding have in common, and how sure that is.

Parker, "Monte Carlo arithmetic" (1997) takes the spread of such runs for their error. The two statements are those of
Sohier, de Oliveira Castro, Fevotte, Lathuiliere, Petit and Jamond, "Confidence intervals for stochastic arithmetic",
ACM Transactions on Mathematical Software 47 (2021): one for a normal law, one that needs no law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from halfsim.autograd.trace import noise
from halfsim.card import Record
from halfsim.numerics.quantize import Array


@lru_cache(maxsize=64)
def shift(runs: int, probability: float, confidence: float) -> float:
    """How many bits to take from ``-log2`` of the sample's deviation, so that the rest may be relied on.

    Then a further run, of a normal law around the mean, differs from the mean in none of these bits with
    ``probability``; of all samples of so many ``runs``, a share of at least ``confidence`` says so rightly.

    >>> round(shift(8, 0.95, 0.95), 3)
    1.996
    """
    # Of a probability near 0, whose half is lost beside 1, the law is its density at the middle.
    wide = -NormalDist().inv_cdf((1 - probability) / 2) or probability * math.sqrt(math.pi / 2)
    return 0.5 * math.log2((runs - 1) / chi_squared(runs - 1, (1 - confidence) / 2)) + math.log2(wide)


def chi_squared(freedom: int, share: float) -> float:
    """The number below which a chi-squared variable of ``freedom`` degrees lies with probability ``share``.

    >>> round(chi_squared(7, 0.025), 4)
    1.6899
    """
    low, high = 0.0, float(freedom)
    while _below(freedom, high) < share:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(freedom, middle) < share else (low, middle)
    return (low + high) / 2


def _below(freedom: int, x: float) -> float:
    """The regularised lower incomplete gamma function of ``freedom / 2`` and ``x / 2``, by its power series."""
    a, half = freedom / 2, x / 2
    if not half:
        return 0.0
    term, total, n = 1.0, 1.0, a
    while term > 1e-17 * total:
        n += 1
        term *= half / n
        total += term
    return min(1.0, total * math.exp(a * math.log(half) - half - math.lgamma(a + 1)))


def share_of_all(runs: int, confidence: float) -> float:
    """How probable at least is what was so in each of ``runs`` trials, with ``confidence``: Bernoulli's law alone.

    >>> round(share_of_all(8, 0.95), 3), share_of_all(59, 0.95) > 0.95 > share_of_all(58, 0.95)
    (0.688, True)
    """
    return (1 - confidence) ** (1 / runs)


@dataclass(frozen=True)
class Spread(Record):
    """What runs under random rounding say of one result, in bits; infinite where they were all the same.

    Of an array the distances are norms: of the difference over that of the mean, or of the run.
    """

    bits: float  # of the deviation
    lower: float  # that may be relied on, by a normal law: ``shift`` fewer
    held: float  # in which every run agreed with the run as it is
    deviation: float  # the norm of it
    worst: float  # the bits of the element that has fewest
    at: int  # which that is, in C order

    @property
    def moved(self) -> bool:
        """Whether any rounding at random showed."""
        return self.deviation > 0


def spread(samples: Array, run: Array, taken: float, least: float = 0.0) -> Spread:
    """The Spread of ``samples`` (runs, elements) around their mean, and around ``run``, all of them finite.

    ``taken`` is the `shift`. A mean whose norm is less than ``least`` is measured by that.

    >>> found = spread(np.array([[1.0], [1.0], [1.0], [1.25]]), np.array([1.0]), 2.0)
    >>> round(found.bits, 2), round(found.lower, 2), found.held
    (3.09, 1.09, 2.0)
    """
    mean = samples.mean(axis=0)
    with np.errstate(all="ignore"):
        off = samples - mean
        scale = np.frexp(np.abs(off).max(axis=0))[1]  # whose squares neither overflow nor vanish
        each = np.ldexp(np.sqrt((np.ldexp(off, -scale) ** 2).sum(axis=0) / (len(samples) - 1)), scale)
        single = np.where(each > 0, np.log2(np.abs(mean) / each), np.inf)
    whole = norm(each)
    bits = agreement(whole, max(norm(mean), least))
    far = max(norm(row - run) for row in samples)
    at = int(np.argmin(single)) if single.size else 0
    return Spread(
        bits, bits - taken, agreement(far, max(norm(run), least)), whole, float(single[at]) if single.size else bits, at
    )


def agreement(distance: float, size: float) -> float:
    """In how many leading bits numbers of norm ``size`` agree that are ``distance`` apart.

    >>> agreement(0.25, 2.0), agreement(0.0, 2.0), agreement(0.5, 0.0)
    (3.0, inf, -inf)
    """
    if not distance:
        return math.inf
    return math.log2(size) - math.log2(distance) if size else -math.inf


def norm(x: Array) -> float:
    """The Euclidean norm of an array of any shape, in float64; infinite or NaN where an element is.

    >>> norm(np.array([3.0, 4.0])), norm(np.array([3.0, np.inf]))
    (5.0, inf)
    """
    largest = float(np.abs(x).max(initial=0.0))
    return noise.norm(x) if math.isfinite(largest) else largest
