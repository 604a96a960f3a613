"""How a sum or a dot product is accumulated: the format of the running sum, and the order of the additions."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from halfsim.numerics import _registered as registered
from halfsim.numerics._directed import matmul_directed
from halfsim.numerics._orders import matmul_ordered
from halfsim.numerics.exact import add_in, matmul_exact
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, as_format, float16, float32, float64, unknown
from halfsim.numerics.quantize import BLOCK, Array, computable, container, round_, rounded
from halfsim.numerics.rounding import Mode

_ORDERS = ("blas", "sequential", "sequential+fma", "pairwise", "blocked", "kahan", "neumaier", "exact")
_WORDS = ("blas", "sequential", "sequential+fma", "pairwise", "blocked(k)", "kahan", "neumaier")


@dataclass(frozen=True)
class Accumulator:
    """The format of a running sum and the order in which it is formed.

    Every order but ``blas`` gives the same bits on every machine, for every memory layout. Operands are first
    rounded to ``format``, sums start from +0, k ascends, and NaN, infinities, zeros and subnormals follow IEEE 754
    at every step:

    - ``blas``, written as the bare format: float32 or float64, the order left to NumPy and its BLAS.
    - ``sequential``: the loop ``c += a[:, k, None] * b[k]``; each product and each partial sum is rounded.
    - ``sequential+fma``: c <- fma(a_k, b_k, c), one rounding for each k.
    - ``pairwise``: rounded products, added in adjacent pairs level by level, an odd one waiting for the next level;
      the same tree as splitting n terms at the largest power of two below n.
    - ``blocked(size)``: the exact sum of ``size`` consecutive products is rounded to float32 and added in float32
      to the running total, which is rounded to ``format`` after each block (float64 for wide formats).
    - ``kahan``, ``neumaier``: the compensated loops of 1965 and 1974, every operation rounded. As in the originals a
      total that overflows leaves NaN, for the compensation is then inf - inf.
    - ``exact``: the sum of the unrounded products of the unrounded operands, rounded once; carried in float64.
    - the name of a unit (see `halfsim.hardware`), as "A100", "H100:bf16" or "V100:fp16/fp16", without a format: matrix
      products are that unit's, whatever the rounding; sums, which such units do not form, are ``sequential``.

    ``ValueError`` for another order, a ``size`` below 1 or without ``blocked``, a format too wide to round in its
    container, and float64 with ``sequential+fma``.

    >>> [str(accumulator(spec)) for spec in ("fp16:sequential", "fp32", "fp32:blocked(16)", "exact")]
    ['float16:sequential', 'float32', 'float32:blocked(16)', 'exact']
    """

    format: Format
    order: str = "blas"
    size: int = 0

    def __post_init__(self) -> None:
        if self.order in registered.UNITS:
            return
        if self.order not in _ORDERS:
            raise unknown("accumulate", self.order, _WORDS)
        if self.order == "exact" and self.format != float64:
            raise ValueError(f"accumulate: '{self.format}:exact' is not allowed; allowed: 'exact', rounded later")
        if self.order == "blocked" and not (isinstance(self.size, int) and self.size >= 1):
            raise ValueError(
                f"accumulate: '{self}' needs a positive block length; allowed: as '{self.format}:blocked(16)'"
            )
        if self.order != "blocked" and self.size:
            raise ValueError(f"accumulate: {self.order!r} takes no block length; allowed: blocked(k)")
        computable(self.format, "accumulate")
        if self.order == "sequential+fma" and self.format == float64:
            raise ValueError("accumulate: float64 is too wide for sequential+fma; allowed: precision <= 25")
        if self.order == "blas" and self.format not in (float32, float64):
            raise ValueError(
                f"accumulate: '{self.format}' needs an order, as '{self.format}:sequential'; "
                "allowed without one: float32, float64"
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype in which the running sum is carried."""
        return container(self.format)

    def operand(self, x: Array, counts: FlagCounts | None = None, mode: Mode | None = None) -> Array:
        """``x`` as an ordered accumulation takes it: rounded to ``format`` first, where it is not on that grid."""
        if mode is not None:
            return rounded(x.astype(np.float64), self.format, counts, mode)
        x = x.astype(self.dtype if x.itemsize < self.dtype.itemsize else x.dtype, copy=False)
        if x.dtype == self.dtype and self.format in (float32, float64):
            return x
        if _on_grid(x, self.format):
            return x.astype(self.dtype, copy=False)
        return rounded(x, self.format, counts).astype(self.dtype, copy=False)

    @property
    def steps(self) -> Accumulator:
        """How sums are formed that are no matrix products: as these, but one by one beside a unit for matrices."""
        return Accumulator(self.format, "sequential") if self.order in registered.UNITS else self

    def __str__(self) -> str:
        if self.order in registered.UNITS:
            return registered.UNITS[self.order].name
        if self.order in ("blas", "exact"):
            return self.format.name if self.order == "blas" else "exact"
        return f"{self.format}:{self.order}" + (f"({self.size})" if self.order == "blocked" else "")


