"""Parts of a tensor: slices, pieces and windows. Only sums of gradients round."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import as_tensor, axis_of, indices, named
from halfsim.autograd.ops.index import getitem, scatter_sum
from halfsim.autograd.storage import View
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "as_strided",
    "dsplit",
    "hsplit",
    "narrow",
    "select",
    "tensor_split",
    "unbind",
    "unfold_dim",
    "vsplit",
]


def _shape(x: Any) -> tuple[int, ...]:
    return np.shape(plain(x))


def _along(name: str, input: Any, dim: int) -> int:
    if not _shape(input):
        raise ValueError(f"{name}: a number is not allowed; allowed: at least one dimension")
    return axis_of(dim, len(_shape(input)))


def narrow(input: Any, dim: int, start: int, length: int) -> Tensor:
    """``length`` slices along ``dim`` from ``start`` on, which may count from the end.

    >>> from halfsim import tensor
    >>> narrow(tensor([1.0, 2.0, 3.0]), 0, 1, 2)
    tensor([2., 3.], float32)
    """
    along = _along("narrow", input, dim)
    size = _shape(input)[along]
    first = int(indices("start", start))
    if not -size <= first <= size or not 0 <= length <= size - (first + size if first < 0 else first):
        raise ValueError(f"narrow: start {first}, length {length} do not fit an axis of {size}; allowed: a part of it")
    first = first + size if first < 0 else first
    return getitem(input, (slice(None),) * along + (slice(first, first + length),))


def select(input: Any, dim: int, index: int) -> Tensor:
    """The slice ``index`` along ``dim``, without that axis."""
    along = _along("select", input, dim)
    size = _shape(input)[along]
    if not -size <= index < size:
        raise ValueError(f"select: index {index} is not allowed; allowed: {-size} to {size - 1}")
    return getitem(input, (slice(None),) * along + (index,))


def unbind(input: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along ``dim``, without that axis.

    >>> from halfsim import tensor
    >>> unbind(tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    (tensor([1., 3.], float32), tensor([2., 4.], float32))
    """
    along = _along("unbind", input, dim)
    return tuple(getitem(input, (slice(None),) * along + (k,)) for k in range(_shape(input)[along]))


