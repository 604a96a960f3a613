"""Places that are counted through a tensor, and slices that are combined at places."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.ops._common import indices as whole_indices
from halfsim.autograd.ops._common import integer_tensor
from halfsim.autograd.ops.index import nonzero, reduced, slices
from halfsim.autograd.ops.shape import reshape
from halfsim.autograd.tensor import Size, Tensor, plain

__all__ = ["broadcast_shapes", "index_reduce", "nonzero_static", "unravel_index"]


def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """For each place, counted in C order through a tensor of ``shape``, its index along each axis (int64).

    >>> unravel_index([5], (2, 3))
    (tensor([1], int64), tensor([2], int64))
    """
    sizes = tuple(int(n) for n in np.atleast_1d(whole_indices("shape", shape)))
    where = whole_indices("indices", indices)
    if min(sizes, default=0) < 0:
        raise ValueError(f"shape: {sizes} is not allowed; allowed: integers from 0")
    if where.size and not 0 <= where.min() <= where.max() < prod(sizes):
        raise ValueError(f"indices: {where.min()} to {where.max()} is not allowed; allowed: 0 to {prod(sizes) - 1}")
    return tuple(integer_tensor(np.asarray(axis, np.int64)) for axis in np.unravel_index(where, sizes))


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of the given shapes (tuples or integers) are broadcast to.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    try:
        return Size(np.broadcast_shapes(*shapes))
    except ValueError:
        raise ValueError(f"shapes: {shapes} do not fit; allowed: shapes that broadcast") from None


def index_reduce(input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """The slices of ``source`` combined at ``index`` along ``dim`` by ``reduce`` (prod, mean, amax, amin).

    With ``include_self`` those of ``input`` take part.

    >>> from halfsim import tensor
    >>> index_reduce(tensor([1.0, 2.0]), 0, [0, 0], tensor([3.0, 5.0]), "prod")
    tensor([15.,  2.], float32)
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ValueError(f"reduce: {reduce!r} is not allowed; allowed: prod, mean, amax, amin")
    shape = np.shape(plain(input))
    x = input if shape else reshape(input, (1,))
    places = np.arange(prod(x.shape)).reshape(x.shape)[slices("index_reduce", x, dim, index)]
    if prod(np.shape(plain(source))) != places.size:
        given = np.shape(plain(source))
        raise ValueError(f"source: shape {given} does not fit {places.shape}; allowed: the slices' shape")
    return reshape(reduced(x, reshape(source, places.shape), places, reduce, include_self), shape)


def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Tensor:
    """`nonzero` cut to ``size`` rows, or filled up with ``fill_value``."""
    if size < 0:
        raise ValueError(f"size: {size} is not allowed; allowed: integers from 0")
    found = nonzero(input).array[:size]
    rest = np.full((size - len(found), found.shape[1]), fill_value, np.int64)
    return integer_tensor(np.concatenate([found, rest]))
