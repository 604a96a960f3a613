"""The orders in which a sum may be accumulated: sequential, fused, pairwise, compensated, and in blocks.

Each order is written once, as a loop over the steps of a unit (see `halfsim.numerics.steps`). Which unit serves
changes no bit of a result and no count. A loop takes rows ``a`` (M, K) and columns ``b`` (K, N), numbers of one
format, and gives their products (M, N); `matmul_ordered` cuts matrices into tiles that stay in the cache. How they
are cut changes no bit either, unless roundings draw random numbers, which go to the elements one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from halfsim.numerics.exact_sums import block_extents, block_sums
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float16, float32, float64
from halfsim.numerics.half_kernel import Half, bounded
from halfsim.numerics.quantize import BLOCK, Array
from halfsim.numerics.rounding import Mode
from halfsim.numerics.steps import Plain, Unit, carrier, draws, nearest, unit_of

_TILE = (32768, 256)  # outputs of a tile of blocked sums, and the most of them in a row


class Watch:
    """Counts what happens to the addends of the sums of a tile of ``shape``, while ``unit`` forms them.

    An addend is swamped if it is not zero and yet leaves everything that the loop carries on as it was: the total, and
    what a compensation keeps beside it. A sum is flushed if it had terms that were not zero and all of them became
    zero. A sum is counted as overflowed here if a step passed the largest number and the mode put that number in its
    place: one that became infinite shows in the result, and is counted there.
    """

    def __init__(self, unit: Unit, counts: FlagCounts, shape: tuple[int, ...]) -> None:
        self.unit, self.counts = unit, counts
        self.addends, self.same = np.empty(shape, np.bool_), np.empty(shape, np.bool_)
        self.fed, self.survived = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        unit.over = np.zeros(shape, np.bool_)

    def feed(self, terms: Array) -> None:
        """Note in which sums there is a term that is not zero before it is rounded."""
        np.logical_or(self.fed, terms != 0, out=self.fed)

    def added(self, addend: Array, *carried: tuple[Array, Array], evidence: Array | None = None) -> None:
        """Count one addend of every sum; ``carried`` are pairs of what the loop carries on, before and after it.

        A sum has lost none of its terms to zero where ``evidence``, or else the addend, is not zero.
        """
        np.not_equal(addend, 0, out=self.addends)
        alive = self.addends if evidence is None else np.not_equal(evidence, 0)
        np.logical_or(self.survived, alive, out=self.survived)
        (before, after), *others = carried
        np.logical_and(np.equal(after, before, out=self.same), self.addends, out=self.same)
        for before_, after_ in others:
            np.logical_and(self.same, np.equal(after_, before_), out=self.same)
        self._count(self.addends, self.same, after)

    def joined(self, left: Array, right: Array, total: Array) -> None:
        """Count sums of two partial sums: one addend each where neither is zero, swamped where one is the sum."""
        both = (left != 0) & (right != 0)
        self._count(both, both & ((total == left) | (total == right)), total)

    def _count(self, addends: Array, same: Array, total: Array) -> None:
        """Count addends, and as swamped those that left things the ``same``, except where the sum had overflowed."""
        self.counts.addends += int(np.count_nonzero(addends))
        if same.any():
            if not np.isfinite(total).all():
                same = same & np.isfinite(total)
            if self.unit.over is not None and self.unit.over.any():
                same = same & ~self.unit.over
            self.counts.swamped += int(np.count_nonzero(same))

    def clipped(self, total: Array) -> None:
        """Count the sums that overflowed and are not infinite for it."""
        if self.unit.over is not None and self.unit.over.any():
            self.counts.overflow += int(np.count_nonzero(self.unit.over & np.isfinite(total)))

    def close(self, total: Array | None) -> None:
        """End the count; ``total`` are the sums, None where `clipped` was told of each partial sum already."""
        self.counts.flushed += int(np.count_nonzero(self.fed & ~self.survived))
        if total is not None:
            self.clipped(total)
        self.unit.over = None


def added_up(
    terms: Iterable[Array],
    total: Array,
    unit: Unit,
    watch: Watch | None,
    partial_sums: Array | None = None,
) -> Array:
    """``total`` plus the terms one by one, each partial sum rounded; ``partial_sums[i]`` keeps that after term i."""
    spare = total if watch is None else np.empty_like(total)
    for i, term in enumerate(terms):
        new = unit.add(total, term, spare)
        if watch is not None:
            watch.added(unit.as_read(term), (total, new))
            spare = total
        total = new
        if partial_sums is not None:
            partial_sums[i] = total
            if watch is not None:
                watch.clipped(total)
    return total


def sequential(a: Array, b: Array, unit: Unit, watch: Watch | None) -> Array:
    """One rounding a product, one a partial sum, k ascending from +0."""
    return added_up(_products(a, b, unit), _zeros(a, b), unit, watch)


def _products(a: Array, b: Array, unit: Unit) -> Iterator[Array]:
    """The rounded products for k = 0, 1, ..., each (M, N); every one overwrites the one before."""
    product = _zeros(a, b)
    return (unit.mul(a[:, k, None], b[k], product) for k in range(a.shape[1]))


def _zeros(a: Array, b: Array) -> Array:
    return np.zeros((a.shape[0], b.shape[1]), a.dtype)


def fused(a: Array, b: Array, unit: Unit, watch: Watch | None) -> Array:
    """One rounding for each k: c <- fma(a_k, b_k, c), from +0; the product is exact in float64, as 2p <= 53.

    The sum is rounded to odd in float64 and then to the format, which is one rounding (Boldo and Melquiond 2008).
    Where 3p + 4 <= 53 and emax - emin + p <= 52 (binary16: 37, 40) rounding it to nearest does as well. Were it inexact
    and took a sum s to a midpoint m of the format, then product x and total c differ by 53 bits or more in scale. If c
    is the larger, x = m - c but for 2**-54 s, and m - c is a nonzero multiple of half an ulp of c, so that x is at
    least 2**-(p + 2) s; x has 2p bits, so s needed 3p + 2 bits at most and was exact. If x is the larger, either
    c is at least an ulp of x, the same way, or x = m and c is below 2**-53 m. But c is no less than 2**(emin - p + 1),
    so m is above 2**(54 + emin - p) >= 2**(emax + 1), and overflows either way.
    """
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    total = _zeros(a, b)
    product = np.empty_like(total)
    spare = total if watch is None else np.empty_like(total)
    for k in range(a.shape[1]):
        np.multiply(a[:, k, None], b[k], out=product)
        new = unit.fuse(total, product if watch is None else product.copy(), spare)
        if watch is not None:
            watch.added(product, (total, new), evidence=new)
            spare = total
        total = new
    return total


def pairwise(a: Array, b: Array, unit: Unit, watch: Watch | None, at_once: int = 1) -> Array:
    """Products rounded, then adjacent pairs added level by level, an odd one waiting; ``at_once`` terms at a time.

    This is the tree that splits n terms at the largest power of two below n, for any power of two at a time.
    """

    def joined(left: Array, right: Array) -> Array:
        total = unit.add(left, right)
        if watch is not None:
            watch.joined(unit.as_read(left), unit.as_read(right), total)
        return total

    stack: list[tuple[int, Array]] = []
    for k in range(0, a.shape[1], at_once):
        x, y = a[:, k : k + at_once].T[:, :, None], b[k : k + at_once, None, :]
        level = unit.mul(x, y, np.empty((len(x), x.shape[1], y.shape[2]), a.dtype))
        if watch is not None:
            np.logical_or(watch.survived, (unit.as_read(level) != 0).any(0), out=watch.survived)
        while len(level) > 1:
            pairs = len(level) // 2 * 2
            sums = joined(level[0:pairs:2], level[1:pairs:2])
            level = sums if pairs == len(level) else np.concatenate([sums, level[pairs:]])
        node, weight = level[0], 1
        while stack and stack[-1][0] == weight:
            node, weight = joined(stack.pop()[1], node), 2 * weight
        stack.append((weight, node))
    if not stack:
        return _zeros(a, b)
    total = stack.pop()[1]
    while stack:
        total = joined(stack.pop()[1], total)
    return unit.add(total, np.zeros((), total.dtype))  # as if started from +0


def kahan(a: Array, b: Array, unit: Unit, watch: Watch | None) -> Array:
    """Kahan 1965: what an addition lost is subtracted from the next addend; every operation rounds."""
    total = _zeros(a, b)
    lost, new = np.zeros_like(total), np.empty_like(total)
    room = None if watch is None else np.empty_like(total)
    for x in _products(a, b, unit):
        y = unit.sub(x, lost, x if room is None else room)
        if watch is not None:  # as without x the next step would begin with -lost
            watch.added(unit.as_read(x), (np.negative(lost), y))
        new = unit.add(total, y, new)
        lost = unit.sub(unit.sub(new, total, lost), y, lost)
        total, new = new, total
    return total


def neumaier(a: Array, b: Array, unit: Unit, watch: Watch | None) -> Array:
    """Neumaier 1974: what each addition lost, of the larger operand, is summed aside and added at the end."""
    total = _zeros(a, b)
    aside, new = np.zeros_like(total), np.empty_like(total)
    spare = aside if watch is None else np.empty_like(total)
    for x in _products(a, b, unit):
        new = unit.add(total, x, new)
        first = np.abs(total) >= np.abs(x)
        large, small = np.where(first, total, x), np.where(first, x, total)
        error = unit.add(unit.sub(large, new, large), small, large)
        more = unit.add(aside, error, spare)
        if watch is not None:
            watch.added(unit.as_read(x), (total, new), (aside, more))
            spare = aside
        aside, total, new = more, new, total
    return unit.add(total, aside, total)


Loop = Callable[[Array, Array, Unit, "Watch | None"], Array]
LOOPS: dict[str, Loop] = {
    "sequential": sequential,
    "sequential+fma": fused,
    "pairwise": pairwise,
    "kahan": kahan,
    "neumaier": neumaier,
}
_COMPENSATED = ("kahan", "neumaier")


def matmul_ordered(
    a: Array, b: Array, order: str, fmt: Format, size: int, counts: FlagCounts | None, mode: Mode | None
) -> Array:
    """The product (M, N) of two matrices of numbers of ``fmt``, of dtype `carrier`, accumulated in ``order``.

    ``size`` is the length of a block where the order is "blocked"; ``counts``, if given, gains what happened.
    Where roundings draw random numbers, tiles are whole rows and take one term at a time: the numbers go to the
    elements tile by tile, within a tile by k, within one k by rows and columns.
    """
    if not draws(mode) and b.shape[1] < a.shape[0]:  # long rows make long inner loops; products commute
        return np.ascontiguousarray(_tiled(b.T, a.T, order, fmt, size, counts, mode).T)
    return _tiled(a, b, order, fmt, size, counts, mode)


def _tiled(
    a: Array, b: Array, order: str, fmt: Format, size: int, counts: FlagCounts | None, mode: Mode | None
) -> Array:
    (m, depth), n = a.shape, b.shape[1]
    out = np.zeros((m, n), a.dtype)
    if not (m and n and depth):
        return out
    if order == "blocked":
        return _blocked(a, b, fmt, size, counts, mode, out)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    room = BLOCK // 2 if order == "sequential+fma" and nearest(mode) else BLOCK
    columns = n if draws(mode) else min(n, room)
    rows = max(1, room // columns)
    for i in range(0, m, rows):
        for j in range(0, n, columns):
            x, y = a[i : i + rows], b[:, j : j + columns]
            out[i : i + rows, j : j + columns] = _tile(x, y, order, fmt, counts, mode)
    return out


def _tile(a: Array, b: Array, order: str, fmt: Format, counts: FlagCounts | None, mode: Mode | None) -> Array:
    if fmt == float32 and clips(mode) and order != "sequential+fma":
        x, y = a.astype(np.float32), b.astype(np.float32)
        trial = unclipped(lambda seen, calm: _tile(x, y, order, fmt, seen, calm), counts, mode)
        if trial is not None:
            return trial
    loop, shape = LOOPS[order], (a.shape[0], b.shape[1])
    largest: tuple[int, ...] = shape
    if loop is pairwise:
        at_once = 1 if draws(mode) else 1 << max(0, (BLOCK // (shape[0] * shape[1])).bit_length() - 1)
        loop, largest = partial(pairwise, at_once=at_once), (min(at_once, a.shape[1]), *shape)
    dtype = np.dtype(np.float64) if order == "sequential+fma" else a.dtype
    quick = nearest(mode) and bounded(a, b, fmt, 2.0**-9 if order in _COMPENSATED else 2.0**-11)
    unit: Unit = Half(mode, dtype, largest) if quick else unit_of(fmt, mode, dtype)
    if counts is None:
        return loop(a, b, unit, None)
    watch = Watch(unit, counts, shape)
    watch.feed((a != 0).astype(np.float32) @ (b != 0).astype(np.float32))  # in how many terms neither factor is zero
    total = loop(a, b, unit, watch)
    watch.close(total)
    return total


def clips(mode: Mode | None) -> bool:
    """Whether ``mode`` rounds to nearest, but to the largest number what lies past it."""
    return mode is not None and mode.nearest and mode.clips


def unclipped(
    sums: Callable[[FlagCounts | None, Mode | None], Array], counts: FlagCounts | None, mode: Mode | None
) -> Array | None:
    """The sums, formed by ``sums(counts, mode)`` as if overflow gave infinity; None if one came out not finite.

    For float32, which the host adds by itself as long as nothing saturates. In every order an infinity, or the NaN
    that comes of it, stays in its sum; so if all sums are finite, no step overflowed, and saturating changes nothing.
    """
    assert mode is not None
    calm = replace(mode, overflow="infinity")
    seen = None if counts is None else FlagCounts()
    total = sums(seen, None if calm == Mode() else calm)
    if not np.isfinite(total).all():
        return None
    if counts is not None and seen is not None:
        counts += seen
    return total


def _blocked(
    a: Array, b: Array, fmt: Format, size: int, counts: FlagCounts | None, mode: Mode | None, out: Array
) -> Array:
    """Exact sums of ``size`` products, rounded to float32, added in float32 to a total that rounds to ``fmt``.

    Float64 takes the place of float32 for a format that float32 does not contain.
    """
    if clips(mode) and float32.contains(fmt) and not _roomy(fmt, size):
        trial = unclipped(lambda seen, calm: _blocked(a, b, fmt, size, seen, calm, out), counts, mode)
        if trial is not None:
            return trial
    (m, n), depth = out.shape, a.shape[1]
    inner_format = float32 if float32.contains(fmt) else float64
    inner_mode = None if nearest(mode) and _roomy(fmt, size) else mode
    dtype = carrier(inner_format, inner_mode)
    columns = n if draws(mode) else min(n, _TILE[1])
    rows = m if draws(mode) else min(m, max(1, _TILE[0] // columns))
    fine_a, norm_a = block_extents(a, size, rows)
    fine_b, norm_b = block_extents(b.T, size, columns)
    for i in range(0, m, rows):
        for j in range(0, n, columns):
            bound = norm_a[i // rows] * norm_b[j // columns] * (1 + 2.0**-20)
            exact = bound <= 2.0**53 * (fine_a[i // rows] * fine_b[j // columns])
            grown = np.cumsum(bound) * (1 + 2.0**-10) ** len(bound)
            left, right = a[i : i + rows], b[:, j : j + columns]
            total = np.zeros((left.shape[0], right.shape[1]), dtype)
            quick = fmt == float16 and nearest(mode) and bool(grown[-1] < 32768.0)
            outer: Unit = Half(mode, dtype, total.shape) if quick else unit_of(fmt, mode, dtype)
            inner = unit_of(inner_format, inner_mode, dtype)
            watch = None if counts is None else Watch(outer, counts, total.shape)
            inner.over = outer.over
            sums = block_sums(left, right, size, inner_format == float64, exact.tolist())
            out[i : i + rows, j : j + columns] = running_total(sums, -(-depth // size), total, inner, outer, watch)
    return out


def _roomy(fmt: Format, size: int) -> bool:
    """Whether sums of ``size`` products can neither overflow float32 nor be subnormal in it, whatever the mode says."""
    return fmt.max < 2.0**62 / size and fmt.smallest_subnormal >= 2.0**-63


def running_total(
    sums: Iterable[Array], count: int, total: Array, inner: Plain, outer: Unit, watch: Watch | None
) -> Array:
    """``total`` plus ``count`` exact sums of blocks, which come in float64.

    Each is rounded to the format of ``inner`` and added to the total there; the new total is rounded to the format of
    ``outer``. A sum that is zero is +0, though a BLAS may make zeros of either sign.
    """
    part = np.empty_like(total)
    for block, exact in enumerate(sums):
        if watch is not None:
            watch.feed(exact)
        np.copyto(part, exact, casting="same_kind")
        if block == count - 1 or not inner.native:  # no later block shows what a sign of zero was before
            np.add(part, 0, out=part)
        addend = inner.rounded(part)
        joined = inner.add(total, addend, part if watch is None else np.empty_like(total))
        new = outer.rounded(joined, total if watch is None else np.empty_like(total), signed=block == count - 1)
        if watch is not None:
            watch.added(addend, (total, new), evidence=new)
        part, total = (total, new) if new is part else (part, new)
    if watch is not None:
        watch.close(total)
    return total
