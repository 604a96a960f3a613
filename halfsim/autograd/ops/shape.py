"""Operations that move values and never round, and padding."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.operators import OPS
from halfsim.autograd.ops._common import as_tensor, axes_of, axis_of, named
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Size, Tensor, plain
from halfsim.numerics.formats import float64, unknown, whole
from halfsim.numerics.inputs import as_floats
from halfsim.numerics.quantize import Array
from halfsim.options import refused, shown

__all__ = [
    "adjoint",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_to",
    "constant_pad_nd",
    "diagonal",
    "expand",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "moveaxis",
    "movedim",
    "pad",
    "permute",
    "ravel",
    "reshape",
    "roll",
    "rot90",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "tril",
    "triu",
    "unflatten",
    "unsqueeze",
]


@op(exact=True, view=True)
def reshape(fp: Arithmetic, x: Array, /, shape: Any) -> Any:
    """The values in C order in another shape, of which one number may be -1: whatever is left."""
    before = x.shape
    if any(n < -1 for n in (shape if isinstance(shape, (tuple, list)) else (shape,))):  # which NumPy takes for -1
        raise ValueError(f"reshape: shape {shown(shape)} is not allowed; allowed: numbers from 0, one -1")
    try:
        return x.reshape(shape), lambda fp, g: g.reshape(before)
    except ValueError:
        raise ValueError(f"reshape: shape {shape} does not fit input {before}; allowed: the same number") from None


@op(exact=True, view=True)
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
    order: Any = (*axes, *(dim for dim in (dim0, dim1) if dim is not None))
    if len(order) == 1:
        if not isinstance(order[0], (tuple, list, range, np.ndarray, type(None))):
            raise refused("axes", order[0], "a tuple of integers, None")
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


def squeeze(input: Any, dim: int | Sequence[int] | None = None) -> Tensor:
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
    if start == end and shape and isinstance(input, Tensor):
        return input  # itself, as in PyTorch
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


@op(exact=True, view=True)
def broadcast_to(fp: Arithmetic, x: Array, /, shape: Any) -> Any:
    """``x`` repeated along new axes and along those of length 1, without a copy; the gradient is their sum."""
    if isinstance(shape, (str, bytes, bytearray, set, frozenset, dict)):
        raise TypeError(f"shape: {type(shape).__name__} is not allowed; allowed: a tuple of integers")
    return np.broadcast_to(x, shape), lambda fp, g: g


@op(exact=True)
def contiguous(fp: Arithmetic, x: Array, /) -> Any:
    """The same values in memory of their own, in C order."""
    return np.array(x, order="C"), lambda fp, g: g


def expand(input: Any, *sizes: Any) -> Tensor:
    """`broadcast_to` the given sizes (several ints or a tuple), where -1 keeps an axis as it is."""
    wanted = Size(sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer)) else sizes)
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
def roll(fp: Arithmetic, x: Array, /, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """The elements moved on by ``shifts`` along ``dims``, the last ones to the front; flattened without ``dims``."""
    if dims is not None and not x.ndim:
        raise ValueError(f"roll: dims {dims} of a number is not allowed; allowed: None")
    count, places = np.size(shifts), 1 if dims is None else np.size(dims)
    if count != places or (dims is not None and not count):
        raise ValueError(f"roll: {count} shifts for {places} dims do not fit; allowed: a shift for each, or for all")
    axes = None if dims is None else axes_of(dims, x.ndim)
    back: Any = tuple(-n for n in shifts) if isinstance(shifts, Sequence) else -shifts
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


@op(exact=True, view=True)
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


def ravel(input: Any) -> Tensor:
    """The values in C order as a vector."""
    return reshape(input, -1)


movedim = moveaxis
swapdims = swapaxes


def t(input: Any) -> Tensor:
    """The transpose of a matrix; a vector or a number as it is."""
    if np.ndim(plain(input)) > 2:
        raise ValueError(f"t: shape {np.shape(plain(input))} is not allowed; allowed: two dimensions at most")
    return transpose(input)


def adjoint(input: Any) -> Tensor:
    """The last two axes swapped."""
    if np.ndim(plain(input)) < 2:
        raise ValueError(f"adjoint: shape {np.shape(plain(input))} is not allowed; allowed: at least two dimensions")
    return swapaxes(input, -2, -1)


def fliplr(input: Any) -> Tensor:
    """The columns (axis 1) in reverse order."""
    return flip(input, _axis("fliplr", input, 1))


def flipud(input: Any) -> Tensor:
    """The rows (axis 0) in reverse order."""
    return flip(input, _axis("flipud", input, 0))


def _axis(name: str, x: Any, axis: int) -> int:
    if np.ndim(plain(x)) <= axis:
        raise ValueError(f"{name}: shape {np.shape(plain(x))} is not allowed; allowed: more than {axis} dimensions")
    return axis


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned ``k`` times by a right angle, from the first towards the second of two axes.

    >>> from halfsim import tensor
    >>> rot90(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[2., 4.],
            [1., 3.]], float32)
    """
    pair = axes_of(tuple(dims), np.ndim(plain(input)))
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(f"dims: {tuple(dims)} is not allowed; allowed: two different axes")
    turns = (
        lambda x: flip(x, ()),
        lambda x: swapaxes(flip(x, pair[1]), *pair),
        lambda x: flip(x, pair),
        lambda x: flip(swapaxes(x, *pair), pair[1]),
    )
    return turns[k % 4](input)


