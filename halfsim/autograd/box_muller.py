"""Normal numbers of uniform ones, step by step as PyTorch's kernels for x86 take them, to the same bits.

In float32 these are Cephes' polynomials with fused multiply-adds, which are rounded here through float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.numerics.quantize import Array

_LOG = [7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1]
_LOG += [-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1]
_LN2 = -2.12194440e-4, 0.693359375  # log(2) is their sum
_SINE = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]
_COSINE = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]
_QUARTER_PI = -0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8  # -pi/4 is their sum
_SPLIT = 2.0**27 + 1
_BLOCK = 1 << 14  # elements that are taken at once, so that the steps stay in a processor's cache


def fused(x: Array, factor: Any, term: Any) -> Array:
    """``x * factor + term``, rounded once to the dtype of ``x``, float32 or float64."""
    if x.dtype == np.float32:
        return np.add(np.multiply(x, factor, dtype=np.float64), term).astype(np.float32)
    product = x * factor  # Dekker's: the product and what its rounding cost, the sum and what its rounding cost
    halves = [(v - (high := v * _SPLIT - (v * _SPLIT - v)), high) for v in (x, np.float64(factor))]
    (low_x, high_x), (low_f, high_f) = halves
    rest = low_x * low_f - (((product - high_x * high_f) - low_x * high_f) - high_x * low_f)
    total = product + term
    back = total - product
    return np.asarray(total + ((product - (total - back)) + (term - back) + rest))


def box_muller(uniform: Array) -> Array:
    """Normal numbers of (n, 16) uniform ones: the first eight of a row are taken for radii, the others for angles."""
    if uniform.dtype == np.float64:
        radius, angle = np.sqrt(-2 * np.log(1 - uniform[:, :8])), 2 * np.pi * uniform[:, 8:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)
    out = np.empty_like(uniform)
    rows = _BLOCK // 16
    for start in range(0, len(uniform), rows):
        part = uniform[start : start + rows]
        radius = np.sqrt(np.float32(-2) * _log(1 - part[:, :8]))
        sine, cosine = _sine_and_cosine(np.float32(2 * np.pi) * part[:, 8:])
        out[start : start + rows] = np.concatenate([radius * cosine, radius * sine], 1)
    return out


def pairs(uniform: Array) -> Array:
    """Normal float64 numbers of (n, 2) uniform ones, an angle and a radius each: as few numbers are drawn."""
    radius, angle = np.sqrt(-2 * np.log1p(-uniform[:, 1])), 2 * np.pi * uniform[:, 0]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)


def _polynomial(x: Array, coefficients: list[float]) -> Array:
    first, *others = (np.float32(c) for c in coefficients)
    y = np.full_like(x, first)
    for c in others:
        y = fused(y, x, c)
    return y


def _log(x: Array) -> Array:
    """The logarithm of positive float32 numbers."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < np.float32(0.7071067811865476)
    e = (exponent - small).astype(np.float32)
    x = (mantissa - np.float32(1)) + np.where(small, mantissa, np.float32(0))
    z = x * x
    y = _polynomial(x, _LOG) * x
    y = fused(y, z, e * np.float32(_LN2[0])) - z * np.float32(0.5)
    return fused(e, np.float32(_LN2[1]), x + y)


def _sine_and_cosine(x: Array) -> tuple[Array, Array]:
    """Both of float32 numbers from 0 up."""
    octant = ((x * np.float32(1.27323954473516)).astype(np.int32) + 1) & ~1
    for part in _QUARTER_PI:
        x = fused(octant.astype(np.float32), np.float32(part), x)
    z = x * x
    sine = fused(_polynomial(z, _SINE) * z, x, x)
    cosine = fused(_polynomial(z, _COSINE) * z, z, z * np.float32(-0.5)) + np.float32(1)
    turned = octant & 2 != 0
    s, c = np.where(turned, cosine, sine), np.where(turned, sine, cosine)
    return np.where(octant & 4 != 0, -s, s), np.where((octant + 2) & 4 != 0, -c, c)
