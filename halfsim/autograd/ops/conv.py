"""Convolutions, as matrix products over unfolded windows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._windows import Axis, Sizes, at_once, in_blocks, layouts, phases, sizes, taps, unfold
from halfsim.autograd.tape import op
from halfsim.numerics.formats import unknown, whole
from halfsim.numerics.quantize import Array

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

Axes = Sequence[Axis]

_MOST = 2**28  # outputs of one channel of a transposed convolution


def _gathered(fp: Arithmetic, x: Array, weight: Array, bias: Array | None, axes: Axes, groups: int) -> Array:
    """One dot product for each window: over channels, then kernel rows, kernel columns. Then the bias."""
    kernel, counts = [axis.kernel for axis in axes], [axis.outputs for axis in axes]
    matrix, steps = weight.reshape(groups, weight.shape[0] // groups, -1), [taps(axis) for axis in axes]

    def work(images: slice) -> Array:
        windows = unfold(x[images], steps, kernel, counts, lead=2)
        y = fp.matmul(matrix, windows.reshape(len(windows), groups, matrix.shape[2], prod(counts)))
        return _biased(fp, y.reshape(len(windows), weight.shape[0], *counts), bias)

    return in_blocks(fp, weight[0].size * groups * prod(counts), len(x), work)


def _biased(fp: Arithmetic, y: Array, bias: Array | None) -> Array:
    return y if bias is None else fp.add(y, bias.reshape(-1, *[1] * (y.ndim - 2)))


def _scattered(fp: Arithmetic, g: Array, weight: Array, bias: Array | None, axes: Axes, groups: int) -> Array:
    """One dot product for each element that windows cover: over the channels of ``g``, then the windows' rows and
    columns. Then the bias. Elements under different kernel positions, by the stride, take different products.
    """
    per = (groups, weight.shape[0] // groups, weight.shape[1])

    def part(images: slice, phase: Any) -> Array:
        positions, counts = [len(each.positions) for each in phase], [each.length for each in phase]
        windows = unfold(g[images], [each.taps for each in phase], positions, counts, lead=2)
        some = weight
        for axis, each in enumerate(phase, start=2):
            some = some[(*[slice(None)] * axis, each.positions)]
        some = some.reshape(*per, prod(positions))
        matrix = some.swapaxes(1, 2).reshape(groups, per[2], per[1] * some.shape[3])
        y = fp.matmul(matrix, windows.reshape(len(windows), groups, matrix.shape[2], prod(counts)))
        return _biased(fp, y.reshape(len(windows), groups * per[2], *counts), bias)

    def work(images: slice) -> Array:
        parts = list(product(*(list(phases(axis)) for axis in axes)))
        if len(parts) == 1:
            return part(images, parts[0])
        out = np.empty((len(g[images]), groups * per[2], *(axis.size for axis in axes)), fp.dtype)
        places = [(..., *(each.elements for each in phase)) for phase in parts]
        return fp.place_pieces(out, zip(places, (part(images, phase) for phase in parts), strict=True))

    return in_blocks(fp, weight[:, 0].size * prod(axis.size for axis in axes), len(g), work)


def _correlated(fp: Arithmetic, x: Array, g: Array, shape: tuple[int, ...], axes: Axes, groups: int) -> Array:
    """One dot product for each weight: over images, then rows and columns of ``g``.

    The weights of one place along the kernel's first axis at a time, for all windows together take as often the memory
    of ``x`` as the kernel has elements; but at once where a unit rounds at random, which draws its numbers in the order
    of the elements.
    """
    first, *rest = axes
    kernel, counts = [axis.kernel for axis in axes], [axis.outputs for axis in axes]
    terms, x = len(x) * prod(counts), x.swapaxes(0, 1)
    left = g.swapaxes(0, 1).reshape(groups, shape[0] // groups, terms)

    def part(windows: Array, height: int) -> Array:
        windows = windows.reshape(groups, shape[1] * height * prod(kernel[1:]), terms)
        return fp.matmul(left, windows.swapaxes(1, 2)).reshape(*shape[:2], height, *kernel[1:])

    if not rest or kernel[0] == 1 or at_once(fp, len(x) * prod(kernel) * terms):
        return part(unfold(x, [taps(axis) for axis in axes], kernel, counts, lead=1), kernel[0])
    strips = unfold(
        x,
        [taps(Axis(first.size, first.size)), *map(taps, rest)],
        [1, *kernel[1:]],
        [first.size, *counts[1:]],
        lead=1,
    )
    out, strip = np.empty(shape, fp.dtype), np.empty((*strips.shape[: -len(axes)], *counts), x.dtype)
    pieces = ((np.s_[:, :, k : k + 1], part(_under(strips, first, k, strip, len(rest)), 1)) for k in range(kernel[0]))
    return fp.place_pieces(out, pieces)


def _under(strips: Array, first: Axis, k: int, out: Array, rest: int) -> Array:
    """``out`` with what lies under place ``k`` of the kernel's first axis, of ``strips`` that have all of the image."""
    served, after = slice(0, 0), (slice(None),) * rest
    for _, served, elements in (tap for tap in taps(first) if tap[0] == k):
        out[(..., served, *after)] = strips[(..., elements, *after)]
    for beyond in (slice(None, served.start), slice(served.stop, None)):
        out[(..., beyond, *after)] = 0  # windows that have padding there
    return out


