"""The largest element of every window, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import product
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._common import indices as whole_numbers
from halfsim.autograd.ops._common import integer_tensor, named
from halfsim.autograd.ops._windows import (
    Axis,
    Sizes,
    adaptive_outputs,
    layouts,
    pool_axes,
    pooled,
    returned,
    sizes,
    spans,
    taps,
)
from halfsim.autograd.ops.index import scatter_sum
from halfsim.autograd.random import uniform
from halfsim.autograd.tape import op
from halfsim.autograd.tensor import Tensor, numbers, plain
from halfsim.numerics.formats import whole
from halfsim.numerics.quantize import Array

__all__ = [
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

Axes = Sequence[Axis]


def _replace(old: Array, new: Array, mask: Array) -> None:
    """``old[mask] = new[mask]`` by bits, of every element alike: six times faster than a choice for each."""
    word = np.dtype(f"i{old.itemsize}")
    bits, chosen = old.view(word), new.view(word) ^ old.view(word)
    chosen &= -mask.astype(word)
    bits ^= chosen


def _largest(x: Array, axes: Axes) -> tuple[Array, Array]:
    """The largest element of each window and its kernel position: the first of equal ones, the last NaN."""
    kernel = [axis.kernel for axis in axes]
    shape, positions = (*x.shape[:2], *(axis.outputs for axis in axes)), prod(kernel)
    largest = np.full(shape, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, x.dtype)
    place = np.empty(shape, np.uint8 if positions <= 256 else np.int64)
    place[...] = np.ravel_multi_index(np.ix_(*map(_first, axes)), kernel)
    nan = bool(np.isnan(x.max(initial=0)))
    for way in product(*map(taps, axes)):
        k = place.dtype.type(np.ravel_multi_index([i for i, _, _ in way], kernel))
        windows = (..., *(served for _, served, _ in way))
        new, old = x[(..., *(elements for _, _, elements in way))], largest[windows]
        if k == 0 and old.shape == shape:
            old[...] = new
            continue
        better = new > old
        if nan:
            better |= np.isnan(new)
        _replace(old, new, better)
        here = place[windows]
        np.maximum(here, better * k, out=here)  # positions ascend, so the larger one is the later
    return largest, place


def _first(axis: Axis) -> Array:
    """The first kernel position of each window with an element under it."""
    start = np.arange(axis.outputs) * axis.stride - axis.pad
    return np.clip(-(start // axis.dilation), 0, axis.kernel - 1)


def _max_pool(fp: Arithmetic, name: str, x: Array, options: tuple[Any, ...], found: list[Array] | None) -> Any:
    given = x.shape
    dims, x = pooled(name, x)
    shape, axes = x.shape, pool_axes(name, x, dims, *options)
    kernel = [axis.kernel for axis in axes]
    y, place = _largest(x, axes)
    flat, final = y.shape, given[:-dims] + y.shape[-dims:]
    if found is not None:
        found.append(_flat_indices(place, axes).reshape(final))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        g = g.reshape(flat)

        def part(position: tuple[int, ...], windows: Any) -> Array:
            return fp.keep(g[windows], place[windows] == np.ravel_multi_index(position, kernel))

        return returned(fp, shape, axes, part).reshape(given)

    return y.reshape(final), pullback


def _flat_indices(place: Array, axes: Axes) -> Array:
    """Of each window's largest element, where it is in the flattened image."""
    positions = np.unravel_index(place.astype(np.int64), [axis.kernel for axis in axes])
    flat = np.zeros(place.shape, np.int64)
    for i, (axis, position) in enumerate(zip(axes, positions, strict=True)):
        start = np.arange(axis.outputs) * axis.stride - axis.pad
        flat = flat * axis.size + position * axis.dilation + start.reshape(-1, *[1] * (len(axes) - 1 - i))
    return flat


def _with_indices(pool: Callable[..., Any]) -> Callable[..., Any]:
    """``pool`` with PyTorch's ``return_indices``, for an operation returns one tensor."""

    @wraps(pool)
    def call(
        input: Any,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        found: list[Array] = []
        y = pool(input, kernel_size, stride, padding, dilation, ceil_mode, found if return_indices else None)
        return (y, integer_tensor(found[0])) if return_indices else y

    del call.__wrapped__, call.__signature__  # type: ignore[attr-defined]  # which have `found`
    return call


@_with_indices
@op(exact="forward")
def max_pool1d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    found: list[Array] | None = None,
) -> Any:
    """The largest element of every window of x (N, C, L) or (C, L); see `max_pool2d`."""
    return _max_pool(fp, "max_pool1d", x, (kernel_size, stride, padding, dilation, ceil_mode), found)


