"""Functions that NumPy lacks, on float64 arrays, to within a few units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from halfsim.numerics.quantize import BLOCK, Array

_STEPS = 256  # nodes a unit: the distance to the nearest is at most 2**-9, so that d**7 is below 2**-63
_END = 6.0  # erf(6) is 1 to 2**-55


@cache
def _nodes() -> tuple[Array, Array, Array]:
    """The nodes, erf there, and its derivative there."""
    node = np.arange(int(_END * _STEPS) + 1) / _STEPS
    slope = [2 / math.sqrt(math.pi) * math.exp(-t * t) for t in node.tolist()]
    return node, np.array([math.erf(t) for t in node.tolist()]), np.array(slope)


def erf(x: Array) -> Array:
    """The error function of a float64 array of any shape, to within 3 units in the last place.

    NaN gives NaN, infinities 1 of their sign, zeros and subnormal numbers keep their sign. Between nodes t it is the
    Taylor series erf(t + d) = erf(t) + erf'(t) * (d - t d**2 + ...), whose terms follow from the derivative's
    equation f'' = -2 x f': a(n+2) = -2 (t (n+1) a(n+1) + n a(n)) / ((n+1)(n+2)).

    >>> erf(np.array([0.0, 0.5, -7.0]))
    array([ 0.        ,  0.52049988, -1.        ])
    """
    x = np.asarray(x, np.float64)
    out = np.empty(x.shape)
    source, end = x.reshape(-1), out.reshape(-1)
    node, value, slope = _nodes()
    for i in range(0, source.size, BLOCK):
        v = np.minimum(np.abs(source[i : i + BLOCK]), _END)  # NaN passes through
        with np.errstate(invalid="ignore"):
            k = np.where(np.isnan(v), 0, np.rint(v * _STEPS)).astype(np.intp)
        t = node.take(k)
        d = v - t
        series = _series(t, d) * slope.take(k) + value.take(k)
        end[i : i + BLOCK] = np.copysign(series, source[i : i + BLOCK])
    return out


def _series(t: Array, d: Array) -> Array:
    """``(erf(t + d) - erf(t)) / erf'(t)`` by its first six terms."""
    a = [np.ones_like(t), -t]  # coefficients of d and d**2
    for n in range(1, 5):
        a.append(-2 * (t * (n + 1) * a[n] + n * a[n - 1]) / ((n + 1) * (n + 2)))
    total = a[-1]
    for coefficient in a[-2::-1]:
        total = total * d + coefficient
    return total * d


def each(f: Callable[[float], float]) -> Callable[[Array], Array]:
    """``f``, a function of numbers, on every element of a float64 array."""
    return lambda x: np.array([f(value) for value in x.reshape(-1).tolist()], np.float64).reshape(x.shape)


erfc = each(math.erfc)


def erfinv(x: Array) -> Array:
    """The number whose error function is ``x``: infinite at 1 and -1, NaN beyond.

    >>> erfinv(np.array([0.0, 0.5, -1.0]))
    array([0.        , 0.47693628,       -inf])
    """
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    with np.errstate(all="ignore"):
        near = np.minimum(size, 0.5)
        z = near * (math.sqrt(math.pi) / 2) * (1 + math.pi / 12 * near * near)
        for _ in range(3):  # Halley's method on erf(z) - near
            step = (erf(z) - near) * np.exp(z * z) * (math.sqrt(math.pi) / 2)
            z = z - step / (1 + step * z)
        y = np.where(size <= 0.5, z, erfc_inverse(np.maximum(1 - size, 0.0)))
    return np.where(size <= 1, np.copysign(y, x), np.nan)


def erfc_inverse(y: Array) -> Array:
    """The number from 0 on whose complementary error function is ``y``, from 0 (which gives inf) to 1.

    Newton's method on the logarithm, from Winitzki's approximation; meant for small ``y``.
    """
    with np.errstate(all="ignore"):
        c = np.minimum(y, 0.5)
        log = np.log(c * (2 - c))
        half = 2 / (math.pi * 0.147) + log / 2
        z = np.sqrt(np.sqrt(half * half - log / 0.147) - half)
        z = np.where(c > 0, z, 0.0)
        for _ in range(4):
            tail = np.asarray(erfc(z))
            z = z + np.log(tail / c) * tail * np.exp(z * z) * (math.sqrt(math.pi) / 2)
    return np.where(c > 0, z, np.inf)


def ndtri(p: Array) -> Array:
    """The inverse of the normal distribution function: -inf at 0, inf at 1, NaN beyond.

    >>> ndtri(np.array([0.5, 0.975, 1e-10]))
    array([ 0.        ,  1.95996398, -6.3613409 ])
    """
    p = np.asarray(p, np.float64)
    tail = np.where(p > 0.5, 1 - p, p)
    with np.errstate(all="ignore"):
        far = math.sqrt(2) * erfc_inverse(np.clip(2 * tail, 0.0, 1.0))
        y = np.where(tail < 0.25, np.where(p > 0.5, far, -far), math.sqrt(2) * erfinv(2 * p - 1))
    return np.where((p >= 0) & (p <= 1), y, np.nan)


def erfcx(x: Array) -> Array:
    """``exp(x * x) * erfc(x)``, which does not underflow.

    >>> erfcx(np.array([0.0, 1.0, 100.0]))
    array([1.        , 0.42758358, 0.00564161])
    """
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        small = np.clip(x, -30.0, 3.0)  # infinite from -27 down
        high = np.asarray(small.astype(np.float32), np.float64)  # its square is exact
        y = np.exp(high * high) * np.exp((small - high) * (small + high)) * erfc(small)
        large = np.maximum(x, 3.0)
        fraction = large  # the continued fraction x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...
        for k in range(60, 0, -1):
            fraction = large + k / 2 / fraction
        return np.where(x < 3, y, 1 / (math.sqrt(math.pi) * fraction))
