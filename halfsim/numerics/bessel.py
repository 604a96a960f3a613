"""The modified Bessel functions of the first kind, of order 0 and 1, on float64 arrays."""

from __future__ import annotations

import numpy as np

from halfsim.numerics.quantize import Array

_FAR = 24.0  # from here on the asymptotic series ends below float64's precision, up to here the power series is short
_TERMS = 60


def _scaled(order: int, x: Array) -> Array:
    """``exp(-abs(x)) * I(x)``: the power series, whose terms are all positive, or the asymptotic one."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    with np.errstate(all="ignore"):
        near = np.minimum(size, _FAR)
        square = near * near / 4
        term = np.exp(-near) * (near / 2 if order else 1.0)
        total = term
        for k in range(1, _TERMS):
            term = term * square / (k * (k + order))
            total = total + term
        far = np.maximum(size, _FAR)
        tail = ratio = np.ones(x.shape)
        for k in range(1, 30):
            ratio = ratio * -(4 * order * order - (2 * k - 1) ** 2) / (8 * k * far)
            tail = tail + ratio
        y = np.where(size < _FAR, total, tail / np.sqrt(2 * np.pi * far))
        y = np.where(np.isnan(x), np.nan, y)
    return np.where(x < 0, -y, y) if order else y


def _grown(y: Array, x: Array) -> Array:
    """``y * exp(abs(x))`` in two factors, so that only what is infinite overflows."""
    with np.errstate(all="ignore"):
        half = np.exp(np.abs(x) / 2)
        return np.where(np.isinf(x), np.copysign(np.inf, y), y * half * half)


def i0(x: Array) -> Array:
    """The function of order 0.

    >>> i0(np.array([0.0, 1.0, -1.0]))
    array([1.        , 1.26606588, 1.26606588])
    """
    return _grown(_scaled(0, x), x)


def i1(x: Array) -> Array:
    """The function of order 1, odd.

    >>> i1(np.array([0.0, 1.0, -1.0]))
    array([ 0.       ,  0.5651591, -0.5651591])
    """
    return _grown(_scaled(1, x), x)


def i0e(x: Array) -> Array:
    """``exp(-abs(x)) * i0(x)``."""
    return _scaled(0, x)


def i1e(x: Array) -> Array:
    """``exp(-abs(x)) * i1(x)``."""
    return _scaled(1, x)
