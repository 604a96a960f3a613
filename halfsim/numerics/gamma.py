"""The gamma function's logarithm and its derivatives, which NumPy lacks, on float64 arrays."""

from __future__ import annotations

import math

import numpy as np

from halfsim.numerics.erf import each
from halfsim.numerics.quantize import Array

_SHIFT = 10  # from here on a few terms of an asymptotic series reach float64's precision
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
_HUGE = 2.5e305  # where lgamma overflows


def lgamma(x: Array) -> Array:
    """The logarithm of the magnitude of the gamma function: infinite at 0, -1, -2 ..., and at both infinities.

    >>> lgamma(np.array([0.5, 1.0, -1.0, 3.0]))
    array([0.57236494, 0.        ,        inf, 0.69314718])
    """
    x = np.asarray(x, np.float64)
    infinite = ((x <= 0) & (x == np.floor(x))) | (x > _HUGE)
    return np.where(infinite, np.inf, each(math.lgamma)(np.where(infinite, 1.0, x)))


def digamma(x: Array) -> Array:
    """The derivative of `lgamma`: -inf at 0, inf at -0, NaN at -1, -2 ... and at -inf.

    Absolute errors are units in the last place of 1; at the zeros themselves relative ones are larger.
    """
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        below = x < 0
        y = np.where(below, 1 - x, x)
        total = np.zeros(x.shape)
        for _ in range(_SHIFT):  # psi(y) = psi(y + 1) - 1 / y
            small = y < _SHIFT
            total = np.where(small & (y != 0), total - 1 / np.where(y == 0, 1.0, y), total)
            total = np.where(small & (y == 0), np.copysign(np.inf, -x), total)
            y = np.where(small, y + 1, y)
        square = 1 / (y * y)
        series = np.zeros(x.shape)
        for k, b in reversed(list(enumerate(_BERNOULLI, 1))):
            series = (series + b / (2 * k)) * square
        total = total + np.log(y) - 0.5 / y - series
        total = np.where(below, total - np.pi / np.tan(np.pi * (x - np.rint(x))), total)
    return np.where((below & (x == np.floor(x))), np.nan, total)


def zeta(s: Array, q: Array) -> Array:
    """Hurwitz's zeta function, the sum of ``(q + k)**-s`` over k from 0: infinite at s = 1, NaN below.

    At q = 0, -1, -2 ... it is infinite; for other negative q it is NaN unless s is an integer.

    >>> zeta(np.array(2.0), np.array([1.0, 0.5, -0.5]))
    array([1.64493407, 4.9348022 , 8.9348022 ])
    """
    s, q = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(q, np.float64))
    with np.errstate(all="ignore"):
        part = q - np.floor(q)
        sign = np.where(s % 2 == 0, 1.0, -1.0)
        safe = np.where(part == 0, 0.5, part)
        reflected = _zeta(s, safe) + sign * (_zeta(s, 1 - safe) - _zeta(s, 1 - q))
        y = np.where(q > 0, _zeta(s, np.where(q > 0, q, 1.0)), np.where(s == np.floor(s), reflected, np.nan))
        y = np.where((q <= 0) & (part == 0), np.inf, y)
        y = np.where(s > 1, y, np.where(s == 1, np.inf, np.nan))
    return np.where(np.isnan(q) | np.isnan(s), np.nan, y)


def _zeta(s: Array, q: Array) -> Array:
    """The sum for q > 0: the first terms, then Euler and Maclaurin's formula for the rest."""
    total = np.zeros(q.shape)
    for k in range(_SHIFT):
        total = total + (q + k) ** -s
    w = q + _SHIFT
    term = w**-s
    total = total + w * term / (s - 1) + 0.5 * term
    factor = s * term / w
    for k, b in enumerate(_BERNOULLI, 1):
        total = total + factor * (b / math.factorial(2 * k))
        factor = factor * (s + 2 * k - 1) * (s + 2 * k) / (w * w)
    return np.where(np.isinf(q), 0.0, total)


def polygamma(n: Array, x: Array) -> Array:
    """The derivative of order ``n`` (an integer from 0) of `digamma`.

    >>> polygamma(np.array(1.0), np.array([1.0, 2.0]))
    array([1.64493407, 0.64493407])
    """
    order = int(n)
    if order == 0:
        return digamma(x)
    factorial = math.exp(math.lgamma(order + 1)) if order > 20 else float(math.factorial(order))
    return np.asarray((1 if order % 2 else -1) * factorial * zeta(np.asarray(order + 1.0), x))
