"""How a sum or a dot product is accumulated: the format of the running sum, and the order of the additions."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from halfsim.card import Record
from halfsim.numerics import units
from halfsim.numerics.exact_sums import matmul_exact
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import RESERVED, Format, as_format, float32, float64, unknown
from halfsim.numerics.orders import Watch, added_up, fitting, matmul_ordered, one_by_one, unclipped
from halfsim.numerics.quantize import BLOCK, Array, computable, container, rounded
from halfsim.numerics.rounding import Mode
from halfsim.numerics.steps import carrier, clips, nearest, unit_of

_ORDERS = ("blas", "sequential", "sequential+fma", "pairwise", "blocked", "kahan", "neumaier", "exact")
RESERVED.update(_ORDERS)
_WORDS = ("blas", "sequential", "sequential+fma", "pairwise", "blocked(k)", "kahan", "neumaier")


@dataclass(frozen=True)
class Accumulator(Record):
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
    - that name with a block, as "H100:fp8_e4m3:blocked(128)": the unit begins anew from zero after every ``size``
      products, and what it has is added in float32, to nearest, to a running total. Libraries call it promotion.

    ``ValueError`` for another order, a ``size`` below 1 or without ``blocked``, a format too wide to round in its
    container, and float64 with ``sequential+fma``.

    >>> [str(accumulator(spec)) for spec in ("fp16:sequential", "fp32", "V100:blocked(16)", "exact")]
    ['float16:sequential', 'float32', 'V100:blocked(16)', 'exact']
    """

    format: Format
    order: str = "blas"
    size: int = 0

    def __post_init__(self) -> None:
        unit = self.order in units.UNITS
        if (self.order == "blocked" or (unit and self.size)) and not (isinstance(self.size, int) and self.size >= 1):
            raise ValueError(
                f"accumulate: '{self}' needs a positive block length; allowed: as '{self.format}:blocked(16)'"
            )
        if unit:
            if self.size and self.format != float32:
                raise ValueError(f"accumulate: '{self}' in {self.format} is not allowed; allowed: in float32")
            return
        if self.order not in _ORDERS:
            raise unknown("accumulate", self.order, _WORDS)
        if self.order == "exact" and self.format != float64:
            raise ValueError(f"accumulate: '{self.format}:exact' is not allowed; allowed: 'exact', rounded later")
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
        """``x`` as the loop of an order takes it: rounded to the accumulator's ``format`` where it is not on that grid.

        ``counts`` are told of these roundings. The result is a copy only where a number or its container changes.
        """
        if mode is not None:
            dtype = carrier(self.format, mode)
            wide = x.astype(np.promote_types(x.dtype, dtype), copy=False)
            return rounded(wide, self.format, counts, mode).astype(dtype, copy=False)
        x = x.astype(self.dtype if x.itemsize < self.dtype.itemsize else x.dtype, copy=False)
        if x.dtype == self.dtype and self.format in (float32, float64):
            return x
        if _on_grid(x, self.format):
            return x.astype(self.dtype, copy=False)
        return rounded(x, self.format, counts).astype(self.dtype, copy=False)

    @property
    def steps(self) -> Accumulator:
        """The accumulator for plain sums of this precision: the same, unless it is a device's matrix unit.

        Such a unit only multiplies matrices; a sum beside it is formed one addend after another, in its format.
        """
        return Accumulator(self.format, "sequential") if self.order in units.UNITS else self

    def __str__(self) -> str:
        if self.order in units.UNITS:
            return units.UNITS[self.order].name + (f":blocked({self.size})" if self.size else "")
        if self.order in ("blas", "exact"):
            return self.format.spelled if self.order == "blas" else "exact"
        return f"{self.format.spelled}:{self.order}" + (f"({self.size})" if self.order == "blocked" else "")


def _on_grid(x: Array, fmt: Format) -> bool:
    """Whether rounding would change nothing, so that no copy is needed; False where finding out would take one."""
    if not (x.flags.c_contiguous or x.flags.f_contiguous):
        return False
    flat = x.ravel(order="K")
    blocks = (flat[i : i + BLOCK] for i in range(0, flat.size, BLOCK))
    return all(np.array_equal(block, rounded(block, fmt)) for block in blocks)


