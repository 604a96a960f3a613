"""Elements picked by index, and the places of elements; only sums of gradients round."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import axis_of, indices, integer_tensor, mask_of, named
from halfsim.autograd.ops._common import indices as indices_of
from halfsim.autograd.ops.shape import broadcast_to, reshape
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import bool_, uint8
from halfsim.numerics.quantize import Array

__all__ = [
    "argwhere",
    "gather",
    "getitem",
    "index_select",
    "masked_select",
    "nonzero",
    "nonzero_static",
    "take",
    "take_along_dim",
    "unravel_index",
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


@op(exact="forward", view=lambda index: _is_basic(index))
@named("getitem")
def _getitem(fp: Arithmetic, x: Array, /, index: Any) -> Any:
    shape = x.shape

    def pullback(fp: Arithmetic, g: Array) -> Array:
        if _is_basic(index):
            out = np.zeros(shape, g.dtype)
            out[index] = g
            return out
        where = np.arange(prod(shape)).reshape(shape)[index]
        return scatter_sum(fp, g.reshape(-1), where.reshape(-1), prod(shape)).reshape(shape)

    return pick(x, index), pullback


def getitem(input: Any, index: Any) -> Tensor:
    """``input[index]``; where an index array picks an element twice its gradients are added as ``accumulate`` says.

    Integers, slices, None and an ellipsis give a view, as in PyTorch, and are taken before indices that are arrays:
    ``x[0, :, [1, 2]]`` has the axis of the slice first, unlike NumPy's.
    """
    index = owned(index)
    parts = split_index(index, np.ndim(plain(input)))
    return _getitem(input, index) if parts is None else _getitem(_getitem(input, parts[0]), parts[1])


OPS["getitem"] = getitem


def split_index(index: Any, ndim: int) -> tuple[Any, Any] | None:
    """An index of integers beside arrays as two, the second of arrays; None for one that NumPy reads so."""
    if not isinstance(index, tuple) or not any(isinstance(part, np.ndarray) for part in index):
        return None
    numbers = [isinstance(part, (int, np.integer)) and not isinstance(part, bool) for part in index]
    taken = sum(_axes(part) for part in index)
    idle = ndim == taken and any(part is Ellipsis for part in index)  # an ellipsis that keeps nothing apart
    if not any(numbers) and not idle:
        return None
    first: list[Any] = []
    second: list[Any] = []
    for part, number in zip(index, numbers, strict=True):
        every = [slice(None)] * (ndim - taken if part is Ellipsis else _axes(part))
        first += [part] if part is None or number or isinstance(part, slice) else every
        if not number:
            second += [part] if isinstance(part, (np.ndarray, bool)) else every or [slice(None)] * (part is None)
    return tuple(first), tuple(second)


def _axes(part: Any) -> int:
    """How many axes a part of an index stands for."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == np.bool_ else 1


def pick(x: Array, index: Any) -> Array:
    try:
        if not _is_basic(index):
            return np.array(x[index])
        found = x[index]
        if not isinstance(found, np.ndarray):  # a number; of which an ellipsis makes an array that shares memory
            found = x[(*index, ...) if isinstance(index, tuple) else (index, ...)]
        return found
    except IndexError as error:
        raise IndexError(f"index: it does not fit shape {x.shape} ({error}); allowed: places of each axis") from None


def own_part(part: Any) -> Any:
    """A part of an index as it is now: arrays may change before the gradient needs them."""
    if isinstance(part, Tensor):
        if part.format is bool_:
            return part.array
        if part.format is uint8 and part.ndim:  # PyTorch's masks of old
            return part.array != 0
        return indices("index", part) if part.ndim else int(indices("index", part))
    if isinstance(part, (str, bytes, bytearray)):
        raise TypeError(f"index: {type(part).__name__} is not allowed; allowed: integers, slices, arrays of integers")
    if isinstance(part, list):
        return own_part(np.asarray([plain(item) for item in part])) if part else np.zeros(0, np.int64)
    if isinstance(part, np.ndarray):
        if part.dtype.kind not in "iub":
            raise IndexError(f"index: dtype {part.dtype} is not allowed; allowed: integers, bools")
        return plain(part).copy()
    if isinstance(part, slice):
        return slice(*(x if x is None else index_of(x) for x in (part.start, part.stop, part.step)))
    return part


def index_of(x: Any) -> int:
    """A bound of a slice."""
    try:
        return int(x.__index__())
    except AttributeError:
        raise TypeError(f"index: {type(x).__name__} is not allowed in a slice; allowed: integers, None") from None