def _at_least(count: int, tensors: tuple[Any, ...]) -> Any:
    """A tensor, or a tuple of those that were given as several or as a sequence, with ``count`` dimensions or more."""
    given = tensors[0] if len(tensors) == 1 else tensors
    if isinstance(given, (tuple, list)):
        return tuple(_at_least(count, (x,)) for x in given)
    x = as_tensor(given)
    missing = max(0, count - x.ndim)
    after = 1 if count == 3 and 0 < x.ndim < 3 else 0
    return reshape(x, (1,) * (missing - after) + x.shape + (1,) * after) if missing else x


def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one axis: a number as a vector of one. Of several a tuple."""
    return _at_least(1, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two axes: a vector as one row. Of several a tuple."""
    return _at_least(2, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three axes: a vector (N,) as (1, N, 1), a matrix as (M, N, 1). Of several a tuple."""
    return _at_least(3, tensors)


# Padding.


_MODES = ("constant", "reflect", "replicate", "circular")


@op(exact="forward")
def pad(fp: Arithmetic, x: Array, /, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """``x`` with more elements at the ends of its last axes: ``pad`` is (left, right, top, bottom, ...), from the last.

    New elements are ``value`` (0 by default), or, by ``mode``, those mirrored without the edge ("reflect"), the
    edge ("replicate"), or those of the other end ("circular"); negative numbers cut off. Other modes than
    "constant" take at most 3 axes and leave the first axis alone. The gradient of an element is the sum of those of its
    copies, axis by axis from the last. ``ValueError`` for other modes and for paddings that do not fit.

    >>> from halfsim import tensor
    >>> pad(tensor([[1.0, 2.0, 3.0]]), (2, 1), mode="reflect")
    tensor([[3., 2., 1., 2., 3., 2.]], float32)
    """
    numbers = _numbers(x, pad, mode, value)
    y, back = x, []
    for axis, (left, right) in enumerate(zip(numbers[::2], numbers[1::2], strict=True), start=1):
        if left or right:
            source = _source(x.shape[-axis], left, right, mode)
            back.append((y.shape, -axis, source))
            y = (
                np.take(y, np.maximum(source, 0), -axis)
                if x.shape[-axis]
                else np.zeros(_long(y, -axis, source), y.dtype)
            )
            if source.size and source.min() < 0:
                np.moveaxis(y, -axis, 0)[source < 0] = fp.read(
                    as_floats(value or 0, float64).astype(np.float64), float64
                )

    def pullback(fp: Arithmetic, g: Array) -> Array:
        for shape, axis, source in back[::-1]:
            g = _folded(fp, g, shape, axis, source)
        return g

    return y, pullback


def constant_pad_nd(input: Any, pad: Sequence[int], value: float = 0) -> Tensor:
    """`pad` with ``value``."""
    return OPS["pad"](input, pad, "constant", value)


def _long(y: Array, axis: int, source: Array) -> list[int]:
    shape = list(y.shape)
    shape[axis] = source.size
    return shape


def _numbers(x: Array, given: Any, mode: str, value: float | None) -> list[int]:
    numbers = [whole("pad", n) for n in given] if isinstance(given, Sequence) and not isinstance(given, str) else []
    if mode not in _MODES:
        raise unknown("mode", mode, _MODES)
    if mode != "constant" and value is not None:
        raise ValueError(f"value: {value!r} does not go with mode {mode!r}; allowed: None")
    if len(numbers) % 2 or len(numbers) > 2 * x.ndim or (not numbers and given != () and given != []):
        raise ValueError(f"pad: {given!r} does not fit input {x.shape}; allowed: (left, right) of up to {x.ndim} axes")
    if mode != "constant" and len(numbers) > 2 * min(3, x.ndim - 1):
        raise ValueError(f"pad: {given!r} with mode {mode!r} and input {x.shape}; allowed: 3 axes, and not the first")
    return numbers


def _source(size: int, left: int, right: int, mode: str) -> Array:
    """For each element of the padded axis the one it copies, or -1."""
    limit = {"reflect": size - 1, "circular": size}.get(mode, left + right + size)
    if max(left, right) > limit or left + right + size < 0 or (mode == "replicate" and not size):
        raise ValueError(
            f"pad: ({left}, {right}) does not fit {size} elements by mode {mode!r}; allowed: up to {limit}"
        )
    index = np.arange(-left, size + right)
    if mode == "reflect":
        return size - 1 - np.abs(size - 1 - np.abs(index))
    if mode == "constant":
        return np.where((index >= 0) & (index < size), index, -1)
    if mode == "replicate":
        return index.clip(0, size - 1)
    start, end = max(0, -left), size - max(0, -right)  # what is cut off does not come back at the other end
    return (index - start) % max(1, end - start) + start


def _folded(fp: Arithmetic, g: Array, shape: tuple[int, ...], axis: int, source: Array) -> Array:
    """The sum over all copies of each element: layer n holds the gradients of the (n + 1)-th copies."""
    rank = np.zeros(source.size, np.intp)
    for i in range(1, source.size):
        rank[i] = np.count_nonzero(source[:i] == source[i])
    rank[source < 0] = -1
    layers = np.zeros((rank.max(initial=0) + 1, *shape), g.dtype)
    for n, layer in enumerate(layers):
        chosen = rank == n
        np.moveaxis(layer, axis, 0)[source[chosen]] = np.moveaxis(g, axis, 0)[chosen]
    return layers[0] if len(layers) == 1 else fp.sum(layers, 0)
