"""The largest element of every window."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._windows import Axis, phases, pool_axes, pooled, taps
from halfsim.autograd.tape import op
from halfsim.numerics.quantize import Array

Axes = tuple[Axis, Axis]


def _replace(old: Array, new: Array, mask: Array) -> None:
    """``old[mask] = new[mask]`` by bits, of every element alike: six times faster than a choice for each."""
    word = np.dtype(f"i{old.itemsize}")
    bits, chosen = old.view(word), new.view(word) ^ old.view(word)
    chosen &= -mask.astype(word)
    bits ^= chosen


def _largest(x: Array, axes: Axes) -> tuple[Array, Array]:
    """The largest element of each window and its kernel position: the first of equal ones, the last NaN."""
    rows, columns = (taps(axis) for axis in axes)
    shape, positions = (*x.shape[:2], axes[0].outputs, axes[1].outputs), axes[0].kernel * axes[1].kernel
    largest = np.full(shape, -np.inf, x.dtype)
    first = _first(axes[0])[:, None] * axes[1].kernel + _first(axes[1])
    place = np.empty(shape, np.uint8 if positions <= 256 else np.int64)
    place[...] = first
    nan = bool(np.isnan(x.max(initial=0)))
    for i, windows_r, elements_r in rows:
        for j, windows_c, elements_c in columns:
            k = place.dtype.type(i * axes[1].kernel + j)
            new, old = x[..., elements_r, elements_c], largest[..., windows_r, windows_c]
            if k == 0 and old.shape == shape:
                old[...] = new
                continue
            better = new > old
            if nan:
                better |= np.isnan(new)
            _replace(old, new, better)
            here = place[..., windows_r, windows_c]
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
    y, place = _largest(x, axes)
    flat, final = y.shape, given[:-dims] + y.shape[-dims:]
    if found is not None:
        found.append(_flat_indices(place, axes).reshape(final))

    def pullback(fp: Arithmetic, g: Array) -> Array:
        g, out = g.reshape(flat), np.empty(shape, g.dtype)
        for row in phases(axes[0]):
            for column in phases(axes[1]):
                out[..., row.elements, column.elements] = _returned(fp, g, place, row, column, axes[1].kernel)
        return out.reshape(given)

    return y.reshape(final), pullback


def _returned(fp: Arithmetic, g: Array, place: Array, row: Any, column: Any, width: int) -> Array:
    """The gradients of elements: the sum over those windows, by row and column, whose largest element they are."""
    layers = np.zeros((len(row.taps) * len(column.taps), *g.shape[:2], row.length, column.length), g.dtype)
    pairs = [(r, c) for r in row.taps for c in column.taps]
    for layer, ((i, to_r, from_r), (j, to_c, from_c)) in zip(layers, pairs, strict=True):
        position = row.positions[i] * width + column.positions[j]
        layer[..., to_r, to_c] = fp.keep(g[..., from_r, from_c], place[..., from_r, from_c] == position)
    return layers[0] if len(layers) == 1 else fp.sum(layers, 0)


def _flat_indices(place: Array, axes: Axes) -> Array:
    rows, columns = np.divmod(place.astype(np.int64), axes[1].kernel)
    for axis, index, along in ((axes[0], rows, (-1, 1)), (axes[1], columns, (-1,))):
        index *= axis.dilation
        index += (np.arange(axis.outputs) * axis.stride - axis.pad).reshape(along)
    return rows * axes[1].size + columns


def _with_indices(pool: Callable[..., Any]) -> Callable[..., Any]:
    """``pool`` with PyTorch's ``return_indices``, for an operation returns one tensor."""

    @wraps(pool)
    def call(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        found: list[Array] = []
        y = pool(input, kernel_size, stride, padding, dilation, ceil_mode, found if return_indices else None)
        return (y, found[0]) if return_indices else y

    del call.__wrapped__  # whose signature has `found`
    return call


@_with_indices
@op(exact="forward")
def max_pool1d(
    fp: Arithmetic,
    x: Array,
    /,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
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
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
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
    (tensor([[[4., 3., 5.]]], float32), array([[[3, 4, 2]]]))
    """
    return _max_pool(fp, "max_pool2d", x, (kernel_size, stride, padding, dilation, ceil_mode), found)