@_with_indices
@op(exact="forward")
def max_pool2d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    found: list[Array] | None = None,
) -> Any:
    """The largest element of every window of x (N, C, H, W) or (C, H, W); ``stride`` is the kernel's size if None.

    Nothing is rounded. As in PyTorch the first of equal elements wins, and the last NaN; padding never does. With
    ``return_indices`` the result is a pair, with an integer array of indices into the flattened (H, W). The gradient of
    an element is the sum of those of the windows it won, by rows and columns of windows. ``ValueError`` for sizes that
    do not fit.

    >>> from halfsim import tensor
    >>> max_pool2d(tensor([[[1.0, 2.0, 5.0], [4.0, 3.0, 5.0]]]), (2, 1), return_indices=True)
    (tensor([[[4., 3., 5.]]], float32), tensor([[[3, 4, 2]]], int64))
    """
    return _max_pool(fp, "max_pool2d", x, (kernel_size, stride, padding, dilation, ceil_mode), found)


@_with_indices
@op(exact="forward")
def max_pool3d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    found: list[Array] | None = None,
) -> Any:
    """The largest element of every window of x (N, C, D, H, W) or (C, D, H, W); see `max_pool2d`."""
    return _max_pool(fp, "max_pool3d", x, (kernel_size, stride, padding, dilation, ceil_mode), found)


# Windows of unequal places, given by the indices of their elements.


def _picked(fp: Arithmetic, name: str, x: Array, places: Sequence[Array], found: list[Array] | None) -> Any:
    """The largest of the elements at ``places``: for each axis indices (outputs, elements), or such for each channel.

    An index may be repeated: of one element the first wins, or the last NaN, which is the same.
    """
    shape, dims, lead = x.shape, len(places), x.ndim - len(places)
    size, counts = shape[lead:], [place.shape[-2] for place in places]
    flat = np.zeros((1,) * lead + (1,) * 2 * dims, np.int64)
    for i, (n, place) in enumerate(zip(size, places, strict=True)):
        axes = np.ones(2 * dims, np.int64)
        axes[[i, dims + i]] = place.shape[-2:]
        flat = flat * n + place.reshape(*(place.shape[:-2] or (1,) * lead), *axes)
    flat = flat.reshape(*flat.shape[:lead], prod(counts), prod(place.shape[-1] for place in places))
    flat = np.broadcast_to(flat, shape[:lead] + flat.shape[lead:])
    windows = np.take_along_axis(x.reshape(*shape[:lead], 1, prod(size)), flat, -1)
    chosen = windows.argmax(-1)
    nan = np.isnan(windows)
    if nan.any():
        last = windows.shape[-1] - 1 - nan[..., ::-1].argmax(-1)
        chosen = np.where(nan.any(-1), last, chosen)
    won = np.take_along_axis(flat, chosen[..., None], -1)[..., 0]
    y = np.take_along_axis(windows, chosen[..., None], -1).reshape(*shape[:lead], *counts)
    if found is not None:
        found.append(won.reshape(y.shape))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        channels = np.arange(prod(shape[:lead]))[:, None] * prod(size)
        where = (won.reshape(len(channels), prod(counts)) + channels).reshape(-1)
        return scatter_sum(fp, g.reshape(-1), where, prod(shape)).reshape(shape)

    return y, pullback


@op(exact="forward")
@named("adaptive_max_pool")
def _adaptive_max(fp: Arithmetic, x: Array, /, name: str, output_size: Any, found: list[Array] | None = None) -> Any:
    dims, _ = pooled(name, x)
    counts = adaptive_outputs(name, output_size, dims, x.shape[-dims:])
    places = []
    for size, count in zip(x.shape[-dims:], counts, strict=True):
        start, length = spans(size, count)
        places.append(start[:, None] + np.minimum(np.arange(length.max(initial=1)), length[:, None] - 1))
    return _picked(fp, name, x, places, found)


def _adaptive(name: str, input: Any, output_size: Any, return_indices: bool) -> Any:
    found: list[Array] = []
    y = _adaptive_max(input, name=name, output_size=output_size, found=found if return_indices else None)
    return (y, integer_tensor(found[0])) if return_indices else y


