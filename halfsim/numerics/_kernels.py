"""The loops of `halfsim.numerics.accumulate`, on one tile of outputs that stays in the cache.

Each takes a tile of rows ``a`` (M, K) and of columns ``b`` (K, N), both on the grid of ``fmt`` and in its container,
and returns the (M, N) sums. Which outputs share a tile changes no bit of any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from halfsim.numerics.exact import add_odd, grains, matmul_exact
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float16, float32
from halfsim.numerics.quantize import BLOCK, Array, round_

Kernel = Callable[[Array, Array, Format, int, "FlagCounts | None"], Array]


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


def sequential(a: Array, b: Array, fmt: Format, size: int, counts: FlagCounts | None) -> Array:
    """One rounding a product, one a partial sum, k ascending from +0."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    product = np.empty_like(total)
    quick = _bounded(a, b, fmt)
    step: Any = _step_bounded_half if quick else _step
    work = (np.empty(total.shape, np.int32), np.full(total.shape, _LOWEST, np.int32)) if quick else None
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


# The same step for halves that cannot overflow, at half the cost. Constants are exponent fields of float32.
_EXPONENT = np.int32(0x7F800000)
_LOWEST = np.int32((127 - 14) << 23)  # 2**-14, the smallest normal half
_MAGIC = np.int32((13 << 23) | 0x400000)  # takes 2**e to 1.5 * 2**(e + 13), whose ulp is that of a half at 2**e
_SPLIT = np.float32(2**13 + 1)


def _bounded(a: Array, b: Array, fmt: Format) -> bool:
    """Whether these are halves of which no partial sum, products rounded or not, can reach the overflow threshold."""
    depth = a.shape[1]
    if fmt != float16 or not (a.size and b.size) or depth > 4096:
        return False
    bound = _largest(a) * _largest(b) * (1 + 2.0**-10)
    return bound * depth * (1 + 2.0**-11) ** depth < 32768.0


def _largest(x: Array) -> float:
    """The largest magnitude; NaN if there is one."""
    return max(float(x.max()), -float(x.min()))


def _step_bounded_half(product: Array, total: Array, fmt: Format, work: tuple[Array, Array]) -> None:
    """Adding and subtracting 1.5 * 2**(e + 13) rounds a product to a half's ulp, gradual underflow included.

    It loses the sign of a zero, which a sum that starts from +0 cannot show. A sum of two halves is a
    multiple of 2**-24, so it is never below a half's smallest subnormal and Veltkamp's splitting rounds it.
    """
    field, lowest = work
    magic = field.view(np.float32)
    np.bitwise_and(product.view(np.int32), _EXPONENT, out=field)
    np.maximum(field, lowest, out=field)
    np.add(field, _MAGIC, out=field)
    np.add(product, magic, out=product)
    np.subtract(product, magic, out=product)
    np.add(total, product, out=total)
    np.multiply(total, _SPLIT, out=magic)
    np.subtract(magic, total, out=total)
    np.subtract(magic, total, out=total)


def fused(a: Array, b: Array, fmt: Format, size: int, counts: FlagCounts | None) -> Array:
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
    product, quick = np.empty_like(total), _bounded(a, b, fmt)
    work = _workspace(total) if quick else None
    watch = None if counts is None else _Watch(total, counts)
    for k in range(a.shape[1]):
        np.multiply(a[:, k, None].astype(np.float64), b[k].astype(np.float64), out=product)
        if watch is not None:
            watch.before(product, total)
            addends = product.copy()
        if work is not None:
            np.add(total, product, out=product)
            _round_bounded(product, work, total)
        else:
            total = round_(total + product if narrow else add_odd(total, product), fmt)
        if watch is not None:
            watch.after(addends, total, total)
    if watch is not None:
        watch.close()
    return total.astype(a.dtype, copy=False)


# For each dtype: its integer, its exponent field, the field of 2**-14, and what gives 2**e the ulp of halves there.
_BOUNDED: dict[np.dtype[Any], tuple[Any, Any, Any, Any]] = {
    np.dtype(np.float32): (np.int32, _EXPONENT, _LOWEST, _MAGIC),
    np.dtype(np.float64): (np.int64, np.int64(0x7FF << 52), np.int64((1023 - 14) << 52), np.int64(42 << 52 | 1 << 51)),
}


def _workspace(x: Array) -> tuple[Array, Array]:
    integer, _, lowest, _ = _BOUNDED[x.dtype]
    return np.empty(x.shape, integer), np.full(x.shape, lowest, integer)


def _round_bounded(x: Array, work: tuple[Array, Array], out: Array) -> None:
    """Round to halves what cannot overflow, as `_step_bounded_half` does, but with the sign of zero."""
    (field, lowest), (integer, exponent, _, magic) = work, _BOUNDED[x.dtype]
    large = field.view(x.dtype)
    np.bitwise_and(x.view(integer), exponent, out=field)
    np.maximum(field, lowest, out=field)
    np.add(field, magic, out=field)
    np.add(x, large, out=out)
    np.subtract(out, large, out=out)
    np.copysign(out, x, out=out)