_MOST = 32_768  # parts, which are a tensor each


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """So many parts along ``dim``, the first ones longer by one if need be, or the parts between indices.

    >>> from halfsim import tensor
    >>> tensor_split(tensor([1.0, 2.0, 3.0]), 2), tensor_split(tensor([1.0, 2.0, 3.0]), (1,))
    ((tensor([1., 2.], float32), tensor([3.], float32)), (tensor([1.], float32), tensor([2., 3.], float32)))
    """
    along = _along("tensor_split", input, dim)
    given, size = indices("indices_or_sections", indices_or_sections), _shape(input)[along]
    if given.ndim > 1:
        raise ValueError(f"indices_or_sections: shape {given.shape} is not allowed; allowed: a number, or (N,)")
    if given.ndim:
        ends: list[Any] = [0, *given.tolist(), None]
    elif not 1 <= given <= _MOST:
        raise ValueError(f"tensor_split: {int(given)} sections are not allowed; allowed: integers from 1 to {_MOST}")
    else:
        sections, before = int(given), (slice(None),) * along
        ends = [k * (size // sections) + min(k, size % sections) for k in range(sections + 1)]
    before = (slice(None),) * along
    return tuple(getitem(input, (*before, slice(start, end))) for start, end in pairwise(ends))


def _split(name: str, input: Any, given: Any, dim: int, ndim: int) -> tuple[Tensor, ...]:
    shape = _shape(input)
    if len(shape) < ndim:
        raise ValueError(f"{name}: shape {shape} is not allowed; allowed: at least {ndim} dimensions")
    count = indices("indices_or_sections", given)
    if not count.ndim and (count < 1 or shape[dim] % count):
        raise ValueError(f"{name}: {count} sections of an axis of {shape[dim]} are not allowed; allowed: its divisors")
    return tensor_split(input, given, dim)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Equal parts of the columns (axis 1; of a vector axis 0), or the parts between indices."""
    return _split("hsplit", input, indices_or_sections, min(1, len(_shape(input)) - 1), 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Equal parts of the rows (axis 0), or the parts between indices."""
    return _split("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Equal parts along axis 2, or the parts between indices."""
    return _split("dsplit", input, indices_or_sections, 2, 3)


@op(exact="forward", view=True)
def unfold_dim(fp: Arithmetic, x: Array, /, dimension: int, size: int, step: int) -> Any:
    """All windows of ``size`` along an axis, one every ``step``, as a new last axis: PyTorch's ``Tensor.unfold``.

    The gradient of an element is the sum of those of its copies.

    >>> from halfsim import tensor
    >>> unfold_dim(tensor([1.0, 2.0, 3.0, 4.0]), 0, 2, 1)
    tensor([[1., 2.],
            [2., 3.],
            [3., 4.]], float32)
    """
    shape, row = x.shape, x if x.ndim else x.reshape(1)
    along = axis_of(dimension, row.ndim)
    if not 0 <= size <= row.shape[along] or step < 1:
        limit = row.shape[along]
        raise ValueError(f"unfold: size {size}, step {step} is not allowed; allowed: size 0 to {limit}, step from 1")
    starts = np.arange(0, row.shape[along] - size + 1, step)
    where = (starts[:, None] + np.arange(size)).reshape(-1)
    every = (slice(None),) * along + (slice(None, None, step),)
    windows = np.lib.stride_tricks.sliding_window_view(row, size, along)[every] if size else None

    def pullback(fp: Arithmetic, g: Array) -> Array:
        windows = np.moveaxis(g, (along, -1), (0, 1)) if shape else g[None]
        values = windows.reshape(-1, *windows.shape[2:])
        return np.moveaxis(scatter_sum(fp, values, where, row.shape[along]), 0, along).reshape(shape)

    if windows is None:
        windows = np.zeros((*row.shape[:along], len(starts), *row.shape[along + 1 :], 0), x.dtype)
    return windows if shape else windows[0], pullback


def as_strided(input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """Elements of ``input``, counted in C order: at (i, j) stands number ``storage_offset + i * stride[0] + j * ...``.

    Gradients of an element that is taken several times are added. ``ValueError`` for elements beyond the last, and for
    views whose elements lie in another order, since there is no memory layout here.

    >>> from halfsim import tensor
    >>> as_strided(tensor([1.0, 2.0, 3.0]), (2, 2), (1, 1))
    tensor([[1., 2.],
            [2., 3.]], float32)
    """
    x = as_tensor(input)
    return _as_strided(x, places=_strided_places(x, size, stride, storage_offset))


@op(exact="forward", view=lambda places: True)
@named("as_strided")
def _as_strided(fp: Arithmetic, x: Array, /, places: Any) -> Any:
    shape, where = x.shape, places.reshape(-1)
    return x.reshape(-1)[places], lambda fp, g: scatter_sum(fp, g.reshape(-1), where, prod(shape)).reshape(shape)


def _strided_places(x: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None) -> Array:
    """The places, counted through ``x`` in C order, of a strided part."""
    if len(size) != len(stride) or min(*size, *stride, storage_offset or 0, 0) < 0:
        given = f"size {tuple(size)}, stride {tuple(stride)}, offset {storage_offset}"
        raise ValueError(f"as_strided: {given} are not allowed; allowed: as many sizes as strides, integers from 0")
    if isinstance(x.storage, View) and (storage_offset or not x.array.flags.c_contiguous):
        raise ValueError("as_strided: a view of other elements has no layout here; allowed: x.contiguous().clone()")
    places = np.full(tuple(size), storage_offset or 0, np.int64)
    for axis, step in enumerate(stride):
        places += (np.arange(size[axis]) * step).reshape(-1, *[1] * (len(size) - axis - 1))
    if places.size and places.max() >= x.array.size:
        raise ValueError(f"as_strided: element {places.max()} is not there; allowed: 0 to {x.array.size - 1}")
    return places