def adaptive_max_pool1d(input: Any, output_size: Sizes, return_indices: bool = False) -> Any:
    """The largest elements of ``output_size`` windows of x (N, C, L) or (C, L); see `adaptive_max_pool2d`."""
    return _adaptive("adaptive_max_pool1d", input, output_size, return_indices)


def adaptive_max_pool2d(
    input: Any, output_size: int | Sequence[int | None] | None, return_indices: bool = False
) -> Any:
    """The largest elements of windows that divide x (N, C, H, W) or (C, H, W) into ``output_size``.

    The windows are those of `halfsim.ops.adaptive_avg_pool2d`, and ties, NaN, ``return_indices`` and the gradient are
    as in `max_pool2d`. ``ValueError`` for sizes that do not fit.

    >>> from halfsim import tensor
    >>> adaptive_max_pool2d(tensor([[[1.0, 5.0, 3.0]]]), (1, 2), return_indices=True)
    (tensor([[[5., 5.]]], float32), tensor([[[1, 1]]], int64))
    """
    return _adaptive("adaptive_max_pool2d", input, output_size, return_indices)


def adaptive_max_pool3d(
    input: Any, output_size: int | Sequence[int | None] | None, return_indices: bool = False
) -> Any:
    """The largest elements of windows that divide x (N, C, D, H, W) or (C, D, H, W); see `adaptive_max_pool2d`."""
    return _adaptive("adaptive_max_pool3d", input, output_size, return_indices)


@op(exact="forward")
@named("fractional_max_pool")
def _fractional(fp: Arithmetic, x: Array, /, places: Sequence[Array], found: list[Array] | None = None) -> Any:
    return _picked(fp, "fractional_max_pool", x, places, found)


def _fractional_max(
    name: str, input: Any, kernel_size: Any, output_size: Any, output_ratio: Any, return_indices: bool, samples: Any
) -> Any:
    """Windows whose places are drawn: window i of m on an axis of n starts at floor((i + u) a) - floor(u a), with
    a = (n - kernel) / (m - 1), the last one at the end, for one number u from 0 to 1 for each axis of a channel.
    """
    dims, x = pooled(name, numbers(input))
    size, kernel = x.shape[2:], sizes(name, "kernel_size", kernel_size, dims, 1)
    if (output_size is None) == (output_ratio is None):
        given = f"output_size {output_size!r} with output_ratio {output_ratio!r}"
        raise ValueError(f"{name}: {given}; allowed: one of them")
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else [output_ratio] * dims
        if len(ratios) != dims or not all(0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"{name}: output_ratio {output_ratio!r} is not allowed; allowed: between 0 and 1")
        output_size = [int(n * ratio) for n, ratio in zip(size, ratios, strict=True)]
    counts = sizes(name, "output_size", output_size, dims, 1)
    if any(m + k - 1 > n for n, m, k in zip(size, counts, kernel, strict=True)):
        raise ValueError(f"{name}: {counts} windows of {kernel} do not fit input {x.shape}; allowed: fewer or smaller")
    u = numbers(samples) if samples is not None else uniform((*x.shape[:2], dims))
    if u.shape[1:] != (x.shape[1], dims) or len(u) < len(x):
        raise ValueError(f"{name}: _random_samples {u.shape} is not allowed; allowed: {(*x.shape[:2], dims)}")
    u = u[: len(x)]
    order = (1, 0) if dims == 2 else (0, 1, 2)  # as PyTorch draws them: the first of two is that of the columns
    places = []
    for n, m, k, axis in zip(size, counts, kernel, order, strict=True):
        start = np.full((*x.shape[:2], m), n - k)
        if m > 1:
            step, v = u.dtype.type(n - k) / u.dtype.type(m - 1), u[..., axis, None]
            start[..., :-1] = np.trunc((np.arange(m - 1, dtype=u.dtype) + v) * step) - np.trunc(v * step)
        place = start[..., None] + np.arange(k)
        places.append(place if np.ndim(plain(input)) == dims + 2 else place[0])
    found: list[Array] = []
    y = _fractional(input, places=places, found=found if return_indices else None)
    return (y, integer_tensor(found[0])) if return_indices else y