def _on_grid(x: Array, fmt: Format) -> bool:
    """Whether rounding would change nothing, so that no copy is needed; False where finding out would take one."""
    if not (x.flags.c_contiguous or x.flags.f_contiguous):
        return False
    flat = x.ravel(order="K")
    blocks = (flat[i : i + BLOCK] for i in range(0, flat.size, BLOCK))
    return all(np.array_equal(block, rounded(block, fmt)) for block in blocks)


def accumulator(spec: object) -> Accumulator:
    """The Accumulator that ``spec`` names: "exact", a format as "fp32", or format and order as "fp16:blocked(16)".

    ``ValueError`` for another word, ``TypeError`` for what is no string. ``str`` of the result names it again.

    >>> accumulator("fp16:sequential+fma").order
    'sequential+fma'
    """
    if isinstance(spec, Accumulator):
        return spec
    if not isinstance(spec, str):
        raise TypeError(f"accumulate: expected a string such as 'fp16:sequential', got {type(spec).__name__}")
    unit = registered.find(spec)
    if unit is not None:
        return Accumulator(unit.format, unit.key)
    name, colon, order = (part.strip() for part in spec.partition(":"))
    order = re.sub(r"\s", "", order.lower())
    if name.lower() == "exact" and not colon:
        return Accumulator(float64, "exact")
    if not colon and difflib.get_close_matches(name.lower(), ["exact"]):
        raise unknown("accumulate", name, ["exact", "a format", "format:order"])
    try:
        fmt = as_format(name, "accumulate")
    except ValueError:
        raise registered.unknown_unit(spec.strip()) from None
    block = re.fullmatch(r"blocked\((\d{1,9})\)", order)
    if block:
        return Accumulator(fmt, "blocked", int(block[1]))
    if order.startswith("blocked"):
        raise ValueError(f"accumulate: {order!r} needs a positive block length; allowed: as 'blocked(16)'")
    return Accumulator(fmt, order or "blas")


def matmul(
    a: Array,
    b: Array,
    how: Accumulator,
    counts: FlagCounts | None = None,
    *,
    target: Format | None = None,
    mode: Mode | None = None,
) -> Array:
    """The product of ``a`` (..., M, K) and ``b`` (..., K, N), accumulated as ``how`` says.

    Operands are float32 or float64 arrays whose leading axes broadcast; the result (..., M, N) has dtype
    ``how.dtype``. NaN, infinities, zeros and subnormals follow IEEE 754 at every step; see `Accumulator`. ``exact``
    hands on float64 rounded to odd, to be rounded once more without harm, unless ``target``, the format
    of that next rounding, is float64: then it rounds to nearest even. By default it takes float64 operands for
    a sign of that. ``counts`` gains the rounded operands; with ``sequential`` and ``sequential+fma`` also the swamped
    addends, and as ``flushed`` the sums all of whose nonzero products were flushed. With ``mode`` every rounding of an
    ordered accumulation is of that kind; the order of ``blas`` and the sum of ``exact`` have none inside.
    ``ValueError`` where the shapes do not fit.

    >>> matmul(np.float32([[2048, 1, 1]]), np.ones((3, 1), np.float32), accumulator("fp16:sequential"))
    array([[2048.]], dtype=float32)
    """
    with np.errstate(all="ignore"):
        if how.order == "blas":
            return np.asarray(np.matmul(a.astype(how.dtype, copy=False), b.astype(how.dtype, copy=False)))
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit; allowed: (..., M, K) and (..., K, N)")
        if how.order in registered.UNITS:
            return registered.UNITS[how.order].product(a, b).astype(how.dtype, copy=False)
        nearest = _nearest(target, a, b)
        if how.order != "exact":
            a, b = how.operand(a, counts, mode), how.operand(b, counts, mode)
        if a.ndim == 2 and b.ndim == 2:
            return _product(a, b, how, counts, nearest, mode)
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        out = np.empty((*lead, a.shape[-2], b.shape[-1]), how.dtype)
        left, right = (np.broadcast_to(x, lead + x.shape[-2:]) for x in (a, b))
        for index in np.ndindex(lead):
            out[index] = _product(left[index], right[index], how, counts, nearest, mode)
        return out


def _nearest(target: Format | None, *operands: Array) -> bool:
    if target is None:
        return any(x.dtype == np.float64 for x in operands)
    return target.precision > 51


def _product(
    a: Array, b: Array, how: Accumulator, counts: FlagCounts | None, nearest: bool, mode: Mode | None
) -> Array:
    if how.order == "exact":
        return matmul_exact(a, b, nearest)
    if mode is not None:
        return matmul_directed(a, b, how.order, how.format, how.size, counts, mode).astype(how.dtype, copy=False)
    if b.shape[1] < a.shape[0]:  # long rows make long inner loops; products commute, k keeps its order
        return np.ascontiguousarray(matmul_ordered(b.T, a.T, how.order, how.format, how.size, counts).T)
    return matmul_ordered(a, b, how.order, how.format, how.size, counts)


