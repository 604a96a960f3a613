"""Functions of the array API that move, choose, search and order values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from halfsim.array_api._dtypes import adopted
from halfsim.autograd.numpy_protocol import numpy_functions
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import axes_of, axis_of, integer_tensor
from halfsim.autograd.tensor import Size, Tensor, numbers, plain
from halfsim.options import guarded_names

__all__ = [
    "argmax",
    "argmin",
    "argsort",
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "count_nonzero",
    "expand_dims",
    "flip",
    "moveaxis",
    "nonzero",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "searchsorted",
    "sort",
    "squeeze",
    "stack",
    "take",
    "take_along_axis",
    "tile",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "where",
]


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """The arrays in the shape that they have together."""
    return list(OPS["broadcast_tensors"](*arrays)) if arrays else []


def broadcast_to(x: Any, /, shape: Any) -> Tensor:
    """The array in another shape, repeated along axes of length 1."""
    try:
        return OPS["broadcast_to"](x, Size(shape))
    except ValueError:
        raise ValueError(f"shape: {shape} does not fit {x.shape}; allowed: shapes to which it broadcasts") from None


def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Tensor:
    """The arrays one after another along an axis, or flattened."""
    parts = adopted(*arrays)
    return OPS["cat"](parts if axis is not None else [OPS["reshape"](x, (-1,)) for x in parts], axis or 0)


def stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Tensor:
    """The arrays along a new axis."""
    return OPS["stack"](adopted(*arrays), axis)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis."""
    return tuple(OPS["unbind"](x, axis))


def expand_dims(x: Any, /, axis: int = 0) -> Tensor:
    """The array with an axis of length 1."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(f"axis: {axis} is not allowed; allowed: {-x.ndim - 1} to {x.ndim}")
    return OPS["unsqueeze"](x, axis)


def squeeze(x: Any, /, axis: Any) -> Tensor:
    """The array without axes of length 1; ``ValueError`` for a longer one."""
    axes = axes_of(axis, x.ndim)
    if any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"axis: {axis} of shape {x.shape} is not allowed; allowed: axes of length 1")
    return OPS["squeeze"](x, axes)


def flip(x: Any, /, *, axis: Any = None) -> Tensor:
    """The values in reverse order along axes, or all."""
    return OPS["flip"](x, axis)


def moveaxis(x: Any, source: Any, destination: Any, /) -> Tensor:
    """The axes ``source`` at the places ``destination``."""
    return OPS["moveaxis"](x, source, destination)


def permute_dims(x: Any, /, axes: Any) -> Tensor:
    """The axes in another order."""
    return OPS["permute"](x, tuple(axes))


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Every value (or slice along an axis) several times, one after another."""
    return OPS["repeat_interleave"](x, repeats, axis)


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """The values in C order in another shape."""
    y = OPS["reshape"](x, tuple(shape) if isinstance(shape, (tuple, list)) else (shape,))
    return Tensor(y.array.copy(), y.dtype) if copy and y.node is None else y


def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Tensor:
    """The values moved on along axes, those of the end to the beginning."""
    return OPS["roll"](x, shift, axis)


def tile(x: Any, repetitions: Any, /) -> Tensor:
    """The array several times along each axis."""
    return OPS["tile"](x, Size(repetitions))


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Tensor:
    """The slices at ``indices`` along an axis."""
    if axis is None and x.ndim != 1:
        raise ValueError(f"axis: None is not allowed for {x.ndim} axes; allowed: an axis")
    return numpy_functions["take"](x, indices, 0 if axis is None else axis)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Tensor:
    """The values at ``indices`` along an axis, where the other axes are broadcast."""
    along = axis_of(axis, x.ndim)
    both = np.broadcast_shapes(*(tuple(1 if a == along else n for a, n in enumerate(y.shape)) for y in (x, indices)))
    given = (OPS["expand"](y, [y.shape[a] if a == along else n for a, n in enumerate(both)]) for y in (x, indices))
    return OPS["take_along_dim"](*given, along)


def where(condition: Any, x1: Any, x2: Any, /) -> Tensor:
    """``x1`` where ``condition`` is true, else ``x2``."""
    return OPS["where"](condition, *(OPS["as_tensor"](x) for x in adopted(x1, x2)))


# Places.


def argmax(x: Any, /, *, axis: int | None = None, keepdims: Any = False) -> Tensor:
    """The place of the first of the largest values, along an axis or in the flattened array."""
    return OPS["argmax"](x, axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: Any = False) -> Tensor:
    """The place of the first of the smallest values, along an axis or in the flattened array."""
    return OPS["argmin"](x, axis, keepdims)


def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: Any = False) -> Tensor:
    """How many values are not zero."""
    return integer_tensor(np.asarray(np.count_nonzero(numbers(x), axis, keepdims=keepdims), np.int64))


def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """The places of the values that are not zero, for each axis."""
    if not x.ndim:
        raise ValueError("x: an array without axes is not allowed; allowed: at least one axis")
    return tuple(map(integer_tensor, np.nonzero(numbers(x))))


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Tensor:
    """Where each value of ``x2`` would be put into the vector ``x1`` in order."""
    if side not in ("left", "right"):
        raise ValueError(f"side: {side!r} is not allowed; allowed: 'left', 'right'")
    found = np.searchsorted(numbers(x1), numbers(x2), side, None if sorter is None else numbers(sorter))  # type: ignore[call-overload]
    return integer_tensor(np.asarray(found, np.int64))


# Order. NaN comes last; equal values keep their order.


def sort(x: Any, /, *, axis: int = -1, descending: Any = False, stable: Any = True) -> Tensor:
    """The values in order along an axis."""
    return OPS["sort"](x, axis, descending).values


def argsort(x: Any, /, *, axis: int = -1, descending: Any = False, stable: Any = True) -> Tensor:
    """The places that sort the values along an axis."""
    return OPS["argsort"](x, axis, descending)


# Sets: every NaN is a value of its own.


class UniqueAll(NamedTuple):
    """Different values, the first place of each, which of them each value is, and how often they occur."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Different values, and how often they occur."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Different values, and which of them each value is."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Any, /) -> UniqueAll:
    """The different values of the flattened array in order, with places and counts."""
    array = plain(x)
    found = np.unique(array, True, True, True, equal_nan=False)
    places, inverse, counts = (np.asarray(part, np.int64) for part in found[1:])
    values = OPS["reshape"](x, (-1,))[places]
    return UniqueAll(values, *map(integer_tensor, (places, inverse.reshape(array.shape), counts)))


def unique_counts(x: Any, /) -> UniqueCounts:
    """The different values, and how often they occur."""
    values, _, _, counts = unique_all(x)
    return UniqueCounts(values, counts)


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The different values, and which of them each value is."""
    values, _, inverse, _ = unique_all(x)
    return UniqueInverse(values, inverse)


def unique_values(x: Any, /) -> Tensor:
    """The different values."""
    return unique_all(x).values


guarded_names(globals(), __all__)