def _lifted(name: str, x: Array, weight: Array, bias: Array | None, groups: int, transposed: bool) -> tuple[Array, ...]:
    """``x`` as (N, C, ...) and ``weight``, if they fit one another and the bias."""
    dims = int(name[-2])
    if x.ndim not in (dims + 1, dims + 2) or weight.ndim != dims + 2:
        shape = f"{layouts(dims)} with {'weight (O, C, K)' if dims == 1 else f'{dims + 2}-d weight'}"
        raise ValueError(f"{name}: input {x.shape} does not fit weight {weight.shape}; allowed: {shape}")
    groups = whole(f"{name}: groups", groups)
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if not weight.size:
        raise ValueError(f"{name}: weight {weight.shape} has no elements; allowed: at least one")
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(
            f"{name}: groups {groups} does not divide weight {weight.shape}; allowed: divisors of its length"
        )
    if x.shape[-dims - 1] != channels:
        raise ValueError(f"{name}: input {x.shape} does not fit weight {weight.shape}; allowed: {channels} channels")
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{name}: bias {bias.shape} does not fit weight {weight.shape}; allowed: ({outputs},)")
    return x if x.ndim == dims + 2 else x[None], weight


def _padding(name: str, padding: object, dims: int, kernel: Any, stride: Any, dilation: Any) -> Any:
    """The padding before each axis and the sum of both sides'; "same" puts an odd one at the end."""
    if not isinstance(padding, str):
        pad = sizes(name, "padding", padding, dims, 0)
        return pad, [2 * p for p in pad]
    if padding not in ("same", "valid"):
        raise unknown("padding", padding, ("same", "valid", "integers"))
    if padding == "same" and max(stride) > 1:
        raise ValueError(f"{name}: padding 'same' does not go with stride {max(stride)}; allowed: stride 1")
    total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
    return [t // 2 for t in total], total


def _conv(
    fp: Arithmetic, name: str, x: Array, weight: Array, bias: Array | None, options: tuple[Any, ...], groups: int
) -> Any:
    given, shape, dims = x.shape, weight.shape, int(name[-2])
    x, weight = _lifted(name, x, weight, bias, groups, transposed=False)
    stride, padding, dilation = options
    stride, dilation = sizes(name, "stride", stride, dims, 1), sizes(name, "dilation", dilation, dims, 1)
    pad, total = _padding(name, padding, dims, weight.shape[2:], stride, dilation)
    axes = []
    for n, k, s, p, t, d in zip(x.shape[2:], weight.shape[2:], stride, pad, total, dilation, strict=True):
        room = n + t - d * (k - 1)
        if room < 1:
            raise ValueError(
                f"{name}: padded input {given} is smaller than the kernel {shape[2:]}; allowed: a larger one"
            )
        axes.append(Axis(n, (room - 1) // s + 1, k, s, p, d))
    y = _gathered(fp, x, weight, bias, axes, groups)
    flat, others = y.shape, (0, *range(2, y.ndim))
    return y.reshape(*given[: -dims - 1], *flat[1:]), (
        lambda fp, g: _scattered(fp, g.reshape(flat), weight, None, axes, groups).reshape(given),
        lambda fp, g: _correlated(fp, x, g.reshape(flat), shape, axes, groups),
        lambda fp, g: fp.sum(g.reshape(flat), others),
    )


@op("fp16")
def conv1d(
    fp: Arithmetic,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    /,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """Windows of x (N, C, L) or (C, L) times weight (O, C / groups, K), plus bias (O,); see `conv2d`."""
    return _conv(fp, "conv1d", x, weight, bias, (stride, padding, dilation), groups)


@op("fp16")
def conv2d(
    fp: Arithmetic,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    /,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """Windows of x (N, C, H, W) or (C, H, W) times weight (O, C / groups, KH, KW), plus bias (O,).

    Each output is one dot product, accumulated over channel, kernel row, kernel column; padding takes part as
    zeros. Then the bias is added, in a step of its own. A gradient of x is one dot product over output channel, then
    the rows and columns of the windows that cover the element; one of a weight is over image, output row,
    output column; one of a bias is that sum of gradients. ``padding`` is an int, a tuple, "valid" or "same" (stride 1,
    an odd zero at the end). ``ValueError`` for shapes and options that do not fit.

    >>> from halfsim import tensor
    >>> conv2d(tensor([[[1.0, 2.0], [3.0, 4.0]]]), tensor([[[[1.0, 1.0]]]]), tensor([0.5]))
    tensor([[[3.5],
             [7.5]]], float32)
    """
    return _conv(fp, "conv2d", x, weight, bias, (stride, padding, dilation), groups)


@op("fp16")
def conv3d(
    fp: Arithmetic,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    /,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """Windows of x (N, C, D, H, W) or (C, D, H, W) times weight (O, C / groups, KD, KH, KW), plus bias (O,).

    Dot products run over channel, then kernel depth, row, column; everything else is as in `conv2d`.

    >>> from halfsim import tensor
    >>> conv3d(tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]), tensor([[[[[1.0]], [[10.0]]]]]))
    tensor([[[[31., 42.]]]], float32)
    """
    return _conv(fp, "conv3d", x, weight, bias, (stride, padding, dilation), groups)


def _conv_transpose(
    fp: Arithmetic, name: str, x: Array, weight: Array, bias: Array | None, options: tuple[Any, ...], groups: int
) -> Any:
    given, shape, dims = x.shape, weight.shape, int(name[-2])
    x, weight = _lifted(name, x, weight, bias, groups, transposed=True)
    stride, padding, extra, dilation = options
    stride, dilation = sizes(name, "stride", stride, dims, 1), sizes(name, "dilation", dilation, dims, 1)
    pad, extra = sizes(name, "padding", padding, dims, 0), sizes(name, "output_padding", extra, dims, 0)
    axes = []
    for n, k, s, p, e, d in zip(x.shape[2:], weight.shape[2:], stride, pad, extra, dilation, strict=True):
        if e >= max(s, d):
            raise ValueError(f"{name}: output_padding {e} is not allowed; allowed: below stride {s} or dilation {d}")
        size = (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        if size < 1 or n < 1:
            raise ValueError(f"{name}: input {given} gives no output; allowed: less padding or a larger input")
        axes.append(Axis(size, n, k, s, p, d))
    if prod(axis.size for axis in axes) > _MOST:
        raise ValueError(f"{name}: input {given} gives more than {_MOST} outputs; allowed: a smaller stride, dilation")
    y = _scattered(fp, x, weight, bias, axes, groups)
    flat, others = y.shape, (0, *range(2, y.ndim))
    return y.reshape(*given[: -dims - 1], *flat[1:]), (
        lambda fp, g: _gathered(fp, g.reshape(flat), weight, None, axes, groups).reshape(given),
        lambda fp, g: _correlated(fp, g.reshape(flat), x, shape, axes, groups),
        lambda fp, g: fp.sum(g.reshape(flat), others),
    )


@op("fp16")
def conv_transpose1d(
    fp: Arithmetic,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    /,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The gradient of `conv1d` as an operation: x (N, C, L) or (C, L), weight (C, O / groups, K), bias (O,)."""
    return _conv_transpose(fp, "conv_transpose1d", x, weight, bias, (stride, padding, output_padding, dilation), groups)


@op("fp16")
def conv_transpose2d(
    fp: Arithmetic,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    /,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The gradient of `conv2d` with respect to its input as an operation, plus bias (O,).

    x is (N, C, H, W) or (C, H, W), weight (C, O / groups, KH, KW); an axis of n elements becomes
    (n - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1 long. Each output is one dot product over
    channel, then the rows and columns of x that reach it; then the bias is added. Gradients of x and weight are
    those of `conv2d` with the parts of x and output exchanged. ``ValueError`` for shapes and options that do not fit.

    >>> from halfsim import tensor
    >>> conv_transpose2d(tensor([[[1.0, 2.0]]]), tensor([[[[1.0, 10.0]]]]), stride=(1, 2))
    tensor([[[ 1., 10.,  2., 20.]]], float32)
    """
    return _conv_transpose(fp, "conv_transpose2d", x, weight, bias, (stride, padding, output_padding, dilation), groups)


@op("fp16")
def conv_transpose3d(
    fp: Arithmetic,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    /,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The gradient of `conv3d` as an operation: x (N, C, D, H, W) or (C, D, H, W), weight (C, O / groups, KD, KH, KW),
    bias (O,); see `conv_transpose2d`.

    >>> from halfsim import tensor
    >>> conv_transpose3d(tensor([[[[1.0]], [[2.0]]]]), tensor([[[[[1.0, 10.0]]]]]), stride=(1, 1, 2)).shape
    (1, 2, 1, 2)
    """
    return _conv_transpose(fp, "conv_transpose3d", x, weight, bias, (stride, padding, output_padding, dilation), groups)