def pairwise(a: Array, b: Array, fmt: Format, size: int, counts: FlagCounts | None) -> Array:
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


def kahan(a: Array, b: Array, fmt: Format, size: int, counts: FlagCounts | None) -> Array:
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


def neumaier(a: Array, b: Array, fmt: Format, size: int, counts: FlagCounts | None) -> Array:
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


def blocked(a: Array, b: Array, fmt: Format, size: int, counts: FlagCounts | None) -> Array:
    """Exact sums of ``size`` products, rounded to float32, added in float32 to a total that rounds to ``fmt``.

    Float64 takes the place of float32 for a format that float32 does not contain. All products of a block are
    multiples of the product of the operands' lowest set bits, and by Cauchy's inequality no part of their sum
    exceeds the product of the norms of row and column: where that is at most 2**53 such multiples, float64
    sums without error in any order, a BLAS included. The other blocks go through `matmul_exact`.
    """
    unit = np.dtype(np.float32 if float32.contains(fmt) else np.float64)
    (m, depth), n = a.shape, b.shape[1]
    out = np.zeros((m, n), a.dtype)
    if not (m and n and depth):
        return out
    columns = min(n, _BLOCKED[1])
    rows = min(m, _BLOCKED[0] // columns)
    fine_a, norm_a = _block_extents(a, size, rows)
    fine_b, norm_b = _block_extents(b.T, size, columns)
    for i in range(0, m, rows):
        for j in range(0, n, columns):
            bound = norm_a[i // rows] * norm_b[j // columns] * (1 + 2.0**-20)
            exact = bound <= 2.0**53 * (fine_a[i // rows] * fine_b[j // columns])
            grown = np.cumsum(bound) * (1 + 2.0**-10) ** len(bound)
            tile = _blocked_tile(a[i : i + rows], b[:, j : j + columns], size, unit, exact.tolist())
            quick = fmt == float16 and bool(grown[-1] < 32768.0)
            out[i : i + rows, j : j + columns] = _running_total(tile, fmt, quick)
    return out


_BLOCKED = (32768, 256)  # outputs of a tile, and the most of them in a row


def _blocked_tile(a: Array, b: Array, size: int, unit: np.dtype[Any], exact: list[bool]) -> Iterator[Array]:
    """The sums of each block of a tile, in one array of dtype ``unit`` that the caller may change."""
    part = np.empty((a.shape[0], b.shape[1]), unit)
    sums = np.empty(part.shape)
    for block, k in enumerate(range(0, a.shape[1], size)):
        x, y = a[:, k : k + size], b[k : k + size]
        if exact[block]:
            np.matmul(x.astype(np.float64), y.astype(np.float64), out=sums)
        np.copyto(part, sums if exact[block] else matmul_exact(x, y, unit == np.float64), casting="same_kind")
        yield part


def _running_total(parts: Iterator[Array], fmt: Format, quick: bool) -> Array:
    total: Array | None = None
    for part in parts:
        if total is None:
            total, work = np.zeros_like(part), _workspace(part) if quick else None
        np.add(total, part, out=part)
        if work is not None:
            _round_bounded(part, work, total)
        else:
            np.copyto(total, round_(part, fmt))
    assert total is not None
    return total


def _block_extents(x: Array, size: int, rows: int) -> tuple[Array, Array]:
    """For tiles of ``rows`` rows and blocks of ``size`` columns: the lowest set bit, and the largest norm of a row."""
    starts = np.arange(0, x.shape[1], size)
    tiles = -(-x.shape[0] // rows)
    finest, largest = np.full((tiles, len(starts)), np.inf), np.zeros((tiles, len(starts)))
    step = max(1, min(rows, 16384 // x.shape[1]))
    for tile in range(tiles):
        for i in range(tile * rows, min((tile + 1) * rows, x.shape[0]), step):
            part = x[i : min(i + step, (tile + 1) * rows)].astype(np.float64)
            np.minimum(finest[tile], np.minimum.reduceat(grains(part).min(0), starts), out=finest[tile])
            np.maximum(largest[tile], np.add.reduceat(part * part, starts, axis=1).max(0), out=largest[tile])
    return finest, np.sqrt(largest)


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
        return blocked(a, b, fmt, size, counts)
    kernel = TILED[order]
    out = np.empty((m, n), a.dtype)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    room = BLOCK // 2 if order == "sequential+fma" else BLOCK
    columns = min(n, room)
    rows = max(1, room // max(columns, 1))
    for i in range(0, m, rows):
        for j in range(0, n, columns):
            out[i : i + rows, j : j + columns] = kernel(a[i : i + rows], b[:, j : j + columns], fmt, size, counts)
    return out
