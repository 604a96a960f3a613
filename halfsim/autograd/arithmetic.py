"""The simulated floating-point unit: every method is one elementary operation, rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsim.numerics import accumulate
from halfsim.numerics.flags import FlagCounts
from halfsim.numerics.formats import Format, float32, float64
from halfsim.numerics.precision import Precision
from halfsim.numerics.quantize import Array, container, round_, rounded

Axis = int | tuple[int, ...] | None


def lost_constant(name: str, value: float, fmt: Format) -> str:
    """The sentence for a constant that ``fmt`` turns into zero or infinity."""
    if abs(value) < 1:
        return f"{name} {value:g} is zero in {fmt} (smallest subnormal {fmt.smallest_subnormal:.3g})"
    return f"{name} {value:g} is infinite in {fmt} (largest number {fmt.max:g})"


class Arithmetic:
    """A unit that computes as one `Precision` says and, if given ``counts``, counts what its roundings do.

    Operands are arrays that `read` has put on the grid of ``compute``, carried in its container dtype;
    + - * / and sqrt in the container, rounded to ``compute``, are the correctly rounded results (see
    `halfsim.numerics.quantize.container`). Elementary functions go through float64. NaN, infinities and signed
    zeros follow IEEE 754. Host exception state is never read.
    """

    __slots__ = ("counts", "dtype", "native", "note", "precision")

    def __init__(self, precision: Precision, counts: FlagCounts | None = None) -> None:
        self.precision = precision
        self.counts = counts
        self.note = ""  # a constant that the format cannot hold
        self.dtype = container(precision.compute)
        self.native = precision.compute in (float32, float64)  # the container's own arithmetic rounds

    # Elementary operations, each rounded to `compute`.

    def add(self, a: Array, b: Array) -> Array:
        return self._round(np.add(a, b))

    def sub(self, a: Array, b: Array) -> Array:
        return self._round(np.subtract(a, b))

    def mul(self, a: Array, b: Array) -> Array:
        return self._round(np.multiply(a, b), a, b)

    def div(self, a: Array, b: Array) -> Array:
        if self.counts is not None:
            poles = np.equal(b, 0)
            if poles.any():
                self.counts.divide_by_zero += int(np.count_nonzero(poles & (a != 0) & np.isfinite(a)))
        return self._round(np.divide(a, b), a, b)

    def sqrt(self, a: Array) -> Array:
        return self._round(np.sqrt(a))

    def exp(self, a: Array) -> Array:
        return self._wide(np.exp, a)

    def log(self, a: Array) -> Array:
        return self._wide(np.log, a)

    def tanh(self, a: Array) -> Array:
        return self._wide(np.tanh, a)

    def sigmoid(self, a: Array) -> Array:
        return self._wide(lambda x: 1.0 / (1.0 + np.exp(-x)), a)

    @staticmethod
    def keep(x: Array, mask: Array) -> Array:
        """``x`` where ``mask`` is true and +0 elsewhere, exactly; by its bits, for a branch an element is slow."""
        word = np.dtype(f"i{x.itemsize}")
        return np.bitwise_and(x.view(word), -mask.astype(word)).view(x.dtype)

    # Accumulations, formed as `accumulate` says and then rounded to `compute`.

    def matmul(self, a: Array, b: Array) -> Array:
        operands, how = self.precision.operands, self.precision.accumulate
        if not operands.contains(self.precision.storage):
            a, b = rounded(a, operands, self.counts), rounded(b, operands, self.counts)
        return self._accumulated(accumulate.matmul(a, b, how, self.counts))

    def sum(self, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return self._accumulated(accumulate.sum_(a, axis, keepdims, self.precision.accumulate, self.counts))

    def sum_to(self, a: Array, shape: tuple[int, ...]) -> Array:
        """The sum of ``a`` over the axes that broadcasting added to ``shape``: the gradient of a broadcast."""
        if a.shape == shape:
            return a
        extra = a.ndim - len(shape)
        axes = tuple(i for i in range(a.ndim) if i < extra or (shape[i - extra] == 1 != a.shape[i]))
        return self.sum(a, axes, keepdims=True).reshape(shape)

    # Between memory and the unit.

    def read(self, x: Array, fmt: Format) -> Array:
        """``x``, whose values are on the grid ``fmt``, rounded to ``storage`` and to ``compute`` where these are narrower."""
        for grid in (self.precision.storage, self.precision.compute):
            if not grid.contains(fmt):
                x, fmt = rounded(x, grid, self.counts), grid
        return x.astype(self.dtype, copy=False)

    def constant(self, value: float) -> Any:
        """A Python number as a kernel takes it: an argument in ``compute``, which never widens a result."""
        kept = rounded(np.asarray(float(value)), self.precision.compute, self.counts).astype(self.dtype)[()]
        if (kept == 0 and value != 0) or (np.isinf(kept) and np.isfinite(value)):
            self.note = lost_constant("constant", value, self.precision.compute)
        return kept

    def store(self, y: Array, operands: Sequence[Any] = (), exact: bool = False) -> Array:
        """``y`` rounded to ``storage``, in place where the unit computed it.

        A value that is on the grid already, being ``exact`` or one of the operands, stays as it is.
        """
        storage = self.precision.storage
        if self.counts is not None:
            self.counts.size += y.size
            self.counts.nonzero += int(np.count_nonzero(y != 0)) + self.counts.flushed
        if not (exact or storage.contains(self.precision.compute) or any(y is x for x in operands)):
            y = round_(y, storage, self.counts)
        return y.astype(container(storage), copy=False)

    def inspect(self, y: Array, operands: Sequence[Any]) -> None:
        """Count the NaN and infinities of a result that its operands do not explain."""
        if self.counts is None or np.isfinite(y).all():
            return
        floats = [x for x in operands if isinstance(x, (np.ndarray, np.floating)) and x.dtype.kind == "f"]
        if not any(np.isnan(x).any() for x in floats):
            self.counts.invalid += int(np.count_nonzero(np.isnan(y)))
            if not any(np.isinf(x).any() for x in floats):
                made = int(np.count_nonzero(np.isinf(y))) - self.counts.divide_by_zero
                self.counts.overflow = max(self.counts.overflow, made)

    def _round(self, y: Any, *factors: Array) -> Array:
        y = np.asarray(y)
        if not self.native:
            return round_(y, self.precision.compute, self.counts)
        if self.counts is not None and factors and not y.all():  # an exact product or quotient is not zero
            flushed = y == 0
            for factor in factors:
                flushed = flushed & (factor != 0) & np.isfinite(factor)
            self.counts.flushed += int(np.count_nonzero(flushed))
        return y

    def _wide(self, function: Any, a: Array) -> Array:
        y = np.asarray(function(a.astype(np.float64)))
        cast = self.precision.compute in (float32, float64) and self.counts is None  # the host's cast rounds as well
        return (y if cast else round_(y, self.precision.compute, self.counts)).astype(self.dtype, copy=False)

    def _accumulated(self, y: Array) -> Array:
        if not self.precision.compute.contains(self.precision.accumulate.format):
            y = round_(y, self.precision.compute, self.counts)
        return y.astype(self.dtype, copy=False)
