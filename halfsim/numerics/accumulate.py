"""How a sum or a dot product is accumulated: the format of the running sum, and the order of the additions."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, as_format, float16, float32, float64, unknown
from halfsim.numerics.quantize import BLOCK, Array, computable, container, round_, rounded

_ORDERS = ("blas", "sequential")


@dataclass(frozen=True)
class Accumulator:
    """The format of a running sum and the order in which it is formed.

    ``blas`` leaves the order to NumPy and its BLAS, in float32 or float64: fast, but its last bits belong
    to the machine. ``sequential`` is the loop ``c += a[:, k, None] * b[k]``, k ascending, in which every
    product and every partial sum is rounded to ``format``; its bits are the same everywhere.

    >>> str(accumulator("fp16:sequential")), str(accumulator("fp32"))
    ('float16:sequential', 'float32')
    """

    format: Format
    order: str = "blas"

    def __post_init__(self) -> None:
        if self.order not in _ORDERS:
            raise unknown("accumulate", self.order, _ORDERS)
        computable(self.format, "accumulate")
        if self.order == "blas" and self.format not in (float32, float64):
            raise ValueError(
                f"accumulate: '{self.format}' needs an order, as '{self.format}:sequential'; "
                "allowed without one: float32, float64"
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype in which the running sum is carried."""
        return container(self.format)

    def operand(self, x: Array, counts: FlagCounts | None = None) -> Array:
        """``x`` as a sequential accumulation takes it: rounded to ``format`` first, where it is not on that grid."""
        x = x.astype(self.dtype if x.itemsize < self.dtype.itemsize else x.dtype, copy=False)
        return rounded(x, self.format, counts).astype(self.dtype, copy=False)

    def __str__(self) -> str:
        return self.format.name if self.order == "blas" else f"{self.format}:{self.order}"


def accumulator(spec: object) -> Accumulator:
    """The Accumulator that ``spec`` names, as "fp32" or "fp16:sequential"; ``ValueError`` for another word."""
    if isinstance(spec, Accumulator):
        return spec
    if not isinstance(spec, str):
        raise TypeError(f"accumulate: expected a string such as 'fp16:sequential', got {type(spec).__name__}")
    name, _, order = spec.partition(":")
    return Accumulator(as_format(name, "accumulate"), order.strip() or "blas")


def matmul(a: Array, b: Array, how: Accumulator, counts: FlagCounts | None = None) -> Array:
    """The product of ``a`` (..., M, K) and ``b`` (..., K, N), accumulated as ``how`` says.

    Operands are float32 or float64 arrays; ``sequential`` first rounds them to ``how.format``. The result
    (..., M, N) has dtype ``how.dtype``. NaN, infinities and zeros follow IEEE 754 at every step, a sum starting
    from +0. ``counts`` gains the swamped addends of a sequential sum, and as ``flushed`` the sums all of whose
    nonzero products were flushed. ``ValueError`` where the shapes do not fit.
    """
    if how.order == "blas":
        return np.asarray(np.matmul(a.astype(how.dtype, copy=False), b.astype(how.dtype, copy=False)))
    a, b = how.operand(a, counts), how.operand(b, counts)
    if a.ndim == 2 and b.ndim == 2:
        if a.shape[1] != b.shape[0]:
            raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit: {a.shape[1]} != {b.shape[0]}")
        if b.shape[1] < a.shape[0]:  # long rows make long inner loops; products commute, k keeps its order
            return np.ascontiguousarray(_sequential(b.T, a.T, how.format, counts).T)
        return _sequential(a, b, how.format, counts)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left = np.broadcast_to(a, lead + a.shape[-2:]).reshape(prod(lead), *a.shape[-2:])
    right = np.broadcast_to(b, lead + b.shape[-2:]).reshape(prod(lead), *b.shape[-2:])
    products = [matmul(x, y, how, counts) for x, y in zip(left, right, strict=True)]
    return np.array(products, how.dtype).reshape(*lead, a.shape[-2], b.shape[-1])