def fractional_max_pool2d(
    input: Any,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """The largest elements of windows of x (N, C, H, W) or (C, H, W) at places drawn for each channel.

    ``output_size``, or ``output_ratio`` of the input's, says how many windows of ``kernel_size`` there are: they start
    where PyTorch's start for the same ``_random_samples`` (N, C, 2), which are otherwise drawn from the generator that
    `halfsim.manual_seed` seeds. The rest is as in `max_pool2d`. ``ValueError`` for sizes that do not fit.

    >>> from halfsim import tensor
    >>> fractional_max_pool2d(tensor([[[1.0, 5.0], [3.0, 2.0]]]), 1, output_size=(1, 2))
    tensor([[[3., 2.]]], float32)
    """
    name = "fractional_max_pool2d"
    return _fractional_max(name, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Any,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """`fractional_max_pool2d` of x (N, C, D, H, W) or (C, D, H, W), with ``_random_samples`` (N, C, 3)."""
    name = "fractional_max_pool3d"
    return _fractional_max(name, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


# The way back.


@op(exact=True)
@named("max_unpool")
def _unpooled(fp: Arithmetic, x: Array, /, where: Array, size: tuple[int, ...]) -> Any:
    lead, shape = x.shape[: -len(size)], x.shape
    where = where.reshape(*lead, prod(shape[len(lead) :]))
    out = np.zeros((*lead, prod(size)), x.dtype)
    np.put_along_axis(out, where, x.reshape(where.shape), -1)

    def pullback(fp: Arithmetic, g: Array) -> Array:
        return np.take_along_axis(g.reshape(*lead, prod(size)), where, -1).reshape(shape)

    return out.reshape(*lead, *size), pullback


def _unpool(name: str, input: Any, indices: Any, options: tuple[Any, ...], output_size: Any) -> Tensor:
    dims, x = int(name[-2]), numbers(input)
    if x.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"{name}: input {x.shape} is not allowed; allowed: {layouts(dims)}")
    where = whole_numbers(f"{name}: indices", indices)
    if where.shape != x.shape:
        raise ValueError(f"{name}: indices {where.shape} do not fit input {x.shape}; allowed: the same shape")
    kernel, stride, padding = options
    kernel = sizes(name, "kernel_size", kernel, dims, 1)
    stride = kernel if stride is None or stride == () else sizes(name, "stride", stride, dims, 1)
    pad = sizes(name, "padding", padding, dims, 0)
    steps = zip(x.shape[-dims:], kernel, stride, pad, strict=True)
    size = tuple((n - 1) * s + k - 2 * p for n, k, s, p in steps)
    if output_size is not None:
        wanted = [whole(f"{name}: output_size", n) for n in output_size][-dims:]
        near = [abs(n - m) < s for n, m, s in zip(wanted, size, stride, strict=False)]
        if len(output_size) not in (dims, dims + 2) or not all(near):
            given = tuple(output_size)
            raise ValueError(f"{name}: output_size {given} is not allowed; allowed: nearer than {stride} to {size}")
        size = tuple(wanted)
    if min(size) < 1:
        raise ValueError(f"{name}: input {x.shape} gives size {size}; allowed: less padding or a larger input")
    if where.size and not 0 <= where.min() <= where.max() < prod(size):
        raise ValueError(f"{name}: indices {where.min()} to {where.max()}; allowed: 0 to {prod(size) - 1}, of {size}")
    return _unpooled(input, where=where, size=size)


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The elements of x (N, C, L) or (C, L) at their ``indices`` among zeros; see `max_unpool2d`."""
    return _unpool("max_unpool1d", input, indices, (kernel_size, stride, padding), output_size)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The elements of x (N, C, H, W) or (C, H, W) at their ``indices`` among zeros: `max_pool2d` backwards.

    An axis of n becomes (n - 1) stride + kernel - 2 padding long, or ``output_size`` (with or without the leading
    axes), which may differ by less than the stride. Of equal indices the last wins; the gradient of an element is that
    at its index. Nothing is rounded. ``ValueError`` for shapes, sizes and indices that do not fit.

    >>> from halfsim import tensor
    >>> max_unpool2d(*max_pool2d(tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2, return_indices=True), 2)
    tensor([[[0., 0.],
             [4., 0.]]], float32)
    """
    return _unpool("max_unpool2d", input, indices, (kernel_size, stride, padding), output_size)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The elements of x (N, C, D, H, W) or (C, D, H, W) at their ``indices`` among zeros; see `max_unpool2d`."""
    return _unpool("max_unpool3d", input, indices, (kernel_size, stride, padding), output_size)
