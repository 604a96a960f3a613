"""The orders of `halfsim.numerics.accumulate` under any `Mode`: roundings other than the nearest, flushing, saturation.

Values are carried in float64, where a product of two numbers of at most 26 digits is exact and a sum is rounded to odd,
so that the rounding that follows is the only one (Boldo and Melquiond 2008). This is the plain form of the loops
of `_orders`, which are the fast form of one mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from halfsim.numerics.exact import add_in, matmul_exact
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float32, float64
from halfsim.numerics.quantize import BLOCK, Array, flushed, round_
from halfsim.numerics.rounding import Mode


@dataclass(frozen=True)
class _Unit:
    """Addition and multiplication in ``format`` under ``mode``."""

    format: Format
    mode: Mode

    def into(self, x: Array) -> Array:
        return round_(x, self.format, None, self.mode)

    def add(self, a: Array, b: Array) -> Array:
        if self.mode.flush_inputs:
            a, b = flushed(a, self.format), flushed(b, self.format)
        return self.into(a + b if self.format == float64 else add_in(a, b, self.mode))

    def products(self, a: Array, b: Array) -> Array:
        return self.into(a * b)


def sequential(a: Array, b: Array, unit: _Unit, counts: FlagCounts | None) -> Array:
    total = np.zeros((a.shape[0], b.shape[1]))
    for k in range(a.shape[1]):
        product, before = unit.products(a[:, k, None], b[k]), total
        total = unit.add(total, product)
        _count(before, product, total, counts)
    return total


def fused(a: Array, b: Array, unit: _Unit, counts: FlagCounts | None) -> Array:
    total = np.zeros((a.shape[0], b.shape[1]))
    for k in range(a.shape[1]):
        product, before = a[:, k, None] * b[k], total
        kept = flushed(total, unit.format) if unit.mode.flush_inputs else total
        total = unit.into(add_in(kept, product, unit.mode))
        _count(before, product, total, counts)
    return total


def pairwise(a: Array, b: Array, unit: _Unit, counts: FlagCounts | None) -> Array:
    """The tree that splits n terms at the largest power of two below n."""
    if not a.shape[1]:
        return np.zeros((a.shape[0], b.shape[1]))

    def tree(low: int, high: int) -> Array:
        if high - low == 1:
            return unit.products(a[:, low, None], b[low])
        half = low + (1 << ((high - low - 1).bit_length() - 1))
        return unit.add(tree(low, half), tree(half, high))

    return unit.add(tree(0, a.shape[1]), np.zeros(()))  # as if started from +0


def kahan(a: Array, b: Array, unit: _Unit, counts: FlagCounts | None) -> Array:
    total = np.zeros((a.shape[0], b.shape[1]))
    lost = np.zeros_like(total)
    for k in range(a.shape[1]):
        y = unit.add(unit.products(a[:, k, None], b[k]), -lost)
        new = unit.add(total, y)
        lost = unit.add(unit.add(new, -total), -y)
        total = new
    return total


def neumaier(a: Array, b: Array, unit: _Unit, counts: FlagCounts | None) -> Array:
    total = np.zeros((a.shape[0], b.shape[1]))
    aside = np.zeros_like(total)
    for k in range(a.shape[1]):
        x = unit.products(a[:, k, None], b[k])
        new = unit.add(total, x)
        first = np.abs(total) >= np.abs(x)
        large, small = np.where(first, total, x), np.where(first, x, total)
        aside = unit.add(aside, unit.add(unit.add(large, -new), small))
        total = new
    return unit.add(total, aside)


ORDERS: dict[str, Callable[[Array, Array, _Unit, FlagCounts | None], Array]] = {
    "sequential": sequential,
    "sequential+fma": fused,
    "pairwise": pairwise,
    "kahan": kahan,
    "neumaier": neumaier,
}


def _count(before: Array, addend: Array, total: Array, counts: FlagCounts | None) -> None:
    if counts is not None:
        addends = addend != 0
        counts.addends += int(np.count_nonzero(addends))
        counts.swamped += int(np.count_nonzero(addends & (total == before) & np.isfinite(before)))


def matmul_directed(
    a: Array, b: Array, order: str, fmt: Format, size: int, counts: FlagCounts | None, mode: Mode
) -> Array:
    """The product (M, N), in float64, of two float64 matrices on the grid of ``fmt``; in tiles of rows."""
    if order == "blocked":
        return _blocked(a, b, fmt, size, mode)
    unit, out = _Unit(fmt, mode), np.empty((a.shape[0], b.shape[1]))
    rows = max(1, BLOCK // max(b.shape[1], 1))
    for i in range(0, a.shape[0], rows):
        out[i : i + rows] = ORDERS[order](a[i : i + rows], b, unit, counts)
    return out


def _blocked(a: Array, b: Array, fmt: Format, size: int, mode: Mode) -> Array:
    """The exact sum of a block rounds to float32 (float64 for wide formats), so does its addition, then to ``fmt``."""
    inner = _Unit(float32 if float32.contains(fmt) else float64, mode)
    outer, total = _Unit(fmt, mode), np.zeros((a.shape[0], b.shape[1]))
    for k in range(0, a.shape[1], size):
        part = inner.into(matmul_exact(a[:, k : k + size], b[k : k + size], inner.format == float64))
        total = outer.into(inner.add(total, part))
    return total