def _sequential(a: Array, b: Array, fmt: Format, counts: FlagCounts | None) -> Array:
    """One rounding a product, one a partial sum; the outputs in tiles that stay in the cache."""
    (m, depth), n = a.shape, b.shape[1]
    out = np.zeros((m, n), a.dtype)
    rows = max(1, BLOCK // max(n, 1))
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    quick = fmt == float16 and depth > 0 and a.size > 0 and b.size > 0 and _bounded(a, b, depth)
    step: Any = _step_bounded_half if quick else _step
    for i in range(0, m, rows):
        block = a[i : i + rows]
        total = np.zeros((block.shape[0], n), a.dtype)
        product = np.empty_like(total)
        work = (np.empty(total.shape, np.int32), np.full(total.shape, _LOWEST, np.int32)) if quick else None
        watch = None if counts is None else _Watch(total, counts)
        for k in range(depth):
            np.multiply(block[:, k, None], b[k], out=product)
            if watch is not None:
                watch.before(product, total)
            step(product, total, fmt, work)
            if watch is not None:
                watch.after(product, total)
        if watch is not None:
            watch.close()
        out[i : i + rows] = total
    return out


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

    def after(self, product: Array, total: Array) -> None:
        np.not_equal(product, 0, out=self.addends)
        np.logical_or(self.survived, self.addends, out=self.survived)
        np.logical_and(np.equal(total, self.previous, out=self.same), self.addends, out=self.same)
        if self.same.any() and not np.isfinite(total).all():  # infinity swallows, but that is no swamping
            self.same &= np.isfinite(total)
        self.counts.addends += int(np.count_nonzero(self.addends))
        self.counts.swamped += int(np.count_nonzero(self.same))

    def close(self) -> None:
        self.counts.flushed += int(np.count_nonzero(self.fed & ~self.survived))


def _step(product: Array, total: Array, fmt: Format, work: Any) -> None:
    round_(product, fmt)
    np.add(total, product, out=total)
    round_(total, fmt)


# The same step for halves that cannot overflow, at half the cost. Constants are exponent fields of float32.
_EXPONENT = np.int32(0x7F800000)
_LOWEST = np.int32((127 - 14) << 23)  # 2**-14, the smallest normal half
_MAGIC = np.int32((13 << 23) | 0x400000)  # takes 2**e to 1.5 * 2**(e + 13), whose ulp is that of a half at 2**e
_SPLIT = np.float32(2**13 + 1)


def _bounded(a: Array, b: Array, depth: int) -> bool:
    """Whether no partial sum of rounded products can reach the overflow threshold of a half."""
    bound = float(np.abs(a).max()) * float(np.abs(b).max()) * (1 + 2.0**-10)
    return bound * depth * (1 + 2.0**-11) ** min(depth, 4096) < 32768.0 and depth <= 4096


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


def sum_(
    x: Array, axis: int | tuple[int, ...] | None, keepdims: bool, how: Accumulator, counts: FlagCounts | None = None
) -> Array:
    """The sum of ``x`` over ``axis`` (an int, a tuple, or None for all), accumulated as ``how`` says.

    ``sequential`` adds the elements in C order of the reduced axes, rounding every partial sum to
    ``how.format``, whatever the memory layout. The result is an array of dtype ``how.dtype``; an empty sum
    is +0.
    """
    if how.order == "blas":
        return np.asarray(np.sum(x.astype(how.dtype, copy=False), axis=axis, keepdims=keepdims))
    x = how.operand(x, counts)
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = tuple(sorted(a % x.ndim if x.ndim else a for a in axes))
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    rows = x.transpose(axes + kept).reshape(prod(x.shape[a] for a in axes), *(x.shape[a] for a in kept))
    total = np.zeros(rows.shape[1:], how.dtype)
    if how.format == float16 and counts is None and total.size <= 64:
        # Few sums of many terms have nothing to vectorise; np.add.accumulate in float16 is this very loop.
        with np.errstate(all="ignore"):
            halves = np.add.accumulate(np.concatenate([total[None], rows]).astype(np.float16), axis=0)
        total = halves[-1].astype(how.dtype)
    else:
        for row in rows:
            previous = total
            total = round_(np.asarray(previous + row), how.format)
            if counts is not None:
                addends = row != 0
                counts.addends += int(np.count_nonzero(addends))
                counts.swamped += int(np.count_nonzero(addends & (total == previous) & np.isfinite(previous)))
    return total.reshape([1 if a in axes else x.shape[a] for a in range(x.ndim)]) if keepdims else total
