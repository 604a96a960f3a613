"""Elements picked by index, and put or added at places; only sums round."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import axis_of, indices
from halfsim.autograd.ops.shape import reshape
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "gather",
    "getitem",
    "index_select",
    "take",
]


def scatter_sum(fp: Arithmetic, values: Array, where: Array, size: int) -> Array:
    """(size, ...): row k the sum of the rows i of ``values`` (N, ...) with ``where[i] == k``, 0 where there are none.

    ``where`` (N,) holds integers from 0 to size - 1. The rows of one sum are taken in their order and accumulated as
    ``accumulate`` says; a single row stays as it is. Sums of equally many rows are formed together.
    """
    out = np.zeros((size, *values.shape[1:]), values.dtype)
    counts = np.bincount(where, minlength=size)
    if counts.max(initial=0) <= 1:
        out[where] = values
        return out
    order = np.argsort(where, kind="stable")
    ends = np.cumsum(counts)
    for count in np.unique(counts[counts > 0]):
        (rows,) = np.nonzero(counts == count)
        picked = order[(ends[rows] - count) + np.arange(count)[:, None]]  # (count, rows)
        out[rows] = values[picked[0]] if count == 1 else fp.sum(values[picked], 0)
    return out


@op(exact="forward")
def getitem(fp: Arithmetic, x: Array, /, index: Any) -> Any:
    """``x[index]``; where an index array picks an element twice its gradients are added as ``accumulate`` says."""
    shape, index = x.shape, tuple(map(_own, index)) if isinstance(index, tuple) else _own(index)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        if _is_basic(index):
            out = np.zeros(shape, g.dtype)
            out[index] = g
            return out
        where = np.arange(prod(shape)).reshape(shape)[index]
        return scatter_sum(fp, g.reshape(-1), where.reshape(-1), prod(shape)).reshape(shape)

    return np.array(x[index]), pullback


def _own(part: Any) -> Any:
    """A part of an index as it is now: arrays may change before the gradient needs them."""
    return indices("index", part) if isinstance(part, Tensor) else part.copy() if isinstance(part, np.ndarray) else part


def _is_basic(index: Any) -> bool:
    """Whether ``index`` is made of integers, slices, None and an ellipsis, and so picks no element twice."""
    parts = index if isinstance(index, tuple) else (index,)
    integers = (int, np.integer, slice, type(None), type(...))
    return all(isinstance(part, integers) and not isinstance(part, bool) for part in parts)


def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """The slices ``index`` (N,) along ``dim``; gradients of one taken twice are added, each sum rounded.

    A number has one slice, and stays a number.
    """
    along, where = axis_of(dim, np.ndim(plain(input))), indices("index", index)
    if where.ndim > 1 or (where.size != 1 and not np.ndim(plain(input))):
        raise ValueError(f"index: shape {where.shape} is not allowed; allowed: (N,), (1,) for a number")
    if not np.ndim(plain(input)):
        return gather(input, dim, where.reshape(()))
    _check("index", where, np.shape(plain(input))[along])
    return getitem(input, (slice(None),) * along + (where.reshape(-1),))


def take(input: Any, index: Any) -> Tensor:
    """The elements ``index`` (any shape) of the flattened tensor."""
    flat = reshape(input, -1)
    return getitem(flat, _check("index", indices("index", index), flat.size))


def gather(input: Any, dim: int, index: Any) -> Tensor:
    """``input[i, index[i, j], k]`` along ``dim``: the result has the shape of ``index``.

    ``index`` has as many axes as ``input`` and, but along ``dim``, is nowhere longer. Gradients of an element that is
    picked twice are added, each sum rounded. A number is a row of one.
    """
    shape, where = np.shape(plain(input)), indices("index", index)
    if not shape and where.ndim < 2:
        return reshape(gather(reshape(input, 1), dim, where.reshape(-1)), where.shape)
    along = axis_of(dim, len(shape))
    if where.ndim != len(shape) or any(where.shape[i] > n for i, n in enumerate(shape) if i != along):
        raise ValueError(f"index: shape {where.shape} does not fit input {shape}; allowed: no longer but along dim")
    places = list(np.ogrid[tuple(slice(n) for n in where.shape)])
    places[along] = _check("index", where, shape[along])
    return getitem(input, tuple(places))


def _check(name: str, where: Array, length: int) -> Array:
    if where.size and not -length <= where.min() <= where.max() < length:
        raise ValueError(f"{name}: {where.min()} to {where.max()} is not allowed; allowed: {-length} to {length - 1}")
    return where