def owned(index: Any) -> Any:
    return tuple(map(own_part, index)) if isinstance(index, tuple) else own_part(index)


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
    from_zero("index", where, np.shape(plain(input))[along])
    return getitem(input, (slice(None),) * along + (where.reshape(-1),))


def take(input: Any, index: Any) -> Tensor:
    """The elements ``index`` (any shape) of the flattened tensor."""
    flat = reshape(input, -1)
    return getitem(flat, within("index", indices("index", index), flat.size))


def gather(input: Any, dim: int, index: Any) -> Tensor:
    """``input[i, index[i, j], k]`` along ``dim``: the result has the shape of ``index``.

    ``index`` has as many axes as ``input`` and, but along ``dim``, is nowhere longer. Gradients of an element that is
    picked twice are added, each sum rounded. A number is a row of one.
    """
    shape, where = np.shape(plain(input)), indices("index", index)
    if not shape and where.ndim < 2:
        return reshape(gather(reshape(input, 1), dim, where.reshape(-1)), where.shape)
    along = axis_of(dim, len(shape))
    if not where.size:
        return getitem(reshape(input, -1), where)
    if where.ndim != len(shape) or any(where.shape[i] > n for i, n in enumerate(shape) if i != along):
        raise ValueError(f"index: shape {where.shape} does not fit input {shape}; allowed: no longer but along dim")
    places = list(np.ogrid[tuple(slice(n) for n in where.shape)])
    places[along] = from_zero("index", where, shape[along])
    return getitem(input, tuple(places))


def masked_select(input: Any, mask: Any) -> Tensor:
    """The values (N,) where ``mask`` is true, in C order; both broadcast."""
    chosen = mask_of("mask", mask)
    shape = np.broadcast_shapes(chosen.shape, np.shape(plain(input)))
    return getitem(broadcast_to(input, shape), np.broadcast_to(chosen, shape))


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """The elements at ``indices`` along ``dim`` (of the flattened tensor without one), as ``np.take_along_axis``."""
    where = plain(indices)
    if dim is None:
        return getitem(reshape(input, (-1,)), _integers(where).reshape(-1))
    shape = np.shape(plain(input))
    along = axis_of(dim, len(shape))
    if np.ndim(where) != len(shape):
        raise ValueError(f"indices: shape {np.shape(where)} does not fit input {shape}; allowed: as many axes")
    places = list(np.ogrid[tuple(slice(n) for n in shape)])
    places[along] = within("indices", _integers(where), shape[along])
    return getitem(input, tuple(places))


def _integers(values: Any) -> Array:
    return indices("indices", values)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places (N, ndim) of the values that are not zero, or with ``as_tuple`` a tensor for each axis."""
    found = np.nonzero(np.atleast_1d(numbers(input)))
    if as_tuple:
        return tuple(integer_tensor(axis) for axis in found)
    return integer_tensor(np.stack(found, 1)[:, : np.ndim(plain(input))])


def argwhere(input: Any) -> Tensor:
    """The places (N, ndim) of the values that are not zero."""
    return nonzero(input)


def within(name: str, where: Array, length: int) -> Array:
    if where.size and not -length <= where.min() <= where.max() < length:
        raise ValueError(f"{name}: {where.min()} to {where.max()} is not allowed; allowed: {-length} to {length - 1}")
    return where


def from_zero(name: str, where: Array, length: int) -> Array:
    if where.size and not 0 <= where.min() <= where.max() < length:
        raise ValueError(f"{name}: {where.min()} to {where.max()} is not allowed; allowed: 0 to {length - 1}")
    return where


def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """For each place, counted in C order through a tensor of ``shape``, its index along each axis (int64).

    >>> unravel_index([5], (2, 3))
    (tensor([1], int64), tensor([2], int64))
    """
    sizes = tuple(int(n) for n in np.atleast_1d(indices_of("shape", shape)))
    where = indices_of("indices", indices)
    if min(sizes, default=0) < 0:
        raise ValueError(f"shape: {sizes} is not allowed; allowed: integers from 0")
    if where.size and not 0 <= where.min() <= where.max() < prod(sizes):
        raise ValueError(f"indices: {where.min()} to {where.max()} is not allowed; allowed: 0 to {prod(sizes) - 1}")
    return tuple(integer_tensor(np.asarray(axis, np.int64)) for axis in np.unravel_index(where, sizes))


def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Tensor:
    """`nonzero` cut to ``size`` rows, or filled up with ``fill_value``."""
    if size < 0:
        raise ValueError(f"size: {size} is not allowed; allowed: integers from 0")
    found = nonzero(input).array[:size]
    rest = np.full((size - len(found), found.shape[1]), fill_value, np.int64)
    return integer_tensor(np.concatenate([found, rest]))
