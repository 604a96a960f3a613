"""Operations that move values and never round."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import axes_of, axis_of, indices, named
from halfsim.autograd.ops.sparse import scatter_sum
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, plain
from halfsim.numerics.quantize import Array


@op(exact=True)
def reshape(fp: Arithmetic, x: Array, /, shape: Any) -> Any:
    """The values in C order in another shape, of which one number may be -1: whatever is left."""
    before = x.shape
    try:
        return x.reshape(shape), lambda fp, g: g.reshape(before)
    except ValueError:
        raise ValueError(f"reshape: shape {shape} does not fit input {before}; allowed: the same number") from None


@op(exact=True)
@named("transpose")
def _transpose(fp: Arithmetic, x: Array, /, axes: tuple[int, ...] | None = None) -> Any:
    if axes is None:
        return x.transpose(), lambda fp, g: g.transpose()
    order = axes_of(axes, x.ndim)
    if len(order) == 2 != x.ndim:
        order = tuple({order[0]: order[1], order[1]: order[0]}.get(i, i) for i in range(x.ndim))
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"transpose: axes {axes} do not fit input {x.shape}; allowed: two axes, or each axis once")
    back = tuple(np.argsort(order))
    return x.transpose(order), lambda fp, g: g.transpose(back)


def transpose(input: Any, *axes: Any, dim0: int | None = None, dim1: int | None = None) -> Tensor:
    """Axes reordered: all reversed, as a tuple says (as in NumPy), or two of them swapped (as in PyTorch).

    ``transpose(x)`` reverses, ``transpose(x, (2, 0, 1))`` and ``transpose(x, 2, 0, 1)`` permute, and
    ``transpose(x, 0, 1)`` swaps two axes of any number. A tuple of two does that as well for more than two dimensions.

    >>> import numpy as np
    >>> x = np.zeros((2, 3, 4))
    >>> transpose(x).shape, transpose(x, (2, 0, 1)).shape, transpose(x, 0, 1).shape
    ((4, 3, 2), (4, 2, 3), (3, 2, 4))
    """
    order: Any = (dim0, dim1) if dim0 is not None and dim1 is not None else axes
    if len(order) == 1:
        return _transpose(input, None if order[0] is None else tuple(order[0]))
    if len(order) == 2:
        return swapaxes(input, *order)
    return _transpose(input, tuple(order) or None)


OPS["transpose"] = transpose


def permute(input: Any, dims: Any) -> Tensor:
    """The axes in the order ``dims``, each once.

    >>> import numpy as np
    >>> permute(np.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    if len(dims) != np.ndim(plain(input)):
        raise ValueError(f"permute: dims {tuple(dims)} do not fit input {np.shape(plain(input))}; allowed: each once")
    return _transpose(input, tuple(dims))


def swapaxes(input: Any, axis0: int, axis1: int) -> Tensor:
    """Two axes swapped.

    >>> import numpy as np
    >>> swapaxes(np.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    ndim = np.ndim(plain(input))
    a, b = axis_of(axis0, ndim), axis_of(axis1, ndim)
    return _transpose(input, tuple({a: b, b: a}.get(i, i) for i in range(ndim)))


def moveaxis(input: Any, source: Any, destination: Any) -> Tensor:
    """The axes ``source`` (an int or a tuple) at the places ``destination``; the others keep their order.

    >>> import numpy as np
    >>> moveaxis(np.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    ndim = np.ndim(plain(input))
    given, places = axes_of(source, ndim), axes_of(destination, ndim)
    if len({*given}) != len(given) or len(given) != len(places) or len({*places}) != len(places):
        raise ValueError(f"moveaxis: {source} to {destination} is not allowed; allowed: as many places as axes, once")
    order = [i for i in range(ndim) if i not in given]
    for place, axis in sorted(zip(places, given, strict=True)):
        order.insert(place, axis)
    return _transpose(input, tuple(order))


def squeeze(input: Any, dim: Any = None) -> Tensor:
    """Without the axes of length 1, all or those of ``dim`` (an int or a tuple) that have it."""
    shape = np.shape(plain(input))
    chosen = axes_of(dim, len(shape))
    return reshape(input, tuple(n for i, n in enumerate(shape) if i not in chosen or n != 1))


def unsqueeze(input: Any, dim: int) -> Tensor:
    """With an axis of length 1 at ``dim``, from -ndim - 1 to ndim."""
    shape = np.shape(plain(input))
    place = axis_of(dim, len(shape) + 1)
    return reshape(input, (*shape[:place], 1, *shape[place:]))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from ``start_dim`` to ``end_dim`` as one; a number becomes a vector.

    >>> import numpy as np
    >>> flatten(np.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = np.shape(plain(input))
    start, end = axis_of(start_dim, len(shape)), axis_of(end_dim, len(shape))
    if start > end:
        raise ValueError(f"start_dim: {start_dim} comes after end_dim {end_dim}; allowed: start_dim <= end_dim")
    return reshape(input, (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(input: Any, dim: int, sizes: Any) -> Tensor:
    """The axis ``dim`` as several of ``sizes``, one of which may be -1."""
    shape = np.shape(plain(input))
    place = axis_of(dim, len(shape))
    rest = prod(n for n in sizes if n != -1)
    full = tuple(shape[place] // (rest or 1) if n == -1 else n for n in sizes)
    if prod(full) != shape[place] or list(sizes).count(-1) > 1:
        raise ValueError(f"sizes: {tuple(sizes)} do not fit an axis of length {shape[place]}; allowed: its factors")
    return reshape(input, (*shape[:place], *full, *shape[place + 1 :]))


@op(exact=True)
def broadcast_to(fp: Arithmetic, x: Array, /, shape: Any) -> Any:
    """``x`` repeated along new axes and along those of length 1, without a copy; the gradient is their sum."""
    return np.broadcast_to(x, shape), lambda fp, g: g


def expand(input: Any, *sizes: Any) -> Tensor:
    """`broadcast_to` the given sizes (several ints or a tuple), where -1 keeps an axis as it is."""
    wanted = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes
    shape = np.shape(plain(input))
    own = (None,) * (len(wanted) - len(shape)) + shape
    if len(wanted) < len(shape) or any(n == -1 and m is None for n, m in zip(wanted, own, strict=True)):
        raise ValueError(f"expand: sizes {tuple(wanted)} do not fit input {shape}; allowed: -1 only for its own axes")
    return broadcast_to(input, tuple(m if n == -1 else n for n, m in zip(wanted, own, strict=True)))


@op(exact=True)
def flip(fp: Arithmetic, x: Array, /, dims: Any = None) -> Any:
    """The elements in reverse order along ``dims`` (an int, a tuple, None for all)."""
    axes = axes_of(dims, x.ndim)
    return np.flip(x, axes), lambda fp, g: np.flip(g, axes)


@op(exact=True)
def roll(fp: Arithmetic, x: Array, /, shifts: Any, dims: Any = None) -> Any:
    """The elements moved on by ``shifts`` along ``dims``, the last ones to the front; flattened without ``dims``."""
    if dims is not None and not x.ndim:
        raise ValueError(f"roll: dims {dims} of a number is not allowed; allowed: None")
    axes = None if dims is None else axes_of(dims, x.ndim)
    back = tuple(-n for n in shifts) if isinstance(shifts, (tuple, list)) else -shifts
    return np.roll(x, shifts, axes), lambda fp, g: np.roll(g, back, axes)


@op(exact=True)
def tril(fp: Arithmetic, x: Array, /, diagonal: int = 0) -> Any:
    """The last two axes' elements on and below a diagonal, zeros above it."""
    return _triangle(fp, x, _below(x, diagonal))


@op(exact=True)
def triu(fp: Arithmetic, x: Array, /, diagonal: int = 0) -> Any:
    """The last two axes' elements on and above a diagonal, zeros below it."""
    return _triangle(fp, x, ~_below(x, diagonal - 1))


def _triangle(fp: Arithmetic, x: Array, mask: Array) -> Any:
    return fp.keep(x, mask), lambda fp, g: fp.keep(g, mask)


def _below(x: Array, diagonal: int) -> Array:
    if x.ndim < 2:
        raise ValueError(f"x: shape {x.shape} is not allowed; allowed: at least two dimensions")
    return np.tri(x.shape[-2], x.shape[-1], diagonal, dtype=np.bool_)


@op(exact=True)
def diagonal(fp: Arithmetic, x: Array, /, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of the axes ``dim1`` and ``dim2``, as the last axis."""
    shape, pair = x.shape, (axis_of(dim1, x.ndim), axis_of(dim2, x.ndim))
    if pair[0] == pair[1] or x.ndim < 2:
        raise ValueError(f"diagonal: dim1={dim1}, dim2={dim2} of {shape} is not allowed; allowed: two axes")
    y = np.diagonal(x, offset, *pair)
    i = np.arange(y.shape[-1])

    def pullback(fp: Arithmetic, g: Array) -> Array:
        out = np.zeros(shape, g.dtype)
        np.moveaxis(out, pair, (-2, -1))[..., i + max(-offset, 0), i + max(offset, 0)] = g
        return out

    return y, pullback


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
