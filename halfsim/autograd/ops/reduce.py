"""Reductions, accumulated as the precision in force says."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.tape import op
from halfsim.numerics.quantize import Array


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    axes = tuple(range(ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ValueError(f"axis: {a} is not allowed; allowed: {-ndim} to {ndim - 1} for {ndim} dimensions")
    return tuple(a % ndim for a in axes)


def _spread(g: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """A reduction's gradient on every element it was made from."""
    return np.broadcast_to(g.reshape([1 if i in axes else n for i, n in enumerate(shape)]), shape)


@op("fp32")
def sum(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over ``axis`` (an int, a tuple, None for all)."""
    axes = _axes(axis, x.ndim)
    return fp.sum(x, axes, keepdims), lambda fp, g: _spread(g, x.shape, axes)


@op()
def mean(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over ``axis``, then one division by the number of terms; NaN where there are none."""
    axes = _axes(axis, x.ndim)
    n = fp.constant(prod(x.shape[a] for a in axes))
    return fp.div(fp.sum(x, axes, keepdims), n), lambda fp, g: _spread(fp.div(g, n), x.shape, axes)


@op(exact=True)
def max(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest value over ``axis``; the gradient goes to the first of equal ones."""
    axes = _axes(axis, x.ndim)
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    rows = x.transpose(kept + axes).reshape(*(x.shape[a] for a in kept), -1)
    first = np.expand_dims(rows.argmax(-1), -1)
    y = np.take_along_axis(rows, first, -1)[..., 0]

    def pullback(fp: Arithmetic, g: Array) -> Array:
        out = np.zeros(rows.shape, g.dtype)
        np.put_along_axis(out, first, g.reshape(*y.shape, 1), -1)
        moved = out.reshape([x.shape[a] for a in kept + axes])
        return moved.transpose(np.argsort(kept + axes))

    return y.reshape([1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdims else y, pullback
