"""Oracles that nobody here wrote, behind one-line helpers: SoftFloat, MPFR, exact fractions, NumPy's float16."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import gmpy2
import numpy as np
import softfloatpy as sf

CODES = np.arange(65536, dtype=np.uint16)
HALVES = CODES.view(np.float16)  # NumPy's own reading of the codes
FINITE = HALVES[np.isfinite(HALVES)].astype(np.float64)
GRID = np.unique(FINITE)  # zero once


def same(a: Any, b: Any) -> np.ndarray:
    """Elementwise: the same value with the same sign of zero, or both NaN."""
    with np.errstate(all="ignore"):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return (np.isnan(a) & np.isnan(b)) | ((a == b) & (np.signbit(a) == np.signbit(b)))


def boundaries(dtype: type) -> np.ndarray:
    """Every half, every midpoint of two halves, the overflow edge, and both neighbours of each in ``dtype``."""
    grid = GRID
    edge = [65519.99, 65520.0, 65536.0, 1e30, 2.0**115, 2.0**127, 3.4e38, 2.0**-25, 2.0**-26, 1e-45, 0.0, np.inf]
    points = np.concatenate([grid, (grid[1:] + grid[:-1]) / 2, edge, np.negative(edge)]).astype(dtype)
    up, down = np.nextafter(points, dtype(np.inf)), np.nextafter(points, dtype(-np.inf))
    return np.concatenate([points, up, down])


def nearest_half(x: Fraction) -> float:
    """The half nearest to an exact number, ties to even, by exact comparison with all of them."""
    grid = GRID
    if abs(x) >= 65520:
        return float("inf") if x > 0 else float("-inf")
    i = int(np.clip(np.searchsorted(grid, float(x)), 2, len(grid) - 3))
    near = sorted(
        (abs(Fraction(float(v)) - x), int(np.float16(v).view(np.uint16)) & 1, float(v)) for v in grid[i - 2 : i + 3]
    )
    return near[0][2]


def softfloat(name: str, *codes: int) -> tuple[int, int]:
    """SoftFloat's ``f16_<name>``, nearest even, tininess after rounding: the result's code and the flags."""
    sf.set_rounding_mode(sf.RoundingMode.NEAR_EVEN)
    sf.set_tininess_mode(sf.TininessMode.AFTER_ROUNDING)
    sf.set_exception_flags(0)
    operands = [sf.Float16.from_bytes(int(code).to_bytes(2, "big")) for code in codes]
    result = getattr(sf, f"f16_{name}")(*operands)
    return int.from_bytes(result.to_bytes(), "big"), int(sf.get_exception_flags())


def mpfr(name: str, x: float) -> float:
    """MPFR's function rounded once to half precision, subnormals included."""
    with gmpy2.context(precision=11, emax=16, emin=-23, subnormalize=True):
        return float(getattr(gmpy2, name)(gmpy2.mpfr(x)))


def exactly(a: np.ndarray, b: np.ndarray) -> list[list[list[Fraction]]]:
    """The exact terms of each output of a product of matrices."""
    left = [[Fraction(float(v)) for v in row] for row in a]
    right = [[Fraction(float(v)) for v in column] for column in b.T]
    return [[[x * y for x, y in zip(row, column, strict=True)] for column in right] for row in left]
