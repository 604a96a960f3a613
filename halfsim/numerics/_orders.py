"""The loops of `halfsim.numerics.accumulate`, on one tile of outputs that stays in the cache.

Each takes a tile of rows ``a`` (M, K) and of columns ``b`` (K, N), both on the grid of ``fmt`` and in its container,
and returns the (M, N) sums. Which outputs share a tile changes no bit of any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsim.numerics._blocked import blocked
from halfsim.numerics._bounded import bounded, round_bounded, step_bounded_half, workspace
from halfsim.numerics.exact import add_odd
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import BLOCK, Array, round_

Kernel = Callable[[Array, Array, Format, "FlagCounts | None"], Array]


class _Watch:
    """Counts swamped addends, and sums that are zero because all their nonzero products were flushed."""

    def __init__(self, total: Array, counts: FlagCounts) -> None:
        self.counts = counts
        self.previous = np.empty_like(total)
        self.addends, self.same = np.empty(total.shape, np.bool_), np.empty(total.shape, np.bool_)
        self.fed, self.survived = np.zeros(total.shape, np.bool_), np.zeros(total.shape, np.bool_)

    def before(self, product: Array, total: Array) -> None:
        np.logical_or(self.fed, np.not_equal(product, 0, out=self.addends), out=self.fed)
        np.copyto(self.previous, total)

    def after(self, product: Array, total: Array, evidence: Array) -> None:
        np.logical_or(self.survived, np.not_equal(evidence, 0, out=self.addends), out=self.survived)
        np.not_equal(product, 0, out=self.addends)
        np.logical_and(np.equal(total, self.previous, out=self.same), self.addends, out=self.same)
        if self.same.any() and not np.isfinite(total).all():  # infinity swallows, but that is no swamping
            self.same &= np.isfinite(total)
        self.counts.addends += int(np.count_nonzero(self.addends))
        self.counts.swamped += int(np.count_nonzero(self.same))

    def close(self) -> None:
        self.counts.flushed += int(np.count_nonzero(self.fed & ~self.survived))


def sequential(a: Array, b: Array, fmt: Format, counts: FlagCounts | None) -> Array:
    """One rounding a product, one a partial sum, k ascending from +0."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    product = np.empty_like(total)
    quick = bounded(a, b, fmt)
    step: Any = step_bounded_half if quick else _step
    work = workspace(total) if quick else None
    watch = None if counts is None else _Watch(total, counts)
    for k in range(a.shape[1]):
        np.multiply(a[:, k, None], b[k], out=product)
        if watch is not None:
            watch.before(product, total)
        step(product, total, fmt, work)
        if watch is not None:
            watch.after(product, total, product)
    if watch is not None:
        watch.close()
    return total


def _step(product: Array, total: Array, fmt: Format, work: Any) -> None:
    round_(product, fmt)
    np.add(total, product, out=total)
    round_(total, fmt)


def fused(a: Array, b: Array, fmt: Format, counts: FlagCounts | None) -> Array:
    """One rounding for each k: c <- fma(a_k, b_k, c), from +0; the product is exact in float64, as 2p <= 53.

    The sum is rounded to odd in float64 and then to ``fmt``, which is one rounding (Boldo and Melquiond 2008).
    Where 3p + 4 <= 53 and 2 emax + p <= 53 (binary16: 37, 41) rounding it to nearest does as well. Were it inexact
    and took a sum s to a midpoint m of fmt, then product x and total c differ by 53 bits or more in scale. If c
    is the larger, x = m - c but for 2**-54 s, and m - c is a nonzero multiple of half an ulp of c, so that x is at
    least 2**-(p + 2) s; x has 2p bits, so s needed 3p + 2 bits at most and was exact. If x is the larger, either
    c is at least an ulp of x, the same way, or x = m and c is below 2**-53 m. But c is no less than 2**(emin - p + 1),
    so m is above 2**(54 + emin - p) >= 2**(emax + 1), and overflows either way.
    """
    narrow = 3 * fmt.precision + 4 <= 53 and 2 * fmt.emax + fmt.precision <= 53
    total = np.zeros((a.shape[0], b.shape[1]))
    product, quick = np.empty_like(total), bounded(a, b, fmt)
    work = workspace(total) if quick else None
    watch = None if counts is None else _Watch(total, counts)
    for k in range(a.shape[1]):
        np.multiply(a[:, k, None].astype(np.float64), b[k].astype(np.float64), out=product)
        if watch is not None:
            watch.before(product, total)
            addends = product.copy()
        if work is not None:
            np.add(total, product, out=product)
            round_bounded(product, work, total)
        else:
            total = round_(total + product if narrow else add_odd(total, product), fmt)
        if watch is not None:
            watch.after(addends, total, total)
    if watch is not None:
        watch.close()
    return total.astype(a.dtype, copy=False)


