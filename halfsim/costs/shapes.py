"""A unit that computes nothing: each step gives zeros of the right shape, which is all that counting needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.numerics.formats import Format
from halfsim.numerics.quantize import Array, holder


class Shapes(Arithmetic):
    """An `Arithmetic` whose results are zeros, of memory that nobody touches.

    A model whose course depends on values may take another one than with numbers.
    """

    __slots__ = ()

    def _zeros(self, *operands: Any) -> Array:
        return np.zeros(np.broadcast_shapes(*map(np.shape, operands)), self.dtype)

    def add(self, a: Array, b: Array) -> Array:
        return self._zeros(a, b)

    sub = mul = div = pow = add

    def sqrt(self, a: Array) -> Array:
        return self._zeros(a)

    def function(self, name: str, *operands: Array) -> Array:
        return self._zeros(*operands)

    def matmul(self, a: Array, b: Array) -> Array:
        return np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), self.dtype)

    def sum(self, a: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        axes = range(a.ndim) if axis is None else [i % a.ndim for i in ((axis,) if isinstance(axis, int) else axis)]
        left = [1 if i in axes else n for i, n in enumerate(a.shape) if keepdims or i not in axes]
        return np.zeros(left, self.dtype)

    def cumsum(self, a: Array, axis: int) -> Array:
        return self._zeros(a)

    def place_pieces(self, out: Array, pieces: Iterable[tuple[Any, Array]]) -> Array:
        return np.zeros_like(out)

    def read(self, x: Array, fmt: Format, exact: bool = False) -> Array:
        narrows = any(not grid.contains(fmt) for grid in (self.precision.storage, self.precision.compute))
        return self._zeros(x) if narrows else x.astype(self.dtype, copy=False)

    def store(self, y: Array, operands: Sequence[Any] = (), exact: bool = False) -> Array:
        return y.astype(holder(self.precision.storage), copy=False)
