"""Operations that put tensors together, take them apart, repeat and pick. Only sums of gradients round."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from itertools import combinations as _combinations
from itertools import combinations_with_replacement as _repeated
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import as_tensor, axis_of, indices, named
from halfsim.autograd.ops.index import getitem, index_select
from halfsim.autograd.ops.shape import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    reshape,
    unsqueeze,
)
from halfsim.autograd.tape import SPECS, apply, op
from halfsim.autograd.tensor import Size, Tensor, plain
from halfsim.numerics.formats import unknown
from halfsim.numerics.quantize import Array
from halfsim.options import shown

__all__ = [
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cat",
    "chunk",
    "column_stack",
    "combinations",
    "concatenate",
    "dstack",
    "hstack",
    "meshgrid",
    "repeat",
    "repeat_interleave",
    "row_stack",
    "split",
    "split_with_sizes",
    "stack",
    "tile",
    "unsafe_chunk",
    "unsafe_split",
    "unsafe_split_with_sizes",
    "vstack",
]


@named("cat")
def _cat(fp: Arithmetic, /, *arrays: Array, axis: int) -> Any:
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
    if (
        isinstance(tensors, Tensor)
        or not isinstance(tensors, Sequence)
        or isinstance(tensors, (str, bytes, bytearray))
        or not tensors
    ):
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
        if isinstance(size, (set, frozenset, dict)):
            raise TypeError(f"split: {type(size).__name__} is not allowed; allowed: a length, a list of lengths")
        lengths = list(size)
        if sum(lengths) != length or min(lengths, default=0) < 0:
            raise ValueError(f"split: lengths {lengths} do not fit an axis of {length}; allowed: a sum of {length}")
    before = (slice(None),) * along
    return tuple(
        getitem(tensor, (*before, slice(end - n, end))) for n, end in zip(lengths, accumulate(lengths), strict=True)
    )


def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of the lengths ``split_sizes`` along ``dim``; see `split`."""
    return split(input, split_sizes, dim)