def pairwise(a: Array, b: Array, fmt: Format, counts: FlagCounts | None) -> Array:
    """Products rounded, then adjacent pairs added level by level, an odd one waiting; 2**j terms at a time."""
    outputs, depth = a.shape[0] * b.shape[1], a.shape[1]
    chunk = 1 << max(0, (BLOCK // outputs).bit_length() - 1)
    stack: list[tuple[int, Array]] = []
    for k in range(0, depth, chunk):
        level = round_(a[:, k : k + chunk].T[:, :, None] * b[k : k + chunk, None, :], fmt)
        while len(level) > 1:
            pairs = len(level) // 2 * 2
            sums = round_(level[0:pairs:2] + level[1:pairs:2], fmt)
            level = sums if pairs == len(level) else np.concatenate([sums, level[pairs:]])
        node, weight = level[0], 1
        while stack and stack[-1][0] == weight:
            node, weight = round_(stack.pop()[1] + node, fmt), 2 * weight
        stack.append((weight, node))
    total = stack.pop()[1] if stack else np.zeros((a.shape[0], b.shape[1]), a.dtype)
    while stack:
        total = round_(stack.pop()[1] + total, fmt)
    return total + total.dtype.type(0)  # as if started from +0


def kahan(a: Array, b: Array, fmt: Format, counts: FlagCounts | None) -> Array:
    """Kahan 1965: what an addition lost is subtracted from the next addend; every operation rounds to ``fmt``."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    lost, new, y = np.zeros_like(total), np.empty_like(total), np.empty_like(total)
    for k in range(a.shape[1]):
        round_(np.multiply(a[:, k, None], b[k], out=y), fmt)
        round_(np.subtract(y, lost, out=y), fmt)
        round_(np.add(total, y, out=new), fmt)
        round_(np.subtract(new, total, out=lost), fmt)
        round_(np.subtract(lost, y, out=lost), fmt)
        total, new = new, total
    return total


def neumaier(a: Array, b: Array, fmt: Format, counts: FlagCounts | None) -> Array:
    """Neumaier 1974: what each addition lost, of the larger operand, is summed aside and added at the end."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    aside, x = np.zeros_like(total), np.empty_like(total)
    for k in range(a.shape[1]):
        round_(np.multiply(a[:, k, None], b[k], out=x), fmt)
        new = round_(total + x, fmt)
        first = np.abs(total) >= np.abs(x)
        large, small = np.where(first, total, x), np.where(first, x, total)
        error = round_(np.add(round_(np.subtract(large, new, out=large), fmt), small, out=large), fmt)
        round_(np.add(aside, error, out=aside), fmt)
        total = new
    return round_(np.add(total, aside, out=total), fmt)


TILED: dict[str, Kernel] = {
    "sequential": sequential,
    "sequential+fma": fused,
    "pairwise": pairwise,
    "kahan": kahan,
    "neumaier": neumaier,
}


def matmul_ordered(a: Array, b: Array, order: str, fmt: Format, size: int, counts: FlagCounts | None) -> Array:
    """The product of two matrices on the grid of ``fmt``, in tiles that stay in the cache."""
    (m, _), n = a.shape, b.shape[1]
    if order == "blocked":
        return blocked(a, b, fmt, size)
    kernel = TILED[order]
    out = np.empty((m, n), a.dtype)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    room = BLOCK // 2 if order == "sequential+fma" else BLOCK
    columns = min(n, room)
    rows = max(1, room // max(columns, 1))
    for i in range(0, m, rows):
        for j in range(0, n, columns):
            out[i : i + rows, j : j + columns] = kernel(a[i : i + rows], b[:, j : j + columns], fmt, counts)
    return out