def dot(a: Array, b: Array, how: Accumulator, counts: FlagCounts | None = None) -> Array:
    """The sum of the products of two vectors ``a`` and ``b`` (K,), as `matmul` forms it: an array of shape ().

    >>> dot(np.float32([1e8, 1, -1e8]), np.float32([1, 1, 1]), accumulator("exact"))
    array(1.)
    """
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot: shapes {a.shape} and {b.shape} do not fit; allowed: two vectors of one length")
    return matmul(a[None], b[:, None], how, counts).reshape(())


def sum_(
    x: Array,
    axis: int | tuple[int, ...] | None,
    keepdims: bool,
    how: Accumulator,
    counts: FlagCounts | None = None,
    *,
    target: Format | None = None,
    mode: Mode | None = None,
) -> Array:
    """The sum of ``x`` over ``axis`` (an int, a tuple, or None for all), accumulated as ``how`` says.

    Elements are taken in C order of the reduced axes, whatever the memory layout, as the products of a dot product
    with ones: ``sequential`` and ``sequential+fma`` agree. The result is an array of dtype ``how.dtype``; an empty
    sum is +0. NaN, infinities, ``counts``, ``target`` and ``mode`` are as in `matmul`. ``AxisError`` for an axis that
    ``x`` does not have.

    >>> [float(sum_(np.ones(5000, np.float32), None, False, accumulator(f"fp16:{word}"))) for word in
    ...  ("sequential", "pairwise", "kahan")]
    [2048.0, 5000.0, 5000.0]
    """
    how = how.steps
    with np.errstate(all="ignore"):
        if how.order == "blas":
            return np.asarray(np.sum(x.astype(how.dtype, copy=False), axis=axis, keepdims=keepdims))
        nearest = _nearest(target, x)
        if how.order != "exact":
            x = how.operand(x, counts, mode)
        axes = np.lib.array_utils.normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
        axes = tuple(sorted(axes))
        kept = tuple(a for a in range(x.ndim) if a not in axes)
        rows = x.transpose(axes + kept).reshape(prod(x.shape[a] for a in axes), *(x.shape[a] for a in kept))
        if how.order.startswith("sequential") and mode is None:
            total = _running_sum(rows, how, counts)
        else:
            flat = rows.reshape(rows.shape[0], prod(rows.shape[1:]))
            ones = np.ones((1, flat.shape[0]), flat.dtype)
            total = _product(ones, flat, how, counts, nearest, mode).reshape(rows.shape[1:])
        return total.reshape([1 if a in axes else x.shape[a] for a in range(x.ndim)]) if keepdims else total


def _running_sum(rows: Array, how: Accumulator, counts: FlagCounts | None) -> Array:
    total = np.zeros(rows.shape[1:], how.dtype)
    if how.format in (float16, float32) and counts is None and total.size <= 64:
        # Few sums of many terms have nothing to vectorise; np.add.accumulate in the format is this very loop.
        terms = np.concatenate([total[None], rows]).astype(np.float16 if how.format == float16 else np.float32)
        return np.add.accumulate(terms, axis=0)[-1].astype(how.dtype)
    for row in rows:
        previous = total
        total = round_(np.asarray(previous + row), how.format)
        if counts is not None:
            addends = row != 0
            counts.addends += int(np.count_nonzero(addends))
            counts.swamped += int(np.count_nonzero(addends & (total == previous) & np.isfinite(previous)))
    return total


def cumsum(x: Array, axis: int, how: Accumulator, *, mode: Mode | None = None) -> Array:
    """The running sums of ``x`` along ``axis``: element i is what `sum_` gives for the first i + 1 elements.

    The result has the shape of ``x`` and dtype ``how.dtype``; NaN, infinities and zeros are as in `sum_`, whose
    errors and ``mode`` it shares. ``sequential`` takes one pass; other orders start afresh for each element.

    >>> cumsum(np.float32([2047, 1, 1, 1]), 0, accumulator("fp16:sequential"))
    array([2047., 2048., 2048., 2048.], dtype=float32)
    """
    how = how.steps
    with np.errstate(all="ignore"):
        if how.order == "blas":
            return np.cumsum(x.astype(how.dtype, copy=False), axis=axis)
        rows = np.moveaxis(x, axis, 0)
        out = np.empty(rows.shape, how.dtype)
        if how.order.startswith("sequential"):
            total = np.zeros(rows.shape[1:], how.dtype if mode is None else np.float64)
            for i, row in enumerate(how.operand(rows, None, mode)):
                addition = total + row if mode is None else add_in(total, row, mode)
                out[i] = total = round_(np.asarray(addition), how.format, None, mode)
        else:
            for i in range(len(rows)):
                out[i] = sum_(rows[: i + 1], 0, False, how, mode=mode)
        return np.moveaxis(out, 0, axis)