unsafe_split, unsafe_split_with_sizes = split, split_with_sizes


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` parts along ``dim``, all of one length but the last."""
    if chunks < 1:
        raise ValueError(f"chunk: {chunks} is not allowed; allowed: integers from 1")
    shape = np.shape(plain(input))
    length = shape[axis_of(dim, len(shape))]
    return split(input, -(-length // chunks), dim) if length else split(input, [0] * chunks, dim)


unsafe_chunk = chunk


@op(exact=True)
def tile(fp: Arithmetic, x: Array, /, dims: Any) -> Any:
    """``x`` repeated ``dims`` times along each axis (fewer numbers are for the last axes); gradients are summed."""
    reps: tuple[int, ...] = (int(dims),) if isinstance(dims, (int, np.integer)) else Size(dims)
    reps = (1,) * (x.ndim - len(reps)) + reps
    shape = (1,) * (len(reps) - x.ndim) + x.shape
    pairs, before = [n for pair in zip(reps, shape, strict=True) for n in pair], x.shape
    return np.tile(x, reps), lambda fp, g: fp.sum(g.reshape(pairs), tuple(range(0, len(pairs), 2))).reshape(before)


def repeat(input: Any, *sizes: Any) -> Tensor:
    """``x.repeat(2, 3)`` of PyTorch: `tile` with at least one number for each axis."""
    reps = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes
    shape = np.shape(plain(input))
    if isinstance(reps, (str, bytes, bytearray, set, frozenset, dict)) or not all(
        hasattr(n, "__index__") for n in reps
    ):
        raise TypeError(f"sizes: {shown(reps)} is not allowed; allowed: integers")
    if len(reps) < len(shape):
        raise ValueError(f"repeat: {tuple(reps)} does not fit input {shape}; allowed: a number for each axis")
    return tile(input, tuple(reps))


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Every element (along ``dim``; flattened without it) ``repeats`` times, one after another, as ``np.repeat``.

    ``repeats`` is an integer or one for each; ``output_size`` is their sum, for those who know it.
    """
    shape = np.shape(plain(input)) if dim is not None else (prod(np.shape(plain(input))),)
    along = axis_of(0 if dim is None else dim, len(shape))
    x = reshape(input, shape or (1,))
    counts, size = indices("repeats", repeats), x.shape[along]
    if counts.ndim > 1 or (counts.size != 1 and counts.size != size) or (counts < 0).any():
        raise ValueError(f"repeats: {counts.size} for an axis of {size} do not fit; allowed: one each, from 0, or one")
    most = 2**48 // max(size, 1)
    if counts.size and int(counts.max()) > most:  # which NumPy does not survive
        raise ValueError(f"repeats: {int(counts.max())} is not allowed; allowed: up to {most}")
    where = np.repeat(np.arange(size), counts)
    if output_size is not None and output_size != len(where):
        raise ValueError(f"output_size: {output_size} is not allowed; allowed: {len(where)}, the sum of repeats")
    return index_select(x, along, where)


def hstack(tensors: Sequence[Any]) -> Tensor:
    """The tensors side by side: along axis 1, vectors (and numbers) along axis 0.

    >>> from halfsim import tensor
    >>> hstack((tensor([1.0]), tensor([2.0, 3.0])))
    tensor([1., 2., 3.], float32)
    """
    given = atleast_1d(_some("hstack", tensors))
    return concatenate(given, 0 if given[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Tensor:
    """The tensors one above another: along axis 0, vectors as rows."""
    return concatenate(atleast_2d(_some("vstack", tensors)), 0)


row_stack = vstack


def dstack(tensors: Sequence[Any]) -> Tensor:
    """The tensors one behind another: along axis 2, vectors (N,) as (1, N, 1), matrices as (M, N, 1)."""
    return concatenate(atleast_3d(_some("dstack", tensors)), 2)


def column_stack(tensors: Sequence[Any]) -> Tensor:
    """The tensors side by side along axis 1, vectors and numbers as columns."""
    given = _some("column_stack", tensors)
    return concatenate([reshape(x, (-1, 1)) if np.ndim(plain(x)) < 2 else x for x in given], 1)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Each tensor broadcast to the shape that all have in common."""
    given = [np.shape(plain(x)) for x in tensors]
    try:
        shape = np.broadcast_shapes(*given)
    except ValueError:
        listed = " and ".join(map(str, given))
        raise ValueError(f"broadcast_tensors: shapes {listed} do not fit; allowed: shapes that broadcast") from None
    return tuple(broadcast_to(x, shape) for x in tensors)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The vectors, each along an axis of its own and constant along those of the others.

    ``indexing`` "xy" swaps the first two axes, as for a picture.

    >>> from halfsim import tensor
    >>> [x.shape for x in meshgrid(tensor([1.0, 2.0]), tensor([1.0, 2.0, 3.0]))]
    [(2, 3), (2, 3)]
    """
    given = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise unknown("indexing", indexing, ("ij", "xy"))
    if not given or any(np.ndim(plain(x)) > 1 for x in given):
        raise ValueError("meshgrid: allowed: at least one vector or number, and nothing else")
    if len({x.format for x in given if isinstance(x, Tensor)}) > 1:
        raise ValueError("meshgrid: tensors of several formats are not allowed; allowed: one format")
    swapped = indexing == "xy" and len(given) > 1
    given = [given[1], given[0], *given[2:]] if swapped else given
    shape = tuple(max(1, np.size(plain(x))) if not np.ndim(plain(x)) else len(plain(x)) for x in given)
    grids = [
        broadcast_to(reshape(x, [n if i == k else 1 for i in range(len(shape))]), shape)
        for k, (x, n) in enumerate(zip(given, shape, strict=True))
    ]
    return (grids[1], grids[0], *grids[2:]) if swapped else tuple(grids)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All choices of one element from each vector, as rows; of one vector the vector.

    >>> from halfsim import tensor
    >>> cartesian_prod(tensor([1.0, 2.0]), tensor([5.0]))
    tensor([[1., 5.],
            [2., 5.]], float32)
    """
    if any(np.ndim(plain(x)) != 1 for x in tensors) or not tensors:
        raise ValueError("cartesian_prod: allowed: at least one vector, and nothing else")
    if len(tensors) == 1:
        return as_tensor(tensors[0])
    return stack([reshape(x, -1) for x in meshgrid(*tensors)], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to choose ``r`` elements of a vector, in their order, as rows.

    >>> from halfsim import tensor
    >>> combinations(tensor([1.0, 2.0, 3.0]))
    tensor([[1., 2.],
            [1., 3.],
            [2., 3.]], float32)
    """
    shape = np.shape(plain(input))
    if len(shape) != 1 or r < 0:
        raise ValueError(f"combinations: r={r} of an input {shape} is not allowed; allowed: a vector, r from 0")
    choose = _repeated if with_replacement else _combinations
    found = list(choose(range(shape[0]), r))
    places = np.array(found, np.int64).reshape(len(found), r)
    return getitem(input, places if r else slice(0, 0))


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of the given shapes (tuples or integers) are broadcast to.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    if any(isinstance(shape, (str, bytes, bytearray)) for shape in shapes):
        raise TypeError(f"shapes: {shown(shapes)} are not allowed; allowed: tuples of integers, integers")
    try:
        return Size(np.broadcast_shapes(*shapes))
    except ValueError:
        raise ValueError(f"shapes: {shown(shapes)} do not fit; allowed: shapes that broadcast") from None
