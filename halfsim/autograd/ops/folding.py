"""Images as columns of windows and back, and channels as places."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._windows import Axis, Sizes, returned, sizes, taps
from halfsim.autograd.ops._windows import unfold as windows
from halfsim.autograd.tape import op
from halfsim.numerics.formats import whole
from halfsim.numerics.quantize import Array

__all__ = [
    "channel_shuffle",
    "fold",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
]


def _axes(name: str, size: Sequence[int], kernel: Any, dilation: Any, padding: Any, stride: Any) -> list[Axis]:
    kernel, stride = sizes(name, "kernel_size", kernel, 2, 1), sizes(name, "stride", stride, 2, 1)
    padding, dilation = sizes(name, "padding", padding, 2, 0), sizes(name, "dilation", dilation, 2, 1)
    axes = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1)
        if room < 1:
            raise ValueError(f"{name}: no window of {kernel} fits an image of {tuple(size)}; allowed: a larger image")
        axes.append(Axis(n, (room - 1) // s + 1, k, s, p, d))
    return axes


def _columns(x: Array, axes: Sequence[Axis]) -> Array:
    """(N, C, H, W) as (N, C KH KW, windows)."""
    kernel, counts = [axis.kernel for axis in axes], [axis.outputs for axis in axes]
    columns = windows(x, [taps(axis) for axis in axes], kernel, counts, lead=2)
    return columns.reshape(len(x), x.shape[1] * prod(kernel), prod(counts))


def _image(fp: Arithmetic, columns: Array, axes: Sequence[Axis]) -> Array:
    """(N, C KH KW, windows) as (N, C, H, W): for each element the sum over the windows that cover it."""
    kernel, counts = [axis.kernel for axis in axes], [axis.outputs for axis in axes]
    each = columns.reshape(len(columns), columns.shape[1] // prod(kernel), *kernel, *counts)
    shape = (*each.shape[:2], *(axis.size for axis in axes))
    return returned(fp, shape, axes, lambda position, served: each[(slice(None), slice(None), *position)][served])


@op(exact="forward")
def unfold(
    fp: Arithmetic, x: Array, /, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Any:
    """Every window of x (N, C, H, W) or (C, H, W) as a column: (N, C KH KW, windows) or (C KH KW, windows).

    Padding takes part as zeros, and nothing is rounded. The gradient is `fold`. ``ValueError`` for sizes that do not
    fit.

    >>> from halfsim import tensor
    >>> unfold(tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[1., 2.],
            [2., 3.]], float32)
    """
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(f"unfold: input {x.shape} is not allowed; allowed: (N, C, H, W) or (C, H, W) with elements")
    given, x = x.shape, x if x.ndim == 4 else x[None]
    axes = _axes("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    y = _columns(x, axes)
    flat = y.shape
    return y.reshape(given[:-3] + flat[1:]), lambda fp, g: _image(fp, g.reshape(flat), axes).reshape(given)


@op()
def fold(
    fp: Arithmetic,
    x: Array,
    /,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Any:
    """Columns x (N, C KH KW, windows) or (C KH KW, windows), as `unfold` makes them, added into an image (N, C, H, W).

    Each element of the image, of ``output_size``, is the sum over the windows that cover it, by their rows and columns,
    as ``accumulate`` says. The gradient is `unfold`. ``ValueError`` for sizes that do not fit.

    >>> from halfsim import tensor
    >>> fold(tensor([[1.0, 2.0], [3.0, 4.0]]), (1, 3), (1, 2))
    tensor([[[1., 5., 4.]]], float32)
    """
    size = sizes("fold", "output_size", output_size, 2, 1)
    axes = _axes("fold", size, kernel_size, dilation, padding, stride)
    positions, count = axes[0].kernel * axes[1].kernel, axes[0].outputs * axes[1].outputs
    if x.ndim not in (2, 3) or x.shape[-1] != count or x.shape[-2] % positions or not x.shape[-2]:
        allowed = f"(N, multiple of {positions}, {count}) or (multiple of {positions}, {count})"
        raise ValueError(f"fold: input {x.shape} does not fit output_size {size}; allowed: {allowed}")
    given, x = x.shape, x if x.ndim == 3 else x[None]
    y = _image(fp, x, axes)
    flat = y.shape
    return y.reshape(given[:-2] + flat[1:]), lambda fp, g: _columns(g.reshape(flat), axes).reshape(given)


# Moved, and never rounded.


def _rearranged(x: Array, split: Sequence[int], order: Sequence[int], shape: Sequence[int]) -> Any:
    """The last three axes as six, in another order, as three again; and the way back."""
    lead, given = x.shape[:-3], x.shape
    axes = (*range(len(lead)), *(len(lead) + i for i in order))
    back = np.argsort(axes)
    moved = x.reshape(*lead, *split).transpose(axes)
    between = moved.shape
    return moved.reshape(*lead, *shape), lambda fp, g: g.reshape(between).transpose(back).reshape(given)


def _factor(name: str, what: str, value: object, x: Array) -> int:
    factor = whole(f"{name}: {what}", value)
    if factor < 1 or x.ndim < 3:
        raise ValueError(f"{name}: {what} {factor} of {x.shape} is not allowed; allowed: from 1, of (..., C, H, W)")
    return factor


@op(exact=True)
def pixel_shuffle(fp: Arithmetic, x: Array, /, upscale_factor: int) -> Any:
    """Channels as places: x (..., C r r, H, W) as (..., C, H r, W r), in squares of r = ``upscale_factor``.

    >>> from halfsim import tensor
    >>> pixel_shuffle(tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    tensor([[[1., 2.],
             [3., 4.]]], float32)
    """
    r = _factor("pixel_shuffle", "upscale_factor", upscale_factor, x)
    c, h, w = x.shape[-3:]
    if c % (r * r):
        raise ValueError(f"pixel_shuffle: {c} channels are not allowed; allowed: multiples of {r * r}")
    return _rearranged(x, (c // (r * r), r, r, h, w), (0, 3, 1, 4, 2), (c // (r * r), h * r, w * r))


@op(exact=True)
def pixel_unshuffle(fp: Arithmetic, x: Array, /, downscale_factor: int) -> Any:
    """Places as channels: x (..., C, H r, W r) as (..., C r r, H, W); `pixel_shuffle` undone."""
    r = _factor("pixel_unshuffle", "downscale_factor", downscale_factor, x)
    c, h, w = x.shape[-3:]
    if h % r or w % r:
        raise ValueError(f"pixel_unshuffle: an image of {(h, w)} is not allowed; allowed: multiples of {r}")
    return _rearranged(x, (c, h // r, r, w // r, r), (0, 2, 4, 1, 3), (c * r * r, h // r, w // r))


@op(exact=True)
def channel_shuffle(fp: Arithmetic, x: Array, /, groups: int) -> Any:
    """The channels of x (N, C, ...) in another order: from each of ``groups`` in turn one.

    >>> from halfsim import tensor
    >>> channel_shuffle(tensor([[[1.0], [2.0], [3.0], [4.0]]]), 2).array.ravel()
    array([1., 3., 2., 4.], dtype=float32)
    """
    count = whole("channel_shuffle: groups", groups)
    if x.ndim < 3 or count < 1 or x.shape[1] % count:
        raise ValueError(f"channel_shuffle: {count} groups of {x.shape}; allowed: (N, C, ...), C a multiple of groups")
    order = np.arange(x.shape[1]).reshape(count, -1).T.reshape(-1)
    back = np.argsort(order)
    return x.take(order, 1), lambda fp, g: g.take(back, 1)
