"""Convolutions, as matrix products over unfolded windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsim.autograd.arithmetic import Arithmetic
from halfsim.autograd.ops._windows import Axis, at_once, in_blocks, phases, sizes, taps, unfold
from halfsim.autograd.tape import op
from halfsim.numerics.formats import unknown, whole
from halfsim.numerics.quantize import Array

__all__ = [
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
]

Axes = tuple[Axis, Axis]


def _gathered(fp: Arithmetic, x: Array, weight: Array, bias: Array | None, axes: Axes, groups: int) -> Array:
    """One dot product for each window: over channels, kernel rows, kernel columns. Then the bias."""
    rows, columns = axes
    kernel, counts = (rows.kernel, columns.kernel), (rows.outputs, columns.outputs)
    matrix, steps = weight.reshape(groups, weight.shape[0] // groups, -1), (taps(rows), taps(columns))

    def work(images: slice) -> Array:
        windows = unfold(x[images], steps, kernel, counts, lead=2)
        y = fp.matmul(matrix, windows.reshape(len(windows), groups, matrix.shape[2], counts[0] * counts[1]))
        y = y.reshape(len(windows), weight.shape[0], *counts)
        return y if bias is None else fp.add(y, bias[:, None, None])

    return in_blocks(fp, weight[0].size * groups * counts[0] * counts[1], len(x), work)


def _scattered(fp: Arithmetic, g: Array, weight: Array, bias: Array | None, axes: Axes, groups: int) -> Array:
    """One dot product for each element that windows cover: over the channels of ``g``, then the windows' rows and
    columns. Then the bias. Elements under different kernel positions, by the stride, take different products.
    """
    rows, columns = axes
    per = (groups, weight.shape[0] // groups, weight.shape[1])

    def part(images: slice, row: Any, column: Any) -> Array:
        positions, counts = (len(row.positions), len(column.positions)), (row.length, column.length)
        windows = unfold(g[images], (row.taps, column.taps), positions, counts, lead=2)
        some = weight[:, :, row.positions][..., column.positions].reshape(*per, positions[0] * positions[1])
        matrix = some.swapaxes(1, 2).reshape(groups, per[2], per[1] * some.shape[3])
        y = fp.matmul(matrix, windows.reshape(len(windows), groups, matrix.shape[2], counts[0] * counts[1]))
        y = y.reshape(len(windows), groups * per[2], *counts)
        return y if bias is None else fp.add(y, bias[:, None, None])

    def work(images: slice) -> Array:
        parts = [(row, column) for row in phases(rows) for column in phases(columns)]
        if len(parts) == 1:
            return part(images, *parts[0])
        out = np.empty((len(g[images]), groups * per[2], rows.size, columns.size), fp.dtype)
        places = [(slice(None), slice(None), row.elements, column.elements) for row, column in parts]
        return fp.joined(out, zip(places, (part(images, *each) for each in parts), strict=True))

    return in_blocks(fp, weight[:, 0].size * rows.size * columns.size, len(g), work)


def _correlated(fp: Arithmetic, x: Array, g: Array, shape: tuple[int, ...], axes: Axes, groups: int) -> Array:
    """One dot product for each weight: over images, then rows and columns of ``g``.

    The weights of one kernel row at a time, for all windows together take as often the memory of ``x`` as the kernel
    has elements; but at once where a unit rounds at random, which draws its numbers in the order of the elements.
    """
    rows, columns = axes
    kernel, counts = (rows.kernel, columns.kernel), (rows.outputs, columns.outputs)
    terms, x = len(x) * counts[0] * counts[1], x.swapaxes(0, 1)
    left = g.swapaxes(0, 1).reshape(groups, shape[0] // groups, terms)

    def part(windows: Array, height: int) -> Array:
        windows = windows.reshape(groups, shape[1] * height * kernel[1], terms)
        return fp.matmul(left, windows.swapaxes(1, 2)).reshape(*shape[:2], height, kernel[1])

    if kernel[0] == 1 or at_once(fp, len(x) * kernel[0] * kernel[1] * terms):
        return part(unfold(x, (taps(rows), taps(columns)), kernel, counts, lead=1), kernel[0])
    strips = unfold(
        x, (taps(Axis(rows.size, rows.size)), taps(columns)), (1, kernel[1]), (rows.size, counts[1]), lead=1
    )
    out, strip = np.empty(shape, fp.dtype), np.empty((*strips.shape[:-2], *counts), x.dtype)
    pieces = ((np.s_[:, :, k : k + 1], part(_under(strips, rows, k, strip), 1)) for k in range(kernel[0]))
    return fp.joined(out, pieces)


def _under(strips: Array, rows: Axis, k: int, out: Array) -> Array:
    """``out`` with what lies under row ``k`` of the kernel, of ``strips`` that have all rows of the image."""
    served = slice(0, 0)
    for _, served, elements in (tap for tap in taps(rows) if tap[0] == k):
        out[..., served, :] = strips[..., elements, :]
    out[..., : served.start, :] = out[..., served.stop :, :] = 0  # windows that have padding there
    return out


def _lifted(name: str, x: Array, weight: Array, bias: Array | None, groups: int, transposed: bool) -> tuple[Array, ...]:
    """``x`` as (N, C, H, W) and ``weight`` with rows and columns, if they fit one another and the bias."""
    dims = int(name[-2])
    if x.ndim not in (dims + 1, dims + 2) or weight.ndim != dims + 2:
        shape = (
            "(N, C, L) or (C, L) with weight (O, C, K)" if dims == 1 else "(N, C, H, W) or (C, H, W) with 4-d weight"
        )
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
    x = x if x.ndim == dims + 2 else x[None]
    return (x[:, :, None], weight[:, :, None]) if dims == 1 else (x, weight)


def _padding(name: str, padding: object, dims: int, kernel: Any, stride: Any, dilation: Any) -> Any:
    """The padding before each axis and the sum of both sides'; "same" puts an odd one at the end."""
    if not isinstance(padding, str):
        pad = sizes(name, "padding", padding, dims, 0, 0)
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
    steps = []
    for n, k, s, p, t, d in zip(x.shape[2:], weight.shape[2:], stride, pad, total, dilation, strict=True):
        room = n + t - d * (k - 1)
        if room < 1:
            raise ValueError(
                f"{name}: padded input {given} is smaller than the kernel {shape[2:]}; allowed: a larger one"
            )
        steps.append(Axis(n, (room - 1) // s + 1, k, s, p, d))
    rows, columns = steps
    axes = rows, columns
    flat = (len(x), weight.shape[0], rows.outputs, columns.outputs)
    y = _gathered(fp, x, weight, bias, axes, groups)
    return y.reshape(*given[: -dims - 1], flat[1], *flat[4 - dims :]), (
        lambda fp, g: _scattered(fp, g.reshape(flat), weight, None, axes, groups).reshape(given),
        lambda fp, g: _correlated(fp, x, g.reshape(flat), weight.shape, axes, groups).reshape(shape),
        lambda fp, g: fp.sum(g.reshape(flat), (0, 2, 3)),
    )


@op("fp16")
def conv1d(
    fp: Arithmetic,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    /,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
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
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
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


def _conv_transpose(
    fp: Arithmetic, name: str, x: Array, weight: Array, bias: Array | None, options: tuple[Any, ...], groups: int
) -> Any:
    given, shape, dims = x.shape, weight.shape, int(name[-2])
    x, weight = _lifted(name, x, weight, bias, groups, transposed=True)
    stride, padding, extra, dilation = options
    stride, dilation = sizes(name, "stride", stride, dims, 1), sizes(name, "dilation", dilation, dims, 1)
    pad, extra = sizes(name, "padding", padding, dims, 0, 0), sizes(name, "output_padding", extra, dims, 0, 0)
    axes = []
    for n, k, s, p, e, d in zip(x.shape[2:], weight.shape[2:], stride, pad, extra, dilation, strict=True):
        if e >= max(s, d):
            raise ValueError(f"{name}: output_padding {e} is not allowed; allowed: below stride {s} or dilation {d}")
        size = (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        if size < 1 or n < 1:
            raise ValueError(f"{name}: input {given} gives no output; allowed: less padding or a larger input")
        axes.append(Axis(size, n, k, s, p, d))
    both = axes[0], axes[1]
    flat = (len(x), weight.shape[1] * groups, axes[0].size, axes[1].size)
    y = _scattered(fp, x, weight, bias, both, groups)
    return y.reshape(*given[: -dims - 1], flat[1], *flat[4 - dims :]), (
        lambda fp, g: _gathered(fp, g.reshape(flat), weight, None, both, groups).reshape(given),
        lambda fp, g: _correlated(fp, g.reshape(flat), x, weight.shape, both, groups).reshape(shape),
        lambda fp, g: fp.sum(g.reshape(flat), (0, 2, 3)),
    )


@op("fp16")
def conv_transpose1d(
    fp: Arithmetic,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    /,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
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
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
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
