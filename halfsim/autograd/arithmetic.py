"""The simulated floating-point unit: every method is one elementary operation, rounded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.trace import LostConstant
from halfsim.numerics import accumulate, elementary
from halfsim.numerics.exact import add_in
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float32, float64
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, container, flushed, round_, rounded
from halfsim.numerics.special import erf

# Functions of one argument in float64, and whether a nonzero argument can only give a zero that was flushed.
_FUNCTIONS: dict[str, tuple[Callable[[Array], Array], bool]] = {
    "exp": (np.exp, True),
    "expm1": (np.expm1, True),
    "log1p": (np.log1p, True),
    "sin": (np.sin, True),
    "cos": (np.cos, False),
    "tan": (np.tan, True),
    "sinh": (np.sinh, True),
    "cosh": (np.cosh, False),
    "tanh": (np.tanh, True),
    "asin": (np.arcsin, True),
    "acos": (np.arccos, False),
    "atan": (np.arctan, True),
    "erf": (erf, True),
    "softplus": (lambda x: np.logaddexp(0.0, x), True),  # log(1 + e**x)
}


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))  # exp is infinite below -709, where the result is zero in every narrower format


Axis = int | tuple[int, ...] | None


class Arithmetic:
    """A unit that computes as one `Precision` says and, if given ``counts``, counts what its roundings do.

    Operands are arrays that `read` has put on the grid of ``compute``, carried in its container dtype;
    + - * / and sqrt in the container, rounded to ``compute``, are the correctly rounded results (see
    `halfsim.numerics.quantize.container`). Elementary functions go through float64. NaN, infinities and signed
    zeros follow IEEE 754. Host exception state is never read.
    """

    __slots__ = ("_directed", "_flushes", "_last", "_mode", "_zeros", "counts", "dtype", "lost", "native", "precision")

    def __init__(self, precision: Precision, counts: FlagCounts | None = None) -> None:
        self.precision = precision
        self.counts = counts
        self.lost: LostConstant | None = None
        self._last: tuple[Array | None, int] = (None, 0)  # the latest accumulation, and how many of it were flushed
        self._zeros: Array | None = None  # where elementwise steps have flushed something
        mode = self._mode = precision.mode
        self._flushes = mode is not None and mode.flush_inputs
        self._directed = mode is not None and not mode.nearest
        self.dtype = container(precision.compute)
        if mode is not None and precision.compute == float32 and (self._directed or mode.overflow == "saturate"):
            self.dtype = np.dtype(np.float64)
        self.native = mode is None and precision.compute in (float32, float64)  # the container's arithmetic rounds

    # Elementary operations, each rounded to `compute`.

    def add(self, a: Array, b: Array) -> Array:
        if self._mode is not None:
            a, b = self._taken(a), self._taken(b)
            if self._directed:  # the nearest float64 would be a rounding too many
                return self._round(add_in(np.asarray(a, np.float64), np.asarray(b, np.float64), self._mode), a, b)
        return self._round(np.add(a, b, dtype=self._exact), a, b)

    def sub(self, a: Array, b: Array) -> Array:
        if self._mode is not None:
            return self.add(a, np.negative(b))
        return self._round(np.subtract(a, b, dtype=self._exact), a, b)

    def mul(self, a: Array, b: Array) -> Array:
        if self._flushes:
            a, b = self._taken(a), self._taken(b)
        return self._round(np.multiply(a, b, dtype=self.dtype if self._mode else None), a, b, nonzero=True)

    def div(self, a: Array, b: Array) -> Array:
        if self._flushes:
            a, b = self._taken(a), self._taken(b)
        y = np.divide(a, b, dtype=np.float64 if self._directed else None)
        if self.counts is None:
            return self._round(y)
        poles = np.equal(b, 0) & (a != 0) & np.isfinite(a)
        self.counts.divide_by_zero += int(np.count_nonzero(poles))
        return self._round(y, np.where(poles, np.inf, a), b, nonzero=True)  # a pole is no overflow

    def sqrt(self, a: Array) -> Array:
        a = self._taken(a)
        return self._round(np.sqrt(a, dtype=np.float64 if self._directed else None), a)

    def function(self, name: str, a: Array) -> Array:
        """exp, expm1, log1p, sin, cos, tan, sinh, cosh, tanh, asin, acos, atan, erf or softplus, rounded once."""
        (f, nonzero), a = _FUNCTIONS[name], self._taken(a)
        return self._round(self._unrounded(name, f, a.astype(np.float64)), a, nonzero=nonzero)

    def _unrounded(self, name: str, f: Callable[[Array], Array], a: Array) -> Array:
        """``f(a)`` in float64, on the right side of the numbers of ``compute`` where the rounding is directed."""
        if self._directed and self.precision.compute.bits <= 16:
            table: elementary.Function = getattr(elementary, name)
            return table.unrounded(a, self.precision.compute)
        return f(a)

    def exp(self, a: Array) -> Array:
        return self.function("exp", a)

    def log(self, a: Array, base: str = "log") -> Array:
        """The natural logarithm, or "log2" or "log10"."""
        a = self._taken(a)
        y = self._unrounded(base, getattr(np, base), a.astype(np.float64))
        if self.counts is None:
            return self._round(y)
        poles = np.equal(a, 0)
        self.counts.divide_by_zero += int(np.count_nonzero(poles))
        return self._round(y, np.where(poles, np.inf, a))

    def rsqrt(self, a: Array) -> Array:
        """``1 / sqrt(a)``, rounded once; infinite at zero with its sign."""
        a = self._taken(a)
        y = self._unrounded("rsqrt", lambda x: 1 / np.sqrt(x), a.astype(np.float64))
        if self.counts is None:
            return self._round(y)
        poles = np.equal(a, 0)
        self.counts.divide_by_zero += int(np.count_nonzero(poles))
        return self._round(y, np.where(poles, np.inf, a))

    def pow(self, a: Array, b: Array) -> Array:
        """``a ** b``, rounded once, as C's pow: NaN for a negative base with an exponent that is no integer."""
        a, b = self._taken(a), self._taken(b)
        y = np.power(np.asarray(a, np.float64), b)
        if self.counts is None:
            return self._round(y)
        poles = np.equal(a, 0) & (b < 0)
        self.counts.divide_by_zero += int(np.count_nonzero(poles))
        return self._round(y, np.where(poles, np.inf, a), np.asarray(b), nonzero=True)

    def tanh(self, a: Array) -> Array:
        return self.function("tanh", a)

    def sigmoid(self, a: Array) -> Array:
        a = self._taken(a)
        return self._round(self._unrounded("sigmoid", _sigmoid, a.astype(np.float64)), a, nonzero=True)

    @staticmethod
    def keep(x: Array, mask: Array) -> Array:
        """``x`` where ``mask`` is true and +0 elsewhere, exactly; by its bits, for a branch an element is slow."""
        word = np.dtype(f"i{x.itemsize}")
        kept = np.array(mask, word)
        np.negative(kept, out=kept)
        return np.bitwise_and(x.view(word), kept, out=kept if kept.shape == x.shape else None).view(x.dtype)

    # Accumulations, formed as `accumulate` says and then rounded to `compute`.

    def matmul(self, a: Array, b: Array) -> Array:
        operands, how, counts = self.precision.operands, self.precision.accumulate, self.counts
        if not operands.contains(self.precision.storage):
            a, b = rounded(a, operands, counts, self._mode), rounded(b, operands, counts, self._mode)
        elif self._flushes:
            a, b = self._taken(a), self._taken(b)
        before, swamped = (0, 0) if counts is None else (counts.flushed, counts.swamped)
        y = accumulate.matmul(a, b, how, counts, target=self.precision.compute, mode=self._mode)
        if counts is not None and counts.swamped > swamped:
            wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
            self._count_stalled(y, wide_a @ wide_b, np.abs(wide_a) @ np.abs(wide_b))
        return self._accumulated(y, before, a, b)

    def sum(self, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        counts = self.counts
        before, swamped = (0, 0) if counts is None else (counts.flushed, counts.swamped)
        a, how, target = self._taken(a), self.precision.accumulate, self.precision.compute
        y = accumulate.sum_(a, axis, keepdims, how, counts, target=target, mode=self._mode)
        if counts is not None and counts.swamped > swamped:
            wide = a.astype(np.float64)
            self._count_stalled(y, wide.sum(axis, keepdims=keepdims), np.abs(wide).sum(axis, keepdims=keepdims))
        return self._accumulated(y, before, a)

    def cumsum(self, a: Array, axis: int) -> Array:
        before = 0 if self.counts is None else self.counts.flushed
        return self._accumulated(
            accumulate.cumsum(self._taken(a), axis, self.precision.accumulate, mode=self._mode), before, a
        )

    def sum_to(self, a: Array, shape: tuple[int, ...]) -> Array:
        """The sum of ``a`` over the axes that broadcasting added to ``shape``: the gradient of a broadcast."""
        if a.shape == shape:
            return a
        extra = a.ndim - len(shape)
        axes = tuple(i for i in range(a.ndim) if i < extra or (shape[i - extra] == 1 != a.shape[i]))
        assert tuple(n for i, n in enumerate(a.shape[extra:]) if i + extra not in axes) == tuple(
            n for i, n in enumerate(shape) if i + extra not in axes
        ), f"a gradient of shape {a.shape} for an operand of shape {shape}"
        return self.sum(a, axes, keepdims=True).reshape(shape)

    # Between memory and the unit.

    def read(self, x: Array, fmt: Format, exact: bool = False) -> Array:
        """``x``, on the grid of ``fmt``, rounded to ``storage`` and to ``compute`` where these are narrower.

        Subnormal inputs are flushed if the precision says so, unless they are only moved, as by an ``exact`` operation.
        """
        for grid in (self.precision.storage, self.precision.compute):
            if not grid.contains(fmt):
                x, fmt = rounded(x, grid, self.counts, self._mode), grid
        if self._flushes and not exact:
            x = flushed(x, self.precision.storage)
        return x.astype(self.dtype, copy=False)

    def _taken(self, x: Array) -> Array:
        """An operand as a step takes it: without the subnormal numbers of ``compute`` if these are flushed."""
        return flushed(np.asarray(x), self.precision.compute) if self._flushes else x

    def constant(self, value: float) -> Any:
        """A Python number as a kernel takes it: an argument in ``compute``, which never widens a result."""
        compute = self.precision.compute
        if self.native and isinstance(value, float):
            kept = self.dtype.type(value)
        else:
            kept = rounded(as_floats(value, compute).astype(np.float64), compute, None, self._mode).astype(self.dtype)[
                ()
            ]
        if (kept == 0 and value != 0) or (np.isinf(kept) and abs(value) != np.inf):
            self.lost = LostConstant("constant", value, compute)
        return kept

    def store(self, y: Array, operands: Sequence[Any] = (), exact: bool = False) -> Array:
        """``y`` rounded to ``storage``, in place where the unit computed it.

        A value that is on the grid already, being ``exact`` or one of the operands, stays as it is.
        """
        storage = self.precision.storage
        if self.counts is not None:
            self.counts.flushed += self._inner_zeros(y)
            self.counts.size += y.size
            self.counts.nonzero += int(np.count_nonzero(y != 0)) + self.counts.flushed
        moved = (exact and self.precision.compute.contains(storage)) or any(y is x for x in operands)
        if not moved and not storage.contains(self.precision.compute):
            y = round_(y, storage, self.counts, self._mode)
        return y.astype(container(storage), copy=False)

    @property
    def _exact(self) -> np.dtype[Any]:
        """Where a sum of narrow numbers is formed: to count inexact ones takes more than the container."""
        return self.dtype if self.counts is None or self.native else np.dtype(np.float64)

    def _round(self, y: Any, *operands: Array, nonzero: bool = False) -> Array:
        """``y`` on the grid of ``compute``; ``nonzero`` says that of finite nonzero operands it is not exactly zero."""
        y, compute, counts = np.asarray(y), self.precision.compute, self.counts
        if counts is None:
            return (y if self.native else round_(y, compute, None, self._mode)).astype(self.dtype, copy=False)
        before, zeros = counts.flushed, self._count_made(y, operands, nonzero)
        z = y if self.native and y.dtype == self.dtype else rounded(y, compute, counts, self._mode)
        if counts.flushed > before:
            zeros = (zeros if zeros is not None else np.False_) | ((z == 0) & (y != 0))
            counts.flushed = before  # what is flushed on the way to another result is no zero of that result
        if zeros is not None:
            same = self._zeros is not None and self._zeros.shape == zeros.shape
            self._zeros = self._zeros | zeros if same and self._zeros is not None else zeros
        return z.astype(self.dtype, copy=False)

    def _count_made(self, y: Array, operands: Sequence[Array], nonzero: bool) -> Array | None:
        """Count NaN and infinities that the operands do not explain; returns where zeros are that they do not."""
        assert self.counts is not None
        if not np.isfinite(y).all():
            known, finite = np.zeros(y.shape, np.bool_), np.ones(y.shape, np.bool_)
            for x in operands:
                known, finite = known | np.isnan(x), finite & np.isfinite(x)
            self.counts.invalid += int(np.count_nonzero(np.isnan(y) & ~known))
            self.counts.overflow += int(np.count_nonzero(np.isinf(y) & finite))
        if not nonzero or y.all():
            return None
        vanished = y == 0
        for x in operands:
            vanished = vanished & (x != 0) & np.isfinite(x)
        return vanished if vanished.any() else None

    def _inner_zeros(self, y: Array) -> int:
        """How many elements of the result ``y`` are zero because a step on the way flushed them."""
        count = self._last[1] if y is self._last[0] or (y.base is not None and y.base is self._last[0]) else 0
        if self._zeros is not None and self._zeros.size == y.size:
            count += int(np.count_nonzero(self._zeros.reshape(y.shape) & (y == 0)))
        return count

    def _accumulated(self, y: Array, before: int, *operands: Array) -> Array:
        if self.counts is not None and not np.isfinite(y).all():
            if not any(np.isnan(x).any() for x in operands):
                self.counts.invalid += int(np.count_nonzero(np.isnan(y)))
            if all(np.isfinite(x).all() for x in operands):
                self.counts.overflow += int(np.count_nonzero(np.isinf(y)))
        if self._mode is not None or not self.precision.compute.contains(self.precision.accumulate.format):
            y = round_(y, self.precision.compute, self.counts, self._mode)
        y = y.astype(self.dtype, copy=False)
        if self.counts is not None:
            self._last = (y, self.counts.flushed - before)
            self.counts.flushed = before
        return y

    def _count_stalled(self, y: Array, exact: Array, magnitude: Array) -> None:
        """Count the sums off by more than 1 % of ``magnitude``: the harm that swamped addends may have done."""
        assert self.counts is not None
        self.counts.stalled += int(np.count_nonzero(np.abs(y - exact) > 0.01 * magnitude))
