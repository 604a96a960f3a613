"""The orders in which a sum may be accumulated: sequential, fused, pairwise, compensated, and in blocks.

Each order is written once, as a loop over the steps of a unit (see `halfsim.numerics.steps`). Which unit serves
changes no bit of a result and no count. A loop takes factors ``a`` (K, ...) and ``b`` (K, ...), numbers of one format
that broadcast, and sums their products over K; `matmul_ordered` makes them of stacks of matrices, in tiles that stay in
the cache. How these are cut changes no bit either, unless roundings draw random numbers, which go to the elements one
after another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from halfsim.numerics.exact_sums import block_extents, block_sums
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float16, float32, float64
from halfsim.numerics.half_kernel import Half, bounded
from halfsim.numerics.quantize import BLOCK, Array
from halfsim.numerics.rounding import Mode
from halfsim.numerics.steps import HOSTED, Plain, Unit, carrier, clips, draws, nearest, unit_of

_FEW = 512  # sums; of more than that, a step on all of them costs less than one after another in a compiled loop
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

    def ran(self, terms: Array, sums: Array) -> None:
        """Count ``terms`` (K, ...) that were added one after another; ``sums`` begin with that before the first."""
        addends = terms != 0
        np.logical_or(self.survived, addends.any(0), out=self.survived)
        self._count(addends, (sums[1:] == sums[:-1]) & addends, sums[1:])

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
            over = self.unit.over & np.isfinite(total) if self.unit.format.has_infinity else self.unit.over
            self.counts.overflow += int(np.count_nonzero(over))

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
    """``total`` plus the terms one by one, each partial sum rounded; ``partial_sums[i]`` keeps that after term i.

    ``terms`` come in stacks (K, ...), of one term where the unit shall add it by itself. Of a longer stack the unit
    forms all partial sums at once, if it can.
    """
    spare, i = total if watch is None else np.empty_like(total), 0
    for stack in terms:
        sums = unit.run(total, stack) if len(stack) > 1 else None
        if sums is not None:
            if watch is not None:
                watch.ran(unit.as_read(stack), sums)
            if partial_sums is not None:
                partial_sums[i : i + len(stack)] = sums[1:]
            total = np.array(sums[-1])
            i += len(stack)
            continue
        for term in stack:
            new = unit.add(total, term, spare)
            if watch is not None:
                watch.added(unit.as_read(term), (total, new))
                spare = total
            total = new
            if partial_sums is not None:
                partial_sums[i] = total
                i += 1
                if watch is not None:
                    watch.clipped(total)
    return total


def sequential(a: Array, b: Array, unit: Unit, watch: Watch | None, at_once: int = 1) -> Array:
    """One rounding a product, one a partial sum, k ascending from +0; products are made ``at_once`` at a time."""
    if at_once == 1:
        return added_up((x[None] for x in _products(a, b, unit)), _zeros(a, b), unit, watch)
    unit.over = None  # it would know of a product before those ahead of it are added; and what overflows here, shows
    room = np.empty((min(at_once, len(a)), *_shape(a, b)), a.dtype)
    parts = ((a[k : k + at_once], b[k : k + at_once]) for k in range(0, len(a), at_once))
    return added_up((unit.mul(x, y, room[: len(x)]) for x, y in parts), _zeros(a, b), unit, watch)


def _products(a: Array, b: Array, unit: Unit) -> Iterator[Array]:
    """The rounded products for k = 0, 1, ...; every one overwrites the one before."""
    product = _zeros(a, b)
    return (unit.mul(x, y, product) for x, y in zip(a, b, strict=True))


def _shape(a: Array, b: Array) -> tuple[int, ...]:
    return np.broadcast_shapes(a.shape[1:], b.shape[1:])


def _zeros(a: Array, b: Array) -> Array:
    return np.zeros(_shape(a, b), a.dtype)


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
    for x, y in zip(a, b, strict=True):
        np.multiply(x, y, out=product)
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
    for k in range(0, len(a), at_once):
        x = a[k : k + at_once]
        level = unit.mul(x, b[k : k + at_once], np.empty((len(x), *_shape(a, b)), a.dtype))
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


Loop = Callable[..., Array]  # (a, b, unit, watch), and ``at_once`` where terms may be taken several at a time
LOOPS: dict[str, Loop] = {
    "sequential": sequential,
    "sequential+fma": fused,
    "pairwise": pairwise,
    "kahan": kahan,
    "neumaier": neumaier,
}


def matmul_ordered(
    a: Array, b: Array, order: str, fmt: Format, size: int, counts: FlagCounts | None, mode: Mode | None
) -> Array:
    """The products (B, M, N) of stacks of matrices, numbers of ``fmt`` of dtype `carrier`, accumulated in ``order``.

    ``a`` (B, M, K) or ``b`` (B, K, N) may be one matrix for all, B = 1; nothing is empty. ``size`` is the length of a
    block where the order is "blocked"; ``counts``, if given, gains what happened. Where roundings draw random numbers,
    tiles are whole rows of one matrix and take one term at a time: the numbers go to the elements matrix by matrix,
    tile by tile, within a tile by k, within one k by rows and columns.
    """
    if not draws(mode) and b.shape[2] < a.shape[1]:  # long rows make long inner loops; products commute
        a, b = b.transpose(0, 2, 1), a.transpose(0, 2, 1)
        return np.ascontiguousarray(matmul_ordered(a, b, order, fmt, size, counts, mode).transpose(0, 2, 1))
    if order == "blocked":
        return one_by_one(partial(_blocked, fmt=fmt, size=size, counts=counts, mode=mode), a, b)
    # Trees that take more terms at once know earlier which sums overflow, of which no addend counts as swamped.
    alone = draws(mode) or (order == "pairwise" and counts is not None)
    if alone and max(len(a), len(b)) > 1:
        return one_by_one(lambda x, y: _tiled(x[None], y[None], order, fmt, counts, mode)[0], a, b)
    return _tiled(a, b, order, fmt, counts, mode)


def one_by_one(product: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """The stack of the products of the matrices of two stacks, of which one may be a single matrix for all."""
    products = [product(a[i % len(a)], b[i % len(b)]) for i in range(max(len(a), len(b)))]
    return np.stack(products) if len(products) > 1 else products[0][None]


def _tiled(a: Array, b: Array, order: str, fmt: Format, counts: FlagCounts | None, mode: Mode | None) -> Array:
    across = max(len(a), len(b)) > b.shape[2]  # long inner loops again: the matrices side by side

    def laid(x: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(x, 1, -1) if across else x)

    left, right = laid(np.moveaxis(a, 2, 0)[..., None]), laid(np.moveaxis(b, 1, 0)[:, :, None])
    out = _zeros(left, right)
    fed = None
    if counts is not None:  # in how many terms neither factor is zero
        fed = laid(np.matmul((a != 0).astype(np.float32), (b != 0).astype(np.float32))[None])[0]
    room = BLOCK // 2 if order == "sequential+fma" and nearest(mode) else BLOCK
    for place in _places(out.shape, room, out.shape[-1] if draws(mode) else room):
        x, y = (
            z[:, *(s if n > 1 else slice(1) for s, n in zip(place, z.shape[1:], strict=True))] for z in (left, right)
        )
        out[place] = _tile(x, y, order, fmt, counts, mode, None if fed is None else fed[place])
    return np.moveaxis(out, -1, 0) if across else out


def _places(shape: tuple[int, ...], room: int, longest: int) -> Iterator[tuple[slice, ...]]:
    """Where the tiles of an array are, of ``room`` elements at most and rows of at most ``longest``, in C order."""
    sides: list[int] = []
    for n in reversed(shape):
        sides.insert(0, max(1, min(n, room if sides else longest)))
        room //= sides[0]
    for corner in itertools.product(*(range(0, n, side) for n, side in zip(shape, sides, strict=True))):
        yield tuple(slice(i, i + side) for i, side in zip(corner, sides, strict=True))


def _tile(
    a: Array, b: Array, order: str, fmt: Format, counts: FlagCounts | None, mode: Mode | None, fed: Array | None
) -> Array:
    """The sums of one tile; ``fed`` is not zero where a sum has a term that is not."""
    if fmt == float32 and clips(mode) and order != "sequential+fma":
        x, y = a.astype(np.float32), b.astype(np.float32)
        trial = unclipped(lambda seen, calm: _tile(x, y, order, fmt, seen, calm, fed), counts, mode)
        if trial is not None:
            return trial
    loop, shape = LOOPS[order], _shape(a, b)
    dtype = np.dtype(np.float64) if order == "sequential+fma" else a.dtype
    unit, several = fitting(a, b, order, fmt, mode, dtype, counts is not None)
    if several > 1:
        loop = partial(loop, at_once=several)
    if counts is None or fed is None:
        return loop(a, b, unit, None)
    watch = Watch(unit, counts, shape)
    watch.feed(fed)
    total = loop(a, b, unit, watch)
    watch.close(total)
    return total


def fitting(
    a: Array, b: Array, order: str, fmt: Format, mode: Mode | None, dtype: np.dtype[Any], watched: bool
) -> tuple[Unit, int]:
    """The quickest unit for sums of products of ``a`` (K, ...) and ``b`` (K, ...), and how many terms to take at once.

    Terms added in order are taken one by one unless there are so few sums that a step on all of them is mostly the
    call. Where a step may clip, what is counted after it depends on it, so that a watch must see each.
    """
    shape, several = _shape(a, b), 1
    quick = nearest(mode) and bounded(a, b, fmt, order)
    outputs = prod(shape)
    if order == "pairwise" and not draws(mode):
        several = 1 << max(0, (BLOCK // outputs).bit_length() - 1)
    elif order == "sequential" and outputs <= _FEW and nearest(mode) and fmt in HOSTED:
        several = 1 if watched and clips(mode) and not quick else BLOCK // outputs
    if not quick:
        return unit_of(fmt, mode, dtype), several
    return Half(mode, dtype, shape if several == 1 else (min(several, len(a)), *shape)), several


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


def _blocked(a: Array, b: Array, fmt: Format, size: int, counts: FlagCounts | None, mode: Mode | None) -> Array:
    """Exact sums of ``size`` products, rounded to float32, added in float32 to a total that rounds to ``fmt``.

    Float64 takes the place of float32 for a format that float32 does not contain.
    """
    if clips(mode) and float32.contains(fmt) and not _roomy(fmt, size):
        trial = unclipped(lambda seen, calm: _blocked(a, b, fmt, size, seen, calm), counts, mode)
        if trial is not None:
            return trial
    (m, depth), n = a.shape, b.shape[1]
    out = np.empty((m, n), a.dtype)
    inner_format = float32 if float32.contains(fmt) else float64
    inner_mode = None if nearest(mode) and _roomy(fmt, size) else mode
    dtype = carrier(inner_format, inner_mode)
    columns = n if draws(mode) else min(n, _TILE[1])
    rows = m if draws(mode) else min(m, max(1, _TILE[0] // columns))
    fine_a, norm_a = block_extents(a, size, rows)
    fine_b, norm_b = block_extents(b.T, size, columns)
    for i in range(0, m, rows):
        for j in range(0, n, columns):
            bound = norm_a[i // rows] * norm_b[j // columns] * (1 + 2.0**-20)  # for the norms are rounded
            exact = bound <= 2.0**53 * (fine_a[i // rows] * fine_b[j // columns])
            grown = np.cumsum(bound) * (1 + 2.0**-10) ** len(bound)  # each total is rounded, by less than this
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