def accumulator(spec: object) -> Accumulator:
    """The Accumulator that ``spec`` names: "exact", a format as "fp32", format and order as "fp16:blocked(16)", a unit.

    ``ValueError`` for another word, ``TypeError`` for anything but a string. ``str`` of the result names it again.

    >>> accumulator("fp16:sequential+fma").order
    'sequential+fma'
    """
    if isinstance(spec, Accumulator):
        return spec
    if not isinstance(spec, str):
        raise TypeError(f"accumulate: expected a string such as 'fp16:sequential', got {type(spec).__name__}")
    head, _, last = spec.rpartition(":")
    size = _block(_squeezed(last))
    if size and not head.strip():
        told = "as 'fp32:blocked(16)', 'H100:blocked(16)'"
        raise ValueError(f"accumulate: {spec!r} is not allowed: a format or a unit goes before it; allowed: {told}")
    unit = units.find(head if size else spec)
    if unit is not None:
        return Accumulator(float32 if size else unit.format, unit.key, size)
    name, colon, order = (part.strip() for part in spec.partition(":"))
    order = _squeezed(order)
    if name.lower() == "exact" and not colon:
        return Accumulator(float64, "exact")
    if not colon and difflib.get_close_matches(name.lower(), ["exact"]):
        raise unknown("accumulate", name, ["exact", "a format", "format:order"])
    try:
        fmt = as_format(name, "accumulate")
    except ValueError:
        raise units.unknown_unit((head if size and head else spec).strip()) from None
    return Accumulator(fmt, "blocked", size) if size and order == _squeezed(last) else Accumulator(fmt, order or "blas")


def _squeezed(order: str) -> str:
    return re.sub(r"\s", "", order.lower())


