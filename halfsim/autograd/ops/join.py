"""Operations that put tensors together, take them apart, repeat and pick. Only sums of gradients round."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import axis_of, named
from halfsim.autograd.ops.index import getitem, index_select
from halfsim.autograd.ops.shape import reshape, unsqueeze
from halfsim.autograd.tape import SPECS, apply, op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array

__all__ = [
    "cat",
    "chunk",
    "concatenate",
    "repeat",
    "repeat_interleave",
    "split",
    "stack",
    "tile",
]


@named("cat")
def _cat(fp: Arithmetic, /, *arrays: Array, axis: int = 0) -> Any:
    shapes = [x.shape for x in arrays]
    filled = [shape for shape in shapes if shape != (0,)] or [(0,)]
    along = axis_of(axis, len(filled[0]))
    rest = {(*shape[:along], None, *shape[along + 1 :]) for shape in filled}
    if len(rest) > 1 or not len(filled[0]):
        raise ValueError(
            f"cat: shapes {' and '.join(map(str, shapes))} do not fit; allowed: equal ones but for the axis"
        )
    lengths = [shape[along] if shape in filled else 0 for shape in shapes]
    y = np.concatenate([x for x in arrays if x.shape in filled], along)
    return y, tuple(
        _part(along, stop - n, stop, x) for x, n, stop in zip(shapes, lengths, accumulate(lengths), strict=True)
    )


def _part(along: int, start: int, stop: int, shape: tuple[int, ...]) -> Any:
    place = (slice(None),) * along + (slice(start, stop),)
    return lambda fp, g: g[place].reshape(shape)


op(exact=True)(_cat)  # it takes any number of operands, so that `concatenate` calls `apply` itself
_CAT = SPECS["cat"]


def concatenate(tensors: Sequence[Any], dim: int = 0, axis: int | None = None) -> Tensor:
    """The tensors one after another along ``dim``, in the widest of their formats.

    All shapes agree but for ``dim``; an empty vector fits everywhere, as in PyTorch. ``ValueError`` for others and
    for no tensors.

    >>> from halfsim import tensor
    >>> concatenate([tensor([1.0], "fp16"), tensor([2.0], "fp32")])
    tensor([1., 2.], float32)
    """
    given = _some("cat", tensors)
    return apply(_CAT, given, (), {"axis": dim if axis is None else axis})


cat = OPS["cat"] = concatenate


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, one after another along a new axis ``dim``; composed of `unsqueeze` and `cat`."""
    given = _some("stack", tensors)
    shapes = {np.shape(plain(x)) for x in given}
    if len(shapes) > 1:
        raise ValueError(f"stack: shapes {' and '.join(map(str, sorted(shapes)))} do not fit; allowed: one shape")
    place = axis_of(dim, len(shapes.pop()) + 1)
    return concatenate([unsqueeze(x, place) for x in given], place)


def _some(name: str, tensors: Any) -> list[Any]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, Sequence) or not len(tensors):
        raise ValueError(
            f"{name}: {type(tensors).__name__} is not allowed; allowed: a list or tuple with tensors in it"
        )
    if any(x is None for x in tensors):
        raise TypeError(f"{name}: a tensor is missing; allowed: tensors, arrays, numbers")
    return list(tensors)


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of one length along ``dim`` (the last may be shorter), or of the lengths in a list.

    >>> import numpy as np
    >>> [part.shape for part in split(np.zeros(5), 2)], [part.shape for part in split(np.zeros(5), [1, 4])]
    ([(2,), (2,), (1,)], [(1,), (4,)])
    """
    shape = np.shape(plain(tensor))
    along = axis_of(dim, len(shape))
    size, length = split_size_or_sections, shape[along]
    if isinstance(size, (int, np.integer)):
        if size < 1:
            raise ValueError(f"split: {size} is not allowed; allowed: lengths from 1")
        lengths = [min(size, length - i) for i in range(0, length, size)] or [0]
    else:
        lengths = list(size)
        if sum(lengths) != length or min(lengths, default=0) < 0:
            raise ValueError(f"split: lengths {lengths} do not fit an axis of {length}; allowed: a sum of {length}")
    before = (slice(None),) * along
    return tuple(
        getitem(tensor, (*before, slice(end - n, end))) for n, end in zip(lengths, accumulate(lengths), strict=True)
    )


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` parts along ``dim``, all of one length but the last."""
    if chunks < 1:
        raise ValueError(f"chunk: {chunks} is not allowed; allowed: integers from 1")
    shape = np.shape(plain(input))
    length = shape[axis_of(dim, len(shape))]
    return split(input, -(-length // chunks), dim) if length else split(input, [0] * chunks, dim)


@op(exact=True)
def tile(fp: Arithmetic, x: Array, /, dims: Any) -> Any:
    """``x`` repeated ``dims`` times along each axis (fewer numbers are for the last axes); gradients are summed."""
    reps = (dims,) if isinstance(dims, (int, np.integer)) else tuple(dims)
    reps = (1,) * (x.ndim - len(reps)) + reps
    shape = (1,) * (len(reps) - x.ndim) + x.shape
    pairs, before = [n for pair in zip(reps, shape, strict=True) for n in pair], x.shape
    return np.tile(x, reps), lambda fp, g: fp.sum(g.reshape(pairs), tuple(range(0, len(pairs), 2))).reshape(before)


def repeat(input: Any, *sizes: Any) -> Tensor:
    """``x.repeat(2, 3)`` of PyTorch: `tile` with at least one number for each axis."""
    reps = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes
    shape = np.shape(plain(input))
    if len(reps) < len(shape):
        raise ValueError(f"repeat: {tuple(reps)} does not fit input {shape}; allowed: a number for each axis")
    return tile(input, tuple(reps))


def repeat_interleave(input: Any, repeats: int, dim: int | None = None) -> Tensor:
    """Every element (along ``dim``; flattened without it) ``repeats`` times, one after another, as ``np.repeat``."""
    shape = np.shape(plain(input)) if dim is not None else (prod(np.shape(plain(input))),)
    along = axis_of(0 if dim is None else dim, len(shape))
    return index_select(reshape(input, shape), along, np.repeat(np.arange(shape[along]), repeats))
