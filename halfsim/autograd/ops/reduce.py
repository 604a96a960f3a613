"""Reductions, accumulated as the precision in force says."""

from __future__ import annotations

from math import prod
from operator import index
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic, Axis
from halfsim.autograd.tape import op
from halfsim.numerics.quantize import Array


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    axes = tuple(range(ndim)) if axis is None else tuple(axis) if isinstance(axis, tuple) else (index(axis),)
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
    axes, shape = _axes(axis, x.ndim), x.shape
    return fp.sum(x, axes, keepdims), lambda fp, g: _spread(g, shape, axes)


@op()
def mean(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over ``axis``, then one division by the number of terms; NaN where there are none."""
    axes, shape = _axes(axis, x.ndim), x.shape
    n = fp.constant(prod(shape[a] for a in axes))
    return fp.div(fp.sum(x, axes, keepdims), n), lambda fp, g: _spread(fp.div(g, n), shape, axes)


@op()
def var(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False, correction: float = 1) -> Any:
    """``sum((x - mean)**2) / (n - correction)`` in the steps mean, difference, square, sum, division."""
    axes, shape = _axes(axis, x.ndim), x.shape
    count = prod(shape[a] for a in axes)
    n, free = fp.constant(count), fp.constant(count - correction)
    d = fp.sub(x, fp.div(fp.sum(x, axes, keepdims=True), n))
    y = fp.div(fp.sum(fp.mul(d, d), axes, keepdims), free)
    two = fp.constant(2)
    return y, lambda fp, g: fp.mul(fp.mul(d, two), _spread(fp.div(g, free), shape, axes))


@op("fp32")
def norm(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The Euclidean norm ``sqrt(sum(x * x))``; at zero its gradient is 0, as in PyTorch."""
    axes, shape = _axes(axis, x.ndim), x.shape
    y = fp.sqrt(fp.sum(fp.mul(x, x), axes, keepdims))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        whole = _spread(y, shape, axes)
        return fp.keep(fp.div(fp.mul(x, _spread(g, shape, axes)), whole), whole != 0)

    return y, pullback


@op("fp32")
def cumsum(fp: Arithmetic, x: Array, /, axis: int = 0) -> Any:
    """The running sums along ``axis``, each formed as ``accumulate`` says."""
    (along,) = _axes(axis, x.ndim)
    return fp.cumsum(x, along), lambda fp, g: np.flip(fp.cumsum(np.flip(g, along), along), along)


@op(exact=True)
def max(fp: Arithmetic, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest value over ``axis``; the gradient goes to the first of equal ones."""
    axes, shape = _axes(axis, x.ndim), x.shape
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    if x.size == 0 and any(shape[a] == 0 for a in axes):
        raise ValueError(f"axis: {axis} of an input {shape} has no elements; allowed: axes with elements")
    rows = x.transpose(kept + axes).reshape(*(shape[a] for a in kept), prod(shape[a] for a in axes))
    first, flat = np.expand_dims(rows.argmax(-1), -1), rows.shape

    def pullback(fp: Arithmetic, g: Array) -> Array:
        out = np.zeros(flat, g.dtype)
        np.put_along_axis(out, first, g.reshape(first.shape), -1)
        return out.reshape([shape[a] for a in kept + axes]).transpose(np.argsort(kept + axes))

    y = np.take_along_axis(rows, first, -1)
    return y.reshape([1 if a in axes else n for a, n in enumerate(shape) if keepdims or a in kept]), pullback