def _block(order: str) -> int:
    """The length in "blocked(16)"; 0 for another order. ``ValueError`` where there is none, or none above 0."""
    found = re.fullmatch(r"blocked\(([0-9]{1,9})\)", order)
    if order.startswith("blocked") and not (found and int(found[1])):
        told = "needs a positive block length of up to 9 digits"
        raise ValueError(f"accumulate: {order!r} {told}; allowed: as 'blocked(16)'")
    return int(found[1]) if found else 0


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
    a sign of that. ``counts`` gains the rounded operands and, of an ordered accumulation, the nonzero addends, those
    of them that were swamped, as ``flushed`` the sums that are zero because all their nonzero products became zeros,
    and as ``overflow`` the finite sums that met the largest number on the way; see `halfsim.numerics.orders.Watch`.
    With ``mode`` every rounding of an ordered accumulation is of that kind; the order of ``blas`` and the sum of
    ``exact`` have none inside. A unit counts nothing; where it begins anew, the sums of its blocks are addends.
    ``ValueError`` where the shapes do not fit.

    >>> matmul(np.float32([[2048, 1, 1]]), np.ones((3, 1), np.float32), accumulator("fp16:sequential"))
    array([[2048.]], dtype=float32)
    """
    with np.errstate(all="ignore"):
        if how.order == "blas":
            return np.asarray(np.matmul(a.astype(how.dtype, copy=False), b.astype(how.dtype, copy=False)))
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit; allowed: (..., M, K) and (..., K, N)")
        if how.order in units.UNITS:
            return _on_unit(a, b, how, counts)
        last = _rounds_last(target, a, b)
        if how.order != "exact":
            a, b = how.operand(a, counts, mode), how.operand(b, counts, mode)
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        shape = (*lead, a.shape[-2], b.shape[-1])
        if not (prod(shape) and a.shape[-1]):
            return np.zeros(shape, how.dtype)
        return _product(_stack(a, lead), _stack(b, lead), how, counts, last, mode).reshape(shape)


def _on_unit(a: Array, b: Array, how: Accumulator, counts: FlagCounts | None) -> Array:
    """The product on a unit: in one go, or of blocks of k from zero each, added one by one to a total in float32."""
    product, depth = units.UNITS[how.order].product, a.shape[-1]
    if not how.size:
        return product(a, b).astype(how.dtype, copy=False)
    ks = (slice(k, k + how.size) for k in range(0, max(depth, 1), how.size))
    parts = (product(a[..., k], b[..., k, :])[None].astype(how.dtype, copy=False) for k in ks)
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    unit = unit_of(how.format, None, how.dtype)
    watch = None if counts is None else Watch(unit, counts, shape)
    total = added_up(parts, np.zeros(shape, how.dtype), unit, watch)
    if watch is not None:
        watch.close(total)
    return total


def _stack(x: Array, lead: tuple[int, ...]) -> Array:
    """Matrices (..., M, K) as a stack (B, M, K), of one if there is one for all places of ``lead``."""
    if prod(x.shape[:-2]) > 1:
        x = np.broadcast_to(x, lead + x.shape[-2:])
    return x.reshape(prod(x.shape[:-2]), *x.shape[-2:])


def _rounds_last(target: Format | None, *operands: Array) -> bool:
    """Whether ``exact`` rounds to nearest, since no narrower rounding follows."""
    if target is None:
        return any(x.dtype == np.float64 for x in operands)
    return target.precision > 51


def _product(a: Array, b: Array, how: Accumulator, counts: FlagCounts | None, last: bool, mode: Mode | None) -> Array:
    if how.order == "exact":
        return one_by_one(lambda x, y: matmul_exact(x, y, last), a, b)
    return matmul_ordered(a, b, how.order, how.format, how.size, counts, mode).astype(how.dtype, copy=False)


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
        last = _rounds_last(target, x)
        if how.order != "exact":
            x = how.operand(x, counts, mode)
        axes = np.lib.array_utils.normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
        axes = tuple(sorted(axes))
        kept = tuple(a for a in range(x.ndim) if a not in axes)
        rows = x.transpose(axes + kept).reshape(prod(x.shape[a] for a in axes), *(x.shape[a] for a in kept))
        total = _sum_of_rows(rows, how, counts, last, mode)
        return total.reshape([1 if a in axes else x.shape[a] for a in range(x.ndim)]) if keepdims else total


def _sum_of_rows(rows: Array, how: Accumulator, counts: FlagCounts | None, last: bool, mode: Mode | None) -> Array:
    """The sum of ``rows`` (K, ...), operands already, over K."""
    if _one_by_one(how, mode) and nearest(mode):
        return _running_sums(rows, how, counts, mode, None).astype(how.dtype, copy=False)
    flat = rows.reshape(1, rows.shape[0], prod(rows.shape[1:]))
    if not flat.size:
        return np.zeros(rows.shape[1:], how.dtype)
    ones = np.ones((1, 1, flat.shape[1]), flat.dtype)
    return _product(ones, flat, how, counts, last, mode).reshape(rows.shape[1:])


def _one_by_one(how: Accumulator, mode: Mode | None) -> bool:
    """Whether a sum is its terms added in order: a fused step takes its product, a term times 1, unflushed."""
    flushes = mode is not None and mode.flush_inputs and not mode.flush_outputs
    return how.order == "sequential" or (how.order == "sequential+fma" and not flushes)


def _running_sums(
    rows: Array, how: Accumulator, counts: FlagCounts | None, mode: Mode | None, partial_sums: Array | None
) -> Array:
    """The sum of ``rows``, one by one from +0, and the partial sums if there is room for them."""
    if how.format == float32 and clips(mode):
        single = rows.astype(np.float32)
        trial = unclipped(lambda seen, calm: _running_sums(single, how, seen, calm, partial_sums), counts, mode)
        if trial is not None:
            return trial
    total = np.zeros(rows.shape[1:], rows.dtype)
    if not rows.size:
        return total
    one = np.ones((1,) * rows.ndim, rows.dtype)
    unit, several = fitting(rows, one, "sequential", how.format, mode, rows.dtype, counts is not None)
    watch = None if counts is None else Watch(unit, counts, total.shape)
    if watch is not None and mode is not None and mode.flush_inputs:
        watch.feed((rows != 0).any(0))
    stacks = (rows[i : i + several] for i in range(0, len(rows), several))
    total = added_up(stacks, total, unit, watch, partial_sums)
    if watch is not None:
        watch.close(total if partial_sums is None else None)
    return total


def cumsum(
    x: Array, axis: int, how: Accumulator, counts: FlagCounts | None = None, *, mode: Mode | None = None
) -> Array:
    """The running sums of ``x`` along ``axis``: element i is what `sum_` gives for the first i + 1 elements.

    The result has the shape of ``x`` and dtype ``how.dtype``; NaN, infinities and zeros are as in `sum_`, whose
    errors and ``mode`` it shares. ``sequential`` takes one pass; other orders start afresh for each element.
    ``counts`` gains the addends of the last elements, which are sums of all terms, and what overflowed in each.

    >>> cumsum(np.float32([2047, 1, 1, 1]), 0, accumulator("fp16:sequential"))
    array([2047., 2048., 2048., 2048.], dtype=float32)
    """
    how = how.steps
    with np.errstate(all="ignore"):
        if how.order == "blas":
            return np.cumsum(x.astype(how.dtype, copy=False), axis=axis)
        rows = np.moveaxis(x, axis, 0)
        out = np.empty(rows.shape, how.dtype)
        if _one_by_one(how, mode):
            _running_sums(how.operand(rows, counts, mode), how, counts, mode, out)
            return np.moveaxis(out, 0, axis)
        for i in range(len(rows)):
            seen = None if counts is None else FlagCounts()
            out[i] = sum_(rows[: i + 1], 0, False, how, seen, mode=mode)
            if counts is not None and seen is not None:
                whole = i == len(rows) - 1
                counts += seen if whole else FlagCounts(flushed=seen.flushed, overflow=seen.overflow)
        return np.moveaxis(out, 0, axis)
